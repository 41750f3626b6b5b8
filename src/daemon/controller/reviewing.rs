//! Declarations without the approval that their policies demand: short, announced, and open until somebody else has looked.
//!
//! The review is on the disk before the cut begins, and stays open whatever becomes of that; where none began, it is closed
//! at once. While one is open the same policy
//! takes no other declaration of this kind: one person alone must not make a short cut a long one by declaring it again.

use serde_json::json;
use tracing::warn;

use super::proposing::person;
use super::views::rfc3339_or_unknown;
use super::{Controller, chain, terms};
use crate::api::ReviewView;
use crate::api::error::{ApiError, Code};
use crate::api::rights::Right;
use crate::daemon::policies::Loaded;
use crate::model::emergency::Declaration;
use crate::model::names::{EmergencyId, PolicyName};
use crate::model::policy::Policy;
use crate::model::record::{Actor, Draft, EventKind};
use crate::model::review::Review;

/// Reviews that are open at once: one a policy, far more than anybody looks at.
const REVIEWS_MAX: usize = 64;
/// Characters of what a reviewer found.
const FINDING_MAX: usize = 500;
/// What those affected are told first.
const ALONE: &str =
    "Declared by one person alone, without the approval that the policy demands. It is short, and will be reviewed.";

/// What those affected are told.
pub(super) fn notice(policy: &Policy, break_glass: bool) -> String {
    match break_glass {
        true => format!("{ALONE} {}", policy.notice).trim_end().to_owned(),
        false => policy.notice.clone(),
    }
}

impl Controller {
    /// One declaration of this kind at a time.
    pub(super) fn refuse_unreviewed(&self, policy: &PolicyName) -> Result<(), ApiError> {
        let Some(open) = self.reviews.iter().find(|review| review.policy == *policy) else {
            return Ok(());
        };
        Err(ApiError::new(
            Code::ReviewOpen,
            format!(
                "emergency {} was declared under {policy} without approval, and not reviewed yet",
                open.id
            ),
            format!(
                "another person closes it by `portcullis review close {}`; or declare without `--break-glass`",
                open.id
            ),
        ))
    }

    /// Makes it durable that somebody else must look at this declaration.
    pub(super) fn open_review(
        &mut self,
        asker: &Actor,
        id: EmergencyId,
        loaded: &Loaded,
        declaration: &Declaration,
    ) -> Result<(), ApiError> {
        if self.reviews.len() >= REVIEWS_MAX {
            return Err(ApiError::new(
                Code::ReviewOpen,
                format!("{REVIEWS_MAX} declarations without approval wait for their reviews"),
                "`portcullis review list` names them",
            ));
        }
        let review = Review {
            id,
            policy: loaded.policy.name.clone(),
            declaration: declaration.clone(),
            declarer: person(asker)?,
            opened: self.now(),
        };
        let details = json!({
            "occasion": declaration.occasion,
            "reason": declaration.reason,
            "authority": declaration.authority,
            "policy_digest": loaded.digest,
        });
        self.reviews.push(review.clone());
        if let Err(error) = self.save_reviews() {
            self.reviews.pop();
            return Err(error);
        }
        if let Err(error) = self.decide_review(asker, EventKind::ReviewOpened, &review, details) {
            self.forget_review(id);
            return Err(error);
        }
        warn!(emergency = %id, policy = %loaded.policy.name, "declared by one person alone, without approval");
        Ok(())
    }

    /// Closes a review for which nothing was cut: there is nothing to look at, and nothing that keeps from trying again.
    pub(super) fn close_unused_review(&mut self, id: EmergencyId) {
        if let Some(review) = self.forget_review(id) {
            let details = json!({ "finding": "nothing was cut", "declared_by": review.declaration.declared_by });
            self.note(review_draft(&Actor::Daemon, EventKind::ReviewClosed, &review, details));
        }
    }

    fn forget_review(&mut self, id: EmergencyId) -> Option<Review> {
        let at = self.reviews.iter().position(|review| review.id == id)?;
        let review = self.reviews.remove(at);
        if let Err(error) = self.save_reviews() {
            warn!(%error, "a restart finds the review open again");
        }
        Some(review)
    }

    /// `GET /v1/reviews`.
    pub(super) fn review_list(&self) -> Vec<ReviewView> {
        self.reviews.iter().map(show).collect()
    }

    /// `POST /v1/reviews/{id}/close`.
    pub(super) fn close_review(&mut self, asker: &Actor, id: &str, finding: &str) -> Result<ReviewView, ApiError> {
        let at = self.reviews.iter().position(|review| review.id.to_string() == id);
        let at = at.ok_or_else(|| {
            ApiError::new(
                Code::NoSuchEmergency,
                format!("no review of an emergency {id:?} is open"),
                "`portcullis review list` names those that are",
            )
        })?;
        let review = self.reviews[at].clone();
        self.refuse_unnamed(asker, &review.policy, Right::Approve)?;
        terms::text_within("finding", finding, FINDING_MAX)?;
        review.closed_by(&person(asker)?).map_err(|refusal| {
            ApiError::new(
                Code::SamePerson,
                refusal.to_string(),
                "two people share neither their uid nor the uid with which they logged in: ask as yourself, not as root",
            )
        })?;
        let details = json!({ "finding": finding, "declared_by": review.declaration.declared_by });
        self.decide_review(asker, EventKind::ReviewClosed, &review, details)?;
        self.forget_review(review.id);
        Ok(show(&review))
    }

    /// Takes up the reviews that were open when the last daemon went.
    pub(super) fn take_up_reviews(&mut self) {
        match self.books.load_reviews() {
            Ok(reviews) => self.reviews = reviews,
            Err(error) => {
                let what = chain(&error);
                warn!(
                    error = what,
                    "the open reviews cannot be read: the audit log names them"
                );
                self.note(Draft {
                    details: json!({ "what": [what], "then": "no review is open any more" }),
                    ..Draft::of_daemon(EventKind::StateDamaged)
                });
            }
        }
    }

    fn save_reviews(&self) -> Result<(), ApiError> {
        self.books.save_reviews(&self.reviews).map_err(|error| {
            ApiError::new(
                Code::NoJournal,
                format!(
                    "the reviews could not be written, so nothing was changed: {}",
                    chain(&error)
                ),
                "see `portcullis doctor`; free the disk of the state directory",
            )
        })
    }

    fn decide_review(
        &mut self,
        asker: &Actor,
        event: EventKind,
        review: &Review,
        details: serde_json::Value,
    ) -> Result<(), ApiError> {
        self.decide(review_draft(asker, event, review, details))
    }
}

fn review_draft(actor: &Actor, event: EventKind, review: &Review, details: serde_json::Value) -> Draft {
    Draft {
        event,
        actor: actor.clone(),
        emergency: Some(review.id),
        policy: Some(review.policy.clone()),
        details,
    }
}

fn show(review: &Review) -> ReviewView {
    ReviewView {
        id: review.id.to_string(),
        policy: review.policy.to_string(),
        occasion: super::views::word(&review.declaration.occasion),
        reason: review.declaration.reason.clone(),
        authority: review.declaration.authority.clone(),
        declared_by: review.declaration.declared_by.clone(),
        opened_at: rfc3339_or_unknown(review.opened.wall_ms),
    }
}
