//! What people decide, and whether the log says just that: a record for each decision, and none of another.

use std::collections::BTreeMap;

use serde_json::Value;

use super::deeds::{note_answer, text};
use super::life::{Life, Post};
use super::world::TWO_PEOPLE;
use crate::api::error::{ApiError, Code};
use crate::api::{EmergencyState, EmergencyView};
use crate::daemon::command::Command;
use crate::daemon::controller::tests::authority::{ask_as, somebody};
use crate::model::record::EventKind;

/// Whoever approves, rejects and reviews what root declared.
const ANOTHER: u32 = 1001;
/// What only people decide.
const DECISIONS: [EventKind; 8] = [
    EventKind::Proposed,
    EventKind::Declared,
    EventKind::Approved,
    EventKind::Rejected,
    EventKind::ReviewClosed,
    EventKind::Confirmed,
    EventKind::Extended,
    EventKind::RevertRequested,
];

/// How often something was decided of an emergency.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// So often somebody was told that it is done.
    told: u64,
    /// So often nobody was told what became of it, or that it could not be written down: a process died, a disk failed.
    in_doubt: u64,
}

#[derive(Debug, Default)]
pub(super) struct Decisions {
    of: BTreeMap<(EventKind, String), Count>,
    /// Declarations that nobody was told of: their ids are not known.
    unknown: u64,
}

impl Decisions {
    fn told(&mut self, kind: EventKind, id: &str) {
        self.of.entry((kind, id.to_owned())).or_default().told += 1;
    }

    fn in_doubt(&mut self, kind: EventKind, id: &str) {
        self.of.entry((kind, id.to_owned())).or_default().in_doubt += 1;
    }

    /// One record for each decision that somebody was told of, none that nobody made.
    ///
    /// One limit: a disk that fails holds up no restore, and a process that dies then takes its record with it.
    pub(super) fn agree_with(&self, records: &[Value], disk_failed: bool) -> Result<(), String> {
        let mut found: BTreeMap<(EventKind, String), u64> = self.of.keys().map(|key| (key.clone(), 0)).collect();
        for record in records {
            let kind: EventKind = text(record, "event")
                .parse()
                .map_err(|_| "an unknown event".to_owned())?;
            if DECISIONS.contains(&kind) && record["actor"] != "daemon" {
                *found.entry((kind, text(record, "emergency"))).or_default() += 1;
            }
        }
        let mut strangers = 0;
        for ((kind, id), records) in found {
            let count = self.of.get(&(kind, id.clone())).copied().unwrap_or_default();
            let may_be_lost = kind == EventKind::RevertRequested && disk_failed;
            let least = if may_be_lost { 0 } else { count.told };
            let most = count.told + count.in_doubt;
            if records > most && count.told == 0 && matches!(kind, EventKind::Declared | EventKind::Proposed) {
                strangers += records - most;
            } else if records < least || records > most {
                return Err(format!(
                    "{kind} of {id}: {records} records, and it was decided {count:?} times"
                ));
            }
        }
        match strangers > self.unknown {
            true => Err(format!("{strangers} declarations are on record that nobody made")),
            false => Ok(()),
        }
    }
}

/// Whether every cut under a policy that demands it was approved by another person, or is under review.
pub(super) fn two_people_each(records: &[Value]) -> Result<(), String> {
    let declared = records
        .iter()
        .filter(|r| text(r, "event") == "declared" && text(r, "policy").starts_with(TWO_PEOPLE));
    for record in declared {
        let id = text(record, "emergency");
        let of_it = |event: &str| {
            let mut all = records.iter().take_while(|r| r["sequence"] != record["sequence"]);
            all.find(|r| text(r, "event") == event && text(r, "emergency") == id)
        };
        let approved = of_it("approved").is_some_and(|by| by["actor"]["peer"]["uid"] == ANOTHER);
        if !approved && of_it("review-opened").is_none() {
            return Err(format!("{id} was cut by one person alone, and nobody reviews it"));
        }
    }
    Ok(())
}

/// Takes note of what somebody was told of their decision.
pub(super) fn note<T>(life: &mut Life, kind: EventKind, id: &str, answer: Option<&Result<T, ApiError>>) {
    match answer {
        Some(Ok(_)) => life.decided.told(kind, id),
        // It may have come as far as the log.
        None => life.decided.in_doubt(kind, id),
        Some(Err(error)) if is_in_doubt(error) => life.decided.in_doubt(kind, id),
        Some(Err(_)) => {}
    }
}

fn is_in_doubt(error: &ApiError) -> bool {
    matches!(
        error.code,
        Code::NoRecord | Code::NoJournal | Code::KernelRefused | Code::Partial | Code::NoGuardian
    )
}

/// The same of a declaration, which has an id only if it was taken.
pub(super) fn note_declaration(life: &mut Life, answer: Option<&Result<EmergencyView, ApiError>>) {
    match answer {
        Some(Ok(view)) => {
            let kind = if view.state == EmergencyState::Proposed {
                EventKind::Proposed
            } else {
                EventKind::Declared
            };
            life.decided.told(kind, &view.id);
        }
        None => life.decided.unknown += 1,
        Some(Err(error)) if is_in_doubt(error) => life.decided.unknown += 1,
        Some(Err(_)) => {}
    }
}

/// Any proposal that waits, with its plan's digest.
fn any_proposal(life: &mut Life) -> Option<(String, String)> {
    let waiting = life.controller().filter(|_| life.post() == Some(Post::Daemon))?;
    let all: Vec<_> = waiting
        .proposals
        .iter()
        .map(|proposed| (proposed.id.to_string(), proposed.plan_digest.to_string()))
        .collect();
    (!all.is_empty()).then(|| life.random.pick(&all).clone())
}

pub(super) fn approve(life: &mut Life) {
    let Some((id, plan)) = any_proposal(life) else { return };
    let answer = life.keeping(true).run(|c| {
        ask_as(c, &somebody(ANOTHER, &[]), |reply| {
            Command::Approve(id.clone(), plan, reply)
        })
    });
    note(life, EventKind::Approved, &id, answer.as_ref());
    note(life, EventKind::Declared, &id, answer.as_ref());
    note_answer(life, answer.map(|a| a.map(|view| view.state)));
}

pub(super) fn reject(life: &mut Life) {
    let Some((id, _)) = any_proposal(life) else { return };
    let reason = "not now".to_owned();
    let answer = life.run(|c| {
        ask_as(c, &somebody(ANOTHER, &[]), |reply| {
            Command::Reject(id.clone(), reason, reply)
        })
    });
    note(life, EventKind::Rejected, &id, answer.as_ref());
    note_answer(life, answer.map(|a| a.map(|view| view.state)));
}

pub(super) fn close_review(life: &mut Life) {
    let open: Vec<String> = match life.controller() {
        Some(controller) => controller.reviews.iter().map(|review| review.id.to_string()).collect(),
        None => return,
    };
    if open.is_empty() || life.post() != Some(Post::Daemon) {
        return;
    }
    let id = life.random.pick(&open).clone();
    let finding = "it was right".to_owned();
    let answer = life.run(|c| {
        ask_as(c, &somebody(ANOTHER, &[]), |reply| {
            Command::CloseReview(id.clone(), finding, reply)
        })
    });
    note(life, EventKind::ReviewClosed, &id, answer.as_ref());
    note_answer(life, answer.map(|a| a.map(|view| view.id)));
}
