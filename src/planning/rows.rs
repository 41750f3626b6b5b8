//! Flows as rows of u32 filters: comparisons of 32-bit words, counted from the network header.
//!
//! An IPv4 row that looks at ports or at an ICMP type demands a header of 20 bytes, because u32 cannot follow options;
//! an IPv6 row that looks at a protocol demands that it follows the fixed header at once. Later fragments carry no
//! ports, so they match only where a lifeline has none.

use std::net::IpAddr;

use ipnet::IpNet;

use super::flow::{Flow, icmp};
use crate::model::object::{Family, U32Match, Verdict};
use crate::model::policy::PortRange;

/// One row of a filter.
pub type Row = (Vec<U32Match>, Verdict);

/// ICMP type 3 code 4, "fragmentation needed" (RFC 1191), as the first word of ICMP.
const FRAGMENTATION_NEEDED: (u32, u32) = (0x0304_0000, 0xffff_0000);
/// ICMPv6 type 2, "packet too big" (RFC 8201).
const PACKET_TOO_BIG: u8 = 2;
/// ICMPv6 router solicitation, router advertisement, neighbour solicitation, neighbour advertisement (RFC 4861).
const NEIGHBOUR_DISCOVERY: [u8; 4] = [133, 134, 135, 136];
/// ICMPv6 multicast listener query, report, done (RFC 2710), and the second version's report (RFC 3810).
const LISTENER_DISCOVERY: [u8; 4] = [130, 131, 132, 143];
/// How each of them begins (RFC 3810 section 5): hop limit 1, to a group of link scope, with the router alert for it (RFC 2711)
/// in a hop-by-hop header of 8 bytes before ICMPv6.
const LISTENER_HEADERS: [U32Match; 4] = [
    U32Match {
        offset: 4,
        value: 0x0000_0001,
        mask: 0x0000_ffff,
    },
    U32Match {
        offset: 24,
        value: 0xff02_0000,
        mask: 0xffff_0000,
    },
    U32Match {
        offset: 40,
        value: 0x3a00_0502,
        mask: 0xffff_ffff,
    },
    U32Match {
        offset: 44,
        value: 0x0000_0000,
        mask: 0xffff_0000,
    },
];
/// Those that concern routers.
const ROUTER_DISCOVERY: [u8; 2] = [133, 134];

/// The first and the other four bytes of the MAC addresses 01:80:c2:00:00:00 to 0f, which no bridge forwards (IEEE 802.1Q
/// section 8.6.3), as words before the network header. Whole words, because that is where the kernel reads.
const RESERVED_GROUP: [U32Match; 2] = [
    U32Match {
        offset: -16,
        value: 0x0000_0180,
        mask: 0x0000_ffff,
    },
    U32Match {
        offset: -12,
        value: 0xc200_0000,
        mask: 0xffff_fff0,
    },
];

/// Frames to addresses that no bridge forwards: what keeps the link itself, and loops out of it.
pub fn reserved_group() -> Row {
    passing(RESERVED_GROUP.to_vec())
}

/// Matches every packet.
pub fn everything() -> Vec<U32Match> {
    vec![U32Match {
        offset: 0,
        value: 0,
        mask: 0,
    }]
}

/// The rows that pass this flow.
pub fn of_flow(flow: &Flow) -> Vec<Row> {
    let mut fixed = Vec::new();
    fixed.extend(flow.source.iter().flat_map(|n| address(n, End::Source)));
    fixed.extend(flow.destination.iter().flat_map(|n| address(n, End::Destination)));
    fixed.extend(flow.protocol.map(|p| protocol(flow.family, p)));
    let mut rows = Vec::new();
    for source in port_masks(flow.source_ports) {
        for destination in port_masks(flow.destination_ports) {
            let mut matches = fixed.clone();
            let value = source.0 << 16 | destination.0;
            let mask = source.1 << 16 | destination.1;
            if mask != 0 {
                matches.extend(transport_word(flow.family, value, mask));
            }
            rows.push(passing(matches));
        }
    }
    rows
}

/// What path MTU discovery needs, in both directions.
pub fn path_mtu(family: Family) -> Row {
    match family {
        Family::V4 => {
            let (value, mask) = FRAGMENTATION_NEEDED;
            let mut matches = vec![protocol(family, icmp(family))];
            matches.extend(transport_word(family, value, mask));
            passing(matches)
        }
        Family::V6 => icmpv6(PACKET_TOO_BIG),
    }
}

/// Neighbour discovery, without which no IPv6 lifeline outlives its neighbour entry.
pub fn neighbour_discovery() -> Vec<Row> {
    NEIGHBOUR_DISCOVERY.into_iter().map(icmpv6).collect()
}

