//! Bad plans are refused, each for its own reason, and good ones pass.

mod legs;

use std::collections::{BTreeMap, BTreeSet};

use super::{Unsafe, check};
use crate::model::change::{Change, LinkSetting};
use crate::model::cut::{Cut, Lifeline, Reach};
use crate::model::effect::{apply, settle};
use crate::model::fixture::*;
use crate::model::object::{Attach, Family, Filter, FilterEntries, Qdisc, Route, Rule, RuleAction, U32Match, Verdict};
use crate::model::plan::{Phase, Step};
use crate::model::policy::{Direction, Keep, Method, PortRange, Transport};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{desired, steps};

const PEER_V4: &str = "192.0.2.5/32";
const PEER_V6: &str = "2001:db8:5::5/128";

/// A gateway: `ab0` up to the world, `ab1` down to a LAN, default routes of both families.
fn gateway() -> Snapshot {
    let mut state = host(3);
    for (link, net) in [
        (2, "10.0.0.1/24"),
        (3, "10.0.1.1/24"),
        (2, "fd00::1/64"),
        (3, "fd01::1/64"),
    ] {
        must(&mut state, &Change::Add(Object::Address(address(link, net))));
    }
    settle(&mut state);
    must(
        &mut state,
        &Change::Add(Object::Route(via("0.0.0.0/0", "10.0.0.254", 2))),
    );
    must(&mut state, &Change::Add(Object::Route(via("::/0", "fd00::fe", 2))));
    state
}

fn lifeline(direction: Direction, protocol: Transport, ports: &[u16]) -> Lifeline {
    Lifeline {
        name: "ssh".to_owned(),
        peers: vec![PEER_V4.parse().unwrap(), PEER_V6.parse().unwrap()],
        protocol,
        ports: ports.iter().map(|p| PortRange { first: *p, last: *p }).collect(),
        direction,
        inside: Vec::new(),
        link: None,
        carries: BTreeSet::new(),
    }
}

fn cut_with(methods: &[Method], lifelines: Vec<Lifeline>) -> Cut {
    Cut {
        policy: "test".parse().unwrap(),
        methods: methods.iter().copied().collect(),
        families: BTreeSet::from(Family::BOTH),
        directions: BTreeSet::from([Direction::In, Direction::Out, Direction::Forward]),
        reach: Reach::WholeHost,
        links: BTreeMap::from([(2, name("ab0")), (3, name("ab1")), (4, name("ab2"))]),
        zones: Vec::new(),
        withdrawn: Vec::new(),
        null_prefixes: Vec::new(),
        lifelines,
        next_hops: BTreeSet::from([(2, "10.0.0.254".parse().unwrap()), (2, "fd00::fe".parse().unwrap())]),
        keep: Keep::default(),
    }
}

fn step(changes: Vec<Change>) -> Step {
    Step {
        phase: Phase::Flip,
        summary: "by hand".to_owned(),
        changes,
    }
}

fn add_rule(rule: Rule) -> Change {
    Change::Add(Object::Rule(rule))
}

fn every_direction() -> Vec<Lifeline> {
    vec![
        lifeline(Direction::In, Transport::Tcp, &[22]),
        lifeline(Direction::Out, Transport::Udp, &[53, 123]),
        lifeline(Direction::Forward, Transport::Tcp, &[22]),
        lifeline(Direction::In, Transport::Icmp, &[]),
    ]
}

/// The steps that the planner makes.
fn planned(start: &Snapshot, cuts: &[Cut]) -> Vec<Step> {
    steps(start, &desired(start, cuts).unwrap())
}

#[test]
fn what_the_planner_makes_keeps_every_lifeline_and_leaves_no_hole() {
    let start = gateway();
    for methods in [&[Method::Gate][..], &[Method::Seal], &[Method::Gate, Method::Seal]] {
        let cut = cut_with(methods, every_direction());
        let plan = planned(&start, std::slice::from_ref(&cut));
        assert!(!plan.is_empty());
        assert_eq!(check(&plan, &start, &[cut]), Ok(()), "{methods:?}");
    }
}

#[test]
fn the_way_back_keeps_every_lifeline_too() {
    let start = gateway();
    let cut = cut_with(&[Method::Gate, Method::Seal], every_direction());
    let mut in_force = start.clone();
    for change in planned(&start, std::slice::from_ref(&cut))
        .iter()
        .flat_map(|s| &s.changes)
    {
        assert!(apply(&mut in_force, change).is_ok(), "{change:?}");
    }
    let back = steps(&in_force, &desired(&start, &[]).unwrap());
    let lifelines_only = Cut {
        methods: BTreeSet::new(),
        ..cut
    };
    assert_eq!(check(&back, &in_force, &[lifelines_only]), Ok(()));
}

