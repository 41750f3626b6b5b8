//! The shipped policies, the golden folder of bad ones, and what holds for any text.
//!
//! A new case of a bad policy is a new folder in `tests/golden/policy-errors/` with a `policy.toml`; its rendered errors
//! are written beside it with `PORTCULLIS_GOLDEN=write`.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files must fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::model::policy::NameOf;
use portcullis::model::policy::{Affects, Direction, Method, Policy, Transport};
use portcullis::model::policy_file::{Code, Colour, PolicyErrors, SOURCE_MAX_BYTES, parse, parse_on_host};
use proptest::prelude::*;

fn root(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn entries(below: &str) -> Vec<PathBuf> {
    let listed = fs::read_dir(root(below)).unwrap();
    let sorted: BTreeSet<_> = listed.map(|entry| entry.unwrap().path()).collect();
    sorted.into_iter().collect()
}

fn shipped() -> Vec<(String, String)> {
    entries("policies")
        .into_iter()
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_shipped_policy_parses_under_the_name_of_its_file() {
    let shipped = shipped();
    assert_eq!(shipped.len(), 6);
    for (stem, source) in shipped {
        let policy = parse(&stem, &source).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(policy.name.as_ref(), stem);
        assert!(!policy.notice.is_empty(), "{stem}");
        assert!(keeps_every_rule(&policy), "{stem}");
    }
}

#[test]
fn the_examples_in_comments_parse_too() {
    for (stem, source) in shipped() {
        let uncommented: Vec<_> = source
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with("[[") || rest.split_once(" = ").is_some_and(|(k, _)| is_key(k)) => rest,
                _ => line,
            })
            .collect();
        parse(&stem, &uncommented.join("\n")).unwrap_or_else(|errors| panic!("{errors}"));
    }
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

#[test]
fn every_bad_policy_is_refused_as_its_golden_file_says() {
    let write = std::env::var_os("PORTCULLIS_GOLDEN").is_some_and(|value| value == "write");
    let cases = entries("tests/golden/policy-errors");
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let mut seen = BTreeSet::new();
    for case in cases {
        let source = fs::read_to_string(case.join("policy.toml")).unwrap();
        let errors = parse("policy.toml", &source).expect_err(&format!("{} is accepted", case.display()));
        assert_consistent(&errors, &source);
        seen.extend(errors.errors().iter().map(|error| error.code));
        let golden = case.join("errors.txt");
        let rendered = errors.render(Colour::Never) + "\n";
        if write {
            fs::write(&golden, &rendered).unwrap();
        }
        assert_eq!(
            rendered,
            fs::read_to_string(&golden).unwrap_or_default(),
            "{}",
            golden.display()
        );
    }
    let unseen: Vec<_> = Code::ALL.iter().filter(|code| !seen.contains(*code)).collect();
    // The first needs a long file, the other a host.
    assert_eq!(unseen, [&Code::TooLarge, &Code::UnknownPeople], "codes without a case");
}

fn assert_consistent(errors: &PolicyErrors, source: &str) {
    assert!(!errors.errors().is_empty());
    let lines = source.split('\n').count();
    for error in errors.errors() {
        assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error:?}");
        assert!(error.code.as_str().starts_with("policy-"), "{error:?}");
        assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{error:?}");
    }
    let rendered = errors.render(Colour::Never);
    assert_eq!(rendered.chars().find(|c| *c != '\n' && obeyed(*c)), None, "{rendered}");
    let odd = |c: &char| *c != '\n' && *c != '\u{1b}' && obeyed(*c);
    assert_eq!(errors.render(Colour::Always).chars().find(odd), None);
}

fn obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn a_file_that_is_too_long_is_refused_unread() {
    let source = "#".repeat(SOURCE_MAX_BYTES + 1);
    let errors = parse("long.toml", &source).unwrap_err();
    assert_eq!(errors.errors()[0].code, Code::TooLarge);
    assert_eq!(errors.errors().len(), 1);
}

