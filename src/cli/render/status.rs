//! Where the host stands, and one emergency.

use super::{Paint, fields, paint, section, word};
use crate::api::{ArmingView, AuditHead, EmergencyState, EmergencyView, HostState, Status};
use crate::cli::duration::countdown;

pub(crate) fn status(status: &Status) -> String {
    let (style, sentence) = headline(status.state, &status.armed);
    let mut text = format!("{}: {sentence}\n", paint(style, &heading(status.state)));
    text += &section(
        Paint::Alarm,
        "Open paths: what the kernel lacks of the cut",
        &status.open_paths,
    );
    text += &section(
        Paint::Alarm,
        "Lifelines lost: the kernel knows no way for them",
        &status.lifelines_lost,
    );
    text += &section(Paint::Alarm, "To be looked at by a person", &status.attention);
    let reviews: Vec<String> = status.reviews.iter().map(super::review::line).collect();
    text += &section(
        Paint::Alarm,
        "Declared without the approval that the policy demands, and not reviewed yet",
        &reviews,
    );
    let alerts: Vec<String> = status.alerts.iter().map(super::alert::waiting).collect();
    text += &section(Paint::Caution, "Alerts of hooks: nothing is cut for them yet", &alerts);
    for view in &status.emergencies {
        text += "\n";
        text += &emergency(view);
    }
    text += "\n";
    let daemon = fields(
        "",
        [
            ("armed", armed(&status.armed)),
            ("audit log", audit(&status.audit)),
            ("daemon", status.daemon_version.clone()),
        ],
    );
    text + &daemon
}

pub(crate) fn emergency(view: &EmergencyView) -> String {
    let style = match view.state {
        EmergencyState::Proposed | EmergencyState::Applying | EmergencyState::Restoring => Paint::Caution,
        EmergencyState::InForce | EmergencyState::Degraded | EmergencyState::Stuck => Paint::Alarm,
        EmergencyState::Ended => Paint::Calm,
    };
    let heading = format!("Emergency {}", super::safe(&view.id));
    let state = paint(style, &word(&view.state));
    // What is already on its way to its end has no end to come, and nothing to confirm.
    let runs = match view.state {
        EmergencyState::Applying | EmergencyState::InForce | EmergencyState::Degraded => true,
        EmergencyState::Proposed | EmergencyState::Restoring => false,
        EmergencyState::Stuck | EmergencyState::Ended => false,
    };
    let ends = runs.then(|| format!("in {}, at {}", countdown(view.remaining_ms), view.ends_at));
    let confirm = view.confirm_within_ms.filter(|_| runs);
    let confirm = confirm.map(|ms| format!("within {}, or it ends by itself", countdown(ms)));
    let rows = fields(
        "  ",
        [
            ("policy", format!("{} (affects {})", view.policy, view.affects)),
            ("ends", ends.unwrap_or_default()),
            ("confirm", confirm.unwrap_or_default()),
            ("waits", waits(view).unwrap_or_default()),
            ("approved", approved(view)),
            ("occasion", view.occasion.clone()),
            ("reason", view.reason.clone()),
            ("authority", view.authority.clone()),
            ("declared", format!("{} by {}", view.declared_at, view.declared_by)),
            ("held by", held_by(view)),
            ("methods", view.methods.join(", ")),
            ("links", view.links.join(", ")),
            ("lifelines", view.lifelines.join(", ")),
            ("notice", view.notice.clone()),
            ("plan", view.plan_digest.clone()),
        ],
    );
    format!("{}: {state}\n{rows}", paint(Paint::Strong, &heading))
}

/// The hooks whose alerts hold it.
fn held_by(view: &EmergencyView) -> String {
    match view.held_by.as_slice() {
        [] => String::new(),
        sources => format!(
            "the alerts of {}; it ends when the last of them is resolved, unless a person confirms or extends it",
            sources.join(", ")
        ),
    }
}

fn approved(view: &EmergencyView) -> String {
    match view.break_glass {
        true => "BY NOBODY: one person declared it alone, without the approval that the policy demands".to_owned(),
        false => view.approved_by.join(", "),
    }
}

/// What a proposal waits for, and for how long it is to last.
fn waits(view: &EmergencyView) -> Option<String> {
    let approval = view.approval.as_ref()?;
    Some(format!(
        "for approval by {} of {} people, {} left; then it lasts {}",
        usize::from(approval.needed).saturating_sub(view.approved_by.len()),
        approval.needed,
        countdown(approval.expires_in_ms),
        countdown(view.remaining_ms)
    ))
}

/// What to type next, where something must be.
pub(crate) fn next_after_declare(view: &EmergencyView) -> String {
    if view.state == EmergencyState::Proposed {
        return format!(
            "nothing is cut yet: another person types `portcullis approve {} --plan {}`",
            view.id, view.plan_digest
        );
    }
    match view.confirm_within_ms {
        Some(ms) => format!(
            "`portcullis confirm {}` within {}, or it ends by itself",
            view.id,
            countdown(ms)
        ),
        None => format!("`portcullis revert {}` ends it", view.id),
    }
}

/// The state in a word, which must not be overread where no colour is shown.
fn heading(state: HostState) -> String {
    match state {
        HostState::LeftOver | HostState::Degraded | HostState::Stuck => word(&state).to_uppercase(),
        HostState::Clear | HostState::Proposed | HostState::Applying | HostState::InForce | HostState::Restoring => {
            word(&state)
        }
    }
}

fn headline(state: HostState, armed: &ArmingView) -> (Paint, &'static str) {
    match state {
        HostState::Clear if armed.wanted => (Paint::Calm, "no emergency, and nothing of ours in the way of a packet"),
        HostState::Clear => (Paint::Calm, "no emergency, and nothing of ours in the kernel"),
        HostState::Proposed => (Paint::Caution, "nothing is cut; a declaration waits for approval"),
        HostState::LeftOver => (
            Paint::Alarm,
            "no emergency is known, but the kernel is not as it is without one: see below",
        ),
        HostState::Applying => (Paint::Caution, "a cut is being carried out"),
        HostState::InForce => (Paint::Alarm, "the cut stands, read back from the kernel just now"),
        HostState::Restoring => (Paint::Caution, "a restore is under way"),
        HostState::Degraded => (Paint::Alarm, "a cut is in force with a hole in it"),
        HostState::Stuck => (
            Paint::Alarm,
            "a restore left residue; no new emergencies; call a person",
        ),
    }
}

fn armed(armed: &ArmingView) -> String {
    match (armed.wanted, armed.links.is_empty()) {
        (false, _) => "no".to_owned(),
        (true, true) => "yes, but no link is; see `portcullis doctor`".to_owned(),
        (true, false) => format!("yes: {}", armed.links.join(", ")),
    }
}

fn audit(head: &AuditHead) -> String {
    match (&head.fault, head.healthy) {
        (None, true) => format!("takes records; the last is {}", head.sequence),
        (Some(fault), _) => format!("FAULT, no cut can begin: {fault}"),
        (None, false) => "FAULT, no cut can begin".to_owned(),
    }
}
