//! Packets followed through every intermediate state: lifelines never drop, and what is cut stays cut.

use proptest::prelude::*;

use super::hosts::{ADDITIVE, additive, armed_gateways, carry_out, gateway, zones};
use super::packets::{Fate, Packet};
use crate::model::cut::Cut;
use crate::model::effect::apply;
use crate::model::snapshot::Snapshot;
use crate::planning::ours::is_our_rule;
use crate::planning::{check, desired, steps};

/// A packet from these texts: link index or 0, source, destination, protocol, ports.
fn packet(over: u32, source: &str, destination: &str, protocol: u8, ports: (u16, u16)) -> Packet {
    Packet {
        over: (over != 0).then_some(over),
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol,
        source_port: ports.0,
        destination_port: ports.1,
    }
}

/// Packets of each lifeline by name.
pub(super) fn lifeline_packets(name: &str) -> Vec<Packet> {
    match name {
        "ssh" => vec![
            packet(2, "10.9.0.2", "10.0.0.2", 6, (999, 22)),
            packet(0, "10.0.0.2", "10.9.0.2", 6, (22, 999)),
            packet(2, "fd09::2", "fd00::2", 6, (999, 22)),
            packet(0, "fd00::2", "fd09::2", 6, (22, 999)),
        ],
        "dns" => vec![
            packet(0, "10.0.0.2", "10.0.0.53", 17, (999, 53)),
            packet(2, "10.0.0.53", "10.0.0.2", 17, (53, 999)),
            packet(0, "fd00::2", "fd00::53", 17, (999, 53)),
            packet(2, "fd00::53", "fd00::2", 17, (53, 999)),
        ],
        "through" => vec![
            packet(2, "10.9.0.2", "10.1.0.7", 6, (999, 22)),
            packet(3, "10.1.0.7", "10.9.0.2", 6, (22, 999)),
            packet(2, "fd09::2", "fd01::7", 6, (999, 22)),
            packet(3, "fd01::7", "fd09::2", 6, (22, 999)),
        ],
        other => panic!("no packets for {other}"),
    }
}

/// Packets of no lifeline: to, from and through the host, over each link.
fn others() -> Vec<Packet> {
    vec![
        packet(2, "10.8.0.9", "10.0.0.2", 6, (999, 22)),
        packet(2, "fd08::9", "fd00::2", 6, (999, 22)),
        packet(3, "10.1.0.9", "10.1.0.1", 17, (999, 80)),
        packet(0, "10.0.0.2", "10.8.0.9", 6, (999, 443)),
        packet(0, "fd00::2", "fd08::9", 6, (999, 443)),
        packet(0, "10.1.0.1", "10.1.0.9", 17, (999, 443)),
        packet(2, "10.8.0.9", "10.1.0.9", 6, (999, 22)),
        packet(3, "10.1.0.9", "10.8.0.9", 6, (999, 443)),
        packet(3, "fd01::9", "fd08::9", 6, (999, 443)),
        packet(3, "10.1.0.9", "10.2.0.9", 6, (999, 443)),
        packet(3, "fd01::9", "fd02::9", 6, (999, 443)),
    ]
}

fn kept(cuts: &[Cut]) -> Vec<String> {
    cuts.iter()
        .flat_map(|c| c.lifelines.iter().map(|l| l.name.clone()))
        .collect()
}

/// Every state on the way, the first and the last included.
fn states(from: &Snapshot, baseline: &Snapshot, cuts: &[Cut]) -> Vec<Snapshot> {
    let wanted = desired(baseline, cuts).unwrap();
    let mut state = from.clone();
    let mut all = vec![state.clone()];
    for change in steps(from, &wanted).iter().flat_map(|s| &s.changes) {
        assert!(apply(&mut state, change).is_ok());
        all.push(state.clone());
    }
    all
}

/// What passes before and after passes throughout if a lifeline; what is lost before and after is lost throughout.
fn check_way(all: &[Snapshot], lifelines: &[String]) {
    check_lifelines(all, lifelines);
    check_cut(all);
}

fn check_lifelines(all: &[Snapshot], lifelines: &[String]) {
    let (first, last) = (&all[0], &all[all.len() - 1]);
    for name in lifelines {
        for p in lifeline_packets(name) {
            assert!(p.passes(last), "{name}: {p:?} is lost in the end");
            if p.passes(first) {
                let lost = all.iter().position(|s| !p.passes(s));
                assert_eq!(lost, None, "{name}: {p:?} is lost on the way");
            }
        }
    }
}

fn check_cut(all: &[Snapshot]) {
    let (first, last) = (&all[0], &all[all.len() - 1]);
    for p in others().into_iter().filter(|p| !p.passes(first) && !p.passes(last)) {
        let open = all.iter().position(|s| p.passes(s));
        assert_eq!(open, None, "{p:?} gets through on the way");
    }
}

#[test]
fn without_cuts_everything_passes() {
    let host = gateway();
    let all = ["ssh", "dns", "through"]
        .into_iter()
        .flat_map(lifeline_packets)
        .chain(others());
    for p in all {
        assert!(p.passes(&host), "{p:?}");
    }
}

#[test]
fn a_whole_host_cut_stops_all_but_lifelines_and_the_host_to_itself() {
    let host = gateway();
    let itself = packet(0, "10.0.0.2", "10.1.0.1", 6, (999, 22));
    for cut in additive(&host)
        .into_iter()
        .filter(|c| c.policy.as_ref().ends_with("whole"))
    {
        let all = states(&host, &host, std::slice::from_ref(&cut));
        let last = &all[all.len() - 1];
        for p in others() {
            assert_eq!(p.fate(last), Fate::Lost, "{}: {p:?}", cut.policy);
        }
        assert_eq!(itself.fate(last), Fate::Delivered, "{}", cut.policy);
        check_way(&all, &kept(&[cut]));
    }
}

