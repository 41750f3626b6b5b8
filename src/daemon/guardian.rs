//! The guardian: a second process that ends a cut when the daemon cannot.
//!
//! It is started before the first change to the kernel, holds nothing but the right to change the network and the path
//! of the state directory, and needs no file of the program any more once it runs. It looks at two things: the lock of
//! the state directory, which the kernel gives back when a process dies in whatever way, and the deadlines in the journal.
//!
//! | it sees | it does |
//! |---|---|
//! | lock held, no deadline passed | nothing |
//! | lock held, a deadline passed a second ago | kills the holder, which is stopped or stuck, and goes on as below |
//! | lock free, emergencies in the journal | takes the lock and goes on as a daemon without a socket until all have ended |
//! | no emergency in the journal, or no directory | ends |
//!
//! A daemon that has ended everything, and cannot write it down, ends its guardian, which would otherwise believe the
//! journal.
//!
//! The lock makes it exactly once: whoever restores has it. A new daemon that finds the guardian at work asks it to stand
//! back ([`relieve`]) and takes up the journal, as after any other end; the guardian goes back to watching.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::clock::{Clock as _, SystemClock};
use super::command::{Command, Peer};
use super::policies::Policies;
use super::service::{Post, Service};
use crate::api::EmergencyState;
use crate::store::StoreError;
use crate::store::directory::{Holder, NamedLock, StateDirectory};
use crate::store::journal;
use crate::store::ratchet::Keeping;

/// The name of the lock that makes the guardian the only one.
const LOCK: &str = "guardian.lock";
/// The flag that makes a daemon's binary a guardian.
pub const FLAG: &str = "--guardian";
/// Between two looks. A cut ends by its deadline and two seconds, so this and [`LATE_MS`] must stay well below.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How late a daemon may be before it counts as stopped or stuck, in milliseconds.
const LATE_MS: u64 = 1_000;
/// How long a guardian may take to be there.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// How long a guardian may take to stand back: one restore at most is under way.
const RELIEF_PATIENCE: Duration = Duration::from_secs(15);
/// How long another process may have the lock before it counts as a daemon that stays.
const PASSING: Duration = Duration::from_secs(1);
/// How long the lock may be held by nobody that `/proc/locks` can name: a process that is dying, and may have to wait for
/// the kernel's own locks to do so.
const DYING: Duration = Duration::from_secs(6);
/// How often a new guardian tries to take its lock, and the pause between: far more than a passing look takes.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// How long a guardian that stood back leaves a free lock to the newcomer, who looks at it every few milliseconds. A newcomer
/// that died first must not make a cut late.
const STAND_BACK: Duration = Duration::from_secs(1);

/// The daemon's hold on its guardian.
#[derive(Debug)]
pub struct Guardian {
    state: PathBuf,
    audit_key: Option<PathBuf>,
    child: Option<Child>,
}

impl Guardian {
    /// A guardian for this state directory, not started yet.
    #[must_use]
    pub fn new(state: &Path, keeping: &Keeping) -> Self {
        let audit_key = match keeping {
            Keeping::File(path) => Some(path.clone()),
            Keeping::Memory => None,
        };
        Self {
            state: state.to_owned(),
            audit_key,
            child: None,
        }
    }

