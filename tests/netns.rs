//! The test world tested: it is closed, its networks are whole, and its probes tell a cut from none.

mod world;

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use portcullis::drill::links::{Builder, Detection, End};
use portcullis::drill::namespace::{Namespace, NamespaceError, refuse_initial};
use portcullis::drill::probe::prober::Prober;
use portcullis::drill::probe::{Answer, Origin, echo::Echo, icmp, tcp, udp};
use portcullis::model::names::InterfaceName;
use portcullis::model::object::Family;
use portcullis::model::plan::{Coverage, CoverageRow, Fate, Traffic};
use world::matrix::{Matrix, Outcome, PATIENT, Row, SHORT};
use world::state::{assert_same, state, without_order};
use world::topology::{Topology, nasty};
use world::{Kid, ip, ip6, run, tc, try_run, wait_until};

fn name(text: &str) -> InterfaceName {
    text.parse().expect("a name written in this file")
}

#[test]
fn the_world_is_not_the_host() {
    world::inside("the_world_is_not_the_host", |world| {
        let outside = std::env::var("PORTCULLIS_TEST_OUTSIDE").unwrap().parse().unwrap();
        assert!(refuse_initial(Some(outside)).is_ok());
        let own = portcullis::drill::namespace::NamespaceId::current().unwrap();
        assert!(matches!(refuse_initial(Some(own)), Err(NamespaceError::Initial { .. })));
        let a = world.namespace("a");
        let links = run(&a, "ip", &["-br", "link"]);
        assert_eq!(links.lines().count(), 1, "a new namespace has a loopback only: {links}");
        assert!(run(&a, "ip", &["netns", "list"]).starts_with('a'));
        run(&a, "ip", &["netns", "exec", "a", "true"]);
    });
}

#[test]
#[should_panic(expected = "failed in its world")]
fn a_failure_inside_is_a_failure_outside() {
    world::inside("a_failure_inside_is_a_failure_outside", |_| std::process::abort());
}

#[test]
#[should_panic(expected = "no test ran in the world")]
fn a_misspelt_test_is_a_failure() {
    world::inside("a_misspelt_test", |_| {});
}

#[test]
fn links_are_built_and_read_back() {
    world::inside("links_are_built_and_read_back", |world| {
        let here = Namespace::new("here", world.proof()).unwrap();
        let there = Namespace::new("there", world.proof()).unwrap();
        here.run(|proof| {
            let (u0, u1, v0) = (name("u0"), name("u1"), name("v0"));
            let builder = Builder::open(proof).unwrap();
            let near = End {
                index: Some(42),
                mac: Some([2, 0, 0, 0, 0, 1]),
                mtu: Some(1400),
                ..End::named(&u0)
            };
            let far = End {
                mac: Some([2, 0, 0, 0, 0, 2]),
                mtu: Some(1400),
                ..End::named(&v0)
            };
            builder.add_veth(&near, &far, &there).unwrap();
            let seen = builder.link(&u0).unwrap();
            assert_eq!((seen.index, seen.mtu, seen.up), (42, 1400, false));
            builder.set_mac(&u0, [2, 0, 0, 0, 0, 3]).unwrap();
            builder.set_mtu(&u0, 1300).unwrap();
            builder.rename(&u0, &u1).unwrap();
            builder.set_up(&u1).unwrap();
            builder
                .add_address(&u1, "10.1.0.1/24".parse().unwrap(), Detection::Run)
                .unwrap();
            builder
                .add_address(&u1, "fd01::1/64".parse().unwrap(), Detection::Skip)
                .unwrap();
            there
                .run(|proof| Builder::open(proof).unwrap().set_up(&v0))
                .unwrap()
                .unwrap();
            wait_until("the veth pair has a carrier", PATIENT, || {
                builder.link(&u1).unwrap().carrier
            });
            builder
                .add_route("10.2.0.0/16".parse().unwrap(), Some("10.1.0.2".parse().unwrap()), None)
                .unwrap();
            builder
                .add_route(
                    "0.0.0.0/0".parse().unwrap(),
                    Some("10.1.0.2".parse().unwrap()),
                    Some(&u1),
                )
                .unwrap();
            builder
                .add_route("::/0".parse().unwrap(), Some("fd01::2".parse().unwrap()), Some(&u1))
                .unwrap();
            let again = builder.add_route("10.2.0.0/16".parse().unwrap(), None, Some(&u1));
            assert!(again.is_err(), "the same route twice is refused");
            assert!(builder.set_up(&name("u9")).is_err());
            builder.set_down(&u1).unwrap();
            builder.move_to(&u1, &there).unwrap();
            assert!(builder.link(&u1).is_err());
        })
        .unwrap();
        let moved = run(&there, "ip", &["-br", "link", "show", "u1"]);
        assert!(moved.contains("02:00:00:00:00:03"), "{moved}");
    });
}

