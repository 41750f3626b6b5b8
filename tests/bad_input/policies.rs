//! Policies: the file is named with the place in it, by the command line and by a daemon that does not start.

use std::fs;

use crate::daemon::{Home, PATIENT, policy};
use crate::world::state::{assert_same, state};
use crate::{assert_printable, host, world};

#[test]
fn a_bad_policy_is_refused_with_its_place_and_nothing_starts() {
    world::inside(
        "policies::a_bad_policy_is_refused_with_its_place_and_nothing_starts",
        |world| {
            let host = host(world);
            let before = state(&host);
            let good = policy("good", "\"gate\"", "closed");
            let table: [(&str, String, &str); 9] = [
                ("empty", String::new(), "schema"),
                ("an unknown key", good.replace("affects", "afects"), "afects"),
                ("no end", good.replace("maximum = \"1h\"\n", ""), "maximum"),
                ("an endless end", good.replace("\"1h\"", "\"9999999h\""), "bad.toml:"),
                (
                    "a name with an escape",
                    good.replace("\"good\"", "\"\\u001b[2Jgood\""),
                    "bad.toml:",
                ),
                (
                    "a key with an escape",
                    format!("\"\\u001b[31m\" = 1\n{good}"),
                    "bad.toml:",
                ),
                (
                    "the public without its lifelines",
                    good.replace("own-hosts", "public"),
                    "public",
                ),
                ("an unknown method", good.replace("\"gate\"", "\"axe\""), "axe"),
                (
                    "a broken string",
                    good.replace("a test\"\ndeclared", "a test\ndeclared"),
                    "bad.toml:",
                ),
            ];
            for (what, text, part) in table {
                let home = Home::with(&[("bad.toml", &text)]);
                let file = home.policies().join("bad.toml");
                let said = home.cli(&host, &["policy", "check", file.to_str().unwrap()]);
                println!("-- {what}\n{}{}", said.stdout, said.stderr);
                assert_eq!(said.exit, Some(10), "{what}: {said:?}");
                let all = format!("{}{}", said.stdout, said.stderr);
                assert!(all.contains(part), "{what}: {part:?} is not in {all}");
                assert_printable(what, &all);
                let mut daemon = home.spawn(&host);
                assert_eq!(daemon.kid.wait(PATIENT).code(), Some(10), "{what}: {}", home.log());
                assert!(!home.state().exists(), "{what}: a state directory was made");
                assert_printable(what, &home.log().replace("\\n", "\n"));
            }
            for (what, bytes) in [
                ("bytes that are no text", b"schema = 1\nname = \"\xff\"\n".to_vec()),
                ("NULs", vec![0; 100]),
                ("more than a policy", vec![b'#'; 300 * 1024]),
            ] {
                let home = Home::with(&[]);
                let file = home.policies().join("bad.toml");
                fs::write(&file, bytes).unwrap();
                let said = home.cli(&host, &["policy", "check", file.to_str().unwrap()]);
                assert!(matches!(said.exit, Some(1 | 10)), "{what}: {said:?}");
                let all = format!("{}{}", said.stdout, said.stderr);
                assert!(all.contains("bad.toml"), "{what}: {said:?}");
                assert_printable(what, &all);
                let mut daemon = home.spawn(&host);
                assert_eq!(daemon.kid.wait(PATIENT).code(), Some(10), "{what}: {}", home.log());
                assert!(home.log().contains("bad.toml"), "{what}: {}", home.log());
            }
            assert_same(&before, &state(&host));
        },
    );
}
