//! Builds links, addresses and routes in a scratch namespace, through rtnetlink's typed builders.
//!
//! **Invariant:** rtnetlink answers `Ok(())` also where its connection ended before anything was sent, so every change
//! is read back, on a socket of its own that rtnetlink knows nothing of, before it counts as done.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoVeth, LinkMessage};
use netlink_packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::namespace::{Namespace, NamespaceError, NotInitial};
use crate::model::names::InterfaceName;

mod look;

pub use look::{Look, LookError, SeenLink};

/// A hardware address of Ethernet.
pub type Mac = [u8; 6];

/// One end of a veth pair. What is `None` the kernel chooses.
#[derive(Clone, Debug)]
pub struct End<'a> {
    /// The interface's name.
    pub name: &'a InterfaceName,
    /// The interface's index.
    pub index: Option<u32>,
    /// The hardware address.
    pub mac: Option<Mac>,
    /// Bytes.
    pub mtu: Option<u32>,
}

impl<'a> End<'a> {
    /// An end with everything but the name left to the kernel.
    #[must_use]
    pub fn named(name: &'a InterfaceName) -> Self {
        Self {
            name,
            index: None,
            mac: None,
            mtu: None,
        }
    }
}

/// Whether an IPv6 address waits for duplicate address detection (RFC 4862); IPv4 has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// The address is tentative for one to two seconds.
    Run,
    /// Usable at once; `nodad` then stands in its flags for ever.
    Skip,
}

/// Changes the calling thread's network namespace.
#[derive(Debug)]
pub struct Builder {
    runtime: tokio::runtime::Runtime,
    handle: rtnetlink::Handle,
    look: Look,
    proof: NotInitial,
}

