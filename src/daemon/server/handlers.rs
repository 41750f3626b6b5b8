//! One function a method: asks the controller and hands on what it says. No decision is made here.
//!
//! A handler that is dropped because its caller went away does not cancel what it asked: see
//! [`ControllerHandle::ask`](crate::daemon::command::ControllerHandle::ask).

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::{Extension, Json};

use super::extract::{Body, Filter, Nothing, Parameter};
use super::problem::Failure;
use super::routes::App;
use crate::api::alert::{AlertOutcome, AlertRequest, AlertView};
use crate::api::order::{NewOrder, OrderDraft, OrderView, SignedOrder};
use crate::api::{
    ApproveRequest, AuditHead, AuditPage, AuditQuery, CloseReviewRequest, DeclareRequest, EmergencyState,
    EmergencyView, ExtendRequest, PlanRequest, PlanView, PolicySummary, PolicyView, Readiness, ReceiptView,
    RejectRequest, RevertRequest, ReviewView, Status,
};
use crate::daemon::command::{Command, Peer, Preconditions};

type Answer<T> = Result<Json<T>, Failure>;

/// Where the host stands, read from the kernel at the time of asking.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, description = "Where the host stands", body = Status)))]
pub(super) async fn status(State(app): State<App>, Extension(peer): Extension<Peer>) -> Answer<Status> {
    Ok(Json(app.controller.ask(peer, Command::Status).await?))
}

/// Whether this host could cut and restore now.
#[utoipa::path(get, path = "/v1/readiness", responses((status = 200, description = "What was looked at", body = Readiness)))]
pub(super) async fn readiness(State(app): State<App>, Extension(peer): Extension<Peer>) -> Answer<Readiness> {
    Ok(Json(app.controller.ask(peer, Command::Readiness).await?))
}

/// The kernel's network state as canonical text.
#[utoipa::path(get, path = "/v1/snapshot", responses((status = 200, description = "The canonical snapshot", body = String, content_type = "text/plain; charset=utf-8")))]
pub(super) async fn snapshot(State(app): State<App>, Extension(peer): Extension<Peer>) -> Result<String, Failure> {
    Ok(app.controller.ask(peer, Command::Snapshot).await?)
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(super) async fn open_api(State(app): State<App>) -> ([(HeaderName, &'static str); 1], String) {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (content_type, app.description.to_string())
}

/// Every policy that is loaded.
#[utoipa::path(get, path = "/v1/policies", responses((status = 200, description = "The policies, by name", body = Vec<PolicySummary>)))]
pub(super) async fn policies(State(app): State<App>, Extension(peer): Extension<Peer>) -> Answer<Vec<PolicySummary>> {
    Ok(Json(app.controller.ask(peer, Command::Policies).await?))
}

/// One policy with its text.
#[utoipa::path(get, path = "/v1/policies/{name}", params(("name" = String, Path, description = "The policy's name")), responses((status = 200, description = "The policy", body = PolicyView)))]
pub(super) async fn policy(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(name): Parameter,
) -> Answer<PolicyView> {
    Ok(Json(
        app.controller.ask(peer, |reply| Command::Policy(name, reply)).await?,
    ))
}

/// What a declaration would do now. Changes nothing.
#[utoipa::path(post, path = "/v1/plans", request_body = PlanRequest, responses((status = 200, description = "The plan", body = PlanView)))]
pub(super) async fn plan(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Body(request): Body<PlanRequest>,
) -> Answer<PlanView> {
    Ok(Json(
        app.controller.ask(peer, |reply| Command::Plan(request, reply)).await?,
    ))
}

/// Declares an emergency. Answers when the cut is read back from the kernel.
#[utoipa::path(post, path = "/v1/emergencies", request_body = DeclareRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters; the same key with the same request is carried out once, as long as the daemon runs"),
        ("If-Match" = Option<String>, Header, description = "The digest of the plan that was approved; another plan is refused"),
    ),
    responses(
        (status = 201, description = "In force", body = EmergencyView, headers(("Location" = String, description = "The path of the emergency"))),
        (status = 202, description = "Proposed: other people must approve", body = EmergencyView, headers(("Location" = String, description = "The path of the emergency"))),
    ))]
