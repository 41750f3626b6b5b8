//! Routes with several legs: every leg is followed, and the kernel's rule of suppression with them.

use std::collections::{BTreeMap, BTreeSet};

use super::{cut_with, gateway, lifeline, planned, step};
use crate::model::change::Change;
use crate::model::cut::{Cut, Reach, ZoneLinks};
use crate::model::fixture::*;
use crate::model::object::{Attach, Family, Filter, FilterEntries, Qdisc, Route, U32Match, Verdict};
use crate::model::plan::Step;
use crate::model::policy::{Direction, Method, Transport};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::check::{Unsafe, check, check_beside};
use crate::planning::{desired, steps};

const IN: (&str, u32) = ("10.0.0.9", 2);
const OUT: (&str, u32) = ("10.0.1.9", 3);

fn with(objects: Vec<Object>) -> Snapshot {
    let mut start = gateway();
    start.sysctls.push(sysctl("net.ipv4.ip_forward", "1"));
    for object in objects {
        must(&mut start, &Change::Add(object));
    }
    start
}

fn route(legs: &[(&str, u32)]) -> Vec<Object> {
    vec![Object::Route(multipath("10.77.0.0/16", legs))]
}

fn grouped(first: (&str, u32), second: (&str, u32)) -> Vec<Object> {
    let members = [nexthop(1, first.0, first.1), nexthop(2, second.0, second.1)];
    let objects = members.into_iter().chain([group(10, &[1, 2])]).map(Object::Nexthop);
    objects.chain([Object::Route(through("10.77.0.0/16", 10))]).collect()
}

/// A cut of `ab0`.
fn of_uplink(methods: &[Method]) -> Cut {
    Cut {
        reach: Reach::Links,
        links: BTreeMap::from([(2, name("ab0"))]),
        ..cut_with(methods, Vec::new())
    }
}

/// The hole of the plan for this host.
fn hole(start: &Snapshot, cut: &Cut) -> Option<String> {
    hole_of(&planned(start, std::slice::from_ref(cut)), start, cut)
}

/// The hole of a plan that does not know the host's routes, so that no detour leads around any.
fn straight_hole(start: &Snapshot, cut: &Cut) -> Option<String> {
    let unaware = Snapshot {
        routes: Vec::new(),
        ..start.clone()
    };
    let plan = steps(start, &desired(&unaware, std::slice::from_ref(cut)).unwrap());
    hole_of(&plan, start, cut)
}

