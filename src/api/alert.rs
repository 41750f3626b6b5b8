//! Alerts of hooks on the wire: raised and resolved by programs, over a socket of their own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EmergencyView, ReceiptView};

/// What a source says of what it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// There is something that the policy is for.
    Firing,
    /// There is not any more.
    Resolved,
}

/// The body of `POST /v1/alerts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRequest {
    /// The policy's name.
    pub policy: String,
    /// What the source says.
    pub state: AlertState,
    /// Why: 1 to 500 characters.
    pub reason: String,
    /// A ticket, or what the source calls what it sees: 1 to 200 characters. A source may raise several, and is one source all the
    /// same; one that is resolved without it takes back all that the source has raised under the policy.
    #[serde(default)]
    pub incident: Option<String>,
    /// How long the emergency is to last, in milliseconds; the policy's default where absent. Of several sources the shortest counts.
    #[serde(default)]
    pub duration_ms: Option<u64>,
}

/// What came of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertOutcome {
    /// It is raised, and more sources must raise it before anything is cut.
    Waiting,
    /// It is one of those that hold the emergency.
    Holding,
    /// An emergency under the policy stands that operators declared or took over: the alert counts for nothing.
    LeftToOperators,
    /// The source has no such alert any more; what other alerts hold they hold.
    Resolved,
    /// It was the last that held the emergency, which is put back.
    Ended,
}

/// The answer to `POST /v1/alerts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    /// The policy's name.
    pub policy: String,
    /// What came of it.
    pub outcome: AlertOutcome,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<AlertWait>,
    /// The emergency under the policy as it stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<EmergencyView>,
    /// The proof, where the alert ended the emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptView>,
}

/// What an alert waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertWait {
    /// So many sources more; 0 while the cut that enough of them called for is being planned.
    pub sources: usize,
    /// Within so many milliseconds, after which the first alert that counts counts no more.
    pub within_ms: u64,
}

/// Alerts that wait for more sources, in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingAlerts {
    /// The policy's name.
    pub policy: String,
    /// Who raised it.
    pub raised_by: Vec<String>,
    /// So many sources more; absent where the policy is not loaded any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<usize>,
    /// Within so many milliseconds.
    pub within_ms: u64,
}

/// Which hooks may declare a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookView {
    /// The users as whom they run, each one source.
    pub users: Vec<String>,
    /// So many sources must raise it.
    pub sources: u8,
    /// For so many milliseconds an alert counts towards that.
    pub within_ms: u64,
    /// For so many milliseconds after an emergency of the policy none begins another.
    pub cool_down_ms: u64,
    /// On what authority they act.
    pub authority: String,
    /// What for.
    pub occasion: String,
}
