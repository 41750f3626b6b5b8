//! Routes come back in dependency order and, among equals, in the baseline's order.

use std::collections::{BTreeSet, VecDeque};

use ipnet::IpNet;

use crate::model::change::Change;
use crate::model::diff::{Identity as _, Pair, diff_by_meaning, is_kept_by_a_daemon, pairs};
use crate::model::effect::route::{add_batch, check, delete_batch, refusals, same};
use crate::model::object::{Address, Family, Route};
use crate::model::receipt::{Clash, Conflict};
use crate::model::snapshot::{Difference, Object, Snapshot, route_key};

use super::super::ours;
use super::Work;
use super::lost::{Lost, by_route_key};

/// RT_SCOPE_LINK and RT_SCOPE_HOST.
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;

/// Routes that are still to be added.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Those that compete for one place, in their order.
    queues: Vec<VecDeque<Route>>,
    /// Those that must stand before others that survived.
    bundles: Vec<Bundle>,
}

/// Equals that come into the baseline's order by taking some out and adding them anew. They go in one send, which the
/// kernel carries out whole, so that no crash leaves a route out that no cut took.
#[derive(Debug)]
struct Bundle {
    out: Vec<Route>,
    back: Vec<Route>,
}

impl Rest {
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.bundles.is_empty()
    }
}

/// Takes away the connected routes that the kernel made of addresses when links came up, and that somebody had removed before
/// the cut: clients of DHCP do, to give the link a metric of their own.
pub(super) fn unmake(work: &mut Work, lost: &Lost) {
    let now = &work.state;
    let made = now.routes.iter().filter(|r| is_made_by_raising(r, lost, now));
    let deletes: Vec<Change> = made.map(|r| Change::Delete(Object::Route(r.clone()))).collect();
    work.stage("remove routes of addresses that were not there", deletes);
}

/// Whether the kernel made this connected route because a cut's link came up again, or got its carrier back from one that did.
pub(super) fn is_made_by_raising(route: &Route, lost: &Lost, now: &Snapshot) -> bool {
    let is_connected = route.protocol == Route::PROTOCOL_KERNEL && route.kind == Route::UNICAST;
    let Some(index) = route.link.filter(|_| is_connected) else {
        return false;
    };
    // Of a link without carrier, or an address in detection, the kernel had not made all; of moving routes not all were read.
    let had_them = lost.target.link(index).is_some_and(|l| l.up && l.carrier.0) && !lost.target.moving;
    let was_there = |r: &Route| r.link == route.link && by_route_key(r, route).is_eq();
    let makes = |a: &&Address| {
        let subnet = IpNet::new(a.address, a.prefix_length);
        a.link == index && subnet.is_ok_and(|net| net.contains(&route.destination.addr()))
    };
    let mut makers = lost.target.addresses.iter().filter(makes).peekable();
    let mut makers_now = now.addresses.iter().filter(makes);
    had_them
        && lost.brings(index)
        && lost.link_here(now, index).is_some()
        && !lost.target.routes.iter().any(was_there)
        && makers.peek().is_some()
        && makers.all(|a| !a.tentative.0)
        && makers_now.all(|a| lost.target.addresses.iter().any(|t| t.is_same(a)))
}

/// Puts back what can be put back at once. Answers with what must wait for an address to become usable.
pub(super) fn put_back(work: &mut Work, lost: &Lost) -> Rest {
    let missing = not_back_by_meaning(work, lost);
    let mut rest = in_order(work, lost, &missing);
    add_what_can_be(work, &mut rest);
    rest
}

