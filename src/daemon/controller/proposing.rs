//! Declarations under policies that demand other people's approval: proposed, approved, rejected, expired.
//!
//! A proposal holds nothing, and no restart, no clock and no single person makes a cut of it: the last approval does, over
//! the plan that was shown, if the plan is still the same. One that differs leaves the proposal waiting, since a link that
//! flaps must not cost an approval already given; it ends when somebody rejects it or its time is over. The proposal is gone
//! from the disk before the cut begins, so that a crash in between costs the approvals and never cuts twice.

use std::time::Instant;

use serde_json::json;
use tracing::{info, warn};
use uuid::Uuid;

use super::answering::Done;
use super::declaring::only;
use super::drawing::{Draw, Purpose};
use super::terms::{self, Terms};
use super::{Controller, chain};
use crate::api::error::{ApiError, Code};
use crate::api::rights::Right;
use crate::api::{DeclareRequest, EmergencyView};
use crate::daemon::actor;
use crate::daemon::policies::Loaded;
use crate::model::approval::{Act, Person, Proposed, Refusal, Signed, Standing};
use crate::model::duration::written;
use crate::model::emergency::Deadline;
use crate::model::names::{Digest, EmergencyId};
use crate::model::policy::Approval;
use crate::model::record::{Actor, Draft, EventKind, Hearsay};

/// Proposals that wait at once: people can tell no more of them apart.
const PROPOSED_MAX: usize = 16;
/// Characters of the reason for a rejection.
const REASON_MAX: usize = 500;

/// What an approval comes to.
enum Next {
    /// More people must approve.
    Wait(Box<Proposed>),
    /// It is the last one: a plan is to be drawn.
    Cut(Box<Proposed>, Box<Loaded>),
}

impl Controller {
    /// Records a declaration that waits for other people.
    pub(super) fn propose(
        &mut self,
        asker: &Actor,
        request: &DeclareRequest,
        loaded: &Loaded,
        terms: &Terms,
        (plan_digest, approval): (Digest, Approval),
    ) -> Result<EmergencyId, ApiError> {
        if self.proposals.len() >= PROPOSED_MAX {
            return Err(ApiError::new(
                Code::Busy,
                format!("{PROPOSED_MAX} declarations wait for approval"),
                "reject those that are no longer needed: `portcullis status` lists them",
            ));
        }
        let expires_ms = terms::millis(approval.expires);
        let proposed = Proposed {
            id: EmergencyId::new(Uuid::now_v7()),
            policy: loaded.policy.name.clone(),
            policy_digest: loaded.digest,
            plan_digest,
            declaration: terms.declaration(asker, request),
            declarer: person(asker)?,
            duration_ms: terms.duration_ms,
            confirm_within_ms: terms.confirm_within_ms,
            needed: approval.people,
            approvals: Vec::new(),
            expires: Deadline::after(self.now(), expires_ms),
            standing: Standing::Waiting,
        };
        let details = json!({
            "occasion": proposed.declaration.occasion,
            "reason": proposed.declaration.reason,
            "authority": proposed.declaration.authority,
            "affects": loaded.policy.affects,
            "duration_ms": proposed.duration_ms,
            "confirm_within_ms": proposed.confirm_within_ms,
            "policy_digest": proposed.policy_digest,
            "plan": proposed.plan_digest,
            "approvals_needed": proposed.needed,
            "expires_ms": expires_ms,
        });
        let id = proposed.id;
        self.decide(draft(asker, EventKind::Proposed, &proposed, details))?;
        self.proposals.push(proposed);
        if let Err(error) = self.save_proposals() {
            self.proposals.pop();
            return Err(error);
        }
        info!(emergency = %id, policy = %loaded.policy.name, "proposed, waiting for approval");
        Ok(id)
    }

    /// `POST /v1/emergencies/{id}/approve`.
    pub(super) fn ask_for_approval(&mut self, asker: Actor, id: String, plan: String, done: Done) {
        let started = Instant::now();
        let answer = match self.before_approval(&asker, &id, &plan) {
            Err(error) => Err(error),
            Ok(Next::Wait(approved)) => self.keep_waiting(&asker, *approved),
            Ok(Next::Cut(_, loaded)) => {
                return self.draw(Purpose::Cut, vec![(*loaded).clone()], move |controller, draws| {
                    let cut =
                        only(draws).and_then(|draw| controller.approve_and_cut(&asker, &id, &plan, &draw, started));
                    done(controller, cut);
                });
            }
        };
        done(self, answer);
    }

