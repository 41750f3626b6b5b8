//! Who is on the other end of a connection: what the kernel vouches for, and what `/proc` says of the process.
//!
//! The kernel notes uid, gid and process when somebody connects (SO_PEERCRED), but not the supplementary groups, which
//! are read from `/proc/PID/status` at accept. What is read there is of the process that connected, and of no other that
//! has its number by now, because its pidfd (SO_PEERPIDFD, Linux 6.5) says afterwards that it still runs; on older kernels
//! its start time is the same before and after. Where that fails nothing is known of the process, and it is in no
//! supplementary group. Groups count only if the process still has the ids with which it connected.
//!
//! Executable and unit are for the record, never for a decision: a process may become another program after it connected.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::UnixStream;

/// More groups than a person is in; the rest are not looked at.
const GROUPS_MAX: usize = 1024;
/// Longer than any status, stat or cgroup file with that many groups.
const PROC_MAX_BYTES: u64 = 64 * 1024;
/// Characters of a name out of `/proc` that go to the record.
const NAME_MAX_CHARS: usize = 256;

/// Who is asking: what the kernel said of the socket's other end when it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id (SO_PEERCRED, unix(7)).
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id; may have been reused since, so it is for the record and never for a decision.
    pub pid: Option<i32>,
    /// What is known of the process.
    pub process: Process,
}

/// What `/proc` said of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Supplementary groups; none where they could not be had for certain.
    pub groups: Vec<u32>,
    /// Who logged in, whatever they became since; none where audit is off.
    pub login_uid: Option<u32>,
    /// The program that it runs.
    pub executable: Option<String>,
    /// The systemd unit that it belongs to.
    pub unit: Option<String>,
    /// How it is known that this was said of the process that connected.
    pub identity: Identity,
}

/// What ties a process id to the process that connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Nothing: it is gone, or could not be read.
    #[default]
    Unknown,
    /// It had one start time before and after it was read.
    StartTime,
    /// Its pidfd, held while it was read.
    Pidfd,
}

impl Peer {
    /// A peer of whose process nothing is known.
    #[must_use]
    pub fn new(uid: u32, gid: u32, pid: Option<i32>) -> Self {
        Self {
            uid,
            gid,
            pid,
            process: Process::default(),
        }
    }

    /// This process.
    #[must_use]
    pub fn own() -> Self {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let peer = Self::new(uid, gid, i32::try_from(std::process::id()).ok());
        peer.described(None)
    }

    /// The other end of a connection that was just accepted.
    ///
    /// # Errors
    /// If the kernel does not say who it is.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let peer = Self::new(credentials.uid(), credentials.gid(), credentials.pid());
        let pidfd: Option<OwnedFd> = getsockopt(stream, sockopt::PeerPidfd).ok();
        Ok(peer.described(pidfd.as_ref().map(AsFd::as_fd)))
    }

    fn described(mut self, pidfd: Option<BorrowedFd<'_>>) -> Self {
        if let Some(pid) = self.pid.filter(|pid| *pid > 0) {
            self.process = Process::read(pid, self.uid, self.gid, pidfd).unwrap_or_default();
        }
        self
    }
}

impl Process {
    /// None: the process that connected is gone, so what was read may be another's.
    fn read(pid: i32, uid: u32, gid: u32, pidfd: Option<BorrowedFd<'_>>) -> Option<Self> {
        let begun = start_time(pid)?;
        let file = |name: &str| read(pid, name);
        let process = Self {
            groups: file("status").map_or_else(Vec::new, |text| groups(&text, uid, gid)),
            login_uid: file("loginuid").and_then(|text| login_uid(&text)),
            executable: fs::read_link(format!("/proc/{pid}/exe"))
                .ok()
                .map(|path| bounded(&path.to_string_lossy())),
            unit: file("cgroup").and_then(|text| unit(&text)),
            identity: pidfd.map_or(Identity::StartTime, |_| Identity::Pidfd),
        };
        let same = match pidfd {
            Some(pidfd) => runs(pidfd),
            None => start_time(pid) == Some(begun),
        };
        same.then_some(process)
    }
}

