//! The file of alerts lost or damaged, and a disk that fails at any call.

use std::path::PathBuf;

use nix::errno::Errno;

use super::super::proposing::records;
use super::super::{Arc, Bench, Controller, DEFAULT_MS, Unsynced};
use super::{fire, held, nothing_is_cut, resolve, start, start_on};
use crate::api::alert::AlertOutcome;
use crate::api::error::Code;
use crate::daemon::policies::Policies;
use crate::model::record::Actor;
use crate::store::directory::StateDirectory;
use crate::store::disk::{AfterFault, FaultyDisk};
use crate::store::ratchet::Keeping;

#[test]
fn without_the_file_of_alerts_what_hooks_declared_ends_by_its_deadline_and_by_no_alert() {
    let damages: [fn(&PathBuf); 2] = [
        |file| std::fs::write(file, "rubbish").unwrap(),
        |file| std::fs::remove_file(file).unwrap(),
    ];
    for (at, damage) in damages.into_iter().enumerate() {
        let bench = Bench::idle();
        let mut first = start(&bench);
        held(&mut first);
        drop(first);
        damage(&bench.state().join("alerts.json"));
        let mut next = start(&bench);
        let damaged = records(&mut next).contains(&"state-damaged".to_owned());
        assert_eq!(damaged, at == 0, "what is damaged is recorded");
        for uid in [1, 2] {
            assert_eq!(
                fire(&mut next, uid, "two").unwrap().outcome,
                AlertOutcome::LeftToOperators
            );
            assert_eq!(resolve(&mut next, uid, "two").outcome, AlertOutcome::Resolved);
        }
        assert_ne!(bench.kernel.state(), bench.baseline);
        bench.clock.pass(DEFAULT_MS);
        next.expire();
        nothing_is_cut(&bench);
    }
}

#[test]
fn whichever_call_of_the_disk_fails_an_alert_cuts_with_its_records_or_nothing_is_cut() {
    let on = |disk: Arc<FaultyDisk>| {
        let bench = Bench::idle();
        let mut controller = start_on(&bench, disk.clone());
        let started = disk.calls();
        let answer = fire(&mut controller, 1, "one");
        (bench, controller, answer, started)
    };
    let whole = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
    let (.., started) = on(whole.clone());
    let mut refusals = 0;
    for at in started + 1..=whole.calls() {
        for after in [AfterFault::Heals, AfterFault::StaysBroken] {
            let context = format!("call {at} fails, {after:?}");
            let (bench, running, answer, _) = on(Arc::new(FaultyDisk::new(at, Errno::EIO, after)));
            if answer.is_err() {
                refusals += 1;
                assert_eq!(bench.kernel.state(), bench.baseline, "{context}");
            }
            drop(running);
            let mut next = start(&bench);
            let is_cut = bench.kernel.state() != bench.baseline;
            assert!(is_cut || answer.is_err(), "{context}");
            if is_cut {
                assert_eq!(resolve(&mut next, 1, "one").outcome, AlertOutcome::Ended, "{context}");
            }
            assert_eq!(
                bench.kernel.state().to_string(),
                bench.baseline.to_string(),
                "{context}"
            );
        }
    }
    assert!(refusals > 10, "only {refusals} faults came before the cut");
}

#[test]
fn no_failure_of_the_disk_keeps_the_last_alert_from_ending_it() {
    let bench = Bench::idle();
    let mut first = start(&bench);
    held(&mut first);
    drop(first);
    let counting = Arc::new(FaultyDisk::new(u64::MAX, Errno::ENOSPC, AfterFault::StaysBroken));
    drop(start_on(&bench, counting.clone()));
    let failing = FaultyDisk::new(counting.calls() + 1, Errno::ENOSPC, AfterFault::StaysBroken);
    let mut controller = start_on(&bench, Arc::new(failing));
    assert_eq!(resolve(&mut controller, 1, "two").outcome, AlertOutcome::Resolved);
    assert_eq!(resolve(&mut controller, 2, "two").outcome, AlertOutcome::Ended);
    nothing_is_cut(&bench);
}

#[test]
fn whoever_ends_it_without_the_policies_leaves_the_cool_down() {
    type Ends = fn(&Bench);
    let ways: [(&str, Ends); 2] = [
        ("the guardian", |bench| {
            let mut guardian = bench.start_under(Policies::default(), Arc::new(Unsynced));
            bench.clock.pass(DEFAULT_MS);
            guardian.expire();
        }),
        ("a restore without the daemon", |bench| {
            let directory = StateDirectory::open_on(bench.state(), Arc::new(Unsynced)).unwrap();
            let (kernel, clock) = (Box::new(bench.kernel.clone()), Box::new(bench.clock.clone()));
            let done = Controller::restore_offline(kernel, clock, directory, &Keeping::Memory, &Actor::Daemon);
            assert_eq!(done.unwrap().receipts.len(), 1);
        }),
    ];
    for (by, end) in ways {
        let bench = Bench::idle();
        let mut first = start(&bench);
        held(&mut first);
        drop(first);
        end(&bench);
        nothing_is_cut(&bench);
        let mut next = start(&bench);
        let refused = fire(&mut next, 1, "two").expect_err(by);
        assert_eq!(refused.code, Code::CoolingDown, "{by}: {refused:?}");
        nothing_is_cut(&bench);
    }
}
