//! A copy of the host's network in the scratch namespace: each link stood in for by one end of a veth pair with the same
//! name, index, hardware address and MTU, the other end in a namespace of its own.
//!
//! What the kernel makes by itself (connected and local routes, link-local addresses) is left to it. What it refuses is
//! listed, never passed over in silence.

use std::path::Path;

use super::DrillError;
use super::links::{Builder, End};
use super::namespace::{Namespace, NotInitial};
use super::report::Copied;
use crate::kernel::netlink::Netlink;
use crate::kernel::{Kernel, Kinds};
use crate::model::change::{Change, LinkSetting};
use crate::model::names::InterfaceName;
use crate::model::object::{Family, Link, Route, Sysctl};
use crate::model::snapshot::{Object, Snapshot};
use crate::model::sysctl::of_link;

/// More links than this are not stood in for; a rehearsal needs the kinds, not the number.
const LINKS_MAX: usize = 64;
/// Objects lean on one another (a gateway on a route, a route on a nexthop): what failed is tried again this often.
const PASSES: u32 = 4;
/// Changes in one send.
const BATCH: usize = 256;
/// The name of the far end of every pair, in its own namespace.
pub(super) const FAR_END: &str = "far0";

/// The copy.
#[derive(Debug)]
pub(super) struct Copy {
    /// The namespace that stands for this host.
    pub(super) here: Namespace,
    /// The far end of each link.
    pub(super) far: Vec<Far>,
    /// What was copied.
    pub(super) copied: Copied,
    /// The copy as its kernel has it.
    pub(super) state: Snapshot,
}

/// The far end of one link.
#[derive(Debug)]
pub(super) struct Far {
    /// The index of the link that it is the far end of.
    pub(super) link: u32,
    /// That link's name.
    pub(super) name: InterfaceName,
    /// Where it lives.
    pub(super) space: Namespace,
}

/// Builds the copy in the calling thread's namespace.
pub(super) fn build(host: &Snapshot, proof: NotInitial) -> Result<Copy, DrillError> {
    let here = Namespace::open("copy", Path::new("/proc/thread-self/ns/net"), proof)?;
    let mut kernel = Netlink::open()?;
    let mut copied = Copied::default();
    let links: Vec<&Link> = host.links.iter().filter(|l| !l.is_loopback()).collect();
    for left in links.iter().skip(LINKS_MAX) {
        copied.left_out.push(format!(
            "link {}: only the first {LINKS_MAX} links are copied",
            left.name
        ));
    }
    copied.left_out.extend(links.iter().filter_map(|l| not_stood_in_for(l)));
    let mut far = Vec::new();
    for link in links.iter().take(LINKS_MAX) {
        match add_link(link, proof) {
            Ok(space) => far.push(Far {
                link: link.index,
                name: link.name.clone(),
                space,
            }),
            Err(why) => copied.left_out.push(format!("link {}: {why}", link.name)),
        }
    }
    let has: Vec<u32> = far.iter().map(|f| f.link).collect();
    for batch in [sysctls(host), link_settings(host, &has), objects(host, &has)] {
        copied.left_out.extend(put(&mut kernel, batch)?);
    }
    let state = kernel.snapshot(Kinds::ALL)?;
    copied.links = far.len();
    copied.addresses = state.addresses.len();
    copied.routes = state.routes.len();
    copied.rules = state.rules.len();
    Ok(Copy {
        here,
        far,
        copied,
        state,
    })
}

/// What a veth end cannot stand in for, so that a policy that names it finds nothing in the copy.
fn not_stood_in_for(link: &Link) -> Option<String> {
    let mut lost = Vec::new();
    lost.extend(
        link.kind
            .iter()
            .filter(|k| *k != "veth")
            .map(|kind| format!("its kind {kind}")),
    );
    lost.extend(link.master.map(|_| "its place under another link".to_owned()));
    lost.extend(link.altnames.iter().map(|name| format!("its name {name}")));
    (!lost.is_empty()).then(|| format!("link {}: {}", link.name, lost.join(", ")))
}

fn add_link(link: &Link, proof: NotInitial) -> Result<Namespace, DrillError> {
    let space = Namespace::new(&format!("far of {}", link.name), proof)?;
    let far_name: InterfaceName = FAR_END.parse().map_err(DrillError::Name)?;
    let here = End {
        name: &link.name,
        index: Some(link.index),
        mac: <[u8; 6]>::try_from(link.mac.as_slice()).ok(),
        mtu: Some(link.mtu),
    };
    let there = End {
        mtu: Some(link.mtu),
        ..End::named(&far_name)
    };
    Builder::open(proof)?.add_veth(&here, &there, &space)?;
    space.run(|proof| -> Result<(), DrillError> {
        let builder = Builder::open(proof)?;
        write_sysctls(&far_sysctls(link.mtu))?;
        builder.set_up(&"lo".parse().map_err(DrillError::Name)?)?;
        Ok(builder.set_up(&far_name)?)
    })??;
    Ok(space)
}

