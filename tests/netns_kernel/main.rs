//! The real kernel, each test in a network namespace of its own.

#[path = "../world/mod.rs"]
mod world;

mod gate;
mod lookup;
mod model;
mod nasty;
mod round_trip;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::drill::links::{Builder, End};
use portcullis::kernel::netlink::Netlink;
use portcullis::kernel::{Kernel, KernelError, Kinds, Seen};
use portcullis::model::change::{Change, LinkSetting, Outcome};
use portcullis::model::names::InterfaceName;
use portcullis::model::object::{Family, Link, Nexthop, OUR_PROTOCOL, Route, Rule, RuleAction, Sysctl, Volatile};
use portcullis::model::snapshot::{Object, Snapshot};

use world::{Owner, inside, inside_of, run_line, script};

/// Applies the changes; every one must be acknowledged.
fn apply(kernel: &mut Netlink, changes: &[Change]) -> Vec<Outcome> {
    let results = kernel.apply(changes).expect("the transport works");
    let errors: Vec<String> = results
        .iter()
        .filter_map(|r| r.as_ref().err().map(ToString::to_string))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    results.into_iter().map(|r| r.expect("checked above")).collect()
}

fn snapshot(kernel: &mut Netlink) -> Snapshot {
    kernel.snapshot(Kinds::ALL).expect("a snapshot")
}

/// Waits until `reached` holds, reading at every event.
fn wait_for(kernel: &mut Netlink, what: &str, mut reached: impl FnMut(&Snapshot) -> bool) {
    let mut watch = kernel.watch().expect("a subscription");
    for _ in 0..50 {
        if reached(&snapshot(kernel)) {
            return;
        }
        let seen = watch.wait(Duration::from_millis(100)).expect("the subscription holds");
        assert_ne!(seen, Seen::Overrun);
    }
    panic!("not within 5 s: {what}");
}

/// What the kernel does by itself after a link came up is done: each has its link-local address, none is tentative.
fn addresses_have_settled(now: &Snapshot) -> bool {
    let has_own = |link: &Link| {
        let mut of_link = now
            .addresses
            .iter()
            .filter(|a| a.link == link.index && a.family == Family::V6);
        of_link.any(|a| a.scope == SCOPE_LINK)
    };
    let mut up = now.links.iter().filter(|l| l.up && !l.is_loopback());
    up.all(has_own) && now.addresses.iter().all(|a| !a.tentative.0)
}

/// RT_SCOPE_LINK.
const SCOPE_LINK: u8 = 253;

/// A blackhole route of ours in table 100.
fn blackhole(net: &str) -> Route {
    let destination: ipnet::IpNet = net.parse().expect("a prefix");
    let family = Family::of_net(&destination);
    Route {
        family,
        destination,
        source: None,
        tos: 0,
        table: 100,
        protocol: OUR_PROTOCOL,
        scope: 0,
        kind: Route::BLACKHOLE,
        flags: 0,
        metric: if family == Family::V6 { 1024 } else { 0 },
        link: None,
        gateway: None,
        preferred_source: None,
        nexthop: None,
        hops: Vec::new(),
        metrics: Default::default(),
        expires_s: Volatile(None),
        extra: Default::default(),
    }
}

/// So many blackhole routes of ours.
fn many(count: u32) -> Vec<Change> {
    let net = |n: u32| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 0xff, n & 0xff);
    (0..count)
        .map(|n| Change::Add(Object::Route(blackhole(&net(n)))))
        .collect()
}

#[test]
fn adding_twice_and_deleting_twice_is_said_to_be_so_already() {
    inside("adding_twice_and_deleting_twice_is_said_to_be_so_already", |_| {
        let mut kernel = Netlink::open().expect("sockets");
        let objects = [
            Object::Route(blackhole("10.0.0.0/8")),
            Object::Route(blackhole("2001:db8::/32")),
            Object::Rule(Rule::ours(Family::V4, 0, RuleAction::Prohibit)),
            Object::Rule(Rule::ours(Family::V6, 7, RuleAction::Lookup(100))),
        ];
        let add: Vec<Change> = objects.iter().cloned().map(Change::Add).collect();
        let delete: Vec<Change> = objects.iter().cloned().map(Change::Delete).collect();
        for (changes, first) in [(&add, Outcome::Applied), (&add, Outcome::AlreadySo)] {
            assert_eq!(apply(&mut kernel, changes), [first; 4]);
        }
        let now = snapshot(&mut kernel);
        let there: Vec<Object> = now.objects().filter(|o| objects.contains(o)).collect();
        assert_eq!(
            there.len(),
            4,
            "what is read is what was written: {:?} {:?}",
            now.routes,
            now.rules
        );
        for (changes, first) in [(&delete, Outcome::Applied), (&delete, Outcome::AlreadySo)] {
            assert_eq!(apply(&mut kernel, changes), [first; 4]);
        }
    });
}

