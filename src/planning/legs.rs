//! Routes of which seal cannot cut one leg and leave the other.
//!
//! IPv4 throws a lookup's result away by the link of the route's first leg (`fib4_rule_suppress()` in
//! `net/ipv4/fib_rules.c`) and chooses the leg afterwards (`fib_select_path()` in `net/ipv4/fib_semantics.c`): with a first
//! leg outside the sealed links all legs are used, with a first leg inside none is. Equal default routes over gateways are
//! legs in this sense, because the next is taken where the first one's gateway is dead (`fib_select_default()`). IPv6
//! chooses first.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::gates;
use super::ours::is_our_route;
use super::reachability::gateways_of;
use super::refusal::Refusal;
use super::routes::withdraws;
use super::seal::{Null, seal};
use crate::model::cut::Cut;
use crate::model::object::{Family, Route};
use crate::model::policy::{Direction, Method};
use crate::model::snapshot::{Object, Snapshot, route_key};
use crate::model::text::LinkNames;

/// Routes are read again and again while such a cut is in force only on hosts that have no more: a million take seconds.
pub const WATCHED_MAX: usize = 10_000;

/// A route with legs on both sides of what a cut seals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Split {
    route: String,
    /// Names of links, in the kernel's order.
    legs: Vec<String>,
    first_is_sealed: bool,
}

/// Refuses a cut that would leak over a sealed leg, or stop a leg that it permits without anybody knowing.
///
/// # Errors
/// The first route of these hosts with legs on both sides, unless gate or link stops what leaves over the sealed links.
pub(super) fn check_legs(cut: &Cut, hosts: [&Snapshot; 2]) -> Result<(), Refusal> {
    if nothing_leaves(cut) {
        return Ok(());
    }
    split(cut, hosts)?.into_iter().next().map_or(Ok(()), |split| {
        Err(Refusal::LegsApart {
            legs: split.legs.join(", "),
            route: split.route,
        })
    })
}

/// What becomes of the legs that a cut permits, one line a route, and what nobody will look for.
///
/// # Errors
/// As [`seal`].
pub(super) fn warnings(cut: &Cut, hosts: [&Snapshot; 2]) -> Result<Vec<String>, Refusal> {
    let line = |split: Split| {
        let Split { route, legs, .. } = &split;
        let fate = if split.first_is_sealed {
            "its first leg is sealed, so IPv4 traffic by it stops over all its legs, also those outside the scope"
        } else {
            "what the kernel sends over its sealed legs is dropped there; only what it sends over the others goes on"
        };
        format!("{route} (legs over {}): {fate}", legs.join(", "))
    };
    let mut lines: Vec<String> = split(cut, hosts)?.into_iter().map(line).collect();
    if hosts.iter().any(|host| host.routes.len() > WATCHED_MAX) && can_split(cut, hosts[0])? {
        lines.push(format!(
            "this host has more than {WATCHED_MAX} routes: an IPv4 route that appears with legs on both sides of the cut leaks unseen"
        ));
    }
    Ok(lines)
}

/// Whether a route that appears under this cut can have legs on both sides of it, and leak.
///
/// # Errors
/// If the cut cannot be laid on this host.
pub fn can_split(cut: &Cut, baseline: &Snapshot) -> Result<bool, Refusal> {
    Ok(!nothing_leaves(cut) && !sealed_groups(cut, baseline)?.is_empty())
}

/// The routes that have, one line each; none where routes were not read.
///
/// # Errors
/// If the cut cannot be laid on this host.
pub fn leaking(cut: &Cut, baseline: &Snapshot, now: &Snapshot) -> Result<Vec<String>, Refusal> {
    if now.routes.is_empty() || nothing_leaves(cut) {
        return Ok(Vec::new());
    }
    let groups = sealed_groups(cut, baseline)?;
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let line = |Split { route, legs, .. }| {
        format!(
            "a route has legs on both sides of the cut ({}): {route}",
            legs.join(", ")
        )
    };
    let found = split_on(now, cut, &groups);
    Ok(found.into_iter().map(line).collect())
}

