//! Alerts of hooks: raised, joined, resolved, and the cut that enough of them call for.
//!
//! What is raised is recorded and on the disk before it counts, and that it holds an emergency is on the disk before the cut
//! begins. Resolving waits for neither log nor disk: what ends a cut never does. Without the file of alerts no hook ends
//! anything; the deadline does.

mod showing;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use tracing::{info, warn};

pub(super) use self::showing::who_may_raise;
use super::asked::{Asked, Word};
use super::{Controller, chain, terms};
use crate::api::alert::{AlertOutcome, AlertRequest, AlertState, AlertView};
use crate::api::error::{ApiError, Code};
use crate::api::{DeclareRequest, EmergencyView};
use crate::daemon::actor;
use crate::daemon::command::{Preconditions, Reply};
use crate::daemon::policies::Loaded;
use crate::model::alert::{Alerts, Demand, Refusal, Resolved, Stated, Then};
use crate::model::emergency::{Declaration, Event};
use crate::model::names::{EmergencyId, PolicyName};
use crate::model::policy::Hook;
use crate::model::record::{Actor, Draft, EventKind};

/// Characters of what a source calls what it saw.
const INCIDENT_MAX: usize = 200;

/// What the controller knows of hooks.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) alerts: Alerts,
    /// The socket by which they come.
    socket: Option<PathBuf>,
    /// Under which a declaration is being planned: one at a time, whoever raises it meanwhile.
    planned: BTreeSet<PolicyName>,
}

impl Controller {
    /// The same controller, which hooks reach by this socket, or by none.
    #[must_use]
    pub fn reached_by_hooks(mut self, socket: Option<PathBuf>) -> Self {
        self.hooks.socket = socket;
        self
    }

    /// `POST /v1/alerts`.
    pub(super) fn ask_by_alert(&mut self, asker: Actor, request: &AlertRequest, reply: Reply<AlertView>) {
        let answer = match request.state {
            AlertState::Resolved => self.resolve_alert(&asker, request),
            AlertState::Firing => match self.raise_alert(&asker, request) {
                Ok((loaded, Then::Declare)) if self.hooks.planned.insert(loaded.policy.name.clone()) => {
                    return self.declare_for_hooks(asker, &loaded, reply);
                }
                Ok((loaded, then)) => Ok(self.show_alert(&loaded.policy.name, then)),
                Err(error) => Err(error),
            },
        };
        hand_back(reply, answer);
    }

    fn raise_alert(&mut self, asker: &Actor, request: &AlertRequest) -> Result<(Loaded, Then), ApiError> {
        let (loaded, hook, uid) = self.source(asker, &request.policy)?;
        refuse_form(request)?;
        terms::duration(&loaded.policy.limits, request.duration_ms)?;
        let name = loaded.policy.name.clone();
        if self.hooks.alerts.held(&name).is_none()
            && let Some(id) = self.stands_under(&name)
        {
            return Ok((loaded, Then::Hold(id)));
        }
        let stated = Stated {
            source: actor::spoken(asker),
            reason: request.reason.clone(),
            incident: request.incident.clone(),
            duration_ms: request.duration_ms,
        };
        let now = self.now();
        let taken = self.hooks.alerts.raise(&name, uid, stated, &demand(&hook), &now);
        let taken = taken.map_err(refused)?;
        if taken.is_new
            && let Err(error) = self.keep_alert(asker, request, &name)
        {
            let incident = request.incident.as_deref().unwrap_or_default();
            self.hooks.alerts.resolve(&name, uid, Some(incident));
            return Err(error);
        }
        Ok((loaded, taken.then))
    }

    /// Records an alert, then makes it durable.
    fn keep_alert(&mut self, asker: &Actor, request: &AlertRequest, name: &PolicyName) -> Result<(), ApiError> {
        let details = json!({
            "reason": request.reason,
            "incident": request.incident,
            "duration_ms": request.duration_ms,
            "sources": self.sources(name),
        });
        self.decide(self.alert_draft(asker, EventKind::AlertRaised, name, details))?;
        self.save_alerts()
    }

