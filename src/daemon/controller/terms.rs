//! What a declaration comes to under its policy: occasion, duration, confirmation, and words that a reviewer can read.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::api::DeclareRequest;
use crate::api::error::{ApiError, Code};
use crate::daemon::actor;
use crate::daemon::policies::Loaded;
use crate::model::duration::{written, written_ms};
use crate::model::emergency::Declaration;
use crate::model::policy::{Limits, Occasion, Policy};
use crate::model::record::Actor;

/// Characters of a reason: a paragraph, for the record and the notice.
pub(super) const REASON_MAX: usize = 500;
/// Characters of an authority: a name, a paragraph of a law, a ticket.
const AUTHORITY_MAX: usize = 200;
/// What a declaration comes to under its policy.
pub(super) struct Terms {
    pub(super) occasion: Occasion,
    pub(super) duration_ms: u64,
    pub(super) confirm_within_ms: Option<u64>,
}

impl Terms {
    /// What is stated under them.
    pub(super) fn declaration(&self, asker: &Actor, request: &DeclareRequest) -> Declaration {
        Declaration {
            occasion: self.occasion,
            reason: request.reason.clone(),
            authority: request.authority.clone(),
            declared_by: actor::spoken(asker),
            approved_by: Vec::new(),
            break_glass: request.break_glass,
            raised_by: Vec::new(),
        }
    }
}

/// The terms of a request.
///
/// # Errors
/// If the policy or the form does not allow them.
pub(super) fn of(loaded: &Loaded, request: &DeclareRequest) -> Result<Terms, ApiError> {
    refuse_glass(&loaded.policy, request)?;
    let limits = &limits(&loaded.policy, request.break_glass);
    text_within("reason", &request.reason, REASON_MAX)?;
    text_within("authority", &request.authority, AUTHORITY_MAX)?;
    let duration_ms = duration(limits, request.duration_ms)?;
    let confirm_within_ms = confirm_within(limits, request.confirm_within_ms, duration_ms)?;
    let occasion = occasion(&loaded.policy.declared_for, request.occasion.as_deref())?;
    Ok(Terms {
        occasion,
        duration_ms,
        confirm_within_ms,
    })
}

/// The limits of an emergency: one that is declared without the approval that the policy demands is short.
pub(super) fn limits(policy: &Policy, break_glass: bool) -> Limits {
    let longest = policy.approval.and_then(|approval| approval.break_glass);
    match longest.filter(|_| break_glass) {
        None => policy.limits,
        Some(longest) => Limits {
            default: policy.limits.default.min(longest),
            maximum: longest,
            total: longest,
            ..policy.limits
        },
    }
}

fn refuse_glass(policy: &Policy, request: &DeclareRequest) -> Result<(), ApiError> {
    match &policy.approval {
        _ if !request.break_glass => Ok(()),
        Some(approval) if approval.break_glass.is_some() => Ok(()),
        Some(_) => Err(ApiError::new(
            Code::Forbidden,
            format!("the policy {} allows no emergency without approval", policy.name),
            "declare without `--break-glass`: another person approves",
        )),
        None => Err(ApiError::new(
            Code::BadRequest,
            format!(
                "the policy {} demands no approval, so there is none to do without",
                policy.name
            ),
            "leave `--break-glass` out",
        )),
    }
}

pub(super) fn text_within(field: &str, text: &str, max: usize) -> Result<(), ApiError> {
    let length = text.chars().count();
    let blank = text.trim().is_empty();
    if blank || length > max || text.chars().any(char::is_control) {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("`{field}` must be 1 to {max} characters without control characters; it has {length}"),
            format!("give a {field} that a reviewer will understand"),
        ));
    }
    Ok(())
}

/// The duration asked for, or the policy's own.
pub(super) fn duration(limits: &Limits, asked_ms: Option<u64>) -> Result<u64, ApiError> {
    let maximum = millis(limits.maximum);
    match asked_ms.unwrap_or_else(|| millis(limits.default)) {
        0 => Err(ApiError::new(
            Code::BadRequest,
            "a duration of zero cuts nothing",
            "give `--for`, such as `--for 30m`",
        )),
        asked if asked > maximum => Err(ApiError::new(
            Code::OverLimit,
            format!(
                "the policy allows {} at first, {} was asked for",
                written(limits.maximum),
                written_ms(asked)
            ),
            "ask for less; `extend` prolongs up to the policy's total",
        )),
        asked => Ok(asked),
    }
}

fn confirm_within(limits: &Limits, asked_ms: Option<u64>, duration_ms: u64) -> Result<Option<u64>, ApiError> {
    let policy_ms = limits.confirm_within.map(millis);
    let window = match (asked_ms, policy_ms) {
        (Some(asked), Some(most)) if asked > most => {
            return Err(ApiError::new(
                Code::OverLimit,
                format!("the policy wants a confirmation within {}", written_ms(most)),
                "ask for a shorter confirmation window",
            ));
        }
        (Some(0), _) => {
            return Err(ApiError::new(
                Code::BadRequest,
                "a confirmation within no time cannot be given",
                "give `--confirm-within`, such as `--confirm-within 5m`, or leave it out",
            ));
        }
        (Some(asked), _) if asked >= duration_ms => {
            return Err(ApiError::new(
                Code::BadRequest,
                "a confirmation would be due after the emergency has ended",
                "give a `--confirm-within` that is shorter than `--for`",
            ));
        }
        (Some(asked), _) => Some(asked),
        (None, most) => most,
    };
    // One that is not shorter than the duration counts once the emergency is extended.
    Ok(window)
}

fn occasion(allowed: &BTreeSet<Occasion>, asked: Option<&str>) -> Result<Occasion, ApiError> {
    let words: Vec<String> = allowed.iter().map(super::views::word).collect();
    let refused = |detail: String| {
        ApiError::new(
            Code::WrongOccasion,
            detail,
            format!("this policy may be declared for: {}", words.join(", ")),
        )
    };
    match asked {
        None if allowed.len() == 1 => allowed
            .first()
            .copied()
            .ok_or_else(|| refused("no occasion".to_owned())),
        None => Err(ApiError::new(
            Code::BadRequest,
            "the policy serves several occasions and none was named",
            format!("give `--occasion`, one of: {}", words.join(", ")),
        )),
        Some(word) => allowed
            .iter()
            .copied()
            .find(|o| super::views::word(o) == word)
            .ok_or_else(|| refused(format!("the policy may not be declared for {word:?}"))),
    }
}

/// Milliseconds of a duration; policies are bounded to days, far below the limit of the type.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occasion_may_be_left_out_only_where_there_is_just_one() {
        let (one, two) = ([Occasion::Exercise], [Occasion::Exercise, Occasion::SecurityIncident]);
        assert_eq!(occasion(&BTreeSet::from(one), None), Ok(Occasion::Exercise));
        let left_out = occasion(&BTreeSet::from(two), None).unwrap_err();
        assert_eq!(
            left_out.code,
            Code::BadRequest,
            "a mistake of the command line: {left_out:?}"
        );
        assert!(left_out.hint.contains("--occasion"), "{left_out:?}");
        let other = occasion(&BTreeSet::from(one), Some("security-incident")).unwrap_err();
        assert_eq!(other.code, Code::WrongOccasion);
    }
}