/// Whether another method closes the sealed legs by themselves.
fn nothing_leaves(cut: &Cut) -> bool {
    cut.methods.contains(&Method::Link) || (gates(cut) && cut.directions.contains(&Direction::Out))
}

fn sealed_groups(cut: &Cut, host: &Snapshot) -> Result<BTreeMap<u32, u32>, Refusal> {
    Ok(seal(host, std::slice::from_ref(cut), Family::V4, Null::Not)?.groups)
}

fn split(cut: &Cut, hosts: [&Snapshot; 2]) -> Result<BTreeSet<Split>, Refusal> {
    let [baseline, _] = hosts;
    let groups = sealed_groups(cut, baseline)?;
    if groups.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(hosts
        .into_iter()
        .flat_map(|host| split_on(host, cut, &groups))
        .collect())
}

fn split_on(host: &Snapshot, cut: &Cut, groups: &BTreeMap<u32, u32>) -> Vec<Split> {
    let names = LinkNames::of(host);
    let name = |index: &u32| {
        host.link(*index)
            .map_or_else(|| index.to_string(), |l| l.name.to_string())
    };
    let places: BTreeSet<_> = cut.withdrawn.iter().filter(|_| withdraws(cut)).map(route_key).collect();
    let withdrawn = |r: &Route| !places.is_empty() && places.contains(&route_key(r)) && cut.withdrawn.contains(r);
    let reachable = |r: &&Route| {
        let forwards = r.kind == Route::UNICAST && r.table != Route::TABLE_LOCAL;
        r.family == Family::V4 && forwards && !is_our_route(r) && !withdrawn(r)
    };
    let routes = || host.routes.iter().filter(reachable);
    let defaults: Vec<&Route> = routes().filter(|r| is_gateway_default(r, host)).collect();
    let mut found = Vec::new();
    for route in routes() {
        let mut legs = legs_of(route, host);
        let is_default = route.destination.prefix_len() == 0;
        if let Some(at) = defaults.iter().position(|d| is_default && std::ptr::eq(*d, route)) {
            if defaults[..at]
                .iter()
                .any(|d| takes_over(route, d) && d.tos == route.tos)
            {
                continue;
            }
            let others = defaults.iter().filter(|d| takes_over(route, d));
            legs.extend(others.flat_map(|d| legs_of(d, host)));
        }
        // The kernel takes the members of a group with their link, and then another is the first.
        if cut.methods.contains(&Method::Link) && route.nexthop.is_some() {
            continue;
        }
        let sides: BTreeSet<Option<&u32>> = legs.iter().map(|l| groups.get(l)).collect();
        if sides.len() > 1 {
            found.push(Split {
                route: names.object(&Object::Route(route.clone())).to_string(),
                first_is_sealed: legs.first().is_some_and(|l| groups.contains_key(l)),
                legs: legs.iter().map(name).collect(),
            });
        }
    }
    found
}

/// The links of a route in the order of its legs, each of a group's members included.
fn legs_of(route: &Route, host: &Snapshot) -> Vec<u32> {
    let object = |id: u32| host.nexthop(id);
    let Some(nexthop) = route.nexthop.and_then(object) else {
        return route.links().collect();
    };
    let members = nexthop.group.iter().filter_map(|(id, _)| object(*id));
    std::iter::once(nexthop).chain(members).filter_map(|n| n.link).collect()
}

fn is_gateway_default(route: &Route, host: &Snapshot) -> bool {
    route.destination.prefix_len() == 0 && !gateways_of(route, host).is_empty()
}

/// Whether the kernel may take another default route for this one: one of the same table with the same metric, or with
/// another type of service.
fn takes_over(route: &Route, other: &Route) -> bool {
    let same = std::ptr::eq(route, other);
    !same && route.table == other.table && (route.metric == other.metric || route.tos != other.tos)
}
