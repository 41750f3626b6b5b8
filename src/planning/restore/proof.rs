//! What is wrong after a restore, and whose doing it is.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::model::change::Change;
use crate::model::cut::Cut;
use crate::model::diff::{Ways, diff, is_kept_by_a_daemon, is_temporary, same_identity};
use crate::model::effect;
use crate::model::object::{Address, Attach, Family, Route, Rule};
use crate::model::policy::Method;
use crate::model::receipt::{Clash, Conflict, Receipt};
use crate::model::snapshot::{Difference, Object, Snapshot};

use super::super::ours;
use super::lost::Lost;

/// What is left wrong after a restore.
///
/// Compares `after` with the baseline as the remaining cuts leave it. Every difference is named once: a residue is ours to
/// put right, what others changed is kept, a conflict is what theirs forbids, and what nobody can recreate was said
/// before the cut. `before_restore` is the host before its first change.
pub fn receipt(
    baseline: &Snapshot,
    before_restore: &Snapshot,
    after: &Snapshot,
    ended: &[Cut],
    remaining: &[Cut],
) -> Receipt {
    let mut lost = Lost::to(baseline, ended, remaining);
    let mut target = expected(&lost.target, after, remaining);
    let whole = target.digest();
    if lost.follow_names(after) {
        target = expected(&lost.target, after, remaining);
    }
    let mut conflicts = super::put_back(after, &lost, Vec::new()).conflicts;
    conflicts.extend(super::routes::behind_others(after, &lost));
    conflicts.extend(swept_away(before_restore, after));
    let judge = Judge {
        lost: &lost,
        before_restore,
        after,
        named: conflicts.iter().map(|c| c.object.to_string()).collect(),
        ended,
        conflicts: &conflicts,
        target: &target,
        ways_then: Ways::of(&target),
        ways_now: Ways::of(after),
        earlier: earlier(baseline, ended),
    };
    let mut receipt = Receipt {
        baseline: whole,
        after: after.digest(),
        moving: baseline.moving || after.moving,
        residues: Vec::new(),
        foreign: Vec::new(),
        conflicts: conflicts.clone(),
        not_recreated: Vec::new(),
        unshown: super::unshown::left(&lost, after),
        to_come: to_come(&lost, after).into_iter().map(Object::Address).collect(),
    };
    let mut following = Vec::new();
    for difference in diff(&target, after) {
        match judge.whose(&difference) {
            Whose::Ours => receipt.residues.push(difference),
            Whose::Theirs if judge.follows_from_addresses(&difference) => following.push(difference),
            Whose::Theirs => receipt.foreign.push(difference),
            Whose::Named => {}
            Whose::Nobodys => receipt.not_recreated.push(difference),
        }
    }
    receipt.residues.extend(left_of_ours(baseline, after, remaining));
    // What follows from something that is named is not named again; with nothing named it is what differs.
    let lists = [&receipt.residues, &receipt.foreign, &receipt.not_recreated];
    if receipt.conflicts.is_empty() && lists.iter().all(|list| list.is_empty()) {
        receipt.foreign = following;
    }
    receipt
}

/// What stands of ours and what the remaining cuts do not want: the ended one's.
fn left_of_ours(baseline: &Snapshot, after: &Snapshot, remaining: &[Cut]) -> Vec<Difference> {
    // Without cuts all that is ours is a difference from the target already; cuts that contradict one another were refused.
    let desired = match remaining {
        [] => return Vec::new(),
        cuts => super::super::desired_on(&super::super::with_new_links(baseline, after), after, cuts),
    };
    let steps = desired
        .map(|desired| super::super::steps(after, &desired))
        .unwrap_or_default();
    let (mut deleted, mut added) = (Vec::new(), BTreeSet::new());
    for change in steps.into_iter().flat_map(|s| s.changes) {
        match change {
            Change::Delete(object) => deleted.push(object),
            Change::Add(object) => drop(added.insert(object.to_string())),
            Change::SetLink { .. } | Change::SetSysctl(_) => {}
        }
    }
    // What is only moved, or comes and goes with the steps, is not left over.
    deleted.retain(|object| is_ours(object) && !added.contains(&object.to_string()));
    deleted.into_iter().map(Difference::Extra).collect()
}

