use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::emergency::Moment;
use crate::model::names::Digest;
use crate::model::record::{Draft, Peer, seal};

const VIEWS: [View; 4] = [View::Jsonl, View::Ocsf, View::Ecs, View::Cef];

fn source() -> Source {
    Source {
        host: "gw|1=a\\b".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

fn record(event: EventKind, user: &str, reason: &str) -> Record {
    let moment = Moment {
        boot_id: "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d".to_owned(),
        boottime_ms: 1,
        wall_ms: 1_700_000_000_000,
    };
    let draft = Draft {
        actor: Actor::Peer(Peer {
            executable: Some(reason.to_owned()),
            gid: 0,
            groups: Vec::new(),
            hearsay: Vec::new(),
            login_uid: None,
            unit: None,
            pid: 1,
            uid: 1000,
            user: Some(user.to_owned()),
        }),
        policy: Some("uplink-off".parse().unwrap()),
        emergency: Some("018f8b7e-0000-7000-8000-000000000001".parse().unwrap()),
        details: json!({ "reason": reason, reason: user }),
        ..Draft::of_daemon(event)
    };
    seal(draft, Digest::zero(), 1, &moment).unwrap()
}

fn kind() -> impl Strategy<Value = EventKind> {
    proptest::sample::select(EventKind::ALL)
}

/// Any text, with more of what does harm than chance would bring.
fn hostile() -> impl Strategy<Value = String> {
    let worst = proptest::sample::select(vec![
        "\n",
        "\r\n",
        "\u{1b}[2J",
        "\0",
        "\u{7f}",
        "\u{85}",
        "\u{9b}31m",
        "\u{202e}",
        "\u{2066}",
        "\u{2028}",
        "\u{feff}",
        "\u{e0041}",
        "|",
        "=",
        "\\",
        "\"",
        "\\n",
        "\u{10ffff}",
        "é",
        "💥",
    ])
    .prop_map(str::to_owned);
    proptest::collection::vec(prop_oneof![worst, any::<String>()], 0..8).prop_map(|parts| parts.concat())
}

/// The value of a key of the extension, unescaped; keys are found where an unescaped equals sign is.
fn cef_fields(line: &str) -> Vec<(String, String)> {
    let mut pipes = 0;
    let mut escaped = false;
    let at = line.char_indices().find(|(_, c)| {
        let ends = *c == '|' && !escaped && {
            pipes += 1;
            pipes == 7
        };
        escaped = *c == '\\' && !escaped;
        ends
    });
    let extension = &line[at.unwrap().0 + 1..];
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut text = String::new();
    let mut rest = extension.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => text.push(rest.next().unwrap()),
            '=' => {
                let (before, key) = text.rsplit_once(' ').unwrap_or(("", &text));
                if let Some(last) = fields.last_mut() {
                    last.1 = before.to_owned();
                }
                fields.push((key.to_owned(), String::new()));
                text.clear();
            }
            c => text.push(c),
        }
    }
    fields.last_mut().unwrap().1 = text;
    fields
}

fn plain(text: &str) -> String {
    let printable = crate::model::record::printable(text);
    let escape = |c: char| {
        if c.is_ascii() {
            c.to_string()
        } else {
            format!("\\u{{{:x}}}", u32::from(c))
        }
    };
    printable.chars().map(escape).collect()
}

