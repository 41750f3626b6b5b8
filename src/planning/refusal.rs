//! Why no plan was made. Nothing has been touched when one of these is returned.

use ipnet::IpNet;

use crate::model::names::InterfaceName;
use crate::model::object::Family;

/// The code of [`Refusal::LifelineCarriedByCut`]: a drill asks for it on the host itself.
pub const CARRIED_BY_CUT: &str = "lifeline-carried-by-cut";

/// Why a policy cannot be put in force on this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No link matches.
    #[error("no link of this host is in the scope: nothing matches {wanted}")]
    EmptyScope {
        /// What the policy asks for.
        wanted: String,
    },
    /// A pattern is no glob pattern.
    #[error("{pattern:?} is not a glob pattern: {why}")]
    BadPattern {
        /// As written.
        pattern: String,
        /// The parser's word.
        why: String,
    },
    /// The loopback device is named.
    #[error("the scope names the loopback device {link}, which no cut ever touches")]
    Loopback {
        /// Its name.
        link: InterfaceName,
    },
    /// A link stands in two zones.
    #[error("link {link} is in two zones, {first} and {second}")]
    ZonesOverlap {
        /// The link.
        link: InterfaceName,
        /// A zone.
        first: String,
        /// Another zone.
        second: String,
    },
    /// Zones are cut by rules only.
    #[error("method {method} cannot cut between zones only: it would cut the links from everything")]
    ZonesNeedSeal {
        /// The method.
        method: &'static str,
    },
    /// One link group tells one zone, so three zones must have one link each.
    #[error("seal cannot keep {zones} zones apart if one of them has several links")]
    TooManyZones {
        /// How many.
        zones: usize,
    },
    /// A host name of a lifeline has no pinned address.
    #[error("lifeline {lifeline}: no address is known for {name}")]
    UnresolvedPeer {
        /// The lifeline.
        lifeline: String,
        /// The host name.
        name: String,
    },
    /// A lifeline's link is not there.
    #[error("lifeline {lifeline}: no link matches {pattern:?}")]
    LifelineLink {
        /// The lifeline.
        lifeline: String,
        /// As written.
        pattern: String,
    },
    /// A lifeline goes over a link that the cut sets down.
    #[error("lifeline {lifeline} to {peer} goes over {link}, which the cut sets down")]
    LifelineOnDownLink {
        /// The lifeline.
        lifeline: String,
        /// The peer.
        peer: IpNet,
        /// The link.
        link: String,
    },
    /// A lifeline goes over a link whose frames or packets go over another one, where nothing keeps them.
    #[error(
        "lifeline {lifeline} to {peer} goes over {link}, of kind {kind}; what carries that may go over {below}, and the cut \
         takes it there"
    )]
    LifelineCarriedByCut {
        /// The lifeline.
        lifeline: String,
        /// The peer.
        peer: IpNet,
        /// Its link.
        link: InterfaceName,
        /// The kind of that.
        kind: String,
        /// The link below.
        below: InterfaceName,
    },
    /// A lifeline goes over a route that the cut withdraws.
    #[error("lifeline {lifeline} to {peer} has no route left once the cut has withdrawn its routes")]
    LifelineWithoutRoute {
        /// The lifeline.
        lifeline: String,
        /// The peer.
        peer: IpNet,
    },
    /// Gate sees packets on a link, not where they come from or go to.
    #[error("gate cannot tell forwarded traffic from the host's own, so it cannot cut {directions}")]
    GateCannotTell {
        /// The directions asked for.
        directions: String,
    },
    /// Somebody else's qdisc leaves no place for our filters.
    #[error("link {link} carries somebody else's {kind} qdisc{detail}, and gate finds no place beside it")]
    ForeignQdisc {
        /// The link.
        link: InterfaceName,
        /// Its kind.
        kind: String,
        /// What is wrong with it, with a leading blank; may be empty.
        detail: &'static str,
    },
    /// Somebody else's filters begin too low.
    #[error("link {link}: a filter at preference {lowest} leaves no room for gate's {needed} in front of it")]
    NoRoomForFilters {
        /// The link.
        link: InterfaceName,
        /// Their lowest preference.
        lowest: u16,
        /// How many we need.
        needed: u16,
    },
    /// Somebody else's filter stands where ours would come behind it.
    #[error("{}a filter of others at preference {preference} stands in front of gate's", on(.link))]
    FilterInTheWay {
        /// The link, or one of those that share the block.
        link: Option<InterfaceName>,
        /// Its preference.
        preference: u16,
    },
    /// Somebody else's rule begins too low.
    #[error("the {family:?} rule at preference {lowest} leaves no room for seal's {needed} preferences in front of it")]
    NoRoomForRules {
        /// The family.
        family: Family,
        /// Their lowest preference.
        lowest: u32,
        /// How many we need.
        needed: u32,
    },
    /// Somebody else's rule cannot be copied with a suppressed link group.
    #[error("seal cannot stand beside the {family:?} rule at preference {preference}: it {what}")]
    RuleInTheWay {
        /// The family.
        family: Family,
        /// Its preference.
        preference: u32,
        /// What it does.
        what: &'static str,
    },
    /// The kernel's own rule for local addresses is not at its place.
    #[error("the {family:?} rule at preference 0 that looks up table local is missing, so seal cannot move it")]
    LocalRuleMissing {
        /// The family.
        family: Family,
    },
    /// Inbound traffic cannot be sealed without forwarded traffic.
    #[error("seal cannot cut {family:?} traffic to this host and leave what the host forwards")]
    SealCannotTell {
        /// The family.
        family: Family,
    },
    /// IPv4 decides on a route by its first leg alone, and there are more such routes than seal can go around.
    #[error(
        "seal cannot go around the IPv4 route {route}: it sends over {legs}, which are not all on one side of the cut, and \
         there are too many such routes, or rules that look them up"
    )]
    LegsApart {
        /// The route, as a command names it.
        route: String,
        /// The links of its legs, in order.
        legs: String,
    },
    /// Two emergencies want different things of what they share.
    #[error("the cut of {policy} conflicts with another in force: {what}")]
    Conflict {
        /// The policy that came second.
        policy: String,
        /// On what they differ.
        what: String,
    },
    /// A limit of this program or of the kernel.
    #[error("{count} {what} are too many: the limit is {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The name or the index of our own device is taken.
    #[error("link {link} has the name or the index that gate's own device needs")]
    NameTaken {
        /// Who has it.
        link: InterfaceName,
    },
}

