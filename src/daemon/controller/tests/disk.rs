//! The disk fails at every step: no record, no cut; and a restore goes on without it.

use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use super::{Bench, METHODS, declare};
use crate::api::EmergencyState;
use crate::api::error::Code;
use crate::kernel::sim::ModelKernel;
use crate::kernel::{ChangeError, Kernel, KernelError, Kinds, Watch};
use crate::model::change::{Change, Outcome};
use crate::model::fixture::via;
use crate::model::lookup::{Query, Way};
use crate::model::snapshot::{Object, Snapshot};
use crate::store::disk::{AfterFault, FaultyDisk, RealDisk};

/// A door to the kernel that lets no change through before the declaration is on the disk, in both places.
#[derive(Debug)]
struct Witness {
    kernel: ModelKernel,
    state: PathBuf,
}

impl Kernel for Witness {
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError> {
        self.kernel.snapshot(kinds)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        let read = |file| std::fs::read_to_string(self.state.join(file)).unwrap_or_default();
        assert!(
            read("audit.jsonl").contains("\"event\":\"declared\""),
            "no record, and a change"
        );
        assert!(
            read("journal.json").contains("\"applying\""),
            "no journal, and a change"
        );
        for copy in ["baseline.json", "baseline-copy.json"] {
            assert!(read(copy).contains("ab0"), "no {copy}, and a change");
        }
        self.kernel.apply(changes)
    }

