//! The n-th call of the shipped daemon fails or is its last, for every n: the injection matrix, by strace(1).
//!
//! `tests/inject/run` runs it; in a plain `cargo test` it is ignored, because it needs strace and takes its time. One case
//! is one life: a short cut is declared, held and restored, or taken up by the next process after a kill; one call of the
//! thread that does it is killed, or fails with EIO or ENOSPC. At the end the host is as it was, by the deadline and two
//! seconds, and every record that somebody was told of is in the audit log.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code"
)]

mod case;
#[path = "../daemon/mod.rs"]
mod daemon;
mod life;
#[path = "../world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use case::{Case, FAULTS, Fault, PHASES, Phase};
use life::{Lane, Outcome};
use world::World;

/// Hosts side by side; each waits for its deadline most of the time.
const LANES: usize = 4;
/// What is tried in `--quick`: what makes records durable and what changes the kernel.
const QUICK: [&str; 3] = ["fdatasync", "renameat", "sendto"];

#[test]
#[ignore = "needs strace: tests/inject/run"]
fn every_call_on_a_host() {
    world::inside("every_call_on_a_host", |world| {
        matrix(world, "host", life::host, "additive")
    });
}

#[test]
#[ignore = "needs strace: tests/inject/run"]
fn every_call_on_a_gateway() {
    world::inside("every_call_on_a_gateway", |world| {
        matrix(world, "gateway", life::gateway, "routes")
    });
}

/// `PORTCULLIS_INJECT`: `quick`, or names of phases and of system calls, separated by commas; all where absent.
fn wanted(phase: Phase, call: &str) -> bool {
    let given = std::env::var("PORTCULLIS_INJECT").unwrap_or_default();
    if given == "quick" {
        return QUICK.contains(&call);
    }
    let (phases, calls): (Vec<&str>, Vec<&str>) = given
        .split(',')
        .filter(|name| !name.is_empty())
        .partition(|name| PHASES.iter().any(|phase| phase.name() == *name));
    (phases.is_empty() || phases.contains(&phase.name())) && (calls.is_empty() || calls.contains(&call))
}

fn matrix(world: World, topology: &str, build: fn(World, usize) -> life::Subject, policy: &'static str) {
    let mut lanes: Vec<Lane> = (0..LANES).map(|lane| Lane::new(build(world, lane), policy)).collect();
    let cases = cases(&mut lanes[0]);
    let (queue, done) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
    let begun = Instant::now();
    thread::scope(|scope| {
        for lane in &mut lanes {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().next() else {
                        break;
                    };
                    let outcome = lane.live(&case);
                    if let Some(why) = &outcome.wrong {
                        println!("{topology}: {case}: {why}");
                    }
                    done.lock().unwrap().push((case, outcome));
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    assert!(!done.is_empty(), "no phase and no call is called so");
    println!("{}", table(topology, &done));
    println!("{topology}: {} runs in {:?}", done.len(), begun.elapsed());
    let wrong: Vec<String> = done
        .iter()
        .filter_map(|(case, outcome)| Some(format!("{case}: {}", outcome.wrong.as_ref()?)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} runs went wrong:\n{}",
        wrong.len(),
        done.len(),
        wrong.join("\n")
    );
    let hit = done.iter().filter(|(_, outcome)| outcome.hit).count();
    // The number of calls differs a little from life to life, so the last ones of a matrix may not come.
    assert!(
        hit * 10 >= done.len() * 8,
        "only {hit} of {} faults were injected",
        done.len()
    );
}

/// Every call that a life without a fault makes, with every fault that it can have.
fn cases(lane: &mut Lane) -> Vec<Case> {
    let mut cases = Vec::new();
    for phase in PHASES {
        let counted: BTreeMap<&str, u32> = lane.count(phase);
        assert!(
            counted.values().sum::<u32>() > 10,
            "{phase:?}: strace saw only {counted:?}"
        );
        for (call, times) in counted.into_iter().filter(|(call, _)| wanted(phase, call)) {
            for fault in FAULTS.into_iter().filter(|fault| fault.fits(call)) {
                cases.extend((1..=times).map(|n| Case { phase, call, fault, n }));
            }
        }
    }
    cases
}

fn table(topology: &str, done: &[(Case, Outcome)]) -> String {
    let mut rows: BTreeMap<(Phase, &str, Fault), [usize; 4]> = BTreeMap::new();
    for (case, outcome) in done {
        let row = rows.entry((case.phase, case.call, case.fault)).or_default();
        let counts = [true, outcome.hit, outcome.killed, outcome.wrong.is_some()];
        row.iter_mut()
            .zip(counts)
            .for_each(|(cell, yes)| *cell += usize::from(yes));
    }
    let mut text = format!(
        "{:<9}{:<10}{:<12}{:<8}{:>6}{:>10}{:>8}{:>7}\n",
        "topology", "phase", "call", "fault", "runs", "injected", "killed", "wrong"
    );
    for ((phase, call, fault), [runs, hit, killed, wrong]) in rows {
        text += &format!(
            "{topology:<9}{:<10}{call:<12}{:<8}{runs:>6}{hit:>10}{killed:>8}{wrong:>7}\n",
            phase.name(),
            fault.name()
        );
    }
    text
}
