//! What others change while a cut stands: kept where it is theirs, named where it stands in the way, put right where it is
//! ours, and nothing of ours is left at the end.

use std::time::Duration;

use serde_json::Value;

use crate::host::{Host, lines};
use crate::policy::{Scope, policy};
use crate::world::state::{assert_same, state, without_order};
use crate::world::topology::{Topology, nasty};
use crate::world::{self, World, ip, ip6, run, sysctl, tc, try_run, wait_for_dad, wait_until};

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Our protocol number, as `ip` writes it.
const OURS: &str = "proto 80";

pub(crate) struct Scene {
    pub(crate) net: Topology,
    pub(crate) host: Host,
}

impl Scene {
    pub(crate) fn new(world: World) -> Self {
        let net = Topology::host(world);
        nasty(net.at());
        ip(net.at(), EXTRA_LINKS);
        wait_for_dad(net.at());
        let policies = [
            policy("gate", Scope::Links(&["u0"]), &["gate"]),
            policy("extra", Scope::Links(&["x0"]), &["gate"]),
            policy("both", Scope::Whole, &["gate", "seal"]),
            policy("seal", Scope::Whole, &["seal"]),
            policy("link", Scope::Links(&["u0", "x0", "y0"]), &["link"]),
            policy("whole", Scope::Whole, &["link"]),
            policy("routes", Scope::Links(&["u0"]), &["routes"]).routes("withdraw-default = true"),
        ];
        let files: Vec<_> = policies.iter().map(|p| p.file()).collect();
        let host = Host::start(net.at(), &files);
        Self { net, host }
    }

    pub(crate) fn state(&self) -> String {
        wait_for_dad(self.net.at());
        without_order(&state(self.net.at()))
    }

    pub(crate) fn ip(&self, lines: &str) {
        ip(self.net.at(), lines);
    }

    /// What others do under a cut comes to the same as without it. Gives the receipt.
    fn kept(&self, policy: &str, change: &str, undo: &str) -> Value {
        let before = self.state();
        self.ip(change);
        let changed = self.state();
        self.ip(undo);
        assert_same(&before, &self.state());
        let id = self.host.declare(policy);
        self.ip(change);
        let receipt = self.host.revert(&id);
        assert_same(&changed, &self.state());
        assert_eq!(lines(&receipt["conflicts"]), Vec::<String>::new(), "{receipt:#}");
        self.ip(undo);
        assert_same(&before, &self.state());
        receipt
    }

    /// What others take from a cut is there again, known to status and to the record, and gone at the end.
    fn put_right(&self, policy: &str, what: &str, harm: impl FnOnce()) {
        let before = self.state();
        let id = self.host.declare(policy);
        let cut = without_numbers(&state(self.net.at()));
        let drifts = self.host.records("drift").len();
        harm();
        let mut last = String::new();
        let back = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(what, SOON, || {
                last = without_numbers(&state(self.net.at()));
                last == cut
            });
        }));
        if back.is_err() {
            assert_same(&cut, &last);
        }
        self.host.wait_for("in force", |status| {
            status["state"] == "in-force" && status["open_paths"].as_array().unwrap().is_empty()
        });
        assert!(
            self.host.records("drift").len() > drifts,
            "{what}: no drift was recorded"
        );
        self.host.revert(&id);
        assert_same(&before, &self.state());
    }
}

/// The pair beside the others: `x0` is up, `y0`, its peer, too, and `z0` is down.
const EXTRA_LINKS: &str = "\
    link add name x0 type veth peer name y0
    link set dev x0 up
    link set dev y0 up
    link add name z0 type veth peer name z1
    link set dev z0 up
    link set dev z1 up
    link set dev z0 down
    link set dev z1 down
    addr add 10.0.50.1/24 dev x0
    addr add 10.0.51.1/24 dev z0";

