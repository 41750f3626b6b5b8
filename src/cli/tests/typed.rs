//! What may be typed, and what the daemon hears of it.

use std::path::Path;

use clap::{CommandFactory, Parser as _};

use super::super::args::CommandLine;
use super::*;

#[test]
fn the_command_line_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn what_cannot_be_meant_is_an_error_of_usage() {
    let lines: [&[&str]; 13] = [
        &[],
        &["statu"],
        &["status", "--watch", "--check"],
        &["declare", "p"],
        &["declare", "p", "--reason", "r"],
        &["declare", "p", "--reason", "r", "--authority", "a", "--for", "1d"],
        &[
            "declare",
            "p",
            "--reason",
            "r",
            "--authority",
            "a",
            "--accept-risk",
            "everything",
        ],
        &["extend"],
        &["extend", "--by", "0s"],
        &["policy"],
        &["policy", "check"],
        &["audit", "show", "--since", "yesterday"],
        &["-o", "xml", "status"],
    ];
    for line in lines {
        let outcome = type_as(Person::default(), Path::new("/nonexistent"), line);
        assert_eq!(outcome.exit, Exit::Usage, "{line:?}: {outcome:?}");
        assert_eq!(outcome.out, "");
    }
}

#[test]
fn an_alert_goes_to_the_socket_of_hooks_and_the_daemon_hears_what_was_typed() {
    let daemon = Daemon::start(Answers::default());
    let line = [
        "alert",
        "isolate-host",
        "--state",
        "firing",
        "--reason",
        "C2 beacon",
        "--incident",
        "a1b2",
        "--for",
        "10m",
    ];
    let hooks = daemon.socket.with_file_name("hook.sock");
    let outcome = type_as(Person::default(), &hooks, &line);
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    let wanted = r#"AlertRequest { policy: "isolate-host", state: Firing, reason: "C2 beacon", incident: Some("a1b2"), duration_ms: Some(600000) }"#;
    assert_eq!(daemon.heard(), [wanted]);
    let at_operators = script(&daemon, &line);
    assert_eq!(at_operators.exit, Exit::Refused, "{at_operators:?}");
    let unnamed = CommandLine::try_parse_from(["portcullis"].into_iter().chain(line)).unwrap();
    assert_eq!(
        super::super::socket(&unnamed),
        Path::new("/run/portcullis-hook/hook.sock")
    );
    let other = CommandLine::try_parse_from(["portcullis", "status"]).unwrap();
    assert_eq!(
        super::super::socket(&other),
        Path::new("/run/portcullis/portcullis.sock")
    );
}

#[test]
fn a_day_is_refused_with_what_to_write() {
    let line = ["plan", "p", "--for", "1d"];
    let outcome = type_as(Person::default(), Path::new("/nonexistent"), &line);
    assert!(outcome.err.contains("24h"), "{outcome:?}");
}

#[test]
fn the_daemon_hears_what_was_typed() {
    let daemon = Daemon::start(Answers::default());
    let table: [(&[&str], &str); 10] = [
        (
            &["plan", "p", "--for", "90m"],
            r#"PlanRequest { policy: "p", duration_ms: Some(5400000), session: None }"#,
        ),
        (&["confirm"], &format!("confirm {}", samples::ID)),
        (
            &["extend", "01936a5e", "--by", "30m"],
            &format!("extend {} 1800000 true", samples::ID),
        ),
        (&["revert", samples::ID], &format!("revert {}", samples::ID)),
        (&["policy", "show", "a/b c"], "policy a/b c"),
        (&["policy", "list"], "policies"),
        (&["doctor"], "readiness"),
        (&["audit", "head"], "head"),
        (&["snapshot"], "snapshot"),
        (
            &[
                "audit",
                "show",
                "--since",
                "2026-11-24T03:00:00Z",
                "--actor",
                "ada",
                "--kind",
                "declared",
                "--limit",
                "3",
            ],
            r#"AuditQuery { after: None, since: Some("2026-11-24T03:00:00Z"), emergency: None, actor: Some("ada"), kind: Some("declared"), limit: Some(3) }"#,
        ),
    ];
    for (line, heard) in table {
        script(&daemon, line);
        assert_eq!(daemon.heard().last().map(String::as_str), Some(heard), "{line:?}");
    }
}