/// The far side answers at once, for every address that it is given, and forwards nothing by itself. On a link of a smaller
/// MTU than IPv6 asks for (RFC 8200, section 5) the kernel has no IPv6, and none of its sysctls.
fn far_sysctls(mtu: u32) -> Vec<Sysctl> {
    let off = |link: &str, key: &str| Sysctl {
        name: of_link("ipv6", link, key),
        value: "0".to_owned(),
    };
    let mut sysctls = vec![off("all", "accept_dad"), off("default", "accept_dad")];
    if mtu >= Link::MTU_MIN_V6 {
        sysctls.extend([off(FAR_END, "accept_dad"), off(FAR_END, "accept_ra")]);
    }
    sysctls
}

fn write_sysctls(sysctls: &[Sysctl]) -> Result<(), DrillError> {
    let mut kernel = Netlink::open()?;
    let changes: Vec<Change> = sysctls.iter().cloned().map(Change::SetSysctl).collect();
    let refused = kernel.apply(&changes)?.into_iter().find_map(Result::err);
    refused.map_or(Ok(()), |error| Err(DrillError::Refused(error)))
}

/// The host's sysctls, but for duplicate address detection, which would only make the rehearsal wait.
fn sysctls(host: &Snapshot) -> Vec<Change> {
    // Where there is no such sysctl the link speaks no IPv6, below its smallest MTU for one.
    let detected = host.sysctls.iter().filter(|s| s.name.ends_with(".accept_dad"));
    let no_dad = detected.map(|s| Sysctl {
        name: s.name.clone(),
        value: "0".to_owned(),
    });
    let copied = host
        .sysctls
        .iter()
        .filter(|s| !s.name.ends_with(".accept_dad") && !s.name.ends_with(".mtu"))
        .cloned();
    copied.chain(no_dad).map(Change::SetSysctl).collect()
}

fn link_settings(host: &Snapshot, has: &[u32]) -> Vec<Change> {
    let here = host.links.iter().filter(|l| has.contains(&l.index) || l.is_loopback());
    here.flat_map(|link| {
        let set = |setting| Change::SetLink {
            index: link.index,
            name: link.name.clone(),
            setting,
        };
        let group = (link.group != 0).then(|| set(LinkSetting::Group(link.group)));
        group.into_iter().chain(link.up.then(|| set(LinkSetting::Up)))
    })
    .collect()
}

/// Everything else, in the order in which it leans on one another.
fn objects(host: &Snapshot, has: &[u32]) -> Vec<Change> {
    let mut adds: Vec<Object> = Vec::new();
    let known = |link: u32| has.contains(&link) || host.link(link).is_some_and(Link::is_loopback);
    adds.extend(
        host.addresses
            .iter()
            .filter(|a| known(a.link))
            .cloned()
            .map(Object::Address),
    );
    let (groups, singles): (Vec<_>, Vec<_>) = host.nexthops.iter().cloned().partition(|n| !n.group.is_empty());
    adds.extend(singles.into_iter().chain(groups).map(Object::Nexthop));
    let mut routes: Vec<Route> = host
        .routes
        .iter()
        .filter(|r| r.protocol != Route::PROTOCOL_KERNEL && r.links().all(known))
        .cloned()
        .collect();
    // Narrow scopes and routes without a gateway first: gateways are reached through them.
    routes.sort_by_key(|r| (r.family == Family::V6, std::cmp::Reverse(r.scope), r.gateways().count()));
    adds.extend(routes.into_iter().map(Object::Route));
    let standard = |r: &&crate::model::object::Rule| r.protocol != Route::PROTOCOL_KERNEL;
    adds.extend(host.rules.iter().filter(standard).cloned().map(Object::Rule));
    adds.extend(
        host.neighbours
            .iter()
            .filter(|n| known(n.link))
            .cloned()
            .map(Object::Neighbour),
    );
    adds.into_iter().map(Change::Add).collect()
}

/// Sends the changes, tries again what was refused, and names what stayed refused.
fn put(kernel: &mut Netlink, changes: Vec<Change>) -> Result<Vec<String>, DrillError> {
    let mut waiting = changes;
    let mut refusals = Vec::new();
    for _ in 0..PASSES {
        let mut refused = Vec::new();
        refusals.clear();
        for batch in waiting.chunks(BATCH) {
            for (change, answer) in batch.iter().zip(kernel.apply(batch)?) {
                if let Err(error) = answer {
                    refusals.push(error.to_string());
                    refused.push(change.clone());
                }
            }
        }
        if refused.is_empty() {
            break;
        }
        waiting = refused;
    }
    Ok(refusals)
}
