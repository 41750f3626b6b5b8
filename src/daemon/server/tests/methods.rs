//! Every method, its answer, and its description.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{openapi, problem, routes};
use super::{Answer, World, example};
use crate::api::error::Code;
use crate::api::rights::{Access, Method, Verb};
use crate::api::samples;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/openapi.json");

async fn ask(world: &World, method: Method) -> Answer {
    let (verb, path, body) = example(method);
    match (method.entry().2, verb) {
        (Access::Hooks, _) => world.post_as_hook(&path, body).await,
        (Access::Operators(_) | Access::Both(_), Verb::Get) => world.get(&path).await,
        (Access::Operators(_) | Access::Both(_), Verb::Post) => world.post(&path, "", body).await,
    }
}

fn expected(method: Method) -> Value {
    let value = match method {
        Method::Status => serde_json::to_value(samples::status()),
        Method::Readiness => serde_json::to_value(samples::readiness()),
        Method::Policies => serde_json::to_value([samples::policy_summary()]),
        Method::Policy => serde_json::to_value(samples::policy()),
        Method::Plan => serde_json::to_value(samples::plan()),
        Method::Emergencies => serde_json::to_value([samples::emergency()]),
        Method::Declare | Method::Emergency | Method::Confirm | Method::Extend | Method::Approve | Method::Reject => {
            serde_json::to_value(samples::emergency())
        }
        Method::Reviews => serde_json::to_value([samples::review()]),
        Method::CloseReview => serde_json::to_value(samples::review()),
        Method::Receipt | Method::Revert => serde_json::to_value(samples::receipt()),
        Method::NewOrder => serde_json::to_value(samples::order_draft()),
        Method::Order => serde_json::to_value(samples::order()),
        Method::Alert => serde_json::to_value(samples::holding_alert()),
        Method::Audit => serde_json::to_value(samples::audit_page()),
        Method::AuditHead => serde_json::to_value(samples::audit_head()),
        Method::Snapshot => Ok(json!("link lo\n")),
        Method::OpenApi => serde_json::to_value(routes::description()),
    };
    value.unwrap()
}

#[tokio::test]
async fn every_method_of_the_table_hands_on_what_the_controller_says() {
    let world = World::start();
    for method in Method::ALL {
        let answer = ask(&world, method).await;
        let status = if method == Method::Declare { 201 } else { 200 };
        assert_eq!(answer.status, status, "{method:?}: {answer:?}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        if method == Method::Snapshot {
            assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
            assert_eq!(answer.body, "link lo\n");
        } else {
            assert_eq!(answer.headers["content-type"], "application/json", "{method:?}");
            assert_eq!(answer.json(), expected(method), "{method:?}");
        }
    }
    // All but the description, which the server has itself.
    assert_eq!(world.lines().len(), Method::ALL.len() - 1);
}

#[tokio::test]
async fn an_alert_that_waits_is_accepted_and_one_that_is_refused_is_for_the_log_of_the_server() {
    let world = World::start();
    let body = |reason| format!(r#"{{"policy":"isolate-host","state":"firing","reason":"{reason}"}}"#);
    let waiting = world.post_as_hook("/v1/alerts", &body("alone")).await;
    assert_eq!(
        (waiting.status, waiting.json()),
        (202, serde_json::to_value(samples::waiting_alert()).unwrap())
    );
    let refused = world.post_as_hook("/v1/alerts", &body("refused")).await;
    refused.assert_problem(Code::CoolingDown);
    world.hears("refused CoolingDown").await;
    let unknown = world
        .post_as_hook("/v1/alerts", r#"{"policy":"a","state":"firing","reason":"b","uid":0}"#)
        .await;
    unknown.assert_problem(Code::BadRequest);
}

#[tokio::test]
async fn both_sockets_go_with_the_server() {
    let mut world = World::start();
    assert!(world.path.exists() && world.hooks().exists());
    world.stop().await;
    assert!(!world.path.exists() && !world.hooks().exists());
}

#[tokio::test]
async fn the_controller_hears_who_asks_and_with_which_preconditions() {
    let world = World::start();
    let headers = "Idempotency-Key: k-1\r\nIf-Match: \"abc\"\r\n";
    let (_, path, body) = example(Method::Declare);
    let answer = world.post(&path, headers, body).await;
    assert_eq!(answer.headers["location"], format!("/v1/emergencies/{}", samples::ID));
    let uid = nix::unistd::Uid::effective();
    let lines = world.lines();
    assert!(
        lines[0].starts_with(&format!("uid {uid}: declare DeclareRequest")),
        "{lines:?}"
    );
    assert!(
        lines[0].contains(r#"idempotency_key: Some("k-1"), plan_digest: Some("abc")"#),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_error_of_the_controller_is_handed_on_and_not_recorded_as_a_refusal() {
    let world = World::start();
    let problem = world
        .get("/v1/policies/missing")
        .await
        .assert_problem(Code::NoSuchPolicy);
    assert_eq!(problem["detail"], "nothing is called `missing`");
    assert_eq!(problem["type"], "urn:portcullis:error:no-such-policy");
    assert_eq!(problem["hint"], "look again");
    world.get("/v1/status").await;
    assert_eq!(world.lines().len(), 2, "{:?}", world.lines());
}

#[tokio::test]
async fn a_controller_that_is_gone_is_said_to_be_going_down() {
    let (controller, calls) = crate::daemon::command::ControllerHandle::channel();
    drop(calls);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.sock");
    let server = super::Server::bind(&path, None).unwrap();
    tokio::spawn(server.run(controller, std::future::pending()));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let request = b"GET /v1/status HTTP/1.1\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
    super::read(&mut stream).await.assert_problem(Code::ShuttingDown);
}

#[test]
fn the_committed_description_is_the_one_that_is_served() {
    let now = openapi::text(&routes::description());
    if std::env::var_os("PORTCULLIS_REGENERATE").is_some() {
        std::fs::write(COMMITTED, &now).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap();
    assert_eq!(
        now, committed,
        "run this test with PORTCULLIS_REGENERATE=1 and commit src/api/openapi.json"
    );
}

#[test]
fn the_description_has_the_methods_of_the_table_and_no_others() {
    let document = serde_json::to_value(routes::description()).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .keys()
                .map(|verb| (path.clone(), verb.clone()))
        })
        .collect();
    let table: BTreeSet<(String, String)> = Method::ALL
        .into_iter()
        .map(|method| match method.entry() {
            (Verb::Get, path, _) => (path.to_owned(), "get".to_owned()),
            (Verb::Post, path, _) => (path.to_owned(), "post".to_owned()),
        })
        .collect();
    assert_eq!(described, table);
    assert_eq!(table.len(), Method::ALL.len(), "two methods share verb and path");
}

#[test]
fn the_description_names_every_error_code_and_resolves_every_reference() {
    let text = openapi::text(&routes::description());
    for code in Code::ALL {
        let described = format!("`{}`: {}", problem::name(code), problem::title(code));
        assert!(text.contains(&described), "{code:?}");
    }
    assert!(text.contains(r#""openapi": "3.1.0""#));
    let document: Value = serde_json::from_str(&text).unwrap();
    for reference in text.split("\"$ref\": \"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}
