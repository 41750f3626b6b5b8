//! The kernel fails at every step: the end is in force, or the baseline and a clear error.

use nix::libc::{EBUSY, EPERM};

use super::{Bench, METHODS, in_force, refused};
use crate::api::error::Code;
use crate::api::{EmergencyState, HostState, ReceiptView, RevertRequest};
use crate::daemon::command::Command;
use crate::kernel::sim::{Fault, Rest};

/// More changes than one restore tries, for any method.
const REFUSALS: usize = 2_000;

/// Changes of a run without faults.
fn changes_of(policy: &str) -> (usize, usize) {
    let mut bench = Bench::start();
    let id = bench.declare(policy).unwrap().id;
    let applied = bench.kernel.asked();
    bench.revert(&id).unwrap();
    (applied, bench.kernel.asked())
}

/// A declaration under this fault ends one way or the other, and the host gets back to its baseline.
#[track_caller]
fn declare_under(policy: &str, fault: &Fault) {
    let context = format!("{policy} under {fault:?}");
    let mut bench = Bench::start();
    bench.kernel.script(fault.clone());
    match bench.declare(policy) {
        Ok(declared) => {
            assert_eq!(declared.state, EmergencyState::InForce, "{context}");
            assert_eq!(
                bench.kernel.state().to_string(),
                in_force(policy).to_string(),
                "{context}"
            );
            assert_eq!(bench.status().state, HostState::InForce, "{context}");
            let receipt = bench.revert(&declared.id).unwrap();
            assert_eq!(receipt.residues, Vec::<String>::new(), "{context}");
        }
        Err(error) => {
            assert_eq!(error.code, Code::KernelRefused, "{context}: {error:?}");
            assert!(!error.hint.is_empty(), "{context}");
            assert_eq!(
                bench.kernel.state().to_string(),
                bench.baseline.to_string(),
                "{context}"
            );
            let last = bench.records().split_off(2);
            let before_the_record = *fault == Fault::Unreadable { read: 1 };
            let expected = ["apply-failed", "restored", "request-refused"];
            assert!(before_the_record || last == expected, "{context}: {last:?}");
        }
    }
    assert_eq!(bench.kernel.faults_left(), 0, "{context}: it never happened");
    bench.assert_ended(&context);
}

#[test]
fn a_change_that_the_kernel_refuses_leaves_a_cut_in_force_or_nothing() {
    for policy in METHODS {
        for change in 0..changes_of(policy).0 {
            for errno in [EPERM, EBUSY] {
                declare_under(policy, &Fault::Refuse { change, errno });
            }
        }
    }
}

#[test]
fn a_socket_that_dies_within_a_cut_leaves_it_in_force_or_nothing() {
    for policy in METHODS {
        for change in 0..changes_of(policy).0 {
            for rest in [Rest::Executed, Rest::Lost] {
                declare_under(policy, &Fault::Die { change, rest });
            }
        }
    }
}

#[test]
fn a_kernel_that_cannot_be_read_once_leaves_a_cut_in_force_or_nothing() {
    for policy in METHODS {
        // One reading at the start, to sweep; one for the plan; the rest read back.
        for read in 1..3 {
            declare_under(policy, &Fault::Unreadable { read });
        }
    }
}

#[test]
fn a_restore_gets_through_whatever_fails_once() {
    for policy in METHODS {
        let (applied, all) = changes_of(policy);
        for change in applied..all {
            for fault in [
                Fault::Refuse { change, errno: EPERM },
                Fault::Die {
                    change,
                    rest: Rest::Executed,
                },
                Fault::Die {
                    change,
                    rest: Rest::Lost,
                },
            ] {
                let context = format!("{policy} under {fault:?}");
                let mut bench = Bench::start();
                let id = bench.declare(policy).unwrap().id;
                bench.kernel.script(fault);
                let receipt = bench.revert(&id).unwrap();
                assert_eq!(receipt.residues, Vec::<String>::new(), "{context}");
                assert_eq!(receipt.state, EmergencyState::Ended, "{context}");
                assert_eq!(bench.kernel.faults_left(), 0, "{context}: it never happened");
                bench.assert_ended(&context);
            }
        }
    }
}