#[test]
fn everything_passes_on_a_host_and_a_prohibit_rule_stops_what_it_can() {
    world::inside(
        "everything_passes_on_a_host_and_a_prohibit_rule_stops_what_it_can",
        |world| {
            let net = Topology::host(world);
            let matrix = Matrix::open(&net);
            matrix.control();
            let before = state(net.at());
            ip(net.at(), "rule add pref 100 prohibit");
            ip6(net.at(), "rule add pref 100 prohibit");
            prohibited(&matrix.run_where(SHORT, let_through));
            ip(net.at(), "rule del pref 100");
            ip6(net.at(), "rule del pref 100");
            assert_same(&before, &state(net.at()));
            matrix.control();
        },
    );
}

/// What a prohibit rule says nothing of.
fn let_through(row: &Row) -> bool {
    match row.traffic {
        Some(
            Traffic::BoundToDeviceV4
            | Traffic::MulticastOut
            | Traffic::MulticastIn
            | Traffic::PacketSockets
            | Traffic::NeighbourResolution,
        ) => true,
        _ => row.name.contains(">H udp-delivered") || row.name.starts_with("H(m0)>H(m0)"),
    }
}

/// As measured with ip-rule(8): a local sender is refused at once, with EACCES.
fn prohibited(seen: &Outcome) {
    let out = [
        "H>W tcp-new 4",
        "H>N tcp-new 4",
        "H>W udp 4",
        "H>W icmp 4",
        "H>W tcp-new 6",
        "H>N udp 6",
        "H>N icmp 6",
    ];
    for probe in out
        .into_iter()
        .chain(["H>N bound tcp-new 6", "H>N bound udp-delivered 6"])
    {
        assert_eq!(seen.answer(probe), Answer::Refused(Errno::EACCES), "{probe}\n{seen}");
    }
    for probe in [
        "W>H tcp-new 4",
        "N>H tcp-new 6",
        "W>H udp 4",
        "W>H icmp 6",
        "H>W tcp-established 4",
    ] {
        assert_eq!(seen.answer(probe), Answer::Silent, "{probe}\n{seen}");
    }
    for probe in [
        "W>H udp-delivered 4",
        "N>H udp-delivered 6",
        "H(m0)>H(m0) tcp-new 4",
        "H(m0)>H(m0) udp 6",
    ] {
        assert!(seen.answer(probe).passed(), "{probe}\n{seen}");
    }
    for (traffic, fate) in [
        (Traffic::LocalOutV4, Fate::Stopped),
        (Traffic::LocalOutV6, Fate::Stopped),
        (Traffic::LocalInV4, Fate::Partly),
        (Traffic::LocalInV6, Fate::Partly),
        (Traffic::BoundToDeviceV4, Fate::Passes),
        (Traffic::BoundToDeviceV6, Fate::Stopped),
        (Traffic::MulticastOut, Fate::Passes),
        (Traffic::MulticastIn, Fate::Passes),
        (Traffic::PacketSockets, Fate::Passes),
        (Traffic::NeighbourResolution, Fate::Passes),
    ] {
        assert_eq!(seen.fate(traffic), Some(fate), "{traffic:?}\n{seen}");
    }
    assert_eq!(seen.fate(Traffic::ForwardedV4), None, "a host forwards nothing");
}

