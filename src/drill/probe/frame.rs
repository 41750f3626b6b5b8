//! Frames on AF_PACKET sockets (packet(7)): past routes and rules, but not past traffic control. ARP and ND with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket};

use super::{Answer, ProbeError, checksum, nonce, ready};
use crate::drill::links::Mac;
use crate::drill::namespace::NotInitial;
use crate::model::names::InterfaceName;

/// Which frames a [`Port`] gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// IPv4 only, after traffic control, as an application would.
    Ipv4,
    /// All, in and out, and **before** ingress traffic control, as a sniffer does: for the far side of a cut.
    Everything,
}

/// An AF_PACKET socket on a link.
#[derive(Debug)]
pub struct Port {
    fd: OwnedFd,
    mac: Mac,
}

impl Port {
    /// Opens it in the calling thread's namespace, of which `proof` is the proof.
    ///
    /// # Errors
    /// If there is no such link with a hardware address, or CAP_NET_RAW is missing.
    pub fn open(link: &InterfaceName, listen: Listen, proof: NotInitial) -> Result<Self, ProbeError> {
        // The proof has no content; holding it is what counts.
        let NotInitial { .. } = proof;
        let protocol = match listen {
            Listen::Ipv4 => SockProtocol::EthIp,
            Listen::Everything => SockProtocol::EthAll,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, protocol)
            .map_err(ProbeError::of("make an AF_PACKET socket"))?;
        // nix makes a sockaddr_ll only by reading one. Its protocol is 0, which leaves the socket's own.
        let address = getifaddrs()
            .map_err(ProbeError::of("list the links"))?
            .filter(|entry| entry.interface_name.as_bytes() == link.as_bytes())
            .find_map(|entry| entry.address.and_then(|address| address.as_link_addr().copied()))
            .ok_or_else(|| ProbeError::of("find a link")(Errno::ENODEV))?;
        bind(fd.as_raw_fd(), &address).map_err(ProbeError::of("bind an AF_PACKET socket to a link"))?;
        Ok(Self {
            fd,
            mac: address.addr().unwrap_or_default(),
        })
    }

    /// The link's hardware address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends an IPv4 frame to the link of `there` and asks whether it arrived.
    ///
    /// # Errors
    /// If waiting fails.
    pub fn deliver(&self, there: &Self, within: Duration) -> Result<Answer, ProbeError> {
        let sign = nonce();
        let frame = ethernet(there.mac, self.mac, ETHERTYPE_IPV4, &datagram(sign));
        self.ask(&frame, there, within, |seen| {
            seen.starts_with(&there.mac) && seen.get(SIGN_AT..SIGN_AT + 8) == Some(&sign.to_be_bytes())
        })
    }

    /// Sends a frame, headers included, and asks whether `there` got it as it is.
    ///
    /// # Errors
    /// If waiting fails.
    pub fn carry(&self, frame: &[u8], there: &Self, within: Duration) -> Result<Answer, ProbeError> {
        self.ask(frame, there, within, |seen| seen.starts_with(frame))
    }