#[test]
fn whoever_the_host_does_not_know_is_named_with_the_place() {
    let shipped = include_str!("../policies/isolate-host.toml");
    let source = shipped.to_owned()
        + "\n[who]\ndeclare = { users = [\"ada\"], groups = [\"ada\", \"ops\"] }\n\
                  [hook]\nusers = [\"bot\"]\nauthority = \"a\"\noccasion = \"exercise\"\n";
    let policy = parse("policy.toml", &source).unwrap();
    assert_eq!(policy.who.declare.unwrap().groups.len(), 2);
    let knows = |what, name: &str| what == NameOf::Group && name == "ops";
    let errors = parse_on_host("policy.toml", &source, &knows).unwrap_err();
    let said: Vec<&str> = errors.errors().iter().map(|error| error.message.as_str()).collect();
    let wanted = [
        "no user \"ada\" on this host",
        "no group \"ada\" on this host",
        "no user \"bot\" on this host",
    ];
    assert_eq!(said, wanted);
    assert!(errors.errors().iter().all(|error| error.code == Code::UnknownPeople));
}

#[test]
fn errors_are_data_too() {
    let source = "schema = 1\nname = \"a\"\n";
    let errors = parse("a.toml", source).unwrap_err();
    let json = serde_json::to_value(&errors.errors()[0]).unwrap();
    assert_eq!(json["code"], "policy-missing-field");
    assert_eq!((json["line"].as_u64(), json["column"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn a_hostile_file_name_cannot_steer_the_terminal() {
    let errors = parse("\u{1b}[2J\u{202e}\n.toml", "x = 1").unwrap_err();
    assert_consistent(&errors, "x = 1");
}

/// The rules of the format, said again over the finished policy and without the parser's code.
fn keeps_every_rule(p: &Policy) -> bool {
    let day = Duration::from_secs(86_400);
    let limits = p.limits.default <= p.limits.maximum
        && p.limits.maximum <= p.limits.total
        && !p.limits.default.is_zero()
        && p.limits.total <= 31 * day
        && p.limits
            .confirm_within
            .is_none_or(|c| !c.is_zero() && c <= p.limits.default);
    let s = &p.scope;
    let links = !s.interfaces.is_empty() || !s.kinds.is_empty() || s.default_route || !s.zones.is_empty();
    let prefixes = !p.routes.null_prefixes.is_empty() || !p.routes.withdraw_prefixes.is_empty();
    let only_routes = p.methods == BTreeSet::from([Method::Routes]);
    let scope = (links || (prefixes && only_routes))
        && !s.families.is_empty()
        && !s.directions.is_empty()
        && !p.methods.is_empty()
        && !p.declared_for.is_empty()
        && !s.interfaces.iter().any(|i| i == "lo");
    let forward_only = s.directions == BTreeSet::from([Direction::Forward]);
    let zones =
        s.zones.is_empty() || (s.zones.len() >= 2 && forward_only && p.methods == BTreeSet::from([Method::Seal]));
    let gate = !(p.methods.contains(&Method::Gate) && forward_only);
    let routes = p.methods.contains(&Method::Routes) == (prefixes || p.routes.withdraw_default);
    let names: BTreeSet<_> = p.lifelines.iter().map(|l| &l.name).collect();
    let whole = s.interfaces.iter().any(|i| i == "*");
    let down = p.methods.contains(&Method::Link) || p.routes.withdraw_default;
    let lifelines = names.len() == p.lifelines.len()
        && p.lifelines.iter().all(|l| {
            let ported = matches!(l.protocol, Transport::Tcp | Transport::Udp);
            (!l.peers.is_empty() || !l.peer_names.is_empty())
                && (ported || l.ports.is_empty())
                && l.ports.iter().all(|r| 1 <= r.first && r.first <= r.last)
                && !(whole && down && l.interface.is_none())
                && !(l.protocol == Transport::Any && l.peers.iter().any(|net| net.prefix_len() == 0))
        });
    let hook = p.hook.as_ref().is_none_or(|hook| {
        (1..=hook.users.len()).contains(&usize::from(hook.sources))
            && !hook.within.is_zero()
            && hook.within <= day
            && !hook.cool_down.is_zero()
            && hook.cool_down <= day
            && !hook.authority.trim().is_empty()
            && p.declared_for.contains(&hook.occasion)
            && p.approval.is_none()
    });
    // Every policy that affects the public needs two people, and no policy may say so yet.
    limits && scope && zones && gate && routes && lifelines && hook && p.affects != Affects::Public
}

/// What a shipped policy may have, too.
const HOOK: &str = "\n[hook]\nusers = [\"a\", \"b\", \"c\"]\nsources = 2\nwithin = \"60s\"\ncool-down = \"15m\"\n\
                    authority = \"plan 4.2\"\noccasion = \"exercise\"\n";

/// One edit of a text, chosen by numbers.
fn edited(source: &str, kind: u8, place: usize, other: usize) -> String {
    let mut lines: Vec<&str> = source.lines().collect();
    let (at, from) = (place % lines.len(), other % lines.len());
    match kind % 5 {
        0 => {
            lines.remove(at);
        }
        1 => lines.insert(at, lines[from]),
        2 => lines.swap(at, from),
        3 => {
            let words = [
                "\"*\"",
                "[]",
                "\"lo\"",
                "0",
                "\"forward\"",
                "\"link\"",
                "\"any\"",
                "\"0s\"",
                "\"public\"",
                "true",
            ];
            let values: Vec<&str> = source
                .split([' ', '[', ']', ',', '\n'])
                .filter(|w| w.starts_with('"'))
                .collect();
            let old = values[place % values.len()];
            return source.replacen(old, words[other % words.len()], 1);
        }
        _ => {
            let words = [
                "\"gate\"",
                "\"seal\"",
                "\"routes\"",
                "\"link\"",
                "\"in\"",
                "\"out\"",
                "\"forward\"",
                "\"999h\"",
                "[\"*\"]",
            ];
            let line = lines[at];
            let Some((key, _)) = line.split_once(" = ") else {
                return source.replacen('[', "", place % 5);
            };
            let word = words[other % words.len()];
            let line = if word.starts_with('[') || place.is_multiple_of(2) {
                word.to_owned()
            } else {
                format!("[{word}]")
            };
            return [
                &lines[..at].join("\n"),
                &format!("{key} = {line}"),
                &lines[at + 1..].join("\n"),
            ]
            .map(String::as_str)
            .join("\n");
        }
    }
    lines.join("\n")
}

#[test]
fn every_single_edit_of_a_shipped_policy_is_refused_or_still_safe() {
    let (mut accepted, mut refused) = (BTreeSet::new(), 0);
    for (stem, source) in shipped() {
        let lines = source.lines().count();
        for (kind, place, other) in (0..5).flat_map(|k| (0..lines).flat_map(move |p| (0..10).map(move |o| (k, p, o)))) {
            let source = edited(&source, kind, place, other);
            match parse("mutated.toml", &source) {
                Ok(policy) => {
                    assert!(keeps_every_rule(&policy), "{stem}:\n{source}");
                    accepted.insert(serde_json::to_string(&policy).unwrap());
                }
                Err(errors) => {
                    assert!(!errors.errors().is_empty());
                    refused += 1;
                }
            }
        }
    }
    assert!(
        accepted.len() > 100 && refused > 1000,
        "{} accepted, {refused} refused",
        accepted.len()
    );
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(source in "(?s).{0,400}") {
        if let Err(errors) = parse("any.toml", &source) {
            assert_consistent(&errors, &source);
        }
    }

    #[test]
    fn text_that_looks_like_toml_is_read_without_a_panic(
        source in "((scope|methods|lifelines|limits|name|use|\\[|\\]|\\[\\[|\\]\\]|\\.|=|\"|'|,|\\{|\\}|\n|\r| |#|\u{202e}|\u{1b}|é|[0-9-]){1,3}){0,60}",
    ) {
        if let Err(errors) = parse("any.toml", &source) {
            assert_consistent(&errors, &source);
        }
    }

    #[test]
    fn a_mutated_shipped_policy_is_refused_or_still_safe(
        which in 0_usize..6,
        hooked in any::<bool>(),
        edits in proptest::collection::vec((any::<u8>(), any::<usize>(), any::<usize>()), 1..6),
    ) {
        let (_, mut source) = shipped().swap_remove(which);
        if hooked {
            source += HOOK;
        }
        for (kind, place, other) in edits {
            source = edited(&source, kind, place, other);
        }
        match parse("mutated.toml", &source) {
            Ok(policy) => prop_assert!(keeps_every_rule(&policy), "{}", source),
            Err(errors) => assert_consistent(&errors, &source),
        }
    }
}
