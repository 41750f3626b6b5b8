//! A closed cut over a reboot: the daemon is there before the network, and what the host makes later is cut when it comes.
//!
//! No host is rebooted here: the journal is made that of another boot, and the namespace of the new one is empty.

use std::fs;
use std::time::Duration;

use portcullis::store::directory::StateDirectory;
use portcullis::store::journal;

use super::daemon::{Home, policy};
use super::state_directory::kill_both;
use super::world::state::state;
use super::world::{self, ip, wait_until};
use super::{home, host};

const LONG_MS: u64 = 1_800_000;
/// Drift is seen by an event; this is for a machine that is busy.
const SOON: Duration = Duration::from_secs(5);

/// Makes the journal that of a boot before this one.
fn reboot(home: &Home) {
    let directory = StateDirectory::open(home.state()).unwrap();
    let mut contents = journal::load(&directory).unwrap().unwrap().contents;
    contents.boot_id = "another-boot".to_owned();
    for emergency in &mut contents.emergencies {
        emergency.deadline.set_at.boot_id = "another-boot".to_owned();
        // The wall clock says how much has passed, at least this host's uptime.
        emergency.deadline.after_ms = 1 << 40;
    }
    journal::save(&directory, &contents).unwrap();
}

#[test]
fn with_a_journal_of_another_boot_what_comes_up_later_is_cut_and_comes_back() {
    let test = "boot::with_a_journal_of_another_boot_what_comes_up_later_is_cut_and_comes_back";
    world::inside(test, |world| {
        for (number, method) in ["additive", "routes", "link"].into_iter().enumerate() {
            let home = home();
            let before = host(world, 2 * number);
            let daemon = home.start(&before);
            daemon.declare(method, LONG_MS);
            kill_both(daemon, &home);
            reboot(&home);
            // A policy that was broken meanwhile is no reason to come up without the cut.
            fs::write(home.policies().join("additive.toml"), "rubbish").unwrap();
            // The same host in another boot, before it has any network.
            let after = world.namespace(&format!("h{}", 2 * number + 1));
            let daemon = home.start(&after);
            assert_eq!(daemon.get("/v1/status").json()["state"], "in-force", "{method}");
            let peer = world.namespace(&format!("p{number}"));
            let links = "link add name u0 type veth peer name v0\nlink set dev v0 netns";
            ip(
                &after,
                &format!("{links} p{number}\nlink set dev u0 up\naddr add 10.0.0.2/24 brd + dev u0"),
            );
            ip(&peer, "link set dev v0 up");
            if method == "routes" {
                ip(&after, "route add default via 10.0.0.1");
            }
            let cut = || {
                let now = state(&after);
                match method {
                    "additive" => now.contains("clsact"),
                    "routes" => !now.contains("default via"),
                    _ => now.lines().any(|l| l.contains(": u0@") && l.contains("state DOWN")),
                }
            };
            wait_until("what came later is cut", SOON, cut);
            let status = || daemon.get("/v1/status").json();
            wait_until("it is in force", SOON, || status()["state"] == "in-force");
            let id = status()["emergencies"][0]["id"].as_str().unwrap().to_owned();
            assert_eq!(home.cli(&after, &["revert", &id]).exit, Some(0), "{method}");
            let back = || {
                let now = state(&after);
                let up = now
                    .lines()
                    .any(|line| line.contains(": u0@") && line.contains("state UP"));
                up && now.contains("inet 10.0.0.2/24") && (method != "routes" || now.contains("default via 10.0.0.1"))
            };
            wait_until("what the host made is back", SOON, back);
            assert!(!state(&after).contains("clsact"), "{method}");
            daemon.stop();
        }
    });
}

#[test]
fn a_whole_host_cut_takes_in_a_link_that_is_made_after_an_early_start() {
    let test = "boot::a_whole_host_cut_takes_in_a_link_that_is_made_after_an_early_start";
    world::inside(test, |world| {
        let whole = policy("whole", "\"gate\", \"seal\"", "closed").replace("[\"u0\"]", "[\"*\"]");
        let home = Home::with(&[("whole.toml", &whole)]);
        let before = host(world, 0);
        let daemon = home.start(&before);
        daemon.declare("whole", LONG_MS);
        kill_both(daemon, &home);
        reboot(&home);
        let after = world.namespace("h1");
        let daemon = home.start(&after);
        ip(
            &after,
            "link add name late0 type veth peer name late1\nlink set dev late0 up",
        );
        let gated = || {
            let now = state(&after);
            now.lines()
                .any(|line| line.contains("clsact") && line.contains("late0"))
        };
        wait_until("a link that was made after the start is gated", SOON, gated);
        let id = daemon.get("/v1/status").json()["emergencies"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(home.cli(&after, &["revert", &id]).exit, Some(0));
        assert!(!state(&after).contains("clsact"));
        daemon.stop();
    });
}
