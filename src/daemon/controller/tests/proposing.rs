//! Two people and three: what is proposed cuts only with the last approval, over the plan that was shown.

use nix::errno::Errno;

use super::authority::{ask_as, controller, policies, somebody};
use super::{Arc, Bench, Controller, DEFAULT_MS, MINUTE_MS, Unsynced, refused, request};
use crate::api::error::{ApiError, Code};
use crate::api::{AuditQuery, EmergencyState, EmergencyView, HostState, RevertRequest};
use crate::daemon::command::{Command, Peer, Preconditions};
use crate::daemon::policies::Policies;
use crate::model::change::Change;
use crate::model::fixture::via;
use crate::model::snapshot::Object;
use crate::store::disk::{AfterFault, FaultyDisk};

pub(super) const ONE_MORE: &str = "[approval]\npeople = 1\n";
const TWO_MORE: &str = "[approval]\npeople = 2\nexpires = \"30m\"\n";

fn alice() -> Peer {
    somebody(1000, &[])
}

fn bob() -> Peer {
    somebody(1001, &[])
}

fn carol() -> Peer {
    somebody(1002, &[])
}

pub(super) fn declare_as(controller: &mut Controller, peer: &Peer, policy: &str) -> Result<EmergencyView, ApiError> {
    let request = request(policy);
    ask_as(controller, peer, |reply| {
        Command::Declare(request, Preconditions::default(), reply)
    })
}

pub(super) fn approve(
    controller: &mut Controller,
    peer: &Peer,
    view: &EmergencyView,
) -> Result<EmergencyView, ApiError> {
    approve_plan(controller, peer, &view.id, &view.plan_digest)
}

fn approve_plan(controller: &mut Controller, peer: &Peer, id: &str, plan: &str) -> Result<EmergencyView, ApiError> {
    let (id, plan) = (id.to_owned(), plan.to_owned());
    ask_as(controller, peer, |reply| Command::Approve(id, plan, reply))
}

fn reject(controller: &mut Controller, peer: &Peer, id: &str) -> Result<EmergencyView, ApiError> {
    let id = id.to_owned();
    ask_as(controller, peer, |reply| {
        Command::Reject(id, "not now".to_owned(), reply)
    })
}

/// The kinds of the records of one emergency, and of refusals, oldest first.
pub(super) fn records(controller: &mut Controller) -> Vec<String> {
    let page = ask_as(controller, &alice(), |reply| {
        Command::Audit(AuditQuery::default(), reply)
    })
    .unwrap();
    let kinds = page.records.iter().map(|r| r["event"].as_str().unwrap().to_owned());
    kinds
        .filter(|kind| kind != "sealed" && kind != "daemon-started")
        .collect()
}

fn state(controller: &mut Controller) -> HostState {
    ask_as(controller, &alice(), Command::Status).unwrap().state
}

#[test]
fn nothing_is_cut_before_the_last_approval_and_every_step_has_its_record() {
    for (more, approvers) in [(ONE_MORE, vec![bob()]), (TWO_MORE, vec![bob(), carol()])] {
        let bench = Bench::idle();
        let mut controller = controller(&bench, "many", more);
        let mut view = declare_as(&mut controller, &alice(), "many").unwrap();
        let mut wanted = vec!["proposed".to_owned()];
        for approver in &approvers {
            assert_eq!(view.state, EmergencyState::Proposed);
            assert_eq!(state(&mut controller), HostState::Proposed);
            assert_eq!(bench.kernel.state(), bench.baseline);
            assert!(!bench.holds("journal.json"), "a proposal is in no journal");
            view = approve(&mut controller, approver, &view).unwrap();
            wanted.push("approved".to_owned());
        }
        assert_eq!(view.state, EmergencyState::InForce);
        assert_eq!(view.approved_by.len(), approvers.len());
        assert_eq!(view.remaining_ms, DEFAULT_MS, "its time begins with the cut");
        assert_ne!(bench.kernel.state(), bench.baseline);
        assert!(!bench.holds("proposals.json"));
        let id = view.id.clone();
        refused(approve(&mut controller, &somebody(1003, &[]), &view), Code::WrongState);
        let receipt = ask_as(&mut controller, &carol(), |reply| {
            Command::Revert(id, RevertRequest::default(), reply)
        })
        .unwrap();
        assert_eq!(receipt.residues, Vec::<String>::new(), "one person ends it");
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
        let rest = [
            "declared",
            "in-force",
            "request-refused",
            "revert-requested",
            "restored",
        ];
        wanted.extend(rest.map(str::to_owned));
        assert_eq!(records(&mut controller), wanted);
    }
}

