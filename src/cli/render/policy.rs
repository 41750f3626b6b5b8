//! Policies, and what is wrong with a file.

use super::{Paint, fields, lines, paint, safe, table};
use crate::api::{PolicySummary, PolicyView};
use crate::model::duration::written_ms;
use crate::model::policy_file::{Colour, PolicyErrors};

pub(crate) fn list(policies: &[PolicySummary]) -> String {
    if policies.is_empty() {
        return "no policy is loaded\n".to_owned();
    }
    let head = ["NAME", "METHODS", "AFFECTS", "FOR", "AT MOST", "SUMMARY"].map(str::to_owned);
    let rows = policies.iter().map(|policy| {
        vec![
            policy.name.clone(),
            policy.methods.join(","),
            policy.affects.clone(),
            written_ms(policy.default_ms),
            written_ms(policy.maximum_ms),
            policy.summary.clone(),
        ]
    });
    table("", std::iter::once(head.to_vec()).chain(rows))
}

pub(crate) fn show(policy: &PolicyView) -> String {
    let summary = &policy.summary;
    let rows = fields(
        "  ",
        [
            ("summary", summary.summary.clone()),
            ("affects", summary.affects.clone()),
            ("methods", summary.methods.join(", ")),
            ("for", written_ms(summary.default_ms)),
            ("at most", written_ms(summary.maximum_ms)),
            (
                "hooks",
                summary.hook.as_ref().map(super::alert::hook).unwrap_or_default(),
            ),
            ("digest", policy.digest.clone()),
        ],
    );
    let heading = paint(Paint::Strong, &format!("Policy {}", safe(&summary.name)));
    format!("{heading}\n{rows}\n{}", lines(&policy.source))
}

pub(crate) fn valid(file: &str, policy: &str) -> String {
    format!("{}: {}, policy {policy}\n", safe(file), paint(Paint::Calm, "valid"))
}

/// With colours; the stream takes them out where they do not belong. The errors hold nothing that a terminal obeys.
pub(crate) fn invalid(errors: &PolicyErrors) -> String {
    format!("{}\n", errors.render(Colour::Always))
}
