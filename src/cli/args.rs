//! What may be typed. Meaning is given to it in the file of each command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::duration;
use super::{
    alert, approval, audit, completions, declare, doctor, drill, emergency, order, plan, policy, report, restore,
    review, snapshot, status,
};

/// The daemon's socket for operators where none is named.
pub(crate) const SOCKET: &str = "/run/portcullis/portcullis.sock";

/// Declare, watch and end emergencies on this host: exact cuts, kept lifelines, proven undo.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Text for people, or stable JSON: the objects of the API; an error is then an object on standard output too
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// The daemon's socket; where absent /run/portcullis/portcullis.sock, and for `alert` /run/portcullis-hook/hook.sock
    #[arg(long, global = true, env = "PORTCULLIS_SOCKET", value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Colours; `auto` is for terminals, and NO_COLOR turns it off
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(crate) color: Colour,
    /// Never ask; a missing confirmation is an error
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Declare without being asked for the policy's name
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// The longest wait for an answer of the daemon
    #[arg(long, global = true, value_parser = duration::parse, default_value = "60s", value_name = "DURATION")]
    pub(crate) timeout: Duration,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; may change.
    Text,
    /// For programs; stable.
    Json,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR or TERM=dumb say otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Where this host stands, read from the kernel just now
    ///
    /// Ends with 0 whatever the state is, degraded and stuck included: the question was answered, and a script that reads
    /// the answer is not cut off by it. Use --check where the exit code is to be the answer.
    Status(status::Arguments),
    /// The policies: what may be cut, what stays, for how long
    Policy {
        /// What to do with them.
        #[command(subcommand)]
        command: policy::Command,
    },
    /// What a declaration would do now; changes nothing
    Plan(plan::Arguments),
    /// Declare an emergency and cut
    Declare(declare::Arguments),
    /// Say that you are still there, so that the cut stays until its end; what hooks declared is yours then
    Confirm(emergency::Confirm),
    /// Move the end of an emergency; what hooks declared is yours then
    Extend(emergency::Extend),
    /// Approve what another person declared; the last approval that is needed cuts
    Approve(approval::Approve),
    /// End a declaration that waits for approval; nothing is cut
    Reject(approval::Reject),
    /// What one person declared without the approval that the policy demands
    Review {
        /// What to do with them.
        #[command(subcommand)]
        command: review::Command,
    },
    /// End an emergency and put everything back
    Revert(emergency::Revert),
    /// Signed orders: who signs declares, approves or ends, wherever they are
    Order {
        /// What to do with them.
        #[command(subcommand)]
        command: order::Command,
    },
    /// Raise or resolve an alert, as a hook
    ///
    /// For what watches this host, such as Alertmanager or fail2ban, over a socket of its own. The policy says which users may, and
    /// how many of them must raise it before it is declared; the emergency ends when the last of them resolves its own alert.
    /// Ends with 0 once the alert is taken, whether it cuts, waits for others, or is left to operators.
    Alert(alert::Arguments),
    /// Put everything back without the daemon
    Restore(restore::Arguments),
    /// The kernel's network state as canonical text
    Snapshot(snapshot::Arguments),
    /// The audit log
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: audit::Command,
    },
    /// The report of an emergency, for the review afterwards
    ///
    /// Made from the audit log: by whom, on what authority, why; what was cut and what was kept; a timeline; the receipt; what
    /// the log proves. Ends with 8 if the log is damaged, which the report then says, too.
    Report(report::Arguments),
    /// Whether this host could cut and restore now
    Doctor(doctor::Arguments),
    /// Rehearse a policy on a copy of this host's network; needs no daemon and changes nothing outside
    Drill(drill::Arguments),
    /// Completions for a shell
    Completions(completions::Arguments),
}

/// Whether a command only looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes nothing: output that was lost makes it a failure.
    Looks,
    /// It changed something, whatever became of its output.
    Changes,
}

impl Command {
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::Declare(_) | Self::Confirm(_) | Self::Extend(_) | Self::Revert(_) | Self::Restore(_) => {
                Effect::Changes
            }
            Self::Approve(_) | Self::Reject(_) | Self::Alert(_) => Effect::Changes,
            Self::Review { command } => command.effect(),
            Self::Order { command } => match command {
                order::Command::New { .. } => Effect::Looks,
                order::Command::Sign(_) | order::Command::Submit(_) => Effect::Changes,
            },
            Self::Status(_) | Self::Policy { .. } | Self::Plan(_) | Self::Snapshot(_) => Effect::Looks,
            Self::Report(_) => Effect::Looks,
            Self::Audit { .. } | Self::Doctor(_) | Self::Drill(_) | Self::Completions(_) => Effect::Looks,
        }
    }
}
