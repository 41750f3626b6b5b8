//! Routes (`struct rtmsg`, `include/uapi/linux/rtnetlink.h`).

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_route::route::{RouteFlags, RouteHeader};

use super::{
    Batch, Body, Broken, Refusal, address_family, array, attributes, family_of, header, ip_of, keep, net_of, u32_at,
    u32_of,
};
use crate::model::object::{Attributes, Family, Hop, Route, Volatile};

/// RTM_NEWROUTE.
pub const NEW: u16 = 24;
const DELETE: u16 = 25;
/// RTM_GETROUTE.
pub const READ: u16 = 26;

pub(super) const HEADER_BYTES: usize = 12;
const HOP_BYTES: usize = 8;
pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_SRC: u16 = 2;
pub(super) const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
pub(super) const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_FLOW: u16 = 11;
const RTA_CACHEINFO: u16 = 12;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_EXPIRES: u16 = 23;
const RTA_PAD: u16 = 24;
const RTA_NH_ID: u16 = 30;
/// Where `rta_expires` stands in `struct rta_cacheinfo`; it counts USER_HZ, which is 100 on every architecture of ours.
const CACHEINFO_EXPIRES_AT: usize = 8;
const USER_HZ: u32 = 100;

/// RTNH_F_PERVASIVE and RTNH_F_ONLINK, RTM_F_NOTIFY, RTM_F_EQUALIZE and RTM_F_PREFIX: set by whoever adds the route.
/// The rest tells about carrier (DEAD, LINKDOWN) and hardware (OFFLOAD, TRAP, OFFLOAD_FAILED).
const SETTABLE: u32 = 0x2 | 0x4 | 0x100 | 0x400 | 0x800;
/// The same of `rtnh_flags`.
const HOP_SETTABLE: u8 = 0x2 | 0x4;
const RTM_F_CLONED: u32 = 0x200;

/// ICMPV6_ROUTER_PREF_MEDIUM, which every IPv6 route without RTA_PREF has.
const PREFERENCE_MEDIUM: [u8; 1] = [0];

/// Asks for all routes of one family, in all tables.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16, family: Family) -> Result<(), Refusal> {
    let head = RouteHeader {
        address_family: address_family(family),
        ..RouteHeader::default()
    };
    batch.push(READ, flags, &head, |_| {})
}

/// Reads one RTM_NEWROUTE; none for a cached copy and for a family that is not cut.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Option<Route>, Broken> {
    let head = RouteHeader::parse(payload).map_err(header)?;
    let Some(family) = family_of(head.address_family) else {
        return Ok(None);
    };
    if head.flags.bits() & RTM_F_CLONED != 0 {
        return Ok(None);
    }
    let (mut destination, mut source) = (None, None);
    let mut route = bare(family, &head, net_of(None, 0, family)?);
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            RTA_DST => destination = Some(ip_of(kind, value)?),
            RTA_SRC => source = Some(ip_of(kind, value)?),
            RTA_OIF => route.link = Some(u32_of(kind, value)?),
            RTA_GATEWAY => route.gateway = Some(ip_of(kind, value)?),
            RTA_VIA => route.gateway = Some(via(value)?),
            RTA_PRIORITY => route.metric = u32_of(kind, value)?,
            RTA_PREFSRC => route.preferred_source = Some(ip_of(kind, value)?),
            RTA_METRICS => route.metrics = metrics(value)?,
            RTA_MULTIPATH => route.hops = hops(value)?,
            RTA_CACHEINFO => route.expires_s = Volatile(expires(value)?),
            RTA_TABLE => route.table = u32_of(kind, value)?,
            RTA_NH_ID => route.nexthop = Some(u32_of(kind, value)?),
            RTA_PAD => {}
            RTA_PREF if value == PREFERENCE_MEDIUM => {}
            _ => keep(&mut route.extra, kind, value)?,
        }
    }
    route.destination = net_of(destination, head.destination_prefix_length, family)?;
    if head.source_prefix_length != 0 {
        route.source = Some(net_of(source, head.source_prefix_length, family)?);
    }
    if route.nexthop.is_some() {
        leave_to_nexthop(&mut route);
    }
    if matches!(
        route.kind,
        Route::BLACKHOLE | Route::UNREACHABLE | Route::PROHIBIT | Route::THROW
    ) {
        // IPv6 hangs every route that leads nowhere on loopback, whatever was asked for (`fib6_nh_init()`).
        route.link = None;
    }
    Ok(Some(route))
}

