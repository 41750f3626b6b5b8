//! What both binaries agree on: requests, answers, errors, and which right each method needs.
//!
//! The wire is HTTP/1.1 and JSON over a Unix socket; everything here is plain data. Times are milliseconds where the name
//! ends in `_ms` and RFC 3339 in UTC where it ends in `_at`. A field is never removed or given another meaning within
//! one version of the API.

pub mod alert;
pub mod error;
pub mod offline;
pub mod order;
pub mod rights;
#[cfg(test)]
pub(crate) mod samples;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The version in every path and every answer.
pub const VERSION: &str = "v1";

/// Where the whole host stands: the gravest state of its emergencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// No emergency, and nothing of ours in the kernel.
    Clear,
    /// Nothing is cut; a declaration waits for other people.
    Proposed,
    /// No emergency, and yet something of ours in the kernel, or no rule for table `local`; or that cannot be told.
    LeftOver,
    /// A cut is being carried out.
    Applying,
    /// A cut stands, read back from the kernel just now.
    InForce,
    /// A restore is under way.
    Restoring,
    /// A cut is in force with a hole in it.
    Degraded,
    /// A restore left residue; no new emergencies.
    Stuck,
}

/// Where one emergency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EmergencyState {
    /// It waits for other people to approve; nothing is cut.
    Proposed,
    /// The plan is being carried out.
    Applying,
    /// The cut stands.
    InForce,
    /// In force, with a hole.
    Degraded,
    /// Being put back.
    Restoring,
    /// Over.
    Ended,
    /// A restore left residue.
    Stuck,
}

/// The answer to `GET /v1/status`, computed from the kernel at the time of asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Always [`VERSION`].
    pub api_version: String,
    /// The gravest state.
    pub state: HostState,
    /// What is not over, oldest first.
    pub emergencies: Vec<EmergencyView>,
    /// What the kernel lacks of the cuts in force, one line an object; empty when they stand.
    pub open_paths: Vec<String>,
    /// The lifelines for which the kernel knows no way any more, one line each.
    pub lifelines_lost: Vec<String>,
    /// What stands before any cut, so that a cut need not add it.
    pub armed: ArmingView,
    /// What a person must look at, one line each: after a start with a damaged journal, what is not back or not known to
    /// be, before which no new emergency can begin; and what stands of ours in the kernel without any emergency.
    #[serde(default)]
    pub attention: Vec<String>,
    /// What was declared without the approval that its policy demands and nobody else has looked at yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<ReviewView>,
    /// Alerts of hooks that wait for more sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<alert::WaitingAlerts>,
    /// Whether the audit log takes records; without it no cut begins.
    pub audit: AuditHead,
    /// The daemon's version.
    pub daemon_version: String,
}

/// Whether the host is armed: with the traffic control of a cut standing, the links pause neither when a cut begins nor
/// when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArmingView {
    /// Whether the daemon is configured to keep the host armed (`arm = true`).
    pub wanted: bool,
    /// The links on which our traffic control stands now, by name; none where the host is not to be armed.
    pub links: Vec<String>,
}

/// One emergency as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmergencyView {
    /// UUID.
    pub id: String,
    /// The policy's name.
    pub policy: String,
    /// Where it stands.
    pub state: EmergencyState,
    /// What it was declared for.
    pub occasion: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// The legal or organisational basis, or a ticket.
    pub authority: String,
    /// Who declared it.
    pub declared_by: String,
    /// When.
    pub declared_at: String,
    /// Whom it affects.
    pub affects: String,
    /// What those affected are told.
    pub notice: String,
    /// When it ends, by the wall clock of the declaration.
    pub ends_at: String,
    /// Milliseconds until it ends by itself, by the boot clock.
    pub remaining_ms: u64,
    /// Milliseconds until it ends unless confirmed.
    pub confirm_within_ms: Option<u64>,
    /// How it cuts.
    pub methods: Vec<String>,
    /// The links in its scope, by name. In a status: by the name that each has now, with ` (gone)` behind the last name of
    /// one that is not there.
    pub links: Vec<String>,
    /// The lifelines it keeps, by name.
    pub lifelines: Vec<String>,
    /// Digest of the plan that was carried out, or is to be.
    pub plan_digest: String,
    /// Who approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// Whether it was declared without the approval that the policy demands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// The hooks whose alerts hold it: it ends when the last of them resolves its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<String>,
    /// What it waits for, while it is proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalView>,
}

