//! Signed orders: drawn up for somebody to sign, and carried out as if that person stood at the socket.
//!
//! Whoever brings an order counts for nothing; whoever signed it declares, approves or ends by the same code as anybody at
//! the socket. An order is read and judged first, then spent, on the disk, then recorded with its signature, and only then
//! carried out: it is spent whether or not what it orders can be done. An order to declare or to approve answers a
//! challenge of this process, so a restart voids it. One to end may be prepared; it waits for neither list nor record.

mod draft;

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::json;
use tracing::{info, warn};

use self::draft::Open;
use super::answering::Done;
use super::asked::Asked;
use super::books::Room;
use super::{Controller, chain};
use crate::api::error::{ApiError, Code};
use crate::api::order::{OrderView, SignedOrder};
use crate::api::rights::Right;
use crate::api::{DeclareRequest, ReceiptView, RevertRequest};
use crate::authority::order::{Act, Approve, Declare, Here, Order, Target};
use crate::authority::{Refusal, signature};
use crate::daemon::command::{Preconditions, Reply};
use crate::daemon::people::Known;
use crate::model::names::{Digest, EmergencyId, PolicyName};
use crate::model::record::{Actor, Draft, EventKind, Signatory};
use crate::model::spent::{Past, Spent};

/// What the controller knows of orders.
#[derive(Debug, Default)]
pub(super) struct Orders {
    known: Known,
    /// None while nobody is known, or the number is not to be had.
    host: Option<Digest>,
    pub(super) spent: Spent,
    open: VecDeque<Open>,
}

/// What came of an order that was taken.
type Ordered = Result<OrderView, ApiError>;

/// An order that is to be carried out.
struct Taken {
    act: Act,
    by: Actor,
    view: OrderView,
}

impl Controller {
    /// The same controller, taking orders of these people.
    #[must_use]
    pub fn taking_orders(mut self, known: Known) -> Self {
        if known.is_nobody() {
            return self;
        }
        let now_ms = self.now().wall_ms;
        self.orders.host = match self.books.host() {
            Ok(number) => Some(number),
            Err(error) => {
                self.note_damage(&chain(&error), "no order is taken");
                None
            }
        };
        self.orders.spent = match self.books.load_spent() {
            Ok(spent) => spent.unwrap_or_default(),
            Err(error) => {
                self.note_damage(&chain(&error), "no order is taken that was drawn up before now");
                let anew = Spent::anew(now_ms);
                if let Err(error) = self.books.save_spent(&anew) {
                    warn!(
                        error = chain(&error),
                        "the list of spent orders could not be written, going on"
                    );
                }
                anew
            }
        };
        info!(people = known.people.iter().count(), "taking signed orders");
        self.orders.known = known;
        self
    }

    fn note_damage(&mut self, what: &str, then: &str) {
        warn!(error = what, then, "what is known of signed orders is damaged");
        self.note(Draft {
            details: json!({ "what": [what], "then": then }),
            ..Draft::of_daemon(EventKind::StateDamaged)
        });
    }

    /// `POST /v1/orders`.
    pub(super) fn ask_by_order(&mut self, asker: &Actor, signed: &SignedOrder, reply: Reply<Ordered>) {
        let Taken { act, by, view } = match self.take_order(asker, signed) {
            Ok(taken) => taken,
            Err(error) => {
                if reply.send(Err(error)).is_err() {
                    info!("the caller hung up before the answer");
                }
                return;
            }
        };
        match act {
            Act::Declare(order) => {
                let pre = Preconditions {
                    idempotency_key: None,
                    plan_digest: Some(order.plan.to_string()),
                };
                let done = handing_over_order(by.clone(), view, reply);
                self.ask_for_cut(Asked::by(by, declaration(order), pre), done);
            }
            Act::Approve(order) => {
                let done = handing_over_order(by.clone(), view, reply);
                self.ask_for_approval(by, order.emergency.to_string(), order.plan.to_string(), done);
            }
            Act::Revert(target) => {
                let answer = self.end_by_order(&by, &target);
                let answer = answer.map(|receipts| OrderView { receipts, ..view });
                self.answer_order(&by, reply, answer);
            }
        }
    }

    /// What came of an order that was taken; what was refused then has its record here, as of anybody.
    fn answer_order(&mut self, by: &Actor, reply: Reply<Ordered>, answer: Ordered) {
        let answer = self.recorded(by, |_| answer);
        if reply.send(Ok(answer)).is_err() {
            info!("the caller hung up before the answer");
        }
    }

