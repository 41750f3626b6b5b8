//! The three-way restore: from what the kernel holds now to the baseline without the cuts that ended.
//!
//! What was added is taken away again by [`super::steps`], which flips back first. What was *lost* is put back here: the
//! ended cuts are carried out on the baseline once more, in the model, and what that loses is what they took. So what
//! others changed meanwhile is never mistaken for it:
//!
//! | baseline | lost by the cut | now | what happens |
//! |---|---|---|---|
//! | there | yes | missing | put back |
//! | there | yes | there, otherwise | kept, a named conflict |
//! | there | no | missing or otherwise | kept: somebody else's doing |
//! | not there | – | there | kept: somebody else's doing |
//! | there | yes | missing, and the kernel would refuse it | left out, a named conflict |
//!
//! Every step is computed on a model of the state that the steps before it leave, so a restore may be computed again at
//! any point, after a crash or after a wait, and goes on from there. It must never touch what no ended cut took, and
//! never adds a route that the kernel makes by itself of an address.
//!
//! A link that the baseline does not know is left as it is: whoever widens a cut adds the link to the baseline.

mod addresses;
mod grown;
mod lost;
mod nexthops;
mod proof;
mod quick;
mod routes;
#[cfg(test)]
mod tests;
mod unshown;

use std::net::IpAddr;

use crate::model::change::{Change, LinkSetting, Outcome};
use crate::model::cut::Cut;
use crate::model::diff::{Identity as _, Pair};
use crate::model::effect;
use crate::model::object::{Family, Link, Sysctl};
use crate::model::plan::{Phase, Step};
use crate::model::receipt::{Clash, Conflict};
use crate::model::snapshot::{Object, Snapshot};
use crate::model::sysctl;

use super::Refusal;
use lost::Lost;

pub use grown::{grown, taken_in};
pub use lost::{not_recreatable, waiting_for_carriers};
pub use proof::receipt;
pub use unshown::unshown;

/// What leads from the kernel now to the state without the ended cuts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Restoration {
    /// What is done, in order: flip back, clear away, links up, then what they had lost.
    pub steps: Vec<Step>,
    /// What to wait for, in order. Compute the restore again after a wait: the kernel has changed by itself.
    pub waits: Vec<Wait>,
    /// What is left alone, and why.
    pub conflicts: Vec<Conflict>,
    /// Links that came up again and had a carrier, which the kernel has not told yet: when it does, it makes link-local
    /// addresses, which may have to go again.
    pub carriers: Vec<u32>,
}

impl Restoration {
    /// Leaves out changes that are not to be made now. What is waited for stays before the same steps.
    pub fn leave_out(&mut self, is_unwanted: impl Fn(&Step, &Change) -> bool) {
        let mut kept = Vec::with_capacity(self.steps.len());
        let mut places = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps) {
            places.push(kept.len());
            let wanted = step.changes.iter().filter(|change| !is_unwanted(&step, change));
            let changes: Vec<Change> = wanted.cloned().collect();
            if !changes.is_empty() {
                kept.push(Step { changes, ..step });
            }
        }
        for wait in &mut self.waits {
            wait.before_step = places.get(wait.before_step).copied().unwrap_or(kept.len());
        }
        self.steps = kept;
    }

    /// Whether there is nothing to do and nothing to wait for. Only then is a receipt worth reading: what the kernel makes
    /// of an address after its detection is missing until then.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty() && self.carriers.is_empty()
    }
}

/// Something that the kernel does by itself and that takes time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The step before which to wait; the number of steps for a wait at the end.
    pub before_step: usize,
    /// What must be usable: no longer in duplicate address detection, which takes 1 to 2 s.
    pub usable: Vec<(u32, IpAddr)>,
}

impl Wait {
    /// Whether there is nothing more to wait for. An address that is not there at all is not waited for.
    #[must_use]
    pub fn is_over(&self, now: &Snapshot) -> bool {
        let waiting = |link: u32, ip: IpAddr| {
            now.addresses
                .iter()
                .any(|a| (a.link, a.own()) == (link, ip) && a.tentative.0)
        };
        !self.usable.iter().any(|(link, ip)| waiting(*link, *ip))
    }
}

/// The way back from `now` to the baseline, without what the remaining cuts hold.
///
/// The last of `ended` ends now; those before it ended while it was in force: a multipath route that lost its legs to
/// several cuts can only come back with the last of them. What else they took is back already, or was changed since.
///
/// # Errors
/// If the remaining cuts contradict one another; ended cuts never make a restore fail.
pub fn restore(now: &Snapshot, baseline: &Snapshot, ended: &[Cut], remaining: &[Cut]) -> Result<Restoration, Refusal> {
    let mut lost = Lost::to(baseline, ended, remaining);
    lost.follow_names(now);
    let additive = super::steps(
        now,
        &super::desired_on(&super::with_new_links(baseline, now), now, remaining)?,
    );
    Ok(put_back(now, &lost, additive))
}

