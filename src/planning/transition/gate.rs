//! From the qdiscs and filters that stand to those that must stand.
//!
//! Lifelines are laid into a block before a drop, and before another link joins a block that drops. A link that goes from
//! one block to another, as it must where an armed block cannot be used, passes what was cut between two messages of one
//! send; but never a moment longer. A lifeline filter that changes is laid anew at a free preference, so that old and new
//! stand side by side for a moment.

use std::collections::BTreeSet;

use super::super::desired::Desired;
use super::super::ours::{IFB_INDEX, is_our_filter, is_our_link, is_our_qdisc};
use super::{Shift, add, delete, set};
use crate::model::change::{Change, LinkSetting};
use crate::model::object::{Attach, Filter, FilterEntries, Link, Qdisc, Verdict};
use crate::model::snapshot::{Object, Snapshot};

pub(super) fn shift(now: &Snapshot, desired: &Desired) -> Shift {
    let wanted = Wanted::new(now, desired);
    let mut shift = Shift::default();
    let ours = now.link(IFB_INDEX).filter(|l| is_our_link(l));
    match (wanted.ifb, ours) {
        (Some(link), None) => shift.lay.push(add(Object::Link(link.clone()))),
        (Some(_), Some(link)) if link.up => shift.lay.extend(set(now, link.index, LinkSetting::Down)),
        (Some(_) | None, Some(_) | None) => {}
    }
    let places = wanted.places(now);
    let shifts: Vec<Place> = places
        .into_iter()
        .map(|attach| Place::new(now, &wanted, attach))
        .collect();
    let (joining, leaving) = wanted.qdisc_changes(now);
    let to_drop = blocks(
        wanted
            .filters
            .iter()
            .filter(|f| drops(f))
            .filter_map(|f| block(f.attach)),
    );
    let Joinings {
        quiet,
        cutting,
        handed_over,
        opening,
    } = Joinings::new(now, joining, &to_drop);
    let there = now
        .qdiscs
        .iter()
        .flat_map(|q| q.ingress_block.into_iter().chain(q.egress_block));
    let exist = blocks(there.chain(quiet.iter().flat_map(|j| j.blocks.clone())));
    let ready = |place: &&Place| block(place.attach).is_none_or(|b| exist.contains(&b));
    shift.lay.extend(quiet.into_iter().flat_map(|j| j.changes));
    shift
        .lay
        .extend(shifts.iter().filter(ready).flat_map(|p| p.lay.clone()));
    shift.close.extend(cutting.into_iter().flat_map(|j| j.changes));
    shift
        .close
        .extend(shifts.iter().filter(|p| !ready(p)).flat_map(|p| p.lay.clone()));
    for place in &shifts {
        shift.close.extend(place.close.clone());
        shift.open.extend(place.open.clone());
    }
    shift.close.extend(handed_over.into_iter().flat_map(|j| j.changes));
    shift.open.extend(opening.into_iter().flat_map(|j| j.changes));
    let still_drops = wanted.filters.iter().any(|f| block(f.attach).is_some() && drops(f));
    if still_drops {
        shift.open.extend(leaving.clone());
    }
    for place in &shifts {
        shift.settle.extend(place.settle.clone());
    }
    if !still_drops {
        shift.settle.extend(leaving);
    }
    if let (None, Some(link)) = (wanted.ifb, ours) {
        shift.settle.push(delete(Object::Link(link.clone())));
    }
    shift
}

fn block(attach: Attach) -> Option<u32> {
    match attach {
        Attach::Block(block) => Some(block),
        Attach::Ingress(_) | Attach::Egress(_) | Attach::Other(..) => None,
    }
}

fn blocks(all: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    all.collect()
}

/// A qdisc that comes, with the blocks that it joins and those that its link leaves for it.
#[derive(Debug)]
struct Joining {
    blocks: Vec<u32>,
    left: Vec<u32>,
    changes: Vec<Change>,
}

/// Qdiscs that come, by what they do to their link.
#[derive(Debug, Default)]
struct Joinings {
    /// Nothing: they make blocks, which filters need.
    quiet: Vec<Joining>,
    /// They cut it, by a block that drops already or that only they make.
    cutting: Vec<Joining>,
    /// It is cut and is to be: the block that it goes to is made to drop before.
    handed_over: Vec<Joining>,
    /// It is cut no longer.
    opening: Vec<Joining>,
}

