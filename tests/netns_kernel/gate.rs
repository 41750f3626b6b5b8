//! Filters, with packets.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use portcullis::drill::namespace::Namespace;
use portcullis::kernel::netlink::Netlink;
use portcullis::model::change::{Change, Outcome};
use portcullis::model::object::{Attach, Filter, FilterEntries, Qdisc, U32Match, Verdict};
use portcullis::model::snapshot::Object;

use crate::round_trip::assert_same;
use crate::world::{inside, run, script, sysctl};
use crate::{addresses_have_settled, apply, our_ifb, snapshot, wait_for};

const SINK: u32 = 4242;
const INGRESS: Attach = Attach::Block(21);
const EGRESS: Attach = Attach::Block(22);
const ARP: u16 = 0x0806;
const V4: u16 = 0x0800;
const V6: u16 = 0x86dd;
const ALL: u16 = 0x0003;
/// The lifeline's port, and one that is cut.
const KEPT: u16 = 7;
const CUT: u16 = 9;

fn at(offset: i32, mask: u32, value: u32) -> U32Match {
    U32Match { offset, value, mask }
}

fn filter(attach: Attach, preference: u16, protocol: u16, rows: Vec<(Vec<U32Match>, Verdict)>) -> Filter {
    Filter {
        attach,
        preference,
        protocol,
        chain: 0,
        kind: "u32".to_owned(),
        entries: FilterEntries::U32(rows),
    }
}

/// ARP, neighbour discovery and UDP to and from the kept port.
fn lifelines() -> Vec<Filter> {
    let everything = vec![(vec![at(0, 0, 0)], Verdict::Pass)];
    let udp4 = at(8, 0x00ff_0000, 0x0011_0000);
    let (udp6, icmp6) = (at(4, 0x0000_ff00, 0x0000_1100), at(4, 0x0000_ff00, 0x0000_3a00));
    let source = |offset| at(offset, 0xffff_0000, u32::from(KEPT) << 16);
    let destination = |offset| at(offset, 0x0000_ffff, u32::from(KEPT));
    let v6 = |port| vec![(vec![icmp6], Verdict::Pass), (vec![udp6, port], Verdict::Pass)];
    vec![
        filter(INGRESS, 10, ARP, everything.clone()),
        filter(INGRESS, 11, V4, vec![(vec![udp4, source(20)], Verdict::Pass)]),
        filter(INGRESS, 12, V6, v6(source(40))),
        filter(EGRESS, 10, ARP, everything),
        filter(EGRESS, 11, V4, vec![(vec![udp4, destination(20)], Verdict::Pass)]),
        filter(EGRESS, 12, V6, v6(destination(40))),
    ]
}

fn flips() -> Vec<Filter> {
    let drop = |attach| filter(attach, 100, ALL, vec![(vec![at(0, 0, 0)], Verdict::DropInto(SINK))]);
    vec![drop(INGRESS), drop(EGRESS)]
}

fn add(filters: &[Filter]) -> Vec<Change> {
    filters
        .iter()
        .cloned()
        .map(|f| Change::Add(Object::Filter(f)))
        .collect()
}

fn delete(filters: &[Filter]) -> Vec<Change> {
    filters
        .iter()
        .cloned()
        .map(|f| Change::Delete(Object::Filter(f)))
        .collect()
}

