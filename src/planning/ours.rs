//! How objects of ours are told from others', even when every file of ours is lost.

use crate::model::names::InterfaceName;
use crate::model::object::{
    Attach, Family, Filter, FilterEntries, Link, OUR_PROTOCOL, Qdisc, Route, Rule, RuleAction, Sysctl, Verdict,
    Volatile,
};

/// Index of our ifb. Explicit, so that the kernel's own counter of indices is not disturbed.
pub const IFB_INDEX: u32 = 0x5043_0001;
/// Name of our ifb.
pub const IFB_NAME: &[u8] = b"portcullis0";
/// The first of our shared blocks.
const FIRST_BLOCK: u32 = 0x5043_0001;
/// Pairs of shared blocks that armed links may be divided among.
pub const ARMED_PAIRS_MAX: u32 = 64;
/// One more, for links that a cut cannot gate through an armed block.
const PAIRS: u32 = ARMED_PAIRS_MAX + 1;
/// Our own routing table: null routes, and otherwise empty.
pub const TABLE: u32 = 20547;
/// The first of our tables of detours: one for each section and each table that others' rules look up.
const FIRST_DETOUR: u32 = 0x5043_0000;
/// How many sections may have detours of their own.
const DETOURS_A_TABLE: u32 = 2;
/// One past the last of them.
const DETOURS_END: u32 = FIRST_DETOUR + 0x1_0000;
/// Preference of the rule that pays beforehand what the first IPv4 rule of a host costs. It stands behind the kernel's
/// own, so it decides nothing, is never a slot of seal, and moves no preference that the kernel chooses for others.
pub const ARMED_PREFERENCE: u32 = 40_000;
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
        lower_abroad: None,
        mac: Vec::new(),
        altnames: Vec::new(),
        group: 0,
    }
}

/// Whether the link is our ifb.
pub fn is_our_link(link: &Link) -> bool {
    link.index == IFB_INDEX && link.kind.as_deref() == Some("ifb")
}

/// Whether the sysctl is one that the kernel gives our ifb, and takes away with it.
pub fn is_sysctl_of_our_link(sysctl: &Sysctl) -> bool {
    let of_link = sysctl.name.split('.').nth(3);
    sysctl.name.starts_with("net.ipv") && of_link.is_some_and(|name| name.as_bytes() == IFB_NAME)
}

/// Two shared blocks, one for each side of the links that are bound to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair(u32);

impl Pair {
    /// All of them, the first one first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PAIRS).map(Self)
    }

    /// The block on the ingress side.
    pub fn ingress(self) -> u32 {
        FIRST_BLOCK + 2 * self.0
    }

    /// The block on the egress side.
    pub fn egress(self) -> u32 {
        self.ingress() + 1
    }

    /// The pair that a block belongs to, if it is one of ours.
    pub fn of_block(block: u32) -> Option<Self> {
        let number = block.checked_sub(FIRST_BLOCK)?;
        (number < 2 * PAIRS).then_some(Self(number / 2))
    }

    /// The pair that a qdisc is bound to, if it is one of ours.
    pub fn of_qdisc(qdisc: &Qdisc) -> Option<Self> {
        let ingress = qdisc.ingress_block.and_then(Self::of_block);
        ingress.or_else(|| qdisc.egress_block.and_then(Self::of_block))
    }
}

/// Whether a block of ours is for the egress side.
pub fn is_egress_block(block: u32) -> bool {
    Pair::of_block(block).is_some_and(|pair| pair.egress() == block)
}

/// Whether the qdisc is a `clsact` with our blocks.
pub fn is_our_qdisc(qdisc: &Qdisc) -> bool {
    Pair::of_qdisc(qdisc).is_some()
}

/// The rule that stands while a host is armed: a lookup of our own table, which is empty, behind everybody's rules.
pub fn armed_rule() -> Rule {
    Rule::ours(Family::V4, ARMED_PREFERENCE, RuleAction::Lookup(TABLE))
}

/// Whether the rule is that of an armed host.
pub fn is_armed_rule(rule: &Rule) -> bool {
    is_our_rule(rule) && rule.preference == ARMED_PREFERENCE
}

/// Whether the filter is ours: on a block of ours, or with our verdicts. A drop whose target is gone shows index 0.
pub fn is_our_filter(filter: &Filter) -> bool {
    let FilterEntries::U32(rows) = &filter.entries else {
        return false;
    };
    let ours = |verdict: &Verdict| matches!(verdict, Verdict::Pass | Verdict::DropInto(IFB_INDEX | 0));
    match filter.attach {
        Attach::Block(block) => Pair::of_block(block).is_some(),
        Attach::Ingress(_) | Attach::Egress(_) => filter.chain == 0 && rows.iter().all(|(_, v)| ours(v)),
        Attach::Other(..) => false,
    }
}

/// Whether the rule is ours.
pub fn is_our_rule(rule: &Rule) -> bool {
    rule.protocol == OUR_PROTOCOL
}

/// Whether the route is ours.
pub fn is_our_route(route: &Route) -> bool {
    route.protocol == OUR_PROTOCOL && (route.table == TABLE || is_detour_table(route.table))
}

/// The table of a section's detours around others' table of this rank; none if there are too many.
pub fn detour_table(rank: usize, section: usize) -> Option<u32> {
    let (rank, section) = (u32::try_from(rank).ok()?, u32::try_from(section).ok()?);
    let number = rank.checked_mul(DETOURS_A_TABLE)?.checked_add(section)?;
    let table = FIRST_DETOUR.checked_add(number)?;
    (section < DETOURS_A_TABLE && is_detour_table(table)).then_some(table)
}

/// Whether detours of ours may stand in the table.
pub fn is_detour_table(table: u32) -> bool {
    (FIRST_DETOUR..DETOURS_END).contains(&table)
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
