//! Carries out what the adversary chose, and notes what follows from it for the emergencies that are known.

use serde_json::Value;

use super::adversary::{self, ADDED, Change as Theirs, Event, Foreign};
use super::decisions;
use super::life::{Known, Life};
use super::world::{self, INSIDE, Kind, TOTAL_MS, UPLINK};
use crate::api::error::{ApiError, Code};
use crate::api::{DeclareRequest, RevertRequest};
use crate::daemon::clock::Clock as _;
use crate::daemon::command::{Command, Preconditions};
use crate::daemon::controller::Controller;
use crate::daemon::controller::tests::{ask, request};
use crate::daemon::policies::Policies;
use crate::kernel::sim::ModelKernel;
use crate::model::change::{Change, LinkSetting, Outcome};
use crate::model::effect;
use crate::model::fixture::{address, direct, link, set, via};
use crate::model::object::{Family, OUR_PROTOCOL, Route, Rule, RuleAction};
use crate::model::record::EventKind;
use crate::model::snapshot::{Object, Snapshot};
use crate::planning::without_ours;

type Each<'a> = &'a mut dyn FnMut(&mut Life) -> Result<(), String>;

/// Has one event happen. `each` is asked after every turn of a process.
pub(super) fn happen(life: &mut Life, event: &Event, each: Each<'_>) -> Result<(), String> {
    life.tell(format!("{event:?}"));
    life.just_compared = false;
    match event {
        Event::Pass(ms) => life.pass(*ms, &mut *each)?,
        Event::Declare {
            kind,
            duration_ms,
            confirm_within_ms,
            break_glass,
        } => {
            let request = DeclareRequest {
                duration_ms: *duration_ms,
                confirm_within_ms: *confirm_within_ms,
                break_glass: *break_glass,
                ..request(&kind.policy())
            };
            declare(life, *kind, request);
        }
        Event::Approve => decisions::approve(life),
        Event::Reject => decisions::reject(life),
        Event::CloseReview => decisions::close_review(life),
        Event::Confirm => confirm(life),
        Event::Extend(by_ms) => extend(life, *by_ms),
        Event::Revert => revert(life),
        Event::Look => {
            let kind = *life.random.pick(&life.kinds);
            let one = world::policies(&[kind]);
            life.run(|controller| look(controller, one));
        }
        Event::Kill => life.kill(),
        Event::KillAt(calls) => life.fate.kill_at(*calls),
        Event::Stop => life.stop(),
        Event::Start => life.start(adversary::BEGINNER),
        Event::GuardianDies => life.has_guardian = false,
        Event::CutPower { off_ms, up_ms } => life.cut_power(*off_ms, *up_ms),
        Event::SetWall(wall_ms) => {
            let back_ms = u64::try_from(life.clocks.now().wall_ms - *wall_ms).unwrap_or(0);
            life.set_back_ms += back_ms;
            life.believe(back_ms);
            life.clocks.set_wall(*wall_ms);
            life.wall_was_set = true;
            let boot = life.clocks.boots();
            let earlier = life.known.values_mut().filter(|k| k.boot < boot);
            earlier.for_each(|known| known.may_end = true);
        }
        Event::Suspend(ms) => life.suspend(*ms),
        Event::DiskFails { at, errno, stays } => life.fate.fail_disk_at(*at, *errno, *stays),
        Event::DiskHeals => life.fate.heal_disk(),
        Event::Refuse { change, errno } => life.fate.refuse_at(*change, *errno),
        Event::EndSocket { change, rest } => life.fate.end_socket_at(*change, *rest),
        Event::Unreadable { read, times } => life.fate.unreadable_at(*read, *times),
        Event::Foreign(foreign) => interfere(life, foreign),
    }
    each(life)
}

/// Whether it could cut is asked for one kind: a plan for each of the policies would take longer than all else.
fn look(controller: &mut Controller, one: Policies) -> bool {
    let all = std::mem::take(&mut controller.policies);
    // A guardian has none.
    if all.iter().next().is_some() {
        controller.policies = one;
    }
    let answers = (ask(controller, Command::Status), ask(controller, Command::Readiness));
    controller.policies = all;
    answers.0.is_ok() && answers.1.is_ok()
}

fn declare(life: &mut Life, kind: Kind, request: DeclareRequest) {
    let answer = life
        .keeping(kind.has_lifeline)
        .run(|c| ask(c, |reply| Command::Declare(request, Preconditions::default(), reply)));
    decisions::note_declaration(life, answer.as_ref());
    note_answer(life, answer.map(|a| a.map(|view| view.policy)));
}

