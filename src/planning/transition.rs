//! The steps from what the kernel holds to what it must hold.
//!
//! A difference, so it does not matter how the kernel came to its state: first apply, re-apply (nothing to do),
//! healing, recovery after a crash at any point, another emergency beginning or ending.
//!
//! **Invariants:** in every intermediate state a lifeline that was kept and is to be kept passes; what was cut and is to
//! be cut is cut; nothing of others is touched but what the cuts hold. Within a step the changes run in their order.

mod detours;
mod gate;
mod routes;
mod rules;

use std::fmt::Write as _;

use super::desired::Desired;
use crate::model::change::{Change, LinkSetting};
use crate::model::object::Verdict;
use crate::model::object::{FilterEntries, RuleAction};
use crate::model::plan::{Phase, Step};
use crate::model::snapshot::{Object, Snapshot};

/// The steps that bring the kernel from `now` to `desired`; none if it is there.
///
/// Gate flips first, because its price does not grow with the routing tables; seal follows as the second copy.
/// Withdrawn routes that are no longer to be absent, and links no longer to be down, are left to the restore.
#[must_use]
pub fn steps(now: &Snapshot, desired: &Desired) -> Vec<Step> {
    let desired = &desired.with_names_of(now);
    let gate = gate::shift(now, desired);
    let rules = rules::shift(now, desired);
    let routes = routes::shift(now, desired);
    let detours = detours::shift(now, desired);
    let links = routes::downs(now, desired);
    let mut steps = Steps::default();
    steps.add(Phase::Lay, "gate: lay out", gate.lay);
    steps.add(Phase::Lay, "seal: lay detours", detours.lay);
    if gate.close.is_empty() {
        steps.add(Phase::Lay, "seal: lay the head", rules.cover);
        steps.add(Phase::Lay, "seal: lay out", rules.lay);
        steps.add(Phase::Lay, "routes: lay out", routes.lay);
        steps.add(Phase::Flip, "seal: flip", rules.close);
    } else {
        steps.add(Phase::Lay, "routes: lay out", routes.lay);
        steps.add(Phase::Flip, "gate: flip", gate.close);
        steps.add(Phase::Settle, "seal: lay the head of the second copy", rules.cover);
        steps.add(Phase::Settle, "seal: lay out the second copy", rules.lay);
        steps.add(Phase::Settle, "seal: flip the second copy", rules.close);
    }
    steps.add(Phase::Flip, "routes: flip", routes.close);
    steps.add(Phase::Flip, "link: flip", links);
    // Whatever opens comes after whatever closes, so that what one cut hands over to another stays cut.
    steps.add(Phase::Flip, "gate: flip back", gate.open);
    steps.add(Phase::Flip, "seal: flip back", rules.open);
    steps.add(Phase::Flip, "routes: flip back", routes.open);
    steps.add(Phase::Settle, "seal: clear", rules.settle);
    steps.add(Phase::Settle, "seal: clear detours", detours.settle);
    steps.add(Phase::Settle, "routes: clear", routes.settle);
    steps.add(Phase::Settle, "gate: clear", gate.settle);
    steps.0
}

/// The changes of one method.
#[derive(Clone, Debug, Default)]
struct Shift {
    /// What keeps the rest of the lay without effect, in a send of its own: the kernel goes on after a refusal.
    cover: Vec<Change>,
    /// Without effect yet.
    lay: Vec<Change>,
    /// What cuts, in one send.
    close: Vec<Change>,
    /// What opens again, in one send.
    open: Vec<Change>,
    /// What has lost its effect.
    settle: Vec<Change>,
}

/// Steps in the making; phases never go back.
#[derive(Debug, Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, phase: Phase, what: &str, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let reached = self.0.last().map_or(Phase::Lay, |s| s.phase);
        self.0.push(Step {
            phase: phase.max(reached),
            summary: format!("{what}: {}", describe(&changes)),
            changes,
        });
    }
}

/// What a list of changes does, in counts of `ip` and `tc` objects, in the order in which each kind first comes.
fn describe(changes: &[Change]) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for change in changes {
        let words = words(change);
        match counts.iter_mut().find(|(w, _)| *w == words) {
            Some((_, count)) => *count += 1,
            None => counts.push((words, 1)),
        }
    }
    let mut text = String::new();
    for (i, (words, count)) in counts.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let times = if *count == 1 {
            String::new()
        } else {
            format!(" ({count})")
        };
        // Writing into a String cannot fail.
        write!(text, "{comma}{words}{times}").expect("a String takes every text");
    }
    text
}

fn words(change: &Change) -> String {
    match change {
        Change::Add(object) => format!("{} add{}", noun(object), detail(object)),
        Change::Delete(object) => format!("{} del{}", noun(object), detail(object)),
        Change::SetLink { name, setting, .. } => match setting {
            LinkSetting::Up => format!("ip link set {name} up"),
            LinkSetting::Down => format!("ip link set {name} down"),
            LinkSetting::Group(group) => format!("ip link set {name} group {group:#x}"),
        },
        Change::SetSysctl(sysctl) => format!("sysctl {}={}", sysctl.name, sysctl.value),
    }
}

fn noun(object: &Object) -> &'static str {
    match object {
        Object::Link(_) => "ip link",
        Object::Address(_) => "ip address",
        Object::Nexthop(_) => "ip nexthop",
        Object::Route(_) => "ip route",
        Object::Rule(_) => "ip rule",
        Object::Neighbour(_) => "ip neighbour",
        Object::Qdisc(_) => "tc qdisc",
        Object::Filter(_) => "tc filter",
        Object::Sysctl(_) => "sysctl",
    }
}

/// What tells objects of one kind apart for a reader: what they do.
fn detail(object: &Object) -> &'static str {
    match object {
        Object::Rule(rule) => match rule.action {
            RuleAction::Goto(_) => " … goto",
            RuleAction::Nop => " … nop",
            RuleAction::Prohibit => " … prohibit",
            RuleAction::Lookup(255) if super::ours::is_local_rule(rule) => " pref 0 lookup local",
            RuleAction::Lookup(_) => " … lookup",
            RuleAction::Blackhole => " … blackhole",
            RuleAction::Unreachable => " … unreachable",
            RuleAction::Other(_) => "",
        },
        Object::Filter(filter) => match &filter.entries {
            FilterEntries::U32(rows) if rows.iter().any(|(_, v)| matches!(v, Verdict::DropInto(_))) => " … drop",
            FilterEntries::U32(_) => " … pass",
            FilterEntries::Foreign(_) => "",
        },
        Object::Qdisc(_) => " clsact",
        Object::Link(_)
        | Object::Address(_)
        | Object::Nexthop(_)
        | Object::Route(_)
        | Object::Neighbour(_)
        | Object::Sysctl(_) => "",
    }
}

fn add(object: Object) -> Change {
    Change::Add(object)
}

fn delete(object: Object) -> Change {
    Change::Delete(object)
}

/// A setting for a link that is there; a link that is gone needs none.
fn set(now: &Snapshot, index: u32, setting: LinkSetting) -> Option<Change> {
    now.link(index).map(|link| Change::SetLink {
        index,
        name: link.name.clone(),
        setting,
    })
}
