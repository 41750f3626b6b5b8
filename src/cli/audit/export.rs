//! `audit export`: the records for other people's systems, each verified before it is written.

use std::io::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;

use super::log::Log;
use super::prove::refuse_damaged;
use crate::cli::exit::{Exit, Failure, Situation};
use crate::cli::{Context, file};
use crate::model::export::{Source, View, line};
use crate::model::ledger::Anchors;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// In whose words
    #[arg(long, value_enum, default_value_t = Words::Jsonl)]
    format: Words,
    /// Write to this file, which must not be there yet, instead of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Only records behind this one, for going on
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    after: u64,
    /// The host's name, where the log comes from another
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The log
    #[arg(long, default_value = super::DEFAULT_LOG, value_name = "FILE")]
    file: PathBuf,
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Words {
    /// The records themselves, escaped to ASCII
    Jsonl,
    /// OCSF 1.8.0
    Ocsf,
    /// Elastic Common Schema
    Ecs,
    /// Common Event Format
    Cef,
}

impl Words {
    fn view(self) -> View {
        match self {
            Self::Jsonl => View::Jsonl,
            Self::Ocsf => View::Ocsf,
            Self::Ecs => View::Ecs,
            Self::Cef => View::Cef,
        }
    }
}

pub(super) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let source = Source {
        host: arguments.host.clone().map_or_else(host_name, Ok)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let log = Log::find(&arguments.file)?;
    let mut out = arguments.to.as_deref().map(file::create).transpose()?;
    let screen = &mut context.around.screen;
    let view = arguments.format.view();
    let examined = log.examine(Anchors::default(), |record, _| {
        if record.sequence <= arguments.after {
            return Ok(());
        }
        let text = line(view, record, &source) + "\n";
        match (&mut out, &arguments.to) {
            (Some(out), Some(path)) => out
                .write_all(text.as_bytes())
                .map_err(|error| file::unwritable(path, &error))?,
            (Some(_), None) | (None, _) => screen.text(&text),
        }
        Ok(())
    })?;
    if let (Some(out), Some(path)) = (out, &arguments.to) {
        let out = out
            .into_inner()
            .map_err(|error| file::unwritable(path, error.error()))?;
        out.sync_all().map_err(|error| file::unwritable(path, &error))?;
    }
    // What was written until there stands: it was verified.
    refuse_damaged(&examined, &arguments.file.display().to_string())?;
    Ok(Exit::Done)
}

pub(in crate::cli) fn host_name() -> Result<String, Failure> {
    let name = nix::unistd::gethostname().map_err(|errno| {
        let detail = format!("failed to read the host's name: {errno}");
        Failure::new(Situation::Unreadable, detail, "give it with --host")
    })?;
    Ok(name.to_string_lossy().into_owned())
}
