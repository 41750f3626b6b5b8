//! A second opinion on any plan: every state that it passes through is asked whether the lifelines' packets still pass,
//! and the last one whether what the cuts forbid is dropped.
//!
//! It shares no code with what makes plans. It has its own idea of a packet, of a walk through filters, rules and
//! tables, and of what a lifeline needs, so that a mistake must be made twice to go unseen. A probe that did not pass in
//! the start state (no route to the peer) is not the plan's fault.
//!
//! # What it does not look at
//!
//! - Forbidden packets are samples of TCP and UDP from and to an address that no lifeline names: it finds holes, it
//!   does not prove that there are none.
//! - Filters of others are taken to let everything pass, and rules with selectors that it does not know not to match.
//! - Of a route with several legs each leg that is up is followed, whatever the kernel's hash would choose; 64 destinations
//!   behind such routes are asked for. Marks are 0, and users are root.

mod carried;
mod holes;
mod packet;
mod probes;
#[cfg(test)]
mod tests;
mod walker;

use crate::model::change::Change;
use crate::model::cut::Cut;
use crate::model::effect;
use crate::model::object::Rule;
use crate::model::plan::Step;
use crate::model::snapshot::{Object, Snapshot};

pub use carried::check_carried;
use probes::Probe;
use walker::{Tables, Walker};

/// Why a plan must not be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// A lifeline would drop.
    #[error("step {step} ({summary}) would drop lifeline {lifeline} with `{change}`: {packet} no longer passes")]
    DropsLifeline {
        /// The step, counted from 1.
        step: usize,
        /// What the step is for.
        summary: String,
        /// The change, as a command.
        change: String,
        /// The lifeline.
        lifeline: String,
        /// Which of its packets.
        packet: String,
    },
    /// The kernel would refuse a change.
    #[error("step {step} ({summary}) cannot be carried out: the kernel would refuse `{change}` with errno {errno}")]
    Refused {
        /// The step, counted from 1.
        step: usize,
        /// What the step is for.
        summary: String,
        /// The change, as a command.
        change: String,
        /// The positive errno.
        errno: i32,
    },
    /// The cut has a hole.
    #[error("the plan leaves a hole in the cut of {policy}: {packet} still passes")]
    LeavesHole {
        /// The cut's policy.
        policy: String,
        /// Which packet.
        packet: String,
    },
}

/// Walks through the plan, change by change, from `start` to the state in which `cuts` are in force.
///
/// # Errors
/// At the first change that drops a lifeline or that the kernel would refuse; at the end, if a cut has a hole.
pub fn check(plan_steps: &[Step], start: &Snapshot, cuts: &[Cut]) -> Result<(), Unsafe> {
    let forgiven = Vec::new();
    walk(plan_steps, start, cuts, &forgiven)
}

/// The same for a cut beside others in force: a hole that one of those has already is not the plan's fault, and no reason
/// to refuse another cut.
///
/// # Errors
/// As [`check`].
pub fn check_beside(plan_steps: &[Step], start: &Snapshot, in_force: &[Cut], new: &Cut) -> Result<(), Unsafe> {
    let tables = Tables::of(start);
    let walker = Walker::new(start, &tables);
    let cuts: Vec<Cut> = in_force.iter().chain([new]).cloned().collect();
    let new = new.policy.to_string();
    let others = holes::of_cuts(&walker, &cuts)
        .into_iter()
        .filter(|hole| hole.policy != new);
    let forgiven: Vec<Probe> = others.map(|h| h.probe).filter(|p| p.passes(&walker)).collect();
    walk(plan_steps, start, &cuts, &forgiven)
}

fn walk(plan_steps: &[Step], start: &Snapshot, cuts: &[Cut], forgiven: &[Probe]) -> Result<(), Unsafe> {
    let mut state = start.clone();
    let mut tables = Tables::of(&state);
    let mut probes = probes::of_lifelines(&Walker::new(&state, &tables), cuts);
    probes.retain_mut(|p| p.passes_at_first(&Walker::new(&state, &tables)));
    for (at, step) in plan_steps.iter().enumerate() {
        for change in &step.changes {
            let rule = rule_of(change, &state);
            if let Err(errno) = effect::apply(&mut state, change) {
                return Err(Unsafe::Refused {
                    step: at + 1,
                    summary: step.summary.clone(),
                    change: change.to_string(),
                    errno,
                });
            }
            renew(&mut tables, &state, change);
            let walker = Walker::new(&state, &tables);
            let mut asked = probes.iter().filter(|p| concerns(change, rule.as_ref(), p, &walker));
            if let Some(probe) = asked.find(|p| !p.passes(&walker)) {
                return Err(dropped(probe, at, step, change));
            }
        }
    }
    let walker = Walker::new(&state, &tables);
    let holes = holes::of_cuts(&walker, cuts).into_iter();
    holes
        .filter(|hole| !forgiven.contains(&hole.probe))
        .try_for_each(|hole| match hole.probe.passes(&walker) {
            true => Err(Unsafe::LeavesHole {
                policy: hole.policy,
                packet: hole.probe.packet,
            }),
            false => Ok(()),
        })
}

fn dropped(probe: &Probe, at: usize, step: &Step, change: &Change) -> Unsafe {
    Unsafe::DropsLifeline {
        step: at + 1,
        summary: step.summary.clone(),
        change: change.to_string(),
        lifeline: probe.whose.clone(),
        packet: probe.packet.clone(),
    }
}

/// Whether a change can make a difference to a probe that passed before it. A qdisc makes one on its own link alone, and a
/// rule to what it selects: a plan has a rule for each peer, and a probe for each, too.
fn concerns(change: &Change, rule: Option<&Rule>, probe: &Probe, walker: &Walker) -> bool {
    match change {
        Change::Add(Object::Qdisc(qdisc)) | Change::Delete(Object::Qdisc(qdisc)) => probe.may_use(qdisc.link),
        Change::Add(Object::Rule(_)) | Change::Delete(Object::Rule(_)) => {
            rule.is_some_and(|rule| rule.invert || probe.is_selected(walker, rule))
        }
        Change::Add(_) | Change::Delete(_) | Change::SetLink { .. } | Change::SetSysctl(_) => true,
    }
}

/// The rule that a change adds, or takes: a deletion takes the first that has what it names, which may be another one.
fn rule_of(change: &Change, before: &Snapshot) -> Option<Rule> {
    match change {
        Change::Add(Object::Rule(rule)) => Some(rule.clone()),
        Change::Delete(Object::Rule(request)) => before
            .rules
            .iter()
            .find(|there| effect::takes_rule(request, there))
            .cloned(),
        Change::Add(_) | Change::Delete(_) | Change::SetLink { .. } | Change::SetSysctl(_) => None,
    }
}

/// Brings the tables to what a change has made of the state: all of them only where it may alter more than one place.
fn renew(tables: &mut Tables, state: &Snapshot, change: &Change) {
    match change {
        Change::Add(object) | Change::Delete(object) => match object {
            Object::Route(route) => tables.renew(state, route),
            Object::Link(_) | Object::Address(_) | Object::Nexthop(_) => *tables = Tables::of(state),
            Object::Rule(_) | Object::Neighbour(_) | Object::Qdisc(_) | Object::Filter(_) | Object::Sysctl(_) => {}
        },
        Change::SetLink { .. } => *tables = Tables::of(state),
        Change::SetSysctl(_) => {}
    }
}
