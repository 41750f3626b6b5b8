//! Proposals for small hosts, kept as text; and that every proposal is a policy.

use proptest::prelude::*;

use super::{OwnSession, ProposalError, ProposedScope, propose};
use crate::model::change::Change;
use crate::model::effect::settle;
use crate::model::fixture::{address, direct, group, host, leased, must, nexthop, small_host, through, via};
use crate::model::names::{InterfaceName, PolicyName};
use crate::model::object::Route;
use crate::model::policy::{Policy, Transport};
use crate::model::policy_file::parse;
use crate::model::snapshot::{Object, Snapshot};

fn name() -> PolicyName {
    "this-host".parse().unwrap()
}

fn proposed(host: &Snapshot, scope: ProposedScope, session: Option<OwnSession>) -> (String, Policy) {
    let text = propose(host, &name(), scope, session).unwrap();
    let policy = parse("proposal", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    (text, policy)
}

fn session(peer: &str) -> Option<OwnSession> {
    Some(OwnSession {
        peer: peer.parse().unwrap(),
        port: 22,
    })
}

/// `ab0` outside with default routes, `ab1` to a private network with another one behind it.
fn site() -> Snapshot {
    let mut state = host(2);
    for (link, net) in [(2, "203.0.113.5/24"), (2, "2001:db8::5/64"), (3, "10.1.0.1/24")] {
        must(&mut state, &Change::Add(Object::Address(address(link, net))));
    }
    settle(&mut state);
    for (to, gateway, link) in [
        ("0.0.0.0/0", "203.0.113.1", 2),
        ("::/0", "2001:db8::1", 2),
        ("10.9.0.0/16", "10.1.0.254", 3),
    ] {
        must(&mut state, &Change::Add(Object::Route(via(to, gateway, link))));
    }
    state
}

/// One link that is configured by others.
fn laptop() -> Snapshot {
    let mut state = host(1);
    for net in ["198.51.100.7/24", "2001:db8::7/64"] {
        must(&mut state, &Change::Add(Object::Address(leased(2, net))));
    }
    settle(&mut state);
    let dhcp = Route {
        protocol: 16,
        ..via("0.0.0.0/0", "198.51.100.1", 2)
    };
    must(&mut state, &Change::Add(Object::Route(dhcp)));
    state
}

#[test]
fn a_way_in_that_other_links_carry_is_named() {
    let mut state = site();
    let said = |state: &Snapshot, scope, peer: Option<&str>| {
        let (text, _) = proposed(state, scope, peer.and_then(session));
        text.contains("ab1 is a way in, of kind wireguard")
    };
    for (kind, wanted) in [("dummy", false), ("wireguard", true)] {
        state.links[2].kind = Some(kind.to_owned());
        for scope in [ProposedScope::Host, ProposedScope::Uplinks] {
            assert_eq!(said(&state, scope, Some("10.9.0.3")), wanted, "{kind}");
            assert_eq!(said(&state, scope, None), wanted, "{kind}");
            assert!(
                !said(&state, scope, Some("192.0.2.9")),
                "it comes over the uplink itself"
            );
        }
    }
}

#[test]
fn a_site_is_isolated_but_for_its_private_networks() {
    insta::assert_snapshot!(proposed(&site(), ProposedScope::Host, None).0);
}

#[test]
fn the_uplinks_of_a_site_are_named() {
    let (text, policy) = proposed(&site(), ProposedScope::Uplinks, session("198.51.100.9"));
    insta::assert_snapshot!(text);
    assert_eq!(policy.scope.interfaces, ["ab0"]);
}

#[test]
fn a_way_in_over_links_that_are_not_cut_needs_no_lifeline() {
    for session in [session("10.1.0.44"), session("10.9.1.1"), None] {
        let (text, policy) = proposed(&site(), ProposedScope::Uplinks, session);
        assert!(
            policy.lifelines.is_empty() && text.contains("goes on by itself"),
            "{text}"
        );
    }
}

#[test]
fn leases_and_advertisements_are_kept_and_a_missing_way_in_is_said() {
    let (text, policy) = proposed(&laptop(), ProposedScope::Host, None);
    insta::assert_snapshot!(text);
    assert!(policy.lifelines.is_empty() && policy.keep.dhcp && policy.keep.router_advertisements);
}

#[test]
fn a_session_shows_the_way_in() {
    let cases = [
        ("10.1.0.44", "10.1.0.0/24"),
        ("198.51.100.9", "198.51.100.9/32"),
        ("2001:db8::99", "2001:db8::/64"),
    ];
    for (peer, kept) in cases {
        let (_, policy) = proposed(&site(), ProposedScope::Host, session(peer));
        let [lifeline] = policy.lifelines.as_slice() else {
            panic!("one lifeline for {peer}");
        };
        assert_eq!(lifeline.peers, [kept.parse().unwrap()], "{peer}");
        assert_eq!((lifeline.protocol, lifeline.ports[0].first), (Transport::Tcp, 22));
    }
}

#[test]
fn a_session_from_the_host_itself_shows_nothing() {
    for peer in ["127.0.0.1", "10.1.0.1"] {
        let with = proposed(&site(), ProposedScope::Host, session(peer)).0;
        assert_eq!(with, proposed(&site(), ProposedScope::Host, None).0, "{peer}");
    }
}

#[test]
fn uplinks_are_found_behind_nexthop_objects() {
    let mut state = host(3);
    for (link, net) in [(3, "10.1.0.1/24"), (4, "10.2.0.1/24")] {
        must(&mut state, &Change::Add(Object::Address(address(link, net))));
    }
    settle(&mut state);
    for object in [
        Object::Nexthop(nexthop(1, "10.1.0.254", 3)),
        Object::Nexthop(nexthop(2, "10.2.0.254", 4)),
        Object::Nexthop(group(3, &[1, 2])),
        Object::Route(through("0.0.0.0/0", 3)),
    ] {
        must(&mut state, &Change::Add(object));
    }
    let (_, policy) = proposed(&state, ProposedScope::Uplinks, None);
    assert_eq!(policy.scope.interfaces, ["ab1", "ab2"]);
}

#[test]
fn a_name_that_is_a_pattern_or_no_text_matches_itself_alone() {
    let mut state = site();
    for odd in [&b"a[b]*?"[..], b"\xff\"{}!"] {
        state.links[1].name = InterfaceName::from_kernel(odd).unwrap();
        let (text, policy) = proposed(&state, ProposedScope::Uplinks, None);
        let glob = globset::Glob::new(&policy.scope.interfaces[0])
            .unwrap()
            .compile_matcher();
        assert!(glob.is_match(state.links[1].name.to_string()), "{text}");
        assert!(!glob.is_match("ab0") && !glob.is_match("abx"), "{text}");
    }
}

#[test]
fn a_host_without_links_gets_no_policy() {
    let refused = |state: &Snapshot, scope| propose(state, &name(), scope, None).unwrap_err();
    assert_eq!(refused(&host(0), ProposedScope::Host), ProposalError::NoLink);
    assert_eq!(refused(&host(1), ProposedScope::Uplinks), ProposalError::NoUplink);
}

#[test]
fn many_private_prefixes_are_merged_and_bounded() {
    let mut state = host(1);
    for i in 0..40u8 {
        must(
            &mut state,
            &Change::Add(Object::Route(direct(&format!("10.{}.0.0/16", 2 * i), 2))),
        );
    }
    let (text, policy) = proposed(&state, ProposedScope::Host, None);
    assert_eq!(policy.lifelines[0].peers.len(), 16);
    assert!(
        text.contains("# NOT KEPT, because there are so many: 10.32.0.0/16, "),
        "{text}"
    );
    assert!(text.contains("10.62.0.0/16, and 8 more.\n"), "{text}");
}

proptest! {
    #[test]
    fn every_proposal_is_a_policy(state in small_host(), uplinks: bool, peer: Option<[u8; 4]>) {
        let scope = if uplinks { ProposedScope::Uplinks } else { ProposedScope::Host };
        let session = peer.map(|p| OwnSession { peer: p.into(), port: 22 });
        match propose(&state, &name(), scope, session) {
            Ok(text) => prop_assert!(parse("proposal", &text).is_ok(), "{text}"),
            Err(error) => prop_assert_eq!(error, ProposalError::NoUplink),
        }
    }
}
