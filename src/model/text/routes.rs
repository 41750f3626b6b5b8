//! Routes, nexthop objects and rules.

use std::fmt;
use std::net::IpAddr;

use super::Text;
use super::words::{
    BitNames, Hex, Span, attributes, bits, family_option, ip_protocol, optional, protocol, route_kind, scope, table,
};
use crate::model::object::{Attributes, Family, Hop, Nexthop, Route, Rule, RuleAction};

/// RTNH_F_* and RTM_F_* (`include/uapi/linux/rtnetlink.h`); one field holds both.
const ROUTE_FLAGS: &BitNames = &[
    (0x2, "pervasive"),
    (0x4, "onlink"),
    (0x100, "notify"),
    (0x800, "prefix"),
];

impl fmt::Display for Text<'_, Route> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(family_option(self.item.family))?;
        self.body(f)
    }
}

impl Text<'_, Route> {
    /// What stands behind `ip route add`.
    pub(super) fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, item: r } = *self;
        if r.kind != Route::UNICAST {
            write!(f, "{} ", route_kind(r.kind))?;
        }
        let net = r.destination;
        if net.prefix_len() == 0 && net.addr().is_unspecified() && Family::of_net(&net) == r.family {
            f.write_str("default")?;
        } else {
            write!(f, "{net}")?;
        }
        optional(f, "from", r.source)?;
        optional(f, "tos", (r.tos != 0).then_some(r.tos))?;
        optional(f, "nhid", r.nexthop)?;
        optional(f, "via", r.gateway.map(|g| Gateway::seen_from(r.family, g)))?;
        optional(f, "dev", r.link.map(|l| names.dev(l)))?;
        optional(f, "table", (r.table != Route::TABLE_MAIN).then(|| table(r.table)))?;
        write!(f, " proto {}", protocol(r.protocol))?;
        optional(f, "scope", (r.scope != 0).then(|| scope(r.scope)))?;
        optional(f, "src", r.preferred_source)?;
        optional(f, "metric", (r.metric != 0).then_some(r.metric))?;
        bits(f, r.flags, ROUTE_FLAGS)?;
        metrics(f, &r.metrics)?;
        attributes(f, "attr", &r.extra)?;
        r.hops.iter().try_for_each(|hop| self.hop(f, hop))
    }

    fn hop(&self, f: &mut fmt::Formatter<'_>, hop: &Hop) -> fmt::Result {
        f.write_str(" nexthop")?;
        optional(f, "via", hop.gateway.map(|g| Gateway::seen_from(self.item.family, g)))?;
        write!(
            f,
            " dev {} weight {}",
            self.names.dev(hop.link),
            u16::from(hop.hops) + 1
        )?;
        bits(f, hop.flags.into(), ROUTE_FLAGS)?;
        attributes(f, "attr", &hop.extra)
    }
}

/// A gateway; where it is of the other family `ip` says so.
struct Gateway {
    word: &'static str,
    address: IpAddr,
}

impl Gateway {
    fn seen_from(family: Family, address: IpAddr) -> Self {
        let word = match (family, Family::of(address)) {
            (Family::V4, Family::V6) => "inet6 ",
            (Family::V6, Family::V4) => "inet ",
            (Family::V4, Family::V4) | (Family::V6, Family::V6) => "",
        };
        Self { word, address }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.word, self.address)
    }
}

/// RTAX_* that are one number; the others have units or structure of their own and are written as bytes.
fn metrics(f: &mut fmt::Formatter<'_>, metrics: &Attributes) -> fmt::Result {
    for (kind, payload) in metrics {
        let name = match kind {
            2 => Some("mtu"),
            3 => Some("window"),
            8 => Some("advmss"),
            9 => Some("reordering"),
            10 => Some("hoplimit"),
            11 => Some("initcwnd"),
            14 => Some("initrwnd"),
            15 => Some("quickack"),
            _ => None,
        };
        match (name, <[u8; 4]>::try_from(payload.as_slice())) {
            (Some(name), Ok(bytes)) => write!(f, " {name} {}", u32::from_ne_bytes(bytes))?,
            _ => write!(f, " rtax {kind:#x}={}", Hex(payload))?,
        }
    }
    Ok(())
}

