//! Nexthop objects: singles first, then groups, which a lost member had shrunk and REPLACE grows again.

use std::collections::BTreeSet;

use crate::model::change::Change;
use crate::model::diff::{is_kept_by_a_daemon, pairs};
use crate::model::object::Nexthop;
use crate::model::receipt::Clash;
use crate::model::snapshot::Object;

use super::lost::Lost;
use super::{Work, routes};

pub(super) fn put_back(work: &mut Work, lost: &Lost) {
    let state = std::mem::take(&mut work.state.nexthops);
    let paired = pairs(
        &lost.objects.nexthops,
        &state,
        |a, b| a.id.cmp(&b.id),
        |a, b| a.group.is_empty() == b.group.is_empty() && (a.group.is_empty() || !is_shrunk(b, a)),
    );
    let mut missing = work.missing(lost, paired, Object::Nexthop);
    work.state.nexthops = state;
    let needed = still_needed(work, lost);
    missing.retain(|n| !is_kept_by_a_daemon(n.protocol) || needed.contains(&n.id));
    let (singles, mut groups): (Vec<_>, Vec<_>) = missing.into_iter().partition(|n| n.group.is_empty());
    work.stage("put nexthops back", singles.into_iter().map(add).collect::<Vec<_>>());
    groups.extend(grown(work, lost));
    groups.sort_by_key(|n| n.id);
    groups.dedup_by_key(|n| n.id);
    work.stage(
        "put nexthop groups back",
        groups.into_iter().map(add).collect::<Vec<_>>(),
    );
}

fn add(nexthop: Nexthop) -> Change {
    Change::Add(Object::Nexthop(nexthop))
}

/// Groups that lost members and kept others, unless somebody made something else of them.
fn grown(work: &mut Work, lost: &Lost) -> Vec<Nexthop> {
    let mut groups = Vec::new();
    for (target, _) in &lost.altered {
        let Object::Nexthop(target) = target else { continue };
        let now = work.state.nexthops.iter().find(|n| n.id == target.id).cloned();
        match now {
            Some(now) if now == *target => {}
            Some(now) if is_shrunk(&now, target) => groups.push(target.clone()),
            Some(now) => {
                let now = Object::Nexthop(now);
                work.conflict(Object::Nexthop(target.clone()), Clash::ChangedByOthers { now });
            }
            None => groups.push(target.clone()),
        }
    }
    groups
}

/// Whether it is the same group with members missing.
pub(super) fn is_shrunk(now: &Nexthop, whole: &Nexthop) -> bool {
    let mut rest = whole.group.iter();
    let in_order = now.group.iter().all(|member| rest.any(|m| m == member));
    let full = Nexthop {
        group: whole.group.clone(),
        ..now.clone()
    };
    in_order && now.group.len() < whole.group.len() && full == *whole
}

/// The objects of daemons that a lost route or a group of nobody's needs, members included, where the daemon has not
/// put the route back itself.
fn still_needed(work: &Work, lost: &Lost) -> BTreeSet<u32> {
    let routes = routes::not_back_by_meaning(work, lost);
    let mut ids: BTreeSet<u32> = routes.iter().filter_map(|r| r.nexthop).collect();
    let shrunk = lost.altered.iter().filter_map(|(target, _)| match target {
        Object::Nexthop(nexthop) => Some(nexthop),
        Object::Link(_)
        | Object::Address(_)
        | Object::Route(_)
        | Object::Rule(_)
        | Object::Neighbour(_)
        | Object::Qdisc(_)
        | Object::Filter(_)
        | Object::Sysctl(_) => None,
    });
    let groups = lost.objects.nexthops.iter().chain(shrunk);
    ids.extend(groups.filter(|n| !is_kept_by_a_daemon(n.protocol)).map(|n| n.id));
    for group in &lost.target.nexthops {
        if ids.contains(&group.id) {
            ids.extend(group.group.iter().map(|(member, _)| *member));
        }
    }
    ids
}
