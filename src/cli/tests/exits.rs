//! The exit codes as a table: by code of the API, by situation, by command.

use std::os::unix::net::UnixListener;
use std::path::Path;

use super::super::exit::Situation;
use super::*;

#[test]
fn every_exit_code_has_its_number_and_stands_in_the_help() {
    let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.number()).collect();
    assert_eq!(numbers, (0..=11).collect::<Vec<u8>>());
    let help = type_as(Person::default(), Path::new("/"), &["--help"]);
    assert_eq!(help.exit, Exit::Done);
    for exit in Exit::ALL {
        assert!(help.out.contains(exit.meaning()), "{exit:?}");
    }
}

#[test]
fn every_error_of_the_api_has_its_exit_code() {
    let table = [
        (Code::BadRequest, 2),
        (Code::NoSuchPath, 2),
        (Code::MethodNotAllowed, 2),
        (Code::TooLarge, 2),
        (Code::TooSlow, 7),
        (Code::Busy, 1),
        (Code::Forbidden, 5),
        (Code::SamePerson, 5),
        (Code::ReviewOpen, 5),
        (Code::CoolingDown, 5),
        (Code::TooOften, 5),
        (Code::OrderRefused, 5),
        (Code::ForeignOrigin, 5),
        (Code::NoSuchPolicy, 10),
        (Code::NoSuchEmergency, 3),
        (Code::WrongState, 3),
        (Code::OverLimit, 5),
        (Code::WrongOccasion, 5),
        (Code::PlanRefused, 5),
        (Code::PlanChanged, 5),
        (Code::RiskNotAccepted, 2),
        (Code::KeyReused, 5),
        (Code::Stuck, 3),
        (Code::NoRecord, 1),
        (Code::NoJournal, 1),
        (Code::NoGuardian, 1),
        (Code::KernelRefused, 1),
        (Code::Partial, 6),
        (Code::ShuttingDown, 1),
        (Code::Internal, 1),
    ];
    assert_eq!(table.map(|(code, _)| code), Code::ALL, "the table lacks a code");
    for (code, number) in table {
        let declared = Err(ApiError::new(code, "it says so", "do this"));
        let daemon = Daemon::start(Answers {
            declared,
            ..Answers::default()
        });
        let line = ["declare", "isolate-host", "--reason", "r", "--authority", "a", "--yes"];
        let outcome = script(&daemon, &line);
        assert_eq!(outcome.exit.number(), number, "{code:?}");
        let name = Situation::Api(code).code();
        assert_eq!(outcome.err, format!("error[{name}]: it says so\nhint: do this\n"));
        assert_eq!(outcome.out, "");
    }
}

#[test]
fn every_situation_has_its_exit_code() {
    let table = [
        (Situation::Usage, 2),
        (Situation::FlagMissing, 2),
        (Situation::Ambiguous, 2),
        (Situation::NothingInForce, 3),
        (Situation::SocketMissing, 4),
        (Situation::SocketClosedToYou, 4),
        (Situation::NobodyListens, 4),
        (Situation::NoAnswer, 4),
        (Situation::TimedOut, 7),
        (Situation::NotConfirmed, 9),
        (Situation::BadPolicy, 10),
        (Situation::AuditBroken, 8),
        (Situation::Unreadable, 1),
        (Situation::InUse, 1),
        (Situation::NothingToPropose, 1),
    ];
    for (situation, number) in table {
        assert_eq!(situation.exit().number(), number, "{situation:?}");
    }
}

