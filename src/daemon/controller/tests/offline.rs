//! A restore without the daemon: by the journal, by the baseline, by the marks; on a disk that takes nothing.

use std::fs;
use std::sync::Arc;

use nix::errno::Errno;

use super::full::Bounded;
use super::{Bench, METHODS, Unsynced, root};
use crate::api::HostState;
use crate::api::offline::{OfflineRestore, Way};
use crate::daemon::actor;
use crate::daemon::controller::Controller;
use crate::kernel::sim::{Fault, ModelKernel};
use crate::store::directory::StateDirectory;
use crate::store::disk::{AfterFault, Disk, FaultyDisk};
use crate::store::ratchet::Keeping;

const BASELINES: [&str; 2] = ["baseline.json", "baseline-copy.json"];

fn restore_on(bench: &Bench, disk: Arc<dyn Disk>) -> OfflineRestore {
    let directory = StateDirectory::open_on(bench.state(), disk).unwrap();
    Controller::restore_offline(
        Box::new(bench.kernel.clone()),
        Box::new(bench.clock.clone()),
        directory,
        &Keeping::Memory,
        &actor::of(&root()),
    )
    .unwrap()
}

fn restore(bench: &Bench) -> OfflineRestore {
    restore_on(bench, Arc::new(Unsynced))
}

/// A daemon that died with this cut in force.
fn dead(policy: &str) -> Bench {
    let mut bench = Bench::start();
    bench.declare(policy).unwrap();
    bench.kill();
    bench
}

#[track_caller]
fn assert_back(bench: &Bench, done: &OfflineRestore, way: Way, context: &str) {
    assert_eq!(
        bench.kernel.state().to_string(),
        bench.baseline.to_string(),
        "{context}"
    );
    assert_eq!(done.way, way, "{context}: {done:?}");
    assert_eq!(done.left, Vec::<String>::new(), "{context}");
}

#[test]
fn by_the_journal_every_method_is_undone_proved_and_recorded() {
    for policy in METHODS {
        let mut bench = dead(policy);
        let done = restore(&bench);
        assert_back(&bench, &done, Way::Journal, policy);
        assert_eq!(done.receipts.len(), 1, "{policy}");
        assert_eq!(
            done.receipts[0].restored_digest.as_ref(),
            Some(&done.receipts[0].baseline_digest),
            "{policy}"
        );
        assert!(
            done.recorded && !done.journal_stays && done.warnings.is_empty(),
            "{policy}: {done:?}"
        );
        assert!(!bench.holds("journal.json"), "{policy}");
        assert_eq!(restore(&bench).way, Way::Nothing, "{policy}: the second time");
        bench.restart();
        assert_eq!(
            bench.records()[3..],
            ["revert-requested", "restored", "restored-offline", "daemon-started"],
            "{policy}"
        );
        bench.assert_ended(policy);
    }
}

#[test]
fn overlapping_cuts_are_all_undone_and_none_is_laid_again_on_the_way() {
    let mut bench = Bench::start();
    for policy in ["isolate", "bare", "unplug"] {
        if bench.declare(policy).is_err() {
            bench.declare("crash-open").unwrap();
        }
    }
    let held = bench.status().emergencies.len();
    assert!(held > 1);
    bench.kill();
    // The kernel holds nothing of it any more.
    bench.kernel = ModelKernel::new(bench.baseline.clone());
    let done = restore(&bench);
    assert_back(&bench, &done, Way::Journal, "overlap");
    assert_eq!(done.receipts.len(), held);
    assert_eq!(bench.kernel.asked(), 0, "nothing was to be done");
    bench.restart();
    bench.assert_ended("overlap");
}

#[test]
fn with_the_journal_damaged_or_gone_the_baseline_is_enough() {
    for policy in METHODS {
        for damage in [Some("rubbish"), None] {
            let context = format!("{policy} {damage:?}");
            let mut bench = dead(policy);
            let journal = bench.state().join("journal.json");
            match damage {
                Some(text) => fs::write(&journal, text).unwrap(),
                None => fs::remove_file(&journal).unwrap(),
            }
            let done = restore(&bench);
            assert_back(&bench, &done, Way::Baseline, &context);
            assert!(!done.changed.is_empty(), "{context}");
            assert!(done.recorded, "{context}");
            assert!(BASELINES.iter().all(|copy| !bench.holds(copy)), "{context}");
            bench.restart();
            assert!(bench.records().contains(&"restored-offline".to_owned()), "{context}");
            bench.assert_ended(&context);
        }
    }
}

