//! What was found by living many lives: what others change between two declarations, and faults at the worst moment.

use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc::EBUSY;

use super::{Bench, DEFAULT_MS, METHODS, Unsynced, declare, policies, policy, refused};
use crate::api::error::Code;
use crate::daemon::controller::{Arm, Controller};
use crate::daemon::guardian::Guardian;
use crate::daemon::policies::Policies;
use crate::kernel::sim::{Actor, Fault, ModelKernel};
use crate::model::change::{Change, LinkSetting};
use crate::model::effect;
use crate::model::fixture::{address, direct, leased, link, multipath, nexthop, set, sysctl, through, via};
use crate::model::object::Link;
use crate::model::snapshot::Object;
use crate::planning::tests::packets::Packet;
use crate::store::directory::StateDirectory;
use crate::store::disk::{AfterFault, FaultyDisk};
use crate::store::ratchet::Keeping;

/// A bench on which others have made these changes before anything is declared.
fn with(changes: &[Change]) -> Bench {
    let mut bench = Bench::start();
    for answer in bench.kernel.act(changes) {
        assert!(answer.is_ok());
    }
    bench.kernel.settle();
    bench.baseline = bench.kernel.state();
    bench
}

/// Others make these changes, and they are to stay.
fn others(bench: &mut Bench, changes: &[Change]) {
    for change in changes {
        assert!(bench.kernel.act(std::slice::from_ref(change))[0].is_ok());
        assert!(effect::apply(&mut bench.baseline, change).is_ok());
    }
    effect::settle(&mut bench.baseline);
}

#[track_caller]
fn end_both(bench: &mut Bench, ids: [String; 2], context: &str) {
    for id in ids {
        assert_eq!(bench.revert(&id).unwrap().residues, Vec::<String>::new(), "{context}");
    }
    assert_eq!(
        bench.kernel.state().to_string(),
        bench.baseline.to_string(),
        "{context}"
    );
}

#[test]
fn what_others_removed_or_set_down_before_a_second_cut_is_not_put_back_by_its_end() {
    let gone = Object::Route(via("10.20.0.0/16", "10.0.0.1", 2));
    let changes = [vec![Change::Delete(gone.clone())], vec![set(2, LinkSetting::Down)]];
    for theirs in changes {
        for order in [[0, 1], [1, 0]] {
            let context = format!("{theirs:?} {order:?}");
            let mut bench = with(&[Change::Add(gone.clone())]);
            let first = bench.declare("bare").unwrap().id;
            others(&mut bench, &theirs);
            let second = bench.declare("unplug").unwrap().id;
            let ids = [first, second];
            end_both(&mut bench, order.map(|i| ids[i].clone()), &context);
        }
    }
}

#[test]
fn a_link_that_others_set_down_between_three_cuts_stays_down() {
    let mut bench = Bench::start();
    let first = bench.declare("unplug").unwrap().id;
    let second = bench.declare("bare").unwrap().id;
    bench.revert(&first).unwrap();
    others(&mut bench, &[set(2, LinkSetting::Down)]);
    let third = bench.declare("unplug").unwrap().id;
    end_both(&mut bench, [third, second], "three cuts");
}

#[test]
fn a_link_that_appears_under_a_cut_of_the_whole_host_comes_back_though_nobody_saw_it_before_the_next_cut() {
    let mut bench = Bench::start();
    let first = bench.declare("unplug").unwrap().id;
    for emergency in &mut bench.controller().emergencies {
        emergency.cut.reach = crate::model::cut::Reach::WholeHost;
    }
    bench.controller().compare();
    let mut new = link(9, "ab9");
    new.kind = Some("ifb".to_owned());
    others(
        &mut bench,
        &[
            Change::Add(Object::Link(new)),
            set(9, LinkSetting::Up),
            Change::Add(Object::Address(address(9, "10.9.9.1/24"))),
        ],
    );
    let second = bench.declare("unroute").unwrap().id;
    end_both(&mut bench, [first, second], "a new link");
}

#[test]
fn a_link_that_appears_under_a_cut_of_the_whole_host_comes_back_though_another_cut_ends_before_it_is_seen() {
    let mut bench = Bench::start();
    let whole = bench.declare("unplug").unwrap().id;
    let other = bench.declare("bare").unwrap().id;
    for emergency in &mut bench.controller().emergencies {
        emergency.cut.reach = crate::model::cut::Reach::WholeHost;
    }
    bench.controller().compare();
    let new = Link {
        kind: Some("ifb".to_owned()),
        ..link(9, "ab9")
    };
    others(&mut bench, &[Change::Add(Object::Link(new)), set(9, LinkSetting::Up)]);
    bench.revert(&other).unwrap();
    assert!(bench.kernel.look(|state| state.link(9).is_some_and(|l| !l.up)));
    end_both(&mut bench, [other, whole], "a new link");
}

