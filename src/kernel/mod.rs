//! The only door to netlink.
//!
//! [`Kernel`] wraps what this program does with the kernel, not what a library offers. [`netlink::Netlink`] is the real
//! one; [`sim::ModelKernel`] is one in memory that fails, dies and changes under our feet on demand.
//!
//! **Invariant:** `Ok` means that the kernel acknowledged every message by name. A connection that went away, an
//! acknowledgement that was lost, a message that could not be decoded and a dump that was interrupted too often are
//! errors, never an empty answer.

pub mod sim;

use std::fmt;
use std::time::Duration;

use crate::model::change::{Change, Outcome};
use crate::model::duration::written;
use crate::model::lookup::{Query, Way};
use crate::model::snapshot::Snapshot;

mod describe;
#[doc(hidden)]
pub mod fuzz;
pub mod netlink;
mod socket;
mod sysctl;
mod watch;
mod wire;

/// What this program asks of a kernel. All calls block; the daemon makes them on a thread of their own.
pub trait Kernel: Send {
    /// Reads these kinds of objects, consistently: nothing happened to them while they were read.
    ///
    /// # Errors
    /// If a dump fails, is interrupted more often than a bound, or holds a message that cannot be decoded.
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError>;

    /// The same for a kernel that may never hold still: if it does not, only the kinds of `still` are read consistently,
    /// and the snapshot says of itself that it is [`moving`](Snapshot::moving).
    ///
    /// # Errors
    /// As with [`Kernel::snapshot`], of the kinds of `still`.
    fn glance(&mut self, kinds: Kinds, _still: Kinds) -> Result<Snapshot, KernelError> {
        self.snapshot(kinds)
    }

    /// Sends the changes at once and waits for each one's acknowledgement. The answers are in the order of the changes.
    ///
    /// The kernel runs every message even where one before it failed, and even if this process dies after the send.
    ///
    /// # Errors
    /// The outer error is one of the transport: then nothing is known, and the caller reads back.
    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError>;

    /// Asks where a packet would go. Filters are not asked.
    ///
    /// # Errors
    /// If there is no answer, or it cannot be understood.
    fn way(&mut self, query: &Query) -> Result<Way, KernelError>;

    /// Subscribes to what changes from now on.
    ///
    /// # Errors
    /// If the subscription is refused.
    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError>;
}

/// A subscription to changes of links, addresses, routes, rules, nexthops and traffic control. Neighbours and sysctls tell
/// of no change here: who wants to know reads them.
pub trait Watch: Send + fmt::Debug {
    /// Waits until something changed or the time is over. Level-triggered: one `Changed` may stand for many events.
    ///
    /// # Errors
    /// If the subscription is lost.
    fn wait(&mut self, timeout: Duration) -> Result<Seen, KernelError>;
}

/// What [`Watch::wait`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Seen {
    /// Something changed; read it.
    Changed,
    /// Events were lost (ENOBUFS); read everything.
    Overrun,
    /// Nothing in the time given.
    Nothing,
}

/// Which kinds of objects a snapshot reads. Additive methods need no routes, and routes are what is many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of eight independent kinds, built by constants"
)]
pub struct Kinds {
    /// Links.
    pub links: bool,
    /// Addresses.
    pub addresses: bool,
    /// Nexthop objects.
    pub nexthops: bool,
    /// Routes.
    pub routes: bool,
    /// Rules.
    pub rules: bool,
    /// Permanent and proxy neighbours.
    pub neighbours: bool,
    /// Qdiscs and filters.
    pub traffic_control: bool,
    /// Sysctls.
    pub sysctls: bool,
}

impl Kinds {
    /// Nothing, to add to.
    pub const NONE: Self = Self {
        links: false,
        addresses: false,
        nexthops: false,
        routes: false,
        rules: false,
        neighbours: false,
        traffic_control: false,
        sysctls: false,
    };

    /// Everything.
    pub const ALL: Self = Self {
        links: true,
        addresses: true,
        nexthops: true,
        routes: true,
        rules: true,
        neighbours: true,
        traffic_control: true,
        sysctls: true,
    };
}

/// The kernel refused a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to {attempted}: {} (errno {errno}){}", nix::errno::Errno::from_raw(*errno).desc(), quoted(.message))]
pub struct ChangeError {
    /// What was tried, on what, as `ip` or `tc` would write it.
    pub attempted: String,
    /// The positive errno.
    pub errno: i32,
    /// The kernel's extended acknowledgement (NLMSGERR_ATTR_MSG), where it gave one.
    pub message: Option<String>,
}

fn quoted(message: &Option<String>) -> String {
    message
        .as_ref()
        .map(|m| format!(", the kernel says {m:?}"))
        .unwrap_or_default()
}

/// The door itself failed: what the kernel did is not known until it is read back.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A socket call failed.
    #[error("failed to {attempted} on the netlink socket")]
    Socket {
        /// What was tried.
        attempted: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The kernel refused a dump.
    #[error("the kernel refused to list {what}: errno {errno}{}", quoted(.message))]
    Dump {
        /// Which objects.
        what: &'static str,
        /// The positive errno.
        errno: i32,
        /// Extended acknowledgement.
        message: Option<String>,
    },
    /// A dump never came out the same twice.
    #[error("the list of {what} kept changing while it was read, {attempts} times in a row")]
    Unsteady {
        /// Which objects.
        what: &'static str,
        /// How often it was read.
        attempts: u32,
    },
    /// A message from the kernel could not be understood.
    #[error("a message about {what} from the kernel could not be decoded: {why}")]
    Undecodable {
        /// Which objects.
        what: &'static str,
        /// Where it broke.
        why: String,
    },
    /// The answer to a request did not come.
    #[error("the kernel did not acknowledge {missing} of {sent} messages within {}", written(*waited))]
    Unacknowledged {
        /// How many acknowledgements are missing.
        missing: usize,
        /// How many messages were sent.
        sent: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// A sysctl could not be read or written.
    #[error("failed to {attempted} sysctl {name}")]
    Sysctl {
        /// `read` or `write`.
        attempted: &'static str,
        /// Its dotted name.
        name: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A scripted fault of the model kernel.
    #[error("scripted fault: {0}")]
    Scripted(&'static str),
}
