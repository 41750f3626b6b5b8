//! What a plan's coverage promises of each probe. A note that this file does not know fails the test, so none can
//! become vague unseen.

use portcullis::api::{CoverageView, PlanView};
use portcullis::drill::probe::Answer;
use portcullis::model::plan::Traffic;

use crate::world::matrix::{Outcome, Row};

/// What must become of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Passes,
    Stopped,
}

/// Fails with every probe that did not end as the plan promised.
#[track_caller]
pub fn assert_kept(policy: &str, plan: &PlanView, seen: &Outcome) {
    let broken = all_broken(policy, plan, seen);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Every probe that did not end as the plan promised.
pub fn all_broken(policy: &str, plan: &PlanView, seen: &Outcome) -> Vec<String> {
    let broken = seen.rows.iter().filter_map(|row| broken(plan, row));
    broken.map(|what| format!("{policy}: {what}")).collect()
}

fn broken(plan: &PlanView, row: &Row) -> Option<String> {
    let (promise, expected) = expected(plan, row);
    let kept = row.answer.passed() == (expected == Expect::Passes);
    let answer = match row.answer {
        Answer::Passed { .. } => "passed".to_owned(),
        Answer::Refused(errno) => format!("{errno:?}"),
        Answer::Silent => "silent".to_owned(),
    };
    let words = promise.map(|promise| format!("{}: {}: {}", promise.traffic, promise.fate, promise.note));
    (!kept).then(|| format!("{:<30} {answer}, by {words:?} it must be {expected:?}", row.name))
}

/// Whether the plan says that this probe passes.
pub fn must_pass(plan: &PlanView, row: &Row) -> bool {
    expected(plan, row).1 == Expect::Passes
}

fn expected<'p>(plan: &'p PlanView, row: &Row) -> (Option<&'p CoverageView>, Expect) {
    let probe = Probe::new(row);
    let traffic = row.traffic.map_or_else(|| probe.beside(plan), Some);
    let cuts_u0 = plan.links.is_empty() || plan.links.iter().any(|link| link == "u0");
    let traffic = match traffic {
        // A row holds for the links of the scope.
        Some(Traffic::Bridged) => traffic,
        Some(_) if !cuts_u0 && row.traffic.is_some() => None,
        Some(Traffic::NewLinks) => probe.over_a_new_link(of(plan, Traffic::NewLinks)),
        other => other,
    };
    let promised = traffic.map(|traffic| of(plan, traffic));
    (
        promised,
        promised.map_or(Expect::Passes, |promise| probe.expected(promise)),
    )
}

fn of(plan: &PlanView, traffic: Traffic) -> &CoverageView {
    let name = serde_json::to_value(traffic).unwrap();
    plan.coverage.iter().find(|row| name == row.traffic.as_str()).unwrap()
}

/// A probe by its name: who asks whom, what, in which family.
#[derive(Clone, Copy, Debug)]
struct Probe<'r> {
    from: &'r str,
    to: &'r str,
    what: &'r str,
    v4: bool,
}

impl<'r> Probe<'r> {
    fn new(row: &'r Row) -> Self {
        let (ends, what) = row.name.split_once(' ').unwrap();
        let (from, to) = ends.split_once('>').unwrap();
        Self {
            from,
            to,
            what,
            // A frame of an AF_PACKET socket carries IPv4.
            v4: what.ends_with('4') || what == "arp" || what == "frame",
        }
    }

    /// What traffic that never takes `u0` counts as: nothing that is cut, unless its own links are in the scope.
    fn beside(&self, plan: &PlanView) -> Option<Traffic> {
        let cut = |link: &str| plan.links.iter().any(|l| l == link);
        let by_family = |v4, v6| if self.v4 { v4 } else { v6 };
        match (self.from, self.to) {
            ("H(m0)", "M(m0)") if cut("m0") => Some(by_family(Traffic::LocalOutV4, Traffic::LocalOutV6)),
            ("M(m0)", "H(m0)") if cut("m0") => Some(by_family(Traffic::LocalInV4, Traffic::LocalInV6)),
            ("IT", "OT") | ("OT", "IT") if cut("it0") || cut("ot0") => {
                Some(by_family(Traffic::ForwardedV4, Traffic::ForwardedV6))
            }
            _ => None,
        }
    }

