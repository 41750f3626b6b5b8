//! What is injected where.

use std::fmt;

/// The calls by which a daemon changes something or learns of something. Which of them it makes is counted.
pub const CALLS: [&str; 13] = [
    "fdatasync",
    "fsync",
    "ftruncate",
    "openat",
    "pwrite64",
    "recvfrom",
    "recvmsg",
    "renameat",
    "renameat2",
    "sendmsg",
    "sendto",
    "unlinkat",
    "write",
];

/// Which part of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A running daemon is asked for a cut, holds it and ends it: its controller's thread.
    Life,
    /// A daemon starts beside a cut that a killed one left: its main thread, which takes it up.
    Recovery,
}

pub const PHASES: [Phase; 2] = [Phase::Life, Phase::Recovery];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL instead of the call's return.
    Kill,
    Eio,
    Enospc,
}

pub const FAULTS: [Fault; 3] = [Fault::Kill, Fault::Eio, Fault::Enospc];

/// One life.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub phase: Phase,
    pub call: &'static str,
    pub fault: Fault,
    /// Counted from one, in the thread.
    pub n: u32,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Life => "life",
            Self::Recovery => "recovery",
        }
    }
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Eio => "EIO",
            Self::Enospc => "ENOSPC",
        }
    }

    /// Messages to and from the kernel need no room on a disk.
    pub fn fits(self, call: &str) -> bool {
        self != Self::Enospc || !(call.starts_with("send") || call.starts_with("recv"))
    }
}

impl Case {
    /// The argument of strace.
    pub fn inject(&self) -> String {
        let what = match self.fault {
            Fault::Kill => "signal=KILL".to_owned(),
            Fault::Eio | Fault::Enospc => format!("error={}", self.fault.name()),
        };
        format!("inject={}:{what}:when={}", self.call, self.n)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.phase.name(), self.inject())
    }
}
