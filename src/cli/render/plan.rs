//! A plan as an operator reads and approves it.

use super::{Paint, fields, paint, safe, section, table};
use crate::api::{PlanView, StepView};
use crate::model::duration::written_ms;

pub(crate) fn plan(plan: &PlanView) -> String {
    let heading = paint(Paint::Strong, &format!("Plan for {}", safe(&plan.policy)));
    let mut text = format!("{heading}\n");
    text += &fields(
        "  ",
        [
            ("affects", plan.affects.clone()),
            ("for", written_ms(plan.duration_ms)),
            ("links", plan.links.join(", ")),
            ("digest", plan.digest.clone()),
        ],
    );
    text += &steps(&plan.steps);
    if !plan.lifelines.is_empty() {
        text += &format!("\n{}\n", paint(Paint::Strong, "Lifelines"));
        text += &table(
            "  ",
            plan.lifelines
                .iter()
                .map(|l| vec![l.name.clone(), l.kept_by.join("; ")]),
        );
    }
    if !plan.coverage.is_empty() {
        text += &format!("\n{}\n", paint(Paint::Strong, "Coverage"));
        let rows = plan
            .coverage
            .iter()
            .map(|c| vec![c.fate.clone(), c.traffic.clone(), c.note.clone()]);
        text += &table("  ", rows);
    }
    text += &section(Paint::Caution, "Comes back by meaning only", &plan.not_recreatable);
    text += &section(Paint::Caution, "Warnings", &plan.warnings);
    if plan.loses_session {
        let heading = paint(Paint::Alarm, "This cuts the session from which you ask");
        text += &format!("\n{heading}\n  declare it from the console, or with --accept-risk lose-session\n");
    }
    text
}

/// What is asked before a declaration.
pub(crate) fn question(plan: &PlanView) -> String {
    format!("\nType the policy's name to declare ({}):", safe(&plan.policy))
}

/// The changes are not wrapped, so that they can be copied.
fn steps(steps: &[StepView]) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(steps) {
        let heading = format!("Step {number}, {}: {}", safe(&step.phase), safe(&step.summary));
        text += &section(Paint::Strong, &heading, &step.changes);
    }
    text
}
