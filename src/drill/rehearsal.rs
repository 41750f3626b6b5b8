//! The life of an emergency in the copy: declare, in force, tampered with, reverted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use super::DrillError;
use super::copy::Copy;
use super::far::{self, Side};
use super::report::{DriftResult, LifelineResult, ProbeResult, Report};
use super::scene::{self, Probe};
use super::through;
use super::watch::Watcher;
use crate::api::{DeclareRequest, EmergencyView, HostState, PlanRequest, PlanView, ReceiptView, RevertRequest, Status};
use crate::daemon::command::{Command, ControllerHandle, Peer, Preconditions, Reply};
use crate::daemon::controller::Arm;
use crate::daemon::policies::Policies;
use crate::daemon::service::{Post, Service};
use crate::kernel::netlink::Netlink;
use crate::kernel::{Kernel, Kinds};
use crate::model::change::{Change, LinkSetting};
use crate::model::cut::Cut;
use crate::model::object::{Filter, OUR_PROTOCOL};
use crate::model::plan::Plan;
use crate::model::policy::{Direction, Occasion, Policy};
use crate::model::snapshot::{Object, Snapshot};
use crate::planning;

/// How long a healed cut may take to be seen, far above what it takes, so that a loaded machine is no failure.
const HEAL_PATIENCE: Duration = Duration::from_secs(5);
/// A probe that was sent this long before a pause can still have been under way in it.
const IN_FLIGHT: Duration = Duration::from_millis(20);
/// Between two looks at the state.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A policy in the copy, with everybody in their places.
pub(super) struct Rehearsal<'a> {
    copy: &'a Copy,
    policy: String,
    occasion: String,
    handle: ControllerHandle,
    service: Service,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Rehearsal<'a> {
    /// Starts the daemon in the copy.
    pub(super) fn start(copy: &'a Copy, policies: Policies, state: &Path, arm: Arm) -> Result<Self, DrillError> {
        let first = policies.iter().next().map(|l| &l.policy);
        let policy = first.map(|p| p.name.to_string()).unwrap_or_default();
        let occasion = first.map(occasion).unwrap_or_default();
        let service = Service::start(state, policies, Post { arm, ..Post::alone() })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(DrillError::Thread)?;
        Ok(Self {
            copy,
            policy,
            occasion,
            handle: service.handle(),
            service,
            runtime,
        })
    }

    /// Runs the life of the emergency and says how it went.
    pub(super) fn run(self, plan: &Plan, begun: Instant) -> Result<Report, DrillError> {
        let sides = far::sides(self.copy, &plan.cut);
        let echoes = far::settle(self.copy, &sides, &plan.cut)?;
        let scene::Questions { probes, not_probed } = scene::questions(self.copy, &sides, &plan.cut, &plan.coverage);
        let mut flows = scene::establish(self.copy, &probes)?;
        let before = scene::ask_all(self.copy, &probes, &mut flows, scene::PATIENCE)?;
        flows.retain(|place, _| before[*place]);
        let watchers = self.watch(&probes, &before)?;
        let view = self.plan()?;
        let (emergency, laid) = timed(|| self.declare(&view))?;
        let during = scene::ask_all(self.copy, &probes, &mut flows, scene::PATIENCE)?;
        let drift = self.tamper(&plan.cut)?;
        let (receipt, cleared) = timed(|| self.revert(&emergency))?;
        let after = scene::ask_all(self.copy, &probes, &mut flows, scene::RESUMPTION)?;
        let pauses = if adds_qdiscs(&view) {
            vec![laid, cleared]
        } else {
            Vec::new()
        };
        let lifelines = tally(watchers, &pauses, &self.copy.state, &sides, &plan.cut)?;
        drop(echoes);
        self.service.stop();
        let results = probes
            .iter()
            .zip(before.iter().zip(during.iter().zip(&after)))
            .map(|(p, (b, (d, a)))| ProbeResult {
                what: p.what.clone(),
                expected: p.expected,
                before: *b,
                during: *d,
                after: *a,
            })
            .collect();
        let report = report(self.copy, view, results, lifelines, drift, receipt, begun);
        Ok(Report { not_probed, ..report })
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, DrillError> {
        let peer = Peer {
            uid: 0,
            gid: 0,
            ..Peer::own()
        };
        Ok(self.runtime.block_on(self.handle.ask(peer, command))?)
    }

    fn plan(&self) -> Result<PlanView, DrillError> {
        let request = PlanRequest {
            policy: self.policy.clone(),
            duration_ms: None,
            session: None,
        };
        self.ask(|reply| Command::Plan(request, reply))
    }

    fn declare(&self, plan: &PlanView) -> Result<EmergencyView, DrillError> {
        let request = DeclareRequest {
            policy: self.policy.clone(),
            occasion: Some(self.occasion.clone()),
            reason: "drill".to_owned(),
            authority: "whoever runs the drill, on a copy of their own host".to_owned(),
            duration_ms: None,
            confirm_within_ms: None,
            accept_risks: Default::default(),
            break_glass: false,
            session: None,
        };
        let pre = Preconditions {
            idempotency_key: None,
            plan_digest: Some(plan.digest.clone()),
        };
        self.ask(|reply| Command::Declare(request, pre, reply))
    }

    fn revert(&self, emergency: &EmergencyView) -> Result<ReceiptView, DrillError> {
        self.ask(|reply| Command::Revert(emergency.id.clone(), RevertRequest::default(), reply))
    }

    fn status(&self) -> Result<Status, DrillError> {
        self.ask(Command::Status)
    }

    fn watch(&self, probes: &[Probe], before: &[bool]) -> Result<Vec<Watcher>, DrillError> {
        let mut watched = BTreeSet::new();
        let alive = probes.iter().zip(before).filter(|(_, passed)| **passed).map(|(p, _)| p);
        alive
            .filter(|p| p.lifeline.is_some_and(|place| watched.insert((place, p.to.is_ipv4()))))
            .map(|p| Watcher::start(scene::space(self.copy, p.from), p))
            .collect()
    }

    /// Takes one object away from the cut, as another administrator might, and waits until it stands again.
    fn tamper(&self, cut: &Cut) -> Result<DriftResult, DrillError> {
        let mut kernel = Netlink::open()?;
        let held = kernel.snapshot(Kinds::ALL)?;
        let Some(change) = sabotage(&held, cut) else {
            return Ok(DriftResult {
                sabotage: "nothing to tamper with".to_owned(),
                put_right_ms: None,
            });
        };
        let sabotage = held.display_change(&change);
        let refused = kernel
            .apply(std::slice::from_ref(&change))?
            .into_iter()
            .find_map(Result::err);
        if let Some(error) = refused {
            return Err(DrillError::Refused(error));
        }
        let since = Instant::now();
        while since.elapsed() < HEAL_PATIENCE {
            let healed = objects(&kernel.snapshot(Kinds::ALL)?) == objects(&held);
            if healed && self.status()?.state == HostState::InForce {
                let put_right_ms = u64::try_from(since.elapsed().as_millis()).ok();
                return Ok(DriftResult { sabotage, put_right_ms });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(DriftResult {
            sabotage,
            put_right_ms: None,
        })
    }
}

/// An exercise, where the policy may be declared for one, else the first that it may be declared for: only a copy is cut.
fn occasion(policy: &Policy) -> String {
    let allowed = &policy.declared_for;
    let exercise = allowed.iter().find(|o| **o == Occasion::Exercise);
    let word = exercise
        .or_else(|| allowed.first())
        .and_then(|o| serde_json::to_value(o).ok());
    word.and_then(|w| w.as_str().map(str::to_owned)).unwrap_or_default()
}

/// All that is there. A rule that was put back may stand behind its equals, where it does the same.
fn objects(state: &Snapshot) -> Vec<String> {
    let mut all: Vec<String> = state.objects().map(|o| o.to_string()).collect();
    all.sort_unstable();
    all
}

/// One of our rules, else one of our drop filters, else a link of the cut set up again.
fn sabotage(held: &Snapshot, cut: &Cut) -> Option<Change> {
    let rule = held
        .rules
        .iter()
        .find(|r| r.protocol == OUR_PROTOCOL && !planning::is_armed_rule(r))
        .cloned()
        .map(Object::Rule);
    let filter = held.filters.iter().rfind(|f| is_ours(f)).cloned().map(Object::Filter);
    let link = held.links.iter().find(|l| !l.up && cut.links.contains_key(&l.index));
    let up = link.map(|l| Change::SetLink {
        index: l.index,
        name: l.name.clone(),
        setting: LinkSetting::Up,
    });
    rule.or(filter).map(Change::Delete).or(up)
}

fn is_ours(filter: &Filter) -> bool {
    matches!(filter.entries, crate::model::object::FilterEntries::U32(_))
}

/// From when to when something lasted.
type Span = (Instant, Instant);

fn timed<T>(work: impl FnOnce() -> Result<T, DrillError>) -> Result<(T, Span), DrillError> {
    let begun = Instant::now();
    let done = work()?;
    Ok((done, (begun, Instant::now())))
}

/// Whether the plan puts traffic control on links, and its end takes it off.
fn adds_qdiscs(plan: &PlanView) -> bool {
    let changes = plan.steps.iter().flat_map(|step| &step.changes);
    changes.into_iter().any(|change| change.starts_with("tc qdisc add"))
}

fn tally(
    watchers: Vec<Watcher>,
    pauses: &[Span],
    host: &Snapshot,
    sides: &BTreeMap<u32, Side>,
    cut: &Cut,
) -> Result<Vec<LifelineResult>, DrillError> {
    let mut results = Vec::new();
    let watched: BTreeSet<usize> = watchers.iter().filter_map(|w| w.lifeline).collect();
    let in_pause = |sent: &Instant| {
        pauses
            .iter()
            .any(|(from, to)| *sent + IN_FLIGHT >= *from && *sent <= *to)
    };
    for watcher in watchers {
        let (what, tally) = watcher.stop()?;
        let paused = tally.lost.iter().filter(|sent| in_pause(sent)).count();
        results.push(LifelineResult {
            what,
            sent: tally.sent,
            lost: count(tally.lost.len() - paused),
            paused: count(paused),
            untested: String::new(),
        });
    }
    for (place, lifeline) in cut.lifelines.iter().enumerate() {
        let mut reasons = match lifeline.direction {
            Direction::Forward => through::not_forwarded(host, sides, place),
            Direction::In | Direction::Out => Vec::new(),
        };
        if reasons.is_empty() && !watched.contains(&place) {
            reasons.push(why_untested(sides, place, lifeline.direction).to_owned());
        }
        results.extend(reasons.into_iter().map(|untested| LifelineResult {
            what: format!("lifeline `{}`", lifeline.name),
            sent: 0,
            lost: 0,
            paused: 0,
            untested,
        }));
    }
    Ok(results)
}

/// Why nothing could be asked of a lifeline.
fn why_untested(sides: &BTreeMap<u32, Side>, place: usize, direction: Direction) -> &'static str {
    let has_peer = sides.values().any(|s| s.peers.iter().any(|(p, _)| *p == place));
    let has_way = sides.values().any(|s| s.ways.iter().any(|w| w.lifeline == place));
    match direction {
        _ if !has_peer => "this host has no route to any of its peers",
        Direction::Forward if !has_way => "behind no other link of this host is anything that it reaches",
        Direction::In | Direction::Out | Direction::Forward => "no probe of it passed before the cut either",
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn report(
    copy: &Copy,
    plan: PlanView,
    probes: Vec<ProbeResult>,
    lifelines: Vec<LifelineResult>,
    drift: DriftResult,
    receipt: ReceiptView,
    begun: Instant,
) -> Report {
    let mut failures: Vec<String> = probes.iter().filter_map(ProbeResult::failure).collect();
    failures.extend(
        lifelines
            .iter()
            .filter(|l| l.lost > 0)
            .map(|l| format!("{}: {} of {} probes lost", l.what, l.lost, l.sent)),
    );
    if drift.put_right_ms.is_none() {
        failures.push(format!("drift was not put right: {}", drift.sabotage));
    }
    failures.extend(receipt.residues.iter().map(|r| format!("residue: {r}")));
    failures.extend(receipt.conflicts.iter().map(|c| format!("conflict: {c}")));
    if !probes.iter().any(|p| p.before) {
        failures.push("no probe passed before the cut: the drill proves nothing on this network".to_owned());
    }
    Report {
        api_version: crate::api::VERSION.to_owned(),
        held: failures.is_empty(),
        failures,
        copied: copy.copied.clone(),
        plan,
        cut_us: receipt.cut_us.unwrap_or_default(),
        lifelines,
        not_probed: Vec::new(),
        probes,
        drift,
        receipt,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_declared_for_what_its_policy_allows() {
        let source = include_str!("../../policies/isolate-host.toml");
        let of = |allowed: &str| {
            let line = source.lines().find(|l| l.starts_with("declared-for")).unwrap();
            let text = source.replace(line, &format!("declared-for = [{allowed}]"));
            occasion(&crate::model::policy_file::parse("x.toml", &text).unwrap())
        };
        assert_eq!(of("\"security-incident\""), "security-incident");
        assert_eq!(of("\"security-incident\", \"exercise\""), "exercise");
    }

    #[test]
    fn a_refusal_of_the_daemon_is_told_once() {
        let refused = crate::api::error::ApiError::new(crate::api::error::Code::Stuck, "why", "");
        let text = crate::api::error::chain(&DrillError::from(refused));
        assert_eq!(text.matches("why").count(), 1, "{text}");
    }
}
