//! Views of audit records for other people's systems, one record a line.
//!
//! A view is never hashed: what is proved is the log itself. All but ASCII is escaped, so no byte that somebody else
//! chose (a reason, a user's name) can break a line, move a cursor or turn text around on the way through a pipeline.

mod cef;
mod ecs;
mod ocsf;

use std::fmt::Write as _;

use super::record::{Actor, EventKind, Record};

/// In whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The records themselves; canonicalised (RFC 8785) they are what is hashed.
    Jsonl,
    /// Open Cybersecurity Schema Framework 1.8.0.
    Ocsf,
    /// Elastic Common Schema.
    Ecs,
    /// ArcSight Common Event Format 0, without a syslog header.
    Cef,
}

/// What a record does not say of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The host's name.
    pub host: String,
    /// The version of this program.
    pub version: String,
}

/// The line for a record, without a newline.
#[must_use]
pub fn line(view: View, record: &Record, source: &Source) -> String {
    match view {
        View::Jsonl => ascii(&serde_json::json!(record).to_string()),
        View::Ocsf => ascii(&ocsf::event(record, source).to_string()),
        View::Ecs => ascii(&ecs::event(record, source).to_string()),
        View::Cef => cef::line(record, source),
    }
}

/// JSON in printable ASCII. Outside of strings JSON has nothing else anyway.
#[must_use]
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("writing to a String does not fail");
        }
    }
    out
}

/// How an event ended, as far as its kind tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Success,
    Failure,
    /// Something is left that could not be put back.
    Partial,
}

fn outcome(event: EventKind) -> Outcome {
    match event {
        EventKind::RequestRefused
        | EventKind::Rejected
        | EventKind::ProposalExpired
        | EventKind::ApplyFailed
        | EventKind::LifelineLost
        | EventKind::ConfirmationMissed
        | EventKind::StateDamaged
        | EventKind::AuditTorn => Outcome::Failure,
        EventKind::Residue | EventKind::ResidueAccepted => Outcome::Partial,
        EventKind::DaemonStarted
        | EventKind::DaemonStopped
        | EventKind::PoliciesLoaded
        | EventKind::OrderAccepted
        | EventKind::PlanMade
        | EventKind::Proposed
        | EventKind::Approved
        | EventKind::ReviewOpened
        | EventKind::ReviewClosed
        | EventKind::AlertRaised
        | EventKind::AlertResolved
        | EventKind::TakenOver
        | EventKind::Declared
        | EventKind::StepsApplied
        | EventKind::InForce
        | EventKind::Confirmed
        | EventKind::Extended
        | EventKind::Drift
        | EventKind::Mended
        | EventKind::RevertRequested
        | EventKind::DeadlineReached
        | EventKind::Restored
        | EventKind::RestoredOffline
        | EventKind::Recovered
        | EventKind::Armed
        | EventKind::Disarmed
        | EventKind::Sealed
        | EventKind::AuditRotated => Outcome::Success,
    }
}

/// From 0 to 10, in the bands of CEF: up to 3 low, 6 medium, 8 high, then very high.
fn severity(event: EventKind) -> u8 {
    match event {
        EventKind::Sealed | EventKind::AuditRotated | EventKind::PoliciesLoaded => 1,
        EventKind::DaemonStarted | EventKind::DaemonStopped | EventKind::PlanMade | EventKind::Confirmed => 3,
        EventKind::RequestRefused | EventKind::Rejected | EventKind::Approved | EventKind::Proposed => 5,
        EventKind::ProposalExpired | EventKind::ReviewClosed | EventKind::OrderAccepted => 5,
        EventKind::AlertResolved | EventKind::TakenOver => 5,
        EventKind::Extended | EventKind::Armed | EventKind::Disarmed | EventKind::Recovered => 5,
        EventKind::Mended | EventKind::RevertRequested | EventKind::Restored | EventKind::DeadlineReached => 6,
        EventKind::Drift | EventKind::ConfirmationMissed | EventKind::AuditTorn | EventKind::RestoredOffline => 7,
        EventKind::ResidueAccepted | EventKind::AlertRaised => 7,
        EventKind::ReviewOpened | EventKind::Declared | EventKind::StepsApplied | EventKind::InForce => 9,
        EventKind::ApplyFailed | EventKind::LifelineLost | EventKind::Residue | EventKind::StateDamaged => 10,
    }
}

/// Whoever caused it, in a word.
fn user(actor: &Actor) -> String {
    match actor {
        Actor::Daemon => "portcullisd".to_owned(),
        Actor::Peer(peer) => peer.user.clone().unwrap_or_else(|| format!("uid {}", peer.uid)),
        Actor::Signatory(signatory) => signatory.person.clone(),
    }
}

/// The reason given, or the detail of a refusal.
fn reason(record: &Record) -> Option<&str> {
    ["reason", "detail", "why"]
        .iter()
        .find_map(|name| record.details[name].as_str())
}

#[cfg(test)]
mod tests;
