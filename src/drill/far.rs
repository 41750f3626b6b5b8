//! Who lives on the far side of each link: its gateways, a neighbour, the world behind a default route, and the peers of
//! the lifelines. All of them answer by echo.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::DrillError;
use super::copy::{Copy, FAR_END};
use super::links::{Builder, Detection};
use super::namespace::NotInitial;
use super::probe::Origin;
use super::probe::echo::Echo;
use super::through::{self, Way};
use crate::model::cut::{Cut, Lifeline};
use crate::model::object::{Address, Family, Route};
use crate::model::policy::Direction;
use crate::model::snapshot::Snapshot;

/// Where the world is: documentation addresses (RFC 5737, RFC 3849), so that nobody is meant.
const WORLD: [&str; 2] = ["198.51.100.53", "2001:db8:5ca1::53"];
/// The port of every forbidden service.
pub(super) const ECHO_PORT: u16 = 9007;
/// Addresses that are looked at to find one that is free.
const CANDIDATES_MAX: usize = 64;

/// The far side of one link, decided.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// Its addresses, with the prefix length that they get: the subnet's, or the whole for those behind a router.
    addresses: BTreeMap<IpAddr, IpNet>,
    /// One neighbour on the link for each family.
    pub(super) neighbours: Vec<IpAddr>,
    /// The world, where a default route leads here.
    pub(super) world: Vec<IpAddr>,
    /// Addresses inside prefixes that the policy sends nowhere.
    pub(super) nulled: Vec<IpAddr>,
    /// Peers of lifelines: the lifeline's place in the cut, and the address.
    pub(super) peers: Vec<(usize, IpAddr)>,
    /// Whom the peers of lifelines reach through the host from here.
    pub(super) ways: Vec<Way>,
    /// The host's addresses on this link.
    pub(super) own: Vec<IpAddr>,
}

/// Decides who lives where.
pub(super) fn sides(copy: &Copy, cut: &Cut) -> BTreeMap<u32, Side> {
    let host = &copy.state;
    let mut sides: BTreeMap<u32, Side> = copy.far.iter().map(|f| (f.link, Side::default())).collect();
    // Two links may share a subnet: an address behind each of them would answer for the other.
    let mut neighbours = Vec::new();
    for address in &host.addresses {
        if let Some(side) = sides.get_mut(&address.link) {
            neighbours.extend(settle_neighbour(side, host, address, &neighbours));
        }
    }
    for route in &host.routes {
        for (link, gateway) in legs(host, route) {
            let Some(side) = sides.get_mut(&link) else { continue };
            if let Some(gateway) = gateway {
                side.house(on_link(host, link, gateway));
            }
            if route.destination.prefix_len() == 0 && route.kind == Route::UNICAST && route.table == Route::TABLE_MAIN {
                let world = WORLD.iter().filter_map(|w| w.parse::<IpAddr>().ok());
                side.world.extend(world.filter(|w| Family::of(*w) == route.family));
            }
        }
    }
    for (place, lifeline) in cut.lifelines.iter().enumerate() {
        for (link, peer) in peers(host, lifeline) {
            if let Some(side) = sides.get_mut(&link) {
                side.peers.push((place, peer));
            }
        }
    }
    for prefix in &cut.null_prefixes {
        if let Some((link, address)) = reachable_in(host, *prefix)
            && let Some(side) = sides.get_mut(&link)
        {
            side.nulled.push(address);
        }
    }
    for side in sides.values_mut() {
        for list in [&mut side.world, &mut side.nulled] {
            list.sort();
            list.dedup();
        }
        let single: Vec<IpAddr> = side
            .world
            .iter()
            .chain(&side.nulled)
            .chain(side.peers.iter().map(|(_, p)| p))
            .copied()
            .collect();
        single.into_iter().for_each(|address| side.house(IpNet::from(address)));
    }
    for way in through::ways(host, &sides, cut) {
        if let Some(side) = sides.get_mut(&way.to.0) {
            side.house(IpNet::from(way.to.1));
        }
        if let Some(side) = sides.get_mut(&way.from.0) {
            side.ways.push(way);
        }
    }
    sides
}

