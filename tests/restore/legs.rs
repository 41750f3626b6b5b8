//! Routes with a leg over a sealed link and a leg over another: refused for seal alone, closed by gate.

use std::collections::BTreeMap;
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

const GROUP: &str = "nexthop add id 1 via 10.0.0.1 dev u0\nnexthop add id 2 via 10.0.9.1 dev m0\n\
    nexthop add id 10 group 1/2\nroute add 10.77.0.0/16 nhid 10";
const OPEN_FIRST: &str = "route add 10.77.0.0/16 nexthop via 10.0.0.1 dev u0 nexthop via 10.0.9.1 dev m0";
const SEALED_FIRST: &str = "route add 10.77.0.0/16 nexthop via 10.0.9.1 dev m0 nexthop via 10.0.0.1 dev u0";
/// The gateway of the first does not answer, so the kernel takes the second.
const DEFAULTS: &str = "route replace default via 10.0.0.99 dev u0\nroute append default via 10.0.9.1 dev m0";

#[test]
fn seal_of_one_leg_is_refused_and_nothing_is_touched() {
    world::inside("legs::seal_of_one_leg_is_refused_and_nothing_is_touched", |world| {
        let (net, _) = split(world, "route add 10.88.0.0/16 via 10.0.0.1");
        let host = Host::start(net.at(), &[policy("seal", Scope::Links(&["m0"]), &["seal"]).file()]);
        for legs in [OPEN_FIRST, SEALED_FIRST, GROUP, DEFAULTS] {
            ip(net.at(), legs);
            let before = state(net.at());
            let error = host.try_declare("seal", &[]).ended(5)["error"].to_string();
            assert!(
                error.contains("plan-refused") && error.contains("(legs-apart)"),
                "{legs}: {error}"
            );
            assert_same(&before, &state(net.at()));
            let undo = match legs {
                GROUP => "route del 10.77.0.0/16\nnexthop del id 10\nnexthop del id 1\nnexthop del id 2",
                DEFAULTS => "route del default via 10.0.9.1 dev m0\nroute replace default via 10.0.0.1",
                _ => "route del 10.77.0.0/16",
            };
            ip(net.at(), undo);
        }
        let id = host.declare("seal");
        host.revert(&id);
    });
}

/// A host with a policy `both` of gate and seal at `m0`, whose plan warns of the route; and its state.
fn gated(world: world::World, legs: &str, warning: &str) -> (Topology, [Sink; 2], Host, String) {
    let (net, mut sinks) = split(world, legs);
    let both = policy("both", Scope::Links(&["m0"]), &["gate", "seal"]);
    let host = Host::start(net.at(), &[both.file()]);
    both_carry(&net, &mut sinks, 1);
    let before = state(net.at());
    let warned = lines(&host.run(&["plan", "both"]).done()["warnings"]).join("\n");
    assert!(warned.contains("10.77.0.0/16") && warned.contains(warning), "{warned}");
    (net, sinks, host, before)
}

#[test]
fn gate_closes_the_sealed_leg_of_a_mixed_route() {
    world::inside("legs::gate_closes_the_sealed_leg_of_a_mixed_route", |world| {
        let (net, mut sinks, host, before) = gated(world, OPEN_FIRST, "is dropped there");
        let id = host.declare("both");
        send(&net, 2);
        wait_until("the permitted leg carries", SOON, || !sinks[0].of(2).contains(&0));
        host.revert(&id);
        // What had leaked would stand in front of these.
        both_carry(&net, &mut sinks, 3);
        assert_eq!(sinks[1].of(2), [0, 0], "over the sealed leg");
        assert_same(&before, &state(net.at()));
    });
}

#[test]
fn a_sealed_first_leg_stops_the_others_as_the_plan_says() {
    world::inside("legs::a_sealed_first_leg_stops_the_others_as_the_plan_says", |world| {
        let (net, mut sinks, host, before) = gated(world, SEALED_FIRST, "stops over all its legs");
        let id = host.declare("both");
        send(&net, 2);
        host.revert(&id);
        both_carry(&net, &mut sinks, 3);
        assert_eq!(sinks.each_mut().map(|s| s.of(2)), [[0, 0]; 2]);
        assert_same(&before, &state(net.at()));
    });
}

#[test]
fn a_route_that_appears_with_legs_on_both_sides_is_named_while_it_is_there() {
    world::inside(
        "legs::a_route_that_appears_with_legs_on_both_sides_is_named_while_it_is_there",
        |world| {
            let (net, _) = split(world, "route add 10.88.0.0/16 via 10.0.0.1");
            let host = Host::start(net.at(), &[policy("seal", Scope::Links(&["m0"]), &["seal"]).file()]);
            let before = state(net.at());
            let id = host.declare("seal");
            // The seal hides the gateways from whoever adds routes, but not from `onlink`.
            let legs = [OPEN_FIRST, SEALED_FIRST].map(|legs| {
                legs.replace("dev u0", "dev u0 onlink")
                    .replace("dev m0", "dev m0 onlink")
            });
            for legs in legs {
                ip(net.at(), &legs);
                host.wait_for("a hole is named", |status| {
                    let named = lines(&status["open_paths"]).join("\n");
                    status["state"] == "degraded" && named.contains("10.77.0.0/16") && named.contains("both sides")
                });
                ip(net.at(), "route del 10.77.0.0/16");
                host.wait_for("in force", |status| status["state"] == "in-force");
            }
            host.revert(&id);
            assert_same(&before, &state(net.at()));
        },
    );
}
