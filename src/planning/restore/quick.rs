//! What holds only while links come back: their addresses do not wait for duplicate address detection, which takes one to
//! two seconds, because they were there before; and the neighbours are told of them (gratuitous ARP, unsolicited neighbour
//! advertisements), or those would go on for up to a second with what they had found out meanwhile.
//!
//! The values carry a mark of ours, so that a restore which is computed anew after a crash knows them and writes back what
//! the baseline has. A host on which a write fails only waits longer.

use std::collections::BTreeSet;

use crate::model::change::Change;
use crate::model::object::{Family, Link, Sysctl};
use crate::model::snapshot::{Object, Snapshot};
use crate::model::sysctl;

use super::Work;
use super::lost::Lost;

/// One sysctl of a link.
struct Quick {
    family: Family,
    key: &'static str,
    /// What is written for the time of the restore; nobody else would write it.
    mark: &'static str,
    /// What it is where the baseline does not know it: the kernel's default.
    usual: &'static str,
}

/// Below 1 means no detection (`Documentation/networking/ip-sysctl.rst`).
const ACCEPT_DAD: Quick = Quick {
    family: Family::V6,
    key: "accept_dad",
    mark: "-80",
    usual: "1",
};
/// The kernel sends an advertisement for each address that passed detection, or needs none (`addrconf_dad_completed()`).
const NDISC_NOTIFY: Quick = Quick {
    family: Family::V6,
    key: "ndisc_notify",
    mark: "80",
    usual: "0",
};
/// The kernel sends an ARP announcement for each address of a link that comes up (`inetdev_event()`), if this is above 0.
const ARP_NOTIFY: Quick = Quick {
    family: Family::V4,
    key: "arp_notify",
    mark: "80",
    usual: "0",
};
const ALL: [&Quick; 3] = [&ACCEPT_DAD, &NDISC_NOTIFY, &ARP_NOTIFY];

impl Quick {
    fn name(&self, link: &Link) -> String {
        let family = match self.family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        sysctl::of_link(family, &link.name.to_string(), self.key)
    }

    fn is_named(&self, name: &str) -> bool {
        name.strip_suffix(self.key).is_some_and(|rest| rest.ends_with('.'))
    }

    fn has_marked(&self, sysctl: &Sysctl) -> bool {
        sysctl.value == self.mark && self.is_named(&sysctl.name)
    }
}

/// Whether the value is ours for the time of a restore.
pub(super) fn is_ours(sysctl: &Sysctl) -> bool {
    ALL.iter().any(|quick| quick.has_marked(sysctl))
}

fn value<'a>(state: &'a Snapshot, name: &str) -> Option<&'a str> {
    let found = state.sysctls.iter().find(|s| s.name == name);
    found.map(|s| s.value.as_str())
}

/// Whether links come up by this restoration. Then what the kernel makes of their carriers, which it tells up to a second
/// later, is known to the next one only, and the value stands until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComingUp {
    Yes,
    No,
}

/// For the links that are about to come up, or whose carrier does. Where somebody changed it during the cut it is left
/// alone.
pub(super) fn set(work: &mut Work, lost: &Lost) -> ComingUp {
    let down = |l: &Link| !l.up && lost.raised.contains(&l.index);
    if !work.state.links.iter().any(down) {
        return ComingUp::No;
    }
    let had = |l: &Link, family| {
        let mut addresses = lost.target.addresses.iter();
        addresses.any(|a| (a.link, a.family) == (l.index, family))
    };
    write_marks(work, lost, &ALL, |l, quick| had(l, quick.family));
    ComingUp::Yes
}

/// For links that are up already and get addresses: the kernel makes those of a link that came up only when it tells the
/// carrier, up to a second later, and by then the restore computes anew and puts them back itself.
pub(super) fn set_for(work: &mut Work, lost: &Lost, links: &BTreeSet<u32>) {
    write_marks(work, lost, &[&ACCEPT_DAD, &NDISC_NOTIFY], |l, _| {
        links.contains(&l.index)
    });
}

fn write_marks(work: &mut Work, lost: &Lost, quicks: &[&Quick], of: impl Fn(&Link, &Quick) -> bool) {
    let untouched = |name: &str| {
        let (then, now) = (value(&lost.target, name), value(&work.state, name));
        now.is_some() && then == now
    };
    let carrying = work.state.links.iter().filter(|l| lost.carries(l));
    let wanted = carrying.flat_map(|l| quicks.iter().filter(|q| of(l, q)).map(|q| (q.name(l), q.mark)));
    let writes: Vec<Change> = wanted
        .filter(|(name, _)| untouched(name))
        .map(|(name, mark)| write(name, mark))
        .collect();
    work.stage("let addresses come back at once, and tell the neighbours", writes);
}

/// Writes back what the baseline has.
pub(super) fn put_back(work: &mut Work, lost: &Lost) {
    let mut writes = Vec::new();
    for sysctl in &work.state.sysctls {
        if let Some(quick) = ALL.iter().find(|quick| quick.has_marked(sysctl)) {
            let before = value(&lost.target, &sysctl.name).unwrap_or(quick.usual);
            writes.push(write(sysctl.name.clone(), before));
        }
    }
    work.stage("have addresses detected, and told of, as before", writes);
}

