//! Requests of a wrong form: each gets a problem that names what is wrong, and each is recorded.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{World, example};
use crate::api::error::Code;
use crate::api::rights::{Method, Verb};

async fn refused(request: &str, code: Code, detail: &str) {
    let world = World::start();
    let problem = world.send(request).await.assert_problem(code);
    let text = problem["detail"].as_str().unwrap();
    assert!(text.contains(detail), "{request:?} gave {text:?}, not {detail:?}");
    world.hears(&format!("refused {code:?}: ")).await;
    assert_eq!(world.lines().len(), 1, "{request:?}: {:?}", world.lines());
}

#[tokio::test]
async fn what_a_browser_sends_is_refused_on_every_path() {
    for header in [
        "Origin: http://localhost",
        "Referer: http://localhost/",
        "Sec-Fetch-Site: none",
        "sec-fetch-mode: cors",
    ] {
        for line in [
            "GET /v1/status",
            "POST /v1/emergencies",
            "GET /nowhere",
            "OPTIONS /v1/status",
        ] {
            let name = header.split(':').next().unwrap().to_lowercase();
            refused(
                &format!("{line} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n"),
                Code::ForeignOrigin,
                &name,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn only_the_names_of_this_host_are_taken() {
    let world = World::start();
    for host in [
        "Host: localhost\r\n",
        "Host: portcullis\r\n",
        "Host: LocalHost\r\n",
        "Host:\r\n",
        "",
    ] {
        let answer = world.send(format!("GET /v1/status HTTP/1.1\r\n{host}\r\n")).await;
        assert_eq!(answer.status, 200, "{host:?}");
    }
    for host in ["evil.example", "localhost:80", "localhost.evil.example", "127.0.0.1"] {
        refused(
            &format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            Code::ForeignOrigin,
            host,
        )
        .await;
    }
    let absolute = "GET http://evil.example/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    refused(absolute, Code::ForeignOrigin, "evil.example").await;
    let two = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n";
    refused(two, Code::BadRequest, "more than one").await;
}

#[tokio::test]
async fn what_is_not_in_the_table_does_not_exist() {
    for path in [
        "/",
        "/v1",
        "/v1/statu",
        "/v1/status/",
        "/v2/status",
        "/v1/emergencies/a/b",
        "/v1/../v1/status",
    ] {
        refused(&format!("GET {path} HTTP/1.1\r\n\r\n"), Code::NoSuchPath, path).await;
    }
    let world = World::start();
    for method in Method::ALL {
        let (verb, path, _) = example(method);
        let other = match verb {
            Verb::Get if path != "/v1/emergencies" => "POST",
            Verb::Post if path != "/v1/emergencies" => "GET",
            Verb::Get | Verb::Post => "DELETE",
        };
        for verb in [other, "PUT", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = world.send(format!("{verb} {path} HTTP/1.1\r\n\r\n")).await;
            answer.assert_problem(Code::MethodNotAllowed);
        }
        // An answer to HEAD has the length of a body but no body.
        let mut stream = world.connect().await;
        let head = format!("HEAD {path} HTTP/1.1\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 405", "{path}");
    }
    assert!(
        world
            .lines()
            .iter()
            .all(|line| line.contains("refused MethodNotAllowed"))
    );
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn an_unknown_field_is_refused_by_name() {
    let cases = [
        ("/v1/plans", r#"{"policy":"p","polcy":1}"#, "polcy"),
        (
            "/v1/plans",
            r#"{"policy":"p","session":{"peer":"a","peer_port":1,"local":"b","local_port":2,"shell":"x"}}"#,
            "shell",
        ),
        (
            "/v1/emergencies",
            r#"{"policy":"p","reason":"r","authority":"a","silent":true}"#,
            "silent",
        ),
        ("/v1/emergencies", r#"{"policy":"p","reason":"r"}"#, "authority"),
        (
            "/v1/emergencies",
            r#"{"policy":"p","policy":"q","reason":"r","authority":"a"}"#,
            "duplicate field `policy`",
        ),
        (
            "/v1/emergencies",
            r#"{"policy":"p","reason":"r","authority":"a","accept_risks":["lose-all"]}"#,
            "lose-all",
        ),
        ("/v1/emergencies/x/extend", r#"{"by_ms":1,"forever":true}"#, "forever"),
        ("/v1/emergencies/x/extend", r#"{"by_ms":-1}"#, "-1"),
        ("/v1/emergencies/x/extend", "", "by_ms"),
        ("/v1/emergencies/x/confirm", r#"{"really":true}"#, "really"),
        ("/v1/emergencies/x/revert", r#"{"later":true}"#, "later"),
        ("/v1/plans", "{", "EOF"),
        ("/v1/plans", r#"["p", null, null]"#, "not a JSON object"),
        ("/v1/plans", "{\"a\u{7}\\u0007b\":1}", "control character"),
        ("/v1/plans", r#"{"policy":"p","\u001b[2Jx":1}"#, r"\u{1b}[2Jx"),
    ];
    for (path, body, named) in cases {
        refused(&post(path, JSON, body), Code::BadRequest, named).await;
    }
}

#[tokio::test]
async fn a_query_takes_its_own_fields_and_no_others() {
    let cases = [
        ("/v1/audit?sinc=x", "sinc"),
        ("/v1/audit?limit=many", "invalid digit"),
        ("/v1/audit?limit=1&limit=2", "limit"),
        ("/v1/status?watch=1", "watch"),
        ("/v1/policies/p?a", "`a`"),
    ];
    for (path, named) in cases {
        refused(&format!("GET {path} HTTP/1.1\r\n\r\n"), Code::BadRequest, named).await;
    }
    let world = World::start();
    assert_eq!(
        world.get("/v1/audit?after=7&kind=declaration&limit=5").await.status,
        200
    );
    let lines = world.lines();
    assert!(
        lines[0].contains(r#"after: Some(7)"#) && lines[0].contains(r#"kind: Some("declaration")"#),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    let body = r#"{"policy":"p"}"#;
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        refused(&post("/v1/plans", kind, body), Code::BadRequest, "content type").await;
    }
    let world = World::start();
    for kind in [JSON, "Content-Type: Application/JSON; charset=utf-8\r\n"] {
        assert_eq!(world.send(post("/v1/plans", kind, body)).await.status, 200);
    }
    let get = format!("GET /v1/status HTTP/1.1\r\n{JSON}Content-Length: 2\r\n\r\n{{}}");
    refused(&get, Code::BadRequest, "GET request came with a body").await;
}

#[tokio::test]
async fn a_path_parameter_is_short_text_without_control_characters() {
    let cases = [
        ("/v1/policies/a%0ab".to_owned(), r"a\nb"),
        ("/v1/policies/a%00b".to_owned(), r"a\u{0}b"),
        ("/v1/policies/%1b%5b2J".to_owned(), r"\u{1b}[2J"),
        ("/v1/policies/%ff%fe".to_owned(), "not valid"),
        (format!("/v1/emergencies/{}", "x".repeat(129)), "longer than 128"),
        ("/v1/emergencies/a%0d%0aX-Evil:1/receipt".to_owned(), r"a\r\nX-Evil"),
    ];
    for (path, named) in cases {
        refused(&format!("GET {path} HTTP/1.1\r\n\r\n"), Code::BadRequest, named).await;
    }
}

#[tokio::test]
async fn preconditions_are_read_on_every_post() {
    for path in [
        "/v1/emergencies",
        "/v1/emergencies/x/confirm",
        "/v1/emergencies/x/extend",
        "/v1/emergencies/x/revert",
    ] {
        refused(
            &post(path, "Idempotency-Key: a b\r\n", ""),
            Code::BadRequest,
            "idempotency-key",
        )
        .await;
        refused(&post(path, "If-Match: *\r\n", ""), Code::BadRequest, "If-Match").await;
    }
}

#[tokio::test]
async fn what_is_not_http_is_answered_closed_and_recorded() {
    let many: String = (0..40).map(|i| format!("X-{i}: 1\r\n")).collect();
    let long = format!("GET /v1/status HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000));
    let requests = [
        "\x16\x03\x01\x02\0\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{many}\r\n"),
        long,
    ];
    for request in requests {
        let world = World::start();
        let mut stream = world.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(super::PATIENCE, stream.read_to_end(&mut answer)).await;
        // A peer that still had bytes to read resets the connection behind its answer.
        drop(read.expect("still open"));
        assert!(
            answer.starts_with(b"HTTP/1.1 4"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
        world.hears("refused BadRequest: the request's head is not valid").await;
    }
}
