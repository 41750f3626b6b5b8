//! Who may do what: users and groups by name, looked up once, when the daemon starts.
//!
//! The configuration grants rights, and a policy may leave one to some of those who hold it. A right that is not granted
//! is denied. Uid 0 and the daemon's own uid hold every right and are in every group of people: they could change
//! configuration and policies, so a refusal would only hide what they do. Nothing in a request changes who is asking.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use nix::unistd::{Group, Uid, User};

use super::command::Peer;
use crate::api::error::{ApiError, Code};
use crate::api::rights::Right;
use crate::model::policy::{NameOf, People};
use crate::model::record;

/// People by name, each with its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whom {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

/// A name that stands for nobody here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {} {name:?} on this host{}", what.word(), because(*errno))]
pub struct UnknownName {
    /// Whose name it was to be.
    pub what: NameOf,
    /// The name.
    pub name: String,
    /// Why it could not be looked up, where it could not.
    pub errno: Option<nix::Error>,
}

fn because(errno: Option<nix::Error>) -> String {
    errno.map_or_else(String::new, |errno| format!(" ({errno})"))
}

/// The number of a user or a group, by getpwnam(3) or getgrnam(3).
///
/// # Errors
/// If nobody has the name, or that cannot be known.
pub fn number(what: NameOf, name: &str) -> Result<u32, UnknownName> {
    let unknown = |errno| UnknownName {
        what,
        name: name.to_owned(),
        errno,
    };
    let found = match what {
        NameOf::User => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
        NameOf::Group => Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())),
    };
    found
        .map_err(|errno| unknown(Some(errno)))?
        .ok_or_else(|| unknown(None))
}

impl Whom {
    /// Adds somebody.
    pub fn add(&mut self, what: NameOf, name: &str, number: u32) {
        let names = match what {
            NameOf::User => &mut self.users,
            NameOf::Group => &mut self.groups,
        };
        names.insert(name.to_owned(), number);
    }

    /// The people that a policy names; who is unknown here is left out, and so may not.
    #[must_use]
    pub fn known(people: &People) -> Self {
        let mut whom = Self::default();
        let users = people.users.iter().map(|name| (NameOf::User, name));
        for (what, name) in users.chain(people.groups.iter().map(|name| (NameOf::Group, name))) {
            match number(what, name) {
                Ok(number) => whom.add(what, name, number),
                Err(unknown) => tracing::warn!(%unknown, "a policy names somebody who is not there"),
            }
        }
        whom
    }

    /// Whether these ids are among them.
    #[must_use]
    pub fn includes(&self, uid: u32, gid: u32, groups: &[u32]) -> bool {
        self.users.values().any(|user| *user == uid)
            || self
                .groups
                .values()
                .any(|group| *group == gid || groups.contains(group))
    }

    /// Whether this is the uid of one of its users.
    #[must_use]
    pub fn is_user(&self, uid: u32) -> bool {
        self.users.values().any(|user| *user == uid)
    }

    /// How many accounts its users are.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.users.values().collect::<BTreeSet<_>>().len()
    }

    /// Its users.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// Its groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (users, groups): (Vec<&str>, Vec<&str>) = (self.users().collect(), self.groups().collect());
        let parts = [("users", users), ("groups", groups)];
        let named = parts.iter().filter(|(_, names)| !names.is_empty());
        let text: Vec<String> = named
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        f.write_str(if text.is_empty() { "nobody" } else { "" })?;
        f.write_str(&text.join("; "))
    }
}

/// Whether a uid holds every right.
#[must_use]
pub fn is_over_all(uid: u32) -> bool {
    uid == 0 || uid == Uid::effective().as_raw()
}

/// Whether somebody of the log is among people. The daemon itself acts for nobody.
#[must_use]
pub fn is_among(whom: &Whom, peer: &record::Peer) -> bool {
    is_over_all(peer.uid) || whom.includes(peer.uid, peer.gid, &peer.groups)
}

/// Who holds a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantees {
    /// Whoever can open the socket: its file permissions are the grant.
    SocketGroup,
    /// These alone.
    Named(Whom),
}

/// The rights of everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    by_right: BTreeMap<Right, Grantees>,
}

impl Default for Grants {
    /// Whoever can open the socket holds every right.
    fn default() -> Self {
        let all = Right::ALL.into_iter().map(|right| (right, Grantees::SocketGroup));
        Self {
            by_right: all.collect(),
        }
    }
}

impl Grants {
    /// Nobody but uid 0 and the daemon's own uid.
    #[must_use]
    pub fn none() -> Self {
        Self {
            by_right: BTreeMap::new(),
        }
    }

    /// With a right granted; an earlier grant of the same right is replaced.
    #[must_use]
    pub fn grant(mut self, right: Right, grantees: Grantees) -> Self {
        self.by_right.insert(right, grantees);
        self
    }

    /// Who holds a right; none: nobody else.
    #[must_use]
    pub fn holders(&self, right: Right) -> Option<&Grantees> {
        self.by_right.get(&right)
    }

    /// Lets a peer pass who holds the right.
    ///
    /// # Errors
    /// If the peer does not hold it.
    pub fn check(&self, peer: &Peer, right: Right) -> Result<(), ApiError> {
        let granted = is_over_all(peer.uid)
            || match self.holders(right) {
                None => false,
                Some(Grantees::SocketGroup) => true,
                Some(Grantees::Named(whom)) => whom.includes(peer.uid, peer.gid, &peer.process.groups),
            };
        if granted {
            return Ok(());
        }
        Err(ApiError::new(
            Code::Forbidden,
            format!("uid {} does not hold the right `{}`", peer.uid, right.word()),
            "`[rights]` in the daemon's configuration grants it; `portcullisd --check` prints who holds it",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom() -> Whom {
        let mut whom = Whom::default();
        whom.add(NameOf::User, "alice", 1000);
        whom.add(NameOf::Group, "operators", 500);
        whom
    }

    #[test]
    fn people_are_known_by_user_by_primary_and_by_supplementary_group() {
        for (uid, gid, groups, wanted) in [
            (1000, 1, &[][..], true),
            (2000, 500, &[], true),
            (2000, 1, &[4, 500], true),
            (2000, 1, &[4, 1000], false),
            (500, 1000, &[], false),
        ] {
            assert_eq!(whom().includes(uid, gid, groups), wanted, "{uid} {gid} {groups:?}");
        }
    }

    #[test]
    fn names_are_looked_up_and_an_unknown_one_is_told() {
        assert_eq!(number(NameOf::User, "root"), Ok(0));
        assert_eq!(number(NameOf::Group, "root"), Ok(0));
        let unknown = number(NameOf::Group, "no-such-group-here").unwrap_err();
        assert_eq!(unknown.to_string(), "no group \"no-such-group-here\" on this host");
    }

    #[test]
    fn two_names_of_one_account_are_one_source() {
        let mut sources = whom();
        assert!(sources.is_user(1000) && !sources.is_user(500));
        sources.add(NameOf::User, "root", 0);
        sources.add(NameOf::User, "toor", 0);
        assert_eq!(sources.accounts(), 2);
    }

    #[test]
    fn people_are_printed_by_name() {
        assert_eq!(whom().to_string(), "users alice; groups operators");
        assert_eq!(Whom::default().to_string(), "nobody");
    }
}
