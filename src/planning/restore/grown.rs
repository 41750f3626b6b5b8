//! A baseline that grows: a cut that begins while others are in force may take what came after the baseline.

use std::collections::BTreeSet;

use crate::model::cut::Cut;
use crate::model::diff::same_identity;
use crate::model::object::{Address, Family, Link};
use crate::model::snapshot::{Object, Snapshot};

use super::super::ours;
use super::lost::{Lost, take};

/// The baseline with what this cut will take and the baseline does not have, or has otherwise: objects that others made
/// or changed on the host since. Without it they could not be put back. The cut itself must not stand yet.
///
/// What looks otherwise because of the cuts that are `held`, or of those that ended while they were, is no change of
/// others: the baseline knows it whole.
#[must_use]
pub fn grown(baseline: &Snapshot, host: &Snapshot, held: &[Cut], ended: &[Cut], cut: &Cut) -> Snapshot {
    let left = [held.to_vec(), [held, ended].concat()].map(|cuts| {
        let mut left = baseline.clone();
        take(&mut left, &cuts);
        left
    });
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
        .filter(|o| !is_known(&grown, o) && !left.iter().any(|left| is_known(left, o)))
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

#[cfg(test)]
mod tests {
    use super::super::{receipt, restore};
    use super::*;
    use crate::model::change::{Change, LinkSetting};
    use crate::model::effect::{apply, settle};
    use crate::model::fixture::{address, group, host, must, nexthop, set, through};
    use crate::model::policy::Method;
    use crate::planning::tests::hosts::additive;

    /// A host whose route goes by a group of nexthop objects over two links.
    fn balanced() -> Snapshot {
        let mut state = host(2);
        let objects = [
            Object::Address(address(2, "10.0.0.2/24")),
            Object::Address(address(3, "10.0.1.2/24")),
            Object::Nexthop(nexthop(10, "10.0.0.1", 2)),
            Object::Nexthop(nexthop(11, "10.0.1.1", 3)),
            Object::Nexthop(group(20, &[10, 11])),
            Object::Route(through("10.60.0.0/16", 20)),
        ];
        objects.into_iter().for_each(|o| must(&mut state, &Change::Add(o)));
        settle(&mut state);
        state.sort();
        state
    }

    fn unplugs(state: &Snapshot, link: u32) -> Cut {
        let mut cut = additive(state).remove(0);
        cut.methods = [Method::Link].into();
        cut.reach = crate::model::cut::Reach::Links;
        cut.links = [(link, state.link(link).unwrap().name.clone())].into();
        cut
    }

    fn end(now: &mut Snapshot, baseline: &Snapshot, ended: &[Cut], remaining: &[Cut]) {
        let before = now.clone();
        let plan = restore(now, baseline, ended, remaining).unwrap();
        for change in plan.steps.iter().flat_map(|s| &s.changes) {
            assert!(apply(now, change).is_ok(), "{change:?}");
        }
        settle(now);
        assert!(receipt(baseline, &before, now, ended, remaining).is_clean());
    }

    #[test]
    fn a_group_that_an_earlier_cut_left_a_part_of_comes_back_whole_in_every_order() {
        let baseline = balanced();
        for (begin, ends) in [([2, 3], [2, 3]), ([2, 3], [3, 2]), ([3, 2], [2, 3]), ([3, 2], [3, 2])] {
            let [first, second] = begin.map(|link| unplugs(&baseline, link));
            let mut now = baseline.clone();
            must(&mut now, &set(begin[0], LinkSetting::Down));
            let known = grown(&baseline, &now, std::slice::from_ref(&first), &[], &second);
            assert_eq!(
                known.to_string(),
                baseline.to_string(),
                "{begin:?}: the part is no change of others"
            );
            must(&mut now, &set(begin[1], LinkSetting::Down));
            let [ended, last] = ends.map(|link| unplugs(&baseline, link));
            end(
                &mut now,
                &known,
                std::slice::from_ref(&ended),
                std::slice::from_ref(&last),
            );
            end(&mut now, &known, &[ended, last], &[]);
            assert_eq!(now.to_string(), baseline.to_string(), "{begin:?}, {ends:?}");
        }
    }

    #[test]
    fn what_others_changed_under_the_earlier_cut_is_known() {
        let baseline = balanced();
        let (first, second) = (unplugs(&baseline, 3), unplugs(&baseline, 2));
        let mut now = baseline.clone();
        must(&mut now, &set(3, LinkSetting::Down));
        must(&mut now, &Change::Add(Object::Address(address(2, "10.0.7.2/24"))));
        must(&mut now, &Change::Add(Object::Address(address(2, "fd00:7::2/64"))));
        settle(&mut now);
        let known = grown(&baseline, &now, &[first], &[], &second);
        assert!(known.to_string().contains("fd00:7::2"), "{known}");
    }
}
