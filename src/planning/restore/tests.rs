//! What a restore must bring back, at any point from which it starts, and what it must leave alone.

mod carriers;
mod links;
mod others;
mod overlap;
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{receipt, restore};
use crate::model::change::{Change, LinkSetting};
use crate::model::cut::{Cut, Reach};
use crate::model::diff::diff;
use crate::model::effect::{apply, settle};
use crate::model::fixture::*;
use crate::model::object::{Address, Family, Route};
use crate::model::policy::{Direction, Keep, Method};
use crate::model::receipt::Clash;
use crate::model::snapshot::{Difference, Object, Snapshot};
use crate::planning::{desired, desired_on, ours, steps};

/// Sets these links down and withdraws these routes.
fn cut(links: &[u32], withdrawn: Vec<Route>) -> Cut {
    let links: BTreeMap<_, _> = links.iter().map(|l| (*l, name(&format!("ab{}", l - 2)))).collect();
    Cut {
        policy: "test".parse().unwrap(),
        methods: BTreeSet::from([Method::Link, Method::Routes]),
        families: BTreeSet::from(Family::BOTH),
        directions: BTreeSet::from([Direction::In, Direction::Out, Direction::Forward]),
        reach: Reach::Links,
        links,
        zones: Vec::new(),
        withdrawn,
        null_prefixes: Vec::new(),
        lifelines: Vec::new(),
        next_hops: BTreeSet::new(),
        keep: Keep::default(),
    }
}

/// Carries a cut out, as the plan's steps do: routes withdrawn, links down.
fn carry_out(state: &mut Snapshot, cut: &Cut) {
    let withdrawals = cut.withdrawn.iter().cloned().map(|r| Change::Delete(Object::Route(r)));
    let downs = cut.links.keys().map(|l| set(*l, LinkSetting::Down));
    for change in withdrawals.chain(downs) {
        assert!(apply(state, &change).is_ok(), "{change:?}");
    }
}

/// Where a restore is broken off, and computed anew.
#[derive(Clone, Copy, Debug)]
enum Until {
    End,
    /// After so many steps: a step is one send, which the kernel carries out whole.
    Step(usize),
}

/// Restores as the executor does: carries out the steps, waits where it is told to, and reads again.
fn run(now: &mut Snapshot, baseline: &Snapshot, ended: &[Cut], remaining: &[Cut], until: Until) {
    let mut left = match until {
        Until::End => usize::MAX,
        Until::Step(n) => n,
    };
    let plan = restore(now, baseline, ended, remaining).unwrap();
    for (i, step) in plan.steps.iter().enumerate() {
        if plan.waits.iter().any(|w| w.before_step == i) {
            settle(now);
        }
        if left == 0 {
            return;
        }
        left -= 1;
        for change in &step.changes {
            assert!(apply(now, change).is_ok(), "{change:?} in {plan:#?}");
        }
    }
    settle(now);
}

fn everything() -> Snapshot {
    let mut state = host(3);
    for net in ["10.0.0.1/24", "10.0.0.2/24", "10.0.1.1/24"] {
        must(&mut state, &Change::Add(Object::Address(address(2, net))));
    }
    must(&mut state, &Change::Add(Object::Address(address(3, "10.0.0.7/24"))));
    must(&mut state, &Change::Add(Object::Address(address(2, "fd00::1/64"))));
    must(&mut state, &Change::Add(Object::Address(leased(2, "fd00::2/64"))));
    must(&mut state, &Change::Add(Object::Address(address(3, "fd01::1/64"))));
    settle(&mut state);
    let objects = [
        Object::Nexthop(nexthop(1, "10.0.0.254", 2)),
        Object::Nexthop(nexthop(2, "10.0.0.253", 3)),
        Object::Nexthop(group(9, &[1, 2])),
        Object::Nexthop(group(10, &[1])),
        Object::Route(via("0.0.0.0/0", "10.0.0.254", 2)),
        Object::Route(via("::/0", "fd00::fe", 2)),
        Object::Route(direct("10.77.0.0/16", 2)),
        Object::Route(direct("10.77.0.0/16", 3)),
        Object::Route(multipath("10.78.0.0/16", &[("10.0.1.254", 2), ("10.0.0.254", 3)])),
        Object::Route(through("10.79.0.0/16", 9)),
        Object::Route(through("10.80.0.0/16", 10)),
        Object::Route(Route {
            preferred_source: Some("fd00::2".parse().unwrap()),
            ..direct("fd77::/64", 3)
        }),
        Object::Route(Route {
            preferred_source: Some("fd00::1".parse().unwrap()),
            ..direct("fd78::/64", 2)
        }),
        Object::Neighbour(neighbour(2, "10.0.0.9")),
        Object::Neighbour(neighbour(2, "fd00::9")),
    ];
    for object in objects {
        must(&mut state, &Change::Add(object));
    }
    state
}
