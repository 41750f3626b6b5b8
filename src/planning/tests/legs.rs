//! Routes with several legs, and what seal says to them.

use std::collections::BTreeMap;

use super::hosts::{UPLINK, WHOLE, ZONES, cut, foreign_rule, gateway, policy};
use crate::model::change::Change;
use crate::model::fixture::{direct, group, multipath, must, nexthop, through, via};
use crate::model::object::{Family, Route, RuleAction};
use crate::model::plan::Plan;
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::detour::PLACES_MAX;
use crate::planning::{Refusal, desired_on, is_our_route, leaking, plan};

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

/// The links of the legs that the seal's detours leave, in order; none without a detour.
fn left(plan: &Plan) -> Option<Vec<u32>> {
    let added = plan
        .steps
        .iter()
        .flat_map(|s| &s.changes)
        .filter_map(|change| match change {
            Change::Add(Object::Route(route)) if is_our_route(route) && route.kind == Route::UNICAST => Some(route),
            Change::Add(_) | Change::Delete(_) | Change::SetLink { .. } | Change::SetSysctl(_) => None,
        });
    let links: Vec<u32> = added.flat_map(Route::links).collect();
    (!links.is_empty()).then_some(links)
}

#[test]
fn seal_goes_around_a_route_with_legs_on_both_sides_of_the_cut() {
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
    let table: [(&str, String, Snapshot, Option<&[u32]>); 22] = [
        ("first leg outside", links.clone(), legs(&[OUT, IN]), Some(&[3])),
        ("first leg inside", links.clone(), legs(&[IN, OUT]), Some(&[3])),
        (
            "third leg inside",
            links.clone(),
            legs(&[OUT, OUT_TOO, IN]),
            Some(&[3, 4]),
        ),
        ("only sent", only("\"out\""), legs(&[OUT, IN]), Some(&[3])),
        ("only forwarded", only("\"forward\""), legs(&[OUT, IN]), Some(&[3])),
        ("group", links.clone(), grouped(&[OUT, IN]), Some(&[3])),
        ("group, first inside", links.clone(), grouped(&[IN, OUT]), Some(&[3])),
        ("equal defaults", links.clone(), two_defaults(0), Some(&[3])),
        // One section for each zone: into `b` not over `ab0`, into `a` not over `ab1`.
        ("zones", ZONES.to_owned(), legs(&[IN, OUT]), Some(&[3, 2])),
        ("zone and none", one_zone.clone(), legs(&[OUT_TOO, IN]), Some(&[4])),
        (
            "none and zone, group",
            one_zone.clone(),
            grouped(&[OUT, OUT_TOO]),
            Some(&[4]),
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
        ("IPv6", one_family, v6, Some(&[3])),
    ];
    for (what, scope, host, open) in table {
        let plan = planned(&scope, SEAL, &host).unwrap();
        assert_eq!(left(&plan).as_deref(), open, "{what}");
        let named = plan.warnings.iter().any(|w| w.contains("legs over"));
        assert_eq!(named, open.is_some(), "{what}: {:?}", plan.warnings);
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
fn a_route_that_came_after_the_baseline_is_gone_around_too() {
    let seal = policy("a", UPLINK, SEAL, "");
    let plan = plan(&seal, &legs(&[OUT, IN]), &gateway(), &[], &BTreeMap::new()).unwrap();
    assert_eq!(left(&plan), Some(vec![3]));
}

#[test]
fn what_leads_over_sealed_links_within_a_detour_does_not_take_it() {
    let host = with([
        Object::Route(multipath("10.64.0.0/10", &[OUT, IN])),
        Object::Route(via("10.77.0.0/16", IN.0, IN.1)),
        Object::Route(via("10.78.0.0/16", OUT.0, OUT.1)),
    ]);
    let plan = planned(UPLINK, SEAL, &host).unwrap();
    let thrown: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|s| &s.changes)
        .filter_map(|change| match change {
            Change::Add(Object::Route(r)) if r.kind == Route::THROW => Some(r.destination.to_string()),
            Change::Add(_) | Change::Delete(_) | Change::SetLink { .. } | Change::SetSysctl(_) => None,
        })
        .collect();
    assert_eq!(thrown, ["10.77.0.0/16"]);
}

/// So many routes with legs on both sides.
fn many(count: u32) -> Snapshot {
    let mut host = gateway();
    let routes = (0..count).map(|i| multipath(&format!("10.{}.{}.0/24", 64 + i / 256, i % 256), &[OUT, IN]));
    host.routes.extend(routes);
    host.sort();
    host
}

#[test]
fn more_routes_than_seal_can_go_around_are_refused_and_gate_is_the_way_out() {
    let limit = u32::try_from(PLACES_MAX).unwrap();
    assert!(planned(UPLINK, SEAL, &many(limit)).is_ok());
    let refusal = planned(UPLINK, SEAL, &many(limit + 1)).unwrap_err();
    assert_eq!(refusal.code(), "legs-apart");
    assert!(refusal.to_string().contains("ab1, ab0"), "{refusal}");
    assert!(refusal.hint().contains("gate"));
    let both = planned(UPLINK, BOTH, &many(limit + 1)).unwrap().warnings.join("\n");
    assert!(both.contains("seal does not go around it"), "{both}");
    // A second rule that looks the table up needs the room as well.
    let mut twice = many(limit);
    twice
        .rules
        .push(foreign_rule(Family::V4, 900, RuleAction::Lookup(Route::TABLE_MAIN)));
    twice.sort();
    assert_eq!(planned(UPLINK, SEAL, &twice).unwrap_err().code(), "legs-apart");
}

#[test]
fn a_held_cut_can_always_be_laid_and_names_what_it_does_not_go_around() {
    let host = gateway();
    let cuts = [cut(&policy("a", UPLINK, SEAL, ""), &host)];
    let now = many(u32::try_from(PLACES_MAX).unwrap() + 2);
    assert!(desired_on(&host, &now, &cuts).is_ok());
    assert_eq!(leaking(&cuts, &host, &now).unwrap().len(), 2);
    assert_eq!(leaking(&cuts, &host, &legs(&[OUT, IN])).unwrap(), Vec::<String>::new());
    let mut crowded = host.clone();
    crowded.rules.push(foreign_rule(Family::V4, 24, RuleAction::Lookup(99)));
    crowded.sort();
    assert!(desired_on(&crowded, &legs(&[OUT, IN]), &cuts).is_ok());
    assert_eq!(leaking(&cuts, &crowded, &legs(&[OUT, IN])).unwrap().len(), 1);
}

#[test]
fn the_family_of_the_mixed_route_is_cut_or_it_is_no_matter() {
    let host = legs(&[OUT, IN]);
    let v6 = UPLINK.replace("\"ipv4\", ", "");
    let plan = planned(&v6, SEAL, &host).unwrap();
    assert_eq!(plan.cut.families.iter().copied().collect::<Vec<_>>(), [Family::V6]);
}
