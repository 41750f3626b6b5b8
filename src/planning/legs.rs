//! Routes with legs on both sides of what a cut seals: what the plan says of those that seal goes around
//! ([`super::detour`]), and which of them it cannot.

use std::collections::BTreeSet;

use super::desired::{detours, ground_of};
use super::detour::{Detour, ROUTES_MAX, Split};
use super::extent;
use super::gate::gates;
use super::refusal::Refusal;
use crate::model::cut::Cut;
use crate::model::object::Family;
use crate::model::policy::{Direction, Method};
use crate::model::snapshot::{Object, Snapshot};
use crate::model::text::LinkNames;

/// Routes are read again and again while such a cut is in force only on hosts that have no more: a million take seconds.
pub const WATCHED_MAX: usize = 10_000;
/// Routes that a plan names, of each kind.
const NAMED_MAX: usize = 16;

/// Refuses cuts that would leak over a sealed leg because there are more such routes than seal can go around.
///
/// # Errors
/// The first route that would, unless gate or link stops what leaves over the sealed links.
pub(super) fn check_legs(cuts: &[Cut], known: &Snapshot, host: &Snapshot) -> Result<(), Refusal> {
    let left = left_out(cuts, known, host)?;
    if let Some(split) = left.splits.first() {
        return Err(Refusal::LegsApart {
            route: split.route(host),
            legs: split.legs(host),
        });
    }
    if left.is_short {
        return Err(Refusal::TooMany {
            what: "routes over sealed links within routes with legs on both sides of the cut",
            count: ROUTES_MAX + 1,
            limit: ROUTES_MAX,
        });
    }
    Ok(())
}

/// What the plan must say of the routes that the seal of a cut goes around, and what nobody will look for.
///
/// # Errors
/// If the cut cannot be laid on this host.
pub(super) fn warnings(cut: &Cut, known: &Snapshot, host: &Snapshot) -> Result<Vec<String>, Refusal> {
    let cuts = std::slice::from_ref(cut);
    let mut around = BTreeSet::new();
    let mut left = BTreeSet::new();
    for family in Family::BOTH {
        for detour in detours(known, cuts, family, ground_of(known, host, cuts)?)? {
            let line = |split: &Split| (split.route(host), split.legs(host));
            around.extend(detour.around.values().map(line));
            left.extend(detour.left_out.iter().map(line));
        }
    }
    let more = around.len().saturating_sub(NAMED_MAX);
    let named = around.into_iter().take(NAMED_MAX);
    let mut lines: Vec<String> = named
        .map(|(route, legs)| {
            format!("{route} (legs over {legs}): while the cut stands its legs outside the cut carry alone")
        })
        .collect();
    lines.extend(
        (more > 0).then(|| format!("the same is so for {more} more routes with legs on both sides of the cut")),
    );
    let not_around = left.into_iter().take(NAMED_MAX);
    lines.extend(not_around.map(|(route, legs)| {
        format!("{route} (legs over {legs}): seal does not go around it, so what the kernel sends by it may stop")
    }));
    if [known, host].iter().any(|host| host.routes.len() > WATCHED_MAX) && can_split(cut, known)? {
        lines.push(format!(
            "this host has more than {WATCHED_MAX} routes: an IPv4 route that appears with legs on both sides of the cut \
             leaks unseen"
        ));
    }
    Ok(lines)
}

/// Whether a route that appears under this cut can have legs on both sides of it.
///
/// # Errors
/// If the cut cannot be laid on this host.
pub fn can_split(cut: &Cut, baseline: &Snapshot) -> Result<bool, Refusal> {
    for family in Family::BOTH {
        if !extent::groups(baseline, std::slice::from_ref(cut), family)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The routes that leak because the seals of these cuts do not go around them, one line each; none where routes were not
/// read.
///
/// # Errors
/// If the cuts cannot be laid on this host.
pub fn leaking(cuts: &[Cut], baseline: &Snapshot, now: &Snapshot) -> Result<Vec<String>, Refusal> {
    let left = left_out(cuts, baseline, now)?;
    let line = |split: &Split| {
        let (route, legs) = (split.route(now), split.legs(now));
        format!("a route has legs on both sides of the cut ({legs}): {route}")
    };
    Ok(left.splits.iter().map(line).collect())
}

/// What detours do not take in.
#[derive(Debug, Default)]
struct LeftOut {
    splits: Vec<Split>,
    is_short: bool,
}

/// Of IPv4 alone: what IPv6 chooses is thrown away if it is sealed, so nothing leaks.
fn left_out(cuts: &[Cut], baseline: &Snapshot, now: &Snapshot) -> Result<LeftOut, Refusal> {
    if now.routes.is_empty() || cuts.iter().all(nothing_leaves) {
        return Ok(LeftOut::default());
    }
    let ground = ground_of(baseline, now, cuts)?;
    let laid = detours(baseline, cuts, Family::V4, ground)?;
    let is_short = laid.iter().any(|d| d.is_short);
    let mut splits: Vec<Split> = laid.iter().flat_map(|d| d.left_out.clone()).collect();
    if !std::ptr::eq(ground, now) {
        let there = detours(baseline, cuts, Family::V4, now)?;
        splits.extend(laid.iter().zip(&there).flat_map(|(laid, there)| beyond(laid, there)));
    }
    Ok(LeftOut { splits, is_short })
}

/// What is split now and was not when the detour was made.
fn beyond(laid: &Detour, there: &Detour) -> Vec<Split> {
    let new = there.around.iter().filter(|(to, _)| !laid.around.contains_key(to));
    let new = new.map(|(_, split)| split);
    new.chain(&there.left_out).cloned().collect()
}

/// Whether another method closes the sealed legs by themselves, or none is sealed.
fn nothing_leaves(cut: &Cut) -> bool {
    cut.methods.contains(&Method::Link)
        || !cut.methods.contains(&Method::Seal)
        || (gates(cut) && cut.directions.contains(&Direction::Out))
}

impl Split {
    fn route(&self, host: &Snapshot) -> String {
        let names = LinkNames::of(host);
        names.object(&Object::Route(self.route.clone())).to_string()
    }

    /// The names of the links, in the kernel's order.
    fn legs(&self, host: &Snapshot) -> String {
        let name = |index: &u32| {
            host.link(*index)
                .map_or_else(|| index.to_string(), |l| l.name.to_string())
        };
        self.legs.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}
