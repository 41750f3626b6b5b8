//! A lifeline that others take away, and what the policy says then.

use super::Bench;
use crate::model::change::Change;
use crate::model::object::Route;
use crate::model::snapshot::Object;

/// Longer than a route takes that is being replaced.
const A_WHILE_MS: u64 = 1_500;

/// The default routes, over which the peers of the lifeline are reached.
fn defaults(bench: &Bench) -> Vec<Route> {
    let routes = bench.baseline.routes.iter();
    routes.filter(|r| r.destination.prefix_len() == 0).cloned().collect()
}

fn somebody_takes_the_routes(bench: &Bench) {
    for route in defaults(bench) {
        assert!(bench.kernel.act(&[Change::Delete(Object::Route(route))])[0].is_ok());
    }
}

fn look(bench: &mut Bench) {
    bench.controller().look_at_lifelines();
}

fn kinds(bench: &mut Bench, of: &str) -> usize {
    bench.records().iter().filter(|kind| *kind == of).count()
}

#[test]
fn a_cut_whose_policy_says_open_ends_within_three_seconds_of_its_lifeline() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    look(&mut bench);
    somebody_takes_the_routes(&bench);
    bench.controller().compare();
    assert_eq!(bench.status().emergencies.len(), 1, "it may be coming back");
    bench.pass(A_WHILE_MS);
    look(&mut bench);
    assert_eq!(bench.records()[3..], ["lifeline-lost", "restored"]);
    assert_eq!(bench.status().lifelines_lost, Vec::<String>::new());
    let mut expected = bench.baseline.clone();
    expected.routes.retain(|r| r.destination.prefix_len() > 0);
    assert_eq!(bench.kernel.state().to_string(), expected.to_string());
}

#[test]
fn a_cut_whose_policy_says_closed_stands_and_the_loss_is_recorded_once_and_shown_until_it_is_over() {
    let mut bench = Bench::start();
    bench.declare("crash-open").unwrap();
    somebody_takes_the_routes(&bench);
    for _ in 0..3 {
        bench.controller().compare();
        bench.pass(A_WHILE_MS);
    }
    assert_eq!(kinds(&mut bench, "lifeline-lost"), 1);
    let status = bench.status();
    assert_eq!(
        (status.emergencies.len(), status.lifelines_lost.len()),
        (1, 1),
        "{status:?}"
    );
    for route in defaults(&bench) {
        assert!(bench.kernel.act(&[Change::Add(Object::Route(route))])[0].is_ok());
    }
    look(&mut bench);
    assert_eq!(bench.status().lifelines_lost, Vec::<String>::new());
}

#[test]
fn a_route_that_is_replaced_costs_no_cut() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    for _ in 0..5 {
        somebody_takes_the_routes(&bench);
        look(&mut bench);
        bench.pass(A_WHILE_MS / 3);
        for route in defaults(&bench) {
            assert!(bench.kernel.act(&[Change::Add(Object::Route(route))])[0].is_ok());
        }
        look(&mut bench);
    }
    assert_eq!(kinds(&mut bench, "lifeline-lost"), 0);
    assert_eq!(bench.status().emergencies.len(), 1);
}

#[test]
fn after_a_restart_lifelines_are_watched_again() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    bench.restart();
    somebody_takes_the_routes(&bench);
    look(&mut bench);
    bench.pass(A_WHILE_MS);
    look(&mut bench);
    assert_eq!(kinds(&mut bench, "lifeline-lost"), 1);
    assert!(bench.status().emergencies.is_empty());
}
