//! `alert`: what a hook saw, or sees no more. One line in the configuration of whatever watches.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::client::Question;
use super::exit::{Exit, Failure};
use super::{Context, declare, duration, render};
use crate::api::alert::{AlertOutcome, AlertRequest, AlertState, AlertView};

/// The daemon's socket for hooks where none is named.
pub(crate) const SOCKET: &str = "/run/portcullis-hook/hook.sock";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The policy's name
    policy: String,
    /// Whether there is something that the policy is for, or is not any more
    #[arg(long, value_enum, value_name = "STATE")]
    state: StateName,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// A ticket, or what you call what you saw: it tells several alerts of yours apart, which count once. Resolved without it, all of
    /// yours are
    #[arg(long, value_name = "TEXT")]
    incident: Option<String>,
    /// How long the emergency is to last; the policy's default where absent. Of several sources the shortest counts
    #[arg(long = "for", value_parser = duration::parse, value_name = "DURATION")]
    duration: Option<Duration>,
}

/// [`AlertState`] as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateName {
    /// There is something
    Firing,
    /// There is not any more
    Resolved,
}

pub(crate) fn perform(arguments: Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let request = AlertRequest {
        policy: arguments.policy,
        state: match arguments.state {
            StateName::Firing => AlertState::Firing,
            StateName::Resolved => AlertState::Resolved,
        },
        reason: arguments.reason,
        incident: arguments.incident,
        duration_ms: arguments.duration.map(duration::millis),
    };
    let answer = context
        .client
        .ask::<AlertView>(Question::post("/v1/alerts", &request))?;
    let text = || render::alert::alert(&answer.value);
    context.around.screen.result(&answer.json, text);
    Ok(exit(&answer.value))
}

/// Whoever watches has done its part once the alert is taken, also if others must raise it, too.
fn exit(alert: &AlertView) -> Exit {
    match (alert.outcome, &alert.emergency, &alert.receipt) {
        (AlertOutcome::Ended, _, Some(receipt)) if !receipt.residues.is_empty() => Exit::Partial,
        (AlertOutcome::Holding, Some(emergency), _) => declare::exit(emergency.state),
        (
            AlertOutcome::Waiting
            | AlertOutcome::Holding
            | AlertOutcome::LeftToOperators
            | AlertOutcome::Resolved
            | AlertOutcome::Ended,
            _,
            _,
        ) => Exit::Done,
    }
}
