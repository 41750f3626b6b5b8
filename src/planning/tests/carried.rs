//! Lifelines over links that are carried by others: kept, or refused before the first step.

use std::collections::BTreeMap;

use super::hosts::{SSH, THROUGH, UPLINK, WHOLE, WITHDRAW_DEFAULT, ZONES, gateway, policy};
use crate::model::change::Change;
use crate::model::effect::settle;
use crate::model::fixture::{address, direct, must, name};
use crate::model::object::Link;
use crate::model::plan::Plan;
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{Refusal, plan};

/// A link of the gateway.
fn link(host: &Snapshot, index: u32, kind: &str, below: Option<u32>, above: Option<u32>) -> Link {
    Link {
        index,
        name: name(&format!("top{index}")),
        kind: Some(kind.to_owned()),
        lower: below,
        master: above,
        ..host.links[1].clone()
    }
}

/// The gateway with these links, the first of which has the net of the lifeline's peers.
fn over(links: &[(u32, &str, Option<u32>, Option<u32>)]) -> Snapshot {
    let mut state = gateway();
    for (index, kind, below, above) in links {
        let new = link(&state, *index, kind, *below, *above);
        state.links.push(new);
    }
    state.sort();
    for net in ["10.9.0.1/24", "fd09::1/64"] {
        must(&mut state, &Change::Add(Object::Address(address(links[0].0, net))));
    }
    settle(&mut state);
    state
}

/// The gateway with one such link over its uplink, if kinds like it have one.
fn one(kind: &str) -> Snapshot {
    let below = ["vlan", "macsec", "macvlan", "ipvlan"].contains(&kind).then_some(2);
    over(&[(10, kind, below, None)])
}

fn planned(host: &Snapshot, scope: &str, methods: &str, rest: &str) -> Result<Plan, Refusal> {
    plan(&policy("a", scope, methods, rest), host, host, &[], &BTreeMap::new())
}

fn verdict(host: &Snapshot, scope: &str, methods: &str, rest: &str) -> &'static str {
    planned(host, scope, methods, rest).map_or_else(|refusal| refusal.code(), |_| "")
}

const LOST: &str = "lifeline-carried-by-cut";
const GATE: &str = "use = [\"gate\"]";
const SEAL: &str = "use = [\"seal\"]";
const LINK: &str = "use = [\"link\"]";

#[test]
fn a_lifeline_over_a_vlan_is_refused_where_the_frames_below_are_cut() {
    let v4 = UPLINK.replace("\"ipv4\", \"ipv6\"", "\"ipv4\"");
    for kind in ["vlan", "macsec"] {
        let host = one(kind);
        assert_eq!(verdict(&host, UPLINK, GATE, SSH), LOST);
        assert_eq!(verdict(&host, WHOLE, "use = [\"gate\", \"seal\"]", SSH), LOST);
        assert_eq!(verdict(&host, UPLINK, LINK, SSH), LOST);
        // Rules know the upper link alone, and what drops one family takes no tagged frame.
        assert_eq!(verdict(&host, UPLINK, SEAL, SSH), "");
        assert_eq!(verdict(&host, WHOLE, SEAL, SSH), "");
        assert_eq!(verdict(&host, &v4, GATE, SSH), "");
        assert_eq!(verdict(&host, &UPLINK.replace("ab0", "ab1"), GATE, SSH), "");
        let only = UPLINK.replace("ab0", "top10");
        assert_eq!(verdict(&host, &only, GATE, SSH), "");
        // What goes by another link is none of its business.
        let other = SSH.replace("\"10.9.0.2\", \"fd09::2\"", "\"10.1.0.9\"");
        assert_eq!(verdict(&host, UPLINK, GATE, &other), "");
    }
}

