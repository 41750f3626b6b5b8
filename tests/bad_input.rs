//! Bad input gets a clear error and changes nothing: policies, requests, the state directory, the audit file, names.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code"
)]

mod daemon;
mod world;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis::drill::namespace::Namespace;
use serde_json::{Value, json};

use daemon::{Daemon, Home, PATIENT, Said, declaration, exchange, policy};
use world::state::{assert_same, state};
use world::{World, ip, wait_for_dad, wait_until};

const LONG_MS: u64 = 1_800_000;

/// A host with one uplink.
fn host(world: World) -> Namespace {
    let (here, router) = (world.namespace("h"), world.namespace("r"));
    ip(
        &here,
        "link add name u0 type veth peer name v0 netns r
         link set dev u0 up
         addr add 10.0.0.2/24 brd + dev u0
         addr add fd00:0::2/64 dev u0",
    );
    ip(
        &router,
        "link set dev v0 up\naddr add 10.0.0.1/24 dev v0\naddr add fd00:0::1/64 dev v0 nodad",
    );
    wait_for_dad(&here);
    ip(&here, "route add default via 10.0.0.1\nroute add default via fd00:0::1");
    here
}

fn home() -> Home {
    Home::with(&[("additive.toml", &policy("additive", "\"gate\", \"seal\"", "closed"))])
}

/// No byte that a terminal would act on, and only text.
#[track_caller]
fn assert_printable(what: &str, text: &str) {
    let bad = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(bad, None, "{what}: {text:?}");
    assert!(!text.contains('\u{fffd}'), "{what}: bytes that are no text in {text:?}");
}

#[track_caller]
fn assert_error(said: &Said, exit: i32, parts: &[&str]) {
    assert_eq!(said.exit, Some(exit), "{said:?}");
    for part in parts {
        assert!(said.stderr.contains(part), "{part:?} is not in {said:?}");
    }
    assert_printable("standard error", &said.stderr);
}

#[test]
fn a_bad_policy_is_refused_with_its_place_and_nothing_starts() {
    world::inside("a_bad_policy_is_refused_with_its_place_and_nothing_starts", |world| {
        let host = host(world);
        let before = state(&host);
        let good = policy("good", "\"gate\"", "closed");
        let table: [(&str, String, &str); 9] = [
            ("empty", String::new(), "schema"),
            ("an unknown key", good.replace("affects", "afects"), "afects"),
            ("no end", good.replace("maximum = \"1h\"\n", ""), "maximum"),
            ("an endless end", good.replace("\"1h\"", "\"9999999h\""), "bad.toml:"),
            (
                "a name with an escape",
                good.replace("\"good\"", "\"\\u001b[2Jgood\""),
                "bad.toml:",
            ),
            (
                "a key with an escape",
                format!("\"\\u001b[31m\" = 1\n{good}"),
                "bad.toml:",
            ),
            (
                "the public without its lifelines",
                good.replace("own-hosts", "public"),
                "public",
            ),
            ("an unknown method", good.replace("\"gate\"", "\"axe\""), "axe"),
            (
                "a broken string",
                good.replace("a test\"\ndeclared", "a test\ndeclared"),
                "bad.toml:",
            ),
        ];
        for (what, text, part) in table {
            let home = Home::with(&[("bad.toml", &text)]);
            let file = home.policies().join("bad.toml");
            let said = home.cli(&host, &["policy", "check", file.to_str().unwrap()]);
            println!("-- {what}\n{}{}", said.stdout, said.stderr);
            assert_eq!(said.exit, Some(10), "{what}: {said:?}");
            let all = format!("{}{}", said.stdout, said.stderr);
            assert!(all.contains(part), "{what}: {part:?} is not in {all}");
            assert_printable(what, &all);
            let mut daemon = home.spawn(&host);
            assert_eq!(daemon.kid.wait(PATIENT).code(), Some(10), "{what}: {}", home.log());
            assert!(!home.state().exists(), "{what}: a state directory was made");
            assert_printable(what, &home.log().replace("\\n", "\n"));
        }
        for (what, bytes) in [
            ("bytes that are no text", b"schema = 1\nname = \"\xff\"\n".to_vec()),
            ("NULs", vec![0; 100]),
            ("more than a policy", vec![b'#'; 300 * 1024]),
        ] {
            let home = Home::with(&[]);
            let file = home.policies().join("bad.toml");
            fs::write(&file, bytes).unwrap();
            let said = home.cli(&host, &["policy", "check", file.to_str().unwrap()]);
            assert!(matches!(said.exit, Some(1 | 10)), "{what}: {said:?}");
            let all = format!("{}{}", said.stdout, said.stderr);
            assert!(all.contains("bad.toml"), "{what}: {said:?}");
            assert_printable(what, &all);
            let mut daemon = home.spawn(&host);
            assert_eq!(daemon.kid.wait(PATIENT).code(), Some(10), "{what}: {}", home.log());
            assert!(home.log().contains("bad.toml"), "{what}: {}", home.log());
        }
        assert_same(&before, &state(&host));
    });
}

