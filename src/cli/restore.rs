//! `restore --offline`: what `revert` does, without the daemon.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure, Situation};
use super::{Context, render};
use crate::api::offline::{NotRestored, Obstacle, OfflineRestore, Place};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Do it here and now, without the daemon: as root, with nothing else needed. While a daemon runs, use `revert`
    #[arg(long, required = true)]
    offline: bool,
    /// The state directory, as the daemon's flag of this name
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The daemon's configuration, read for the state directory only; policies are never read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let place = Place {
        state: arguments.state.clone(),
        config: arguments.config.clone(),
    };
    let done = (context.around.local.restore)(&place).map_err(|error| failure(&error))?;
    let json = serde_json::to_value(&done)
        .map_err(|e| Failure::new(Situation::Unreadable, format!("failed to write the result: {e}"), ""))?;
    context.around.screen.result(&json, || render::restore::offline(&done));
    for warning in &done.warnings {
        context.around.screen.warn(warning);
    }
    Ok(exit(&done))
}

/// A journal that stays behind would lay the cut again, so it is something that could not be undone.
fn exit(done: &OfflineRestore) -> Exit {
    if done.left.is_empty() && !done.journal_stays {
        Exit::Done
    } else {
        Exit::Partial
    }
}

fn failure(error: &NotRestored) -> Failure {
    let situation = match error.kind {
        Obstacle::InUse => Situation::InUse,
        Obstacle::Configuration => Situation::BadPolicy,
        Obstacle::Unusable => Situation::Unreadable,
    };
    Failure::new(situation, error.detail.clone(), error.hint.clone())
}
