//! Carriers that come late or not at all, and what the kernel makes when they come.

use super::*;
use crate::model::object::{Link, Volatile};

fn link_mut(state: &mut Snapshot, index: u32) -> &mut Link {
    state.links.iter_mut().find(|l| l.index == index).unwrap()
}

fn without_carrier(state: &mut Snapshot, index: u32) {
    link_mut(state, index).carrier = Volatile(false);
}

fn made_by_kernel(state: &Snapshot, link: u32) -> Vec<Route> {
    let of_link = |r: &&Route| {
        (r.family, r.protocol, r.table, r.link) == (Family::V6, Route::PROTOCOL_KERNEL, Route::TABLE_LOCAL, Some(link))
    };
    state.routes.iter().filter(of_link).cloned().collect()
}

/// Cut and restored: the baseline, the cut, before the restore and after it.
fn restored(baseline: &Snapshot) -> (Cut, Snapshot, Snapshot) {
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let before = now.clone();
    // What needs a usable address on a link without carrier comes when it is one.
    for _ in 0..2 {
        run(&mut now, baseline, std::slice::from_ref(&cut), &[], Until::End);
    }
    (cut, before, now)
}

#[test]
fn the_carrier_of_a_link_that_came_up_is_still_to_come_if_it_had_one() {
    let baseline = everything();
    let (cut, _, mut now) = restored(&baseline);
    let to_come = |baseline: &Snapshot, now: &Snapshot| {
        restore(now, baseline, std::slice::from_ref(&cut), &[])
            .unwrap()
            .carriers
    };
    assert_eq!(to_come(&baseline, &now), [0_u32; 0]);
    without_carrier(&mut now, 2);
    without_carrier(&mut now, 3);
    assert_eq!(to_come(&baseline, &now), [2], "no cut took that of the other link");
    let mut unplugged = baseline.clone();
    without_carrier(&mut unplugged, 2);
    assert_eq!(to_come(&unplugged, &now), [0_u32; 0]);
}

#[test]
fn what_the_kernel_makes_of_addresses_of_a_link_without_carrier_is_nobodys_to_put_back() {
    for pulled in ["before the cut", "during the cut"] {
        let mut baseline = everything();
        if pulled == "before the cut" {
            without_carrier(&mut baseline, 2);
        }
        let (cut, before, mut now) = restored(&baseline);
        let made = made_by_kernel(&now, 2);
        assert!(made.len() > 2, "{made:#?}");
        now.routes.retain(|r| !made.contains(r));
        link_mut(&mut now, 2).carrier = Volatile(true);
        let proof = |now: &Snapshot| receipt(&baseline, &before, now, std::slice::from_ref(&cut), &[]);
        assert!(!proof(&now).is_clean(), "with a carrier they must be there");
        without_carrier(&mut now, 2);
        let proof = proof(&now);
        assert!(
            proof.is_clean() && proof.not_recreated.len() == made.len(),
            "{proof:#?}"
        );
        let named = crate::planning::restore::waiting_for_carriers(&baseline, &cut);
        assert_eq!(named.is_empty(), pulled == "during the cut");
    }
}

#[test]
fn a_link_local_address_that_the_kernel_made_for_a_bridge_whose_port_came_up_goes_again() {
    let mut baseline = everything();
    link_mut(&mut baseline, 2).master = Some(4);
    let (cut, before, mut now) = restored(&baseline);
    let mut made = now
        .addresses
        .iter()
        .find(|a| (a.link, a.scope) == (4, 253))
        .unwrap()
        .clone();
    made.address = "fe80::1234".parse().unwrap();
    must(&mut now, &Change::Add(Object::Address(made)));
    settle(&mut now);
    let proof = |now: &Snapshot| receipt(&baseline, &before, now, std::slice::from_ref(&cut), &[]);
    assert!(!proof(&now).is_clean());
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert_eq!(diff(&baseline, &now), []);
}

#[test]
fn addresses_that_are_all_there_in_another_order_are_put_in_order() {
    let mut baseline = everything();
    let mut own = baseline
        .addresses
        .iter()
        .find(|a| (a.link, a.scope) == (2, 253))
        .unwrap()
        .clone();
    own.address = "fe80::77".parse().unwrap();
    own.extra.clear();
    must(&mut baseline, &Change::Add(Object::Address(own)));
    settle(&mut baseline);
    let (cut, before, mut now) = restored(&baseline);
    let at = now
        .addresses
        .iter()
        .position(|a| (a.link, a.scope) == (2, 253))
        .unwrap();
    now.addresses.swap(at, at + 1);
    let proof = |now: &Snapshot| receipt(&baseline, &before, now, std::slice::from_ref(&cut), &[]);
    let left = proof(&now);
    assert!(!left.is_clean() && left.foreign.is_empty(), "{left:#?}");
    let again = receipt(&baseline, &now, &now, std::slice::from_ref(&cut), &[]);
    assert!(!again.is_clean() && again.foreign.is_empty(), "{again:#?}");
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert_eq!(diff(&baseline, &now), []);
    assert!(proof(&now).is_clean());
}

#[test]
fn a_nexthop_over_a_link_whose_carrier_was_lost_under_the_cut_waits_for_it_or_is_a_named_conflict() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let ended = std::slice::from_ref(&cut);
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    without_carrier(&mut now, 2);
    let before = now.clone();
    let adds_nexthop = |now: &Snapshot| {
        let plan = restore(now, &baseline, ended, &[]).unwrap();
        let adds = |c: &Change| matches!(c, Change::Add(Object::Nexthop(n)) if n.id == 1);
        plan.steps.iter().flat_map(|s| &s.changes).any(adds)
    };
    assert!(adds_nexthop(&now), "as long as the link is down nobody knows");
    must(&mut now, &set(2, LinkSetting::Up));
    assert!(!adds_nexthop(&now), "the kernel would refuse it");
    for _ in 0..2 {
        run(&mut now, &baseline, ended, &[], Until::End);
    }
    let waiting = restore(&now, &baseline, ended, &[]).unwrap();
    assert!(waiting.steps.is_empty() && waiting.carriers == [2], "{waiting:#?}");
    let proof = receipt(&baseline, &before, &now, ended, &[]);
    assert_eq!(proof.residues, [], "{proof:#?}");
    let named: Vec<String> = proof.conflicts.iter().map(ToString::to_string).collect();
    for lost in ["id 1 ", "id 9 ", "id 10 ", " nhid 10 "] {
        assert!(named.iter().any(|c| c.contains(lost)), "{lost}: {named:#?}");
    }
    link_mut(&mut now, 2).carrier = Volatile(true);
    for _ in 0..2 {
        run(&mut now, &baseline, ended, &[], Until::End);
    }
    assert_eq!(diff(&baseline, &now), []);
}
