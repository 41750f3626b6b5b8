//! Netlink bytes to the types of `model::object` and back: one file for each kind of object.
//!
//! Decoding goes by attribute number over raw payloads, so that what this program does not interpret survives
//! untouched in `extra`; typed decoders of netlink crates change some attributes on the way (RTA_ENCAP gains
//! NLA_F_NESTED) and cannot hold interface names that are not UTF-8. A message that cannot be understood is an error
//! and is never skipped: a route that silently went missing would be deleted or lost by whoever compares snapshots.
//!
//! Numbers are those of `include/uapi/linux/`; each file names its header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NlasIterator};
use netlink_packet_route::AddressFamily;

use crate::model::names::InterfaceName;
use crate::model::object::{Attributes, Family};

pub mod address;
pub mod filter;
pub mod link;
pub mod lookup;
pub mod neighbour;
pub mod nexthop;
pub mod qdisc;
pub mod route;
pub mod rule;

/// Length of `struct nlmsghdr`.
const MESSAGE_HEADER_BYTES: usize = 16;
/// Length of `struct nlattr`.
const ATTRIBUTE_HEADER_BYTES: usize = 4;

/// Why bytes from the kernel could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Why an object is not sent to the kernel at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

/// Requests, back to back as they go into one send.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
}

impl Batch {
    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of message `first` up to but without message `end`.
    pub fn span(&self, first: usize, end: usize) -> &[u8] {
        let from = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[from..self.ends[end - 1]]
    }

    /// Where message `index` ends.
    pub fn end_of(&self, index: usize) -> usize {
        self.ends[index]
    }

    /// Numbers the messages, beginning with `first`.
    pub fn number(&mut self, first: u32) {
        let mut start = 0;
        let mut sequence = first;
        for &end in &self.ends {
            self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            start = end;
            sequence = sequence.wrapping_add(1);
        }
    }

    /// Takes back everything behind the first `len` messages.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Appends one request that wants an acknowledgement.
    ///
    /// # Errors
    /// If an attribute does not fit its 16-bit length; then nothing is appended.
    pub fn push(
        &mut self,
        kind: u16,
        flags: u16,
        header: &impl Emitable,
        write: impl FnOnce(&mut Body<'_>),
    ) -> Result<(), Refusal> {
        let start = self.bytes.len();
        self.bytes.resize(start + MESSAGE_HEADER_BYTES + header.buffer_len(), 0);
        header.emit(&mut self.bytes[start + MESSAGE_HEADER_BYTES..]);
        pad(&mut self.bytes);
        let mut body = Body {
            bytes: &mut self.bytes,
            oversize: false,
        };
        write(&mut body);
        let oversize = body.oversize;
        let length = u32::try_from(self.bytes.len() - start);
        let (false, Ok(length)) = (oversize, length) else {
            self.bytes.truncate(start);
            return Err(Refusal("it has more attributes than a netlink message holds"));
        };
        let mut head = NetlinkHeader::default();
        head.length = length;
        head.message_type = kind;
        head.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        head.emit(&mut self.bytes[start..]);
        self.ends.push(self.bytes.len());
        Ok(())
    }
}

/// The attributes of a message being written.
#[derive(Debug)]
pub struct Body<'a> {
    bytes: &'a mut Vec<u8>,
    oversize: bool,
}

