//! What differs between two snapshots, object by object. Linear in their size but for groups of equal keys.
//!
//! Both snapshots are in canonical order. Where the kernel prefers the first among equals, a changed order is a
//! difference: a [`Difference::Changed`] between the two objects that stand at one position.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::effect::{route, same_neighbour};
use super::object::{
    Address, Attributes, Family, Filter, Link, Neighbour, Nexthop, Qdisc, Route, Rule, Sysctl, Volatile,
};
use super::snapshot::{Difference, Object, Snapshot, route_key};

/// Every difference, kind by kind, in canonical order.
#[must_use]
pub fn diff(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let (b, a) = (before, after);
    let mut found = Vec::new();
    found.extend(kind(
        &b.links,
        &a.links,
        |x, y| x.index.cmp(&y.index),
        |_, _| true,
        Object::Link,
    ));
    let addresses = (&b.addresses, &a.addresses);
    found.extend(kind(addresses.0, addresses.1, by_link, same_address, Object::Address));
    found.extend(kind(
        &b.nexthops,
        &a.nexthops,
        |x, y| x.id.cmp(&y.id),
        |_, _| true,
        Object::Nexthop,
    ));
    found.extend(kind(&b.routes, &a.routes, by_route_key, route::same, Object::Route));
    let by_preference = |x: &Rule, y: &Rule| (x.family, x.preference).cmp(&(y.family, y.preference));
    found.extend(kind(&b.rules, &a.rules, by_preference, |x, y| x == y, Object::Rule));
    let by_target = |x: &Neighbour, y: &Neighbour| (x.link, x.family, x.address).cmp(&(y.link, y.family, y.address));
    found.extend(kind(
        &b.neighbours,
        &a.neighbours,
        by_target,
        same_neighbour,
        Object::Neighbour,
    ));
    let by_place = |x: &Qdisc, y: &Qdisc| (x.link, x.parent).cmp(&(y.link, y.parent));
    found.extend(kind(&b.qdiscs, &a.qdiscs, by_place, |_, _| true, Object::Qdisc));
    let by_attach = |x: &Filter, y: &Filter| (x.attach, x.chain, x.preference).cmp(&(y.attach, y.chain, y.preference));
    found.extend(kind(&b.filters, &a.filters, by_attach, |_, _| true, Object::Filter));
    found.extend(kind(
        &b.sysctls,
        &a.sysctls,
        |x, y| x.name.cmp(&y.name),
        |_, _| true,
        Object::Sysctl,
    ));
    found
}

/// Differences that remain when two things are compared by what they mean, not by how they are written: routes of
/// routing daemons and router advertisements, and temporary addresses.
///
/// A daemon that puts a route back gives it another nexthop id; a router advertisement that was restored merges into one
/// multipath route; a temporary address comes back as another one, which nobody can prevent.
#[must_use]
pub fn diff_by_meaning(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    diff(&meaning(before), &meaning(after))
}

/// Whether a route belongs to somebody who keeps it by himself: a daemon or a router's advertisement.
///
/// Named by protocol number: everything but what the kernel, an administrator and this program write
/// (`include/uapi/linux/rtnetlink.h`, RTPROT_*).
#[must_use]
pub fn is_kept_by_a_daemon(protocol: u8) -> bool {
    /// Unspecified, redirect, kernel, boot, static.
    const PLAIN: std::ops::RangeInclusive<u8> = 0..=4;
    !PLAIN.contains(&protocol) && protocol != super::object::OUR_PROTOCOL
}

/// Whether an address is a privacy address, which comes back as another one.
#[must_use]
pub fn is_temporary(address: &Address) -> bool {
    address.family == Family::V6 && address.flags & Address::FLAG_TEMPORARY != 0
}

fn meaning(snapshot: &Snapshot) -> Snapshot {
    let mut plain = Snapshot {
        routes: Vec::new(),
        ..snapshot.clone()
    };
    plain.addresses.retain(|a| !is_temporary(a));
    plain.nexthops.retain(|n| !is_kept_by_a_daemon(n.protocol));
    let others = snapshot.routes.iter().filter(|r| !is_kept_by_a_daemon(r.protocol));
    plain.routes.extend(others.cloned());
    let Ways(of_daemons) = Ways::of(snapshot);
    plain.routes.extend(of_daemons.into_iter().map(WayOf::into_route));
    plain.routes.sort_by(|a, b| route_key(a).cmp(&route_key(b)));
    plain
}

/// Where the routes of daemons and router advertisements lead, however they are written.
#[derive(Debug)]
pub(crate) struct Ways(BTreeSet<WayOf>);

impl Ways {
    /// Those of a host.
    pub(crate) fn of(host: &Snapshot) -> Self {
        let kept = host.routes.iter().filter(|r| is_kept_by_a_daemon(r.protocol));
        Self(kept.flat_map(|route| WayOf::all(host, route)).collect())
    }

