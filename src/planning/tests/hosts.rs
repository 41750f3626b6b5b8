//! Hosts and policies for the tests.

use std::collections::BTreeMap;

use crate::model::change::Change;
use crate::model::cut::Cut;
use crate::model::effect::{apply, settle};
use crate::model::fixture::{address, host, multipath, must, sysctl, via};
use crate::model::object::{Family, Filter, FilterEntries, Qdisc, Rule, RuleAction};
use crate::model::plan::Step;
use crate::model::policy::Policy;
use crate::model::policy_file::parse;
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::{Refusal, armed, desired, resolve, steps};

/// A gateway: `ab0` outside with the default routes, `ab1` and `ab2` inside, forwarding, sources checked.
pub(in crate::planning) fn gateway() -> Snapshot {
    let mut state = host(3);
    let addresses = [
        (2, "10.0.0.2/24"),
        (2, "fd00::2/64"),
        (3, "10.1.0.1/24"),
        (3, "fd01::1/64"),
        (4, "10.2.0.1/24"),
        (4, "fd02::1/64"),
    ];
    for (link, net) in addresses {
        must(&mut state, &Change::Add(Object::Address(address(link, net))));
    }
    settle(&mut state);
    for (to, gateway) in [("0.0.0.0/0", "10.0.0.1"), ("::/0", "fd00::1")] {
        must(&mut state, &Change::Add(Object::Route(via(to, gateway, 2))));
    }
    for (name, value) in [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.conf.all.rp_filter", "1"),
        ("net.ipv6.conf.all.forwarding", "1"),
    ] {
        state.sysctls.push(sysctl(name, value));
    }
    state.sort();
    state
}

/// A gateway with routes whose legs lie over `ab0` and `ab1`, and others within them, in both families.
pub(super) fn gateway_with_legs() -> Snapshot {
    let mut state = gateway();
    let routes = [
        multipath("10.76.0.0/14", &[("10.1.0.9", 3), ("10.0.0.9", 2)]),
        multipath("10.77.0.0/16", &[("10.0.0.9", 2), ("10.1.0.9", 3), ("10.2.0.9", 4)]),
        via("10.77.1.0/24", "10.0.0.9", 2),
        via("10.77.2.0/24", "10.1.0.9", 3),
        multipath("fd77::/16", &[("fd00::9", 2), ("fd01::9", 3)]),
        via("fd77:1::/32", "fd00::9", 2),
    ];
    for route in routes {
        must(&mut state, &Change::Add(Object::Route(route)));
    }
    state.sort();
    state
}

/// A gateway whose `ab1` carries somebody's `clsact` with a filter at this preference.
pub(super) fn gateway_with_foreign_filter(preference: u16) -> Snapshot {
    let mut state = gateway();
    let (qdisc, filter) = foreign(3, preference);
    state.qdiscs.push(qdisc);
    state.filters.push(filter);
    state.sort();
    state
}

pub(super) fn foreign(link: u32, preference: u16) -> (Qdisc, Filter) {
    let qdisc = Qdisc {
        link,
        kind: "clsact".to_owned(),
        handle: Qdisc::CLSACT_HANDLE,
        parent: Qdisc::CLSACT_PARENT,
        ingress_block: None,
        egress_block: None,
    };
    let filter = Filter {
        attach: crate::model::object::Attach::Ingress(link),
        preference,
        protocol: 0x0800,
        chain: 0,
        kind: "bpf".to_owned(),
        entries: FilterEntries::Foreign(vec![1]),
    };
    (qdisc, filter)
}

/// Somebody's rule.
pub(super) fn foreign_rule(family: Family, preference: u32, action: RuleAction) -> Rule {
    Rule {
        protocol: 4,
        ..Rule::ours(family, preference, action)
    }
}

/// A policy with this scope, these methods and these lifelines, in TOML.
pub(super) fn policy(name: &str, scope: &str, methods: &str, rest: &str) -> Policy {
    let source = format!(
        "schema = 1\nname = \"{name}\"\nsummary = \"test\"\ndeclared-for = [\"exercise\"]\naffects = \"own-hosts\"\n\
         [scope]\n{scope}\n[methods]\n{methods}\n{rest}\n\
         [limits]\ndefault = \"1h\"\nmaximum = \"2h\"\ntotal = \"4h\"\n\
         [fail]\ncrash = \"closed\"\nreboot = \"open\"\nlifeline-lost = \"open\"\n\
         [notice]\ntext = \"test\"\n"
    );
    match parse("test.toml", &source) {
        Ok(policy) => policy,
        Err(errors) => panic!("{errors:?}\n{source}"),
    }
}

pub(super) const WHOLE: &str =
    "interfaces = [\"*\"]\nfamilies = [\"ipv4\", \"ipv6\"]\ndirections = [\"in\", \"out\", \"forward\"]";
