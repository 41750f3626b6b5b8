//! Every link that a packet may leave by: what the kernel's lookups allow under a seal is what the routes allow without
//! sealed legs, neither more nor less.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;

use super::hosts::{UPLINK, carry_out, cut, foreign_rule, gateway, policy};
use crate::model::cut::Cut;
use crate::model::diff::diff;
use crate::model::fixture::{direct, group, multipath, nexthop, through, via};
use crate::model::object::{Family, Route, Rule, RuleAction};
use crate::model::snapshot::Snapshot;
use crate::planning::{desired, steps};

/// The sealed link.
const SEALED: u32 = 2;

/// What one table says.
enum Says {
    Next,
    Nowhere,
    Over(Vec<u32>),
}

fn legs(state: &Snapshot, route: &Route) -> Vec<u32> {
    let object = |id: u32| state.nexthop(id).unwrap();
    match route.nexthop.map(object) {
        Some(one) if one.group.is_empty() => one.link.into_iter().collect(),
        Some(many) => many.group.iter().filter_map(|(id, _)| object(*id).link).collect(),
        None => route.links().collect(),
    }
}

/// The routes of the longest match, best metric first, of which one is alive.
fn matching(state: &Snapshot, table: u32, to: IpAddr) -> Vec<&Route> {
    let up = |link: &u32| state.link(*link).unwrap().up;
    let alive = |r: &Route| r.kind != Route::UNICAST || legs(state, r).iter().any(up);
    let covers = |r: &&Route| r.table == table && r.destination.contains(&to) && alive(r);
    let all: Vec<&Route> = state.routes.iter().filter(covers).collect();
    let longest = all.iter().map(|r| r.destination.prefix_len()).max();
    let mut best: Vec<&Route> = all
        .into_iter()
        .filter(|r| Some(r.destination.prefix_len()) == longest)
        .collect();
    let metric = best.iter().map(|r| r.metric).min();
    best.retain(|r| Some(r.metric) == metric);
    best
}

/// The legs that may be chosen: of the first route alone, but for IPv6 and for IPv4 default routes.
fn choice(state: &Snapshot, best: &[&Route]) -> Vec<u32> {
    let first = best[0];
    let any = first.family == Family::V6 || first.destination.prefix_len() == 0;
    let all = best.iter().take(if any { usize::MAX } else { 1 });
    let unicast = all.filter(|r| r.kind == Route::UNICAST);
    unicast.flat_map(|r| legs(state, r)).collect()
}

fn selects(rule: &Rule, to: IpAddr) -> bool {
    let own = rule.destination.is_none_or(|n| n.contains(&to));
    rule.iif.is_none() && own != rule.invert
}

fn says(state: &Snapshot, rule: &Rule, table: u32, to: IpAddr, sealed: Option<u32>) -> Says {
    let best = matching(state, table, to);
    let Some(first) = best.first() else { return Says::Next };
    let short = rule.suppress_prefix_length;
    match first.kind {
        Route::THROW => return Says::Next,
        Route::BLACKHOLE => return Says::Nowhere,
        _ if short.is_some_and(|l| u32::from(first.destination.prefix_len()) <= l) => return Says::Next,
        _ => {}
    }
    let mut over = choice(state, &best);
    over.retain(|l| state.link(*l).unwrap().up && Some(*l) != sealed);
    if over.is_empty() { Says::Next } else { Says::Over(over) }
}

/// What a packet could leave by if sealed legs were none, by everybody's own rules.
fn allowed(state: &Snapshot, to: IpAddr) -> BTreeSet<u32> {
    let foreign = state.rules_of(Family::of(to)).filter(|r| selects(r, to));
    for rule in foreign {
        let RuleAction::Lookup(table) = rule.action else {
            panic!("{rule:?}")
        };
        match says(state, rule, table, to, Some(SEALED)) {
            Says::Next => {}
            Says::Nowhere => return BTreeSet::new(),
            Says::Over(links) => return links.into_iter().collect(),
        }
    }
    BTreeSet::new()
}

