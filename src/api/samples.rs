//! One fixed value of every answer, for the tests of the server and of the command line.

use super::alert::{AlertOutcome, AlertView, AlertWait, HookView, WaitingAlerts};
use super::order::{OrderDraft, OrderView};
use super::*;

/// An id as the daemon gives them.
pub(crate) const ID: &str = "01936a5e-7c00-7000-8000-0123456789ab";

pub(crate) fn emergency() -> EmergencyView {
    EmergencyView {
        id: ID.to_owned(),
        policy: "isolate-host".to_owned(),
        state: EmergencyState::InForce,
        occasion: "security-incident".to_owned(),
        reason: "ransomware on the file server".to_owned(),
        authority: "INC-4711".to_owned(),
        declared_by: "alice (1000)".to_owned(),
        declared_at: "2026-11-24T03:00:00Z".to_owned(),
        affects: "own-hosts".to_owned(),
        notice: "This host is cut off; call 4711.".to_owned(),
        ends_at: "2026-11-24T05:00:00Z".to_owned(),
        remaining_ms: 7_199_500,
        confirm_within_ms: Some(120_000),
        methods: vec!["gate".to_owned(), "seal".to_owned()],
        links: vec!["eth0".to_owned(), "eth1".to_owned()],
        lifelines: vec!["console".to_owned()],
        plan_digest: "9f86d081884c7d659a2feaa0c55ad015".to_owned(),
        approved_by: Vec::new(),
        break_glass: false,
        held_by: Vec::new(),
        approval: None,
    }
}

pub(crate) fn proposed() -> EmergencyView {
    EmergencyView {
        state: EmergencyState::Proposed,
        ends_at: String::new(),
        remaining_ms: 7_200_000,
        confirm_within_ms: None,
        links: Vec::new(),
        approved_by: vec!["bob (1001)".to_owned()],
        break_glass: false,
        approval: Some(ApprovalView {
            needed: 2,
            expires_in_ms: 600_000,
        }),
        ..emergency()
    }
}

pub(crate) fn review() -> ReviewView {
    ReviewView {
        id: ID.to_owned(),
        policy: "isolate-host".to_owned(),
        occasion: "security-incident".to_owned(),
        reason: "ransomware on the file server".to_owned(),
        authority: "CISO on call, INC-4711".to_owned(),
        declared_by: "alice (1000)".to_owned(),
        opened_at: "2026-11-24T03:00:00Z".to_owned(),
    }
}

pub(crate) fn status() -> Status {
    Status {
        api_version: VERSION.to_owned(),
        state: HostState::InForce,
        emergencies: vec![emergency()],
        open_paths: Vec::new(),
        lifelines_lost: Vec::new(),
        armed: ArmingView::default(),
        attention: Vec::new(),
        reviews: Vec::new(),
        alerts: Vec::new(),
        audit: audit_head(),
        daemon_version: "0.1.0".to_owned(),
    }
}

pub(crate) fn degraded() -> Status {
    let holed = EmergencyView {
        state: EmergencyState::Degraded,
        confirm_within_ms: None,
        remaining_ms: 59_000,
        ..emergency()
    };
    Status {
        state: HostState::Degraded,
        emergencies: vec![holed],
        open_paths: vec!["filter ingress block 1 pref 65535 drop".to_owned()],
        lifelines_lost: vec!["console of 0190f3c2-7d5b-7c6e-8a51-0242ac120002".to_owned()],
        audit: AuditHead {
            healthy: false,
            fault: Some("no space left on device".to_owned()),
            ..audit_head()
        },
        ..status()
    }
}

pub(crate) fn clear() -> Status {
    Status {
        state: HostState::Clear,
        emergencies: Vec::new(),
        armed: ArmingView {
            wanted: true,
            links: vec!["eth0".to_owned(), "eth1".to_owned()],
        },
        ..status()
    }
}

pub(crate) fn policy_summary() -> PolicySummary {
    PolicySummary {
        name: "isolate-host".to_owned(),
        summary: "Cuts this host off, keeps the console".to_owned(),
        affects: "own-hosts".to_owned(),
        methods: vec!["gate".to_owned(), "seal".to_owned()],
        default_ms: 7_200_000,
        maximum_ms: 86_400_000,
        hook: Some(HookView {
            users: vec!["fail2ban".to_owned(), "prometheus".to_owned()],
            sources: 2,
            within_ms: 60_000,
            cool_down_ms: 900_000,
            authority: "incident response plan 4.2".to_owned(),
            occasion: "security-incident".to_owned(),
        }),
    }
}

