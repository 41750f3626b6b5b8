//! `[[lifelines]]`: their layout, and the rules that each must keep for itself.

use ipnet::IpNet;

use super::draft::{DIRECTIONS, LABEL_MAX_CHARS, PATTERNS_MAX, PREFIXES_MAX};
use super::fields::{At, List, Raw, Section, list, word};
use super::problems::{Code, Problem, Report};
use super::values::{Peer, pattern, peer, ports, prefix, text};
use crate::model::policy::{Direction, LifelineSpec, PortRange, Transport};

/// Peers of one lifeline.
const PEERS_MAX: usize = 256;
/// Ports and ranges of one lifeline.
const PORTS_MAX: usize = 64;

const TRANSPORTS: &[(&str, Transport)] = &[
    ("any", Transport::Any),
    ("tcp", Transport::Tcp),
    ("udp", Transport::Udp),
    ("icmp", Transport::Icmp),
];

/// A lifeline as far as it could be read.
pub(super) struct LifelineDraft {
    pub(super) name: Option<At<String>>,
    peers: Option<List<Peer>>,
    protocol: Option<At<Transport>>,
    ports: Option<List<PortRange>>,
    direction: Option<At<Direction>>,
    inside: Option<List<IpNet>>,
    /// None inside: over any link.
    pub(super) interface: Option<Option<At<String>>>,
    carries: Option<List<String>>,
}

impl LifelineDraft {
    /// Reads one; None only if it is no table.
    pub(super) fn read(raw: &Raw<'_>, report: &mut Report) -> Option<At<Self>> {
        let mut section = Section::of("a lifeline", raw, report)?;
        let absent = || At::none(raw.span());
        let draft = Self {
            name: section
                .required("name")
                .and_then(|raw| text(raw, LABEL_MAX_CHARS, report)),
            peers: section
                .required("peers")
                .and_then(|raw| list(raw, PEERS_MAX, report, peer)),
            protocol: section
                .required("protocol")
                .and_then(|raw| word(raw, TRANSPORTS, report)),
            ports: match section.optional("ports") {
                Some(raw) => list(raw, PORTS_MAX, report, ports),
                None => Some(absent()),
            },
            direction: section
                .required("direction")
                .and_then(|raw| word(raw, DIRECTIONS, report)),
            inside: match section.optional("inside") {
                Some(raw) => list(raw, PREFIXES_MAX, report, prefix),
                None => Some(At::none(raw.span())),
            },
            interface: match section.optional("interface") {
                Some(raw) => pattern(raw, report).map(Some),
                None => Some(None),
            },
            carries: match section.optional("carries") {
                Some(raw) => list(raw, PATTERNS_MAX, report, pattern),
                None => Some(At::none(raw.span())),
            },
        };
        section.finish(report);
        Some(At::new(draft, raw.span()))
    }

    /// The rules that concern no other part of the file.
    pub(super) fn check(&self, report: &mut Report) {
        self.peers_are_named(report);
        self.ports_have_a_protocol(report);
        self.inside_is_for_forwarded_traffic(report);
        self.something_is_left_to_cut(report);
        self.what_it_carries_is_the_hosts(report);
    }

    fn peers_are_named(&self, report: &mut Report) {
        if let Some(peers) = self.peers.as_ref().filter(|peers| peers.value.is_empty()) {
            let problem = Problem::new(
                Code::LifelinePeers,
                peers.span.clone(),
                "a lifeline without peers keeps nothing",
            );
            report.push(problem.hint("name whom it must reach, such as \"192.0.2.0/24\""));
        }
    }

    fn ports_have_a_protocol(&self, report: &mut Report) {
        let (Some(ports), Some(protocol)) = (&self.ports, &self.protocol) else {
            return;
        };
        let without_ports = matches!(protocol.value, Transport::Any | Transport::Icmp);
        if without_ports && !ports.value.is_empty() {
            let problem = Problem::new(
                Code::LifelinePorts,
                ports.span.clone(),
                "ports need the protocol tcp or udp",
            );
            report.push(problem.hint("set protocol to \"tcp\" or \"udp\", or leave the ports out"));
        }
    }

    fn inside_is_for_forwarded_traffic(&self, report: &mut Report) {
        let (Some(inside), Some(direction)) = (&self.inside, &self.direction) else {
            return;
        };
        if direction.value != Direction::Forward && !inside.value.is_empty() {
            let message = "`inside` is for what is forwarded; here one end is this host";
            report.push(Problem::new(Code::LifelineInside, inside.span.clone(), message));
        }
    }

    /// The outer packets of a tunnel of this host begin and end here, and are what TCP, UDP or another protocol carries.
    fn what_it_carries_is_the_hosts(&self, report: &mut Report) {
        let (Some(carries), Some(direction), Some(protocol)) = (&self.carries, &self.direction, &self.protocol) else {
            return;
        };
        let why = match (direction.value, protocol.value) {
            (Direction::Forward, _) => "`carries` is for tunnels of this host; what is forwarded carries none of them",
            (_, Transport::Icmp) => "no tunnel is carried by icmp",
            (Direction::In | Direction::Out, Transport::Any | Transport::Tcp | Transport::Udp) => return,
        };
        if !carries.value.is_empty() {
            let problem = Problem::new(Code::LifelineCarries, carries.span.clone(), why);
            report.push(
                problem.hint("keep a tunnel's outer packets with direction \"in\" or \"out\" and its own protocol"),
            );
        }
    }

    fn something_is_left_to_cut(&self, report: &mut Report) {
        let (Some(peers), Some(protocol), Some(inside)) = (&self.peers, &self.protocol, &self.inside) else {
            return;
        };
        let nets = peers.value.iter().filter_map(|peer| match peer.value {
            Peer::Net(net) => Some(net),
            Peer::Name(_) => None,
        });
        let bounded_inside = !inside.value.is_empty() && !covers_a_family(inside.values());
        if protocol.value == Transport::Any && covers_a_family(nets.collect()) && !bounded_inside {
            let message = "a lifeline of every protocol to every address is no cut";
            let problem = Problem::new(Code::LifelineOfEverything, peers.span.clone(), message);
            report.push(problem.hint("name the peers, or a protocol with ports"));
        }
    }

    /// The lifeline, if every part could be read.
    pub(super) fn finish(self) -> Option<LifelineSpec> {
        let (mut peers, mut peer_names) = (Vec::new(), Vec::new());
        for peer in self.peers?.value {
            match peer.value {
                Peer::Net(net) => peers.push(net),
                Peer::Name(name) => peer_names.push(name),
            }
        }
        Some(LifelineSpec {
            name: self.name?.value,
            peers,
            peer_names,
            protocol: self.protocol?.value,
            ports: self.ports?.values(),
            direction: self.direction?.value,
            inside: self.inside?.values(),
            interface: self.interface?.map(|pattern| pattern.value),
            carries: self.carries?.values(),
        })
    }
}

/// Whether the prefixes together are all of IPv4 or all of IPv6, in however many pieces.
fn covers_a_family(nets: Vec<IpNet>) -> bool {
    IpNet::aggregate(&nets).iter().any(|net| net.prefix_len() == 0)
}
