//! An armed host: what stands, what a cut then needs, and that nothing is left.

use super::hosts::{
    SSH, UPLINK, WHOLE, additive, additive_policies, armed_for, armed_gateways, carry_out, cut, enforce, foreign,
    gateway, policy,
};
use crate::model::change::Change;
use crate::model::diff::diff;
use crate::model::effect::apply;
use crate::model::fixture::host;
use crate::model::object::Attach;
use crate::model::plan::Phase;
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::ours::{ARMED_PAIRS_MAX, Pair, is_our_qdisc};
use crate::planning::{Armed, armed, armed_links, check, desired, is_armed, plan, receipt, restore, steps};

fn pair(state: &Snapshot, link: u32) -> Pair {
    let qdisc = state.qdiscs.iter().find(|q| q.link == link);
    Pair::of_qdisc(qdisc.unwrap()).unwrap()
}

fn touches_qdiscs(changes: &[Change]) -> bool {
    changes
        .iter()
        .any(|c| matches!(c, Change::Add(Object::Qdisc(_)) | Change::Delete(Object::Qdisc(_))))
}

#[test]
fn arming_and_disarming_leave_exactly_the_state_before_at_every_point() {
    for before in [gateway(), super::hosts::gateway_with_foreign_filter(8)] {
        let policies = additive_policies();
        let goal = armed(&before, &policies);
        let all: Vec<Change> = goal
            .steps(&before)
            .unwrap()
            .into_iter()
            .flat_map(|s| s.changes)
            .collect();
        assert!(all.len() > 3, "{all:?}");
        let mut state = before.clone();
        for change in &all {
            assert!(apply(&mut state, change).is_ok());
            let mut on = state.clone();
            let rest = armed(&on, &policies).steps(&on).unwrap();
            carry_out(&mut on, &rest);
            assert_eq!(armed(&on, &policies).steps(&on), Ok(vec![]), "after {change:?}");
            let mut back = state.clone();
            let undo = Armed::not(&back).steps(&back).unwrap();
            carry_out(&mut back, &undo);
            assert_eq!(back.to_string(), before.to_string(), "after {change:?}");
        }
        assert!(is_armed(&state) && !is_armed(&before));
    }
}

#[test]
fn links_share_blocks_if_and_only_if_the_same_policies_gate_them() {
    let [state, _] = armed_gateways();
    // `ab0` is in the scope of the policies of the uplink, too.
    assert_ne!(pair(&state, 2), pair(&state, 3));
    assert_eq!(pair(&state, 3), pair(&state, 4));
    assert!(state.filters.is_empty(), "no filter stands before a cut");
    let names: Vec<String> = armed_links(&state).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["ab0", "ab1", "ab2"]);
}

#[test]
fn a_cut_of_an_armed_host_puts_no_qdisc_anywhere_and_flips_two_filters_for_each_pair_whatever_the_links() {
    for links in [1, 7, 40] {
        let before = host(links);
        let policies = [policy("gate-whole", WHOLE, "use = [\"gate\"]", SSH)];
        let armed = armed_for(&before, &policies);
        let cuts = [cut(&policies[0], &armed)];
        let way = steps(&armed, &desired(&armed, &cuts).unwrap());
        assert!(!way.iter().any(|s| touches_qdiscs(&s.changes)), "{way:#?}");
        let flip: Vec<_> = way.iter().filter(|s| s.phase == Phase::Flip).collect();
        assert_eq!((flip.len(), flip[0].changes.len()), (1, 2), "{flip:#?}");
        let laid: usize = way.iter().map(|s| s.changes.len()).sum();
        assert!(laid <= 14, "{laid} changes for {links} links");
        assert_eq!(check(&way, &armed, &cuts), Ok(()));
        let mut state = armed.clone();
        carry_out(&mut state, &way);
        let back = steps(&state, &desired(&armed, &[]).unwrap());
        assert!(!back.iter().any(|s| touches_qdiscs(&s.changes)), "{back:#?}");
        assert_eq!(back.iter().find(|s| s.phase == Phase::Flip).unwrap().changes.len(), 2);
        carry_out(&mut state, &back);
        assert_eq!(state.to_string(), armed.to_string());
    }
}

