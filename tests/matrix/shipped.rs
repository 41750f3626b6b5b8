//! The shipped policies, changed only where their comments tell the operator to, on hosts that are armed: not one probe of
//! a lifeline is lost, also while the cut is laid out and cleared away. [`crate::methods`] cuts hosts that are not armed.

use portcullis::model::object::Family;

use crate::binaries::Daemon;
use crate::emergency::Cut;
use crate::lifelines::{Line, Protocol};
use crate::world::matrix::Matrix;
use crate::world::topology::{Node, Topology, nasty};
use crate::world::{self, World};

/// A policy as it is shipped.
macro_rules! shipped {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/", $name, ".toml"))
    };
}

/// The text with one part replaced, which must be there once.
fn edited(text: &str, part: &str, by: &str) -> String {
    assert_eq!(text.matches(part).count(), 1, "{part:?} in:\n{text}");
    text.replace(part, by)
}

fn gateway(world: World) -> Topology {
    let net = Topology::gateway(world);
    nasty(net.at());
    net
}

fn ssh<'n>(from: &'n Node, to: &'n Node) -> Line<'n> {
    Line {
        from,
        to,
        port: 22,
        by: Protocol::Tcp,
    }
}

fn udp<'n>(from: &'n Node, to: &'n Node) -> Line<'n> {
    Line {
        from,
        to,
        port: 7100,
        by: Protocol::Udp,
    }
}

/// Both addresses of a host, as a list in a policy.
fn peers(node: &Node) -> String {
    let [v4, v6] = Family::BOTH.map(|family| node.address(family));
    format!("[\"{v4}\", \"{v6}\"]")
}

fn management(net: &Topology) -> [Line<'_>; 3] {
    [
        ssh(&net.world_host, &net.subject),
        ssh(&net.neighbour, &net.subject),
        ssh(&net.management_m0, &net.subject_m0),
    ]
}

#[test]
fn isolate_host_leaves_only_the_management_ssh() {
    world::inside("shipped::isolate_host_leaves_only_the_management_ssh", |world| {
        let net = gateway(world);
        let daemon = Daemon::start_armed(net.at(), &[("isolate-host", shipped!("isolate-host").to_owned())]);
        let matrix = Matrix::open(&net);
        matrix.control();
        let cut = Cut::declare(&net, &daemon, "isolate-host", &management(&net));
        cut.outlives_the_neighbours();
        cut.covers_a_new_link();
        cut.keeps_its_promise(&matrix);
        cut.revert().exactly();
        matrix.control();
    });
}

#[test]
fn stop_exfiltration_lets_nothing_out_but_the_answers_of_ssh() {
    world::inside(
        "shipped::stop_exfiltration_lets_nothing_out_but_the_answers_of_ssh",
        |world| {
            let net = gateway(world);
            let text = shipped!("stop-exfiltration").to_owned();
            let daemon = Daemon::start_armed(net.at(), &[("stop-exfiltration", text)]);
            let matrix = Matrix::open(&net);
            matrix.control();
            let cut = Cut::declare(&net, &daemon, "stop-exfiltration", &management(&net));
            cut.outlives_the_neighbours();
            cut.covers_a_new_link();
            cut.keeps_its_promise(&matrix);
            cut.revert().exactly();
            matrix.control();
        },
    );
}

#[test]
fn sever_uplink_leaves_the_inside_and_the_management_from_outside() {
    world::inside(
        "shipped::sever_uplink_leaves_the_inside_and_the_management_from_outside",
        |world| {
            let net = gateway(world);
            let daemon = Daemon::start_armed(net.at(), &[("sever-uplink", with_management(&net))]);
            let matrix = Matrix::open(&net);
            matrix.control();
            let inside = net.inside.as_ref().unwrap();
            let lines = [
                ssh(&net.world_host, &net.subject),
                udp(inside, &net.subject),
                udp(&net.subject_m0, &net.management_m0),
            ];
            let cut = Cut::declare(&net, &daemon, "sever-uplink", &lines);
            assert_eq!(cut.plan.links, ["u0"]);
            cut.outlives_the_neighbours();
            cut.covers_a_new_link();
            cut.keeps_its_promise(&matrix);
            cut.revert().exactly();
            matrix.control();
        },
    );
}

/// "If you manage this gateway from outside, the lifeline below."
fn with_management(net: &Topology) -> String {
    let text = shipped!("sever-uplink");
    let lifeline = "\
# [[lifelines]]
# name = \"management from outside\"
# peers = [\"198.51.100.7\", \"2001:db8:ffff::7\"]
# protocol = \"tcp\"
# ports = [22]
# direction = \"in\"";
    let wanted = lifeline
        .replace("# ", "")
        .replace("[\"198.51.100.7\", \"2001:db8:ffff::7\"]", &peers(&net.world_host));
    edited(text, lifeline, &wanted)
}

