//! What a restore must bring back, at any point from which it starts, and what it must leave alone.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{receipt, restore};
use crate::model::change::{Change, LinkSetting};
use crate::model::cut::{Cut, Reach};
use crate::model::diff::diff;
use crate::model::effect::{apply, settle};
use crate::model::fixture::*;
use crate::model::object::{Address, Family, Route};
use crate::model::policy::{Direction, Keep, Method};
use crate::model::receipt::Clash;
use crate::model::snapshot::{Difference, Object, Snapshot};
use crate::planning::{desired, ours, steps};

/// Sets these links down and withdraws these routes.
fn cut(links: &[u32], withdrawn: Vec<Route>) -> Cut {
    let links: BTreeMap<_, _> = links.iter().map(|l| (*l, name(&format!("ab{}", l - 2)))).collect();
    Cut {
        policy: "test".parse().unwrap(),
        methods: BTreeSet::from([Method::Link, Method::Routes]),
        families: BTreeSet::from(Family::BOTH),
        directions: BTreeSet::from([Direction::In, Direction::Out, Direction::Forward]),
        reach: Reach::Links,
        links,
        zones: Vec::new(),
        withdrawn,
        null_prefixes: Vec::new(),
        lifelines: Vec::new(),
        next_hops: BTreeSet::new(),
        keep: Keep::default(),
    }
}

/// Carries a cut out, as the plan's steps do: routes withdrawn, links down.
fn carry_out(state: &mut Snapshot, cut: &Cut) {
    let withdrawals = cut.withdrawn.iter().cloned().map(|r| Change::Delete(Object::Route(r)));
    let downs = cut.links.keys().map(|l| set(*l, LinkSetting::Down));
    for change in withdrawals.chain(downs) {
        assert!(apply(state, &change).is_ok(), "{change:?}");
    }
}

/// Where a restore is broken off, and computed anew.
#[derive(Clone, Copy, Debug)]
enum Until {
    End,
    /// After so many steps: a step is one send, which the kernel carries out whole.
    Step(usize),
}

/// Restores as the executor does: carries out the steps, waits where it is told to, and reads again.
fn run(now: &mut Snapshot, baseline: &Snapshot, ended: &[Cut], remaining: &[Cut], until: Until) {
    let mut left = match until {
        Until::End => usize::MAX,
        Until::Step(n) => n,
    };
    let plan = restore(now, baseline, ended, remaining).unwrap();
    for (i, step) in plan.steps.iter().enumerate() {
        if plan.waits.iter().any(|w| w.before_step == i) {
            settle(now);
        }
        if left == 0 {
            return;
        }
        left -= 1;
        for change in &step.changes {
            assert!(apply(now, change).is_ok(), "{change:?} in {plan:#?}");
        }
    }
    settle(now);
}

