//! From the rules that stand to those that must stand, and the link groups that they look at.
//!
//! A first apply lays everything under a head that jumps past it; its removal is the flip. Rules that are in force
//! already change in place: what lets lifelines pass is added before, blocks in one send, additions always before
//! deletions, and what lets pass is deleted last.

use super::super::desired::Desired;
use super::super::ours::{TABLE, is_local_rule, is_our_group, is_our_rule, looks_up_local};
use super::super::slots::{ARRIVE, BYPASS, DOOR, HEAD, JUMP, LOCAL, NEIGHBOUR, OWN};
use super::{Shift, add, delete, set};
use crate::model::change::{Change, LinkSetting};
use crate::model::effect::takes_rule;
use crate::model::object::{Family, Rule, RuleAction};
use crate::model::snapshot::{Object, Snapshot};

/// The changes to rules and groups.
pub(super) fn shift(now: &Snapshot, desired: &Desired) -> Shift {
    let mut shift = Shift::default();
    let groups = Groups::new(now, desired);
    shift.lay.extend(groups.quiet);
    shift.close.extend(groups.effective);
    let parts = Family::BOTH.map(|family| Part::new(now, desired, family));
    for part in &parts {
        shift.cover.extend(part.cover());
        shift.lay.extend(part.lay());
        shift.close.extend(part.flip());
    }
    // The kernel's local rules go last, when both families have their stand-ins, and come back first.
    for family in Family::BOTH {
        let held = desired
            .absent
            .iter()
            .filter_map(as_rule)
            .any(|r| r.family == family && is_local_rule(r));
        // Whoever puts it back gives it another protocol than the kernel's.
        let there = now.rules_of(family).filter(|r| held && is_local_rule(r));
        shift.close.extend(there.cloned().map(Object::Rule).map(delete));
        shift
            .open
            .extend(missing_local(now, desired, family).map(Object::Rule).map(add));
    }
    for part in &parts {
        shift.open.extend(part.unblock());
        shift.settle.extend(part.settle());
    }
    shift.settle.extend(groups.back);
    shift
}

/// Whether this is a rule of seal: ours, but not the lookup of our own table, which belongs to the routes. The copies of
/// that lookup in the sections suppress a group and are seal's.
fn of_seal(rule: &Rule) -> bool {
    is_our_rule(rule) && !is_null_lookup(rule)
}

/// Whether the rule gives packets to our own table.
pub(super) fn is_null_lookup(rule: &Rule) -> bool {
    is_our_rule(rule) && rule.action == RuleAction::Lookup(TABLE) && rule.suppress_group.is_none()
}

/// The kernel's local rule, if it must be there and is not; a host whose owner moved it meanwhile keeps it where it is.
fn missing_local(now: &Snapshot, desired: &Desired, family: Family) -> Option<Rule> {
    let mut rules = desired.present.iter().filter_map(as_rule);
    let wanted = rules.find(|r| r.family == family && is_local_rule(r))?;
    let moved = |r: &Rule| !is_our_rule(r) && looks_up_local(r) && !desired.local_twins.contains(r);
    let elsewhere = now.rules_of(family).any(moved);
    (!elsewhere).then(|| wanted.clone())
}

pub(super) fn as_rule(object: &Object) -> Option<&Rule> {
    match object {
        Object::Rule(rule) => Some(rule),
        Object::Link(_)
        | Object::Address(_)
        | Object::Nexthop(_)
        | Object::Route(_)
        | Object::Neighbour(_)
        | Object::Qdisc(_)
        | Object::Filter(_)
        | Object::Sysctl(_) => None,
    }
}

/// One family's difference.
struct Part {
    family: Family,
    /// Seal's rules, in the kernel's order.
    there: Vec<Rule>,
    missing: Vec<Rule>,
    extra: Vec<Rule>,
    landing: Option<u32>,
    head: Head,
}

/// What the head does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Nothing of seal stands: it is to be laid under a head.
    Needed,
    /// It stands, so nothing of seal has an effect.
    Stands,
    /// There is none, so what stands has its effect.
    None,
}

impl Part {
    fn new(now: &Snapshot, desired: &Desired, family: Family) -> Self {
        let there: Vec<&Rule> = now.rules_of(family).filter(|r| of_seal(r)).collect();
        let rules = desired.present.iter().filter_map(as_rule);
        let wanted: Vec<&Rule> = rules.filter(|r| r.family == family && of_seal(r)).collect();
        let mut missing: Vec<Rule> = wanted
            .iter()
            .filter(|r| !there.contains(r))
            .map(|r| (*r).clone())
            .collect();
        missing.sort_by_key(|r| r.preference);
        let extra = there.iter().filter(|r| !wanted.contains(r)).map(|r| (*r).clone());
        let landing = wanted.iter().map(|r| r.preference).max();
        let head = match (there.iter().any(|r| r.preference == HEAD), wanted.is_empty()) {
            (_, true) => Head::None,
            (true, false) => Head::Stands,
            (false, false) if there.is_empty() => Head::Needed,
            (false, false) => Head::None,
        };
        let extra = extra.collect();
        Self {
            family,
            there: there.into_iter().cloned().collect(),
            missing,
            extra,
            landing,
            head,
        }
    }

    fn is_skipped(&self) -> bool {
        self.head != Head::None
    }

    /// The landing first, then the head.
    fn cover(&self) -> Vec<Change> {
        let landings = self.missing.iter().filter(|r| self.is_landing(r)).cloned();
        let head = (self.head == Head::Needed).then(|| self.head_rule()).flatten();
        landings.chain(head).map(Object::Rule).map(add).collect()
    }

