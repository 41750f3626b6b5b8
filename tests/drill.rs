//! The first command of the README on networks as people have them: each drill must hold.

#![allow(
    clippy::allow_attributes,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "test code"
)]

mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis::drill::namespace::Namespace;

use world::{World, bin, ip, sysctl, wait_for_dad};

/// Every link has a far end that answers nothing: the drill makes far sides of its own.
const HOST: &str = "\
    link add name u0 type veth peer name u1
    link set dev u0 up
    link set dev u1 up";

/// What the host has, and the policies that are drilled on it.
const HOSTS: [(&str, &str, &[&str]); 6] = [
    (
        "a subnet of each family",
        "addr add 10.0.0.2/24 dev u0
         addr add fd00:0::2/64 dev u0
         route add default via 10.0.0.1
         route add default via fd00:0::1",
        &["isolate-host", "stop-exfiltration", "pull-the-plug", "null-route"],
    ),
    (
        "a single address and a gateway on the link",
        "addr add 10.1.1.1/32 dev u0
         route add 172.31.1.1 dev u0
         route add default via 172.31.1.1 dev u0",
        &["isolate-host", "sever-uplink"],
    ),
    (
        "a point-to-point address",
        "addr add 10.1.1.1 peer 10.1.1.2/32 dev u0
         route add default via 10.1.1.2",
        &["isolate-host"],
    ),
    (
        "a boundary between two zones",
        "link add name it0 type veth peer name it1
         link add name ot0 type veth peer name ot1
         link set dev it0 up
         link set dev it1 up
         link set dev ot0 up
         link set dev ot1 up
         addr add 10.31.0.1/24 dev it0
         addr add 10.32.0.1/24 dev ot0
         addr add fd00:31::1/64 dev it0
         addr add fd00:32::1/64 dev ot0
         addr add 10.0.0.2/24 dev u0",
        &["island-ot"],
    ),
    (
        "a default route without a gateway",
        "addr add 10.1.1.1/32 dev u0
         route add default dev u0",
        &["isolate-host", "sever-uplink", "stop-exfiltration"],
    ),
    (
        "two links in one subnet",
        "link add name b0 type bridge
         link set dev u0 master b0
         link set dev b0 up
         addr add 10.0.0.2/24 dev b0
         link add link b0 name mv0 type macvlan mode bridge
         link set dev mv0 up
         addr add 10.0.0.3/24 dev mv0
         route add default via 10.0.0.1",
        &["isolate-host", "sever-uplink", "pull-the-plug"],
    ),
];

fn drills(world: World, (what, network, policies): (&str, &str, &[&str])) {
    let host = gateway(world, network);
    for policy in policies {
        let file = format!("{}/policies/{policy}.toml", env!("CARGO_MANIFEST_DIR"));
        let said = drill(&host, &file);
        assert!(
            !said.contains("0 of 0 probes that the plan forbids"),
            "{policy} on {what} tested nothing:\n{said}"
        );
    }
}

/// A host that forwards.
fn gateway(world: World, network: &str) -> Namespace {
    let host = end_host(world, network);
    for key in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        sysctl(&host, key, "1");
    }
    wait_for_dad(&host);
    host
}

/// A host that does not.
fn end_host(world: World, network: &str) -> Namespace {
    let host = world.namespace("h");
    ip(&host, HOST);
    ip(&host, network);
    wait_for_dad(&host);
    host
}

/// The report of a drill, which must hold.
fn drill(host: &Namespace, file: &str) -> String {
    let drill = || Command::new(bin("portcullis")).args(["drill", file]).output();
    let output = host.run(|_| drill()).unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}:\n{said}\n{complained}");
    said
}

#[test]
fn the_shipped_policies_hold_on_a_host_with_a_subnet_of_each_family() {
    let test = "the_shipped_policies_hold_on_a_host_with_a_subnet_of_each_family";
    world::inside(test, |world| drills(world, HOSTS[0]));
}

#[test]
fn a_host_with_a_single_address_is_drilled() {
    world::inside("a_host_with_a_single_address_is_drilled", |world| {
        drills(world, HOSTS[1])
    });
}

#[test]
fn a_host_with_a_point_to_point_address_is_drilled() {
    world::inside("a_host_with_a_point_to_point_address_is_drilled", |world| {
        drills(world, HOSTS[2]);
    });
}

