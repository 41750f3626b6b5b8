//! README.md is true: its examples run, its commands and flags exist, its table is the program's, its tests are there.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code"
)]

mod daemon;
#[path = "readme/hooks.rs"]
mod hooks;
#[path = "readme/rights.rs"]
mod rights;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use portcullis::cli::Exit;
use serde_json::Value;

use daemon::{Answer, Home, ask};
use world::bin;
use world::state::{assert_same, state};
use world::topology::one_uplink;

const README: &str = include_str!("../README.md");
const POLICY: &str = include_str!("../policies/isolate-host.toml");
const BEGIN: &str = "<!-- socket examples: each is run by tests/readme.rs -->";
const END: &str = "<!-- end of socket examples -->";
/// The socket as README.md writes it.
const SOCKET: &str = "/run/portcullis/portcullis.sock";

/// The section under a heading of the second level.
fn section(heading: &str) -> &'static str {
    let begins = README
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading:?}"));
    let rest = &README[begins + 4..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// The lines of all fenced shell blocks of a text, continuation lines joined, without comments.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("\n```").next().unwrap();
        let mut open = String::new();
        for line in block.lines() {
            if open.is_empty() && (line.trim().is_empty() || line.starts_with('#')) {
                continue;
            }
            open += line.strip_suffix('\\').unwrap_or(line);
            let goes_on = line.ends_with('\\') || open.matches('\'').count() % 2 == 1;
            if goes_on {
                open.push(' ');
            } else {
                commands.push(std::mem::take(&mut open));
            }
        }
        assert_eq!(open, "", "a command without an end");
    }
    commands
}

fn examples() -> Vec<String> {
    let from = README.find(BEGIN).expect("the marker stands in README.md") + BEGIN.len();
    let examples = commands(&README[from..from + README[from..].find(END).expect("and so does its end")]);
    assert!(examples.len() >= 10, "{examples:#?}");
    examples
}

