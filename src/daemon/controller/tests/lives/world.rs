//! What a life may meet: small hosts, policies of every method and direction of failure, the packets of a lifeline, and
//! clocks that others set.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::random::Random;
use crate::daemon::clock::Clock;
use crate::daemon::policies::Policies;
use crate::model::change::Change;
use crate::model::effect::settle;
use crate::model::emergency::Moment;
use crate::model::fixture::{address, direct, host, leased, must, neighbour, nexthop, sysctl, through, via};
use crate::model::object::{Family, Route, Rule, RuleAction};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::tests::packets::Packet;

/// The uplink, on which cuts act.
pub(super) const UPLINK: u32 = 2;
/// A link that only policies of the whole host reach.
pub(super) const INSIDE: u32 = 3;

/// Methods, scope, and whether there is a lifeline.
const KINDS: [(&str, &str, &str, bool); 10] = [
    ("gate", "\"gate\"", "ab0", true),
    ("seal", "\"seal\"", "ab0", true),
    ("isolate", "\"gate\", \"seal\"", "ab0", true),
    ("whole", "\"gate\", \"seal\"", "*", true),
    ("bare", "\"gate\", \"seal\"", "*", false),
    ("unroute", "\"routes\"", "ab0", false),
    ("null", "\"seal\", \"routes\"", "ab0", true),
    ("unplug", "\"link\"", "ab0", false),
    ("dark", "\"gate\", \"link\"", "*", false),
    (TWO_PEOPLE, "\"gate\", \"seal\"", "ab0", true),
];
/// The kind that demands the approval of another person.
pub(super) const TWO_PEOPLE: &str = "two";
const DIRECTIONS: [&str; 2] = ["closed", "open"];

/// One policy of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) has_lifeline: bool,
    pub(super) opens_after_crash: bool,
    pub(super) opens_after_reboot: bool,
}

impl Kind {
    /// One policy of each kind: what a host has. Of more, the log of a life would tell of little else.
    pub(super) fn of_a_host(random: &mut Random) -> Vec<Self> {
        let mut all = Vec::new();
        for (name, _, _, has_lifeline) in KINDS {
            all.push(Self {
                name,
                has_lifeline,
                opens_after_crash: random.chance(25),
                opens_after_reboot: random.chance(25),
            });
        }
        all
    }

    pub(super) fn policy(&self) -> String {
        let word = |open| DIRECTIONS[usize::from(open)];
        let (crash, reboot) = (word(self.opens_after_crash), word(self.opens_after_reboot));
        format!("{}-{crash}-{reboot}", self.name)
    }

    /// The one of this policy.
    pub(super) fn named(policy: &str) -> Self {
        let words: Vec<&str> = policy.split('-').collect();
        let (name, _, _, has_lifeline) = *KINDS.iter().find(|(name, ..)| *name == words[0]).unwrap();
        Self {
            name,
            has_lifeline,
            opens_after_crash: words[1] == "open",
            opens_after_reboot: words[2] == "open",
        }
    }
}

pub(super) const DEFAULT_MS: u64 = 30_000;
pub(super) const MAXIMUM_MS: u64 = 60_000;
pub(super) const TOTAL_MS: u64 = 90_000;

fn text(policy: &str, methods: &str, scope: &str, lifeline: bool, (crash, reboot): (&str, &str)) -> String {
    let routes = match methods.contains("routes") {
        true if lifeline => "[methods.routes]\nnull-prefixes = [\"10.66.0.0/16\", \"fd66::/48\"]\n",
        true => "[methods.routes]\nwithdraw-default = true\n",
        false => "",
    };
    let approval = if policy.starts_with(TWO_PEOPLE) {
        "[approval]\npeople = 1\nexpires = \"20s\"\nbreak-glass = \"25s\"\n"
    } else {
        ""
    };
    let lifeline = if lifeline {
        "[[lifelines]]\nname = \"ssh\"\npeers = [\"10.9.0.0/16\", \"fd09::/16\"]\nprotocol = \"tcp\"\nports = [22]\n\
         direction = \"in\"\n"
    } else {
        ""
    };
    format!(
        "schema = 1\nname = \"{policy}\"\nsummary = \"a test\"\ndeclared-for = [\"exercise\"]\naffects = \"own-hosts\"\n\
         [scope]\ninterfaces = [\"{scope}\"]\nfamilies = [\"ipv4\", \"ipv6\"]\ndirections = [\"in\", \"out\", \"forward\"]\n\
         [methods]\nuse = [{methods}]\n{routes}{lifeline}\
         {approval}[limits]\ndefault = \"30s\"\nmaximum = \"60s\"\ntotal = \"90s\"\n\
         [fail]\ncrash = \"{crash}\"\nreboot = \"{reboot}\"\nlifeline-lost = \"open\"\n\
         [notice]\ntext = \"a test\"\n"
    )
}

/// The policies of these kinds.
pub(super) fn policies(kinds: &[Kind]) -> Policies {
    let names: Vec<String> = kinds.iter().map(Kind::policy).collect();
    all_policies().only(&names)
}

/// Every kind with every pair of directions of failure.
fn all_policies() -> &'static Policies {
    static LOADED: OnceLock<Policies> = OnceLock::new();
    let all = || {
        let mut loaded = Policies::default();
        for (kind, methods, scope, lifeline) in KINDS {
            for (crash, reboot) in DIRECTIONS.iter().flat_map(|c| DIRECTIONS.map(|r| (*c, r))) {
                let name = format!("{kind}-{crash}-{reboot}");
                let text = text(&name, methods, scope, lifeline, (crash, reboot));
                loaded = loaded.with(Path::new(&name), text).unwrap();
            }
        }
        loaded
    };
    LOADED.get_or_init(all)
}

