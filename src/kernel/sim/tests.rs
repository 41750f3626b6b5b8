//! The model kernel fails where, when and how its script says, and nowhere else.

use std::thread;
use std::time::Duration;

use super::*;
use crate::model::change::LinkSetting;
use crate::model::effect::errno;
use crate::model::fixture::*;
use crate::model::object::{Family, Rule, RuleAction};
use crate::model::snapshot::Object;

const SOON: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(10);

fn rule(preference: u32) -> Change {
    Change::Add(Object::Rule(Rule::ours(Family::V4, preference, RuleAction::Blackhole)))
}

fn rules_of(kernel: &ModelKernel) -> Vec<u32> {
    let state = kernel.state();
    let ours = state.rules.iter().filter(|r| r.action == RuleAction::Blackhole);
    ours.map(|r| r.preference).collect()
}

#[test]
fn a_refused_change_has_no_effect_and_the_rest_of_the_send_is_carried_out() {
    let mut kernel = ModelKernel::new(host(1));
    kernel.script(Fault::Refuse {
        change: 1,
        errno: errno::EACCES,
    });
    let answers = kernel.apply(&[rule(10), rule(11), rule(12)]).unwrap();
    let codes: Vec<_> = answers.iter().map(|a| a.as_ref().map_err(|e| e.errno).err()).collect();
    assert_eq!(codes, [None, Some(errno::EACCES), None]);
    assert_eq!(rules_of(&kernel), [10, 12]);
    assert_eq!(kernel.faults_left(), 0);
}

#[test]
fn a_death_leaves_the_rest_executed_or_lost_as_scripted() {
    for (rest, left) in [(Rest::Executed, vec![10, 11, 12]), (Rest::Lost, vec![10, 11])] {
        let mut kernel = ModelKernel::new(host(1));
        kernel.script(Fault::Die { change: 1, rest });
        assert!(matches!(
            kernel.apply(&[rule(10), rule(11), rule(12)]),
            Err(KernelError::Scripted(_))
        ));
        assert_eq!(rules_of(&kernel), left, "{rest:?}");
        assert_eq!(
            kernel.apply(&[rule(12)]).unwrap().len(),
            1,
            "the next send finds a living socket"
        );
    }
}

#[test]
fn somebody_else_acts_before_the_send_that_the_script_names() {
    let mut kernel = ModelKernel::new(host(1));
    let theirs = vec![set(2, LinkSetting::Down)];
    kernel.script(Fault::Intrude {
        send: 1,
        changes: theirs,
    });
    kernel.apply(&[rule(10)]).unwrap();
    assert!(kernel.state().link(2).unwrap().up);
    let add = Change::Add(Object::Route(direct("10.1.0.0/16", 2)));
    let answer = kernel.apply(&[add]).unwrap().remove(0).unwrap_err();
    assert_eq!(
        (answer.errno, answer.message.as_deref()),
        (errno::ENETDOWN, Some("Device for nexthop is not up."))
    );
    assert!(answer.attempted.contains("10.1.0.0/16"), "{}", answer.attempted);
    let actors: Vec<_> = kernel.history().into_iter().map(|(actor, _)| actor).collect();
    assert_eq!(actors, [Actor::Us, Actor::Others]);
}

#[test]
fn a_watch_reports_changes_of_everybody_losses_and_nothing_else() {
    let mut kernel = ModelKernel::new(host(1));
    let mut watch = kernel.watch().unwrap();
    assert_eq!(watch.wait(Duration::ZERO).unwrap(), Seen::Nothing);
    kernel.act(&[rule(10), rule(11)]);
    assert_eq!(watch.wait(LONG).unwrap(), Seen::Changed);
    assert_eq!(watch.wait(SOON).unwrap(), Seen::Nothing);
    kernel.act(&[rule(10)]);
    assert_eq!(watch.wait(SOON).unwrap(), Seen::Nothing, "it was so already");
    kernel.lose_events();
    assert_eq!(watch.wait(LONG).unwrap(), Seen::Overrun);
    kernel.fall_silent();
    kernel.act(&[rule(12)]);
    assert_eq!(watch.wait(SOON).unwrap(), Seen::Nothing);
}

#[test]
fn a_watch_wakes_up_when_something_changes_while_it_waits() {
    let mut kernel = ModelKernel::new(host(1));
    let mut watch = kernel.watch().unwrap();
    let other = kernel.clone();
    let acting = thread::spawn(move || other.act(&[rule(10)]));
    assert_eq!(watch.wait(LONG).unwrap(), Seen::Changed);
    acting.join().unwrap();
}

#[test]
fn a_snapshot_reads_the_kinds_asked_for_and_may_fail() {
    let mut kernel = ModelKernel::new(host(1));
    kernel.script(Fault::Unreadable { read: 1 });
    let all = kernel.snapshot(Kinds::ALL).unwrap();
    assert_eq!(all, kernel.state());
    assert!(kernel.snapshot(Kinds::ALL).is_err());
    let routes = false;
    let some = kernel.snapshot(Kinds { routes, ..Kinds::ALL }).unwrap();
    assert!(some.routes.is_empty() && some.rules == all.rules);
}

#[test]
fn an_address_is_tentative_at_the_first_reading_and_usable_at_the_next() {
    let mut kernel = ModelKernel::new(host(1));
    let own = address(2, "fd00::1/64");
    kernel.act(&[Change::Add(Object::Address(own.clone()))]);
    let mut tentative = || {
        let state = kernel.snapshot(Kinds::ALL).unwrap();
        state
            .addresses
            .iter()
            .find(|a| a.own() == own.own())
            .unwrap()
            .tentative
            .0
    };
    assert!(tentative() && !tentative());
}
