//! The first command of the README on networks as people have them: each drill must hold.

#![allow(clippy::allow_attributes, clippy::unwrap_used, reason = "test code")]

mod world;

use std::process::Command;

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
    let host = world.namespace("h");
    ip(&host, HOST);
    ip(&host, network);
    for key in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        sysctl(&host, key, "1");
    }
    wait_for_dad(&host);
    for policy in policies {
        let file = format!("{}/policies/{policy}.toml", env!("CARGO_MANIFEST_DIR"));
        let drill = || Command::new(bin("portcullis")).args(["drill", &file]).output();
        let output = host.run(|_| drill()).unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{policy} on {what}:\n{said}\n{complained}");
        assert!(
            !said.contains("0 of 0 probes that the plan forbids"),
            "{policy} on {what} tested nothing:\n{said}"
        );
    }
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
fn a_boundary_between_zones_is_drilled_and_its_promise_tested() {
    world::inside("a_boundary_between_zones_is_drilled_and_its_promise_tested", |world| {
        drills(world, HOSTS[3]);
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
