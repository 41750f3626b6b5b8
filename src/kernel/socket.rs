//! One NETLINK_ROUTE socket: requests out, answers in, each accounted for.
//!
//! Blocking. A socket belongs to the network namespace of the thread that opens it, wherever it is used later.
//! It never takes silence for an answer: a missing acknowledgement, a missing end of a dump, a datagram cut short and
//! a lost one (ENOBUFS) are errors.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NetlinkBuffer, NlasIterator};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use super::KernelError;
use super::wire::{Batch, Broken, Refusal};

/// How long the kernel may be silent. It answers within the send, so more than a moment means that the answer is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a dump that the kernel flags as interrupted is read again.
const DUMP_ATTEMPTS: u32 = 10;
/// The kernel fills at most 32 KiB a datagram of a dump, and single objects are smaller.
const DATAGRAM_BYTES: usize = 128 * 1024;
/// Each acknowledgement takes about 832 bytes of the receive buffer, one with text more. These are limits, not memory.
const RECEIVE_BYTES: usize = 256 * 1024 * 1024;
const SEND_BYTES: usize = 32 * 1024 * 1024;
/// Messages in one send where the receive buffer could be forced, and where it has the default limit.
const MESSAGES_FORCED: usize = 65_536;
const MESSAGES_UNFORCED: usize = 256;
/// What the kernel keeps of the send buffer for itself, and more (`netlink_sendmsg()`: 32).
const SEND_RESERVE_BYTES: usize = 1024;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
/// NLM_F_CAPPED and NLM_F_ACK_TLVS of an acknowledgement.
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const MESSAGE_HEADER_BYTES: usize = 16;

/// What the kernel said to one message.
pub type Answer = Result<(), Rejection>;

/// The kernel refused one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The positive errno.
    pub errno: i32,
    /// The extended acknowledgement's text.
    pub message: Option<String>,
}

/// Shorthand for a failed socket call.
pub fn failed(attempted: &'static str) -> impl FnOnce(io::Error) -> KernelError {
    move |source| KernelError::Socket { attempted, source }
}

/// Opens a bound socket with as large a receive buffer as is allowed; whether that was forced.
pub fn open(receive_bytes: usize) -> Result<(Socket, bool), KernelError> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed("open"))?;
    socket.bind_auto().map_err(failed("bind"))?;
    let forced = setsockopt(&socket, sockopt::RcvBufForce, &receive_bytes).is_ok();
    if !forced {
        let refused = setsockopt(&socket, sockopt::RcvBuf, &receive_bytes);
        refused.map_err(|e| failed("enlarge the receive buffer")(e.into()))?;
    }
    Ok((socket, forced))
}

/// Waits until there is something to read; false when the time is over.
pub fn readable(socket: &Socket, timeout: Duration) -> Result<bool, KernelError> {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, or the last millisecond would be spent spinning.
        let milliseconds = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(failed("wait")(e.into())),
        }
    }
}

/// Whether a list may be torn by what happened while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Torn {
    /// It is read again.
    Refused,
    /// It is taken as it is.
    Accepted,
}

/// What one attempt at a dump came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Whole,
    Interrupted,
}

/// The request socket.
#[derive(Debug)]
pub struct Transport {
    socket: Socket,
    sequence: u32,
    /// How many messages and bytes go into one send.
    messages_max: usize,
    bytes_max: usize,
    buffer: Vec<u8>,
    /// Answers to an abandoned request may still come.
    unsettled: bool,
}

