//! One life: a host, the processes that come and go on it, and what is known of the emergencies that they hold.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use super::decisions::Decisions;
use super::door::{self, Door, Seen};
use super::fate::{Fate, Killed};
use super::platter::Platter;
use super::random::Random;
use super::world::{self, Clocks, Kind};
use crate::daemon::clock::Clock as _;
use crate::daemon::controller::books::Watch;
use crate::daemon::controller::{Arm, COMPARE_EVERY, Controller, NO_SEAL_BEFORE_END, NOTE_EVERY_MS};
use crate::daemon::policies::Policies;
use crate::kernel::sim::ModelKernel;
use crate::model::effect;
use crate::model::emergency::{Emergency, State};
use crate::model::record::Head;
use crate::model::snapshot::Snapshot;
use crate::store::directory::StateDirectory;
use crate::store::ratchet::Keeping;

/// How soon a guardian that looks sees that the daemon is gone.
const LOOK_MS: u64 = 100;

/// Who drives the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Post {
    /// With policies and operators.
    Daemon,
    /// The guardian at work: without either.
    Guardian,
}

/// How much a life tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    Events,
    /// Every change that a process makes in the kernel, too.
    Changes,
}

/// What is known of one emergency from outside, in milliseconds of true time since the life began.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) kind: Kind,
    /// It may not end by itself before.
    pub(super) earliest_ms: u64,
    /// It may not be held after.
    pub(super) latest_ms: u64,
    pub(super) confirm_from_ms: Option<u64>,
    pub(super) confirm_until_ms: Option<u64>,
    /// Something has happened after which it may be over.
    pub(super) may_end: bool,
    /// The boot in which it was first seen: in a later one the wall clock has a say.
    pub(super) boot: u64,
    /// It was seen to be over.
    pub(super) is_over: bool,
}

#[derive(Debug)]
pub(super) struct Life {
    pub(super) random: Random,
    /// What has happened, a line each.
    pub(super) trace: Vec<String>,
    folder: tempfile::TempDir,
    pub(super) fate: Arc<Fate>,
    pub(super) platter: Arc<Platter>,
    pub(super) kernel: ModelKernel,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) clocks: Clocks,
    /// What the host comes up with.
    configured: Snapshot,
    /// What the host would hold if nobody had ever cut anything.
    pub(super) shadow: Snapshot,
    process: Option<(Post, Controller)>,
    pub(super) has_guardian: bool,
    /// Since when there has been a process without a break, in true time.
    pub(super) alive_since_ms: u64,
    pub(super) known: BTreeMap<String, Known>,
    /// The policies of this host.
    pub(super) kinds: Vec<Kind>,
    policies: Policies,
    /// What was decided, by people who were told so.
    pub(super) decided: Decisions,
    /// Every head of the log that was acknowledged.
    pub(super) heads: BTreeMap<u64, Head>,
    compared_ms: u64,
    off_ms: u64,
    pub(super) wall_was_set: bool,
    /// By how much the wall clock was set back, all in all.
    pub(super) set_back_ms: u64,
    /// How much more of that a process of this boot may take for time that has not passed.
    believable_ms: u64,
    /// When a process could last write its journal, in true time.
    noted_ms: u64,
    pub(super) kernel_failed: bool,
    pub(super) disk_failed: bool,
    /// A process died before it could write down that a cut had ended: the next one believes the journal.
    pub(super) is_stale: bool,
    /// Whether its processes seal the log, which takes longer than all else.
    seals: bool,
    /// Whether the last turn ended with a look at the kernel.
    pub(super) just_compared: bool,
}

/// A folder in memory, where there is one.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

pub(super) fn keeps_lifeline(emergency: &Emergency) -> bool {
    !emergency.cut.lifelines.is_empty()
}

impl Life {
    pub(super) fn new(seed: u64, tells: Tells) -> Self {
        let mut random = Random::new(seed);
        let configured = world::configured(&mut random);
        let seals = random.chance(20);
        let kinds = Kind::of_a_host(&mut random);
        let folder = memory();
        let fate = Arc::new(Fate::default());
        let mut life = Self {
            random,
            trace: Vec::new(),
            platter: Platter::new(&folder.path().join("state"), &fate),
            folder,
            fate,
            kernel: ModelKernel::new(configured.clone()),
            seen: Arc::default(),
            clocks: Clocks::new(),
            shadow: configured.clone(),
            configured,
            process: None,
            has_guardian: false,
            alive_since_ms: 0,
            known: BTreeMap::new(),
            policies: world::policies(&kinds),
            kinds,
            decided: Decisions::default(),
            heads: BTreeMap::new(),
            compared_ms: 0,
            off_ms: 0,
            wall_was_set: false,
            set_back_ms: 0,
            believable_ms: 0,
            noted_ms: 0,
            kernel_failed: false,
            disk_failed: false,
            is_stale: false,
            seals,
            just_compared: false,
        };
        life.seen().tells_changes = tells == Tells::Changes;
        life.start(Post::Daemon);
        life
    }

