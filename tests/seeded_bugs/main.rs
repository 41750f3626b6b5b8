//! The rig is checked: `bugs.toml` lists bugs, and `run` seeds one after another and sees that the test named for it
//! fails. Here it is only held that the list does not rot.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Fewer would say little.
const BUGS_MIN: usize = 24;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    bug: Vec<Bug>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bug {
    id: String,
    what: String,
    file: PathBuf,
    old: String,
    new: String,
    /// Arguments of `cargo test`; the last one is the filter.
    test: String,
}

fn bugs() -> Vec<Bug> {
    let table: Table = toml::from_str(include_str!("bugs.toml")).expect("the table is TOML");
    table.bug
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_bug_of_the_list_can_still_be_seeded() {
    let bugs = bugs();
    assert!(bugs.len() >= BUGS_MIN, "only {} bugs", bugs.len());
    for bug in &bugs {
        assert!(!bug.what.is_empty() && bug.old != bug.new, "{}", bug.id);
        assert_eq!(
            bugs.iter().filter(|b| b.id == bug.id).count(),
            1,
            "{} is there twice",
            bug.id
        );
        let text = fs::read_to_string(here().join(&bug.file)).expect("the file is there");
        let places = text.matches(&bug.old).count();
        assert_eq!(
            places,
            1,
            "{}: its text occurs {places} times in {}",
            bug.id,
            bug.file.display()
        );
    }
}

/// For `run`: prints id, file and test of every bug, a line each.
#[test]
#[ignore = "a part of tests/seeded_bugs/run"]
fn list() {
    let lines: Vec<String> = bugs()
        .iter()
        .map(|b| format!("{}\t{}\t{}\t{}", b.id, b.file.display(), b.test, b.what))
        .collect();
    let to = std::env::var_os("PORTCULLIS_BUG_LIST").expect("where to write it");
    fs::write(to, lines.join("\n") + "\n").expect("it can be written");
}

/// For `run`: seeds one bug in a copy of the tree.
#[test]
#[ignore = "a part of tests/seeded_bugs/run"]
fn seed() {
    let id = std::env::var("PORTCULLIS_BUG").expect("which bug");
    let tree = PathBuf::from(std::env::var_os("PORTCULLIS_BUG_TREE").expect("in which copy"));
    assert!(
        tree.join(".seeded-bugs").exists(),
        "a bug is only seeded in a copy that `run` made"
    );
    let bug = bugs().into_iter().find(|b| b.id == id).expect("it is in the list");
    let path = tree.join(&bug.file);
    let text = fs::read_to_string(&path).expect("the file is there");
    fs::write(&path, text.replacen(&bug.old, &bug.new, 1)).expect("it can be written");
}