impl Transport {
    /// Opens the socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// If the kernel refuses the socket or one of the options that its answers depend on.
    pub fn open() -> Result<Self, KernelError> {
        let (socket, forced) = open(RECEIVE_BYTES)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed("connect"))?;
        socket
            .set_netlink_get_strict_chk(true)
            .map_err(failed("demand strict checks"))?;
        socket.set_ext_ack(true).map_err(failed("demand error texts"))?;
        socket
            .set_cap_ack(true)
            .map_err(failed("demand short acknowledgements"))?;
        if setsockopt(&socket, sockopt::SndBufForce, &SEND_BYTES).is_err() {
            let refused = setsockopt(&socket, sockopt::SndBuf, &SEND_BYTES);
            refused.map_err(|e| failed("enlarge the send buffer")(e.into()))?;
        }
        let send = getsockopt(&socket, sockopt::SndBuf).map_err(|e| failed("read the send buffer's size")(e.into()))?;
        Ok(Self {
            socket,
            sequence: 1,
            messages_max: if forced { MESSAGES_FORCED } else { MESSAGES_UNFORCED },
            bytes_max: send.saturating_sub(SEND_RESERVE_BYTES),
            buffer: Vec::with_capacity(DATAGRAM_BYTES),
            unsettled: false,
        })
    }

    /// Sends the messages, as many at once as the buffers hold answers for, and waits for every acknowledgement.
    ///
    /// # Errors
    /// If an answer is missing or is none: then it is not known what the kernel did.
    pub fn request(&mut self, batch: &mut Batch) -> Result<Vec<Answer>, KernelError> {
        self.settle()?;
        batch.number(self.sequence);
        let mut answers = Vec::with_capacity(batch.len());
        while answers.len() < batch.len() {
            let first = answers.len();
            let end = self.end_of_send(batch, first);
            self.unsettled = true;
            self.send(batch.span(first, end))?;
            self.collect(end - first, &mut answers)?;
            self.unsettled = false;
        }
        Ok(answers)
    }

    /// The messages from `first` that fit into one send; at least one.
    fn end_of_send(&self, batch: &Batch, first: usize) -> usize {
        let last = batch.len().min(first + self.messages_max);
        let before = first.checked_sub(1).map_or(0, |i| batch.end_of(i));
        let mut end = last;
        if batch.end_of(last - 1) - before > self.bytes_max {
            // Rare: halve until it fits, so that no walk over all messages is needed.
            while end > first + 1 && batch.end_of(end - 1) - before > self.bytes_max {
                end = first + (end - first).div_ceil(2);
            }
        }
        end
    }

    fn send(&self, bytes: &[u8]) -> Result<(), KernelError> {
        let sent = self.socket.send(bytes, 0).map_err(failed("send"))?;
        if sent == bytes.len() {
            return Ok(());
        }
        Err(failed("send")(io::Error::from(io::ErrorKind::WriteZero)))
    }

    /// Reads the acknowledgements of the next `count` sequence numbers.
    fn collect(&mut self, count: usize, answers: &mut Vec<Answer>) -> Result<(), KernelError> {
        let first = self.sequence;
        self.sequence = first.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        let mut received: Vec<Option<Answer>> = vec![None; count];
        let mut missing = count;
        while missing > 0 {
            if !self.receive()? {
                return Err(KernelError::Unacknowledged {
                    missing,
                    sent: count,
                    waited: PATIENCE,
                });
            }
            for message in messages(&self.buffer) {
                let message = message?;
                let index = usize::try_from(message.sequence_number().wrapping_sub(first)).unwrap_or(usize::MAX);
                match (received.get_mut(index), message.message_type()) {
                    (Some(slot @ None), NLMSG_ERROR) => {
                        *slot = Some(acknowledgement(&message)?);
                        missing -= 1;
                    }
                    // Answers to a request that was given up earlier were drained; these are nobody's.
                    (None | Some(_), kind) => return Err(unexpected(kind, message.sequence_number())),
                }
            }
        }
        answers.extend(received.into_iter().flatten());
        Ok(())
    }

    /// Asks one question; `take` gets the answer's payload, if there is one. What the kernel says at the end.
    ///
    /// # Errors
    /// If the end is missing, or an answer cannot be understood.
    pub fn ask(
        &mut self,
        what: &'static str,
        expected: u16,
        ask: impl Fn(&mut Batch) -> Result<(), Refusal>,
        mut take: impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<Answer, KernelError> {
        self.settle()?;
        let mut batch = Batch::default();
        ask(&mut batch).map_err(|Refusal(why)| undecodable(what)(Broken(why.to_owned())))?;
        let sequence = self.sequence;
        batch.number(sequence);
        self.sequence = sequence.wrapping_add(1);
        self.unsettled = true;
        self.send(batch.span(0, 1))?;
        loop {
            if !self.receive()? {
                return Err(KernelError::Unacknowledged {
                    missing: 1,
                    sent: 1,
                    waited: PATIENCE,
                });
            }
            for message in messages(&self.buffer) {
                let message = message?;
                match (message.sequence_number() == sequence, message.message_type()) {
                    (true, NLMSG_ERROR) => {
                        self.unsettled = false;
                        return acknowledgement(&message);
                    }
                    (true, kind) if kind == expected => take(message.payload()).map_err(undecodable(what))?,
                    (_, kind) => return Err(unexpected(kind, message.sequence_number())),
                }
            }
        }
    }

    /// Lists objects: `ask` writes the request, `take` gets every answer's payload.
    ///
    /// `empty` begins every reading, since an interrupted one is thrown away, unless it may be torn.
    ///
    /// # Errors
    /// If the kernel refuses, the list stays interrupted, or an answer cannot be understood.
    pub fn dump<T>(
        &mut self,
        what: &'static str,
        expected: u16,
        ask: impl Fn(&mut Batch, u16) -> Result<(), Refusal>,
        mut take: impl FnMut(&mut T, &[u8]) -> Result<(), Broken>,
        empty: impl Fn() -> T,
        torn: Torn,
    ) -> Result<T, KernelError> {
        for _ in 0..DUMP_ATTEMPTS {
            self.settle()?;
            let mut batch = Batch::default();
            ask(&mut batch, NLM_F_DUMP).map_err(|Refusal(why)| undecodable(what)(Broken(why.to_owned())))?;
            batch.number(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            self.unsettled = true;
            self.send(batch.span(0, 1))?;
            let mut found = empty();
            let reading = self.read_dump(what, expected, |payload| take(&mut found, payload))?;
            self.unsettled = false;
            if reading == Reading::Whole || torn == Torn::Accepted {
                return Ok(found);
            }
        }
        Err(KernelError::Unsteady {
            what,
            attempts: DUMP_ATTEMPTS,
        })
    }

    fn read_dump(
        &mut self,
        what: &'static str,
        expected: u16,
        mut take: impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<Reading, KernelError> {
        let sequence = self.sequence.wrapping_sub(1);
        let mut reading = Reading::Whole;
        loop {
            if !self.receive()? {
                return Err(KernelError::Unacknowledged {
                    missing: 1,
                    sent: 1,
                    waited: PATIENCE,
                });
            }
            for message in messages(&self.buffer) {
                let message = message?;
                if message.sequence_number() != sequence {
                    return Err(unexpected(message.message_type(), message.sequence_number()));
                }
                if message.flags() & NLM_F_DUMP_INTR != 0 {
                    reading = Reading::Interrupted;
                }
                match message.message_type() {
                    NLMSG_NOOP => {}
                    NLMSG_DONE => return done(what, &message).map(|()| reading),
                    NLMSG_ERROR => return Err(refused(what, acknowledgement(&message)?)),
                    kind if kind == expected => take(message.payload()).map_err(undecodable(what))?,
                    kind => return Err(unexpected(kind, sequence)),
                }
            }
        }
    }

    /// Reads one datagram from the kernel into the buffer; false when nothing came in time.
    fn receive(&mut self) -> Result<bool, KernelError> {
        let until = Instant::now() + PATIENCE;
        loop {
            self.buffer.clear();
            let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
            match self.socket.recv_from(&mut self.buffer, flags) {
                Ok((0, _)) => return Err(failed("receive")(io::Error::from(io::ErrorKind::UnexpectedEof))),
                Ok((length, _)) if length > self.buffer.len() => {
                    return Err(failed("receive a whole datagram")(io::Error::from(
                        io::ErrorKind::InvalidData,
                    )));
                }
                Ok((_, sender)) if sender.port_number() == 0 => return Ok(true),
                // Another process may send to our port; only the kernel is listened to.
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if !readable(&self.socket, until.saturating_duration_since(Instant::now()))? {
                        return Ok(false);
                    }
                }
                Err(e) => return Err(failed("receive")(e)),
            }
        }
    }

    /// Throws away what still comes to a request that was given up. Reading drives an unfinished dump to its end.
    fn settle(&mut self) -> Result<(), KernelError> {
        while self.unsettled {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, libc::MSG_DONTWAIT) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.unsettled = false,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) || e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed("receive")(e)),
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

fn undecodable(what: &'static str) -> impl FnOnce(Broken) -> KernelError {
    move |Broken(why)| KernelError::Undecodable { what, why }
}

fn unexpected(kind: u16, sequence: u32) -> KernelError {
    undecodable("an answer")(Broken(match kind {
        NLMSG_OVERRUN => "messages were lost".to_owned(),
        kind => format!("type {kind} with sequence number {sequence} was not asked for"),
    }))
}

/// The messages of one datagram.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<NetlinkBuffer<&[u8]>, KernelError>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = NetlinkBuffer::new_checked(rest);
        let length = message.as_ref().map_or(rest.len(), |m| {
            usize::try_from(m.length()).unwrap_or(usize::MAX).next_multiple_of(4)
        });
        rest = rest.get(length..).unwrap_or_default();
        Some(message.map_err(|e| undecodable("an answer")(Broken(e.to_string()))))
    })
}

