//! One error for every door: a stable code, a sentence, a hint. The code is the same in text, JSON, log and metrics.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, as programs tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request's form is wrong: JSON, a field, a header.
    BadRequest,
    /// No such path.
    NoSuchPath,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The body is longer than allowed.
    TooLarge,
    /// The request took too long to arrive.
    TooSlow,
    /// Too many connections; nothing was done.
    Busy,
    /// No right.
    Forbidden,
    /// It needs another person.
    SamePerson,
    /// An earlier declaration without approval waits for its review.
    ReviewOpen,
    /// An emergency of this policy ended not long ago: no hook begins another yet.
    CoolingDown,
    /// This hook raises too many alerts.
    TooOften,
    /// The signed order is not one that this host takes; `reason` says why.
    OrderRefused,
    /// The request comes from a browser or names another host.
    ForeignOrigin,
    /// No policy of this name.
    NoSuchPolicy,
    /// No emergency of this id.
    NoSuchEmergency,
    /// The emergency's state does not allow it.
    WrongState,
    /// The policy's limits do not allow it.
    OverLimit,
    /// The policy may not be declared for this occasion.
    WrongOccasion,
    /// The plan cannot be made or would drop a lifeline.
    PlanRefused,
    /// The plan is not the one that was approved.
    PlanChanged,
    /// A named risk must be accepted first.
    RiskNotAccepted,
    /// The same idempotency key came with another request.
    KeyReused,
    /// An earlier restore left residue; nothing new begins.
    Stuck,
    /// The audit record could not be made durable; nothing was changed.
    NoRecord,
    /// The journal could not be made durable; nothing was changed.
    NoJournal,
    /// The guardian could not be started; nothing was changed.
    NoGuardian,
    /// The kernel refused or the read-back differs; everything is undone.
    KernelRefused,
    /// Something stands that could not be undone.
    Partial,
    /// The daemon is going down.
    ShuttingDown,
    /// A fault of the daemon's own.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 30] = [
        Self::BadRequest,
        Self::NoSuchPath,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::TooSlow,
        Self::Busy,
        Self::Forbidden,
        Self::SamePerson,
        Self::ReviewOpen,
        Self::CoolingDown,
        Self::TooOften,
        Self::OrderRefused,
        Self::ForeignOrigin,
        Self::NoSuchPolicy,
        Self::NoSuchEmergency,
        Self::WrongState,
        Self::OverLimit,
        Self::WrongOccasion,
        Self::PlanRefused,
        Self::PlanChanged,
        Self::RiskNotAccepted,
        Self::KeyReused,
        Self::Stuck,
        Self::NoRecord,
        Self::NoJournal,
        Self::NoGuardian,
        Self::KernelRefused,
        Self::Partial,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// The HTTP status (RFC 9110).
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden | Self::SamePerson | Self::ForeignOrigin => 403,
            Self::NoSuchPath | Self::NoSuchPolicy | Self::NoSuchEmergency => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::WrongState | Self::ReviewOpen | Self::CoolingDown | Self::Stuck => 409,
            Self::PlanChanged => 412,
            Self::TooLarge => 413,
            Self::TooOften => 429,
            Self::OverLimit | Self::WrongOccasion | Self::PlanRefused | Self::RiskNotAccepted => 422,
            Self::KeyReused | Self::OrderRefused => 422,
            Self::KernelRefused | Self::Partial | Self::Internal => 500,
            Self::Busy | Self::NoRecord | Self::NoJournal | Self::NoGuardian | Self::ShuttingDown => 503,
        }
    }

    /// The exit code of the command line.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::BadRequest | Self::NoSuchPath | Self::MethodNotAllowed | Self::TooLarge | Self::RiskNotAccepted => 2,
            Self::NoSuchEmergency | Self::WrongState | Self::Stuck => 3,
            Self::Forbidden | Self::SamePerson | Self::ReviewOpen | Self::CoolingDown | Self::TooOften => 5,
            Self::OrderRefused | Self::ForeignOrigin => 5,
            Self::OverLimit | Self::WrongOccasion => 5,
            Self::PlanRefused | Self::PlanChanged | Self::KeyReused => 5,
            Self::Partial => 6,
            Self::TooSlow => 7,
            Self::NoSuchPolicy => 10,
            Self::Busy
            | Self::NoRecord
            | Self::NoJournal
            | Self::NoGuardian
            | Self::KernelRefused
            | Self::ShuttingDown
            | Self::Internal => 1,
        }
    }
}

/// An error as it travels: problem details (RFC 9457) with our code and hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    /// The stable code.
    pub code: Code,
    /// The HTTP status.
    pub status: u16,
    /// What was tried, on what, and why it failed.
    pub detail: String,
    /// What to do; empty where nothing can be advised.
    #[serde(default)]
    pub hint: String,
    /// Of a refused order: the stable code of the one thing that is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ApiError {
    /// An error with a hint.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            status: code.http_status(),
            detail: detail.into(),
            hint: hint.into(),
            reason: None,
        }
    }
}

/// An error with its causes, for a log line or a record.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
