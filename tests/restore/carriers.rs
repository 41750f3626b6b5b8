//! What the kernel makes when a carrier comes, which it tells up to a second after a link came up, or when the cable is in
//! again.

use std::time::{Duration, Instant};

use portcullis::drill::namespace::Namespace;
use serde_json::Value;

use crate::host::{Host, lines};
use crate::policy::{Scope, policy};
use crate::world::state::{assert_same, state, without_order};
use crate::world::{self, World, ip, run, sysctl, wait_for_dad, wait_until};

const SOON: Duration = Duration::from_secs(10);
/// After this the kernel tells the next carrier at once.
const QUIET: Duration = Duration::from_millis(1_200);
const CUTS: usize = 4;

/// A host with the link `u0`, and the namespace `far` with its peer `e0`.
fn host_and_far(world: World) -> (Namespace, Namespace) {
    let (host, far) = (world.namespace("host"), world.namespace("far"));
    ip(&host, "link add u0 type veth peer name e0 netns far\nlink set u0 up");
    ip(&far, "link set e0 up\naddr add 10.0.1.9/24 dev e0");
    ip(&host, "addr add 10.0.1.1/24 dev u0\naddr add fd00:1::1/64 dev u0 nodad");
    (host, far)
}

fn start(at: &Namespace, scope: &'static [&'static str]) -> Host {
    Host::start(at, &[policy("link", Scope::Links(scope), &["link"]).file()])
}

/// Holds the cut long enough for the kernel to tell the next carrier at once, and short enough to tell it late, in turn.
fn hold(turn: usize) {
    let begun = Instant::now();
    if turn % 2 == 1 {
        wait_until("the kernel has told no carrier for a while", SOON, || {
            begun.elapsed() > QUIET
        });
    }
}

#[track_caller]
fn assert_unchanged(receipt: &Value) {
    assert_eq!(receipt["baseline_digest"], receipt["restored_digest"], "{receipt:#}");
    for list in ["kept_foreign_changes", "conflicts"] {
        assert_eq!(lines(&receipt[list]), Vec::<String>::new(), "{list}");
    }
    let mut unlike = lines(&receipt["not_recreated"]);
    // No snapshot has this order, so every link that comes up may have another place in it.
    unlike.retain(|line| !line.ends_with("the place of a link's route among equals"));
    assert_eq!(unlike, Vec::<String>::new());
}

#[test]
fn a_bridge_keeps_the_link_local_address_of_its_first_hardware_address_and_gets_no_other() {
    world::inside(
        "carriers::a_bridge_keeps_the_link_local_address_of_its_first_hardware_address_and_gets_no_other",
        |world| {
            let (at, far) = host_and_far(world);
            ip(
                &at,
                "link add br0 type bridge\nlink set br0 up\naddr add 10.7.0.1/24 dev br0",
            );
            ip(
                &at,
                "link add p0 type veth peer name p1 netns far\nlink set p0 up\nlink set p0 master br0",
            );
            ip(&far, "link set p1 up");
            let own = || run(&at, "ip", &["-6", "-o", "addr", "show", "dev", "br0", "scope", "link"]);
            wait_until("the bridge has an address", SOON, || !own().is_empty());
            wait_for_dad(&at);
            // The kernel makes one of the address that the bridge had when it told its carrier.
            ip(&at, "link set br0 address 02:00:00:00:00:77");
            let before = state(&at);
            let files = [
                policy("link", Scope::Links(&["br0"]), &["link"]).file(),
                policy("port", Scope::Links(&["p0"]), &["link"]).file(),
            ];
            let host = Host::start(&at, &files);
            for turn in 0..CUTS {
                for name in ["link", "port"] {
                    let id = host.declare(name);
                    hold(turn);
                    assert_unchanged(&host.revert(&id));
                    assert_same(&without_order(&before), &without_order(&state(&at)));
                }
            }
        },
    );
}

