//! Links: what going down takes and coming up brings (`addrconf_ifdown()`, `fib_sync_down_dev()`, `nexthop_flush_dev()`).

use std::net::{IpAddr, Ipv6Addr};

use super::super::object::{Address, Family, Link, Route, Volatile};
use super::super::sysctl;
use super::address::{SCOPE_HOST, SCOPE_LINK, connect_v4, connect_v6, multicast_v6};
use super::{Outcome, Snapshot, errno, is_on, nexthop, route};

/// Creates an ifb, which begins down; other kinds are not ours to make.
pub(super) fn add(state: &mut Snapshot, link: &Link) -> Result<Outcome, i32> {
    if state.link_named(&link.name).is_some() || state.link(link.index).is_some() {
        return Ok(Outcome::AlreadySo);
    }
    if link.kind.as_deref() != Some("ifb") {
        return Err(errno::EOPNOTSUPP);
    }
    let at = state.links.partition_point(|l| l.index < link.index);
    let new = Link {
        up: false,
        ..link.clone()
    };
    state.links.insert(at, new);
    Ok(Outcome::Applied)
}

/// Deletes a link with all that hangs on it.
pub(super) fn delete(state: &mut Snapshot, link: &Link) -> Result<Outcome, i32> {
    let Some(found) = state.link(link.index).cloned() else {
        return Ok(Outcome::AlreadySo);
    };
    if found.is_loopback() {
        return Err(errno::EOPNOTSUPP);
    }
    if found.up {
        take_down(state, found.index);
    }
    state.routes.retain(|r| !r.links().any(|l| l == found.index));
    state.addresses.retain(|a| a.link != found.index);
    state.neighbours.retain(|n| n.link != found.index);
    super::control::delete_link(state, found.index);
    state.links.retain(|l| l.index != found.index);
    Ok(Outcome::Applied)
}

/// Sets IFLA_GROUP.
pub(super) fn regroup(state: &mut Snapshot, index: u32, group: u32) -> Result<Outcome, i32> {
    let link = link_mut(state, index)?;
    if link.group == group {
        return Ok(Outcome::AlreadySo);
    }
    link.group = group;
    Ok(Outcome::Applied)
}

/// Takes IFF_UP away.
pub(super) fn down(state: &mut Snapshot, index: u32) -> Result<Outcome, i32> {
    if !link_mut(state, index)?.up {
        return Ok(Outcome::AlreadySo);
    }
    take_down(state, index);
    Ok(Outcome::Applied)
}

fn take_down(state: &mut Snapshot, index: u32) {
    if let Ok(link) = link_mut(state, index) {
        link.up = false;
    }
    let dead: Vec<u32> = state
        .nexthops
        .iter()
        .filter(|n| n.link == Some(index))
        .map(|n| n.id)
        .collect();
    for id in dead {
        nexthop::remove(state, id);
    }
    let addressed = |l: &Link| {
        state
            .addresses
            .iter()
            .any(|a| (a.link, a.family) == (l.index, Family::V4))
    };
    let living = state.links.iter().filter(|l| l.up && addressed(l));
    let living: Vec<u32> = living.map(|l| l.index).collect();
    state.routes.retain(|r| outlives(r, index, &living));
    drop_addresses_v6(state, index);
    forget_mtu_v6(state, index);
    state.neighbours.retain(|n| n.link != index);
    for vlan in vlans(state, index, Stands::Up) {
        take_down(state, vlan);
    }
}

/// What a router advertised is forgotten: the IPv6 MTU is the link's again.
fn forget_mtu_v6(state: &mut Snapshot, index: u32) {
    let Some(link) = state.link(index) else {
        return;
    };
    let name = sysctl_name(link, "mtu");
    let value = link.mtu.to_string();
    if let Some(sysctl) = state.sysctls.iter_mut().find(|s| s.name == name) {
        sysctl.value = value;
    }
}

fn sysctl_name(link: &Link, key: &str) -> String {
    sysctl::of_link("ipv6", &link.name.to_string(), key)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Up,
    Down,
}

/// The VLANs on a link, which the kernel closes and opens with it (`vlan_device_event()`).
fn vlans(state: &Snapshot, index: u32, stands: Stands) -> Vec<u32> {
    let on_it = |l: &&Link| l.kind.as_deref() == Some("vlan") && l.lower == Some(index);
    let so = |l: &&Link| l.up == (stands == Stands::Up);
    state.links.iter().filter(on_it).filter(so).map(|l| l.index).collect()
}

/// Whether a route stays when the link goes down: IPv4 routes of scope host, and multipath with a leg that lives.
fn outlives(route: &Route, index: u32, living: &[u32]) -> bool {
    let over = route.links().any(|l| l == index);
    let of_host = route.family == Family::V4 && route.scope == SCOPE_HOST;
    let living_leg = route.hops.iter().any(|h| living.contains(&h.link));
    !over || of_host || living_leg
}

