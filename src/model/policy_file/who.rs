//! To whom a policy leaves a right: the table `[who]`.

use std::collections::BTreeSet;
use std::ops::Range;

use super::draft::LABEL_MAX_CHARS;
use super::fields::{At, Raw, Section, list};
use super::problems::{Code, Problem, Report};
use super::values::text;
use crate::model::policy::{NameOf, People, Who};

/// Users, and groups, of one right: who needs more makes a group.
const NAMES_MAX: usize = 64;

/// The rights that a policy narrows.
#[derive(Default)]
pub(super) struct WhoDraft {
    declare: Option<PeopleDraft>,
    approve: Option<PeopleDraft>,
    revert: Option<PeopleDraft>,
}

struct PeopleDraft {
    users: Vec<At<String>>,
    groups: Vec<At<String>>,
}

impl WhoDraft {
    pub(super) fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("[who]", raw, report)?;
        let mut people = |key, report: &mut Report| match section.optional(key) {
            Some(raw) => PeopleDraft::read(raw, report).map(Some),
            None => Some(None),
        };
        let (declare, approve) = (people("declare", report), people("approve", report));
        let revert = people("revert", report);
        section.finish(report);
        Some(Self {
            declare: declare?,
            approve: approve?,
            revert: revert?,
        })
    }

    /// Reports the names that this host does not have.
    pub(super) fn check(&self, knows: &dyn Fn(NameOf, &str) -> bool, report: &mut Report) {
        let all = self.declare.iter().chain(&self.approve).chain(&self.revert);
        for (what, name) in all.flat_map(PeopleDraft::names) {
            if !knows(what, &name.value) {
                report.push(unknown(what, name));
            }
        }
    }

    pub(super) fn finish(self) -> Who {
        Who {
            declare: self.declare.map(PeopleDraft::finish),
            approve: self.approve.map(PeopleDraft::finish),
            revert: self.revert.map(PeopleDraft::finish),
        }
    }
}

/// A name that this host does not have.
pub(super) fn unknown(what: NameOf, name: &At<String>) -> Problem {
    let message = format!("no {} {:?} on this host", what.word(), name.value);
    let problem = Problem::new(Code::UnknownPeople, name.span.clone(), message);
    problem.hint("it is looked up when the daemon starts, before the network is there")
}

impl PeopleDraft {
    fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("the people of a right", raw, report)?;
        let mut names = |key, report: &mut Report| match section.optional(key) {
            Some(raw) => list(raw, NAMES_MAX, report, |raw, report| text(raw, LABEL_MAX_CHARS, report)),
            None => Some(At::none(raw.span())),
        };
        let (users, groups) = (names("users", report), names("groups", report));
        section.finish(report);
        let people = Self {
            users: users?.value,
            groups: groups?.value,
        };
        if people.names().next().is_none() {
            let problem = Problem::new(Code::EmptyList, raw.span(), "nobody is named");
            report.push(problem.hint("name `users` or `groups`, or leave the right out: then all who hold it may"));
        }
        people.refuse_twice(report);
        Some(people)
    }

    fn names(&self) -> impl Iterator<Item = (NameOf, &At<String>)> {
        let users = self.users.iter().map(|name| (NameOf::User, name));
        users.chain(self.groups.iter().map(|name| (NameOf::Group, name)))
    }

    fn refuse_twice(&self, report: &mut Report) {
        let mut seen = BTreeSet::new();
        let twice: Vec<Range<usize>> = self
            .names()
            .filter(|(what, name)| !seen.insert((*what, name.value.as_str())))
            .map(|(_, name)| name.span.clone())
            .collect();
        for span in twice {
            report.push(Problem::new(Code::Duplicate, span, "this is in the list already"));
        }
    }

    fn finish(self) -> People {
        let set = |names: Vec<At<String>>| names.into_iter().map(|name| name.value).collect();
        People {
            users: set(self.users),
            groups: set(self.groups),
        }
    }
}
