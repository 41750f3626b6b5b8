//! Whether the end of a log is what an interrupted append leaves: the beginning of one record, or blocks of it that never
//! reached the disk and read as zeros. Anything else is somebody's work, and the log is broken there.

use serde::de::IgnoredAny;

use super::Flaw;
use crate::model::record::{LINE_MAX_BYTES, Record};

/// How every record begins: its members are in alphabetical order.
const OPENING: &[u8] = b"{\"actor\":";
/// The smallest block of a disk: bytes get lost by the block.
const BLOCK_BYTES: u64 = 512;

/// Whether a last line is no whole one. Canonical JSON holds no NUL byte.
pub(super) fn is_unfinished(line: &[u8]) -> bool {
    line.len() <= LINE_MAX_BYTES && (line.last() != Some(&b'\n') || line.contains(&0))
}

/// Whether an unfinished last line could be the remains of one append at this offset of the file; a line that lacks only its
/// newline is one if `continues` takes the whole.
///
/// # Errors
/// Why it cannot be.
pub(super) fn could_be_torn(
    line: &[u8],
    offset: u64,
    continues: impl Fn(&[u8]) -> Result<Record, Flaw>,
) -> Result<(), Flaw> {
    let refused = |why: &str| Err(Flaw::NotTorn(why.to_owned()));
    let (text, rest) = line.split_at(line.iter().position(|b| *b == 0).unwrap_or(line.len()));
    let behind = rest.strip_suffix(b"\n").unwrap_or(rest);
    if text.iter().chain(behind).any(|b| (1..b' ').contains(b)) {
        return refused("it holds bytes that no record holds");
    }
    if !holes_are_blocks(line, offset) {
        return refused("it holds zeros that are no lost blocks");
    }
    if text.is_empty() {
        return Ok(());
    }
    let compared = text.len().min(OPENING.len());
    if text[..compared] != OPENING[..compared] {
        return refused("it begins as no record does");
    }
    if std::str::from_utf8(text).is_err_and(|error| error.error_len().is_some()) {
        return refused("it is not UTF-8");
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Err(error)) if error.is_eof() => Ok(()),
        None => Ok(()),
        Some(Err(error)) => refused(&error.to_string()),
        Some(Ok(_)) if values.byte_offset() < text.len() || rest.iter().any(|b| *b != 0) => {
            refused("more stands behind a whole record, without a newline")
        }
        Some(Ok(_)) => continues(&[text, b"\n"].concat()).map(drop),
    }
}

/// Whether the zeros begin where the line or a block does, and end where the line or a block does.
fn holes_are_blocks(line: &[u8], offset: u64) -> bool {
    let is_edge = |at: usize| at == 0 || at == line.len() || (offset + at as u64).is_multiple_of(BLOCK_BYTES);
    (0..=line.len()).all(|at| {
        let is_hole = |at: Option<usize>| at.and_then(|at| line.get(at)) == Some(&0);
        is_hole(at.checked_sub(1)) == is_hole(Some(at)) || is_edge(at)
    })
}
