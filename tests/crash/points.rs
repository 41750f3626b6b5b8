//! Killed at points spread over the whole life of a cut.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use portcullis::drill::namespace::Namespace;
use portcullis::kernel::netlink::Netlink;
use portcullis::kernel::{Kernel, Seen, Watch};

use super::daemon::{Daemon, Home, PATIENT, declaration, try_ask};
use super::world::state::{assert_same, state, without_order};
use super::world::topology::nasty;
use super::world::{self, wait_for_dad};
use super::{home, host};

/// How long the cuts of these tests are declared for.
const DURATION: Duration = Duration::from_millis(1_500);
/// By then, after its deadline, a cut has ended.
const LATEST: Duration = Duration::from_secs(2);
/// What more the detection of duplicate addresses may take after a link comes up (RFC 4862: one to two seconds).
const DETECTION: Duration = Duration::from_secs(3);
/// Hosts that are killed side by side.
const LANES: usize = 3;

/// When the daemon is killed.
#[derive(Clone, Copy, Debug)]
enum Trigger {
    /// The audit file has grown so often.
    Audit(u32),
    /// The journal was replaced so often.
    Journal(u32),
    /// The kernel has reported changes so often.
    Kernel(u32),
    /// So long after the phase began.
    After(Duration),
}

/// In which phase the trigger is armed.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Apply,
    Hold,
    /// A revert was asked for.
    Revert,
    /// The deadline comes by itself.
    Deadline,
    /// The first kill was during apply or revert; this one is during what the next process makes of it.
    Recovery(&'static Point),
}

#[derive(Clone, Copy, Debug)]
struct Point {
    phase: Phase,
    trigger: Trigger,
}

const fn at(phase: Phase, trigger: Trigger) -> Point {
    Point { phase, trigger }
}

const IN_APPLY: Point = at(Phase::Apply, Trigger::Kernel(2));
const IN_REVERT: Point = at(Phase::Revert, Trigger::Kernel(1));

/// Seventeen for each method, of three.
const POINTS: [Point; 17] = [
    at(Phase::Apply, Trigger::After(Duration::from_micros(100))),
    at(Phase::Apply, Trigger::Audit(1)),
    at(Phase::Apply, Trigger::Journal(1)),
    at(Phase::Apply, Trigger::Kernel(1)),
    IN_APPLY,
    at(Phase::Apply, Trigger::Kernel(3)),
    at(Phase::Apply, Trigger::Journal(2)),
    at(Phase::Hold, Trigger::After(Duration::from_millis(1))),
    at(Phase::Hold, Trigger::After(Duration::from_millis(700))),
    at(Phase::Revert, Trigger::Audit(1)),
    IN_REVERT,
    at(Phase::Revert, Trigger::Kernel(2)),
    at(Phase::Revert, Trigger::Journal(2)),
    at(Phase::Deadline, Trigger::Audit(1)),
    at(Phase::Deadline, Trigger::Kernel(1)),
    at(Phase::Recovery(&IN_APPLY), Trigger::Audit(1)),
    at(Phase::Recovery(&IN_REVERT), Trigger::Audit(2)),
];

/// Numbers from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(lane: usize) -> Self {
        let given = std::env::var("PORTCULLIS_TEST_SEED")
            .ok()
            .map(|text| text.parse().unwrap());
        let seed: u64 = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos())
        });
        println!("lane {lane}: PORTCULLIS_TEST_SEED={seed}");
        Self(seed.wrapping_mul(2).wrapping_add(1 + lane as u64 * 2) | 1)
    }

    fn micros(&mut self, below: u64) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        Duration::from_micros(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % below)
    }
}

/// Watches from outside until a trigger goes off, and kills. Gives up when `over` is set: a phase can be shorter.
struct Killer<'a> {
    home: &'a Home,
    watch: Box<dyn Watch>,
    audit: u64,
    journal: u64,
    begun: Instant,
}