/// Once addresses are usable: what is refused now needs what somebody took away.
pub(super) fn put_back_late(work: &mut Work, mut rest: Rest) {
    loop {
        add_what_can_be(work, &mut rest);
        if rest.is_empty() {
            return;
        }
        let mut stuck: Vec<Route> = rest.queues.iter_mut().filter_map(VecDeque::pop_front).collect();
        for bundle in &mut rest.bundles {
            let refused = |r: &Route| check(&work.state, r).is_err();
            let (out, back): (Vec<_>, Vec<_>) = std::mem::take(&mut bundle.back).into_iter().partition(refused);
            bundle.back = back;
            stuck.extend(out);
        }
        for (route, errno) in refusals(&work.state, stuck) {
            work.conflict(Object::Route(route), Clash::NeedsWhatIsGone { errno });
        }
    }
}

fn add_what_can_be(work: &mut Work, rest: &mut Rest) {
    loop {
        let heads = add_heads(work, &mut rest.queues);
        let bundles = reorder(work, &mut rest.bundles);
        if heads == Progress::None && bundles == Progress::None {
            break;
        }
    }
    rest.queues.retain(|q| !q.is_empty());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Some,
    None,
}

/// Carries out the bundles of which the kernel would take every route.
fn reorder(work: &mut Work, bundles: &mut Vec<Bundle>) -> Progress {
    let (ready, later): (Vec<_>, Vec<_>) = std::mem::take(bundles)
        .into_iter()
        .partition(|b| b.back.iter().all(|r| check(&work.state, r).is_ok()));
    *bundles = later;
    let progress = if ready.is_empty() {
        Progress::None
    } else {
        Progress::Some
    };
    for Bundle { mut out, back } in ready {
        out.retain(|r| back.contains(r));
        delete_batch(&mut work.state, &out);
        let out = out.into_iter().map(|r| Change::Delete(Object::Route(r)));
        let mut changes: Vec<Change> = out.collect();
        for route in back {
            let (added, _) = add_batch(&mut work.state, vec![route]);
            changes.extend(added.into_iter().map(|r| Change::Add(Object::Route(r))));
        }
        work.push("bring equal routes into their order", changes);
    }
    progress
}

/// Adds the first of every queue, stage by stage, and says whether any was taken.
fn add_heads(work: &mut Work, queues: &mut [VecDeque<Route>]) -> Progress {
    let mut any = Progress::None;
    for (stage, summary) in STAGES {
        let heads: Vec<Route> = queues
            .iter()
            .filter_map(|q| q.front())
            .filter(|r| stage_of(r) == stage)
            .cloned()
            .collect();
        if heads.is_empty() {
            continue;
        }
        let (added, refused) = add_batch(&mut work.state, heads);
        let refused: BTreeSet<_> = refused.iter().map(|(r, _)| route_key(r)).collect();
        for queue in queues.iter_mut() {
            if queue
                .front()
                .is_some_and(|r| stage_of(r) == stage && !refused.contains(&route_key(r)))
            {
                queue.pop_front();
            }
        }
        if !added.is_empty() {
            any = Progress::Some;
        }
        work.push(
            summary,
            added.into_iter().map(|r| Change::Add(Object::Route(r))).collect(),
        );
    }
    any
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Host,
    Direct,
    Gateway,
}

/// What a gateway is reached through stands before what goes through it.
const STAGES: [(Stage, &str); 3] = [
    (Stage::Host, "put routes to this host back"),
    (Stage::Direct, "put routes to links back"),
    (Stage::Gateway, "put routes through gateways back"),
];

fn stage_of(route: &Route) -> Stage {
    let through = route.gateways().next().is_some() || route.nexthop.is_some();
    match (route.family, route.scope) {
        (Family::V4, SCOPE_HOST) => Stage::Host,
        (Family::V4, SCOPE_LINK) => Stage::Direct,
        (Family::V4 | Family::V6, _) if through => Stage::Gateway,
        (Family::V4 | Family::V6, _) => Stage::Direct,
    }
}

