//! Detours: what our own tables say in the place of a route with legs on both sides of a section.
//!
//! IPv4 throws a lookup's result away by the link of the route's first leg (`fib4_rule_suppress()` in
//! `net/ipv4/fib_rules.c`) and chooses the leg afterwards (`fib_select_path()` in `net/ipv4/fib_semantics.c`): with a first
//! leg outside the sealed links all legs would be used, with a first leg inside none. Equal default routes over gateways
//! are legs in this sense, because the next is taken where the first one's gateway is dead (`fib_select_default()`). IPv6
//! chooses first, and would throw away what its hash sends to a sealed leg, though others are open.
//!
//! So a detour answers for the whole place of such a route, its destination: with the open legs alone where there are
//! any, and where all are sealed with `throw`, as the section itself passes on to the next rule what leads over sealed
//! links. What is more specific is asked for in the table itself, before; what of that is passed on stands in ours as a
//! `throw`, or the wider detour would take it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::ours::is_our_route;
use super::reachability::gateways_of;
use super::routes::nowhere;
use crate::model::object::{Attributes, Family, Hop, Nexthop, OUR_PROTOCOL, Route, Volatile};
use crate::model::snapshot::Snapshot;

/// What [`Ground::places_max`] is where there is room: as many as a packet's lookup may have to pass.
pub const PLACES_MAX: usize = 256;
/// Routes that one detour may have: mostly what leads over sealed links within a wider route with open legs.
pub const ROUTES_MAX: usize = 4096;

/// Routes beyond that which are named.
const NAMED_MAX: usize = 16;
/// RTNH_F_ONLINK: a gateway was checked when its route was made, and must not be looked up through a seal.
const FLAG_ONLINK: u8 = 4;
/// NHA_ENCAP_TYPE and NHA_ENCAP, and what a route calls them: RTA_ENCAP_TYPE and RTA_ENCAP.
const ENCAP: [(u16, u16); 2] = [(7, 21), (8, 22)];

/// The routes as they stand, and what cuts take of them.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Routes, nexthop objects and links.
    pub host: &'a Snapshot,
    /// Routes that are withdrawn.
    pub withdrawn: &'a [Route],
    /// Links that are down.
    pub down: &'a BTreeSet<u32>,
    /// How many places a section may have rules for, each counted once a rule that looks its table up.
    pub places_max: usize,
}

/// Where rules have to lead into a detour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which packets, by destination.
    pub to: IpNet,
    /// And by type of service, if not whatever it is.
    pub tos: BTreeSet<u8>,
}

/// A route with legs on both sides, or one of several that are legs of one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The first of its place that has a leg.
    pub route: Route,
    /// The links of all legs of the place, in the kernel's order.
    pub legs: Vec<u32>,
}

/// The detour around one table of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detour {
    /// The places, the most specific first.
    pub places: Vec<Place>,
    /// What our table holds.
    pub routes: Vec<Route>,
    /// The routes that it goes around, by place.
    pub around: BTreeMap<IpNet, Split>,
    /// Those that were too many, the first of them.
    pub left_out: Vec<Split>,
    /// Whether some of what leads over sealed links is not passed on, because it was too much.
    pub is_short: bool,
}

/// What a detour is made of: the table of others, ours, the links that its section refuses, and how many places it may have.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The family.
    pub family: Family,
    /// The table of others.
    pub around: u32,
    /// Our table.
    pub table: u32,
    /// The links.
    pub sealed: &'a BTreeSet<u32>,
    /// How many places at most.
    pub places_max: usize,
}

