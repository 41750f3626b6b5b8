//! With nobody present: the guardian ends what the daemon cannot.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portcullis::drill::namespace::Namespace;
use portcullis::kernel::netlink::Netlink;
use portcullis::kernel::{Kernel as _, Kinds};
use portcullis::model::snapshot::Snapshot;

use super::daemon::{Daemon, Home, PATIENT, policy};
use super::state_directory::kill_both;
use super::world::state::{assert_same, state};
use super::world::{self, ip, run, wait_until};
use super::{home, host};

/// Long enough to do something to the daemon first.
const SHORT_MS: u64 = 4_000;
/// Every cut ends by its deadline and this.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn guardians(home: &Home) -> Vec<Pid> {
    let state = home.state().display().to_string();
    let of = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<&[u8]> = words.split(|b| *b == 0).collect();
        let ours = words.contains(&b"--guardian".as_slice()) && words.contains(&state.as_bytes());
        ours.then(|| Pid::from_raw(pid))
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| of(entry.unwrap()))
        .collect()
}

/// None while it changes too fast to be read.
fn snapshot(host: &Namespace) -> Option<Snapshot> {
    host.run(|_| Netlink::open().unwrap().snapshot(Kinds::ALL).ok())
        .unwrap()
}

/// Declares for [`SHORT_MS`], lets `happen` do its worst, and holds the cut to its end.
fn ends_whatever_happens(host: &Namespace, home: &Home, happen: impl FnOnce(Daemon) -> Option<Daemon>) {
    let daemon = home.start(host);
    let (before, baseline) = (state(host), snapshot(host));
    let declared = Instant::now();
    daemon.declare("additive", SHORT_MS);
    assert_ne!(snapshot(host), baseline, "the cut stands");
    assert_eq!(guardians(home).len(), 1, "one guardian");
    let survivor = happen(daemon);
    let end = Duration::from_millis(SHORT_MS);
    wait_until("the cut ends", end + GRACE, || snapshot(host) == baseline);
    let took = declared.elapsed();
    assert!(
        took + Duration::from_millis(200) >= end,
        "ended after {took:?}, before its deadline"
    );
    assert!(took <= end + GRACE, "ended after {took:?}");
    assert_same(&before, &state(host));
    drop(survivor);
    wait_until("the guardian ends when nothing is held", PATIENT, || {
        guardians(home).is_empty()
    });
}

#[test]
fn a_newcomer_that_dies_at_once_leaves_its_cut_to_the_guardian_that_stood_back() {
    let test = "guardian::a_newcomer_that_dies_at_once_leaves_its_cut_to_the_guardian_that_stood_back";
    world::inside(test, |world| {
        let (host, home) = (host(world, 0), home());
        ends_whatever_happens(&host, &home, |daemon| {
            let begun = Instant::now();
            daemon.kill();
            // So late that a guardian which is still standing back three seconds on would miss the deadline.
            let late = Duration::from_millis(SHORT_MS * 4 / 5);
            wait_until("the deadline is near", PATIENT, || begun.elapsed() > late);
            home.start(&host).kill();
            None
        });
    });
}

#[test]
fn a_killed_daemon_leaves_its_cut_to_the_guardian() {
    world::inside("guardian::a_killed_daemon_leaves_its_cut_to_the_guardian", |world| {
        let (host, home) = (host(world, 0), home());
        ends_whatever_happens(&host, &home, |daemon| {
            daemon.kill();
            None
        });
    });
}

#[test]
fn a_stopped_daemon_is_late_and_the_guardian_ends_its_cut() {
    world::inside(
        "guardian::a_stopped_daemon_is_late_and_the_guardian_ends_its_cut",
        |world| {
            let (host, home) = (host(world, 0), home());
            ends_whatever_happens(&host, &home, |daemon| {
                daemon.kid.signal(Signal::SIGSTOP);
                Some(daemon)
            });
        },
    );
}

#[test]
fn a_killed_guardian_is_replaced_and_nothing_else_changes() {
    world::inside(
        "guardian::a_killed_guardian_is_replaced_and_nothing_else_changes",
        |world| {
            let (host, home) = (host(world, 0), home());
            ends_whatever_happens(&host, &home, |daemon| {
                let first = guardians(&home);
                kill(first[0], Signal::SIGKILL).unwrap();
                wait_until("another guardian", PATIENT, || {
                    let now = guardians(&home);
                    !now.is_empty() && now != first
                });
                daemon.kill();
                None
            });
        },
    );
}