    /// Whether every way of this route of another host is among them.
    pub(crate) fn have(&self, host: &Snapshot, route: &Route) -> bool {
        WayOf::all(host, route).iter().all(|way| self.0.contains(way))
    }
}

type Way = (Option<u32>, Option<IpAddr>);

/// Where a route leads, whether by itself, by its legs or by a nexthop object.
fn ways(snapshot: &Snapshot, route: &Route) -> Vec<Way> {
    let find = |id: u32| snapshot.nexthops.iter().find(|n| n.id == id);
    let of = |n: &Nexthop| (n.link, n.gateway);
    if let Some(nexthop) = route.nexthop.and_then(find) {
        let members: Vec<Way> = nexthop.group.iter().filter_map(|(id, _)| find(*id)).map(of).collect();
        return if members.is_empty() { vec![of(nexthop)] } else { members };
    }
    if route.hops.is_empty() {
        return vec![(route.link, route.gateway)];
    }
    route.hops.iter().map(|h| (Some(h.link), h.gateway)).collect()
}

/// One way of a daemon's route, ordered, so that the order in which the daemon wrote them does not count.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct WayOf {
    key: (Family, u32, ipnet::IpNet, u8, u32),
    owner: (u8, u8, u8),
    way: Way,
}

impl WayOf {
    fn new(route: &Route, link: Option<u32>, gateway: Option<IpAddr>) -> Self {
        Self {
            key: (route.family, route.table, route.destination, route.tos, route.metric),
            owner: (route.protocol, route.scope, route.kind),
            way: (link, gateway),
        }
    }

    fn all(host: &Snapshot, route: &Route) -> Vec<Self> {
        let ways = ways(host, route).into_iter();
        ways.map(|(link, gateway)| Self::new(route, link, gateway)).collect()
    }

    fn into_route(self) -> Route {
        let (family, table, destination, tos, metric) = self.key;
        let (protocol, scope, kind) = self.owner;
        Route {
            family,
            destination,
            source: None,
            tos,
            table,
            protocol,
            scope,
            kind,
            flags: 0,
            metric,
            link: self.way.0,
            gateway: self.way.1,
            preferred_source: None,
            nexthop: None,
            hops: Vec::new(),
            metrics: Attributes::new(),
            expires_s: Volatile(None),
            extra: Attributes::new(),
        }
    }
}

fn by_link(a: &Address, b: &Address) -> Ordering {
    (a.link, a.family).cmp(&(b.link, b.family))
}

fn same_address(a: &Address, b: &Address) -> bool {
    (a.own(), a.prefix_length, a.address) == (b.own(), b.prefix_length, b.address)
}

fn by_route_key(a: &Route, b: &Route) -> Ordering {
    route_key(a).cmp(&route_key(b))
}

/// One object of two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair<'a, T> {
    /// Only in the first.
    First(&'a T),
    /// Only in the second.
    Second(&'a T),
    /// In both, equal or not.
    Both(&'a T, &'a T),
}

/// Pairs two lists that are sorted by the key `order`; within a key, objects belong together if they are `same`.
pub(crate) fn pairs<'a, T>(
    first: &'a [T],
    second: &'a [T],
    order: impl Fn(&T, &T) -> Ordering,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Pair<'a, T>> {
    let mut found = Vec::with_capacity(first.len().max(second.len()));
    let (mut i, mut j) = (0, 0);
    while i < first.len() || j < second.len() {
        let next = match (first.get(i), second.get(j)) {
            (Some(a), Some(b)) => order(a, b),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let key = if next == Ordering::Greater {
            &second[j]
        } else {
            &first[i]
        };
        let length = |list: &[T]| list.iter().take_while(|x| order(x, key) == Ordering::Equal).count();
        let (a, b) = (&first[i..], &second[j..]);
        let (a, b) = (&a[..length(a)], &b[..length(b)]);
        pair_group(a, b, &same, &mut found);
        (i, j) = (i + a.len(), j + b.len());
    }
    found
}

fn pair_group<'a, T>(a: &'a [T], b: &'a [T], same: &impl Fn(&T, &T) -> bool, found: &mut Vec<Pair<'a, T>>) {
    let mut taken = vec![false; b.len()];
    for x in a {
        let partner = (0..b.len()).find(|&k| !taken[k] && same(x, &b[k]));
        match partner {
            Some(k) => {
                taken[k] = true;
                found.push(Pair::Both(x, &b[k]));
            }
            None => found.push(Pair::First(x)),
        }
    }
    let left = b.iter().zip(&taken).filter(|(_, taken)| !**taken);
    found.extend(left.map(|(y, _)| Pair::Second(y)));
}

