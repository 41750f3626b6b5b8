//! Who may, under a policy: a right that the configuration grants can be narrowed by the policy that it is used on.

use super::Controller;
use crate::api::error::{ApiError, Code};
use crate::api::rights::Right;
use crate::daemon::actor;
use crate::daemon::policies::{Loaded, Narrowed};
use crate::daemon::rights::is_among;
use crate::model::names::PolicyName;
use crate::model::record::Actor;

impl Controller {
    /// Refuses whoever is not among those to whom the policy leaves the right. A policy that is no longer loaded narrows
    /// nothing: its emergencies must end all the same.
    pub(super) fn refuse_unnamed(&self, asker: &Actor, policy: &PolicyName, right: Right) -> Result<(), ApiError> {
        self.policies
            .named(policy.as_ref())
            .map_or(Ok(()), |loaded| refuse_unnamed(asker, loaded, right))
    }
}

/// The same of a policy at hand.
pub(super) fn refuse_unnamed(asker: &Actor, loaded: &Loaded, right: Right) -> Result<(), ApiError> {
    let Some(whom) = narrowed(&loaded.who, right) else {
        return Ok(());
    };
    let may = match asker {
        Actor::Daemon => true,
        Actor::Peer(peer) => is_among(whom, peer),
        // Whoever has no account here is nobody whom a policy can name.
        Actor::Signatory(signatory) => {
            let account = signatory.account.as_ref();
            account.is_some_and(|account| whom.includes(account.uid, account.gid, &account.groups))
        }
    };
    if may {
        return Ok(());
    }
    Err(ApiError::new(
        Code::Forbidden,
        format!(
            "the policy {} leaves the right `{}` to others than {}: {whom}",
            loaded.policy.name,
            right.word(),
            actor::spoken(asker)
        ),
        "ask one of them; `portcullis policy show` prints the policy",
    ))
}

fn narrowed(who: &Narrowed, right: Right) -> Option<&crate::daemon::rights::Whom> {
    match right {
        Right::Observe => None,
        Right::Plan | Right::Declare => who.declare.as_ref(),
        Right::Approve => who.approve.as_ref(),
        Right::Revert => who.revert.as_ref(),
    }
}
