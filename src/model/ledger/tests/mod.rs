mod attacks;
mod damage;
mod windows;

use ed25519_dalek::SigningKey;
use serde_json::json;

use super::*;
use crate::model::emergency::Moment;
use crate::model::names::Digest;
use crate::model::note::NoteKey;
use crate::model::record::Head;
use crate::model::record::{Actor, Draft, Peer, seal};

const BOOT: &str = "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d";
const NEXT_BOOT: &str = "11111111-5d5e-4c59-8e3f-0a4d5a6b7c8d";
const SECOND_MS: u64 = 1000;

/// The secrets of a chain of keys, by epoch. A real daemon never has more than two.
#[derive(Clone, Copy)]
struct Keys(u8);

impl Keys {
    fn secret(self, epoch: u64) -> SigningKey {
        let mut bytes = [self.0; 32];
        bytes[..8].copy_from_slice(&epoch.to_be_bytes());
        SigningKey::from_bytes(&bytes)
    }
}

/// Writes a log as the daemon does, or as somebody who has its keys.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) lines: Vec<Vec<u8>>,
    head: Option<Head>,
    tree: Frontier,
    origin: String,
    keys: Keys,
    epoch: u64,
    boot: &'static str,
    clock_ms: u64,
}

impl Writer {
    fn new(keys: Keys) -> Self {
        Self {
            lines: Vec::new(),
            head: None,
            tree: Frontier::default(),
            origin: String::new(),
            keys,
            epoch: 1,
            boot: BOOT,
            clock_ms: 0,
        }
    }

    /// A writer that goes on behind these lines.
    fn behind(lines: &[Vec<u8>], keys: Keys, epoch: u64) -> Self {
        let mut writer = Self::new(keys);
        for line in lines {
            writer.take(line.clone());
        }
        let last = record(&lines[lines.len() - 1]);
        (writer.epoch, writer.clock_ms) = (epoch, last.boottime_ms);
        writer
    }

    fn take(&mut self, line: Vec<u8>) {
        let record = record(&line);
        if self.lines.is_empty() {
            self.origin = epoch::origin(record.hash);
        }
        self.head = Some(record.head());
        self.tree.push(merkle::leaf(&line[..line.len() - 1]));
        self.lines.push(line);
    }

    fn moment(&self) -> Moment {
        Moment {
            boot_id: self.boot.to_owned(),
            boottime_ms: self.clock_ms,
            wall_ms: 1_700_000_000_000 + i64::try_from(self.clock_ms).unwrap(),
        }
    }

    fn put(&mut self, draft: Draft, moment: &Moment) {
        let (previous, sequence) = self.head.map_or((Digest::zero(), 1), |h| (h.hash, h.sequence + 1));
        let record = seal(draft, previous, sequence, moment).unwrap();
        self.take(record.line().unwrap());
    }

    fn record(&mut self) {
        self.clock_ms += SECOND_MS;
        let n = self.lines.len();
        let draft = Draft {
            actor: Actor::Peer(Peer {
                executable: Some("/usr/bin/portcullis".to_owned()),
                gid: 1000,
                groups: Vec::new(),
                hearsay: Vec::new(),
                login_uid: None,
                unit: None,
                pid: 4711,
                uid: 1000,
                user: Some("ada".to_owned()),
            }),
            policy: Some("uplink-off".parse().unwrap()),
            emergency: Some("018f8b7e-0000-7000-8000-000000000001".parse().unwrap()),
            details: json!({"reason": "worm @ gateway", "n": n}),
            ..Draft::of_daemon(EventKind::Declared)
        };
        self.put(draft, &self.moment());
    }

    fn seal_with(&mut self, epoch: u64, secret: &SigningKey) {
        self.clock_ms += 1;
        let next = self.keys.secret(epoch + 1).verifying_key();
        let moment = self.moment();
        let draft = epoch::draft(&self.tree, &self.origin, epoch, secret, &next, &moment);
        self.put(draft, &moment);
    }

    fn seal(&mut self) {
        self.seal_with(self.epoch, &self.keys.secret(self.epoch));
        self.epoch += 1;
    }

