//! What is ours is told from the host by its marks alone.

use super::hosts::{additive, gateway};
use crate::model::effect::apply;
use crate::planning::ours::is_local_rule;
use crate::planning::{desired, steps, without_ours};

#[test]
fn an_additive_cut_is_told_from_the_host_by_its_marks_alone() {
    let baseline = gateway();
    for cut in additive(&baseline) {
        let mut now = baseline.clone();
        let wanted = desired(&baseline, std::slice::from_ref(&cut)).unwrap();
        for change in steps(&now, &wanted).iter().flat_map(|s| &s.changes) {
            assert!(apply(&mut now, change).is_ok(), "{change:?}");
        }
        assert_ne!(now, baseline);
        assert_eq!(
            without_ours(&now, &[]).to_string(),
            baseline.to_string(),
            "{}",
            cut.policy
        );
    }
    assert_eq!(without_ours(&baseline, &[]), baseline);
}

#[test]
fn a_local_rule_that_others_took_away_does_not_come_back() {
    let mut now = gateway();
    now.rules.retain(|r| !is_local_rule(r));
    assert_eq!(without_ours(&now, &[]), now);
}