#[test]
fn with_everything_lost_the_marks_are_removed_and_nobody_is_told_that_all_is_well() {
    for removed in [true, false] {
        let mut bench = dead("isolate");
        if removed {
            fs::remove_dir_all(bench.state()).unwrap();
        } else {
            for file in ["journal.json", BASELINES[0], BASELINES[1]] {
                fs::write(bench.state().join(file), "rubbish").unwrap();
            }
        }
        let done = restore(&bench);
        assert_eq!(done.way, Way::Marks);
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
        assert!(!done.left.is_empty());
        bench.restart();
        let expected = if removed { HostState::Clear } else { HostState::Stuck };
        assert_eq!(bench.status().state, expected, "as status can know");
    }
}

#[test]
fn after_a_reboot_nothing_of_the_old_boot_comes_back() {
    let mut bench = dead("unplug");
    bench.baseline.routes.retain(|r| r.gateway.is_none());
    bench.clock.reboot(1_000);
    bench.kernel = ModelKernel::new(bench.baseline.clone());
    let done = restore(&bench);
    assert_back(&bench, &done, Way::Journal, "reboot");
    assert_eq!(bench.kernel.asked(), 0);
    bench.restart();
    bench.assert_ended("reboot");
}

#[test]
fn on_a_full_disk_the_journal_leaves_its_word_and_the_next_daemon_records_it_and_lays_nothing() {
    for policy in METHODS {
        let mut bench = dead(policy);
        fs::remove_file(bench.state().join("reserve")).unwrap();
        let disk = Bounded::roomy();
        disk.fill_for_good();
        let done = restore_on(&bench, disk);
        assert_back(&bench, &done, Way::Journal, policy);
        assert!(!done.recorded && !done.journal_stays, "{policy}: {done:?}");
        assert!(done.warnings[0].contains("could not be recorded"), "{policy}: {done:?}");
        assert!(
            bench.holds("restored-offline.json") && !bench.holds("journal.json"),
            "{policy}"
        );
        let asked = bench.kernel.asked();
        bench.restart();
        assert_eq!(bench.kernel.asked(), asked, "{policy}: nothing is laid again");
        assert_eq!(bench.records()[3..], ["daemon-started", "restored-offline"], "{policy}");
        assert!(!bench.holds("restored-offline.json"), "{policy}");
        bench.assert_ended(policy);
    }
}

#[test]
fn on_a_disk_that_takes_nothing_the_host_is_restored_and_told_what_the_next_start_would_do() {
    for policy in METHODS {
        let mut bench = dead(policy);
        let done = restore_on(
            &bench,
            Arc::new(FaultyDisk::new(1, Errno::EROFS, AfterFault::StaysBroken)),
        );
        assert_back(&bench, &done, Way::Journal, policy);
        assert!(done.journal_stays && !done.recorded, "{policy}: {done:?}");
        let journal = bench.state().join("journal.json").display().to_string();
        assert!(
            done.warnings[0].contains(&format!("rm {journal}")),
            "{policy}: {done:?}"
        );
        // Which is true, and the advice is good.
        fs::remove_file(&journal).unwrap();
        bench.restart();
        bench.assert_ended(policy);
    }
}

#[test]
fn whichever_call_of_the_disk_fails_the_host_is_restored_and_nothing_is_laid_again() {
    for policy in METHODS {
        let counted = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
        restore_on(&dead(policy), counted.clone());
        for at in 1..=counted.calls() {
            for errno in [Errno::ENOSPC, Errno::EIO] {
                let context = format!("{policy}: call {at} fails by {errno}");
                let mut bench = dead(policy);
                let done = restore_on(&bench, Arc::new(FaultyDisk::new(at, errno, AfterFault::Heals)));
                assert_back(&bench, &done, Way::Journal, &context);
                assert!(!done.journal_stays || !done.warnings.is_empty(), "{context}: {done:?}");
                let asked = bench.kernel.asked();
                if !done.journal_stays {
                    bench.restart();
                    assert_eq!(bench.kernel.asked(), asked, "{context}: laid again");
                    bench.assert_ended(&context);
                }
            }
        }
    }
}

#[test]
fn residue_is_named_and_the_next_daemon_is_stuck_and_lays_nothing() {
    let mut bench = dead("unroute");
    let from = bench.kernel.asked();
    for change in from..from + 1_000 {
        bench.kernel.script(Fault::Refuse {
            change,
            errno: nix::libc::EPERM,
        });
    }
    let done = restore(&bench);
    assert!(done.left.iter().any(|line| line.contains("default")), "{done:?}");
    assert!(bench.holds("journal.json"), "the next daemon goes on with the restore");
    bench.kernel = ModelKernel::new(bench.kernel.state());
    bench.restart();
    bench.assert_ended("the daemon ended the restore");
}
