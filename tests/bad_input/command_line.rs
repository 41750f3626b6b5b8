//! Command lines: each gets its exit code, and what went wrong has a hint.

use crate::world::state::{assert_same, state};
use crate::{assert_error, home, host, world};

#[test]
fn a_bad_command_line_gets_its_exit_code_and_a_hint_and_changes_nothing() {
    world::inside(
        "command_line::a_bad_command_line_gets_its_exit_code_and_a_hint_and_changes_nothing",
        |world| {
            let (host, home) = (host(world), home());
            let daemon = home.start(&host);
            let before = state(&host);
            let terms = ["--reason", "a", "--authority", "b", "--occasion", "exercise"];
            let declare = |more: &[&str]| home.cli(&host, &[&["declare", "additive"], &terms[..], more].concat());
            assert_error(&declare(&[]), 2, &["flag-missing", "hint:", "--yes"]);
            assert_error(&declare(&["--yes", "--for", "2 parsecs"]), 2, &["--for"]);
            assert_error(&declare(&["--yes", "--for", "100h"]), 5, &["over-limit", "hint:"]);
            assert_error(&declare(&["--plan", "abc"]), 5, &["plan-changed", "hint:"]);
            let escapes = [
                "declare",
                "additive",
                "--reason",
                "\u{1b}[2J",
                "--authority",
                "b",
                "--occasion",
                "exercise",
                "--yes",
            ];
            assert_error(&home.cli(&host, &escapes), 2, &["bad-request", "hint:"]);
            let other = ["declare", "\u{1b}[2J", "--reason", "a", "--authority", "b", "--yes"];
            assert_error(&home.cli(&host, &other), 10, &["no-such-policy", "hint:"]);
            assert_error(&home.cli(&host, &["revert"]), 3, &["hint:"]);
            assert_error(&home.cli(&host, &["revert", "\u{1b}[2J"]), 2, &["hint:"]);
            assert_error(&home.cli(&host, &["confirm", "../../status"]), 3, &["hint:"]);
            assert_error(&home.cli(&host, &["plan", "nothing"]), 10, &["no-such-policy", "hint:"]);
            assert_error(&home.cli(&host, &["frobnicate"]), 2, &["frobnicate"]);
            assert_eq!(home.cli(&host, &["status", "--check"]).exit, Some(3));
            let elsewhere = home.cli(&host, &["--socket", "/nonexistent.sock", "status"]);
            assert_error(&elsewhere, 4, &["socket-missing", "hint:"]);
            assert_same(&before, &state(&host));
            daemon.stop();
            assert_error(&home.cli(&host, &["revert"]), 4, &["hint:"]);
        },
    );
}
