//! Compares what the kernel holds with what the cuts in force want, and puts it right.

use serde_json::json;
use tracing::{info, warn};

use super::Controller;
use crate::api::error::chain;
use crate::model::emergency::{Event, State};
use crate::model::names::EmergencyId;
use crate::model::plan::Step;
use crate::model::record::{Actor, EventKind};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{self, KnownBy};

impl Controller {
    /// Reads the kernel and heals what drifted. Does nothing while no cut is held.
    pub(super) fn compare(&mut self) {
        if self.held().next().is_none() {
            return;
        }
        match self.missing() {
            Ok((now, steps)) => self.heal(&now, &steps),
            Err(why) => {
                warn!(why, "the cut cannot be compared with the kernel");
                self.mark(EventKind::Drift, Event::Drifted, &json!({ "why": why }), State::InForce);
            }
        }
    }

    /// What lets traffic past the cuts in force and is not ours to mend, a line each.
    pub(super) fn bypasses(&self, now: &Snapshot) -> Vec<String> {
        let Some(Ok(desired)) = self.baseline.as_ref().map(|b| planning::desired(b, &self.held_cuts())) else {
            return Vec::new();
        };
        let rules = planning::rules_in_front(now, &desired);
        let named = rules
            .into_iter()
            .map(|rule| format!("a rule of others stands before ours: {}", Object::Rule(rule)));
        named.collect()
    }

    /// What the kernel lacks of the cuts in force, as steps that would mend it.
    pub(super) fn missing(&mut self) -> Result<(Snapshot, Vec<Step>), String> {
        let now = self.kernel.snapshot(self.kinds_held()).map_err(|e| chain(&e))?;
        self.take_in_new_links(&now);
        let baseline = self.baseline.as_ref().unwrap_or(&now);
        let desired = planning::desired(baseline, &self.held_cuts()).map_err(|e| e.to_string())?;
        let steps = planning::steps(&now, &desired);
        Ok((now, steps))
    }

    /// A cut of the whole host reaches the links that appear while it is in force. What the cut will take from them
    /// belongs to the baseline from then on, so that it comes back.
    fn take_in_new_links(&mut self, now: &Snapshot) {
        let mut grown = self.baseline.clone();
        let mut any = false;
        for emergency in self.emergencies.iter_mut().filter(|e| e.state.is_held()) {
            let before = self.baseline.as_ref().unwrap_or(now);
            // By index nothing is an error: a link that is gone stays listed, and is found again when it is back.
            let here = planning::relocated(&emergency.cut, before, now, KnownBy::Index);
            let cut = planning::widen(here.as_ref().unwrap_or(&emergency.cut), now);
            if cut != emergency.cut {
                info!(emergency = %emergency.id, links = cut.links.len(), "the links of the scope have changed");
                let mut new = cut.clone();
                new.links.retain(|index, _| !emergency.cut.links.contains_key(index));
                new.withdrawn.clear();
                grown = grown.map(|baseline| planning::grown(&baseline, now, &new));
                emergency.cut = cut;
                any = true;
            }
        }
        if !any {
            return;
        }
        if grown != self.baseline {
            self.renew_baseline_with(grown);
        }
        if let Err(error) = self.save() {
            warn!(error = chain(&error), "the journal could not be written, going on");
        }
    }

    fn renew_baseline_with(&mut self, grown: Option<Snapshot>) {
        self.baseline = grown;
        if let Some(baseline) = &self.baseline
            && let Err(error) = self.books.renew_baseline(baseline)
        {
            warn!(error = chain(&error), "the baseline could not be written, going on");
        }
    }

    fn heal(&mut self, now: &Snapshot, steps: &[Step]) {
        let bypasses = self.bypasses(now);
        if steps.is_empty() && bypasses.is_empty() {
            self.mark(EventKind::Mended, Event::Mended, &json!({}), State::Degraded);
            return;
        }
        if steps.is_empty() {
            self.mark(
                EventKind::Drift,
                Event::Drifted,
                &json!({ "bypasses": bypasses }),
                State::InForce,
            );
            return;
        }
        let lacking = super::views::changes(steps, now);
        let healed = self.enforce();
        let details = json!({ "lacked": lacking, "put_right": healed.is_ok(), "why": healed.as_ref().err() });
        match healed {
            Ok(()) => {
                info!(lacked = lacking.len(), "drift put right");
                self.note_for_held(EventKind::Drift, &details);
                if !bypasses.is_empty() {
                    return;
                }
                self.mark(EventKind::Mended, Event::Mended, &json!({}), State::Degraded);
            }
            Err(why) => {
                warn!(why, "drift could not be put right");
                self.mark(EventKind::Drift, Event::Drifted, &details, State::InForce);
            }
        }
    }

    /// Brings every held emergency that stands in `from` through `event`.
    fn mark(&mut self, kind: EventKind, event: Event, details: &serde_json::Value, from: State) {
        let ids: Vec<EmergencyId> = self
            .emergencies
            .iter()
            .filter(|e| e.state == from)
            .map(|e| e.id)
            .collect();
        for id in ids {
            self.transition(id, event, &Actor::Daemon, kind, details.clone());
        }
    }

    fn note_for_held(&mut self, kind: EventKind, details: &serde_json::Value) {
        let held: Vec<_> = self.held().map(|e| (e.id, e.policy.clone())).collect();
        for (id, policy) in held {
            self.note(crate::model::record::Draft {
                event: kind,
                actor: Actor::Daemon,
                emergency: Some(id),
                policy: Some(policy),
                details: details.clone(),
            });
        }
    }
}
