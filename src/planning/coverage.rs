//! What a cut stops and what it does not: one row for every kind of traffic.
//!
//! Each row holds for the links of the scope. Where several methods act on the same traffic the strongest counts.
//! Measured on Linux 6.18 with probes from both sides of a host and a gateway.

mod gate;
mod seal;

use super::flow;
use super::gate::gates;
use super::routes::withdraws;
use crate::model::cut::{Cut, Reach};
use crate::model::object::{Family, Link};
use crate::model::plan::{Coverage, CoverageRow, Fate, Traffic};
use crate::model::policy::{Direction, Method};
use crate::model::snapshot::Snapshot;

/// Every kind of traffic, in the order of the rows.
pub const ALL_TRAFFIC: [Traffic; 16] = [
    Traffic::LocalOutV4,
    Traffic::LocalOutV6,
    Traffic::LocalInV4,
    Traffic::LocalInV6,
    Traffic::ForwardedV4,
    Traffic::ForwardedV6,
    Traffic::BoundToDeviceV4,
    Traffic::BoundToDeviceV6,
    Traffic::MulticastOut,
    Traffic::MulticastIn,
    Traffic::PacketSockets,
    Traffic::NeighbourResolution,
    Traffic::LinkControl,
    Traffic::Bridged,
    Traffic::QdiscBypass,
    Traffic::NewLinks,
];

const ELSEWHERE: &str = "traffic that has another route goes over the links outside the scope";
const LISTED: &str = "the scope lists its links";

/// What one cut does to each kind of traffic.
#[must_use]
pub fn coverage(cut: &Cut, host: &Snapshot) -> Coverage {
    let view = View { cut, host };
    let rows = ALL_TRAFFIC.into_iter().map(|traffic| view.row(traffic)).collect();
    Coverage { rows }
}

/// What a method does, and why or with which limit.
type Verdict = (Fate, &'static str);

struct View<'a> {
    cut: &'a Cut,
    host: &'a Snapshot,
}

/// Kinds of traffic, with the family taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Out(Family),
    In(Family),
    Forwarded(Family),
    Bound(Family),
    MulticastOut,
    MulticastIn,
    Packets,
    Neighbours,
    Control,
    Bridged,
    Bypass,
    NewLinks,
}

impl Kind {
    fn of(traffic: Traffic) -> Self {
        match traffic {
            Traffic::LocalOutV4 => Self::Out(Family::V4),
            Traffic::LocalOutV6 => Self::Out(Family::V6),
            Traffic::LocalInV4 => Self::In(Family::V4),
            Traffic::LocalInV6 => Self::In(Family::V6),
            Traffic::ForwardedV4 => Self::Forwarded(Family::V4),
            Traffic::ForwardedV6 => Self::Forwarded(Family::V6),
            Traffic::BoundToDeviceV4 => Self::Bound(Family::V4),
            Traffic::BoundToDeviceV6 => Self::Bound(Family::V6),
            Traffic::MulticastOut => Self::MulticastOut,
            Traffic::MulticastIn => Self::MulticastIn,
            Traffic::PacketSockets => Self::Packets,
            Traffic::NeighbourResolution => Self::Neighbours,
            Traffic::LinkControl => Self::Control,
            Traffic::Bridged => Self::Bridged,
            Traffic::QdiscBypass => Self::Bypass,
            Traffic::NewLinks => Self::NewLinks,
        }
    }

    fn family(self) -> Option<Family> {
        match self {
            Self::Out(family) | Self::In(family) | Self::Forwarded(family) | Self::Bound(family) => Some(family),
            Self::MulticastOut
            | Self::MulticastIn
            | Self::Packets
            | Self::Neighbours
            | Self::Control
            | Self::Bridged
            | Self::Bypass
            | Self::NewLinks => None,
        }
    }
}

