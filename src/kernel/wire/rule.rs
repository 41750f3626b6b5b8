//! Rules of the routing policy database (`struct fib_rule_hdr`, `include/uapi/linux/fib_rules.h`).

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::rule::{RuleFlags, RuleHeader};

use super::{
    Batch, Body, Broken, Refusal, address_family, array, attributes, family_of, header, ip_of, keep, name_of, net_of,
    u8_of, u32_at, u32_of,
};
use crate::model::object::{Attributes, Family, Rule, RuleAction};

/// RTM_NEWRULE.
pub const NEW: u16 = 32;
const DELETE: u16 = 33;
/// RTM_GETRULE.
pub const READ: u16 = 34;

const HEADER_BYTES: usize = 12;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PAD: u16 = 18;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

const FRA_SPORT_MASK: u16 = 28;
const FRA_DPORT_MASK: u16 = 29;

const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_GOTO: u8 = 2;
const FR_ACT_NOP: u8 = 3;
const FR_ACT_BLACKHOLE: u8 = 6;
const FR_ACT_UNREACHABLE: u8 = 7;
const FR_ACT_PROHIBIT: u8 = 8;

/// The kernel's "suppress nothing".
const NO_SUPPRESSION: u32 = u32::MAX;

/// Asks for all rules of one family.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16, family: Family) -> Result<(), Refusal> {
    let head = RuleHeader {
        family: address_family(family),
        ..RuleHeader::default()
    };
    batch.push(READ, flags, &head, |_| {})
}

/// Reads one RTM_NEWRULE; none for a family that is not cut.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Option<Rule>, Broken> {
    let head = RuleHeader::parse(payload).map_err(header)?;
    let Some(family) = family_of(head.family) else {
        return Ok(None);
    };
    let mut rule = Rule {
        protocol: 0,
        invert: head.flags.contains(RuleFlags::Invert),
        tos: head.tos,
        ..Rule::ours(family, 0, RuleAction::Nop)
    };
    let mut raw = Raw {
        table: u32::from(head.table),
        ..Raw::default()
    };
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        decode_attribute(&mut rule, &mut raw, kind, value)?;
    }
    if head.dst_len != 0 {
        rule.destination = Some(net_of(raw.destination, head.dst_len, family)?);
    }
    if head.src_len != 0 {
        rule.source = Some(net_of(raw.source, head.src_len, family)?);
    }
    if raw.mark.is_some() || raw.mask.is_some() {
        rule.mark = Some((raw.mark.unwrap_or(0), raw.mask.unwrap_or(u32::MAX)));
    }
    rule.action = action(u8::from(head.action), &raw, &mut rule.extra)?;
    Ok(Some(rule))
}

/// What is known only when all attributes are read.
#[derive(Default)]
struct Raw {
    table: u32,
    target: Option<u32>,
    destination: Option<std::net::IpAddr>,
    source: Option<std::net::IpAddr>,
    mark: Option<u32>,
    mask: Option<u32>,
}

fn decode_attribute(rule: &mut Rule, raw: &mut Raw, kind: u16, value: &[u8]) -> Result<(), Broken> {
    match kind {
        FRA_DST => raw.destination = Some(ip_of(kind, value)?),
        FRA_SRC => raw.source = Some(ip_of(kind, value)?),
        FRA_IIFNAME => rule.iif = Some(name_of(kind, value)?),
        FRA_OIFNAME => rule.oif = Some(name_of(kind, value)?),
        FRA_GOTO => raw.target = Some(u32_of(kind, value)?),
        FRA_PRIORITY => rule.preference = u32_of(kind, value)?,
        FRA_FWMARK => raw.mark = Some(u32_of(kind, value)?),
        FRA_FWMASK => raw.mask = Some(u32_of(kind, value)?),
        FRA_SUPPRESS_IFGROUP => rule.suppress_group = suppressed(u32_of(kind, value)?),
        FRA_SUPPRESS_PREFIXLEN => rule.suppress_prefix_length = suppressed(u32_of(kind, value)?),
        FRA_TABLE => raw.table = u32_of(kind, value)?,
        FRA_UID_RANGE => rule.uid_range = Some((u32_at(kind, value, 0)?, u32_at(kind, value, 4)?)),
        FRA_PROTOCOL => rule.protocol = u8_of(kind, value)?,
        FRA_IP_PROTO => rule.ip_protocol = Some(u8_of(kind, value)?),
        FRA_SPORT_RANGE => rule.source_ports = Some(ports(kind, value)?),
        FRA_DPORT_RANGE => rule.destination_ports = Some(ports(kind, value)?),
        // What the kernel fills in for a single port (`fib_nl2rule_port_mask()`).
        FRA_SPORT_MASK | FRA_DPORT_MASK if value == [0xff, 0xff] => {}
        FRA_PAD => {}
        _ => keep(&mut rule.extra, kind, value)?,
    }
    Ok(())
}

fn suppressed(value: u32) -> Option<u32> {
    Some(value).filter(|&v| v != NO_SUPPRESSION)
}

/// `struct fib_rule_port_range`, host byte order.
fn ports(kind: u16, value: &[u8]) -> Result<(u16, u16), Broken> {
    let [a, b, c, d] = array::<4>(kind, value)?;
    Ok((u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])))
}