#[test]
fn a_sealed_uplink_leaves_the_inside_alone() {
    let host = gateway();
    let cut = additive(&host)
        .into_iter()
        .find(|c| c.policy.as_ref() == "seal-uplink")
        .unwrap();
    let all = states(&host, &host, std::slice::from_ref(&cut));
    let last = &all[all.len() - 1];
    for p in others() {
        let outside = p.over == Some(2) || p.fate(&host) == Fate::Sent(2);
        assert_eq!(p.passes(last), !outside, "{p:?}");
    }
    check_way(&all, &kept(&[cut]));
}

#[test]
fn zones_lose_only_what_goes_between_them() {
    let host = gateway();
    let all = states(&host, &host, &[zones(&host)]);
    let last = &all[all.len() - 1];
    let zone = |link: u32| link == 3;
    for p in others() {
        let between = match (p.over, p.fate(&host)) {
            (Some(over), Fate::Sent(to)) => zone(over) != zone(to),
            _ => false,
        };
        assert_eq!(p.passes(last), !between, "{p:?}");
    }
}

#[test]
fn null_routes_stop_their_prefixes_but_for_lifelines() {
    let host = gateway();
    let cut = additive(&host)
        .into_iter()
        .find(|c| c.policy.as_ref() == "null")
        .unwrap();
    let all = states(&host, &host, std::slice::from_ref(&cut));
    let last = &all[all.len() - 1];
    assert!(!packet(0, "10.0.0.2", "10.9.0.77", 6, (1, 2)).passes(last));
    assert!(!packet(3, "fd01::9", "fd09::77", 6, (1, 2)).passes(last));
    assert!(packet(0, "10.0.0.2", "10.8.0.77", 6, (1, 2)).passes(last));
    check_way(&all, &kept(&[cut]));
}

proptest! {
    #[test]
    fn on_the_way_from_any_cuts_to_any_others_no_lifeline_drops_and_no_cut_opens(
        before in proptest::collection::btree_set(0..ADDITIVE, 0..4),
        after in proptest::collection::btree_set(0..ADDITIVE, 0..4),
        host in 0..3_usize,
    ) {
        let [fitting, misfitting] = armed_gateways();
        let fits = host < 2;
        let host = vec![gateway(), fitting, misfitting].swap_remove(host);
        let all = additive(&host);
        let pick = |which: &std::collections::BTreeSet<usize>| which.iter().map(|i| all[*i].clone()).collect::<Vec<_>>();
        let (before, after) = (pick(&before), pick(&after));
        // Cuts begin and end one by one, so cuts that contradict one another never follow one another.
        let both: Vec<Cut> = before.iter().chain(&after).cloned().collect();
        prop_assume!([&before, &after, &both].iter().all(|cuts| desired(&host, cuts).is_ok()));
        let first = states(&host, &host, &before);
        let way = states(&first[first.len() - 1], &host, &after);
        let stay = kept(&before);
        let lifelines: Vec<String> = kept(&after).into_iter().filter(|l| stay.contains(l)).collect();
        check_lifelines(&way, &lifelines);
        check_lifelines(&way, &kept(&after));
        // A link that changes blocks is open between two messages of one send.
        if fits {
            check_cut(&way);
        }
    }
}

#[test]
fn while_any_one_lost_object_is_put_back_no_lifeline_drops_and_no_cut_opens() {
    lost_objects_are_put_back(&gateway());
}

#[test]
fn on_an_armed_host_the_same() {
    armed_gateways().iter().for_each(lost_objects_are_put_back);
}

fn lost_objects_are_put_back(host: &Snapshot) {
    let all = additive(host);
    for (first, second) in (0..ADDITIVE).flat_map(|a| (a..ADDITIVE).map(move |b| (a, b))) {
        let cuts = [all[first].clone(), all[second].clone()];
        let Ok(wanted) = desired(host, &cuts) else {
            continue;
        };
        let mut state = host.clone();
        carry_out(&mut state, &steps(host, &wanted));
        let ours = (0..state.rules.len()).filter(|i| is_our_rule(&state.rules[*i]));
        let rules = ours.map(|i| {
            let mut drifted = state.clone();
            drifted.rules.remove(i);
            drifted
        });
        let filters = (0..state.filters.len()).map(|i| {
            let mut drifted = state.clone();
            drifted.filters.remove(i);
            drifted
        });
        for drifted in rules.chain(filters).collect::<Vec<_>>() {
            let way = states(&drifted, host, &cuts);
            check_way(&way, &kept(&cuts));
            assert_eq!(steps(&way[way.len() - 1], &wanted), []);
        }
    }
}

#[test]
fn the_independent_check_accepts_every_plan_alone_and_in_pairs() {
    check_accepts(&gateway());
}

#[test]
fn the_independent_check_accepts_every_plan_on_an_armed_host() {
    armed_gateways().iter().for_each(check_accepts);
}

fn check_accepts(host: &Snapshot) {
    let all = additive(host);
    for (first, second) in (0..ADDITIVE).flat_map(|a| (0..ADDITIVE).map(move |b| (a, b))) {
        let one = [all[first].clone()];
        let both = [all[first].clone(), all[second].clone()];
        let Ok(wanted) = desired(host, &both) else {
            continue;
        };
        let mut state = host.clone();
        let alone = steps(host, &desired(host, &one).unwrap());
        assert_eq!(check(&alone, &state, &one), Ok(()), "{}", one[0].policy);
        carry_out(&mut state, &alone);
        let names = format!("{} then {}", both[0].policy, both[1].policy);
        assert_eq!(check(&steps(&state, &wanted), &state, &both), Ok(()), "{names}");
    }
}
