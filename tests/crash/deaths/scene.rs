//! One host with one cut in force, what is done to it, and the moment at which the host is as it was.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use portcullis::drill::namespace::Namespace;
use serde_json::Value;

use super::Harm;
use crate::daemon::{Daemon, Home, PATIENT};
use crate::guardian::guardians;
use crate::home;
use crate::offline::{fill, mounted};
use crate::world::state::{assert_same, state, without_order};
use crate::world::{bin, run, wait_until};

/// Long enough to do a row's harm first, on a busy machine.
const FOR_MS: u64 = 3_000;
/// Every cut ends by its deadline and this.
pub(super) const GRACE_MS: u64 = 2_000;
/// So long before it is due the looking begins: an end that comes too early is seen.
const LOOK_FROM_MS: u64 = 300;
/// The state directory is a file system of its own.
const OPTIONS: &str = "size=4m,mode=700";

/// How the daemon of a row is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// As it was built.
    Nothing,
    /// From a copy that can be deleted.
    Copy,
    /// With `lies.c` before libc.
    Lies,
}

/// Builds `lies.c` with what linked these tests.
pub(super) fn lies() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lies.c"), include_str!("lies.c")).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "lies.so", "lies.c"])
        .current_dir(folder.path())
        .output()
        .expect("cc, which cargo links with, is there");
    assert!(built.status.success(), "{built:?}");
    folder
}

/// CLOCK_BOOTTIME in milliseconds, as deadlines are kept.
pub(super) fn boottime_ms() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
    u64::try_from(now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000).unwrap()
}

