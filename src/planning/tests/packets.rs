//! A packet's way through gate's filters and the rules, as the kernel decides it (`fib_rules_lookup()`, `u32_classify()`).

use std::net::IpAddr;

use crate::model::object::{Attach, Family, FilterEntries, Route, Rule, RuleAction, U32Match, Verdict};
use crate::model::snapshot::Snapshot;

/// A TCP or UDP packet. `over` is the link on which it comes in; none for what begins here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) over: Option<u32>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Sent(u32),
    Lost,
}

impl Packet {
    pub(crate) fn fate(&self, state: &Snapshot) -> Fate {
        if self.over.is_some_and(|l| self.is_dropped(state, l, Side::Ingress)) {
            return Fate::Lost;
        }
        match self.route(state) {
            Some(route) if route.kind == Route::LOCAL => Fate::Delivered,
            Some(route) if route.kind == Route::UNICAST => match route.link {
                Some(link) if !self.is_dropped(state, link, Side::Egress) => Fate::Sent(link),
                Some(_) | None => Fate::Lost,
            },
            Some(_) | None => Fate::Lost,
        }
    }

    pub(crate) fn passes(&self, state: &Snapshot) -> bool {
        self.fate(state) != Fate::Lost
    }

    fn family(&self) -> Family {
        Family::of(self.destination)
    }

    fn route<'a>(&self, state: &'a Snapshot) -> Option<&'a Route> {
        let rules: Vec<&Rule> = state.rules_of(self.family()).collect();
        let mut at = 0;
        while let Some(rule) = rules.get(at) {
            at += 1;
            if !self.matches(rule, state) {
                continue;
            }
            match rule.action {
                RuleAction::Lookup(table) => {
                    let found = self.lookup(state, table).filter(|r| r.kind != Route::THROW);
                    let suppressed = |r: &Route| {
                        let group = r.link.and_then(|l| state.link(l)).map(|l| l.group);
                        rule.suppress_group.is_some() && group == rule.suppress_group
                    };
                    if let Some(route) = found.filter(|r| !suppressed(r)) {
                        return Some(route);
                    }
                }
                RuleAction::Goto(target) => {
                    at = rules.iter().position(|r| r.preference == target).unwrap_or(at);
                }
                RuleAction::Nop => {}
                RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit | RuleAction::Other(_) => {
                    return None;
                }
            }
        }
        None
    }

    fn matches(&self, rule: &Rule, state: &Snapshot) -> bool {
        let within = |range: Option<(u16, u16)>, port| range.is_none_or(|(a, b)| (a..=b).contains(&port));
        let iif = self.over.unwrap_or(1);
        let name = state.link(iif).map(|l| &l.name);
        let all = rule.source.is_none_or(|n| n.contains(&self.source))
            && rule.destination.is_none_or(|n| n.contains(&self.destination))
            && rule.ip_protocol.is_none_or(|p| p == self.protocol)
            && (rule.iif.is_none() || rule.iif.as_ref() == name)
            && within(rule.source_ports, self.source_port)
            && within(rule.destination_ports, self.destination_port);
        all != rule.invert
    }

    fn lookup<'a>(&self, state: &'a Snapshot, table: u32) -> Option<&'a Route> {
        let covers = |r: &&Route| r.table == table && r.destination.contains(&self.destination);
        let all = state.routes.iter().filter(covers);
        all.max_by_key(|r| (r.destination.prefix_len(), std::cmp::Reverse(r.metric)))
    }

    fn is_dropped(&self, state: &Snapshot, link: u32, side: Side) -> bool {
        let qdisc = state.qdiscs.iter().find(|q| q.link == link);
        let block = qdisc.and_then(|q| match side {
            Side::Ingress => q.ingress_block,
            Side::Egress => q.egress_block,
        });
        let place = match (block, side) {
            (Some(block), _) => Attach::Block(block),
            (None, Side::Ingress) => Attach::Ingress(link),
            (None, Side::Egress) => Attach::Egress(link),
        };
        let bytes = self.bytes();
        let ethertype = match self.family() {
            Family::V4 => 0x0800,
            Family::V6 => 0x86dd,
        };
        let mut here: Vec<_> = state.filters.iter().filter(|f| f.attach == place).collect();
        here.sort_by_key(|f| f.preference);
        for filter in here.into_iter().filter(|f| f.protocol == ethertype || f.protocol == 3) {
            if let FilterEntries::U32(rows) = &filter.entries
                && let Some((_, verdict)) = rows.iter().find(|(m, _)| m.iter().all(|m| hits(m, &bytes)))
            {
                return matches!(verdict, Verdict::DropInto(_));
            }
        }
        false
    }

    /// The headers on the wire, from the network header on.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, self.protocol, 0xab, 0xcd];
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 20, self.protocol, 64];
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families in one packet"),
        };
        bytes.extend(self.source_port.to_be_bytes());
        bytes.extend(self.destination_port.to_be_bytes());
        bytes
    }
}

#[derive(Clone, Copy)]
enum Side {
    Ingress,
    Egress,
}

fn hits(key: &U32Match, bytes: &[u8]) -> bool {
    let at = usize::try_from(key.offset).unwrap();
    let word = bytes.get(at..at + 4).map(|w| u32::from_be_bytes(w.try_into().unwrap()));
    word.is_some_and(|w| w & key.mask == key.value)
}