fn errno_of(payload: &[u8]) -> Result<i32, KernelError> {
    let number = payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    // The kernel sends negative numbers; 0 is "done".
    number
        .filter(|&n| n <= 0)
        .map(i32::wrapping_neg)
        .ok_or_else(|| undecodable("an answer")(Broken("an acknowledgement without an error number".to_owned())))
}

/// `struct nlmsgerr`: the error, the header of the request (all of it unless capped), and attributes.
pub fn acknowledgement(message: &NetlinkBuffer<&[u8]>) -> Result<Answer, KernelError> {
    let payload = message.payload();
    let errno = errno_of(payload)?;
    if errno == 0 {
        return Ok(Ok(()));
    }
    let request = if message.flags() & CAPPED != 0 {
        MESSAGE_HEADER_BYTES
    } else {
        let length = payload
            .get(4..8)
            .and_then(|b| b.first_chunk())
            .map(|b| u32::from_ne_bytes(*b));
        length
            .and_then(|l| usize::try_from(l).ok())
            .unwrap_or(0)
            .next_multiple_of(4)
    };
    let message = text(message.flags(), payload.get(4 + request..).unwrap_or_default());
    Ok(Err(Rejection { errno, message }))
}

/// NLMSGERR_ATTR_MSG, where the kernel gave one.
fn text(flags: u16, attributes: &[u8]) -> Option<String> {
    if flags & ACK_TLVS == 0 {
        return None;
    }
    NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|a| a.kind() == NLMSGERR_ATTR_MSG)
        .map(|a| String::from_utf8_lossy(a.value()).trim_end_matches('\0').to_owned())
}

/// The end of a dump carries an error where the kernel broke off.
fn done(what: &'static str, message: &NetlinkBuffer<&[u8]>) -> Result<(), KernelError> {
    match errno_of(message.payload())? {
        0 => Ok(()),
        errno => {
            let message = text(message.flags(), message.payload().get(4..).unwrap_or_default());
            Err(KernelError::Dump { what, errno, message })
        }
    }
}

fn refused(what: &'static str, answer: Answer) -> KernelError {
    match answer {
        Err(Rejection { errno, message }) => KernelError::Dump { what, errno, message },
        Ok(()) => undecodable(what)(Broken("an acknowledgement instead of a list".to_owned())),
    }
}

#[cfg(test)]
mod tests;
