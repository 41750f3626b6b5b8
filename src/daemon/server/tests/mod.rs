//! The server before a controller that only answers: over a real socket in a directory of its own.

mod flood;
mod form;
mod methods;
mod rights;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Server;
use super::limits::Limits;
use crate::api::error::{ApiError, Code};
use crate::api::rights::{Method, Verb};
use crate::api::samples;
use crate::daemon::command::{Call, Command, ControllerHandle, Peer};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the controller heard, as text.
pub(super) type Heard = Arc<Mutex<Vec<String>>>;

/// A controller that answers every question with the sample, and knows neither the policy nor the emergency `missing`.
/// It keeps questions that are `slow` open until it is dropped.
pub(super) fn controller() -> (ControllerHandle, Heard) {
    let (handle, mut calls) = ControllerHandle::channel();
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut open = Open::default();
        while let Some(Call { peer, command }) = calls.recv().await {
            let line = answer(command, &mut open);
            log.lock().unwrap().push(format!("uid {}: {line}", peer.uid));
        }
    });
    (handle, heard)
}

/// Questions that stay open.
#[derive(Default)]
struct Open {
    policies: Vec<oneshot::Sender<Result<crate::api::PolicyView, ApiError>>>,
    alerts: Vec<oneshot::Sender<Result<crate::api::alert::AlertView, ApiError>>>,
}

fn answer(command: Command, open: &mut Open) -> String {
    let missing = |code| ApiError::new(code, "nothing is called `missing`", "look again");
    let emergency = |id: &str| match id {
        "missing" => Err(missing(Code::NoSuchEmergency)),
        _ => Ok(samples::emergency()),
    };
    match command {
        Command::Status(reply) => said(reply.send(Ok(samples::status())), "status"),
        Command::Readiness(reply) => said(reply.send(Ok(samples::readiness())), "readiness"),
        Command::Snapshot(reply) => said(reply.send(Ok("link lo\n".to_owned())), "snapshot"),
        Command::Policies(reply) => said(reply.send(Ok(vec![samples::policy_summary()])), "policies"),
        Command::Policy(name, reply) if name == "slow" => {
            open.policies.push(reply);
            "policy slow".to_owned()
        }
        Command::Policy(name, reply) if name == "missing" => {
            said(reply.send(Err(missing(Code::NoSuchPolicy))), "policy missing")
        }
        Command::Policy(name, reply) => said(reply.send(Ok(samples::policy())), format!("policy {name}")),
        Command::Plan(request, reply) => said(reply.send(Ok(samples::plan())), format!("plan {request:?}")),
        Command::Declare(request, preconditions, reply) => {
            let line = format!("declare {request:?} {preconditions:?}");
            said(reply.send(Ok(samples::emergency())), line)
        }
        Command::Emergencies(reply) => said(reply.send(Ok(vec![samples::emergency()])), "emergencies"),
        Command::Emergency(id, reply) => said(reply.send(emergency(&id)), format!("emergency {id}")),
        Command::Receipt(id, reply) => said(reply.send(Ok(samples::receipt())), format!("receipt {id}")),
        Command::Confirm(id, reply) => said(reply.send(emergency(&id)), format!("confirm {id}")),
        Command::Extend(id, by_ms, preconditions, reply) => {
            let line = format!("extend {id} {by_ms} {preconditions:?}");
            said(reply.send(emergency(&id)), line)
        }
        Command::Approve(id, plan, reply) => said(reply.send(emergency(&id)), format!("approve {id} {plan}")),
        Command::Reject(id, reason, reply) => said(reply.send(emergency(&id)), format!("reject {id} {reason}")),
        Command::Reviews(reply) => said(reply.send(Ok(vec![samples::review()])), "reviews"),
        Command::CloseReview(id, finding, reply) => {
            said(reply.send(Ok(samples::review())), format!("close {id} {finding}"))
        }
        Command::Revert(id, _, reply) => said(reply.send(Ok(samples::receipt())), format!("revert {id}")),
        Command::NewOrder(new, reply) => said(reply.send(Ok(samples::order_draft())), format!("new order {new:?}")),
        Command::Order(signed, reply) => {
            let answer = match signed.signature.as_str() {
                "refused" => Err(missing(Code::OrderRefused)),
                "in vain" => Ok(Err(missing(Code::PlanChanged))),
                _ => Ok(Ok(samples::order())),
            };
            said(reply.send(answer), format!("order {}", signed.order))
        }
        Command::Alert(request, reply) if request.reason == "slow" => {
            open.alerts.push(reply);
            "alert slow".to_owned()
        }
        Command::Alert(request, reply) => {
            let answer = match request.reason.as_str() {
                "refused" => Err(missing(Code::CoolingDown)),
                "alone" => Ok(samples::waiting_alert()),
                _ => Ok(samples::holding_alert()),
            };
            said(reply.send(answer), format!("alert {request:?}"))
        }
        Command::Audit(query, reply) => said(reply.send(Ok(samples::audit_page())), format!("audit {query:?}")),
        Command::AuditHead(reply) => said(reply.send(Ok(samples::audit_head())), "audit-head"),
        Command::Refused(error) => format!("refused {:?}: {}", error.code, error.detail),
    }
}

