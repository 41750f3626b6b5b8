//! A network namespace of its own for each test: the test runs itself again under `unshare`.
//!
//! It refuses to run a body in the initial namespace, and fails where no namespace can be made.

use std::fs;
use std::process::{Command, Stdio};

/// Tells the second run that it is one, and which namespace it must not be in.
const MARK: &str = "PORTCULLIS_TEST_OUTER_NETNS";

/// Whose the namespaces are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The caller's user namespace, if the caller is root there.
    Caller,
    /// A user namespace of their own, in which no limit of a socket buffer may be exceeded.
    Nobody,
}

/// Runs `body` in fresh network and mount namespaces. `test` is the full name of the calling test.
pub fn in_namespace(test: &str, body: impl FnOnce()) {
    in_namespace_of(Owner::Caller, test, body);
}

/// The same, with a choice of whose the namespaces are.
pub fn in_namespace_of(owner: Owner, test: &str, body: impl FnOnce()) {
    let here = fs::read_link("/proc/self/ns/net").expect("proc is mounted");
    if let Some(outer) = std::env::var_os(MARK) {
        assert_ne!(here.as_os_str(), outer, "still in the namespace of the caller");
        if let Ok(initial) = fs::read_link("/proc/1/ns/net") {
            assert_ne!(here, initial, "in the initial namespace");
        }
        run("mount -t tmpfs tmpfs /run");
        return body();
    }
    let mut unshare = Command::new("unshare");
    if owner == Owner::Nobody || !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe().expect("this program has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, here)
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in the namespace:\n{text}");
    assert!(
        text.contains("1 passed"),
        "the test did not run in the namespace:\n{text}"
    );
}

/// Runs one command line (words by white space) and returns what it prints. It must succeed.
pub fn run(line: &str) -> String {
    let (ok, text) = try_run(line);
    assert!(ok, "{line}: {text}");
    text
}

/// Whether the command line succeeded, and what it printed.
pub fn try_run(line: &str) -> (bool, String) {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a command");
    let output = Command::new(program)
        .args(words)
        .output()
        .expect("the command is installed");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &errors,
    )
}

/// Runs every line of a script that is not empty or a comment.
pub fn script(lines: &str) {
    for line in lines
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        run(line);
    }
}
