//! What the methods `routes` and `link` hold: routes withdrawn, null routes in a table of our own, links down; and
//! which lifelines they would take with them.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::Refusal;
use super::ours::TABLE;
use super::reachability::{best_routes, links_of, links_towards};
use super::resolve::can_be_withdrawn;
use super::seal::Null;
use crate::model::cut::{Cut, Lifeline};
use crate::model::object::{Attributes, Family, OUR_PROTOCOL, Route, Volatile};
use crate::model::policy::Method;
use crate::model::snapshot::{Snapshot, route_key};

/// IP6_RT_PRIO_USER: the metric that the kernel gives an IPv6 route without one.
const METRIC_V6: u32 = 1024;
/// Routes of one owner to one destination that a cut withdraws: one that puts back more, each with another metric, is named.
const FOLLOWED_MAX: usize = 16;

/// The routes of our own table: a blackhole for each null prefix, a throw for each lifeline inside one.
///
/// # Errors
/// If a lifeline is as wide as a null prefix or wider, so that no throw can save it.
pub fn null_routes(cuts: &[Cut]) -> Result<Vec<Route>, Refusal> {
    let prefixes: BTreeSet<IpNet> = cuts
        .iter()
        .filter(|c| withdraws(c))
        .flat_map(|c| c.null_prefixes.clone())
        .collect();
    let mut thrown = BTreeSet::new();
    for lifeline in cuts.iter().flat_map(|c| &c.lifelines) {
        for end in lifeline.peers.iter().chain(&lifeline.inside) {
            if prefixes.iter().any(|p| end.contains(p)) {
                return Err(without_route(lifeline, end));
            }
            if prefixes.iter().any(|p| p.contains(end)) {
                thrown.insert(*end);
            }
        }
    }
    let throws = thrown.iter().map(|net| nowhere(TABLE, *net, Route::THROW));
    let holes = prefixes.iter().map(|net| nowhere(TABLE, *net, Route::BLACKHOLE));
    Ok(throws.chain(holes).collect())
}

/// Whether the cut withdraws or null-routes.
pub fn withdraws(cut: &Cut) -> bool {
    cut.methods.contains(&Method::Routes)
}

/// Whether packets of a family must be looked up in our table: for null routes, and in IPv6 also for a withdrawal,
/// because established IPv6 flows keep their cached route until a rule changes.
pub fn null(cuts: &[Cut], family: Family) -> Null {
    let mut cuts = cuts.iter().filter(|c| withdraws(c));
    let looked = cuts.any(|c| {
        let nulled = c.null_prefixes.iter().any(|p| Family::of_net(p) == family);
        let bumped = family == Family::V6 && c.withdrawn.iter().any(|r| r.family == family);
        nulled || bumped
    });
    if looked { Null::Looked } else { Null::Not }
}

/// The cut with the routes by which the owner of a withdrawn one goes around it: to the same destination in the same table,
/// of the same protocol, over a link of the scope, but with another metric, as `NetworkManager` gives a route of a link
/// without connectivity. `known` is the baseline: what stood beside a withdrawn route from the beginning stays.
#[must_use]
pub fn follow(cut: &Cut, known: &Snapshot, now: &Snapshot) -> Cut {
    let mut followed = cut.clone();
    for route in ways_around(cut, known, now) {
        let beside = |r: &&Route| goes_to_the_same(r, route) && r.protocol == route.protocol;
        let count = followed.withdrawn.iter().filter(beside).count();
        if (1..FOLLOWED_MAX).contains(&count) && !cut.links.is_empty() {
            followed.withdrawn.push(route.clone());
        }
    }
    followed
}

/// Routes that others have made to where a withdrawn one led, and that are not withdrawn: traffic goes by them, and they
/// are not ours to remove.
#[must_use]
pub fn ways_around<'a>(cut: &Cut, known: &Snapshot, now: &'a Snapshot) -> Vec<&'a Route> {
    if !withdraws(cut) || cut.withdrawn.is_empty() {
        return Vec::new();
    }
    let place = |r: &Route, other: &Route| route_key(r) == route_key(other) && r.protocol == other.protocol;
    let leads_there = |r: &Route| cut.withdrawn.iter().any(|w| goes_to_the_same(w, r));
    let is_withdrawn = |r: &Route| cut.withdrawn.iter().any(|w| place(w, r));
    let was_there = |r: &Route| known.routes.iter().any(|k| place(k, r) && is_over(k, cut, known));
    let sends = |r: &&Route| r.kind == Route::UNICAST && can_be_withdrawn(r);
    let ways = now.routes.iter().filter(sends).filter(|r| leads_there(r));
    let new = ways.filter(|r| is_over(r, cut, now) && !is_withdrawn(r));
    let mut found: Vec<&Route> = new.filter(|r| !was_there(r)).collect();
    if now.routes.len() <= super::WATCHED_MAX {
        found.extend(parts_of_withdrawn(cut, known, now));
    }
    found
}

