//! Routes with several legs, and what seal says to them.

use std::collections::BTreeMap;

use super::hosts::{UPLINK, WHOLE, ZONES, gateway, policy};
use crate::model::change::Change;
use crate::model::fixture::{direct, group, multipath, must, nexthop, through, via};
use crate::model::object::{Family, Route};
use crate::model::plan::Plan;
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{Refusal, plan};

const SEAL: &str = "use = [\"seal\"]";
const BOTH: &str = "use = [\"gate\", \"seal\"]";
/// The uplink, and what stands behind it: a link of the scope is `ab0`, links outside are `ab1` and `ab2`.
const IN: (&str, u32) = ("10.0.0.9", 2);
const OUT: (&str, u32) = ("10.1.0.9", 3);
const OUT_TOO: (&str, u32) = ("10.2.0.9", 4);

fn with(objects: impl IntoIterator<Item = Object>) -> Snapshot {
    let mut host = gateway();
    for object in objects {
        must(&mut host, &Change::Add(object));
    }
    host.sort();
    host
}

fn legs(legs: &[(&str, u32)]) -> Snapshot {
    with([Object::Route(multipath("10.77.0.0/16", legs))])
}

fn grouped(members: &[(&str, u32)]) -> Snapshot {
    let ids: Vec<u32> = (1..).take(members.len()).collect();
    let objects = members
        .iter()
        .zip(&ids)
        .map(|((gateway, link), id)| nexthop(*id, gateway, *link));
    let all: Vec<_> = objects.chain([group(10, &ids)]).map(Object::Nexthop).collect();
    with(all.into_iter().chain([Object::Route(through("10.77.0.0/16", 10))]))
}

/// The gateway's default route, and another beside it with this metric.
fn two_defaults(metric: u32) -> Snapshot {
    let mut host = gateway();
    let second = Route {
        metric,
        ..via("0.0.0.0/0", OUT.0, OUT.1)
    };
    host.routes.push(second);
    host.sort();
    host
}

fn planned(scope: &str, methods: &str, host: &Snapshot) -> Result<Plan, Refusal> {
    plan(&policy("a", scope, methods, ""), host, host, &[], &BTreeMap::new())
}

#[test]
fn seal_refuses_an_ipv4_route_with_legs_on_both_sides_of_the_cut() {
    let blackhole = Route {
        kind: Route::BLACKHOLE,
        link: None,
        ..direct("10.77.0.0/16", 0)
    };
    let of_local = {
        let mut host = gateway();
        let route = Route {
            table: Route::TABLE_LOCAL,
            ..multipath("10.77.0.0/16", &[IN, OUT])
        };
        host.routes.push(route);
        host.sort();
        host
    };
    let v6 = with([Object::Route(multipath("fd77::/64", &[("fd00::9", 2), ("fd01::9", 3)]))]);
    let only = |directions: &str| UPLINK.replace("\"in\", \"out\", \"forward\"", directions);
    let links = UPLINK.to_owned();
    let two_links = UPLINK.replace("\"ab0\"", "\"ab0\", \"ab1\"");
    let one_family = UPLINK.replace("\"ipv4\", ", "");
    let one_zone = ZONES.replace("\"ab0\", \"ab2\"", "\"ab0\"");
    let table: [(&str, String, Snapshot, Option<&str>); 22] = [
        ("first leg outside", links.clone(), legs(&[OUT, IN]), Some("ab1, ab0")),
        ("first leg inside", links.clone(), legs(&[IN, OUT]), Some("ab0, ab1")),
        (
            "third leg inside",
            links.clone(),
            legs(&[OUT, OUT_TOO, IN]),
            Some("ab1, ab2, ab0"),
        ),
        ("only sent", only("\"out\""), legs(&[OUT, IN]), Some("ab1, ab0")),
        (
            "only forwarded",
            only("\"forward\""),
            legs(&[OUT, IN]),
            Some("ab1, ab0"),
        ),
        ("group", links.clone(), grouped(&[OUT, IN]), Some("ab1, ab0")),
        (
            "group, first inside",
            links.clone(),
            grouped(&[IN, OUT]),
            Some("ab0, ab1"),
        ),
        ("equal defaults", links.clone(), two_defaults(0), Some("ab0, ab1")),
        ("zones", ZONES.to_owned(), legs(&[IN, OUT]), Some("ab0, ab1")),
        (
            "zone and none",
            one_zone.clone(),
            legs(&[OUT_TOO, IN]),
            Some("ab2, ab0"),
        ),
        (
            "none and zone, group",
            one_zone.clone(),
            grouped(&[OUT, OUT_TOO]),
            Some("ab1, ab2"),
        ),
        ("group of one", links.clone(), grouped(&[IN]), None),
        (
            "one leg",
            links.clone(),
            with([Object::Route(via("10.77.0.0/16", IN.0, IN.1))]),
            None,
        ),
        ("all inside", links.clone(), legs(&[IN, ("10.0.0.8", 2)]), None),
        ("all inside, two links", two_links, legs(&[IN, OUT]), None),
        ("all outside", links.clone(), legs(&[OUT, OUT_TOO]), None),
        ("all outside, group", links.clone(), grouped(&[OUT, OUT_TOO]), None),
        ("within a zone", ZONES.to_owned(), legs(&[IN, OUT_TOO]), None),
        ("blackhole", links.clone(), with([Object::Route(blackhole)]), None),
        ("table local", links.clone(), of_local, None),
        ("another metric", links, two_defaults(50), None),
        ("IPv6", one_family, v6, None),
    ];
    for (what, scope, host, refused) in table {
        match (planned(&scope, SEAL, &host), refused) {
            (Ok(plan), None) => assert!(!plan.steps.is_empty(), "{what}"),
            (Err(refusal), Some(order)) => {
                assert_eq!(refusal.code(), "legs-apart", "{what}: {refusal}");
                assert!(refusal.to_string().contains(order), "{what}: {refusal}");
                assert!(refusal.hint().contains("gate"));
            }
            (Ok(_), Some(_)) => panic!("{what}: not refused"),
            (Err(refusal), None) => panic!("{what}: {refusal}"),
        }
    }
}

