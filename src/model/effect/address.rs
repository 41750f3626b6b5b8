//! Addresses, and the routes that the kernel makes of them (`net/ipv4/devinet.c`, `fib_frontend.c`,
//! `net/ipv6/addrconf.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::super::object::{Address, Attributes, Family, Link, Route, Volatile};
use super::link::refuses_v6;
use super::{Outcome, Snapshot, errno, is_on, route};

/// IFA_F_NODAD.
const FLAG_NODAD: u32 = 0x02;
/// IFA_RT_PRIORITY: the metric of the connected route.
const ATTRIBUTE_METRIC: u16 = 9;
/// RT_SCOPE_HOST.
pub(super) const SCOPE_HOST: u8 = 254;
/// RT_SCOPE_LINK.
pub(super) const SCOPE_LINK: u8 = 253;
/// RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST.
const BROADCAST: u8 = 3;
const ANYCAST: u8 = 4;
const MULTICAST: u8 = 5;
/// IP6_RT_PRIO_ADDRCONF.
const METRIC_ADDRCONF: u32 = 256;

/// Ends duplicate address detection everywhere: addresses of links that are up become usable and get their local route.
pub fn settle(state: &mut Snapshot) {
    settle_on(state, |_| true);
}

/// The same on some links: it waits for a carrier (`addrconf_dad_begin()`).
pub(crate) fn settle_on(state: &mut Snapshot, carries: impl Fn(&Link) -> bool) {
    let ready = |l: &Link| l.up && carries(l);
    let waiting = |state: &Snapshot, a: &Address| a.tentative.0 && state.link(a.link).is_some_and(ready);
    let ready: Vec<usize> = (0..state.addresses.len())
        .filter(|&i| waiting(state, &state.addresses[i]))
        .collect();
    for i in ready {
        state.addresses[i].tentative = Volatile(false);
        let address = state.addresses[i].clone();
        add_host_routes_v6(state, &address);
    }
}

pub(super) fn add(state: &mut Snapshot, address: &Address) -> Result<Outcome, i32> {
    let up = state.link(address.link).ok_or(errno::ENODEV)?.up;
    match address.family {
        Family::V4 => add_v4(state, address, up),
        Family::V6 => add_v6(state, address, up),
    }
}

/// `__inet_insert_ifa()`: a second address of a subnet is secondary; primaries stand in the order of their scopes.
fn add_v4(state: &mut Snapshot, address: &Address, up: bool) -> Result<Outcome, i32> {
    let mut new = address.clone();
    new.flags &= !Address::FLAG_TEMPORARY;
    let (start, end) = range(state, address.link, Family::V4);
    let mut at = start;
    for (i, other) in state.addresses[start..end].iter().enumerate() {
        let primary = other.flags & Address::FLAG_TEMPORARY == 0;
        if primary && new.scope <= other.scope {
            at = start + i + 1;
        }
        if other.prefix_length == new.prefix_length && subnet(other) == subnet(&new) {
            if other.own() == new.own() {
                return Ok(Outcome::AlreadySo);
            }
            if other.scope != new.scope {
                return Err(errno::EINVAL);
            }
            new.flags |= Address::FLAG_TEMPORARY;
        }
    }
    if new.flags & Address::FLAG_TEMPORARY != 0 {
        at = end;
    }
    state.addresses.insert(at, new.clone());
    connect_v4(state, &new, up);
    Ok(Outcome::Applied)
}

/// `ipv6_link_dev_addr()`: a new address stands before the others of its scope.
fn add_v6(state: &mut Snapshot, address: &Address, up: bool) -> Result<Outcome, i32> {
    if let Some(code) = state.link(address.link).and_then(|l| refuses_v6(state, l)) {
        return Err(code);
    }
    let (start, end) = range(state, address.link, Family::V6);
    let ours = &state.addresses[start..end];
    if ours.iter().any(|a| a.own() == address.own()) {
        return Ok(Outcome::AlreadySo);
    }
    let wider = |a: &Address| scope_v6(a) > scope_v6(address);
    let at = start + ours.iter().position(|a| !wider(a)).unwrap_or(ours.len());
    let mut new = address.clone();
    new.stable_privacy = Volatile(false);
    let detects = new.flags & FLAG_NODAD == 0 && !state.link(new.link).is_some_and(|l| l.is_loopback());
    new.tentative = Volatile(detects);
    state.addresses.insert(at, new.clone());
    if up {
        connect_v6(state, &new);
    }
    if !new.tentative.0 {
        add_host_routes_v6(state, &new);
    }
    Ok(Outcome::Applied)
}

/// Address scope in the order of the kernel's list: global before link.
fn scope_v6(address: &Address) -> u8 {
    u8::MAX - address.scope
}

/// Where the addresses of a link and family stand.
fn range(state: &Snapshot, link: u32, family: Family) -> (usize, usize) {
    let key = (link, family);
    let start = state.addresses.partition_point(|a| (a.link, a.family) < key);
    let end = state.addresses.partition_point(|a| (a.link, a.family) <= key);
    (start, end)
}

