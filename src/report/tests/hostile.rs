//! Records with whatever somebody else could put into them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Audience, LOG, forms, records, report};
use crate::model::emergency::Moment;
use crate::model::names::Digest;
use crate::model::record::{Actor, Draft, EventKind, Record, seal};

/// The log of the tests with other records in it, chained anew.
fn changed(change: impl Fn(&mut Record)) -> String {
    let (mut previous, mut log) = (Digest::zero(), String::new());
    for mut record in records(LOG) {
        change(&mut record);
        let moment = Moment {
            boot_id: record.boot_id,
            boottime_ms: record.boottime_ms,
            wall_ms: record.wall_ms,
        };
        let draft = Draft {
            event: record.event,
            actor: record.actor,
            emergency: record.emergency,
            policy: record.policy,
            details: record.details,
        };
        let sealed = seal(draft, previous, record.sequence, &moment).unwrap();
        previous = sealed.hash;
        log += std::str::from_utf8(&sealed.line().unwrap()).unwrap();
    }
    log
}

/// Every text of the details, and every name, replaced.
fn poisoned(text: &str) -> String {
    changed(|record| {
        poison(&mut record.details, text);
        if let Actor::Peer(peer) = &mut record.actor {
            peer.user = Some(text.to_owned());
            peer.executable = Some(text.to_owned());
            peer.unit = Some(text.to_owned());
        }
    })
}

fn poison(value: &mut Value, text: &str) {
    match value {
        Value::String(old) => *old = text.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, text)),
        // What coverage says is read as what it is, or not at all.
        Value::Object(members) => members
            .iter_mut()
            .filter(|(name, _)| !matches!(name.as_str(), "traffic" | "fate"))
            .for_each(|(_, member)| poison(member, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What must stand in no form: control characters but line ends, and what turns or hides text.
fn deceives(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[test]
fn markup_is_text_and_what_deceives_is_written_out() {
    let text = "<script>alert(1)</script><img src=x onerror=\"y\"> '\"&amp; \u{1b}[31m \u{202e}txet\u{9b} \u{2066}\r\n\0</style></svg>]]>";
    let log = poisoned(text);
    let shape = |page: &str| page.matches('<').count();
    let [(_, page), (_, console), (_, json)] = forms(&report(&log, Audience::Insiders));
    let calm = forms(&report(&poisoned("x\r\ny"), Audience::Insiders));
    assert_eq!(shape(&page), shape(&calm[0].1), "a text made an element");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for told in [&page, &console, &json] {
        assert_eq!(told.chars().find(|c| deceives(*c)), None);
    }
    assert_eq!(console.lines().count(), calm[1].1.lines().count(), "a text made a line");
    assert!(console.contains("\\u{1b}[31m \\u{202e}txet"));
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["declaration"]["reason"], text, "JSON keeps it as it was");
}

#[test]
fn records_without_their_details_make_a_report_all_the_same() {
    let (with, without) = (
        report(LOG, Audience::Insiders),
        report(&changed(|r| r.details = Value::Null), Audience::Public),
    );
    assert_eq!(with.timeline.len(), without.timeline.len());
    assert_eq!(without.declaration.reason, "");
    let [(_, page), ..] = forms(&without);
    assert!(page.contains("does not say what the plan promised"));
}

#[test]
fn who_is_known_by_the_declaration_alone_is_nobody_in_public() {
    let log = changed(|record| {
        if matches!(record.event, EventKind::Proposed | EventKind::Approved) {
            record.event = EventKind::PlanMade;
            record.emergency = None;
        }
    });
    let named = |audience: Audience| {
        let stated = report(&log, audience).declaration;
        [stated.declared_by.unwrap().name, stated.approved_by[0].name.clone()]
    };
    assert_eq!(named(Audience::Insiders), ["alice (uid 61001)", "bob (uid 61002)"]);
    assert_eq!(named(Audience::Public), ["a person", "a person"]);
    for (form, told) in forms(&report(&log, Audience::Public)) {
        assert!(!told.contains("61001") && !told.contains("61002"), "{form}");
    }
}

#[test]
fn what_hooks_declared_is_told_as_theirs_and_names_none_of_them_in_public() {
    let log = changed(|record| {
        if matches!(record.event, EventKind::Proposed | EventKind::Approved) {
            record.event = EventKind::AlertRaised;
            record.emergency = None;
        }
        if record.event == EventKind::Declared {
            let sources = serde_json::json!(["prometheus (uid 61005)", "suricata (uid 61006)"]);
            record.details["declared_by"] = serde_json::json!("hooks: prometheus (uid 61005), suricata (uid 61006)");
            record.details["raised_by"] = sources;
            record.details["approved_by"] = Value::Null;
        }
    });
    let named = |audience: Audience| report(&log, audience).declaration.declared_by.unwrap().name;
    let insiders = named(Audience::Insiders);
    assert_eq!(insiders, "hooks: prometheus (uid 61005), suricata (uid 61006)");
    assert_eq!(named(Audience::Public), "hooks");
    let told = forms(&report(&log, Audience::Insiders));
    assert!(
        told.iter()
            .any(|(_, form)| form.contains("Declared by hooks, and on record"))
    );
    for (form, told) in forms(&report(&log, Audience::Public)) {
        for name in ["prometheus", "suricata", "61005", "61006"] {
            assert!(!told.contains(name), "{form} has {name}");
        }
    }
}

#[test]
fn drift_without_end_makes_one_moment_and_a_bounded_report() {
    let log = records(LOG);
    let drift = log.iter().find(|r| r.event.word() == "drift").unwrap();
    let mut selection = super::Selection::of(drift.emergency.unwrap());
    for record in &log[..log.len() - 3] {
        selection.see(record);
    }
    for sequence in 100..5_100 {
        selection.see(&Record {
            sequence,
            ..drift.clone()
        });
    }
    let evidence = super::Evidence {
        examined: super::examine(LOG.split_inclusive('\n'), super::Anchors::default()),
        inclusion: Vec::new(),
    };
    let report = super::Report::of(&selection, evidence, None, None, Audience::Insiders).unwrap();
    assert_eq!((report.drifts, report.drift.len()), (5_001, 1_000));
    assert!(report.timeline.len() < 12, "{}", report.timeline.len());
    let [(_, page), ..] = forms(&report);
    assert!(page.len() < 100_000, "{}", page.len());
}

/// Details as no daemon writes them.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..1_u64 << 53).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Value::from)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_stands_in_a_record_a_report_is_made(value in any_value(), clock in any::<i32>(), boot in 0..4_u64) {
        let log = changed(|record| {
            record.wall_ms += i64::from(clock) * i64::try_from(record.sequence % 3).unwrap();
            if record.sequence > boot * 4 {
                record.boot_id = "another".to_owned();
                record.boottime_ms /= 7;
            }
            if let Value::Object(members) = &mut record.details {
                for (name, member) in members.iter_mut() {
                    if name.len() as u64 % 4 == boot {
                        *member = value.clone();
                    }
                }
            }
            record.details["recorded_late"] = json!({ "boot_id": value, "boottime_ms": clock, "wall_ms": i64::MAX >> 11 });
        });
        for audience in [Audience::Insiders, Audience::Public] {
            let report = report(&log, audience);
            prop_assert!(report.timeline.is_sorted_by_key(|moment| moment.offset_ms));
            for (form, told) in forms(&report) {
                prop_assert_eq!(told.chars().find(|c| deceives(*c)), None, "{}", form);
            }
        }
    }
}
