//! Which packets a lifeline needs, and whether a packet passes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use ipnet::IpNet;

use super::packet::{Load, Packet};
use super::walker::{Fate, From, Side, Walker};
use crate::model::cut::{Cut, Lifeline};
use crate::model::object::{Address, Family, Rule};
use crate::model::policy::{Direction, Transport};

/// A port of nobody's service, for the other end of a conversation.
pub(super) const EPHEMERAL: u16 = 40_123;
/// A service that no lifeline of a sane policy names (discard, RFC 863).
pub(super) const DISCARD: u16 = 9;

/// A question: does this packet pass?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// Whose packet it is.
    pub whose: String,
    /// The packet, for people.
    pub packet: String,
    asks: Asks,
    legs: Legs,
}

/// Over which of the legs that the kernel could choose a packet must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Legs {
    /// Over all of them.
    Every,
    /// Over all that use this link, which must be one at least.
    Over(u32),
    /// One is enough.
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Sent by this host; goes out over any link, or only over links of this set.
    Sent(Packet, Option<Rc<BTreeSet<u32>>>),
    /// Comes in over this link and is delivered here.
    Delivered(Packet, u32),
    /// Comes in over this link and goes out over any other, or only over links of this set.
    Forwarded(Packet, u32, Option<Rc<BTreeSet<u32>>>),
    /// A frame that passes a link's filters.
    Frame(Packet, u32, Side),
    /// The kernel's own lookup of a next hop leads to its link.
    Resolved(Packet, u32),
}

impl Probe {
    pub fn new(whose: &str, asks: Asks, legs: Legs) -> Self {
        let packet = match &asks {
            Asks::Sent(p, _) => format!("{p}, sent"),
            Asks::Delivered(p, link) => format!("{p}, in over link {link}"),
            Asks::Forwarded(p, link, _) => format!("{p}, forwarded from link {link}"),
            Asks::Frame(p, link, _) => format!("{p} on link {link}"),
            Asks::Resolved(p, link) => format!("{p} on link {link}"),
        };
        Self {
            whose: whose.to_owned(),
            packet,
            asks,
            legs,
        }
    }

    /// Whether the packet may pass over this link: of those that go out, only a lookup tells.
    pub fn may_use(&self, index: u32) -> bool {
        match &self.asks {
            Asks::Delivered(_, link) | Asks::Frame(_, link, _) => *link == index,
            Asks::Sent(..) | Asks::Forwarded(..) => true,
            Asks::Resolved(..) => false,
        }
    }

    /// Whether a rule that is not inverted applies to a lookup of the packet.
    pub fn is_selected(&self, walker: &Walker, rule: &Rule) -> bool {
        match &self.asks {
            Asks::Sent(packet, _) | Asks::Resolved(packet, _) => walker.selects(rule, packet, From::Here),
            Asks::Delivered(packet, link) | Asks::Forwarded(packet, link, _) => {
                walker.selects(rule, packet, From::Link(*link))
            }
            Asks::Frame(..) => false,
        }
    }

    /// Whether the packet passes now. Where it does over some legs only, some are enough from now on; one that is to go over
    /// a certain link is asked for over no other.
    pub fn passes_at_first(&mut self, walker: &Walker) -> bool {
        if matches!(self.legs, Legs::Every) && !self.passes(walker) {
            self.legs = Legs::Any;
        }
        self.passes(walker)
    }

    pub fn passes(&self, walker: &Walker) -> bool {
        match &self.asks {
            Asks::Sent(packet, over) => self.leaves(walker, packet, From::Here, over.as_deref()),
            Asks::Delivered(packet, link) => {
                let fates = walker.fates(packet, From::Link(*link));
                let delivered = match self.legs {
                    Legs::Every | Legs::Over(_) => fates.iter().all(|f| *f == Fate::Local),
                    Legs::Any => fates.contains(&Fate::Local),
                };
                walker.passes(*link, Side::Ingress, packet) && delivered
            }
            Asks::Forwarded(packet, link, over) => {
                walker.passes(*link, Side::Ingress, packet)
                    && self.leaves(walker, packet, From::Link(*link), over.as_deref())
            }
            Asks::Frame(packet, link, side) => walker.passes(*link, *side, packet),
            Asks::Resolved(packet, link) => {
                let fates = walker.fates(packet, From::Here);
                fates.iter().any(|f| matches!(f, Fate::Out(l, _) if l == link))
            }
        }
    }

