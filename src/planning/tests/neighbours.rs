//! Whose ARP a seal lets pass: the on-link prefixes of a host that `forward` lifelines need.

use std::collections::{BTreeMap, BTreeSet};

use super::hosts::{THROUGH, WHOLE, gateway, policy};
use crate::model::change::Change;
use crate::model::fixture::{direct, multipath, must, nexthop, through};
use crate::model::object::{Family, Hop, Nexthop, Route};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::slots::NEIGHBOUR;
use crate::planning::{Refusal, desired, plan};

/// The IPv4 prefixes towards which the seal lets neighbours resolve, on a host with these routes besides.
fn prefixes(host: &Snapshot) -> Result<BTreeSet<String>, Refusal> {
    let everything = THROUGH.replace("inside = [\"10.1.0.0/24\", \"fd01::/64\"]", "");
    let policy = policy("a", WHOLE, "use = [\"seal\"]", &everything);
    let cut = plan(&policy, host, host, &[], &BTreeMap::new())?.cut;
    let present = desired(host, &[cut])?.present;
    let towards = present.iter().filter_map(|object| {
        let Object::Rule(rule) = object else { return None };
        let here = rule.preference == NEIGHBOUR && rule.family == Family::V4;
        rule.destination.filter(|_| here)
    });
    Ok(towards.map(|net| net.to_string()).collect())
}

fn with(routes: impl IntoIterator<Item = Route>) -> Snapshot {
    let mut host = gateway();
    host.routes.extend(routes);
    host.sort();
    host
}

#[test]
fn a_host_with_thousands_of_on_link_routes_has_few_rules_or_no_plan() {
    let usual = prefixes(&gateway()).unwrap();
    let at = |n: u32| format!("10.77.{}.{}/32", n / 256, n % 256);
    let adjacent = with((0..4096).map(|n| direct(&at(n), 3)));
    let found = prefixes(&adjacent).unwrap();
    assert_eq!(found.difference(&usual).collect::<Vec<_>>(), ["10.77.0.0/20"]);
    let scattered = with((0..4096).map(|n| direct(&at(2 * n), 3)));
    let refusal = prefixes(&scattered).unwrap_err();
    assert_eq!(refusal.code(), "too-many");
    assert!(refusal.to_string().contains("on-link"), "{refusal}");
}

#[test]
fn a_leg_without_a_gateway_is_on_link_like_a_route_without_one() {
    let mut legs = multipath("10.77.0.0/24", &[("10.0.0.9", 2), ("10.1.0.9", 3)]);
    assert!(!prefixes(&with([legs.clone()])).unwrap().contains("10.77.0.0/24"));
    let bare = |hop: &mut Hop| hop.gateway = None;
    legs.hops.iter_mut().skip(1).for_each(bare);
    assert!(prefixes(&with([legs])).unwrap().contains("10.77.0.0/24"));
    for (gateway_of, found) in [(Some("10.1.0.9"), false), (None, true)] {
        let mut host = gateway();
        let object = Nexthop {
            gateway: gateway_of.map(|g| g.parse().unwrap()),
            ..nexthop(7, "10.1.0.9", 3)
        };
        must(&mut host, &Change::Add(Object::Nexthop(object)));
        host.routes.push(through("10.78.0.0/24", 7));
        host.sort();
        assert_eq!(prefixes(&host).unwrap().contains("10.78.0.0/24"), found);
    }
}