/// The lost routes that are not there, not even as their daemon would write them, and that the kernel does not make.
pub(super) fn not_back_by_meaning(work: &Work, lost: &Lost) -> Vec<Route> {
    let paired = pairs(&lost.objects.routes, &work.state.routes, by_route_key, same);
    let mut missing: Vec<Route> = paired
        .into_iter()
        .filter_map(|pair| match pair {
            Pair::First(route) => Some(route),
            Pair::Second(_) | Pair::Both(..) => None,
        })
        .filter(|r| lost.gone_link(&work.state, &Object::Route((*r).clone())).is_none())
        .filter(|r| !is_the_kernels(work, r) && as_legs(&work.state, r).is_none())
        .cloned()
        .collect();
    if missing.iter().any(|r| is_kept_by_a_daemon(r.protocol)) {
        missing.retain(|r| !is_kept_by_a_daemon(r.protocol) || !is_back(work, lost, r));
    }
    missing
}

/// The route of which this one is legs now: the kernel makes one of IPv6 routes of a place that go through gateways.
fn as_legs<'a>(state: &'a Snapshot, route: &Route) -> Option<&'a Route> {
    let leg = |link, gateway| (link, gateway);
    let wanted: Vec<_> = match (route.family, route.nexthop, route.hops.is_empty()) {
        (Family::V4, _, _) | (Family::V6, Some(_), _) => return None,
        (Family::V6, None, true) => vec![leg(route.link?, route.gateway)],
        (Family::V6, None, false) => route.hops.iter().map(|h| leg(h.link, h.gateway)).collect(),
    };
    let has = |r: &Route| {
        let legs: Vec<_> = r.hops.iter().map(|h| leg(h.link, h.gateway)).collect();
        r.kind == route.kind && legs.len() > wanted.len() && wanted.iter().all(|w| legs.contains(w))
    };
    of_key(&state.routes, route).iter().find(|r| has(r))
}

/// Routes that are back, but not alone in their place: others put a route there that goes before, or one of which they are
/// legs now.
pub(super) fn behind_others(after: &Snapshot, lost: &Lost) -> Vec<Conflict> {
    let known = |r: &Route| of_key(&lost.target.routes, r).iter().any(|t| same(t, r));
    let mut found = Vec::new();
    for route in &lost.objects.routes {
        let in_place = of_key(&after.routes, route);
        let theirs = |r: &&Route| {
            let their_own = is_kept_by_a_daemon(route.protocol) && r.protocol == route.protocol;
            !known(r) && !their_own && r.protocol != Route::PROTOCOL_KERNEL && !ours::is_our_route(r)
        };
        let before = in_place.iter().position(|r| same(r, route));
        let first = before.and_then(|at| in_place[..at].iter().find(theirs));
        let other = first.or_else(|| as_legs(after, route).filter(|r| !known(r)).filter(|_| before.is_none()));
        if let Some(other) = other {
            found.push(Conflict {
                object: Object::Route(route.clone()),
                why: Clash::BesideOthers {
                    with: Object::Route(other.clone()),
                },
            });
        }
    }
    found
}

/// Whether every way of a daemon's route is there, whatever its nexthop id is now.
fn is_back(work: &Work, lost: &Lost, route: &Route) -> bool {
    let only = |routes: Vec<Route>, of: &Snapshot| Snapshot {
        routes,
        nexthops: of.nexthops.clone(),
        ..Snapshot::default()
    };
    let rivals = work
        .state
        .routes
        .iter()
        .filter(|r| by_route_key(r, route).is_eq())
        .cloned();
    let now = only(rivals.collect(), &work.state);
    let then = only(vec![route.clone()], &lost.target);
    let gone = |d: &Difference| matches!(d, Difference::Missing(Object::Route(_)));
    !diff_by_meaning(&then, &now).iter().any(gone)
}

