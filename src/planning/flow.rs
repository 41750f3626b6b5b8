//! What lifelines let pass, as one-way flows: the common tongue of gate's filters and seal's rules.

use ipnet::IpNet;

use crate::model::cut::{Cut, Lifeline};
use crate::model::names::InterfaceName;
use crate::model::object::Family;
use crate::model::policy::{Direction, PortRange, Transport};

/// IPPROTO_TCP.
pub const TCP: u8 = 6;
/// IPPROTO_UDP.
pub const UDP: u8 = 17;
/// DHCP server and client (RFC 2131), DHCPv6 client and server (RFC 8415).
const DHCP_PORTS: [(Family, PortRange); 2] = [
    (Family::V4, PortRange { first: 67, last: 68 }),
    (Family::V6, PortRange { first: 546, last: 547 }),
];

/// Where a flow goes, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// To this host.
    Arrives,
    /// From this host.
    Leaves,
    /// Through this host.
    Passes,
}

/// Packets in one direction that a cut must let pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Family.
    pub family: Family,
    /// Where it goes.
    pub course: Course,
    /// From where; none is from anywhere.
    pub source: Option<IpNet>,
    /// To where; none is to anywhere.
    pub destination: Option<IpNet>,
    /// IP protocol number; none is every protocol.
    pub protocol: Option<u8>,
    /// Source ports; none is all.
    pub source_ports: Option<PortRange>,
    /// Destination ports; none is all.
    pub destination_ports: Option<PortRange>,
    /// For what arrives: only over this link.
    pub link: Option<(u32, InterfaceName)>,
}

/// IPPROTO_ICMP or IPPROTO_ICMPV6.
pub fn icmp(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}

/// All flows of one family that these cuts together must let pass, sorted, each once.
pub fn flows(cuts: &[Cut], family: Family) -> Vec<Flow> {
    let lifelines = cuts.iter().flat_map(|c| &c.lifelines);
    let mut all: Vec<Flow> = lifelines.flat_map(|l| of_lifeline(l, family)).collect();
    if cuts.iter().any(|c| c.keep.dhcp) {
        all.extend(dhcp(family));
    }
    all.sort();
    all.dedup();
    all
}

/// The flows of one lifeline in one family.
pub fn of_lifeline(lifeline: &Lifeline, family: Family) -> Vec<Flow> {
    let peers = lifeline.peers.iter().filter(|p| Family::of_net(p) == family);
    let mut all = Vec::new();
    for peer in peers {
        for (protocol, ports) in services(lifeline, family) {
            let service = Service {
                lifeline,
                family,
                protocol,
                ports,
            };
            all.extend(service.flows(*peer));
        }
    }
    all
}

/// Everything that a lifeline of one family touches: its peers, and for `forward` what lies inside.
pub fn ends(lifeline: &Lifeline, family: Family) -> impl Iterator<Item = IpNet> + '_ {
    let all = lifeline.peers.iter().chain(&lifeline.inside);
    all.copied().filter(move |p| Family::of_net(p) == family)
}

/// Whether any of the cuts keeps a lifeline in this family.
pub fn keeps_any(cuts: &[Cut], family: Family) -> bool {
    let mut lifelines = cuts.iter().flat_map(|c| &c.lifelines);
    lifelines.any(|l| l.peers.iter().any(|p| Family::of_net(p) == family))
}

struct Service<'a> {
    lifeline: &'a Lifeline,
    family: Family,
    protocol: Option<u8>,
    ports: Option<PortRange>,
}

impl Service<'_> {
    fn flows(&self, peer: IpNet) -> Vec<Flow> {
        let peer = Some(peer);
        match self.lifeline.direction {
            Direction::In => vec![
                self.request(Course::Arrives, peer, None),
                self.answer(Course::Leaves, None, peer),
            ],
            Direction::Out => vec![
                self.request(Course::Leaves, None, peer),
                self.answer(Course::Arrives, peer, None),
            ],
            Direction::Forward => self
                .insides()
                .into_iter()
                .flat_map(|inside| {
                    [
                        self.request(Course::Passes, peer, inside),
                        self.answer(Course::Passes, inside, peer),
                    ]
                })
                .collect(),
        }
    }

    fn insides(&self) -> Vec<Option<IpNet>> {
        if self.lifeline.inside.is_empty() {
            return vec![None];
        }
        let inside = self.lifeline.inside.iter();
        inside
            .filter(|i| Family::of_net(i) == self.family)
            .map(|i| Some(*i))
            .collect()
    }

    fn request(&self, course: Course, source: Option<IpNet>, destination: Option<IpNet>) -> Flow {
        Flow {
            family: self.family,
            course,
            source,
            destination,
            protocol: self.protocol,
            source_ports: None,
            destination_ports: self.ports,
            link: self.lifeline.link.clone().filter(|_| course == Course::Arrives),
        }
    }

    fn answer(&self, course: Course, source: Option<IpNet>, destination: Option<IpNet>) -> Flow {
        Flow {
            source_ports: self.ports,
            destination_ports: None,
            ..self.request(course, source, destination)
        }
    }
}

/// Protocols and ports; ports without a protocol are those of TCP and of UDP.
fn services(lifeline: &Lifeline, family: Family) -> Vec<(Option<u8>, Option<PortRange>)> {
    let protocols = match (lifeline.protocol, lifeline.ports.is_empty()) {
        (Transport::Any, true) => vec![None],
        (Transport::Any, false) => vec![Some(TCP), Some(UDP)],
        (Transport::Tcp, _) => vec![Some(TCP)],
        (Transport::Udp, _) => vec![Some(UDP)],
        (Transport::Icmp, _) => return vec![(Some(icmp(family)), None)],
    };
    let ports: Vec<Option<PortRange>> = if lifeline.ports.is_empty() {
        vec![None]
    } else {
        lifeline.ports.iter().copied().map(Some).collect()
    };
    let pairs = protocols.into_iter().flat_map(|p| ports.iter().map(move |r| (p, *r)));
    pairs.collect()
}

fn dhcp(family: Family) -> impl Iterator<Item = Flow> {
    let ports = DHCP_PORTS.into_iter().filter(move |(f, _)| *f == family);
    ports.flat_map(|(family, ports)| {
        [Course::Arrives, Course::Leaves].map(|course| Flow {
            family,
            course,
            source: None,
            destination: None,
            protocol: Some(UDP),
            source_ports: Some(ports),
            destination_ports: Some(ports),
            link: None,
        })
    })
}
