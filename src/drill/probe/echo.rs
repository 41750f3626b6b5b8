//! Echo servers, TCP and UDP: the far side of a probe.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Origin, ProbeError};

/// A TCP and a UDP echo server on each of its addresses. Stops when it is dropped.
#[derive(Debug)]
pub struct Echo {
    // Dropped first: its end wakes the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// More connections than this at once are closed when they come.
const CONNECTIONS_MAX: usize = 1024;

impl Echo {
    /// Listens in the calling thread's namespace, for which the origin's proof is demanded. The addresses must be
    /// there and past duplicate address detection; a wildcard is allowed, but then answers come from the address that
    /// the routes choose.
    ///
    /// # Errors
    /// If an address cannot be bound.
    pub fn start(at: &[SocketAddr], origin: &Origin) -> Result<Self, ProbeError> {
        let Origin { .. } = origin;
        let mut served = Served {
            listeners: Vec::new(),
            datagrams: Vec::new(),
            streams: Vec::new(),
        };
        for address in at {
            let listener = TcpListener::bind(address).map_err(ProbeError::io("listen on TCP"))?;
            let datagrams = UdpSocket::bind(address).map_err(ProbeError::io("listen on UDP"))?;
            for set in [listener.set_nonblocking(true), datagrams.set_nonblocking(true)] {
                set.map_err(ProbeError::io("make a socket non-blocking"))?;
            }
            served.listeners.push(listener);
            served.datagrams.push(datagrams);
        }
        let (stop, stopped) = UnixStream::pair().map_err(ProbeError::io("make a socket pair"))?;
        let thread = thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || served.serve_until(&stopped))
            .map_err(ProbeError::io("start a thread"))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Served {
    listeners: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
    streams: Vec<TcpStream>,
}

impl Served {
    fn serve_until(mut self, stopped: &UnixStream) {
        loop {
            let mut polled = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            polled.extend(self.listeners.iter().map(|l| PollFd::new(l.as_fd(), PollFlags::POLLIN)));
            polled.extend(self.datagrams.iter().map(|d| PollFd::new(d.as_fd(), PollFlags::POLLIN)));
            polled.extend(self.streams.iter().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
            match poll(&mut polled, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                // Without poll there is no server; probes then find nobody, which is the truth.
                Err(_) => return,
            }
            if polled[0].any() == Some(true) {
                return;
            }
            self.answer_datagrams();
            self.streams.retain_mut(echo_once);
            self.accept();
        }
    }

    fn answer_datagrams(&mut self) {
        let mut bytes = [0; 2048];
        for socket in &self.datagrams {
            // An error here is one asker's: an ICMP error to an earlier answer, or no way back. The next may have one.
            while let Ok((count, from)) = socket.recv_from(&mut bytes) {
                if socket.send_to(&bytes[..count], from).is_err() {
                    break;
                }
            }
        }
    }

    fn accept(&mut self) {
        for listener in &self.listeners {
            while let Ok((stream, _)) = listener.accept() {
                if self.streams.len() < CONNECTIONS_MAX && stream.set_nonblocking(true).is_ok() {
                    self.streams.push(stream);
                }
            }
        }
    }
}

/// Sends back what is there. False: the connection is over.
fn echo_once(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    match stream.read(&mut bytes) {
        Ok(0) => false,
        Ok(count) => stream.write_all(&bytes[..count]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
