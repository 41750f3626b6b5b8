//! What the kernel does with one change, as a pure function over a snapshot.
//!
//! The planner's check, the three-way restore and the model kernel all stand on it, so that they agree on what a
//! change means. Measured on Linux 6.18 in namespaces; where a kernel says otherwise, the kernel is right.
//!
//! Errors are positive errno values, as the kernel gives them. What the door reports as done already (EEXIST on an
//! add; ENOENT, ESRCH, EADDRNOTAVAIL, ENODEV on a delete) is [`Outcome::AlreadySo`].
//!
//! # What is simpler here than in the kernel
//!
//! - Carrier follows nothing: a veth's peer, a macvlan's lower device and a bridge's ports keep theirs.
//! - Duplicate address detection always succeeds, and only when [`settle`] is called.
//! - A link-local address is made from the hardware address (EUI-64) or not at all; stable-privacy modes are not known.
//! - Router advertisements never come; multicast memberships, forwarding databases, dynamic neighbours do not exist.
//! - Equal IPv6 gateway routes stay apart, where the kernel shows them as one multipath route.
//! - VRFs do not choose tables; resilient groups have no buckets; a lookup for a gateway knows no source and no mark.
//! - A qdisc other than `clsact` and `ingress` only takes and leaves its place.
//! - Removing a link leaves rules and filters that name it, as the kernel does, but says nothing of `detached`.

mod address;
mod control;
mod link;
mod lookup;
mod nexthop;
pub(crate) mod route;
#[cfg(test)]
mod tests;

use super::change::{Change, LinkSetting, Outcome};
use super::object::{Family, Neighbour, Rule, RuleAction, Sysctl};
use super::snapshot::{Object, Snapshot};

pub use address::settle;
pub(crate) use address::settle_on;
pub(crate) use link::{link_local_to_come, speaks_v6};
pub use lookup::way;

/// The errno values that the kernel answers with here (`include/uapi/asm-generic/errno.h`).
pub mod errno {
    /// No such object.
    pub const ENOENT: i32 = 2;
    /// Forbidden: by a `prohibit` rule, or IPv6 is off on the link.
    pub const EACCES: i32 = 13;
    /// No such link.
    pub const ENODEV: i32 = 19;
    /// The request makes no sense in this state.
    pub const EINVAL: i32 = 22;
    /// Not for this object: a filter on a link whose block is shared, a link that is none of ours.
    pub const EOPNOTSUPP: i32 = 95;
    /// The link is down.
    pub const ENETDOWN: i32 = 100;
    /// The gateway is not reachable (IPv4).
    pub const ENETUNREACH: i32 = 101;
    /// The gateway is not reachable (IPv6).
    pub const EHOSTUNREACH: i32 = 113;
}

/// Carries out one change on the state.
///
/// # Errors
/// The positive errno with which the kernel refuses it; then the state is as it was.
pub fn apply(state: &mut Snapshot, change: &Change) -> Result<Outcome, i32> {
    match change {
        Change::Add(object) => add(state, object),
        Change::Delete(object) => delete(state, object),
        Change::SetLink { index, setting, .. } => match setting {
            LinkSetting::Up => link::up(state, *index),
            LinkSetting::Down => link::down(state, *index),
            LinkSetting::Group(group) => link::regroup(state, *index, *group),
        },
        Change::SetSysctl(sysctl) => Ok(write_sysctl(state, sysctl)),
    }
}

fn add(state: &mut Snapshot, object: &Object) -> Result<Outcome, i32> {
    match object {
        Object::Link(link) => link::add(state, link),
        Object::Address(address) => address::add(state, address),
        Object::Nexthop(nexthop) => nexthop::add(state, nexthop),
        Object::Route(route) => route::add(state, route),
        Object::Rule(rule) => add_rule(state, rule),
        Object::Neighbour(neighbour) => add_neighbour(state, neighbour),
        Object::Qdisc(qdisc) => control::add_qdisc(state, qdisc),
        Object::Filter(filter) => control::add_filter(state, filter),
        Object::Sysctl(sysctl) => Ok(write_sysctl(state, sysctl)),
    }
}

fn delete(state: &mut Snapshot, object: &Object) -> Result<Outcome, i32> {
    match object {
        Object::Link(link) => link::delete(state, link),
        Object::Address(address) => Ok(address::delete(state, address)),
        Object::Nexthop(nexthop) => Ok(nexthop::delete(state, nexthop.id)),
        Object::Route(route) => Ok(route::delete(state, route)),
        Object::Rule(rule) => Ok(delete_rule(state, rule)),
        Object::Neighbour(neighbour) => Ok(delete_neighbour(state, neighbour)),
        Object::Qdisc(qdisc) => Ok(control::delete_qdisc(state, qdisc)),
        Object::Filter(filter) => control::delete_filter(state, filter),
        Object::Sysctl(_) => Err(errno::EOPNOTSUPP),
    }
}

