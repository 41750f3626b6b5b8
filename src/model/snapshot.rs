//! The kernel's network state at one moment: canonical, sorted, digestible.

use serde::{Deserialize, Serialize};

use super::names::{Digest, InterfaceName};
use super::object::{Address, Attach, Family, Filter, Link, Neighbour, Nexthop, Qdisc, Route, Rule, Sysctl};

/// Everything that a cut may lose, each kind sorted by its key.
///
/// Routes of one key keep the order of the dump: among equals the kernel prefers the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Interfaces, by index.
    pub links: Vec<Link>,
    /// Addresses, in dump order within a link: it decides source address selection.
    pub addresses: Vec<Address>,
    /// Nexthop objects and groups, by id.
    pub nexthops: Vec<Nexthop>,
    /// Routes of all tables, without cache entries (RTM_F_CLONED).
    pub routes: Vec<Route>,
    /// Rules of both families, in the kernel's order.
    pub rules: Vec<Rule>,
    /// Permanent and proxy neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Queueing disciplines.
    pub qdiscs: Vec<Qdisc>,
    /// Filters, on links and on blocks.
    pub filters: Vec<Filter>,
    /// Sysctls that a cut touches.
    pub sysctls: Vec<Sysctl>,
    /// Whether all but links, addresses, rules and traffic control may have changed while it was read: then some of it may
    /// be missing, and some be there twice.
    #[serde(default, skip_serializing_if = "is_false")]
    pub moving: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// One object of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "object", rename_all = "lowercase")]
pub enum Object {
    /// An interface.
    Link(Link),
    /// An address.
    Address(Address),
    /// A nexthop object.
    Nexthop(Nexthop),
    /// A route.
    Route(Route),
    /// A rule.
    Rule(Rule),
    /// A neighbour.
    Neighbour(Neighbour),
    /// A queueing discipline.
    Qdisc(Qdisc),
    /// A filter.
    Filter(Filter),
    /// A sysctl.
    Sysctl(Sysctl),
}

/// One difference between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// Only in the first.
    Missing(Object),
    /// Only in the second.
    Extra(Object),
    /// The same identity, other contents.
    Changed {
        /// In the first.
        before: Object,
        /// In the second.
        after: Object,
    },
}

impl Snapshot {
    /// Brings every kind into its canonical order.
    pub fn sort(&mut self) {
        self.links.sort_by_key(|l| l.index);
        self.addresses.sort_by_key(|a| (a.link, a.family));
        self.nexthops.sort_by_key(|n| n.id);
        self.routes.sort_by(|a, b| route_key(a).cmp(&route_key(b)));
        self.rules.sort_by_key(|r| (r.family, r.preference));
        self.sort_neighbours();
        self.qdiscs.sort_by_key(|q| (q.link, q.parent, q.handle));
        self.filters
            .sort_by_key(|f| (f.attach, f.chain, f.preference, f.protocol));
        self.sysctls.sort();
    }

    /// Brings the neighbours alone into their canonical order.
    pub(crate) fn sort_neighbours(&mut self) {
        self.neighbours.sort_by_key(neighbour_key);
    }

    /// The link of this index.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|l| l.index == index)
    }

    /// The link of this first or alternative name.
    #[must_use]
    pub fn link_named(&self, name: &InterfaceName) -> Option<&Link> {
        self.links.iter().find(|l| l.name == *name || l.altnames.contains(name))
    }

    /// The rules of one family, in order.
    pub fn rules_of(&self, family: Family) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |r| r.family == family)
    }

    /// The digest of the canonical text, so that `portcullis snapshot | sha256sum` gives the same.
    #[must_use]
    pub fn digest(&self) -> Digest {
        super::text::digest(self)
    }

    /// The nexthop object of this id; they are in the order of their ids.
    #[must_use]
    pub fn nexthop(&self, id: u32) -> Option<&Nexthop> {
        let at = self.nexthops.binary_search_by_key(&id, |n| n.id).ok()?;
        self.nexthops.get(at)
    }

    /// Every object, kind by kind, in canonical order.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        let links = self.links.iter().cloned().map(Object::Link);
        let addresses = self.addresses.iter().cloned().map(Object::Address);
        let nexthops = self.nexthops.iter().cloned().map(Object::Nexthop);
        let routes = self.routes.iter().cloned().map(Object::Route);
        let rules = self.rules.iter().cloned().map(Object::Rule);
        let neighbours = self.neighbours.iter().cloned().map(Object::Neighbour);
        let qdiscs = self.qdiscs.iter().cloned().map(Object::Qdisc);
        let filters = self.filters.iter().cloned().map(Object::Filter);
        let sysctls = self.sysctls.iter().cloned().map(Object::Sysctl);
        links
            .chain(addresses)
            .chain(nexthops)
            .chain(routes)
            .chain(rules)
            .chain(neighbours)
            .chain(qdiscs)
            .chain(filters)
            .chain(sysctls)
    }
}

/// What makes two routes compete for the same place: family, table, destination, source, tos, metric; and the link,
/// where a sender always names it.
pub type RouteKey<'a> = (
    Family,
    u32,
    &'a ipnet::IpNet,
    &'a Option<ipnet::IpNet>,
    u8,
    u32,
    Option<u32>,
);

/// The order of routes in a snapshot.
#[must_use]
pub fn route_key(route: &Route) -> RouteKey<'_> {
    (
        route.family,
        route.table,
        &route.destination,
        &route.source,
        route.tos,
        route.metric,
        route.link.filter(|_| names_link(route.destination.addr())),
    )
}

/// Link-local and multicast addresses mean nothing without a link, so routes to them do not compete between links, and
/// the order in which the kernel lists them (the order in which the links came up) says nothing.
fn names_link(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(_) => false,
        std::net::IpAddr::V6(a) => a.is_unicast_link_local() || a.is_multicast(),
    }
}

fn neighbour_key(n: &Neighbour) -> (u32, Family, std::net::IpAddr, u8) {
    (n.link, n.family, n.address, n.flags)
}

/// Whether a filter hangs on this link.
#[must_use]
pub fn hangs_on(filter: &Filter, index: u32) -> bool {
    match filter.attach {
        Attach::Ingress(link) | Attach::Egress(link) | Attach::Other(link, _) => link == index,
        Attach::Block(_) => false,
    }
}