fn beside(row: &Row) -> bool {
    row.traffic.is_none()
}

/// All that passes a link.
const OVER_A_LINK: [Traffic; 10] = [
    Traffic::LocalOutV4,
    Traffic::LocalOutV6,
    Traffic::LocalInV4,
    Traffic::LocalInV6,
    Traffic::BoundToDeviceV4,
    Traffic::BoundToDeviceV6,
    Traffic::MulticastOut,
    Traffic::MulticastIn,
    Traffic::PacketSockets,
    Traffic::NeighbourResolution,
];

#[test]
fn a_gate_on_a_gateway_stops_all_that_passes_the_link() {
    world::inside("a_gate_on_a_gateway_stops_all_that_passes_the_link", |world| {
        let net = Topology::gateway_with_zones(world);
        let matrix = Matrix::open(&net);
        matrix.control();
        ip(net.at(), "link add dwn0 type ifb");
        let before = state(net.at());
        tc(net.at(), "qdisc add dev u0 ingress_block 21 egress_block 22 clsact");
        let laid = state(net.at());
        for block in [21, 22] {
            let drop = "protocol all u32 match u32 0 0 action mirred egress redirect dev dwn0";
            tc(net.at(), &format!("filter add block {block} pref 100 {drop}"));
        }
        assert_ne!(state(net.at()), laid, "filters of blocks are part of the state");
        let seen = matrix.run_where(SHORT, beside);
        for traffic in OVER_A_LINK
            .into_iter()
            .chain([Traffic::ForwardedV4, Traffic::ForwardedV6])
        {
            assert_eq!(seen.fate(traffic), Some(Fate::Stopped), "{traffic:?}\n{seen}");
        }
        assert_eq!(seen.fate_of_the_rest(), Some(Fate::Passes), "{seen}");
        assert_eq!(seen.answer("H>N frame"), Answer::Refused(Errno::ENOBUFS));
        assert_eq!(seen.answer("H>W tcp-new 4"), Answer::Silent);
        told_against_a_coverage(&seen);
        tc(
            net.at(),
            "filter del block 21 pref 100\nfilter del block 22 pref 100\nqdisc del dev u0 clsact",
        );
        assert_same(&before, &state(net.at()));
        matrix.control();
    });
}

fn told_against_a_coverage(seen: &Outcome) {
    let promise = |traffic, fate| CoverageRow {
        traffic,
        fate,
        note: String::new(),
    };
    let kept = Coverage {
        rows: OVER_A_LINK.map(|traffic| promise(traffic, Fate::Stopped)).to_vec(),
    };
    assert_eq!(seen.against(&kept), Vec::<String>::new());
    let broken = Coverage {
        rows: vec![promise(Traffic::PacketSockets, Fate::Passes)],
    };
    assert_eq!(seen.against(&broken).len(), 2, "out and in");
}

#[test]
fn a_link_down_stops_everything_and_loses_what_is_known_to_be_lost() {
    world::inside(
        "a_link_down_stops_everything_and_loses_what_is_known_to_be_lost",
        |world| {
            let net = Topology::gateway(world);
            let matrix = Matrix::open(&net);
            matrix.control();
            let before = state(net.at());
            ip(net.at(), "link set u0 down");
            let seen = matrix.run_where(SHORT, beside);
            for traffic in OVER_A_LINK
                .into_iter()
                .chain([Traffic::ForwardedV4, Traffic::ForwardedV6])
            {
                assert_eq!(seen.fate(traffic), Some(Fate::Stopped), "{traffic:?}\n{seen}");
            }
            for probe in [
                "H>W tcp-new 4",
                "H>N bound udp 4",
                "H>N bound tcp-new 6",
                "H>N multicast 6",
            ] {
                assert_eq!(
                    seen.answer(probe),
                    Answer::Refused(Errno::ENETUNREACH),
                    "{probe}\n{seen}"
                );
            }
            assert_eq!(seen.answer("H>N frame"), Answer::Refused(Errno::ENETDOWN));
            assert!(seen.answer("H(m0)>M(m0) tcp-established 6").passed(), "{seen}");
            ip(net.at(), "link set u0 up");
            assert_ne!(state(net.at()), before, "IPv6 addresses and default routes are gone");
            ip(net.at(), "addr add fd00:0::2/64 dev u0");
            world::wait_for_dad(net.at());
            ip(
                net.at(),
                "route add default via 10.0.0.1\nroute add default via fd00:0::1",
            );
            matrix.control();
            assert_same(&without_order(&before), &without_order(&state(net.at())));
        },
    );
}

