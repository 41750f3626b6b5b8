//! The controller over a kernel in memory, a clock that is set by hand, and a disk that fails on demand.

mod alerting;
mod arming;
mod authority;
mod boot;
mod deadlines;
mod decisions;
mod disk;
mod full;
mod kernel;
mod killed;
mod lives;
mod offline;
mod orders;
mod overlap;
mod proposing;
mod raised;
mod readiness;
mod recovery;
mod review;
mod reviewing;
mod serving;
mod strays;
mod vigil;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Arm, Controller};
use crate::api::error::{ApiError, Code};
use crate::api::{
    AuditQuery, DeclareRequest, EmergencyView, PlanRequest, PlanView, ReceiptView, RevertRequest, Status,
};
use crate::daemon::clock::Clock;
use crate::daemon::command::{Call, Command, Peer, Preconditions, Reply};
use crate::daemon::policies::Policies;
use crate::kernel::Kernel;
use crate::kernel::sim::ModelKernel;
use crate::model::change::Change;
use crate::model::effect::settle;
use crate::model::emergency::Moment;
use crate::model::fixture::{address, host, must, via};
use crate::model::snapshot::{Object, Snapshot};
use crate::store::directory::StateDirectory;
use crate::store::disk::Disk;
use crate::store::ratchet::Keeping;

pub(super) const MINUTE_MS: u64 = 60_000;
/// The default duration of the tests' policies.
pub(super) const DEFAULT_MS: u64 = 30 * MINUTE_MS;

/// One policy of each method; `crash` and `reboot` as given.
fn policy(name: &str, methods: &str, crash: &str, reboot: &str) -> String {
    let routes = if methods.contains("routes") {
        "[methods.routes]\nwithdraw-default = true\n"
    } else {
        ""
    };
    let lifeline_lost = if name == "crash-open" { "closed" } else { "open" };
    let lifeline = if name == "bare" || methods.contains("link") || methods.contains("routes") {
        ""
    } else {
        "[[lifelines]]\nname = \"ssh\"\npeers = [\"10.9.0.0/16\", \"fd09::/16\"]\nprotocol = \"tcp\"\nports = [22]\n\
         direction = \"in\"\n"
    };
    format!(
        "schema = 1\nname = \"{name}\"\nsummary = \"a test\"\ndeclared-for = [\"exercise\"]\naffects = \"own-hosts\"\n\
         [scope]\ninterfaces = [\"ab0\"]\nfamilies = [\"ipv4\", \"ipv6\"]\ndirections = [\"in\", \"out\", \"forward\"]\n\
         [methods]\nuse = [{methods}]\n{routes}{lifeline}\
         [limits]\ndefault = \"30m\"\nmaximum = \"1h\"\ntotal = \"2h\"\n\
         [fail]\ncrash = \"{crash}\"\nreboot = \"{reboot}\"\nlifeline-lost = \"{lifeline_lost}\"\n\
         [notice]\ntext = \"a test\"\n"
    )
}

/// Every method, by the name of its policy; one without lifelines; and two that fail open.
pub(super) const POLICIES: [(&str, &str, &str, &str); 6] = [
    ("isolate", "\"gate\", \"seal\"", "closed", "closed"),
    ("unroute", "\"routes\"", "closed", "closed"),
    ("unplug", "\"link\"", "closed", "closed"),
    ("crash-open", "\"gate\", \"seal\"", "open", "closed"),
    ("bare", "\"gate\", \"seal\"", "closed", "closed"),
    ("reboot-open", "\"gate\", \"seal\"", "closed", "open"),
];

/// Of these every fault and every kill is tried.
pub(super) const METHODS: [&str; 3] = ["isolate", "unroute", "unplug"];

fn policies() -> Policies {
    static LOADED: OnceLock<Policies> = OnceLock::new();
    let load = |loaded: Policies, (name, methods, crash, reboot): &(&str, &str, &str, &str)| {
        loaded.with(Path::new(name), policy(name, methods, crash, reboot))
    };
    let all = || POLICIES.iter().try_fold(Policies::default(), load).unwrap();
    LOADED.get_or_init(all).clone()
}

/// A host with one uplink in both families, and a link that no policy names.
pub(super) fn small() -> Snapshot {
    let mut state = host(2);
    for (link, net) in [
        (2, "10.0.0.2/24"),
        (2, "fd00::2/64"),
        (3, "10.1.0.1/24"),
        (3, "fd01::1/64"),
    ] {
        must(&mut state, &Change::Add(Object::Address(address(link, net))));
    }
    settle(&mut state);
    for (to, gateway) in [("0.0.0.0/0", "10.0.0.1"), ("::/0", "fd00::1")] {
        must(&mut state, &Change::Add(Object::Route(via(to, gateway, 2))));
    }
    state.sort();
    state
}

