//! Whether this host could cut and restore now.

use super::{Paint, paint, safe};
use crate::api::{Finding, Grade, Readiness};

pub(crate) fn readiness(readiness: &Readiness) -> String {
    let findings: String = readiness.findings.iter().map(finding).collect();
    let verdict = match (readiness.ready, readiness.unplanned.is_empty()) {
        (true, true) => paint(Paint::Calm, "ready") + ": this host could cut and restore now",
        (true, false) => paint(Paint::Caution, "ready") + ": the daemon could cut and restore now",
        (false, _) => paint(Paint::Alarm, "not ready") + ": this host could not cut or restore now",
    };
    format!("{findings}\n{verdict}{}\n", unplanned(readiness))
}

/// What the word before it must not hide.
fn unplanned(readiness: &Readiness) -> String {
    let names: Vec<String> = readiness.unplanned.iter().map(|name| safe(name)).collect();
    if names.is_empty() {
        return String::new();
    }
    let (count, all) = (names.len(), readiness.policies);
    format!(
        "; {count} of {all} policies could not be declared here: {}",
        names.join(", ")
    )
}

fn finding(finding: &Finding) -> String {
    let (style, mark) = match finding.grade {
        Grade::Good => (Paint::Calm, "good   "),
        Grade::Warning => (Paint::Caution, "warning"),
        Grade::Failed => (Paint::Alarm, "FAILED "),
    };
    let mut text = format!(
        "{} {}: {}\n",
        paint(style, mark),
        safe(&finding.check),
        safe(&finding.seen)
    );
    if !finding.hint.is_empty() {
        text += &format!("        hint: {}\n", safe(&finding.hint));
    }
    text
}
