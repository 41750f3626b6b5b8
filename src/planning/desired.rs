//! What the kernel must hold while cuts are in force: the union of what they cut, the union of what they keep.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::detour::{Detour, Ground, PLACES_MAX};
use super::legs::WATCHED_MAX;
use super::ours::{
    is_armed_rule, is_local_rule, is_our_filter, is_our_group, is_our_link, is_our_qdisc, is_our_rule, looks_up_local,
};
use super::refusal::Refusal;
use super::resolve::widen;
use super::routes::{self, Taken};
use super::sections::Sections;
use super::{gate, seal};
use crate::model::cut::Cut;
use crate::model::names::InterfaceName;
use crate::model::object::{Family, Filter, Link, Qdisc, Route, Rule};
use crate::model::policy::Method;
use crate::model::snapshot::{Object, Snapshot, hangs_on, route_key};

/// What the kernel must hold, and must not hold, while cuts are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// What must be there: our ifb, qdiscs, filters, rules and null routes; what the baseline of an armed host has of
    /// these; and the kernel's `local` rules, where no cut holds them.
    pub present: Vec<Object>,
    /// What must not be there: the `local` rules that our own stand in for, and the withdrawn routes.
    pub absent: Vec<Object>,
    /// The links of the cuts that withdraw routes: what comes over any of them in the place of a withdrawn one is not to be
    /// there either.
    pub withdrawn_over: BTreeSet<u32>,
    /// Routes of the baseline that stand beside a withdrawn one, in the same place, and are not withdrawn.
    pub spared: Vec<Route>,
    /// Links that are administratively down.
    pub down: BTreeSet<u32>,
    /// The group of each link of the baseline. Only a move into a group of ours or out of one is ever made.
    pub groups: BTreeMap<u32, u32>,
    /// Rules of the baseline that look the `local` table up beside the kernel's own.
    pub local_twins: Vec<Rule>,
    /// The name of each link of the baseline, which rules name their links by.
    pub names: BTreeMap<u32, InterfaceName>,
}

impl Desired {
    /// The same by the names that the links have now: a rule stops matching when its link is renamed
    /// (`detach_rules()` in `net/core/fib_rules.c`).
    pub(super) fn with_names_of(&self, now: &Snapshot) -> Cow<'_, Self> {
        let differs = |link: &Link| self.names.get(&link.index).is_some_and(|name| *name != link.name);
        if !now.links.iter().any(differs) {
            return Cow::Borrowed(self);
        }
        let renamed = |old: &InterfaceName| {
            let (index, _) = self.names.iter().find(|(_, name)| *name == old)?;
            now.link(*index).map(|link| link.name.clone())
        };
        let mut desired = self.clone();
        for object in &mut desired.present {
            if let Object::Rule(rule) = object
                && is_our_rule(rule)
                && let Some(name) = rule.iif.as_ref().and_then(renamed)
            {
                rule.iif = Some(name);
            }
        }
        Cow::Owned(desired)
    }
}

impl Desired {
    /// The same with all rules and link groups as they stand.
    pub(super) fn leave_rules(&mut self, now: &Snapshot) {
        let is_rule = |o: &Object| matches!(o, Object::Rule(_));
        self.present.retain(|o| !is_rule(o));
        self.absent.retain(|o| !is_rule(o));
        let ours = now.rules.iter().filter(|r| is_our_rule(r)).cloned();
        self.present.extend(ours.map(Object::Rule));
        self.groups = now.links.iter().map(|l| (l.index, l.group)).collect();
    }
}

fn local_twins(baseline: &Snapshot) -> Vec<Rule> {
    let twin = |r: &&Rule| looks_up_local(r) && !is_our_rule(r) && !is_local_rule(r);
    baseline.rules.iter().filter(twin).cloned().collect()
}

/// Whether what these cuts take leaves every lifeline its routes. A cut that is held is not let go because it no longer
/// does: its policy says what happens then.
///
/// # Errors
/// The first lifeline that would be lost.
pub(super) fn keeps_lifelines(baseline: &Snapshot, cuts: &[Cut]) -> Result<(), Refusal> {
    let taken = taken(baseline, cuts)?;
    if taken.is_nothing() {
        return Ok(());
    }
    let lifelines: Vec<_> = cuts.iter().flat_map(|c| c.lifelines.clone()).collect();
    routes::keep_lifelines(baseline, &taken, &lifelines)
}

/// The baseline with the links that have appeared since, and what others hung on them: a cut that reaches those links must
/// know it.
#[must_use]
pub fn with_new_links<'a>(baseline: &'a Snapshot, host: &Snapshot) -> Cow<'a, Snapshot> {
    let is_new = |index: u32| baseline.link(index).is_none();
    let new: Vec<&Link> = host
        .links
        .iter()
        .filter(|l| is_new(l.index) && !is_our_link(l))
        .collect();
    if new.is_empty() {
        return Cow::Borrowed(baseline);
    }
    let mut known = baseline.clone();
    let foreign = |q: &&Qdisc| is_new(q.link) && !is_our_qdisc(q);
    known.qdiscs.extend(host.qdiscs.iter().filter(foreign).cloned());
    let on_new = |f: &&Filter| !is_our_filter(f) && new.iter().any(|l| hangs_on(f, l.index));
    known.filters.extend(host.filters.iter().filter(on_new).cloned());
    let addresses = host.addresses.iter().filter(|a| is_new(a.link));
    known.addresses.extend(addresses.cloned());
    // A link that was sealed and made again carries our group, which is no group to go back to.
    let group = |link: &Link| if is_our_group(link.group) { 0 } else { link.group };
    let links = new.into_iter().map(|link| Link {
        group: group(link),
        ..link.clone()
    });
    known.links.extend(links);
    known.sort();
    Cow::Owned(known)
}

