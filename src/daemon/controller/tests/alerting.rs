//! Hooks: quorum, joining, resolving, takeover, cool-down, rate, restarts and a broken disk.

mod disk;
mod planned;

use std::path::{Path, PathBuf};

use super::authority::{ask_as, somebody};
use super::proposing::{declare_as, records};
use super::{Arc, Bench, Controller, DEFAULT_MS, MINUTE_MS, Unsynced, policy, refused};
use crate::api::alert::{AlertOutcome, AlertRequest, AlertState, AlertView, AlertWait};
use crate::api::error::{ApiError, Code};
use crate::api::{EmergencyState, EmergencyView, Grade, PlanRequest, RevertRequest};
use crate::daemon::command::{Command, Peer, Preconditions};
use crate::daemon::policies::Policies;
use crate::kernel::sim::ModelKernel;
use crate::model::alert::RATE_MAX;
use crate::store::disk::Disk;

/// What every Debian has: users 1 to 3 are `daemon`, `bin` and `sys`.
const TWO: &str = "[hook]\nusers = [\"bin\", \"daemon\", \"sys\"]\nsources = 2\nauthority = \"plan 4.2\"\n";
const ONE: &str = "[hook]\nusers = [\"bin\", \"daemon\"]\nauthority = \"plan 4.2\"\ncool-down = \"5m\"\n";

pub(super) fn policies() -> Policies {
    let methods = "\"gate\", \"seal\"";
    let unconfirmed = policy("unconfirmed", methods, "closed", "closed");
    let unconfirmed = unconfirmed.replace("total = \"2h\"\n", "total = \"2h\"\nconfirm-within = \"5m\"\n");
    Policies::default()
        .with(Path::new("t"), policy("two", methods, "closed", "closed") + TWO)
        .and_then(|p| p.with(Path::new("o"), policy("one", methods, "closed", "closed") + ONE))
        .and_then(|p| p.with(Path::new("u"), unconfirmed + ONE))
        .and_then(|p| p.with(Path::new("n"), policy("none", methods, "closed", "closed")))
        .unwrap()
}

pub(super) fn start(bench: &Bench) -> Controller {
    start_on(bench, Arc::new(Unsynced))
}

fn start_on(bench: &Bench, disk: Arc<dyn Disk>) -> Controller {
    bench.start_under(policies(), disk)
}

fn source(uid: u32) -> Peer {
    somebody(uid, &[])
}

fn request(uid: u32, policy: &str, state: AlertState) -> AlertRequest {
    AlertRequest {
        policy: policy.to_owned(),
        state,
        reason: format!("uid {uid} sees it"),
        incident: None,
        duration_ms: None,
    }
}

fn alert(controller: &mut Controller, uid: u32, policy: &str, state: AlertState) -> Result<AlertView, ApiError> {
    let request = request(uid, policy, state);
    ask_as(controller, &source(uid), |reply| Command::Alert(request, reply))
}

pub(super) fn fire(controller: &mut Controller, uid: u32, policy: &str) -> Result<AlertView, ApiError> {
    alert(controller, uid, policy, AlertState::Firing)
}

pub(super) fn resolve(controller: &mut Controller, uid: u32, policy: &str) -> AlertView {
    alert(controller, uid, policy, AlertState::Resolved).unwrap()
}

/// Two sources raised `two`.
fn held(controller: &mut Controller) -> EmergencyView {
    assert_eq!(fire(controller, 1, "two").unwrap().outcome, AlertOutcome::Waiting);
    let second = fire(controller, 2, "two").unwrap();
    assert_eq!(second.outcome, AlertOutcome::Holding);
    second.emergency.unwrap()
}

fn revert(controller: &mut Controller, id: &str) {
    let id = id.to_owned();
    let receipt = ask_as(controller, &source(0), |reply| {
        Command::Revert(id, RevertRequest::default(), reply)
    });
    assert_eq!(receipt.unwrap().residues, Vec::<String>::new());
}

