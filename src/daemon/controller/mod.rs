//! Owns the state of every emergency and is the only one in the daemon that changes it, the journal, the audit log and the
//! kernel. Where the daemon is gone, the guardian restores.
//!
//! It runs on a thread of its own and does one thing at a time, so a question is answered from one consistent state. Plans
//! alone are drawn beside it (`drawing`), and one for a cut counts only if nothing was changed meanwhile. The order of a
//! cut is always the same: decide (pure), record and journal (durable), act on the kernel, read back, record what was
//! seen. A crash between any two of these is recovered from by `recovery`, which is the same computation as the first
//! apply. A restore waits for neither record nor journal.
//!
//! The one await is for the next input, of whichever kind comes first; it is cancel-safe, because nothing is half done at
//! that point.

mod alerting;
mod answering;
mod arming;
mod asked;
mod authority;
mod books;
mod damaged;
mod declaring;
mod drawing;
mod drift;
mod ending;
mod keys;
mod offline;
mod orders;
mod proposing;
mod readiness;
mod reading;
mod recovery;
mod reviewing;
mod terms;
#[cfg(test)]
mod tests;
mod views;
mod vigil;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tracing::{info, warn};

use self::alerting::Hooks;
use self::answering::handing_over;
use self::arming::Arming;
use self::asked::Asked;
use self::books::{Books, Room, Watch};
use self::drawing::Drawer;
pub use self::drawing::Open;
use self::keys::Keys;
use self::orders::Orders;
use self::vigil::Vigil;
use super::actor;
use super::clock::Clock;
use super::command::{Call, Command};
use super::executor::{self, StepError};
use super::guardian::Guardian;
use super::policies::Policies;
use super::supervisor::Supervisor;
use crate::api::ReceiptView;
use crate::api::error::{ApiError, Code, chain};
use crate::kernel::{Kernel, KernelError, Kinds};
use crate::model::approval::Proposed;
use crate::model::cut::Cut;
use crate::model::emergency::Emergency;
use crate::model::names::EmergencyId;
use crate::model::plan::Step;
use crate::model::record::{Draft, EventKind};
use crate::model::review::Review;
use crate::model::snapshot::Snapshot;
use crate::store::directory::StateDirectory;
use crate::store::ratchet::Keeping;

pub use self::arming::Arm;

/// Ended emergencies whose receipts stay at hand; older ones are in the audit log.
const PAST_MAX: usize = 64;
/// Emergencies that are not over, and those that are kept beside them: each costs in every journal and every plan.
const OPEN_MAX: usize = 64;
/// While a cut is held, the whole state is compared at least this often: the kernel changes some things silently.
const COMPARE_EVERY: Duration = Duration::from_secs(5);
/// A timer counts CLOCK_MONOTONIC, a deadline CLOCK_BOOTTIME: after a suspend this bounds how late a deadline is seen.
const LATEST_WAKE: Duration = Duration::from_secs(1);
/// While an emergency lasts, the journal is written at least this often: it says how much of its time has passed, should
/// the clock be wrong after a power loss.
const NOTE_EVERY_MS: u64 = 60_000;
/// The audit log is not sealed so shortly before something is to end: the restore comes first.
const NO_SEAL_BEFORE_END: Duration = Duration::from_millis(250);

/// The one who owns the state.
pub struct Controller {
    kernel: Box<dyn Kernel>,
    clock: Box<dyn Clock>,
    books: Books,
    policies: Policies,
    /// Not ended, oldest first.
    emergencies: Vec<Emergency>,
    /// Declarations that wait for other people, oldest first.
    proposals: Vec<Proposed>,
    /// Declarations without the approval that their policies demand, until somebody else has looked at them; oldest first.
    reviews: Vec<Review>,
    /// What the host goes back to; held exactly while any emergency is.
    baseline: Option<Snapshot>,
    /// Ended while others were in force, and took away what those may have taken the rest of; oldest first.
    ended: Vec<Emergency>,
    /// What is known so far for the receipts of those that are not over.
    receipts: BTreeMap<EmergencyId, ReceiptView>,
    /// Ended, newest first.
    past: VecDeque<(Emergency, ReceiptView)>,
    /// Why the baseline on the disk lacks what a cut would take: that is not taken.
    unwritten: Option<String>,
    vigil: Vigil,
    keys: Keys,
    orders: Orders,
    hooks: Hooks,
    guardian: Option<Guardian>,
    /// Counts what was sent to the kernel: a plan of another epoch is of another state.
    epoch: u64,
    /// None before it serves: then plans are drawn on the spot.
    drawer: Option<Drawer>,
    arming: Arming,
    /// What was not back, or not known to be, after a start with a damaged journal.
    left: Vec<String>,
    /// CLOCK_BOOTTIME when the journal was last written, in milliseconds.
    noted_ms: u64,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("emergencies", &self.emergencies)
            .finish_non_exhaustive()
    }
}

