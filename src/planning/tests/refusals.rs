//! What is refused, with its code, before anything is touched.

use std::collections::BTreeMap;

use super::hosts::{
    SSH, THROUGH, UPLINK, WHOLE, WITHDRAW_DEFAULT, ZONES, additive, cut, foreign_rule, gateway,
    gateway_with_foreign_filter, policy,
};
use crate::model::fixture::name;
use crate::model::object::{Family, Link, RuleAction};
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::planning::{Refusal, plan};

fn refused(policy: &Policy, host: &Snapshot) -> Refusal {
    plan(policy, host, host, &[], &BTreeMap::new()).unwrap_err()
}

fn with_rule(family: Family, preference: u32, action: RuleAction) -> Snapshot {
    let mut host = gateway();
    host.rules.push(foreign_rule(family, preference, action));
    host.sort();
    host
}

fn directions(scope: &str, only: &str) -> String {
    scope.replace("\"in\", \"out\", \"forward\"", only)
}

#[test]
fn every_obstacle_has_its_code() {
    let gate = "use = [\"gate\"]";
    let seal = "use = [\"seal\"]";
    let ingress_only = {
        let mut host = gateway_with_foreign_filter(1);
        host.qdiscs[0].kind = "ingress".to_owned();
        host
    };
    let foreign_block = {
        let mut host = gateway_with_foreign_filter(1);
        host.qdiscs[0].ingress_block = Some(7);
        host
    };
    let taken = {
        let mut host = gateway();
        host.links[3].name = name("portcullis0");
        host
    };
    let renamed_loopback = {
        let mut host = gateway();
        host.links[0].name = name("loop0");
        host
    };
    let two_names = {
        let mut host = gateway();
        host.links[2].altnames.push(name("alt1"));
        host
    };
    let unrouted = {
        let mut host = gateway();
        host.rules.retain(|r| r.preference != 0);
        host
    };
    let cases: Vec<(&str, Policy, Snapshot)> = vec![
        (
            "empty-scope",
            policy("a", &UPLINK.replace("ab0", "eth*"), gate, SSH),
            gateway(),
        ),
        (
            "loopback-in-scope",
            policy("a", &UPLINK.replace("ab0", "loop0"), gate, SSH),
            renamed_loopback,
        ),
        (
            "zones-overlap",
            policy("a", &ZONES.replace("\"ab2\"", "\"alt1\""), seal, ""),
            two_names,
        ),
        (
            "gate-cannot-tell",
            policy("a", &directions(UPLINK, "\"in\", \"forward\""), gate, SSH),
            gateway(),
        ),
        ("foreign-qdisc", policy("a", WHOLE, gate, SSH), ingress_only),
        ("foreign-qdisc", policy("a", WHOLE, gate, SSH), foreign_block),
        (
            "no-room-for-filters",
            policy("a", WHOLE, gate, SSH),
            gateway_with_foreign_filter(7),
        ),
        ("name-taken", policy("a", WHOLE, gate, SSH), taken),
        (
            "no-room-for-rules",
            policy("a", WHOLE, seal, SSH),
            with_rule(Family::V6, 9, RuleAction::Lookup(99)),
        ),
        (
            "rule-in-the-way",
            policy("a", UPLINK, seal, SSH),
            with_rule(Family::V4, 900, RuleAction::Goto(32766)),
        ),
        ("local-rule-missing", policy("a", WHOLE, seal, SSH), unrouted),
        (
            "seal-cannot-tell",
            policy("a", &directions(WHOLE, "\"in\", \"out\""), seal, SSH),
            gateway(),
        ),
        (
            "lifeline-on-down-link",
            policy("a", UPLINK, "use = [\"link\"]", SSH),
            gateway(),
        ),
        (
            "lifeline-without-route",
            policy("a", UPLINK, WITHDRAW_DEFAULT, THROUGH),
            gateway(),
        ),
        (
            "unresolved-peer",
            policy("a", WHOLE, gate, &SSH.replace("\"10.9.0.2\"", "\"a.example\"")),
            gateway(),
        ),
        (
            "lifeline-link-missing",
            policy("a", WHOLE, gate, &format!("{SSH}\ninterface = \"eth9\"")),
            gateway(),
        ),
    ];
    for (code, policy, host) in cases {
        let refusal = refused(&policy, &host);
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(!refusal.hint().is_empty());
    }
}

