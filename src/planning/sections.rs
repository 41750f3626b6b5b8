//! Sections: copies of everybody's own rules that refuse routes over links of a group of ours, then `prohibit`.
//!
//! The output link is not known before a lookup, so `oif` does nothing for ordinary traffic; what works is to look up
//! and to throw a result away by its link's group (`suppress_ifgroup`). Each copy keeps its original's selectors, and goes
//! around what a group cannot tell.

use std::collections::{BTreeMap, BTreeSet};

use super::Refusal;
use super::copies::{Around, can_copy, copy};
use super::detour::{self, Detour, Ground};
use super::ours::{GROUP, GROUP_SECOND, TABLE, detour_table};
use super::seal::{Null, loopback};
use super::slots::{self, Slots};
use crate::model::cut::ZoneLinks;
use crate::model::names::InterfaceName;
use crate::model::object::{Family, Route, Rule, RuleAction};
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
    /// The links, each with its group.
    pub groups: BTreeMap<u32, u32>,
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
    filled: Vec<Filled>,
}

/// One section as if its first preference were 0.
#[derive(Clone, Debug)]
struct Filled {
    rules: Vec<Rule>,
    length: u32,
    detours: Vec<Detour>,
}

impl Sections {
    /// Copies what stands behind our rules; none if no section is wanted.
    ///
    /// # Errors
    /// If somebody's rule cannot be copied.
    pub fn new(
        baseline: &Snapshot,
        family: Family,
        wanted: &Wanted,
        null: Null,
        ground: Ground,
    ) -> Result<Option<Self>, Refusal> {
        if wanted.sections.is_empty() {
            return Ok(None);
        }
        let foreign: Vec<&Rule> = baseline.rules_of(family).filter(|r| slots::is_foreign(r)).collect();
        foreign.iter().try_for_each(|r| can_copy(r))?;
        let filled = (0..wanted.sections.len()).map(|at| fill(family, wanted, at, (&foreign, null), ground));
        Ok(Some(Self {
            family,
            wanted: wanted.clone(),
            filled: filled.collect(),
        }))
    }

    /// How many preferences a section needs.
    pub fn length(&self) -> u32 {
        self.filled.iter().map(|f| f.length).max().unwrap_or(0)
    }

    /// The detours, those of each section together.
    pub fn detours(&self) -> impl Iterator<Item = &Detour> {
        self.filled.iter().flat_map(|f| &f.detours)
    }

    /// The same, without their sections.
    pub fn into_detours(self) -> Vec<Detour> {
        self.filled.into_iter().flat_map(|f| f.detours).collect()
    }

    /// The routes of our own tables.
    pub fn routes(&self) -> Vec<Route> {
        self.detours().flat_map(|d| d.routes.clone()).collect()
    }

    /// The links that are moved into groups.
    pub fn groups(&self) -> BTreeMap<u32, u32> {
        self.wanted.groups.clone()
    }

    /// The rules that choose a section, and those in the sections.
    pub fn rules(&self, slots: Slots) -> Vec<Rule> {
        let mut rules = Vec::new();
        let mut elsewhere = false;
        let starts = (slots::SECTIONS..).step_by(slots.section as usize);
        for ((section, filled), start) in self.wanted.sections.iter().zip(&self.filled).zip(starts) {
            rules.extend(self.dispatch(section, start, slots.landing));
            elsewhere |= matches!(section.enters, Enters::Over(_));
            rules.extend(filled.rules.iter().map(|rule| moved(rule, start)));
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

fn fill(family: Family, wanted: &Wanted, at: usize, (foreign, null): (&[&Rule], Null), ground: Ground) -> Filled {
    let suppressed = wanted.sections[at].suppressed;
    let of_group = wanted.groups.iter().filter(|(_, group)| **group == suppressed);
    let sealed: BTreeSet<u32> = of_group.map(|(link, _)| *link).collect();
    let mut detours: BTreeMap<u32, (u32, Detour)> = BTreeMap::new();
    let mut places_left = ground.places_max;
    for (rank, (around, times)) in looked_up(foreign).into_iter().enumerate() {
        let Some(table) = detour_table(rank, at) else {
            continue;
        };
        let wanted = detour::Wanted {
            family,
            around,
            table,
            sealed: &sealed,
            places_max: places_left / times,
        };
        let detour = Detour::new(ground, wanted);
        places_left -= detour.places.len() * times;
        detours.insert(around, (table, detour));
    }
    let own = (null == Null::Looked).then(|| Rule::ours(family, 0, RuleAction::Lookup(TABLE)));
    let (mut rules, mut end) = (Vec::new(), 0);
    for rule in own.iter().chain(foreign.iter().copied()) {
        let around = looks_up(rule).and_then(|table| detours.get(&table));
        let around = around.map(|(table, detour)| Around {
            table: *table,
            places: &detour.places,
        });
        let (copies, next) = copy(rule, end, suppressed, around);
        rules.extend(copies);
        end = next;
    }
    rules.push(Rule::ours(family, end, RuleAction::Prohibit));
    Filled {
        rules,
        length: end + 1,
        detours: detours.into_values().map(|(_, detour)| detour).collect(),
    }
}

/// The tables that rules look up, each with how many do.
fn looked_up(rules: &[&Rule]) -> BTreeMap<u32, usize> {
    let mut tables = BTreeMap::new();
    for table in rules.iter().filter_map(|r| looks_up(r)) {
        *tables.entry(table).or_default() += 1;
    }
    tables
}

/// The table that a rule looks up.
pub fn looks_up(rule: &Rule) -> Option<u32> {
    match rule.action {
        RuleAction::Lookup(table) => Some(table),
        RuleAction::Goto(_)
        | RuleAction::Nop
        | RuleAction::Blackhole
        | RuleAction::Unreachable
        | RuleAction::Prohibit
        | RuleAction::Other(_) => None,
    }
}

/// The rule of a section that begins at this preference.
fn moved(rule: &Rule, start: u32) -> Rule {
    let mut action = rule.action;
    if let RuleAction::Goto(target) = &mut action {
        *target += start;
    }
    Rule {
        preference: start + rule.preference,
        action,
        ..rule.clone()
    }
}