/// Leaves out what `is_it` picks.
fn without(plan: &[Step], is_it: impl Fn(&Change) -> bool) -> Vec<Step> {
    let keep = |s: &Step| Step {
        changes: s.changes.iter().filter(|c| !is_it(c)).cloned().collect(),
        ..s.clone()
    };
    plan.iter().map(keep).collect()
}

#[test]
fn a_plan_that_deletes_the_local_rule_first_is_refused_at_that_change() {
    let start = gateway();
    let cut = cut_with(&[Method::Seal], every_direction());
    let delete = Change::Delete(Object::Rule(Rule::local(Family::V4)));
    let mut plan = without(&planned(&start, std::slice::from_ref(&cut)), |c| *c == delete);
    plan.insert(0, step(vec![delete]));
    let refused = check(&plan, &start, &[cut]).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::DropsLifeline { step: 1, lifeline, change, .. }
            if lifeline == "ssh" && change.contains("rule del")),
        "{refused}"
    );
}

#[test]
fn a_drop_filter_before_the_lifelines_is_refused() {
    let start = gateway();
    let cut = cut_with(&[Method::Gate], every_direction());
    let mut plan = planned(&start, std::slice::from_ref(&cut));
    let is_drop = |c: &Change| {
        matches!(c, Change::Add(Object::Filter(Filter { entries: FilterEntries::U32(rows), .. }))
            if rows.iter().any(|(_, v)| *v != Verdict::Pass))
    };
    let drops: Vec<Change> = plan
        .iter()
        .flat_map(|s| &s.changes)
        .filter(|c| is_drop(c))
        .cloned()
        .collect();
    assert_eq!(drops.len(), 2);
    plan = without(&plan, is_drop);
    let is_filter = |c: &Change| matches!(c, Change::Add(Object::Filter(_)));
    let changes: Vec<Change> = plan.iter().flat_map(|s| s.changes.clone()).collect();
    let first = changes.iter().position(is_filter).unwrap();
    let early = [&changes[..first], &drops, &changes[first..]].concat();
    let refused = check(&[step(early)], &start, &[cut]).unwrap_err();
    assert!(matches!(refused, Unsafe::DropsLifeline { .. }), "{refused}");
}

#[test]
fn a_plan_without_lifelines_of_one_family_is_refused() {
    let start = gateway();
    let whole = cut_with(&[Method::Gate], every_direction());
    let mut only_v4 = whole.clone();
    for lifeline in &mut only_v4.lifelines {
        lifeline.peers.retain(|p| p.addr().is_ipv4());
    }
    let plan = planned(&start, &[only_v4]);
    let refused = check(&plan, &start, &[whole]).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::DropsLifeline { packet, .. } if packet.contains("2001:db8:5::5") || packet.contains("fd00::")),
        "{refused}"
    );
}

#[test]
fn a_plan_without_neighbour_discovery_or_arp_is_refused() {
    let start = gateway();
    let cut = cut_with(&[Method::Gate], every_direction());
    let plan = planned(&start, std::slice::from_ref(&cut));
    let is_arp = |c: &Change| matches!(c, Change::Add(Object::Filter(f)) if f.protocol == 0x0806);
    let refused = check(&without(&plan, is_arp), &start, std::slice::from_ref(&cut)).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::DropsLifeline { packet, .. } if packet.starts_with("ARP")),
        "{refused}"
    );
    let cut = cut_with(&[Method::Seal], vec![lifeline(Direction::In, Transport::Tcp, &[22])]);
    let plan = planned(&start, std::slice::from_ref(&cut));
    let is_nd = |c: &Change| matches!(c, Change::Add(Object::Rule(r)) if r.ip_protocol == Some(58));
    let refused = check(&without(&plan, is_nd), &start, &[cut]).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::DropsLifeline { packet, .. } if packet.starts_with("ICMP type 13")),
        "{refused}"
    );
}