#[test]
fn a_lifeline_through_a_tunnel_is_refused_where_another_link_is_cut() {
    let tunnels = [
        "amt",
        "bareudp",
        "geneve",
        "gre",
        "gretap",
        "gtp",
        "ip6gre",
        "ip6gretap",
        "ip6tnl",
        "ipip",
        "l2tpeth",
        "ovpn",
        "ppp",
        "sit",
        "tun",
        "vti",
        "vti6",
        "vxlan",
        "wireguard",
        "xfrm",
    ];
    let forward = UPLINK.replace("\"in\", \"out\", \"forward\"", "\"forward\"");
    for kind in tunnels {
        let host = one(kind);
        for methods in [GATE, SEAL, LINK, "use = [\"gate\", \"seal\"]", WITHDRAW_DEFAULT] {
            assert_eq!(verdict(&host, UPLINK, methods, SSH), LOST, "{kind} {methods}");
        }
        for (scope, methods) in [(WHOLE, GATE), (WHOLE, SEAL), (WHOLE, "use = [\"gate\", \"seal\"]")] {
            assert_eq!(verdict(&host, scope, methods, SSH), LOST, "{kind} {methods}");
        }
        let only = UPLINK.replace("ab0", "top10");
        for methods in [GATE, SEAL] {
            assert_eq!(verdict(&host, &only, methods, SSH), "", "{kind} {methods}");
        }
        // The outer packets are the host's own: what is forwarded is something else.
        assert_eq!(verdict(&host, &forward, SEAL, SSH), "", "{kind}");
        assert_eq!(verdict(&host, ZONES, SEAL, SSH), "", "{kind}");
    }
}

#[test]
fn a_tunnel_that_a_lifeline_carries_keeps_those_through_it() {
    let host = one("wireguard");
    let vpn = "[[lifelines]]\nname = \"vpn\"\npeers = [\"10.0.0.77\"]\nprotocol = \"udp\"\nports = [51820]\n\
        direction = \"out\"\ncarries = [\"top1?\"]";
    for methods in [GATE, SEAL, "use = [\"gate\", \"seal\"]"] {
        assert_eq!(
            verdict(&host, UPLINK, methods, &format!("{SSH}\n{vpn}")),
            "",
            "{methods}"
        );
        let other = vpn.replace("top1?", "top2?");
        assert_eq!(
            verdict(&host, UPLINK, methods, &format!("{SSH}\n{other}")),
            LOST,
            "{methods}"
        );
    }
    let of_vlan = format!("{SSH}\n{vpn}");
    assert_eq!(
        verdict(&one("vlan"), UPLINK, GATE, &of_vlan),
        LOST,
        "nothing carries a VLAN but its link"
    );
}

#[test]
fn plain_frames_are_passed_below_as_above() {
    for kind in ["macvlan", "ipvlan", "veth", "dummy", "bridge", "bond", "team"] {
        let mut host = one(kind);
        assert_eq!(verdict(&host, WHOLE, GATE, SSH), "", "{kind}");
        host.links[1].master = Some(10);
        assert_eq!(verdict(&host, WHOLE, GATE, SSH), "", "{kind} with a port");
    }
}

