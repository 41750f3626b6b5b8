//! An armed host: from the start to an orderly end nothing of it is lost, nothing is left, and everything is recorded.

use std::sync::Arc;

use nix::libc::EPERM;

use super::{Arm, Bench, DEFAULT_MS, METHODS, Snapshot, refused, root, small};
use crate::api::error::Code;
use crate::api::{Grade, HostState};
use crate::daemon::command::Command;
use crate::kernel::sim::Fault;
use crate::model::change::Change;
use crate::model::fixture::via;
use crate::model::object::{Qdisc, Rule};
use crate::model::snapshot::Object;
use crate::planning;

/// A minute and some: the host is looked at although nothing rang.
const A_LOOK_MS: u64 = 61_000;

fn armed() -> Bench {
    let mut bench = Bench::idle();
    bench.arm = Arm::On;
    bench.restart();
    bench
}

/// The small host as it is armed.
pub(super) fn armed_state() -> Snapshot {
    let bench = armed();
    let state = bench.kernel.state();
    assert!(planning::is_armed(&state) && planning::has_armed_rule(&state));
    assert_eq!(planning::without_ours(&state, &[]).to_string(), small().to_string());
    state
}

fn qdisc_changes(bench: &Bench, since: usize) -> usize {
    let history = bench.kernel.history();
    let of_qdiscs =
        |change: &Change| matches!(change, Change::Add(Object::Qdisc(_)) | Change::Delete(Object::Qdisc(_)));
    history[since..].iter().filter(|(_, change)| of_qdiscs(change)).count()
}

#[test]
fn a_start_arms_and_says_so_and_a_stop_leaves_exactly_what_was_there() {
    let mut bench = armed();
    assert_ne!(bench.kernel.state(), bench.baseline);
    assert_eq!(bench.records(), ["daemon-started", "armed", "armed"]);
    let status = bench.status();
    assert_eq!((status.state, status.armed.wanted), (HostState::Clear, true));
    assert_eq!(status.armed.links, ["ab0"], "no policy gates the other link");
    bench.controller().disarm_at_stop();
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    assert_eq!(bench.records()[3..], ["disarmed"]);
}

#[test]
fn a_daemon_that_is_not_to_arm_touches_nothing() {
    let mut bench = Bench::start();
    assert_eq!((bench.kernel.sends(), bench.status().armed.wanted), (0, false));
    bench.controller().disarm_at_stop();
    assert_eq!(bench.kernel.sends(), 0);
}

#[test]
fn a_restart_after_a_crash_finds_the_host_armed_and_changes_nothing() {
    let mut bench = armed();
    let (state, sends) = (bench.kernel.state(), bench.kernel.sends());
    bench.restart();
    assert_eq!((bench.kernel.state(), bench.kernel.sends()), (state, sends));
    assert_eq!(bench.records()[3..], ["daemon-started"]);
}

#[test]
fn a_restart_that_is_not_to_arm_takes_away_what_a_crash_left_armed() {
    let mut bench = armed();
    bench.arm = Arm::Off;
    bench.restart();
    bench.assert_ended("no longer armed");
}

#[test]
fn a_cut_and_its_end_touch_no_qdisc_and_leave_the_host_armed() {
    for policy in METHODS {
        let mut bench = armed();
        let (state, begun) = (bench.kernel.state(), bench.kernel.history().len());
        let id = bench.declare(policy).unwrap().id;
        assert_ne!(bench.kernel.state(), state, "{policy}");
        let receipt = bench.revert(&id).unwrap();
        assert_eq!(receipt.residues, Vec::<String>::new(), "{policy}");
        assert_eq!(receipt.kept_foreign_changes, Vec::<String>::new(), "{policy}");
        assert_eq!(receipt.baseline_digest, receipt.restored_digest.unwrap(), "{policy}");
        assert_eq!(bench.kernel.state().to_string(), state.to_string(), "{policy}");
        assert_eq!(qdisc_changes(&bench, begun), 0, "{policy}");
        bench.controller().disarm_at_stop();
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
    }
}

#[tokio::test]
async fn an_orderly_stop_of_the_service_disarms_before_its_last_record() {
    let mut bench = armed();
    let served = super::serving::serve(bench.take(), Arc::default());
    served.handle.ask(root(), Command::Status).await.unwrap();
    served.stop.send_replace(true);
    served.thread.join().unwrap();
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    bench.restart();
    assert_eq!(
        bench.records()[3..],
        ["disarmed", "daemon-stopped", "daemon-started", "armed", "armed"]
    );
}

#[test]
fn a_stop_while_a_cut_is_held_leaves_all_as_it_is_and_whoever_ends_it_disarms() {
    for next in [Arm::On, Arm::Off] {
        let mut bench = armed();
        let state = bench.kernel.state();
        bench.declare("isolate").unwrap();
        let cut = bench.kernel.state();
        bench.controller().disarm_at_stop();
        assert_eq!(bench.kernel.state(), cut, "then {next:?}");
        // A guardian, or a daemon with another configuration.
        bench.arm = next;
        bench.restart();
        assert_eq!(bench.kernel.state(), cut, "then {next:?}");
        bench.pass(DEFAULT_MS);
        let after = match next {
            Arm::On => state,
            Arm::Off => bench.baseline.clone(),
        };
        assert_eq!(bench.kernel.state().to_string(), after.to_string(), "then {next:?}");
        let last = bench.records().pop().unwrap();
        assert_eq!(last == "disarmed", next == Arm::Off, "then {next:?}: {last}");
    }
}

