//! Confirming, extending, ending: by hand, by the deadline, for want of a confirmation. And the restore itself.
//!
//! A restore waits for nothing but the kernel: what cannot be recorded is put back all the same.

use std::time::Duration;

use serde_json::json;
use tracing::{error, info, warn};

use super::books::Room;
use super::{Controller, reading};
use crate::api::error::{ApiError, Code, chain};
use crate::api::rights::Right;
use crate::api::{EmergencyState, EmergencyView, ReceiptView, RevertRequest};
use crate::daemon::command::Preconditions;
use crate::kernel::Kinds;
use crate::model::change::{Change, LinkSetting};
use crate::model::cut::Cut;
use crate::model::emergency::{Emergency, Event, Refusal, State};
use crate::model::names::EmergencyId;
use crate::model::plan::{Phase, Step};
use crate::model::receipt::Receipt;
use crate::model::record::{Actor, EventKind};
use crate::model::snapshot::Snapshot;
use crate::planning::{self, Restoration, Wait};

/// A restore is computed anew from what the kernel holds until nothing is left to do, this often at most.
const RESTORE_ATTEMPTS: u32 = 8;
/// Of these the first end at a step that does not go through: what lets lifelines pass must not be cleared away while what
/// cuts them still stands. The later ones do what they can.
const CAREFUL_ATTEMPTS: u32 = 4;
/// A proof is better of routes that held still while they were read: so often it is hoped that they will.
const PROOF_LOOKS: u32 = 4;
/// How long duplicate address detection may take (RFC 4862: one probe and up to two random seconds).
const DETECTION_PATIENCE: Duration = Duration::from_secs(4);
/// How long the kernel may take to make the routes of an address that needs no detection: it does so in a work queue, which
/// a busy machine keeps waiting for more than half a second.
const ROUTES_PATIENCE: Duration = Duration::from_millis(1500);
/// How long after a link came up the kernel may take to tell its carrier: it does so once a second at most
/// (`linkwatch_schedule_work()` in `net/core/link_watch.c`).
const CARRIER_PATIENCE: Duration = Duration::from_millis(1250);
/// So late after its deadline an emergency waits for no carrier, because it must have ended within [`GRACE_MS`].
const CARRIER_LATEST_MS: u64 = 1500;
/// By its deadline and this, every emergency ends.
const GRACE_MS: u64 = 2_000;
/// What tells whether carriers are back.
const LINKS: Kinds = Kinds {
    links: true,
    ..Kinds::NONE
};
/// What tells whether detection is over.
const ADDRESSES: Kinds = Kinds {
    addresses: true,
    ..Kinds::NONE
};
/// Between two looks at it.
const DETECTION_LOOK: Duration = Duration::from_millis(20);

/// What a step that does not go through means for those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    StopAtFailure,
    GoOn,
}

impl Care {
    fn in_attempt(attempt: u32) -> Self {
        if attempt < CAREFUL_ATTEMPTS {
            Self::StopAtFailure
        } else {
            Self::GoOn
        }
    }
}

/// How far steps were carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    All,
    Short,
}

impl Controller {
    /// `POST /v1/emergencies/{id}/confirm`. One that waits for no confirmation (any more) goes on as it is: nothing changes,
    /// so nothing is recorded, but that it is no longer on the word of hooks.
    pub(super) fn confirm(&mut self, asker: &Actor, id: &str) -> Result<EmergencyView, ApiError> {
        let emergency = &self.emergencies[self.find(id)?];
        if matches!(emergency.state, State::InForce | State::Degraded) && emergency.confirm_by.is_none() {
            let id = emergency.id;
            self.refuse_unnamed(asker, &emergency.policy, Right::Declare)?;
            self.take_over(asker, id)?;
            return self.emergency_view(&id.to_string());
        }
        self.change(asker, id, Event::Confirmed, EventKind::Confirmed, json!({}))
    }

    /// `POST /v1/emergencies/{id}/extend`.
    pub(super) fn extend(
        &mut self,
        asker: &Actor,
        id: &str,
        by_ms: u64,
        pre: &Preconditions,
    ) -> Result<EmergencyView, ApiError> {
        let request = json!({ "extend": id, "by_ms": by_ms });
        let key = pre.idempotency_key.as_deref();
        if let Some(id) = self.keys.earlier(key, &request)? {
            return self.emergency_view(&id.to_string());
        }
        let view = self.change(
            asker,
            id,
            Event::Extended { by_ms },
            EventKind::Extended,
            json!({ "by_ms": by_ms }),
        )?;
        let at = self.find(id)?;
        self.keys.remember(key, &request, self.emergencies[at].id);
        Ok(view)
    }

