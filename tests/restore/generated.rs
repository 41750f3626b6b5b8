//! Hosts that nobody thought of: links, addresses, routes, next hops, rules and neighbours at random, each host cut by each
//! method and restored.
//!
//! `PORTCULLIS_TOPOLOGIES=500 PORTCULLIS_TEST_MINUTES=60 cargo test --test restore generated -- --nocapture` makes so many;
//! `PORTCULLIS_SEED=N` makes one again. Every host follows from its seed, and what the kernel does not take of it is left
//! out.

use std::fmt::Write as _;

use portcullis::drill::namespace::Namespace;

use crate::host::{Host, text};
use crate::policy::{Policy, Scope, policy};
use crate::undo::assert_nothing_else;
use crate::world::state::{state, without_order};
use crate::world::{self, World, try_run, wait_for_dad};

/// Hosts in an ordinary run.
const ORDINARY: u64 = 50;
/// They are made side by side by so many tests.
const PARTS: u64 = 5;

macro_rules! parts {
    ($($name:ident = $part:literal,)*) => {
        $(
            #[test]
            fn $name() {
                world::inside(concat!("generated::", stringify!($name)), |world| part(world, $part));
            }
        )*
    };
}

parts! {
    random_hosts_come_back_0 = 0,
    random_hosts_come_back_1 = 1,
    random_hosts_come_back_2 = 2,
    random_hosts_come_back_3 = 3,
    random_hosts_come_back_4 = 4,
}

/// Every host whose seed leaves this rest.
fn part(world: World, part: u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let one = number("PORTCULLIS_SEED");
    let all = number("PORTCULLIS_TOPOLOGIES").unwrap_or(ORDINARY);
    let mut sum = Sum::default();
    let seeds = one.map_or(0..all, |seed| seed..seed + 1);
    for seed in seeds.filter(|seed| seed % PARTS == part) {
        let tried = std::panic::catch_unwind(|| comes_back(world, seed));
        let counted = tried.unwrap_or_else(|_| panic!("PORTCULLIS_SEED={seed} shows it again"));
        sum.came_back += counted.came_back;
        sum.refused += counted.refused;
        sum.lines += counted.lines;
    }
    let Sum {
        came_back,
        refused,
        lines,
    } = sum;
    eprintln!("{came_back} cuts of random hosts came back, {lines} lines of state; {refused} plans were refused");
    assert!(
        one.is_some() || came_back > refused,
        "most plans are refused: the hosts are no test"
    );
}

/// What was tried.
#[derive(Debug, Default)]
struct Sum {
    /// Cuts that came back.
    came_back: u64,
    /// Policies that had no plan.
    refused: u64,
    /// What was compared.
    lines: usize,
}

/// Cuts and restores a host by each of its policies.
fn comes_back(world: World, seed: u64) -> Sum {
    let mut random = Random(seed);
    let at = world.namespace(&format!("g{seed}"));
    let far = world.namespace(&format!("f{seed}"));
    build(&at, &far, &mut random);
    let policies = policies(&mut random);
    let files: Vec<_> = policies.iter().map(Policy::file).collect();
    let host = Host::start(&at, &files);
    let mut sum = Sum::default();
    for (name, _) in &files {
        let before = state(&at);
        let planned = host.run(&["plan", name]);
        if planned.code != 0 {
            assert_eq!(planned.refused(5), "plan-refused", "{name}");
            sum.refused += 1;
            continue;
        }
        let plan = planned.done();
        let receipt = host.revert(&host.declare(name));
        wait_for_dad(&at);
        let (was, is) = (without_order(&before), without_order(&state(&at)));
        let diff = similar::TextDiff::from_lines(&was, &is);
        let diff = diff.unified_diff().context_radius(0).to_string();
        assert!(was == is, "seed {seed}, {name}:\n{diff}\n{receipt:#}\n{before}");
        assert_nothing_else(&format!("seed {seed}, {name}"), &plan, &receipt);
        assert_eq!(text(&receipt["state"]), "ended");
        sum.came_back += 1;
        sum.lines += before.lines().count();
    }
    host.stop();
    sum
}

