//! Alerts of hooks: who raises what, when that is enough for a cut, and on whose word it ends.
//!
//! ```text
//!            Raise, and enough sources do              Resolve by the last who raises it ──▶ the emergency ends
//! (nobody) ─▶ raised ──────────────────────▶ held ────┤
//!               │                              │       TakeOver by an operator ──▶ theirs alone
//!               └ lapses                       └ End, by whomever ──▶ cooling down ──▶ (nobody)
//! ```
//!
//! A source is a user of this host, told by its uid; nothing that it says makes two of one. It may raise several alerts, for
//! different incidents, and counts once for all of them. Before there is an emergency an alert counts for a while, and
//! raising it again does not lengthen that. While one is held by alerts, each stays until its own source resolves it. After an emergency, whoever ended it, nobody's alert begins another for a while: one source
//! alone could otherwise go on cutting past every deadline, by resolving before it and raising anew. Pure: it is told the time.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::duration::written_ms;
use super::emergency::{Deadline, Moment};
use super::names::{EmergencyId, PolicyName};

/// Alerts that one source may raise in [`RATE_MS`], and declarations that its alerts may call for: each is a record and a write, or a
/// plan. Who raises more is a loop.
pub const RATE_MAX: usize = 10;
/// See there; in milliseconds.
pub const RATE_MS: u64 = 60_000;
/// Alerts that one source may have raised under one policy: whoever sees more has seen enough.
pub const EACH_MAX: usize = 64;

/// What a policy demands, in the numbers that count here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// So many sources must raise it.
    pub sources: usize,
    /// For so many milliseconds an alert counts towards that.
    pub within_ms: u64,
    /// For so many milliseconds after an emergency no alert begins another.
    pub cool_down_ms: u64,
}

/// What a source says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// The source, as the audit log names it.
    pub source: String,
    /// Why.
    pub reason: String,
    /// The ticket, or what the source calls what it saw, by which it resolves it.
    pub incident: Option<String>,
    /// How long the emergency is to last, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// The alerts of one source, by incident; what has none is under the empty name.
type OfSource = BTreeMap<String, Raised>;

/// An alert that is raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    stated: Stated,
    /// Until when it counts, while there is no emergency.
    counts: Deadline,
}

/// What stands under one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    /// By uid; of no source is there nothing.
    raised: BTreeMap<u32, OfSource>,
    /// The emergency that these alerts hold.
    holds: Option<EmergencyId>,
    /// How long nothing begins after it, in milliseconds; kept here for whoever ends it without the policy.
    cool_down_ms: u64,
    /// Until when nothing begins.
    cooling: Option<Deadline>,
}

/// The alerts under all policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    policies: BTreeMap<PolicyName, Standing>,
    /// When each source raised, in milliseconds of CLOCK_BOOTTIME, oldest first. A source cannot restart the daemon, so it is kept
    /// in memory only.
    #[serde(skip)]
    rates: BTreeMap<u32, VecDeque<u64>>,
}

/// What came of raising.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether this source had not raised it yet, for this incident.
    pub is_new: bool,
    /// What follows.
    pub then: Then,
}

/// What follows from the alerts that are raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// An emergency is to be declared.
    Declare,
    /// More sources must raise it.
    Wait {
        /// How many.
        more: usize,
        /// Within so many milliseconds, after which the first of those that count counts no more.
        within_ms: u64,
    },
    /// They hold this emergency.
    Hold(EmergencyId),
}

/// What came of resolving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// This source had raised nothing of the kind.
    Nothing,
    /// What it resolved is gone; it was not the last, or held nothing.
    Gone,
    /// What it resolved was the last that held this emergency, which is to end.
    Last(EmergencyId),
}

/// Why an alert is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An emergency of this policy ended not long ago.
    #[error("an emergency under this policy ended not long ago: for another {} no alert begins one", written_ms(*for_ms))]
    Cooling {
        /// For so many milliseconds still.
        for_ms: u64,
    },
    /// This source raises too many.
    #[error("this source has raised {RATE_MAX} alerts within {}", written_ms(RATE_MS))]
    TooOften,
    /// This source has too many raised.
    #[error("this source has raised {EACH_MAX} alerts under this policy, and resolved none of them")]
    TooMany,
}

/// Alerts that wait for more sources, for whoever looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// Under which policy.
    pub policy: &'a PolicyName,
    /// Whose alerts count.
    pub sources: Vec<&'a str>,
    /// Within so many milliseconds the others must come.
    pub within_ms: u64,
}

impl Standing {
    fn drop_lapsed(&mut self, now: &Moment) {
        if self.holds.is_none() {
            let counts = |raised: &Raised| raised.counts.remaining_ms(now) > 0;
            self.raised
                .values_mut()
                .for_each(|all| all.retain(|_, raised| counts(raised)));
            self.raised.retain(|_, all| !all.is_empty());
        }
    }

