//! Drawing up: the daemon writes the order, so that whoever signs need only read it, and gives it a challenge.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::refused;
use crate::api::DeclareRequest;
use crate::api::error::{ApiError, Code};
use crate::api::order::{NewAct, NewApproval, NewDeclaration, NewOrder, NewRevert, OrderDraft};
use crate::authority::order::{Act, Approve, Declare, Order, Target, VERSION};
use crate::daemon::controller::{Controller, chain, terms, views};
use crate::model::duration::written_ms;
use crate::model::emergency::Deadline;
use crate::model::names::Digest;
use crate::model::record::{Actor, Head};
use crate::store::orders;

/// Challenges that are open at once.
const OPEN_MAX: usize = 64;
/// Of one user: the next takes the place of their oldest.
const OPEN_EACH: usize = 8;
/// How long an order to declare or approve is good where nothing is said.
const VALID_MS: u64 = 15 * 60 * 1000;
/// The same of one to end.
const VALID_PREPARED_MS: u64 = 24 * 60 * 60 * 1000;

/// A challenge that waits for its order.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) challenge: Digest,
    pub(super) head: Head,
    /// Who asked for it; none: the daemon's own directory.
    uid: Option<u32>,
    pub(super) until: Deadline,
}

impl Controller {
    /// `POST /v1/orders/new`: an order for somebody to sign. Changes nothing.
    pub(in crate::daemon::controller) fn draw_up(
        &mut self,
        asker: &Actor,
        new: NewOrder,
    ) -> Result<OrderDraft, ApiError> {
        let host = self.ordered_host().map_err(|refusal| refused(None, refusal))?;
        let act = self.act_of(new.act)?;
        let valid_ms = valid_for(&act, new.valid_for_ms)?;
        let moment = self.now();
        let failed = |what: String| ApiError::new(Code::Internal, what, "ask again");
        let challenge = orders::random().map_err(|error| failed(chain(&error)))?;
        let from = Timestamp::from_millisecond(moment.wall_ms)
            .and_then(|now| Timestamp::from_second(now.as_second()))
            .map_err(|error| failed(format!("the wall clock is out of range: {error}")))?;
        let head = self.books.end();
        let until_ms = from.as_millisecond().saturating_add_unsigned(valid_ms);
        let order = Order {
            boot: match act {
                Act::Approve(_) | Act::Declare(_) => Some(moment.boot_id.clone()),
                Act::Revert(_) => None,
            },
            act,
            challenge,
            head,
            host,
            valid_from: from,
            valid_until: Timestamp::from_millisecond(until_ms)
                .map_err(|error| failed(format!("the wall clock is out of range: {error}")))?,
            version: VERSION,
        };
        if !order.is_prepared() {
            self.open_challenge(Open {
                challenge,
                head,
                uid: asker.uid(),
                until: Deadline::after(moment, valid_ms),
            })?;
        }
        let bytes = order
            .to_bytes()
            .map_err(|error| ApiError::new(Code::BadRequest, chain(&error), "no order lasts that long"))?;
        Ok(OrderDraft {
            digest: Digest::of(&bytes).to_string(),
            order: String::from_utf8_lossy(&bytes).into_owned(),
            valid_until: order.valid_until.to_string(),
        })
    }

    fn act_of(&self, new: NewAct) -> Result<Act, ApiError> {
        match new {
            NewAct::Approve(new) => self.approval_of(&new),
            NewAct::Declare(new) => self.declaration_of(new),
            NewAct::Revert(NewRevert::Emergency(id)) => {
                let at = self.find(&id)?;
                Ok(Act::Revert(Target::Emergency(self.emergencies[at].id)))
            }
            NewAct::Revert(NewRevert::Policy(name)) => {
                let name = self.policy_named(&name)?.policy.name.clone();
                Ok(Act::Revert(Target::Policy(name)))
            }
        }
    }

    fn approval_of(&self, new: &NewApproval) -> Result<Act, ApiError> {
        let proposed = &self.proposals[self.proposal(&new.emergency)?];
        if new.plan != proposed.plan_digest.to_string() {
            let detail = format!(
                "what waits for approval is the plan {}, not {}",
                proposed.plan_digest, new.plan
            );
            return Err(ApiError::new(
                Code::PlanChanged,
                detail,
                "`portcullis status` shows what was proposed",
            ));
        }
        Ok(Act::Approve(Approve {
            emergency: proposed.id,
            plan: proposed.plan_digest,
            policy: proposed.policy.clone(),
            policy_digest: proposed.policy_digest,
        }))
    }

    fn declaration_of(&self, new: NewDeclaration) -> Result<Act, ApiError> {
        let loaded = self.policy_named(&new.policy)?;
        let not_a_plan = |error: crate::model::names::NameError| {
            ApiError::new(Code::BadRequest, error.to_string(), "`portcullis plan` prints it")
        };
        let plan = new.plan.parse().map_err(not_a_plan)?;
        let request = DeclareRequest {
            policy: new.policy,
            occasion: new.occasion,
            reason: new.reason,
            authority: new.authority,
            duration_ms: new.duration_ms,
            confirm_within_ms: new.confirm_within_ms,
            accept_risks: BTreeSet::new(),
            break_glass: false,
            session: None,
        };
        let terms = terms::of(loaded, &request)?;
        Ok(Act::Declare(Declare {
            authority: request.authority,
            confirm_within_ms: request.confirm_within_ms,
            duration_ms: terms.duration_ms,
            occasion: Some(views::word(&terms.occasion)),
            plan,
            policy: loaded.policy.name.clone(),
            policy_digest: loaded.digest,
            reason: request.reason,
        }))
    }

    fn open_challenge(&mut self, open: Open) -> Result<(), ApiError> {
        let now = self.now();
        let waiting = &mut self.orders.open;
        waiting.retain(|open| open.until.remaining_ms(&now) > 0);
        if waiting.iter().filter(|other| other.uid == open.uid).count() >= OPEN_EACH
            && let Some(oldest) = waiting.iter().position(|other| other.uid == open.uid)
        {
            waiting.remove(oldest);
        }
        if waiting.len() >= OPEN_MAX {
            return Err(ApiError::new(
                Code::Busy,
                format!("{OPEN_MAX} orders wait to be signed"),
                "those that nobody hands in go when their time is over",
            ));
        }
        waiting.push_back(open);
        Ok(())
    }
}

/// For how long an order is to be good, in milliseconds.
fn valid_for(act: &Act, asked_ms: Option<u64>) -> Result<u64, ApiError> {
    let usual_ms = match act {
        Act::Approve(_) | Act::Declare(_) => VALID_MS,
        Act::Revert(_) => VALID_PREPARED_MS,
    };
    let max_ms = act.window_max_ms().unsigned_abs();
    match asked_ms.unwrap_or(usual_ms) {
        // Times are written in seconds.
        asked_ms if asked_ms < 1_000 => Err(ApiError::new(
            Code::BadRequest,
            "an order that is good for less than a second is good for nothing",
            "give it some minutes",
        )),
        asked_ms if asked_ms > max_ms => Err(ApiError::new(
            Code::OverLimit,
            format!(
                "an order to {} is good for {} at most, {} was asked for",
                act.word(),
                written_ms(max_ms),
                written_ms(asked_ms)
            ),
            "ask for less",
        )),
        asked_ms => Ok(asked_ms / 1_000 * 1_000),
    }
}
