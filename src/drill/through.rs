//! What lifelines reach through this host: for each peer somebody behind another link.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::far::{Side, has_own, reachable_in};
use crate::model::cut::{Cut, Lifeline};
use crate::model::object::Family;
use crate::model::policy::Direction;
use crate::model::snapshot::Snapshot;

/// From a lifeline's peer to whom it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The lifeline's place in the cut.
    pub(super) lifeline: usize,
    /// Who begins: the far end of this link, and the address there.
    pub(super) from: (u32, IpAddr),
    /// Who is asked.
    pub(super) to: (u32, IpAddr),
}

/// A way for each peer of a `forward` lifeline, where there is one.
pub(super) fn ways(host: &Snapshot, sides: &BTreeMap<u32, Side>, cut: &Cut) -> Vec<Way> {
    let mut ways = Vec::new();
    for (link, side) in sides {
        for (place, peer) in &side.peers {
            let lifeline = cut.lifelines.get(*place);
            let Some(lifeline) = lifeline.filter(|l| l.direction == Direction::Forward) else {
                continue;
            };
            ways.extend(target(host, sides, lifeline, (*link, *peer)).map(|to| Way {
                lifeline: *place,
                from: (*link, *peer),
                to,
            }));
        }
    }
    ways
}

/// Somebody inside behind another link, whose answers come back through this host.
fn target(
    host: &Snapshot,
    sides: &BTreeMap<u32, Side>,
    lifeline: &Lifeline,
    (link, peer): (u32, IpAddr),
) -> Option<(u32, IpAddr)> {
    let family = Family::of(peer);
    let anybody = sides
        .iter()
        .filter(|_| lifeline.inside.is_empty())
        .flat_map(|(link, side)| side.neighbours.iter().map(|n| (*link, *n)));
    let inside = lifeline.inside.iter().filter_map(|net| reachable_in(host, *net));
    inside.chain(anybody).find(|(behind, address)| {
        // The far sides of two links in one subnet may have the same addresses: it would speak to itself.
        let lives = |link: &u32, address: &IpAddr| sides.get(link).is_some_and(|side| side.has(address));
        *behind != link
            && sides.contains_key(behind)
            && Family::of(*address) == family
            && has_own(host, *behind, family)
            && !lives(&link, address)
            && !lives(behind, &peer)
    })
}
