//! The audit record: who did what, when, on whose behalf, each bound to the one before it by its hash.
//!
//! A record is one line of canonical JSON (RFC 8785). Its hash is the SHA-256 of the canonical bytes of all its members
//! but `hash` itself, so anybody can check a log with a JSON library and `sha256sum`. Pure: sequence, predecessor and
//! clocks are arguments. It never holds a float or a number that a double cannot hold, because their canonical form is
//! where implementations differ.

mod actor;
mod event;

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical::{NotCanonical, write_integer, write_optional, write_string, write_value};
use super::emergency::Moment;
use super::names::{Digest, EmergencyId, PolicyName};

pub use self::actor::{Account, Actor, Hearsay, Peer, Signatory};
pub use self::event::EventKind;

/// The longest line, its newline included: room for a plan's summary, little enough to read into memory.
pub const LINE_MAX_BYTES: usize = 1 << 20;

/// A record before it has its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What happened.
    pub event: EventKind,
    /// Who caused it.
    pub actor: Actor,
    /// To which emergency.
    pub emergency: Option<EmergencyId>,
    /// Under which policy.
    pub policy: Option<PolicyName>,
    /// Everything else, by kind of event: integers within [`super::canonical::INTEGER_MAX`], text, lists and objects; no floats.
    pub details: Value,
}

impl Draft {
    /// An event of the daemon's own without emergency, policy and details.
    #[must_use]
    pub fn of_daemon(event: EventKind) -> Self {
        Self {
            event,
            actor: Actor::Daemon,
            emergency: None,
            policy: None,
            details: Value::Null,
        }
    }
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    // The fields stand in the order of the canonical form.
    /// Who caused it.
    pub actor: Actor,
    /// The boot in which it happened.
    pub boot_id: String,
    /// CLOCK_BOOTTIME in milliseconds.
    pub boottime_ms: u64,
    /// Everything else, by kind of event.
    pub details: Value,
    /// To which emergency.
    pub emergency: Option<EmergencyId>,
    /// What happened.
    pub event: EventKind,
    /// SHA-256 over the canonical bytes of all other members.
    pub hash: Digest,
    /// Under which policy.
    pub policy: Option<PolicyName>,
    /// The hash of the record before it; zero for the first.
    pub previous: Digest,
    /// Counts from 1 without gaps.
    pub sequence: u64,
    /// `wall_ms` in RFC 3339, UTC, with milliseconds.
    pub time: String,
    /// CLOCK_REALTIME in milliseconds since 1970.
    pub wall_ms: i64,
}

/// The end of a chain: enough to tell later whether a log still holds what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Sequence of the last record.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sequence, self.hash)
    }
}

/// Why a draft cannot become a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Something in it has no canonical form.
    #[error("an audit record cannot be written canonically")]
    NotCanonical(#[from] NotCanonical),
    /// A line that no reader would take.
    #[error("an audit record of {bytes} bytes is longer than {LINE_MAX_BYTES}")]
    TooLong {
        /// How long it would be.
        bytes: usize,
    },
    /// RFC 3339 knows the years 0 to 9999.
    #[error("the wall clock's {wall_ms} ms since 1970 are not a date")]
    NotADate {
        /// What the clock said.
        wall_ms: i64,
    },
}

/// Gives a draft its place in the chain.
///
/// # Errors
/// If the record would have no canonical form or its line would be too long.
pub fn seal(draft: Draft, previous: Digest, sequence: u64, moment: &Moment) -> Result<Record, SealError> {
    let mut record = Record {
        actor: draft.actor,
        boot_id: moment.boot_id.clone(),
        boottime_ms: moment.boottime_ms,
        details: draft.details,
        emergency: draft.emergency,
        event: draft.event,
        hash: Digest::zero(),
        policy: draft.policy,
        previous,
        sequence,
        time: rfc3339(moment.wall_ms)?,
        wall_ms: moment.wall_ms,
    };
    record.hash = record.line_and_computed_hash()?.1;
    let bytes = record.line()?.len();
    if bytes > LINE_MAX_BYTES {
        return Err(SealError::TooLong { bytes });
    }
    Ok(record)
}

