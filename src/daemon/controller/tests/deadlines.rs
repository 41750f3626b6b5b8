//! Every cut ends by its deadline, whatever the clocks do.

use super::{Bench, DEFAULT_MS, METHODS, MINUTE_MS, request};
use crate::daemon::command::{Command, Preconditions};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_cut_ends_at_its_deadline_and_not_before() {
    for policy in METHODS {
        let mut bench = Bench::start();
        bench.declare(policy).unwrap();
        bench.pass(DEFAULT_MS - 1);
        assert_eq!(bench.status().emergencies.len(), 1, "{policy}");
        bench.pass(1);
        assert_eq!(bench.records()[3..], ["deadline-reached", "restored"], "{policy}");
        bench.assert_ended(policy);
    }
}

#[test]
fn a_cut_that_nobody_confirms_ends_at_its_window() {
    let mut bench = Bench::start();
    let mut declaration = request("isolate");
    declaration.confirm_within_ms = Some(MINUTE_MS);
    let declare = |reply| Command::Declare(declaration, Preconditions::default(), reply);
    bench.ask(declare).unwrap();
    bench.pass(MINUTE_MS - 1);
    assert_eq!(bench.status().emergencies[0].confirm_within_ms, Some(1));
    bench.pass(1);
    assert_eq!(bench.records()[3..], ["confirmation-missed", "restored"]);
    bench.assert_ended("unconfirmed");
}

#[test]
fn a_confirmed_and_extended_cut_lasts_until_its_new_end() {
    let mut bench = Bench::start();
    let mut declaration = request("isolate");
    declaration.confirm_within_ms = Some(MINUTE_MS);
    let declare = |reply| Command::Declare(declaration, Preconditions::default(), reply);
    let id = bench.ask(declare).unwrap().id;
    bench.confirm(&id).unwrap();
    bench.extend(&id, MINUTE_MS).unwrap();
    bench.pass(DEFAULT_MS + MINUTE_MS - 1);
    assert_eq!(bench.status().emergencies.len(), 1);
    bench.pass(1);
    bench.assert_ended("extended");
}

#[test]
fn a_suspended_host_ends_a_cut_as_soon_as_it_wakes() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    // CLOCK_BOOTTIME counts the time asleep; no timer of the process ran meanwhile.
    bench.pass(100 * DEFAULT_MS);
    bench.assert_ended("suspended");
}

#[test]
fn a_wall_clock_that_jumps_changes_no_deadline() {
    for jump in [-1_000 * HOUR_MS, 1_000 * HOUR_MS] {
        let mut bench = Bench::start();
        bench.declare("isolate").unwrap();
        bench.clock.jump(jump);
        bench.pass(DEFAULT_MS - 1);
        assert_eq!(bench.status().emergencies.len(), 1, "{jump}");
        bench.kill();
        bench.restart();
        bench.controller().expire();
        assert_eq!(bench.status().emergencies.len(), 1, "{jump}, after a restart");
        bench.pass(1);
        bench.assert_ended("jumped");
    }
}

#[test]
fn a_host_that_was_off_past_the_deadline_comes_up_without_the_cut() {
    for policy in METHODS {
        let mut bench = Bench::start();
        bench.declare(policy).unwrap();
        bench.reboot(i64::try_from(DEFAULT_MS).unwrap());
        assert_eq!(
            bench.kernel.asked(),
            0,
            "{policy}: the cut was laid again after its deadline"
        );
        bench.controller().expire();
        bench.assert_ended(policy);
    }
}

#[test]
fn a_daemon_that_was_off_past_the_deadline_restores_at_its_start() {
    for policy in METHODS {
        let mut bench = Bench::start();
        bench.declare(policy).unwrap();
        bench.kill();
        bench.clock.pass(2 * DEFAULT_MS);
        bench.restart();
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
        assert_eq!(
            bench.records()[3..],
            ["daemon-started", "deadline-reached", "restored"],
            "{policy}"
        );
        bench.assert_ended(policy);
    }
}

#[test]
fn a_wall_clock_that_went_back_over_a_reboot_ends_the_cut() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    bench.reboot(-HOUR_MS);
    bench.controller().expire();
    bench.assert_ended("a dead battery");
}

#[test]
fn what_is_left_of_a_closed_cut_is_held_after_a_reboot() {
    for policy in METHODS {
        let mut bench = Bench::start();
        bench.declare(policy).unwrap();
        let cut = bench.kernel.state();
        bench.reboot(i64::try_from(DEFAULT_MS / 2).unwrap());
        assert_eq!(bench.kernel.state().to_string(), cut.to_string(), "{policy}");
        assert_eq!(bench.status().emergencies[0].remaining_ms, DEFAULT_MS / 2, "{policy}");
        bench.pass(DEFAULT_MS / 2 - 1);
        assert_eq!(bench.status().emergencies.len(), 1, "{policy}");
        bench.pass(1);
        bench.assert_ended(policy);
    }
}

#[test]
fn a_cut_that_fails_open_ends_with_a_reboot() {
    let mut bench = Bench::start();
    bench.declare("reboot-open").unwrap();
    bench.reboot(1_000);
    assert_eq!(bench.records()[3..], ["daemon-started", "recovered", "restored"]);
    bench.assert_ended("reboot-open");
}