#[test]
fn a_plan_warns_of_the_pause_only_where_a_qdisc_comes_onto_a_link_that_is_up() {
    let warns = |state: &Snapshot| {
        let policy = policy("gate-uplink", UPLINK, "use = [\"gate\"]", SSH);
        let plan = plan(&policy, state, state, &[], &std::collections::BTreeMap::new()).unwrap();
        plan.warnings
            .iter()
            .any(|w| w.contains("the kernel drops what a link sends"))
    };
    let [fitting, misfitting] = armed_gateways();
    assert!(!warns(&fitting));
    assert!(warns(&gateway()) && warns(&misfitting));
    let mut down = gateway();
    down.links.iter_mut().find(|l| l.index == 2).unwrap().up = false;
    assert!(!warns(&down));
}

#[test]
fn a_block_that_stands_on_a_link_outside_the_cut_is_not_used() {
    let [_, misfitting] = armed_gateways();
    let shared = pair(&misfitting, 2);
    assert_eq!(shared, pair(&misfitting, 3));
    let uplink = cut(&policy("gate-uplink", UPLINK, "use = [\"gate\"]", SSH), &misfitting);
    let mut state = misfitting.clone();
    enforce(&mut state, &misfitting, std::slice::from_ref(&uplink)).unwrap();
    assert_ne!(pair(&state, 2), shared);
    assert_eq!(pair(&state, 3), shared);
    let in_use = |f: &crate::model::object::Filter| f.attach == Attach::Block(shared.ingress());
    assert!(!state.filters.iter().any(in_use));
    enforce(&mut state, &misfitting, &[]).unwrap();
    assert_eq!(state.to_string(), misfitting.to_string());
}

#[test]
fn a_cut_of_one_direction_fills_one_block_of_a_pair_that_has_both() {
    let out = &UPLINK.replace("\"in\", \"out\", \"forward\"", "\"out\"");
    let policies = [policy("gate-out", out, "use = [\"gate\"]", SSH)];
    let armed = armed_for(&gateway(), &policies);
    let mut state = armed.clone();
    let way = enforce(&mut state, &armed, &[cut(&policies[0], &armed)]).unwrap();
    assert!(!way.iter().any(|s| touches_qdiscs(&s.changes)), "{way:#?}");
    let egress = Attach::Block(pair(&armed, 2).egress());
    assert!(!state.filters.is_empty() && state.filters.iter().all(|f| f.attach == egress));
    enforce(&mut state, &armed, &[]).unwrap();
    assert_eq!(state.to_string(), armed.to_string());
}

#[test]
fn two_cuts_over_different_blocks_stand_beside_one_another_and_end_one_by_one() {
    let inside = &UPLINK.replace("ab0", "ab1");
    let policies = [
        policy("one", UPLINK, "use = [\"gate\"]", SSH),
        policy("two", inside, "use = [\"gate\", \"seal\"]", ""),
    ];
    let armed = armed_for(&gateway(), &policies);
    assert_ne!(pair(&armed, 2), pair(&armed, 3));
    let cuts: Vec<_> = policies.iter().map(|p| cut(p, &armed)).collect();
    let mut state = armed.clone();
    for held in [&cuts[..1], &cuts[..], &cuts[1..]] {
        let way = steps(&state, &desired(&armed, held).unwrap());
        assert_eq!(check(&way, &state, held), Ok(()));
        assert!(!way.iter().any(|s| touches_qdiscs(&s.changes)), "{way:#?}");
        carry_out(&mut state, &way);
    }
    let before = state.clone();
    let restoration = restore(&before, &armed, &cuts, &[]).unwrap();
    carry_out(&mut state, &restoration.steps);
    let receipt = receipt(&armed, &before, &state, &cuts, &[]);
    assert!(receipt.is_clean() && receipt.foreign.is_empty(), "{receipt:?}");
    assert_eq!(state.to_string(), armed.to_string());
}

#[test]
fn a_receipt_of_one_of_two_cuts_takes_what_is_armed_for_what_it_is() {
    for armed in armed_gateways() {
        let all = additive(&armed);
        for (ends, stays) in [(0, 1), (1, 0), (4, 2), (0, 5)] {
            let both = [all[ends].clone(), all[stays].clone()];
            let Ok(wanted) = desired(&armed, &both) else { continue };
            let mut state = armed.clone();
            carry_out(&mut state, &steps(&armed, &wanted));
            let before = state.clone();
            carry_out(
                &mut state,
                &restore(&before, &armed, &both[..1], &both[1..]).unwrap().steps,
            );
            let receipt = receipt(&armed, &before, &state, &both[..1], &both[1..]);
            assert!(receipt.is_clean() && receipt.foreign.is_empty(), "{receipt:?}");
        }
    }
}

