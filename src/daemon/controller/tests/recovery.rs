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

/// Declares, kills, damages these files, and does something more before the next start.
fn damaged(policy: &str, files: &[&str], damage: &str, meanwhile: impl FnOnce(&mut Bench)) -> Bench {
    let mut bench = Bench::start();
    bench.declare(policy).unwrap();
    bench.kill();
    for file in files {
        fs::write(bench.state().join(file), damage).unwrap();
    }
    meanwhile(&mut bench);
    bench.restart();
    bench
}

const BASELINES: [&str; 2] = ["baseline.json", "baseline-copy.json"];

#[test]
fn with_the_journal_damaged_an_intact_baseline_brings_back_what_every_method_took() {
    for policy in METHODS {
        for damage in ["", "{}", "portcullis-journal 1 5 x\nhello", "\0\0\0\0"] {
            for files in [
                &["journal.json"][..],
                &["journal.json", BASELINES[0]],
                &["journal.json", BASELINES[1]],
            ] {
                let context = format!("{policy} {damage:?} {files:?}");
                let mut bench = damaged(policy, files, damage, |_| {});
                assert_eq!(
                    bench.records()[3..],
                    ["daemon-started", "state-damaged"],
                    "{context}: by the baseline, and nothing left to sweep"
                );
                let aside = fs::read_to_string(bench.state().join("journal.json.damaged")).unwrap();
                assert_eq!(aside, damage, "{context}");
                assert_eq!(bench.status().attention, Vec::<String>::new(), "{context}");
                assert_eq!(bench.status().state, HostState::Clear, "{context}");
                bench.assert_ended(&context);
            }
        }
    }
}

#[test]
fn what_others_added_is_kept_when_a_host_is_brought_back_without_its_journal() {
    let theirs = || Change::Add(Object::Route(direct("10.77.0.0/16", 3)));
    let mut bench = damaged("unplug", &["journal.json"], "", |bench| {
        assert!(bench.kernel.act(&[theirs()])[0].is_ok());
    });
    let mut expected = bench.baseline.clone();
    crate::model::fixture::must(&mut expected, &theirs());
    expected.sort();
    assert_eq!(bench.kernel.state().to_string(), expected.to_string());
    assert_eq!(bench.status().state, HostState::Clear);
}

#[test]
fn a_journal_damaged_over_a_reboot_brings_nothing_of_the_old_boot_back() {
    let mut bench = Bench::start();
    bench.declare("unplug").unwrap();
    bench.kill();
    fs::write(bench.state().join("journal.json"), "").unwrap();
    // It comes up otherwise than it was.
    let mut other = bench.baseline.clone();
    other.routes.retain(|r| r.gateway.is_none());
    bench.baseline = other.clone();
    bench.reboot(1_000);
    assert_eq!(bench.kernel.state().to_string(), other.to_string());
    assert_eq!(bench.kernel.asked(), 0);
    bench.assert_ended("after a reboot");
}

#[test]
fn with_journal_and_baseline_damaged_status_and_doctor_say_so_until_somebody_has_looked() {
    for policy in METHODS {
        let files = ["journal.json", BASELINES[0], BASELINES[1]];
        let mut bench = damaged(policy, &files, "rubbish", |_| {});
        for _ in 0..2 {
            let status = bench.status();
            assert_eq!(status.state, HostState::Stuck, "{policy}");
            assert!(
                status.attention[0].contains("journal.json.unsettled"),
                "{policy}: {status:?}"
            );
            let readiness = bench.ask(crate::daemon::command::Command::Readiness).unwrap();
            assert!(!readiness.ready, "{policy}");
            refused(bench.declare("isolate"), Code::Stuck);
            // A death of the process is no look at it.
            bench.restart();
        }
        fs::remove_file(bench.state().join("journal.json.unsettled")).unwrap();
        assert_eq!(bench.status().state, HostState::Clear, "{policy}");
        assert_eq!(bench.status().attention, Vec::<String>::new(), "{policy}");
        if policy == "isolate" {
            bench.assert_ended("marks are enough for what was only added");
        }
    }
}

#[test]
fn a_kernel_that_refuses_leaves_a_damaged_journal_unsettled_and_names_what_is_left() {
    let mut bench = Bench::start();
    bench.declare("unroute").unwrap();
    bench.kill();
    fs::write(bench.state().join("journal.json"), "").unwrap();
    for change in bench.kernel.asked()..bench.kernel.asked() + 1_000 {
        let errno = nix::libc::EPERM;
        bench.kernel.script(crate::kernel::sim::Fault::Refuse { change, errno });
    }
    bench.restart();
    let status = bench.status();
    assert_eq!(status.state, HostState::Stuck);
    assert!(
        status.attention.iter().any(|line| line.contains("default")),
        "{status:?}"
    );
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

/// What is done to a file.
type Harm = fn(&std::path::Path);

#[test]
fn a_log_that_somebody_moves_away_or_cuts_off_under_the_daemon_lets_no_cut_begin() {
    let harm: [(&str, Harm); 3] = [
        ("moved", |log| fs::rename(log, log.with_extension("1")).unwrap()),
        ("removed", |log| fs::remove_file(log).unwrap()),
        ("cut off", |log| {
            fs::File::options().write(true).open(log).unwrap().set_len(100).unwrap();
        }),
    ];
    for (what, harm) in harm {
        let mut bench = Bench::start();
        let id = bench.declare("isolate").unwrap().id;
        harm(&bench.state().join("audit.jsonl"));
        assert!(bench.status().audit.fault.is_some(), "{what}: it is said at once");
        refused(bench.declare("bare"), Code::NoRecord);
        let receipt = bench.revert(&id).unwrap();
        assert_eq!(
            receipt.residues,
            Vec::<String>::new(),
            "{what}: a restore waits for no log"
        );
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{what}");
    }
}
