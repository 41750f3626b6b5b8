//! What gate holds: our ifb, `clsact` with shared blocks on the links of the scope, lifeline filters, and one drop a
//! block. A link that already carries somebody's `clsact` gets our filters on its own sides, in front of theirs.
//!
//! A shared block cannot tell its links apart: all gated links share lifelines and families. On an armed host a link is
//! cut through the blocks that stand on it, if all links that are bound to them are cut the same way.

mod passes;

use std::collections::{BTreeMap, BTreeSet};

use self::passes::{Passes, passes};
use super::Refusal;
use super::desired::Desired;
use super::ours::{IFB_INDEX, IFB_NAME, Pair, ifb, is_egress_block, is_our_filter, is_our_link, is_our_qdisc};
use super::resolve::widen;
use super::rows;
use crate::model::cut::{Cut, Reach};
use crate::model::names::InterfaceName;
use crate::model::object::{Attach, Family, Filter, FilterEntries, Qdisc, Verdict};
use crate::model::policy::{Direction, Method};
use crate::model::snapshot::{Object, Snapshot};

/// ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, ETH_P_ALL (`include/uapi/linux/if_ether.h`).
pub const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ALL: u16 = 0x0003;
/// ETH_P_802_2 (spanning tree), ETH_P_SLOW (LACP), ETH_P_PAE (802.1X).
const LLC: u16 = 0x0004;
const SLOW: u16 = 0x8809;
const PAE: u16 = 0x888e;
/// ARP, IPv4, IPv6 and the drop each need a preference, because one `tcf_proto` holds one ethertype.
const PREFERENCES_NEEDED: u16 = 4;
/// What keeps a link needs three more.
const CONTROL_PREFERENCES: u16 = 3;

/// The preferences of our filters at one place.
#[derive(Clone, Copy, Debug)]
struct Preferences {
    llc: u16,
    slow: u16,
    pae: u16,
    arp: u16,
    v4: u16,
    v6: u16,
    drop: u16,
}

const USUAL: Preferences = Preferences {
    llc: 4,
    slow: 6,
    pae: 8,
    arp: 10,
    v4: 12,
    v6: 14,
    drop: 100,
};

/// The sides of a link that a cut needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sides {
    ingress: bool,
    egress: bool,
}

impl Sides {
    /// Those of an armed link, whatever a cut will need.
    pub(super) const BOTH: Self = Self {
        ingress: true,
        egress: true,
    };
}

/// The links of a cut by index, with their names and the sides that are cut.
type Links = BTreeMap<u32, (InterfaceName, Sides)>;

/// Whether gate holds anything for this cut: a cut of forwarded traffic alone is left to seal.
pub fn gates(cut: &Cut) -> bool {
    cut.methods.contains(&Method::Gate) && cut.zones.is_empty() && sides(cut) != Sides::default()
}

/// The sides that a cut needs.
pub(super) fn sides(cut: &Cut) -> Sides {
    Sides {
        ingress: cut.directions.contains(&Direction::In),
        egress: cut.directions.contains(&Direction::Out),
    }
}

/// The objects that gate wants present for these cuts.
///
/// # Errors
/// If gate cannot cut what is asked, two cuts disagree on a shared block, or a foreign qdisc is in the way.
pub fn objects(baseline: &Snapshot, cuts: &[Cut]) -> Result<Vec<Object>, Refusal> {
    for cut in cuts.iter().filter(|c| c.methods.contains(&Method::Gate)) {
        can_tell(cut)?;
    }
    let gated: Vec<Cut> = cuts.iter().filter(|c| gates(c)).map(|c| widen(c, baseline)).collect();
    let Some(first) = gated.first() else {
        return Ok(armed(baseline));
    };
    check_name(baseline)?;
    if let Some(other) = gated.iter().find(|c| c.families != first.families) {
        return Err(conflict(
            other,
            "gate's shared blocks drop the same families on all links".to_owned(),
        ));
    }
    let links = links(&gated)?;
    let layout = Layout {
        baseline,
        passes: passes(cuts, &first.families)?,
        drops: drop_protocol(&first.families),
    };
    layout.objects(&links)
}

