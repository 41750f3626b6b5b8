//! Every row was run on Linux 6.18 in a namespace, with `ip` and `tc`; the texts beside the rows are the kernel's.

mod links;

use std::net::IpAddr;

use super::errno::*;
use super::{apply, settle};
use crate::model::change::{Change, LinkSetting, Outcome};
use crate::model::diff::diff;
use crate::model::fixture::*;
use crate::model::object::{
    Address, Attach, Family, Filter, FilterEntries, Link, Neighbour, Qdisc, Route, Rule, RuleAction, U32Match, Verdict,
};
use crate::model::snapshot::{Difference, Object, Snapshot};

/// Two links, an address of each family on each, a nexthop, and a link `ab2` that is down.
fn small() -> Snapshot {
    let mut state = host(3);
    for (link, net) in [
        (2, "10.0.0.1/24"),
        (3, "10.0.1.1/24"),
        (2, "fd00::1/64"),
        (3, "fd01::1/64"),
    ] {
        must(&mut state, &Change::Add(Object::Address(address(link, net))));
    }
    settle(&mut state);
    must(&mut state, &Change::Add(Object::Nexthop(nexthop(1, "10.0.0.254", 2))));
    must(&mut state, &Change::Add(Object::Nexthop(group(9, &[1]))));
    must(&mut state, &Change::Add(clsact(3, Some(21))));
    must(&mut state, &Change::Add(drop_on(Attach::Block(21), 100, 3)));
    must(&mut state, &Change::Add(clsact(4, None)));
    down(&mut state, 4);
    state
}

fn clsact(link: u32, ingress_block: Option<u32>) -> Object {
    Object::Qdisc(Qdisc {
        link,
        kind: "clsact".to_owned(),
        handle: Qdisc::CLSACT_HANDLE,
        parent: Qdisc::CLSACT_PARENT,
        ingress_block,
        egress_block: None,
    })
}

fn drop_on(attach: Attach, preference: u16, protocol: u16) -> Object {
    let all = vec![U32Match {
        offset: 0,
        value: 0,
        mask: 0,
    }];
    Object::Filter(Filter {
        attach,
        preference,
        protocol,
        chain: 0,
        kind: "u32".to_owned(),
        entries: FilterEntries::U32(vec![(all, Verdict::DropInto(4))]),
    })
}

fn ifb(index: u32, called: &str) -> Link {
    Link {
        kind: Some("ifb".to_owned()),
        ..link(index, called)
    }
}

fn from(source: &str, route: Route) -> Route {
    Route {
        preferred_source: Some(source.parse().unwrap()),
        ..route
    }
}

fn ours(action: RuleAction) -> Rule {
    Rule::ours(Family::V4, 100, action)
}

const DONE: Result<Outcome, i32> = Ok(Outcome::Applied);
const SO_ALREADY: Result<Outcome, i32> = Ok(Outcome::AlreadySo);

