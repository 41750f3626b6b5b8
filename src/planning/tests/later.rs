//! What comes after a cut began: links that appear, cuts that end beside others, a host that came up otherwise.

use std::collections::BTreeMap;

use super::hosts::{SSH, UPLINK, WHOLE, WITHDRAW_DEFAULT, cut, enforce, foreign, gateway, policy};
use super::safety::lifeline_packets;
use crate::model::change::Change;
use crate::model::fixture::{link, must, sysctl};
use crate::model::object::{Attach, Family, Route, Rule, RuleAction};
use crate::model::snapshot::Object;
use crate::planning::{check, desired, follow, grown, plan, receipt, restore, steps, ways_around, with_new_links};

#[test]
fn a_gate_of_the_whole_host_covers_a_new_link_that_somebody_filters_already() {
    let baseline = gateway();
    let cuts = [cut(&policy("gate", WHOLE, "use = [\"gate\"]", SSH), &baseline)];
    let mut now = baseline.clone();
    enforce(&mut now, &baseline, &cuts).unwrap();
    now.links.push(link(9, "ab9"));
    let (qdisc, filter) = foreign(9, 10);
    now.qdiscs.push(qdisc.clone());
    now.filters.push(filter.clone());
    now.sort();
    let known = with_new_links(&baseline, &now).into_owned();
    assert!(!enforce(&mut now, &known, &cuts).unwrap().is_empty());
    assert!(now.qdiscs.contains(&qdisc) && now.filters.contains(&filter));
    let of_link = |o: &&Object| matches!(o, Object::Filter(f) if f.attach == filter.attach);
    let ours = desired(&known, &cuts).unwrap().present;
    assert!(ours.iter().any(|o| of_link(&o)), "the new link is gated beside it");
    assert_eq!(steps(&now, &desired(&known, &cuts).unwrap()), []);
}

#[test]
fn the_receipt_of_a_cut_names_what_stands_of_it_while_another_remains() {
    let baseline = gateway();
    let gate = cut(&policy("gate", WHOLE, "use = [\"gate\"]", SSH), &baseline);
    let seal = cut(&policy("seal", WHOLE, "use = [\"seal\"]", SSH), &baseline);
    let (ended, remaining) = ([gate.clone()], [seal.clone()]);
    let mut now = baseline.clone();
    enforce(&mut now, &baseline, &[gate, seal]).unwrap();
    let begun = now.clone();
    let proof = receipt(&baseline, &begun, &now, &ended, &remaining);
    assert!(!proof.is_clean(), "nothing was undone");
    enforce(&mut now, &baseline, &remaining).unwrap();
    let proof = receipt(&baseline, &begun, &now, &ended, &remaining);
    assert!(proof.is_clean(), "{:#?}", proof.residues);
}

#[test]
fn a_held_cut_is_laid_on_a_host_whose_lifeline_has_no_route_though_no_plan_would() {
    let lifeline = SSH.replace("10.9.0.2", "10.2.0.9").replace("fd09::2", "fd02::9");
    let unplug = policy("unplug", UPLINK, "use = [\"link\"]", &lifeline);
    let host = gateway();
    let held = plan(&unplug, &host, &host, &[], &BTreeMap::new()).unwrap().cut;
    let mut elsewhere = host.clone();
    elsewhere.routes.retain(|r| r.link != Some(4));
    elsewhere.addresses.retain(|a| a.link != 4);
    let again = plan(&unplug, &elsewhere, &elsewhere, &[], &BTreeMap::new());
    assert!(again.is_err(), "the lifeline goes over the link that is cut");
    assert!(desired(&elsewhere, &[held]).unwrap().down.contains(&2));
}

