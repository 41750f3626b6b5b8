//! The words that texts are made of: names of fixed kernel numbers, escaped strings, hexadecimal bytes.
//!
//! A number gets a name only where the kernel's headers fix one; names from `/etc/iproute2` differ from host to host.

use std::fmt;

use crate::model::object::{Attributes, Family};

/// Bits and what `ip` calls them.
pub(super) type BitNames = [(u32, &'static str)];

/// A number that has a name in the kernel's headers, or none.
pub(super) struct Named {
    name: Option<&'static str>,
    number: u32,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.number),
        }
    }
}

/// RTPROT_* (`include/uapi/linux/rtnetlink.h`).
pub(super) fn protocol(number: u8) -> Named {
    let name = match number {
        0 => Some("unspec"),
        1 => Some("redirect"),
        2 => Some("kernel"),
        3 => Some("boot"),
        4 => Some("static"),
        9 => Some("ra"),
        11 => Some("zebra"),
        12 => Some("bird"),
        16 => Some("dhcp"),
        18 => Some("keepalived"),
        42 => Some("babel"),
        186 => Some("bgp"),
        187 => Some("isis"),
        188 => Some("ospf"),
        189 => Some("rip"),
        192 => Some("eigrp"),
        _ => None,
    };
    Named {
        name,
        number: number.into(),
    }
}

/// RT_SCOPE_* (`include/uapi/linux/rtnetlink.h`).
pub(super) fn scope(number: u8) -> Named {
    let name = match number {
        0 => Some("global"),
        200 => Some("site"),
        253 => Some("link"),
        254 => Some("host"),
        255 => Some("nowhere"),
        _ => None,
    };
    Named {
        name,
        number: number.into(),
    }
}

/// RT_TABLE_* (`include/uapi/linux/rtnetlink.h`).
pub(super) fn table(number: u32) -> Named {
    let name = match number {
        253 => Some("default"),
        254 => Some("main"),
        255 => Some("local"),
        _ => None,
    };
    Named { name, number }
}

/// RTN_* (`include/uapi/linux/rtnetlink.h`).
pub(super) fn route_kind(number: u8) -> Named {
    let name = match number {
        1 => Some("unicast"),
        2 => Some("local"),
        3 => Some("broadcast"),
        4 => Some("anycast"),
        5 => Some("multicast"),
        6 => Some("blackhole"),
        7 => Some("unreachable"),
        8 => Some("prohibit"),
        9 => Some("throw"),
        _ => None,
    };
    Named {
        name,
        number: number.into(),
    }
}

/// IPPROTO_* (`include/uapi/linux/in.h`).
pub(super) fn ip_protocol(number: u8) -> Named {
    let name = match number {
        1 => Some("icmp"),
        6 => Some("tcp"),
        17 => Some("udp"),
        58 => Some("ipv6-icmp"),
        _ => None,
    };
    Named {
        name,
        number: number.into(),
    }
}

/// `-6 ` before what belongs to IPv6, as on the command line of `ip`.
pub(super) fn family_option(family: Family) -> &'static str {
    match family {
        Family::V4 => "",
        Family::V6 => "-6 ",
    }
}

/// Writes the value behind its keyword, or nothing.
pub(super) fn optional<T: fmt::Display>(f: &mut fmt::Formatter<'_>, keyword: &str, value: Option<T>) -> fmt::Result {
    match value {
        Some(value) => write!(f, " {keyword} {value}"),
        None => Ok(()),
    }
}

/// Writes each named bit as a word and what is left as `flags 0x…`.
pub(super) fn bits(f: &mut fmt::Formatter<'_>, flags: u32, names: &BitNames) -> fmt::Result {
    for (bit, name) in names {
        if flags & bit != 0 {
            write!(f, " {name}")?;
        }
    }
    match unnamed_bits(flags, names) {
        0 => Ok(()),
        rest => write!(f, " flags {rest:#x}"),
    }
}

/// The bits for which there is no name.
pub(super) fn unnamed_bits(flags: u32, names: &BitNames) -> u32 {
    names.iter().fold(flags, |rest, (bit, _)| rest & !bit)
}

/// Writes attributes that nobody here interprets: `attr 0x1d=00ff`.
pub(super) fn attributes(f: &mut fmt::Formatter<'_>, keyword: &str, attributes: &Attributes) -> fmt::Result {
    attributes
        .iter()
        .try_for_each(|(kind, payload)| write!(f, " {keyword} {kind:#x}={}", Hex(payload)))
}

/// Bytes as hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A hardware address.
pub(super) struct Mac<'a>(pub(super) &'a [u8]);

impl fmt::Display for Mac<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut colon = "";
        for byte in self.0 {
            write!(f, "{colon}{byte:02x}")?;
            colon = ":";
        }
        Ok(())
    }
}

impl Mac<'_> {
    /// None where there are no bytes.
    pub(super) fn some(bytes: &[u8]) -> Option<Mac<'_>> {
        (!bytes.is_empty()).then_some(Mac(bytes))
    }
}

/// A string from outside as one word, never empty.
pub(super) struct Word<'a>(pub(super) &'a [u8]);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"');
        self.0.iter().try_for_each(|&b| escaped(f, b, plain))
    }
}

/// A string from outside that reaches to the end of its line.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |b: u8| (b.is_ascii_graphic() && b != b'\\') || b == b' ';
        self.0.iter().try_for_each(|&b| escaped(f, b, plain))
    }
}

fn escaped(f: &mut fmt::Formatter<'_>, byte: u8, plain: impl Fn(u8) -> bool) -> fmt::Result {
    if plain(byte) {
        fmt::Write::write_char(f, char::from(byte))
    } else {
        write!(f, "\\x{byte:02x}")
    }
}

/// Two numbers as one where they are equal, else `first-last`.
pub(super) struct Span<T>(pub(super) (T, T));

impl<T: fmt::Display + PartialEq> fmt::Display for Span<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = &self.0;
        if first == last {
            write!(f, "{first}")
        } else {
            write!(f, "{first}-{last}")
        }
    }
}