/// A host beyond the link that echoes datagrams on both ports, until the test process ends.
fn peer(here: &Namespace) {
    for every in ["default", "all"] {
        sysctl(here, &format!("net.ipv6.conf.{every}.accept_dad"), "0");
    }
    script(
        here,
        "ip netns add peer
         ip link add ua0 type veth peer name ub0
         ip link set ub0 netns peer
         ip link set ua0 up
         ip addr add 10.1.0.1/24 dev ua0
         ip addr add 2001:db8::1/64 dev ua0 nodad
         ip -n peer link set ub0 up
         ip -n peer addr add 10.1.0.2/24 dev ub0
         ip -n peer addr add 2001:db8::2/64 dev ub0 nodad",
    );
    let (ready, listening) = mpsc::channel();
    std::thread::spawn(move || {
        let there = std::fs::File::open("/run/netns/peer").expect("just made");
        nix::sched::setns(there, nix::sched::CloneFlags::CLONE_NEWNET).expect("we own it");
        let sockets = [KEPT, CUT].map(|port| UdpSocket::bind(("::", port)).expect("a free port"));
        for socket in sockets {
            let ready = ready.clone();
            std::thread::spawn(move || {
                ready.send(()).expect("the test waits");
                let mut buffer = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    // Under a cut the answer cannot leave; the next datagram is answered again.
                    drop(socket.send_to(&buffer[..length], from));
                }
            });
        }
    });
    for _ in 0..2 {
        listening
            .recv_timeout(Duration::from_secs(5))
            .expect("the peer listens");
    }
}

/// Whether a datagram to the peer's port is answered.
fn answered(address: &str, port: u16, tries: u32) -> bool {
    let address: IpAddr = address.parse().expect("an address");
    let here: SocketAddr = match address {
        IpAddr::V4(_) => "0.0.0.0:0".parse().expect("an address"),
        IpAddr::V6(_) => "[::]:0".parse().expect("an address"),
    };
    let socket = UdpSocket::bind(here).expect("a port");
    socket
        .set_read_timeout(Some(Duration::from_millis(250)))
        .expect("a time");
    (0..tries).any(|_| {
        // A cut may refuse the send: that is no answer either.
        socket.send_to(b"?", (address, port)).is_ok() && socket.recv(&mut [0; 8]).is_ok()
    })
}

fn reach() -> [bool; 4] {
    let open = |address, port| answered(address, port, if port == KEPT { 10 } else { 2 });
    [
        open("10.1.0.2", KEPT),
        open("2001:db8::2", KEPT),
        open("10.1.0.2", CUT),
        open("2001:db8::2", CUT),
    ]
}

#[test]
fn a_gate_drops_everything_but_lifelines_and_is_undone() {
    inside("gate::a_gate_drops_everything_but_lifelines_and_is_undone", |world| {
        let here = world.own();
        peer(&here);
        let mut kernel = Netlink::open().expect("sockets");
        assert_eq!(reach(), [true; 4]);
        wait_for(&mut kernel, "addresses have settled", addresses_have_settled);
        let before = snapshot(&mut kernel);
        let link = before.link_named(&"ua0".parse().expect("a name")).expect("made").index;
        let qdisc = Object::Qdisc(Qdisc {
            link,
            kind: "clsact".to_owned(),
            handle: Qdisc::CLSACT_HANDLE,
            parent: Qdisc::CLSACT_PARENT,
            ingress_block: Some(21),
            egress_block: Some(22),
        });
        let sink = Object::Link(our_ifb(SINK));
        let ground = [Change::Add(sink.clone()), Change::Add(qdisc.clone())];
        assert_eq!(apply(&mut kernel, &ground), [Outcome::Applied; 2]);
        assert_eq!(apply(&mut kernel, &ground), [Outcome::AlreadySo; 2]);

        assert_eq!(apply(&mut kernel, &add(&lifelines())), [Outcome::Applied; 6]);
        assert_eq!(
            apply(&mut kernel, &add(&lifelines())),
            [Outcome::AlreadySo; 6],
            "no row stands twice"
        );
        assert_eq!(reach(), [true; 4], "lifelines alone change nothing");
        assert_eq!(apply(&mut kernel, &add(&flips())), [Outcome::Applied; 2]);
        assert_eq!(
            reach(),
            [true, true, false, false],
            "{}",
            run(&here, "tc", &["-s", "filter", "show", "block", "22"])
        );

        let now = snapshot(&mut kernel);
        let mut written: Vec<Filter> = lifelines().into_iter().chain(flips()).collect();
        written.sort_by_key(|f| (f.attach, f.chain, f.preference));
        assert_eq!(now.filters, written, "what is read is what was written, in its order");
        assert!(now.qdiscs.iter().any(|q| Object::Qdisc(q.clone()) == qdisc));

        assert_eq!(apply(&mut kernel, &delete(&flips())), [Outcome::Applied; 2]);
        assert_eq!(apply(&mut kernel, &delete(&flips())), [Outcome::AlreadySo; 2]);
        assert_eq!(reach(), [true; 4]);
        let clear = [delete(&lifelines()), vec![Change::Delete(qdisc), Change::Delete(sink)]].concat();
        assert_eq!(apply(&mut kernel, &clear), [Outcome::Applied; 8]);
        assert_eq!(
            apply(&mut kernel, &clear),
            [Outcome::AlreadySo; 8],
            "also without the place they hung on"
        );
        assert_same(&before, &snapshot(&mut kernel));
    });
}

