//! Which packets a lifeline needs, and which a cut must stop.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use ipnet::IpNet;

use super::packet::{Load, Packet};
use super::walker::{Fate, From, Side, Walker};
use crate::model::cut::{Cut, Lifeline, Reach};
use crate::model::object::{Address, Family};
use crate::model::policy::{Direction, Method, Transport};

/// A port of nobody's service, for the other end of a conversation.
const EPHEMERAL: u16 = 40_123;
/// A service that no lifeline of a sane policy names (discard, RFC 863).
const DISCARD: u16 = 9;

/// A question: does this packet pass?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// Whose packet it is.
    pub whose: String,
    /// The packet, for people.
    pub packet: String,
    asks: Asks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Asks {
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
    fn new(whose: &str, asks: Asks) -> Self {
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

    pub fn passes(&self, walker: &Walker) -> bool {
        let leaves = |packet: &Packet, from: From, over: &Option<Rc<BTreeSet<u32>>>| match walker.lookup(packet, from) {
            Fate::Out(link, _) => {
                over.as_ref().is_none_or(|o| o.contains(&link)) && walker.passes(link, Side::Egress, packet)
            }
            Fate::Local | Fate::Dropped => false,
        };
        match &self.asks {
            Asks::Sent(packet, over) => leaves(packet, From::Here, over),
            Asks::Delivered(packet, link) => {
                walker.passes(*link, Side::Ingress, packet) && walker.lookup(packet, From::Link(*link)) == Fate::Local
            }
            Asks::Forwarded(packet, link, over) => {
                walker.passes(*link, Side::Ingress, packet) && leaves(packet, From::Link(*link), over)
            }
            Asks::Frame(packet, link, side) => walker.passes(*link, *side, packet),
            Asks::Resolved(packet, link) => {
                matches!(walker.lookup(packet, From::Here), Fate::Out(l, _) if l == *link)
            }
        }
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
fn samples(net: &IpNet) -> Vec<IpAddr> {
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
    let Some((link, next_hop, own)) = way_to(walker, lifeline, peer) else {
        return Vec::new();
    };
    if lifeline.link.as_ref().is_some_and(|(only, _)| *only != link) {
        return Vec::new();
    }
    let mut asks = neighbour(walker, own, next_hop, link);
    for load in loads(lifeline, Family::of(peer)) {
        asks.extend(conversation(walker, lifeline, (own, peer, link), load));
    }
    asks.into_iter().map(|a| Probe::new(&lifeline.name, a)).collect()
}

/// The link, the next hop and the own address with which this host would reach a peer. Where a cut stands already, only the
/// lifeline's own packets may tell.
fn way_to(walker: &Walker, lifeline: &Lifeline, peer: IpAddr) -> Option<(u32, IpAddr, IpAddr)> {
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
    let found = tries.find_map(|p| match walker.lookup(&p, From::Here) {
        Fate::Out(link, gateway) => Some((link, gateway)),
        Fate::Local | Fate::Dropped => None,
    });
    let (link, gateway) = found?;
    let next_hop = gateway.unwrap_or(peer);
    own_address(walker, link, peer).map(|own| (link, next_hop, own))
}

/// The own address that a peer would talk to: of its subnet if there is one, else the first global one of the link.
fn own_address(walker: &Walker, link: u32, peer: IpAddr) -> Option<IpAddr> {
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
fn insides(walker: &Walker, lifeline: &Lifeline, peer: IpAddr, link: u32) -> Vec<(IpAddr, u32)> {
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
        .filter_map(|host| {
            let probe = Packet {
                source: peer,
                destination: host,
                load: Load::Nothing,
            };
            match walker.lookup(&probe, From::Here) {
                Fate::Out(its_link, _) if its_link != link => Some((host, its_link)),
                Fate::Out(..) | Fate::Local | Fate::Dropped => None,
            }
        })
        .collect()
}

/// A packet that a cut must stop.
#[derive(Clone, Debug)]
pub(super) struct Hole {
    pub policy: String,
    pub probe: Probe,
}

/// Samples of what the cuts forbid, in the state in which the plan ends.
pub(super) fn of_cuts(walker: &Walker, cuts: &[Cut]) -> Vec<Hole> {
    let lifelines: Vec<&Lifeline> = cuts.iter().flat_map(|c| &c.lifelines).collect();
    let mut holes = Vec::new();
    for cut in cuts {
        let total = [Method::Gate, Method::Seal, Method::Link];
        if !total.iter().any(|m| cut.methods.contains(m)) {
            continue;
        }
        let policy = cut.policy.to_string();
        let asks = cut
            .families
            .iter()
            .flat_map(|family| forbidden(walker, cut, *family, &lifelines));
        holes.extend(asks.map(|a| Hole {
            policy: policy.clone(),
            probe: Probe::new(&policy, a),
        }));
    }
    holes
}

fn forbidden(walker: &Walker, cut: &Cut, family: Family, lifelines: &[&Lifeline]) -> Vec<Asks> {
    let Some(stranger) = stranger(family, lifelines) else {
        return Vec::new();
    };
    if !cut.zones.is_empty() {
        return between_zones(walker, cut, family, lifelines);
    }
    let scope: Rc<BTreeSet<u32>> = Rc::new(match cut.reach {
        Reach::WholeHost => walker
            .state()
            .links
            .iter()
            .filter(|l| !l.is_loopback())
            .map(|l| l.index)
            .collect(),
        Reach::Links => cut.links.keys().copied().collect(),
    });
    let loads = [Load::Tcp(EPHEMERAL, DISCARD), Load::Udp(EPHEMERAL, DISCARD)];
    let mut asks = Vec::new();
    for load in loads {
        let packet = |source, destination| Packet {
            source,
            destination,
            load,
        };
        for link in scope.iter().copied() {
            let Some(own) = own_address(walker, link, stranger) else {
                continue;
            };
            if cut.directions.contains(&Direction::In) {
                asks.push(Asks::Delivered(packet(stranger, own), link));
            }
            if cut.directions.contains(&Direction::Out) {
                asks.push(Asks::Sent(packet(own, stranger), Some(Rc::clone(&scope))));
            }
        }
        if cut.directions.contains(&Direction::Forward) {
            let ins = walker.state().links.iter().filter(|l| !l.is_loopback());
            let packet = packet(another(stranger), stranger);
            asks.extend(ins.map(|l| Asks::Forwarded(packet, l.index, Some(Rc::clone(&scope)))));
        }
    }
    asks
}

fn between_zones(walker: &Walker, cut: &Cut, family: Family, lifelines: &[&Lifeline]) -> Vec<Asks> {
    let in_zone = |links: &BTreeSet<u32>| -> Vec<(IpAddr, u32)> {
        let addresses = walker
            .state()
            .addresses
            .iter()
            .filter(|a| a.family == family && links.contains(&a.link));
        let far = |a: &Address| {
            let net = IpNet::new(a.own(), a.prefix_length).ok()?;
            let spared = |ip: &IpAddr| {
                lifelines
                    .iter()
                    .any(|l| l.peers.iter().chain(&l.inside).any(|n| n.contains(ip)))
            };
            net.hosts().take(64).filter(|ip| *ip != a.own() && !spared(ip)).last()
        };
        addresses.filter_map(|a| far(a).map(|ip| (ip, a.link))).collect()
    };
    let mut asks = Vec::new();
    for (i, from) in cut.zones.iter().enumerate() {
        for (j, to) in cut.zones.iter().enumerate() {
            if i == j {
                continue;
            }
            for (source, link) in in_zone(&from.links) {
                for (destination, _) in in_zone(&to.links) {
                    let load = Load::Tcp(EPHEMERAL, DISCARD);
                    let packet = Packet {
                        source,
                        destination,
                        load,
                    };
                    asks.push(Asks::Forwarded(packet, link, Some(Rc::new(to.links.clone()))));
                }
            }
        }
    }
    asks
}

/// An address (of the ranges for documentation) that no lifeline names.
fn stranger(family: Family, lifelines: &[&Lifeline]) -> Option<IpAddr> {
    let candidates: [&str; 3] = match family {
        Family::V4 => ["198.51.100.77", "203.0.113.77", "192.0.2.77"],
        Family::V6 => ["2001:db8:bad::77", "3fff:bad::77", "2001:db8:ffff::77"],
    };
    let mut parsed = candidates.iter().filter_map(|c| c.parse::<IpAddr>().ok());
    parsed.find(|ip| {
        !lifelines
            .iter()
            .any(|l| l.peers.iter().chain(&l.inside).any(|n| n.contains(ip)))
    })
}

/// Another stranger of the same family, for the other end of a forwarded packet.
fn another(stranger: IpAddr) -> IpAddr {
    match stranger {
        IpAddr::V4(a) => IpAddr::V4((u32::from(a) + 1).into()),
        IpAddr::V6(a) => IpAddr::V6((u128::from(a) + 1).into()),
    }
}