#[test]
fn a_rule_of_one_user_decides_nothing_about_the_routes_that_come_back() {
    let mut baseline = gateway();
    for family in Family::BOTH {
        let rule = Rule {
            protocol: 4,
            uid_range: Some((1_000, 1_999)),
            ..Rule::ours(family, 100, RuleAction::Prohibit)
        };
        must(&mut baseline, &Change::Add(Object::Rule(rule)));
    }
    let cuts = [cut(&policy("unplug", UPLINK, "use = [\"link\"]", ""), &baseline)];
    let mut now = baseline.clone();
    enforce(&mut now, &baseline, &cuts).unwrap();
    let begun = now.clone();
    for step in restore(&now, &baseline, &cuts, &[]).unwrap().steps {
        step.changes.iter().for_each(|change| must(&mut now, change));
    }
    crate::model::effect::settle(&mut now);
    let proof = receipt(&baseline, &begun, &now, &cuts, &[]);
    assert!(proof.is_clean() && proof.conflicts.is_empty(), "{proof:#?}");
}

#[test]
fn a_lifeline_of_icmp_is_followed_while_a_seal_stands() {
    let echo = SSH.replace("\"tcp\"\nports = [22]", "\"icmp\"");
    let mut baseline = gateway();
    baseline.sysctls.push(sysctl("net.ipv4.conf.ab0.rp_filter", "1"));
    baseline.sort();
    let held = [cut(&policy("seal", WHOLE, "use = [\"seal\"]", &echo), &baseline)];
    let mut now = baseline.clone();
    enforce(&mut now, &baseline, &held).unwrap();
    // Whatever drops it is seen, though nothing but its own packets finds a way any more.
    let pass = now
        .rules
        .iter()
        .filter(|r| r.ip_protocol == Some(1) || r.ip_protocol == Some(58));
    let dropped: Vec<Change> = pass.map(|r| Change::Delete(Object::Rule(r.clone()))).collect();
    assert!(!dropped.is_empty());
    let step = crate::model::plan::Step {
        phase: crate::model::plan::Phase::Flip,
        summary: "what nobody should do".to_owned(),
        changes: dropped,
    };
    assert!(check(&[step], &now, &held).is_err());
    assert!(check(&[], &now, &held).is_ok());
}

#[test]
fn the_end_of_a_wider_lifeline_takes_no_rule_of_a_narrower_one() {
    let host = gateway();
    let wide = SSH.replace("protocol = \"tcp\"\nports = [22]", "protocol = \"any\"");
    let narrow = cut(&policy("narrow", WHOLE, "use = [\"seal\"]", SSH), &host);
    let wide = cut(&policy("wide", WHOLE, "use = [\"seal\"]", &wide), &host);
    let packets = lifeline_packets("ssh");
    for [first, second] in [[&narrow, &wide], [&wide, &narrow]] {
        let mut now = host.clone();
        enforce(&mut now, &host, std::slice::from_ref(first)).unwrap();
        enforce(&mut now, &host, &[first.clone(), second.clone()]).unwrap();
        let left = desired(&host, std::slice::from_ref(&narrow)).unwrap();
        for change in steps(&now, &left).iter().flat_map(|s| &s.changes) {
            must(&mut now, change);
            let lost = packets.iter().find(|p| !p.passes(&now));
            assert!(lost.is_none(), "`{change}` drops {lost:?}");
        }
        assert_eq!(steps(&now, &left), [], "at once");
    }
}

#[test]
fn a_sealed_link_that_was_made_again_goes_back_to_no_group_of_ours() {
    let baseline = gateway();
    let seal = cut(&policy("seal", UPLINK, "use = [\"seal\"]", SSH), &baseline);
    let mut now = baseline.clone();
    enforce(&mut now, &baseline, std::slice::from_ref(&seal)).unwrap();
    let sealed = now.link(2).unwrap().group;
    assert_ne!(sealed, baseline.link(2).unwrap().group, "seal gives it a group");
    let mut again = link(9, "ab9");
    again.group = sealed;
    now.links.push(again);
    now.sort();
    for step in restore(&now, &baseline, &[seal], &[]).unwrap().steps {
        step.changes.iter().for_each(|change| must(&mut now, change));
    }
    assert_eq!(now.link(9).unwrap().group, 0);
}