fn everything() -> Snapshot {
    let mut state = host(3);
    for net in ["10.0.0.1/24", "10.0.0.2/24", "10.0.1.1/24"] {
        must(&mut state, &Change::Add(Object::Address(address(2, net))));
    }
    must(&mut state, &Change::Add(Object::Address(address(3, "10.0.0.7/24"))));
    must(&mut state, &Change::Add(Object::Address(address(2, "fd00::1/64"))));
    must(&mut state, &Change::Add(Object::Address(leased(2, "fd00::2/64"))));
    must(&mut state, &Change::Add(Object::Address(address(3, "fd01::1/64"))));
    settle(&mut state);
    let objects = [
        Object::Nexthop(nexthop(1, "10.0.0.254", 2)),
        Object::Nexthop(nexthop(2, "10.0.0.253", 3)),
        Object::Nexthop(group(9, &[1, 2])),
        Object::Nexthop(group(10, &[1])),
        Object::Route(via("0.0.0.0/0", "10.0.0.254", 2)),
        Object::Route(via("::/0", "fd00::fe", 2)),
        Object::Route(direct("10.77.0.0/16", 2)),
        Object::Route(direct("10.77.0.0/16", 3)),
        Object::Route(multipath("10.78.0.0/16", &[("10.0.1.254", 2), ("10.0.0.254", 3)])),
        Object::Route(through("10.79.0.0/16", 9)),
        Object::Route(through("10.80.0.0/16", 10)),
        Object::Route(Route {
            preferred_source: Some("fd00::2".parse().unwrap()),
            ..direct("fd77::/64", 3)
        }),
        Object::Route(Route {
            preferred_source: Some("fd00::1".parse().unwrap()),
            ..direct("fd78::/64", 2)
        }),
        Object::Neighbour(neighbour(2, "10.0.0.9")),
        Object::Neighbour(neighbour(2, "fd00::9")),
    ];
    for object in objects {
        must(&mut state, &Change::Add(object));
    }
    state
}

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
fn what_the_kernel_gives_our_link_is_nobody_elses_while_another_cut_remains() {
    let baseline = everything();
    let mut now = baseline.clone();
    now.links.push(ours::ifb());
    now.sysctls.push(sysctl("net.ipv4.conf.portcullis0.rp_filter", "0"));
    now.sysctls.push(sysctl("net.ipv6.conf.portcullis0.accept_dad", "-1"));
    now.sort();
    let gate = Cut {
        methods: BTreeSet::from([Method::Gate]),
        ..cut(&[2], Vec::new())
    };
    let (ended, remaining) = (std::slice::from_ref(&gate), std::slice::from_ref(&gate));
    let proof = receipt(&baseline, &now, &now, ended, remaining);
    assert_eq!((&proof.foreign[..], &proof.residues[..]), (&[][..], &[][..]));
    now.sysctls.push(sysctl("net.ipv4.conf.portcullis1.rp_filter", "0"));
    now.sort();
    let proof = receipt(&baseline, &now, &now, ended, remaining);
    assert_eq!(proof.foreign.len(), 1, "{proof:#?}");
}

#[test]
fn a_route_that_the_kernel_makes_of_an_address_is_not_named_beside_it() {
    let baseline = everything();
    let mut now = baseline.clone();
    must(&mut now, &Change::Add(Object::Address(address(3, "fd99::1/64"))));
    settle(&mut now);
    assert!(now.routes.len() > baseline.routes.len(), "the address has routes");
    let nothing = cut(&[], Vec::new());
    let proof = receipt(&baseline, &now, &now, std::slice::from_ref(&nothing), &[]);
    assert!(
        matches!(proof.foreign[..], [Difference::Extra(Object::Address(_))]),
        "{proof:#?}"
    );
    // The other way round the address was removed, and a route of an address that is there is somebody's doing.
    let proof = receipt(&now, &baseline, &baseline, std::slice::from_ref(&nothing), &[]);
    assert!(
        matches!(proof.foreign[..], [Difference::Missing(Object::Address(_))]),
        "{proof:#?}"
    );
    let mut robbed = baseline.clone();
    robbed
        .routes
        .retain(|r| r.protocol != Route::PROTOCOL_KERNEL || r.destination.to_string() != "fd01::/64");
    let proof = receipt(&baseline, &robbed, &robbed, &[nothing], &[]);
    assert!(
        matches!(proof.foreign[..], [Difference::Missing(Object::Route(_))]),
        "{proof:#?}"
    );
}

#[test]
fn a_route_that_lost_its_legs_to_two_cuts_comes_back_with_the_last_and_nothing_else_does() {
    let baseline = everything();
    let (one, two) = (cut(&[2], Vec::new()), cut(&[3], Vec::new()));
    let mut now = baseline.clone();
    carry_out(&mut now, &one);
    carry_out(&mut now, &two);
    run(
        &mut now,
        &baseline,
        std::slice::from_ref(&one),
        std::slice::from_ref(&two),
        Until::End,
    );
    must(&mut now, &Change::Delete(Object::Address(address(2, "fd00::1/64"))));
    down(&mut now, 4);
    run(&mut now, &baseline, &[one, two], &[], Until::End);
    let multipath = |s: &Snapshot| s.routes.iter().find(|r| !r.hops.is_empty()).cloned();
    assert_eq!(multipath(&now), multipath(&baseline));
    assert!(!now.link(4).unwrap().up, "somebody else set it down");
    assert!(
        !now.addresses.iter().any(|a| a.own().to_string() == "fd00::1"),
        "somebody else removed it"
    );
}

