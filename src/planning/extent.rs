//! What the cuts in force together cut by rules: which directions, links and zones of one family.

use std::collections::{BTreeMap, BTreeSet};

use super::refusal::Refusal;
use super::sections;
use crate::model::cut::{Cut, Reach, ZoneLinks};
use crate::model::names::InterfaceName;
use crate::model::object::Family;
use crate::model::policy::{Direction, Method};
use crate::model::snapshot::Snapshot;

/// What the cuts in force together cut in one family.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// Directions in which the whole host is cut.
    pub whole: BTreeSet<Direction>,
    /// Links from which nothing is delivered.
    pub inbound: BTreeSet<u32>,
    /// Links from which nothing is forwarded.
    pub forwarded: BTreeSet<u32>,
    towards: BTreeSet<u32>,
    towards_directions: BTreeSet<Direction>,
    listed: Option<BTreeSet<Direction>>,
    zones: Vec<ZoneLinks>,
    /// The names of links.
    pub names: BTreeMap<u32, InterfaceName>,
}

impl Extent {
    /// Of these cuts.
    ///
    /// # Errors
    /// If they ask for what rules cannot do, or contradict one another.
    pub fn new(baseline: &Snapshot, cuts: &[Cut], family: Family) -> Result<Self, Refusal> {
        let sealing = |c: &&Cut| c.methods.contains(&Method::Seal) && c.families.contains(&family);
        let sealed: Vec<&Cut> = cuts.iter().filter(sealing).collect();
        for cut in &sealed {
            can_tell(baseline, cut, family)?;
        }
        of_sealed(baseline, &sealed)
    }

    fn add_links(&mut self, cut: &Cut) -> Result<(), Refusal> {
        let mut listed = cut.directions.clone();
        listed.remove(&Direction::In);
        if self.listed.as_ref().is_some_and(|other| *other != listed) {
            return Err(Refusal::Conflict {
                policy: cut.policy.to_string(),
                what: "links that are sealed at once must be sealed in the same directions".to_owned(),
            });
        }
        let links = cut.links.keys().copied();
        let covered = self.whole.contains(&Direction::In);
        if cut.directions.contains(&Direction::In) && !covered {
            self.inbound.extend(links.clone());
        } else if listed.contains(&Direction::Forward) && !covered && !self.whole.contains(&Direction::Forward) {
            self.forwarded.extend(links.clone());
        }
        let mut towards: BTreeSet<Direction> = listed.difference(&self.whole).copied().collect();
        if covered {
            towards.remove(&Direction::Forward);
        }
        if !towards.is_empty() {
            self.towards.extend(links);
            self.towards_directions = towards;
        }
        self.listed = Some(listed);
        Ok(())
    }

    fn add_zones(&mut self, cut: &Cut) -> Result<(), Refusal> {
        if !self.zones.is_empty() && self.zones != cut.zones {
            return Err(Refusal::Conflict {
                policy: cut.policy.to_string(),
                what: "other zones are kept apart already, and a link has one group".to_owned(),
            });
        }
        self.zones.clone_from(&cut.zones);
        Ok(())
    }

    /// Whether anything is cut.
    pub fn is_any(&self) -> bool {
        !self.whole.is_empty()
            || !self.inbound.is_empty()
            || !self.forwarded.is_empty()
            || !self.towards.is_empty()
            || !self.zones.is_empty()
    }

    /// Whether anything for this host is cut.
    pub fn cuts_in(&self) -> bool {
        self.whole.contains(&Direction::In) || !self.inbound.is_empty()
    }

    /// Whether anything that begins on this host is cut.
    pub fn cuts_out(&self) -> bool {
        self.whole.contains(&Direction::Out) || self.towards_directions.contains(&Direction::Out)
    }

    /// The sections that this needs.
    ///
    /// # Errors
    /// If there are more zones than groups can tell.
    pub fn section_plan(&self) -> Result<sections::Wanted, Refusal> {
        let name = |index: &u32| self.names.get(index).cloned();
        sections::wanted(&self.towards, &self.towards_directions, &self.zones, name)
    }
}

/// The links that cuts seal, or part as zones, in one family, each with its group.
///
/// # Errors
/// As [`Extent::new`].
pub fn groups(baseline: &Snapshot, cuts: &[Cut], family: Family) -> Result<BTreeMap<u32, u32>, Refusal> {
    Ok(Extent::new(baseline, cuts, family)?.section_plan()?.groups)
}

fn of_sealed(baseline: &Snapshot, cuts: &[&Cut]) -> Result<Extent, Refusal> {
    let mut extent = Extent::default();
    let whole = cuts
        .iter()
        .filter(|c| c.zones.is_empty() && c.reach == Reach::WholeHost);
    extent.whole = whole.flat_map(|c| c.directions.iter().copied()).collect();
    for cut in cuts {
        let named = cut.links.iter().map(|(i, n)| (*i, n.clone()));
        extent.names.extend(named);
        if !cut.zones.is_empty() {
            extent.add_zones(cut)?;
        } else if cut.reach == Reach::Links {
            extent.add_links(cut)?;
        }
    }
    // Checked whether or not a wider cut covers them now: it may end before they do.
    if !extent.zones.is_empty() && extent.listed.as_ref().is_some_and(|d| !d.is_empty()) {
        let policy = cuts.last().map(|c| c.policy.to_string()).unwrap_or_default();
        let what = "links cannot be sealed and zones kept apart at once: a link has one group".to_owned();
        return Err(Refusal::Conflict { policy, what });
    }
    if extent.whole.contains(&Direction::In) || extent.whole.contains(&Direction::Forward) {
        extent.zones.clear();
    }
    let current = baseline.links.iter().map(|l| (l.index, l.name.clone()));
    extent.names.extend(current);
    Ok(extent)
}

/// A block of what comes in stands before the decision what is forwarded, so it takes both.
fn can_tell(baseline: &Snapshot, cut: &Cut, family: Family) -> Result<(), Refusal> {
    let (inbound, forward) = (Direction::In, Direction::Forward);
    let only_in = cut.zones.is_empty() && cut.directions.contains(&inbound) && !cut.directions.contains(&forward);
    if only_in && forwards(baseline, family) {
        return Err(Refusal::SealCannotTell { family });
    }
    Ok(())
}

fn forwards(host: &Snapshot, family: Family) -> bool {
    let names: &[&str] = match family {
        Family::V4 => &["ipv4.ip_forward", "ipv4.conf.all.forwarding"],
        Family::V6 => &["ipv6.conf.all.forwarding"],
    };
    is_on(host, |name| names.contains(&name))
}

/// Whether any sysctl of these names, counted from below `net.`, is anything but 0.
pub fn is_on(host: &Snapshot, wanted: impl Fn(&str) -> bool) -> bool {
    let mut sysctls = host.sysctls.iter();
    sysctls.any(|s| s.value != "0" && wanted(s.name.strip_prefix("net.").unwrap_or(&s.name)))
}