/// Carries the additive steps out in the model and goes on from there, in dependency order.
fn put_back(now: &Snapshot, lost: &Lost, additive: Vec<Step>) -> Restoration {
    let mut work = Work {
        state: now.clone(),
        done: Restoration::default(),
    };
    for step in additive {
        for change in &step.changes {
            if work.try_out(change).is_err() {
                // The kernel decides, not the model: it is sent all the same, and read back.
                continue;
            }
        }
        work.done.steps.push(step);
    }
    work.name_lost_links(lost);
    let coming_up = quick::set(&mut work, lost);
    work.links(lost);
    addresses::unmake(&mut work, lost);
    addresses::put_back(&mut work, lost);
    nexthops::put_back(&mut work, lost);
    let deferred = routes::put_back(&mut work, lost);
    work.neighbours(lost);
    work.sysctls(lost);
    routes::unmake(&mut work, lost);
    let waits = work.unsettled(lost);
    effect::settle_on(&mut work.state, |l| l.carrier.0 || lost.had_carrier(l));
    if !deferred.is_empty() {
        work.wait(waits.clone());
        routes::put_back_late(&mut work, deferred);
    }
    work.wait(waits);
    if coming_up == quick::ComingUp::No {
        quick::put_back(&mut work, lost);
    }
    work.done.carriers = lost.carriers_to_come(now);
    work.done
}

/// The restore so far, and the state that it leaves.
struct Work {
    state: Snapshot,
    done: Restoration,
}

impl Work {
    /// Carries a change out in the model.
    fn try_out(&mut self, change: &Change) -> Result<Outcome, i32> {
        effect::apply(&mut self.state, change)
    }

    /// A step of those changes that change something; what the kernel would refuse is a conflict.
    fn stage(&mut self, summary: &str, changes: impl IntoIterator<Item = Change>) {
        let mut accepted = Vec::new();
        for change in changes {
            match (self.try_out(&change), &change) {
                (Ok(Outcome::Applied), _) => accepted.push(change),
                (Ok(Outcome::AlreadySo), _) => {}
                (Err(errno), Change::Add(object) | Change::Delete(object)) => {
                    self.conflict(object.clone(), Clash::NeedsWhatIsGone { errno });
                }
                (Err(_), Change::SetLink { .. } | Change::SetSysctl(_)) => accepted.push(change),
            }
        }
        self.push(summary, accepted);
    }

