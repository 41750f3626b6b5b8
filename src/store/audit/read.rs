//! Reading a log: which records, from which of its files, each verified before it is handed on.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::{AuditError, AuditFile, State};
use crate::model::chain::{ChainCheck, Line, Place, Verdict};
use crate::model::names::EmergencyId;
use crate::model::record::{EventKind, Head, LINE_MAX_BYTES, Record};
use crate::model::segment::{self, Opening};
use crate::store::directory::{StateDirectory, raw_error};
use crate::store::error::StoreError;

/// The most records that one question gets.
pub const RECORDS_MAX: usize = 10_000;
/// The most closed files that one question reads, because a restore may wait behind it.
const CLOSED_READ_MAX: usize = 3;
const READ_BUFFER_BYTES: usize = 128 << 10;

/// So many characters of an id name an emergency.
const PREFIX_CHARACTERS: usize = 8;
/// A whole id.
const ID_CHARACTERS: usize = 36;

/// Which records to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not earlier than this wall clock, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Behind this sequence.
    pub after_sequence: Option<u64>,
    /// Of this emergency.
    pub emergency: Option<EmergencyId>,
    /// Of the emergencies whose ids begin so.
    pub emergency_begins: Option<String>,
    /// Caused by this user.
    pub uid: Option<u32>,
    /// Of this kind.
    pub event: Option<EventKind>,
    /// How many, and which of them.
    pub take: Take,
}

/// The beginning of an emergency's id, or the whole, as records have it.
///
/// # Errors
/// What is wrong, if it is too short or can begin no id.
pub fn id_beginning(text: &str) -> Result<String, String> {
    let fits = text.len() <= ID_CHARACTERS && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if text.len() < PREFIX_CHARACTERS || !fits {
        return Err(format!(
            "{text:?} is neither an id nor the first {PREFIX_CHARACTERS} characters of one, or more"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// Which records of many. Never more than [`RECORDS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The oldest: for going on page by page.
    First(usize),
    /// The newest.
    Last(usize),
}

impl Default for Take {
    fn default() -> Self {
        Self::First(RECORDS_MAX)
    }
}

impl Filter {
    /// Whether a record is asked for.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let uid = record.actor.uid();
        let begins = |begin: &String| record.emergency.is_some_and(|id| id.to_string().starts_with(begin));
        self.since_ms.is_none_or(|since| record.wall_ms >= since)
            && self.after_sequence.is_none_or(|after| record.sequence > after)
            && (self.emergency.is_none() || self.emergency == record.emergency)
            && self.emergency_begins.as_ref().is_none_or(begins)
            && (self.uid.is_none() || self.uid == uid)
            && self.event.is_none_or(|event| event == record.event)
    }
}

impl AuditFile {
    /// Reads records, checking the chain on the way from the beginning of each file: what is shown is what was verified.
    /// Of a log of many files it reads the newest few; the others are for `portcullis audit export`.
    ///
    /// # Errors
    /// If the log was changed since, or cannot be read.
    pub fn records(&self, directory: &StateDirectory, filter: &Filter) -> Result<Vec<Record>, AuditError> {
        let mut found = VecDeque::new();
        for (name, file) in self.closed_files(directory, filter)? {
            let path = directory.path_of(&name);
            let length = file.metadata().map_err(raw_error("look at", &path))?.len();
            select(&file, length, &[], &path, filter, &mut found)?;
        }
        let kept: Vec<_> = self.head.into_iter().collect();
        select(&self.file, self.length, &kept, &self.path, filter, &mut found)?;
        Ok(found.into())
    }

    /// The closed files that may hold what is asked for, oldest first.
    fn closed_files(&self, directory: &StateDirectory, filter: &Filter) -> Result<Vec<(String, File)>, AuditError> {
        let mut files = Vec::new();
        let (mut first, mut before) = (self.state.first, self.state.before.clone());
        while let Some(name) = before.take() {
            let asked_behind = filter
                .after_sequence
                .zip(first)
                .is_some_and(|(after, first)| after + 1 >= first);
            if asked_behind || files.len() >= CLOSED_READ_MAX {
                break;
            }
            let Some(file) = directory.open_file(&name, OFlag::O_RDONLY)? else {
                break;
            };
            let path = directory.path_of(&name);
            let opening = first_record(&file).map_err(raw_error("read", &path))?;
            first = opening.as_ref().map(|record| record.sequence);
            before = opening.as_ref().and_then(Opening::of).map(|opening| opening.closed);
            files.push((name, file));
        }
        files.reverse();
        Ok(files)
    }
}

/// Reads one file and adds what is asked for.
fn select(
    file: &File,
    length: u64,
    kept: &[Head],
    path: &Path,
    filter: &Filter,
    found: &mut VecDeque<Record>,
) -> Result<(), AuditError> {
    let (mut check, _) = beginning(file, length, kept, path)?;
    let verdict = walk(section(file, length), &mut check, |record, _| {
        if !filter.matches(&record) {
            return;
        }
        match filter.take {
            Take::First(limit) if found.len() < limit.min(RECORDS_MAX) => found.push_back(record),
            Take::First(_) => {}
            Take::Last(limit) => {
                found.push_back(record);
                if found.len() > limit.min(RECORDS_MAX) {
                    found.pop_front();
                }
            }
        }
    });
    let path = || path.to_owned();
    match verdict.map_err(raw_error("read", &path()))? {
        Verdict::Intact { .. } => Ok(()),
        Verdict::Broken { damage, .. } => Err(AuditError::Broken { path: path(), damage }),
        // The section ends at a newline that this process wrote or verified.
        Verdict::TornTail { .. } => Err(AuditError::Store(StoreError::Damaged {
            path: path(),
            why: "its last line changed while it was in use".to_owned(),
        })),
    }
}

/// The first record of a file; none if it is empty or begins with something else.
fn first_record(file: &File) -> io::Result<Option<Record>> {
    let mut line = Vec::new();
    section_from(file, 0, LINE_MAX_BYTES as u64).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line).ok())
}

