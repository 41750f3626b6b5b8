//! What of the alerts of hooks is shown: to who raised one, in the status, to whoever plans, by `doctor`.

use crate::api::alert::{AlertOutcome, AlertView, AlertWait, WaitingAlerts};
use crate::api::{EmergencyView, Finding};
use crate::daemon::controller::{Controller, readiness};
use crate::model::alert::{Then, Waiting};
use crate::model::duration::written;
use crate::model::names::{EmergencyId, PolicyName};
use crate::model::policy::Hook;

impl Controller {
    pub(super) fn show_alert(&self, name: &PolicyName, then: Then) -> AlertView {
        match then {
            Then::Wait { more, within_ms } => AlertView {
                waits: Some(AlertWait {
                    sources: more,
                    within_ms,
                }),
                ..self.view(name, AlertOutcome::Waiting, None)
            },
            Then::Hold(id) if self.hooks.alerts.hold_it(id) => self.view(name, AlertOutcome::Holding, Some(id)),
            Then::Hold(id) => self.view(name, AlertOutcome::LeftToOperators, Some(id)),
            // It is being planned on the word of another alert.
            Then::Declare => AlertView {
                waits: Some(AlertWait {
                    sources: 0,
                    within_ms: 0,
                }),
                ..self.view(name, AlertOutcome::Waiting, None)
            },
        }
    }

    pub(super) fn show_standing(&self, name: &PolicyName, emergency: EmergencyView) -> AlertView {
        let held = self
            .hooks
            .alerts
            .held(name)
            .is_some_and(|id| id.to_string() == emergency.id);
        let outcome = if held {
            AlertOutcome::Holding
        } else {
            AlertOutcome::LeftToOperators
        };
        AlertView {
            emergency: Some(emergency),
            ..self.view(name, outcome, None)
        }
    }

    pub(super) fn view(&self, name: &PolicyName, outcome: AlertOutcome, id: Option<EmergencyId>) -> AlertView {
        AlertView {
            policy: name.to_string(),
            outcome,
            waits: None,
            emergency: id.and_then(|id| self.emergency_view(&id.to_string()).ok()),
            receipt: None,
        }
    }

    /// The sources whose alerts hold an emergency.
    pub(in crate::daemon::controller) fn held_by(&self, id: EmergencyId) -> Vec<String> {
        self.hooks.alerts.holders(id).map(str::to_owned).collect()
    }

    /// The alerts that wait for more sources.
    pub(in crate::daemon::controller) fn waiting_alerts(&self) -> Vec<WaitingAlerts> {
        let now = self.now();
        let show = |waiting: Waiting<'_>| {
            let loaded = self.policies.named(waiting.policy.as_ref());
            let needed = loaded
                .and_then(|l| l.policy.hook.as_ref())
                .map(|hook| usize::from(hook.sources));
            WaitingAlerts {
                policy: waiting.policy.to_string(),
                more: needed.map(|needed| needed.saturating_sub(waiting.sources.len())),
                raised_by: waiting.sources.into_iter().map(str::to_owned).collect(),
                within_ms: waiting.within_ms,
            }
        };
        self.hooks.alerts.waiting(&now).map(show).collect()
    }

    /// What `doctor` says of hooks.
    pub(in crate::daemon::controller) fn hooks_finding(&self) -> Finding {
        let marked = self.policies.iter().filter_map(|l| Some((l, l.policy.hook.as_ref()?)));
        let marked: Vec<String> = marked
            .map(|(loaded, hook)| format!("{}: {}", loaded.policy.name, who_may_raise(hook)))
            .collect();
        let check = "hooks";
        match (&self.hooks.socket, marked.is_empty()) {
            (None, true) => readiness::good(check, "none may declare anything".to_owned()),
            (Some(_), false) => readiness::good(check, marked.join("; ")),
            (None, false) => readiness::warning(
                check,
                format!(
                    "there is no socket for them, and policies that they may declare: {}",
                    marked.join("; ")
                ),
                "`hook-socket` in portcullis.toml; or leave `[hook]` out of the policies",
            ),
            (Some(socket), true) => readiness::warning(
                check,
                format!(
                    "{} is open to them, and there is no policy that they may declare",
                    socket.display()
                ),
                "mark one by a table `[hook]`: see portcullis-policy(5)",
            ),
        }
    }
}

/// Who may raise it and when that is enough, for whoever reads plan or policy.
pub(in crate::daemon::controller) fn who_may_raise(hook: &Hook) -> String {
    let users: Vec<&str> = hook.users.iter().map(String::as_str).collect();
    let enough = match hook.sources {
        1 => format!("any one of {} declares it", users.join(", ")),
        sources => format!(
            "any {sources} of {} within {} declare it",
            users.join(", "),
            written(hook.within)
        ),
    };
    format!(
        "{enough} by hooks, with nobody there, and not again for {} after its end",
        written(hook.cool_down)
    )
}
