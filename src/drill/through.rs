//! What goes through this host, where it forwards: from the neighbours of one link to those of another, and for each peer
//! of a lifeline somebody behind another link.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::far::{ECHO_PORT, Side, has_own, reachable_in};
use super::report::Expectation;
use super::scene::{From, KINDS, Kind, Probe, expect, kinds_of, word};
use crate::model::cut::{Cut, Lifeline};
use crate::model::object::Family;
use crate::model::plan::Coverage;
use crate::model::policy::Direction;
use crate::model::snapshot::Snapshot;

/// For each family at most this many ordered pairs of links that the plan keeps apart are probed, and as many others: all
/// of eight links. A pair costs four probes, and of 64 links there are 4032.
const PAIRS_MAX: usize = 64;

/// The sysctl by which this host forwards the family.
fn switch(family: Family) -> &'static str {
    match family {
        Family::V4 => "net.ipv4.ip_forward",
        Family::V6 => "net.ipv6.conf.all.forwarding",
    }
}

/// Whether this host forwards the family.
pub(super) fn forwards(host: &Snapshot, family: Family) -> bool {
    let name = switch(family);
    host.sysctls.iter().any(|s| s.name == name && s.value != "0")
}

/// Who is asked from behind one link by somebody behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    from: (u32, IpAddr),
    to: (u32, IpAddr),
}

/// The probes from link to link, and what is not probed, one line each.
pub(super) fn forwarded(
    host: &Snapshot,
    sides: &BTreeMap<u32, Side>,
    cut: &Cut,
    coverage: &Coverage,
) -> (Vec<Probe>, Vec<String>) {
    let (mut probes, mut not_probed) = (Vec::new(), Vec::new());
    for family in Family::BOTH {
        let pairs = pairs(sides, family);
        if pairs.is_empty() {
            continue;
        }
        let through = format!("{} through this host", named(family));
        if !forwards(host, family) {
            not_probed.push(format!("{through}: {} is 0", switch(family)));
            continue;
        }
        let forbids = |p: &Pair| {
            let links = [p.from.0, p.to.0];
            expect(cut, coverage, Direction::Forward, family, &links, false) == Expectation::Stops
        };
        let (apart, others): (Vec<Pair>, Vec<Pair>) = pairs.into_iter().partition(forbids);
        for (pairs, which) in [(apart, "that the plan keeps apart"), (others, "that it does not")] {
            if pairs.len() > PAIRS_MAX {
                let all = pairs.len();
                not_probed.push(format!(
                    "{through}: of {all} pairs of links {which} only {PAIRS_MAX} are probed"
                ));
            }
            let asked = pairs.iter().take(PAIRS_MAX);
            probes.extend(asked.flat_map(|pair| probes_of(host, cut, coverage, *pair)));
        }
    }
    (probes, not_probed)
}

/// Every ordered pair of links with neighbours of the family: first each link to the next one, then to the one after it, so
/// that the beginning of the list has every link in it.
fn pairs(sides: &BTreeMap<u32, Side>, family: Family) -> Vec<Pair> {
    let neighbour = |side: &Side| side.neighbours.iter().copied().find(|n| Family::of(*n) == family);
    let all: Vec<(u32, IpAddr)> = sides
        .iter()
        .filter_map(|(link, side)| Some((*link, neighbour(side)?)))
        .collect();
    (1..all.len())
        .flat_map(|distance| {
            let behind = all.iter().cycle().skip(distance);
            all.iter().zip(behind).map(|(from, to)| Pair { from: *from, to: *to })
        })
        .collect()
}

fn probes_of(host: &Snapshot, cut: &Cut, coverage: &Coverage, Pair { from, to }: Pair) -> impl Iterator<Item = Probe> {
    let name = |link: u32| host.link(link).map(|l| l.name.to_string()).unwrap_or_default();
    let way = format!("{} to {}, {} to {}", name(from.0), name(to.0), from.1, to.1);
    let promised = expect(
        cut,
        coverage,
        Direction::Forward,
        Family::of(from.1),
        &[from.0, to.0],
        false,
    );
    KINDS.into_iter().map(move |kind| Probe {
        what: format!("{} through this host, {way}", word(kind)),
        from: From::Far(from.0),
        source: Some(from.1),
        to: SocketAddr::new(to.1, ECHO_PORT),
        kind,
        expected: if is_kept(cut, from.0, from.1, to.1, kind) {
            Expectation::Passes
        } else {
            promised
        },
        lifeline: None,
    })
}

/// Whether a lifeline keeps what is forwarded between these two.
fn is_kept(cut: &Cut, from: u32, source: IpAddr, target: IpAddr, kind: Kind) -> bool {
    let holds = |nets: &[IpNet], address: &IpAddr| nets.iter().any(|net| net.contains(address));
    let mut through = cut.lifelines.iter().filter(|l| l.direction == Direction::Forward);
    through.any(|l| {
        holds(&l.peers, &source)
            && (l.inside.is_empty() || holds(&l.inside, &target))
            && (l.ports.is_empty() || l.ports.iter().any(|p| (p.first..=p.last).contains(&ECHO_PORT)))
            && l.link.as_ref().is_none_or(|(index, _)| *index == from)
            && kinds_of(l).any(|k| k == kind)
    })
}

fn named(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The families in which a `forward` lifeline has peers that no probe can go through, because this host forwards none of it.
pub(super) fn not_forwarded(host: &Snapshot, sides: &BTreeMap<u32, Side>, place: usize) -> Vec<String> {
    let of = |family: &Family| {
        let mut peers = sides.values().flat_map(|side| &side.peers);
        peers.any(|(p, peer)| *p == place && Family::of(*peer) == *family)
    };
    let still = Family::BOTH
        .into_iter()
        .filter(|family| of(family) && !forwards(host, *family));
    still
        .map(|family| format!("this host forwards no {} ({} is 0)", named(family), switch(family)))
        .collect()
}

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

/// A way for each peer of a `forward` lifeline, where there is one and this host forwards.
pub(super) fn ways(host: &Snapshot, sides: &BTreeMap<u32, Side>, cut: &Cut) -> Vec<Way> {
    let mut ways = Vec::new();
    for (link, side) in sides {
        for (place, peer) in side.peers.iter().filter(|(_, p)| forwards(host, Family::of(*p))) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_first_pairs_have_every_link_in_them_and_all_have_each_pair_once() {
        let side = |link: u32| {
            let mut side = Side::default();
            let neighbours = [format!("10.0.{link}.1"), format!("fd00:{link}::1")];
            side.neighbours = neighbours.iter().map(|n| n.parse().unwrap()).collect();
            side
        };
        let sides: BTreeMap<u32, Side> = (1..=64).map(|link| (link, side(link))).collect();
        for family in Family::BOTH {
            let pairs = pairs(&sides, family);
            let ways: BTreeSet<(u32, u32)> = pairs.iter().map(|p| (p.from.0, p.to.0)).collect();
            assert_eq!((pairs.len(), ways.len()), (64 * 63, 64 * 63));
            assert!(ways.iter().all(|(from, to)| from != to));
            let first = &pairs[..PAIRS_MAX];
            let from: BTreeSet<u32> = first.iter().map(|p| p.from.0).collect();
            let to: BTreeSet<u32> = first.iter().map(|p| p.to.0).collect();
            assert_eq!((from.len(), to.len()), (64, 64));
        }
        assert!(pairs(&BTreeMap::from([(1, side(1))]), Family::V4).is_empty());
        assert!(pairs(&BTreeMap::new(), Family::V4).is_empty());
    }
}