    fn reboot(&mut self, boot: &'static str, keys: Keys) {
        (self.boot, self.keys, self.epoch) = (boot, keys, 1);
        self.clock_ms += 60 * SECOND_MS;
    }
}

const HONEST: Keys = Keys(7);
const THIEF: Keys = Keys(99);

/// 64 records: seals behind every seventh of the others, one epoch of them empty, the last record a seal.
pub(crate) fn log() -> Writer {
    let mut writer = Writer::new(HONEST);
    while writer.lines.len() < 63 {
        writer.record();
        if writer.lines.len() % 8 == 7 {
            writer.seal();
        }
        if writer.lines.len() == 32 {
            writer.seal();
        }
    }
    assert_eq!(writer.lines.len(), 64);
    writer
}

fn record(line: &[u8]) -> Record {
    serde_json::from_slice(line).unwrap()
}

fn is_seal(line: &[u8]) -> bool {
    record(line).event == EventKind::Sealed
}

fn first_key(writer: &Writer) -> NoteKey {
    NoteKey {
        name: writer.origin.clone(),
        key: writer.keys.secret(1).verifying_key(),
    }
}

fn with_key(writer: &Writer) -> Anchors {
    Anchors {
        keys: vec![first_key(writer)],
        noted: Vec::new(),
    }
}

pub(crate) fn with_key_and_head(writer: &Writer) -> Anchors {
    Anchors {
        noted: vec![writer.head.unwrap().into()],
        ..with_key(writer)
    }
}

/// The lines with their places in the chain made anew, as somebody does who hides a change from the chain.
fn rechained(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    rechained_behind(None, lines)
}

fn rechained_behind(head: Option<Head>, lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut writer = Writer::new(HONEST);
    writer.head = head;
    for line in lines {
        let record = record(line);
        let moment = Moment {
            boot_id: record.boot_id,
            boottime_ms: record.boottime_ms,
            wall_ms: record.wall_ms,
        };
        let draft = Draft {
            event: record.event,
            actor: record.actor,
            emergency: record.emergency,
            policy: record.policy,
            details: record.details,
        };
        writer.put(draft, &moment);
    }
    writer.lines
}

/// The line with another reason in it, its hash made to fit.
fn altered(line: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(line)
        .unwrap()
        .replace("worm @ gateway", "routine work");
    let changed: Record = serde_json::from_str(&text).unwrap();
    let moment = Moment {
        boot_id: changed.boot_id.clone(),
        boottime_ms: changed.boottime_ms,
        wall_ms: changed.wall_ms,
    };
    let draft = Draft {
        event: changed.event,
        actor: changed.actor.clone(),
        emergency: changed.emergency,
        policy: changed.policy.clone(),
        details: changed.details.clone(),
    };
    let made = seal(draft, changed.previous, changed.sequence, &moment).unwrap();
    made.line().unwrap()
}

/// How far the check of a log is before each of its lines: changes behind a line are checked from there.
fn states(lines: &[Vec<u8>], anchors: &Anchors) -> Vec<Examination> {
    let mut states = vec![Examination::new(anchors.clone())];
    for line in lines {
        let mut next = states[states.len() - 1].clone();
        next.line(line, Place::Inner).unwrap();
        states.push(next);
    }
    states
}

fn verdict_from(state: &Examination, lines: &[Vec<u8>]) -> Verdict {
    let mut state = state.clone();
    for (at, line) in lines.iter().enumerate() {
        let place = if at + 1 == lines.len() {
            Place::Last
        } else {
            Place::Inner
        };
        if let Err(verdict) = state.line(line, place) {
            return *verdict;
        }
    }
    state.finish().verdict
}

fn verdict(lines: &[Vec<u8>], anchors: Anchors) -> Verdict {
    examine(lines, anchors).verdict
}

/// The first bad record and what is wrong with it.
fn damage(lines: &[Vec<u8>], anchors: Anchors) -> (u64, Why) {
    match verdict(lines, anchors) {
        Verdict::Altered(damage) | Verdict::RolledBack(damage) => (damage.sequence, damage.why),
        other @ (Verdict::Intact | Verdict::TailUnproved | Verdict::KeyUnknown | Verdict::Truncated(_)) => {
            panic!("{other:?}")
        }
    }
}
