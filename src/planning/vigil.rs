//! Which packets of a lifeline the kernel can be asked about while a cut is in force.
//!
//! The answers are the kernel's own, so they also know what others did to it. Filters are not asked: those of ours are
//! compared anyway. A sample of a lifeline that leads nowhere before the cut is not watched.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::cut::{Cut, Lifeline};
use crate::model::lookup::{Query, Way};
use crate::model::object::Family;
use crate::model::policy::{Direction, Transport};

/// A port of nobody's service, for the other end of a conversation.
const EPHEMERAL: u16 = 40_124;
/// Peers of one lifeline that are asked about: the first ones.
const PEERS_MAX: usize = 16;

/// A packet that a lifeline needs, and that the kernel knew a way for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The lifeline's name.
    pub lifeline: String,
    /// The packet.
    pub query: Query,
    is_local: bool,
}

impl Watched {
    /// Whether this answer means that the packet is lost. Another link is as good.
    #[must_use]
    pub fn is_lost(&self, way: Way) -> bool {
        match way {
            Way::Local => !self.is_local,
            Way::Out { .. } => self.is_local,
            Way::Nowhere => true,
        }
    }
}

/// What is to be watched of a cut's lifelines. `way` asks the kernel, before the cut wherever that can be.
pub fn watched(cut: &Cut, mut way: impl FnMut(&Query) -> Way) -> Vec<Watched> {
    let mut all = Vec::new();
    for lifeline in &cut.lifelines {
        for peer in lifeline.peers.iter().take(PEERS_MAX).map(first_host) {
            let packets = match lifeline.direction {
                Direction::In | Direction::Out => conversation(lifeline, peer, &mut way),
                Direction::Forward => forwarded(lifeline, peer, &mut way),
            };
            for query in packets {
                let answer = way(&query);
                if answer != Way::Nowhere {
                    all.push(Watched {
                        lifeline: lifeline.name.clone(),
                        query,
                        is_local: answer == Way::Local,
                    });
                }
            }
        }
    }
    all
}

fn first_host(net: &IpNet) -> IpAddr {
    net.hosts().next().unwrap_or_else(|| net.addr())
}

/// Both directions of a conversation of this host with a peer.
fn conversation(lifeline: &Lifeline, peer: IpAddr, way: &mut impl FnMut(&Query) -> Way) -> Vec<Query> {
    let service = lifeline.ports.first().map(|range| range.first);
    let ports = service.map(|service| match lifeline.direction {
        Direction::In | Direction::Forward => (service, EPHEMERAL),
        Direction::Out => (EPHEMERAL, service),
    });
    let out = Query {
        protocol: protocol(lifeline.protocol, Family::of(peer)),
        ports,
        ..Query::to(peer)
    };
    let Way::Out {
        link,
        source: Some(own),
    } = way(&out)
    else {
        return Vec::new();
    };
    let back = Query {
        source: Some(peer),
        destination: own,
        input: Some(link),
        ports: ports.map(|(source, destination)| (destination, source)),
        ..out.clone()
    };
    vec![out, back]
}

/// Both directions of a conversation of a peer with what lies behind this host, over the links that lead to both.
fn forwarded(lifeline: &Lifeline, peer: IpAddr, way: &mut impl FnMut(&Query) -> Way) -> Vec<Query> {
    let mut all = Vec::new();
    let of_family = |net: &&IpNet| net.addr().is_ipv4() == peer.is_ipv4();
    for inside in lifeline.inside.iter().filter(of_family).take(PEERS_MAX).map(first_host) {
        let (to_peer, to_inside) = (way(&Query::to(peer)), way(&Query::to(inside)));
        let (Way::Out { link: outer, .. }, Way::Out { link: inner, .. }) = (to_peer, to_inside) else {
            continue;
        };
        let ports = lifeline.ports.first().map(|range| (EPHEMERAL, range.first));
        let into = Query {
            source: Some(peer),
            input: Some(outer),
            protocol: protocol(lifeline.protocol, Family::of(peer)),
            ports,
            ..Query::to(inside)
        };
        let back = Query {
            source: Some(inside),
            destination: peer,
            input: Some(inner),
            ports: ports.map(|(source, destination)| (destination, source)),
            ..into.clone()
        };
        all.extend([into, back]);
    }
    all
}

/// IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6.
fn protocol(transport: Transport, family: Family) -> Option<u8> {
    match (transport, family) {
        (Transport::Tcp, _) => Some(6),
        (Transport::Udp, _) => Some(17),
        (Transport::Icmp, Family::V4) => Some(1),
        (Transport::Icmp, Family::V6) => Some(58),
        (Transport::Any, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::Change;
    use crate::model::effect;
    use crate::model::fixture::{must, via};
    use crate::model::snapshot::{Object, Snapshot};
    use crate::planning::tests::hosts::{additive, enforce, gateway};

    fn lost(state: &Snapshot, watched: &[Watched]) -> Vec<String> {
        let lost = watched.iter().filter(|w| w.is_lost(effect::way(state, &w.query)));
        lost.map(|w| w.lifeline.clone()).collect()
    }

    #[test]
    fn no_cut_of_ours_loses_a_lifeline_and_a_route_of_others_that_goes_does() {
        let baseline = gateway();
        for cut in additive(&baseline).into_iter().filter(|c| !c.lifelines.is_empty()) {
            let watched = watched(&cut, |query| effect::way(&baseline, query));
            assert!(!watched.is_empty(), "{cut:?}");
            let mut state = baseline.clone();
            enforce(&mut state, &baseline, std::slice::from_ref(&cut)).unwrap();
            assert_eq!(lost(&state, &watched), Vec::<String>::new(), "{cut:?}");
            state.routes.clear();
            assert_eq!(lost(&state, &watched).len(), watched.len(), "{cut:?}");
        }
    }

    #[test]
    fn another_way_to_a_peer_is_as_good() {
        let baseline = gateway();
        let cut = additive(&baseline)
            .into_iter()
            .find(|c| !c.lifelines.is_empty())
            .unwrap();
        let watched = watched(&cut, |query| effect::way(&baseline, query));
        let mut state = baseline.clone();
        let default = state
            .routes
            .iter()
            .position(|r| r.destination.prefix_len() == 0)
            .unwrap();
        let old = state.routes[default].clone();
        must(&mut state, &Change::Delete(Object::Route(old.clone())));
        let to = old.destination.to_string();
        let gateway = old.gateway.unwrap().to_string();
        must(
            &mut state,
            &Change::Add(Object::Route(via(&to, &gateway, old.link.unwrap()))),
        );
        assert_eq!(lost(&state, &watched), Vec::<String>::new());
    }
}
