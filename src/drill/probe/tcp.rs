//! TCP: a new connection, and one that goes on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{SockProtocol, SockType, SockaddrStorage, connect as start_connect, getsockopt, sockopt};

use super::{Answer, Origin, ProbeError, errno, ready};

/// Opens a new connection, and closes it.
///
/// # Errors
/// If no socket can be made or bound.
pub fn connect(to: SocketAddr, origin: &Origin, within: Duration) -> Result<Answer, ProbeError> {
    Ok(match open(to, origin, within)? {
        Opened::Stream(_, rtt) => Answer::Passed { rtt },
        Opened::Not(answer) => answer,
    })
}

enum Opened {
    Stream(TcpStream, Duration),
    Not(Answer),
}

fn open(to: SocketAddr, origin: &Origin, within: Duration) -> Result<Opened, ProbeError> {
    let fd = origin.socket(to.ip(), SockType::Stream, SockProtocol::Tcp)?;
    let start = Instant::now();
    match start_connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(errno) => return Ok(Opened::Not(Answer::Refused(errno))),
    }
    if !ready(&fd, PollFlags::POLLOUT, start + within)? {
        return Ok(Opened::Not(Answer::Silent));
    }
    let error = getsockopt(&fd, sockopt::SocketError).map_err(ProbeError::of("ask for a socket's error"))?;
    if error != 0 {
        return Ok(Opened::Not(Answer::Refused(Errno::from_raw(error))));
    }
    Ok(Opened::Stream(TcpStream::from(fd), start.elapsed()))
}

/// An established connection to an echo server: is it still passing bytes?
#[derive(Debug)]
pub struct Flow {
    stream: TcpStream,
    sent: u64,
    partial: Vec<u8>,
}

/// Every message is its sequence number.
const MESSAGE_BYTES: usize = 8;

impl Flow {
    /// Opens the connection and exchanges a first message.
    ///
    /// # Errors
    /// If no socket can be made. The inner error is the answer, where the connection did not come about.
    pub fn open(to: SocketAddr, origin: &Origin, within: Duration) -> Result<Result<Self, Answer>, ProbeError> {
        let stream = match open(to, origin, within)? {
            Opened::Stream(stream, _) => stream,
            Opened::Not(answer) => return Ok(Err(answer)),
        };
        stream
            .set_nodelay(true)
            .map_err(ProbeError::io("switch off delayed sending"))?;
        let mut flow = Self {
            stream,
            sent: 0,
            partial: Vec::new(),
        };
        let first = flow.exchange(within)?;
        Ok(if first.passed() { Ok(flow) } else { Err(first) })
    }

    /// The address that it comes from.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn local(&self) -> Result<SocketAddr, ProbeError> {
        self.stream.local_addr().map_err(ProbeError::io("ask for an address"))
    }

    /// Sends a message and waits for its echo. Echoes of earlier messages that come late are passed over, so the
    /// connection can be asked again after a silence.
    ///
    /// # Errors
    /// If waiting fails.
    pub fn exchange(&mut self, within: Duration) -> Result<Answer, ProbeError> {
        let start = Instant::now();
        self.sent += 1;
        match self.stream.write(&self.sent.to_be_bytes()) {
            Ok(MESSAGE_BYTES) => {}
            // Part of a message would shift all that follow; eight bytes are never split while anything fits.
            Ok(_) => return Ok(Answer::Refused(Errno::EMSGSIZE)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.sent -= 1;
                return Ok(Answer::Silent);
            }
            Err(error) => return Ok(Answer::Refused(errno(&error))),
        }
        while ready(&self.stream, PollFlags::POLLIN, start + within)? {
            match self.echoed() {
                Ok(true) => return Ok(Answer::since(start)),
                Ok(false) => {}
                Err(refusal) => return Ok(Answer::Refused(refusal)),
            }
        }
        Ok(Answer::Silent)
    }

    /// Reads what is there; true if the newest message has come back.
    fn echoed(&mut self) -> Result<bool, Errno> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            // The far side closed: for the question asked here the same as a reset.
            Ok(0) => return Err(Errno::ECONNRESET),
            Ok(count) => self.partial.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(errno(&error)),
        }
        let whole = self.partial.len() / MESSAGE_BYTES * MESSAGE_BYTES;
        let newest = self.sent.to_be_bytes();
        let found = self.partial[..whole]
            .chunks(MESSAGE_BYTES)
            .any(|message| message == newest);
        self.partial.drain(..whole);
        Ok(found)
    }
}
