//! What seal stops. With lifelines it is coarser than the policy, and the notes say by how much.

use super::{ELSEWHERE, Kind, LISTED, Verdict, View};
use crate::model::object::Family;
use crate::model::plan::Fate;
use crate::model::policy::Direction;

impl View<'_> {
    pub(super) fn seal(&self, kind: Kind) -> Verdict {
        if !self.cut.zones.is_empty() {
            return match kind {
                Kind::Forwarded(family) => self.kept_apart(family),
                Kind::NewLinks => (Fate::Passes, "a link that appears later is in no zone"),
                Kind::Out(_)
                | Kind::In(_)
                | Kind::Bound(_)
                | Kind::MulticastOut
                | Kind::MulticastIn
                | Kind::Packets
                | Kind::Neighbours
                | Kind::Control
                | Kind::Bridged
                | Kind::Bypass => (Fate::Passes, "only forwarding between the zones is cut"),
            };
        }
        let inbound = self.has(Direction::In);
        match kind {
            Kind::Out(family) => self.sealed_out(family),
            Kind::In(family) => self.sealed_in(family),
            Kind::Forwarded(family) => self.sealed_forwarding(family),
            Kind::Bound(family) => self.sealed_bound(family),
            Kind::MulticastOut => (Fate::Passes, "multicast and broadcast find their link in table `local`"),
            Kind::MulticastIn if inbound => match self.one_family() {
                None => (Fate::Partly, "IPv4 multicast and limited broadcast are delivered"),
                Some(Family::V4) => (Fate::Partly, "all but IPv4 broadcast to a subnet is delivered"),
                Some(Family::V6) => (Fate::Partly, "of IPv6 only"),
            },
            Kind::Neighbours if inbound => self.sealed_neighbours(),
            Kind::NewLinks if self.whole() => (
                Fate::Partly,
                "routed traffic is cut on new links at once, the rest is not",
            ),
            Kind::NewLinks => (Fate::Passes, LISTED),
            Kind::MulticastIn | Kind::Neighbours | Kind::Control | Kind::Packets | Kind::Bridged | Kind::Bypass => {
                (Fate::Passes, "it goes past rules")
            }
        }
    }

    fn kept_apart(&self, family: Family) -> Verdict {
        let note = match (self.keeps_any(family), family) {
            (false, _) => "between the zones only, and all of that",
            (true, Family::V4) => {
                "between the zones only; between the ends of lifelines their protocol without ports and ICMP go on, \
                 both ways"
            }
            (true, Family::V6) => "between the zones only; between the ends of lifelines ICMPv6 goes on, both ways",
        };
        (Fate::Partly, note)
    }

    /// It goes on asking, since what it asks with goes past rules.
    fn sealed_neighbours(&self) -> Verdict {
        let silent = self.cut.families.contains(&Family::V6) && !self.lets_icmpv6_in();
        match (self.cut.families.contains(&Family::V4), silent) {
            (true, true) => (
                Fate::Partly,
                "this host answers ARP of gateways and on-link lifelines only; it answers no neighbour solicitations",
            ),
            (true, false) => (
                Fate::Partly,
                "this host answers ARP of gateways and on-link lifelines only",
            ),
            (false, true) => (Fate::Partly, "it answers no neighbour solicitations"),
            (false, false) => (Fate::Passes, "lifelines need it"),
        }
    }

    /// Seal lets ICMPv6 in for lifelines and for router advertisements.
    fn lets_icmpv6_in(&self) -> bool {
        self.cut.keep.router_advertisements || self.keeps_any(Family::V6)
    }

    fn sealed_out(&self, family: Family) -> Verdict {
        match (self.has(Direction::Out), self.has(Direction::In)) {
            (true, _) => (Fate::Stopped, self.sent_to_gateways(family)),
            (false, true) => self.undelivered(family),
            (false, false) => (Fate::Passes, "this direction is not cut"),
        }
    }

    fn sent_to_gateways(&self, family: Family) -> &'static str {
        let answered = family == Family::V4 || !self.has(Direction::In) || self.lets_icmpv6_in();
        match (family == Family::V4 && self.keeps_any(family), self.whole(), answered) {
            (true, true, _) => {
                "rules keep IPv4 lifelines by protocol without ports; gateways and on-link ends of lifelines may be sent \
                 all but TCP and UDP; where rp_filter is on, ICMP leaves"
            }
            (true, false, _) => {
                "rules keep IPv4 lifelines by protocol without ports; gateways and on-link ends of lifelines may be sent \
                 all but TCP and UDP; where rp_filter is on, ICMP leaves; traffic that has another route goes over the \
                 links outside the scope"
            }
            (false, true, true) => "gateways may be sent all but TCP and UDP",
            (false, false, true) => {
                "gateways may be sent all but TCP and UDP; traffic that has another route goes over the links outside \
                 the scope"
            }
            (false, true, false) => "gateways may be sent all but TCP and UDP, but what they answer is not delivered",
            (false, false, false) => {
                "gateways may be sent all but TCP and UDP, but what they answer is not delivered; traffic that has \
                 another route goes over the links outside the scope"
            }
        }
    }

    fn undelivered(&self, family: Family) -> Verdict {
        let note = match (family, self.lets_icmpv6_in()) {
            (Family::V6, false) => "it leaves, but no answer is delivered",
            (Family::V6, true) => "it leaves, but no answer is delivered except ICMPv6",
            (Family::V4, _) => {
                "it leaves, but no answer is delivered except from gateways and on-link ends of lifelines, of neither \
                 TCP nor UDP"
            }
        };
        (Fate::Partly, note)
    }

    fn sealed_in(&self, family: Family) -> Verdict {
        match (self.has(Direction::In), self.has(Direction::Out)) {
            (true, _) => match (family, self.keeps_any(family)) {
                (Family::V4, true) => (
                    Fate::Stopped,
                    "rules keep IPv4 lifelines by protocol without ports, and let ICMP in; gateways and on-link ends of \
                     lifelines may deliver all but TCP and UDP",
                ),
                (Family::V4, false) => (Fate::Stopped, "gateways may deliver all but TCP and UDP"),
                (Family::V6, true) => (Fate::Stopped, "rules let ICMPv6 in"),
                (Family::V6, false) => (Fate::Stopped, ""),
            },
            (false, true) => (
                Fate::Partly,
                "it is delivered, but no answer leaves except to gateways, of neither TCP nor UDP",
            ),
            (false, false) => (Fate::Passes, "this direction is not cut"),
        }
    }

    fn sealed_forwarding(&self, family: Family) -> Verdict {
        let gateway = self.cut.next_hops.iter().any(|(_, gateway)| gateway.is_ipv6());
        let kept = self.cut.lifelines.iter().any(|l| l.direction == Direction::Forward);
        match (self.has(Direction::Forward), self.has(Direction::In)) {
            (true, _) if !self.whole() => (Fate::Stopped, ELSEWHERE),
            (true, _) if family == Family::V6 && gateway => (
                Fate::Stopped,
                "to IPv6 gateways themselves all but TCP and UDP passes, and ICMPv6 to the ends of forwarded lifelines",
            ),
            (true, _) if kept => (Fate::Stopped, "ICMP to the ends of forwarded lifelines passes"),
            (true, _) => (Fate::Stopped, ""),
            (false, true) => (Fate::Stopped, "with what is for this host"),
            (false, false) => (Fate::Passes, "this direction is not cut"),
        }
    }

    fn sealed_bound(&self, family: Family) -> Verdict {
        match (family, self.has(Direction::In), self.has(Direction::Out)) {
            (Family::V4, true, _) => (
                Fate::Partly,
                "IPv4 sockets bound to a device send to on-link hosts past the rules, and get answers from gateways and \
                 on-link ends of lifelines only, of neither TCP nor UDP",
            ),
            (Family::V4, false, _) => (Fate::Passes, "IPv4 sockets bound to a device go past rules"),
            (Family::V6, true, true) if !self.lets_icmpv6_in() => (
                Fate::Stopped,
                "gateways may be sent all but TCP and UDP, but what they answer is not delivered",
            ),
            (Family::V6, _, true) => (Fate::Stopped, "gateways may be sent all but TCP and UDP"),
            (Family::V6, true, false) => self.undelivered(family),
            (Family::V6, false, false) => (Fate::Passes, "this direction is not cut"),
        }
    }
}