#[test]
fn a_hole_before_one_gate_is_no_reason_to_refuse_a_cut_beside_it() {
    let baseline = gateway();
    let held = cut(&policy("gate", UPLINK, "use = [\"gate\"]", SSH), &baseline);
    let mut now = baseline.clone();
    enforce(&mut now, &baseline, std::slice::from_ref(&held)).unwrap();
    let ours = now.qdiscs.iter().find(|q| q.link == 2).unwrap();
    let (_, mut hole) = foreign(2, 1);
    hole.attach = Attach::Block(ours.egress_block.unwrap());
    now.filters.push(hole);
    now.sort();
    let beside = policy("seal", WHOLE, "use = [\"seal\"]", SSH);
    let planned = plan(&beside, &now, &baseline, std::slice::from_ref(&held), &BTreeMap::new());
    assert!(planned.is_ok(), "{planned:?}");
    let same = policy("again", UPLINK, "use = [\"gate\"]", SSH);
    let refused = plan(&same, &now, &baseline, std::slice::from_ref(&held), &BTreeMap::new());
    assert_eq!(refused.unwrap_err().code(), "filter-in-the-way");
}

#[test]
fn what_a_partial_reading_lacks_is_not_dropped_from_the_baseline() {
    let baseline = gateway();
    let takes = cut(&policy("routes", UPLINK, WITHDRAW_DEFAULT, ""), &baseline);
    let mut host = baseline.clone();
    host.routes.retain(|r| r.destination.prefix_len() > 0);
    assert_ne!(host, baseline);
    let gone = grown(&baseline, &host, &takes, &[], &[]);
    assert_eq!(gone.routes.len(), host.routes.len(), "others removed it");
    host.moving = true;
    let kept = grown(&baseline, &host, &takes, &[], &[]);
    assert_eq!(kept.routes, baseline.routes);
}

#[test]
fn a_withdrawal_follows_its_owner_so_many_times_and_takes_nothing_that_the_baseline_has_beside_it() {
    let policy = policy("routes", UPLINK, WITHDRAW_DEFAULT, "");
    let mut baseline = gateway();
    let taken = cut(&policy, &baseline).withdrawn[0].clone();
    let way = |metric: u32, protocol: u8| Route {
        metric,
        protocol,
        ..taken.clone()
    };
    baseline.routes.push(way(7_000, 99));
    baseline.sort();
    let mut cut = cut(&policy, &baseline);
    cut.withdrawn.retain(|r| r.protocol != 99);
    let before = cut.withdrawn.len();
    let mut now = baseline.clone();
    let mut elsewhere = way(7_001, taken.protocol);
    (elsewhere.link, elsewhere.gateway) = (Some(4), None);
    now.routes.extend([elsewhere, way(7_002, 98)]);
    now.routes
        .extend((8_000..8_100).map(|metric| way(metric, taken.protocol)));
    now.sort();
    cut = follow(&cut, &baseline, &now);
    assert!(
        (10..20).contains(&(cut.withdrawn.len() - before)),
        "{:?}",
        cut.withdrawn
    );
    let followed = cut.withdrawn.clone();
    assert!(
        followed.iter().all(|r| r.protocol != 99 && r.metric != 7_001),
        "{followed:?}"
    );
    let named = ways_around(&cut, &baseline, &now);
    assert_eq!(
        named.len() + followed.len() - before,
        101,
        "the owner's and those of another"
    );
    assert!(named.iter().any(|r| r.protocol == 98));
    assert_eq!(follow(&cut, &baseline, &now), cut, "once");
}

#[test]
fn halves_of_a_withdrawn_destination_are_ways_around_it_together_and_not_alone() {
    let baseline = gateway();
    let cut = cut(&policy("routes", UPLINK, WITHDRAW_DEFAULT, ""), &baseline);
    let taken = cut.withdrawn.iter().find(|r| r.family == Family::V4).unwrap().clone();
    let half = |destination: &str| Route {
        destination: destination.parse().unwrap(),
        ..taken.clone()
    };
    let mut now = baseline.clone();
    now.routes.retain(|r| !cut.withdrawn.contains(r));
    now.routes.push(half("0.0.0.0/1"));
    now.sort();
    assert_eq!(ways_around(&cut, &baseline, &now), Vec::<&Route>::new());
    now.routes.push(half("128.0.0.0/1"));
    now.sort();
    assert_eq!(ways_around(&cut, &baseline, &now).len(), 2);
}
