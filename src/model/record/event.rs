//! The kinds of events, each with its word in the log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::names::NameError;

/// Defines [`EventKind`] with the word that stands in the log for each.
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $word)] $kind,)*
        }

        impl EventKind {
            /// Every kind, in the order of an emergency's life.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The word in the log.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }
        }
    };
}

event_kinds! {
    /// The daemon is ready.
    DaemonStarted = "daemon-started",
    /// The daemon stops on request.
    DaemonStopped = "daemon-stopped",
    /// Policies were read; the details name those that were refused.
    PoliciesLoaded = "policies-loaded",
    /// A request was refused, for whatever reason.
    RequestRefused = "request-refused",
    /// A signed order was taken: it stands in the details, with its signature, and what it orders follows.
    OrderAccepted = "order-accepted",
    /// A plan was made for somebody.
    PlanMade = "plan-made",
    /// A declaration waits for a second person.
    Proposed = "proposed",
    /// A second person agreed.
    Approved = "approved",
    /// A second person disagreed.
    Rejected = "rejected",
    /// Nobody decided on a declaration in time.
    ProposalExpired = "proposal-expired",
    /// A declaration without the approval that its policy demands; it waits for another person's review.
    ReviewOpened = "review-opened",
    /// Another person has looked at it.
    ReviewClosed = "review-closed",
    /// A hook raised an alert; the emergency is that which it joins, if there is one.
    AlertRaised = "alert-raised",
    /// The hook that had raised an alert resolved it.
    AlertResolved = "alert-resolved",
    /// An operator took over an emergency that hooks had declared: no hook ends it any more.
    TakenOver = "taken-over",
    /// An emergency was declared; nothing in the kernel has changed yet.
    Declared = "declared",
    /// Steps of a plan were acknowledged by the kernel.
    StepsApplied = "steps-applied",
    /// The cut stands, read back from the kernel.
    InForce = "in-force",
    /// A step failed.
    ApplyFailed = "apply-failed",
    /// An operator confirmed that they are still there.
    Confirmed = "confirmed",
    /// An operator took more time.
    Extended = "extended",
    /// Somebody else changed what the cut holds.
    Drift = "drift",
    /// The cut holds again.
    Mended = "mended",
    /// A lifeline does not answer.
    LifelineLost = "lifeline-lost",
    /// An operator ends the emergency.
    RevertRequested = "revert-requested",
    /// The deadline ends the emergency.
    DeadlineReached = "deadline-reached",
    /// Nobody confirmed in time.
    ConfirmationMissed = "confirmation-missed",
    /// Everything that was held is back.
    Restored = "restored",
    /// Something could not be put back.
    Residue = "residue",
    /// An operator ends the emergency all the same; the details name what is left.
    ResidueAccepted = "residue-accepted",
    /// The host was brought back without the daemon, by `portcullis restore --offline`.
    RestoredOffline = "restored-offline",
    /// An emergency was taken up from the journal.
    Recovered = "recovered",
    /// What makes a cut fast was laid out without effect.
    Armed = "armed",
    /// It was taken away.
    Disarmed = "disarmed",
    /// The records before it were sealed with the key of an epoch that ends with it.
    Sealed = "sealed",
    /// A new file of this log was begun.
    AuditRotated = "audit-rotated",
    /// A torn last line of this log was set aside.
    AuditTorn = "audit-torn",
    /// A file of the state directory is damaged.
    StateDamaged = "state-damaged",
}

impl EventKind {
    /// Whether somebody or the daemon decided, or the daemon began or ended: such a record is sealed at once.
    #[must_use]
    pub fn is_decision(self) -> bool {
        match self {
            Self::DaemonStarted
            | Self::DaemonStopped
            | Self::OrderAccepted
            | Self::Proposed
            | Self::Approved
            | Self::Rejected
            | Self::ProposalExpired
            | Self::ReviewOpened
            | Self::ReviewClosed
            | Self::TakenOver
            | Self::Declared
            | Self::InForce
            | Self::ApplyFailed
            | Self::Confirmed
            | Self::Extended
            | Self::RevertRequested
            | Self::DeadlineReached
            | Self::ConfirmationMissed
            | Self::Restored
            | Self::Residue
            | Self::ResidueAccepted
            | Self::RestoredOffline
            | Self::Recovered
            | Self::Armed
            | Self::Disarmed
            | Self::AuditTorn
            | Self::StateDamaged => true,
            Self::PoliciesLoaded
            | Self::RequestRefused
            | Self::PlanMade
            // A program's word; what comes of it is decided by the daemon, and sealed with what is recorded of that.
            | Self::AlertRaised
            | Self::AlertResolved
            | Self::StepsApplied
            | Self::Drift
            | Self::Mended
            | Self::LifelineLost
            | Self::Sealed
            | Self::AuditRotated => false,
        }
    }

    /// Whether an emergency may have such a record before anything is done for it in the kernel.
    #[must_use]
    pub fn leads_up_to_a_cut(self) -> bool {
        matches!(
            self,
            Self::Proposed
                | Self::Approved
                | Self::OrderAccepted
                | Self::ReviewOpened
                | Self::ReviewClosed
                | Self::Declared
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for EventKind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let found = Self::ALL.iter().copied().find(|kind| kind.word() == text);
        found.ok_or_else(|| NameError {
            what: "event kind",
            input: text.to_owned(),
            rule: "a word from the audit log, such as `declared` or `restored`",
        })
    }
}
