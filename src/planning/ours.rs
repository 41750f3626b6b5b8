//! How objects of ours are told from others', even when every file of ours is lost.

use crate::model::names::InterfaceName;
use crate::model::object::{
    Attach, Filter, FilterEntries, Link, OUR_PROTOCOL, Qdisc, Route, Rule, RuleAction, Verdict, Volatile,
};

/// Index of our ifb. Explicit, so that the kernel's own counter of indices is not disturbed.
pub const IFB_INDEX: u32 = 0x5043_0001;
/// Name of our ifb.
pub const IFB_NAME: &[u8] = b"portcullis0";
/// The shared block on the ingress side of gated links.
pub const INGRESS_BLOCK: u32 = 0x5043_0001;
/// The shared block on the egress side of gated links.
pub const EGRESS_BLOCK: u32 = 0x5043_0002;
/// Our own routing table: null routes, and otherwise empty.
pub const TABLE: u32 = 20547;
/// The link group of sealed links, or of the first zone.
pub const GROUP: u32 = 0x5043_0000;
/// The link group of the second zone.
pub const GROUP_SECOND: u32 = 0x5043_0001;

/// Default MTU of an ifb.
const IFB_MTU: u32 = 1500;
/// IFF_BROADCAST and IFF_NOARP, with which an ifb begins (`drivers/net/ifb.c`).
const IFB_FLAGS: u32 = 0x82;

/// Our ifb, down: what is redirected into it is dropped.
pub fn ifb() -> Link {
    Link {
        index: IFB_INDEX,
        name: InterfaceName::from_kernel(IFB_NAME).expect("eleven letters and digits are an interface name"),
        kind: Some("ifb".to_owned()),
        up: false,
        flags: IFB_FLAGS,
        carrier: Volatile(false),
        mtu: IFB_MTU,
        master: None,
        lower: None,
        mac: Vec::new(),
        altnames: Vec::new(),
        group: 0,
    }
}

/// Whether the link is our ifb.
pub fn is_our_link(link: &Link) -> bool {
    link.index == IFB_INDEX && link.kind.as_deref() == Some("ifb")
}

/// Whether the qdisc is a `clsact` with our blocks.
pub fn is_our_qdisc(qdisc: &Qdisc) -> bool {
    qdisc.ingress_block == Some(INGRESS_BLOCK) || qdisc.egress_block == Some(EGRESS_BLOCK)
}

/// Whether the filter is ours: on a block of ours, or with our verdicts. A drop whose target is gone shows index 0.
pub fn is_our_filter(filter: &Filter) -> bool {
    let FilterEntries::U32(rows) = &filter.entries else {
        return false;
    };
    let ours = |verdict: &Verdict| matches!(verdict, Verdict::Pass | Verdict::DropInto(IFB_INDEX | 0));
    match filter.attach {
        Attach::Block(INGRESS_BLOCK | EGRESS_BLOCK) => true,
        Attach::Ingress(_) | Attach::Egress(_) => filter.chain == 0 && rows.iter().all(|(_, v)| ours(v)),
        Attach::Block(_) | Attach::Other(..) => false,
    }
}

/// Whether the rule is ours.
pub fn is_our_rule(rule: &Rule) -> bool {
    rule.protocol == OUR_PROTOCOL
}

/// Whether the route is ours.
pub fn is_our_route(route: &Route) -> bool {
    route.protocol == OUR_PROTOCOL && route.table == TABLE
}

/// Whether the rule is the kernel's own at preference 0: `from all lookup local`, of whatever protocol.
pub fn is_local_rule(rule: &Rule) -> bool {
    let plain = Rule {
        protocol: rule.protocol,
        ..Rule::local(rule.family)
    };
    *rule == plain && !is_our_rule(rule)
}

/// Whether the rule gives every packet to table `local`, at any preference.
pub fn looks_up_local(rule: &Rule) -> bool {
    let plain = Rule {
        protocol: rule.protocol,
        preference: rule.preference,
        ..Rule::local(rule.family)
    };
    *rule == plain && rule.action == RuleAction::Lookup(Route::TABLE_LOCAL)
}

/// Whether the group is one of ours.
pub fn is_our_group(group: u32) -> bool {
    matches!(group, GROUP | GROUP_SECOND)
}