#[test]
fn after_a_reboot_the_host_is_armed_again_once_nothing_is_held() {
    let mut bench = armed();
    let state = bench.kernel.state();
    bench.reboot(1_000);
    assert_eq!(bench.kernel.state().to_string(), state.to_string());
    bench.declare("isolate").unwrap();
    bench.reboot(1_000);
    assert_eq!(bench.status().state, HostState::InForce);
    bench.pass(DEFAULT_MS);
    assert_eq!(bench.kernel.state().to_string(), state.to_string());
}

#[test]
fn what_others_take_from_an_armed_host_is_put_back_and_recorded() {
    let mut bench = armed();
    let state = bench.kernel.state();
    let is_ours = |q: &&Qdisc| q.ingress_block.is_some();
    let qdisc = state.qdiscs.iter().find(is_ours).unwrap().clone();
    let rule = state.rules.iter().find(|r| planning::is_armed_rule(r)).unwrap().clone();
    for taken in [Object::Qdisc(qdisc), Object::Rule(rule)] {
        assert!(bench.kernel.act(&[Change::Delete(taken.clone())])[0].is_ok());
        bench.controller().compare();
        bench.controller().keep_armed();
        assert_eq!(bench.kernel.state().to_string(), state.to_string(), "{taken}");
    }
    assert!(bench.records().len() > 3);
}

#[test]
fn a_look_at_an_idle_host_that_is_armed_whole_sends_nothing() {
    let mut bench = armed();
    let sends = bench.kernel.sends();
    let moved = Change::Add(Object::Route(via("192.0.2.0/24", "10.1.0.9", 3)));
    assert!(bench.kernel.act(&[moved])[0].is_ok());
    bench.controller().compare();
    bench.clock.pass(A_LOOK_MS);
    bench.controller().compare();
    bench.controller().keep_armed();
    assert_eq!(bench.kernel.sends(), sends);
}

#[test]
fn without_its_record_nothing_is_armed() {
    let mut bench = Bench::start();
    bench.kill();
    let log = bench.state().join("audit.jsonl");
    std::fs::write(&log, "rubbish\nrubbish\n").unwrap();
    bench.arm = Arm::On;
    bench.restart();
    assert_eq!(bench.kernel.state(), bench.baseline);
    refused(bench.declare("isolate"), Code::NoRecord);
}

#[test]
fn what_the_kernel_refuses_is_recorded_and_the_daemon_goes_on() {
    let mut bench = Bench::idle();
    bench.arm = Arm::On;
    bench.kernel.script(Fault::Refuse {
        change: 2,
        errno: EPERM,
    });
    bench.restart();
    let records = bench.records();
    assert_eq!(records, ["daemon-started", "armed", "armed"]);
    let id = bench.declare("isolate").unwrap().id;
    assert_eq!(bench.revert(&id).unwrap().residues, Vec::<String>::new());
    // With the last end the host is looked at again.
    assert_eq!(bench.kernel.state().to_string(), armed_state().to_string());
}

#[test]
fn with_the_journal_lost_only_what_is_armed_is_left() {
    let mut bench = armed();
    let state = bench.kernel.state();
    bench.declare("isolate").unwrap();
    bench.kill();
    std::fs::remove_file(bench.state().join("journal.json")).unwrap();
    bench.restart();
    assert_eq!(bench.kernel.state().to_string(), state.to_string());
    assert_eq!(qdisc_changes(&bench, 3), 0, "what was armed was left where it stood");
}

#[test]
fn doctor_recommends_arming_where_links_would_pause_and_shows_what_stands() {
    let finding = |bench: &mut Bench| {
        let readiness = bench.ask(Command::Readiness).unwrap();
        readiness.findings.into_iter().find(|f| f.check == "armed").unwrap()
    };
    let mut bench = Bench::start();
    let advice = finding(&mut bench);
    assert_eq!(advice.grade, Grade::Warning);
    assert!(advice.seen.contains("1 links that policies gate are up"), "{advice:?}");
    assert!(advice.hint.contains("arm = true"), "{advice:?}");
    let mut bench = armed();
    let seen = finding(&mut bench);
    assert_eq!(seen.grade, Grade::Good, "{seen:?}");
    assert!(seen.seen.contains("the first IPv4 rule took"), "{seen:?}");
    let rule = bench
        .kernel
        .state()
        .rules
        .iter()
        .find(|r| planning::is_armed_rule(r))
        .cloned();
    let rule: Rule = rule.unwrap();
    assert!(bench.kernel.act(&[Change::Delete(Object::Rule(rule))])[0].is_ok());
    let seen = finding(&mut bench);
    assert!(
        seen.grade == Grade::Warning && seen.seen.contains("ip rule add"),
        "{seen:?}"
    );
}
