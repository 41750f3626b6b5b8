//! A log on disk, read without a daemon: all of its files, oldest first, line by line and in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::cli::exit::{Failure, Situation};
use crate::model::chain::Place;
use crate::model::ledger::{Anchors, Examination, Report};
use crate::model::record::{LINE_MAX_BYTES, Record};
use crate::model::segment::Opening;

/// More than a century of a busy gateway.
const FILES_MAX: usize = 100_000;
const READ_BUFFER_BYTES: usize = 128 << 10;

/// The files of a log.
#[derive(Debug)]
pub(super) struct Log {
    files: Vec<PathBuf>,
}

/// What an examination of files found.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) report: Report,
    /// Where it ended early; none if it did not.
    pub(super) file: Option<PathBuf>,
}

impl Log {
    /// Finds the closed files before this one, each named by the first record of the one behind it. One that is not
    /// there is a gap that the examination finds.
    pub(super) fn find(newest: &Path) -> Result<Self, Failure> {
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
        Ok(Self { files })
    }

    /// Examines all of it and hands on every record that continues the chain, with its line.
    pub(super) fn examine(
        &self,
        anchors: Anchors,
        mut each: impl FnMut(&Record, &[u8]) -> Result<(), Failure>,
    ) -> Result<Examined, Failure> {
        let mut examination = Examination::new(anchors);
        let newest = self.files.last();
        for path in &self.files {
            examination.next_file();
            let mut lines = Lines::open(path)?;
            while let Some((line, end)) = lines.next()? {
                let place = if end && Some(path) == newest {
                    Place::Last
                } else {
                    Place::Inner
                };
                match examination.line(line, place) {
                    Ok(Some(record)) => each(&record, line)?,
                    Ok(None) => {}
                    Err(verdict) => {
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
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let kind = file.metadata().map_err(|error| unreadable(path, &error))?;
        if !kind.is_file() {
            let detail = format!("{} is not a file: a log is read more than once", path.display());
            return Err(Failure::new(Situation::Usage, detail, "copy it into a file first"));
        }
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
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let detail = format!("failed to read the audit log {}: {error}", path.display());
    let hint = "name the log in the state directory, or a copy of it that you may read";
    Failure::new(Situation::Unreadable, detail, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_line_is_not_read_whole() {
        let mut lines = Lines::of(BufReader::new(io::repeat(b'x')), Path::new("endless"));
        let (line, end) = lines.next().unwrap().unwrap();
        assert_eq!((line.len(), end), (LINE_MAX_BYTES + 1, false));
    }
}
