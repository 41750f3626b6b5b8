//! A log on disk, read without a daemon: all of its files, oldest first, line by line and in bounded memory. Or the
//! records of a daemon, in one file for as long as they are read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use tempfile::NamedTempFile;

use crate::api::AuditPage;
use crate::cli::client::{Client, Question};
use crate::cli::exit::{Failure, Situation};
use crate::cli::file;
use crate::model::chain::Place;
use crate::model::ledger::{Anchors, Apart, Examination, Report, Verdict};
use crate::model::record::{LINE_MAX_BYTES, Record};
use crate::model::segment::Opening;

/// More than a century of a busy gateway.
const FILES_MAX: usize = 100_000;
const READ_BUFFER_BYTES: usize = 128 << 10;
/// So much is read at once: enough to keep every processor busy for some milliseconds.
const BATCH_BYTES: usize = 4 << 20;
const THREADS_MAX: usize = 16;
/// Records of one question: each makes the daemon read its log from the beginning.
const PAGE: usize = 9_999;

/// The files of a log.
#[derive(Debug)]
pub(in crate::cli) struct Log {
    files: Vec<PathBuf>,
    /// The records that came from a daemon; the file goes with the log.
    copy: Option<NamedTempFile>,
}

/// What an examination of files found.
#[derive(Debug)]
pub(in crate::cli) struct Examined {
    pub(in crate::cli) report: Report,
    /// Where it ended early; none if it did not.
    pub(in crate::cli) file: Option<PathBuf>,
}

impl Log {
    /// Finds the closed files before this one, each named by the first record of the one behind it. One that is not
    /// there is a gap that the examination finds.
    pub(in crate::cli) fn find(newest: &Path) -> Result<Self, Failure> {
        let mut files = vec![newest.to_owned()];
        let mut name = String::new();
        while let Some(opening) = opening(&files[files.len() - 1])? {
            // Names count upwards, so what is not below the last one would lead in a circle.
            let is_older = name.is_empty() || opening.closed < name;
            let path = newest.with_file_name(&opening.closed);
            if !is_older || files.len() >= FILES_MAX || !path.exists() {
                break;
            }
            name = opening.closed;
            files.push(path);
        }
        files.reverse();
        Ok(Self { files, copy: None })
    }

    /// The records of the daemon at the socket, which need not be the one whose log lies in the usual place. Each line is
    /// made anew from its record, and it is the line on disk if the examination accepts it: the hash is over its bytes.
    pub(in crate::cli) fn of_daemon(client: &Client) -> Result<Self, Failure> {
        let mut copy = NamedTempFile::new().map_err(|error| unkept(&error))?;
        let mut out = BufWriter::new(copy.as_file_mut());
        let (mut after, mut more) = (0, true);
        while more {
            let question = Question::get(format!("/v1/audit?after={after}&limit={PAGE}"));
            let page = client.ask::<AuditPage>(question)?.value;
            for record in &page.records {
                let (sequence, line) = line(record)?;
                if sequence <= after {
                    return Err(unlike_a_log(&format!("record {sequence} after record {after}")));
                }
                after = sequence;
                out.write_all(&line).map_err(|error| unkept(&error))?;
            }
            more = page.more && !page.records.is_empty();
        }
        out.flush().map_err(|error| unkept(&error))?;
        drop(out);
        Ok(Self {
            files: vec![copy.path().to_owned()],
            copy: Some(copy),
        })
    }

    /// Whether the records came from a daemon.
    pub(in crate::cli) fn is_of_daemon(&self) -> bool {
        self.copy.is_some()
    }

    /// Examines all of it and hands on every record that continues the chain, with its line.
    pub(in crate::cli) fn examine(
        &self,
        anchors: Anchors,
        each: impl FnMut(&Record, &[u8]) -> Result<(), Failure>,
    ) -> Result<Examined, Failure> {
        self.examine_by(BATCH_BYTES, anchors, each)
    }

