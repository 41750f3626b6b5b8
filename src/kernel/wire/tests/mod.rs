//! The command, the bytes, both directions; and laws over objects that nobody captured.

use proptest::prelude::*;

use super::*;
use crate::kernel::wire::tests::captured::bytes;
use crate::model::object::{
    Address, Attach, Filter, FilterEntries, Hop, Lifetime, Link, LinkAbroad, Neighbour, Nexthop, Qdisc, Route, Rule,
    RuleAction, U32Match, Verdict, Volatile,
};

mod captured;

/// What stands behind the netlink header of the only message that `write` writes.
fn written(write: impl FnOnce(&mut Batch) -> Result<(), Refusal>) -> Vec<u8> {
    let mut batch = Batch::default();
    write(&mut batch).unwrap();
    assert_eq!(batch.len(), 1, "one message");
    batch.span(0, 1)[MESSAGE_HEADER_BYTES..].to_vec()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn name(bytes: &[u8]) -> InterfaceName {
    InterfaceName::from_kernel(bytes).unwrap()
}

fn raw<const N: usize>(attributes: [(u16, &[u8]); N]) -> Attributes {
    attributes
        .into_iter()
        .map(|(kind, value)| (kind, value.to_vec()))
        .collect()
}

fn without(payload: &[u8], header: usize, dropped: u16) -> Vec<u8> {
    let mut kept = payload[..header].to_vec();
    for attribute in NlasIterator::new(&payload[header..]) {
        let attribute = attribute.unwrap();
        if attribute.kind() != dropped {
            kept.extend_from_slice(&attribute.into_inner()[..usize::from(attribute.length())]);
            pad(&mut kept);
        }
    }
    kept
}

#[test]
fn links_are_read_with_names_that_are_no_text() {
    let veth = link::decode(&bytes(captured::LINK_VETH)).unwrap();
    let expected = Link {
        index: 3,
        name: name(b"ua0"),
        kind: Some("veth".to_owned()),
        up: true,
        flags: 0x1002,
        carrier: Volatile(true),
        mtu: 1500,
        master: None,
        lower: Some(2),
        lower_abroad: None,
        mac: bytes("ea36707aec6c"),
        altnames: vec![name(b"second-name")],
        group: 5,
    };
    assert_eq!(veth, expected);
    // IFLA_LINK_NETNSID behind it: the index is that of a link elsewhere.
    let mut abroad = bytes(captured::LINK_VETH);
    abroad.extend_from_slice(&[8, 0, 37, 0, 4, 0, 0, 0]);
    let lower_abroad = Some(LinkAbroad { index: 2, netns: 4 });
    let expected = Link {
        lower: None,
        lower_abroad,
        ..expected
    };
    assert_eq!(link::decode(&abroad).unwrap(), expected);
    let odd = link::decode(&bytes(captured::LINK_NOT_UTF8)).unwrap();
    assert_eq!((odd.name, odd.up, odd.flags), (name(b"\xff\xfebad"), false, 0x82));
}

#[test]
fn our_ifb_is_written_under_its_own_index_and_no_other_link_is() {
    let ours = Link {
        name: name(b"pcd0"),
        index: 4242,
        ..link::decode(&bytes(captured::LINK_NOT_UTF8)).unwrap()
    };
    // ifinfomsg with index 0x1092; IFLA_IFNAME; IFLA_LINKINFO { IFLA_INFO_KIND "ifb" }.
    let expected = "00000000 92100000 00000000 00000000 0900030070636430 00000000 0c001200 0700010069666200";
    assert_eq!(written(|b| link::add(b, &ours)), bytes(expected));
    let veth = link::decode(&bytes(captured::LINK_VETH)).unwrap();
    assert!(link::add(&mut Batch::default(), &veth).is_err());
    assert!(link::delete(&mut Batch::default(), &veth).is_err());
    assert!(link::set(&mut Batch::default(), 0, crate::model::change::LinkSetting::Down).is_err());
}

#[test]
fn addresses_are_read_and_written() {
    let v4 = address::decode(&bytes(captured::ADDRESS_V4)).unwrap().unwrap();
    let expected = Address {
        family: Family::V4,
        link: 2,
        prefix_length: 24,
        scope: 0,
        flags: 0,
        tentative: Volatile(false),
        stable_privacy: Volatile(false),
        local: Some(ip("10.3.0.2")),
        address: ip("10.3.0.2"),
        broadcast: Some(ip("10.3.0.255")),
        label: Some(b"ub0:x".to_vec()),
        lifetime: Volatile(None),
        permanent: false,
        extra: Attributes::new(),
    };
    assert_eq!(v4, expected);
    let lifetime = Some(Lifetime {
        preferred_s: 4000,
        valid_s: 5000,
    });
    assert_eq!(v4.lifetime.0, lifetime, "remaining seconds are kept for a restore");
    let again = address::decode(&written(|b| address::add(b, &v4))).unwrap().unwrap();
    assert_eq!((&again, again.lifetime.0), (&v4, lifetime));

    let v6 = address::decode(&bytes(captured::ADDRESS_V6)).unwrap().unwrap();
    assert_eq!((v6.own(), v6.address), (ip("2001:db8:9::1"), ip("2001:db8:9::2")));
    assert_eq!((v6.flags, v6.permanent, v6.lifetime.0), (0x282, true, None));
    let stable = captured::ADDRESS_V6.replace("0800080082020000", "08000800820a0000");
    let stable = address::decode(&bytes(&stable)).unwrap().unwrap();
    assert!(stable == v6 && stable.stable_privacy.0 && !v6.stable_privacy.0);
    let asked = address::decode(&written(|b| address::add(b, &v6))).unwrap().unwrap();
    assert_eq!(asked.flags, 0x202, "whether it is permanent is for the kernel to say");
}

#[test]
fn routes_are_read_and_written_byte_for_byte() {
    let metrics = bytes(captured::ROUTE_METRICS);
    let route = route::decode(&metrics).unwrap().unwrap();
    let expected = Route {
        family: Family::V4,
        destination: net("10.20.0.0/16"),
        source: None,
        tos: 0,
        table: 1234,
        protocol: 66,
        scope: 0,
        kind: Route::UNICAST,
        flags: 0,
        metric: 7,
        link: Some(3),
        gateway: Some(ip("10.1.0.1")),
        preferred_source: Some(ip("10.1.0.2")),
        nexthop: None,
        hops: Vec::new(),
        // RTAX_LOCK of RTAX_MTU, and RTAX_MTU.
        metrics: raw([(1, &[4, 0, 0, 0]), (2, &[0x78, 5, 0, 0])]),
        expires_s: Volatile(None),
        extra: Attributes::new(),
    };
    assert_eq!(route, expected);
    // The header's table is RT_TABLE_COMPAT from the kernel and RT_TABLE_UNSPEC from us: RTA_TABLE counts.
    let mut again = written(|b| route::add(b, &route));
    assert_eq!(std::mem::replace(&mut again[4], metrics[4]), 0);
    assert_eq!(again, metrics);

    let multipath = bytes(captured::ROUTE_MULTIPATH);
    let route = route::decode(&multipath).unwrap().unwrap();
    let hop = |hops, gateway| Hop {
        link: 3,
        hops,
        flags: 0,
        gateway: Some(ip(gateway)),
        extra: Attributes::new(),
    };
    assert_eq!(route.hops, [hop(2, "10.1.0.1"), hop(4, "fe80::1")]);
    assert_eq!(written(|b| route::add(b, &route)), multipath);

    let encap = bytes(captured::ROUTE_ENCAP);
    let route = route::decode(&encap).unwrap().unwrap();
    assert_eq!(
        route.extra.keys().copied().collect::<Vec<_>>(),
        [21, 22],
        "RTA_ENCAP_TYPE and RTA_ENCAP, untouched"
    );
    assert_eq!(route::decode(&written(|b| route::add(b, &route))), Ok(Some(route)));
}

#[test]
fn a_route_that_expires_is_written_with_what_remains() {
    let route = route::decode(&bytes(captured::ROUTE_EXPIRES)).unwrap().unwrap();
    assert_eq!(route.expires_s.0, Some(3000));
    assert_eq!(
        route.extra,
        raw([(20, &[1])]),
        "RTA_PREF high stays, RTA_CACHEINFO does not"
    );
    // RTA_EXPIRES 3000.
    let contains = |haystack: &[u8]| haystack.windows(8).any(|w| w == bytes("08001700b80b0000"));
    assert!(contains(&written(|b| route::add(b, &route))));
    assert!(!contains(&written(|b| route::delete(b, &route))));
}

#[test]
fn a_route_by_nexthop_object_names_nothing_else() {
    let route = route::decode(&bytes(captured::ROUTE_NEXTHOP)).unwrap().unwrap();
    assert_eq!((route.nexthop, route.link, route.gateway), (Some(1), None, None));
    let expected = "02100000 fe030001 00000000 08000f00fe000000 080001000a280000 08001e0001000000";
    assert_eq!(written(|b| route::add(b, &route)), bytes(expected));
}

#[test]
fn cached_copies_and_other_families_are_no_routes_of_a_snapshot() {
    let mut cloned = bytes(captured::ROUTE_METRICS);
    cloned[9] |= 0x02;
    assert_eq!(route::decode(&cloned), Ok(None));
    let mut mpls = bytes(captured::ROUTE_METRICS);
    mpls[0] = 28;
    assert_eq!(route::decode(&mpls), Ok(None));
}

#[test]
fn what_is_cut_short_is_an_error() {
    let whole = bytes(captured::ROUTE_MULTIPATH);
    for length in [0, 11, 14, 21, 40, whole.len() - 1] {
        assert!(route::decode(&whole[..length]).is_err(), "{length} bytes");
    }
    let twice = [&bytes(captured::ROUTE_EXPIRES)[..], &bytes("0500140001000000")[..]].concat();
    assert!(route::decode(&twice).is_err(), "an attribute that occurs twice");
}

#[test]
fn nexthops_and_groups_are_read_and_written() {
    let single = bytes(captured::NEXTHOP);
    let nexthop = nexthop::decode(&single).unwrap();
    let expected = Nexthop {
        id: 1,
        family: 2,
        scope: 253,
        protocol: 66,
        flags: 0,
        link: Some(3),
        gateway: Some(ip("10.1.0.1")),
        blackhole: false,
        group: Vec::new(),
        extra: Attributes::new(),
    };
    assert_eq!(nexthop, expected);
    let mut again = written(|b| nexthop::add(b, &nexthop));
    assert_eq!(
        std::mem::replace(&mut again[1], 253),
        0,
        "the scope is the kernel's to say"
    );
    assert_eq!(again, single);

    let group = nexthop::decode(&bytes(captured::NEXTHOP_RESILIENT)).unwrap();
    assert_eq!((group.id, &group.group), (7, &vec![(1, 3)]));
    let settings = bytes("0600010020000000 0800020070170000 0800030030750000");
    assert_eq!(
        group.extra,
        raw([(3, &[1, 0]), (12, &settings)]),
        "without how long it has been unbalanced"
    );
    assert_eq!(nexthop::decode(&written(|b| nexthop::add(b, &group))), Ok(group));
    let heavy = Nexthop {
        group: vec![(1, 0x1234)],
        ..expected
    };
    assert_eq!(
        nexthop::decode(&written(|b| nexthop::add(b, &heavy))).unwrap().group,
        [(1, 0x1234)]
    );
}

#[test]
fn rules_are_read_and_written() {
    let full = rule::decode(&bytes(captured::RULE_V4)).unwrap().unwrap();
    let expected = Rule {
        protocol: 66,
        invert: true,
        source: Some(net("10.7.0.0/16")),
        iif: Some(name(b"ua0")),
        mark: Some((0x10, 0xff)),
        uid_range: Some((100, 200)),
        ip_protocol: Some(6),
        source_ports: Some((53, 53)),
        destination_ports: Some((80, 90)),
        suppress_group: Some(7),
        ..Rule::ours(Family::V4, 102, RuleAction::Lookup(1234))
    };
    assert_eq!(full, expected);
    let goto = rule::decode(&bytes(captured::RULE_GOTO)).unwrap().unwrap();
    assert_eq!(
        (goto.preference, goto.action, goto.protocol),
        (90, RuleAction::Goto(32766), 0)
    );
    let prohibit = rule::decode(&bytes(captured::RULE_PROHIBIT)).unwrap().unwrap();
    assert_eq!(prohibit.destination, Some(net("2001:db8::/32")));
    assert_eq!(
        (prohibit.action, prohibit.extra),
        (RuleAction::Prohibit, Attributes::new())
    );
}

#[test]
fn a_rule_says_its_preference_and_protocol_even_if_they_are_nought() {
    let local = Rule {
        protocol: 0,
        ..Rule::local(Family::V4)
    };
    let expected = "02000000 ff000001 00000000 0800060000000000 0500150000000000 08000f00ff000000";
    assert_eq!(written(|b| rule::add(b, &local)), bytes(expected));
    assert_eq!(written(|b| rule::delete(b, &local)), bytes(expected));
}

#[test]
fn of_a_managed_neighbour_only_what_somebody_set_is_read() {
    const FLAGS_EXT: u16 = 15;
    let set = Neighbour {
        family: Family::V4,
        link: 2,
        address: ip("192.0.2.12"),
        mac: Vec::new(),
        state: 0,
        flags: 0,
        extra: raw([(FLAGS_EXT, &1_u32.to_ne_bytes())]),
    };
    // NUD_STALE, NTF_ROUTER and the hardware address: the kernel found them out.
    let found = Neighbour {
        mac: vec![2, 0, 0, 0, 0, 9],
        state: 0x04,
        flags: 0x80,
        ..set.clone()
    };
    let read = |n: &Neighbour| neighbour::decode(&written(|b| neighbour::add(b, n))).unwrap();
    assert_eq!(read(&found), Some(set.clone()));
    assert_eq!(read(&set), Some(set));
    let plain = Neighbour {
        extra: Attributes::new(),
        ..found
    };
    assert_eq!(read(&plain), None);
}

#[test]
fn neighbours_are_read_and_written_byte_for_byte() {
    let permanent = bytes(captured::NEIGHBOUR);
    let neighbour = neighbour::decode(&permanent).unwrap().unwrap();
    let expected = Neighbour {
        family: Family::V6,
        link: 3,
        address: ip("2001:db8:1::1"),
        mac: bytes("020000000006"),
        state: 0x80,
        flags: 0x80,
        extra: raw([(12, &[66])]),
    };
    assert_eq!(neighbour, expected);
    // The kernel's own message has the counters (NDA_PROBES, NDA_CACHEINFO) and its route type besides.
    let mut kernels = without(&without(&permanent, 12, 3), 12, 4);
    kernels[11] = 0;
    assert_eq!(written(|b| neighbour::add(b, &neighbour)), kernels);

    let proxy = neighbour::decode(&bytes(captured::NEIGHBOUR_PROXY)).unwrap().unwrap();
    assert_eq!((proxy.address, proxy.state, proxy.flags), (ip("10.1.0.77"), 0, 0x08));

    let mut reachable = permanent;
    reachable[8] = 0x02;
    assert_eq!(
        neighbour::decode(&reachable),
        Ok(None),
        "what was learnt is no part of a snapshot"
    );
}

#[test]
fn qdiscs_are_read_and_only_clsact_is_written() {
    let clsact = qdisc::decode(&bytes(captured::QDISC)).unwrap();
    let expected = Qdisc {
        link: 3,
        kind: "clsact".to_owned(),
        handle: Qdisc::CLSACT_HANDLE,
        parent: Qdisc::CLSACT_PARENT,
        ingress_block: Some(21),
        egress_block: Some(22),
    };
    assert_eq!(clsact, expected);
    assert_eq!(qdisc::decode(&written(|b| qdisc::add(b, &clsact))), Ok(clsact.clone()));
    let other = Qdisc {
        kind: "fq_codel".to_owned(),
        ..clsact
    };
    assert!(qdisc::add(&mut Batch::default(), &other).is_err());
    assert!(qdisc::delete(&mut Batch::default(), &other).is_err());
}

#[test]
fn filters_are_gathered_by_preference_in_the_order_of_the_search() {
    let mut gathering = filter::Gathering::new(Attach::Block(21));
    for message in captured::FILTERS {
        gathering.take(&bytes(message)).unwrap();
    }
    let at = |offset, mask, value| U32Match { offset, value, mask };
    let udp = vec![at(8, 0x00ff_0000, 0x0011_0000), at(20, 0xffff, 7)];
    let source = vec![at(12, u32::MAX, 0x0a00_0002)];
    let of = |preference, protocol, rows| Filter {
        attach: Attach::Block(21),
        preference,
        protocol,
        chain: 0,
        kind: "u32".to_owned(),
        entries: FilterEntries::U32(rows),
    };
    let lifeline = of(11, 0x0800, vec![(udp, Verdict::Pass), (source, Verdict::Pass)]);
    let drop = of(100, 3, vec![(vec![at(0, 0, 0)], Verdict::DropInto(4242))]);
    assert_eq!(gathering.finish(), [lifeline, drop]);
}

#[test]
fn a_u32_row_without_our_classid_is_foreign() {
    let mut gathering = filter::Gathering::new(Attach::Block(21));
    let mut foreign = bytes(captured::FILTERS[3]);
    let ours = bytes("0800010001004350");
    let at = foreign.windows(8).position(|w| w == ours).unwrap();
    foreign[at + 4] = 9;
    gathering.take(&bytes(captured::FILTERS[2])).unwrap();
    gathering.take(&foreign).unwrap();
    let found = gathering.finish();
    assert_eq!(found[0].entries, FilterEntries::Foreign(vec![0x8000_0800, 0x8000_0801]));
}

fn prefix() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 1_u8..=32).prop_map(|(a, length)| IpNet::new(IpAddr::V4(a.into()), length).unwrap())
}