#[test]
fn island_ot_stops_what_goes_between_the_zones_and_leaves_the_historian() {
    world::inside(
        "shipped::island_ot_stops_what_goes_between_the_zones_and_leaves_the_historian",
        |world| {
            let net = Topology::gateway_with_zones(world);
            nasty(net.at());
            let [office, plant] = &net.zones[..] else {
                unreachable!()
            };
            let daemon = Daemon::start_armed(net.at(), &[("island-ot", with_historian(office, plant))]);
            let matrix = Matrix::open(&net);
            matrix.control();
            let historian = Line {
                from: office,
                to: plant,
                port: 443,
                by: Protocol::Tcp,
            };
            let lines = [
                historian,
                udp(office, &net.world_host),
                udp(plant, &net.subject),
                udp(&net.world_host, net.inside.as_ref().unwrap()),
            ];
            let cut = Cut::declare(&net, &daemon, "island-ot", &lines);
            cut.outlives_the_neighbours();
            cut.keeps_its_promise(&matrix);
            cut.revert().exactly();
            matrix.control();
        },
    );
}

/// "Give the addresses of your own."
fn with_historian(office: &Node, plant: &Node) -> String {
    let text = shipped!("island-ot");
    let start = text.find("# [[lifelines]]").unwrap();
    let end = text.find("[limits]").unwrap();
    let wanted = format!(
        "[[lifelines]]\nname = \"historian\"\npeers = {}\ninside = {}\nprotocol = \"tcp\"\nports = [443]\ndirection = \"forward\"\n\n",
        peers(office),
        peers(plant)
    );
    format!("{}{wanted}{}", &text[..start], &text[end..])
}

#[test]
fn null_route_stops_what_is_sent_to_the_prefixes() {
    world::inside("shipped::null_route_stops_what_is_sent_to_the_prefixes", |world| {
        let net = gateway(world);
        let wanted = "[\"10.0.2.0/24\", \"fd00:2::/64\"]";
        let text = edited(
            shipped!("null-route"),
            "[\"203.0.113.0/24\", \"2001:db8:bad::/48\"]",
            wanted,
        );
        let daemon = Daemon::start_armed(net.at(), &[("null-route", text)]);
        let matrix = Matrix::open(&net);
        matrix.control();
        let lines = [
            udp(&net.neighbour, &net.subject),
            udp(&net.subject, &net.management),
            udp(net.inside.as_ref().unwrap(), &net.neighbour),
        ];
        let cut = Cut::declare(&net, &daemon, "null-route", &lines);
        cut.outlives_the_neighbours();
        cut.covers_a_new_link();
        cut.keeps_its_promise(&matrix);
        cut.revert().exactly();
        matrix.control();
    });
}

#[test]
fn pull_the_plug_takes_the_uplink_down_and_brings_it_back() {
    world::inside(
        "shipped::pull_the_plug_takes_the_uplink_down_and_brings_it_back",
        |world| {
            let net = gateway(world);
            let daemon = Daemon::start_armed(net.at(), &[("pull-the-plug", shipped!("pull-the-plug").to_owned())]);
            let matrix = Matrix::open(&net);
            matrix.control();
            let lines = [
                udp(&net.subject_m0, &net.management_m0),
                udp(net.inside.as_ref().unwrap(), &net.subject_m0),
            ];
            let cut = Cut::declare(&net, &daemon, "pull-the-plug", &lines);
            assert_eq!(cut.plan.links, ["u0"]);
            cut.keeps_its_promise(&matrix);
            cut.revert().but_for_what_was_named();
            matrix.control();
        },
    );
}

#[test]
fn isolate_host_and_sever_uplink_hold_on_a_host_that_is_not_armed() {
    world::inside(
        "shipped::isolate_host_and_sever_uplink_hold_on_a_host_that_is_not_armed",
        |world| {
            let net = gateway(world);
            let policies = [
                ("isolate-host", shipped!("isolate-host").to_owned()),
                ("sever-uplink", with_management(&net)),
            ];
            let daemon = Daemon::start(net.at(), &policies);
            let matrix = Matrix::open(&net);
            matrix.control();
            for (policy, lines) in [
                ("isolate-host", &management(&net)[..]),
                ("sever-uplink", &[ssh(&net.world_host, &net.subject)]),
            ] {
                let cut = Cut::declare(&net, &daemon, policy, lines);
                cut.keeps_its_promise(&matrix);
                cut.revert().exactly();
                matrix.control();
            }
        },
    );
}
