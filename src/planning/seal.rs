//! What seal holds: rules of one family, in the slots of [`super::slots`].
//!
//! The kernel decides what is for this host by its rule at preference 0, so inbound traffic is cut by a stand-in
//! behind our block; that rule is the only object of others that seal takes away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::Refusal;
use super::detour::Ground;
use super::extent::{Extent, is_on};
use super::flow::{self, Course, Flow, TCP, UDP, icmp};
use super::ours::{TABLE, is_local_rule};
use super::reachability::links_without_gateway;
use super::sections::Sections;
use super::slots::{self, Room, Slots};
use crate::model::cut::{Cut, Lifeline};
use crate::model::names::InterfaceName;
use crate::model::object::{Family, Link, Route, Rule, RuleAction};
use crate::model::policy::{Direction, PortRange, Transport};
use crate::model::snapshot::Snapshot;

/// The name that the kernel gives to traffic which begins on this host.
const LOOPBACK: &[u8] = b"lo";

/// What seal wants of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// Our rules.
    pub rules: Vec<Rule>,
    /// The kernel's `local` rule, if ours stands in for it.
    pub moved: Option<Rule>,
    /// Links that are moved into a group of ours.
    pub groups: BTreeMap<u32, u32>,
    /// The routes of our detours.
    pub routes: Vec<Route>,
}

/// What the rules of one family must be while these cuts are in force.
///
/// `null` says that packets are to be looked up in our own table, `ground` what routes there are.
///
/// # Errors
/// If others' rules are in the way, or the cuts ask for what rules cannot do.
pub fn seal(baseline: &Snapshot, cuts: &[Cut], family: Family, null: Null, ground: Ground) -> Result<Seal, Refusal> {
    let extent = Extent::new(baseline, cuts, family)?;
    let (sections, room) = fitting(baseline, &extent, family, null, ground)?;
    let Some(room) = room else {
        return Ok(Seal::default());
    };
    let slots = slots::slots(baseline, family, room)?;
    let layout = Layout {
        baseline,
        cuts,
        family,
        extent: &extent,
        slots,
    };
    let mut seal = Seal::default();
    if extent.is_any() {
        seal.rules = layout.rules();
        seal.moved = layout.moved()?;
    }
    if let Some(sections) = sections {
        seal.groups = sections.groups();
        seal.routes = sections.routes();
        seal.rules.extend(sections.rules(slots));
    }
    if null == Null::Looked {
        seal.rules
            .push(Rule::ours(family, slots.null, RuleAction::Lookup(TABLE)));
    }
    seal.rules.sort_by_key(|r| r.preference);
    Ok(seal)
}

/// The sections that cuts need in one family, none if they seal no links and part no zones.
///
/// # Errors
/// As [`seal`].
pub fn sections(
    baseline: &Snapshot,
    cuts: &[Cut],
    family: Family,
    null: Null,
    ground: Ground,
) -> Result<Option<Sections>, Refusal> {
    let extent = Extent::new(baseline, cuts, family)?;
    Ok(fitting(baseline, &extent, family, null, ground)?.0)
}

/// Sections and the room that all needs, if anything does. Where detours find no room they are left out: a route that
/// appears must not make a cut in force one that cannot be laid.
fn fitting(
    baseline: &Snapshot,
    extent: &Extent,
    family: Family,
    null: Null,
    ground: Ground,
) -> Result<(Option<Sections>, Option<Room>), Refusal> {
    let wanted = extent.section_plan()?;
    let Some(sections) = Sections::new(baseline, family, &wanted, null, ground)? else {
        let room = match (extent.is_any(), null) {
            (true, _) => Some(Room::Blocks),
            (false, Null::Looked) => Some(Room::Null),
            (false, Null::Not) => None,
        };
        return Ok((None, room));
    };
    let room = Room::Sections(sections.length());
    if sections.detours().all(|d| d.places.is_empty()) || slots::slots(baseline, family, room).is_ok() {
        return Ok((Some(sections), Some(room)));
    }
    let straight = Ground {
        places_max: 0,
        ..ground
    };
    let sections = Sections::new(baseline, family, &wanted, null, straight)?;
    let room = sections.as_ref().map(|s| Room::Sections(s.length()));
    Ok((sections, room))
}

