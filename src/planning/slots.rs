//! Where our rules stand: fixed preferences, so that a layout changes by additions first and deletions afterwards.
//!
//! ```text
//!   1  head       goto LANDING             only while the rest is laid; its removal is the flip
//!   2  own        iif lo lookup local
//!   3  arrive     from PEER lookup local   lifelines to this host
//!   4  jump       iif lo to PEER goto LANDING
//!   5  bypass     ipproto tcp goto 7       so that slot 6 lets neither TCP nor UDP through
//!   6  neighbour  from GATEWAY lookup local, to GATEWAY goto LANDING: what ARP and route changes need
//!   7  door       nop
//!   8  in         not iif lo prohibit
//!   9  local      lookup local             stands in for the kernel's rule at preference 0
//!  10  from       not iif lo prohibit      where forwarded traffic is cut and inbound is not
//!  11  out        iif lo prohibit
//!  12  dispatch   into or past the sections
//!  13  elsewhere  past the sections, for what no dispatch took
//!  14… sections   others' rules copied with a suppressed link group (`copies`), then prohibit
//!      landing    nop; whatever jumped goes on through everybody's own rules
//!      null       lookup 20547
//! ```

use super::Refusal;
use super::ours::{is_local_rule, is_our_rule};
use crate::model::object::{Family, Rule};
use crate::model::snapshot::Snapshot;

/// Skips everything, while the rest is laid.
pub const HEAD: u32 = 1;
/// What this host sends to itself.
pub const OWN: u32 = 2;
/// Lifelines to this host.
pub const ARRIVE: u32 = 3;
/// Lifelines from and through this host.
pub const JUMP: u32 = 4;
/// Takes TCP and UDP past the next slot.
pub const BYPASS: u32 = 5;
/// Neighbours that must resolve this host and be resolved.
pub const NEIGHBOUR: u32 = 6;
/// Where the bypass lands.
pub const DOOR: u32 = 7;
/// Blocks what comes in.
pub const IN: u32 = 8;
/// The stand-in for the kernel's `local` rule.
pub const LOCAL: u32 = 9;
/// Blocks what is forwarded, where inbound is not cut.
pub const FROM: u32 = 10;
/// Blocks what this host sends.
pub const OUT: u32 = 11;
/// Chooses the section.
pub const DISPATCH: u32 = 12;
/// Past the sections, for what no dispatch took.
pub const ELSEWHERE: u32 = 13;
/// The first preference of the sections.
pub const SECTIONS: u32 = 14;

/// Where the landing stands if nobody is in the way: it does not move when sections change.
const USUAL_LANDING: u32 = 200;
/// One section for each of two zones.
const SECTIONS_MAX: u32 = 2;

/// The preferences that depend on others' rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Where jumps land.
    pub landing: u32,
    /// The rule of our own table.
    pub null: u32,
    /// How many preferences a section has.
    pub section: u32,
}

/// What has to find room in front of others' rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The rule of our own table only.
    Null,
    /// All slots without sections.
    Blocks,
    /// All slots and sections of this length.
    Sections(u32),
}

/// The slots in front of everybody else's rules of this family.
///
/// The order of rules within one slot never matters, so that a missing one can be put back behind the others.
///
/// # Errors
/// If somebody's rule stands too low.
pub fn slots(baseline: &Snapshot, family: Family, room: Room) -> Result<Slots, Refusal> {
    let needed = match room {
        Room::Null => 1,
        Room::Blocks => SECTIONS + 1,
        Room::Sections(length) => SECTIONS + length * SECTIONS_MAX + 1,
    };
    let lowest = lowest_foreign(baseline, family).unwrap_or(u32::MAX);
    if lowest <= needed {
        return Err(Refusal::NoRoomForRules { family, lowest, needed });
    }
    let null = (USUAL_LANDING + 1).max(needed).min(lowest - 1);
    Ok(Slots {
        landing: null - 1,
        null,
        section: null.saturating_sub(1 + SECTIONS) / SECTIONS_MAX,
    })
}

/// The lowest preference of a rule that is neither ours nor the kernel's `local` rule.
fn lowest_foreign(host: &Snapshot, family: Family) -> Option<u32> {
    let foreign = host.rules_of(family).filter(|r| is_foreign(r));
    foreign.map(|r| r.preference).min()
}

/// Whether the rule is somebody else's: neither ours nor the kernel's at preference 0.
pub fn is_foreign(rule: &Rule) -> bool {
    !is_our_rule(rule) && !is_local_rule(rule)
}

/// The rules of others that have come to stand among or before ours, and decide before they do.
pub fn in_front<'a>(host: &'a Snapshot, rules: &[&Rule]) -> Vec<&'a Rule> {
    let last = |family| rules.iter().filter(|r| r.family == family).map(|r| r.preference).max();
    let before = |r: &&Rule| last(r.family).is_some_and(|last| is_foreign(r) && r.preference <= last);
    host.rules.iter().filter(before).collect()
}

/// Refuses a host where somebody's rule has come to stand among or before ours.
///
/// # Errors
/// If one has.
pub fn check_front(host: &Snapshot, rules: &[&Rule]) -> Result<(), Refusal> {
    for family in Family::BOTH {
        let last = rules.iter().filter(|r| r.family == family).map(|r| r.preference).max();
        if let Some((needed, lowest)) = last.zip(lowest_foreign(host, family))
            && lowest <= needed
        {
            return Err(Refusal::NoRoomForRules { family, lowest, needed });
        }
    }
    Ok(())
}