    /// A change of terms needs its record and its journal first, as a cut does: it may lengthen one.
    fn change(
        &mut self,
        asker: &Actor,
        id: &str,
        event: Event,
        kind: EventKind,
        details: serde_json::Value,
    ) -> Result<EmergencyView, ApiError> {
        let at = self.find(id)?;
        let before = self.emergencies[at].clone();
        self.refuse_unnamed(asker, &before.policy, Right::Declare)?;
        self.emergencies[at].on(event).map_err(refused)?;
        if let Err(error) = self.take_over(asker, before.id) {
            self.emergencies[at] = before;
            return Err(error);
        }
        let draft = crate::model::record::Draft {
            event: kind,
            actor: asker.clone(),
            emergency: Some(before.id),
            policy: Some(before.policy.clone()),
            details,
        };
        let now = self.now();
        if let Err(error) = self.books.record(draft, &now) {
            self.emergencies[at] = before;
            return Err(ApiError::new(
                Code::NoRecord,
                format!(
                    "the change could not be recorded, so it was not made: {}",
                    chain(&error)
                ),
                "see `portcullis doctor`; free the disk of the state directory",
            ));
        }
        if let Err(error) = self.save(Room::Free) {
            self.emergencies[at] = before;
            return Err(ApiError::new(
                Code::NoJournal,
                format!(
                    "the journal could not be written, so the change was not made: {}",
                    chain(&error)
                ),
                "see `portcullis doctor`; free the disk of the state directory",
            ));
        }
        self.emergency_view(id)
    }

    /// `POST /v1/emergencies/{id}/revert`. Reverting what has ended already gives the receipt again.
    pub(super) fn revert(&mut self, asker: &Actor, id: &str, how: RevertRequest) -> Result<ReceiptView, ApiError> {
        if let Some(receipt) = self.past_receipt(id) {
            return Ok(receipt);
        }
        let at = self.find(id)?;
        let emergency = &self.emergencies[at];
        self.refuse_unnamed(asker, &emergency.policy, Right::Revert)?;
        let id = emergency.id;
        if how.accept_residue && emergency.state != State::Stuck {
            return Err(ApiError::new(
                Code::WrongState,
                format!(
                    "no residue is known that could be accepted: it {}",
                    super::views::spoken(emergency.state)
                ),
                "revert it first, and look at what the receipt names",
            ));
        }
        let mut trial = emergency.clone();
        trial.on(Event::RevertRequested).map_err(refused)?;
        self.transition(
            id,
            Event::RevertRequested,
            asker,
            EventKind::RevertRequested,
            json!(how),
        );
        let receipt = self.restore(id);
        if how.accept_residue && receipt.state == EmergencyState::Stuck {
            return Ok(self.end_with_residue(asker, id, receipt));
        }
        Ok(receipt)
    }

    /// Closes what no restore puts right, on the word of a person who takes it on.
    fn end_with_residue(&mut self, asker: &Actor, id: EmergencyId, receipt: ReceiptView) -> ReceiptView {
        let details = json!({ "residues": receipt.residues });
        self.transition(id, Event::ResidueAccepted, asker, EventKind::ResidueAccepted, details);
        self.close(id, receipt)
    }

    /// Ends what is due.
    pub(super) fn expire(&mut self) {
        let now = self.now();
        let due: Vec<_> = self
            .emergencies
            .iter()
            .filter_map(|e| e.due(&now).map(|event| (e.id, event)))
            .collect();
        // All of them first: the restore of one lays what is still held, and none of these is.
        let ending: Vec<EmergencyId> = due
            .into_iter()
            .filter(|(id, event)| {
                let kind = if *event == Event::ConfirmationDue {
                    EventKind::ConfirmationMissed
                } else {
                    EventKind::DeadlineReached
                };
                self.transition(*id, *event, &Actor::Daemon, kind, json!({}))
            })
            .map(|(id, _)| id)
            .collect();
        for id in ending {
            if self.restore(id).residues.is_empty() {
                info!(emergency = %id, "ended by itself");
            }
        }
    }

    /// Puts back what one emergency held, proves it, and closes it.
    pub(super) fn restore(&mut self, id: EmergencyId) -> ReceiptView {
        let Some(cut) = self.cut_of(id) else {
            return ReceiptView::unknown(&id.to_string());
        };
        let view = match self.put_back(id, &cut) {
            Ok(view) => view,
            Err(why) => ReceiptView {
                residues: vec![why],
                ..ReceiptView::unknown(&id.to_string())
            },
        };
        let clean = view.residues.is_empty();
        let details = json!({
            "baseline": view.baseline_digest,
            "restored": view.restored_digest,
            "residues": view.residues,
            "kept_foreign_changes": view.kept_foreign_changes,
            "conflicts": view.conflicts,
            "not_recreated": view.not_recreated,
            "to_come": view.to_come,
        });
        let (event, kind) = if clean {
            (Event::Restored, EventKind::Restored)
        } else {
            (Event::LeftResidue, EventKind::Residue)
        };
        self.transition(id, event, &Actor::Daemon, kind, details);
        self.close(id, view)
    }