fn bare(family: Family, head: &RouteHeader, destination: ipnet::IpNet) -> Route {
    Route {
        family,
        destination,
        source: None,
        tos: head.tos,
        table: u32::from(head.table),
        protocol: u8::from(head.protocol),
        scope: u8::from(head.scope),
        kind: u8::from(head.kind),
        flags: head.flags.bits() & SETTABLE,
        metric: 0,
        link: None,
        gateway: None,
        preferred_source: None,
        nexthop: None,
        hops: Vec::new(),
        metrics: Attributes::new(),
        expires_s: Volatile(None),
        extra: Attributes::new(),
    }
}

/// The kernel repeats in the route what the nexthop object says (sysctl nexthop_compat_mode) and refuses it back.
fn leave_to_nexthop(route: &mut Route) {
    route.link = None;
    route.gateway = None;
    route.hops.clear();
    route.flags &= !u32::from(HOP_SETTABLE);
    // Shown of a blackhole nexthop, whatever the route is (`fib_dump_info()`); a delete that says so hits nothing.
    if route.kind == Route::BLACKHOLE {
        route.kind = Route::UNICAST;
    }
    for kind in [RTA_ENCAP, RTA_ENCAP_TYPE, RTA_FLOW] {
        route.extra.remove(&kind);
    }
}

/// `struct rtvia`: a family and an address of it.
fn via(value: &[u8]) -> Result<IpAddr, Broken> {
    ip_of(RTA_VIA, value.get(2..).unwrap_or_default())
}

fn metrics(value: &[u8]) -> Result<Attributes, Broken> {
    let mut all = Attributes::new();
    for attribute in attributes(value, 0) {
        let (kind, value) = attribute?;
        keep(&mut all, kind, value)?;
    }
    Ok(all)
}

/// Remaining seconds, rounded up; an IPv6 route that does not expire says 0.
fn expires(value: &[u8]) -> Result<Option<u32>, Broken> {
    let ticks = u32_at(RTA_CACHEINFO, value, CACHEINFO_EXPIRES_AT)?.cast_signed();
    Ok(u32::try_from(ticks)
        .ok()
        .filter(|&t| t > 0)
        .map(|t| t.div_ceil(USER_HZ)))
}

fn hops(value: &[u8]) -> Result<Vec<Hop>, Broken> {
    let mut hops = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let length = rest
            .get(..2)
            .map_or(0, |b| usize::from(u16::from_ne_bytes([b[0], b[1]])));
        let one = rest
            .get(..length)
            .filter(|one| one.len() >= HOP_BYTES)
            .ok_or_else(|| Broken(format!("a leg of {length} bytes in {} of RTA_MULTIPATH", rest.len())))?;
        hops.push(hop(one)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}

/// `struct rtnexthop`: length, flags, hops, link, then attributes.
fn hop(one: &[u8]) -> Result<Hop, Broken> {
    let [_, _, flags, weight, a, b, c, d] = array::<HOP_BYTES>(RTA_MULTIPATH, &one[..HOP_BYTES])?;
    let mut hop = Hop {
        link: u32::from_ne_bytes([a, b, c, d]),
        hops: weight,
        flags: flags & HOP_SETTABLE,
        gateway: None,
        extra: Attributes::new(),
    };
    for attribute in attributes(one, HOP_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            RTA_GATEWAY => hop.gateway = Some(ip_of(kind, value)?),
            RTA_VIA => hop.gateway = Some(via(value)?),
            _ => keep(&mut hop.extra, kind, value)?,
        }
    }
    Ok(hop)
}

/// Adds it behind its equals, whose order decides. Exclusively would not do: the kernel then takes an equal route over
/// another link for the same one.
///
/// # Errors
/// If it does not fit into a message.
pub fn add(batch: &mut Batch, route: &Route) -> Result<(), Refusal> {
    write(batch, NEW, NLM_F_CREATE | NLM_F_APPEND, route)
}