impl Joinings {
    /// `to_drop` are the blocks that are to drop.
    fn new(now: &Snapshot, joining: Vec<Joining>, to_drop: &BTreeSet<u32>) -> Self {
        let dropping = blocks(now.filters.iter().filter(|f| drops(f)).filter_map(|f| block(f.attach)));
        let there = now.qdiscs.iter().filter(|q| is_our_qdisc(q));
        let exist = blocks(there.flat_map(|q| q.ingress_block.into_iter().chain(q.egress_block)));
        let mut all = Self::default();
        for one in joining {
            let any = |blocks: &[u32], of: &BTreeSet<u32>| blocks.iter().any(|b| of.contains(b));
            let is_cut = any(&one.left, &dropping);
            let list = match (is_cut, any(&one.blocks, to_drop)) {
                (false, _) if any(&one.blocks, &dropping) => &mut all.cutting,
                (false, _) => &mut all.quiet,
                (true, false) => &mut all.opening,
                (true, true) if any(&one.blocks, &exist) => &mut all.handed_over,
                (true, true) => &mut all.cutting,
            };
            list.push(one);
        }
        all
    }
}

fn drops(filter: &Filter) -> bool {
    match &filter.entries {
        FilterEntries::U32(rows) => {
            is_our_filter(filter) && rows.iter().any(|(_, v)| matches!(v, Verdict::DropInto(_)))
        }
        FilterEntries::Foreign(_) => false,
    }
}

/// Gate's share of what is desired, on the links that are there.
struct Wanted<'a> {
    ifb: Option<&'a Link>,
    qdiscs: Vec<&'a Qdisc>,
    filters: Vec<&'a Filter>,
}

impl<'a> Wanted<'a> {
    fn new(now: &Snapshot, desired: &'a Desired) -> Self {
        let mut wanted = Self {
            ifb: None,
            qdiscs: Vec::new(),
            filters: Vec::new(),
        };
        for object in &desired.present {
            match object {
                Object::Link(link) => wanted.ifb = Some(link),
                Object::Qdisc(qdisc) if now.link(qdisc.link).is_some() => wanted.qdiscs.push(qdisc),
                Object::Filter(filter) => wanted.filters.push(filter),
                Object::Qdisc(_)
                | Object::Address(_)
                | Object::Nexthop(_)
                | Object::Route(_)
                | Object::Rule(_)
                | Object::Neighbour(_)
                | Object::Sysctl(_) => {}
            }
        }
        let qdiscs = std::mem::take(&mut wanted.qdiscs);
        let exists = |attach| match attach {
            Attach::Block(block) => qdiscs
                .iter()
                .any(|q| q.ingress_block == Some(block) || q.egress_block == Some(block)),
            Attach::Ingress(link) | Attach::Egress(link) | Attach::Other(link, _) => now.link(link).is_some(),
        };
        wanted.filters.retain(|f| exists(f.attach));
        wanted.qdiscs = qdiscs;
        wanted
    }

    /// Every place where a filter of ours stands or must stand.
    fn places(&self, now: &Snapshot) -> BTreeSet<Attach> {
        let there = now.filters.iter().filter(|f| is_our_filter(f)).map(|f| f.attach);
        there.chain(self.filters.iter().map(|f| f.attach)).collect()
    }

