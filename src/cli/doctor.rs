//! `doctor`: whether this host could cut and restore now.

use clap::Args;

use super::client::Question;
use super::exit::{Exit, Failure};
use super::{Context, render};
use crate::api::Readiness;

#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn perform(_: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let answer = context.client.ask::<Readiness>(Question::get("/v1/readiness"))?;
    let text = || render::doctor::readiness(&answer.value);
    context.around.screen.result(&answer.json, text);
    Ok(if answer.value.ready {
        Exit::Done
    } else {
        Exit::NotAsItShould
    })
}
