//! Each method alone and together, on the whole host and on listed links, by family and by direction.

use crate::binaries::Daemon;
use crate::emergency::Cut;
use crate::lifelines::{Line, Protocol};
use crate::world::matrix::Matrix;
use crate::world::topology::{Topology, nasty};
use crate::world::{self, ip, tc};

const BOTH: &str = "\"ipv4\", \"ipv6\"";
const ALL: &str = "\"in\", \"out\", \"forward\"";
const WHOLE: &str = "interfaces = [\"*\"]";
const UPLINK: &str = "interfaces = [\"u0\"]";

/// A policy for tests.
#[derive(Clone, Copy, Debug)]
pub struct Draft {
    /// How it cuts.
    pub methods: &'static str,
    /// Which links.
    pub scope: &'static str,
    /// Which families.
    pub families: &'static str,
    /// Which directions.
    pub directions: &'static str,
    /// Whether SSH from the world goes on.
    pub keeps_ssh: bool,
}

impl Draft {
    /// Everything on these links by these methods.
    pub const fn new(methods: &'static str, scope: &'static str) -> Self {
        Self {
            methods,
            scope,
            families: BOTH,
            directions: ALL,
            keeps_ssh: false,
        }
    }

    const fn families(self, families: &'static str) -> Self {
        Self { families, ..self }
    }

    const fn directions(self, directions: &'static str) -> Self {
        Self { directions, ..self }
    }

    /// With a lifeline.
    pub const fn with_ssh(self) -> Self {
        Self {
            keeps_ssh: true,
            ..self
        }
    }

    /// The file.
    pub fn text(&self, name: &str) -> String {
        let Self {
            methods,
            scope,
            families,
            directions,
            ..
        } = self;
        let routes = if methods.contains("routes") {
            "[methods.routes]\nwithdraw-default = true\n"
        } else {
            ""
        };
        let lifeline = if self.keeps_ssh {
            "[[lifelines]]\nname = \"ssh\"\npeers = [\"10.0.2.2\", \"fd00:2::2\"]\nprotocol = \"tcp\"\nports = [22]\n\
             direction = \"in\"\n"
        } else {
            ""
        };
        format!(
            "schema = 1\nname = \"{name}\"\nsummary = \"a test\"\ndeclared-for = [\"exercise\"]\naffects = \"own-hosts\"\n\
             [scope]\n{scope}\nfamilies = [{families}]\ndirections = [{directions}]\n[methods]\nuse = [{methods}]\n\
             {routes}{lifeline}[limits]\ndefault = \"5m\"\nmaximum = \"1h\"\ntotal = \"1h\"\n\
             [fail]\ncrash = \"open\"\nreboot = \"open\"\nlifeline-lost = \"open\"\n[notice]\ntext = \"a test\"\n"
        )
    }
}

