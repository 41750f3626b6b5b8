mod world;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proptest::prelude::*;
use serde_json::{Value, json};
use world::{full_rule, link, name, route, world};

use super::*;
use crate::model::change::LinkSetting;
use crate::model::object::{Family, RuleAction};

/// Other values to put in the place of one.
fn perturbed(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => {
            let some = [
                json!(7),
                json!("if12"),
                json!("192.0.2.99"),
                json!("192.0.2.0/25"),
                json!([1, 2]),
                json!(""),
            ];
            some.to_vec()
        }
        Value::Bool(b) => vec![json!(!b)],
        Value::Number(n) => {
            let n = n.as_i64().unwrap();
            [0, 1, 2, 3, 6, 10, 12, 80, 253, 254, 255]
                .map(|bit| n ^ bit)
                .map(Value::from)
                .to_vec()
        }
        Value::String(text) => {
            let mut others = vec![
                format!("{text}x"),
                format!("{text} x"),
                format!("{text}\u{202e}\x1b[2J\n# rules"),
            ];
            others.extend(["", "\"\"", "ipv4", "ipv6", "192.0.2.200", "::/0", "10.1.2.3/0", "nop"].map(str::to_owned));
            others.extend(["up0", "if12", "if:12", "\\x41", "all"].map(str::to_owned));
            others.into_iter().map(Value::from).collect()
        }
        Value::Array(items) => {
            let fewer = items.iter().skip(1).cloned().collect::<Vec<_>>();
            let more = items.iter().chain(items.last()).cloned().collect::<Vec<_>>();
            let swapped = items.iter().rev().cloned().collect::<Vec<_>>();
            vec![
                json!(fewer),
                json!(more),
                json!(swapped),
                json!([1]),
                json!(["if12"]),
                Value::Null,
            ]
        }
        Value::Object(map) => {
            let mut more = map.clone();
            more.insert("29".to_owned(), json!([1, 2]));
            let mut fewer = map.clone();
            let first = fewer.keys().next().cloned();
            first.map(|key| fewer.remove(&key));
            vec![Value::Object(more), Value::Object(fewer), Value::Null]
        }
    }
}

/// JSON pointers to everything in a value, itself excluded.
fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    };
    for (key, child) in children {
        let there = format!("{here}/{key}");
        pointers(child, &there, found);
        found.push(there);
    }
}

/// Every snapshot that is the world but for one place, as far as the types allow it.
fn mutants(base: &Value) -> Vec<(String, Snapshot)> {
    let mut found = Vec::new();
    pointers(base, "", &mut found);
    let mut mutants = Vec::new();
    for pointer in found {
        for other in perturbed(base.pointer(&pointer).unwrap()) {
            let mut changed = base.clone();
            *changed.pointer_mut(&pointer).unwrap() = other;
            if let Ok(snapshot) = serde_json::from_value::<Snapshot>(changed) {
                mutants.push((pointer.clone(), snapshot));
            }
        }
    }
    mutants
}

fn assert_printable(text: &str) {
    let odd = text
        .chars()
        .find(|c| !(c.is_ascii_graphic() || matches!(c, ' ' | '\n')));
    assert_eq!(odd, None, "{text}");
}

#[test]
fn the_world_reads_like_ip_and_tc() {
    insta::assert_snapshot!(world().to_string());
}

#[test]
fn a_snapshot_that_may_be_partial_says_so_wherever_it_is_kept() {
    let moving = Snapshot {
        moving: true,
        ..world()
    };
    assert_ne!(moving.to_string(), world().to_string());
    assert_ne!(moving.digest(), world().digest());
    let kept = serde_json::to_string(&moving).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&kept).unwrap(), moving);
    assert!(!serde_json::to_string(&world()).unwrap().contains("moving"));
}

#[test]
fn snapshots_are_equal_exactly_if_their_texts_are() {
    let all = mutants(&serde_json::to_value(world()).unwrap());
    let different = all.iter().filter(|(_, s)| *s != world()).count();
    assert!(different > 1000, "only {different} mutants differ");
    let mut by_text: BTreeMap<String, (String, Snapshot)> = BTreeMap::new();
    for (pointer, snapshot) in all {
        let text = snapshot.to_string();
        assert_printable(&text);
        if snapshot == world() {
            assert_eq!(text, world().to_string(), "{pointer}");
        }
        match by_text.entry(text) {
            Entry::Occupied(first) => assert_eq!(first.get().1, snapshot, "{} and {pointer}", first.get().0),
            Entry::Vacant(free) => {
                free.insert((pointer, snapshot));
            }
        }
    }
}

