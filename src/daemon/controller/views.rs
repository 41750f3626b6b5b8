//! What the controller knows, as the API shows it.

mod policies;

use serde::Serialize;
use serde_json::json;

use super::{Controller, PAST_MAX, reading};
use crate::api::error::{ApiError, Code, chain};
use crate::api::{
    ApprovalView, CoverageView, EmergencyState, EmergencyView, HostState, LifelineView, PlanView, ReceiptView, Status,
    StepView, VERSION,
};
use crate::model::approval::{Proposed, Standing};
use crate::model::cut::Cut;
use crate::model::diff::diff;
use crate::model::emergency::{Emergency, State};
use crate::model::names::{Digest, EmergencyId, InterfaceName};
use crate::model::plan::{Plan, Step};
use crate::model::receipt::Receipt;
use crate::model::record::rfc3339;
use crate::model::snapshot::Snapshot;

/// A value of the model as its word in JSON; the model names its variants once, for every door.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// The state as the API names it.
pub(super) fn state(state: State) -> EmergencyState {
    match state {
        State::Applying => EmergencyState::Applying,
        State::InForce => EmergencyState::InForce,
        State::Degraded => EmergencyState::Degraded,
        State::Restoring => EmergencyState::Restoring,
        State::Ended => EmergencyState::Ended,
        State::Stuck => EmergencyState::Stuck,
    }
}

/// The changes of steps, one line each, with links by the names that they have now.
pub(super) fn changes(steps: &[Step], host: &Snapshot) -> Vec<String> {
    steps
        .iter()
        .flat_map(|s| &s.changes)
        .map(|c| host.display_change(c))
        .collect()
}

/// A plan for an operator.
pub(super) fn plan(plan: &Plan, host: &Snapshot, digest: Digest, duration_ms: u64, loses_session: bool) -> PlanView {
    let steps = plan.steps.iter().map(|step| StepView {
        phase: word(&step.phase),
        summary: step.summary.clone(),
        changes: changes(std::slice::from_ref(step), host),
    });
    let coverage = plan.coverage.rows.iter().map(|row| CoverageView {
        traffic: word(&row.traffic),
        fate: word(&row.fate),
        note: row.note.clone(),
    });
    let lifelines = plan.kept.iter().map(|kept| LifelineView {
        name: kept.lifeline.clone(),
        kept_by: kept.by.clone(),
    });
    let unread = host
        .moving
        .then(|| "routes kept changing while they were read: the plan may not know all of them".to_owned());
    PlanView {
        digest: digest.to_string(),
        policy: plan.cut.policy.to_string(),
        affects: word(&plan.affects),
        duration_ms,
        links: plan.cut.links.values().map(ToString::to_string).collect(),
        steps: steps.collect(),
        coverage: coverage.collect(),
        lifelines: lifelines.collect(),
        not_recreatable: plan.not_recreatable.clone(),
        // It is no part of the plan: its digest must not depend on when the host was read.
        warnings: plan.warnings.iter().cloned().chain(unread).collect(),
        loses_session,
    }
}

/// What is told where a snapshot may be partial.
const MOVING: &str = "the routes kept changing: they were compared as they were found";

/// What differs between two looks at the kernel, a line each.
pub(super) fn differences(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let all = diff(before, after).into_iter().map(|difference| difference.to_string());
    let moving = (before.moving || after.moving).then(|| MOVING.to_owned());
    all.chain(moving).collect()
}

/// A receipt for an operator.
pub(super) fn receipt(id: EmergencyId, receipt: &Receipt) -> ReceiptView {
    let lines = |list: &[crate::model::snapshot::Difference]| list.iter().map(ToString::to_string).collect();
    let mut foreign: Vec<String> = lines(&receipt.foreign);
    if receipt.moving {
        foreign.push(MOVING.to_owned());
    }
    let mut unlike: Vec<String> = lines(&receipt.not_recreated);
    unlike.extend(receipt.unshown.iter().map(ToString::to_string));
    ReceiptView {
        emergency: id.to_string(),
        state: EmergencyState::Restoring,
        cut_us: None,
        baseline_digest: receipt.baseline.to_string(),
        // What may be partial has no digest that says anything.
        restored_digest: (!receipt.moving).then(|| receipt.after.to_string()),
        residues: lines(&receipt.residues),
        kept_foreign_changes: foreign,
        conflicts: receipt.conflicts.iter().map(ToString::to_string).collect(),
        not_recreated: unlike,
        to_come: receipt.to_come.iter().map(ToString::to_string).collect(),
    }
}

