//! `drill`: the whole life of an emergency on a copy of this host's network. Needs no daemon and no configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use super::audit::export::host_name;
use super::audit::log::Log;
use super::exit::{Exit, Failure, Situation};
use super::report::{Form, Wanted};
use super::{Context, file, render, report};
use crate::api::error::chain;
use crate::drill::report::Report;
use crate::drill::{self, Arm, DrillError, Rehearsed};
use crate::model::ledger::Anchors;
use crate::report::Audience;

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
    /// Keep in this folder, which must not be there yet, the report (report.html), the drill's audit log (audit.jsonl) and this
    /// result (drill.json): `portcullis report --log FILE --drill FILE` makes the other forms of them
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
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
    if let Some(folder) = arguments.save.as_deref().filter(|folder| folder.exists()) {
        let detail = format!("{} is there already", folder.display());
        return Err(Failure::new(
            Situation::Usage,
            detail,
            "name a folder that is to be made",
        ));
    }
    let arm = if arguments.arm { Arm::On } else { Arm::Off };
    let Rehearsed { report, log } = drill::run(&file, source, arm).map_err(|e| failure(&e))?;
    let json = serde_json::to_value(&report)
        .map_err(|e| Failure::new(Situation::DrillNotHeld, format!("failed to write the report: {e}"), ""))?;
    if let Some(folder) = &arguments.save {
        save(folder, &log, &report, &format!("{json:#}\n"))?;
        context
            .around
            .screen
            .next(&format!("open {}", folder.join(PAGE).display()));
    }
    context.around.screen.result(&json, || render::drill::report(&report));
    Ok(if report.held { Exit::Done } else { Exit::NotAsItShould })
}

/// The files that are kept.
const PAGE: &str = "report.html";
const LOG: &str = "audit.jsonl";
const RESULT: &str = "drill.json";

/// Keeps the log and the result, and makes the report of them.
fn save(folder: &Path, log: &str, report: &Report, json: &str) -> Result<(), Failure> {
    std::fs::create_dir(folder).map_err(|error| file::unwritable(folder, &error))?;
    let kept = folder.join(LOG);
    report::save(&kept, log)?;
    report::save(&folder.join(RESULT), json)?;
    let wanted = Wanted {
        id: Some(&report.receipt.emergency),
        host: Some(host_name()?),
        drill: Some(report),
        audience: Audience::Insiders,
    };
    let made = report::make(&Log::find(&kept)?, Anchors::default(), wanted)?;
    report::save(&folder.join(PAGE), &report::write(&made, Form::Html)?)
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
