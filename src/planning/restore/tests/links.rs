//! Links that were set down: what comes back with them, and in what order.

use ipnet::IpNet;

use super::*;

#[test]
fn a_link_that_was_set_down_comes_back_with_all_that_it_had_lost() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let before = now.clone();
    assert!(diff(&baseline, &now).len() > 15, "the cut takes much");
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert_eq!(diff(&baseline, &now), []);
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(
        proof.is_clean() && proof.foreign.is_empty() && proof.conflicts.is_empty(),
        "{proof:#?}"
    );
    assert_eq!(proof.baseline, proof.after);
}

#[test]
fn routes_of_addresses_that_somebody_had_removed_are_removed_again() {
    let mut baseline = everything();
    let made = |r: &Route| r.link == Some(2) && r.protocol == Route::PROTOCOL_KERNEL && r.kind == Route::UNICAST;
    let fe80: IpNet = "fe80::/10".parse().unwrap();
    let of_address =
        |r: &Route| made(r) && !r.destination.addr().is_multicast() && !fe80.contains(&r.destination.addr());
    let removed: Vec<Route> = baseline.routes.iter().filter(|r| of_address(r)).cloned().collect();
    assert!(removed.iter().any(|r| r.family == Family::V4) && removed.iter().any(|r| r.family == Family::V6));
    for route in removed {
        must(&mut baseline, &Change::Delete(Object::Route(route.clone())));
        let own = Route {
            protocol: 16,
            metric: 1002,
            ..route
        };
        must(&mut baseline, &Change::Add(Object::Route(own)));
    }
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert_eq!(diff(&baseline, &now), []);
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(proof.is_clean() && proof.foreign.is_empty(), "{proof:#?}");
}

#[test]
fn a_route_whose_source_is_still_being_detected_waits_for_it() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let plan = restore(&now, &baseline, std::slice::from_ref(&cut), &[]).unwrap();
    let wait = plan.waits.first().expect("a route of source fd00::1 is lost");
    let late = &plan.steps[wait.before_step..];
    assert!(
        late.iter()
            .flat_map(|s| &s.changes)
            .all(|c| matches!(c, Change::Add(Object::Route(r)) if r.preferred_source.is_some()))
    );
    assert!(wait.usable.contains(&(2, "fd00::1".parse().unwrap())));
    for change in plan.steps.iter().flat_map(|s| &s.changes) {
        if apply(&mut now, change).is_err() {
            settle(&mut now);
            assert!(apply(&mut now, change).is_ok(), "{change}");
        }
    }
    now.addresses
        .iter_mut()
        .find(|a| a.own() == leased(2, "fd00::2/64").own())
        .unwrap()
        .tentative
        .0 = true;
    let rest = restore(&now, &baseline, &[cut], &[]).unwrap();
    assert!(rest.steps.is_empty() && !rest.is_complete() && !rest.waits[0].is_over(&now));
}

#[test]
fn a_daemons_nexthop_comes_back_for_the_sake_of_somebody_elses_group() {
    let mut baseline = everything();
    for nexthop in baseline.nexthops.iter_mut().filter(|n| n.id == 1) {
        nexthop.protocol = 66;
    }
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    run(&mut now, &baseline, &[cut], &[], Until::End);
    assert_eq!(diff(&baseline, &now), []);
}

#[test]
fn a_restore_does_not_wait_for_addresses_that_no_ended_cut_took() {
    let baseline = everything();
    let mut now = baseline.clone();
    for address in &mut now.addresses {
        address.tentative = crate::model::object::Volatile(true);
    }
    let nothing = Cut {
        methods: BTreeSet::from([Method::Gate, Method::Seal]),
        ..cut(&[2], Vec::new())
    };
    assert_eq!(restore(&now, &baseline, &[nothing], &[]).unwrap().waits, []);
}

#[test]
fn a_link_that_was_down_before_stays_down() {
    let mut baseline = everything();
    down(&mut baseline, 4);
    let cut = cut(&[2, 4], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    run(&mut now, &baseline, &[cut], &[], Until::End);
    assert_eq!(diff(&baseline, &now), []);
}

#[test]
fn a_restore_that_left_a_link_down_is_not_clean() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let proof = receipt(&baseline, &now, &now, &[cut], &[]);
    assert!(!proof.is_clean() && proof.foreign.is_empty(), "{proof:#?}");
}

#[test]
fn privacy_addresses_and_advertised_routes_are_named_beforehand() {
    let mut baseline = everything();
    let privacy = Address {
        flags: Address::FLAG_TEMPORARY,
        ..leased(2, "fd00::abcd/64")
    };
    let advertised = Route {
        protocol: Route::PROTOCOL_RA,
        ..via("fd90::/32", "fe80::1", 2)
    };
    must(&mut baseline, &Change::Add(Object::Address(privacy.clone())));
    must(&mut baseline, &Change::Add(Object::Route(advertised.clone())));
    settle(&mut baseline);
    let cut = cut(&[2], Vec::new());
    let named = super::super::not_recreatable(&baseline, &cut);
    let to_it = |o: &Object| matches!(o, Object::Route(r) if r.destination.addr() == privacy.address);
    assert!(named.iter().any(to_it), "{named:#?}");
    let rest: Vec<_> = named.into_iter().filter(|o| !to_it(o)).collect();
    assert_eq!(rest, [Object::Address(privacy.clone()), Object::Route(advertised)]);
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(proof.is_clean() && proof.not_recreated.len() == 2, "{proof:#?}");
}

#[test]
fn what_no_snapshot_shows_is_said_before_the_cut_and_in_the_receipt_in_the_same_words() {
    let mut baseline = everything();
    let marked = "fd00::1".parse::<std::net::IpAddr>().unwrap();
    for address in baseline.addresses.iter_mut().filter(|a| a.own() == marked) {
        address.stable_privacy.0 = true;
    }
    let cut = cut(&[2], Vec::new());
    let said: Vec<String> = super::super::unshown(&baseline, &cut)
        .iter()
        .map(ToString::to_string)
        .collect();
    let equals = |prefix: &str| format!("-6 {prefix}: the place of a link's route among equals");
    let mark = "inet6 fd00::1/64: its mark stable-privacy".to_owned();
    assert_eq!(said, [equals("fe80::/64"), equals("ff00::/8"), mark.clone()]);
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    let left = |now: &Snapshot| -> Vec<String> {
        let proof = receipt(&baseline, &before, now, std::slice::from_ref(&cut), &[]);
        assert!(proof.is_clean() && proof.baseline == proof.after, "{proof:#?}");
        proof.unshown.iter().map(ToString::to_string).collect()
    };
    assert_eq!(left(&now), said);
    // Where the kernel was quicker and made the address itself, it has its mark.
    for address in now.addresses.iter_mut().filter(|a| a.own() == marked) {
        address.stable_privacy.0 = true;
    }
    assert_eq!(left(&now), said[..2]);
    let untouched = super::cut(&[4], vec![]);
    assert!(
        !super::super::unshown(&baseline, &untouched)
            .iter()
            .any(|x| x.to_string() == mark)
    );
}
