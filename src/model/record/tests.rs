use proptest::prelude::*;
use serde_json::json;

use super::*;

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

/// Any JSON without floats, with names and texts of every kind.
fn any_details() -> impl Strategy<Value = Value> {
    let limit = i64::try_from(INTEGER_MAX).unwrap();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-limit..=limit).prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..5).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Text that is often hostile: control characters, line ends, bidirectional controls, beyond U+FFFF.
fn any_text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        '\0', '\u{1b}', '\r', '\n', '\u{85}', '\u{2028}', '\u{202e}', '\u{2066}', '"', '\\', '\u{7f}', '\u{e000}', '😀',
    ]);
    prop::collection::vec(prop_oneof![hostile, any::<char>()], 0..12).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn any_text_in_any_field_gives_exactly_one_line_and_comes_back(text in any_text(), details in any_details()) {
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
    fn the_line_is_what_an_independent_canonicaliser_writes(text in any_text(), details in any_details()) {
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
fn numbers_without_one_canonical_form_are_refused() {
    let seal_details = |details| {
        let draft = Draft {
            details,
            ..Draft::of_daemon(EventKind::Drift)
        };
        seal(draft, Digest::zero(), 1, &moment(0)).map(|_| ())
    };
    let two_to_53: u64 = 1 << 53;
    for bad in [
        json!(1.5),
        json!([1.0]),
        json!({"a": -0.0}),
        json!(two_to_53),
        json!(u64::MAX),
        json!(i64::MIN),
    ] {
        assert!(matches!(seal_details(bad.clone()), Err(SealError::Number(_))), "{bad}");
    }
    assert_eq!(seal_details(json!([two_to_53 - 1, 1 - (two_to_53 as i64)])), Ok(()));
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
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(seal_details(nested(DETAILS_MAX_DEPTH)), Ok(()));
    assert_eq!(seal_details(nested(DETAILS_MAX_DEPTH + 1)), Err(SealError::TooDeep));

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
