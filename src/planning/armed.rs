//! What stands on an armed host before any cut, so that a cut need not add it: our ifb, our `clsact` on the links that
//! policies gate, and one rule.
//!
//! None of it changes a packet's way: blocks without filters, and a rule behind all others that looks an empty table up.
//! What it saves: the kernel stops a link for some milliseconds when a qdisc comes or goes (`qdisc_graft()` in
//! `net/sched/sch_api.c`), and rebuilds the IPv4 tables at the first rule (`fib_unmerge()` in `net/ipv4/fib_frontend.c`).
//!
//! A shared block cannot tell its links apart, so links share one only if the same policies gate them.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::{Sides, clsact, clsact_of, could_lay, gates};
use super::ours::{ARMED_PAIRS_MAX, Pair, armed_rule, ifb, is_armed_rule, is_our_link, is_our_qdisc};
use super::refusal::Refusal;
use super::resolve::{resolve, widen};
use super::{desired, steps, without_ours};
use crate::model::names::{InterfaceName, PolicyName};
use crate::model::object::Qdisc;
use crate::model::plan::Step;
use crate::model::policy::{Method, Policy};
use crate::model::snapshot::Snapshot;

/// A host as it is to be while no cut is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Armed {
    /// The host with what is to stand of ours, and nothing else of ours.
    pub host: Snapshot,
    /// The links that are armed: a cut puts no qdisc on them.
    pub links: BTreeMap<u32, InterfaceName>,
    /// What is not armed, and why, a line each.
    pub left_out: Vec<String>,
}

impl Armed {
    /// The host without anything of ours.
    #[must_use]
    pub fn not(now: &Snapshot) -> Self {
        Self {
            host: without_ours(now, &[]),
            ..Self::default()
        }
    }

    /// The host with what stands of an armed one, on whatever link, and nothing else of ours.
    #[must_use]
    pub fn standing(now: &Snapshot) -> Self {
        let mut armed = Self::not(now);
        armed
            .host
            .links
            .extend(now.links.iter().filter(|l| is_our_link(l)).cloned());
        let ours = now.qdiscs.iter().filter(|q| armed_pair(q).is_some());
        armed.host.qdiscs.extend(ours.cloned());
        armed
            .host
            .rules
            .extend(now.rules.iter().filter(|r| **r == armed_rule()).cloned());
        armed.host.sort();
        armed
    }

    /// The same without what does not stand yet: what the steps there take away is what must not stand.
    #[must_use]
    pub fn as_far_as(&self, now: &Snapshot) -> Self {
        let mut less = self.clone();
        less.host
            .links
            .retain(|l| !is_our_link(l) || now.links.iter().any(is_our_link));
        less.host.qdiscs.retain(|q| !is_our_qdisc(q) || now.qdiscs.contains(q));
        less.host.rules.retain(|r| !is_armed_rule(r) || now.rules.contains(r));
        less
    }

    /// The steps that bring the kernel there; none if it is there.
    ///
    /// # Errors
    /// Never where no cut is held; the planner says what it was.
    pub fn steps(&self, now: &Snapshot) -> Result<Vec<Step>, Refusal> {
        Ok(steps(now, &desired(&self.host, &[])?))
    }
}

/// The host armed for these policies.
///
/// Pairs of blocks that stand stay on their links as far as they can, because a qdisc that is exchanged stops its link
/// for a moment. A policy that does not resolve here is left out. Lifelines do not count: their names need not resolve.
#[must_use]
pub fn armed<'a>(now: &Snapshot, policies: impl IntoIterator<Item = &'a Policy>) -> Armed {
    let mut armed = Armed::not(now);
    armed.host.rules.push(armed_rule());
    let mut covered: BTreeMap<u32, BTreeSet<PolicyName>> = BTreeMap::new();
    for policy in policies.into_iter().filter(|p| p.methods.contains(&Method::Gate)) {
        match gated(policy, &armed.host) {
            Ok(links) => links.into_iter().for_each(|link| {
                covered.entry(link).or_default().insert(policy.name.clone());
            }),
            Err(why) => armed.left_out.push(format!("policy {}: {why}", policy.name)),
        }
    }
    // Somebody's own qdisc takes our filters without a block.
    covered.retain(|link, _| clsact_of(&armed.host, *link).is_none());
    let mut classes: BTreeMap<BTreeSet<PolicyName>, Vec<u32>> = BTreeMap::new();
    for (link, policies) in covered {
        classes.entry(policies).or_default().push(link);
    }
    let mut pairs = Pairs::standing(now, &classes);
    for (class, links) in classes.values().enumerate() {
        for link in links {
            match pairs.of(class, *link) {
                Some(pair) => armed.arm(*link, pair),
                None => armed.left_out.push(format!(
                    "{}: policies divide the links into more than {ARMED_PAIRS_MAX} sets",
                    armed.name(*link)
                )),
            }
        }
    }
    if !armed.links.is_empty() {
        armed.host.links.push(ifb());
    }
    armed.host.sort();
    armed
}

