//! The command line: what an operator types becomes one or two questions to the daemon, and the answers become text.
//!
//! It decides nothing about emergencies and never touches the kernel itself; what must be read locally comes through
//! [`Local`], which the binary gives. It never waits for input unless standard input and standard error are a terminal.
//!
//! Results go to standard output, everything else to standard error. With `-o json` standard output has exactly one
//! JSON value: the object of the API as the daemon gave it (keys sorted), or `{"error": {code, detail, hint, exit}}`;
//! `status --watch` has one such value a line. Only `render` prints.

mod alert;
mod approval;
mod args;
mod audit;
mod client;
mod completions;
mod declare;
mod doctor;
mod drill;
mod duration;
mod emergency;
mod exit;
mod file;
mod order;
mod plan;
mod policy;
mod prompt;
mod render;
mod report;
mod restore;
mod review;
mod session;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

use self::args::{Command, CommandLine, Effect, Format, Global};
use self::client::Client;
pub use self::exit::Exit;
use self::exit::{Failure, Situation};
use self::prompt::Terminal;
use self::render::Screen;
use crate::api::offline::{NotRestored, OfflineRestore, Place};
use crate::model::snapshot::Snapshot;

/// What the command line must read from this host, or do on it, without the daemon; always in the network namespace that
/// the caller stands in. The binary gives it, because the rooms that can are closed to this one.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    /// The canonical snapshot, or why the kernel could not be read.
    pub snapshot: fn() -> Result<Snapshot, Box<dyn std::error::Error + Send + Sync>>,
    /// Brings the host back without the daemon; after an error nothing has changed.
    pub restore: fn(&Place) -> Result<OfflineRestore, NotRestored>,
}

/// The command line as it may be typed, for the help, the man pages and the completions.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command().after_long_help(exit::table())
}

/// Runs the command line of this process.
pub fn main(local: Local) -> ExitCode {
    let mut surroundings = Surroundings {
        ssh_connection: std::env::var("SSH_CONNECTION").ok(),
        terminal: Terminal::of_process(),
        screen: Screen::of_process(),
        watch_period: status::PERIOD,
        local,
    };
    let exit = run(std::env::args_os(), &mut surroundings);
    ExitCode::from(exit.number())
}

/// What a command finds around it; tests give their own.
struct Surroundings<'a> {
    ssh_connection: Option<String>,
    terminal: Terminal<'a>,
    screen: Screen<'a>,
    watch_period: Duration,
    local: Local,
}

/// What every command gets.
struct Context<'s, 'a> {
    global: Global,
    client: Client,
    around: &'s mut Surroundings<'a>,
}

fn run(arguments: impl IntoIterator<Item = OsString>, around: &mut Surroundings<'_>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let line = match parse(&arguments) {
        Ok(line) => line,
        Err(error) => return usage(&error, asked_format(&arguments), around),
    };
    around.screen.adopt(line.global.output, line.global.color);
    let effect = line.command.effect();
    let mut context = Context {
        client: Client::new(&socket(&line), line.global.timeout),
        global: line.global,
        around,
    };
    let exit = match perform(line.command, &mut context) {
        Ok(exit) => exit,
        Err(failure) => {
            around.screen.failure(&failure);
            failure.situation.exit()
        }
    };
    match (around.screen.finish(), exit, effect) {
        (Err(_), Exit::Done, Effect::Looks) => Exit::Failed,
        (Err(_) | Ok(()), exit, Effect::Looks | Effect::Changes) => exit,
    }
}

/// The socket that was named, or the one that the command is for.
fn socket(line: &CommandLine) -> PathBuf {
    let of_hooks = matches!(line.command, Command::Alert(_));
    let usual = if of_hooks { alert::SOCKET } else { args::SOCKET };
    line.global.socket.clone().unwrap_or_else(|| PathBuf::from(usual))
}

fn parse(arguments: &[OsString]) -> Result<CommandLine, clap::Error> {
    CommandLine::from_arg_matches(&command().try_get_matches_from(arguments)?)
}

/// Help and version are results; everything else that clap says is an error of usage.
fn usage(error: &clap::Error, format: Format, around: &mut Surroundings<'_>) -> Exit {
    let text = error.render().ansi().to_string();
    if error.use_stderr() {
        around.screen.say(&text);
        if format == Format::Json {
            let said = error.render().to_string();
            let detail = said.split("\n\n").next().unwrap_or_default();
            let detail: Vec<&str> = detail.trim_start_matches("error: ").split_whitespace().collect();
            let failure = Failure::new(Situation::Usage, detail.join(" "), "see `portcullis --help`");
            around.screen.text(&format!("{:#}\n", failure.json()));
        }
        return Situation::Usage.exit();
    }
    around.screen.text(&text);
    match around.screen.finish() {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

/// The format that a line asks for, as far as one can tell that was not understood.
fn asked_format(arguments: &[OsString]) -> Format {
    let mut words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next().filter(|word| word != "--") {
        let value = match word.as_ref() {
            "-o" | "--output" => words.next(),
            word => ["--output=", "-o=", "-o"]
                .iter()
                .find_map(|option| word.strip_prefix(option))
                .map(|value| value.to_owned().into()),
        };
        if value.is_some_and(|value| value == "json") {
            return Format::Json;
        }
    }
    Format::Text
}

fn perform(command: Command, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    match command {
        Command::Status(arguments) => status::perform(&arguments, context),
        Command::Policy { command } => policy::perform(command, context),
        Command::Plan(arguments) => plan::perform(&arguments, context),
        Command::Declare(arguments) => declare::perform(arguments, context),
        Command::Confirm(arguments) => emergency::confirm(&arguments, context),
        Command::Extend(arguments) => emergency::extend(&arguments, context),
        Command::Approve(arguments) => approval::approve(&arguments, context),
        Command::Reject(arguments) => approval::reject(&arguments, context),
        Command::Review { command } => review::perform(command, context),
        Command::Revert(arguments) => emergency::revert(&arguments, context),
        Command::Order { command } => order::perform(command, context),
        Command::Alert(arguments) => alert::perform(arguments, context),
        Command::Restore(arguments) => restore::perform(&arguments, context),
        Command::Snapshot(arguments) => snapshot::perform(&arguments, context),
        Command::Audit { command } => audit::perform(command, context),
        Command::Report(arguments) => report::perform(arguments, context),
        Command::Doctor(arguments) => doctor::perform(&arguments, context),
        Command::Drill(arguments) => drill::perform(&arguments, context),
        Command::Completions(arguments) => Ok(completions::perform(&arguments, context)),
    }
}
