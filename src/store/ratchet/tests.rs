use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::model::emergency::Moment;
use crate::model::ledger::{Anchors, Remark, Verdict, examine};
use crate::model::record::{Draft, EventKind};
use crate::store::audit::{AUDIT, AuditFile};
use crate::store::directory::StateDirectory;

const BOOT: &str = "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d";

struct Room {
    room: tempfile::TempDir,
    keeping: Keeping,
    clock_ms: u64,
}

impl Room {
    /// Everything on tmpfs.
    fn new() -> Self {
        let room = tempfile::tempdir_in("/dev/shm").unwrap();
        let keeping = Keeping::File(room.path().join("audit.key"));
        Self {
            room,
            keeping,
            clock_ms: 0,
        }
    }

    fn key_file(&self) -> PathBuf {
        self.room.path().join("audit.key")
    }

    fn moment(&mut self) -> Moment {
        self.clock_ms += 1000;
        Moment {
            boot_id: BOOT.to_owned(),
            boottime_ms: self.clock_ms,
            wall_ms: 1_700_000_000_000 + i64::try_from(self.clock_ms).unwrap(),
        }
    }

    fn state(&self) -> PathBuf {
        self.room.path().join("state")
    }

    fn start(&self, boot_id: &str) -> (StateDirectory, AuditFile, Ratchet) {
        let directory = StateDirectory::open(self.state()).unwrap();
        let (audit, _) = AuditFile::open(&directory, AUDIT).unwrap();
        let mut keys = Ratchet::open(&self.keeping, boot_id).unwrap();
        keys.go_on(audit.last_seal().unwrap().as_ref()).unwrap();
        (directory, audit, keys)
    }

    fn record(&mut self, audit: &mut AuditFile) {
        let now = self.moment();
        audit.append(Draft::of_daemon(EventKind::PlanMade), &now).unwrap();
    }

    fn examine(&self) -> crate::model::ledger::Report {
        let log = fs::read(self.state().join(AUDIT)).unwrap();
        examine(log.split_inclusive(|b| *b == b'\n'), Anchors::default())
    }
}

#[test]
fn a_restart_goes_on_with_the_chain_of_keys() {
    let mut room = Room::new();
    for start in 1..=3 {
        let (_directory, mut audit, mut keys) = room.start(BOOT);
        assert_eq!(keys.epoch(), 2 * start - 1);
        for _ in 0..2 {
            room.record(&mut audit);
            let now = room.moment();
            let record = audit.seal(&mut keys, &now).unwrap();
            assert_eq!(keys.kept(), Some(record.head()));
        }
    }
    let report = room.examine();
    assert_eq!((report.chains.len(), report.chains[0].epochs), (1, 6));
    assert_eq!((report.proved, report.remarks), (12, vec![]));
}