    fn push(&mut self, summary: &str, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.done.steps.push(Step {
                phase: Phase::Settle,
                summary: summary.to_owned(),
                changes,
            });
        }
    }

    fn conflict(&mut self, object: Object, why: Clash) {
        self.done.conflicts.push(Conflict { object, why });
    }

    fn wait(&mut self, usable: Vec<(u32, IpAddr)>) {
        if !usable.is_empty() {
            self.done.waits.push(Wait {
                before_step: self.done.steps.len(),
                usable,
            });
        }
    }

    /// Names what belonged to a link that is gone.
    fn name_lost_links(&mut self, lost: &Lost) {
        for object in lost.objects.objects() {
            if let Some(index) = lost.gone_link(&self.state, &object) {
                self.conflict(object, Clash::LinkGone { index });
            }
        }
    }

    /// The objects of one kind that are to be put back. Those that stand otherwise are named and left alone.
    fn missing<T: Clone + PartialEq>(
        &mut self,
        lost: &Lost,
        paired: Vec<Pair<'_, T>>,
        wrap: impl Fn(T) -> Object,
    ) -> Vec<T> {
        let mut missing = Vec::new();
        for pair in paired {
            match pair {
                Pair::First(x) if lost.gone_link(&self.state, &wrap(x.clone())).is_none() => missing.push(x.clone()),
                Pair::Both(x, now) if x != now => {
                    let now = wrap(now.clone());
                    self.conflict(wrap(x.clone()), Clash::ChangedByOthers { now });
                }
                Pair::First(_) | Pair::Second(_) | Pair::Both(..) => {}
            }
        }
        missing
    }

    /// Sets up what the cuts had set down, lower devices first; a VLAN that came up with its device goes down again.
    fn links(&mut self, lost: &Lost) {
        let before = self.state.clone();
        let set = |index: u32, setting: LinkSetting| {
            let name = before.link(index).map(|l| l.name.clone())?;
            Some(Change::SetLink { index, name, setting })
        };
        let here = lost
            .raised
            .iter()
            .filter(|index| lost.link_here(&before, **index).is_some());
        let ups = here.filter_map(|index| set(*index, LinkSetting::Up));
        self.stage("set links up again", ups.collect::<Vec<_>>());
        // A link without its carrier yet gets it, as far as anybody knows; else the kernel says what it needs it for.
        for link in &mut self.state.links {
            let came_up = link.up && before.link(link.index).is_some_and(|b| !b.up);
            link.carrier.0 |= came_up && lost.had_carrier(link);
        }
        let dragged = self.state.links.iter().filter(|l| {
            let was_down = before.link(l.index).is_some_and(|b| !b.up);
            l.up && was_down && lost.target.link(l.index).is_some_and(|t| !t.up)
        });
        let downs: Vec<Change> = dragged.filter_map(|l| set(l.index, LinkSetting::Down)).collect();
        self.stage("set links down that came up with their device", downs);
    }

    fn neighbours(&mut self, lost: &Lost) {
        let state = std::mem::take(&mut self.state.neighbours);
        let paired = lost::pair_neighbours(&lost.objects.neighbours, &state);
        let missing = self.missing(lost, paired, Object::Neighbour);
        self.state.neighbours = state;
        let adds = missing.into_iter().map(|n| Change::Add(Object::Neighbour(n)));
        self.stage("put neighbours back", adds.collect::<Vec<_>>());
    }

    /// Sysctls that went with a link, unless somebody has written them since.
    fn sysctls(&mut self, lost: &Lost) {
        let mut writes = Vec::new();
        for (target, taken) in &lost.altered {
            let (Object::Sysctl(target), Object::Sysctl(taken)) = (target, taken) else {
                continue;
            };
            let now = self.state.sysctls.iter().find(|s| s.name == target.name).cloned();
            match now {
                Some(now) if now == *taken && !self.is_over_the_link(target) => {
                    writes.push(Change::SetSysctl(target.clone()));
                }
                Some(now) if now != *target => {
                    let now = Object::Sysctl(now);
                    self.conflict(Object::Sysctl(target.clone()), Clash::ChangedByOthers { now });
                }
                Some(_) | None => {}
            }
        }
        self.stage("write sysctls back", writes);
    }

    /// The kernel takes no IPv6 MTU above the link's (`addrconf_sysctl_mtu()`), which somebody made smaller.
    fn is_over_the_link(&self, target: &Sysctl) -> bool {
        let over = |link: &Link| target.value.parse::<u32>().is_ok_and(|mtu| mtu > link.mtu);
        let of = |link: &&Link| target.name == sysctl::of_link("ipv6", &link.name.to_string(), "mtu");
        self.state.links.iter().find(of).is_some_and(over)
    }

    /// The addresses that went through detection again with what was set up, and are still in it when everything is put
    /// back. What others wait for is no reason to hold up a restore.
    fn unsettled(&self, lost: &Lost) -> Vec<(u32, IpAddr)> {
        let wanted = |a: &&crate::model::object::Address| {
            let known = lost.target.addresses.iter();
            a.family == Family::V6
                && a.tentative.0
                && self
                    .state
                    .link(a.link)
                    .is_some_and(|l| l.up && lost.carries(l) && lost.had_carrier(l))
                && known.clone().any(|t| t.is_same(a))
        };
        self.state
            .addresses
            .iter()
            .filter(wanted)
            .map(|a| (a.link, a.own()))
            .collect()
    }
}

/// What of a restore can be told from links, rules and traffic control alone: that which opens the gate and the seal.
/// `now` needs no other kinds. Our routes, which it does not know, are left as they are, and so are rules where they depend
/// on routes of others.
///
/// # Errors
/// As [`restore`].
pub fn additive_part(now: &Snapshot, baseline: &Snapshot, remaining: &[Cut]) -> Result<Vec<Step>, Refusal> {
    let known = super::with_new_links(baseline, now);
    let mut desired = super::desired(&known, remaining)?;
    if baseline.routes.len() <= super::WATCHED_MAX && any_can_split(remaining, &known)? {
        desired.leave_rules(now);
    }
    let is_route = |o: &Object| matches!(o, Object::Route(_));
    desired.present.retain(|o| !is_route(o));
    desired.absent.retain(|o| !is_route(o));
    desired.down.clear();
    let blind = Snapshot {
        links: now.links.clone(),
        rules: now.rules.clone(),
        qdiscs: now.qdiscs.clone(),
        filters: now.filters.clone(),
        ..Snapshot::default()
    };
    Ok(super::steps(&blind, &desired))
}

/// Whether the rules of any of these cuts depend on what routes others have.
fn any_can_split(cuts: &[Cut], known: &Snapshot) -> Result<bool, Refusal> {
    for cut in cuts {
        if super::can_split(cut, known)? {
            return Ok(true);
        }
    }
    Ok(false)
}
