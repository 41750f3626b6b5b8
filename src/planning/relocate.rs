//! Where the links of a cut are now: after a reboot under other indices, after one was removed and made again under a new
//! one. An index means a link only while that link lives; a name is what a policy meant.

use std::collections::BTreeMap;

use super::resolve::next_hops;
use crate::model::cut::{Cut, Reach};
use crate::model::names::InterfaceName;
use crate::model::snapshot::Snapshot;

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
/// # Errors
/// The name of a link that the cut lists and that is not there, if links are known by name: what would be cut then is not
/// what was ordered. A cut of the whole host does without.
pub fn relocated(cut: &Cut, before: &Snapshot, now: &Snapshot, by: KnownBy) -> Result<Cut, InterfaceName> {
    let place = |index: u32| -> Option<u32> {
        if by == KnownBy::Index && now.link(index).is_some() {
            return Some(index);
        }
        let name = cut.links.get(&index).or_else(|| before.link(index).map(|l| &l.name))?;
        now.link_named(name).map(|l| l.index)
    };
    let mut moved = cut.clone();
    moved.links = BTreeMap::new();
    for (index, name) in &cut.links {
        match place(*index) {
            Some(found) => drop(moved.links.insert(found, name.clone())),
            None if by == KnownBy::Index => drop(moved.links.insert(*index, name.clone())),
            None if cut.reach == Reach::WholeHost => {}
            None => return Err(name.clone()),
        }
    }
    for zone in &mut moved.zones {
        zone.links = zone.links.iter().map(|i| place(*i).unwrap_or(*i)).collect();
    }
    for route in &mut moved.withdrawn {
        route.link = route.link.map(|i| place(i).unwrap_or(i));
        for hop in &mut route.hops {
            hop.link = place(hop.link).unwrap_or(hop.link);
        }
    }
    for lifeline in &mut moved.lifelines {
        if let Some((index, _)) = &mut lifeline.link {
            *index = place(*index).unwrap_or(*index);
        }
    }
    moved.next_hops = cut
        .next_hops
        .iter()
        .map(|(i, gateway)| (place(*i).unwrap_or(*i), *gateway))
        .collect();
    // The host may have come up with other gateways; more of them than a cut can keep are no reason to let it go.
    if by == KnownBy::Name
        && let Ok(hops) = next_hops(&moved, now)
    {
        moved.next_hops.extend(hops);
    }
    Ok(moved)
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
        let moved = relocated(&cut, &before, &now, KnownBy::Name).unwrap();
        assert_eq!(moved.links, [(index + 1, called)].into());
        // Within a boot the same is a rename, and the cut stays on its link.
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Index), Ok(cut));
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
        let moved = relocated(&cut, &before, &now, KnownBy::Name).unwrap();
        assert!(moved.next_hops.contains(&(link, then)) && moved.next_hops.contains(&(link, other)));
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Index), Ok(cut));
    }

    #[test]
    fn a_link_that_is_made_again_is_found_by_its_name_and_one_that_is_gone_is_named() {
        let before = gateway();
        let (cut, index, called) = listed(&before);
        let mut now = before.clone();
        let this = now.links.iter().position(|l| l.index == index).unwrap();
        now.links[this].index = 77;
        let moved = relocated(&cut, &before, &now, KnownBy::Index).unwrap();
        assert_eq!(moved.links, [(77, called.clone())].into());
        now.links[this].name = name("other");
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Name), Err(called));
        assert_eq!(relocated(&cut, &before, &now, KnownBy::Index), Ok(cut));
    }
}