#[test]
fn an_own_session_is_told_and_one_that_is_none_is_warned_about() {
    let daemon = Daemon::start(Answers::default());
    let person = |ssh| Person { types: None, ssh };
    type_as(
        person(Some("192.0.2.7 50022 198.51.100.1 22")),
        &daemon.socket,
        &["plan", "p"],
    );
    let heard = daemon.heard().pop().unwrap();
    assert!(
        heard.contains(r#"peer: "192.0.2.7", peer_port: 50022, local: "198.51.100.1", local_port: 22"#),
        "{heard}"
    );
    let outcome = type_as(person(Some("somewhere")), &daemon.socket, &["plan", "p"]);
    assert!(
        outcome.err.starts_with("warning: SSH_CONNECTION is not valid"),
        "{outcome:?}"
    );
    assert!(daemon.heard().pop().unwrap().contains("session: None"));
}

#[test]
fn a_snapshot_can_be_compared_and_read_without_the_daemon() {
    let daemon = Daemon::start(Answers::default());
    let dir = tempfile::tempdir().unwrap();
    let before = dir.path().join("before");
    let file = before.to_str().unwrap();
    std::fs::write(&before, script(&daemon, &["snapshot"]).out).unwrap();
    let same = script(&daemon, &["snapshot", "--diff", file]);
    assert_eq!((same.exit, same.out.as_str()), (Exit::Done, ""));
    let local = script(&daemon, &["snapshot", "--local", "--diff", file]);
    assert_eq!(local.exit, Exit::NotAsItShould);
    assert!(local.out.contains("\n-2: eth0: up\n"), "{local:?}");
    assert_eq!(daemon.heard().len(), 2, "--local asked the daemon");
    let missing = script(&daemon, &["snapshot", "--diff", "/nonexistent"]);
    assert_eq!(missing.exit, Exit::Failed);

    std::fs::write(&before, script(&daemon, &["-o", "json", "snapshot"]).out).unwrap();
    let same = script(&daemon, &["snapshot", "--diff", file]);
    assert_eq!((same.exit, same.out.as_str()), (Exit::Done, ""));
    let asked = daemon.heard().len();
    for junk in [
        "",
        "junk\n",
        "{}",
        "{\"snapshot\": \"junk\"}",
        "{\"snapshot\": \"# links\\n\"",
        "# links\n# moons\n",
        "# links\n# rules\n# routes\n",
    ] {
        std::fs::write(&before, junk).unwrap();
        let refused = script(&daemon, &["snapshot", "--diff", file]);
        assert_eq!((refused.exit, refused.out.as_str()), (Exit::Usage, ""), "{junk:?}");
        assert!(refused.err.contains("is not a snapshot\nhint:"), "{refused:?}");
    }
    assert_eq!(daemon.heard().len(), asked, "the daemon was asked in vain");
}

#[test]
fn a_fifo_is_refused_and_not_waited_for() {
    let daemon = Daemon::start(Answers::default());
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let file = fifo.to_str().unwrap();
    let lines: [&[&str]; 8] = [
        &["policy", "check", file],
        &["drill", file],
        &["snapshot", "--diff", file],
        &["audit", "verify", file],
        &["audit", "verify", "--checkpoint", file],
        &["audit", "prove", "1", "--file", file],
        &["report", "--log", file],
        &["report", "--drill", file],
    ];
    for line in lines {
        let refused = script(&daemon, line);
        assert!(
            [Exit::Failed, Exit::Usage].contains(&refused.exit),
            "{line:?}: {refused:?}"
        );
        assert!(
            refused.err.contains(file) && refused.err.contains("not a "),
            "{line:?}: {refused:?}"
        );
    }
}

#[test]
fn every_command_stands_in_the_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = type_as(Person::default(), Path::new("/nonexistent"), &["completions", shell]);
        assert_eq!(outcome.exit, Exit::Done);
        for command in CommandLine::command().get_subcommands() {
            assert!(
                outcome.out.contains(command.get_name()),
                "{shell}: {}",
                command.get_name()
            );
        }
    }
}
