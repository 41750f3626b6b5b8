//! Links (`struct ifinfomsg`, `include/uapi/linux/if_link.h`).
//!
//! Only our own ifb is ever created or deleted; of other links only IFF_UP and the group are set.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkFlags, LinkHeader};

use super::{Batch, Body, Broken, Refusal, attributes, header, kind_name_of, name_of, u32_of};
use crate::model::change::LinkSetting;
use crate::model::names::InterfaceName;
use crate::model::object::{Link, LinkAbroad, Volatile};

/// RTM_NEWLINK.
pub const NEW: u16 = 16;
const DELETE: u16 = 17;
/// RTM_GETLINK.
pub const READ: u16 = 18;

const HEADER_BYTES: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_GROUP: u16 = 27;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// The kind of link that this program makes: while it is down, what is redirected to it is dropped.
pub const OUR_KIND: &str = "ifb";

/// The flags that somebody sets and that stay set.
fn settable() -> LinkFlags {
    LinkFlags::Noarp
        | LinkFlags::Promisc
        | LinkFlags::Allmulti
        | LinkFlags::Multicast
        | LinkFlags::Loopback
        | LinkFlags::Broadcast
        | LinkFlags::Pointopoint
}

/// Asks for all links, without the counters that the kernel can leave out.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16) -> Result<(), Refusal> {
    batch.push(READ, flags, &LinkHeader::default(), |body| {
        body.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    })
}

/// Reads one RTM_NEWLINK.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Link, Broken> {
    let head = LinkHeader::parse(payload).map_err(header)?;
    let (mut name, mut netns) = (None, None);
    let mut link = Link {
        index: head.index,
        // Replaced below; a link without a name is an error.
        name: InterfaceName::from_kernel(b"-").map_err(header)?,
        kind: None,
        up: head.flags.contains(LinkFlags::Up),
        flags: (head.flags & settable()).bits(),
        carrier: Volatile(head.flags.contains(LinkFlags::LowerUp | LinkFlags::Running)),
        mtu: 0,
        master: None,
        lower: None,
        lower_abroad: None,
        mac: Vec::new(),
        altnames: Vec::new(),
        group: 0,
    };
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            IFLA_ADDRESS => link.mac = value.to_vec(),
            IFLA_IFNAME => name = Some(name_of(kind, value)?),
            IFLA_MTU => link.mtu = u32_of(kind, value)?,
            IFLA_LINK => link.lower = Some(u32_of(kind, value)?).filter(|&index| index != 0),
            IFLA_LINK_NETNSID => netns = Some(u32_of(kind, value)?.cast_signed()),
            IFLA_MASTER => link.master = Some(u32_of(kind, value)?).filter(|&index| index != 0),
            IFLA_GROUP => link.group = u32_of(kind, value)?,
            IFLA_LINKINFO => link.kind = info_kind(value)?,
            IFLA_PROP_LIST => link.altnames = alternative_names(value)?,
            _ => {}
        }
    }
    if let Some(netns) = netns {
        link.lower_abroad = link.lower.take().map(|index| LinkAbroad { index, netns });
    }
    link.name = name.ok_or_else(|| Broken(format!("link {} has no name", head.index)))?;
    Ok(link)
}

fn info_kind(value: &[u8]) -> Result<Option<String>, Broken> {
    for attribute in attributes(value, 0) {
        let (kind, value) = attribute?;
        if kind == IFLA_INFO_KIND {
            return kind_name_of(value).map(Some);
        }
    }
    Ok(None)
}

fn alternative_names(value: &[u8]) -> Result<Vec<InterfaceName>, Broken> {
    attributes(value, 0)
        .filter(|a| !matches!(a, Ok((kind, _)) if *kind != IFLA_ALT_IFNAME))
        .map(|attribute| attribute.and_then(|(kind, value)| name_of(kind, value)))
        .collect()
}

/// Creates our ifb under its own index, down.
///
/// # Errors
/// If it is another kind of link.
pub fn add(batch: &mut Batch, link: &Link) -> Result<(), Refusal> {
    only_ours(link)?;
    if link.index == 0 || link.up || !link.name.fits_interface() {
        return Err(Refusal(
            "an ifb of ours has an index, a name of at most 15 bytes, and is down",
        ));
    }
    let head = of(link.index);
    batch.push(NEW, NLM_F_CREATE | NLM_F_EXCL, &head, |body| {
        body.put_string(IFLA_IFNAME, link.name.as_bytes());
        if link.group != 0 {
            body.put_u32(IFLA_GROUP, link.group);
        }
        body.nest(IFLA_LINKINFO, |info: &mut Body<'_>| {
            info.put(IFLA_INFO_KIND, OUR_KIND.as_bytes());
        });
    })
}

/// Deletes our ifb.
///
/// # Errors
/// If it is another kind of link.
pub fn delete(batch: &mut Batch, link: &Link) -> Result<(), Refusal> {
    only_ours(link)?;
    batch.push(DELETE, 0, &of(link.index), |_| {})
}

fn only_ours(link: &Link) -> Result<(), Refusal> {
    match link.kind.as_deref() {
        Some(OUR_KIND) => Ok(()),
        Some(_) | None => Err(Refusal("only links of kind ifb are created and deleted")),
    }
}

/// Sets one attribute of the link with this index, and of no other: index 0 would mean a whole group.
///
/// # Errors
/// If the index is 0.
pub fn set(batch: &mut Batch, index: u32, setting: LinkSetting) -> Result<(), Refusal> {
    if index == 0 {
        return Err(Refusal("no link has the index 0"));
    }
    let mut head = of(index);
    let mut group = None;
    match setting {
        LinkSetting::Up => {
            head.flags = LinkFlags::Up;
            head.change_mask = LinkFlags::Up;
        }
        LinkSetting::Down => head.change_mask = LinkFlags::Up,
        LinkSetting::Group(number) => group = Some(number),
    }
    batch.push(NEW, 0, &head, |body| {
        if let Some(number) = group {
            body.put_u32(IFLA_GROUP, number);
        }
    })
}

fn of(index: u32) -> LinkHeader {
    LinkHeader {
        interface_family: AddressFamily::Unspec,
        index,
        ..LinkHeader::default()
    }
}