/// Clocks that stand until they are set. Clones are the same clock.
#[derive(Clone, Debug)]
pub(super) struct ManualClock(Arc<Mutex<Moment>>);

impl ManualClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Moment {
            boot_id: "boot-1".to_owned(),
            boottime_ms: 1_000_000,
            wall_ms: 1_790_000_000_000,
        })))
    }

    /// Both clocks go on.
    pub(super) fn pass(&self, ms: u64) {
        let mut now = self.0.lock().unwrap();
        now.boottime_ms += ms;
        now.wall_ms += i64::try_from(ms).unwrap();
    }

    /// The wall clock is set by somebody.
    pub(super) fn jump(&self, ms: i64) {
        self.0.lock().unwrap().wall_ms += ms;
    }

    /// The host is off for a while and comes up again.
    pub(super) fn reboot(&self, off_ms: i64) {
        let mut now = self.0.lock().unwrap();
        now.boot_id += "+1";
        now.boottime_ms = 5_000;
        now.wall_ms += off_ms;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.0.lock().unwrap().clone()
    }

    fn pause(&self, how_long: Duration) {
        self.pass(u64::try_from(how_long.as_millis()).unwrap());
    }
}

/// A disk that is in no hurry: what a killed process wrote is there without a sync, and thousands of them take long.
#[derive(Debug)]
pub(super) struct Unsynced;

impl Disk for Unsynced {
    fn sync(&self, _: &std::fs::File) -> std::io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, _: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
        Ok(())
    }
}

/// A folder in memory, where there is one: thousands of them come and go.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A controller with all that it holds on to.
pub(super) struct Bench {
    pub(super) kernel: ModelKernel,
    pub(super) clock: ManualClock,
    pub(super) baseline: Snapshot,
    pub(super) arm: Arm,
    directory: tempfile::TempDir,
    running: Option<Controller>,
}

impl Bench {
    pub(super) fn start() -> Self {
        Self::on(Arc::new(Unsynced))
    }

    /// The same on a disk that fails.
    pub(super) fn on(disk: Arc<dyn Disk>) -> Self {
        let mut bench = Self::idle();
        bench.restart_on(disk);
        bench
    }

    /// All but the controller.
    pub(super) fn idle() -> Self {
        let baseline = small();
        Self {
            kernel: ModelKernel::new(baseline.clone()),
            clock: ManualClock::new(),
            baseline,
            arm: Arm::Off,
            directory: memory(),
            running: None,
        }
    }

    /// The process ends without a word and another one starts.
    pub(super) fn restart(&mut self) {
        self.restart_on(Arc::new(Unsynced));
    }

    pub(super) fn restart_on(&mut self, disk: Arc<dyn Disk>) {
        let kernel = self.kernel.clone();
        self.running = None;
        self.running = Some(self.start_with(Box::new(kernel), disk));
    }

    /// A controller over another door to the same kernel, which the caller keeps.
    pub(super) fn start_with(&self, kernel: Box<dyn Kernel>, disk: Arc<dyn Disk>) -> Controller {
        self.start_on(kernel, disk, policies())
    }

    /// A controller with other policies.
    pub(super) fn start_under(&self, policies: Policies, disk: Arc<dyn Disk>) -> Controller {
        self.start_on(Box::new(self.kernel.clone()), disk, policies)
    }

    pub(super) fn start_on(&self, kernel: Box<dyn Kernel>, disk: Arc<dyn Disk>, policies: Policies) -> Controller {
        let directory = StateDirectory::open_on(self.state(), disk).unwrap();
        Controller::start(
            kernel,
            Box::new(self.clock.clone()),
            directory,
            &Keeping::Memory,
            policies,
            None,
            self.arm,
        )
        .unwrap()
    }

    /// The process ends without a word.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    /// The host comes up with what its configuration says, and the daemon starts.
    pub(super) fn reboot(&mut self, off_ms: i64) {
        self.kill();
        self.clock.reboot(off_ms);
        self.kernel = ModelKernel::new(self.baseline.clone());
        self.restart();
    }

    /// The state directory.
    pub(super) fn state(&self) -> std::path::PathBuf {
        self.directory.path().join("state")
    }

    pub(super) fn holds(&self, file: &str) -> bool {
        self.state().join(file).exists()
    }

    pub(super) fn controller(&mut self) -> &mut Controller {
        self.running.as_mut().unwrap()
    }

