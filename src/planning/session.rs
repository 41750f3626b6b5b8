//! Whether a cut would end one session: for the warning that an operator is about to lock themselves out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::reachability::{best_routes, is_own, links_towards};
use super::routes::withdraws;
use crate::model::cut::{Cut, Lifeline, Reach};
use crate::model::object::Family;
use crate::model::policy::{Direction, Method, PortRange, Transport};
use crate::model::snapshot::Snapshot;

/// Whether a TCP session between this host and a peer would be lost to the cut.
///
/// A session within the host is never lost. Where the link of a session is not known, it counts as in the scope.
#[must_use]
pub fn loses_session(cut: &Cut, host: &Snapshot, peer: IpAddr, peer_port: u16, local: IpAddr, local_port: u16) -> bool {
    let (peer, local) = (peer.to_canonical(), local.to_canonical());
    let session = Session {
        peer,
        peer_port,
        local,
        local_port,
    };
    if is_own(host, peer) || !cut.families.contains(&Family::of(peer)) || !cut.zones.is_empty() {
        return false;
    }
    if session.is_kept(cut) {
        return false;
    }
    let direct = cut
        .directions
        .iter()
        .any(|d| matches!(d, Direction::In | Direction::Out));
    let blocked = cut.methods.iter().any(|m| match m {
        Method::Gate | Method::Seal => direct,
        Method::Link => true,
        Method::Routes => false,
    });
    (blocked && session.is_over(cut, host)) || (withdraws(cut) && session.loses_its_route(cut, host))
}

struct Session {
    peer: IpAddr,
    peer_port: u16,
    local: IpAddr,
    local_port: u16,
}

impl Session {
    fn is_kept(&self, cut: &Cut) -> bool {
        cut.lifelines.iter().any(|l| self.is_of(l))
    }

    fn is_of(&self, lifeline: &Lifeline) -> bool {
        let port = match lifeline.direction {
            Direction::In => self.local_port,
            Direction::Out => self.peer_port,
            Direction::Forward => return false,
        };
        let tcp = matches!(lifeline.protocol, Transport::Tcp | Transport::Any);
        let within = |r: &PortRange| (r.first..=r.last).contains(&port);
        let ports = lifeline.ports.is_empty() || lifeline.ports.iter().any(within);
        tcp && ports && lifeline.peers.iter().any(|p| p.contains(&self.peer))
    }

    /// Whether it goes over a link of the scope: by the route to the peer, or by the link that has its local address.
    fn is_over(&self, cut: &Cut, host: &Snapshot) -> bool {
        if cut.reach == Reach::WholeHost {
            return true;
        }
        let mut links: BTreeSet<u32> = links_towards(host, &IpNet::from(self.peer));
        let bears = host.addresses.iter().filter(|a| a.own() == self.local);
        links.extend(bears.map(|a| a.link));
        links.is_empty() || links.iter().any(|l| cut.links.contains_key(l))
    }

    fn loses_its_route(&self, cut: &Cut, host: &Snapshot) -> bool {
        let to = IpNet::from(self.peer);
        let nulled = cut.null_prefixes.iter().any(|p| p.contains(&self.peer));
        let had = !best_routes(host, &to, |_| true).is_empty();
        let left = !best_routes(host, &to, |r| !cut.withdrawn.contains(r)).is_empty();
        nulled || (had && !left)
    }
}
