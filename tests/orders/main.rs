//! Orders signed by the real `ssh-keygen`, handed in to the real daemon in a namespace, by the commands of README.md.
//!
//! `tests/orders/run` runs them; in a plain `cargo test` they are ignored, because `ssh-keygen` need not be there. What it
//! signed once is verified by every `cargo test` (`an_order_that_debian_signed_is_taken`).

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code"
)]

#[path = "../daemon/mod.rs"]
mod daemon;
#[path = "../world/mod.rs"]
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use daemon::{Home, PATIENT};
use portcullis::drill::namespace::Namespace;
use world::state::{assert_same, state};
use world::topology::one_uplink;
use world::{bin, wait_until};

const README: &str = include_str!("../../README.md");
const POLICY: &str = include_str!("../../policies/isolate-host.toml");
const BEGIN: &str = "<!-- signed orders: run by tests/orders -->";
const END: &str = "<!-- end of signed orders -->";

/// The commands of README.md, up to each `submit` and with it.
fn parts() -> Vec<String> {
    let from = README.find(BEGIN).expect("the marker stands in README.md") + BEGIN.len();
    let text = &README[from..from + README[from..].find(END).expect("and so does its end")];
    let script = text.split("```sh\n").nth(1).unwrap().split("\n```").next().unwrap();
    let mut parts = vec![String::new()];
    for line in script.lines() {
        let part = parts.last_mut().unwrap();
        *part += &format!("{line}\n");
        if line.contains("order submit") {
            parts.push(String::new());
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Somebody's home with a key of each kind, and a folder to work in.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(desk.path(".ssh")).unwrap();
        for kind in ["ed25519", "ecdsa"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", kind, "-N", "", "-C", "a test", "-f"])
                .arg(desk.path(&format!(".ssh/id_{kind}")))
                .output()
                .expect("ssh-keygen is there: tests/orders/run installs it");
            assert!(made.status.success(), "{made:?}");
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, kind: &str) -> String {
        let line = fs::read_to_string(self.path(&format!(".ssh/id_{kind}.pub"))).unwrap();
        line.trim_end().to_owned()
    }

    /// Runs a script here, in the namespace, against the home's socket.
    fn run(&self, namespace: &Namespace, home: &Home, script: &str) -> Output {
        let binaries = bin("portcullis").parent().map(Path::to_owned).unwrap();
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap_or_default());
        namespace
            .run(|_| {
                Command::new("bash")
                    .args(["-euo", "pipefail", "-c", script])
                    .current_dir(self.folder.path())
                    .env("HOME", self.folder.path())
                    .env("PATH", path)
                    .env("PORTCULLIS_SOCKET", home.socket())
                    .env_remove("SSH_CONNECTION")
                    .env_remove("SSH_AUTH_SOCK")
                    .stdin(Stdio::null())
                    .output()
            })
            .unwrap()
            .unwrap()
    }
}

/// A home whose policy needs one more person, and that knows alice and bob.
fn home(desk: &Desk) -> Home {
    let policy = format!("{POLICY}\n[approval]\npeople = 1\n");
    let home = Home::with(&[("isolate-host.toml", &policy)]);
    let people = format!(
        "schema = 1\n[[people]]\nname = \"alice\"\nroles = [\"declare\", \"revert\"]\nkeys = [{{ key = \"{}\" }}]\n\
         [[people]]\nname = \"bob\"\nroles = [\"approve\", \"revert\"]\nkeys = [{{ key = \"{}\" }}]\n",
        desk.key("ed25519"),
        desk.key("ecdsa")
    );
    let file = home.path().join("people.toml");
    fs::write(&file, people).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let orders = home.path().join("orders");
    fs::create_dir(&orders).unwrap();
    fs::set_permissions(&orders, fs::Permissions::from_mode(0o700)).unwrap();
    home.configure(&format!(
        "people = \"{}\"\norder-directory = \"{}\"\n",
        file.display(),
        orders.display()
    ));
    home
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "needs ssh-keygen: tests/orders/run"]
fn the_commands_of_the_readme_declare_approve_and_end_with_the_real_ssh_keygen() {
    world::inside(
        "the_commands_of_the_readme_declare_approve_and_end_with_the_real_ssh_keygen",
        |world| {
            let desk = Desk::new();
            let home = home(&desk);
            let host = one_uplink(world);
            let namespace = &host;
            let before = state(namespace);
            let daemon = home.start(namespace);
            let parts = parts();
            let [declare, approve, end] = parts.as_slice() else {
                panic!("README.md hands in three orders: {parts:#?}");
            };
            exits(&desk.run(namespace, &home, declare), 11);
            assert_same(&before, &state(namespace));
            exits(&desk.run(namespace, &home, approve), 0);
            assert_eq!(daemon.get("/v1/status").json()["state"], "in-force");
            exits(&desk.run(namespace, &home, end), 0);
            assert_same(&before, &state(namespace));
            // Once each, and from nobody else.
            for order in ["cut.order", "end.order"] {
                let again = desk.run(namespace, &home, &format!("portcullis order submit {order}"));
                exits(&again, 5);
                assert!(String::from_utf8_lossy(&again.stderr).contains("(spent)"), "{again:?}");
            }
            let log = fs::read_to_string(home.audit()).unwrap();
            for (order, person) in [("cut", "alice"), ("approval", "bob"), ("end", "alice")] {
                let signature = fs::read_to_string(desk.path(&format!("{order}.order.sig"))).unwrap();
                let quoted = serde_json::to_string(&signature).unwrap();
                let record = log.lines().find(|line| line.contains(&quoted)).unwrap();
                assert!(record.contains(&format!("\"person\":\"{person}\"")), "{record}");
            }
            // The record of a refusal may come after its answer.
            wait_until("both refusals are recorded", PATIENT, || {
                let log = fs::read_to_string(home.audit()).unwrap();
                log.matches("\"reason\":\"spent\"").count() == 2
            });
        },
    );
}

#[test]
#[ignore = "needs ssh-keygen: tests/orders/run"]
fn orders_that_are_laid_into_the_directory_declare_approve_and_end() {
    world::inside(
        "orders_that_are_laid_into_the_directory_declare_approve_and_end",
        |world| {
            let desk = Desk::new();
            let home = home(&desk);
            let host = one_uplink(world);
            let before = state(&host);
            let daemon = home.start(&host);
            let orders = home.path().join("orders");
            let plan = "$(portcullis -o json status | jq -r '.emergencies[0].plan_digest')";
            let declare = "declare isolate-host --occasion exercise --reason r --authority a";
            for (name, key, order, wanted) in [
                ("1", "ed25519", declare.to_owned(), "proposed"),
                ("2", "ecdsa", format!("approve --plan {plan}"), "in-force"),
                ("3", "ecdsa", "revert isolate-host".to_owned(), "clear"),
            ] {
                let script = format!(
                    "portcullis order new {order} > {name}\nssh-keygen -Y sign -n order@portcullis -f ~/.ssh/id_{key} {name}\n\
                 cat {name} {name}.sig > {}/{name}.order",
                    orders.display()
                );
                exits(&desk.run(&host, &home, &script), 0);
                wait_until(wanted, PATIENT, || daemon.get("/v1/status").json()["state"] == wanted);
                let put_away = orders.join(format!("done/{name}.order.answer"));
                wait_until("it is put away", PATIENT, || put_away.exists());
            }
            assert_same(&before, &state(&host));
        },
    );
}
