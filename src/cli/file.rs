//! Files that are named on the command line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

use super::exit::{Failure, Situation};

/// Opens a file to read it. A FIFO would wait for ever for somebody to write, a device may never end: neither is waited for.
///
/// # Errors
/// If it cannot be opened, or is no regular file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Makes a file that must not be there yet.
pub(super) fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let created = File::create_new(path).map_err(|error| unwritable(path, &error));
    created.map(BufWriter::new)
}

/// A file that cannot be written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let detail = format!("failed to write {}: {error}", path.display());
    Failure::new(
        Situation::Unreadable,
        detail,
        "name a file in a folder that you may write to",
    )
}