#[track_caller]
fn nothing_is_cut(bench: &Bench) {
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
}

#[test]
fn enough_sources_cut_as_any_declaration_and_the_last_to_resolve_ends_it() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let first = fire(&mut controller, 1, "two").unwrap();
    let waits = AlertWait {
        sources: 1,
        within_ms: 60_000,
    };
    assert_eq!((first.outcome, first.waits), (AlertOutcome::Waiting, Some(waits)));
    nothing_is_cut(&bench);
    let status = ask_as(&mut controller, &source(0), Command::Status).unwrap();
    assert_eq!(status.alerts[0].raised_by, ["daemon (uid 1)"]);
    assert_eq!(status.alerts[0].more, Some(1));

    let emergency = fire(&mut controller, 2, "two").unwrap().emergency.unwrap();
    assert_eq!(emergency.state, EmergencyState::InForce);
    assert_eq!(emergency.declared_by, "hooks: daemon (uid 1), bin (uid 2)");
    assert_eq!(emergency.held_by, ["daemon (uid 1)", "bin (uid 2)"]);
    assert_eq!(emergency.authority, "plan 4.2");
    assert_eq!(
        emergency.reason,
        "daemon (uid 1): uid 1 sees it; bin (uid 2): uid 2 sees it"
    );
    assert_eq!(emergency.remaining_ms, DEFAULT_MS);
    assert_ne!(bench.kernel.state(), bench.baseline);

    let joined = fire(&mut controller, 3, "two").unwrap();
    assert_eq!(joined.outcome, AlertOutcome::Holding);
    assert_eq!(joined.emergency.unwrap().held_by.len(), 3);
    for uid in [1, 1, 2] {
        let resolved = resolve(&mut controller, uid, "two");
        assert_eq!(resolved.outcome, AlertOutcome::Resolved);
        assert_eq!(resolved.emergency.unwrap().state, EmergencyState::InForce);
    }
    let last = resolve(&mut controller, 3, "two");
    assert_eq!(last.outcome, AlertOutcome::Ended);
    assert_eq!(last.receipt.unwrap().residues, Vec::<String>::new());
    nothing_is_cut(&bench);
    let wanted = [
        "alert-raised",
        "alert-raised",
        "declared",
        "in-force",
        "alert-raised",
        "alert-resolved",
        "alert-resolved",
        "alert-resolved",
        "revert-requested",
        "restored",
    ];
    assert_eq!(records(&mut controller), wanted);
}

#[test]
fn one_source_is_one_whatever_it_says_and_however_often() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    for pid in 0..5 {
        let request = AlertRequest {
            policy: "two".to_owned(),
            state: AlertState::Firing,
            reason: format!("another one, {pid}"),
            incident: Some(format!("INC-{pid}")),
            duration_ms: Some(MINUTE_MS),
        };
        let mut peer = Peer::new(1, 1_000 + pid, Some(i32::try_from(pid).unwrap() + 100));
        peer.process.groups = vec![pid];
        peer.process.login_uid = Some(2_000 + pid);
        let answer = ask_as(&mut controller, &peer, |reply| Command::Alert(request, reply)).unwrap();
        assert_eq!(answer.outcome, AlertOutcome::Waiting);
        assert_eq!(answer.waits.unwrap().sources, 1);
    }
    nothing_is_cut(&bench);
    assert_eq!(records(&mut controller), ["alert-raised"; 5]);
}

