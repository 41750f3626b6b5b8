//! A policy read against one host at one moment: patterns become links, names become addresses, routes are picked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use globset::{Glob, GlobSet};
use ipnet::IpNet;

use super::Refusal;
use super::ours::{self, is_our_link};
use super::reachability::{gateways_of, links_of};
use crate::model::cut::{Cut, Lifeline, Reach, ZoneLinks};
use crate::model::names::InterfaceName;
use crate::model::object::{Family, Link, Route};
use crate::model::policy::{Direction, LifelineSpec, Method, Policy, RoutesMethod};
use crate::model::snapshot::Snapshot;

/// Next hops that a plan keeps resolvable; each costs two rules a packet walks past.
const NEXT_HOPS_MAX: usize = 256;
/// Peers of all lifelines together; each costs a rule or two and filter rows.
const PEERS_MAX: usize = 1024;

/// Reads a policy against a host: what exactly is cut and kept.
///
/// `pinned` holds the addresses that each `peer_names` entry resolved to. Objects of ours on the host do not count.
///
/// # Errors
/// If the scope is empty or holds the loopback device, a lifeline names what is not there, or a limit is passed.
pub fn resolve(policy: &Policy, host: &Snapshot, pinned: &BTreeMap<String, Vec<IpAddr>>) -> Result<Cut, Refusal> {
    let zones = zones(policy, host)?;
    let (reach, links) = if zones.is_empty() {
        scope(policy, host)?
    } else {
        let all = zones.iter().flat_map(|z| &z.links);
        let named = host.links.iter().map(|l| (l.index, l.name.clone()));
        let names: BTreeMap<_, _> = named.collect();
        let links = all.filter_map(|i| names.get(i).map(|n| (*i, n.clone()))).collect();
        (Reach::Links, links)
    };
    let null_prefixes = null_prefixes(policy);
    let withdrawn = withdrawn(policy, host, &links);
    if links.is_empty() && withdrawn.is_empty() && null_prefixes.is_empty() {
        return Err(Refusal::EmptyScope { wanted: wanted(policy) });
    }
    let mut cut = Cut {
        policy: policy.name.clone(),
        methods: policy.methods.clone(),
        families: policy.scope.families.clone(),
        directions: policy.scope.directions.clone(),
        reach,
        links,
        zones,
        withdrawn,
        null_prefixes,
        lifelines: lifelines(policy, host, pinned)?,
        next_hops: BTreeSet::new(),
        keep: policy.keep,
    };
    cut.next_hops = next_hops(&cut, host)?;
    Ok(cut)
}

/// The cut with the links that have appeared on this host since, where its reach is the whole host.
#[must_use]
pub fn widen(cut: &Cut, now: &Snapshot) -> Cut {
    let mut wide = cut.clone();
    if cut.reach == Reach::WholeHost {
        let new = now.links.iter().filter(|l| can_be_cut(l));
        wide.links.extend(new.map(|l| (l.index, l.name.clone())));
    }
    wide
}

pub(super) fn can_be_cut(link: &Link) -> bool {
    !link.is_loopback() && !is_our_link(link)
}

fn wanted(policy: &Policy) -> String {
    let scope = &policy.scope;
    let mut parts: Vec<String> = scope.interfaces.clone();
    parts.extend(scope.kinds.iter().map(|k| format!("kind {k}")));
    if scope.default_route {
        parts.push("the default route".to_owned());
    }
    if policy.methods.contains(&Method::Routes) {
        parts.push("the routes to withdraw".to_owned());
    }
    parts.join(", ")
}

/// Shell patterns over the printed form of interface names.
fn any_of(texts: &[String]) -> Result<GlobSet, Refusal> {
    let refused = |error: &globset::Error| Refusal::BadPattern {
        pattern: error.glob().unwrap_or_default().to_owned(),
        why: error.kind().to_string(),
    };
    // Literal names and plain beginnings and ends need no regular expression there.
    let mut set = GlobSet::builder();
    for text in texts {
        set.add(Glob::new(text).map_err(|e| refused(&e))?);
    }
    set.build().map_err(|e| refused(&e))
}

fn matches(link: &Link, patterns: &GlobSet) -> bool {
    let mut names = std::iter::once(&link.name).chain(&link.altnames);
    names.any(|name| patterns.is_match(name.to_string()))
}

fn patterns(texts: &[String], host: &Snapshot) -> Result<GlobSet, Refusal> {
    let loopback = host.links.iter().find(|l| l.is_loopback());
    let named = loopback.filter(|l| texts.contains(&l.name.to_string()));
    if let Some(link) = named {
        return Err(Refusal::Loopback {
            link: link.name.clone(),
        });
    }
    any_of(texts)
}