fn subnet(address: &Address) -> Option<IpNet> {
    IpNet::new(address.address, address.prefix_length)
        .ok()
        .map(|n| n.trunc())
}

/// `fib_add_ifaddr()`: the local route even on a link that is down, connected and broadcast routes when it is up.
pub(super) fn connect_v4(state: &mut Snapshot, address: &Address, up: bool) {
    let primary = primary_of(state, address);
    let source = primary.own();
    let local = made_by_kernel(
        address,
        host(address.own()),
        Route::LOCAL,
        SCOPE_HOST,
        Route::TABLE_LOCAL,
    );
    let with_source = |route: Route| Route {
        preferred_source: Some(source),
        ..route
    };
    route::append(state, with_source(local));
    let Some(net) = subnet(address).filter(|_| up) else {
        return;
    };
    for broadcast in broadcasts(address, &net) {
        let to = made_by_kernel(address, host(broadcast), BROADCAST, SCOPE_LINK, Route::TABLE_LOCAL);
        route::append(state, with_source(to));
    }
    let secondary = address.flags & Address::FLAG_TEMPORARY != 0;
    let is_host = address.prefix_length == 32 && net.addr() == address.own();
    if secondary || is_host || address.flags & Address::FLAG_NOPREFIXROUTE != 0 {
        return;
    }
    let loopback = state.link(address.link).is_some_and(|l| l.is_loopback());
    let connected = if loopback {
        made_by_kernel(address, net, Route::LOCAL, SCOPE_HOST, Route::TABLE_LOCAL)
    } else {
        made_by_kernel(address, net, Route::UNICAST, SCOPE_LINK, Route::TABLE_MAIN)
    };
    route::append(state, with_source(connected));
}

fn broadcasts(address: &Address, net: &IpNet) -> Vec<IpAddr> {
    let given = address.broadcast.filter(|b| *b != IpAddr::V4(Ipv4Addr::BROADCAST));
    let secondary = address.flags & Address::FLAG_TEMPORARY != 0;
    let of_net = (!secondary && address.prefix_length < 31).then(|| net.broadcast());
    let mut all: Vec<_> = given.into_iter().chain(of_net).collect();
    all.dedup();
    all
}

fn primary_of(state: &Snapshot, address: &Address) -> Address {
    let (start, end) = range(state, address.link, Family::V4);
    let of_subnet = |a: &&Address| {
        a.flags & Address::FLAG_TEMPORARY == 0
            && a.prefix_length == address.prefix_length
            && subnet(a) == subnet(address)
    };
    state.addresses[start..end]
        .iter()
        .find(of_subnet)
        .unwrap_or(address)
        .clone()
}

/// `addrconf_prefix_route()`: the connected route of an IPv6 address.
pub(super) fn connect_v6(state: &mut Snapshot, address: &Address) {
    let (Some(net), 0) = (subnet(address), address.flags & Address::FLAG_NOPREFIXROUTE) else {
        return;
    };
    let route = made_by_kernel(address, net, Route::UNICAST, 0, Route::TABLE_MAIN);
    let metric = if route.metric == 0 {
        METRIC_ADDRCONF
    } else {
        route.metric
    };
    let covered = |r: &Route| (r.destination, r.link, r.table) == (net, Some(address.link), Route::TABLE_MAIN);
    let there = state.routes.iter().any(|r| covered(r) && r.metric == metric);
    if !there && !address.own().is_loopback() {
        route::append(state, Route { metric, ..route });
    }
}

/// The routes of an address that passed detection: to itself and, on a router, to its subnet's anycast address.
fn add_host_routes_v6(state: &mut Snapshot, address: &Address) {
    let to_self = made_by_kernel(address, host(address.own()), Route::LOCAL, 0, Route::TABLE_LOCAL);
    route::append(state, Route { metric: 0, ..to_self });
    let name = state.link(address.link).map(|l| l.name.to_string()).unwrap_or_default();
    let anycast = subnet(address).filter(|n| n.prefix_len() < 127 && is_on(state, "ipv6", &name, "forwarding"));
    if let Some(net) = anycast {
        let to_any = made_by_kernel(address, host(net.addr()), ANYCAST, 0, Route::TABLE_LOCAL);
        route::append(state, Route { metric: 0, ..to_any });
    }
}

/// `ff00::/8`, which every IPv6 link has while it is up (`addrconf_add_mroute()`).
pub(super) fn multicast_v6(link: u32) -> Route {
    let net = IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8);
    Route {
        metric: METRIC_ADDRCONF,
        ..kernel_route(link, net, MULTICAST, 0, Route::TABLE_LOCAL)
    }
}

fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

fn made_by_kernel(address: &Address, destination: IpNet, kind: u8, scope: u8, table: u32) -> Route {
    let metric = address
        .extra
        .get(&ATTRIBUTE_METRIC)
        .and_then(|m| m.as_slice().try_into().ok());
    let connected = kind == Route::UNICAST || table == Route::TABLE_MAIN;
    Route {
        metric: metric.filter(|_| connected).map_or(0, u32::from_ne_bytes),
        ..kernel_route(address.link, destination, kind, scope, table)
    }
}