#[test]
fn one_incident_that_is_over_ends_nothing_while_the_source_sees_another() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let mut say = |incident: Option<&str>, state| {
        let request = AlertRequest {
            incident: incident.map(str::to_owned),
            ..request(1, "one", state)
        };
        let answer = ask_as(&mut controller, &source(1), |reply| Command::Alert(request, reply));
        answer.unwrap().outcome
    };
    for incident in ["sshd 192.0.2.1", "sshd 192.0.2.2", "sshd 192.0.2.1"] {
        assert_eq!(say(Some(incident), AlertState::Firing), AlertOutcome::Holding);
    }
    assert_eq!(
        say(Some("sshd 192.0.2.1"), AlertState::Resolved),
        AlertOutcome::Resolved
    );
    assert_ne!(bench.kernel.state(), bench.baseline);
    assert_eq!(
        say(Some("sshd 192.0.2.1"), AlertState::Resolved),
        AlertOutcome::Resolved
    );
    assert_eq!(say(Some("sshd 192.0.2.2"), AlertState::Resolved), AlertOutcome::Ended);
    nothing_is_cut(&bench);
    let kinds = records(&mut controller);
    let raised = kinds.iter().filter(|kind| *kind == "alert-raised").count();
    assert_eq!(raised, 2, "{kinds:?}");
}

#[test]
fn alerts_that_come_too_far_apart_cut_nothing() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    for uid in [1, 2, 1, 2] {
        assert_eq!(
            fire(&mut controller, uid, "two").unwrap().outcome,
            AlertOutcome::Waiting
        );
        bench.clock.pass(60_000);
    }
    nothing_is_cut(&bench);
}

#[test]
fn only_the_users_that_the_policy_names_raise_and_only_where_it_has_hooks() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    for (uid, policy, code) in [
        (0, "two", Code::Forbidden),
        (4, "two", Code::Forbidden),
        (3, "one", Code::Forbidden),
        (1, "none", Code::Forbidden),
        (1, "no-such", Code::NoSuchPolicy),
        (1, "../x", Code::NoSuchPolicy),
    ] {
        refused(fire(&mut controller, uid, policy), code);
        let resolved = alert(&mut controller, uid, policy, AlertState::Resolved);
        refused(resolved, code);
    }
    let bad = [
        ("reason", "", Some("x")),
        ("reason", "a\nb", None),
        ("incident", "why", Some("")),
    ];
    for (field, reason, incident) in bad {
        let request = AlertRequest {
            policy: "one".to_owned(),
            state: AlertState::Firing,
            reason: reason.to_owned(),
            incident: incident.map(str::to_owned),
            duration_ms: None,
        };
        let answer = ask_as(&mut controller, &source(1), |reply| Command::Alert(request, reply));
        let error = refused(answer, Code::BadRequest);
        assert!(error.detail.contains(field), "{error:?}");
    }
    let long = AlertRequest {
        policy: "one".to_owned(),
        state: AlertState::Firing,
        reason: "why".to_owned(),
        incident: None,
        duration_ms: Some(61 * MINUTE_MS),
    };
    refused(
        ask_as(&mut controller, &source(1), |reply| Command::Alert(long, reply)),
        Code::OverLimit,
    );
    nothing_is_cut(&bench);
    // What is refused is for the server to record, which counts a flood.
    assert_eq!(records(&mut controller), Vec::<String>::new());
}

#[test]
fn of_several_sources_the_shortest_time_counts() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let mut view = None;
    for (uid, minutes) in [(1, Some(20)), (2, Some(10))] {
        let request = AlertRequest {
            policy: "two".to_owned(),
            state: AlertState::Firing,
            reason: "why".to_owned(),
            incident: None,
            duration_ms: minutes.map(|m| m * MINUTE_MS),
        };
        view = ask_as(&mut controller, &source(uid), |reply| Command::Alert(request, reply)).ok();
    }
    assert_eq!(view.unwrap().emergency.unwrap().remaining_ms, 10 * MINUTE_MS);
}

