//! Emergencies that overlap: each ends alone, what the others cut stays cut, and the last one's end is the baseline.

use std::time::Duration;

use portcullis::drill::probe::Origin;
use portcullis::drill::probe::echo::Echo;
use portcullis::drill::probe::prober::{EVERY, Loss, Prober, Watched};
use portcullis::model::object::Family;

use crate::flood::Flood;
use crate::host::Host;
use crate::policy::{Policy, Scope, policy};
use crate::world::state::{assert_same, state, without_order};
use crate::world::topology::{Topology, nasty};
use crate::world::{self, World, sysctl, wait_for_dad, wait_until};

/// The lifeline's port.
const PORT: u16 = 7007;
/// The port of what is forbidden.
const FORBIDDEN: u16 = 9009;
/// While `clsact` is put on a link that is up, or taken off, the kernel stops the link's transmit queues and drops what is
/// sent (`dev_deactivate()` in `qdisc_graft()`, `net/sched/sch_api.c`): 14 ms were measured with tc(8) alone, and more on
/// a machine that is busy otherwise. Beyond this, it is not that.
const CLSACT_PAUSE: Duration = Duration::from_secs(3);
/// So many probes must have been made while emergencies change.
const ENOUGH: u64 = 20;

/// Begins and ends the policies in every order. Whatever the order, all of them cut what is forbidden.
fn in_every_order(world: World, policies: &[Policy]) {
    let net = Topology::host(world);
    // Detection is tested elsewhere; here it would be waited for dozens of times.
    for link in ["u0", "m0", "default"] {
        sysctl(net.at(), &format!("net.ipv6.conf.{link}.accept_dad"), "0");
    }
    nasty(net.at());
    // A withdrawn route stops nothing that comes in.
    let inbound = policies.iter().all(|p| p.file().0 != "routes");
    let gate_over_lifeline = policies.iter().any(Policy::gates_everything);
    let names: Vec<&str> = policies.iter().map(|p| p.file().0).collect();
    let files: Vec<_> = policies.iter().map(Policy::file).collect();
    let host = Host::start(net.at(), &files);
    let peer = &net.management_m0;
    let at = Family::BOTH.map(|family| peer.at(family, PORT));
    let echo = peer
        .namespace
        .run(|proof| Echo::start(&at, &Origin::any(proof)))
        .unwrap()
        .unwrap();
    let lifelines = at.map(|to| {
        net.at()
            .run(|proof| Prober::start(to, &Origin::any(proof)))
            .unwrap()
            .unwrap()
    });
    let forbidden: Vec<Flood> = Family::BOTH
        .into_iter()
        .flat_map(|family| {
            let to = net.world_host.at(family, FORBIDDEN);
            let back = net.subject.at(family, FORBIDDEN);
            let outbound = Flood::start(net.at(), &net.world_host.namespace, to);
            let inbound = inbound.then(|| Flood::start(&net.world_host.namespace, net.at(), back));
            [Some(outbound), inbound].into_iter().flatten()
        })
        .collect();
    passes(&forbidden);
    let before = state(net.at());
    for begin in orders(names.len()) {
        for end in orders(names.len()) {
            let mut ids = vec![String::new(); names.len()];
            let mut seen = Vec::new();
            for (place, which) in begin.iter().enumerate() {
                ids[*which] = host.declare(names[*which]);
                if place == 0 {
                    seen = forbidden.iter().map(Flood::sent).collect();
                }
            }
            for (place, which) in end.iter().enumerate() {
                if place + 1 == names.len() {
                    let how = || format!("begun {begin:?}, ended {end:?}");
                    stopped(&forbidden, &seen, how);
                }
                host.revert(&ids[*which]);
            }
            wait_for_dad(net.at());
            assert_same(&without_order(&before), &without_order(&state(net.at())));
            passes(&forbidden);
        }
    }
    for flood in forbidden {
        flood.stop();
    }
    let longest = lifelines.map(|lifeline| longest_gap(&lifeline.stop().unwrap()));
    eprintln!("the longest gaps of the lifelines, IPv4 and IPv6: {longest:?}");
    // Only a gate over the lifeline's own link touches its queues.
    let most = if gate_over_lifeline {
        CLSACT_PAUSE
    } else {
        Duration::ZERO
    };
    assert!(longest.iter().all(|gap| *gap <= most), "{longest:?}");
    drop(echo);
}

/// The longest time in which every probe was lost; zero if none was.
fn longest_gap(watched: &Watched) -> Duration {
    let close = |a: &Loss, b: &Loss| b.after - a.after < EVERY * 2;
    let runs = watched.lost.chunk_by(close);
    runs.map(|run| run[run.len() - 1].after - run[0].after + EVERY)
        .max()
        .unwrap_or_default()
}

/// Nothing forbidden that was sent since has arrived, though it was sent all the time.
#[track_caller]
fn stopped(forbidden: &[Flood], sent: &[u64], how: impl Fn() -> String) {
    wait_until("enough was sent", Duration::from_secs(5), || {
        forbidden.iter().zip(sent).all(|(f, sent)| f.sent() >= sent + ENOUGH)
    });
    let leaked: Vec<bool> = forbidden
        .iter()
        .zip(sent)
        .map(|(f, sent)| f.last() > sent + 1)
        .collect();
    assert!(!leaked.contains(&true), "leaked: {leaked:?}; {}", how());
}

