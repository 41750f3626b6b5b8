//! The command line as it is typed, before a daemon that says what the test wants: over the daemon's own server.

mod audit;
mod declare;
mod exits;
mod order;
mod report;
mod typed;
mod written;

use std::ffi::OsString;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::prompt::Terminal;
use super::render::Screen;
use super::{Exit, Local, Surroundings, run};
use crate::api::alert::AlertView;
use crate::api::error::{ApiError, Code};
use crate::api::order::OrderView;
use crate::api::{
    AuditPage, EmergencyState, EmergencyView, HostState, PlanView, Readiness, ReceiptView, Status, samples,
};
use crate::daemon::command::{Call, Command, ControllerHandle};
use crate::daemon::server::Server;
use crate::model::fixture;

/// What the daemon says.
#[derive(Clone, Debug)]
struct Answers {
    status: Status,
    emergencies: Vec<EmergencyView>,
    plan: PlanView,
    declared: Result<EmergencyView, ApiError>,
    receipt: ReceiptView,
    readiness: Readiness,
    order: Result<OrderView, ApiError>,
    alert: Result<AlertView, ApiError>,
    /// The audit log, given in pages of seven; the sample where it is empty.
    records: Vec<serde_json::Value>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            status: samples::status(),
            emergencies: vec![samples::emergency()],
            plan: PlanView {
                loses_session: false,
                ..samples::plan()
            },
            declared: Ok(samples::emergency()),
            receipt: samples::receipt(),
            readiness: samples::readiness(),
            order: Ok(samples::order()),
            alert: Ok(samples::holding_alert()),
            records: Vec::new(),
        }
    }
}

/// A daemon in a thread of its own, gone with the test.
struct Daemon {
    socket: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl Daemon {
    fn start(answers: Answers) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("portcullis.sock");
        let server = Server::bind(&socket, None).unwrap();
        let server = server.with_hooks(&dir.path().join("hook.sock"), None).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (controller, mut calls) = ControllerHandle::channel();
                tokio::spawn(server.run(controller, std::future::pending()));
                while let Some(Call { command, .. }) = calls.recv().await {
                    log.lock().unwrap().push(answer(&answers, command));
                }
            });
        });
        Self {
            socket,
            heard,
            _dir: dir,
        }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn page(records: &[serde_json::Value], after: Option<u64>) -> AuditPage {
    if records.is_empty() {
        return samples::audit_page();
    }
    let rest = &records[usize::try_from(after.unwrap_or(0)).unwrap()..];
    AuditPage {
        records: rest.iter().take(7).cloned().collect(),
        more: rest.len() > 7,
    }
}

