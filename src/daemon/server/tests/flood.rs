//! Callers who take their time, send too much or come in numbers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::super::connection::{Caller, Shared};
use super::super::limits::{Limits, Places};
use super::super::refusals::Refusals;
use super::super::{Accept, Hall, routes};
use super::{PATIENCE, World, controller, read};
use crate::api::error::Code;
use crate::daemon::rights::Grants;

const SHORT: Duration = Duration::from_millis(200);
const STATUS: &[u8] = b"GET /v1/status HTTP/1.1\r\n\r\n";

/// How long until the server closes the connection.
async fn closed_after(stream: &mut UnixStream) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    match tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await {
        Ok(Ok(_)) => start.elapsed(),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => start.elapsed(),
        Ok(Err(error)) => panic!("{error}"),
        Err(_) => panic!("still open"),
    }
}

#[tokio::test]
async fn a_connection_without_a_whole_head_is_closed_in_time() {
    let world = World::with(Limits {
        header_timeout: SHORT,
        ..Limits::DEFAULT
    });
    for part in ["", "GET /v1/sta", "GET /v1/status HTTP/1.1\r\nHost: local"] {
        let mut stream = world.connect().await;
        stream.write_all(part.as_bytes()).await.unwrap();
        let elapsed = closed_after(&mut stream).await;
        assert!(elapsed >= SHORT && elapsed < SHORT * 10, "{part:?}: {elapsed:?}");
    }
    let mut idle = world.connect().await;
    idle.write_all(STATUS).await.unwrap();
    assert_eq!(read(&mut idle).await.status, 200);
    let elapsed = closed_after(&mut idle).await;
    assert!(elapsed < SHORT * 10, "idle: {elapsed:?}");
}

#[tokio::test]
async fn the_daemon_itself_waits_three_seconds_for_a_head() {
    assert_eq!(Limits::DEFAULT.header_timeout, Duration::from_secs(3));
}

#[tokio::test]
async fn half_a_body_is_given_up_in_time() {
    let world = World::with(Limits {
        body_timeout: SHORT,
        ..Limits::DEFAULT
    });
    let half = "POST /v1/plans HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"policy\":";
    let mut stream = world.connect().await;
    stream.write_all(half.as_bytes()).await.unwrap();
    let answer = read(&mut stream).await;
    answer.assert_problem(Code::TooSlow);
    assert_eq!(answer.headers["connection"], "close");
    closed_after(&mut stream).await;
    world.hears("refused TooSlow").await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_announced_or_not() {
    let world = World::start();
    let kind = "Content-Type: application/json";
    let mebibyte = "x".repeat(1024 * 1024);
    let announced = format!(
        "POST /v1/plans HTTP/1.1\r\n{kind}\r\nContent-Length: {}\r\n\r\n{mebibyte}",
        mebibyte.len()
    );
    let chunked = format!(
        "POST /v1/plans HTTP/1.1\r\n{kind}\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n{mebibyte}\r\n0\r\n\r\n"
    );
    for request in [announced, chunked] {
        let (mut reader, mut writer) = world.connect().await.into_split();
        let sending = tokio::spawn(async move { writer.write_all(request.as_bytes()).await.is_ok() });
        let mut text = Vec::new();
        // The server resets the connection behind its answer, since it does not read the rest.
        drop(
            tokio::time::timeout(PATIENCE, reader.read_to_end(&mut text))
                .await
                .expect("still open"),
        );
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 413 ") && text.contains("too-large"),
            "{text}"
        );
        assert!(!sending.await.unwrap(), "the whole body was taken");
    }
    let fits = format!("{{\"policy\":\"{}\"}}", "p".repeat(60_000));
    assert_eq!(world.post("/v1/plans", "", &fits).await.status, 200);
    assert_eq!(
        world
            .lines()
            .iter()
            .filter(|line| line.contains("refused TooLarge"))
            .count(),
        2
    );
}

