//! One change to the kernel's network state, and what became of it.

use serde::{Deserialize, Serialize};

use super::names::InterfaceName;
use super::object::Sysctl;
use super::snapshot::Object;

/// A change that is one request to the kernel (a filter with several entries is one request an entry).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", content = "with", rename_all = "kebab-case")]
pub enum Change {
    /// Create it; a link only if it is an ifb of ours. Done already if it is there (EEXIST).
    ///
    /// Routes of both families are appended behind equals (an exclusive add of an IPv6 route is refused where another
    /// link has the same prefix and metric), rules and all else are exclusive, nexthops replace their namesake, and
    /// neighbours what the kernel learnt for their address.
    Add(Object),
    /// Remove it, naming its owner's protocol number. Done already if it is gone.
    Delete(Object),
    /// Set one attribute of a link.
    SetLink {
        /// Interface index.
        index: u32,
        /// Its name, for people; the kernel is told the index.
        name: InterfaceName,
        /// What to set.
        setting: LinkSetting,
    },
    /// Write a sysctl.
    SetSysctl(Sysctl),
}

/// What [`Change::SetLink`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkSetting {
    /// IFF_UP on.
    Up,
    /// IFF_UP off.
    Down,
    /// IFLA_GROUP.
    Group(u32),
}

/// What the kernel did with a change that it did not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum Outcome {
    /// It changed.
    Applied,
    /// It was so already: EEXIST on an add; ENOENT, ESRCH, EADDRNOTAVAIL, ENODEV on a delete.
    AlreadySo,
}
