//! The loop: what comes in is answered, whatever else goes on.

use crate::daemon::supervisor::Supervisor;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::{Bench, Controller, DEFAULT_MS, Unsynced, declare, root};
use crate::daemon::command::{Command, ControllerHandle};
use crate::kernel::sim::ModelKernel;
use crate::kernel::{ChangeError, Kernel, KernelError, Kinds, Watch};
use crate::model::change::{Change, Outcome};
use crate::model::snapshot::Snapshot;

/// A controller on its own thread, as the service runs it.
struct Served {
    handle: ControllerHandle,
    stop: watch::Sender<bool>,
    thread: std::thread::JoinHandle<()>,
}

fn serve(controller: Controller, bell: Arc<Notify>) -> Served {
    let (handle, calls) = ControllerHandle::channel();
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(controller.serve(calls, bell, stopped, Supervisor::Nobody));
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
    let revert = served.handle.ask(root(), |reply| Command::Revert(id, reply));
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
