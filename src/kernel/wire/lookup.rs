//! Where a packet would go (`rtm_getroute` in `net/ipv4/route.c`, `net/ipv6/route.c`).

use std::net::IpAddr;

use netlink_packet_route::route::RouteHeader;

use super::route::{HEADER_BYTES, READ, RTA_DST, RTA_OIF, RTA_PREFSRC, RTA_SRC};
use super::{Batch, Broken, Refusal, address_family, attributes, header, ip_of, u32_of};
use crate::model::lookup::{Query, Way};
use crate::model::object::Route;

const RTA_IIF: u16 = 3;
const RTA_IP_PROTO: u16 = 27;
const RTA_SPORT: u16 = 28;
const RTA_DPORT: u16 = 29;

/// Asks for the way of one packet.
///
/// # Errors
/// Never: it is of fixed size.
pub fn ask(batch: &mut Batch, query: &Query) -> Result<(), Refusal> {
    let length = |ip: IpAddr| if ip.is_ipv4() { 32 } else { 128 };
    let head = RouteHeader {
        address_family: address_family(query.family()),
        destination_prefix_length: length(query.destination),
        source_prefix_length: query.source.map_or(0, length),
        ..RouteHeader::default()
    };
    batch.push(READ, 0, &head, |body| {
        body.put_ip(RTA_DST, query.destination);
        if let Some(source) = query.source {
            body.put_ip(RTA_SRC, source);
        }
        if let Some(link) = query.input {
            body.put_u32(RTA_IIF, link);
        }
        if let Some(protocol) = query.protocol {
            body.put(RTA_IP_PROTO, &[protocol]);
        }
        if let Some((source, destination)) = query.ports {
            body.put(RTA_SPORT, &source.to_be_bytes());
            body.put(RTA_DPORT, &destination.to_be_bytes());
        }
    })
}

/// Reads the answer, an RTM_NEWROUTE.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Way, Broken> {
    let head = RouteHeader::parse(payload).map_err(header)?;
    let (mut link, mut source) = (None, None);
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            RTA_OIF => link = Some(u32_of(kind, value)?),
            RTA_PREFSRC => source = Some(ip_of(kind, value)?),
            _ => {}
        }
    }
    Ok(match (u8::from(head.kind), link) {
        (Route::LOCAL, _) => Way::Local,
        (Route::UNICAST, Some(link)) => Way::Out { link, source },
        _ => Way::Nowhere,
    })
}
