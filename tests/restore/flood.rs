//! Traffic that must not pass: a thousand datagrams a second, numbered, and when each arrived.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portcullis::drill::namespace::Namespace;

/// One datagram a millisecond.
const EVERY: Duration = Duration::from_millis(1);

/// Floods from one namespace to another until it is dropped.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    last: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Begins to send from `from` to the address `to` of `into`.
    pub fn start(from: &Namespace, into: &Namespace, to: SocketAddr) -> Self {
        let socket = |at: &Namespace, bound: SocketAddr| at.run(|_| std::net::UdpSocket::bind(bound).unwrap()).unwrap();
        let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
        let (sink, source) = (socket(into, to), socket(from, any));
        sink.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let flood = Self {
            stop: Arc::default(),
            sent: Arc::default(),
            last: Arc::default(),
            threads: Vec::new(),
        };
        let (stop, sent) = (Arc::clone(&flood.stop), Arc::clone(&flood.sent));
        let sender = thread::spawn(move || {
            let mut due = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                let number = sent.load(Ordering::Relaxed) + 1;
                // A refusal is what a cut answers.
                drop(source.send_to(&number.to_be_bytes(), to));
                sent.store(number, Ordering::Relaxed);
                due += EVERY;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        let (stop, last) = (Arc::clone(&flood.stop), Arc::clone(&flood.last));
        let receiver = thread::spawn(move || {
            let mut number = [0; 8];
            while !stop.load(Ordering::Relaxed) {
                if sink.recv(&mut number).is_ok() {
                    last.store(u64::from_be_bytes(number), Ordering::Relaxed);
                }
            }
        });
        Self {
            threads: vec![sender, receiver],
            ..flood
        }
    }

    /// The number of the last that was sent; the next may be on its way.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The number of the last that arrived.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Routes that come and go without end, until it is stopped.
#[derive(Debug)]
pub struct Churn {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How long the first of the changes may take to come.
const BEGUN: Duration = Duration::from_secs(10);

impl Churn {
    /// Adds and deletes the same routes over and over, as fast as `ip` does, and has begun to when this returns.
    pub fn start(at: &Namespace) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let at = at.try_clone().unwrap();
        let lines: String = (0..250)
            .map(|n| format!("route add 10.200.{n}.0/24 via 10.0.9.1\nroute del 10.200.{n}.0/24 via 10.0.9.1\n"))
            .collect();
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&rounds);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                crate::world::ip(&at, &lines);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        crate::world::wait_until("routes come and go", BEGUN, || rounds.load(Ordering::Relaxed) > 0);
        Self { stop, thread }
    }

    /// Ends it with the last route deleted.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}
