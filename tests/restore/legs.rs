//! Routes with a leg over a sealed link and a leg over another: nothing leaves by the one, and all by the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use portcullis::drill::namespace::Namespace;

use crate::host::{Host, lines};
use crate::policy::{Scope, policy};
use crate::world::state::{assert_same, state};
use crate::world::topology::Topology;
use crate::world::{self, ip, sysctl, wait_until};

/// Behind either leg, and reached by a route alone.
const FAR: &str = "10.77.0.1";
const PORT: u16 = 7777;
/// Flows of a round; that all of them hash to one leg has a chance of one in 2^63.
const FLOWS: usize = 64;
/// Lookups for one destination, each as of another flow.
const LOOKUPS: usize = 24;
const SOON: Duration = Duration::from_secs(5);

/// What arrived at one far end: how much of each round.
struct Sink {
    socket: UdpSocket,
    seen: BTreeMap<u8, usize>,
}

impl Sink {
    fn new(at: &Namespace) -> Self {
        ip(at, &format!("addr add {FAR}/32 dev lo"));
        let bound: SocketAddr = format!("{FAR}:{PORT}").parse().unwrap();
        let socket = at.run(|_| UdpSocket::bind(bound).unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            seen: BTreeMap::new(),
        }
    }

    /// Of those that the gateway sent itself, and of those that it forwarded.
    fn of(&mut self, round: u8) -> [usize; 2] {
        let mut datagram = [0];
        while self.socket.recv(&mut datagram).is_ok() {
            *self.seen.entry(datagram[0]).or_default() += 1;
        }
        [0, 1].map(|origin| self.seen.get(&mark(round, origin)).copied().unwrap_or(0))
    }
}

/// What a datagram says of itself: its round, and whether it is forwarded.
fn mark(round: u8, origin: u8) -> u8 {
    2 * round + origin
}

/// A gateway with a route to both far ends, its legs in the given order, and who listens there: behind `u0`, behind `m0`.
fn split(world: world::World, legs: &str) -> (Topology, [Sink; 2]) {
    let net = Topology::gateway(world);
    sysctl(net.at(), "net.ipv4.fib_multipath_hash_policy", "1");
    ip(net.at(), legs);
    let far = [&net.router, &net.management_m0];
    let sinks = far.map(|node| Sink::new(&node.namespace));
    for node in far {
        sysctl(&node.namespace, "net.ipv4.conf.all.rp_filter", "0");
        sysctl(&node.namespace, &format!("net.ipv4.conf.{}.rp_filter", node.link), "0");
    }
    (net, sinks)
}

/// One datagram of each flow, from the gateway itself and through it.
fn send(net: &Topology, round: u8) {
    let inside = &net.inside.as_ref().unwrap().namespace;
    for (origin, from) in [net.at(), inside].into_iter().enumerate() {
        let mark = mark(round, u8::try_from(origin).unwrap());
        for _ in 0..FLOWS {
            let socket = from.run(|_| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
            // A refusal is what a cut answers.
            drop(socket.send_to(&[mark], (FAR, PORT)));
        }
    }
}

/// Both legs carry what is sent now.
#[track_caller]
fn both_carry(net: &Topology, sinks: &mut [Sink; 2], round: u8) {
    send(net, round);
    wait_until("both legs carry", SOON, || {
        sinks.iter_mut().all(|s| !s.of(round).contains(&0))
    });
}

/// What all flows of a round are, of the gateway's own and of the forwarded ones.
const ALL: [usize; 2] = [FLOWS, FLOWS];

const GROUP: &str = "nexthop add id 1 via 10.0.0.1 dev u0\nnexthop add id 2 via 10.0.9.1 dev m0\n\
    nexthop add id 10 group 1/2\nroute add 10.77.0.0/16 nhid 10";
const SEALED_FIRST_GROUP: &str = "nexthop add id 1 via 10.0.0.1 dev u0\nnexthop add id 2 via 10.0.9.1 dev m0\n\
    nexthop add id 10 group 2,3/1,2\nroute add 10.77.0.0/16 nhid 10";
const OPEN_FIRST: &str = "route add 10.77.0.0/16 nexthop via 10.0.0.1 dev u0 nexthop via 10.0.9.1 dev m0";
const SEALED_FIRST: &str = "route add 10.77.0.0/16 nexthop via 10.0.9.1 dev m0 nexthop via 10.0.0.1 dev u0";
const DEFAULT: &str = "route replace default nexthop via 10.0.0.1 dev u0 nexthop via 10.0.9.1 dev m0";
/// The kernel takes the first of equal default routes, unless its gateway does not answer.
const EQUALS: &str = "route replace default via 10.0.9.1 dev m0\nroute append default via 10.0.0.1 dev u0";

#[test]
fn a_seal_of_one_leg_leaves_all_flows_to_the_other() {
    world::inside("legs::a_seal_of_one_leg_leaves_all_flows_to_the_other", |world| {
        let (net, mut sinks) = split(world, "route add 10.88.0.0/16 via 10.0.0.1");
        let policies = [
            policy("seal", Scope::Links(&["m0"]), &["seal"]).file(),
            policy("both", Scope::Links(&["m0"]), &["gate", "seal"]).file(),
        ];
        let host = Host::start(net.at(), &policies);
        let cases = [
            ("seal", OPEN_FIRST),
            ("seal", SEALED_FIRST),
            ("both", SEALED_FIRST),
            ("seal", GROUP),
            ("seal", SEALED_FIRST_GROUP),
            ("seal", DEFAULT),
            ("seal", EQUALS),
        ];
        for (case, (policy, legs)) in (0..).zip(cases) {
            let [during, after] = [2 * case, 2 * case + 1];
            ip(net.at(), legs);
            let before = state(net.at());
            let id = host.declare(policy);
            send(&net, during);
            wait_until("all goes over the permitted leg", SOON, || sinks[0].of(during) == ALL);
            host.revert(&id);
            assert_same(&before, &state(net.at()));
            if legs != EQUALS {
                both_carry(&net, &mut sinks, after);
            }
            // What had leaked would stand in front of these.
            assert_eq!(sinks[1].of(during), [0, 0], "over the sealed leg: {policy}, {legs}");
            ip(net.at(), undo(legs));
        }
    });
}

fn undo(legs: &str) -> &'static str {
    match legs {
        GROUP | SEALED_FIRST_GROUP => "route del 10.77.0.0/16\nnexthop del id 10\nnexthop del id 1\nnexthop del id 2",
        DEFAULT => "route replace default via 10.0.0.1",
        EQUALS => "route del default via 10.0.9.1 dev m0",
        _ => "route del 10.77.0.0/16",
    }
}

