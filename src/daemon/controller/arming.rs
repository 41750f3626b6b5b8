//! Keeps the host armed while nothing is held: what a cut would have to add stands beforehand, and changes no packet's
//! way.
//!
//! What is armed is read from the kernel, never remembered, so a restart finds it and changes nothing. Nothing here
//! touches the kernel while an emergency is not over: what stood then is part of the baseline. Without its record nothing
//! is armed; disarming waits for none.

use std::time::Instant;

use serde_json::json;
use tracing::{info, warn};

use super::{Controller, reading};
use crate::api::error::chain;
use crate::api::{ArmingView, AuditQuery, Finding, Grade};
use crate::daemon::executor;
use crate::kernel::Kinds;
use crate::model::change::Change;
use crate::model::names::InterfaceName;
use crate::model::object::{Family, Qdisc};
use crate::model::plan::Step;
use crate::model::record::{Draft, EventKind};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{self, Armed};

/// A host that is to be armed is looked at this often where no event says so: a default route may have moved.
const LOOK_EVERY_MS: u64 = 60 * 1000;

/// How long a link sends nothing when a qdisc comes or goes: measured on Linux 6.18, for each link.
const PAUSE_MS: u32 = 5;
/// What the first IPv4 rule of a host may take before arming is recommended.
const DEAR_US: u64 = 2_000;
/// What it takes for each IPv4 route: 6.5 ms at 100,000, measured on Linux 6.18.
const NS_EACH_ROUTE: u64 = 65;
/// Records that are searched for a figure.
const FIGURES_MAX: usize = 32;

/// Whether this host is to be armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arm {
    /// Nothing of ours stands before a cut.
    #[default]
    Off,
    /// What a cut would have to add stands from the daemon's start to its end.
    On,
}

/// What is known of arming.
#[derive(Debug)]
pub(super) struct Arming {
    wanted: Arm,
    /// Whether the kernel is to be looked at.
    due: bool,
    /// What was there at the last look, as far as it matters.
    seen: Vec<Seen>,
    looked_ms: u64,
}

/// A link as arming sees it: its names and kind, and what stands where our qdisc would.
type Seen = (u32, InterfaceName, Vec<InterfaceName>, Option<String>, Option<Qdisc>);

impl Arming {
    pub(super) fn new(wanted: Arm) -> Self {
        Self {
            wanted,
            due: wanted == Arm::On,
            seen: Vec::new(),
            looked_ms: 0,
        }
    }
}

/// The links, our ifb among them, with what is ours on them.
fn seen(now: &Snapshot) -> Vec<Seen> {
    let clsact = |link| {
        let mut qdiscs = now.qdiscs.iter();
        qdiscs.find(|q| q.link == link && q.parent == Qdisc::CLSACT_PARENT)
    };
    let links = now.links.iter().map(|l| {
        let names = (l.name.clone(), l.altnames.clone());
        (l.index, names.0, names.1, l.kind.clone(), clsact(l.index).cloned())
    });
    links.collect()
}

impl Controller {
    /// The host as it is to be while nothing is held.
    pub(super) fn idle_goal(&self, now: &Snapshot) -> Armed {
        match self.arming.wanted {
            Arm::Off => Armed::not(now),
            Arm::On => planning::armed(now, self.policies.iter().map(|l| &l.policy)),
        }
    }

    /// Called when the last emergency is over: what its baseline holds of ours is no longer to stand unless it is wanted.
    pub(super) fn let_baseline_go(&mut self) {
        let armed = self.baseline.take().is_some_and(|b| planning::is_armed(&b));
        self.arming.due |= armed || self.arming.wanted == Arm::On;
        self.ended.clear();
    }

    /// While nothing is held: links that came or went, and whoever removed what is armed.
    pub(super) fn watch_armed(&mut self) {
        if self.arming.wanted == Arm::Off || !self.emergencies.is_empty() || self.arming.due {
            return;
        }
        let late = self.now().boottime_ms.saturating_sub(self.arming.looked_ms) >= LOOK_EVERY_MS;
        self.arming.due = late
            || match self.kernel.snapshot(reading::ADDITIVE) {
                Ok(now) => seen(&now) != self.arming.seen || !planning::has_armed_rule(&now),
                Err(error) => {
                    warn!(error = chain(&error), "the kernel could not be read, looking again");
                    false
                }
            };
    }

    /// Brings the kernel to where it is to be while nothing is held.
    pub(super) fn keep_armed(&mut self) {
        if !self.arming.due || !self.emergencies.is_empty() {
            return;
        }
        self.arming.due = false;
        self.arming.looked_ms = self.now().boottime_ms;
        match self.kernel.snapshot(Kinds::ALL) {
            Ok(now) => {
                self.arming.seen = seen(&now);
                match self.arming.wanted {
                    Arm::On => self.arm(&now),
                    Arm::Off => self.disarm(&now, "the last emergency is over, and this host is not to be armed"),
                }
            }
            Err(error) => warn!(
                error = chain(&error),
                "the kernel could not be read, so nothing is armed"
            ),
        }
    }

