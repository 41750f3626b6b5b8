//! From records to a [`Report`].

use serde_json::Value;

use super::drill::Drill;
use super::life::{self, Instant, THE_DAEMON, lines};
use super::mask::{Mask, PERSON};
use super::{
    Audience, Declaration, Drift, FORMAT, List, Moment, Plan, Proof, Receipt, Report, Scope, Span, Standing, Times,
    Verdict, Who, prose,
};
use crate::drill::report::Report as Rehearsed;
use crate::model::ledger;
use crate::model::names::EmergencyId;
use crate::model::record::{EventKind, Head, Record, rfc3339};

/// Before the names of the hooks that declared it.
const HOOKS: &str = "hooks: ";
/// Records of drift that are kept; somebody who changes a held cut in a loop makes any number of them.
const DRIFT_MAX: u64 = 1_000;

/// The records of one emergency, out of those of a log: its own, and what befell the daemon meanwhile.
#[derive(Debug)]
pub struct Selection {
    emergency: EmergencyId,
    records: Vec<Record>,
    own: Vec<Head>,
    drifts: u64,
    /// What befell the daemon since the last record of its own.
    pending: Vec<Record>,
}

impl Selection {
    /// None yet.
    #[must_use]
    pub fn of(emergency: EmergencyId) -> Self {
        Self {
            emergency,
            records: Vec::new(),
            own: Vec::new(),
            drifts: 0,
            pending: Vec::new(),
        }
    }

    /// Takes a record if it belongs here. They come in order.
    pub fn see(&mut self, record: &Record) {
        if record.emergency == Some(self.emergency) {
            self.own.push(record.head());
            self.drifts += u64::from(record.event == EventKind::Drift);
            self.records.append(&mut self.pending);
            if record.event != EventKind::Drift || self.drifts <= DRIFT_MAX {
                self.records.push(record.clone());
            }
            return;
        }
        let names_it = || lines(&record.details["emergencies"]).contains(&self.emergency.to_string());
        let befell = matches!(
            record.event,
            EventKind::DaemonStarted | EventKind::DaemonStopped | EventKind::StateDamaged | EventKind::AuditTorn
        );
        let belongs = befell || (record.event == EventKind::RestoredOffline && names_it());
        // A review may be closed long after the end.
        let mut life = self.records.iter().filter(|r| r.event != EventKind::ReviewClosed);
        let over = life.next_back().is_none_or(|last| {
            matches!(
                last.event,
                EventKind::Restored | EventKind::Rejected | EventKind::ProposalExpired
            )
        });
        if belongs && !over {
            self.pending.push(record.clone());
        }
    }

    /// The first and the last record of its own.
    #[must_use]
    pub fn ends(&self) -> Option<(u64, u64)> {
        Some((self.own.first()?.sequence, self.own.last()?.sequence))
    }
}

/// What is known of the log that the records are from.
#[derive(Debug)]
pub struct Evidence {
    /// What an examination found.
    pub examined: ledger::Report,
    /// Proofs of inclusion, as `audit prove` writes them.
    pub inclusion: Vec<Value>,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Nothing was selected.
    #[error("the log holds no record of the emergency {0}")]
    NoRecords(EmergencyId),
    /// The drill's results are not of this emergency.
    #[error("the drill is of the emergency {drill}, the report of {report}")]
    OtherDrill {
        /// That one.
        drill: String,
        /// This one.
        report: EmergencyId,
    },
}

impl Report {
    /// Makes it.
    ///
    /// # Errors
    /// If the records or the drill are not of one emergency.
    pub fn of(
        selection: &Selection,
        evidence: Evidence,
        host: Option<String>,
        drill: Option<&Rehearsed>,
        audience: Audience,
    ) -> Result<Self, ReportError> {
        let emergency = selection.emergency;
        if selection.own.is_empty() {
            return Err(ReportError::NoRecords(emergency));
        }
        if let Some(drill) = drill.filter(|drill| drill.receipt.emergency != emergency.to_string()) {
            let drill = drill.receipt.emergency.clone();
            return Err(ReportError::OtherDrill {
                drill,
                report: emergency,
            });
        }
        let records = match audience {
            Audience::Insiders => selection.records.clone(),
            Audience::Public => Mask::of(&selection.records).records(&selection.records),
        };
        let timeline = life::moments(&records);
        let spans = life::spans(&records, &timeline);
        let mut report = Self {
            format: FORMAT.to_owned(),
            audience,
            host,
            emergency: emergency.to_string(),
            policy: records.iter().find_map(|r| r.policy.as_ref().map(ToString::to_string)),
            standing: spans.last().map_or(Standing::Applying, |span| span.standing),
            summary: Vec::new(),
            declaration: declaration(&records),
            scope: scope(&records),
            plan: plan(&records),
            times: times(&records, &timeline, &spans),
            drift: records
                .iter()
                .filter(|r| r.event == EventKind::Drift)
                .map(drift)
                .collect(),
            drifts: selection.drifts,
            receipt: records.iter().rev().find_map(receipt),
            drill: drill.map(Drill::of),
            proof: proof(evidence, selection.own.clone()),
            timeline,
            spans,
        };
        if audience == Audience::Public {
            report.publish();
        }
        report.summary = prose::summary(&report);
        Ok(report)
    }

