//! Laws of the transition, on every subset of cuts and on every state that a crash can leave.

use proptest::prelude::*;

use super::hosts::{
    ADDITIVE, additive, armed_gateways, carry_out, enforce, gateway, gateway_with_foreign_filter, gateway_with_legs,
};
use crate::model::cut::Cut;
use crate::model::diff::diff;
use crate::model::effect::apply;
use crate::model::names::InterfaceName;
use crate::model::snapshot::Snapshot;
use crate::planning::{desired, is_our_route, steps};

fn hosts() -> Vec<Snapshot> {
    let [fitting, misfitting] = armed_gateways();
    vec![
        gateway(),
        gateway_with_legs(),
        gateway_with_foreign_filter(500),
        gateway_with_foreign_filter(8),
        fitting,
        misfitting,
    ]
}

#[test]
fn applying_twice_does_nothing_the_second_time() {
    for before in hosts() {
        for cut in additive(&before) {
            let mut state = before.clone();
            let cuts = [cut];
            assert_ne!(enforce(&mut state, &before, &cuts).unwrap(), [], "{}", cuts[0].policy);
            assert_eq!(
                steps(&state, &desired(&before, &cuts).unwrap()),
                [],
                "{}",
                cuts[0].policy
            );
        }
    }
}

#[test]
fn rules_follow_a_link_that_is_renamed() {
    let before = gateway();
    for cut in additive(&before) {
        let mut state = before.clone();
        let cuts = [cut];
        enforce(&mut state, &before, &cuts).unwrap();
        let of_the_link = |state: &Snapshot, name: &InterfaceName| {
            let rules = state.rules.iter();
            rules.filter(|r| r.iif.as_ref() == Some(name)).count()
        };
        let (old, new): (InterfaceName, InterfaceName) = ("ab0".parse().unwrap(), "new0".parse().unwrap());
        let count = of_the_link(&state, &old);
        state.links.iter_mut().find(|l| l.name == old).unwrap().name = new.clone();
        enforce(&mut state, &before, &cuts).unwrap();
        let (stale, follow) = (of_the_link(&state, &old), of_the_link(&state, &new));
        assert_eq!((stale, follow), (0, count), "{}", cuts[0].policy);
        assert_eq!(steps(&state, &desired(&before, &cuts).unwrap()), []);
    }
}

#[test]
fn ending_every_cut_leaves_exactly_the_state_before() {
    for before in hosts() {
        for cut in additive(&before) {
            let mut state = before.clone();
            let name = cut.policy.clone();
            enforce(&mut state, &before, &[cut]).unwrap();
            enforce(&mut state, &before, &[]).unwrap();
            assert_eq!(diff(&before, &state), [], "{name}");
            assert_eq!(state.to_string(), before.to_string(), "{name}");
        }
    }
}

#[test]
fn every_crash_point_leads_to_the_cut_and_back() {
    for before in hosts() {
        for cut in additive(&before) {
            let cuts = [cut];
            let wanted = desired(&before, &cuts).unwrap();
            let nothing = desired(&before, &[]).unwrap();
            let changes: Vec<_> = steps(&before, &wanted).into_iter().flat_map(|s| s.changes).collect();
            let mut crashed = before.clone();
            for change in &changes {
                assert!(apply(&mut crashed, change).is_ok());
                let mut on = crashed.clone();
                carry_out(&mut on, &steps(&crashed, &wanted));
                assert_eq!(steps(&on, &wanted), [], "{} after {change:?}", cuts[0].policy);
                let mut back = crashed.clone();
                carry_out(&mut back, &steps(&crashed, &nothing));
                assert_eq!(diff(&before, &back), [], "{} after {change:?}", cuts[0].policy);
            }
        }
    }
}

#[test]
fn any_one_object_of_ours_that_is_lost_is_put_back() {
    let [armed, _] = armed_gateways();
    for (before, cut) in [gateway(), gateway_with_legs(), armed]
        .iter()
        .flat_map(|h| additive(h).into_iter().map(move |cut| (h, cut)))
    {
        let wanted = desired(before, std::slice::from_ref(&cut)).unwrap();
        let mut state = before.clone();
        carry_out(&mut state, &steps(before, &wanted));
        for i in 0..state.rules.len() {
            let mut drifted = state.clone();
            drifted.rules.remove(i);
            let mut healed = drifted.clone();
            carry_out(&mut healed, &steps(&drifted, &wanted));
            assert_eq!(steps(&healed, &wanted), [], "{}: rule {i}", cut.policy);
        }
        let of_ours = (0..state.routes.len()).filter(|i| is_our_route(&state.routes[*i]));
        for i in of_ours {
            let mut drifted = state.clone();
            drifted.routes.remove(i);
            let mut healed = drifted.clone();
            carry_out(&mut healed, &steps(&drifted, &wanted));
            assert_eq!(healed.routes, state.routes, "{}: route {i}", cut.policy);
        }
        for i in 0..state.filters.len() {
            let mut drifted = state.clone();
            drifted.filters.remove(i);
            let mut healed = drifted.clone();
            carry_out(&mut healed, &steps(&drifted, &wanted));
            assert_eq!(healed.filters, state.filters, "{}: filter {i}", cut.policy);
        }
    }
}

proptest! {
    #[test]
    fn emergencies_that_overlap_in_any_order_end_in_the_state_before(
        order in proptest::collection::vec((0..ADDITIVE, any::<bool>()), 1..12),
        host in 0..4_usize,
    ) {
        let [fitting, misfitting] = armed_gateways();
        let before = vec![gateway(), fitting, misfitting, gateway_with_legs()].swap_remove(host);
        let all = additive(&before);
        let mut state = before.clone();
        let mut held: Vec<Cut> = Vec::new();
        for (which, begins) in order {
            let mut next: Vec<Cut> = held.iter().filter(|c| c.policy != all[which].policy).cloned().collect();
            if begins {
                next.push(all[which].clone());
            }
            if let Ok(wanted) = desired(&before, &next) {
                let path = steps(&state, &wanted);
                carry_out(&mut state, &path);
                prop_assert_eq!(steps(&state, &wanted), vec![]);
                held = next;
            }
        }
        enforce(&mut state, &before, &[]).unwrap();
        prop_assert_eq!(diff(&before, &state), vec![]);
    }
}