#[test]
fn a_nasty_host_has_it_all_and_its_traffic_still_passes() {
    world::inside("a_nasty_host_has_it_all_and_its_traffic_still_passes", |world| {
        let net = Topology::host(world);
        let plain = state(net.at());
        nasty(net.at());
        let text = state(net.at());
        for part in NASTY_PARTS {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
            assert!(!plain.contains(part), "{part:?} was there before");
        }
        Matrix::open(&net).control();
        assert_same(&text, &state(net.at()));
    });
}

const NASTY_PARTS: [&str; 24] = [
    "inet6 fd00:a::1/64",
    "noprefixroute",
    "deprecated",
    "macvlan mode bridge",
    "bridge_slave",
    "alias management",
    "altname mgmt-link-with-a-long-name",
    "group 77",
    "table 1234",
    "table 100",
    "metric 77",
    "mtu 1400 advmss 1300",
    "src 10.0.0.22",
    "onlink",
    "proto 66",
    "nexthop via 10.0.9.1 dev m0 weight 1",
    "blackhole 10.24.0.0/16",
    "unreachable fd00:25::/64",
    "id 13 group 11,2/12",
    "nhid 13",
    "lladdr 02:00:00:00:00:77 PERMANENT",
    "fwmark 0x10/0xff",
    "uidrange 0-0",
    "dport 8080-8090",
];

#[test]
fn a_prober_sees_when_a_lifeline_drops() {
    world::inside("a_prober_sees_when_a_lifeline_drops", |world| {
        let net = Topology::host(world);
        let at = Family::BOTH.map(|family| net.world_host.at(family, 7));
        let start = |proof| Echo::start(&at, &Origin::any(proof));
        let echo = net.world_host.namespace.run(start).unwrap().unwrap();
        for to in at {
            let prober = net
                .at()
                .run(|proof| Prober::start(to, &Origin::any(proof)))
                .unwrap()
                .unwrap();
            wait_until("the lifeline answers", PATIENT, || prober.answered() > 20);
            let add = |args: &str| {
                if to.is_ipv4() {
                    ip(net.at(), args)
                } else {
                    ip6(net.at(), args)
                }
            };
            let healthy = prober.answered();
            let before = std::time::Instant::now();
            add("rule add pref 100 prohibit");
            let cut = std::time::Instant::now();
            wait_until("some probes were lost", PATIENT, || {
                cut.elapsed() > Duration::from_millis(100)
            });
            add("rule del pref 100");
            let opened = std::time::Instant::now();
            let stood = prober.answered();
            wait_until("the lifeline answers again", PATIENT, || prober.answered() > stood + 20);
            let watched = prober.stop().unwrap();
            let refused = watched
                .lost
                .iter()
                .filter(|loss| loss.errno == Some(Errno::EACCES))
                .count();
            assert!(healthy > 20 && (5..200).contains(&refused), "{healthy} {watched:?}");
            assert_eq!(watched.sent, watched.answered + watched.lost.len() as u64);
            let first = watched.begun + watched.lost[0].after;
            assert!(
                before <= first && first <= opened,
                "{first:?} is not of {before:?} to {opened:?}"
            );
        }
        drop(echo);
        let gone = net.at().run(|proof| tcp::connect(at[0], &Origin::any(proof), PATIENT));
        assert_eq!(
            gone.unwrap().unwrap(),
            Answer::Refused(Errno::ECONNREFUSED),
            "a dropped server listens no more"
        );
        let gone = net.at().run(|proof| udp::ask(at[1], &Origin::any(proof), PATIENT));
        assert_eq!(gone.unwrap().unwrap(), Answer::Refused(Errno::ECONNREFUSED));
        let nobody = net
            .at()
            .run(|proof| icmp::echo("10.0.2.99:0".parse().unwrap(), &Origin::any(proof), SHORT));
        assert_eq!(nobody.unwrap().unwrap(), Answer::Silent);
    });
}

