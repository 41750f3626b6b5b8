//! An armed host on the real kernel: nothing goes another way, a crash costs nothing, and a stop leaves nothing.

use std::fmt::Write as _;
use std::time::Duration;

use portcullis::drill::namespace::Namespace;
use portcullis::model::object::Family;

use crate::host::{Host, lines};
use crate::policy::{Scope, policy};
use crate::world::state::{assert_same, state};
use crate::world::topology::{Topology, nasty};
use crate::world::{self, World, ip, run, wait_until};

/// Destinations and sources that are looked up, in each family.
const LOOKUPS: usize = 1_000;
const ARM: &[&str] = &["--arm"];

fn gateway(world: World) -> Topology {
    let net = Topology::gateway(world);
    nasty(net.at());
    net
}

fn policies() -> Vec<(&'static str, String)> {
    vec![
        policy("both", Scope::Whole, &["gate", "seal"]).file(),
        policy("uplink", Scope::Links(&["u0"]), &["gate"]).file(),
        policy("null", Scope::Whole, &["routes"])
            .routes("null-prefixes = [\"10.0.2.0/24\", \"fd00:2::/64\"]")
            .file(),
    ]
}

/// A generator whose numbers are the same in every run (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Any address, or one of the test's own networks, so that not every answer is that of the default route.
    fn address(&mut self, family: Family) -> String {
        let (kind, low, high) = (self.next() % 3, self.next(), self.next());
        match (family, kind) {
            (Family::V4, 0) => format!("10.0.{}.{}", low % 4, high % 256),
            (Family::V4, _) => format!(
                "{}.{}.{}.{}",
                1 + low % 223,
                high % 256,
                (high >> 8) % 256,
                (high >> 16) % 256
            ),
            (Family::V6, 0) => format!("fd00:{:x}::{:x}", low % 4, high % 256),
            (Family::V6, _) => format!("2{:03x}:{:x}::{:x}", low % 4096, high % 65536, (high >> 16) % 65536),
        }
    }
}

/// What the kernel answers for as many random destinations, and for as many packets that arrive from random sources.
fn lookups(net: &Topology) -> String {
    let mut numbers = Numbers(0x5043_2026);
    let mut answers = String::new();
    for (family, flag) in [(Family::V4, "-4"), (Family::V6, "-6")] {
        let own = net.subject.address(family);
        let mut batch = String::new();
        for _ in 0..LOOKUPS {
            let (to, from) = (numbers.address(family), numbers.address(family));
            writeln!(batch, "route get {to}").unwrap();
            writeln!(batch, "route get {own} from {from} iif u0").unwrap();
            writeln!(batch, "route get {to} from {from} iif u0").unwrap();
        }
        answers += &answers_to(net.at(), flag, &batch);
    }
    answers
}

/// Errors are answers, too; `-force` goes on after them.
fn answers_to(at: &Namespace, family: &str, batch: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), batch).unwrap();
    let output = at.run(|_| {
        std::process::Command::new("ip")
            .args([family, "-oneline", "-force", "-batch"])
            .arg(file.path())
            .output()
            .unwrap()
    });
    let output = output.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &errors.replace(&file.path().display().to_string(), "batch");
    // The time that a cached exception has left is no part of a way.
    text.lines()
        .map(|line| line.split(" expires ").next().unwrap().to_owned() + "\n")
        .collect()
}

#[test]
fn arming_and_disarming_change_no_packets_way() {
    world::inside("armed::arming_and_disarming_change_no_packets_way", |world| {
        let net = gateway(world);
        let before = lookups(&net);
        let found = before.lines().filter(|line| line.contains(" dev ")).count();
        assert!(found > LOOKUPS, "{found} of {} have a way", before.lines().count());
        let host = Host::start_with(net.at(), &policies(), ARM);
        assert!(host.status()["armed"]["wanted"].as_bool().unwrap());
        assert_same(&before, &lookups(&net));
        // After a cut, too.
        let id = host.declare("both");
        assert_ne!(before, lookups(&net));
        host.revert(&id);
        assert_same(&before, &lookups(&net));
        host.stop();
        assert_same(&before, &lookups(&net));
    });
}