/// A declaration for the log. What a review needs is in the record: the plan itself is kept nowhere once the emergency is over.
pub(super) fn declared(emergency: &Emergency, plan: &Plan) -> serde_json::Value {
    let mut details = json!({
        "occasion": emergency.declaration.occasion,
        "reason": emergency.declaration.reason,
        "authority": emergency.declaration.authority,
        "affects": emergency.affects,
        "duration_ms": emergency.deadline.after_ms,
        "confirm_within_ms": emergency.confirm_by.as_ref().map(|d| d.after_ms),
        "policy_digest": plan.policy_digest,
        "plan": emergency.plan_digest,
        "methods": emergency.cut.methods,
        "links": emergency.cut.links.values().collect::<Vec<_>>(),
        "lifelines": emergency.cut.lifelines.iter().map(|l| &l.name).collect::<Vec<_>>(),
        "steps": plan.steps.len(),
        "reach": emergency.cut.reach,
        "families": emergency.cut.families,
        "directions": emergency.cut.directions,
        "zones": emergency.cut.zones.iter().map(|zone| &zone.name).collect::<Vec<_>>(),
        "routes_withdrawn": emergency.cut.withdrawn.len(),
        "null_prefixes": emergency.cut.null_prefixes,
        "coverage": plan.coverage.rows,
        "not_recreatable": plan.not_recreatable.len(),
        "notice": emergency.notice,
    });
    // The record is of who gave the last approval.
    if !emergency.declaration.approved_by.is_empty() {
        details["declared_by"] = json!(emergency.declaration.declared_by);
        details["approved_by"] = json!(emergency.declaration.approved_by);
    }
    // The record is of whoever raised the last alert that it needed.
    if !emergency.declaration.raised_by.is_empty() {
        details["declared_by"] = json!(emergency.declaration.declared_by);
        details["raised_by"] = json!(emergency.declaration.raised_by);
    }
    if emergency.declaration.break_glass {
        details["break_glass"] = json!(true);
    }
    details
}

impl ReceiptView {
    /// The receipt of an emergency that nothing is known of yet.
    pub(super) fn unknown(id: &str) -> Self {
        Self {
            emergency: id.to_owned(),
            state: EmergencyState::InForce,
            cut_us: None,
            baseline_digest: String::new(),
            restored_digest: None,
            residues: Vec::new(),
            kept_foreign_changes: Vec::new(),
            conflicts: Vec::new(),
            not_recreated: Vec::new(),
            to_come: Vec::new(),
        }
    }
}

/// A state in one word or two, for people.
pub(super) fn spoken(state: State) -> &'static str {
    match state {
        State::Applying => "is being applied",
        State::InForce => "is in force",
        State::Degraded => "is in force with a hole",
        State::Restoring => "is being undone",
        State::Ended => "has ended",
        State::Stuck => "left residue",
    }
}

/// A moment by the wall clock, which may be set to what no calendar has.
pub(super) fn rfc3339_or_unknown(ms: i64) -> String {
    rfc3339(ms).unwrap_or_else(|_| "unknown".to_owned())
}

