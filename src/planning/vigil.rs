//! Which packets of a lifeline the kernel can be asked about while a cut is in force.
//!
//! The answers are the kernel's own, so they also know what others did to it. Filters are not asked: those of ours are
//! compared anyway. A sample of a lifeline that leads nowhere before the cut is not watched. Which link and which address
//! of this host a conversation uses is asked anew every time, because others may renumber the host and move its routes.

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

/// A conversation that a lifeline needs, and that the kernel knew a way for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The lifeline's name.
    pub lifeline: String,
    /// The other end.
    pub peer: IpAddr,
    asks: Asks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Asks {
    /// This host speaks with the peer, over this link alone if one is named.
    Own {
        out: Query,
        only: Option<u32>,
        /// Whether what comes from the peer was taken in.
        hears: bool,
    },
    /// What goes through this host goes on.
    Through(Query),
}

impl Watched {
    /// Whether the conversation is lost; none where the kernel gave no answer.
    pub fn is_lost(&self, mut way: impl FnMut(&Query) -> Option<Way>) -> Option<bool> {
        match &self.asks {
            Asks::Own { out, only, hears } => Some(match speaks(out, *only, &mut way)? {
                Speaks::Not => true,
                Speaks::Hears(heard) => *hears && !heard,
            }),
            Asks::Through(query) => Some(!matches!(way(query)?, Way::Out { .. })),
        }
    }
}

/// What becomes of a conversation of this host.
enum Speaks {
    Not,
    /// It goes out; whether what comes back is taken in.
    Hears(bool),
}

fn speaks(out: &Query, only: Option<u32>, way: &mut impl FnMut(&Query) -> Option<Way>) -> Option<Speaks> {
    let Way::Out { link, source } = way(out)? else {
        return Some(Speaks::Not);
    };
    if only.is_some_and(|only| only != link) {
        return Some(Speaks::Not);
    }
    let Some(own) = source else {
        return Some(Speaks::Hears(false));
    };
    let back = Query {
        source: Some(out.destination),
        destination: own,
        input: Some(link),
        ports: out.ports.map(|(source, destination)| (destination, source)),
        ..out.clone()
    };
    Some(Speaks::Hears(way(&back)? == Way::Local))
}

/// What is to be watched of a cut's lifelines. `way` asks the kernel, before the cut wherever that can be.
pub fn watched(cut: &Cut, mut way: impl FnMut(&Query) -> Option<Way>) -> Vec<Watched> {
    let mut all = Vec::new();
    for lifeline in &cut.lifelines {
        for peer in lifeline.peers.iter().take(PEERS_MAX).map(first_host) {
            let asks = match lifeline.direction {
                Direction::In | Direction::Out => own(lifeline, peer, &mut way).into_iter().collect(),
                Direction::Forward => forwarded(lifeline, peer, &mut way),
            };
            all.extend(asks.into_iter().map(|asks| Watched {
                lifeline: lifeline.name.clone(),
                peer,
                asks,
            }));
        }
    }
    all
}

fn first_host(net: &IpNet) -> IpAddr {
    net.hosts().next().unwrap_or_else(|| net.addr())
}

fn own(lifeline: &Lifeline, peer: IpAddr, way: &mut impl FnMut(&Query) -> Option<Way>) -> Option<Asks> {
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
    let only = lifeline.link.as_ref().map(|(index, _)| *index);
    match speaks(&out, only, way)? {
        Speaks::Not => None,
        Speaks::Hears(hears) => Some(Asks::Own { out, only, hears }),
    }
}

/// Both directions of a conversation of a peer with what lies behind this host, over the links that lead to both.
fn forwarded(lifeline: &Lifeline, peer: IpAddr, way: &mut impl FnMut(&Query) -> Option<Way>) -> Vec<Asks> {
    let mut all = Vec::new();
    let of_family = |net: &&IpNet| net.addr().is_ipv4() == peer.is_ipv4();
    for inside in lifeline.inside.iter().filter(of_family).take(PEERS_MAX).map(first_host) {
        let (to_peer, to_inside) = (way(&Query::to(peer)), way(&Query::to(inside)));
        let (Some(Way::Out { link: outer, .. }), Some(Way::Out { link: inner, .. })) = (to_peer, to_inside) else {
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
        for query in [into, back] {
            if matches!(way(&query), Some(Way::Out { .. })) {
                all.push(Asks::Through(query));
            }
        }
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
    use crate::model::fixture::{address, must};
    use crate::model::snapshot::{Object, Snapshot};
    use crate::planning::tests::hosts::{additive, enforce, gateway};

    fn watch(cut: &Cut, state: &Snapshot) -> Vec<Watched> {
        watched(cut, |query| Some(effect::way(state, query)))
    }

    fn lost(state: &Snapshot, watched: &[Watched]) -> Vec<String> {
        let lost = watched
            .iter()
            .filter(|w| w.is_lost(|query| Some(effect::way(state, query))) == Some(true));
        lost.map(|w| w.lifeline.clone()).collect()
    }

    fn with_lifelines(baseline: &Snapshot) -> Vec<Cut> {
        let cuts = additive(baseline).into_iter();
        cuts.filter(|c| !c.lifelines.is_empty()).collect()
    }

    #[test]
    fn no_cut_of_ours_loses_a_lifeline_and_a_route_of_others_that_goes_does() {
        let baseline = gateway();
        for cut in with_lifelines(&baseline) {
            let watched = watch(&cut, &baseline);
            assert!(!watched.is_empty(), "{cut:?}");
            let mut state = baseline.clone();
            enforce(&mut state, &baseline, std::slice::from_ref(&cut)).unwrap();
            assert_eq!(lost(&state, &watched), Vec::<String>::new(), "{cut:?}");
            state.routes.clear();
            assert_eq!(lost(&state, &watched).len(), watched.len(), "{cut:?}");
        }
    }

    #[test]
    fn a_host_that_is_renumbered_loses_no_lifeline() {
        let baseline = gateway();
        for cut in with_lifelines(&baseline) {
            let watched = watch(&cut, &baseline);
            let mut state = baseline.clone();
            for new in ["10.200.0.9/24", "fd00:200::9/64"] {
                must(&mut state, &Change::Add(Object::Address(address(2, new))));
            }
            effect::settle(&mut state);
            for source in ["10.200.0.9", "fd00:200::9"] {
                let source: IpAddr = source.parse().unwrap();
                let defaults = state.routes.iter_mut().filter(|r| r.destination.prefix_len() == 0);
                defaults
                    .filter(|r| r.destination.addr().is_ipv4() == source.is_ipv4())
                    .for_each(|r| r.preferred_source = Some(source));
            }
            assert_eq!(lost(&state, &watched), Vec::<String>::new(), "{cut:?}");
        }
    }

    #[test]
    fn a_lifeline_of_a_link_that_its_peers_are_not_reached_over_is_not_watched() {
        let baseline = gateway();
        let mut cut = with_lifelines(&baseline).remove(0);
        let elsewhere = baseline.links.iter().map(|l| l.index).max().unwrap();
        let name = baseline.link(elsewhere).unwrap().name.clone();
        let before = watch(&cut, &baseline).len();
        for lifeline in &mut cut.lifelines {
            lifeline.link = Some((elsewhere, name.clone()));
        }
        assert!(watch(&cut, &baseline).len() < before);
    }

    #[test]
    fn no_answer_is_no_loss() {
        let baseline = gateway();
        let cut = with_lifelines(&baseline).remove(0);
        for watched in watch(&cut, &baseline) {
            assert_eq!(watched.is_lost(|_| None), None);
        }
        assert_eq!(watched(&cut, |_| None), []);
    }
}
