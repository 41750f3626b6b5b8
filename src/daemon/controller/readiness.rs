//! `doctor`: could this host cut and restore now?

use std::collections::{BTreeMap, BTreeSet};

use super::Controller;
use super::drawing::{Draw, Draws, Purpose};
use crate::api::error::{ApiError, chain};
use crate::api::{Finding, Grade, Readiness};
use crate::daemon::command::Reply;
use crate::daemon::policies::Loaded;
use crate::model::object::Route;
use crate::model::record::Actor;
use crate::model::snapshot::Snapshot;

/// Routing daemons and clients that put withdrawn routes back (`/etc/iproute2/rt_protos`): number, name, when.
const PUT_BACK: &[(u8, &str, &str)] = &[
    (11, "zebra", "at once"),
    (12, "bird", "at its next kernel scan"),
    (16, "dhcp", "when the lease is renewed"),
    (9, "ra", "with the next router advertisement"),
];

/// CAP_NET_ADMIN in the bit masks of `/proc/PID/status` (capabilities(7)).
const CAP_NET_ADMIN: u32 = 12;

impl Controller {
    /// `GET /v1/readiness`.
    pub(super) fn ask_for_readiness(&mut self, asker: Actor, reply: Reply<Readiness>) {
        let policies: Vec<Loaded> = self.policies.iter().cloned().collect();
        let names: Vec<String> = policies.iter().map(|l| l.policy.name.to_string()).collect();
        self.draw(Purpose::Show, policies, move |controller, draws| {
            let readiness = controller.readiness(&names, &draws);
            controller.hand_over(&asker, reply, Ok(readiness));
        });
    }

    fn readiness(&mut self, policies: &[String], draws: &Draws) -> Readiness {
        let mut findings = vec![
            capability(),
            self.log_finding(),
            self.reserve_finding(),
            self.state_finding(),
            self.hooks_finding(),
        ];
        match self.look() {
            Ok(host) => {
                let moving = if host.moving { ", which kept changing" } else { "" };
                findings.push(good(
                    "kernel",
                    format!("{} links, {} routes read{moving}", host.links.len(), host.routes.len()),
                ));
                findings.extend(self.left_finding(&host));
                findings.extend(who_puts_back(&host));
                findings.push(self.arming_finding(&host));
                findings.extend(policy_findings(policies, draws));
            }
            Err(error) => findings.push(failed(
                "kernel",
                chain(&error),
                "rtnetlink must answer in this namespace",
            )),
        }
        Readiness {
            ready: findings.iter().all(|f| f.grade != Grade::Failed),
            policies: policies.len(),
            unplanned: unplanned(policies, draws),
            findings,
        }
    }

    fn log_finding(&self) -> Finding {
        let head = self.books.head();
        match head.fault {
            None => good("audit log", format!("intact up to record {}", head.sequence)),
            Some(fault) => failed(
                "audit log",
                fault,
                "no cut begins without it; `portcullis audit verify` says where",
            ),
        }
    }

    fn reserve_finding(&self) -> Finding {
        let check = "disk reserve";
        match (self.books.has_reserve(), self.books.waiting()) {
            (_, waiting @ 1..) => failed(
                check,
                format!("{waiting} records wait for room on the disk"),
                "free the disk of the state directory",
            ),
            (true, 0) => good(check, "the end of a cut can be recorded on a full disk".to_owned()),
            (false, 0) => Finding {
                check: check.to_owned(),
                grade: Grade::Warning,
                seen: "given up, or never made: on a full disk the end of a cut would be recorded late".to_owned(),
                hint: "free the disk of the state directory; the daemon makes it again".to_owned(),
            },
        }
    }

    /// Nothing where nothing of ours stands without an emergency.
    fn left_finding(&self, host: &Snapshot) -> Option<Finding> {
        let left = self.emergencies.is_empty().then(|| self.strayed(host))?;
        (!left.is_empty()).then(|| {
            failed(
                "left over",
                left.join("; "),
                "the daemon removes it by itself; if it stays, see its log, and who else makes it",
            )
        })
    }