    /// Opens what needs no more than a narrow reading, then reads everything: computes, carries out and computes again,
    /// until nothing is left to do.
    ///
    /// # Errors
    /// If it is not known what is left: the kernel cannot be read, or the planner refuses.
    pub(super) fn put_back(&mut self, id: EmergencyId, cut: &Cut) -> Result<ReceiptView, String> {
        let opened = match self.baseline.clone() {
            Some(baseline) => self.open(&baseline, &self.held_cuts())?,
            None => None,
        };
        let mut seen = self.look_patiently()?;
        let before = Snapshot {
            filters: opened.map_or_else(|| seen.filters.clone(), |opened| opened.filters),
            ..seen.clone()
        };
        let mut ended = self.ended_cuts();
        ended.push(cut.clone());
        let mut attempts = 0..RESTORE_ATTEMPTS;
        let mut carrier_seen = false;
        let mut read = self.uptime();
        let mut raised = read;
        // After gate and seal all was open before, and the deadlines of others wait for the proof.
        let mut looks = if reading::only_add([cut]) { 0 } else { PROOF_LOOKS };
        loop {
            // What is held goes on to hold: it may take what came since it was last looked after.
            if self.held().next().is_some() {
                self.take_in(&seen);
            }
            let (baseline, remaining) = (self.baseline.clone(), self.held_cuts());
            let baseline = baseline.as_ref().unwrap_or(&before);
            // The kernel may make something at any time while links come up.
            let mut restoration = planning::restore(&seen, baseline, &ended, &remaining).map_err(|e| e.to_string())?;
            restoration.leave_out(|step, change| step.phase == Phase::Flip && self.is_unwritten(change));
            if let (false, Some(attempt)) = (restoration.steps.is_empty(), attempts.next()) {
                self.undo(&restoration, Care::in_attempt(attempt))?;
                seen = self.look_patiently()?;
                read = self.uptime();
                if raises(&restoration) {
                    raised = read;
                }
                continue;
            }
            if self.has_waited_for(&restoration.carriers, id, raised)? {
                // With a carrier the kernel throws out next hops that it had taken, however many attempts are over by then: once
                // there is one more, whatever goes on with other links.
                if !std::mem::replace(&mut carrier_seen, true) {
                    attempts.start = attempts.start.min(RESTORE_ATTEMPTS - 1);
                }
                seen = self.look_patiently()?;
                read = self.uptime();
                continue;
            }
            if seen.moving && looks > 0 {
                looks -= 1;
                seen = self.look_patiently()?;
                continue;
            }
            // Refusals on the way do not count: what counts is what was read back.
            let receipt = planning::receipt(baseline, &before, &seen, &ended, &remaining);
            if receipt.is_clean() || self.uptime().saturating_sub(read) >= patience(&seen, &receipt) {
                return Ok(super::views::receipt(id, &receipt));
            }
            self.clock.pause(DETECTION_LOOK);
            seen = self.look_patiently()?;
        }
    }

    /// Opens gate and seal at once, however large the routing tables are and whatever happens to them. Gives what stood
    /// before.
    fn open(&mut self, baseline: &Snapshot, remaining: &[Cut]) -> Result<Option<Snapshot>, String> {
        let mut before = None;
        for attempt in 0..RESTORE_ATTEMPTS {
            let now = self.read_patiently(reading::ADDITIVE)?;
            let steps = planning::additive_part(&now, baseline, remaining).map_err(|e| e.to_string())?;
            if steps.is_empty() {
                break;
            }
            self.carry_on(&steps, Care::in_attempt(attempt));
            before.get_or_insert(now);
        }
        Ok(before)
    }

    /// Carries a restoration out, waiting where the kernel needs time.
    fn undo(&mut self, restoration: &Restoration, care: Care) -> Result<(), String> {
        let mut from = 0;
        for wait in &restoration.waits {
            let until = wait.before_step.min(restoration.steps.len());
            if self.carry_on(&restoration.steps[from..until], care) == Went::Short {
                return Ok(());
            }
            self.wait_for(wait)?;
            from = until;
        }
        self.carry_on(&restoration.steps[from..], care);
        Ok(())
    }