#[test]
fn rows_keep_their_order_and_filters_of_others_are_foreign() {
    inside(
        "gate::rows_keep_their_order_and_filters_of_others_are_foreign",
        |world| {
            script(
            &world.own(),
            "ip link add ua0 type veth peer name ub0
             ip link add ifb7 type ifb
             tc qdisc add dev ua0 clsact
             tc filter add dev ua0 ingress pref 5 protocol ip u32 match ip src 10.0.0.1 flowid 1:1
             tc filter add dev ua0 ingress pref 5 protocol ip u32 match ip src 10.0.0.2 flowid 1:1
             tc filter add dev ua0 ingress pref 6 protocol all u32 match u32 0 0 action mirred egress redirect dev ifb7",
        );
            let mut kernel = Netlink::open().expect("sockets");
            let before = snapshot(&mut kernel);
            let link = before.link_named(&"ua0".parse().expect("a name")).expect("made").index;
            let rows = (0..300)
                .map(|n| (vec![at(12, u32::MAX, n), at(16, 0xff, 300 - n)], Verdict::Pass))
                .collect();
            let ours = filter(Attach::Ingress(link), 7, V4, rows);
            let side = filter(Attach::Egress(link), 7, V6, vec![(vec![at(8, !0, 1)], Verdict::Pass)]);
            assert_eq!(
                apply(&mut kernel, &add(&[ours.clone(), side.clone()])),
                [Outcome::Applied; 2]
            );
            let now = snapshot(&mut kernel).filters;
            let foreign: Vec<_> = now
                .iter()
                .map(|f| (f.preference, matches!(f.entries, FilterEntries::Foreign(_))))
                .collect();
            assert_eq!(foreign, [(5, true), (6, true), (7, false), (7, false)]);
            assert!(
                matches!(&now[0].entries, FilterEntries::Foreign(handles) if handles.len() == 2),
                "{:?}",
                now[0]
            );
            assert_eq!(now[2..], [ours.clone(), side.clone()]);

            let not_theirs = Filter {
                preference: 5,
                kind: "bpf".to_owned(),
                ..ours.clone()
            };
            let refused =
                portcullis::kernel::Kernel::apply(&mut kernel, &delete(&[not_theirs])).expect("the transport");
            assert!(refused[0].is_err(), "another kind at this preference is not hit");
            apply(&mut kernel, &delete(&[ours, side]));
            assert_eq!(snapshot(&mut kernel), before);

            // u32 gives the rows of both sides to a list of one where their preferences are equal.
            let beside = filter(
                Attach::Egress(link),
                5,
                ALL,
                vec![(vec![at(0, 0, 0)], Verdict::DropInto(link))],
            );
            apply(&mut kernel, &add(std::slice::from_ref(&beside)));
            let now = snapshot(&mut kernel).filters;
            assert_eq!(now[..2], before.filters[..2], "theirs is as before");
            assert_eq!(now[2..], [beside]);
        },
    );
}