#[test]
fn what_a_drill_keeps_makes_its_report_again() {
    world::inside("what_a_drill_keeps_makes_its_report_again", |world| {
        let host = gateway(world, HOSTS[0].1);
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        let [page, log, result] = ["report.html", "audit.jsonl", "drill.json"].map(|name| kept.join(name));
        let policy = format!("{}/policies/isolate-host.toml", env!("CARGO_MANIFEST_DIR"));
        let save = ["drill", &policy, "-o", "json", "--save", kept.to_str().unwrap()];
        let run = |line: &[&str]| {
            let ran = host.run(|_| Command::new(bin("portcullis")).args(line).output());
            ran.unwrap().unwrap()
        };
        let drilled = run(&save);
        assert!(drilled.status.success(), "{drilled:?}");
        assert_eq!(fs::read(&result).unwrap(), drilled.stdout);
        let (log, result) = (log.to_str().unwrap(), result.to_str().unwrap());
        let again = run(&["report", "--log", log, "--drill", result, "--format", "json"]);
        assert!(again.status.success(), "{again:?}");
        let report: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&drilled.stdout).unwrap();
        assert_eq!(report["emergency"], found["receipt"]["emergency"]);
        assert_eq!(report["times"]["cut_us"], found["cut_us"]);
        assert_eq!(report["plan"]["plan_digest"], found["plan"]["digest"]);
        assert_eq!(report["scope"]["coverage"], found["plan"]["coverage"]);
        assert_eq!(report["receipt"]["restored"], found["receipt"]["restored_digest"]);
        assert_eq!(report["drill"]["probes"], found["probes"]);
        assert_eq!(report["standing"], "ended");
        let name = nix::unistd::gethostname().unwrap();
        let host_name = ["--host", name.to_str().unwrap()];
        let line = [
            &["report", "--log", log, "--drill", result, "--format", "html"],
            &host_name[..],
        ]
        .concat();
        assert_eq!(run(&line).stdout, fs::read(&page).unwrap());
        let refused = run(&save);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    });
}

#[test]
fn a_boundary_between_zones_is_drilled_and_its_promise_tested() {
    world::inside("a_boundary_between_zones_is_drilled_and_its_promise_tested", |world| {
        drills(world, HOSTS[3]);
    });
}

/// A forwarded lifeline of each family, and two that no probe can go through.
const THROUGH: &str = r#"
[[lifelines]]
name = "historian"
peers = ["10.31.0.0/24", "fd00:31::/64"]
inside = ["10.32.0.10", "fd00:32::10"]
protocol = "tcp"
ports = [443]
direction = "forward"

[[lifelines]]
name = "same-side"
peers = ["10.31.0.0/24"]
inside = ["10.31.0.9"]
protocol = "udp"
direction = "forward"

[[lifelines]]
name = "nobody"
peers = ["203.0.113.7"]
inside = ["10.32.0.10"]
protocol = "udp"
direction = "forward"
"#;

