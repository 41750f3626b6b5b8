//! What a drill adds to the records: probes. A real emergency has none, because nobody's traffic is looked at.

use serde::Serialize;

use super::List;
use crate::drill::report::{Copied, Expectation, LifelineResult, ProbeResult, Report as Rehearsed};

/// What a drill found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drill {
    /// Whether everything went as the plan says.
    pub held: bool,
    /// What did not.
    pub failures: List,
    /// The network that it was held on.
    pub copied: Copied,
    /// Probes, counted.
    pub tally: Tally,
    /// Every probe; none in a public report.
    pub probes: Vec<ProbeResult>,
    /// How each lifeline fared under probes from before the cut until after it.
    pub lifelines: Vec<LifelineResult>,
    /// What was not probed, and why.
    pub not_probed: List,
    /// What was done to the cut to see it put right; none in a public report.
    pub sabotage: Option<String>,
    /// Milliseconds until it was put right; none if it was not.
    pub put_right_ms: Option<u64>,
}

/// Probes, counted. What did not pass before the cut proves nothing and is counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Probes that the plan says are stopped.
    pub forbidden: usize,
    /// Of these, passed during the cut: leaks.
    pub leaked: usize,
    /// Of these, passed again afterwards.
    pub forbidden_back: usize,
    /// Probes that the plan says go on.
    pub kept: usize,
    /// Of these, passed during the cut.
    pub kept_passed: usize,
    /// Of these, passed afterwards.
    pub kept_back: usize,
    /// Probes of which the plan promises nothing.
    pub open: usize,
    /// Probes that did not pass before the cut either.
    pub unproved: usize,
}

impl Drill {
    pub(super) fn of(report: &Rehearsed) -> Self {
        Self {
            held: report.held,
            failures: List::of(report.failures.clone()),
            copied: report.copied.clone(),
            tally: Tally::of(&report.probes),
            probes: report.probes.clone(),
            lifelines: report.lifelines.clone(),
            not_probed: List::of(report.not_probed.clone()),
            sabotage: Some(report.drift.sabotage.clone()),
            put_right_ms: report.drift.put_right_ms,
        }
    }

    /// Probes name addresses and links.
    pub(super) fn publish(&mut self) {
        self.failures.count_only();
        self.not_probed.count_only();
        self.copied.left_out.clear();
        self.probes.clear();
        self.sabotage = None;
        for (place, lifeline) in self.lifelines.iter_mut().enumerate() {
            lifeline.what = format!("lifeline {}", place + 1);
        }
    }
}

impl Tally {
    fn of(probes: &[ProbeResult]) -> Self {
        let mut tally = Self::default();
        for probe in probes {
            let one = |yes: bool| usize::from(yes);
            match probe.expected {
                _ if !probe.before => tally.unproved += 1,
                Expectation::Stops => {
                    tally.forbidden += 1;
                    tally.leaked += one(probe.during);
                    tally.forbidden_back += one(probe.after);
                }
                Expectation::Passes => {
                    tally.kept += 1;
                    tally.kept_passed += one(probe.during);
                    tally.kept_back += one(probe.after);
                }
                Expectation::Open => tally.open += 1,
            }
        }
        tally
    }
}