#[test]
fn what_takes_no_route_apart_is_not_asked_for_its_legs() {
    let host = legs(&[OUT, IN]);
    let inbound = UPLINK.replace("\"in\", \"out\", \"forward\"", "\"in\"");
    let still = {
        let mut host = host.clone();
        host.sysctls.clear();
        host
    };
    assert!(planned(WHOLE, SEAL, &host).is_ok());
    assert!(planned(UPLINK, "use = [\"gate\"]", &host).is_ok());
    assert!(planned(UPLINK, "use = [\"seal\", \"link\"]", &host).is_ok());
    let withdrawn = "use = [\"seal\", \"routes\"]\n[methods.routes]\nwithdraw-prefixes = [\"10.77.0.0/16\"]";
    assert!(planned(UPLINK, withdrawn, &host).is_ok());
    assert!(planned(&inbound, SEAL, &still).is_ok());
}

#[test]
fn a_route_that_came_after_the_baseline_is_asked_for_its_legs_too() {
    let seal = policy("a", UPLINK, SEAL, "");
    let refusal = plan(&seal, &legs(&[OUT, IN]), &gateway(), &[], &BTreeMap::new()).unwrap_err();
    assert_eq!(refusal.code(), "legs-apart");
    assert!(refusal.to_string().contains("10.77.0.0/16"), "{refusal}");
}

#[test]
fn with_gate_at_the_egress_the_plan_says_what_becomes_of_the_permitted_leg() {
    let first_inside = planned(UPLINK, BOTH, &legs(&[IN, OUT])).unwrap().warnings.join("\n");
    assert!(first_inside.contains("10.77.0.0/16"), "{first_inside}");
    assert!(first_inside.contains("stops over all its legs"), "{first_inside}");
    let first_outside = planned(UPLINK, BOTH, &legs(&[OUT, IN])).unwrap().warnings.join("\n");
    assert!(
        first_outside.contains("(legs over ab1, ab0): what the kernel sends over its sealed legs is dropped"),
        "{first_outside}"
    );
    let not_out = UPLINK.replace("\"out\", ", "");
    let refusal = planned(&not_out, BOTH, &legs(&[OUT, IN])).unwrap_err();
    assert_eq!(refusal.code(), "legs-apart", "gate does not stop what leaves");
    let single = planned(UPLINK, BOTH, &gateway()).unwrap().warnings.join("\n");
    assert!(!single.contains("legs over"), "{single}");
}

#[test]
fn the_family_of_the_mixed_route_is_cut_or_it_is_no_matter() {
    let host = legs(&[OUT, IN]);
    let v6 = UPLINK.replace("\"ipv4\", ", "");
    let plan = planned(&v6, SEAL, &host).unwrap();
    assert_eq!(plan.cut.families.iter().copied().collect::<Vec<_>>(), [Family::V6]);
}