    /// What the head covers, in order; in place only what lets pass.
    fn lay(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        let rest = self.missing.iter().filter(|r| !self.is_landing(r));
        let now = rest.filter(|r| self.is_skipped() || lets_pass(r));
        changes.extend(now.cloned().map(Object::Rule).map(add));
        if self.is_skipped() {
            changes.extend(self.deletions(self.extra.iter().filter(|r| r.preference != HEAD)));
        }
        changes
    }

    fn is_landing(&self, rule: &Rule) -> bool {
        Some(rule.preference) == self.landing
    }

    fn head_rule(&self) -> Option<Rule> {
        self.landing
            .map(|landing| Rule::ours(self.family, HEAD, RuleAction::Goto(landing)))
    }

    /// The head goes; in place the blocks come. A jump to a landing that has moved goes before any of them.
    fn flip(&self) -> Vec<Change> {
        if self.is_skipped() {
            let there = self.extra.iter().find(|r| r.preference == HEAD).cloned();
            let head = there.or_else(|| self.head_rule());
            return head.map(Object::Rule).map(delete).into_iter().collect();
        }
        let strays = self.extra.iter().filter(|r| self.is_stray(r));
        let blocks = self
            .missing
            .iter()
            .filter(|r| r.action != RuleAction::Nop && !lets_pass(r));
        let deletions = strays.cloned().map(Object::Rule).map(delete);
        deletions.chain(blocks.cloned().map(Object::Rule).map(add)).collect()
    }

    fn is_stray(&self, rule: &Rule) -> bool {
        let moved = |target| target != DOOR && self.landing.is_some_and(|l| l != target);
        matches!(rule.action, RuleAction::Goto(target) if moved(target)) && lets_pass(rule)
    }

    /// In place: blocks that are no longer wanted, the last first, so that a section opens before its copies go.
    fn unblock(&self) -> Vec<Change> {
        if self.is_skipped() {
            return Vec::new();
        }
        self.deletions(self.extra.iter().rev().filter(|r| !lets_pass(r)))
    }

    /// In place: what let lifelines pass that are no longer kept; landings last.
    fn settle(&self) -> Vec<Change> {
        if self.is_skipped() {
            return Vec::new();
        }
        self.deletions(self.extra.iter().filter(|r| lets_pass(r) && !self.is_stray(r)))
    }

    /// A request to delete takes the first rule that agrees with what it names. So a rule that says more is deleted before
    /// one that says less; and one that is kept, and stands before, is put behind it: what it does the other does meanwhile.
    fn deletions<'a>(&self, doomed: impl Iterator<Item = &'a Rule>) -> Vec<Change> {
        let doomed: Vec<&Rule> = doomed.collect();
        let mut changes = Vec::new();
        for slot in doomed.chunk_by(|a, b| a.preference == b.preference) {
            let of_slot = |r: &&Rule| r.preference == slot[0].preference;
            let mut there: Vec<&Rule> = self.there.iter().filter(of_slot).collect();
            let mut slot = slot.to_vec();
            slot.sort_by_cached_key(|r| takes_how_many(r, &there));
            for rule in slot {
                let before = there.iter().take_while(|r| **r != rule);
                let mut kept: Vec<&Rule> = before.filter(|r| takes_rule(rule, r)).copied().collect();
                kept.sort_by_cached_key(|r| takes_how_many(r, &there));
                for rule in kept {
                    changes.extend([delete(Object::Rule(rule.clone())), add(Object::Rule(rule.clone()))]);
                    there.retain(|r| *r != rule);
                    there.push(rule);
                }
                there.retain(|r| *r != rule);
                changes.push(delete(Object::Rule(rule.clone())));
            }
        }
        changes
    }
}

/// How many of these a request for the rule takes: the fewer, the more it says.
fn takes_how_many(rule: &Rule, there: &[&Rule]) -> usize {
    there.iter().filter(|r| takes_rule(rule, r)).count()
}

/// Whether the rule only lets more pass, or nothing at all; all others cut, or choose what is cut.
fn lets_pass(rule: &Rule) -> bool {
    rule.action == RuleAction::Nop
        || matches!(
            rule.preference,
            HEAD | OWN | ARRIVE | JUMP | BYPASS | NEIGHBOUR | DOOR | LOCAL
        )
}

/// Link groups that change.
struct Groups {
    quiet: Vec<Change>,
    effective: Vec<Change>,
    back: Vec<Change>,
}

impl Groups {
    fn new(now: &Snapshot, desired: &Desired) -> Self {
        let mut groups = Self {
            quiet: Vec::new(),
            effective: Vec::new(),
            back: Vec::new(),
        };
        let skipped = now.rules.iter().filter(|r| of_seal(r) && r.preference == HEAD);
        let skipped: Vec<Family> = skipped.map(|r| r.family).collect();
        for (index, wanted) in &desired.groups {
            let Some(link) = now.link(*index).filter(|l| l.group != *wanted) else {
                continue;
            };
            let change = set(now, *index, LinkSetting::Group(*wanted));
            if is_our_group(*wanted) {
                let watches =
                    |r: &Rule| of_seal(r) && r.suppress_group == Some(*wanted) && !skipped.contains(&r.family);
                if now.rules.iter().any(watches) {
                    groups.effective.extend(change);
                } else {
                    groups.quiet.extend(change);
                }
            } else if is_our_group(link.group) {
                groups.back.extend(change);
            }
        }
        groups
    }
}