/// Deletes it. Everything that the kernel compares is named, protocol first, so that a neighbour in the same place
/// is not hit; only metric 0 of IPv4 and protocol 0 mean "any" to the kernel, whatever is written.
///
/// # Errors
/// If it does not fit into a message.
pub fn delete(batch: &mut Batch, route: &Route) -> Result<(), Refusal> {
    write(batch, DELETE, 0, route)
}

fn write(batch: &mut Batch, kind: u16, flags: u16, route: &Route) -> Result<(), Refusal> {
    let head = RouteHeader {
        address_family: address_family(route.family),
        destination_prefix_length: route.destination.prefix_len(),
        source_prefix_length: route.source.map_or(0, |s| s.prefix_len()),
        tos: route.tos,
        // Tables above 255 stand in RTA_TABLE alone (RT_TABLE_UNSPEC here).
        table: u8::try_from(route.table).unwrap_or(0),
        protocol: route.protocol.into(),
        scope: route.scope.into(),
        // What a route over a nexthop object is, the kernel does not show; 0 deletes either.
        kind: match (kind, route.nexthop) {
            (DELETE, Some(_)) => 0,
            _ => route.kind,
        }
        .into(),
        flags: RouteFlags::from_bits_retain(route.flags),
    };
    // In the order in which the kernel itself writes them, so that the bytes can be held beside its own.
    batch.push(kind, flags, &head, |body| {
        body.put_u32(RTA_TABLE, route.table);
        if route.destination.prefix_len() != 0 {
            body.put_ip(RTA_DST, route.destination.addr());
        }
        if let Some(source) = route.source {
            body.put_ip(RTA_SRC, source.addr());
        }
        if route.metric != 0 {
            body.put_u32(RTA_PRIORITY, route.metric);
        }
        if !route.metrics.is_empty() {
            body.nest(RTA_METRICS, |m| m.put_all(&route.metrics));
        }
        if let Some(source) = route.preferred_source {
            body.put_ip(RTA_PREFSRC, source);
        }
        write_way(body, route);
        if let (NEW, Some(seconds)) = (kind, route.expires_s.0) {
            body.put_u32(RTA_EXPIRES, seconds);
        }
        body.put_all(&route.extra);
    })
}

fn write_way(body: &mut Body<'_>, route: &Route) {
    if let Some(id) = route.nexthop {
        body.put_u32(RTA_NH_ID, id);
    }
    if let Some(gateway) = route.gateway {
        write_gateway(body, route.family, gateway);
    }
    if let Some(link) = route.link {
        body.put_u32(RTA_OIF, link);
    }
    if !route.hops.is_empty() {
        body.nest(RTA_MULTIPATH, |legs| {
            for hop in &route.hops {
                write_hop(legs, route.family, hop);
            }
        });
    }
}

fn write_gateway(body: &mut Body<'_>, family: Family, gateway: IpAddr) {
    if Family::of(gateway) == family {
        return body.put_ip(RTA_GATEWAY, gateway);
    }
    let of = u8::from(address_family(Family::of(gateway)));
    body.nest(RTA_VIA, |via| {
        via.bytes.extend_from_slice(&u16::from(of).to_ne_bytes());
        match gateway {
            IpAddr::V4(a) => via.bytes.extend_from_slice(&a.octets()),
            IpAddr::V6(a) => via.bytes.extend_from_slice(&a.octets()),
        }
    });
}

fn write_hop(body: &mut Body<'_>, family: Family, hop: &Hop) {
    body.structure(|body, start| {
        body.bytes.extend_from_slice(&[0, 0, hop.flags, hop.hops]);
        body.bytes.extend_from_slice(&hop.link.to_ne_bytes());
        if let Some(gateway) = hop.gateway {
            write_gateway(body, family, gateway);
        }
        body.put_all(&hop.extra);
        match u16::try_from(body.bytes.len() - start) {
            Ok(length) => body.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => body.oversize = true,
        }
    });
}
