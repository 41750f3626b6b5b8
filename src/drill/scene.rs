//! The probes of a drill: which there are, what each should do while the cut is in force, and asking them all at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::DrillError;
use super::copy::{Copy, Far};
use super::far::{ECHO_PORT, Side, service_port};
use super::namespace::Namespace;
use super::probe::tcp::Flow;
use super::probe::{Answer, Origin, icmp, tcp, udp};
use super::report::Expectation;
use super::through;
use crate::model::cut::{Cut, Lifeline};
use crate::model::object::Family;
use crate::model::plan::{Coverage, Fate, Traffic};
use crate::model::policy::{Direction, Transport};

/// How long a probe waits for its answer. Veth pairs answer within microseconds; a loaded machine within this.
pub(super) const PATIENCE: Duration = Duration::from_millis(700);
/// How long a connection may take to go on after a silence: TCP sends again at doubling intervals (RFC 6298), so the next
/// time comes within twice the silence.
pub(super) const RESUMPTION: Duration = Duration::from_secs(6);

/// How a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A new TCP connection.
    Tcp,
    /// A TCP connection that was established before the cut.
    Established,
    /// A UDP question and its answer.
    Udp,
    /// An ICMP or ICMPv6 echo.
    Icmp,
}

pub(super) const KINDS: [Kind; 4] = [Kind::Tcp, Kind::Established, Kind::Udp, Kind::Icmp];

/// Where a probe starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The copy of this host.
    Here,
    /// The far end of this link.
    Far(u32),
}

/// One probe.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) what: String,
    pub(super) from: From,
    pub(super) source: Option<IpAddr>,
    pub(super) to: SocketAddr,
    pub(super) kind: Kind,
    pub(super) expected: Expectation,
    /// The lifeline that it stands for.
    pub(super) lifeline: Option<usize>,
}

/// What is asked, and what is not.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    pub(super) probes: Vec<Probe>,
    /// What is not asked, and why, one line each.
    pub(super) not_probed: Vec<String>,
}

/// Every probe for this copy and cut.
pub(super) fn questions(copy: &Copy, sides: &BTreeMap<u32, Side>, cut: &Cut, coverage: &Coverage) -> Questions {
    let mut probes = Vec::new();
    for far in &copy.far {
        let Some(side) = sides.get(&far.link) else { continue };
        probes.extend(outbound(far, side, cut, coverage));
        probes.extend(inbound(far, side, cut, coverage));
        probes.extend(lifelines(far, side, cut));
    }
    let (forwarded, not_probed) = through::forwarded(&copy.state, sides, cut, coverage);
    probes.extend(forwarded);
    Questions { probes, not_probed }
}

fn outbound<'a>(
    far: &'a Far,
    side: &'a Side,
    cut: &'a Cut,
    coverage: &'a Coverage,
) -> impl Iterator<Item = Probe> + 'a {
    let named = [
        ("neighbour", &side.neighbours),
        ("world", &side.world),
        ("nulled prefix", &side.nulled),
    ];
    named
        .into_iter()
        .flat_map(|(whom, addresses)| addresses.iter().map(move |a| (whom, *a)))
        .flat_map(move |(whom, address)| {
            let nulled = cut.null_prefixes.iter().any(|p| p.contains(&address));
            KINDS.into_iter().map(move |kind| Probe {
                what: format!("{} out over {} to {whom} {address}", word(kind), far.name),
                from: From::Here,
                source: None,
                to: SocketAddr::new(address, ECHO_PORT),
                kind,
                expected: expect(cut, coverage, Direction::Out, Family::of(address), &[far.link], nulled),
                lifeline: None,
            })
        })
}