/// Routes that have appeared over links of the scope and together lead wherever a withdrawn one did, as two halves of the
/// address space do. One that leads to a part of it is no way around: what it takes elsewhere is its owner's business.
fn parts_of_withdrawn<'a>(cut: &Cut, known: &Snapshot, now: &'a Snapshot) -> Vec<&'a Route> {
    let place = |r: &Route| (r.family, r.table, r.destination);
    let before: BTreeSet<_> = known.routes.iter().map(place).collect();
    let is_new = |r: &&Route| r.kind == Route::UNICAST && can_be_withdrawn(r) && !before.contains(&place(r));
    let new: Vec<&Route> = now
        .routes
        .iter()
        .filter(is_new)
        .filter(|r| is_over(r, cut, now))
        .collect();
    let withdrawn: BTreeSet<_> = cut.withdrawn.iter().map(place).collect();
    let mut found = Vec::new();
    for (family, table, whole) in withdrawn {
        let is_part = |r: &&&Route| (r.family, r.table) == (family, table) && whole.contains(&r.destination);
        let parts: Vec<&Route> = new
            .iter()
            .filter(is_part)
            .copied()
            .filter(|r| r.destination != whole)
            .collect();
        let destinations: Vec<_> = parts.iter().map(|r| r.destination).collect();
        if IpNet::aggregate(&destinations).contains(&whole) {
            found.extend(parts);
        }
    }
    found
}

fn goes_to_the_same(a: &Route, b: &Route) -> bool {
    (a.family, a.table, a.destination, a.source) == (b.family, b.table, b.destination, b.source)
}

/// Whether the route sends over a link of the scope; a scope without links is every link.
fn is_over(route: &Route, cut: &Cut, host: &Snapshot) -> bool {
    cut.links.is_empty() || links_of(route, host).iter().any(|l| cut.links.contains_key(l))
}

/// Refuses a cut whose withdrawn routes or downed links carry one of its lifelines.
///
/// A lifeline without any route beforehand is no reason: it is a warning.
///
/// # Errors
/// If it takes a lifeline.
pub fn keep_lifelines(host: &Snapshot, taken: &Taken, lifelines: &[Lifeline]) -> Result<(), Refusal> {
    for lifeline in lifelines {
        for end in lifeline.peers.iter().chain(&lifeline.inside) {
            let before = best_routes(host, end, |_| true);
            if before.is_empty() {
                continue;
            }
            if best_routes(host, end, |r| !taken.withdrawn.contains(r)).is_empty() {
                return Err(without_route(lifeline, end));
            }
            let over = links_towards(host, end);
            if let Some(link) = over.intersection(&taken.down).next() {
                return Err(Refusal::LifelineOnDownLink {
                    lifeline: lifeline.name.clone(),
                    peer: *end,
                    link: host
                        .link(*link)
                        .map_or_else(|| link.to_string(), |l| l.name.to_string()),
                });
            }
        }
    }
    Ok(())
}

/// What subtractive methods take away.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Routes.
    pub withdrawn: Vec<Route>,
    /// The links over which what comes back in their places is withdrawn, too.
    pub over: BTreeSet<u32>,
    /// Links that go down.
    pub down: BTreeSet<u32>,
}

impl Taken {
    /// Whether nothing is taken away.
    pub fn is_nothing(&self) -> bool {
        self.withdrawn.is_empty() && self.down.is_empty()
    }
}

fn without_route(lifeline: &Lifeline, peer: &IpNet) -> Refusal {
    Refusal::LifelineWithoutRoute {
        lifeline: lifeline.name.clone(),
        peer: *peer,
    }
}

/// A route of ours that leads nowhere.
pub fn nowhere(table: u32, destination: IpNet, kind: u8) -> Route {
    let family = Family::of_net(&destination);
    Route {
        family,
        destination,
        source: None,
        tos: 0,
        table,
        protocol: OUR_PROTOCOL,
        scope: 0,
        kind,
        flags: 0,
        metric: match family {
            Family::V4 => 0,
            Family::V6 => METRIC_V6,
        },
        link: None,
        gateway: None,
        preferred_source: None,
        nexthop: None,
        hops: Vec::new(),
        metrics: Attributes::new(),
        expires_s: Volatile(None),
        extra: Attributes::new(),
    }
}