#[test]
fn an_armed_object_that_is_missing_after_a_restore_is_residue_unless_its_link_is_gone() {
    let [armed, _] = armed_gateways();
    let cuts = [additive(&armed).remove(0)];
    let mut after = armed.clone();
    after.qdiscs.retain(|q| q.link != 3);
    assert_eq!(receipt(&armed, &armed, &after, &cuts, &[]).residues.len(), 1);
    after.qdiscs.push(foreign(3, 7).0);
    after.sort();
    assert!(receipt(&armed, &armed, &after, &cuts, &[]).is_clean());
}

#[test]
fn blocks_stay_on_their_links_when_others_come_and_go() {
    let policies = additive_policies();
    let [before, _] = armed_gateways();
    let mut now = before.clone();
    let mut new = now.link(4).unwrap().clone();
    (new.index, new.name) = (9, "new0".parse().unwrap());
    now.links.push(new);
    now.links.retain(|l| l.index != 3);
    now.qdiscs.retain(|q| q.link != 3);
    now.sort();
    let way = armed(&now, &policies).steps(&now).unwrap();
    let changes: Vec<_> = way.iter().flat_map(|s| s.changes.clone()).collect();
    assert!(
        matches!(&changes[..], [Change::Add(Object::Qdisc(q))] if q.link == 9),
        "{changes:?}"
    );
    carry_out(&mut now, &way);
    assert_eq!(pair(&now, 9), pair(&before, 4));
}

#[test]
fn what_cannot_be_armed_is_named_and_the_rest_is() {
    let nowhere = policy("nowhere", &UPLINK.replace("ab0", "zz*"), "use = [\"gate\"]", SSH);
    let mut foreigner = gateway();
    foreigner.qdiscs.push(foreign(3, 7).0);
    foreigner.sort();
    let mut policies = additive_policies();
    policies.push(nowhere);
    let goal = armed(&foreigner, &policies);
    assert_eq!(goal.links.keys().copied().collect::<Vec<_>>(), [2, 4]);
    assert!(
        matches!(&goal.left_out[..], [one] if one.contains("nowhere")),
        "{:?}",
        goal.left_out
    );
    // As many sets of links as there are links: one policy for each.
    let many = host(ARMED_PAIRS_MAX + 3);
    let names: Vec<String> = many
        .links
        .iter()
        .filter(|l| !l.is_loopback())
        .map(|l| l.name.to_string())
        .collect();
    let one_each = |name: &String| {
        policy(
            &format!("p-{name}"),
            &UPLINK.replace("ab0", name),
            "use = [\"gate\"]",
            SSH,
        )
    };
    let policies: Vec<_> = names.iter().map(one_each).collect();
    let goal = armed(&many, &policies);
    assert_eq!(goal.links.len(), usize::try_from(ARMED_PAIRS_MAX).unwrap());
    assert_eq!(goal.left_out.len(), 3);
    // Those that are left out are cut through the one pair that is left.
    let state = armed_for(&many, &policies);
    let rest = policies
        .iter()
        .map(|p| cut(p, &state))
        .find(|c| c.links.keys().all(|l| !goal.links.contains_key(l)));
    let mut cut_state = state.clone();
    enforce(&mut cut_state, &state, &[rest.unwrap()]).unwrap();
    assert_eq!(
        cut_state.qdiscs.iter().filter(|q| is_our_qdisc(q)).count(),
        goal.links.len() + 1
    );
    enforce(&mut cut_state, &state, &[]).unwrap();
    assert_eq!(diff(&state, &cut_state), []);
}

#[test]
fn policies_need_no_name_resolved_and_no_lifeline_link_to_be_armed_for() {
    let lifeline = "[[lifelines]]\nname = \"x\"\npeers = [\"nowhere.example\"]\nprotocol = \"tcp\"\n\
                    ports = [22]\ndirection = \"in\"\ninterface = \"zz0\"";
    let goal = armed(&gateway(), &[policy("named", UPLINK, "use = [\"gate\"]", lifeline)]);
    assert_eq!((goal.links.len(), goal.left_out), (1, Vec::new()));
}
