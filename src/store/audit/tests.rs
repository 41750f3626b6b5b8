use std::fs;

use nix::errno::Errno;
use serde_json::json;

use std::path::Path;

use super::*;
use crate::model::record::Actor;
use crate::model::record::Peer;
use crate::store::disk::{AfterFault, FaultyDisk};
use crate::store::power::{ForgetfulDisk, Outlasts};

fn room() -> (tempfile::TempDir, PathBuf) {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("state");
    (room, path)
}

fn moment(n: u64) -> Moment {
    Moment {
        boot_id: "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d".to_owned(),
        boottime_ms: n,
        wall_ms: 1_700_000_000_000 + i64::try_from(n).unwrap(),
    }
}

fn declared(uid: u32) -> Draft {
    Draft {
        actor: Actor::Peer(Peer {
            executable: None,
            gid: 0,
            groups: Vec::new(),
            hearsay: Vec::new(),
            login_uid: None,
            unit: None,
            pid: 1,
            uid,
            user: None,
        }),
        emergency: Some("018f8b7e-0000-7000-8000-000000000001".parse().unwrap()),
        details: json!({ "reason": "worm\n\u{1b}[2J" }),
        ..Draft::of_daemon(EventKind::Declared)
    }
}

fn open_whole(directory: &StateDirectory) -> AuditFile {
    let (audit, torn) = AuditFile::open(directory, AUDIT).unwrap();
    assert_eq!(torn, None);
    audit
}

#[test]
fn what_was_appended_is_there_after_a_restart_and_goes_on() {
    let (_room, path) = room();
    let mut heads = vec![None];
    for run in 0..3 {
        let directory = StateDirectory::open(&path).unwrap();
        let mut audit = open_whole(&directory);
        assert_eq!(audit.head(), heads[heads.len() - 1]);
        for n in 0..4 {
            let record = audit.append(declared(n), &moment(u64::from(run * 4 + n))).unwrap();
            heads.push(Some(record.head()));
            assert_eq!(audit.head(), Some(record.head()));
        }
    }
    let head = heads[12];
    assert_eq!(head.unwrap().sequence, 12);
    let kept: Vec<_> = heads.into_iter().flatten().collect();
    assert_eq!(
        verify_holding(&path.join(AUDIT), &kept).unwrap(),
        Verdict::Intact { head }
    );
    assert_eq!(
        fs::read(path.join(AUDIT))
            .unwrap()
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        12
    );
}

#[test]
fn a_tail_that_could_not_be_set_aside_leaves_no_half_of_itself() {
    for n in 1.. {
        let (_room, path) = room();
        let directory = StateDirectory::open(&path).unwrap();
        open_whole(&directory).append(declared(9), &moment(9)).unwrap();
        drop(directory);
        let bytes = fs::read(path.join(AUDIT)).unwrap();
        let tail = &bytes[..100];
        fs::write(path.join(AUDIT), [&bytes[..], tail].concat()).unwrap();
        let disk = Arc::new(FaultyDisk::new(n, Errno::ENOSPC, AfterFault::Heals));
        let opened = AuditFile::open(
            &StateDirectory::open_on(&path, Arc::<FaultyDisk>::clone(&disk)).unwrap(),
            AUDIT,
        );
        if disk.calls() < n {
            assert!(opened.is_ok() && n > 2, "{n} calls");
            break;
        }
        if let Ok(set_aside) = fs::read(path.join("audit.torn-1")) {
            assert_eq!(set_aside, tail, "after a fault at call {n}");
        }
    }
}

