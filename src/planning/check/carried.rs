//! Whether what carries a lifeline goes on.
//!
//! A lifeline is kept by its addresses, protocol and ports. On the link below a VLAN, and below a tunnel, the same packet
//! looks otherwise: filters see a frame of 802.1Q (`skb_protocol()` with `skip_vlan` false in `tcf_classify()`), filters
//! and rules an outer packet between other addresses. So a lifeline is lost where the cut takes that link.
//!
//! Macvlan, ipvlan, bridge, bond, team and veth hand the frame on as it is, and the link below passes it by the same
//! filters; they are followed only to find a VLAN, a MACsec or a tunnel further down.
//!
//! # What it does not look at
//!
//! - Where a tunnel's outer packets go: no snapshot holds it. Any other link could carry them, unless the tunnel is bound to
//!   one, and a lifeline that `carries` the tunnel keeps them.
//! - Which port of a bridge leads to a peer: each could. Taps are left out: what is behind one is a virtual machine.
//! - What tags a bridge puts on by itself (`vlan_filtering`), and what becomes of a frame behind the other end of a veth.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::packet::{Load, Packet};
use super::probes::{insides, legs, samples, ways_to};
use super::walker::{Tables, Walker};
use crate::model::cut::{Cut, Lifeline, Reach};
use crate::model::object::{Family, Link, Route};
use crate::model::policy::{Direction, Method};
use crate::model::snapshot::Snapshot;
use crate::planning::Refusal;

/// Those whose outer packets are of one family.
const OUTER_V4: [&str; 5] = ["gre", "gretap", "ipip", "sit", "vti"];
const OUTER_V6: [&str; 4] = ["ip6gre", "ip6gretap", "ip6tnl", "vti6"];
/// Kinds that hand frames on to a link below.
const SHARED: [&str; 4] = ["ipvlan", "ipvtap", "macvlan", "macvtap"];
/// Kinds that hand frames on to the links that have them for a master.
const JOINED: [&str; 3] = ["bond", "bridge", "team"];

/// Refuses cuts that take what one of their lifelines is carried by. `hosts` are the host that it goes back to and the host
/// as it is, which may have got other routes since.
///
/// # Errors
/// The first lifeline that would be lost.
pub fn check_carried(hosts: [&Snapshot; 2], cuts: &[Cut]) -> Result<(), Refusal> {
    let ways = hosts.map(|host| Ways::new(host, cuts));
    let lifelines = || cuts.iter().flat_map(|c| &c.lifelines);
    for way in ways.iter().filter(|w| w.any_is_carried()) {
        let tables = Tables::of(way.host);
        let walker = Walker::new(way.host, &tables);
        lifelines().try_for_each(|lifeline| way.keeps(&walker, lifeline))?;
    }
    Ok(())
}

/// What the links of a host are carried by, and what cuts take of that.
struct Ways<'a> {
    host: &'a Snapshot,
    cuts: &'a [Cut],
    /// Tunnels whose outer packets a lifeline keeps.
    carried: BTreeSet<u32>,
}

impl<'a> Ways<'a> {
    fn new(host: &'a Snapshot, cuts: &'a [Cut]) -> Self {
        let lifelines = cuts.iter().flat_map(|c| &c.lifelines);
        Self {
            host,
            cuts,
            carried: lifelines.flat_map(|l| l.carries.iter().copied()).collect(),
        }
    }

    /// Most hosts have no such link, and need no walk.
    fn any_is_carried(&self) -> bool {
        self.host.links.iter().any(Link::is_carried)
    }

    fn keeps(&self, walker: &Walker, lifeline: &Lifeline) -> Result<(), Refusal> {
        for peer in &lifeline.peers {
            for link in links_of(walker, lifeline, peer) {
                self.keeps_over(lifeline, *peer, link)?;
            }
        }
        // A wide lifeline is reached by many routes, and loses what has one of its own.
        for route in self.host.routes.iter().filter(|r| leads_within(r, lifeline)) {
            for (link, _) in walker.ways(route) {
                if lifeline.link.as_ref().is_none_or(|(only, _)| *only == link) {
                    self.keeps_over(lifeline, route.destination, link)?;
                }
            }
        }
        Ok(())
    }

    fn keeps_over(&self, lifeline: &Lifeline, peer: IpNet, link: u32) -> Result<(), Refusal> {
        let Some(link) = self.host.link(link) else {
            return Ok(());
        };
        let lost = |below: &Link| Refusal::LifelineCarriedByCut {
            lifeline: lifeline.name.clone(),
            peer,
            link: link.name.clone(),
            kind: link.kind.clone().unwrap_or_default(),
            below: below.name.clone(),
        };
        self.lost_below(link).map_or(Ok(()), |below| Err(lost(below)))
    }

    /// The link that carries this one and that the cuts take, if there is one.
    fn lost_below(&self, link: &'a Link) -> Option<&'a Link> {
        let mut seen = BTreeSet::from([link.index]);
        let mut open = vec![(link, false)];
        while let Some((upper, tagged)) = open.pop() {
            if upper.is_tunnel() {
                if !self.carried.contains(&upper.index) && upper.lower_abroad.is_none() {
                    let mut outer = self.outer(upper, &seen).into_iter();
                    let taken = outer.find(|l| self.takes_packets(l, upper));
                    if taken.is_some() {
                        return taken;
                    }
                }
                continue;
            }
            let tagged = tagged || upper.is_tagged();
            for lower in self.below(upper) {
                if tagged && self.takes_tagged(lower) {
                    return Some(lower);
                }
                if seen.insert(lower.index) {
                    open.push((lower, tagged));
                }
            }
        }
        None
    }

    /// The links that a link hands its frames to.
    fn below(&self, upper: &Link) -> Vec<&'a Link> {
        let hands_down = upper.is_tagged() || is_of(upper, &SHARED) || is_of(upper, &["veth"]);
        let lower = upper.lower.filter(|_| hands_down);
        let is_bridge = is_of(upper, &["bridge"]);
        let ports = self.host.links.iter();
        let ports = ports.filter(|l| is_of(upper, &JOINED) && l.master == Some(upper.index));
        let ports = ports.filter(|l| !(is_bridge && is_of(l, &["tun"])));
        lower.and_then(|l| self.host.link(l)).into_iter().chain(ports).collect()
    }

