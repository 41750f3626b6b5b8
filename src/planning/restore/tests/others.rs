//! What others did meanwhile: it is kept, and named where it is in the way.

use super::*;

#[test]
fn what_the_kernel_gives_our_link_is_nobody_elses_while_another_cut_remains() {
    let baseline = everything();
    let mut now = baseline.clone();
    now.links.push(ours::ifb());
    now.sysctls.push(sysctl("net.ipv4.conf.portcullis0.rp_filter", "0"));
    now.sysctls.push(sysctl("net.ipv6.conf.portcullis0.accept_dad", "-1"));
    now.sort();
    let gate = Cut {
        methods: BTreeSet::from([Method::Gate]),
        ..cut(&[2], Vec::new())
    };
    let (ended, remaining) = (std::slice::from_ref(&gate), std::slice::from_ref(&gate));
    let proof = receipt(&baseline, &now, &now, ended, remaining);
    assert_eq!((&proof.foreign[..], &proof.residues[..]), (&[][..], &[][..]));
    now.sysctls.push(sysctl("net.ipv4.conf.portcullis1.rp_filter", "0"));
    now.sort();
    let proof = receipt(&baseline, &now, &now, ended, remaining);
    assert_eq!(proof.foreign.len(), 1, "{proof:#?}");
}

#[test]
fn a_group_that_somebody_else_took_a_member_from_is_theirs_unless_a_cut_took_one() {
    let mut baseline = host(2);
    let objects = [
        Object::Address(address(2, "10.0.0.2/24")),
        Object::Address(address(3, "10.0.1.2/24")),
        Object::Nexthop(nexthop(10, "10.0.0.1", 2)),
        Object::Nexthop(nexthop(11, "10.0.1.1", 3)),
        Object::Nexthop(group(20, &[10, 11])),
    ];
    objects.into_iter().for_each(|o| must(&mut baseline, &Change::Add(o)));
    settle(&mut baseline);
    baseline.sort();
    let mut now = baseline.clone();
    must(&mut now, &Change::Delete(Object::Nexthop(nexthop(11, "10.0.1.1", 3))));
    let gate = Cut {
        methods: BTreeSet::from([Method::Gate]),
        ..cut(&[2, 3], Vec::new())
    };
    let proof = receipt(&baseline, &now, &now, &[gate], &[]);
    assert_eq!(proof.residues, [], "{proof:#?}");
    assert_eq!(proof.foreign.len(), 2, "{proof:#?}");
    let unplugged = cut(&[3], Vec::new());
    let proof = receipt(&baseline, &now, &now, &[unplugged], &[]);
    assert!(!proof.residues.is_empty(), "{proof:#?}");
}

#[test]
fn a_daemons_route_that_nobody_took_is_no_route_that_came_back() {
    let baseline = everything();
    let mut now = baseline.clone();
    let onlink = Route {
        protocol: 67,
        metric: 30,
        // RTNH_F_ONLINK.
        flags: 4,
        ..via("0.0.0.0/0", "10.0.0.77", 2)
    };
    must(&mut now, &Change::Add(Object::Route(onlink.clone())));
    let nothing = cut(&[], Vec::new());
    let proof = receipt(&baseline, &now, &now, &[nothing], &[]);
    assert_eq!(proof.foreign, [Difference::Extra(Object::Route(onlink))]);
    assert_eq!(proof.not_recreated, []);
}

#[test]
fn a_route_that_the_kernel_makes_of_an_address_is_not_named_beside_it() {
    let baseline = everything();
    let mut now = baseline.clone();
    must(&mut now, &Change::Add(Object::Address(address(3, "fd99::1/64"))));
    settle(&mut now);
    assert!(now.routes.len() > baseline.routes.len(), "the address has routes");
    let nothing = cut(&[], Vec::new());
    let proof = receipt(&baseline, &now, &now, std::slice::from_ref(&nothing), &[]);
    assert!(
        matches!(proof.foreign[..], [Difference::Extra(Object::Address(_))]),
        "{proof:#?}"
    );
    // The other way round the address was removed, and a route of an address that is there is somebody's doing.
    let proof = receipt(&now, &baseline, &baseline, std::slice::from_ref(&nothing), &[]);
    assert!(
        matches!(proof.foreign[..], [Difference::Missing(Object::Address(_))]),
        "{proof:#?}"
    );
    let mut robbed = baseline.clone();
    robbed
        .routes
        .retain(|r| r.protocol != Route::PROTOCOL_KERNEL || r.destination.to_string() != "fd01::/64");
    let proof = receipt(&baseline, &robbed, &robbed, &[nothing], &[]);
    assert!(
        matches!(proof.foreign[..], [Difference::Missing(Object::Route(_))]),
        "{proof:#?}"
    );
}

