//! Plans are drawn on a thread of their own: names are resolved, the whole kernel is read, and a second opinion walks
//! through every state, which on a large host takes longer than a deadline may wait.
//!
//! What is drawn for a cut is used only if nothing was changed here meanwhile; otherwise it is drawn anew.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::warn;

use super::{Controller, reading};
use crate::api::error::{ApiError, Code, chain};
use crate::daemon::no_plan::NoPlan;
use crate::daemon::policies::Loaded;
use crate::daemon::resolver;
use crate::kernel::{Kernel, KernelError};
use crate::model::cut::Cut;
use crate::model::names::Digest;
use crate::model::plan::Plan;
use crate::model::snapshot::Snapshot;
use crate::planning;

/// Errands that wait for the thread; beyond it callers are turned away.
pub(super) const WAITING_MAX: usize = 32;
/// Draws of one declaration, while other cuts begin and end.
const DRAWS_MAX: u32 = 3;

/// A plan with what it was made from.
#[derive(Debug)]
pub(super) struct Draw {
    pub(super) plan: Plan,
    /// The plan's.
    pub(super) digest: Digest,
    pub(super) host: Snapshot,
}

/// What came of each policy, in the order of the errand.
pub(super) type Draws = Vec<Result<Draw, ApiError>>;

/// Opens a door to the kernel.
pub type Open = Box<dyn Fn() -> Result<Box<dyn Kernel>, KernelError> + Send>;

/// What is to be done with the draws.
type Then = Box<dyn FnOnce(&mut Controller, Draws) + Send>;

/// What plans are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A declaration: goes first, and must be of the state that it will meet.
    Cut,
    /// To be read.
    Show,
}

/// Plans that somebody waits for.
pub(super) struct Errand {
    purpose: Purpose,
    policies: Vec<Loaded>,
    draws: u32,
    then: Then,
}

/// What the plans are drawn against, but for the kernel's state.
struct Ground {
    baseline: Option<Snapshot>,
    in_force: Vec<Cut>,
    epoch: u64,
}

/// An errand that was run.
pub(super) struct Drawn {
    errand: Errand,
    draws: Draws,
    epoch: u64,
}

/// The thread that draws, and the errands that wait for it.
pub(super) struct Drawer {
    work: SyncSender<(Errand, Ground)>,
    busy: bool,
    waiting: VecDeque<Errand>,
}

impl Drawer {
    /// Starts the thread. It opens its door to the kernel when it is first needed, and ends with the drawer.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(super) fn start(open: Open) -> std::io::Result<(Self, UnboundedReceiver<Drawn>)> {
        let (work, errands) = sync_channel(1);
        let (done, drawn) = unbounded_channel();
        std::thread::Builder::new()
            .name("drawer".to_owned())
            .spawn(move || run(&errands, &done, &open))?;
        let drawer = Self {
            work,
            busy: false,
            waiting: VecDeque::new(),
        };
        Ok((drawer, drawn))
    }
}

fn run(errands: &Receiver<(Errand, Ground)>, done: &UnboundedSender<Drawn>, open: &Open) {
    let mut door: Option<Box<dyn Kernel>> = None;
    while let Ok((errand, ground)) = errands.recv() {
        let draws = match door.take().map_or_else(open, Ok) {
            Ok(mut kernel) => {
                let draws = ground.draw_all(&mut *kernel, &errand.policies);
                // A door through which something failed may hold the rest of an answer.
                door = draws.iter().all(|d| !is_of_the_kernel(d)).then_some(kernel);
                draws
            }
            Err(error) => errand.policies.iter().map(|_| Err(unread(&error))).collect(),
        };
        let drawn = Drawn {
            epoch: ground.epoch,
            errand,
            draws,
        };
        if done.send(drawn).is_err() {
            break;
        }
    }
}

fn is_of_the_kernel(draw: &Result<Draw, ApiError>) -> bool {
    draw.as_ref().is_err_and(|error| error.code == Code::KernelRefused)
}

fn unread(error: &KernelError) -> ApiError {
    let hint = if matches!(error, KernelError::Unsteady { .. }) {
        "ask again; a policy with no method but gate and seal needs no routes that hold still"
    } else {
        "ask again; if it stays so, see the daemon's log"
    };
    ApiError::new(
        Code::KernelRefused,
        format!("failed to read the kernel's network state: {}", chain(error)),
        hint,
    )
}

impl Ground {
    fn draw_all(&self, kernel: &mut dyn Kernel, policies: &[Loaded]) -> Draws {
        policies.iter().map(|loaded| self.draw(kernel, loaded)).collect()
    }

