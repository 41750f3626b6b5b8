//! `report` as it is typed, on the log of `tests/golden/report`.

use serde_json::{Value, json};

use super::{Answers, Daemon, Outcome, Person, type_as};

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/report/log.jsonl");

struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn type_in(&self, line: &[&str]) -> Outcome {
        type_as(Person::default(), &self.0.path().join("nowhere.sock"), line)
    }

    fn json(&self, line: &[&str]) -> Value {
        let outcome = self.type_in(&[line, &["--format", "json"]].concat());
        serde_json::from_str(&outcome.out).unwrap_or_else(|_| panic!("{outcome:?}"))
    }
}

fn records() -> Vec<Value> {
    let log = std::fs::read_to_string(LOG).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id() -> String {
    let records = records();
    let mut ids = records.iter().filter_map(|record| record["emergency"].as_str());
    ids.next().unwrap().to_owned()
}

#[test]
fn an_emergency_is_named_by_nothing_a_prefix_or_its_id_and_written_in_any_form() {
    let room = Room::new();
    let whole = room.json(&["report", "--log", LOG]);
    assert_eq!(whole["emergency"], id());
    for named in [&id()[..8], &id()] {
        assert_eq!(room.json(&["report", named, "--log", LOG]), whole);
    }
    let text = room.type_in(&["report", "--log", LOG, "--host", "gw1"]);
    assert!(text.out.starts_with("Emergency: two-people on gw1\n"), "{text:?}");
    assert_eq!(text.exit.number(), 0);
    let page = room.type_in(&["report", "--log", LOG, "--format", "html"]);
    assert!(page.out.starts_with("<!DOCTYPE html>"), "{page:?}");
    let plain = room.type_in(&["report", "--log", LOG, "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&plain.out).unwrap(), whole);
    let public = room.json(&["report", "--log", LOG, "--public"]);
    assert_eq!(public["audience"], "public");
    assert!(!public.to_string().contains("alice") && whole.to_string().contains("alice"));
}

#[test]
fn its_proofs_are_those_of_audit_prove_and_the_public_ones_lack_the_record_alone() {
    let room = Room::new();
    let report = room.json(&["report", "--log", LOG]);
    let public = room.json(&["report", "--log", LOG, "--public"]);
    let own = report["proof"]["own"].as_array().unwrap();
    let ends = [&own[0]["sequence"], &own[own.len() - 1]["sequence"]];
    for (place, sequence) in ends.into_iter().enumerate() {
        let proved = room.type_in(&["audit", "prove", &sequence.to_string(), "--file", LOG]);
        let mut proved: Value = serde_json::from_str(&proved.out).unwrap();
        let told = &report["proof"]["inclusion"][place];
        for member in ["path", "leaf", "root", "size", "index", "record"] {
            assert_eq!(told[member], proved[member], "{member}");
        }
        proved
            .as_object_mut()
            .unwrap()
            .retain(|name, _| told.get(name).is_some() && name != "record");
        assert_eq!(public["proof"]["inclusion"][place], proved);
    }
}

#[test]
fn what_was_noted_elsewhere_proves_the_log_and_damage_is_told() {
    let room = Room::new();
    let records = records();
    let last = records.last().unwrap();
    let head = format!("{}:{}", last["sequence"], last["hash"].as_str().unwrap());
    let proved = room.json(&["report", "--log", LOG, "--head", &head]);
    assert_eq!(proved["proof"]["verdict"]["word"], "intact");
    assert_eq!(
        room.json(&["report", "--log", LOG])["proof"]["verdict"]["word"],
        "key-unknown"
    );
    let altered = room.path("altered.jsonl");
    let text = std::fs::read_to_string(LOG).unwrap();
    let residues = "\"residues\":[]";
    assert_eq!(text.matches(residues).count(), 1);
    std::fs::write(&altered, text.replace(residues, "\"residues\":[\"x\"]")).unwrap();
    let damaged = room.type_in(&["report", "--log", &altered]);
    assert_eq!(damaged.exit.number(), 8, "{damaged:?}");
    assert!(
        damaged.out.contains("ALTERED") && damaged.err.contains("ALTERED"),
        "{damaged:?}"
    );
    // What the altered record said is not told.
    assert!(damaged.out.contains("None: nothing was restored yet."), "{damaged:?}");
    let far = format!("99:{}", "ab".repeat(32));
    let truncated = room.json(&["report", "--log", LOG, "--head", &far]);
    assert_eq!(truncated["proof"]["verdict"]["damaged"], true);
    // Where the damage stands before the emergency there is nothing to tell.
    std::fs::write(&altered, text.replacen("\"version\":\"", "\"version\":\"9", 1)).unwrap();
    let lost = room.type_in(&["report", "--log", &altered]);
    assert!(
        lost.exit.number() == 8 && lost.out.is_empty() && lost.err.contains("damaged"),
        "{lost:?}"
    );
}

#[test]
fn what_cannot_be_reported_is_said_with_its_code() {
    let room = Room::new();
    let kept = room.path("report.html");
    std::fs::write(&kept, "mine").unwrap();
    let wrong = room.path("wrong.json");
    std::fs::write(&wrong, "{}").unwrap();
    let table: [(&[&str], u8, &str); 6] = [
        (
            &["report", "01936a5e-7c00-7000-8000-000000000000", "--log", LOG],
            3,
            "no-such-emergency",
        ),
        (&["report", "short", "--log", LOG], 2, "too short"),
        (&["report", "--log", "/nonexistent"], 1, "unreadable"),
        (&["report", "--log", LOG, "--to", &kept], 1, "report.html"),
        (&["report", "--log", LOG, "--drill", &wrong], 1, "wrong.json"),
        (&["report"], 4, "socket-missing"),
    ];
    for (line, exit, said) in table {
        let outcome = room.type_in(line);
        assert_eq!(outcome.exit.number(), exit, "{line:?}: {outcome:?}");
        assert!(outcome.err.contains(said), "{line:?}: {outcome:?}");
    }
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "mine");
    let made = room.path("new.html");
    let written = room.type_in(&["report", "--log", LOG, "--format", "html", "--to", &made]);
    assert!(written.out.is_empty() && written.exit.number() == 0, "{written:?}");
    let page = room.type_in(&["report", "--log", LOG, "--format", "html"]);
    assert_eq!(std::fs::read_to_string(&made).unwrap(), page.out);
}

#[test]
fn the_daemon_at_the_socket_gives_the_same_report_as_its_log() {
    let room = Room::new();
    let daemon = Daemon::start(Answers {
        records: records(),
        ..Answers::default()
    });
    let line = ["report", "--host", "gw1", "--format", "json"];
    let asked = type_as(Person::default(), &daemon.socket, &line);
    let asked: Value = serde_json::from_str(&asked.out).unwrap();
    let mut read = room.json(&["report", "--log", LOG, "--host", "gw1"]);
    assert_eq!(asked, read);
    read["host"] = json!(nix::unistd::gethostname().unwrap().to_str().unwrap());
    let unnamed = type_as(Person::default(), &daemon.socket, &["report", "--format", "json"]);
    let unnamed: Value = serde_json::from_str(&unnamed.out).unwrap();
    assert_eq!(unnamed["host"], read["host"]);
}
