//! Routes (`net/ipv4/fib_semantics.c`, `fib_trie.c`, `net/ipv6/route.c`, `ip6_fib.c`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::diff::{Pair, pairs};
use super::super::object::{Family, Hop, Route};
use super::super::snapshot::route_key;
use super::address::{SCOPE_HOST, SCOPE_LINK};
use super::{Outcome, Snapshot, errno, link, lookup, nexthop};

/// RTNH_F_ONLINK, in the flags of a route, a leg and a nexthop alike.
const FLAG_ONLINK: u32 = 4;
/// IP6_RT_PRIO_USER: what metric 0 becomes when a user adds an IPv6 route.
const METRIC_USER: u32 = 1024;

pub(super) fn add(state: &mut Snapshot, route: &Route) -> Result<Outcome, i32> {
    let mut new = route.clone();
    if new.family == Family::V6 && new.metric == 0 {
        new.metric = METRIC_USER;
    }
    check(state, &new)?;
    if rival(state, &new).is_some() {
        return Ok(Outcome::AlreadySo);
    }
    insert(state, new);
    Ok(Outcome::Applied)
}

/// Adds many at once, as one send would, but with one look at each gateway: a route of the batch is no way to the
/// gateway of another. Answers with what was added and what the kernel would refuse.
pub(crate) fn add_batch(state: &mut Snapshot, routes: Vec<Route>) -> (Vec<Route>, Vec<(Route, i32)>) {
    let mut seen = Seen::new();
    let (mut added, mut refused) = (Vec::new(), Vec::new());
    for route in routes {
        if rival(state, &route).is_some() {
            continue;
        }
        match check_seen(state, &route, &mut seen) {
            Ok(()) => added.push(route),
            Err(code) => refused.push((route, code)),
        }
    }
    state.routes.extend(added.iter().cloned());
    state.routes.sort_by(|a, b| route_key(a).cmp(&route_key(b)));
    (added, refused)
}

/// What the kernel would refuse of these, each on its own.
pub(crate) fn refusals(state: &Snapshot, routes: Vec<Route>) -> Vec<(Route, i32)> {
    let mut seen = Seen::new();
    let refused = |route: Route| check_seen(state, &route, &mut seen).err().map(|code| (route, code));
    routes.into_iter().filter_map(refused).collect()
}

/// Takes away all of these at once.
pub(crate) fn delete_batch(state: &mut Snapshot, routes: &[Route]) {
    let mut gone = routes.to_vec();
    gone.sort_by(|a, b| route_key(a).cmp(&route_key(b)));
    let left = pairs(&state.routes, &gone, |a, b| route_key(a).cmp(&route_key(b)), same);
    let left = left.into_iter().filter_map(|pair| match pair {
        Pair::First(route) => Some(route.clone()),
        Pair::Second(_) | Pair::Both(..) => None,
    });
    state.routes = left.collect();
}

/// Answers about gateways that were given already.
type Seen = BTreeMap<(IpAddr, Option<u32>, Asks), Result<(), i32>>;

/// Deletes the first that a request for this route hits.
pub(super) fn delete(state: &mut Snapshot, route: &Route) -> Outcome {
    let found = match route.family {
        Family::V4 => {
            let span = span(state, route);
            let at = state.routes[span.clone()].iter().position(|r| same(r, route));
            at.map(|at| span.start + at)
        }
        Family::V6 => {
            let place = |r: &Route| (r.family, r.table, r.destination, r.source);
            let of_node = |r: &Route| place(r) == place(route);
            state.routes.iter().position(|r| of_node(r) && hits_v6(route, r))
        }
    };
    match found {
        Some(at) => {
            state.routes.remove(at);
            Outcome::Applied
        }
        None => Outcome::AlreadySo,
    }
}

/// Whether a request to delete the one takes the other, if it comes to it first (`ip6_route_del()`): of a route through a
/// nexthop object only the object counts, and what the request does not name is not compared.
fn hits_v6(request: &Route, there: &Route) -> bool {
    if !request.hops.is_empty() || !there.hops.is_empty() {
        return request.metric == there.metric && same(request, there);
    }
    match (request.nexthop, there.nexthop) {
        (Some(wanted), Some(id)) => wanted == id,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => {
            request.metric == there.metric
                && request.protocol == there.protocol
                && (request.link.is_none() || request.link == there.link)
                && (request.gateway.is_none() || request.gateway == there.gateway)
        }
    }
}

/// Puts a route of the kernel's own behind its equals, unless it is there.
pub(super) fn append(state: &mut Snapshot, route: Route) {
    if rival(state, &route).is_none() {
        insert(state, route);
    }
}

fn insert(state: &mut Snapshot, route: Route) {
    let at = span(state, &route).end;
    state.routes.insert(at, route);
}

/// Where the routes stand that compete for the same place.
fn span(state: &Snapshot, route: &Route) -> std::ops::Range<usize> {
    let key = route_key(route);
    let start = state.routes.partition_point(|r| route_key(r) < key);
    let end = start + state.routes[start..].partition_point(|r| route_key(r) <= key);
    start..end
}

/// The route that makes the kernel answer EEXIST: for IPv4 one that is equal in all, for IPv6 one of the same way.
fn rival<'a>(state: &'a Snapshot, route: &Route) -> Option<&'a Route> {
    state.routes[span(state, route)].iter().find(|r| match route.family {
        Family::V4 => *r == route,
        Family::V6 => same_way(r, route),
    })
}

/// Whether a delete that names the one would hit the other, if they compete for the same place.
pub(crate) fn same(a: &Route, b: &Route) -> bool {
    let rest = (a.protocol, a.scope, a.kind) == (b.protocol, b.scope, b.kind);
    rest && same_way(a, b) && (a.preferred_source == b.preferred_source || a.family == Family::V6)
}

