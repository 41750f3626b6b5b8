//! Every cut ends, and what affects the public needs more: the rules of `[limits]` and `[public]`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use super::draft::{Draft, LABEL_MAX_CHARS, LIFELINES_MAX, LimitsDraft};
use super::fields::{At, List, Raw, Section, boolean, list};
use super::problems::{Code, Problem, Report};
use super::values::text;
use crate::model::policy::Affects;

/// No cut lasts longer than this, extensions included: a month is an emergency no more.
const TOTAL_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// No cut that affects the public does.
const PUBLIC_TOTAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a policy that affects the public needs.
pub(super) struct PublicDraft {
    pub(super) span: Range<usize>,
    pub(super) emergency_calls: Option<List<String>>,
    pub(super) public_warning: Option<List<String>>,
    pub(super) two_person: Option<At<bool>>,
}

impl PublicDraft {
    pub(super) fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("[public]", raw, report)?;
        let mut names = |key, report: &mut Report| {
            let raw = section.required(key)?;
            list(raw, LIFELINES_MAX, report, |raw, report| {
                text(raw, LABEL_MAX_CHARS, report)
            })
        };
        let emergency_calls = names("emergency-calls", report);
        let public_warning = names("public-warning", report);
        let two_person = section.required("two-person").and_then(|raw| boolean(raw, report));
        section.finish(report);
        Some(Self {
            span: raw.span(),
            emergency_calls,
            public_warning,
            two_person,
        })
    }
}

pub(super) fn limits_end_it(limits: &LimitsDraft, report: &mut Report) {
    let mut refuse = |span: &Range<usize>, message: &str| {
        report.push(Problem::new(Code::Limits, span.clone(), message));
    };
    if let (Some(default), Some(maximum)) = (&limits.default, &limits.maximum)
        && default.value > maximum.value
    {
        refuse(&default.span, "the default is longer than the maximum");
    }
    if let (Some(maximum), Some(total)) = (&limits.maximum, &limits.total)
        && maximum.value > total.value
    {
        refuse(&maximum.span, "the maximum is longer than the total");
    }
    if let Some(total) = limits.total.as_ref().filter(|total| total.value > TOTAL_MAX) {
        refuse(&total.span, "the total is longer than 31 days (744h)");
    }
    if let (Some(Some(confirm)), Some(default)) = (&limits.confirm_within, &limits.default)
        && confirm.value > default.value
    {
        refuse(
            &confirm.span,
            "the time to confirm is longer than the default, so it would never matter",
        );
    }
}

/// One person alone decides for a shorter time, and never for the public.
pub(super) fn break_glass(draft: &Draft, report: &mut Report) {
    let asked = draft
        .approval
        .iter()
        .flatten()
        .flat_map(|approval| &approval.break_glass);
    let Some(glass) = asked.flatten().next() else { return };
    let maximum = draft.limits.as_ref().and_then(|limits| limits.maximum.as_ref());
    if maximum.is_some_and(|maximum| glass.value >= maximum.value) {
        let message = "an emergency without approval must be shorter than the maximum";
        report.push(Problem::new(Code::Limits, glass.span.clone(), message));
    }
    if draft
        .affects
        .as_ref()
        .is_some_and(|affects| affects.value == Affects::Public)
    {
        let message = "what affects the public is never decided by one person";
        let problem = Problem::new(Code::Public, glass.span.clone(), message);
        report.push(problem.hint("leave break-glass out"));
    }
}

pub(super) fn public(draft: &Draft, report: &mut Report) {
    let (Some(affects), Some(public)) = (&draft.affects, &draft.public) else {
        return;
    };
    let two_person = public.as_ref().and_then(|p| p.two_person.as_ref());
    if let (Some(two_person), Some(None)) = (two_person.filter(|two| two.value), &draft.approval) {
        let problem = Problem::new(
            Code::TwoPerson,
            two_person.span.clone(),
            "two people decide, and nobody is asked",
        );
        report.push(problem.hint("write people = 1 below [approval]: so many approve beside the one who declares"));
    }
    match (affects.value, public) {
        (Affects::Public, Some(public)) => {
            public_lifelines(draft, public, report);
            if let Some(one) = public.two_person.as_ref().filter(|two| !two.value) {
                let message = "what affects the public is never decided by one person";
                let problem = Problem::new(Code::Public, one.span.clone(), message);
                report.push(problem.hint("set two-person = true"));
            }
        }
        (Affects::Public, None) => {
            let message = "a policy that affects the public needs [public]";
            let problem = Problem::new(Code::Public, affects.span.clone(), message);
            report
                .push(problem.hint("with emergency-calls, public-warning (names of lifelines) and two-person = true"));
        }
        (Affects::OwnHosts | Affects::OwnStaff, Some(public)) => {
            let message = "[public] belongs to a policy with affects = \"public\"";
            report.push(Problem::new(Code::Public, public.span.clone(), message));
        }
        (Affects::OwnHosts | Affects::OwnStaff, None) => {}
    }
    if affects.value == Affects::Public {
        public_is_told_and_it_ends(draft, affects, report);
    }
}

fn public_lifelines(draft: &Draft, public: &PublicDraft, report: &mut Report) {
    let Some(lifelines) = &draft.lifelines else { return };
    let names: BTreeSet<&str> = lifelines
        .value
        .iter()
        .filter_map(|l| l.value.name.as_ref())
        .map(|name| name.value.as_str())
        .collect();
    for (list, what) in [
        (&public.emergency_calls, "emergency calls"),
        (&public.public_warning, "public warning"),
    ] {
        let Some(list) = list else { continue };
        if list.value.is_empty() {
            let message = format!("no lifeline keeps {what} reachable");
            report.push(Problem::new(Code::Public, list.span.clone(), message));
        }
        for name in list.value.iter().filter(|name| !names.contains(name.value.as_str())) {
            let message = format!("there is no lifeline {:?}", name.value);
            report.push(Problem::new(Code::Public, name.span.clone(), message));
        }
    }
}

fn public_is_told_and_it_ends(draft: &Draft, affects: &At<Affects>, report: &mut Report) {
    if let Some(None) = draft.notice {
        let problem = Problem::new(
            Code::Public,
            affects.span.clone(),
            "the public must be told: [notice] is missing",
        );
        report.push(problem.hint("write text = \"…\" below [notice]"));
    }
    let total = draft.limits.as_ref().and_then(|limits| limits.total.as_ref());
    if let Some(total) = total.filter(|total| total.value > PUBLIC_TOTAL_MAX) {
        let message = "a cut that affects the public lasts at most 24h in all";
        report.push(Problem::new(Code::Public, total.span.clone(), message));
    }
}