/// Nested routes of both families; those over one leg have one metric, those over the other another.
const NESTED: &str = "route replace default nexthop via 10.0.0.1 dev u0 nexthop via 10.0.9.1 dev m0
    route add 10.80.0.0/16 nexthop via 10.0.9.1 dev m0 nexthop via 10.0.0.1 dev u0
    route add 10.80.1.0/24 via 10.0.9.1 dev m0
    route add 10.80.2.0/24 via 10.0.0.1 dev u0
    route add throw 10.80.3.0/24
    route add 10.81.0.0/16 metric 10 nexthop via 10.0.0.1 dev u0 nexthop via 10.0.9.1 dev m0
    route add 10.81.0.0/16 metric 20 via 10.0.9.1 dev m0
    route add 10.82.0.0/16 metric 10 via 10.0.9.1 dev m0
    route add 10.82.0.0/16 metric 20 nexthop via 10.0.0.1 dev u0 nexthop via 10.0.9.1 dev m0
    route add 10.83.0.0/16 table 100 nexthop via 10.0.0.1 dev u0 nexthop via 10.0.9.1 dev m0
    route add fd40::/16 nexthop via fd00:0::1 dev u0 nexthop via fd00:9::1 dev m0
    route add fd40:1::/32 via fd00:9::1 dev m0
    route add fd40:2::/32 via fd00:0::1 dev u0
    nexthop add id 21 via fd00:0::1 dev u0
    nexthop add id 22 via fd00:9::1 dev m0
    nexthop add id 20 group 22/21
    route add fd41::/16 nhid 20
    rule add pref 500 to 10.83.0.0/17 lookup 100
    rule add pref 501 not to 10.83.0.0/16 lookup 100";

/// Where packets to an address may go by the kernel's own word, as it would hash so many flows: `-` is nowhere.
fn ways(net: &Topology, to: &str, forwarded: bool) -> BTreeSet<String> {
    let v6 = to.contains(':');
    let from = match (forwarded, v6) {
        (false, _) => "",
        (true, false) => " from 10.0.5.2 iif i0",
        (true, true) => " from fd00:5::2 iif i0",
    };
    let device = |port: usize| {
        let line = format!("ip route get {to}{from} ipproto udp sport {} dport 9", 2000 + port);
        let answer = world::try_line(net.at(), &line).unwrap_or_default();
        let mut words = answer.split_whitespace();
        words
            .find(|w| *w == "dev")
            .and_then(|_| words.next())
            .unwrap_or("-")
            .to_owned()
    };
    (0..LOOKUPS).map(device).collect()
}

