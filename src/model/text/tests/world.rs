//! A snapshot that holds every kind of object, with every field set somewhere.

use crate::model::names::InterfaceName;
use crate::model::object::{
    Address, Attach, Attributes, Family, Filter, FilterEntries, Hop, Lifetime, Link, LinkAbroad, Neighbour, Nexthop,
    OUR_PROTOCOL, Qdisc, Route, Rule, RuleAction, Sysctl, U32Match, Verdict, Volatile,
};
use crate::model::snapshot::Snapshot;

pub(super) fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

pub(super) fn link(index: u32, text: &str) -> Link {
    Link {
        index,
        name: name(text),
        kind: Some("veth".to_owned()),
        up: true,
        flags: 0x1002,
        carrier: Volatile(true),
        mtu: 1500,
        master: None,
        lower: None,
        lower_abroad: None,
        mac: vec![2, 0, 0, 0, 0, 1],
        altnames: vec![],
        group: 0,
    }
}

pub(super) fn address(link: u32, family: Family, own: &str) -> Address {
    let own = own.parse().unwrap();
    Address {
        family,
        link,
        prefix_length: 24,
        scope: 0,
        flags: 0x80,
        tentative: Volatile(false),
        stable_privacy: Volatile(false),
        local: (family == Family::V4).then_some(own),
        address: own,
        broadcast: None,
        label: None,
        lifetime: Volatile(None),
        permanent: true,
        extra: Attributes::new(),
    }
}

pub(super) fn route(family: Family, destination: &str) -> Route {
    Route {
        family,
        destination: destination.parse().unwrap(),
        source: None,
        tos: 0,
        table: 254,
        protocol: 4,
        scope: 0,
        kind: Route::UNICAST,
        flags: 0,
        metric: 0,
        link: None,
        gateway: None,
        preferred_source: None,
        nexthop: None,
        hops: vec![],
        metrics: Attributes::new(),
        expires_s: Volatile(None),
        extra: Attributes::new(),
    }
}

pub(super) fn hop(link: u32, gateway: &str) -> Hop {
    Hop {
        link,
        hops: 0,
        flags: 0,
        gateway: Some(gateway.parse().unwrap()),
        extra: Attributes::new(),
    }
}

pub(super) fn nexthop(id: u32) -> Nexthop {
    Nexthop {
        id,
        family: 2,
        scope: 253,
        protocol: 4,
        flags: 0,
        link: Some(2),
        gateway: Some("192.0.2.1".parse().unwrap()),
        blackhole: false,
        group: vec![],
        extra: Attributes::new(),
    }
}

pub(super) fn full_rule() -> Rule {
    Rule {
        invert: true,
        source: Some("192.0.2.0/24".parse().unwrap()),
        destination: Some("2001:db8::/32".parse().unwrap()),
        iif: Some(name("up0")),
        oif: Some(name("if12")),
        mark: Some((1, 0xff)),
        uid_range: Some((0, 1000)),
        ip_protocol: Some(6),
        source_ports: Some((22, 22)),
        destination_ports: Some((8000, 8010)),
        suppress_prefix_length: Some(0),
        suppress_group: Some(7),
        tos: 16,
        extra: Attributes::from([(0x1d, vec![0, 255])]),
        ..Rule::ours(Family::V6, 90, RuleAction::Goto(300))
    }
}

pub(super) fn filters() -> Vec<Filter> {
    let all = |attach, pref, protocol, entries| Filter {
        attach,
        preference: pref,
        protocol,
        chain: 0,
        kind: "u32".to_owned(),
        entries,
    };
    let ssh = U32Match {
        offset: 12,
        value: 0x0a00_0000,
        mask: 0xff00_0000,
    };
    let pass = vec![
        (vec![ssh, U32Match { offset: 20, ..ssh }], Verdict::Pass),
        (vec![ssh], Verdict::Pass),
    ];
    vec![
        all(Attach::Block(21), 10, 0x0800, FilterEntries::U32(pass)),
        all(
            Attach::Block(21),
            100,
            3,
            FilterEntries::U32(vec![(vec![], Verdict::DropInto(4))]),
        ),
        all(Attach::Egress(2), 5, 0x88a8, FilterEntries::Foreign(vec![0x8000_0800])),
        all(Attach::Other(2, 0x0001_0000), 5, 0x86dd, FilterEntries::Foreign(vec![])),
    ]
}

