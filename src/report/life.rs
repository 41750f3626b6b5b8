//! The life of an emergency, read off its records: moments and stretches.

use serde_json::Value;

use super::{Moment, Span, Standing, Who};
use crate::model::duration::written_ms;
use crate::model::record::{Actor, EventKind, Record, rfc3339};

/// Who acts where no person does.
pub(super) const THE_DAEMON: &str = "the daemon";

/// When something happened: by both clocks, in which boot. A record that was written late says so itself.
#[derive(Clone, Debug)]
pub(super) struct Instant {
    boot_id: String,
    boottime_ms: u64,
    pub(super) wall_ms: i64,
    pub(super) time: String,
    pub(super) late: bool,
}

impl Instant {
    pub(super) fn of(record: &Record) -> Self {
        let mark = &record.details["recorded_late"];
        let happened = (
            mark["boot_id"].as_str(),
            mark["boottime_ms"].as_u64(),
            mark["wall_ms"].as_i64(),
        );
        let own = || Self {
            boot_id: record.boot_id.clone(),
            boottime_ms: record.boottime_ms,
            wall_ms: record.wall_ms,
            time: record.time.clone(),
            late: false,
        };
        match happened {
            (Some(boot_id), Some(boottime_ms), Some(wall_ms)) => Self {
                boot_id: boot_id.to_owned(),
                boottime_ms,
                wall_ms,
                time: rfc3339(wall_ms).unwrap_or_else(|_| record.time.clone()),
                late: true,
            },
            (_, _, _) => own(),
        }
    }

    /// Milliseconds since an earlier one; a clock that was set back makes none.
    pub(super) fn since(&self, earlier: &Self) -> u64 {
        if self.boot_id == earlier.boot_id {
            return self.boottime_ms.saturating_sub(earlier.boottime_ms);
        }
        u64::try_from(self.wall_ms.saturating_sub(earlier.wall_ms)).unwrap_or(0)
    }
}

/// The moments, those of drift that follow each other as one.
pub(super) fn moments(records: &[Record]) -> Vec<Moment> {
    let mut moments: Vec<Moment> = Vec::new();
    let first = records.first().map(Instant::of);
    for record in records {
        let at = Instant::of(record);
        let offset_ms = first.as_ref().map_or(0, |first| at.since(first));
        let event = record.event.word().to_owned();
        let last = moments.last_mut();
        if let (EventKind::Drift, Some(last)) = (record.event, last.filter(|last| last.event == event)) {
            last.until = record.sequence;
            last.count += 1;
            continue;
        }
        // What happened after another thing did not happen before it, whatever a wall clock says.
        let not_before = moments.last().map_or(0, |last| last.offset_ms);
        moments.push(Moment {
            sequence: record.sequence,
            until: record.sequence,
            count: 1,
            time: at.time,
            offset_ms: offset_ms.max(not_before),
            what: what(record),
            event,
            who: Who::of(&record.actor),
            late: at.late,
        });
    }
    moments
}

/// The stretches: the same table as that of the emergency, seen from outside.
pub(super) fn spans(records: &[Record], moments: &[Moment]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for record in records {
        let holds = |m: &&Moment| (m.sequence..=m.until).contains(&record.sequence);
        let at = moments.iter().find(holds).map_or(0, |moment| moment.offset_ms);
        let standing = spans
            .last()
            .filter(|span| span.to_ms.is_none())
            .map(|span| span.standing);
        let Some(next) = next(standing, record) else { continue };
        if let Some(last) = spans.last_mut().filter(|last| last.to_ms.is_none()) {
            if last.standing == next {
                continue;
            }
            last.to_ms = Some(at);
        }
        spans.push(Span {
            standing: next,
            from_ms: at,
            to_ms: next.is_over().then_some(at),
        });
    }
    spans
}

impl Standing {
    /// Whether nothing follows.
    fn is_over(self) -> bool {
        match self {
            Self::Rejected | Self::Lapsed | Self::Ended => true,
            Self::Proposed | Self::Applying | Self::InForce | Self::Degraded | Self::Restoring | Self::Stuck => false,
        }
    }

