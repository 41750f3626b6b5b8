//! What carries our marks while no emergency is known: whoever made it, nothing of ours may stand unrecorded.
//!
//! Routes are not looked at for it: there may be a million, and they would be read again and again. What is found is
//! swept together with the routes.

use tracing::warn;

use super::super::Controller;
use super::{Arm, LOOK_EVERY_MS, seen};
use crate::api::error::chain;
use crate::daemon::controller::reading;
use crate::daemon::controller::views::{changes, word};
use crate::model::plan::Step;
use crate::model::snapshot::Snapshot;
use crate::planning::{self, Armed};

/// A host on which nothing is held is not looked at more often than this, however often events ring.
const LEAST_MS: u64 = 1_000;

/// What is remembered of looking.
#[derive(Debug, Default)]
pub(super) struct Strays {
    looked_ms: Option<u64>,
    /// What was last to be swept, and when: what comes back at once is not fought, and recorded, without end.
    swept: Option<(Vec<String>, u64)>,
}

impl Controller {
    /// While nothing is held: what stands of ours without an emergency is swept, as at a start, and what an armed host
    /// lacks is to be put back.
    pub(in super::super) fn watch_idle(&mut self) {
        if !self.emergencies.is_empty() || self.arming.due {
            return;
        }
        let now_ms = self.now().boottime_ms;
        if self.arming.wanted == Arm::Off {
            let last = self.arming.strays.looked_ms;
            if last.is_some_and(|last| now_ms.saturating_sub(last) < LEAST_MS) {
                return;
            }
            self.arming.strays.looked_ms = Some(now_ms);
        }
        let now = match self.kernel.snapshot(reading::ADDITIVE) {
            Ok(now) => now,
            Err(error) => {
                warn!(error = chain(&error), "the kernel could not be read, looking again");
                return;
            }
        };
        let found = self.is_to_be_swept(&now, now_ms);
        match self.arming.wanted {
            Arm::On => {
                let late = now_ms.saturating_sub(self.arming.looked_ms) >= LOOK_EVERY_MS;
                let changed = seen(&now) != self.arming.seen || !planning::has_armed_rule(&now);
                self.arming.due = late || changed || found;
            }
            Arm::Off if found => {
                if let Err(error) = self.sweep("it appeared while nothing was held") {
                    warn!(
                        error = chain(&error),
                        "the kernel could not be read, so nothing is swept"
                    );
                }
            }
            Arm::Off => {}
        }
    }

    fn is_to_be_swept(&mut self, now: &Snapshot, now_ms: u64) -> bool {
        let lines = self.strayed(now);
        if lines.is_empty() {
            return false;
        }
        let again = |(last, at): &(Vec<String>, u64)| *last == lines && now_ms.saturating_sub(*at) < LOOK_EVERY_MS;
        if self.arming.strays.swept.as_ref().is_some_and(again) {
            return false;
        }
        self.arming.strays.swept = Some((lines, now_ms));
        true
    }

    /// What stands of ours and is no part of an armed host, as the steps that would remove it.
    fn strays(&self, now: &Snapshot) -> Vec<Step> {
        let goal = match self.arming.wanted {
            Arm::Off => Armed::not(now),
            Arm::On => Armed::standing(now),
        };
        self.steps_to(&goal, now)
    }

    /// The same, a line each.
    pub(in super::super) fn strayed(&self, now: &Snapshot) -> Vec<String> {
        changes(&self.strays(now), now)
    }

    /// For `status` while no emergency is known: what stands of ours all the same, and what a host lacks that seal would
    /// have taken, a line each. It stops no declaration.
    pub(in super::super) fn left_standing(&self, now: &Snapshot) -> Vec<String> {
        let strays = self.strayed(now);
        let strays = strays
            .into_iter()
            .map(|change| format!("ours stands in the kernel without an emergency; the daemon removes it: {change}"));
        let lacking = planning::without_local(now).into_iter().map(|family| {
            let family = word(&family);
            format!("no {family} rule looks up table local, and none of ours stands for it: others took it away")
        });
        strays.chain(lacking).collect()
    }
}