/// Routes that only the kernel can make, of an address or of the link itself: adding one would leave two. What the kernel
/// makes at once, when an address or a link comes, is there already or was taken out to put equals in order.
fn is_the_kernels(work: &Work, route: &Route) -> bool {
    let source = route.preferred_source;
    let from_gone = source.is_some_and(|s| !work.state.addresses.iter().any(|a| a.own() == s));
    let by_kernel = route.protocol == Route::PROTOCOL_KERNEL;
    match route.family {
        Family::V4 => by_kernel && from_gone,
        Family::V6 => by_kernel && !is_connected(&work.state, route),
    }
}

/// Whether it is the route to the subnet of an IPv6 address without a lifetime, which has no hidden flags
/// (`addrconf_prefix_route()`), so that it can be added as the kernel made it.
pub(super) fn is_connected(state: &Snapshot, route: &Route) -> bool {
    let of = |a: &Address| a.permanent && route.link == Some(a.link) && route.destination.contains(&a.own());
    let plain = route.kind == Route::UNICAST && route.table == Route::TABLE_MAIN && route.expires_s.0.is_none();
    plain && state.addresses.iter().any(of)
}

/// What to add, and what to take out first because it would otherwise stand before what the baseline has before it.
fn in_order(work: &Work, lost: &Lost, missing: &[Route]) -> Rest {
    let mut rest = Rest::default();
    let touched = |r: &Route, list: &[Route]| list.binary_search_by(|x| by_route_key(x, r)).is_ok();
    let wanted: Vec<&[Route]> = lost
        .target
        .routes
        .chunk_by(|a, b| by_route_key(a, b).is_eq())
        .filter(|group| touched(&group[0], &lost.objects.routes))
        .collect();
    for group in wanted {
        let missing = of_key(missing, &group[0]);
        let (out, back) = regroup(&work.state, group, missing);
        match (out.is_empty(), back.is_empty()) {
            (_, true) => {}
            (true, false) => rest.queues.push(back.into()),
            (false, false) => rest.bundles.push(Bundle { out, back }),
        }
    }
    rest
}

/// The routes of a sorted list that compete with this one.
pub(super) fn of_key<'a>(list: &'a [Route], route: &Route) -> &'a [Route] {
    let start = list.partition_point(|r| by_route_key(r, route).is_lt());
    let length = list[start..].partition_point(|r| by_route_key(r, route).is_le());
    &list[start..start + length]
}

/// Brings one group of equals into the baseline's order with as few changes as appending allows.
///
/// What the kernel or a router's advertisement made for IPv6 is never taken out: it would come back as something else.
fn regroup(state: &Snapshot, wanted: &[Route], missing: &[Route]) -> (Vec<Route>, Vec<Route>) {
    let now = of_key(&state.routes, &wanted[0]);
    let has = |list: &[Route], r: &Route| list.iter().any(|x| same(x, r));
    let known: Vec<&Route> = now.iter().filter(|r| has(wanted, r)).collect();
    let goal: Vec<&Route> = wanted.iter().filter(|r| has(missing, r) || has(now, r)).collect();
    let in_place = known.iter().zip(&goal).take_while(|(a, b)| same(a, b)).count();
    let rest = &goal[in_place..];
    if rest.iter().any(|r| has(now, r) && is_fixed(state, r)) {
        return (Vec::new(), missing.to_vec());
    }
    let out = rest.iter().filter(|r| has(now, r));
    (out.copied().cloned().collect(), rest.iter().copied().cloned().collect())
}

/// Whether a route would come back as something else if it were taken out.
fn is_fixed(state: &Snapshot, route: &Route) -> bool {
    let hidden = match route.protocol {
        Route::PROTOCOL_RA => true,
        Route::PROTOCOL_KERNEL => !is_connected(state, route),
        _ => false,
    };
    route.family == Family::V6 && hidden
}

/// Whether equals of a route stay in the order in which they come back, because one of them cannot be taken out.
pub(super) fn has_fixed_order(state: &Snapshot, route: &Route) -> bool {
    let rivals = of_key(&state.routes, route);
    rivals.len() > 1 && rivals.iter().any(|r| is_fixed(state, r))
}
