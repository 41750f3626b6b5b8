//! The socket under attack: what callers can do to the real daemon, and what an operator gets beside it.
//!
//! All attackers are of the operator's own user, which is the worst case: their places are the operator's. One table is
//! printed; that everybody is served, that memory and descriptors come back and that nothing spins is asserted always,
//! the budgets of time only with `PORTCULLIS_STRICT=1`, since other work on a machine moves them.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code"
)]

mod attackers;
#[path = "../daemon/mod.rs"]
mod daemon;
mod health;
mod table;
#[path = "../world/mod.rs"]
mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use portcullis::drill::namespace::Namespace;
use serde_json::json;

use attackers::{ATTACKS, Attack};
use daemon::{Daemon, Home, PATIENT, declaration, policy, try_ask};
use health::Health;
use table::{Asked, Row};
use world::state::{assert_same, state};
use world::topology::Topology;
use world::wait_until;

/// Rounds of status, plan, declaration and revert for each attack, and with `PORTCULLIS_STRICT=1`.
const ROUNDS: [usize; 2] = [5, 40];
/// How long the daemon is watched while nobody asks it anything.
const QUIET: Duration = Duration::from_secs(1);
/// A request that was turned away is sent again for so long.
const AGAIN: Duration = Duration::from_secs(10);

#[test]
fn an_operator_is_served_beside_every_attack() {
    world::inside("an_operator_is_served_beside_every_attack", |world| {
        room_for_descriptors();
        let host = Topology::host(world).subject.namespace;
        println!("{}", table::head());
        let wanted = std::env::var("PORTCULLIS_ATTACK").unwrap_or_default();
        let rows: Vec<Row> = ATTACKS
            .iter()
            .filter(|attack| attack.name.contains(&wanted))
            .map(|attack| endure(&host, attack))
            .collect();
        println!("{}", table::FOOT);
        assert!(!rows.is_empty(), "no attack is called {wanted:?}");
        rows.iter().for_each(Row::hold);
        if strict() {
            rows.iter().for_each(Row::hold_budgets);
        }
    });
}

fn strict() -> bool {
    std::env::var_os("PORTCULLIS_STRICT").is_some_and(|value| value == "1")
}

/// The attackers are threads of this process and need a thousand descriptors.
fn room_for_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= 2_048, "only {hard} descriptors for a thousand attackers");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536), hard).unwrap();
}

fn endure(host: &Namespace, attack: &'static Attack) -> Row {
    let home = Home::with(&[("additive.toml", &policy("additive", "\"gate\", \"seal\"", "closed"))]);
    let nofile = format!("--nofile={0}:{0}", attack.descriptors);
    let daemon = home.start_by(host, &["prlimit", &nofile]);
    let (before, calm) = (state(host), Health::of(&daemon));
    let (over, socket) = (AtomicBool::new(false), home.socket());
    let mut row = thread::scope(|scope| {
        let _end = End(&over);
        let attackers: Vec<_> = (0..attack.threads)
            .map(|_| scope.spawn(|| (attack.run)(&socket, &over)))
            .collect();
        let asked = rounds(&home);
        let spun = Health::spent(&daemon, QUIET);
        over.store(true, Ordering::Relaxed);
        let sent = attackers.into_iter().map(|attacker| attacker.join().unwrap()).sum();
        Row {
            attack,
            sent,
            asked,
            spun_under_attack: spun,
            spun_after: Duration::ZERO,
            peak_kib: 0,
        }
    });
    assert_same(&before, &state(host));
    wait_until("the descriptors are back", PATIENT, || {
        Health::of(&daemon).descriptors <= calm.descriptors + health::SLACK
    });
    let after = Health::of(&daemon);
    assert_eq!(after.zombies, 0, "{}: a dead child was not reaped", attack.name);
    row.peak_kib = after.peak_kib;
    // Plans that nobody waits for any more may still be drawn; then it rests.
    wait_until("the daemon is at rest", PATIENT, || {
        row.spun_after = Health::spent(&daemon, QUIET);
        row.spun_after <= table::AT_REST
    });
    finish(&home, host, daemon);
    println!("{}", table::line(&row));
    row
}

/// Ends the attack also where the test fails: the attackers are waited for.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The audit log is whole after all that, and the daemon ends when it is told to.
fn finish(home: &Home, host: &Namespace, daemon: Daemon) {
    let verified = home.cli(host, &["audit", "verify", home.audit().to_str().unwrap()]);
    assert_eq!(verified.exit, Some(0), "{verified:?}");
    daemon.stop();
}

/// An operator at work: what is asked, how long each answer took, how often it had to be asked again.
fn rounds(home: &Home) -> [Asked; 4] {
    let mut asked = ["status", "plan", "declare", "revert"].map(Asked::new);
    for round in 0..ROUNDS[usize::from(strict())] {
        let [status, plan, declare, revert] = &mut asked;
        once(home, status, "GET", "/v1/status", "", None);
        let wanted = json!({ "policy": "additive", "duration_ms": 600_000 }).to_string();
        once(home, plan, "POST", "/v1/plans", &wanted, None);
        let body = declaration("additive", 600_000).to_string();
        let key = format!("Idempotency-Key: round-{round}");
        let declared = once(home, declare, "POST", "/v1/emergencies", &body, Some(&key));
        let id = declared["id"].as_str().unwrap();
        let reverted = once(home, revert, "POST", &format!("/v1/emergencies/{id}/revert"), "", None);
        assert_eq!(reverted["state"], "ended", "{reverted}");
    }
    asked
}

/// Asks until it is answered; the time runs from the first try.
fn once(home: &Home, asked: &mut Asked, verb: &str, path: &str, body: &str, header: Option<&str>) -> serde_json::Value {
    let begun = Instant::now();
    let headers: Vec<&str> = header.into_iter().chain(["Content-Type: application/json"]).collect();
    loop {
        match try_ask(&home.socket(), verb, path, &headers, body) {
            Ok(answer) if answer.status < 300 => {
                asked.took.push(begun.elapsed());
                return answer.json();
            }
            Ok(answer) if answer.status == 503 => asked.turned_away += 1,
            Ok(answer) => panic!("{verb} {path}: {answer:?}\n{}", home.log()),
            Err(_) => asked.turned_away += 1,
        }
        assert!(
            begun.elapsed() < AGAIN,
            "{verb} {path} was never answered:\n{}",
            home.log()
        );
    }
}
