//! Nexthop objects (`struct nhmsg`, `include/uapi/linux/nexthop.h`), which netlink-packet-route does not know.

use netlink_packet_core::{Emitable, NLM_F_CREATE, NLM_F_REPLACE};

use super::{Batch, Broken, Refusal, array, attributes, ip_of, keep, nested, u32_of};
use crate::model::object::{Attributes, Nexthop};

/// RTM_NEWNEXTHOP.
pub const NEW: u16 = 104;
const DELETE: u16 = 105;
/// RTM_GETNEXTHOP.
pub const READ: u16 = 106;

const HEADER_BYTES: usize = 8;
const MEMBER_BYTES: usize = 8;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_ENCAP: u16 = 8;
const NHA_RES_GROUP: u16 = 12;
const NHA_OP_FLAGS: u16 = 14;
const NHA_GROUP_STATS: u16 = 15;
const NHA_HW_STATS_USED: u16 = 17;
const NHA_RES_GROUP_UNBALANCED_TIME: u16 = 4;
/// RTNH_F_DEAD, LINKDOWN, OFFLOAD, UNRESOLVED and TRAP: what the kernel says about it.
const TOLD: u32 = 0x01 | 0x08 | 0x10 | 0x20 | 0x40;

struct Header {
    family: u8,
    protocol: u8,
    flags: u32,
}

impl Emitable for Header {
    fn buffer_len(&self) -> usize {
        HEADER_BYTES
    }

    fn emit(&self, buffer: &mut [u8]) {
        // The second byte is nh_scope, which the kernel accepts only as 0.
        buffer[..4].copy_from_slice(&[self.family, 0, self.protocol, 0]);
        buffer[4..HEADER_BYTES].copy_from_slice(&self.flags.to_ne_bytes());
    }
}

/// Asks for all nexthop objects and groups.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16) -> Result<(), Refusal> {
    let head = Header {
        family: 0,
        protocol: 0,
        flags: 0,
    };
    batch.push(READ, flags, &head, |_| {})
}

/// Reads one RTM_NEWNEXTHOP.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Nexthop, Broken> {
    let [family, scope, protocol, _, a, b, c, d] =
        array::<HEADER_BYTES>(0, payload.get(..HEADER_BYTES).unwrap_or_default())?;
    let mut id = None;
    let mut nexthop = Nexthop {
        id: 0,
        family,
        scope,
        protocol,
        flags: u32::from_ne_bytes([a, b, c, d]) & !TOLD,
        link: None,
        gateway: None,
        blackhole: false,
        group: Vec::new(),
        extra: Attributes::new(),
    };
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            NHA_ID => id = Some(u32_of(kind, value)?),
            NHA_GROUP => nexthop.group = members(value)?,
            NHA_BLACKHOLE => nexthop.blackhole = true,
            NHA_OIF => nexthop.link = Some(u32_of(kind, value)?),
            NHA_GATEWAY => nexthop.gateway = Some(ip_of(kind, value)?),
            NHA_RES_GROUP => keep(&mut nexthop.extra, kind, &without_unbalanced_time(value)?)?,
            NHA_OP_FLAGS | NHA_GROUP_STATS | NHA_HW_STATS_USED => {}
            _ => keep(&mut nexthop.extra, kind, value)?,
        }
    }
    nexthop.id = id.ok_or_else(|| Broken("a nexthop without an id".to_owned()))?;
    Ok(nexthop)
}

/// `struct nexthop_grp`: id, the low and the high byte of the weight less one (the high byte since Linux 6.12).
fn members(value: &[u8]) -> Result<Vec<(u32, u16)>, Broken> {
    value
        .chunks(MEMBER_BYTES)
        .map(|one| {
            let [a, b, c, d, low, high, _, _] = array::<MEMBER_BYTES>(NHA_GROUP, one)?;
            Ok((u32::from_ne_bytes([a, b, c, d]), u16::from_le_bytes([low, high])))
        })
        .collect()
}

/// How long a resilient group has been out of balance is a reading, and refused back.
fn without_unbalanced_time(value: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut kept = Vec::with_capacity(value.len());
    for attribute in attributes(value, 0) {
        let (kind, value) = attribute?;
        // Kind 0 is the padding before the 64-bit time.
        if kind != NHA_RES_GROUP_UNBALANCED_TIME && kind != 0 {
            let length = u16::try_from(value.len() + 4).map_err(|e| Broken(e.to_string()))?;
            kept.extend_from_slice(&length.to_ne_bytes());
            kept.extend_from_slice(&kind.to_ne_bytes());
            kept.extend_from_slice(value);
            super::pad(&mut kept);
        }
    }
    Ok(kept)
}

/// Adds it, or makes the one of its id equal to it.
///
/// # Errors
/// If it does not fit into a message.
pub fn add(batch: &mut Batch, nexthop: &Nexthop) -> Result<(), Refusal> {
    let head = Header {
        family: nexthop.family,
        protocol: nexthop.protocol,
        flags: nexthop.flags,
    };
    batch.push(NEW, NLM_F_CREATE | NLM_F_REPLACE, &head, |body| {
        body.put_u32(NHA_ID, nexthop.id);
        if !nexthop.group.is_empty() {
            body.nest(NHA_GROUP, |group| {
                for (id, weight) in &nexthop.group {
                    let [low, high] = weight.to_le_bytes();
                    group.bytes.extend_from_slice(&id.to_ne_bytes());
                    group.bytes.extend_from_slice(&[low, high, 0, 0]);
                }
            });
        }
        if nexthop.blackhole {
            body.put(NHA_BLACKHOLE, &[]);
        }
        if let Some(link) = nexthop.link {
            body.put_u32(NHA_OIF, link);
        }
        if let Some(gateway) = nexthop.gateway {
            body.put_ip(NHA_GATEWAY, gateway);
        }
        for (kind, payload) in &nexthop.extra {
            let is_nest = matches!(*kind, NHA_ENCAP | NHA_RES_GROUP);
            body.put(if is_nest { nested(*kind) } else { *kind }, payload);
        }
    })
}

/// Deletes the nexthop of this id. The kernel takes nothing but the id.
///
/// # Errors
/// Never: it is of fixed size.
pub fn delete(batch: &mut Batch, nexthop: &Nexthop) -> Result<(), Refusal> {
    let head = Header {
        family: 0,
        protocol: 0,
        flags: 0,
    };
    batch.push(DELETE, 0, &head, |body| body.put_u32(NHA_ID, nexthop.id))
}
