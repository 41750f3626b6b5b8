//! The model kernel is held against the real one: the same changes, chosen at random, on both from the same start. After
//! every change both must hold the same, and have refused the same with the same errno.
//!
//! Left out is what `model::effect` says is simpler there: carrier, and addresses still in detection, which the test waits
//! for. Peers of the veths stay up, so that carrier never follows. `PORTCULLIS_SEED=N` runs one sequence again.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use portcullis::drill::namespace::Namespace;
use portcullis::kernel::netlink::Netlink;
use portcullis::kernel::sim::ModelKernel;
use portcullis::kernel::{ChangeError, Kernel, Seen};
use portcullis::model::change::{Change, LinkSetting, Outcome};
use portcullis::model::diff::diff;
use portcullis::model::object::{
    Address, Attach, Family, Filter, FilterEntries, Hop, Link, Neighbour, Nexthop, OUR_PROTOCOL, Qdisc, Route, Rule,
    RuleAction, U32Match, Verdict, Volatile,
};
use portcullis::model::snapshot::{Object, Snapshot};

use crate::world::{inside, run_line, script, sysctl};
use crate::{addresses_have_settled, blackhole, snapshot, wait_for};

/// How long the real kernel may take to come to rest after a change.
const REST: Duration = Duration::from_secs(3);
/// Changes of one sequence.
const CHANGES: usize = 40;
/// Sequences of a run.
const SEQUENCES: u64 = 150;

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        let at = self.below(u64::try_from(list.len()).expect("few"));
        list[usize::try_from(at).expect("few")].clone()
    }

    fn number(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(u64::from(limit))).expect("below a u32")
    }
}

/// Two links with peers, which no change touches.
const LINKS: &str = "
    ip link set lo up
    ip link add ua0 type veth peer name ub0
    ip link add uc0 type veth peer name ud0
";

/// No detection: it takes the kernel two seconds.
const QUIET: [(&str, &str); 8] = [
    ("all.accept_dad", "0"),
    ("default.accept_dad", "0"),
    ("ua0.accept_dad", "0"),
    ("uc0.accept_dad", "0"),
    ("ub0.accept_dad", "0"),
    ("ud0.accept_dad", "0"),
    ("ua0.dad_transmits", "0"),
    ("uc0.dad_transmits", "0"),
];

/// Both families on both links.
const START: &str = "
    ip link set ub0 up
    ip link set ud0 up
    ip link set ua0 up
    ip link set uc0 up
    ip addr add 10.1.0.2/24 dev ua0
    ip addr add 10.2.0.2/24 dev uc0
    ip -6 addr add 2001:db8:1::2/64 dev ua0 nodad
    ip -6 addr add 2001:db8:2::2/64 dev uc0 nodad
    ip route add default via 10.1.0.1
    ip -6 route add default via 2001:db8:1::1
";

fn index(now: &Snapshot, name: &str) -> u32 {
    let name = name.parse().expect("a name");
    now.link_named(&name).expect("it was made").index
}

/// What may be changed, with the indices of this namespace.
struct Host {
    links: [Link; 2],
}

impl Host {
    fn link(&self, random: &mut Random) -> u32 {
        random.pick(&self.links).index
    }

    fn any(&self, random: &mut Random, now: &Snapshot) -> Change {
        let object = match random.below(20) {
            0 | 1 => return self.set(random),
            2 | 3 => Object::Address(self.address(random)),
            4..8 => Object::Route(self.route(random)),
            8 => Object::Route(Route {
                table: 20547,
                ..blackhole(&format!("10.9{}.0.0/16", random.below(3)))
            }),
            9 | 10 => Object::Rule(rule(random)),
            11 | 12 => Object::Nexthop(self.nexthop(random)),
            13 => Object::Neighbour(self.neighbour(random)),
            14 | 15 => Object::Qdisc(self.qdisc(random)),
            16 => Object::Filter(filter(random)),
            // Something that stands goes, whoever made it.
            _ => return standing(random, now).map_or_else(|| self.set(random), Change::Delete),
        };
        // A delete names everything that the kernel compares of what stands; of another route it may hit a neighbour.
        let may_go = !matches!(object, Object::Route(_));
        if may_go && random.below(4) == 0 {
            Change::Delete(object)
        } else {
            Change::Add(object)
        }
    }