#[test]
fn an_address_that_somebody_removed_meanwhile_stays_removed_and_what_needs_it_is_named() {
    let mut baseline = host(2);
    must(&mut baseline, &Change::Add(Object::Address(address(2, "10.0.0.1/24"))));
    must(&mut baseline, &Change::Add(Object::Address(address(2, "10.0.5.1/24"))));
    let default = via("0.0.0.0/0", "10.0.0.254", 2);
    must(&mut baseline, &Change::Add(Object::Route(default.clone())));
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    must(&mut now, &Change::Delete(Object::Address(address(2, "10.0.0.1/24"))));
    let before = now.clone();
    let plan = restore(&now, &baseline, std::slice::from_ref(&cut), &[]).unwrap();
    let named: Vec<_> = plan.conflicts.iter().map(|c| (&c.object, &c.why)).collect();
    assert_eq!(
        named,
        [(&Object::Route(default), &Clash::NeedsWhatIsGone { errno: 101 })]
    );
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert!(!now.addresses.iter().any(|a| a.own() == address(2, "10.0.0.1/24").own()));
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(
        proof.is_clean() && proof.conflicts.len() == 1 && !proof.foreign.is_empty(),
        "{proof:#?}"
    );
}

#[test]
fn what_somebody_put_in_the_place_of_a_lost_object_is_kept_and_named() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let mut theirs = neighbour(2, "10.0.0.9");
    theirs.mac = vec![2, 0, 0, 0, 9, 9];
    must(&mut now, &Change::Add(Object::Neighbour(theirs.clone())));
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert!(now.neighbours.contains(&theirs));
    let proof = receipt(&baseline, &now, &now, &[cut], &[]);
    let now_theirs = Clash::ChangedByOthers {
        now: Object::Neighbour(theirs),
    };
    assert!(
        proof.is_clean() && proof.conflicts.iter().any(|c| c.why == now_theirs),
        "{proof:#?}"
    );
}

#[test]
fn a_link_that_is_gone_is_named_and_the_rest_comes_back() {
    let baseline = everything();
    let cut = cut(&[2, 3], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    must(&mut now, &Change::Delete(Object::Link(link(3, "ab1"))));
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert!(now.routes.contains(&via("0.0.0.0/0", "10.0.0.254", 2)));
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(proof.is_clean(), "{proof:#?}");
    assert!(proof.conflicts.iter().any(|c| c.why == Clash::LinkGone { index: 3 }));
}

#[test]
fn a_daemons_route_that_came_back_with_another_nexthop_is_left_alone() {
    const ZEBRA: u8 = 11;
    let mut baseline = host(2);
    must(&mut baseline, &Change::Add(Object::Address(address(2, "10.0.0.1/24"))));
    let of_daemon = |id: u32| {
        let mut object = nexthop(id, "10.0.0.254", 2);
        object.protocol = ZEBRA;
        let route = Route {
            protocol: ZEBRA,
            ..through("10.70.0.0/16", id)
        };
        [Object::Nexthop(object), Object::Route(route)]
    };
    for object in of_daemon(4) {
        must(&mut baseline, &Change::Add(object));
    }
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    up(&mut now, 2);
    for object in of_daemon(10) {
        must(&mut now, &Change::Add(object));
    }
    settle(&mut now);
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    assert_eq!(diff(&before, &now), []);
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert!(proof.is_clean() && proof.not_recreated.len() == 4, "{proof:#?}");
}

#[test]
fn a_route_that_is_back_behind_or_beside_one_of_others_is_a_named_conflict() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let before = now.clone();
    let theirs = via("0.0.0.0/0", "10.0.0.9", 3);
    must(&mut now, &Change::Add(Object::Route(theirs.clone())));
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    // The kernel makes one route of two that go through gateways.
    let ours = via("::/0", "fd00::fe", 2);
    let metric = now.routes.iter().find(|r| r.gateway == ours.gateway).unwrap().metric;
    let merged = Route {
        metric,
        ..multipath("::/0", &[("fd01::fe", 3), ("fd00::fe", 2)])
    };
    let ours = Route { metric, ..ours };
    must(&mut now, &Change::Delete(Object::Route(ours.clone())));
    must(&mut now, &Change::Add(Object::Route(merged.clone())));
    let proof = receipt(&baseline, &before, &now, std::slice::from_ref(&cut), &[]);
    assert!(proof.is_clean(), "{proof:#?}");
    let beside = |object: Route, with: Route| crate::model::receipt::Conflict {
        object: Object::Route(object),
        why: Clash::BesideOthers {
            with: Object::Route(with),
        },
    };
    let named = [
        beside(via("0.0.0.0/0", "10.0.0.254", 2), theirs),
        beside(ours.clone(), merged.clone()),
    ];
    assert_eq!(proof.conflicts, named);
    assert!(
        restore(&now, &baseline, std::slice::from_ref(&cut), &[])
            .unwrap()
            .steps
            .is_empty()
    );
    must(&mut now, &Change::Delete(Object::Route(merged)));
    let proof = receipt(&baseline, &before, &now, &[cut], &[]);
    assert_eq!(proof.residues, [Difference::Missing(Object::Route(ours))]);
}

