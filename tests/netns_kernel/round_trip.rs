//! Everything is deleted and added back, and the kernel is as before.

use portcullis::kernel::netlink::Netlink;
use portcullis::model::change::{Change, Outcome};
use portcullis::model::object::{Address, Family, Route};
use portcullis::model::snapshot::{Object, Snapshot};

use crate::world::inside;
use crate::{addresses_have_settled, apply, nasty, snapshot, wait_for};

pub fn assert_same(before: &Snapshot, after: &Snapshot) {
    let lines = |s: &Snapshot| s.objects().map(|o| format!("{o:?}")).collect::<Vec<_>>();
    assert_same_lines(&lines(before), &lines(after));
}

/// Prints what differs and no more, since the whole is long.
fn assert_same_lines<T: AsRef<str> + PartialEq + std::fmt::Debug>(before: &[T], after: &[T]) {
    let missing: Vec<_> = before.iter().filter(|o| !after.contains(o)).collect();
    let extra: Vec<_> = after.iter().filter(|o| !before.contains(o)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:#?}\nextra {extra:#?}"
    );
    // Among link-local routes of several links the order is that in which the kernel made them: no meaning.
    let placed = |o: &&T| !["fe80:", "ff00::/8"].iter().any(|net| o.as_ref().contains(net));
    let moved = before
        .iter()
        .filter(placed)
        .zip(after.iter().filter(placed))
        .find(|(b, a)| b != a);
    assert_eq!(moved, None, "the order differs, first here");
    assert_eq!(before.len(), after.len(), "one is there more than once");
}

/// Addresses but those of loopback: the kernel made `::1` without a prefix route, and nobody else can.
fn movable(now: &Snapshot) -> impl DoubleEndedIterator<Item = &Address> {
    now.addresses.iter().filter(|a| !a.address.is_loopback())
}

/// Routes that the kernel makes by itself for an address or a link.
fn by_hand(route: &Route) -> bool {
    route.protocol != Route::PROTOCOL_KERNEL
}

/// Everything that `apply` can delete, in an order in which nothing is deleted as a consequence.
fn deletions(now: &Snapshot) -> Vec<Object> {
    let mut all: Vec<Object> = Vec::new();
    all.extend(now.neighbours.iter().cloned().map(Object::Neighbour));
    all.extend(now.routes.iter().filter(|r| by_hand(r)).cloned().map(Object::Route));
    let (groups, singles): (Vec<_>, Vec<_>) = now.nexthops.iter().cloned().partition(|n| !n.group.is_empty());
    all.extend(groups.into_iter().chain(singles).map(Object::Nexthop));
    all.extend(movable(now).rev().cloned().map(Object::Address));
    all.extend(now.rules.iter().cloned().map(Object::Rule));
    all
}

/// The same in an order in which each finds what it needs. The kernel's own rules come first and all others last: a
/// gateway is looked up through the rules, and others may forbid the way to it.
fn additions(now: &Snapshot) -> [Vec<Object>; 2] {
    let of = |family| movable(now).filter(move |a| a.family == family).cloned();
    let mut addresses: Vec<Object> = of(Family::V4).map(Object::Address).collect();
    let v6: Vec<_> = of(Family::V6).collect();
    // The kernel puts a new IPv6 address before its equals.
    addresses.extend(v6.into_iter().rev().map(Object::Address));
    let (own, others): (Vec<_>, Vec<_>) = now
        .rules
        .iter()
        .cloned()
        .partition(|r| r.protocol == Route::PROTOCOL_KERNEL);
    addresses.extend(own.into_iter().map(Object::Rule));

    let (groups, singles): (Vec<_>, Vec<_>) = now.nexthops.iter().cloned().partition(|n| !n.group.is_empty());
    let mut rest: Vec<Object> = singles.into_iter().chain(groups).map(Object::Nexthop).collect();
    let mut routes: Vec<Route> = now.routes.iter().filter(|r| by_hand(r)).cloned().collect();
    // Narrow scopes first: a gateway must be reachable when it is named.
    routes.sort_by_key(|r| {
        (
            r.gateways().next().is_some() || r.nexthop.is_some(),
            std::cmp::Reverse(r.scope),
        )
    });
    rest.extend(routes.into_iter().map(Object::Route));
    rest.extend(now.neighbours.iter().cloned().map(Object::Neighbour));
    rest.extend(others.into_iter().map(Object::Rule));
    [addresses, rest]
}

#[test]
fn what_is_deleted_and_added_back_is_equal() {
    inside("round_trip::what_is_deleted_and_added_back_is_equal", |world| {
        let here = world.own();
        nasty::build(&here);
        let mut kernel = Netlink::open().expect("sockets");
        wait_for(&mut kernel, "addresses have settled", addresses_have_settled);
        let (before, text) = (snapshot(&mut kernel), nasty::text(&here));
        assert!(
            before.links.iter().any(|l| l.name.as_bytes() == b"\xff\xfebad"),
            "the name that is not UTF-8"
        );
        assert!(
            before
                .rules
                .iter()
                .any(|r| r.iif.as_ref().is_some_and(|n| n.as_bytes() == b"\xff\xfebad"))
        );

        let gone: Vec<Change> = deletions(&before).into_iter().map(Change::Delete).collect();
        apply(&mut kernel, &gone);
        let empty = snapshot(&mut kernel);
        assert!(empty.rules.is_empty() && movable(&empty).next().is_none() && empty.nexthops.is_empty());
        assert!(empty.neighbours.is_empty() && !empty.routes.iter().any(by_hand));
        assert!(
            apply(&mut kernel, &gone).iter().all(|o| *o == Outcome::AlreadySo),
            "deleting twice"
        );

        let [addresses, rest] =
            additions(&before).map(|objects| objects.into_iter().map(Change::Add).collect::<Vec<_>>());
        apply(&mut kernel, &addresses);
        wait_for(&mut kernel, "addresses have settled", addresses_have_settled);
        apply(&mut kernel, &rest);
        assert_same(&before, &snapshot(&mut kernel));
        assert_same_lines(&text, &nasty::text(&here));
    });
}
