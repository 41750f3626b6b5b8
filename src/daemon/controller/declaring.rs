//! From a request to a cut: terms, plan, record, journal, kernel, read-back.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tracing::{info, warn};
use uuid::Uuid;

use super::answering::Done;
use super::asked::{Asked, Word};
use super::authority::refuse_unnamed;
use super::books::Room;
use super::drawing::{Draw, Draws, Purpose};
use super::terms;
use super::{Controller, OPEN_MAX, chain, reviewing};
use crate::api::error::{ApiError, Code};
use crate::api::rights::Right;
use crate::api::{DeclareRequest, EmergencyView, PlanRequest, PlanView, ReceiptView, Risk, Session};
use crate::daemon::command::{Preconditions, Reply};
use crate::daemon::policies::Loaded;
use crate::model::cut::Cut;
use crate::model::emergency::{Deadline, Declaration, Emergency, Event, Moment, State};
use crate::model::names::{Digest, EmergencyId};
use crate::model::plan::Plan;
use crate::model::record::{Actor, Draft, EventKind};
use crate::model::snapshot::Snapshot;
use crate::planning;

/// A read-back that differs is enforced again this often before the cut is given up.
const ENFORCE_ATTEMPTS: u32 = 3;

/// What stands before a plan is made.
enum Before {
    /// The same declaration, by its key.
    Declared(EmergencyId),
    /// The policy of one that is to be planned.
    ToPlan(Box<Loaded>),
}

/// The draw of an errand for one policy.
pub(super) fn only(draws: Draws) -> Result<Draw, ApiError> {
    let none = || ApiError::new(Code::Internal, "no plan was drawn", "report this");
    draws.into_iter().next().unwrap_or_else(|| Err(none()))
}

impl Controller {
    /// `POST /v1/plans`.
    pub(super) fn ask_for_plan(&mut self, asker: Actor, request: PlanRequest, reply: Reply<PlanView>) {
        let loaded = match self.policy_named(&request.policy) {
            Ok(loaded) => loaded.clone(),
            Err(error) => return self.hand_over(&asker, reply, Err(error)),
        };
        if let Err(error) = refuse_unnamed(&asker, &loaded, Right::Plan) {
            return self.hand_over(&asker, reply, Err(error));
        }
        self.draw(Purpose::Show, vec![loaded.clone()], move |controller, draws| {
            let shown = only(draws).and_then(|draw| controller.show_plan(&asker, &request, &loaded, &draw));
            controller.hand_over(&asker, reply, shown);
        });
    }

    fn show_plan(
        &mut self,
        asker: &Actor,
        request: &PlanRequest,
        loaded: &Loaded,
        draw: &Draw,
    ) -> Result<PlanView, ApiError> {
        let duration_ms = terms::duration(&loaded.policy.limits, request.duration_ms)?;
        let loses = self.loses(draw, request.session.as_ref())?;
        let digest = draw.digest;
        self.note(Draft {
            event: EventKind::PlanMade,
            actor: asker.clone(),
            emergency: None,
            policy: Some(loaded.policy.name.clone()),
            details: json!({ "plan": digest, "steps": draw.plan.steps.len() }),
        });
        let mut view = super::views::plan(&draw.plan, &draw.host, digest, duration_ms, loses);
        view.warnings
            .extend(loaded.policy.approval.as_ref().map(super::proposing::before_it_cuts));
        view.warnings
            .extend(loaded.policy.hook.as_ref().map(super::alerting::who_may_raise));
        Ok(view)
    }

    /// `POST /v1/emergencies`.
    pub(super) fn ask_for_cut(&mut self, asked: Asked, done: Done) {
        let started = Instant::now();
        match self.before_the_plan(&asked) {
            Ok(Before::Declared(id)) => {
                let view = self.emergency_view(&id.to_string());
                done(self, view);
            }
            Err(error) => done(self, Err(error)),
            Ok(Before::ToPlan(loaded)) => {
                self.draw(Purpose::Cut, vec![(*loaded).clone()], move |controller, draws| {
                    let declared = only(draws).and_then(|draw| controller.declare(&asked, &loaded, &draw, started));
                    done(controller, declared);
                });
            }
        }
    }

