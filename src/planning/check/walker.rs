//! A walk of a packet through a state: filters of the link, rules in order, longest prefix in a table.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::packet::Packet;
use crate::model::object::{Attach, Family, FilterEntries, Link, Qdisc, Route, Rule, RuleAction, U32Match, Verdict};
use crate::model::snapshot::Snapshot;

/// ETH_P_ALL.
const ETHERTYPE_ALL: u16 = 0x0003;

/// A direction on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ingress,
    Egress,
}

/// Where a packet comes from, as rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// This host: the input interface is loopback.
    Here,
    /// In over a link.
    Link(u32),
}

/// Where a lookup may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// To this host, or to a group or broadcast address that it listens to.
    Local,
    /// Out over this link, to this next hop (none: the destination itself).
    Out(u32, Option<IpAddr>),
    /// Nowhere.
    Dropped,
}

/// The routes of one table that compete with nothing better: by prefix length, by prefix; equals in their order.
type Table = BTreeMap<u8, BTreeMap<IpNet, Vec<Route>>>;

/// All tables, by family and number.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<(Family, u32), Table>);

/// What a table says to a rule that asks it.
#[derive(Debug, Default)]
struct Answer {
    /// Where the packet may go.
    fates: Vec<Fate>,
    /// Whether it may also be that the next rule is asked.
    next: bool,
}

impl Answer {
    fn next() -> Self {
        Self {
            fates: Vec::new(),
            next: true,
        }
    }

    fn only(fate: Fate) -> Self {
        Self {
            fates: vec![fate],
            next: false,
        }
    }
}

/// A leg: its link, and its gateway.
type Way = (u32, Option<IpAddr>);

/// One state, ready for questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walker<'a> {
    state: &'a Snapshot,
    tables: &'a Tables,
}

impl Tables {
    pub fn of(state: &Snapshot) -> Self {
        let mut tables = Self::default();
        state.routes.iter().for_each(|route| tables.put(route));
        tables
    }

    fn put(&mut self, route: &Route) {
        if route.tos != 0 || route.source.is_some_and(|s| s.prefix_len() > 0) {
            return;
        }
        let net = route.destination.trunc();
        let of_table = self.0.entry((route.family, route.table)).or_default();
        let best = of_table.entry(net.prefix_len()).or_default().entry(net).or_default();
        match best.first().map(|b| route.metric.cmp(&b.metric)) {
            None | Some(Ordering::Equal) => best.push(route.clone()),
            Some(Ordering::Less) => *best = vec![route.clone()],
            Some(Ordering::Greater) => {}
        }
    }

    /// Looks again at what competes with a route that was added or deleted.
    pub fn renew(&mut self, state: &Snapshot, route: &Route) {
        let place = |r: &Route| (r.family, r.table, r.destination);
        let net = route.destination.trunc();
        let lengths = self.0.get_mut(&(route.family, route.table));
        if let Some(nets) = lengths.and_then(|l| l.get_mut(&net.prefix_len())) {
            nets.remove(&net);
        }
        let start = state.routes.partition_point(|r| place(r) < place(route));
        let there = state.routes[start..].iter().take_while(|r| place(r) == place(route));
        there.for_each(|r| self.put(r));
    }
}

impl<'a> Walker<'a> {
    /// `tables` are those of the state, or of one with the same routes.
    pub fn new(state: &'a Snapshot, tables: &'a Tables) -> Self {
        Self { state, tables }
    }

