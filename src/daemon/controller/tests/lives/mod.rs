//! Whole lives of a host, many of them, each following from its seed: emergencies of every method come and go while
//! processes are killed at any call, power is cut, disks and kernels fail, clocks jump and other people change the network.
//! After every event the promises are checked.
//!
//! The processes are the real controller on a model kernel, a model disk and model clocks. What is not in it: the server,
//! the timers of tokio, and the guardian's own process (its part, taking over what a dead daemon held, is).
//!
//! `PORTCULLIS_LIVES=100000 cargo test --release --lib lives` lives so many; `PORTCULLIS_LIFE=SEED` lives one again and
//! prints what happens in it.

mod adversary;
mod decisions;
mod deeds;
mod door;
mod fate;
mod invariants;
mod life;
mod platter;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use life::{Life, Post, Tells};
use world::TOTAL_MS;

/// Lives in an ordinary run: some ten seconds in a debug build on two idle cores.
const LIVES: u64 = 150;
/// So many broken lives are enough.
const BROKEN_MAX: usize = 50;
/// Lives are lived side by side.
const THREADS: u64 = 2;

/// Lives one life; what is told of it, and what was violated.
fn live(seed: u64, tells: Tells) -> (Vec<String>, Result<(), String>) {
    let mut life = Life::new(seed, tells);
    let outcome = catch_unwind(AssertUnwindSafe(|| events(&mut life).and_then(|()| end(&mut life))));
    let verdict = outcome.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    });
    life.tell("over");
    (std::mem::take(&mut life.trace), verdict)
}

fn events(life: &mut Life) -> Result<(), String> {
    invariants::check(life)?;
    for _ in 0..life.random.between(8, 30) {
        let event = adversary::next(life);
        deeds::happen(life, &event, &mut invariants::check)?;
    }
    Ok(())
}

/// Nothing fails any more, and nobody asks for anything: everything must come to its end by itself.
fn end(life: &mut Life) -> Result<(), String> {
    life.tell("from here on everything works");
    life.fate.clear();
    life.start(Post::Daemon);
    invariants::check(life)?;
    life.pass(TOTAL_MS + 5_000, invariants::check)?;
    let stuck: Vec<String> = life.emergencies().iter().map(|e| e.id.to_string()).collect();
    for id in stuck {
        life.run(|c| {
            super::ask(c, |reply| {
                super::Command::Revert(id, super::RevertRequest::default(), reply)
            })
            .map(|r| r.residues)
        });
    }
    invariants::check(life)?;
    // Whatever could not be written before, the next record makes good.
    deeds::ask_in_vain(life);
    invariants::check_end(life)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Lives the lives of these seeds side by side; what was violated in which, at most [`BROKEN_MAX`].
fn live_all(seeds: std::ops::Range<u64>) -> Vec<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let broken = Mutex::new(Vec::new());
    let live_on = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || broken.lock().unwrap().len() >= BROKEN_MAX {
                break;
            }
            if let (_, Err(what)) = live(seed, Tells::Events) {
                broken.lock().unwrap().push((seed, what));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(live_on);
        }
    });
    broken.into_inner().unwrap()
}

#[test]
fn in_many_lives_no_promise_is_broken() {
    let seeds = match number("PORTCULLIS_LIFE") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PORTCULLIS_LIVES").unwrap_or(LIVES),
    };
    let broken = live_all(seeds);
    let Some((seed, _)) = broken.first() else {
        return;
    };
    let (trace, again) = live(*seed, Tells::Changes);
    let lines: Vec<String> = broken
        .iter()
        .map(|(seed, what)| format!("PORTCULLIS_LIFE={seed}: {what}"))
        .collect();
    panic!("{}\n{again:?}\n\n{}", trace.join("\n"), lines.join("\n"));
}

#[test]
fn a_life_follows_from_its_seed() {
    let (first, again) = (live(7, Tells::Changes), live(7, Tells::Changes));
    assert_eq!(first, again);
    assert_ne!(first.0, live(8, Tells::Changes).0);
}