impl Detour {
    /// The detour that one table needs; an empty one where no route has legs on both sides.
    pub fn new(ground: Ground, wanted: Wanted) -> Self {
        let mut detour = Self::default();
        if wanted.around == Route::TABLE_LOCAL || wanted.sealed.is_empty() {
            return detour;
        }
        let maker = Maker::new(ground, wanted);
        let mut split: Vec<&[Route]> = maker.places().filter(|place| maker.is_split(place)).collect();
        split.sort_by_key(|place| (place[0].destination.prefix_len(), place[0].destination));
        for (at, place) in split.iter().enumerate() {
            let all = maker.competing(place);
            let to = place[0].destination;
            match maker.split(&all) {
                Some(split) if at < wanted.places_max => {
                    detour.around.insert(to, split);
                    detour.routes.extend(maker.image(&all));
                    detour.places.push(Place { to, tos: tos(&all) });
                }
                Some(split) if at < wanted.places_max.saturating_add(NAMED_MAX) => detour.left_out.push(split),
                Some(_) | None => {}
            }
        }
        if !detour.places.is_empty() {
            maker.pass_on(&mut detour);
        }
        detour.places.reverse();
        detour
    }
}

/// The types of service that a place has routes for; none if it has one for whatever it is.
fn tos(all: &[&Route]) -> BTreeSet<u8> {
    let tos: BTreeSet<u8> = all.iter().map(|r| r.tos).collect();
    if tos.contains(&0) { BTreeSet::new() } else { tos }
}

struct Maker<'a> {
    ground: Ground<'a>,
    wanted: Wanted<'a>,
    /// Of each nexthop object: many routes use one.
    objects: BTreeMap<u32, Sides>,
}

impl<'a> Maker<'a> {
    fn new(ground: Ground<'a>, wanted: Wanted<'a>) -> Self {
        let mut maker = Self {
            ground,
            wanted,
            objects: BTreeMap::new(),
        };
        let links = |id: u32| maker.of_object(id).into_iter().map(|leg| leg.link);
        let all = ground.host.nexthops.iter();
        maker.objects = all.map(|n| (n.id, maker.sides_of(links(n.id)))).collect();
        maker
    }

    /// What stands for each destination, in the kernel's order; never nothing.
    fn places(&self) -> impl Iterator<Item = &'a [Route]> + use<'a> {
        let key = (self.wanted.family, self.wanted.around);
        let all = &self.ground.host.routes;
        let start = all.partition_point(|r| (r.family, r.table) < key);
        let end = start + all[start..].partition_point(|r| (r.family, r.table) == key);
        all[start..end].chunk_by(|a, b| a.destination == b.destination)
    }