/// What it can leave by as the kernel decides: IPv4 lets the first leg decide and takes any, IPv6 the one it has chosen.
fn taken(state: &Snapshot, to: IpAddr) -> BTreeSet<u32> {
    let rules: Vec<&Rule> = state.rules_of(Family::of(to)).collect();
    let mut links = BTreeSet::new();
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        if !selects(rule, to) {
            continue;
        }
        let in_group =
            |l: &u32| rule.suppress_group.is_some() && rule.suppress_group == state.link(*l).map(|l| l.group);
        match rule.action {
            RuleAction::Lookup(table) => match says(state, rule, table, to, None) {
                Says::Next => {}
                Says::Nowhere => return links,
                Says::Over(over) if to.is_ipv4() => {
                    let best = matching(state, table, to);
                    if !legs(state, best[0]).first().is_some_and(in_group) {
                        links.extend(over);
                        return links;
                    }
                }
                Says::Over(over) => {
                    links.extend(over.iter().filter(|l| !in_group(l)));
                    if !over.iter().any(in_group) {
                        return links;
                    }
                }
            },
            RuleAction::Goto(target) => at = rules.iter().position(|r| r.preference == target).unwrap(),
            RuleAction::Prohibit => return links,
            RuleAction::Nop => {}
            RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Other(_) => panic!("{rule:?}"),
        }
    }
    links
}

const NETS: [(&str, &str); 6] = [
    ("0.0.0.0/0", "::/0"),
    ("10.64.0.0/10", "fd40::/10"),
    ("10.77.0.0/16", "fd77::/16"),
    ("10.77.1.0/24", "fd77:1::/32"),
    ("10.77.1.64/26", "fd77:1:40::/48"),
    ("10.80.0.0/16", "fd50::/16"),
];
const HOSTS: [(&str, &str); 7] = [
    ("192.0.2.1", "2001:db8::1"),
    ("10.65.0.1", "fd60::1"),
    ("10.77.9.1", "fd77:9::1"),
    ("10.77.1.1", "fd77:1::1"),
    ("10.77.1.65", "fd77:1:40::1"),
    ("10.80.0.1", "fd50::1"),
    ("10.0.0.77", "fd00::77"),
];
const GATEWAYS: [(&str, &str, u32); 3] = [
    ("10.0.0.9", "fd00::9", 2),
    ("10.1.0.9", "fd01::9", 3),
    ("10.2.0.9", "fd02::9", 4),
];

