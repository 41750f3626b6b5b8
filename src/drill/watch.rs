//! Watches a lifeline while everything else happens: one question after the other, at most 200 a second, and how many went
//! without an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::DrillError;
use super::namespace::Namespace;
use super::probe::Origin;
use super::scene::{self, Probe};

/// At most 200 a second: the next one waits for the answer to this.
const EVERY: Duration = Duration::from_millis(5);
/// Just under the second after which TCP sends a lost SYN again (RFC 6298): later answers are those of a probe that was
/// dropped, sooner ones at worst those of a busy machine.
const LOST_AFTER: Duration = Duration::from_millis(950);

/// A lifeline under watch.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) what: String,
    /// Its place in the cut.
    pub(super) lifeline: Option<usize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Tally, DrillError>>,
}

/// What a watch counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sent: u64,
    /// When each lost probe was sent.
    pub(super) lost: Vec<Instant>,
}

impl Watcher {
    /// Begins to ask `probe` from its namespace.
    pub(super) fn start(space: &Namespace, probe: &Probe) -> Result<Self, DrillError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, space, asked) = (Arc::clone(&stop), space.try_clone()?, probe.clone());
        let thread = std::thread::Builder::new()
            .name("lifeline".to_owned())
            .spawn(move || ask_until(&seen, &space, &asked))
            .map_err(DrillError::Thread)?;
        Ok(Self {
            what: probe.what.clone(),
            lifeline: probe.lifeline,
            stop,
            thread,
        })
    }

    /// Ends the watch.
    pub(super) fn stop(self) -> Result<(String, Tally), DrillError> {
        self.stop.store(true, Ordering::Relaxed);
        let tally = self
            .thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((self.what, tally))
    }
}

fn ask_until(stop: &AtomicBool, space: &Namespace, probe: &Probe) -> Result<Tally, DrillError> {
    let proof = space.join()?;
    let origin = scene::origin(Origin::any(proof), probe);
    let mut tally = Tally::default();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        tally.sent += 1;
        let sent = Instant::now();
        if !scene::once(probe, &origin, LOST_AFTER)?.passed() {
            tally.lost.push(sent);
        }
        due = (due + EVERY).max(Instant::now());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(tally)
}