    /// Judges an order, spends it, and records it with its signature.
    fn take_order(&mut self, asker: &Actor, signed: &SignedOrder) -> Result<Taken, ApiError> {
        let digest = Digest::of(signed.order.as_bytes());
        let refused = |refusal| refused(Some(digest), refusal);
        let (order, signatory) = self.judge(asker, signed, digest).map_err(refused)?;
        let by = Actor::Signatory(signatory.clone());
        let emergency = self.refuse_in_vain(&by, &order.act)?;
        self.spend(&order)?;
        self.orders.open.retain(|open| open.challenge != order.challenge);
        let draft = Draft {
            event: EventKind::OrderAccepted,
            actor: by.clone(),
            emergency,
            policy: None,
            details: json!({ "act": order.act.word(), "order": signed.order, "signature": signed.signature }),
        };
        if order.is_prepared() {
            self.note_with(draft, Room::Reserve);
        } else {
            let now = self.now();
            self.books.record(draft, &now).map_err(|error| {
                ApiError::new(
                    Code::NoRecord,
                    format!(
                        "the order could not be recorded, so nothing was done; it is spent: {}",
                        chain(&error)
                    ),
                    "see `portcullis doctor`; free the disk of the state directory, and have a new order signed",
                )
            })?;
        }
        Ok(Taken {
            view: OrderView {
                act: order.act.word().to_owned(),
                digest: digest.to_string(),
                person: signatory.person,
                key: signatory.key,
                emergency: None,
                receipts: Vec::new(),
            },
            act: order.act,
            by,
        })
    }

    /// Everything that can be wrong with an order itself.
    fn judge(&self, asker: &Actor, signed: &SignedOrder, digest: Digest) -> Result<(Order, Signatory), Refusal> {
        let host = self.ordered_host()?;
        let order = Order::read(signed.order.as_bytes())?;
        let known = &self.orders.known;
        let signer = signature::signer(&known.people, signed.order.as_bytes(), &signed.signature)?;
        let moment = self.now();
        let now = Timestamp::from_millisecond(moment.wall_ms).map_err(|_| Refusal::NotYet)?;
        signer.check(order.act.role(), now)?;
        let here = Here {
            host,
            boot: &moment.boot_id,
            now,
        };
        order.check(&here)?;
        let good = (order.valid_from.as_millisecond(), order.valid_until.as_millisecond());
        match self.orders.spent.past(&order.challenge, good, moment.wall_ms) {
            Past::Fresh => {}
            Past::Spent => return Err(Refusal::Spent),
            Past::Unknown => return Err(Refusal::Void),
            Past::Full => return Err(Refusal::ListFull),
        }
        if let Act::Approve(Approve {
            policy_digest, policy, ..
        })
        | Act::Declare(Declare {
            policy_digest, policy, ..
        }) = &order.act
        {
            let mut open = self.orders.open.iter();
            let open = open.find(|open| open.challenge == order.challenge && open.until.remaining_ms(&moment) > 0);
            let open = open.ok_or(Refusal::UnknownChallenge)?;
            if open.head != order.head {
                return Err(Refusal::WrongHead);
            }
            let loaded = self.policies.named(policy.as_ref());
            if loaded.is_none_or(|loaded| loaded.digest != *policy_digest) {
                return Err(Refusal::PolicyChanged);
            }
        }
        let signatory = Signatory {
            account: known.account(&signer.person.name).cloned(),
            key: signer.key.key.fingerprint(),
            order: digest,
            person: signer.person.name.clone(),
            via: match asker {
                Actor::Peer(peer) => Some(peer.clone()),
                Actor::Daemon | Actor::Signatory(_) => None,
            },
        };
        Ok((order, signatory))
    }

    /// What would spend an order for nothing: an approval of what does not wait, an end of what is not there.
    fn refuse_in_vain(&self, by: &Actor, act: &Act) -> Result<Option<EmergencyId>, ApiError> {
        match act {
            Act::Declare(_) => Ok(None),
            Act::Approve(order) => {
                let proposed = &self.proposals[self.proposal(&order.emergency.to_string())?];
                if (proposed.policy_digest, proposed.plan_digest) != (order.policy_digest, order.plan) {
                    return Err(ApiError::new(
                        Code::PlanChanged,
                        format!(
                            "what waits for approval is the plan {}, not {}",
                            proposed.plan_digest, order.plan
                        ),
                        "have an order signed for what waits: `portcullis status`",
                    ));
                }
                Ok(Some(proposed.id))
            }
            Act::Revert(Target::Emergency(id)) => {
                if self.past_receipt(&id.to_string()).is_none() {
                    let at = self.find(&id.to_string())?;
                    self.refuse_unnamed(by, &self.emergencies[at].policy.clone(), Right::Revert)?;
                }
                Ok(Some(*id))
            }
            Act::Revert(Target::Policy(policy)) => {
                if self.under(policy).is_empty() {
                    return Err(ApiError::new(
                        Code::NoSuchEmergency,
                        format!("no emergency under the policy {policy} is there to end; the order is not spent"),
                        "`portcullis status` lists what is in force",
                    ));
                }
                self.refuse_unnamed(by, policy, Right::Revert).map(|()| None)
            }
        }
    }

    fn under(&self, policy: &PolicyName) -> Vec<EmergencyId> {
        let of_policy = self.emergencies.iter().filter(|e| e.policy == *policy);
        of_policy.map(|e| e.id).collect()
    }

