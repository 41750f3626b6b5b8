//! The report as one page that needs nothing else: no script, no picture or style from elsewhere. It reads on paper and
//! without colours.

use std::fmt::{self, Write};

use askama::Template;
use askama::filters::Escaper;

use super::around::Around;
use super::life::micros;
use super::picture::Timeline;
use super::prose::{self, counted, fate, offset, traffic, word};
use super::{List, Report};
use crate::model::duration::written_ms;
use crate::model::record::safe;

/// Drifts and lines of a list that are shown; JSON has all.
const SHOWN: usize = 20;
/// Records of the emergency that are listed with their hashes.
const RECORDS_SHOWN: usize = 100;

/// Text from anywhere in a page: neither markup, nor what turns or hides the text around it. `askama.toml` has every
/// template escaped by it.
#[derive(Clone, Copy, Debug)]
pub struct Escaped;

impl Escaper for Escaped {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        for c in safe(text).chars() {
            match c {
                '<' => dest.write_str("&lt;")?,
                '>' => dest.write_str("&gt;")?,
                '&' => dest.write_str("&amp;")?,
                '"' => dest.write_str("&quot;")?,
                '\'' => dest.write_str("&#39;")?,
                other => dest.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Writes it.
///
/// # Errors
/// Never in practice: writing to memory does not fail.
pub fn render(report: &Report) -> Result<String, askama::Error> {
    Page::of(report).render()
}

/// A name, its value, and whether that is a digest or an id.
struct Fact {
    name: &'static str,
    value: String,
    code: bool,
}

struct Group {
    name: &'static str,
    count: usize,
    lines: Vec<String>,
    more: usize,
}

struct Event {
    number: usize,
    records: String,
    time: String,
    offset: String,
    what: String,
    who: String,
}

struct Drifted {
    head: String,
    groups: Vec<Group>,
}

struct ProbeRow {
    what: String,
    expected: &'static str,
    cells: [&'static str; 3],
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    title: String,
    audience: &'static str,
    emergency: &'a str,
    summary: &'a [String],
    key: Vec<Fact>,
    stated: Vec<Fact>,
    notice: Vec<&'a str>,
    timeline: Timeline,
    events: Vec<Event>,
    around: Around,
    scope: Vec<Fact>,
    scope_lists: Vec<Group>,
    coverage: Vec<[String; 3]>,
    lifelines: &'a [String],
    drill: Option<DrillView>,
    drift: Vec<Drifted>,
    drift_more: u64,
    receipt: Option<ReceiptView>,
    plan: Vec<Fact>,
    proof: Vec<Fact>,
    not_proved: &'a [String],
    remarks: &'a [String],
    checkpoint: Option<Vec<&'a str>>,
    own: Vec<[String; 2]>,
    own_more: usize,
    inclusion: Vec<[String; 4]>,
}

struct DrillView {
    facts: Vec<Fact>,
    groups: Vec<Group>,
    lifelines: Vec<[String; 4]>,
    probes: Vec<ProbeRow>,
}

struct ReceiptView {
    sentence: String,
    facts: Vec<Fact>,
    groups: Vec<Group>,
}

fn facts<const N: usize>(all: [(&'static str, Option<String>, bool); N]) -> Vec<Fact> {
    let given = all
        .into_iter()
        .filter_map(|(name, value, code)| Some((name, value?, code)));
    given
        .filter(|(_, value, _)| !value.is_empty())
        .map(|(name, value, code)| Fact { name, value, code })
        .collect()
}

fn group(name: &'static str, list: &List) -> Option<Group> {
    (list.count > 0).then(|| Group {
        name,
        count: list.count,
        lines: list.lines.iter().take(SHOWN).cloned().collect(),
        more: list.lines.len().saturating_sub(SHOWN),
    })
}

fn joined(words: &[String]) -> Option<String> {
    Some(words.iter().map(|w| word(w)).collect::<Vec<_>>().join(", "))
}

impl<'a> Page<'a> {
    fn of(report: &'a Report) -> Self {
        let shown = report.drift.len().min(SHOWN);
        let shown_of_all = u64::try_from(shown).unwrap_or(u64::MAX);
        Self {
            title: prose::title(report),
            audience: prose::audience(report),
            emergency: &report.emergency,
            summary: &report.summary,
            key: key(report),
            stated: stated(report),
            notice: report
                .declaration
                .notice
                .as_deref()
                .unwrap_or_default()
                .lines()
                .collect(),
            timeline: Timeline::of(report),
            events: events(report),
            around: Around::of(report),
            scope: scope(report),
            scope_lists: [
                group("Links", &report.scope.links),
                group("Prefixes sent nowhere", &report.scope.null_prefixes),
            ]
            .into_iter()
            .flatten()
            .collect(),
            coverage: coverage(report),
            lifelines: &report.scope.lifelines,
            drill: report.drill.as_ref().map(drill),
            drift: report.drift.iter().take(shown).map(drifted).collect(),
            drift_more: report.drifts - shown_of_all,
            receipt: report.receipt.as_ref().map(receipt),
            plan: plan(report),
            proof: proof(report),
            not_proved: &report.proof.not_proved,
            remarks: &report.proof.remarks,
            checkpoint: report.proof.checkpoint.as_deref().map(|note| note.lines().collect()),
            own: own(report),
            own_more: report.proof.own.len().saturating_sub(RECORDS_SHOWN),
            inclusion: inclusion(report),
        }
    }
}

fn key(report: &Report) -> Vec<Fact> {
    let times = &report.times;
    let held = times.in_force.is_some().then(|| written_ms(times.held_ms));
    let kept = report.scope.lifelines.len();
    let back = report.receipt.as_ref().map(|receipt| match receipt.residues.count {
        0 => "yes, proved by the receipt".to_owned(),
        n => format!("NO: {} left", counted(n, "thing")),
    });
    facts([
        ("State", Some(prose::standing(report.standing).to_owned()), false),
        ("Connectivity cut for", held, false),
        ("Cut after the request", times.cut_us.map(micros), false),
        ("Lifelines kept open", Some(kept.to_string()), false),
        ("Everything back", back, false),
        (
            "Audit log",
            Some(prose::verdict_word(&report.proof.verdict.word).to_owned()),
            false,
        ),
    ])
}

fn stated(report: &Report) -> Vec<Fact> {
    let stated = &report.declaration;
    let mut all = facts([
        ("Authority", Some(stated.authority.clone()), false),
        ("Reason", Some(stated.reason.clone()), false),
        ("Occasion", Some(word(&stated.occasion)), false),
        ("Who is affected", Some(word(&stated.affects)), false),
        ("Declared by", stated.declared_by.as_ref().map(prose::who), false),
    ]);
    if stated.approved_by.is_empty() {
        let needed = match stated.approvals_needed {
            0 => "nobody: the policy demands no second person".to_owned(),
            _ => "nobody".to_owned(),
        };
        all.extend(facts([("Approved by", Some(needed), false)]));
    }
    for who in &stated.approved_by {
        all.extend(facts([("Approved by", Some(prose::who(who)), false)]));
    }
    all.extend(facts([
        ("Declared for", Some(written_ms(stated.duration_ms)), false),
        (
            "To be confirmed within",
            stated.confirm_within_ms.map(written_ms),
            false,
        ),
    ]));
    all
}

fn events(report: &Report) -> Vec<Event> {
    let event = |(place, moment): (usize, &super::Moment)| {
        let mut what = moment.what.clone();
        if moment.count > 1 {
            what += &format!(" ({} times)", moment.count);
        }
        if moment.late {
            what += " (recorded late, for want of room on the disk)";
        }
        Event {
            number: place + 1,
            records: if moment.count > 1 {
                format!("{} to {}", moment.sequence, moment.until)
            } else {
                moment.sequence.to_string()
            },
            time: moment.time.replace('T', " ").trim_end_matches('Z').to_owned(),
            offset: offset(moment.offset_ms),
            what,
            who: moment.who.name.clone(),
        }
    };
    report.timeline.iter().enumerate().map(event).collect()
}

fn scope(report: &Report) -> Vec<Fact> {
    let scope = &report.scope;
    let withdrawn = (scope.routes_withdrawn > 0).then(|| scope.routes_withdrawn.to_string());
    facts([
        ("Reach", scope.reach.as_deref().map(word), false),
        ("Methods", joined(&scope.methods), false),
        ("Address families", joined(&scope.families), false),
        ("Directions", joined(&scope.directions), false),
        ("Forwarding between", joined(&scope.zones), false),
        ("Routes withdrawn", withdrawn, false),
    ])
}

fn coverage(report: &Report) -> Vec<[String; 3]> {
    let rows = report.scope.coverage.iter();
    rows.map(|row| {
        [
            traffic(row.traffic).to_owned(),
            fate(row.fate).to_owned(),
            row.note.clone(),
        ]
    })
    .collect()
}

fn passed(yes: bool) -> &'static str {
    if yes { "→ passed" } else { "✕ did not" }
}

fn drill_facts(drill: &super::Drill) -> Vec<Fact> {
    let tally = &drill.tally;
    let of = |part: usize, whole: usize| Some(format!("{part} of {whole}"));
    let unproved = (tally.unproved > 0).then(|| tally.unproved.to_string());
    let verdict = if drill.held {
        "held: everything went as the plan says"
    } else {
        "DID NOT HOLD"
    };
    let copied = &drill.copied;
    let network = format!(
        "{} links, {} addresses, {} routes, {} rules",
        copied.links, copied.addresses, copied.routes, copied.rules
    );
    facts([
        ("Verdict", Some(verdict.to_owned()), false),
        ("Copied", Some(network), false),
        (
            "Stopped, of those that the plan forbids",
            of(tally.forbidden - tally.leaked, tally.forbidden),
            false,
        ),
        (
            "Passed, of those that the plan keeps",
            of(tally.kept_passed, tally.kept),
            false,
        ),
        (
            "Passed again afterwards",
            of(tally.forbidden_back + tally.kept_back, tally.forbidden + tally.kept),
            false,
        ),
        ("Did not pass before the cut either", unproved, false),
        ("The cut was tampered with", drill.sabotage.clone(), true),
        ("Tampering put right after", drill.put_right_ms.map(written_ms), false),
    ])
}

fn drill(drill: &super::Drill) -> DrillView {
    use crate::drill::report::Expectation;
    let lifelines = drill.lifelines.iter().map(|lifeline| {
        let sent = if lifeline.untested.is_empty() {
            lifeline.sent.to_string()
        } else {
            lifeline.untested.clone()
        };
        [
            lifeline.what.clone(),
            sent,
            lifeline.lost.to_string(),
            lifeline.paused.to_string(),
        ]
    });
    let probes = drill.probes.iter().map(|probe| ProbeRow {
        what: probe.what.clone(),
        expected: match probe.expected {
            Expectation::Stops => "stops",
            Expectation::Passes => "passes",
            Expectation::Open => "open",
        },
        cells: [passed(probe.before), passed(probe.during), passed(probe.after)],
    });
    DrillView {
        facts: drill_facts(drill),
        groups: [
            group("Failures", &drill.failures),
            group("Not probed", &drill.not_probed),
        ]
        .into_iter()
        .flatten()
        .collect(),
        lifelines: lifelines.collect(),
        probes: probes.collect(),
    }
}

fn drifted(drift: &super::Drift) -> Drifted {
    let fate = if drift.put_right {
        "put right at once"
    } else {
        "not put right at once"
    };
    let why = drift.why.as_deref().map_or_else(String::new, |why| format!(": {why}"));
    Drifted {
        head: format!("{} (record {}): {fate}{why}", drift.time, drift.sequence),
        groups: [
            group("What the cut lacked", &drift.lacked),
            group("Ways around it, left alone", &drift.bypasses),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

fn receipt(receipt: &super::Receipt) -> ReceiptView {
    ReceiptView {
        sentence: prose::back(receipt),
        facts: facts([
            ("Record", Some(format!("{}, {}", receipt.sequence, receipt.time)), false),
            ("State to be restored (SHA-256)", receipt.baseline.clone(), true),
            ("State read back (SHA-256)", receipt.restored.clone(), true),
        ]),
        groups: [
            group("Not put back", &receipt.residues),
            group("Changes of others, kept", &receipt.kept_foreign_changes),
            group("Conflicts with changes of others", &receipt.conflicts),
            group("Not recreatable, back by meaning", &receipt.not_recreated),
            group("May still appear", &receipt.to_come),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

fn plan(report: &Report) -> Vec<Fact> {
    let plan = &report.plan;
    facts([
        ("Policy", report.policy.clone(), false),
        ("Policy (SHA-256)", plan.policy_digest.clone(), true),
        ("Plan (SHA-256)", plan.plan_digest.clone(), true),
        ("Steps", plan.steps.map(|n| n.to_string()), false),
        (
            "Named beforehand as not recreatable",
            plan.not_recreatable.map(|n| n.to_string()),
            false,
        ),
    ])
}

fn proof(report: &Report) -> Vec<Fact> {
    let proof = &report.proof;
    let mut all = facts([
        ("Verdict", Some(proof.verdict.sentence.clone()), false),
        ("Records of the log", Some(proof.records.to_string()), false),
        ("Sealed up to record", Some(proof.proved.to_string()), false),
        (
            "Head",
            proof.head.map(|head| format!("{}:{}", head.sequence, head.hash)),
            true,
        ),
        ("Root", Some(format!("{}:{}", proof.records, proof.root)), true),
        ("The log", proof.origin.clone(), true),
    ]);
    for key in &proof.keys {
        all.extend(facts([("First key", Some(key.clone()), true)]));
    }
    all
}

fn own(report: &Report) -> Vec<[String; 2]> {
    let own = report.proof.own.iter().take(RECORDS_SHOWN);
    own.map(|head| [head.sequence.to_string(), head.hash.to_string()])
        .collect()
}

fn inclusion(report: &Report) -> Vec<[String; 4]> {
    let rows = report.proof.inclusion.iter().map(|proof| {
        let text = |member: &str| {
            let value = &proof[member];
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let path = proof["path"].as_array().map_or(0, Vec::len);
        [
            text("sequence"),
            text("leaf"),
            format!("{path} hashes"),
            format!("{}:{}", text("size"), text("root")),
        ]
    });
    rows.collect()
}