fn kernel_route(link: u32, destination: IpNet, kind: u8, scope: u8, table: u32) -> Route {
    let family = Family::of_net(&destination);
    Route {
        family,
        destination,
        source: None,
        tos: 0,
        table,
        protocol: Route::PROTOCOL_KERNEL,
        scope,
        kind,
        flags: 0,
        metric: 0,
        link: Some(link),
        gateway: None,
        preferred_source: None,
        nexthop: None,
        hops: Vec::new(),
        metrics: Attributes::new(),
        expires_s: Volatile(None),
        extra: Attributes::new(),
    }
}

/// Removes an address with the routes that lived of it.
pub(super) fn delete(state: &mut Snapshot, address: &Address) -> Outcome {
    let is_it =
        |a: &Address| (a.link, a.own(), a.prefix_length) == (address.link, address.own(), address.prefix_length);
    let Some(at) = state.addresses.iter().position(is_it) else {
        return Outcome::AlreadySo;
    };
    let gone = state.addresses.remove(at);
    match gone.family {
        Family::V4 => disconnect_v4(state, &gone),
        Family::V6 => disconnect_v6(state, &gone),
    }
    Outcome::Applied
}

/// `fib_del_ifaddr()`: secondaries go with their primary unless they are promoted; the last address takes every route.
fn disconnect_v4(state: &mut Snapshot, gone: &Address) {
    let (start, end) = range(state, gone.link, Family::V4);
    let of_subnet = |a: &Address| a.prefix_length == gone.prefix_length && subnet(a) == subnet(gone);
    let mut lost = vec![gone.clone()];
    let mut heirs = Vec::new();
    if gone.flags & Address::FLAG_TEMPORARY == 0 {
        heirs = state.addresses[start..end]
            .iter()
            .filter(|a| of_subnet(a))
            .cloned()
            .collect();
        state
            .addresses
            .retain(|a| (a.link, a.family) != (gone.link, Family::V4) || !of_subnet(a));
        let name = state.link(gone.link).map(|l| l.name.to_string()).unwrap_or_default();
        if !is_on(state, "ipv4", &name, "promote_secondaries") {
            lost.append(&mut heirs);
        }
    }
    let sources: Vec<IpAddr> = lost.iter().chain(&heirs).map(Address::own).collect();
    let on_link = |r: &Route| r.family == Family::V4 && r.links().any(|l| l == gone.link);
    // What another link has, too, is still an address of this host (`fib_del_ifaddr()`).
    let others: Vec<IpAddr> = state
        .addresses
        .iter()
        .filter(|a| a.link != gone.link)
        .map(Address::own)
        .collect();
    state.routes.retain(|r| {
        let to_it = r.kind == Route::LOCAL && on_link(r) && sources.contains(&r.destination.addr());
        let from_it = r.preferred_source.is_some_and(|s| {
            let connected = on_link(r) && r.protocol == Route::PROTOCOL_KERNEL;
            sources.contains(&s) && (connected || !others.contains(&s))
        });
        !to_it && !from_it
    });
    let up = state.link(gone.link).is_some_and(|l| l.up);
    for heir in heirs {
        if let Err(code) = add_v4(state, &heir, up) {
            debug_assert_eq!(code, errno::EINVAL, "an heir of another scope than its subnet's");
        }
    }
    let (start, end) = range(state, gone.link, Family::V4);
    if start == end {
        let addressed: Vec<u32> = state
            .addresses
            .iter()
            .filter(|a| a.family == Family::V4)
            .map(|a| a.link)
            .collect();
        let living: Vec<u32> = state
            .links
            .iter()
            .filter(|l| l.up && addressed.contains(&l.index))
            .map(|l| l.index)
            .collect();
        state
            .routes
            .retain(|r| !on_link(r) || r.hops.iter().any(|h| living.contains(&h.link)));
        // `fib_disable_ip()` ends in `arp_ifdown()`.
        state
            .neighbours
            .retain(|n| (n.link, n.family) != (gone.link, Family::V4));
    }
}

/// `ipv6_del_addr()`: routes that preferred it as their source go on without.
fn disconnect_v6(state: &mut Snapshot, gone: &Address) {
    let (start, end) = range(state, gone.link, Family::V6);
    let shared = state.addresses[start..end].iter().any(|a| subnet(a) == subnet(gone));
    let prefix = subnet(gone).filter(|_| !shared && gone.flags & Address::FLAG_NOPREFIXROUTE == 0);
    state.routes.retain(|r| {
        let of_kernel = r.protocol == Route::PROTOCOL_KERNEL && r.link == Some(gone.link);
        let to_it = r.kind == Route::LOCAL && r.destination == host(gone.own());
        let to_any = r.kind == ANYCAST && prefix.is_some_and(|p| r.destination == host(p.addr()));
        let connected = r.kind == Route::UNICAST && Some(r.destination) == prefix;
        !(of_kernel && (to_it || to_any || connected))
    });
    for route in &mut state.routes {
        if route.preferred_source == Some(gone.own()) {
            route.preferred_source = None;
        }
    }
}
