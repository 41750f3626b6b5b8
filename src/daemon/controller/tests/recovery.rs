//! What a start makes of the journal that it finds, and of none.

use std::fs;

use super::{Bench, METHODS, refused};
use crate::api::HostState;
use crate::api::error::Code;
use crate::model::change::Change;
use crate::model::fixture::direct;
use crate::model::snapshot::Object;

#[test]
fn a_restart_holds_a_closed_cut_and_sends_nothing() {
    for policy in METHODS {
        let mut bench = Bench::start();
        let id = bench.declare(policy).unwrap().id;
        let (asked, cut) = (bench.kernel.asked(), bench.kernel.state());
        bench.restart();
        assert_eq!(bench.kernel.asked(), asked, "{policy}: it was in force already");
        assert_eq!(bench.kernel.state(), cut, "{policy}");
        assert_eq!(bench.status().state, HostState::InForce, "{policy}");
        assert_eq!(
            bench.records()[3..],
            ["daemon-started", "recovered", "in-force"],
            "{policy}"
        );
        bench.revert(&id).unwrap();
        bench.assert_ended(policy);
    }
}

#[test]
fn a_restart_ends_a_cut_that_fails_open() {
    let mut bench = Bench::start();
    bench.declare("crash-open").unwrap();
    bench.restart();
    assert_eq!(bench.records()[3..], ["daemon-started", "recovered", "restored"]);
    bench.assert_ended("crash-open");
}

#[test]
fn with_the_journal_lost_everything_that_was_added_is_swept_at_the_start() {
    for [removed, policy] in [["journal.json", "isolate"], ["*", "isolate"]] {
        let mut bench = Bench::start();
        bench.declare(policy).unwrap();
        bench.kill();
        match removed {
            "*" => fs::remove_dir_all(bench.state()).unwrap(),
            file => fs::remove_file(bench.state().join(file)).unwrap(),
        }
        bench.restart();
        let records = bench.records();
        assert_eq!(records.last().unwrap(), "recovered", "{removed}: {records:?}");
        bench.assert_ended(removed);
    }
}

#[test]
fn a_damaged_journal_is_set_aside_swept_and_recorded() {
    for damage in ["", "{}", "portcullis-journal 1 5 x\nhello", "\0\0\0\0"] {
        let mut bench = Bench::start();
        bench.declare("isolate").unwrap();
        bench.kill();
        fs::write(bench.state().join("journal.json"), damage).unwrap();
        bench.restart();
        assert_eq!(
            bench.records()[3..],
            ["daemon-started", "state-damaged", "recovered"],
            "{damage:?}"
        );
        assert_eq!(
            fs::read_to_string(bench.state().join("journal.json.damaged")).unwrap(),
            damage
        );
        assert!(bench.holds("baseline.json.kept"), "{damage:?}");
        bench.assert_ended(damage);
    }
}

#[test]
fn one_damaged_copy_of_the_baseline_is_recorded_and_the_other_used() {
    for policy in METHODS {
        for copy in ["baseline.json", "baseline-copy.json"] {
            let mut bench = Bench::start();
            let id = bench.declare(policy).unwrap().id;
            bench.kill();
            fs::write(bench.state().join(copy), "rubbish").unwrap();
            bench.restart();
            let records = bench.records();
            assert!(
                records.contains(&"state-damaged".to_owned()),
                "{policy} {copy}: {records:?}"
            );
            assert_eq!(bench.status().state, HostState::InForce, "{policy} {copy}");
            bench.revert(&id).unwrap();
            bench.assert_ended(policy);
        }
    }
}

#[test]
fn without_any_baseline_what_was_added_is_removed_and_the_loss_recorded() {
    let mut bench = Bench::start();
    let id = bench.declare("isolate").unwrap().id;
    bench.kill();
    for copy in ["baseline.json", "baseline-copy.json"] {
        fs::write(bench.state().join(copy), "rubbish").unwrap();
    }
    bench.restart();
    let records = bench.records();
    assert!(records.contains(&"state-damaged".to_owned()), "{records:?}");
    if bench.status().emergencies.is_empty() {
        assert_eq!(bench.kernel.state(), bench.baseline);
    } else {
        bench.revert(&id).unwrap();
    }
    bench.assert_ended("no baseline");
}

#[test]
fn a_broken_audit_log_holds_up_no_restore_and_lets_no_cut_begin() {
    let mut bench = Bench::start();
    let id = bench.declare("isolate").unwrap().id;
    bench.kill();
    let log = bench.state().join("audit.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("a test", "a jest", 1)).unwrap();
    bench.restart();
    assert_eq!(bench.status().state, HostState::InForce, "a broken log ends no cut");
    let fault = bench.status().audit.fault.unwrap();
    assert!(fault.contains("record 2"), "the first bad record is named: {fault}");
    refused(bench.declare("isolate"), Code::NoRecord);
    refused(bench.extend(&id, 1), Code::NoRecord);
    let receipt = bench.revert(&id).unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    refused(bench.declare("isolate"), Code::NoRecord);
    assert_eq!(bench.kernel.state(), bench.baseline);
    fs::rename(&log, bench.state().join("audit.moved")).unwrap();
    bench.restart();
    bench.assert_ended("with the broken log moved away");
}

#[test]
fn a_log_that_was_cut_off_at_a_line_is_found_out_by_the_journal() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    bench.kill();
    let log = bench.state().join("audit.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let first: String = text.lines().take(1).map(|l| format!("{l}\n")).collect();
    fs::write(&log, first).unwrap();
    bench.restart();
    assert!(bench.status().audit.fault.is_some());
    refused(bench.declare("isolate"), Code::NoRecord);
}

#[test]
fn what_others_changed_while_the_daemon_was_down_is_kept() {
    let mut bench = Bench::start();
    let id = bench.declare("isolate").unwrap().id;
    bench.kill();
    let theirs = Object::Route(direct("10.77.0.0/16", 3));
    assert!(bench.kernel.act(&[Change::Add(theirs)])[0].is_ok());
    bench.restart();
    let receipt = bench.revert(&id).unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
    assert_eq!(receipt.kept_foreign_changes.len(), 1, "{receipt:?}");
    assert!(bench.kernel.state().to_string().contains("10.77.0.0/16"));
}