    /// What can be refused without a plan.
    fn before_approval(&self, asker: &Actor, id: &str, plan: &str) -> Result<Next, ApiError> {
        let proposed = &self.proposals[self.proposal(id)?];
        self.refuse_unnamed(asker, &proposed.policy, Right::Approve)?;
        if plan != proposed.plan_digest.to_string() {
            return Err(ApiError::new(
                Code::PlanChanged,
                format!(
                    "what waits for approval is the plan {}, not {plan}",
                    proposed.plan_digest
                ),
                "`portcullis plan` shows what would be done now, `portcullis status` what was proposed",
            ));
        }
        let mut approved = proposed.clone();
        approved
            .on(Act::Approve(person(asker)?), &self.now())
            .map_err(|refusal| refused(&refusal))?;
        if approved.standing == Standing::Waiting {
            return Ok(Next::Wait(Box::new(approved)));
        }
        let loaded = self.policy_named(approved.policy.as_ref())?;
        if loaded.digest != approved.policy_digest {
            return Err(ApiError::new(
                Code::PlanChanged,
                format!(
                    "the policy {} is not the one under which it was proposed",
                    approved.policy
                ),
                "reject it, and declare anew under the policy as it is now",
            ));
        }
        self.refuse_while_stuck()?;
        self.refuse_too_many()?;
        Ok(Next::Cut(Box::new(approved), Box::new(loaded.clone())))
    }

    fn keep_waiting(&mut self, asker: &Actor, approved: Proposed) -> Result<EmergencyView, ApiError> {
        let id = approved.id.to_string();
        let at = self.proposal(&id)?;
        self.decide(approval(asker, &approved))?;
        let before = std::mem::replace(&mut self.proposals[at], approved);
        if let Err(error) = self.save_proposals() {
            self.proposals[at] = before;
            return Err(error);
        }
        self.emergency_view(&id)
    }

    /// The last approval: recorded, the proposal gone from the disk, then the cut as of any declaration.
    fn approve_and_cut(
        &mut self,
        asker: &Actor,
        id: &str,
        plan: &str,
        draw: &Draw,
        started: Instant,
    ) -> Result<EmergencyView, ApiError> {
        // It may have been decided, or its time may be over, while the plan was drawn.
        let Next::Cut(approved, loaded) = self.before_approval(asker, id, plan)? else {
            return Err(ApiError::new(Code::Busy, "another approval came first", "ask again"));
        };
        let digest = draw.digest;
        if digest != approved.plan_digest {
            return Err(ApiError::new(
                Code::PlanChanged,
                format!("the plan is now {digest}, not {plan}: nothing was cut, and the proposal still waits"),
                "approve again when the host is as it was, or reject it and declare anew",
            ));
        }
        self.refuse_unguarded()?;
        let at = self.proposal(id)?;
        self.decide(approval(asker, &approved))?;
        let before = self.proposals.remove(at);
        if let Err(error) = self.save_proposals() {
            self.proposals.insert(at, before);
            return Err(error);
        }
        let mut declaration = approved.declaration.clone();
        declaration.approved_by = approved.approvals.iter().map(|person| person.name.clone()).collect();
        let terms = (approved.duration_ms, approved.confirm_within_ms);
        let emergency = self.emergency(approved.id, declaration, &loaded, terms, draw);
        if let Err(error) = self.write_down(asker, emergency, draw) {
            // Nothing was cut: it waits for this approval again.
            self.proposals.insert(at, before);
            if let Err(unsaved) = self.save_proposals() {
                warn!(error = %unsaved, "the proposal is not on the disk: a restart loses it");
            }
            return Err(error);
        }
        self.put_in_force(approved.id, draw, started)?;
        self.emergency_view(id)
    }

    /// `POST /v1/emergencies/{id}/reject`. It holds nothing, so no failure of log or disk keeps it from ending.
    pub(super) fn reject(&mut self, asker: &Actor, id: &str, reason: &str) -> Result<EmergencyView, ApiError> {
        let at = self.proposal(id)?;
        self.refuse_unnamed(asker, &self.proposals[at].policy.clone(), Right::Approve)?;
        terms::text_within("reason", reason, REASON_MAX)?;
        let rejected = self.drop_proposal(at, Act::Reject, asker, EventKind::Rejected, json!({ "reason": reason }));
        rejected.map(|proposed| self.show_proposed(&proposed))
    }

    /// Ends the proposals whose time is over.
    pub(super) fn expire_proposals(&mut self) {
        let now = self.now();
        while let Some(at) = self.proposals.iter().position(|proposed| proposed.is_over(&now)) {
            let daemon = Actor::Daemon;
            match self.drop_proposal(at, Act::Expire, &daemon, EventKind::ProposalExpired, json!({})) {
                Ok(expired) => info!(emergency = %expired.id, "nobody decided, so the proposal is over"),
                Err(error) => {
                    warn!(%error, "ignoring");
                    self.proposals.remove(at);
                }
            }
        }
    }

    fn drop_proposal(
        &mut self,
        at: usize,
        act: Act,
        actor: &Actor,
        kind: EventKind,
        details: serde_json::Value,
    ) -> Result<Proposed, ApiError> {
        let now = self.now();
        let mut ended = self.proposals[at].clone();
        ended.on(act, &now).map_err(|refusal| refused(&refusal))?;
        self.proposals.remove(at);
        self.note(draft(actor, kind, &ended, details));
        if let Err(error) = self.save_proposals() {
            warn!(%error, "a restart finds the proposal again, until its time is over");
        }
        Ok(ended)
    }

