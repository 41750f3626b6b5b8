//! Checks a chain of audit records, line by line, without trusting any of them.
//!
//! A chain tells of every edit, removal and reordering inside it. It cannot tell that its end was cut off at a line:
//! for that it is compared with heads that were kept elsewhere (in the journal, on paper, with another host).

mod torn;

use self::torn::{could_be_torn, is_unfinished};
use super::names::Digest;
use super::record::{Head, LINE_MAX_BYTES, Record, rfc3339};

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It cannot be parsed.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// It is JSON, but of another shape: a hand's work, or a newer version's.
    #[error("not an audit record that this version knows: {0}")]
    NotARecord(String),
    /// Its members are right, its bytes are not the canonical ones.
    #[error("not in canonical form")]
    NotCanonical,
    /// Its contents were changed.
    #[error("the hash does not match: the record says {written}, its contents give {computed}")]
    Hash {
        /// What the record says.
        written: Digest,
        /// What its contents give.
        computed: Digest,
    },
    /// Records are missing, doubled or out of order.
    #[error("sequence {found} stands where {expected} belongs")]
    Sequence {
        /// What belongs here.
        expected: u64,
        /// What stands here.
        found: u64,
    },
    /// It follows another record than the one before it.
    #[error("it follows {found}, the record before it is {expected}")]
    Previous {
        /// The hash of the record before it.
        expected: Digest,
        /// What it says.
        found: Digest,
    },
    /// A line beyond every limit.
    #[error("longer than {LINE_MAX_BYTES} bytes")]
    TooLong,
    /// It has no newline at its end, or NUL bytes in it, and is not what an interrupted append leaves.
    #[error("not whole, and not the beginning of one record either: {0}")]
    NotTorn(String),
    /// A kept head names another record: the log was rewritten.
    #[error("record {} was seen before with the hash {}", .0.sequence, .0.hash)]
    Rewritten(Head),
    /// A kept head lies beyond the end: the log was cut off, or an older copy was put back.
    #[error("the log ends before record {}, which was seen with the hash {}", .0.sequence, .0.hash)]
    CutOff(Head),
}

/// The first bad record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, record {sequence}: {flaw}")]
pub struct Break {
    /// Counts from 1.
    pub line: u64,
    /// Bytes before that line.
    pub offset: u64,
    /// The sequence number that belongs on that line.
    pub sequence: u64,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What a chain turned out to be. `head` is the last good record's; none if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Every record is as it was written.
    Intact {
        /// The last record.
        head: Option<Head>,
    },
    /// So are all whole records; behind them are the remains of an append that was never acknowledged.
    TornTail {
        /// The last whole record.
        head: Option<Head>,
        /// Where the remains begin, in bytes.
        offset: u64,
        /// How long they are, in bytes.
        length: u64,
    },
    /// The log was changed.
    Broken {
        /// The last good record before the damage.
        head: Option<Head>,
        /// Where and how.
        damage: Break,
    },
}

/// Checks one line after another.
#[derive(Clone, Debug)]
pub struct ChainCheck {
    head: Option<Head>,
    lines: u64,
    offset: u64,
    kept: Vec<Head>,
}

/// What a line turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Line {
    /// The next record.
    Record(Box<Record>),
    /// A torn tail.
    Torn,
}

/// A line that was read by itself: nothing of it depends on the lines before, so many can be read at once.
#[derive(Clone, Debug)]
#[must_use]
pub struct Apart {
    record: Result<Record, Flaw>,
    bytes: u64,
}

impl Apart {
    /// Reads a line with its newline: whether it is a record in canonical form with the hash that its contents call for.
    pub fn read(line: &[u8]) -> Self {
        Self {
            record: read(line),
            bytes: line.len() as u64,
        }
    }
}

fn read(line: &[u8]) -> Result<Record, Flaw> {
    if line.len() > LINE_MAX_BYTES {
        return Err(Flaw::TooLong);
    }
    let record: Record = serde_json::from_slice(line).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Flaw::NotARecord(e.to_string()),
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            Flaw::NotJson(e.to_string())
        }
    })?;
    if rfc3339(record.wall_ms).map_err(|e| Flaw::NotARecord(e.to_string()))? != record.time {
        return Err(Flaw::NotARecord("time and wall_ms differ".to_owned()));
    }
    let canonical = record.line_and_computed_hash();
    let (canonical, computed) = canonical.map_err(|e| Flaw::NotARecord(e.to_string()))?;
    if canonical != line {
        return Err(Flaw::NotCanonical);
    }
    if computed != record.hash {
        return Err(Flaw::Hash {
            written: record.hash,
            computed,
        });
    }
    Ok(record)
}

/// Whether more lines follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// They do.
    Inner,
    /// They do not.
    Last,
}

impl ChainCheck {
    /// At the beginning of a chain. Each of the heads kept from earlier must turn up in it.
    #[must_use]
    pub fn new(kept: &[Head]) -> Self {
        Self {
            head: None,
            lines: 0,
            offset: 0,
            kept: kept.to_vec(),
        }
    }