#[test]
fn a_delete_of_ours_never_hits_what_another_made() {
    inside("a_delete_of_ours_never_hits_what_another_made", |world| {
        script(
            &world.own(),
            "ip route add blackhole 10.0.0.0/8 table 100
             ip -6 route add blackhole 2001:db8::/32 table 100
             ip rule add pref 100 prohibit
             ip -6 rule add pref 100 prohibit",
        );
        let mut kernel = Netlink::open().expect("sockets");
        let before = snapshot(&mut kernel);
        let ours = [
            Object::Route(blackhole("10.0.0.0/8")),
            Object::Route(blackhole("2001:db8::/32")),
            Object::Rule(Rule::ours(Family::V4, 100, RuleAction::Prohibit)),
            Object::Rule(Rule::ours(Family::V6, 100, RuleAction::Prohibit)),
        ];
        let gone: Vec<Change> = ours.into_iter().map(Change::Delete).collect();
        assert_eq!(apply(&mut kernel, &gone), [Outcome::AlreadySo; 4]);
        assert_eq!(snapshot(&mut kernel), before);
    });
}

#[test]
fn a_refusal_says_what_was_tried_and_what_the_kernel_says() {
    inside("a_refusal_says_what_was_tried_and_what_the_kernel_says", |world| {
        script(&world.own(), "ip link add ua0 type veth peer name ub0");
        let mut kernel = Netlink::open().expect("sockets");
        let links = snapshot(&mut kernel).links;
        let up = links.iter().find(|l| l.name.as_bytes() == b"ua0").expect("just made");
        let up = Change::SetLink {
            index: up.index,
            name: up.name.clone(),
            setting: LinkSetting::Up,
        };
        let route = Route {
            kind: Route::UNICAST,
            gateway: Some("192.0.2.1".parse().expect("an address")),
            ..blackhole("10.0.0.0/8")
        };
        let good = Change::Add(Object::Route(blackhole("10.1.0.0/16")));
        let results = kernel
            .apply(&[up, Change::Add(Object::Route(route)), good])
            .expect("the transport");
        assert_eq!(results[0], Ok(Outcome::Applied));
        assert_eq!(results[2], Ok(Outcome::Applied), "what comes after a refusal runs");
        assert_eq!(
            results[1].as_ref().expect_err("no way to the gateway").to_string(),
            "failed to add route 10.0.0.0/8 via 192.0.2.1 table 100 proto 80: Network is unreachable (errno 101), \
             the kernel says \"Nexthop has invalid gateway\""
        );
    });
}

#[test]
fn two_thousand_routes_are_all_acknowledged() {
    inside("two_thousand_routes_are_all_acknowledged", |_| {
        let mut kernel = Netlink::open().expect("sockets");
        assert_eq!(apply(&mut kernel, &many(2000)), [Outcome::Applied; 2000]);
        assert_eq!(
            snapshot(&mut kernel).routes.iter().filter(|r| r.table == 100).count(),
            2000
        );
    });
}

#[test]
fn all_is_acknowledged_and_lost_events_are_told_where_no_buffer_can_be_forced() {
    let test = "all_is_acknowledged_and_lost_events_are_told_where_no_buffer_can_be_forced";
    inside_of(Owner::Nobody, test, |_| {
        let mut kernel = Netlink::open().expect("sockets");
        let mut watch = kernel.watch().expect("a subscription");
        let outcomes = apply(&mut kernel, &many(40_000));
        assert!(outcomes.iter().all(|o| *o == Outcome::Applied));
        assert_eq!(
            snapshot(&mut kernel).routes.iter().filter(|r| r.table == 100).count(),
            40_000
        );
        let seen = watch.wait(Duration::from_secs(5)).expect("the subscription");
        assert_eq!(seen, Seen::Overrun, "so many events do not fit into the buffer");
        let seen = watch.wait(Duration::from_millis(1)).expect("the subscription");
        assert_eq!(seen, Seen::Nothing, "once said, it is over");
    });
}

