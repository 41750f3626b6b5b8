//! What a well-written policy may still not be: unsafe, empty, endless, or contradicting itself.
//!
//! A rule whose inputs could not be read is silent: their problems are reported already.

use std::collections::BTreeSet;
use std::ops::Range;

use super::draft::Draft;
use super::fields::{At, List};
use super::glob;
use super::hook::hook;
use super::problems::{Code, Problem, Report};
use super::public::{break_glass, limits_end_it, public};
use super::routes::routes_do_something;
use super::scope::{gate_sees_more_than_forwarding, loopback_stays, something_is_cut, zones_can_be_kept_apart};
use crate::model::policy::Method;

/// Reports everything in a draft that no policy may have.
pub(super) fn check(draft: &Draft, report: &mut Report) {
    if let Some(scope) = &draft.scope {
        loopback_stays(scope, report);
        if let (Some(methods), Some(routes)) = (&draft.methods.in_use, &draft.methods.routes) {
            something_is_cut(scope, methods, routes, report);
        }
        if let Some(methods) = &draft.methods.in_use {
            zones_can_be_kept_apart(scope, methods, report);
            gate_sees_more_than_forwarding(scope, methods, report);
        }
    }
    routes_do_something(draft, report);
    lifelines(draft, report);
    if let Some(limits) = &draft.limits {
        limits_end_it(limits, report);
    }
    public(draft, report);
    break_glass(draft, report);
    hook(draft, report);
}

fn lifelines(draft: &Draft, report: &mut Report) {
    let Some(lifelines) = &draft.lifelines else { return };
    let mut names = BTreeSet::new();
    for At { value: lifeline, span } in &lifelines.value {
        lifeline.check(report);
        if let Some(name) = lifeline.name.as_ref().filter(|name| !names.insert(name.value.as_str())) {
            let message = format!("there is a lifeline {:?} already", name.value);
            report.push(Problem::new(Code::Duplicate, name.span.clone(), message));
        }
        if let Some(interface) = &lifeline.interface {
            can_be_kept(draft, interface.as_ref(), span, report);
        }
    }
}

/// A link that is down, or a host without its default routes, keeps no lifeline that needs them.
fn can_be_kept(draft: &Draft, interface: Option<&At<String>>, lifeline: &Range<usize>, report: &mut Report) {
    let (Some(scope), Some(methods), Some(routes)) = (&draft.scope, &draft.methods.in_use, &draft.methods.routes)
    else {
        return;
    };
    let (Some(interfaces), Some(exclude)) = (&scope.interfaces, &scope.exclude) else {
        return;
    };
    let whole_host = interfaces
        .value
        .iter()
        .any(|pattern| glob::is_everything(&pattern.value));
    let withdrawn =
        methods.value.contains(&Method::Routes) && routes.withdraw_default.as_ref().is_some_and(|w| w.value);
    let (why, taken_down) = if methods.value.contains(&Method::Link) {
        ("a link that is down keeps no lifeline", true)
    } else {
        (
            "without a default route this lifeline has no way out",
            withdrawn && whole_host,
        )
    };
    let in_scope = match interface {
        None => whole_host,
        Some(pattern) => named_by(interfaces, &pattern.value) && !named_by(exclude, &pattern.value),
    };
    if taken_down && in_scope {
        let span = interface.map_or(lifeline, |pattern| &pattern.span).clone();
        let problem = Problem::new(Code::LifelineUnkept, span, why);
        report.push(problem.hint("name an interface for the lifeline and put it into `exclude` of the scope"));
    }
}

/// Whether all names of a pattern are certainly among those of a list.
fn named_by(list: &List<String>, pattern: &str) -> bool {
    list.value.iter().any(|entry| {
        glob::is_everything(&entry.value)
            || entry.value == pattern
            || (glob::is_literal(pattern) && glob::matches(&entry.value, pattern))
    })
}
