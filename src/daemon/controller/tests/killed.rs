//! The process is killed between any two of its calls to kernel and disk, and so is the one that recovers.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs::File, io};

use super::alerting;
use super::arming::armed_state;
use super::authority::{self, somebody};
use super::proposing::{ONE_MORE, approve, declare_as, records};
use super::{Arm, Bench, DEFAULT_MS, METHODS, Snapshot, Unsynced, ask, declare};
use crate::api::RevertRequest;
use crate::api::alert::AlertOutcome;
use crate::api::error::Code;
use crate::daemon::command::Command;
use crate::daemon::policies::Policies;
use crate::kernel::sim::ModelKernel;
use crate::kernel::{ChangeError, Kernel, KernelError, Kinds, Watch};
use crate::model::change::{Change, Outcome};
use crate::model::lookup::{Query, Way};
use crate::store::disk::Disk;

/// Counts calls and ends the process at one of them. A write is cut off in its middle.
#[derive(Debug)]
struct Life {
    calls: AtomicU64,
    ends_at: u64,
}

/// What unwinds through a process that is killed; no hook and no destructor of ours acts on it.
struct Killed;

impl Life {
    fn until(ends_at: u64) -> Arc<Self> {
        Arc::new(Self {
            calls: AtomicU64::new(0),
            ends_at,
        })
    }

    fn ends_now(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1 >= self.ends_at
    }

