//! A kernel in memory: [`effect::apply`] behind the trait, with scripted faults.
//!
//! It fails wherever the real one can: a change is refused, the socket dies in the middle of a send, somebody else
//! changes things between two sends, events are lost, a dump fails. Handles are cheap copies of one kernel, so that a
//! test keeps one to look inside and to act as a third party while the program holds another.
//!
//! Duplicate address detection ends between two readings: the first snapshot after an address came shows it tentative,
//! the next one shows it usable.

mod message;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ChangeError, Kernel, KernelError, Kinds, Seen, Watch};
use crate::model::change::{Change, Outcome};
use crate::model::effect;
use crate::model::lookup::{Query, Way};
use crate::model::snapshot::Snapshot;
use crate::model::text::LinkNames;

/// A handle on a kernel in memory. Clones are handles on the same one.
#[derive(Clone, Debug, Default)]
pub struct ModelKernel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    world: Mutex<World>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct World {
    state: Snapshot,
    faults: VecDeque<Fault>,
    /// How many changes were asked for through the trait.
    asked: usize,
    /// How many sends came through the trait.
    sends: usize,
    /// How many snapshots were read through the trait.
    reads: usize,
    /// Every change that changed something, whoever made it.
    history: Vec<(Actor, Change)>,
    /// Grows with every change that a watch reports.
    generation: u64,
    /// Grows with every loss of events.
    losses: u64,
    /// Whether events go unreported.
    deaf: bool,
}

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The program under test, through the trait.
    Us,
    /// A third party, through the handle or a script.
    Others,
}

/// What goes wrong, and when. Counts are from the kernel's creation and begin with 0; every fault happens once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This change is refused, and has no effect.
    Refuse {
        /// Which change.
        change: usize,
        /// The positive errno.
        errno: i32,
    },
    /// The socket dies when this change has been carried out: the send ends in an error of the transport.
    Die {
        /// Which change.
        change: usize,
        /// What becomes of the changes behind it in the same send.
        rest: Rest,
    },
    /// Somebody else acts just before this send.
    Intrude {
        /// Which send.
        send: usize,
        /// What they do; what the kernel refuses is left out.
        changes: Vec<Change>,
    },
    /// This reading fails.
    Unreadable {
        /// Which snapshot.
        read: usize,
    },
}

/// What becomes of the rest of a send when the sender dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The kernel has the whole datagram and carries it out, as Linux does.
    Executed,
    /// The sender died before the rest was handed over.
    Lost,
}

impl ModelKernel {
    /// A kernel in this state.
    #[must_use]
    pub fn new(state: Snapshot) -> Self {
        let kernel = Self::default();
        kernel.world().state = state;
        kernel
    }

    /// What it holds now. Looking changes nothing.
    #[must_use]
    pub fn state(&self) -> Snapshot {
        self.world().state.clone()
    }

    /// Looks at what it holds now without a copy of it.
    pub fn look<T>(&self, at: impl FnOnce(&Snapshot) -> T) -> T {
        at(&self.world().state)
    }

    /// Acts as a third party; watches see it.
    ///
    /// # Errors
    /// Each with the positive errno of the kernel.
    pub fn act(&self, changes: &[Change]) -> Vec<Result<Outcome, i32>> {
        let mut world = self.world();
        let answers = changes.iter().map(|c| world.carry_out(Actor::Others, c)).collect();
        self.0.changed.notify_all();
        answers
    }

    /// Adds a fault to those to come.
    pub fn script(&self, fault: Fault) {
        self.world().faults.push_back(fault);
    }

