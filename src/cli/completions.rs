//! `completions`: what a shell needs to complete the command line.

use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use super::exit::Exit;
use super::{Context, command};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Exit {
    let script = script(arguments.shell);
    let json = json!({"api_version": crate::api::VERSION, "shell": arguments.shell.to_string(), "script": script});
    context.around.screen.result(&json, || script.clone());
    Exit::Done
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "portcullis", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
