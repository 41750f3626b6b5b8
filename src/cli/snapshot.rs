//! `snapshot`: the kernel's network state, or what became different since a file was written.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use similar::TextDiff;

use super::client::Question;
use super::exit::{Exit, Failure, Situation};
use super::{Context, file, render};
use crate::model::snapshot::Snapshot;
use crate::model::text::is_snapshot;

/// Some ten million routes; what is longer is cut off here and differs.
const SNAPSHOT_MAX_BYTES: u64 = 1 << 30;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Compare with a file that an earlier `snapshot` wrote; exits 8 if they differ
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,
    /// Read the kernel here and now, in this network namespace, without the daemon
    #[arg(long)]
    local: bool,
}

pub(crate) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    // The file first: a mistyped name should not cost a dump of a million routes.
    let before = arguments.diff.as_deref().map(read).transpose()?;
    let now = if arguments.local {
        here(context)?.to_string()
    } else {
        context.client.ask_text(Question::get("/v1/snapshot"))?
    };
    let Some((name, before)) = before else {
        let json = json!({"api_version": crate::api::VERSION, "snapshot": now});
        context.around.screen.result(&json, || render::lines(&now));
        return Ok(Exit::Done);
    };
    let diff = TextDiff::from_lines(before.as_str(), now.as_str());
    let text = diff.unified_diff().context_radius(0).header(&name, "now").to_string();
    let same = before == now;
    let json = json!({"api_version": crate::api::VERSION, "same": same, "diff": text});
    context.around.screen.result(&json, || render::diff(&text));
    Ok(if same { Exit::Done } else { Exit::NotAsItShould })
}

/// The snapshot of this network namespace, without the daemon.
pub(crate) fn here(context: &Context<'_, '_>) -> Result<Snapshot, Failure> {
    (context.around.local.snapshot)().map_err(|error| {
        let detail = format!("failed to read the kernel's network state: {error}");
        Failure::new(
            Situation::Unreadable,
            detail,
            "name a file that an earlier `portcullis snapshot` wrote",
        )
    })
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    let name = path.display().to_string();
    let mut text = String::new();
    let read = file::open(path).and_then(|f| f.take(SNAPSHOT_MAX_BYTES).read_to_string(&mut text));
    read.map_err(|error| {
        let detail = format!("failed to read the snapshot {name}: {error}");
        Failure::new(
            Situation::Unreadable,
            detail,
            "name a file that `portcullis snapshot` wrote",
        )
    })?;
    let snapshot = written(text).ok_or_else(|| {
        let detail = format!("{name} is not a snapshot");
        Failure::new(
            Situation::Usage,
            detail,
            "name a file that `portcullis snapshot` wrote, as text or JSON",
        )
    })?;
    Ok((name, snapshot))
}

/// The snapshot's text out of either form in which one is written.
fn written(file: String) -> Option<String> {
    #[derive(Deserialize)]
    struct Written {
        snapshot: String,
    }
    let text = if file.starts_with('{') {
        serde_json::from_str::<Written>(&file).ok()?.snapshot
    } else {
        file
    };
    is_snapshot(&text).then_some(text)
}