impl Builder {
    /// Opens the sockets in the calling thread's namespace, of which `proof` is the proof.
    ///
    /// # Errors
    /// If a socket cannot be made.
    pub fn open(proof: NotInitial) -> Result<Self, BuildError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|source| BuildError::Socket { source })?;
        let entered = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|source| BuildError::Socket { source })?;
        // The task runs only inside `block_on`, and ends with the runtime.
        drop(runtime.spawn(connection));
        drop(entered);
        Ok(Self {
            runtime,
            handle,
            look: Look::open()?,
            proof,
        })
    }

    /// The proof that it was opened with.
    #[must_use]
    pub fn proof(&self) -> NotInitial {
        self.proof
    }

    /// Adds a veth pair: one end here, the other in `there`.
    ///
    /// # Errors
    /// If the kernel refuses, or one of the ends is then not what was asked for.
    pub fn add_veth(&self, here: &End<'_>, far: &End<'_>, there: &Namespace) -> Result<(), BuildError> {
        let attempted = format!("add veth {} with its peer {} in {}", here.name, far.name, there.name());
        let peer = describe(LinkMessageBuilder::<LinkUnspec>::new(), far)?
            .setns_by_fd(there.fd().as_raw_fd())
            .build();
        let message = describe(
            LinkMessageBuilder::<LinkVeth>::new(text(here.name)?, text(far.name)?),
            here,
        )?
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
        self.acknowledged(&attempted, self.handle.link().add(message).execute())?;
        confirm_end(&self.look, here, &attempted)?;
        there.run(|_| confirm_end(&Look::open()?, far, &attempted))?
    }

    /// Sets a link administratively up.
    ///
    /// # Errors
    /// If there is no such link, the kernel refuses, or nothing changed.
    pub fn set_up(&self, name: &InterfaceName) -> Result<(), BuildError> {
        let message = by_index(self.link(name)?.index).up().build();
        self.set(&format!("set {name} up"), message, name, |seen| seen.up)
    }

    /// Sets a link administratively down.
    ///
    /// # Errors
    /// As [`Builder::set_up`].
    pub fn set_down(&self, name: &InterfaceName) -> Result<(), BuildError> {
        let message = by_index(self.link(name)?.index).down().build();
        self.set(&format!("set {name} down"), message, name, |seen| !seen.up)
    }

    /// Changes a link's hardware address.
    ///
    /// # Errors
    /// As [`Builder::set_up`].
    pub fn set_mac(&self, name: &InterfaceName, mac: Mac) -> Result<(), BuildError> {
        let message = by_index(self.link(name)?.index).address(mac.to_vec()).build();
        self.set(&format!("set the hardware address of {name}"), message, name, |seen| {
            seen.mac == mac
        })
    }

    /// Changes a link's MTU, in bytes.
    ///
    /// # Errors
    /// As [`Builder::set_up`].
    pub fn set_mtu(&self, name: &InterfaceName, mtu: u32) -> Result<(), BuildError> {
        let message = by_index(self.link(name)?.index).mtu(mtu).build();
        self.set(&format!("set the MTU of {name} to {mtu}"), message, name, |seen| {
            seen.mtu == mtu
        })
    }

    /// Renames a link.
    ///
    /// # Errors
    /// As [`Builder::set_up`].
    pub fn rename(&self, name: &InterfaceName, to: &InterfaceName) -> Result<(), BuildError> {
        let index = self.link(name)?.index;
        let message = by_index(index).name(text(to)?).build();
        self.set(&format!("rename {name} to {to}"), message, to, |seen| {
            seen.index == index
        })
    }

    /// Moves a link to another namespace, where it is down and without addresses.
    ///
    /// # Errors
    /// If there is no such link, the kernel refuses, or it is still here or not there.
    pub fn move_to(&self, name: &InterfaceName, there: &Namespace) -> Result<(), BuildError> {
        let attempted = format!("move {name} to {}", there.name());
        let message = by_index(self.link(name)?.index)
            .setns_by_fd(there.fd().as_raw_fd())
            .build();
        self.acknowledged(&attempted, self.handle.link().set(message).execute())?;
        let arrived = there.run(|_| Look::open()?.link(name))??.is_some();
        if !arrived || self.look.link(name)?.is_some() {
            return Err(BuildError::NotDone { attempted });
        }
        Ok(())
    }

    /// Adds an address with the prefix length of `address`.
    ///
    /// # Errors
    /// If there is no such link, the kernel refuses, or the address is then not there.
    pub fn add_address(&self, name: &InterfaceName, address: IpNet, detection: Detection) -> Result<(), BuildError> {
        let attempted = format!("add address {address} to {name}");
        let index = self.link(name)?.index;
        let mut request = self.handle.address().add(index, address.addr(), address.prefix_len());
        if detection == Detection::Skip && address.addr().is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        self.acknowledged(&attempted, request.execute())?;
        let is_it = |message: &AddressMessage| look::is_address(message, index, address);
        if !self.look.addresses()?.iter().any(is_it) {
            return Err(BuildError::NotDone { attempted });
        }
        Ok(())
    }

    /// Adds a route to table main, through a gateway, a link or both.
    ///
    /// # Errors
    /// If there is no such link, the kernel refuses, or the route is then not there.
    pub fn add_route(
        &self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        link: Option<&InterfaceName>,
    ) -> Result<(), BuildError> {
        let attempted = format!("add route {destination}");
        let mut builder = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination.network(), destination.prefix_len())
            .map_err(|_| BuildError::Mixed {
                attempted: attempted.clone(),
            })?;
        if let Some(gateway) = gateway {
            builder = builder.gateway(gateway).map_err(|_| BuildError::Mixed {
                attempted: attempted.clone(),
            })?;
        }
        if let Some(name) = link {
            builder = builder.output_interface(self.link(name)?.index);
        }
        if gateway.is_none() && destination.addr().is_ipv4() {
            // As ip-route(8) does: a gateway must be reached by a route of this scope.
            builder = builder.scope(RouteScope::Link);
        }
        let message = builder.build();
        self.acknowledged(&attempted, self.handle.route().add(message.clone()).execute())?;
        let is_it = |seen: &RouteMessage| look::is_route(seen, &message);
        if !self.look.routes(message.header.address_family)?.iter().any(is_it) {
            return Err(BuildError::NotDone { attempted });
        }
        Ok(())
    }

    /// What the kernel says about a link.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot be read.
    pub fn link(&self, name: &InterfaceName) -> Result<SeenLink, BuildError> {
        self.look
            .link(name)?
            .ok_or_else(|| BuildError::NoLink { name: name.clone() })
    }

    fn set(
        &self,
        attempted: &str,
        message: LinkMessage,
        then_named: &InterfaceName,
        holds: impl Fn(&SeenLink) -> bool,
    ) -> Result<(), BuildError> {
        self.acknowledged(attempted, self.handle.link().set(message).execute())?;
        if self.look.link(then_named)?.as_ref().is_some_and(holds) {
            return Ok(());
        }
        Err(BuildError::NotDone {
            attempted: attempted.to_owned(),
        })
    }

    fn acknowledged(
        &self,
        attempted: &str,
        request: impl Future<Output = Result<(), rtnetlink::Error>>,
    ) -> Result<(), BuildError> {
        self.runtime.block_on(request).map_err(|source| BuildError::Refused {
            attempted: attempted.to_owned(),
            source: Box::new(source),
        })
    }
}