#[test]
fn cuts_that_contradict_each_other_are_refused_when_the_second_is_planned() {
    let host = gateway();
    let in_force = [cut(&policy("first", UPLINK, "use = [\"gate\"]", SSH), &host)];
    let other = policy("second", &directions(WHOLE, "\"in\""), "use = [\"gate\"]", SSH);
    let refusal = plan(&other, &host, &host, &in_force, &BTreeMap::new()).unwrap_err();
    assert_eq!(refusal.code(), "conflicting-cut");
    assert!(refusal.to_string().contains("second"), "{refusal}");
}

#[test]
fn seal_fits_below_a_low_foreign_rule_and_copies_it() {
    let host = with_rule(Family::V4, 40, RuleAction::Lookup(99));
    let plan = plan(
        &policy("a", UPLINK, "use = [\"seal\"]", SSH),
        &host,
        &host,
        &[],
        &BTreeMap::new(),
    )
    .unwrap();
    let rules = super::golden::added_rules(&plan);
    let v4: Vec<_> = rules.iter().filter(|r| r.family == Family::V4).collect();
    assert!(v4.iter().all(|r| r.preference < 40));
    let copied = v4
        .iter()
        .any(|r| r.action == RuleAction::Lookup(99) && r.suppress_group.is_some());
    assert!(copied);
}

#[test]
fn three_zones_need_one_link_each() {
    let host = gateway();
    let zone = |name: &str, link: &str| format!("[[scope.zones]]\nname = \"{name}\"\ninterfaces = [{link}]\n");
    let scope = |c: &str| {
        format!(
            "families = [\"ipv4\"]\ndirections = [\"forward\"]\n{}{}{}",
            zone("a", "\"ab0\""),
            zone("b", "\"ab1\""),
            zone("c", c)
        )
    };
    let three = policy("three", &scope("\"ab2\""), "use = [\"seal\"]", "");
    assert!(plan(&three, &host, &host, &[], &BTreeMap::new()).is_ok());
    let mut wider = host.clone();
    let fourth = Link {
        index: 9,
        name: name("ab9"),
        ..host.links[3].clone()
    };
    wider.links.push(fourth);
    let many = policy("many", &scope("\"ab2\", \"ab9\""), "use = [\"seal\"]", "");
    assert_eq!(refused(&many, &wider).code(), "too-many-zones");
}

#[test]
fn a_foreign_rule_in_front_of_ours_since_the_baseline_is_named() {
    let baseline = gateway();
    let host = with_rule(Family::V4, 5, RuleAction::Lookup(99));
    let whole = policy("a", WHOLE, "use = [\"seal\"]", SSH);
    let refusal = plan(&whole, &host, &baseline, &[], &BTreeMap::new()).unwrap_err();
    assert_eq!(refusal.code(), "no-room-for-rules");
    assert!(refusal.to_string().contains("preference 5"), "{refusal}");
}

#[test]
fn a_policy_that_takes_what_another_took_already_holds_it_too() {
    let host = gateway();
    let scope = UPLINK.replace("\"in\", ", "");
    let first = cut(&policy("first", &scope, WITHDRAW_DEFAULT, ""), &host);
    assert_eq!(first.withdrawn.len(), 2);
    let mut now = host.clone();
    super::hosts::enforce(&mut now, &host, std::slice::from_ref(&first)).unwrap();
    let second = plan(
        &policy("second", &scope, WITHDRAW_DEFAULT, ""),
        &now,
        &host,
        &[first],
        &BTreeMap::new(),
    )
    .unwrap();
    assert_eq!(second.cut.withdrawn.len(), 2);
    assert_eq!(second.steps, []);
}

#[test]
fn the_additive_cuts_of_the_tests_cover_every_additive_method_and_direction() {
    let cuts = additive(&gateway());
    let methods: std::collections::BTreeSet<_> = cuts.iter().flat_map(|c| c.methods.clone()).collect();
    assert_eq!(methods.len(), 3);
}