#[test]
fn a_nexthop_that_went_with_a_link_comes_back_under_a_seal_that_began_meanwhile() {
    let mut bench = with(&[
        Change::Add(Object::Nexthop(nexthop(7, "10.0.0.9", 2))),
        Change::Add(Object::Route(through("10.30.0.0/16", 7))),
    ]);
    let unplugged = bench.declare("unplug").unwrap().id;
    let sealed = bench.declare("bare").unwrap().id;
    end_both(&mut bench, [unplugged, sealed], "nexthop");
}

#[test]
fn gateways_behind_a_link_that_a_whole_host_cut_holds_are_kept_by_a_seal_that_begins_meanwhile() {
    let mut bench = with(&[Change::Add(Object::Nexthop(nexthop(7, "10.0.0.9", 2)))]);
    let unplugged = bench.declare("unplug").unwrap().id;
    // As after a reboot in which the link came up under another index.
    for emergency in &mut bench.controller().emergencies {
        emergency.cut.reach = crate::model::cut::Reach::WholeHost;
        emergency.cut.links.clear();
    }
    let sealed = bench.declare("bare").unwrap().id;
    end_both(&mut bench, [unplugged, sealed], "gateways");
}

/// A bench whose seal holds one leg of a route and whose `unplug` takes the other, or both.
fn two_legs(unplugged: &str) -> Bench {
    let mut bench = Bench::idle();
    let legs = multipath("10.78.0.0/16", &[("10.0.0.9", 2), ("10.1.0.9", 3)]);
    let legs_v6 = multipath("fd78::/32", &[("fd00::9", 2), ("fd01::9", 3)]);
    let routes = [legs, legs_v6].map(|route| Change::Add(Object::Route(route)));
    assert!(bench.kernel.act(&routes).iter().all(Result::is_ok));
    bench.baseline = bench.kernel.state();
    let text = |name: &str, methods: &str| policy(name, methods, "closed", "closed");
    let sealed = text("bare", "\"seal\"");
    let down = text("unplug", "\"link\"").replace("[\"ab0\"]", unplugged);
    let policies = Policies::default().with(Path::new("bare"), sealed);
    let policies = policies.and_then(|p| p.with(Path::new("unplug"), down)).unwrap();
    bench.running = Some(bench.start_under(policies, Arc::new(Unsynced)));
    bench
}

#[test]
fn a_detour_goes_with_its_seal_whatever_link_a_cut_took_meanwhile() {
    for unplugged in ["[\"ab1\"]", "[\"ab0\"]", "[\"*\"]"] {
        for begun in [["bare", "unplug"], ["unplug", "bare"]] {
            for order in [[0, 1], [1, 0]] {
                let mut bench = two_legs(unplugged);
                let ids = begun.map(|policy| bench.declare(policy).unwrap().id);
                let context = format!("{unplugged}: {begun:?}, ended {order:?}");
                end_both(&mut bench, order.map(|i| ids[i].clone()), &context);
                assert!(bench.status().emergencies.is_empty(), "{context}");
            }
        }
    }
}

#[test]
fn addresses_that_one_cut_took_keep_their_order_when_another_begins() {
    let mut bench = with(&[
        Change::SetSysctl(sysctl("net.ipv6.conf.ab0.keep_addr_on_down", "1")),
        Change::Add(Object::Address(leased(2, "fd00::77/64"))),
    ]);
    let ids = [(); 2].map(|()| bench.declare("unplug").unwrap().id);
    end_both(&mut bench, ids, "order");
}

#[test]
fn a_kernel_that_cannot_be_read_after_a_reboot_costs_no_baseline() {
    for policy in METHODS {
        for unreadable in [1, 3] {
            let mut bench = Bench::start();
            bench.declare(policy).unwrap();
            bench.kill();
            bench.clock.reboot(1_000);
            bench.kernel = ModelKernel::new(bench.baseline.clone());
            for read in 0..unreadable {
                bench.kernel.script(Fault::Unreadable { read });
            }
            bench.restart();
            assert_ne!(bench.kernel.state(), bench.baseline, "{policy}: it fails closed");
            bench.pass(DEFAULT_MS);
            bench.assert_ended(policy);
        }
    }
}

#[test]
fn a_kernel_that_stays_unreadable_after_a_reboot_lets_nothing_be_laid() {
    let mut bench = Bench::start();
    bench.declare("unplug").unwrap();
    bench.kill();
    bench.clock.reboot(1_000);
    bench.kernel = ModelKernel::new(bench.baseline.clone());
    for read in 0..100 {
        bench.kernel.script(Fault::Unreadable { read });
    }
    let directory = StateDirectory::open_on(bench.state(), Arc::new(Unsynced)).unwrap();
    let (kernel, clock) = (Box::new(bench.kernel.clone()), Box::new(bench.clock.clone()));
    let started = Controller::start(kernel, clock, directory, &Keeping::Memory, policies(), None, Arm::Off);
    assert!(started.is_err(), "whoever starts it tries again");
    assert_eq!(bench.kernel.asked(), 0);
}