#[test]
fn an_add_is_answered_as_the_kernel_answers_it() {
    let v6 = |r: Route| Route { metric: 7, ..r };
    let rows = [
        ("address, new", Object::Address(address(2, "10.0.9.1/24")), DONE),
        (
            "address, there: already assigned",
            Object::Address(address(2, "10.0.0.1/24")),
            SO_ALREADY,
        ),
        (
            "address of no link: no such device",
            Object::Address(address(9, "10.0.0.1/24")),
            Err(ENODEV),
        ),
        (
            "address on a link that is down",
            Object::Address(address(4, "fd00::9/64")),
            DONE,
        ),
        (
            "route to a link that is down",
            Object::Route(direct("10.7.0.0/16", 4)),
            Err(ENETDOWN),
        ),
        ("route to a link", Object::Route(direct("10.7.0.0/16", 3)), DONE),
        (
            "route through an unknown gateway",
            Object::Route(via("10.7.0.0/16", "10.9.9.9", 2)),
            Err(ENETUNREACH),
        ),
        (
            "the gateway is this host",
            Object::Route(via("10.7.0.0/16", "10.0.0.1", 2)),
            Err(EINVAL),
        ),
        (
            "IPv6: no route to host",
            Object::Route(via("fd07::/64", "fd09::9", 2)),
            Err(EHOSTUNREACH),
        ),
        (
            "IPv6 through link-local",
            Object::Route(via("fd07::/64", "fe80::1", 2)),
            DONE,
        ),
        (
            "IPv6 through link-local, link down",
            Object::Route(via("fd07::/64", "fe80::1", 4)),
            Err(ENETDOWN),
        ),
        (
            "invalid prefsrc address",
            Object::Route(from("10.9.9.9", direct("10.7.0.0/16", 2))),
            Err(EINVAL),
        ),
        (
            "a source of this host",
            Object::Route(from("10.0.0.1", direct("10.7.0.0/16", 2))),
            DONE,
        ),
        (
            "IPv6, a source of this host",
            Object::Route(v6(from("fd00::1", direct("fd07::/64", 2)))),
            DONE,
        ),
        (
            "nexthop id does not exist",
            Object::Route(through("10.7.0.0/16", 77)),
            Err(EINVAL),
        ),
        ("a nexthop", Object::Route(through("10.7.0.0/16", 1)), DONE),
        (
            "IPv6 cannot use an IPv4 nexthop",
            Object::Route(through("fd07::/64", 1)),
            Err(EINVAL),
        ),
        (
            "nor a group of them",
            Object::Route(through("fd07::/64", 9)),
            Err(EINVAL),
        ),
        (
            "nexthop on a link that is down",
            Object::Nexthop(nexthop(2, "10.0.0.254", 4)),
            Err(ENETDOWN),
        ),
        (
            "nexthop, there",
            Object::Nexthop(nexthop(1, "10.0.0.254", 2)),
            SO_ALREADY,
        ),
        ("nexthop, replaced", Object::Nexthop(nexthop(1, "10.0.0.253", 2)), DONE),
        (
            "group with a missing member",
            Object::Nexthop(group(10, &[1, 5])),
            Err(EINVAL),
        ),
        ("group within a group", Object::Nexthop(group(10, &[9])), Err(EINVAL)),
        (
            "a group cannot become a nexthop",
            Object::Nexthop(nexthop(9, "10.0.0.254", 2)),
            Err(EINVAL),
        ),
        ("rule, there", Object::Rule(Rule::local(Family::V4)), SO_ALREADY),
        (
            "backward goto not supported",
            Object::Rule(ours(RuleAction::Goto(50))),
            Err(EINVAL),
        ),
        (
            "neighbour of no link",
            Object::Neighbour(neighbour(9, "10.0.0.9")),
            Err(ENODEV),
        ),
        (
            "neighbour on a link that is down",
            Object::Neighbour(neighbour(4, "10.0.0.9")),
            DONE,
        ),
        ("clsact, there: exclusivity flag on", clsact(3, None), SO_ALREADY),
        (
            "filter on a block that is not bound",
            drop_on(Attach::Block(99), 100, 3),
            Err(EINVAL),
        ),
        (
            "filter without a parent qdisc",
            drop_on(Attach::Ingress(2), 100, 3),
            Err(EINVAL),
        ),
        (
            "filter on a side that a block has",
            drop_on(Attach::Ingress(3), 100, 3),
            Err(EOPNOTSUPP),
        ),
        ("filter on the other side", drop_on(Attach::Egress(3), 100, 3), DONE),
        ("filter, there", drop_on(Attach::Block(21), 100, 3), SO_ALREADY),
        (
            "filter, protocol mismatch",
            drop_on(Attach::Block(21), 100, 0x0806),
            Err(EINVAL),
        ),
        ("ifb, new", Object::Link(ifb(99, "ifb9")), DONE),
        ("ifb, index taken", Object::Link(ifb(3, "ifb9")), SO_ALREADY),
        (
            "a veth is not ours to make",
            Object::Link(link(99, "new0")),
            Err(EOPNOTSUPP),
        ),
        ("sysctl", Object::Sysctl(sysctl("net.ipv4.ip_forward", "1")), DONE),
    ];
    for (what, object, wanted) in rows {
        let mut state = small();
        let before = state.clone();
        assert_eq!(apply(&mut state, &Change::Add(object.clone())), wanted, "{what}");
        if wanted == DONE {
            assert!(state.objects().count() >= before.objects().count(), "{what}");
            assert_eq!(apply(&mut state, &Change::Add(object)), SO_ALREADY, "{what}, again");
        } else {
            assert_eq!(state, before, "{what}: no effect");
        }
        let mut sorted = state.clone();
        sorted.sort();
        assert_eq!(sorted, state, "{what}: in canonical order");
    }
}

