//! Which packets a cut must stop.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use super::packet::{Load, Packet};
use super::probes::{Asks, DISCARD, EPHEMERAL, Legs, Probe, own_address, samples};
use super::walker::Walker;
use crate::model::cut::{Cut, Lifeline, Reach};
use crate::model::object::{Address, Family};
use crate::model::policy::{Direction, Method};

/// Destinations behind routes with several legs that are asked for; each costs a lookup for every link and load.
const SPLIT_MAX: usize = 64;

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
            probe: Probe::new(&policy, a, Legs::Any),
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
    let mut far = vec![stranger];
    far.extend(behind_split(walker, family, &scope, lifelines));
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
                asks.extend(
                    far.iter()
                        .map(|to| Asks::Sent(packet(own, *to), Some(Rc::clone(&scope)))),
                );
            }
        }
        if cut.directions.contains(&Direction::Forward) {
            for to in &far {
                let ins = walker.state().links.iter().filter(|l| !l.is_loopback());
                let packet = packet(another(stranger), *to);
                asks.extend(ins.map(|l| Asks::Forwarded(packet, l.index, Some(Rc::clone(&scope)))));
            }
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
            let free = |ip: &IpAddr| *ip != a.own() && !is_spared(ip, lifelines);
            net.hosts().take(64).filter(free).last()
        };
        addresses.filter_map(|a| far(a).map(|ip| (ip, a.link))).collect()
    };
    let mut asks = Vec::new();
    for (i, from) in cut.zones.iter().enumerate() {
        for (j, to) in cut.zones.iter().enumerate() {
            if i == j {
                continue;
            }
            let over = Rc::new(to.links.clone());
            let near = in_zone(&to.links).into_iter().map(|(ip, _)| ip);
            let far: Vec<IpAddr> = near.chain(behind_split(walker, family, &to.links, lifelines)).collect();
            for (source, link) in in_zone(&from.links) {
                asks.extend(far.iter().map(|destination| {
                    let packet = Packet {
                        source,
                        destination: *destination,
                        load: Load::Tcp(EPHEMERAL, DISCARD),
                    };
                    Asks::Forwarded(packet, link, Some(Rc::clone(&over)))
                }));
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
    parsed.find(|ip| !is_spared(ip, lifelines))
}

fn is_spared(ip: &IpAddr, lifelines: &[&Lifeline]) -> bool {
    let mut ends = lifelines.iter().flat_map(|l| l.peers.iter().chain(&l.inside));
    ends.any(|n| n.contains(ip))
}

/// Hosts behind routes that have legs over these links and legs over others, of which no lifeline speaks.
fn behind_split(walker: &Walker, family: Family, links: &BTreeSet<u32>, lifelines: &[&Lifeline]) -> Vec<IpAddr> {
    let split = |legs: &[u32]| {
        let inside = legs.iter().filter(|l| links.contains(l)).count();
        inside > 0 && inside < legs.len()
    };
    let routes = walker.with_legs(family).filter(|(_, legs)| split(legs));
    let hosts = routes.flat_map(|(net, _)| samples(&net));
    hosts.filter(|ip| !is_spared(ip, lifelines)).take(SPLIT_MAX).collect()
}

/// Another stranger of the same family, for the other end of a forwarded packet.
fn another(stranger: IpAddr) -> IpAddr {
    match stranger {
        IpAddr::V4(a) => IpAddr::V4((u32::from(a) + 1).into()),
        IpAddr::V6(a) => IpAddr::V6((u128::from(a) + 1).into()),
    }
}
