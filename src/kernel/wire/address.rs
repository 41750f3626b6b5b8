//! Addresses (`struct ifaddrmsg`, `include/uapi/linux/if_addr.h`).

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressHeader, AddressHeaderFlags};

use super::{
    Batch, Broken, Refusal, address_family, attributes, bytes_of, family_of, header, ip_of, keep, u32_at, u32_of,
};
use crate::model::object::{Address, Attributes, Family, Lifetime, Volatile};

/// RTM_NEWADDR.
pub const NEW: u16 = 20;
const DELETE: u16 = 21;
/// RTM_GETADDR.
pub const READ: u16 = 22;

const HEADER_BYTES: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
/// IFA_TARGET_NETNSID: given only in answers about another namespace.
const IFA_TARGET_NETNSID: u16 = 10;

const IFA_F_NODAD: u32 = 0x02;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_MCAUTOJOIN: u32 = 0x400;
const IFA_F_STABLE_PRIVACY: u32 = 0x800;

/// Flags that come and go by themselves, or by the kernel alone: no part of comparisons.
const FLEETING: u32 = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC | IFA_F_DEPRECATED | IFA_F_STABLE_PRIVACY;

/// Flags that whoever adds an address may set (`inet6_rtm_newaddr()`). PERMANENT follows from the lifetime,
/// SECONDARY (IPv4) from the order of addresses, TEMPORARY (IPv6) from the kernel alone.
const SETTABLE: u32 =
    IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | Address::FLAG_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;

/// INFINITY_LIFE_TIME.
const FOR_EVER: u32 = u32::MAX;

/// Asks for all addresses of one family.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16, family: Family) -> Result<(), Refusal> {
    let head = AddressHeader {
        family: address_family(family),
        ..AddressHeader::default()
    };
    batch.push(READ, flags, &head, |_| {})
}

/// Reads one RTM_NEWADDR; none for a family that is not cut.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Option<Address>, Broken> {
    let head = AddressHeader::parse(payload).map_err(header)?;
    let Some(family) = family_of(head.family) else {
        return Ok(None);
    };
    let mut flags = u32::from(head.flags.bits());
    let (mut local, mut address, mut broadcast, mut label, mut cache) = (None, None, None, None, None);
    let mut extra = Attributes::new();
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            IFA_ADDRESS => address = Some(ip_of(kind, value)?),
            IFA_LOCAL => local = Some(ip_of(kind, value)?),
            IFA_LABEL => label = Some(bytes_of(value).to_vec()),
            IFA_BROADCAST => broadcast = Some(ip_of(kind, value)?),
            IFA_CACHEINFO => {
                cache = Some(Lifetime {
                    preferred_s: u32_at(kind, value, 0)?,
                    valid_s: u32_at(kind, value, 4)?,
                });
            }
            IFA_FLAGS => flags = u32_of(kind, value)?,
            IFA_TARGET_NETNSID => {}
            _ => keep(&mut extra, kind, value)?,
        }
    }
    Ok(Some(Address {
        family,
        link: head.index,
        prefix_length: head.prefix_len,
        scope: u8::from(head.scope),
        flags: flags & !FLEETING,
        tentative: Volatile(flags & IFA_F_TENTATIVE != 0),
        stable_privacy: Volatile(flags & IFA_F_STABLE_PRIVACY != 0),
        local,
        // IPv4 leaves IFA_ADDRESS out only for 0.0.0.0.
        address: address.unwrap_or_else(|| super::unspecified(family)),
        broadcast,
        label,
        lifetime: Volatile(lifetime(family, flags, cache)),
        permanent: flags & Address::FLAG_PERMANENT != 0,
        extra,
    }))
}

/// None where it is preferred and valid for ever.
///
/// IPv4 gives a permanent address two infinite lifetimes even if it was made deprecated (`inet_fill_ifaddr()`).
fn lifetime(family: Family, flags: u32, cache: Option<Lifetime>) -> Option<Lifetime> {
    let deprecated = Address::FLAG_PERMANENT | IFA_F_DEPRECATED;
    if family == Family::V4 && flags & deprecated == deprecated {
        return Some(Lifetime {
            preferred_s: 0,
            valid_s: FOR_EVER,
        });
    }
    cache.filter(|l| l.preferred_s != FOR_EVER || l.valid_s != FOR_EVER)
}

/// Adds it with its remaining lifetime.
///
/// # Errors
/// If it does not fit into a message.
pub fn add(batch: &mut Batch, address: &Address) -> Result<(), Refusal> {
    write(batch, NEW, NLM_F_CREATE | NLM_F_EXCL, address)
}

/// Deletes it: link, prefix length, own address and peer must agree, and for IPv4 the label.
///
/// # Errors
/// If it does not fit into a message.
pub fn delete(batch: &mut Batch, address: &Address) -> Result<(), Refusal> {
    write(batch, DELETE, 0, address)
}

fn write(batch: &mut Batch, kind: u16, flags: u16, address: &Address) -> Result<(), Refusal> {
    let settable = address.flags & SETTABLE;
    let head = AddressHeader {
        family: address_family(address.family),
        prefix_len: address.prefix_length,
        // The low byte, for kernels that do not look at IFA_FLAGS.
        flags: AddressHeaderFlags::from_bits_retain(settable.to_le_bytes()[0]),
        scope: address.scope.into(),
        index: address.link,
    };
    batch.push(kind, flags, &head, |body| {
        body.put_ip(IFA_ADDRESS, address.address);
        if let Some(local) = address.local {
            body.put_ip(IFA_LOCAL, local);
        }
        if let Some(broadcast) = address.broadcast {
            body.put_ip(IFA_BROADCAST, broadcast);
        }
        if let Some(label) = &address.label {
            body.put_string(IFA_LABEL, label);
        }
        if kind == DELETE {
            return;
        }
        body.put_u32(IFA_FLAGS, settable);
        if let Some(lifetime) = address.lifetime.0 {
            let mut info = [0; 16];
            info[..4].copy_from_slice(&lifetime.preferred_s.to_ne_bytes());
            info[4..8].copy_from_slice(&lifetime.valid_s.to_ne_bytes());
            body.put(IFA_CACHEINFO, &info);
        }
        body.put_all(&address.extra);
    })
}