#[test]
fn a_spent_secret_is_in_no_byte_of_the_file() {
    let mut room = Room::new();
    let (_directory, mut audit, mut keys) = room.start(BOOT);
    room.record(&mut audit);
    for _ in 0..5 {
        let spent = hex(keys.secret());
        let now = room.moment();
        audit.seal(&mut keys, &now).unwrap();
        let file = fs::read_to_string(room.key_file()).unwrap();
        assert_eq!(file.len(), FILE_BYTES);
        assert!(!file.contains(spent.as_str()));
        assert!(file.contains(hex(keys.secret()).as_str()));
    }
    let mode = fs::metadata(room.key_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// The process dies between the two writes of the file, with the seal in the log or not.
#[test]
fn a_crash_while_sealing_loses_no_key() {
    for sealed in [true, false] {
        let mut room = Room::new();
        let (directory, mut audit, mut keys) = room.start(BOOT);
        room.record(&mut audit);
        let now = room.moment();
        audit.seal(&mut keys, &now).unwrap();
        room.record(&mut audit);
        if sealed {
            let now = room.moment();
            let before = fs::read(room.key_file()).unwrap();
            let next = keys.prepare().unwrap();
            let prepared = fs::read(room.key_file()).unwrap();
            assert_ne!(before, prepared);
            let draft =
                crate::model::epoch::draft(audit.tree(), audit.origin(), keys.epoch(), keys.secret(), &next, &now);
            audit.append(draft, &now).unwrap();
        } else {
            keys.prepare().unwrap();
        }
        drop((directory, audit, keys));
        let (_directory, mut audit, mut keys) = room.start(BOOT);
        assert_eq!(keys.epoch(), if sealed { 3 } else { 2 });
        let now = room.moment();
        audit.seal(&mut keys, &now).unwrap();
        assert_eq!(room.examine().chains.len(), 1);
    }
}

#[test]
fn lost_keys_and_those_of_another_boot_begin_a_new_chain_that_shows() {
    let mut room = Room::new();
    for _ in 0..2 {
        let (_directory, mut audit, mut keys) = room.start(BOOT);
        assert_eq!(keys.epoch(), 1);
        room.record(&mut audit);
        let now = room.moment();
        audit.seal(&mut keys, &now).unwrap();
        fs::remove_file(room.key_file()).unwrap();
    }
    let report = room.examine();
    assert_eq!((report.chains.len(), report.verdict), (2, Verdict::KeyUnknown));
    assert!(matches!(report.remarks[..], [Remark::KeysLost { at: 4 }]));
    let (_directory, _audit, keys) = room.start("another boot");
    assert_eq!((keys.epoch(), keys.kept()), (1, None));
}

#[test]
fn a_file_that_is_not_ours_alone_or_not_volatile_is_refused() {
    let room = Room::new();
    fs::write(room.key_file(), "").unwrap();
    fs::set_permissions(room.key_file(), fs::Permissions::from_mode(0o640)).unwrap();
    Ratchet::open(&room.keeping, BOOT).unwrap_err();
    fs::remove_file(room.key_file()).unwrap();
    std::os::unix::fs::symlink("/dev/null", room.key_file()).unwrap();
    Ratchet::open(&room.keeping, BOOT).unwrap_err();
    // What lies there outlives a reboot (file-hierarchy(7)), so it is no tmpfs; and everybody may write there.
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let on_disk = Keeping::File(disk.path().join("audit.key"));
    let error = Ratchet::open(&on_disk, BOOT).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Io {
                attempted: "keep keys in",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(fs::metadata(disk.path().join("audit.key")).unwrap().len(), 0);
}

#[test]
fn a_torn_file_is_as_good_as_none() {
    let mut room = Room::new();
    let (directory, mut audit, mut keys) = room.start(BOOT);
    room.record(&mut audit);
    let now = room.moment();
    audit.seal(&mut keys, &now).unwrap();
    drop((directory, audit, keys));
    let whole = fs::read(room.key_file()).unwrap();
    for length in [0, 1, 30, 70, 130, 190] {
        fs::write(room.key_file(), &whole[..length]).unwrap();
        assert_eq!(room.start(BOOT).2.epoch(), 1, "{length}");
    }
    fs::write(room.key_file(), &whole).unwrap();
    assert_eq!(room.start(BOOT).2.epoch(), 2);
}

#[test]
fn a_full_file_closes_with_its_seal_and_the_log_goes_on_in_the_next() {
    let mut room = Room::new();
    let mut names = Vec::new();
    for _ in 0..4 {
        let (directory, mut audit, mut keys) = room.start(BOOT);
        for _ in 0..3 {
            (0..4).for_each(|_| room.record(&mut audit));
            // Without a seal at its end a file is not closed.
            let now = room.moment();
            audit.rotate(&directory, 1, &now).unwrap();
            audit.seal(&mut keys, &now).unwrap();
            audit.rotate(&directory, 1, &now).unwrap();
        }
        // 4 records and a seal, and from the second file on the record that opens it.
        let filter = crate::store::audit::Filter::default();
        let records = audit.records(&directory, &filter).unwrap();
        assert_eq!(records.last().map(crate::model::record::Record::head), audit.head());
    }
    let mut files: Vec<_> = fs::read_dir(room.state())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    files.sort();
    for file in files.iter().filter(|name| name.to_string_lossy().starts_with("audit")) {
        names.push(file.to_string_lossy().into_owned());
    }
    assert_eq!(names.len(), 13, "{names:?}");
    assert_eq!(names[..2], ["audit-000000000001.jsonl", "audit-000000000006.jsonl"]);
    let whole: Vec<u8> = names
        .iter()
        .flat_map(|name| fs::read(room.state().join(name)).unwrap())
        .collect();
    let report = examine(whole.split_inclusive(|b| *b == b'\n'), Anchors::default());
    assert_eq!(report.verdict, Verdict::KeyUnknown);
    assert_eq!(
        (report.chains.len(), report.chains[0].epochs, report.tree.size()),
        (1, 12, 72)
    );
}

#[test]
fn a_crash_between_two_files_is_mended_at_the_next_start() {
    let mut room = Room::new();
    let (directory, mut audit, mut keys) = room.start(BOOT);
    room.record(&mut audit);
    let now = room.moment();
    audit.seal(&mut keys, &now).unwrap();
    audit.rotate(&directory, 1, &now).unwrap();
    let head = audit.head();
    drop((directory, audit, keys));
    // As after the first rename and before the second.
    fs::rename(room.state().join(AUDIT), room.state().join(".audit.jsonl.next")).unwrap();
    let (_directory, audit, keys) = room.start(BOOT);
    assert_eq!((audit.head(), keys.epoch()), (head, 2));
}