    /// In the middle of a chain, behind this record.
    #[must_use]
    pub fn behind(head: Head, kept: &[Head]) -> Self {
        Self {
            head: Some(head),
            ..Self::new(kept)
        }
    }

    /// The last good record.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// Bytes of good records.
    #[must_use]
    pub fn good_bytes(&self) -> u64 {
        self.offset
    }

    /// At the beginning of the next file of the same chain: lines and offsets count from there.
    pub fn begin_file(&mut self) {
        (self.lines, self.offset) = (0, 0);
    }

    /// The number of the next line in its file, from 1, and the bytes before it.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.lines + 1, self.offset)
    }

    /// Takes the next line with its newline.
    ///
    /// # Errors
    /// If it does not continue the chain. Then the check is over.
    pub fn line(&mut self, line: &[u8], place: Place) -> Result<Line, Break> {
        if place == Place::Last && is_unfinished(line) {
            let torn = could_be_torn(line, self.offset, |whole| self.continues(whole));
            return torn.map(|()| Line::Torn).map_err(|flaw| self.break_here(flaw));
        }
        self.apart(Apart::read(line)).map(Line::Record)
    }

    /// Takes the next line, which was read by itself and is whole.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn apart(&mut self, line: Apart) -> Result<Box<Record>, Break> {
        let record = line
            .record
            .and_then(|record| self.belongs_here(&record).map(|()| record));
        let record = record.map_err(|flaw| self.break_here(flaw))?;
        self.head = Some(record.head());
        self.lines += 1;
        self.offset += line.bytes;
        Ok(Box::new(record))
    }

    /// Says whether every kept head was passed.
    ///
    /// # Errors
    /// If the log ends before one of them.
    pub fn finish(&self) -> Result<(), Break> {
        let reached = self.head.map_or(0, |head| head.sequence);
        let beyond = self.kept.iter().find(|kept| kept.sequence > reached);
        beyond.map_or(Ok(()), |kept| Err(self.break_here(Flaw::CutOff(*kept))))
    }

    fn break_here(&self, flaw: Flaw) -> Break {
        Break {
            line: self.lines + 1,
            offset: self.offset,
            sequence: self.next_sequence(),
            flaw,
        }
    }

    fn next_sequence(&self) -> u64 {
        self.head.map_or(1, |head| head.sequence + 1)
    }

    fn continues(&self, line: &[u8]) -> Result<Record, Flaw> {
        let record = read(line)?;
        self.belongs_here(&record).map(|()| record)
    }

    fn belongs_here(&self, record: &Record) -> Result<(), Flaw> {
        if record.sequence != self.next_sequence() {
            return Err(Flaw::Sequence {
                expected: self.next_sequence(),
                found: record.sequence,
            });
        }
        let expected = self.head.map_or(Digest::zero(), |head| head.hash);
        if record.previous != expected {
            return Err(Flaw::Previous {
                expected,
                found: record.previous,
            });
        }
        let rewritten = |kept: &&Head| kept.sequence == record.sequence && kept.hash != record.hash;
        self.kept
            .iter()
            .find(rewritten)
            .map_or(Ok(()), |kept| Err(Flaw::Rewritten(*kept)))
    }
}

/// Checks a whole chain. The lines come with their newlines, as `split_inclusive` gives them.
pub fn verify_chain<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> Verdict {
    verify_chain_holding(lines, &[])
}

/// The same, and each of the heads kept from earlier must turn up in it.
pub fn verify_chain_holding<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>, kept: &[Head]) -> Verdict {
    let mut check = ChainCheck::new(kept);
    let mut lines = lines.into_iter().peekable();
    let mut torn = None;
    while let Some(line) = lines.next() {
        let place = if lines.peek().is_some() {
            Place::Inner
        } else {
            Place::Last
        };
        match check.line(line.as_ref(), place) {
            Ok(Line::Record(_)) => {}
            Ok(Line::Torn) => torn = Some(line.as_ref().len() as u64),
            Err(damage) => return check.broken(damage),
        }
    }
    check.verdict(torn)
}

impl ChainCheck {
    /// The verdict at the end of the lines, with the length of the torn tail if there was one.
    pub fn verdict(&self, torn_bytes: Option<u64>) -> Verdict {
        let head = self.head;
        match (self.finish(), torn_bytes) {
            (Err(damage), _) => self.broken(damage),
            (Ok(()), Some(length)) => Verdict::TornTail {
                head,
                offset: self.offset,
                length,
            },
            (Ok(()), None) => Verdict::Intact { head },
        }
    }

    /// The verdict on a chain that this breaks.
    pub fn broken(&self, damage: Break) -> Verdict {
        Verdict::Broken {
            head: self.head,
            damage,
        }
    }
}

#[cfg(test)]
mod tests;
