//! Links that somebody sets up under a cut of links: down again at once, and up at the end.

use std::sync::Arc;

use nix::errno::Errno;

use super::Bench;
use crate::api::HostState;
use crate::model::change::{Change, LinkSetting};
use crate::model::fixture::address;
use crate::model::snapshot::{Object, Snapshot};
use crate::store::disk::{AfterFault, Disk, FaultyDisk, RealDisk};

/// The scope of `unplug`.
const LINK: u32 = 2;

fn set(bench: &Bench, setting: LinkSetting) {
    let name = bench.baseline.link(LINK).unwrap().name.clone();
    bench.kernel.act(&[Change::SetLink {
        index: LINK,
        name,
        setting,
    }]);
}

/// A host whose link was down when the cut began.
fn unplugged_while_down(disk: Arc<dyn Disk>) -> (Bench, String) {
    let mut bench = Bench::on(disk);
    set(&bench, LinkSetting::Down);
    let id = bench.declare("unplug").unwrap().id;
    (bench, id)
}

/// Somebody sets the link up and gives it an address that does not survive its going down.
fn somebody_sets_it_up(bench: &Bench) -> Snapshot {
    set(bench, LinkSetting::Up);
    bench
        .kernel
        .act(&[Change::Add(Object::Address(address(LINK, "fd00:77::1/64")))]);
    bench.kernel.settle();
    bench.kernel.state()
}

fn is_up(bench: &Bench) -> bool {
    bench.kernel.state().link(LINK).unwrap().up
}

#[test]
fn a_link_that_somebody_set_up_goes_down_at_once_and_comes_up_at_the_end_with_all_it_had() {
    let (mut bench, id) = unplugged_while_down(Arc::new(RealDisk));
    let wanted = somebody_sets_it_up(&bench);
    bench.controller().compare();
    assert!(!is_up(&bench), "the cut holds");
    bench.kill();
    bench.restart();
    let receipt = bench.revert(&id).unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), wanted.to_string());
}

#[test]
fn a_link_that_somebody_set_up_comes_back_as_it_was_before_the_cut() {
    let mut bench = Bench::start();
    bench
        .kernel
        .act(&[Change::Add(Object::Address(address(LINK, "fd00:78::1/64")))]);
    bench.kernel.settle();
    let before = bench.kernel.state();
    let id = bench.declare("unplug").unwrap().id;
    set(&bench, LinkSetting::Up);
    bench.kernel.settle();
    bench.controller().compare();
    assert!(!is_up(&bench), "the cut holds");
    let receipt = bench.revert(&id).unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), before.to_string());
}

#[test]
fn a_link_whose_state_cannot_be_written_down_stays_up_and_is_named_until_it_can() {
    let calls = {
        let disk = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
        let (_bench, _) = unplugged_while_down(disk.clone());
        disk.calls()
    };
    let disk = Arc::new(FaultyDisk::new(calls + 1, Errno::ENOSPC, AfterFault::Heals));
    let (mut bench, id) = unplugged_while_down(disk);
    let wanted = somebody_sets_it_up(&bench);
    bench.controller().compare();
    assert!(is_up(&bench), "what could not be given back is not taken");
    let last = bench.records().pop();
    assert_eq!(last.as_deref(), Some("drift"));
    let status = bench.status();
    assert_eq!(status.state, HostState::Degraded);
    bench.controller().compare();
    assert!(!is_up(&bench), "with the disk back, the cut holds");
    assert_eq!(bench.status().state, HostState::InForce);
    let receipt = bench.revert(&id).unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
    assert_eq!(bench.kernel.state().to_string(), wanted.to_string());
}