/// A pidfd is readable once its process has ended (pidfd_open(2)); until then nobody else has its number.
fn runs(pidfd: BorrowedFd<'_>) -> bool {
    let mut wanted = [PollFd::new(pidfd, PollFlags::POLLIN)];
    matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(0))
}

fn read(pid: i32, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/{name}")).ok()?;
    file.take(PROC_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Field 22 of proc_pid_stat(5); the name in the second may hold anything, also a parenthesis.
fn start_time(pid: i32) -> Option<u64> {
    let stat = read(pid, "stat")?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// `Groups:` of proc_pid_status(5), if the effective ids are those that connected.
fn groups(status: &str, uid: u32, gid: u32) -> Vec<u32> {
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let words = line.unwrap_or_default().split_whitespace().take(GROUPS_MAX);
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let effective = |key| numbers(key).get(1).copied();
    if effective("Uid:") == Some(uid) && effective("Gid:") == Some(gid) {
        numbers("Groups:")
    } else {
        Vec::new()
    }
}

/// `u32::MAX` stands for "not set" (`loginuid_set()` in `include/linux/audit.h`).
fn login_uid(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

/// The innermost unit of a control group: `0::/user.slice/user-1000.slice/session-3.scope` is `session-3.scope`.
fn unit(cgroup: &str) -> Option<String> {
    let path = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        ["", "name=systemd"].contains(&controllers).then(|| path.to_owned())
    };
    let path = cgroup.lines().find_map(path)?;
    let is_unit = |part: &&str| [".service", ".scope", ".slice"].iter().any(|kind| part.ends_with(kind));
    path.rsplit('/').find(is_unit).map(bounded)
}

fn bounded(text: &str) -> String {
    text.chars().take(NAME_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tsh\nUid:\t1000\t1001\t1000\t1000\nGid:\t100\t101\t100\t100\nGroups:\t4 27 100 \n";

    #[test]
    fn groups_are_those_of_a_process_that_still_is_who_connected() {
        assert_eq!(groups(STATUS, 1001, 101), [4, 27, 100]);
        for (uid, gid) in [(1000, 101), (1001, 100), (0, 0)] {
            assert!(groups(STATUS, uid, gid).is_empty(), "{uid} {gid}");
        }
        assert!(groups("", 0, 0).is_empty());
    }

    #[test]
    fn the_innermost_unit_is_named() {
        for (text, wanted) in [
            ("0::/system.slice/ssh.service\n", Some("ssh.service")),
            (
                "0::/user.slice/user-1000.slice/session-3.scope\n",
                Some("session-3.scope"),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope/b\n",
                Some("a.scope"),
            ),
            (
                "12:cpu:/x\n1:name=systemd:/system.slice/cron.service\n",
                Some("cron.service"),
            ),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn an_unset_login_is_left_out() {
        assert_eq!(login_uid("4294967295\n"), None);
        assert_eq!(login_uid("1000\n"), Some(1000));
    }

    #[test]
    fn this_process_is_described() {
        let own = Peer::own();
        let executable = std::env::current_exe().ok().map(|path| path.display().to_string());
        assert_eq!(own.process.executable, executable);
        assert_eq!(own.process.identity, Identity::StartTime);
        let known: Vec<u32> = nix::unistd::getgroups()
            .unwrap()
            .iter()
            .map(|gid| gid.as_raw())
            .collect();
        assert_eq!(own.process.groups, known);
    }

    #[tokio::test]
    async fn of_a_connection_from_a_process_that_ended_nothing_is_known_but_what_the_kernel_noted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let held = UnixStream::connect(&path).await.unwrap();
        let (alive, _) = listener.accept().await.unwrap();
        let here = Peer::of(&alive).unwrap();
        assert_eq!(here.pid, i32::try_from(std::process::id()).ok());
        assert_eq!(here.process.identity, Identity::Pidfd);
        assert!(here.process.executable.is_some());
        drop(held);

        let program = "socket(S, AF_UNIX, SOCK_STREAM, 0) and connect(S, pack_sockaddr_un($ARGV[0])) or die";
        let mut child = std::process::Command::new("perl")
            .args(["-MSocket", "-e", program])
            .arg(&path)
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        let (dead, _) = listener.accept().await.unwrap();
        let gone = Peer::of(&dead).unwrap();
        assert_eq!(gone.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(gone.process, Process::default());
    }
}
