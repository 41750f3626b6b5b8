//! Decisions and records, one to one and in order; nothing done twice; several at once.

use super::{Bench, DEFAULT_MS, METHODS, MINUTE_MS, ask, refused, request};
use crate::api::error::Code;
use crate::api::{AuditQuery, EmergencyState, HostState};
use crate::daemon::command::{Command, Preconditions};
use crate::model::change::Change;
use crate::model::snapshot::Object;

#[test]
fn the_whole_life_of_an_emergency_has_one_record_for_each_decision_in_order() {
    for policy in METHODS {
        let mut bench = Bench::start();
        let plan = bench.plan(policy).unwrap();
        assert_eq!(bench.kernel.asked(), 0, "a plan changes nothing");
        let mut declaration = request(policy);
        declaration.confirm_within_ms = Some(MINUTE_MS);
        let preconditions = Preconditions {
            plan_digest: Some(plan.digest.clone()),
            ..Preconditions::default()
        };
        let declared = bench
            .ask(|reply| Command::Declare(declaration, preconditions, reply))
            .unwrap();
        assert_eq!(declared.state, EmergencyState::InForce);
        assert_eq!(declared.plan_digest, plan.digest);
        assert_eq!(declared.confirm_within_ms, Some(MINUTE_MS));
        assert_eq!(bench.status().state, HostState::InForce);
        assert_eq!(bench.status().open_paths, Vec::<String>::new());
        assert_eq!(bench.confirm(&declared.id).unwrap().confirm_within_ms, None);
        assert_eq!(
            bench.confirm(&declared.id).unwrap().confirm_within_ms,
            None,
            "already so"
        );
        let extended = bench.extend(&declared.id, 5 * MINUTE_MS).unwrap();
        assert_eq!(extended.remaining_ms, DEFAULT_MS + 5 * MINUTE_MS);
        refused(bench.extend(&declared.id, 120 * MINUTE_MS), Code::OverLimit);
        let receipt = bench.revert(&declared.id).unwrap();
        assert_eq!((receipt.state, &receipt.residues), (EmergencyState::Ended, &Vec::new()));
        assert_eq!(receipt.restored_digest, Some(receipt.baseline_digest.clone()));
        assert_eq!(
            bench.revert(&declared.id).unwrap(),
            receipt,
            "reverting twice gives the receipt again"
        );
        let ended = refused(bench.confirm(&declared.id), Code::WrongState);
        assert!(ended.detail.contains("has ended"), "{ended:?}");
        refused(bench.extend(&declared.id, MINUTE_MS), Code::WrongState);
        let expected = [
            "daemon-started",
            "plan-made",
            "declared",
            "in-force",
            "confirmed",
            "extended",
            "request-refused",
            "revert-requested",
            "restored",
            "request-refused",
            "request-refused",
        ];
        assert_eq!(bench.records(), expected, "{policy}");
        bench.assert_ended(policy);
    }
}

#[test]
fn every_refusal_is_recorded_once_and_changes_nothing() {
    let mut bench = Bench::start();
    let mut expected = vec!["daemon-started".to_owned()];
    let declare = |bench: &mut Bench, edit: &dyn Fn(&mut crate::api::DeclareRequest)| {
        let mut declaration = request("isolate");
        edit(&mut declaration);
        ask(bench.controller(), |reply| {
            Command::Declare(declaration, Preconditions::default(), reply)
        })
    };
    refused(
        declare(&mut bench, &|r| r.policy = "nothing".to_owned()),
        Code::NoSuchPolicy,
    );
    refused(
        declare(&mut bench, &|r| r.policy = "\u{1b}[2J".to_owned()),
        Code::NoSuchPolicy,
    );
    refused(declare(&mut bench, &|r| r.reason = " ".to_owned()), Code::BadRequest);
    refused(declare(&mut bench, &|r| r.reason = "a\nb".to_owned()), Code::BadRequest);
    refused(declare(&mut bench, &|r| r.reason = "a".repeat(501)), Code::BadRequest);
    refused(declare(&mut bench, &|r| r.authority = String::new()), Code::BadRequest);
    refused(declare(&mut bench, &|r| r.duration_ms = Some(0)), Code::BadRequest);
    refused(
        declare(&mut bench, &|r| r.duration_ms = Some(u64::MAX)),
        Code::OverLimit,
    );
    refused(
        declare(&mut bench, &|r| r.occasion = Some("maintenance".to_owned())),
        Code::WrongOccasion,
    );
    refused(bench.confirm("no id"), Code::NoSuchEmergency);
    refused(bench.extend(&uuid::Uuid::nil().to_string(), 1), Code::NoSuchEmergency);
    refused(bench.revert("\u{1b}"), Code::NoSuchEmergency);
    expected.resize(13, "request-refused".to_owned());
    assert_eq!(bench.records(), expected);
    assert_eq!(bench.kernel.asked(), 0);
    bench.assert_ended("after refusals");
}