/// The records of a home's audit log that can be read; the last one may be half written.
pub(super) fn records(home: &Home) -> Vec<Value> {
    let text = fs::read_to_string(home.audit()).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn recorded(home: &Home, event: &str) -> Option<Value> {
    records(home).into_iter().rfind(|record| record["event"] == event)
}

/// When the cut that was declared last is due, by its record.
pub(super) fn due_ms(home: &Home) -> u64 {
    let declared = recorded(home, "declared").unwrap();
    declared["boottime_ms"].as_u64().unwrap() + declared["details"]["duration_ms"].as_u64().unwrap()
}

/// Takes the state directory's file system away again when it goes out of scope.
pub(super) struct Shelf(PathBuf);

impl Shelf {
    pub(super) fn of(home: &Home, options: &str) -> Self {
        fs::create_dir(home.state()).unwrap();
        mounted(&home.state(), MsFlags::empty(), options);
        Self(home.state())
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

/// The state of a host, whatever the order within its sections.
pub(super) fn seen(host: &Namespace) -> String {
    without_order(&state(host))
}

/// The names of the links that are administratively up.
fn set_up(host: &Namespace) -> Vec<String> {
    let links = run(host, "ip", &["-o", "link", "show", "up"]);
    let names = links
        .lines()
        .filter_map(|line| line.split(": ").nth(1).map(str::to_owned));
    names.collect()
}

/// A host before anything is cut.
pub(super) struct Before {
    pub(super) state: String,
    set_up: Vec<String>,
}

impl Before {
    pub(super) fn of(host: &Namespace) -> Self {
        Self {
            state: seen(host),
            set_up: set_up(host),
        }
    }

    /// Looks until the host is as before: when the cut was open again, and when all was as before. A cut of links is open
    /// when they are set up; what the kernel makes of their carriers it makes up to a second later, which is not ours to
    /// hasten.
    pub(super) fn comes_back(&self, host: &Namespace, policy: &str, due: u64) -> (u64, u64) {
        let patient = || boottime_ms() < due + 3 * GRACE_MS;
        let mut open = None;
        if policy == "link" {
            while set_up(host) != self.set_up && patient() {}
            open = Some(boottime_ms());
        }
        let mut now = seen(host);
        while now != self.state && patient() {
            now = seen(host);
        }
        let same = boottime_ms();
        assert_same(&self.state, &now);
        (open.unwrap_or(same), same)
    }
}

/// When a cut ended, and who was there to end it.
pub(super) struct Ended {
    /// After its deadline; of one that nobody was there to end, after the start of the next daemon.
    after_ms: u64,
    /// By the record; none where none could be written then.
    recorded_after_ms: Option<u64>,
    by: &'static str,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as before {} ms after it was due", self.after_ms)?;
        match self.recorded_after_ms {
            Some(recorded) => write!(f, ", restored by its record after {recorded} ms")?,
            None => write!(f, ", not recorded then")?,
        }
        write!(f, ", by {}", self.by)
    }
}

/// One host with one cut in force.
pub(super) struct Scene<'a> {
    pub(super) host: &'a Namespace,
    pub(super) policy: &'a str,
    pub(super) home: Home,
    needs: Needs,
    lies: &'a Path,
    /// When it must end, on CLOCK_BOOTTIME.
    due_ms: Cell<u64>,
    restarted: Cell<bool>,
    /// How the time of the record of its end begins.
    year: Cell<&'static str>,
    _shelf: Shelf,
}

impl<'a> Scene<'a> {
    pub(super) fn new(host: &'a Namespace, policy: &'a str, needs: Needs, lies: &'a tempfile::TempDir) -> Self {
        let home = home();
        let shelf = Shelf::of(&home, OPTIONS);
        if needs == Needs::Copy {
            fs::create_dir(home.path().join("bin")).unwrap();
            fs::copy(bin("portcullisd"), home.path().join("bin/portcullisd")).unwrap();
        }
        Self {
            host,
            policy,
            home,
            needs,
            lies: lies.path(),
            due_ms: Cell::new(0),
            restarted: Cell::new(false),
            year: Cell::new("20"),
            _shelf: shelf,
        }
    }

    /// Declares, does harm, and holds the cut to its end.
    pub(super) fn play(self, row: &str, harm: Harm) -> Ended {
        let context = format!("{row} | {}", self.policy);
        let before = Before::of(self.host);
        let daemon = self.start();
        daemon.declare(self.policy, FOR_MS);
        self.due_ms.set(due_ms(&self.home));
        assert_ne!(seen(self.host), before.state, "{context}: the cut stands");
        let mut survivor = harm(&self, daemon);
        let ended = self.end(&context, &before, survivor.as_mut());
        if let (None, Some(daemon)) = (ended.recorded_after_ms, survivor.as_mut()) {
            self.assert_not_taken_for_late(&context, daemon);
        }
        self.clear_up(&context, survivor);
        assert_same(&before.state, &seen(self.host));
        ended
    }

    fn end(&self, context: &str, before: &Before, survivor: Option<&mut Daemon>) -> Ended {
        let due = self.due_ms.get();
        wait_until("the cut is nearly due", PATIENT, || boottime_ms() + LOOK_FROM_MS >= due);
        let (open, at) = before.comes_back(self.host, self.policy, due);
        assert!(open >= due, "{context}: open {} ms before it was due", due - open);
        // A look takes its time on a busy machine; a record that was made before it counts.
        let record = recorded(&self.home, "restored").and_then(|record| record["boottime_ms"].as_u64());
        let record = record.filter(|record| *record <= at);
        assert!(
            record.is_none_or(|record| record >= due),
            "{context}: restored before it was due"
        );
        let told = self.home.path().join("read-only").exists();
        assert!(
            !told || record.is_none(),
            "{context}: recorded in a read-only directory"
        );
        let latest = record.unwrap_or(open) - due;
        assert!(latest <= GRACE_MS, "{context}: ended {latest} ms after it was due");
        let lives = |daemon: &mut Daemon| daemon.kid.child().try_wait().unwrap().is_none();
        Ended {
            after_ms: at - due,
            recorded_after_ms: record.map(|record| record - due),
            by: match survivor.is_some_and(lives) {
                true if self.restarted.get() => "the next daemon",
                true => "the daemon",
                false => "the guardian",
            },
        }
    }

    /// The journal still says that the cut is held: whoever reads it would end a daemon that is late by so much.
    fn assert_not_taken_for_late(&self, context: &str, daemon: &mut Daemon) {
        let lives = |daemon: &mut Daemon| daemon.kid.child().try_wait().unwrap().is_none();
        if lives(daemon) {
            let until = self.due_ms.get() + GRACE_MS;
            wait_until("a guardian would have acted", PATIENT, || boottime_ms() > until);
            assert!(lives(daemon), "{context}: the daemon was taken for late");
        }
    }

    /// What was done to the state directory has an end too, and then there is nobody left and nothing held.
    fn clear_up(&self, context: &str, survivor: Option<Daemon>) {
        self.tell_no_more("read-only");
        self.remount(MsFlags::empty());
        // Only some rows have one.
        drop(fs::remove_file(self.home.state().join("ballast")));
        if let Some(mut daemon) = survivor
            && daemon.kid.child().try_wait().unwrap().is_none()
        {
            wait_until("the daemon is clear", PATIENT, || {
                daemon.get("/v1/status").json()["state"] == "clear"
            });
            daemon.stop();
        }
        wait_until("the guardian ends when nothing is held", PATIENT, || {
            guardians(&self.home).is_empty()
        });
        let year = self.year.get();
        let dated =
            |record: &Value| record["event"] == "restored" && record["time"].as_str().unwrap().starts_with(year);
        assert!(
            records(&self.home).iter().any(dated),
            "{context}: restored in {year}, by its record"
        );
        let verified = self
            .home
            .cli(self.host, &["audit", "verify", self.home.audit().to_str().unwrap()]);
        assert_eq!(verified.exit, Some(0), "{context}: {verified:?}");
    }

    fn start(&self) -> Daemon {
        let (copy, so) = (self.home.path().join("bin/portcullisd"), self.lies.join("lies.so"));
        let folder = self.home.path().display();
        match self.needs {
            Needs::Nothing => self.home.start(self.host),
            Needs::Copy => {
                let script = format!("shift; exec {} \"$@\"", copy.display());
                self.home.start_by(self.host, &["sh", "-c", &script, "sh"])
            }
            Needs::Lies => {
                let preload = format!("LD_PRELOAD={}", so.display());
                let told = format!("PORTCULLIS_TEST_LIES={folder}");
                self.home.start_by(self.host, &["env", &preload, &told])
            }
        }
    }

    /// Another daemon after the first; a cut that was due before is due now.
    pub(super) fn start_again(&self) -> Daemon {
        self.due_ms.set(self.due_ms.get().max(boottime_ms()));
        self.restarted.set(true);
        self.start()
    }

    pub(super) fn wait_past_the_deadline(&self) {
        let before = seen(self.host);
        wait_until("the deadline has passed", PATIENT, || {
            boottime_ms() > self.due_ms.get() + LOOK_FROM_MS
        });
        assert_same(&before, &seen(self.host));
    }

    pub(super) fn delete_binaries(&self) {
        fs::remove_dir_all(self.home.path().join("bin")).unwrap();
    }

    pub(super) fn kill_guardian(&self) {
        let all = guardians(&self.home);
        assert_eq!(all.len(), 1);
        kill(all[0], Signal::SIGKILL).unwrap();
    }

    /// The kernel looks for stopped processes when the daemon dies, so all of its threads must have stopped by then.
    pub(super) fn stop_guardian(&self) {
        let guardian = guardians(&self.home)[0];
        kill(guardian, Signal::SIGSTOP).unwrap();
        let stopped = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('T'))
        };
        wait_until("the guardian has stopped", PATIENT, || {
            fs::read_dir(format!("/proc/{guardian}/task"))
                .unwrap()
                .all(|task| stopped(task.unwrap()))
        });
    }

    pub(super) fn empty_policies(&self) {
        for entry in fs::read_dir(self.home.policies()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    pub(super) fn remount(&self, flags: MsFlags) {
        mounted(&self.home.state(), MsFlags::MS_REMOUNT | flags, OPTIONS);
    }

    pub(super) fn fill_without_reserve(&self) {
        fs::remove_file(self.home.state().join("reserve")).unwrap();
        fill(&self.home.state());
    }

    /// Makes the row's processes believe something, from now on.
    pub(super) fn lie(&self, about: &str, text: &str) {
        let (whole, half) = (self.home.path().join(about), self.home.path().join("half a lie"));
        fs::write(&half, text).unwrap();
        fs::rename(half, whole).unwrap();
    }

    fn tell_no_more(&self, about: &str) {
        // Most rows tell no lie.
        drop(fs::remove_file(self.home.path().join(about)));
    }

    /// Sets the wall clock of the row's processes.
    pub(super) fn set_clock(&self, (year, seconds): (&'static str, i64)) {
        self.year.set(year);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.lie("clock", &(seconds - i64::try_from(now.as_secs()).unwrap()).to_string());
    }
}
