//! A baseline that grows: a cut that begins while others are in force may take what came after the baseline, and takes
//! nothing of what went since.

use std::collections::BTreeSet;

use crate::model::cut::Cut;
use crate::model::diff::Identity;
use crate::model::object::{Address, Link};
use crate::model::snapshot::{Object, Snapshot, route_key};

use super::super::ours;
use super::lost::{Lost, links_of, take};

/// The baseline with what this cut will take and the baseline does not have, or has otherwise: objects that others made
/// or changed on the host since. Without it they could not be put back. And without what others removed since: it would
/// be taken for the cut's doing, and put back. The cut itself must not stand yet; `standing` are those that do, and
/// `ended` those that ended beside them and may have left away what needs a link that those hold. What looks otherwise
/// because of them is no change of others: the baseline knows it whole.
#[must_use]
pub fn grown(baseline: &Snapshot, host: &Snapshot, cut: &Cut, standing: &[Cut], ended: &[Cut]) -> Snapshot {
    let mut known = baseline.clone();
    // What a partial reading lacks may be there.
    if !host.moving {
        for object in removed(baseline, host, cut, (standing, ended)) {
            drop_from(&mut known, &object);
        }
    }
    let down = set_down(baseline, host, cut, standing);
    let set_down = known.links.iter_mut().filter(|l| down.contains(&l.index));
    set_down.for_each(|l| l.up = false);
    taken_in(&known, host, cut, standing, ended).unwrap_or(known)
}

/// The half of it that only adds, for a cut that stands and takes more: none if it takes nothing.
#[must_use]
pub fn taken_in(baseline: &Snapshot, host: &Snapshot, cut: &Cut, standing: &[Cut], ended: &[Cut]) -> Option<Snapshot> {
    let lost = Lost::to(host, std::slice::from_ref(cut), &[]);
    let altered = lost.altered.iter().map(|(there, _)| there.clone());
    let objects: Vec<Object> = lost.objects.objects().chain(altered).collect();
    if lost.raised.is_empty() && objects.is_empty() {
        return None;
    }
    let mut grown = baseline.clone();
    for index in &lost.raised {
        if let Some(link) = host.link(*index) {
            take_in_link(&mut grown, link);
        }
    }
    let mut known = texts(&grown);
    for cuts in [standing.to_vec(), [standing, ended].concat()] {
        let mut left = baseline.clone();
        take(&mut left, &cuts);
        known.append(&mut texts(&left));
    }
    let is_new = |o: &Object| !matches!(o, Object::Link(_)) && !known.contains(&o.to_string());
    let taken: Vec<Object> = objects.into_iter().filter(is_new).collect();
    // A route over a link that came later can only come back to a link that is known.
    for index in taken.iter().flat_map(links_of) {
        if let Some(link) = host.link(index).filter(|_| grown.link(index).is_none()) {
            take_in_link(&mut grown, link);
        }
    }
    for object in taken {
        if let Object::Address(new) = &object {
            take_in_address(&mut grown, host, new);
        } else {
            take_in(&mut grown, object);
        }
    }
    grown.moving |= host.moving;
    grown.sort();
    Some(grown)
}

/// All that is there as text, which is lossless: to be looked up.
fn texts(state: &Snapshot) -> BTreeSet<String> {
    state.objects().map(|o| o.to_string()).collect()
}

/// What the cut would take of the baseline, if it were still there: not on the host, and no other cut's doing.
fn removed(baseline: &Snapshot, host: &Snapshot, cut: &Cut, (standing, ended): (&[Cut], &[Cut])) -> Vec<Object> {
    let lost = |cut: &Cut| Lost::to(baseline, std::slice::from_ref(cut), &[]);
    let took = |cuts: &[Cut]| -> Vec<Object> {
        let one_by_one = cuts.iter().map(lost);
        one_by_one
            .flat_map(|lost| lost.objects.objects().collect::<Vec<_>>())
            .collect()
    };
    let down: Vec<u32> = standing.iter().flat_map(|cut| lost(cut).raised).collect();
    let left = |object: &Object| links_of(object).iter().any(|index| down.contains(index));
    let others = took(standing).into_iter().chain(took(ended).into_iter().filter(left));
    let by_others: BTreeSet<String> = others.map(|o| o.to_string()).collect();
    let by_nobody = took(std::slice::from_ref(cut))
        .into_iter()
        .filter(|o| !by_others.contains(&o.to_string()));
    by_nobody.filter(|object| !is_there(host, object)).collect()
}