#[test]
fn the_kernel_finds_the_permitted_legs_alone_and_passes_sealed_routes_on() {
    world::inside(
        "legs::the_kernel_finds_the_permitted_legs_alone_and_passes_sealed_routes_on",
        |world| {
            let (net, _) = split(world, "route add 10.88.0.0/16 via 10.0.0.1");
            sysctl(net.at(), "net.ipv6.fib_multipath_hash_policy", "1");
            ip(net.at(), NESTED);
            let host = Host::start(net.at(), &[policy("seal", Scope::Links(&["m0"]), &["seal"]).file()]);
            let (both, open, none): (&[&str], &[&str], &[&str]) = (&["m0", "u0"], &["u0"], &["-"]);
            let sealed: &[&str] = &["m0"];
            let table = [
                ("192.0.2.1", both, open),
                ("10.80.9.1", both, open),
                ("10.80.1.1", sealed, none),
                ("10.80.2.1", open, open),
                ("10.0.9.77", sealed, none),
                ("10.81.0.1", both, open),
                ("10.82.0.1", sealed, none),
                ("10.83.0.1", both, open),
                ("fd40:9::1", both, open),
                ("fd40:1::1", sealed, none),
                ("fd40:2::1", open, open),
                ("fd41::1", both, open),
            ];
            let as_wanted = |wanted: &[&str]| wanted.iter().map(|w| (*w).to_owned()).collect::<BTreeSet<_>>();
            let before = state(net.at());
            let id = host.declare("seal");
            for (to, _, during) in table {
                for forwarded in [false, true] {
                    assert_eq!(
                        ways(&net, to, forwarded),
                        as_wanted(during),
                        "to {to}, forwarded: {forwarded}"
                    );
                }
            }
            host.revert(&id);
            for (to, usual, _) in table {
                assert_eq!(ways(&net, to, false), as_wanted(usual), "to {to}");
            }
            assert_same(&before, &state(net.at()));
        },
    );
}

#[test]
fn a_route_that_appears_with_legs_on_both_sides_is_gone_around_while_it_is_there() {
    world::inside(
        "legs::a_route_that_appears_with_legs_on_both_sides_is_gone_around_while_it_is_there",
        |world| {
            let (net, _) = split(world, "route add 10.88.0.0/16 via 10.0.0.1");
            let host = Host::start(net.at(), &[policy("seal", Scope::Links(&["m0"]), &["seal"]).file()]);
            let before = state(net.at());
            let id = host.declare("seal");
            let held = state(net.at());
            // The seal hides the gateways from whoever adds routes, but not from `onlink`.
            let legs = [OPEN_FIRST, SEALED_FIRST].map(|legs| {
                legs.replace("dev u0", "dev u0 onlink")
                    .replace("dev m0", "dev m0 onlink")
            });
            let open = BTreeSet::from(["u0".to_owned()]);
            for legs in legs {
                ip(net.at(), &legs);
                for forwarded in [false, true] {
                    wait_until("it is gone around", SOON, || {
                        let detour = world::run(net.at(), "ip", &["rule"]).contains("to 10.77.0.0/16");
                        detour && ways(&net, FAR, forwarded) == open
                    });
                }
                host.wait_for("in force", |status| {
                    status["state"] == "in-force" && lines(&status["open_paths"]).is_empty()
                });
                ip(net.at(), "route del 10.77.0.0/16");
                wait_until("the detour is gone", SOON, || state(net.at()) == held);
                host.wait_for("in force", |status| status["state"] == "in-force");
            }
            host.revert(&id);
            assert_same(&before, &state(net.at()));
        },
    );
}

#[test]
fn zones_are_kept_apart_by_legs_and_a_killed_daemon_leaves_that_so() {
    world::inside(
        "legs::zones_are_kept_apart_by_legs_and_a_killed_daemon_leaves_that_so",
        |world| {
            let (net, mut sinks) = split(world, OPEN_FIRST);
            let (name, file) = policy("zones", Scope::Links(&["m0"]), &["seal"]).file();
            let zones = "\n\n[[scope.zones]]\nname = \"a\"\ninterfaces = [\"i0\"]\n\
                [[scope.zones]]\nname = \"b\"\ninterfaces = [\"m0\"]\n\n[methods]";
            let file = file
                .replace("interfaces = [\"m0\"]\n", "")
                .replace("\"in\", \"out\", \"forward\"", "\"forward\"")
                .replace("\n\n[methods]", zones);
            let policies = [(name, file)];
            let host = Host::start(net.at(), &policies);
            let before = state(net.at());
            let id = host.declare(name);
            host.kill();
            send(&net, 1);
            // What the gateway sends itself is in no zone.
            wait_until("what is forwarded goes over the open leg", SOON, || {
                let [own, forwarded] = sinks[0].of(1);
                forwarded == FLOWS && own + sinks[1].of(1)[0] == FLOWS
            });
            assert_eq!(sinks[1].of(1)[1], 0, "forwarded into the other zone");
            let host = Host::start(net.at(), &policies);
            host.revert(&id);
            both_carry(&net, &mut sinks, 2);
            assert_same(&before, &state(net.at()));
        },
    );
}
