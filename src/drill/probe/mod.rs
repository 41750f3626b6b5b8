//! What one can ask of a network: does this kind of traffic pass, is it refused, or does nobody answer?
//!
//! A probe runs on a thread in the namespace that it starts from ([`super::namespace::Namespace::run`]); the far side
//! is an [`echo::Echo`], a [`udp::Sink`] or a [`frame::Port`] that was made in another namespace. No external programs.
//!
//! **Invariant:** a probe that could not be made is an error, never an answer.

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};

use super::namespace::NotInitial;
use crate::model::names::InterfaceName;

pub mod echo;
pub mod frame;
pub mod icmp;
pub mod prober;
pub mod tcp;
pub mod udp;

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// It passed.
    Passed {
        /// From sending to the answer; where none is expected, to the delivery.
        rtt: Duration,
    },
    /// The local kernel said no, or an ICMP error that it reports without being asked: port unreachable does, network
    /// and host unreachable on the way (soft errors, RFC 1122, 4.2.3.9) do not and end in silence.
    Refused(Errno),
    /// Nothing within the time given.
    Silent,
}

impl Answer {
    /// Whether the traffic got through.
    #[must_use]
    pub fn passed(self) -> bool {
        matches!(self, Self::Passed { .. })
    }

    fn since(start: Instant) -> Self {
        Self::Passed { rtt: start.elapsed() }
    }
}

/// Where a probe's socket starts from.
#[derive(Clone, Debug)]
pub struct Origin {
    device: Option<InterfaceName>,
    source: Option<IpAddr>,
    /// Kept so that an origin cannot leave the thread whose namespace was proved.
    _proof: NotInitial,
}

impl Origin {
    /// As the routes of the calling thread's namespace have it.
    #[must_use]
    pub fn any(proof: NotInitial) -> Self {
        Self {
            device: None,
            source: None,
            _proof: proof,
        }
    }

    /// Bound to a device (SO_BINDTODEVICE).
    #[must_use]
    pub fn device(mut self, name: &InterfaceName) -> Self {
        self.device = Some(name.clone());
        self
    }

    /// Bound to a source address. For multicast and broadcast on IPv4 it chooses the link, too, without a route.
    #[must_use]
    pub fn source(mut self, address: IpAddr) -> Self {
        self.source = Some(address);
        self
    }

    fn socket(&self, to: IpAddr, kind: SockType, protocol: SockProtocol) -> Result<OwnedFd, ProbeError> {
        let family = match to {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)
            .map_err(ProbeError::of("make a socket"))?;
        if let Some(name) = &self.device {
            setsockopt(
                &fd,
                sockopt::BindToDevice,
                &OsStr::from_bytes(name.as_bytes()).to_owned(),
            )
            .map_err(ProbeError::of("bind a socket to a device"))?;
        }
        if let Some(source) = self.source {
            bind_to(&fd, SocketAddr::new(source, 0))?;
        }
        Ok(fd)
    }
}

/// A probe could not be made; nothing is known about the network.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempted} for a probe")]
pub struct ProbeError {
    attempted: &'static str,
    #[source]
    source: Errno,
}

impl ProbeError {
    fn of(attempted: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self { attempted, source }
    }

    fn io(attempted: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self {
            attempted,
            source: errno(&source),
        }
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

fn bind_to(fd: &OwnedFd, address: SocketAddr) -> Result<(), ProbeError> {
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).map_err(ProbeError::of("bind a socket to an address"))
}

/// Waits until one of `events` or an error is there. False: the time is over.
fn ready(fd: &impl AsFd, events: PollFlags, until: Instant) -> Result<bool, ProbeError> {
    loop {
        let mut polled = [PollFd::new(fd.as_fd(), events)];
        match poll(&mut polled, remaining(until)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(ProbeError::of("wait")(errno)),
        }
    }
}

/// The time left, rounded up to the milliseconds of poll(2), so that a wait never ends early and spins.
fn remaining(until: Instant) -> PollTimeout {
    let left = until.saturating_duration_since(Instant::now());
    let milliseconds = left.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}

/// A number that no other probe on this machine carries, for telling a probe's packets from all others.
fn nonce() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The Internet checksum (RFC 1071) over the parts as if they were one; every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for chunk in parts.iter().flat_map(|part| part.chunks(2)) {
        let low = chunk.get(1).copied().unwrap_or_default();
        sum += u32::from(u16::from_be_bytes([chunk[0], low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let folded = u16::try_from(sum).expect("every round folds the carry back into 16 bits");
    !folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        let example = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&example]), !0xddf2);
        assert_eq!(checksum(&[&example[..4], &example[4..]]), !0xddf2);
        assert_eq!(checksum(&[&[0xff, 0xff], &[0x00, 0x01, 0x80]]), !0x8001);
    }

    #[test]
    fn no_two_nonces_are_equal() {
        let seen: std::collections::BTreeSet<u64> = (0..1000).map(|_| nonce()).collect();
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn a_wait_is_rounded_up_so_that_it_cannot_spin() {
        let soon = Instant::now() + Duration::from_micros(300);
        assert_ne!(remaining(soon), PollTimeout::ZERO);
        assert_eq!(remaining(Instant::now()), PollTimeout::ZERO);
    }
}
