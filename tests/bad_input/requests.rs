//! Requests over the socket: each gets its status and its code, and what is no request gets no success.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::daemon::{Daemon, Home, PATIENT, exchange};
use crate::world::state::{assert_same, state};
use crate::{assert_printable, home, host, world};

mod table;

use table::{bad_requests, edited, get, post};

#[test]
fn a_bad_request_gets_its_code_and_a_hint_and_changes_nothing() {
    world::inside(
        "requests::a_bad_request_gets_its_code_and_a_hint_and_changes_nothing",
        |world| {
            let (host, home) = (host(world), home());
            let daemon = home.start(&host);
            let before = state(&host);
            for (what, bytes, status, code) in bad_requests() {
                let answer = exchange(&home.socket(), &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(answer.status, status, "{what}: {answer:?}");
                let problem = answer.json();
                assert_eq!(problem["code"], code, "{what}: {answer:?}");
                assert!(!problem["detail"].as_str().unwrap().is_empty(), "{what}");
                assert_printable(what, problem["detail"].as_str().unwrap());
                let now = daemon.get("/v1/status").json();
                assert_eq!(now["state"], "clear", "{what}: {now}");
            }
            assert_same(&before, &state(&host));
            raw_bytes(&home, &daemon);
            assert_same(&before, &state(&host));
            let said = home.cli(&host, &["audit", "verify", home.audit().to_str().unwrap()]);
            assert_eq!(said.exit, Some(0), "{said:?}");
            assert_printable("the log", &fs::read_to_string(home.audit()).unwrap());
            daemon.stop();
        },
    );
}

/// What is no HTTP at all, or ends in its middle.
fn raw_bytes(home: &Home, daemon: &Daemon) {
    let whole = post("", &edited(|_| {}));
    let cut_at = |at: usize| whole[..at].to_vec();
    let table = [
        ("nothing", Vec::new()),
        ("NULs", vec![0; 64]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("an endless line", vec![b'G'; 100_000]),
        ("many headers", get("/v1/status", &"a: b\r\n".repeat(5_000))),
        ("half a head", cut_at(40)),
        ("half a body", cut_at(whole.len() - 10)),
        ("two lengths", post("Content-Length: 5\r\n", "{}")),
        (
            "a length and chunks",
            post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
    ];
    for (what, bytes) in table {
        let mut stream = UnixStream::connect(home.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENT)).unwrap();
        // The other side may hang up in the middle, and says or does not say why.
        drop(stream.write_all(&bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{what}: {answer}");
        let now = daemon.get("/v1/status").json();
        assert_eq!(now["state"], "clear", "{what}: {now}");
    }
}
