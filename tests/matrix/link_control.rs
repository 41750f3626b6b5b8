//! What keeps a link itself, under a cut by gate that keeps anything: spanning tree, LACP, 802.1X and multicast listener
//! discovery pass, nothing else like them does.

use std::net::Ipv6Addr;

use std::time::Duration;

use portcullis::drill::namespace::Namespace;
use portcullis::drill::probe::frame::{Listen, Port};

use crate::binaries::Daemon;
use crate::methods::Draft;
use crate::world::matrix::SHORT;
use crate::world::topology::Topology;
use crate::world::{self, World, ip, wait_until};

/// A port listens and learns for two seconds each before it forwards, and says hello each second.
const CONVERGES: Duration = Duration::from_secs(20);
const EVERYBODY: [u8; 6] = [0xff; 6];
const BRIDGES: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0];
const SLOW: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 2];
/// The first address of the block that bridges forward.
const NOT_RESERVED: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x10];
const ETHERTYPE_SLOW: u16 = 0x8809;
const ETHERTYPE_PAE: u16 = 0x888e;
const ETHERTYPE_LLDP: u16 = 0x88cc;
/// Not a type but the length of an IEEE 802.3 frame, with an LLC header behind it.
const LENGTH: u16 = 46;

/// A frame and whether it must pass: from this host as the far end hears it, or the other way as the bridge does.
const OUT: [([u8; 6], u16, bool); 5] = [
    (SLOW, ETHERTYPE_SLOW, true),
    (EVERYBODY, ETHERTYPE_PAE, true),
    (NOT_RESERVED, ETHERTYPE_SLOW, false),
    (EVERYBODY, ETHERTYPE_SLOW, false),
    (BRIDGES, ETHERTYPE_LLDP, false),
];
/// A bridge without spanning tree hands the frames of others on, so that they find the loop.
const IN: [([u8; 6], u16, bool); 5] = [
    (BRIDGES, LENGTH, true),
    (EVERYBODY, ETHERTYPE_PAE, true),
    (EVERYBODY, ETHERTYPE_SLOW, false),
    (EVERYBODY, LENGTH, false),
    (NOT_RESERVED, LENGTH, false),
];

#[test]
fn frames_that_keep_a_link_pass_gate_and_others_like_them_do_not() {
    world::inside(
        "link_control::frames_that_keep_a_link_pass_gate_and_others_like_them_do_not",
        |world| {
            let net = with_a_port(world);
            let (here, there) = (net.at(), &net.world_host.namespace);
            for (to, kind, _) in OUT {
                assert!(
                    arrives(here, "ps0", there, "qs0", &frame(to, kind)),
                    "{kind:#x} to {to:x?} before"
                );
            }
            for (to, kind, _) in IN {
                assert!(
                    arrives(there, "qs0", here, "brs", &frame(to, kind)),
                    "{kind:#x} to {to:x?} before"
                );
            }
            let daemon = gated(here);
            for (to, kind, passes) in OUT {
                let seen = arrives(here, "ps0", there, "qs0", &frame(to, kind));
                assert_eq!(seen, passes, "{kind:#x} to {to:x?}, out");
            }
            for (to, kind, passes) in IN {
                let seen = arrives(there, "qs0", here, "brs", &frame(to, kind));
                assert_eq!(seen, passes, "{kind:#x} to {to:x?}, in");
            }
            // What the kernel itself sends as spanning tree is no frame of a socket.
            ip(here, "link set dev brs type bridge stp_state 1");
            let (port, far) = (port(here, "ps0"), port(there, "qs0"));
            wait_until("the far end hears of spanning tree", CONVERGES, || {
                far.hears(port.mac(), BRIDGES, SHORT).unwrap()
            });
            daemon.assert_in_force();
            daemon.revert();
        },
    );
}

/// A link to a far host, in a bridge of this one.
fn with_a_port(world: World) -> Topology {
    let net = Topology::gateway(world);
    let (here, there) = (net.at(), &net.world_host.namespace);
    ip(
        here,
        &format!("link add name ps0 type veth peer name qs0 netns {}", there.name()),
    );
    ip(
        here,
        "link add name brs type bridge forward_delay 200 hello_time 100 max_age 600\n\
         link set dev ps0 master brs\nlink set dev ps0 up\nlink set dev brs up",
    );
    ip(there, "link set dev qs0 up");
    wait_until("the bridge hears the far end", CONVERGES, || {
        arrives(there, "qs0", here, "brs", &frame(EVERYBODY, LENGTH))
    });
    net
}