/// A rule that looks nothing up may still carry a table (some tools write one); then it stays in `extra`.
fn action(number: u8, raw: &Raw, extra: &mut Attributes) -> Result<RuleAction, Broken> {
    let action = match number {
        FR_ACT_TO_TBL => return Ok(RuleAction::Lookup(raw.table)),
        FR_ACT_GOTO => RuleAction::Goto(raw.target.ok_or_else(|| Broken("goto without a target".to_owned()))?),
        FR_ACT_NOP => RuleAction::Nop,
        FR_ACT_BLACKHOLE => RuleAction::Blackhole,
        FR_ACT_UNREACHABLE => RuleAction::Unreachable,
        FR_ACT_PROHIBIT => RuleAction::Prohibit,
        other => RuleAction::Other(other),
    };
    if raw.table != 0 {
        keep(extra, FRA_TABLE, &raw.table.to_ne_bytes())?;
    }
    Ok(action)
}

/// Adds it, unless the same rule is there.
///
/// # Errors
/// If it does not fit into a message.
pub fn add(batch: &mut Batch, rule: &Rule) -> Result<(), Refusal> {
    write(batch, NEW, NLM_F_CREATE | NLM_F_EXCL, rule)
}

/// Deletes it, naming protocol, preference and every selector. To the kernel a selector that is absent means "any",
/// so of two rules with one preference and protocol the one with fewer selectors may hit the other.
///
/// # Errors
/// If it does not fit into a message.
pub fn delete(batch: &mut Batch, rule: &Rule) -> Result<(), Refusal> {
    write(batch, DELETE, 0, rule)
}

fn write(batch: &mut Batch, kind: u16, flags: u16, rule: &Rule) -> Result<(), Refusal> {
    let (number, table, target) = match rule.action {
        RuleAction::Lookup(table) => (FR_ACT_TO_TBL, table, None),
        RuleAction::Goto(preference) => (FR_ACT_GOTO, 0, Some(preference)),
        RuleAction::Nop => (FR_ACT_NOP, 0, None),
        RuleAction::Blackhole => (FR_ACT_BLACKHOLE, 0, None),
        RuleAction::Unreachable => (FR_ACT_UNREACHABLE, 0, None),
        RuleAction::Prohibit => (FR_ACT_PROHIBIT, 0, None),
        RuleAction::Other(number) => (number, 0, None),
    };
    let head = RuleHeader {
        family: address_family(rule.family),
        dst_len: rule.destination.map_or(0, |p| p.prefix_len()),
        src_len: rule.source.map_or(0, |p| p.prefix_len()),
        tos: rule.tos,
        table: u8::try_from(table).unwrap_or(0),
        action: number.into(),
        flags: if rule.invert {
            RuleFlags::Invert
        } else {
            RuleFlags::empty()
        },
    };
    batch.push(kind, flags, &head, |body| {
        // Written even if 0: without it the kernel chooses one on add and means any on delete.
        body.put_u32(FRA_PRIORITY, rule.preference);
        body.put(FRA_PROTOCOL, &[rule.protocol]);
        if table != 0 {
            body.put_u32(FRA_TABLE, table);
        }
        if let Some(preference) = target {
            body.put_u32(FRA_GOTO, preference);
        }
        write_selectors(body, rule);
        if let Some(length) = rule.suppress_prefix_length {
            body.put_u32(FRA_SUPPRESS_PREFIXLEN, length);
        }
        if let Some(group) = rule.suppress_group {
            body.put_u32(FRA_SUPPRESS_IFGROUP, group);
        }
        body.put_all(&rule.extra);
    })
}

fn write_selectors(body: &mut Body<'_>, rule: &Rule) {
    for (kind, prefix) in [(FRA_DST, rule.destination), (FRA_SRC, rule.source)] {
        if let Some(prefix) = prefix {
            body.put_ip(kind, prefix.addr());
        }
    }
    for (kind, name) in [(FRA_IIFNAME, &rule.iif), (FRA_OIFNAME, &rule.oif)] {
        if let Some(name) = name {
            body.put_string(kind, name.as_bytes());
        }
    }
    if let Some((mark, mask)) = rule.mark {
        body.put_u32(FRA_FWMARK, mark);
        body.put_u32(FRA_FWMASK, mask);
    }
    if let Some((first, last)) = rule.uid_range {
        let [a, b, c, d] = first.to_ne_bytes();
        let [e, f, g, h] = last.to_ne_bytes();
        body.put(FRA_UID_RANGE, &[a, b, c, d, e, f, g, h]);
    }
    if let Some(protocol) = rule.ip_protocol {
        body.put(FRA_IP_PROTO, &[protocol]);
    }
    for (kind, range) in [
        (FRA_SPORT_RANGE, rule.source_ports),
        (FRA_DPORT_RANGE, rule.destination_ports),
    ] {
        if let Some((first, last)) = range {
            let [a, b] = first.to_ne_bytes();
            let [c, d] = last.to_ne_bytes();
            body.put(kind, &[a, b, c, d]);
        }
    }
}