/// Whether the host has it. Routes are what is many, and stand in the order of their keys.
fn is_there(host: &Snapshot, object: &Object) -> bool {
    match object {
        Object::Route(route) => {
            let key = route_key(route);
            let from = host.routes.partition_point(|r| route_key(r) < key);
            let mut of_key = host.routes[from..].iter().take_while(|r| route_key(r) == key);
            of_key.any(|r| r.is_same(route))
        }
        Object::Link(x) => has(&host.links, x),
        Object::Address(x) => has(&host.addresses, x),
        Object::Nexthop(x) => has(&host.nexthops, x),
        Object::Rule(x) => has(&host.rules, x),
        Object::Neighbour(x) => has(&host.neighbours, x),
        Object::Qdisc(x) => has(&host.qdiscs, x),
        Object::Filter(x) => has(&host.filters, x),
        Object::Sysctl(x) => has(&host.sysctls, x),
    }
}

fn has<T: Identity>(list: &[T], wanted: &T) -> bool {
    list.iter().any(|x| x.is_same(wanted))
}

/// The links that the cut would set down and somebody else has set down already.
fn set_down(baseline: &Snapshot, host: &Snapshot, cut: &Cut, standing: &[Cut]) -> Vec<u32> {
    let taken = |cut: &Cut| Lost::to(baseline, std::slice::from_ref(cut), &[]).raised;
    let by_others: Vec<u32> = standing.iter().flat_map(taken).collect();
    let is_down = |index: &u32| host.link(*index).is_some_and(|l| !l.up);
    taken(cut)
        .into_iter()
        .filter(|index| is_down(index) && !by_others.contains(index))
        .collect()
}

fn drop_from(grown: &mut Snapshot, object: &Object) {
    match object {
        Object::Address(x) => grown.addresses.retain(|k| k != x),
        Object::Nexthop(x) => grown.nexthops.retain(|k| k != x),
        Object::Route(x) => grown.routes.retain(|k| k != x),
        Object::Neighbour(x) => grown.neighbours.retain(|k| k != x),
        Object::Link(_) | Object::Rule(_) | Object::Qdisc(_) | Object::Filter(_) | Object::Sysctl(_) => {}
    }
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
        None => {
            let group = if ours::is_our_group(link.group) { 0 } else { link.group };
            grown.links.push(Link { group, ..link.clone() });
        }
    }
}

/// A new address comes before the first known one that it stands before on the host. Among equals the kernel prefers the
/// first, and the known ones keep their order: one that another cut took is not on the host to be compared with.
fn take_in_address(grown: &mut Snapshot, host: &Snapshot, new: &Address) {
    if let Some(known) = grown.addresses.iter_mut().find(|a| a.is_same(new)) {
        *known = new.clone();
        return;
    }
    let place = |a: &Address| host.addresses.iter().position(|x| x == a);
    let beside = |a: &Address| (a.link, a.family) == (new.link, new.family);
    let behind = |a: &Address| beside(a) && place(a).is_some_and(|at| place(new).is_some_and(|new| new < at));
    let at = grown.addresses.iter().position(behind);
    grown.addresses.insert(at.unwrap_or(grown.addresses.len()), new.clone());
}

fn take_in(grown: &mut Snapshot, object: Object) {
    match object {
        Object::Link(_) | Object::Address(_) => {}
        Object::Nexthop(x) => put(&mut grown.nexthops, x),
        Object::Route(x) => put(&mut grown.routes, x),
        Object::Rule(x) => put(&mut grown.rules, x),
        Object::Neighbour(x) => put(&mut grown.neighbours, x),
        Object::Qdisc(x) => put(&mut grown.qdiscs, x),
        Object::Filter(x) => put(&mut grown.filters, x),
        Object::Sysctl(x) => put(&mut grown.sysctls, x),
    }
}

fn put<T: Identity>(list: &mut Vec<T>, new: T) {
    match list.iter_mut().find(|known| known.is_same(&new)) {
        Some(known) => *known = new,
        None => list.push(new),
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
            let known = grown(&baseline, &now, &second, std::slice::from_ref(&first), &[]);
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
        let known = grown(&baseline, &now, &second, &[first], &[]);
        assert!(known.to_string().contains("fd00:7::2"), "{known}");
    }
}
