//! What a snapshot says of how a host is connected and administered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{OwnSession, ProposedScope};
use crate::model::names::InterfaceName;
use crate::model::object::{Address, Family, Link, Route};
use crate::model::snapshot::Snapshot;

/// RTPROT_DHCP (`include/uapi/linux/rtnetlink.h`).
const PROTOCOL_DHCP: u8 = 16;
/// Private prefixes listed at most: whoever routes to more of them knows better which of them administer.
const PRIVATE_MAX: usize = 16;
/// Private address space (RFC 1918, RFC 4193). Not link-local: every link has it, a link to strangers too.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// What was found.
pub(super) struct Survey {
    /// Every link but loopback, by index.
    pub(super) links: Vec<SeenLink>,
    /// Who administers this host over the links of the scope.
    pub(super) management: Management,
    /// The links by which they come that others carry, with their kinds.
    pub(super) carried: Vec<(String, String)>,
    /// What shows that DHCP is in use.
    pub(super) dhcp: Option<String>,
    /// What shows that router advertisements are in use.
    pub(super) router_advertisements: Option<String>,
}

/// A link as it is described.
pub(super) struct SeenLink {
    pub(super) name: String,
    pub(super) uplink: bool,
    pub(super) addresses: Vec<IpNet>,
}

/// Who administers a host, as far as it shows.
pub(super) enum Management {
    /// A session is open over the scope: its peer, and the on-link network that it is in.
    Peer { peer: IpAddr, net: IpNet },
    /// Private prefixes that are routed over the scope: those listed, and those beyond [`PRIVATE_MAX`].
    Prefixes(Vec<IpNet>, Vec<IpNet>),
    /// Whoever they are, they come over links that are not cut.
    OtherLinks,
    /// Nothing shows.
    Unknown,
}

impl Survey {
    pub(super) fn of(host: &Snapshot, scope: ProposedScope, session: Option<OwnSession>) -> Self {
        let uplinks = uplinks(host);
        let others = host.links.iter().filter(|l| !l.is_loopback());
        let links: BTreeSet<u32> = others.clone().map(|l| l.index).collect();
        let cut = match scope {
            ProposedScope::Host => &links,
            ProposedScope::Uplinks => &uplinks,
        };
        Self {
            links: others.map(|l| SeenLink::of(l, host, &uplinks)).collect(),
            management: management(host, &links, cut, session),
            carried: carried(host, &links, session),
            dhcp: dhcp(host),
            router_advertisements: router_advertisements(host),
        }
    }

    pub(super) fn uplinks(&self) -> impl Iterator<Item = &SeenLink> {
        self.links.iter().filter(|l| l.uplink)
    }
}

impl SeenLink {
    fn of(link: &Link, host: &Snapshot, uplinks: &BTreeSet<u32>) -> Self {
        let addresses = host.addresses.iter().filter(|a| a.link == link.index);
        let net = |a: &Address| IpNet::new(a.own(), a.prefix_length).ok();
        Self {
            name: link.name.to_string(),
            uplink: uplinks.contains(&link.index),
            addresses: addresses.filter(|a| !is_link_local(a.own())).filter_map(net).collect(),
        }
    }
}

/// The links over which a default route of any table sends.
fn uplinks(host: &Snapshot) -> BTreeSet<u32> {
    let defaults = host
        .routes
        .iter()
        .filter(|r| r.destination.prefix_len() == 0 && r.kind == Route::UNICAST);
    defaults.flat_map(|r| links_of(r, host)).collect()
}

/// Those of its nexthop object too, through one level of group, which is all that the kernel allows.
fn links_of(route: &Route, host: &Snapshot) -> BTreeSet<u32> {
    let find = |id: u32| host.nexthops.iter().find(move |n| n.id == id);
    let object = route.nexthop.and_then(find);
    let members = object
        .iter()
        .flat_map(|o| o.group.iter().filter_map(|(id, _)| find(*id)));
    let by_object: BTreeSet<u32> = members.chain(object).filter_map(|n| n.link).collect();
    route.links().chain(by_object).collect()
}

