//! Where the links of a cut are now: after a reboot under other indices, after one was removed and made again under a new
//! one. An index means a link only while that link lives; a name is what a policy meant.

use std::collections::BTreeMap;

use super::resolve::{next_hops, widen};
use crate::model::cut::{Cut, Reach};
use crate::model::names::InterfaceName;
use crate::model::snapshot::Snapshot;

/// An index that no link has: the kernel counts from 1 and gives one out once (`dev_new_index()` in `net/core/dev.c`). What
/// waits for a link stands here and below; our own ifb stands elsewhere.
const AWAITED: u32 = 0x7fff_ffff;

/// By what a link is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// Within a boot: by its index while there is one, whatever it is called now; by its name if that index is gone.
    Index,
    /// After a reboot: by its name alone.
    Name,
}

/// The cut on the links as they are now. `before` is the host that the cut was resolved against.
///
/// A link that is not there is waited for: it stays listed, under its old index within a boot, under one that no link ever
/// has after a reboot, where another link may have the old one. It is found by its name when it comes. A cut of the whole
/// host takes in every link that comes, and so waits for none.
#[must_use]
pub fn relocated(cut: &Cut, before: &Snapshot, now: &Snapshot, by: KnownBy) -> Cut {
    let names = names(cut, before);
    let free = |rank: usize| u32::try_from(rank).map_or(AWAITED, |rank| AWAITED - rank);
    let places: BTreeMap<u32, u32> = names
        .iter()
        .enumerate()
        .map(|(rank, (index, name))| {
            let same = (by == KnownBy::Index && now.link(*index).is_some()).then_some(*index);
            let found = same.or_else(|| now.link_named(name).map(|l| l.index));
            let waits = || match by {
                KnownBy::Index => *index,
                KnownBy::Name => free(rank),
            };
            (*index, found.unwrap_or_else(waits))
        })
        .collect();
    let place = |index: u32| places.get(&index).copied().unwrap_or(index);
    let is_there = |index: &u32| by == KnownBy::Index || now.link(place(*index)).is_some();
    let mut moved = cut.clone();
    let listed = cut.links.iter();
    let listed = listed.filter(|(index, _)| cut.reach == Reach::Links || is_there(index));
    moved.links = listed.map(|(index, name)| (place(*index), name.clone())).collect();
    for zone in &mut moved.zones {
        zone.links = zone.links.iter().map(|i| place(*i)).collect();
    }
    for route in &mut moved.withdrawn {
        route.link = route.link.map(place);
        for hop in &mut route.hops {
            hop.link = place(hop.link);
        }
    }
    for lifeline in &mut moved.lifelines {
        if let Some((index, _)) = &mut lifeline.link {
            *index = place(*index);
        }
    }
    moved.next_hops = cut.next_hops.iter().map(|(i, gateway)| (place(*i), *gateway)).collect();
    // The host may have come up with other gateways, and over links that were not there; more of them than a cut can keep
    // are no reason to let it go.
    if by == KnownBy::Name
        && let Ok(hops) = next_hops(&widen(&moved, now), now)
    {
        moved.next_hops.extend(hops);
    }
    moved
}

/// The name of every link that the cut speaks of.
fn names(cut: &Cut, before: &Snapshot) -> BTreeMap<u32, InterfaceName> {
    let of_host = before.links.iter().map(|l| (l.index, l.name.clone()));
    let of_lifelines = cut.lifelines.iter().filter_map(|l| l.link.clone());
    let listed = cut.links.iter().map(|(index, name)| (*index, name.clone()));
    of_host.chain(of_lifelines).chain(listed).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::fixture::name;
    use crate::model::policy::Method;
    use crate::planning::tests::hosts::{additive, gateway};

    /// A cut of the gateway's first link alone.
    fn listed(before: &Snapshot) -> (Cut, u32, InterfaceName) {
        let link = before.links.iter().find(|l| !l.is_loopback()).unwrap();
        let mut cut = additive(before).remove(0);
        cut.reach = Reach::Links;
        cut.links = [(link.index, link.name.clone())].into();
        (cut, link.index, link.name.clone())
    }

    #[test]
    fn after_a_reboot_a_cut_follows_names_and_not_indices() {
        let before = gateway();
        let (cut, index, called) = listed(&before);
        let mut now = before.clone();
        let other = now.links.iter().position(|l| l.index == index + 1).unwrap();
        let this = now.links.iter().position(|l| l.index == index).unwrap();
        (now.links[this].name, now.links[other].name) = (now.links[other].name.clone(), called.clone());
        let moved = relocated(&cut, &before, &now, KnownBy::Name);
        assert_eq!(moved.links, [(index + 1, called)].into());
        // Within a boot the same is a rename, and the cut stays on its link.
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Index), cut);
    }

    #[test]
    fn after_a_reboot_the_gateways_of_then_and_of_now_are_next_hops() {
        let before = gateway();
        let mut cut = additive(&before).remove(0);
        cut.methods.insert(Method::Seal);
        cut.next_hops = next_hops(&cut, &before).unwrap();
        let (link, then) = *cut.next_hops.iter().find(|(_, ip)| ip.is_ipv4()).unwrap();
        let other: IpAddr = "10.0.0.254".parse().unwrap();
        let mut now = before.clone();
        now.routes
            .iter_mut()
            .filter(|r| r.gateway == Some(then))
            .for_each(|r| r.gateway = Some(other));
        let moved = relocated(&cut, &before, &now, KnownBy::Name);
        assert!(moved.next_hops.contains(&(link, then)) && moved.next_hops.contains(&(link, other)));
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Index), cut);
    }

    #[test]
    fn a_cut_of_the_whole_host_keeps_the_gateways_of_a_link_that_is_there_only_after_a_reboot() {
        let now = gateway();
        let mut cut = additive(&now).remove(0);
        cut.methods.insert(Method::Seal);
        cut.reach = Reach::WholeHost;
        let all = next_hops(&widen(&cut, &now), &now).unwrap();
        let (gone, _) = *all.first().unwrap();
        let mut before = now.clone();
        before.links.retain(|l| l.index != gone);
        cut.links.remove(&gone);
        cut.next_hops = next_hops(&cut, &before).unwrap();
        assert_ne!(cut.next_hops, all);
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Name).next_hops, all);
    }

    #[test]
    fn a_link_that_is_made_again_is_found_by_its_name_and_one_that_is_not_there_is_waited_for() {
        let before = gateway();
        let (cut, index, called) = listed(&before);
        let mut now = before.clone();
        let this = now.links.iter().position(|l| l.index == index).unwrap();
        now.links[this].index = 77;
        let moved = relocated(&cut, &before, &now, KnownBy::Index);
        assert_eq!(moved.links, [(77, called.clone())].into());
        now.links[this].name = name("other");
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Index), cut);
        // After a reboot the old index may be another link's.
        now.links[this].index = index;
        let waiting = relocated(&cut, &before, &now, KnownBy::Name);
        let (awaited, kept) = waiting.links.first_key_value().unwrap();
        assert_eq!((waiting.links.len(), kept), (1, &called));
        assert!(now.link(*awaited).is_none());
        let mut later = now.clone();
        later.links[this].index = 78;
        later.links[this].name = called.clone();
        let found = relocated(&waiting, &now, &later, KnownBy::Index);
        assert_eq!(found.links, [(78, called)].into());
    }
}
