//! The traffic matrix: every kind of traffic that a plan's coverage speaks of, probed in a topology.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use portcullis::drill::probe::echo::Echo;
use portcullis::drill::probe::frame::{Listen, Port};
use portcullis::drill::probe::udp::Sink;
use portcullis::drill::probe::{Answer, Origin, ProbeError, icmp, tcp, udp};
use portcullis::model::object::Family;
use portcullis::model::plan::Traffic;

use super::ip;
use super::topology::{Node, Topology};

mod outcome;

pub use outcome::{Outcome, Row};

/// Long enough for what passes, on a busy machine: for the control, where silence is a failure.
pub const PATIENT: Duration = Duration::from_secs(10);
/// Long enough for what passes, and no retransmission of TCP's first segment: for a cut, where silence is expected.
pub const SHORT: Duration = Duration::from_millis(600);

const ECHO_PORT: u16 = 7007;
const SINK_PORT: u16 = 9000;

/// A probe that can be made again and again.
struct Cell<'a> {
    traffic: Option<Traffic>,
    name: String,
    probe: Box<dyn Fn(Duration) -> Result<Answer, ProbeError> + Send + Sync + 'a>,
}

impl Cell<'_> {
    fn ask(&self, within: Duration) -> Answer {
        (self.probe)(within).unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }
}

/// Servers, listeners and established flows in a topology. Open it before the cut: flows must have been established.
pub struct Matrix<'a> {
    cells: Vec<Cell<'a>>,
    // Held for as long as they are to serve.
    echoes: Vec<Echo>,
}

impl<'a> Matrix<'a> {
    /// Starts the servers and opens the flows.
    pub fn open(net: &'a Topology) -> Self {
        let mut matrix = Self::empty();
        matrix.serve(net.nodes());
        let (subject, near) = (End::new("H", &net.subject), End::new("N", &net.neighbour));
        for family in Family::BOTH {
            matrix.host(net, family);
            matrix.gateway(net, family);
            matrix.zones(net, family);
            matrix.the_rest(net, family);
        }
        matrix.groups(Traffic::MulticastOut, subject, near);
        matrix.groups(Traffic::MulticastIn, near, subject);
        matrix.frames(Traffic::PacketSockets, subject, near, Listen::Everything);
        matrix.frames(Traffic::PacketSockets, near, subject, Listen::Ipv4);
        if let Some([x, y]) = &net.bridged {
            matrix.frames(Traffic::Bridged, End::new("X", x), End::new("Y", y), Listen::Everything);
        }
        matrix
    }

    fn empty() -> Self {
        Self {
            cells: Vec::new(),
            echoes: Vec::new(),
        }
    }

    fn host(&mut self, net: &'a Topology, family: Family) {
        let (subject, near) = (End::new("H", &net.subject), End::new("N", &net.neighbour));
        for far in [End::new("W", &net.world_host), near] {
            let out = of(family, [Traffic::LocalOutV4, Traffic::LocalOutV6]);
            self.unicast(out, subject, far, family);
            self.established(out, subject, far, family);
            let into = of(family, [Traffic::LocalInV4, Traffic::LocalInV6]);
            self.unicast(into, far, subject, family);
            self.established(into, far, subject, family);
        }
        let bound = of(family, [Traffic::BoundToDeviceV4, Traffic::BoundToDeviceV6]);
        self.bound(bound, subject, near, family);
        self.neighbours(Traffic::NeighbourResolution, subject, near, family);
        self.neighbours(Traffic::NeighbourResolution, near, subject, family);
    }

    fn gateway(&mut self, net: &'a Topology, family: Family) {
        if let Some(inside) = &net.inside {
            let (inside, world) = (End::new("L", inside), End::new("W", &net.world_host));
            let forwarded = of(family, [Traffic::ForwardedV4, Traffic::ForwardedV6]);
            for (from, to) in [(inside, world), (world, inside)] {
                self.unicast(forwarded, from, to, family);
                self.established(forwarded, from, to, family);
            }
        }
        if let Some([x, y]) = &net.bridged {
            let (x, y) = (End::new("X", x), End::new("Y", y));
            self.unicast(Some(Traffic::Bridged), x, y, family);
            self.established(Some(Traffic::Bridged), x, y, family);
            self.neighbours(Traffic::Bridged, x, y, family);
        }
    }

