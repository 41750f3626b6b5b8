//! What is proved by which keys and heads, and since when nothing is.

use super::*;

/// A log of two boots, both sealed at their ends.
fn two_boots() -> (Writer, NoteKey, NoteKey) {
    let mut log = log();
    let first = first_key(&log);
    (0..2).for_each(|_| log.record());
    log.reboot(NEXT_BOOT, Keys(8));
    (0..4).for_each(|_| log.record());
    log.seal();
    let second = first_key(&log);
    (log, first, second)
}

fn anchors(keys: &[&NoteKey], noted: &[Noted]) -> Anchors {
    Anchors {
        keys: keys.iter().copied().cloned().collect(),
        noted: noted.to_vec(),
    }
}

#[test]
fn a_reboot_begins_a_chain_of_keys_and_leaves_a_window() {
    let (log, first, second) = two_boots();
    let report = examine(&log.lines, anchors(&[&first, &second], &[]));
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!(
        report.chains.iter().map(|c| (c.from, c.to)).collect::<Vec<_>>(),
        [(8, 64), (71, 71)]
    );
    let spans: Vec<_> = report
        .windows
        .iter()
        .map(|w| (w.after, w.records, w.until.is_some()))
        .collect();
    assert_eq!(spans, [(64, 6, true), (71, 0, false)]);
}

#[test]
fn a_chain_of_keys_that_nobody_vouches_for_proves_nothing() {
    let (log, first, _) = two_boots();
    let report = examine(&log.lines, anchors(&[&first], &[]));
    assert_eq!(report.verdict, Verdict::KeyUnknown);
    assert_eq!(report.proved, 64);
    assert_eq!(
        report.windows,
        [Window {
            after: 64,
            records: 7,
            ..report.windows[0].clone()
        }]
    );
    assert_eq!(report.windows[0].until, None);
}

#[test]
fn a_head_behind_the_first_seal_vouches_for_the_chain() {
    let (log, ..) = two_boots();
    let report = examine(&log.lines, anchors(&[], &[log.head.unwrap().into()]));
    assert_eq!(report.verdict, Verdict::Intact);
    assert!(report.chains.iter().all(|chain| chain.vouched));
    // What was noted then proves everything before it, the reboot's window too.
    assert_eq!(report.windows.len(), 1);
    assert_eq!(report.windows[0].after, 71);
}

#[test]
fn a_head_is_a_record_hash_a_root_or_the_first_digits_of_a_root() {
    let log = log();
    let root = log.tree.root();
    let good = [
        NotedHash::Whole(log.head.unwrap().hash),
        NotedHash::Whole(root),
        NotedHash::Short(root.short()),
    ];
    for hash in good {
        let noted = Noted {
            size: 64,
            hash,
            origin: None,
        };
        assert_eq!(verdict(&log.lines, anchors(&[], &[noted])), Verdict::Intact);
    }
    for hash in [
        NotedHash::Whole(Digest::zero()),
        NotedHash::Short("000000000000".to_owned()),
    ] {
        let noted = Noted {
            size: 30,
            hash,
            origin: None,
        };
        assert_eq!(damage(&log.lines, anchors(&[], &[noted])), (30, Why::Noted(30)));
    }
}

#[test]
fn a_log_without_seals_is_readable_and_all_of_it_unproved() {
    let golden = include_bytes!("../../../../tests/golden/audit/v1.jsonl");
    let report = examine(golden.split_inclusive(|b| *b == b'\n'), Anchors::default());
    assert_eq!(report.verdict, Verdict::TailUnproved);
    assert_eq!((report.proved, report.windows.len()), (0, 1));
    assert_eq!(report.windows[0].records, report.tree.size());
    let noted = report.head.unwrap().into();
    let again = examine(golden.split_inclusive(|b| *b == b'\n'), anchors(&[], &[noted]));
    assert_eq!(again.verdict, Verdict::Intact);
}

#[test]
fn an_empty_log_is_intact_and_a_torn_tail_is_remarked_on() {
    let none: [&[u8]; 0] = [];
    assert_eq!(examine(none, Anchors::default()).verdict, Verdict::Intact);
    let mut log = log();
    log.lines.push(b"{\"actor\":".to_vec());
    let report = examine(&log.lines, with_key(&log));
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!(report.remarks, [Remark::Torn { bytes: 9 }]);
}

#[test]
fn long_silence_is_remarked_on() {
    let mut log = log();
    log.clock_ms += 3 * SEAL_EVERY_MS;
    log.seal();
    let report = examine(&log.lines, with_key(&log));
    assert_eq!(report.verdict, Verdict::Intact);
    assert!(
        matches!(
            report.remarks[..],
            [Remark::Silence {
                minutes: 180,
                before: 65
            }]
        ),
        "{:?}",
        report.remarks
    );
}