fn policies(random: &mut Random) -> Vec<Policy> {
    let scopes = [
        Scope::Whole,
        Scope::Links(&["v0"]),
        Scope::Links(&["v*"]),
        Scope::Links(&["v0", "b0", "mv0", "x0"]),
    ];
    let scope = |random: &mut Random| *random.pick(&scopes);
    let routes = *random.pick(&[
        "withdraw-default = true",
        "withdraw-prefixes = [\"10.20.0.0/16\", \"10.21.0.0/16\", \"fd00:20::/64\", \"2001:db8:1::/48\"]",
        "null-prefixes = [\"10.20.0.0/16\", \"203.0.113.0/24\", \"fd00:20::/64\"]",
    ]);
    vec![
        policy("gate", scope(random), &["gate"]),
        policy("seal", scope(random), &["seal"]).lifeline(&["10.1.0.9", "fd00:1::9"], 7007),
        policy("routes", Scope::Whole, &["routes"]).routes(routes),
        policy("link", scope(random), &["link"]),
    ]
}

/// Builds a host, and what is on the other end of its cables.
fn build(at: &Namespace, far: &Namespace, random: &mut Random) {
    let links = links(at, far, random);
    // The kernel refuses some of it, as it should: `-force` goes on.
    let build = |family: &str, lines: &str| drop(try_run(at, "ip", &[family, "-force", "-batch", "-"], lines));
    build("-4", &addresses(&links, random));
    wait_for_dad(at);
    build("-4", &next_hops(&links, random));
    build("-4", &routes(&links, random));
    build("-4", &rules(&links, random, "10.20.0.0/16"));
    build("-6", &rules(&links, random, "fd00:20::/64"));
    build("-4", &neighbours(&links, random));
}

/// Makes the links; gives those that may carry addresses.
fn links(at: &Namespace, far: &Namespace, random: &mut Random) -> Vec<&'static str> {
    const CABLES: [&str; 3] = ["v0", "v1", "v2"];
    let (mut here, mut there) = (String::new(), String::new());
    let cables = &CABLES[..usize::try_from(random.between(1, 3)).unwrap()];
    for name in cables {
        let far_name = far.name();
        writeln!(
            here,
            "link add name {name} type veth peer name p{name} netns {far_name}"
        )
        .unwrap();
        writeln!(there, "link set dev p{name} up").unwrap();
        let attributes = [
            format!("mtu {}", random.between(1280, 3000)),
            "group 77".to_owned(),
            "alias \"to the yard\"".to_owned(),
            format!("txqueuelen {}", random.between(10, 2000)),
            format!("address 02:00:00:00:01:{:02x}", random.between(1, 250)),
        ];
        for attribute in attributes {
            if random.chance(30) {
                writeln!(here, "link set dev {name} {attribute}").unwrap();
            }
        }
        if random.chance(30) {
            writeln!(here, "link property add dev {name} altname a-second-name-of-{name}").unwrap();
        }
        if random.chance(90) {
            writeln!(here, "link set dev {name} up").unwrap();
        }
    }
    let mut carry = cables.to_vec();
    if cables.len() > 1 && random.chance(40) {
        let port = carry.pop().unwrap();
        writeln!(
            here,
            "link add b0 type bridge\nlink set dev {port} master b0\nlink set dev {port} up\nlink set dev b0 up"
        )
        .unwrap();
        carry.push("b0");
    }
    let more = [
        ("mv0", "link add mv0 link v0 type macvlan mode bridge"),
        ("i0", "link add i0 type ifb"),
        ("x0", "link add x0 type vxlan id 7 dev v0 dstport 4789 remote 10.1.0.9"),
    ];
    for (name, line) in more {
        if random.chance(30) {
            writeln!(here, "{line}\nlink set dev {name} up").unwrap();
            carry.push(name);
        }
    }
    if random.chance(20) {
        here.push_str("tuntap add dev t0 mode tun\n");
    }
    drop(try_run(at, "ip", &["-force", "-batch", "-"], &here));
    drop(try_run(far, "ip", &["-force", "-batch", "-"], &there));
    carry
}