/// Asks for what cannot be, which is recorded and changes nothing.
pub(super) fn ask_in_vain(life: &mut Life) {
    let answer = life.run(|c| {
        ask(c, |reply| {
            Command::Revert("nobody's".to_owned(), RevertRequest::default(), reply)
        })
    });
    note_answer(life, answer.map(|a| a.map(|receipt| receipt.residues)));
}

pub(super) fn note_answer<T: std::fmt::Debug>(life: &mut Life, answer: Option<Result<T, ApiError>>) {
    match answer {
        None => life.tell("  no answer"),
        Some(Ok(done)) => life.tell(format!("  {done:?}")),
        Some(Err(error)) => life.tell(format!("  refused: {:?}: {}", error.code, error.detail)),
    }
}

/// The emergency that an operator means: any that is not over.
fn any(life: &mut Life) -> Option<String> {
    let ids: Vec<String> = life.emergencies().iter().map(|e| e.id.to_string()).collect();
    (!ids.is_empty()).then(|| life.random.pick(&ids).clone())
}

fn confirm(life: &mut Life) {
    let Some(id) = any(life) else { return };
    let waits = life
        .emergencies()
        .iter()
        .any(|e| e.id.to_string() == id && e.confirm_by.is_some());
    let answer = life.run(|c| ask(c, |reply| Command::Confirm(id.clone(), reply)));
    if waits {
        decisions::note(life, EventKind::Confirmed, &id, answer.as_ref());
    }
    let done = answer.as_ref().map(Result::is_ok);
    // It may have come as far as the journal.
    let is_in_doubt = matches!(&answer, Some(Err(error)) if error.code == Code::NoJournal);
    let known = life.known.get_mut(&id).expect("what is held is known");
    if done != Some(false) || is_in_doubt {
        known.confirm_until_ms = None;
    }
    if done == Some(true) {
        known.confirm_from_ms = None;
    }
    note_answer(life, answer.map(|a| a.map(|view| view.state)));
}

fn extend(life: &mut Life, by_ms: u64) {
    let Some(id) = any(life) else { return };
    let pre = Preconditions::default();
    let answer = life.run(|c| ask(c, |reply| Command::Extend(id.clone(), by_ms, pre, reply)));
    decisions::note(life, EventKind::Extended, &id, answer.as_ref());
    let known = life.known.get_mut(&id).expect("what is held is known");
    match &answer {
        Some(Ok(_)) => {
            known.earliest_ms += by_ms;
            known.latest_ms += by_ms;
        }
        // It may have come as far as the journal.
        None => known.latest_ms += by_ms,
        Some(Err(error)) if error.code == Code::NoJournal => known.latest_ms += by_ms,
        Some(Err(_)) => {}
    }
    note_answer(life, answer.map(|a| a.map(|view| view.remaining_ms)));
}

fn revert(life: &mut Life) {
    let Some(id) = any(life) else { return };
    life.known.get_mut(&id).expect("what is held is known").may_end = true;
    let answer = life.run(|c| ask(c, |reply| Command::Revert(id.clone(), RevertRequest::default(), reply)));
    decisions::note(life, EventKind::RevertRequested, &id, answer.as_ref());
    note_answer(
        life,
        answer.map(|a| a.map(|receipt| (receipt.residues, receipt.conflicts))),
    );
}

/// Takes note of every emergency that a process holds: what one that died had written down, too.
pub(super) fn learn(life: &mut Life) {
    let Some(controller) = life.controller() else { return };
    let (now, now_ms) = (controller.now(), life.true_ms());
    let mut new = Vec::new();
    for emergency in controller
        .emergencies
        .iter()
        .filter(|e| !life.known.contains_key(&e.id.to_string()))
    {
        let at = |end: &crate::model::emergency::Deadline| now_ms + end.remaining_ms(&now);
        let confirm = emergency.confirm_by.as_ref().map(at);
        let deadline = at(&emergency.deadline);
        let kind = Kind::named(emergency.policy.as_ref());
        let known = Known {
            kind,
            earliest_ms: deadline,
            latest_ms: deadline,
            confirm_from_ms: confirm,
            confirm_until_ms: confirm,
            // Of a journal that a failing disk may lose again the caller was told that nothing is cut.
            may_end: life.fate.is_disk_failing(),
            boot: life.boot_of(emergency),
            is_over: false,
        };
        new.push((emergency.id.to_string(), known));
        assert!(emergency.deadline.after_ms <= TOTAL_MS);
    }
    life.known.extend(new);
}