/// A request as bytes: POST to emergencies with this body and these header lines.
fn post(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/emergencies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

fn edited(edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut body = declaration("additive", LONG_MS);
    edit(body.as_object_mut().unwrap());
    body.to_string()
}

/// What is sent, the status and the code of the answer.
fn bad_requests() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let set = |field: &str, value: Value| {
        let field = field.to_owned();
        post("", &edited(|body| drop(body.insert(field, value))))
    };
    let good = edited(|_| {});
    let long = "x".repeat(129);
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

#[test]
fn a_bad_request_gets_its_code_and_a_hint_and_changes_nothing() {
    world::inside("a_bad_request_gets_its_code_and_a_hint_and_changes_nothing", |world| {
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
    });
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

#[test]
fn a_bad_command_line_gets_its_exit_code_and_a_hint_and_changes_nothing() {
    world::inside(
        "a_bad_command_line_gets_its_exit_code_and_a_hint_and_changes_nothing",
        |world| {
            let (host, home) = (host(world), home());
            let daemon = home.start(&host);
            let before = state(&host);
            let terms = ["--reason", "a", "--authority", "b", "--occasion", "exercise"];
            let declare = |more: &[&str]| home.cli(&host, &[&["declare", "additive"], &terms[..], more].concat());
            assert_error(&declare(&[]), 2, &["flag-missing", "hint:", "--yes"]);
            assert_error(&declare(&["--yes", "--for", "2 parsecs"]), 2, &["--for"]);
            assert_error(&declare(&["--yes", "--for", "100h"]), 5, &["over-limit", "hint:"]);
            assert_error(&declare(&["--plan", "abc"]), 5, &["plan-changed", "hint:"]);
            let escapes = [
                "declare",
                "additive",
                "--reason",
                "\u{1b}[2J",
                "--authority",
                "b",
                "--occasion",
                "exercise",
                "--yes",
            ];
            assert_error(&home.cli(&host, &escapes), 2, &["bad-request", "hint:"]);
            let other = ["declare", "\u{1b}[2J", "--reason", "a", "--authority", "b", "--yes"];
            assert_error(&home.cli(&host, &other), 10, &["no-such-policy", "hint:"]);
            assert_error(&home.cli(&host, &["revert"]), 3, &["hint:"]);
            assert_error(&home.cli(&host, &["revert", "\u{1b}[2J"]), 2, &["hint:"]);
            assert_error(&home.cli(&host, &["confirm", "../../status"]), 3, &["hint:"]);
            assert_error(&home.cli(&host, &["plan", "nothing"]), 10, &["no-such-policy", "hint:"]);
            assert_error(&home.cli(&host, &["frobnicate"]), 2, &["frobnicate"]);
            assert_eq!(home.cli(&host, &["status", "--check"]).exit, Some(3));
            let elsewhere = home.cli(&host, &["--socket", "/nonexistent.sock", "status"]);
            assert_error(&elsewhere, 4, &["socket-missing", "hint:"]);
            assert_same(&before, &state(&host));
            daemon.stop();
            assert_error(&home.cli(&host, &["revert"]), 4, &["hint:"]);
        },
    );
}

#[test]
fn a_bad_file_in_the_state_directory_is_a_clear_error_and_changes_nothing() {
    world::inside(
        "a_bad_file_in_the_state_directory_is_a_clear_error_and_changes_nothing",
        |world| {
            let host = host(world);
            let before = state(&host);
            type Plant = fn(&std::path::Path);
            let plants: [(&str, Plant); 4] = [
                ("symbolic link", |path| {
                    std::os::unix::fs::symlink("/etc/passwd", path).unwrap()
                }),
                ("not a regular file", |path| {
                    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
                }),
                ("not a regular file", |path| fs::create_dir(path).unwrap()),
                ("lets others write", |path| {
                    fs::write(path, "{}").unwrap();
                    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
                }),
            ];
            for (why, plant) in plants {
                let home = home();
                fs::create_dir(home.state()).unwrap();
                fs::set_permissions(home.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
                plant(&home.state().join("journal.json"));
                let mut daemon = home.spawn(&host);
                assert_eq!(daemon.kid.wait(PATIENT).code(), Some(1), "{why}: {}", home.log());
                let log = home.log();
                assert!(
                    log.contains(why) && log.contains("journal.json") && log.contains("hint"),
                    "{why}: {log}"
                );
                // The log may be anything: the daemon must come up to restore, but it cuts nothing.
                let home = self::home();
                fs::create_dir(home.state()).unwrap();
                fs::set_permissions(home.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
                plant(&home.audit());
                let daemon = home.start(&host);
                let answer = daemon.post("/v1/emergencies", &declaration("additive", LONG_MS));
                assert_eq!(
                    (answer.status, &answer.json()["code"]),
                    (503, &json!("no-record")),
                    "{why}: {answer:?}"
                );
                let fault = daemon.get("/v1/status").json()["audit"]["fault"].to_string();
                assert!(fault.contains(why), "{why}: {fault}");
                daemon.stop();
            }
            assert_same(&before, &state(&host));
        },
    );
}

#[test]
fn a_bad_audit_file_is_told_by_verify_whatever_is_in_it() {
    world::inside("a_bad_audit_file_is_told_by_verify_whatever_is_in_it", |world| {
        let (host, home) = (host(world), home());
        let daemon = home.start(&host);
        let id = daemon.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
        assert_eq!(home.cli(&host, &["revert", &id]).exit, Some(0));
        daemon.stop();
        let good = fs::read_to_string(home.audit()).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let joined = |lines: &[&str]| {
            lines
                .iter()
                .flat_map(|l| [l.as_bytes(), b"\n"].concat())
                .collect::<Vec<u8>>()
        };
        let without = |at: usize| joined(&[&lines[..at], &lines[at + 1..]].concat());
        let swapped = joined(&[&lines[..1], &[lines[2], lines[1]], &lines[3..]].concat());
        let table: [(&str, Vec<u8>, i32, &str); 9] = [
            ("untouched", good.clone().into_bytes(), 0, ""),
            ("empty", Vec::new(), 0, ""),
            ("a torn last line", good.as_bytes()[..good.len() - 7].to_vec(), 0, ""),
            ("the first record removed", without(0), 8, "record 1"),
            ("a record removed", without(2), 8, "record 3"),
            ("two records swapped", swapped, 8, "record 2"),
            ("bytes", [good.as_bytes(), b"\xff\xfe\0\n{}\n"].concat(), 8, "line"),
            (
                "a huge line",
                [good.as_bytes(), &vec![b'x'; 3 << 20], b"\n{}\n"].concat(),
                8,
                "line",
            ),
            ("escapes", [good.as_bytes(), b"\x1b[2J\n{}\n"].concat(), 8, "line"),
        ];
        for (what, bytes, exit, part) in table {
            let copy = home.path().join("copy.jsonl");
            fs::write(&copy, bytes).unwrap();
            let said = home.cli(&host, &["audit", "verify", copy.to_str().unwrap()]);
            assert_eq!(said.exit, Some(exit), "{what}: {said:?}");
            let all = said.stdout.clone() + &said.stderr;
            assert!(all.contains(part), "{what}: {part:?} is not in {all}");
            assert_printable(what, &all);
        }
        let said = home.cli(&host, &["audit", "verify", "/nonexistent"]);
        assert_error(&said, 1, &["/nonexistent", "hint:"]);
    });
}

#[test]
fn names_that_no_terminal_should_see_are_escaped_and_their_links_cut() {
    world::inside(
        "names_that_no_terminal_should_see_are_escaped_and_their_links_cut",
        |world| {
            let host = host(world);
            let whole = policy("whole", "\"gate\", \"seal\"", "closed").replace("\"u0\"", "\"*\"");
            let home = Home::with(&[("whole.toml", &whole)]);
            let hostile: [&[u8]; 3] = [b"ev\xff\xfe0", b"\x1b[31mred", b"a\x07\x7fb"];
            let run = |program: &str, args: &[&OsStr]| {
                let output = host
                    .run(|_| Command::new(program).args(args).output())
                    .unwrap()
                    .unwrap();
                assert!(output.status.success(), "{program} {args:?}: {output:?}");
                output.stdout
            };
            let word = OsStr::new;
            for (number, name) in hostile.iter().enumerate() {
                let plain = format!("pl{number}");
                ip(
                    &host,
                    &format!("link add name {plain} type veth peer name q{number} netns r"),
                );
                run(
                    "ip",
                    &["link", "set", "dev", &plain, "name"]
                        .map(word)
                        .into_iter()
                        .chain([OsStr::from_bytes(name)])
                        .collect::<Vec<_>>(),
                );
                run(
                    "ip",
                    &[
                        word("link"),
                        word("set"),
                        word("dev"),
                        OsStr::from_bytes(name),
                        word("up"),
                    ],
                );
            }
            let altname = OsStr::from_bytes(b"\x1b]0;owned\x07\xff");
            run(
                "ip",
                &["link", "property", "add", "dev", "u0", "altname"]
                    .map(word)
                    .into_iter()
                    .chain([altname])
                    .collect::<Vec<_>>(),
            );
            wait_for_dad_quietly(&host);
            let qdiscs = || run("tc", &["qdisc", "show"].map(word));
            let before = qdiscs();
            let daemon = home.start(&host);
            let shown = |args: &[&str]| {
                let said = home.cli(&host, args);
                assert_printable(&args.join(" "), &(said.stdout.clone() + &said.stderr));
                said
            };
            let snapshot = shown(&["snapshot"]);
            assert_eq!(snapshot.exit, Some(0));
            let links = |text: &str| text.matches("type veth").count();
            assert_eq!(links(&snapshot.stdout), 4, "no link is left out:\n{}", snapshot.stdout);
            let plan = shown(&["-o", "json", "plan", "whole"]);
            let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
            assert_eq!(plan["links"].as_array().unwrap().len(), 4, "{}", plan["links"]);
            assert_eq!(shown(&["plan", "whole"]).exit, Some(0));
            let terms = ["--reason", "a", "--authority", "b", "--occasion", "exercise", "--yes"];
            assert_eq!(shown(&[&["declare", "whole"], &terms[..]].concat()).exit, Some(0));
            assert_eq!(shown(&["status"]).exit, Some(0));
            assert_eq!(shown(&["-o", "json", "status"]).exit, Some(0));
            assert_eq!(shown(&["doctor"]).exit, Some(0));
            assert_eq!(shown(&["audit", "show"]).exit, Some(0));
            let gated = qdiscs();
            let blocks = String::from_utf8_lossy(&gated).matches("clsact").count();
            assert_eq!(blocks, 4, "every link is gated:\n{}", String::from_utf8_lossy(&gated));
            assert_eq!(shown(&["revert"]).exit, Some(0));
            assert_eq!(qdiscs(), before);
            assert_printable("the log", &fs::read_to_string(home.audit()).unwrap());
            daemon.stop();
        },
    );
}

/// As [`wait_for_dad`], whose output is not text here.
fn wait_for_dad_quietly(host: &Namespace) {
    wait_until("duplicate address detection is over", PATIENT, || {
        let show = || {
            Command::new("ip")
                .args(["-6", "-o", "addr", "show", "tentative"])
                .output()
        };
        host.run(|_| show()).unwrap().unwrap().stdout.is_empty()
    });
}

#[test]
fn slow_clients_at_once_hold_up_no_revert() {
    world::inside("slow_clients_at_once_hold_up_no_revert", |world| {
        let (host, home) = (host(world), home());
        let daemon = home.start(&host);
        let before = state(&host);
        let id = daemon.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
        let slow: Vec<UnixStream> = (0..64)
            .filter_map(|number: usize| {
                let mut stream = UnixStream::connect(home.socket()).ok()?;
                let half: &[u8] = if number.is_multiple_of(2) {
                    b"POST /v1/emergencies HTTP/1.1\r\nHost: loc"
                } else {
                    b"POST /v1/emergencies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
                };
                // One beyond the limit may find the door shut.
                stream.write_all(half).ok().map(|()| stream)
            })
            .collect();
        assert!(slow.len() >= 16, "only {} were let in", slow.len());
        // All of them are of the same user as the operator: the worst case. They are dropped by the time-out for heads.
        let begun = Instant::now();
        wait_until("the revert went through", Duration::from_secs(15), || {
            let said = home.cli(&host, &["revert", &id]);
            assert!(matches!(said.exit, Some(0 | 1 | 4)), "{said:?}");
            said.exit == Some(0)
        });
        println!("reverted {:?} after {} slow clients came", begun.elapsed(), slow.len());
        assert_same(&before, &state(&host));
        drop(slow);
        daemon.stop();
    });
}
