//! Nexthop objects (`net/ipv4/nexthop.c`).

use super::super::object::{Family, Nexthop, Route};
use super::{Outcome, Snapshot, errno, route};

/// `include/uapi/linux/nexthop.h`.
const NHA_GROUP_TYPE: u16 = 3;

/// Creates or replaces: the contract's add of a nexthop is `CREATE | REPLACE`.
pub(super) fn add(state: &mut Snapshot, nexthop: &Nexthop) -> Result<Outcome, i32> {
    for (member, _) in &nexthop.group {
        let found = find(state, *member).ok_or(errno::EINVAL)?;
        if !found.group.is_empty() || *member == nexthop.id {
            return Err(errno::EINVAL);
        }
    }
    if let Some(index) = nexthop.link {
        let link = state.link(index).ok_or(errno::ENODEV)?;
        if !link.up || !link.carrier.0 {
            return Err(errno::ENETDOWN);
        }
    }
    if let Some(gateway) = nexthop.gateway {
        route::check_gateway(state, gateway, nexthop.link, route::Asks::nexthop(nexthop.flags))?;
    }
    let mut nexthop = nexthop.clone();
    if !nexthop.group.is_empty() {
        // A group is a multipath one unless it says otherwise, and the kernel shows it.
        nexthop.extra.entry(NHA_GROUP_TYPE).or_insert_with(|| vec![0, 0]);
    }
    match state.nexthops.binary_search_by_key(&nexthop.id, |n| n.id) {
        Ok(at) if state.nexthops[at] == nexthop => Ok(Outcome::AlreadySo),
        Ok(at) if state.nexthops[at].group.is_empty() != nexthop.group.is_empty() => Err(errno::EINVAL),
        Ok(at) => {
            state.nexthops[at] = nexthop;
            Ok(Outcome::Applied)
        }
        Err(at) => {
            state.nexthops.insert(at, nexthop);
            Ok(Outcome::Applied)
        }
    }
}

pub(super) fn delete(state: &mut Snapshot, id: u32) -> Outcome {
    if find(state, id).is_none() {
        return Outcome::AlreadySo;
    }
    remove(state, id);
    Outcome::Applied
}

/// Removes an object with its memberships, with groups that it leaves empty, and with the routes that use any of them.
pub(super) fn remove(state: &mut Snapshot, id: u32) {
    let mut gone = vec![id];
    for group in state.nexthops.iter_mut().filter(|n| !n.group.is_empty()) {
        group.group.retain(|(member, _)| *member != id);
        if group.group.is_empty() {
            gone.push(group.id);
        }
    }
    state.nexthops.retain(|n| !gone.contains(&n.id));
    state.routes.retain(|r| !uses(r, &gone));
}

fn uses(route: &Route, gone: &[u32]) -> bool {
    route.nexthop.is_some_and(|id| gone.contains(&id))
}

pub(super) fn find(state: &Snapshot, id: u32) -> Option<&Nexthop> {
    state
        .nexthops
        .binary_search_by_key(&id, |n| n.id)
        .ok()
        .map(|at| &state.nexthops[at])
}

/// The links over which a nexthop sends: its own or its members'.
pub(super) fn links(state: &Snapshot, id: u32) -> Vec<u32> {
    let Some(nexthop) = find(state, id) else {
        return Vec::new();
    };
    let members = nexthop
        .group
        .iter()
        .filter_map(|(member, _)| find(state, *member)?.link);
    nexthop.link.into_iter().chain(members).collect()
}

/// Whether this family's routes may use the object: IPv6 nexthops serve IPv4 routes, not the other way.
pub(super) fn serves(state: &Snapshot, nexthop: &Nexthop, family: Family) -> bool {
    const AF_INET: u8 = 2;
    let mut members = nexthop.group.iter().filter_map(|(member, _)| find(state, *member));
    let has_v4 = nexthop.family == AF_INET || members.any(|m| m.family == AF_INET);
    family == Family::V4 || !has_v4
}
