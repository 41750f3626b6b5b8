//! The report for the review after an emergency: for a board, a regulator, or the people affected.
//!
//! [`Report::of`] makes it from the records of the audit log and what an examination of the log found; nothing else is asked,
//! so it can be made anywhere, from a copy, and two people who make it get the same. [`text`] and [`html`] write it for
//! people; as JSON it is the value itself, whose members are stable within one `format`.
//!
//! Pure: no clock, no file. Every text from outside is kept as it was given; that it is no more than text on a screen or a
//! page is the business of the writers, at one place in each.

mod around;
mod drill;
mod facts;
pub mod html;
mod life;
mod mask;
mod picture;
mod prose;
#[cfg(test)]
mod tests;
pub mod text;

use serde::Serialize;
use serde_json::Value;

pub use self::drill::{Drill, Tally};
pub use self::facts::{Evidence, ReportError, Selection};
use crate::model::plan::CoverageRow;
use crate::model::record::Head;

/// The name of this form; another one has another name.
pub const FORMAT: &str = "portcullis-report/1";

/// For whom it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Whoever may read the audit log.
    Insiders,
    /// Everybody: without addresses, names of links and persons.
    Public,
}

/// Everything that is told of one emergency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Always [`FORMAT`].
    pub format: String,
    /// For whom it is.
    pub audience: Audience,
    /// The host, if it was named.
    pub host: Option<String>,
    /// UUID of the emergency.
    pub emergency: String,
    /// The policy's name.
    pub policy: Option<String>,
    /// Where it stands, by the last record.
    pub standing: Standing,
    /// The whole in a few sentences.
    pub summary: Vec<String>,
    /// What was stated, and by whom.
    pub declaration: Declaration,
    /// What was cut and what was kept.
    pub scope: Scope,
    /// What was decided beforehand.
    pub plan: Plan,
    /// When, and for how long.
    pub times: Times,
    /// What happened, in order.
    pub timeline: Vec<Moment>,
    /// The stretches of its life, in order.
    pub spans: Vec<Span>,
    /// Each time that others changed what the cut held, the first thousand.
    pub drift: Vec<Drift>,
    /// How often they did.
    pub drifts: u64,
    /// The proof after the restore; none before it.
    pub receipt: Option<Receipt>,
    /// What a drill found; none of a real emergency.
    pub drill: Option<Drill>,
    /// What the audit log proves.
    pub proof: Proof,
}

/// Where an emergency, or the proposal of one, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It waits for approval; nothing is cut.
    Proposed,
    /// It was rejected; nothing was cut.
    Rejected,
    /// Nobody decided in time; nothing was cut.
    Lapsed,
    /// Declared; the cut is being laid.
    Applying,
    /// The cut stands.
    InForce,
    /// The cut stands with a hole.
    Degraded,
    /// The kernel's state is being put back.
    Restoring,
    /// Over, with an empty diff.
    Ended,
    /// A restore left something that could not be put back.
    Stuck,
}

/// Somebody. In a public report a number in the order of appearance stands for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// As the log names them.
    pub name: String,
    /// Effective uid; none of the daemon.
    pub uid: Option<u32>,
    /// The uid with which they logged in.
    pub login_uid: Option<u32>,
    /// The program that asked.
    pub executable: Option<String>,
    /// Its systemd unit.
    pub unit: Option<String>,
    /// Which of these members the kernel does not vouch for.
    pub hearsay: Vec<String>,
}

/// What was stated, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Declaration {
    /// The legal or organisational basis.
    pub authority: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// What for.
    pub occasion: String,
    /// Whose connectivity is taken.
    pub affects: String,
    /// What those affected were told; none where the record does not hold it.
    pub notice: Option<String>,
    /// Who declared.
    pub declared_by: Option<Who>,
    /// Who approved, in order.
    pub approved_by: Vec<Who>,
    /// How many approvals the policy demanded.
    pub approvals_needed: u64,
    /// For how long it was declared, in milliseconds.
    pub duration_ms: u64,
    /// Within what it had to be confirmed, in milliseconds.
    pub confirm_within_ms: Option<u64>,
}

/// What was cut and what was kept. Of what a record of an older version does not hold there is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// By which methods.
    pub methods: Vec<String>,
    /// `whole-host` or `links`.
    pub reach: Option<String>,
    /// Address families.
    pub families: Vec<String>,
    /// Directions.
    pub directions: Vec<String>,
    /// Links.
    pub links: List,
    /// Zones between which forwarding was cut.
    pub zones: Vec<String>,
    /// Routes that were withdrawn.
    pub routes_withdrawn: u64,
    /// Prefixes that were sent nowhere.
    pub null_prefixes: List,
    /// What stayed, by name.
    pub lifelines: Vec<String>,
    /// What the plan promised for each kind of traffic; none where the record does not hold it.
    pub coverage: Vec<CoverageRow>,
}

