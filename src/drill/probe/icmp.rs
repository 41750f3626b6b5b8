//! ICMP and ICMPv6 echo (RFC 792, RFC 4443) on raw sockets, or on datagram sockets where raw ones are not allowed.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, SockProtocol, SockType, SockaddrStorage, connect, recv, send};

use super::{Answer, Origin, ProbeError, checksum, nonce, ready};

/// Bytes of an echo's header and of our nonce behind it.
const MESSAGE_BYTES: usize = 16;

/// Sends an echo request and waits for its reply.
///
/// # Errors
/// If no socket can be made or bound.
pub fn echo(to: SocketAddr, origin: &Origin, within: Duration) -> Result<Answer, ProbeError> {
    let fd = socket(to.ip(), origin)?;
    let start = Instant::now();
    let mut target = to;
    target.set_port(0);
    let sign = nonce();
    let sent = connect(fd.as_raw_fd(), &SockaddrStorage::from(target))
        .and_then(|()| send(fd.as_raw_fd(), &request(to.ip(), sign), MsgFlags::empty()));
    if let Err(errno) = sent {
        return Ok(Answer::Refused(errno));
    }
    let mut bytes = [0; 1500];
    while ready(&fd, PollFlags::POLLIN, start + within)? {
        match recv(fd.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
            Ok(count) if is_reply(&bytes[..count], to.ip(), sign) => return Ok(Answer::since(start)),
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(errno) => return Ok(Answer::Refused(errno)),
        }
    }
    Ok(Answer::Silent)
}

fn socket(to: IpAddr, origin: &Origin) -> Result<OwnedFd, ProbeError> {
    let protocol = match to {
        IpAddr::V4(_) => SockProtocol::Icmp,
        IpAddr::V6(_) => SockProtocol::IcmpV6,
    };
    match origin.socket(to, SockType::Raw, protocol) {
        Err(ProbeError {
            source: Errno::EPERM | Errno::EACCES,
            ..
        }) => origin.socket(to, SockType::Datagram, protocol),
        other => other,
    }
}

fn request(to: IpAddr, sign: u64) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    bytes[8..].copy_from_slice(&sign.to_be_bytes());
    match to {
        IpAddr::V4(_) => {
            bytes[0] = 8;
            let sum = checksum(&[&bytes]);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        // The kernel fills in the checksum of ICMPv6, which covers addresses that only it knows (RFC 3542, 3.1).
        IpAddr::V6(_) => bytes[0] = 128,
    }
    bytes
}

/// A raw IPv4 socket gives the IP header, too; the nonce tells the reply from all others.
fn is_reply(packet: &[u8], from: IpAddr, sign: u64) -> bool {
    let reply = if from.is_ipv4() { 0 } else { 129 };
    let Some(at) = packet.len().checked_sub(MESSAGE_BYTES) else {
        return false;
    };
    packet[at] == reply && packet[at + 8..] == sign.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reply_with_our_nonce_counts() {
        let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        for (from, kind) in [(v4, 0), (v6, 129)] {
            let asked = request(from, 7);
            assert!(!is_reply(&asked, from, 7), "an own request is no reply");
            let mut reply = asked;
            reply[0] = kind;
            assert!(is_reply(&reply, from, 7));
            assert!(!is_reply(&reply, from, 8));
            assert!(!is_reply(&reply[1..], from, 7));
        }
        let mut with_ip_header = vec![0x45; 20];
        with_ip_header.extend(request(v4, 7));
        with_ip_header[20] = 0;
        assert!(is_reply(&with_ip_header, v4, 7));
    }

    #[test]
    fn the_checksum_of_a_request_verifies() {
        assert_eq!(checksum(&[&request("10.0.0.1".parse().unwrap(), 99)]), 0);
    }
}
