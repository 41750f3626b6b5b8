//! `report`: an emergency for the review afterwards, made from the audit log. Needs no daemon where the log is given.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::args::Format;
use super::audit::export::host_name;
use super::audit::log::Log;
use super::audit::prove::{inclusion, refuse_damaged};
use super::audit::verify::AnchorArguments;
use super::emergency::choose;
use super::exit::{Exit, Failure, Situation};
use super::{Context, file};
use crate::api::error::Code;
use crate::drill::report::Report as Rehearsed;
use crate::model::export::ascii;
use crate::model::ledger::Anchors;
use crate::model::names::EmergencyId;
use crate::report::{Audience, Evidence, Report, ReportError, Selection, html, text};

/// Far above what a drill on a host with thousands of links writes.
const DRILL_MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The emergency's id or its first 8 characters; may be left out when the log has exactly one
    id: Option<String>,
    /// One page that needs nothing else, text, or stable JSON; otherwise as --output says
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Form>,
    /// Leave out addresses, names of links and persons; authority, reason, scope, times and receipt stay
    #[arg(long)]
    public: bool,
    /// A log on disk, without a daemon, in place of the log of the daemon at the socket
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// What a drill found (drill.json of `portcullis drill --save`), for its probes
    #[arg(long, value_name = "FILE")]
    drill: Option<PathBuf>,
    /// The host's name; that of this host where its daemon gives the log
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Write to this file, which must not be there yet, instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    anchors: AnchorArguments,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For a browser and for paper.
    Html,
    /// For a console or a mail.
    Text,
    /// For programs; stable.
    Json,
}

pub(crate) fn perform(arguments: Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let rehearsed = arguments.drill.as_deref().map(drill).transpose()?;
    let log = match &arguments.log {
        Some(file) => Log::find(file)?,
        None => Log::of_daemon(&context.client)?,
    };
    let host = match (arguments.host, log.is_of_daemon()) {
        (Some(host), _) => Some(host),
        (None, true) => Some(host_name()?),
        (None, false) => None,
    };
    let audience = if arguments.public {
        Audience::Public
    } else {
        Audience::Insiders
    };
    let wanted = Wanted {
        id: arguments.id.as_deref(),
        host,
        drill: rehearsed.as_ref(),
        audience,
    };
    let report = make(&log, arguments.anchors.read()?, wanted)?;
    let form = arguments.format.unwrap_or(match context.global.output {
        Format::Text => Form::Text,
        Format::Json => Form::Json,
    });
    let written = write(&report, form)?;
    match &arguments.to {
        Some(path) => save(path, &written)?,
        None => context.around.screen.text(&written),
    }
    if report.proof.verdict.damaged {
        let sentence = format!(
            "the audit log is damaged, and the report says so: {}",
            report.proof.verdict.sentence
        );
        context.around.screen.warn(&sentence);
        return Ok(Situation::AuditBroken.exit());
    }
    Ok(Exit::Done)
}

/// What a report is to be of.
pub(super) struct Wanted<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) host: Option<String>,
    pub(super) drill: Option<&'a Rehearsed>,
    pub(super) audience: Audience,
}

/// Reads the log once to see what is in it, once for the records, and once for each proof.
pub(super) fn make(log: &Log, anchors: Anchors, wanted: Wanted<'_>) -> Result<Report, Failure> {
    let mut known: Vec<(EmergencyId, String)> = Vec::new();
    let mut examined = log.examine(anchors, |record, _| {
        if let Some(id) = record.emergency.filter(|id| known.iter().all(|(other, _)| other != id)) {
            let policy = record.policy.as_ref().map(ToString::to_string).unwrap_or_default();
            known.push((id, policy));
        }
        Ok(())
    })?;
    // Where the daemon's records were kept for the while says nothing.
    examined.file = examined.file.filter(|_| !log.is_of_daemon());
    let listed: Vec<(String, &str)> = known
        .iter()
        .map(|(id, policy)| (id.to_string(), policy.as_str()))
        .collect();
    let listed = listed.iter().map(|(id, policy)| (id.as_str(), *policy));
    let chosen = choose(listed, wanted.id).or_else(|failure| {
        // What was looked for may stand behind the damage.
        refuse_damaged(&examined, "that was given")?;
        Err(failure)
    })?;
    let id = chosen
        .parse::<EmergencyId>()
        .map_err(|error| Failure::new(Situation::Api(Code::NoSuchEmergency), error.to_string(), ""))?;
    let (size, mut selection) = (examined.report.tree.size(), Selection::of(id));
    log.examine(Anchors::default(), |record, _| {
        if record.sequence <= size {
            selection.see(record);
        }
        Ok(())
    })?;
    let mut proofs = Vec::new();
    let mut sequences: Vec<u64> = selection
        .ends()
        .into_iter()
        .flat_map(|(first, last)| [first, last])
        .collect();
    sequences.dedup();
    for sequence in sequences {
        proofs.extend(inclusion(log, sequence, &examined.report)?);
    }
    let evidence = Evidence {
        examined: examined.report,
        inclusion: proofs,
    };
    Report::of(&selection, evidence, wanted.host, wanted.drill, wanted.audience).map_err(|error| {
        let situation = match &error {
            ReportError::NoRecords(_) => Situation::Api(Code::NoSuchEmergency),
            ReportError::OtherDrill { .. } => Situation::Usage,
        };
        Failure::new(
            situation,
            error.to_string(),
            "give the log and the results of one drill",
        )
    })
}

/// Writes a report in a form.
pub(super) fn write(report: &Report, form: Form) -> Result<String, Failure> {
    let unwritten = |error: String| {
        Failure::new(
            Situation::Unreadable,
            format!("failed to write the report: {error}"),
            "",
        )
    };
    match form {
        Form::Html => html::render(report).map_err(|error| unwritten(error.to_string())),
        Form::Text => Ok(text::render(report)),
        Form::Json => {
            let value = serde_json::to_value(report).map_err(|error| unwritten(error.to_string()))?;
            Ok(ascii(&format!("{value:#}\n")))
        }
    }
}

/// Writes a new file, to stay.
pub(super) fn save(path: &Path, text: &str) -> Result<(), Failure> {
    let mut out = file::create(path)?;
    let failed = |error| file::unwritable(path, &error);
    out.write_all(text.as_bytes()).map_err(failed)?;
    let out = out
        .into_inner()
        .map_err(|error| file::unwritable(path, error.error()))?;
    out.sync_all().map_err(failed)
}

fn drill(path: &Path) -> Result<Rehearsed, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        let detail = format!("failed to read the drill {}: {error}", path.display());
        Failure::new(
            Situation::Unreadable,
            detail,
            "give the drill.json of `portcullis drill --save`",
        )
    };
    let mut json = Vec::new();
    let file = file::open(path).map_err(|error| unreadable(&error))?;
    file.take(DRILL_MAX_BYTES)
        .read_to_end(&mut json)
        .map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&json).map_err(|error| unreadable(&error))
}
