//! What was tried, on what, in the words of `ip` and `tc`: for errors, so only as much as names the object.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::change::{Change, LinkSetting};
use crate::model::names::InterfaceName;
use crate::model::object::{
    Address, Attach, Family, Filter, Link, Neighbour, Nexthop, Qdisc, Route, Rule, RuleAction, Sysctl,
};
use crate::model::snapshot::Object;

/// Names of links by index; one that is missing is written `if7`, as `ip` does.
pub type Names = BTreeMap<u32, InterfaceName>;

/// The change as a phrase that follows "failed to".
pub fn attempted(change: &Change, names: &Names) -> String {
    match change {
        Change::Add(what) => format!("add {}", object(what, names)),
        Change::Delete(what) => format!("delete {}", object(what, names)),
        Change::SetLink { name, setting, .. } => match setting {
            LinkSetting::Up => format!("set link {name} up"),
            LinkSetting::Down => format!("set link {name} down"),
            LinkSetting::Group(group) => format!("set link {name} group {group}"),
        },
        Change::SetSysctl(Sysctl { name, value }) => format!("set sysctl {name}={value}"),
    }
}

fn object(what: &Object, names: &Names) -> String {
    match what {
        Object::Link(l) => link(l),
        Object::Address(a) => address(a, names),
        Object::Nexthop(n) => nexthop(n, names),
        Object::Route(r) => route(r, names),
        Object::Rule(r) => rule(r),
        Object::Neighbour(n) => neighbour(n, names),
        Object::Qdisc(q) => qdisc(q, names),
        Object::Filter(f) => filter(f, names),
        Object::Sysctl(s) => format!("sysctl {}", s.name),
    }
}

/// A sentence that grows word by word.
struct Words(String);

impl Words {
    fn new(start: String) -> Self {
        Self(start)
    }

    fn with(mut self, word: &str, value: Option<impl std::fmt::Display>) -> Self {
        if let Some(value) = value {
            // Writing into a string cannot fail.
            write!(self.0, " {word} {value}").expect("a string takes all that is written");
        }
        self
    }

    fn flag(self, word: &str, set: bool) -> Self {
        if set { Self(self.0 + " " + word) } else { self }
    }
}

fn device(index: u32, names: &Names) -> String {
    names
        .get(&index)
        .map_or_else(|| format!("if{index}"), ToString::to_string)
}

fn link(link: &Link) -> String {
    Words::new(format!("link {} index {}", link.name, link.index))
        .with("type", link.kind.as_ref())
        .0
}

fn address(address: &Address, names: &Names) -> String {
    let own = address.own();
    let start = if own == address.address {
        format!("addr {own}/{}", address.prefix_length)
    } else {
        format!("addr {own} peer {}/{}", address.address, address.prefix_length)
    };
    Words::new(start).with("dev", Some(device(address.link, names))).0
}

fn nexthop(nexthop: &Nexthop, names: &Names) -> String {
    let members: Vec<String> = nexthop
        .group
        .iter()
        .map(|(id, weight)| format!("{id},{}", u32::from(*weight) + 1))
        .collect();
    Words::new(format!("nexthop id {}", nexthop.id))
        .with("via", nexthop.gateway)
        .with("dev", nexthop.link.map(|l| device(l, names)))
        .flag("blackhole", nexthop.blackhole)
        .with("group", (!members.is_empty()).then(|| members.join("/")))
        .with("proto", Some(nexthop.protocol))
        .0
}

fn route(route: &Route, names: &Names) -> String {
    let kind = match route.kind {
        Route::UNICAST => String::new(),
        Route::LOCAL => "local ".to_owned(),
        Route::BLACKHOLE => "blackhole ".to_owned(),
        Route::UNREACHABLE => "unreachable ".to_owned(),
        Route::PROHIBIT => "prohibit ".to_owned(),
        Route::THROW => "throw ".to_owned(),
        other => format!("type {other} "),
    };
    let destination = match (route.destination.prefix_len(), route.family) {
        (0, Family::V4) => "default".to_owned(),
        (0, Family::V6) => "-6 default".to_owned(),
        (_, Family::V4 | Family::V6) => route.destination.to_string(),
    };
    let mut words = Words::new(format!("route {kind}{destination}"))
        .with("from", route.source)
        .with("nhid", route.nexthop)
        .with("via", route.gateway)
        .with("dev", route.link.map(|l| device(l, names)))
        .with("table", Some(route.table))
        .with("proto", Some(route.protocol))
        .with("metric", Some(route.metric).filter(|&m| m != 0))
        .with("src", route.preferred_source);
    for hop in &route.hops {
        words = words
            .flag("nexthop", true)
            .with("via", hop.gateway)
            .with("dev", Some(device(hop.link, names)))
            .with("weight", Some(u32::from(hop.hops) + 1));
    }
    words.0
}