#[tokio::test]
async fn two_hundred_connections_at_once_take_no_more_than_their_places() {
    let world = World::start();
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(world.connect().await);
    }
    let (mut served, mut busy, mut closed) = (0, 0, 0);
    for stream in &mut held {
        if stream.write_all(STATUS).await.is_err() {
            closed += 1;
            continue;
        }
        let mut first = [0; 12];
        match tokio::time::timeout(PATIENCE, stream.read_exact(&mut first))
            .await
            .expect("no answer")
        {
            Ok(_) if &first == b"HTTP/1.1 200" => served += 1,
            Ok(_) if &first == b"HTTP/1.1 503" => busy += 1,
            Ok(_) => panic!("{}", String::from_utf8_lossy(&first)),
            Err(_) => closed += 1,
        }
    }
    // The newest have their places; those that were idle longest made room.
    assert_eq!((served, busy), (Limits::DEFAULT.open.each, 0));
    assert_eq!(closed, 200 - served);
    drop(held);
    let healthy = async {
        loop {
            let mut stream = world.connect().await;
            let mut first = [0; 12];
            if stream.write_all(STATUS).await.is_ok()
                && stream.read_exact(&mut first).await.is_ok()
                && &first == b"HTTP/1.1 200"
            {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, healthy)
        .await
        .expect("the places were not given back");
}

#[tokio::test]
async fn connections_that_are_only_held_open_keep_nobody_of_the_same_user_out() {
    let world = World::start();
    let parts = [
        "",
        "POST /v1/emerg",
        "POST /v1/plans HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ];
    let mut held = Vec::new();
    for number in 0..100 {
        let mut stream = world.connect().await;
        stream.write_all(parts[number % parts.len()].as_bytes()).await.unwrap();
        held.push(stream);
        if number % 10 == 0 {
            assert_eq!(world.post("/v1/emergencies/x/revert", "", "").await.status, 200);
        }
    }
    assert_eq!(world.get("/v1/status").await.status, 200);
}

/// A connection over which a question is asked that stays open.
async fn ask_slowly(world: &World, question: &str, heard: usize) -> UnixStream {
    let mut stream = world.connect().await;
    stream.write_all(question.as_bytes()).await.unwrap();
    let asked = async {
        while world.lines().iter().filter(|line| line.contains("policy slow")).count() < heard {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("the question did not arrive");
    stream
}

#[tokio::test]
async fn requests_under_way_keep_their_places_and_a_revert_of_the_same_user_still_goes_through() {
    let world = World::start();
    let mut held = Vec::new();
    for number in 1..=Limits::DEFAULT.open.each {
        held.push(ask_slowly(&world, "GET /v1/policies/slow HTTP/1.1\r\n\r\n", number).await);
    }
    world.get("/v1/status").await.assert_problem(Code::Busy);
    let plan = world.post("/v1/plans", "", r#"{"policy":"isolate-host"}"#).await;
    plan.assert_problem(Code::Busy);
    let declaration = r#"{"policy":"isolate-host","reason":"why","authority":"INC-1"}"#;
    assert_eq!(world.post("/v1/emergencies", "", declaration).await.status, 201);
    assert_eq!(world.post("/v1/emergencies/x/revert", "", "").await.status, 200);
    assert!(
        !world.lines().iter().any(|line| line.contains("refused Busy")),
        "{:?}",
        world.lines()
    );
    drop(held.pop());
    let free = async {
        while world.get("/v1/status").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, free)
        .await
        .expect("the place was not given back");
}

#[tokio::test]
async fn a_connection_has_a_share_of_requests_and_of_time() {
    let world = World::with(Limits {
        requests_per_connection: 3,
        connection_lifetime: SHORT,
        ..Limits::DEFAULT
    });
    let mut stream = world.connect().await;
    for request in 1..=3 {
        stream.write_all(STATUS).await.unwrap();
        let answer = read(&mut stream).await;
        assert_eq!(
            answer.headers.get("connection").map(String::as_str),
            (request == 3).then_some("close")
        );
    }
    closed_after(&mut stream).await;
    let mut stream = world.connect().await;
    stream.write_all(STATUS).await.unwrap();
    assert_eq!(read(&mut stream).await.status, 200);
    let elapsed = closed_after(&mut stream).await;
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for_for_ever() {
    let world = World::with(Limits {
        connection_lifetime: SHORT,
        answer_grace: SHORT,
        ..Limits::DEFAULT
    });
    let mut stream = world.connect().await;
    stream
        .write_all(b"GET /v1/policies/slow HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let elapsed = closed_after(&mut stream).await;
    assert!(elapsed >= SHORT * 2 && elapsed < SHORT * 20, "{elapsed:?}");
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_take_the_server_along() {
    let world = World::start();
    let mut stream = world.connect().await;
    stream
        .write_all(b"GET /v1/policies/slow HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    world.hears("policy slow").await;
    drop(stream);
    assert_eq!(world.get("/v1/status").await.status, 200);
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_does_not_wait_for_ever_for_the_rest() {
    let mut world = World::with(Limits {
        shutdown_grace: SHORT,
        ..Limits::DEFAULT
    });
    let mut idle = world.connect().await;
    idle.write_all(STATUS).await.unwrap();
    read(&mut idle).await;
    let mut waiting = world.connect().await;
    waiting
        .write_all(b"GET /v1/policies/slow HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    world.hears("policy slow").await;
    let start = Instant::now();
    world.stop().await;
    let elapsed = start.elapsed();
    assert!(elapsed >= SHORT && elapsed < SHORT * 10, "{elapsed:?}");
    assert!(!world.path.exists(), "the socket file stayed");
    closed_after(&mut idle).await;
    closed_after(&mut waiting).await;
}

/// A door where accept fails as it does without descriptors, and counts how often it was tried.
struct Exhausted(Arc<AtomicUsize>);

impl Accept for Exhausted {
    async fn accept(&mut self) -> io::Result<(UnixStream, Caller)> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(io::Error::from_raw_os_error(nix::errno::Errno::EMFILE as i32))
    }
}

#[tokio::test]
async fn without_descriptors_the_accept_loop_pauses_and_never_spins() {
    let tries = Arc::new(AtomicUsize::new(0));
    let (controller, _) = controller();
    let limits = Limits {
        accept_pause: Duration::from_millis(50),
        ..Limits::DEFAULT
    };
    let refusals = Refusals::new(controller.clone(), limits);
    let router = routes::router(controller, refusals.clone(), Grants::default(), limits);
    let hall = Hall::new(Shared {
        router,
        refusals,
        limits,
    });
    let door = Exhausted(Arc::clone(&tries));
    hall.receive(door, tokio::time::sleep(Duration::from_millis(500))).await;
    let tries = tries.load(Ordering::Relaxed);
    assert!((2..=11).contains(&tries), "{tries} tries in half a second");
}

#[tokio::test]
async fn orders_that_are_not_taken_are_recorded_but_not_every_one_of_a_flood() {
    let world = World::with(Limits {
        refusals_per_period: 3,
        ..Limits::DEFAULT
    });
    for _ in 0..10 {
        let answer = world
            .post("/v1/orders", "", r#"{"order":"{}\n","signature":"refused"}"#)
            .await;
        answer.assert_problem(Code::OrderRefused);
    }
    // What came of one that was taken is for the controller to record.
    let answer = world
        .post("/v1/orders", "", r#"{"order":"{}\n","signature":"in vain"}"#)
        .await;
    answer.assert_problem(Code::PlanChanged);
    world.get("/v1/status").await;
    let lines = world.lines();
    let recorded = lines
        .iter()
        .filter(|line| line.contains("refused OrderRefused"))
        .count();
    assert_eq!(recorded, 3, "{lines:#?}");
    assert!(
        !lines.iter().any(|line| line.contains("refused PlanChanged")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn alerts_that_are_refused_are_recorded_but_not_every_one_of_a_flood() {
    let world = World::with(Limits {
        refusals_per_period: 3,
        ..Limits::DEFAULT
    });
    for _ in 0..10 {
        let body = r#"{"policy":"isolate-host","state":"firing","reason":"refused"}"#;
        let answer = world.post_as_hook("/v1/alerts", body).await;
        answer.assert_problem(Code::CoolingDown);
    }
    world.get("/v1/status").await;
    let lines = world.lines();
    let recorded = lines.iter().filter(|line| line.contains("refused CoolingDown")).count();
    assert_eq!(recorded, 3, "{lines:#?}");
}

#[tokio::test]
async fn hooks_without_end_keep_no_operator_out() {
    // The last two are for uid 0, whom this may not run as.
    let places = Places { all: 4, each: 2 };
    let world = World::with(Limits {
        open: places,
        urgent: places,
        ..Limits::DEFAULT
    });
    let body = r#"{"policy":"isolate-host","state":"firing","reason":"slow"}"#;
    let (kind, length) = ("Content-Type: application/json", body.len());
    let request = format!("POST /v1/alerts HTTP/1.1\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}");
    let mut held = Vec::new();
    for number in 1..=places.each * 2 {
        let mut stream = UnixStream::connect(world.hooks()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let heard = async {
            while world.lines().iter().filter(|line| line.contains("alert slow")).count() < number {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it was not heard");
        held.push(stream);
    }
    let mut late = UnixStream::connect(world.hooks()).await.unwrap();
    closed_after(&mut late).await;
    assert_eq!(world.get("/v1/status").await.status, 200);
    assert_eq!(world.get("/v1/policies").await.status, 200);
}
