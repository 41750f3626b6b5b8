//! The report of the log that a daemon wrote (see `daemon/controller/tests/review.rs`), and of records that mean harm.

mod hostile;

use std::path::PathBuf;

use serde_json::json;

use super::{Audience, Evidence, Report, ReportError, Selection, Standing, html, text};
use crate::drill::report as drilled;
use crate::model::export::ascii;
use crate::model::ledger::{Anchors, examine};
use crate::model::names::EmergencyId;
use crate::model::record::Record;

const LOG: &str = include_str!("../../tests/golden/report/log.jsonl");

fn records(log: &str) -> Vec<Record> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The report of the only emergency of a log.
fn report(log: &str, audience: Audience) -> Report {
    with_drill(log, audience, None).unwrap()
}

fn with_drill(log: &str, audience: Audience, drill: Option<&drilled::Report>) -> Result<Report, ReportError> {
    let records = records(log);
    let id = records.iter().find_map(|record| record.emergency).unwrap();
    let mut selection = Selection::of(id);
    records.iter().for_each(|record| selection.see(record));
    let evidence = Evidence {
        examined: examine(log.split_inclusive('\n'), Anchors::default()),
        inclusion: Vec::new(),
    };
    Report::of(
        &selection,
        evidence,
        Some("gw1.example.org".to_owned()),
        drill,
        audience,
    )
}

fn json(report: &Report) -> String {
    ascii(&format!("{:#}\n", serde_json::to_value(report).unwrap()))
}

/// Every form of a report.
fn forms(report: &Report) -> [(&'static str, String); 3] {
    [
        ("html", html::render(report).unwrap()),
        ("txt", text::render(report)),
        ("json", json(report)),
    ]
}

fn hold(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/report")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == found,
        "{name} has changed: read it, and UPDATE_GOLDEN=1 makes it anew"
    );
}

#[test]
fn every_form_is_the_committed_one() {
    for (audience, name) in [(Audience::Insiders, "full"), (Audience::Public, "public")] {
        let report = report(LOG, audience);
        for (ending, found) in forms(&report) {
            hold(&format!("{name}.{ending}"), &found);
        }
    }
}

#[test]
fn the_facts_are_those_of_the_records() {
    let report = report(LOG, Audience::Insiders);
    let records = records(LOG);
    assert_eq!(report.standing, Standing::Ended);
    let own: Vec<u64> = records
        .iter()
        .filter(|r| r.emergency.is_some())
        .map(|r| r.sequence)
        .collect();
    assert_eq!(
        report.proof.own.iter().map(|head| head.sequence).collect::<Vec<_>>(),
        own
    );
    assert_eq!(report.timeline.iter().map(|m| m.sequence).collect::<Vec<_>>(), own);
    assert_eq!(report.proof.head.unwrap(), records.last().unwrap().head());
    let stated = &report.declaration;
    let named = |who: &super::Who| who.name.clone();
    assert_eq!(stated.declared_by.as_ref().map(named).as_deref(), Some("alice"));
    assert_eq!(stated.approved_by.iter().map(named).collect::<Vec<_>>(), ["bob"]);
    assert_eq!((stated.approvals_needed, stated.confirm_within_ms), (1, Some(300_000)));
    // Waited 90.25 s; held 2 min, 4 min 13.007 s, 10 min and 12 min; 30 min and 15 more were granted from the cut on.
    assert_eq!(report.times.held_ms, 28 * 60_000 + 13_007);
    assert_eq!(report.times.deadline_ms, Some(90_250 + 45 * 60_000));
    assert_eq!((report.times.extended_ms, report.times.degraded_ms), (15 * 60_000, 0));
    assert_eq!(report.drifts, 1);
    assert_eq!((report.drift[0].lacked.count, report.drift[0].put_right), (1, true));
    let receipt = report.receipt.unwrap();
    assert_eq!((receipt.residues.count, receipt.kept_foreign_changes.count), (0, 1));
    assert_eq!(report.scope.lifelines, ["ssh"]);
    assert_eq!(report.scope.coverage.len(), 16);
    let standings: Vec<Standing> = report.spans.iter().map(|span| span.standing).collect();
    use Standing as S;
    assert_eq!(
        standings,
        [S::Proposed, S::Applying, S::InForce, S::Restoring, S::Ended]
    );
}

/// Whether a word stands in a text; digests hold any three letters.
fn tells(text: &str, word: &str) -> bool {
    let of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut found = text.match_indices(word);
    found.any(|(at, _)| !of_word(text[..at].chars().next_back()) && !of_word(text[at + word.len()..].chars().next()))
}

