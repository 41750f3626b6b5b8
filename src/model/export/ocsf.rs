//! Open Cybersecurity Schema Framework 1.8.0.
//!
//! What changes the host's connectivity is Remediation Activity (7001: Isolate and Restore, with the D3FEND techniques);
//! what changes an emergency is an Incident Finding (2005); requests are API Activity (6003), the daemon's own life is
//! Application Lifecycle (6002), the log's own life Event Log Activity (1008).

use serde_json::{Value, json};

use super::{Outcome, Source, outcome, reason, severity, user};
use crate::model::record::{Actor, EventKind, Record};

/// A class and an activity of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Isolate,
    Restore,
    IncidentCreated,
    IncidentUpdated,
    Asked,
    Refused,
    Started,
    Stopped,
    Updated,
    LogRotated,
    LogOther,
}

impl Class {
    fn of(event: EventKind) -> Self {
        match event {
            EventKind::StepsApplied | EventKind::InForce | EventKind::ApplyFailed | EventKind::Mended => Self::Isolate,
            EventKind::Restored | EventKind::RestoredOffline | EventKind::Residue => Self::Restore,
            EventKind::Proposed | EventKind::Declared => Self::IncidentCreated,
            EventKind::Approved
            | EventKind::Rejected
            | EventKind::ProposalExpired
            | EventKind::ReviewOpened
            | EventKind::ReviewClosed
            | EventKind::AlertRaised
            | EventKind::AlertResolved
            | EventKind::TakenOver
            | EventKind::Confirmed
            | EventKind::Extended
            | EventKind::Drift
            | EventKind::LifelineLost
            | EventKind::RevertRequested
            | EventKind::DeadlineReached
            | EventKind::ConfirmationMissed
            | EventKind::ResidueAccepted
            | EventKind::Recovered => Self::IncidentUpdated,
            EventKind::PlanMade | EventKind::OrderAccepted => Self::Asked,
            EventKind::RequestRefused => Self::Refused,
            EventKind::DaemonStarted => Self::Started,
            EventKind::DaemonStopped => Self::Stopped,
            EventKind::PoliciesLoaded | EventKind::Armed | EventKind::Disarmed => Self::Updated,
            EventKind::AuditRotated => Self::LogRotated,
            EventKind::Sealed | EventKind::AuditTorn | EventKind::StateDamaged => Self::LogOther,
        }
    }

    /// Class and activity.
    fn ids(self) -> (u64, u64) {
        match self {
            Self::Isolate => (7001, 1),
            Self::Restore => (7001, 3),
            Self::IncidentCreated => (2005, 1),
            Self::IncidentUpdated => (2005, 2),
            Self::Asked => (6003, 2),
            Self::Refused => (6003, 99),
            Self::Started => (6002, 3),
            Self::Stopped => (6002, 4),
            Self::Updated => (6002, 8),
            Self::LogRotated => (1008, 5),
            Self::LogOther => (1008, 99),
        }
    }
}

pub(super) fn event(record: &Record, source: &Source) -> Value {
    let class = Class::of(record.event);
    let (class_uid, activity_id) = class.ids();
    let status_id = match outcome(record.event) {
        Outcome::Success => 1,
        Outcome::Failure => 2,
        // Remediation Activity knows Partial.
        Outcome::Partial => 4,
    };
    let mut event = json!({
        "activity_id": activity_id,
        "activity_name": record.event.word(),
        "actor": actor(record),
        "category_uid": class_uid / 1000,
        "class_uid": class_uid,
        "device": { "hostname": source.host, "type_id": 0 },
        "message": record.event.word(),
        "metadata": {
            "correlation_uid": record.emergency.map(|id| id.to_string()),
            "log_name": "audit.jsonl",
            "product": { "name": "portcullisd", "vendor_name": "Portcullis", "version": source.version },
            "profiles": ["datetime", "host"],
            "sequence": record.sequence,
            "uid": record.hash.to_string(),
            "version": "1.8.0",
        },
        "severity_id": severity_id(record.event),
        "status_detail": reason(record),
        "status_id": status_id,
        "time": record.wall_ms,
        "time_dt": record.time,
        "type_uid": class_uid * 100 + activity_id,
        "unmapped": {
            "boot_id": record.boot_id,
            "boottime_ms": record.boottime_ms,
            "details": record.details,
            "policy": record.policy.as_ref().map(AsRef::<str>::as_ref),
            "previous": record.previous.to_string(),
        },
    });
    add_class(&mut event, class, record);
    event
}

/// What a class requires beside the base event.
fn add_class(event: &mut Value, class: Class, record: &Record) {
    let emergency = record.emergency.map_or_else(|| "none".to_owned(), |id| id.to_string());
    let technique = |uid: &str, name: &str, tactic: &str| json!([{ "d3f_tactic": { "name": tactic }, "d3f_technique": { "name": name, "uid": uid } }]);
    match class {
        Class::Isolate => {
            event["command_uid"] = json!(emergency);
            event["countermeasures"] = technique("D3-NI", "Network Isolation", "Isolate");
        }
        Class::Restore => {
            event["command_uid"] = json!(emergency);
            event["countermeasures"] = technique("D3-RNA", "Restore Network Access", "Restore");
        }
        Class::IncidentCreated | Class::IncidentUpdated => {
            let title = record.policy.as_ref().map_or("emergency", AsRef::as_ref);
            event["finding_info_list"] = json!([{ "title": title, "uid": emergency }]);
            if record.event == EventKind::Declared {
                event["desc"] = json!(reason(record));
            }
        }
        Class::Asked | Class::Refused => {
            event["api"] = json!({ "operation": record.event.word() });
            event["src_endpoint"] = json!({ "name": "local socket" });
        }
        Class::Started | Class::Stopped | Class::Updated => {
            event["app"] = json!({ "name": "portcullisd", "vendor_name": "Portcullis" });
        }
        Class::LogRotated | Class::LogOther => {
            event["log_name"] = json!("audit.jsonl");
        }
    }
}

fn actor(record: &Record) -> Value {
    match &record.actor {
        Actor::Daemon => json!({ "app_name": "portcullisd" }),
        Actor::Peer(peer) => json!({
            "process": { "pid": peer.pid, "path": peer.executable },
            "user": { "name": user(&record.actor), "uid": peer.uid.to_string() },
        }),
        // OCSF calls a credential's number its uid, too.
        Actor::Signatory(signatory) => json!({
            "user": { "name": user(&record.actor), "credential_uid": signatory.key },
        }),
    }
}

/// 1 Informational, 2 Low, 3 Medium, 4 High, 5 Critical.
fn severity_id(event: EventKind) -> u8 {
    match severity(event) {
        0..=2 => 1,
        3 => 2,
        4..=6 => 3,
        7..=8 => 4,
        _ => 5,
    }
}