/// The policy of the boundary with the lifelines above.
fn island_with_lifelines(folder: &Path) -> PathBuf {
    let policy = fs::read_to_string(format!("{}/policies/island-ot.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (head, limits) = policy.split_once("\n[limits]").unwrap();
    let file = folder.join("island-ot.toml");
    fs::write(&file, format!("{head}\n{THROUGH}\n[limits]{limits}")).unwrap();
    file
}

#[test]
fn what_a_host_does_not_forward_is_not_probed_and_is_named() {
    world::inside("what_a_host_does_not_forward_is_not_probed_and_is_named", |world| {
        let host = end_host(world, HOSTS[3].1);
        sysctl(&host, "net.ipv4.ip_forward", "1");
        let folder = tempfile::tempdir().unwrap();
        let file = island_with_lifelines(folder.path());
        let said = drill(&host, file.to_str().unwrap());
        let has = |parts: &[&str]| said.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        let v6 = "net.ipv6.conf.all.forwarding is 0";
        assert!(has(&["not probed", "IPv6 through this host", v6]), "{said}");
        assert!(has(&["not tested", "forwards no IPv6", v6, "`historian`"]), "{said}");
        assert!(
            has(&["0 of ", "`historian`", "through this host to 10.32.0.10"]),
            "{said}"
        );
        assert!(!has(&["unproven"]) && !has(&["not probed", "IPv4"]), "{said}");

        sysctl(&host, "net.ipv4.ip_forward", "0");
        sysctl(&host, "net.ipv6.conf.all.forwarding", "1");
        let said = drill(&host, file.to_str().unwrap());
        let has = |parts: &[&str]| said.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        let v4 = "net.ipv4.ip_forward is 0";
        assert!(has(&["not probed", "IPv4 through this host", v4]), "{said}");
        assert!(has(&["not tested", "forwards no IPv4", v4, "`historian`"]), "{said}");
        assert!(
            has(&["0 of ", "`historian`", "through this host to fd00:32::10"]),
            "{said}"
        );
    });
}

/// Ten links of both families, drilled.
fn ten_links(world: World, forwarding: &str) -> String {
    let links = (0..10).map(|i| {
        format!(
            "link add name w{i} type veth peer name v{i}
             link set dev w{i} up
             link set dev v{i} up
             addr add 10.{i}.0.1/24 dev w{i}
             addr add fd00:{i}::1/64 dev w{i} nodad\n"
        )
    });
    let host = end_host(world, &links.collect::<String>());
    for key in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        sysctl(&host, key, forwarding);
    }
    let file = format!("{}/policies/isolate-host.toml", env!("CARGO_MANIFEST_DIR"));
    drill(&host, &file)
}

#[test]
fn many_links_that_do_not_forward_are_drilled_without_a_wait_for_each_pair() {
    let test = "many_links_that_do_not_forward_are_drilled_without_a_wait_for_each_pair";
    world::inside(test, |world| {
        let said = ten_links(world, "0");
        assert!(!said.contains("unproven"), "{said}");
        for family in ["IPv4", "IPv6"] {
            assert!(
                said.contains(&format!("  not probed  {family} through this host: net.")),
                "{said}"
            );
        }
    });
}

#[test]
fn of_many_links_that_forward_the_drill_says_how_many_pairs_it_probes() {
    let test = "of_many_links_that_forward_the_drill_says_how_many_pairs_it_probes";
    world::inside(test, |world| {
        let said = ten_links(world, "1");
        for family in ["IPv4", "IPv6"] {
            let bound = format!(
                "  not probed  {family} through this host: of 90 pairs of links that the plan keeps apart only 64"
            );
            assert!(said.contains(&bound), "{said}");
        }
    });
}

#[test]
fn a_host_whose_only_link_is_too_small_for_ipv6_is_drilled() {
    world::inside("a_host_whose_only_link_is_too_small_for_ipv6_is_drilled", |world| {
        let small = (
            "a link with an MTU of 1000",
            "link set dev u0 mtu 1000
             addr add 10.0.0.2/24 dev u0
             route add default via 10.0.0.1",
            &["isolate-host"] as &[&str],
        );
        drills(world, small);
    });
}

#[test]
fn a_lifeline_through_the_host_is_probed_and_one_that_cannot_be_is_named() {
    let test = "a_lifeline_through_the_host_is_probed_and_one_that_cannot_be_is_named";
    world::inside(test, |world| {
        let host = gateway(world, HOSTS[3].1);
        let folder = tempfile::tempdir().unwrap();
        let file = island_with_lifelines(folder.path());
        let said = drill(&host, file.to_str().unwrap());
        println!("{said}");
        let lifelines: Vec<&str> = said.lines().filter(|l| l.starts_with("  lifeline ")).collect();
        let of = |parts: &[&str]| {
            let found = lifelines.iter().filter(|l| parts.iter().all(|part| l.contains(part)));
            assert_eq!(found.count(), 1, "{parts:?}:\n{said}");
        };
        of(&["  0 of ", "`historian`", "through this host to 10.32.0.10"]);
        of(&["  0 of ", "`historian`", "through this host to fd00:32::10"]);
        of(&["not tested: behind no other link", "`same-side`"]);
        of(&["not tested: this host has no route to any", "`nobody`"]);
        assert_eq!(lifelines.len(), 4, "{said}");
        assert!(!said.contains("0 of 0 probes lost"), "{said}");
        assert!(said.contains("  leaks       none"), "{said}");
    });
}

#[test]
fn a_host_whose_default_route_has_no_gateway_is_drilled() {
    world::inside("a_host_whose_default_route_has_no_gateway_is_drilled", |world| {
        drills(world, HOSTS[4]);
    });
}

#[test]
fn a_host_with_two_links_in_one_subnet_is_drilled() {
    world::inside("a_host_with_two_links_in_one_subnet_is_drilled", |world| {
        drills(world, HOSTS[5]);
    });
}
