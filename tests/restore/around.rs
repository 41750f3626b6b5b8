//! What others put where a cut would let it pass: rules and filters before ours, and ways around what was withdrawn.

use portcullis::drill::namespace::Namespace;
use serde_json::Value;

use crate::foreign::{SOON, Scene, names};
use crate::host::lines;
use crate::world::state::assert_same;
use crate::world::{self, run, tc, wait_until};

/// The block of a gate on `u0`, for what leaves.
fn egress_block(at: &Namespace) -> String {
    let shown = run(at, "tc", &["qdisc", "show", "dev", "u0"]);
    let (_, after) = shown.split_once("egress_block ").unwrap();
    after.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_rule_before_ours_is_named_as_a_hole_and_kept() {
    world::inside("around::a_rule_before_ours_is_named_as_a_hole_and_kept", |world| {
        let scene = Scene::new(world);
        let before = scene.state();
        let id = scene.host.declare("seal");
        scene.ip("rule add pref 1 to 10.0.2.2 lookup main");
        scene.host.wait_for("degraded", |status| {
            status["state"] == "degraded"
                && lines(&status["open_paths"])
                    .iter()
                    .any(|line| line.contains("10.0.2.2"))
        });
        scene.ip("rule del pref 1 to 10.0.2.2 lookup main");
        scene.host.wait_for("in force", |status| status["state"] == "in-force");
        scene.ip("rule add pref 1 to 10.0.2.2 lookup main");
        let receipt = scene.host.revert(&id);
        names(&receipt, "kept_foreign_changes", "10.0.2.2");
        scene.ip("rule del pref 1 to 10.0.2.2 lookup main");
        assert_same(&before, &scene.state());
    });
}

#[test]
fn a_filter_of_others_before_ours_is_named_and_no_state_is_called_whole() {
    world::inside(
        "around::a_filter_of_others_before_ours_is_named_and_no_state_is_called_whole",
        |world| {
            let scene = Scene::new(world);
            let at = scene.net.at();
            let before = scene.state();
            let id = scene.host.declare("gate");
            let block = egress_block(at);
            let pass = format!("filter add block {block} pref 1 protocol all u32 match u32 0 0 flowid 1:1");
            tc(at, &pass);
            let is_named = |status: &Value| {
                let named = lines(&status["open_paths"]);
                named.iter().any(|line| line.contains("a filter of others"))
            };
            let degraded = |status: &Value| status["state"] == "degraded" && is_named(status);
            scene.host.wait_for("degraded", degraded);
            assert_eq!(scene.host.try_declare("extra", &[]).refused(5), "plan-refused");
            tc(at, &format!("filter del block {block} pref 1"));
            scene.host.wait_for("in force", |status| status["state"] == "in-force");
            scene.host.revert(&id);
            assert_same(&before, &scene.state());
        },
    );
}

#[test]
fn filters_of_others_that_go_with_our_block_are_named_in_receipt_and_record() {
    world::inside(
        "around::filters_of_others_that_go_with_our_block_are_named_in_receipt_and_record",
        |world| {
            let scene = Scene::new(world);
            let at = scene.net.at();
            let before = scene.state();
            let id = scene.host.declare("gate");
            let block = egress_block(at);
            // One that decides before ours, and one that nothing reaches.
            for preference in [1, 200] {
                tc(
                    at,
                    &format!("filter add block {block} pref {preference} protocol ip u32 match u32 0 0 flowid 1:1"),
                );
            }
            scene
                .host
                .wait_for("degraded", |status| lines(&status["open_paths"]).len() == 1);
            let receipt = scene.host.revert(&id);
            let gone = |list: &[String]| {
                let named = |line: &&String| line.contains("others put it into a block of ours");
                list.iter().filter(named).count()
            };
            assert_eq!(gone(&lines(&receipt["conflicts"])), 2, "{receipt:#}");
            let record = scene.host.records("restored").pop().unwrap();
            assert_eq!(gone(&lines(&record["details"]["conflicts"])), 2, "{record:#}");
            assert_same(&before, &scene.state());
        },
    );
}

#[test]
fn a_route_that_others_make_over_a_link_that_is_not_cut_stays() {
    world::inside(
        "around::a_route_that_others_make_over_a_link_that_is_not_cut_stays",
        |world| {
            let scene = Scene::new(world);
            let at = scene.net.at();
            let before = scene.state();
            let id = scene.host.declare("routes");
            let drifts = scene.host.records("drift").len();
            // Over the link of the cut it goes, over another it is the way out that somebody made.
            scene.ip("route add default via 10.0.0.1 dev u0 proto boot");
            let over = |link: &str| run(at, "ip", &["route", "show", "default"]).contains(&format!("dev {link} "));
            wait_until("the way over the cut link goes", SOON, || !over("u0"));
            wait_until("it is recorded", SOON, || scene.host.records("drift").len() > drifts);
            scene.ip("route add default via 10.0.9.9 dev x0 onlink");
            let receipt = scene.host.revert(&id);
            assert!(over("x0"), "{receipt:#}");
            assert_eq!(lines(&receipt["residues"]), Vec::<String>::new());
            scene.ip("route del default via 10.0.9.9 dev x0");
            assert_same(&before, &scene.state());
        },
    );
}

#[test]
fn a_default_route_of_another_metric_is_withdrawn_if_its_owner_makes_it_and_named_if_others_do() {
    world::inside(
        "around::a_default_route_of_another_metric_is_withdrawn_if_its_owner_makes_it_and_named_if_others_do",
        |world| {
            let scene = Scene::new(world);
            let at = scene.net.at();
            let before = scene.state();
            for (family, gateway) in [("-4", "10.0.0.1"), ("-6", "fd00::1")] {
                let id = scene.host.declare("routes");
                let add = |what: &str| {
                    let line = format!("route add default via {gateway} dev u0 {what}");
                    run(
                        at,
                        "ip",
                        &[&[family], &line.split(' ').collect::<Vec<_>>()[..]].concat(),
                    );
                };
                let stands = |metric: &str| {
                    run(at, "ip", &[family, "route", "show", "default"]).contains(&format!("metric {metric} "))
                };
                add("metric 20100");
                wait_until("the owner's way around goes", SOON, || !stands("20100"));
                let whole = |status: &Value| status["state"] == "in-force";
                scene.host.wait_for("in force", whole);
                add("metric 50 proto static");
                scene.host.wait_for("degraded", |status| {
                    let named = lines(&status["open_paths"]);
                    let way = |line: &String| line.contains("where one was withdrawn") && line.contains("metric 50");
                    status["state"] == "degraded" && named.len() == 1 && named.iter().any(way)
                });
                assert!(stands("50"), "what is theirs stays");
                let receipt = scene.host.revert(&id);
                names(&receipt, "kept_foreign_changes", "metric 50");
                assert_eq!(lines(&receipt["conflicts"]), Vec::<String>::new());
                assert!(stands("20100") && stands("50"), "{receipt:#}");
                for metric in ["20100", "50"] {
                    run(at, "ip", &[family, "route", "del", "default", "metric", metric]);
                }
            }
            assert_same(&before, &scene.state());
        },
    );
}