    /// Counts in place of lines, and people without what identifies them; the texts are masked already.
    fn publish(&mut self) {
        self.host = None;
        let scope = [&mut self.scope.links, &mut self.scope.null_prefixes];
        scope.into_iter().for_each(List::count_only);
        for drift in &mut self.drift {
            [&mut drift.lacked, &mut drift.bypasses]
                .into_iter()
                .for_each(List::count_only);
        }
        if let Some(receipt) = &mut self.receipt {
            receipt.lists_mut().into_iter().for_each(List::count_only);
        }
        let stated = &mut self.declaration;
        let people = stated.declared_by.iter_mut().chain(&mut stated.approved_by);
        for who in people.chain(self.timeline.iter_mut().map(|moment| &mut moment.who)) {
            who.uid = None;
            // Who is known by the declaration's words alone has no number.
            if who.name.starts_with(HOOKS) {
                who.name = HOOKS.trim_end_matches(": ").to_owned();
            } else if !who.name.starts_with(PERSON) && who.name != THE_DAEMON {
                who.name = "a person".to_owned();
            }
        }
        if let Some(drill) = &mut self.drill {
            drill.publish();
        }
        for proof in &mut self.proof.inclusion {
            if let Some(members) = proof.as_object_mut() {
                members.remove("record");
            }
        }
    }
}

impl List {
    pub(super) fn count_only(&mut self) {
        self.lines.clear();
    }
}

impl Receipt {
    fn lists_mut(&mut self) -> [&mut List; 5] {
        [
            &mut self.residues,
            &mut self.kept_foreign_changes,
            &mut self.conflicts,
            &mut self.not_recreated,
            &mut self.to_come,
        ]
    }
}

fn last_of(records: &[Record], event: EventKind) -> Option<&Record> {
    records.iter().rev().find(|record| record.event == event)
}

fn text(details: &Value, member: &str) -> Option<String> {
    details[member].as_str().map(str::to_owned)
}

/// The record of the declaration; of a proposal that never became one, the proposal's.
fn stated(records: &[Record]) -> Option<&Record> {
    last_of(records, EventKind::Declared).or_else(|| last_of(records, EventKind::Proposed))
}

fn declaration(records: &[Record]) -> Declaration {
    let Some(record) = stated(records) else {
        return Declaration::default();
    };
    let details = &record.details;
    let proposed = last_of(records, EventKind::Proposed);
    let approvals = || records.iter().filter(|r| r.event == EventKind::Approved);
    // The declaration that was approved is recorded as an act of the last one who approved.
    let named = || text(details, "declared_by").map(|name| Who::named(&name));
    let raised_by = lines(&details["raised_by"]);
    let hooks = (!raised_by.is_empty()).then(|| Who::named(&format!("{HOOKS}{}", raised_by.join(", "))));
    let declarer = proposed.map(|r| Who::of(&r.actor)).or(hooks);
    let given: Vec<Who> = approvals().map(|r| Who::of(&r.actor)).collect();
    let approved_by = if given.is_empty() {
        lines(&details["approved_by"])
            .iter()
            .map(|name| Who::named(name))
            .collect()
    } else {
        given
    };
    Declaration {
        authority: text(details, "authority").unwrap_or_default(),
        reason: text(details, "reason").unwrap_or_default(),
        occasion: text(details, "occasion").unwrap_or_default(),
        affects: text(details, "affects").unwrap_or_default(),
        notice: text(details, "notice"),
        declared_by: declarer.or_else(named).or_else(|| Some(Who::of(&record.actor))),
        approved_by,
        approvals_needed: proposed
            .and_then(|r| r.details["approvals_needed"].as_u64())
            .unwrap_or(0),
        duration_ms: details["duration_ms"].as_u64().unwrap_or(0),
        confirm_within_ms: details["confirm_within_ms"].as_u64(),
    }
}

fn scope(records: &[Record]) -> Scope {
    let Some(record) = last_of(records, EventKind::Declared) else {
        return Scope::default();
    };
    let details = &record.details;
    let list = |member: &str| lines(&details[member]);
    Scope {
        methods: list("methods"),
        reach: text(details, "reach"),
        families: list("families"),
        directions: list("directions"),
        links: List::of(list("links")),
        zones: list("zones"),
        routes_withdrawn: details["routes_withdrawn"].as_u64().unwrap_or(0),
        null_prefixes: List::of(list("null_prefixes")),
        lifelines: list("lifelines"),
        coverage: serde_json::from_value(details["coverage"].clone()).unwrap_or_default(),
    }
}

