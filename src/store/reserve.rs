//! Room on the disk that is kept for the end of a cut: a file of a known size, given up when nothing else is left.
//!
//! A full disk never stops a restore; with the reserve it does not stop the record of it either. The room is the file
//! system's own: on one that copies on write, compresses or has a quota, giving it up may free less than its size.

use std::os::unix::fs::FileExt as _;

use nix::fcntl::OFlag;

use super::directory::{StateDirectory, raw_error};
use super::error::StoreError;

/// Room for some thousand records and a journal.
pub const RESERVE_BYTES: u64 = 1 << 20;
const RESERVE: &str = "reserve";
/// Any odd multiplier and increment of a full-period generator (Knuth, MMIX).
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

/// Makes the reserve if it is not there whole.
///
/// # Errors
/// If there is no room for it; then what was begun is removed again.
pub fn make(directory: &StateDirectory) -> Result<(), StoreError> {
    if stands(directory)? {
        return Ok(());
    }
    let made = directory
        .write_new(RESERVE, &contents())
        .and_then(|()| directory.sync());
    if made.is_err() {
        directory.unlink(RESERVE)?;
    }
    made
}

/// Whether it is there whole.
///
/// # Errors
/// If it cannot be looked at.
pub fn stands(directory: &StateDirectory) -> Result<bool, StoreError> {
    let Some(file) = directory.open_file(RESERVE, OFlag::O_RDONLY)? else {
        return Ok(false);
    };
    let length = file
        .metadata()
        .map_err(raw_error("look at", &directory.path_of(RESERVE)))?
        .len();
    let mut last = [0];
    let read = file.read_exact_at(&mut last, RESERVE_BYTES - 1);
    // A length alone could be a hole, which reads as zeros; the last byte of ours is none.
    Ok(length == RESERVE_BYTES && read.is_ok() && last != [0])
}

/// Gives it up; says whether there was anything to give.
///
/// # Errors
/// If it cannot be cut off.
pub fn give_up(directory: &StateDirectory) -> Result<bool, StoreError> {
    let Some(file) = directory.open_file(RESERVE, OFlag::O_RDWR)? else {
        return Ok(false);
    };
    let path = directory.path_of(RESERVE);
    if file.metadata().map_err(raw_error("look at", &path))?.len() == 0 {
        return Ok(false);
    }
    directory
        .disk()
        .truncate(&file, 0)
        .map_err(raw_error("give up", &path))?;
    Ok(true)
}

/// Bytes that no file system makes smaller.
fn contents() -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes = vec![0; 1 << 20];
    for word in bytes.chunks_exact_mut(size_of_val(&state)) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        word.copy_from_slice(&state.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use nix::errno::Errno;

    use super::*;
    use crate::store::disk::{AfterFault, FaultyDisk};

    #[test]
    fn it_is_made_given_up_once_and_made_again() {
        let room = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(room.path().join("state")).unwrap();
        let length = || {
            fs::metadata(room.path().join("state/reserve"))
                .map(|m| m.len())
                .unwrap_or(0)
        };
        for _ in 0..2 {
            assert!(!stands(&directory).unwrap());
            make(&directory).unwrap();
            assert!(stands(&directory).unwrap());
            assert_eq!(length(), RESERVE_BYTES);
            assert!(give_up(&directory).unwrap());
            assert_eq!(length(), 0);
            assert!(!give_up(&directory).unwrap());
        }
    }

    #[test]
    fn a_hole_of_its_size_is_no_reserve() {
        let room = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(room.path().join("state")).unwrap();
        let file = fs::File::create(room.path().join("state/reserve")).unwrap();
        file.set_len(RESERVE_BYTES).unwrap();
        assert!(!stands(&directory).unwrap());
        make(&directory).unwrap();
        assert!(stands(&directory).unwrap());
    }

    #[test]
    fn what_could_not_be_made_whole_takes_no_room() {
        for call in 1..=3 {
            let room = tempfile::tempdir().unwrap();
            let disk = Arc::new(FaultyDisk::new(call, Errno::ENOSPC, AfterFault::Heals));
            let directory = StateDirectory::open_on(room.path().join("state"), disk).unwrap();
            assert!(make(&directory).unwrap_err().is_full(), "call {call}");
            assert!(!room.path().join("state/reserve").exists(), "call {call}");
        }
    }
}
