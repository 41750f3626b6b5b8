use serde_json::json;

use super::*;
use crate::model::emergency::Moment;
use crate::model::record::{Actor, Draft, EventKind, Peer, seal};

/// Eight records as one emergency leaves them.
fn log() -> Vec<Vec<u8>> {
    let kinds = [
        EventKind::DaemonStarted,
        EventKind::PlanMade,
        EventKind::Declared,
        EventKind::StepsApplied,
        EventKind::InForce,
        EventKind::RevertRequested,
        EventKind::Restored,
        EventKind::DaemonStopped,
    ];
    let mut previous = Digest::zero();
    let mut lines = Vec::new();
    for (sequence, event) in (1..).zip(kinds) {
        let moment = Moment {
            boot_id: "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d".to_owned(),
            boottime_ms: 1000 * sequence,
            wall_ms: 1_700_000_000_000 + i64::try_from(sequence).unwrap(),
        };
        let draft = Draft {
            actor: Actor::Peer(Peer {
                executable: Some("/usr/bin/portcullis".to_owned()),
                gid: 1000,
                groups: Vec::new(),
                hearsay: Vec::new(),
                login_uid: None,
                unit: None,
                pid: 4711,
                uid: 1000,
                user: Some("ada".to_owned()),
            }),
            policy: Some("uplink-off".parse().unwrap()),
            emergency: Some("018f8b7e-0000-7000-8000-000000000001".parse().unwrap()),
            details: json!({"reason": "worm @ gateway", "steps": 3}),
            ..Draft::of_daemon(event)
        };
        let record = seal(draft, previous, sequence, &moment).unwrap();
        previous = record.hash;
        lines.push(record.line().unwrap());
    }
    lines
}

fn verdict_of(bytes: &[u8], kept: &[Head]) -> Verdict {
    verify_chain_holding(bytes.split_inclusive(|b| *b == b'\n'), kept)
}

fn head_of(line: &[u8]) -> Head {
    serde_json::from_slice::<Record>(line).unwrap().head()
}

fn flaw_of(verdict: Verdict) -> (u64, Flaw) {
    match verdict {
        Verdict::Broken { damage, .. } => (damage.line, damage.flaw),
        Verdict::Intact { .. } | Verdict::TornTail { .. } => panic!("not broken: {verdict:?}"),
    }
}

#[test]
fn an_untouched_log_passes() {
    let lines = log();
    let head = Some(head_of(&lines[7]));
    let kept: Vec<_> = lines.iter().map(|l| head_of(l)).collect();
    assert_eq!(verify_chain(&lines), Verdict::Intact { head });
    assert_eq!(verdict_of(&lines.concat(), &kept), Verdict::Intact { head });
    assert_eq!(verify_chain::<&[u8]>([]), Verdict::Intact { head: None });
}

#[test]
fn every_flipped_bit_is_seen_in_the_record_it_is_in() {
    let lines = log();
    let bytes = lines.concat();
    let last_starts = bytes.len() - lines[7].len();
    let (mut line, mut flips) = (1, 0);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            match verdict_of(&changed, &[]) {
                // The last line alone may look like an append that was interrupted.
                Verdict::TornTail { offset, .. } => assert_eq!(offset, last_starts as u64, "byte {at} bit {bit}"),
                Verdict::Broken { damage, .. } => assert_eq!(damage.line, line, "byte {at} bit {bit}"),
                Verdict::Intact { .. } => panic!("byte {at} bit {bit} was not seen"),
            }
            // With the head kept elsewhere that is seen as well.
            if at >= last_starts {
                let verdict = verdict_of(&changed, &[head_of(&lines[7])]);
                assert!(
                    matches!(verdict, Verdict::Broken { .. }),
                    "byte {at} bit {bit}: {verdict:?}"
                );
            }
            flips += 1;
        }
        line += u64::from(bytes[at] == b'\n');
    }
    assert_eq!(flips, 8 * bytes.len());
}