    /// A new link is cut like the others where the plan says so.
    fn over_a_new_link(&self, promise: &CoverageView) -> Option<Traffic> {
        match (promise.fate.as_str(), promise.note.as_str()) {
            ("passes", _) => return None,
            ("partly", note) => {
                let known = [
                    "cut as the others, but open until the daemon has gated it",
                    "routed traffic is cut on new links at once, the rest is not",
                ];
                let left = known
                    .iter()
                    .fold(note.to_owned(), |left, part| left.replacen(part, "", 1));
                assert!(matches!(left.as_str(), "" | "; "), "unknown note {note:?}");
            }
            _ => panic!("nothing is known of {promise:?}"),
        }
        let inbound = self.from == "N(nw0)";
        let by_family = |v4, v6| Some(if self.v4 { v4 } else { v6 });
        match self.what {
            "arp" | "nd" => Some(Traffic::NeighbourResolution),
            "frame" => Some(Traffic::PacketSockets),
            _ if inbound => by_family(Traffic::LocalInV4, Traffic::LocalInV6),
            _ => by_family(Traffic::LocalOutV4, Traffic::LocalOutV6),
        }
    }

    /// One packet, and no answer is asked for.
    fn one_way(&self) -> bool {
        self.what.contains("udp-delivered")
    }

    fn icmp(&self) -> bool {
        self.what.contains("icmp")
    }

    fn tcp(&self) -> bool {
        self.what.contains("tcp")
    }

    /// Whether the far end is a next hop of a route, as [`crate::world::topology::nasty`] makes routes, or, over a new link,
    /// an on-link end of the management lifelines, which take all private address space.
    fn with_a_resolved_end(&self) -> bool {
        ["N", "M(m0)", "N(nw0)"]
            .iter()
            .any(|end| [self.from, self.to].contains(end))
    }

    fn expected(&self, promise: &CoverageView) -> Expect {
        let base = match promise.fate.as_str() {
            "passes" => return Expect::Passes,
            "stopped" => Expect::Stopped,
            "partly" => Expect::Passes,
            other => panic!("unknown fate {other}"),
        };
        let mut left = promise.note.clone();
        let mut expected = base;
        for (words, says) in NOTES {
            if !left.contains(words) {
                continue;
            }
            left = left.replacen(words, "", 1);
            match (base, says(self)) {
                // What stops most of it, and lets this pass.
                (Expect::Stopped, Expect::Passes) => expected = Expect::Passes,
                // Several methods, and one of them stops this.
                (Expect::Passes, Expect::Stopped) => expected = Expect::Stopped,
                (Expect::Stopped, Expect::Stopped) | (Expect::Passes, Expect::Passes) => {}
            }
        }
        let known = left.replace("; ", "").is_empty() && (promise.fate == "stopped" || !promise.note.is_empty());
        assert!(known, "nothing is known of {left:?} in {promise:?}");
        expected
    }
}

