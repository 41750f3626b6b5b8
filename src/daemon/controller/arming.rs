//! Keeps the host armed while nothing is held: what a cut would have to add stands beforehand, and changes no packet's
//! way.
//!
//! What is armed is read from the kernel, never remembered, so a restart finds it and changes nothing. Nothing here
//! touches the kernel while an emergency is not over: what stood then is part of the baseline. Without its record nothing
//! is armed; disarming waits for none.

mod advice;
mod strays;

use std::time::Instant;

use serde_json::json;
use tracing::{info, warn};

use super::{Controller, reading};
use crate::api::ArmingView;
use crate::api::error::chain;
use crate::model::change::Change;
use crate::model::names::InterfaceName;
use crate::model::object::Qdisc;
use crate::model::plan::Step;
use crate::model::record::{Draft, EventKind};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{self, Armed};

/// A host that is to be armed is looked at this often where no event says so: a default route may have moved.
const LOOK_EVERY_MS: u64 = 60 * 1000;

/// Links, and lines of what failed, in one record; their number stands beside them.
const LISTED_MAX: usize = 1_000;

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
    strays: strays::Strays,
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
            strays: strays::Strays::default(),
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

    /// Brings the kernel to where it is to be while nothing is held.
    pub(super) fn keep_armed(&mut self) {
        if !self.arming.due || !self.emergencies.is_empty() {
            return;
        }
        self.arming.due = false;
        self.arming.looked_ms = self.now().boottime_ms;
        match self.look() {
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
        match self.look() {
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
        let laying = json!({
            "links": some(&links),
            "count": links.len(),
            "changes": steps.iter().map(|s| s.changes.len()).sum::<usize>(),
            "left_out": some(&goal.left_out),
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
        if failures.is_empty() && missing.is_empty() {
            info!(links = links.len(), "armed");
        } else {
            warn!(failures = failures.len(), missing = missing.len(), "not all is armed");
        }
        if first_rule_us.is_some() || !failures.is_empty() || !missing.is_empty() {
            self.note(Draft {
                details: json!({
                    "first_rule_us": first_rule_us,
                    "failures": some(&failures),
                    "missing": some(&missing),
                }),
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
        let (failures, _) = self.lay(&steps);
        let (_, missing) = self.missing_of(&goal);
        if failures.is_empty() && missing.is_empty() {
            info!(links = links.len(), why, "disarmed");
        } else {
            warn!(
                failures = failures.len(),
                left = missing.len(),
                why,
                "not all is disarmed"
            );
        }
        self.note(Draft {
            details: json!({
                "why": why,
                "links": some(&links),
                "count": links.len(),
                "changes": steps.iter().map(|s| s.changes.len()).sum::<usize>(),
                "failures": some(&failures),
                "left": some(&missing),
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
            let failed = self.run_whatever_fails(std::slice::from_ref(step));
            if failed.is_empty() && adds_a_rule(step) {
                first_rule_us = u64::try_from(begun.elapsed().as_micros()).ok();
            }
            failures.extend(failed.iter().map(|e| chain(e)));
        }
        (failures, first_rule_us)
    }

    /// What is there now, and what still differs from the goal.
    fn missing_of(&mut self, goal: &Armed) -> (Option<Snapshot>, Vec<String>) {
        match self.look() {
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

    /// The steps to a goal; planning without a cut refuses nothing.
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
}

/// As much of a list as belongs in a record.
fn some<T>(list: &[T]) -> &[T] {
    &list[..list.len().min(LISTED_MAX)]
}

fn adds_a_rule(step: &Step) -> bool {
    let is_rule = |change: &Change| matches!(change, Change::Add(Object::Rule(_)));
    step.changes.iter().any(is_rule)
}