/// Where the check of a file begins: at the beginning of the chain, or where its first record says.
pub(super) fn beginning(
    file: &File,
    length: u64,
    kept: &[Head],
    path: &Path,
) -> Result<(ChainCheck, State), AuditError> {
    let first = if length == 0 {
        None
    } else {
        first_record(file).map_err(raw_error("read", path))?
    };
    // A first line that is no record, or one that claims to be the first, is for the check to judge.
    match first.filter(|record| record.event == EventKind::AuditRotated && record.sequence > 1) {
        None => Ok((ChainCheck::new(kept), State::default())),
        Some(record) => {
            let state = State::opened(&record).zip(segment::before(&record));
            let (state, before) = state.ok_or_else(|| AuditError::Opening { path: path.to_owned() })?;
            Ok((ChainCheck::behind(before, kept), state))
        }
    }
}

/// Checks one file of a log without a state directory, as any user who may read it.
///
/// # Errors
/// If it cannot be read.
pub fn verify(path: &Path) -> Result<Verdict, StoreError> {
    verify_holding(path, &[])
}

/// The same, and each of the heads kept from earlier must turn up in it.
///
/// # Errors
/// If it cannot be read.
pub fn verify_holding(path: &Path, kept: &[Head]) -> Result<Verdict, StoreError> {
    let file = File::open(path).map_err(raw_error("open", path))?;
    let reader = BufReader::with_capacity(READ_BUFFER_BYTES, file);
    walk(reader, &mut ChainCheck::new(kept), |_, _| {}).map_err(raw_error("read", path))
}

/// Checks line by line, in bounded memory, and hands on every good record.
pub(super) fn walk(
    mut reader: impl BufRead,
    check: &mut ChainCheck,
    mut each: impl FnMut(Record, &[u8]),
) -> io::Result<Verdict> {
    let mut line = Vec::new();
    let mut torn_bytes = None;
    loop {
        line.clear();
        let limit = LINE_MAX_BYTES as u64 + 1;
        if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(check.verdict(torn_bytes));
        }
        let place = if reader.fill_buf()?.is_empty() {
            Place::Last
        } else {
            Place::Inner
        };
        match check.line(&line, place) {
            Ok(Line::Record(record)) => each(*record, &line),
            Ok(Line::Torn) => torn_bytes = Some(line.len() as u64),
            Err(damage) => return Ok(check.broken(damage)),
        }
    }
}

/// A part of a file, read without moving the descriptor's position.
pub(super) struct Section<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let taken = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += taken as u64;
        Ok(taken)
    }
}

pub(super) fn section(file: &File, end: u64) -> BufReader<Section<'_>> {
    section_from(file, 0, end)
}

pub(super) fn section_from(file: &File, offset: u64, end: u64) -> BufReader<Section<'_>> {
    BufReader::with_capacity(READ_BUFFER_BYTES, Section { file, offset, end })
}
