//! The document that is signed.
//!
//! One line of canonical JSON (RFC 8785) and a newline: a person can read it, `ssh-keygen` signs the file as it is, and
//! there is one way to write it. What is not in it, it does not allow.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::people::Role;
use crate::model::canonical::{NotCanonical, canonical};
use crate::model::names::{Digest, EmergencyId, PolicyName};
use crate::model::record::Head;

/// What a signature is made for (`ssh-keygen -Y sign -n`): one made for anything else is none for an order.
pub const NAMESPACE: &str = "order@portcullis";
/// The version of the form.
pub const VERSION: u32 = 1;
/// The longest order, in bytes: the longest reason and authority in the widest letters, and all else.
pub const ORDER_MAX_BYTES: usize = 8 * 1024;
/// The longest time for which an order to cut, or to approve, is good: time to carry it to another machine and back.
pub const WINDOW_MAX_MS: i64 = 60 * 60 * 1000;
/// The same of an order to end, which may lie in a drawer: 90 days.
pub const PREPARED_MAX_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// An order. The members stand in the order of the canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What is to be done.
    pub act: Act,
    /// The boot in which it is good; an order to end that names none is good in every one.
    pub boot: Option<String>,
    /// 32 bytes that no other order has.
    pub challenge: Digest,
    /// The end of the audit log when the order was drawn up: whoever signs is a witness of it.
    pub head: Head,
    /// The host for which it is.
    pub host: Digest,
    /// From when on it is good, by the wall clock, UTC.
    pub valid_from: Timestamp,
    /// And until when.
    pub valid_until: Timestamp,
    /// [`VERSION`].
    pub version: u32,
}

/// What an order wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Approve what somebody else declared.
    Approve(Approve),
    /// Declare an emergency.
    Declare(Declare),
    /// End it.
    Revert(Target),
}

/// An approval, over the plan that was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Which proposal.
    pub emergency: EmergencyId,
    /// Digest of its plan.
    pub plan: Digest,
    /// Its policy.
    pub policy: PolicyName,
    /// Digest of the policy.
    pub policy_digest: Digest,
}

/// A declaration, over the plan that was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// The legal or organisational basis, or a ticket.
    pub authority: String,
    /// Ends by itself unless confirmed within these milliseconds; as the policy says where absent.
    pub confirm_within_ms: Option<u64>,
    /// How long, in milliseconds.
    pub duration_ms: u64,
    /// What for.
    pub occasion: Option<String>,
    /// Digest of the plan.
    pub plan: Digest,
    /// The policy.
    pub policy: PolicyName,
    /// Its digest.
    pub policy_digest: Digest,
    /// Why.
    pub reason: String,
}

/// What is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One emergency.
    Emergency(EmergencyId),
    /// Every emergency under a policy: such an order can be prepared before there is one.
    Policy(PolicyName),
}

/// Where and when an order is read.
#[derive(Clone, Debug)]
pub struct Here<'a> {
    /// The host.
    pub host: Digest,
    /// Its boot.
    pub boot: &'a str,
    /// Its wall clock.
    pub now: Timestamp,
}

impl Act {
    /// The word for it, as in the document.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Approve(_) => "approve",
            Self::Declare(_) => "declare",
            Self::Revert(_) => "revert",
        }
    }

    /// Who may order it.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Approve(_) => Role::Approve,
            Self::Declare(_) => Role::Declare,
            Self::Revert(_) => Role::Revert,
        }
    }

    /// The longest time for which it may be good, in milliseconds.
    #[must_use]
    pub fn window_max_ms(&self) -> i64 {
        match self {
            Self::Approve(_) | Self::Declare(_) => WINDOW_MAX_MS,
            Self::Revert(_) => PREPARED_MAX_MS,
        }
    }
}

impl Order {
    /// Whether it was prepared: it answers no open challenge and outlives boots, and it can only end a cut.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.boot.is_none() && matches!(self.act, Act::Revert(_))
    }

    /// The bytes to sign.
    ///
    /// # Errors
    /// If a duration is beyond what has a canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NotCanonical> {
        let mut bytes = canonical(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads an order.
    ///
    /// # Errors
    /// If it is none, or is written in another way than [`Order::to_bytes`] would write it.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > ORDER_MAX_BYTES {
            return Err(Refusal::OrderTooLong);
        }
        let order: Self = serde_json::from_slice(bytes).map_err(|_| Refusal::OrderMalformed)?;
        if order.version != VERSION {
            return Err(Refusal::OrderVersion);
        }
        match order.to_bytes() {
            Ok(canonical) if canonical == bytes => Ok(order),
            Ok(_) | Err(_) => Err(Refusal::OrderNotCanonical),
        }
    }

    /// Whether it is for this host, this boot and this hour.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self, here: &Here<'_>) -> Result<(), Refusal> {
        if self.host != here.host {
            return Err(Refusal::WrongHost);
        }
        if !self.is_prepared() && self.boot.as_deref() != Some(here.boot) {
            return Err(Refusal::WrongBoot);
        }
        let long_ms = self.valid_until.as_millisecond() - self.valid_from.as_millisecond();
        if long_ms <= 0 || long_ms > self.act.window_max_ms() {
            return Err(Refusal::BadWindow);
        }
        if here.now < self.valid_from {
            return Err(Refusal::NotYet);
        }
        if here.now >= self.valid_until {
            return Err(Refusal::Expired);
        }
        Ok(())
    }
}