    /// Gives up the controller, for a server.
    pub(super) fn take(&mut self) -> Controller {
        self.running.take().unwrap()
    }

    pub(super) fn ask<T>(&mut self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ApiError> {
        ask(self.controller(), command)
    }

    pub(super) fn declare(&mut self, policy: &str) -> Result<EmergencyView, ApiError> {
        declare(self.controller(), policy)
    }

    pub(super) fn revert(&mut self, id: &str) -> Result<ReceiptView, ApiError> {
        self.ask(|reply| Command::Revert(id.to_owned(), RevertRequest::default(), reply))
    }

    pub(super) fn confirm(&mut self, id: &str) -> Result<EmergencyView, ApiError> {
        self.ask(|reply| Command::Confirm(id.to_owned(), reply))
    }

    pub(super) fn extend(&mut self, id: &str, by_ms: u64) -> Result<EmergencyView, ApiError> {
        self.ask(|reply| Command::Extend(id.to_owned(), by_ms, Preconditions::default(), reply))
    }

    pub(super) fn plan(&mut self, policy: &str) -> Result<PlanView, ApiError> {
        let request = PlanRequest {
            policy: policy.to_owned(),
            duration_ms: None,
            session: None,
        };
        self.ask(|reply| Command::Plan(request, reply))
    }

    pub(super) fn status(&mut self) -> Status {
        self.ask(Command::Status).unwrap()
    }

    /// The kinds of the records in the log, oldest first.
    pub(super) fn records(&mut self) -> Vec<String> {
        let page = self.ask(|reply| Command::Audit(AuditQuery::default(), reply)).unwrap();
        let kind = |record: &serde_json::Value| record["event"].as_str().unwrap().to_owned();
        // Seals follow the clock and say nothing of what was decided.
        page.records.iter().map(kind).filter(|kind| kind != "sealed").collect()
    }

    /// Time passes, and the controller looks at the clock.
    pub(super) fn pass(&mut self, ms: u64) {
        self.clock.pass(ms);
        self.controller().expire();
        self.controller().keep_armed();
    }

    /// Nothing is held, nothing of ours is left anywhere, and a new cut could begin and end.
    #[track_caller]
    pub(super) fn assert_ended(&mut self, context: &str) {
        assert_eq!(self.kernel.state().to_string(), self.baseline.to_string(), "{context}");
        let status = self.status();
        assert!(status.emergencies.is_empty(), "{context}: {status:?}");
        assert!(!self.holds("journal.json"), "{context}: a journal is left");
        let again = self
            .declare("isolate")
            .unwrap_or_else(|e| panic!("{context}, then: {e:?}"));
        assert_ne!(self.kernel.state(), self.baseline, "{context}");
        assert_eq!(self.status().audit.fault, None, "{context}");
        let receipt = self.revert(&again.id).unwrap();
        assert_eq!(receipt.residues, Vec::<String>::new(), "{context}");
        assert_eq!(
            self.kernel.state().to_string(),
            self.baseline.to_string(),
            "{context}, again"
        );
    }
}

/// Root, as the server would say it.
fn root() -> Peer {
    Peer::new(0, 0, None)
}

pub(super) fn ask<T>(controller: &mut Controller, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ApiError> {
    let (reply, mut answer) = oneshot::channel();
    controller.answer(Call {
        peer: root(),
        command: command(reply),
    });
    controller.catch_up();
    controller.keep_armed();
    let Ok(answer) = answer.try_recv() else {
        panic!("the controller answers before it returns");
    };
    answer
}

pub(super) fn request(policy: &str) -> DeclareRequest {
    DeclareRequest {
        policy: policy.to_owned(),
        occasion: None,
        reason: "a test".to_owned(),
        authority: "the tester".to_owned(),
        duration_ms: None,
        confirm_within_ms: None,
        accept_risks: std::collections::BTreeSet::new(),
        break_glass: false,
        session: None,
    }
}

pub(super) fn declare(controller: &mut Controller, policy: &str) -> Result<EmergencyView, ApiError> {
    let request = request(policy);
    ask(controller, |reply| {
        Command::Declare(request, Preconditions::default(), reply)
    })
}

/// The kernel's state while a policy is in force, from a run without faults.
pub(super) fn in_force(policy: &str) -> Snapshot {
    let mut bench = Bench::start();
    bench.declare(policy).unwrap();
    bench.kernel.state()
}

#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T, ApiError>, code: Code) -> ApiError {
    let error = answer.expect_err("it should have been refused");
    assert_eq!(error.code, code, "{error:?}");
    assert!(!error.hint.is_empty(), "an error has a hint: {error:?}");
    error
}
