//! `[methods]`: how it is cut, with the settings of `routes`, and their rules.

use std::collections::BTreeSet;
use std::ops::Range;

use ipnet::IpNet;

use super::draft::{Draft, PATTERNS_MAX, PREFIXES_MAX};
use super::fields::{At, List, Raw, Section, flag, integer, list, words};
use super::problems::{Code, Problem, Report};
use super::values::prefix;
use crate::model::object::{Family, OUR_PROTOCOL, Route};
use crate::model::policy::{Method, RoutesMethod};

const METHODS: &[(&str, Method)] = &[
    ("gate", Method::Gate),
    ("seal", Method::Seal),
    ("routes", Method::Routes),
    ("link", Method::Link),
];

/// What `routes` does.
pub(super) struct RoutesDraft {
    pub(super) span: Range<usize>,
    pub(super) withdraw_default: Option<At<bool>>,
    pub(super) withdraw_prefixes: Option<List<IpNet>>,
    pub(super) tables: Option<List<u32>>,
    pub(super) protocols: Option<List<u8>>,
    pub(super) null_prefixes: Option<List<IpNet>>,
}

/// How it is cut.
#[derive(Default)]
pub(super) struct MethodsDraft {
    pub(super) in_use: Option<At<BTreeSet<Method>>>,
    pub(super) routes: Option<RoutesDraft>,
}

impl MethodsDraft {
    pub(super) fn read(raw: &Raw<'_>, report: &mut Report) -> Self {
        let Some(mut section) = Section::of("[methods]", raw, report) else {
            return Self::default();
        };
        let in_use = section.required("use").and_then(|raw| words(raw, METHODS, report));
        let routes = match section.optional("routes") {
            Some(raw) => RoutesDraft::read(raw, report),
            None => Some(RoutesDraft::none(raw.span())),
        };
        section.finish(report);
        Self { in_use, routes }
    }
}

impl RoutesDraft {
    fn none(span: Range<usize>) -> Self {
        Self {
            withdraw_default: Some(At::new(false, span.clone())),
            withdraw_prefixes: Some(At::none(span.clone())),
            tables: Some(At::none(span.clone())),
            protocols: Some(At::none(span.clone())),
            null_prefixes: Some(At::none(span.clone())),
            span,
        }
    }

    fn read(raw: &Raw<'_>, report: &mut Report) -> Option<Self> {
        let mut section = Section::of("[methods.routes]", raw, report)?;
        let empty = Self::none(raw.span());
        let draft = Self {
            withdraw_default: flag(&mut section, "withdraw-default", report),
            withdraw_prefixes: match section.optional("withdraw-prefixes") {
                Some(raw) => list(raw, PREFIXES_MAX, report, prefix),
                None => empty.withdraw_prefixes,
            },
            tables: match section.optional("tables") {
                Some(raw) => list(raw, PATTERNS_MAX, report, table),
                None => empty.tables,
            },
            protocols: match section.optional("protocols") {
                Some(raw) => list(raw, PATTERNS_MAX, report, protocol),
                None => empty.protocols,
            },
            null_prefixes: match section.optional("null-prefixes") {
                Some(raw) => list(raw, PREFIXES_MAX, report, prefix),
                None => empty.null_prefixes,
            },
            span: raw.span(),
        };
        section.finish(report);
        Some(draft)
    }

    pub(super) fn finish(self) -> Option<RoutesMethod> {
        Some(RoutesMethod {
            withdraw_default: self.withdraw_default?.value,
            withdraw_prefixes: self.withdraw_prefixes?.values(),
            tables: self.tables?.values(),
            protocols: self.protocols?.values(),
            null_prefixes: self.null_prefixes?.values(),
        })
    }
}

fn table(raw: &Raw<'_>, report: &mut Report) -> Option<At<u32>> {
    let number = integer(raw, 1, u32::MAX.into(), report)?;
    Some(At::new(u32::try_from(number.value).ok()?, number.span))
}

fn protocol(raw: &Raw<'_>, report: &mut Report) -> Option<At<u8>> {
    let number = integer(raw, 0, u8::MAX.into(), report)?;
    Some(At::new(u8::try_from(number.value).ok()?, number.span))
}

pub(super) fn routes_do_something(draft: &Draft, report: &mut Report) {
    let (Some(methods), Some(routes)) = (&draft.methods.in_use, &draft.methods.routes) else {
        return;
    };
    let (Some(default), Some(withdrawn)) = (&routes.withdraw_default, &routes.withdraw_prefixes) else {
        return;
    };
    let (Some(nulls), Some(tables), Some(protocols)) = (&routes.null_prefixes, &routes.tables, &routes.protocols)
    else {
        return;
    };
    let withdraws = default.value || !withdrawn.value.is_empty();
    let narrows = !tables.value.is_empty() || !protocols.value.is_empty();
    let in_use = methods.value.contains(&Method::Routes);
    if in_use && !withdraws && nulls.value.is_empty() {
        let message = "`routes` has nothing to withdraw and nothing to null";
        let problem = Problem::new(Code::RoutesNothing, routes.span.clone(), message);
        report.push(problem.hint("set withdraw-default, withdraw-prefixes or null-prefixes in [methods.routes]"));
    }
    if !in_use && (withdraws || narrows || !nulls.value.is_empty()) {
        let message = "[methods.routes] is set, but `routes` is not among the methods in use";
        report.push(Problem::new(Code::RoutesUnused, routes.span.clone(), message).hint("add \"routes\" to `use`"));
    }
    if in_use && narrows && !withdraws {
        let message = "tables and protocols choose what is withdrawn, and nothing is";
        report.push(Problem::new(Code::RoutesUnused, routes.span.clone(), message));
    }
    reserved_numbers(tables, protocols, report);
    let families = draft.scope.as_ref().and_then(|scope| scope.families.as_ref());
    for net in withdrawn.value.iter().chain(&nulls.value) {
        usable_prefix(net, families, report);
    }
}

fn reserved_numbers(tables: &List<u32>, protocols: &List<u8>, report: &mut Report) {
    for table in tables.value.iter().filter(|table| table.value == Route::TABLE_LOCAL) {
        let message = "table 255 holds the host's own addresses; it is never touched";
        report.push(Problem::new(Code::BadNumber, table.span.clone(), message));
    }
    for protocol in &protocols.value {
        let message = match protocol.value {
            Route::PROTOCOL_KERNEL => "routes of protocol 2 belong to addresses, and the kernel alone makes them again",
            OUR_PROTOCOL => "protocol 80 marks this program's own routes",
            _ => continue,
        };
        report.push(Problem::new(Code::BadNumber, protocol.span.clone(), message));
    }
}

fn usable_prefix(net: &At<IpNet>, families: Option<&At<BTreeSet<Family>>>, report: &mut Report) {
    let loopback = match net.value {
        IpNet::V4(four) => four.addr().is_loopback() && four.prefix_len() >= 8,
        IpNet::V6(six) => six.addr().is_loopback() && six.prefix_len() == 128,
    };
    if loopback {
        let message = format!("{} is what the host says to itself, which is never cut", net.value);
        report.push(Problem::new(Code::Loopback, net.span.clone(), message));
    }
    if families.is_some_and(|families| !families.value.contains(&Family::of_net(&net.value))) {
        let message = format!("{} is of a family that the scope does not name", net.value);
        let problem = Problem::new(Code::RoutesUnused, net.span.clone(), message);
        report.push(problem.hint("add its family to `families`"));
    }
}
