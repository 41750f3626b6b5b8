//! Copies of others' rules that refuse routes over links of a group of ours, by way of [`super::detour`] where a route has
//! legs on both sides.
//!
//! ```text
//!   n    to PLACE lookup T suppress_prefixlength LENGTH suppress_ifgroup G   what is more specific is asked for first
//!   n+1  to PLACE lookup OURS suppress_prefixlength LENGTH-1                 the place itself, its open legs
//!   n+2  to PLACE goto NEXT                                                  T has no more to say
//!   …    the same for shorter places
//!   m    lookup T suppress_ifgroup G                                         what no place covers
//!   NEXT the next copy
//! ```
//!
//! Places of one length do not overlap, so their rules share preferences, in any order.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::detour::Place;
use super::refusal::Refusal;
use crate::model::object::{OUR_PROTOCOL, Rule, RuleAction};

/// Where a copy finds the detour around the table that it looks up.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Our table.
    pub table: u32,
    /// The places in it, the most specific first.
    pub places: &'a [Place],
}

/// The rules that do in a section what the rule does, from this preference on, and the first preference behind them.
pub fn copy(rule: &Rule, start: u32, suppressed: u32, around: Option<Around>) -> (Vec<Rule>, u32) {
    let looks_up = matches!(rule.action, RuleAction::Lookup(_));
    let plain = Rule {
        preference: start,
        protocol: OUR_PROTOCOL,
        suppress_group: looks_up.then_some(suppressed),
        ..rule.clone()
    };
    match around.filter(|around| around.places.iter().any(|p| !into(&plain, p).is_empty())) {
        Some(around) => around_places(plain, around),
        None => (vec![plain], start + 1),
    }
}

fn around_places(mut plain: Rule, around: Around) -> (Vec<Rule>, u32) {
    let mut rules = Vec::new();
    let past = |rule: &Rule| Rule {
        action: RuleAction::Goto(0),
        suppress_group: None,
        suppress_prefix_length: None,
        ..rule.clone()
    };
    if plain.invert {
        // `not` is for all selectors together, so what it leaves out goes past first.
        plain.invert = false;
        rules.push(past(&plain));
        plain = Rule {
            suppress_group: plain.suppress_group,
            suppress_prefix_length: plain.suppress_prefix_length,
            ..Rule::ours(plain.family, plain.preference + 1, plain.action)
        };
    }
    let mut is_covered = false;
    for places in around.places.chunk_by(|a, b| a.to.prefix_len() == b.to.prefix_len()) {
        let length = u32::from(places[0].to.prefix_len());
        let selected: Vec<Rule> = places.iter().flat_map(|place| into(&plain, place)).collect();
        is_covered = selected.contains(&plain);
        for rule in &selected {
            rules.push(Rule {
                suppress_prefix_length: Some(length),
                ..rule.clone()
            });
            rules.push(Rule {
                preference: rule.preference + 1,
                action: RuleAction::Lookup(around.table),
                suppress_prefix_length: length.checked_sub(1),
                ..rule.clone()
            });
            let past = Rule {
                preference: rule.preference + 2,
                ..past(rule)
            };
            rules.extend((!is_covered).then_some(past));
        }
        let used = match (selected.is_empty(), is_covered) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 3,
        };
        plain.preference += used;
        if is_covered {
            break;
        }
    }
    let next = plain.preference + u32::from(!is_covered);
    rules.extend((!is_covered).then_some(plain));
    for rule in &mut rules {
        if let RuleAction::Goto(target) = &mut rule.action {
            *target = next;
        }
    }
    (rules, next)
}

/// The rule for the packets of a place alone: none where it has none of them, or never takes its routes.
fn into(rule: &Rule, place: &Place) -> Vec<Rule> {
    let length = u32::from(place.to.prefix_len());
    let too_short = rule.suppress_prefix_length.is_some_and(|least| length <= least);
    // Who says `not` selects any destination.
    let own = rule.destination.filter(|_| !rule.invert);
    let Some(to) = narrower(own, place.to).filter(|_| !too_short) else {
        return Vec::new();
    };
    let tos: BTreeSet<u8> = match (rule.tos, place.tos.is_empty()) {
        (own, true) => BTreeSet::from([own]),
        (0, false) => place.tos.clone(),
        (own, false) => place.tos.iter().copied().filter(|t| *t == own).collect(),
    };
    let of = |tos| Rule {
        destination: (to.prefix_len() > 0).then_some(to),
        tos,
        ..rule.clone()
    };
    tos.into_iter().map(of).collect()
}

/// What both prefixes have in common.
fn narrower(own: Option<IpNet>, place: IpNet) -> Option<IpNet> {
    match own {
        Some(own) if place.contains(&own) => Some(own),
        Some(own) if !own.contains(&place) => None,
        Some(_) | None => Some(place),
    }
}

/// Refuses a rule that no copy in front of all others can do the work of.
///
/// # Errors
/// If it is one.
pub fn can_copy(rule: &Rule) -> Result<(), Refusal> {
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
