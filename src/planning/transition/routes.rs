//! From the routes that stand to those that must, the rule of our own table, and links that go down.

use std::collections::{BTreeMap, BTreeSet};

use super::super::desired::Desired;
use super::super::ours::{TABLE, is_armed_rule, is_our_route, is_our_rule};
use super::super::reachability::links_of;
use super::rules::as_rule;
use super::{Shift, add, delete, set};
use crate::model::change::{Change, LinkSetting};
use crate::model::effect::route::same;
use crate::model::object::{Family, Route, Rule, RuleAction};
use crate::model::snapshot::{Object, Snapshot, route_key};
use crate::planning::seal::loopback;

/// The changes to routes and to the rule of our own table.
pub(super) fn shift(now: &Snapshot, desired: &Desired) -> Shift {
    let mut shift = Shift::default();
    let mut cuts_v6 = false;
    let is_null = |r: &&Route| r.table == TABLE;
    let ours = now.routes.iter().filter(|r| is_our_route(r));
    let there: Vec<&Route> = ours.filter(is_null).collect();
    let wanted: Vec<&Route> = desired.present.iter().filter_map(as_route).filter(is_null).collect();
    let (rules, stale) = rule_difference(now, desired);
    for route in wanted.iter().filter(|r| !there.iter().any(|t| is_same(t, r))) {
        // The rule of an armed host comes behind all others and finds what has no route anyway.
        let looked_at = |r: &Rule| is_lookup(r) && r.family == route.family && !is_armed_rule(r);
        let change = add(Object::Route((*route).clone()));
        if route.kind != Route::THROW && now.rules.iter().any(looked_at) {
            cuts_v6 |= route.family == Family::V6;
            shift.close.push(change);
        } else {
            shift.lay.push(change);
        }
    }
    let withdrawn = withdrawn(now, desired);
    cuts_v6 |= withdrawn.iter().any(|r| r.family == Family::V6);
    shift.close.extend(withdrawn.into_iter().map(Object::Route).map(delete));
    let bumped = rules.iter().any(|r| r.family == Family::V6);
    shift.close.extend(rules.into_iter().map(Object::Rule).map(add));
    if cuts_v6 && !bumped {
        shift.close.extend(bump(now));
    }
    shift.open.extend(stale.into_iter().map(Object::Rule).map(delete));
    // Holes go before throws: a throw without its hole is harmless, a hole without its throw takes a lifeline.
    let unwanted = there.iter().filter(|t| !wanted.iter().any(|w| is_same(t, w)));
    let (throws, holes): (Vec<&Route>, Vec<&Route>) = unwanted.partition(|r| r.kind == Route::THROW);
    let gone = holes.into_iter().chain(throws).cloned();
    shift.settle.extend(gone.map(Object::Route).map(delete));
    shift
}

/// Links to set down.
pub(super) fn downs(now: &Snapshot, desired: &Desired) -> Vec<Change> {
    let up = desired.down.iter().filter(|i| now.link(**i).is_some_and(|l| l.up));
    up.filter_map(|i| set(now, *i, LinkSetting::Down)).collect()
}

pub(super) fn as_route(object: &Object) -> Option<&Route> {
    match object {
        Object::Route(route) => Some(route),
        Object::Link(_)
        | Object::Address(_)
        | Object::Nexthop(_)
        | Object::Rule(_)
        | Object::Neighbour(_)
        | Object::Qdisc(_)
        | Object::Filter(_)
        | Object::Sysctl(_) => None,
    }
}

/// Whether two routes of our table are the same: the kernel shows more attributes (`dev lo`, `pref`) than we give.
fn is_same(a: &Route, b: &Route) -> bool {
    (a.family, a.table, a.destination, a.kind) == (b.family, b.table, b.destination, b.kind)
}

fn is_lookup(rule: &Rule) -> bool {
    is_our_rule(rule) && rule.action == RuleAction::Lookup(TABLE)
}

/// Lookups of our own table that are missing, and those that are not wanted.
fn rule_difference(now: &Snapshot, desired: &Desired) -> (Vec<Rule>, Vec<Rule>) {
    let there: Vec<&Rule> = now.rules.iter().filter(|r| is_lookup(r)).collect();
    let wanted: Vec<&Rule> = desired
        .present
        .iter()
        .filter_map(as_rule)
        .filter(|r| is_lookup(r))
        .collect();
    let missing = wanted.iter().filter(|r| !there.contains(r)).map(|r| (*r).clone());
    let stale = there.iter().filter(|r| !wanted.contains(r)).map(|r| (*r).clone());
    (missing.collect(), stale.collect())
}

/// Established IPv6 flows keep their cached route until a rule changes; this one changes nothing else.
fn bump(now: &Snapshot) -> Vec<Change> {
    let stands = now.rules_of(Family::V6).find(|r| is_lookup(r));
    let Some(rule) = stands else {
        return Vec::new();
    };
    let twin = Rule {
        iif: Some(loopback()),
        ..rule.clone()
    };
    vec![add(Object::Rule(twin.clone())), delete(Object::Rule(twin))]
}

/// What stands where a withdrawn route stood, of the same protocol and over a link of the cut: a daemon puts its route back
/// with another nexthop. But not what the baseline has beside it, nor another way that somebody has made.
fn withdrawn(now: &Snapshot, desired: &Desired) -> Vec<Route> {
    let absent: Vec<&Route> = desired.absent.iter().filter_map(as_route).collect();
    let mut places: BTreeMap<_, Vec<&Route>> = BTreeMap::new();
    for route in absent {
        places
            .entry((route_key(route), route.protocol))
            .or_default()
            .push(route);
    }
    if places.is_empty() {
        return Vec::new();
    }
    let is_absent = |r: &Route, there: &[&Route]| is_over(r, now, &desired.withdrawn_over) || there.contains(&r);
    let there = now
        .routes
        .iter()
        .filter(|r| {
            places
                .get(&(route_key(r), r.protocol))
                .is_some_and(|there| is_absent(r, there))
        })
        .filter(|r| !desired.spared.iter().any(|s| same(s, r)));
    there.cloned().collect()
}

fn is_over(route: &Route, now: &Snapshot, links: &BTreeSet<u32>) -> bool {
    !links_of(route, now).is_disjoint(links)
}