    fn set(&self, random: &mut Random) -> Change {
        let link = random.pick(&self.links);
        let setting = random.pick(&[
            LinkSetting::Up,
            LinkSetting::Up,
            LinkSetting::Down,
            LinkSetting::Group(0),
            LinkSetting::Group(0x5043_0000),
        ]);
        Change::SetLink {
            index: link.index,
            name: link.name,
            setting,
        }
    }

    fn address(&self, random: &mut Random) -> Address {
        let own: IpAddr = match random.below(2) {
            0 => format!("10.{}.0.{}", random.below(3), 10 + random.below(3)),
            _ => format!("2001:db8:{}::{}", random.below(3), 10 + random.below(3)),
        }
        .parse()
        .expect("an address");
        let v4 = own.is_ipv4();
        let link = random.pick(&self.links);
        Address {
            family: Family::of(own),
            link: link.index,
            prefix_length: if v4 { 24 } else { 64 },
            scope: 0,
            // IFA_F_PERMANENT; IFA_F_NODAD, which IPv6 alone keeps.
            flags: if v4 { 0x80 } else { 0x82 },
            tentative: Volatile(false),
            stable_privacy: Volatile(false),
            local: v4.then_some(own),
            address: own,
            broadcast: None,
            // The kernel's choice where nobody gives one.
            label: v4.then(|| link.name.as_bytes().to_vec()),
            lifetime: Volatile(None),
            permanent: true,
            extra: Default::default(),
        }
    }

    fn route(&self, random: &mut Random) -> Route {
        let v4 = random.below(2) == 0;
        let n = random.below(3);
        let to = if v4 {
            format!("10.8{n}.0.0/16")
        } else {
            format!("2001:db8:8{n}::/48")
        };
        let metric = random.number(2) * 7 + if v4 { 0 } else { 1024 };
        let table = random.pick(&[Route::TABLE_MAIN, 100]);
        let plain = Route {
            protocol: 4,
            metric,
            table,
            kind: Route::UNICAST,
            ..blackhole(&to)
        };
        // Equal IPv6 routes over two ways are one to the kernel and two to the model, so there is one way for each.
        let net = if v4 { 1 + random.below(2) } else { 1 + n % 2 };
        let gateway: IpAddr = if v4 {
            format!("10.{net}.0.1")
        } else {
            format!("2001:db8:{net}::1")
        }
        .parse()
        .expect("an address");
        let over = usize::try_from(net).expect("small") - 1;
        let link = if v4 { self.link(random) } else { self.links[over].index };
        match random.below(8) {
            0 => Route {
                kind: Route::BLACKHOLE,
                ..plain
            },
            1 => Route {
                link: Some(link),
                scope: if v4 { 253 } else { 0 },
                ..plain
            },
            2 if v4 => Route {
                nexthop: Some(1 + random.number(3)),
                ..plain
            },
            3 if v4 => Route {
                hops: [1, 2].map(|net| self.leg(net)).into(),
                ..plain
            },
            _ => Route {
                link: Some(link),
                gateway: Some(gateway),
                ..plain
            },
        }
    }

    fn leg(&self, net: usize) -> Hop {
        Hop {
            link: self.links[net - 1].index,
            hops: 0,
            flags: 0,
            gateway: Some(format!("10.{net}.0.1").parse().expect("an address")),
            extra: Default::default(),
        }
    }

