//! One emergency from the plan to the end, looked at from all sides.

use std::ops::Range;
use std::time::{Duration, Instant};

use portcullis::api::PlanView;
use portcullis::drill::namespace::Namespace;

use crate::binaries::Daemon;
use crate::lifelines::{Lifelines, Line};
use crate::promise;
use crate::world::matrix::{Matrix, Outcome, SHORT};
use crate::world::state::{assert_same, state, without_order};
use crate::world::topology::Topology;
use crate::world::{ip, run};

/// A cut that stands.
#[derive(Debug)]
pub struct Cut<'t> {
    net: &'t Topology,
    daemon: &'t Daemon<'t>,
    policy: &'t str,
    /// What was said beforehand.
    pub plan: PlanView,
    before: String,
    lifelines: Lifelines,
    laid_out: Range<Instant>,
}

impl<'t> Cut<'t> {
    /// Plans and declares, while these lines are probed.
    #[track_caller]
    pub fn declare(net: &'t Topology, daemon: &'t Daemon<'t>, policy: &'t str, lines: &[Line<'_>]) -> Self {
        let before = state(net.at());
        let lifelines = Lifelines::start(lines);
        let plan = daemon.plan(policy);
        let begun = Instant::now();
        daemon.declare(policy);
        let laid_out = begun..Instant::now();
        lifelines.wait_for_more(20);
        daemon.assert_in_force();
        Self {
            net,
            daemon,
            policy,
            plan,
            before,
            lifelines,
            laid_out,
        }
    }

    /// Stays in force for some seconds, while the neighbours of all hosts on the uplink expire and are forgotten.
    #[track_caller]
    pub fn outlives_the_neighbours(&self) {
        let net = self.net;
        let on_the_uplink = [net.at(), &net.router.namespace, &net.neighbour.namespace];
        for namespace in on_the_uplink {
            // By netlink: the sysctls are not shown in a user namespace.
            for table in ["arp_cache", "ndisc_cache"] {
                let change = "base_reachable 400 delay_probe 100 retrans 200 gc_stale 1000";
                run(
                    namespace,
                    "ip",
                    &[
                        &["ntable", "change", "name", table, "dev", "u0"][..],
                        &change.split(' ').collect::<Vec<_>>(),
                    ]
                    .concat(),
                );
            }
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            on_the_uplink.into_iter().for_each(forget_neighbours);
            self.lifelines.wait_for_more(150);
            self.daemon.assert_in_force();
        }
    }

    /// Makes all probes and compares with what the plan says.
    #[track_caller]
    pub fn keeps_its_promise(&self, matrix: &Matrix<'_>) {
        promise::assert_kept(self.policy, &self.plan, &self.probe(matrix));
    }

    /// The same, and gives what differs.
    pub fn broken_promises(&self, matrix: &Matrix<'_>) -> Vec<String> {
        promise::all_broken(self.policy, &self.plan, &self.probe(matrix))
    }

    fn probe(&self, matrix: &Matrix<'_>) -> Outcome {
        matrix.run_where(SHORT, |row| promise::must_pass(&self.plan, row))
    }

    /// The same over a link that appears now.
    #[track_caller]
    pub fn covers_a_new_link(&self) {
        // Duplicate address detection takes a second there, and the daemon milliseconds.
        let seen = Matrix::over_a_new_link(self.net, SHORT, |row| promise::must_pass(&self.plan, row));
        promise::assert_kept(self.policy, &self.plan, &seen);
    }

    /// Asserts that it stands whole.
    #[track_caller]
    pub fn assert_in_force(&self) {
        self.daemon.assert_in_force();
    }

    /// Waits until the cut stands whole.
    pub fn wait_in_force(&self) {
        self.daemon.wait_in_force();
    }

    /// Waits until the lifelines have answered so often again.
    pub fn wait_for_lifelines(&self, times: u64) {
        self.lifelines.wait_for_more(times);
    }

    /// Reverts; no lifeline was lost, and nothing is left over.
    #[track_caller]
    pub fn revert(self) -> Reverted {
        let begun = Instant::now();
        let receipt = self.daemon.revert();
        let cleared = begun..Instant::now();
        self.lifelines.wait_for_more(20);
        // The kernel sends nothing over a link for some milliseconds while a qdisc comes or goes (`qdisc_graft()`).
        let steps = self.plan.steps.iter().flat_map(|step| &step.changes);
        let grafts = steps.into_iter().any(|change| change.starts_with("tc qdisc"));
        let warned = self
            .plan
            .warnings
            .iter()
            .any(|warning| warning.contains("drops what a link sends"));
        assert!(
            !(self.daemon.armed && (grafts || warned)),
            "a qdisc comes or goes on an armed host: {:#?}",
            self.plan
        );
        let but_for = if grafts {
            vec![self.laid_out, cleared]
        } else {
            Vec::new()
        };
        self.lifelines.stop_unharmed(&but_for);
        let clean = receipt.residues.is_empty() && receipt.conflicts.is_empty();
        assert!(clean, "{receipt:#?}\n{}", self.daemon.log());
        let unnamed = |lost: &&String| !self.plan.not_recreatable.contains(lost);
        let unnamed: Vec<_> = receipt.not_recreated.iter().filter(unnamed).collect();
        assert!(unnamed.is_empty(), "not named beforehand: {unnamed:?}");
        Reverted {
            before: self.before,
            after: state(self.net.at()),
            named: self.plan.not_recreatable,
        }
    }
}

/// Deletes each resolved neighbour once. `ip neigh flush` goes on until none is left, and so deletes entries that are
/// being resolved again, with the packets that wait for them.
fn forget_neighbours(namespace: &Namespace) {
    for family in ["-4", "-6"] {
        let shown = run(namespace, "ip", &[family, "-o", "neigh", "show", "dev", "u0"]);
        let dynamic = shown
            .lines()
            .filter(|line| line.contains("lladdr") && !line.contains("PERMANENT"));
        let known = dynamic.filter_map(|line| line.split(' ').next());
        ip(
            namespace,
            &known
                .map(|address| format!("neigh del {address} dev u0\n"))
                .collect::<String>(),
        );
    }
}

/// The state on both sides of a cut.
#[derive(Debug)]
pub struct Reverted {
    /// As `ip` and `tc` showed it before.
    pub before: String,
    /// As they show it now.
    pub after: String,
    /// What the plan named as not recreatable.
    named: Vec<String>,
}

impl Reverted {
    /// Nothing has changed but the place of routes that the plan named beforehand.
    #[track_caller]
    pub fn but_for_what_was_named(&self) {
        assert_same(&without_order(&self.before), &without_order(&self.after));
        let diff = similar::TextDiff::from_lines(&self.before, &self.after);
        let moved = diff
            .iter_all_changes()
            .filter(|change| change.tag() == similar::ChangeTag::Delete);
        for line in moved.map(|change| change.value().to_owned()) {
            let prefix = line.split(' ').nth(1).unwrap();
            let named = self.named.iter().any(|lost| lost.contains(prefix));
            assert!(named, "{line:?} has moved, and is not named in {:#?}", self.named);
        }
    }

    /// Nothing has changed.
    #[track_caller]
    pub fn exactly(&self) {
        assert_same(&self.before, &self.after);
    }
}