/// Only addresses without a lifetime survive, and only under `keep_addr_on_down`; never link-local ones.
fn drop_addresses_v6(state: &mut Snapshot, index: u32) {
    let name = state.link(index).map(|l| l.name.to_string()).unwrap_or_default();
    let keeps = is_on(state, "ipv6", &name, "keep_addr_on_down");
    let survives = |a: &Address| keeps && a.permanent && !is_local(a.own());
    state
        .addresses
        .retain(|a| (a.link, a.family) != (index, Family::V6) || survives(a));
    for address in &mut state.addresses {
        if (address.link, address.family) == (index, Family::V6) {
            address.tentative = Volatile(true);
        }
    }
}

/// `addr_is_local()`: link-local or loopback.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(a) => a.is_loopback() || a.is_unicast_link_local(),
    }
}

/// Sets IFF_UP: connected routes come back behind their equals, and so does the link-local address.
pub(super) fn up(state: &mut Snapshot, index: u32) -> Result<Outcome, i32> {
    let link = link_mut(state, index)?;
    if link.up {
        return Ok(Outcome::AlreadySo);
    }
    link.up = true;
    let link = link.clone();
    let of_link: Vec<Address> = state.addresses.iter().filter(|a| a.link == index).cloned().collect();
    for address in of_link.iter().filter(|a| a.family == Family::V4) {
        connect_v4(state, address, true);
    }
    if speaks_v6(state, &link) {
        bring_v6(state, &link, &of_link)?;
    }
    for vlan in vlans(state, index, Stands::Down) {
        up(state, vlan).map(|_| ())?;
    }
    Ok(Outcome::Applied)
}

/// `addrconf_permanent_addr()` and `addrconf_dev_config()`.
fn bring_v6(state: &mut Snapshot, link: &Link, of_link: &[Address]) -> Result<(), i32> {
    for address in of_link.iter().filter(|a| a.family == Family::V6) {
        connect_v6(state, address);
    }
    route::append(state, multicast_v6(link.index));
    match link_local(state, link) {
        Some(own) => super::address::add(state, &own).map(|_| ()),
        None => Ok(()),
    }
}

/// The link-local address that the kernel makes of the link's hardware address when its carrier comes, if it speaks IPv6.
/// A generation mode that the snapshot does not know is taken for the kernel's default; what a secret makes is not known.
pub(crate) fn link_local_to_come(state: &Snapshot, link: &Link) -> Option<Address> {
    speaks_v6(state, link).then(|| link_local(state, link)).flatten()
}

/// Whether the kernel makes addresses and routes of its own for IPv6 on the link.
pub(crate) fn speaks_v6(state: &Snapshot, link: &Link) -> bool {
    !link.is_loopback() && refuses_v6(state, link).is_none()
}

/// With what the kernel refuses everything of IPv6 on the link: it has none below the least MTU (`ipv6_add_dev()`), or it
/// is switched off.
pub(super) fn refuses_v6(state: &Snapshot, link: &Link) -> Option<i32> {
    if link.mtu < Link::MTU_MIN_V6 {
        return Some(errno::EINVAL);
    }
    is_on(state, "ipv6", &link.name.to_string(), "disable_ipv6").then_some(errno::EACCES)
}

/// The link-local address that `addrconf_dev_config()` makes of a hardware address of six bytes (RFC 4291 appendix A).
fn link_local(state: &Snapshot, link: &Link) -> Option<Address> {
    let mode = sysctl_name(link, "addr_gen_mode");
    let other_mode = state.sysctls.iter().any(|s| s.name == mode && s.value != "0");
    let [a, b, c, d, e, f] = link.mac.as_slice().try_into().ok()?;
    let low = [a ^ 0x02, b, c, 0xff, 0xfe, d, e, f];
    let mut bytes = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[8..].copy_from_slice(&low);
    (!other_mode).then(|| Address {
        family: Family::V6,
        link: link.index,
        prefix_length: 64,
        scope: SCOPE_LINK,
        flags: Address::FLAG_PERMANENT,
        tentative: Volatile(true),
        stable_privacy: Volatile(false),
        local: None,
        address: IpAddr::V6(Ipv6Addr::from(bytes)),
        broadcast: None,
        label: None,
        lifetime: Volatile(None),
        permanent: true,
        extra: [(Address::ATTRIBUTE_PROTOCOL, vec![Address::PROTOCOL_KERNEL_LINK_LOCAL])].into(),
    })
}

fn link_mut(state: &mut Snapshot, index: u32) -> Result<&mut Link, i32> {
    state.links.iter_mut().find(|l| l.index == index).ok_or(errno::ENODEV)
}
