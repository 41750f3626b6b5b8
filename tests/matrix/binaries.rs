//! `portcullisd` and `portcullis`, as they are installed: one daemon in the subject's namespace, one socket, one disk.

use std::process::{Command, Stdio};
use std::time::Duration;

use portcullis::api::{HostState, PlanView, ReceiptView, Status};
use portcullis::drill::namespace::Namespace;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::world::{Kid, bin, wait_until};

/// A running daemon with its policies.
#[derive(Debug)]
pub struct Daemon<'n> {
    namespace: &'n Namespace,
    // Killed before its disk goes.
    _kid: Kid,
    disk: TempDir,
    /// Whether the daemon keeps the host armed.
    pub armed: bool,
}

impl<'n> Daemon<'n> {
    /// Starts the daemon in a namespace with these policies, given by name and text, and waits until it serves.
    #[track_caller]
    pub fn start(namespace: &'n Namespace, policies: &[(&str, String)]) -> Self {
        Self::start_with(namespace, policies, &[])
    }

    /// The same on a host that the daemon arms.
    #[track_caller]
    pub fn start_armed(namespace: &'n Namespace, policies: &[(&str, String)]) -> Self {
        Self::start_with(namespace, policies, &["--arm"])
    }

    #[track_caller]
    fn start_with(namespace: &'n Namespace, policies: &[(&str, String)], flags: &[&str]) -> Self {
        let disk = tempfile::tempdir().unwrap();
        let directory = disk.path().join("policies");
        std::fs::create_dir(&directory).unwrap();
        for (name, text) in policies {
            std::fs::write(directory.join(format!("{name}.toml")), text).unwrap();
        }
        let log = std::fs::File::create(disk.path().join("log")).unwrap();
        let program = bin("portcullisd");
        let kid = Kid::spawn(namespace, &program, |command| {
            for (flag, path) in [("--policies", "policies"), ("--state", "state"), ("--socket", "socket")] {
                command.arg(flag).arg(disk.path().join(path));
            }
            command.args(flags).stderr(log);
        });
        let mut daemon = Self {
            namespace,
            _kid: kid,
            disk,
            armed: !flags.is_empty(),
        };
        daemon.wait_until_it_serves();
        daemon
    }

    fn wait_until_it_serves(&mut self) {
        let socket = self.disk.path().join("socket");
        wait_until("the daemon serves", Duration::from_secs(20), || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
    }

    /// Runs the command line; its standard output, or the exit code with all that was said.
    pub fn try_cli(&self, args: &[&str]) -> Result<String, String> {
        let program = bin("portcullis");
        let output = self.namespace.run(|_| {
            Command::new(&program)
                .arg("--socket")
                .arg(self.disk.path().join("socket"))
                .args(["--output", "json", "--no-input"])
                .args(args)
                .env_remove("SSH_CONNECTION")
                .stdin(Stdio::null())
                .output()
                .unwrap()
        });
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!(
            "{}\n{}{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr),
            self.log()
        ))
    }

    #[track_caller]
    fn cli<T: DeserializeOwned>(&self, args: &[&str]) -> T {
        let said = self
            .try_cli(args)
            .unwrap_or_else(|why| panic!("portcullis {args:?}: {why}"));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("portcullis {args:?}: {error}: {said}"))
    }

    /// `plan`.
    #[track_caller]
    pub fn plan(&self, policy: &str) -> PlanView {
        self.cli(&["plan", policy])
    }

    /// `declare`, without any question.
    #[track_caller]
    pub fn declare(&self, policy: &str) {
        let view: serde_json::Value = self.cli(&[
            "declare",
            policy,
            "--reason",
            "a test of the matrix",
            "--authority",
            "the test",
            "--occasion",
            "exercise",
            "--yes",
        ]);
        assert_eq!(view["state"], "in-force", "{view}");
    }

    /// `status`.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.cli(&["status"])
    }

    /// Asserts that a cut stands whole.
    #[track_caller]
    pub fn assert_in_force(&self) {
        let status = self.status();
        assert_eq!(status.state, HostState::InForce, "{status:#?}\n{}", self.log());
        assert_eq!(status.open_paths, Vec::<String>::new());
    }

    /// Waits until a cut stands whole.
    #[track_caller]
    pub fn wait_in_force(&self) {
        wait_until("the cut stands whole", Duration::from_secs(10), || {
            let status = self.status();
            status.state == HostState::InForce && status.open_paths.is_empty()
        });
    }

    /// `revert`.
    #[track_caller]
    pub fn revert(&self) -> ReceiptView {
        let receipt = self.cli(&["revert"]);
        assert_eq!(self.status().state, HostState::Clear);
        receipt
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.disk.path().join("log")).unwrap()
    }
}
