//! Network interfaces.

use serde::{Deserialize, Serialize};

use super::Volatile;
use crate::model::names::InterfaceName;

/// Kinds whose frames carry a tag of their own, over one link.
const TAGGED: [&str; 2] = ["vlan", "macsec"];
/// Kinds whose packets go within others (IFLA_INFO_KIND). `tun` is a tap, too.
const TUNNELS: [&str; 20] = [
    "amt",
    "bareudp",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "l2tpeth",
    "ovpn",
    "ppp",
    "sit",
    "tun",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
    "xfrm",
];
/// A link of another network namespace: its index says nothing about links of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAbroad {
    /// The interface index there.
    pub index: u32,
    /// IFLA_LINK_NETNSID: this namespace's own number for that one; -1 where it has none.
    pub netns: i32,
}

/// A network interface. Only `up`, `group` and our own ifb are ever changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// The first name.
    pub name: InterfaceName,
    /// IFLA_INFO_KIND: `veth`, `bridge`, …; none for real devices.
    pub kind: Option<String>,
    /// IFF_UP: administratively up.
    pub up: bool,
    /// Settable flags of `ifi_flags` but IFF_UP: NOARP, PROMISC, ALLMULTI, MULTICAST, LOOPBACK, BROADCAST, POINTOPOINT.
    pub flags: u32,
    /// IFF_LOWER_UP and IFF_RUNNING: it has a carrier, and the kernel has told everybody so (`linkwatch_do_dev()` in
    /// `net/core/link_watch.c`), up to a second after it came. Follows the other end, so it is no part of a comparison.
    pub carrier: Volatile<bool>,
    /// Bytes.
    pub mtu: u32,
    /// Index of the bridge, bond or VRF above.
    pub master: Option<u32>,
    /// IFLA_LINK: index of the device below (macvlan, vlan) or of the peer (veth), if it is in this network namespace.
    pub lower: Option<u32>,
    /// The same, if it is in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_abroad: Option<LinkAbroad>,
    /// Hardware address, as many bytes as the type has.
    pub mac: Vec<u8>,
    /// Alternative names.
    pub altnames: Vec<InterfaceName>,
    /// IFLA_GROUP.
    pub group: u32,
}

impl Link {
    /// IFF_LOOPBACK in `ifi_flags`.
    pub const FLAG_LOOPBACK: u32 = 0x8;
    /// IFF_NOARP in `ifi_flags`: tunnels and serial lines, whose far end needs no hardware address.
    pub const FLAG_NOARP: u32 = 0x80;
    /// IPV6_MIN_MTU in `include/uapi/linux/ipv6.h`: a link with a smaller MTU has no IPv6.
    pub const MTU_MIN_V6: u32 = 1280;

    /// Whether it is the loopback device, which no cut ever touches.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.flags & Self::FLAG_LOOPBACK != 0
    }

    /// Whether the kernel asks for hardware addresses on it, by ARP or neighbour discovery.
    #[must_use]
    pub fn resolves_neighbours(&self) -> bool {
        self.flags & (Self::FLAG_LOOPBACK | Self::FLAG_NOARP) == 0
    }

    /// Whether its frames go over the link below with a tag of their own.
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| TAGGED.contains(&kind))
    }

    /// Whether its packets go within others, as this host's own.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| TUNNELS.contains(&kind))
    }

    /// Whether its packets look otherwise on the link that they really leave by.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        self.is_tagged() || self.is_tunnel()
    }
}
