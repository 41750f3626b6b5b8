//! What is sent, and what is answered.

use serde_json::{Value, json};

use crate::LONG_MS;
use crate::daemon::declaration;

/// A request as bytes: POST to emergencies with this body and these header lines.
pub fn post(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/emergencies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// A GET of this path with these header lines.
pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// A good declaration that was edited.
pub fn edited(edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut body = declaration("additive", LONG_MS);
    edit(body.as_object_mut().unwrap());
    body.to_string()
}

/// What it is, what is sent, the status and the code of the answer.
pub type Case = (&'static str, Vec<u8>, u16, &'static str);

/// Every bad request that is still HTTP.
pub fn bad_requests() -> Vec<Case> {
    [fields(), bodies(), headers(), targets()].concat()
}

/// Declarations of which one field is wrong.
fn fields() -> Vec<Case> {
    let set = |field: &str, value: Value| {
        let field = field.to_owned();
        post("", &edited(|body| drop(body.insert(field, value))))
    };
    vec![
        ("an unknown field", set("silent", json!(true)), 400, "bad-request"),
        (
            "a missing field",
            post("", &edited(|b| drop(b.remove("authority")))),
            400,
            "bad-request",
        ),
        ("another type", set("duration_ms", json!("1h")), 400, "bad-request"),
        ("a negative time", set("duration_ms", json!(-1)), 400, "bad-request"),
        ("a fraction", set("duration_ms", json!(1.5)), 400, "bad-request"),
        ("no time", set("duration_ms", json!(0)), 400, "bad-request"),
        (
            "too long a time",
            set("duration_ms", json!(u64::MAX)),
            422,
            "over-limit",
        ),
        ("a blank reason", set("reason", json!(" ")), 400, "bad-request"),
        (
            "escapes in the reason",
            set("reason", json!("a\u{1b}[2Jb")),
            400,
            "bad-request",
        ),
        (
            "a newline in the authority",
            set("authority", json!("a\nb")),
            400,
            "bad-request",
        ),
        (
            "too long a reason",
            set("reason", json!("x".repeat(501))),
            400,
            "bad-request",
        ),
        (
            "escapes in the policy",
            set("policy", json!("\u{1b}[2J")),
            404,
            "no-such-policy",
        ),
        (
            "another occasion",
            set("occasion", json!("maintenance")),
            422,
            "wrong-occasion",
        ),
        (
            "an unknown risk",
            set("accept_risks", json!(["everything"])),
            400,
            "bad-request",
        ),
        (
            "a session that is none",
            set(
                "session",
                json!({"peer": "x", "peer_port": 1, "local": "y", "local_port": 2}),
            ),
            400,
            "bad-request",
        ),
    ]
}

/// Bodies that are no declaration.
fn bodies() -> Vec<Case> {
    let good = edited(|_| {});
    vec![
        ("no JSON", post("", "policy=additive"), 400, "bad-request"),
        ("an array", post("", &format!("[{good}]")), 400, "bad-request"),
        ("two bodies", post("", &format!("{good}{good}")), 400, "bad-request"),
        (
            "a field twice",
            post("", &good.replacen('{', "{\"policy\":\"additive\",", 1)),
            400,
            "bad-request",
        ),
        ("depth", post("", &"{\"a\":".repeat(10_000)), 400, "bad-request"),
        ("no body", post("", ""), 400, "bad-request"),
        (
            "a huge body",
            post("", &format!("{good}{}", " ".repeat(70_000))),
            413,
            "too-large",
        ),
    ]
}

/// Methods and headers that are wrong for what they come with.
fn headers() -> Vec<Case> {
    let good = edited(|_| {});
    let long = "x".repeat(129);
    vec![
        ("no type", post("", &good).strip_type(), 400, "bad-request"),
        (
            "a browser",
            post("Origin: http://evil.example\r\n", &good),
            403,
            "foreign-origin",
        ),
        (
            "another host",
            get("/v1/status", "").for_host("evil.example"),
            403,
            "foreign-origin",
        ),
        (
            "a long key",
            post(&format!("Idempotency-Key: {long}\r\n"), &good),
            400,
            "bad-request",
        ),
        (
            "a blank key",
            post("Idempotency-Key: a b\r\n", &good),
            400,
            "bad-request",
        ),
        ("any plan", post("If-Match: *\r\n", &good), 400, "bad-request"),
        (
            "another plan",
            post("If-Match: \"abc\"\r\n", &good),
            412,
            "plan-changed",
        ),
        (
            "a body to read",
            get("/v1/status", "Content-Length: 2\r\n").with(b"{}"),
            400,
            "bad-request",
        ),
        (
            "another method",
            get("/v1/status", "").replaced(b"GET", b"PUT"),
            405,
            "method-not-allowed",
        ),
    ]
}

/// Paths and queries that name nothing.
fn targets() -> Vec<Case> {
    let long = "x".repeat(129);
    vec![
        ("no such path", get("/v1/%1b%5b2J", ""), 404, "no-such-path"),
        ("no such policy", get("/v1/policies/%1b%5b2J", ""), 400, "bad-request"),
        (
            "a long name",
            get(&format!("/v1/policies/{long}"), ""),
            400,
            "bad-request",
        ),
        (
            "a way out",
            get("/v1/policies/..%2f..%2fetc%2fpasswd", ""),
            404,
            "no-such-policy",
        ),
        ("a query too many", get("/v1/status?x=1", ""), 400, "bad-request"),
        ("a wrong time", get("/v1/audit?since=yesterday", ""), 400, "bad-request"),
        ("a wrong kind", get("/v1/audit?kind=%1b", ""), 400, "bad-request"),
        ("a wrong number", get("/v1/audit?limit=-1", ""), 400, "bad-request"),
        ("no such emergency", get("/v1/emergencies/%00", ""), 400, "bad-request"),
    ]
}

/// Small edits of a request's bytes.
trait Bytes {
    fn replaced(self, from: &[u8], to: &[u8]) -> Vec<u8>;
    fn with(self, more: &[u8]) -> Vec<u8>;
    fn strip_type(self) -> Vec<u8>;
    fn for_host(self, name: &str) -> Vec<u8>;
}

impl Bytes for Vec<u8> {
    fn replaced(self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self.windows(from.len()).position(|window| window == from).unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }

    fn with(self, more: &[u8]) -> Vec<u8> {
        [&self, more].concat()
    }

    fn strip_type(self) -> Vec<u8> {
        self.replaced(b"Content-Type: application/json\r\n", b"")
    }

    fn for_host(self, name: &str) -> Vec<u8> {
        self.replaced(b"localhost", name.as_bytes())
    }
}