    pub fn state(&self) -> &'a Snapshot {
        self.state
    }

    fn up(&self, index: u32) -> bool {
        self.state.link(index).is_some_and(|l| l.up)
    }

    /// Whether a frame passes the filters of a link that is up.
    pub fn passes(&self, index: u32, side: Side, packet: &Packet) -> bool {
        self.up(index) && !self.filtered(index, side, packet)
    }

    fn filtered(&self, index: u32, side: Side, packet: &Packet) -> bool {
        let mut on_link = self.state.qdiscs.iter().filter(|q| q.link == index);
        let Some(qdisc) = on_link.find(|q| q.parent == Qdisc::CLSACT_PARENT) else {
            return false;
        };
        let place = match (side, qdisc.ingress_block, qdisc.egress_block) {
            (Side::Ingress, Some(block), _) | (Side::Egress, _, Some(block)) => Attach::Block(block),
            (Side::Ingress, None, _) => Attach::Ingress(index),
            (Side::Egress, _, None) => Attach::Egress(index),
        };
        let mut here: Vec<_> = self
            .state
            .filters
            .iter()
            .filter(|f| f.attach == place && f.chain == 0)
            .collect();
        here.sort_by_key(|f| f.preference);
        let bytes = packet.bytes();
        let seen = here
            .iter()
            .filter(|f| [ETHERTYPE_ALL, packet.ethertype()].contains(&f.protocol));
        let verdict = seen.filter_map(|f| match &f.entries {
            FilterEntries::U32(rows) => rows.iter().find(|(all, _)| all.iter().all(|m| compares(m, &bytes))),
            FilterEntries::Foreign(_) => None,
        });
        verdict.map(|(_, v)| *v).next().is_some_and(|v| v != Verdict::Pass)
    }

    /// Asks the rules in order: one fate for each leg that the kernel could choose, and never none.
    pub fn fates(&self, packet: &Packet, from: From) -> Vec<Fate> {
        let mut fates = Vec::new();
        let rules: Vec<&Rule> = self.state.rules_of(packet.family()).collect();
        let mut at = 0;
        while let Some(rule) = rules.get(at) {
            at += 1;
            if self.selects(rule, packet, from) == rule.invert {
                continue;
            }
            match rule.action {
                RuleAction::Lookup(table) => {
                    let answer = self.in_table(table, packet, rule);
                    fates.extend(answer.fates);
                    if !answer.next {
                        return fates;
                    }
                }
                RuleAction::Goto(target) => {
                    at = rules.iter().position(|r| r.preference >= target).unwrap_or(rules.len());
                }
                RuleAction::Nop | RuleAction::Other(_) => {}
                RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit => break,
            }
        }
        fates.push(Fate::Dropped);
        fates
    }

    /// Whether the packet is one of those that the rule names; an inverted rule applies to the others.
    pub fn selects(&self, rule: &Rule, packet: &Packet, from: From) -> bool {
        let input = match from {
            From::Here => self.state.links.iter().find(|l| l.is_loopback()),
            From::Link(index) => self.state.link(index),
        };
        let named = |l: &Link| rule.iif.as_ref() == Some(&l.name);
        let within = |net: Option<IpNet>, ip: IpAddr| net.is_none_or(|n| n.prefix_len() == 0 || n.contains(&ip));
        let port = |range: Option<(u16, u16)>, port: Option<u16>| match (range, port) {
            (None, _) => true,
            (Some((first, last)), Some(port)) => (first..=last).contains(&port),
            (Some(_), None) => false,
        };
        let ports = packet.ports();
        rule.family == packet.family()
            && within(rule.source, packet.source)
            && within(rule.destination, packet.destination)
            && (rule.iif.is_none() || input.is_some_and(named))
            && rule.oif.is_none()
            && rule.mark.is_none_or(|(value, _)| value == 0)
            && rule.uid_range.is_none_or(|(first, _)| first == 0)
            && rule.ip_protocol.is_none_or(|p| packet.protocol() == Some(p))
            && port(rule.source_ports, ports.map(|p| p.0))
            && port(rule.destination_ports, ports.map(|p| p.1))
            && rule.tos == 0
            && rule.extra.is_empty()
    }

    fn in_table(&self, table: u32, packet: &Packet, rule: &Rule) -> Answer {
        let Some((route, equals)) = self.best(table, packet) else {
            return Answer::next();
        };
        let short = rule
            .suppress_prefix_length
            .is_some_and(|l| u32::from(route.destination.prefix_len()) <= l);
        let refused = |(link, _): &Way| {
            let group = self.state.link(*link).map(|l| l.group);
            rule.suppress_group.is_some() && rule.suppress_group == group
        };
        if short || (route.family == Family::V4 && self.ways(route).first().is_some_and(refused)) {
            return Answer::next();
        }
        match route.kind {
            Route::THROW => Answer::next(),
            Route::BLACKHOLE | Route::UNREACHABLE | Route::PROHIBIT => Answer::only(Fate::Dropped),
            Route::UNICAST => self.over_legs(route, equals, refused),
            _ if self.ways_up(route).next().as_ref().is_some_and(refused) => Answer::next(),
            _ => Answer::only(Fate::Local),
        }
    }

    /// The longest match that is alive, and what stands behind it at the same place.
    fn best(&self, table: u32, packet: &Packet) -> Option<(&'a Route, &'a [Route])> {
        let lengths = self.tables.0.get(&(packet.family(), table))?;
        lengths.iter().rev().find_map(|(length, nets)| {
            let net = IpNet::new(packet.destination, *length).ok()?.trunc();
            let all = nets.get(&net)?;
            let at = all.iter().position(|r| self.is_alive(r))?;
            all.get(at).zip(all.get(at + 1..))
        })
    }

    /// IPv4 has let the first leg decide, and uses any; of equal default routes it takes another one where the first one's
    /// gateway is dead (`fib_select_default()`). IPv6 chooses a leg and lets that one decide.
    fn over_legs(&self, route: &Route, equals: &[Route], refused: impl Fn(&Way) -> bool) -> Answer {
        let mut ways: Vec<Way> = self.ways_up(route).collect();
        let mut next = false;
        match route.family {
            Family::V4 if route.destination.prefix_len() == 0 => {
                let others = equals.iter().filter(|r| r.kind == Route::UNICAST);
                let first_legs = others.filter_map(|r| self.ways_up(r).next());
                ways.extend(first_legs.filter(|(_, gateway)| gateway.is_some()));
            }
            Family::V4 => {}
            Family::V6 => {
                next = ways.iter().any(&refused);
                ways.retain(|way| !refused(way));
            }
        }
        if ways.is_empty() && !next {
            return Answer::only(Fate::Dropped);
        }
        let fates = ways.into_iter().map(|(link, gateway)| Fate::Out(link, gateway));
        Answer {
            fates: fates.collect(),
            next,
        }
    }

    /// A route whose links are all down is flushed or dead.
    fn is_alive(&self, route: &Route) -> bool {
        let without_link = route.links().next().is_none() && route.nexthop.is_none();
        without_link || route.kind == Route::LOCAL || self.ways_up(route).next().is_some()
    }

    fn ways_up(&self, route: &Route) -> impl Iterator<Item = Way> + use<'_, 'a> {
        self.ways(route).into_iter().filter(|(link, _)| self.up(*link))
    }

    /// The links of every route of this family that has several legs, up or not, with the route's prefix, but for those of table `local`.
    pub fn with_legs(&self, family: Family) -> impl Iterator<Item = (IpNet, Vec<u32>)> + use<'_, 'a> {
        let tables = self.tables.0.iter();
        let of_family = tables.filter(move |((f, table), _)| *f == family && *table != Route::TABLE_LOCAL);
        let all = of_family.flat_map(|(_, lengths)| lengths.values().flat_map(BTreeMap::values));
        all.filter_map(|equals| {
            let unicast = equals.iter().filter(|r| r.kind == Route::UNICAST);
            let legs: Vec<u32> = unicast.flat_map(|r| self.ways(r)).map(|(link, _)| link).collect();
            let first = equals.first().filter(|_| legs.len() > 1)?;
            Some((first.destination.trunc(), legs))
        })
    }

    /// The legs of a route with their gateways, its nexthop object's included.
    pub fn ways(&self, route: &Route) -> Vec<Way> {
        let find = |id: u32| self.state.nexthop(id);
        if let Some(nexthop) = route.nexthop.and_then(find) {
            let members = nexthop.group.iter().filter_map(|(id, _)| find(*id));
            let all = std::iter::once(nexthop).chain(members);
            return all.filter_map(|n| Some((n.link?, n.gateway))).collect();
        }
        let own = route.link.map(|l| (l, route.gateway));
        own.into_iter()
            .chain(route.hops.iter().map(|h| (h.link, h.gateway)))
            .collect()
    }
}

fn compares(wanted: &U32Match, bytes: &[u8]) -> bool {
    let word = usize::try_from(wanted.offset)
        .ok()
        .and_then(|at| bytes.get(at..at.checked_add(4)?));
    let word = word.and_then(|w| w.try_into().ok()).map(u32::from_be_bytes);
    word.is_some_and(|w| w & wanted.mask == wanted.value & wanted.mask)
}
