//! One host, and one life of a cut on it with a fault.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use portcullis::drill::namespace::Namespace;

use super::case::{CALLS, Case, Fault, Phase};
use super::daemon::{Answer, Daemon, Home, PATIENT, declaration, policy, try_ask};
use super::world::state::state;
use super::world::{self, Kid, World, ip, wait_for_dad, wait_until};

/// How long the cuts are declared for.
const DURATION: Duration = Duration::from_millis(1_500);
/// By then, after its deadline, a cut has ended (promise 6).
const LATEST: Duration = Duration::from_secs(2);
/// The routes of a subject over its uplink.
const ROUTES: &str = "route add default via 10.0.0.1
     route add default via fd00:0::1
     route add 10.9.0.0/16 via 10.0.0.1 metric 7 mtu 1400";
/// How often the kernel is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What is cut.
pub struct Subject {
    namespace: Namespace,
    // Peers stay for as long as the links are needed.
    _peers: Vec<Namespace>,
}

/// What became of a life.
#[derive(Debug)]
pub struct Outcome {
    /// The fault was injected.
    pub hit: bool,
    /// The daemon was dead after it.
    pub killed: bool,
    pub wrong: Option<String>,
}

/// A host with an uplink and a management link, dual stack.
pub fn host(world: World, number: usize) -> Subject {
    subject(world, number, &[("u0", "v0", 0), ("m0", "w0", 9)])
}

/// The same with an inside, for which it forwards.
pub fn gateway(world: World, number: usize) -> Subject {
    let subject = subject(world, number, &[("u0", "v0", 0), ("m0", "w0", 9), ("i0", "x0", 3)]);
    world::sysctl(&subject.namespace, "net.ipv4.ip_forward", "1");
    world::sysctl(&subject.namespace, "net.ipv6.conf.all.forwarding", "1");
    subject
}

fn subject(world: World, number: usize, links: &[(&str, &str, u8)]) -> Subject {
    let (here, there) = (world.namespace(&format!("h{number}")), format!("r{number}"));
    let router = world.namespace(&there);
    world::sysctl(&router, "net.ipv6.conf.default.accept_dad", "0");
    for (link, far, net) in links {
        ip(
            &here,
            &format!(
                "link add name {link} type veth peer name {far} netns {there}
                 link set dev {link} up
                 addr add 10.0.{net}.2/24 brd + dev {link}
                 addr add fd00:{net}::2/64 dev {link}"
            ),
        );
        ip(
            &router,
            &format!("link set dev {far} up\naddr add 10.0.{net}.1/24 dev {far}\naddr add fd00:{net}::1/64 dev {far}"),
        );
    }
    wait_for_dad(&here);
    ip(&here, ROUTES);
    Subject {
        namespace: here,
        _peers: vec![router],
    }
}

/// A host of its own, used by one life after another.
pub struct Lane {
    subject: Subject,
    policy: &'static str,
    baseline: String,
}

impl Lane {
    pub fn new(subject: Subject, policy: &'static str) -> Self {
        let baseline = state(&subject.namespace);
        Self {
            subject,
            policy,
            baseline,
        }
    }

