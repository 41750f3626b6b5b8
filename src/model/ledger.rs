//! Examines a whole audit log offline: chain, seals, and whatever was noted of it elsewhere.
//!
//! It trusts no byte of the log. What it finds is a verdict, and the windows: the stretches of time of which nothing
//! proves that a root of that time has not rewritten them. A seal proves what stands before it to whoever knows the
//! first key of its chain of keys; a head noted elsewhere proves what stands before it, and vouches for the chains of
//! keys that begin there. What came after the last proof, nobody can prove.

mod report;

use super::chain::{self, ChainCheck, Line, Place};
use super::epoch::{self, Seal, SealFlaw};
use super::merkle::{self, Frontier};
use super::names::Digest;
use super::record::{EventKind, Record};
use super::segment::Opening;

pub use self::report::{Anchors, Damage, KeyChain, Noted, NotedHash, Remark, Report, Verdict, Why, Window};

/// A seal stands at least this often in the log of a daemon that runs.
pub const SEAL_EVERY_MS: u64 = 60 * 60 * 1000;
/// How much later one may come before it is remarked on.
const SEAL_LATE_MS: u64 = 5 * 60 * 1000;

/// The most remarks of a kind that are kept; a log that lies can make one a line.
const REMARKS_MAX: usize = 100;

/// What a later check needs of an earlier point.
#[derive(Clone, Debug)]
struct Mark {
    sequence: u64,
    time: String,
    boot_id: String,
    boottime_ms: u64,
    wall_ms: i64,
}

impl Mark {
    fn of(record: &Record) -> Self {
        Self {
            sequence: record.sequence,
            time: record.time.clone(),
            boot_id: record.boot_id.clone(),
            boottime_ms: record.boottime_ms,
            wall_ms: record.wall_ms,
        }
    }
}

/// A line that was read by itself: all that takes long of it, and depends on no line before.
#[derive(Clone, Debug)]
#[must_use]
pub struct Apart {
    line: chain::Apart,
    leaf: Digest,
}

impl Apart {
    /// Reads a line with its newline.
    pub fn read(line: &[u8]) -> Self {
        Self {
            line: chain::Apart::read(line),
            leaf: leaf(line),
        }
    }
}

fn leaf(line: &[u8]) -> Digest {
    merkle::leaf(line.strip_suffix(b"\n").unwrap_or(line))
}

/// Takes a log line by line.
#[derive(Clone, Debug)]
pub struct Examination {
    anchors: Anchors,
    chain: ChainCheck,
    tree: Frontier,
    origin: Option<String>,
    chains: Vec<KeyChain>,
    last_seal: Option<(Seal, Mark)>,
    /// Between the last seal of a chain of keys and the first of the next.
    handovers: Vec<(Option<Mark>, Mark)>,
    matched: Option<Mark>,
    clock_told: bool,
    remarks: Vec<Remark>,
    torn: Option<u64>,
}

impl Examination {
    /// At the beginning of a log.
    #[must_use]
    pub fn new(anchors: Anchors) -> Self {
        Self {
            anchors,
            chain: ChainCheck::new(&[]),
            tree: Frontier::default(),
            origin: None,
            chains: Vec::new(),
            last_seal: None,
            handovers: Vec::new(),
            matched: None,
            clock_told: false,
            remarks: Vec::new(),
            torn: None,
        }
    }

    /// At the beginning of the next file of the log: lines and offsets count from there.
    pub fn next_file(&mut self) {
        self.chain.begin_file();
    }

    /// Takes the next line with its newline; gives the record, or none for a torn tail.
    ///
    /// # Errors
    /// If the log is not what was written. Then the examination is over.
    pub fn line(&mut self, line: &[u8], place: Place) -> Result<Option<Record>, Box<Verdict>> {
        let begins = self.chain.position();
        match self.chain.line(line, place) {
            Ok(Line::Record(record)) => self.accept(*record, leaf(line), begins).map(Some),
            Ok(Line::Torn) => {
                self.torn = Some(line.len() as u64);
                Ok(None)
            }
            Err(damage) => Err(Box::new(Verdict::Altered(damage.into()))),
        }
    }

