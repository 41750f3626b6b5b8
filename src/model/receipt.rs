//! The proof after a restore: what is back, and a name for all that is not.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::names::Digest;
use super::object::{Address, Route};
use super::snapshot::{Difference, Object};

/// What a restore left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Receipt {
    /// Digest of the snapshot that the host should be in: the baseline without what the remaining cuts hold.
    pub baseline: Digest,
    /// Digest of the snapshot that was read back.
    pub after: Digest,
    /// Whether one of these may be partial, because routes kept changing while it was read.
    pub moving: bool,
    /// What is wrong and ours to put right. Empty after a good end.
    pub residues: Vec<Difference>,
    /// What others changed meanwhile, outside the cut. It is kept.
    pub foreign: Vec<Difference>,
    /// What could not be put back because others changed what it needs or where it stands; and what of theirs could not be
    /// kept.
    pub conflicts: Vec<Conflict>,
    /// What the kernel lets nobody recreate, and the plan said so; it is back by meaning.
    pub not_recreated: Vec<Difference>,
    /// What else is back by meaning only, as the plan said, though the snapshots are the same.
    #[serde(default)]
    pub unshown: Vec<Unshown>,
    /// What the baseline does not have and the kernel will still make: link-local addresses of links that came up without
    /// the carrier that they had, when that comes.
    pub to_come: Vec<Object>,
}

impl Receipt {
    /// Whether nothing of ours is left and everything that was held is back, or somebody else's doing and named.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.residues.is_empty()
    }

    /// Whether all that is left are routes that the kernel makes of addresses: it does so in a work queue of its own.
    #[must_use]
    pub fn is_up_to_the_kernel(&self) -> bool {
        let made =
            |d: &Difference| matches!(d, Difference::Missing(Object::Route(r)) if r.protocol == Route::PROTOCOL_KERNEL);
        !self.residues.is_empty() && self.residues.iter().all(made)
    }
}

/// What the kernel lets nobody recreate and no snapshot shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unshown {
    /// The place of a link's route among those that the kernel makes for one prefix over several links.
    Place {
        /// The prefix.
        prefix: IpNet,
    },
    /// That the kernel made the address by RFC 7217 (IFA_F_STABLE_PRIVACY): whoever adds an address cannot say so
    /// (`inet6_rtm_newaddr()`).
    Mark {
        /// The address.
        address: IpAddr,
        /// Its prefix length in bits.
        prefix_length: u8,
    },
}

impl Unshown {
    /// The mark of this address.
    #[must_use]
    pub fn mark_of(address: &Address) -> Self {
        Self::Mark {
            address: address.own(),
            prefix_length: address.prefix_length,
        }
    }
}

impl fmt::Display for Unshown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { prefix } => write!(f, "-6 {prefix}: the place of a link's route among equals"),
            Self::Mark { address, prefix_length } => {
                write!(f, "inet6 {address}/{prefix_length}: its mark stable-privacy")
            }
        }
    }
}

/// An object that a restore leaves alone, though the baseline has it otherwise, or that others lose by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// As the baseline has it; one that others lose, as it stood before.
    pub object: Object,
    /// Why it is left alone.
    pub why: Clash,
}

/// Why a restore leaves an object alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clash {
    /// Somebody else changed it meanwhile; theirs is kept.
    ChangedByOthers {
        /// As it is now.
        now: Object,
    },
    /// It is back, but others put something in its place that goes before it, or with it.
    BesideOthers {
        /// What they put there.
        with: Object,
    },
    /// The link that it belongs to is gone, or another link has its index.
    LinkGone {
        /// The index.
        index: u32,
    },
    /// Others hung it on a block of ours, which is gone with what it gated.
    WentWithOurs,
    /// The kernel would refuse it, because somebody took away what it needs, or the carrier without which no address is
    /// usable.
    NeedsWhatIsGone {
        /// The positive errno that the kernel would give.
        errno: i32,
    },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        match &self.why {
            Clash::ChangedByOthers { now } => write!(f, "changed by others, kept as {now}"),
            Clash::BesideOthers { with } => write!(f, "back, but not alone in its place: others put {with} there"),
            Clash::WentWithOurs => write!(f, "others put it into a block of ours, and it is gone with that"),
            Clash::LinkGone { index } => write!(f, "link {index} is gone"),
            Clash::NeedsWhatIsGone { errno } => write!(f, "needs what is not there (errno {errno})"),
        }
    }
}
