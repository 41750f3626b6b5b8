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
    ("kernel", &["model"], &["tokio", "hyper", "axum", "clap"]),
    (
        "store",
        &["model"],
        &["tokio", "hyper", "axum", "clap", "rtnetlink", "netlink_sys"],
    ),
    (
        "api",
        &["model"],
        &["tokio", "tracing", "nix", "rtnetlink", "netlink_sys", "hyper", "clap"],
    ),
    (
        "drill",
        &["api", "daemon", "kernel", "model", "planning", "store"],
        &["axum", "clap"],
    ),
    (
        "cli",
        &["api", "model", "drill"],
        &[
            "rtnetlink",
            "netlink_sys",
            "netlink_packet_core",
            "netlink_packet_route",
        ],
    ),
    (
        "daemon",
        &["api", "kernel", "model", "planning", "store"],
        &[
            "rtnetlink",
            "netlink_sys",
            "netlink_packet_core",
            "netlink_packet_route",
        ],
    ),
];

/// What the pure rooms must not touch, wherever it stands in a line of code.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
];

struct Line {
    file: PathBuf,
    number: usize,
    text: String,
}

fn code_of(room: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(entries(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !is_test_code(&path) {
            let source = fs::read_to_string(&path).expect("a source file can be read");
            let body = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            lines.extend(body.lines().enumerate().filter_map(|(i, text)| {
                let code = text.split("//").next().unwrap_or_default().to_owned();
                (!code.trim().is_empty()).then(|| Line {
                    file: path.clone(),
                    number: i + 1,
                    text: code,
                })
            }));
        }
    }
    assert!(
        !lines.is_empty(),
        "room {room} is empty or gone: the rule would hold nothing"
    );
    lines
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

fn imported_rooms(code: &str) -> Vec<String> {
    code.match_indices("crate::")
        .map(|(at, found)| {
            code[at + found.len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn rooms_import_only_what_the_map_allows() {
    let mut broken = Vec::new();
    for (room, allowed, _) in RULES {
        for line in code_of(room) {
            for other in imported_rooms(&line.text) {
                if other != *room && !allowed.contains(&other.as_str()) {
                    broken.push(format!("{}:{}: {room} names {other}", line.file.display(), line.number));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn crates_are_named_only_in_their_rooms() {
    let mut broken = Vec::new();
    for (room, _, banned) in RULES {
        for line in code_of(room) {
            for name in *banned {
                if line.text.contains(&format!("{name}::")) {
                    broken.push(format!(
                        "{}:{}: {room} names crate {name}",
                        line.file.display(),
                        line.number
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_pure_rooms_touch_neither_clock_nor_file_nor_socket() {
    let mut broken = Vec::new();
    for room in ["model", "planning"] {
        for line in code_of(room) {
            for name in IMPURE {
                if line.text.contains(name) {
                    broken.push(format!("{}:{}: {room} uses {name}", line.file.display(), line.number));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
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
