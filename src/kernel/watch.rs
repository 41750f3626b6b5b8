//! Events: a socket of its own, because those that requests cause would come among their answers.

use std::io;
use std::time::Duration;

use netlink_sys::Socket;
use nix::libc;

use super::socket::{failed, open, readable};
use super::{KernelError, Kinds, Seen, Watch, wire};

/// Events are many where routes churn; what is lost is said (ENOBUFS) and costs one full reading.
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;
/// How many datagrams one drain takes, so that a flood cannot hold the caller for ever.
const DRAIN_MAX: u32 = 65_536;

/// RTNLGRP_* of `include/uapi/linux/rtnetlink.h`.
mod group {
    pub const LINK: u32 = 1;
    pub const TC: u32 = 4;
    pub const IPV4_IFADDR: u32 = 5;
    pub const IPV4_ROUTE: u32 = 7;
    pub const IPV4_RULE: u32 = 8;
    pub const IPV6_IFADDR: u32 = 9;
    pub const IPV6_ROUTE: u32 = 11;
    pub const IPV6_RULE: u32 = 19;
    pub const NEXTHOP: u32 = 32;
}

/// The groups that tell about these kinds. Permanent neighbours have only a group in which every ARP answer of the
/// network is an event; it is left out.
fn groups(kinds: Kinds) -> impl Iterator<Item = u32> {
    use group::{IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE, LINK, NEXTHOP, TC};
    let table: [(bool, &[u32]); 6] = [
        // Whatever is read hangs on links, and IPv4 routes vanish with a link without an event of their own.
        (true, &[LINK]),
        (kinds.addresses, &[IPV4_IFADDR, IPV6_IFADDR]),
        (kinds.routes, &[IPV4_ROUTE, IPV6_ROUTE]),
        (kinds.rules, &[IPV4_RULE, IPV6_RULE]),
        (kinds.nexthops, &[NEXTHOP]),
        (kinds.traffic_control, &[TC]),
    ];
    table
        .into_iter()
        .filter_map(|(wanted, groups)| wanted.then_some(groups))
        .flatten()
        .copied()
}

/// A socket on which events arrive.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Events {
    /// Opens it in the calling thread's network namespace, without a subscription.
    ///
    /// # Errors
    /// If the kernel refuses the socket.
    pub fn open() -> Result<Self, KernelError> {
        let (socket, _) = open(RECEIVE_BYTES)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Subscribes to what tells about these kinds.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn subscribe(&self, kinds: Kinds) -> Result<(), KernelError> {
        groups(kinds).try_for_each(|g| self.socket.add_membership(g).map_err(failed("subscribe")))
    }

    /// Takes the subscription back.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn unsubscribe(&self, kinds: Kinds) -> Result<(), KernelError> {
        groups(kinds).try_for_each(|g| self.socket.drop_membership(g).map_err(failed("unsubscribe")))
    }

    /// Reads all events that are there, without waiting.
    ///
    /// # Errors
    /// If the socket is lost.
    pub fn drain(&mut self) -> Result<Drained, KernelError> {
        let mut drained = Drained::Nothing;
        for _ in 0..DRAIN_MAX {
            self.buffer.clear();
            // Only its type matters: whoever is told reads the kernel. So it may be cut short.
            match self.socket.recv_from(&mut self.buffer, libc::MSG_DONTWAIT) {
                // Only the kernel's word counts: others could keep a reader busy.
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok(_) => drained = drained.max(self.event()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => drained = Drained::Overrun,
                Err(e) => return Err(failed("receive events")(e)),
            }
        }
        Ok(drained)
    }

    /// What the event in the buffer is about, by `nlmsg_type` of its header; the kernel sends one at a time.
    fn event(&self) -> Drained {
        let kind = self.buffer.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]));
        if kind == Some(wire::link::NEW) {
            Drained::Links
        } else {
            Drained::Changes
        }
    }
}

/// What a drain found; the later, the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drained {
    /// No event.
    Nothing,
    /// Word about links that are there. Drivers, bridges and wireless give it without need.
    Links,
    /// Something changed.
    Changes,
    /// Events were lost.
    Overrun,
}

impl From<Drained> for Seen {
    fn from(drained: Drained) -> Self {
        match drained {
            Drained::Nothing => Self::Nothing,
            Drained::Links | Drained::Changes => Self::Changed,
            Drained::Overrun => Self::Overrun,
        }
    }
}

impl Watch for Events {
    fn wait(&mut self, timeout: Duration) -> Result<Seen, KernelError> {
        if !readable(&self.socket, timeout)? {
            return Ok(Seen::Nothing);
        }
        self.drain().map(Seen::from)
    }
}