    fn alert_draft(&self, actor: &Actor, event: EventKind, policy: &PolicyName, details: Value) -> Draft {
        Draft {
            event,
            actor: actor.clone(),
            emergency: self.hooks.alerts.held(policy),
            policy: Some(policy.clone()),
            details,
        }
    }

    /// The policy, and the uid of a source that it names.
    fn source(&self, asker: &Actor, policy: &str) -> Result<(Loaded, Hook, u32), ApiError> {
        let loaded = self.policy_named(policy)?;
        let forbidden = |detail| {
            ApiError::new(
                Code::Forbidden,
                detail,
                "`[hook]` in the policy names who may: see portcullis-policy(5)",
            )
        };
        let (Some(hook), Some(sources)) = (&loaded.policy.hook, &loaded.sources) else {
            return Err(forbidden(format!("the policy {policy} is not marked for hooks")));
        };
        let uid = asker.uid().filter(|uid| sources.is_user(*uid));
        let uid = uid.ok_or_else(|| {
            forbidden(format!(
                "{} is no source of alerts of the policy {policy}",
                actor::spoken(asker)
            ))
        })?;
        Ok((loaded.clone(), hook.clone(), uid))
    }

    /// An emergency under this policy that is not over.
    fn stands_under(&self, policy: &PolicyName) -> Option<EmergencyId> {
        self.emergencies.iter().find(|e| e.policy == *policy).map(|e| e.id)
    }

    fn sources(&self, policy: &PolicyName) -> Vec<String> {
        self.hooks.alerts.sources(policy).map(str::to_owned).collect()
    }

    /// What enough sources call for, as any declaration.
    fn declare_for_hooks(&mut self, asker: Actor, loaded: &Loaded, reply: Reply<AlertView>) {
        let Some(hook) = &loaded.policy.hook else { return };
        let name = loaded.policy.name.clone();
        let stated: Vec<&Stated> = self.hooks.alerts.stated(&name).collect();
        let request = DeclareRequest {
            policy: name.to_string(),
            occasion: Some(super::views::word(&hook.occasion)),
            reason: reason(&stated),
            authority: hook.authority.clone(),
            duration_ms: stated.iter().filter_map(|stated| stated.duration_ms).min(),
            confirm_within_ms: None,
            accept_risks: BTreeSet::new(),
            break_glass: false,
            session: None,
        };
        let asked = Asked {
            asker,
            request,
            pre: Preconditions::default(),
            word: Word::Sources,
        };
        let done = move |controller: &mut Self, answer: Result<EmergencyView, ApiError>| {
            controller.hooks.planned.remove(&name);
            let shown = answer.map(|view| controller.show_standing(&name, view));
            hand_back(reply, shown);
        };
        self.ask_for_cut(asked, Box::new(done));
    }

    /// Nobody draws plans any more: who waits for one is not answered.
    pub(super) fn forget_planned(&mut self) {
        self.hooks.planned.clear();
    }

    /// The emergency that there is already, or nothing where the alerts still call for one.
    pub(super) fn refuse_uncalled(&self, loaded: &Loaded) -> Result<Option<EmergencyId>, ApiError> {
        let name = &loaded.policy.name;
        if let Some(id) = self.hooks.alerts.held(name).or_else(|| self.stands_under(name)) {
            return Ok(Some(id));
        }
        let demand = loaded.policy.hook.as_ref().map(demand);
        if demand.is_some_and(|demand| self.hooks.alerts.still_call(name, &demand)) {
            return Ok(None);
        }
        Err(ApiError::new(
            Code::WrongState,
            "alerts that had called for it were resolved while it was planned",
            "raise it again if there is still reason to",
        ))
    }

    /// Who declared, where sources did.
    pub(super) fn declared_by_sources(&self, declaration: Declaration, policy: &PolicyName) -> Declaration {
        let raised_by = self.sources(policy);
        Declaration {
            declared_by: format!("hooks: {}", raised_by.join(", ")),
            raised_by,
            ..declaration
        }
    }