    /// Takes up what waited when the last daemon went. What became an emergency was no proposal any more.
    pub(super) fn take_up_proposals(&mut self) {
        match self.books.load_proposals() {
            Ok(proposals) => self.proposals = proposals,
            Err(error) => {
                let what = chain(&error);
                warn!(
                    error = what,
                    "the proposals cannot be read: whoever declared must declare again"
                );
                self.note(Draft {
                    details: json!({ "what": [what], "then": "no proposal waits any more" }),
                    ..Draft::of_daemon(EventKind::StateDamaged)
                });
            }
        }
        let known: Vec<EmergencyId> = self.emergencies.iter().map(|e| e.id).collect();
        self.proposals
            .retain(|proposed| proposed.standing == Standing::Waiting && !known.contains(&proposed.id));
        self.expire_proposals();
    }

    /// The place of a proposal.
    pub(super) fn proposal(&self, id: &str) -> Result<usize, ApiError> {
        let at = self.proposals.iter().position(|proposed| proposed.id.to_string() == id);
        at.ok_or_else(|| match self.emergency_view(id) {
            Ok(_) => ApiError::new(
                Code::WrongState,
                format!("the emergency {id} waits for no approval"),
                "`portcullis status` shows where it stands",
            ),
            Err(unknown) => unknown,
        })
    }

    fn save_proposals(&self) -> Result<(), ApiError> {
        self.books.save_proposals(&self.proposals).map_err(|error| {
            ApiError::new(
                Code::NoJournal,
                format!(
                    "the proposals could not be written, so nothing was changed: {}",
                    chain(&error)
                ),
                "see `portcullis doctor`; free the disk of the state directory",
            )
        })
    }

    /// Makes a decision durable.
    pub(super) fn decide(&mut self, draft: Draft) -> Result<(), ApiError> {
        let now = self.now();
        self.books.record(draft, &now).map_err(|error| {
            ApiError::new(
                Code::NoRecord,
                format!("it could not be recorded, so it was not done: {}", chain(&error)),
                "see `portcullis doctor`; free the disk of the state directory",
            )
        })?;
        Ok(())
    }
}

/// Whose word it takes, for whoever reads the plan.
pub(super) fn before_it_cuts(approval: &Approval) -> String {
    let people = if approval.people == 1 {
        "one person"
    } else {
        "two people"
    };
    let alone = approval.break_glass.map_or_else(String::new, |longest| {
        format!(
            "; with `--break-glass` it cuts at once, for {} at most, and somebody else must review it",
            written(longest)
        )
    });
    let within = written(approval.expires);
    format!("a declaration is only proposed: {people} more must approve within {within}{alone}")
}

fn draft(actor: &Actor, event: EventKind, proposed: &Proposed, details: serde_json::Value) -> Draft {
    Draft {
        event,
        actor: actor.clone(),
        emergency: Some(proposed.id),
        policy: Some(proposed.policy.clone()),
        details,
    }
}

fn approval(asker: &Actor, approved: &Proposed) -> Draft {
    let details = json!({
        "plan": approved.plan_digest,
        "policy_digest": approved.policy_digest,
        "approvals": approved.approvals.len(),
        "approvals_needed": approved.needed,
    });
    draft(asker, EventKind::Approved, approved, details)
}

/// Who asks, as one who can be told from others. The daemon itself is nobody, and whoever connects and is gone before it is
/// known who logged in may be anybody.
pub(super) fn person(asker: &Actor) -> Result<Person, ApiError> {
    match asker {
        Actor::Peer(peer) if peer.login_uid.is_none() && peer.hearsay.contains(&Hearsay::LoginUid) => {
            Err(ApiError::new(
                Code::SamePerson,
                "the process that asked had ended, so it is not known who logged in",
                "ask again, and wait for the answer",
            ))
        }
        Actor::Peer(peer) => Ok(Person {
            name: actor::spoken(asker),
            uid: Some(peer.uid),
            login_uid: peer.login_uid,
            signed: None,
        }),
        Actor::Signatory(signatory) => Ok(Person {
            name: actor::spoken(asker),
            uid: asker.uid(),
            login_uid: None,
            signed: Some(Signed {
                person: signatory.person.clone(),
                key: signatory.key.clone(),
            }),
        }),
        Actor::Daemon => Err(ApiError::new(Code::Internal, "nobody asked", "report this")),
    }
}

fn refused(refusal: &Refusal) -> ApiError {
    let (code, hint) = match refusal {
        Refusal::Over => (Code::WrongState, "declare anew if it is still needed"),
        Refusal::Declarer { .. } | Refusal::Twice { .. } => (
            Code::SamePerson,
            "two people share neither their uid nor the uid with which they logged in: ask as yourself, not as root; who \
             signs without an account here counts only beside others who sign",
        ),
    };
    ApiError::new(code, refusal.to_string(), hint)
}