fn rule(rule: &Rule) -> String {
    let family = match rule.family {
        Family::V4 => "rule",
        Family::V6 => "rule -6",
    };
    let range = |(first, last): (u16, u16)| format!("{first}-{last}");
    let words = Words::new(format!("{family} pref {}", rule.preference))
        .flag("not", rule.invert)
        .with("from", rule.source)
        .with("to", rule.destination)
        .with("iif", rule.iif.as_ref())
        .with("oif", rule.oif.as_ref())
        .with("fwmark", rule.mark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}")))
        .with(
            "uidrange",
            rule.uid_range.map(|(first, last)| format!("{first}-{last}")),
        )
        .with("ipproto", rule.ip_protocol)
        .with("sport", rule.source_ports.map(range))
        .with("dport", rule.destination_ports.map(range));
    let words = match rule.action {
        RuleAction::Lookup(table) => words.with("lookup", Some(table)),
        RuleAction::Goto(preference) => words.with("goto", Some(preference)),
        RuleAction::Nop => words.flag("nop", true),
        RuleAction::Blackhole => words.flag("blackhole", true),
        RuleAction::Unreachable => words.flag("unreachable", true),
        RuleAction::Prohibit => words.flag("prohibit", true),
        RuleAction::Other(number) => words.with("action", Some(number)),
    };
    words
        .with("suppress_prefixlength", rule.suppress_prefix_length)
        .with("suppress_ifgroup", rule.suppress_group)
        .with("proto", Some(rule.protocol))
        .0
}

fn neighbour(neighbour: &Neighbour, names: &Names) -> String {
    /// NTF_PROXY.
    const PROXY: u8 = 0x08;
    let mac: Vec<String> = neighbour.mac.iter().map(|byte| format!("{byte:02x}")).collect();
    let start = if neighbour.flags & PROXY == 0 {
        "neigh"
    } else {
        "neigh proxy"
    };
    Words::new(format!("{start} {}", neighbour.address))
        .with("lladdr", (!mac.is_empty()).then(|| mac.join(":")))
        .with("dev", Some(device(neighbour.link, names)))
        .0
}

fn qdisc(qdisc: &Qdisc, names: &Names) -> String {
    Words::new(format!("qdisc dev {}", device(qdisc.link, names)))
        .with("ingress_block", qdisc.ingress_block)
        .with("egress_block", qdisc.egress_block)
        .flag(&qdisc.kind, true)
        .0
}

fn filter(filter: &Filter, names: &Names) -> String {
    let place = match filter.attach {
        Attach::Block(block) => format!("block {block}"),
        Attach::Ingress(link) => format!("dev {} ingress", device(link, names)),
        Attach::Egress(link) => format!("dev {} egress", device(link, names)),
        Attach::Other(link, parent) => format!("dev {} parent {parent:#x}", device(link, names)),
    };
    let protocol = match filter.protocol {
        0x0003 => "all".to_owned(),
        0x0800 => "ip".to_owned(),
        0x0806 => "arp".to_owned(),
        0x86dd => "ipv6".to_owned(),
        other => format!("{other:#06x}"),
    };
    Words::new(format!("filter {place} pref {} protocol {protocol}", filter.preference))
        .flag(&filter.kind, true)
        .0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::{FilterEntries, Volatile};

    #[test]
    fn changes_read_as_ip_and_tc_write_them() {
        let name: InterfaceName = "ua0".parse().unwrap();
        let names = Names::from([(3, name.clone())]);
        let rule = Rule {
            source: Some("10.0.0.0/8".parse().unwrap()),
            iif: Some(name.clone()),
            ip_protocol: Some(6),
            destination_ports: Some((80, 90)),
            ..Rule::ours(Family::V6, 107, RuleAction::Prohibit)
        };
        let neighbour = Neighbour {
            family: Family::V4,
            link: 4,
            address: "10.0.0.1".parse().unwrap(),
            mac: vec![2, 0, 0, 0, 0, 0xab],
            state: 0x80,
            flags: 0,
            extra: BTreeMap::new(),
        };
        let filter = Filter {
            attach: Attach::Block(21),
            preference: 100,
            protocol: 3,
            chain: 0,
            kind: "u32".to_owned(),
            entries: FilterEntries::Foreign(Vec::new()),
        };
        let address = Address {
            family: Family::V4,
            link: 3,
            prefix_length: 32,
            scope: 0,
            flags: 0,
            tentative: Volatile(false),
            stable_privacy: Volatile(false),
            local: Some("10.9.0.1".parse().unwrap()),
            address: "10.9.0.2".parse().unwrap(),
            broadcast: None,
            label: None,
            lifetime: Volatile(None),
            permanent: true,
            extra: BTreeMap::new(),
        };
        let set = Change::SetLink {
            index: 3,
            name,
            setting: LinkSetting::Down,
        };
        let cases = [
            (
                Change::Add(Object::Rule(rule)),
                "add rule -6 pref 107 from 10.0.0.0/8 iif ua0 ipproto 6 dport 80-90 prohibit proto 80",
            ),
            (
                Change::Delete(Object::Neighbour(neighbour)),
                "delete neigh 10.0.0.1 lladdr 02:00:00:00:00:ab dev if4",
            ),
            (
                Change::Add(Object::Filter(filter)),
                "add filter block 21 pref 100 protocol all u32",
            ),
            (
                Change::Add(Object::Address(address)),
                "add addr 10.9.0.1 peer 10.9.0.2/32 dev ua0",
            ),
            (set, "set link ua0 down"),
        ];
        for (change, expected) in cases {
            assert_eq!(attempted(&change, &names), expected);
        }
    }
}