    /// Faults that have not happened yet.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.world().faults.len()
    }

    /// How many changes the program has asked for.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.world().asked
    }

    /// How many sends the program has made.
    #[must_use]
    pub fn sends(&self) -> usize {
        self.world().sends
    }

    /// Every change that changed something so far, with who made it.
    #[must_use]
    pub fn history(&self) -> Vec<(Actor, Change)> {
        self.world().history.clone()
    }

    /// Loses events, as a full receive buffer does: every watch sees an overrun.
    pub fn lose_events(&self) {
        self.world().losses += 1;
        self.0.changed.notify_all();
    }

    /// From now on nothing is reported to watches, as with the changes about which Linux is silent.
    pub fn fall_silent(&self) {
        self.world().deaf = true;
    }

    /// Ends duplicate address detection at once.
    pub fn settle(&self) {
        effect::settle(&mut self.world().state);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn carry_out(&mut self, actor: Actor, change: &Change) -> Result<Outcome, i32> {
        let outcome = effect::apply(&mut self.state, change)?;
        if outcome == Outcome::Applied {
            self.history.push((actor, change.clone()));
            if !self.deaf {
                self.generation += 1;
            }
        }
        Ok(outcome)
    }

    /// Takes the first fault that is due.
    fn due(&mut self, is_due: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let at = self.faults.iter().position(is_due)?;
        self.faults.remove(at)
    }

    fn intrusions(&mut self) {
        let send = self.sends;
        while let Some(Fault::Intrude { changes, .. }) =
            self.due(|f| matches!(f, Fault::Intrude { send: at, .. } if *at == send))
        {
            for change in &changes {
                if self.carry_out(Actor::Others, change).is_err() {
                    continue;
                }
            }
        }
    }

    fn answer(&mut self, change: &Change) -> Result<Outcome, ChangeError> {
        let number = self.asked;
        let refusal = self.due(|f| matches!(f, Fault::Refuse { change: at, .. } if *at == number));
        let answer = match refusal {
            Some(Fault::Refuse { errno, .. }) => Err(errno),
            _ => self.carry_out(Actor::Us, change),
        };
        self.asked += 1;
        answer.map_err(|errno| ChangeError {
            attempted: LinkNames::of(&self.state).change(change).to_string(),
            errno,
            message: message::of(change, errno).map(str::to_owned),
        })
    }

    /// Whether the socket dies with the change that was asked for last.
    fn death(&mut self) -> Option<Rest> {
        let number = self.asked.checked_sub(1)?;
        match self.due(|f| matches!(f, Fault::Die { change: at, .. } if *at == number)) {
            Some(Fault::Die { rest, .. }) => Some(rest),
            _ => None,
        }
    }

    fn send(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        self.intrusions();
        self.sends += 1;
        let mut answers = Vec::with_capacity(changes.len());
        let mut dead = false;
        for change in changes {
            answers.push(self.answer(change));
            match self.death() {
                Some(Rest::Lost) => return Err(died()),
                Some(Rest::Executed) => dead = true,
                None => {}
            }
        }
        if dead { Err(died()) } else { Ok(answers) }
    }
}

fn died() -> KernelError {
    KernelError::Scripted("the socket died in the middle of a send")
}

impl Kernel for ModelKernel {
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError> {
        let mut world = self.world();
        let read = world.reads;
        world.reads += 1;
        if world
            .due(|f| matches!(f, Fault::Unreadable { read: at } if *at == read))
            .is_some()
        {
            return Err(KernelError::Scripted("a dump failed"));
        }
        let seen = only(&world.state, kinds);
        effect::settle(&mut world.state);
        Ok(seen)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        let answers = self.world().send(changes);
        self.0.changed.notify_all();
        answers
    }

    fn way(&mut self, query: &Query) -> Result<Way, KernelError> {
        Ok(effect::way(&self.world().state, query))
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError> {
        let world = self.world();
        let watch = ModelWatch {
            kernel: self.clone(),
            generation: world.generation,
            losses: world.losses,
        };
        Ok(Box::new(watch))
    }
}

/// The kinds that were asked for; the others are empty.
fn only(state: &Snapshot, kinds: Kinds) -> Snapshot {
    fn of<T: Clone>(wanted: bool, list: &[T]) -> Vec<T> {
        if wanted { list.to_vec() } else { Vec::new() }
    }
    Snapshot {
        links: of(kinds.links, &state.links),
        addresses: of(kinds.addresses, &state.addresses),
        nexthops: of(kinds.nexthops, &state.nexthops),
        routes: of(kinds.routes, &state.routes),
        rules: of(kinds.rules, &state.rules),
        neighbours: of(kinds.neighbours, &state.neighbours),
        qdiscs: of(kinds.traffic_control, &state.qdiscs),
        filters: of(kinds.traffic_control, &state.filters),
        sysctls: of(kinds.sysctls, &state.sysctls),
        moving: state.moving,
    }
}

/// Reports what changed since it was last asked.
#[derive(Debug)]
struct ModelWatch {
    kernel: ModelKernel,
    generation: u64,
    losses: u64,
}

impl Watch for ModelWatch {
    fn wait(&mut self, timeout: Duration) -> Result<Seen, KernelError> {
        let until = Instant::now() + timeout;
        let shared = Arc::clone(&self.kernel.0);
        let mut world = self.kernel.world();
        loop {
            let (generation, losses) = (world.generation, world.losses);
            let seen = if losses > self.losses {
                Seen::Overrun
            } else if generation > self.generation {
                Seen::Changed
            } else {
                Seen::Nothing
            };
            let left = until.saturating_duration_since(Instant::now());
            if seen != Seen::Nothing || left.is_zero() {
                (self.generation, self.losses) = (generation, losses);
                return Ok(seen);
            }
            let waited = shared.changed.wait_timeout(world, left);
            world = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