#[test]
fn whoever_is_gone_before_it_is_known_who_logged_in_neither_declares_for_two_nor_approves() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "many", ONE_MORE);
    let gone = Peer::new(1001, 1001, Some(7));
    refused(declare_as(&mut controller, &gone, "many"), Code::SamePerson);
    let view = declare_as(&mut controller, &alice(), "many").unwrap();
    refused(approve(&mut controller, &gone, &view), Code::SamePerson);
    assert_eq!(bench.kernel.state(), bench.baseline);
    approve(&mut controller, &bob(), &view).unwrap();
}

#[test]
fn who_declared_and_who_approved_already_are_refused_however_they_come() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "many", TWO_MORE);
    let as_root = |login: u32| {
        let mut peer = somebody(0, &[]);
        peer.process.login_uid = Some(login);
        peer
    };
    let view = declare_as(&mut controller, &as_root(1000), "many").unwrap();
    // The same root, root as another, and who became root.
    for same in [as_root(1000), as_root(1001), somebody(0, &[]), alice()] {
        refused(approve(&mut controller, &same, &view), Code::SamePerson);
    }
    approve(&mut controller, &bob(), &view).unwrap();
    let mut bob_again = somebody(1005, &[]);
    bob_again.process.login_uid = Some(1001);
    for same in [bob(), bob_again] {
        refused(approve(&mut controller, &same, &view), Code::SamePerson);
    }
    assert_eq!(bench.kernel.state(), bench.baseline);
    assert_eq!(
        approve(&mut controller, &carol(), &view).unwrap().state,
        EmergencyState::InForce
    );
}

#[test]
fn a_policy_says_who_may_approve() {
    let bench = Bench::idle();
    let who = format!("{ONE_MORE}[who]\napprove = {{ groups = [\"operator\"] }}\n");
    let mut controller = controller(&bench, "many", &who);
    let view = declare_as(&mut controller, &alice(), "many").unwrap();
    refused(approve(&mut controller, &bob(), &view), Code::Forbidden);
    refused(reject(&mut controller, &bob(), &view.id), Code::Forbidden);
    assert_eq!(bench.kernel.state(), bench.baseline);
    approve(&mut controller, &somebody(1001, &[37]), &view).unwrap();
}

#[test]
fn another_plan_than_the_one_that_was_shown_is_not_cut_and_the_proposal_waits_on() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "many", ONE_MORE);
    let view = declare_as(&mut controller, &alice(), "many").unwrap();
    let other = "0".repeat(view.plan_digest.len());
    refused(
        approve_plan(&mut controller, &bob(), &view.id, &other),
        Code::PlanChanged,
    );
    // A new next hop, which the plan must let resolve.
    let route = Change::Add(Object::Route(via("192.0.2.0/24", "10.0.0.9", 2)));
    assert!(bench.kernel.act(&[route])[0].is_ok());
    let before = bench.kernel.state();
    let error = refused(approve(&mut controller, &bob(), &view), Code::PlanChanged);
    assert!(error.detail.contains("still waits"), "{error:?}");
    assert_eq!(bench.kernel.state(), before);
    let remove = Change::Delete(Object::Route(via("192.0.2.0/24", "10.0.0.9", 2)));
    assert!(bench.kernel.act(&[remove])[0].is_ok());
    assert_eq!(
        approve(&mut controller, &bob(), &view).unwrap().state,
        EmergencyState::InForce
    );
}

#[test]
fn a_proposal_is_over_after_its_time_by_the_boot_clock_or_by_one_rejection() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "many", ONE_MORE);
    let late = declare_as(&mut controller, &alice(), "many").unwrap();
    bench.clock.jump(-40 * 60_000);
    bench.clock.pass(15 * MINUTE_MS - 1);
    controller.expire_proposals();
    assert_eq!(state(&mut controller), HostState::Proposed);
    bench.clock.pass(1);
    refused(approve(&mut controller, &bob(), &late), Code::WrongState);
    controller.expire_proposals();
    refused(approve(&mut controller, &bob(), &late), Code::NoSuchEmergency);
    let unwanted = declare_as(&mut controller, &alice(), "many").unwrap();
    let id = unwanted.id.clone();
    refused(
        ask_as(&mut controller, &alice(), |reply| {
            Command::Revert(id, RevertRequest::default(), reply)
        }),
        Code::WrongState,
    );
    assert_eq!(
        reject(&mut controller, &alice(), &unwanted.id).unwrap().state,
        EmergencyState::Ended
    );
    refused(approve(&mut controller, &bob(), &unwanted), Code::NoSuchEmergency);
    assert_eq!(state(&mut controller), HostState::Clear);
    assert_eq!(bench.kernel.state(), bench.baseline);
    let kinds = records(&mut controller);
    let wanted = [
        "proposed",
        "request-refused",
        "proposal-expired",
        "request-refused",
        "proposed",
        "request-refused",
        "rejected",
        "request-refused",
    ];
    assert_eq!(kinds, wanted);
}

