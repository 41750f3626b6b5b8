//! `confirm`, `extend`, `revert`: one emergency, named as shortly as is safe.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::args::Format;
use super::client::{Question, encode};
use super::exit::{Exit, Failure, Situation};
use super::{Context, duration, render};
use crate::api::error::Code;
use crate::api::{EmergencyState, EmergencyView, ExtendRequest, ReceiptView, RevertRequest};

/// So many characters of an id name an emergency.
const PREFIX_CHARACTERS: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// The emergency's id or its first 8 characters; may be left out when there is exactly one
    id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Extend {
    /// The emergency's id or its first 8 characters; may be left out when there is exactly one
    id: Option<String>,
    /// How much longer
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    by: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Revert {
    /// The emergency's id or its first 8 characters; may be left out when there is exactly one
    id: Option<String>,
    /// End every emergency; done if there is none
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// End one that is stuck even if it leaves residue again: the receipt names it, and putting it right is up to you
    #[arg(long)]
    accept_residue: bool,
}

pub(crate) fn confirm(arguments: &Confirm, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let path = path(context, arguments.id.as_deref(), "confirm")?;
    show(context, post(path, &serde_json::json!({})))
}

pub(crate) fn extend(arguments: &Extend, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let path = path(context, arguments.id.as_deref(), "extend")?;
    let by_ms = duration::millis(arguments.by);
    show(context, post(path, &ExtendRequest { by_ms }))
}

pub(crate) fn revert(arguments: &Revert, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let request = RevertRequest {
        accept_residue: arguments.accept_residue,
    };
    if arguments.all {
        return revert_all(request, context);
    }
    let path = path(context, arguments.id.as_deref(), "revert")?;
    let answer = context.client.ask::<ReceiptView>(post(path, &request))?;
    let text = || render::receipt::receipt(&answer.value);
    context.around.screen.result(&answer.json, text);
    Ok(restored(&answer.value))
}

/// One that fails does not keep the others from being ended; the gravest exit code is the whole's.
fn revert_all(request: RevertRequest, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let listed = context
        .client
        .ask::<Vec<EmergencyView>>(Question::get("/v1/emergencies"))?
        .value;
    let mut exit = Exit::Done;
    let mut failed: Option<Failure> = None;
    let (mut objects, mut texts) = (Vec::new(), Vec::new());
    for emergency in listed.iter().filter(|e| in_being(e)) {
        let path = format!("/v1/emergencies/{}/revert", encode(&emergency.id));
        // What is not stuck has no residue to accept, and is to end all the same.
        let request = RevertRequest {
            accept_residue: request.accept_residue && emergency.state == EmergencyState::Stuck,
        };
        match context.client.ask::<ReceiptView>(post(path, &request)) {
            Ok(answer) => {
                texts.push(render::receipt::receipt(&answer.value));
                objects.push(answer.json);
                exit = exit.max(restored(&answer.value));
            }
            Err(failure) => {
                let code = |failure: &Failure| failure.situation.exit();
                let graver = failed.as_ref().is_none_or(|before| code(&failure) > code(before));
                // The gravest is told of at the end.
                let told = if graver { failed.replace(failure) } else { Some(failure) };
                if let Some(told) = told {
                    context.around.screen.warn(&told.detail);
                }
            }
        }
    }
    let gravest = match failed {
        Some(failure) if failure.situation.exit() >= exit => Err(failure),
        Some(failure) => {
            context.around.screen.warn(&failure.detail);
            Ok(exit)
        }
        None => Ok(exit),
    };
    if gravest.is_ok() || context.global.output == Format::Text {
        let text = || texts.join("\n");
        context.around.screen.result(&serde_json::Value::Array(objects), text);
    }
    gravest
}

fn show(context: &mut Context<'_, '_>, question: Question) -> Result<Exit, Failure> {
    let answer = context.client.ask::<EmergencyView>(question)?;
    let text = || render::status::emergency(&answer.value);
    context.around.screen.result(&answer.json, text);
    Ok(Exit::Done)
}

pub(super) fn post(path: String, body: &impl serde::Serialize) -> Question {
    Question::post(path, body).header("idempotency-key", Uuid::now_v7().to_string())
}

/// What is only proposed is cut nowhere, and what has ended is over.
fn in_being(emergency: &EmergencyView) -> bool {
    !matches!(emergency.state, EmergencyState::Proposed | EmergencyState::Ended)
}

fn path(context: &Context<'_, '_>, id: Option<&str>, verb: &str) -> Result<String, Failure> {
    let id = match id {
        // A whole id is taken at its word: the emergency may be over and no longer in the list.
        Some(id) if id.parse::<Uuid>().is_ok() => id.to_owned(),
        Some(_) | None => {
            let listed = context
                .client
                .ask::<Vec<EmergencyView>>(Question::get("/v1/emergencies"))?;
            let listed: Vec<EmergencyView> = listed.value.into_iter().filter(in_being).collect();
            choose(listed.iter().map(named), id)?
        }
    };
    Ok(format!("/v1/emergencies/{}/{verb}", encode(&id)))
}

/// The id and the policy, for [`choose`].
pub(super) fn named(view: &EmergencyView) -> (&str, &str) {
    (&view.id, &view.policy)
}

/// The id of the one that is meant, among ids with their policies.
///
/// # Errors
/// If none is meant, or several.
pub(super) fn choose<'a>(
    listed: impl IntoIterator<Item = (&'a str, &'a str)>,
    prefix: Option<&str>,
) -> Result<String, Failure> {
    if let Some(prefix) = prefix
        && prefix.chars().count() < PREFIX_CHARACTERS
    {
        let detail = format!("`{prefix}` is too short to name an emergency");
        let hint = format!("give at least {PREFIX_CHARACTERS} characters of the id");
        return Err(Failure::new(Situation::Usage, detail, hint));
    }
    let wanted = prefix.unwrap_or_default().to_ascii_lowercase();
    let found: Vec<(&str, &str)> = listed.into_iter().filter(|(id, _)| id.starts_with(&wanted)).collect();
    match (found.as_slice(), prefix) {
        ([(only, _)], _) => Ok((*only).to_owned()),
        ([], None) => Err(Failure::new(
            Situation::NothingInForce,
            "there is no emergency",
            "`portcullis status` shows where this host stands",
        )),
        ([], Some(prefix)) => Err(Failure::new(
            Situation::Api(Code::NoSuchEmergency),
            format!("no emergency's id begins with `{prefix}`"),
            "`portcullis status` lists them",
        )),
        (several, _) => {
            let names: Vec<String> = several.iter().map(|(id, policy)| format!("{id} ({policy})")).collect();
            let detail = format!("more than one emergency is meant: {}", names.join(", "));
            Err(Failure::new(Situation::Ambiguous, detail, "give the whole id"))
        }
    }
}

