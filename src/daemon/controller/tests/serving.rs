//! The loop: what comes in is answered, whatever else goes on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::super::drawing::{Open, WAITING_MAX};
use super::{Bench, Controller, DEFAULT_MS, Unsynced, declare, request, root};
use crate::api::error::Code;
use crate::api::{PlanRequest, RevertRequest};
use crate::daemon::command::{Command, ControllerHandle, Preconditions};
use crate::daemon::supervisor::Supervisor;
use crate::kernel::sim::ModelKernel;
use crate::kernel::{ChangeError, Kernel, KernelError, Kinds, Watch};
use crate::model::change::{Change, Outcome};
use crate::model::lookup::{Query, Way};
use crate::model::snapshot::Snapshot;

/// A controller on its own thread, as the service runs it.
pub(super) struct Served {
    pub(super) handle: ControllerHandle,
    pub(super) stop: watch::Sender<bool>,
    pub(super) thread: std::thread::JoinHandle<()>,
}

pub(super) fn serve(controller: Controller, bell: Arc<Notify>) -> Served {
    serve_drawing(controller, bell, || -> ModelKernel {
        panic!("nothing is planned here")
    })
}

/// The same with a door through which plans are drawn.
fn serve_drawing<K: Kernel + 'static>(
    controller: Controller,
    bell: Arc<Notify>,
    door: impl Fn() -> K + Send + 'static,
) -> Served {
    let open: Open = Box::new(move || Ok(Box::new(door())));
    let (handle, calls) = ControllerHandle::channel();
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(controller.serve(calls, bell, stopped, Supervisor::Nobody, open));
    });
    Served { handle, stop, thread }
}

/// A kernel in which something changes whenever it is read.
#[derive(Debug)]
struct Restless {
    kernel: ModelKernel,
    bell: Arc<Notify>,
}

impl Kernel for Restless {
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError> {
        self.bell.notify_one();
        self.kernel.snapshot(kinds)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        self.kernel.apply(changes)
    }

    fn way(&mut self, query: &Query) -> Result<Way, KernelError> {
        self.kernel.way(query)
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError> {
        self.kernel.watch()
    }
}

#[tokio::test]
async fn a_kernel_that_never_stops_changing_holds_up_no_revert() {
    let bench = Bench::idle();
    let bell = Arc::new(Notify::new());
    let kernel = Restless {
        kernel: bench.kernel.clone(),
        bell: Arc::clone(&bell),
    };
    let mut controller = bench.start_with(Box::new(kernel), Arc::new(Unsynced));
    let id = declare(&mut controller, "isolate").unwrap().id;
    let served = serve(controller, bell);
    let revert = served
        .handle
        .ask(root(), |reply| Command::Revert(id, RevertRequest::default(), reply));
    let answered = tokio::time::timeout(Duration::from_secs(2), revert).await;
    served.stop.send_replace(true);
    served.thread.join().unwrap();
    let receipt = answered.expect("the revert was answered").unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
}

#[tokio::test]
async fn a_deadline_is_seen_within_two_seconds_of_a_clock_that_ran_on_unseen() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    let served = serve(bench.take(), Arc::default());
    // Asleep, no timer runs: when the host wakes, only looking at the clock tells.
    served.handle.ask(root(), Command::Status).await.unwrap();
    bench.clock.pass(DEFAULT_MS);
    let woken = std::time::Instant::now();
    while bench.kernel.state() != bench.baseline {
        assert!(
            woken.elapsed() < Duration::from_secs(2),
            "still cut two seconds after the deadline"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    served.stop.send_replace(true);
    served.thread.join().unwrap();
}

#[tokio::test]
async fn a_stop_leaves_a_cut_in_force_and_is_recorded() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    let cut = bench.kernel.state();
    let served = serve(bench.take(), Arc::default());
    served.stop.send_replace(true);
    served.thread.join().unwrap();
    assert_eq!(bench.kernel.state(), cut);
    bench.restart();
    assert_eq!(
        bench.records()[3..],
        ["daemon-stopped", "daemon-started", "recovered", "in-force"]
    );
    bench.pass(DEFAULT_MS);
    bench.assert_ended("after a stop");
}

/// A kernel that tells when it is to be read, and waits for leave.
#[derive(Debug)]
struct Held {
    kernel: ModelKernel,
    asked: Sender<()>,
    leave: Receiver<()>,
}

impl Kernel for Held {
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError> {
        let now = self.kernel.snapshot(kinds);
        assert!(self.asked.send(()).is_ok(), "somebody listens");
        // An end without leave is leave, too: the test is over.
        let _leave = self.leave.recv();
        now
    }