    fn examine_by(
        &self,
        batch_bytes: usize,
        anchors: Anchors,
        mut each: impl FnMut(&Record, &[u8]) -> Result<(), Failure>,
    ) -> Result<Examined, Failure> {
        let mut examination = Examination::new(anchors);
        let newest = self.files.last();
        for path in &self.files {
            examination.next_file();
            let mut lines = Lines::open(path)?;
            let mut batch = Batch::default();
            while batch.fill(&mut lines, batch_bytes)? {
                // Only the very last line may be torn, and whether it is depends on where it stands.
                let last = batch.lines.pop_if(|_| batch.ends && Some(path) == newest);
                let read = read_all(&batch.lines);
                let read = read.into_iter().zip(&batch.lines);
                let mut taken = read.map(|(apart, line)| (examination.apart(apart).map(Some), line));
                let ended = taken.try_for_each(|(taken, line)| hand_on(taken, line, &mut each));
                let ended = match (ended, &last) {
                    (Ok(()), Some(line)) => hand_on(examination.line(line, Place::Last), line, &mut each),
                    (ended, _) => ended,
                };
                match ended {
                    Ok(()) => {}
                    Err(Stop::Failed(failure)) => return Err(failure),
                    Err(Stop::Broken(verdict)) => {
                        let file = Some(path.clone());
                        let report = examination.ended(*verdict);
                        return Ok(Examined { report, file });
                    }
                }
            }
        }
        Ok(Examined {
            report: examination.finish(),
            file: None,
        })
    }
}

/// Why an examination goes no further.
enum Stop {
    /// The log is not what was written.
    Broken(Box<Verdict>),
    /// Whoever takes the records cannot go on.
    Failed(Failure),
}

fn hand_on(
    taken: Result<Option<Record>, Box<Verdict>>,
    line: &[u8],
    each: &mut impl FnMut(&Record, &[u8]) -> Result<(), Failure>,
) -> Result<(), Stop> {
    match taken.map_err(Stop::Broken)? {
        Some(record) => each(&record, line).map_err(Stop::Failed),
        None => Ok(()),
    }
}

/// Lines that are read at once.
#[derive(Default)]
struct Batch {
    lines: Vec<Vec<u8>>,
    /// Whether the file ends behind them.
    ends: bool,
}

impl Batch {
    /// Takes the next lines of a file; false if there are none.
    fn fill<R: BufRead>(&mut self, lines: &mut Lines<'_, R>, most_bytes: usize) -> Result<bool, Failure> {
        self.lines.clear();
        let mut bytes = 0;
        while bytes < most_bytes
            && let Some((line, end)) = lines.next()?
        {
            bytes += line.len();
            self.lines.push(line.to_vec());
            self.ends = end;
        }
        Ok(!self.lines.is_empty())
    }
}

/// Reads each line by itself, on as many threads as there are processors.
fn read_all(lines: &[Vec<u8>]) -> Vec<Apart> {
    let threads = std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(THREADS_MAX);
    let share = lines.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let read = |part: &[Vec<u8>]| part.iter().map(|line| Apart::read(line)).collect::<Vec<_>>();
        let workers: Vec<_> = lines
            .chunks(share)
            .map(|part| scope.spawn(move || read(part)))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|part| part.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// The sequence and the line of a record as the daemon gave it.
fn line(given: &serde_json::Value) -> Result<(u64, Vec<u8>), Failure> {
    let made = Record::deserialize(given)
        .map_err(|error| error.to_string())
        .and_then(|record| Ok((record.sequence, record.line().map_err(|error| error.to_string())?)));
    made.map_err(|why| unlike_a_log(&format!("a record that this version does not know: {why}")))
}

fn unlike_a_log(what: &str) -> Failure {
    let detail = format!("the daemon gave {what}");
    Failure::new(Situation::NoAnswer, detail, "give the log on disk with --file")
}

fn unkept(error: &io::Error) -> Failure {
    let detail = format!(
        "failed to keep the daemon's records in {}: {error}",
        std::env::temp_dir().display()
    );
    Failure::new(
        Situation::Unreadable,
        detail,
        "set TMPDIR, or give the log on disk with --file",
    )
}

/// What a file begins with, if it is not the first.
fn opening(path: &Path) -> Result<Option<Opening>, Failure> {
    let mut lines = Lines::open(path)?;
    let first = lines
        .next()?
        .and_then(|(line, _)| serde_json::from_slice::<Record>(line).ok());
    Ok(first.as_ref().and_then(Opening::of))
}

/// The lines of a file with their newlines. A line is read to just beyond the limit at which the check refuses it, so a
/// file without newlines does not fill the memory.
struct Lines<'a, R> {
    reader: R,
    line: Vec<u8>,
    path: &'a Path,
}

