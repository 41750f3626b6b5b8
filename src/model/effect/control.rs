//! Traffic control: `clsact`, shared blocks and filters (`net/sched/sch_api.c`, `cls_api.c`).

use std::collections::BTreeSet;

use super::super::object::{Attach, Filter, FilterEntries, Qdisc, Verdict};
use super::super::snapshot::hangs_on;
use super::{Outcome, Snapshot, errno, remove_first};

pub(super) fn add_qdisc(state: &mut Snapshot, qdisc: &Qdisc) -> Result<Outcome, i32> {
    if state.link(qdisc.link).is_none() {
        return Err(errno::ENODEV);
    }
    if state
        .qdiscs
        .iter()
        .any(|q| (q.link, q.parent) == (qdisc.link, qdisc.parent))
    {
        return Ok(Outcome::AlreadySo);
    }
    let key = (qdisc.link, qdisc.parent, qdisc.handle);
    let at = state.qdiscs.partition_point(|q| (q.link, q.parent, q.handle) < key);
    state.qdiscs.insert(at, qdisc.clone());
    Ok(Outcome::Applied)
}

/// Removes a qdisc with its filters; a shared block goes with the last qdisc that is bound to it.
pub(super) fn delete_qdisc(state: &mut Snapshot, qdisc: &Qdisc) -> Outcome {
    let outcome = remove_first(&mut state.qdiscs, |q| {
        (q.link, q.parent, &q.kind) == (qdisc.link, qdisc.parent, &qdisc.kind)
    });
    if outcome == Outcome::Applied {
        state.filters.retain(|f| match f.attach {
            Attach::Ingress(link) | Attach::Egress(link) => link != qdisc.link || qdisc.parent != Qdisc::CLSACT_PARENT,
            Attach::Other(link, parent) => link != qdisc.link || parent & 0xffff_0000 != qdisc.handle & 0xffff_0000,
            Attach::Block(_) => true,
        });
        drop_unbound_blocks(state);
    }
    outcome
}

/// Takes away what hung on a link that is gone.
pub(super) fn delete_link(state: &mut Snapshot, index: u32) {
    state.qdiscs.retain(|q| q.link != index);
    state.filters.retain(|f| !hangs_on(f, index));
    drop_unbound_blocks(state);
}

fn drop_unbound_blocks(state: &mut Snapshot) {
    let bound = blocks(state);
    state.filters.retain(|f| match f.attach {
        Attach::Block(block) => bound.contains(&block),
        Attach::Ingress(_) | Attach::Egress(_) | Attach::Other(..) => true,
    });
}

fn blocks(state: &Snapshot) -> BTreeSet<u32> {
    let of = |q: &Qdisc| q.ingress_block.into_iter().chain(q.egress_block);
    state.qdiscs.iter().flat_map(of).collect()
}

pub(super) fn add_filter(state: &mut Snapshot, filter: &Filter) -> Result<Outcome, i32> {
    check_place(state, filter.attach)?;
    let there = state.filters.iter().find(|f| same_place(f, filter));
    if let Some(there) = there {
        let same_kind = (there.protocol, &there.kind) == (filter.protocol, &filter.kind);
        return if same_kind {
            Ok(Outcome::AlreadySo)
        } else {
            Err(errno::EINVAL)
        };
    }
    if let FilterEntries::U32(rows) = &filter.entries {
        let targets = rows.iter().filter_map(|(_, verdict)| match verdict {
            Verdict::DropInto(link) => Some(*link),
            Verdict::Pass => None,
        });
        for link in targets {
            state.link(link).ok_or(errno::ENODEV)?;
        }
    }
    let key = |f: &Filter| (f.attach, f.chain, f.preference, f.protocol);
    let at = state.filters.partition_point(|f| key(f) <= key(filter));
    state.filters.insert(at, filter.clone());
    Ok(Outcome::Applied)
}

/// The kernel's errno for a place that is gone is EINVAL ("Block of given index was not found", "Parent Qdisc doesn't
/// exists"); the door reports it as done already, like ENOENT for the preference.
pub(super) fn delete_filter(state: &mut Snapshot, filter: &Filter) -> Result<Outcome, i32> {
    let there = state.filters.iter().find(|f| same_place(f, filter));
    match there {
        Some(there) if there.protocol != filter.protocol => Err(errno::EINVAL),
        Some(_) => Ok(remove_first(&mut state.filters, |f| same_place(f, filter))),
        None => Ok(Outcome::AlreadySo),
    }
}

fn same_place(a: &Filter, b: &Filter) -> bool {
    (a.attach, a.chain, a.preference) == (b.attach, b.chain, b.preference)
}

/// A block needs a qdisc bound to it, a side of a link its own `clsact` without a shared block.
fn check_place(state: &Snapshot, attach: Attach) -> Result<(), i32> {
    let (link, ingress) = match attach {
        Attach::Block(block) if blocks(state).contains(&block) => return Ok(()),
        Attach::Block(_) => return Err(errno::EINVAL),
        Attach::Ingress(link) => (link, true),
        Attach::Egress(link) => (link, false),
        Attach::Other(link, _) => return state.link(link).map(|_| ()).ok_or(errno::ENODEV),
    };
    state.link(link).ok_or(errno::ENODEV)?;
    let mut on_link = state.qdiscs.iter().filter(|q| q.link == link);
    let qdisc = on_link
        .find(|q| q.parent == Qdisc::CLSACT_PARENT)
        .ok_or(errno::EINVAL)?;
    let shared = if ingress {
        qdisc.ingress_block
    } else {
        qdisc.egress_block
    };
    if shared.is_some() {
        Err(errno::EOPNOTSUPP)
    } else {
        Ok(())
    }
}
