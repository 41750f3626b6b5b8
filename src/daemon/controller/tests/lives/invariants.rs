//! What must hold after every event, and at the end of a life.

use std::fs;

use super::decisions;
use super::deeds::{learn, text};
use super::fate::Happened;
use super::life::{Known, Life, keeps_lifeline};
use super::world::{UPLINK, lifeline, strangers};
use crate::model::chain::Verdict;
use crate::model::diff::diff;
use crate::model::emergency::State;
use crate::model::policy::Method;
use crate::model::record::Head;
use crate::planning::without_ours;
use crate::store::audit::verify_holding;

/// A cut ends by its deadline and so long.
const LATE_MS: u64 = 2_000;

/// Everything that can be asked at any time.
pub(super) fn check(life: &mut Life) -> Result<(), String> {
    let happened = life.fate.happened();
    life.kernel_failed |= happened.kernel;
    life.disk_failed |= happened.disk;
    if happened.kernel {
        // A cut that could not be put in force, or taken up again, is given up.
        life.known.values_mut().for_each(|known| known.may_end = true);
    }
    let wrong = life.seen().wrong.pop();
    if let Some(wrong) = wrong {
        life.tell("violated");
        return Err(wrong);
    }
    lifelines_go_on(life, happened)?;
    learn(life);
    note_head(life);
    nothing_of_ours_without_an_emergency(life)?;
    nothing_is_stuck(life)?;
    none_is_late(life)?;
    none_is_early(life)?;
    cuts_cut(life)
}

/// A lifeline that passes again had no business to stop in between, and one that is kept none to stop at all. Only with the
/// emergency that kept it may it end, where another one cuts it.
///
/// One limit: where the kernel refuses the first rule of a send, the others of the same send are carried out all the same.
fn lifelines_go_on(life: &Life, happened: Happened) -> Result<(), String> {
    let dropped = std::mem::take(&mut life.seen().dropped);
    // Nor is it known what is held where the journal could not be written.
    if happened.kernel || happened.disk || life.is_stale || life.fate.is_disk_failing() {
        return Ok(());
    }
    let is_kept = life
        .emergencies()
        .iter()
        .any(|e| e.state.is_held() && keeps_lifeline(e));
    let is_broken = |at: usize| is_kept || life.kernel.look(|state| lifeline()[at].passes(state));
    match dropped.into_iter().find(|(at, _)| is_broken(*at)) {
        Some((at, change)) => Err(format!("`{change}` drops {:?}", lifeline()[at])),
        None => Ok(()),
    }
}

fn note_head(life: &mut Life) {
    let acknowledged = life.controller().and_then(|c| c.books.acknowledged());
    life.heads.extend(acknowledged.map(|head| (head.sequence, head)));
}

/// With nothing in force the host is as it would be had there never been a cut.
fn nothing_of_ours_without_an_emergency(life: &mut Life) -> Result<(), String> {
    if life.controller().is_none() || !life.emergencies().is_empty() {
        return Ok(());
    }
    if std::mem::take(&mut life.is_stale) {
        // A known limit: what others changed between an end that could not be written down and the next start is taken
        // for the cut's doing. That nothing of ours is left holds all the same.
        let settled = life.settled();
        life.shadow = without_ours(&settled, &[]);
    }
    let differences = diff(&life.shadow, &life.settled());
    let mut lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    if life.disk_failed {
        // A known limit: what a new link had cannot be written down on a disk that fails, and it is cut all the same.
        lines.retain(|line| !line.contains("if:9 ") && !line.contains("9: ab9"));
    }
    match lines.is_empty() {
        true => Ok(()),
        false => Err(format!("nothing is in force, and yet:\n    {}", lines.join("\n    "))),
    }
}

