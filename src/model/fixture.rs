//! Small hosts for tests, built by the model kernel itself, so that they hold what a kernel would hold.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::change::{Change, LinkSetting, Outcome};
use super::effect::{apply, settle};
use super::names::InterfaceName;
use super::object::{
    Address, Attributes, Family, Hop, Lifetime, Link, Neighbour, Nexthop, Route, Rule, RuleAction, Sysctl, Volatile,
};
use super::snapshot::{Object, Snapshot};

/// An interface name.
pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

/// A veth that is down; its hardware address follows from the index.
pub(crate) fn link(index: u32, called: &str) -> Link {
    let [.., low] = index.to_be_bytes();
    Link {
        index,
        name: name(called),
        kind: Some("veth".to_owned()),
        up: false,
        flags: 0x1002,
        carrier: Volatile(true),
        mtu: 1500,
        master: None,
        lower: None,
        lower_abroad: None,
        mac: vec![2, 0, 0, 0, 0, low],
        altnames: Vec::new(),
        group: 0,
    }
}

/// A host with loopback, the kernel's own rules and links `ab0`, `ab1`, … of index 2 and up, all of them up.
pub(crate) fn host(links: u32) -> Snapshot {
    let lo = Link {
        kind: None,
        flags: Link::FLAG_LOOPBACK,
        mac: vec![0; 6],
        mtu: 65536,
        ..link(1, "lo")
    };
    let mut state = Snapshot::default();
    state.links.push(lo);
    state.links.extend((0..links).map(|i| link(i + 2, &format!("ab{i}"))));
    for family in Family::BOTH {
        state.rules.push(Rule::local(family));
        let kernel = |preference, table| Rule {
            protocol: Route::PROTOCOL_KERNEL,
            ..Rule::ours(family, preference, RuleAction::Lookup(table))
        };
        state.rules.push(kernel(32766, Route::TABLE_MAIN));
        if family == Family::V4 {
            state.rules.push(kernel(32767, 253));
        }
    }
    state.sort();
    for index in 1..links + 2 {
        up(&mut state, index);
    }
    must(&mut state, &Change::Add(Object::Address(address(1, "127.0.0.1/8"))));
    settle(&mut state);
    state
}

/// Carries out a change that the model kernel must take.
pub(crate) fn must(state: &mut Snapshot, change: &Change) {
    assert_eq!(apply(state, change), Ok(Outcome::Applied), "{change:?}");
}

pub(crate) fn set(index: u32, setting: LinkSetting) -> Change {
    let name = name("any");
    Change::SetLink { index, name, setting }
}

pub(crate) fn up(state: &mut Snapshot, index: u32) {
    must(state, &set(index, LinkSetting::Up));
}

pub(crate) fn down(state: &mut Snapshot, index: u32) {
    must(state, &set(index, LinkSetting::Down));
}

/// An address without a lifetime, written `ip/length`.
pub(crate) fn address(link: u32, net: &str) -> Address {
    let net: IpNet = net.parse().unwrap();
    let family = Family::of_net(&net);
    let host_scope = net.addr().is_loopback();
    Address {
        family,
        link,
        prefix_length: net.prefix_len(),
        scope: if host_scope { 254 } else { 0 },
        flags: Address::FLAG_PERMANENT,
        tentative: Volatile(false),
        stable_privacy: Volatile(false),
        local: (family == Family::V4).then(|| net.addr()),
        address: net.addr(),
        broadcast: None,
        label: None,
        lifetime: Volatile(None),
        permanent: true,
        extra: Attributes::new(),
    }
}

/// The same with a lifetime, as SLAAC gives it.
pub(crate) fn leased(link: u32, net: &str) -> Address {
    let lifetime = Lifetime {
        preferred_s: 1800,
        valid_s: 3600,
    };
    Address {
        flags: 0,
        permanent: false,
        lifetime: Volatile(Some(lifetime)),
        ..address(link, net)
    }
}

/// A static route of table main to a link, without a gateway.
pub(crate) fn direct(destination: &str, link: u32) -> Route {
    let destination: IpNet = destination.parse().unwrap();
    let family = Family::of_net(&destination);
    let (scope, metric) = if family == Family::V4 { (253, 0) } else { (0, 1024) };
    Route {
        family,
        destination,
        source: None,
        tos: 0,
        table: Route::TABLE_MAIN,
        protocol: 4,
        scope,
        kind: Route::UNICAST,
        flags: 0,
        metric,
        link: Some(link),
        gateway: None,
        preferred_source: None,
        nexthop: None,
        hops: Vec::new(),
        metrics: Attributes::new(),
        expires_s: Volatile(None),
        extra: Attributes::new(),
    }
}

/// A static route through a gateway.
pub(crate) fn via(destination: &str, gateway: &str, link: u32) -> Route {
    Route {
        scope: 0,
        gateway: Some(gateway.parse().unwrap()),
        ..direct(destination, link)
    }
}

/// A static route that uses a nexthop object.
pub(crate) fn through(destination: &str, id: u32) -> Route {
    Route {
        scope: 0,
        link: None,
        nexthop: Some(id),
        ..direct(destination, 0)
    }
}

/// A multipath route.
pub(crate) fn multipath(destination: &str, legs: &[(&str, u32)]) -> Route {
    let leg = |(gateway, link): &(&str, u32)| Hop {
        link: *link,
        hops: 0,
        flags: 0,
        gateway: Some(gateway.parse().unwrap()),
        extra: Attributes::new(),
    };
    Route {
        scope: 0,
        link: None,
        hops: legs.iter().map(leg).collect(),
        ..direct(destination, 0)
    }
}

