//! What is in store for a process: the call at which it is killed, and the calls that fail.

use std::io;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard};

use nix::errno::Errno;

/// What unwinds through a process that is killed; no hook and no destructor of ours acts on it.
pub(super) struct Killed;

#[derive(Debug, Default)]
pub(super) struct Fate(Mutex<Lot>);

/// Every number counts calls from now: 1 is the next one. None: it does not happen.
#[derive(Debug, Default)]
struct Lot {
    killed: Option<u64>,
    disk: Option<(u64, Errno)>,
    /// The disk stays broken once it has failed.
    stays: bool,
    broken: Option<Errno>,
    refused: Option<(u64, i32)>,
    died: Option<(u64, Rest)>,
    unreadable: Option<(u64, u64)>,
    /// Whether anything of disk or kernel has failed since it was last asked.
    happened: Happened,
}

/// What has failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Happened {
    pub(super) disk: bool,
    pub(super) kernel: bool,
}

/// What becomes of the changes of a send behind the one with which the socket died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Executed,
    Lost,
}

/// Whether a countdown has come to its end; then it is over.
fn due<T: Copy>(counter: &mut Option<(u64, T)>) -> Option<T> {
    let (left, what) = counter.as_mut()?;
    *left = left.saturating_sub(1);
    let what = (*left == 0).then_some(*what)?;
    *counter = None;
    Some(what)
}

impl Fate {
    fn lot(&self) -> MutexGuard<'_, Lot> {
        self.0.lock().unwrap()
    }

    pub(super) fn kill_at(&self, calls: u64) {
        self.lot().killed = Some(calls);
    }

    pub(super) fn fail_disk_at(&self, calls: u64, errno: Errno, stays: bool) {
        let mut lot = self.lot();
        (lot.disk, lot.stays) = (Some((calls, errno)), stays);
    }

    pub(super) fn refuse_at(&self, changes: u64, errno: i32) {
        self.lot().refused = Some((changes, errno));
    }

    pub(super) fn end_socket_at(&self, changes: u64, rest: Rest) {
        self.lot().died = Some((changes, rest));
    }

    pub(super) fn unreadable_at(&self, reads: u64, times: u64) {
        self.lot().unreadable = Some((reads, times));
    }

    /// The disk works again.
    pub(super) fn heal_disk(&self) {
        let mut lot = self.lot();
        (lot.disk, lot.broken) = (None, None);
    }

    /// Whether calls to the disk fail for good, or one failed since that was last asked.
    pub(super) fn is_disk_failing(&self) -> bool {
        let lot = self.lot();
        lot.broken.is_some() || lot.happened.disk
    }

    /// A process begins or is gone: nothing waits for it any more but the disk.
    pub(super) fn forget_kill(&self) {
        self.lot().killed = None;
    }

    /// Nothing is in store any more.
    pub(super) fn clear(&self) {
        let happened = self.lot().happened;
        *self.lot() = Lot {
            happened,
            ..Lot::default()
        };
    }

    pub(super) fn happened(&self) -> Happened {
        std::mem::take(&mut self.lot().happened)
    }

    /// A point at which the process may be killed.
    pub(super) fn turn(&self) {
        if self.is_last_turn() {
            resume_unwind(Box::new(Killed));
        }
    }

    /// The same for a caller that leaves something half done first.
    pub(super) fn is_last_turn(&self) -> bool {
        let mut lot = self.lot();
        let Some(left) = lot.killed else { return false };
        lot.killed = Some(left.saturating_sub(1)).filter(|left| *left > 0);
        lot.killed.is_none()
    }

    /// Whether a call to the disk works.
    pub(super) fn disk(&self) -> io::Result<()> {
        let mut lot = self.lot();
        if let Some(errno) = due(&mut lot.disk) {
            lot.happened.disk = true;
            lot.broken = lot.stays.then_some(errno);
            return Err(errno.into());
        }
        match lot.broken {
            Some(errno) => Err(errno.into()),
            None => Ok(()),
        }
    }

    /// Whether the kernel refuses the next change, and with what.
    pub(super) fn refusal(&self) -> Option<i32> {
        let mut lot = self.lot();
        let refusal = due(&mut lot.refused);
        lot.happened.kernel |= refusal.is_some();
        refusal
    }

    /// Whether the socket dies with the change that was just made.
    pub(super) fn socket_ends(&self) -> Option<Rest> {
        let mut lot = self.lot();
        let rest = due(&mut lot.died);
        lot.happened.kernel |= rest.is_some();
        rest
    }

    /// Whether this reading fails.
    pub(super) fn read_fails(&self) -> bool {
        let mut lot = self.lot();
        let Some(times) = due(&mut lot.unreadable) else {
            return false;
        };
        lot.unreadable = (times > 1).then_some((1, times - 1));
        lot.happened.kernel = true;
        true
    }
}