/// Multicast listener discovery on the link: a switch that snoops forgets a host that it does not hear of, and with it the
/// group to which neighbour solicitations go.
pub fn listener_discovery() -> Vec<Row> {
    let row = |kind: u8| {
        let mut matches = LISTENER_HEADERS.to_vec();
        matches.push(U32Match {
            offset: 48,
            value: u32::from(kind) << 24,
            mask: 0xff00_0000,
        });
        passing(matches)
    };
    LISTENER_DISCOVERY.into_iter().map(row).collect()
}

/// Router solicitations and advertisements.
pub fn router_discovery() -> Vec<Row> {
    ROUTER_DISCOVERY.into_iter().map(icmpv6).collect()
}

fn icmpv6(kind: u8) -> Row {
    let mut matches = vec![protocol(Family::V6, icmp(Family::V6))];
    matches.extend(transport_word(Family::V6, u32::from(kind) << 24, 0xff00_0000));
    passing(matches)
}

fn passing(mut matches: Vec<U32Match>) -> Row {
    if matches.is_empty() {
        matches = everything();
    }
    matches.sort_unstable();
    (matches, Verdict::Pass)
}

#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

/// Offsets of the addresses: RFC 791 section 3.1, RFC 8200 section 3.
fn address(net: &IpNet, end: End) -> Vec<U32Match> {
    match (net.network(), net.netmask()) {
        (IpAddr::V4(value), IpAddr::V4(mask)) => {
            let offset = match end {
                End::Source => 12,
                End::Destination => 16,
            };
            words(offset, &value.octets(), &mask.octets())
        }
        (IpAddr::V6(value), IpAddr::V6(mask)) => {
            let offset = match end {
                End::Source => 8,
                End::Destination => 24,
            };
            words(offset, &value.octets(), &mask.octets())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
    }
}

fn words(offset: i32, value: &[u8], mask: &[u8]) -> Vec<U32Match> {
    let word = |bytes: &[u8]| bytes.iter().fold(0u32, |w, b| w << 8 | u32::from(*b));
    let pairs = value.chunks(4).zip(mask.chunks(4)).zip((offset..).step_by(4));
    let all = pairs.map(|((value, mask), offset)| U32Match {
        offset,
        value: word(value),
        mask: word(mask),
    });
    all.filter(|m| m.mask != 0).collect()
}

fn protocol(family: Family, number: u8) -> U32Match {
    match family {
        Family::V4 => U32Match {
            offset: 8,
            value: u32::from(number) << 16,
            mask: 0x00ff_0000,
        },
        Family::V6 => U32Match {
            offset: 4,
            value: u32::from(number) << 8,
            mask: 0x0000_ff00,
        },
    }
}

/// The first word behind the fixed header, and for IPv4 that the header has no options.
fn transport_word(family: Family, value: u32, mask: u32) -> Vec<U32Match> {
    match family {
        Family::V4 => vec![
            U32Match {
                offset: 0,
                value: 0x0500_0000,
                mask: 0x0f00_0000,
            },
            U32Match {
                offset: 20,
                value,
                mask,
            },
        ],
        Family::V6 => vec![U32Match {
            offset: 40,
            value,
            mask,
        }],
    }
}

/// A port range as values and masks of 16 bits: the fewest aligned blocks of powers of two that make it up.
fn port_masks(range: Option<PortRange>) -> Vec<(u32, u32)> {
    let Some(range) = range else {
        return vec![(0, 0)];
    };
    let (mut first, last) = (u32::from(range.first), u32::from(range.last));
    let mut blocks = Vec::new();
    while first <= last {
        let mut size = 1 << first.trailing_zeros().min(16);
        while first + size - 1 > last {
            size >>= 1;
        }
        blocks.push((first, 0xffff & !(size - 1)));
        first += size;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(first: u16, last: u16) -> Vec<u16> {
        let blocks = port_masks(Some(PortRange { first, last }));
        let hit = |port: u16| blocks.iter().filter(|(v, m)| u32::from(port) & m == *v).count();
        let all = (0..=u16::MAX).filter(|p| hit(*p) > 0).collect();
        assert!((0..=u16::MAX).all(|p| hit(p) <= 1), "no port is covered twice");
        all
    }

    #[test]
    fn port_ranges_are_covered_exactly() {
        for (first, last) in [
            (22, 22),
            (0, 65535),
            (1, 65534),
            (1000, 1999),
            (65535, 65535),
            (0, 0),
            (67, 68),
        ] {
            assert_eq!(
                covered(first, last),
                (first..=last).collect::<Vec<_>>(),
                "{first}-{last}"
            );
        }
    }

    #[test]
    fn a_range_needs_at_most_thirty_blocks() {
        assert_eq!(port_masks(Some(PortRange { first: 1, last: 65534 })).len(), 30);
        assert_eq!(port_masks(Some(PortRange { first: 0, last: 65535 })), [(0, 0)]);
    }
}
