//! Synthetic packets, as bytes from the network header on.

use std::fmt;
use std::net::IpAddr;

use crate::model::object::Family;

/// ETH_P_ARP, ETH_P_IP, ETH_P_IPV6.
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_V4: u16 = 0x0800;
const ETHERTYPE_V6: u16 = 0x86dd;

/// What a packet carries above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Load {
    /// Address resolution, request or reply, for IPv4.
    Arp,
    /// IPPROTO_TCP: source and destination port.
    Tcp(u16, u16),
    /// IPPROTO_UDP: source and destination port.
    Udp(u16, u16),
    /// IPPROTO_ICMP or IPPROTO_ICMPV6: type and code.
    Icmp(u8, u8),
    /// Another protocol.
    Other(u8),
    /// A lookup of the kernel's own, without protocol.
    Nothing,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub load: Load,
}

impl Packet {
    pub fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// The same conversation, the other way.
    pub fn reply(&self) -> Self {
        let load = match self.load {
            Load::Tcp(from, to) => Load::Tcp(to, from),
            Load::Udp(from, to) => Load::Udp(to, from),
            Load::Icmp(8, code) => Load::Icmp(0, code),
            Load::Icmp(128, code) => Load::Icmp(129, code),
            Load::Arp | Load::Icmp(..) | Load::Other(_) | Load::Nothing => self.load,
        };
        Self {
            source: self.destination,
            destination: self.source,
            load,
        }
    }

    pub fn ethertype(&self) -> u16 {
        match (self.load, self.family()) {
            (Load::Arp, _) => ETHERTYPE_ARP,
            (_, Family::V4) => ETHERTYPE_V4,
            (_, Family::V6) => ETHERTYPE_V6,
        }
    }

    /// The protocol number, where a lookup knows one.
    pub fn protocol(&self) -> Option<u8> {
        match (self.load, self.family()) {
            (Load::Arp | Load::Nothing, _) => None,
            (Load::Tcp(..), _) => Some(6),
            (Load::Udp(..), _) => Some(17),
            (Load::Icmp(..), Family::V4) => Some(1),
            (Load::Icmp(..), Family::V6) => Some(58),
            (Load::Other(number), _) => Some(number),
        }
    }

    /// Source and destination port.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.load {
            Load::Tcp(from, to) | Load::Udp(from, to) => Some((from, to)),
            Load::Arp | Load::Icmp(..) | Load::Other(_) | Load::Nothing => None,
        }
    }

    /// From the network header on: RFC 791, RFC 8200, RFC 826.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) if self.load == Load::Arp => {
                let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
                arp.extend([2, 0, 0, 0, 0, 1]);
                arp.extend(source.octets());
                arp.extend([0; 6]);
                arp.extend(destination.octets());
                return arp;
            }
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = vec![0x45, 0, 0, 48, 0, 1, 0x40, 0, 64, self.protocol().unwrap_or(0), 0, 0];
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            (source, destination) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 28, self.protocol().unwrap_or(59), 64];
                header.extend(v6(source));
                header.extend(v6(destination));
                header
            }
        };
        match self.load {
            Load::Tcp(from, to) | Load::Udp(from, to) => {
                bytes.extend(from.to_be_bytes());
                bytes.extend(to.to_be_bytes());
            }
            Load::Icmp(kind, code) => bytes.extend([kind, code]),
            Load::Arp | Load::Other(_) | Load::Nothing => {}
        }
        bytes.resize(bytes.len() + 24, 0);
        bytes
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
        IpAddr::V6(a) => a.octets(),
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.source, self.destination);
        match self.load {
            Load::Arp => write!(f, "ARP of {from} for {to}"),
            Load::Tcp(a, b) => write!(f, "TCP from {from} port {a} to {to} port {b}"),
            Load::Udp(a, b) => write!(f, "UDP from {from} port {a} to {to} port {b}"),
            Load::Icmp(kind, code) => write!(f, "ICMP type {kind} code {code} from {from} to {to}"),
            Load::Other(number) => write!(f, "protocol {number} from {from} to {to}"),
            Load::Nothing => write!(f, "the lookup of {to} for {from}"),
        }
    }
}
