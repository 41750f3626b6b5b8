//! A closed cut over a reboot, with the daemon there before the network: what the host makes later is cut when it comes,
//! and is the host's own when the cut ends.

use super::{Bench, DEFAULT_MS, METHODS, in_force};
use crate::api::HostState;
use crate::kernel::sim::ModelKernel;
use crate::model::change::{Change, LinkSetting};
use crate::model::fixture::name;
use crate::model::snapshot::{Object, Snapshot};

/// The host before anything configured it: its links are there and down.
fn bare(host: &Snapshot) -> Snapshot {
    let mut bare = host.clone();
    for link in bare.links.iter_mut().filter(|l| !l.is_loopback()) {
        link.up = false;
        link.carrier = crate::model::object::Volatile(false);
    }
    bare.addresses
        .retain(|a| host.link(a.link).is_some_and(crate::model::object::Link::is_loopback));
    bare.routes.retain(|r| {
        r.links()
            .all(|i| host.link(i).is_some_and(crate::model::object::Link::is_loopback))
    });
    bare.neighbours.clear();
    bare.sort();
    bare
}

/// What configures the host, as its network manager would: links up, then addresses and routes. What the kernel refuses
/// under the cut is left out, as a network manager would have to.
fn configure(bench: &mut Bench) {
    let host = bench.baseline.clone();
    let up = |index| Change::SetLink {
        index,
        name: host.link(index).unwrap().name.clone(),
        setting: LinkSetting::Up,
    };
    let addresses = host.addresses.iter().filter(|a| a.link != 1);
    let addresses = addresses.map(|a| Change::Add(Object::Address(a.clone())));
    let routes = host.routes.iter().filter(|r| r.gateway.is_some());
    let routes = routes.map(|r| Change::Add(Object::Route(r.clone())));
    for change in [up(2), up(3)].into_iter().chain(addresses) {
        bench.kernel.act(&[change]).pop();
    }
    bench.kernel.settle();
    for change in routes {
        bench.kernel.act(&[change]).pop();
    }
}

/// Reboots with a daemon that is there before the network.
fn early(policy: &str) -> Bench {
    let mut bench = Bench::start();
    bench.declare(policy).unwrap();
    bench.kill();
    bench.clock.reboot(1_000);
    bench.kernel = ModelKernel::new(bare(&bench.baseline));
    bench.restart();
    bench
}

#[test]
fn what_a_host_makes_after_an_early_start_is_cut_and_is_there_when_the_cut_ends() {
    for policy in METHODS {
        let mut bench = early(policy);
        assert_eq!(bench.status().emergencies.len(), 1, "{policy}");
        configure(&mut bench);
        bench.controller().compare();
        assert_eq!(bench.status().state, HostState::InForce, "{policy}");
        if policy == "isolate" {
            assert_eq!(bench.kernel.state().to_string(), in_force(policy).to_string());
        } else {
            assert_ne!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
        }
        bench.pass(DEFAULT_MS);
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
        bench.assert_ended(policy);
    }
}

#[test]
fn a_listed_link_that_is_made_after_the_start_is_cut_under_its_new_index() {
    for policy in METHODS {
        let mut bench = Bench::start();
        bench.declare(policy).unwrap();
        bench.kill();
        bench.clock.reboot(1_000);
        // The link of the policy is not there, and another has its index.
        let mut host = bare(&bench.baseline);
        let at = host.links.iter().position(|l| l.index == 2).unwrap();
        let mut late = host.links[at].clone();
        host.links[at].name = name("other");
        host.links[at].mac = vec![2, 0, 0, 0, 0, 99];
        let before = host.to_string();
        bench.kernel = ModelKernel::new(host.clone());
        bench.restart();
        assert_eq!(bench.status().emergencies.len(), 1, "{policy}: it waits for the link");
        assert!(
            bench.kernel.state().qdiscs.iter().all(|q| q.link != 2),
            "{policy}: the other link is left alone"
        );
        late.index = 9;
        late.up = true;
        late.mac = vec![2, 0, 0, 0, 0, 9];
        let mut now = bench.kernel.state();
        now.links.push(late.clone());
        now.sort();
        bench.kill();
        bench.kernel = ModelKernel::new(now);
        bench.restart();
        bench.controller().compare();
        let cut = bench.kernel.state();
        match policy {
            "isolate" => assert!(cut.qdiscs.iter().any(|q| q.link == 9), "{cut}"),
            "unplug" => assert!(!cut.link(9).unwrap().up, "{cut}"),
            _ => {}
        }
        bench.pass(DEFAULT_MS);
        assert!(bench.kernel.state().link(9).unwrap().up, "{policy}");
        let mut after = bench.kernel.state();
        after.links.retain(|l| l.index != 9);
        after.addresses.retain(|a| a.link != 9);
        after.routes.retain(|r| r.links().all(|i| i != 9));
        assert_eq!(after.to_string(), before, "{policy}");
    }
}
