//! Plans as an operator reads them, held against files beside these tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::hosts::{DNS, SSH, THROUGH, UPLINK, WHOLE, ZONES, gateway, gateway_with_foreign_filter, policy};
use crate::model::change::Change;
use crate::model::object::Rule;
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::snapshot::{Object, Snapshot};
use crate::model::text::LinkNames;
use crate::planning::plan;

/// The rules that a plan adds.
pub(super) fn added_rules(plan: &Plan) -> Vec<Rule> {
    let changes = plan.steps.iter().flat_map(|s| &s.changes);
    let rules = changes.filter_map(|c| match c {
        Change::Add(Object::Rule(rule)) => Some(rule.clone()),
        Change::Add(_) | Change::Delete(_) | Change::SetLink { .. } | Change::SetSysctl(_) => None,
    });
    rules.collect()
}

fn text(policy: &Policy, host: &Snapshot) -> String {
    let plan = plan(policy, host, host, &[], &BTreeMap::new()).unwrap();
    let names = LinkNames::of(host);
    let mut text = String::new();
    for step in &plan.steps {
        writeln!(text, "{:?}: {}", step.phase, step.summary).unwrap();
        for change in &step.changes {
            writeln!(text, "    {}", names.change(change)).unwrap();
        }
    }
    for row in &plan.coverage.rows {
        writeln!(text, "{:?} {:?} {}", row.fate, row.traffic, row.note).unwrap();
    }
    for kept in &plan.kept {
        writeln!(text, "kept {}: {}", kept.lifeline, kept.by.join(" | ")).unwrap();
    }
    for lost in &plan.not_recreatable {
        writeln!(text, "not recreatable: {lost}").unwrap();
    }
    for warning in &plan.warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    text
}

#[test]
fn gate_of_a_link() {
    insta::assert_snapshot!(text(&policy("a", UPLINK, "use = [\"gate\"]", SSH), &gateway()));
}

#[test]
fn gate_in_front_of_a_foreign_filter() {
    let host = gateway_with_foreign_filter(7);
    insta::assert_snapshot!(text(&policy("a", WHOLE, "use = [\"gate\"]", ""), &host));
}

#[test]
fn gate_and_seal_of_a_whole_host() {
    let keep = "[keep]\ndhcp = true\nrouter-advertisements = true";
    let rest = format!("{SSH}\n{DNS}\n{THROUGH}\n{keep}");
    insta::assert_snapshot!(text(
        &policy("a", WHOLE, "use = [\"gate\", \"seal\"]", &rest),
        &gateway()
    ));
}

#[test]
fn seal_of_a_link() {
    insta::assert_snapshot!(text(&policy("a", UPLINK, "use = [\"seal\"]", ""), &gateway()));
}

#[test]
fn zones_kept_apart() {
    insta::assert_snapshot!(text(&policy("a", ZONES, "use = [\"seal\"]", ""), &gateway()));
}

#[test]
fn routes_withdrawn_and_nulled() {
    let methods = "use = [\"routes\"]\n[methods.routes]\nwithdraw-default = true\nnull-prefixes = [\"10.1.0.0/16\"]";
    let scope = UPLINK.replace("\"in\", ", "");
    let inside = SSH
        .replace("\"10.9.0.2\", \"fd09::2\"", "\"10.1.0.7\"")
        .replace("\"in\"", "\"out\"");
    insta::assert_snapshot!(text(&policy("a", &scope, methods, &inside), &gateway()));
}

#[test]
fn a_link_down() {
    insta::assert_snapshot!(text(&policy("a", UPLINK, "use = [\"link\"]", ""), &gateway()));
}
