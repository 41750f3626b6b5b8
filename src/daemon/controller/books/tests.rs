use std::fs;
use std::path::PathBuf;

use super::*;

struct FixedClock(Moment);

impl Clock for FixedClock {
    fn now(&self) -> Moment {
        self.0.clone()
    }
}

fn moment(boottime_ms: u64) -> Moment {
    Moment {
        boot_id: "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d".to_owned(),
        boottime_ms,
        wall_ms: 1_700_000_000_000,
    }
}

struct Room(tempfile::TempDir);

impl Room {
    /// On tmpfs, where keys may be kept.
    fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("state").join(AUDIT)
    }

    fn open(&self, at_ms: u64) -> Books {
        let directory = StateDirectory::open(self.0.path().join("state")).unwrap();
        let keeping = Keeping::File(self.0.path().join("audit.key"));
        Books::open(directory, &keeping, &FixedClock(moment(at_ms)))
    }
}

fn seals(books: &Books) -> u64 {
    let last = books.audit.as_ref().unwrap().last_seal().unwrap();
    last.map_or(0, |seal| seal.epoch)
}

fn note(books: &mut Books, event: EventKind, at_ms: u64) {
    books.record(Draft::of_daemon(event), &moment(at_ms)).unwrap();
}

#[test]
fn a_decision_is_sealed_at_the_next_chance_and_nothing_else_before_its_time() {
    let room = Room::new();
    let mut books = room.open(0);
    note(&mut books, EventKind::DaemonStarted, 1);
    assert_eq!(seals(&books), 0, "a record waits for no seal");
    books.seal_if_due(&moment(2), Watch::Idle);
    assert_eq!(seals(&books), 1);
    note(&mut books, EventKind::PlanMade, 3);
    books.seal_if_due(&moment(4), Watch::Held);
    assert_eq!(seals(&books), 1);
    for &event in EventKind::ALL.iter().filter(|event| event.is_decision()) {
        let before = seals(&books);
        note(&mut books, event, 5);
        books.seal_if_due(&moment(5), Watch::Idle);
        assert_eq!(seals(&books), before + 1, "{event}");
    }
}

#[test]
fn empty_epochs_are_sealed_every_minute_while_something_is_held_and_every_hour_otherwise() {
    let room = Room::new();
    let mut books = room.open(0);
    note(&mut books, EventKind::PlanMade, 0);
    let due = [
        (59_999, Watch::Held, 0),
        (60_000, Watch::Held, 1),
        (60_001, Watch::Held, 1),
        (119_999, Watch::Idle, 1),
        (120_000, Watch::Held, 2),
        (120_000 + SEAL_EVERY_MS - 1, Watch::Idle, 2),
        (120_000 + SEAL_EVERY_MS, Watch::Idle, 3),
        (180_000 + SEAL_EVERY_MS, Watch::Held, 4),
    ];
    for (at_ms, watch, sealed) in due {
        books.seal_if_due(&moment(at_ms), watch);
        assert_eq!(seals(&books), sealed, "{at_ms}");
    }
}

#[test]
fn a_log_put_back_within_the_boot_is_seen_at_the_start_by_the_keys_word() {
    let room = Room::new();
    let mut books = room.open(0);
    note(&mut books, EventKind::DaemonStarted, 1);
    books.seal(&moment(2));
    let older = fs::read(room.log()).unwrap();
    note(&mut books, EventKind::Declared, 3);
    books.seal(&moment(4));
    drop(books);
    let newer = fs::read(room.log()).unwrap();
    fs::write(room.log(), older).unwrap();
    let mut books = room.open(5);
    assert!(books.head().fault.unwrap().contains("the log ends before record 4"));
    books
        .record(Draft::of_daemon(EventKind::Declared), &moment(6))
        .unwrap_err();
    books.seal_if_due(&moment(SEAL_EVERY_MS + 7), Watch::Idle);
    drop(books);
    fs::write(room.log(), newer).unwrap();
    let mut books = room.open(8);
    assert_eq!(books.head().fault, None);
    books.seal(&moment(9));
    assert_eq!(seals(&books), 3);
}

#[test]
fn a_log_moved_away_begins_anew() {
    let room = Room::new();
    let mut books = room.open(0);
    note(&mut books, EventKind::DaemonStarted, 1);
    books.seal(&moment(2));
    drop(books);
    fs::rename(room.log(), room.0.path().join("away")).unwrap();
    let mut books = room.open(3);
    note(&mut books, EventKind::DaemonStarted, 4);
    books.seal(&moment(5));
    assert_eq!((seals(&books), books.head().fault), (1, None));
    let head = books.head();
    assert_eq!((head.sequence, head.short.len()), (2, 12));
    assert!(head.checkpoint.unwrap().starts_with("portcullis-audit/"));
}
