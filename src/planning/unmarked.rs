//! What a host is without us, as far as marks can tell: the baseline where the one that was kept is lost.
//!
//! It is a guess about what was taken away, never about what was added: everything of ours carries a mark. The other way
//! round, where the baseline is kept and the journal is lost, [`any_cut`] is all that a cut can have taken.

use std::collections::BTreeSet;

use super::ours::{
    is_local_rule, is_our_filter, is_our_group, is_our_link, is_our_qdisc, is_our_route, is_our_rule,
    is_sysctl_of_our_link, looks_up_local,
};
use super::resolve::{can_be_cut, can_be_withdrawn};
use crate::model::cut::{Cut, Reach};
use crate::model::object::{Family, Rule};
use crate::model::policy::{Direction, Keep, Method};
use crate::model::snapshot::Snapshot;

/// The host as it would be without what carries our marks, and without what these cuts are known to have taken.
///
/// A link in a group of ours goes to group 0, the kernel's default; a `local` rule for which one of ours stands in comes
/// back; withdrawn routes and links that were set down come back where a cut names them. What the kernel dropped with
/// such a link is not known.
#[must_use]
pub fn without_ours(now: &Snapshot, cuts: &[Cut]) -> Snapshot {
    let mut guess = now.clone();
    guess.links.retain(|l| !is_our_link(l));
    guess.qdiscs.retain(|q| !is_our_qdisc(q));
    guess.filters.retain(|f| !is_our_filter(f));
    guess.rules.retain(|r| !is_our_rule(r));
    guess.routes.retain(|r| !is_our_route(r));
    guess.sysctls.retain(|s| !is_sysctl_of_our_link(s));
    for link in &mut guess.links {
        if is_our_group(link.group) {
            link.group = 0;
        }
        link.up |= cuts
            .iter()
            .any(|cut| cut.methods.contains(&Method::Link) && cut.links.contains_key(&link.index));
    }
    for family in Family::BOTH {
        let stood_in_for = now.rules_of(family).any(|r| is_our_rule(r) && looks_up_local(r));
        if stood_in_for && !guess.rules_of(family).any(is_local_rule) {
            guess.rules.push(Rule::local(family));
        }
    }
    for route in cuts.iter().flat_map(|cut| &cut.withdrawn) {
        if !guess.routes.contains(route) {
            guess.routes.push(route.clone());
        }
    }
    guess.sort();
    guess
}

/// The families that have rules, and none that gives every packet to table `local`, at whatever preference: no cut leaves
/// a host so.
#[must_use]
pub fn without_local(now: &Snapshot) -> Vec<Family> {
    let lacks = |family: &Family| now.rules_of(*family).next().is_some() && !now.rules_of(*family).any(looks_up_local);
    Family::BOTH.into_iter().filter(lacks).collect()
}

/// Everything that cuts of ours can have taken from a host with this baseline: every link, every route that a policy can
/// withdraw. A restore after it puts back whatever of that is missing, also what somebody else took away meanwhile.
#[must_use]
pub fn any_cut(baseline: &Snapshot) -> Cut {
    let links = baseline.links.iter().filter(|l| can_be_cut(l));
    Cut {
        policy: "unknown".parse().expect("seven small letters are a policy's name"),
        methods: BTreeSet::from([Method::Gate, Method::Seal, Method::Routes, Method::Link]),
        families: BTreeSet::from(Family::BOTH),
        directions: BTreeSet::from([Direction::In, Direction::Out, Direction::Forward]),
        reach: Reach::Links,
        links: links.map(|l| (l.index, l.name.clone())).collect(),
        zones: Vec::new(),
        withdrawn: baseline
            .routes
            .iter()
            .filter(|r| can_be_withdrawn(r))
            .cloned()
            .collect(),
        null_prefixes: Vec::new(),
        lifelines: Vec::new(),
        next_hops: BTreeSet::new(),
        keep: Keep::default(),
    }
}