impl Side {
    /// Whether this address lives here.
    pub(super) fn has(&self, address: &IpAddr) -> bool {
        self.addresses.contains_key(address)
    }

    /// Gives it an address; one that it has keeps the wider prefix, by which the host is on the link.
    fn house(&mut self, address: IpNet) {
        let known = self.addresses.entry(address.addr()).or_insert(address);
        if address.prefix_len() < known.prefix_len() {
            *known = address;
        }
    }
}

/// Gives the far side of every link its addresses, routes back to the host, and its echo servers.
pub(super) fn settle(copy: &Copy, sides: &BTreeMap<u32, Side>, cut: &Cut) -> Result<Vec<Echo>, DrillError> {
    let mut echoes = Vec::new();
    let mut ports: BTreeSet<u16> = [ECHO_PORT].into();
    ports.extend(cut.lifelines.iter().map(service_port));
    for far in &copy.far {
        let Some(side) = sides.get(&far.link) else { continue };
        echoes.push(far.space.run(|proof| furnish(proof, side, &ports))??);
    }
    echoes.push(copy.here.run(|proof| serve(proof, &wildcards(), &ports))??);
    Ok(echoes)
}

/// The port on which a lifeline's service answers in a drill.
pub(super) fn service_port(lifeline: &Lifeline) -> u16 {
    lifeline.ports.first().map_or(ECHO_PORT, |range| range.first)
}

fn furnish(proof: NotInitial, side: &Side, ports: &BTreeSet<u16>) -> Result<Echo, DrillError> {
    let builder = Builder::open(proof)?;
    let link = FAR_END.parse().map_err(DrillError::Name)?;
    for address in side.addresses.values() {
        builder.add_address(&link, *address, Detection::Skip)?;
    }
    for family in Family::BOTH {
        if let Some(back) = side.own.iter().find(|a| Family::of(**a) == family) {
            let everywhere = match family {
                Family::V4 => IpNet::V4(Ipv4Net::default()),
                Family::V6 => IpNet::V6(Ipv6Net::default()),
            };
            // A host with a single address shares no subnet with its neighbours.
            if !is_link_local(back) {
                builder.add_route(IpNet::from(*back), None, Some(&link))?;
            }
            builder.add_route(everywhere, Some(*back), Some(&link))?;
        }
    }
    let addresses: Vec<IpAddr> = side.addresses.keys().copied().filter(|a| !is_link_local(a)).collect();
    serve(proof, &addresses, ports)
}

fn serve(proof: NotInitial, addresses: &[IpAddr], ports: &BTreeSet<u16>) -> Result<Echo, DrillError> {
    let at: Vec<SocketAddr> = addresses
        .iter()
        .flat_map(|a| ports.iter().map(|p| SocketAddr::new(*a, *p)))
        .collect();
    Ok(Echo::start(&at, &Origin::any(proof))?)
}

/// `[::]` takes IPv4 as well (net.ipv6.bindv6only is 0 in a new namespace).
fn wildcards() -> [IpAddr; 1] {
    [IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)]
}

/// The neighbour that the side has got by this address of the host, if it had none of the family.
fn settle_neighbour(side: &mut Side, host: &Snapshot, address: &Address, taken: &[IpAddr]) -> Option<IpAddr> {
    let own = address.own();
    if is_link_local(&own) {
        return None;
    }
    side.own.push(own);
    let family = Family::of(own);
    if side.neighbours.iter().any(|n| Family::of(*n) == family) {
        return None;
    }
    let net = IpNet::new(own, address.prefix_length).ok()?;
    let free = free_in(host, net.trunc(), taken)?;
    side.neighbours.push(free);
    side.house(IpNet::new(free, address.prefix_length).ok()?);
    Some(free)
}

