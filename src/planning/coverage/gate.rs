//! What gate stops.

use super::{Kind, LISTED, Verdict, View};
use crate::model::object::Family;
use crate::model::plan::Fate;
use crate::model::policy::Direction;
use crate::planning::flow;

impl View<'_> {
    pub(super) fn gate(&self, kind: Kind) -> Verdict {
        let (inbound, out) = (self.has(Direction::In), self.has(Direction::Out));
        match kind {
            Kind::Out(_) | Kind::Bound(_) if out => (Fate::Stopped, ""),
            Kind::Out(_) | Kind::Bound(_) => (Fate::Partly, "it leaves, but no answer comes in"),
            Kind::In(_) if inbound => (Fate::Stopped, ""),
            Kind::In(_) => (Fate::Partly, "it is delivered, but no answer leaves"),
            Kind::Forwarded(_) => self.gated_forwarding(inbound, out),
            Kind::MulticastOut if !out => (Fate::Passes, "only inbound traffic is gated"),
            Kind::MulticastIn if !inbound => (Fate::Passes, "only outbound traffic is gated"),
            Kind::MulticastOut | Kind::MulticastIn => self.of_the_families(),
            Kind::Packets => self.gated_packets(inbound, out),
            Kind::Neighbours => self.gated_neighbours(),
            Kind::Control => self.gated_control(),
            Kind::Bridged => self.gated_bridges(),
            Kind::Bypass => (
                Fate::Passes,
                "PACKET_QDISC_BYPASS goes past traffic control; it needs CAP_NET_RAW",
            ),
            Kind::NewLinks if self.whole() => (
                Fate::Partly,
                "cut as the others, but open until the daemon has gated it",
            ),
            Kind::NewLinks => (Fate::Passes, LISTED),
        }
    }

    fn of_the_families(&self) -> Verdict {
        match self.one_family() {
            Some(Family::V4) => (Fate::Partly, "of IPv4 only"),
            Some(Family::V6) => (Fate::Partly, "of IPv6 only"),
            None => (Fate::Stopped, ""),
        }
    }

    /// A sniffer (ETH_P_ALL) stands before traffic control on the way in.
    fn gated_packets(&self, inbound: bool, out: bool) -> Verdict {
        match (self.one_family(), inbound, out) {
            (Some(_), _, _) => self.of_the_families(),
            (None, true, true) => (Fate::Stopped, "a sniffer still sees what arrives at the link"),
            (None, false, _) => (Fate::Partly, "they send nothing, and get what comes in"),
            (None, true, false) => (
                Fate::Partly,
                "they send, and get nothing but as a sniffer, before traffic control",
            ),
        }
    }

    /// On a whole host every packet that is forwarded comes in and leaves over a gated link.
    fn gated_forwarding(&self, inbound: bool, out: bool) -> Verdict {
        let all = (inbound && out) || self.whole();
        if all && !self.has(Direction::Forward) {
            (Fate::Stopped, "gate cannot tell it from the host's own traffic")
        } else if all {
            (Fate::Stopped, "")
        } else if inbound {
            (
                Fate::Partly,
                "gate stops what comes in over the links, not what leaves over them",
            )
        } else {
            (
                Fate::Partly,
                "gate stops what leaves over the links, not what comes in over them",
            )
        }
    }

    /// A question and its answer need both directions, so it makes no difference which are gated. ARP is no IPv4: only
    /// a drop of everything drops it, and then it passes for IPv4 lifelines and DHCP.
    fn gated_neighbours(&self) -> Verdict {
        let kept = |f: Family| !flow::flows(std::slice::from_ref(self.cut), f).is_empty();
        let arp = self.one_family().is_some() || kept(Family::V4);
        let discovery = self.one_family() == Some(Family::V4) || kept(Family::V6);
        match (arp, discovery) {
            (true, true) => (Fate::Passes, "what is not cut, and lifelines, need it"),
            (true, false) => (Fate::Partly, "ARP passes, neighbour discovery does not"),
            (false, true) => (Fate::Partly, "neighbour discovery passes, ARP does not"),
            (false, false) if !self.has(Direction::Out) => (
                Fate::Partly,
                "this host asks, and gets no answer but as a sniffer, before traffic control",
            ),
            (false, false) => (Fate::Stopped, ""),
        }
    }

    /// Whether anything passes that a link must carry.
    fn keeps_links(&self) -> bool {
        let cut = std::slice::from_ref(self.cut);
        let kept = Family::BOTH.iter().any(|f| !flow::flows(cut, *f).is_empty());
        kept || self.cut.keep.router_advertisements
    }

    fn gated_control(&self) -> Verdict {
        if self.one_family().is_some() {
            (Fate::Passes, "it is neither IPv4 nor IPv6")
        } else if self.keeps_links() {
            (
                Fate::Passes,
                "spanning tree, LACP, 802.1X: without them the link, or all of its network, is lost",
            )
        } else {
            match (self.has(Direction::In), self.has(Direction::Out)) {
                (true, true) => (Fate::Stopped, ""),
                (true, false) => (Fate::Partly, "it leaves, and does not arrive"),
                (false, _) => (Fate::Partly, "it arrives, and does not leave"),
            }
        }
    }

    fn gated_bridges(&self) -> Verdict {
        let is_port = |master: Option<u32>| master.is_some_and(|m| self.is_bridge(m));
        let ports = self.host.links.iter().filter(|l| is_port(l.master));
        let (gated, open): (Vec<_>, Vec<_>) = ports.partition(|l| self.cut.links.contains_key(&l.index));
        if gated.is_empty() && !(self.whole() && open.is_empty()) {
            (Fate::Passes, "no bridge port is in the scope")
        } else if !open.is_empty() {
            (Fate::Partly, "between ports outside the scope it goes on")
        } else if self.one_family().is_none() && self.keeps_links() {
            (
                Fate::Partly,
                "what passes the links passes between ports too: lifelines' packets between any two hosts as their \
                 filters have them, ARP, neighbour discovery, path MTU messages, DHCP and router advertisements where kept",
            )
        } else {
            self.of_the_families()
        }
    }
}