    /// What of a place is others', and stays.
    fn competing(&self, place: &'a [Route]) -> Vec<&'a Route> {
        let counts = |r: &&Route| !is_our_route(r) && !self.ground.withdrawn.contains(r);
        place.iter().filter(counts).collect()
    }

    fn is_split(&self, place: &'a [Route]) -> bool {
        let is_plain = |r: &Route| r.nexthop.is_none() && r.hops.is_empty();
        if place.len() < 2 && place.iter().all(is_plain) || is_of_link(place[0].destination.addr()) {
            return false;
        }
        // By its source a packet may go to a shorter destination; no rule can tell, and IPv6 leaks nothing.
        if place.iter().any(|r| r.source.is_some_and(|s| s.prefix_len() > 0)) {
            return false;
        }
        let mut unicast = self.competing(place);
        unicast.retain(|r| r.kind == Route::UNICAST);
        let of_both = |a: &Route, b: &Route| {
            let [a, b] = [a, b].map(|r| self.sides(r));
            a.sealed && b.open || a.open && b.sealed
        };
        let pairs = |a: &&Route| unicast.iter().any(|b| self.takes_over(a, b) && of_both(a, b));
        unicast.iter().any(|r| of_both(r, r) || pairs(r))
    }

    /// Whether the kernel may take another route of a place for this one.
    fn takes_over(&self, route: &Route, other: &Route) -> bool {
        match route.family {
            Family::V4 => {
                let gateways = |r: &Route| !gateways_of(r, self.ground.host).is_empty();
                route.destination.prefix_len() == 0
                    && (route.metric == other.metric || route.tos != other.tos)
                    && gateways(route)
                    && gateways(other)
            }
            Family::V6 => route.metric == other.metric,
        }
    }

    fn split(&self, all: &[&Route]) -> Option<Split> {
        let links = |r: &Route| self.legs(r).into_iter().map(|leg| leg.link).collect::<Vec<_>>();
        let first = all.iter().find(|r| !links(r).is_empty())?;
        Some(Split {
            route: (*first).clone(),
            legs: all.iter().flat_map(|r| links(r)).collect(),
        })
    }

    /// The place as it is without sealed legs. Two routes may be the same without them.
    fn image(&self, all: &[&Route]) -> Vec<Route> {
        let classes = all.chunk_by(|a, b| (a.tos, a.metric) == (b.tos, b.metric));
        let mut image: Vec<Route> = Vec::new();
        for route in classes.flat_map(|class| self.image_of_class(class)) {
            if !image.contains(&route) {
                image.push(route);
            }
        }
        image
    }

    /// Routes of one preference: IPv4 takes the first that is alive, but for default routes over gateways; IPv6 any.
    fn image_of_class(&self, class: &[&Route]) -> Vec<Route> {
        let alive: Vec<&Route> = class.iter().copied().filter(|r| self.is_alive(r)).collect();
        let Some(first) = alive.first() else {
            return Vec::new();
        };
        if first.kind != Route::UNICAST {
            return vec![self.of_another_kind(first)];
        }
        let takes_over = |r: &&&Route| r.kind == Route::UNICAST && self.takes_over(first, r);
        let equals = alive[1..].iter().filter(takes_over).copied();
        let open: Vec<(&Route, Vec<Hop>)> = std::iter::once(*first)
            .chain(equals)
            .map(|r| (r, self.open_legs(r)))
            .filter(|(_, legs)| !legs.is_empty())
            .collect();
        match self.wanted.family {
            _ if open.is_empty() => vec![self.pass(first)],
            Family::V4 => open.into_iter().map(|(r, legs)| self.over(r, legs)).collect(),
            Family::V6 => {
                let model = open[0].0;
                vec![self.over(model, together(open.into_iter().flat_map(|(_, legs)| legs)))]
            }
        }
    }

    /// A route whose links are all down is dead, and the next one decides.
    fn is_alive(&self, route: &Route) -> bool {
        let legs = self.legs(route);
        legs.is_empty() || legs.iter().any(|leg| self.is_up(leg.link))
    }

    fn is_up(&self, link: u32) -> bool {
        !self.ground.down.contains(&link) && self.ground.host.link(link).is_some_and(|l| l.up)
    }

    fn open_legs(&self, route: &Route) -> Vec<Hop> {
        let mut legs = self.legs(route);
        legs.retain(|leg| !self.wanted.sealed.contains(&leg.link) && self.is_up(leg.link));
        legs
    }

    /// What goes over a link to this host or to many is open or sealed as a whole; what leads nowhere leads there.
    fn of_another_kind(&self, route: &Route) -> Route {
        if self.sides(route).sealed {
            return self.pass(route);
        }
        self.ours(route)
    }

    fn pass(&self, route: &Route) -> Route {
        Route {
            tos: route.tos,
            metric: route.metric,
            ..nowhere(self.wanted.table, route.destination, Route::THROW)
        }
    }

    fn ours(&self, route: &Route) -> Route {
        Route {
            table: self.wanted.table,
            protocol: OUR_PROTOCOL,
            expires_s: Volatile(None),
            ..route.clone()
        }
    }

    fn over(&self, route: &Route, legs: Vec<Hop>) -> Route {
        let mut route = Route {
            flags: 0,
            nexthop: None,
            link: None,
            gateway: None,
            hops: Vec::new(),
            ..self.ours(route)
        };
        match <[Hop; 1]>::try_from(legs) {
            Ok([leg]) => {
                route.link = Some(leg.link);
                route.gateway = leg.gateway;
                route.flags = u32::from(leg.flags);
                route.extra.extend(leg.extra);
            }
            Err(legs) => route.hops = legs,
        }
        route
    }

    fn sides(&self, route: &Route) -> Sides {
        match route.nexthop {
            Some(id) => self.objects.get(&id).copied().unwrap_or_default(),
            None => self.sides_of(route.links()),
        }
    }

    fn sides_of(&self, links: impl Iterator<Item = u32>) -> Sides {
        let mut sides = Sides::default();
        for link in links {
            match self.wanted.sealed.contains(&link) {
                true => sides.sealed = true,
                false => sides.open = true,
            }
        }
        sides
    }

    /// The legs of a route in their order, with the nexthop object's members in its place.
    fn legs(&self, route: &Route) -> Vec<Hop> {
        if let Some(id) = route.nexthop {
            return self.of_object(id);
        }
        let own = route.link.map(|link| leg(link, route.gateway, 0, Attributes::new()));
        let hops = route
            .hops
            .iter()
            .map(|h| leg(h.link, h.gateway, h.hops, h.extra.clone()));
        own.into_iter().chain(hops).collect()
    }

    fn of_object(&self, id: u32) -> Vec<Hop> {
        let object = |id: u32| self.ground.host.nexthop(id);
        let Some(nexthop) = object(id) else {
            return Vec::new();
        };
        let members = nexthop
            .group
            .iter()
            .filter_map(|(id, weight)| object(*id).zip(Some(*weight)));
        let all = std::iter::once((nexthop, 0)).chain(members);
        all.filter_map(|(nexthop, weight)| of_nexthop(nexthop, weight))
            .collect()
    }

    /// `throw` for all within the places that the section would pass on to the next rule.
    fn pass_on(&self, detour: &mut Detour) {
        let mut within: BTreeMap<u8, BTreeSet<IpNet>> = BTreeMap::new();
        for place in &detour.places {
            within.entry(place.to.prefix_len()).or_default().insert(place.to);
        }
        let is_within = |net: &IpNet| {
            within.range(..net.prefix_len()).any(|(length, places)| {
                let wider = IpNet::new(net.addr(), *length).map(|n| n.trunc());
                wider.is_ok_and(|n| places.contains(&n))
            })
        };
        let passed_on = |r: &&Route| r.kind == Route::THROW || (self.sides(r).sealed && self.is_alive(r));
        for place in self.places() {
            let to = place[0].destination;
            if detour.around.contains_key(&to) || !is_within(&to) {
                continue;
            }
            let sources: BTreeSet<_> = place.iter().filter(passed_on).map(|r| r.source).collect();
            for source in sources {
                if detour.routes.len() >= ROUTES_MAX {
                    detour.is_short = true;
                    return;
                }
                let route = nowhere(self.wanted.table, to, Route::THROW);
                detour.routes.push(Route { source, ..route });
            }
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Sides {
    sealed: bool,
    open: bool,
}

/// Link-local and multicast addresses mean nothing without a link, so routes to them do not compete.
fn is_of_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_multicast(),
        IpAddr::V6(a) => a.is_unicast_link_local() || a.is_multicast(),
    }
}

fn leg(link: u32, gateway: Option<IpAddr>, weight: u8, extra: Attributes) -> Hop {
    Hop {
        link,
        hops: weight,
        flags: if gateway.is_some() { FLAG_ONLINK } else { 0 },
        gateway,
        extra,
    }
}

/// A nexthop object as a leg. A route counts weights up to 256, a group further.
fn of_nexthop(nexthop: &Nexthop, weight: u16) -> Option<Hop> {
    let encap = |(object, route): (u16, u16)| nexthop.extra.get(&object).map(|value| (route, value.clone()));
    let extra = ENCAP.into_iter().filter_map(encap).collect();
    let weight = u8::try_from(weight).unwrap_or(u8::MAX);
    nexthop.link.map(|link| leg(link, nexthop.gateway, weight, extra))
}

/// IPv6 makes one route of several only if all have gateways (`rt6_qualify_for_ecmp()`).
fn together(legs: impl Iterator<Item = Hop>) -> Vec<Hop> {
    let mut legs: Vec<Hop> = legs.collect();
    if legs.iter().any(|leg| leg.gateway.is_none()) {
        legs.truncate(1);
    }
    legs
}