#[test]
fn a_second_start_after_a_reboot_that_could_not_be_written_down_takes_no_cut_for_the_host() {
    let mut bench = Bench::start();
    bench.declare("isolate").unwrap();
    bench.kill();
    bench.clock.reboot(1_000);
    bench.kernel = ModelKernel::new(bench.baseline.clone());
    let broken = FaultyDisk::new(1, Errno::EIO, AfterFault::StaysBroken);
    bench.restart_on(Arc::new(broken));
    assert_ne!(bench.kernel.state(), bench.baseline, "it fails closed");
    bench.restart();
    bench.pass(DEFAULT_MS);
    bench.assert_ended("a second start");
}

/// Both directions of the conversation that `isolate` keeps.
fn conversation() -> [Packet; 2] {
    let packet = |over, source: &str, destination: &str, ports: (u16, u16)| Packet {
        over,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: 6,
        source_port: ports.0,
        destination_port: ports.1,
    };
    [
        packet(Some(2), "10.9.0.2", "10.0.0.2", (999, 22)),
        packet(None, "10.0.0.2", "10.9.0.2", (22, 999)),
    ]
}

#[test]
fn a_restore_of_which_the_kernel_refuses_any_change_once_drops_no_lifeline() {
    let changes = |bench: &mut Bench| {
        let id = bench.declare("isolate").unwrap().id;
        (id, bench.kernel.asked(), bench.kernel.state())
    };
    let mut whole = Bench::start();
    let (id, from, _) = changes(&mut whole);
    whole.revert(&id).unwrap();
    for change in from..whole.kernel.asked() {
        let mut bench = Bench::start();
        let (id, _, mut state) = changes(&mut bench);
        let made = bench.kernel.history().len();
        bench.kernel.script(Fault::Refuse { change, errno: EBUSY });
        assert_eq!(bench.revert(&id).unwrap().residues, Vec::<String>::new());
        for (actor, done) in bench.kernel.history().split_off(made) {
            assert_eq!(actor, Actor::Us);
            assert!(effect::apply(&mut state, &done).is_ok());
            let lost = conversation().into_iter().find(|p| !p.passes(&state));
            assert!(lost.is_none(), "change {change} refused: `{done}` drops {lost:?}");
        }
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    }
}

#[test]
fn drift_is_put_right_at_the_next_look() {
    for policy in METHODS {
        let mut bench = Bench::start();
        bench.declare(policy).unwrap();
        let cut = bench.kernel.state();
        let theirs = match policy {
            "isolate" => {
                let ours = cut
                    .rules
                    .iter()
                    .find(|r| r.protocol == crate::model::object::OUR_PROTOCOL);
                Change::Delete(Object::Rule(ours.unwrap().clone()))
            }
            "unroute" => Change::Add(Object::Route(via("0.0.0.0/0", "10.0.0.1", 2))),
            _ => set(2, LinkSetting::Up),
        };
        assert!(bench.kernel.act(&[theirs])[0].is_ok());
        assert_ne!(bench.kernel.state(), cut, "{policy}");
        bench.controller().compare();
        bench.kernel.settle();
        assert_eq!(bench.kernel.state().to_string(), cut.to_string(), "{policy}");
    }
}

#[test]
fn without_a_guardian_nothing_is_cut() {
    let bench = Bench::idle();
    let directory = StateDirectory::open_on(bench.state(), Arc::new(Unsynced)).unwrap();
    // It can be started nowhere: its directory is not there.
    let guardian = Guardian::new(Path::new("/nonexistent/portcullis"), &Keeping::Memory);
    let (kernel, clock) = (Box::new(bench.kernel.clone()), Box::new(bench.clock.clone()));
    let mut controller = Controller::start(
        kernel,
        clock,
        directory,
        &Keeping::Memory,
        policies(),
        Some(guardian),
        Arm::Off,
    )
    .unwrap();
    refused(declare(&mut controller, "isolate"), Code::NoGuardian);
    assert_eq!(bench.kernel.asked(), 0);
    assert!(!bench.holds("journal.json"));
}

#[test]
fn what_others_add_under_a_cut_stays() {
    for policy in METHODS {
        let mut bench = Bench::start();
        let id = bench.declare(policy).unwrap().id;
        others(&mut bench, &[Change::Add(Object::Route(direct("10.77.0.0/16", 3)))]);
        bench.revert(&id).unwrap();
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
    }
}
