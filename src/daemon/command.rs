//! What the server asks of the controller, and how the answer comes back.

use tokio::sync::{mpsc, oneshot};

pub use super::peer::Peer;
use crate::api::alert::{AlertRequest, AlertView};
use crate::api::error::{ApiError, Code};
use crate::api::order::{NewOrder, OrderDraft, OrderView, SignedOrder};
use crate::api::{
    AuditHead, AuditPage, AuditQuery, DeclareRequest, EmergencyView, PlanRequest, PlanView, PolicySummary, PolicyView,
    Readiness, ReceiptView, RevertRequest, ReviewView, Status,
};

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

/// Headers that make a POST safe to repeat and a declaration bound to a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `If-Match`: the digest of the plan that the caller saw.
    pub plan_digest: Option<String>,
}

/// One question.
#[derive(Debug)]
pub enum Command {
    /// `GET /v1/status`.
    Status(Reply<Status>),
    /// `GET /v1/readiness`.
    Readiness(Reply<Readiness>),
    /// `GET /v1/snapshot`: the canonical text.
    Snapshot(Reply<String>),
    /// `GET /v1/policies`.
    Policies(Reply<Vec<PolicySummary>>),
    /// `GET /v1/policies/{name}`.
    Policy(String, Reply<PolicyView>),
    /// `POST /v1/plans`.
    Plan(PlanRequest, Reply<PlanView>),
    /// `POST /v1/emergencies`.
    Declare(DeclareRequest, Preconditions, Reply<EmergencyView>),
    /// `GET /v1/emergencies`.
    Emergencies(Reply<Vec<EmergencyView>>),
    /// `GET /v1/emergencies/{id}`.
    Emergency(String, Reply<EmergencyView>),
    /// `GET /v1/emergencies/{id}/receipt`.
    Receipt(String, Reply<ReceiptView>),
    /// `POST /v1/emergencies/{id}/confirm`.
    Confirm(String, Reply<EmergencyView>),
    /// `POST /v1/emergencies/{id}/extend`, milliseconds.
    Extend(String, u64, Preconditions, Reply<EmergencyView>),
    /// `POST /v1/emergencies/{id}/approve`: the id and the plan's digest.
    Approve(String, String, Reply<EmergencyView>),
    /// `GET /v1/reviews`.
    Reviews(Reply<Vec<ReviewView>>),
    /// `POST /v1/reviews/{id}/close`: the emergency's id and what was found.
    CloseReview(String, String, Reply<ReviewView>),
    /// `POST /v1/emergencies/{id}/reject`: the id and the reason.
    Reject(String, String, Reply<EmergencyView>),
    /// `POST /v1/emergencies/{id}/revert`.
    Revert(String, RevertRequest, Reply<ReceiptView>),
    /// `POST /v1/orders/new`. Whoever may look may ask, so a refusal is for the server to record.
    NewOrder(NewOrder, Reply<OrderDraft>),
    /// `POST /v1/orders`. An order that is not taken is for the server to record, too; within is what came of one that was.
    Order(SignedOrder, Reply<Result<OrderView, ApiError>>),
    /// `POST /v1/alerts`. A program repeats what is refused, so a refusal is for the server to record, which counts a flood.
    Alert(AlertRequest, Reply<AlertView>),
    /// `GET /v1/audit`.
    Audit(AuditQuery, Reply<AuditPage>),
    /// `GET /v1/audit/head`.
    AuditHead(Reply<AuditHead>),
    /// A request that the server refused before it could become one of the above: for the record alone.
    Refused(ApiError),
}

/// A question with its asker.
#[derive(Debug)]
pub struct Call {
    /// Who.
    pub peer: Peer,
    /// What.
    pub command: Command,
}

/// The server's end of the channel to the controller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    calls: mpsc::Sender<Call>,
}

impl ControllerHandle {
    /// Questions that may wait; beyond it callers wait in turn, which bounds memory.
    pub const QUEUE: usize = 64;

    /// A handle and the controller's end.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Call>) {
        let (calls, receiver) = mpsc::channel(Self::QUEUE);
        (Self { calls }, receiver)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The controller's own error, or `shutting-down` if it is gone. Cancelling the wait does not cancel the command: a
    /// declaration that was sent is carried out, and asking again with the same key gives its answer.
    pub async fn ask<T>(&self, peer: Peer, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ApiError> {
        let gone = || {
            ApiError::new(
                Code::ShuttingDown,
                "the daemon is going down",
                "ask again when it is back",
            )
        };
        let (reply, answer) = oneshot::channel();
        self.calls
            .send(Call {
                peer,
                command: command(reply),
            })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Has a refusal recorded. Best effort: a full queue drops it, because a flood of refusals must not fill the log.
    pub fn record_refusal(&self, peer: Peer, error: ApiError) -> bool {
        self.calls
            .try_send(Call {
                peer,
                command: Command::Refused(error),
            })
            .is_ok()
    }
}