    /// Qdiscs to add, and to delete. One of ours with other blocks is deleted first: a block cannot be exchanged.
    fn qdisc_changes(&self, now: &Snapshot) -> (Vec<Joining>, Vec<Change>) {
        let there: Vec<&Qdisc> = now.qdiscs.iter().filter(|q| is_our_qdisc(q)).collect();
        let mut joining = Vec::new();
        for qdisc in &self.qdiscs {
            let sides = |q: &Qdisc| (q.link, q.ingress_block, q.egress_block);
            if there.iter().any(|t| sides(t) == sides(qdisc)) {
                continue;
            }
            let other = there.iter().find(|t| t.link == qdisc.link);
            let both = |q: &Qdisc| q.ingress_block.into_iter().chain(q.egress_block).collect();
            let left = other.map(|q| both(q)).unwrap_or_default();
            let other = other.map(|q| delete(Object::Qdisc((*q).clone())));
            joining.push(Joining {
                blocks: both(qdisc),
                left,
                changes: other
                    .into_iter()
                    .chain([add(Object::Qdisc((*qdisc).clone()))])
                    .collect(),
            });
        }
        let leaving = there.iter().filter(|t| !self.qdiscs.iter().any(|q| q.link == t.link));
        let leaving = leaving.map(|q| delete(Object::Qdisc((*q).clone()))).collect();
        (joining, leaving)
    }
}

/// The changes at one place.
#[derive(Debug)]
struct Place {
    attach: Attach,
    lay: Vec<Change>,
    close: Vec<Change>,
    open: Vec<Change>,
    settle: Vec<Change>,
}

impl Place {
    fn new(now: &Snapshot, wanted: &Wanted, attach: Attach) -> Self {
        let here: Vec<&Filter> = now.filters.iter().filter(|f| f.attach == attach).collect();
        let ours: Vec<&Filter> = here.iter().copied().filter(|f| is_our_filter(f)).collect();
        let wanted: Vec<&Filter> = wanted.filters.iter().copied().filter(|f| f.attach == attach).collect();
        let end = ours
            .iter()
            .chain(&wanted)
            .filter(|f| drops(f))
            .map(|f| f.preference)
            .min();
        let end = end.unwrap_or(u16::MAX);
        let mut taken: BTreeSet<u16> = here.iter().map(|f| f.preference).collect();
        let mut place = Self {
            attach,
            lay: Vec::new(),
            close: Vec::new(),
            open: Vec::new(),
            settle: Vec::new(),
        };
        let fits = |there: &Filter, filter: &Filter| {
            let in_front = drops(filter) || there.preference < end;
            (there.protocol, &there.entries) == (filter.protocol, &filter.entries) && there.chain == 0 && in_front
        };
        let extra = ours.iter().filter(|o| !wanted.iter().any(|w| fits(o, w)));
        let extra: Vec<Filter> = extra.map(|f| (*f).clone()).collect();
        for filter in wanted.iter().filter(|w| !ours.iter().any(|o| fits(o, w))) {
            place.bring(filter, end, &mut taken, &extra);
        }
        let replaced = |f: &Filter| place.close.iter().any(|c| *c == delete(Object::Filter(f.clone())));
        let (blocks, passes): (Vec<Filter>, Vec<Filter>) = extra.into_iter().filter(|f| !replaced(f)).partition(drops);
        place.open.extend(blocks.into_iter().map(Object::Filter).map(delete));
        place.settle.extend(passes.into_iter().map(Object::Filter).map(delete));
        place
    }

    /// Lays a filter at its preference or at a free one; where none is free the old one makes room in the same send.
    fn bring(&mut self, filter: &Filter, end: u16, taken: &mut BTreeSet<u16>, extra: &[Filter]) {
        let step = if drops(filter) { &mut self.close } else { &mut self.lay };
        let free = free_preference(filter, end, taken);
        match free {
            Some(preference) => {
                taken.insert(preference);
                step.push(add(Object::Filter(Filter {
                    preference,
                    ..filter.clone()
                })));
            }
            None => {
                let old = extra.iter().find(|f| f.preference == filter.preference);
                self.close.extend(old.map(|f| delete(Object::Filter(f.clone()))));
                self.close.push(add(Object::Filter(filter.clone())));
            }
        }
    }
}

/// The filter's own preference, or the nearest free one that keeps passes in front of drops.
fn free_preference(filter: &Filter, end: u16, taken: &BTreeSet<u16>) -> Option<u16> {
    let own = filter.preference;
    let mut candidates: Box<dyn Iterator<Item = u16>> = if drops(filter) {
        Box::new(own..own.saturating_add(1))
    } else {
        let end = end.min(own.saturating_add(64));
        Box::new((own..end).chain((1..own.min(end)).rev()))
    };
    candidates.find(|p| !taken.contains(p))
}