prop_compose! {
    fn any_rule()(
        (preference, protocol, invert, tos) in (any::<u32>(), any::<u8>(), any::<bool>(), any::<u8>()),
        action in prop_oneof![
            (1_u32..).prop_map(RuleAction::Lookup),
            any::<u32>().prop_map(RuleAction::Goto),
            Just(RuleAction::Nop),
            Just(RuleAction::Blackhole),
            Just(RuleAction::Unreachable),
            Just(RuleAction::Prohibit),
        ],
        (source, destination) in (proptest::option::of(prefix()), proptest::option::of(prefix())),
        (mark, uid_range) in any::<(Option<(u32, u32)>, Option<(u32, u32)>)>(),
        (ip_protocol, source_ports) in any::<(Option<u8>, Option<(u16, u16)>)>(),
        suppress_group in proptest::option::of(0..u32::MAX),
        iif in proptest::option::of("[a-z]{1,15}"),
    ) -> Rule {
        Rule {
            protocol, invert, tos, source, destination, mark, uid_range, ip_protocol, source_ports, suppress_group,
            iif: iif.map(|text| text.parse().unwrap()),
            ..Rule::ours(Family::V4, preference, action)
        }
    }
}

proptest! {
    #[test]
    fn any_rule_is_read_as_it_was_written(rule in any_rule()) {
        prop_assert_eq!(rule::decode(&written(|b| rule::add(b, &rule))), Ok(Some(rule)));
    }

    #[test]
    fn no_bytes_break_a_decoder(
        garbage in proptest::collection::vec(any::<u8>(), 0..120),
        (at, byte) in (any::<prop::sample::Index>(), any::<u8>()),
    ) {
        let captured = [captured::ROUTE_MULTIPATH, captured::NEXTHOP_RESILIENT, captured::FILTERS[6], captured::RULE_V4];
        let bent = captured.iter().map(|text| {
            let mut message = bytes(text);
            let index = at.index(message.len());
            message[index] = byte;
            message
        });
        for message in bent.chain([garbage.clone()]) {
            let read = [
                link::decode(&message).is_ok(),
                address::decode(&message).is_ok(),
                route::decode(&message).is_ok(),
                rule::decode(&message).is_ok(),
                nexthop::decode(&message).is_ok(),
                neighbour::decode(&message).is_ok(),
                qdisc::decode(&message).is_ok(),
                filter::Gathering::new(Attach::Block(1)).take(&message).is_ok(),
            ];
            prop_assert!(message.len() >= 8 || read.iter().all(|ok| !ok));
        }
    }
}