#[test]
fn a_watch_sees_what_others_change() {
    inside("a_watch_sees_what_others_change", |world| {
        let mut kernel = Netlink::open().expect("sockets");
        let mut watch = kernel.watch().expect("a subscription");
        let changes = [
            "ip link set lo up",
            "ip link add ua0 type veth peer name ub0",
            "ip link set ua0 up",
            "ip addr add 10.1.0.1/24 dev ua0",
            "ip -6 addr add 2001:db8::1/64 dev ua0",
            "ip route add blackhole 10.2.0.0/16",
            "ip -6 route add blackhole 2001:db8:2::/48",
            "ip rule add pref 5 prohibit",
            "ip -6 rule add pref 5 prohibit",
            "ip nexthop add id 1 blackhole",
            "tc qdisc add dev ua0 clsact",
        ];
        for change in changes {
            let quiet =
                |watch: &mut dyn portcullis::kernel::Watch| watch.wait(Duration::from_millis(20)).expect("open");
            while quiet(watch.as_mut()) != Seen::Nothing {}
            run_line(&world.own(), change);
            assert_eq!(
                watch.wait(Duration::from_secs(5)).expect("open"),
                Seen::Changed,
                "{change}"
            );
        }
    });
}

#[test]
fn links_and_sysctls_are_set_and_only_our_own_link_is_made() {
    inside("links_and_sysctls_are_set_and_only_our_own_link_is_made", |world| {
        script(&world.own(), "ip link add ua0 type veth peer name ub0");
        let mut kernel = Netlink::open().expect("sockets");
        let of = |now: &Snapshot| {
            now.links
                .iter()
                .find(|l| l.name.as_bytes() == b"ua0")
                .cloned()
                .expect("made")
        };
        let link = of(&snapshot(&mut kernel));
        let set = |setting| Change::SetLink {
            index: link.index,
            name: link.name.clone(),
            setting,
        };
        let sysctl = Sysctl {
            name: "net.ipv4.conf.ua0.rp_filter".to_owned(),
            value: "2".to_owned(),
        };
        apply(
            &mut kernel,
            &[
                set(LinkSetting::Up),
                set(LinkSetting::Group(4711)),
                Change::SetSysctl(sysctl.clone()),
            ],
        );
        let now = snapshot(&mut kernel);
        assert_eq!((of(&now).up, of(&now).group), (true, 4711));
        assert!(now.sysctls.contains(&sysctl));
        apply(&mut kernel, &[set(LinkSetting::Group(0)), set(LinkSetting::Down)]);
        assert_eq!(of(&snapshot(&mut kernel)), link);

        let ours = our_ifb(4242);
        assert_eq!(
            apply(&mut kernel, &[Change::Add(Object::Link(ours.clone()))]),
            [Outcome::Applied]
        );
        assert_eq!(
            apply(&mut kernel, &[Change::Add(Object::Link(ours.clone()))]),
            [Outcome::AlreadySo]
        );
        let made = snapshot(&mut kernel).link(4242).cloned().expect("under its own index");
        assert_eq!((&made.name, made.up, &made.kind), (&ours.name, false, &ours.kind));
        assert_eq!(
            apply(&mut kernel, &[Change::Delete(Object::Link(made.clone()))]),
            [Outcome::Applied]
        );
        assert_eq!(
            apply(&mut kernel, &[Change::Delete(Object::Link(made))]),
            [Outcome::AlreadySo]
        );
        let refused = kernel
            .apply(&[Change::Delete(Object::Link(link))])
            .expect("the transport");
        assert!(refused[0].is_err(), "a link of others is not deleted");
    });
}

