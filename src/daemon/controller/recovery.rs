//! Taking up what a journal left behind: after a crash, a stop, a reboot, or with the journal lost.

use serde_json::json;
use tracing::{error, info, warn};

use super::books::Room;
use super::{Controller, StartError};
use crate::api::error::chain;
use crate::model::emergency::{Effect, Emergency, Event, State};
use crate::model::names::EmergencyId;
use crate::model::policy::{FailDirection, FailDirections};
use crate::model::record::{Actor, Draft, EventKind};
use crate::model::snapshot::Snapshot;
use crate::planning::{self, KnownBy};
use crate::store::StoreError;

/// How the daemon before this one ended, by the last record of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastRun {
    /// As it was told to.
    Stopped,
    /// In any other way.
    Died,
}

/// Why an emergency found in the journal is taken up as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The daemon was stopped in order within this boot, as an upgrade does.
    Stopped,
    /// The daemon died within this boot.
    Died,
    /// The host was rebooted: the kernel holds nothing of ours any more.
    Rebooted,
}

impl Controller {
    /// Brings the kernel to where the journal says it should be.
    pub(super) fn recover(&mut self, last: LastRun) -> Result<(), StartError> {
        match self.books.load() {
            Ok(Some(recovered)) => {
                let all = recovered.contents.emergencies.iter().cloned();
                // A process that died between a restore and the end of its journal left one that is over.
                (self.ended, self.emergencies) = all.partition(|e| e.state == State::Ended);
                self.take_up_baseline(recovered.baseline, &recovered.damage)?;
                self.take_up(&recovered.contents.boot_id, last)?;
            }
            Ok(None) => self.sweep("no emergency is in the journal")?,
            Err(damaged) => {
                self.start_damaged(damaged)?;
            }
        }
        Ok(())
    }

    /// One intact copy is enough. With none left the baseline is what the host would be without our marks.
    pub(super) fn take_up_baseline(&mut self, kept: Option<Snapshot>, damage: &[StoreError]) -> Result<(), StartError> {
        self.baseline = kept;
        if damage.is_empty() || self.emergencies.is_empty() {
            return Ok(());
        }
        let then = match self.baseline {
            Some(_) => "the other copy is used, and this one written anew",
            None => "the baseline is guessed from our marks: what a cut took away may not come back",
        };
        let what: Vec<String> = damage.iter().map(|e| chain(e)).collect();
        error!(?what, then, "a copy of the baseline is damaged");
        self.note(Draft {
            details: json!({ "what": what, "then": then }),
            ..Draft::of_daemon(EventKind::StateDamaged)
        });
        let baseline = match self.baseline.take() {
            Some(baseline) => baseline,
            None => planning::without_ours(&self.look()?, &self.held_cuts()),
        };
        if let Err(error) = self.books.renew_baseline(&baseline) {
            warn!(
                error = chain(&error),
                "the baseline could not be written anew, going on"
            );
        }
        self.baseline = Some(baseline);
        Ok(())
    }

    fn take_up(&mut self, saved_in: &str, last: LastRun) -> Result<(), StartError> {
        let found = match last {
            _ if saved_in != self.now().boot_id => Found::Rebooted,
            LastRun::Stopped => Found::Stopped,
            LastRun::Died => Found::Died,
        };
        if found == Found::Rebooted {
            // What the host came up with is what it goes back to; the old baseline names links that may be gone.
            let before = self.baseline.take();
            self.renew_baseline()?;
            self.relocate(before.as_ref());
        }
        // First what is over: it must not be laid again for even a moment.
        self.expire();
        if found != Found::Rebooted {
            self.drop_unbegun();
        }
        let ids: Vec<EmergencyId> = self.emergencies.iter().map(|e| e.id).collect();
        for id in ids {
            self.take_up_one(id, found);
        }
        self.keep_guarded();
        if self.held().next().is_some() {
            if found == Found::Rebooted {
                self.look_at_what_changed();
            }
            self.enforce_taken_up();
        }
        if self.emergencies.is_empty() {
            self.let_baseline_go();
            if let Err(error) = self.books.save(&[], Room::Free) {
                warn!(error = chain(&error), "the journal could not be removed, going on");
            }
        }
        Ok(())
    }