impl View<'_> {
    fn row(&self, traffic: Traffic) -> CoverageRow {
        let verdicts = self.verdicts(Kind::of(traffic));
        let strongest = verdicts.iter().map(|(f, _)| *f).min_by_key(|f| weakness(*f));
        let fate = strongest.unwrap_or(Fate::Passes);
        let mut notes: Vec<&str> = verdicts.iter().filter(|(f, _)| *f == fate).map(|(_, n)| *n).collect();
        // A method that stops it without reserve makes the reserves of the others void.
        if notes.contains(&"") {
            notes.clear();
        }
        notes.dedup();
        CoverageRow {
            traffic,
            fate,
            note: notes.join("; "),
        }
    }

    fn verdicts(&self, kind: Kind) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let methods = &self.cut.methods;
        // A link that is down knows no families.
        if methods.contains(&Method::Link) {
            verdicts.push(self.link(kind));
        }
        if kind.family().is_some_and(|f| !self.cut.families.contains(&f)) {
            verdicts.push((Fate::Passes, "this family is not cut"));
            return verdicts;
        }
        if gates(self.cut) {
            verdicts.push(self.gate(kind));
        }
        if methods.contains(&Method::Seal) {
            verdicts.push(self.seal(kind));
        }
        if withdraws(self.cut) {
            verdicts.push(self.routes(kind));
        }
        verdicts
    }

    fn has(&self, direction: Direction) -> bool {
        self.cut.directions.contains(&direction)
    }

    fn whole(&self) -> bool {
        self.cut.reach == Reach::WholeHost
    }

    /// The only family that is cut, if it is not both.
    fn one_family(&self) -> Option<Family> {
        let mut families = self.cut.families.iter().copied();
        families.next().filter(|_| families.next().is_none())
    }

    fn keeps_any(&self, family: Family) -> bool {
        flow::keeps_any(std::slice::from_ref(self.cut), family)
    }

    fn is_bridge(&self, index: u32) -> bool {
        self.host
            .link(index)
            .is_some_and(|l| l.kind.as_deref() == Some("bridge"))
    }

    fn routes(&self, kind: Kind) -> Verdict {
        let touches = |family: Family| {
            self.cut.withdrawn.iter().any(|r| r.family == family)
                || self.cut.null_prefixes.iter().any(|p| Family::of_net(p) == family)
        };
        match kind {
            Kind::Out(family) | Kind::Forwarded(family) if touches(family) => (
                Fate::Partly,
                "what the withdrawn routes carried, and the null prefixes; other routes and on-link hosts go on",
            ),
            Kind::In(family) if touches(family) => (
                Fate::Partly,
                "it is delivered; answers to where no route leads any more do not leave",
            ),
            Kind::Bound(family) if touches(family) => (Fate::Partly, "on-link hosts are reached without a route"),
            Kind::Out(_) | Kind::Forwarded(_) | Kind::In(_) | Kind::Bound(_) => {
                (Fate::Passes, "no route of this family is touched")
            }
            Kind::MulticastOut
            | Kind::MulticastIn
            | Kind::Packets
            | Kind::Neighbours
            | Kind::Control
            | Kind::Bridged
            | Kind::Bypass
            | Kind::NewLinks => (Fate::Passes, "withdrawn and null routes do not carry it"),
        }
    }

    fn link(&self, kind: Kind) -> Verdict {
        let down = |l: &&Link| self.cut.links.contains_key(&l.index);
        let bridged = |l: &Link| self.is_bridge(l.index) || l.master.is_some_and(|m| self.is_bridge(m));
        match kind {
            Kind::NewLinks if self.whole() => (Fate::Partly, "open until the daemon has set the new link down"),
            Kind::NewLinks => (Fate::Passes, LISTED),
            Kind::Bridged if self.whole() || self.host.links.iter().filter(down).any(bridged) => (Fate::Stopped, ""),
            Kind::Bridged => (Fate::Passes, "no bridge and no bridge port is in the scope"),
            Kind::Out(_) | Kind::Forwarded(_) if !self.whole() => (Fate::Stopped, ELSEWHERE),
            Kind::Out(_)
            | Kind::Forwarded(_)
            | Kind::In(_)
            | Kind::Bound(_)
            | Kind::MulticastOut
            | Kind::MulticastIn
            | Kind::Packets
            | Kind::Neighbours
            | Kind::Control
            | Kind::Bypass => (Fate::Stopped, ""),
        }
    }
}

fn weakness(fate: Fate) -> u8 {
    match fate {
        Fate::Stopped => 0,
        Fate::Partly => 1,
        Fate::Passes => 2,
    }
}
