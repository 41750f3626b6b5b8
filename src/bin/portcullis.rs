//! The command line.

use portcullis::{cli, daemon::offline};

fn main() -> std::process::ExitCode {
    cli::main(cli::Local {
        snapshot: offline::snapshot,
        restore: offline::restore,
    })
}