#[test]
fn rules_that_break_path_mtu_discovery_are_refused() {
    let start = gateway();
    let mut cut = cut_with(&[Method::Seal], vec![lifeline(Direction::In, Transport::Tcp, &[22])]);
    cut.lifelines[0].peers.retain(|p| p.addr().is_ipv4());
    let main = |rule: Rule| Rule {
        action: RuleAction::Lookup(Route::TABLE_MAIN),
        ..rule
    };
    let ours = |preference| Rule::ours(Family::V4, preference, RuleAction::Blackhole);
    let to_peer = main(Rule {
        destination: Some(PEER_V4.parse().unwrap()),
        ip_protocol: Some(6),
        ..ours(10)
    });
    let with_ports = Rule {
        source_ports: Some((22, 22)),
        ..to_peer.clone()
    };
    let to_gateway = main(Rule {
        destination: Some("10.0.0.254/32".parse().unwrap()),
        ..ours(11)
    });
    let plan = |rule: Rule| {
        vec![step(vec![
            add_rule(rule),
            add_rule(to_gateway.clone()),
            add_rule(ours(20)),
        ])]
    };
    let lifelines_only = Cut {
        methods: BTreeSet::new(),
        ..cut
    };
    assert_eq!(
        check(&plan(to_peer), &start, std::slice::from_ref(&lifelines_only)),
        Ok(())
    );
    let refused = check(&plan(with_ports), &start, &[lifelines_only]).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::DropsLifeline { packet, .. } if packet.starts_with("protocol 6")),
        "{refused}"
    );
}

#[test]
fn a_gateway_that_no_longer_resolves_is_refused() {
    let start = gateway();
    let mut cut = cut_with(&[], vec![lifeline(Direction::Out, Transport::Any, &[])]);
    cut.lifelines[0].peers.retain(|p| p.addr().is_ipv4());
    let to_peer = Rule {
        destination: Some(PEER_V4.parse().unwrap()),
        ..Rule::ours(Family::V4, 10, RuleAction::Lookup(Route::TABLE_MAIN))
    };
    let plan = [step(vec![
        add_rule(to_peer),
        add_rule(Rule::ours(Family::V4, 20, RuleAction::Prohibit)),
    ])];
    let refused = check(&plan, &start, &[cut]).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::DropsLifeline { packet, .. } if packet.starts_with("the lookup of 10.0.0.254")),
        "{refused}"
    );
}

#[test]
fn a_deletion_that_takes_another_rule_than_it_names_is_refused() {
    let mut start = gateway();
    let mut cut = cut_with(&[], vec![lifeline(Direction::Out, Transport::Any, &[])]);
    cut.lifelines[0].peers.retain(|p| p.addr().is_ipv4());
    let named = Rule {
        destination: Some("198.51.100.7/32".parse().unwrap()),
        ..Rule::ours(Family::V4, 10, RuleAction::Lookup(Route::TABLE_MAIN))
    };
    // The kernel does not compare `not`: this is what goes.
    let taken = Rule {
        invert: true,
        ..named.clone()
    };
    must(&mut start, &add_rule(taken));
    must(&mut start, &add_rule(Rule::ours(Family::V4, 20, RuleAction::Prohibit)));
    let plan = [step(vec![Change::Delete(Object::Rule(named))])];
    let refused = check(&plan, &start, &[cut]).unwrap_err();
    assert!(matches!(&refused, Unsafe::DropsLifeline { .. }), "{refused}");
}

#[test]
fn a_link_set_down_under_a_lifeline_is_refused_and_named() {
    let start = gateway();
    let cut = cut_with(&[], every_direction());
    let refused = check(
        &[step(vec![set(2, LinkSetting::Down)])],
        &start,
        std::slice::from_ref(&cut),
    )
    .unwrap_err();
    assert!(matches!(&refused, Unsafe::DropsLifeline { step: 1, .. }), "{refused}");
    assert_eq!(check(&[step(vec![set(4, LinkSetting::Down)])], &start, &[cut]), Ok(()));
}

#[test]
fn a_lifeline_without_a_route_is_not_the_plans_fault() {
    let mut start = gateway();
    must(
        &mut start,
        &Change::Delete(Object::Route(via("0.0.0.0/0", "10.0.0.254", 2))),
    );
    let mut cut = cut_with(&[], vec![lifeline(Direction::Out, Transport::Tcp, &[443])]);
    cut.lifelines[0].peers.retain(|p| p.addr().is_ipv4());
    let plan = [step(vec![add_rule(Rule::ours(Family::V4, 20, RuleAction::Prohibit))])];
    assert_eq!(check(&plan, &start, &[cut]), Ok(()));
}

#[test]
fn a_change_that_the_kernel_would_refuse_is_refused() {
    let start = gateway();
    let orphan = Filter {
        attach: Attach::Block(7),
        preference: 10,
        protocol: 3,
        chain: 0,
        kind: "u32".to_owned(),
        entries: FilterEntries::U32(vec![(
            vec![U32Match {
                offset: 0,
                value: 0,
                mask: 0,
            }],
            Verdict::Pass,
        )]),
    };
    let refused = check(&[step(vec![Change::Add(Object::Filter(orphan))])], &start, &[]).unwrap_err();
    assert!(
        matches!(refused, Unsafe::Refused { step: 1, errno: 22, .. }),
        "{refused}"
    );
}

