//! Those who attack, each a function that goes on until it is told that it is over, and counts what it did.

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Connections that are held open at once by those who take their time.
const SLOW: usize = 1_000;
/// Connections a second that replace those which were closed.
const CHURN: usize = 200;
/// An attacker gives a blocked socket up after this, to see whether it is over.
const STUCK: Duration = Duration::from_millis(200);
/// SCM_MAX_FD of the kernel (`include/net/scm.h`).
const DESCRIPTORS_A_MESSAGE: usize = 253;

/// What is done to the daemon.
pub struct Attack {
    pub name: &'static str,
    /// Attackers at once.
    pub threads: usize,
    /// The daemon's limit of descriptors.
    pub descriptors: u32,
    /// Whether the daemon has work to do while it goes on; it must be at rest beside the others.
    pub busy: bool,
    /// Gives how often it did its thing.
    pub run: fn(&Path, &AtomicBool) -> u64,
}

const USUAL: u32 = 1_024;
const FEW: u32 = 64;

pub const ATTACKS: [Attack; 13] = [
    attack("nobody", 0, USUAL, false, |_, _| 0),
    attack("1,000 that say nothing", 1, USUAL, false, |s, o| slow(s, o, b"", 0)),
    attack("1,000 slow heads", 1, USUAL, false, |s, o| slow(s, o, b"GET /v1/st", 0)),
    attack("1,000 slow bodies", 1, USUAL, false, |s, o| slow(s, o, BODY, 0)),
    attack("1,000 slow heads, 64 descriptors", 1, FEW, false, |s, o| {
        slow(s, o, b"GET /v1/st", 0)
    }),
    attack("200 new of 1,000 slow a second", 1, USUAL, true, |s, o| {
        slow(s, o, b"GET /v1/st", CHURN)
    }),
    attack("the same, 64 descriptors", 1, FEW, true, |s, o| {
        slow(s, o, b"GET /v1/st", CHURN)
    }),
    attack("connects and hangs up", 2, USUAL, true, churn),
    attack("answers that nobody reads", 2, USUAL, true, unread),
    attack("frames of gigabytes", 4, USUAL, true, gigabytes),
    attack("253 descriptors a message", 2, USUAL, true, descriptors),
    attack("status without end", 32, USUAL, true, |s, o| flood(s, o, STATUS)),
    attack("proposals without end", 32, USUAL, true, |s, o| flood(s, o, PLAN)),
];

