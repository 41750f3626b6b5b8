//! A plan: everything that will be done, decided beforehand. Immutable, with a digest that people approve.

use serde::{Deserialize, Serialize};

use super::canonical::canonical_digest;
use super::change::Change;
use super::cut::Cut;
use super::names::Digest;
use super::policy::Affects;

/// An ordered list of steps that leads from one kernel state to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Plan {
    /// What the plan puts in force.
    pub cut: Cut,
    /// Digest of the policy's canonical JSON.
    pub policy_digest: Digest,
    /// Whose connectivity is taken.
    pub affects: Affects,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What is stopped and what is not.
    pub coverage: Coverage,
    /// How each lifeline is kept, in the order of the cut's.
    pub kept: Vec<Kept>,
    /// What a restore cannot bring back exactly, one line an object, said before anything is touched.
    pub not_recreatable: Vec<String>,
    /// What the operator should know: a lifeline without a route, who would fight the cut, …
    pub warnings: Vec<String>,
}

/// Changes that are sent at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What the step is for.
    pub phase: Phase,
    /// What it does, as an operator would say it.
    pub summary: String,
    /// One send, every message acknowledged.
    pub changes: Vec<Change>,
}

/// The phases of a plan, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Laid out where it has no effect yet.
    Lay,
    /// The one send that makes it effective.
    Flip,
    /// What follows the flip: the second copy, or clearing away.
    Settle,
}

/// What a cut stops and what it does not, one row a kind of traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Rows, in a fixed order.
    pub rows: Vec<CoverageRow>,
}

/// One kind of traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRow {
    /// The traffic.
    pub traffic: Traffic,
    /// What happens to it.
    pub fate: Fate,
    /// Why, or with which limit; may be empty.
    pub note: String,
}

/// A kind of traffic that the coverage speaks of and the tests probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Unicast IPv4 from this host.
    LocalOutV4,
    /// Unicast IPv6 from this host.
    LocalOutV6,
    /// Unicast IPv4 delivered to this host.
    LocalInV4,
    /// Unicast IPv6 delivered to this host.
    LocalInV6,
    /// IPv4 through this host.
    ForwardedV4,
    /// IPv6 through this host.
    ForwardedV6,
    /// Sockets bound to a device, IPv4.
    BoundToDeviceV4,
    /// Sockets bound to a device, IPv6.
    BoundToDeviceV6,
    /// Multicast and broadcast, out.
    MulticastOut,
    /// Multicast and broadcast, in.
    MulticastIn,
    /// AF_PACKET sockets, out and in.
    PacketSockets,
    /// ARP and neighbour discovery.
    NeighbourResolution,
    /// What keeps a link itself: spanning tree, LACP, 802.1X.
    LinkControl,
    /// Frames between two ports of a bridge on this host.
    Bridged,
    /// AF_PACKET sockets with PACKET_QDISC_BYPASS.
    QdiscBypass,
    /// Links that appear while the cut is in force.
    NewLinks,
}

/// What happens to a kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// All of it is stopped, but for lifelines.
    Stopped,
    /// Stopped in part; the note says which.
    Partly,
    /// It goes on.
    Passes,
}

/// How a lifeline is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The lifeline's name.
    pub lifeline: String,
    /// By which objects, one line a method.
    pub by: Vec<String>,
}

impl Plan {
    /// SHA-256 of the plan's canonical JSON (RFC 8785): what an approver signs and `--plan` demands.
    ///
    /// # Panics
    /// Never: a plan holds no map with keys other than strings and numbers, and no floats.
    #[must_use]
    pub fn digest(&self) -> Digest {
        canonical_digest(self)
    }
}
