//! What a start makes of a state directory that is lost, damaged, or somebody else's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use portcullis::drill::namespace::Namespace;

use super::daemon::{Daemon, Home, PATIENT, declaration};
use super::guardian::guardians;
use super::world::state::{assert_same, state, without_order};
use super::world::{self, bin, wait_until};
use super::{home, host};

/// Longer than any of these tests.
const LONG_MS: u64 = 1_800_000;

/// Kills a daemon and its guardian, so that nobody is there until the next start.
pub(super) fn kill_both(daemon: Daemon, home: &Home) {
    daemon.kid.signal(Signal::SIGSTOP);
    for guardian in guardians(home) {
        kill(guardian, Signal::SIGKILL).unwrap();
    }
    daemon.kill();
}

/// Declares, kills, does something to the state directory, and starts again.
fn after_a_kill(host: &Namespace, home: &Home, policy: &str, meanwhile: impl FnOnce()) -> (Daemon, String) {
    let daemon = home.start(host);
    let id = daemon.declare(policy, LONG_MS)["id"].as_str().unwrap().to_owned();
    kill_both(daemon, home);
    meanwhile();
    (home.start(host), id)
}

pub(super) fn events(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.audit()).unwrap();
    let event = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["event"].as_str().unwrap().to_owned()
    };
    // Seals follow the clock and say nothing of what was decided.
    text.lines().map(event).filter(|event| event != "sealed").collect()
}

#[test]
fn killed_with_fail_crash_open_the_next_start_restores() {
    world::inside(
        "state_directory::killed_with_fail_crash_open_the_next_start_restores",
        |world| {
            let (host, home) = (host(world, 0), home());
            let baseline = state(&host);
            let (daemon, _) = after_a_kill(&host, &home, "open", || {});
            assert_same(&baseline, &state(&host));
            assert_eq!(daemon.get("/v1/status").json()["state"], "clear");
            assert_eq!(events(&home)[3..], ["daemon-started", "recovered", "restored"]);
        },
    );
}

#[test]
fn with_the_state_directory_lost_everything_of_ours_is_swept_at_the_start() {
    let test = "state_directory::with_the_state_directory_lost_everything_of_ours_is_swept_at_the_start";
    world::inside(test, |world| {
        let host = host(world, 0);
        let baseline = state(&host);
        for lost in ["journal.json", ""] {
            let home = home();
            let remove = || match lost {
                "" => fs::remove_dir_all(home.state()).unwrap(),
                file => fs::remove_file(home.state().join(file)).unwrap(),
            };
            let (daemon, _) = after_a_kill(&host, &home, "additive", remove);
            assert_same(&baseline, &state(&host));
            assert_eq!(daemon.get("/v1/status").json()["state"], "clear");
            assert_eq!(events(&home).last().unwrap(), "recovered");
            daemon.stop();
        }
    });
}

#[test]
fn with_the_journal_damaged_an_intact_baseline_brings_the_host_back() {
    let test = "state_directory::with_the_journal_damaged_an_intact_baseline_brings_the_host_back";
    world::inside(test, |world| {
        let host = host(world, 0);
        // The link's run gives equal IPv6 prefixes another order.
        let now = || without_order(&state(&host));
        let baseline = now();
        for policy in ["additive", "routes", "link"] {
            let home = home();
            let journal = home.state().join("journal.json");
            let (daemon, _) = after_a_kill(&host, &home, policy, || {
                let mut bytes = fs::read(&journal).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&journal, bytes).unwrap();
                fs::write(home.state().join("baseline.json"), "rubbish").unwrap();
            });
            assert_same(&baseline, &now());
            assert_eq!(events(&home)[3..], ["daemon-started", "state-damaged"], "{policy}");
            assert!(home.state().join("journal.json.damaged").exists());
            assert_eq!(daemon.get("/v1/status").json()["state"], "clear", "{policy}");
            // And the next emergency is as good as any.
            let id = daemon.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
            assert_eq!(home.cli(&host, &["revert", &id]).exit, Some(0));
            assert_same(&baseline, &now());
            daemon.stop();
        }
    });
}

