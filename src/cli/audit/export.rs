//! `audit export`: the records for other people's systems, each verified before it is written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::log::Log;
use super::prove::refuse_damaged;
use crate::cli::Context;
use crate::cli::exit::{Exit, Failure, Situation};
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
    let mut file = arguments.to.as_deref().map(create).transpose()?;
    let screen = &mut context.around.screen;
    let view = arguments.format.view();
    let examined = log.examine(Anchors::default(), |record, _| {
        if record.sequence <= arguments.after {
            return Ok(());
        }
        let text = line(view, record, &source) + "\n";
        match (&mut file, &arguments.to) {
            (Some(file), Some(path)) => file
                .write_all(text.as_bytes())
                .map_err(|error| unwritable(path, &error))?,
            (Some(_), None) | (None, _) => screen.text(&text),
        }
        Ok(())
    })?;
    if let (Some(file), Some(path)) = (file, &arguments.to) {
        let file = file.into_inner().map_err(|error| unwritable(path, error.error()))?;
        file.sync_all().map_err(|error| unwritable(path, &error))?;
    }
    // What was written until there stands: it was verified.
    refuse_damaged(&examined, &arguments.file.display().to_string())?;
    Ok(Exit::Done)
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let created = File::create_new(path).map_err(|error| unwritable(path, &error));
    created.map(BufWriter::new)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let detail = format!("failed to write {}: {error}", path.display());
    Failure::new(
        Situation::Unreadable,
        detail,
        "name a file in a folder that you may write to",
    )
}

fn host_name() -> Result<String, Failure> {
    let name = nix::unistd::gethostname().map_err(|errno| {
        let detail = format!("failed to read the host's name: {errno}");
        Failure::new(Situation::Unreadable, detail, "give it with --host")
    })?;
    Ok(name.to_string_lossy().into_owned())
}