#[test]
fn a_public_report_has_no_address_and_no_name_and_keeps_what_the_public_is_owed() {
    let public = report(LOG, Audience::Public);
    let full = report(LOG, Audience::Insiders);
    let secrets = [
        "alice",
        "bob",
        "carol",
        "ab0",
        "10.1.0.9",
        "10.0.0.1",
        "10.30.0.0",
        "10.9.0.0",
        "fd09",
        "61001",
        "gw1.example.org",
        "/usr/bin/portcullis",
    ];
    let kept = [
        "CISO on call, INC-4711",
        "worm on the file server [address], seen over [name] by [name]",
        &full.times.in_force.clone().unwrap(),
        &full.times.ended.clone().unwrap(),
        &full.receipt.as_ref().unwrap().restored.clone().unwrap(),
        &full.plan.plan_digest.clone().unwrap(),
        "two-people",
    ];
    for ((form, text), (_, whole)) in forms(&public).into_iter().zip(forms(&full)) {
        for secret in secrets {
            assert!(!tells(&text, secret), "{form} tells {secret}");
        }
        for secret in ["alice", "bob", "carol", "ab0", "10.1.0.9", "10.30.0.0"] {
            assert!(
                tells(&whole, secret),
                "the full {form} does not tell {secret}, so this test shows nothing"
            );
        }
        // The page writes a time without its `T` and `Z`.
        let flat = |text: &str| text.replace(' ', "T").trim_end_matches('Z').to_owned();
        let flattened = flat(&text);
        for fact in kept {
            assert!(flattened.contains(&flat(fact)), "{form} lacks {fact}");
        }
    }
    assert_eq!(public.declaration.declared_by.unwrap().name, "person 1");
    assert_eq!(public.declaration.approved_by[0].name, "person 2");
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
    let (_, page) = &forms(&report(LOG, Audience::Insiders))[0];
    for needless in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "@import",
        "src=",
        "javascript:",
        "http://",
        "https://",
    ] {
        // Names of the SVG language are no addresses that anybody asks for.
        let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!page.contains(needless), "{needless}");
    }
    assert_eq!(page.matches("<svg role=\"img\"").count(), 2);
    assert_eq!(page.matches("<svg").count(), page.matches("<title id=").count());
    for part in ["lang=\"en\"", "default-src 'none'", "size: A4", "scope=\"col\""] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn another_emergency_and_another_drill_are_refused() {
    let id: EmergencyId = "018f8b7e-0000-7000-8000-000000000001".parse().unwrap();
    let evidence = Evidence {
        examined: examine(LOG.split_inclusive('\n'), Anchors::default()),
        inclusion: Vec::new(),
    };
    let none = Report::of(&Selection::of(id), evidence, None, None, Audience::Insiders);
    assert_eq!(none, Err(ReportError::NoRecords(id)));
    let other = rehearsed(&id.to_string());
    let refused = with_drill(LOG, Audience::Insiders, Some(&other)).unwrap_err();
    assert!(matches!(refused, ReportError::OtherDrill { .. }), "{refused}");
}

/// What a drill found: one leak, one lifeline, one probe that proves nothing.
fn rehearsed(emergency: &str) -> drilled::Report {
    let probe = |what: &str, expected: &str, passed: [bool; 3]| json!({ "what": what, "expected": expected, "before": passed[0], "during": passed[1], "after": passed[2] });
    let found = json!({
        "api_version": "v1", "held": false, "failures": ["leak: UDP out over dmz7 to 192.0.2.77"],
        "copied": { "links": 2, "addresses": 4, "routes": 9, "rules": 3, "left_out": ["dmz7"] },
        "plan": {
            "digest": "", "policy": "two-people", "affects": "own-hosts", "duration_ms": 1, "links": [], "steps": [],
            "coverage": [], "lifelines": [], "not_recreatable": [], "warnings": [], "loses_session": false,
        },
        "cut_us": 1234,
        "lifelines": [{ "what": "lifeline `ssh`: new TCP over dmz7, peer 192.0.2.77", "sent": 99, "lost": 0, "paused": 2, "untested": "" }],
        "not_probed": ["over dmz7: nothing there"],
        "probes": [
            probe("new TCP out over dmz7 to 192.0.2.77", "stops", [true, false, true]),
            probe("UDP out over dmz7 to 192.0.2.77", "stops", [true, true, true]),
            probe("lifeline over dmz7", "passes", [true, true, false]),
            probe("ICMP out over dmz7", "stops", [false, false, false]),
        ],
        "drift": { "sabotage": "ip rule del from 192.0.2.77", "put_right_ms": 12 },
        "receipt": {
            "emergency": emergency, "state": "ended", "cut_us": 1234, "baseline_digest": "", "restored_digest": null,
            "residues": [], "kept_foreign_changes": [], "conflicts": [], "not_recreated": [],
        },
        "took_ms": 1500,
    });
    serde_json::from_value(found).unwrap()
}

#[test]
fn the_probes_of_a_drill_are_counted_and_a_public_report_tells_no_more_than_numbers() {
    let id = records(LOG).iter().find_map(|record| record.emergency).unwrap();
    let drill = rehearsed(&id.to_string());
    let full = with_drill(LOG, Audience::Insiders, Some(&drill)).unwrap();
    let tally = full.drill.as_ref().unwrap().tally;
    assert_eq!((tally.forbidden, tally.leaked, tally.forbidden_back), (2, 1, 2));
    assert_eq!(
        (tally.kept, tally.kept_passed, tally.kept_back, tally.unproved),
        (1, 1, 0, 1)
    );
    let [(_, page), (_, text), _] = forms(&full);
    for part in [
        "DID NOT HOLD",
        "1 of 2 forbidden probes passed",
        "192.0.2.77",
        "2 of 3 probes passed again",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(text.contains("1 of 2 that the plan forbids"), "{text}");
    let public = with_drill(LOG, Audience::Public, Some(&drill)).unwrap();
    assert_eq!(public.drill.as_ref().unwrap().tally, tally);
    for (form, told) in forms(&public) {
        for secret in ["dmz7", "192.0.2.77"] {
            assert!(!tells(&told, secret), "{form} tells {secret}");
        }
    }
}

#[test]
fn no_picture_says_that_all_goes_again_where_something_was_left() {
    let mut report = report(LOG, Audience::Insiders);
    let gone = |report: &Report| super::around::Around::of(report).panels.pop().unwrap().lines;
    assert!(!gone(&report).is_empty());
    report.standing = Standing::Stuck;
    assert!(gone(&report).is_empty());
}