    fn apply(&mut self, _changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        unreachable!("plans change nothing")
    }

    fn way(&mut self, query: &Query) -> Result<Way, KernelError> {
        self.kernel.way(query)
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError> {
        self.kernel.watch()
    }
}

/// A controller whose plans wait for leave.
pub(super) fn serve_held(bench: &mut Bench) -> (Served, Receiver<()>, Sender<()>) {
    let (asked, hears) = channel();
    let (gives, leave) = channel();
    let kernel = bench.kernel.clone();
    let door = std::sync::Mutex::new(Some(Held { kernel, asked, leave }));
    let served = serve_drawing(bench.take(), Arc::default(), move || {
        door.lock().unwrap().take().expect("one door is enough")
    });
    (served, hears, gives)
}

pub(super) const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_plan_that_takes_long_keeps_no_deadline_waiting() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    let (served, hears, gives) = serve_held(&mut bench);
    let handle = served.handle.clone();
    let planned = tokio::spawn(async move { handle.ask(root(), Command::Readiness).await });
    tokio::task::spawn_blocking(move || hears.recv_timeout(SOON).map(|()| hears).unwrap())
        .await
        .unwrap();
    bench.clock.pass(2 * DEFAULT_MS);
    let until = std::time::Instant::now() + SOON;
    while bench.kernel.state() != bench.baseline {
        assert!(std::time::Instant::now() < until, "the deadline waits for the plan");
        tokio::task::yield_now().await;
    }
    drop(gives);
    served.stop.send_replace(true);
    served.thread.join().unwrap();
    assert!(planned.await.unwrap().is_err(), "the service stopped");
}

#[tokio::test]
async fn a_declaration_whose_plan_was_overtaken_is_planned_anew() {
    let mut bench = Bench::start();
    let first = bench.declare("isolate").unwrap().id;
    let (served, hears, gives) = serve_held(&mut bench);
    let handle = served.handle.clone();
    let declared = tokio::spawn(async move {
        let ask = |reply| Command::Declare(request("bare"), Preconditions::default(), reply);
        handle.ask(root(), ask).await
    });
    let hears = tokio::task::spawn_blocking(move || hears.recv_timeout(SOON).map(|()| hears).unwrap())
        .await
        .unwrap();
    let revert = served
        .handle
        .ask(root(), |reply| Command::Revert(first, RevertRequest::default(), reply));
    assert_eq!(revert.await.unwrap().residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    gives.send(()).unwrap();
    let again = tokio::task::spawn_blocking(move || hears.recv_timeout(SOON));
    again
        .await
        .unwrap()
        .expect("it is planned against the state that it meets");
    gives.send(()).unwrap();
    let second = declared.await.unwrap().unwrap().id;
    let revert = served
        .handle
        .ask(root(), |reply| Command::Revert(second, RevertRequest::default(), reply));
    assert_eq!(revert.await.unwrap().residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    served.stop.send_replace(true);
    served.thread.join().unwrap();
}

#[tokio::test]
async fn plans_without_end_keep_no_declaration_out() {
    let mut bench = Bench::start();
    let (served, hears, gives) = serve_held(&mut bench);
    let plan = || {
        let handle = served.handle.clone();
        let request = PlanRequest {
            policy: "isolate".to_owned(),
            duration_ms: None,
            session: None,
        };
        tokio::spawn(async move { handle.ask(root(), |reply| Command::Plan(request, reply)).await })
    };
    let mut plans: Vec<_> = (0..=WAITING_MAX).map(|_| plan()).collect();
    let busy = loop {
        plans.push(plan());
        tokio::task::yield_now().await;
        if let Some(done) = plans.iter().position(tokio::task::JoinHandle::is_finished) {
            break plans.swap_remove(done).await.unwrap().unwrap_err();
        }
    };
    assert_eq!(busy.code, Code::Busy, "one plan too many is turned away");
    let ask = |reply| Command::Declare(request("bare"), Preconditions::default(), reply);
    let declaring = served.handle.ask(root(), ask);
    // Everybody has leave from now on.
    let leave = std::thread::spawn(move || while hears.recv_timeout(SOON).is_ok() && gives.send(()).is_ok() {});
    let declared = tokio::time::timeout(SOON, declaring).await.expect("it is answered");
    let id = declared.unwrap().id;
    let revert = served
        .handle
        .ask(root(), |reply| Command::Revert(id, RevertRequest::default(), reply));
    assert_eq!(revert.await.unwrap().residues, Vec::<String>::new());
    served.stop.send_replace(true);
    served.thread.join().unwrap();
    drop(plans);
    leave.join().unwrap();
}