fn management(host: &Snapshot, links: &BTreeSet<u32>, cut: &BTreeSet<u32>, session: Option<OwnSession>) -> Management {
    let over = |links: &BTreeSet<u32>| private_prefixes(host, links);
    match session.map(|s| s.peer) {
        Some(peer) => match route_to(host, peer) {
            Some(route) if links_of(route, host).is_disjoint(cut) => Management::OtherLinks,
            Some(route) if is_on_link(route) => Management::Peer {
                peer,
                net: route.destination,
            },
            Some(_) | None => Management::Peer {
                peer,
                net: IpNet::from(peer),
            },
        },
        None if !over(cut).is_empty() => {
            let mut listed = over(cut);
            let left_out = listed.split_off(PRIVATE_MAX.min(listed.len()));
            Management::Prefixes(listed, left_out)
        }
        None if !over(links).is_empty() => Management::OtherLinks,
        None => Management::Unknown,
    }
}

/// VLANs, MACsec links and tunnels by which whoever administers this host comes.
fn carried(host: &Snapshot, links: &BTreeSet<u32>, session: Option<OwnSession>) -> Vec<(String, String)> {
    let ways: BTreeSet<u32> = match session.map(|s| s.peer) {
        Some(peer) => route_to(host, peer).map(|r| links_of(r, host)).unwrap_or_default(),
        None => links.clone(),
    };
    let found = ways.into_iter().filter_map(|index| host.link(index));
    let leads_in = |l: &&Link| session.is_some() || !private_prefixes(host, &BTreeSet::from([l.index])).is_empty();
    let carried = found.filter(|l| l.is_carried()).filter(leads_in);
    carried
        .map(|l| (l.name.to_string(), l.kind.clone().unwrap_or_default()))
        .collect()
}

/// By longest prefix in any table but `local`: near enough to see over which link a peer comes.
fn route_to(host: &Snapshot, peer: IpAddr) -> Option<&Route> {
    let candidates = host.routes.iter().filter(|r| leads_out(r));
    candidates
        .filter(|r| r.destination.contains(&peer))
        .max_by_key(|r| r.destination.prefix_len())
}

fn leads_out(route: &Route) -> bool {
    route.table != Route::TABLE_LOCAL && route.kind == Route::UNICAST
}

fn is_on_link(route: &Route) -> bool {
    route.destination.prefix_len() != 0 && route.nexthop.is_none() && route.gateways().next().is_none()
}

/// Of all routes over these links, whoever made them.
fn private_prefixes(host: &Snapshot, links: &BTreeSet<u32>) -> Vec<IpNet> {
    let spaces: Vec<IpNet> = PRIVATE.iter().filter_map(|text| text.parse().ok()).collect();
    let routes = host
        .routes
        .iter()
        .filter(|r| leads_out(r) && !links_of(r, host).is_disjoint(links));
    let private = routes
        .map(|r| r.destination)
        .filter(|net| spaces.iter().any(|space| space.contains(net)));
    let merged = IpNet::aggregate(&private.collect::<Vec<_>>());
    let sorted: BTreeSet<IpNet> = merged.into_iter().collect();
    sorted.into_iter().collect()
}

fn dhcp(host: &Snapshot) -> Option<String> {
    let route = host.routes.iter().find(|r| r.protocol == PROTOCOL_DHCP);
    let leased = |a: &&Address| match a.family {
        Family::V4 => !a.permanent,
        // An address alone in its prefix is from DHCPv6; autoconfigured ones have the prefix of the link.
        Family::V6 => !a.permanent && a.prefix_length == 128,
    };
    let address = host.addresses.iter().find(leased);
    address
        .map(|a| format!("{} on {} has a lease", a.own(), name_of(host, a.link)))
        .or_else(|| route.map(|r| format!("the route to {} is from DHCP", r.destination)))
}

fn router_advertisements(host: &Snapshot) -> Option<String> {
    let route = host.routes.iter().find(|r| r.protocol == Route::PROTOCOL_RA);
    let autoconfigured = |a: &&Address| a.family == Family::V6 && !a.permanent && a.prefix_length != 128;
    let address = host.addresses.iter().find(autoconfigured);
    address
        .map(|a| format!("{} on {} is autoconfigured", a.own(), name_of(host, a.link)))
        .or_else(|| route.map(|r| format!("the route to {} is from a router", r.destination)))
}

fn name_of(host: &Snapshot, link: u32) -> String {
    let name: Option<&InterfaceName> = host.link(link).map(|l| &l.name);
    name.map_or_else(|| format!("link {link}"), ToString::to_string)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    }
}
