//! More than one cut, and what came between them.

use super::*;

/// A host on which two cuts took a link each, and the first has ended; both cuts, and the host now.
fn first_of_two_ended() -> (Snapshot, Cut, Cut, Snapshot) {
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
    (baseline, one, two, now)
}

#[test]
fn a_route_that_lost_its_legs_to_two_cuts_comes_back_with_the_last_and_nothing_else_does() {
    let (baseline, one, two, mut now) = first_of_two_ended();
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
fn a_second_emergency_keeps_its_link_down_until_it_ends() {
    let (baseline, one, two, mut now) = first_of_two_ended();
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
fn what_came_after_the_baseline_comes_back_if_a_later_cut_takes_it() {
    let baseline = everything();
    let mut now = baseline.clone();
    let theirs = direct("10.99.0.0/16", 2);
    must(&mut now, &Change::Add(Object::Route(theirs.clone())));
    must(&mut now, &Change::Add(Object::Address(address(2, "fd99::1/64"))));
    settle(&mut now);
    let with_theirs = now.clone();
    let cut = cut(&[2], Vec::new());
    let grown = super::super::grown(&baseline, &now, &cut, &[], &[]);
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
