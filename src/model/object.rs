//! What the kernel holds, one type for each kind of object, in canonical form.
//!
//! Canonical means: nothing that changes by itself (counters, ages) takes part in a comparison, and everything that
//! the kernel said and this program does not interpret is kept as bytes in `extra`, so that an object can be put back
//! with attributes that nobody here knows. Numbers are the kernel's own (`include/uapi/linux/rtnetlink.h` and its
//! neighbours); links are named by index, because names change.

mod link;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::names::InterfaceName;

pub use link::{Link, LinkAbroad};

/// Attributes that are kept as the kernel wrote them: type (without NLA flags) to payload.
pub type Attributes = BTreeMap<u16, Vec<u8>>;

/// A value that changes by itself: kept for a restore, absent from every comparison.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Volatile<T>(pub T);

impl<T> PartialEq for Volatile<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Volatile<T> {}

impl Volatile<bool> {
    /// Whether it is left out where it is written down.
    fn is_unset(&self) -> bool {
        !self.0
    }
}

/// An address family that this program cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// AF_INET.
    #[serde(rename = "ipv4")]
    V4,
    /// AF_INET6.
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// Both, in the order in which plans list them.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family of a prefix.
    #[must_use]
    pub fn of_net(net: &IpNet) -> Self {
        Self::of(net.addr())
    }
}

/// How long an address or a route still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// Seconds; `u32::MAX` is for ever.
    pub preferred_s: u32,
    /// Seconds; `u32::MAX` is for ever.
    pub valid_s: u32,
}

/// An address of an interface (`struct ifaddrmsg`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Family.
    pub family: Family,
    /// Interface index.
    pub link: u32,
    /// Prefix length in bits.
    pub prefix_length: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// IFA_F_* without TENTATIVE, DADFAILED, OPTIMISTIC, DEPRECATED, STABLE_PRIVACY, which the kernel manages.
    pub flags: u32,
    /// Still in duplicate address detection (IFA_F_TENTATIVE).
    pub tentative: Volatile<bool>,
    /// Made by RFC 7217 (IFA_F_STABLE_PRIVACY), which nobody but the kernel can say of an address.
    #[serde(default, skip_serializing_if = "Volatile::is_unset")]
    pub stable_privacy: Volatile<bool>,
    /// IFA_LOCAL: the host's own address. IPv6 gives it only for point-to-point.
    pub local: Option<IpAddr>,
    /// IFA_ADDRESS: the address, or the peer's on point-to-point.
    pub address: IpAddr,
    /// IFA_BROADCAST.
    pub broadcast: Option<IpAddr>,
    /// IFA_LABEL.
    pub label: Option<Vec<u8>>,
    /// Remaining lifetimes.
    pub lifetime: Volatile<Option<Lifetime>>,
    /// Whether it lives for ever (a part of comparisons, unlike the remaining seconds).
    pub permanent: bool,
    /// Everything else: IFA_PROTO, IFA_RT_PRIORITY, …
    pub extra: Attributes,
}

impl Address {
    /// IFA_F_TEMPORARY (secondary on IPv4): for IPv6 a privacy address, which the kernel lets nobody recreate.
    pub const FLAG_TEMPORARY: u32 = 0x01;
    /// IFA_F_PERMANENT.
    pub const FLAG_PERMANENT: u32 = 0x80;
    /// IFA_F_NOPREFIXROUTE.
    pub const FLAG_NOPREFIXROUTE: u32 = 0x200;

    /// IFA_PROTO (`include/uapi/linux/if_addr.h`), since Linux 5.18.
    pub const ATTRIBUTE_PROTOCOL: u16 = 11;
    /// IFAPROT_KERNEL_LL.
    pub const PROTOCOL_KERNEL_LINK_LOCAL: u8 = 3;

    /// Whether the kernel made it of the hardware address when the link came up.
    #[must_use]
    pub fn is_link_local_of_kernel(&self) -> bool {
        let protocol = self.extra.get(&Self::ATTRIBUTE_PROTOCOL);
        protocol.is_some_and(|p| p.as_slice() == [Self::PROTOCOL_KERNEL_LINK_LOCAL])
    }

