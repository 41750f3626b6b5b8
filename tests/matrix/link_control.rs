//! What keeps a link itself, under a cut by gate that keeps anything: spanning tree, LACP and 802.1X pass, nothing else like
//! them does.

use std::time::Duration;

use portcullis::drill::namespace::Namespace;
use portcullis::drill::probe::frame::{Listen, Port};

use crate::binaries::Daemon;
use crate::methods::Draft;
use crate::world::matrix::SHORT;
use crate::world::topology::Topology;
use crate::world::{self, ip, wait_until};

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
            let policy = Draft::new("\"gate\"", "interfaces = [\"*\"]").with_ssh();
            let daemon = Daemon::start(here, &[("gate", policy.text("gate"))]);
            daemon.declare("gate");
            daemon.assert_in_force();
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
