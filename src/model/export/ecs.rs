//! Elastic Common Schema: what it has fields for, and the rest under `portcullis`.

use serde_json::{Value, json};

use super::{Outcome, Source, outcome, reason, severity, user};
use crate::model::record::{Actor, EventKind, Record};

pub(super) fn event(record: &Record, source: &Source) -> Value {
    let ended = match outcome(record.event) {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Partial => "unknown",
    };
    let is_denied = [EventKind::RequestRefused, EventKind::Rejected].contains(&record.event);
    let kind = if is_denied { "denied" } else { "change" };
    let mut event = json!({
        "@timestamp": record.time,
        "ecs": { "version": "9.1.0" },
        "event": {
            "kind": "event",
            "category": ["configuration", "network"],
            "type": [kind],
            "action": format!("portcullis-{}", record.event),
            "outcome": ended,
            "reason": reason(record),
            "sequence": record.sequence,
            "hash": record.hash.to_string(),
            "severity": severity(record.event),
            "provider": "portcullisd",
            "module": "portcullis",
        },
        "host": { "hostname": source.host },
        "observer": { "vendor": "Portcullis", "product": "portcullisd", "version": source.version },
        "user": { "name": user(&record.actor) },
        "portcullis": {
            "boot_id": record.boot_id,
            "boottime_ms": record.boottime_ms,
            // An index takes an object's keys for fields; somebody else chose these.
            "details": record.details.to_string(),
            "emergency": record.emergency.map(|id| id.to_string()),
            "previous": record.previous.to_string(),
        },
    });
    if let Some(policy) = &record.policy {
        event["rule"] = json!({ "name": policy.as_ref() });
    }
    if let Actor::Peer(peer) = &record.actor {
        event["user"]["id"] = json!(peer.uid.to_string());
        event["process"] = json!({ "pid": peer.pid, "executable": peer.executable });
    }
    event
}