/// What the kernel must hold while these cuts are in force on a host that goes back to `baseline`.
///
/// Without cuts it is what brings a host back from additive methods: nothing of ours but what the baseline of an armed
/// host has, the `local` rules and the link groups of the baseline. Withdrawn routes and links that were up are the restore's.
///
/// # Errors
/// If a cut cannot be laid on this host, or two cuts contradict each other.
pub fn desired(baseline: &Snapshot, cuts: &[Cut]) -> Result<Desired, Refusal> {
    desired_on(baseline, baseline, cuts)
}

/// The same on a host whose routes may have changed since: where a seal has to go around them is as they are `now`.
///
/// # Errors
/// As [`desired`].
pub fn desired_on(baseline: &Snapshot, now: &Snapshot, cuts: &[Cut]) -> Result<Desired, Refusal> {
    let taken = taken(baseline, cuts)?;
    // What leads over a link that is not up yet can only be laid when it is.
    let not_up = now.links.iter().filter(|l| !l.up).map(|l| l.index);
    let down = taken.down.iter().copied().chain(not_up).collect();
    let ground = ground(routed(baseline, now, &taken), &taken, &down);
    let spared = spared(baseline, &taken.withdrawn);
    let mut desired = Desired {
        spared,
        local_twins: local_twins(baseline),
        present: gate::objects(baseline, cuts)?,
        withdrawn_over: taken.over.clone(),
        absent: taken.withdrawn.iter().cloned().map(Object::Route).collect(),
        down: taken.down.clone(),
        groups: baseline.links.iter().map(|l| (l.index, l.group)).collect(),
        names: baseline.links.iter().map(|l| (l.index, l.name.clone())).collect(),
    };
    let armed = baseline.rules.iter().filter(|r| is_armed_rule(r)).cloned();
    desired.present.extend(armed.map(Object::Rule));
    desired
        .present
        .extend(routes::null_routes(cuts)?.into_iter().map(Object::Route));
    for family in Family::BOTH {
        let seal = seal::seal(baseline, cuts, family, routes::null(cuts, family), ground)?;
        desired.present.extend(seal.rules.into_iter().map(Object::Rule));
        desired.groups.extend(seal.groups);
        desired.present.extend(seal.routes.into_iter().map(Object::Route));
        match seal.moved {
            Some(local) => desired.absent.push(Object::Rule(local)),
            None => {
                let local = baseline.rules_of(family).find(|r| is_local_rule(r));
                desired.present.extend(local.cloned().map(Object::Rule));
            }
        }
    }
    Ok(desired)
}

fn ground<'a>(host: &'a Snapshot, taken: &'a Taken, down: &'a BTreeSet<u32>) -> Ground<'a> {
    Ground {
        host,
        withdrawn: &taken.withdrawn,
        down,
        places_max: PLACES_MAX,
    }
}

/// The host whose routes seal goes around: that of now, unless its routes were not read, are too many to be read every
/// time, or lack what these cuts take.
fn routed<'a>(baseline: &'a Snapshot, now: &'a Snapshot, taken: &Taken) -> &'a Snapshot {
    let watched = baseline.routes.len() <= WATCHED_MAX && taken.is_nothing();
    if watched && !now.routes.is_empty() {
        now
    } else {
        baseline
    }
}

/// The host whose routes the seals of these cuts go around.
///
/// # Errors
/// As [`desired`].
pub(super) fn ground_of<'a>(baseline: &'a Snapshot, now: &'a Snapshot, cuts: &[Cut]) -> Result<&'a Snapshot, Refusal> {
    Ok(routed(baseline, now, &taken(baseline, cuts)?))
}

/// The detours of these cuts in one family, around the routes of this host.
///
/// # Errors
/// As [`desired`].
pub(super) fn detours(
    baseline: &Snapshot,
    cuts: &[Cut],
    family: Family,
    host: &Snapshot,
) -> Result<Vec<Detour>, Refusal> {
    let taken = taken(baseline, cuts)?;
    let null = routes::null(cuts, family);
    let sections = seal::sections(baseline, cuts, family, null, ground(host, &taken, &taken.down))?;
    Ok(sections.map(Sections::into_detours).unwrap_or_default())
}

fn spared(baseline: &Snapshot, withdrawn: &[Route]) -> Vec<Route> {
    let places: BTreeSet<_> = withdrawn.iter().map(route_key).collect();
    if places.is_empty() {
        return Vec::new();
    }
    let beside = baseline.routes.iter().filter(|r| places.contains(&route_key(r)));
    beside.filter(|r| !withdrawn.contains(r)).cloned().collect()
}

fn taken(baseline: &Snapshot, cuts: &[Cut]) -> Result<Taken, Refusal> {
    let mut taken = Taken::default();
    for cut in cuts {
        let links = cut.methods.contains(&Method::Link);
        if !cut.zones.is_empty() && (links || routes::withdraws(cut)) {
            let method = if links { "link" } else { "routes" };
            return Err(Refusal::ZonesNeedSeal { method });
        }
        if links {
            taken.down.extend(widen(cut, baseline).links.keys());
        }
        if routes::withdraws(cut) {
            let new: Vec<Route> = cut
                .withdrawn
                .iter()
                .filter(|r| !taken.withdrawn.contains(r))
                .cloned()
                .collect();
            taken.withdrawn.extend(new);
            taken.over.extend(widen(cut, baseline).links.keys());
        }
    }
    Ok(taken)
}
