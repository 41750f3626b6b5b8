//! One declared emergency and its life.
//!
//! ```text
//!            Applied                    RevertRequested | Due | ConfirmationDue
//! Applying ───────────▶ InForce ─────────────────────────────────────▶ Restoring ──Restored──▶ Ended
//!    │                   ▲    │ Drifted                                  ▲    │
//!    │ ApplyFailed       │    ▼                                          │    │ LeftResidue
//!    │            Mended └─ Degraded ────────────────────────────────────┤    ▼
//!    └───────────────────────────────────────────────────────────────────┘  Stuck ──RevertRequested──▶ Restoring
//!                                                                              └─────ResidueAccepted──▶ Ended
//! ```
//!
//! A value that does no input or output and is told the time. Whoever drives it records first and acts afterwards.

use serde::{Deserialize, Serialize};

use super::cut::Cut;
use super::duration::written_ms;
use super::names::{Digest, EmergencyId, PolicyName};
use super::policy::{Affects, FailDirections, Limits, Occasion};

/// Where an emergency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Recorded; the plan is being carried out.
    Applying,
    /// The cut stands, read back from the kernel.
    InForce,
    /// In force, but drift or a failed step leaves a hole; it is still being enforced.
    Degraded,
    /// The kernel's state is being put back.
    Restoring,
    /// Over, with an empty diff.
    Ended,
    /// A restore left residue: no new emergencies until an operator decides.
    Stuck,
}

/// What happens to an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Every step of the plan is acknowledged and read back.
    Applied,
    /// A step failed; what was done is to be undone.
    ApplyFailed,
    /// The kernel no longer holds what the cut wants, and it could not be put right at once.
    Drifted,
    /// It does again.
    Mended,
    /// An operator confirmed that they are still there.
    Confirmed,
    /// An operator asked for more time.
    Extended {
        /// How much longer, in milliseconds.
        by_ms: u64,
    },
    /// An operator ends it.
    RevertRequested,
    /// The deadline has come.
    Due,
    /// Nobody confirmed in time.
    ConfirmationDue,
    /// The restore left nothing of ours, and everything that was held is back.
    Restored,
    /// The restore could not put everything back.
    LeftResidue,
    /// Somebody has looked at what is left, and ends it all the same.
    ResidueAccepted,
    /// The daemon started and found the emergency in its journal.
    Restarted,
}

/// What the driver must do after a transition. It is recorded before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Bring the kernel to what the emergencies in force want.
    Enforce,
    /// Put back what this emergency held.
    Restore,
}

/// Why an event was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The state does not allow it.
    #[error("an emergency that is {} cannot be {}", state.word(), event.word())]
    WrongState {
        /// Where it stands.
        state: State,
        /// What was asked.
        event: Event,
    },
    /// The policy's cap on the whole duration would be passed.
    #[error(
        "the policy allows {} in all, of which {} are used: {} more is too much",
        written_ms(*total_ms), written_ms(*used_ms), written_ms(*asked_ms)
    )]
    OverCap {
        /// The cap, in milliseconds.
        total_ms: u64,
        /// Already granted, in milliseconds.
        used_ms: u64,
        /// Asked for, in milliseconds.
        asked_ms: u64,
    },
    /// There is nothing to confirm.
    #[error("the emergency does not wait for a confirmation")]
    NothingToConfirm,
}

impl State {
    /// The word that `status` prints.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::InForce => "in-force",
            Self::Degraded => "degraded",
            Self::Restoring => "restoring",
            Self::Ended => "ended",
            Self::Stuck => "stuck",
        }
    }

    /// Whether the cut is to be held in the kernel.
    #[must_use]
    pub fn is_held(self) -> bool {
        match self {
            Self::Applying | Self::InForce | Self::Degraded => true,
            Self::Restoring | Self::Ended | Self::Stuck => false,
        }
    }
}

impl Event {
    fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::ApplyFailed => "abandoned",
            Self::Drifted => "marked as drifted",
            Self::Mended => "mended",
            Self::Confirmed => "confirmed",
            Self::Extended { .. } => "extended",
            Self::RevertRequested => "reverted",
            Self::Due => "ended by its deadline",
            Self::ConfirmationDue => "ended for want of a confirmation",
            Self::Restored => "marked as restored",
            Self::LeftResidue => "marked as stuck",
            Self::ResidueAccepted => "ended with residue",
            Self::Restarted => "taken up again",
        }
    }
}

/// The clocks at one moment, as the driver read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// CLOCK_BOOTTIME in milliseconds: counts suspend, knows no jumps.
    pub boottime_ms: u64,
    /// CLOCK_REALTIME in milliseconds since 1970; may jump.
    pub wall_ms: i64,
}

