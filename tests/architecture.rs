//! Holds the import rule of the map in `src/lib.rs`: which room may name which, and which room may name which crate.

use std::fs;
use std::path::{Path, PathBuf};

/// Room, the rooms that it may import, the crates that it must not name.
const RULES: &[(&str, &[&str], &[&str])] = &[
    (
        "model",
        &[],
        &[
            "tokio",
            "tracing",
            "nix",
            "rtnetlink",
            "netlink_sys",
            "hyper",
            "axum",
            "clap",
        ],
    ),
    (
        "planning",
        &["model"],
        &[
            "tokio",
            "tracing",
            "nix",
            "rtnetlink",
            "netlink_sys",
            "hyper",
            "axum",
            "clap",
        ],
    ),
    // What a drill found is told by it; it uses nothing else of that room.
    (
        "report",
        &["model", "drill"],
        &[
            "tokio",
            "tracing",
            "nix",
            "rtnetlink",
            "netlink_sys",
            "hyper",
            "axum",
            "clap",
        ],
    ),
    ("kernel", &["model"], &["tokio", "hyper", "axum", "clap"]),
    (
        "store",
        &["model"],
        &["tokio", "hyper", "axum", "clap", "rtnetlink", "netlink_sys"],
    ),
    (
        "authority",
        &["model"],
        &[
            "tokio",
            "tracing",
            "nix",
            "rtnetlink",
            "netlink_sys",
            "hyper",
            "axum",
            "clap",
        ],
    ),
    (
        "api",
        &["model"],
        &["tokio", "tracing", "nix", "rtnetlink", "netlink_sys", "hyper", "clap"],
    ),
    (
        "drill",
        &["api", "authority", "daemon", "kernel", "model", "planning", "store"],
        &["axum", "clap"],
    ),
    (
        "cli",
        &["api", "model", "drill", "report"],
        &[
            "rtnetlink",
            "netlink_sys",
            "netlink_packet_core",
            "netlink_packet_route",
        ],
    ),
    (
        "daemon",
        &["api", "authority", "kernel", "model", "planning", "store"],
        &[
            "rtnetlink",
            "netlink_sys",
            "netlink_packet_core",
            "netlink_packet_route",
        ],
    ),
];

/// What the pure rooms must not touch: paths that begin so.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "rand",
    "getrandom",
    "tempfile",
];

/// And calls, by whatever path their type was imported.
const IMPURE_CALLS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Uuid::new_v4",
    "Uuid::now_v7",
    "Zoned::now",
];

/// A path that a file names, spelled out: `use` groups are expanded, `self` and `super` resolved.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    file: PathBuf,
    line: usize,
    path: Vec<String>,
}

impl Named {
    /// The room of ours that it leads into.
    fn room(&self) -> Option<&str> {
        let (first, rest) = self.path.split_first()?;
        (first == "crate").then(|| rest.first().map(String::as_str)).flatten()
    }

    fn begins(&self, with: &str) -> bool {
        let mut segments = self.path.iter();
        with.split("::")
            .all(|wanted| segments.next().is_some_and(|found| found == wanted))
    }

    fn has(&self, call: &str) -> bool {
        let wanted: Vec<&str> = call.split("::").collect();
        self.path.windows(wanted.len()).any(|found| found == wanted)
    }

    fn broken(&self, what: &str) -> String {
        format!("{}:{}: {what}", self.file.display(), self.line)
    }
}

/// Every path that the code of a room names, tests left out.
fn named_in(room: &str) -> Vec<Named> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending = vec![root.join(room)];
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(entries(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !is_test_code(&path) {
            let source = fs::read_to_string(&path).expect("a source file can be read");
            let module = module_of(path.strip_prefix(&root).expect("it lies below"));
            found.extend(named(&path, &module, &source));
        }
    }
    assert!(
        !found.is_empty(),
        "room {room} is empty or gone: the rule would hold nothing"
    );
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).expect("a room can be listed");
    listed
        .map(|entry| entry.expect("a room can be listed").path())
        .collect()
}

fn is_test_code(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s == "tests") || path.components().any(|c| c.as_os_str() == "tests")
}

/// `planning/restore/lost.rs` is `crate::planning::restore::lost`, `planning/mod.rs` is `crate::planning`.
fn module_of(below_src: &Path) -> Vec<String> {
    let parts = below_src.with_extension("");
    let parts = parts.iter().map(|part| part.to_string_lossy().into_owned());
    let parts = parts.filter(|part| part != "mod");
    std::iter::once("crate".to_owned()).chain(parts).collect()
}

/// The paths in the code before its tests. Words are put together over `::`, and over the braces of a group.
fn named(file: &Path, module: &[String], source: &str) -> Vec<Named> {
    let body = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let tokens = tokens(body);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = tree(&tokens, at, &[], &mut |line, path| {
            let path = resolved(module, path);
            found.push(Named {
                file: file.to_owned(),
                line,
                path,
            });
        });
    }
    found
}