#[test]
fn commands_say_how_it_stands_by_their_exit_code() {
    let stuck = Answers {
        receipt: samples::stuck_receipt(),
        ..Answers::default()
    };
    let ready = Answers {
        readiness: Readiness {
            ready: true,
            policies: 0,
            unplanned: Vec::new(),
            findings: Vec::new(),
        },
        ..Answers::default()
    };
    let none = Answers {
        emergencies: Vec::new(),
        ..Answers::default()
    };
    let declare: &[&str] = &["declare", "isolate-host", "--reason", "r", "--authority", "a", "--yes"];
    let table: Vec<(Answers, &[&str], u8)> = vec![
        (in_state(HostState::Clear), &["status"], 0),
        (in_state(HostState::Degraded), &["status"], 0),
        (in_state(HostState::Stuck), &["status"], 0),
        (in_state(HostState::Clear), &["status", "--check"], 3),
        (in_state(HostState::InForce), &["status", "--check"], 0),
        (in_state(HostState::Degraded), &["status", "--check"], 8),
        (in_state(HostState::Stuck), &["status", "--check"], 6),
        (in_state(HostState::LeftOver), &["status", "--check"], 6),
        (Answers::default(), &["doctor"], 8),
        (ready, &["doctor"], 0),
        (Answers::default(), &["revert"], 0),
        (stuck, &["revert"], 6),
        (none.clone(), &["revert"], 3),
        (none, &["confirm", samples::ID], 0),
        (Answers::default(), &["restore"], 2),
        (Answers::default(), &["restore", "--offline"], 0),
        (Answers::default(), &["restore", "--offline", "--state", "baseline"], 0),
        (Answers::default(), &["restore", "--offline", "--state", "marks"], 6),
        (Answers::default(), &["restore", "--offline", "--state", "nothing"], 0),
        (Answers::default(), &["restore", "--offline", "--state", "read-only"], 6),
        (Answers::default(), &["restore", "--offline", "--state", "in-use"], 1),
        (Answers::default(), &["policy", "show", "no-such"], 10),
        (declared_as(EmergencyState::InForce), declare, 0),
        (declared_as(EmergencyState::Degraded), declare, 8),
        (declared_as(EmergencyState::Proposed), declare, 11),
        (waiting(EmergencyState::Proposed), &["approve", "--plan", "9f86"], 11),
        (
            waiting(EmergencyState::InForce),
            &["approve", "01936a5e", "--plan", "9f86"],
            0,
        ),
        (waiting(EmergencyState::Ended), &["reject", "--reason", "not now"], 0),
        (waiting(EmergencyState::Proposed), &["revert"], 3),
        (waiting(EmergencyState::Proposed), &["revert", "--all"], 0),
        (Answers::default(), &["approve", "--plan", "9f86"], 3),
        (Answers::default(), &["approve"], 2),
        (declared_as(EmergencyState::Stuck), declare, 6),
    ];
    for (answers, line, number) in table {
        let outcome = script(&Daemon::start(answers), line);
        assert_eq!(outcome.exit.number(), number, "{line:?}: {outcome:?}");
    }
}

#[test]
fn a_daemon_that_cannot_be_reached_is_said_to_be_so_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.sock");
    let stale = dir.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    let cases = [
        (&missing, "socket-missing", "there is no such socket"),
        (&stale, "nobody-listens", "nobody listens"),
    ];
    for (socket, code, why) in cases {
        for line in [&["status"][..], &["revert"], &["doctor"], &["audit", "head"]] {
            let outcome = type_as(Person::default(), socket, line);
            assert_eq!(outcome.exit, Exit::Unreachable);
            let first = format!(
                "error[{code}]: failed to connect to {}: {why}\nhint: ",
                socket.display()
            );
            assert!(outcome.err.starts_with(&first), "{outcome:?}");
        }
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_not_waited_for_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let silent = dir.path().join("silent.sock");
    let _listener = UnixListener::bind(&silent).unwrap();
    let outcome = type_as(Person::default(), &silent, &["status", "--timeout", "100ms"]);
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert!(
        outcome.err.starts_with("error[timed-out]: no answer from "),
        "{outcome:?}"
    );
    assert!(outcome.err.contains("within 100ms"), "{outcome:?}");
}

#[test]
fn an_answer_that_is_none_of_the_daemons_leaves_the_state_unknown() {
    let answers = [
        "",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"state\":",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno",
    ];
    for answer in answers {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("odd.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let odd = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            assert_ne!(io::Read::read(&mut stream, &mut head).unwrap(), 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let outcome = type_as(Person::default(), &socket, &["status"]);
        odd.join().unwrap();
        assert_eq!(outcome.exit, Exit::Unreachable, "{answer:?}: {outcome:?}");
        assert!(
            outcome.err.starts_with("error[no-answer]: no answer from "),
            "{outcome:?}"
        );
    }
}

#[test]
fn files_are_checked_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere.sock");
    let bad = dir.path().join("bad.toml");
    std::fs::write(&bad, "name = 3\n").unwrap();
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/audit/v1.jsonl");
    let broken = dir.path().join("broken.jsonl");
    let text = std::fs::read_to_string(log).unwrap();
    std::fs::write(&broken, text.replacen("worm", "calm", 1)).unwrap();
    let torn = dir.path().join("torn.jsonl");
    std::fs::write(&torn, &text[..text.len() - 5]).unwrap();
    let (bad, broken, torn) = (bad.to_str().unwrap(), broken.to_str().unwrap(), torn.to_str().unwrap());
    let far = format!("99:{}", "ab".repeat(32));
    let table: [(&[&str], u8, &str); 7] = [
        (&["policy", "check", bad], 10, "bad.toml"),
        (&["policy", "check", "/nonexistent"], 1, ""),
        (&["audit", "verify", log], 0, "intact"),
        (&["audit", "verify", torn], 0, "remains of an append"),
        (
            &["audit", "verify", broken],
            8,
            "line 1, record 1: the hash does not match",
        ),
        (
            &["audit", "verify", log, "--head", &far],
            8,
            "the log ends before record 99",
        ),
        (&["audit", "verify", "/nonexistent"], 1, ""),
    ];
    for (line, number, text) in table {
        let outcome = type_as(Person::default(), &nowhere, line);
        assert_eq!(outcome.exit.number(), number, "{line:?}: {outcome:?}");
        assert!(outcome.out.contains(text), "{line:?}: {outcome:?}");
    }
}

