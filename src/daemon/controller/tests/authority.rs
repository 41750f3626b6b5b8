//! What a policy leaves to some of those who hold the right.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Bench, Controller, Unsynced, policy, refused, request};
use crate::api::error::{ApiError, Code};
use crate::api::{EmergencyView, PlanRequest, PlanView, RevertRequest};
use crate::daemon::command::{Call, Command, Peer, Preconditions, Reply};
use crate::daemon::peer::Identity;
use crate::daemon::policies::Policies;

const METHODS: &str = "\"gate\", \"seal\"";
/// What every Debian has: group 37 is `operator`, user 1 is `daemon`.
const WHO: &str = "[who]\ndeclare = { groups = [\"operator\"] }\nrevert = { users = [\"daemon\"] }\n";

/// A policy with more at its end, and one that is open to everybody.
pub(super) fn policies(name: &str, more: &str) -> Policies {
    Policies::default()
        .with(Path::new("n"), policy(name, METHODS, "closed", "closed") + more)
        .and_then(|p| p.with(Path::new("o"), policy("open", METHODS, "closed", "closed")))
        .unwrap()
}

/// A controller under these.
pub(super) fn controller(bench: &Bench, name: &str, more: &str) -> Controller {
    bench.start_under(policies(name, more), Arc::new(Unsynced))
}

pub(super) fn somebody(uid: u32, groups: &[u32]) -> Peer {
    let mut peer = Peer::new(uid, uid, None);
    peer.process.groups = groups.to_vec();
    peer.process.identity = Identity::Pidfd;
    peer
}

pub(super) fn ask_as<T>(
    controller: &mut Controller,
    peer: &Peer,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<T, ApiError> {
    let (reply, mut answer) = oneshot::channel();
    controller.answer(Call {
        peer: peer.clone(),
        command: command(reply),
    });
    let Ok(answer) = answer.try_recv() else {
        panic!("the controller answers before it returns");
    };
    answer
}

fn plan(controller: &mut Controller, peer: &Peer, policy: &str) -> Result<PlanView, ApiError> {
    let request = PlanRequest {
        policy: policy.to_owned(),
        duration_ms: None,
        session: None,
    };
    ask_as(controller, peer, |reply| Command::Plan(request, reply))
}

fn declare(controller: &mut Controller, peer: &Peer, policy: &str) -> Result<EmergencyView, ApiError> {
    let request = request(policy);
    ask_as(controller, peer, |reply| {
        Command::Declare(request, Preconditions::default(), reply)
    })
}

#[test]
fn a_policy_leaves_declaring_and_ending_to_those_it_names() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "narrow", WHO);
    let (operator, ender, other) = (somebody(1000, &[4, 37]), somebody(1, &[]), somebody(1001, &[4]));
    for stranger in [&ender, &other] {
        refused(plan(&mut controller, stranger, "narrow"), Code::Forbidden);
        refused(declare(&mut controller, stranger, "narrow"), Code::Forbidden);
    }
    assert_eq!(bench.kernel.state(), bench.baseline);
    plan(&mut controller, &operator, "narrow").unwrap();
    let id = declare(&mut controller, &operator, "narrow").unwrap().id;
    for stranger in [&ender, &other] {
        let extend = |reply| Command::Extend(id.clone(), 1, Preconditions::default(), reply);
        refused(ask_as(&mut controller, stranger, extend), Code::Forbidden);
        let confirm = |reply| Command::Confirm(id.clone(), reply);
        refused(ask_as(&mut controller, stranger, confirm), Code::Forbidden);
    }
    for stranger in [&operator, &other] {
        let revert = |reply| Command::Revert(id.clone(), RevertRequest::default(), reply);
        refused(ask_as(&mut controller, stranger, revert), Code::Forbidden);
    }
    let receipt = ask_as(&mut controller, &ender, |reply| {
        Command::Revert(id.clone(), RevertRequest::default(), reply)
    })
    .unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    let id = declare(&mut controller, &other, "open").unwrap().id;
    ask_as(&mut controller, &operator, |reply| {
        Command::Revert(id, RevertRequest::default(), reply)
    })
    .unwrap();
}

#[test]
fn root_is_never_left_out_and_every_refusal_is_recorded() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "narrow", WHO);
    let other = somebody(1001, &[4]);
    refused(declare(&mut controller, &other, "narrow"), Code::Forbidden);
    let id = declare(&mut controller, &somebody(0, &[]), "narrow").unwrap().id;
    ask_as(&mut controller, &somebody(0, &[]), |reply| {
        Command::Revert(id, RevertRequest::default(), reply)
    })
    .unwrap();
    let query = crate::api::AuditQuery {
        kind: Some("request-refused".to_owned()),
        ..crate::api::AuditQuery::default()
    };
    let page = ask_as(&mut controller, &other, |reply| Command::Audit(query, reply)).unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(page.records[0]["details"]["code"], "forbidden");
    assert_eq!(page.records[0]["actor"]["peer"]["uid"], 1001);
}
