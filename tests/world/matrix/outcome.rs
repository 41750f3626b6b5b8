//! What the probes of a matrix said, and how that compares with what a plan promised.

use std::fmt;

use portcullis::drill::probe::Answer;
use portcullis::model::plan::{Coverage, Fate, Traffic};

/// What the probes said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In the order of the matrix.
    pub rows: Vec<Row>,
}

/// What one probe said.
#[derive(Clone, Debug)]
pub struct Row {
    /// What a plan's coverage calls it. None: traffic that a cut of `u0` alone must leave alone.
    pub traffic: Option<Traffic>,
    /// `FROM>TO what family`; the subject is H.
    pub name: String,
    /// The answer.
    pub answer: Answer,
}

impl Outcome {
    /// The answer of the probe of this name.
    #[track_caller]
    pub fn answer(&self, name: &str) -> Answer {
        let row = self.rows.iter().find(|row| row.name == name);
        row.unwrap_or_else(|| panic!("there is no probe {name:?} in:\n{self}"))
            .answer
    }

    /// What became of a kind of traffic; None where this topology has no probe for it.
    pub fn fate(&self, traffic: Traffic) -> Option<Fate> {
        self.fate_of(Some(traffic))
    }

    /// What became of traffic over `m0` and of the host's with itself.
    pub fn fate_of_the_rest(&self) -> Option<Fate> {
        self.fate_of(None)
    }

    fn fate_of(&self, traffic: Option<Traffic>) -> Option<Fate> {
        let of = || self.rows.iter().filter(|row| row.traffic == traffic);
        let (all, passed) = (of().count(), of().filter(|row| row.answer.passed()).count());
        match passed {
            _ if all == 0 => None,
            0 => Some(Fate::Stopped),
            _ if passed == all => Some(Fate::Passes),
            _ => Some(Fate::Partly),
        }
    }

    /// Where the plan promised something else than what happened. `Partly` promises nothing.
    pub fn against(&self, coverage: &Coverage) -> Vec<String> {
        let promised = |row: &Row| {
            coverage
                .rows
                .iter()
                .find(|promise| Some(promise.traffic) == row.traffic)
        };
        let broken = |row: &&Row| match promised(row).map(|promise| promise.fate) {
            Some(Fate::Stopped) => row.answer.passed(),
            Some(Fate::Passes) => !row.answer.passed(),
            Some(Fate::Partly) | None => false,
        };
        let wrong = self.rows.iter().filter(broken);
        wrong
            .map(|row| format!("{row}, promised was {:?}", promised(row).map(|promise| promise.fate)))
            .collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self.answer {
            Answer::Passed { rtt } => format!("passed in {rtt:?}"),
            Answer::Refused(errno) => format!("{errno:?}"),
            Answer::Silent => "silent".to_owned(),
        };
        write!(f, "{:<28} {answer}", self.name)
    }
}