fn hole_of(plan: &[Step], start: &Snapshot, cut: &Cut) -> Option<String> {
    match check(plan, start, std::slice::from_ref(cut)) {
        Ok(()) => None,
        Err(Unsafe::LeavesHole { packet, .. }) => Some(packet),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_sealed_leg_behind_an_open_first_one_is_a_hole() {
    let three = [("10.0.1.9", 3), ("10.0.1.8", 3), IN];
    for objects in [route(&[OUT, IN]), route(&three), grouped(OUT, IN)] {
        let start = with(objects);
        for only in [Direction::Out, Direction::Forward] {
            let cut = Cut {
                directions: BTreeSet::from([only]),
                ..of_uplink(&[Method::Seal])
            };
            let packet = straight_hole(&start, &cut).unwrap();
            assert!(packet.contains("to 10.77."), "{only:?}: {packet}");
            assert_eq!(hole(&start, &cut), None, "{only:?}");
        }
        assert_eq!(hole(&start, &of_uplink(&[Method::Gate, Method::Seal])), None);
    }
}

#[test]
fn a_sealed_first_leg_and_legs_on_one_side_are_no_hole() {
    for objects in [
        route(&[IN, OUT]),
        grouped(IN, OUT),
        route(&[IN, ("10.0.0.8", 2)]),
        route(&[OUT, ("10.0.1.8", 3)]),
    ] {
        assert_eq!(straight_hole(&with(objects), &of_uplink(&[Method::Seal])), None);
    }
}

#[test]
fn a_first_leg_that_is_down_still_decides_the_suppression() {
    let mut start = with(route(&[OUT, IN]));
    start.links[2].up = false;
    let cut = of_uplink(&[Method::Seal]);
    assert!(straight_hole(&start, &cut).unwrap().contains("to 10.77."));
    assert_eq!(hole(&start, &cut), None);
}

#[test]
fn an_equal_default_route_over_a_sealed_link_is_a_hole() {
    let mut start = gateway();
    let main = |r: &Route| r.family == Family::V4 && r.destination.prefix_len() == 0;
    start.routes.retain(|r| !main(r));
    start
        .routes
        .extend([via("0.0.0.0/0", OUT.0, OUT.1), via("0.0.0.0/0", IN.0, IN.1)]);
    start.sort();
    assert!(straight_hole(&start, &of_uplink(&[Method::Seal])).is_some());
    assert_eq!(hole(&start, &of_uplink(&[Method::Seal])), None);
    let worse = start.routes.iter_mut().rfind(|r| main(r)).unwrap();
    worse.metric = 50;
    start.sort();
    assert_eq!(hole(&start, &of_uplink(&[Method::Seal])), None);
}

#[test]
fn a_hole_of_a_cut_in_force_is_no_reason_to_refuse_another_cut() {
    let start = gateway();
    let first = of_uplink(&[Method::Seal]);
    let mut leaking = start.clone();
    for change in planned(&start, std::slice::from_ref(&first))
        .iter()
        .flat_map(|s| &s.changes)
    {
        must(&mut leaking, change);
    }
    must(
        &mut leaking,
        &Change::Add(Object::Route(multipath("10.77.0.0/16", &[OUT, ("10.0.0.254", 2)]))),
    );
    let second = Cut {
        policy: "second".parse().unwrap(),
        links: BTreeMap::from([(4, name("ab2"))]),
        ..of_uplink(&[Method::Gate])
    };
    let both = [first.clone(), second.clone()];
    let plan = steps(&leaking, &desired(&start, &both).unwrap());
    assert!(matches!(check(&plan, &leaking, &both), Err(Unsafe::LeavesHole { .. })));
    assert_eq!(
        check_beside(&plan, &leaking, std::slice::from_ref(&first), &second),
        Ok(())
    );
    let leaks_too = Cut {
        policy: "third".parse().unwrap(),
        ..first.clone()
    };
    let refused = check_beside(&[], &leaking, &[first], &leaks_too).unwrap_err();
    assert!(
        matches!(&refused, Unsafe::LeavesHole { policy, .. } if policy == "third"),
        "{refused}"
    );
}

#[test]
fn ipv6_lets_the_chosen_leg_decide() {
    for legs in [[("fd00::9", 2), ("fd01::9", 3)], [("fd01::9", 3), ("fd00::9", 2)]] {
        let start = with(vec![Object::Route(multipath("fd77::/64", &legs))]);
        assert_eq!(hole(&start, &of_uplink(&[Method::Seal])), None);
    }
}

#[test]
fn a_leg_into_another_zone_is_a_hole() {
    let zone = |name: &str, link| ZoneLinks {
        name: name.to_owned(),
        links: BTreeSet::from([link]),
    };
    let cut = Cut {
        zones: vec![zone("one", 2), zone("other", 3)],
        directions: BTreeSet::from([Direction::Forward]),
        links: BTreeMap::from([(2, name("ab0")), (3, name("ab1"))]),
        ..of_uplink(&[Method::Seal])
    };
    assert_eq!(hole(&gateway(), &cut), None);
    let split = with(route(&[OUT, IN]));
    assert!(straight_hole(&split, &cut).unwrap().contains("to 10.77."));
    assert_eq!(hole(&split, &cut), None);
}

#[test]
fn a_lifeline_must_pass_over_every_leg() {
    let start = with(route(&[IN, OUT]));
    let mut line = lifeline(Direction::Out, Transport::Udp, &[53]);
    line.peers = vec!["10.77.0.1/32".parse().unwrap()];
    let mut both = cut_with(&[Method::Gate, Method::Seal], vec![line.clone()]);
    let hops = [IN, OUT].map(|(gateway, link)| (link, gateway.parse().unwrap()));
    both.next_hops.extend(hops);
    assert_eq!(
        check(&planned(&start, std::slice::from_ref(&both)), &start, &[both]),
        Ok(())
    );
    let sealed = Cut {
        lifelines: vec![line.clone()],
        next_hops: BTreeSet::from([hops[0]]),
        ..of_uplink(&[Method::Gate, Method::Seal])
    };
    assert_eq!(
        check(&planned(&start, std::slice::from_ref(&sealed)), &start, &[sealed]),
        Ok(())
    );

    let drops = |link| {
        let clsact = Qdisc {
            link,
            kind: "clsact".to_owned(),
            handle: Qdisc::CLSACT_HANDLE,
            parent: Qdisc::CLSACT_PARENT,
            ingress_block: None,
            egress_block: None,
        };
        let all_packets = U32Match {
            offset: 0,
            value: 0,
            mask: 0,
        };
        let drop = Filter {
            attach: Attach::Egress(link),
            preference: 100,
            protocol: 0x0003,
            chain: 0,
            kind: "u32".to_owned(),
            entries: FilterEntries::U32(vec![(vec![all_packets], Verdict::DropInto(4))]),
        };
        let all = [Object::Qdisc(clsact), Object::Filter(drop)];
        vec![step(all.into_iter().map(Change::Add).collect())]
    };
    for link in [IN.1, OUT.1] {
        let refused = check(&drops(link), &start, &[cut_with(&[], vec![line.clone()])]).unwrap_err();
        assert!(matches!(&refused, Unsafe::DropsLifeline { .. }), "{refused}");
    }
    // One that is limited to the other link does not mind.
    line.link = Some((IN.1, name("ab0")));
    assert_eq!(
        check(&drops(OUT.1), &start, &[cut_with(&[], vec![line.clone()])]),
        Ok(())
    );
    assert!(check(&drops(IN.1), &start, &[cut_with(&[], vec![line])]).is_err());
}