const STATUS: &[u8] = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
const PLAN: &[u8] = b"POST /v1/plans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
    Content-Length: 21\r\n\r\n{\"policy\":\"additive\"}";
const BODY: &[u8] = b"POST /v1/emergencies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
    Content-Length: 60000\r\n\r\n{";

const fn attack(
    name: &'static str,
    threads: usize,
    descriptors: u32,
    busy: bool,
    run: fn(&Path, &AtomicBool) -> u64,
) -> Attack {
    Attack {
        name,
        threads,
        descriptors,
        busy,
        run,
    }
}

fn connect(socket: &Path) -> Option<UnixStream> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_write_timeout(Some(STUCK)).unwrap();
    stream.set_read_timeout(Some(STUCK)).unwrap();
    Some(stream)
}

/// Many connections, each of which sends a byte a second behind how it began; `churn` of those that were closed are
/// opened anew each second.
fn slow(socket: &Path, over: &AtomicBool, begin: &[u8], churn: usize) -> u64 {
    let mut held: Vec<Option<UnixStream>> = (0..SLOW).map(|_| open_slow(socket, begin)).collect();
    let mut opened = SLOW as u64;
    while !over.load(Ordering::Relaxed) {
        let round = Instant::now();
        for place in &mut held {
            let gone = place
                .as_mut()
                .is_none_or(|stream| stream.write_all(if begin.is_empty() { b"" } else { b"x" }).is_err());
            if gone {
                *place = None;
            }
        }
        let closed = held.iter_mut().filter(|place| place.is_none());
        let pause = Duration::from_secs(1) / u32::try_from(churn.max(10)).unwrap();
        for place in closed.take(churn) {
            *place = open_slow(socket, begin);
            opened += 1;
            thread::sleep(pause);
            if over.load(Ordering::Relaxed) {
                return opened;
            }
        }
        while round.elapsed() < Duration::from_secs(1) && !over.load(Ordering::Relaxed) {
            thread::sleep(pause);
        }
    }
    opened
}

fn open_slow(socket: &Path, begin: &[u8]) -> Option<UnixStream> {
    let mut stream = connect(socket)?;
    stream.write_all(begin).ok()?;
    stream.set_nonblocking(true).unwrap();
    Some(stream)
}

fn churn(socket: &Path, over: &AtomicBool) -> u64 {
    repeat(over, || {
        if let Some(mut stream) = connect(socket) {
            // Gone already is as good.
            drop(stream.write_all(b"G"));
        }
    })
}

/// Asks and asks, and reads no answer.
fn unread(socket: &Path, over: &AtomicBool) -> u64 {
    let mut held = Vec::new();
    let question = b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
    let sent = repeat(over, || {
        if let Some(mut stream) = connect(socket) {
            drop(stream.write_all(&question));
            held.push(stream);
        }
        if held.len() > SLOW / 2 {
            held.clear();
        }
        thread::sleep(Duration::from_millis(5));
    });
    drop(held);
    sent
}

/// Announces four gigabytes and sends them; sends a body in chunks without end; sends a head without end.
fn gigabytes(socket: &Path, over: &AtomicBool) -> u64 {
    let json = "Host: localhost\r\nContent-Type: application/json\r\n";
    let begins = [
        format!("POST /v1/emergencies HTTP/1.1\r\n{json}Content-Length: 4294967296\r\n\r\n"),
        format!("POST /v1/emergencies HTTP/1.1\r\n{json}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n"),
        "GET /v1/status HTTP/1.1\r\nX-Long: ".to_owned(),
        "GET /".to_owned(),
    ];
    let block = vec![b'x'; 64 * 1024];
    let mut turn = 0;
    repeat(over, || {
        turn += 1;
        if let Some(mut stream) = connect(socket)
            && stream.write_all(begins[turn % begins.len()].as_bytes()).is_ok()
        {
            while stream.write_all(&block).is_ok() && !over.load(Ordering::Relaxed) {}
        }
    })
}

/// Sends as many descriptors beside each byte as the kernel lets through.
fn descriptors(socket: &Path, over: &AtomicBool) -> u64 {
    let null = std::fs::File::open("/dev/null").unwrap();
    let handed: Vec<RawFd> = vec![null.as_raw_fd(); DESCRIPTORS_A_MESSAGE];
    repeat(over, || {
        let Some(stream) = connect(socket) else { return };
        let rights = [ControlMessage::ScmRights(&handed)];
        for byte in STATUS.chunks(1) {
            let sent = sendmsg::<()>(
                stream.as_raw_fd(),
                &[IoSlice::new(byte)],
                &rights,
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
            if sent.is_err() {
                break;
            }
        }
    })
}

/// The same question over one connection after another, each answered before the next.
fn flood(socket: &Path, over: &AtomicBool, question: &[u8]) -> u64 {
    let mut stream = None;
    let mut answer = vec![0; 64 * 1024];
    repeat(over, || {
        let Some(open) = stream.as_mut() else {
            stream = connect(socket);
            return;
        };
        let answered = open.write_all(question).is_ok() && open.read(&mut answer).is_ok_and(|n| n > 0);
        if !answered {
            stream = None;
        }
    })
}

fn repeat(over: &AtomicBool, mut once: impl FnMut()) -> u64 {
    let mut times = 0;
    while !over.load(Ordering::Relaxed) {
        once();
        times += 1;
    }
    times
}