impl<'a> Killer<'a> {
    /// Ready: what changes from now on counts.
    fn new(home: &'a Home, namespace: &Namespace) -> Self {
        let watch = namespace.run(|_| Netlink::open().unwrap().watch().unwrap()).unwrap();
        Self {
            home,
            watch,
            audit: size(home, "audit.jsonl"),
            journal: inode(home, "journal.json"),
            begun: Instant::now(),
        }
    }

    /// Whether it killed.
    fn kill(mut self, daemon: &Daemon, trigger: Trigger, late: Duration, over: &AtomicBool) -> bool {
        let mut seen = 0;
        while !self.due(trigger, &mut seen) {
            if over.load(Ordering::Relaxed) {
                return false;
            }
        }
        let until = Instant::now() + late;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        daemon.kid.signal(Signal::SIGKILL);
        true
    }

    fn due(&mut self, trigger: Trigger, seen: &mut u32) -> bool {
        let (changed, wanted) = match trigger {
            Trigger::After(time) => return self.begun.elapsed() >= time,
            Trigger::Audit(n) => (differs(&mut self.audit, size(self.home, "audit.jsonl")), n),
            Trigger::Journal(n) => (differs(&mut self.journal, inode(self.home, "journal.json")), n),
            Trigger::Kernel(n) => (self.watch.wait(Duration::ZERO).unwrap() != Seen::Nothing, n),
        };
        *seen += u32::from(changed);
        *seen >= wanted
    }
}

fn differs(held: &mut u64, now: u64) -> bool {
    let differs = *held != now;
    *held = now;
    differs
}

fn size(home: &Home, file: &str) -> u64 {
    std::fs::metadata(home.state().join(file)).map_or(0, |m| m.len())
}

fn inode(home: &Home, file: &str) -> u64 {
    std::fs::metadata(home.state().join(file)).map_or(0, |m| m.ino())
}

/// A host of its own and everything that one life needs.
struct Lane<'a> {
    policy: &'a str,
    host: Namespace,
    home: Home,
    baseline: String,
    dice: Dice,
    killed: u32,
}

impl Lane<'_> {
    fn live(&mut self, point: &Point) {
        let context = format!("{} {point:?}", self.policy);
        let declared = self.until_killed(point);
        // The deadline is the declaration's, whichever process keeps it.
        let tolerance = if self.policy == "link" {
            LATEST + DETECTION
        } else {
            LATEST
        };
        let until = declared + DURATION + tolerance;
        let daemon = self.home.start(&self.host);
        while self.is_held() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        if self.is_held() {
            println!(
                "{context}: not ended {tolerance:?} after its deadline\n{}",
                self.home.log()
            );
            println!("{}", std::fs::read_to_string(self.home.audit()).unwrap_or_default());
            panic!("{context}: not ended {tolerance:?} after its deadline");
        }
        assert_same(&self.baseline, &self.now());
        world::wait_until("the emergency is over", PATIENT, || {
            daemon.get("/v1/status").json()["state"] == "clear"
        });
        let verified = self
            .home
            .cli(&self.host, &["audit", "verify", self.home.audit().to_str().unwrap()]);
        assert_eq!(verified.exit, Some(0), "{context}: {verified:?}");
        daemon.stop();
    }

    /// Lives until killed; gives the moment after which the declaration was made.
    fn until_killed(&mut self, point: &Point) -> Instant {
        if let Phase::Recovery(first) = point.phase {
            let declared = self.until_killed(first);
            let late = self.dice.micros(500);
            let killer = Killer::new(&self.home, &self.host);
            let daemon = self.home.spawn(&self.host);
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                let killing = scope.spawn(|| killer.kill(&daemon, point.trigger, late, &over));
                wait_or_dead(&self.home);
                over.store(true, Ordering::Relaxed);
                self.killed += u32::from(killing.join().unwrap());
            });
            daemon.kill();
            return declared;
        }
        let daemon = self.home.start(&self.host);
        let late = self.dice.micros(500);
        let declared = Instant::now();
        let socket = self.home.socket();
        let declare = || {
            let body = declaration(self.policy, u64::try_from(DURATION.as_millis()).unwrap()).to_string();
            try_ask(
                &socket,
                "POST",
                "/v1/emergencies",
                &["Content-Type: application/json"],
                &body,
            )
        };
        let mut id = String::new();
        if !matches!(point.phase, Phase::Apply) {
            let answer = declare().unwrap();
            assert_eq!(answer.status, 201, "{answer:?}");
            id = answer.json()["id"].as_str().unwrap().to_owned();
        }
        let killer = Killer::new(&self.home, &self.host);
        let over = AtomicBool::new(false);
        let killed = thread::scope(|scope| {
            let killing = scope.spawn(|| killer.kill(&daemon, point.trigger, late, &over));
            match point.phase {
                // A connection that breaks off is what a kill looks like from here.
                Phase::Apply => drop(declare()),
                Phase::Revert => drop(try_ask(
                    &socket,
                    "POST",
                    &format!("/v1/emergencies/{id}/revert"),
                    &[],
                    "",
                )),
                Phase::Hold => {}
                Phase::Deadline => {
                    while self.is_held() && !killing.is_finished() && declared.elapsed() < PATIENT {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
                Phase::Recovery(_) => unreachable!("handled above"),
            }
            if !matches!(point.phase, Phase::Hold) {
                over.store(true, Ordering::Relaxed);
            }
            killing.join().unwrap()
        });
        self.killed += u32::from(killed);
        daemon.kill();
        declared
    }

    fn now(&self) -> String {
        arranged(self.policy, &state(&self.host))
    }

    /// The journal goes with the end of a restore. Looking at the kernel while it changes would see it half.
    fn is_held(&self) -> bool {
        self.home.state().join("journal.json").exists()
    }
}