/// Without what the kernel chooses anew for an object that was put back: numbers of a filter's table and action, the
/// hardware address of an ifb.
fn without_numbers(state: &str) -> String {
    let numbered = |before: &str| matches!(before, "index" | "fh" | "ht" | "bkt");
    let line = |line: &str| {
        let mut before = "";
        let words = line
            .split(' ')
            .filter(|word| !numbered(std::mem::replace(&mut before, word).trim()));
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    let kept = state
        .lines()
        .filter(|line| !line.trim_start().starts_with("link/ether"));
    without_order(&kept.map(line).collect::<String>())
}

/// Whether the receipt names something of this text among the changes of others.
#[track_caller]
pub(crate) fn names(receipt: &Value, list: &str, text: &str) {
    let named = lines(&receipt[list]);
    assert!(
        named.iter().any(|line| line.contains(text)),
        "{list} does not name {text}: {receipt:#}"
    );
}

#[test]
fn what_others_change_beside_a_cut_is_kept() {
    world::inside("foreign::what_others_change_beside_a_cut_is_kept", |world| {
        let scene = Scene::new(world);
        for cut in ["gate", "both", "seal", "routes"] {
            let receipt = scene.kept(
                cut,
                "route add 10.66.0.0/16 via 10.0.9.1",
                "route del 10.66.0.0/16 via 10.0.9.1",
            );
            names(&receipt, "kept_foreign_changes", "10.66.0.0/16");
        }
        for cut in ["gate", "both", "link"] {
            let receipt = scene.kept(cut, "addr del 10.0.50.1/24 dev x0", "addr add 10.0.50.1/24 dev x0");
            names(&receipt, "kept_foreign_changes", "10.0.50.1/24");
        }
        let change = "route change 10.21.0.0/16 via 10.99.0.2 dev u0 onlink";
        let receipt = scene.kept("both", change, "route change 10.21.0.0/16 via 10.99.0.1 dev u0 onlink");
        names(&receipt, "kept_foreign_changes", "10.99.0.2");
        let before = scene.state();
        let id = scene.host.declare("seal");
        scene.ip("link set dev z0 up");
        let receipt = scene.host.revert(&id);
        names(&receipt, "kept_foreign_changes", "z0");
        let z0 = run(scene.net.at(), "ip", &["link", "show", "dev", "z0"]);
        assert!(z0.contains(",UP"), "{z0}");
        scene.ip("link set dev z0 down");
        wait_until("z0 is as before", SOON, || scene.state() == before);
        let receipt = scene.kept("link", "addr add 10.0.77.1/24 dev u0", "addr del 10.0.77.1/24 dev u0");
        names(&receipt, "kept_foreign_changes", "10.0.77.1/24");
    });
}

#[test]
fn what_others_take_from_a_cut_is_put_right() {
    world::inside("foreign::what_others_take_from_a_cut_is_put_right", |world| {
        let scene = Scene::new(world);
        let at = scene.net.at();
        scene.put_right("both", "the rule is back", || ip(at, "rule del pref 8"));
        scene.put_right("seal", "the IPv6 rule is back", || ip6(at, "rule del pref 8"));
        scene.put_right("seal", "the local rule is gone again", || {
            ip(at, "rule add pref 0 lookup local")
        });
        scene.put_right("seal", "the IPv6 local rule is gone again", || {
            ip6(at, "rule add pref 0 lookup local")
        });
        scene.put_right("gate", "the ifb is back", || ip(at, "link del portcullis0"));
        scene.put_right("gate", "clsact is back", || tc(at, "qdisc del dev u0 clsact"));
        scene.put_right("link", "the link is down again", || ip(at, "link set dev u0 up"));
        scene.put_right("routes", "the route is gone again", || {
            ip(at, "route add default via 10.0.0.1 dev u0");
        });
    });
}

#[test]
fn a_flush_of_all_rules_takes_only_what_is_not_ours() {
    world::inside("foreign::a_flush_of_all_rules_takes_only_what_is_not_ours", |world| {
        let scene = Scene::new(world);
        let at = scene.net.at();
        let id = scene.host.declare("both");
        let all = || run(at, "ip", &["-4", "rule", "show"]) + &run(at, "ip", &["-6", "rule", "show"]);
        let ours = || {
            let mut lines: Vec<String> = all().lines().filter(|l| l.ends_with(OURS)).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let cut = ours();
        assert!(cut.len() > 2, "{cut:?}");
        ip(at, "rule flush");
        let mut last = Vec::new();
        let back = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("our rules are back", SOON, || {
                last = ours();
                last == cut
            });
        }));
        assert!(back.is_ok(), "{last:#?}\nwere {cut:#?}");
        let receipt = scene.host.revert(&id);
        names(&receipt, "kept_foreign_changes", "lookup main");
        let left = run(at, "ip", &["rule", "show"]);
        assert_eq!(left, "0:\tfrom all lookup local\n");
        assert_eq!(ours(), Vec::<String>::new());
    });
}