/// AF_INET.
const AF_INET: u8 = 2;
/// AF_INET6.
const AF_INET6: u8 = 10;

impl fmt::Display for Text<'_, Nexthop> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::family_option(self.item))?;
        self.body(f)
    }
}

impl Text<'_, Nexthop> {
    /// `-6 ` for an IPv6 nexthop.
    pub(super) fn family_option(nexthop: &Nexthop) -> &'static str {
        if nexthop.family == AF_INET6 { "-6 " } else { "" }
    }

    /// What stands behind `ip nexthop add`.
    pub(super) fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, item: n } = *self;
        write!(f, "id {}", n.id)?;
        let usual = if n.group.is_empty() { AF_INET } else { 0 };
        optional(
            f,
            "family",
            (n.family != AF_INET6 && n.family != usual).then_some(n.family),
        )?;
        for (i, (id, weight)) in n.group.iter().enumerate() {
            f.write_str(if i == 0 { " group " } else { "/" })?;
            write!(f, "{id},{}", u32::from(*weight) + 1)?;
        }
        if n.blackhole {
            f.write_str(" blackhole")?;
        }
        optional(f, "via", n.gateway)?;
        optional(f, "dev", n.link.map(|l| names.dev(l)))?;
        optional(f, "scope", (n.scope != 0).then(|| scope(n.scope)))?;
        write!(f, " proto {}", protocol(n.protocol))?;
        bits(f, n.flags, ROUTE_FLAGS)?;
        attributes(f, "attr", &n.extra)
    }
}

impl fmt::Display for Text<'_, Rule> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.item;
        write!(f, "{}{}:", family_option(rule.family), rule.preference)?;
        if rule.invert {
            f.write_str(" not")?;
        }
        if rule.source.is_none() {
            f.write_str(" from all")?;
        }
        rule_body(f, rule)
    }
}

/// What stands behind the preference and `not`, each word after a space.
pub(super) fn rule_body(f: &mut fmt::Formatter<'_>, rule: &Rule) -> fmt::Result {
    optional(f, "from", rule.source)?;
    optional(f, "to", rule.destination)?;
    optional(f, "tos", (rule.tos != 0).then_some(rule.tos))?;
    if let Some((mark, mask)) = rule.mark {
        write!(f, " fwmark {mark:#x}/{mask:#x}")?;
    }
    optional(f, "iif", rule.iif.as_ref())?;
    optional(f, "oif", rule.oif.as_ref())?;
    optional(
        f,
        "uidrange",
        rule.uid_range.map(|(first, last)| format!("{first}-{last}")),
    )?;
    optional(f, "ipproto", rule.ip_protocol.map(ip_protocol))?;
    optional(f, "sport", rule.source_ports.map(Span))?;
    optional(f, "dport", rule.destination_ports.map(Span))?;
    match rule.action {
        RuleAction::Lookup(number) => write!(f, " lookup {}", table(number))?,
        RuleAction::Goto(preference) => write!(f, " goto {preference}")?,
        RuleAction::Nop => f.write_str(" nop")?,
        RuleAction::Blackhole => f.write_str(" blackhole")?,
        RuleAction::Unreachable => f.write_str(" unreachable")?,
        RuleAction::Prohibit => f.write_str(" prohibit")?,
        RuleAction::Other(number) => write!(f, " action {number}")?,
    }
    optional(f, "suppress_prefixlength", rule.suppress_prefix_length)?;
    optional(f, "suppress_ifgroup", rule.suppress_group)?;
    write!(f, " proto {}", protocol(rule.protocol))?;
    attributes(f, "attr", &rule.extra)
}