    /// Whether a frame from one hardware address to another comes within this time.
    ///
    /// # Errors
    /// If waiting fails.
    pub fn hears(&self, from: Mac, to: Mac, within: Duration) -> Result<bool, ProbeError> {
        let start = Instant::now();
        let begins = [to, from].concat();
        let mut bytes = [0; 1600];
        while ready(&self.fd, PollFlags::POLLIN, start + within)? {
            if let Ok(count) = recv(self.fd.as_raw_fd(), &mut bytes, MsgFlags::empty())
                && bytes[..count].starts_with(&begins)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asks by ARP (RFC 826) or neighbour solicitation (RFC 4861) who has `target`; `own` is of the same family.
    ///
    /// # Errors
    /// If waiting fails, or the families differ.
    pub fn resolve(&self, own: IpAddr, target: IpAddr, within: Duration) -> Result<Answer, ProbeError> {
        match (own, target) {
            (IpAddr::V4(own), IpAddr::V4(target)) => {
                let frame = ethernet([0xff; 6], self.mac, ETHERTYPE_ARP, &arp_request(self.mac, own, target));
                self.ask(&frame, self, within, |seen| is_arp_reply(seen, target))
            }
            (IpAddr::V6(own), IpAddr::V6(target)) => {
                let [.., a, b, c] = target.octets();
                let to = [0x33, 0x33, 0xff, a, b, c];
                let frame = ethernet(to, self.mac, ETHERTYPE_IPV6, &solicitation(self.mac, own, target));
                self.ask(&frame, self, within, |seen| is_advertisement(seen, target))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Err(ProbeError::of(
                "ask for a neighbour of another family",
            )(Errno::EAFNOSUPPORT)),
        }
    }

    fn ask(
        &self,
        frame: &[u8],
        listener: &Self,
        within: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Answer, ProbeError> {
        let start = Instant::now();
        if let Err(errno) = send(self.fd.as_raw_fd(), frame, MsgFlags::empty()) {
            return Ok(Answer::Refused(errno));
        }
        let mut bytes = [0; 1600];
        while ready(&listener.fd, PollFlags::POLLIN, start + within)? {
            match recv(listener.fd.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Ok(count) if wanted(&bytes[..count]) => return Ok(Answer::since(start)),
                Ok(_) | Err(Errno::EAGAIN) => {}
                Err(errno) => return Ok(Answer::Refused(errno)),
            }
        }
        Ok(Answer::Silent)
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Behind the headers of Ethernet, IPv4 and UDP.
const SIGN_AT: usize = 14 + 20 + 8;

fn ethernet(to: Mac, from: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], &ethertype.to_be_bytes()[..], payload].concat()
}

/// A UDP datagram to 127.0.0.1 from outside: every receiving host drops it (RFC 1122, 3.2.1.3), none forwards it.
fn datagram(sign: u64) -> Vec<u8> {
    let mut ip = [0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 127, 0, 0, 1];
    let sum = checksum(&[&ip]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = [0x26, 0x8f, 0x26, 0x8f, 0, 16, 0, 0];
    [&ip[..], &udp[..], &sign.to_be_bytes()[..]].concat()
}

fn arp_request(mac: Mac, own: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let header = [0, 1, 8, 0, 6, 4, 0, 1];
    [
        &header[..],
        &mac[..],
        &own.octets()[..],
        &[0; 6][..],
        &target.octets()[..],
    ]
    .concat()
}

fn is_arp_reply(frame: &[u8], target: Ipv4Addr) -> bool {
    frame.get(12..14) == Some(&ETHERTYPE_ARP.to_be_bytes())
        && frame.get(20..22) == Some(&[0, 2])
        && frame.get(28..32) == Some(&target.octets())
}

fn solicitation(mac: Mac, own: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    // Type 135, then the target, then the option "source link-layer address".
    let mut message = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), &[1, 1], &mac].concat();
    let length = u16::try_from(message.len()).expect("8 + 16 + 8 bytes");
    let pseudo = [0, 0, 0, 0, 0, 0, 0, 58];
    let sum = checksum(&[
        &own.octets(),
        &group.octets(),
        &length.to_be_bytes(),
        &pseudo[2..],
        &message,
    ]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let [high, low] = length.to_be_bytes();
    let header = [0x60, 0, 0, 0, high, low, 58, 255];
    [&header[..], &own.octets(), &group.octets(), &message].concat()
}

fn is_advertisement(frame: &[u8], target: Ipv6Addr) -> bool {
    frame.get(12..14) == Some(&ETHERTYPE_IPV6.to_be_bytes())
        && frame.get(54) == Some(&136)
        && frame.get(62..78) == Some(&target.octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_verify_and_lengths_are_those_of_the_protocols() {
        let datagram = datagram(5);
        assert_eq!(checksum(&[&datagram[..20]]), 0);
        assert_eq!(datagram.len(), 36);
        assert_eq!(arp_request([1; 6], Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST).len(), 28);
        let asked = solicitation([2; 6], "fd00::3".parse().unwrap(), "fd00::2".parse().unwrap());
        assert_eq!(asked.len(), 40 + 32);
        let pseudo = [0, 0, 0, 32, 0, 0, 0, 58];
        assert_eq!(checksum(&[&asked[8..40], &pseudo, &asked[40..]]), 0);
    }

    #[test]
    fn an_own_request_is_no_reply() {
        let (own, target) = ("10.0.0.3".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let frame = ethernet([0xff; 6], [1; 6], ETHERTYPE_ARP, &arp_request([1; 6], own, target));
        assert!(!is_arp_reply(&frame, target));
        let mut reply = frame;
        reply[21] = 2;
        reply[28..32].copy_from_slice(&target.octets());
        assert!(is_arp_reply(&reply, target));
        assert!(!is_arp_reply(&reply, own));
        assert!(!is_arp_reply(&reply[..30], target));
    }
}