fn conflict(cut: &Cut, what: String) -> Refusal {
    Refusal::Conflict {
        policy: cut.policy.to_string(),
        what,
    }
}

/// What of gate stands before any cut, because the host is armed.
fn armed(baseline: &Snapshot) -> Vec<Object> {
    let link = baseline.links.iter().any(is_our_link).then(|| Object::Link(ifb()));
    let qdiscs = baseline.qdiscs.iter().filter(|q| is_our_qdisc(q)).cloned();
    link.into_iter().chain(qdiscs.map(Object::Qdisc)).collect()
}

/// Whether gate can cut what is asked, and its names are free on this host.
///
/// # Errors
/// If not.
pub(super) fn could_lay(cut: &Cut, host: &Snapshot) -> Result<(), Refusal> {
    can_tell(cut)?;
    check_name(host)
}

fn check_name(baseline: &Snapshot) -> Result<(), Refusal> {
    let takes = |l: &&crate::model::object::Link| l.index == IFB_INDEX || l.name.as_bytes() == IFB_NAME;
    let taken = baseline.links.iter().filter(takes).find(|l| !is_our_link(l));
    taken.map_or(Ok(()), |link| {
        Err(Refusal::NameTaken {
            link: link.name.clone(),
        })
    })
}

/// Gate sees both ends of what is forwarded as packets of a link, so it stops forwarded traffic only with the rest.
fn can_tell(cut: &Cut) -> Result<(), Refusal> {
    if cut.methods.contains(&Method::Seal) {
        return Ok(());
    }
    if !cut.zones.is_empty() {
        return Err(Refusal::ZonesNeedSeal { method: "gate" });
    }
    let has = |d| cut.directions.contains(&d);
    let both = has(Direction::In) && has(Direction::Out);
    let either = has(Direction::In) || has(Direction::Out);
    let enough = match cut.reach {
        Reach::WholeHost => either,
        Reach::Links => both,
    };
    if has(Direction::Forward) && !enough {
        let words = cut.directions.iter().map(|d| direction(*d)).collect::<Vec<_>>();
        return Err(Refusal::GateCannotTell {
            directions: words.join(" and "),
        });
    }
    Ok(())
}

/// The policy's word for a direction.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
        Direction::Forward => "forward",
    }
}

fn links(gated: &[Cut]) -> Result<Links, Refusal> {
    let mut links = Links::new();
    for cut in gated {
        for (index, name) in &cut.links {
            match links.get(index) {
                Some((_, there)) if *there != sides(cut) => {
                    let what =
                        format!("another cut gates other directions of {name}, and its blocks cannot be changed");
                    return Err(conflict(cut, what));
                }
                Some(_) => {}
                None => {
                    links.insert(*index, (name.clone(), sides(cut)));
                }
            }
        }
    }
    Ok(links)
}

fn drop_protocol(families: &BTreeSet<Family>) -> u16 {
    match (families.contains(&Family::V4), families.contains(&Family::V6)) {
        (true, false) => IPV4,
        (false, true) => IPV6,
        (true, true) | (false, false) => ALL,
    }
}

struct Layout<'a> {
    baseline: &'a Snapshot,
    passes: [Passes; 2],
    drops: u16,
}

