//! A disk that is full at every step: the state directory gets a file system of its own of which exactly so many blocks of
//! 4 KiB are left when the cut is declared. Either nothing is cut, or the cut ends by its deadline.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use nix::sys::statvfs::statvfs;
use portcullis::drill::namespace::Namespace;

use super::scene::{Before, GRACE_MS, Shelf, due_ms, records, seen};
use super::{LANES, POLICIES};
use crate::daemon::{PATIENT, declaration};
use crate::guardian::guardians;
use crate::offline::fill;
use crate::world::state::assert_same;
use crate::world::wait_until;
use crate::{home, host, world};

/// Short, because every step that is not refused is waited for.
const FOR_MS: u64 = 700;
/// A block of tmpfs.
const BLOCK_BYTES: u64 = 4096;
/// More blocks than a declaration of the test host takes.
const STEPS: u64 = 14;
/// The last so many steps succeed.
const BEYOND: u64 = 4;

/// When the disk becomes full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Full {
    /// After the daemon's start: it has its reserve.
    WithReserve,
    /// Before it: there is no room for a reserve.
    WithoutReserve,
}

#[derive(Debug)]
enum Outcome {
    /// With this code, and nothing changed.
    Refused(String),
    /// So long after its deadline the host was as before, and by the record restored.
    Ended(u64, Option<u64>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "refused ({code}), nothing changed"),
            Self::Ended(seen, Some(recorded)) => {
                write!(
                    f,
                    "as before {seen} ms after it was due, restored by its record after {recorded} ms"
                )
            }
            Self::Ended(seen, None) => write!(f, "as before {seen} ms after it was due, not recorded then"),
        }
    }
}

/// Leaves just so many blocks.
fn leave(folder: &Path, blocks: u64) {
    fill(folder);
    let ballast = File::options().write(true).open(folder.join("ballast")).unwrap();
    let length = ballast.metadata().unwrap().len();
    ballast
        .set_len((length - blocks * BLOCK_BYTES) / BLOCK_BYTES * BLOCK_BYTES)
        .unwrap();
    let left = statvfs(folder).unwrap();
    assert_eq!((left.block_size(), left.blocks_available()), (BLOCK_BYTES, blocks));
}

fn step(host: &Namespace, policy: &str, full: Full, blocks: u64) -> Outcome {
    let context = format!("{blocks} blocks left, {full:?} | {policy}");
    let before = Before::of(host);
    let home = home();
    let _shelf = Shelf::of(&home, "size=3m,mode=700");
    if full == Full::WithoutReserve {
        leave(&home.state(), blocks);
    }
    let daemon = home.start(host);
    if full == Full::WithReserve {
        leave(&home.state(), blocks);
    }
    let answer = daemon.post("/v1/emergencies", &declaration(policy, FOR_MS));
    let outcome = if answer.status == 201 {
        let due = due_ms(&home);
        let (open, at) = before.comes_back(host, policy, due);
        assert!(open >= due, "{context}: open {} ms before it was due", due - open);
        let restored = records(&home).into_iter().rfind(|record| record["event"] == "restored");
        let restored = restored
            .and_then(|record| record["boottime_ms"].as_u64())
            .filter(|then| *then <= at);
        assert!(
            restored.unwrap_or(open) <= due + GRACE_MS,
            "{context}: ended {} ms after it was due",
            at - due
        );
        Outcome::Ended(at - due, restored.map(|then| then - due))
    } else {
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        assert!(
            matches!(code.as_str(), "no-record" | "no-journal"),
            "{context}: {answer:?}"
        );
        assert_same(&before.state, &seen(host));
        Outcome::Refused(code)
    };
    std::fs::remove_file(home.state().join("ballast")).unwrap();
    wait_until("the daemon is clear", PATIENT, || {
        daemon.get("/v1/status").json()["state"] == "clear"
    });
    daemon.stop();
    wait_until("the guardian ends when nothing is held", PATIENT, || {
        guardians(&home).is_empty()
    });
    assert_same(&before.state, &seen(host));
    outcome
}

#[test]
fn with_a_disk_full_at_any_block_a_cut_is_refused_or_ends_by_its_deadline() {
    let test = "deaths::full::with_a_disk_full_at_any_block_a_cut_is_refused_or_ends_by_its_deadline";
    world::inside(test, |world| {
        let kinds = [Full::WithReserve, Full::WithoutReserve];
        let steps = kinds.into_iter().flat_map(|full| POLICIES.map(|policy| (full, policy)));
        let steps = (0..=STEPS).flat_map(|blocks| steps.clone().map(move |(full, policy)| (full, policy, blocks)));
        let (left, done) = (Mutex::new(steps), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for lane in 0..LANES {
                let (host, left, done) = (host(world, lane), &left, &done);
                scope.spawn(move || {
                    loop {
                        let next = left.lock().unwrap().next();
                        let Some((full, policy, blocks)) = next else { return };
                        let outcome = step(&host, policy, full, blocks);
                        println!("{blocks} blocks left, {full:?} | {policy} | {outcome}");
                        done.lock()
                            .unwrap()
                            .push((full, policy, blocks, matches!(outcome, Outcome::Ended(..))));
                    }
                });
            }
        });
        let done = done.into_inner().unwrap();
        for (full, policy) in kinds.into_iter().flat_map(|full| POLICIES.map(|policy| (full, policy))) {
            let ended: Vec<u64> = done
                .iter()
                .filter(|d| (d.0, d.1, d.3) == (full, policy, true))
                .map(|d| d.2)
                .collect();
            let all = done.iter().filter(|d| (d.0, d.1) == (full, policy)).count();
            assert_eq!(all as u64, STEPS + 1, "{full:?} {policy}: every step was done");
            assert!(
                !ended.contains(&0),
                "{full:?} {policy}: a cut without room for its record"
            );
            assert!(
                (STEPS - BEYOND..=STEPS).all(|blocks| ended.contains(&blocks)),
                "{full:?} {policy}: {ended:?}"
            );
        }
    });
}