    /// The host's own address.
    #[must_use]
    pub fn own(&self) -> IpAddr {
        self.local.unwrap_or(self.address)
    }
}

/// One leg of a multipath route (`struct rtnexthop`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Interface index.
    pub link: u32,
    /// rtnh_hops: the weight less one.
    pub hops: u8,
    /// rtnh_flags without DEAD, LINKDOWN, OFFLOAD and TRAP.
    pub flags: u8,
    /// RTA_GATEWAY or RTA_VIA.
    pub gateway: Option<IpAddr>,
    /// Everything else: RTA_ENCAP, RTA_FLOW, …
    pub extra: Attributes,
}

/// A route (`struct rtmsg`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Family.
    pub family: Family,
    /// Destination; length 0 is the default route.
    pub destination: IpNet,
    /// IPv6 subtrees: source prefix.
    pub source: Option<IpNet>,
    /// rtm_tos.
    pub tos: u8,
    /// RTA_TABLE.
    pub table: u32,
    /// rtm_protocol.
    pub protocol: u8,
    /// rtm_scope.
    pub scope: u8,
    /// rtm_type: RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, …
    pub kind: u8,
    /// rtm_flags that are set by whoever adds the route: ONLINK, NOTIFY, PREFIX.
    pub flags: u32,
    /// RTA_PRIORITY; 0 where the kernel gives none.
    pub metric: u32,
    /// RTA_OIF: interface index; none for a route that leads nowhere, which IPv6 hangs on loopback.
    pub link: Option<u32>,
    /// RTA_GATEWAY, or RTA_VIA of the other family.
    pub gateway: Option<IpAddr>,
    /// RTA_PREFSRC.
    pub preferred_source: Option<IpAddr>,
    /// RTA_NH_ID: with it, link, gateway and hops are the nexthop object's and stay empty here.
    pub nexthop: Option<u32>,
    /// RTA_MULTIPATH.
    pub hops: Vec<Hop>,
    /// RTA_METRICS: RTAX_* to payload.
    pub metrics: Attributes,
    /// Remaining seconds (RTA_CACHEINFO when read, RTA_EXPIRES when written), none for ever.
    pub expires_s: Volatile<Option<u32>>,
    /// Everything else: RTA_ENCAP, RTA_PREF but medium, RTA_FLOW, RTA_TTL_PROPAGATE, …
    pub extra: Attributes,
}

impl Route {
    /// RTN_UNICAST.
    pub const UNICAST: u8 = 1;
    /// RTN_LOCAL.
    pub const LOCAL: u8 = 2;
    /// RTN_BLACKHOLE.
    pub const BLACKHOLE: u8 = 6;
    /// RTN_UNREACHABLE.
    pub const UNREACHABLE: u8 = 7;
    /// RTN_PROHIBIT.
    pub const PROHIBIT: u8 = 8;
    /// RTN_THROW.
    pub const THROW: u8 = 9;
    /// RTPROT_KERNEL.
    pub const PROTOCOL_KERNEL: u8 = 2;
    /// RTPROT_RA.
    pub const PROTOCOL_RA: u8 = 9;
    /// RT_TABLE_MAIN.
    pub const TABLE_MAIN: u32 = 254;
    /// RT_TABLE_LOCAL.
    pub const TABLE_LOCAL: u32 = 255;

    /// Every link over which it sends, its legs' included.
    pub fn links(&self) -> impl Iterator<Item = u32> + '_ {
        self.link.into_iter().chain(self.hops.iter().map(|h| h.link))
    }

    /// Every gateway that it uses, its legs' included.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.gateway
            .into_iter()
            .chain(self.hops.iter().filter_map(|h| h.gateway))
    }
}