/// What a proposed declaration waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// How many people must approve, beside the one who declared.
    pub needed: u8,
    /// Milliseconds until the proposal is over, by the boot clock.
    pub expires_in_ms: u64,
}

/// A policy in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicySummary {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// Whom it affects.
    pub affects: String,
    /// How it cuts.
    pub methods: Vec<String>,
    /// The duration where none is given, in milliseconds.
    pub default_ms: u64,
    /// The longest first duration, in milliseconds.
    pub maximum_ms: u64,
    /// Which hooks may declare it; none where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<alert::HookView>,
}

/// The answer to `GET /v1/policies/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// The summary.
    #[serde(flatten)]
    pub summary: PolicySummary,
    /// Digest of the checked policy.
    pub digest: String,
    /// The file's text, as loaded.
    pub source: String,
}

/// The two ends of the session from which an operator speaks (`SSH_CONNECTION`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The operator's address.
    pub peer: String,
    /// The operator's port.
    pub peer_port: u16,
    /// This host's address.
    pub local: String,
    /// This host's port.
    pub local_port: u16,
}

/// The body of `POST /v1/plans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The policy's name.
    pub policy: String,
    /// Milliseconds; the policy's default where absent.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The caller's session, so that the plan can warn.
    #[serde(default)]
    pub session: Option<Session>,
}

/// A plan, as an operator reads and approves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// Digest over everything that the plan does; `If-Match` and `--plan` take it.
    pub digest: String,
    /// The policy's name.
    pub policy: String,
    /// Whom it affects.
    pub affects: String,
    /// Milliseconds.
    pub duration_ms: u64,
    /// The links in scope, by name.
    pub links: Vec<String>,
    /// What is done, in order.
    pub steps: Vec<StepView>,
    /// What is stopped and what is not.
    pub coverage: Vec<CoverageView>,
    /// How each lifeline is kept.
    pub lifelines: Vec<LifelineView>,
    /// What a restore cannot bring back exactly.
    pub not_recreatable: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// Whether the caller's own session would be cut; `declare` then demands the risk `lose-session`.
    pub loses_session: bool,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// `lay`, `flip` or `settle`.
    pub phase: String,
    /// What it is for.
    pub summary: String,
    /// Its changes, as `ip` and `tc` would write them.
    pub changes: Vec<String>,
}

/// One row of the coverage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoverageView {
    /// The kind of traffic.
    pub traffic: String,
    /// `stopped`, `partly` or `passes`.
    pub fate: String,
    /// Why, or with which limit.
    pub note: String,
}

/// One lifeline of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LifelineView {
    /// Its name.
    pub name: String,
    /// By which objects it is kept.
    pub kept_by: Vec<String>,
}

/// A risk that an operator accepts by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// The plan cuts the session from which it is declared.
    LoseSession,
}

/// The body of `POST /v1/emergencies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclareRequest {
    /// The policy's name.
    pub policy: String,
    /// What for; may be left out where the policy allows just one occasion.
    #[serde(default)]
    pub occasion: Option<String>,
    /// Why: 1 to 500 characters.
    pub reason: String,
    /// The legal or organisational basis, or a ticket: 1 to 200 characters.
    pub authority: String,
    /// Milliseconds; the policy's default where absent.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// Ends by itself unless confirmed within these milliseconds.
    #[serde(default)]
    pub confirm_within_ms: Option<u64>,
    /// Risks that are accepted.
    #[serde(default)]
    pub accept_risks: BTreeSet<Risk>,
    /// Cut without the approval that the policy demands, where it allows that: shorter, and reviewed afterwards.
    #[serde(default)]
    pub break_glass: bool,
    /// The caller's session.
    #[serde(default)]
    pub session: Option<Session>,
}

/// The body of `POST /v1/reviews/{id}/close`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseReviewRequest {
    /// What the reviewer found: 1 to 500 characters.
    pub finding: String,
}

