//! The exit codes, the same for every command, and which situation gives which.

use serde_json::{Value, json};

use crate::api::error::Code;

/// What the command line tells its caller by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, or already so.
    Done = 0,
    /// Failed; nothing changed, or all of it undone.
    Failed = 1,
    /// Usage, or a confirmation flag is missing.
    Usage = 2,
    /// Nothing in force (`status --check`), no such emergency, wrong state.
    NotInForce = 3,
    /// The daemon is unreachable: its state is unknown.
    Unreachable = 4,
    /// Refused: rights, policy, plan.
    Refused = 5,
    /// Something stands that could not be undone; call a person.
    Partial = 6,
    /// Timed out.
    TimedOut = 7,
    /// Drift, failed drill, not ready, or audit verification failed.
    NotAsItShould = 8,
    /// Stopped at the prompt; nothing changed.
    Stopped = 9,
    /// Configuration or policy invalid.
    BadPolicy = 10,
    /// Recorded, waiting for approval.
    Waiting = 11,
}

impl Exit {
    /// Every exit code.
    pub const ALL: [Self; 12] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotInForce,
        Self::Unreachable,
        Self::Refused,
        Self::Partial,
        Self::TimedOut,
        Self::NotAsItShould,
        Self::Stopped,
        Self::BadPolicy,
        Self::Waiting,
    ];

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What it means, in one line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or already so",
            Self::Failed => "failed; nothing changed, or all of it undone",
            Self::Usage => "usage, or a confirmation flag is missing",
            Self::NotInForce => "nothing in force (status --check), no such emergency, wrong state",
            Self::Unreachable => "daemon unreachable: state unknown",
            Self::Refused => "refused: rights, policy, plan",
            Self::Partial => "partial: something stands that could not be undone; call a person",
            Self::TimedOut => "timed out",
            Self::NotAsItShould => "drift, failed drill, not ready, or audit verification failed",
            Self::Stopped => "stopped at the prompt; nothing changed",
            Self::BadPolicy => "configuration or policy invalid",
            Self::Waiting => "recorded, waiting for approval",
        }
    }

    /// The exit code of an error of the API, by the API's own table.
    #[must_use]
    pub fn of(code: Code) -> Self {
        let number = code.exit_code();
        let known = Self::ALL.into_iter().find(|exit| exit.number() == number);
        known.unwrap_or(Self::Failed)
    }
}

/// The table for `--help`.
pub(crate) fn table() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>2}  {}\n", exit.number(), exit.meaning()));
    format!("Exit codes:\n{}", lines.concat())
}

/// A situation in which a command ends without having done what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// The daemon said so.
    Api(Code),
    /// The command line is wrong.
    Usage,
    /// A confirmation is needed, and there is nobody to ask.
    FlagMissing,
    /// The emergency meant is not clear.
    Ambiguous,
    /// There is no emergency.
    NothingInForce,
    /// No socket at that path.
    SocketMissing,
    /// No permission to open the socket.
    SocketClosedToYou,
    /// Nobody listens on the socket.
    NobodyListens,
    /// The connection broke off, or what came is no answer of the daemon.
    NoAnswer,
    /// No answer in time.
    TimedOut,
    /// The question was not answered with the policy's name.
    NotConfirmed,
    /// A policy file is invalid.
    BadPolicy,
    /// The audit log was changed.
    AuditBroken,
    /// A local file or the local kernel could not be read.
    Unreadable,
    /// This host has nothing that a policy could cut.
    NothingToPropose,
    /// A daemon or a guardian holds what a restore without it needs.
    InUse,
    /// There is no safe plan for the copy of this host.
    PlanRefused,
    /// The rehearsal could not be held; nothing is known of the policy.
    DrillNotHeld,
}

impl Situation {
    /// The exit code.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Api(code) => Exit::of(code),
            Self::Usage | Self::FlagMissing | Self::Ambiguous => Exit::Usage,
            Self::NothingInForce => Exit::NotInForce,
            Self::SocketMissing | Self::SocketClosedToYou | Self::NobodyListens | Self::NoAnswer => Exit::Unreachable,
            Self::TimedOut => Exit::TimedOut,
            Self::NotConfirmed => Exit::Stopped,
            Self::BadPolicy => Exit::BadPolicy,
            Self::AuditBroken => Exit::NotAsItShould,
            Self::PlanRefused => Exit::Refused,
            Self::InUse | Self::Unreadable | Self::NothingToPropose | Self::DrillNotHeld => Exit::Failed,
        }
    }

    /// The stable code, as it is written in text and JSON.
    pub(crate) fn code(self) -> String {
        let code = match self {
            Self::Api(code) => return api_code(code),
            Self::Usage => "usage",
            Self::FlagMissing => "flag-missing",
            Self::Ambiguous => "ambiguous",
            Self::NothingInForce => "nothing-in-force",
            Self::SocketMissing => "socket-missing",
            Self::SocketClosedToYou => "socket-closed-to-you",
            Self::NobodyListens => "nobody-listens",
            Self::NoAnswer => "no-answer",
            Self::TimedOut => "timed-out",
            Self::NotConfirmed => "not-confirmed",
            Self::BadPolicy => "bad-policy",
            Self::AuditBroken => "audit-broken",
            Self::Unreadable => "unreadable",
            Self::InUse => "in-use",
            Self::NothingToPropose => "nothing-to-propose",
            Self::PlanRefused => "plan-refused",
            Self::DrillNotHeld => "drill-not-held",
        };
        code.to_owned()
    }
}

fn api_code(code: Code) -> String {
    match serde_json::to_value(code) {
        Ok(Value::String(text)) => text,
        Ok(_) | Err(_) => format!("{code:?}"),
    }
}

/// Why a command did not do what it was asked: what was tried, on what, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Failure {
    pub(crate) situation: Situation,
    pub(crate) detail: String,
    pub(crate) hint: String,
}

impl Failure {
    pub(crate) fn new(situation: Situation, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            situation,
            detail: detail.into(),
            hint: hint.into(),
        }
    }

    /// As it stands in place of a result.
    pub(crate) fn json(&self) -> Value {
        let (code, exit) = (self.situation.code(), self.situation.exit().number());
        json!({"error": {"code": code, "detail": self.detail, "hint": self.hint, "exit": exit}})
    }
}

impl From<crate::api::error::ApiError> for Failure {
    fn from(error: crate::api::error::ApiError) -> Self {
        Self::new(Situation::Api(error.code), error.detail, error.hint)
    }
}
