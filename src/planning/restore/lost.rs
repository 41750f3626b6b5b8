//! What cuts took from the baseline: they are carried out on it in the model, and what is missing then is theirs.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::model::change::{Change, LinkSetting};
use crate::model::cut::Cut;
use crate::model::diff::{Pair, diff, is_kept_by_a_daemon, is_temporary, pairs};
use crate::model::effect;
use crate::model::object::{Family, Link, Neighbour, Route, Sysctl};
use crate::model::policy::Method;
use crate::model::snapshot::{Difference, Object, Snapshot, route_key};
use crate::model::sysctl;

use super::super::ours::is_our_route;
use super::super::resolve::widen;
use super::routes::{has_fixed_order, of_key};

/// What the ended cuts took and the remaining ones do not hold.
#[derive(Debug)]
pub(super) struct Lost {
    /// Where the host goes: the baseline as the remaining cuts leave it.
    pub target: Snapshot,
    /// Objects of the target that the ended cuts took away, as the target has them.
    pub objects: Snapshot,
    /// Objects that the ended cuts changed: as the target has them, and as the cuts left them.
    pub altered: Vec<(Object, Object)>,
    /// Links to set up again, lower devices first.
    pub raised: Vec<u32>,
}

impl Lost {
    /// What must come back when the last of `ended` ends, those before it have ended already, and those remain.
    pub fn to(baseline: &Snapshot, ended: &[Cut], remaining: &[Cut]) -> Self {
        let mut target = baseline.clone();
        // What is ours is laid or cleared away by what the cuts want: it is nothing that they could lose, or go back to.
        target.routes.retain(|r| !is_our_route(r));
        take(&mut target, remaining);
        let held: Vec<u32> = raised(baseline, &target);
        let mut bottom = target.clone();
        let (before, now) = ended.split_at(ended.len().saturating_sub(1));
        take(&mut bottom, now);
        let mut lost = Self {
            objects: Snapshot::default(),
            altered: Vec::new(),
            raised: raised(&target, &bottom),
            target,
        };
        lost.take_next_hops_of_carriers(&mut bottom);
        let needs_held = |object: &Object| links_of(object).iter().any(|index| held.contains(index));
        let mut later = Vec::new();
        for difference in diff(&lost.target, &bottom) {
            match difference {
                Difference::Missing(object) if needs_held(&object) => later.push(object),
                Difference::Missing(object) => lost.note(object),
                Difference::Changed { before, after } => lost.altered.push((before, after)),
                Difference::Extra(_) => {}
            }
        }
        lost.note_what_was_left(&bottom, before);
        for object in later {
            lost.leave_for_later(&object);
        }
        lost
    }

    /// A link that stands on one that is set down loses its carrier, and the kernel throws its next hops out, with all that hangs
    /// on them (`nh_netdev_event()` in `net/ipv4/nexthop.c`), when it tells of that.
    fn take_next_hops_of_carriers(&self, bottom: &mut Snapshot) {
        let goes = |index: u32| !self.raised.contains(&index) && self.takes_carrier(index);
        let dead: Vec<_> = bottom
            .nexthops
            .iter()
            .filter(|n| n.link.is_some_and(goes))
            .cloned()
            .collect();
        for nexthop in dead {
            let gone = effect::apply(bottom, &Change::Delete(Object::Nexthop(nexthop)));
            debug_assert!(gone.is_ok(), "{gone:?}");
        }
    }

    /// Whether the ended cuts set down what gave this link its carrier: its lower device, or every port that had one.
    fn takes_carrier(&self, index: u32) -> bool {
        let Some(link) = self.target.link(index).filter(|l| l.up && l.carrier.0) else {
            return false;
        };
        let mut ports = self
            .target
            .links
            .iter()
            .filter(|l| l.master == Some(index) && l.up && l.carrier.0)
            .peekable();
        let by_ports = ports.peek().is_some() && ports.all(|port| self.raised.contains(&port.index));
        link.lower.is_some_and(|lower| self.raised.contains(&lower)) || by_ports
    }

