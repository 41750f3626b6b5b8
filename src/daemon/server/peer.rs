//! Who may do what. The peer is what the kernel said when the connection was accepted; nothing in a request changes it.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::Failure;
use crate::api::error::Code;
use crate::api::rights::Right;
use crate::daemon::command::Peer;

/// Who holds a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantees {
    /// Whoever can open the socket: its file permissions are the grant.
    SocketGroup,
    /// These alone.
    Named {
        /// User ids.
        uids: BTreeSet<u32>,
        /// Effective group ids. SO_PEERCRED tells no supplementary groups: name such members by uid.
        gids: BTreeSet<u32>,
    },
}

/// The rights of everybody. A right that is not granted is denied. Uid 0 and the daemon's own uid hold every right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    own_uid: u32,
    by_right: BTreeMap<Right, Grantees>,
}

impl Default for Grants {
    /// Whoever can open the socket holds all four rights.
    fn default() -> Self {
        [Right::Observe, Right::Plan, Right::Declare, Right::Revert]
            .into_iter()
            .fold(Self::none(), |grants, right| grants.grant(right, Grantees::SocketGroup))
    }
}

impl Grants {
    /// Nobody but uid 0 and the daemon's own uid.
    #[must_use]
    pub fn none() -> Self {
        Self {
            own_uid: nix::unistd::Uid::effective().as_raw(),
            by_right: BTreeMap::new(),
        }
    }

    /// With a right granted; an earlier grant of the same right is replaced.
    #[must_use]
    pub fn grant(mut self, right: Right, grantees: Grantees) -> Self {
        self.by_right.insert(right, grantees);
        self
    }

    /// Lets a peer pass who holds the right.
    pub(super) fn check(&self, peer: &Peer, right: Right) -> Result<(), Failure> {
        let granted = peer.uid == 0
            || peer.uid == self.own_uid
            || match self.by_right.get(&right) {
                None => false,
                Some(Grantees::SocketGroup) => true,
                Some(Grantees::Named { uids, gids }) => uids.contains(&peer.uid) || gids.contains(&peer.gid),
            };
        if granted {
            return Ok(());
        }
        Err(Failure::refused(
            Code::Forbidden,
            &format!("uid {} does not hold the right `{}`", peer.uid, name(right)),
            "ask root, or the user whom the daemon runs as: they hold every right",
        ))
    }
}

/// The right as it is written everywhere.
pub(super) fn name(right: Right) -> &'static str {
    match right {
        Right::Observe => "observe",
        Right::Plan => "plan",
        Right::Declare => "declare",
        Right::Revert => "revert",
    }
}