    /// What can be refused without a plan.
    fn before_the_plan(&self, asked: &Asked) -> Result<Before, ApiError> {
        let Asked { request, pre, .. } = asked;
        let loaded = self.policy_named(&request.policy)?;
        match asked.word {
            Word::Asker => refuse_unnamed(&asked.asker, loaded, Right::Declare)?,
            Word::Sources => {
                if let Some(id) = self.refuse_uncalled(loaded)? {
                    return Ok(Before::Declared(id));
                }
            }
        }
        if let Some(id) = self.keys.earlier(pre.idempotency_key.as_deref(), request)? {
            return Ok(Before::Declared(id));
        }
        terms::of(loaded, request)?;
        if request.break_glass {
            self.refuse_unreviewed(&loaded.policy.name)?;
        }
        self.refuse_while_stuck()?;
        self.refuse_too_many()?;
        Ok(Before::ToPlan(Box::new(loaded.clone())))
    }

    fn declare(
        &mut self,
        asked: &Asked,
        loaded: &Loaded,
        draw: &Draw,
        started: Instant,
    ) -> Result<EmergencyView, ApiError> {
        let Asked {
            asker, request, pre, ..
        } = asked;
        // The same declaration may have been made while this one was planned, and a restore may have failed.
        if let Before::Declared(id) = self.before_the_plan(asked)? {
            return self.emergency_view(&id.to_string());
        }
        let terms = terms::of(loaded, request)?;
        refuse_other_plan(pre, draw.digest)?;
        self.refuse_unaccepted_risk(draw, request)?;
        let key = pre.idempotency_key.as_deref();
        if let Some(approval) = loaded.policy.approval.filter(|_| !request.break_glass) {
            let id = self.propose(asker, request, loaded, &terms, (draw.digest, approval))?;
            self.keys.remember(key, request, id);
            return self.emergency_view(&id.to_string());
        }
        self.refuse_unguarded()?;
        let id = EmergencyId::new(Uuid::now_v7());
        let mut stated = terms.declaration(asker, request);
        if asked.word == Word::Sources {
            stated = self.declared_by_sources(stated, &loaded.policy.name);
            self.hold_by_alerts(&loaded.policy.name, id)?;
        }
        if request.break_glass {
            self.open_review(asker, id, loaded, &stated)?;
        }
        let durations = (terms.duration_ms, terms.confirm_within_ms);
        let emergency = self.emergency(id, stated, loaded, durations, draw);
        if let Err(error) = self.write_down(asker, emergency, draw) {
            self.close_unused_review(id);
            self.let_alerts_go(id);
            return Err(error);
        }
        self.put_in_force(id, draw, started)?;
        self.keys.remember(key, request, id);
        self.emergency_view(&id.to_string())
    }

    /// From what is written down to a cut that is read back.
    pub(super) fn put_in_force(&mut self, id: EmergencyId, draw: &Draw, started: Instant) -> Result<(), ApiError> {
        self.watch_lifelines_of(id);
        // A guardian that saw no journal for a while has gone; with the journal there a new one stays.
        self.keep_guarded();
        let cut = self.carry_out(id, &draw.plan, started)?;
        info!(emergency = %id, policy = %draw.plan.cut.policy, micros = cut.as_micros(), "in force");
        Ok(())
    }

    fn loses(&self, draw: &Draw, session: Option<&Session>) -> Result<bool, ApiError> {
        let Some(session) = session else { return Ok(false) };
        let address = |text: &str| {
            text.parse::<IpAddr>().map_err(|_| {
                ApiError::new(
                    Code::BadRequest,
                    format!("the session's address {text:?} is not valid"),
                    "leave the session out",
                )
            })
        };
        let (peer, local) = (address(&session.peer)?, address(&session.local)?);
        Ok(planning::loses_session(
            &draw.plan.cut,
            &draw.host,
            peer,
            session.peer_port,
            local,
            session.local_port,
        ))
    }

    fn refuse_unaccepted_risk(&self, draw: &Draw, request: &DeclareRequest) -> Result<(), ApiError> {
        let loses = self.loses(draw, request.session.as_ref())?;
        if !loses || request.accept_risks.contains(&Risk::LoseSession) {
            return Ok(());
        }
        Err(ApiError::new(
            Code::RiskNotAccepted,
            "the plan would cut the session from which it is declared",
            "declare from a console or a lifeline, or accept it by `--accept-risk lose-session`",
        ))
    }