/// Whether something differs by a value of ours that was not written back.
pub(super) fn is_left(after: &Object) -> bool {
    matches!(after, Object::Sysctl(sysctl) if is_ours(sysctl))
}

fn write(name: String, value: &str) -> Change {
    Change::SetSysctl(Sysctl {
        name,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{receipt, restore};
    use super::*;
    use crate::model::change::{Change, LinkSetting};
    use crate::model::cut::Cut;
    use crate::model::effect::{apply, settle};
    use crate::model::fixture::{address, host, must, set};
    use crate::model::policy::Method;
    use crate::planning::tests::hosts::additive;

    const NAME: &str = "net.ipv6.conf.ab0.accept_dad";

    /// A host whose link was set down by the cut: before and now.
    fn unplugged() -> (Snapshot, Snapshot, Cut) {
        let mut baseline = host(2);
        must(&mut baseline, &Change::Add(Object::Address(address(2, "fd00::1/64"))));
        must(&mut baseline, &write(NAME.to_owned(), "1"));
        settle(&mut baseline);
        let mut cut = additive(&baseline).remove(0);
        cut.methods = [Method::Link].into();
        cut.links = [(2, baseline.link(2).unwrap().name.clone())].into();
        let mut now = baseline.clone();
        must(&mut now, &set(2, LinkSetting::Down));
        (baseline, now, cut)
    }

    fn changes(now: &Snapshot, baseline: &Snapshot, cut: &Cut) -> Vec<Change> {
        let plan = restore(now, baseline, std::slice::from_ref(cut), &[]).unwrap();
        plan.steps.into_iter().flat_map(|s| s.changes).collect()
    }

    #[test]
    fn detection_is_off_before_links_come_up_and_as_before_when_all_that_they_had_is_back() {
        let (baseline, mut now, cut) = unplugged();
        let first = changes(&now, &baseline, &cut);
        assert_eq!(first.first(), Some(&write(NAME.to_owned(), ACCEPT_DAD.mark)));
        assert!(!first.contains(&write(NAME.to_owned(), "1")));
        first.iter().for_each(|change| must(&mut now, change));
        settle(&mut now);
        // The kernel has not told the carrier yet, so it has made no address of its own.
        let own = now
            .addresses
            .iter()
            .find(|a| a.link == 2 && a.scope != 0)
            .unwrap()
            .clone();
        must(&mut now, &Change::Delete(Object::Address(own.clone())));
        let second = changes(&now, &baseline, &cut);
        assert!(second.contains(&Change::Add(Object::Address(own))));
        assert_eq!(second.last(), Some(&write(NAME.to_owned(), "1")));
    }

    #[test]
    fn an_address_that_is_still_missing_with_the_link_up_comes_back_without_detection_too() {
        let (baseline, _, cut) = unplugged();
        let mut now = baseline.clone();
        must(&mut now, &Change::Delete(Object::Address(address(2, "fd00::1/64"))));
        settle(&mut now);
        let changes = changes(&now, &baseline, &cut);
        assert_eq!(changes.first(), Some(&write(NAME.to_owned(), ACCEPT_DAD.mark)));
        assert!(changes.contains(&Change::Add(Object::Address(address(2, "fd00::1/64")))));
        assert_eq!(changes.last(), Some(&write(NAME.to_owned(), "1")));
    }

    #[test]
    fn a_restore_that_was_broken_off_anywhere_writes_back_what_was_there_and_then_has_nothing_to_do() {
        let (baseline, down, cut) = unplugged();
        let all = changes(&down, &baseline, &cut).len();
        for broken_off in 0..=all {
            let mut now = down.clone();
            for change in &changes(&down, &baseline, &cut)[..broken_off] {
                assert!(apply(&mut now, change).is_ok());
            }
            // One restoration for the links, one for what the kernel made of their carriers.
            for _ in 0..2 {
                for change in changes(&now, &baseline, &cut) {
                    assert!(apply(&mut now, &change).is_ok());
                }
                settle(&mut now);
            }
            assert_eq!(now.to_string(), baseline.to_string(), "after {broken_off} changes");
            assert_eq!(changes(&now, &baseline, &cut), []);
        }
    }

    #[test]
    fn what_somebody_wrote_meanwhile_is_left_alone() {
        let (baseline, mut now, cut) = unplugged();
        must(&mut now, &write(NAME.to_owned(), "2"));
        assert!(
            !changes(&now, &baseline, &cut)
                .iter()
                .any(|c| matches!(c, Change::SetSysctl(_)))
        );
    }

    #[test]
    fn a_value_of_ours_that_is_left_is_a_residue() {
        let (baseline, down, cut) = unplugged();
        let mut after = baseline.clone();
        must(&mut after, &write(NAME.to_owned(), ACCEPT_DAD.mark));
        let receipt = receipt(&baseline, &down, &after, &[cut], &[]);
        assert_eq!(receipt.residues.len(), 1, "{receipt:?}");
    }
}