fn answer(answers: &Answers, command: Command) -> String {
    let a = answers.clone();
    match command {
        Command::Status(reply) => said(reply.send(Ok(a.status)), "status"),
        Command::Readiness(reply) => said(reply.send(Ok(a.readiness)), "readiness"),
        Command::Snapshot(reply) => said(
            reply.send(Ok("# links\n1: lo: up\n2: eth0: up\n".to_owned())),
            "snapshot",
        ),
        Command::Policies(reply) => said(reply.send(Ok(vec![samples::policy_summary()])), "policies"),
        Command::Policy(name, reply) => {
            let missing = ApiError::new(
                Code::NoSuchPolicy,
                format!("no policy `{name}`"),
                "`portcullis policy list`",
            );
            let found = if name == "isolate-host" {
                Ok(samples::policy())
            } else {
                Err(missing)
            };
            said(reply.send(found), &format!("policy {name}"))
        }
        Command::Plan(request, reply) => said(reply.send(Ok(a.plan)), &format!("{request:?}")),
        Command::Declare(request, preconditions, reply) => {
            said(reply.send(a.declared), &format!("{request:?} {preconditions:?}"))
        }
        Command::Reviews(reply) => said(reply.send(Ok(vec![samples::review()])), "reviews"),
        Command::CloseReview(id, finding, reply) => {
            said(reply.send(Ok(samples::review())), &format!("close {id} {finding}"))
        }
        Command::Emergencies(reply) => said(reply.send(Ok(a.emergencies)), "emergencies"),
        Command::Emergency(id, reply) => said(reply.send(Ok(samples::emergency())), &format!("emergency {id}")),
        Command::Receipt(id, reply) => said(reply.send(Ok(a.receipt)), &format!("receipt {id}")),
        Command::Confirm(id, reply) => said(reply.send(Ok(samples::emergency())), &format!("confirm {id}")),
        Command::Extend(id, by_ms, preconditions, reply) => {
            let line = format!("extend {id} {by_ms} {}", preconditions.idempotency_key.is_some());
            said(reply.send(Ok(samples::emergency())), &line)
        }
        Command::Approve(id, plan, reply) => said(reply.send(a.declared), &format!("approve {id} {plan}")),
        Command::Reject(id, reason, reply) => said(reply.send(a.declared), &format!("reject {id} {reason}")),
        Command::Revert(id, how, reply) => {
            let accepts = if how.accept_residue { " accepting" } else { "" };
            said(reply.send(Ok(a.receipt)), &format!("revert {id}{accepts}"))
        }
        Command::NewOrder(new, reply) => said(reply.send(Ok(samples::order_draft())), &format!("{new:?}")),
        Command::Order(signed, reply) => said(reply.send(Ok(a.order)), &format!("{signed:?}")),
        Command::Alert(request, reply) => said(reply.send(a.alert), &format!("{request:?}")),
        Command::Audit(query, reply) => said(reply.send(Ok(page(&a.records, query.after))), &format!("{query:?}")),
        Command::AuditHead(reply) => said(reply.send(Ok(samples::audit_head())), "head"),
        Command::Refused(error) => format!("refused {error}"),
    }
}

fn said<T>(sent: Result<(), T>, line: &str) -> String {
    assert!(sent.is_ok(), "nobody waits for {line}");
    line.to_owned()
}

/// A kernel that is always the same.
const FIXED: Local = Local {
    snapshot: || Ok(fixture::host(1)),
    restore: |place| samples::offline(place),
};

/// A stream that keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().map_err(|_| io::ErrorKind::Other)?;
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came of a command line.
#[derive(Debug)]
struct Outcome {
    exit: Exit,
    out: String,
    err: String,
}

/// Somebody's surroundings: what they type when they are asked, and their session.
#[derive(Clone, Copy, Default)]
struct Person {
    types: Option<&'static str>,
    ssh: Option<&'static str>,
}

fn type_as(person: Person, socket: &Path, line: &[&str]) -> Outcome {
    let (out, err) = (Kept::default(), Kept::default());
    let mut around = Surroundings {
        ssh_connection: person.ssh.map(str::to_owned),
        terminal: match person.types {
            Some(text) => Terminal::Person(Box::new(Cursor::new(text))),
            None => Terminal::Nobody,
        },
        screen: Screen::given(out.clone(), err.clone()),
        watch_period: Duration::from_millis(1),
        local: FIXED,
    };
    let fixed = ["portcullis", "--socket", socket.to_str().unwrap()];
    let arguments = fixed.iter().chain(line).map(OsString::from);
    let exit = run(arguments, &mut around);
    drop(around);
    let text = |kept: Kept| {
        let coloured = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        anstream::adapter::strip_str(&coloured).to_string()
    };
    Outcome {
        exit,
        out: text(out),
        err: text(err),
    }
}

/// Types a line as a script does: nobody to ask.
fn script(daemon: &Daemon, line: &[&str]) -> Outcome {
    type_as(Person::default(), &daemon.socket, line)
}

fn in_state(state: HostState) -> Answers {
    Answers {
        status: Status {
            state,
            ..samples::status()
        },
        ..Answers::default()
    }
}

/// One declaration waits, and this comes of it.
fn waiting(becomes: EmergencyState) -> Answers {
    Answers {
        emergencies: vec![samples::proposed()],
        ..declared_as(becomes)
    }
}

fn declared_as(state: EmergencyState) -> Answers {
    Answers {
        declared: Ok(EmergencyView {
            state,
            ..samples::emergency()
        }),
        ..Answers::default()
    }
}
