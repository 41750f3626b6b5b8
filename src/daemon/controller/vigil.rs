//! Watches the lifelines of the cuts in force, by the kernel's own answers, and does what the policy says when one is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use tracing::{error, warn};

use super::Controller;
use crate::api::error::chain;
use crate::model::emergency::Event;
use crate::model::lookup::{Query, Way};
use crate::model::names::EmergencyId;
use crate::model::policy::FailDirection;
use crate::model::record::{Actor, Draft, EventKind};
use crate::planning::{self, Watched};

/// A way that is gone for less is a route that is being replaced.
const LOST_FOR_MS: u64 = 1_000;
/// While a lifeline is suspected to be lost, it is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A lifeline of one emergency.
type Line = (EmergencyId, String);

/// What is watched, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    watched: BTreeMap<EmergencyId, Vec<Watched>>,
    /// Since when it does not answer, on CLOCK_BOOTTIME.
    since_ms: BTreeMap<Line, u64>,
    /// Recorded as lost.
    lost: BTreeSet<Line>,
}

impl Vigil {
    /// Until when to look again.
    pub(super) fn wait(&self) -> Option<Duration> {
        let suspected = self.since_ms.keys().any(|line| !self.lost.contains(line));
        suspected.then_some(LOOK_AGAIN)
    }

    /// The lifelines that are lost, of the emergencies that are held, a line each.
    pub(super) fn lost(&self, is_held: impl Fn(EmergencyId) -> bool) -> Vec<String> {
        let lost = self.lost.iter().filter(|(id, _)| is_held(*id));
        lost.map(|(id, lifeline)| format!("{lifeline} of {id}")).collect()
    }
}

impl Controller {
    /// Begins to watch the lifelines of an emergency: before its cut wherever that can be.
    pub(super) fn watch_lifelines_of(&mut self, id: EmergencyId) {
        let Some(cut) = self.cut_of(id) else { return };
        let watched = planning::watched(&cut, |query| self.way(query));
        self.vigil.watched.insert(id, watched);
    }

    fn way(&mut self, query: &Query) -> Option<Way> {
        let answer = self.kernel.way(query);
        answer
            .inspect_err(|error| warn!(error = chain(error), "the kernel did not say where a packet goes"))
            .ok()
    }

    /// Asks for every lifeline, and ends what is to end because one is lost.
    pub(super) fn look_at_lifelines(&mut self) {
        let held: BTreeSet<EmergencyId> = self.held().map(|e| e.id).collect();
        let mut watched = std::mem::take(&mut self.vigil.watched);
        watched.retain(|id, _| held.contains(id));
        let mut silent = BTreeMap::new();
        for (id, watched) in &watched {
            for one in watched {
                // No answer at all tells nothing about a lifeline.
                if one.is_lost(|query| self.way(query)) == Some(true) {
                    silent.insert((*id, one.lifeline.clone()), one.peer);
                }
            }
        }
        self.vigil.watched = watched;
        self.vigil.since_ms.retain(|line, _| silent.contains_key(line));
        self.vigil.lost.retain(|line| silent.contains_key(line));
        let now_ms = self.now().boottime_ms;
        for (line, peer) in silent {
            let since_ms = *self.vigil.since_ms.entry(line.clone()).or_insert(now_ms);
            if now_ms.saturating_sub(since_ms) >= LOST_FOR_MS && self.vigil.lost.insert(line.clone()) {
                self.lose(&line, peer);
            }
        }
    }

    fn lose(&mut self, (id, lifeline): &Line, peer: IpAddr) {
        let Some(emergency) = self.emergencies.iter().find(|e| e.id == *id) else {
            return;
        };
        let then = emergency.fail.lifeline_lost;
        let policy = emergency.policy.clone();
        error!(emergency = %id, lifeline, ?then, "a lifeline is lost");
        let details = json!({ "lifeline": lifeline, "peer": peer, "then": then });
        match then {
            FailDirection::Open => {
                if self.transition(
                    *id,
                    Event::RevertRequested,
                    &Actor::Daemon,
                    EventKind::LifelineLost,
                    details,
                ) {
                    self.restore(*id);
                }
            }
            FailDirection::Closed => self.note(Draft {
                event: EventKind::LifelineLost,
                actor: Actor::Daemon,
                emergency: Some(*id),
                policy: Some(policy),
                details,
            }),
        }
    }
}