    /// What follows, if an emergency of these alerts did not begin meanwhile.
    fn then(&self, demand: &Demand, now: &Moment) -> Then {
        match self.holds {
            Some(id) => Then::Hold(id),
            None if self.raised.len() >= demand.sources => Then::Declare,
            None => Then::Wait {
                more: demand.sources - self.raised.len(),
                within_ms: self.first_lapses_ms(now),
            },
        }
    }

    fn first_lapses_ms(&self, now: &Moment) -> u64 {
        let left = self.raised.values().map(|all| counts_for_ms(all, now));
        left.min().unwrap_or(0)
    }

    fn cools_for_ms(&self, now: &Moment) -> u64 {
        self.cooling.as_ref().map_or(0, |end| end.remaining_ms(now))
    }

    fn is_nothing(&self, now: &Moment) -> bool {
        self.raised.is_empty() && self.holds.is_none() && self.cools_for_ms(now) == 0
    }
}

/// For how long a source counts.
fn counts_for_ms(all: &OfSource, now: &Moment) -> u64 {
    let left = all.values().map(|raised| raised.counts.remaining_ms(now));
    left.max().unwrap_or(0)
}

/// As whom a source speaks.
fn named(all: &OfSource) -> Option<&str> {
    all.values().next().map(|raised| raised.stated.source.as_str())
}

impl Alerts {
    /// Takes the alert of a source that may raise it. Raised again it is what it was.
    ///
    /// # Errors
    /// If nothing may begin yet, or the source raises too many; then nothing has changed.
    pub fn raise(
        &mut self,
        policy: &PolicyName,
        uid: u32,
        stated: Stated,
        demand: &Demand,
        now: &Moment,
    ) -> Result<Taken, Refusal> {
        let mut standing = self.policies.get(policy).cloned().unwrap_or_default();
        let for_ms = standing.cools_for_ms(now);
        if standing.holds.is_none() && for_ms > 0 {
            return Err(Refusal::Cooling { for_ms });
        }
        standing.drop_lapsed(now);
        let all = standing.raised.entry(uid).or_default();
        let incident = stated.incident.clone().unwrap_or_default();
        let is_new = !all.contains_key(&incident);
        if is_new && all.len() >= EACH_MAX {
            return Err(Refusal::TooMany);
        }
        if is_new {
            let counts = Deadline::after(now.clone(), demand.within_ms);
            all.insert(incident, Raised { stated, counts });
        }
        let then = standing.then(demand, now);
        if is_new || then == Then::Declare {
            self.refuse_too_often(uid, now)?;
            self.rates.entry(uid).or_default().push_back(now.boottime_ms);
        }
        standing.cool_down_ms = demand.cool_down_ms;
        self.policies.insert(policy.clone(), standing);
        Ok(Taken { is_new, then })
    }

    fn refuse_too_often(&mut self, uid: u32, now: &Moment) -> Result<(), Refusal> {
        let Some(times) = self.rates.get_mut(&uid) else {
            return Ok(());
        };
        times.retain(|then_ms| now.boottime_ms.saturating_sub(*then_ms) < RATE_MS);
        match times.len() {
            0..RATE_MAX => Ok(()),
            _ => Err(Refusal::TooOften),
        }
    }

    /// Drops the alert of a source for this incident, or all of that source where none is named, and no others.
    pub fn resolve(&mut self, policy: &PolicyName, uid: u32, incident: Option<&str>) -> Resolved {
        let Some(standing) = self.policies.get_mut(policy) else {
            return Resolved::Nothing;
        };
        let Some(all) = standing.raised.get_mut(&uid) else {
            return Resolved::Nothing;
        };
        let before = all.len();
        all.retain(|of, _| incident.is_some_and(|incident| of != incident));
        if all.len() == before {
            return Resolved::Nothing;
        }
        if all.is_empty() {
            standing.raised.remove(&uid);
        }
        match standing.holds {
            Some(id) if standing.raised.is_empty() => Resolved::Last(id),
            Some(_) | None => Resolved::Gone,
        }
    }

    /// Whether the alerts still call for an emergency, after a while in which it was prepared.
    #[must_use]
    pub fn still_call(&self, policy: &PolicyName, demand: &Demand) -> bool {
        let standing = self.policies.get(policy);
        standing.is_some_and(|standing| standing.holds.is_none() && standing.raised.len() >= demand.sources)
    }

    /// Notes that the alerts hold this emergency from now on.
    pub fn hold(&mut self, policy: &PolicyName, id: EmergencyId) {
        if let Some(standing) = self.policies.get_mut(policy) {
            standing.holds = Some(id);
        }
    }

