//! `[scope]`: what is cut, its layout and its rules.

use std::collections::BTreeSet;
use std::ops::Range;

use super::draft::{DIRECTIONS, LABEL_MAX_CHARS, PATTERNS_MAX};
use super::fields::{At, List, Raw, Section, flag, list, words};
use super::glob;
use super::problems::{Code, Problem, Report};
use super::routes::RoutesDraft;
use super::values::{kind, pattern, text};
use crate::model::object::Family;
use crate::model::policy::{Direction, Method, Scope, Zone};

/// Zones: every pair of them is a set of rules.
const ZONES_MAX: usize = 16;
const FAMILIES: &[(&str, Family)] = &[("ipv4", Family::V4), ("ipv6", Family::V6)];

/// What is cut.
pub(super) struct ScopeDraft {
    pub(super) span: Range<usize>,
    pub(super) interfaces: Option<List<String>>,
    pub(super) exclude: Option<List<String>>,
    pub(super) kinds: Option<List<String>>,
    pub(super) default_route: Option<At<bool>>,
    pub(super) zones: Option<List<ZoneDraft>>,
    pub(super) families: Option<At<BTreeSet<Family>>>,
    pub(super) directions: Option<At<BTreeSet<Direction>>>,
}

impl ScopeDraft {
    pub(super) fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("[scope]", raw, report)?;
        let draft = Self {
            span: raw.span(),
            interfaces: patterns(&mut section, "interfaces", report),
            exclude: patterns(&mut section, "exclude", report),
            kinds: match section.optional("kinds") {
                Some(raw) => list(raw, PATTERNS_MAX, report, kind),
                None => Some(At::none(raw.span())),
            },
            default_route: flag(&mut section, "default-route", report),
            zones: match section.optional("zones") {
                Some(raw) => list(raw, ZONES_MAX, report, ZoneDraft::read),
                None => Some(At::none(raw.span())),
            },
            families: section
                .required("families")
                .and_then(|raw| words(raw, FAMILIES, report)),
            directions: section
                .required("directions")
                .and_then(|raw| words(raw, DIRECTIONS, report)),
        };
        section.finish(report);
        Some(draft)
    }

    pub(super) fn finish(self) -> Option<Scope> {
        let zones = self.zones?.value.into_iter().map(|zone| zone.value);
        Some(Scope {
            interfaces: self.interfaces?.values(),
            exclude: self.exclude?.values(),
            kinds: self.kinds?.values(),
            default_route: self.default_route?.value,
            zones: zones
                .map(|zone| Zone {
                    name: zone.name.value,
                    interfaces: zone.interfaces.values(),
                })
                .collect(),
            families: self.families?.value,
            directions: self.directions?.value,
        })
    }
}

/// A side of a boundary.
#[derive(Clone, Debug)]
pub(super) struct ZoneDraft {
    pub(super) name: At<String>,
    pub(super) interfaces: List<String>,
}

impl ZoneDraft {
    fn read(raw: &Raw<'_>, report: &mut Report) -> Option<At<Self>> {
        let mut section = Section::of("a zone", raw, report)?;
        let name = section
            .required("name")
            .and_then(|raw| text(raw, LABEL_MAX_CHARS, report));
        let interfaces = section
            .required("interfaces")
            .and_then(|raw| list(raw, PATTERNS_MAX, report, pattern));
        section.finish(report);
        Some(At::new(
            Self {
                name: name?,
                interfaces: interfaces?,
            },
            raw.span(),
        ))
    }
}

/// A list of patterns that may be left out.
fn patterns(section: &mut Section<'_>, key: &'static str, report: &mut Report) -> Option<List<String>> {
    match section.optional(key) {
        Some(raw) => list(raw, PATTERNS_MAX, report, pattern),
        None => Some(At::none(section.span.clone())),
    }
}

pub(super) fn loopback_stays(scope: &ScopeDraft, report: &mut Report) {
    let zones = scope
        .zones
        .iter()
        .flat_map(|zones| &zones.value)
        .map(|zone| &zone.value.interfaces);
    for pattern in scope.interfaces.iter().chain(zones).flat_map(|list| &list.value) {
        if glob::names_loopback(&pattern.value) {
            let message = "`lo` carries what the host says to itself and is never cut";
            let problem = Problem::new(Code::Loopback, pattern.span.clone(), message);
            report.push(problem.hint("leave it out; `*` does not include it either"));
        }
    }
}

