//! Whatever is cut on whatever host, and wherever it is broken off.

use super::*;

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

/// Lays cuts on a host, as the daemon does.
fn lay(now: &mut Snapshot, baseline: &Snapshot, cuts: &[Cut]) {
    let wanted = desired_on(baseline, now, cuts).unwrap();
    for change in steps(now, &wanted).iter().flat_map(|s| &s.changes) {
        assert!(apply(now, change).is_ok(), "{change}");
    }
    settle(now);
}

/// Every difference from the baseline that was not named before the cut.
fn unexpected(baseline: &Snapshot, before: &Snapshot, now: &Snapshot, cuts: &[Cut]) -> Vec<String> {
    let proof = receipt(baseline, before, now, cuts, &[]);
    let named: Vec<Object> = cuts
        .iter()
        .flat_map(|c| super::super::not_recreatable(baseline, c))
        .collect();
    let competes = |a: &Object, b: &Object| match (a, b) {
        (Object::Route(a), Object::Route(b)) => super::super::lost::by_route_key(a, b).is_eq(),
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
    fn two_cuts_by_any_method_end_in_any_order_and_leave_nothing_of_ours(
        baseline in small_host(), split in any::<bool>(), picks in prop::array::uniform2(any_whole_cut()), swapped in any::<bool>(),
    ) {
        let mut baseline = baseline;
        if split {
            // A seal on one side has to go around it, over a link that the other cut may set down.
            let over_both = multipath("10.78.0.0/16", &[("10.0.1.254", 2), ("10.0.0.254", 3)]);
            prop_assume!(apply(&mut baseline, &Change::Add(Object::Route(over_both))).is_ok());
            baseline.sort();
        }
        let mut cuts = picks.map(|(links, mask, methods)| Cut { methods, ..cut_of(&baseline, &(links, mask)) });
        prop_assume!(desired(&baseline, &cuts).is_ok());
        let mut now = baseline.clone();
        lay(&mut now, &baseline, &cuts[..1]);
        let known = super::super::grown(&baseline, &now, &cuts[1], &cuts[..1], &[]);
        lay(&mut now, &known, &cuts);
        if swapped {
            cuts.reverse();
        }
        for ended in 1..=2 {
            let before = now.clone();
            let (ended, remaining) = cuts.split_at(ended);
            run(&mut now, &known, ended, remaining, Until::End);
            run(&mut now, &known, ended, remaining, Until::End);
            let residues = receipt(&known, &before, &now, ended, remaining).residues;
            let residues: Vec<String> = residues.iter().map(ToString::to_string).collect();
            prop_assert_eq!(residues, Vec::<String>::new());
        }
        let ours: Vec<&Route> = now.routes.iter().filter(|r| ours::is_our_route(r)).collect();
        prop_assert_eq!(ours, Vec::<&Route>::new());
        prop_assert!(restore(&now, &known, &cuts, &[]).unwrap().is_complete());
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