/// Lines that a public report only counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct List {
    /// How many.
    pub count: usize,
    /// The lines; empty in a public report.
    pub lines: Vec<String>,
}

impl List {
    fn of(lines: Vec<String>) -> Self {
        let count = lines.len();
        Self { count, lines }
    }
}

/// What was decided beforehand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// SHA-256 of the policy's canonical JSON.
    pub policy_digest: Option<String>,
    /// SHA-256 of the plan's canonical JSON: what people approved.
    pub plan_digest: Option<String>,
    /// Its steps.
    pub steps: Option<u64>,
    /// Things that it named beforehand as not recreatable.
    pub not_recreatable: Option<u64>,
}

/// When, and for how long. Lengths within one boot are by the boot clock, which knows no jumps; over a reboot by the wall
/// clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// The declaration, RFC 3339.
    pub declared: Option<String>,
    /// The cut stood.
    pub in_force: Option<String>,
    /// What ended it.
    pub end_begun: Option<String>,
    /// All was back, or as much as could be.
    pub ended: Option<String>,
    /// The end that stood last, extensions included.
    pub deadline: Option<String>,
    /// The same, in milliseconds after the first record.
    pub deadline_ms: Option<u64>,
    /// All extensions, in milliseconds.
    pub extended_ms: u64,
    /// From the request to the last acknowledgement of the kernel, in microseconds.
    pub cut_us: Option<u64>,
    /// How long the cut was held, in milliseconds.
    pub held_ms: u64,
    /// How much of that with a hole.
    pub degraded_ms: u64,
    /// How long it took to put everything back and prove it, in milliseconds.
    pub restore_ms: Option<u64>,
}

/// One record, or several of one kind that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// The (first) record.
    pub sequence: u64,
    /// The last record.
    pub until: u64,
    /// How many.
    pub count: u64,
    /// RFC 3339, UTC, by the wall clock.
    pub time: String,
    /// Milliseconds after the first moment.
    pub offset_ms: u64,
    /// The kind of event, as the log names it.
    pub event: String,
    /// What it was, in words.
    pub what: String,
    /// By whom.
    pub who: Who,
    /// Whether the record was written later than it happened, for want of room.
    pub late: bool,
}

/// A stretch of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Which.
    pub standing: Standing,
    /// From, in milliseconds after the first moment.
    pub from_ms: u64,
    /// To; none if the log ends with it.
    pub to_ms: Option<u64>,
}

/// Others changed what the cut held, or opened a way around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The record.
    pub sequence: u64,
    /// When, RFC 3339.
    pub time: String,
    /// What had to be put back, as `ip` and `tc` write it.
    pub lacked: List,
    /// Ways around it that others opened and that were left alone.
    pub bypasses: List,
    /// Whether the cut held again at once.
    pub put_right: bool,
    /// Why not.
    pub why: Option<String>,
}

/// The proof after a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The record.
    pub sequence: u64,
    /// When, RFC 3339.
    pub time: String,
    /// SHA-256 of the state that the host should be in.
    pub baseline: Option<String>,
    /// SHA-256 of the state that was read back.
    pub restored: Option<String>,
    /// What was ours to put back, and is not; none after a good end.
    pub residues: List,
    /// What others changed meanwhile; it was kept.
    pub kept_foreign_changes: List,
    /// What could not be put back because others changed it.
    pub conflicts: List,
    /// What the kernel lets nobody recreate; it is back by meaning.
    pub not_recreated: List,
    /// What the kernel may still make when a carrier comes.
    pub to_come: List,
}

/// What the audit log proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// As `audit verify` says it.
    pub verdict: Verdict,
    /// Records of the whole log.
    pub records: u64,
    /// Up to this one they are proved to be as they were written, if the keys are believed.
    pub proved: u64,
    /// The last record.
    pub head: Option<Head>,
    /// Root of the Merkle tree over all of them (RFC 6962).
    pub root: String,
    /// Its beginning, for the telephone.
    pub short: String,
    /// What checkpoints call the log.
    pub origin: Option<String>,
    /// What nothing proves.
    pub not_proved: Vec<String>,
    /// The first key of each chain of keys.
    pub keys: Vec<String>,
    /// What else the examination found.
    pub remarks: Vec<String>,
    /// The last seal's checkpoint, a signed note.
    pub checkpoint: Option<String>,
    /// The records of this emergency, and their hashes.
    pub own: Vec<Head>,
    /// That the declaration and the last record are in the log, as `audit prove` proves it. A public report has no `record`.
    pub inclusion: Vec<Value>,
}

/// What an examination of the log came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In a word, as in the JSON of `audit verify`.
    pub word: String,
    /// In words.
    pub sentence: String,
    /// Whether the log contradicts itself or what was noted of it.
    pub damaged: bool,
}
