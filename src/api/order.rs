//! Signed orders on the wire: drawn up by the daemon, signed anywhere, handed in by anybody.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EmergencyView, ReceiptView};

/// The body of `POST /v1/orders/new`: an order to be drawn up, for somebody to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// What it is to order.
    pub act: NewAct,
    /// For how many milliseconds it is to be good: at most an hour to declare or to approve, 90 days to end; 15 minutes and
    /// a day where absent.
    #[serde(default)]
    pub valid_for_ms: Option<u64>,
}

/// What an order is to order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NewAct {
    /// Approving what was declared.
    Approve(NewApproval),
    /// Declaring.
    Declare(NewDeclaration),
    /// Ending.
    Revert(NewRevert),
}

/// An approval to be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// UUID of the proposal.
    pub emergency: String,
    /// Digest of its plan, as the proposal shows it.
    pub plan: String,
}

/// A declaration to be ordered. The fields are those of [`DeclareRequest`](super::DeclareRequest).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeclaration {
    /// The policy's name.
    pub policy: String,
    /// What for; may be left out where the policy allows just one occasion.
    #[serde(default)]
    pub occasion: Option<String>,
    /// Why: 1 to 500 characters.
    pub reason: String,
    /// The legal or organisational basis, or a ticket: 1 to 200 characters.
    pub authority: String,
    /// Milliseconds; the policy's default where absent.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// Ends by itself unless confirmed within these milliseconds.
    #[serde(default)]
    pub confirm_within_ms: Option<u64>,
    /// Digest of the plan that was shown.
    pub plan: String,
}

/// What is to be ended by an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NewRevert {
    /// One emergency, by its UUID.
    Emergency(String),
    /// Every emergency under this policy; it may be drawn up before there is one.
    Policy(String),
}

/// An order that was drawn up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderDraft {
    /// The bytes to sign, as they are: `ssh-keygen -Y sign -n order@portcullis`.
    pub order: String,
    /// Their SHA-256.
    pub digest: String,
    /// Until when the order is good.
    pub valid_until: String,
}

/// The body of `POST /v1/orders`: an order and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// The bytes that were signed.
    pub order: String,
    /// What `ssh-keygen -Y sign` made of them.
    pub signature: String,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// `declare`, `approve` or `revert`.
    pub act: String,
    /// SHA-256 of the order.
    pub digest: String,
    /// Who signed.
    pub person: String,
    /// With which key, as `ssh-keygen -l` calls it.
    pub key: String,
    /// The emergency that was declared or approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<EmergencyView>,
    /// The receipts of those that were ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<ReceiptView>,
}