#[test]
fn the_sysctls_of_a_link_that_others_rename_are_no_changes() {
    world::inside(
        "foreign::the_sysctls_of_a_link_that_others_rename_are_no_changes",
        |world| {
            let scene = Scene::new(world);
            let at = scene.net.at();
            for cut in ["gate", "link"] {
                // What a router advertised, and goes with the link.
                sysctl(at, "net.ipv6.conf.u0.mtu", "1300");
                let id = scene.host.declare(cut);
                scene.ip("link set dev u0 name u9");
                let receipt = scene.host.revert(&id);
                let named = lines(&receipt["kept_foreign_changes"]);
                assert!(named.iter().any(|line| line.contains("u9: <")), "{cut}: {receipt:#}");
                assert!(!named.iter().any(|line| line.contains("net.ipv")), "{cut}: {receipt:#}");
                assert_eq!(lines(&receipt["conflicts"]), Vec::<String>::new(), "{cut}");
                let mtu = run(at, "cat", &["/proc/sys/net/ipv6/conf/u9/mtu"]);
                assert_eq!(mtu.trim(), "1300", "{cut}");
                scene.ip("link set dev u9 name u0");
            }
        },
    );
}

#[test]
fn what_stands_where_something_was_lost_is_a_named_conflict() {
    world::inside(
        "foreign::what_stands_where_something_was_lost_is_a_named_conflict",
        |world| {
            let scene = Scene::new(world);
            let at = scene.net.at();
            let id = scene.host.declare("link");
            let theirs = "02:00:00:00:00:99";
            scene.ip(&format!("neigh replace 10.0.0.77 lladdr {theirs} dev u0 nud permanent"));
            let receipt = scene.host.revert(&id);
            names(&receipt, "conflicts", "10.0.0.77");
            let kept = run(at, "ip", &["neigh", "show", "10.0.0.77", "dev", "u0"]);
            assert!(kept.contains(theirs), "{kept}");
        },
    );
}

#[test]
fn a_link_that_others_give_a_smaller_mtu_keeps_it_and_leaves_nothing_stuck() {
    world::inside(
        "foreign::a_link_that_others_give_a_smaller_mtu_keeps_it_and_leaves_nothing_stuck",
        |world| {
            let scene = Scene::new(world);
            scene.ip("link add name br0 type bridge\nlink set dev br0 up");
            let id = scene.host.declare("whole");
            scene.ip("link set dev br0 mtu 1400\nlink set dev br0 up");
            let receipt = scene.host.revert(&id);
            assert_eq!(lines(&receipt["residues"]), Vec::<String>::new());
            names(&receipt, "conflicts", "net.ipv6.conf.br0.mtu");
            assert_eq!(scene.host.status()["state"], "clear");
        },
    );
}

#[test]
fn links_that_come_and_go_under_a_cut() {
    world::inside("foreign::links_that_come_and_go_under_a_cut", |world| {
        let scene = Scene::new(world);
        let at = scene.net.at();
        let is_up = |name: &str| run(at, "ip", &["-br", "link", "show", "dev", name]).contains("UP");
        let add = "\
            link add name n0 index 90 address 02:00:00:00:90:00 type veth peer name n1 index 91 address 02:00:00:00:91:00
            addr add 10.0.90.1/24 dev n0
            link set dev n0 up
            link set dev n1 up";
        let before = scene.state();
        // The kernel gives them their link-local addresses when it finds the time.
        let settled = || {
            let local = |text: &String| {
                ["9000", "9100"]
                    .iter()
                    .all(|n| text.contains(&format!("local fe80::ff:fe00:{n} ")))
            };
            wait_until("the new links have their addresses", SOON, || local(&state(at)));
            scene.state()
        };
        scene.ip(add);
        let with_new = settled();
        scene.ip("link del n0");
        for cut in ["both", "whole"] {
            let id = scene.host.declare(cut);
            scene.ip(add);
            if cut == "whole" {
                wait_until("the new links are cut", SOON, || !is_up("n0") && !is_up("n1"));
            } else {
                let gated = || run(at, "tc", &["qdisc", "show", "dev", "n0"]).contains("clsact");
                wait_until("the new links are cut", SOON, gated);
            }
            scene.host.wait_for("in force", |status| status["state"] == "in-force");
            scene.host.revert(&id);
            assert_same(&with_new, &settled());
            scene.ip("link del n0");
            assert_same(&before, &scene.state());
        }
        let id = scene.host.declare("whole");
        scene.ip("link del x0");
        let receipt = scene.host.revert(&id);
        names(&receipt, "kept_foreign_changes", "x0");
        assert!(try_run(at, "ip", &["link", "show", "dev", "x0"], "").is_err());
        assert!(
            !is_up("z0") && is_up("u0") && is_up("m0"),
            "what was down stays down, and the rest is up"
        );
    });
}