    /// The sysctls of links by the names that these have now: a rename carries them along. Says whether any was renamed.
    pub fn follow_names(&mut self, now: &Snapshot) -> bool {
        let links = self.target.links.iter();
        let here = links.filter_map(|then| Some((then, self.link_here(now, then.index)?)));
        let renamed = here.filter(|(then, now)| then.name != now.name);
        let names: Vec<(String, String)> = renamed
            .map(|(then, now)| (then.name.to_string(), now.name.to_string()))
            .collect();
        let follow = |sysctl: &mut Sysctl| {
            let name = names
                .iter()
                .find_map(|(then, now)| renamed_sysctl(&sysctl.name, then, now));
            sysctl.name = name.unwrap_or_else(|| std::mem::take(&mut sysctl.name));
        };
        if names.is_empty() {
            return false;
        }
        self.target.sysctls.iter_mut().for_each(follow);
        self.objects.sysctls.iter_mut().for_each(follow);
        let altered = self.altered.iter_mut().flat_map(|(then, taken)| [then, taken]);
        for object in altered {
            if let Object::Sysctl(sysctl) = object {
                follow(sysctl);
            }
        }
        self.target.sort();
        true
    }

    /// What the ending cut left a part of, and those that ended before took the rest of: it could not come back then.
    fn note_what_was_left(&mut self, bottom: &Snapshot, before: &[Cut]) {
        if before.is_empty() || self.raised.is_empty() {
            return;
        }
        let mut rest = bottom.clone();
        take(&mut rest, before);
        for difference in diff(bottom, &rest) {
            let Difference::Missing(left) = difference else {
                continue;
            };
            if !links_of(&left).iter().any(|index| self.raised.contains(index)) {
                continue;
            }
            let whole = self.altered.iter().position(|(_, altered)| *altered == left);
            let whole = whole.map(|at| self.altered.remove(at).0);
            self.note(whole.unwrap_or(left));
        }
        self.objects.sort();
    }

    /// A multipath route that has lost every leg cannot come back while a remaining cut holds one of its links.
    fn leave_for_later(&mut self, object: &Object) {
        if let Object::Route(route) = object {
            effect::route::delete_batch(&mut self.target, std::slice::from_ref(route));
        }
    }

    fn note(&mut self, object: Object) {
        let of = &mut self.objects;
        match object {
            Object::Link(x) => of.links.push(x),
            Object::Address(x) => of.addresses.push(x),
            Object::Nexthop(x) => of.nexthops.push(x),
            Object::Route(x) => of.routes.push(x),
            Object::Rule(x) => of.rules.push(x),
            Object::Neighbour(x) => of.neighbours.push(x),
            Object::Qdisc(x) => of.qdiscs.push(x),
            Object::Filter(x) => of.filters.push(x),
            Object::Sysctl(x) => of.sysctls.push(x),
        }
    }

    /// Whether the ended cuts took an object of this identity.
    pub fn took(&self, object: &Object) -> bool {
        let taken = &self.objects;
        match object {
            Object::Route(x) => of_key(&taken.routes, x).iter().any(|r| effect::route::same(r, x)),
            Object::Address(x) => taken.addresses.iter().any(|a| a.link == x.link && a.own() == x.own()),
            Object::Nexthop(x) => taken.nexthops.iter().any(|n| n.id == x.id),
            Object::Neighbour(x) => taken.neighbours.iter().any(|n| effect::same_neighbour(n, x)),
            Object::Link(_) | Object::Rule(_) | Object::Qdisc(_) | Object::Filter(_) | Object::Sysctl(_) => false,
        }
    }

    /// The link that the object needs and that is gone, or whose index another link has now.
    pub fn gone_link(&self, now: &Snapshot, object: &Object) -> Option<u32> {
        links_of(object)
            .into_iter()
            .find(|index| self.link_here(now, *index).is_none())
    }

    /// The link of this index, if it is still the one that the target knows by it.
    pub fn link_here<'a>(&self, now: &'a Snapshot, index: u32) -> Option<&'a Link> {
        let then = self.target.link(index)?;
        now.link(index).filter(|now| is_same_link(then, now))
    }
}

