//! Consent: who is asked, who must have said yes, and that nothing is declared otherwise.

use super::*;

const LINE: [&str; 6] = ["declare", "isolate-host", "--reason", "worm", "--authority", "INC-1"];

fn declare(daemon: &Daemon, person: Person, more: &[&str]) -> Outcome {
    type_as(person, &daemon.socket, &[&LINE, more].concat())
}

fn typing(types: &'static str) -> Person {
    Person {
        types: Some(types),
        ssh: None,
    }
}

fn declarations(daemon: &Daemon) -> usize {
    daemon
        .heard()
        .iter()
        .filter(|line| line.starts_with("DeclareRequest"))
        .count()
}

#[test]
fn without_somebody_to_ask_a_flag_must_say_yes_and_nothing_is_asked_of_the_daemon() {
    let daemon = Daemon::start(Answers::default());
    let nobody = declare(&daemon, Person::default(), &[]);
    let silenced = declare(&daemon, typing("isolate-host\n"), &["--no-input"]);
    for outcome in [nobody, silenced] {
        assert_eq!(outcome.exit, Exit::Usage);
        assert!(outcome.err.starts_with("error[flag-missing]: "), "{outcome:?}");
        assert!(
            outcome.err.contains("--plan DIGEST") && outcome.err.contains("--yes"),
            "{outcome:?}"
        );
    }
    assert_eq!(daemon.heard(), Vec::<String>::new());
}

#[test]
fn a_person_sees_the_plan_and_types_the_policys_name() {
    let daemon = Daemon::start(Answers::default());
    let outcome = declare(&daemon, typing("isolate-host\n"), &[]);
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    assert!(outcome.err.starts_with("Plan for isolate-host\n"), "{outcome:?}");
    assert!(outcome.err.contains("ip rule add pref 200 prohibit"), "{outcome:?}");
    assert!(
        outcome
            .out
            .starts_with(&format!("Emergency {}: in-force\n", samples::ID)),
        "{outcome:?}"
    );
    assert!(outcome.err.contains("next: `portcullis confirm"), "{outcome:?}");
}

#[test]
fn whoever_types_anything_else_has_changed_nothing() {
    for typed in [
        "",
        "\n",
        "y\n",
        "yes\n",
        "isolate-hos\n",
        "ISOLATE-HOST\n",
        " isolate-host\n",
    ] {
        let daemon = Daemon::start(Answers::default());
        let outcome = declare(&daemon, typing(typed), &[]);
        assert_eq!(outcome.exit, Exit::Stopped, "{typed:?}");
        assert!(outcome.err.contains("error[not-confirmed]: "), "{outcome:?}");
        assert_eq!(declarations(&daemon), 0, "{typed:?}");
    }
}

#[test]
fn what_is_declared_is_the_plan_that_was_made_once() {
    let daemon = Daemon::start(Answers::default());
    let digest = samples::plan().digest;
    let more = [
        "--plan",
        &digest,
        "--for",
        "2h",
        "--confirm-within",
        "5m",
        "--occasion",
        "exercise",
    ];
    let ssh = Some("192.0.2.7 50022 198.51.100.1 22");
    let outcome = declare(&daemon, Person { types: None, ssh }, &more);
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    let heard = daemon.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(
        heard[0].contains("duration_ms: Some(7200000)") && heard[0].contains("192.0.2.7"),
        "{heard:?}"
    );
    for part in [
        r#"policy: "isolate-host", occasion: Some("exercise"), reason: "worm", authority: "INC-1""#,
        "duration_ms: Some(7200000), confirm_within_ms: Some(300000), accept_risks: {}",
        r#"peer: "192.0.2.7""#,
        "idempotency_key: Some(",
        &format!("plan_digest: Some({digest:?})"),
    ] {
        assert!(heard[1].contains(part), "no {part} in {}", heard[1]);
    }
}

#[test]
fn another_plan_than_the_approved_one_is_refused() {
    let daemon = Daemon::start(Answers::default());
    let another = "0".repeat(64);
    let outcome = declare(&daemon, Person::default(), &["--plan", &another, "--yes"]);
    assert_eq!(outcome.exit, Exit::Refused);
    assert!(outcome.err.starts_with("error[plan-changed]: "), "{outcome:?}");
    let outcome = declare(&daemon, Person::default(), &["--plan", "zz", "--yes"]);
    assert_eq!(outcome.exit, Exit::Usage, "that is no digest");
    assert_eq!(declarations(&daemon), 0);
}

#[test]
fn a_plan_that_cuts_the_own_session_needs_that_risk_by_name() {
    let losing = Answers {
        plan: samples::plan(),
        ..Answers::default()
    };
    let daemon = Daemon::start(losing);
    for person in [Person::default(), typing("isolate-host\n")] {
        let outcome = declare(&daemon, person, &["--yes"]);
        assert_eq!(outcome.exit, Exit::Usage);
        assert!(outcome.err.contains("error[risk-not-accepted]: "), "{outcome:?}");
        assert!(outcome.err.contains("--accept-risk lose-session"), "{outcome:?}");
    }
    assert_eq!(declarations(&daemon), 0);
    let outcome = declare(&daemon, Person::default(), &["--yes", "--accept-risk", "lose-session"]);
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    assert!(daemon.heard().pop().unwrap().contains("accept_risks: {LoseSession}"));
}
