//! The privileged daemon.

fn main() -> std::process::ExitCode {
    portcullis::daemon::main::main()
}
