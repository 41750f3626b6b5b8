//! From a peer to the actor in the audit log: who it is, and what of that could be another's word.

use std::fs;

use super::command::Peer;
use super::peer::Identity;
use crate::model::record::{self, Actor, Hearsay};

/// More than any `/etc/passwd` that belongs on a gateway; beyond it names are left out.
const PASSWD_MAX_BYTES: u64 = 1024 * 1024;

/// The actor for a peer.
#[must_use]
pub fn of(peer: &Peer) -> Actor {
    let process = peer.process.clone();
    let all = [Hearsay::Executable, Hearsay::Groups, Hearsay::LoginUid, Hearsay::Unit];
    let known = [
        process.executable.is_some(),
        !process.groups.is_empty(),
        // Of a process that is gone it is not even known that nobody had logged in.
        process.login_uid.is_some() || process.identity == Identity::Unknown,
        process.unit.is_some(),
    ];
    // A process may become another program, or move to another unit, after it connected.
    let in_doubt = |hearsay: &Hearsay| match process.identity {
        Identity::Pidfd => matches!(hearsay, Hearsay::Executable | Hearsay::Unit),
        Identity::StartTime | Identity::Unknown => true,
    };
    let hearsay = all.into_iter().zip(known).filter(|(_, known)| *known);
    Actor::Peer(record::Peer {
        hearsay: hearsay.map(|(which, _)| which).filter(in_doubt).collect(),
        executable: process.executable,
        gid: peer.gid,
        groups: process.groups,
        login_uid: process.login_uid,
        pid: peer.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
        uid: peer.uid,
        unit: process.unit,
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
        Actor::Signatory(signatory) => format!("{} (by signed order)", signatory.person),
    }
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
    fn root_is_named() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
    }

    #[test]
    fn what_is_known_is_recorded_and_what_could_be_another_s_word_is_marked() {
        let mut peer = Peer::new(0, 0, Some(7));
        peer.process.executable = Some("/usr/bin/curl".to_owned());
        peer.process.groups = vec![4];
        for (identity, marked) in [
            (Identity::Pidfd, vec![Hearsay::Executable]),
            (Identity::StartTime, vec![Hearsay::Executable, Hearsay::Groups]),
        ] {
            peer.process.identity = identity;
            let Actor::Peer(described) = of(&peer) else {
                panic!("a peer is no daemon")
            };
            assert_eq!(described.executable.as_deref(), Some("/usr/bin/curl"));
            assert_eq!((described.pid, described.groups), (7, vec![4]));
            assert_eq!(described.hearsay, marked, "{identity:?}");
        }
        let Actor::Peer(gone) = of(&Peer::new(0, 0, Some(7))) else {
            panic!("a peer is no daemon")
        };
        assert_eq!((gone.hearsay, gone.login_uid), (vec![Hearsay::LoginUid], None));
    }
}