#[test]
fn no_hook_begins_another_for_a_while_whoever_ended_it() {
    type Ends = fn(&Bench, &mut Controller, &str);
    let ways: [(&str, Ends); 3] = [
        ("a person", |_, controller, id| revert(controller, id)),
        ("the deadline", |bench, controller, _| {
            bench.clock.pass(DEFAULT_MS);
            controller.expire();
        }),
        ("the hook itself", |_, controller, _| {
            assert_eq!(resolve(controller, 1, "one").outcome, AlertOutcome::Ended);
        }),
    ];
    for (by, end) in ways {
        let bench = Bench::idle();
        let mut controller = start(&bench);
        let id = fire(&mut controller, 1, "one").unwrap().emergency.unwrap().id;
        end(&bench, &mut controller, &id);
        nothing_is_cut(&bench);
        for uid in [1, 2] {
            refused(fire(&mut controller, uid, "one"), Code::CoolingDown);
        }
        drop(controller);
        let mut next = start(&bench);
        bench.clock.pass(5 * MINUTE_MS - 1);
        refused(fire(&mut next, 2, "one"), Code::CoolingDown);
        nothing_is_cut(&bench);
        // People are not kept from it, and hooks not for longer.
        let declared = declare_as(&mut next, &source(0), "one").unwrap();
        revert(&mut next, &declared.id);
        bench.clock.pass(5 * MINUTE_MS);
        let again = fire(&mut next, 2, "one").unwrap_or_else(|error| panic!("{by}: {error:?}"));
        assert_eq!(again.outcome, AlertOutcome::Holding, "{by}");
    }
}

#[test]
fn what_an_operator_declared_no_alert_holds_or_ends() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let declared = declare_as(&mut controller, &source(0), "one").unwrap();
    let cut = bench.kernel.state();
    let raised = fire(&mut controller, 1, "one").unwrap();
    assert_eq!(raised.outcome, AlertOutcome::LeftToOperators);
    assert_eq!(raised.emergency.unwrap().id, declared.id);
    let resolved = resolve(&mut controller, 1, "one");
    assert_eq!((resolved.outcome, resolved.receipt), (AlertOutcome::Resolved, None));
    assert_eq!(bench.kernel.state(), cut);
    assert_eq!(
        ask_as(&mut controller, &source(0), Command::Emergencies).unwrap().len(),
        1
    );
    revert(&mut controller, &declared.id);
    refused(fire(&mut controller, 1, "one"), Code::CoolingDown);
}

#[test]
fn whoever_confirms_or_extends_takes_it_over_and_no_alert_ends_it_any_more() {
    let extend = |controller: &mut Controller, id: String, by_ms| {
        ask_as(controller, &source(0), |reply| {
            Command::Extend(id, by_ms, Preconditions::default(), reply)
        })
    };
    for by_extending in [true, false] {
        let bench = Bench::idle();
        let mut controller = start(&bench);
        let id = held(&mut controller).id;
        refused(extend(&mut controller, id.clone(), 3 * 60 * MINUTE_MS), Code::OverLimit);
        let taken = if by_extending {
            extend(&mut controller, id.clone(), MINUTE_MS)
        } else {
            ask_as(&mut controller, &source(0), |reply| Command::Confirm(id.clone(), reply))
        };
        assert_eq!(taken.unwrap().held_by, Vec::<String>::new());
        let mut next = {
            drop(controller);
            start(&bench)
        };
        for uid in [1, 2] {
            assert_eq!(resolve(&mut next, uid, "two").outcome, AlertOutcome::Resolved);
            assert_eq!(
                fire(&mut next, uid, "two").unwrap().outcome,
                AlertOutcome::LeftToOperators
            );
        }
        assert_ne!(bench.kernel.state(), bench.baseline);
        let kinds = records(&mut next);
        assert_eq!(
            kinds.iter().filter(|kind| *kind == "taken-over").count(),
            1,
            "{kinds:?}"
        );
        revert(&mut next, &id);
        nothing_is_cut(&bench);
    }
}