fn of<T>(family: Family, (v4, v6): (T, T)) -> T {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

#[derive(Clone, Debug)]
struct Drawn {
    net: usize,
    main: bool,
    kind: usize,
    legs: Vec<usize>,
    metric: u32,
}

fn route(family: Family, drawn: &Drawn) -> Route {
    let net = of(family, (NETS[drawn.net].0, NETS[drawn.net].1));
    let hops: Vec<(&str, u32)> = drawn
        .legs
        .iter()
        .map(|l| (of(family, (GATEWAYS[*l].0, GATEWAYS[*l].1)), GATEWAYS[*l].2))
        .collect();
    let of_kind = |kind| Route {
        kind,
        link: None,
        ..direct(net, 0)
    };
    let made = match (drawn.kind, hops.as_slice()) {
        (0, _) => of_kind(Route::THROW),
        (1, _) => of_kind(Route::BLACKHOLE),
        (2, _) => through(net, of(family, (10, 20)) + u32::try_from(drawn.legs[0]).unwrap()),
        (_, [one]) => via(net, one.0, one.1),
        (_, many) => multipath(net, many),
    };
    Route {
        table: if drawn.main { Route::TABLE_MAIN } else { 100 },
        metric: drawn.metric,
        ..made
    }
}

/// The gateway with these routes, these of others' rules, and maybe a link that is down.
fn host(family: Family, drawn: &[Drawn], rules: &[usize], down: Option<u32>) -> Snapshot {
    let mut host = gateway();
    host.routes.retain(|r| r.destination.prefix_len() > 0);
    for (base, family) in [(1, Family::V4), (4, Family::V6)] {
        for (at, (v4, v6, link)) in (0..).zip(GATEWAYS) {
            host.nexthops.push(nexthop(base + at, of(family, (v4, v6)), link));
        }
    }
    for (base, first) in [(10, 1), (20, 4)] {
        let members = [[first, first + 1], [first + 1, first], [first + 1, first + 2]];
        host.nexthops
            .extend((0..).zip(members).map(|(at, members)| group(base + at, &members)));
    }
    let mut seen = BTreeSet::new();
    for drawn in drawn {
        // IPv4 may have equals; IPv6 makes one route of them.
        if family == Family::V4 || seen.insert((drawn.net, drawn.main, drawn.metric)) {
            host.routes.push(route(family, drawn));
        }
    }
    let table = |preference| foreign_rule(family, preference, RuleAction::Lookup(100));
    let net = |v4: &str, v6: &str| Some(of(family, (v4, v6)).parse().unwrap());
    let all = [
        table(1000),
        Rule {
            destination: net("10.77.0.0/20", "fd77:1::/24"),
            ..table(1001)
        },
        Rule {
            destination: net("10.77.1.0/25", "fd77:1:40::/44"),
            invert: true,
            ..table(1002)
        },
        Rule {
            suppress_prefix_length: Some(0),
            ..foreign_rule(family, 1003, RuleAction::Lookup(Route::TABLE_MAIN))
        },
        Rule {
            destination: net("10.77.1.64/30", "fd77:1:40::/64"),
            suppress_prefix_length: Some(12),
            ..table(1004)
        },
    ];
    host.rules.extend(rules.iter().map(|at| all[*at].clone()));
    for link in &mut host.links {
        link.up &= Some(link.index) != down;
    }
    host.sort();
    host
}

fn seal_of_uplink(host: &Snapshot) -> Cut {
    let out = UPLINK.replace("\"in\", \"out\", \"forward\"", "\"out\", \"forward\"");
    cut(&policy("a", &out, "use = [\"seal\"]", ""), host)
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let legs = proptest::sample::subsequence(vec![0, 1, 2], 1..=3).prop_shuffle();
    let metric = prop_oneof![Just(10_u32), Just(60)];
    (0..NETS.len(), any::<bool>(), 0..8_usize, legs, metric).prop_map(|(net, main, kind, legs, metric)| Drawn {
        net,
        main,
        kind,
        legs,
        metric,
    })
}

proptest! {
    #[test]
    fn what_can_leave_by_an_open_leg_does_and_nothing_leaves_by_a_sealed_one(
        v6 in any::<bool>(),
        routes in proptest::collection::vec(drawn(), 1..8),
        rules in proptest::sample::subsequence(vec![0, 1, 2, 3, 4], 0..=3),
        down in prop_oneof![3 => Just(None), 1 => (2..5_u32).prop_map(Some)],
        later in proptest::collection::vec(drawn(), 0..3),
    ) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let before = host(family, &routes, &rules, down);
        let cuts = [seal_of_uplink(&before)];
        let mut sealed = before.clone();
        carry_out(&mut sealed, &steps(&before, &desired(&before, &cuts).unwrap()));
        prop_assert_eq!(steps(&sealed, &desired(&before, &cuts).unwrap()), vec![]);
        for (v4, v6) in HOSTS {
            let to: IpAddr = of(family, (v4, v6)).parse().unwrap();
            prop_assert_eq!(taken(&sealed, to), allowed(&before, to), "to {}", to);
        }
        // Routes of others change under the cut, and the seal follows.
        let after = host(family, &later, &rules, down);
        let ours = sealed.routes.iter().filter(|r| crate::planning::is_our_route(r)).cloned();
        sealed.routes = after.routes.iter().cloned().chain(ours).collect();
        sealed.sort();
        let wanted = crate::planning::desired_on(&before, &sealed, &cuts).unwrap();
        let path = steps(&sealed, &wanted);
        carry_out(&mut sealed, &path);
        prop_assert_eq!(steps(&sealed, &wanted), vec![]);
        for (v4, v6) in HOSTS {
            let to: IpAddr = of(family, (v4, v6)).parse().unwrap();
            prop_assert_eq!(taken(&sealed, to), allowed(&after, to), "to {} after a change", to);
        }
        let path = steps(&sealed, &desired(&before, &[]).unwrap());
        carry_out(&mut sealed, &path);
        prop_assert_eq!(diff(&after, &sealed), vec![]);
    }
}