    pub(super) fn refuse_while_stuck(&self) -> Result<(), ApiError> {
        if let Some(first) = self.attention().into_iter().next() {
            return Err(ApiError::new(
                Code::Stuck,
                first,
                "see `portcullis status` and `portcullis doctor`",
            ));
        }
        match self.emergencies.iter().find(|e| e.state == State::Stuck) {
            None => Ok(()),
            Some(stuck) => Err(ApiError::new(
                Code::Stuck,
                format!("the restore of emergency {} left residue", stuck.id),
                format!("see `portcullis status`; `portcullis revert {}` tries again", stuck.id),
            )),
        }
    }

    pub(super) fn refuse_too_many(&self) -> Result<(), ApiError> {
        if self.emergencies.len() + self.ended.len() < OPEN_MAX {
            return Ok(());
        }
        Err(ApiError::new(
            Code::Busy,
            format!("{OPEN_MAX} emergencies are open, or ended beside one that is"),
            "end those that are no longer needed: `portcullis status` lists them",
        ))
    }

    /// Whoever would end the cut if this process died must be there before it begins.
    pub(super) fn refuse_unguarded(&mut self) -> Result<(), ApiError> {
        self.guard().map_err(|error| {
            ApiError::new(
                Code::NoGuardian,
                format!("the guardian could not be started, so nothing was cut: {error}"),
                "see `portcullis doctor`; processes or file descriptors may have run out",
            )
        })
    }

    /// An emergency that begins now; its duration and the time to confirm it in milliseconds.
    pub(super) fn emergency(
        &self,
        id: EmergencyId,
        declaration: Declaration,
        loaded: &Loaded,
        (duration_ms, confirm_within_ms): (u64, Option<u64>),
        draw: &Draw,
    ) -> Emergency {
        let now = self.clock.now();
        let after = |after_ms| Deadline::after(now.clone(), after_ms);
        Emergency {
            id,
            policy: loaded.policy.name.clone(),
            affects: loaded.policy.affects,
            notice: reviewing::notice(&loaded.policy, declaration.break_glass),
            limits: terms::limits(&loaded.policy, declaration.break_glass),
            declaration,
            fail: loaded.policy.fail,
            cut: draw.plan.cut.clone(),
            plan_digest: draw.digest,
            state: State::Applying,
            deadline: after(duration_ms),
            confirm_by: confirm_within_ms.map(after),
        }
    }

    /// Record, baseline, journal: all durable before the first change. If one fails, nothing has happened.
    pub(super) fn write_down(&mut self, asker: &Actor, emergency: Emergency, draw: &Draw) -> Result<(), ApiError> {
        // From here its time counts: by its record anybody can tell when it is to end.
        let now = emergency.deadline.set_at.clone();
        let draft = Draft {
            event: EventKind::Declared,
            actor: asker.clone(),
            emergency: Some(emergency.id),
            policy: Some(emergency.policy.clone()),
            details: super::views::declared(&emergency, &draw.plan),
        };
        self.books.record(draft, &now).map_err(|e| {
            ApiError::new(
                Code::NoRecord,
                format!(
                    "the declaration could not be recorded, so nothing was cut: {}",
                    chain(&e)
                ),
                "see `portcullis doctor`; free the disk of the state directory",
            )
        })?;
        let no_journal = |e: crate::store::StoreError| {
            ApiError::new(
                Code::NoJournal,
                format!("the journal could not be written, so nothing was cut: {}", chain(&e)),
                "see `portcullis doctor`; free the disk of the state directory",
            )
        };
        // What an earlier end could not remove would stand in the way of the new baseline.
        self.catch_up();
        // The steps take from links that have appeared since what the cuts in force take from them, too.
        self.take_in(&draw.host);
        if let Some(why) = &self.unwritten {
            return Err(ApiError::new(
                Code::NoJournal,
                format!("the baseline could not be written, so nothing was cut: {why}"),
                "see `portcullis doctor`; free the disk of the state directory",
            ));
        }
        let baseline = match &self.baseline {
            None => {
                self.books.save_baseline(&draw.host).map_err(no_journal)?;
                draw.host.clone()
            }
            Some(known) => {
                let (standing, ended) = (self.open_cuts(), self.ended_cuts());
                let grown = planning::grown(known, &draw.host, &emergency.cut, &standing, &ended);
                if grown != *known {
                    self.books.renew_baseline(&grown).map_err(no_journal)?;
                }
                grown
            }
        };
        self.emergencies.push(emergency);
        if let Err(error) = self.save(Room::Free) {
            self.emergencies.pop();
            return Err(no_journal(error));
        }
        self.baseline = Some(baseline);
        Ok(())
    }