/// The link-local addresses that the kernel will make of links without the carrier that they had: somebody had removed them,
/// or the link had another hardware address then. A link that never had one gets its address as it would without a cut.
fn to_come(lost: &Lost, after: &Snapshot) -> Vec<Address> {
    let was_ready = |index: u32| {
        let mut of_kernel = lost.target.routes.iter().filter(|r| super::lost::is_of_kernel_v6(r));
        of_kernel.any(|r| r.link == Some(index) && r.destination.addr().is_multicast())
    };
    let waits = |index: u32| lost.has_no_carrier(after, index) && was_ready(index);
    let links = after.links.iter().filter(|l| waits(l.index));
    let made = links.filter_map(|link| effect::link_local_to_come(after, link));
    let is_known = |address: &Address| {
        let mut known = lost.target.addresses.iter().chain(&after.addresses);
        known.any(|a| (a.link, a.own()) == (address.link, address.own()))
    };
    made.filter(|address| !is_known(address)).collect()
}

/// Filters of others in blocks of ours, which go with the last link that is bound to them.
fn swept_away(before_restore: &Snapshot, after: &Snapshot) -> Vec<Conflict> {
    let theirs = before_restore.filters.iter().filter(|f| !ours::is_our_filter(f));
    let stands = |block: u32| {
        let mut bound = after.qdiscs.iter();
        bound.any(|q| q.ingress_block == Some(block) || q.egress_block == Some(block))
    };
    let swept = theirs.filter(|f| match f.attach {
        Attach::Block(block) => ours::Pair::of_block(block).is_some() && !stands(block),
        Attach::Ingress(_) | Attach::Egress(_) | Attach::Other(..) => false,
    });
    let named = swept.map(|filter| Conflict {
        object: Object::Filter(filter.clone()),
        why: Clash::WentWithOurs,
    });
    named.collect()
}

fn is_ours(object: &Object) -> bool {
    match object {
        Object::Link(x) => ours::is_our_link(x),
        Object::Qdisc(x) => ours::is_our_qdisc(x),
        Object::Filter(x) => ours::is_our_filter(x),
        Object::Rule(x) => ours::is_our_rule(x),
        Object::Route(x) => ours::is_our_route(x),
        Object::Address(_) | Object::Nexthop(_) | Object::Neighbour(_) | Object::Sysctl(_) => false,
    }
}

/// The target with what the remaining cuts add: what is ours and stands is expected while any cut remains.
fn expected(target: &Snapshot, after: &Snapshot, remaining: &[Cut]) -> Snapshot {
    let mut expected = target.clone();
    if remaining.is_empty() {
        return expected;
    }
    // What an armed host has of ours before any cut is among them, on whatever blocks a cut put it.
    expected.links.retain(|l| !ours::is_our_link(l));
    expected.qdiscs.retain(|q| !ours::is_our_qdisc(q));
    expected.rules.retain(|r| !ours::is_our_rule(r));
    expected.sysctls.retain(|s| !ours::is_sysctl_of_our_link(s));
    expected
        .links
        .extend(after.links.iter().filter(|l| ours::is_our_link(l)).cloned());
    let sysctls = after.sysctls.iter().filter(|s| ours::is_sysctl_of_our_link(s));
    expected.sysctls.extend(sysctls.cloned());
    expected
        .qdiscs
        .extend(after.qdiscs.iter().filter(|q| ours::is_our_qdisc(q)).cloned());
    expected
        .filters
        .extend(after.filters.iter().filter(|f| ours::is_our_filter(f)).cloned());
    expected
        .rules
        .extend(after.rules.iter().filter(|r| ours::is_our_rule(r)).cloned());
    expected
        .routes
        .extend(after.routes.iter().filter(|r| ours::is_our_route(r)).cloned());
    for link in &mut expected.links {
        let group = after.link(link.index).map(|l| l.group);
        link.group = group.filter(|g| ours::is_our_group(*g)).unwrap_or(link.group);
    }
    let sealed = remaining.iter().any(|c| c.methods.contains(&Method::Seal));
    if sealed {
        expected
            .rules
            .retain(|r| !ours::is_local_rule(r) || after.rules.contains(r));
    }
    expected.sort();
    expected
}