impl Controller {
    /// `GET /v1/status`: read from the kernel now, not remembered.
    pub(super) fn status(&mut self) -> Result<Status, ApiError> {
        let mut open_paths = Vec::new();
        let mut host = HostState::Clear;
        let mut seen = None;
        if self.held().next().is_some() {
            match self.missing() {
                Ok((now, steps)) => {
                    open_paths = changes(&steps, &now);
                    open_paths.extend(self.bypasses(&now));
                    seen = Some(now);
                }
                Err(why) => open_paths.push(format!("the kernel cannot be compared: {why}")),
            }
            host = if open_paths.is_empty() {
                HostState::InForce
            } else {
                HostState::Degraded
            };
        }
        for emergency in &self.emergencies {
            host = host.max(host_state(emergency.state));
        }
        if !self.proposals.is_empty() {
            host = host.max(HostState::Proposed);
        }
        let mut attention = self.attention();
        if !attention.is_empty() {
            host = host.max(HostState::Stuck);
        }
        if self.emergencies.is_empty() {
            let left = match self.kernel.snapshot(reading::ADDITIVE) {
                Ok(now) => {
                    let left = self.left_standing(&now);
                    seen = Some(now);
                    left
                }
                Err(why) => vec![format!("the kernel cannot be read: {}", chain(&why))],
            };
            if !left.is_empty() {
                host = host.max(HostState::LeftOver);
            }
            attention.extend(left);
        }
        attention.extend(self.residues());
        let mut emergencies = self.emergency_list();
        if let Some(now) = &seen {
            for (view, emergency) in emergencies.iter_mut().zip(&self.emergencies) {
                view.links = links(&emergency.cut, now);
            }
        }
        Ok(Status {
            attention,
            reviews: self.review_list(),
            alerts: self.waiting_alerts(),
            api_version: VERSION.to_owned(),
            state: host,
            emergencies,
            open_paths,
            lifelines_lost: self.vigil.lost(|id| self.held().any(|e| e.id == id)),
            armed: self.armed_view(seen.as_ref()),
            audit: self.books.head(),
            daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// What restores left, and what can be done about it.
    fn residues(&self) -> Vec<String> {
        let stuck = self.emergencies.iter().filter(|e| e.state == State::Stuck);
        let lines = stuck.flat_map(|stuck| {
            let left = self.receipts.get(&stuck.id).map(|receipt| receipt.residues.as_slice());
            let named = left
                .unwrap_or_default()
                .iter()
                .map(|what| format!("left by {}: {what}", stuck.id));
            let id = stuck.id;
            named.chain([format!(
                "`portcullis revert {id}` tries again; with `--accept-residue` it ends even so"
            )])
        });
        lines.collect()
    }

    /// For `systemctl status`: what is held, in one line.
    pub(super) fn standing(&self) -> String {
        let held: Vec<String> = self
            .emergencies
            .iter()
            .map(|e| format!("{} {}", e.policy, spoken(e.state)))
            .collect();
        if held.is_empty() {
            format!("nothing in force; policies loaded: {}", self.policies.iter().count())
        } else {
            held.join(", ")
        }
    }

    /// `GET /v1/emergencies`: those that are not over, oldest first.
    pub(super) fn emergency_list(&self) -> Vec<EmergencyView> {
        let held = self.emergencies.iter().map(|e| self.show(e));
        held.chain(self.proposals.iter().map(|p| self.show_proposed(p)))
            .collect()
    }

    /// One emergency, also one that is over.
    pub(super) fn emergency_view(&self, id: &str) -> Result<EmergencyView, ApiError> {
        if let Some(proposed) = self.proposals.iter().find(|p| p.id.to_string() == id) {
            return Ok(self.show_proposed(proposed));
        }
        match self.find(id) {
            Ok(at) => Ok(self.show(&self.emergencies[at])),
            Err(unknown) => self.past_emergency(id).map(|e| self.show(e)).ok_or(unknown),
        }
    }

    pub(super) fn show(&self, emergency: &Emergency) -> EmergencyView {
        let now = self.now();
        let at = rfc3339_or_unknown;
        let declared_ms = emergency.deadline.set_at.wall_ms;
        let ends_ms = declared_ms.saturating_add(i64::try_from(emergency.deadline.after_ms).unwrap_or(i64::MAX));
        EmergencyView {
            id: emergency.id.to_string(),
            policy: emergency.policy.to_string(),
            state: state(emergency.state),
            occasion: word(&emergency.declaration.occasion),
            reason: emergency.declaration.reason.clone(),
            authority: emergency.declaration.authority.clone(),
            declared_by: emergency.declaration.declared_by.clone(),
            declared_at: at(declared_ms),
            affects: word(&emergency.affects),
            notice: emergency.notice.clone(),
            ends_at: at(ends_ms),
            remaining_ms: emergency.deadline.remaining_ms(&now),
            confirm_within_ms: emergency.confirm_by.as_ref().map(|d| d.remaining_ms(&now)),
            methods: emergency.cut.methods.iter().map(word).collect(),
            links: emergency.cut.links.values().map(ToString::to_string).collect(),
            lifelines: emergency.cut.lifelines.iter().map(|l| l.name.clone()).collect(),
            plan_digest: emergency.plan_digest.to_string(),
            approved_by: emergency.declaration.approved_by.clone(),
            break_glass: emergency.declaration.break_glass,
            held_by: self.held_by(emergency.id),
            approval: None,
        }
    }

    /// What links and lifelines it would have, its plan says.
    pub(super) fn show_proposed(&self, proposed: &Proposed) -> EmergencyView {
        let policy = self
            .policies
            .named(proposed.policy.as_ref())
            .map(|loaded| &loaded.policy);
        EmergencyView {
            id: proposed.id.to_string(),
            policy: proposed.policy.to_string(),
            state: match proposed.standing {
                Standing::Waiting | Standing::Agreed => EmergencyState::Proposed,
                Standing::Rejected | Standing::Expired => EmergencyState::Ended,
            },
            occasion: word(&proposed.declaration.occasion),
            reason: proposed.declaration.reason.clone(),
            authority: proposed.declaration.authority.clone(),
            declared_by: proposed.declaration.declared_by.clone(),
            declared_at: rfc3339_or_unknown(proposed.expires.set_at.wall_ms),
            affects: policy.map_or_else(String::new, |p| word(&p.affects)),
            notice: policy.map_or_else(String::new, |p| p.notice.clone()),
            ends_at: String::new(),
            remaining_ms: proposed.duration_ms,
            confirm_within_ms: proposed.confirm_within_ms,
            methods: policy.map_or_else(Vec::new, |p| p.methods.iter().map(word).collect()),
            links: Vec::new(),
            lifelines: policy.map_or_else(Vec::new, |p| p.lifelines.iter().map(|l| l.name.clone()).collect()),
            plan_digest: proposed.plan_digest.to_string(),
            approved_by: proposed.approvals.iter().map(|person| person.name.clone()).collect(),
            break_glass: false,
            held_by: Vec::new(),
            approval: Some(ApprovalView {
                needed: proposed.needed,
                expires_in_ms: proposed.expires.remaining_ms(&self.now()),
            }),
        }
    }

    /// `GET /v1/emergencies/{id}/receipt`.
    pub(super) fn receipt_view(&self, id: &str) -> Result<ReceiptView, ApiError> {
        if let Some(receipt) = self.past_receipt(id) {
            return Ok(receipt);
        }
        let at = self.find(id)?;
        let emergency = &self.emergencies[at];
        let mut view = self
            .receipts
            .get(&emergency.id)
            .cloned()
            .unwrap_or_else(|| ReceiptView::unknown(id));
        view.state = state(emergency.state);
        if let Some(baseline) = &self.baseline {
            view.baseline_digest = baseline.digest().to_string();
        }
        Ok(view)
    }

    pub(super) fn past_receipt(&self, id: &str) -> Option<ReceiptView> {
        self.past
            .iter()
            .find(|(e, _)| e.id.to_string() == id)
            .map(|(_, receipt)| receipt.clone())
    }

    fn past_emergency(&self, id: &str) -> Option<&Emergency> {
        self.past.iter().find(|(e, _)| e.id.to_string() == id).map(|(e, _)| e)
    }

    /// The refusal of what can no longer be done with one that has ended; none if it is not known.
    pub(super) fn over(&self, id: EmergencyId) -> Option<ApiError> {
        self.past.iter().find(|(e, _)| e.id == id).map(|_| {
            ApiError::new(
                Code::WrongState,
                format!("the emergency {id} has ended"),
                "`portcullis status` lists what is in force; `portcullis declare` begins another",
            )
        })
    }

    /// Keeps something for the receipt of an emergency that is not over.
    pub(super) fn keep_receipt(&mut self, id: EmergencyId, write: impl FnOnce(&mut ReceiptView)) {
        write(
            self.receipts
                .entry(id)
                .or_insert_with(|| ReceiptView::unknown(&id.to_string())),
        );
    }

    pub(super) fn cut_time(&self, id: EmergencyId) -> Option<u64> {
        self.receipts.get(&id).and_then(|r| r.cut_us)
    }

    /// Keeps an ended emergency at hand.
    pub(super) fn remember(&mut self, emergency: Emergency, receipt: ReceiptView) {
        self.receipts.remove(&emergency.id);
        self.past.truncate(PAST_MAX - 1);
        self.past.push_front((emergency, receipt));
    }
}

/// The links of a cut by the names that they have now; one that is not there is told by the name that it had.
fn links(cut: &Cut, now: &Snapshot) -> Vec<String> {
    let name = |(index, known): (&u32, &InterfaceName)| match now.link(*index) {
        Some(link) => link.name.to_string(),
        None => format!("{known} (gone)"),
    };
    cut.links.iter().map(name).collect()
}

fn host_state(state: State) -> HostState {
    match state {
        State::Ended => HostState::Clear,
        State::Applying => HostState::Applying,
        State::InForce => HostState::InForce,
        State::Degraded => HostState::Degraded,
        State::Restoring => HostState::Restoring,
        State::Stuck => HostState::Stuck,
    }
}