#[test]
fn a_kid_lives_in_its_namespace_and_dies_with_its_guard() {
    world::inside("a_kid_lives_in_its_namespace_and_dies_with_its_guard", |world| {
        let a = world.namespace("a");
        let kid = Kid::spawn(&a, Path::new("sleep"), |command| {
            command.arg("1000");
        });
        let process = format!("/proc/{}", kid.pid());
        let program = format!("{process}/comm");
        wait_until("it runs", PATIENT, || {
            std::fs::read_to_string(&program).unwrap() == "sleep\n"
        });
        let own = std::fs::read_link(format!("{process}/ns/net")).unwrap();
        let inside = a
            .run(|_| std::fs::read_link("/proc/thread-self/ns/net").unwrap())
            .unwrap();
        assert_eq!(own, inside);
        drop(kid);
        assert!(!Path::new(&process).exists());
        assert!(try_run(&a, "false", &[], "").is_err());
    });
}

#[test]
fn bridged_traffic_and_new_links_are_probed_too() {
    world::inside("bridged_traffic_and_new_links_are_probed_too", |world| {
        let net = Topology::bridge(world);
        let matrix = Matrix::open(&net);
        matrix.control();
        let open = Matrix::over_a_new_link(&net, PATIENT, |_| true);
        assert_eq!(open.fate(Traffic::NewLinks), Some(Fate::Passes), "{open}");
        ip(net.at(), "rule add pref 100 prohibit");
        ip6(net.at(), "rule add pref 100 prohibit");
        let seen = matrix.run_where(SHORT, |row| row.traffic == Some(Traffic::Bridged));
        assert_eq!(seen.fate(Traffic::Bridged), Some(Fate::Passes), "{seen}");
        let new = Matrix::over_a_new_link(&net, SHORT, |row| row.name.ends_with(" arp"));
        assert_eq!(
            new.answer("H(nw0)>N(nw0) tcp-new 6"),
            Answer::Refused(Errno::EACCES),
            "{new}"
        );
        assert!(new.answer("N(nw0)>H(nw0) arp").passed(), "{new}");
        ip(net.at(), "rule del pref 100");
        ip6(net.at(), "rule del pref 100");
        run(net.at(), "bridge", &["link", "set", "dev", "x0", "state", "0"]);
        let seen = matrix.run_where(SHORT, |row| row.traffic == Some(Traffic::LocalOutV4));
        assert_eq!(seen.fate(Traffic::Bridged), Some(Fate::Stopped), "{seen}");
        assert_eq!(seen.fate(Traffic::LocalOutV4), Some(Fate::Passes), "{seen}");
    });
}

#[test]
fn a_kid_dies_with_a_killed_test() {
    let inner = std::env::var_os("PORTCULLIS_TEST_OUTSIDE").is_some();
    let owner = if inner {
        nix::unistd::getppid()
    } else {
        nix::unistd::getpid()
    };
    let note = std::env::temp_dir().join(format!("portcullis-kid-{owner}"));
    let outcome = std::panic::catch_unwind(|| {
        world::inside("a_kid_dies_with_a_killed_test", |world| {
            let kid = Kid::spawn(&world.namespace("a"), Path::new("sleep"), |command| {
                command.arg("1000");
            });
            let program = format!("/proc/{}/comm", kid.pid());
            wait_until("it runs", PATIENT, || {
                std::fs::read_to_string(&program).unwrap() == "sleep\n"
            });
            std::fs::write(&note, kid.pid().to_string()).unwrap();
            std::process::abort();
        });
    });
    assert!(outcome.is_err());
    let process = std::fs::read_to_string(&note).unwrap();
    std::fs::remove_file(&note).unwrap();
    wait_until("the kernel has killed it", PATIENT, || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        status.is_err() || status.unwrap().contains("State:\tZ")
    });
}