    /// The links that could carry the outer packets of a tunnel.
    fn outer(&self, tunnel: &Link, above: &BTreeSet<u32>) -> Vec<&'a Link> {
        let others: [&[&str]; 3] = [&SHARED, &JOINED, &["vrf"]];
        let bound = tunnel.lower.and_then(|l| self.host.link(l));
        let bound = bound.filter(|l| !l.is_carried() && !others.iter().any(|kinds| is_of(l, kinds)));
        let any = |l: &&Link| !l.is_loopback() && !is_of(l, &["ifb"]) && !above.contains(&l.index);
        bound.map_or_else(|| self.host.links.iter().filter(any).collect(), |link| vec![link])
    }

    fn cuts_of<'b>(&'b self, link: &'b Link) -> impl Iterator<Item = &'a Cut> + 'b {
        let reaches = |c: &&Cut| c.reach == Reach::WholeHost || c.links.contains_key(&link.index);
        self.cuts.iter().filter(reaches)
    }

    /// Frames of 802.1Q or MACsec: what gate drops of one family alone is none of them, and rules see none.
    fn takes_tagged(&self, link: &Link) -> bool {
        let all = |c: &Cut| gates(c) && c.families.len() == Family::BOTH.len();
        self.cuts_of(link).any(|c| c.methods.contains(&Method::Link) || all(c))
    }

    /// What this host itself sends and gets over a link, or by a route that is withdrawn or sent nowhere.
    fn takes_packets(&self, link: &Link, tunnel: &Link) -> bool {
        let outer = |family: Family| match family {
            Family::V4 => !is_of(tunnel, &OUTER_V6),
            Family::V6 => !is_of(tunnel, &OUTER_V4),
        };
        let of_family = |c: &Cut| c.families.iter().any(|f| outer(*f));
        let seals = |c: &Cut| c.methods.contains(&Method::Seal) && of_the_host(c);
        let by_filters = |c: &Cut| (gates(c) || seals(c)) && of_family(c);
        let over = |r: &&Route| r.nexthop.is_some() || r.links().any(|l| l == link.index);
        let routes = |c: &Cut| {
            let withdrawn = c.withdrawn.iter().filter(over).map(|r| r.destination);
            let mut taken = withdrawn.chain(c.null_prefixes.iter().copied());
            c.methods.contains(&Method::Routes) && taken.any(|net| outer(Family::of_net(&net)))
        };
        self.cuts.iter().any(routes)
            || self
                .cuts_of(link)
                .any(|c| c.methods.contains(&Method::Link) || by_filters(c))
    }
}

/// The links over which a lifeline reaches a peer, and for `forward` what is inside.
fn links_of(walker: &Walker, lifeline: &Lifeline, peer: &IpNet) -> BTreeSet<u32> {
    let mut links = BTreeSet::new();
    let only = lifeline.link.as_ref().map(|(only, _)| *only);
    for peer in samples(peer) {
        let ways: Vec<u32> = ways_to(walker, lifeline, peer)
            .into_iter()
            .map(|(link, ..)| link)
            .collect();
        for link in &ways {
            if lifeline.direction == Direction::Forward {
                links.extend(insides(walker, lifeline, peer, *link).into_iter().map(|(_, link)| link));
            }
        }
        let ways = ways
            .into_iter()
            .chain(only.into_iter().flat_map(|l| ways_from(walker, l, peer)));
        links.extend(ways.filter(|link| only.is_none_or(|only| only == *link)));
    }
    links
}

/// Whether a route leads to a part of a lifeline's peers. Link-local addresses are on every link, and no peers of a prefix.
fn leads_within(route: &Route, lifeline: &Lifeline) -> bool {
    let is_part = |p: &IpNet| *p != route.destination && p.contains(&route.destination);
    let link_local = match route.destination.addr() {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    };
    let leads_out = route.kind == Route::UNICAST && route.table != Route::TABLE_LOCAL;
    leads_out && !link_local && !route.destination.addr().is_multicast() && lifeline.peers.iter().any(is_part)
}

/// The ways that rules choose by the addresses of a link.
fn ways_from(walker: &Walker, link: u32, peer: IpAddr) -> Vec<u32> {
    let addresses = walker.state().addresses.iter();
    let own = addresses.filter(|a| a.link == link && a.family == Family::of(peer));
    let packets = own.map(|address| Packet {
        source: address.own(),
        destination: peer,
        load: Load::Nothing,
    });
    packets.flat_map(|p| legs(walker, &p)).map(|(link, _)| link).collect()
}

fn gates(cut: &Cut) -> bool {
    cut.methods.contains(&Method::Gate) && of_the_host(cut)
}

/// Whether the cut takes what the host itself sends or gets: a tunnel's outer packets are such, whatever goes within.
fn of_the_host(cut: &Cut) -> bool {
    cut.zones.is_empty() && cut.directions.iter().any(|d| *d != Direction::Forward)
}

fn is_of(link: &Link, kinds: &[&str]) -> bool {
    link.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
}