#[test]
fn a_stop_disarms_exactly_and_a_crash_leaves_the_host_armed() {
    world::inside(
        "armed::a_stop_disarms_exactly_and_a_crash_leaves_the_host_armed",
        |world| {
            let net = gateway(world);
            let before = state(net.at());
            let host = Host::start_with(net.at(), &policies(), ARM);
            let links = lines(&host.status()["armed"]["links"]);
            assert!(links.contains(&"u0".to_owned()) && links.len() > 2, "{links:?}");
            let armed = state(net.at());
            assert!(armed.contains("clsact") && armed.contains("40000:"), "{armed}");
            let mut watched = Monitor::start(net.at());
            host.kill();
            let host = Host::start_with(net.at(), &policies(), ARM);
            assert_same(&armed, &state(net.at()));
            assert_eq!(watched.stop(), "", "qdiscs, rules and links were let alone");
            assert_eq!(host.records("armed").len(), 2);
            let id = host.declare("uplink");
            host.revert(&id);
            assert_same(&armed, &state(net.at()));
            host.stop();
            assert_same(&before, &state(net.at()));
            let host = Host::start(net.at(), &policies());
            assert_same(&before, &state(net.at()));
            let told = host.records("disarmed");
            assert_eq!(lines(&told[0]["details"]["links"]), links);
            assert_eq!(lines(&told[0]["details"]["left"]), Vec::<String>::new());
        },
    );
}

/// `tc monitor` and `ip monitor`, for as long as nothing may happen.
#[derive(Debug)]
struct Monitor {
    file: tempfile::NamedTempFile,
    kids: Vec<world::Kid>,
}

impl Monitor {
    fn start(at: &Namespace) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let programs = [("tc", &["monitor"][..]), ("ip", &["monitor", "rule", "link"])];
        let kids = programs.map(|(program, args)| {
            let path = run(at, "which", &[program]);
            world::Kid::spawn(at, std::path::Path::new(path.trim()), |command| {
                command.args(args).stdout(file.reopen().unwrap());
            })
        });
        let mut monitor = Self {
            file,
            kids: kids.into(),
        };
        monitor.wait_until_it_sees(at);
        monitor
    }

    /// Something of our own shows that both listen, and something else of ours that they told all of it; then the page is
    /// clean again.
    fn wait_until_it_sees(&mut self, at: &Namespace) {
        let said = || std::fs::read_to_string(self.file.path()).unwrap();
        let blink = |qdisc: &str, pref: u32| {
            run(at, "tc", &["qdisc", "add", "dev", "lo", qdisc]);
            run(at, "tc", &["qdisc", "del", "dev", "lo", qdisc]);
            ip(at, &format!("rule add pref {pref} lookup main\nrule del pref {pref}\n"));
        };
        wait_until("the monitors listen", Duration::from_secs(10), || {
            blink("clsact", 31_999);
            said().contains("clsact") && said().contains("31999")
        });
        blink("ingress", 31_998);
        wait_until("the monitors told it all", Duration::from_secs(10), || {
            said().contains("deleted qdisc ingress") && said().contains("Deleted 31998")
        });
        self.file.as_file().set_len(0).unwrap();
    }

    fn stop(&mut self) -> String {
        self.kids.clear();
        let said = std::fs::read_to_string(self.file.path()).unwrap();
        said.trim_matches('\0').to_owned()
    }
}

#[test]
fn links_that_come_and_go_are_armed_and_a_cut_ends_on_an_armed_host() {
    world::inside(
        "armed::links_that_come_and_go_are_armed_and_a_cut_ends_on_an_armed_host",
        |world| {
            let net = gateway(world);
            let host = Host::start_with(net.at(), &policies(), ARM);
            ip(
                net.at(),
                "link add nw1 type veth peer name nw2\nlink set nw1 up\nlink set nw2 up\n",
            );
            let is_armed =
                |status: &serde_json::Value, link: &str| lines(&status["armed"]["links"]).contains(&link.to_owned());
            host.wait_for("new links are armed", |status| {
                is_armed(status, "nw1") && is_armed(status, "nw2")
            });
            let id = host.declare("both");
            // A link that comes while a cut is held is cut, and armed after its end.
            ip(net.at(), "link add nw3 type veth peer name nw4\nlink set nw3 up\n");
            host.wait_for("the new link is cut", |status| {
                status["state"] == "in-force" && is_armed(status, "nw3") && is_armed(status, "nw4")
            });
            host.revert(&id);
            host.wait_for("all are armed", |status| {
                is_armed(status, "nw3") && is_armed(status, "u0")
            });
            ip(net.at(), "link del nw1\nlink del nw3\n");
            host.wait_for("those that went are not", |status| {
                !is_armed(status, "nw1") && !is_armed(status, "nw3")
            });
            let finding = host.run(&["doctor"]).json["findings"].as_array().unwrap().clone();
            let finding = finding.into_iter().find(|f| f["check"] == "armed").unwrap();
            assert_eq!(finding["grade"], "good", "{finding}");
            host.stop();
            assert!(!state(net.at()).contains("clsact"));
        },
    );
}