/// Residue stands until a person decides; a conflict was somebody else's change and is theirs.
pub(super) fn restored(receipt: &ReceiptView) -> Exit {
    if receipt.state == EmergencyState::Stuck || !receipt.residues.is_empty() {
        Exit::Partial
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    fn listed(ids: &[&str]) -> Vec<EmergencyView> {
        let with = |id: &&str| EmergencyView {
            id: (*id).to_owned(),
            ..samples::emergency()
        };
        ids.iter().map(with).collect()
    }

    #[test]
    fn an_emergency_is_named_by_nothing_a_prefix_or_its_id() {
        let one = listed(&[samples::ID]);
        for given in [None, Some("01936a5e"), Some("01936A5E-7c"), Some(samples::ID)] {
            assert_eq!(
                choose(one.iter().map(named), given).as_deref(),
                Ok(samples::ID),
                "{given:?}"
            );
        }
    }

    #[test]
    fn what_names_no_emergency_or_several_is_an_error() {
        let two = listed(&["01936a5e-7c00-1", "01936a5e-7c00-2"]);
        let cases = [
            (&two[..], None, Situation::Ambiguous),
            (&two[..], Some("01936a5e"), Situation::Ambiguous),
            (&two[..], Some("01936a5"), Situation::Usage),
            (&two[..], Some("ffffffff"), Situation::Api(Code::NoSuchEmergency)),
            (&[], None, Situation::NothingInForce),
            (&[], Some(samples::ID), Situation::Api(Code::NoSuchEmergency)),
        ];
        for (listed, given, situation) in cases {
            assert_eq!(
                choose(listed.iter().map(named), given).unwrap_err().situation,
                situation,
                "{given:?}"
            );
        }
    }

    #[test]
    fn residue_after_a_restore_calls_a_person() {
        assert_eq!(restored(&samples::receipt()), Exit::Done);
        assert_eq!(restored(&samples::stuck_receipt()), Exit::Partial);
        let quiet = ReceiptView {
            state: EmergencyState::Ended,
            ..samples::stuck_receipt()
        };
        assert_eq!(restored(&quiet), Exit::Partial);
    }
}
