//! `portcullis restore --offline`: one person, root, and nothing else.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use portcullis::drill::namespace::Namespace;
use serde_json::Value;

use super::daemon::{Home, PATIENT, Said};
use super::guardian::guardians;
use super::state_directory::{events, kill_both};
use super::world::state::{assert_same, state, without_order};
use super::world::{self, wait_until};
use super::{home, host};

const LONG_MS: u64 = 1_800_000;

fn restore(host: &Namespace, home: &Home) -> Said {
    let state = home.state();
    home.cli(
        host,
        &["-o", "json", "restore", "--offline", "--state", state.to_str().unwrap()],
    )
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

/// A host with this cut in force, and nobody there.
fn forsaken(host: &Namespace, home: &Home, policy: &str) {
    let daemon = home.start(host);
    daemon.declare(policy, LONG_MS);
    kill_both(daemon, home);
}

/// Takes all room from the file system below.
pub(super) fn fill(folder: &Path) {
    let mut chunk = vec![1; 1 << 16];
    let ballast = fs::File::create(folder.join("ballast")).unwrap();
    let mut at = 0;
    while !chunk.is_empty() {
        match std::os::unix::fs::FileExt::write_at(&ballast, &chunk, at) {
            Ok(written) => at += written as u64,
            Err(full) => {
                assert_eq!(full.raw_os_error(), Some(Errno::ENOSPC as i32));
                chunk.truncate(chunk.len() / 2);
            }
        }
    }
}

pub(super) fn mounted(at: &Path, flags: MsFlags, options: &str) {
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options)).unwrap();
}

#[test]
fn with_daemon_and_guardian_dead_and_the_policies_broken_every_method_is_undone() {
    let test = "offline::with_daemon_and_guardian_dead_and_the_policies_broken_every_method_is_undone";
    world::inside(test, |world| {
        let host = host(world, 0);
        let now = || without_order(&state(&host));
        let baseline = now();
        for policy in ["additive", "routes", "link"] {
            let home = home();
            forsaken(&host, &home, policy);
            assert_ne!(now(), baseline, "{policy}: the cut stands");
            fs::write(home.policies().join("additive.toml"), "rubbish").unwrap();
            fs::remove_file(home.socket()).unwrap();
            let said = restore(&host, &home);
            assert_eq!(said.exit, Some(0), "{policy}: {said:?}");
            assert_same(&baseline, &now());
            let done = json(&said);
            assert_eq!(done["way"], "journal", "{policy}");
            assert_eq!(done["receipts"][0]["residues"], serde_json::json!([]), "{policy}");
            assert_eq!(done["recorded"], true, "{policy}");
            assert_eq!(
                events(&home)[3..],
                ["revert-requested", "restored", "restored-offline"],
                "{policy}"
            );
            assert!(!home.state().join("journal.json").exists());
            let again = restore(&host, &home);
            assert_eq!(
                (again.exit, &json(&again)["way"]),
                (Some(0), &"nothing".into()),
                "{policy}"
            );
        }
    });
}

#[test]
fn a_daemon_is_not_worked_around_and_a_guardian_is_relieved() {
    let test = "offline::a_daemon_is_not_worked_around_and_a_guardian_is_relieved";
    world::inside(test, |world| {
        let (host, home) = (host(world, 0), home());
        let baseline = state(&host);
        let daemon = home.start(&host);
        daemon.declare("additive", LONG_MS);
        let cut = state(&host);
        // By its state directory, and by the namespace alone.
        for place in [home.state(), home.path().join("elsewhere")] {
            let said = home.cli(&host, &["restore", "--offline", "--state", place.to_str().unwrap()]);
            assert_eq!(said.exit, Some(1), "{said:?}");
            for part in ["in-use", &format!("process {}", daemon.kid.pid()), "portcullis revert"] {
                assert!(said.stderr.contains(part), "{part}: {said:?}");
            }
            assert_same(&cut, &state(&host));
            assert!(
                !home.path().join("elsewhere").exists(),
                "nothing is made for a mistyped name"
            );
        }
        daemon.kill();
        let taken_over = || events(&home).iter().filter(|event| *event == "recovered").count() == 1;
        wait_until("the guardian takes over", PATIENT, taken_over);
        let said = restore(&host, &home);
        assert_eq!(said.exit, Some(0), "{said:?}");
        assert_same(&baseline, &state(&host));
        wait_until("the guardian ends", PATIENT, || guardians(&home).is_empty());
        assert_same(&baseline, &state(&host));
        let daemon = home.start(&host);
        assert_eq!(daemon.get("/v1/status").json()["state"], "clear");
        assert_same(&baseline, &state(&host));
        daemon.stop();
    });
}

#[test]
fn with_the_journal_damaged_gone_or_all_of_it_lost_the_way_is_named() {
    let test = "offline::with_the_journal_damaged_gone_or_all_of_it_lost_the_way_is_named";
    world::inside(test, |world| {
        let host = host(world, 0);
        let now = || without_order(&state(&host));
        let baseline = now();
        for (policy, lost, way, exit) in [
            ("link", "journal.json", "baseline", 0),
            ("routes", "journal.json", "baseline", 0),
            ("additive", "", "marks", 6),
        ] {
            let home = home();
            forsaken(&host, &home, policy);
            match lost {
                "" => fs::remove_dir_all(home.state()).unwrap(),
                file => fs::write(home.state().join(file), "rubbish").unwrap(),
            }
            let said = restore(&host, &home);
            assert_eq!(said.exit, Some(exit), "{policy}: {said:?}");
            assert_eq!(json(&said)["way"], way, "{policy}");
            assert_same(&baseline, &now());
        }
    });
}

#[test]
fn on_a_full_disk_and_on_one_that_cannot_be_written_the_host_comes_back_and_the_truth_is_told() {
    let test = "offline::on_a_full_disk_and_on_one_that_cannot_be_written_the_host_comes_back_and_the_truth_is_told";
    world::inside(test, |world| {
        let host = host(world, 0);
        let baseline = state(&host);
        for read_only in [false, true] {
            let home = home();
            fs::create_dir(home.state()).unwrap();
            mounted(&home.state(), MsFlags::empty(), "size=4m,mode=700");
            forsaken(&host, &home, "additive");
            fs::remove_file(home.state().join("reserve")).unwrap();
            fill(&home.state());
            if read_only {
                mounted(
                    &home.state(),
                    MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
                    "size=4m,mode=700",
                );
            }
            let said = restore(&host, &home);
            assert_same(&baseline, &state(&host));
            let done = json(&said);
            assert_eq!(done["way"], "journal", "{said:?}");
            assert_eq!(done["journal_stays"], read_only, "{said:?}");
            if read_only {
                assert_eq!(said.exit, Some(6), "{said:?}");
                assert!(said.stderr.contains("rm "), "{said:?}");
                mounted(&home.state(), MsFlags::MS_REMOUNT, "size=4m,mode=700");
                fs::remove_file(home.state().join("journal.json")).unwrap();
            } else {
                assert_eq!(said.exit, Some(0), "{said:?}");
            }
            fs::remove_file(home.state().join("ballast")).unwrap();
            let daemon = home.start(&host);
            assert_same(&baseline, &state(&host));
            assert_eq!(daemon.get("/v1/status").json()["state"], "clear");
            let told = || events(&home).contains(&"restored-offline".to_owned());
            if !read_only {
                wait_until("it is recorded, then or now", Duration::from_secs(5), told);
            }
            daemon.stop();
        }
    });
}