#[test]
fn links_are_followed_down_to_what_tags_or_wraps_them() {
    let (bridge, vlan, vxlan) = (
        (10, "bridge", None, None),
        (11, "vlan", Some(2), Some(10)),
        (11, "vxlan", None, Some(10)),
    );
    assert_eq!(
        verdict(&over(&[bridge, vlan]), UPLINK, GATE, SSH),
        LOST,
        "a VLAN is the bridge's port"
    );
    assert_eq!(
        verdict(&over(&[bridge, vxlan]), UPLINK, GATE, SSH),
        LOST,
        "a tunnel is the bridge's port"
    );
    let port = UPLINK.replace("ab0", "top11");
    assert_eq!(
        verdict(&over(&[bridge, vxlan]), &port, GATE, SSH),
        "",
        "the tunnel does not carry itself"
    );
    let guest = (11, "tun", None, Some(10));
    assert_eq!(
        verdict(&over(&[bridge, guest]), WHOLE, GATE, SSH),
        "",
        "a machine is no tunnel"
    );
    let over_bond = [
        (10, "vlan", Some(11), None),
        (11, "bond", None, None),
        (12, "dummy", None, Some(11)),
    ];
    let slave = UPLINK.replace("ab0", "top12");
    assert_eq!(
        verdict(&over(&over_bond), &slave, GATE, SSH),
        LOST,
        "the tag stays on below a bond"
    );
    let macvlan = [(10, "macvlan", Some(11), None), (11, "vlan", Some(2), None)];
    assert_eq!(verdict(&over(&macvlan), UPLINK, GATE, SSH), LOST, "a macvlan of a VLAN");
    let bound = [(10, "vxlan", Some(3), None)];
    assert_eq!(
        verdict(&over(&bound), UPLINK, GATE, SSH),
        "",
        "bound to a link that is not cut"
    );
    let inner = UPLINK.replace("ab0", "ab1");
    assert_eq!(verdict(&over(&bound), &inner, GATE, SSH), LOST, "bound to one that is");
    let v6 = UPLINK.replace("\"ipv4\", \"ipv6\"", "\"ipv6\"");
    assert_eq!(
        verdict(&one("gre"), &v6, SEAL, SSH),
        "",
        "outer packets of the other family"
    );
    assert_eq!(verdict(&one("ip6gre"), &v6, SEAL, SSH), LOST);
}

#[test]
fn what_is_forwarded_to_a_tunnel_is_refused_too() {
    let inside = THROUGH
        .replace("\"10.1.0.0/24\", \"fd01::/64\"", "\"10.9.0.0/24\"")
        .replace("\"10.9.0.2\", \"fd09::2\"", "\"10.1.0.7\"");
    assert_eq!(verdict(&one("wireguard"), UPLINK, GATE, &inside), LOST);
    assert_eq!(verdict(&one("dummy"), UPLINK, GATE, &inside), "");
}

#[test]
fn a_wide_lifeline_that_would_lose_a_part_is_refused() {
    let wide = SSH.replace("\"10.9.0.2\", \"fd09::2\"", "\"10.0.0.0/8\"");
    let refusal = planned(&one("wireguard"), UPLINK, GATE, &wide).unwrap_err();
    assert_eq!(refusal.code(), LOST);
    assert!(refusal.to_string().contains("10.9.0.0/24"), "{refusal}");
    assert_eq!(verdict(&one("dummy"), UPLINK, GATE, &wide), "");
    let elsewhere = wide.replace("10.0.0.0/8", "10.0.0.0/13");
    assert_eq!(
        verdict(&one("wireguard"), UPLINK, GATE, &elsewhere),
        "",
        "no part of it is in the tunnel"
    );
    let mut host = one("wireguard");
    host.routes.retain(|r| r.link != Some(10));
    let any = wide.replace("10.0.0.0/8", "8000::/1");
    for (net, code) in [("fe80::/64", ""), ("fd77::/64", LOST)] {
        must(&mut host, &Change::Add(Object::Route(direct(net, 10))));
        assert_eq!(verdict(&host, UPLINK, GATE, &any), code, "{net}");
    }
}

#[test]
fn the_refusal_names_both_links() {
    let refusal = planned(&one("vxlan"), UPLINK, GATE, SSH).unwrap_err();
    let text = refusal.to_string();
    assert!(
        ["ssh", "10.9.0.2", "top10", "vxlan", "ab0"]
            .iter()
            .all(|w| text.contains(w)),
        "{text}"
    );
    assert!(refusal.hint().contains("carries"));
}

#[test]
fn a_cut_beside_another_takes_what_carries_the_lifelines_of_that() {
    let host = one("vlan");
    let first = super::hosts::cut(&policy("first", &UPLINK.replace("ab0", "top10"), GATE, SSH), &host);
    let second = policy("second", UPLINK, GATE, "");
    let refusal = plan(&second, &host, &host, &[first], &BTreeMap::new()).unwrap_err();
    assert_eq!(refusal.code(), LOST);
}