impl Lost {
    /// Whether the link was set down by the ended cuts, or stands on one that was: it got its carrier back, or its
    /// addresses, and the kernel makes sure of them anew.
    pub fn carries(&self, link: &Link) -> bool {
        let raised = |index: &u32| self.raised.contains(index);
        let port_raised = || {
            self.target
                .links
                .iter()
                .any(|l| l.master == Some(link.index) && raised(&l.index))
        };
        raised(&link.index) || link.lower.as_ref().is_some_and(raised) || port_raised()
    }

    /// Whether it is up and got its carrier back, or is about to, by what the ended cuts do no more.
    pub fn brings(&self, index: u32) -> bool {
        self.target.link(index).is_some_and(|l| l.up && self.carries(l))
    }

    /// Whether the link had a carrier; of one that nobody knows, whether it has.
    pub fn had_carrier(&self, link: &Link) -> bool {
        self.target.link(link.index).unwrap_or(link).carrier.0
    }

    /// Links that are up again, had a carrier and have none yet.
    pub fn carriers_to_come(&self, now: &Snapshot) -> Vec<u32> {
        let to_come = |l: &&Link| self.has_no_carrier(now, l.index) && l.carrier.0;
        self.target.links.iter().filter(to_come).map(|l| l.index).collect()
    }

    /// Whether the link came up again and has no carrier. What the kernel makes of its addresses comes with that.
    pub fn has_no_carrier(&self, now: &Snapshot, index: u32) -> bool {
        let waits = |link: &Link| link.up && !link.carrier.0;
        self.link_here(now, index).is_some_and(waits) && self.brings(index)
    }
}

/// The name of a sysctl of link `then` under the link's name now; none if it is not of that link.
fn renamed_sysctl(name: &str, then: &str, now: &str) -> Option<String> {
    let under = |family: &&str| name.strip_prefix(&sysctl::of_link(family, then, ""));
    let (family, key) = ["ipv4", "ipv6"].iter().find_map(|f| Some((f, under(f)?)))?;
    Some(sysctl::of_link(family, now, key))
}

/// The links without which an object cannot be.
pub(super) fn links_of(object: &Object) -> Vec<u32> {
    match object {
        Object::Address(x) => vec![x.link],
        Object::Nexthop(x) => x.link.into_iter().collect(),
        Object::Route(x) => x.links().collect(),
        Object::Neighbour(x) => vec![x.link],
        Object::Link(_) | Object::Rule(_) | Object::Qdisc(_) | Object::Filter(_) | Object::Sysctl(_) => Vec::new(),
    }
}

/// An index may be given to another link; a link may be renamed, or get another hardware address, but hardly both.
pub(super) fn is_same_link(a: &Link, b: &Link) -> bool {
    a.kind == b.kind && (a.name == b.name || (a.mac == b.mac && !a.mac.is_empty()))
}

/// Carries out what cuts take away: links down, routes withdrawn, and with these their owner's others of the same place,
/// which a withdrawal cannot tell apart. What they add is not looked at here.
pub(super) fn take(state: &mut Snapshot, cuts: &[Cut]) {
    for cut in cuts {
        if cut.methods.contains(&Method::Routes) {
            let places: BTreeSet<_> = cut.withdrawn.iter().map(|r| (route_key(r), r.protocol)).collect();
            state.routes.retain(|r| !places.contains(&(route_key(r), r.protocol)));
        }
        if cut.methods.contains(&Method::Link) {
            for (index, name) in &widen(cut, state).links {
                let down = Change::SetLink {
                    index: *index,
                    name: name.clone(),
                    setting: LinkSetting::Down,
                };
                if let Err(code) = effect::apply(state, &down) {
                    debug_assert_eq!(code, effect::errno::ENODEV, "a link that appeared after the baseline");
                }
            }
        }
    }
}

