//! From the detours that stand to those that must.
//!
//! A detour is laid before any rule leads into it and goes after the last. One that changes in place is out for a moment,
//! and what it carried is stopped until it is back: its rules let nothing past it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::desired::Desired;
use super::super::ours::{is_detour_table, is_our_route, is_our_rule};
use super::super::sections::looks_up;
use super::{Shift, add, delete};
use crate::model::object::{Family, Route};
use crate::model::snapshot::{Object, Snapshot};

/// What answers one destination.
type Place<'a> = (Family, u32, &'a IpNet, &'a Option<IpNet>);

/// The changes to detours.
pub(super) fn shift(now: &Snapshot, desired: &Desired) -> Shift {
    let mut shift = Shift::default();
    let present = desired.present.iter();
    let wanted = by_place(present.filter_map(super::routes::as_route));
    if now.routes.is_empty() {
        // They were not read. They stand unless nothing leads into them.
        let led_into = led_into(now);
        let unlaid = wanted.into_values().flatten();
        let unlaid = unlaid.filter(|r| !led_into.contains(&(r.family, r.table)));
        shift.lay.extend(unlaid.cloned().map(Object::Route).map(add));
        return shift;
    }
    let there = by_place(now.routes.iter());
    let gone = there.iter().filter(|(place, _)| !wanted.contains_key(*place));
    let gone = gone.flat_map(|(_, all)| all.iter().copied());
    shift.settle.extend(gone.cloned().map(Object::Route).map(delete));
    for (place, wanted) in wanted {
        let there = there.get(&place).map(Vec::as_slice).unwrap_or_default();
        if is_same(there, &wanted) {
            continue;
        }
        let old = there.iter().copied().cloned().map(Object::Route).map(delete);
        let new = wanted.into_iter().cloned().map(Object::Route).map(add);
        shift.lay.extend(old.chain(new));
    }
    shift
}

fn by_place<'a>(routes: impl Iterator<Item = &'a Route>) -> BTreeMap<Place<'a>, Vec<&'a Route>> {
    let mut places: BTreeMap<Place, Vec<&Route>> = BTreeMap::new();
    for route in routes.filter(|r| is_our_route(r) && is_detour_table(r.table)) {
        let place = (route.family, route.table, &route.destination, &route.source);
        places.entry(place).or_default().push(route);
    }
    places
}

/// The tables that rules of ours look up.
fn led_into(now: &Snapshot) -> BTreeSet<(Family, u32)> {
    let ours = now.rules.iter().filter(|r| is_our_rule(r));
    ours.filter_map(|r| Some((r.family, looks_up(r)?))).collect()
}

/// Whether the kernel shows for a place what we gave it. It may show more attributes, and IPv6 legs in an order of its own.
fn is_same(there: &[&Route], wanted: &[&Route]) -> bool {
    let shown = |routes: &[&Route]| {
        let mut all: Vec<_> = routes.iter().map(|r| shown(r)).collect();
        // Equals keep their order, as it decides.
        all.sort_by_key(|s| (s.0, s.1));
        all
    };
    shown(there) == shown(wanted)
}

type Shown = (u8, u32, u8, Option<IpAddr>, Vec<(u32, Option<IpAddr>, u8)>);

fn shown(route: &Route) -> Shown {
    let leads_nowhere = matches!(
        route.kind,
        Route::THROW | Route::BLACKHOLE | Route::UNREACHABLE | Route::PROHIBIT
    );
    let own = route.link.map(|link| (link, route.gateway, 0));
    let hops = route.hops.iter().map(|h| (h.link, h.gateway, h.hops));
    let mut legs: Vec<_> = own.into_iter().chain(hops).filter(|_| !leads_nowhere).collect();
    if route.family == Family::V6 {
        legs.sort_unstable();
    }
    (route.tos, route.metric, route.kind, route.preferred_source, legs)
}
