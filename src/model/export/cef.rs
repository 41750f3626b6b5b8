//! Common Event Format, version 0: `CEF:0|vendor|product|version|id|name|severity|key=value …`.

use super::{Outcome, Source, outcome, reason, severity, user};
use crate::model::record::{Actor, Record, printable};

pub(super) fn line(record: &Record, source: &Source) -> String {
    let event = record.event.word();
    let head = [
        "CEF:0".to_owned(),
        "Portcullis".to_owned(),
        "portcullisd".to_owned(),
        header(&source.version),
        format!("PC-{}", event.to_uppercase()),
        event.replace('-', " "),
        severity(record.event).to_string(),
    ];
    let ended = match outcome(record.event) {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Partial => "partial",
    };
    let mut fields = vec![
        ("rt", record.wall_ms.to_string()),
        ("dvchost", value(&source.host)),
        ("suser", value(&user(&record.actor))),
        ("act", event.to_owned()),
        ("outcome", ended.to_owned()),
    ];
    if let Actor::Peer(peer) = &record.actor {
        fields.push(("spid", peer.pid.to_string()));
        fields.push(("suid", peer.uid.to_string()));
    }
    fields.extend(reason(record).map(|reason| ("reason", value(reason))));
    fields.extend(record.emergency.map(|id| ("externalId", id.to_string())));
    if let Some(policy) = &record.policy {
        fields.push(("cs1Label", "policy".to_owned()));
        fields.push(("cs1", value(policy.as_ref())));
    }
    fields.push(("cs2Label", "auditHash".to_owned()));
    fields.push(("cs2", record.hash.to_string()));
    fields.push(("cn1Label", "auditSeq".to_owned()));
    fields.push(("cn1", record.sequence.to_string()));
    let fields: Vec<String> = fields
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("{}|{}", head.join("|"), fields.join(" "))
}

/// In the header a pipe ends a field.
fn header(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// In an extension an equals sign ends a key.
fn value(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('=', "\\=")
}

/// Printable ASCII: what deceives is escaped first, as everywhere; then what a reader may take for another alphabet.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
    }
    out
}