#[test]
fn a_proposal_outlives_the_daemon_with_its_approvals_and_never_cuts_by_itself() {
    let bench = Bench::idle();
    let mut first = controller(&bench, "many", TWO_MORE);
    let view = declare_as(&mut first, &alice(), "many").unwrap();
    approve(&mut first, &bob(), &view).unwrap();
    drop(first);
    let mut second = controller(&bench, "many", TWO_MORE);
    assert_eq!(bench.kernel.state(), bench.baseline);
    refused(approve(&mut second, &bob(), &view), Code::SamePerson);
    assert_eq!(
        approve(&mut second, &carol(), &view).unwrap().state,
        EmergencyState::InForce
    );
    drop(second);
    // In force it is no proposal any more, and is taken up as any emergency.
    let mut third = controller(&bench, "many", TWO_MORE);
    assert_eq!(state(&mut third), HostState::InForce);
    refused(approve(&mut third, &somebody(1003, &[]), &view), Code::WrongState);
    let id = view.id;
    ask_as(&mut third, &alice(), |reply| {
        Command::Revert(id, RevertRequest::default(), reply)
    })
    .unwrap();
    drop(third);
    let mut fourth = controller(&bench, "many", TWO_MORE);
    assert_eq!(state(&mut fourth), HostState::Clear);
}

#[test]
fn under_another_policy_than_the_one_proposed_nobody_approves_anything() {
    let bench = Bench::idle();
    let mut first = controller(&bench, "many", ONE_MORE);
    let view = declare_as(&mut first, &alice(), "many").unwrap();
    drop(first);
    let mut second = controller(&bench, "many", "[approval]\npeople = 1\nexpires = \"16m\"\n");
    refused(approve(&mut second, &bob(), &view), Code::PlanChanged);
    drop(second);
    let mut third = bench.start_under(Policies::default(), Arc::new(Unsynced));
    refused(approve(&mut third, &bob(), &view), Code::NoSuchPolicy);
    reject(&mut third, &bob(), &view.id).unwrap();
    assert_eq!(bench.kernel.state(), bench.baseline);
}

#[test]
fn whichever_call_of_the_disk_fails_an_approval_cuts_with_its_records_or_leaves_the_proposal() {
    let whole = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
    let approve_on = |disk: Arc<FaultyDisk>| {
        let bench = Bench::idle();
        let mut first = controller(&bench, "many", ONE_MORE);
        let view = declare_as(&mut first, &alice(), "many").unwrap();
        drop(first);
        let mut controller = bench.start_under(policies("many", ONE_MORE), disk.clone());
        let before = disk.calls();
        let approved = approve(&mut controller, &bob(), &view);
        (bench, controller, view, approved, before)
    };
    let (.., started) = approve_on(whole.clone());
    let mut refusals = 0;
    for at in started + 1..=whole.calls() {
        let disk = Arc::new(FaultyDisk::new(at, Errno::ENOSPC, AfterFault::Heals));
        let (bench, mut controller, view, approved, _) = approve_on(disk);
        match approved {
            Ok(view) => assert_eq!(view.state, EmergencyState::InForce, "call {at}"),
            Err(error) => {
                refusals += 1;
                assert!(
                    matches!(error.code, Code::NoRecord | Code::NoJournal),
                    "call {at}: {error:?}"
                );
                assert_eq!(bench.kernel.state(), bench.baseline, "call {at}");
                assert_eq!(state(&mut controller), HostState::Proposed, "call {at}");
                let again = approve(&mut controller, &bob(), &view);
                assert_eq!(again.unwrap().state, EmergencyState::InForce, "call {at}");
            }
        }
        let declared = records(&mut controller)
            .iter()
            .filter(|kind| *kind == "declared")
            .count();
        assert!((1..=2).contains(&declared), "call {at}: {declared}");
    }
    assert!(refusals > 10, "only {refusals} faults came before the cut");
}

#[test]
fn proposals_that_wait_are_bounded() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "many", ONE_MORE);
    for _ in 0..16 {
        declare_as(&mut controller, &alice(), "many").unwrap();
    }
    refused(declare_as(&mut controller, &alice(), "many"), Code::Busy);
    let open = declare_as(&mut controller, &alice(), "open").unwrap();
    assert_eq!(open.state, EmergencyState::InForce, "what needs nobody is not held up");
}
