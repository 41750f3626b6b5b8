//! Everything for which an order is refused, each under its own code, with nothing changed.

use std::collections::BTreeSet;

use super::*;
use crate::authority::Refusal;
use crate::authority::order::{Act, Order};

/// The reason of a refusal; nothing may have happened.
fn reason(answer: Result<OrderView, ApiError>) -> String {
    let error = refused(answer, Code::OrderRefused);
    let reason = error.reason.clone().unwrap();
    assert!(error.detail.contains(&format!("({reason})")), "{error:?}");
    reason
}

fn changed(draft: &OrderDraft, change: impl FnOnce(&mut Order)) -> String {
    let mut order = Order::read(draft.order.as_bytes()).unwrap();
    change(&mut order);
    String::from_utf8(order.to_bytes().unwrap()).unwrap()
}

type Made = (String, String);

fn signed(order: String, pen: &Pen) -> Made {
    let signature = pen.sign(order.as_bytes());
    (order, signature)
}

/// Each refusal with an order that is wrong in one thing, made of one that would be taken.
fn cases(draft: &OrderDraft) -> Vec<(Refusal, Made)> {
    let good = || draft.order.clone();
    let by = |pen: &Pen| signed(good(), pen);
    let but = |change: &dyn Fn(&mut Order)| signed(changed(draft, |order| change(order)), &alice());
    let flags = |flags, pen: Pen| by(&pen.saying(flags));
    let armour = |change: &dyn Fn(String) -> String| (good(), change(alice().sign(good().as_bytes())));
    let other = crate::model::names::Digest::zero();
    let hours = |order: &mut Order, hours: i64| {
        let by = jiff::SignedDuration::from_hours(hours);
        (order.valid_from, order.valid_until) = (order.valid_from + by, order.valid_until + by);
    };
    vec![
        (Refusal::OrderTooLong, (" ".repeat(9_000), String::new())),
        (Refusal::OrderMalformed, ("{}\n".to_owned(), String::new())),
        (
            Refusal::OrderNotCanonical,
            signed(good().replace(":1}", ":1 }"), &alice()),
        ),
        (
            Refusal::OrderVersion,
            signed(good().replace("\"version\":1", "\"version\":2"), &alice()),
        ),
        (Refusal::SignatureTooLong, (good(), "x".repeat(5_000))),
        (Refusal::SignatureMalformed, (good(), "x".to_owned())),
        (
            Refusal::SignatureNotCanonical,
            armour(&|text| text.replace('\n', "\r\n")),
        ),
        (Refusal::UnknownKey, by(&Pen::new(Kind::Ed25519, 99))),
        (Refusal::NotPresent, flags(0x00, carol())),
        (Refusal::SecurityKeyFlags, flags(0x81, carol())),
        (Refusal::NotVerified, flags(0x01, dave())),
        (Refusal::NoRole, flags(0x05, dave())),
        (Refusal::BadSignature, (good(), alice().sign(b"another"))),
        (Refusal::PersonExpired, by(&Pen::new(Kind::P256, 5))),
        (Refusal::PersonNotYet, by(&Pen::new(Kind::P256, 6))),
        (Refusal::KeyExpired, by(&Pen::new(Kind::P256, 7))),
        (Refusal::KeyNotYet, by(&Pen::new(Kind::P256, 8))),
        (Refusal::WrongHost, but(&|order| order.host = other)),
        (Refusal::WrongBoot, but(&|order| order.boot = Some("boot-0".to_owned()))),
        (Refusal::WrongBoot, but(&|order| order.boot = None)),
        (Refusal::BadWindow, but(&|order| order.valid_until = order.valid_from)),
        (
            Refusal::BadWindow,
            but(&|order| order.valid_until += jiff::SignedDuration::from_hours(1)),
        ),
        (Refusal::NotYet, but(&|order| hours(order, 1))),
        (Refusal::Expired, but(&|order| hours(order, -1))),
        (Refusal::UnknownChallenge, but(&|order| order.challenge = other)),
        (Refusal::WrongHead, but(&|order| order.head.sequence += 1)),
        (Refusal::WrongHead, but(&|order| order.head.hash = other)),
        (
            Refusal::PolicyChanged,
            but(&|order| match &mut order.act {
                Act::Declare(act) => act.policy_digest = other,
                Act::Approve(_) | Act::Revert(_) => panic!("it is a declaration"),
            }),
        ),
    ]
}

/// Refused elsewhere: in `spending`, and what only the bytes of a signature can be wrong in, with those.
const ELSEWHERE: [Refusal; 9] = [
    Refusal::NobodyKnown,
    Refusal::HostUnknown,
    Refusal::SignatureVersion,
    Refusal::SignatureReserved,
    Refusal::SignatureAlgorithm,
    Refusal::WrongNamespace,
    Refusal::Spent,
    Refusal::Void,
    Refusal::ListFull,
];

