//! What a drill found.

use serde::{Deserialize, Serialize};

use crate::api::{PlanView, ReceiptView};

/// The whole result. It held if `failures` is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Always `v1`.
    pub api_version: String,
    /// Whether everything held.
    pub held: bool,
    /// What did not, one line each.
    pub failures: Vec<String>,
    /// What was rehearsed on.
    pub copied: Copied,
    /// The plan that was carried out.
    pub plan: PlanView,
    /// Microseconds from the declaration to the last acknowledgement, records included.
    pub cut_us: u64,
    /// How each lifeline fared.
    pub lifelines: Vec<LifelineResult>,
    /// What was not probed, and why, one line each.
    pub not_probed: Vec<String>,
    /// Every probe: before, during and after the cut.
    pub probes: Vec<ProbeResult>,
    /// What happened when somebody tampered with the cut.
    pub drift: DriftResult,
    /// The daemon's receipt after the restore.
    pub receipt: ReceiptView,
    /// Milliseconds for everything.
    pub took_ms: u64,
}

/// The host's network, as far as it was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Links, without loopback.
    pub links: usize,
    /// Addresses.
    pub addresses: usize,
    /// Routes of all tables.
    pub routes: usize,
    /// Rules.
    pub rules: usize,
    /// What the scratch namespace would not take, one line each.
    pub left_out: Vec<String>,
}

/// One lifeline under probes, each sent 5 ms after the one before or when that one is answered or lost, whichever is later,
/// from before the declaration until after the restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifelineResult {
    /// Its name and what was probed.
    pub what: String,
    /// Probes sent.
    pub sent: u64,
    /// Probes without an answer within 950 ms, but for those below.
    pub lost: u64,
    /// Probes lost while traffic control was put on links or taken off: the kernel stops a link's transmit queue for a few
    /// milliseconds then (`dev_deactivate()` in `net/sched/sch_generic.c`), and the plan warns of it.
    pub paused: u64,
    /// Why nothing could be probed; empty where something was.
    pub untested: String,
}

/// What a probe is expected to do while the cut is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// The coverage says that it is stopped.
    Stops,
    /// It is a lifeline, or outside the cut.
    Passes,
    /// The coverage makes no promise.
    Open,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// What was tried.
    pub what: String,
    /// Expected while the cut is in force.
    pub expected: Expectation,
    /// Passed before the cut.
    pub before: bool,
    /// Passed while it was in force.
    pub during: bool,
    /// Passed after the restore.
    pub after: bool,
}

impl ProbeResult {
    /// What is wrong with it, if anything. What did not pass before proves nothing.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if !self.before {
            return None;
        }
        match (self.expected, self.during, self.after) {
            (Expectation::Stops, true, _) => Some(format!("leak: {} passed during the cut", self.what)),
            (Expectation::Passes, false, _) => Some(format!("lost: {} did not pass during the cut", self.what)),
            (_, _, false) => Some(format!("not back: {} did not pass after the restore", self.what)),
            (Expectation::Stops | Expectation::Open, _, true) | (Expectation::Passes, true, true) => None,
        }
    }
}

/// What happened when somebody tampered with the cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftResult {
    /// What was done to it.
    pub sabotage: String,
    /// Milliseconds until the kernel held the cut again; none if it did not.
    pub put_right_ms: Option<u64>,
}
