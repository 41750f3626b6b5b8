//! The session from which an operator speaks, as sshd describes it, so that a plan can tell whether it cuts it.

use std::net::IpAddr;

use crate::api::Session;

/// Reads `SSH_CONNECTION`: client address and port, server address and port (ssh(1), "Environment"). Exactly four
/// fields, or none of it is believed.
pub(crate) fn parse(text: &str) -> Option<Session> {
    let mut fields = text.split(' ');
    let session = Session {
        peer: address(fields.next()?)?,
        peer_port: port(fields.next()?)?,
        local: address(fields.next()?)?,
        local_port: port(fields.next()?)?,
    };
    fields.next().is_none().then_some(session)
}

/// Without its zone, which names a link and not a peer. An IPv4 address in IPv6 clothes is the IPv4 address that
/// travels.
fn address(text: &str) -> Option<String> {
    let bare = text.split_once('%').map_or(text, |(address, _)| address);
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical().to_string())
}

/// A port is digits alone, though Rust would also take a sign.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_two_addresses_and_two_ports() {
        let session = parse("192.0.2.7 50022 198.51.100.1 22").unwrap();
        assert_eq!((session.peer.as_str(), session.peer_port), ("192.0.2.7", 50022));
        assert_eq!((session.local.as_str(), session.local_port), ("198.51.100.1", 22));
        assert_eq!(parse("fe80::1%eth0 1 fe80::2%eth0 22").unwrap().peer, "fe80::1");
        assert_eq!(parse("::ffff:192.0.2.7 1 ::1 22").unwrap().peer, "192.0.2.7");
    }

    #[test]
    fn anything_else_is_no_session() {
        let cases = [
            "",
            "UNKNOWN 65535 UNKNOWN 65535",
            "192.0.2.7 50022 198.51.100.1",
            "192.0.2.7 50022 198.51.100.1 22 x",
            "192.0.2.7  50022 198.51.100.1 22",
            "192.0.2.7 70000 198.51.100.1 22",
            "192.0.2.7 +22 198.51.100.1 22",
            "192.0.2.7 0 198.51.100.1 22",
            "example.org 1 198.51.100.1 22",
            "192.0.2.7 1 198.51.100.1 22\n",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