    fn turn(&self) {
        if self.ends_now() {
            resume_unwind(Box::new(Killed));
        }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Mortal<T> {
    inner: T,
    life: Arc<Life>,
}

impl Kernel for Mortal<ModelKernel> {
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError> {
        self.life.turn();
        self.inner.snapshot(kinds)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        self.life.turn();
        let answers = self.inner.apply(changes);
        self.life.turn();
        answers
    }

    fn way(&mut self, query: &Query) -> Result<Way, KernelError> {
        self.inner.way(query)
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError> {
        self.inner.watch()
    }
}

impl Disk for Mortal<Unsynced> {
    fn create(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
        self.life.turn();
        self.inner.create(directory, name)
    }

    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if self.life.ends_now() {
            self.inner.write_at(file, offset, &bytes[..bytes.len() / 2])?;
            resume_unwind(Box::new(Killed));
        }
        self.inner.write_at(file, offset, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.life.turn();
        self.inner.sync(file)
    }

    fn sync_directory(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        self.life.turn();
        self.inner.sync_directory(directory)
    }

    fn rename(&self, directory: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.life.turn();
        self.inner.rename(directory, from, to)
    }

    fn unlink(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.life.turn();
        self.inner.unlink(directory, name)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.life.turn();
        self.inner.truncate(file, length)
    }
}

/// Runs a process until it ends or is killed; says whether it was.
fn killed(bench: &Bench, life: &Arc<Life>, does: impl FnOnce(&mut super::Controller)) -> bool {
    killed_under(super::policies(), bench, life, does)
}

fn killed_under(
    policies: Policies,
    bench: &Bench,
    life: &Arc<Life>,
    does: impl FnOnce(&mut super::Controller),
) -> bool {
    let kernel = Mortal {
        inner: bench.kernel.clone(),
        life: Arc::clone(life),
    };
    let disk = Mortal {
        inner: Unsynced,
        life: Arc::clone(life),
    };
    let run = catch_unwind(AssertUnwindSafe(|| {
        let mut controller = bench.start_on(Box::new(kernel), Arc::new(disk), policies);
        does(&mut controller);
    }));
    match run {
        Ok(()) => false,
        Err(payload) if payload.is::<Killed>() => true,
        Err(payload) => resume_unwind(payload),
    }
}

fn live(policy: &str) -> impl FnOnce(&mut super::Controller) {
    let policy = policy.to_owned();
    move |controller| {
        let id = declare(controller, &policy).unwrap().id;
        ask(controller, |reply| Command::Revert(id, RevertRequest::default(), reply)).unwrap();
    }
}

/// A restart brings every state of before to the right end.
#[track_caller]
fn ends_well(bench: &mut Bench, point: u64, context: &str) {
    bench.restart();
    bench.pass(DEFAULT_MS);
    let left = bench.status().emergencies.first().map(|e| e.id.clone());
    if let Some(id) = left {
        let receipt = bench.ask(|reply| Command::Receipt(id, reply)).unwrap();
        panic!("{context}: {receipt:?}");
    }
    assert_eq!(
        bench.kernel.state().to_string(),
        bench.baseline.to_string(),
        "{context}"
    );
    assert!(!bench.holds("journal.json"), "{context}: a journal is left");
    if point.is_multiple_of(8) {
        bench.assert_ended(context);
    }
}

#[test]
fn a_process_that_is_killed_at_any_call_leaves_what_a_restart_ends_well() {
    for policy in METHODS {
        let mut points = 0;
        loop {
            let life = Life::until(points + 1);
            let mut bench = Bench::idle();
            let was = killed(&bench, &life, live(policy));
            ends_well(&mut bench, points, &format!("{policy}, killed at call {}", points + 1));
            if !was {
                break;
            }
            points += 1;
        }
        assert!(points >= 50, "{policy}: only {points} points");
    }
}

/// What was approved is in force, or nothing is cut: then it waits for the same person again, or is gone.
#[test]
fn a_process_that_is_killed_at_any_call_of_an_approval_leaves_a_proposal_or_a_cut_and_never_both() {
    let mut seen = BTreeMap::<String, u32>::new();
    for point in 1.. {
        let bench = Bench::idle();
        let mut first = authority::controller(&bench, "many", ONE_MORE);
        let view = declare_as(&mut first, &somebody(1000, &[]), "many").unwrap();
        drop(first);
        let policies = authority::policies("many", ONE_MORE);
        let was = killed_under(policies, &bench, &Life::until(point), |controller| {
            approve(controller, &somebody(1001, &[]), &view).unwrap();
        });
        let context = format!("killed at call {point}");
        let mut next = authority::controller(&bench, "many", ONE_MORE);
        let listed = ask(&mut next, Command::Emergencies).unwrap();
        let cut = bench.kernel.state() != bench.baseline;
        let state = match listed.as_slice() {
            [] => "gone".to_owned(),
            [one] => format!("{:?}", one.state),
            several => panic!("{context}: {several:?}"),
        };
        assert_eq!(cut, state == "InForce", "{context}: {state}");
        *seen.entry(state.clone()).or_default() += 1;
        let declared = records(&mut next).iter().filter(|kind| *kind == "declared").count();
        assert!(
            declared <= 1 && (declared == 1 || !cut),
            "{context}: {declared} declarations"
        );
        if state == "Proposed" {
            approve(&mut next, &somebody(1001, &[]), &view).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        }
        if state != "gone" {
            let receipt = ask(&mut next, |reply| {
                Command::Revert(view.id.clone(), RevertRequest::default(), reply)
            })
            .unwrap();
            assert_eq!(receipt.residues, Vec::<String>::new(), "{context}");
        }
        assert_eq!(
            bench.kernel.state().to_string(),
            bench.baseline.to_string(),
            "{context}"
        );
        assert!(
            !bench.holds("proposals.json") && !bench.holds("journal.json"),
            "{context}"
        );
        if !was {
            break;
        }
    }
    let states: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(states, ["InForce", "Proposed", "gone"], "{seen:?}");
    assert!(seen.values().sum::<u32>() >= 40, "{seen:?}");
}

/// What is cut the hook that raised it ends; where nothing is, it can raise it again, at once or after the cool-down.
#[test]
fn a_process_that_is_killed_at_any_call_of_an_alert_leaves_a_cut_that_its_hook_ends_or_none() {
    let mut seen = BTreeMap::<&str, u32>::new();
    for point in 1.. {
        let bench = Bench::idle();
        let was = killed_under(alerting::policies(), &bench, &Life::until(point), |controller| {
            alerting::fire(controller, 1, "one").unwrap();
        });
        let context = format!("killed at call {point}");
        let mut next = alerting::start(&bench);
        let cut = bench.kernel.state() != bench.baseline;
        let then = if cut { "cut" } else { "none" };
        let answer = alerting::fire(&mut next, 1, "one");
        let then = match answer.map(|view| view.outcome) {
            Ok(AlertOutcome::Holding) => then,
            Err(error) if error.code == Code::CoolingDown && !cut => "cooling",
            other => panic!("{context}, {then}: {other:?}"),
        };
        *seen.entry(then).or_default() += 1;
        if then != "cooling" {
            let ended = alerting::resolve(&mut next, 1, "one");
            assert_eq!(ended.outcome, AlertOutcome::Ended, "{context}, {then}");
        }
        assert_eq!(
            bench.kernel.state().to_string(),
            bench.baseline.to_string(),
            "{context}, {then}"
        );
        if !was {
            break;
        }
    }
    assert_eq!(
        seen.keys().copied().collect::<Vec<_>>(),
        ["cooling", "cut", "none"],
        "{seen:?}"
    );
    assert!(seen["cut"] > 5 && seen["none"] > 20, "{seen:?}");
}

#[test]
fn a_process_that_is_killed_while_it_recovers_leaves_what_the_next_one_ends_well() {
    for policy in METHODS {
        let whole = Life::until(u64::MAX);
        assert!(!killed(&Bench::idle(), &whole, live(policy)));
        // Every seventh point of the first life and every ninth of the second: they drift past one another.
        for first in (1..=whole.calls()).step_by(7) {
            for second in (1 + first % 9..).step_by(9) {
                let mut bench = Bench::idle();
                killed(&bench, &Life::until(first), live(policy));
                let was = killed(&bench, &Life::until(second), |controller| controller.expire());
                ends_well(
                    &mut bench,
                    first + second,
                    &format!("{policy}, killed at call {first}, and then at call {second}"),
                );
                if !was {
                    break;
                }
            }
        }
    }
}

#[test]
fn on_a_host_that_is_armed_a_process_that_is_killed_at_any_call_leaves_what_a_restart_arms_exactly() {
    let armed = armed_state().to_string();
    let mut points = 0;
    loop {
        let mut bench = Bench::idle();
        bench.arm = Arm::On;
        let was = killed(&bench, &Life::until(points + 1), live("isolate"));
        let context = format!("killed at call {}", points + 1);
        bench.restart();
        bench.pass(DEFAULT_MS);
        assert_eq!(bench.kernel.state().to_string(), armed, "{context}");
        bench.controller().disarm_at_stop();
        assert_eq!(
            bench.kernel.state().to_string(),
            bench.baseline.to_string(),
            "{context}"
        );
        if !was {
            break;
        }
        points += 1;
    }
    assert!(points >= 60, "only {points} points");
}

#[test]
fn a_process_that_is_killed_while_it_disarms_leaves_what_the_next_end_disarms() {
    let mut points = 0;
    loop {
        let mut bench = Bench::idle();
        bench.arm = Arm::On;
        bench.restart();
        bench.kill();
        let was = killed(&bench, &Life::until(points + 1), super::Controller::disarm_at_stop);
        for next in [Arm::Off, Arm::On] {
            bench.arm = next;
            bench.restart();
            bench.controller().disarm_at_stop();
            let state = bench.kernel.state().to_string();
            assert_eq!(
                state,
                bench.baseline.to_string(),
                "killed at call {}, {next:?}",
                points + 1
            );
        }
        if !was {
            break;
        }
        points += 1;
    }
    assert!(points >= 6, "only {points} points");
}