    fn way(&mut self, query: &Query) -> Result<Way, KernelError> {
        self.kernel.way(query)
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError> {
        self.kernel.watch()
    }
}

#[test]
fn the_first_change_comes_after_record_journal_and_baseline() {
    for policy in METHODS {
        let bench = Bench::idle();
        let door = Witness {
            kernel: bench.kernel.clone(),
            state: bench.state(),
        };
        let mut controller = bench.start_with(Box::new(door), Arc::new(RealDisk));
        declare(&mut controller, policy).unwrap();
        assert!(bench.kernel.asked() > 0);
    }
}

/// Calls of a run without faults: after the start, the declaration, the revert.
fn calls_of(policy: &str) -> [u64; 3] {
    let disk = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
    let mut bench = Bench::on(disk.clone());
    let started = disk.calls();
    let id = bench.declare(policy).unwrap().id;
    let declared = disk.calls();
    bench.revert(&id).unwrap();
    [started, declared, disk.calls()]
}

fn faults(from: u64, to: u64) -> impl Iterator<Item = (u64, Errno, AfterFault)> {
    (from + 1..=to).flat_map(|at| {
        [
            (at, Errno::ENOSPC, AfterFault::Heals),
            (at, Errno::EIO, AfterFault::StaysBroken),
        ]
    })
}

#[test]
fn without_a_durable_record_nothing_is_cut_whichever_call_of_the_disk_fails() {
    let policy = "isolate";
    let [started, declared, _] = calls_of(policy);
    let mut refusals = 0;
    for (at, errno, after) in faults(started, declared) {
        let context = format!("call {at} of {declared} fails, {after:?}");
        let mut bench = Bench::on(Arc::new(FaultyDisk::new(at, errno, after)));
        let answer = bench.declare(policy);
        let is_refused = answer.is_err();
        match answer {
            Err(error) => {
                refusals += 1;
                assert!(
                    matches!(error.code, Code::NoRecord | Code::NoJournal),
                    "{context}: {error:?}"
                );
                let why = std::io::Error::from(errno).to_string();
                assert!(
                    error.detail.contains(&why),
                    "{context}: the cause is named in {error:?}"
                );
                assert_eq!(bench.kernel.asked(), 0, "{context}: no record, and a change");
                assert!(bench.status().emergencies.is_empty(), "{context}");
            }
            Ok(cut) => {
                assert_eq!(cut.state, EmergencyState::InForce, "{context}");
                let log = std::fs::read_to_string(bench.state().join("audit.jsonl")).unwrap();
                assert!(
                    log.contains("\"event\":\"declared\""),
                    "{context}: a cut without its record"
                );
                assert_eq!(
                    bench.revert(&cut.id).unwrap().residues,
                    Vec::<String>::new(),
                    "{context}"
                );
            }
        }
        if after == AfterFault::StaysBroken {
            // Nothing new begins on a broken disk; what it left behind is no obstacle to the next process.
            bench.restart();
            if is_refused {
                assert_eq!(
                    bench.kernel.asked(),
                    0,
                    "{context}: refused, and cut by the next process"
                );
                assert!(bench.status().emergencies.is_empty(), "{context}");
            }
            bench.pass(2 * super::DEFAULT_MS);
        }
        bench.assert_ended(&context);
    }
    assert!(refusals > 10, "only {refusals} faults came before the cut");
}

#[test]
fn a_cut_in_force_that_an_equal_one_covers_is_not_taken_for_one_that_was_refused() {
    let policy = "isolate";
    let disk = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
    let mut bench = Bench::on(disk.clone());
    bench.declare(policy).unwrap();
    let first = disk.calls();
    bench.declare(policy).unwrap();
    let mut in_force = 0;
    for at in first + 1..=disk.calls() {
        let mut bench = Bench::on(Arc::new(FaultyDisk::new(at, Errno::EIO, AfterFault::StaysBroken)));
        bench.declare(policy).unwrap();
        let both = bench.declare(policy).is_ok();
        bench.restart();
        let held = bench.status().emergencies.len();
        assert!(held == 2 || !both, "call {at}: {held} of two are held after a restart");
        in_force += usize::from(both);
    }
    assert!(in_force > 0, "the disk failed before every cut");
}

#[test]
fn no_failure_of_the_disk_keeps_a_restore_from_ending() {
    for policy in METHODS {
        let [_, declared, reverted] = calls_of(policy);
        for (at, errno, after) in faults(declared, reverted) {
            let context = format!("{policy}: call {at} of {reverted} fails, {after:?}");
            let mut bench = Bench::on(Arc::new(FaultyDisk::new(at, errno, after)));
            let id = bench.declare(policy).unwrap().id;
            let receipt = bench.revert(&id).unwrap();
            assert_eq!(receipt.residues, Vec::<String>::new(), "{context}");
            assert_eq!(receipt.state, EmergencyState::Ended, "{context}");
            assert_eq!(
                bench.kernel.state().to_string(),
                bench.baseline.to_string(),
                "{context}"
            );
            assert!(bench.status().emergencies.is_empty(), "{context}");
            if after == AfterFault::StaysBroken {
                // The next process finds a journal that could not be ended; the deadline in it holds all the same.
                bench.restart();
                bench.pass(super::DEFAULT_MS);
            }
            bench.assert_ended(&context);
        }
    }
}

#[test]
fn an_orderly_stop_writes_down_the_end_that_a_failing_disk_did_not_take() {
    let [_, declared, reverted] = calls_of("unplug");
    let mut behind = 0;
    for at in declared + 1..=reverted {
        let disk = Arc::new(FaultyDisk::new(at, Errno::ENOSPC, AfterFault::StaysBroken));
        let mut bench = Bench::on(disk.clone());
        let id = bench.declare("unplug").unwrap().id;
        bench.revert(&id).unwrap();
        behind += usize::from(bench.controller().books.is_behind());
        disk.heal();
        bench.controller().wind_up();
        let theirs = Change::Delete(Object::Route(via("0.0.0.0/0", "10.0.0.1", 2)));
        assert_eq!(bench.kernel.act(std::slice::from_ref(&theirs)), [Ok(Outcome::Applied)]);
        let changed = bench.kernel.state().to_string();
        bench.restart();
        let context = format!("call {at} of {reverted} fails");
        assert_eq!(bench.kernel.state().to_string(), changed, "{context}");
    }
    assert!(behind > 0, "the journal was written in all of them");
}

#[test]
fn a_disk_that_is_gone_keeps_no_deadline_from_ending_a_cut() {
    for policy in METHODS {
        let [_, declared, _] = calls_of(policy);
        let gone = FaultyDisk::new(declared + 1, Errno::EROFS, AfterFault::StaysBroken);
        let mut bench = Bench::on(Arc::new(gone));
        bench.declare(policy).unwrap();
        bench.pass(super::DEFAULT_MS);
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
        assert!(
            bench.status().audit.fault.is_some(),
            "{policy}: doctor and status say that nothing is recorded"
        );
        super::refused(bench.declare(policy), Code::NoRecord);
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
    }
}

#[test]
fn a_change_of_terms_that_cannot_be_written_down_is_not_made() {
    let disk = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
    let mut bench = Bench::on(disk.clone());
    let id = bench.declare("isolate").unwrap().id;
    let before = disk.calls();
    bench.extend(&id, super::MINUTE_MS).unwrap();
    let calls = disk.calls();
    for at in before + 1..=calls {
        let mut bench = Bench::on(Arc::new(FaultyDisk::new(at, Errno::ENOSPC, AfterFault::Heals)));
        let id = bench.declare("isolate").unwrap().id;
        let error = bench
            .extend(&id, super::MINUTE_MS)
            .expect_err("it could not be written down");
        assert!(matches!(error.code, Code::NoRecord | Code::NoJournal), "{error:?}");
        assert_eq!(
            bench.status().emergencies[0].remaining_ms,
            super::DEFAULT_MS,
            "call {at}"
        );
        bench.pass(super::DEFAULT_MS);
        bench.assert_ended(&format!("call {at} of an extension fails"));
    }
}