    /// Carries the plan out and reads back; undoes everything if it cannot be put in force.
    fn carry_out(&mut self, id: EmergencyId, plan: &Plan, started: Instant) -> Result<Duration, ApiError> {
        let outcome = self.run(&plan.steps).map_err(|e| chain(&e));
        let took = started.elapsed();
        match outcome.and_then(|()| self.enforce()) {
            Ok(()) => {
                self.settle(id, took);
                Ok(took)
            }
            Err(why) => Err(self.give_up(id, &why)),
        }
    }

    /// Brings the kernel to what the held cuts want and reads back until it does.
    ///
    /// # Errors
    /// What is still open after a bounded number of attempts.
    pub(super) fn enforce(&mut self) -> Result<(), String> {
        let mut failure = String::new();
        for _ in 0..ENFORCE_ATTEMPTS {
            let (_, steps) = self.missing()?;
            if steps.is_empty() {
                return Ok(());
            }
            failure = format!("the kernel does not hold what was acknowledged: {}", steps[0].summary);
            if let Err(error) = self.run(&steps) {
                failure = chain(&error);
            }
        }
        Err(failure)
    }

    fn settle(&mut self, id: EmergencyId, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let baseline = self.baseline.as_ref().map(Snapshot::digest);
        self.transition(
            id,
            Event::Applied,
            &Actor::Daemon,
            EventKind::InForce,
            json!({ "cut_us": micros, "baseline": baseline }),
        );
        self.keep_receipt(id, |receipt| receipt.cut_us = Some(micros));
    }

    fn give_up(&mut self, id: EmergencyId, why: &str) -> ApiError {
        warn!(emergency = %id, why, "the cut could not be put in force, undoing it");
        self.transition(
            id,
            Event::ApplyFailed,
            &Actor::Daemon,
            EventKind::ApplyFailed,
            json!({ "why": why }),
        );
        let receipt = self.restore(id);
        failed_apply(why, &receipt)
    }
}

fn failed_apply(why: &str, receipt: &ReceiptView) -> ApiError {
    if receipt.residues.is_empty() {
        ApiError::new(
            Code::KernelRefused,
            format!("the cut could not be put in force and is undone: {why}"),
            "see `portcullis audit show --kind apply-failed`",
        )
    } else {
        ApiError::new(
            Code::Partial,
            format!(
                "the cut could not be put in force, and undoing it left {}: {why}",
                receipt.residues.join("; ")
            ),
            "call a person; `portcullis status` names what is left",
        )
    }
}

fn refuse_other_plan(pre: &Preconditions, digest: Digest) -> Result<(), ApiError> {
    match &pre.plan_digest {
        Some(wanted) if *wanted != digest.to_string() => Err(ApiError::new(
            Code::PlanChanged,
            format!("the plan is now {}, not {wanted}", digest),
            "the host or the policy has changed: read the plan again and declare with its digest",
        )),
        Some(_) | None => Ok(()),
    }
}

impl Controller {
    /// The moments of a cut's life have one shape: the state changes, the journal and the log learn of it.
    pub(super) fn transition(
        &mut self,
        id: EmergencyId,
        event: Event,
        actor: &Actor,
        kind: EventKind,
        details: serde_json::Value,
    ) -> bool {
        let Some(emergency) = self.emergencies.iter_mut().find(|e| e.id == id) else {
            return false;
        };
        if let Err(refusal) = emergency.on(event) {
            warn!(emergency = %id, %refusal, "ignoring");
            return false;
        }
        let policy = emergency.policy.clone();
        if let Err(error) = self.save(Room::Reserve) {
            warn!(emergency = %id, error = chain(&error), "the journal could not be written, going on");
        }
        let draft = Draft {
            event: kind,
            actor: actor.clone(),
            emergency: Some(id),
            policy: Some(policy),
            details,
        };
        self.note_with(draft, Room::Reserve);
        true
    }

    /// The cut of one emergency.
    pub(super) fn cut_of(&self, id: EmergencyId) -> Option<Cut> {
        self.emergencies.iter().find(|e| e.id == id).map(|e| e.cut.clone())
    }

    /// Now, for deadlines.
    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }
}