    fn leaves(&self, walker: &Walker, packet: &Packet, from: From, over: Option<&BTreeSet<u32>>) -> bool {
        let leaves = |fate: &Fate| match fate {
            Fate::Out(link, _) => over.is_none_or(|o| o.contains(link)) && walker.passes(*link, Side::Egress, packet),
            Fate::Local | Fate::Dropped => false,
        };
        let mut fates = walker.fates(packet, from);
        match self.legs {
            Legs::Any => return fates.iter().any(leaves),
            Legs::Every => {}
            Legs::Over(only) => fates.retain(|f| matches!(f, Fate::Out(link, _) if *link == only)),
        }
        !fates.is_empty() && fates.iter().all(leaves)
    }
}

/// Everything that the lifelines of these cuts need, as the state stands in which the plan begins.
pub(super) fn of_lifelines(walker: &Walker, cuts: &[Cut]) -> Vec<Probe> {
    let lifelines = cuts.iter().flat_map(|c| &c.lifelines);
    lifelines.flat_map(|l| of_lifeline(walker, l)).collect()
}

fn of_lifeline(walker: &Walker, lifeline: &Lifeline) -> Vec<Probe> {
    let peers = lifeline.peers.iter().flat_map(samples);
    peers.flat_map(|peer| of_peer(walker, lifeline, peer)).collect()
}

/// A first and a last host of a prefix.
pub(super) fn samples(net: &IpNet) -> Vec<IpAddr> {
    let mut hosts: Vec<IpAddr> = match net.hosts().next() {
        Some(first) => vec![first],
        None => vec![net.addr()],
    };
    if net.prefix_len() > 0 && net.prefix_len() < net.max_prefix_len() - 1 {
        let last = match net.broadcast() {
            IpAddr::V4(a) => IpAddr::V4((u32::from(a) - 1).into()),
            IpAddr::V6(a) => IpAddr::V6((u128::from(a) - 1).into()),
        };
        hosts.push(last);
    }
    hosts
}

fn of_peer(walker: &Walker, lifeline: &Lifeline, peer: IpAddr) -> Vec<Probe> {
    let only = lifeline.link.as_ref().map(|(only, _)| *only);
    let mut probes: Vec<Probe> = Vec::new();
    for (link, next_hop, own) in ways_to(walker, lifeline, peer) {
        if only.is_some_and(|only| only != link) {
            continue;
        }
        let mut asks = neighbour(walker, own, next_hop, link);
        for load in loads(lifeline, Family::of(peer)) {
            asks.extend(conversation(walker, lifeline, (own, peer, link), load));
        }
        for ask in asks {
            let legs = match (&ask, only) {
                (Asks::Sent(..), Some(only)) => Legs::Over(only),
                (Asks::Forwarded(packet, ..), Some(only)) if packet.destination == peer => Legs::Over(only),
                _ => Legs::Every,
            };
            let probe = Probe::new(&lifeline.name, ask, legs);
            if !probes.contains(&probe) {
                probes.push(probe);
            }
        }
    }
    probes
}

/// Each link, next hop and own address with which this host could reach a peer. Where a cut stands already, only the
/// lifeline's own packets may tell.
pub(super) fn ways_to(walker: &Walker, lifeline: &Lifeline, peer: IpAddr) -> Vec<(u32, IpAddr, IpAddr)> {
    let any = if peer.is_ipv4() {
        IpAddr::from([0; 4])
    } else {
        IpAddr::from([0; 16])
    };
    let strange = [
        Load::Nothing,
        Load::Tcp(EPHEMERAL, DISCARD),
        Load::Udp(EPHEMERAL, DISCARD),
    ];
    let packet = |load| Packet {
        source: any,
        destination: peer,
        load,
    };
    let own = loads(lifeline, Family::of(peer)).into_iter().map(packet);
    let both_ways = own.flat_map(|p| {
        [
            p,
            Packet {
                load: p.reply().load,
                ..p
            },
        ]
    });
    let mut tries = strange.into_iter().map(packet).chain(both_ways);
    let legs = |p: Packet| Some(legs(walker, &p)).filter(|legs| !legs.is_empty());
    let found = tries.find_map(legs).unwrap_or_default();
    let way = |(link, gateway): (u32, Option<IpAddr>)| {
        own_address(walker, link, peer).map(|own| (link, gateway.unwrap_or(peer), own))
    };
    found.into_iter().filter_map(way).collect()
}