/// The first address of a prefix that nobody on this host or among its gateways has.
fn free_in(host: &Snapshot, net: IpNet, taken: &[IpAddr]) -> Option<IpAddr> {
    let gateways: BTreeSet<IpAddr> = host.routes.iter().flat_map(Route::gateways).collect();
    let own: BTreeSet<IpAddr> = host.addresses.iter().map(Address::own).collect();
    // Far from the beginning, where gateways live, as long as the prefix has room.
    let skip = if net.max_prefix_len() - net.prefix_len() > 6 {
        40
    } else {
        0
    };
    net.hosts()
        .skip(skip)
        .take(CANDIDATES_MAX)
        .find(|a| !own.contains(a) && !gateways.contains(a) && !taken.contains(a))
}

/// The address of a gateway with the prefix length of the host's subnet, so that the far side finds the host.
fn on_link(host: &Snapshot, link: u32, gateway: IpAddr) -> IpNet {
    let covering = host.addresses.iter().filter(|a| a.link == link).find_map(|a| {
        let net = IpNet::new(a.own(), a.prefix_length).ok()?;
        net.contains(&gateway).then_some(a.prefix_length)
    });
    covering
        .and_then(|length| IpNet::new(gateway, length).ok())
        .unwrap_or_else(|| IpNet::from(gateway))
}

/// Every link and gateway of a route, those of its nexthop objects included.
fn legs(host: &Snapshot, route: &Route) -> Vec<(u32, Option<IpAddr>)> {
    let mut legs: Vec<_> = route.hops.iter().map(|h| (h.link, h.gateway)).collect();
    legs.extend(route.link.map(|link| (link, route.gateway)));
    let mut waiting: Vec<u32> = route.nexthop.into_iter().collect();
    while let Some(id) = waiting.pop() {
        let Some(nexthop) = host.nexthops.iter().find(|n| n.id == id) else {
            continue;
        };
        legs.extend(nexthop.link.map(|link| (link, nexthop.gateway)));
        waiting.extend(nexthop.group.iter().map(|(member, _)| *member));
    }
    legs
}

/// For each family, a peer of the lifeline that this host has a route to, and the link of that route.
fn peers(host: &Snapshot, lifeline: &Lifeline) -> Vec<(u32, IpAddr)> {
    Family::BOTH
        .iter()
        .filter_map(|family| {
            let of_family = lifeline.peers.iter().filter(|p| Family::of_net(p) == *family);
            of_family.filter(|p| !is_link_local(&p.addr())).find_map(|p| {
                let found = reachable_in(host, *p)?;
                let wanted = lifeline.link.as_ref().is_none_or(|(index, _)| *index == found.0);
                let answerable = lifeline.direction == Direction::Out || has_own(host, found.0, *family);
                (wanted && answerable).then_some(found)
            })
        })
        .collect()
}

/// Whether the host has an address by which the far side of the link finds back.
pub(super) fn has_own(host: &Snapshot, link: u32, family: Family) -> bool {
    host.addresses
        .iter()
        .any(|a| a.link == link && a.family == family && !is_link_local(&a.own()))
}

/// An address inside the prefix to which table main has a route, and the link of that route.
pub(super) fn reachable_in(host: &Snapshot, prefix: IpNet) -> Option<(u32, IpAddr)> {
    let on_link = host
        .addresses
        .iter()
        .filter(|a| !is_link_local(&a.own()))
        .find_map(|a| {
            let net = IpNet::new(a.own(), a.prefix_length).ok()?.trunc();
            let narrower = if prefix.contains(&net) {
                net
            } else if net.contains(&prefix) {
                prefix
            } else {
                return None;
            };
            free_in(host, narrower, &[]).map(|free| (a.link, free))
        });
    on_link.or_else(|| {
        let address = if prefix.prefix_len() == prefix.max_prefix_len() {
            prefix.addr()
        } else {
            free_in(host, prefix, &[])?
        };
        let best = host
            .routes
            .iter()
            .filter(|r| r.table == Route::TABLE_MAIN && r.destination.contains(&address))
            .max_by_key(|r| (r.destination.prefix_len(), std::cmp::Reverse(r.metric)))?;
        if best.kind != Route::UNICAST {
            return None;
        }
        legs(host, best).first().map(|(link, _)| (*link, address))
    })
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
