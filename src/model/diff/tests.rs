//! A difference is named once, by what it is: missing, extra, changed, or in another order.

use proptest::prelude::*;

use super::*;
use crate::model::change::{Change, LinkSetting};
use crate::model::effect::settle;
use crate::model::fixture::*;

fn signs(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let lines = diff(before, after);
    lines.iter().map(|d| d.to_string().split_at(1).0.to_owned()).collect()
}

fn with(state: &Snapshot, objects: Vec<Object>) -> Snapshot {
    let mut state = state.clone();
    for object in objects {
        must(&mut state, &Change::Add(object));
    }
    settle(&mut state);
    state
}

#[test]
fn each_sort_of_difference_has_its_sign() {
    let plain = host(2);
    let rich = with(&plain, vec![Object::Route(direct("10.7.0.0/16", 2))]);
    assert_eq!(signs(&plain, &rich), ["+"]);
    assert_eq!(signs(&rich, &plain), ["-"]);
    let mut changed = rich.clone();
    changed
        .routes
        .iter_mut()
        .find(|r| r.protocol == 4)
        .unwrap()
        .metrics
        .insert(2, vec![1, 2, 3, 4]);
    let lines = diff(&rich, &changed);
    assert!(matches!(lines[..], [Difference::Changed { .. }]), "{lines:?}");
    assert!(lines[0].to_string().contains(" is now "), "{}", lines[0]);
}

#[test]
fn what_changes_by_itself_is_no_difference() {
    let state = with(&host(2), vec![Object::Address(leased(2, "fd00::1/64"))]);
    let mut later = state.clone();
    for address in &mut later.addresses {
        address.lifetime = Volatile(None);
        address.tentative = Volatile(true);
    }
    assert_eq!(diff(&state, &later), []);
}

#[test]
fn the_order_of_equals_counts_where_the_kernel_prefers_the_first() {
    let both = |first, second| {
        let route = |link| Object::Route(direct("10.7.0.0/16", link));
        with(&host(2), vec![route(first), route(second)])
    };
    let lines = diff(&both(2, 3), &both(3, 2));
    assert_eq!(lines.len(), 2);
    assert!(lines[0].to_string().contains(" stood there is now "), "{}", lines[0]);
}

#[test]
fn the_order_in_which_links_came_up_is_no_difference() {
    let state = host(3);
    let mut flapped = state.clone();
    down(&mut flapped, 2);
    up(&mut flapped, 2);
    settle(&mut flapped);
    assert_eq!(diff(&state, &flapped), []);
    assert_eq!(state.digest(), flapped.digest());
}

#[test]
fn a_daemons_route_means_the_same_with_another_nexthop_id_and_an_advertised_one_merged() {
    const ZEBRA: u8 = 11;
    let base = with(
        &host(2),
        vec![
            Object::Address(address(2, "10.0.0.1/24")),
            Object::Address(address(2, "fd00::1/64")),
        ],
    );
    let of_zebra = |id| {
        let object = Nexthop {
            protocol: ZEBRA,
            ..nexthop(id, "10.0.0.254", 2)
        };
        let route = Route {
            protocol: ZEBRA,
            ..through("10.7.0.0/16", id)
        };
        with(&base, vec![Object::Nexthop(object), Object::Route(route)])
    };
    let ra = |r: Route| {
        Object::Route(Route {
            protocol: Route::PROTOCOL_RA,
            ..r
        })
    };
    let (one, two) = (via("::/0", "fe80::1", 2), via("::/0", "fe80::1", 3));
    let apart = with(&base, vec![ra(one), ra(two)]);
    let merged = with(&base, vec![ra(multipath("::/0", &[("fe80::1", 3), ("fe80::1", 2)]))]);
    for (before, after) in [(of_zebra(4), of_zebra(10)), (apart.clone(), merged)] {
        assert_ne!(diff(&before, &after), []);
        assert_eq!(diff_by_meaning(&before, &after), []);
    }
    assert_ne!(
        diff_by_meaning(&apart, &base),
        [],
        "a route that is gone is a difference"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_differs_from_itself_and_every_change_shows(
        state in small_host(), change in any_change(), link in 2..LINKS + 2,
    ) {
        prop_assert_eq!(diff(&state, &state), vec![]);
        let mut after = state.clone();
        if crate::model::effect::apply(&mut after, &change) == Ok(crate::model::change::Outcome::Applied) {
            prop_assert_ne!(diff(&state, &after), vec![]);
        }
        let mut without = state.clone();
        must(&mut without, &set(link, LinkSetting::Down));
        let forth = diff(&state, &without);
        let back = diff(&without, &state);
        prop_assert!(!forth.is_empty());
        prop_assert_eq!(forth.len(), back.len());
        for difference in &forth {
            let mirrored = match difference.clone() {
                Difference::Missing(object) => Difference::Extra(object),
                Difference::Extra(object) => Difference::Missing(object),
                Difference::Changed { before, after } => Difference::Changed { before: after, after: before },
            };
            prop_assert!(back.contains(&mirrored), "{}", difference);
        }
    }
}
