//! One table: every method of the API, its path, and the right that it needs. What is not in the table does not exist.

use serde::{Deserialize, Serialize};

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// See the state, the policies and the audit log; hand in signed orders, whose authority is that of who signed.
    Observe,
    /// Make plans.
    Plan,
    /// Declare, confirm and extend emergencies.
    Declare,
    /// Approve and reject what others declared.
    Approve,
    /// End emergencies.
    Revert,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 5] = [Self::Observe, Self::Plan, Self::Declare, Self::Approve, Self::Revert];

    /// The right as it is written everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Plan => "plan",
            Self::Declare => "declare",
            Self::Approve => "approve",
            Self::Revert => "revert",
        }
    }
}

/// An HTTP verb that the API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

/// A method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// `GET /v1/status`.
    Status,
    /// `GET /v1/readiness`.
    Readiness,
    /// `GET /v1/snapshot`.
    Snapshot,
    /// `GET /v1/openapi.json`.
    OpenApi,
    /// `GET /v1/policies`.
    Policies,
    /// `GET /v1/policies/{name}`.
    Policy,
    /// `POST /v1/plans`.
    Plan,
    /// `POST /v1/emergencies`.
    Declare,
    /// `GET /v1/emergencies`.
    Emergencies,
    /// `GET /v1/emergencies/{id}`.
    Emergency,
    /// `GET /v1/emergencies/{id}/receipt`.
    Receipt,
    /// `POST /v1/emergencies/{id}/confirm`.
    Confirm,
    /// `POST /v1/emergencies/{id}/extend`.
    Extend,
    /// `POST /v1/emergencies/{id}/approve`.
    Approve,
    /// `POST /v1/emergencies/{id}/reject`.
    Reject,
    /// `POST /v1/emergencies/{id}/revert`.
    Revert,
    /// `GET /v1/reviews`.
    Reviews,
    /// `POST /v1/reviews/{id}/close`.
    CloseReview,
    /// `POST /v1/orders/new`.
    NewOrder,
    /// `POST /v1/orders`.
    Order,
    /// `GET /v1/audit`.
    Audit,
    /// `GET /v1/audit/head`.
    AuditHead,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 22] = [
        Self::Status,
        Self::Readiness,
        Self::Snapshot,
        Self::OpenApi,
        Self::Policies,
        Self::Policy,
        Self::Plan,
        Self::Declare,
        Self::Emergencies,
        Self::Emergency,
        Self::Receipt,
        Self::Confirm,
        Self::Extend,
        Self::Approve,
        Self::Reject,
        Self::Revert,
        Self::Reviews,
        Self::CloseReview,
        Self::NewOrder,
        Self::Order,
        Self::Audit,
        Self::AuditHead,
    ];

    /// Verb, path and right. The match is exhaustive: a method without a right does not compile.
    #[must_use]
    pub fn entry(self) -> (Verb, &'static str, Right) {
        match self {
            Self::Status => (Verb::Get, "/v1/status", Right::Observe),
            Self::Readiness => (Verb::Get, "/v1/readiness", Right::Observe),
            Self::Snapshot => (Verb::Get, "/v1/snapshot", Right::Observe),
            Self::OpenApi => (Verb::Get, "/v1/openapi.json", Right::Observe),
            Self::Policies => (Verb::Get, "/v1/policies", Right::Observe),
            Self::Policy => (Verb::Get, "/v1/policies/{name}", Right::Observe),
            Self::Plan => (Verb::Post, "/v1/plans", Right::Plan),
            Self::Declare => (Verb::Post, "/v1/emergencies", Right::Declare),
            Self::Emergencies => (Verb::Get, "/v1/emergencies", Right::Observe),
            Self::Emergency => (Verb::Get, "/v1/emergencies/{id}", Right::Observe),
            Self::Receipt => (Verb::Get, "/v1/emergencies/{id}/receipt", Right::Observe),
            Self::Confirm => (Verb::Post, "/v1/emergencies/{id}/confirm", Right::Declare),
            Self::Extend => (Verb::Post, "/v1/emergencies/{id}/extend", Right::Declare),
            Self::Approve => (Verb::Post, "/v1/emergencies/{id}/approve", Right::Approve),
            Self::Reject => (Verb::Post, "/v1/emergencies/{id}/reject", Right::Approve),
            Self::Revert => (Verb::Post, "/v1/emergencies/{id}/revert", Right::Revert),
            Self::Reviews => (Verb::Get, "/v1/reviews", Right::Observe),
            Self::CloseReview => (Verb::Post, "/v1/reviews/{id}/close", Right::Approve),
            Self::NewOrder => (Verb::Post, "/v1/orders/new", Right::Observe),
            Self::Order => (Verb::Post, "/v1/orders", Right::Observe),
            Self::Audit => (Verb::Get, "/v1/audit", Right::Observe),
            Self::AuditHead => (Verb::Get, "/v1/audit/head", Right::Observe),
        }
    }
}
