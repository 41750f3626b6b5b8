//! The report as text, for a console or a mail. What came from elsewhere is one line without what a terminal would obey.

use super::life::micros;
use super::prose::{self, fate, offset, title, traffic, word};
use super::{List, Report};
use crate::model::duration::written_ms;
use crate::model::record::safe;

/// Drifts and lines of a list that are shown; JSON has all.
const SHOWN: usize = 20;
/// Records of the emergency that are listed with their hashes.
const RECORDS_SHOWN: usize = 100;

/// Writes it.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = Out::default();
    out.line(0, &title(report));
    out.line(0, prose::audience(report));
    out.heading("Summary");
    report.summary.iter().for_each(|sentence| out.line(1, sentence));
    declaration(&mut out, report);
    timeline(&mut out, report);
    scope(&mut out, report);
    drill(&mut out, report);
    drift(&mut out, report);
    receipt(&mut out, report);
    plan(&mut out, report);
    proof(&mut out, report);
    out.text
}

#[derive(Default)]
struct Out {
    text: String,
}

impl Out {
    fn line(&mut self, depth: usize, text: &str) {
        let text = safe(text);
        let line = format!("{}{text}", "  ".repeat(depth));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.line(0, text);
    }

    fn field(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(1, &format!("{name:<18}{value}"));
        }
    }

    fn list(&mut self, name: &str, list: &List) {
        if list.count == 0 {
            return;
        }
        self.field(name, &list.count.to_string());
        for line in list.lines.iter().take(SHOWN) {
            self.line(2, line);
        }
        if list.lines.len() > SHOWN {
            self.line(2, &format!("and {} more", list.lines.len() - SHOWN));
        }
    }
}

fn declaration(out: &mut Out, report: &Report) {
    let stated = &report.declaration;
    out.heading("Who and why");
    out.field("authority", &stated.authority);
    out.field("reason", &stated.reason);
    out.field("occasion", &word(&stated.occasion));
    out.field("affected", &word(&stated.affects));
    out.field(
        "declared by",
        &stated.declared_by.as_ref().map(prose::who).unwrap_or_default(),
    );
    for who in &stated.approved_by {
        out.field("approved by", &prose::who(who));
    }
    out.field("declared for", &written_ms(stated.duration_ms));
    let confirm = stated.confirm_within_ms.map(written_ms).unwrap_or_default();
    out.field("to be confirmed", &confirm);
    for line in stated.notice.as_deref().unwrap_or_default().lines() {
        out.field("notice", line);
    }
    out.field("standing", prose::standing(report.standing));
}

fn timeline(out: &mut Out, report: &Report) {
    let times = &report.times;
    out.heading("Times (UTC)");
    out.field("declared", times.declared.as_deref().unwrap_or_default());
    out.field("in force", times.in_force.as_deref().unwrap_or_default());
    out.field("end begun", times.end_begun.as_deref().unwrap_or_default());
    out.field("ended", times.ended.as_deref().unwrap_or_default());
    out.field("deadline", times.deadline.as_deref().unwrap_or_default());
    if times.in_force.is_some() {
        out.field("held for", &written_ms(times.held_ms));
    }
    out.field("cut within", &times.cut_us.map(micros).unwrap_or_default());
    out.field("put back within", &times.restore_ms.map(written_ms).unwrap_or_default());
    out.heading("Timeline");
    for moment in &report.timeline {
        let number = if moment.count > 1 {
            format!("{} to {}", moment.sequence, moment.until)
        } else {
            moment.sequence.to_string()
        };
        let times = if moment.count > 1 {
            format!(" ({} times)", moment.count)
        } else {
            String::new()
        };
        let late = if moment.late { " (recorded late)" } else { "" };
        let (what, who) = (&moment.what, &moment.who.name);
        let line = format!(
            "{} {:>16}  {what}{times}{late}; {who} [record {number}]",
            moment.time,
            offset(moment.offset_ms)
        );
        out.line(1, &line);
    }
}

fn scope(out: &mut Out, report: &Report) {
    let scope = &report.scope;
    out.heading("What was cut and what was kept");
    let words = |list: &[String]| list.iter().map(|w| word(w)).collect::<Vec<_>>().join(", ");
    out.field("reach", &scope.reach.as_deref().map(word).unwrap_or_default());
    out.field("methods", &words(&scope.methods));
    out.field("families", &words(&scope.families));
    out.field("directions", &words(&scope.directions));
    out.field("between zones", &scope.zones.join(", "));
    out.list("links", &scope.links);
    if scope.routes_withdrawn > 0 {
        out.field("routes withdrawn", &scope.routes_withdrawn.to_string());
    }
    out.list("sent nowhere", &scope.null_prefixes);
    for name in &scope.lifelines {
        out.field("kept", name);
    }
    for row in &scope.coverage {
        let note = if row.note.is_empty() {
            String::new()
        } else {
            format!(": {}", row.note)
        };
        out.line(1, &format!("{:<32}{}{note}", traffic(row.traffic), fate(row.fate)));
    }
}

