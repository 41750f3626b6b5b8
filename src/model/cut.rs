//! A policy resolved against one host at one moment: what one emergency holds. It is what the journal keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::names::{InterfaceName, PolicyName};
use super::object::{Family, Route};
use super::policy::{Direction, Keep, Method, PortRange, Transport};

/// What one emergency cuts and keeps, with every pattern and name resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The policy it comes from.
    pub policy: PolicyName,
    /// How.
    pub methods: BTreeSet<Method>,
    /// Families.
    pub families: BTreeSet<Family>,
    /// Directions.
    pub directions: BTreeSet<Direction>,
    /// Which links.
    pub reach: Reach,
    /// The links in scope now, by index, with their names for people. Never loopback, never our own ifb.
    pub links: BTreeMap<u32, InterfaceName>,
    /// Forwarding between any two of these is cut (then `links` is their union and nothing else is cut).
    pub zones: Vec<ZoneLinks>,
    /// Routes to withdraw, exactly as they stood.
    pub withdrawn: Vec<Route>,
    /// Prefixes to send nowhere.
    pub null_prefixes: Vec<IpNet>,
    /// What stays.
    pub lifelines: Vec<Lifeline>,
    /// Next hops of existing routes, which must stay resolvable: link and address.
    pub next_hops: BTreeSet<(u32, IpAddr)>,
    /// Configuration protocols that stay.
    pub keep: Keep,
}

/// Whether links of the future belong to the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Every link but loopback, also those that appear later.
    WholeHost,
    /// The links listed.
    Links,
}

/// A zone with its links resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneLinks {
    /// What people call it.
    pub name: String,
    /// Interface indices.
    pub links: BTreeSet<u32>,
}

/// A lifeline with its names resolved and pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifeline {
    /// What people call it.
    pub name: String,
    /// Prefixes of both families.
    pub peers: Vec<IpNet>,
    /// Transport protocol.
    pub protocol: Transport,
    /// Service ports; empty is all.
    pub ports: Vec<PortRange>,
    /// Who begins.
    pub direction: Direction,
    /// For `forward`: what is reached from the peers; empty is everything.
    pub inside: Vec<IpNet>,
    /// Only over this link: index and name.
    pub link: Option<(u32, InterfaceName)>,
    /// The tunnels whose outer packets it keeps.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub carries: BTreeSet<u32>,
}