/// An end, kept with both clocks.
///
/// Within the boot in which it was set only CLOCK_BOOTTIME counts. After a reboot the wall clock says how much time has
/// passed, but not less than CLOCK_BOOTTIME had counted when it was last written down, and this boot's uptime; a wall
/// clock that went backwards says nothing, and then the time is over. So a clock may shorten a cut; one that was set back
/// lengthens it by no more than the host was off and the while since the last writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// When it was set.
    pub set_at: Moment,
    /// How long after that, in milliseconds.
    pub after_ms: u64,
    /// What had passed when this was last written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Passed>,
}

/// How much of a deadline's time had passed at a later moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The moment.
    pub at: Moment,
    /// Milliseconds since the deadline was set.
    pub ms: u64,
}

impl Deadline {
    /// An end so long after a moment, in milliseconds.
    #[must_use]
    pub fn after(set_at: Moment, after_ms: u64) -> Self {
        Self {
            set_at,
            after_ms,
            passed: None,
        }
    }

    /// Milliseconds left; zero when it is over.
    #[must_use]
    pub fn remaining_ms(&self, now: &Moment) -> u64 {
        let passed = self.passed_ms(now);
        passed.map_or(0, |passed| self.after_ms.saturating_sub(passed))
    }

    /// Notes how much has passed by now, for a clock that will be wrong after the next reboot.
    pub fn note(&mut self, now: &Moment) {
        if let Some(ms) = self.passed_ms(now) {
            self.passed = Some(Passed { at: now.clone(), ms });
        }
    }

    /// None: nobody knows.
    fn passed_ms(&self, now: &Moment) -> Option<u64> {
        let since_set = now.since(&self.set_at)?;
        match &self.passed {
            _ if now.boot_id == self.set_at.boot_id => Some(since_set),
            None => Some(since_set),
            Some(passed) => Some(since_set.max(passed.ms.saturating_add(now.since(&passed.at)?))),
        }
    }
}

impl Moment {
    /// Milliseconds since an earlier moment; none if it was in another boot, and later by the wall clock.
    fn since(&self, then: &Self) -> Option<u64> {
        if self.boot_id == then.boot_id {
            return Some(self.boottime_ms.saturating_sub(then.boottime_ms));
        }
        let passed = u64::try_from(self.wall_ms.saturating_sub(then.wall_ms)).ok()?;
        Some(passed.max(self.boottime_ms))
    }
}

/// What the operator stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// What for.
    pub occasion: Occasion,
    /// Why, in the operator's words.
    pub reason: String,
    /// The legal or organisational basis, or a ticket.
    pub authority: String,
    /// Who, as the audit log names them.
    pub declared_by: String,
    /// Who approved, where the policy demands it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// Whether it was declared without the approval that the policy demands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// The hooks whose alerts declared it; none where a person did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raised_by: Vec<String>,
}

/// One declared instance of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// Its name for ever.
    pub id: EmergencyId,
    /// The policy.
    pub policy: PolicyName,
    /// What the operator stated.
    pub declaration: Declaration,
    /// Whose connectivity is taken.
    pub affects: Affects,
    /// What those affected are told.
    pub notice: String,
    /// How long it may last.
    pub limits: Limits,
    /// What happens when nobody is there.
    pub fail: FailDirections,
    /// What it holds.
    pub cut: Cut,
    /// The plan that was carried out.
    pub plan_digest: Digest,
    /// Where it stands.
    pub state: State,
    /// When it ends.
    pub deadline: Deadline,
    /// When it ends unless confirmed before.
    pub confirm_by: Option<Deadline>,
}

impl Emergency {
    /// Notes in both its ends how much has passed by now.
    pub fn note(&mut self, now: &Moment) {
        self.deadline.note(now);
        self.confirm_by.iter_mut().for_each(|end| end.note(now));
    }

    /// Takes an event: changes the state and says what is to be done.
    ///
    /// # Errors
    /// If the state or the limits do not allow it; then nothing has changed.
    pub fn on(&mut self, event: Event) -> Result<Option<Effect>, Refusal> {
        let (state, effect) = self.next(event)?;
        match event {
            Event::Confirmed => self.confirm_by = None,
            Event::Extended { by_ms } => self.deadline.after_ms += by_ms,
            Event::Applied
            | Event::ApplyFailed
            | Event::Drifted
            | Event::Mended
            | Event::RevertRequested
            | Event::Due
            | Event::ConfirmationDue
            | Event::Restored
            | Event::LeftResidue
            | Event::ResidueAccepted
            | Event::Restarted => {}
        }
        self.state = state;
        Ok(effect)
    }