    /// Takes the next line, which was read by itself and is whole.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn apart(&mut self, line: Apart) -> Result<Record, Box<Verdict>> {
        let begins = self.chain.position();
        match self.chain.apart(line.line) {
            Ok(record) => self.accept(*record, line.leaf, begins),
            Err(damage) => Err(Box::new(Verdict::Altered(damage.into()))),
        }
    }

    /// A record that continues the chain; its line begins at this number and offset.
    fn accept(
        &mut self,
        record: Record,
        leaf: Digest,
        (line_number, offset): (u64, u64),
    ) -> Result<Record, Box<Verdict>> {
        let at = |from: u64, until: u64, why: Why| Damage {
            sequence: from,
            until,
            line: line_number,
            offset,
            why,
        };
        if let Err(flaw) = self.take(&record) {
            // Where it is the root, the seal is good, and one of the records before it is not.
            let from = if matches!(flaw, SealFlaw::Root { .. }) {
                self.last_seal.as_ref().map_or(1, |(seal, _)| seal.sequence + 1)
            } else {
                record.sequence
            };
            let until = if from == record.sequence {
                from
            } else {
                record.sequence - 1
            };
            let rolled_back = matches!(flaw, SealFlaw::Missing { .. });
            let damage = at(from.min(until), until, flaw.into());
            let verdict = if rolled_back {
                Verdict::RolledBack(damage)
            } else {
                Verdict::Altered(damage)
            };
            return Err(Box::new(verdict));
        }
        if record.event == EventKind::AuditRotated && !self.opens(&record) {
            let damage = at(record.sequence, record.sequence, Why::Opening);
            return Err(Box::new(Verdict::Altered(damage)));
        }
        self.tree.push(leaf);
        if let Err(why) = self.compare(&record) {
            let damage = at(record.sequence, record.sequence, why);
            return Err(Box::new(Verdict::RolledBack(damage)));
        }
        Ok(record)
    }

    /// Whether a record that opens a file says of the tree what is so; the daemon goes on from there.
    fn opens(&self, record: &Record) -> bool {
        Opening::of(record)
            .is_some_and(|opening| opening.peaks == self.tree.peaks() && Some(&opening.origin) == self.origin.as_ref())
    }

    /// Checks what seals say.
    fn take(&mut self, record: &Record) -> Result<(), SealFlaw> {
        let origin = self.origin.get_or_insert_with(|| epoch::origin(record.hash)).clone();
        self.check_clock(record)?;
        if record.event != EventKind::Sealed {
            return Ok(());
        }
        let seal = epoch::read(record)?;
        self.check_epoch(&seal, record)?;
        seal.covers(&self.tree, &origin)?;
        let mark = Mark::of(record);
        match self.chains.last_mut() {
            Some(chain) if seal.epoch > 1 => {
                chain.to = record.sequence;
                chain.epochs = seal.epoch;
                self.check_silence(&mark);
            }
            Some(_) | None => self.begin_chain(&seal, &mark),
        }
        self.clock_told = false;
        self.last_seal = Some((seal, mark));
        Ok(())
    }

    /// Within a boot CLOCK_BOOTTIME never goes back; the wall clock may, but should not.
    fn check_clock(&mut self, record: &Record) -> Result<(), SealFlaw> {
        let Some((seal, mark)) = &self.last_seal else {
            return Ok(());
        };
        if mark.boot_id == record.boot_id && record.boottime_ms < mark.boottime_ms {
            return Err(SealFlaw::BackDated { before: seal.epoch });
        }
        let back_ms = mark.wall_ms.saturating_sub(record.wall_ms);
        if back_ms > 0 && !self.clock_told {
            self.clock_told = true;
            let seconds = back_ms.saturating_add(999) / 1000;
            let at = record.sequence;
            self.remark(Remark::ClockBack { at, seconds });
        }
        Ok(())
    }

    fn check_epoch(&self, seal: &Seal, record: &Record) -> Result<(), SealFlaw> {
        let Some((last, mark)) = &self.last_seal else {
            return match seal.epoch {
                1 => Ok(()),
                found => Err(SealFlaw::Missing { expected: 1, found }),
            };
        };
        let (expected, found) = (last.epoch + 1, seal.epoch);
        // A chain of keys may begin at any time, but not with a key that was used, nor in a boot that is over.
        if found == 1 {
            let used = self.chains.iter().any(|chain| chain.first.key == seal.key.key);
            let over = record.boot_id != mark.boot_id && self.chains.iter().any(|c| c.boot_id == record.boot_id);
            return match (used, over) {
                (true, _) => Err(SealFlaw::Past { expected, found }),
                (false, true) => Err(SealFlaw::Boot),
                (false, false) => Ok(()),
            };
        }
        if found > expected {
            return Err(SealFlaw::Missing { expected, found });
        }
        if found < expected {
            return Err(SealFlaw::Past { expected, found });
        }
        if seal.key.key != last.next {
            return Err(SealFlaw::Key { before: last.epoch });
        }
        if record.boot_id != mark.boot_id {
            return Err(SealFlaw::Boot);
        }
        Ok(())
    }

    fn begin_chain(&mut self, seal: &Seal, mark: &Mark) {
        let before = self.last_seal.as_ref().map(|(_, mark)| mark.clone());
        if before.as_ref().is_some_and(|before| before.boot_id == mark.boot_id) {
            self.remark(Remark::KeysLost { at: mark.sequence });
        }
        self.handovers.push((before, mark.clone()));
        self.chains.push(KeyChain {
            first: seal.key.clone(),
            from: seal.sequence,
            to: seal.sequence,
            epochs: seal.epoch,
            boot_id: mark.boot_id.clone(),
            vouched: self.anchors.keys.contains(&seal.key),
        });
    }

    fn check_silence(&mut self, mark: &Mark) {
        let before = self.last_seal.as_ref().map_or(0, |(_, before)| before.boottime_ms);
        let silent_ms = mark.boottime_ms.saturating_sub(before);
        if silent_ms > SEAL_EVERY_MS + SEAL_LATE_MS {
            let minutes = silent_ms / 60_000;
            let before = mark.sequence;
            self.remark(Remark::Silence { minutes, before });
        }
    }

    fn remark(&mut self, remark: Remark) {
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(remark);
        }
    }

    /// Compares with what was noted of the log at this size.
    fn compare(&mut self, record: &Record) -> Result<(), Why> {
        let size = record.sequence;
        if self.anchors.noted.iter().all(|noted| noted.size != size) {
            return Ok(());
        }
        let (root, origin) = (self.tree.root(), self.origin.clone().unwrap_or_default());
        for noted in self.anchors.noted.iter().filter(|noted| noted.size == size) {
            if let Some(theirs) = noted.origin.as_ref().filter(|theirs| **theirs != origin) {
                return Err(Why::Origin {
                    noted: theirs.clone(),
                    found: origin,
                });
            }
            let same = match &noted.hash {
                NotedHash::Whole(hash) => *hash == root || *hash == record.hash,
                NotedHash::Short(digits) => root.to_string().starts_with(digits),
            };
            if !same {
                return Err(Why::Noted(size));
            }
        }
        self.matched = Some(Mark::of(record));
        Ok(())
    }

    /// What the log turned out to be, at its end.
    #[must_use]
    pub fn finish(self) -> Report {
        let verdict = self.verdict();
        self.report(verdict)
    }

    /// What it turned out to be when a line ended the examination.
    #[must_use]
    pub fn ended(self, verdict: Verdict) -> Report {
        self.report(verdict)
    }

    fn verdict(&self) -> Verdict {
        let reached = self.tree.size();
        let mut beyond: Vec<&Noted> = self.anchors.noted.iter().filter(|noted| noted.size > reached).collect();
        beyond.sort_by_key(|noted| noted.size);
        if let Some(noted) = beyond.first() {
            return Verdict::Truncated((*noted).clone());
        }
        let proved = self.proved().map_or(0, |mark| mark.sequence);
        let sealed_by_strangers = !self.chains.is_empty() && self.chains.iter().any(|chain| !self.is_vouched(chain));
        // Seals were asked for by their key, and there are none by it.
        let not_sealed = self
            .anchors
            .keys
            .iter()
            .any(|key| self.chains.iter().all(|chain| chain.first != *key));
        if sealed_by_strangers || not_sealed {
            return Verdict::KeyUnknown;
        }
        if proved == reached {
            Verdict::Intact
        } else {
            Verdict::TailUnproved
        }
    }

    fn is_vouched(&self, chain: &KeyChain) -> bool {
        chain.vouched || self.matched.as_ref().is_some_and(|mark| mark.sequence >= chain.from)
    }

    /// With nothing noted there is nothing to compare keys with: the windows are then what they are if the log's keys
    /// are believed, and the verdict says that they are not known.
    fn is_believed(&self, chain: &KeyChain) -> bool {
        self.is_vouched(chain) || self.anchors == Anchors::default()
    }

    /// The last record that a seal or a noted head proves.
    fn proved(&self) -> Option<Mark> {
        let sealed = self.chains.iter().take_while(|chain| self.is_believed(chain)).last();
        let sealed = sealed.and_then(|chain| self.end_of(chain));
        [sealed, self.matched.clone()]
            .into_iter()
            .flatten()
            .max_by_key(|mark| mark.sequence)
    }

    /// The mark of a chain's last seal.
    fn end_of(&self, chain: &KeyChain) -> Option<Mark> {
        let later = self.handovers.iter().filter_map(|(before, _)| before.as_ref());
        let last = self.last_seal.as_ref().map(|(_, mark)| mark);
        later.chain(last).find(|mark| mark.sequence == chain.to).cloned()
    }

    fn windows(&self) -> Vec<Window> {
        let noted = self.matched.as_ref().map_or(0, |mark| mark.sequence);
        let proved = self.proved();
        let end = proved.as_ref().map_or(0, |mark| mark.sequence);
        let between = |(before, after): &(Option<Mark>, Mark)| Window {
            after: before.as_ref().map_or(0, |mark| mark.sequence),
            records: after.sequence - 1 - before.as_ref().map_or(0, |mark| mark.sequence),
            since: before.as_ref().map(|mark| mark.time.clone()),
            until: Some(after.time.clone()),
        };
        let handovers = self.handovers.iter().filter(|(before, after)| {
            // The first seal of all proves the records before it as well as it proves anything.
            before.is_some() && after.sequence > noted && after.sequence <= end
        });
        let tail = Window {
            after: end,
            records: self.tree.size() - end,
            since: proved.map(|mark| mark.time),
            until: None,
        };
        handovers.map(between).chain([tail]).collect()
    }

    fn report(mut self, verdict: Verdict) -> Report {
        if let Some(bytes) = self.torn {
            self.remarks.push(Remark::Torn { bytes });
        }
        let mut chains = self.chains.clone();
        for chain in &mut chains {
            chain.vouched = self.is_vouched(chain);
        }
        Report {
            proved: self.proved().map_or(0, |mark| mark.sequence),
            windows: self.windows(),
            head: self.chain.head(),
            chains,
            verdict,
            tree: self.tree,
            origin: self.origin,
            last_seal: self.last_seal.map(|(seal, _)| seal),
            remarks: self.remarks,
        }
    }
}

/// Examines a log in one piece. The lines come with their newlines, as `split_inclusive` gives them.
#[must_use]
pub fn examine<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>, anchors: Anchors) -> Report {
    let mut examination = Examination::new(anchors);
    let mut lines = lines.into_iter().peekable();
    while let Some(line) = lines.next() {
        let place = if lines.peek().is_some() {
            Place::Inner
        } else {
            Place::Last
        };
        if let Err(verdict) = examination.line(line.as_ref(), place) {
            return examination.ended(*verdict);
        }
    }
    examination.finish()
}

#[cfg(test)]
pub(crate) mod tests;