impl Record {
    /// The line on disk: canonical JSON and a newline.
    ///
    /// # Errors
    /// If the record has no canonical form; [`seal`] makes none such.
    pub fn line(&self) -> Result<Vec<u8>, SealError> {
        self.line_and_computed_hash().map(|(line, _)| line)
    }

    /// The line with the hash that the record has, and the hash that its other members call for.
    pub(super) fn line_and_computed_hash(&self) -> Result<(Vec<u8>, Digest), SealError> {
        let (mut line, hash_at) = self.hashed_bytes()?;
        let computed = Digest::of(&line);
        let member = format!("\"hash\":\"{}\",", self.hash);
        line.splice(hash_at..hash_at, member.into_bytes());
        line.push(b'\n');
        Ok((line, computed))
    }

    /// Where the chain ends if this is its last record.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            sequence: self.sequence,
            hash: self.hash,
        }
    }

    /// The canonical bytes without `hash`, and the offset at which that member has its place.
    fn hashed_bytes(&self) -> Result<(Vec<u8>, usize), SealError> {
        let mut out = Vec::with_capacity(768);
        out.extend_from_slice(b"{\"actor\":");
        self.actor.write(&mut out);
        out.extend_from_slice(b",\"boot_id\":");
        write_string(&self.boot_id, &mut out);
        out.extend_from_slice(b",\"boottime_ms\":");
        write_integer(i128::from(self.boottime_ms), &mut out)?;
        out.extend_from_slice(b",\"details\":");
        write_value(&self.details, &mut out)?;
        out.extend_from_slice(b",\"emergency\":");
        write_optional(self.emergency.map(|id| id.to_string()).as_deref(), &mut out);
        out.extend_from_slice(b",\"event\":");
        write_string(self.event.word(), &mut out);
        out.push(b',');
        let hash_at = out.len();
        out.extend_from_slice(b"\"policy\":");
        write_optional(self.policy.as_ref().map(AsRef::as_ref), &mut out);
        out.extend_from_slice(b",\"previous\":");
        write_string(&self.previous.to_string(), &mut out);
        out.extend_from_slice(b",\"sequence\":");
        write_integer(i128::from(self.sequence), &mut out)?;
        out.extend_from_slice(b",\"time\":");
        write_string(&self.time, &mut out);
        out.extend_from_slice(b",\"wall_ms\":");
        write_integer(i128::from(self.wall_ms), &mut out)?;
        out.push(b'}');
        Ok((out, hash_at))
    }
}

/// The wall clock as RFC 3339 in UTC with milliseconds.
///
/// # Errors
/// Outside the years 0 to 9999.
pub fn rfc3339(wall_ms: i64) -> Result<String, SealError> {
    let refused = SealError::NotADate { wall_ms };
    match jiff::Timestamp::from_millisecond(wall_ms) {
        Ok(time) => Some(format!("{time:.3}"))
            .filter(|text| !text.starts_with('-'))
            .ok_or(refused),
        Err(_) => Err(refused),
    }
}

/// Text from outside, safe to print on a terminal: what moves a cursor, breaks a line, turns or hides text is written
/// `\u{…}`. Different texts stay different, so the backslash is doubled.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' {
            out.push_str("\\\\");
        } else if deceives(c) {
            write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String does not fail");
        } else {
            out.push(c);
        }
    }
    out
}

/// The same but for the backslash, which stays as it is: interface names are written with it.
#[must_use]
pub fn safe(text: &str) -> String {
    text.split('\\').map(printable).collect::<Vec<_>>().join("\\")
}

/// Control characters, line separators, bidirectional controls (Unicode TR 9) and invisible marks. The joiners U+200C
/// and U+200D stay: Persian and the Indic scripts need them.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests;