/// `/rules/2/mark/0` is the field `rules mark`.
fn field(pointer: &str) -> Option<String> {
    let mut parts = pointer.split('/').skip(1);
    let (kind, _, field) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{kind} {field}"))
}

#[test]
fn every_field_but_the_volatile_ones_has_a_mutant_that_shows() {
    let base = serde_json::to_value(world()).unwrap();
    let mut found = Vec::new();
    pointers(&base, "", &mut found);
    let mut silent: BTreeSet<_> = found.iter().filter_map(|p| field(p)).collect();
    for (pointer, _) in mutants(&base).iter().filter(|(_, s)| *s != world()) {
        field(pointer).map(|f| silent.remove(&f));
    }
    let volatile = [
        "addresses lifetime",
        "addresses tentative",
        "links carrier",
        "routes expires_s",
    ];
    assert_eq!(silent, volatile.map(str::to_owned).into());
}

proptest! {
    #[test]
    fn several_mutations_at_once_show_exactly_if_they_differ(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 2..5),
    ) {
        let mut value = serde_json::to_value(world()).unwrap();
        for (place, other) in picks {
            let mut found = Vec::new();
            pointers(&value, "", &mut found);
            let mut changed = value.clone();
            let target = changed.pointer_mut(place.get::<String>(&found)).unwrap();
            let others = perturbed(target);
            *target = other.get(&others).clone();
            if serde_json::from_value::<Snapshot>(changed.clone()).is_ok() {
                value = changed;
            }
        }
        let snapshot: Snapshot = serde_json::from_value(value).unwrap();
        prop_assert_eq!(snapshot == world(), snapshot.to_string() == world().to_string());
        prop_assert_eq!(snapshot == world(), snapshot.digest() == world().digest());
    }
}

#[test]
fn the_digest_is_that_of_the_text() {
    assert_eq!(world().digest(), Digest::of(world().to_string().as_bytes()));
}

#[test]
fn changes_read_like_the_commands_that_would_make_them() {
    let changes = [
        Change::Add(Object::Rule(Rule {
            iif: Some(name("up0")),
            ..Rule::ours(Family::V4, 100, RuleAction::Prohibit)
        })),
        Change::Delete(Object::Rule(Rule::local(Family::V6))),
        Change::Add(Object::Rule(full_rule())),
        Change::Add(Object::Link(Link {
            kind: Some("ifb".to_owned()),
            ..link(4, "dwn0")
        })),
        Change::SetLink {
            index: 2,
            name: name("up0"),
            setting: LinkSetting::Group(80),
        },
        Change::SetLink {
            index: 2,
            name: name("up\\x1b"),
            setting: LinkSetting::Down,
        },
        Change::SetSysctl(Sysctl {
            name: "net.ipv4.conf.eth0/1.rp_filter".to_owned(),
            value: "0".to_owned(),
        }),
    ];
    let world = world();
    let names = LinkNames::of(&world);
    let of_objects = world
        .objects()
        .flat_map(|o| [Change::Add(o.clone()), Change::Delete(o)]);
    let lines: Vec<_> = changes
        .into_iter()
        .chain(of_objects.filter(|c| !matches!(c, Change::Add(Object::Sysctl(_)) | Change::Delete(Object::Sysctl(_)))))
        .map(|c| names.change(&c).to_string())
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_lone_object_names_its_links_by_index() {
    let route = Route {
        link: Some(12),
        ..route(Family::V4, "192.0.2.0/24")
    };
    assert_eq!(route.to_string(), "192.0.2.0/24 dev if:12 proto static");
    assert_eq!(
        world().display_object(&Object::Route(Route { link: Some(2), ..route })),
        "192.0.2.0/24 dev up0 proto static"
    );
}

#[test]
fn two_links_of_one_name_are_told_apart_by_index() {
    let mut world = world();
    world.links[3].name = name("up0");
    let drop = world.filters[1].clone();
    assert!(world.display_object(&Object::Filter(drop)).ends_with("dev if:4"));
}