    /// Ends what the order names, each as if alone; the first failure is told once all were tried.
    fn end_by_order(&mut self, by: &Actor, target: &Target) -> Result<Vec<ReceiptView>, ApiError> {
        let ids = match target {
            Target::Emergency(id) => vec![*id],
            Target::Policy(policy) => self.under(policy),
        };
        let ended: Vec<_> = ids
            .into_iter()
            .map(|id| self.revert(by, &id.to_string(), RevertRequest::default()))
            .collect();
        ended.into_iter().collect()
    }

    /// Durably, so that no restart carries it out again. An end does not wait for the disk.
    fn spend(&mut self, order: &Order) -> Result<(), ApiError> {
        let before = self.orders.spent.clone();
        let now_ms = self.now().wall_ms;
        self.orders
            .spent
            .spend(&order.challenge, order.valid_until.as_millisecond(), now_ms);
        let Err(error) = self.books.save_spent(&self.orders.spent) else {
            return Ok(());
        };
        if order.is_prepared() {
            warn!(error = chain(&error), "a restart may take this order again, going on");
            return Ok(());
        }
        self.orders.spent = before;
        Err(ApiError::new(
            Code::NoJournal,
            format!(
                "the list of spent orders could not be written, so nothing was done: {}",
                chain(&error)
            ),
            "see `portcullis doctor`; free the disk of the state directory",
        ))
    }

    fn ordered_host(&self) -> Result<Digest, Refusal> {
        if self.orders.known.is_nobody() {
            return Err(Refusal::NobodyKnown);
        }
        self.orders.host.ok_or(Refusal::HostUnknown)
    }
}

fn handing_over_order(by: Actor, view: OrderView, reply: Reply<Ordered>) -> Done {
    Box::new(move |controller, answer| {
        let answer = answer.map(|emergency| OrderView {
            emergency: Some(emergency),
            ..view
        });
        controller.answer_order(&by, reply, answer);
    })
}

/// A declaration by order is one over the plan that was signed, from no session of this host's.
fn declaration(order: Declare) -> DeclareRequest {
    DeclareRequest {
        policy: order.policy.to_string(),
        occasion: order.occasion,
        reason: order.reason,
        authority: order.authority,
        duration_ms: Some(order.duration_ms),
        confirm_within_ms: order.confirm_within_ms,
        accept_risks: BTreeSet::new(),
        break_glass: false,
        session: None,
    }
}

/// A refusal as it travels: its code is in the text, too, where a person looks first.
fn refused(order: Option<Digest>, refusal: Refusal) -> ApiError {
    let order = order.map_or_else(
        || "no order is taken".to_owned(),
        |order| format!("the order {} is refused", order.short()),
    );
    let hint = match refusal {
        Refusal::NobodyKnown => {
            "name people and their keys in the file that `people` in portcullis.toml names, and restart"
        }
        Refusal::HostUnknown => "see the daemon's log for the file of the state directory",
        Refusal::OrderTooLong | Refusal::OrderMalformed | Refusal::OrderNotCanonical | Refusal::OrderVersion => {
            "hand in the file as `portcullis order new` wrote it, byte for byte"
        }
        Refusal::SignatureTooLong
        | Refusal::SignatureMalformed
        | Refusal::SignatureNotCanonical
        | Refusal::SignatureVersion
        | Refusal::SignatureReserved
        | Refusal::WrongNamespace => "sign the file by `ssh-keygen -Y sign -n order@portcullis -f KEY FILE`",
        Refusal::SignatureAlgorithm => "sign with ed25519 or ecdsa-p256, in software or in a security key",
        Refusal::UnknownKey => "sign with a key that the file of people names",
        Refusal::SecurityKeyFlags | Refusal::NotPresent => "touch the security key when it asks",
        Refusal::NotVerified => "sign with the security key's PIN: a key made with `-O verify-required`",
        Refusal::BadSignature => "sign the file that is handed in, and change nothing afterwards",
        Refusal::PersonNotYet | Refusal::PersonExpired | Refusal::KeyNotYet | Refusal::KeyExpired | Refusal::NoRole => {
            "ask somebody else whom the file of people names"
        }
        Refusal::WrongHost => "hand it in on the host that drew it up",
        Refusal::WrongBoot
        | Refusal::BadWindow
        | Refusal::NotYet
        | Refusal::Expired
        | Refusal::Spent
        | Refusal::Void
        | Refusal::UnknownChallenge
        | Refusal::WrongHead
        | Refusal::PolicyChanged => "have a new one drawn up and signed: `portcullis order new`",
        Refusal::ListFull => "those on the list go when their time is over",
    };
    let mut error = ApiError::new(
        Code::OrderRefused,
        format!("{order} ({}): {refusal}", refusal.code()),
        hint,
    );
    error.reason = Some(refusal.code().to_owned());
    error
}
