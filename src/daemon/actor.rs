//! From a peer's credentials to the actor in the audit log: everything that the kernel and `/proc` say of it.
//!
//! It is for the record, never for a decision: a process id may be reused between the accept and the reading.

use std::fs;

use super::command::Peer;
use crate::model::record::{self, Actor};

/// More than any `/etc/passwd` that belongs on a gateway; beyond it names are left out.
const PASSWD_MAX_BYTES: u64 = 1024 * 1024;

/// The actor for a peer.
#[must_use]
pub fn of(peer: &Peer) -> Actor {
    let process = peer.pid.and_then(|pid| u32::try_from(pid).ok());
    let proc = |file: &str| process.map(|pid| format!("/proc/{pid}/{file}"));
    Actor::Peer(record::Peer {
        executable: proc("exe")
            .and_then(|p| fs::read_link(p).ok())
            .map(|p| p.to_string_lossy().into_owned()),
        gid: peer.gid,
        login_uid: proc("loginuid")
            .and_then(|p| fs::read_to_string(p).ok())
            .and_then(|text| login_uid(&text)),
        pid: process.unwrap_or(0),
        uid: peer.uid,
        user: user_name(peer.uid),
    })
}

/// How people call an actor.
#[must_use]
pub fn spoken(actor: &Actor) -> String {
    match actor {
        Actor::Daemon => "portcullisd".to_owned(),
        Actor::Peer(record::Peer {
            user: Some(user), uid, ..
        }) => format!("{user} (uid {uid})"),
        Actor::Peer(record::Peer { user: None, uid, .. }) => format!("uid {uid}"),
    }
}

/// `u32::MAX` stands for "not set" (`loginuid_set()` in `include/linux/audit.h`).
fn login_uid(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

fn user_name(uid: u32) -> Option<String> {
    users()
        .into_iter()
        .find(|(_, of_line)| *of_line == uid)
        .map(|(name, _)| name)
}

/// The uid of a user of this host.
pub(super) fn uid_of(name: &str) -> Option<u32> {
    users()
        .into_iter()
        .find(|(of_line, _)| of_line == name)
        .map(|(_, uid)| uid)
}

/// Reads `/etc/passwd` itself (passwd(5)): a name service may need the very network that is being cut.
fn users() -> Vec<(String, u32)> {
    let path = "/etc/passwd";
    let fits = fs::metadata(path).is_ok_and(|m| m.len() <= PASSWD_MAX_BYTES);
    let text = if fits {
        fs::read_to_string(path).unwrap_or_default()
    } else {
        String::new()
    };
    let user = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_named_and_an_unset_login_is_left_out() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(login_uid("4294967295\n"), None);
        assert_eq!(login_uid("1000\n"), Some(1000));
    }

    #[test]
    fn this_process_is_described_by_its_executable() {
        let peer = Peer {
            uid: 0,
            gid: 0,
            pid: i32::try_from(std::process::id()).ok(),
        };
        let Actor::Peer(described) = of(&peer) else {
            panic!("a peer is no daemon")
        };
        assert_eq!(
            described.executable,
            std::env::current_exe().ok().map(|p| p.display().to_string())
        );
    }
}
