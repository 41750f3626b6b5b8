//! What `doctor` is told.

use super::{Bench, POLICIES};
use crate::api::Grade;
use crate::daemon::command::Command;
use crate::model::change::Change;
use crate::model::snapshot::Object;

#[test]
fn a_policy_without_a_plan_on_this_host_is_a_warning_that_names_it_and_is_counted() {
    let mut bench = Bench::start();
    let whole = bench.ask(Command::Readiness).unwrap();
    assert_eq!((whole.policies, whole.unplanned), (POLICIES.len(), Vec::new()));
    // Whoever removed the rule at preference 0 has left seal no place, and the other methods theirs.
    let local = bench.kernel.state().rules.into_iter().find(|r| r.preference == 0);
    let gone = Change::Delete(Object::Rule(local.unwrap()));
    assert!(bench.kernel.act(&[gone])[0].is_ok());
    let seen = bench.ask(Command::Readiness).unwrap();
    assert_eq!(
        seen.ready, whole.ready,
        "the daemon could cut by the other policies as before"
    );
    let with_seal = POLICIES.iter().filter(|p| p.1.contains("seal"));
    let mut sealed: Vec<String> = with_seal.map(|p| p.0.to_owned()).collect();
    sealed.sort_unstable();
    assert_eq!((seen.policies, seen.unplanned), (POLICIES.len(), sealed));
    let finding = seen.findings.iter().find(|f| f.check == "policy isolate").unwrap();
    assert_eq!(finding.grade, Grade::Warning);
    assert!(
        finding.seen.contains("no safe plan") && !finding.hint.is_empty(),
        "{finding:?}"
    );
}