    /// Makes it durable that the alerts hold an emergency, which is about to begin.
    pub(super) fn hold_by_alerts(&mut self, policy: &PolicyName, id: EmergencyId) -> Result<(), ApiError> {
        self.hooks.alerts.hold(policy, id);
        self.save_alerts().inspect_err(|_| self.hooks.alerts.let_go(id))
    }

    /// It did not begin.
    pub(super) fn let_alerts_go(&mut self, id: EmergencyId) {
        if self.hooks.alerts.hold_it(id) {
            self.hooks.alerts.let_go(id);
            self.save_alerts_if_possible();
        }
    }

    fn resolve_alert(&mut self, asker: &Actor, request: &AlertRequest) -> Result<AlertView, ApiError> {
        refuse_form(request)?;
        let known = asker.uid().zip(request.policy.parse::<PolicyName>().ok());
        let Some((uid, name)) = known else {
            return Err(self.source(asker, &request.policy).err().unwrap_or_else(nobody));
        };
        let held = self.hooks.alerts.held(&name);
        let resolved = self.hooks.alerts.resolve(&name, uid, request.incident.as_deref());
        if resolved == Resolved::Nothing {
            self.source(asker, &request.policy)?;
            return Ok(self.view(&name, AlertOutcome::Resolved, held.or_else(|| self.stands_under(&name))));
        }
        let details = json!({ "reason": request.reason, "incident": request.incident, "sources": self.sources(&name) });
        self.note(self.alert_draft(asker, EventKind::AlertResolved, &name, details));
        match resolved {
            Resolved::Last(id) if self.emergencies.iter().any(|e| e.id == id && e.state.is_held()) => {
                Ok(self.end_for_hooks(asker, &name, id, &request.reason))
            }
            Resolved::Last(_) | Resolved::Gone | Resolved::Nothing => {
                self.save_alerts_if_possible();
                Ok(self.view(&name, AlertOutcome::Resolved, held))
            }
        }
    }

    /// What a revert does, on the word of the last source.
    fn end_for_hooks(&mut self, asker: &Actor, name: &PolicyName, id: EmergencyId, reason: &str) -> AlertView {
        let details = json!({ "by": "hooks", "sources": [actor::spoken(asker)], "reason": reason });
        self.transition(id, Event::RevertRequested, asker, EventKind::RevertRequested, details);
        let receipt = self.restore(id);
        info!(emergency = %id, policy = %name, "no hook raises it any more, ended");
        AlertView {
            receipt: Some(receipt),
            ..self.view(name, AlertOutcome::Ended, Some(id))
        }
    }

    /// An emergency is over: what was raised counts no more, and nothing begins for a while.
    pub(super) fn alerts_ended(&mut self, policy: &PolicyName, id: EmergencyId) {
        let hook = self
            .policies
            .named(policy.as_ref())
            .and_then(|l| l.policy.hook.as_ref());
        let cool_down_ms = hook.map(|hook| terms::millis(hook.cool_down));
        let now = self.now();
        if self.hooks.alerts.end(policy, id, cool_down_ms, &now) {
            self.save_alerts_if_possible();
        }
    }

    /// Whoever confirms or extends what hooks declared makes it their own: from then on people alone end it.
    pub(super) fn take_over(&mut self, asker: &Actor, id: EmergencyId) -> Result<(), ApiError> {
        let Some(emergency) = self
            .emergencies
            .iter()
            .find(|e| e.id == id && self.hooks.alerts.hold_it(e.id))
        else {
            return Ok(());
        };
        let policy = emergency.policy.clone();
        let before = self.hooks.alerts.clone();
        let details = json!({ "sources": self.hooks.alerts.take_over(id) });
        let taken = self.save_alerts().and_then(|()| {
            self.decide(Draft {
                event: EventKind::TakenOver,
                actor: asker.clone(),
                emergency: Some(id),
                policy: Some(policy),
                details,
            })
        });
        taken.inspect_err(|_| {
            self.hooks.alerts = before;
            self.save_alerts_if_possible();
        })
    }