    /// The transition table.
    fn next(&self, event: Event) -> Result<(State, Option<Effect>), Refusal> {
        use Event as E;
        use State as S;
        let refused = Err(Refusal::WrongState {
            state: self.state,
            event,
        });
        match (self.state, event) {
            (S::Applying, E::Applied) | (S::Degraded, E::Mended) => Ok((S::InForce, None)),
            (S::InForce | S::Degraded, E::Drifted) => Ok((S::Degraded, Some(Effect::Enforce))),
            (S::InForce | S::Degraded, E::Confirmed) if self.confirm_by.is_some() => Ok((self.state, None)),
            (S::InForce | S::Degraded, E::Confirmed) => Err(Refusal::NothingToConfirm),
            (S::InForce | S::Degraded, E::Extended { by_ms }) => self.within_cap(by_ms).map(|()| (self.state, None)),
            (S::Applying, E::ApplyFailed)
            | (S::Applying | S::InForce | S::Degraded, E::Due | E::ConfirmationDue)
            | (S::Applying | S::InForce | S::Degraded | S::Stuck, E::RevertRequested) => {
                Ok((S::Restoring, Some(Effect::Restore)))
            }
            (S::Restoring, E::Restored) | (S::Stuck, E::ResidueAccepted) => Ok((S::Ended, None)),
            (S::Restoring, E::LeftResidue) => Ok((S::Stuck, None)),
            (S::Applying | S::InForce | S::Degraded, E::Restarted) => Ok((S::Applying, Some(Effect::Enforce))),
            (S::Restoring | S::Stuck, E::Restarted) => Ok((S::Restoring, Some(Effect::Restore))),
            (S::Restoring, E::RevertRequested | E::Due | E::ConfirmationDue) => Ok((S::Restoring, None)),
            (
                S::Applying,
                E::Drifted | E::Mended | E::Confirmed | E::Extended { .. } | E::Restored | E::LeftResidue,
            )
            | (S::InForce, E::Applied | E::ApplyFailed | E::Mended | E::Restored | E::LeftResidue)
            | (S::Degraded, E::Applied | E::ApplyFailed | E::Restored | E::LeftResidue)
            | (S::Applying | S::InForce | S::Degraded | S::Restoring, E::ResidueAccepted)
            | (
                S::Restoring,
                E::Applied | E::ApplyFailed | E::Drifted | E::Mended | E::Confirmed | E::Extended { .. },
            )
            | (
                S::Stuck,
                E::Applied
                | E::ApplyFailed
                | E::Drifted
                | E::Mended
                | E::Confirmed
                | E::Extended { .. }
                | E::Due
                | E::ConfirmationDue
                | E::Restored
                | E::LeftResidue,
            )
            | (S::Ended, _) => refused,
        }
    }

    fn within_cap(&self, by_ms: u64) -> Result<(), Refusal> {
        let total_ms = u64::try_from(self.limits.total.as_millis()).unwrap_or(u64::MAX);
        let used_ms = self.deadline.after_ms;
        if used_ms.saturating_add(by_ms) > total_ms {
            return Err(Refusal::OverCap {
                total_ms,
                used_ms,
                asked_ms: by_ms,
            });
        }
        Ok(())
    }

    /// Whether an end came more than this many milliseconds ago, and the cut is still held.
    #[must_use]
    pub fn is_overdue(&self, now: &Moment, by_ms: u64) -> bool {
        self.state.is_held() && self.should_have_ended(now, by_ms)
    }

    /// The same of one that is ending, or has ended.
    #[must_use]
    pub fn should_have_ended(&self, now: &Moment, by_ms: u64) -> bool {
        let over = |end: &Deadline| {
            let later = Deadline {
                after_ms: end.after_ms.saturating_add(by_ms),
                ..end.clone()
            };
            later.remaining_ms(now) == 0
        };
        over(&self.deadline) || self.confirm_by.as_ref().is_some_and(over)
    }

    /// The event that the passing of time brings, if any.
    #[must_use]
    pub fn due(&self, now: &Moment) -> Option<Event> {
        if !self.state.is_held() {
            return None;
        }
        if self.deadline.remaining_ms(now) == 0 {
            return Some(Event::Due);
        }
        let unconfirmed = self.confirm_by.as_ref().is_some_and(|d| d.remaining_ms(now) == 0);
        unconfirmed.then_some(Event::ConfirmationDue)
    }
}

#[cfg(test)]
pub(crate) mod tests;
