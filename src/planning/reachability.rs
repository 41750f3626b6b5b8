//! Which routes would carry a packet: a longest-prefix lookup over a snapshot, good enough to warn and to refuse.
//!
//! All tables but `local` are searched as one, because a rule could send a lifeline to any of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::object::{Family, Route};
use crate::model::snapshot::Snapshot;

/// The links over which a route sends, its nexthop object's and that group's members' included.
pub fn links_of(route: &Route, host: &Snapshot) -> BTreeSet<u32> {
    let mut links: BTreeSet<u32> = route.links().collect();
    for id in route.nexthop.into_iter().flat_map(|id| members(id, host)) {
        links.extend(host.nexthop(id).and_then(|n| n.link));
    }
    links
}

/// The gateways that a route uses with the links towards them, its nexthop object's included.
pub fn gateways_of(route: &Route, host: &Snapshot) -> Vec<(u32, IpAddr)> {
    let single = route.link.zip(route.gateway);
    let legs = route.hops.iter().filter_map(|h| h.gateway.map(|g| (h.link, g)));
    let mut all: Vec<_> = single.into_iter().chain(legs).collect();
    for id in route.nexthop.into_iter().flat_map(|id| members(id, host)) {
        all.extend(host.nexthop(id).and_then(|n| n.link.zip(n.gateway)));
    }
    all
}

/// The links over which a route reaches its destination itself: its own, its legs' and its nexthop objects' without a gateway.
pub fn links_without_gateway<'a>(route: &'a Route, host: &'a Snapshot) -> impl Iterator<Item = u32> + use<'a> {
    let plain = route.gateway.is_none() && route.nexthop.is_none();
    let single = route.link.filter(|_| plain);
    let legs = route.hops.iter().filter(|h| h.gateway.is_none()).map(|h| h.link);
    let objects = route.nexthop.into_iter().flat_map(|id| members(id, host));
    let objects = objects
        .filter_map(|id| host.nexthop(id))
        .filter(|n| n.gateway.is_none());
    single.into_iter().chain(legs).chain(objects.filter_map(|n| n.link))
}

fn members(id: u32, host: &Snapshot) -> Vec<u32> {
    let group = host.nexthop(id).map(|n| &n.group);
    match group {
        Some(group) if !group.is_empty() => group.iter().map(|(id, _)| *id).collect(),
        Some(_) | None => vec![id],
    }
}

/// The routes that carry the whole prefix and are the most specific to do so, of those that `counts` lets in.
pub fn best_routes<'a>(host: &'a Snapshot, to: &IpNet, counts: impl Fn(&Route) -> bool) -> Vec<&'a Route> {
    let covers = |r: &&Route| {
        r.kind == Route::UNICAST
            && r.table != Route::TABLE_LOCAL
            && r.family == Family::of_net(to)
            && r.destination.contains(to)
            && counts(r)
    };
    let all: Vec<&Route> = host.routes.iter().filter(covers).collect();
    let longest = all.iter().map(|r| r.destination.prefix_len()).max();
    all.into_iter()
        .filter(|r| Some(r.destination.prefix_len()) == longest)
        .collect()
}

/// The links over which packets to this prefix leave, none where no route is known.
pub fn links_towards(host: &Snapshot, to: &IpNet) -> BTreeSet<u32> {
    let best = best_routes(host, to, |_| true);
    best.into_iter().flat_map(|r| links_of(r, host)).collect()
}

/// Whether the address is the host's own.
pub fn is_own(host: &Snapshot, address: IpAddr) -> bool {
    address.is_loopback() || host.addresses.iter().any(|a| a.own() == address)
}