#[test]
fn both_killed_the_next_start_ends_the_cut() {
    world::inside("guardian::both_killed_the_next_start_ends_the_cut", |world| {
        let (host, home) = (host(world, 0), home());
        ends_whatever_happens(&host, &home, |daemon| {
            kill_both(daemon, &home);
            Some(home.start(&host))
        });
    });
}

#[test]
fn a_new_daemon_relieves_the_guardian_and_keeps_the_deadline() {
    world::inside(
        "guardian::a_new_daemon_relieves_the_guardian_and_keeps_the_deadline",
        |world| {
            let (host, home) = (host(world, 0), home());
            ends_whatever_happens(&host, &home, |daemon| {
                daemon.kill();
                let taken_over =
                    || fs::read_to_string(home.audit()).is_ok_and(|log| log.matches("\"recovered\"").count() == 1);
                wait_until("the guardian takes over", PATIENT, taken_over);
                Some(home.start(&host))
            });
        },
    );
}

#[test]
fn the_policy_and_the_socket_gone_the_guardian_still_ends_the_cut() {
    world::inside(
        "guardian::the_policy_and_the_socket_gone_the_guardian_still_ends_the_cut",
        |world| {
            let (host, home) = (host(world, 0), home());
            ends_whatever_happens(&host, &home, |daemon| {
                fs::remove_dir_all(home.policies()).unwrap();
                fs::remove_file(home.socket()).unwrap();
                daemon.kill();
                None
            });
        },
    );
}

/// The fenced block of README.md that undoes a cut with `ip` and `tc` alone.
fn undo_by_hand() -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("<!-- undo by hand").unwrap();
    let (_, block) = rest.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0
}

/// With one, gate lets pass what tc has no name for.
const LIFELINE: &str = "
[[lifelines]]
name = \"ssh\"
peers = [\"10.0.0.0/8\", \"fd00::/8\"]
protocol = \"tcp\"
ports = [22]
direction = \"in\"
";

#[test]
fn the_way_by_hand_needs_none_of_our_code() {
    world::inside("guardian::the_way_by_hand_needs_none_of_our_code", |world| {
        for (number, configuration) in ["", "arm = true\n", ""].into_iter().enumerate() {
            let kept = policy("kept", "\"gate\", \"seal\"", "closed") + LIFELINE;
            let (host, home) = (host(world, number), Home::with(&[("kept.toml", &kept)]));
            home.configure(configuration);
            if number == 2 {
                // Somebody's own: ours go in front of it, into the same.
                run(&host, "tc", &["qdisc", "add", "dev", "u0", "clsact"]);
                let theirs = "filter add dev u0 egress protocol ip pref 500 u32 match u32 0 0 flowid 1:1";
                run(&host, "tc", &theirs.split(' ').collect::<Vec<_>>());
            }
            ip(
                &host,
                "route add 10.44.0.0/16 nexthop via 10.0.0.1 nexthop via 10.0.9.1
                 route add fd44::/16 nexthop via fd00:0::1 nexthop via fd00:9::1",
            );
            let before = state(&host);
            let daemon = home.start(&host);
            daemon.declare("kept", 60 * SHORT_MS);
            for family in ["-4", "-6"] {
                let ours = run(&host, "ip", &[family, "route", "show", "table", "all", "proto", "80"]);
                assert!(ours.contains("table 1346568"), "no detour stands: {ours}");
            }
            kill_both(daemon, &home);
            let shell = || Command::new("bash").arg("-c").arg(undo_by_hand()).output();
            let done = host.run(|_| shell()).unwrap().unwrap();
            assert_same(&before, &state(&host));
            assert_eq!(String::from_utf8_lossy(&done.stderr), "");
        }
    });
}

#[test]
fn a_guardian_that_ends_the_cut_of_an_armed_host_leaves_nothing_standing() {
    world::inside(
        "guardian::a_guardian_that_ends_the_cut_of_an_armed_host_leaves_nothing_standing",
        |world| {
            let (host, home) = (host(world, 0), home());
            home.configure("arm = true\n");
            let before = state(&host);
            let daemon = home.start(&host);
            // A MAC address of our ifb is another each time.
            let standing = |state: &str| state.contains("clsact") && state.contains("40000:");
            assert!(standing(&state(&host)) && !standing(&before));
            daemon.declare("additive", SHORT_MS);
            daemon.kill();
            let end = Duration::from_millis(SHORT_MS) + GRACE;
            wait_until("the cut ends", end, || state(&host) == before);
            wait_until("the guardian ends", PATIENT, || guardians(&home).is_empty());
            let daemon = home.start(&host);
            assert!(standing(&state(&host)), "armed again");
            drop(daemon);
        },
    );
}