#[test]
fn neighbours_are_told_that_the_addresses_of_a_link_are_back() {
    world::inside(
        "carriers::neighbours_are_told_that_the_addresses_of_a_link_are_back",
        |world| {
            let (at, far) = host_and_far(world);
            let ours = "02:00:00:00:00:01";
            ip(
                &at,
                &format!("link set u0 address {ours}\naddr add fd00:1::2/64 dev u0"),
            );
            // The far side asks nobody: it knows only what it is told.
            sysctl(&far, "net.ipv4.conf.e0.arp_accept", "1");
            sysctl(&far, "net.ipv6.conf.e0.forwarding", "1");
            sysctl(&far, "net.ipv6.conf.e0.accept_untracked_na", "1");
            wait_for_dad(&at);
            let before = state(&at);
            let host = start(&at, &["u0"]);
            let id = host.declare("link");
            // With the carrier goes what it knew.
            let neighbours = || run(&far, "ip", &["neigh", "show", "dev", "e0"]);
            wait_until("the far side knows nobody", SOON, || !neighbours().contains(ours));
            assert_unchanged(&host.revert(&id));
            let known = |address: &str| run(&far, "ip", &["neigh", "show", address, "dev", "e0"]).contains(ours);
            for address in ["10.0.1.1", "fd00:1::2"] {
                wait_until(&format!("the far side is told of {address}"), SOON, || known(address));
            }
            assert_same(&before, &state(&at));
        },
    );
}

#[test]
fn two_link_local_addresses_keep_their_order() {
    world::inside("carriers::two_link_local_addresses_keep_their_order", |world| {
        let (at, _far) = host_and_far(world);
        ip(&at, "addr add fe80::77/64 dev u0 nodad");
        wait_for_dad(&at);
        let before = state(&at);
        let host = start(&at, &["u0"]);
        for turn in 0..CUTS {
            let id = host.declare("link");
            hold(turn);
            assert_unchanged(&host.revert(&id));
            assert_same(&before, &state(&at));
        }
    });
}

#[test]
fn a_port_without_cable_comes_back_and_the_rest_of_it_with_the_carrier() {
    world::inside(
        "carriers::a_port_without_cable_comes_back_and_the_rest_of_it_with_the_carrier",
        |world| {
            let (at, far) = host_and_far(world);
            // Then a restore cannot do without detection, which waits for the carrier.
            sysctl(&at, "net.ipv6.conf.all.accept_dad", "1");
            let no_carrier = || run(&at, "ip", &["link", "show", "dev", "u0"]).contains("NO-CARRIER");
            let own = "local fe80::";
            let routes = || run(&at, "ip", &["-6", "route", "show", "table", "local", "dev", "u0"]);
            wait_until("the link has its address", SOON, || routes().contains(own));
            wait_for_dad(&at);
            let before = state(&at);
            let host = start(&at, &["u0"]);
            for pulled in ["before", "during"] {
                if pulled == "before" {
                    ip(&far, "link set e0 down");
                    wait_until("the cable is out", SOON, no_carrier);
                }
                let plan = host.run(&["plan", "link"]).done();
                let named = lines(&plan["not_recreatable"]);
                let waits = "-6 what the kernel makes of addresses of u0 comes back with its carrier".to_owned();
                assert_eq!(named.contains(&waits), pulled == "before", "{named:#?}");
                let id = host.declare("link");
                ip(&far, "link set e0 down");
                let receipt = host.revert(&id);
                let missing = lines(&receipt["not_recreated"]);
                assert!(missing.iter().any(|line| line.contains(own)), "{receipt:#}");
                assert_eq!(lines(&receipt["kept_foreign_changes"]), Vec::<String>::new());
                ip(&far, "link set e0 up");
                wait_until("the kernel has made the rest", SOON, || {
                    !no_carrier() && routes().contains(own)
                });
                wait_for_dad(&at);
                assert_same(&before, &state(&at));
            }
        },
    );
}