fn by_index(index: u32) -> LinkMessageBuilder<LinkUnspec> {
    LinkUnspec::new_with_index(index)
}

fn describe<T>(builder: LinkMessageBuilder<T>, end: &End<'_>) -> Result<LinkMessageBuilder<T>, BuildError> {
    let mut builder = builder.interface_family(AddressFamily::Unspec).name(text(end.name)?);
    if let Some(index) = end.index {
        builder = builder.index(index);
    }
    if let Some(mac) = end.mac {
        builder = builder.address(mac.to_vec());
    }
    if let Some(mtu) = end.mtu {
        builder = builder.mtu(mtu);
    }
    Ok(builder)
}

fn confirm_end(look: &Look, end: &End<'_>, attempted: &str) -> Result<(), BuildError> {
    let as_asked = look.link(end.name)?.is_some_and(|seen| {
        end.index.is_none_or(|index| seen.index == index)
            && end.mac.is_none_or(|mac| seen.mac == mac)
            && end.mtu.is_none_or(|mtu| seen.mtu == mtu)
    });
    if as_asked {
        return Ok(());
    }
    Err(BuildError::NotDone {
        attempted: attempted.to_owned(),
    })
}

fn text(name: &InterfaceName) -> Result<&str, BuildError> {
    std::str::from_utf8(name.as_bytes()).map_err(|_| BuildError::NotText { name: name.clone() })
}

/// Why something was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No netlink socket.
    #[error("failed to open a netlink socket")]
    Socket {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// rtnetlink takes names as text only.
    #[error("cannot build an interface named {name}: the name is not UTF-8")]
    NotText {
        /// The name.
        name: InterfaceName,
    },
    /// There is no link of this name.
    #[error("there is no interface named {name}")]
    NoLink {
        /// The name.
        name: InterfaceName,
    },
    /// Destination and gateway are of different families.
    #[error("failed to {attempted}: its addresses are of different families")]
    Mixed {
        /// What was tried.
        attempted: String,
    },
    /// The kernel refused.
    #[error("failed to {attempted}")]
    Refused {
        /// What was tried, on what.
        attempted: String,
        /// The kernel's answer.
        #[source]
        source: Box<rtnetlink::Error>,
    },
    /// Reported as done, but the kernel does not show it.
    #[error("failed to {attempted}: reported as done, but it is not there")]
    NotDone {
        /// What was tried, on what.
        attempted: String,
    },
    /// It could not be read back.
    #[error("failed to read back what was built")]
    Look(#[from] LookError),
    /// The other namespace could not be joined.
    #[error("failed to reach the other namespace")]
    Namespace(#[from] NamespaceError),
}
