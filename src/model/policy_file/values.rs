//! Values of the policy format: texts, patterns, prefixes, peers, ports, durations.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::SignedDuration;

use super::fields::{At, Raw, integer, string};
use super::problems::{Code, Problem, Report, obeyed_by_terminals};
use super::{glob, problems};
use crate::model::policy::PortRange;

/// A text for people: not empty, at most so many characters, nothing that a terminal obeys.
pub(super) fn text(raw: &Raw<'_>, max_chars: usize, report: &mut Report) -> Option<At<String>> {
    let text = string(raw, report)?;
    let why = if text.value.trim().is_empty() {
        "this text must not be empty".to_owned()
    } else if text.value.chars().count() > max_chars {
        format!("this text is longer than {max_chars} characters")
    } else if text.value.chars().any(obeyed_by_terminals) {
        "this text contains a control character, a line break or an invisible character".to_owned()
    } else {
        return Some(At::new(text.value.to_owned(), text.span));
    };
    report.push(Problem::new(Code::BadText, text.span, why));
    None
}

/// A pattern over interface names.
pub(super) fn pattern(raw: &Raw<'_>, report: &mut Report) -> Option<At<String>> {
    let text = string(raw, report)?;
    match glob::refused(text.value) {
        None => Some(At::new(text.value.to_owned(), text.span)),
        Some(why) => {
            let problem = Problem::new(Code::BadPattern, text.span, why);
            report.push(problem.hint("`*` stands for any characters, `?` for one, `[a-c]` for one of a few"));
            None
        }
    }
}

/// A link kind, as `ip link … type` takes it.
pub(super) fn kind(raw: &Raw<'_>, report: &mut Report) -> Option<At<String>> {
    let text = string(raw, report)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if text.value.is_empty() || text.value.len() > 32 || !text.value.bytes().all(plain) {
        let problem = Problem::new(
            Code::BadPattern,
            text.span,
            format!("{:?} is not a link kind", text.value),
        );
        report.push(problem.hint("as `ip -d link` prints it, such as veth, bridge or wireguard"));
        return None;
    }
    Some(At::new(text.value.to_owned(), text.span))
}

/// A prefix; an address alone is a prefix of one host.
pub(super) fn prefix(raw: &Raw<'_>, report: &mut Report) -> Option<At<IpNet>> {
    let text = string(raw, report)?;
    match net(&text, report) {
        Net::Is(net) => Some(At::new(net, text.span)),
        Net::Refused => None,
        Net::IsNot => bad_address(&text, "an address or a prefix", report),
    }
}

/// Whom a lifeline reaches.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// An address or a prefix.
    Net(IpNet),
    /// A host name, resolved when the plan is made.
    Name(String),
}

/// An address, a prefix or a host name.
pub(super) fn peer(raw: &Raw<'_>, report: &mut Report) -> Option<At<Peer>> {
    let text = string(raw, report)?;
    match net(&text, report) {
        Net::Is(net) => Some(At::new(Peer::Net(net), text.span)),
        Net::Refused => None,
        Net::IsNot if is_host_name(text.value) => Some(At::new(Peer::Name(text.value.to_owned()), text.span)),
        Net::IsNot => bad_address(&text, "an address, a prefix or a host name", report),
    }
}

fn bad_address<T>(text: &At<&str>, wanted: &str, report: &mut Report) -> Option<T> {
    let message = format!("{:?} is not {wanted}", text.value);
    let problem = Problem::new(Code::BadAddress, text.span.clone(), message);
    report.push(problem.hint("such as 192.0.2.0/24 or 2001:db8::7"));
    None
}

/// What a text is.
enum Net {
    /// A prefix.
    Is(IpNet),
    /// A prefix that is not canonical; reported.
    Refused,
    /// Something else.
    IsNot,
}

fn net(text: &At<&str>, report: &mut Report) -> Net {
    if let Ok(address) = text.value.parse::<IpAddr>() {
        return mapped_refused(IpNet::from(address), text, report);
    }
    let Ok(net) = text.value.parse::<IpNet>() else {
        return Net::IsNot;
    };
    if net.trunc() != net {
        let message = format!("{net} has bits set behind its prefix length");
        let problem = Problem::new(Code::HostBits, text.span.clone(), message);
        report.push(problem.hint(format!(
            "write {} for the network, or {} for the host",
            net.trunc(),
            net.addr()
        )));
        return Net::Refused;
    }
    mapped_refused(net, text, report)
}

/// `::ffff:0:0/96` never stands in a packet: the kernel sends such addresses as IPv4.
fn mapped_refused(net: IpNet, text: &At<&str>, report: &mut Report) -> Net {
    let IpNet::V6(six) = net else { return Net::Is(net) };
    match six.addr().to_ipv4_mapped() {
        Some(four) if six.prefix_len() >= 96 => {
            let problem = Problem::new(
                Code::BadAddress,
                text.span.clone(),
                "an IPv4-mapped address is in no packet",
            );
            report.push(problem.hint(format!("write {four}/{}", six.prefix_len() - 96)));
            Net::Refused
        }
        Some(_) | None => Net::Is(net),
    }
}

/// RFC 1123 section 2.1: labels of 1 to 63 letters, digits and inner hyphens, 253 characters in all, and not all digits
/// at the end, which would be a misspelt address.
fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

/// A port, or a range as text.
pub(super) fn ports(raw: &Raw<'_>, report: &mut Report) -> Option<At<PortRange>> {
    let range = match raw.get_ref().as_str() {
        Some(text) => range(text),
        None => {
            let number = integer(raw, 1, i64::from(u16::MAX), report)?;
            u16::try_from(number.value).ok().map(|port| PortRange {
                first: port,
                last: port,
            })
        }
    };
    if range.is_none() {
        let problem = Problem::new(Code::BadPort, raw.span(), "this is not a range of ports");
        report.push(problem.hint("write 22, or \"8000-8010\" with the smaller port first; ports go from 1 to 65535"));
    }
    range.map(|range| At::new(range, raw.span()))
}

fn range(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let (true, Ok(first), Ok(last)) = (digits(first) && digits(last), first.parse(), last.parse()) else {
        return None;
    };
    (1 <= first && first <= last).then_some(PortRange { first, last })
}

/// A duration of at least a millisecond, the unit in which deadlines are kept.
pub(super) fn duration(raw: &Raw<'_>, report: &mut Report) -> Option<At<Duration>> {
    let text = string(raw, report)?;
    let problem = match text.value.parse::<SignedDuration>() {
        Ok(duration) if duration.as_millis() > 0 => {
            return Some(At::new(duration.unsigned_abs(), text.span));
        }
        Ok(_) => Problem::new(problems::Code::BadDuration, text.span, "this duration is nothing"),
        Err(_) => {
            let message = format!("{:?} is not a duration", text.value);
            Problem::new(problems::Code::BadDuration, text.span, message)
        }
    };
    report.push(problem.hint("such as \"30m\", \"1h 30m\" or \"24h\"; days are written in hours"));
    None
}