    fn nexthop(&self, random: &mut Random) -> Nexthop {
        let id = 1 + random.number(3);
        let single = Nexthop {
            id,
            family: 2,
            scope: 253,
            protocol: 4,
            flags: 0,
            link: Some(self.link(random)),
            gateway: Some(
                format!("10.{}.0.{}", 1 + random.below(2), 100 + id)
                    .parse()
                    .expect("an address"),
            ),
            blackhole: false,
            group: Vec::new(),
            extra: Default::default(),
        };
        match random.below(3) {
            0 => Nexthop {
                id: 11,
                family: 0,
                scope: 0,
                link: None,
                gateway: None,
                group: vec![(1, 0), (2, 0)],
                ..single
            },
            _ => single,
        }
    }

    fn neighbour(&self, random: &mut Random) -> Neighbour {
        let address: IpAddr = format!("10.1.0.{}", 20 + random.below(2)).parse().expect("an address");
        Neighbour {
            family: Family::V4,
            link: self.link(random),
            address,
            mac: vec![2, 0, 0, 0, 1, u8::try_from(random.below(2)).expect("small")],
            state: 0x80,
            flags: 0,
            extra: Default::default(),
        }
    }

    fn qdisc(&self, random: &mut Random) -> Qdisc {
        Qdisc {
            link: self.link(random),
            kind: "clsact".to_owned(),
            handle: Qdisc::CLSACT_HANDLE,
            parent: Qdisc::CLSACT_PARENT,
            ingress_block: Some(0x5043_0001),
            egress_block: Some(0x5043_0002),
        }
    }
}

fn rule(random: &mut Random) -> Rule {
    let action = random.pick(&[
        RuleAction::Prohibit,
        RuleAction::Nop,
        RuleAction::Goto(300),
        RuleAction::Lookup(100),
    ]);
    let plain = Rule::ours(random.pick(&Family::BOTH), 150 + random.number(4) * 20, action);
    Rule {
        // Rules that say no to everybody would make every gateway unreachable: that is another sequence's business.
        iif: (plain.action == RuleAction::Prohibit || random.below(2) == 0).then(|| "ua0".parse().expect("a name")),
        protocol: random.pick(&[OUR_PROTOCOL, 4]),
        ..plain
    }
}

fn filter(random: &mut Random) -> Filter {
    let everything = U32Match {
        offset: 0,
        mask: 0,
        value: 0,
    };
    let row = if random.below(2) == 0 {
        vec![everything]
    } else {
        vec![port(random)]
    };
    Filter {
        attach: Attach::Block(random.pick(&[0x5043_0001, 0x5043_0002])),
        preference: u16::try_from(10 + random.below(3)).expect("small"),
        protocol: 0x0800,
        chain: 0,
        kind: "u32".to_owned(),
        entries: FilterEntries::U32(vec![(row, Verdict::Pass)]),
    }
}

fn port(random: &mut Random) -> U32Match {
    U32Match {
        offset: 20,
        mask: 0xffff,
        value: 22 + random.number(2),
    }
}

/// Anything that stands and that a change can delete, but links, loopback's and what the kernel makes of addresses.
fn standing(random: &mut Random, now: &Snapshot) -> Option<Object> {
    let all = all_standing(now);
    (!all.is_empty()).then(|| random.pick(&all))
}

fn all_standing(now: &Snapshot) -> Vec<Object> {
    let may_go = |o: &Object| match o {
        Object::Link(_) | Object::Sysctl(_) => false,
        Object::Address(a) => a.link != 1 && a.scope == 0,
        Object::Route(r) => r.protocol != Route::PROTOCOL_KERNEL,
        Object::Rule(r) => r.protocol != Route::PROTOCOL_KERNEL,
        // The program makes and deletes no other.
        Object::Qdisc(q) => q.kind == "clsact",
        Object::Nexthop(_) | Object::Neighbour(_) | Object::Filter(_) => true,
    };
    now.objects().filter(may_go).collect()
}

/// The kernel has made the routes of every address.
fn has_come_to_rest(now: &Snapshot) -> bool {
    let is_local = |a: &Address| {
        let mut routes = now.routes.iter().filter(|r| r.kind == Route::LOCAL);
        routes.any(|r| r.destination.addr() == a.address)
    };
    addresses_have_settled(now) && now.addresses.iter().filter(|a| a.family == Family::V6).all(is_local)
}

