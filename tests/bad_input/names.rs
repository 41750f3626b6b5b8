//! Names of links that hold what a terminal would act on.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use portcullis::drill::namespace::Namespace;
use serde_json::Value;

use crate::daemon::{Home, PATIENT, policy};
use crate::world::{ip, wait_until};
use crate::{assert_printable, host, world};

#[test]
fn names_that_no_terminal_should_see_are_escaped_and_their_links_cut() {
    world::inside(
        "names::names_that_no_terminal_should_see_are_escaped_and_their_links_cut",
        |world| {
            let host = host(world);
            let whole = policy("whole", "\"gate\", \"seal\"", "closed").replace("\"u0\"", "\"*\"");
            let home = Home::with(&[("whole.toml", &whole)]);
            give_hostile_names(&host);
            wait_for_dad_quietly(&host);
            let qdiscs = || run(&host, "tc", &["qdisc", "show"].map(OsStr::new));
            let before = qdiscs();
            let daemon = home.start(&host);
            let shown = |args: &[&str]| {
                let said = home.cli(&host, args);
                assert_printable(&args.join(" "), &(said.stdout.clone() + &said.stderr));
                said
            };
            let snapshot = shown(&["snapshot"]);
            assert_eq!(snapshot.exit, Some(0));
            let links = |text: &str| text.matches("type veth").count();
            assert_eq!(links(&snapshot.stdout), 4, "no link is left out:\n{}", snapshot.stdout);
            let plan = shown(&["-o", "json", "plan", "whole"]);
            let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
            assert_eq!(plan["links"].as_array().unwrap().len(), 4, "{}", plan["links"]);
            assert_eq!(shown(&["plan", "whole"]).exit, Some(0));
            let terms = ["--reason", "a", "--authority", "b", "--occasion", "exercise", "--yes"];
            assert_eq!(shown(&[&["declare", "whole"], &terms[..]].concat()).exit, Some(0));
            assert_eq!(shown(&["status"]).exit, Some(0));
            assert_eq!(shown(&["-o", "json", "status"]).exit, Some(0));
            assert_eq!(shown(&["doctor"]).exit, Some(0));
            assert_eq!(shown(&["audit", "show"]).exit, Some(0));
            let gated = qdiscs();
            let blocks = String::from_utf8_lossy(&gated).matches("clsact").count();
            assert_eq!(blocks, 4, "every link is gated:\n{}", String::from_utf8_lossy(&gated));
            assert_eq!(shown(&["revert"]).exit, Some(0));
            assert_eq!(qdiscs(), before);
            assert_printable("the log", &fs::read_to_string(home.audit()).unwrap());
            daemon.stop();
        },
    );
}

/// Three links and an alternative name of a fourth.
fn give_hostile_names(host: &Namespace) {
    let hostile: [&[u8]; 3] = [b"ev\xff\xfe0", b"\x1b[31mred", b"a\x07\x7fb"];
    let word = OsStr::new;
    for (number, name) in hostile.iter().enumerate() {
        let plain = format!("pl{number}");
        ip(
            host,
            &format!("link add name {plain} type veth peer name q{number} netns r"),
        );
        let name = OsStr::from_bytes(name);
        let rename = ["link", "set", "dev", &plain, "name"].map(word);
        run(host, "ip", &[&rename[..], &[name]].concat());
        run(host, "ip", &[word("link"), word("set"), word("dev"), name, word("up")]);
    }
    let altname = OsStr::from_bytes(b"\x1b]0;owned\x07\xff");
    let add = ["link", "property", "add", "dev", "u0", "altname"].map(word);
    run(host, "ip", &[&add[..], &[altname]].concat());
}

/// Arguments and output that need not be text.
fn run(host: &Namespace, program: &str, args: &[&OsStr]) -> Vec<u8> {
    let output = host
        .run(|_| Command::new(program).args(args).output())
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    output.stdout
}

/// As [`wait_for_dad`](crate::world::wait_for_dad), whose output is not text here.
fn wait_for_dad_quietly(host: &Namespace) {
    wait_until("duplicate address detection is over", PATIENT, || {
        let show = || {
            Command::new("ip")
                .args(["-6", "-o", "addr", "show", "tentative"])
                .output()
        };
        host.run(|_| show()).unwrap().unwrap().stdout.is_empty()
    });
}
