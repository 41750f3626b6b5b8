//! A daemon in a namespace of the world, and the command line that speaks to it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use portcullis::drill::namespace::Namespace;
use serde_json::Value;

use crate::world::{Kid, bin, wait_until};

/// `portcullisd` at work in one namespace, with its own state, policies and socket.
#[derive(Debug)]
pub struct Host {
    kid: Kid,
    directory: PathBuf,
}

/// What a run of `portcullis` came to.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// What it printed as its result; null where it printed none.
    pub json: Value,
    /// What it printed for people.
    pub stderr: String,
}

impl Said {
    /// The result of a run that must have succeeded.
    #[track_caller]
    pub fn done(self) -> Value {
        self.ended(0)
    }

    /// The result of a run that must have ended with this code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Value {
        assert_eq!(self.code, code, "{:#}\n{}", self.json, self.stderr);
        self.json
    }

    /// The stable code of an error, with the exit code that it must have.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        text(&self.ended(code)["error"]["code"])
    }
}

/// A JSON string without its quotes.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A JSON list of strings.
#[track_caller]
pub fn lines(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    list.iter().map(text).collect()
}

impl Host {
    /// Starts the daemon and waits until it serves.
    #[track_caller]
    pub fn start(at: &Namespace, policies: &[(&str, String)]) -> Self {
        Self::start_with(at, policies, &[])
    }

    /// The same with further flags. A directory that an earlier one left is taken up.
    #[track_caller]
    pub fn start_with(at: &Namespace, policies: &[(&str, String)], flags: &[&str]) -> Self {
        let directory = PathBuf::from("/run").join(format!("portcullis-{}", at.name()));
        fs::create_dir_all(directory.join("policies")).unwrap();
        for (name, policy) in policies {
            fs::write(directory.join("policies").join(format!("{name}.toml")), policy).unwrap();
        }
        let log = fs::File::create(directory.join("log")).unwrap();
        let kid = Kid::spawn(at, &bin("portcullisd"), |command| {
            let path = |name: &str| directory.join(name);
            command.arg("--policies").arg(path("policies"));
            command.arg("--state").arg(path("state"));
            command.arg("--socket").arg(path("socket"));
            command.args(flags).stdout(Stdio::null()).stderr(log);
        });
        let mut host = Self { kid, directory };
        host.wait_until_served();
        host
    }

    #[track_caller]
    fn wait_until_served(&mut self) {
        wait_until("the daemon serves", Duration::from_secs(20), || {
            let ended = self.kid.child().try_wait().unwrap();
            assert_eq!(ended, None, "the daemon ended:\n{}", self.log());
            self.directory.join("socket").exists() && self.run(&["status"]).code == 0
        });
    }

    /// Stops the daemon in order and waits for its end.
    #[track_caller]
    pub fn stop(self) {
        drop(self);
    }

    /// Kills the daemon, and leaves its directory for the next one.
    #[track_caller]
    pub fn kill(mut self) {
        self.kid.signal(Signal::SIGKILL);
        self.kid.wait(Duration::from_secs(20));
        // The end is no orderly one, so there is nothing to wait for in it.
        fs::remove_file(self.directory.join("socket")).unwrap();
        std::mem::forget(self);
    }

    /// What the daemon wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Runs `portcullis`.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_from(arguments, None)
    }

    /// Runs `portcullis` as from an SSH session, given as sshd describes it.
    #[track_caller]
    pub fn run_from(&self, arguments: &[&str], ssh_connection: Option<&str>) -> Said {
        let mut command = Command::new(bin("portcullis"));
        command
            .arg("--socket")
            .arg(self.directory.join("socket"))
            .args(["--output", "json"]);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .env_remove("SSH_CONNECTION");
        command.envs(ssh_connection.map(|value| ("SSH_CONNECTION", value)));
        let output = command.output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Said {
            code: output.status.code().unwrap(),
            json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Speaks to the socket without the command line, which takes a new idempotency key every time.
    #[track_caller]
    pub fn post(&self, path: &str, key: &str, body: &str) -> Value {
        let mut socket = UnixStream::connect(self.directory.join("socket")).unwrap();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             idempotency-key: {key}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Declares a policy and gives the emergency's id.
    #[track_caller]
    pub fn declare(&self, policy: &str) -> String {
        let view = self.try_declare(policy, &[]).done();
        assert_eq!(view["state"], "in-force", "{view:#}\n{}", self.log());
        text(&view["id"])
    }

    /// Declares a policy with further arguments.
    #[track_caller]
    pub fn try_declare(&self, policy: &str, more: &[&str]) -> Said {
        let mut arguments = vec![
            "declare",
            policy,
            "--reason",
            "a test",
            "--authority",
            "its author",
            "--yes",
        ];
        arguments.extend(more);
        self.run(&arguments)
    }

    /// Ends an emergency and gives the receipt, which must be that of a good end.
    #[track_caller]
    pub fn revert(&self, id: &str) -> Value {
        let receipt = self.run(&["revert", id]).done();
        assert_eq!(receipt["state"], "ended", "{receipt:#}");
        assert_eq!(lines(&receipt["residues"]), Vec::<String>::new(), "{receipt:#}");
        receipt
    }

    /// `portcullis status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.run(&["status"]).done()
    }

    /// Waits until status says what is wanted.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) {
        let mut last = Value::Null;
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(what, Duration::from_secs(10), || {
                last = self.status();
                wanted(&last)
            });
        }));
        assert!(ended.is_ok(), "not {what}: {last:#}\n{}", self.log());
    }

    /// The audit records of one kind.
    #[track_caller]
    pub fn records(&self, kind: &str) -> Vec<Value> {
        let page = self.run(&["audit", "show", "--kind", kind]).done();
        page["records"].as_array().unwrap().clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
            return;
        }
        self.kid.signal(Signal::SIGTERM);
        assert!(self.kid.wait(Duration::from_secs(20)).success(), "{}", self.log());
    }
}