/// A declaration without the approval that its policy demands, which another person has yet to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewView {
    /// The emergency's id.
    pub id: String,
    /// The policy's name.
    pub policy: String,
    /// What it was declared for.
    pub occasion: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// The legal or organisational basis, or a ticket.
    pub authority: String,
    /// Who declared it alone.
    pub declared_by: String,
    /// When.
    pub opened_at: String,
}

/// The body of `POST /v1/emergencies/{id}/extend`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// Milliseconds more.
    pub by_ms: u64,
}

/// The body of `POST /v1/emergencies/{id}/approve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// Digest of the plan that is approved, as the proposal shows it.
    pub plan: String,
}

/// The body of `POST /v1/emergencies/{id}/revert`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertRequest {
    /// For one that is stuck: ends it even if this restore, too, leaves residue, which receipt and audit log name.
    #[serde(default)]
    pub accept_residue: bool,
}

/// The body of `POST /v1/emergencies/{id}/reject`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectRequest {
    /// Why: 1 to 500 characters.
    pub reason: String,
}

/// The proof after an apply or a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptView {
    /// UUID of the emergency.
    pub emergency: String,
    /// Where it stands.
    pub state: EmergencyState,
    /// Microseconds from the request to the last acknowledgement of the flip; absent after a recovery.
    pub cut_us: Option<u64>,
    /// Digest of the canonical snapshot before the cut.
    pub baseline_digest: String,
    /// Digest of the canonical snapshot after the restore; absent while in force.
    pub restored_digest: Option<String>,
    /// What is left wrong, one line an object; empty is the good end.
    pub residues: Vec<String>,
    /// What others changed meanwhile and was kept.
    pub kept_foreign_changes: Vec<String>,
    /// What could not be put back because others changed it.
    pub conflicts: Vec<String>,
    /// What the plan had named as not recreatable.
    pub not_recreated: Vec<String>,
    /// What was not there before the cut and may appear with a carrier that was lost during it; absent where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to_come: Vec<String>,
}

/// Where the audit log stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// Whether it takes records.
    pub healthy: bool,
    /// Why not.
    pub fault: Option<String>,
    /// The sequence number of the last record.
    pub sequence: u64,
    /// The last record's hash.
    pub hash: String,
    /// The Merkle root over all records (RFC 6962), in hexadecimal.
    pub root: String,
    /// Its first 12 digits: short enough to read over a telephone, too short to stop who can try 2^48 logs.
    pub short: String,
    /// The last seal's checkpoint, a signed note (C2SP tlog-checkpoint); none in a log without seals.
    pub checkpoint: Option<String>,
}

/// The query of `GET /v1/audit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Only records after this sequence number.
    #[serde(default)]
    pub after: Option<u64>,
    /// Only records from this time on (RFC 3339).
    #[serde(default)]
    pub since: Option<String>,
    /// Only records of this emergency, by its id or at least the first 8 characters of it.
    #[serde(default)]
    pub emergency: Option<String>,
    /// Only records of this user name or uid.
    #[serde(default)]
    pub actor: Option<String>,
    /// Only records of this kind.
    #[serde(default)]
    pub kind: Option<String>,
    /// At most this many, the newest; 1,000 where absent.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// The answer to `GET /v1/audit`: the records as they stand in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// Records, oldest first.
    pub records: Vec<serde_json::Value>,
    /// Whether the limit left any out.
    pub more: bool,
}

/// One line of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it stands.
    pub grade: Grade,
    /// What was seen.
    pub seen: String,
    /// What to do about it; empty where nothing.
    pub hint: String,
}

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Works, with a limit to know.
    Warning,
    /// This host could not cut or restore now.
    Failed,
}

/// The answer to `GET /v1/readiness`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether the daemon could cut and restore now: no finding is `failed`. It says nothing about single policies.
    pub ready: bool,
    /// How many policies are loaded.
    #[serde(default)]
    pub policies: usize,
    /// The policies of which no plan can be made on this host as it is; the finding of each says why, or that of the kernel.
    #[serde(default)]
    pub unplanned: Vec<String>,
    /// What was looked at.
    pub findings: Vec<Finding>,
}
