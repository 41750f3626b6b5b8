//! Sections: copies of everybody's own rules that refuse routes over links of a group of ours, then `prohibit`.
//!
//! The output link is not known before a lookup, so `oif` does nothing for ordinary traffic; what works is to look up
//! and to throw a result away by its link's group (`suppress_ifgroup`). Each copy keeps its original's selectors.

use std::collections::{BTreeMap, BTreeSet};

use super::Refusal;
use super::ours::{GROUP, GROUP_SECOND, TABLE};
use super::seal::{Null, loopback};
use super::slots::{self, Slots};
use crate::model::cut::ZoneLinks;
use crate::model::names::InterfaceName;
use crate::model::object::{Family, Rule, RuleAction};
use crate::model::policy::Direction;
use crate::model::snapshot::Snapshot;

/// Who goes through a section, and which group's links it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    enters: Enters,
    suppressed: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Enters {
    /// Everything.
    All,
    /// What begins on this host.
    FromHere,
    /// What is forwarded.
    Forwarded,
    /// What comes in over these links.
    Over(Vec<InterfaceName>),
}

/// Which sections the cuts need, and which links go into which group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    sections: Vec<Section>,
    groups: BTreeMap<u32, u32>,
}

/// The sections for sealed links, or for zones.
///
/// # Errors
/// If there are more zones than groups can tell.
pub fn wanted(
    towards: &BTreeSet<u32>,
    directions: &BTreeSet<Direction>,
    zones: &[ZoneLinks],
    name: impl Fn(&u32) -> Option<InterfaceName>,
) -> Result<Wanted, Refusal> {
    if !towards.is_empty() {
        let enters = match (
            directions.contains(&Direction::Out),
            directions.contains(&Direction::Forward),
        ) {
            (true, false) => Enters::FromHere,
            (false, true) => Enters::Forwarded,
            (true, true) | (false, false) => Enters::All,
        };
        return Ok(Wanted {
            sections: vec![Section {
                enters,
                suppressed: GROUP,
            }],
            groups: towards.iter().map(|l| (*l, GROUP)).collect(),
        });
    }
    let over = |zone: &ZoneLinks| Enters::Over(zone.links.iter().filter_map(&name).collect());
    let section = |enters, suppressed| Section { enters, suppressed };
    match zones {
        [] => Ok(Wanted::default()),
        [first, second] => Ok(Wanted {
            sections: vec![section(over(first), GROUP_SECOND), section(over(second), GROUP)],
            groups: grouped(first, GROUP).chain(grouped(second, GROUP_SECOND)).collect(),
        }),
        many if many.iter().all(|z| z.links.len() == 1) => {
            let links = many.iter().flat_map(|z| &z.links);
            let all = Enters::Over(links.clone().filter_map(&name).collect());
            Ok(Wanted {
                sections: vec![section(all, GROUP)],
                groups: links.map(|l| (*l, GROUP)).collect(),
            })
        }
        many => Err(Refusal::TooManyZones { zones: many.len() }),
    }
}

fn grouped(zone: &ZoneLinks, group: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
    zone.links.iter().map(move |l| (*l, group))
}

/// Sections of one family, filled with copies.
#[derive(Clone, Debug)]
pub struct Sections {
    family: Family,
    wanted: Wanted,
    copies: Vec<Rule>,
}

impl Sections {
    /// Copies what stands behind our rules; none if no section is wanted.
    ///
    /// # Errors
    /// If somebody's rule cannot be copied.
    pub fn new(baseline: &Snapshot, family: Family, wanted: &Wanted, null: Null) -> Result<Option<Self>, Refusal> {
        if wanted.sections.is_empty() {
            return Ok(None);
        }
        let foreign: Vec<&Rule> = baseline.rules_of(family).filter(|r| slots::is_foreign(r)).collect();
        foreign.iter().try_for_each(|r| can_copy(r))?;
        let own = (null == Null::Looked).then(|| Rule::ours(family, 0, RuleAction::Lookup(TABLE)));
        Ok(Some(Self {
            family,
            wanted: wanted.clone(),
            copies: own.into_iter().chain(foreign.into_iter().cloned()).collect(),
        }))
    }

    /// How many preferences a section needs: one for each copy, which keeps their order, and one for the block.
    pub fn length(&self) -> u32 {
        u32::try_from(self.copies.len()).map_or(u32::MAX / 4, |n| n + 1)
    }

    /// The links that are moved into groups.
    pub fn groups(&self) -> BTreeMap<u32, u32> {
        self.wanted.groups.clone()
    }

    /// The rules that choose a section, and those in the sections.
    pub fn rules(&self, slots: Slots) -> Vec<Rule> {
        let mut rules = Vec::new();
        let mut elsewhere = false;
        for (section, start) in self
            .wanted
            .sections
            .iter()
            .zip((slots::SECTIONS..).step_by(slots.section as usize))
        {
            rules.extend(self.dispatch(section, start, slots.landing));
            elsewhere |= matches!(section.enters, Enters::Over(_));
            let preferences = start..;
            let copies = self.copies.iter().zip(preferences);
            rules.extend(copies.map(|(rule, at)| copy(rule, at, section.suppressed)));
            let end = start + self.length() - 1;
            rules.push(Rule::ours(self.family, end, RuleAction::Prohibit));
        }
        if elsewhere {
            rules.push(Rule::ours(
                self.family,
                slots::ELSEWHERE,
                RuleAction::Goto(slots.landing),
            ));
        }
        rules
    }

    fn choose(&self, target: u32) -> Rule {
        Rule::ours(self.family, slots::DISPATCH, RuleAction::Goto(target))
    }

    fn dispatch(&self, section: &Section, start: u32, landing: u32) -> Vec<Rule> {
        let past_for = |iif, invert| Rule {
            iif: Some(iif),
            invert,
            ..self.choose(landing)
        };
        match &section.enters {
            Enters::All => Vec::new(),
            Enters::FromHere => vec![past_for(loopback(), true)],
            Enters::Forwarded => vec![past_for(loopback(), false)],
            Enters::Over(links) => links
                .iter()
                .map(|link| Rule {
                    iif: Some(link.clone()),
                    ..self.choose(start)
                })
                .collect(),
        }
    }
}

fn copy(rule: &Rule, preference: u32, suppressed: u32) -> Rule {
    let looks_up = matches!(rule.action, RuleAction::Lookup(_));
    Rule {
        preference,
        protocol: crate::model::object::OUR_PROTOCOL,
        suppress_group: looks_up.then_some(suppressed),
        ..rule.clone()
    }
}

fn can_copy(rule: &Rule) -> Result<(), Refusal> {
    let what = match rule.action {
        RuleAction::Goto(_) => "jumps",
        RuleAction::Nop => "is a landing place for jumps",
        RuleAction::Other(_) => "does what this program does not know",
        RuleAction::Lookup(_) if rule.suppress_group.is_some() => "suppresses a link group already",
        RuleAction::Lookup(_) | RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit => {
            return Ok(());
        }
    };
    Err(Refusal::RuleInTheWay {
        family: rule.family,
        preference: rule.preference,
        what,
    })
}
