//! One table: every method of the API, its path, by which socket it is reached, and the right that it needs there. What is
//! not in the table does not exist.

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

/// A socket by which callers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// That of operators.
    Operators,
    /// That of hooks.
    Hooks,
}

impl Door {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Operators, Self::Hooks];

    /// Whose it is, as it is written everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Operators => "operators",
            Self::Hooks => "hooks",
        }
    }
}

/// By which doors a method is reached, and what it needs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By that of operators alone, who need this right.
    Operators(Right),
    /// By both. Operators need this right; of hooks whoever can open their socket may.
    Both(Right),
    /// By that of hooks alone. Who may, the policy says that is named: neither rights nor being root count.
    Hooks,
}

/// What a method needs at one door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This right.
    Right(Right),
    /// Nothing but to come by it.
    Door,
}

impl Access {
    /// What is needed at this door; none: the method is not reached by it.
    #[must_use]
    pub fn at(self, door: Door) -> Option<Need> {
        match (self, door) {
            (Self::Operators(right) | Self::Both(right), Door::Operators) => Some(Need::Right(right)),
            (Self::Both(_) | Self::Hooks, Door::Hooks) => Some(Need::Door),
            (Self::Operators(_), Door::Hooks) | (Self::Hooks, Door::Operators) => None,
        }
    }

    /// The right that operators need, as it is written everywhere; none where they do not reach it.
    #[must_use]
    pub fn right(self) -> Option<Right> {
        match self {
            Self::Operators(right) | Self::Both(right) => Some(right),
            Self::Hooks => None,
        }
    }

    /// Whose sockets lead to it.
    #[must_use]
    pub fn doors(self) -> &'static str {
        match self {
            Self::Operators(_) => "operators",
            Self::Both(_) => "both",
            Self::Hooks => "hooks",
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
    /// `POST /v1/alerts`.
    Alert,
    /// `GET /v1/audit`.
    Audit,
    /// `GET /v1/audit/head`.
    AuditHead,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 23] = [
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
        Self::Alert,
        Self::Audit,
        Self::AuditHead,
    ];

    /// Verb, path and access. The match is exhaustive: a method without a door, or without a right where operators reach it, does
    /// not compile.
    #[must_use]
    pub fn entry(self) -> (Verb, &'static str, Access) {
        use Access::{Both, Hooks, Operators};
        match self {
            Self::Status => (Verb::Get, "/v1/status", Both(Right::Observe)),
            Self::Readiness => (Verb::Get, "/v1/readiness", Operators(Right::Observe)),
            Self::Snapshot => (Verb::Get, "/v1/snapshot", Operators(Right::Observe)),
            Self::OpenApi => (Verb::Get, "/v1/openapi.json", Operators(Right::Observe)),
            Self::Policies => (Verb::Get, "/v1/policies", Operators(Right::Observe)),
            Self::Policy => (Verb::Get, "/v1/policies/{name}", Operators(Right::Observe)),
            Self::Plan => (Verb::Post, "/v1/plans", Operators(Right::Plan)),
            Self::Declare => (Verb::Post, "/v1/emergencies", Operators(Right::Declare)),
            Self::Emergencies => (Verb::Get, "/v1/emergencies", Operators(Right::Observe)),
            Self::Emergency => (Verb::Get, "/v1/emergencies/{id}", Operators(Right::Observe)),
            Self::Receipt => (Verb::Get, "/v1/emergencies/{id}/receipt", Operators(Right::Observe)),
            Self::Confirm => (Verb::Post, "/v1/emergencies/{id}/confirm", Operators(Right::Declare)),
            Self::Extend => (Verb::Post, "/v1/emergencies/{id}/extend", Operators(Right::Declare)),
            Self::Approve => (Verb::Post, "/v1/emergencies/{id}/approve", Operators(Right::Approve)),
            Self::Reject => (Verb::Post, "/v1/emergencies/{id}/reject", Operators(Right::Approve)),
            Self::Revert => (Verb::Post, "/v1/emergencies/{id}/revert", Operators(Right::Revert)),
            Self::Reviews => (Verb::Get, "/v1/reviews", Operators(Right::Observe)),
            Self::CloseReview => (Verb::Post, "/v1/reviews/{id}/close", Operators(Right::Approve)),
            Self::NewOrder => (Verb::Post, "/v1/orders/new", Operators(Right::Observe)),
            Self::Order => (Verb::Post, "/v1/orders", Operators(Right::Observe)),
            Self::Alert => (Verb::Post, "/v1/alerts", Hooks),
            Self::Audit => (Verb::Get, "/v1/audit", Operators(Right::Observe)),
            Self::AuditHead => (Verb::Get, "/v1/audit/head", Operators(Right::Observe)),
        }
    }
}
