//! What `doctor` says of arming: whether it is whole, or whether this host would gain by it.

use tracing::warn;

use super::Arm;
use crate::api::{AuditQuery, Finding, Grade};
use crate::daemon::controller::{Controller, views};
use crate::model::object::Family;
use crate::model::record::EventKind;
use crate::model::snapshot::Snapshot;
use crate::planning::{self, Armed};

/// How long a link sends nothing when a qdisc comes or goes: measured on Linux 6.18, for each link.
const PAUSE_MS: u32 = 5;
/// What the first IPv4 rule of a host may take before arming is recommended.
const DEAR_US: u64 = 2_000;
/// What it takes for each IPv4 route: 6.5 ms at 100,000, measured on Linux 6.18.
const NS_EACH_ROUTE: u64 = 65;
/// Records that are searched for a figure.
const FIGURES_MAX: usize = 32;

impl Controller {
    /// For `doctor`: whether the host is armed as it is to be, or would gain by it.
    pub(in crate::daemon::controller) fn arming_finding(&self, host: &Snapshot) -> Finding {
        let goal = planning::armed(host, self.policies.iter().map(|l| &l.policy));
        match self.arming.wanted {
            Arm::On if !self.emergencies.is_empty() => finding(
                Grade::Good,
                "an emergency is not over: nothing is armed before its end",
                "",
            ),
            Arm::On => self.armed_finding(host, &goal),
            Arm::Off => self.recommendation(host, &goal),
        }
    }

    fn armed_finding(&self, host: &Snapshot, goal: &Armed) -> Finding {
        let mut lacking = views::changes(&self.steps_to(goal, host), host);
        lacking.extend(goal.left_out.iter().cloned());
        if !lacking.is_empty() {
            let seen = format!("not whole, missing: {}", lacking.join("; "));
            let hint = "it is tried again when links change, and within a minute; `portcullis audit show --kind armed`";
            return finding(Grade::Warning, &seen, hint);
        }
        let price = match self.dearest_first_rule_us() {
            Some(us) => format!("; the first IPv4 rule took {us} us, paid beforehand"),
            None => String::new(),
        };
        let links = goal.links.len();
        finding(
            Grade::Good,
            &format!("{links} links, none of which a cut stops while it is laid out{price}"),
            "",
        )
    }

    /// A first rule is not laid to measure it: what is known of this host is what was recorded.
    fn recommendation(&self, host: &Snapshot, goal: &Armed) -> Finding {
        let mut reasons = Vec::new();
        let up = |index: &&u32| host.link(**index).is_some_and(|l| l.up);
        let links = goal.links.keys().filter(up).count();
        if links > 0 {
            reasons.push(format!(
                "{links} links that policies gate are up: each sends nothing for about {PAUSE_MS} ms when a cut begins and \
                 when it ends, lifelines included"
            ));
        }
        reasons.extend(self.price_of_a_first_rule(host));
        if reasons.is_empty() {
            return finding(Grade::Good, "not armed, and nothing here would gain by it", "");
        }
        let hint = "`arm = true` in portcullis.toml, see portcullis.toml(5)";
        finding(Grade::Warning, &format!("not armed: {}", reasons.join("; ")), hint)
    }

    /// Where the first IPv4 rule costs more than [`DEAR_US`]: measured on this host, or else estimated.
    fn price_of_a_first_rule(&self, host: &Snapshot) -> Option<String> {
        if let Some(us) = self.dearest_first_rule_us().filter(|us| *us > DEAR_US) {
            return Some(format!("the first IPv4 rule took {us} us when this host was armed"));
        }
        let routes = host.routes.iter().filter(|r| r.family == Family::V4).count();
        let us = u64::try_from(routes).unwrap_or(u64::MAX).saturating_mul(NS_EACH_ROUTE) / 1000;
        let cut = self.figures(EventKind::InForce, "cut_us").pop();
        let cut = cut.map_or_else(String::new, |us| format!("; the last cut took {us} us in all"));
        (us > DEAR_US)
            .then(|| format!("by {routes} IPv4 routes, the first IPv4 rule is estimated to take {us} us{cut}"))
    }

    /// The tables stay split until the network namespace ends, so only the dearest one was the first.
    fn dearest_first_rule_us(&self) -> Option<u64> {
        self.figures(EventKind::Armed, "first_rule_us").into_iter().max()
    }

    /// The figures of this name in the newest records of a kind, the newest last.
    fn figures(&self, kind: EventKind, name: &str) -> Vec<u64> {
        let query = AuditQuery {
            kind: Some(kind.word().to_owned()),
            limit: Some(FIGURES_MAX),
            ..AuditQuery::default()
        };
        match self.books.page(&query) {
            Ok(page) => {
                let figures = page.records.iter().map(|record| record["details"][name].as_u64());
                figures.flatten().collect()
            }
            Err(error) => {
                warn!(error = error.detail, "no figure could be read from the audit log");
                Vec::new()
            }
        }
    }
}

fn finding(grade: Grade, seen: &str, hint: &str) -> Finding {
    Finding {
        check: "armed".to_owned(),
        grade,
        seen: seen.to_owned(),
        hint: hint.to_owned(),
    }
}