fn inbound<'a>(far: &'a Far, side: &'a Side, cut: &'a Cut, coverage: &'a Coverage) -> impl Iterator<Item = Probe> + 'a {
    let named = [("neighbour", &side.neighbours), ("world", &side.world)];
    named
        .into_iter()
        .flat_map(|(whom, addresses)| addresses.iter().map(move |a| (whom, *a)))
        .flat_map(move |(whom, source)| {
            let own = side.own.iter().find(|o| Family::of(**o) == Family::of(source));
            own.into_iter().flat_map(move |own| {
                KINDS.into_iter().map(move |kind| Probe {
                    what: format!("{} in over {} from {whom} {source}", word(kind), far.name),
                    from: From::Far(far.link),
                    source: Some(source),
                    to: SocketAddr::new(*own, ECHO_PORT),
                    kind,
                    expected: expect(cut, coverage, Direction::In, Family::of(source), &[far.link], false),
                    lifeline: None,
                })
            })
        })
}

fn lifelines<'a>(far: &'a Far, side: &'a Side, cut: &'a Cut) -> impl Iterator<Item = Probe> + 'a {
    side.peers
        .iter()
        .filter_map(move |(place, peer)| {
            let lifeline = cut.lifelines.get(*place)?;
            let port = service_port(lifeline);
            let (from, source, to, whom) = match lifeline.direction {
                Direction::In => {
                    let own = side.own.iter().find(|o| Family::of(**o) == Family::of(*peer))?;
                    (From::Far(far.link), Some(*peer), *own, format!("peer {peer}"))
                }
                Direction::Out => (From::Here, None, *peer, format!("peer {peer}")),
                Direction::Forward => {
                    let way = side.ways.iter().find(|w| (w.lifeline, w.from.1) == (*place, *peer))?;
                    let whom = format!("peer {peer} through this host to {}", way.to.1);
                    (From::Far(far.link), Some(*peer), way.to.1, whom)
                }
            };
            Some(kinds_of(lifeline).map(move |kind| Probe {
                what: format!("lifeline `{}`: {} over {}, {whom}", lifeline.name, word(kind), far.name),
                from,
                source,
                to: SocketAddr::new(to, port),
                kind,
                expected: Expectation::Passes,
                lifeline: Some(*place),
            }))
        })
        .flatten()
}

pub(super) fn kinds_of(lifeline: &Lifeline) -> impl Iterator<Item = Kind> + use<> {
    let kinds: &[Kind] = match lifeline.protocol {
        Transport::Any => &[Kind::Tcp, Kind::Established, Kind::Udp, Kind::Icmp],
        Transport::Tcp => &[Kind::Tcp, Kind::Established],
        Transport::Udp => &[Kind::Udp],
        Transport::Icmp => &[Kind::Icmp],
    };
    kinds.iter().copied()
}

/// What the plan's coverage promises for traffic of this direction and family over these links.
pub(super) fn expect(
    cut: &Cut,
    coverage: &Coverage,
    direction: Direction,
    family: Family,
    links: &[u32],
    nulled: bool,
) -> Expectation {
    if nulled {
        return Expectation::Stops;
    }
    let touched = links.iter().any(|l| cut.links.contains_key(l));
    let between_zones = {
        let zone = |link: &u32| cut.zones.iter().position(|z| z.links.contains(link));
        links.len() == 2 && zone(&links[0]).is_some() && zone(&links[1]).is_some() && zone(&links[0]) != zone(&links[1])
    };
    // What the coverage of a cut between zones calls partly stopped is forwarded traffic that goes elsewhere.
    let forwards = direction == Direction::Forward && cut.families.contains(&family);
    if between_zones && forwards {
        return Expectation::Stops;
    }
    let outside = !cut.families.contains(&family) || !touched || (!cut.zones.is_empty() && !between_zones);
    if outside && cut.null_prefixes.is_empty() && cut.withdrawn.is_empty() {
        return Expectation::Passes;
    }
    let traffic = match (direction, family) {
        (Direction::Out, Family::V4) => Traffic::LocalOutV4,
        (Direction::Out, Family::V6) => Traffic::LocalOutV6,
        (Direction::In, Family::V4) => Traffic::LocalInV4,
        (Direction::In, Family::V6) => Traffic::LocalInV6,
        (Direction::Forward, Family::V4) => Traffic::ForwardedV4,
        (Direction::Forward, Family::V6) => Traffic::ForwardedV6,
    };
    match coverage.rows.iter().find(|r| r.traffic == traffic).map(|r| r.fate) {
        Some(Fate::Stopped) => Expectation::Stops,
        Some(Fate::Passes) => Expectation::Passes,
        Some(Fate::Partly) | None => Expectation::Open,
    }
}