fn nothing_is_stuck(life: &Life) -> Result<(), String> {
    let stuck = life.emergencies().iter().find(|e| e.state == State::Stuck);
    match (stuck, life.controller()) {
        (Some(stuck), Some(controller)) if !life.kernel_failed && !life.is_stale => {
            let receipt = controller.receipts.get(&stuck.id).map(|r| r.residues.clone());
            Err(format!("{} is stuck: {receipt:?}", stuck.policy))
        }
        _ => Ok(()),
    }
}

impl Known {
    fn must_end_ms(&self) -> u64 {
        self.latest_ms.min(self.confirm_until_ms.unwrap_or(u64::MAX))
    }

    fn may_end_ms(&self) -> u64 {
        self.earliest_ms.min(self.confirm_from_ms.unwrap_or(u64::MAX))
    }
}

fn none_is_late(life: &Life) -> Result<(), String> {
    let now_ms = life.true_ms();
    for emergency in life.emergencies().iter().filter(|e| e.state.is_held()) {
        let known = &life.known[&emergency.id.to_string()];
        let by_ms = known.must_end_ms().max(life.alive_since_ms) + LATE_MS;
        if now_ms > by_ms {
            return Err(format!(
                "{} is held {} ms after its end",
                emergency.policy,
                now_ms - by_ms + LATE_MS
            ));
        }
    }
    Ok(())
}

fn none_is_early(life: &mut Life) -> Result<(), String> {
    if life.controller().is_none() {
        return Ok(());
    }
    let now_ms = life.true_ms();
    let there: Vec<String> = life.emergencies().iter().map(|e| e.id.to_string()).collect();
    for (id, known) in life.known.iter_mut().filter(|(_, known)| !known.is_over) {
        if there.contains(id) {
            continue;
        }
        known.is_over = true;
        if !known.may_end && now_ms < known.may_end_ms() {
            return Err(format!(
                "{} is gone {} ms before its end, and nobody ended it",
                known.kind.policy(),
                known.may_end_ms() - now_ms
            ));
        }
    }
    Ok(())
}

/// What is in force stops what no lifeline names, as far as it is looked after.
fn cuts_cut(life: &Life) -> Result<(), String> {
    if !life.just_compared {
        return Ok(());
    }
    for emergency in life.emergencies().iter().filter(|e| e.state == State::InForce) {
        let total = [Method::Gate, Method::Seal, Method::Link];
        let is_total = total.iter().any(|m| emergency.cut.methods.contains(m));
        if !is_total || !emergency.cut.links.contains_key(&UPLINK) {
            continue;
        }
        let open = life.kernel.look(|state| {
            let there = state.link(UPLINK).is_some_and(|l| l.up);
            strangers().into_iter().find(|p| there && p.passes(state))
        });
        if let Some(packet) = open {
            return Err(format!("{} is in force, and {packet:?} passes", emergency.policy));
        }
    }
    Ok(())
}

/// At the end of a life: the log holds every record that was ever acknowledged, and nothing is left of the journal.
pub(super) fn check_end(life: &Life) -> Result<(), String> {
    let log = life.state_folder().join("audit.jsonl");
    let heads: Vec<Head> = life.heads.values().copied().collect();
    match verify_holding(&log, &heads) {
        Ok(Verdict::Intact { .. }) => {}
        other => return Err(format!("the log is not valid: {other:?}")),
    }
    if !life.emergencies().is_empty() {
        return Err("an emergency outlives everything".to_owned());
    }
    if life.state_folder().join("journal.json").exists() {
        return Err("a journal is left".to_owned());
    }
    let records = fs::read_to_string(&log).map_err(|e| e.to_string())?;
    let records: Vec<serde_json::Value> = records.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    life.decided.agree_with(&records, life.disk_failed)?;
    decisions::two_people_each(&records)?;
    for id in life.known.keys() {
        let declared = records
            .iter()
            .filter(|r| text(r, "event") == "declared" && text(r, "emergency") == *id);
        if declared.count() != 1 {
            return Err(format!("{id} was held and has not one record of its declaration"));
        }
    }
    Ok(())
}
