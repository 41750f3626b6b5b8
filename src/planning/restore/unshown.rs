//! What comes back by meaning only and no snapshot shows: the plan says it beforehand and the receipt again, in the same
//! words.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::lost::{Lost, is_of_kernel_v6};
use crate::model::cut::Cut;
use crate::model::diff::Identity as _;
use crate::model::object::Route;
use crate::model::receipt::Unshown;
use crate::model::snapshot::{Snapshot, route_key};

/// What this cut takes of it.
#[must_use]
pub fn unshown(baseline: &Snapshot, cut: &Cut) -> Vec<Unshown> {
    let lost = Lost::to(baseline, std::slice::from_ref(cut), &[]);
    let places = reordered(&lost, &baseline.routes).into_keys();
    let places = places.map(|prefix| Unshown::Place { prefix });
    let marked = lost.objects.addresses.iter().filter(|a| a.stable_privacy.0);
    places.chain(marked.map(Unshown::mark_of)).collect()
}

/// What of it is so after a restore.
pub(super) fn left(lost: &Lost, after: &Snapshot) -> Vec<Unshown> {
    // Where routes of a prefix compete between links, the snapshot has their order.
    let has_order = |route: &Route| {
        route_key(route)
            == route_key(&Route {
                link: None,
                ..route.clone()
            })
    };
    let places = reordered(lost, &after.routes);
    let places = places.into_iter().filter(|(_, route)| !has_order(route));
    let places = places.map(|(prefix, _)| Unshown::Place { prefix });
    let marked = lost.objects.addresses.iter().filter(|a| a.stable_privacy.0);
    let unmarked = marked.filter(|a| after.addresses.iter().any(|x| x.is_same(a) && !x.stable_privacy.0));
    places.chain(unmarked.map(Unshown::mark_of)).collect()
}

/// Prefixes that the kernel itself routes over several links, with one of their routes: that of a link that was down comes
/// back behind the others, and nobody can take the kernel's own out to put them in order.
fn reordered<'a>(lost: &Lost, routes: &'a [Route]) -> BTreeMap<IpNet, &'a Route> {
    let mut over: BTreeMap<IpNet, (&Route, BTreeSet<u32>)> = BTreeMap::new();
    for route in routes.iter().filter(|r| is_of_kernel_v6(r)) {
        let (_, links) = over.entry(route.destination).or_insert((route, BTreeSet::new()));
        links.extend(route.links());
    }
    let raised = |links: &BTreeSet<u32>| lost.raised.iter().any(|index| links.contains(index));
    over.retain(|_, (_, links)| links.len() > 1 && raised(links));
    over.into_iter().map(|(prefix, (route, _))| (prefix, route)).collect()
}