    /// Starts it unless one is there already, and waits until it is.
    ///
    /// # Errors
    /// If it cannot be started, or is not there in time.
    pub fn ensure(&mut self) -> io::Result<()> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_some()
        {
            self.child = None;
        }
        if self.is_there()? {
            return Ok(());
        }
        // /proc/self/exe goes on working when the file was replaced or removed.
        let mut command = std::process::Command::new("/proc/self/exe");
        command.arg(FLAG).arg("--state").arg(&self.state);
        if let Some(path) = &self.audit_key {
            command.arg("--audit-key").arg(path);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own process group: Ctrl-C in the daemon's terminal is not for it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        self.child = Some(command.current_dir("/").spawn()?);
        let until = Instant::now() + START_PATIENCE;
        while !self.is_there()? {
            if Instant::now() > until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the guardian did not begin to watch",
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Ends it where nothing is held any more and the journal cannot be told so: it would take this process for late.
    ///
    /// # Errors
    /// If its lock cannot be looked at, or the process that was started here cannot be waited for.
    pub fn dismiss(&mut self) -> io::Result<()> {
        let lock = match std::fs::File::open(self.state.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            lock => lock?,
        };
        let holder = Holder::of(&lock).filter(|holder| is_guardian(holder.pid));
        let Some(Holder { pid, .. }) = holder else {
            return Ok(());
        };
        send(pid, Signal::SIGKILL);
        match self.child.take() {
            Some(mut child) if i32::try_from(child.id()).is_ok_and(|id| id == pid) => child.wait().map(drop),
            other => {
                self.child = other;
                Ok(())
            }
        }
    }

    fn is_there(&self) -> io::Result<bool> {
        StateDirectory::lock_named(&self.state, LOCK)
            .map(|lock| lock.is_none())
            .map_err(io::Error::other)
    }
}

/// Takes the state directory, from a guardian if one is at work in it.
///
/// # Errors
/// If somebody else has it, or the guardian does not stand back.
pub fn relieve(state: &Path) -> Result<StateDirectory, StoreError> {
    let begun = Instant::now();
    loop {
        let (error, patience) = match StateDirectory::open(state) {
            Err(StoreError::InUse { path, holder }) => {
                let guardian = holder.as_ref().map(|h| h.pid).filter(|pid| is_guardian(*pid));
                if let Some(pid) = guardian {
                    send(pid, Signal::SIGTERM);
                }
                let patience = match (&holder, guardian) {
                    (_, Some(_)) => RELIEF_PATIENCE,
                    (Some(_), None) => PASSING,
                    (None, None) => DYING,
                };
                (StoreError::InUse { path, holder }, patience)
            }
            other => return other,
        };
        if begun.elapsed() > patience {
            return Err(error);
        }
        std::thread::sleep(LOOK_EVERY / 4);
    }
}

fn is_guardian(pid: i32) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|b| *b == 0).any(|word| word == FLAG.as_bytes())
}

/// A process that is gone already needs no signal; the next look sees the lock.
fn send(pid: i32, what: Signal) {
    if let Err(error) = kill(Pid::from_raw(pid), what) {
        tracing::warn!(pid, %error, "the signal was not delivered, looking again");
    }
}

/// The guardian's own process: watches until nothing is held any more.
#[must_use]
pub fn watch(state: &Path, keeping: &Keeping) -> ExitCode {
    match take_lock(state) {
        // Another guardian is there, or nothing to guard.
        Ok(None) | Err(_) => return ExitCode::SUCCESS,
        Ok(Some(lock)) => match look_until_over(state, keeping) {
            Ok(()) => drop(lock),
            Err(_) => return ExitCode::FAILURE,
        },
    }
    ExitCode::SUCCESS
}

/// The lock that makes this guardian the only one. Whoever asks whether one is there has it for an instant itself, so a
/// lock that is taken is looked at again before it counts as another guardian's.
fn take_lock(state: &Path) -> Result<Option<NamedLock>, StoreError> {
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = StateDirectory::lock_named(state, LOCK)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Ok(None)
}