    /// Before an orderly end: exactly what was there before. A cut that is held keeps what it stands on.
    pub(super) fn disarm_at_stop(&mut self) {
        if self.arming.wanted == Arm::Off || !self.emergencies.is_empty() {
            return;
        }
        match self.kernel.snapshot(Kinds::ALL) {
            Ok(now) => self.disarm(&now, "the daemon stops"),
            Err(error) => warn!(
                error = chain(&error),
                "the kernel could not be read, so the host stays armed"
            ),
        }
    }

    fn arm(&mut self, now: &Snapshot) {
        let goal = self.idle_goal(now);
        let steps = self.steps_to(&goal, now);
        if steps.is_empty() {
            return;
        }
        let links: Vec<&InterfaceName> = goal.links.values().collect();
        let changes = super::views::changes(&steps, &goal.host);
        let laying = json!({
            "links": links,
            "count": changes.len(),
            "changes": changes,
            "left_out": goal.left_out,
        });
        let draft = Draft {
            details: laying,
            ..Draft::of_daemon(EventKind::Armed)
        };
        if let Err(error) = self.books.record(draft, &self.clock.now()) {
            warn!(%error, "arming could not be recorded, so nothing is armed");
            return;
        }
        let (failures, first_rule_us) = self.lay(&steps);
        let (after, missing) = self.missing_of(&goal);
        if let Some(after) = after {
            self.arming.seen = seen(&after);
        }
        info!(
            links = links.len(),
            failures = failures.len(),
            missing = missing.len(),
            "armed"
        );
        if first_rule_us.is_some() || !failures.is_empty() || !missing.is_empty() {
            self.note(Draft {
                details: json!({ "first_rule_us": first_rule_us, "failures": failures, "missing": missing }),
                ..Draft::of_daemon(EventKind::Armed)
            });
        }
    }

    fn disarm(&mut self, now: &Snapshot, why: &str) {
        let goal = Armed::not(now);
        let steps = self.steps_to(&goal, now);
        if steps.is_empty() {
            return;
        }
        let links = planning::armed_links(now);
        let removed = super::views::changes(&steps, now);
        let (failures, _) = self.lay(&steps);
        let (_, missing) = self.missing_of(&goal);
        info!(
            links = links.len(),
            failures = failures.len(),
            left = missing.len(),
            why,
            "disarmed"
        );
        self.note(Draft {
            details: json!({
                "why": why,
                "links": links,
                "count": removed.len(),
                "changes": removed,
                "failures": failures,
                "left": missing,
            }),
            ..Draft::of_daemon(EventKind::Disarmed)
        });
    }

    /// Carries the steps out; what failed, and what our rule took where it was the first of this host.
    fn lay(&mut self, steps: &[Step]) -> (Vec<String>, Option<u64>) {
        let mut failures = Vec::new();
        let mut first_rule_us = None;
        for step in steps {
            let begun = Instant::now();
            let failed = executor::run_all(&mut *self.kernel, std::slice::from_ref(step));
            if failed.is_empty() && adds_a_rule(step) {
                first_rule_us = u64::try_from(begun.elapsed().as_micros()).ok();
            }
            failures.extend(failed.iter().map(|e| chain(e)));
        }
        (failures, first_rule_us)
    }

    /// What is there now, and what still differs from the goal.
    fn missing_of(&mut self, goal: &Armed) -> (Option<Snapshot>, Vec<String>) {
        match self.kernel.snapshot(Kinds::ALL) {
            Ok(now) => {
                let missing = super::views::changes(&self.steps_to(goal, &now), &now);
                (Some(now), missing)
            }
            Err(error) => (
                None,
                vec![format!("the kernel could not be read back: {}", chain(&error))],
            ),
        }
    }

    fn steps_to(&self, goal: &Armed, now: &Snapshot) -> Vec<Step> {
        goal.steps(now).unwrap_or_else(|refusal| {
            warn!(%refusal, "nothing can be armed or disarmed");
            Vec::new()
        })
    }