#[test]
fn what_came_after_the_baseline_comes_back_if_a_later_cut_takes_it() {
    let baseline = everything();
    let mut now = baseline.clone();
    let theirs = direct("10.99.0.0/16", 2);
    must(&mut now, &Change::Add(Object::Route(theirs.clone())));
    must(&mut now, &Change::Add(Object::Address(address(2, "fd99::1/64"))));
    settle(&mut now);
    let with_theirs = now.clone();
    let cut = cut(&[2], Vec::new());
    let grown = super::grown(&baseline, &now, &cut, &[], &[]);
    carry_out(&mut now, &cut);
    run(&mut now, &grown, &[cut], &[], Until::End);
    assert_eq!(diff(&with_theirs, &now), []);
}

#[test]
fn a_route_beside_a_withdrawn_one_is_not_withdrawn_with_it() {
    let baseline = everything();
    let withdrawn = direct("10.77.0.0/16", 2);
    let cut = Cut {
        methods: BTreeSet::from([Method::Routes]),
        ..cut(&[], vec![withdrawn.clone()])
    };
    let desired = crate::planning::desired(&baseline, &[cut]).unwrap();
    let steps = crate::planning::steps(&baseline, &desired);
    let changes: Vec<Change> = steps.into_iter().flat_map(|s| s.changes).collect();
    assert_eq!(changes, [Change::Delete(Object::Route(withdrawn))]);
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
fn a_second_emergency_keeps_its_link_down_until_it_ends() {
    let baseline = everything();
    let (one, two) = (cut(&[2], Vec::new()), cut(&[3], Vec::new()));
    let mut now = baseline.clone();
    carry_out(&mut now, &one);
    carry_out(&mut now, &two);
    run(
        &mut now,
        &baseline,
        std::slice::from_ref(&one),
        std::slice::from_ref(&two),
        Until::End,
    );
    assert!(now.link(2).unwrap().up && !now.link(3).unwrap().up);
    let proof = receipt(
        &baseline,
        &now,
        &now,
        std::slice::from_ref(&one),
        std::slice::from_ref(&two),
    );
    assert!(proof.is_clean(), "{proof:#?}");
    run(&mut now, &baseline, &[one, two], &[], Until::End);
    assert_eq!(diff(&baseline, &now), []);
}

#[test]
fn an_address_that_somebody_removed_meanwhile_stays_removed_and_what_needs_it_is_named() {
    let mut baseline = host(2);
    must(&mut baseline, &Change::Add(Object::Address(address(2, "10.0.0.1/24"))));
    must(&mut baseline, &Change::Add(Object::Address(address(2, "10.0.5.1/24"))));
    let default = via("0.0.0.0/0", "10.0.0.254", 2);
    must(&mut baseline, &Change::Add(Object::Route(default.clone())));
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    must(&mut now, &Change::Delete(Object::Address(address(2, "10.0.0.1/24"))));
    let before = now.clone();
    let plan = restore(&now, &baseline, std::slice::from_ref(&cut), &[]).unwrap();
    let named: Vec<_> = plan.conflicts.iter().map(|c| (&c.object, &c.why)).collect();
    assert_eq!(
        named,
        [(&Object::Route(default), &Clash::NeedsWhatIsGone { errno: 101 })]
    );
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert!(!now.addresses.iter().any(|a| a.own() == address(2, "10.0.0.1/24").own()));
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(
        proof.is_clean() && proof.conflicts.len() == 1 && !proof.foreign.is_empty(),
        "{proof:#?}"
    );
}

#[test]
fn what_somebody_put_in_the_place_of_a_lost_object_is_kept_and_named() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let mut theirs = neighbour(2, "10.0.0.9");
    theirs.mac = vec![2, 0, 0, 0, 9, 9];
    must(&mut now, &Change::Add(Object::Neighbour(theirs.clone())));
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert!(now.neighbours.contains(&theirs));
    let proof = receipt(&baseline, &now, &now, &[cut], &[]);
    let now_theirs = Clash::ChangedByOthers {
        now: Object::Neighbour(theirs),
    };
    assert!(
        proof.is_clean() && proof.conflicts.iter().any(|c| c.why == now_theirs),
        "{proof:#?}"
    );
}

