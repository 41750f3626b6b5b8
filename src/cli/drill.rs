//! `drill`: the whole life of an emergency on a copy of this host's network. Needs no daemon and no configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Failure, Situation};
use super::{Context, render};
use crate::api::error::chain;
use crate::drill::{self, Arm, DrillError};

/// Where policies are looked for by name.
const POLICY_DIRECTORY: &str = "/etc/portcullis/policies";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A policy file, or the name of a policy in /etc/portcullis/policies
    #[arg(value_name = "POLICY")]
    policy: String,
    /// Rehearse on an armed host, as with `arm = true` in portcullis.toml
    #[arg(long)]
    arm: bool,
}

pub(crate) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let file = file_of(&arguments.policy);
    let source = super::policy::read(&file).map_err(|e| {
        let detail = format!("failed to read the policy {}: {e}", file.display());
        Failure::new(
            Situation::Unreadable,
            detail,
            "give a policy file, or a name from /etc/portcullis/policies",
        )
    })?;
    let arm = if arguments.arm { Arm::On } else { Arm::Off };
    let report = drill::run(&file, source, arm).map_err(|e| failure(&e))?;
    let json = serde_json::to_value(&report)
        .map_err(|e| Failure::new(Situation::DrillNotHeld, format!("failed to write the report: {e}"), ""))?;
    context.around.screen.result(&json, || render::drill::report(&report));
    Ok(if report.held { Exit::Done } else { Exit::NotAsItShould })
}

fn file_of(policy: &str) -> PathBuf {
    let named = Path::new(POLICY_DIRECTORY).join(format!("{policy}.toml"));
    let is_name = !policy.contains('/') && !Path::new(policy).exists();
    if is_name { named } else { PathBuf::from(policy) }
}

fn failure(error: &DrillError) -> Failure {
    let situation = match error {
        DrillError::Policy(_) => Situation::BadPolicy,
        DrillError::Plan { .. } => Situation::PlanRefused,
        DrillError::Api(refused) => Situation::Api(refused.code),
        DrillError::Namespace(_)
        | DrillError::Build(_)
        | DrillError::Kernel(_)
        | DrillError::Refused(_)
        | DrillError::Probe(_)
        | DrillError::Service(_)
        | DrillError::Thread(_)
        | DrillError::State(_)
        | DrillError::Name(_) => Situation::DrillNotHeld,
    };
    Failure::new(situation, chain(error), error.hint())
}
