//! The only way in for callers: HTTP/1.1 and JSON over Unix sockets, one for operators and, where it is configured, one for
//! hooks. Both have the same limits and checks, each its own places; a request knows by which it came, and reaches only the methods
//! that the table of methods opens to that one.
//!
//! The server finds out who is calling, whether the request is well formed and whether the caller holds the right that
//! the method needs; then it asks the controller and hands on the answer. It decides nothing about emergencies, touches
//! neither kernel nor disk, and never listens on a network.
//!
//! The accept loop is our own, because `axum::serve` installs no timer: a connection that sends half a head would stay
//! for ever. Each connection is a task with a place of its own (see `admission`) and limits (see [`limits`]).
//!
//! A server that is dropped or stopped takes its socket files along; commands that were sent to the controller go on.

mod admission;
mod connection;
mod door;
mod extract;
mod handlers;
pub mod limits;
mod openapi;
mod problem;
mod refusals;
mod routes;
mod socket;
#[cfg(test)]
mod tests;

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::admission::Admission;
use self::connection::{Caller, Shared};
use self::limits::Limits;
use self::refusals::Refusals;
pub use self::socket::ServerError;
use self::socket::SocketFile;
use super::command::{ControllerHandle, Peer};
use super::rights::Grants;
use crate::api::rights::Door;

/// A bound socket, or two, that nobody serves yet.
#[derive(Debug)]
pub struct Server {
    operators: Bound,
    hooks: Option<Bound>,
    grants: Grants,
    limits: Limits,
}

/// One of them.
#[derive(Debug)]
struct Bound {
    listener: std::os::unix::net::UnixListener,
    // Held for its drop, which removes the file.
    file: SocketFile,
}

impl Bound {
    fn at(path: &Path, group: Option<&str>) -> Result<Self, ServerError> {
        let (listener, file) = socket::bind(path, group)?;
        Ok(Self { listener, file })
    }

    fn open(self) -> io::Result<(UnixListener, SocketFile)> {
        Ok((UnixListener::from_std(self.listener)?, self.file))
    }
}

impl Server {
    /// Binds the socket of operators at `path` with mode 0660, owned by `group` (a name or a number) where one is given. Callers may connect
    /// from now on; they wait until [`Server::run`].
    ///
    /// # Errors
    /// If the path is too long, somebody answers there, something that is not our stale socket is there, the group does
    /// not exist, or a system call fails.
    pub fn bind(path: &Path, group: Option<&str>) -> Result<Self, ServerError> {
        Ok(Self {
            operators: Bound::at(path, group)?,
            hooks: None,
            grants: Grants::default(),
            limits: Limits::DEFAULT,
        })
    }

    /// Whether this host has the group, as [`Server::bind`] would find it.
    ///
    /// # Errors
    /// If the group does not exist or cannot be looked up.
    pub fn knows_group(path: &Path, group: &str) -> Result<(), ServerError> {
        socket::resolve(path, group).map(|_| ())
    }

    /// Binds the socket of hooks, too, in the same way.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn with_hooks(self, path: &Path, group: Option<&str>) -> Result<Self, ServerError> {
        let hooks = Some(Bound::at(path, group)?);
        Ok(Self { hooks, ..self })
    }

    /// With other rights than the default, by which whoever can open the socket holds all of them.
    #[must_use]
    pub fn with_grants(self, grants: Grants) -> Self {
        Self { grants, ..self }
    }

    /// With other limits. For tests, which cannot wait for the real ones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Answers callers until `shutdown` is ready, then waits at most [`Limits::shutdown_grace`] for answers under way.
    ///
    /// # Errors
    /// If the runtime does not take a socket, or the limit of descriptors cannot be read.
    pub async fn run(self, controller: ControllerHandle, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (operators, operators_file) = self.operators.open()?;
        let (hooks, hooks_file) = self.hooks.map(Bound::open).transpose()?.unzip();
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let sockets = 1 + usize::from(hooks.is_some());
        let limits = self
            .limits
            .within(usize::try_from(descriptors).unwrap_or(usize::MAX), sockets);
        let refusals = Refusals::new(controller.clone(), limits);
        let hall = Hall::new(Shared {
            router: routes::router(controller, refusals.clone(), self.grants, limits),
            refusals,
            limits,
        });
        hall.receive(Listeners { operators, hooks }, shutdown).await;
        drop((operators_file, hooks_file));
        Ok(())
    }
}

