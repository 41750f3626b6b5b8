//! Signed orders: who signs declares, approves and ends; whatever is not expressly taken is refused under its own code.

mod refusals;
mod spending;

use super::authority::{ask_as, policies, somebody};
use super::proposing::{ONE_MORE, approve, declare_as, records};
use super::{Arc, Bench, Controller, Unsynced, refused};
use crate::api::error::{ApiError, Code};
use crate::api::order::{NewAct, NewApproval, NewDeclaration, NewOrder, NewRevert, OrderDraft, OrderView, SignedOrder};
use crate::api::{AuditQuery, EmergencyState, EmergencyView, PlanRequest};
use crate::authority::tests::forge::{Kind, Pen};
use crate::daemon::command::{Command, Peer};
use crate::daemon::people::Known;
use crate::store::disk::Disk;

const MINUTE_MS: u64 = super::MINUTE_MS;

/// Who brings orders: a user who counts for nothing in them.
fn carrier() -> Peer {
    somebody(2000, &[])
}

fn alice() -> Pen {
    Pen::new(Kind::Ed25519, 1)
}

/// Has the account `daemon` here (user and group 1 on every Debian).
fn bob() -> Pen {
    Pen::new(Kind::P256, 2)
}

fn carol() -> Pen {
    Pen::new(Kind::SkEd25519, 3)
}

/// Must give the PIN, and may only approve.
fn dave() -> Pen {
    Pen::new(Kind::SkP256, 4)
}

fn known() -> Known {
    let all = "roles = [\"declare\", \"approve\", \"revert\"]\n";
    let person = |name: &str, fields: &str, pen: &Pen, more: &str| {
        format!(
            "[[people]]\nname = \"{name}\"\n{fields}keys = [{{ key = \"{}\"{more} }}]\n",
            pen.line()
        )
    };
    let text = [
        "schema = 1\n".to_owned(),
        person("alice", all, &alice(), ""),
        person("bob", &format!("user = \"daemon\"\n{all}"), &bob(), ""),
        person("carol", all, &carol(), ""),
        person("dave", "roles = [\"approve\"]\n", &dave(), ", pin = true"),
        person(
            "late",
            &format!("{all}valid-until = 2026-01-01T00:00:00Z\n"),
            &Pen::new(Kind::P256, 5),
            "",
        ),
        person(
            "soon",
            &format!("{all}valid-from = 2099-01-01T00:00:00Z\n"),
            &Pen::new(Kind::P256, 6),
            "",
        ),
        person(
            "old-key",
            all,
            &Pen::new(Kind::P256, 7),
            ", valid-until = 2026-01-01T00:00:00Z",
        ),
        person(
            "new-key",
            all,
            &Pen::new(Kind::P256, 8),
            ", valid-from = 2099-01-01T00:00:00Z",
        ),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text.concat()).unwrap();
    Known::load(file.path()).unwrap()
}

/// A controller under the policies `many`, which needs one more, and `open`.
fn start(bench: &Bench) -> Controller {
    start_on(bench, ONE_MORE, Arc::new(Unsynced))
}

fn start_on(bench: &Bench, more: &str, disk: Arc<dyn Disk>) -> Controller {
    bench.start_under(policies("many", more), disk).taking_orders(known())
}

fn draw_up(controller: &mut Controller, act: NewAct) -> Result<OrderDraft, ApiError> {
    let new = NewOrder {
        act,
        valid_for_ms: None,
    };
    ask_as(controller, &carrier(), |reply| Command::NewOrder(new, reply))
}

fn hand_in(controller: &mut Controller, order: &str, signature: String) -> Result<OrderView, ApiError> {
    let signed = SignedOrder {
        order: order.to_owned(),
        signature,
    };
    ask_as(controller, &carrier(), |reply| Command::Order(signed, reply)).flatten()
}

/// Draws an order up, has it signed, and hands it in.
fn order(controller: &mut Controller, act: NewAct, pen: &Pen) -> Result<OrderView, ApiError> {
    let draft = draw_up(controller, act)?;
    hand_in(controller, &draft.order, pen.sign(draft.order.as_bytes()))
}

fn plan(controller: &mut Controller, policy: &str) -> String {
    let request = PlanRequest {
        policy: policy.to_owned(),
        duration_ms: None,
        session: None,
    };
    ask_as(controller, &somebody(0, &[]), |reply| Command::Plan(request, reply))
        .unwrap()
        .digest
}

fn declaration(controller: &mut Controller, policy: &str) -> NewAct {
    NewAct::Declare(NewDeclaration {
        policy: policy.to_owned(),
        occasion: None,
        reason: "a test".to_owned(),
        authority: "the tester".to_owned(),
        duration_ms: Some(10 * MINUTE_MS),
        confirm_within_ms: None,
        plan: plan(controller, policy),
    })
}

fn approval(view: &EmergencyView) -> NewAct {
    NewAct::Approve(NewApproval {
        emergency: view.id.clone(),
        plan: view.plan_digest.clone(),
    })
}

fn end_of(policy: &str) -> NewAct {
    NewAct::Revert(NewRevert::Policy(policy.to_owned()))
}

