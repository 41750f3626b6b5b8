//! The audit commands on a log of several files, as the daemon writes it.

use std::path::{Path, PathBuf};

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use serde_json::{Value, json};
use sha2_next::Sha256;

use super::{Answers, Daemon, Outcome, Person, type_as};
use crate::model::emergency::Moment;
use crate::model::record::{Draft, EventKind};
use crate::store::audit::{AUDIT, AuditFile};
use crate::store::directory::StateDirectory;
use crate::store::ratchet::{Keeping, Ratchet};

/// Three files of 5, 6 and 6 records, each closed with a seal, and one with 3 records behind the last seal.
struct Log {
    room: tempfile::TempDir,
}

const RECORDS: u64 = 20;
const LAST_SEAL: u64 = 17;

impl Log {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(room.path().join("state")).unwrap();
        let (mut audit, _) = AuditFile::open(&directory, AUDIT).unwrap();
        let mut keys = Ratchet::open(&Keeping::Memory, "boot").unwrap();
        let mut clock_ms = 0;
        let mut now = || {
            clock_ms += 1000;
            Moment {
                boot_id: "boot".to_owned(),
                boottime_ms: clock_ms,
                wall_ms: 1_700_000_000_000 + i64::try_from(clock_ms).unwrap(),
            }
        };
        let record = |audit: &mut AuditFile, now: &Moment| {
            let draft = Draft {
                details: json!({ "reason": "worm\n\u{202e}" }),
                ..Draft::of_daemon(EventKind::Declared)
            };
            audit.append(draft, now).unwrap();
        };
        for _ in 0..3 {
            (0..4).for_each(|_| record(&mut audit, &now()));
            audit.seal(&mut keys, &now()).unwrap();
            audit.rotate(&directory, 1, &now()).unwrap();
        }
        (0..2).for_each(|_| record(&mut audit, &now()));
        Self { room }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.room.path().join("state").join(name)
    }

    fn type_in(&self, line: &[&str]) -> Outcome {
        let nowhere = self.room.path().join("nowhere.sock");
        type_as(Person::default(), &nowhere, line)
    }

    fn json(&self, line: &[&str]) -> Value {
        let outcome = self.type_in(&[line, &["-o", "json"]].concat());
        serde_json::from_str(&outcome.out).unwrap_or_else(|_| panic!("{outcome:?}"))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_log_of_several_files_is_walked_whole() {
    let log = Log::new();
    let newest = log.file(AUDIT);
    let newest = text(&newest);
    let report = log.json(&["audit", "verify", newest]);
    assert_eq!(report["size"], RECORDS);
    assert_eq!(
        (&report["verdict"], &report["proved"]),
        (&json!("key-unknown"), &json!(LAST_SEAL))
    );
    let key = report["chains_of_keys"][0]["first_key"].as_str().unwrap();
    let known = log.json(&["audit", "verify", newest, "--key", key]);
    assert_eq!(known["verdict"], "tail-unproved");
    let window = &known["not_proved"][0];
    assert_eq!(
        (&window["after"], &window["records"]),
        (&json!(LAST_SEAL), &json!(RECORDS - LAST_SEAL))
    );
    assert_eq!(window["since"], "2023-11-14T22:13:37.000Z");
    let head = format!("{RECORDS}:{}", report["root"].as_str().unwrap());
    let noted = log.type_in(&["audit", "verify", newest, "--head", &head]);
    assert_eq!(noted.exit.number(), 0, "{noted:?}");
    assert!(noted.out.contains("intact: records 1 to 20 are proved"), "{noted:?}");
}

#[test]
fn damage_in_a_closed_file_is_named_with_its_file_and_a_lost_file_is_seen() {
    let log = Log::new();
    let newest = log.file(AUDIT);
    let second = log.file("audit-000000000006.jsonl");
    let whole = std::fs::read_to_string(&second).unwrap();
    std::fs::write(&second, whole.replacen("worm", "calm", 1)).unwrap();
    let report = log.json(&["audit", "verify", text(&newest)]);
    assert_eq!(
        (&report["verdict"], &report["damage"]["sequence"]),
        (&json!("altered"), &json!(7))
    );
    assert_eq!(
        (&report["damage"]["line"], &report["damage"]["file"]),
        (&json!(2), &json!(text(&second)))
    );
    std::fs::remove_file(&second).unwrap();
    let lost = log.type_in(&["audit", "verify", text(&newest)]);
    assert_eq!(lost.exit.number(), 8);
    assert!(lost.out.contains("sequence 12 stands where 1 belongs"), "{lost:?}");
}

#[test]
fn a_checkpoint_kept_elsewhere_must_be_of_the_logs_past() {
    let log = Log::new();
    let newest = log.file(AUDIT);
    let proof = log.json(&["audit", "prove", "1", "--file", text(&newest)]);
    let kept = log.room.path().join("checkpoint");
    std::fs::write(&kept, proof["checkpoint"].as_str().unwrap()).unwrap();
    let line = ["audit", "verify", text(&newest), "--checkpoint", text(&kept)];
    // It stands behind the first seal, and so vouches for the keys.
    assert_eq!(log.json(&line)["verdict"], "tail-unproved");
    // The same records sealed with other keys are another log.
    let other = Log::new();
    let newest = other.file(AUDIT);
    let line = ["audit", "verify", text(&newest), "--checkpoint", text(&kept)];
    let outcome = other.type_in(&line);
    assert_eq!(outcome.exit.number(), 8, "{outcome:?}");
    std::fs::write(&kept, "no checkpoint").unwrap();
    assert_eq!(other.type_in(&line).exit.number(), 2);
}

fn root(proof: &Value, root: &str, size: &str) -> RootHash<Sha256> {
    let bytes: [u8; 32] = bytes(&proof[root]).try_into().unwrap();
    RootHash::new(bytes.into(), proof[size].as_u64().unwrap())
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn path(proof: &Value) -> Vec<u8> {
    proof["path"].as_array().unwrap().iter().flat_map(bytes).collect()
}

#[test]
fn an_independent_implementation_accepts_every_proof_and_refuses_altered_ones() {
    let log = Log::new();
    let newest = log.file(AUDIT);
    let (mut accepted, mut refused) = (0, 0);
    for sequence in 1..=RECORDS {
        for size in [sequence, LAST_SEAL.max(sequence), RECORDS] {
            let (sequence, size) = (sequence.to_string(), size.to_string());
            let file = ["--file", text(&newest), "--size", &size];
            let proof = log.json(&[&["audit", "prove", &sequence], &file[..]].concat());
            let whole = path(&proof);
            let holds = |path: Vec<u8>, record: &str| {
                let path = InclusionProof::from_bytes(path);
                let index = proof["index"].as_u64().unwrap();
                root(&proof, "root", "size")
                    .verify_inclusion(&record, index, &path)
                    .is_ok()
            };
            let record = proof["record"].as_str().unwrap();
            assert!(holds(whole.clone(), record), "{proof}");
            assert!(!holds(whole.clone(), &record.replace("worm", "calm")) || !record.contains("worm"));
            accepted += 1;
            for at in 0..whole.len() {
                let mut altered = whole.clone();
                altered[at] ^= 1;
                assert!(!holds(altered, record));
                refused += 1;
            }
            let proof = log.json(&[&["audit", "prove", "--since", &sequence], &file[..]].concat());
            let whole = path(&proof);
            let (old, new) = (
                root(&proof, "smaller_root", "smaller_size"),
                root(&proof, "root", "size"),
            );
            let holds = |path: Vec<u8>| {
                let path = ConsistencyProof::try_from_bytes(path).unwrap();
                new.verify_consistency(&old, &path).is_ok()
            };
            assert!(holds(whole.clone()), "{proof}");
            accepted += 1;
            for at in 0..whole.len() {
                let mut altered = whole.clone();
                altered[at] ^= 1;
                assert!(!holds(altered));
                refused += 1;
            }
        }
    }
    println!("{accepted} proofs accepted, {refused} altered ones refused");
}

/// The records of all files of a log.
fn records(log: &Log) -> Vec<Value> {
    let exported = log.type_in(&["audit", "export", "--file", text(&log.file(AUDIT)), "--host", "gw"]);
    exported
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_proof_is_of_the_log_of_the_daemon_at_the_socket_or_of_a_file_that_is_named() {
    let log = Log::new();
    let newest = log.file(AUDIT);
    let mut answers = Answers {
        records: records(&log),
        ..Answers::default()
    };
    let daemon = Daemon::start(answers.clone());
    for what in [&["3"][..], &["20"], &["--since", "7"], &["2", "--size", "9"]] {
        let line = [&["audit", "prove"], what].concat();
        let asked = type_as(Person::default(), &daemon.socket, &line);
        let read = log.type_in(&[&line[..], &["--file", text(&newest)]].concat());
        assert_eq!((asked.exit.number(), &asked.out), (0, &read.out), "{what:?}: {asked:?}");
    }
    let nobody = log.type_in(&["audit", "prove", "3"]);
    assert_eq!(nobody.exit.number(), 4, "no daemon is at this socket: {nobody:?}");
    answers.records[3]["details"]["reason"] = json!("calm");
    let liar = Daemon::start(answers);
    let outcome = type_as(Person::default(), &liar.socket, &["audit", "prove", "3"]);
    assert_eq!(outcome.exit.number(), 8, "{outcome:?}");
    assert!(outcome.err.contains(text(&liar.socket)), "{outcome:?}");
}

#[test]
fn there_is_no_proof_of_what_is_not_there() {
    let log = Log::new();
    let newest = log.file(AUDIT);
    for line in [
        &["21"][..],
        &["0"],
        &["--since", "0"],
        &["--since", "21"],
        &["3", "--size", "2"],
        &["3", "--size", "21"],
    ] {
        let outcome = log.type_in(&[&["audit", "prove", "--file", text(&newest)], line].concat());
        assert_eq!(outcome.exit.number(), 2, "{line:?}: {outcome:?}");
    }
}

#[test]
fn every_record_is_exported_as_one_line_and_a_file_is_never_overwritten() {
    let log = Log::new();
    let newest = log.file(AUDIT);
    for format in ["jsonl", "ocsf", "ecs", "cef"] {
        let line = [
            "audit",
            "export",
            "--file",
            text(&newest),
            "--host",
            "gw",
            "--format",
            format,
        ];
        let outcome = log.type_in(&line);
        assert_eq!(outcome.exit.number(), 0, "{outcome:?}");
        assert_eq!(outcome.out.lines().count() as u64, RECORDS);
        let to = log.room.path().join(format);
        let line = [&line[..], &["--to", text(&to), "--after", "5"]].concat();
        assert_eq!(log.type_in(&line).exit.number(), 0);
        let written = std::fs::read_to_string(&to).unwrap();
        assert!(outcome.out.ends_with(&written));
        assert_eq!(written.lines().count() as u64, RECORDS - 5);
        assert_eq!(log.type_in(&line).exit.number(), 1);
    }
    std::fs::write(
        &newest,
        std::fs::read_to_string(&newest).unwrap().replacen("worm", "calm", 1),
    )
    .unwrap();
    let outcome = log.type_in(&["audit", "export", "--file", text(&newest), "--host", "gw"]);
    assert_eq!(
        (outcome.exit.number(), outcome.out.lines().count()),
        (8, 18),
        "{outcome:?}"
    );
}