proptest! {
    #[test]
    fn one_record_is_one_line_of_printable_ascii(event in kind(), user in hostile(), reason in hostile()) {
        let record = record(event, &user, &reason);
        for view in VIEWS {
            let line = line(view, &record, &source());
            prop_assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
        }
    }

    #[test]
    fn json_views_lose_nothing(event in kind(), user in hostile(), reason in hostile()) {
        let record = record(event, &user, &reason);
        let again: Record = serde_json::from_str(&line(View::Jsonl, &record, &source())).unwrap();
        prop_assert_eq!(&again, &record);
        let ocsf: Value = serde_json::from_str(&line(View::Ocsf, &record, &source())).unwrap();
        prop_assert_eq!(&ocsf["unmapped"]["details"], &record.details);
        prop_assert_eq!(&ocsf["actor"]["user"]["name"], &json!(user));
        let ecs: Value = serde_json::from_str(&line(View::Ecs, &record, &source())).unwrap();
        prop_assert_eq!(&ecs["user"]["name"], &json!(user));
        let details: Value = serde_json::from_str(ecs["portcullis"]["details"].as_str().unwrap()).unwrap();
        prop_assert_eq!(&details, &record.details);
    }

    #[test]
    fn no_text_adds_or_takes_a_field_of_cef(event in kind(), user in hostile(), reason in hostile()) {
        let fields = cef_fields(&line(View::Cef, &record(event, &user, &reason), &source()));
        let keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
        prop_assert_eq!(keys, [
            "rt", "dvchost", "suser", "act", "outcome", "spid", "suid", "reason", "externalId", "cs1Label", "cs1",
            "cs2Label", "cs2", "cn1Label", "cn1",
        ]);
        // A reader may take or leave a blank at the end of a value.
        let (name, why) = (plain(&user), plain(&reason));
        prop_assert_eq!(fields[2].1.trim_end(), name.trim_end());
        // `reason` wins over a key that happens to be named so.
        if reason != "reason" {
            prop_assert_eq!(fields[7].1.trim_end(), why.trim_end());
        }
    }
}

#[test]
fn every_kind_has_its_class_and_what_the_class_requires() {
    for &event in EventKind::ALL {
        let record = record(event, "ada", "worm");
        let ocsf: Value = serde_json::from_str(&line(View::Ocsf, &record, &source())).unwrap();
        let class = ocsf["class_uid"].as_u64().unwrap();
        assert_eq!(ocsf["category_uid"], class / 1000);
        assert_eq!(ocsf["type_uid"], class * 100 + ocsf["activity_id"].as_u64().unwrap());
        let required: &[&str] = match class {
            7001 => &["command_uid", "countermeasures"],
            2005 => &["finding_info_list"],
            6003 => &["actor", "api", "src_endpoint"],
            6002 => &["app"],
            1008 => &["log_name"],
            other => panic!("{event}: {other}"),
        };
        for field in required.iter().chain(&["metadata", "severity_id", "time", "device"]) {
            assert!(!ocsf[field].is_null(), "{event}: {field}");
        }
    }
    let in_words = |event| {
        let ocsf: Value = serde_json::from_str(&line(View::Ocsf, &record(event, "ada", "worm"), &source())).unwrap();
        (
            ocsf["class_uid"].clone(),
            ocsf["activity_id"].clone(),
            ocsf["status_id"].clone(),
        )
    };
    assert_eq!(in_words(EventKind::InForce), (json!(7001), json!(1), json!(1)));
    assert_eq!(in_words(EventKind::Restored), (json!(7001), json!(3), json!(1)));
    assert_eq!(in_words(EventKind::Residue), (json!(7001), json!(3), json!(4)));
    assert_eq!(in_words(EventKind::RequestRefused), (json!(6003), json!(99), json!(2)));
}

#[test]
fn a_line_of_cef_reads_as_the_format_says() {
    let line = line(View::Cef, &record(EventKind::Declared, "ada", "a=b|c\nd"), &source());
    assert_eq!(
        line.split(" cs2Label").next().unwrap(),
        "CEF:0|Portcullis|portcullisd|0.1.0|PC-DECLARED|declared|9|rt=1700000000000 dvchost=gw|1\\=a\\\\\\\\b suser=ada \
         act=declared outcome=success spid=1 suid=1000 reason=a\\=b|c\\\\u{a}d \
         externalId=018f8b7e-0000-7000-8000-000000000001 cs1Label=policy cs1=uplink-off"
    );
}
