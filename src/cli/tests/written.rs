//! What is written: text and JSON for fixed objects, kept as snapshots; and that nothing from elsewhere is obeyed.

use super::super::render;
use super::*;

fn written(name: &str, answers: &Answers, line: &[&str]) {
    let daemon = Daemon::start(answers.clone());
    let text = script(&daemon, line);
    insta::assert_snapshot!(format!("{name}_text"), text.out);
    let json = script(&daemon, &[&["-o", "json"], line].concat());
    insta::assert_snapshot!(format!("{name}_json"), json.out);
    assert_eq!(text.exit, json.exit);
    assert!(
        serde_json::from_str::<serde_json::Value>(&json.out).is_ok(),
        "{}",
        json.out
    );
}

#[test]
fn every_result_reads_as_it_should() {
    let normal = Answers::default();
    let clear = Answers {
        status: samples::clear(),
        ..Answers::default()
    };
    let degraded = Answers {
        status: samples::degraded(),
        ..Answers::default()
    };
    let losing = Answers {
        plan: samples::plan(),
        ..Answers::default()
    };
    let stuck = Answers {
        receipt: samples::stuck_receipt(),
        ..Answers::default()
    };
    written("status_in_force", &normal, &["status"]);
    written("status_clear", &clear, &["status"]);
    written("status_degraded", &degraded, &["status"]);
    written("policy_list", &normal, &["policy", "list"]);
    written("policy_show", &normal, &["policy", "show", "isolate-host"]);
    written("plan", &losing, &["plan", "isolate-host"]);
    written("confirm", &normal, &["confirm"]);
    written("revert", &normal, &["revert"]);
    let foreign = Answers {
        receipt: ReceiptView {
            restored_digest: Some("bbbb".to_owned()),
            ..samples::receipt()
        },
        ..Answers::default()
    };
    written("revert_beside_others", &foreign, &["revert"]);
    written("revert_stuck", &stuck, &["revert"]);
    written("revert_all", &normal, &["revert", "--all"]);
    written("restore_offline", &normal, &["restore", "--offline"]);
    written(
        "restore_by_marks",
        &normal,
        &["restore", "--offline", "--state", "marks"],
    );
    written("policy_new", &normal, &["policy", "new", "edge"]);
    written("snapshot", &normal, &["snapshot"]);
    written("audit_show", &normal, &["audit", "show"]);
    written("audit_head", &normal, &["audit", "head"]);
    written("doctor", &normal, &["doctor"]);
    let mut limited = Answers::default();
    limited.readiness.ready = true;
    limited
        .readiness
        .findings
        .retain(|f| f.grade != crate::api::Grade::Failed);
    written("doctor_without_a_plan", &limited, &["doctor"]);
}

#[test]
fn what_hooks_did_reads_as_it_should() {
    let hooks = |alert| {
        let answers = Answers {
            alert: Ok(alert),
            ..Answers::default()
        };
        let daemon = Daemon::start(answers);
        let socket = daemon.socket.with_file_name("hook.sock");
        let line = ["alert", "isolate-host", "--state", "firing", "--reason", "C2 beacon"];
        let outcome = type_as(Person::default(), &socket, &line);
        assert_eq!(outcome.exit, Exit::Done);
        outcome.out
    };
    insta::assert_snapshot!("alert_waiting_text", hooks(samples::waiting_alert()));
    insta::assert_snapshot!("alert_holding_text", hooks(samples::holding_alert()));
    insta::assert_snapshot!("alert_ended_text", hooks(samples::ended_alert()));
    let held = Answers {
        status: samples::held_by_hooks(),
        ..Answers::default()
    };
    written("status_held_by_hooks", &held, &["status"]);
}

#[test]
fn tables_fit_a_console_and_words_stay_whole() {
    let text = render::plan::plan(&samples::plan());
    let plain = anstream::adapter::strip_str(&text).to_string();
    for line in plain.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
        assert!(!line.ends_with(' '), "{line:?}");
    }
    assert!(plain.contains("PACKET_QDISC_BYPASS"), "{plain}");
}

#[test]
fn an_error_in_json_is_an_object_on_standard_output_and_text_on_standard_error() {
    let daemon = Daemon::start(Answers::default());
    let outcome = script(&daemon, &["-o", "json", "policy", "show", "no-such"]);
    assert_eq!(
        outcome.err,
        "error[no-such-policy]: no policy `no-such`\nhint: `portcullis policy list`\n"
    );
    insta::assert_snapshot!("error_json", outcome.out);
}

