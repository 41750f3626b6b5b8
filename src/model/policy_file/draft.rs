//! The layout of a policy file: which fields there are, and what each holds.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeTable;

use super::approval::ApprovalDraft;
use super::fields::{At, List, Raw, Section, flag, integer, list, string, word, words};
use super::hook::HookDraft;
use super::lifelines::LifelineDraft;
use super::problems::{Code, Problem, Report};
use super::public::PublicDraft;
use super::routes::MethodsDraft;
use super::scope::ScopeDraft;
use super::values::{duration, text};
use super::who::WhoDraft;
use crate::model::names::PolicyName;
use crate::model::policy::{Affects, Direction, FailDirection, FailDirections, Keep, Limits, Occasion, Policy};

/// The version of the format that this program reads.
const SCHEMA: i64 = 1;
/// Characters of a summary: one line on a console, with room for the name.
const SUMMARY_MAX_CHARS: usize = 120;
/// Characters of a notice: what fits on a sheet at the door.
const NOTICE_MAX_CHARS: usize = 2000;
/// Characters of the name of a zone or a lifeline.
pub(super) const LABEL_MAX_CHARS: usize = 64;
/// Patterns in one list.
pub(super) const PATTERNS_MAX: usize = 64;
/// Lifelines: each is a filter a block and a rule a family, and a person must know them all.
pub(super) const LIFELINES_MAX: usize = 64;
/// Prefixes to withdraw or to null.
pub(super) const PREFIXES_MAX: usize = 1024;

/// The words for directions.
pub(super) const DIRECTIONS: &[(&str, Direction)] = &[
    ("in", Direction::In),
    ("out", Direction::Out),
    ("forward", Direction::Forward),
];
const FAIL_DIRECTIONS: &[(&str, FailDirection)] = &[("closed", FailDirection::Closed), ("open", FailDirection::Open)];
const AFFECTS: &[(&str, Affects)] = &[
    ("own-hosts", Affects::OwnHosts),
    ("own-staff", Affects::OwnStaff),
    ("public", Affects::Public),
];
/// The words for occasions.
pub(super) const OCCASIONS: &[(&str, Occasion)] = &[
    ("public-security-emergency", Occasion::PublicSecurityEmergency),
    ("security-incident", Occasion::SecurityIncident),
    ("maintenance", Occasion::Maintenance),
    ("exercise", Occasion::Exercise),
];

/// A policy file as far as it could be read: a part that is None was reported, or is missing and was reported.
pub(super) struct Draft {
    name: Option<PolicyName>,
    summary: Option<At<String>>,
    pub(super) declared_for: Option<At<BTreeSet<Occasion>>>,
    pub(super) affects: Option<At<Affects>>,
    pub(super) scope: Option<ScopeDraft>,
    pub(super) methods: MethodsDraft,
    pub(super) lifelines: Option<List<LifelineDraft>>,
    keep: Option<Keep>,
    pub(super) limits: Option<LimitsDraft>,
    fail: Option<FailDirections>,
    pub(super) notice: Option<Option<At<String>>>,
    pub(super) public: Option<Option<PublicDraft>>,
    pub(super) who: Option<WhoDraft>,
    pub(super) approval: Option<Option<ApprovalDraft>>,
    pub(super) hook: Option<Option<HookDraft>>,
}

impl Draft {
    /// Reads the whole file.
    pub(super) fn read(document: &DeTable<'_>, report: &mut Report) -> Self {
        let mut file = Section::new("the policy", 0..0, document);
        let schema = file
            .required("schema")
            .and_then(|raw| integer(raw, i64::MIN, i64::MAX, report));
        if let Some(other) = schema.filter(|s| s.value != SCHEMA) {
            let message = format!(
                "schema {} is not known; this version reads schema {SCHEMA}",
                other.value
            );
            report.push(Problem::new(Code::Schema, other.span, message));
        }
        let draft = Self {
            name: file.required("name").and_then(|raw| read_name(raw, report)),
            summary: file
                .required("summary")
                .and_then(|raw| text(raw, SUMMARY_MAX_CHARS, report)),
            declared_for: file
                .required("declared-for")
                .and_then(|raw| words(raw, OCCASIONS, report)),
            affects: file.required("affects").and_then(|raw| word(raw, AFFECTS, report)),
            scope: file.required("scope").and_then(|raw| ScopeDraft::read(raw, report)),
            methods: match file.required("methods") {
                Some(raw) => MethodsDraft::read(raw, report),
                None => MethodsDraft::default(),
            },
            lifelines: match file.optional("lifelines") {
                Some(raw) => list(raw, LIFELINES_MAX, report, LifelineDraft::read),
                None => Some(At::none(0..0)),
            },
            keep: match file.optional("keep") {
                Some(raw) => read_keep(raw, report),
                None => Some(Keep::default()),
            },
            limits: file.required("limits").and_then(|raw| LimitsDraft::read(raw, report)),
            fail: file.required("fail").and_then(|raw| read_fail(raw, report)),
            notice: match file.optional("notice") {
                Some(raw) => read_notice(raw, report).map(Some),
                None => Some(None),
            },
            public: match file.optional("public") {
                Some(raw) => PublicDraft::read(raw, report).map(Some),
                None => Some(None),
            },
            who: match file.optional("who") {
                Some(raw) => WhoDraft::read(raw, report),
                None => Some(WhoDraft::default()),
            },
            approval: match file.optional("approval") {
                Some(raw) => ApprovalDraft::read(raw, report).map(Some),
                None => Some(None),
            },
            hook: match file.optional("hook") {
                Some(raw) => HookDraft::read(raw, report).map(Some),
                None => Some(None),
            },
        };
        file.finish(report);
        draft
    }