    /// Whether connectivity is cut in it.
    pub(super) fn is_held(self) -> bool {
        matches!(self, Self::InForce | Self::Degraded)
    }
}

/// Where a record leads from where it stands; none if it changes nothing.
fn next(standing: Option<Standing>, record: &Record) -> Option<Standing> {
    let is_held = standing.is_some_and(Standing::is_held);
    let put_right = record.details["put_right"].as_bool() == Some(true);
    match record.event {
        EventKind::Proposed => Some(Standing::Proposed),
        EventKind::Rejected => Some(Standing::Rejected),
        EventKind::ProposalExpired => Some(Standing::Lapsed),
        EventKind::Declared => Some(Standing::Applying),
        EventKind::InForce => Some(Standing::InForce),
        EventKind::Drift if is_held && !put_right => Some(Standing::Degraded),
        EventKind::Mended if is_held => Some(Standing::InForce),
        EventKind::LifelineLost if record.details["then"] == "open" => Some(Standing::Restoring),
        EventKind::Recovered if record.details["then"] == "revert-requested" => Some(Standing::Restoring),
        EventKind::ApplyFailed
        | EventKind::RevertRequested
        | EventKind::DeadlineReached
        | EventKind::ConfirmationMissed => Some(Standing::Restoring),
        EventKind::Restored => Some(Standing::Ended),
        EventKind::Residue => Some(Standing::Stuck),
        EventKind::Drift
        | EventKind::Mended
        | EventKind::LifelineLost
        | EventKind::Recovered
        | EventKind::Approved
        | EventKind::OrderAccepted
        | EventKind::ReviewOpened
        | EventKind::ReviewClosed
        | EventKind::AlertRaised
        | EventKind::AlertResolved
        | EventKind::TakenOver
        | EventKind::ResidueAccepted
        | EventKind::Confirmed
        | EventKind::Extended
        | EventKind::DaemonStarted
        | EventKind::DaemonStopped
        | EventKind::PoliciesLoaded
        | EventKind::RequestRefused
        | EventKind::PlanMade
        | EventKind::StepsApplied
        | EventKind::RestoredOffline
        | EventKind::Armed
        | EventKind::Disarmed
        | EventKind::Sealed
        | EventKind::AuditRotated
        | EventKind::AuditTorn
        | EventKind::StateDamaged => None,
    }
}

impl Who {
    pub(super) fn of(actor: &Actor) -> Self {
        match actor {
            Actor::Daemon => Self::named(THE_DAEMON),
            Actor::Signatory(signatory) => Self {
                uid: actor.uid(),
                ..Self::named(&signatory.person)
            },
            Actor::Peer(peer) => Self {
                name: peer.user.clone().unwrap_or_else(|| format!("uid {}", peer.uid)),
                uid: Some(peer.uid),
                login_uid: peer.login_uid,
                executable: peer.executable.clone(),
                unit: peer.unit.clone(),
                hearsay: peer.hearsay.iter().map(|hearsay| hearsay.word().to_owned()).collect(),
            },
        }
    }

    /// Somebody of whom no more is known than this.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            uid: None,
            login_uid: None,
            executable: None,
            unit: None,
            hearsay: Vec::new(),
        }
    }
}

