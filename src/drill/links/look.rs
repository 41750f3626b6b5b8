//! Reads back what was built: a dump on a blocking socket, independent of the library that built it.

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::model::names::InterfaceName;

/// What the kernel says about a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenLink {
    /// The interface's index.
    pub index: u32,
    /// Administratively up.
    pub up: bool,
    /// Whether the other end is up too (IFF_LOWER_UP).
    pub carrier: bool,
    /// The hardware address.
    pub mac: Vec<u8>,
    /// Bytes.
    pub mtu: u32,
}

/// A netlink socket in the namespace of the thread that opened it. It changes nothing.
#[derive(Debug)]
pub struct Look {
    socket: Socket,
}

impl Look {
    /// Opens the socket in the calling thread's namespace.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open() -> Result<Self, LookError> {
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(LookError::Socket)?;
        socket.bind_auto().map_err(LookError::Socket)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(LookError::Socket)?;
        Ok(Self { socket })
    }

    /// The link of this name.
    ///
    /// # Errors
    /// If the kernel's list cannot be read.
    pub fn link(&self, name: &InterfaceName) -> Result<Option<SeenLink>, LookError> {
        let links = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
            if let RouteNetlinkMessage::NewLink(link) = message {
                Some(link)
            } else {
                None
            }
        })?;
        Ok(links.iter().find_map(|link| seen(link, name)))
    }

    /// All addresses, of both families.
    pub(super) fn addresses(&self) -> Result<Vec<AddressMessage>, LookError> {
        self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
            if let RouteNetlinkMessage::NewAddress(address) = message {
                Some(address)
            } else {
                None
            }
        })
    }

    /// All routes of a family.
    pub(super) fn routes(&self, family: AddressFamily) -> Result<Vec<RouteMessage>, LookError> {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        self.dump(RouteNetlinkMessage::GetRoute(request), |message| {
            if let RouteNetlinkMessage::NewRoute(route) = message {
                Some(route)
            } else {
                None
            }
        })
    }

    fn dump<T>(
        &self,
        request: RouteNetlinkMessage,
        wanted: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, LookError> {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(LookError::Socket)?;
        let mut found = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(LookError::Socket)?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|why| LookError::Undecodable { why: why.to_string() })?;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                if matches!(message.payload, NetlinkPayload::Done(_)) {
                    return Ok(found);
                }
                let NetlinkPayload::InnerMessage(inner) = message.payload else {
                    return Err(LookError::Undecodable {
                        why: format!("{:?} instead of an object", message.payload),
                    });
                };
                found.extend(wanted(inner));
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

fn seen(link: &LinkMessage, name: &InterfaceName) -> Option<SeenLink> {
    let (mut named, mut mac, mut mtu) = (false, Vec::new(), 0);
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            named = text.as_bytes() == name.as_bytes();
        } else if let LinkAttribute::Address(bytes) = attribute {
            mac.clone_from(bytes);
        } else if let LinkAttribute::Mtu(bytes) = attribute {
            mtu = *bytes;
        }
    }
    named.then(|| SeenLink {
        index: link.header.index,
        up: link.header.flags.contains(LinkFlags::Up),
        carrier: link.header.flags.contains(LinkFlags::LowerUp),
        mac,
        mtu,
    })
}

pub(super) fn is_address(message: &AddressMessage, link: u32, address: IpNet) -> bool {
    let same = |attribute: &AddressAttribute| matches!(attribute, AddressAttribute::Local(ip) | AddressAttribute::Address(ip) if *ip == address.addr());
    message.header.index == link
        && message.header.prefix_len == address.prefix_len()
        && message.attributes.iter().any(same)
}

/// Whether `seen` has all the header fields and attributes of `asked`.
pub(super) fn is_route(seen: &RouteMessage, asked: &RouteMessage) -> bool {
    let there = |attribute: &RouteAttribute| seen.attributes.contains(attribute);
    seen.header.destination_prefix_length == asked.header.destination_prefix_length
        && seen.header.table == asked.header.table
        && seen.header.protocol == asked.header.protocol
        && asked
            .attributes
            .iter()
            .all(|attribute| is_any(attribute) || there(attribute))
}

/// A default route is asked for with destination 0.0.0.0 or `::`, and shown without one.
fn is_any(attribute: &RouteAttribute) -> bool {
    use netlink_packet_route::route::RouteAddress;
    matches!(attribute, RouteAttribute::Destination(RouteAddress::Inet(ip)) if ip.is_unspecified())
        || matches!(attribute, RouteAttribute::Destination(RouteAddress::Inet6(ip)) if ip.is_unspecified())
}

/// Why something could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// A socket call failed.
    #[error("failed to ask the kernel")]
    Socket(#[source] std::io::Error),
    /// The answer is not understood.
    #[error("cannot understand the kernel's answer: {why}")]
    Undecodable {
        /// Where it broke.
        why: String,
    },
}