fn look_until_over(state: &Path, keeping: &Keeping) -> io::Result<()> {
    let clock = SystemClock::new()?;
    let told = told_to_stand_back()?;
    // The daemon starts its guardian before it writes the journal.
    let mut empty_since = Instant::now();
    loop {
        std::thread::sleep(LOOK_EVERY);
        let held = match journal::glance(state) {
            Ok(Some(journal)) => journal.emergencies,
            Ok(None) if empty_since.elapsed() > START_PATIENCE => return Ok(()),
            Ok(None) => continue,
            Err(_) if !state.exists() => return Ok(()),
            // A damaged journal is no reason to go: whoever takes it up removes what carries our marks.
            Err(_) => Vec::new(),
        };
        empty_since = Instant::now();
        let now = clock.now();
        match StateDirectory::open(state) {
            // A kernel that could not be read now may be readable at the next look; nobody else is there to try.
            Ok(directory) => match take_over(directory, state, keeping, &told) {
                Ok(()) => {}
                Err(_) => std::thread::sleep(LOOK_EVERY),
            },
            Err(StoreError::InUse {
                holder: Some(holder), ..
            }) if held.iter().any(|e| e.is_overdue(&now, LATE_MS)) => {
                send(holder.pid, Signal::SIGKILL);
            }
            // Held and in time, or not to be had: look again.
            Err(_) => {}
        }
    }
}

/// Goes on as the daemon until nothing is held, or until a new daemon asks for the directory.
fn take_over(directory: StateDirectory, state: &Path, keeping: &Keeping, told: &AtomicBool) -> io::Result<()> {
    told.store(false, Ordering::Relaxed);
    let post = Post {
        keeping: keeping.clone(),
        ..Post::alone()
    };
    let service = Service::take_up(directory, Policies::default(), post).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let own = Peer::own();
    let holds = || {
        let answer = runtime.block_on(service.handle().ask(own.clone(), Command::Emergencies));
        answer.is_ok_and(|all| all.iter().any(|e| e.state != EmergencyState::Proposed))
    };
    while holds() && !told.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY / 4);
    }
    service.stop();
    if told.load(Ordering::Relaxed) {
        stand_back(state);
    }
    Ok(())
}

/// Until the newcomer has the lock, and no longer: whether it keeps it is for the next look.
fn stand_back(state: &Path) {
    let begun = Instant::now();
    while begun.elapsed() < STAND_BACK && StateDirectory::open(state).is_ok() {
        std::thread::sleep(LOOK_EVERY / 4);
    }
}

/// SIGTERM means: stand back. A thread with a runtime of its own takes it, for as long as the process lives.
fn told_to_stand_back() -> io::Result<Arc<AtomicBool>> {
    let told = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&told);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut terminate = {
        let _inside = runtime.enter();
        // A guardian that is stopped when its daemon dies is told by the kernel to hang up and to go on (setpgid(2), orphaned
        // process groups). The first alone would end it.
        drop(signal(SignalKind::hangup())?);
        signal(SignalKind::terminate())?
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            while terminate.recv().await.is_some() {
                seen.store(true, Ordering::Relaxed);
            }
        });
    })?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guardian_takes_its_lock_though_somebody_looks_at_it_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        drop(StateDirectory::open(&state).unwrap());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(StateDirectory::lock_named(&state, LOCK).unwrap());
                }
            });
            let taken = (0..20).all(|_| take_lock(&state).unwrap().is_some());
            stop.store(true, Ordering::Relaxed);
            assert!(taken);
        });
        let _other = take_lock(&state).unwrap().unwrap();
        assert!(take_lock(&state).unwrap().is_none());
    }

    #[test]
    fn a_lock_that_somebody_has_in_passing_keeps_no_daemon_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let passing = StateDirectory::open(&state).unwrap();
        let leaves = std::thread::spawn(move || {
            std::thread::sleep(PASSING / 5);
            drop(passing);
        });
        assert!(relieve(&state).is_ok());
        leaves.join().unwrap();
    }

    #[test]
    fn a_directory_that_stays_in_use_is_refused_soon() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let _held = StateDirectory::open(&state).unwrap();
        let begun = Instant::now();
        assert!(matches!(relieve(&state), Err(StoreError::InUse { .. })));
        assert!(begun.elapsed() < RELIEF_PATIENCE / 2);
    }
}