/// What happened, as one would say it.
fn what(record: &Record) -> String {
    let details = &record.details;
    let ms = |name: &str| details[name].as_u64().map(written_ms).unwrap_or_default();
    let text = |name: &str| details[name].as_str().unwrap_or_default().to_owned();
    // A public report has no words of the kernel's.
    let because = |name: &str| {
        details[name]
            .as_str()
            .map_or_else(String::new, |why| format!(": {why}"))
    };
    match record.event {
        EventKind::Proposed => "Declared; nothing is cut before others approve".to_owned(),
        EventKind::Approved => match (details["approvals"].as_u64(), details["approvals_needed"].as_u64()) {
            (Some(given), Some(needed)) => format!("Approved the plan ({given} of {needed})"),
            (_, _) => "Approved the plan".to_owned(),
        },
        EventKind::Rejected => format!("Rejected; nothing was cut{}", because("reason")),
        EventKind::ProposalExpired => "Nobody decided in time; nothing was cut".to_owned(),
        EventKind::OrderAccepted => "A signed order was taken".to_owned(),
        EventKind::ReviewOpened => {
            "One person decides alone, without the approval that the policy demands; a review is open".to_owned()
        }
        EventKind::ReviewClosed => format!("Another person has reviewed it{}", because("finding")),
        // Recorded as an act of whoever approved last.
        EventKind::Declared if !details["approved_by"].is_null() => {
            "The declaration has every approval and is on record; the cut may begin".to_owned()
        }
        EventKind::AlertRaised => format!("A hook raised it, too{}", because("reason")),
        EventKind::AlertResolved => format!("A hook resolved its alert{}", because("reason")),
        EventKind::TakenOver => "An operator took it over: no hook ends it any more".to_owned(),
        EventKind::Declared if !details["raised_by"].is_null() => {
            "Declared by hooks, and on record; the cut may begin".to_owned()
        }
        EventKind::Declared => "Declared, and on record; the cut may begin".to_owned(),
        EventKind::InForce => match details["cut_us"].as_u64() {
            Some(us) => format!(
                "The cut stands, read back from the kernel ({} after the request)",
                micros(us)
            ),
            None => "The cut stands, read back from the kernel".to_owned(),
        },
        EventKind::ApplyFailed => format!("The cut could not be laid and is undone{}", because("why")),
        EventKind::Confirmed => "Confirmed: the operator is still there".to_owned(),
        EventKind::Extended => format!("Extended by {}", ms("by_ms")),
        EventKind::Drift if details["put_right"] == true => {
            "Others changed what the cut held; put right at once".to_owned()
        }
        EventKind::Drift => "Others opened a way around the cut; it is being enforced".to_owned(),
        EventKind::Mended => "The cut holds again".to_owned(),
        EventKind::LifelineLost => format!("Lifeline “{}” does not answer", text("lifeline")),
        EventKind::RevertRequested if details["by"] == "hooks" => {
            "The last hook that had raised it resolved its alert, so it ends".to_owned()
        }
        EventKind::RevertRequested => "The end was ordered".to_owned(),
        EventKind::DeadlineReached => "The deadline ended it".to_owned(),
        EventKind::ConfirmationMissed => "Nobody confirmed in time, so it ended by itself".to_owned(),
        EventKind::Restored => "Everything that was held is back, and nothing of the cut is left".to_owned(),
        EventKind::Residue => "Not everything could be put back: a person is needed".to_owned(),
        EventKind::ResidueAccepted => "Ended all the same: what is left was accepted".to_owned(),
        EventKind::RestoredOffline => "The host was brought back without the daemon".to_owned(),
        EventKind::Recovered => format!("The daemon took the emergency up after a {}", text("after")),
        EventKind::DaemonStarted => "The daemon started".to_owned(),
        EventKind::DaemonStopped => "The daemon was stopped; the kernel holds the cut".to_owned(),
        EventKind::StateDamaged => "A file of the daemon was found damaged".to_owned(),
        EventKind::AuditTorn => "A torn last line of the log was set aside".to_owned(),
        EventKind::PoliciesLoaded
        | EventKind::RequestRefused
        | EventKind::PlanMade
        | EventKind::StepsApplied
        | EventKind::Armed
        | EventKind::Disarmed
        | EventKind::Sealed
        | EventKind::AuditRotated => record.event.word().to_owned(),
    }
}

/// Microseconds in milliseconds.
pub(super) fn micros(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

/// The lines of a member that is a list of texts.
pub(super) fn lines(value: &Value) -> Vec<String> {
    let line = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    value
        .as_array()
        .map(|items| items.iter().map(line).collect())
        .unwrap_or_default()
}
