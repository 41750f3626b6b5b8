//! What an operator must know beforehand: how lifelines are kept, what does not come back, what may go wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::desired::Desired;
use super::flow;
use super::gate::gates;
use super::ours::TABLE;
use super::reachability::{best_routes, links_of};
use super::restore::{not_recreatable, unshown, waiting_for_carriers};
use super::routes::withdraws;
use super::slots;
use crate::model::cut::{Cut, Lifeline};
use crate::model::object::{Family, Route};
use crate::model::plan::Kept;
use crate::model::policy::{Direction, Method, Policy, Transport};
use crate::model::snapshot::{Object, Snapshot};
use crate::model::text::LinkNames;

/// Routing protocols whose daemons put a withdrawn route back (`/etc/iproute2/rt_protos`), with what was seen.
const PUT_BACK: [(u8, &str); 4] = [
    (9, "the kernel, at the next router advertisement"),
    (11, "zebra, at once"),
    (12, "bird, at its next kernel scan"),
    (16, "a DHCP client, when its lease is renewed"),
];

/// How each lifeline is kept, in the cut's order.
pub fn kept(cut: &Cut) -> Vec<Kept> {
    cut.lifelines.iter().map(|l| kept_one(cut, l)).collect()
}

fn kept_one(cut: &Cut, lifeline: &Lifeline) -> Kept {
    let mut by = Vec::new();
    let touched = |f: &Family| cut.families.contains(f) && flow::ends(lifeline, *f).next().is_some();
    if !Family::BOTH.iter().any(touched) {
        by.push("its address family is not cut".to_owned());
    } else {
        for method in &cut.methods {
            by.extend(by_method(cut, lifeline, *method));
        }
    }
    Kept {
        lifeline: lifeline.name.clone(),
        by,
    }
}

fn by_method(cut: &Cut, lifeline: &Lifeline, method: Method) -> Option<String> {
    match method {
        Method::Gate if !gates(cut) => None,
        Method::Gate => {
            let everywhere = if lifeline.link.is_some() {
                ", on every link of the scope, because a shared block does not know links"
            } else {
                ""
            };
            // Fragments carry no ports, and u32 does not look behind the IPv6 fragment header (`rows`).
            let whole = if lifeline.protocol == Transport::Udp && !lifeline.ports.is_empty() {
                "; a datagram in fragments does not pass, because they have no ports"
            } else {
                ""
            };
            Some(format!(
                "gate: tc filters that pass it by address, protocol and port, with ARP, neighbour discovery and path \
                 MTU messages{everywhere}{whole}"
            ))
        }
        Method::Seal => Some(by_rules(lifeline)),
        Method::Routes if withdraws(cut) => {
            let ends = lifeline.peers.iter().chain(&lifeline.inside);
            let thrown = ends.filter(|e| cut.null_prefixes.iter().any(|p| p.contains(*e)));
            let throws: Vec<String> = thrown.map(|e| format!("throw {e} table {TABLE}")).collect();
            Some(if throws.is_empty() {
                "routes: a route of its own is left".to_owned()
            } else {
                format!("routes: ip route {}", throws.join(", "))
            })
        }
        Method::Routes => None,
        Method::Link => Some("link: its routes go over other links".to_owned()),
    }
}

fn by_rules(lifeline: &Lifeline) -> String {
    let (arrive, jump) = (slots::ARRIVE, slots::JUMP);
    let list = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let peers = list(&lifeline.peers);
    let rules = match lifeline.direction {
        Direction::In | Direction::Out => {
            format!("ip rule pref {arrive} from {peers} lookup local, pref {jump} iif lo to {peers} goto")
        }
        Direction::Forward if lifeline.inside.is_empty() => {
            format!("ip rule pref {jump} from {peers} and to {peers} goto")
        }
        Direction::Forward => {
            let inside = list(&lifeline.inside);
            format!("ip rule pref {jump} from {peers} to {inside} and back goto")
        }
    };
    format!("seal: {rules}; IPv4 by protocol without ports, for path MTU discovery")
}

/// What a restore cannot bring back exactly, one line an object.
pub fn lost(cut: &Cut, baseline: &Snapshot) -> Vec<String> {
    let names = LinkNames::of(baseline);
    let objects = not_recreatable(baseline, cut);
    let unshown = unshown(baseline, cut).into_iter().map(|what| what.to_string());
    let waiting = waiting_for_carriers(baseline, cut);
    let waiting = waiting.into_iter().filter_map(|index| baseline.link(index));
    let waiting = waiting.map(|l| {
        format!(
            "-6 what the kernel makes of addresses of {} comes back with its carrier",
            l.name
        )
    });
    objects
        .iter()
        .map(|o| names.object(o).to_string())
        .chain(unshown)
        .chain(waiting)
        .collect()
}

