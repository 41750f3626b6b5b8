//! The audit log: records, head, verdict.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Paint, list, paint, safe};
use crate::api::{AuditHead, AuditPage};
use crate::model::ledger::{Damage, Report, Verdict};

/// How much of an emergency's id may be shown: up to the end of each of its groups, all of them together the whole.
const ID_CHARACTERS: [usize; 5] = [8, 13, 18, 23, 36];

pub(crate) fn page(page: &AuditPage) -> String {
    if page.records.is_empty() {
        return "no records\n".to_owned();
    }
    let head = ["RECORD", "TIME", "EVENT", "ACTOR", "EMERGENCY", "POLICY"].map(str::to_owned);
    let shown = id_characters(page);
    let rows = page.records.iter().map(|record| row(record, shown));
    let mut text = list(std::iter::once(head.to_vec()).chain(rows));
    if page.more {
        text += "there are older records; see more with --limit or --since\n";
    }
    text
}

/// As few as tell the emergencies of the page apart: the first eight are the same for a minute.
fn id_characters(page: &AuditPage) -> usize {
    let ids: BTreeSet<&str> = page.records.iter().filter_map(|r| r["emergency"].as_str()).collect();
    let apart = |characters: &usize| {
        let beginnings: BTreeSet<String> = ids.iter().map(|id| id.chars().take(*characters).collect()).collect();
        beginnings.len() == ids.len()
    };
    let [.., whole] = ID_CHARACTERS;
    ID_CHARACTERS.into_iter().find(apart).unwrap_or(whole)
}

/// A record of a newer version may lack what is looked for; it is shown with gaps rather than not at all.
fn row(record: &Value, shown: usize) -> Vec<String> {
    let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let sequence = record["sequence"].as_u64().map(|n| n.to_string());
    let emergency: String = text("emergency").chars().take(shown).collect();
    let time: String = text("time");
    vec![
        sequence.unwrap_or_default(),
        time,
        text("event"),
        actor(&record["actor"]),
        emergency,
        text("policy"),
    ]
}

fn actor(actor: &Value) -> String {
    let peer = &actor["peer"];
    if let Some(person) = actor["signatory"]["person"].as_str() {
        return format!("{person} (order)");
    }
    match (actor.as_str(), peer["user"].as_str(), peer["uid"].as_u64()) {
        (Some(word), _, _) => word.to_owned(),
        (None, Some(user), _) => user.to_owned(),
        (None, None, Some(uid)) => format!("uid {uid}"),
        (None, None, None) => String::new(),
    }
}

pub(crate) fn head(head: &AuditHead) -> String {
    let mut text = format!("{}:{}\n", head.sequence, safe(&head.hash));
    text += &format!(
        "root:  {}:{}\nshort: {}:{}\n",
        head.sequence,
        safe(&head.root),
        head.sequence,
        spoken(&head.short)
    );
    if let Some(fault) = &head.fault {
        text += &format!("{}: no cut can begin: {}\n", paint(Paint::Alarm, "fault"), safe(fault));
    }
    text
}

/// In groups of four, as one reads it aloud.
fn spoken(short: &str) -> String {
    let digits: Vec<char> = safe(short).chars().collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// What an examination found: the verdict, what it rests on, and what nothing proves.
pub(crate) fn report(report: &Report, file: Option<&Path>) -> String {
    let size = report.tree.size();
    let mut text = verdict(report, file);
    if let Some(head) = report.head {
        let root = report.tree.root();
        text += &format!("head:  {}:{}\n", head.sequence, head.hash);
        text += &format!("root:  {size}:{root}\nshort: {size}:{}\n", spoken(&root.short()));
    }
    for chain in &report.chains {
        let known = if chain.vouched { "known" } else { "not noted elsewhere" };
        text += &format!(
            "sealed: records up to {}, {} epochs in boot {}, first key {known}: {}\n",
            chain.to,
            chain.epochs,
            safe(&chain.boot_id),
            safe(&chain.first.to_string())
        );
    }
    for remark in &report.remarks {
        text += &format!("note: {remark}\n");
    }
    for window in &report.windows {
        text += &format!("not proved: {window}\n");
    }
    text
}

fn verdict(report: &Report, file: Option<&Path>) -> String {
    let size = report.tree.size();
    let calm = |word: &str, rest: String| format!("{}: {rest}\n", paint(Paint::Calm, word));
    let alarm = |word: &str, rest: String| format!("{}: {rest}\n", paint(Paint::Alarm, word));
    match &report.verdict {
        Verdict::Intact if size == 0 => calm("intact", "no records".to_owned()),
        Verdict::Intact => calm(
            "intact",
            format!("records 1 to {size} are proved to be as they were written"),
        ),
        Verdict::TailUnproved if report.proved == 0 => calm(
            "intact",
            format!("records 1 to {size} fit together, but nothing proves them: no seal, no noted head"),
        ),
        Verdict::TailUnproved => calm(
            "intact, but the tail is unproved",
            format!(
                "records 1 to {} are proved to be as they were written, {} follow",
                report.proved,
                size - report.proved
            ),
        ),
        Verdict::KeyUnknown => alarm(
            "KEY UNKNOWN",
            format!(
                "records 1 to {size} fit together, but nothing vouches for the keys: give --key, --head or --checkpoint"
            ),
        ),
        Verdict::Altered(damage) => alarm("ALTERED", place(damage, file)),
        Verdict::RolledBack(damage) => alarm("ROLLED BACK", place(damage, file)),
        Verdict::Truncated(noted) => alarm(
            "TRUNCATED",
            format!(
                "the log ends before record {}, which was noted elsewhere; it has {size}",
                noted.size
            ),
        ),
    }
}

fn place(damage: &Damage, file: Option<&Path>) -> String {
    let file = file.map_or_else(String::new, |file| format!("{}, ", safe(&file.display().to_string())));
    let records = if damage.sequence == damage.until {
        format!("record {}", damage.sequence)
    } else {
        format!("one of records {} to {}", damage.sequence, damage.until)
    };
    format!(
        "{file}line {}, {records}: {}",
        damage.line,
        safe(&damage.why.to_string())
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(ids: &[&str]) -> Vec<String> {
        let record = |id: &&str| json!({ "sequence": 1, "emergency": id });
        let records = ids.iter().map(record).collect();
        let text = page(&AuditPage { records, more: false });
        let cells = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        text.lines().skip(1).map(cells).collect()
    }

    #[test]
    fn as_much_of_an_id_is_shown_as_tells_the_emergencies_apart() {
        let (first, second) = (
            "01936a5e-8c40-7000-8000-000000000001",
            "01936a5e-9000-7000-8000-000000000001",
        );
        assert_eq!(shown(&[first, first]), ["01936a5e", "01936a5e"]);
        assert_eq!(shown(&[first, second]), ["01936a5e-8c40", "01936a5e-9000"]);
        let third = "01936a5e-8c40-7000-8000-000000000002";
        assert_eq!(shown(&[first, third]), [first, third]);
    }
}