    /// A declaration is carried out by the process that took it, or not at all: of one whose journal could not be written
    /// for certain the caller was told that nothing is cut. Of such a one nothing is in the kernel, and nothing but its
    /// declaration in the log.
    fn drop_unbegun(&mut self) {
        let applying = self.emergencies.iter().filter(|e| e.state == State::Applying);
        let ids: Vec<EmergencyId> = applying.map(|e| e.id).collect();
        for id in ids {
            if self.books.knows_no_more_than_declared(id) && self.is_absent(id) {
                warn!(emergency = %id, "declared and not begun, dropping it");
                let why = json!({ "why": "the process that took it had not begun it" });
                self.transition(id, Event::ApplyFailed, &Actor::Daemon, EventKind::ApplyFailed, why);
                self.restore(id);
            }
        }
    }

    /// Whether a restore of it would find nothing to do, though beside the others it would lay something. What cannot be
    /// read may hold it, and so may what others hold, too.
    fn is_absent(&mut self, id: EmergencyId) -> bool {
        let (Some(cut), Some(baseline)) = (self.cut_of(id), self.baseline.clone()) else {
            return false;
        };
        let Ok(now) = self.look() else { return false };
        let mut others: Vec<_> = self.held().filter(|e| e.id != id).map(|e| e.cut.clone()).collect();
        let mut ended = self.ended_cuts();
        ended.push(cut.clone());
        let restored = planning::restore(&now, &baseline, &ended, &others);
        let without = planning::desired(&baseline, &others);
        others.push(cut);
        let tells = matches!((without, planning::desired(&baseline, &others)), (Ok(a), Ok(b)) if a != b);
        tells && restored.is_ok_and(|restoration| restoration.steps.is_empty())
    }

    /// Finds the links of every cut again, by their names. Those that the host has not made yet are cut when they come.
    fn relocate(&mut self, before: Option<&Snapshot>) {
        let Some(now) = self.baseline.clone() else { return };
        for emergency in &mut self.emergencies {
            emergency.cut = planning::relocated(&emergency.cut, before.unwrap_or(&now), &now, KnownBy::Name);
        }
    }

    /// The plan was made for the host before the reboot. That it no longer keeps a lifeline is no reason to open a cut
    /// whose policy says closed, but somebody must hear of it.
    fn look_at_what_changed(&mut self) {
        // A kernel that cannot be read is met again, and told, by the one who lays the cut.
        let Ok((now, steps)) = self.missing() else { return };
        let Err(why) = planning::check(&steps, &now, &self.held_cuts()) else {
            return;
        };
        error!(%why, "after the reboot the cut is no longer what was planned");
        self.note(Draft {
            details: json!({ "after": "reboot", "unsafe": why.to_string() }),
            ..Draft::of_daemon(EventKind::Drift)
        });
    }

    /// Without a reading nothing is laid: what the cut takes could not be put back. What carries our marks is of a process
    /// that was here in this boot already, and could not write it down: it is no part of the host.
    fn renew_baseline(&mut self) -> Result<(), StartError> {
        let now = self.ground_patiently()?;
        let now = match planning::without_ours(&now, &[]) {
            unmarked if unmarked == now => now,
            _ => planning::without_ours(&now, &self.held_cuts()),
        };
        if let Err(error) = self.books.renew_baseline(&now) {
            warn!(
                error = chain(&error),
                "the new baseline could not be written: nothing is taken until it is"
            );
            self.unwritten = Some(chain(&error));
        }
        self.baseline = Some(now);
        Ok(())
    }