#[test]
fn a_delete_names_its_owner_and_is_done_if_there_is_nothing() {
    let foreign = Rule {
        protocol: 4,
        ..ours(RuleAction::Blackhole)
    };
    let of_bird = Route {
        protocol: 12,
        ..direct("10.0.0.0/24", 2)
    };
    let rows = [
        (
            "address not found",
            Object::Address(address(2, "10.0.0.7/24")),
            SO_ALREADY,
        ),
        ("no such route", Object::Route(direct("10.7.0.0/16", 2)), SO_ALREADY),
        ("a route of another owner", Object::Route(of_bird), SO_ALREADY),
        ("no such rule", Object::Rule(foreign), SO_ALREADY),
        (
            "no such nexthop",
            Object::Nexthop(nexthop(7, "10.0.0.9", 2)),
            SO_ALREADY,
        ),
        (
            "no such neighbour",
            Object::Neighbour(neighbour(2, "10.0.0.9")),
            SO_ALREADY,
        ),
        ("cannot find specified qdisc", clsact(2, None), SO_ALREADY),
        ("no such filter", drop_on(Attach::Block(21), 99, 3), SO_ALREADY),
        (
            "protocol mismatch",
            drop_on(Attach::Block(21), 100, 0x0806),
            Err(EINVAL),
        ),
        ("no such link", Object::Link(ifb(99, "ifb9")), SO_ALREADY),
        (
            "loopback cannot be deleted",
            Object::Link(link(1, "lo")),
            Err(EOPNOTSUPP),
        ),
        ("a filter", drop_on(Attach::Block(21), 100, 3), DONE),
        ("the local rule", Object::Rule(Rule::local(Family::V6)), DONE),
    ];
    for (what, object, wanted) in rows {
        let mut state = small();
        let before = state.clone();
        assert_eq!(apply(&mut state, &Change::Delete(object)), wanted, "{what}");
        assert_eq!(state == before, wanted != DONE, "{what}");
    }
}

#[test]
fn under_a_block_only_a_rule_for_the_gateway_lets_others_add_ipv4_routes() {
    for (action, code) in [
        (RuleAction::Blackhole, EINVAL),
        (RuleAction::Unreachable, ENETUNREACH),
        (RuleAction::Prohibit, EACCES),
    ] {
        let mut state = small();
        must(&mut state, &Change::Add(Object::Rule(ours(action))));
        let v4 = Change::Add(Object::Route(via("10.7.0.0/16", "10.0.0.9", 2)));
        let object = Change::Add(Object::Nexthop(nexthop(3, "10.0.0.9", 2)));
        assert_eq!(apply(&mut state, &v4), Err(code), "{action:?}");
        assert_eq!(apply(&mut state, &object), Err(code), "{action:?}");
        let onlink = Route {
            flags: 4,
            ..via("10.8.0.0/16", "10.0.0.9", 2)
        };
        must(&mut state, &Change::Add(Object::Route(onlink)));
        must(&mut state, &Change::Add(Object::Route(direct("10.9.0.0/16", 2))));
        let around = Rule {
            iif: Some(name("lo")),
            destination: Some("10.0.0.9/32".parse().unwrap()),
            ..Rule::ours(Family::V4, 1, RuleAction::Lookup(Route::TABLE_MAIN))
        };
        must(&mut state, &Change::Add(Object::Rule(around)));
        must(&mut state, &v4);
        must(&mut state, &object);
    }
}

#[test]
fn ipv6_looks_into_the_routes_own_table_first() {
    let mut state = small();
    must(
        &mut state,
        &Change::Add(Object::Rule(Rule::ours(Family::V6, 1, RuleAction::Blackhole))),
    );
    let main = via("fd07::/64", "fd00::9", 2);
    must(&mut state, &Change::Add(Object::Route(main.clone())));
    let other = Route { table: 100, ..main };
    assert_eq!(apply(&mut state, &Change::Add(Object::Route(other))), Err(EHOSTUNREACH));
}

#[test]
fn equal_routes_stand_in_the_order_in_which_they_came() {
    for (net, metric) in [("10.7.0.0/16", 0), ("fd07::/64", 1024)] {
        let mut state = small();
        for link in [3, 2] {
            must(&mut state, &Change::Add(Object::Route(direct(net, link))));
        }
        let there = state
            .routes
            .iter()
            .filter(|r| r.destination == net.parse().unwrap() && r.metric == metric);
        assert_eq!(there.filter_map(|r| r.link).collect::<Vec<_>>(), [3, 2]);
    }
}

fn own(list: &[Address], link: u32, family: Family) -> Vec<IpAddr> {
    let of_link = list.iter().filter(|a| (a.link, a.family) == (link, family));
    of_link.map(Address::own).collect()
}

