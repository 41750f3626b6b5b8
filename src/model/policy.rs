//! A policy: what may be cut, what stays, and for how long. Written by an administrator, checked once at load.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::names::PolicyName;
use super::object::Family;

/// A checked policy. The only way to one is [`super::policy_file::parse`], so every value of this type is safe to plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// The name that operators type.
    pub name: PolicyName,
    /// One line on what it is for.
    pub summary: String,
    /// What it may be declared for.
    pub declared_for: BTreeSet<Occasion>,
    /// Whose connectivity it takes.
    pub affects: Affects,
    /// What is cut.
    pub scope: Scope,
    /// How.
    pub methods: BTreeSet<Method>,
    /// For [`Method::Routes`].
    pub routes: RoutesMethod,
    /// What stays.
    pub lifelines: Vec<LifelineSpec>,
    /// Protocols that keep the host's own network configuration alive.
    pub keep: Keep,
    /// How long.
    pub limits: Limits,
    /// What happens when nobody is there to decide.
    pub fail: FailDirections,
    /// What those affected are told.
    pub notice: String,
    /// Who may, of those who hold the right.
    #[serde(default, skip_serializing_if = "Who::is_everybody")]
    pub who: Who,
    /// Whose approval a declaration needs; none: nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Which hooks may declare it; none: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
}

/// The hooks that may declare a policy, without anybody being there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hook {
    /// As whom they run: each user is one source of alerts (passwd(5)).
    pub users: BTreeSet<String>,
    /// So many sources must raise it.
    pub sources: u8,
    /// For so long an alert counts towards that.
    pub within: Duration,
    /// For so long after an emergency of this policy no hook begins another.
    pub cool_down: Duration,
    /// On what authority they act: a program has none of its own.
    pub authority: String,
    /// What for.
    pub occasion: Occasion,
}

/// The approvals that a declaration needs before it cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Approval {
    /// How many people must approve, beside the one who declares: 1 or 2.
    pub people: u8,
    /// How long a proposal waits for them.
    pub expires: Duration,
    /// How long an emergency lasts at most, in all, that is declared without them; none: there is none without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<Duration>,
}

/// To whom a policy leaves a right; none: to all who hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Who {
    /// Who may plan, declare, confirm and extend.
    pub declare: Option<People>,
    /// Who may approve and reject.
    pub approve: Option<People>,
    /// Who may end it; any one of them.
    pub revert: Option<People>,
}

/// Users and groups of the host, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct People {
    /// Users (passwd(5)).
    pub users: BTreeSet<String>,
    /// Groups, primary or supplementary (group(5)).
    pub groups: BTreeSet<String>,
}

/// Whose name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameOf {
    /// A user (passwd(5)).
    User,
    /// A group (group(5)).
    Group,
}

impl NameOf {
    /// As messages call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

impl Who {
    /// Whether nothing is narrowed.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        *self == Self::default()
    }
}

/// What an emergency is declared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// An emergency declared by a public authority.
    PublicSecurityEmergency,
    /// An incident on the owner's own systems.
    SecurityIncident,
    /// Planned work.
    Maintenance,
    /// A rehearsal.
    Exercise,
}

/// Whose connectivity a policy takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Affects {
    /// Machines of the owner only.
    OwnHosts,
    /// People who work for the owner.
    OwnStaff,
    /// Anybody else.
    Public,
}

/// What is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scope {
    /// Glob patterns over first and alternative names; `*` alone means the whole host, links of the future included.
    pub interfaces: Vec<String>,
    /// Glob patterns that are taken out again.
    pub exclude: Vec<String>,
    /// Link kinds (IFLA_INFO_KIND), such as `veth` or `wireguard`.
    pub kinds: Vec<String>,
    /// The links that carry a default route when the plan is made.
    pub default_route: bool,
    /// Two or more zones: forwarding between any two of them is cut, and nothing else.
    pub zones: Vec<Zone>,
    /// Address families.
    pub families: BTreeSet<Family>,
    /// Directions.
    pub directions: BTreeSet<Direction>,
}

/// A side of a boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Zone {
    /// What people call it.
    pub name: String,
    /// Glob patterns over first and alternative names.
    pub interfaces: Vec<String>,
}

/// A direction of traffic, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To this host.
    In,
    /// From this host.
    Out,
    /// Through this host.
    Forward,
}

/// A way of cutting. Their order is the order in which a plan lays them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Traffic control on the links.
    Gate,
    /// FIB rules.
    Seal,
    /// Withdrawn or null routes.
    Routes,
    /// Links administratively down.
    Link,
}

/// What [`Method::Routes`] does: withdraws the routes that match, and null-routes prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RoutesMethod {
    /// Withdraw default routes over the links of the scope.
    pub withdraw_default: bool,
    /// Withdraw exactly these prefixes.
    pub withdraw_prefixes: Vec<IpNet>,
    /// Withdraw only from these tables; empty is every table but `local`.
    pub tables: Vec<u32>,
    /// Withdraw only routes of these protocol numbers; empty is every protocol but kernel.
    pub protocols: Vec<u8>,
    /// Send these prefixes nowhere (blackhole in a table of ours, looked up first).
    pub null_prefixes: Vec<IpNet>,
}

/// Traffic that a cut must never touch, as the policy writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LifelineSpec {
    /// What people call it.
    pub name: String,
    /// Addresses and prefixes.
    pub peers: Vec<IpNet>,
    /// Host names, resolved and pinned when the plan is made.
    pub peer_names: Vec<String>,
    /// Transport protocol.
    pub protocol: Transport,
    /// Service ports, at the host for `in`, at the peer for `out`, behind the gateway for `forward`; empty is all.
    pub ports: Vec<PortRange>,
    /// Who begins.
    pub direction: Direction,
    /// For `forward`: what is reached from the peers; empty is everything.
    pub inside: Vec<IpNet>,
    /// Only over links that match this glob pattern.
    pub interface: Option<String>,
    /// Glob patterns of tunnels whose outer packets it keeps, so that lifelines may go through them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carries: Vec<String>,
}

/// A transport protocol of a lifeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Every protocol.
    Any,
    /// IPPROTO_TCP.
    Tcp,
    /// IPPROTO_UDP.
    Udp,
    /// IPPROTO_ICMP and IPPROTO_ICMPV6.
    Icmp,
}

/// Ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// First.
    pub first: u16,
    /// Last.
    pub last: u16,
}

/// Protocols that keep the host's own network configuration alive under a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Keep {
    /// DHCPv4 (UDP 67, 68) and DHCPv6 (UDP 546, 547).
    pub dhcp: bool,
    /// Router advertisements (ICMPv6 133, 134); neighbour discovery and ARP are kept for every lifeline anyway.
    pub router_advertisements: bool,
}

/// How long an emergency of this policy may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Where the declaration names no duration.
    pub default: Duration,
    /// The longest first duration.
    pub maximum: Duration,
    /// The longest in all, extensions included.
    pub total: Duration,
    /// Reverts by itself unless confirmed within this; a declaration may ask for less.
    pub confirm_within: Option<Duration>,
}

/// What happens to the cut when nobody is there to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailDirections {
    /// The daemon died.
    pub crash: FailDirection,
    /// The host was rebooted.
    pub reboot: FailDirection,
    /// A lifeline does not answer.
    pub lifeline_lost: FailDirection,
}

/// A direction to fail in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailDirection {
    /// The cut stays until its deadline.
    Closed,
    /// The cut ends.
    Open,
}