    /// Between a gateway's zones, and from a zone to the host behind `i0`: never over `u0`.
    fn zones(&mut self, net: &'a Topology, family: Family) {
        let [it, ot] = &net.zones[..] else { return };
        let (it, ot) = (End::new("IT", it), End::new("OT", ot));
        let inside = net.inside.as_ref().map(|inside| End::new("L", inside));
        let pairs = [(it, ot), (ot, it)]
            .into_iter()
            .chain(inside.map(|inside| (it, inside)));
        for (from, to) in pairs {
            self.unicast(None, from, to, family);
            self.established(None, from, to, family);
        }
    }

    /// What a cut of `u0` alone must leave alone.
    fn the_rest(&mut self, net: &'a Topology, family: Family) {
        let here = End::new("H(m0)", &net.subject_m0);
        let there = End::new("M(m0)", &net.management_m0);
        for (from, to) in [(here, there), (there, here), (here, here)] {
            self.unicast(None, from, to, family);
            self.established(None, from, to, family);
        }
    }

    /// A link that appears now, between the subject and its neighbour, probed both ways and removed again.
    pub fn over_a_new_link(net: &Topology, within: Duration, must_pass: impl Fn(&Row) -> bool) -> Outcome {
        let [here, there] = net.add_link_to_neighbour();
        let mut matrix = Matrix::empty();
        matrix.serve([&here, &there]);
        let (subject, near) = (End::new("H(nw0)", &here), End::new("N(nw0)", &there));
        for family in Family::BOTH {
            matrix.unicast(Some(Traffic::NewLinks), subject, near, family);
            matrix.unicast(Some(Traffic::NewLinks), near, subject, family);
            matrix.neighbours(Traffic::NewLinks, near, subject, family);
        }
        matrix.frames(Traffic::NewLinks, subject, near, Listen::Everything);
        matrix.frames(Traffic::NewLinks, near, subject, Listen::Ipv4);
        let seen = matrix.run_where(within, must_pass);
        drop(matrix);
        ip(net.at(), "link del dev nw0");
        seen
    }

    /// Makes every probe once, at the same time, each within the time given.
    pub fn run(&self, within: Duration) -> Outcome {
        self.run_those(within, |_| true)
    }

    /// The same for some kinds of traffic only.
    pub fn run_those(&self, within: Duration, wanted: impl Fn(Option<Traffic>) -> bool) -> Outcome {
        let cells: Vec<_> = self.cells.iter().filter(|cell| wanted(cell.traffic)).collect();
        let answers: Vec<_> = thread::scope(|scope| {
            let started: Vec<_> = cells.iter().map(|cell| scope.spawn(|| cell.ask(within))).collect();
            started.into_iter().map(|probe| probe.join().unwrap()).collect()
        });
        let row = |(cell, answer): (&Cell<'_>, Answer)| Row {
            traffic: cell.traffic,
            name: cell.name.clone(),
            answer,
        };
        Outcome {
            rows: cells.into_iter().zip(answers).map(row).collect(),
        }
    }

    /// Every probe once, each within the time given; what must pass and was met with silence is asked twice more, with
    /// patience: a busy machine loses datagrams. What must not pass has no second try.
    pub fn run_where(&self, within: Duration, must_pass: impl Fn(&Row) -> bool) -> Outcome {
        let mut seen = self.run(within);
        for (row, cell) in seen.rows.iter_mut().zip(&self.cells) {
            for _ in 0..2 {
                if row.answer == Answer::Silent && must_pass(row) {
                    row.answer = cell.ask(PATIENT);
                }
            }
        }
        seen
    }

