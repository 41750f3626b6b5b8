//! Hooks at the real daemon: two users without any right raise a policy, by the command line and by a client of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::daemon::{Answer, Home, policy};
use super::rights::{HOOK, Role, ask_as, hook_socket, post, roles, with_hooks};
use crate::world::state::{assert_same, state};
use crate::world::topology::one_uplink;
use crate::world::{self, bin};

/// The other one: user 1 is `daemon` on every Debian, and group 34 may open the socket.
const OTHER: Role = ("other hook", 1, 1, "34");

/// Of two users where the world has them, else of root, who is one like any.
fn sources() -> &'static [Role] {
    match roles().len() {
        1 => &[("root", 0, 0, "")],
        _ => &[HOOK, OTHER],
    }
}

fn table() -> &'static str {
    match roles().len() {
        1 => "[hook]\nusers = [\"root\"]\nauthority = \"plan 4.2\"\noccasion = \"exercise\"\n",
        _ => {
            "[hook]\nusers = [\"bin\", \"daemon\"]\nsources = 2\nwithin = \"60s\"\nauthority = \"plan 4.2\"\n\
             occasion = \"exercise\"\n"
        }
    }
}

/// A copy of the command line that everybody may run.
fn command_line(home: &Home) -> PathBuf {
    let copy = home.path().join("portcullis");
    fs::copy(bin("portcullis"), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

fn type_as((_, uid, gid, groups): Role, program: &Path, socket: &Path, state: &str) -> Output {
    let mut command = Command::new(if uid == 0 { "env" } else { "setpriv" });
    if uid != 0 {
        command.args([
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            format!("--groups={groups}"),
        ]);
    }
    let line = [
        "-o",
        "json",
        "alert",
        "hooked",
        "--reason",
        "a test",
        "--incident",
        "T-1",
        "--state",
        state,
    ];
    command.arg(program).arg("--socket").arg(socket).args(line);
    command.output().unwrap()
}

fn said(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn two_users_as_hooks_cut_and_the_last_to_resolve_ends_it() {
    world::inside(
        "hooks::two_users_as_hooks_cut_and_the_last_to_resolve_ends_it",
        |world| {
            let hooked = format!("{}\n{}", policy("hooked", "\"gate\", \"seal\"", "closed"), table());
            let plain = policy("plain", "\"gate\", \"seal\"", "closed");
            let home = Home::with(&[("hooked.toml", &hooked), ("plain.toml", &plain)]);
            fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
            home.configure(&with_hooks(&home, ""));
            let (host, program, socket) = (one_uplink(world), command_line(&home), hook_socket(&home));
            let daemon = home.start(&host);
            let before = state(&host);
            let (first, rest) = sources().split_first().unwrap();
            let ask = |role: Role, policy: &str, state: &str| -> Answer {
                let body = json!({ "policy": policy, "state": state, "reason": "a test", "incident": "T-1" });
                ask_as(role, &socket, &post("/v1/alerts", &body))
            };
            assert_eq!(ask(*first, "plain", "firing").status, 403);
            for other in rest {
                let waiting = said(&type_as(*other, &program, &socket, "firing"));
                assert_eq!(
                    (&waiting["outcome"], &waiting["waits"]["sources"]),
                    (&json!("waiting"), &json!(1))
                );
                // Again, and as somebody else's word: it stays one source.
                assert_eq!(ask(*other, "hooked", "firing").status, 202);
                assert_same(&before, &state(&host));
            }
            let holding = ask(*first, "hooked", "firing");
            assert_eq!(
                (holding.status, &holding.json()["outcome"]),
                (200, &json!("holding")),
                "{holding:?}"
            );
            assert_ne!(before, state(&host), "nothing was cut");
            let shown = daemon.get("/v1/status").json();
            assert_eq!(
                shown["emergencies"][0]["held_by"].as_array().unwrap().len(),
                sources().len()
            );
            assert!(home.cli(&host, &["status"]).stdout.contains("the alerts of"));

            // A restart in between changes nothing.
            daemon.stop();
            let daemon = home.start(&host);
            for other in rest {
                let resolved = said(&type_as(*other, &program, &socket, "resolved"));
                assert_eq!(resolved["outcome"], "resolved");
                assert_ne!(before, state(&host), "one source ended what another holds");
            }
            let ended = said(&type_as(*first, &program, &socket, "resolved"));
            assert_eq!(
                (&ended["outcome"], &ended["receipt"]["residues"]),
                (&json!("ended"), &json!([]))
            );
            assert_same(&before, &state(&host));
            let cooling = ask(*first, "hooked", "firing");
            assert_eq!((cooling.status, &cooling.json()["code"]), (409, &json!("cooling-down")));

            let page = daemon.get("/v1/audit?kind=alert-raised").json();
            let uids: Vec<u64> = page["records"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|record| record["actor"]["peer"]["uid"].as_u64())
                .collect();
            let raised: Vec<u64> = rest.iter().chain([first]).map(|role| u64::from(role.1)).collect();
            assert_eq!(uids, raised, "each raised it once");
            daemon.stop();
        },
    );
}