type Says = fn(&Probe<'_>) -> Expect;

fn passes_if(condition: bool) -> Expect {
    if condition { Expect::Passes } else { Expect::Stopped }
}

/// What each note means for a probe.
const NOTES: &[(&str, Says)] = &[
    ("it leaves, but no answer comes in", |p| passes_if(p.one_way())),
    (
        "it leaves, but no answer is delivered except from gateways and on-link ends of lifelines, of neither TCP nor UDP",
        |p| passes_if(p.one_way() || (p.icmp() && p.with_a_resolved_end())),
    ),
    ("it leaves, but no answer is delivered except ICMPv6", |p| {
        passes_if(p.one_way() || p.icmp())
    }),
    (
        "it is delivered, but no answer leaves except to gateways, of neither TCP nor UDP",
        |p| passes_if(p.one_way() || (p.icmp() && p.with_a_resolved_end())),
    ),
    ("all but IPv4 broadcast to a subnet is delivered", |p| {
        passes_if(p.what != "subnet-broadcast 4")
    }),
    ("it leaves, but no answer is delivered", |p| passes_if(p.one_way())),
    ("it is delivered, but no answer leaves", |p| passes_if(p.one_way())),
    (
        "gate stops what comes in over the links, not what leaves over them",
        |p| passes_if(p.one_way() && p.to == "W"),
    ),
    (
        "gate stops what leaves over the links, not what comes in over them",
        |p| passes_if(p.one_way() && p.from == "W"),
    ),
    (
        "IPv4 sockets bound to a device send to on-link hosts past the rules, and get answers from gateways and on-link \
         ends of lifelines only, of neither TCP nor UDP",
        |p| passes_if(p.one_way() || p.icmp()),
    ),
    ("of IPv4 only", |p| passes_if(!p.v4 || p.what == "arp")),
    ("of IPv6 only", |p| passes_if(p.v4)),
    ("ARP passes, neighbour discovery does not", |p| {
        passes_if(p.what == "arp")
    }),
    ("neighbour discovery passes, ARP does not", |p| {
        passes_if(p.what == "nd")
    }),
    ("they send nothing, and get what comes in", |p| {
        passes_if(p.to == "H" || p.to == "H(nw0)")
    }),
    (
        "they send, and get nothing but as a sniffer, before traffic control",
        |p| passes_if(p.from == "H"),
    ),
    (
        "this host asks, and gets no answer but as a sniffer, before traffic control",
        |p| passes_if(p.from == "H"),
    ),
    ("a sniffer still sees what arrives at the link", |_| Expect::Stopped),
    ("this host answers ARP of gateways and on-link lifelines only", |p| {
        passes_if(p.what == "nd" || p.from == "H" || p.with_a_resolved_end())
    }),
    ("it answers no neighbour solicitations", |p| {
        passes_if(p.what == "arp" || p.from == "H")
    }),
    (
        "what the withdrawn routes carried, and the null prefixes; other routes and on-link hosts go on",
        |p| passes_if(p.to == "N" || p.to == "M(m0)" || (p.one_way() && p.to == "L")),
    ),
    (
        "it is delivered; answers to where no route leads any more do not leave",
        |p| passes_if(p.one_way() || p.from == "N" || p.from == "M(m0)"),
    ),
    (
        "traffic that has another route goes over the links outside the scope",
        |_| Expect::Stopped,
    ),
    ("between the zones only, and all of that", |p| {
        passes_if(!between_zones(p))
    }),
    (
        "between the zones only; between the ends of lifelines their protocol without ports and ICMP go on, both ways",
        |p| passes_if(!between_zones(p) || p.icmp() || p.tcp()),
    ),
    (
        "between the zones only; between the ends of lifelines ICMPv6 goes on, both ways",
        |p| passes_if(!between_zones(p) || p.icmp()),
    ),
    ("on-link hosts are reached without a route", |_| Expect::Passes),
    ("gate cannot tell it from the host's own traffic", |_| Expect::Stopped),
    (
        "to IPv6 gateways themselves all but TCP and UDP passes, and ICMPv6 to the ends of forwarded lifelines",
        |_| Expect::Stopped,
    ),
    ("ICMP to the ends of forwarded lifelines passes", |_| Expect::Stopped),
    ("with what is for this host", |_| Expect::Stopped),
    (
        "rules keep IPv4 lifelines by protocol without ports, and let ICMP in",
        |p| passes_if(p.tcp() && [p.from, p.to].contains(&"W")),
    ),
    ("rules keep IPv4 lifelines by protocol without ports", |p| {
        passes_if(p.tcp() && [p.from, p.to].contains(&"W"))
    }),
    (
        "gateways and on-link ends of lifelines may deliver all but TCP and UDP",
        |p| passes_if(p.icmp() && p.with_a_resolved_end()),
    ),
    ("gateways may deliver all but TCP and UDP", |p| {
        passes_if(p.icmp() && p.with_a_resolved_end())
    }),
    (
        "gateways and on-link ends of lifelines may be sent all but TCP and UDP",
        |p| passes_if(p.icmp() && p.with_a_resolved_end()),
    ),
    ("where rp_filter is on, ICMP leaves", |_| Expect::Stopped),
    (
        "gateways may be sent all but TCP and UDP, but what they answer is not delivered",
        |_| Expect::Stopped,
    ),
    ("gateways may be sent all but TCP and UDP", |p| {
        passes_if(p.icmp() && p.with_a_resolved_end())
    }),
    ("rules let ICMPv6 in", |p| {
        passes_if(p.icmp() && p.with_a_resolved_end())
    }),
    ("IPv4 multicast and limited broadcast are delivered", |p| {
        passes_if(matches!(p.what, "multicast 4" | "broadcast 4"))
    }),
    ("between ports outside the scope it goes on", |_| Expect::Passes),
];

fn between_zones(probe: &Probe<'_>) -> bool {
    matches!((probe.from, probe.to), ("IT", "OT") | ("OT", "IT"))
}