/// Splits a command into words as sh(1) does, for what these examples use: quotes, `\"`, variables.
fn words(command: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = command.chars().peekable();
    while let Some(c) = rest.next() {
        let open = word.is_some() || quote.is_some();
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(rest.next()),
            ('$', None | Some('"')) => {
                let mut name = String::new();
                while let Some(next) = rest.next_if(|n| n.is_ascii_uppercase()) {
                    name.push(next);
                }
                let value = variables.get(&name).unwrap_or_else(|| panic!("${name} is not set"));
                word.get_or_insert_default().push_str(value);
            }
            (' ', None) if open => words.extend(word.take()),
            (' ', None) => {}
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A curl command, carried out by a client that understands just the flags of these examples.
fn curl(words: &[String]) -> Answer {
    let (mut socket, mut url, mut method, mut headers, mut body) = ("", "", None, Vec::new(), "");
    let mut rest = words.iter().map(String::as_str);
    assert_eq!(rest.next(), Some("curl"), "{words:?}");
    while let Some(word) = rest.next() {
        match word {
            "-s" => {}
            "--unix-socket" => socket = rest.next().expect("a path"),
            "-X" => method = Some(rest.next().expect("a method")),
            "-H" => headers.push(rest.next().expect("a header")),
            "-d" => body = rest.next().expect("data"),
            flag if flag.starts_with('-') => panic!("these examples use no {flag}"),
            other => url = other,
        }
    }
    let method = method.unwrap_or(if body.is_empty() { "GET" } else { "POST" });
    let path = url.strip_prefix("http://localhost").unwrap_or_else(|| panic!("{url}"));
    ask(Path::new(socket), method, path, &headers, body)
}

/// Runs the examples by the client above; gives each answer's text.
fn run_by_own_client(socket: &str) -> Vec<String> {
    let mut variables = BTreeMap::new();
    let mut answers = Vec::new();
    for command in examples() {
        let command = command.replace(SOCKET, socket);
        let (name, expression) = match command.split_once('=') {
            Some((name, rest)) if name.chars().all(|c| c.is_ascii_uppercase()) => (Some(name.to_owned()), rest),
            _ => (None, command.as_str()),
        };
        let inner = expression.strip_prefix("$(").and_then(|text| text.strip_suffix(')'));
        let Some((curled, field)) = inner.and_then(|text| text.split_once(" | jq -r .")) else {
            match name {
                Some(name) => drop(variables.insert(name, expression.to_owned())),
                None => answers.push(succeeded(&command, &curl(&words(expression, &variables)))),
            }
            continue;
        };
        let answer = succeeded(&command, &curl(&words(curled, &variables)));
        let json: Value = serde_json::from_str(&answer).unwrap();
        variables.insert(name.unwrap(), json[field].as_str().unwrap().to_owned());
    }
    answers
}

fn succeeded(command: &str, answer: &Answer) -> String {
    assert!(matches!(answer.status, 200 | 201), "{command}\n{answer:?}");
    answer.body.clone()
}

/// Runs the examples by sh(1) and curl(1).
fn run_by_curl(socket: &str) -> String {
    let script: String = examples()
        .iter()
        .map(|c| c.replace(SOCKET, socket) + "\necho\n")
        .collect();
    let output = Command::new("sh")
        .args(["-e", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_examples_for_programs_run_as_they_are_written() {
    world::inside("the_examples_for_programs_run_as_they_are_written", |world| {
        let host = one_uplink(world);
        let before = state(&host);
        let home = Home::with(&[("isolate-host.toml", POLICY)]);
        let socket = home.socket();
        let socket = socket.to_str().unwrap();
        let daemon = home.start(&host);
        let answers = run_by_own_client(socket);
        println!("{} examples run by the client of this test", answers.len());
        let json = |at: usize| serde_json::from_str::<Value>(&answers[at]).unwrap();
        assert_eq!(json(0)["state"], "clear");
        assert_eq!(json(1)["confirm_within_ms"], Value::Null, "confirmed");
        assert!(json(2)["remaining_ms"].as_u64().unwrap() > 600_000, "extended");
        assert_eq!(
            (&json(3)["state"], &json(3)["residues"]),
            (&"ended".into(), &Value::Array(Vec::new()))
        );
        assert_eq!(json(3), json(4), "the receipt");
        let records = json(5)["records"].as_array().unwrap().len();
        assert_eq!(
            records, 6,
            "declared, in-force, confirmed, extended, revert-requested, restored"
        );
        assert!(json(6)["openapi"].as_str().unwrap().starts_with("3.1"));
        assert_same(&before, &state(&host));
        daemon.stop();
        if ["curl", "jq"].iter().all(|tool| installed(tool)) {
            // A new daemon, because the idempotency key of the examples has done its work with the first.
            let daemon = home.start(&host);
            let said = run_by_curl(socket);
            // The description comes last, and it has every error in it.
            let (answers, _) = said.split_once("\"openapi\"").unwrap_or_else(|| panic!("{said}"));
            assert!(answers.contains("\"state\":\"ended\""), "{answers}");
            assert!(!answers.contains("urn:portcullis:error"), "{answers}");
            assert_same(&before, &state(&host));
            daemon.stop();
            println!("and by curl and jq");
        } else {
            // Whoever says that they are there is to see them used.
            let promised = std::env::var_os("PORTCULLIS_TEST_CURL");
            assert_eq!(promised, None, "curl and jq are not both installed");
            println!("and not by curl and jq, which are not both installed");
        }
    });
}

fn installed(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn help(program: &str, args: &[&str]) -> String {
    let output = Command::new(bin(program)).args(args).arg("--help").output().unwrap();
    assert!(output.status.success(), "{program} {args:?} --help: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether help text lists a word as a command: at the start of an indented line.
fn lists(help: &str, command: &str) -> bool {
    help.lines()
        .any(|line| line.starts_with("  ") && line.split_whitespace().next() == Some(command))
}

#[test]
fn every_command_and_flag_in_the_readme_exists() {
    let mut checked = BTreeSet::new();
    for command in commands(README) {
        let command = command.split("  #").next().unwrap().replace(" -- ", " ");
        let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "&").collect();
        let program = ["portcullis", "portcullisd"].into_iter().find_map(|program| {
            let at = words.iter().position(|word| *word == program)?;
            // What is installed is no command that is run.
            (!words.contains(&"install")).then_some((program, &words[at + 1..]))
        });
        let Some((program, arguments)) = program else { continue };
        let mut path = Vec::new();
        let mut text = help(program, &[]);
        for word in arguments.iter().take_while(|word| !word.starts_with('-')) {
            if !text.contains("Commands:") {
                break;
            }
            assert!(
                lists(&text, word),
                "{command:?}: {program} {path:?} has no {word:?}:\n{text}"
            );
            path.push(*word);
            text = help(program, &path);
        }
        for flag in arguments.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.trim_end_matches('\\');
            let known = text.split([' ', ',', '\n', '=']).any(|word| word == flag);
            assert!(known, "{command:?}: {program} {path:?} has no {flag}:\n{text}");
        }
        checked.insert(format!("{program} {}", path.join(" ")));
    }
    for flag in README.split('`').filter_map(|code| code.strip_prefix("portcullisd ")) {
        let text = help("portcullisd", &[]);
        let flag = flag.split_whitespace().next().unwrap();
        assert!(text.contains(flag), "portcullisd has no {flag}:\n{text}");
    }
    println!("{checked:#?}");
    for expected in [
        "portcullis declare",
        "portcullis drill",
        "portcullis policy check",
        "portcullisd ",
    ] {
        assert!(checked.contains(expected), "{expected:?} was not found in README.md");
    }
}

#[test]
fn the_table_of_exit_codes_is_the_programs() {
    let rows: Vec<(String, String)> = section("Exit codes")
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
            Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
        })
        .skip(1)
        .collect();
    let known: Vec<_> = Exit::ALL
        .map(|exit| (exit.number().to_string(), exit.meaning().to_owned()))
        .into();
    assert_eq!(rows, known);
    let text = help("portcullis", &[]);
    for (code, meaning) in known {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{code}  ")));
        assert!(
            line.is_some_and(|line| line.contains(&meaning)),
            "{code} {meaning} is not in:\n{text}"
        );
    }
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let mut sources = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests"] {
        read_sources(&root.join(folder), &mut sources);
    }
    let promises = section("Promises").lines().filter(|line| line.contains(". **")).count();
    assert!(promises >= 7, "only {promises} promises");
    let named: BTreeSet<&str> = section("Promises")
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| {
            code.contains('_')
                && code
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    assert!(named.len() >= promises, "{named:#?}");
    let absent: Vec<_> = named
        .iter()
        .filter(|name| !HEADS.iter().any(|head| sources.contains(&format!("{head}fn {name}("))))
        .collect();
    assert!(absent.is_empty(), "no such tests: {absent:#?}");
}

/// How a test begins; those that one script runs are left out of a plain run.
const HEADS: [&str; 5] = [
    "#[test]\n",
    "#[test]\n    ",
    "#[tokio::test]\nasync ",
    "#[tokio::test]\n    async ",
    "#[ignore = \"needs strace: tests/inject/run\"]\n",
];

fn read_sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            *into += &std::fs::read_to_string(&path).unwrap();
        }
    }
}