type ScopeLinks = (Reach, BTreeMap<u32, InterfaceName>);

/// The union of what names, kinds and default routes pick, without what is excluded.
fn scope(policy: &Policy, host: &Snapshot) -> Result<ScopeLinks, Refusal> {
    let scope = &policy.scope;
    let (wanted, excluded) = (patterns(&scope.interfaces, host)?, patterns(&scope.exclude, host)?);
    let defaults: BTreeSet<u32> = if scope.default_route {
        let routes = host
            .routes
            .iter()
            .filter(|r| is_default(r) && scope.families.contains(&r.family));
        routes.flat_map(|r| links_of(r, host)).collect()
    } else {
        BTreeSet::new()
    };
    let of_kind = |l: &Link| l.kind.as_ref().is_some_and(|k| scope.kinds.contains(k));
    let picked = host.links.iter().filter(|l| {
        can_be_cut(l) && (matches(l, &wanted) || of_kind(l) || defaults.contains(&l.index)) && !matches(l, &excluded)
    });
    let links: BTreeMap<_, _> = picked.map(|l| (l.index, l.name.clone())).collect();
    let whole = scope.interfaces.iter().any(|i| i == "*") && scope.exclude.is_empty();
    let needs_links = policy.methods.iter().any(|m| *m != Method::Routes);
    if links.is_empty() && needs_links {
        return Err(Refusal::EmptyScope {
            wanted: wanted_links(policy),
        });
    }
    Ok((if whole { Reach::WholeHost } else { Reach::Links }, links))
}

fn wanted_links(policy: &Policy) -> String {
    wanted(&Policy {
        methods: BTreeSet::new(),
        ..policy.clone()
    })
}

fn is_default(route: &Route) -> bool {
    route.destination.prefix_len() == 0 && route.kind == Route::UNICAST
}

fn zones(policy: &Policy, host: &Snapshot) -> Result<Vec<ZoneLinks>, Refusal> {
    let mut zones: Vec<ZoneLinks> = Vec::new();
    for zone in &policy.scope.zones {
        let wanted = patterns(&zone.interfaces, host)?;
        let picked = host.links.iter().filter(|l| can_be_cut(l) && matches(l, &wanted));
        let links: BTreeSet<u32> = picked.map(|l| l.index).collect();
        if links.is_empty() {
            return Err(Refusal::EmptyScope {
                wanted: format!("zone {}: {}", zone.name, zone.interfaces.join(", ")),
            });
        }
        for other in &zones {
            let shared = other.links.intersection(&links).next();
            if let Some(link) = shared.and_then(|i| host.link(*i)) {
                return Err(Refusal::ZonesOverlap {
                    link: link.name.clone(),
                    first: other.name.clone(),
                    second: zone.name.clone(),
                });
            }
        }
        zones.push(ZoneLinks {
            name: zone.name.clone(),
            links,
        });
    }
    Ok(zones)
}

fn null_prefixes(policy: &Policy) -> Vec<IpNet> {
    if !policy.methods.contains(&Method::Routes) {
        return Vec::new();
    }
    let wanted = policy.routes.null_prefixes.iter().map(IpNet::trunc);
    let families = &policy.scope.families;
    let mut nets: Vec<_> = wanted.filter(|n| families.contains(&Family::of_net(n))).collect();
    nets.sort();
    nets.dedup();
    nets
}

/// The routes to withdraw: never those of the kernel, never those of table `local`, never ours.
fn withdrawn(policy: &Policy, host: &Snapshot, links: &BTreeMap<u32, InterfaceName>) -> Vec<Route> {
    if !policy.methods.contains(&Method::Routes) {
        return Vec::new();
    }
    let of_family = |r: &&Route| policy.scope.families.contains(&r.family);
    let matching = host.routes.iter().filter(of_family);
    matching
        .filter(|r| is_withdrawn(&policy.routes, r, &links_of(r, host), links))
        .cloned()
        .collect()
}

fn is_withdrawn(
    method: &RoutesMethod,
    route: &Route,
    over: &BTreeSet<u32>,
    scope: &BTreeMap<u32, InterfaceName>,
) -> bool {
    let in_scope = over.iter().any(|l| scope.contains_key(l));
    let anywhere = scope.is_empty() || over.is_empty();
    let by_default = method.withdraw_default && is_default(route) && in_scope;
    let by_prefix = method.withdraw_prefixes.iter().any(|p| p.trunc() == route.destination) && (in_scope || anywhere);
    let may = can_be_withdrawn(route)
        && (method.tables.is_empty() || method.tables.contains(&route.table))
        && (method.protocols.is_empty() || method.protocols.contains(&route.protocol));
    may && (by_default || by_prefix)
}