impl Layout<'_> {
    fn objects(&self, links: &Links) -> Result<Vec<Object>, Refusal> {
        let mut objects = vec![Object::Link(ifb())];
        let mut places = BTreeMap::new();
        let spare = free_pair(self.baseline);
        for (index, (name, sides)) in links {
            let pair = match clsact_of(self.baseline, *index) {
                Some(qdisc) if !is_our_qdisc(qdisc) => {
                    check_foreign(qdisc, name)?;
                    for attach in private(*index, *sides) {
                        places.insert(attach, self.in_front(attach, name)?);
                    }
                    continue;
                }
                standing => standing.and_then(|q| self.usable(q, links)),
            };
            let qdisc = match pair {
                Some(armed) => clsact(*index, armed, Sides::BOTH),
                None => clsact(*index, spare, *sides),
            };
            let pair = pair.unwrap_or(spare);
            objects.push(Object::Qdisc(qdisc));
            places.extend(sides.ingress.then_some((Attach::Block(pair.ingress()), USUAL)));
            places.extend(sides.egress.then_some((Attach::Block(pair.egress()), USUAL)));
        }
        let idle = self.baseline.qdiscs.iter().filter(|q| is_our_qdisc(q));
        let idle = idle.filter(|q| !links.contains_key(&q.link)).cloned();
        objects.extend(idle.map(Object::Qdisc));
        for (attach, preferences) in places {
            objects.extend(self.filters(attach, preferences).map(Object::Filter));
        }
        Ok(objects)
    }

    /// The pair of an armed link, if all links that are bound to it are cut, and on the same sides.
    fn usable(&self, qdisc: &Qdisc, links: &Links) -> Option<Pair> {
        let pair = Pair::of_qdisc(qdisc)?;
        let wanted = |q: &Qdisc| links.get(&q.link).map(|(_, sides)| *sides);
        let mut bound = self.baseline.qdiscs.iter().filter(|q| Pair::of_qdisc(q) == Some(pair));
        bound
            .all(|q| *q == clsact(q.link, pair, Sides::BOTH) && wanted(q) == wanted(qdisc))
            .then_some(pair)
    }

    fn filters(&self, attach: Attach, at: Preferences) -> impl Iterator<Item = Filter> + '_ {
        let passes = &self.passes[usize::from(is_egress(attach))];
        let drop = vec![(rows::everything(), Verdict::DropInto(IFB_INDEX))];
        let wanted = [
            (at.llc, LLC, passes.control.clone()),
            (at.slow, SLOW, passes.control.clone()),
            (at.pae, PAE, passes.authentication.clone()),
            (at.arp, ARP, passes.arp.clone()),
            (at.v4, IPV4, passes.v4.clone()),
            (at.v6, IPV6, passes.v6.clone()),
            (at.drop, self.drops, drop),
        ];
        let some = wanted.into_iter().filter(|(_, _, rows)| !rows.is_empty());
        some.map(move |(preference, protocol, rows)| Filter {
            attach,
            preference,
            protocol,
            chain: 0,
            kind: "u32".to_owned(),
            entries: FilterEntries::U32(rows),
        })
    }

    /// The usual preferences, or the last ones below the lowest foreign one.
    fn in_front(&self, attach: Attach, link: &InterfaceName) -> Result<Preferences, Refusal> {
        let foreign = self
            .baseline
            .filters
            .iter()
            .filter(|f| f.attach == attach && !is_our_filter(f));
        let Some(lowest) = foreign.map(|f| f.preference).min() else {
            return Ok(USUAL);
        };
        if lowest > USUAL.drop {
            return Ok(USUAL);
        }
        let control = !self.passes[usize::from(is_egress(attach))].control.is_empty();
        let needed = PREFERENCES_NEEDED + if control { CONTROL_PREFERENCES } else { 0 };
        if lowest <= needed {
            return Err(Refusal::NoRoomForFilters {
                link: link.clone(),
                lowest,
                needed,
            });
        }
        // Without filters for what keeps the link their preferences may be below 1.
        let before = |places: u16| lowest.saturating_sub(places);
        Ok(Preferences {
            llc: before(7),
            slow: before(6),
            pae: before(5),
            arp: before(4),
            v4: before(3),
            v6: before(2),
            drop: before(1),
        })
    }
}

/// The filters of others that have come to stand before the last of ours in the same place, and decide before it does.
#[must_use]
pub fn filters_in_front<'a>(now: &'a Snapshot, desired: &Desired) -> Vec<&'a Filter> {
    let mut last: BTreeMap<Attach, u16> = BTreeMap::new();
    for object in &desired.present {
        if let Object::Filter(ours) = object
            && is_our_filter(ours)
        {
            let known = last.entry(ours.attach).or_insert(ours.preference);
            *known = ours.preference.max(*known);
        }
    }
    let before = |f: &&Filter| f.chain == 0 && last.get(&f.attach).is_some_and(|last| f.preference <= *last);
    now.filters
        .iter()
        .filter(before)
        .filter(|f| !is_our_filter(f))
        .collect()
}