#[test]
fn a_link_that_is_gone_is_named_and_the_rest_comes_back() {
    let baseline = everything();
    let cut = cut(&[2, 3], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    must(&mut now, &Change::Delete(Object::Link(link(3, "ab1"))));
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert!(now.routes.contains(&via("0.0.0.0/0", "10.0.0.254", 2)));
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(proof.is_clean(), "{proof:#?}");
    assert!(proof.conflicts.iter().any(|c| c.why == Clash::LinkGone { index: 3 }));
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
    let named = super::not_recreatable(&baseline, &cut);
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
fn a_daemons_route_that_came_back_with_another_nexthop_is_left_alone() {
    const ZEBRA: u8 = 11;
    let mut baseline = host(2);
    must(&mut baseline, &Change::Add(Object::Address(address(2, "10.0.0.1/24"))));
    let of_daemon = |id: u32| {
        let mut object = nexthop(id, "10.0.0.254", 2);
        object.protocol = ZEBRA;
        let route = Route {
            protocol: ZEBRA,
            ..through("10.70.0.0/16", id)
        };
        [Object::Nexthop(object), Object::Route(route)]
    };
    for object in of_daemon(4) {
        must(&mut baseline, &Change::Add(object));
    }
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    up(&mut now, 2);
    for object in of_daemon(10) {
        must(&mut now, &Change::Add(object));
    }
    settle(&mut now);
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert_eq!(diff(&before, &now), []);
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(proof.is_clean() && proof.not_recreated.len() == 4, "{proof:#?}");
}

/// A cut by any of the methods, without lifelines.
fn any_whole_cut() -> impl Strategy<Value = (Vec<u32>, Vec<bool>, BTreeSet<Method>)> {
    let methods = [Method::Gate, Method::Seal, Method::Routes, Method::Link];
    let some = prop::sample::subsequence(methods.to_vec(), 1..=4);
    (any_cut(), some).prop_map(|((links, mask), methods)| (links, mask, methods.into_iter().collect()))
}

fn any_cut() -> impl Strategy<Value = (Vec<u32>, Vec<bool>)> {
    let links = prop::sample::subsequence(vec![2, 3, 4], 0..=3);
    (links, prop::collection::vec(any::<bool>(), 12))
}

/// Withdraws the static routes that the mask picks.
fn cut_of(baseline: &Snapshot, (links, mask): &(Vec<u32>, Vec<bool>)) -> Cut {
    let fixed = baseline.routes.iter().filter(|r| r.protocol == 4);
    let picked = fixed.zip(mask.iter().cycle()).filter(|(_, pick)| **pick);
    cut(links, picked.map(|(r, _)| r.clone()).collect())
}

/// Every difference from the baseline that was not named before the cut.
fn unexpected(baseline: &Snapshot, before: &Snapshot, now: &Snapshot, cuts: &[Cut]) -> Vec<String> {
    let proof = receipt(baseline, before, now, cuts, &[]);
    let named: Vec<Object> = cuts.iter().flat_map(|c| super::not_recreatable(baseline, c)).collect();
    let competes = |a: &Object, b: &Object| match (a, b) {
        (Object::Route(a), Object::Route(b)) => super::lost::by_route_key(a, b).is_eq(),
        _ => a == b,
    };
    let is_named = |d: &Difference| match d {
        Difference::Missing(o) | Difference::Extra(o) | Difference::Changed { before: o, .. } => {
            named.iter().any(|n| competes(n, o))
        }
    };
    let other = proof.not_recreated.iter().filter(|d| !is_named(d));
    let wrong = proof
        .residues
        .iter()
        .chain(&proof.foreign)
        .chain(other)
        .map(ToString::to_string);
    wrong.chain(proof.conflicts.iter().map(ToString::to_string)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_cut_the_restore_leads_back_to_the_baseline(baseline in small_host(), picks in any_cut()) {
        let cut = cut_of(&baseline, &picks);
        let mut now = baseline.clone();
        carry_out(&mut now, &cut);
        let before = now.clone();
        run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
        prop_assert_eq!(unexpected(&baseline, &before, &now, std::slice::from_ref(&cut)), Vec::<String>::new());
        let again = restore(&now, &baseline, &[cut], &[]).unwrap();
        prop_assert!(again.is_complete(), "{:#?}", again);
    }

    #[test]
    fn a_restore_that_is_broken_off_anywhere_is_taken_up_again(
        baseline in small_host(), picks in any_cut(), stops in prop::collection::vec(0..12usize, 1..4), settled in any::<bool>(),
    ) {
        let cut = cut_of(&baseline, &picks);
        let mut now = baseline.clone();
        carry_out(&mut now, &cut);
        let before = now.clone();
        for stop in stops {
            run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::Step(stop));
            if settled {
                settle(&mut now);
            }
        }
        run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
        run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
        prop_assert_eq!(unexpected(&baseline, &before, &now, &[cut]), Vec::<String>::new());
    }

    #[test]
    fn a_cut_that_was_broken_off_anywhere_is_taken_back(
        baseline in small_host(), (links, mask, methods) in any_whole_cut(), reach in any::<bool>(), stop in 0..40usize,
        stops in prop::collection::vec(0..8usize, 0..3),
    ) {
        let reach = if reach { Reach::WholeHost } else { Reach::Links };
        let cut = Cut { methods, reach, ..cut_of(&baseline, &(links, mask)) };
        let wanted = desired(&baseline, std::slice::from_ref(&cut));
        prop_assume!(wanted.is_ok());
        let mut now = baseline.clone();
        for change in steps(&now, &wanted.unwrap()).iter().flat_map(|s| &s.changes).take(stop) {
            prop_assert!(apply(&mut now, change).is_ok(), "{}", change);
        }
        let before = now.clone();
        for stop in stops {
            run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::Step(stop));
        }
        run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
        run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
        prop_assert_eq!(unexpected(&baseline, &before, &now, std::slice::from_ref(&cut)), Vec::<String>::new());
        let again = restore(&now, &baseline, &[cut], &[]).unwrap();
        prop_assert!(again.is_complete(), "{:#?}", again);
    }

    #[test]
    fn two_cuts_end_in_any_order(baseline in small_host(), first in any_cut(), second in any_cut()) {
        let cuts = [cut_of(&baseline, &first), cut_of(&baseline, &second)];
        let mut now = baseline.clone();
        carry_out(&mut now, &cuts[0]);
        carry_out(&mut now, &cuts[1]);
        run(&mut now, &baseline, &cuts[..1], &cuts[1..], Until::End);
        for link in cuts[1].links.keys() {
            prop_assert!(!now.link(*link).unwrap().up);
        }
        let before = now.clone();
        run(&mut now, &baseline, &cuts, &[], Until::End);
        prop_assert_eq!(unexpected(&baseline, &before, &now, &cuts), Vec::<String>::new());
    }

    #[test]
    fn what_others_add_meanwhile_is_kept(
        baseline in small_host(), picks in any_cut(), theirs in prop::collection::vec(any_change(), 0..6),
    ) {
        let cut = cut_of(&baseline, &picks);
        let mut now = baseline.clone();
        carry_out(&mut now, &cut);
        for change in &theirs {
            if apply(&mut now, change).is_err() {
                continue;
            }
        }
        settle(&mut now);
        let before = now.clone();
        let plan = restore(&now, &baseline, std::slice::from_ref(&cut), &[]).unwrap();
        for step in &plan.steps {
            for change in &step.changes {
                prop_assert!(apply(&mut now, change).is_ok() || !plan.waits.is_empty(), "{:?}", change);
            }
            settle(&mut now);
        }
        for object in before.objects() {
            let kept = match &object {
                Object::Link(_) | Object::Nexthop(_) | Object::Sysctl(_) => true,
                Object::Address(_)
                | Object::Route(_)
                | Object::Rule(_)
                | Object::Neighbour(_)
                | Object::Qdisc(_)
                | Object::Filter(_) => now.objects().any(|o| o == object),
            };
            prop_assert!(kept, "{:?} was there before the restore", object);
        }
        let proof = receipt(&baseline, &before, &now, &[cut], &[]);
        let residues: Vec<String> = proof.residues.iter().map(ToString::to_string).collect();
        prop_assert_eq!(residues, Vec::<String>::new());
    }
}