/// The links and gateways that the kernel could choose for a packet of this host.
pub(super) fn legs(walker: &Walker, packet: &Packet) -> Vec<(u32, Option<IpAddr>)> {
    let fates = walker.fates(packet, From::Here).into_iter();
    let out = |fate| match fate {
        Fate::Out(link, gateway) => Some((link, gateway)),
        Fate::Local | Fate::Dropped => None,
    };
    fates.filter_map(out).collect()
}

/// The own address that a peer would talk to: of its subnet if there is one, else the first global one of the link.
pub(super) fn own_address(walker: &Walker, link: u32, peer: IpAddr) -> Option<IpAddr> {
    let addresses = || walker.state().addresses.iter().filter(|a| a.family == Family::of(peer));
    let on_link = || addresses().filter(move |a| a.link == link);
    let near = |a: &&Address| IpNet::new(a.own(), a.prefix_length).is_ok_and(|n| n.contains(&peer));
    let global = |a: &&Address| !matches!(a.own(), IpAddr::V6(x) if x.is_unicast_link_local());
    let elsewhere = || addresses().find(|a| global(a) && !a.own().is_loopback());
    let best = on_link().find(near).or_else(|| on_link().find(global));
    best.or_else(elsewhere).map(Address::own)
}

/// What finds the next hop and lets it find us: ARP, or neighbour discovery, and the kernel's own lookups for them.
fn neighbour(walker: &Walker, own: IpAddr, next_hop: IpAddr, link: u32) -> Vec<Asks> {
    if walker.state().link(link).is_some_and(|l| !l.resolves_neighbours()) {
        return Vec::new();
    }
    let packet = |source, destination, load| Packet {
        source,
        destination,
        load,
    };
    match (own, next_hop) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let asked = packet(next_hop, own, Load::Arp);
            vec![
                Asks::Frame(packet(own, next_hop, Load::Arp), link, Side::Egress),
                Asks::Frame(asked, link, Side::Ingress),
                Asks::Delivered(asked, link),
                Asks::Resolved(packet(own, next_hop, Load::Nothing), link),
            ]
        }
        _ => {
            let local = own_link_local(walker, link).unwrap_or(own);
            let neighbour_solicitation = Load::Icmp(135, 0);
            let neighbour_advertisement = Load::Icmp(136, 0);
            vec![
                Asks::Frame(
                    packet(local, solicited(next_hop), neighbour_solicitation),
                    link,
                    Side::Egress,
                ),
                Asks::Frame(packet(local, next_hop, neighbour_advertisement), link, Side::Egress),
                Asks::Delivered(packet(next_hop, solicited(own), neighbour_solicitation), link),
                Asks::Delivered(packet(next_hop, local, neighbour_advertisement), link),
                Asks::Delivered(packet(next_hop, own, neighbour_advertisement), link),
            ]
        }
    }
}

fn own_link_local(walker: &Walker, link: u32) -> Option<IpAddr> {
    let mut addresses = walker
        .state()
        .addresses
        .iter()
        .filter(|a| a.link == link)
        .map(Address::own);
    addresses.find(|a| matches!(a, IpAddr::V6(x) if x.is_unicast_link_local()))
}

/// The solicited-node multicast address (RFC 4291 section 2.7.1).
fn solicited(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(a) => {
            let [.., x, y, z] = a.octets();
            let low = u16::from_be_bytes([y, z]);
            IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(x), low))
        }
    }
}