    pub(super) fn tell(&mut self, what: impl Into<String>) {
        let folder = self.folder.path().display().to_string();
        let made = std::mem::take(&mut self.seen().made);
        self.trace.extend(made);
        self.trace.push(what.into().replace(&folder, "…"));
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(super) fn state_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// Milliseconds since the life began, those in which the host was off included.
    pub(super) fn true_ms(&self) -> u64 {
        self.clocks.on_ms() + self.off_ms
    }

    pub(super) fn post(&self) -> Option<Post> {
        self.process.as_ref().map(|(post, _)| *post)
    }

    pub(super) fn controller(&self) -> Option<&Controller> {
        self.process.as_ref().map(|(_, controller)| controller)
    }

    /// What the process has not ended; nothing where there is none.
    pub(super) fn emergencies(&self) -> &[Emergency] {
        self.controller().map_or(&[], |c| &c.emergencies)
    }

    /// What is done next may begin an emergency with a lifeline.
    pub(super) fn keeping(&mut self, lifeline: bool) -> &mut Self {
        let there = self.process.is_some();
        self.seen().keeps_lifeline |= lifeline && there;
        self
    }

    /// The boot in which an emergency was declared.
    pub(super) fn boot_of(&self, emergency: &Emergency) -> u64 {
        let now = self.clocks.now().boot_id;
        let is_this = emergency.deadline.set_at.boot_id == now;
        if is_this { self.clocks.boots() } else { 0 }
    }

    /// Has the process do something; none if there is none, or if it is killed by it.
    pub(super) fn run<T>(&mut self, does: impl FnOnce(&mut Controller) -> T) -> Option<T> {
        let (post, mut controller) = self.process.take()?;
        let keeps = self.seen().keeps_lifeline || controller.emergencies.iter().any(keeps_lifeline);
        self.seen().keeps_lifeline = keeps;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let outcome = does(&mut controller);
            (controller, outcome)
        }));
        match outcome {
            Ok((controller, outcome)) => {
                self.process = Some((post, controller));
                self.seen().keeps_lifeline = self.emergencies().iter().any(keeps_lifeline);
                Some(outcome)
            }
            Err(payload) if payload.is::<Killed>() => {
                self.tell(format!("  the {post:?} is killed on the way"));
                self.buried(post);
                None
            }
            Err(payload) => resume_unwind(payload),
        }
    }

    /// The process is no more.
    fn buried(&mut self, post: Post) {
        self.process = None;
        self.fate.forget_kill();
        self.is_stale |= self.fate.is_disk_failing();
        if post == Post::Guardian {
            self.has_guardian = false;
        }
        for known in self.known.values_mut().filter(|k| k.kind.opens_after_crash) {
            known.may_end = true;
        }
    }

    /// Whether nobody is there to go on with a cut or a restore that was begun.
    pub(super) fn is_half_done(&self) -> bool {
        let journal = std::fs::read(self.state_folder().join("journal.json")).unwrap_or_default();
        let left = door::journal_of(&journal).map_or(Vec::new(), |j| j.emergencies);
        let is_begun = |e: &Emergency| matches!(e.state, State::Applying | State::Restoring);
        self.process.is_none() && left.iter().any(is_begun)
    }

    /// The process ends without a word.
    pub(super) fn kill(&mut self) {
        if let Some(post) = self.post() {
            self.buried(post);
        }
    }

    /// The process ends as it was told to, as `serve` does at its end.
    pub(super) fn stop(&mut self) {
        let seals = self.seals;
        self.run(|controller| {
            controller.wind_up();
            if seals {
                controller.books.seal(&controller.clock.now());
            }
        });
        if let Some(post) = self.post() {
            // What could not be recorded counts as a death.
            self.buried(post);
            self.has_guardian |= post == Post::Guardian;
        }
    }

    /// A process begins; a daemon asks a guardian that is at work to stand back.
    pub(super) fn start(&mut self, post: Post) {
        if self.post() == Some(Post::Guardian) {
            self.stop();
        }
        if self.process.is_some() {
            return;
        }
        let door = Door {
            kernel: self.kernel.clone(),
            fate: Arc::clone(&self.fate),
            platter: Arc::clone(&self.platter),
            seen: Arc::clone(&self.seen),
            found: BTreeMap::new(),
        };
        let policies = match post {
            Post::Daemon => self.policies.clone(),
            Post::Guardian => Policies::default(),
        };
        let (state, platter) = (self.state_folder(), Arc::clone(&self.platter));
        let clocks = Box::new(self.clocks.clone());
        let left = std::fs::read(state.join("journal.json")).unwrap_or_default();
        let left = door::journal_of(&left).map_or(Vec::new(), |j| j.emergencies);
        self.seen().keeps_lifeline = left.iter().any(keeps_lifeline);
        self.seen().is_believing = self.fate.is_disk_failing();
        let begun = catch_unwind(AssertUnwindSafe(|| {
            let directory = StateDirectory::open_on(state, platter).unwrap();
            Controller::start(
                Box::new(door),
                clocks,
                directory,
                &Keeping::Memory,
                policies,
                None,
                Arm::Off,
            )
        }));
        match begun {
            Ok(Ok(controller)) => {
                self.process = Some((post, controller));
                self.seen().keeps_lifeline = self.emergencies().iter().any(keeps_lifeline);
                self.alive_since_ms = self.true_ms();
                if !self.fate.is_disk_failing() {
                    self.believable_ms = 0;
                }
                self.compared_ms = self.clocks.on_ms();
                self.has_guardian |= !self.emergencies().is_empty();
            }
            Ok(Err(error)) => self.tell(format!("  the {post:?} does not start: {error}")),
            Err(payload) if payload.is::<Killed>() => {
                self.tell(format!("  the {post:?} is killed while it starts"));
                self.buried(post);
            }
            Err(payload) => resume_unwind(payload),
        }
    }

    /// One round of `serve` after its input.
    pub(super) fn turn(&mut self, compares: bool) {
        let now = self.clocks.on_ms();
        let every = u64::try_from(COMPARE_EVERY.as_millis()).unwrap();
        let compares = compares || now - self.compared_ms >= every;
        if compares {
            self.compared_ms = now;
        }
        let seals = self.seals;
        self.run(|controller| {
            if compares {
                controller.compare();
            }
            controller.expire();
            controller.keep_guarded();
            controller.catch_up();
            if seals && controller.next_wake() > NO_SEAL_BEFORE_END {
                let watch = match controller.held().next() {
                    Some(_) => Watch::Held,
                    None => Watch::Idle,
                };
                controller.books.seal_if_due(&controller.clock.now(), watch);
            }
        });
        self.just_compared = compares;
        if self.process.is_some() && !self.fate.is_disk_failing() {
            self.noted_ms = self.true_ms();
        }
        self.has_guardian |= !self.emergencies().is_empty();
    }

    /// Time passes. The process wakes when it says that it will, and the guardian looks.
    pub(super) fn pass(
        &mut self,
        ms: u64,
        mut each: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut left = ms;
        while left > 0 {
            let wake = match self.controller() {
                Some(controller) => u64::try_from(controller.next_wake().as_millis()).unwrap_or(left),
                None if self.has_guardian => LOOK_MS,
                None => left,
            };
            let step = wake.clamp(1, left);
            self.clocks.pass(step);
            left -= step;
            if self.process.is_none() && self.has_guardian && step == LOOK_MS {
                self.tell("  the guardian takes over");
                self.start(Post::Guardian);
            }
            self.turn(false);
            each(self)?;
        }
        Ok(())
    }

    /// The host sleeps: CLOCK_BOOTTIME goes on, and nobody runs.
    pub(super) fn suspend(&mut self, ms: u64) {
        self.clocks.pass(ms);
        self.alive_since_ms = self.true_ms();
        self.turn(false);
    }

    /// The power is cut, and the host comes up again after a while with what it is configured to have.
    pub(super) fn cut_power(&mut self, off_ms: u64, up_ms: u64) {
        self.kill();
        self.has_guardian = false;
        self.fate.clear();
        self.platter.cut_power(&mut self.random);
        self.platter = Platter::new(&self.state_folder(), &self.fate);
        self.clocks.reboot(off_ms, up_ms);
        self.off_ms += off_ms;
        self.kernel = ModelKernel::new(self.configured.clone());
        self.shadow = self.configured.clone();
        let wall_was_set = self.wall_was_set;
        // A clock that was set back is believed for no longer than nobody wrote down what it was.
        self.believable_ms = self.true_ms() - self.noted_ms + NOTE_EVERY_MS;
        self.believe(self.set_back_ms);
        for known in self.known.values_mut() {
            known.may_end |= wall_was_set || known.kind.opens_after_reboot;
        }
    }

    /// The wall clock is back by so much, and nobody has written down yet in this boot what it was.
    pub(super) fn believe(&mut self, back_ms: u64) {
        let believed = back_ms.min(self.believable_ms);
        self.believable_ms -= believed;
        for known in self.known.values_mut() {
            known.latest_ms += believed;
            known.confirm_until_ms = known.confirm_until_ms.map(|ms| ms + believed);
        }
    }

    /// The kernel's state when it has come to rest.
    pub(super) fn settled(&self) -> Snapshot {
        let mut state = self.kernel.state();
        effect::settle(&mut state);
        state
    }
}