/// What may go wrong.
pub fn warnings(
    policy: &Policy,
    cut: &Cut,
    host: &Snapshot,
    desired: &Desired,
    pinned: &BTreeMap<String, Vec<IpAddr>>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(policy.lifelines.iter().flat_map(|l| {
        let names = l.peer_names.iter();
        names
            .filter_map(|n| pinned.get(n).map(|a| pinned_line(&l.name, n, a)))
            .collect::<Vec<_>>()
    }));
    for lifeline in &cut.lifelines {
        let peers = lifeline
            .peers
            .iter()
            .filter(|p| cut.families.contains(&Family::of_net(p)));
        let lost = peers.filter(|p| best_routes(host, p, |_| true).is_empty() && !has_part(host, p));
        warnings.extend(lost.map(|p| format!("lifeline {}: no route leads to {p} now", lifeline.name)));
    }
    let joins = |object: &Object| match object {
        Object::Qdisc(qdisc) => {
            let up = host.link(qdisc.link).is_some_and(|l| l.up);
            up && cut.links.contains_key(&qdisc.link) && !host.qdiscs.contains(qdisc)
        }
        Object::Link(_)
        | Object::Address(_)
        | Object::Nexthop(_)
        | Object::Route(_)
        | Object::Rule(_)
        | Object::Neighbour(_)
        | Object::Filter(_)
        | Object::Sysctl(_) => false,
    };
    if gates(cut) && !cut.lifelines.is_empty() && desired.present.iter().any(joins) {
        // `dev_deactivate()` in `qdisc_graft()` (net/sched/sch_api.c), measured: 5 ms for each link.
        warnings.push(
            "gate: when its traffic control is laid out and cleared away, the kernel drops what a link sends for some \
             milliseconds, lifelines included; TCP repeats it"
                .to_owned(),
        );
    }
    warnings.extend(withdrawn_warnings(cut, host));
    let only_seal = cut.methods.contains(&Method::Seal) && !gates(cut) && !cut.methods.contains(&Method::Link);
    if only_seal && cut.zones.is_empty() && cut.families.contains(&Family::V4) {
        warnings
            .push("seal alone does not stop IPv4 sockets bound to a device, multicast, ARP and AF_PACKET".to_owned());
    }
    let direct = cut.directions.iter().any(|d| *d != Direction::In);
    if cut.methods.contains(&Method::Seal) && cut.reach == crate::model::cut::Reach::Links && direct {
        let grouped: Vec<String> = cut
            .links
            .iter()
            .filter_map(|(i, name)| {
                let group = host.link(*i).map_or(0, |l| l.group);
                (group != 0).then(|| format!("{name} leaves link group {group} while the cut stands"))
            })
            .collect();
        warnings.push("seal moves the links of the scope into a link group of its own until the end".to_owned());
        warnings.extend(grouped);
    }
    warnings
}

fn pinned_line(lifeline: &str, name: &str, addresses: &[IpAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!(
        "lifeline {lifeline}: {name} is pinned to {} until the end",
        all.join(", ")
    )
}

/// Whether a route leads to a part of the prefix: a wide lifeline is reached by many.
fn has_part(host: &Snapshot, peer: &ipnet::IpNet) -> bool {
    let leads = |r: &Route| r.kind == Route::UNICAST && r.table != Route::TABLE_LOCAL && peer.contains(&r.destination);
    host.routes.iter().any(leads)
}

fn withdrawn_warnings(cut: &Cut, host: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    let names = LinkNames::of(host);
    for route in &cut.withdrawn {
        let object = Object::Route(route.clone());
        let text = names.object(&object);
        let fights = PUT_BACK.iter().find(|(protocol, _)| *protocol == route.protocol);
        if let Some((_, who)) = fights {
            warnings.push(format!("{text}: put back by {who}; the daemon withdraws it again"));
        }
        let over = links_of(route, host);
        let outside = over.iter().any(|l| !cut.links.contains_key(l));
        if outside && !cut.links.is_empty() {
            warnings.push(format!(
                "{text}: also sends over links outside the scope, which lose it, too"
            ));
        }
    }
    warnings
}
