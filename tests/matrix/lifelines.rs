//! Lifelines that are probed 200 times a second for as long as a cut stands.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use portcullis::drill::namespace::NotInitial;
use portcullis::drill::probe::echo::Echo;
use portcullis::drill::probe::prober::{EVERY, LOST_AFTER, Loss, Prober};
use portcullis::drill::probe::{Answer, Origin, tcp};
use portcullis::model::object::Family;

use crate::world::matrix::PATIENT;
use crate::world::topology::Node;
use crate::world::wait_until;

/// What must answer throughout.
#[derive(Clone, Copy, Debug)]
pub struct Line<'n> {
    /// Who asks.
    pub from: &'n Node,
    /// Who answers.
    pub to: &'n Node,
    /// At which port.
    pub port: u16,
    /// By which protocol.
    pub by: Protocol,
}

/// How a lifeline is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A new connection each time, and one that stays. The kernel sends a lost SYN again after a second, which is
    /// [`LOST_AFTER`]: a probe that lost one segment is a lost probe.
    Tcp,
    /// A datagram and its answer.
    Udp,
}

/// Running probes.
#[derive(Debug)]
pub struct Lifelines {
    connecting: Vec<Repeated>,
    asking: Vec<(String, Prober)>,
    // Outlive the probes.
    _echoes: Vec<Echo>,
}

impl Lifelines {
    /// Serves the ends of all lines, and probes them in both families, until they are stopped.
    pub fn start(lines: &[Line<'_>]) -> Self {
        let mut all = Self {
            connecting: Vec::new(),
            asking: Vec::new(),
            _echoes: Self::serve(lines),
        };
        for line in lines {
            for family in Family::BOTH {
                all.probe(*line, line.to.at(family, line.port));
            }
        }
        all.wait_for_more(20);
        all
    }

    fn serve(lines: &[Line<'_>]) -> Vec<Echo> {
        let mut served: Vec<SocketAddr> = Vec::new();
        let mut echoes = Vec::new();
        for line in lines {
            let at = Family::BOTH.map(|family| line.to.at(family, line.port));
            if !served.contains(&at[0]) {
                served.extend(at);
                let started = line.to.namespace.run(|proof| Echo::start(&at, &Origin::any(proof)));
                echoes.push(started.unwrap().unwrap());
            }
        }
        echoes
    }

    fn probe(&mut self, line: Line<'_>, at: SocketAddr) {
        let name = format!("{} to {at}", line.from.namespace.name());
        match line.by {
            Protocol::Udp => {
                let started = line.from.namespace.run(|proof| Prober::start(at, &Origin::any(proof)));
                self.asking.push((format!("udp {name}"), started.unwrap().unwrap()));
            }
            Protocol::Tcp => {
                let connect = Repeated::start(format!("tcp-new {name}"), line.from, move |proof| {
                    tcp::connect(at, &Origin::any(proof), LOST_AFTER).unwrap()
                });
                let opened = line
                    .from
                    .namespace
                    .run(|proof| tcp::Flow::open(at, &Origin::any(proof), PATIENT));
                let mut flow = opened.unwrap().unwrap().unwrap();
                let exchange = Repeated::start(format!("tcp-established {name}"), line.from, move |_| {
                    flow.exchange(LOST_AFTER).unwrap()
                });
                self.connecting.extend([connect, exchange]);
            }
        }
    }

    /// Waits until each line has answered so often again.
    #[track_caller]
    pub fn wait_for_more(&self, times: u64) {
        let answered = || {
            let tcp = self
                .connecting
                .iter()
                .map(|line| line.shared.answered.load(Ordering::Relaxed));
            tcp.chain(self.asking.iter().map(|(_, prober)| prober.answered()))
                .collect::<Vec<u64>>()
        };
        let before = answered();
        wait_until("the lifelines answer", PATIENT, || {
            answered()
                .iter()
                .zip(&before)
                .all(|(now, before)| now - before >= times)
        });
    }

    /// Ends the probes; none was lost but those sent at such a time.
    #[track_caller]
    pub fn stop_unharmed(self, but_for: &[Range<Instant>]) {
        let mut lost = Vec::new();
        for line in self.connecting {
            line.shared.stop.store(true, Ordering::Relaxed);
            lost.extend(line.thread.join().unwrap());
        }
        for (name, prober) in self.asking {
            let watched = prober.stop().unwrap();
            let told = |loss: &Loss| {
                (
                    watched.begun + loss.after,
                    format!("{name}: {loss:?} of {}", watched.sent),
                )
            };
            lost.extend(watched.lost.iter().map(told));
        }
        let known = |at: &Instant| but_for.iter().any(|span| span.contains(at));
        let unknown = lost.iter().filter(|(at, _)| !known(at));
        let harm: Vec<&str> = unknown.map(|(_, what)| what.as_str()).collect();
        assert!(harm.is_empty(), "lifelines dropped:\n{}", harm.join("\n"));
    }
}

/// A probe that is made again and again on a thread of its own.
#[derive(Debug)]
struct Repeated {
    shared: Arc<Shared>,
    thread: JoinHandle<Vec<(Instant, String)>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl Repeated {
    fn start(name: String, from: &Node, mut probe: impl FnMut(NotInitial) -> Answer + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let namespace = from.namespace.try_clone().unwrap();
        let thread = thread::spawn(move || {
            let proof = namespace.join().unwrap();
            let begun = Instant::now();
            let (mut lost, mut due) = (Vec::new(), begun);
            while !for_thread.stop.load(Ordering::Relaxed) {
                let sent = Instant::now();
                let answer = probe(proof);
                if answer.passed() {
                    for_thread.answered.fetch_add(1, Ordering::Relaxed);
                } else {
                    lost.push((sent, format!("{name}: {answer:?}, asked after {:?}", sent - begun)));
                }
                // The pace; no state is waited for.
                due = (due + EVERY).max(Instant::now());
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            lost
        });
        Self { shared, thread }
    }
}