    /// How often a life without a fault makes each call in this phase.
    pub fn count(&mut self, phase: Phase) -> BTreeMap<&'static str, u32> {
        let home = home();
        let trace = format!("trace={}", CALLS.join(","));
        let life = self.until_injected(&home, phase, &["-e", &trace], Instant::now() + PATIENT);
        self.see_the_end(&home, life, false).unwrap();
        let seen = fs::read_to_string(home.path().join("strace")).unwrap();
        let times = |call: &str| {
            seen.lines()
                .filter(|line| line.starts_with(&format!("{call}(")))
                .count()
        };
        let counted = CALLS.map(|call| (call, u32::try_from(times(call)).unwrap()));
        counted.into_iter().filter(|(_, times)| *times > 0).collect()
    }

    pub fn live(&mut self, case: &Case) -> Outcome {
        let home = home();
        let (inject, trace) = (case.inject(), format!("trace={}", case.call));
        let life = self.until_injected(
            &home,
            case.phase,
            &["-e", &trace, "-e", &inject],
            Instant::now() + PATIENT,
        );
        // Half of the killed ones are started again at once, the others left to their guardian.
        let ended = self.see_the_end(&home, life, case.n.is_multiple_of(2));
        let seen = fs::read_to_string(home.path().join("strace")).unwrap_or_default();
        let hit = match case.fault {
            Fault::Kill => seen.contains("killed by SIGKILL"),
            Fault::Eio | Fault::Enospc => seen.contains("(INJECTED)"),
        };
        let wrong = ended.as_ref().err().map(|why| {
            let kept = keep(&home, case);
            format!("{why} (kept in {})", kept.display())
        });
        if wrong.is_some() {
            self.clean();
        }
        Outcome {
            hit,
            killed: ended.unwrap_or(false),
            wrong,
        }
    }

    /// Declares, with strace at the thread in question.
    fn until_injected(&self, home: &Home, phase: Phase, strace: &[&str], patience: Instant) -> Life {
        let log = home.path().join("strace");
        let log = log.to_str().unwrap();
        let namespace = &self.subject.namespace;
        match phase {
            Phase::Life => {
                let daemon = home.start(namespace);
                let tid = thread_of(&daemon, "controller");
                let mut tracer = Kid::spawn(namespace, Path::new("strace"), |command| {
                    command
                        .args(["-q", "-o", log])
                        .args(strace)
                        .args(["-p", &tid.to_string()]);
                    command.stdout(Stdio::null()).stderr(Stdio::null());
                });
                wait_until("strace is there", PATIENT, || {
                    assert!(tracer.child().try_wait().unwrap().is_none(), "strace ended at once");
                    is_traced(&daemon, tid)
                });
                let declared = Instant::now();
                let answer = declare(home, self.policy);
                Life {
                    daemon: Some(daemon),
                    _tracer: Some(tracer),
                    declared,
                    answer: answer.ok(),
                }
            }
            Phase::Recovery => {
                let daemon = home.start(namespace);
                let declared = Instant::now();
                let answer = declare(home, self.policy).unwrap();
                daemon.kill();
                let mut wrapper = vec!["strace", "-D", "-q", "-o", log];
                wrapper.extend(strace);
                let mut daemon = home.spawn_by(namespace, &wrapper);
                // It answers, or has ended by what was injected.
                while daemon.kid.child().try_wait().unwrap().is_none()
                    && try_ask(&home.socket(), "GET", "/v1/policies", &[], "").is_err()
                {
                    assert!(
                        Instant::now() < patience,
                        "the daemon neither answers nor ends:\n{}",
                        home.log()
                    );
                    thread::sleep(LOOK);
                }
                Life {
                    daemon: Some(daemon),
                    _tracer: None,
                    declared,
                    answer: Some(answer),
                }
            }
        }
    }

    /// Follows the life to its end. Gives whether the daemon had died.
    fn see_the_end(&self, home: &Home, mut life: Life, start_again: bool) -> Result<bool, String> {
        let deadline = life.declared + DURATION;
        let mut killed = false;
        while self.is_cut() || Instant::now() < deadline {
            if Instant::now() > deadline + LATEST {
                return Err(format!("still cut {LATEST:?} after its deadline"));
            }
            if !killed && life.is_dead() {
                killed = true;
                life.daemon = start_again.then(|| home.spawn(&self.subject.namespace));
            }
            thread::sleep(LOOK);
        }
        let now = state(&self.subject.namespace);
        if now != self.baseline {
            let diff = similar::TextDiff::from_lines(&self.baseline, &now);
            return Err(format!("not as before:\n{}", diff.unified_diff().context_radius(0)));
        }
        killed |= life.is_dead() && !start_again;
        drop(life.daemon.take());
        self.check_records(home, life.answer.as_ref())?;
        Ok(killed)
    }

    /// The next process finds nothing held and a whole log, with every record that somebody was told of.
    fn check_records(&self, home: &Home, answer: Option<&Answer>) -> Result<(), String> {
        let daemon = home.start(&self.subject.namespace);
        let begun = Instant::now();
        while daemon.get("/v1/status").json()["state"] != "clear" {
            if begun.elapsed() > PATIENT {
                return Err(format!("never clear: {:?}", daemon.get("/v1/status")));
            }
            thread::sleep(LOOK);
        }
        daemon.stop();
        let verified = home.cli(
            &self.subject.namespace,
            &["audit", "verify", home.audit().to_str().unwrap()],
        );
        if verified.exit != Some(0) {
            return Err(format!("the audit log: {verified:?}"));
        }
        let log = fs::read_to_string(home.audit()).unwrap();
        let told = answer.filter(|answer| answer.status == 201).map(Answer::json);
        if let Some(emergency) = told {
            let id = emergency["id"].as_str().unwrap();
            if !log
                .lines()
                .any(|line| line.contains(id) && line.contains("\"event\":\"declared\""))
            {
                return Err(format!("the record of the declaration of {id} is lost:\n{log}"));
            }
        }
        let now = state(&self.subject.namespace);
        (now == self.baseline)
            .then_some(())
            .ok_or_else(|| "the next process changed something".to_owned())
    }

    /// Whether anything of ours is in the kernel, by programs that are not ours.
    fn is_cut(&self) -> bool {
        let shown = |args: &[&str]| world::run(&self.subject.namespace, "ip", args);
        match self.policy {
            "routes" => !shown(&["-4", "route"]).contains("default") || !shown(&["-6", "route"]).contains("default"),
            _ => {
                shown(&["-o", "link"]).contains("portcullis0")
                    || shown(&["-4", "rule"]).contains("prohibit")
                    || shown(&["-6", "rule"]).contains("prohibit")
            }
        }
    }

    /// Lets the next life begin where this one went wrong: a daemon without a journal removes what carries our marks, and
    /// what a cut had withdrawn is put back by hand.
    fn clean(&mut self) {
        let home = home();
        home.start(&self.subject.namespace).stop();
        ip(&self.subject.namespace, &ROUTES.replace("add", "replace"));
        self.baseline = state(&self.subject.namespace);
    }
}

