//! The door to the model kernel, and who looks over the shoulder of whoever uses it: after every single change it is asked
//! whether what allows it was durable, and whether a lifeline that passed still passes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::fate::{Fate, Rest};
use super::platter::Platter;
use super::world::lifeline;
use crate::kernel::sim::ModelKernel;
use crate::kernel::{ChangeError, Kernel, KernelError, Kinds, Watch};
use crate::model::change::{Change, LinkSetting, Outcome};
use crate::model::emergency::Emergency;
use crate::model::lookup::{Query, Way};
use crate::model::object::{OUR_PROTOCOL, Route};
use crate::model::snapshot::{Object, Snapshot};
use crate::store::journal::JournalContents;

/// The groups of sealed links.
const OUR_GROUPS: std::ops::RangeInclusive<u32> = 0x5043_0000..=0x5043_0001;

/// What was seen of a process's dealings with the kernel.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whether an emergency with a lifeline is held, begins or ends.
    pub(super) keeps_lifeline: bool,
    /// The process began on a failing disk: it believes a journal that it can read, durable or not.
    pub(super) is_believing: bool,
    /// Changes that changed something.
    pub(super) changes: u64,
    pub(super) tells_changes: bool,
    /// Changes since they were last told, if they are to be told.
    pub(super) made: Vec<String>,
    /// Packets of the lifeline that passed before a change and not after it, and the change.
    pub(super) dropped: Vec<(usize, String)>,
    /// Violations, in words.
    pub(super) wrong: Vec<String>,
}

/// A process's connection to the kernel, under watch.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) kernel: ModelKernel,
    pub(super) fate: Arc<Fate>,
    pub(super) platter: Arc<Platter>,
    pub(super) seen: Arc<Mutex<Seen>>,
    /// What is missing, as it was found at this version of the platters.
    pub(super) found: BTreeMap<Needs, (u64, Option<String>)>,
}

/// What a change must find on the platters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// It removes what is ours, or puts back what every host has.
    Nothing,
    /// An emergency, whose restore it may belong to, with its baseline.
    Emergency,
    /// An emergency that is held, with its baseline and the record of its declaration.
    Held,
}

fn needs(change: &Change) -> Needs {
    match change {
        Change::Add(Object::Link(_) | Object::Qdisc(_) | Object::Filter(_)) => Needs::Held,
        Change::Add(Object::Rule(rule)) if rule.protocol == OUR_PROTOCOL => Needs::Held,
        Change::Add(Object::Rule(_)) => Needs::Nothing,
        Change::Add(Object::Route(route)) if route.protocol == OUR_PROTOCOL => Needs::Held,
        Change::Delete(Object::Rule(rule)) if rule.protocol != OUR_PROTOCOL => Needs::Held,
        Change::Delete(Object::Route(route)) if route.protocol != OUR_PROTOCOL && route.kind == Route::UNICAST => {
            Needs::Emergency
        }
        Change::Delete(_) => Needs::Nothing,
        Change::SetLink { setting, .. } => match setting {
            LinkSetting::Down => Needs::Held,
            LinkSetting::Up => Needs::Emergency,
            LinkSetting::Group(group) if OUR_GROUPS.contains(group) => Needs::Held,
            LinkSetting::Group(_) => Needs::Nothing,
        },
        Change::Add(_) | Change::SetSysctl(_) => Needs::Emergency,
    }
}

/// The journal behind its header.
pub(super) fn journal_of(bytes: &[u8]) -> Option<JournalContents> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    serde_json::from_slice(&bytes[end + 1..]).ok()
}

type Answer = Result<Outcome, ChangeError>;

impl Door {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// What is missing on the platters for this change.
    fn missing(&mut self, change: &Change) -> Option<String> {
        let needs = needs(change);
        if needs == Needs::Nothing {
            return None;
        }
        let version = self.platter.version();
        match self.found.get(&needs) {
            Some((at, missing)) if *at == version => missing.clone(),
            Some(_) | None => {
                let missing = self.lacking(needs);
                self.found.insert(needs, (version, missing.clone()));
                missing
            }
        }
    }