/// After a link went down and up, equal IPv6 prefixes on several links stand in another order.
fn arranged(policy: &str, text: &str) -> String {
    if policy == "link" {
        without_order(text)
    } else {
        text.to_owned()
    }
}

/// Until the daemon answers, or there is nobody to answer any more.
fn wait_or_dead(home: &Home) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENT {
        match try_ask(&home.socket(), "GET", "/v1/status", &[], "") {
            Ok(_) => return,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // Refused: the socket of the process before; reset: killed while it held the connection.
            Err(_) if begun.elapsed() > Duration::from_millis(500) => return,
            Err(_) => {}
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn killed_everywhere(policy: &str, test: &str) {
    world::inside(test, |world| {
        let lanes: Vec<_> = (0..LANES).map(|lane| host(world, lane)).collect();
        let killed: u32 = thread::scope(|scope| {
            let running: Vec<_> = lanes
                .into_iter()
                .enumerate()
                .map(|(number, host)| {
                    scope.spawn(move || {
                        if policy != "link" {
                            nasty(&host);
                        }
                        wait_for_dad(&host);
                        let mut lane = Lane {
                            policy,
                            baseline: arranged(policy, &state(&host)),
                            host,
                            home: home(),
                            dice: Dice::new(number),
                            killed: 0,
                        };
                        POINTS
                            .iter()
                            .skip(number)
                            .step_by(LANES)
                            .for_each(|point| lane.live(point));
                        lane.killed
                    })
                })
                .collect();
            running.into_iter().map(|lane| lane.join().unwrap()).sum()
        });
        // A phase can be over before its trigger; then the kill comes right behind it. Most must hit.
        println!("{policy}: {killed} kills by their trigger");
        assert!(killed >= 13, "{policy}: only {killed} kills hit their phase");
    });
}

#[test]
fn killed_at_any_point_a_cut_by_gate_and_seal_ends_at_its_deadline() {
    killed_everywhere(
        "additive",
        "points::killed_at_any_point_a_cut_by_gate_and_seal_ends_at_its_deadline",
    );
}

#[test]
fn killed_at_any_point_a_cut_by_routes_ends_at_its_deadline() {
    killed_everywhere(
        "routes",
        "points::killed_at_any_point_a_cut_by_routes_ends_at_its_deadline",
    );
}

#[test]
fn killed_at_any_point_a_cut_by_link_ends_at_its_deadline() {
    killed_everywhere("link", "points::killed_at_any_point_a_cut_by_link_ends_at_its_deadline");
}