    /// The positive control: with no cut, every probe passes. A busy machine loses datagrams, so there are three tries.
    #[track_caller]
    pub fn control(&self) -> Outcome {
        let all = |seen: &Outcome| seen.rows.iter().all(|row| row.answer.passed());
        let mut seen = self.run(PATIENT);
        for _ in 0..2 {
            if !all(&seen) {
                seen = self.run(PATIENT);
            }
        }
        let missing: Vec<String> = seen
            .rows
            .iter()
            .filter(|row| !row.answer.passed())
            .map(Row::to_string)
            .collect();
        assert!(
            missing.is_empty(),
            "without any cut these do not pass:\n{}",
            missing.join("\n")
        );
        seen
    }

    /// Echo servers on every address.
    fn serve<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) {
        for node in nodes {
            let at = Family::BOTH.map(|family| node.at(family, ECHO_PORT));
            let started = node.namespace.run(|proof| Echo::start(&at, &Origin::any(proof)));
            self.echoes.push(started.unwrap().unwrap());
        }
    }

    fn add(
        &mut self,
        traffic: Option<Traffic>,
        name: String,
        probe: impl Fn(Duration) -> Result<Answer, ProbeError> + Send + Sync + 'a,
    ) {
        self.cells.push(Cell {
            traffic,
            name,
            probe: Box::new(probe),
        });
    }

    /// TCP new, UDP asked and delivered, ICMP.
    fn unicast(&mut self, traffic: Option<Traffic>, from: End<'a>, to: End<'a>, family: Family) {
        let at = to.node.at(family, ECHO_PORT);
        let name = |what: &str| format!("{}>{} {what} {}", from.name, to.name, number(family));
        self.add(
            traffic,
            name("tcp-new"),
            from.ask(move |o, within| tcp::connect(at, o, within)),
        );
        self.add(traffic, name("udp"), from.ask(move |o, within| udp::ask(at, o, within)));
        self.add(
            traffic,
            name("icmp"),
            from.ask(move |o, within| icmp::echo(at, o, within)),
        );
        let sink = to.sink(family);
        let at_sink = SocketAddr::new(to.node.address(family), sink.at().port());
        self.add(
            traffic,
            name("udp-delivered"),
            from.ask(move |o, within| udp::deliver(at_sink, o, &sink, within)),
        );
    }

    /// A connection that was there before.
    fn established(&mut self, traffic: Option<Traffic>, from: End<'a>, to: End<'a>, family: Family) {
        let at = to.node.at(family, ECHO_PORT);
        let name = format!("{}>{} tcp-established {}", from.name, to.name, number(family));
        let opened = from
            .node
            .namespace
            .run(|proof| tcp::Flow::open(at, &Origin::any(proof), PATIENT));
        let flow = opened.unwrap().unwrap();
        let flow = Mutex::new(flow.unwrap_or_else(|answer| panic!("{name}: {answer:?}")));
        self.add(traffic, name, move |within| flow.lock().unwrap().exchange(within));
    }

    /// Sockets bound to the main link, towards a host on it.
    fn bound(&mut self, traffic: Option<Traffic>, from: End<'a>, to: End<'a>, family: Family) {
        let at = to.node.at(family, ECHO_PORT);
        let link = &from.node.link;
        let name = |what: &str| format!("{}>{} bound {what} {}", from.name, to.name, number(family));
        let tcp = from.ask(move |o, within| tcp::connect(at, &o.clone().device(link), within));
        self.add(traffic, name("tcp-new"), tcp);
        let udp = from.ask(move |o, within| udp::ask(at, &o.clone().device(link), within));
        self.add(traffic, name("udp"), udp);
        let icmp = from.ask(move |o, within| icmp::echo(at, &o.clone().device(link), within));
        self.add(traffic, name("icmp"), icmp);
        let sink = to.sink(family);
        let at_sink = SocketAddr::new(to.node.address(family), sink.at().port());
        let delivered = from.ask(move |o, within| udp::deliver(at_sink, &o.clone().device(link), &sink, within));
        self.add(traffic, name("udp-delivered"), delivered);
    }

    /// ARP or neighbour discovery: `from` asks who has the address of `to`.
    fn neighbours(&mut self, traffic: Traffic, from: End<'a>, to: End<'a>, family: Family) {
        let (own, target) = (from.node.address(family), to.node.address(family));
        let what = if family == Family::V4 { "arp" } else { "nd" };
        let probe = move |within| {
            let asked = from
                .node
                .namespace
                .run(|proof| Port::open(&from.node.link, Listen::Everything, proof)?.resolve(own, target, within));
            asked.unwrap()
        };
        let name = format!("{}>{} {what}", from.name, to.name);
        self.add(Some(traffic), name, probe);
    }

    /// Multicast of both families and both kinds of broadcast, without a route being asked for.
    fn groups(&mut self, traffic: Traffic, from: End<'a>, to: End<'a>) {
        let subnet = Ipv4Addr::new(10, 0, 0, 255);
        let groups: [(&str, IpAddr); 4] = [
            ("multicast 4", Ipv4Addr::new(239, 7, 7, 7).into()),
            ("multicast 6", Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x7, 0x7007).into()),
            ("broadcast 4", Ipv4Addr::BROADCAST.into()),
            ("subnet-broadcast 4", subnet.into()),
        ];
        let index = from
            .node
            .namespace
            .run(|_| nix::net::if_::if_nametoindex(from.node.link.as_bytes()));
        let index = index.unwrap().unwrap();
        for (port, (what, group)) in (SINK_PORT..).zip(groups) {
            let joined = to
                .node
                .namespace
                .run(|proof| Sink::join(group, port, &to.node.link, to.node.v4, &Origin::any(proof)));
            let sink = joined.unwrap().unwrap();
            let at = match group {
                IpAddr::V4(_) => SocketAddr::new(group, port),
                IpAddr::V6(group) => SocketAddrV6::new(group, port, 0, index).into(),
            };
            let probe = from.ask(move |o, within| {
                let origin = if at.is_ipv4() {
                    o.clone().source(from.node.v4.into())
                } else {
                    o.clone()
                };
                udp::deliver(at, &origin, &sink, within)
            });
            self.add(Some(traffic), format!("{}>{} {what}", from.name, to.name), probe);
        }
    }

    fn frames(&mut self, traffic: Traffic, from: End<'a>, to: End<'a>, listen: Listen) {
        let probe = move |within| {
            let listened = to.node.namespace.run(|proof| Port::open(&to.node.link, listen, proof));
            let there = listened.unwrap()?;
            let sent = from
                .node
                .namespace
                .run(|proof| Port::open(&from.node.link, Listen::Ipv4, proof)?.deliver(&there, within));
            sent.unwrap()
        };
        self.add(Some(traffic), format!("{}>{} frame", from.name, to.name), probe);
    }
}

#[derive(Clone, Copy)]
struct End<'a> {
    name: &'static str,
    node: &'a Node,
}

impl<'a> End<'a> {
    fn new(name: &'static str, node: &'a Node) -> Self {
        Self { name, node }
    }

    /// A probe that runs in this end's namespace.
    fn ask(
        self,
        probe: impl Fn(&Origin, Duration) -> Result<Answer, ProbeError> + Send + Sync + 'a,
    ) -> impl Fn(Duration) -> Result<Answer, ProbeError> + Send + Sync + 'a {
        move |within| {
            self.node
                .namespace
                .run(|proof| probe(&Origin::any(proof), within))
                .unwrap()
        }
    }

    fn sink(self, family: Family) -> Sink {
        let any: IpAddr = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let bound = self
            .node
            .namespace
            .run(|proof| Sink::bind(SocketAddr::new(any, 0), &Origin::any(proof)));
        bound.unwrap().unwrap()
    }
}

fn of(family: Family, by_family: [Traffic; 2]) -> Option<Traffic> {
    Some(by_family[usize::from(family == Family::V6)])
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}
