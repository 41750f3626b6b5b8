//! `declare`: plan, show, ask, declare. The plan that was shown is the plan that is carried out, by its digest.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, ValueEnum};
use uuid::Uuid;

use super::client::Question;
use super::exit::{Exit, Failure, Situation};
use super::prompt::Terminal;
use super::{Context, duration, plan, render};
use crate::api::error::Code;
use crate::api::{DeclareRequest, EmergencyState, EmergencyView, PlanView, Risk};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The policy's name
    policy: String,
    /// Why, in your own words
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The legal or organisational basis, or a ticket
    #[arg(long, value_name = "TEXT")]
    authority: String,
    /// What for; may be left out where the policy allows just one occasion
    #[arg(long, value_name = "OCCASION")]
    occasion: Option<String>,
    /// How long; the policy's default where absent
    #[arg(long = "for", value_parser = duration::parse, value_name = "DURATION")]
    duration: Option<Duration>,
    /// End by itself unless confirmed within this time
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    confirm_within: Option<Duration>,
    /// The digest of the plan that you have seen; another plan is refused. Stands for your consent
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    plan: Option<String>,
    /// Cut without the approval that the policy demands, where it allows that: shorter, and reviewed afterwards
    #[arg(long)]
    break_glass: bool,
    /// Accept a risk by name
    #[arg(long, value_enum, value_name = "RISK")]
    accept_risk: Vec<RiskName>,
}

/// [`Risk`] as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RiskName {
    /// The plan cuts the session from which it is declared
    LoseSession,
}

/// How consent is given.
enum Consent {
    /// By a flag.
    Given,
    /// To be asked for.
    Ask,
}

pub(crate) fn perform(arguments: Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let consent = consent(&arguments, context)?;
    let session = plan::own_session(context);
    let plan = plan::ask(context, &arguments.policy, arguments.duration, session.clone())?.value;
    check_digest(&plan, arguments.plan.as_deref())?;
    let accept_risks: BTreeSet<Risk> = arguments.accept_risk.iter().copied().map(risk).collect();
    if let Err(failure) = check_risks(&plan, &accept_risks) {
        context.around.screen.say(&render::plan::plan(&plan));
        return Err(failure);
    }
    match consent {
        Consent::Given => {}
        Consent::Ask => ask(&plan, context)?,
    }
    let request = DeclareRequest {
        policy: arguments.policy,
        occasion: arguments.occasion,
        reason: arguments.reason,
        authority: arguments.authority,
        duration_ms: arguments.duration.map(duration::millis),
        confirm_within_ms: arguments.confirm_within.map(duration::millis),
        accept_risks,
        break_glass: arguments.break_glass,
        session,
    };
    let question = Question::post("/v1/emergencies", &request)
        .header("if-match", format!("\"{}\"", plan.digest))
        .header("idempotency-key", Uuid::now_v7().to_string());
    let answer = context.client.ask::<EmergencyView>(question)?;
    let text = || render::status::emergency(&answer.value);
    context.around.screen.result(&answer.json, text);
    context
        .around
        .screen
        .next(&render::status::next_after_declare(&answer.value));
    Ok(exit(answer.value.state))
}

/// A digest as it is typed. Another plan's is refused later, by its own code; what can be nobody's is a slip.
pub(super) fn digest(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("it is no digest: those are hexadecimal digits, as `portcullis plan` prints them");
    }
    Ok(text.to_owned())
}

/// Before anything is asked of the daemon: whoever cannot be asked must have said yes.
fn consent(arguments: &Arguments, context: &Context<'_, '_>) -> Result<Consent, Failure> {
    if context.global.yes || arguments.plan.is_some() {
        return Ok(Consent::Given);
    }
    match (&context.around.terminal, context.global.no_input) {
        (Terminal::Person(_), false) => Ok(Consent::Ask),
        (Terminal::Person(_) | Terminal::Nobody, _) => Err(Failure::new(
            Situation::FlagMissing,
            format!(
                "declaring `{}` needs consent, and there is no terminal to ask",
                arguments.policy
            ),
            "give --plan DIGEST (from `portcullis plan`), or --yes for whatever the plan is",
        )),
    }
}

fn check_digest(plan: &PlanView, approved: Option<&str>) -> Result<(), Failure> {
    match approved {
        Some(approved) if approved != plan.digest => Err(Failure::new(
            Situation::Api(Code::PlanChanged),
            format!("the plan for `{}` is now {}, not {approved}", plan.policy, plan.digest),
            "look at it again: `portcullis plan`",
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_risks(plan: &PlanView, accepted: &BTreeSet<Risk>) -> Result<(), Failure> {
    if plan.loses_session && !accepted.contains(&Risk::LoseSession) {
        return Err(Failure::new(
            Situation::Api(Code::RiskNotAccepted),
            format!(
                "the plan for `{}` cuts the session from which you declare it",
                plan.policy
            ),
            "declare from the console, or accept it: --accept-risk lose-session, with --confirm-within 5m",
        ));
    }
    Ok(())
}

fn ask(plan: &PlanView, context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let around = &mut *context.around;
    around.screen.say(&render::plan::plan(plan));
    let question = render::plan::question(plan);
    match around.terminal.ask(&mut around.screen, &question) {
        Some(typed) if typed == plan.policy => Ok(()),
        Some(_) | None => Err(Failure::new(
            Situation::NotConfirmed,
            format!("the policy's name was not typed; `{}` is not declared", plan.policy),
            "nothing has changed",
        )),
    }
}

fn risk(name: RiskName) -> Risk {
    match name {
        RiskName::LoseSession => Risk::LoseSession,
    }
}

/// The daemon answers when the cut is read back; what it read may already be less than the whole cut.
pub(super) fn exit(state: EmergencyState) -> Exit {
    match state {
        EmergencyState::Proposed => Exit::Waiting,
        EmergencyState::Applying | EmergencyState::InForce => Exit::Done,
        EmergencyState::Degraded => Exit::NotAsItShould,
        EmergencyState::Restoring | EmergencyState::Ended => Exit::Failed,
        EmergencyState::Stuck => Exit::Partial,
    }
}