/// Who answers for a difference.
enum Whose {
    Ours,
    Theirs,
    Named,
    Nobodys,
}

struct Judge<'a> {
    lost: &'a Lost,
    before_restore: &'a Snapshot,
    after: &'a Snapshot,
    ended: &'a [Cut],
    conflicts: &'a [Conflict],
    /// The objects of the conflicts, as text, which is lossless.
    named: BTreeSet<String>,
    /// As text, which is lossless.
    target: &'a Snapshot,
    ways_then: Ways,
    ways_now: Ways,
    /// What those took that ended before.
    earlier: Vec<Lost>,
}

fn earlier(baseline: &Snapshot, ended: &[Cut]) -> Vec<Lost> {
    let before = ended.split_last().map_or(&[][..], |(_, before)| before);
    before
        .iter()
        .map(|cut| Lost::to(baseline, std::slice::from_ref(cut), &[]))
        .collect()
}

impl Judge<'_> {
    fn whose(&self, difference: &Difference) -> Whose {
        if self.is_the_same_by_meaning(difference) {
            return Whose::Nobodys;
        }
        let named = |object: &Object| !self.named.is_empty() && self.named.contains(&object.to_string());
        match difference {
            Difference::Missing(object) | Difference::Changed { before: object, .. } if named(object) => Whose::Named,
            Difference::Missing(object) | Difference::Extra(object) if self.comes_with_a_carrier(object) => {
                Whose::Nobodys
            }
            Difference::Missing(object) => self.missing(object),
            Difference::Extra(object) => self.extra(object),
            Difference::Changed { before, after } if same_identity(before, after) => self.changed(before, after),
            Difference::Changed { before, .. } if self.stands_beside_a_conflict(before) => Whose::Named,
            Difference::Changed { before, .. } => self.moved(before),
        }
    }

    /// Whether only what was written differs: a daemon's route that leads where it did, a daemon's nexthop object, or an
    /// address that changes by itself.
    fn is_the_same_by_meaning(&self, difference: &Difference) -> bool {
        let is = |object: &Object, host: &Snapshot, ways: &Ways| match object {
            Object::Address(a) => is_temporary(a),
            Object::Route(r) => is_kept_by_a_daemon(r.protocol) && ways.have(host, r),
            Object::Nexthop(n) => is_kept_by_a_daemon(n.protocol),
            Object::Link(_)
            | Object::Rule(_)
            | Object::Neighbour(_)
            | Object::Qdisc(_)
            | Object::Filter(_)
            | Object::Sysctl(_) => false,
        };
        let is_still = |object: &Object| is(object, self.target, &self.ways_now);
        let was = |object: &Object| is(object, self.after, &self.ways_then);
        match difference {
            Difference::Missing(object) => is_still(object),
            Difference::Extra(object) => was(object),
            Difference::Changed { before, after } => is_still(before) && was(after),
        }
    }

    /// What the kernel makes of an address that the link had comes when the carrier does, if not already.
    fn comes_with_a_carrier(&self, object: &Object) -> bool {
        let Object::Route(route) = object else {
            return false;
        };
        let had = |index: u32| {
            let of = |a: &Address| a.link == index && route.destination.contains(&a.own());
            route.destination.addr().is_multicast() || self.lost.objects.addresses.iter().any(of)
        };
        let waits = |index: u32| self.lost.has_no_carrier(self.after, index) && had(index);
        super::lost::is_of_kernel_v6(route) && route.link.is_some_and(waits)
    }

    /// A route that the kernel makes of an address comes and goes with it, and with its detection: the address is named,
    /// if anybody changed it. A route that somebody took from an address which is there is named itself.
    fn follows_from_addresses(&self, difference: &Difference) -> bool {
        let (route, there) = match difference {
            Difference::Extra(Object::Route(route)) => (route, true),
            Difference::Missing(Object::Route(route)) => (route, false),
            Difference::Extra(_) | Difference::Missing(_) | Difference::Changed { .. } => return false,
        };
        let of = |a: &Address| {
            a.family == route.family
                && !a.tentative.0
                && route.link == Some(a.link)
                && (route.destination.contains(&a.own())
                    || route.destination.addr().is_multicast()
                    || route.preferred_source == Some(a.own()))
        };
        route.protocol == Route::PROTOCOL_KERNEL && self.after.addresses.iter().any(of) == there
    }

    fn missing(&self, object: &Object) -> Whose {
        let sealed = self.ended.last().is_some_and(|c| c.methods.contains(&Method::Seal));
        let moved = matches!(object, Object::Rule(rule) if sealed && *rule == Rule::local(rule.family));
        let taken = self.lost.took(object);
        if moved || taken || self.is_armed(object) {
            self.ours_unless_consequence(object)
        } else {
            Whose::Theirs
        }
    }

    /// What an armed host has of ours, where nothing of others stands in its way.
    fn is_armed(&self, object: &Object) -> bool {
        match object {
            Object::Link(link) => ours::is_our_link(link),
            Object::Rule(rule) => ours::is_armed_rule(rule),
            Object::Qdisc(qdisc) => {
                let mut there = self.after.qdiscs.iter().filter(|q| !ours::is_our_qdisc(q));
                let stands = self.after.link(qdisc.link).is_some();
                let taken = there.any(|q| (q.link, q.parent) == (qdisc.link, qdisc.parent));
                ours::is_our_qdisc(qdisc) && stands && !taken
            }
            Object::Address(_)
            | Object::Nexthop(_)
            | Object::Route(_)
            | Object::Neighbour(_)
            | Object::Filter(_)
            | Object::Sysctl(_) => false,
        }
    }

    /// A route that the kernel makes of an address is missing because somebody removed the address.
    fn ours_unless_consequence(&self, object: &Object) -> Whose {
        let Object::Route(route) = object else {
            return Whose::Ours;
        };
        if self.is_of_a_conflict(route) {
            return Whose::Named;
        }
        let source = route.preferred_source.unwrap_or_else(|| route.destination.addr());
        let had = self.lost.target.addresses.iter().any(|a| a.own() == source);
        let lost_by_cut = self.lost.objects.addresses.iter().any(|a| a.own() == source);
        let gone = !self.before_restore.addresses.iter().any(|a| a.own() == source);
        let of_kernel = route.protocol == Route::PROTOCOL_KERNEL;
        let mut privacy = self.lost.objects.addresses.iter().filter(|a| is_temporary(a));
        if of_kernel && privacy.any(|a| a.own() == source) {
            return Whose::Nobodys;
        }
        if of_kernel && had && gone && !lost_by_cut {
            Whose::Theirs
        } else {
            Whose::Ours
        }
    }

    /// What the kernel makes of IPv6 addresses that are conflicts, or for a link on which others switched IPv6 off since.
    fn is_of_a_conflict(&self, route: &Route) -> bool {
        let Some(index) = route.link.filter(|_| super::lost::is_of_kernel_v6(route)) else {
            return false;
        };
        let speaks = |host: &Snapshot| host.link(index).is_some_and(|l| effect::speaks_v6(host, l));
        let of = |a: &&Address| {
            let subnet = IpNet::new(a.address, a.prefix_length).map(|net| net.trunc());
            let anycast = subnet.is_ok_and(|net| net.addr() == route.destination.addr());
            a.link == index && (route.destination.contains(&a.own()) || anycast)
        };
        let is_conflict = |a: &Address| {
            let mut objects = self.conflicts.iter().map(|c| &c.object);
            objects.any(|o| matches!(o, Object::Address(x) if x == a))
        };
        let mut makers = self.lost.target.addresses.iter().filter(of).peekable();
        let switched_off = speaks(&self.lost.target) && !speaks(self.after);
        switched_off || (makers.peek().is_some() && makers.all(is_conflict))
    }

    /// Ours if it carries our mark, or if the kernel made it while links came up.
    fn extra(&self, object: &Object) -> Whose {
        let made = match object {
            Object::Route(x) => self.made_by_raising(x) || super::routes::is_made_by_raising(x, self.lost, self.after),
            Object::Address(x) => super::addresses::is_made_by_raising(x, self.lost, self.after),
            Object::Link(_)
            | Object::Nexthop(_)
            | Object::Rule(_)
            | Object::Neighbour(_)
            | Object::Qdisc(_)
            | Object::Filter(_)
            | Object::Sysctl(_) => false,
        };
        if is_ours(object) || made {
            Whose::Ours
        } else {
            Whose::Theirs
        }
    }

    fn made_by_raising(&self, route: &Route) -> bool {
        let raised = |l: u32| self.lost.raised.contains(&l) && self.lost.link_here(self.after, l).is_some();
        let raised = route.link.is_some_and(raised);
        let was_there = self.before_restore.routes.contains(route);
        let copy = |r: &Route| {
            (r.family, r.table, r.destination, r.link) == (route.family, route.table, route.destination, route.link)
        };
        raised && !was_there && route.family == Family::V6 && self.lost.objects.routes.iter().any(copy)
    }

    fn changed(&self, before: &Object, after: &Object) -> Whose {
        if let (Object::Link(then), Object::Link(now)) = (before, after) {
            // Another link with the index of one that is gone is somebody else's doing.
            let left_down =
                !now.up && then.up && self.lost.raised.contains(&then.index) && super::lost::is_same_link(then, now);
            let left_in_group = ours::is_our_group(now.group);
            return if left_down || left_in_group {
                Whose::Ours
            } else {
                Whose::Theirs
            };
        }
        if super::quick::is_left(after) {
            return Whose::Ours;
        }
        let left = |(target, taken): &(Object, Object)| same_identity(target, before) && taken == after;
        // A group without a member may be what a cut left of it; one that no cut took from, somebody else shrank.
        let mut taken_from = self
            .lost
            .altered
            .iter()
            .chain(self.earlier.iter().flat_map(|l| &l.altered));
        let shrunk = match (before, after) {
            (Object::Nexthop(whole), Object::Nexthop(now)) => {
                super::nexthops::is_shrunk(now, whole) && taken_from.any(|(target, _)| same_identity(target, before))
            }
            _ => false,
        };
        let ours = self.lost.altered.iter().any(left) || shrunk;
        if ours { Whose::Ours } else { Whose::Theirs }
    }

    fn stands_beside_a_conflict(&self, object: &Object) -> bool {
        self.conflicts.iter().any(|c| match (&c.object, object) {
            (Object::Route(x), Object::Route(y)) => super::lost::by_route_key(x, y).is_eq(),
            (Object::Address(x), Object::Address(y)) => (x.link, x.family) == (y.link, y.family),
            _ => false,
        })
    }

    /// Equals that changed places: ours if one of them was lost, but for IPv6 routes that the kernel makes itself.
    fn moved(&self, before: &Object) -> Whose {
        match before {
            Object::Route(r) => {
                let same_place = |x: &Route| super::lost::by_route_key(x, r).is_eq();
                let taken = self.lost.objects.routes.iter().any(same_place);
                let before = self.earlier.iter().any(|l| l.objects.routes.iter().any(same_place));
                let fixed = [&self.lost.target, self.after]
                    .iter()
                    .any(|s| super::routes::has_fixed_order(s, r));
                match (taken, fixed) {
                    (true, false) => Whose::Ours,
                    (true, true) => Whose::Nobodys,
                    (false, true) if before => Whose::Nobodys,
                    (false, true | false) => Whose::Theirs,
                }
            }
            Object::Address(a) => {
                let beside = |x: &Address| (x.link, x.family) == (a.link, a.family);
                let taken = self.lost.objects.addresses.iter().any(beside);
                // IPv4 addresses stay on a link that is down, where others may put them in another order.
                let stayed = a.family == Family::V4 && self.before_restore.addresses.contains(a);
                if taken && !stayed { Whose::Ours } else { Whose::Theirs }
            }
            Object::Rule(_)
            | Object::Link(_)
            | Object::Nexthop(_)
            | Object::Neighbour(_)
            | Object::Qdisc(_)
            | Object::Filter(_)
            | Object::Sysctl(_) => Whose::Theirs,
        }
    }
}