#[test]
fn output_that_is_lost_is_a_failure_only_where_nothing_was_changed() {
    struct Full(io::ErrorKind);
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let daemon = Daemon::start(Answers::default());
    let table = [
        (io::ErrorKind::StorageFull, "status", Exit::Failed),
        (io::ErrorKind::StorageFull, "--help", Exit::Failed),
        (io::ErrorKind::StorageFull, "confirm", Exit::Done),
        (io::ErrorKind::BrokenPipe, "status", Exit::Done),
        (io::ErrorKind::BrokenPipe, "--help", Exit::Done),
    ];
    for (kind, command, exit) in table {
        let err = Kept::default();
        let mut around = Surroundings {
            ssh_connection: None,
            terminal: Terminal::Nobody,
            screen: Screen::given(Full(kind), err.clone()),
            watch_period: Duration::from_millis(1),
            local: FIXED,
        };
        let line = ["portcullis", "--socket", daemon.socket.to_str().unwrap(), command];
        assert_eq!(run(line.map(OsString::from), &mut around), exit, "{kind:?}, {command}");
        drop(around);
        let said = String::from_utf8(err.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            said.contains("output was lost"),
            kind == io::ErrorKind::StorageFull,
            "{said}"
        );
    }
}

#[test]
fn ending_everything_is_done_where_there_is_nothing_and_partial_where_residue_stands() {
    let nothing = Answers {
        emergencies: Vec::new(),
        ..Answers::default()
    };
    let stuck = Answers {
        receipt: samples::stuck_receipt(),
        ..Answers::default()
    };
    for (answers, exit) in [
        (nothing, Exit::Done),
        (Answers::default(), Exit::Done),
        (stuck, Exit::Partial),
    ] {
        let daemon = Daemon::start(answers);
        assert_eq!(script(&daemon, &["revert", "--all"]).exit, exit);
    }
    let nobody = type_as(Person::default(), Path::new("/nonexistent"), &["revert", "--all"]);
    assert_eq!(nobody.exit, Exit::Unreachable, "{nobody:?}");
}

#[test]
fn of_all_that_end_residue_is_accepted_of_those_alone_that_are_stuck() {
    let one = |id: &str, state| EmergencyView {
        id: id.to_owned(),
        state,
        ..samples::emergency()
    };
    let daemon = Daemon::start(Answers {
        emergencies: vec![one("a", EmergencyState::Stuck), one("b", EmergencyState::InForce)],
        ..Answers::default()
    });
    script(&daemon, &["revert", "--all", "--accept-residue"]);
    let heard = daemon.heard();
    let reverts: Vec<&String> = heard.iter().filter(|line| line.starts_with("revert")).collect();
    assert_eq!(reverts, ["revert a accepting", "revert b"], "{heard:#?}");
}

#[test]
fn an_alert_is_done_once_it_is_taken_and_says_what_is_left() {
    let left = AlertView {
        receipt: Some(samples::stuck_receipt()),
        ..samples::ended_alert()
    };
    let holed = AlertView {
        emergency: samples::degraded().emergencies.pop(),
        ..samples::holding_alert()
    };
    let cooling = ApiError::new(Code::CoolingDown, "it says so", "do this");
    for (alert, number) in [
        (Ok(samples::waiting_alert()), 0),
        (Ok(samples::holding_alert()), 0),
        (Ok(samples::ended_alert()), 0),
        (Ok(left), 6),
        (Ok(holed), 8),
        (Err(cooling), 5),
    ] {
        let daemon = Daemon::start(Answers {
            alert: alert.clone(),
            ..Answers::default()
        });
        let socket = daemon.socket.with_file_name("hook.sock");
        let line = ["alert", "isolate-host", "--state", "firing", "--reason", "r"];
        let outcome = type_as(Person::default(), &socket, &line);
        assert_eq!(outcome.exit.number(), number, "{alert:?}: {outcome:?}");
    }
}
