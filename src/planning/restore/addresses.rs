//! Addresses come back in an order that leaves the baseline's: IPv6 puts a new address before the others of its scope.

use std::collections::BTreeSet;

use crate::model::change::Change;
use crate::model::diff::{is_temporary, pairs, same_identity};
use crate::model::object::{Address, Family};
use crate::model::snapshot::Object;

use super::lost::Lost;
use super::{Work, quick};

/// Takes away the link-local addresses that the kernel made when links came up, and that somebody had removed before the cut.
pub(super) fn unmake(work: &mut Work, lost: &Lost) {
    let made = work
        .state
        .addresses
        .iter()
        .filter(|a| is_made_by_raising(a, lost))
        .cloned();
    let deletes: Vec<Change> = made.map(|a| Change::Delete(Object::Address(a))).collect();
    work.stage("remove link-local addresses that were not there", deletes);
}

/// Whether the kernel made this address because a cut's link came up again, or got its carrier back from one that did.
pub(super) fn is_made_by_raising(address: &Address, lost: &Lost) -> bool {
    address.is_link_local_of_kernel()
        && lost.brings(address.link)
        && !lost.target.addresses.iter().any(|a| is_same(a, address))
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
    let links: BTreeSet<u32> = missing
        .iter()
        .filter(|a| a.family == Family::V6)
        .map(|a| a.link)
        .collect();
    let mut changes = Vec::new();
    for &link in &links {
        let of_link: Vec<&Address> = missing.iter().filter(|a| is_v6_of(a, link)).collect();
        changes.extend(in_order(work, lost, link, &of_link));
    }
    quick::set_for(work, lost, &links);
    work.stage("put IPv6 addresses back", changes);
}

fn is_v6_of(address: &Address, link: u32) -> bool {
    address.link == link && address.family == Family::V6
}

fn add(address: Address) -> Change {
    Change::Add(Object::Address(address))
}

fn is_same(a: &Address, b: &Address) -> bool {
    same_identity(&Object::Address(a.clone()), &Object::Address(b.clone()))
}

/// Adds the last first. An address that survived and would then stand too far back is taken out and added anew: the link
/// was down, so nobody used it.
fn in_order(work: &Work, lost: &Lost, link: u32, missing: &[&Address]) -> Vec<Change> {
    let present = |a: &Address| work.state.addresses.contains(a);
    let wanted = lost.target.addresses.iter().filter(|a| is_v6_of(a, link));
    let mut deletes = Vec::new();
    let mut adds = Vec::new();
    let mut adding = BTreeSet::new();
    for address in wanted.rev() {
        let is_missing = missing.iter().any(|m| is_same(m, address));
        if is_missing {
            adding.insert(address.scope);
            adds.push(add(address.clone()));
        } else if adding.contains(&address.scope) && present(address) {
            deletes.push(Change::Delete(Object::Address(address.clone())));
            adds.push(add(address.clone()));
        }
    }
    deletes.extend(adds);
    deletes
}
