//! Who caused an event: the daemon, a process at the socket, or somebody who signed an order.

use serde::{Deserialize, Serialize};

use crate::model::canonical::{write_optional, write_string};
use crate::model::names::Digest;

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The daemon itself: a deadline, drift, a start.
    Daemon,
    /// A process on the other end of a socket.
    Peer(Peer),
    /// Somebody who signed an order, wherever they are.
    Signatory(Signatory),
}

/// Whose signature an order carried. The order itself stands in the record of its acceptance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatory {
    // The fields stand in the order of the canonical form.
    /// Their account on this host, where they have one.
    pub account: Option<Account>,
    /// The key, as `ssh-keygen -l` calls it.
    pub key: String,
    /// SHA-256 of the order.
    pub order: Digest,
    /// Their name in the file of people.
    pub person: String,
    /// Who brought the order, if a process did; of one that lay in the daemon's directory, the daemon's own.
    pub via: Option<Peer>,
}

/// An account of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    // The fields stand in the order of the canonical form.
    /// Its first group.
    pub gid: u32,
    /// All its groups, as they were when the daemon started.
    pub groups: Vec<u32>,
    /// Its user.
    pub uid: u32,
    /// Its name.
    pub user: String,
}

impl Actor {
    /// Its canonical form (RFC 8785).
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Daemon => out.extend_from_slice(b"\"daemon\""),
            Self::Peer(peer) => {
                out.extend_from_slice(b"{\"peer\":");
                write_peer(peer, out);
                out.push(b'}');
            }
            Self::Signatory(signatory) => {
                out.extend_from_slice(b"{\"signatory\":");
                write_signatory(signatory, out);
                out.push(b'}');
            }
        }
    }

    /// The user of this host that it stands for, if any.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        match self {
            Self::Daemon => None,
            Self::Peer(peer) => Some(peer.uid),
            Self::Signatory(signatory) => signatory.account.as_ref().map(|account| account.uid),
        }
    }
}

/// Credentials of a peer, as the kernel vouched for them at accept (SO_PEERCRED in `unix(7)`).
///
/// They say who connected, not who speaks: a descriptor can be handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    // The fields stand in the order of the canonical form.
    /// `/proc/PID/exe`, where it could be read.
    pub executable: Option<String>,
    /// Effective group.
    pub gid: u32,
    /// Supplementary groups, where they could be had for certain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    /// The members here that the kernel does not vouch for: the process could have changed them after it connected, or
    /// they may be another's that had its number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hearsay: Vec<Hearsay>,
    /// `/proc/PID/loginuid`: who logged in, whatever they became since; none where audit is off, and, marked as hearsay, where
    /// the process had ended before it could be read.
    pub login_uid: Option<u32>,
    /// Process.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
    /// The systemd unit of its control group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The user's name, where the uid has one.
    pub user: Option<String>,
}

/// A member of [`Peer`] that may be another's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearsay {
    /// The executable.
    Executable,
    /// The supplementary groups.
    Groups,
    /// The login uid.
    LoginUid,
    /// The unit.
    Unit,
}

impl Hearsay {
    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Executable => "executable",
            Self::Groups => "groups",
            Self::LoginUid => "login_uid",
            Self::Unit => "unit",
        }
    }
}

fn write_signatory(signatory: &Signatory, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"account\":");
    match &signatory.account {
        None => out.extend_from_slice(b"null"),
        Some(account) => {
            let groups: Vec<String> = account.groups.iter().map(u32::to_string).collect();
            let (gid, groups, uid) = (account.gid, groups.join(","), account.uid);
            out.extend_from_slice(format!("{{\"gid\":{gid},\"groups\":[{groups}],\"uid\":{uid},\"user\":").as_bytes());
            write_string(&account.user, out);
            out.push(b'}');
        }
    }
    let order = signatory.order.to_string();
    for (name, text) in [
        ("key", &signatory.key),
        ("order", &order),
        ("person", &signatory.person),
    ] {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        write_string(text, out);
    }
    out.extend_from_slice(b",\"via\":");
    match &signatory.via {
        None => out.extend_from_slice(b"null"),
        Some(peer) => write_peer(peer, out),
    }
    out.push(b'}');
}

fn write_peer(peer: &Peer, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"executable\":");
    write_optional(peer.executable.as_deref(), out);
    out.extend_from_slice(format!(",\"gid\":{}", peer.gid).as_bytes());
    let groups: Vec<String> = peer.groups.iter().map(u32::to_string).collect();
    let hearsay: Vec<String> = peer.hearsay.iter().map(|h| format!("\"{}\"", h.word())).collect();
    for (name, list) in [("groups", groups), ("hearsay", hearsay)] {
        // Left out where empty, as in the records of versions that did not have it.
        if !list.is_empty() {
            out.extend_from_slice(format!(",\"{name}\":[{}]", list.join(",")).as_bytes());
        }
    }
    let login_uid = peer.login_uid.map_or_else(|| "null".to_owned(), |uid| uid.to_string());
    let numbers = format!(",\"login_uid\":{login_uid},\"pid\":{},\"uid\":{}", peer.pid, peer.uid);
    out.extend_from_slice(numbers.as_bytes());
    if let Some(unit) = &peer.unit {
        out.extend_from_slice(b",\"unit\":");
        write_string(unit, out);
    }
    out.extend_from_slice(b",\"user\":");
    write_optional(peer.user.as_deref(), out);
    out.push(b'}');
}