impl Body<'_> {
    /// Writes one attribute.
    pub fn put(&mut self, kind: u16, payload: &[u8]) {
        self.nest(kind, |body| body.bytes.extend_from_slice(payload));
    }

    /// Writes a number.
    pub fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Writes an address in network byte order.
    pub fn put_ip(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(a) => self.put(kind, &a.octets()),
            IpAddr::V6(a) => self.put(kind, &a.octets()),
        }
    }

    /// Writes a string with its terminating NUL.
    pub fn put_string(&mut self, kind: u16, text: &[u8]) {
        self.nest(kind, |body| {
            body.bytes.extend_from_slice(text);
            body.bytes.push(0);
        });
    }

    /// Writes attributes that are kept as the kernel gave them.
    pub fn put_all(&mut self, attributes: &Attributes) {
        for (kind, payload) in attributes {
            self.put(*kind, payload);
        }
    }

    /// Writes an attribute whose payload is what `write` writes, without NLA_F_NESTED unless `kind` carries it.
    pub fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; ATTRIBUTE_HEADER_BYTES]);
        write(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.oversize = true,
        }
        self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        pad(self.bytes);
    }

    /// Writes raw bytes, for structures that stand between attributes (`struct rtnexthop`).
    fn structure(&mut self, write: impl FnOnce(&mut Self, usize)) {
        let start = self.bytes.len();
        write(self, start);
        pad(self.bytes);
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// NLA_F_NESTED on an attribute number, which strictly checked messages (nexthops) demand.
const fn nested(kind: u16) -> u16 {
    kind | NLA_F_NESTED
}

/// The attributes behind a header of `header_bytes`: number without flags, and payload.
fn attributes(payload: &[u8], header_bytes: usize) -> impl Iterator<Item = Result<(u16, &[u8]), Broken>> {
    let rest = payload.get(header_bytes..).unwrap_or_default();
    NlasIterator::new(rest).map(move |item| {
        let attribute = item.map_err(|e| Broken(format!("attributes: {e}")))?;
        let kind = attribute.kind();
        // The borrow of the item ends here, that of the message does not: take the payload from the message.
        let value = attribute.into_inner();
        let length = usize::from(u16::from_ne_bytes([value[0], value[1]]));
        Ok((kind, &value[ATTRIBUTE_HEADER_BYTES..length]))
    })
}

/// Keeps an attribute that is not interpreted.
fn keep(extra: &mut Attributes, kind: u16, value: &[u8]) -> Result<(), Broken> {
    match extra.insert(kind, value.to_vec()) {
        None => Ok(()),
        Some(_) => Err(Broken(format!("attribute {kind} occurs twice"))),
    }
}

fn array<const N: usize>(kind: u16, value: &[u8]) -> Result<[u8; N], Broken> {
    value
        .try_into()
        .map_err(|_| Broken(format!("attribute {kind} has {} bytes, not {N}", value.len())))
}

fn u8_of(kind: u16, value: &[u8]) -> Result<u8, Broken> {
    array::<1>(kind, value).map(|[byte]| byte)
}

fn u32_of(kind: u16, value: &[u8]) -> Result<u32, Broken> {
    array(kind, value).map(u32::from_ne_bytes)
}

/// The 32-bit number at byte `at` of a structure.
fn u32_at(kind: u16, value: &[u8], at: usize) -> Result<u32, Broken> {
    let bytes = value
        .get(at..at + 4)
        .ok_or_else(|| Broken(format!("attribute {kind} has only {} bytes", value.len())))?;
    u32_of(kind, bytes)
}

fn ip_of(kind: u16, value: &[u8]) -> Result<IpAddr, Broken> {
    match value.len() {
        4 => array::<4>(kind, value).map(|b| IpAddr::V4(Ipv4Addr::from(b))),
        16 => array::<16>(kind, value).map(|b| IpAddr::V6(Ipv6Addr::from(b))),
        other => Err(Broken(format!("attribute {kind} is an address of {other} bytes"))),
    }
}

/// A string without its terminating NUL.
fn bytes_of(value: &[u8]) -> &[u8] {
    value.strip_suffix(&[0]).unwrap_or(value)
}

fn name_of(kind: u16, value: &[u8]) -> Result<InterfaceName, Broken> {
    InterfaceName::from_kernel(bytes_of(value)).map_err(|e| Broken(format!("attribute {kind}: {e}")))
}

fn kind_name_of(value: &[u8]) -> Result<String, Broken> {
    String::from_utf8(bytes_of(value).to_vec()).map_err(|e| Broken(format!("kind: {e}")))
}

/// A prefix from its address attribute and the length in the message header.
fn net_of(address: Option<IpAddr>, length: u8, family: Family) -> Result<IpNet, Broken> {
    let address = address.unwrap_or(unspecified(family));
    IpNet::new(address, length).map_err(|e| Broken(format!("prefix {address}/{length}: {e}")))
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// AF_INET or AF_INET6.
#[must_use]
pub fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// The family of a message, none for those that this program does not cut.
///
/// A kernel without one family answers a dump of it with the objects of all others (`rtnl_dump_all()`).
fn family_of(family: AddressFamily) -> Option<Family> {
    if family == AddressFamily::Inet {
        Some(Family::V4)
    } else if family == AddressFamily::Inet6 {
        Some(Family::V6)
    } else {
        None
    }
}

/// A header that could not be read.
fn header(error: impl std::fmt::Display) -> Broken {
    Broken(format!("header: {error}"))
}

#[cfg(test)]
mod tests;