fn drill(out: &mut Out, report: &Report) {
    let Some(drill) = &report.drill else { return };
    let tally = &drill.tally;
    out.heading("Probes of the drill");
    out.field("verdict", if drill.held { "held" } else { "DID NOT HOLD" });
    out.list("failures", &drill.failures);
    let stopped = tally.forbidden - tally.leaked;
    out.field(
        "stopped",
        &format!("{stopped} of {} that the plan forbids", tally.forbidden),
    );
    out.field(
        "passed",
        &format!("{} of {} that the plan keeps", tally.kept_passed, tally.kept),
    );
    let back = tally.forbidden_back + tally.kept_back;
    out.field(
        "back afterwards",
        &format!("{back} of {}", tally.forbidden + tally.kept),
    );
    if tally.unproved > 0 {
        out.field(
            "unproved",
            &format!("{} did not pass before the cut either", tally.unproved),
        );
    }
    for lifeline in &drill.lifelines {
        let fared = if lifeline.untested.is_empty() {
            format!(
                "{} of {} probes lost, {} while links paused",
                lifeline.lost, lifeline.sent, lifeline.paused
            )
        } else {
            format!("not tested: {}", lifeline.untested)
        };
        out.field("lifeline", &format!("{fared}; {}", lifeline.what));
    }
    out.list("not probed", &drill.not_probed);
    out.field("tampered with", drill.sabotage.as_deref().unwrap_or_default());
    out.field(
        "put right after",
        &drill.put_right_ms.map(written_ms).unwrap_or_default(),
    );
}

fn drift(out: &mut Out, report: &Report) {
    if report.drifts == 0 {
        return;
    }
    out.heading("Drift");
    for drift in report.drift.iter().take(SHOWN) {
        let fate = if drift.put_right {
            "put right"
        } else {
            "not put right at once"
        };
        out.line(1, &format!("{} {fate} [record {}]", drift.time, drift.sequence));
        out.list("lacked", &drift.lacked);
        out.list("ways around", &drift.bypasses);
        out.field("why", drift.why.as_deref().unwrap_or_default());
    }
    let shown = report.drift.len().min(SHOWN);
    let more = usize::try_from(report.drifts)
        .unwrap_or(usize::MAX)
        .saturating_sub(shown);
    if more > 0 {
        out.line(1, &format!("and {more} more records"));
    }
}

fn receipt(out: &mut Out, report: &Report) {
    out.heading("Receipt");
    let Some(receipt) = &report.receipt else {
        out.line(1, "None: nothing was restored yet.");
        return;
    };
    out.line(1, &prose::back(receipt));
    out.field("record", &format!("{}, {}", receipt.sequence, receipt.time));
    out.field("to be restored", receipt.baseline.as_deref().unwrap_or_default());
    out.field("read back", receipt.restored.as_deref().unwrap_or_default());
    out.list("not put back", &receipt.residues);
    out.list("of others, kept", &receipt.kept_foreign_changes);
    out.list("conflicts", &receipt.conflicts);
    out.list("not recreated", &receipt.not_recreated);
    out.list("still to come", &receipt.to_come);
}

fn plan(out: &mut Out, report: &Report) {
    let plan = &report.plan;
    out.heading("Policy and plan");
    out.field("policy", report.policy.as_deref().unwrap_or_default());
    out.field("policy digest", plan.policy_digest.as_deref().unwrap_or_default());
    out.field("plan digest", plan.plan_digest.as_deref().unwrap_or_default());
    out.field("steps", &plan.steps.map(|n| n.to_string()).unwrap_or_default());
    out.field(
        "not recreatable",
        &plan.not_recreatable.map(|n| n.to_string()).unwrap_or_default(),
    );
}

fn proof(out: &mut Out, report: &Report) {
    let proof = &report.proof;
    out.heading("Audit log");
    out.field("verdict", &proof.verdict.sentence);
    out.field("records", &proof.records.to_string());
    if let Some(head) = proof.head {
        out.field("head", &format!("{}:{}", head.sequence, head.hash));
    }
    out.field("root", &format!("{}:{}", proof.records, proof.root));
    out.field("log", proof.origin.as_deref().unwrap_or_default());
    for line in &proof.not_proved {
        out.field("not proved", line);
    }
    for key in &proof.keys {
        out.field("first key", key);
    }
    for remark in &proof.remarks {
        out.field("note", remark);
    }
    for record in proof.own.iter().take(RECORDS_SHOWN) {
        out.field("record", &format!("{} {}", record.sequence, record.hash));
    }
    let more = proof.own.len().saturating_sub(RECORDS_SHOWN);
    if more > 0 {
        out.field("", &format!("and {more} more records"));
    }
    for inclusion in &proof.inclusion {
        let number = |member: &str| inclusion[member].as_u64().unwrap_or_default();
        let text = |member: &str| inclusion[member].as_str().unwrap_or_default();
        let (sequence, size) = (number("sequence"), number("size"));
        out.field(
            "proved inside",
            &format!("record {sequence} in the tree of {size}, root {}", text("root")),
        );
        out.field("", &format!("leaf {}", text("leaf")));
    }
}
