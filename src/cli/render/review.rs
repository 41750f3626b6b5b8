//! Declarations without approval that wait for another person's review.

use super::{Paint, fields, paint, safe};
use crate::api::ReviewView;

pub(crate) fn list(reviews: &[ReviewView]) -> String {
    if reviews.is_empty() {
        return "no review is open\n".to_owned();
    }
    let each: Vec<String> = reviews.iter().map(|review| one(review, Paint::Alarm, "open")).collect();
    each.join("\n")
}

pub(crate) fn closed(review: &ReviewView) -> String {
    one(review, Paint::Calm, "closed")
}

fn one(review: &ReviewView, style: Paint, state: &str) -> String {
    let heading = format!("Review of emergency {}", safe(&review.id));
    let rows = fields(
        "  ",
        [
            ("policy", review.policy.clone()),
            ("occasion", review.occasion.clone()),
            ("reason", review.reason.clone()),
            ("authority", review.authority.clone()),
            (
                "declared",
                format!("{} by {}, without approval", review.opened_at, review.declared_by),
            ),
        ],
    );
    format!("{}: {}\n{rows}", paint(Paint::Strong, &heading), paint(style, state))
}

/// A line for `status`.
pub(crate) fn line(review: &ReviewView) -> String {
    format!(
        "{} under {}, declared {} by {}: `portcullis review close {}`",
        review.id, review.policy, review.opened_at, review.declared_by, review.id
    )
}