impl<'a> Lines<'a, BufReader<File>> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let file = file::open(path).map_err(|error| {
            if error.kind() != io::ErrorKind::InvalidInput {
                return unreadable(path, &error);
            }
            let detail = format!("{} is not a file: a log is read more than once", path.display());
            Failure::new(Situation::Usage, detail, "copy it into a file first")
        })?;
        Ok(Self::of(BufReader::with_capacity(READ_BUFFER_BYTES, file), path))
    }
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn of(reader: R, path: &'a Path) -> Self {
        let line = Vec::new();
        Self { reader, line, path }
    }

    /// The next line, and whether it is the last.
    fn next(&mut self) -> Result<Option<(&[u8], bool)>, Failure> {
        self.line.clear();
        let failed = |error: io::Error| unreadable(self.path, &error);
        let limit = LINE_MAX_BYTES as u64 + 1;
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.line);
        if read.map_err(failed)? == 0 {
            return Ok(None);
        }
        let end = self.reader.fill_buf().map_err(failed)?.is_empty();
        Ok(Some((&self.line, end)))
    }
}

/// A file that cannot be read, or not be written.
pub(in crate::cli) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let detail = format!("failed to read the audit log {}: {error}", path.display());
    let hint = "name the log in the state directory, or a copy of it that you may read";
    Failure::new(Situation::Unreadable, detail, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ledger::examine;
    use crate::model::ledger::tests::{log, with_key_and_head};

    #[test]
    fn in_batches_of_any_size_is_found_what_is_found_line_by_line() {
        let log = log();
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("audit.jsonl");
        for spoilt in 0..=log.lines.len() {
            let mut lines = log.lines.clone();
            if let Some(line) = lines.get_mut(spoilt) {
                let middle = line.len() / 2;
                line[middle] ^= 1;
            }
            std::fs::write(&path, lines.concat()).unwrap();
            let expected = examine(&lines, with_key_and_head(&log));
            for batch_bytes in [1, 900, 5_000, BATCH_BYTES] {
                let mut good = lines.iter().zip(1_u64..).take(spoilt);
                let each = |record: &Record, line: &[u8]| {
                    assert_eq!(
                        good.next().map(|(line, sequence)| (&**line, sequence)),
                        Some((line, record.sequence))
                    );
                    Ok(())
                };
                let files = Log::find(&path).unwrap();
                let seen = files.examine_by(batch_bytes, with_key_and_head(&log), each).unwrap();
                assert_eq!(seen.report, expected, "line {spoilt}, batches of {batch_bytes}");
                assert_eq!(seen.file.is_some(), spoilt < lines.len());
                assert_eq!(good.next(), None, "line {spoilt}, batches of {batch_bytes}");
            }
        }
    }

    #[test]
    fn an_endless_line_is_not_read_whole() {
        let mut lines = Lines::of(BufReader::new(io::repeat(b'x')), Path::new("endless"));
        let (line, end) = lines.next().unwrap().unwrap();
        assert_eq!((line.len(), end), (LINE_MAX_BYTES + 1, false));
    }
}
