use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::canonical::tests::{any_json, any_text};

fn moment(wall_ms: i64) -> Moment {
    Moment {
        boot_id: "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d".to_owned(),
        boottime_ms: 4_242_000,
        wall_ms,
    }
}

fn peer(text: &str) -> Actor {
    Actor::Peer(Peer {
        executable: Some(text.to_owned()),
        gid: 4_294_967_295,
        groups: vec![4, 27],
        hearsay: vec![Hearsay::Executable, Hearsay::Unit],
        login_uid: Some(1000),
        unit: Some(text.to_owned()),
        pid: 77,
        uid: 0,
        user: Some(text.to_owned()),
    })
}

fn signatory(text: &str, whole: bool) -> Actor {
    let Actor::Peer(via) = peer(text) else {
        panic!("a peer is a peer")
    };
    let account = Account {
        gid: 100,
        groups: vec![100, 4],
        uid: 1000,
        user: text.to_owned(),
    };
    Actor::Signatory(Signatory {
        account: whole.then_some(account),
        key: text.to_owned(),
        order: Digest::of(text.as_bytes()),
        person: text.to_owned(),
        via: whole.then_some(via),
    })
}

/// A caller of some kind, by the text.
fn actor(text: &str) -> Actor {
    match text.chars().count() % 3 {
        0 => peer(text),
        1 => signatory(text, true),
        _ => signatory(text, false),
    }
}

proptest! {
    #[test]
    fn any_text_in_any_field_gives_exactly_one_line_and_comes_back(text in any_text(), details in any_json()) {
        let draft = Draft {
            event: EventKind::RequestRefused,
            actor: actor(&text),
            emergency: None,
            policy: None,
            details: json!({ "text": text.clone(), "more": details }),
        };
        let moment = Moment { boot_id: text, ..moment(0) };
        let record = seal(draft, Digest::of(b"x"), 7, &moment).unwrap();
        let line = record.line().unwrap();
        prop_assert_eq!(line.iter().filter(|b| **b < b' ').collect::<Vec<_>>(), vec![&b'\n']);
        prop_assert_eq!(line.last(), Some(&b'\n'));
        prop_assert_eq!(serde_json::from_slice::<Record>(&line).unwrap(), record);
    }

    #[test]
    fn the_line_is_what_an_independent_canonicaliser_writes(text in any_text(), details in any_json()) {
        let draft = Draft { event: EventKind::Drift, actor: actor(&text), emergency: None, policy: None, details };
        let record = seal(draft, Digest::zero(), 1, &moment(1_700_000_000_123)).unwrap();
        let mut expected = serde_json_canonicalizer::to_vec(&record).unwrap();
        expected.push(b'\n');
        prop_assert_eq!(String::from_utf8(record.line().unwrap()).unwrap(), String::from_utf8(expected).unwrap());

        let mut unhashed = serde_json::to_value(&record).unwrap();
        unhashed.as_object_mut().unwrap().remove("hash");
        prop_assert_eq!(record.hash, Digest::of(&serde_json_canonicalizer::to_vec(&unhashed).unwrap()));
    }

    #[test]
    fn printable_text_has_nothing_that_moves_or_hides_and_stays_distinct(a in any_text(), b in any_text()) {
        let shown = printable(&a);
        prop_assert!(!shown.chars().any(deceives), "{shown:?}");
        prop_assert_eq!(a == b, shown == printable(&b));
    }
}

#[test]
fn what_no_reader_would_take_is_refused() {
    let seal_details = |details| {
        let draft = Draft {
            details,
            ..Draft::of_daemon(EventKind::Drift)
        };
        seal(draft, Digest::zero(), 1, &moment(0)).map(|_| ())
    };
    assert!(matches!(seal_details(json!(1.5)), Err(SealError::NotCanonical(_))));
    assert_eq!(
        seal_details(json!("\u{1b}".repeat(65_536))),
        Ok(()),
        "64 KiB of escapes fit"
    );
    let long = seal_details(json!("x".repeat(LINE_MAX_BYTES)));
    assert!(
        matches!(long, Err(SealError::TooLong { bytes }) if bytes > LINE_MAX_BYTES),
        "{long:?}"
    );
}

#[test]
fn the_wall_clock_is_written_in_utc_with_milliseconds() {
    assert_eq!(rfc3339(0).unwrap(), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(1_700_000_000_007).unwrap(), "2023-11-14T22:13:20.007Z");
    assert_eq!(rfc3339(-1).unwrap(), "1969-12-31T23:59:59.999Z");
    for wall_ms in [i64::MIN, i64::MAX, -62_167_219_200_001] {
        assert_eq!(rfc3339(wall_ms), Err(SealError::NotADate { wall_ms }));
    }
}

#[test]
fn every_event_kind_is_its_word_in_json_and_back() {
    for kind in EventKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.word()));
        assert_eq!(kind.word().parse(), Ok(*kind));
    }
    assert!("declare".parse::<EventKind>().is_err());
}

#[test]
fn printable_escapes_what_a_terminal_would_obey() {
    let table = [
        ("plain – ünïcode 消防", "plain – ünïcode 消防"),
        ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
        ("a\r\nb", "a\\u{d}\\u{a}b"),
        ("a\u{202e}b", "a\\u{202e}b"),
        ("\\u{1b}", "\\\\u{1b}"),
    ];
    for (text, shown) in table {
        assert_eq!(printable(text), shown);
    }
}