    fn state_finding(&self) -> Finding {
        let attention = self.attention();
        match self
            .emergencies
            .iter()
            .find(|e| e.state == crate::model::emergency::State::Stuck)
        {
            None if !attention.is_empty() => failed(
                "last restore",
                attention.join("; "),
                "put back what is missing by hand (baseline.json.kept has it), then remove the file; no new emergency begins before",
            ),
            None => good("last restore", "left nothing behind".to_owned()),
            Some(stuck) => failed(
                "last restore",
                format!("emergency {} left residue", stuck.id),
                "`portcullis revert` tries again; no new emergency begins before",
            ),
        }
    }
}

/// The policies that could not be declared on this host as it is.
fn unplanned(policies: &[String], draws: &Draws) -> Vec<String> {
    let all = policies.iter().zip(draws);
    all.filter(|(_, draw)| draw.is_err())
        .map(|(name, _)| name.clone())
        .collect()
}

/// Each policy was planned against the host as it is.
fn policy_findings(policies: &[String], draws: &Draws) -> Vec<Finding> {
    if policies.is_empty() {
        return vec![failed(
            "policies",
            "none is loaded".to_owned(),
            "put one into the policy directory",
        )];
    }
    policies
        .iter()
        .zip(draws)
        .map(|(name, draw)| policy_finding(name, draw))
        .collect()
}

fn policy_finding(name: &str, draw: &Result<Draw, ApiError>) -> Finding {
    let check = format!("policy {name}");
    match draw {
        Ok(draw) if draw.plan.warnings.is_empty() => good(&check, "a plan can be made".to_owned()),
        Ok(draw) => Finding {
            check,
            grade: Grade::Warning,
            seen: draw.plan.warnings.join("; "),
            hint: format!("`portcullis plan {name}` shows the whole"),
        },
        Err(error) => Finding {
            check,
            grade: Grade::Warning,
            seen: error.detail.clone(),
            hint: error.hint.clone(),
        },
    }
}

pub(super) fn good(check: &str, seen: String) -> Finding {
    Finding {
        check: check.to_owned(),
        grade: Grade::Good,
        seen,
        hint: String::new(),
    }
}

pub(super) fn warning(check: &str, seen: String, hint: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        grade: Grade::Warning,
        seen,
        hint: hint.to_owned(),
    }
}

fn failed(check: &str, seen: String, hint: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        grade: Grade::Failed,
        seen,
        hint: hint.to_owned(),
    }
}

fn capability() -> Finding {
    let effective = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix("CapEff:").map(str::trim).map(str::to_owned))?;
        u64::from_str_radix(&line, 16).ok()
    });
    match effective {
        Some(set) if set & (1 << CAP_NET_ADMIN) != 0 => good("capability", "CAP_NET_ADMIN is effective".to_owned()),
        Some(_) => failed(
            "capability",
            "CAP_NET_ADMIN is missing".to_owned(),
            "start the daemon by its unit or as root",
        ),
        None => failed(
            "capability",
            "/proc/self/status cannot be read".to_owned(),
            "mount /proc",
        ),
    }
}

/// Who would fight a withdrawal of routes on this host.
fn who_puts_back(host: &Snapshot) -> Vec<Finding> {
    let mut by_protocol: BTreeMap<u8, BTreeSet<u32>> = BTreeMap::new();
    for route in host.routes.iter().filter(|r| r.table != Route::TABLE_LOCAL) {
        by_protocol.entry(route.protocol).or_default().extend(route.links());
    }
    PUT_BACK
        .iter()
        .filter_map(|(number, name, when)| by_protocol.get(number).map(|links| (name, when, links)))
        .map(|(name, when, links)| {
            let links: Vec<String> = links
                .iter()
                .filter_map(|i| host.link(*i))
                .map(|l| l.name.to_string())
                .collect();
            Finding {
                check: format!("routes of {name}"),
                grade: Grade::Warning,
                seen: format!(
                    "{name} owns routes over {} and puts a withdrawn one back {when}",
                    links.join(", ")
                ),
                hint: "prefer `gate` and `seal` to `routes` there".to_owned(),
            }
        })
        .collect()
}
