//! A baseline that grows: a cut that begins while others are in force may take what came after the baseline.

use std::collections::BTreeSet;

use crate::model::cut::Cut;
use crate::model::diff::same_identity;
use crate::model::object::{Address, Family, Link};
use crate::model::snapshot::{Object, Snapshot};

use super::super::ours;
use super::lost::Lost;

/// The baseline with what this cut will take and the baseline does not have, or has otherwise: objects that others made
/// or changed on the host since. Without it they could not be put back. The cut itself must not stand yet.
#[must_use]
pub fn grown(baseline: &Snapshot, host: &Snapshot, cut: &Cut) -> Snapshot {
    let lost = Lost::to(host, std::slice::from_ref(cut), &[]);
    let mut grown = baseline.clone();
    for index in &lost.raised {
        if let Some(link) = host.link(*index) {
            take_in_link(&mut grown, link);
        }
    }
    let altered = lost.altered.into_iter().map(|(there, _)| there);
    let taken: Vec<Object> = lost
        .objects
        .objects()
        .chain(altered)
        .filter(|o| !is_known(&grown, o))
        .collect();
    for object in taken {
        take_in(&mut grown, object);
    }
    in_order(&mut grown.addresses, &baseline.addresses, &host.addresses);
    grown.sort();
    grown
}

/// Among equals the kernel prefers the first, and a restore keeps the baseline's order. That is the order of the host now;
/// where a link has lost addresses it tells nothing, and what is new stands before what is known of its scope, as
/// `ipv6_link_dev_addr()` places it.
fn in_order(addresses: &mut [Address], known: &[Address], now: &[Address]) {
    let place = |list: &[Address], a: &Address| list.iter().position(|x| x == a);
    let lost: BTreeSet<(u32, Family)> = addresses
        .iter()
        .filter(|a| place(now, a).is_none())
        .map(|a| (a.link, a.family))
        .collect();
    addresses.sort_by_key(|a| match lost.contains(&(a.link, a.family)) {
        false => (a.link, a.family, 0, place(now, a)),
        // None, for what is not known, comes before Some.
        true => (a.link, a.family, a.scope, place(known, a)),
    });
}

/// A link that is up comes up again; a group of ours is no group to go back to.
fn take_in_link(grown: &mut Snapshot, link: &Link) {
    let known = grown.links.iter_mut().find(|l| l.index == link.index);
    match known {
        Some(known) => {
            let group = if ours::is_our_group(link.group) {
                known.group
            } else {
                link.group
            };
            *known = Link { group, ..link.clone() };
        }
        None => grown.links.push(link.clone()),
    }
}

fn is_known(grown: &Snapshot, object: &Object) -> bool {
    match object {
        Object::Link(_) => true,
        Object::Address(x) => grown.addresses.contains(x),
        Object::Nexthop(x) => grown.nexthops.contains(x),
        Object::Route(x) => grown.routes.contains(x),
        Object::Rule(x) => grown.rules.contains(x),
        Object::Neighbour(x) => grown.neighbours.contains(x),
        Object::Qdisc(x) => grown.qdiscs.contains(x),
        Object::Filter(x) => grown.filters.contains(x),
        Object::Sysctl(x) => grown.sysctls.contains(x),
    }
}

fn take_in(grown: &mut Snapshot, object: Object) {
    let same = |known: Object| same_identity(&known, &object);
    match &object {
        Object::Link(_) => {}
        Object::Address(x) => put(&mut grown.addresses, x, |k| same(Object::Address(k.clone()))),
        Object::Nexthop(x) => put(&mut grown.nexthops, x, |k| same(Object::Nexthop(k.clone()))),
        Object::Route(x) => put(&mut grown.routes, x, |k| same(Object::Route(k.clone()))),
        Object::Rule(x) => put(&mut grown.rules, x, |k| same(Object::Rule(k.clone()))),
        Object::Neighbour(x) => put(&mut grown.neighbours, x, |k| same(Object::Neighbour(k.clone()))),
        Object::Qdisc(x) => put(&mut grown.qdiscs, x, |k| same(Object::Qdisc(k.clone()))),
        Object::Filter(x) => put(&mut grown.filters, x, |k| same(Object::Filter(k.clone()))),
        Object::Sysctl(x) => put(&mut grown.sysctls, x, |k| same(Object::Sysctl(k.clone()))),
    }
}

fn put<T: Clone>(list: &mut Vec<T>, new: &T, same: impl Fn(&T) -> bool) {
    match list.iter_mut().find(|known| same(known)) {
        Some(known) => *known = new.clone(),
        None => list.push(new.clone()),
    }
}