/// The links on which our `clsact` stands.
#[must_use]
pub fn armed_links(now: &Snapshot) -> Vec<InterfaceName> {
    let ours = now.qdiscs.iter().filter(|q| is_our_qdisc(q));
    ours.filter_map(|q| now.link(q.link)).map(|l| l.name.clone()).collect()
}

/// Whether anything that an armed host has stands here.
#[must_use]
pub fn is_armed(now: &Snapshot) -> bool {
    now.links.iter().any(is_our_link) || now.qdiscs.iter().any(is_our_qdisc) || now.rules.iter().any(is_armed_rule)
}

/// Whether the rule of an armed host stands here, so that no other rule is the first.
#[must_use]
pub fn has_armed_rule(now: &Snapshot) -> bool {
    now.rules.iter().any(is_armed_rule)
}

/// The links on which gate would put a qdisc for this policy, or its filters into somebody's.
fn gated(policy: &Policy, host: &Snapshot) -> Result<Vec<u32>, Refusal> {
    let policy = Policy {
        lifelines: Vec::new(),
        ..policy.clone()
    };
    let cut = resolve(&policy, host, &BTreeMap::new())?;
    could_lay(&cut, host)?;
    if !gates(&cut) {
        return Ok(Vec::new());
    }
    Ok(widen(&cut, host).links.into_keys().collect())
}

impl Armed {
    fn name(&self, link: u32) -> String {
        self.host
            .link(link)
            .map_or_else(|| link.to_string(), |l| l.name.to_string())
    }

    fn arm(&mut self, link: u32, pair: Pair) {
        self.host.qdiscs.push(clsact(link, pair, Sides::BOTH));
        if let Some(name) = self.host.link(link).map(|l| l.name.clone()) {
            self.links.insert(link, name);
        }
    }
}

/// The pair of a qdisc as arming puts it on a link.
fn armed_pair(qdisc: &Qdisc) -> Option<Pair> {
    let pair = Pair::of_qdisc(qdisc)?;
    (*qdisc == clsact(qdisc.link, pair, Sides::BOTH)).then_some(pair)
}

/// Which class of links each pair belongs to.
struct Pairs {
    owners: BTreeMap<Pair, usize>,
    standing: BTreeMap<u32, Pair>,
}

impl Pairs {
    /// A pair that stands belongs to the first class that has a link on it.
    fn standing(now: &Snapshot, classes: &BTreeMap<BTreeSet<PolicyName>, Vec<u32>>) -> Self {
        let of = |q: &Qdisc| Some((q.link, armed_pair(q)?));
        let standing: BTreeMap<u32, Pair> = now.qdiscs.iter().filter_map(of).collect();
        let mut owners = BTreeMap::new();
        for (class, links) in classes.values().enumerate() {
            for pair in links.iter().filter_map(|link| standing.get(link)) {
                owners.entry(*pair).or_insert(class);
            }
        }
        Self { owners, standing }
    }

    /// The pair for a link: its own, or that of its class, or a free one.
    fn of(&mut self, class: usize, link: u32) -> Option<Pair> {
        let owned = |pair: &Pair| self.owners.get(pair) == Some(&class);
        if let Some(own) = self.standing.get(&link).filter(|p| owned(p)) {
            return Some(*own);
        }
        if let Some((pair, _)) = self.owners.iter().find(|(_, owner)| **owner == class) {
            return Some(*pair);
        }
        if self.owners.len() >= usize::try_from(ARMED_PAIRS_MAX).unwrap_or(usize::MAX) {
            return None;
        }
        let free = Pair::all().find(|pair| !self.owners.contains_key(pair))?;
        self.owners.insert(free, class);
        Some(free)
    }
}