/// Declared, and reverted while the kernel refuses everything.
fn stuck(policy: &str) -> (Bench, ReceiptView) {
    let mut bench = Bench::start();
    let id = bench.declare(policy).unwrap().id;
    let from = bench.kernel.asked();
    // More than one restore tries; what is left over refuses the next ones, too.
    for change in from..from + REFUSALS {
        bench.kernel.script(Fault::Refuse { change, errno: EPERM });
    }
    let receipt = bench.revert(&id).unwrap();
    assert_eq!(receipt.state, EmergencyState::Stuck, "{policy}");
    (bench, receipt)
}

#[test]
fn residue_is_accepted_by_a_person_who_could_see_it() {
    let accept = RevertRequest { accept_residue: true };
    for policy in METHODS {
        let (mut bench, left) = stuck(policy);
        let id = left.emergency;
        let shown = bench.status().attention;
        let named = |residue: &String| shown.iter().any(|line| line.contains(residue));
        assert!(left.residues.iter().all(named), "{policy}: {shown:#?}");
        assert!(shown.iter().any(|line| line.contains("--accept-residue")), "{shown:#?}");

        let receipt = bench.ask(|reply| Command::Revert(id.clone(), accept, reply)).unwrap();
        assert_eq!(receipt.state, EmergencyState::Ended, "{policy}");
        assert!(!receipt.residues.is_empty(), "{policy}: what is left is still named");
        let records = bench.records();
        let last = ["revert-requested", "residue", "residue-accepted"];
        assert_eq!(records[records.len() - 3..], last, "{policy}");
        assert_ne!(bench.status().state, HostState::Stuck, "{policy}");
        assert_eq!(bench.revert(&id).unwrap(), receipt, "{policy}");
        bench.restart();
        assert_ne!(bench.status().state, HostState::Stuck, "{policy}");
    }
}

#[test]
fn residue_that_nobody_has_seen_is_not_accepted() {
    let accept = RevertRequest { accept_residue: true };
    let mut bench = Bench::start();
    let id = bench.declare("isolate").unwrap().id;
    refused(
        bench.ask(|reply| Command::Revert(id.clone(), accept, reply)),
        Code::WrongState,
    );
    assert_eq!(bench.status().state, HostState::InForce);
    bench.revert(&id).unwrap();
    bench.assert_ended("isolate");
}

#[test]
fn a_restore_that_the_kernel_refuses_is_stuck_until_a_revert_succeeds() {
    for policy in METHODS {
        let (mut bench, receipt) = stuck(policy);
        let id = receipt.emergency;
        assert!(!receipt.residues.is_empty(), "{policy}");
        assert_eq!(bench.status().state, HostState::Stuck, "{policy}");
        let asked = bench.kernel.asked();
        refused(bench.declare("isolate"), Code::Stuck);
        assert_eq!(
            bench.kernel.asked(),
            asked,
            "{policy}: a refused declaration changed something"
        );
        assert!(!bench.ask(Command::Readiness).unwrap().ready, "{policy}");
        let mut tries = 0;
        while bench.revert(&id).unwrap().state == EmergencyState::Stuck {
            tries += 1;
            assert!(tries < 200, "{policy}: it never gets through");
            refused(bench.declare("isolate"), Code::Stuck);
        }
        let records = bench.records();
        assert_eq!(records[3..5], ["revert-requested", "residue"], "{policy}");
        assert_eq!(
            records[records.len() - 2..],
            ["revert-requested", "restored"],
            "{policy}"
        );
        bench.assert_ended(policy);
    }
}

#[test]
fn a_stuck_restore_is_tried_again_at_the_next_start() {
    for policy in METHODS {
        let (mut bench, _) = stuck(policy);
        let mut starts = 0;
        while !bench.status().emergencies.is_empty() {
            starts += 1;
            assert!(starts < 200, "{policy}: it never gets through");
            bench.restart();
        }
        bench.assert_ended(policy);
    }
}
