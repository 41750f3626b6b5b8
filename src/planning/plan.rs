//! One policy, one host, one plan.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::check::check_carried;
use super::coverage::coverage;
use super::desired::{Desired, desired, desired_on, keeps_lifelines, with_new_links};
use super::ours::{is_armed_rule, is_our_rule};
use super::reachability::links_of;
use super::refusal::Refusal;
use super::resolve::{resolve, widen};
use super::routes::withdraws;
use super::transition::steps;
use super::{explain, legs, slots};
use crate::model::canonical::canonical_digest;
use crate::model::cut::Cut;
use crate::model::object::Rule;
use crate::model::plan::Plan;
use crate::model::policy::{Method, Policy};
use crate::model::snapshot::{Object, Snapshot};

/// Two for each peer of a lifeline and each next hop, at their own limits. Only a `forward` lifeline without `inside` can need
/// more, on a host with thousands of on-link routes.
const NEIGHBOUR_RULES_MAX: usize = 2 * (1024 + 256);

/// The plan that puts a policy in force beside the cuts in force.
///
/// `host` is the kernel now, `baseline` what the host goes back to; `pinned` holds the addresses that each `peer_names`
/// entry resolved to.
///
/// # Errors
/// If the policy cannot be put in force here; nothing has been touched then.
pub fn plan(
    policy: &Policy,
    host: &Snapshot,
    baseline: &Snapshot,
    in_force: &[Cut],
    pinned: &BTreeMap<String, Vec<IpAddr>>,
) -> Result<Plan, Refusal> {
    let known = with_new_links(baseline, host);
    let cut = resolve(policy, &without_cuts(host, &known, in_force), pinned)?;
    let cuts: Vec<Cut> = in_force.iter().chain([&cut]).cloned().collect();
    // Cuts end one by one, so whatever is left of them must stand by itself; what they differ on shows in pairs.
    wanted(&known, std::slice::from_ref(&cut))?;
    for other in in_force {
        wanted(&known, &[other.clone(), cut.clone()])?;
    }
    keeps_lifelines(&known, &cuts)?;
    check_carried([&known, host], &cuts)?;
    let desired = desired_on(&known, host, &cuts)?;
    check_neighbours(&desired)?;
    legs::check_legs(&cuts, &known, host)?;
    check_front(host, &desired)?;
    super::gate::check_front(host, &desired, &cut, &known)?;
    let mut warnings = explain::warnings(policy, &cut, &known, &desired, pinned);
    warnings.extend(legs::warnings(&cut, &known, host)?);
    Ok(Plan {
        policy_digest: canonical_digest(policy),
        affects: policy.affects,
        steps: steps(host, &desired),
        coverage: coverage(&cut, &known),
        kept: explain::kept(&cut),
        not_recreatable: explain::lost(&cut, &known),
        warnings,
        cut,
    })
}

/// What these cuts want, if they keep every lifeline: asked before a cut begins, and never of one that is held.
fn wanted(known: &Snapshot, cuts: &[Cut]) -> Result<Desired, Refusal> {
    keeps_lifelines(known, cuts)?;
    desired(known, cuts)
}

/// The host as it would be without the cuts in force: what they took is there again, so that a policy which takes the
/// same finds it and keeps it when the other ends.
fn without_cuts(host: &Snapshot, baseline: &Snapshot, in_force: &[Cut]) -> Snapshot {
    let mut view = host.clone();
    // A whole host's links are all that the baseline has, though the cut may not list them yet.
    let in_force: Vec<Cut> = in_force.iter().map(|cut| widen(cut, baseline)).collect();
    let taken = |cut: &Cut, route: &crate::model::object::Route| {
        let down = cut.methods.contains(&Method::Link);
        let withdrawn = withdraws(cut) && cut.withdrawn.contains(route);
        withdrawn || (down && links_of(route, baseline).iter().any(|l| cut.links.contains_key(l)))
    };
    if !in_force
        .iter()
        .any(|c| withdraws(c) || c.methods.contains(&Method::Link))
    {
        return view;
    }
    let lost = baseline.routes.iter().filter(|r| in_force.iter().any(|c| taken(c, r)));
    let lost: Vec<_> = lost.filter(|r| !host.routes.contains(r)).cloned().collect();
    view.routes.extend(lost);
    let down = |index: u32| {
        let sets_down = |c: &Cut| c.methods.contains(&Method::Link) && c.links.contains_key(&index);
        in_force.iter().any(sets_down)
    };
    let of_down = baseline.nexthops.iter().filter(|n| n.link.is_some_and(down));
    let lost: Vec<_> = of_down
        .filter(|n| host.nexthops.iter().all(|h| h.id != n.id))
        .cloned()
        .collect();
    view.nexthops.extend(lost);
    view.sort();
    view
}

/// The rules of others in `now` that decide before ours do: they may let pass what seal cuts, and are not ours to remove.
#[must_use]
pub fn rules_in_front(now: &Snapshot, desired: &Desired) -> Vec<Rule> {
    slots::in_front(now, &our_rules(desired)).into_iter().cloned().collect()
}

/// Every packet walks past these rules. Asked before a cut begins, and never of one that is held.
fn check_neighbours(desired: &Desired) -> Result<(), Refusal> {
    let is_neighbours =
        |o: &&Object| matches!(o, Object::Rule(r) if is_our_rule(r) && r.preference == slots::NEIGHBOUR);
    let count = desired.present.iter().filter(is_neighbours).count();
    if count > NEIGHBOUR_RULES_MAX {
        return Err(Refusal::TooMany {
            what: "rules for the ARP of on-link prefixes, which a `forward` lifeline needs for what it reaches",
            count,
            limit: NEIGHBOUR_RULES_MAX,
        });
    }
    Ok(())
}

/// Somebody may have put a rule in front of ours since the baseline.
fn check_front(host: &Snapshot, desired: &Desired) -> Result<(), Refusal> {
    slots::check_front(host, &our_rules(desired))
}

fn our_rules(desired: &Desired) -> Vec<&Rule> {
    desired
        .present
        .iter()
        .filter_map(|o| match o {
            Object::Rule(rule) if is_our_rule(rule) && !is_armed_rule(rule) => Some(rule),
            Object::Rule(_)
            | Object::Link(_)
            | Object::Address(_)
            | Object::Nexthop(_)
            | Object::Route(_)
            | Object::Neighbour(_)
            | Object::Qdisc(_)
            | Object::Filter(_)
            | Object::Sysctl(_) => None,
        })
        .collect()
}
