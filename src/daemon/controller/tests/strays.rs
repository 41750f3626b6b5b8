//! What carries our marks while no emergency is known is named, blocks nothing, and goes.

use super::{Arm, Bench, small};
use crate::api::{Grade, HostState, Readiness};
use crate::daemon::command::Command;
use crate::kernel::sim::Fault;
use crate::model::change::{Change, LinkSetting};
use crate::model::object::{Family, OUR_PROTOCOL, Route, Rule, RuleAction};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning;

/// More than the least time between two looks at an idle host.
const A_LOOK_MS: u64 = 1_001;

/// What others may do with our marks, one by one.
fn marked() -> Vec<(&'static str, Vec<Change>)> {
    let cut = super::in_force("isolate");
    let before = small();
    let is_new = |link: &u32| before.link(*link).is_none();
    let new = cut.links.iter().filter(|l| is_new(&l.index)).cloned();
    let mut gate: Vec<Change> = new.map(Object::Link).map(Change::Add).collect();
    let qdiscs = cut.qdiscs.iter().filter(|q| !before.qdiscs.contains(q)).cloned();
    gate.extend(qdiscs.map(Object::Qdisc).map(Change::Add));
    let filters = cut.filters.iter().filter(|f| !before.filters.contains(f)).cloned();
    gate.extend(filters.map(Object::Filter).map(Change::Add));
    let rule = Rule::ours(Family::V4, 16, RuleAction::Prohibit);
    let group = Change::SetLink {
        index: 2,
        name: before.link(2).unwrap().name.clone(),
        setting: LinkSetting::Group(0x5043_0000),
    };
    vec![
        ("rule", vec![Change::Add(Object::Rule(rule))]),
        ("group", vec![group]),
        ("gate", gate),
    ]
}

fn with(arm: Arm, changes: &[Change]) -> (Bench, Snapshot) {
    let mut bench = Bench::idle();
    bench.arm = arm;
    bench.restart();
    let idle = bench.kernel.state();
    bench
        .kernel
        .act(changes)
        .into_iter()
        .for_each(|done| assert!(done.is_ok()));
    assert_ne!(bench.kernel.state(), idle);
    (bench, idle)
}

#[test]
fn what_stands_of_ours_without_an_emergency_is_named_and_stops_no_declaration() {
    for (what, changes) in marked() {
        let (mut bench, _) = with(Arm::Off, &changes);
        let status = bench.status();
        assert_eq!(status.state, HostState::LeftOver, "{what}");
        assert!(!status.attention.is_empty(), "{what}");
        let readiness: Readiness = bench.ask(Command::Readiness).unwrap();
        let failed = readiness
            .findings
            .iter()
            .find(|f| f.grade == Grade::Failed && f.check == "left over");
        assert!(failed.is_some(), "{what}: {readiness:?}");
        let id = bench.declare("isolate").unwrap_or_else(|e| panic!("{what}: {e:?}")).id;
        bench.revert(&id).unwrap();
    }
}

#[test]
fn an_idle_daemon_sweeps_what_carries_our_marks_and_records_it() {
    for arm in [Arm::Off, Arm::On] {
        for (what, changes) in marked() {
            // A gate laid by hand stands in the place of an armed one.
            if (arm, what) == (Arm::On, "gate") {
                continue;
            }
            let (mut bench, idle) = with(arm, &changes);
            let recorded = bench.records().len();
            bench.controller().compare();
            bench.controller().keep_armed();
            assert_eq!(bench.kernel.state().to_string(), idle.to_string(), "{arm:?} {what}");
            assert_eq!(
                bench.records().len(),
                recorded + 1,
                "{arm:?} {what}: {:?}",
                bench.records()
            );
            let status = bench.status();
            assert_eq!(
                (status.state, status.attention),
                (HostState::Clear, vec![]),
                "{arm:?} {what}"
            );
        }
    }
}

#[test]
fn what_comes_back_or_cannot_be_removed_is_not_fought_without_end() {
    let (_, changes) = marked().remove(0);
    let (mut bench, _) = with(Arm::Off, &changes);
    bench.kernel.script(Fault::Refuse {
        change: bench.kernel.asked(),
        errno: nix::libc::EPERM,
    });
    let looks = |bench: &mut Bench, count: u32| {
        for _ in 0..count {
            bench.controller().compare();
            bench.clock.pass(A_LOOK_MS);
        }
        bench.records().iter().filter(|kind| *kind == "recovered").count()
    };
    assert_eq!(looks(&mut bench, 20), 1, "it was refused, and recorded once");
    assert_eq!(bench.status().state, HostState::LeftOver);
    assert_eq!(looks(&mut bench, 60), 2, "a minute later it is tried again");
    assert_eq!(bench.status().state, HostState::Clear);
}

#[test]
fn an_idle_host_that_is_as_it_should_be_is_not_touched_nor_read_at_every_event() {
    let mut bench = Bench::start();
    bench.controller().compare();
    let (_, changes) = marked().remove(0);
    bench
        .kernel
        .act(&changes)
        .into_iter()
        .for_each(|done| assert!(done.is_ok()));
    bench.controller().compare();
    assert_eq!(bench.kernel.sends(), 0, "the next look is due a second later");
    bench.clock.pass(A_LOOK_MS);
    bench.controller().compare();
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
}

#[test]
fn a_null_route_of_ours_goes_with_what_is_found() {
    let (_, mut changes) = marked().remove(0);
    let route = Route {
        table: 20_547,
        protocol: OUR_PROTOCOL,
        ..crate::model::fixture::direct("203.0.113.0/24", 3)
    };
    changes.push(Change::Add(Object::Route(route)));
    let (mut bench, idle) = with(Arm::Off, &changes);
    bench.controller().compare();
    assert_eq!(bench.kernel.state().to_string(), idle.to_string());
}

#[test]
fn a_local_rule_that_others_took_is_named_and_left_alone() {
    let taken = Change::Delete(Object::Rule(Rule::local(Family::V4)));
    let (mut bench, _) = with(Arm::Off, &[taken]);
    bench.controller().compare();
    let status = bench.status();
    assert_eq!(status.state, HostState::LeftOver);
    assert!(status.attention[0].contains("local"), "{:?}", status.attention);
    assert_eq!(bench.kernel.sends(), 0);
    // As hosts with VRFs have it.
    let moved = Rule {
        preference: 1_000,
        ..Rule::local(Family::V4)
    };
    assert!(bench.kernel.act(&[Change::Add(Object::Rule(moved))])[0].is_ok());
    assert_eq!(bench.status().state, HostState::Clear);
}

#[test]
fn what_is_armed_is_no_leftover() {
    let (mut bench, idle) = with(Arm::On, &marked()[0].1);
    bench.controller().compare();
    bench.controller().keep_armed();
    assert!(planning::is_armed(&idle));
    assert_eq!(bench.kernel.state().to_string(), idle.to_string());
}