/// Without a cut all of it arrives.
#[track_caller]
fn passes(forbidden: &[Flood]) {
    for flood in forbidden {
        let sent = flood.sent();
        wait_until("what is forbidden under a cut passes", Duration::from_secs(10), || {
            flood.last() > sent + 1
        });
    }
}

fn orders(of: usize) -> Vec<Vec<usize>> {
    if of == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(of - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, of - 1);
        order
    };
    shorter
        .iter()
        .flat_map(|order| (0..of).map(move |at| insert(order, at)))
        .collect()
}

fn with_lifeline(policy: Policy) -> Policy {
    policy.lifeline(&["10.0.9.1", "fd00:9::1"], PORT)
}

const WITHDRAWN: &str = "withdraw-default = true";

#[test]
fn the_whole_host_gated_twice() {
    world::inside("overlap::the_whole_host_gated_twice", |world| {
        let gate = with_lifeline(policy("gate", Scope::Whole, &["gate"]));
        in_every_order(world, &[gate.clone(), gate]);
    });
}

#[test]
fn the_whole_host_sealed_twice() {
    world::inside("overlap::the_whole_host_sealed_twice", |world| {
        let seal = with_lifeline(policy("seal", Scope::Whole, &["seal"]));
        in_every_order(world, &[seal.clone(), seal]);
    });
}

#[test]
fn the_whole_host_gated_and_sealed() {
    world::inside("overlap::the_whole_host_gated_and_sealed", |world| {
        let gate = with_lifeline(policy("gate", Scope::Whole, &["gate"]));
        let seal = with_lifeline(policy("seal", Scope::Whole, &["seal"]));
        let both = with_lifeline(policy("both", Scope::Whole, &["gate", "seal"]));
        in_every_order(world, &[gate, seal, both]);
    });
}

#[test]
fn the_whole_host_gated_and_routes_withdrawn() {
    world::inside("overlap::the_whole_host_gated_and_routes_withdrawn", |world| {
        let gate = with_lifeline(policy("gate", Scope::Whole, &["gate"]));
        let routes = with_lifeline(policy("routes", Scope::Links(&["u0"]), &["routes"]).routes(WITHDRAWN));
        in_every_order(world, &[gate, routes]);
    });
}

#[test]
fn a_link_sealed_and_down() {
    world::inside("overlap::a_link_sealed_and_down", |world| {
        // Seal takes all legs of the multipath routes or none.
        let seal = with_lifeline(policy("seal", Scope::Links(&["u0", "m0"]), &["seal"]));
        let link = with_lifeline(policy("link", Scope::Links(&["u0"]), &["link"]));
        in_every_order(world, &[seal, link]);
    });
}

#[test]
fn a_link_down_gated_and_its_routes_withdrawn() {
    world::inside("overlap::a_link_down_gated_and_its_routes_withdrawn", |world| {
        let gate = with_lifeline(policy("gate", Scope::Links(&["u0"]), &["gate"]));
        let link = with_lifeline(policy("link", Scope::Links(&["u0"]), &["link"]));
        let routes = with_lifeline(policy("routes", Scope::Links(&["u0"]), &["routes"]).routes(WITHDRAWN));
        in_every_order(world, &[gate, link, routes]);
    });
}

#[test]
fn one_policy_twice() {
    world::inside("overlap::one_policy_twice", |world| {
        let both = with_lifeline(policy("both", Scope::Links(&["u0"]), &["gate", "seal"]));
        in_every_order(world, &[both.clone(), both]);
    });
}

#[test]
fn a_link_down_twice() {
    world::inside("overlap::a_link_down_twice", |world| {
        let link = with_lifeline(policy("link", Scope::Links(&["u0"]), &["link"]));
        in_every_order(world, &[link.clone(), link]);
    });
}

#[test]
fn a_group_of_nexthops_over_two_cut_links_comes_back_whole() {
    world::inside(
        "overlap::a_group_of_nexthops_over_two_cut_links_comes_back_whole",
        |world| {
            let net = Topology::host(world);
            nasty(net.at());
            wait_for_dad(net.at());
            let policies = [
                policy("u0", Scope::Links(&["u0"]), &["link"]),
                policy("m0", Scope::Links(&["m0"]), &["link"]),
            ];
            let files: Vec<_> = policies.iter().map(Policy::file).collect();
            let host = Host::start(net.at(), &files);
            let now = || {
                wait_for_dad(net.at());
                without_order(&state(net.at()))
            };
            let before = now();
            assert!(before.contains("id 13 group 11"), "the group is there: {before}");
            for (begin, end) in [([0, 1], [0, 1]), ([0, 1], [1, 0]), ([1, 0], [0, 1]), ([1, 0], [1, 0])] {
                let mut ids = [String::new(), String::new()];
                for i in begin {
                    ids[i] = host.declare(policies[i].file().0);
                }
                for i in end {
                    host.revert(&ids[i]);
                }
                assert_same(&before, &now());
            }
            host.stop();
        },
    );
}