#[test]
fn another_plan_than_the_one_that_was_seen_is_refused() {
    let mut bench = Bench::start();
    let preconditions = Preconditions {
        plan_digest: Some("sha256:of-another-plan".to_owned()),
        ..Preconditions::default()
    };
    let declared = bench.ask(|reply| Command::Declare(request("isolate"), preconditions, reply));
    refused(declared, Code::PlanChanged);
    assert_eq!(bench.kernel.asked(), 0);
}

#[test]
fn the_same_key_declares_and_extends_once() {
    let mut bench = Bench::start();
    let key = |word: &str| Preconditions {
        idempotency_key: Some(word.to_owned()),
        ..Preconditions::default()
    };
    let first = bench
        .ask(|r| Command::Declare(request("isolate"), key("a"), r))
        .unwrap();
    let asked = bench.kernel.asked();
    let again = bench
        .ask(|r| Command::Declare(request("isolate"), key("a"), r))
        .unwrap();
    assert_eq!((&again.id, bench.kernel.asked()), (&first.id, asked));
    assert_eq!(bench.status().emergencies.len(), 1);
    refused(
        bench.ask(|r| Command::Declare(request("unplug"), key("a"), r)),
        Code::KeyReused,
    );
    for _ in 0..3 {
        let extended = bench
            .ask(|r| Command::Extend(first.id.clone(), MINUTE_MS, key("b"), r))
            .unwrap();
        assert_eq!(extended.remaining_ms, DEFAULT_MS + MINUTE_MS);
    }
    refused(
        bench.ask(|r| Command::Extend(first.id.clone(), 2 * MINUTE_MS, key("b"), r)),
        Code::KeyReused,
    );
    bench.revert(&first.id).unwrap();
    let after = bench
        .ask(|r| Command::Declare(request("isolate"), key("a"), r))
        .unwrap();
    assert_eq!(
        (after.id, after.state),
        (first.id, EmergencyState::Ended),
        "the first answer, not a second cut"
    );
    bench.assert_ended("idempotency");
}

#[test]
fn two_emergencies_overlap_and_each_ends_alone_in_either_order() {
    for [first, second] in [
        ["bare", "unplug"],
        ["unplug", "bare"],
        ["bare", "unroute"],
        ["unroute", "bare"],
        ["unroute", "unplug"],
        ["unplug", "unroute"],
        ["isolate", "isolate"],
    ] {
        for ends_first in [0, 1] {
            let context = format!("{first}, then {second}; number {ends_first} ends first");
            let mut bench = Bench::start();
            let declared = [first, second].map(|policy| {
                let answer = bench.declare(policy);
                answer.unwrap_or_else(|e| panic!("{context}: {policy}: {e:?}"))
            });
            assert_eq!(
                bench.status().state,
                HostState::InForce,
                "{context}: {:?}",
                bench.status()
            );
            let receipt = bench.revert(&declared[ends_first].id).unwrap();
            assert_eq!(receipt.residues, Vec::<String>::new(), "{context}");
            let status = bench.status();
            assert_eq!(
                (status.state, status.emergencies.len()),
                (HostState::InForce, 1),
                "{context}: {status:?}"
            );
            assert_ne!(bench.kernel.state(), bench.baseline, "{context}");
            let receipt = bench.revert(&declared[1 - ends_first].id).unwrap();
            assert_eq!(receipt.residues, Vec::<String>::new(), "{context}");
            bench.assert_ended(&context);
        }
    }
}

#[test]
fn the_records_of_an_emergency_are_found_by_the_beginning_of_its_id() {
    let mut bench = Bench::start();
    let id = bench.declare("isolate").unwrap().id;
    let of = |bench: &mut Bench, begins: &str| {
        let query = AuditQuery {
            emergency: Some(begins.to_owned()),
            ..AuditQuery::default()
        };
        let page = bench.ask(|reply| Command::Audit(query, reply));
        page.map(|page| page.records.len())
    };
    let whole = of(&mut bench, &id).unwrap();
    assert!(whole >= 2);
    assert_eq!(of(&mut bench, &id[..8]), Ok(whole));
    assert_eq!(of(&mut bench, &id[..13].to_uppercase()), Ok(whole));
    assert_eq!(of(&mut bench, "00000000"), Ok(0));
    for wrong in [&id[..7], "isolate-", ""] {
        refused(of(&mut bench, wrong), Code::BadRequest);
    }
}

#[test]
fn status_names_the_links_as_they_are_called_now_and_says_which_are_gone() {
    let mut bench = Bench::start();
    bench.declare("bare").unwrap();
    let links = |bench: &mut Bench| bench.status().emergencies.remove(0).links;
    assert_eq!(links(&mut bench), ["ab0"]);
    let link = bench.kernel.state().link(2).unwrap().clone();
    assert!(bench.kernel.act(&[Change::Delete(Object::Link(link))])[0].is_ok());
    assert_eq!(links(&mut bench), ["ab0 (gone)"]);
}