    fn carry_on(&mut self, steps: &[Step], care: Care) -> Went {
        for step in steps {
            let failures = self.run_whatever_fails(std::slice::from_ref(step));
            for failure in &failures {
                warn!(
                    error = chain(failure),
                    "a step of the restore did not go through, computing it again"
                );
            }
            // Where sysctls cannot be written, addresses only take longer.
            let matters = !step.changes.iter().all(|c| matches!(c, Change::SetSysctl(_)));
            if care == Care::StopAtFailure && matters && !failures.is_empty() {
                return Went::Short;
            }
        }
        Went::All
    }

    /// Duplicate address detection takes one to two seconds; what is not usable by then is left to the next attempt.
    fn wait_for(&mut self, wait: &Wait) -> Result<(), String> {
        let until = self.uptime() + DETECTION_PATIENCE;
        while !wait.is_over(&self.read_patiently(ADDRESSES)?) && self.uptime() < until {
            self.clock.pause(DETECTION_LOOK);
        }
        Ok(())
    }

    /// Waits until the kernel has told the carriers of links that came up, and says whether it did: all is open by then,
    /// and only the proof must be of what they bring, too.
    fn has_waited_for(&mut self, carriers: &[u32], id: EmergencyId, raised: Duration) -> Result<bool, String> {
        let to_come = |now: &Snapshot| {
            let mut links = carriers.iter().filter_map(|index| now.link(*index));
            links.any(|link| link.up && !link.carrier.0)
        };
        let mut waited = false;
        while !carriers.is_empty() && self.has_time_for_carriers(id, raised) {
            waited = true;
            if !to_come(&self.read_patiently(LINKS)?) {
                break;
            }
            self.clock.pause(DETECTION_LOOK);
        }
        Ok(waited)
    }

    /// A proof holds up nobody's end: not its own beyond the grace, and not the opening after another cut.
    fn has_time_for_carriers(&self, id: EmergencyId, raised: Duration) -> bool {
        let now = self.now();
        let late = |e: &Emergency| e.should_have_ended(&now, CARRIER_LATEST_MS) && !e.should_have_ended(&now, GRACE_MS);
        let next = |e: &Emergency| e.id != id && (e.state == State::Restoring || e.due(&now).is_some());
        let pressing = self.emergencies.iter().any(|e| (e.id == id && late(e)) || next(e));
        !pressing && self.uptime().saturating_sub(raised) < CARRIER_PATIENCE
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.now().boottime_ms)
    }

    /// Moves an ended emergency to the past; the last one takes the baseline and the journal with it.
    fn close(&mut self, id: EmergencyId, mut view: ReceiptView) -> ReceiptView {
        let Some(at) = self.emergencies.iter().position(|e| e.id == id) else {
            return view;
        };
        view.state = super::views::state(self.emergencies[at].state);
        view.cut_us = self.cut_time(id);
        if self.emergencies[at].state != State::Ended {
            error!(emergency = %id, residues = ?view.residues, "the restore left residue, a person is needed");
            self.keep_receipt(id, |kept| *kept = view.clone());
            return view;
        }
        let emergency = self.emergencies.remove(at);
        if self.emergencies.is_empty() {
            self.let_baseline_go();
        } else if !reading::only_add([&emergency.cut]) {
            self.ended.push(emergency.clone());
        }
        if let Err(error) = self.save(Room::Reserve) {
            warn!(error = chain(&error), "the journal could not be written, going on");
        }
        self.alerts_ended(&emergency.policy, id);
        self.remember(emergency, view.clone());
        view
    }
}

/// Whether links are set up by it.
fn raises(restoration: &Restoration) -> bool {
    let up = |change: &Change| {
        matches!(
            change,
            Change::SetLink {
                setting: LinkSetting::Up,
                ..
            }
        )
    };
    restoration.steps.iter().flat_map(|s| &s.changes).any(up)
}

/// How long to wait for what the kernel makes of addresses in its own time, after a detection also of one that a killed
/// process had begun.
fn patience(now: &Snapshot, receipt: &Receipt) -> Duration {
    let detecting = now.addresses.iter().any(|a| a.tentative.0);
    match (detecting, receipt.is_up_to_the_kernel()) {
        (true, _) => DETECTION_PATIENCE,
        (false, true) => ROUTES_PATIENCE,
        (false, false) => Duration::ZERO,
    }
}

fn refused(refusal: Refusal) -> ApiError {
    let (code, hint) = match refusal {
        Refusal::WrongState { .. } => (Code::WrongState, "`portcullis status` shows where it stands"),
        Refusal::OverCap { .. } => (Code::OverLimit, "end it, and declare anew if it is still needed"),
        Refusal::NothingToConfirm => (Code::WrongState, "it was confirmed already, or needs no confirmation"),
    };
    ApiError::new(code, refusal.to_string(), hint)
}
