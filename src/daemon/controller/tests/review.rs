//! The log of one emergency with everything in it, for the tests of the report: `tests/golden/report/log.jsonl`. They are built
//! with it: after `UPDATE_GOLDEN=1` here, once more for them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::authority::{ask_as, controller, somebody};
use super::{Bench, MINUTE_MS, Unsynced, request};
use crate::api::{DeclareRequest, RevertRequest};
use crate::daemon::command::{Command, Preconditions};
use crate::model::change::Change;
use crate::model::emergency::Moment;
use crate::model::fixture::via;
use crate::model::object::OUR_PROTOCOL;
use crate::model::record::{Actor, Draft, EventKind, Record};
use crate::model::snapshot::Object;
use crate::store::audit::{AUDIT, AuditFile};
use crate::store::directory::StateDirectory;
use crate::store::ratchet::{Keeping, Ratchet};

/// Everybody, as no machine has to know them.
const PEOPLE: [(u32, &str); 3] = [(61_001, "alice"), (61_002, "bob"), (61_003, "carol")];

/// Proposed, approved, confirmed, tampered with, extended, ended; and what others add meanwhile stays.
fn lived() -> Vec<Record> {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "two-people", super::proposing::ONE_MORE);
    let [alice, bob, carol] = PEOPLE.map(|(uid, _)| somebody(uid, &[]));
    let stated = DeclareRequest {
        reason: "worm on the file server 10.1.0.9, seen over ab0 by alice <ops@example.org>".to_owned(),
        authority: "CISO on call, INC-4711".to_owned(),
        confirm_within_ms: Some(5 * MINUTE_MS),
        ..request("two-people")
    };
    let declare = |reply| Command::Declare(stated, Preconditions::default(), reply);
    let proposed = ask_as(&mut controller, &alice, declare).unwrap();
    bench.clock.pass(90_250);
    let (id, plan) = (proposed.id.clone(), proposed.plan_digest);
    ask_as(&mut controller, &bob, |reply| Command::Approve(id, plan, reply)).unwrap();
    bench.clock.pass(2 * MINUTE_MS);
    let id = proposed.id.clone();
    ask_as(&mut controller, &alice, |reply| Command::Confirm(id, reply)).unwrap();
    bench.clock.pass(4 * MINUTE_MS + 13_007);
    let held = bench.kernel.state();
    let ours = held.rules.iter().find(|rule| rule.protocol == OUR_PROTOCOL).unwrap();
    let theirs = Object::Route(via("10.30.0.0/16", "10.0.0.1", 2));
    for change in [Change::Delete(Object::Rule(ours.clone())), Change::Add(theirs)] {
        let done = bench.kernel.act(&[change]);
        assert!(done[0].is_ok(), "{done:?}");
    }
    controller.compare();
    bench.clock.pass(10 * MINUTE_MS);
    let id = proposed.id.clone();
    let extend = |reply| Command::Extend(id, 15 * MINUTE_MS, Preconditions::default(), reply);
    ask_as(&mut controller, &alice, extend).unwrap();
    bench.clock.pass(12 * MINUTE_MS);
    ask_as(&mut controller, &carol, |reply| {
        Command::Revert(proposed.id, RevertRequest::default(), reply)
    })
    .unwrap();
    let log = std::fs::read_to_string(bench.state().join(AUDIT)).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A log of these records, with people's names and sealed after the start, the cut and the end.
fn written(records: Vec<Record>) -> String {
    let room = tempfile::tempdir().unwrap();
    let state = room.path().join("state");
    let directory = StateDirectory::open_on(state.clone(), Arc::new(Unsynced)).unwrap();
    let (mut audit, _) = AuditFile::open(&directory, AUDIT).unwrap();
    let mut keys = Ratchet::open(&Keeping::Memory, "boot-1").unwrap();
    for mut record in records.into_iter().filter(|record| record.event != EventKind::Sealed) {
        let moment = Moment {
            boot_id: record.boot_id,
            boottime_ms: record.boottime_ms,
            wall_ms: record.wall_ms,
        };
        if let Actor::Peer(peer) = &mut record.actor {
            let known = PEOPLE.iter().find(|(uid, _)| *uid == peer.uid);
            peer.user = known.map(|(_, name)| (*name).to_owned());
            peer.login_uid = Some(peer.uid);
            peer.executable = Some("/usr/bin/portcullis".to_owned());
        }
        name(&mut record.details);
        let event = record.event;
        let draft = Draft {
            event,
            actor: record.actor,
            emergency: record.emergency,
            policy: record.policy,
            details: record.details,
        };
        audit.append(draft, &moment).unwrap();
        if matches!(
            event,
            EventKind::DaemonStarted | EventKind::InForce | EventKind::Restored
        ) {
            audit.seal(&mut keys, &moment).unwrap();
        }
    }
    std::fs::read_to_string(state.join(AUDIT)).unwrap()
}

fn name(details: &mut Value) {
    match details {
        Value::String(text) => {
            for (uid, name) in PEOPLE {
                *text = text.replace(&format!("uid {uid}"), &format!("{name} (uid {uid})"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(name),
        Value::Object(members) => members.values_mut().for_each(name),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a reader of records depends on: kinds and members, not ids, digests and microseconds.
fn shape(log: &str) -> Vec<(EventKind, Vec<String>)> {
    let records = log.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
    records
        .map(|record| {
            let members = record
                .details
                .as_object()
                .into_iter()
                .flat_map(|members| members.keys().cloned());
            (record.event, members.collect())
        })
        .collect()
}

#[test]
fn the_log_that_reports_are_tested_with_is_what_a_daemon_writes_today() {
    let log = written(lived());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report/log.jsonl");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &log).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(shape(&log), shape(&committed), "UPDATE_GOLDEN=1 makes it anew");
    let kinds: Vec<&str> = shape(&committed).iter().map(|(kind, _)| kind.word()).collect();
    let lived = [
        "daemon-started",
        "sealed",
        "proposed",
        "approved",
        "declared",
        "in-force",
        "sealed",
        "confirmed",
        "drift",
        "extended",
        "revert-requested",
        "restored",
        "sealed",
    ];
    assert_eq!(kinds, lived);
}
