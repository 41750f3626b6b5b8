//! One table of what can happen to a cut and to whoever holds it: each ends by its deadline and two seconds or, with nobody
//! left, at the next start, and the kernel then holds what it held before.
//!
//! Every row is done to a cut that only adds and to one that takes. A row that was not done fails the table.

mod full;
mod scene;

use std::fs;
use std::sync::Mutex;
use std::thread;

use nix::mount::MsFlags;
use nix::sys::signal::Signal;

use super::daemon::Daemon;
use super::offline::fill;
use super::state_directory::kill_both;
use super::{host, world};
use scene::{Needs, Scene, lies};

/// One that only adds, one that takes.
const POLICIES: [&str; 2] = ["additive", "link"];
/// Rows under way side by side.
const LANES: usize = 6;
/// Midnight of the first of January 2100, in seconds since 1970.
const IN_2100: (&str, i64) = ("2100-", 4_102_444_800);
/// Some hours into 1970.
const IN_1970: (&str, i64) = ("1970-", 20_000);

/// What becomes of a cut that is in force: whoever is left to end it.
type Harm = fn(&Scene<'_>, Daemon) -> Option<Daemon>;

const TABLE: [(&str, Needs, Harm); 27] = [
    ("nothing", Needs::Nothing, |_, daemon| Some(daemon)),
    ("daemon killed", Needs::Nothing, |_, daemon| {
        daemon.kill();
        None
    }),
    ("daemon stopped (SIGSTOP)", Needs::Nothing, |_, daemon| {
        daemon.kid.signal(Signal::SIGSTOP);
        Some(daemon)
    }),
    (
        "guardian stopped (SIGSTOP), daemon killed",
        Needs::Nothing,
        |scene, daemon| {
            scene.stop_guardian();
            daemon.kill();
            None
        },
    ),
    ("binaries deleted", Needs::Copy, |scene, daemon| {
        scene.delete_binaries();
        Some(daemon)
    }),
    ("binaries deleted, daemon killed", Needs::Copy, |scene, daemon| {
        scene.delete_binaries();
        daemon.kill();
        None
    }),
    ("binaries deleted, guardian killed", Needs::Copy, |scene, daemon| {
        scene.delete_binaries();
        scene.kill_guardian();
        Some(daemon)
    }),
    ("guardian killed", Needs::Nothing, |scene, daemon| {
        scene.kill_guardian();
        Some(daemon)
    }),
    ("both killed and restarted", Needs::Nothing, |scene, daemon| {
        kill_both(daemon, &scene.home);
        Some(scene.start_again())
    }),
    (
        "both killed, restarted after the deadline",
        Needs::Nothing,
        |scene, daemon| {
            kill_both(daemon, &scene.home);
            scene.wait_past_the_deadline();
            Some(scene.start_again())
        },
    ),
    ("policy file deleted", Needs::Nothing, |scene, daemon| {
        fs::remove_file(scene.home.policies().join(format!("{}.toml", scene.policy))).unwrap();
        Some(daemon)
    }),
    (
        "policies emptied, daemon killed and restarted",
        Needs::Nothing,
        |scene, daemon| {
            scene.empty_policies();
            daemon.kill();
            Some(scene.start_again())
        },
    ),
    (
        "policies emptied, both killed and restarted",
        Needs::Nothing,
        |scene, daemon| {
            scene.empty_policies();
            kill_both(daemon, &scene.home);
            Some(scene.start_again())
        },
    ),
    ("state read-only under the daemon", Needs::Lies, |scene, daemon| {
        scene.lie("read-only", "");
        Some(daemon)
    }),
    (
        "state read-only, daemon stopped (SIGSTOP)",
        Needs::Lies,
        |scene, daemon| {
            scene.lie("read-only", "");
            daemon.kid.signal(Signal::SIGSTOP);
            Some(daemon)
        },
    ),
    ("state read-only, daemon killed", Needs::Lies, |scene, daemon| {
        scene.lie("read-only", "");
        daemon.kill();
        None
    }),
    (
        "state mounted read-only, both killed and restarted",
        Needs::Nothing,
        |scene, daemon| {
            kill_both(daemon, &scene.home);
            scene.remount(MsFlags::MS_RDONLY);
            Some(scene.start_again())
        },
    ),
    ("disk full", Needs::Nothing, |scene, daemon| {
        fill(&scene.home.state());
        Some(daemon)
    }),
    ("disk full, the reserve gone", Needs::Nothing, |scene, daemon| {
        scene.fill_without_reserve();
        Some(daemon)
    }),
    (
        "disk full, the reserve gone, daemon killed",
        Needs::Nothing,
        |scene, daemon| {
            scene.fill_without_reserve();
            daemon.kill();
            None
        },
    ),
    (
        "disk full, the reserve gone, both killed and restarted",
        Needs::Nothing,
        |scene, daemon| {
            scene.fill_without_reserve();
            kill_both(daemon, &scene.home);
            Some(scene.start_again())
        },
    ),
    ("clock set to 1970", Needs::Lies, |scene, daemon| {
        scene.set_clock(IN_1970);
        Some(daemon)
    }),
    ("clock set to 1970, daemon killed", Needs::Lies, |scene, daemon| {
        scene.set_clock(IN_1970);
        daemon.kill();
        None
    }),
    (
        "clock set to 1970, both killed and restarted",
        Needs::Lies,
        |scene, daemon| {
            scene.set_clock(IN_1970);
            kill_both(daemon, &scene.home);
            Some(scene.start_again())
        },
    ),
    ("clock set to 2100", Needs::Lies, |scene, daemon| {
        scene.set_clock(IN_2100);
        Some(daemon)
    }),
    ("clock set to 2100, daemon killed", Needs::Lies, |scene, daemon| {
        scene.set_clock(IN_2100);
        daemon.kill();
        None
    }),
    (
        "clock set to 2100, both killed and restarted",
        Needs::Lies,
        |scene, daemon| {
            scene.set_clock(IN_2100);
            kill_both(daemon, &scene.home);
            Some(scene.start_again())
        },
    ),
];

#[test]
fn every_death_of_a_cut_is_an_end_by_its_deadline() {
    world::inside("deaths::every_death_of_a_cut_is_an_end_by_its_deadline", |world| {
        let lies = lies();
        let rows = TABLE.iter().flat_map(|row| POLICIES.map(|policy| (row, policy)));
        let (left, done) = (Mutex::new(rows), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for lane in 0..LANES {
                let (host, left, done, lies) = (host(world, lane), &left, &done, &lies);
                scope.spawn(move || {
                    loop {
                        let next = left.lock().unwrap().next();
                        let Some(((name, needs, harm), policy)) = next else {
                            return;
                        };
                        let ended = Scene::new(&host, policy, *needs, lies).play(name, *harm);
                        println!("{name} | {policy} | {ended}");
                        done.lock().unwrap().push((*name, policy));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap();
        let mut all: Vec<_> = TABLE
            .iter()
            .flat_map(|(name, ..)| POLICIES.map(|p| (*name, p)))
            .collect();
        done.sort_unstable();
        all.sort_unstable();
        assert_eq!(done, all, "every row was done");
    });
}
