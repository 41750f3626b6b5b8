//! UDP: a question and its answer, and one-way delivery to an application, unicast, multicast or broadcast.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::PollFlags;
use nix::sys::socket::{SockProtocol, SockType, SockaddrStorage, connect, setsockopt, sockopt};

use super::{Answer, Origin, ProbeError, bind_to, errno, nonce, ready};
use crate::model::names::InterfaceName;

/// Sends a datagram to an echo server and waits for its answer. An ICMP error counts as a refusal.
///
/// # Errors
/// If no socket can be made or bound.
pub fn ask(to: SocketAddr, origin: &Origin, within: Duration) -> Result<Answer, ProbeError> {
    let start = Instant::now();
    let socket = match connected(to, origin)? {
        Ok(socket) => socket,
        Err(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let question = nonce();
    if let Err(error) = socket.send(&question.to_be_bytes()) {
        return Ok(Answer::Refused(errno(&error)));
    }
    receive(&socket, question, start, within)
}

pub(super) fn connected(to: SocketAddr, origin: &Origin) -> Result<Result<UdpSocket, Errno>, ProbeError> {
    let fd = origin.socket(to.ip(), SockType::Datagram, SockProtocol::Udp)?;
    Ok(connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).map(|()| UdpSocket::from(fd)))
}

/// Sends one datagram towards `to` and asks the sink, which is bound in another namespace, whether it arrived there.
///
/// Multicast and broadcast as well: over the link of the origin's device or IPv4 source, or of an IPv6 scope id.
///
/// # Errors
/// If no socket can be made or bound.
pub fn deliver(to: SocketAddr, origin: &Origin, sink: &Sink, within: Duration) -> Result<Answer, ProbeError> {
    let fd = origin.socket(to.ip(), SockType::Datagram, SockProtocol::Udp)?;
    if to.is_ipv4() {
        setsockopt(&fd, sockopt::Broadcast, &true).map_err(ProbeError::of("allow broadcast"))?;
    }
    let socket = UdpSocket::from(fd);
    let start = Instant::now();
    let sign = nonce();
    match socket.send_to(&sign.to_be_bytes(), to) {
        Ok(_) => receive(&sink.socket, sign, start, within),
        Err(error) => Ok(Answer::Refused(errno(&error))),
    }
}

fn receive(socket: &UdpSocket, sign: u64, start: Instant, within: Duration) -> Result<Answer, ProbeError> {
    let mut bytes = [0; 64];
    while ready(socket, PollFlags::POLLIN, start + within)? {
        match socket.recv(&mut bytes) {
            Ok(count) if bytes[..count] == sign.to_be_bytes() => return Ok(Answer::since(start)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Ok(Answer::Refused(errno(&error))),
        }
    }
    Ok(Answer::Silent)
}

/// An application that datagrams are delivered to. It answers nothing, so nothing else is needed for it to receive.
#[derive(Debug)]
pub struct Sink {
    socket: UdpSocket,
    at: SocketAddr,
}

impl Sink {
    /// Listens in the calling thread's namespace; port 0 takes a free one.
    ///
    /// # Errors
    /// If no socket can be made or bound.
    pub fn bind(at: SocketAddr, origin: &Origin) -> Result<Self, ProbeError> {
        let fd = origin.socket(at.ip(), SockType::Datagram, SockProtocol::Udp)?;
        bind_to(&fd, at)?;
        let socket = UdpSocket::from(fd);
        let at = socket.local_addr().map_err(ProbeError::io("ask for an address"))?;
        Ok(Self { socket, at })
    }

    /// Listens to a multicast group on a link, or to the IPv4 broadcast address, which needs no joining. The IPv4
    /// address is the link's own, by which the kernel finds it.
    ///
    /// # Errors
    /// If no socket can be made or bound, there is no such link, or the group cannot be joined.
    pub fn join(
        group: IpAddr,
        port: u16,
        link: &InterfaceName,
        own: Ipv4Addr,
        origin: &Origin,
    ) -> Result<Self, ProbeError> {
        let any: IpAddr = match group {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let sink = Self::bind(SocketAddr::new(any, port), origin)?;
        if group.is_multicast() {
            let index = if_nametoindex(link.as_bytes()).map_err(ProbeError::of("find a link"))?;
            match group {
                IpAddr::V4(group) => sink.socket.join_multicast_v4(&group, &own),
                IpAddr::V6(group) => sink.socket.join_multicast_v6(&group, index),
            }
            .map_err(ProbeError::io("join a multicast group"))?;
        }
        Ok(sink)
    }

    /// Where it listens.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.at
    }
}
