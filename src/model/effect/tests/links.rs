//! What a link takes along when it goes down, and what comes back with it: the lists were taken from Linux 6.18.

use super::*;

/// A link with everything on it that going down may take.
fn laden() -> Snapshot {
    let mut state = small();
    must(&mut state, &Change::SetSysctl(sysctl("net.ipv6.conf.ab0.mtu", "1400")));
    must(&mut state, &Change::Add(Object::Address(leased(2, "fd00::2/64"))));
    settle(&mut state);
    must(&mut state, &Change::Add(Object::Nexthop(nexthop(2, "10.0.1.254", 3))));
    must(&mut state, &Change::Add(Object::Nexthop(group(10, &[1, 2]))));
    let scope_host = Route {
        scope: 254,
        kind: Route::LOCAL,
        ..direct("10.61.0.5/32", 2)
    };
    let hole = Route {
        kind: Route::BLACKHOLE,
        scope: 0,
        link: None,
        ..direct("10.66.0.0/16", 2)
    };
    let proxy = Neighbour {
        flags: 8,
        state: 0,
        mac: Vec::new(),
        ..neighbour(2, "10.0.0.8")
    };
    let objects = [
        Object::Route(via("0.0.0.0/0", "10.0.0.254", 2)),
        Object::Route(via("::/0", "fd00::fe", 2)),
        Object::Route(Route {
            table: 100,
            ..direct("10.7.0.0/16", 2)
        }),
        Object::Route(scope_host),
        Object::Route(hole),
        Object::Route(multipath("10.78.0.0/16", &[("10.0.0.254", 2), ("10.0.1.254", 3)])),
        Object::Route(multipath("10.79.0.0/16", &[("10.0.0.254", 2), ("10.0.0.253", 2)])),
        Object::Route(through("10.80.0.0/16", 9)),
        Object::Route(through("10.81.0.0/16", 10)),
        Object::Neighbour(neighbour(2, "10.0.0.9")),
        Object::Neighbour(neighbour(2, "fd00::9")),
        Object::Neighbour(proxy),
    ];
    for object in objects {
        must(&mut state, &Change::Add(object));
    }
    state
}

fn lines(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    diff(before, after).iter().map(ToString::to_string).collect()
}

fn destinations(differences: &[Difference]) -> Vec<String> {
    let routes = differences.iter().filter_map(|d| match d {
        Difference::Missing(Object::Route(r)) => Some(r.destination.to_string()),
        Difference::Missing(_) | Difference::Extra(_) | Difference::Changed { .. } => None,
    });
    routes.collect()
}

#[test]
fn a_link_that_goes_down_takes_what_the_kernel_takes_and_nothing_else() {
    let before = laden();
    let mut after = before.clone();
    down(&mut after, 2);
    let taken = diff(&before, &after);
    let wanted = [
        "0.0.0.0/0",
        "10.0.0.0/24",
        "10.79.0.0/16",
        "10.80.0.0/16",
        "10.7.0.0/16",
        "10.0.0.255/32",
        "::/0",
        "fd00::/64",
        "fe80::/64",
        "fd00::1/128",
        "fd00::2/128",
        "fe80::ff:fe00:2/128",
        "ff00::/8",
    ];
    let mut lost = destinations(&taken);
    lost.sort();
    let mut wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    wanted.sort();
    assert_eq!(lost, wanted);
    assert_eq!(own(&after.addresses, 2, Family::V6), [] as [IpAddr; 0]);
    assert_eq!(own(&after.addresses, 2, Family::V4).len(), 1);
    assert_eq!(after.nexthops, [nexthop(2, "10.0.1.254", 3), group(10, &[2])]);
    assert!(after.neighbours.is_empty());
    assert_eq!(
        after.sysctls[0].value, "1500",
        "what the router advertised is forgotten"
    );
    assert_eq!(
        (after.qdiscs, after.filters, after.rules),
        (before.qdiscs, before.filters, before.rules)
    );
}

#[test]
fn a_link_that_comes_up_brings_connected_routes_behind_their_equals_and_link_local() {
    let mut before = laden();
    must(&mut before, &Change::Add(Object::Address(address(3, "10.0.0.7/24"))));
    let mut after = before.clone();
    down(&mut after, 2);
    let while_down = after.clone();
    up(&mut after, 2);
    let link_local = |s: &Snapshot| {
        s.routes
            .iter()
            .any(|r| r.destination.to_string() == "fe80::ff:fe00:2/128")
    };
    assert!(!link_local(&after), "not before duplicate address detection");
    settle(&mut after);
    assert!(link_local(&after));
    let back: Vec<String> = diff(&while_down, &after)
        .iter()
        .filter(|d| matches!(d, Difference::Extra(_)))
        .map(ToString::to_string)
        .collect();
    assert_eq!(back.len(), 6, "{back:#?}");
    let connected = after
        .routes
        .iter()
        .filter(|r| r.destination.to_string() == "10.0.0.0/24");
    assert_eq!(
        connected.filter_map(|r| r.link).collect::<Vec<_>>(),
        [3, 2],
        "the order flips"
    );
}

#[test]
fn addresses_without_a_lifetime_stay_where_the_host_says_so() {
    let mut state = laden();
    must(
        &mut state,
        &Change::SetSysctl(sysctl("net.ipv6.conf.ab0.keep_addr_on_down", "1")),
    );
    down(&mut state, 2);
    let kept = own(&state.addresses, 2, Family::V6);
    assert_eq!(kept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["fd00::1"]);
    assert!(!state.routes.iter().any(|r| r.destination.to_string() == "fd00::/64"));
    up(&mut state, 2);
    settle(&mut state);
    assert!(state.routes.iter().any(|r| r.destination.to_string() == "fd00::/64"));
}

#[test]
fn an_address_that_came_while_the_link_was_down_gets_its_routes_with_the_link() {
    let mut state = small();
    must(&mut state, &Change::Add(Object::Address(address(4, "fd04::1/64"))));
    settle(&mut state);
    let has = |s: &Snapshot, net: &str| s.routes.iter().any(|r| r.destination.to_string() == net);
    assert!(!has(&state, "fd04::/64") && !has(&state, "fd04::1/128"));
    up(&mut state, 4);
    settle(&mut state);
    assert!(has(&state, "fd04::/64") && has(&state, "fd04::1/128"));
}

#[test]
fn a_vlan_follows_its_device() {
    let mut state = host(1);
    let vlan = Link {
        kind: Some("vlan".to_owned()),
        lower: Some(2),
        ..link(9, "vlan9")
    };
    state.links.push(vlan);
    up(&mut state, 9);
    down(&mut state, 2);
    assert!(!state.link(9).unwrap().up);
    up(&mut state, 2);
    assert!(state.link(9).unwrap().up);
}

#[test]
fn a_link_that_is_deleted_takes_all_that_hangs_on_it() {
    let mut state = laden();
    must(&mut state, &Change::Delete(Object::Link(link(2, "ab0"))));
    let left: Vec<String> = lines(&Snapshot::default(), &state);
    assert!(
        !left.iter().any(|l| l.contains("if:2 ") || l.ends_with("if:2")),
        "{left:#?}"
    );
}