/// A single nexthop object.
pub(crate) fn nexthop(id: u32, gateway: &str, link: u32) -> Nexthop {
    let gateway: IpAddr = gateway.parse().unwrap();
    Nexthop {
        id,
        family: if gateway.is_ipv4() { 2 } else { 10 },
        scope: 253,
        protocol: 4,
        flags: 0,
        link: Some(link),
        gateway: Some(gateway),
        blackhole: false,
        group: Vec::new(),
        extra: Attributes::new(),
    }
}

/// A group of nexthop objects.
pub(crate) fn group(id: u32, members: &[u32]) -> Nexthop {
    Nexthop {
        family: 0,
        scope: 0,
        link: None,
        gateway: None,
        group: members.iter().map(|m| (*m, 0)).collect(),
        // NHA_GROUP_TYPE: multipath.
        extra: [(3, vec![0, 0])].into(),
        ..nexthop(id, "10.0.0.1", 0)
    }
}

/// A permanent neighbour.
pub(crate) fn neighbour(link: u32, ip: &str) -> Neighbour {
    let address: IpAddr = ip.parse().unwrap();
    Neighbour {
        family: Family::of(address),
        link,
        address,
        mac: vec![2, 0, 0, 0, 1, 1],
        state: 0x80,
        flags: 0,
        extra: Attributes::new(),
    }
}

pub(crate) fn sysctl(called: &str, value: &str) -> Sysctl {
    Sysctl {
        name: called.to_owned(),
        value: value.to_owned(),
    }
}

/// A small host with a bit of everything; what the model kernel refuses of it is left out.
pub(crate) fn small_host() -> impl Strategy<Value = Snapshot> {
    let changes = prop::collection::vec(any_change(), 0..40);
    let keeps = prop::collection::vec(any::<bool>(), LINKS as usize);
    (changes, keeps).prop_map(|(changes, keeps)| {
        let mut state = host(LINKS);
        for (i, keep) in keeps.into_iter().enumerate().filter(|(_, keep)| *keep) {
            let called = format!("net.ipv6.conf.ab{i}.keep_addr_on_down");
            must(
                &mut state,
                &Change::SetSysctl(sysctl(&called, &u8::from(keep).to_string())),
            );
        }
        for change in changes {
            if apply(&mut state, &change).is_ok() {
                settle(&mut state);
            }
        }
        state
    })
}

/// Links of a [`small_host`], of index 2 and up.
pub(crate) const LINKS: u32 = 3;

/// What somebody might do to a small host.
pub(crate) fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any_address().prop_map(|a| Change::Add(Object::Address(a))),
        5 => any_route().prop_map(|r| Change::Add(Object::Route(r))),
        2 => any_nexthop().prop_map(|n| Change::Add(Object::Nexthop(n))),
        1 => (any_link(), 1..4u8).prop_map(|(l, i)| Change::Add(Object::Neighbour(neighbour(l, &format!("10.0.{i}.9"))))),
    ]
}

fn any_link() -> impl Strategy<Value = u32> {
    2..LINKS + 2
}

fn any_address() -> impl Strategy<Value = Address> {
    (any_link(), 0..3u8, 1..4u8, 0..3u8).prop_map(|(link, net, host, sort)| match sort {
        0 => address(link, &format!("10.0.{net}.{host}/24")),
        1 => address(link, &format!("fd00:{net}::{link}{host}/64")),
        _ => leased(link, &format!("fd00:{net}::{link}{host}/64")),
    })
}

fn any_nexthop() -> impl Strategy<Value = Nexthop> {
    let single = (1..4u32, any_link(), 0..3u8).prop_map(|(id, l, net)| nexthop(id, &format!("10.0.{net}.254"), l));
    let grouped = (11..13u32, prop::sample::subsequence(vec![1, 2, 3], 1..=3)).prop_map(|(id, m)| group(id, &m));
    prop_oneof![2 => single, 1 => grouped]
}

fn any_route() -> impl Strategy<Value = Route> {
    let to = |i: u8, six: bool| {
        if six {
            format!("fd99:{i}::/48")
        } else {
            format!("10.9{i}.0.0/16")
        }
    };
    let gateway = |net: u8, six: bool| {
        if six {
            format!("fd00:{net}::fe")
        } else {
            format!("10.0.{net}.254")
        }
    };
    let plain = (0..3u8, any_link(), any::<bool>()).prop_map(move |(i, l, six)| direct(&to(i, six), l));
    let gated = (0..3u8, 0..3u8, any_link(), any::<bool>(), 0..2u32).prop_map(move |(i, net, l, six, metric)| Route {
        metric: if six { 1024 + metric } else { metric },
        ..via(&to(i, six), &gateway(net, six), l)
    });
    let sourced = (0..3u8, any_link(), 0..3u8, 1..4u8, any::<bool>()).prop_map(move |(i, l, net, h, six)| {
        let source = if six {
            format!("fd00:{net}::{h}")
        } else {
            format!("10.0.{net}.{h}")
        };
        Route {
            preferred_source: Some(source.parse().unwrap()),
            ..direct(&to(i, six), l)
        }
    });
    let legs = (0..3u8, any_link(), any_link())
        .prop_map(move |(i, a, b)| multipath(&to(i, false), &[(&gateway(0, false), a), (&gateway(1, false), b)]));
    let by_id = (0..3u8, prop_oneof![1..4u32, 11..13u32]).prop_map(move |(i, id)| through(&to(i, false), id));
    let black = (0..3u8, any::<bool>()).prop_map(move |(i, six)| Route {
        kind: Route::BLACKHOLE,
        scope: 0,
        // The kernel shows IPv6 routes to nowhere on the loopback device.
        link: six.then_some(1),
        ..direct(&to(i, six), 1)
    });
    prop_oneof![2 => plain, 4 => gated, 2 => sourced, 2 => legs, 2 => by_id, 1 => black]
}