#[test]
fn a_plan_that_leaves_a_hole_is_refused_for_every_direction() {
    let start = gateway();
    let whole = cut_with(&[Method::Seal], Vec::new());
    for (direction, word) in [
        (Direction::In, "in over"),
        (Direction::Out, "sent"),
        (Direction::Forward, "forwarded"),
    ] {
        let mut narrow = whole.clone();
        narrow.directions = BTreeSet::from([direction]);
        let refused = check(&[], &start, &[narrow]).unwrap_err();
        assert!(
            matches!(&refused, Unsafe::LeavesHole { packet, .. } if packet.contains(word)),
            "{direction:?}: {refused}"
        );
    }
    let plan = planned(&start, std::slice::from_ref(&whole));
    let is_v6 = |c: &Change| matches!(c, Change::Add(Object::Rule(r)) | Change::Delete(Object::Rule(r)) if r.family == Family::V6);
    let refused = check(&without(&plan, is_v6), &start, &[whole]).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::LeavesHole { packet, .. } if packet.contains("2001:db8:bad")),
        "{refused}"
    );
}

#[test]
fn the_walker_knows_goto_invert_and_suppression() {
    let start = gateway();
    let mut cut = cut_with(&[], vec![lifeline(Direction::Out, Transport::Tcp, &[443])]);
    cut.lifelines[0].peers.retain(|p| p.addr().is_ipv4());
    let ours = |preference, action| Rule::ours(Family::V4, preference, action);
    let table = RuleAction::Lookup(Route::TABLE_MAIN);
    let jump = ours(10, RuleAction::Goto(30));
    let not_peer = Rule {
        invert: true,
        destination: Some("192.0.2.0/24".parse().unwrap()),
        ..ours(15, RuleAction::Prohibit)
    };
    let no_default = Rule {
        suppress_prefix_length: Some(0),
        ..ours(16, table)
    };
    let block = ours(20, RuleAction::Blackhole);
    let land = ours(30, RuleAction::Nop);
    let passes = |rules: Vec<&Rule>| {
        let changes = rules.into_iter().cloned().map(add_rule).collect();
        check(&[step(changes)], &start, std::slice::from_ref(&cut)).is_ok()
    };
    assert!(!passes(vec![&block]), "nothing leads around the block");
    assert!(passes(vec![&land, &jump, &block]), "goto leads around it");
    assert!(!passes(vec![&not_peer]), "the next hop is no peer, and must resolve");
    let to_gateway = Rule {
        destination: Some("10.0.0.0/24".parse().unwrap()),
        ..ours(5, table)
    };
    assert!(
        passes(vec![&to_gateway, &not_peer]),
        "what is not to the peers is cut, they are not"
    );
    assert!(
        passes(vec![&no_default]),
        "a suppressed default route is looked for in the next rule"
    );
    assert!(
        !passes(vec![&to_gateway, &no_default, &block]),
        "and there is none behind a block"
    );
}

#[test]
fn a_shared_block_counts_on_every_link_and_own_sides_only_on_their_link() {
    let start = gateway();
    let cut = cut_with(&[], vec![lifeline(Direction::In, Transport::Udp, &[161])]);
    let clsact = |ingress_block| {
        Change::Add(Object::Qdisc(Qdisc {
            link: 2,
            kind: "clsact".to_owned(),
            handle: Qdisc::CLSACT_HANDLE,
            parent: Qdisc::CLSACT_PARENT,
            ingress_block,
            egress_block: None,
        }))
    };
    let drop_at = |attach| {
        let all = vec![U32Match {
            offset: 0,
            value: 0,
            mask: 0,
        }];
        Change::Add(Object::Filter(Filter {
            attach,
            preference: 100,
            protocol: 3,
            chain: 0,
            kind: "u32".to_owned(),
            entries: FilterEntries::U32(vec![(all, Verdict::DropInto(4))]),
        }))
    };
    let outcome = |changes| check(&[step(changes)], &start, std::slice::from_ref(&cut));
    assert!(outcome(vec![clsact(Some(7)), drop_at(Attach::Block(7))]).is_err());
    assert!(outcome(vec![clsact(None), drop_at(Attach::Ingress(2))]).is_err());
    assert!(outcome(vec![clsact(None), drop_at(Attach::Egress(2))]).is_err());
    assert_eq!(outcome(vec![clsact(Some(7))]), Ok(()));
}