impl Refusal {
    /// A word that never changes: the same in text, JSON, log and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyScope { .. } => "empty-scope",
            Self::BadPattern { .. } => "bad-pattern",
            Self::Loopback { .. } => "loopback-in-scope",
            Self::ZonesOverlap { .. } => "zones-overlap",
            Self::ZonesNeedSeal { .. } => "zones-need-seal",
            Self::TooManyZones { .. } => "too-many-zones",
            Self::UnresolvedPeer { .. } => "unresolved-peer",
            Self::LifelineLink { .. } => "lifeline-link-missing",
            Self::LifelineOnDownLink { .. } => "lifeline-on-down-link",
            Self::LifelineCarriedByCut { .. } => CARRIED_BY_CUT,
            Self::LifelineWithoutRoute { .. } => "lifeline-without-route",
            Self::GateCannotTell { .. } => "gate-cannot-tell",
            Self::ForeignQdisc { .. } => "foreign-qdisc",
            Self::NoRoomForFilters { .. } => "no-room-for-filters",
            Self::FilterInTheWay { .. } => "filter-in-the-way",
            Self::NoRoomForRules { .. } => "no-room-for-rules",
            Self::RuleInTheWay { .. } => "rule-in-the-way",
            Self::LocalRuleMissing { .. } => "local-rule-missing",
            Self::SealCannotTell { .. } => "seal-cannot-tell",
            Self::LegsApart { .. } => "legs-apart",
            Self::Conflict { .. } => "conflicting-cut",
            Self::TooMany { .. } => "too-many",
            Self::NameTaken { .. } => "name-taken",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::EmptyScope { .. } => "compare the policy's scope with `ip link`; names and altnames are matched",
            Self::BadPattern { .. } => "use `*`, `?` and `[…]` as a shell does",
            Self::Loopback { .. } => "take it out of the scope; `*` leaves it out by itself",
            Self::ZonesOverlap { .. } => "let each link match one zone only",
            Self::ZonesNeedSeal { .. } => "use methods = [\"seal\"] for zones",
            Self::TooManyZones { .. } => "use two zones, or one link a zone",
            Self::UnresolvedPeer { .. } => "write the address into the policy, or see that the name resolves now",
            Self::LifelineLink { .. } => "compare the lifeline's interface with `ip link`",
            Self::LifelineOnDownLink { .. } => "use gate and seal for this link, or leave it out of the scope",
            Self::LifelineCarriedByCut { .. } => {
                "take the link below out of the scope; below a VLAN, seal alone will do; name a tunnel in `carries` of a lifeline \
                 that keeps its outer packets"
            }
            Self::LifelineWithoutRoute { .. } => "use gate and seal, or add a route for the peer that the cut leaves",
            Self::GateCannotTell { .. } => "add method seal, or cut all three directions",
            Self::ForeignQdisc { .. } => "use seal, or leave the link out of the scope",
            Self::NoRoomForFilters { .. } => "move the foreign filters to higher preferences, or use seal",
            Self::FilterInTheWay { .. } => "remove that filter, or move it to a higher preference",
            Self::NoRoomForRules { .. } => "move that rule to a higher preference, or use gate",
            Self::RuleInTheWay { .. } => "use gate for these links, or seal the whole host",
            Self::LocalRuleMissing { .. } => "put it back with `ip rule add pref 0 lookup local`, or use gate",
            Self::SealCannotTell { .. } => "add direction forward, or use gate",
            Self::LegsApart { .. } => {
                "use gate on these links in direction out: it cuts each leg by itself (zones have no gate); or give such routes \
                 one leg"
            }
            Self::Conflict { .. } => "end the other emergency first, or let both policies agree",
            Self::TooMany { .. } => "write fewer or wider prefixes",
            Self::NameTaken { .. } => "rename or remove that link",
        }
    }
}

fn on(link: &Option<InterfaceName>) -> String {
    link.as_ref().map(|link| format!("link {link}: ")).unwrap_or_default()
}