pub(super) async fn declare(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    preconditions: Preconditions,
    Body(request): Body<DeclareRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<EmergencyView>), Failure> {
    let declare = |reply| Command::Declare(request, preconditions, reply);
    let emergency = app.controller.ask(peer, declare).await?;
    let location = [(header::LOCATION, format!("/v1/emergencies/{}", emergency.id))];
    let status = if emergency.state == EmergencyState::Proposed {
        StatusCode::ACCEPTED
    } else {
        StatusCode::CREATED
    };
    Ok((status, location, Json(emergency)))
}

/// Every emergency that is not over.
#[utoipa::path(get, path = "/v1/emergencies", responses((status = 200, description = "The emergencies that are not over, oldest first", body = Vec<EmergencyView>)))]
pub(super) async fn emergencies(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
) -> Answer<Vec<EmergencyView>> {
    Ok(Json(app.controller.ask(peer, Command::Emergencies).await?))
}

/// One emergency.
#[utoipa::path(get, path = "/v1/emergencies/{id}", params(("id" = String, Path, description = "The emergency's id")), responses((status = 200, description = "The emergency", body = EmergencyView)))]
pub(super) async fn emergency(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
) -> Answer<EmergencyView> {
    Ok(Json(
        app.controller.ask(peer, |reply| Command::Emergency(id, reply)).await?,
    ))
}

/// The proof after the apply or the restore.
#[utoipa::path(get, path = "/v1/emergencies/{id}/receipt", params(("id" = String, Path, description = "The emergency's id")), responses((status = 200, description = "The receipt", body = ReceiptView)))]
pub(super) async fn receipt(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
) -> Answer<ReceiptView> {
    Ok(Json(
        app.controller.ask(peer, |reply| Command::Receipt(id, reply)).await?,
    ))
}

/// Keeps an emergency that would otherwise end by itself soon.
#[utoipa::path(post, path = "/v1/emergencies/{id}/confirm", params(("id" = String, Path, description = "The emergency's id")), request_body = Option<Nothing>, responses((status = 200, description = "Confirmed", body = EmergencyView)))]
pub(super) async fn confirm(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
    _: Preconditions,
    Body(Nothing {}): Body<Nothing>,
) -> Answer<EmergencyView> {
    Ok(Json(
        app.controller.ask(peer, |reply| Command::Confirm(id, reply)).await?,
    ))
}

/// Moves the end of an emergency, within the policy's limits.
#[utoipa::path(post, path = "/v1/emergencies/{id}/extend", request_body = ExtendRequest,
    params(
        ("id" = String, Path, description = "The emergency's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters; the same key extends once, as long as the daemon runs"),
    ),
    responses((status = 200, description = "Extended", body = EmergencyView)))]
pub(super) async fn extend(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
    preconditions: Preconditions,
    Body(request): Body<ExtendRequest>,
) -> Answer<EmergencyView> {
    let extend = |reply| Command::Extend(id, request.by_ms, preconditions, reply);
    Ok(Json(app.controller.ask(peer, extend).await?))
}

/// Approves what another person declared, over the plan that was shown. The last approval that is needed cuts.
#[utoipa::path(post, path = "/v1/emergencies/{id}/approve", params(("id" = String, Path, description = "The emergency's id")), request_body = ApproveRequest,
    responses((status = 200, description = "In force", body = EmergencyView), (status = 202, description = "Approved; more people must approve", body = EmergencyView)))]
pub(super) async fn approve(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
    _: Preconditions,
    Body(request): Body<ApproveRequest>,
) -> Result<(StatusCode, Json<EmergencyView>), Failure> {
    let approve = |reply| Command::Approve(id, request.plan, reply);
    let emergency = app.controller.ask(peer, approve).await?;
    let status = if emergency.state == EmergencyState::Proposed {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(emergency)))
}

/// What was declared without the approval that its policy demands and waits for its review.
#[utoipa::path(get, path = "/v1/reviews", responses((status = 200, description = "Oldest first", body = Vec<ReviewView>)))]
pub(super) async fn reviews(State(app): State<App>, Extension(peer): Extension<Peer>) -> Answer<Vec<ReviewView>> {
    Ok(Json(app.controller.ask(peer, Command::Reviews).await?))
}

/// Closes the review of a declaration without approval. Another person does than who declared.
#[utoipa::path(post, path = "/v1/reviews/{id}/close", params(("id" = String, Path, description = "The emergency's id")), request_body = CloseReviewRequest, responses((status = 200, description = "Closed", body = ReviewView)))]
pub(super) async fn close_review(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
    _: Preconditions,
    Body(request): Body<CloseReviewRequest>,
) -> Answer<ReviewView> {
    let close = |reply| Command::CloseReview(id, request.finding, reply);
    Ok(Json(app.controller.ask(peer, close).await?))
}