#[test]
fn ipv6_puts_new_addresses_first_and_ipv4_puts_secondaries_last() {
    let mut state = host(1);
    for net in ["fd00::1/64", "fd01::1/64", "10.1.0.1/24", "10.1.0.2/24", "10.2.0.1/24"] {
        must(&mut state, &Change::Add(Object::Address(address(2, net))));
    }
    let text = |family| -> Vec<String> {
        own(&state.addresses, 2, family)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(text(Family::V6), ["fd01::1", "fd00::1", "fe80::ff:fe00:2"]);
    assert_eq!(text(Family::V4), ["10.1.0.1", "10.2.0.1", "10.1.0.2"]);
    let second = state
        .addresses
        .iter()
        .find(|a| a.own().to_string() == "10.1.0.2")
        .unwrap();
    assert_ne!(second.flags & Address::FLAG_TEMPORARY, 0, "IFA_F_SECONDARY");
    let to_second = state
        .routes
        .iter()
        .find(|r| r.destination.to_string() == "10.1.0.2/32")
        .unwrap();
    assert_eq!(to_second.preferred_source.unwrap().to_string(), "10.1.0.1");
}

#[test]
fn a_primary_takes_its_secondaries_along_unless_they_are_promoted() {
    for promotes in [false, true] {
        let mut state = host(1);
        if promotes {
            must(
                &mut state,
                &Change::SetSysctl(sysctl("net.ipv4.conf.all.promote_secondaries", "1")),
            );
        }
        for net in ["10.1.0.1/24", "10.1.0.2/24", "10.2.0.1/24"] {
            must(&mut state, &Change::Add(Object::Address(address(2, net))));
        }
        must(
            &mut state,
            &Change::Add(Object::Route(from("10.1.0.1", direct("10.7.0.0/16", 2)))),
        );
        must(&mut state, &Change::Delete(Object::Address(address(2, "10.1.0.1/24"))));
        let left = if promotes {
            vec!["10.2.0.1", "10.1.0.2"]
        } else {
            vec!["10.2.0.1"]
        };
        let there: Vec<String> = own(&state.addresses, 2, Family::V4)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(there, left);
        let has = |net: &str| state.routes.iter().any(|r| r.destination.to_string() == net);
        assert_eq!((has("10.1.0.0/24"), has("10.7.0.0/16")), (promotes, false));
    }
}

#[test]
fn the_last_ipv4_address_takes_every_ipv4_route_and_an_ipv6_source_is_forgotten() {
    let mut state = small();
    must(&mut state, &Change::Add(Object::Route(direct("10.7.0.0/16", 2))));
    must(&mut state, &Change::Delete(Object::Address(address(2, "10.0.0.1/24"))));
    assert!(!state.routes.iter().any(|r| r.family == Family::V4 && r.link == Some(2)));
    must(
        &mut state,
        &Change::Add(Object::Route(from("fd00::1", direct("fd07::/64", 3)))),
    );
    must(&mut state, &Change::Delete(Object::Address(address(2, "fd00::1/64"))));
    let route = state
        .routes
        .iter()
        .find(|r| r.destination.to_string() == "fd07::/64")
        .unwrap();
    assert_eq!(route.preferred_source, None);
}

#[test]
fn the_last_qdisc_of_a_block_takes_its_filters_and_an_earlier_one_does_not() {
    let mut state = small();
    must(&mut state, &Change::Add(clsact(2, Some(21))));
    must(&mut state, &Change::Delete(clsact(3, None)));
    assert_eq!(state.filters.len(), 1);
    must(&mut state, &Change::Delete(clsact(2, None)));
    assert_eq!(state.filters, []);
    must(&mut state, &Change::Add(drop_on(Attach::Egress(4), 5, 3)));
    must(&mut state, &Change::Delete(clsact(4, None)));
    assert_eq!(state.filters, []);
}

#[test]
fn a_group_is_set_once() {
    let mut state = small();
    must(&mut state, &set(2, LinkSetting::Group(7)));
    assert_eq!(state.link(2).unwrap().group, 7);
    assert_eq!(apply(&mut state, &set(2, LinkSetting::Group(7))), SO_ALREADY);
    assert_eq!(apply(&mut state, &set(2, LinkSetting::Up)), SO_ALREADY);
    assert_eq!(apply(&mut state, &set(9, LinkSetting::Up)), Err(ENODEV));
}
