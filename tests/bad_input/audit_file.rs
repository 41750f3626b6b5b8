//! Audit files that somebody edited, cut short or filled with something else.

use std::fs;

use crate::{LONG_MS, assert_error, assert_printable, home, host, world};

#[test]
fn a_bad_audit_file_is_told_by_verify_whatever_is_in_it() {
    world::inside(
        "audit_file::a_bad_audit_file_is_told_by_verify_whatever_is_in_it",
        |world| {
            let (host, home) = (host(world), home());
            let daemon = home.start(&host);
            let id = daemon.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
            assert_eq!(home.cli(&host, &["revert", &id]).exit, Some(0));
            daemon.stop();
            let good = fs::read_to_string(home.audit()).unwrap();
            let lines: Vec<&str> = good.lines().collect();
            let joined = |lines: &[&str]| {
                lines
                    .iter()
                    .flat_map(|l| [l.as_bytes(), b"\n"].concat())
                    .collect::<Vec<u8>>()
            };
            let without = |at: usize| joined(&[&lines[..at], &lines[at + 1..]].concat());
            let swapped = joined(&[&lines[..1], &[lines[2], lines[1]], &lines[3..]].concat());
            let table: [(&str, Vec<u8>, i32, &str); 12] = [
                ("untouched", good.clone().into_bytes(), 0, ""),
                ("empty", Vec::new(), 0, ""),
                ("a torn last line", good.as_bytes()[..good.len() - 7].to_vec(), 0, ""),
                ("zeros behind the end", [good.as_bytes(), &[0; 5000]].concat(), 0, ""),
                ("no newlines", good.replace('\n', "").into_bytes(), 8, "line 1"),
                (
                    "five thousand bytes of something",
                    (0..5000_u32)
                        .map(|i| b'!' + u8::try_from(i * i % 89).unwrap())
                        .collect(),
                    8,
                    "line 1",
                ),
                ("the first record removed", without(0), 8, "record 1"),
                ("a record removed", without(2), 8, "record 3"),
                ("two records swapped", swapped, 8, "record 2"),
                ("bytes", [good.as_bytes(), b"\xff\xfe\0\n{}\n"].concat(), 8, "line"),
                (
                    "a huge line",
                    [good.as_bytes(), &vec![b'x'; 3 << 20], b"\n{}\n"].concat(),
                    8,
                    "line",
                ),
                ("escapes", [good.as_bytes(), b"\x1b[2J\n{}\n"].concat(), 8, "line"),
            ];
            for (what, bytes, exit, part) in table {
                let copy = home.path().join("copy.jsonl");
                fs::write(&copy, bytes).unwrap();
                let said = home.cli(&host, &["audit", "verify", copy.to_str().unwrap()]);
                assert_eq!(said.exit, Some(exit), "{what}: {said:?}");
                let all = said.stdout.clone() + &said.stderr;
                assert!(all.contains(part), "{what}: {part:?} is not in {all}");
                assert_printable(what, &all);
            }
            let said = home.cli(&host, &["audit", "verify", "/nonexistent"]);
            assert_error(&said, 1, &["/nonexistent", "hint:"]);
        },
    );
}

#[test]
fn a_proof_is_of_the_log_of_the_daemon_at_the_socket_and_not_of_another() {
    let test = "audit_file::a_proof_is_of_the_log_of_the_daemon_at_the_socket_and_not_of_another";
    world::inside(test, |world| {
        let (host, home) = (host(world), home());
        let daemon = home.start(&host);
        let id = daemon.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
        assert_eq!(home.cli(&host, &["revert", &id]).exit, Some(0));
        let line = ["audit", "prove", "2", "--size", "3"];
        let asked = home.cli(&host, &line);
        assert_eq!(asked.exit, Some(0), "{asked:?}");
        let read = home.cli(
            &host,
            &[&line[..], &["--file", home.audit().to_str().unwrap()]].concat(),
        );
        assert_eq!(asked.stdout, read.stdout);
        daemon.stop();
        assert_error(&home.cli(&host, &line), 4, &["hint:"]);
    });
}