#[test]
fn a_line_that_is_not_understood_is_an_object_too_where_json_was_asked_for() {
    let daemon = Daemon::start(Answers::default());
    let lines: [&[&str]; 5] = [
        &["-o", "json", "declare"],
        &["-ojson", "declare"],
        &["declare", "--output=json"],
        &["no-such-command", "--output", "json"],
        &["-o", "json", "status", "--no-such-option"],
    ];
    for line in lines {
        let outcome = script(&daemon, line);
        assert_eq!(outcome.exit, Exit::Usage, "{line:?}");
        assert!(outcome.err.starts_with("error:"), "{line:?}: {outcome:?}");
        let object: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
        let error = &object["error"];
        assert_eq!(
            (&error["code"], &error["exit"]),
            (&serde_json::json!("usage"), &serde_json::json!(2)),
            "{line:?}"
        );
        let detail = error["detail"].as_str().unwrap();
        assert!(detail.len() > 20 && !detail.contains(['\n', '\u{1b}']), "{detail:?}");
    }
    let as_text: [&[&str]; 3] = [
        &["declare"],
        &["declare", "--", "-o", "json"],
        &["-o", "text", "declare"],
    ];
    for line in as_text {
        let outcome = script(&daemon, line);
        assert_eq!((outcome.exit, outcome.out.as_str()), (Exit::Usage, ""), "{line:?}");
    }
}

#[test]
fn what_is_on_its_way_to_its_end_has_no_end_to_come_and_nothing_to_confirm() {
    let text = |state| {
        let view = crate::api::EmergencyView {
            state,
            confirm_within_ms: Some(120_000),
            ..samples::status().emergencies[0].clone()
        };
        super::super::render::status::emergency(&view)
    };
    use crate::api::EmergencyState::{Degraded, InForce, Restoring, Stuck};
    for state in [InForce, Degraded] {
        let text = text(state);
        assert!(
            text.contains("or it ends by itself") && text.contains("ends "),
            "{text}"
        );
    }
    for state in [Stuck, Restoring] {
        let text = text(state);
        assert!(
            !text.contains("or it ends by itself") && !text.contains("ends "),
            "{text}"
        );
    }
}

#[test]
fn what_waits_for_approval_says_for_whom_how_long_and_what_to_type() {
    let view = crate::api::samples::proposed();
    let text = anstream::adapter::strip_str(&render::status::emergency(&view)).to_string();
    for wanted in [
        "for approval by 1 of 2 people, 10m left; then it lasts 2h",
        "bob (1001)",
        "proposed",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in {text}");
    }
    assert!(!text.contains("ends "), "{text}");
    let next = render::status::next_after_declare(&view);
    assert!(
        next.contains(&format!("approve {} --plan {}", view.id, view.plan_digest)),
        "{next}"
    );
}

#[test]
fn json_is_the_object_of_the_api() {
    let daemon = Daemon::start(Answers::default());
    let outcome = script(&daemon, &["-o", "json", "status"]);
    let written: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(written, serde_json::to_value(samples::status()).unwrap());
}

#[test]
fn nothing_that_came_from_elsewhere_is_obeyed_by_a_terminal() {
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\r\n\u{202e}";
    let mut emergency = samples::emergency();
    for field in [
        &mut emergency.id,
        &mut emergency.policy,
        &mut emergency.reason,
        &mut emergency.authority,
        &mut emergency.declared_by,
        &mut emergency.notice,
    ] {
        evil.clone_into(field);
    }
    let mut plan = samples::plan();
    plan.warnings.push(evil.to_owned());
    plan.steps[0].summary = evil.to_owned();
    plan.steps[0].changes.push(evil.to_owned());
    plan.coverage[0].note = evil.to_owned();
    let texts = [
        render::status::emergency(&emergency),
        render::plan::plan(&plan),
        render::lines(&evil.replace('\n', "")),
        render::safe(evil),
    ];
    for text in texts {
        // What is left of our own colours, without looking away from anything else.
        let own = ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m"];
        let rest = own.iter().fold(text, |text, code| text.replace(code, ""));
        let obeyed = rest
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(obeyed, None, "{rest:?}");
    }
}

/// A reader who goes away after so many results.
struct Leaving(Kept, usize);

impl Write for Leaving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.1 -= 1;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_watch_goes_on_without_the_daemon_and_ends_when_nobody_reads() {
    let daemon = Daemon::start(Answers::default());
    let missing = PathBuf::from("/nonexistent/portcullis.sock");
    for (socket, key) in [(&daemon.socket, "state"), (&missing, "error")] {
        let out = Kept::default();
        let mut around = Surroundings {
            ssh_connection: None,
            terminal: Terminal::Nobody,
            screen: Screen::given(Leaving(out.clone(), 2), Kept::default()),
            watch_period: Duration::from_millis(1),
            local: FIXED,
        };
        let line = [
            "portcullis",
            "-o",
            "json",
            "--socket",
            socket.to_str().unwrap(),
            "status",
            "--watch",
        ];
        assert_eq!(run(line.map(OsString::from), &mut around), Exit::Done);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value.get(key).is_some(), "{line}");
        }
    }
}

#[test]
fn plain_text_of_many_lines_is_left_as_it_is() {
    for text in ["", "a\n", "a\tb\\x00\n\nc\n"] {
        assert_eq!(render::lines(text), text);
    }
    assert_eq!(render::lines("a\r\nb"), "a\nb\n");
    assert_eq!(render::lines("é\u{1b}\n"), "é\\u{1b}\n");
    assert_eq!(render::lines("a\u{7f}\n"), "a\\u{7f}\n");
}
