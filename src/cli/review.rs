//! `review`: what one person declared without the approval that the policy demands.

use clap::Subcommand;
use uuid::Uuid;

use super::args::Effect;
use super::client::{Question, encode};
use super::emergency::{choose, post};
use super::exit::{Exit, Failure, Situation};
use super::{Context, render};
use crate::api::{CloseReviewRequest, ReviewView};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Those that nobody else has looked at yet
    List,
    /// Close one that somebody else declared, with what you found
    Close {
        /// The emergency's id or its first 8 characters; may be left out when exactly one review is open
        id: Option<String>,
        /// What you found, in your own words
        #[arg(long, value_name = "TEXT")]
        finding: String,
    },
}

impl Command {
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::List => Effect::Looks,
            Self::Close { .. } => Effect::Changes,
        }
    }
}

pub(crate) fn perform(command: Command, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    match command {
        Command::List => {
            let answer = context.client.ask::<Vec<ReviewView>>(open())?;
            let text = || render::review::list(&answer.value);
            context.around.screen.result(&answer.json, text);
        }
        Command::Close { id, finding } => {
            let id = meant(context, id)?;
            let path = format!("/v1/reviews/{}/close", encode(&id));
            let question = post(path, &CloseReviewRequest { finding });
            let answer = context.client.ask::<ReviewView>(question)?;
            let text = || render::review::closed(&answer.value);
            context.around.screen.result(&answer.json, text);
        }
    }
    Ok(Exit::Done)
}

fn open() -> Question {
    Question::get("/v1/reviews")
}

/// A whole id is taken at its word.
fn meant(context: &Context<'_, '_>, id: Option<String>) -> Result<String, Failure> {
    match id {
        Some(id) if id.parse::<Uuid>().is_ok() => Ok(id),
        id => {
            let listed = context.client.ask::<Vec<ReviewView>>(open())?.value;
            if listed.is_empty() {
                let hint = "`portcullis audit show --kind review-closed` shows those that were";
                return Err(Failure::new(Situation::NothingInForce, "no review is open", hint));
            }
            let named = listed.iter().map(|review| (review.id.as_str(), review.policy.as_str()));
            choose(named, id.as_deref())
        }
    }
}
