//! Every method and combinations of them, cut and restored on a host that carries the nasty things.

use serde_json::Value;

use crate::host::{Host, lines, text};
use crate::policy::{Policy, Scope, policy};
use crate::world::state::{assert_same, state, without_order};
use crate::world::topology::{Topology, nasty};
use crate::world::{self, World, run, wait_for_dad};

const UPLINK: Scope = Scope::Links(&["u0"]);
/// All legs of the multipath routes, which seal then need not go around.
const LEGS: Scope = Scope::Links(&["u0", "m0"]);

/// Cuts and restores by each policy in turn, and compares the kernel's own listings.
fn comes_back(world: World, policies: &[Policy]) {
    let net = Topology::host(world);
    nasty(net.at());
    let files: Vec<_> = policies.iter().map(Policy::file).collect();
    let host = Host::start(net.at(), &files);
    for (name, _) in &files {
        let started = std::time::Instant::now();
        let before = state(net.at());
        let plan = host.run(&["plan", name]).done();
        let id = host.declare(name);
        let cut = state(net.at());
        assert!(before != cut, "{name} cut nothing");
        let receipt = host.revert(&id);
        let reverted = started.elapsed();
        wait_for_dad(net.at());
        eprintln!("{name}: {reverted:?} to cut and restore");
        assert_same(&without_order(&before), &without_order(&state(net.at())));
        assert_nothing_else(name, &plan, &receipt);
    }
}

/// Only what the plan had named may have come back otherwise.
#[track_caller]
pub fn assert_nothing_else(name: &str, plan: &Value, receipt: &Value) {
    let none = Vec::<String>::new();
    assert_eq!(lines(&receipt["conflicts"]), none, "{name}: {receipt:#}");
    assert_eq!(lines(&receipt["kept_foreign_changes"]), none, "{name}: {receipt:#}");
    let unlike = lines(&receipt["not_recreated"]);
    let named = lines(&plan["not_recreatable"]);
    if unlike.is_empty() {
        assert_eq!(
            text(&receipt["baseline_digest"]),
            text(&receipt["restored_digest"]),
            "{name}: {receipt:#}"
        );
    }
    let unnamed: Vec<&String> = unlike.iter().filter(|line| !named.contains(line)).collect();
    assert_eq!(unnamed, Vec::<&String>::new(), "{name}: the plan named {named:#?}");
}

#[test]
fn what_only_adds_comes_back() {
    world::inside("undo::what_only_adds_comes_back", |world| {
        comes_back(
            world,
            &[
                policy("gate-all", Scope::Whole, &["gate"]),
                policy("gate-uplink", UPLINK, &["gate"]),
                policy("seal-all", Scope::Whole, &["seal"]),
                policy("seal-one-leg", UPLINK, &["seal"]),
                policy("seal-legs", LEGS, &["seal"]),
                policy("both-all", Scope::Whole, &["gate", "seal"]),
                policy("both-uplink", UPLINK, &["gate", "seal"]).lifeline(&["10.0.0.3", "fd00::3"], 7007),
            ],
        );
    });
}

#[test]
fn routes_come_back() {
    world::inside("undo::routes_come_back", |world| {
        let prefixes = "withdraw-prefixes = [\"10.20.0.0/16\", \"10.21.0.0/16\", \"10.22.0.0/16\", \"10.23.0.0/16\", \
             \"10.24.0.0/16\", \"10.25.0.0/16\", \"10.26.0.0/16\", \"10.27.0.0/16\", \"10.28.0.0/16\", \"fd00:20::/64\", \
             \"fd00:22::/64\", \"fd00:23::/64\", \"fd00:24::/64\", \"fd00:25::/64\", \"fd00:26::/64\", \"fd00:27::/64\"]";
        let null = "null-prefixes = [\"10.20.0.0/16\", \"203.0.113.0/24\", \"fd00:20::/64\"]";
        comes_back(
            world,
            &[
                policy("default", Scope::Whole, &["routes"]).routes("withdraw-default = true"),
                policy("prefixes", Scope::Whole, &["routes"]).routes(prefixes),
                policy("null", Scope::Whole, &["routes"]).routes(null),
                policy("uplinks", UPLINK, &["routes"]).routes(&format!("withdraw-default = true\n{prefixes}\n{null}")),
                policy("seal-routes", LEGS, &["seal", "routes"]).routes("withdraw-default = true"),
                policy("gate-routes", Scope::Whole, &["gate", "routes"]).routes(&format!("{prefixes}\n{null}")),
            ],
        );
    });
}

#[test]
fn a_link_comes_back() {
    world::inside("undo::a_link_comes_back", |world| {
        comes_back(
            world,
            &[
                policy("uplink", UPLINK, &["link"]),
                policy("management", Scope::Links(&["m0"]), &["link"]),
                policy("macvlan", Scope::Links(&["mv0"]), &["link"]),
                policy("port", Scope::Links(&["p0"]), &["link"]),
                policy("far-port", Scope::Links(&["p1"]), &["link"]),
                policy("bridge", Scope::Links(&["b0"]), &["link"]),
            ],
        );
    });
}

#[test]
fn a_link_local_address_that_somebody_had_removed_stays_removed() {
    world::inside(
        "undo::a_link_local_address_that_somebody_had_removed_stays_removed",
        |world| {
            let net = Topology::host(world);
            wait_for_dad(net.at());
            for link in ["u0", "m0"] {
                run(net.at(), "ip", &["-6", "addr", "flush", "dev", link, "scope", "link"]);
            }
            let before = state(net.at());
            let policy = policy("uplink", Scope::Whole, &["link"]);
            let host = Host::start(net.at(), &[policy.file()]);
            let id = host.declare("uplink");
            let receipt = host.revert(&id);
            assert_same(&without_order(&before), &without_order(&state(net.at())));
            for list in ["residues", "kept_foreign_changes", "conflicts"] {
                assert_eq!(lines(&receipt[list]), Vec::<String>::new(), "{list}");
            }
        },
    );
}

#[test]
fn several_links_come_back() {
    world::inside("undo::several_links_come_back", |world| {
        comes_back(
            world,
            &[
                policy("two", Scope::Links(&["u0", "m0"]), &["link"]),
                policy("stacked", Scope::Links(&["u0", "mv0"]), &["link"]),
                policy("bridge-port", Scope::Links(&["b0", "p0"]), &["link"]),
                policy("whole", Scope::Whole, &["link"]),
            ],
        );
    });
}

#[test]
fn combinations_with_links_come_back() {
    world::inside("undo::combinations_with_links_come_back", |world| {
        let routes =
            "withdraw-default = true\nwithdraw-prefixes = [\"10.20.0.0/16\"]\nnull-prefixes = [\"10.99.0.0/16\"]";
        comes_back(
            world,
            &[
                policy("gate-link", UPLINK, &["gate", "link"]),
                policy("seal-link", UPLINK, &["seal", "link"]),
                policy("routes-link", UPLINK, &["routes", "link"]).routes(routes),
                policy("everything", UPLINK, &["gate", "seal", "routes", "link"]).routes(routes),
                policy("everything-all", Scope::Whole, &["gate", "seal", "routes", "link"]).routes(routes),
            ],
        );
    });
}
