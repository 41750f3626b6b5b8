//! Compares what the kernel holds with what the cuts in force want, and puts it right.

use serde_json::json;
use tracing::{info, warn};

use super::Controller;
use super::reading::only_add;
use crate::api::error::chain;
use crate::model::change::{Change, LinkSetting};
use crate::model::cut::Cut;
use crate::model::emergency::{Event, State};
use crate::model::names::EmergencyId;
use crate::model::object::Route;
use crate::model::plan::Step;
use crate::model::record::{Actor, EventKind};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{self, KnownBy};

impl Controller {
    /// Reads the kernel and heals what drifted. While no cut is held nothing of ours may stand but what an armed host has.
    pub(super) fn compare(&mut self) {
        if self.held().next().is_none() {
            self.watch_idle();
            return;
        }
        match self.missing() {
            Ok((now, steps)) => self.heal(&now, &steps),
            Err(why) => {
                warn!(why, "the cut cannot be compared with the kernel");
                self.mark(EventKind::Drift, Event::Drifted, &json!({ "why": why }), State::InForce);
            }
        }
        self.look_at_lifelines();
    }

    /// What lets traffic past the cuts in force and is not ours to mend, a line each.
    pub(super) fn bypasses(&self, now: &Snapshot) -> Vec<String> {
        let Some(known) = self.baseline.as_ref().map(|b| planning::with_new_links(b, now)) else {
            return Vec::new();
        };
        let held = self.held_cuts();
        let Ok(desired) = planning::desired_on(&known, now, &held) else {
            return Vec::new();
        };
        let rules = planning::rules_in_front(now, &desired);
        let named = rules
            .into_iter()
            .map(|rule| format!("a rule of others stands before ours: {}", Object::Rule(rule)));
        let filters = planning::filters_in_front(now, &desired);
        let named = named.chain(filters.into_iter().map(|filter| {
            let filter = Object::Filter(filter.clone());
            format!("a filter of others stands before ours: {filter}")
        }));
        let leaks = planning::leaking(&held, &known, now)
            .unwrap_or_else(|why| vec![format!("it cannot be told whether a route leaks: {why}")]);
        let ways = held.iter().flat_map(|cut| planning::ways_around(cut, &known, now));
        let ways = ways.map(|route| {
            let route = Object::Route(route.clone());
            format!(
                "a route of others leads where one was withdrawn: {}",
                now.display_object(&route)
            )
        });
        let named = named.chain(leaks).chain(ways);
        let unwritten = self
            .unwritten
            .iter()
            .map(|why| format!("what came up stays, because it cannot be written down: {why}"));
        named.chain(unwritten).collect()
    }

    /// What the kernel lacks of the cuts in force, as steps that would mend it.
    ///
    /// What these steps take away belongs to the baseline before they are returned; what could not be written down is not
    /// taken.
    pub(super) fn missing(&mut self) -> Result<(Snapshot, Vec<Step>), String> {
        let now = self.read_held().map_err(|e| chain(&e))?;
        self.take_in(&now);
        let baseline = self.baseline.as_ref().unwrap_or(&now);
        let known = planning::with_new_links(baseline, &now);
        let desired = planning::desired_on(&known, &now, &self.held_cuts()).map_err(|e| e.to_string())?;
        let mut steps = planning::steps(&now, &desired);
        steps
            .iter_mut()
            .for_each(|step| step.changes.retain(|c| !self.is_unwritten(c)));
        steps.retain(|step| !step.changes.is_empty());
        Ok((now, steps))
    }

    /// Whether a change would take what could not be written down: it waits for the disk.
    pub(super) fn is_unwritten(&self, change: &Change) -> bool {
        let baseline = self.unwritten.as_ref().and(self.baseline.as_ref());
        baseline.is_some_and(|baseline| takes(change, baseline))
    }

    /// A cut of the whole host reaches the links that appear while it is in force, and one of links takes down again what
    /// somebody sets up. What the cut will take from them belongs to the baseline from then on, so that it comes back.
    pub(super) fn take_in(&mut self, now: &Snapshot) {
        let before = self.baseline.as_ref().unwrap_or(now);
        let reached: Vec<Cut> = self.held().map(|e| reached(&e.cut, before, now)).collect();
        let (standing, ended) = (self.open_cuts(), self.ended_cuts());
        let grown = self.baseline.as_ref().and_then(|baseline| {
            let takes = reached.iter().filter(|cut| !only_add([*cut]));
            grown(baseline, now, (&standing, &ended), takes)
        });
        // What could not be written last time is tried again, whether or not it has grown since.
        let grown = grown.or_else(|| self.unwritten.as_ref().and(self.baseline.clone()));
        self.unwritten = None;
        if let Some(grown) = grown {
            match self.books.renew_baseline(&grown) {
                Ok(()) => self.baseline = Some(grown),
                Err(error) => {
                    let why = chain(&error);
                    warn!(
                        why,
                        "the baseline could not be written, taking nothing from links and routes that came up"
                    );
                    self.unwritten = Some(why);
                }
            }
        }
        let held = self.emergencies.iter_mut().filter(|e| e.state.is_held());
        let mut any = false;
        for (emergency, cut) in held.zip(reached).filter(|(e, cut)| e.cut != *cut) {
            info!(emergency = %emergency.id, links = cut.links.len(), "what the cut reaches has changed");
            emergency.cut = cut;
            any = true;
        }
        if any && let Err(error) = self.save(super::books::Room::Free) {
            warn!(error = chain(&error), "the journal could not be written, going on");
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

/// Whether a change takes what is not ours and what the baseline does not know.
fn takes(change: &Change, baseline: &Snapshot) -> bool {
    match change {
        Change::SetLink { setting, .. } => *setting == LinkSetting::Down,
        Change::Delete(Object::Route(route)) => !planning::is_our_route(route) && !baseline.routes.contains(route),
        Change::Add(_) | Change::Delete(_) | Change::SetSysctl(_) => false,
    }
}

/// The cut on the links that it reaches now.
fn reached(cut: &Cut, baseline: &Snapshot, now: &Snapshot) -> Cut {
    // A link that is gone stays listed, and is found again when it is back.
    let here = planning::relocated(cut, baseline, now, KnownBy::Index);
    planning::follow(&planning::widen(&here, now), baseline, now)
}

/// The baseline with what these cuts, which stand, are about to take besides, if they are.
fn grown<'a>(
    baseline: &Snapshot,
    now: &Snapshot,
    (standing, ended): (&[Cut], &[Cut]),
    cuts: impl Iterator<Item = &'a Cut>,
) -> Option<Snapshot> {
    let grown = cuts.fold(None, |grown: Option<Snapshot>, cut| {
        // Routes that the host makes only after a reboot are taken for the first time then.
        let new = |route: &&Route| !baseline.routes.contains(route);
        let takes = Cut {
            withdrawn: cut.withdrawn.iter().filter(new).cloned().collect(),
            ..cut.clone()
        };
        let known = grown.as_ref().unwrap_or(baseline);
        planning::taken_in(known, now, &takes, standing, ended).or(grown)
    });
    grown.filter(|grown| grown != baseline)
}