fn object(state: &mut Snapshot, object: Object) {
    must(state, &Change::Add(object));
}

/// What a host comes up with: an uplink in both families, an inside, and a bit of everything that may be lost.
pub(super) fn configured(random: &mut Random) -> Snapshot {
    let mut state = host(2);
    for (link, net) in [
        (UPLINK, "10.0.0.2/24"),
        (UPLINK, "fd00::2/64"),
        (INSIDE, "10.1.0.1/24"),
        (INSIDE, "fd01::1/64"),
    ] {
        object(&mut state, Object::Address(address(link, net)));
    }
    if random.chance(30) {
        object(&mut state, Object::Address(address(UPLINK, "10.0.0.3/24")));
    }
    if random.chance(30) {
        object(&mut state, Object::Address(leased(UPLINK, "fd00::77/64")));
    }
    if random.chance(20) {
        let keeps = sysctl("net.ipv6.conf.ab0.keep_addr_on_down", "1");
        must(&mut state, &Change::SetSysctl(keeps));
    }
    settle(&mut state);
    for (to, gateway) in [("0.0.0.0/0", "10.0.0.1"), ("::/0", "fd00::1")] {
        object(&mut state, Object::Route(via(to, gateway, UPLINK)));
    }
    extras(&mut state, random);
    state.sort();
    state
}

fn extras(state: &mut Snapshot, random: &mut Random) {
    if random.chance(30) {
        let spare = Route {
            metric: 600,
            protocol: 16,
            ..via("0.0.0.0/0", "10.0.0.254", UPLINK)
        };
        object(state, Object::Route(spare));
    }
    if random.chance(30) {
        object(state, Object::Route(via("10.20.0.0/16", "10.0.0.1", UPLINK)));
        object(state, Object::Route(via("fd20::/48", "fd00::1", UPLINK)));
    }
    if random.chance(30) {
        object(state, Object::Nexthop(nexthop(7, "10.0.0.9", UPLINK)));
        object(state, Object::Route(through("10.30.0.0/16", 7)));
    }
    if random.chance(30) {
        object(state, Object::Neighbour(neighbour(UPLINK, "10.0.0.1")));
    }
    if random.chance(30) {
        let table = Route {
            table: 100,
            ..direct("10.40.0.0/16", INSIDE)
        };
        object(state, Object::Route(table));
        let rule = Rule {
            protocol: 4,
            ..Rule::ours(Family::V4, 30_000, RuleAction::Lookup(100))
        };
        object(state, Object::Rule(rule));
    }
}

fn packet(over: u32, source: &str, destination: &str, ports: (u16, u16)) -> Packet {
    Packet {
        over: (over != 0).then_some(over),
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: 6,
        source_port: ports.0,
        destination_port: ports.1,
    }
}

/// Both directions of the lifeline's conversation, in both families.
pub(super) fn lifeline() -> [Packet; 4] {
    [
        packet(UPLINK, "10.9.0.2", "10.0.0.2", (999, 22)),
        packet(0, "10.0.0.2", "10.9.0.2", (22, 999)),
        packet(UPLINK, "fd09::2", "fd00::2", (999, 22)),
        packet(0, "fd00::2", "fd09::2", (22, 999)),
    ]
}

/// What no lifeline names: in, out and through, over the uplink, in both families.
pub(super) fn strangers() -> [Packet; 6] {
    [
        packet(UPLINK, "198.51.100.7", "10.0.0.2", (999, 22)),
        packet(0, "10.0.0.2", "198.51.100.7", (999, 443)),
        packet(INSIDE, "10.1.0.9", "198.51.100.7", (999, 443)),
        packet(UPLINK, "2001:db8::7", "fd00::2", (999, 22)),
        packet(0, "fd00::2", "2001:db8::7", (999, 443)),
        packet(INSIDE, "fd01::9", "2001:db8::7", (999, 443)),
    ]
}

/// Clocks that stand until they are moved. Clones are the same clocks.
#[derive(Clone, Debug)]
pub(super) struct Clocks(Arc<Mutex<Times>>);

#[derive(Debug)]
struct Times {
    now: Moment,
    /// How long the host has been on since the life began, all boots together, and how long that is in truth with the
    /// times in which it was off.
    on_ms: u64,
    boots: u64,
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Times {
            now: Moment {
                boot_id: "boot-0".to_owned(),
                boottime_ms: 1_000_000,
                wall_ms: 1_790_000_000_000,
            },
            on_ms: 0,
            boots: 0,
        })))
    }

    pub(super) fn pass(&self, ms: u64) {
        let mut times = self.0.lock().unwrap();
        times.on_ms += ms;
        times.now.boottime_ms += ms;
        times.now.wall_ms += i64::try_from(ms).unwrap();
    }

    pub(super) fn set_wall(&self, wall_ms: i64) {
        self.0.lock().unwrap().now.wall_ms = wall_ms;
    }

    /// The host was off for a while and has been up for some seconds.
    pub(super) fn reboot(&self, off_ms: u64, up_ms: u64) {
        let mut times = self.0.lock().unwrap();
        times.boots += 1;
        times.on_ms += up_ms;
        times.now.boot_id = format!("boot-{}", times.boots);
        times.now.boottime_ms = up_ms;
        times.now.wall_ms += i64::try_from(off_ms + up_ms).unwrap();
    }

    pub(super) fn on_ms(&self) -> u64 {
        self.0.lock().unwrap().on_ms
    }

    pub(super) fn boots(&self) -> u64 {
        self.0.lock().unwrap().boots
    }
}

impl Clock for Clocks {
    fn now(&self) -> Moment {
        self.0.lock().unwrap().now.clone()
    }

    fn pause(&self, how_long: Duration) {
        self.pass(u64::try_from(how_long.as_millis()).unwrap());
    }
}