#[test]
fn a_heavy_member_of_a_nexthop_group_keeps_its_weight() {
    inside("a_heavy_member_of_a_nexthop_group_keeps_its_weight", |world| {
        script(
            &world.own(),
            "ip link add ua0 type veth peer name ub0
             ip link set ua0 up
             ip link set ub0 up
             ip addr add 10.0.0.2/24 dev ua0
             ip nexthop add id 1 via 10.0.0.1 dev ua0
             ip nexthop add id 2 group 1,3",
        );
        let mut kernel = Netlink::open().expect("sockets");
        let light = snapshot(&mut kernel).nexthops.pop().expect("the group");
        assert_eq!(light.group, [(1, 2)]);
        let heavy = Nexthop {
            group: vec![(1, 999)],
            ..light
        };
        apply(&mut kernel, &[Change::Add(Object::Nexthop(heavy.clone()))]);
        assert_eq!(snapshot(&mut kernel).nexthops.pop(), Some(heavy));
    });
}

#[test]
fn the_peer_in_another_namespace_is_no_link_of_this_one() {
    inside("the_peer_in_another_namespace_is_no_link_of_this_one", |world| {
        let (here, there) = (world.namespace("h"), world.namespace("p"));
        let seen = here.run(|proof| {
            let name = |text: &str| text.parse::<InterfaceName>().expect("a name");
            let (near, far) = (name("up0"), name("e0"));
            // Both ends have one index, as the first links of two new namespaces have.
            let [near_end, far_end] = [&near, &far].map(|name| End {
                index: Some(7),
                ..End::named(name)
            });
            let builder = Builder::open(proof).expect("sockets");
            builder.add_veth(&near_end, &far_end, &there).expect("a pair");
            snapshot(&mut Netlink::open().expect("sockets"))
        });
        let seen = seen.expect("the namespace");
        let link = seen.link(7).expect("the near end");
        assert_eq!(link.lower, None);
        let abroad = link.lower_abroad.expect("the far end");
        assert!(abroad.index == 7 && abroad.netns >= 0, "{abroad:?}");
        let said = format!(" link if7 link-netnsid {} ", abroad.netns);
        assert!(seen.to_string().contains(&said), "{seen}");
    });
}

/// The ifb into which a gate drops.
fn our_ifb(index: u32) -> Link {
    Link {
        index,
        name: "pcd0".parse().expect("a name"),
        kind: Some("ifb".to_owned()),
        up: false,
        flags: 0,
        carrier: Volatile(false),
        mtu: 1500,
        master: None,
        lower: None,
        lower_abroad: None,
        mac: Vec::new(),
        altnames: Vec::new(),
        group: 0,
    }
}

#[test]
fn a_snapshot_amid_changes_is_one_that_was_true_or_an_error() {
    inside("a_snapshot_amid_changes_is_one_that_was_true_or_an_error", |_| {
        let mut kernel = Netlink::open().expect("sockets");
        // Enough routes for a list to take several messages, between the two that change.
        apply(&mut kernel, &many(3000));
        let stop = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let stop = stop.clone();
            move || keep_first_ahead_of_last(&stop)
        });
        let routes = Kinds {
            routes: true,
            ..Kinds::NONE
        };
        let mut steady = 0;
        for _ in 0..200 {
            match kernel.snapshot(routes) {
                Ok(now) => {
                    let has = |net: &str| now.routes.iter().any(|r| r.destination.to_string() == net);
                    assert!(
                        has("9.0.0.0/8") || !has("11.0.0.0/8"),
                        "no moment had the last without the first"
                    );
                    steady += 1;
                }
                Err(KernelError::Unsteady { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
        assert!(steady > 0, "not one steady reading in 200");
    });
}

/// At no moment is the last route of the list there without the first.
fn keep_first_ahead_of_last(stop: &AtomicBool) {
    let mut kernel = Netlink::open().expect("sockets");
    let [first, last] = ["9.0.0.0/8", "11.0.0.0/8"].map(|net| Object::Route(blackhole(net)));
    let on = [Change::Add(first.clone()), Change::Add(last.clone())];
    let off = [Change::Delete(last), Change::Delete(first)];
    while !stop.load(Ordering::Relaxed) {
        for both in [&on, &off] {
            // Two changes, so that a reading in between can be torn; then a pause in which it cannot.
            apply(&mut kernel, both);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