/// What the side that begins sends: one packet a protocol and a port at each end of each range.
fn loads(lifeline: &Lifeline, family: Family) -> Vec<Load> {
    let ranges = lifeline.ports.iter().flat_map(|r| [r.first, r.last]);
    let mut ports: Vec<u16> = ranges.collect();
    if ports.is_empty() {
        ports = vec![DISCARD, 54_321];
    }
    ports.dedup();
    let tcp = || ports.iter().map(|p| Load::Tcp(EPHEMERAL, *p));
    let udp = || ports.iter().map(|p| Load::Udp(EPHEMERAL, *p));
    let echo = Load::Icmp(if family == Family::V4 { 8 } else { 128 }, 0);
    match lifeline.protocol {
        Transport::Tcp => tcp().collect(),
        Transport::Udp => udp().collect(),
        Transport::Icmp => vec![echo],
        Transport::Any if !lifeline.ports.is_empty() => tcp().chain(udp()).collect(),
        Transport::Any => tcp().chain(udp()).chain([echo, Load::Other(50)]).collect(),
    }
}

/// Both directions of one conversation, and what tells it of a smaller path MTU.
fn conversation(
    walker: &Walker,
    lifeline: &Lifeline,
    (own, peer, link): (IpAddr, IpAddr, u32),
    load: Load,
) -> Vec<Asks> {
    let packet = |source, destination| Packet {
        source,
        destination,
        load,
    };
    let too_big = match Family::of(peer) {
        Family::V4 => Load::Icmp(3, 4),
        Family::V6 => Load::Icmp(2, 0),
    };
    let told = Packet {
        load: too_big,
        ..packet(peer, own)
    };
    let mut asks = Vec::new();
    match lifeline.direction {
        Direction::In => {
            asks.push(Asks::Delivered(packet(peer, own), link));
            asks.push(Asks::Sent(packet(peer, own).reply(), None));
        }
        Direction::Out => {
            asks.push(Asks::Sent(packet(own, peer), None));
            asks.push(Asks::Delivered(packet(own, peer).reply(), link));
        }
        Direction::Forward => {
            for (inside, its_link) in insides(walker, lifeline, peer, link) {
                asks.push(Asks::Forwarded(packet(peer, inside), link, None));
                asks.push(Asks::Forwarded(packet(peer, inside).reply(), its_link, None));
            }
        }
    }
    if matches!(load, Load::Tcp(..)) && lifeline.direction != Direction::Forward {
        asks.push(Asks::Frame(told, link, Side::Ingress));
        if peer.is_ipv4() {
            // The kernel applies the news to the route that it finds without ports (`ipv4_update_pmtu()`).
            let without_ports = Packet {
                load: Load::Other(6),
                ..packet(own, peer)
            };
            asks.push(Asks::Resolved(without_ports, link));
        }
    }
    asks
}

/// Hosts behind this gateway that a forward lifeline reaches, with their links; without a list, one a connected subnet.
pub(super) fn insides(walker: &Walker, lifeline: &Lifeline, peer: IpAddr, link: u32) -> Vec<(IpAddr, u32)> {
    let of_family = |n: &IpNet| n.addr().is_ipv4() == peer.is_ipv4();
    let subnets = || {
        let others = walker
            .state()
            .addresses
            .iter()
            .filter(|a| a.link != link && !a.own().is_loopback());
        others.filter_map(|a| IpNet::new(a.own(), a.prefix_length).ok().map(|n| n.trunc()))
    };
    let nets: Vec<IpNet> = match lifeline.inside.is_empty() {
        true => subnets().filter(of_family).collect(),
        false => lifeline.inside.iter().copied().filter(of_family).collect(),
    };
    let own = |ip: &IpAddr| walker.state().addresses.iter().any(|a| a.own() == *ip);
    let hosts = nets.iter().filter_map(|n| n.hosts().take(16).find(|ip| !own(ip)));
    hosts
        .flat_map(|host| {
            let probe = Packet {
                source: peer,
                destination: host,
                load: Load::Nothing,
            };
            let others = legs(walker, &probe).into_iter().filter(|(its, _)| *its != link);
            others.map(move |(its, _)| (host, its)).collect::<Vec<_>>()
        })
        .collect()
}
