//! Neighbours that somebody set (`struct ndmsg`, `include/uapi/linux/neighbour.h`).
//!
//! Kept are PERMANENT entries, proxy entries, managed ones, which the kernel resolves itself and keeps resolved, and NOARP
//! entries of hosts. The kernel itself makes NOARP entries for
//! multicast, broadcast and loopback addresses, and for every address on a link without address resolution; those
//! come and go.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourHeader, NeighbourState};

use super::{Batch, Broken, Refusal, address_family, attributes, family_of, header, ip_of, keep};
use crate::model::object::{Attributes, Family, Neighbour};

/// RTM_NEWNEIGH.
pub const NEW: u16 = 28;
const DELETE: u16 = 29;
/// RTM_GETNEIGH.
pub const READ: u16 = 30;

const HEADER_BYTES: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_CACHEINFO: u16 = 3;
const NDA_PROBES: u16 = 4;
const NDA_FLAGS_EXT: u16 = 15;
/// NTF_EXT_MANAGED, in NDA_FLAGS_EXT.
const NTF_EXT_MANAGED: u32 = 1;

/// NUD_NOARP.
pub const STATE_NOARP: u16 = 0x40;
const STATE_PERMANENT: u16 = 0x80;

/// Which table a dump reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Resolved and static entries.
    Cache,
    /// Addresses that this host answers for.
    Proxy,
}

/// Asks for all entries of one family in one table.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16, family: Family, table: Table) -> Result<(), Refusal> {
    let head = NeighbourHeader {
        family: address_family(family),
        flags: match table {
            Table::Cache => NeighbourFlags::empty(),
            Table::Proxy => NeighbourFlags::Proxy,
        },
        ..NeighbourHeader::default()
    };
    batch.push(READ, flags, &head, |_| {})
}

/// Reads one RTM_NEWNEIGH; none for an entry that the kernel made.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Option<Neighbour>, Broken> {
    let head = NeighbourHeader::parse(payload).map_err(header)?;
    let Some(family) = family_of(head.family) else {
        return Ok(None);
    };
    let proxy = head.flags.contains(NeighbourFlags::Proxy);
    let state = u16::from(head.state);
    let (mut address, mut mac, mut extra) = (None, Vec::new(), Attributes::new());
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            NDA_DST => address = Some(ip_of(kind, value)?),
            NDA_LLADDR => mac = value.to_vec(),
            NDA_CACHEINFO | NDA_PROBES => {}
            _ => keep(&mut extra, kind, value)?,
        }
    }
    let managed = !proxy && take_managed(&mut extra);
    if !proxy && !managed && state & (STATE_PERMANENT | STATE_NOARP) == 0 {
        return Ok(None);
    }
    let address = address.ok_or_else(|| Broken("a neighbour without an address".to_owned()))?;
    if managed {
        return Ok(Some(managed_neighbour(&head, family, address, extra)));
    }
    if !proxy && state & STATE_PERMANENT == 0 && made_by_kernel(address, &mac) {
        return Ok(None);
    }
    Ok(Some(Neighbour {
        family,
        link: head.ifindex,
        address,
        mac,
        state: if proxy { 0 } else { state },
        flags: head.flags.bits(),
        extra,
    }))
}

/// Whether NDA_FLAGS_EXT says that the kernel keeps the entry resolved. What else it says comes and goes, so it is kept as
/// it is written.
fn take_managed(extra: &mut Attributes) -> bool {
    let flags = extra.get(&NDA_FLAGS_EXT).and_then(|v| v.as_slice().try_into().ok());
    let managed = flags.is_some_and(|f| u32::from_ne_bytes(f) & NTF_EXT_MANAGED != 0);
    if managed {
        extra.insert(NDA_FLAGS_EXT, NTF_EXT_MANAGED.to_ne_bytes().to_vec());
    }
    managed
}

/// As somebody set it: what the kernel found out is no part of it.
fn managed_neighbour(head: &NeighbourHeader, family: Family, address: IpAddr, extra: Attributes) -> Neighbour {
    Neighbour {
        family,
        link: head.ifindex,
        address,
        mac: Vec::new(),
        state: 0,
        flags: (head.flags & NeighbourFlags::ExtLearned).bits(),
        extra,
    }
}

/// Multicast, loopback and unspecified addresses, and broadcast, which is known by its hardware address.
fn made_by_kernel(address: IpAddr, mac: &[u8]) -> bool {
    let of_no_host = address.is_multicast() || address.is_loopback() || address.is_unspecified();
    of_no_host || (!mac.is_empty() && mac.iter().all(|&b| b == 0xff))
}

/// Adds it. An entry that the kernel learnt for the same address meanwhile is replaced.
///
/// # Errors
/// If it does not fit into a message.
pub fn add(batch: &mut Batch, neighbour: &Neighbour) -> Result<(), Refusal> {
    let state = NeighbourState::from(neighbour.state);
    batch.push(NEW, NLM_F_CREATE | NLM_F_REPLACE, &of(neighbour, state), |body| {
        body.put_ip(NDA_DST, neighbour.address);
        if !neighbour.mac.is_empty() {
            body.put(NDA_LLADDR, &neighbour.mac);
        }
        body.put_all(&neighbour.extra);
    })
}

/// Deletes the entry of this link and address.
///
/// # Errors
/// Never: it is of fixed size.
pub fn delete(batch: &mut Batch, neighbour: &Neighbour) -> Result<(), Refusal> {
    let head = of(neighbour, NeighbourState::from(0));
    batch.push(DELETE, 0, &head, |body| body.put_ip(NDA_DST, neighbour.address))
}

fn of(neighbour: &Neighbour, state: NeighbourState) -> NeighbourHeader {
    NeighbourHeader {
        family: address_family(neighbour.family),
        ifindex: neighbour.link,
        state,
        flags: NeighbourFlags::from_bits_retain(neighbour.flags),
        ..NeighbourHeader::default()
    }
}
