//! What came of an alert, and whose alerts count.

use super::safe;
use crate::api::alert::{AlertOutcome, AlertView, HookView, WaitingAlerts};
use crate::cli::duration::countdown;
use crate::model::duration::written_ms;

pub(crate) fn alert(alert: &AlertView) -> String {
    let policy = safe(&alert.policy);
    let mut text = match (alert.outcome, &alert.waits) {
        (AlertOutcome::Waiting, Some(waits)) if waits.sources > 0 => format!(
            "raised under {policy}; nothing is cut: it waits for {} more within {}\n",
            sources(waits.sources),
            written_ms(waits.within_ms)
        ),
        (AlertOutcome::Waiting, _) => format!("raised under {policy}; the cut is being planned\n"),
        (AlertOutcome::Holding, _) => format!("raised under {policy}; it holds the emergency\n"),
        (AlertOutcome::LeftToOperators, _) => {
            format!("an emergency under {policy} is in the hands of operators: the alert counts for nothing\n")
        }
        (AlertOutcome::Resolved, _) => format!("taken back under {policy}; what other alerts hold they hold\n"),
        (AlertOutcome::Ended, _) => format!("it was the last alert under {policy}: the emergency ended\n"),
    };
    if let Some(receipt) = &alert.receipt {
        text += "\n";
        text += &super::receipt::receipt(receipt);
    } else if let Some(emergency) = &alert.emergency {
        text += "\n";
        text += &super::status::emergency(emergency);
    }
    text
}

/// Alerts that wait for more sources, in a line.
pub(crate) fn waiting(alerts: &WaitingAlerts) -> String {
    let more = alerts
        .more
        .map_or_else(|| "more sources".to_owned(), |more| format!("{} more", sources(more)));
    format!(
        "{}: raised by {}; it waits for {more} within {}",
        alerts.policy,
        alerts.raised_by.join(", "),
        countdown(alerts.within_ms)
    )
}

/// Which hooks may declare a policy.
pub(crate) fn hook(hook: &HookView) -> String {
    let users = hook.users.join(", ");
    let enough = match hook.sources {
        1 => format!("any one of {users}"),
        wanted => format!("any {wanted} of {users} within {}", written_ms(hook.within_ms)),
    };
    format!(
        "{enough}, on the authority of {}; not again for {} after its end",
        hook.authority,
        written_ms(hook.cool_down_ms)
    )
}

fn sources(number: usize) -> String {
    match number {
        1 => "1 source".to_owned(),
        _ => format!("{number} sources"),
    }
}