pub(crate) fn policy() -> PolicyView {
    PolicyView {
        summary: policy_summary(),
        digest: "0123456789abcdef".to_owned(),
        source: "name = \"isolate-host\"\n".to_owned(),
    }
}

pub(crate) fn plan() -> PlanView {
    PlanView {
        digest: "9f86d081884c7d659a2feaa0c55ad015".to_owned(),
        policy: "isolate-host".to_owned(),
        affects: "own-hosts".to_owned(),
        duration_ms: 7_200_000,
        links: vec!["eth0".to_owned(), "eth1".to_owned()],
        steps: vec![
            StepView {
                phase: "lay".to_owned(),
                summary: "lifeline console in front of the block".to_owned(),
                changes: vec![
                    "tc qdisc add dev eth0 clsact".to_owned(),
                    "ip rule add pref 100 from all to 192.0.2.7 lookup main".to_owned(),
                ],
            },
            StepView {
                phase: "flip".to_owned(),
                summary: "cut".to_owned(),
                changes: vec!["ip rule add pref 200 prohibit".to_owned()],
            },
        ],
        coverage: vec![
            CoverageView {
                traffic: "forwarded IPv4".to_owned(),
                fate: "stopped".to_owned(),
                note: "by gate and seal".to_owned(),
            },
            CoverageView {
                traffic: "raw sockets that bypass queueing".to_owned(),
                fate: "passes".to_owned(),
                note: "PACKET_QDISC_BYPASS leaves before traffic control; it needs CAP_NET_RAW on this host".to_owned(),
            },
        ],
        lifelines: vec![LifelineView {
            name: "console".to_owned(),
            kept_by: vec!["rule 100 to 192.0.2.7".to_owned(), "filter 10 on eth0".to_owned()],
        }],
        not_recreatable: vec!["temporary address 2001:db8::1 on eth0".to_owned()],
        warnings: vec!["eth1 has no carrier".to_owned()],
        loses_session: true,
    }
}

pub(crate) fn receipt() -> ReceiptView {
    ReceiptView {
        emergency: ID.to_owned(),
        state: EmergencyState::Ended,
        cut_us: Some(412),
        baseline_digest: "aaaa".to_owned(),
        restored_digest: Some("aaaa".to_owned()),
        residues: Vec::new(),
        kept_foreign_changes: vec!["route 198.51.100.0/24 via 192.0.2.1".to_owned()],
        conflicts: Vec::new(),
        not_recreated: Vec::new(),
        to_come: Vec::new(),
    }
}

pub(crate) fn stuck_receipt() -> ReceiptView {
    ReceiptView {
        state: EmergencyState::Stuck,
        restored_digest: Some("bbbb".to_owned()),
        residues: vec!["route default via 192.0.2.1 dev eth0 is missing".to_owned()],
        ..receipt()
    }
}

pub(crate) fn audit_head() -> AuditHead {
    AuditHead {
        healthy: true,
        fault: None,
        sequence: 42,
        hash: "e3b0c44298fc1c14".to_owned(),
        root: "5df6e0e2761359d3".to_owned(),
        short: "5df6e0e27613".to_owned(),
        checkpoint: Some("portcullis-audit/0123\n41\nAAAA\n\n\u{2014} portcullis-audit/0123 BBBB\n".to_owned()),
    }
}

pub(crate) fn audit_page() -> AuditPage {
    AuditPage {
        records: vec![
            serde_json::json!({
                "actor": "daemon", "details": null, "emergency": null, "event": "daemon-started", "policy": null,
                "sequence": 41, "time": "2026-11-24T02:00:00.000Z",
            }),
            serde_json::json!({
                "actor": {"peer": {"uid": 1000, "user": "ada"}}, "details": {"reason": "ransomware"},
                "emergency": ID, "event": "declared", "policy": "isolate-host", "sequence": 42,
                "time": "2026-11-24T03:00:00.000Z",
            }),
        ],
        more: true,
    }
}