fn addresses(links: &[&str], random: &mut Random) -> String {
    let mut lines = "link set dev lo up\n".to_owned();
    for (link, number) in links.iter().zip(1..) {
        for host in 1..=random.between(1, 3) {
            let (length, tail) = (*random.pick(&[24, 25, 32]), random.pick(&V4_TAILS));
            writeln!(lines, "addr add 10.{number}.0.{host}/{length} dev {link} {tail}").unwrap();
            let tail = random.pick(&V6_TAILS);
            writeln!(lines, "addr add fd00:{number}::{host}/64 dev {link} {tail}").unwrap();
        }
        if random.chance(20) {
            writeln!(lines, "addr add 10.{number}.9.1 peer 10.{number}.9.2/32 dev {link}").unwrap();
        }
    }
    lines
}

const V4_TAILS: [&str; 6] = [
    "",
    "brd +",
    "noprefixroute",
    "scope link",
    "metric 50",
    "valid_lft 90000 preferred_lft 80000",
];
const V6_TAILS: [&str; 5] = [
    "",
    "nodad",
    "noprefixroute nodad",
    "metric 50 nodad",
    "valid_lft 90000 preferred_lft 80000 nodad",
];

/// Identifiers of next hops: single ones, then groups.
const SINGLE: u64 = 6;
const GROUPS: u64 = 3;

fn next_hops(links: &[&str], random: &mut Random) -> String {
    let mut lines = String::new();
    for id in 1..=SINGLE {
        let (link, number) = random.link(links);
        let gateway = random.gateway(number, id % 2 == 0);
        let hop = match random.below(5) {
            0 => "blackhole".to_owned(),
            1 => format!("dev {link}"),
            _ => format!("via {gateway} dev {link}"),
        };
        let tail = random.pick(&["", "", "proto static", "onlink"]);
        writeln!(lines, "nexthop add id {id} {hop} {tail}").unwrap();
    }
    for id in SINGLE + 1..=SINGLE + GROUPS {
        let (a, b) = (random.between(1, 3) * 2 - 1, random.between(1, 3) * 2);
        let members = random
            .pick(&[format!("{a}"), format!("{b}"), format!("{a}/{b}"), format!("{a},3/5")])
            .clone();
        let tail = random.pick(&["", "", "type resilient buckets 8"]);
        writeln!(lines, "nexthop add id {id} group {members} {tail}").unwrap();
    }
    lines
}

fn routes(links: &[&str], random: &mut Random) -> String {
    let mut lines = String::new();
    for _ in 0..random.between(10, 30) {
        let v6 = random.chance(50);
        let prefixes = if v6 { V6_PREFIXES } else { V4_PREFIXES };
        let prefix = *random.pick(&prefixes);
        let table = random.pick(&["", "", "", "table 100", "table 1234", "table 4000000000"]);
        let way = way(links, random, v6);
        let mut tail = String::new();
        let tails: &[&str] = if v6 { &V6_ROUTE_TAILS } else { &V4_ROUTE_TAILS };
        for _ in 0..random.below(3) {
            write!(tail, " {}", random.pick(tails)).unwrap();
        }
        let (kind, way) = way;
        writeln!(lines, "route append {kind} {prefix} {way} {table}{tail}").unwrap();
    }
    lines
}