/// Whether any policy can withdraw the route.
pub(super) fn can_be_withdrawn(route: &Route) -> bool {
    route.table != Route::TABLE_LOCAL && route.protocol != Route::PROTOCOL_KERNEL && !ours::is_our_route(route)
}

fn lifelines(
    policy: &Policy,
    host: &Snapshot,
    pinned: &BTreeMap<String, Vec<IpAddr>>,
) -> Result<Vec<Lifeline>, Refusal> {
    let mut all = Vec::new();
    for spec in &policy.lifelines {
        let peers = peers(spec, pinned)?;
        let carries = carries(spec, host)?;
        for link in lifeline_links(spec, host)? {
            all.push(Lifeline {
                name: spec.name.clone(),
                peers: peers.clone(),
                protocol: spec.protocol,
                ports: spec.ports.clone(),
                direction: spec.direction,
                inside: spec.inside.iter().map(IpNet::trunc).collect(),
                link,
                carries: carries.clone(),
            });
        }
    }
    let count = all.iter().map(|l| l.peers.len() * l.inside.len().max(1)).sum();
    if count > PEERS_MAX {
        return Err(Refusal::TooMany {
            what: "peers of lifelines",
            count,
            limit: PEERS_MAX,
        });
    }
    Ok(all)
}

fn peers(spec: &LifelineSpec, pinned: &BTreeMap<String, Vec<IpAddr>>) -> Result<Vec<IpNet>, Refusal> {
    let mut peers: Vec<IpNet> = spec.peers.iter().map(IpNet::trunc).collect();
    for name in &spec.peer_names {
        let known = pinned.get(name).filter(|a| !a.is_empty());
        let addresses = known.ok_or_else(|| Refusal::UnresolvedPeer {
            lifeline: spec.name.clone(),
            name: name.clone(),
        })?;
        peers.extend(addresses.iter().map(|a| IpNet::from(*a)));
    }
    peers.sort();
    peers.dedup();
    Ok(peers)
}

/// The links that match `carries`. A tunnel that is not there yet carries no lifeline, and may come later.
fn carries(spec: &LifelineSpec, host: &Snapshot) -> Result<BTreeSet<u32>, Refusal> {
    let wanted = any_of(&spec.carries)?;
    let picked = host.links.iter().filter(|l| can_be_cut(l) && matches(l, &wanted));
    Ok(picked.map(|l| l.index).collect())
}

/// One lifeline for each link that its pattern matches, or one for all links.
fn lifeline_links(spec: &LifelineSpec, host: &Snapshot) -> Result<Vec<Option<(u32, InterfaceName)>>, Refusal> {
    let Some(text) = &spec.interface else {
        return Ok(vec![None]);
    };
    let wanted = any_of(std::slice::from_ref(text))?;
    let picked = host.links.iter().filter(|l| can_be_cut(l) && matches(l, &wanted));
    let links: Vec<_> = picked.map(|l| Some((l.index, l.name.clone()))).collect();
    if links.is_empty() {
        return Err(Refusal::LifelineLink {
            lifeline: spec.name.clone(),
            pattern: text.clone(),
        });
    }
    Ok(links)
}

/// The gateways of existing routes over the links of the scope. Only seal keeps others from resolving them.
pub(super) fn next_hops(cut: &Cut, host: &Snapshot) -> Result<BTreeSet<(u32, IpAddr)>, Refusal> {
    if !cut.methods.contains(&Method::Seal) || cut.directions == BTreeSet::from([Direction::Forward]) {
        return Ok(BTreeSet::new());
    }
    let routes = host.routes.iter().filter(|r| r.table != Route::TABLE_LOCAL);
    let of_routes = routes.flat_map(|r| gateways_of(r, host));
    let of_objects = host.nexthops.iter().filter_map(|n| n.link.zip(n.gateway));
    let hops = of_routes.chain(of_objects);
    let kept: BTreeSet<_> = hops
        .filter(|(link, gateway)| cut.links.contains_key(link) && cut.families.contains(&Family::of(*gateway)))
        .collect();
    if kept.len() > NEXT_HOPS_MAX {
        return Err(Refusal::TooMany {
            what: "next hops of routes",
            count: kept.len(),
            limit: NEXT_HOPS_MAX,
        });
    }
    Ok(kept)
}