    /// Plans against the host as it is, and has the plan checked by the second opinion.
    fn draw(&self, kernel: &mut dyn Kernel, loaded: &Loaded) -> Result<Draw, ApiError> {
        let refused = |NoPlan { code, why, hint }: NoPlan| {
            let detail = format!("no safe plan for policy `{}`: {why} ({code})", loaded.policy.name);
            ApiError::new(Code::PlanRefused, detail, hint)
        };
        let pinned = resolver::resolve(&loaded.policy).map_err(|e| refused(e.into()))?;
        let host = reading::ground(kernel, &self.in_force, &loaded.policy.methods).map_err(|e| unread(&e))?;
        let baseline = self.baseline.as_ref().unwrap_or(&host);
        let plan =
            planning::plan(&loaded.policy, &host, baseline, &self.in_force, &pinned).map_err(|e| refused(e.into()))?;
        planning::check_beside(&plan.steps, &host, &self.in_force, &plan.cut).map_err(|e| refused(e.into()))?;
        Ok(Draw {
            digest: plan.digest(),
            plan,
            host,
        })
    }
}

impl Controller {
    /// Draws a plan for each policy and goes on with them: at once where there is no thread for it, else when it is done.
    pub(super) fn draw(
        &mut self,
        purpose: Purpose,
        policies: Vec<Loaded>,
        then: impl FnOnce(&mut Self, Draws) + Send + 'static,
    ) {
        let errand = Errand {
            purpose,
            policies,
            draws: 0,
            then: Box::new(then),
        };
        match &mut self.drawer {
            None => self.draw_here(errand),
            Some(drawer) if drawer.waiting.len() >= WAITING_MAX => {
                // A declaration takes the place of the last plan that is only to be read: no flood of those keeps it out.
                let last = drawer.waiting.back();
                let gives_way = purpose == Purpose::Cut && last.is_some_and(|last| last.purpose == Purpose::Show);
                match gives_way.then(|| drawer.waiting.pop_back()).flatten() {
                    Some(shown) => {
                        self.turn_away(shown);
                        self.send(errand);
                    }
                    None => self.turn_away(errand),
                }
            }
            Some(_) => self.send(errand),
        }
    }

    fn turn_away(&mut self, errand: Errand) {
        let busy = || ApiError::new(Code::Busy, "too many plans are asked for at once", "ask again");
        let none = errand.policies.iter().map(|_| Err(busy())).collect();
        (errand.then)(self, none);
    }

    fn draw_here(&mut self, errand: Errand) {
        let draws = self.ground().draw_all(&mut *self.kernel, &errand.policies);
        (errand.then)(self, draws);
    }

    fn ground(&self) -> Ground {
        Ground {
            baseline: self.baseline.clone(),
            in_force: self.held_cuts(),
            epoch: self.epoch,
        }
    }

    fn send(&mut self, errand: Errand) {
        let ground = self.ground();
        let Some(drawer) = &mut self.drawer else {
            return self.draw_here(errand);
        };
        if drawer.busy {
            // Behind the other declarations, before all that is only to be read.
            let place = match errand.purpose {
                Purpose::Cut => drawer.waiting.iter().take_while(|e| e.purpose == Purpose::Cut).count(),
                Purpose::Show => drawer.waiting.len(),
            };
            drawer.waiting.insert(place, errand);
            return;
        }
        match drawer.work.send((errand, ground)) {
            Ok(()) => drawer.busy = true,
            Err(unsent) => {
                warn!("the thread that draws plans is gone, drawing them here");
                self.drawer = None;
                self.draw_here(unsent.0.0);
            }
        }
    }

    /// Takes what the thread has drawn, and gives it the next errand. None: the thread is gone.
    pub(super) fn take_drawn(&mut self, drawn: Option<Drawn>) {
        let waiting = match (&mut self.drawer, &drawn) {
            (Some(drawer), Some(_)) => {
                drawer.busy = false;
                drawer.waiting.pop_front().into_iter().collect()
            }
            (drawer, _) => {
                warn!("the thread that draws plans is gone, drawing them here");
                let waiting = drawer.take().map(|d| d.waiting).unwrap_or_default();
                self.forget_planned();
                waiting
            }
        };
        if let Some(drawn) = drawn {
            self.use_drawn(drawn);
        }
        waiting.into_iter().for_each(|errand| self.send(errand));
    }

    fn use_drawn(&mut self, drawn: Drawn) {
        let mut errand = drawn.errand;
        errand.draws += 1;
        let stale = errand.purpose == Purpose::Cut && drawn.epoch != self.epoch;
        if stale && errand.draws < DRAWS_MAX {
            return self.send(errand);
        }
        let draws = match stale {
            false => drawn.draws,
            true => errand.policies.iter().map(|_| Err(overtaken())).collect(),
        };
        (errand.then)(self, draws);
    }
}

fn overtaken() -> ApiError {
    ApiError::new(
        Code::Busy,
        "other cuts began or ended while this one was planned",
        "declare again",
    )
}