#[test]
fn an_address_that_comes_with_a_carrier_lost_under_the_cut_is_named_beforehand() {
    world::inside(
        "carriers::an_address_that_comes_with_a_carrier_lost_under_the_cut_is_named_beforehand",
        |world| {
            let (at, far) = host_and_far(world);
            wait_for_dad(&at);
            let local = || run(&at, "ip", &["-6", "-o", "addr", "show", "dev", "u0", "scope", "link"]);
            let own = || local().split_whitespace().nth(3).map(str::to_owned);
            wait_until("the link has its address", SOON, || own().is_some());
            let made = own().unwrap();
            let host = start(&at, &["u0"]);
            for removed in [true, false] {
                if removed {
                    ip(&at, &format!("addr del {made} dev u0"));
                }
                let id = host.declare("link");
                ip(&far, "link set e0 down");
                let receipt = host.revert(&id);
                let named = receipt.get("to_come").map(lines).unwrap_or_default();
                assert_eq!(named.len(), usize::from(removed), "{receipt:#}");
                assert!(named.iter().all(|line| line.contains(&made)), "{named:?}, not {made}");
                let record = host.records("restored").pop().unwrap();
                assert_eq!(lines(&record["details"]["to_come"]), named);
                assert_eq!(own(), (!removed).then(|| made.clone()), "it is not there yet");
                ip(&far, "link set e0 up");
                wait_until("the kernel makes it", SOON, || own().as_ref() == Some(&made));
                wait_for_dad(&at);
            }
        },
    );
}

#[test]
fn a_default_route_of_others_beside_ours_is_a_named_conflict_and_no_residue() {
    world::inside(
        "carriers::a_default_route_of_others_beside_ours_is_a_named_conflict_and_no_residue",
        |world| {
            let (at, _far) = host_and_far(world);
            ip(&at, "link add v0 type veth peer name f0 netns far\nlink set v0 up");
            ip(&_far, "link set f0 up");
            ip(&at, "addr add 10.0.2.1/24 dev v0\naddr add fd00:2::1/64 dev v0 nodad");
            ip(&at, "route add default via 10.0.1.9\nroute add default via fd00:1::9");
            wait_for_dad(&at);
            let before = state(&at);
            let host = start(&at, &["u0"]);
            for theirs in ["route add default via 10.0.2.9", "route add default via fd00:2::9"] {
                let id = host.declare("link");
                ip(&at, theirs);
                let receipt = host.revert(&id);
                let conflicts = lines(&receipt["conflicts"]);
                let named = |line: &String| line.contains("back, but not alone in its place");
                assert!(conflicts.len() == 1 && conflicts.iter().any(named), "{receipt:#}");
                ip(&at, &theirs.replace(" add ", " del "));
                assert_same(&without_order(&before), &without_order(&state(&at)));
            }
        },
    );
}

#[test]
fn a_managed_neighbour_comes_back() {
    world::inside("carriers::a_managed_neighbour_comes_back", |world| {
        let (at, _far) = host_and_far(world);
        ip(
            &at,
            "neigh add 10.0.1.9 dev u0 managed\nneigh add 10.0.1.10 dev u0 managed extern_learn protocol 66",
        );
        wait_for_dad(&at);
        let managed = || {
            let all = run(&at, "ip", &["neigh", "show", "dev", "u0"]);
            let kept = |line: &&str| line.contains("managed");
            let mut kept: Vec<String> = all
                .lines()
                .filter(kept)
                .map(|l| l.split(' ').next().unwrap().to_owned())
                .collect();
            kept.sort();
            kept
        };
        let before = managed();
        assert_eq!(before.len(), 2, "{before:?}");
        let host = start(&at, &["u0"]);
        let id = host.declare("link");
        assert_eq!(managed(), Vec::<String>::new(), "the cut takes them");
        assert_unchanged(&host.revert(&id));
        assert_eq!(managed(), before);
    });
}
