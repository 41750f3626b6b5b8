//! `approve` and `reject`: what another person declared.

use clap::Args;
use uuid::Uuid;

use super::client::{Question, encode};
use super::emergency::{choose, named, post};
use super::exit::{Exit, Failure};
use super::{Context, declare, render};
use crate::api::{ApproveRequest, EmergencyState, EmergencyView, RejectRequest};

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The declaration's id or its first 8 characters; may be left out when exactly one waits
    id: Option<String>,
    /// The digest of the plan that you have seen (`portcullis plan`, `portcullis status`); no other is carried out
    #[arg(long, value_name = "DIGEST", value_parser = super::declare::digest)]
    plan: String,
}

#[derive(Debug, Args)]
pub(crate) struct Reject {
    /// The declaration's id or its first 8 characters; may be left out when exactly one waits
    id: Option<String>,
    /// Why, in your own words
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) fn approve(arguments: &Approve, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let path = path(context, arguments.id.as_deref(), "approve")?;
    let plan = arguments.plan.clone();
    let view = ask(context, post(path, &ApproveRequest { plan }))?;
    context.around.screen.next(&render::status::next_after_declare(&view));
    Ok(declare::exit(view.state))
}

pub(crate) fn reject(arguments: &Reject, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let path = path(context, arguments.id.as_deref(), "reject")?;
    let reason = arguments.reason.clone();
    ask(context, post(path, &RejectRequest { reason }))?;
    Ok(Exit::Done)
}

fn ask(context: &mut Context<'_, '_>, question: Question) -> Result<EmergencyView, Failure> {
    let answer = context.client.ask::<EmergencyView>(question)?;
    let text = || render::status::emergency(&answer.value);
    context.around.screen.result(&answer.json, text);
    Ok(answer.value)
}

fn path(context: &Context<'_, '_>, given: Option<&str>, verb: &str) -> Result<String, Failure> {
    Ok(format!("/v1/emergencies/{}/{verb}", encode(&id(context, given)?)))
}

/// Of one that waits. A whole id is taken at its word.
pub(super) fn id(context: &Context<'_, '_>, given: Option<&str>) -> Result<String, Failure> {
    match given {
        Some(id) if id.parse::<Uuid>().is_ok() => Ok(id.to_owned()),
        Some(_) | None => {
            let listed = Question::get("/v1/emergencies");
            let mut listed = context.client.ask::<Vec<EmergencyView>>(listed)?.value;
            listed.retain(|emergency| emergency.state == EmergencyState::Proposed);
            choose(listed.iter().map(named), given)
        }
    }
}