/// The differences of one kind. Partners that stand in another order are compared by position instead.
fn kind<T: Clone + PartialEq>(
    before: &[T],
    after: &[T],
    order: impl Fn(&T, &T) -> Ordering,
    same: impl Fn(&T, &T) -> bool,
    wrap: impl Fn(T) -> Object,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let paired = pairs(before, after, &order, &same);
    for group in paired.chunk_by(|x, y| order(any(x), any(y)) == Ordering::Equal) {
        for pair in group {
            match pair {
                Pair::First(x) => found.push(Difference::Missing(wrap((*x).clone()))),
                Pair::Second(y) => found.push(Difference::Extra(wrap((*y).clone()))),
                Pair::Both(x, y) if x != y => found.push(changed(*x, *y, &wrap)),
                Pair::Both(..) => {}
            }
        }
        found.extend(reordered(group, &wrap));
    }
    found
}

fn any<'a, T>(pair: &Pair<'a, T>) -> &'a T {
    match pair {
        Pair::First(x) | Pair::Second(x) | Pair::Both(x, _) => x,
    }
}

fn changed<T: Clone>(x: &T, y: &T, wrap: &impl Fn(T) -> Object) -> Difference {
    Difference::Changed {
        before: wrap(x.clone()),
        after: wrap(y.clone()),
    }
}

/// Partners of one key whose order changed: what stood and what stands at each position that differs.
fn reordered<T: Clone>(group: &[Pair<'_, T>], wrap: &impl Fn(T) -> Object) -> Vec<Difference> {
    let both: Vec<(&T, &T)> = group
        .iter()
        .filter_map(|p| match p {
            Pair::Both(x, y) => Some((*x, *y)),
            Pair::First(_) | Pair::Second(_) => None,
        })
        .collect();
    // Partners lie in one slice each, so the address of an element is its position.
    let mut now: Vec<&T> = both.iter().map(|(_, y)| *y).collect();
    now.sort_by_key(|y| std::ptr::from_ref(*y));
    let moved = both
        .iter()
        .zip(now)
        .filter(|((_, own), there)| !std::ptr::eq(*own, *there));
    moved.map(|((x, _), there)| changed(*x, there, wrap)).collect()
}

/// What is told apart from others of its kind: a delete that names the one hits the other if they are the same.
pub trait Identity {
    /// Whether two have one identity.
    #[must_use]
    fn is_same(&self, other: &Self) -> bool;
}

impl Identity for Link {
    fn is_same(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Identity for Address {
    fn is_same(&self, other: &Self) -> bool {
        by_link(self, other).is_eq() && same_address(self, other)
    }
}

impl Identity for Nexthop {
    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Identity for Route {
    fn is_same(&self, other: &Self) -> bool {
        by_route_key(self, other).is_eq() && route::same(self, other)
    }
}

impl Identity for Rule {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Identity for Neighbour {
    fn is_same(&self, other: &Self) -> bool {
        same_neighbour(self, other)
    }
}

impl Identity for Qdisc {
    fn is_same(&self, other: &Self) -> bool {
        (self.link, self.parent) == (other.link, other.parent)
    }
}

impl Identity for Filter {
    fn is_same(&self, other: &Self) -> bool {
        (self.attach, self.chain, self.preference) == (other.attach, other.chain, other.preference)
    }
}

impl Identity for Sysctl {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Whether two objects are of one kind and have one identity.
#[must_use]
pub fn same_identity(a: &Object, b: &Object) -> bool {
    match (a, b) {
        (Object::Link(x), Object::Link(y)) => x.is_same(y),
        (Object::Address(x), Object::Address(y)) => x.is_same(y),
        (Object::Nexthop(x), Object::Nexthop(y)) => x.is_same(y),
        (Object::Route(x), Object::Route(y)) => x.is_same(y),
        (Object::Rule(x), Object::Rule(y)) => x.is_same(y),
        (Object::Neighbour(x), Object::Neighbour(y)) => x.is_same(y),
        (Object::Qdisc(x), Object::Qdisc(y)) => x.is_same(y),
        (Object::Filter(x), Object::Filter(y)) => x.is_same(y),
        (Object::Sysctl(x), Object::Sysctl(y)) => x.is_same(y),
        (
            Object::Link(_)
            | Object::Address(_)
            | Object::Nexthop(_)
            | Object::Route(_)
            | Object::Rule(_)
            | Object::Neighbour(_)
            | Object::Qdisc(_)
            | Object::Filter(_)
            | Object::Sysctl(_),
            _,
        ) => false,
    }
}

impl fmt::Display for Difference {
    /// One line: `- ` for missing, `+ ` for extra, `~ ` for changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(object) => write!(f, "- {object}"),
            Self::Extra(object) => write!(f, "+ {object}"),
            Self::Changed { before, after } if same_identity(before, after) => {
                write!(f, "~ {before} is now {after}")
            }
            Self::Changed { before, after } => write!(f, "~ where {before} stood there is now {after}"),
        }
    }
}
