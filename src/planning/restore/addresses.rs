//! Addresses come back in an order that leaves the baseline's: IPv6 puts a new address before the others of its scope.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::Change;
use crate::model::diff::{Identity as _, is_temporary, pairs};
use crate::model::object::{Address, Family};
use crate::model::snapshot::{Object, Snapshot};

use super::lost::Lost;
use super::{Work, quick};

/// Takes away the link-local addresses that the kernel made when links came up, and that somebody had removed before the cut.
pub(super) fn unmake(work: &mut Work, lost: &Lost) {
    let made = work
        .state
        .addresses
        .iter()
        .filter(|a| is_made_by_raising(a, lost, &work.state))
        .cloned();
    let deletes: Vec<Change> = made.map(|a| Change::Delete(Object::Address(a))).collect();
    work.stage("remove link-local addresses that were not there", deletes);
}

/// Whether the kernel made this address because a cut's link came up again, or got its carrier back from one that did.
pub(super) fn is_made_by_raising(address: &Address, lost: &Lost, now: &Snapshot) -> bool {
    address.is_link_local_of_kernel()
        && lost.brings(address.link)
        && lost.link_here(now, address.link).is_some()
        && !lost.target.addresses.iter().any(|a| a.is_same(address))
}

pub(super) fn put_back(work: &mut Work, lost: &Lost) {
    let state = std::mem::take(&mut work.state.addresses);
    let by_link = |a: &Address, b: &Address| (a.link, a.family).cmp(&(b.link, b.family));
    let same =
        |a: &Address, b: &Address| (a.own(), a.prefix_length, a.address) == (b.own(), b.prefix_length, b.address);
    let paired = pairs(&lost.objects.addresses, &state, by_link, same);
    let mut missing = work.missing(lost, paired, Object::Address);
    work.state.addresses = state;
    missing.retain(|a| !is_temporary(a));
    let v4 = missing.iter().filter(|a| a.family == Family::V4).cloned();
    work.stage("put IPv4 addresses back", v4.map(add).collect::<Vec<_>>());
    let taken = lost.objects.addresses.iter().filter(|a| a.family == Family::V6);
    let mut links: BTreeSet<u32> = taken.map(|a| a.link).collect();
    let mut changes = Vec::new();
    links.retain(|&link| {
        let of_link: Vec<&Address> = missing.iter().filter(|a| is_v6_of(a, link)).collect();
        let of_link = in_order(work, lost, link, &of_link);
        let any = !of_link.is_empty();
        changes.extend(of_link);
        any
    });
    quick::set_for(work, lost, &links);
    work.stage("put IPv6 addresses back", changes);
}

fn is_v6_of(address: &Address, link: u32) -> bool {
    address.link == link && address.family == Family::V6
}

fn add(address: Address) -> Change {
    Change::Add(Object::Address(address))
}

/// Adds the last first. An address that is there already, because it survived or because the kernel made it before ours,
/// and would then stand too far back is taken out and added anew: the link was down, so nobody used it.
fn in_order(work: &Work, lost: &Lost, link: u32, missing: &[&Address]) -> Vec<Change> {
    let now = || work.state.addresses.iter().filter(|a| is_v6_of(a, link));
    let wanted = lost.target.addresses.iter().filter(|a| is_v6_of(a, link));
    let wanted = wanted.filter(|a| !is_temporary(a));
    let mut deletes = Vec::new();
    let mut adds = Vec::new();
    // What of each scope stands before the last that keeps its place; none when the next ones are added anew.
    let mut before: BTreeMap<u8, Option<usize>> = BTreeMap::new();
    for address in wanted.rev() {
        let limit = before.entry(address.scope).or_insert(Some(usize::MAX));
        let is_missing = missing.iter().any(|m| m.is_same(address));
        let at = now().position(|a| a == address);
        match (is_missing, at) {
            (true, _) => {
                *limit = None;
                adds.push(add(address.clone()));
            }
            (false, Some(at)) if limit.is_some_and(|limit| at < limit) => *limit = Some(at),
            (false, Some(_)) => {
                *limit = None;
                deletes.push(Change::Delete(Object::Address(address.clone())));
                adds.push(add(address.clone()));
            }
            (false, None) => {}
        }
    }
    deletes.extend(adds);
    deletes
}