const V4_PREFIXES: [&str; 7] = [
    "default",
    "10.20.0.0/16",
    "10.21.0.0/16",
    "10.20.7.0/24",
    "192.0.2.7/32",
    "203.0.113.0/24",
    "0.0.0.0/1",
];
const V6_PREFIXES: [&str; 7] = [
    "default",
    "fd00:20::/64",
    "fd00:21::/64",
    "2001:db8:1::/48",
    "2001:db8:1:7::/64",
    "2001:db8::7/128",
    "8000::/1",
];
const V4_ROUTE_TAILS: [&str; 9] = [
    "metric 7",
    "metric 700",
    "mtu 1400",
    "advmss 1200",
    "proto 66",
    "proto static",
    "tos 0x10",
    "initcwnd 20",
    "mtu lock 1300",
];
const V6_ROUTE_TAILS: [&str; 8] = [
    "metric 7",
    "metric 700",
    "mtu 1400",
    "advmss 1200",
    "proto 66",
    "proto static",
    "pref high",
    "initcwnd 20",
];

/// The type of a route, and where it leads.
fn way(links: &[&str], random: &mut Random, v6: bool) -> (&'static str, String) {
    let (link, number) = random.link(links);
    let gateway = random.gateway(number, v6);
    match random.below(10) {
        0 => (
            *random.pick(&["blackhole", "unreachable", "prohibit", "throw"]),
            String::new(),
        ),
        1 => ("unicast", format!("dev {link}")),
        2 => ("unicast", format!("via {gateway} dev {link} onlink")),
        3 => ("unicast", format!("nhid {}", random.between(1, SINGLE + GROUPS))),
        4 | 5 => {
            let (other, its) = random.link(links);
            let second = random.gateway(its, v6);
            let weight = random.between(1, 9);
            let legs = format!("nexthop via {gateway} dev {link} nexthop via {second} dev {other} weight {weight}");
            ("unicast", legs)
        }
        6 if !v6 => ("unicast", format!("via {gateway} src 10.{number}.0.1")),
        _ => ("unicast", format!("via {gateway} dev {link}")),
    }
}

fn rules(links: &[&str], random: &mut Random, prefix: &str) -> String {
    let mut lines = String::new();
    for _ in 0..random.below(6) {
        let (link, _) = random.link(links);
        let selector = match random.below(8) {
            0 => format!("from {prefix}"),
            1 => format!("to {prefix}"),
            2 => format!("iif {link}"),
            3 => format!("oif {link}"),
            4 => "fwmark 0x7/0xff".to_owned(),
            5 => "uidrange 1000-2000".to_owned(),
            6 => "ipproto tcp dport 8000-9000".to_owned(),
            _ => "from all".to_owned(),
        };
        let action = random.pick(&[
            "lookup 100",
            "lookup 1234",
            "lookup main suppress_prefixlength 0",
            "unreachable",
        ]);
        let pref = random.between(5_000, 32_000);
        let narrow = if *action == "unreachable" {
            "ipproto tcp dport 9"
        } else {
            ""
        };
        writeln!(lines, "rule add pref {pref} {selector} {narrow} {action}").unwrap();
    }
    lines
}

fn neighbours(links: &[&str], random: &mut Random) -> String {
    let mut lines = String::new();
    for _ in 0..random.below(5) {
        let (link, number) = random.link(links);
        let v6 = random.chance(50);
        let gateway = random.gateway(number, v6);
        let last = random.between(1, 250);
        if random.chance(30) {
            writeln!(lines, "neigh add proxy {gateway} dev {link}").unwrap();
        } else {
            writeln!(
                lines,
                "neigh add {gateway} lladdr 02:00:00:00:02:{last:02x} dev {link} nud permanent"
            )
            .unwrap();
        }
    }
    lines
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Both ends included.
    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    /// A link, and the number of its networks.
    fn link<'a>(&mut self, links: &[&'a str]) -> (&'a str, u64) {
        let at = self.below(links.len() as u64);
        (links[usize::try_from(at).unwrap()], at + 1)
    }

    /// A host in the network of this number.
    fn gateway(&mut self, number: u64, v6: bool) -> String {
        let host = self.between(9, 12);
        if v6 {
            format!("fd00:{number}::{host}")
        } else {
            format!("10.{number}.0.{host}")
        }
    }
}