/// Words, `::`, and single characters, with their lines; comments and text left out.
fn tokens(body: &str) -> Vec<(usize, String)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end_of = |found: Option<usize>| found.unwrap_or(rest.len());
        let (length, is_code) = match first {
            _ if is_word(first) => (end_of(rest.find(|c| !is_word(c))), true),
            '/' if rest.starts_with("//") => (end_of(rest.find('\n')), false),
            '"' => (end_of_text(rest), false),
            '\'' if rest.starts_with("'\"'") => (3, false),
            '\'' if rest.starts_with("'\\\"'") => (4, false),
            ':' if rest.starts_with("::") => (2, true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        let (token, after) = rest.split_at(length);
        if is_code {
            tokens.push((line, token.to_owned()));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// How long the text in quotes is, both included; a backslash takes the next character with it.
fn end_of_text(quoted: &str) -> usize {
    let mut escaped = false;
    for (at, c) in quoted.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    quoted.len()
}

/// Reads one path, or a whole `use` tree, from `at` and says where it ends.
fn tree(
    tokens: &[(usize, String)],
    mut at: usize,
    before: &[String],
    found: &mut dyn FnMut(usize, Vec<String>),
) -> usize {
    let mut path = before.to_vec();
    let line = tokens.get(at).map_or(0, |(line, _)| *line);
    let text = |at: usize| tokens.get(at).map_or("", |(_, text)| text.as_str());
    if text(at) == "use" {
        at += 1;
    }
    loop {
        if text(at) == "::" {
            at += 1;
        }
        match text(at) {
            "{" if !path.is_empty() => {
                at += 1;
                while at < tokens.len() && text(at) != "}" {
                    at = tree(tokens, at, &path, found);
                    // `as NAME` and the comma.
                    while at < tokens.len() && !matches!(text(at), "," | "}") {
                        at += 1;
                    }
                    at += usize::from(text(at) == ",");
                }
                return at + 1;
            }
            word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => at += 1,
        }
        if text(at) != "::" {
            if path.len() > 1 {
                found(line, path);
            }
            return at;
        }
    }
}

/// From the root on: `super` once for each level, `self` for none.
fn resolved(module: &[String], path: Vec<String>) -> Vec<String> {
    let mut base = match path.first().map(String::as_str) {
        Some("self" | "super") => module.to_vec(),
        _ => return path,
    };
    let mut rest = path.iter().map(String::as_str).peekable();
    while let Some(step) = rest.next_if(|step| matches!(*step, "self" | "super")) {
        if step == "super" {
            base.pop();
        }
    }
    base.extend(rest.map(str::to_owned));
    base
}

fn hold(broken: &[String]) {
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn rooms_import_only_what_the_map_allows() {
    let mut broken = Vec::new();
    for (room, allowed, _) in RULES {
        for named in named_in(room) {
            if let Some(other) = named.room().filter(|other| other != room && !allowed.contains(other)) {
                broken.push(named.broken(&format!("{room} names {other}")));
            }
        }
    }
    hold(&broken);
}

#[test]
fn crates_are_named_only_in_their_rooms() {
    let mut broken = Vec::new();
    for (room, _, banned) in RULES {
        for named in named_in(room) {
            if let Some(name) = banned.iter().find(|name| named.begins(name)) {
                broken.push(named.broken(&format!("{room} names crate {name}")));
            }
        }
    }
    hold(&broken);
}

fn impurity(named: &Named) -> Option<&'static str> {
    let begins = IMPURE.iter().find(|name| named.begins(name));
    begins
        .or_else(|| IMPURE_CALLS.iter().find(|call| named.has(call)))
        .copied()
}

#[test]
fn the_pure_rooms_touch_neither_clock_nor_file_nor_socket() {
    let mut broken = Vec::new();
    for room in ["model", "planning", "report", "authority"] {
        for named in named_in(room) {
            if let Some(name) = impurity(&named) {
                broken.push(named.broken(&format!("{room} uses {name}")));
            }
        }
    }
    hold(&broken);
}

#[test]
fn every_way_of_writing_a_forbidden_path_is_seen() {
    let module = ["crate", "planning", "restore"].map(str::to_owned);
    let of = |source: &str| named(Path::new("x.rs"), &module, source);
    let impure = [
        "use std::{fmt, fs};",
        "use std::{\n    collections::BTreeMap,\n    io::{self, Read},\n};",
        "use std::io;",
        "use ::std::fs as files;",
        "let x = std::env::var(\"HOME\");",
        "let now = Timestamp::now();",
        "let now = jiff::Timestamp::now();",
        "let id = Uuid::now_v7();",
        "use std::time::{Duration, Instant};",
        "fn f() -> std::process::ExitCode { x }",
        "use std::net::{IpAddr, TcpStream};",
    ];
    for source in impure {
        assert!(
            of(source).iter().any(|named| impurity(named).is_some()),
            "{source}: {:?}",
            of(source)
        );
    }
    let rooms = [
        ("use crate::{kernel::Kernel, model};", "kernel"),
        ("use super::super::kernel::Kernel;", "kernel"),
        ("use super::super::{model::cut::Cut, store as disk};", "store"),
        ("let x = super::super::daemon::clock();", "daemon"),
        ("fn f(x: &crate::cli::Exit) {}", "cli"),
    ];
    for (source, room) in rooms {
        assert!(
            of(source).iter().any(|named| named.room() == Some(room)),
            "{source}: {:?}",
            of(source)
        );
    }
    for pure in [
        "use std::{collections::BTreeMap, fmt};",
        "use std::net::IpAddr; // not std::fs",
        "let t = \"std::fs::read\";",
        "use super::lost::Lost;",
        "use super::super::ours;",
        "let q = '\"'; let t = \"\\\"std::fs\"; // \"",
        "match x { A::B => { std::mem::take(y) } }",
    ] {
        let bad = |named: &Named| impurity(named).is_some() || named.room().is_some_and(|room| room == "kernel");
        assert!(!of(pure).iter().any(bad), "{pure}: {:?}", of(pure));
    }
    assert_eq!(of("\nuse super::super::kernel::Kernel;")[0].line, 2);
}

#[test]
fn the_binaries_are_thin() {
    for name in ["portcullis", "portcullisd"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/bin/{name}.rs"));
        let source = fs::read_to_string(path).unwrap();
        let code = source
            .lines()
            .filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with("//"))
            .count();
        assert!(
            code <= 12,
            "src/bin/{name}.rs has {code} lines of code; behaviour belongs in the library"
        );
    }
}
