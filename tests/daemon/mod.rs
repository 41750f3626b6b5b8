//! The real daemon and command line in a namespace of a test world, and a client of its socket that shares no code with
//! them.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    dead_code,
    reason = "test code; every test binary includes this module and uses another part of it"
)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use portcullis::drill::namespace::Namespace;
use serde_json::Value;

use crate::world::{Kid, bin, wait_until};

/// No answer takes longer, a restore with its detection of duplicate addresses included.
pub const PATIENT: Duration = Duration::from_secs(30);

/// A folder with policies, state, socket and log of one host.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// A folder with these policies: file name and text.
    pub fn with(policies: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Self { folder };
        // The daemon obeys no file that others may write, whatever the umask of whoever runs the tests.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        fs::create_dir(home.policies()).unwrap();
        for (name, text) in policies {
            fs::write(home.policies().join(name), text).unwrap();
        }
        home
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn policies(&self) -> PathBuf {
        self.path().join("policies")
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("s.sock")
    }

    /// Writes the configuration file that daemons are started with from then on.
    pub fn configure(&self, text: &str) {
        fs::write(self.config(), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.path().join("portcullis.toml")
    }

    pub fn audit(&self) -> PathBuf {
        self.state().join("audit.jsonl")
    }

    /// What daemons said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Starts a daemon and does not wait for it.
    #[track_caller]
    pub fn spawn(&self, namespace: &Namespace) -> Daemon {
        self.spawn_by(namespace, &[])
    }

    /// The same by another program, such as `prlimit` or `strace`, with its arguments.
    #[track_caller]
    pub fn spawn_by(&self, namespace: &Namespace, wrapper: &[&str]) -> Daemon {
        let daemon = bin("portcullisd");
        let words: Vec<&OsStr> = wrapper.iter().map(OsStr::new).chain([daemon.as_os_str()]).collect();
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.path().join("log"))
            .unwrap();
        let kid = Kid::spawn(namespace, Path::new(words[0]), |command| {
            command
                .args(&words[1..])
                .arg("--policies")
                .arg(self.policies())
                .arg("--state")
                .arg(self.state())
                .arg("--socket")
                .arg(self.socket())
                .env("PORTCULLIS_LOG", "info")
                .stdout(Stdio::null())
                .stderr(log);
            if self.config().exists() {
                command.arg("--config").arg(self.config());
            }
        });
        Daemon {
            kid,
            socket: self.socket(),
        }
    }

    /// Starts a daemon and waits until it answers.
    #[track_caller]
    pub fn start(&self, namespace: &Namespace) -> Daemon {
        self.start_by(namespace, &[])
    }

    /// The same by another program, such as `prlimit` or `strace`, with its arguments.
    #[track_caller]
    pub fn start_by(&self, namespace: &Namespace, wrapper: &[&str]) -> Daemon {
        let mut daemon = self.spawn_by(namespace, wrapper);
        wait_until("the daemon answers", PATIENT, || {
            if let Some(status) = daemon.kid.child().try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            try_ask(&self.socket(), "GET", "/v1/policies", &[], "").is_ok_and(|answer| answer.status == 200)
        });
        daemon
    }

    /// Runs the command line in a namespace, against this home's socket.
    pub fn cli(&self, namespace: &Namespace, args: &[&str]) -> Said {
        let output = namespace
            .run(|_| {
                Command::new(bin("portcullis"))
                    .args(args)
                    .env("PORTCULLIS_SOCKET", self.socket())
                    .env_remove("SSH_CONNECTION")
                    .stdin(Stdio::null())
                    .output()
            })
            .unwrap()
            .unwrap();
        Said {
            exit: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    pub kid: Kid,
    socket: PathBuf,
}

/// An answer over the socket.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Daemon {
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        ask(&self.socket, "GET", path, &[], "")
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        ask(&self.socket, "POST", path, &["Content-Type: application/json"], &body)
    }

    /// Declares for so long; the answer's body is the emergency.
    #[track_caller]
    pub fn declare(&self, policy: &str, duration_ms: u64) -> Value {
        let answer = self.post("/v1/emergencies", &declaration(policy, duration_ms));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// SIGKILL, and gone.
    pub fn kill(mut self) {
        self.kid.signal(Signal::SIGKILL);
        self.kid.wait(PATIENT);
    }

    /// SIGTERM, and gone.
    #[track_caller]
    pub fn stop(mut self) {
        self.kid.signal(Signal::SIGTERM);
        let status = self.kid.wait(PATIENT);
        assert!(status.success(), "{status}");
    }
}

/// The body of a declaration.
pub fn declaration(policy: &str, duration_ms: u64) -> Value {
    serde_json::json!({
        "policy": policy, "occasion": "exercise", "reason": "a test", "authority": "the tester",
        "duration_ms": duration_ms,
    })
}

/// One request on a connection of its own.
#[track_caller]
pub fn ask(socket: &Path, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    try_ask(socket, method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// The same; the connection may fail or break off.
pub fn try_ask(socket: &Path, method: &str, path: &str, headers: &[&str], body: &str) -> std::io::Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    exchange(socket, &[request.as_bytes(), body.as_bytes()].concat())
}

/// Writes raw bytes and reads the answer to its end.
pub fn exchange(socket: &Path, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENT))?;
    stream.set_write_timeout(Some(PATIENT))?;
    // A server that has heard enough may close while the rest is written: its answer counts.
    let written = stream.write_all(bytes);
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    if text.is_empty() {
        written.and(read.map(|_| ()))?;
    }
    let text = String::from_utf8_lossy(&text);
    let broken = || std::io::Error::other(format!("no answer of HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or_else(broken)?;
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunk(body)
    } else {
        body.to_owned()
    };
    Ok(Answer {
        status,
        head: head.to_owned(),
        body,
    })
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        whole += &rest[..length];
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// A policy for the test host of one uplink `u0`.
pub fn policy(name: &str, methods: &str, crash: &str) -> String {
    let routes = if methods.contains("routes") {
        "[methods.routes]\nwithdraw-default = true\n"
    } else {
        ""
    };
    format!(
        "schema = 1\nname = \"{name}\"\nsummary = \"a test\"\n\
         declared-for = [\"exercise\", \"security-incident\"]\naffects = \"own-hosts\"\n\
         [scope]\ninterfaces = [\"u0\"]\nfamilies = [\"ipv4\", \"ipv6\"]\ndirections = [\"in\", \"out\", \"forward\"]\n\
         [methods]\nuse = [{methods}]\n{routes}\
         [limits]\ndefault = \"30m\"\nmaximum = \"1h\"\ntotal = \"2h\"\n\
         [fail]\ncrash = \"{crash}\"\nreboot = \"closed\"\nlifeline-lost = \"open\"\n\
         [notice]\ntext = \"a test\"\n"
    )
}