pub(super) const UPLINK: &str =
    "interfaces = [\"ab0\"]\nfamilies = [\"ipv4\", \"ipv6\"]\ndirections = [\"in\", \"out\", \"forward\"]";
pub(super) const WITHDRAW_DEFAULT: &str = "use = [\"routes\"]\n[methods.routes]\nwithdraw-default = true";
pub(super) const ZONES: &str = "families = [\"ipv4\", \"ipv6\"]\ndirections = [\"forward\"]\n\
    [[scope.zones]]\nname = \"a\"\ninterfaces = [\"ab1\"]\n[[scope.zones]]\nname = \"b\"\ninterfaces = [\"ab0\", \"ab2\"]";
pub(super) const SSH: &str = "[[lifelines]]\nname = \"ssh\"\npeers = [\"10.9.0.2\", \"fd09::2\"]\nprotocol = \"tcp\"\n\
    ports = [22]\ndirection = \"in\"";
pub(super) const DNS: &str = "[[lifelines]]\nname = \"dns\"\npeers = [\"10.0.0.53\", \"fd00::53\"]\nprotocol = \"udp\"\n\
    ports = [53]\ndirection = \"out\"";
pub(super) const THROUGH: &str = "[[lifelines]]\nname = \"through\"\npeers = [\"10.9.0.2\", \"fd09::2\"]\n\
    protocol = \"tcp\"\nports = [22]\ndirection = \"forward\"\ninside = [\"10.1.0.0/24\", \"fd01::/64\"]";

/// A policy's cut on a host.
pub(super) fn cut(policy: &Policy, host: &Snapshot) -> Cut {
    resolve(policy, host, &BTreeMap::new()).unwrap()
}

/// How many cuts [`additive`] gives.
pub(super) const ADDITIVE: usize = 9;

/// Cuts on [`gateway`] that only add, and that may stand beside one another unless they are refused.
pub(in crate::planning) fn additive(host: &Snapshot) -> Vec<Cut> {
    let policies = additive_policies();
    policies.iter().map(|p| cut(p, host)).chain([zones(host)]).collect()
}

/// The policies of [`additive`], but for the zones.
pub(super) fn additive_policies() -> Vec<Policy> {
    let two = format!("{SSH}\n{DNS}");
    vec![
        policy("gate-uplink", UPLINK, "use = [\"gate\"]", SSH),
        policy("gate-whole", WHOLE, "use = [\"gate\"]", DNS),
        policy("seal-whole", WHOLE, "use = [\"seal\"]", &two),
        policy("seal-uplink", UPLINK, "use = [\"seal\"]", THROUGH),
        policy("both-whole", WHOLE, "use = [\"gate\", \"seal\"]", THROUGH),
        policy(
            "seal-out",
            &WHOLE.replace("\"in\", \"out\", \"forward\"", "\"out\""),
            "use = [\"seal\"]",
            DNS,
        ),
        policy(
            "seal-forward",
            &WHOLE.replace("\"in\", \"out\", \"forward\"", "\"forward\""),
            "use = [\"seal\"]",
            THROUGH,
        ),
        policy(
            "null",
            "families = [\"ipv4\", \"ipv6\"]\ndirections = [\"out\", \"forward\"]",
            "use = [\"routes\"]\n[methods.routes]\nnull-prefixes = [\"10.9.0.0/16\", \"fd09::/32\"]",
            SSH,
        ),
    ]
}

/// A host armed for these policies, as the kernel would hold it.
pub(super) fn armed_for(host: &Snapshot, policies: &[Policy]) -> Snapshot {
    let mut state = host.clone();
    let steps = armed(host, policies).steps(host).unwrap();
    carry_out(&mut state, &steps);
    state
}

/// [`gateway`] armed for all of [`additive_policies`], and armed so that not all of them find blocks that fit.
pub(super) fn armed_gateways() -> [Snapshot; 2] {
    let all = additive_policies();
    let whole: Vec<Policy> = all
        .iter()
        .filter(|p| p.name.as_ref() == "gate-whole")
        .cloned()
        .collect();
    [armed_for(&gateway(), &all), armed_for(&gateway(), &whole)]
}

/// Two zones kept apart by rules.
pub(super) fn zones(host: &Snapshot) -> Cut {
    cut(&policy("zones", ZONES, "use = [\"seal\"]", ""), host)
}

/// Carries steps out and settles; every change must be taken.
pub(super) fn carry_out(state: &mut Snapshot, steps: &[Step]) {
    for change in steps.iter().flat_map(|s| &s.changes) {
        let result = apply(state, change);
        assert!(result.is_ok(), "{result:?} for {change:?}");
    }
}

/// Brings a host to what these cuts want.
pub(in crate::planning) fn enforce(
    state: &mut Snapshot,
    baseline: &Snapshot,
    cuts: &[Cut],
) -> Result<Vec<Step>, Refusal> {
    let wanted = desired(baseline, cuts)?;
    let all = steps(state, &wanted);
    carry_out(state, &all);
    Ok(all)
}