/// The same start for every sequence.
fn begin_anew(here: &Namespace, real: &mut Netlink) {
    let gone: Vec<Change> = all_standing(&snapshot(real)).into_iter().map(Change::Delete).collect();
    real.apply(&gone).expect("the transport works");
    let links = snapshot(real).links;
    for name in ["ua0", "uc0"]
        .iter()
        .filter(|n| links.iter().any(|l| l.name.to_string() == **n))
    {
        run_line(here, &format!("ip link del {name}"));
    }
    script(here, LINKS);
    for (name, value) in QUIET {
        sysctl(here, &format!("net.ipv6.conf.{name}"), value);
    }
    script(here, START);
    wait_for(real, "addresses have settled", has_come_to_rest);
}

type Answer = Result<Outcome, ChangeError>;

/// Whether both kernels said the same: done, so already, or the same errno. Settings and what
/// replaces its namesake are acknowledged alike whether they were so or not.
fn agree(change: &Change, real: &Answer, model: &Answer) -> bool {
    let is_acknowledged = matches!(
        change,
        Change::SetLink { .. } | Change::Add(Object::Nexthop(_) | Object::Neighbour(_))
    );
    match (real, model) {
        (Ok(_), Ok(_)) if is_acknowledged => true,
        (Ok(a), Ok(b)) => a == b,
        (Err(a), Err(b)) => a.errno == b.errno,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

fn one(kernel: &mut dyn Kernel, change: &Change) -> Answer {
    let Ok(mut answers) = kernel.apply(std::slice::from_ref(change)) else {
        panic!("the transport works");
    };
    answers.remove(0)
}

/// What differs when the real kernel has come to rest: it makes the routes of an address in its own time.
fn lasting(real: &mut Netlink, model: &Snapshot) -> Vec<String> {
    let mut watch = real.watch().expect("a subscription");
    let begun = Instant::now();
    loop {
        let differences = diff(&snapshot(real), model);
        if differences.is_empty() || begun.elapsed() > REST {
            return differences.iter().map(ToString::to_string).collect();
        }
        assert_ne!(
            watch.wait(Duration::from_millis(50)).expect("the subscription holds"),
            Seen::Overrun
        );
    }
}

/// Runs one sequence from what the real kernel holds now.
fn sequence(seed: u64, real: &mut Netlink) {
    let mut random = Random(seed);
    let start = snapshot(real);
    let host = Host {
        links: ["ua0", "uc0"].map(|name| start.link(index(&start, name)).expect("made").clone()),
    };
    let mut model = ModelKernel::new(start);
    let mut done: Vec<String> = Vec::new();
    for _ in 0..CHANGES {
        let change = host.any(&mut random, &model.state());
        let answers = [one(real, &change), one(&mut model, &change)];
        model.settle();
        done.push(format!("{change}: {:?}", answers[1].as_ref().map_err(|e| e.errno)));
        let context = || format!("PORTCULLIS_SEED={seed}:\n{}", done.join("\n"));
        assert!(
            agree(&change, &answers[0], &answers[1]),
            "{}\nreal {:?}\nmodel {:?}",
            context(),
            answers[0],
            answers[1]
        );
        let differences = lasting(real, &model.state());
        assert!(
            differences.is_empty(),
            "{}\nreal to model:\n{}",
            context(),
            differences.join("\n")
        );
    }
}

#[test]
fn the_model_kernel_does_what_the_real_one_does() {
    inside("model::the_model_kernel_does_what_the_real_one_does", |world| {
        let here = world.own();
        let mut real = Netlink::open().expect("sockets");
        let only = std::env::var("PORTCULLIS_SEED")
            .ok()
            .map(|s| s.parse().expect("a number"));
        let seeds = only.map_or(0..SEQUENCES, |seed: u64| seed..seed + 1);
        for seed in seeds.clone() {
            begin_anew(&here, &mut real);
            sequence(seed, &mut real);
        }
        println!("{} sequences of {CHANGES} changes", seeds.end - seeds.start);
    });
}
