//! What comes while the cut that enough sources called for is being planned.

use std::sync::mpsc::{Receiver, Sender};

use tokio::task::{JoinHandle, spawn_blocking};

use super::super::serving::{SOON, Served, serve_held};
use super::super::{Bench, DEFAULT_MS};
use super::{nothing_is_cut, request, source, start};
use crate::api::alert::AlertOutcome::{Holding, Resolved, Waiting};
use crate::api::alert::{AlertState, AlertView};
use crate::api::error::{ApiError, Code};
use crate::daemon::command::Command;

/// Two sources raised it, and the plan waits for leave.
struct Planned {
    served: Served,
    last: JoinHandle<Result<AlertView, ApiError>>,
    leave: Sender<()>,
    _hears: Receiver<()>,
}

async fn ask(served: &Served, uid: u32, state: AlertState) -> Result<AlertView, ApiError> {
    let request = request(uid, "two", state);
    served
        .handle
        .ask(source(uid), |reply| Command::Alert(request, reply))
        .await
}

async fn planned(bench: &mut Bench) -> Planned {
    bench.running = Some(start(bench));
    let (served, hears, leave) = serve_held(bench);
    assert_eq!(ask(&served, 1, AlertState::Firing).await.unwrap().outcome, Waiting);
    let handle = served.handle.clone();
    let last = tokio::spawn(async move {
        let request = request(2, "two", AlertState::Firing);
        handle.ask(source(2), |reply| Command::Alert(request, reply)).await
    });
    let hears = spawn_blocking(move || hears.recv_timeout(SOON).map(|()| hears).unwrap()).await;
    Planned {
        served,
        last,
        leave,
        _hears: hears.unwrap(),
    }
}

impl Planned {
    async fn go_on(self) -> (Served, Result<AlertView, ApiError>) {
        drop(self.leave);
        (self.served, self.last.await.unwrap())
    }
}

#[tokio::test]
async fn an_alert_that_is_resolved_while_the_cut_is_planned_cuts_nothing() {
    let mut bench = Bench::idle();
    let planned = planned(&mut bench).await;
    let resolved = ask(&planned.served, 1, AlertState::Resolved).await.unwrap();
    assert_eq!(resolved.outcome, Resolved);
    let (served, last) = planned.go_on().await;
    assert_eq!(last.unwrap_err().code, Code::WrongState);
    nothing_is_cut(&bench);
    served.stop.send_replace(true);
    served.thread.join().unwrap();
}

#[tokio::test]
async fn whoever_raises_it_while_the_cut_is_planned_makes_no_other_plan_and_holds_it_too() {
    let mut bench = Bench::idle();
    let planned = planned(&mut bench).await;
    for uid in [3, 1] {
        let raised = ask(&planned.served, uid, AlertState::Firing).await.unwrap();
        assert_eq!((raised.outcome, raised.waits.unwrap().sources), (Waiting, 0));
    }
    let (served, last) = planned.go_on().await;
    let last = last.unwrap();
    assert_eq!((last.outcome, last.emergency.unwrap().held_by.len()), (Holding, 3));
    for uid in [1, 2, 3] {
        assert_eq!(ask(&served, uid, AlertState::Firing).await.unwrap().outcome, Holding);
    }
    assert_ne!(bench.kernel.state(), bench.baseline);
    bench.clock.pass(DEFAULT_MS);
    served.handle.ask(source(0), Command::Status).await.unwrap();
    served.handle.ask(source(0), Command::Status).await.unwrap();
    nothing_is_cut(&bench);
    served.stop.send_replace(true);
    served.thread.join().unwrap();
}
