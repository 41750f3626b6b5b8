//! Whether this host could cut and restore now.

use super::{Paint, paint, safe};
use crate::api::{Finding, Grade, Readiness};

pub(crate) fn readiness(readiness: &Readiness) -> String {
    let findings: String = readiness.findings.iter().map(finding).collect();
    let verdict = if readiness.ready {
        paint(Paint::Calm, "ready") + ": this host could cut and restore now"
    } else {
        paint(Paint::Alarm, "not ready") + ": this host could not cut or restore now"
    };
    format!("{findings}\n{verdict}\n")
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