/// Whether packets are looked up in our own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Null {
    /// They are.
    Looked,
    /// They are not.
    Not,
}

/// Whether any link checks the way back to a packet's source (`net.ipv4.conf.*.rp_filter`).
fn checks_sources(host: &Snapshot) -> bool {
    is_on(host, |name| {
        name.starts_with("ipv4.conf.") && name.ends_with(".rp_filter")
    })
}

struct Layout<'a> {
    baseline: &'a Snapshot,
    cuts: &'a [Cut],
    family: Family,
    extent: &'a Extent,
    slots: Slots,
}

impl Layout<'_> {
    fn rules(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        let flows = self.flows();
        if self.extent.cuts_in() {
            rules.push(self.begun_here(slots::OWN, RuleAction::Lookup(Route::TABLE_LOCAL)));
            rules.push(self.rule(slots::LOCAL, RuleAction::Lookup(Route::TABLE_LOCAL)));
        }
        rules.extend(flows.iter().filter_map(|f| self.pass(f)));
        rules.extend(self.control());
        let neighbours = self.neighbours();
        if !neighbours.is_empty() {
            rules.extend([TCP, UDP].map(|protocol| Rule {
                ip_protocol: Some(protocol),
                ..self.rule(slots::BYPASS, RuleAction::Goto(slots::DOOR))
            }));
            rules.push(self.rule(slots::DOOR, RuleAction::Nop));
            rules.extend(neighbours);
        }
        rules.extend(self.blocks());
        rules.push(self.rule(self.slots.landing, RuleAction::Nop));
        canonical(rules)
    }

    fn moved(&self) -> Result<Option<Rule>, Refusal> {
        if !self.extent.cuts_in() {
            return Ok(None);
        }
        let family = self.family;
        let local = self.baseline.rules_of(family).find(|r| is_local_rule(r));
        let local = local.ok_or(Refusal::LocalRuleMissing { family })?;
        Ok(Some(local.clone()))
    }

    fn rule(&self, slot: u32, action: RuleAction) -> Rule {
        Rule::ours(self.family, slot, action)
    }

    fn begun_here(&self, slot: u32, action: RuleAction) -> Rule {
        Rule {
            iif: Some(loopback()),
            ..self.rule(slot, action)
        }
    }

    fn jump(&self, slot: u32) -> Rule {
        self.rule(slot, RuleAction::Goto(self.slots.landing))
    }

    /// The flows as rules can tell them. An IPv4 lifeline rule with ports would break path MTU discovery: the kernel
    /// looks the peer up without ports when "fragmentation needed" arrives.
    fn flows(&self) -> Vec<Flow> {
        let lifelines = self.cuts.iter().flat_map(|c| &c.lifelines);
        let mut flows: Vec<Flow> = lifelines.flat_map(|l| flow::of_lifeline(l, self.family)).collect();
        if self.family == Family::V4 {
            for flow in &mut flows {
                flow.source_ports = None;
                flow.destination_ports = None;
            }
        }
        let all = flow::flows(self.cuts, self.family);
        let unaddressed = all
            .into_iter()
            .filter(|f| f.source.is_none() && f.destination.is_none());
        flows.extend(unaddressed.filter(|f| f.course != Course::Passes));
        flows.sort();
        flows.dedup();
        flows
    }

    fn pass(&self, flow: &Flow) -> Option<Rule> {
        // The kernel refuses a range that begins at port 0 (`fib_rule_port_range_valid()`).
        let ports = |range: Option<PortRange>| range.map(|r| (r.first.max(1), r.last.max(1)));
        let rule = match flow.course {
            Course::Arrives if !self.extent.cuts_in() => return None,
            Course::Arrives => self.rule(slots::ARRIVE, RuleAction::Lookup(Route::TABLE_LOCAL)),
            Course::Leaves if !self.extent.cuts_out() => return None,
            Course::Leaves => Rule {
                iif: Some(loopback()),
                ..self.jump(slots::JUMP)
            },
            Course::Passes => self.jump(slots::JUMP),
        };
        let iif = flow
            .link
            .as_ref()
            .map(|(index, name)| self.extent.names.get(index).unwrap_or(name).clone());
        Some(Rule {
            source: flow.source,
            destination: flow.destination,
            ip_protocol: flow.protocol,
            source_ports: ports(flow.source_ports),
            destination_ports: ports(flow.destination_ports),
            iif: rule.iif.clone().or(iif),
            ..rule
        })
    }

    /// Path MTU and neighbour discovery. Where sources are checked the kernel looks the router up that reports a small
    /// MTU, as if it answered: that lookup must succeed, too.
    fn control(&self) -> Vec<Rule> {
        let advertised = self.family == Family::V6 && self.cuts.iter().any(|c| c.keep.router_advertisements);
        let kept = flow::keeps_any(self.cuts, self.family);
        let mut rules = Vec::new();
        if !kept && !advertised {
            return rules;
        }
        let of_icmp = |rule: Rule| Rule {
            ip_protocol: Some(icmp(self.family)),
            ..rule
        };
        if self.extent.cuts_in() {
            rules.push(of_icmp(
                self.rule(slots::ARRIVE, RuleAction::Lookup(Route::TABLE_LOCAL)),
            ));
        }
        if kept && self.family == Family::V4 && self.extent.cuts_out() && checks_sources(self.baseline) {
            rules.push(of_icmp(Rule {
                iif: Some(loopback()),
                ..self.jump(slots::JUMP)
            }));
        }
        let through = self.cuts.iter().flat_map(|c| &c.lifelines);
        for lifeline in through.filter(|l| l.direction == Direction::Forward) {
            let everywhere = lifeline.inside.is_empty();
            let ends = flow::ends(lifeline, self.family).map(Some);
            let towards = ends.chain(everywhere.then_some(None));
            rules.extend(towards.map(|end| {
                of_icmp(Rule {
                    destination: end,
                    ..self.jump(slots::JUMP)
                })
            }));
        }
        rules
    }

    /// IPv4: ARP of gateways and on-link lifelines is answered only if a lookup from them finds `local`, and under
    /// rp_filter only if the way back is found. IPv6: gateways must be found when routes over them are added; such a
    /// lookup has no incoming interface. IPv6 neighbours are resolved by ICMPv6.
    fn neighbours(&self) -> Vec<Rule> {
        let hops = self.cuts.iter().flat_map(|c| &c.next_hops);
        let here = hops.filter(|(_, gateway)| Family::of(*gateway) == self.family);
        let mut rules = Vec::new();
        for (link, gateway) in here {
            rules.extend(self.neighbour(IpNet::from(*gateway), self.extent.names.get(link)));
        }
        for net in self.on_link_lifelines() {
            rules.extend(self.neighbour(net, None));
        }
        rules
    }

    fn neighbour(&self, net: IpNet, link: Option<&InterfaceName>) -> Vec<Rule> {
        let v4 = self.family == Family::V4;
        let towards = (!v4 || self.extent.cuts_out()).then(|| Rule {
            iif: v4.then(loopback),
            destination: Some(net),
            ..self.jump(slots::NEIGHBOUR)
        });
        let from = (v4 && self.extent.cuts_in()).then(|| Rule {
            iif: link.cloned(),
            source: Some(net),
            ..self.rule(slots::NEIGHBOUR, RuleAction::Lookup(Route::TABLE_LOCAL))
        });
        from.into_iter().chain(towards).collect()
    }

    /// The ends of IPv4 lifelines that this host reaches without a gateway, and whose ARP no rule of theirs lets pass.
    fn on_link_lifelines(&self) -> BTreeSet<IpNet> {
        if self.family == Family::V6 {
            return BTreeSet::new();
        }
        let subnets = self
            .baseline
            .addresses
            .iter()
            .filter_map(|a| IpNet::new(a.address, a.prefix_length).ok());
        let nets = subnets.map(|n| n.trunc()).chain(self.routes_without_gateway());
        let v4 = nets.filter(|n| n.addr().is_ipv4() && !n.addr().is_loopback());
        // A host may have thousands of routes of one address each, and every packet walks past every rule.
        let on_link = IpNet::aggregate(&v4.collect());
        let limited =
            |l: &&Lifeline| l.protocol != Transport::Any || !l.ports.is_empty() || l.direction == Direction::Forward;
        let anywhere = IpNet::new_assert(IpAddr::from([0, 0, 0, 0]), 0);
        let mut all = Vec::new();
        for lifeline in self.cuts.iter().flat_map(|c| &c.lifelines).filter(limited) {
            let unbounded = lifeline.direction == Direction::Forward && lifeline.inside.is_empty();
            let ends = flow::ends(lifeline, Family::V4).chain(unbounded.then_some(anywhere));
            all.extend(ends.flat_map(|end| on_link.iter().filter_map(move |net| narrower(&end, net))));
        }
        IpNet::aggregate(&all).into_iter().collect()
    }

    /// What is reached over a link on which every peer is asked for its hardware address.
    fn routes_without_gateway(&self) -> impl Iterator<Item = IpNet> + use<'_> {
        let asks = |link: u32| self.baseline.link(link).is_some_and(Link::resolves_neighbours);
        let on_link = move |r: &&Route| {
            let mut legs = links_without_gateway(r, self.baseline);
            r.kind == Route::UNICAST && legs.any(asks)
        };
        self.baseline
            .routes
            .iter()
            .filter(on_link)
            .map(|r| r.destination.trunc())
    }

    fn blocks(&self) -> Vec<Rule> {
        let prohibit = |slot| self.rule(slot, RuleAction::Prohibit);
        let not_from_here = |slot| Rule {
            invert: true,
            iif: Some(loopback()),
            ..prohibit(slot)
        };
        let from_link = |slot, link: &u32| Rule {
            iif: self.extent.names.get(link).cloned(),
            ..prohibit(slot)
        };
        let mut rules = Vec::new();
        if self.extent.whole.contains(&Direction::In) {
            rules.push(not_from_here(slots::IN));
        }
        rules.extend(self.extent.inbound.iter().map(|l| from_link(slots::IN, l)));
        if self.extent.whole.contains(&Direction::Forward) && !self.extent.whole.contains(&Direction::In) {
            rules.push(not_from_here(slots::FROM));
        }
        rules.extend(self.extent.forwarded.iter().map(|l| from_link(slots::FROM, l)));
        if self.extent.whole.contains(&Direction::Out) {
            rules.push(self.begun_here(slots::OUT, RuleAction::Prohibit));
        }
        rules
    }
}

/// As the kernel shows them: a prefix of length 0 is none at all; and each once.
fn canonical(rules: Vec<Rule>) -> Vec<Rule> {
    let mut all: Vec<Rule> = Vec::with_capacity(rules.len());
    for mut rule in rules {
        rule.source = rule.source.filter(|n| n.prefix_len() > 0);
        rule.destination = rule.destination.filter(|n| n.prefix_len() > 0);
        if !all.contains(&rule) {
            all.push(rule);
        }
    }
    all
}

/// `lo`, as the kernel names the incoming interface of what begins on this host.
pub fn loopback() -> InterfaceName {
    InterfaceName::from_kernel(LOOPBACK).expect("`lo` is an interface name")
}

/// The narrower of two prefixes that overlap.
fn narrower(a: &IpNet, b: &IpNet) -> Option<IpNet> {
    if a.contains(b) {
        Some(*b)
    } else if b.contains(a) {
        Some(*a)
    } else {
        None
    }
}