#[test]
fn a_log_cut_at_any_byte_is_torn_or_shorter_than_a_kept_head() {
    let lines = log();
    let bytes = lines.concat();
    let last = head_of(&lines[7]);
    for length in 0..bytes.len() {
        let whole = bytes[..length].iter().filter(|b| **b == b'\n').count();
        let start: usize = lines[..whole].iter().map(Vec::len).sum();
        let head = lines[..whole].last().map(|l| head_of(l));
        let expected = if start == length {
            Verdict::Intact { head }
        } else {
            Verdict::TornTail {
                head,
                offset: start as u64,
                length: (length - start) as u64,
            }
        };
        assert_eq!(verdict_of(&bytes[..length], &[]), expected, "cut at {length}");
        let (line, flaw) = flaw_of(verdict_of(&bytes[..length], &[last]));
        assert_eq!((line, flaw), (whole as u64 + 1, Flaw::CutOff(last)), "cut at {length}");
    }
}

#[test]
fn removed_swapped_and_doubled_records_are_named() {
    let lines = log();
    for i in 0..8 {
        if i < 7 {
            let mut removed = lines.clone();
            removed.remove(i);
            let expected = Flaw::Sequence {
                expected: i as u64 + 1,
                found: i as u64 + 2,
            };
            assert_eq!(flaw_of(verify_chain(&removed)), (i as u64 + 1, expected));
        }
        for j in i + 1..8 {
            let mut swapped = lines.clone();
            swapped.swap(i, j);
            let (line, flaw) = flaw_of(verify_chain(&swapped));
            assert_eq!(line, i as u64 + 1);
            assert!(matches!(flaw, Flaw::Sequence { .. }), "{flaw}");
        }
        for at in 0..=8 {
            let mut doubled = lines.clone();
            doubled.insert(at, lines[i].clone());
            let (line, flaw) = flaw_of(verify_chain(&doubled));
            assert_eq!(usize::try_from(line), Ok(if at == i { i + 2 } else { at + 1 }));
            assert!(matches!(flaw, Flaw::Sequence { .. }), "{flaw}");
        }
    }
}

#[test]
fn each_flaw_is_told_from_the_others() {
    let lines = log();
    let with_second = |line: Vec<u8>| {
        let mut changed = lines.clone();
        changed[1] = line;
        flaw_of(verify_chain(&changed))
    };
    let text = String::from_utf8(lines[1].clone()).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from));
        with_second(text.replace(from, to).into_bytes())
    };
    assert!(matches!(replaced("{\"actor", "{{\"actor"), (2, Flaw::NotJson(_))));
    assert!(matches!(with_second(b"\n".to_vec()), (2, Flaw::NotJson(_))));
    assert!(matches!(replaced("plan-made", "plan-mad"), (2, Flaw::NotARecord(_))));
    assert!(matches!(
        replaced("\"sequence\"", "\"serial\""),
        (2, Flaw::NotARecord(_))
    ));
    assert!(matches!(
        replaced("\"steps\":3", "\"steps\":3.0"),
        (2, Flaw::NotARecord(_))
    ));
    assert!(matches!(replaced(".002Z", ".003Z"), (2, Flaw::NotARecord(_))));
    assert_eq!(replaced(",\"boot_id", ", \"boot_id"), (2, Flaw::NotCanonical));
    assert_eq!(replaced("worm", "\\u0077orm"), (2, Flaw::NotCanonical));
    assert_eq!(
        replaced("\"steps\":3", "\"steps\":3,\"steps\":3"),
        (2, Flaw::NotCanonical)
    );
    assert!(matches!(replaced("worm", "bug"), (2, Flaw::Hash { .. })));
    let long = text.replace("worm", &"x".repeat(LINE_MAX_BYTES)).into_bytes();
    assert_eq!(with_second(long), (2, Flaw::TooLong));
}

#[test]
fn a_rewritten_log_with_right_hashes_differs_from_a_kept_head() {
    let lines = log();
    let mut previous = Digest::zero();
    let mut forged = Vec::new();
    for line in &lines {
        let record: Record = serde_json::from_slice(line).unwrap();
        let moment = Moment {
            boot_id: record.boot_id,
            boottime_ms: record.boottime_ms,
            wall_ms: record.wall_ms + 1,
        };
        let record = seal(Draft::of_daemon(record.event), previous, record.sequence, &moment).unwrap();
        previous = record.hash;
        forged.push(record.line().unwrap());
    }
    assert!(matches!(verify_chain(&forged), Verdict::Intact { .. }));
    let kept = head_of(&lines[4]);
    let verdict = verdict_of(&forged.concat(), &[kept]);
    assert_eq!(flaw_of(verdict), (5, Flaw::Rewritten(kept)));

    let mut spliced = lines.clone();
    spliced[4..].clone_from_slice(&forged[4..]);
    let (line, flaw) = flaw_of(verify_chain(&spliced));
    assert!(line == 5 && matches!(flaw, Flaw::Previous { .. }), "{flaw}");
}