/// Refuses a host where somebody's filter has come to stand before those of this cut. One before another cut's is a hole
/// of that one, and no reason to refuse this.
///
/// # Errors
/// If one has.
pub fn check_front(host: &Snapshot, desired: &Desired, cut: &Cut, known: &Snapshot) -> Result<(), Refusal> {
    let reached = widen(cut, known);
    if !gates(&reached) {
        return Ok(());
    }
    let on_link = |q: &Qdisc| reached.links.contains_key(&q.link);
    let blocks: BTreeSet<u32> = desired
        .present
        .iter()
        .filter_map(|object| match object {
            Object::Qdisc(qdisc) => on_link(qdisc).then_some([qdisc.ingress_block, qdisc.egress_block]),
            Object::Link(_)
            | Object::Address(_)
            | Object::Nexthop(_)
            | Object::Route(_)
            | Object::Rule(_)
            | Object::Neighbour(_)
            | Object::Filter(_)
            | Object::Sysctl(_) => None,
        })
        .flatten()
        .flatten()
        .collect();
    let of_cut = |filter: &&Filter| match filter.attach {
        Attach::Block(block) => blocks.contains(&block),
        Attach::Ingress(link) | Attach::Egress(link) | Attach::Other(link, _) => reached.links.contains_key(&link),
    };
    let Some(first) = filters_in_front(host, desired).into_iter().find(of_cut) else {
        return Ok(());
    };
    let of_block = |block| {
        let has = |q: &&Qdisc| q.ingress_block == Some(block) || q.egress_block == Some(block);
        host.qdiscs.iter().find(has).map(|q| q.link)
    };
    let link = match first.attach {
        Attach::Ingress(link) | Attach::Egress(link) | Attach::Other(link, _) => Some(link),
        Attach::Block(block) => of_block(block),
    };
    let link = link.and_then(|index| host.link(index)).map(|link| link.name.clone());
    Err(Refusal::FilterInTheWay {
        link,
        preference: first.preference,
    })
}

fn is_egress(attach: Attach) -> bool {
    match attach {
        Attach::Block(block) => is_egress_block(block),
        Attach::Egress(_) => true,
        Attach::Ingress(_) | Attach::Other(..) => false,
    }
}

/// Our qdisc for a link.
pub(super) fn clsact(link: u32, pair: Pair, sides: Sides) -> Qdisc {
    Qdisc {
        link,
        kind: "clsact".to_owned(),
        handle: Qdisc::CLSACT_HANDLE,
        parent: Qdisc::CLSACT_PARENT,
        ingress_block: sides.ingress.then(|| pair.ingress()),
        egress_block: sides.egress.then(|| pair.egress()),
    }
}

/// The first pair that no link of the host is bound to. There is one more than are ever armed.
fn free_pair(host: &Snapshot) -> Pair {
    let taken: BTreeSet<Pair> = host.qdiscs.iter().filter_map(Pair::of_qdisc).collect();
    let first = Pair::all().next();
    let free = Pair::all().find(|pair| !taken.contains(pair));
    free.or(first).expect("there are pairs")
}

fn private(link: u32, sides: Sides) -> Vec<Attach> {
    let ingress = sides.ingress.then_some(Attach::Ingress(link));
    let egress = sides.egress.then_some(Attach::Egress(link));
    ingress.into_iter().chain(egress).collect()
}

/// What stands where our qdisc would, whoever made it.
pub(super) fn clsact_of(host: &Snapshot, link: u32) -> Option<&Qdisc> {
    let mut qdiscs = host.qdiscs.iter();
    qdiscs.find(|q| q.link == link && q.parent == Qdisc::CLSACT_PARENT)
}

fn check_foreign(qdisc: &Qdisc, link: &InterfaceName) -> Result<(), Refusal> {
    let refused = |detail| {
        Err(Refusal::ForeignQdisc {
            link: link.clone(),
            kind: qdisc.kind.clone(),
            detail,
        })
    };
    if qdisc.kind != "clsact" {
        return refused(" without an egress side");
    }
    if qdisc.ingress_block.is_some() || qdisc.egress_block.is_some() {
        return refused(" with shared blocks");
    }
    Ok(())
}