/// Ends a proposed declaration before anything is cut. Who declared it may, too.
#[utoipa::path(post, path = "/v1/emergencies/{id}/reject", params(("id" = String, Path, description = "The emergency's id")), request_body = RejectRequest, responses((status = 200, description = "Rejected", body = EmergencyView)))]
pub(super) async fn reject(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
    _: Preconditions,
    Body(request): Body<RejectRequest>,
) -> Answer<EmergencyView> {
    let reject = |reply| Command::Reject(id, request.reason, reply);
    Ok(Json(app.controller.ask(peer, reject).await?))
}

/// Ends an emergency. Answers when the restore is read back from the kernel.
#[utoipa::path(post, path = "/v1/emergencies/{id}/revert", params(("id" = String, Path, description = "The emergency's id")), request_body = Option<RevertRequest>, responses((status = 200, description = "Put back", body = ReceiptView)))]
pub(super) async fn revert(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Parameter(id): Parameter,
    _: Preconditions,
    Body(request): Body<RevertRequest>,
) -> Answer<ReceiptView> {
    Ok(Json(
        app.controller
            .ask(peer, |reply| Command::Revert(id, request, reply))
            .await?,
    ))
}

/// Draws up an order for somebody to sign. Changes nothing.
#[utoipa::path(post, path = "/v1/orders/new", request_body = NewOrder, responses((status = 200, description = "The order, to be signed as it is", body = OrderDraft)))]
pub(super) async fn new_order(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Body(request): Body<NewOrder>,
) -> Answer<OrderDraft> {
    let drawn = app.controller.ask(peer, |reply| Command::NewOrder(request, reply));
    Ok(Json(drawn.await.map_err(Failure::Refused)?))
}

/// Carries out an order that somebody signed, whoever hands it in. Each is carried out once.
#[utoipa::path(post, path = "/v1/orders", request_body = SignedOrder,
    responses((status = 200, description = "Carried out", body = OrderView), (status = 202, description = "Recorded: other people must approve", body = OrderView)))]
pub(super) async fn order(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Body(request): Body<SignedOrder>,
) -> Result<(StatusCode, Json<OrderView>), Failure> {
    let taken = app.controller.ask(peer, |reply| Command::Order(request, reply));
    let order = taken.await.map_err(Failure::Refused)??;
    let proposed = |emergency: &EmergencyView| emergency.state == EmergencyState::Proposed;
    let status = if order.emergency.as_ref().is_some_and(proposed) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(order)))
}

/// Raises or resolves an alert of a hook. When enough sources raise it, the policy is declared; when the last of them resolves its
/// own, the emergency ends. Raising again what is raised changes nothing.
#[utoipa::path(post, path = "/v1/alerts", request_body = AlertRequest,
    responses((status = 200, description = "Taken; an emergency is in force, or nothing waits", body = AlertView), (status = 202, description = "Taken: more sources must raise it", body = AlertView)))]
pub(super) async fn alert(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    _: Preconditions,
    Body(request): Body<AlertRequest>,
) -> Result<(StatusCode, Json<AlertView>), Failure> {
    let taken = app.controller.ask(peer, |reply| Command::Alert(request, reply));
    let alert = taken
        .await
        .map_err(|error| Failure::refused(error.code, &error.detail, &error.hint))?;
    let status = match alert.outcome {
        AlertOutcome::Waiting => StatusCode::ACCEPTED,
        AlertOutcome::Holding | AlertOutcome::LeftToOperators | AlertOutcome::Resolved | AlertOutcome::Ended => {
            StatusCode::OK
        }
    };
    Ok((status, Json(alert)))
}

/// Records of the audit log.
#[utoipa::path(get, path = "/v1/audit", params(AuditQuery), responses((status = 200, description = "The records as they stand in the log", body = AuditPage)))]
pub(super) async fn audit(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Filter(query): Filter,
) -> Answer<AuditPage> {
    Ok(Json(
        app.controller.ask(peer, |reply| Command::Audit(query, reply)).await?,
    ))
}

/// Where the audit log stands.
#[utoipa::path(get, path = "/v1/audit/head", responses((status = 200, description = "The head", body = AuditHead)))]
pub(super) async fn audit_head(State(app): State<App>, Extension(peer): Extension<Peer>) -> Answer<AuditHead> {
    Ok(Json(app.controller.ask(peer, Command::AuditHead).await?))
}
