//! `policy`: what is loaded, whether a file would load, and a first draft for this host.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Question, encode};
use super::exit::{Exit, Failure, Situation};
use super::{Context, file, plan, render, snapshot};
use crate::api::{PolicySummary, PolicyView, Session};
use crate::model::names::PolicyName;
use crate::model::policy_file::{self, SOURCE_MAX_BYTES};
use crate::model::proposal::{self, OwnSession, ProposedScope};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The policies that the daemon has loaded
    List,
    /// One policy, as written
    Show {
        /// The policy's name
        name: String,
    },
    /// Whether files are valid policies; needs no daemon
    Check {
        /// Policy files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// A commented policy for this host, made from its links, addresses and routes; needs no daemon
    New(New),
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The new policy's name
    #[arg(default_value = "this-host")]
    name: PolicyName,
    /// What it is to cut
    #[arg(long, value_enum, default_value_t = ScopeName::Host, value_name = "SCOPE")]
    scope: ScopeName,
}

/// [`ProposedScope`] as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScopeName {
    /// The whole host
    Host,
    /// The links that carry a default route
    Uplinks,
}

pub(crate) fn perform(command: Command, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    match command {
        Command::List => {
            let answer = context
                .client
                .ask::<Vec<PolicySummary>>(Question::get("/v1/policies"))?;
            let text = || render::policy::list(&answer.value);
            context.around.screen.result(&answer.json, text);
            Ok(Exit::Done)
        }
        Command::Show { name } => {
            let path = format!("/v1/policies/{}", encode(&name));
            let answer = context.client.ask::<PolicyView>(Question::get(path))?;
            let text = || render::policy::show(&answer.value);
            context.around.screen.result(&answer.json, text);
            Ok(Exit::Done)
        }
        Command::Check { files } => check(&files, context),
        Command::New(arguments) => new(&arguments, context),
    }
}

/// The text goes to standard output, for a file of the operator's choice: nothing is put where the daemon would load it.
fn new(arguments: &New, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let session = plan::own_session(context).as_ref().and_then(own_session);
    let host = snapshot::here(context)?;
    let scope = match arguments.scope {
        ScopeName::Host => ProposedScope::Host,
        ScopeName::Uplinks => ProposedScope::Uplinks,
    };
    let source = proposal::propose(&host, &arguments.name, scope, session).map_err(|error| {
        let hint = "write one by hand: see portcullis-policy(5)";
        Failure::new(Situation::NothingToPropose, error.to_string(), hint)
    })?;
    let json = json!({"api_version": crate::api::VERSION, "policy": arguments.name, "source": source});
    context.around.screen.result(&json, || render::lines(&source));
    Ok(Exit::Done)
}

fn own_session(session: &Session) -> Option<OwnSession> {
    let peer = session.peer.parse().ok()?;
    let port = session.local_port;
    Some(OwnSession { peer, port })
}

/// What came of one file.
struct Checked {
    json: Value,
    text: String,
    exit: Exit,
}

fn check(files: &[PathBuf], context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let checked = files
        .iter()
        .map(|file| check_file(file))
        .collect::<Result<Vec<_>, _>>()?;
    let exit = checked.iter().map(|c| c.exit).max().unwrap_or(Exit::Done);
    let json: Value = checked.iter().map(|c| c.json.clone()).collect();
    let text = || checked.iter().map(|c| c.text.as_str()).collect();
    context.around.screen.result(&json, text);
    Ok(exit)
}

fn check_file(file: &Path) -> Result<Checked, Failure> {
    let name = file.display().to_string();
    let source = read(file).map_err(|error| {
        let detail = format!("failed to read the policy file {name}: {error}");
        Failure::new(Situation::Unreadable, detail, "name a policy file that you may read")
    })?;
    Ok(match policy_file::parse(&name, &source) {
        Ok(policy) => Checked {
            json: json!({"file": name, "valid": true, "policy": policy.name, "problems": []}),
            text: render::policy::valid(&name, policy.name.as_ref()),
            exit: Exit::Done,
        },
        Err(errors) => Checked {
            json: json!({"file": name, "valid": false, "policy": null, "problems": errors.errors()}),
            text: render::policy::invalid(&errors),
            exit: Situation::BadPolicy.exit(),
        },
    })
}

/// One byte more than allowed at most: the parser then says that it is too long.
pub(super) fn read(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file::open(path)?
        .take(SOURCE_MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error()))
}