/// A server without a socket and without a controller behind it: for the fuzzer and the replay of its corpus (`fuzz/`).
#[doc(hidden)]
#[derive(Debug)]
pub struct Detached(Shared);

#[doc(hidden)]
impl Default for Detached {
    fn default() -> Self {
        let (controller, _) = ControllerHandle::channel();
        let refusals = Refusals::new(controller.clone(), Limits::DEFAULT);
        Self(Shared {
            router: routes::router(controller, refusals.clone(), Grants::default(), Limits::DEFAULT),
            refusals,
            limits: Limits::DEFAULT,
        })
    }
}

#[doc(hidden)]
impl Detached {
    /// What is answered to these bytes on one connection.
    ///
    /// # Errors
    /// If there is no socket pair to be had, or the bytes are more than fit into one.
    pub async fn exchange(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
        here.set_nonblocking(true)?;
        there.set_nonblocking(true)?;
        here.write_all(bytes)?;
        here.shutdown(std::net::Shutdown::Write)?;
        let peer = Peer::new(0, 0, None);
        let place = Admission::new(self.0.limits).admit(peer.uid);
        let place = place.ok_or(io::ErrorKind::ResourceBusy)?;
        let (_stop, stopped) = watch::channel(false);
        let caller = Caller {
            peer,
            door: Door::Operators,
        };
        connection::serve(UnixStream::from_std(there)?, caller, place, self.0.clone(), stopped).await;
        let mut answer = Vec::new();
        match here.read_to_end(&mut answer) {
            // Reset: it did not read everything, and said why before.
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            Ok(_) | Err(_) => Ok(answer),
        }
    }
}

/// Where connections come from; tests script one that fails.
trait Accept {
    /// The next connection. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(UnixStream, Caller)>> + Send;
}

/// The sockets, each with whose it is.
struct Listeners {
    operators: UnixListener,
    hooks: Option<UnixListener>,
}

impl Accept for Listeners {
    async fn accept(&mut self) -> io::Result<(UnixStream, Caller)> {
        let at_hooks = async {
            match &self.hooks {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        // By turns, so that no crowd at the one keeps the other waiting.
        let (accepted, door) = tokio::select! {
            accepted = self.operators.accept() => (accepted, Door::Operators),
            accepted = at_hooks => (accepted, Door::Hooks),
        };
        let (stream, _) = accepted?;
        let peer = Peer::of(&stream)?;
        Ok((stream, Caller { peer, door }))
    }
}

/// The connections and what they share.
struct Hall {
    shared: Shared,
    /// Each socket has places of its own: no crowd of hooks takes those of operators.
    operators: Admission,
    hooks: Admission,
    stop: watch::Sender<bool>,
    connections: JoinSet<()>,
}

impl Hall {
    fn new(shared: Shared) -> Self {
        Self {
            operators: Admission::new(shared.limits),
            hooks: Admission::new(shared.limits),
            shared,
            stop: watch::Sender::new(false),
            connections: JoinSet::new(),
        }
    }

    async fn receive(mut self, mut door: impl Accept, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                // In order, so that no flood of callers can put off the end.
                biased;
                () = &mut shutdown => break,
                Some(ended) = self.connections.join_next() => report(ended),
                accepted = door.accept() => match accepted {
                    Ok((stream, caller)) => {
                        self.admit(stream, caller);
                        // What has come with the connection is read before the next caller can take its place.
                        tokio::task::yield_now().await;
                    }
                    Err(error) => {
                        // Out of descriptors or memory the connection stays in the backlog and accept fails again at
                        // once: without a pause this loop would take the processor from the restore.
                        tracing::warn!(%error, "accept failed, pausing");
                        tokio::time::sleep(self.shared.limits.accept_pause).await;
                    }
                },
            }
        }
        drop(door);
        self.stop.send_replace(true);
        while let Some(ended) = self.connections.join_next().await {
            report(ended);
        }
    }

    fn admit(&mut self, stream: UnixStream, caller: Caller) {
        let admission = match caller.door {
            Door::Operators => &self.operators,
            Door::Hooks => &self.hooks,
        };
        // Without a place it is closed unread.
        let Some(place) = admission.admit(caller.peer.uid) else {
            return;
        };
        let stop = self.stop.subscribe();
        let shared = self.shared.clone();
        self.connections
            .spawn(connection::serve(stream, caller, place, shared, stop));
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of a connection failed");
    }
}