/// The connections that were established before the cut, by the place of their probe.
pub(super) type Flows = BTreeMap<usize, Flow>;

/// Opens the connections that are to be established before the cut, all at once.
pub(super) fn establish(copy: &Copy, probes: &[Probe]) -> Result<Flows, DrillError> {
    let wanted = probes.iter().enumerate().filter(|(_, p)| p.kind == Kind::Established);
    let opened = side_by_side(wanted, |(place, probe)| {
        let flow = space(copy, probe.from).run(|proof| {
            let origin = origin(Origin::any(proof), probe);
            Flow::open(probe.to, &origin, PATIENCE)
        });
        Ok((place, flow??))
    });
    let mut flows = Flows::new();
    for flow in opened {
        if let (place, Ok(flow)) = flow? {
            flows.insert(place, flow);
        }
    }
    Ok(flows)
}

/// Asks every probe, all at once, and says which passed; established connections within the time given.
pub(super) fn ask_all(
    copy: &Copy,
    probes: &[Probe],
    flows: &mut Flows,
    established: Duration,
) -> Result<Vec<bool>, DrillError> {
    let mut flow_of: BTreeMap<usize, &mut Flow> = flows.iter_mut().map(|(place, flow)| (*place, flow)).collect();
    let asked = probes
        .iter()
        .enumerate()
        .map(|(place, probe)| (probe, flow_of.remove(&place)));
    let answers = side_by_side(asked, |(probe, flow)| ask(copy, probe, flow, established));
    answers.into_iter().map(|answer| answer.map(Answer::passed)).collect()
}

/// Does all of it at once, each on a thread of its own, and gives the results in order.
fn side_by_side<T: Send, R: Send>(
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> Result<R, DrillError> + Sync,
) -> Vec<Result<R, DrillError>> {
    let work = &work;
    std::thread::scope(|scope| {
        let begun: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        begun
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn ask(copy: &Copy, probe: &Probe, flow: Option<&mut Flow>, established: Duration) -> Result<Answer, DrillError> {
    if probe.kind == Kind::Established {
        return match flow {
            Some(flow) => Ok(flow.exchange(established)?),
            None => Ok(Answer::Silent),
        };
    }
    Ok(space(copy, probe.from).run(|proof| once(probe, &origin(Origin::any(proof), probe), PATIENCE))??)
}

/// One question of a probe from the calling thread's namespace.
pub(super) fn once(probe: &Probe, origin: &Origin, within: Duration) -> Result<Answer, super::probe::ProbeError> {
    match probe.kind {
        Kind::Tcp | Kind::Established => tcp::connect(probe.to, origin, within),
        Kind::Udp => udp::ask(probe.to, origin, within),
        Kind::Icmp => icmp::echo(probe.to, origin, within),
    }
}

pub(super) fn origin(any: Origin, probe: &Probe) -> Origin {
    match probe.source {
        Some(source) => any.source(source),
        None => any,
    }
}

pub(super) fn space(copy: &Copy, from: From) -> &Namespace {
    let far = |link| copy.far.iter().find(|f| f.link == link).map(|f| &f.space);
    match from {
        From::Here => &copy.here,
        From::Far(link) => far(link).unwrap_or(&copy.here),
    }
}

pub(super) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Tcp => "new TCP",
        Kind::Established => "established TCP",
        Kind::Udp => "UDP",
        Kind::Icmp => "ICMP",
    }
}