/// A nexthop object (`struct nhmsg`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nexthop {
    /// NHA_ID.
    pub id: u32,
    /// nh_family (AF_UNSPEC 0 for a group).
    pub family: u8,
    /// nh_scope, as read; written as 0.
    pub scope: u8,
    /// nh_protocol.
    pub protocol: u8,
    /// nh_flags without DEAD and LINKDOWN.
    pub flags: u32,
    /// NHA_OIF.
    pub link: Option<u32>,
    /// NHA_GATEWAY.
    pub gateway: Option<IpAddr>,
    /// NHA_BLACKHOLE.
    pub blackhole: bool,
    /// NHA_GROUP: id and weight less one of each member (16 bits since Linux 6.12).
    pub group: Vec<(u32, u16)>,
    /// Everything else but NHA_OP_FLAGS and NHA_RES_GROUP_UNBALANCED_TIME, which the kernel refuses back.
    pub extra: Attributes,
}

/// What a rule does with a packet that matches it (FR_ACT_*, `include/uapi/linux/fib_rules.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Look the destination up in this table.
    Lookup(u32),
    /// Go on at the first rule of this preference.
    Goto(u32),
    /// Nothing: a landing place for `goto`.
    Nop,
    /// Drop in silence; EINVAL for a local sender.
    Blackhole,
    /// ENETUNREACH for a local sender.
    Unreachable,
    /// EACCES for a local sender.
    Prohibit,
    /// An action that this program does not know.
    Other(u8),
}

/// A rule of the routing policy database (`struct fib_rule_hdr`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Family.
    pub family: Family,
    /// FRA_PRIORITY: its preference; lower comes first.
    pub preference: u32,
    /// What it does.
    pub action: RuleAction,
    /// FRA_PROTOCOL: a part of a rule's identity. Ours is [`OUR_PROTOCOL`].
    pub protocol: u8,
    /// FIB_RULE_INVERT: `not`.
    pub invert: bool,
    /// FRA_SRC.
    pub source: Option<IpNet>,
    /// FRA_DST.
    pub destination: Option<IpNet>,
    /// FRA_IIFNAME.
    pub iif: Option<InterfaceName>,
    /// FRA_OIFNAME.
    pub oif: Option<InterfaceName>,
    /// FRA_FWMARK and FRA_FWMASK.
    pub mark: Option<(u32, u32)>,
    /// FRA_UID_RANGE.
    pub uid_range: Option<(u32, u32)>,
    /// FRA_IP_PROTO.
    pub ip_protocol: Option<u8>,
    /// FRA_SPORT_RANGE.
    pub source_ports: Option<(u16, u16)>,
    /// FRA_DPORT_RANGE.
    pub destination_ports: Option<(u16, u16)>,
    /// FRA_SUPPRESS_PREFIXLEN.
    pub suppress_prefix_length: Option<u32>,
    /// FRA_SUPPRESS_IFGROUP.
    pub suppress_group: Option<u32>,
    /// The header's tos byte and everything else.
    pub tos: u8,
    /// Attributes that this program does not interpret.
    pub extra: Attributes,
}

/// The protocol number that marks rules, routes and nexthops as ours (rtm_protocol, FRA_PROTOCOL).
///
/// It is free in `/etc/iproute2/rt_protos` and in `include/uapi/linux/rtnetlink.h`.
pub const OUR_PROTOCOL: u8 = 80;

impl Rule {
    /// A rule of ours without any selector.
    #[must_use]
    pub fn ours(family: Family, preference: u32, action: RuleAction) -> Self {
        Self {
            family,
            preference,
            action,
            protocol: OUR_PROTOCOL,
            invert: false,
            source: None,
            destination: None,
            iif: None,
            oif: None,
            mark: None,
            uid_range: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            suppress_prefix_length: None,
            suppress_group: None,
            tos: 0,
            extra: Attributes::new(),
        }
    }

    /// The rule that stands at preference 0 of every family: `from all lookup local`, protocol kernel.
    #[must_use]
    pub fn local(family: Family) -> Self {
        Self {
            protocol: Route::PROTOCOL_KERNEL,
            ..Self::ours(family, 0, RuleAction::Lookup(Route::TABLE_LOCAL))
        }
    }
}