    fn lacking(&self, needs: Needs) -> Option<String> {
        let Some(journal) = self.platter.durable("journal.json", journal_of).flatten() else {
            return Some("without a durable journal".to_owned());
        };
        for copy in ["baseline.json", "baseline-copy.json"] {
            if self.platter.durable(copy, |_| ()).is_none() {
                return Some(format!("without a durable {copy}"));
            }
        }
        let recorded = |e: &Emergency| {
            let id = e.id.to_string();
            let declared = |line: &[u8]| {
                let line = std::str::from_utf8(line).unwrap_or_default();
                line.contains("\"event\":\"declared\"") && line.contains(&id)
            };
            let look = |log: &[u8]| log.rsplit(|b| *b == b'\n').any(declared);
            self.platter.durable("audit.jsonl", look) == Some(true)
        };
        let allows = |e: &&Emergency| needs == Needs::Emergency || e.state.is_held();
        match journal.emergencies.iter().find(allows) {
            None => Some(format!("without a durable emergency ({needs:?})")),
            Some(emergency) if !recorded(emergency) => Some("without a durable record of the declaration".to_owned()),
            Some(_) => None,
        }
    }

    /// Whether a lifeline may end: the emergency that kept it does, and one that does not keep it goes on.
    fn is_lawful(&self) -> bool {
        let journal = std::fs::read(self.platter.path_of("journal.json")).ok();
        let held = journal
            .and_then(|bytes| journal_of(&bytes))
            .map_or(Vec::new(), |j| j.emergencies);
        let mut held = held.iter().filter(|e| e.state.is_held()).peekable();
        held.peek().is_some() && held.all(|e| e.cut.lifelines.is_empty())
    }

    fn passing(&self) -> [bool; 4] {
        self.kernel.look(|state| lifeline().map(|p| p.passes(state)))
    }

    fn watched(&mut self, change: &Change) -> Answer {
        let keeps = self.seen().keeps_lifeline;
        let before = keeps.then(|| self.passing());
        let missing = self.missing(change);
        let mut handle = self.kernel.clone();
        let Ok(answer) = handle.apply(std::slice::from_ref(change)).map(|mut a| a.remove(0)) else {
            panic!("no fault is scripted in the model itself");
        };
        if answer == Ok(Outcome::Applied) {
            let mut seen = self.seen();
            seen.changes += 1;
            if seen.tells_changes {
                seen.made.push(format!("    {change}"));
            }
            let missing = missing.filter(|_| !seen.is_believing);
            seen.wrong.extend(missing.map(|what| format!("`{change}` {what}")));
            if let Some(before) = before {
                let after = self.passing();
                let lost: Vec<usize> = (0..4).filter(|i| before[*i] && !after[*i]).collect();
                if !lost.is_empty() && !self.is_lawful() {
                    seen.dropped.extend(lost.into_iter().map(|i| (i, change.to_string())));
                }
            }
        }
        answer
    }

    fn refused(&self, change: &Change, errno: i32) -> ChangeError {
        ChangeError {
            attempted: change.to_string(),
            errno,
            message: None,
        }
    }
}

impl Kernel for Door {
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError> {
        self.fate.turn();
        if self.fate.read_fails() {
            return Err(KernelError::Scripted("a dump failed"));
        }
        self.kernel.snapshot(kinds)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        self.fate.turn();
        let mut answers = Vec::with_capacity(changes.len());
        let mut dead = false;
        for change in changes {
            let answer = match self.fate.refusal() {
                Some(errno) => Err(self.refused(change, errno)),
                None => self.watched(change),
            };
            answers.push(answer);
            match self.fate.socket_ends() {
                Some(Rest::Lost) => return Err(KernelError::Scripted("the socket died")),
                Some(Rest::Executed) => dead = true,
                None => {}
            }
            self.fate.turn();
        }
        match dead {
            true => Err(KernelError::Scripted("the socket died")),
            false => Ok(answers),
        }
    }

    fn way(&mut self, query: &Query) -> Result<Way, KernelError> {
        self.fate.turn();
        self.kernel.way(query)
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError> {
        self.kernel.watch()
    }
}
