//! The kernel's own lookup of a gateway when a route or nexthop is added (`fib_check_nh()`, `ip6_route_check_nh()`).

use std::net::IpAddr;

use super::super::object::{Family, Route, Rule, RuleAction};
use super::{Snapshot, errno};

/// What the rules say to a packet that the host itself sends to `to`.
///
/// A rule that asks for what the kernel does not know here (a mark, ports, a protocol, a source) does not match.
pub(super) fn by_rules(state: &Snapshot, to: IpAddr, over: Option<u32>, scope: u8) -> Result<&Route, i32> {
    let rules: Vec<&Rule> = state.rules_of(Family::of(to)).collect();
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        if matches(rule, to) == rule.invert {
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

fn matches(rule: &Rule, to: IpAddr) -> bool {
    let plain = rule.source.is_none_or(|s| s.prefix_len() == 0)
        && rule.mark.is_none_or(|(value, _)| value == 0)
        && rule.ip_protocol.is_none()
        && rule.source_ports.is_none()
        && rule.destination_ports.is_none()
        && rule.oif.is_none()
        && rule.tos == 0;
    let from_here = rule.iif.as_ref().is_none_or(|i| i.as_bytes() == b"lo");
    plain && from_here && rule.destination.is_none_or(|d| d.contains(&to))
}

fn suppressed(state: &Snapshot, rule: &Rule, route: &Route) -> bool {
    let short = rule
        .suppress_prefix_length
        .is_some_and(|l| u32::from(route.destination.prefix_len()) <= l);
    let group = route.links().next().and_then(|l| state.link(l)).map(|l| l.group);
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
