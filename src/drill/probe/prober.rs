//! Watches a lifeline: a probe every few milliseconds, and when each lost one was sent.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;

use super::{Origin, ProbeError, errno, ready, udp};

/// 200 a second.
pub const EVERY: Duration = Duration::from_millis(5);
/// A probe without an answer after this time is lost.
pub const LOST_AFTER: Duration = Duration::from_secs(1);

/// Probes an echo server by UDP, 200 times a second, until it is stopped.
#[derive(Debug)]
pub struct Prober {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<Watched, ProbeError>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
}

/// What a [`Prober`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Watched {
    /// When it began.
    pub begun: Instant,
    /// How many probes were sent, or would have been but for a refusal.
    pub sent: u64,
    /// How many were answered.
    pub answered: u64,
    /// The others, in the order of sending.
    pub lost: Vec<Loss>,
}

/// A probe without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was sent, after the beginning.
    pub after: Duration,
    /// What the kernel said, where it refused.
    pub errno: Option<Errno>,
}

impl Prober {
    /// Begins, from the calling thread's namespace. The lifeline must stand already.
    ///
    /// # Errors
    /// If no socket can be made, or the kernel refuses the address.
    pub fn start(to: SocketAddr, origin: &Origin) -> Result<Self, ProbeError> {
        let socket = udp::connected(to, origin)?.map_err(ProbeError::of("connect to the lifeline"))?;
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("prober".to_owned())
            .spawn(move || watch(&socket, &for_thread))
            .map_err(ProbeError::io("start a thread"))?;
        Ok(Self { shared, thread })
    }

    /// How many answers have come so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Ends, after waiting for the answers that are still out.
    ///
    /// # Errors
    /// If waiting on the socket failed.
    pub fn stop(self) -> Result<Watched, ProbeError> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn watch(socket: &UdpSocket, shared: &Shared) -> Result<Watched, ProbeError> {
    let begun = Instant::now();
    let mut out: BTreeMap<u64, Loss> = BTreeMap::new();
    let (mut sent, mut answered) = (0_u64, 0_u64);
    let mut due = begun;
    while !shared.stop.load(Ordering::Relaxed) {
        out.insert(sent, send(socket, sent, begun.elapsed()));
        sent += 1;
        due += EVERY;
        answered += collect(socket, due, &mut out)?;
        shared.answered.store(answered, Ordering::Relaxed);
    }
    let last = Instant::now() + LOST_AFTER;
    while out.values().any(|loss| loss.errno.is_none()) && Instant::now() < last {
        answered += collect(socket, (Instant::now() + EVERY).min(last), &mut out)?;
    }
    Ok(Watched {
        begun,
        sent,
        answered,
        lost: out.into_values().collect(),
    })
}

fn send(socket: &UdpSocket, sequence: u64, after: Duration) -> Loss {
    Loss {
        after,
        errno: socket.send(&sequence.to_be_bytes()).err().map(|error| errno(&error)),
    }
}

/// Takes answers until `until`, removes what they answer, and says how many came in time.
fn collect(socket: &UdpSocket, until: Instant, out: &mut BTreeMap<u64, Loss>) -> Result<u64, ProbeError> {
    let mut answered = 0;
    let mut bytes = [0; 8];
    while ready(socket, PollFlags::POLLIN, until)? {
        match socket.recv(&mut bytes) {
            Ok(8) => answered += u64::from(out.remove(&u64::from_be_bytes(bytes)).is_some()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // An ICMP error for an earlier probe, which stays without an answer and so counts as lost.
            Err(_) => {}
        }
        if Instant::now() >= until {
            break;
        }
    }
    Ok(answered)
}
