//! Lifelines that others take away while a cut is in force.

use std::time::{Duration, Instant};

use super::host::{Host, text};
use super::policy::{Scope, policy};
use super::world::topology::Topology;
use super::world::{self, ip};

/// By when a cut is over whose lifeline is lost, if its policy says so.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn a_cut_ends_within_three_seconds_after_others_took_its_lifeline() {
    world::inside(
        "vigil::a_cut_ends_within_three_seconds_after_others_took_its_lifeline",
        |world| {
            let net = Topology::host(world);
            let policies =
                [policy("kept", Scope::Whole, &["gate", "seal"]).lifeline(&["10.0.2.2/32", "fd00:2::2/128"], 514)];
            let files: Vec<_> = policies.iter().map(|p| p.file()).collect();
            let host = Host::start(net.at(), &files);
            for lose in [
                "route del default",
                "route del default via fd00:0::1",
                "rule add pref 0 to 10.0.2.2 blackhole",
                "addr del 10.0.0.2/24 dev u0",
            ] {
                let id = host.declare("kept");
                // A gap like that of a route which is being replaced ends nothing.
                ip(net.at(), "route del default\nroute add default via 10.0.0.1");
                ip(net.at(), lose);
                let begun = Instant::now();
                host.wait_for("clear", |status| status["state"] == "clear");
                assert!(begun.elapsed() <= SOON, "{lose}: ended after {:?}", begun.elapsed());
                let last = host.records("lifeline-lost").pop().unwrap();
                assert_eq!(text(&last["emergency"]), id, "{last:#}");
                assert_eq!(text(&last["details"]["then"]), "open", "{last:#}");
                if lose.contains("addr") {
                    break;
                }
                let back = match lose {
                    "route del default" => "route add default via 10.0.0.1",
                    "route del default via fd00:0::1" => "route add default via fd00:0::1",
                    _ => "rule del pref 0 to 10.0.2.2 blackhole",
                };
                ip(net.at(), back);
            }
            host.stop();
        },
    );
}