#[test]
fn with_no_copy_intact_the_host_is_stuck_until_somebody_has_looked() {
    let test = "state_directory::with_no_copy_intact_the_host_is_stuck_until_somebody_has_looked";
    world::inside(test, |world| {
        let (host, home) = (host(world, 0), home());
        let (daemon, _) = after_a_kill(&host, &home, "routes", || {
            for file in ["journal.json", "baseline.json", "baseline-copy.json"] {
                fs::write(home.state().join(file), "rubbish").unwrap();
            }
        });
        let status = home.cli(&host, &["status"]);
        assert!(status.stdout.contains("journal.json.unsettled"), "{status:?}");
        assert_eq!(daemon.get("/v1/status").json()["state"], "stuck");
        assert_eq!(home.cli(&host, &["doctor"]).exit, Some(8));
        fs::remove_file(home.state().join("journal.json.unsettled")).unwrap();
        assert_eq!(daemon.get("/v1/status").json()["state"], "clear");
        daemon.stop();
    });
}

#[test]
fn a_broken_audit_log_holds_up_no_restore_lets_no_cut_begin_and_is_named() {
    let test = "state_directory::a_broken_audit_log_holds_up_no_restore_lets_no_cut_begin_and_is_named";
    world::inside(test, |world| {
        let (host, home) = (host(world, 0), home());
        let baseline = state(&host);
        let (daemon, id) = after_a_kill(&host, &home, "additive", || {
            let text = fs::read_to_string(home.audit()).unwrap();
            fs::write(home.audit(), text.replacen("a test", "a jest", 1)).unwrap();
        });
        let cut = state(&host);
        assert_ne!(cut, baseline, "a broken log ends no cut");
        let declare = [
            "declare",
            "open",
            "--reason",
            "a",
            "--authority",
            "b",
            "--occasion",
            "exercise",
            "--yes",
        ];
        let said = home.cli(&host, &declare);
        assert_eq!(said.exit, Some(1), "{said:?}");
        assert!(
            said.stderr.contains("no-record") && said.stderr.contains("hint:"),
            "{said:?}"
        );
        assert_same(&cut, &state(&host));
        let verified = home.cli(&host, &["audit", "verify", home.audit().to_str().unwrap()]);
        assert_eq!(verified.exit, Some(8), "{verified:?}");
        assert!((verified.stdout + &verified.stderr).contains("record 2"));
        assert_eq!(home.cli(&host, &["doctor"]).exit, Some(8));
        assert_eq!(home.cli(&host, &["revert", &id]).exit, Some(0));
        assert_same(&baseline, &state(&host));
        let said = home.cli(&host, &[&["-o", "json"], &declare[..]].concat());
        let error: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(
            (said.exit, &error["error"]["code"]),
            (Some(1), &"no-record".into()),
            "{said:?}"
        );
        assert_same(&baseline, &state(&host));
        daemon.stop();
    });
}

/// Starts a daemon that must not come up; gives what it said.
#[track_caller]
fn refuses_to_start(home: &Home, host: &Namespace) -> String {
    let before = state(host);
    let log = home.log().len();
    let mut daemon = home.spawn(host);
    let status = daemon.kid.wait(PATIENT);
    assert_eq!(status.code(), Some(1), "{}", home.log());
    assert_same(&before, &state(host));
    home.log()[log..].to_owned()
}

#[test]
fn a_state_directory_that_others_can_write_is_refused() {
    world::inside(
        "state_directory::a_state_directory_that_others_can_write_is_refused",
        |world| {
            let (host, home) = (host(world, 0), home());
            for mode in [0o777, 0o770, 0o1777] {
                drop(fs::create_dir(home.state()));
                fs::set_permissions(home.state(), Permissions::from_mode(mode)).unwrap();
                let said = refuses_to_start(&home, &host);
                assert!(
                    said.contains("lets others write") && said.contains("hint"),
                    "{mode:o}: {said}"
                );
            }
        },
    );
}