/// A permanent, proxy or managed neighbour (`struct ndmsg`); the others come and go and are no part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Family.
    pub family: Family,
    /// Interface index.
    pub link: u32,
    /// NDA_DST.
    pub address: IpAddr,
    /// NDA_LLADDR; empty for a proxy entry, and for a managed one, of which the kernel finds it out.
    pub mac: Vec<u8>,
    /// ndm_state: NUD_PERMANENT, NUD_NOARP, 0 for a proxy or a managed entry.
    pub state: u16,
    /// ndm_flags: NTF_PROXY, NTF_ROUTER, …
    pub flags: u8,
    /// Everything else but NDA_CACHEINFO and NDA_PROBES: NDA_PROTOCOL, …
    pub extra: Attributes,
}

/// A queueing discipline (`struct tcmsg`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qdisc {
    /// Interface index.
    pub link: u32,
    /// TCA_KIND: `clsact`, `noqueue`, `fq_codel`, …
    pub kind: String,
    /// tcm_handle.
    pub handle: u32,
    /// tcm_parent.
    pub parent: u32,
    /// TCA_INGRESS_BLOCK.
    pub ingress_block: Option<u32>,
    /// TCA_EGRESS_BLOCK.
    pub egress_block: Option<u32>,
}

impl Qdisc {
    /// `clsact` and `ingress` stand at this handle (`TC_H_MAKE(TC_H_CLSACT, 0)`).
    pub const CLSACT_HANDLE: u32 = 0xffff_0000;
    /// TC_H_CLSACT.
    pub const CLSACT_PARENT: u32 = 0xffff_fff1;
}

/// Where a filter hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// On a shared block of this index (TCM_IFINDEX_MAGIC_BLOCK).
    Block(u32),
    /// On the ingress side of this link's `clsact`.
    Ingress(u32),
    /// On the egress side of this link's `clsact`.
    Egress(u32),
    /// On another parent of a link: (link, parent). Never ours.
    Other(u32, u32),
}

/// One 32-bit comparison of a u32 filter, counted from the network header (`struct tc_u32_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct U32Match {
    /// Bytes from the network header; a multiple of four.
    pub offset: i32,
    /// Compared after the mask; host byte order of the big-endian word on the wire.
    pub value: u32,
    /// Which bits count.
    pub mask: u32,
}

/// What a filter of ours does with a packet that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// End the search: the packet goes on its way (a `flowid`, without which the search would go on).
    Pass,
    /// Drop: `mirred egress redirect` to this link, an ifb that is down, which the kernel answers with TC_ACT_SHOT.
    DropInto(u32),
}

/// The filters of one preference at one place: one `tcf_proto`, added and removed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Where.
    pub attach: Attach,
    /// The preference: lower comes first.
    pub preference: u16,
    /// Ethertype: 0x0806 ARP, 0x0800 IPv4, 0x86dd IPv6, 0x0003 all.
    pub protocol: u16,
    /// TCA_CHAIN; ours is 0.
    pub chain: u32,
    /// TCA_KIND.
    pub kind: String,
    /// What is inside, in the order of the kernel's search.
    pub entries: FilterEntries,
}

/// The inside of a [`Filter`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterEntries {
    /// u32 filters as this program writes them: any of the rows matches if all of its comparisons do.
    U32(Vec<(Vec<U32Match>, Verdict)>),
    /// Somebody else's: their handles, for telling whether they are still there.
    Foreign(Vec<u32>),
}

impl Filter {
    /// Our filters pass with `flowid 5043:1`; the number ("PC") is how ours are told from others'.
    pub const OUR_CLASSID: u32 = 0x5043_0001;
}

/// A sysctl that a cut touches or depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sysctl {
    /// Dotted name, beginning with `net.`, with `/` for a dot inside an interface's name, as sysctl(8) has it.
    pub name: String,
    /// The value, without the final newline.
    pub value: String,
}