/// Another link gets the index of one that a cut holds.
fn replace_link(now: &mut Snapshot, index: u32) {
    let old = now.link(index).unwrap().clone();
    must(now, &Change::Delete(Object::Link(old)));
    now.links.push(crate::model::object::Link {
        mac: vec![2, 0, 0, 0, 7, 7],
        ..link(index, "other")
    });
    now.sort();
}

#[test]
fn a_link_that_got_the_index_of_a_deleted_one_is_somebody_elses_doing_and_keeps_what_it_has() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    for up in [false, true] {
        let mut now = baseline.clone();
        carry_out(&mut now, &cut);
        replace_link(&mut now, 2);
        if up {
            must(&mut now, &set(2, LinkSetting::Up));
            settle(&mut now);
        }
        let before = now.clone();
        run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
        assert_eq!(now.to_string(), before.to_string());
        let proof = receipt(&baseline, &before, &now, std::slice::from_ref(&cut), &[]);
        assert_eq!(proof.residues, [], "{up}");
        let is_named = |d: &Difference| {
            matches!(
                d,
                Difference::Changed {
                    before: Object::Link(_),
                    ..
                }
            )
        };
        assert!(proof.foreign.iter().any(is_named), "{proof:#?}");
        assert!(
            restore(&now, &baseline, std::slice::from_ref(&cut), &[])
                .unwrap()
                .is_complete()
        );
    }
}

#[test]
fn what_the_kernel_makes_for_ipv6_is_no_residue_where_others_switched_it_off_under_the_cut() {
    let baseline = everything();
    let cut = cut(&[2], Vec::new());
    let off = Change::SetSysctl(sysctl("net.ipv6.conf.ab0.disable_ipv6", "1"));
    for (by_sysctl, errno) in [(true, 13), (false, 22)] {
        let mut now = baseline.clone();
        carry_out(&mut now, &cut);
        if by_sysctl {
            must(&mut now, &off);
        } else {
            now.links.iter_mut().filter(|l| l.index == 2).for_each(|l| l.mtu = 1000);
        }
        let before = now.clone();
        run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
        let proof = receipt(&baseline, &before, &now, std::slice::from_ref(&cut), &[]);
        assert_eq!(proof.residues, [], "{by_sysctl}");
        let mut of_addresses = proof
            .conflicts
            .iter()
            .filter(|c| matches!(c.object, Object::Address(_)));
        assert!(
            of_addresses.all(|c| c.why == Clash::NeedsWhatIsGone { errno }),
            "{proof:#?}"
        );
        assert_eq!(proof.foreign.len(), 1, "what they did: {proof:#?}");
        let is_neighbour = |c: &&crate::model::receipt::Conflict| matches!(c.object, Object::Neighbour(_));
        assert_eq!(proof.conflicts.iter().filter(is_neighbour).count(), 1, "{proof:#?}");
        assert!(
            restore(&now, &baseline, std::slice::from_ref(&cut), &[])
                .unwrap()
                .is_complete()
        );
    }
}

#[test]
fn what_the_kernel_makes_of_an_address_belongs_to_the_conflict_about_the_address() {
    let baseline = everything();
    let cut = cut(&[3], Vec::new());
    let mut now = baseline.clone();
    carry_out(&mut now, &cut);
    let mut theirs = address(3, "fd01::1/64");
    theirs.flags |= Address::FLAG_NOPREFIXROUTE;
    must(&mut now, &Change::Add(Object::Address(theirs)));
    let before = now.clone();
    run(&mut now, &baseline, std::slice::from_ref(&cut), &[], Until::End);
    let proof = receipt(&baseline, &before, &now, std::slice::from_ref(&cut), &[]);
    assert_eq!(proof.residues, [], "{proof:#?}");
    let mut of_address = proof
        .conflicts
        .iter()
        .filter(|c| matches!(c.object, Object::Address(_)));
    assert!(matches!(of_address.next().unwrap().why, Clash::ChangedByOthers { .. }));
}