    /// The policy, if every part could be read.
    pub(super) fn finish(self) -> Option<Policy> {
        let declared_for = self.declared_for?.value;
        let hook = match self.hook? {
            Some(draft) => Some(draft.finish(&declared_for)?),
            None => None,
        };
        Some(Policy {
            name: self.name?,
            summary: self.summary?.value,
            declared_for,
            affects: self.affects?.value,
            scope: self.scope?.finish()?,
            methods: self.methods.in_use?.value,
            routes: self.methods.routes?.finish()?,
            lifelines: self
                .lifelines?
                .value
                .into_iter()
                .map(|l| l.value.finish())
                .collect::<Option<_>>()?,
            keep: self.keep?,
            limits: self.limits?.finish()?,
            fail: self.fail?,
            notice: self.notice?.map(|notice| notice.value).unwrap_or_default(),
            who: self.who?.finish(),
            approval: match self.approval? {
                Some(draft) => Some(draft.finish()?),
                None => None,
            },
            hook,
        })
    }
}

fn read_name(raw: &Raw<'_>, report: &mut Report) -> Option<PolicyName> {
    let text = string(raw, report)?;
    match text.value.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            report.push(Problem::new(Code::BadName, text.span, error.to_string()));
            None
        }
    }
}

/// How long.
pub(super) struct LimitsDraft {
    pub(super) default: Option<At<Duration>>,
    pub(super) maximum: Option<At<Duration>>,
    pub(super) total: Option<At<Duration>>,
    pub(super) confirm_within: Option<Option<At<Duration>>>,
}

impl LimitsDraft {
    fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("[limits]", raw, report)?;
        let draft = Self {
            default: section.required("default").and_then(|raw| duration(raw, report)),
            maximum: section.required("maximum").and_then(|raw| duration(raw, report)),
            total: section.required("total").and_then(|raw| duration(raw, report)),
            confirm_within: match section.optional("confirm-within") {
                Some(raw) => duration(raw, report).map(Some),
                None => Some(None),
            },
        };
        section.finish(report);
        Some(draft)
    }

    fn finish(self) -> Option<Limits> {
        Some(Limits {
            default: self.default?.value,
            maximum: self.maximum?.value,
            total: self.total?.value,
            confirm_within: self.confirm_within?.map(|c| c.value),
        })
    }
}

fn read_keep(raw: &Raw<'_>, report: &mut Report) -> Option<Keep> {
    let mut section = Section::of("[keep]", raw, report)?;
    let dhcp = flag(&mut section, "dhcp", report);
    let router_advertisements = flag(&mut section, "router-advertisements", report);
    section.finish(report);
    Some(Keep {
        dhcp: dhcp?.value,
        router_advertisements: router_advertisements?.value,
    })
}

fn read_fail(raw: &Raw<'_>, report: &mut Report) -> Option<FailDirections> {
    let mut section = Section::of("[fail]", raw, report)?;
    let mut direction = |key| section.required(key).and_then(|raw| word(raw, FAIL_DIRECTIONS, report));
    let (crash, reboot, lifeline_lost) = (direction("crash"), direction("reboot"), direction("lifeline-lost"));
    section.finish(report);
    Some(FailDirections {
        crash: crash?.value,
        reboot: reboot?.value,
        lifeline_lost: lifeline_lost?.value,
    })
}

fn read_notice(raw: &Raw<'_>, report: &mut Report) -> Option<At<String>> {
    let mut section = Section::of("[notice]", raw, report)?;
    let notice = section
        .required("text")
        .and_then(|raw| text(raw, NOTICE_MAX_CHARS, report));
    section.finish(report);
    notice
}