#[test]
fn blocks_that_never_reached_the_disk_are_a_torn_tail_only_at_the_end() {
    let lines = log();
    let start = |i: usize| lines[..i].iter().map(Vec::len).sum::<usize>();
    // Up to the edge of a block inside the line.
    let edge = |i: usize| 512 - start(i) % 512;
    let zeroed = |i: usize, hole: std::ops::Range<usize>| {
        let mut changed = lines.clone();
        changed[i][hole].fill(0);
        verify_chain(&changed)
    };
    let length = lines[7].len();
    assert!(edge(7) < length && edge(6) < lines[6].len());
    assert!(matches!(zeroed(7, 0..edge(7)), Verdict::TornTail { .. }));
    assert!(matches!(zeroed(7, edge(7)..length), Verdict::TornTail { .. }));
    assert!(matches!(zeroed(7, 0..length), Verdict::TornTail { .. }));
    assert!(matches!(zeroed(6, 0..edge(6)), Verdict::Broken { .. }));
    assert!(matches!(zeroed(7, 10..edge(7) - 1), Verdict::Broken { .. }));
}

#[test]
fn an_end_without_a_newline_is_torn_only_if_it_could_be_the_beginning_of_one_record() {
    let lines = log();
    let good = lines[..3].concat();
    let end = |rest: &[u8]| verdict_of(&[&good[..], rest].concat(), &[]);
    let whole = lines[3].strip_suffix(b"\n").unwrap();
    let half = &whole[..whole.len() / 2];
    let text = String::from_utf8(whole.to_owned()).unwrap();
    for rest in [half, whole, &whole[..1], &[0; 5000]] {
        assert!(matches!(end(rest), Verdict::TornTail { .. }), "{:?}", end(rest));
    }
    let joined = lines[3..].concat().split(|b| *b == b'\n').collect::<Vec<_>>().concat();
    let spaced: Vec<u8> = lines[3..]
        .concat()
        .iter()
        .map(|b| if *b == b'\n' { b' ' } else { *b })
        .collect();
    let changed = text.replace("worm", "bugs");
    let doubled = [whole, half].concat();
    let bad: [&[u8]; 10] = [
        &joined,
        &spaced,
        b"x",
        b"{}",
        b"{\"actor\":}",
        b"{\"actor\":\"\xff\xff",
        b"{\"actor\":\"\x07",
        lines[4].strip_suffix(b"\n").unwrap(),
        changed.as_bytes(),
        &doubled,
    ];
    for rest in bad {
        let verdict = end(rest);
        let said = String::from_utf8_lossy(rest).into_owned();
        match verdict {
            Verdict::Broken { head, damage } => {
                assert_eq!(head, Some(head_of(&lines[2])), "{said}");
                assert_eq!((damage.line, damage.offset), (4, good.len() as u64), "{said}");
            }
            Verdict::Intact { .. } | Verdict::TornTail { .. } => panic!("{said}: {verdict:?}"),
        }
    }
    let all: Vec<u8> = lines.concat().into_iter().filter(|b| *b != b'\n').collect();
    assert_eq!(flaw_of(verdict_of(&all, &[])).0, 1);
}

/// The bytes of version 1 as files, read for ever.
#[test]
fn blocks_of_zeros_between_good_records_are_no_torn_tail() {
    let mut lines = log();
    lines.insert(3, b"\0\0\0\0\n".to_vec());
    let (line, flaw) = flaw_of(verdict_of(&lines.concat(), &[]));
    assert_eq!(line, 4);
    assert!(matches!(flaw, Flaw::NotJson(_)), "{flaw:?}");
}

#[test]
fn the_golden_log_passes_and_is_what_is_written_today() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/audit/v1.jsonl");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, log().concat()).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert!(matches!(verdict_of(&golden, &[]), Verdict::Intact { head: Some(head) } if head.sequence == 8));
    assert_eq!(
        String::from_utf8(golden).unwrap(),
        String::from_utf8(log().concat()).unwrap()
    );
}
