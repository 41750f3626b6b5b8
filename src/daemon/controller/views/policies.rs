//! The policies as the API shows them.

use serde_json::json;

use super::super::Controller;
use super::super::terms::millis;
use super::word;
use crate::api::alert::HookView;
use crate::api::error::{ApiError, Code};
use crate::api::{PolicySummary, PolicyView};
use crate::daemon::policies::Loaded;
use crate::model::policy::Hook;

impl Controller {
    /// `GET /v1/policies`.
    pub(in crate::daemon::controller) fn policy_list(&self) -> Vec<PolicySummary> {
        self.policies.iter().map(policy_summary).collect()
    }

    /// `GET /v1/policies/{name}`.
    pub(in crate::daemon::controller) fn policy_view(&self, name: &str) -> Result<PolicyView, ApiError> {
        let loaded = self.policy_named(name)?;
        Ok(PolicyView {
            summary: policy_summary(loaded),
            digest: loaded.digest.to_string(),
            source: loaded.source.clone(),
        })
    }

    pub(in crate::daemon::controller) fn policy_named(&self, name: &str) -> Result<&Loaded, ApiError> {
        self.policies.named(name).ok_or_else(|| {
            ApiError::new(
                Code::NoSuchPolicy,
                format!("no policy {name:?} is loaded"),
                "`portcullis policy list` names those that are",
            )
        })
    }

    pub(in crate::daemon::controller) fn policy_digests(&self) -> serde_json::Value {
        self.policies
            .iter()
            .map(|l| (l.policy.name.to_string(), json!(l.digest)))
            .collect()
    }
}

fn policy_summary(loaded: &Loaded) -> PolicySummary {
    PolicySummary {
        name: loaded.policy.name.to_string(),
        summary: loaded.policy.summary.clone(),
        affects: word(&loaded.policy.affects),
        methods: loaded.policy.methods.iter().map(word).collect(),
        default_ms: millis(loaded.policy.limits.default),
        maximum_ms: millis(loaded.policy.limits.maximum),
        hook: loaded.policy.hook.as_ref().map(hook),
    }
}

fn hook(hook: &Hook) -> HookView {
    HookView {
        users: hook.users.iter().cloned().collect(),
        sources: hook.sources,
        within_ms: millis(hook.within),
        cool_down_ms: millis(hook.cool_down),
        authority: hook.authority.clone(),
        occasion: word(&hook.occasion),
    }
}
