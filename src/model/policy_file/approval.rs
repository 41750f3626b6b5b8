//! Whose approval a declaration needs: the table `[approval]`.

use std::time::Duration;

use super::fields::{At, Raw, Section, integer};
use super::problems::{Code, Problem, Report};
use super::values::duration;
use crate::model::policy::Approval;

/// How long a proposal waits where the policy says nothing.
const EXPIRES: Duration = Duration::from_secs(15 * 60);
/// What waits longer was not an emergency.
const EXPIRES_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The approvals that a policy demands.
pub(super) struct ApprovalDraft {
    people: Option<At<i64>>,
    expires: Option<Duration>,
    pub(super) break_glass: Option<Option<At<Duration>>>,
}

impl ApprovalDraft {
    pub(super) fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("[approval]", raw, report)?;
        let people = section.required("people").and_then(|raw| integer(raw, 1, 2, report));
        let expires = match section.optional("expires") {
            Some(raw) => duration(raw, report),
            None => Some(At::new(EXPIRES, raw.span())),
        };
        let break_glass = match section.optional("break-glass") {
            Some(raw) => duration(raw, report).map(Some),
            None => Some(None),
        };
        section.finish(report);
        if let Some(late) = expires.as_ref().filter(|expires| expires.value > EXPIRES_MAX) {
            let message = "a proposal waits at most 24h";
            report.push(Problem::new(Code::Limits, late.span.clone(), message));
        }
        Some(Self {
            people,
            expires: expires.map(|expires| expires.value),
            break_glass,
        })
    }

    pub(super) fn finish(self) -> Option<Approval> {
        Some(Approval {
            people: u8::try_from(self.people?.value).ok()?,
            expires: self.expires?,
            break_glass: self.break_glass?.map(|longest| longest.value),
        })
    }
}