    /// What stands, for `status`. `now` is a reading of links and traffic control, where there is one already.
    pub(super) fn armed_view(&mut self, now: Option<&Snapshot>) -> ArmingView {
        let links = |now: &Snapshot| {
            let links = planning::armed_links(now);
            links.iter().map(ToString::to_string).collect()
        };
        let links = match (self.arming.wanted, now) {
            (Arm::Off, _) => Vec::new(),
            (Arm::On, Some(now)) => links(now),
            (Arm::On, None) => match self.kernel.snapshot(reading::ADDITIVE) {
                Ok(now) => links(&now),
                Err(error) => {
                    warn!(
                        error = chain(&error),
                        "the kernel could not be read, so no link counts as armed"
                    );
                    Vec::new()
                }
            },
        };
        ArmingView {
            wanted: self.arming.wanted == Arm::On,
            links,
        }
    }

    /// For `doctor`: whether the host is armed as it is to be, or would gain by it.
    pub(super) fn arming_finding(&self, host: &Snapshot) -> Finding {
        let goal = planning::armed(host, self.policies.iter().map(|l| &l.policy));
        match self.arming.wanted {
            Arm::On if !self.emergencies.is_empty() => finding(
                Grade::Good,
                "an emergency is not over: nothing is armed before its end",
                "",
            ),
            Arm::On => self.armed_finding(host, &goal),
            Arm::Off => self.recommendation(host, &goal),
        }
    }

    fn armed_finding(&self, host: &Snapshot, goal: &Armed) -> Finding {
        let mut lacking = super::views::changes(&self.steps_to(goal, host), host);
        lacking.extend(goal.left_out.iter().cloned());
        if !lacking.is_empty() {
            let seen = format!("not whole, missing: {}", lacking.join("; "));
            let hint = "it is tried again when links change, and within a minute; `portcullis audit show --kind armed`";
            return finding(Grade::Warning, &seen, hint);
        }
        let price = match self.last_figure(EventKind::Armed, "first_rule_us") {
            Some(us) => format!("; the first IPv4 rule took {us} us, paid beforehand"),
            None => String::new(),
        };
        let links = goal.links.len();
        finding(
            Grade::Good,
            &format!("{links} links, none of which a cut stops while it is laid out{price}"),
            "",
        )
    }

    /// A first rule is not laid to measure it: what is known of this host is what was recorded.
    fn recommendation(&self, host: &Snapshot, goal: &Armed) -> Finding {
        let mut reasons = Vec::new();
        let up = |index: &&u32| host.link(**index).is_some_and(|l| l.up);
        let links = goal.links.keys().filter(up).count();
        if links > 0 {
            reasons.push(format!(
                "{links} links that policies gate are up: each sends nothing for about {PAUSE_MS} ms when a cut begins and \
                 when it ends, lifelines included"
            ));
        }
        reasons.extend(self.price_of_a_first_rule(host));
        if reasons.is_empty() {
            return finding(Grade::Good, "not armed, and nothing here would gain by it", "");
        }
        let hint = "`arm = true` in portcullis.toml, see portcullis.toml(5)";
        finding(Grade::Warning, &format!("not armed: {}", reasons.join("; ")), hint)
    }

    /// Where the first IPv4 rule costs more than [`DEAR_US`]: measured on this host, or else estimated.
    fn price_of_a_first_rule(&self, host: &Snapshot) -> Option<String> {
        if let Some(us) = self.last_figure(EventKind::Armed, "first_rule_us") {
            return (us > DEAR_US).then(|| format!("the first IPv4 rule took {us} us when this host was last armed"));
        }
        let routes = host.routes.iter().filter(|r| r.family == Family::V4).count();
        let us = u64::try_from(routes).unwrap_or(u64::MAX).saturating_mul(NS_EACH_ROUTE) / 1000;
        let cut = self.last_figure(EventKind::InForce, "cut_us");
        let cut = cut.map_or_else(String::new, |us| format!("; the last cut took {us} us in all"));
        (us > DEAR_US)
            .then(|| format!("by {routes} IPv4 routes, the first IPv4 rule is estimated to take {us} us{cut}"))
    }

    /// The newest figure of this name in the records of a kind.
    fn last_figure(&self, kind: EventKind, name: &str) -> Option<u64> {
        let query = AuditQuery {
            kind: Some(kind.word().to_owned()),
            limit: Some(FIGURES_MAX),
            ..AuditQuery::default()
        };
        let page = self.books.page(&query);
        let page = page.inspect_err(|error| warn!(error = error.detail, "no figure could be read from the audit log"));
        let records = page.map(|page| page.records).unwrap_or_default();
        records.iter().rev().find_map(|record| record["details"][name].as_u64())
    }
}

fn finding(grade: Grade, seen: &str, hint: &str) -> Finding {
    Finding {
        check: "armed".to_owned(),
        grade,
        seen: seen.to_owned(),
        hint: hint.to_owned(),
    }
}

fn adds_a_rule(step: &Step) -> bool {
    let is_rule = |change: &Change| matches!(change, Change::Add(Object::Rule(_)));
    step.changes.iter().any(is_rule)
}
