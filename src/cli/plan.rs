//! `plan`: what a declaration would do now.

use std::time::Duration;

use clap::Args;

use super::client::{Answer, Question};
use super::exit::{Exit, Failure};
use super::{Context, duration, render, session};
use crate::api::{PlanRequest, PlanView, Session};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The policy's name
    policy: String,
    /// How long the cut would last; the policy's default where absent
    #[arg(long = "for", value_parser = duration::parse, value_name = "DURATION")]
    duration: Option<Duration>,
}

pub(crate) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let session = own_session(context);
    let answer = ask(context, &arguments.policy, arguments.duration, session)?;
    let text = || render::plan::plan(&answer.value);
    context.around.screen.result(&answer.json, text);
    Ok(Exit::Done)
}

/// Has the daemon make the plan.
pub(crate) fn ask(
    context: &Context<'_, '_>,
    policy: &str,
    duration: Option<Duration>,
    session: Option<Session>,
) -> Result<Answer<PlanView>, Failure> {
    let request = PlanRequest {
        policy: policy.to_owned(),
        duration_ms: duration.map(duration::millis),
        session,
    };
    context.client.ask(Question::post("/v1/plans", &request))
}

/// The session from which the operator speaks. One that cannot be read is said to be so, since the plan then cannot
/// warn.
pub(crate) fn own_session(context: &mut Context<'_, '_>) -> Option<Session> {
    let text = context.around.ssh_connection.clone()?;
    let session = session::parse(&text);
    if session.is_none() {
        context
            .around
            .screen
            .warn("SSH_CONNECTION is not valid; the plan cannot tell whether it cuts your session");
    }
    session
}