    /// Takes up the alerts of before, at the start.
    pub(super) fn take_up_alerts(&mut self) {
        match self.books.load_alerts() {
            Ok(alerts) => self.hooks.alerts = alerts,
            Err(error) => {
                let what = chain(&error);
                let then = "no alert is known: what hooks declared goes on to its deadline, and no hook ends it";
                warn!(error = what, then, "the alerts cannot be read");
                self.note(Draft {
                    details: json!({ "what": [what], "then": then }),
                    ..Draft::of_daemon(EventKind::StateDamaged)
                });
            }
        }
    }

    /// Matches them to what was recovered. What was never declared did not begin; all else that is gone has ended.
    pub(super) fn settle_alerts(&mut self) {
        if self.hooks.alerts.is_empty() {
            return;
        }
        let held: Vec<EmergencyId> = self.hooks.alerts.all_held().collect();
        for id in held.into_iter().filter(|id| self.books.knows_nothing_of(*id)) {
            self.hooks.alerts.let_go(id);
        }
        let there: Vec<EmergencyId> = self.emergencies.iter().map(|e| e.id).collect();
        let now = self.now();
        self.hooks.alerts.settle(&there, &now);
        self.save_alerts_if_possible();
    }

    fn save_alerts(&mut self) -> Result<(), ApiError> {
        let now = self.now();
        self.hooks.alerts.note(&now);
        self.books.save_alerts(&self.hooks.alerts).map_err(|error| {
            ApiError::new(
                Code::NoJournal,
                format!(
                    "the alerts could not be written, so nothing was changed: {}",
                    chain(&error)
                ),
                "see `portcullis doctor`; free the disk of the state directory",
            )
        })
    }

    /// What ends a cut, or follows from its end, is not held up by the disk.
    fn save_alerts_if_possible(&mut self) {
        if let Err(error) = self.save_alerts() {
            warn!(%error, "a restart finds the alerts as they were before");
        }
    }
}

fn demand(hook: &Hook) -> Demand {
    Demand {
        sources: usize::from(hook.sources),
        within_ms: terms::millis(hook.within),
        cool_down_ms: terms::millis(hook.cool_down),
    }
}

fn refuse_form(request: &AlertRequest) -> Result<(), ApiError> {
    terms::text_within("reason", &request.reason, terms::REASON_MAX)?;
    match &request.incident {
        Some(incident) => terms::text_within("incident", incident, INCIDENT_MAX),
        None => Ok(()),
    }
}

/// What all of them say, as long as a reason may be.
fn reason(stated: &[&Stated]) -> String {
    let one = |stated: &&Stated| {
        let incident = stated.incident.as_ref().map_or_else(String::new, |i| format!(" ({i})"));
        format!("{}: {}{incident}", stated.source, stated.reason)
    };
    let all = stated.iter().map(one).collect::<Vec<_>>().join("; ");
    if all.chars().count() <= terms::REASON_MAX {
        return all;
    }
    all.chars().take(terms::REASON_MAX - 1).chain(['…']).collect()
}

fn refused(refusal: Refusal) -> ApiError {
    let (code, hint) = match refusal {
        Refusal::Cooling { .. } => (
            Code::CoolingDown,
            "a person can declare it at any time; `cool-down` in the policy says for how long hooks cannot",
        ),
        Refusal::TooOften => (
            Code::TooOften,
            "see what makes the hook raise and resolve it again and again",
        ),
        Refusal::TooMany => (
            Code::TooOften,
            "resolve those that are over; without an incident all of them are",
        ),
    };
    ApiError::new(code, refusal.to_string(), hint)
}

fn nobody() -> ApiError {
    ApiError::new(Code::Internal, "nobody asked", "report this")
}

fn hand_back(reply: Reply<AlertView>, answer: Result<AlertView, ApiError>) {
    if reply.send(answer).is_err() {
        info!("the hook hung up before the answer");
    }
}