#[test]
fn whatever_is_wrong_with_an_order_is_refused_under_its_code_and_spends_nothing() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let act = declaration(&mut controller, "open");
    let draft = draw_up(&mut controller, act).unwrap();
    let mut seen: BTreeSet<Refusal> = ELSEWHERE.into();
    let cases = cases(&draft);
    for (wanted, (order, signature)) in cases {
        assert_eq!(
            reason(hand_in(&mut controller, &order, signature)),
            wanted.code(),
            "{order}"
        );
        seen.insert(wanted);
    }
    assert_eq!(seen.len(), Refusal::ALL.len(), "a refusal has no case: {seen:?}");
    assert_eq!(bench.kernel.state(), bench.baseline);
    // The server records them: see its tests.
    assert!(!records(&mut controller).contains(&"order-accepted".to_owned()));
    // Nothing of that has spent the order itself.
    hand_in(&mut controller, &draft.order, alice().sign(draft.order.as_bytes())).unwrap();
}

#[test]
fn without_people_nobody_orders_anything() {
    let bench = Bench::idle();
    let mut controller = super::super::authority::controller(&bench, "many", ONE_MORE);
    assert_eq!(reason(hand_in(&mut controller, "{}\n", String::new())), "nobody-known");
    let error = refused(draw_up(&mut controller, end_of("open")), Code::OrderRefused);
    assert_eq!(error.reason.as_deref(), Some("nobody-known"));
}

#[test]
fn a_host_that_does_not_know_its_number_takes_no_order() {
    let bench = Bench::idle();
    drop(start(&bench));
    std::fs::write(bench.state().join("host.json"), "nothing").unwrap();
    let mut controller = start(&bench);
    assert_eq!(reason(hand_in(&mut controller, "{}\n", String::new())), "host-unknown");
    assert!(records(&mut controller).contains(&"state-damaged".to_owned()));
}

#[test]
fn an_order_under_another_policy_than_was_signed_for_is_refused_after_a_reload() {
    let bench = Bench::idle();
    let mut first = start(&bench);
    let view = declared(&mut first, "many", &alice());
    drop(first);
    // The proposal is of the old policy: its digest is what would be signed.
    let mut second = start_on(
        &bench,
        "[approval]\npeople = 1\nexpires = \"16m\"\n",
        Arc::new(Unsynced),
    );
    let draft = draw_up(&mut second, approval(&view)).unwrap();
    let signature = bob().sign(draft.order.as_bytes());
    assert_eq!(reason(hand_in(&mut second, &draft.order, signature)), "policy-changed");
    assert_eq!(bench.kernel.state(), bench.baseline);
}

#[test]
fn an_order_over_another_plan_cuts_nothing() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let mut act = declaration(&mut controller, "open");
    if let NewAct::Declare(new) = &mut act {
        new.plan = crate::model::names::Digest::zero().to_string();
    }
    refused(order(&mut controller, act, &alice()), Code::PlanChanged);
    assert_eq!(bench.kernel.state(), bench.baseline);
}

#[test]
fn what_cannot_be_ordered_is_not_drawn_up() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let view = declared(&mut controller, "many", &alice());
    let good = declaration(&mut controller, "open");
    let but = |change: &dyn Fn(&mut NewDeclaration)| match good.clone() {
        NewAct::Declare(mut new) => {
            change(&mut new);
            NewAct::Declare(new)
        }
        NewAct::Approve(_) | NewAct::Revert(_) => panic!("it is a declaration"),
    };
    let another = NewApproval {
        emergency: view.id.clone(),
        plan: "0000".to_owned(),
    };
    for (act, code) in [
        (but(&|new| new.policy = "none".to_owned()), Code::NoSuchPolicy),
        (but(&|new| new.plan = "none".to_owned()), Code::BadRequest),
        (but(&|new| new.reason = String::new()), Code::BadRequest),
        (
            but(&|new| new.duration_ms = Some(100 * 60 * MINUTE_MS)),
            Code::OverLimit,
        ),
        (
            but(&|new| new.occasion = Some("maintenance".to_owned())),
            Code::WrongOccasion,
        ),
        (NewAct::Approve(another), Code::PlanChanged),
        (end_of("none"), Code::NoSuchPolicy),
        (NewAct::Revert(NewRevert::Emergency(view.id.clone())), Code::WrongState),
        (
            NewAct::Revert(NewRevert::Emergency("none".to_owned())),
            Code::NoSuchEmergency,
        ),
    ] {
        refused(draw_up(&mut controller, act.clone()), code);
    }
    for (valid_for_ms, wanted) in [
        (999, Some(Code::BadRequest)),
        (3_600_000, None),
        (3_600_001, Some(Code::OverLimit)),
    ] {
        let new = NewOrder {
            act: good.clone(),
            valid_for_ms: Some(valid_for_ms),
        };
        let drawn = ask_as(&mut controller, &carrier(), |reply| Command::NewOrder(new, reply));
        assert_eq!(drawn.err().map(|error| error.code), wanted, "{valid_for_ms}");
    }
}