#[test]
fn a_torn_last_line_is_set_aside_at_whatever_byte_it_was_torn() {
    let (_room, path) = room();
    let directory = StateDirectory::open(&path).unwrap();
    let mut audit = open_whole(&directory);
    let first = audit.append(declared(0), &moment(0)).unwrap();
    let whole = fs::read(path.join(AUDIT)).unwrap();
    audit.append(declared(1), &moment(1)).unwrap();
    let both = fs::read(path.join(AUDIT)).unwrap();
    drop(audit);
    for (n, length) in (1..).zip(whole.len() + 1..both.len()) {
        fs::write(path.join(AUDIT), &both[..length]).unwrap();
        let (audit, torn) = AuditFile::open(&directory, AUDIT).unwrap();
        let torn = torn.unwrap();
        assert_eq!(torn.name, format!("audit.torn-{n}"));
        assert_eq!(fs::read(path.join(&torn.name)).unwrap(), both[whole.len()..length]);
        assert_eq!(torn.digest, Digest::of(&both[whole.len()..length]));
        assert_eq!(torn.bytes, (length - whole.len()) as u64);
        assert_eq!(audit.head(), Some(first.head()));
        assert_eq!(fs::read(path.join(AUDIT)).unwrap(), whole);
    }
    let mut audit = open_whole(&directory);
    audit.append(declared(1), &moment(1)).unwrap();
    assert_eq!(
        fs::read(path.join(AUDIT)).unwrap(),
        both,
        "and the log goes on as if nothing had been"
    );
}