/// Every kind of object, with every field set somewhere.
pub(super) fn world() -> Snapshot {
    Snapshot {
        links: vec![
            Link {
                kind: None,
                flags: 0x8,
                mac: vec![],
                ..link(1, "lo")
            },
            Link {
                altnames: vec![name("wan"), name("enp0s3")],
                master: Some(3),
                lower: Some(12),
                ..link(2, "up0")
            },
            Link {
                kind: Some("bridge".to_owned()),
                up: false,
                group: 7,
                ..link(3, "if12")
            },
            Link {
                kind: Some("ifb".to_owned()),
                flags: 0x10080,
                lower_abroad: Some(LinkAbroad { index: 3, netns: 0 }),
                ..link(4, "dwn0")
            },
        ],
        addresses: vec![
            Address {
                broadcast: Some("192.0.2.255".parse().unwrap()),
                label: Some(b"up0:1 \x1b".to_vec()),
                ..address(2, Family::V4, "192.0.2.7")
            },
            Address {
                flags: 0x4301,
                permanent: false,
                lifetime: Volatile(Some(Lifetime {
                    preferred_s: 600,
                    valid_s: 1200,
                })),
                extra: Attributes::from([(11, vec![3])]),
                ..address(2, Family::V6, "2001:db8::7")
            },
            Address {
                local: Some("192.0.2.9".parse().unwrap()),
                ..address(12, Family::V4, "192.0.2.10")
            },
        ],
        nexthops: vec![
            nexthop(1),
            Nexthop {
                family: 0,
                link: None,
                gateway: None,
                scope: 0,
                group: vec![(1, 0), (2, 4)],
                ..nexthop(9)
            },
            Nexthop {
                family: 10,
                flags: 4,
                gateway: Some("fe80::1".parse().unwrap()),
                extra: Attributes::from([(7, vec![])]),
                ..nexthop(2)
            },
            Nexthop {
                blackhole: true,
                ..nexthop(3)
            },
        ],
        routes: vec![
            Route {
                link: Some(2),
                gateway: Some("192.0.2.1".parse().unwrap()),
                ..route(Family::V4, "0.0.0.0/0")
            },
            Route {
                metrics: Attributes::from([
                    (2, 1400_u32.to_ne_bytes().to_vec()),
                    (3, vec![1]),
                    (4, vec![1, 0, 0, 0]),
                ]),
                gateway: Some("fe80::1".parse().unwrap()),
                link: Some(12),
                preferred_source: Some("192.0.2.7".parse().unwrap()),
                flags: 0x1004,
                tos: 16,
                metric: 100,
                table: 80,
                protocol: OUR_PROTOCOL,
                scope: 253,
                ..route(Family::V4, "198.51.100.0/24")
            },
            Route {
                source: Some("2001:db8:1::/48".parse().unwrap()),
                extra: Attributes::from([(20, vec![0]), (29, vec![1, 2])]),
                expires_s: Volatile(Some(17)),
                hops: vec![
                    hop(2, "fe80::1"),
                    Hop {
                        hops: 4,
                        flags: 4,
                        extra: Attributes::from([(22, vec![9])]),
                        ..hop(3, "192.0.2.1")
                    },
                ],
                ..route(Family::V6, "2001:db8::/32")
            },
            Route {
                nexthop: Some(9),
                ..route(Family::V6, "::/0")
            },
            Route {
                kind: Route::BLACKHOLE,
                ..route(Family::V4, "203.0.113.0/24")
            },
        ],
        rules: vec![
            Rule::local(Family::V4),
            Rule::ours(Family::V4, 100, RuleAction::Prohibit),
            full_rule(),
        ],
        neighbours: vec![
            Neighbour {
                family: Family::V4,
                link: 2,
                address: "192.0.2.1".parse().unwrap(),
                mac: vec![2, 0, 0, 0, 0, 9],
                state: 0x80,
                flags: 0x80,
                extra: Attributes::from([(12, vec![4])]),
            },
            Neighbour {
                family: Family::V6,
                link: 2,
                address: "2001:db8::9".parse().unwrap(),
                mac: vec![],
                state: 0,
                flags: 8,
                extra: Attributes::new(),
            },
        ],
        qdiscs: vec![
            Qdisc {
                link: 2,
                kind: "clsact".to_owned(),
                handle: Qdisc::CLSACT_HANDLE,
                parent: Qdisc::CLSACT_PARENT,
                ingress_block: Some(21),
                egress_block: Some(22),
            },
            Qdisc {
                link: 3,
                kind: "noqueue".to_owned(),
                handle: 0,
                parent: u32::MAX,
                ingress_block: None,
                egress_block: None,
            },
        ],
        filters: filters(),
        sysctls: vec![Sysctl {
            name: "net.ipv4.tcp_rmem".to_owned(),
            value: "4096\t131072 6291456".to_owned(),
        }],
        moving: false,
    }
}