fn declared(controller: &mut Controller, policy: &str, pen: &Pen) -> EmergencyView {
    let act = declaration(controller, policy);
    order(controller, act, pen).unwrap().emergency.unwrap()
}

fn log(controller: &mut Controller) -> Vec<serde_json::Value> {
    let query = AuditQuery::default();
    let page = ask_as(controller, &carrier(), |reply| Command::Audit(query, reply));
    page.unwrap().records
}

#[test]
fn one_person_declares_another_approves_and_a_third_ends_it_by_orders_alone() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let prepared = draw_up(&mut controller, end_of("many")).unwrap();
    let view = declared(&mut controller, "many", &alice());
    assert_eq!(view.state, EmergencyState::Proposed);
    assert_eq!(view.declared_by, "alice (by signed order)");
    assert_eq!(bench.kernel.state(), bench.baseline);
    refused(order(&mut controller, approval(&view), &alice()), Code::SamePerson);
    let approved = order(&mut controller, approval(&view), &bob()).unwrap();
    let cut = approved.emergency.unwrap();
    assert_eq!(
        (cut.id.as_str(), cut.state),
        (view.id.as_str(), EmergencyState::InForce)
    );
    assert_eq!(cut.approved_by, ["bob (by signed order)"]);
    assert_eq!(cut.remaining_ms, 10 * MINUTE_MS);
    assert_ne!(bench.kernel.state(), bench.baseline);
    let signature = carol().sign(prepared.order.as_bytes());
    let ended = hand_in(&mut controller, &prepared.order, signature.clone()).unwrap();
    assert_eq!((ended.person.as_str(), ended.act.as_str()), ("carol", "revert"));
    assert_eq!(ended.receipts[0].residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    let wanted = [
        "plan-made",
        "order-accepted",
        "proposed",
        "order-accepted",
        "request-refused",
        "order-accepted",
        "approved",
        "declared",
        "in-force",
        "order-accepted",
        "revert-requested",
        "restored",
    ];
    assert_eq!(records(&mut controller), wanted);
    let log = log(&mut controller);
    let of = |event: &str| log.iter().rfind(|record| record["event"] == event).unwrap();
    let accepted = of("order-accepted");
    assert_eq!(accepted["details"]["order"], prepared.order);
    assert_eq!(accepted["details"]["signature"], signature);
    let actor = &of("revert-requested")["actor"]["signatory"];
    assert_eq!(
        (&actor["person"], &actor["order"]),
        (&"carol".into(), &prepared.digest.into())
    );
    assert_eq!(actor["via"]["uid"], 2000);
    assert_eq!(of("approved")["actor"]["signatory"]["account"]["user"], "daemon");
}

#[test]
fn who_signs_is_the_same_person_as_at_the_socket_and_without_an_account_counts_only_beside_others_who_sign() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    // Bob is the user 1 of this host, alice and carol have none.
    let by_bob = declare_as(&mut controller, &somebody(1, &[]), "many").unwrap();
    for pen in [bob(), alice(), carol()] {
        refused(order(&mut controller, approval(&by_bob), &pen), Code::SamePerson);
    }
    let by_another = declare_as(&mut controller, &somebody(1000, &[]), "many").unwrap();
    order(&mut controller, approval(&by_another), &bob()).unwrap();
    order(&mut controller, end_of("many"), &alice()).unwrap();
    let by_alice = declared(&mut controller, "many", &alice());
    for uid in [0, 1, 1000] {
        refused(
            approve(&mut controller, &somebody(uid, &[]), &by_alice),
            Code::SamePerson,
        );
    }
    order(&mut controller, approval(&by_alice), &carol()).unwrap();
    let by_bob = declared(&mut controller, "many", &bob());
    refused(approve(&mut controller, &somebody(1, &[]), &by_bob), Code::SamePerson);
    approve(&mut controller, &somebody(1000, &[]), &by_bob).unwrap();
}

#[test]
fn a_policy_that_names_who_may_names_them_for_orders_too() {
    let bench = Bench::idle();
    let who = "[who]\ndeclare = { groups = [\"daemon\"] }\nrevert = { users = [\"daemon\"] }\n";
    let mut controller = start_on(&bench, who, Arc::new(Unsynced));
    let wanted = declaration(&mut controller, "many");
    refused(order(&mut controller, wanted.clone(), &alice()), Code::Forbidden);
    order(&mut controller, wanted, &bob()).unwrap();
    refused(order(&mut controller, end_of("many"), &alice()), Code::Forbidden);
    order(&mut controller, end_of("many"), &bob()).unwrap();
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
}

#[test]
fn an_order_can_end_one_emergency_or_all_under_a_policy() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let first = declared(&mut controller, "open", &alice());
    declared(&mut controller, "open", &carol());
    let one = NewAct::Revert(NewRevert::Emergency(first.id));
    assert_eq!(order(&mut controller, one, &bob()).unwrap().receipts.len(), 1);
    declared(&mut controller, "open", &carol());
    let all = order(&mut controller, end_of("open"), &bob()).unwrap();
    assert_eq!(all.receipts.len(), 2);
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
}