/// The line to hear; an asker who went away is part of it.
fn said<T>(sent: Result<(), T>, line: impl Into<String>) -> String {
    let line = line.into();
    if sent.is_ok() {
        line
    } else {
        format!("{line} (nobody waits)")
    }
}

/// A server under test.
pub(super) struct World {
    pub(super) path: PathBuf,
    pub(super) heard: Heard,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) fn start() -> Self {
        Self::with(Limits::DEFAULT)
    }

    pub(super) fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("portcullis.sock");
        let server = Server::bind(&path, None).unwrap().with_limits(limits);
        let server = server.with_hooks(&dir.path().join("hook.sock"), None).unwrap();
        let (controller, heard) = controller();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(controller, async {
            drop(stopped.await);
        }));
        Self {
            path,
            heard,
            stop: Some(stop),
            running,
            _dir: dir,
        }
    }

    pub(super) async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends the bytes on a new connection and reads one answer.
    pub(super) async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        read(&mut stream).await
    }

    /// Where hooks come in.
    pub(super) fn hooks(&self) -> PathBuf {
        self.path.with_file_name("hook.sock")
    }

    /// Posts a body as a hook does.
    pub(super) async fn post_as_hook(&self, path: &str, body: &str) -> Answer {
        let mut stream = UnixStream::connect(self.hooks()).await.unwrap();
        let (kind, length) = ("Content-Type: application/json", body.len());
        let request = format!("POST {path} HTTP/1.1\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        read(&mut stream).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await
    }

    /// Posts a body with more header lines (each ends in CRLF).
    pub(super) async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let kind = "Content-Type: application/json\r\n";
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    /// What the controller has heard until now.
    pub(super) fn lines(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until the controller has heard a line with this text.
    pub(super) async fn hears(&self, text: &str) {
        let heard = async {
            while !self.lines().iter().any(|line| line.contains(text)) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, heard).await.is_err() {
            panic!("the controller never heard {text:?}, but {:#?}", self.lines());
        }
    }

    /// Asks the server to stop and waits until it has.
    pub(super) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        let ended = tokio::time::timeout(PATIENCE, &mut self.running).await;
        ended.expect("the server did not stop").unwrap().unwrap();
    }
}

/// An HTTP answer, taken apart.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Checks that this is a problem of this code, complete and of the right type.
    pub(super) fn assert_problem(&self, code: Code) -> serde_json::Value {
        let problem = self.json();
        assert_eq!(problem["code"], serde_json::to_value(code).unwrap(), "{self:?}");
        assert_eq!(self.status, code.http_status(), "{self:?}");
        assert_eq!(problem["status"], self.status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        for field in ["type", "title", "detail", "hint"] {
            assert!(problem[field].is_string(), "no {field} in {self:?}");
        }
        problem
    }
}

/// Reads one answer by its length.
pub(super) async fn read(stream: &mut UnixStream) -> Answer {
    let reading = async {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            let n = stream.read_buf(&mut bytes).await.unwrap();
            assert_ne!(n, 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |v| v.parse().unwrap());
        let mut body = bytes.split_off(head_end + 4);
        while body.len() < length {
            assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0, "closed within the body");
        }
        let body = String::from_utf8(body).unwrap();
        Answer { status, headers, body }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("no answer")
}

/// A path that the method answers, and its body.
pub(super) fn example(method: Method) -> (Verb, String, &'static str) {
    let (verb, path, _) = method.entry();
    let path = path.replace("{name}", "isolate-host").replace("{id}", samples::ID);
    let body = match method {
        Method::Plan => r#"{"policy":"isolate-host"}"#,
        Method::Declare => r#"{"policy":"isolate-host","reason":"why","authority":"INC-1"}"#,
        Method::Extend => r#"{"by_ms":60000}"#,
        Method::Approve => r#"{"plan":"9f86d081884c7d65"}"#,
        Method::Reject => r#"{"reason":"not now"}"#,
        Method::NewOrder => r#"{"act":{"revert":{"policy":"isolate-host"}}}"#,
        Method::Order => r#"{"order":"{}\n","signature":"none"}"#,
        Method::Alert => r#"{"policy":"isolate-host","state":"firing","reason":"why"}"#,
        Method::Confirm | Method::Revert => "",
        Method::Status | Method::Readiness | Method::Snapshot | Method::OpenApi | Method::Policies => "",
        Method::Policy | Method::Emergencies | Method::Emergency | Method::Receipt => "",
        Method::CloseReview => r#"{"finding":"justified"}"#,
        Method::Audit | Method::AuditHead | Method::Reviews => "",
    };
    (verb, path, body)
}

pub(super) fn peer(uid: u32, gid: u32) -> Peer {
    Peer::new(uid, gid, None)
}