    /// Notes that the emergency did not begin: the alerts are what they were before.
    pub fn let_go(&mut self, id: EmergencyId) {
        for standing in self.policies.values_mut().filter(|s| s.holds == Some(id)) {
            standing.holds = None;
        }
    }

    /// An operator takes the emergency over: no alert holds it any more, and none ends it. Gives those that did.
    pub fn take_over(&mut self, id: EmergencyId) -> Vec<String> {
        let sources = self.holders(id).map(str::to_owned).collect();
        for standing in self.policies.values_mut().filter(|s| s.holds == Some(id)) {
            standing.holds = None;
            standing.raised.clear();
        }
        sources
    }

    /// An emergency of this policy has ended, by whomever. What was raised before counts no more. `cool_down_ms` is none
    /// where the policy is not at hand. Says whether anything changed.
    pub fn end(&mut self, policy: &PolicyName, id: EmergencyId, cool_down_ms: Option<u64>, now: &Moment) -> bool {
        let known = self.policies.get(policy);
        let held = known.is_some_and(|standing| standing.holds == Some(id));
        let Some(cool_down_ms) = cool_down_ms.or_else(|| known.filter(|_| held).map(|s| s.cool_down_ms)) else {
            return false;
        };
        let standing = self.policies.entry(policy.clone()).or_default();
        if held || standing.holds.is_none() {
            standing.holds = None;
            standing.raised.clear();
        }
        standing.cooling = Some(Deadline::after(now.clone(), cool_down_ms));
        true
    }

    /// After a restart: what they held and is not there any more has ended, nobody knows when.
    pub fn settle(&mut self, there: &[EmergencyId], now: &Moment) {
        for standing in self.policies.values_mut() {
            if standing.holds.is_some_and(|id| !there.contains(&id)) {
                standing.holds = None;
                standing.raised.clear();
                standing.cooling = Some(Deadline::after(now.clone(), standing.cool_down_ms));
            }
        }
    }

    /// The emergency that alerts under this policy hold.
    #[must_use]
    pub fn held(&self, policy: &PolicyName) -> Option<EmergencyId> {
        self.policies.get(policy)?.holds
    }

    /// The emergencies that alerts hold.
    pub fn all_held(&self) -> impl Iterator<Item = EmergencyId> {
        self.policies.values().filter_map(|standing| standing.holds)
    }

    /// Whether alerts hold this emergency.
    #[must_use]
    pub fn hold_it(&self, id: EmergencyId) -> bool {
        self.policies.values().any(|standing| standing.holds == Some(id))
    }

    /// The sources whose alerts hold this emergency.
    pub fn holders(&self, id: EmergencyId) -> impl Iterator<Item = &str> {
        let standing = self.policies.values().filter(move |s| s.holds == Some(id));
        standing.flat_map(|s| s.raised.values().filter_map(named))
    }

    /// The sources that raise this policy, in the order of their uids.
    pub fn sources(&self, policy: &PolicyName) -> impl Iterator<Item = &str> {
        let standing = self.policies.get(policy).into_iter();
        standing.flat_map(|s| s.raised.values().filter_map(named))
    }

    /// What they said, in the same order.
    pub fn stated(&self, policy: &PolicyName) -> impl Iterator<Item = &Stated> {
        let standing = self.policies.get(policy).into_iter();
        standing.flat_map(|s| {
            s.raised
                .values()
                .flat_map(OfSource::values)
                .map(|raised| &raised.stated)
        })
    }

    /// The alerts that wait for more sources.
    pub fn waiting<'a>(&'a self, now: &'a Moment) -> impl Iterator<Item = Waiting<'a>> {
        self.policies.iter().filter_map(move |(policy, standing)| {
            let counts = |all: &&OfSource| standing.holds.is_none() && counts_for_ms(all, now) > 0;
            let counting: Vec<&OfSource> = standing.raised.values().filter(counts).collect();
            Some(Waiting {
                policy,
                within_ms: counting.iter().map(|all| counts_for_ms(all, now)).min()?,
                sources: counting.iter().filter_map(|all| named(all)).collect(),
            })
        })
    }

    /// Notes in every end how much of its time has passed by now, and forgets what is over.
    pub fn note(&mut self, now: &Moment) {
        for standing in self.policies.values_mut() {
            standing.drop_lapsed(now);
            let all = standing.raised.values_mut().flat_map(OfSource::values_mut);
            all.for_each(|raised| raised.counts.note(now));
            standing.cooling.iter_mut().for_each(|end| end.note(now));
        }
        self.policies.retain(|_, standing| !standing.is_nothing(now));
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }
}

#[cfg(test)]
mod tests;