pub(crate) fn readiness() -> Readiness {
    Readiness {
        ready: false,
        policies: 3,
        unplanned: vec!["sever-uplink".to_owned()],
        findings: vec![
            Finding {
                check: "netlink".to_owned(),
                grade: Grade::Good,
                seen: "strict mode".to_owned(),
                hint: String::new(),
            },
            Finding {
                check: "act_gact".to_owned(),
                grade: Grade::Warning,
                seen: "not in this kernel".to_owned(),
                hint: "mirred stands in for it".to_owned(),
            },
            Finding {
                check: "audit log".to_owned(),
                grade: Grade::Failed,
                seen: "no space left on device".to_owned(),
                hint: "free space on /var".to_owned(),
            },
        ],
    }
}

pub(crate) fn offline(
    place: &super::offline::Place,
) -> Result<super::offline::OfflineRestore, super::offline::NotRestored> {
    use super::offline::{NotRestored, Obstacle, OfflineRestore, Way};
    let name = place
        .state
        .as_deref()
        .and_then(std::path::Path::to_str)
        .unwrap_or("journal");
    let way = match name {
        "in-use" => {
            return Err(NotRestored {
                kind: Obstacle::InUse,
                detail: "the state directory is in use by process 42 (portcullisd)".to_owned(),
                hint: "ask it: `portcullis revert --all`".to_owned(),
            });
        }
        "baseline" => Way::Baseline,
        "marks" => Way::Marks,
        "nothing" => Way::Nothing,
        _ => Way::Journal,
    };
    let receipts = match way {
        Way::Journal | Way::Baseline => vec![receipt()],
        Way::Marks | Way::Nothing => Vec::new(),
    };
    let left = match way {
        Way::Marks => vec!["no copy of the baseline is intact".to_owned()],
        Way::Journal | Way::Baseline | Way::Nothing => Vec::new(),
    };
    let warnings = match name {
        "read-only" => vec!["the journal could not be removed".to_owned()],
        _ => Vec::new(),
    };
    Ok(OfflineRestore {
        way,
        receipts,
        changed: vec!["+ rule ipv4 0 lookup local".to_owned()],
        left,
        journal_stays: !warnings.is_empty(),
        recorded: warnings.is_empty(),
        warnings,
    })
}

/// An order to end what stands under a policy.
pub(crate) fn order_draft() -> OrderDraft {
    OrderDraft {
        order: "{\"act\":{\"revert\":{\"policy\":\"isolate-host\"}}}\n".to_owned(),
        digest: "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce".to_owned(),
        valid_until: "2026-11-25T03:12:00Z".to_owned(),
    }
}

/// What came of it.
pub(crate) fn order() -> OrderView {
    OrderView {
        act: "revert".to_owned(),
        digest: order_draft().digest,
        person: "alice".to_owned(),
        key: "SHA256:uNiVztksCsDhcc0u9e8BrWEqz8RNPSuL/QvSS/NmYJE".to_owned(),
        emergency: None,
        receipts: vec![receipt()],
    }
}

/// An emergency that hooks hold, in a status with an alert under another policy.
pub(crate) fn held_by_hooks() -> Status {
    let held = EmergencyView {
        declared_by: "hooks: fail2ban (uid 120), prometheus (uid 115)".to_owned(),
        held_by: vec!["fail2ban (uid 120)".to_owned(), "prometheus (uid 115)".to_owned()],
        confirm_within_ms: None,
        ..emergency()
    };
    Status {
        emergencies: vec![held],
        alerts: vec![WaitingAlerts {
            policy: "sever-uplink".to_owned(),
            raised_by: vec!["suricata (uid 121)".to_owned()],
            more: Some(1),
            within_ms: 42_000,
        }],
        ..status()
    }
}

/// An alert that waits for another source.
pub(crate) fn waiting_alert() -> AlertView {
    AlertView {
        policy: "isolate-host".to_owned(),
        outcome: AlertOutcome::Waiting,
        waits: Some(AlertWait {
            sources: 1,
            within_ms: 60_000,
        }),
        emergency: None,
        receipt: None,
    }
}

/// One that holds an emergency.
pub(crate) fn holding_alert() -> AlertView {
    AlertView {
        outcome: AlertOutcome::Holding,
        waits: None,
        emergency: held_by_hooks().emergencies.pop(),
        ..waiting_alert()
    }
}

/// One that was the last.
pub(crate) fn ended_alert() -> AlertView {
    AlertView {
        outcome: AlertOutcome::Ended,
        waits: None,
        receipt: Some(receipt()),
        ..waiting_alert()
    }
}