fn same_way(a: &Route, b: &Route) -> bool {
    let leg = |h: &Hop| (h.link, h.gateway);
    let legs = a.hops.len() == b.hops.len() && a.hops.iter().zip(&b.hops).all(|(x, y)| leg(x) == leg(y));
    (a.link, a.gateway, a.nexthop) == (b.link, b.gateway, b.nexthop) && legs
}

/// What the kernel looks at before it takes a route.
pub(crate) fn check(state: &Snapshot, route: &Route) -> Result<(), i32> {
    check_seen(state, route, &mut Seen::new())
}

fn check_seen(state: &Snapshot, route: &Route, seen: &mut Seen) -> Result<(), i32> {
    check_source(state, route)?;
    if let Some(id) = route.nexthop {
        let object = nexthop::find(state, id).ok_or(errno::EINVAL)?;
        let usable = nexthop::serves(state, object, route.family);
        return if usable { Ok(()) } else { Err(errno::EINVAL) };
    }
    let of_host = route.family == Family::V4 && route.scope == SCOPE_HOST;
    for index in route.links() {
        state.link(index).ok_or(errno::ENODEV)?;
    }
    let is_down = |over: Option<u32>| over.and_then(|index| state.link(index)).is_some_and(|l| !l.up);
    let refuses_v6 = |index: u32| state.link(index).and_then(|l| link::refuses_v6(state, l));
    let asks = Asks::route(route);
    let own = (route.gateway, route.link, route.flags);
    let legs = route.hops.iter().map(|h| (h.gateway, Some(h.link), u32::from(h.flags)));
    for (gateway, over, flags) in std::iter::once(own).chain(legs) {
        // A gateway is looked up first, and not found over a link that is down.
        let Some(gateway) = gateway else {
            if let Some(code) = over.filter(|_| route.family == Family::V6).and_then(refuses_v6) {
                return Err(code);
            }
            if is_down(over) && !of_host {
                return Err(errno::ENETDOWN);
            }
            continue;
        };
        let asks = asks.with(flags & FLAG_ONLINK);
        let answer = seen.entry((gateway, over, asks));
        (*answer.or_insert_with(|| check_gateway(state, gateway, over, asks)))?;
    }
    Ok(())
}

/// `fib_valid_prefsrc()` and `ip6_route_info_create()`: the source must be an address of this host, usable now.
fn check_source(state: &Snapshot, route: &Route) -> Result<(), i32> {
    let Some(source) = route.preferred_source else {
        return Ok(());
    };
    let to_itself = route.kind == Route::LOCAL && route.destination.addr() == source;
    let mut own = state.addresses.iter().filter(|a| a.own() == source);
    if to_itself || own.any(|a| !a.tentative.0) || is_local_route(state, source) {
        return Ok(());
    }
    Err(errno::EINVAL)
}

fn is_local_route(state: &Snapshot, address: IpAddr) -> bool {
    lookup::in_table(state, Route::TABLE_LOCAL, address, None, 0).is_some_and(|r| r.kind == Route::LOCAL)
}

/// What the check of a gateway depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asks {
    /// The table of the route, where the kernel looks first if it is not the main one.
    table: Option<u32>,
    scope: u8,
    flags: u32,
}

impl Asks {
    pub(super) fn nexthop(flags: u32) -> Self {
        Self {
            table: None,
            scope: 0,
            flags,
        }
    }

    fn route(route: &Route) -> Self {
        let own_first = route.family == Family::V6 || route.table != Route::TABLE_MAIN;
        Self {
            table: own_first.then_some(route.table),
            scope: route.scope,
            flags: route.flags,
        }
    }

    fn with(self, flags: u32) -> Self {
        Self { flags, ..self }
    }
}

/// Whether the gateway can be reached on-link; else "Nexthop has invalid gateway" or "No route to host".
pub(super) fn check_gateway(state: &Snapshot, gateway: IpAddr, over: Option<u32>, asks: Asks) -> Result<(), i32> {
    let up = |index: u32| state.link(index).is_some_and(|l| l.up);
    let onlink = asks.flags & FLAG_ONLINK != 0;
    let link_local = matches!(gateway, IpAddr::V6(a) if a.is_unicast_link_local());
    if onlink || link_local {
        let index = over.ok_or(errno::EINVAL)?;
        return if up(index) { Ok(()) } else { Err(errno::ENETDOWN) };
    }
    let scope = asks.scope.saturating_add(1).max(SCOPE_LINK);
    let direct = asks
        .table
        .and_then(|table| lookup::in_table(state, table, gateway, over, scope))
        .filter(|r| r.kind == Route::UNICAST);
    let found = match direct {
        Some(route) => route,
        None => lookup::gateway(state, gateway, over, scope).map_err(|code| match gateway {
            IpAddr::V4(_) => code,
            IpAddr::V6(_) => errno::EHOSTUNREACH,
        })?,
    };
    let mut links = found
        .nexthop
        .map_or_else(|| found.links().collect(), |id| nexthop::links(state, id));
    links.retain(|l| up(*l));
    let to_peer = found.kind == Route::UNICAST && found.gateway.is_none();
    match (to_peer, links.is_empty(), gateway) {
        (true, false, _) => Ok(()),
        (true, true, _) => Err(errno::ENETDOWN),
        (false, _, IpAddr::V4(_)) => Err(errno::EINVAL),
        (false, _, IpAddr::V6(_)) => Err(errno::EHOSTUNREACH),
    }
}