/// Links that are up in the target and not at the bottom, each behind the device below it.
fn raised(target: &Snapshot, bottom: &Snapshot) -> Vec<u32> {
    let down = |l: &&Link| bottom.link(l.index).is_some_and(|b| !b.up);
    let links: Vec<&Link> = target.links.iter().filter(|l| l.up).filter(down).collect();
    let mut indices: Vec<(usize, u32)> = links.iter().map(|l| (depth(target, l), l.index)).collect();
    indices.sort_unstable();
    indices.into_iter().map(|(_, index)| index).collect()
}

/// How many devices are stacked below; a veth's peer is beside it, not below.
fn depth(target: &Snapshot, link: &Link) -> usize {
    /// The kernel stacks at most eight (MAX_NEST_DEV in `include/linux/netdevice.h`).
    const NESTING_MAX: usize = 8;
    let below = |l: &Link| l.lower.filter(|_| l.kind.as_deref() != Some("veth"));
    let mut at = Some(link);
    let mut depth = 0;
    while let Some(next) = at.and_then(below)
        && depth < NESTING_MAX
    {
        depth += 1;
        at = target.link(next);
    }
    depth
}

/// Whether the kernel made this route, of an address or of a link that speaks IPv6.
pub(super) fn is_of_kernel_v6(route: &Route) -> bool {
    route.family == Family::V6 && route.protocol == Route::PROTOCOL_KERNEL
}

/// Links that the cut sets down and that have no carrier now: what the kernel makes of their IPv6 addresses comes back
/// with it, which may be long after the end.
#[must_use]
pub fn waiting_for_carriers(baseline: &Snapshot, cut: &Cut) -> Vec<u32> {
    let lost = Lost::to(baseline, std::slice::from_ref(cut), &[]);
    let made = |index: &u32| {
        let mut of_kernel = lost.objects.routes.iter().filter(|r| is_of_kernel_v6(r));
        of_kernel.any(|r| r.link == Some(*index))
    };
    let waits = |index: &u32| baseline.link(*index).is_some_and(|l| !l.carrier.0) && made(index);
    lost.raised.iter().copied().filter(waits).collect()
}

pub(super) fn pair_neighbours<'a>(lost: &'a [Neighbour], now: &'a [Neighbour]) -> Vec<Pair<'a, Neighbour>> {
    let by_target = |a: &Neighbour, b: &Neighbour| (a.link, a.family, a.address).cmp(&(b.link, b.family, b.address));
    pairs(lost, now, by_target, effect::same_neighbour)
}

pub(super) fn by_route_key(a: &Route, b: &Route) -> Ordering {
    route_key(a).cmp(&route_key(b))
}

/// What a cut takes that nobody can recreate exactly; it comes back by meaning, if at all.
///
/// Privacy addresses; routes of router advertisements, whose hidden flags are lost; routes and nexthops of daemons,
/// which put them back with other numbers; the order of IPv6 routes that the kernel makes of addresses.
#[must_use]
pub fn not_recreatable(baseline: &Snapshot, cut: &Cut) -> Vec<Object> {
    let lost = Lost::to(baseline, std::slice::from_ref(cut), &[]).objects;
    let privacy: Vec<_> = lost.addresses.iter().filter(|a| is_temporary(a)).cloned().collect();
    let of_daemon = |r: &Route| is_kept_by_a_daemon(r.protocol) && (r.family == Family::V6 || r.nexthop.is_some());
    let to_privacy = |r: &Route| r.kind == Route::LOCAL && privacy.iter().any(|a| r.destination.addr() == a.own());
    let ordered = |r: &Route| has_fixed_order(baseline, r);
    let unlike = |r: &&Route| of_daemon(r) || to_privacy(r) || ordered(r);
    let routes: Vec<_> = lost.routes.iter().filter(unlike).cloned().map(Object::Route).collect();
    let nexthops = lost.nexthops.into_iter().filter(|n| is_kept_by_a_daemon(n.protocol));
    let nexthops = nexthops.map(Object::Nexthop);
    privacy
        .into_iter()
        .map(Object::Address)
        .chain(nexthops)
        .chain(routes)
        .collect()
}