    fn take_up_one(&mut self, id: EmergencyId, found: Found) {
        let Some(at) = self.emergencies.iter().position(|e| e.id == id) else {
            return;
        };
        let event = event_for(&self.emergencies[at], found);
        let after = match found {
            Found::Stopped => "stop",
            Found::Died => "crash",
            Found::Rebooted => "reboot",
        };
        let details = json!({ "after": after, "then": event });
        let effect = {
            let mut trial = self.emergencies[at].clone();
            trial.on(event)
        };
        info!(emergency = %id, ?found, ?event, "taken up from the journal");
        if !self.transition(id, event, &Actor::Daemon, EventKind::Recovered, details) {
            return;
        }
        if matches!(effect, Ok(Some(Effect::Restore))) {
            self.restore(id);
        }
    }

    fn enforce_taken_up(&mut self) {
        let ids: Vec<EmergencyId> = self.held().map(|e| e.id).collect();
        ids.iter().for_each(|id| self.watch_lifelines_of(*id));
        match self.enforce() {
            Ok(()) => {
                for id in ids {
                    self.transition(
                        id,
                        Event::Applied,
                        &Actor::Daemon,
                        EventKind::InForce,
                        json!({ "after": "recovery" }),
                    );
                }
            }
            Err(why) => {
                for id in ids {
                    self.transition(
                        id,
                        Event::ApplyFailed,
                        &Actor::Daemon,
                        EventKind::ApplyFailed,
                        json!({ "why": why }),
                    );
                    self.restore(id);
                }
            }
        }
    }

    /// Removes everything that carries our marks and is not to be armed: nothing else of ours may stand without an
    /// emergency.
    pub(super) fn sweep(&mut self, why: &str) -> Result<(), StartError> {
        let now = self.look()?;
        let steps = match self.idle_goal(&now).as_far_as(&now).steps(&now) {
            Ok(steps) => steps,
            Err(refusal) => {
                warn!(%refusal, "nothing can be swept");
                return Ok(());
            }
        };
        if steps.is_empty() {
            return Ok(());
        }
        let removed = super::views::changes(&steps, &now);
        let failures: Vec<String> = self.run_whatever_fails(&steps).iter().map(|e| chain(e)).collect();
        warn!(
            why,
            removed = removed.len(),
            failures = failures.len(),
            "objects of ours stood without an emergency"
        );
        self.note(Draft {
            details: json!({ "why": why, "removed": removed, "failures": failures }),
            ..Draft::of_daemon(EventKind::Recovered)
        });
        Ok(())
    }
}

/// What is to be done with an emergency that was found, made into an event.
fn event_for(emergency: &Emergency, found: Found) -> Event {
    match direction(emergency.fail, found) {
        FailDirection::Closed => Event::Restarted,
        FailDirection::Open if emergency.state.is_held() => Event::RevertRequested,
        FailDirection::Open => Event::Restarted,
    }
}

/// The policy speaks where nobody decided. Whoever stopped the daemon in order did, and did not end the emergency.
fn direction(fail: FailDirections, found: Found) -> FailDirection {
    match found {
        Found::Stopped => FailDirection::Closed,
        Found::Died => fail.crash,
        Found::Rebooted => fail.reboot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orderly_stop_ends_no_cut_whatever_the_policy_says_of_a_crash() {
        let fail = |crash, reboot| FailDirections {
            crash,
            reboot,
            lifeline_lost: FailDirection::Open,
        };
        let (open, closed) = (FailDirection::Open, FailDirection::Closed);
        let table = [
            (fail(open, open), Found::Stopped, closed),
            (fail(open, closed), Found::Died, open),
            (fail(closed, open), Found::Died, closed),
            (fail(open, closed), Found::Rebooted, closed),
            (fail(closed, open), Found::Rebooted, open),
        ];
        for (fail, found, direction_then) in table {
            assert_eq!(direction(fail, found), direction_then, "{fail:?} {found:?}");
        }
    }
}
