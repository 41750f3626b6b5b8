//! Which hooks may declare it, and when that is enough: the table `[hook]`.
//!
//! Sources are users by name, never groups: whoever may map other uids into a namespace of theirs (`/etc/subuid`) keeps
//! the groups there, and would be as many sources as they like.

use std::collections::BTreeSet;
use std::time::Duration;

use super::draft::{Draft, LABEL_MAX_CHARS, OCCASIONS};
use super::fields::{At, List, Raw, Section, integer, list, word};
use super::problems::{Code, Problem, Report};
use super::values::{duration, text};
use crate::model::policy::{Affects, Hook, NameOf, Occasion};

/// Sources of one policy.
const USERS_MAX: usize = 64;
/// Characters of an authority, as in a declaration.
const AUTHORITY_MAX_CHARS: usize = 200;
/// How long an alert counts where the policy says nothing.
const WITHIN: Duration = Duration::from_secs(60);
/// How long nothing begins after an emergency where the policy says nothing.
const COOL_DOWN: Duration = Duration::from_secs(15 * 60);
/// What takes longer is for people.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The hooks of a policy.
pub(super) struct HookDraft {
    span: std::ops::Range<usize>,
    users: Option<List<String>>,
    sources: Option<At<i64>>,
    within: Option<Duration>,
    cool_down: Option<Duration>,
    authority: Option<At<String>>,
    occasion: Option<Option<At<Occasion>>>,
}

impl HookDraft {
    pub(super) fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("[hook]", raw, report)?;
        let users = section.required("users").and_then(|raw| users(raw, report));
        let sources = match section.optional("sources") {
            Some(raw) => integer(raw, 1, i64::from(u8::MAX), report),
            None => Some(At::new(1, raw.span())),
        };
        let within = section.optional("within");
        if let (Some(within), Some(1)) = (within, sources.as_ref().map(|sources| sources.value)) {
            let problem = Problem::new(Code::Hook, within.span(), "with one source this would never matter");
            report.push(problem.hint("write how many must raise it: sources = 2"));
        }
        let within = time(within, WITHIN, report);
        let cool_down = time(section.optional("cool-down"), COOL_DOWN, report);
        let authority = section
            .required("authority")
            .and_then(|raw| text(raw, AUTHORITY_MAX_CHARS, report));
        let occasion = match section.optional("occasion") {
            Some(raw) => word(raw, OCCASIONS, report).map(Some),
            None => Some(None),
        };
        section.finish(report);
        Some(Self {
            span: raw.span(),
            users,
            sources,
            within,
            cool_down,
            authority,
            occasion,
        })
    }

    /// Reports the users that this host does not have.
    pub(super) fn check(&self, knows: &dyn Fn(NameOf, &str) -> bool, report: &mut Report) {
        for user in self.users.iter().flat_map(|users| &users.value) {
            if !knows(NameOf::User, &user.value) {
                report.push(super::who::unknown(NameOf::User, user));
            }
        }
    }

    pub(super) fn finish(self, declared_for: &BTreeSet<Occasion>) -> Option<Hook> {
        Some(Hook {
            users: self.users?.value.into_iter().map(|user| user.value).collect(),
            sources: u8::try_from(self.sources?.value).ok()?,
            within: self.within?,
            cool_down: self.cool_down?,
            authority: self.authority?.value,
            occasion: match self.occasion? {
                Some(occasion) => occasion.value,
                None => declared_for.first().copied()?,
            },
        })
    }
}

fn users(raw: &Raw<'_>, report: &mut Report) -> Option<List<String>> {
    let users = list(raw, USERS_MAX, report, |raw, report| text(raw, LABEL_MAX_CHARS, report))?;
    if users.value.is_empty() {
        let problem = Problem::new(Code::EmptyList, users.span.clone(), "nobody is named");
        report.push(problem.hint("name the users as whom the hooks run, or leave [hook] out"));
    }
    let mut seen = BTreeSet::new();
    for twice in users.value.iter().filter(|user| !seen.insert(user.value.as_str())) {
        report.push(Problem::new(
            Code::Duplicate,
            twice.span.clone(),
            "this is in the list already",
        ));
    }
    Some(users)
}

fn time(raw: Option<&Raw<'_>>, default: Duration, report: &mut Report) -> Option<Duration> {
    let Some(raw) = raw else { return Some(default) };
    let given = duration(raw, report)?;
    if given.value > LONGEST {
        report.push(Problem::new(Code::Hook, given.span, "this is longer than 24h"));
        return None;
    }
    Some(given.value)
}

/// What no hook may decide.
pub(super) fn hook(draft: &Draft, report: &mut Report) {
    let Some(Some(hook)) = &draft.hook else { return };
    let mut refuse = |span: &std::ops::Range<usize>, message: &str, hint: &str| {
        report.push(Problem::new(Code::Hook, span.clone(), message).hint(hint));
    };
    if let (Some(users), Some(sources)) = (&hook.users, &hook.sources)
        && usize::try_from(sources.value).is_ok_and(|wanted| wanted > users.value.len().max(1))
    {
        let hint = "each user is one source: name more, or ask for fewer";
        refuse(&sources.span, "so many sources can never raise it", hint);
    }
    if draft.affects.as_ref().is_some_and(|a| a.value == Affects::Public) {
        let hint = "leave [hook] out: have the hook tell the people who may declare it";
        refuse(
            &hook.span,
            "what affects the public is never decided by a program",
            hint,
        );
    } else if let Some(Some(_)) = &draft.approval {
        let hint = "leave [hook] out, or write a policy of its own for hooks, which needs no approval";
        refuse(
            &hook.span,
            "people must approve it, and no program is one of them",
            hint,
        );
    }
    let Some(declared_for) = &draft.declared_for else {
        return;
    };
    match &hook.occasion {
        Some(Some(occasion)) if !declared_for.value.contains(&occasion.value) => {
            let hint = "name one of declared-for";
            refuse(&occasion.span, "the policy may not be declared for this", hint);
        }
        Some(None) if declared_for.value.len() > 1 => {
            let hint = "write occasion = \"…\", one of declared-for";
            refuse(
                &hook.span,
                "the policy serves several occasions and none is named for hooks",
                hint,
            );
        }
        Some(_) | None => {}
    }
}