#[test]
fn a_link_of_the_scope_that_is_made_again_is_cut_again() {
    world::inside(
        "foreign::a_link_of_the_scope_that_is_made_again_is_cut_again",
        |world| {
            let scene = Scene::new(world);
            let at = scene.net.at();
            let gated = || run(at, "tc", &["qdisc", "show", "dev", "x0"]).contains("clsact");
            let id = scene.host.declare("extra");
            assert!(gated(), "the link is cut");
            scene.ip("link del x0");
            scene.ip("link add name x0 type veth peer name x9\nlink set dev x0 up");
            wait_until("the link that was made again is cut", SOON, gated);
            scene.host.wait_for("in force", |status| status["state"] == "in-force");
            scene.host.revert(&id);
            assert!(!gated(), "and open after the end");
        },
    );
}

#[test]
fn what_came_under_one_cut_and_was_taken_by_the_next_comes_back() {
    world::inside(
        "foreign::what_came_under_one_cut_and_was_taken_by_the_next_comes_back",
        |world| {
            let scene = Scene::new(world);
            let theirs =
                "addr add 10.0.77.1/24 dev u0\naddr add fd00:77::1/64 dev u0\nroute add 10.78.0.0/16 via 10.0.0.9";
            let undo = "route del 10.78.0.0/16\naddr del fd00:77::1/64 dev u0\naddr del 10.0.77.1/24 dev u0";
            let before = scene.state();
            scene.ip(theirs);
            let with_theirs = scene.state();
            scene.ip(undo);
            let first = scene.host.declare("gate");
            scene.ip(theirs);
            wait_for_dad(scene.net.at());
            let second = scene.host.declare("link");
            scene.host.revert(&second);
            scene.host.revert(&first);
            assert_same(&with_theirs, &scene.state());
            scene.ip(undo);
            assert_same(&before, &scene.state());
        },
    );
}

#[test]
fn routes_that_never_hold_still_keep_no_cut_from_ending() {
    world::inside(
        "foreign::routes_that_never_hold_still_keep_no_cut_from_ending",
        |world| {
            let scene = Scene::new(world);
            // So many that no reading of all of them falls between two changes.
            let many: String = (0..2_000)
                .map(|n| format!("route add blackhole 10.201.{}.{} table 100\n", n / 250, n % 250))
                .collect();
            scene.ip(&many);
            let before = scene.state();
            let churn = crate::flood::Churn::start(scene.net.at());
            let id = scene.host.declare("both");
            for _ in 0..5 {
                assert_eq!(scene.host.status()["state"], "in-force");
            }
            scene.ip("rule del pref 8");
            let back = || run(scene.net.at(), "ip", &["rule", "show", "pref", "8"]).contains("prohibit");
            wait_until("the rule is back", SOON, back);
            assert_eq!(scene.host.run(&["doctor"]).done()["ready"], true);
            scene.host.revert(&id);
            churn.stop();
            // What a cut takes must hold still to be written down, but not to be put back.
            let taking = scene.host.declare("routes");
            let churn = crate::flood::Churn::start(scene.net.at());
            let receipt = scene.host.revert(&taking);
            churn.stop();
            assert_eq!(lines(&receipt["residues"]), Vec::<String>::new());
            assert_same(&before, &scene.state());
        },
    );
}