#[test]
fn without_a_person_who_confirms_it_ends_by_itself_where_the_policy_says_so() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let view = fire(&mut controller, 1, "unconfirmed").unwrap().emergency.unwrap();
    assert_eq!(view.confirm_within_ms, Some(5 * MINUTE_MS));
    bench.clock.pass(5 * MINUTE_MS);
    controller.expire();
    nothing_is_cut(&bench);
    bench.clock.pass(5 * MINUTE_MS);
    let id = fire(&mut controller, 1, "unconfirmed").unwrap().emergency.unwrap().id;
    let confirmed = ask_as(&mut controller, &source(0), |reply| Command::Confirm(id, reply)).unwrap();
    assert_eq!((confirmed.confirm_within_ms, confirmed.held_by.len()), (None, 0));
    bench.clock.pass(5 * MINUTE_MS);
    controller.expire();
    assert_ne!(bench.kernel.state(), bench.baseline);
}

#[test]
fn a_source_that_goes_on_and_off_is_refused_and_what_it_resolves_is_not() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    for _ in 0..RATE_MAX {
        fire(&mut controller, 1, "two").unwrap();
        assert_eq!(resolve(&mut controller, 1, "two").outcome, AlertOutcome::Resolved);
    }
    refused(fire(&mut controller, 1, "two"), Code::TooOften);
    assert_eq!(records(&mut controller).len(), 2 * RATE_MAX);
    // Others are not kept out, and nobody from ending anything.
    fire(&mut controller, 2, "two").unwrap();
    assert_eq!(fire(&mut controller, 3, "two").unwrap().outcome, AlertOutcome::Holding);
    bench.clock.pass(60_000);
    assert_eq!(fire(&mut controller, 1, "two").unwrap().outcome, AlertOutcome::Holding);
}

#[test]
fn alerts_outlive_the_daemon_and_the_host() {
    let mut bench = Bench::idle();
    let mut first = start(&bench);
    fire(&mut first, 1, "two").unwrap();
    drop(first);
    let mut next = start(&bench);
    let id = fire(&mut next, 2, "two").unwrap().emergency.unwrap().id;
    drop(next);
    let mut after = start(&bench);
    let shown = ask_as(&mut after, &source(0), |reply| Command::Emergency(id.clone(), reply)).unwrap();
    assert_eq!(shown.held_by, ["daemon (uid 1)", "bin (uid 2)"]);
    assert_eq!(resolve(&mut after, 1, "two").outcome, AlertOutcome::Resolved);
    drop(after);
    // The host comes up again, and with it the cut that its policy holds over a reboot.
    bench.clock.reboot(10_000);
    bench.kernel = ModelKernel::new(bench.baseline.clone());
    let mut last = start(&bench);
    assert_ne!(bench.kernel.state(), bench.baseline);
    assert_eq!(resolve(&mut last, 2, "two").outcome, AlertOutcome::Ended);
    nothing_is_cut(&bench);
}

#[test]
fn plan_policy_and_doctor_say_what_hooks_may() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let request = PlanRequest {
        policy: "two".to_owned(),
        duration_ms: None,
        session: None,
    };
    let plan = ask_as(&mut controller, &source(0), |reply| Command::Plan(request, reply)).unwrap();
    let told = "any 2 of bin, daemon, sys within 1m declare it by hooks, with nobody there, and not again for 15m after its end";
    assert!(
        plan.warnings.iter().any(|warning| warning == told),
        "{:?}",
        plan.warnings
    );
    let shown = ask_as(&mut controller, &source(0), |reply| {
        Command::Policy("two".to_owned(), reply)
    })
    .unwrap();
    let hook = shown.summary.hook.unwrap();
    assert_eq!((hook.sources, hook.within_ms, hook.cool_down_ms), (2, 60_000, 900_000));
    let finding = |controller: &mut Controller| {
        let all = ask_as(controller, &source(0), Command::Readiness).unwrap().findings;
        all.into_iter().find(|finding| finding.check == "hooks").unwrap()
    };
    assert_eq!(finding(&mut controller).grade, Grade::Warning, "there is no socket");
    let mut reached = controller.reached_by_hooks(Some(PathBuf::from("/h")));
    let good = finding(&mut reached);
    assert_eq!(good.grade, Grade::Good);
    assert!(good.seen.contains(told), "{good:?}");
}
