//! Errors on their way out: problem details (RFC 9457), for refusals of the server and for answers of the controller.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::limits::DETAIL_CHARACTERS;
use crate::api::error::{ApiError, Code};

/// Why a request has no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused it before the controller heard of it; the door has it recorded.
    Refused(ApiError),
    /// The controller's own answer, recorded by the controller; or one that is for the log of nobody, such as `busy`.
    Answered(ApiError),
}

/// Marks a response for the door, so that no handler can forget to have its refusal recorded.
#[derive(Clone, Debug)]
pub(super) struct Refusal(pub(super) ApiError);

/// The body of every error (RFC 9457), with the project's code and hint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// `urn:portcullis:error:` and the code.
    r#type: String,
    /// The code in words; the same for every error of this code.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What was tried, on what, and why it failed.
    detail: String,
    /// The stable code.
    code: Code,
    /// What to do; empty where nothing can be advised.
    hint: String,
    /// Of a refused order: the stable code of the one thing that is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&ApiError> for Problem {
    fn from(error: &ApiError) -> Self {
        Self {
            r#type: format!("urn:portcullis:error:{}", name(error.code)),
            title: title(error.code).to_owned(),
            status: error.status,
            detail: error.detail.clone(),
            code: error.code,
            hint: error.hint.clone(),
            reason: error.reason.clone(),
        }
    }
}

impl Failure {
    /// A refusal. Control characters of the request are escaped and long text is cut, since the detail goes to logs.
    pub(super) fn refused(code: Code, detail: &str, hint: &str) -> Self {
        let mut safe: String = detail
            .chars()
            .take(DETAIL_CHARACTERS)
            .fold(String::new(), |mut out, c| {
                if c.is_control() {
                    out.extend(c.escape_default());
                } else {
                    out.push(c);
                }
                out
            });
        if detail.chars().nth(DETAIL_CHARACTERS).is_some() {
            safe.push('…');
        }
        Self::Refused(ApiError::new(code, safe, hint))
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Answered(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(error) => {
                let mut response = respond(&error);
                response.extensions_mut().insert(Refusal(error));
                response
            }
            Self::Answered(error) => respond(&error),
        }
    }
}

fn respond(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(Problem::from(error))).into_response();
    let content_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    if matches!(error.code, Code::TooLarge | Code::TooSlow) {
        // The rest of the body is still to come; there is no next request on this connection.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// The code as it is written everywhere.
pub(super) fn name(code: Code) -> String {
    serde_json::to_value(code)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .expect("a code without fields is written as a string")
}

/// The code in words.
pub(super) fn title(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "the request's form is wrong",
        Code::NoSuchPath => "no such path",
        Code::MethodNotAllowed => "the path does not take this method",
        Code::TooLarge => "the body is too long",
        Code::TooSlow => "the request took too long to arrive",
        Code::Busy => "too many connections",
        Code::Forbidden => "no right",
        Code::SamePerson => "it needs another person",
        Code::ReviewOpen => "an earlier declaration without approval waits for its review",
        Code::CoolingDown => "an emergency of this policy ended not long ago: no hook begins another yet",
        Code::TooOften => "this hook raises too many alerts",
        Code::OrderRefused => "the signed order is not one that this host takes",
        Code::ForeignOrigin => "the request comes from a browser or names another host",
        Code::NoSuchPolicy => "no policy of this name",
        Code::NoSuchEmergency => "no emergency of this id",
        Code::WrongState => "the emergency's state does not allow it",
        Code::OverLimit => "the policy's limits do not allow it",
        Code::WrongOccasion => "the policy may not be declared for this occasion",
        Code::PlanRefused => "the plan cannot be made or would drop a lifeline",
        Code::PlanChanged => "the plan is not the one that was approved",
        Code::RiskNotAccepted => "a named risk must be accepted first",
        Code::KeyReused => "the same idempotency key came with another request",
        Code::Stuck => "an earlier restore left residue; nothing new begins",
        Code::NoRecord => "the audit record could not be made durable; nothing was changed",
        Code::NoJournal => "the journal could not be made durable; nothing was changed",
        Code::NoGuardian => "the guardian could not be started; nothing was changed",
        Code::KernelRefused => "the kernel refused; everything is undone",
        Code::Partial => "something stands that could not be undone",
        Code::ShuttingDown => "the daemon is going down",
        Code::Internal => "a fault of the daemon's own",
    }
}