/// A rule goes behind those of its preference; the same rule of another protocol is another rule
/// (`fib_newrule()` in `net/core/fib_rules.c`).
fn add_rule(state: &mut Snapshot, rule: &Rule) -> Result<Outcome, i32> {
    if state.rules.contains(rule) {
        return Ok(Outcome::AlreadySo);
    }
    if let RuleAction::Goto(target) = rule.action
        && target <= rule.preference
    {
        return Err(errno::EINVAL);
    }
    let key = (rule.family, rule.preference);
    let at = state.rules.partition_point(|r| (r.family, r.preference) <= key);
    state.rules.insert(at, rule.clone());
    Ok(Outcome::Applied)
}

fn delete_rule(state: &mut Snapshot, rule: &Rule) -> Outcome {
    remove_first(&mut state.rules, |r| takes_rule(rule, r))
}

/// Whether a request to delete the one takes the other, if it comes to it first: what the request does not name is not
/// compared, nor are `not` and where a `goto` goes (`rule_find()` in `net/core/fib_rules.c`).
pub(crate) fn takes_rule(request: &Rule, there: &Rule) -> bool {
    fn named<T: PartialEq>(wanted: &Option<T>, there: &Option<T>) -> bool {
        wanted.is_none() || wanted == there
    }
    let action = match (request.action, there.action) {
        (RuleAction::Goto(_), RuleAction::Goto(_)) => true,
        (wanted, there) => wanted == there,
    };
    let place = |r: &Rule| (r.family, r.preference, r.protocol);
    action
        && place(request) == place(there)
        && named(&request.source, &there.source)
        && named(&request.destination, &there.destination)
        && named(&request.iif, &there.iif)
        && named(&request.oif, &there.oif)
        && named(&request.mark, &there.mark)
        && named(&request.uid_range, &there.uid_range)
        && named(&request.ip_protocol, &there.ip_protocol)
        && named(&request.source_ports, &there.source_ports)
        && named(&request.destination_ports, &there.destination_ports)
        && named(&request.suppress_prefix_length, &there.suppress_prefix_length)
        && named(&request.suppress_group, &there.suppress_group)
        && (request.tos == 0 || request.tos == there.tos)
        && (request.extra.is_empty() || request.extra == there.extra)
}

/// Replaces what stands in its place. Works on a link that is down, too (`neigh_add()` in `net/core/neighbour.c`).
fn add_neighbour(state: &mut Snapshot, neighbour: &Neighbour) -> Result<Outcome, i32> {
    let link = state.link(neighbour.link).ok_or(errno::ENODEV)?;
    // `ndisc_allow_add()`.
    if neighbour.family == Family::V6 && link::refuses_v6(state, link).is_some() {
        return Err(errno::EINVAL);
    }
    match state.neighbours.iter().position(|n| same_neighbour(n, neighbour)) {
        Some(at) if state.neighbours[at] == *neighbour => return Ok(Outcome::AlreadySo),
        Some(at) => drop(state.neighbours.remove(at)),
        None => {}
    }
    state.neighbours.push(neighbour.clone());
    state.sort_neighbours();
    Ok(Outcome::Applied)
}

fn delete_neighbour(state: &mut Snapshot, neighbour: &Neighbour) -> Outcome {
    remove_first(&mut state.neighbours, |n| same_neighbour(n, neighbour))
}

/// Whether two entries are for the same place: a proxy entry and a neighbour of one address stand side by side.
pub(crate) fn same_neighbour(a: &Neighbour, b: &Neighbour) -> bool {
    const NTF_PROXY: u8 = 0x08;
    (a.link, a.address, a.flags & NTF_PROXY) == (b.link, b.address, b.flags & NTF_PROXY)
}

fn write_sysctl(state: &mut Snapshot, sysctl: &Sysctl) -> Outcome {
    match state.sysctls.binary_search_by(|s| s.name.cmp(&sysctl.name)) {
        Ok(at) if state.sysctls[at] == *sysctl => Outcome::AlreadySo,
        Ok(at) => {
            state.sysctls[at].value.clone_from(&sysctl.value);
            Outcome::Applied
        }
        Err(at) => {
            state.sysctls.insert(at, sysctl.clone());
            Outcome::Applied
        }
    }
}

/// Whether a per-link sysctl is on, for the link itself or for all.
fn is_on(state: &Snapshot, family: &str, link: &str, key: &str) -> bool {
    let on = |scope: &str| {
        let name = super::sysctl::of_link(family, scope, key);
        let value = state.sysctls.iter().find(|s| s.name == name).map(|s| s.value.as_str());
        value.is_some_and(|v| v.parse::<i64>().is_ok_and(|n| n > 0))
    };
    on("all") || on(link)
}

fn remove_first<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> Outcome {
    match list.iter().position(is_it) {
        Some(at) => {
            list.remove(at);
            Outcome::Applied
        }
        None => Outcome::AlreadySo,
    }
}
