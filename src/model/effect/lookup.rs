//! The kernel's lookups: of a gateway when a route or nexthop is added (`fib_check_nh()`, `ip6_route_check_nh()`), and of
//! the way of a packet.

use std::net::IpAddr;

use super::super::lookup::{Query, Way};
use super::super::object::{Family, Route, Rule, RuleAction};
use super::{Snapshot, errno};

/// The kernel's answer to a question after the way of a packet; who asks is root, and the packet carries no mark.
#[must_use]
pub fn way(state: &Snapshot, query: &Query) -> Way {
    let known = query.input.is_none_or(|link| state.link(link).is_some());
    let Ok(route) = by_rules(state, query, None, 0) else {
        return Way::Nowhere;
    };
    let up = |link: &u32| state.link(*link).is_some_and(|l| l.up);
    match (route.kind, links_of(state, route).into_iter().find(|l| up(l))) {
        _ if !known => Way::Nowhere,
        (Route::LOCAL, _) => Way::Local,
        (Route::UNICAST, Some(link)) => Way::Out {
            link,
            source: route.preferred_source.or_else(|| source(state, link, query.family())),
        },
        _ => Way::Nowhere,
    }
}

/// The links of a route, its nexthop object's included.
fn links_of(state: &Snapshot, route: &Route) -> Vec<u32> {
    let of_object = route
        .nexthop
        .into_iter()
        .flat_map(|id| super::nexthop::links(state, id));
    route.links().chain(of_object).collect()
}

/// The first address of the link that may leave it.
fn source(state: &Snapshot, link: u32, family: Family) -> Option<IpAddr> {
    let usable = |ip: &IpAddr| !matches!(ip, IpAddr::V6(a) if a.is_unicast_link_local());
    let mut own = state.addresses.iter().filter(|a| (a.link, a.family) == (link, family));
    own.find_map(|a| Some(a.own()).filter(usable))
}

/// What the rules say to a packet that the host itself sends to `to`, of which no more is known.
pub(super) fn gateway(state: &Snapshot, to: IpAddr, over: Option<u32>, scope: u8) -> Result<&Route, i32> {
    by_rules(state, &Query::to(to), over, scope)
}

/// A rule that asks for what is not known of the packet (a mark, ports, a protocol, a source, a user but root, or what
/// this program does not know) does not match.
fn by_rules<'a>(state: &'a Snapshot, query: &Query, over: Option<u32>, scope: u8) -> Result<&'a Route, i32> {
    let to = query.destination;
    let rules: Vec<&Rule> = state.rules_of(query.family()).collect();
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        if matches(state, rule, query) == rule.invert {
            continue;
        }
        match rule.action {
            RuleAction::Lookup(table) => {
                let found = in_table(state, table, to, over, scope).filter(|r| !suppressed(state, rule, r));
                match found.map(|r| (r, refusal(r.kind))) {
                    Some((_, Some(Refusal::Next))) | None => {}
                    Some((_, Some(Refusal::With(code)))) => return Err(code),
                    Some((route, None)) => return Ok(route),
                }
            }
            RuleAction::Goto(target) => {
                at = rules.iter().position(|r| r.preference >= target).unwrap_or(rules.len());
            }
            RuleAction::Nop | RuleAction::Other(_) => {}
            RuleAction::Blackhole => return Err(errno::EINVAL),
            RuleAction::Unreachable => return Err(errno::ENETUNREACH),
            RuleAction::Prohibit => return Err(errno::EACCES),
        }
    }
    Err(errno::ENETUNREACH)
}

/// The longest match in one table; among equals the lowest metric, then the first.
pub(super) fn in_table(state: &Snapshot, table: u32, to: IpAddr, over: Option<u32>, scope: u8) -> Option<&Route> {
    let family = Family::of(to);
    let start = state.routes.partition_point(|r| (r.family, r.table) < (family, table));
    let rows = state.routes[start..]
        .iter()
        .take_while(|r| (r.family, r.table) == (family, table));
    let fits = |r: &&Route| {
        let narrow = family == Family::V6 || r.scope >= scope;
        let on_link = over.is_none_or(|o| r.links().any(|l| l == o) || r.links().next().is_none());
        r.destination.contains(&to) && narrow && on_link && r.tos == 0
    };
    rows.filter(fits)
        .min_by_key(|r| (std::cmp::Reverse(r.destination.prefix_len()), r.metric))
}

fn matches(state: &Snapshot, rule: &Rule, query: &Query) -> bool {
    let within = |net: Option<ipnet::IpNet>, ip: Option<IpAddr>| {
        net.is_none_or(|n| n.prefix_len() == 0 || ip.is_some_and(|ip| n.contains(&ip)))
    };
    let port = |range: Option<(u16, u16)>, port: Option<u16>| {
        range.is_none_or(|(first, last)| port.is_some_and(|p| (first..=last).contains(&p)))
    };
    let input = match query.input {
        None => state.links.iter().find(|l| l.is_loopback()),
        Some(link) => state.link(link),
    };
    let from = |name: &super::super::names::InterfaceName| match input {
        Some(link) => link.name == *name,
        None => query.input.is_none() && name.as_bytes() == b"lo",
    };
    within(rule.source, query.source)
        && within(rule.destination, Some(query.destination))
        && rule.mark.is_none_or(|(value, _)| value == 0)
        && rule.ip_protocol.is_none_or(|p| query.protocol == Some(p))
        && port(rule.source_ports, query.ports.map(|p| p.0))
        && port(rule.destination_ports, query.ports.map(|p| p.1))
        && rule.oif.is_none()
        && rule.tos == 0
        && rule.uid_range.is_none_or(|(first, _)| first == 0)
        && rule.extra.is_empty()
        && rule.iif.as_ref().is_none_or(from)
}

/// IPv4 looks at the first leg, whatever it chooses later (`fib4_rule_suppress()`); IPv6 at the one that it has chosen
/// (`fib6_rule_suppress()`), which is here the first that is up.
fn suppressed(state: &Snapshot, rule: &Rule, route: &Route) -> bool {
    let short = rule
        .suppress_prefix_length
        .is_some_and(|l| u32::from(route.destination.prefix_len()) <= l);
    let links = links_of(state, route);
    let chosen = match route.family {
        Family::V4 => links.first(),
        Family::V6 => links.iter().find(|l| state.link(**l).is_some_and(|l| l.up)),
    };
    let group = chosen.and_then(|l| state.link(*l)).map(|l| l.group);
    short || (rule.suppress_group.is_some() && rule.suppress_group == group)
}

enum Refusal {
    Next,
    With(i32),
}

fn refusal(kind: u8) -> Option<Refusal> {
    match kind {
        Route::BLACKHOLE => Some(Refusal::With(errno::EINVAL)),
        Route::UNREACHABLE => Some(Refusal::With(errno::ENETUNREACH)),
        Route::PROHIBIT => Some(Refusal::With(errno::EACCES)),
        Route::THROW => Some(Refusal::Next),
        _ => None,
    }
}
