//! Whether a cut would end a session.

use super::hosts::{SSH, UPLINK, WHOLE, ZONES, cut, gateway, policy};
use crate::planning::loses_session;

#[test]
fn only_sessions_over_the_scope_and_outside_lifelines_are_lost() {
    let host = gateway();
    let gate = "use = [\"gate\"]";
    let null = "use = [\"routes\"]\n[methods.routes]\nnull-prefixes = [\"10.8.0.0/16\"]";
    let out = "families = [\"ipv4\"]\ndirections = [\"out\"]";
    let cases = [
        (WHOLE, gate, SSH, "10.9.0.2", 50000, 22, false),
        (WHOLE, gate, SSH, "::ffff:10.9.0.2", 50000, 22, false),
        (WHOLE, gate, SSH, "10.9.0.2", 50000, 80, true),
        (WHOLE, gate, SSH, "10.9.0.3", 50000, 22, true),
        (WHOLE, gate, SSH, "127.0.0.1", 50000, 80, false),
        (WHOLE, gate, SSH, "10.1.0.1", 50000, 80, false),
        (UPLINK, gate, SSH, "10.8.0.9", 50000, 22, true),
        (UPLINK, gate, SSH, "10.1.0.9", 50000, 22, false),
        (UPLINK, "use = [\"link\"]", "", "fd08::9", 50000, 22, true),
        (ZONES, "use = [\"seal\"]", "", "10.1.0.9", 50000, 22, false),
        (out, null, "", "10.8.0.9", 50000, 22, true),
        (out, null, "", "10.7.0.9", 50000, 22, false),
    ];
    for (scope, method, lifelines, peer, peer_port, local_port, lost) in cases {
        let cut = cut(&policy("a", scope, method, lifelines), &host);
        let peer: std::net::IpAddr = peer.parse().unwrap();
        let over_inside = matches!(peer, std::net::IpAddr::V4(p) if p.octets()[1] == 1);
        let local = if over_inside { "10.1.0.1" } else { "10.0.0.2" };
        let got = loses_session(&cut, &host, peer, peer_port, local.parse().unwrap(), local_port);
        assert_eq!(got, lost, "{method} {peer}:{peer_port} port {local_port}");
    }
}