/// The daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The start could not be recorded, so nothing else could be either.
    #[error("failed to take up the state directory")]
    Store(#[from] crate::store::StoreError),
    /// The kernel cannot be read.
    #[error("failed to read the kernel's network state")]
    Kernel(#[from] KernelError),
}

impl Controller {
    /// Takes up what the journal holds and brings the kernel to where it should be.
    ///
    /// # Errors
    /// If the state directory or the kernel cannot be read at all.
    pub fn start(
        kernel: Box<dyn Kernel>,
        clock: Box<dyn Clock>,
        directory: StateDirectory,
        keeping: &Keeping,
        policies: Policies,
        guardian: Option<Guardian>,
        arm: Arm,
    ) -> Result<Self, StartError> {
        let mut controller = Self::idle(kernel, clock, directory, keeping, policies, guardian, arm);
        let last = controller.books.last_run();
        controller.note(Draft {
            details: serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "policies": controller.policy_digests() }),
            ..Draft::of_daemon(EventKind::DaemonStarted)
        });
        controller.record_offline_restore();
        controller.take_up_alerts();
        controller.recover(last)?;
        controller.settle_alerts();
        controller.take_up_proposals();
        controller.take_up_reviews();
        controller.keep_armed();
        Ok(controller)
    }

    /// With its books open, and nothing read from them yet.
    fn idle(
        kernel: Box<dyn Kernel>,
        clock: Box<dyn Clock>,
        directory: StateDirectory,
        keeping: &Keeping,
        policies: Policies,
        guardian: Option<Guardian>,
        arm: Arm,
    ) -> Self {
        let books = Books::open(directory, keeping, &*clock);
        Self {
            kernel,
            clock,
            books,
            policies,
            emergencies: Vec::new(),
            proposals: Vec::new(),
            reviews: Vec::new(),
            baseline: None,
            ended: Vec::new(),
            receipts: BTreeMap::new(),
            past: VecDeque::new(),
            unwritten: None,
            vigil: Vigil::default(),
            keys: Keys::default(),
            orders: Orders::default(),
            hooks: Hooks::default(),
            guardian,
            epoch: 0,
            drawer: None,
            arming: Arming::new(arm),
            left: Vec::new(),
            noted_ms: 0,
        }
    }

    /// Serves until told to stop. A cut in force stays in force: its journal is taken up at the next start.
    pub async fn serve(
        mut self,
        mut calls: mpsc::Receiver<Call>,
        bell: Arc<Notify>,
        mut stop: watch::Receiver<bool>,
        mut supervisor: Supervisor,
        open: Open,
    ) {
        let (drawer, mut drawn) = match Drawer::start(open) {
            Ok((drawer, drawn)) => (Some(drawer), drawn),
            Err(error) => {
                warn!(%error, "no thread to draw plans on: a long one may keep a deadline waiting");
                (None, tokio::sync::mpsc::unbounded_channel().1)
            }
        };
        self.drawer = drawer;
        let mut compared = tokio::time::Instant::now();
        loop {
            supervisor.alive(|| self.standing());
            let wait = self.next_wake().min(supervisor.longest_silence());
            // By turns, so that neither events without end keep an operator waiting nor requests without end a drift.
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = bell.notified() => { self.compare(); compared = tokio::time::Instant::now(); }
                call = calls.recv() => match call {
                    Some(call) => self.answer(call),
                    None => break,
                },
                drawn = drawn.recv(), if self.drawer.is_some() => self.take_drawn(drawn),
                () = tokio::time::sleep(wait) => {}
            }
            if compared.elapsed() >= COMPARE_EVERY {
                self.compare();
                compared = tokio::time::Instant::now();
            }
            self.expire();
            self.expire_proposals();
            if self.vigil.wait().is_some() {
                self.look_at_lifelines();
            }
            self.keep_guarded();
            self.catch_up();
            self.keep_armed();
            if self.next_wake() > NO_SEAL_BEFORE_END {
                let watch = if self.held().next().is_some() {
                    Watch::Held
                } else {
                    Watch::Idle
                };
                self.books.seal_if_due(&self.clock.now(), watch);
            }
        }
        self.wind_up();
        self.books.seal(&self.clock.now());
    }

    /// The last that a process does. What could not be written until now is tried once more: the next one believes the
    /// journal.
    fn wind_up(&mut self) {
        info!(held = self.held().count(), "stopping");
        self.disarm_at_stop();
        self.catch_up();
        self.note(Draft {
            details: serde_json::json!({ "held": self.held().count() }),
            ..Draft::of_daemon(EventKind::DaemonStopped)
        });
    }

    /// Sees to it that the guardian is there, where there is to be one.
    fn guard(&mut self) -> std::io::Result<()> {
        self.guardian.as_mut().map_or(Ok(()), Guardian::ensure)
    }

    /// While a cut is held, a guardian that was killed is replaced.
    fn keep_guarded(&mut self) {
        if self.held().next().is_some()
            && let Err(error) = self.guard()
        {
            warn!(%error, "the guardian is gone and cannot be started: only this process ends the cut");
        }
    }

    /// Writes the journal again if it is time to, or if the last time failed: it must not say for longer than the disk is
    /// broken that a cut is held which has ended or was refused, because a restart would believe it. And records what waits
    /// for room.
    fn catch_up(&mut self) {
        let is_told = self.books.is_behind();
        let is_due = self.now().boottime_ms.saturating_sub(self.noted_ms) >= NOTE_EVERY_MS;
        if (is_told || (is_due && !self.emergencies.is_empty()))
            && let Err(error) = self.save(Room::Free)
            && !is_told
        {
            warn!(error = chain(&error), "the journal cannot be written, going on");
        }
        if self.books.is_behind()
            && self.emergencies.is_empty()
            && let Some(guardian) = &mut self.guardian
            && let Err(error) = guardian.dismiss()
        {
            warn!(%error, "the guardian cannot be told that nothing is held");
        }
        self.books.catch_up(&self.clock.now(), self.watched());
    }

    /// What the books go by: a stuck emergency still has an end to be written down.
    fn watched(&self) -> Watch {
        if self.emergencies.is_empty() {
            Watch::Idle
        } else {
            Watch::Held
        }
    }

    fn next_wake(&self) -> Duration {
        let now = self.clock.now();
        let ends = self
            .held()
            .flat_map(|e| std::iter::once(&e.deadline).chain(&e.confirm_by))
            .chain(self.proposals.iter().map(|proposed| &proposed.expires));
        ends.map(|end| Duration::from_millis(end.remaining_ms(&now)))
            .min()
            .unwrap_or(COMPARE_EVERY)
            .min(if self.emergencies.is_empty() {
                COMPARE_EVERY
            } else {
                self.vigil.wait().unwrap_or(LATEST_WAKE)
            })
    }

    /// An answer that nobody waits for any more is dropped: the caller hung up, and what was done stands in the log.
    fn answer(&mut self, call: Call) {
        let asker = actor::of(&call.peer);
        let gone = match call.command {
            Command::Plan(request, reply) => return self.ask_for_plan(asker, request, reply),
            Command::Declare(request, pre, reply) => {
                let done = handing_over(asker.clone(), reply);
                return self.ask_for_cut(Asked::by(asker, request, pre), done);
            }
            Command::Approve(id, plan, reply) => {
                let done = handing_over(asker.clone(), reply);
                return self.ask_for_approval(asker, id, plan, done);
            }
            Command::Order(signed, reply) => return self.ask_by_order(&asker, &signed, reply),
            Command::Alert(request, reply) => return self.ask_by_alert(asker, &request, reply),
            Command::NewOrder(new, reply) => reply.send(self.draw_up(&asker, new)).is_err(),
            Command::Reject(id, reason, reply) => reply
                .send(self.recorded(&asker, |c| c.reject(&asker, &id, &reason)))
                .is_err(),
            Command::Reviews(reply) => reply.send(Ok(self.review_list())).is_err(),
            Command::CloseReview(id, finding, reply) => reply
                .send(self.recorded(&asker, |c| c.close_review(&asker, &id, &finding)))
                .is_err(),
            Command::Readiness(reply) => return self.ask_for_readiness(asker, reply),
            Command::Status(reply) => reply.send(self.status()).is_err(),
            Command::Snapshot(reply) => reply.send(self.read(Kinds::ALL).map(|s| s.to_string())).is_err(),
            Command::Policies(reply) => reply.send(Ok(self.policy_list())).is_err(),
            Command::Policy(name, reply) => reply.send(self.policy_view(&name)).is_err(),
            Command::Emergencies(reply) => reply.send(Ok(self.emergency_list())).is_err(),
            Command::Emergency(id, reply) => reply.send(self.emergency_view(&id)).is_err(),
            Command::Receipt(id, reply) => reply.send(self.receipt_view(&id)).is_err(),
            Command::Confirm(id, reply) => reply.send(self.recorded(&asker, |c| c.confirm(&asker, &id))).is_err(),
            Command::Extend(id, by_ms, pre, reply) => reply
                .send(self.recorded(&asker, |c| c.extend(&asker, &id, by_ms, &pre)))
                .is_err(),
            Command::Revert(id, how, reply) => reply
                .send(self.recorded(&asker, |c| c.revert(&asker, &id, how)))
                .is_err(),
            Command::Audit(query, reply) => reply.send(self.books.page(&query)).is_err(),
            Command::AuditHead(reply) => reply.send(Ok(self.books.head())).is_err(),
            Command::Refused(error) => {
                self.note_refusal(&asker, &error);
                false
            }
        };
        if gone {
            info!(uid = call.peer.uid, "the caller hung up before the answer");
        }
    }

    /// Records what must not be held up by its record.
    fn note(&mut self, draft: Draft) {
        self.note_with(draft, Room::Free);
    }

    fn note_with(&mut self, draft: Draft, room: Room) {
        let event = draft.event;
        if let Err(error) = self.books.note(draft, &self.clock.now(), room) {
            warn!(%event, %error, "not recorded yet, going on");
        }
    }

    /// Carries steps out up to the first that fails.
    fn run(&mut self, steps: &[Step]) -> Result<(), StepError> {
        self.epoch += 1;
        executor::run(&mut *self.kernel, steps)
    }

    /// Carries steps out, all of them.
    fn run_whatever_fails(&mut self, steps: &[Step]) -> Vec<StepError> {
        self.epoch += 1;
        executor::run_all(&mut *self.kernel, steps)
    }

    fn read(&mut self, kinds: Kinds) -> Result<Snapshot, ApiError> {
        self.kernel.snapshot(kinds).map_err(|error| {
            ApiError::new(
                Code::KernelRefused,
                format!("failed to read the kernel's network state: {error}"),
                "ask again; if it stays so, see the daemon's log",
            )
        })
    }

    /// The emergencies whose cuts are to stand in the kernel.
    fn held(&self) -> impl Iterator<Item = &Emergency> {
        self.emergencies.iter().filter(|e| e.state.is_held())
    }

    fn held_cuts(&self) -> Vec<Cut> {
        self.held().map(|e| e.cut.clone()).collect()
    }

    /// The cuts that are not over.
    fn open_cuts(&self) -> Vec<Cut> {
        self.emergencies.iter().map(|e| e.cut.clone()).collect()
    }

    /// The cuts that ended while others were held, and took what those may have taken the rest of.
    fn ended_cuts(&self) -> Vec<Cut> {
        self.ended.iter().map(|e| e.cut.clone()).collect()
    }

    /// Makes the journal durable. Those that have ended stay in it while the baseline is held.
    fn save(&mut self, room: Room) -> Result<(), crate::store::StoreError> {
        let now = self.now();
        self.noted_ms = now.boottime_ms;
        if self.emergencies.is_empty() {
            return self.books.save(&[], room);
        }
        self.emergencies.iter_mut().for_each(|e| e.note(&now));
        let all: Vec<Emergency> = self.ended.iter().chain(&self.emergencies).cloned().collect();
        self.books.save(&all, room)
    }

    fn find(&self, id: &str) -> Result<usize, ApiError> {
        let unknown = || {
            ApiError::new(
                Code::NoSuchEmergency,
                format!("no emergency {id:?} is known"),
                "`portcullis status` lists what is in force",
            )
        };
        let id: EmergencyId = id.parse().map_err(|_| unknown())?;
        if self.proposals.iter().any(|proposed| proposed.id == id) {
            return Err(ApiError::new(
                Code::WrongState,
                format!("the emergency {id} is only proposed: nothing is cut"),
                "`portcullis approve` makes it begin, `portcullis reject` ends it",
            ));
        }
        let found = self.emergencies.iter().position(|e| e.id == id);
        found.ok_or_else(|| self.over(id).unwrap_or_else(unknown))
    }
}