pub(super) fn something_is_cut(
    scope: &ScopeDraft,
    methods: &At<BTreeSet<Method>>,
    routes: &RoutesDraft,
    report: &mut Report,
) {
    let (Some(interfaces), Some(exclude), Some(kinds)) = (&scope.interfaces, &scope.exclude, &scope.kinds) else {
        return;
    };
    let (Some(default_route), Some(zones)) = (&scope.default_route, &scope.zones) else {
        return;
    };
    let (Some(withdrawn), Some(nulls)) = (&routes.withdraw_prefixes, &routes.null_prefixes) else {
        return;
    };
    if let Some(all) = exclude.value.iter().find(|pattern| glob::is_everything(&pattern.value)) {
        let problem = Problem::new(
            Code::EmptyScope,
            all.span.clone(),
            "excluding every name leaves no link to cut",
        );
        report.push(problem.hint("exclude only what must stay, such as \"mgmt*\""));
    }
    let links = !interfaces.value.is_empty() || !kinds.value.is_empty() || default_route.value;
    let links = links || !zones.value.is_empty();
    let prefixes = !withdrawn.value.is_empty() || !nulls.value.is_empty();
    let on_links: Vec<_> = methods
        .value
        .iter()
        .filter(|method| **method != Method::Routes)
        .collect();
    if !links && (!prefixes || !on_links.is_empty()) {
        let message = "the scope names no link, so nothing would be cut";
        let problem = Problem::new(Code::EmptyScope, scope.span.clone(), message);
        report.push(
            problem.hint("set interfaces, kinds, default-route or zones; interfaces = [\"*\"] is the whole host"),
        );
    }
}

pub(super) fn zones_can_be_kept_apart(scope: &ScopeDraft, methods: &At<BTreeSet<Method>>, report: &mut Report) {
    let Some(zones) = scope.zones.as_ref().filter(|zones| !zones.value.is_empty()) else {
        return;
    };
    let mut refuse = |span: &Range<usize>, message: &str, hint: &str| {
        report.push(Problem::new(Code::Zones, span.clone(), message).hint(hint));
    };
    if zones.value.len() < 2 {
        refuse(
            &zones.value[0].span,
            "one zone has nothing to be kept apart from",
            "name at least two zones",
        );
    }
    if methods.value != BTreeSet::from([Method::Seal]) {
        let message = "only `seal` can cut between zones: the other methods see one link at a time";
        refuse(&methods.span, message, "set use = [\"seal\"]");
    }
    if let Some(directions) = scope
        .directions
        .as_ref()
        .filter(|d| d.value != BTreeSet::from([Direction::Forward]))
    {
        let message = "between zones only forwarded traffic is cut";
        refuse(&directions.span, message, "set directions = [\"forward\"]");
    }
    for list in [&scope.interfaces, &scope.exclude, &scope.kinds].into_iter().flatten() {
        if !list.value.is_empty() {
            refuse(
                &list.span,
                "with zones, nothing but the traffic between them is cut",
                "leave this list out",
            );
        }
    }
    if let Some(default_route) = scope.default_route.as_ref().filter(|d| d.value) {
        refuse(
            &default_route.span,
            "with zones, nothing but the traffic between them is cut",
            "leave this out",
        );
    }
    zones_do_not_overlap(zones, report);
}

fn zones_do_not_overlap(zones: &List<ZoneDraft>, report: &mut Report) {
    let mut names = BTreeSet::new();
    let mut before: Vec<(&str, &At<String>)> = Vec::new();
    for At { value: zone, .. } in &zones.value {
        if !names.insert(&zone.name.value) {
            let message = format!("there is a zone {:?} already", zone.name.value);
            report.push(Problem::new(Code::Duplicate, zone.name.span.clone(), message));
        }
        if zone.interfaces.value.is_empty() {
            let message = format!("zone {:?} names no interface", zone.name.value);
            report.push(Problem::new(Code::Zones, zone.interfaces.span.clone(), message));
        }
        for pattern in &zone.interfaces.value {
            if !glob::is_simple(&pattern.value) {
                let problem = Problem::new(
                    Code::Zones,
                    pattern.span.clone(),
                    "in zones only `*` and `?` are patterns",
                );
                report.push(problem.hint("so that it is certain that no link is in two zones"));
                continue;
            }
            let other = before
                .iter()
                .find(|(_, other)| glob::may_overlap(&other.value, &pattern.value));
            if let Some((name, other)) = other {
                let message = format!("a link could match both this and {:?} of zone {name:?}", other.value);
                report.push(Problem::new(Code::Zones, pattern.span.clone(), message));
            }
        }
        let simple = zone
            .interfaces
            .value
            .iter()
            .filter(|pattern| glob::is_simple(&pattern.value));
        before.extend(simple.map(|pattern| (zone.name.value.as_str(), pattern)));
    }
}

pub(super) fn gate_sees_more_than_forwarding(scope: &ScopeDraft, methods: &At<BTreeSet<Method>>, report: &mut Report) {
    let (Some(directions), Some(zones)) = (&scope.directions, &scope.zones) else {
        return;
    };
    let only_forward = directions.value == BTreeSet::from([Direction::Forward]);
    if methods.value.contains(&Method::Gate) && only_forward && zones.value.is_empty() {
        let message = "`gate` stands at the link and cannot tell forwarded traffic from the host's own";
        let problem = Problem::new(Code::GateForwardOnly, directions.span.clone(), message);
        report.push(problem.hint("use \"seal\" alone, or add \"in\" and \"out\" to the directions"));
    }
}
