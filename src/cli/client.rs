//! One question to the daemon and its answer: HTTP over the Unix socket, with an end to every wait.
//!
//! Each question has a connection of its own, so a daemon that was restarted between two of them is not noticed.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use super::exit::{Failure, Situation};
use crate::api::error::{ApiError, chain};
use crate::api::rights::Verb;
use crate::model::duration::written;

/// The longest answer: a snapshot of a million routes is about 100 MiB.
const ANSWER_BYTES: usize = 512 * 1024 * 1024;

/// Nobody waits longer at the door, whatever else is waited for: a day.
const CONNECT_MAX_SECONDS: i64 = 86_400;

/// A door to the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    timeout: Duration,
}

/// An answer, understood and as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) json: Value,
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    verb: Verb,
    path: String,
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl Question {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            verb: Verb::Get,
            path: path.into(),
            body: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self {
            verb: Verb::Post,
            path: path.into(),
            body: serde_json::to_vec(body).expect("requests of the API are structs with string keys"),
            headers: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Client {
    pub(crate) fn new(socket: &Path, timeout: Duration) -> Self {
        Self {
            socket: socket.to_owned(),
            timeout,
        }
    }

    /// Where it leads.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for JSON.
    pub(crate) fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<Answer<T>, Failure> {
        let text = self.ask_text(question)?;
        let json: Value = serde_json::from_str(&text).map_err(|error| self.no_answer(&error.to_string()))?;
        let value = T::deserialize(&json).map_err(|error| self.no_answer(&error.to_string()))?;
        Ok(Answer { value, json })
    }

    /// Asks for text.
    pub(crate) fn ask_text(&self, question: Question) -> Result<String, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.no_answer(&error.to_string()))?;
        let exchange = async { tokio::time::timeout(self.timeout, self.exchange(question)).await };
        let (status, body) = match runtime.block_on(exchange) {
            Ok(answered) => answered?,
            Err(_) => return Err(self.timed_out()),
        };
        let body = String::from_utf8(body.into()).map_err(|error| self.no_answer(&error.to_string()))?;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_str::<ApiError>(&body) {
            Ok(error) => Err(error.into()),
            Err(_) => Err(self.no_answer(&format!("it answered {status} and no problem that this version knows"))),
        }
    }

    async fn exchange(&self, question: Question) -> Result<(StatusCode, Bytes), Failure> {
        let broke = |error: hyper::Error| self.no_answer(&chain(&error));
        let stream = connect(&self.socket, self.timeout).map_err(|e| self.unreachable(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
        // The connection ends with the sender; its error reaches the sender too.
        tokio::spawn(async move { drop(connection.await) });
        let request = question.into_request().map_err(|e| self.no_answer(&e.to_string()))?;
        let answer = sender.send_request(request).await.map_err(broke)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                self.no_answer(&format!("the answer is longer than {ANSWER_BYTES} bytes"))
            } else {
                self.no_answer(&error.to_string())
            }
        })?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        let kind = error.kind();
        let (situation, why, hint) = if kind == io::ErrorKind::NotFound {
            (
                Situation::SocketMissing,
                "there is no such socket".to_owned(),
                "is portcullisd running? `systemctl status portcullisd`; another path is given with --socket",
            )
        } else if kind == io::ErrorKind::PermissionDenied {
            (
                Situation::SocketClosedToYou,
                "permission denied".to_owned(),
                "be a member of the socket's group, or root; `ls -l` on the socket names the group",
            )
        } else if kind == io::ErrorKind::ConnectionRefused {
            (
                Situation::NobodyListens,
                "nobody listens".to_owned(),
                "the daemon is down; cuts in force keep their deadlines. `systemctl start portcullisd`",
            )
        } else {
            (Situation::NoAnswer, error.to_string(), "`systemctl status portcullisd`")
        };
        Failure::new(situation, format!("failed to connect to {socket}: {why}"), hint)
    }

    fn no_answer(&self, why: &str) -> Failure {
        Failure::new(
            Situation::NoAnswer,
            format!("no answer from {}: {why}", self.socket.display()),
            "what was asked may have been done: `portcullis status`",
        )
    }

    fn timed_out(&self) -> Failure {
        Failure::new(
            Situation::TimedOut,
            format!(
                "no answer from {} within {}",
                self.socket.display(),
                written(self.timeout)
            ),
            "what was asked may still be done: `portcullis status`; wait longer with --timeout",
        )
    }
}

/// Waits for its turn where a crowd is before the door: without waiting it would be sent away with EAGAIN (unix(7)).
fn connect(socket: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let seconds = i64::try_from(timeout.as_secs()).map_or(CONNECT_MAX_SECONDS, |s| s.clamp(1, CONNECT_MAX_SECONDS));
    let address = UnixAddr::new(socket)?;
    let descriptor = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&descriptor, sockopt::SendTimeout, &TimeVal::seconds(seconds))?;
    nix::sys::socket::connect(descriptor.as_raw_fd(), &address)?;
    let stream = std::os::unix::net::UnixStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

impl Question {
    fn into_request(self) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut builder = Request::builder().uri(self.path).header(header::HOST, "portcullis");
        builder = match self.verb {
            Verb::Get => builder.method(hyper::Method::GET),
            Verb::Post => builder
                .method(hyper::Method::POST)
                .header(header::CONTENT_TYPE, "application/json"),
        };
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Full::from(self.body))
    }
}

/// A name in a path or a value in a query, so that it stays one (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
