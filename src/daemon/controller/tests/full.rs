//! A disk without room: no cut begins, every cut ends, and the end is in the log, now or as soon as there is room.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;

use super::{Bench, DEFAULT_MS, METHODS, refused};
use crate::api::error::Code;
use crate::api::{EmergencyState, Grade, RevertRequest};
use crate::daemon::command::Command;
use crate::store::disk::{AfterFault, Disk, FaultyDisk, RealDisk};
use crate::store::reserve::RESERVE_BYTES;

/// Room for some records; what a declaration needs is more.
const LITTLE: u64 = 4_096;
/// Long enough for the next attempt to be due.
const LATER_MS: u64 = 3_000;

/// A disk of which this many bytes are free. A write that does not fit writes what does.
#[derive(Debug)]
pub(super) struct Bounded {
    free: AtomicU64,
    /// Whether others take at once what becomes free.
    contended: AtomicBool,
}

impl Bounded {
    pub(super) fn roomy() -> Arc<Self> {
        Arc::new(Self {
            free: AtomicU64::new(1 << 40),
            contended: AtomicBool::new(false),
        })
    }

    fn leave(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Relaxed);
    }

    /// No byte is free, and none ever becomes free.
    pub(super) fn fill_for_good(&self) {
        self.leave(0);
        self.contended.store(true, Ordering::Relaxed);
    }

    fn gain(&self, bytes: u64) {
        if self.contended.load(Ordering::Relaxed) {
            return;
        }
        self.free.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn size(directory: BorrowedFd<'_>, name: &str) -> u64 {
    let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
    stat.map_or(0, |stat| u64::try_from(stat.st_size).unwrap())
}

impl Disk for Bounded {
    fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let length = file.metadata()?.len();
        let free = self.free.load(Ordering::Relaxed);
        let room = usize::try_from((length + free).saturating_sub(offset)).unwrap_or(usize::MAX);
        let fits = bytes.len().min(room);
        if fits == 0 {
            return Err(Errno::ENOSPC.into());
        }
        self.leave(free - (offset + fits as u64).saturating_sub(length));
        file.write_at(&bytes[..fits], offset)
    }

    fn rename(&self, directory: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
        self.gain(size(directory, to));
        RealDisk.rename(directory, from, to)
    }

    fn unlink(&self, directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.gain(size(directory, name));
        RealDisk.unlink(directory, name)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.gain(file.metadata()?.len().saturating_sub(length));
        RealDisk.truncate(file, length)
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

fn reserve_grade(bench: &mut Bench) -> Grade {
    let readiness = bench.ask(Command::Readiness).unwrap();
    let found = readiness.findings.into_iter().find(|f| f.check == "disk reserve");
    found.unwrap().grade
}

#[test]
fn on_a_disk_that_is_full_from_the_cut_on_its_end_is_recorded_by_the_reserve() {
    for policy in METHODS {
        for left in [0, 1, 100, LITTLE] {
            let context = format!("{policy}, {left} bytes left");
            let disk = Bounded::roomy();
            let mut bench = Bench::on(disk.clone());
            let id = bench.declare(policy).unwrap().id;
            assert_eq!(reserve_grade(&mut bench), Grade::Good, "{context}");
            disk.leave(left);
            let receipt = bench.revert(&id).unwrap();
            assert_eq!(receipt.state, EmergencyState::Ended, "{context}");
            let records = bench.records();
            assert_eq!(
                records[records.len() - 2..],
                ["revert-requested", "restored"],
                "{context}: {records:?}"
            );
            assert!(!bench.holds("journal.json"), "{context}");
            assert_eq!(bench.status().audit.fault, None, "{context}");
            // Nothing needs the room any more.
            disk.gain(2 * RESERVE_BYTES);
            bench.clock.pass(LATER_MS);
            bench.status();
            assert_eq!(reserve_grade(&mut bench), Grade::Good, "{context}");
            bench.assert_ended(&context);
        }
    }
}

#[test]
fn the_reserve_is_no_room_for_a_new_cut_or_more_of_one() {
    let disk = Bounded::roomy();
    let mut bench = Bench::on(disk.clone());
    let id = bench.declare("isolate").unwrap().id;
    disk.leave(10);
    assert!(matches!(
        bench.extend(&id, 1).unwrap_err().code,
        Code::NoRecord | Code::NoJournal
    ));
    assert!(matches!(
        bench.declare("crash-open").unwrap_err().code,
        Code::NoRecord | Code::NoJournal
    ));
    assert_eq!(
        std::fs::metadata(bench.state().join("reserve")).unwrap().len(),
        RESERVE_BYTES
    );
    assert_eq!(reserve_grade(&mut bench), Grade::Failed, "the refusals wait");
}

#[test]
fn an_end_without_room_and_reserve_is_recorded_when_there_is_room_with_its_own_time() {
    for policy in METHODS {
        let disk = Bounded::roomy();
        let mut bench = Bench::on(disk.clone());
        bench.declare(policy).unwrap();
        let log = bench.state().join("audit.jsonl");
        let lines = || std::fs::read_to_string(&log).unwrap().matches('\n').count();
        let before = lines();
        std::fs::remove_file(bench.state().join("reserve")).unwrap();
        disk.leave(0);
        bench.pass(DEFAULT_MS);
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string(), "{policy}");
        assert_eq!(lines(), before, "{policy}: nothing could be recorded");
        // What the journal took is free again; others take it.
        disk.leave(0);
        assert!(
            !bench.holds("journal.json"),
            "{policy}: a name can be removed from a full disk"
        );
        let ended = bench.clock.0.lock().unwrap().clone();
        assert_eq!(reserve_grade(&mut bench), Grade::Failed, "{policy}");
        bench.clock.pass(LATER_MS);
        bench.status();
        assert_eq!(lines(), before, "{policy}: still no room");
        disk.leave(64 << 20);
        bench.clock.pass(LATER_MS);
        bench.status();
        let page = bench
            .ask(|reply| Command::Audit(crate::api::AuditQuery::default(), reply))
            .unwrap();
        let late = |event: &str| {
            let found: Vec<_> = page.records.iter().filter(|r| r["event"] == event).collect();
            assert_eq!(found.len(), 1, "{policy}: {event}");
            let late = &found[0]["details"]["recorded_late"];
            // The end may have waited for the kernel, by the clock of the test.
            let about = |key: &str, at: u64| {
                let told = late[key].as_u64().unwrap();
                assert!(
                    told.abs_diff(at) < 1_000,
                    "{policy}: {event}: {key} {told}, not about {at}"
                );
            };
            about("boottime_ms", ended.boottime_ms);
            about("wall_ms", u64::try_from(ended.wall_ms).unwrap());
            about("late_ms", 2 * LATER_MS);
            found[0]["sequence"].as_u64().unwrap()
        };
        assert!(late("deadline-reached") < late("restored"), "{policy}");
        assert_eq!(bench.status().audit.fault, None, "{policy}");
        bench.clock.pass(LATER_MS);
        bench.status();
        assert_eq!(reserve_grade(&mut bench), Grade::Good, "{policy}: made again");
        bench.assert_ended(policy);
    }
}

#[test]
fn of_more_records_than_are_kept_the_oldest_go_and_are_counted() {
    let disk = Bounded::roomy();
    let mut bench = Bench::on(disk.clone());
    disk.leave(0);
    for _ in 0..300 {
        refused(
            bench.ask(|reply| Command::Revert("none".to_owned(), RevertRequest::default(), reply)),
            Code::NoSuchEmergency,
        );
    }
    disk.leave(64 << 20);
    bench.clock.pass(LATER_MS);
    bench.status();
    let page = bench
        .ask(|reply| Command::Audit(crate::api::AuditQuery::default(), reply))
        .unwrap();
    let late: Vec<_> = page
        .records
        .iter()
        .filter(|r| r["details"]["recorded_late"].is_object())
        .collect();
    assert_eq!(late.len(), 256);
    assert_eq!(late[0]["details"]["recorded_late"]["dropped_before"], 44);
    assert!(late[1]["details"]["recorded_late"]["dropped_before"].is_null());
}

#[test]
fn whichever_call_of_a_full_disk_fails_an_end_has_exactly_one_record() {
    for policy in METHODS {
        let counted = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
        let mut bench = Bench::on(counted.clone());
        let id = bench.declare(policy).unwrap().id;
        let declared = counted.calls();
        bench.revert(&id).unwrap();
        for at in declared + 1..=counted.calls() {
            for errno in [Errno::ENOSPC, Errno::EIO] {
                let context = format!("{policy}: call {at} fails by {errno}");
                let mut bench = Bench::on(Arc::new(FaultyDisk::new(at, errno, AfterFault::Heals)));
                let id = bench.declare(policy).unwrap().id;
                bench.revert(&id).unwrap();
                bench.clock.pass(LATER_MS);
                bench.status();
                let records = bench.records();
                let ends: Vec<_> = records[3..].iter().filter(|event| *event != "audit-torn").collect();
                assert_eq!(ends, ["revert-requested", "restored"], "{context}: {records:?}");
            }
        }
    }
}