struct Life {
    daemon: Option<Daemon>,
    _tracer: Option<Kid>,
    declared: Instant,
    answer: Option<Answer>,
}

impl Life {
    fn is_dead(&mut self) -> bool {
        self.daemon
            .as_mut()
            .is_some_and(|daemon| daemon.kid.child().try_wait().unwrap().is_some())
    }
}

fn home() -> Home {
    Home::with(&[
        ("additive.toml", &policy("additive", "\"gate\", \"seal\"", "closed")),
        ("routes.toml", &policy("routes", "\"routes\"", "closed")),
    ])
}

fn declare(home: &Home, policy: &str) -> std::io::Result<Answer> {
    let body = declaration(policy, u64::try_from(DURATION.as_millis()).unwrap()).to_string();
    let headers = ["Content-Type: application/json"];
    try_ask(&home.socket(), "POST", "/v1/emergencies", &headers, &body)
}

fn thread_of(daemon: &Daemon, name: &str) -> u32 {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.kid.pid())).unwrap();
    let mut named = tasks
        .map(|task| task.unwrap().path())
        .filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    let task = named.next().unwrap_or_else(|| panic!("no thread {name}"));
    task.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

fn is_traced(daemon: &Daemon, tid: u32) -> bool {
    let path = format!("/proc/{}/task/{tid}/status", daemon.kid.pid());
    let status = fs::read_to_string(path).unwrap();
    !status.contains("TracerPid:\t0\n")
}

/// Copies what a person needs to find out why.
fn keep(home: &Home, case: &Case) -> PathBuf {
    let kept = std::env::temp_dir().join(format!(
        "portcullis-inject-{}-{}-{}-{}",
        case.phase.name(),
        case.call,
        case.fault.name(),
        case.n
    ));
    fs::create_dir_all(&kept).unwrap();
    for from in ["log", "strace", "state/audit.jsonl", "state/journal.json"] {
        let from = home.path().join(from);
        if from.exists() {
            fs::copy(&from, kept.join(from.file_name().unwrap())).unwrap();
        }
    }
    kept
}