#[test]
fn a_state_directory_of_another_owner_is_refused() {
    world::inside(
        "state_directory::a_state_directory_of_another_owner_is_refused",
        |world| {
            let (host, home) = (host(world, 0), home());
            fs::create_dir(home.state()).unwrap();
            fs::set_permissions(home.state(), Permissions::from_mode(0o755)).unwrap();
            // In a user namespace of one uid nothing can be given away; /proc/1 belongs to nobody we know there.
            match nix::unistd::chown(&home.state(), Some(nix::unistd::Uid::from_raw(4711)), None) {
                Ok(()) => {
                    let said = refuses_to_start(&home, &host);
                    assert!(said.contains("belongs to uid 4711") && said.contains("hint"), "{said}");
                }
                Err(errno) => {
                    println!("not tried, no other owner can be made here: {errno}");
                    assert_eq!(errno, nix::errno::Errno::EINVAL);
                }
            }
        },
    );
}

#[test]
fn a_state_directory_in_use_is_refused_and_its_daemon_goes_on() {
    world::inside(
        "state_directory::a_state_directory_in_use_is_refused_and_its_daemon_goes_on",
        |world| {
            let (host, home) = (host(world, 0), home());
            let first = home.start(&host);
            let id = first.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
            let cut = state(&host);
            let second = host
                .run(|_| {
                    Command::new(bin("portcullisd"))
                        .arg("--policies")
                        .arg(home.policies())
                        .arg("--state")
                        .arg(home.state())
                        .arg("--socket")
                        .arg(home.path().join("other.sock"))
                        .stdin(Stdio::null())
                        .output()
                })
                .unwrap()
                .unwrap();
            let said = String::from_utf8_lossy(&second.stderr);
            assert_eq!(second.status.code(), Some(1), "{said}");
            let holder = format!("process {}", first.kid.pid());
            assert!(
                said.contains("in use") && said.contains(&holder) && said.contains("hint"),
                "{said}"
            );
            assert_same(&cut, &state(&host));
            // The same socket, too: the first daemon must not lose it to a second one.
            let said = refuses_to_start(&home, &host);
            assert!(said.contains("hint"), "{said}");
            assert_eq!(home.cli(&host, &["revert", &id]).exit, Some(0));
            first.stop();
        },
    );
}

#[test]
fn a_second_daemon_in_the_namespace_is_refused_whatever_its_state_directory() {
    let test = "state_directory::a_second_daemon_in_the_namespace_is_refused_whatever_its_state_directory";
    world::inside(test, |world| {
        let (host, home, other) = (host(world, 0), home(), home());
        let baseline = state(&host);
        let first = home.start(&host);
        let id = first.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
        let said = refuses_to_start(&other, &host);
        for part in [
            "network namespace",
            &format!("process {}", first.kid.pid()),
            "hint",
            "--state",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(first.get("/v1/status").json()["state"], "in-force");
        // The guardian that holds a dead daemon's cut holds the namespace too, until a daemon of its own relieves it.
        first.kill();
        let taken_over = || events(&home).iter().filter(|event| *event == "recovered").count() == 1;
        wait_until("the guardian takes over", PATIENT, taken_over);
        let said = refuses_to_start(&other, &host);
        assert!(
            said.contains("--guardian") && said.contains(home.state().to_str().unwrap()),
            "{said}"
        );
        let second = home.start(&host);
        assert_eq!(second.get("/v1/status").json()["state"], "in-force");
        assert_eq!(home.cli(&host, &["revert", &id]).exit, Some(0));
        assert_same(&baseline, &state(&host));
        second.stop();
        other.start(&host).stop();
    });
}

#[test]
fn a_stopped_daemon_leaves_its_cut_and_the_next_one_ends_it() {
    world::inside(
        "state_directory::a_stopped_daemon_leaves_its_cut_and_the_next_one_ends_it",
        |world| {
            let (host, home) = (host(world, 0), home());
            let baseline = state(&host);
            let daemon = home.start(&host);
            let answer = daemon.post("/v1/emergencies", &declaration("additive", 1_000));
            assert_eq!(answer.status, 201, "{answer:?}");
            daemon.stop();
            assert_ne!(state(&host), baseline);
            let daemon = home.start(&host);
            let journal = home.state().join("journal.json");
            wait_until("the cut has ended", Duration::from_secs(3), || !journal.exists());
            assert_same(&baseline, &state(&host));
            daemon.stop();
        },
    );
}