/// Somebody else changes the network. What has an effect has it on a host without cuts, too.
fn interfere(life: &mut Life, foreign: &Foreign) {
    if matches!(foreign.what, Theirs::DeleteLink(_)) {
        // A cut whose links are not all there is not held on others.
        life.known.values_mut().for_each(|known| known.may_end = true);
    }
    if life.is_half_done() {
        // A known limit: what others undo of a restore that a killed process had half done is done again, and what they
        // add to what it had half cut goes with the rest.
        life.is_stale = true;
    }
    for change in changes(&life.kernel, foreign.what) {
        let answers = life.kernel.act(std::slice::from_ref(&change));
        life.tell(format!("  {change}: {:?}", answers[0]));
        if answers[0] == Ok(Outcome::Applied) && !is_ours(&change) {
            let there = effect::apply(&mut life.shadow, &change);
            life.tell(format!("  without us: {there:?}"));
            effect::settle(&mut life.shadow);
        }
    }
    if foreign.is_seen {
        life.turn(true);
    }
}

fn is_ours(change: &Change) -> bool {
    match change {
        Change::Delete(Object::Filter(_) | Object::Qdisc(_)) => true,
        Change::Delete(Object::Link(link)) => link.kind.as_deref() == Some("ifb") && link.index != ADDED,
        Change::Delete(Object::Rule(rule)) => rule.protocol == OUR_PROTOCOL,
        Change::Delete(Object::Route(route)) => route.protocol == OUR_PROTOCOL,
        Change::Add(_) | Change::Delete(_) | Change::SetLink { .. } | Change::SetSysctl(_) => false,
    }
}

/// Everything of ours that stands.
fn ours(state: &Snapshot) -> Vec<Object> {
    let without = without_ours(state, &[]);
    let keep: std::collections::BTreeSet<String> = without.objects().map(|o| format!("{o:?}")).collect();
    let of_kinds = |o: &Object| !matches!(o, Object::Link(l) if l.kind.as_deref() != Some("ifb"));
    let all = state.objects().filter(of_kinds);
    all.filter(|o| !keep.contains(&format!("{o:?}"))).collect()
}

fn changes(kernel: &ModelKernel, what: Theirs) -> Vec<Change> {
    let add = |object| vec![Change::Add(object)];
    match what {
        Theirs::AddRoute(n) if n < 3 => add(Object::Route(direct(&format!("10.77.{n}.0/24"), INSIDE))),
        Theirs::AddRoute(n) => add(Object::Route(direct(&format!("fd77:{n}::/48"), INSIDE))),
        Theirs::RemoveRoute => vec![Change::Delete(Object::Route(via("10.20.0.0/16", "10.0.0.1", UPLINK)))],
        Theirs::PutDefaultBack => add(Object::Route(via("0.0.0.0/0", "10.0.0.1", UPLINK))),
        Theirs::AddAddress(link) => add(Object::Address(address(link, &format!("10.{}.0.99/24", 88 + link)))),
        // On a link that is down nobody would see what goes with its last address: it is gone already.
        Theirs::RemoveAddress(_) if !kernel.look(|s| s.link(INSIDE).is_some_and(|l| l.up)) => Vec::new(),
        Theirs::RemoveAddress(n) => {
            let net = if n == 0 { "10.1.0.1/24" } else { "fd01::1/64" };
            vec![Change::Delete(Object::Address(address(INSIDE, net)))]
        }
        Theirs::AddRule(n) => {
            let family = if n < 2 { Family::V4 } else { Family::V6 };
            let rule = Rule {
                protocol: 4,
                ..Rule::ours(
                    family,
                    31_000 + u32::try_from(n).unwrap(),
                    RuleAction::Lookup(Route::TABLE_MAIN),
                )
            };
            add(Object::Rule(rule))
        }
        Theirs::PutLocalBack => Family::BOTH.map(|f| Change::Add(Object::Rule(Rule::local(f)))).into(),
        Theirs::RemoveOurs(n) => {
            let ours = kernel.look(ours);
            let at = usize::try_from(n).unwrap() % ours.len().max(1);
            ours.into_iter().nth(at).map(Change::Delete).into_iter().collect()
        }
        Theirs::SetUplinkUp => vec![set(UPLINK, LinkSetting::Up)],
        Theirs::SetInsideDown => vec![set(INSIDE, LinkSetting::Down)],
        Theirs::AddLink => {
            let mut new = link(ADDED, "ab9");
            new.kind = Some("ifb".to_owned());
            vec![
                Change::Add(Object::Link(new)),
                set(ADDED, LinkSetting::Up),
                Change::Add(Object::Address(address(ADDED, "10.9.9.1/24"))),
            ]
        }
        Theirs::DeleteLink(index) => {
            let there = kernel.look(|state| state.link(index).cloned());
            there.map(|l| Change::Delete(Object::Link(l))).into_iter().collect()
        }
    }
}

/// A record's words, for a look at the log.
pub(super) fn text(record: &Value, key: &str) -> String {
    record[key].as_str().unwrap_or_default().to_owned()
}
