//! `status`: where the host stands, once, as an exit code, or again and again.

use std::time::Duration;

use clap::Args;

use super::args::Format;
use super::client::Question;
use super::exit::{Exit, Failure};
use super::{Context, render};
use crate::api::{HostState, Status};

/// How often a watch looks.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Look again every second until interrupted
    #[arg(long, conflicts_with = "check")]
    watch: bool,
    /// Say by the exit code: 0 a cut is in force, 3 none, 6 stuck or left over, 8 degraded
    #[arg(long)]
    check: bool,
}

pub(crate) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    if arguments.watch {
        return Ok(watch(context));
    }
    let answer = context.client.ask::<Status>(Question::get("/v1/status"))?;
    let text = || render::status::status(&answer.value);
    context.around.screen.result(&answer.json, text);
    Ok(if arguments.check {
        check(answer.value.state)
    } else {
        Exit::Done
    })
}

/// A cut that is being laid out does not stand yet; one that is being put back may still stand in part.
fn check(state: HostState) -> Exit {
    match state {
        HostState::Clear | HostState::Proposed | HostState::Applying => Exit::NotInForce,
        HostState::InForce | HostState::Restoring => Exit::Done,
        HostState::Degraded => Exit::NotAsItShould,
        HostState::LeftOver | HostState::Stuck => Exit::Partial,
    }
}

/// Goes on while the daemon is away, since that is when people watch; ends when nobody reads any more.
fn watch(context: &mut Context<'_, '_>) -> Exit {
    loop {
        let answer = context.client.ask::<Status>(Question::get("/v1/status"));
        let screen = &mut context.around.screen;
        match (answer, context.global.output) {
            (Ok(answer), Format::Text) => screen.repaint(&render::status::status(&answer.value)),
            (Ok(answer), Format::Json) => screen.line(&answer.json),
            (Err(failure), Format::Text) => screen.failure(&failure),
            (Err(failure), Format::Json) => screen.line(&failure.json()),
        }
        if screen.is_closed() {
            return Exit::Done;
        }
        std::thread::sleep(context.around.watch_period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_whether_a_cut_stands() {
        let table = [
            (HostState::Clear, 3),
            (HostState::Applying, 3),
            (HostState::InForce, 0),
            (HostState::Restoring, 0),
            (HostState::Degraded, 8),
            (HostState::LeftOver, 6),
            (HostState::Stuck, 6),
        ];
        for (state, number) in table {
            assert_eq!(check(state).number(), number, "{state:?}");
        }
    }
}
