//! The verbs, pure: from a policy and a snapshot to steps, and back.
//!
//! [`resolve`] reads a policy against one host; [`desired`] says what the kernel must hold while cuts are in force;
//! [`steps`] is the difference to what it holds now, so that first apply, re-apply, healing and recovery are one
//! computation; [`plan`] adds what an operator must know beforehand; [`armed`] is the host with what may stand before a
//! cut.
//!
//! Nothing here reads a clock, a file or a socket. A cut touches no object that is not ours, but for those that it holds:
//! withdrawn routes, links down, link groups and the two `local` rules. A restore adds what the kernel took with a link that
//! was down, and switches that link's duplicate address detection off while it comes up.

mod armed;
mod check;
mod copies;
mod coverage;
mod desired;
mod detour;
mod explain;
mod extent;
mod flow;
mod gate;
mod legs;
mod ours;
mod plan;
mod reachability;
mod refusal;
mod relocate;
mod resolve;
mod restore;
mod routes;
mod rows;
mod seal;
mod sections;
mod session;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod transition;
mod unmarked;
mod vigil;

pub use armed::{Armed, armed, armed_links, has_armed_rule, is_armed};
pub use check::{Unsafe, check, check_beside};
pub use coverage::{ALL_TRAFFIC, coverage};
pub use desired::{Desired, desired, desired_on, with_new_links};
pub use gate::filters_in_front;
pub use legs::{WATCHED_MAX, can_split, leaking};
pub use ours::{is_armed_rule, is_our_route};
pub use plan::{plan, rules_in_front};
pub use refusal::{CARRIED_BY_CUT, Refusal};
pub use relocate::{KnownBy, relocated};
pub use resolve::{resolve, widen};
pub use restore::{Restoration, Wait, additive_part, grown, not_recreatable, receipt, restore, taken_in};
pub use routes::{follow, ways_around};
pub use session::loses_session;
pub use transition::steps;
pub use unmarked::{any_cut, without_local, without_ours};
pub use vigil::{Watched, watched};