#[test]
fn a_changed_log_is_an_error_and_is_left_as_it_is() {
    let (_room, path) = room();
    let directory = StateDirectory::open(&path).unwrap();
    let mut audit = open_whole(&directory);
    for n in 0..3 {
        audit.append(declared(0), &moment(n)).unwrap();
    }
    drop(audit);
    let text = fs::read_to_string(path.join(AUDIT)).unwrap();
    let changed = text.replacen("worm", "bug", 1);
    fs::write(path.join(AUDIT), &changed).unwrap();
    match AuditFile::open(&directory, AUDIT) {
        Err(AuditError::Broken { damage, .. }) => assert_eq!((damage.line, damage.sequence), (1, 1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(path.join(AUDIT)).unwrap(), changed);
}

#[test]
fn a_log_cut_off_at_a_line_is_seen_by_the_head_that_the_journal_kept() {
    let (_room, path) = room();
    let directory = StateDirectory::open(&path).unwrap();
    let mut audit = open_whole(&directory);
    audit.append(declared(0), &moment(0)).unwrap();
    let kept = audit.append(declared(0), &moment(1)).unwrap().head();
    drop(audit);
    let bytes = fs::read(path.join(AUDIT)).unwrap();
    AuditFile::open_holding(&directory, AUDIT, &[kept]).unwrap();
    for length in 0..bytes.len() {
        fs::write(path.join(AUDIT), &bytes[..length]).unwrap();
        let opened = AuditFile::open_holding(&directory, AUDIT, &[kept]);
        assert!(matches!(opened, Err(AuditError::Broken { .. })), "cut at {length}");
    }
}

#[test]
fn a_line_without_end_is_refused_in_bounded_memory() {
    let (_room, path) = room();
    let directory = StateDirectory::open(&path).unwrap();
    fs::write(path.join(AUDIT), vec![b' '; 3 * LINE_MAX_BYTES]).unwrap();
    assert!(matches!(
        AuditFile::open(&directory, AUDIT),
        Err(AuditError::Broken { .. })
    ));
}

#[test]
fn a_draft_that_cannot_be_sealed_does_not_poison_the_file() {
    let (_room, path) = room();
    let directory = StateDirectory::open(&path).unwrap();
    let mut audit = open_whole(&directory);
    let draft = Draft {
        details: json!(0.5),
        ..declared(0)
    };
    assert!(matches!(audit.append(draft, &moment(0)), Err(AuditError::Seal(_))));
    audit.append(declared(0), &moment(0)).unwrap();
}

/// Opens, appends three records, and says which were acknowledged.
fn run(directory: &StateDirectory) -> Vec<Head> {
    let Ok((mut audit, _)) = AuditFile::open(directory, AUDIT) else {
        return Vec::new();
    };
    let mut acknowledged = Vec::new();
    for n in 0..3 {
        match audit.append(declared(n), &moment(u64::from(n))) {
            Ok(record) => acknowledged.push(record.head()),
            Err(AuditError::Append { .. }) => {
                for again in 0..3 {
                    let refused = audit.append(declared(again), &moment(0));
                    assert!(matches!(refused, Err(AuditError::Poisoned { .. })), "{refused:?}");
                }
                return acknowledged;
            }
            Err(other) => panic!("{other}"),
        }
    }
    acknowledged
}

#[test]
fn whatever_call_fails_no_acknowledged_record_is_lost_and_no_record_is_half() {
    for torn_before in [false, true] {
        for errno in [Errno::EIO, Errno::ENOSPC] {
            for after in [AfterFault::Heals, AfterFault::StaysBroken] {
                let mut faults = 0;
                for n in 1.. {
                    let (_room, path) = room();
                    if torn_before {
                        let directory = StateDirectory::open(&path).unwrap();
                        open_whole(&directory).append(declared(9), &moment(9)).unwrap();
                        let bytes = fs::read(path.join(AUDIT)).unwrap();
                        let torn = [&bytes[..], &bytes[..100]].concat();
                        fs::write(path.join(AUDIT), torn).unwrap();
                    }
                    let disk = Arc::new(FaultyDisk::new(n, errno, after));
                    let acknowledged = run(&StateDirectory::open_on(&path, Arc::<FaultyDisk>::clone(&disk)).unwrap());
                    let directory = StateDirectory::open(&path).unwrap();
                    let (mut audit, _) = AuditFile::open_holding(&directory, AUDIT, &acknowledged).unwrap();
                    audit.append(declared(4), &moment(4)).unwrap();
                    drop(audit);
                    let verdict = verify_holding(&path.join(AUDIT), &acknowledged).unwrap();
                    assert!(
                        matches!(verdict, Verdict::Intact { .. }),
                        "{errno} at call {n}: {verdict:?}"
                    );
                    if disk.calls() < n {
                        assert_eq!(acknowledged.len(), 3);
                        break;
                    }
                    assert!(acknowledged.len() < 3, "{errno} at call {n}");
                    faults += 1;
                }
                // Create, sync of the directory, and a write and a sync for each record; or the same with a record to
                // write again and a tail to set aside.
                assert_eq!(faults, if torn_before { 15 } else { 8 });
            }
        }
    }
}

#[test]
fn records_are_found_by_each_filter() {
    let (_room, path) = room();
    let directory = StateDirectory::open(&path).unwrap();
    let mut audit = open_whole(&directory);
    audit
        .append(Draft::of_daemon(EventKind::DaemonStarted), &moment(0))
        .unwrap();
    for n in 1..5 {
        audit.append(declared(n), &moment(10 * u64::from(n))).unwrap();
    }
    audit.append(Draft::of_daemon(EventKind::Drift), &moment(50)).unwrap();
    let found = |filter: Filter| -> Vec<u64> {
        let records = audit.records(&directory, &filter).unwrap();
        records.iter().map(|r| r.sequence).collect()
    };
    let all = Filter::default;
    assert_eq!(found(all()), [1, 2, 3, 4, 5, 6]);
    let since_ms = Some(1_700_000_000_030);
    assert_eq!(found(Filter { since_ms, ..all() }), [4, 5, 6]);
    assert_eq!(
        found(Filter {
            after_sequence: Some(4),
            ..all()
        }),
        [5, 6]
    );
    assert_eq!(
        found(Filter {
            emergency: declared(0).emergency,
            ..all()
        }),
        [2, 3, 4, 5]
    );
    assert_eq!(found(Filter { uid: Some(3), ..all() }), [4]);
    assert_eq!(
        found(Filter { uid: Some(0), ..all() }),
        [] as [u64; 0],
        "the daemon is no user"
    );
    assert_eq!(
        found(Filter {
            event: Some(EventKind::Drift),
            ..all()
        }),
        [6]
    );
    assert_eq!(
        found(Filter {
            take: Take::First(2),
            ..all()
        }),
        [1, 2]
    );
    assert_eq!(
        found(Filter {
            take: Take::Last(2),
            ..all()
        }),
        [5, 6]
    );
    assert_eq!(
        found(Filter {
            take: Take::Last(0),
            ..all()
        }),
        [] as [u64; 0]
    );
}

#[test]
fn records_are_not_shown_from_a_log_that_was_changed_under_way() {
    let (_room, path) = room();
    let directory = StateDirectory::open(&path).unwrap();
    let mut audit = open_whole(&directory);
    audit.append(declared(0), &moment(0)).unwrap();
    audit.append(declared(0), &moment(1)).unwrap();
    let bytes = fs::read(path.join(AUDIT)).unwrap();
    for at in [5, bytes.len() - 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(path.join(AUDIT), &changed).unwrap();
        assert!(audit.records(&directory, &Filter::default()).is_err(), "byte {at}");
    }
    fs::write(path.join(AUDIT), &bytes[..bytes.len() / 2]).unwrap();
    assert!(audit.records(&directory, &Filter::default()).is_err());
}

#[test]
fn a_copy_is_verified_without_a_state_directory() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/audit/v1.jsonl");
    let verdict = verify(Path::new(golden)).unwrap();
    assert!(
        matches!(verdict, Verdict::Intact { head: Some(head) } if head.sequence == 8),
        "{verdict:?}"
    );
    let missing = verify(Path::new("/nonexistent/audit.jsonl")).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/audit.jsonl"));
}

/// Starts from a log of two records, the power goes at the n-th call, and every acknowledged record must be there.
fn power_cuts(torn_before: bool, outlasts: Outlasts) {
    for n in 1.. {
        let (_room, path) = room();
        let directory = StateDirectory::open(&path).unwrap();
        let mut audit = open_whole(&directory);
        let first = audit.append(declared(8), &moment(8)).unwrap().head();
        drop((audit, directory));
        if torn_before {
            let bytes = fs::read(path.join(AUDIT)).unwrap();
            fs::write(path.join(AUDIT), [&bytes[..], &bytes[..99]].concat()).unwrap();
        }
        let disk = ForgetfulDisk::new(&path, n, 0);
        let directory = StateDirectory::open_on(&path, Arc::<ForgetfulDisk>::clone(&disk)).unwrap();
        let mut kept = run(&directory);
        kept.push(first);
        drop(directory);
        disk.cut_power(outlasts);

        let directory = StateDirectory::open(&path).unwrap();
        let opened = AuditFile::open_holding(&directory, AUDIT, &kept);
        assert!(opened.is_ok(), "{outlasts:?}, call {n}: {opened:?}");
        if !disk.died() {
            return;
        }
    }
}

#[test]
fn a_power_cut_at_any_call_loses_no_acknowledged_record() {
    for outlasts in Outlasts::ALL {
        power_cuts(false, outlasts);
        power_cuts(true, outlasts);
    }
}

#[test]
fn a_record_whose_sync_failed_is_on_the_disk_before_one_that_follows_it_after_reopening() {
    for outlasts in Outlasts::ALL {
        for sync_fails_at in 1..=3 {
            let (_room, path) = room();
            drop(StateDirectory::open(&path).unwrap());
            let disk = ForgetfulDisk::new(&path, u64::MAX, sync_fails_at);
            let directory = StateDirectory::open_on(&path, Arc::<ForgetfulDisk>::clone(&disk)).unwrap();
            let mut kept = run(&directory);
            assert_eq!(kept.len() as u64, sync_fails_at - 1);
            kept.extend(run(&directory));
            assert_eq!(kept.len() as u64, sync_fails_at + 2);
            drop(directory);
            disk.cut_power(outlasts);

            let directory = StateDirectory::open(&path).unwrap();
            let opened = AuditFile::open_holding(&directory, AUDIT, &kept);
            assert!(opened.is_ok(), "{outlasts:?}, sync {sync_fails_at}: {opened:?}");
        }
    }
}