/// Declares one after the other in the same network, and looks at each from all sides.
fn each_keeps_its_promise(net: &Topology, drafts: &[(&str, Draft)]) {
    let policies: Vec<(&str, String)> = drafts.iter().map(|(name, draft)| (*name, draft.text(name))).collect();
    let daemon = Daemon::start(net.at(), &policies);
    let matrix = Matrix::open(net);
    matrix.control();
    let mut broken = Vec::new();
    for (name, draft) in drafts {
        let ssh = Line {
            from: &net.world_host,
            to: &net.subject,
            port: 22,
            by: Protocol::Tcp,
        };
        let beside = Line {
            from: &net.subject_m0,
            to: &net.management_m0,
            port: 7100,
            by: Protocol::Udp,
        };
        let mut lines = Vec::new();
        lines.extend(draft.keeps_ssh.then_some(ssh));
        lines.extend((draft.scope != WHOLE).then_some(beside));
        let cut = Cut::declare(net, &daemon, name, &lines);
        broken.extend(cut.broken_promises(&matrix));
        cut.assert_in_force();
        let reverted = cut.revert();
        if draft.methods.contains("link") {
            reverted.but_for_what_was_named();
        } else {
            reverted.exactly();
        }
        matrix.control();
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn nasty_gateway(world: world::World) -> Topology {
    let net = Topology::gateway(world);
    nasty(net.at());
    net
}

const GATES: [(&str, Draft); 9] = [
    ("gate-all", Draft::new("\"gate\"", WHOLE)),
    ("gate-all-ssh", Draft::new("\"gate\"", WHOLE).with_ssh()),
    ("gate-u0", Draft::new("\"gate\"", UPLINK)),
    ("gate-u0-ssh", Draft::new("\"gate\"", UPLINK).with_ssh()),
    ("gate-u0-v4", Draft::new("\"gate\"", UPLINK).families("\"ipv4\"")),
    ("gate-u0-v6", Draft::new("\"gate\"", UPLINK).families("\"ipv6\"")),
    ("gate-u0-in", Draft::new("\"gate\"", UPLINK).directions("\"in\"")),
    ("gate-u0-out", Draft::new("\"gate\"", UPLINK).directions("\"out\"")),
    ("gate-all-in", Draft::new("\"gate\"", WHOLE).directions("\"in\"")),
];

#[test]
fn gate_cuts_what_its_coverage_says() {
    world::inside("methods::gate_cuts_what_its_coverage_says", |world| {
        each_keeps_its_promise(&nasty_gateway(world), &GATES);
    });
}

#[test]
fn gate_cuts_the_same_in_front_of_somebody_elses_filters() {
    world::inside(
        "methods::gate_cuts_the_same_in_front_of_somebody_elses_filters",
        |world| {
            let net = nasty_gateway(world);
            tc(
                net.at(),
                "qdisc add dev u0 clsact
             filter add dev u0 ingress pref 50 protocol ip u32 match ip dst 192.0.2.1 flowid 1:1
             filter add dev u0 egress pref 60 protocol ipv6 u32 match ip6 dst 2001:db8::1 flowid 1:1",
            );
            each_keeps_its_promise(&net, &GATES[..4]);
        },
    );
}

#[test]
fn seal_of_the_whole_host_cuts_what_its_coverage_says() {
    const SEAL: Draft = Draft::new("\"seal\"", WHOLE);
    world::inside("methods::seal_of_the_whole_host_cuts_what_its_coverage_says", |world| {
        each_keeps_its_promise(
            &nasty_gateway(world),
            &[
                ("seal-all", SEAL),
                ("seal-all-ssh", SEAL.with_ssh()),
                ("seal-all-v4", SEAL.families("\"ipv4\"")),
                ("seal-all-v6", SEAL.families("\"ipv6\"")),
                ("seal-all-out", SEAL.directions("\"out\"")),
                ("seal-all-in", SEAL.directions("\"in\", \"forward\"")),
                ("seal-all-forward", SEAL.directions("\"forward\"")),
            ],
        );
    });
}

#[test]
fn seal_of_listed_links_cuts_what_its_coverage_says() {
    // What arrives over a macvlan counts as coming over that, not over the link below.
    const SEAL: Draft = Draft::new("\"seal\"", "interfaces = [\"u0\", \"mv0\"]");
    world::inside("methods::seal_of_listed_links_cuts_what_its_coverage_says", |world| {
        let net = nasty_gateway(world);
        world::ip(net.at(), world::topology::ONE_LEGGED);
        each_keeps_its_promise(
            &net,
            &[
                ("seal-u0", SEAL),
                ("seal-u0-ssh", SEAL.with_ssh()),
                ("seal-u0-v4", SEAL.families("\"ipv4\"")),
                ("seal-u0-v6", SEAL.families("\"ipv6\"")),
                ("seal-u0-out", SEAL.directions("\"out\"")),
                ("seal-u0-in", SEAL.directions("\"in\", \"forward\"")),
                ("seal-u0-forward", SEAL.directions("\"forward\"")),
            ],
        );
    });
}

#[test]
fn methods_together_cut_what_their_coverage_says() {
    world::inside("methods::methods_together_cut_what_their_coverage_says", |world| {
        each_keeps_its_promise(
            &nasty_gateway(world),
            &[
                ("both-all", Draft::new("\"gate\", \"seal\"", WHOLE)),
                ("both-all-ssh", Draft::new("\"gate\", \"seal\"", WHOLE).with_ssh()),
                ("both-u0", Draft::new("\"gate\", \"seal\"", UPLINK)),
                ("both-u0-ssh", Draft::new("\"gate\", \"seal\"", UPLINK).with_ssh()),
                (
                    "routes",
                    Draft::new("\"routes\"", UPLINK).directions("\"out\", \"forward\""),
                ),
                ("link", Draft::new("\"link\"", UPLINK)),
            ],
        );
    });
}

#[test]
fn bridged_traffic_is_cut_where_the_coverage_says() {
    const PORTS: &str = "interfaces = [\"x0\", \"y0\"]";
    world::inside("methods::bridged_traffic_is_cut_where_the_coverage_says", |world| {
        let net = Topology::bridge(world);
        ip(
            net.at(),
            "route add 10.20.0.0/16 via 10.0.0.3\nroute add 10.21.0.0/16 via 10.0.9.1",
        );
        each_keeps_its_promise(
            &net,
            &[
                ("bridge-gate-all", Draft::new("\"gate\"", WHOLE)),
                ("bridge-gate-ports", Draft::new("\"gate\"", PORTS)),
                ("bridge-gate-u0", Draft::new("\"gate\"", UPLINK)),
                ("bridge-gate-out", Draft::new("\"gate\"", PORTS).directions("\"out\"")),
                ("bridge-gate-v4", Draft::new("\"gate\"", PORTS).families("\"ipv4\"")),
                ("bridge-seal", Draft::new("\"seal\"", WHOLE)),
            ],
        );
    });
}
