//! The daemon without its socket: controller and monitor, each on a thread, in the network namespace of the caller.
//!
//! `portcullisd` puts the server in front of it; a drill speaks to it directly.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Notify, watch};

use super::clock::SystemClock;
use super::command::ControllerHandle;
use super::controller::{Arm, Controller, Open, StartError};
use super::guardian::{self, Guardian};
use super::monitor::Monitor;
use super::namespace::{self, Claim, ClaimError};
use super::people::Known;
use super::policies::Policies;
use super::supervisor::Supervisor;
use crate::kernel::netlink::Netlink;
use crate::kernel::{Kernel, KernelError};
use crate::store::StoreError;
use crate::store::directory::StateDirectory;
use crate::store::ratchet::Keeping;

/// A running controller and monitor.
#[derive(Debug)]
pub struct Service {
    handle: ControllerHandle,
    stop: watch::Sender<bool>,
    controller: JoinHandle<()>,
    monitor: Monitor,
    /// Dropped last: when it is free, nothing of this service changes the kernel any more.
    _claim: Claim,
}

/// Who ends a cut when this process cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A guardian process, started before the first change to the kernel.
    Guardian,
    /// Nobody: a drill, whose network goes with it, and the guardian itself.
    Nobody,
}

/// How a service is posted.
#[derive(Debug)]
pub struct Post {
    /// Who ends a cut when this process cannot.
    pub guard: Guard,
    /// Who wants to know that it lives.
    pub supervisor: Supervisor,
    /// Where the keys of the audit log's seals are kept.
    pub keeping: Keeping,
    /// Whether the host is to be armed.
    pub arm: Arm,
    /// Who may sign orders.
    pub people: Known,
    /// The socket by which hooks come, if they may.
    pub hook_socket: Option<PathBuf>,
}

impl Post {
    /// Alone: a drill, whose network and audit log go with it.
    #[must_use]
    pub fn alone() -> Self {
        Self {
            guard: Guard::Nobody,
            supervisor: Supervisor::Nobody,
            keeping: Keeping::Memory,
            arm: Arm::Off,
            people: Known::default(),
            hook_socket: None,
        }
    }
}

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The state directory cannot be used.
    #[error("failed to take the state directory")]
    Store(#[source] StoreError),
    /// Another process cuts and restores in this network namespace.
    #[error("failed to take the network namespace")]
    Namespace(#[source] ClaimError),
    /// The kernel cannot be reached.
    #[error("failed to open the door to the kernel")]
    Kernel(#[source] KernelError),
    /// What the journal holds cannot be taken up.
    #[error("failed to take up the last state")]
    Start(#[source] StartError),
    /// A thread, the runtime or `/proc` is not to be had.
    #[error("failed to start {what}")]
    System {
        /// What was started.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Service {
    /// Takes the state directory, from a guardian if one is at work in it, and goes on as [`Self::take_up`].
    ///
    /// # Errors
    /// If the directory cannot be had, or as [`Self::take_up`].
    pub fn start(state: &Path, policies: Policies, post: Post) -> Result<Self, ServiceError> {
        let directory = guardian::relieve(state).map_err(ServiceError::Store)?;
        Self::take_up(directory, policies, post)
    }

    /// Claims the network namespace, recovers what the journal in the directory holds, and begins to serve and to watch.
    ///
    /// # Errors
    /// If any of these fails; then nothing runs.
    pub fn take_up(directory: StateDirectory, policies: Policies, post: Post) -> Result<Self, ServiceError> {
        let system = |what| move |source| ServiceError::System { what, source };
        let guardian = match post.guard {
            Guard::Guardian => Some(Guardian::new(directory.path(), &post.keeping)),
            Guard::Nobody => None,
        };
        let claim = namespace::claim().map_err(ServiceError::Namespace)?;
        let kernel = Netlink::open().map_err(ServiceError::Kernel)?;
        let watcher = Netlink::open().map_err(ServiceError::Kernel)?;
        let clock = SystemClock::new().map_err(system("the clock"))?;
        let bell = Arc::new(Notify::new());
        // The watch begins before recovery reads, so that nothing changes unseen in between.
        let monitor = Monitor::start(watcher, Arc::clone(&bell)).map_err(system("the monitor"))?;
        let controller = Controller::start(
            Box::new(kernel),
            Box::new(clock),
            directory,
            &post.keeping,
            policies,
            guardian,
            post.arm,
        )
        .map_err(ServiceError::Start)?
        .taking_orders(post.people)
        .reached_by_hooks(post.hook_socket);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(system("the controller's timer"))?;
        let open: Open = Box::new(|| Ok(Box::new(Netlink::open()?) as Box<dyn Kernel>));
        let (handle, calls) = ControllerHandle::channel();
        let (stop, stopped) = watch::channel(false);
        let controller = std::thread::Builder::new()
            .name("controller".to_owned())
            .spawn(move || {
                let serving = controller.serve(calls, bell, stopped, post.supervisor, open);
                or_abort(|| runtime.block_on(serving));
            })
            .map_err(system("the controller"))?;
        Ok(Self {
            handle,
            stop,
            controller,
            monitor,
            _claim: claim,
        })
    }

    /// Where to ask.
    #[must_use]
    pub fn handle(&self) -> ControllerHandle {
        self.handle.clone()
    }

    /// Stops and waits for the last record. A cut in force stays in force.
    pub fn stop(self) {
        self.stop.send_replace(true);
        drop(self.monitor);
        self.controller
            .join()
            .expect("a controller that panics takes the process with it");
    }
}

/// A process whose controller has panicked would go on, with the network namespace claimed, and keep the guardian from
/// taking over. The programs as they are shipped abort at any panic; built to unwind, they do here.
fn or_abort(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        std::process::abort();
    }
}