fn plan(records: &[Record]) -> Plan {
    let Some(record) = stated(records) else {
        return Plan::default();
    };
    let details = &record.details;
    Plan {
        policy_digest: text(details, "policy_digest"),
        plan_digest: text(details, "plan"),
        steps: details["steps"].as_u64(),
        not_recreatable: details["not_recreatable"].as_u64(),
    }
}

fn times(records: &[Record], timeline: &[Moment], spans: &[Span]) -> Times {
    let time_of = |event: EventKind| {
        let found = records.iter().find(|record| record.event == event);
        found.map(|record| Instant::of(record).time)
    };
    let begins = |wanted: Standing| spans.iter().rev().find(|span| span.standing == wanted);
    let at = |offset: u64| timeline.iter().find(|m| m.offset_ms == offset).map(|m| m.time.clone());
    let end = timeline.last().map_or(0, |last| last.offset_ms);
    let length = |span: &Span| span.to_ms.unwrap_or(end).saturating_sub(span.from_ms);
    let total = |is: fn(Standing) -> bool| spans.iter().filter(|s| is(s.standing)).map(length).sum();
    let extensions = records.iter().filter(|r| r.event == EventKind::Extended);
    let extended_ms = extensions.filter_map(|r| r.details["by_ms"].as_u64()).sum();
    let declared = records.iter().find(|r| r.event == EventKind::Declared);
    let lasts = declared.and_then(|r| r.details["duration_ms"].as_u64());
    let lasts = lasts.map(|ms| ms.saturating_add(extended_ms));
    let deadline = declared.zip(lasts).and_then(|(declared, lasts)| {
        let wall_ms = Instant::of(declared).wall_ms.checked_add(i64::try_from(lasts).ok()?)?;
        rfc3339(wall_ms).ok()
    });
    let begun = declared.and_then(|d| timeline.iter().find(|m| m.sequence == d.sequence));
    let restoring = begins(Standing::Restoring);
    Times {
        declared: time_of(EventKind::Proposed).or_else(|| time_of(EventKind::Declared)),
        in_force: time_of(EventKind::InForce),
        end_begun: restoring.and_then(|span| at(span.from_ms)),
        ended: begins(Standing::Ended).and_then(|span| at(span.from_ms)),
        deadline,
        deadline_ms: begun
            .zip(lasts)
            .map(|(begun, lasts)| begun.offset_ms.saturating_add(lasts)),
        extended_ms,
        cut_us: records.iter().find_map(|r| r.details["cut_us"].as_u64()),
        held_ms: total(Standing::is_held),
        degraded_ms: total(|standing| standing == Standing::Degraded),
        restore_ms: restoring.map(length),
    }
}

fn drift(record: &Record) -> Drift {
    let details = &record.details;
    Drift {
        sequence: record.sequence,
        time: Instant::of(record).time,
        lacked: List::of(lines(&details["lacked"])),
        bypasses: List::of(lines(&details["bypasses"])),
        put_right: details["put_right"] == true,
        why: text(details, "why"),
    }
}

fn receipt(record: &Record) -> Option<Receipt> {
    if !matches!(record.event, EventKind::Restored | EventKind::Residue) {
        return None;
    }
    let details = &record.details;
    let list = |member: &str| List::of(lines(&details[member]));
    Some(Receipt {
        sequence: record.sequence,
        time: Instant::of(record).time,
        baseline: text(details, "baseline").filter(|digest| !digest.is_empty()),
        restored: text(details, "restored"),
        residues: list("residues"),
        kept_foreign_changes: list("kept_foreign_changes"),
        conflicts: list("conflicts"),
        not_recreated: list("not_recreated"),
        to_come: list("to_come"),
    })
}

fn proof(evidence: Evidence, own: Vec<Head>) -> Proof {
    let examined = evidence.examined;
    let root = examined.tree.root();
    Proof {
        verdict: Verdict {
            word: examined.verdict.word().to_owned(),
            sentence: prose::verdict(&examined),
            damaged: examined.verdict.is_damage(),
        },
        records: examined.tree.size(),
        proved: examined.proved,
        head: examined.head,
        root: root.to_string(),
        short: root.short(),
        origin: examined.origin,
        not_proved: examined.windows.iter().map(ToString::to_string).collect(),
        keys: examined.chains.iter().map(|chain| chain.first.to_string()).collect(),
        remarks: examined.remarks.iter().map(ToString::to_string).collect(),
        checkpoint: examined.last_seal.map(|seal| seal.note),
        own,
        inclusion: evidence.inclusion,
    }
}