fn gated(here: &Namespace) -> Daemon<'_> {
    let policy = Draft::new("\"gate\"", "interfaces = [\"*\"]").with_ssh();
    let daemon = Daemon::start(here, &[("gate", policy.text("gate"))]);
    daemon.declare("gate");
    daemon.assert_in_force();
    daemon
}

/// ICMPv6 types behind a hop-by-hop header with a router alert, the last group of the link-scope address that they go to, the
/// hop limit, and whether they must pass.
const LISTENERS: [(u8, Ipv6Addr, u8, bool); 8] = [
    (130, link_scope(1), 1, true),
    (131, link_scope(0x16), 1, true),
    (132, link_scope(2), 1, true),
    (143, link_scope(0x16), 1, true),
    (128, link_scope(1), 1, false),
    (143, link_scope(0x16), 64, false),
    (143, Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x16), 1, false),
    (130, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9), 1, false),
];

const fn link_scope(group: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, group)
}

#[test]
fn a_switch_that_snoops_hears_of_the_groups_of_a_lifeline_and_of_nothing_else() {
    world::inside(
        "link_control::a_switch_that_snoops_hears_of_the_groups_of_a_lifeline_and_of_nothing_else",
        |world| {
            let net = with_a_port(world);
            let (here, there) = (net.at(), &net.world_host.namespace);
            // A bridge that snoops would keep reports to itself.
            ip(here, "link set dev brs type bridge mcast_snooping 0");
            let both = |frame: &[u8]| {
                [
                    arrives(here, "ps0", there, "qs0", frame),
                    arrives(there, "qs0", here, "brs", frame),
                ]
            };
            for (kind, to, hops, _) in LISTENERS {
                assert_eq!(both(&listener(kind, to, hops)), [true; 2], "{kind} to {to} before");
            }
            let daemon = gated(here);
            for (kind, to, hops, passes) in LISTENERS {
                assert_eq!(
                    both(&listener(kind, to, hops)),
                    [passes; 2],
                    "{kind} to {to}, {hops} hops"
                );
            }
            daemon.revert();
        },
    );
}

/// An ICMPv6 message behind a hop-by-hop header, as multicast listener discovery is sent (RFC 3810 section 5).
fn listener(kind: u8, to: Ipv6Addr, hops: u8) -> Vec<u8> {
    const ROUTER_ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];
    let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    let mut message = vec![kind, 0, 0, 0];
    message.resize(24, 0);
    let pseudo = [&from.octets()[..], &to.octets(), &[0, 0, 0, 24, 0, 0, 0, 58], &message].concat();
    let sum = pseudo
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    message[2..4].copy_from_slice(&(!folded).to_be_bytes());
    let [.., a, b, c, d] = to.octets();
    let header = [0x60, 0, 0, 0, 0, 32, 0, hops];
    [
        &[0x33, 0x33, a, b, c, d, 2, 0, 0, 0, 0x50, 0x43, 0x86, 0xdd][..],
        &header,
        &from.octets(),
        &to.octets(),
        &ROUTER_ALERT,
        &message,
    ]
    .concat()
}

fn frame(to: [u8; 6], kind: u16) -> Vec<u8> {
    let mut frame = [
        &to[..],
        &[2, 0, 0, 0, 0x50, 0x43],
        &kind.to_be_bytes(),
        &[0x42, 0x42, 3],
    ]
    .concat();
    frame.resize(14 + usize::from(LENGTH), 0);
    frame
}

fn arrives(from: &Namespace, sends: &str, to: &Namespace, hears: &str, frame: &[u8]) -> bool {
    let there = port(to, hears);
    let sent = port(from, sends).carry(frame, &there, SHORT);
    sent.unwrap().passed()
}

/// A socket for one protocol sends whatever it is given as that: one for all goes by the frame.
fn port(at: &Namespace, link: &str) -> Port {
    let link = link.parse().unwrap();
    at.run(|proof| Port::open(&link, Listen::Everything, proof))
        .unwrap()
        .unwrap()
}
