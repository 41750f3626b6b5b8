//! What somebody can do who became root at the end of the log, and has all files and the secret of the running epoch.

use super::*;

/// The log, three records in the running epoch, and the secret of that epoch.
fn taken() -> (Writer, SigningKey) {
    let mut log = log();
    (0..3).for_each(|_| log.record());
    let secret = HONEST.secret(log.epoch);
    (log, secret)
}

fn seals(lines: &[Vec<u8>]) -> Vec<usize> {
    (0..lines.len()).filter(|&at| is_seal(&lines[at])).collect()
}

/// Makes the lines fit together, with seals by the keys that the thief has.
fn resealed(lines: &[Vec<u8>], mut secret: impl FnMut(u64) -> SigningKey, keys: Keys) -> Vec<Vec<u8>> {
    let mut writer = Writer::new(keys);
    for line in lines {
        let record = record(line);
        writer.clock_ms = record.boottime_ms;
        if is_seal(line) {
            writer.clock_ms -= 1;
            writer.seal_with(writer.epoch, &secret(writer.epoch));
            writer.epoch += 1;
        } else {
            let moment = writer.moment();
            let draft = Draft {
                event: record.event,
                actor: record.actor,
                emergency: record.emergency,
                policy: record.policy,
                details: record.details,
            };
            writer.put(draft, &moment);
        }
    }
    writer.lines
}

fn with_change(lines: &[Vec<u8>], at: usize) -> Vec<Vec<u8>> {
    let mut lines = lines.to_vec();
    lines[at] = altered(&lines[at]);
    lines
}

#[test]
fn an_old_record_changed_and_the_chain_made_to_fit() {
    let (log, _) = taken();
    let changed = rechained(&with_change(&log.lines, 20));
    let (sequence, why) = damage(&changed, with_key(&log));
    assert!(matches!(why, Why::Seal(SealFlaw::Root { .. })), "{why:?}");
    // The seal before it stands at 16, so the damage begins behind that.
    assert_eq!(sequence, 17);
}

#[test]
fn older_epochs_sealed_again_with_the_newer_key() {
    let (log, secret) = taken();
    let changed = resealed(&with_change(&log.lines, 20), |_| secret.clone(), HONEST);
    let mut honest_until_there = log.lines[..16].to_vec();
    honest_until_there.extend_from_slice(&changed[16..]);
    for lines in [rechained(&honest_until_there), changed] {
        let verdict = verdict(&lines, with_key(&log));
        assert!(
            matches!(verdict, Verdict::Altered(_) | Verdict::KeyUnknown),
            "{verdict:?}"
        );
    }
}

#[test]
fn the_first_forged_seal_behind_honest_ones_is_named() {
    let (log, secret) = taken();
    let mut forger = Writer::behind(&log.lines[..16], HONEST, 3);
    forger.record();
    forger.seal_with(3, &secret);
    let (sequence, why) = damage(&forger.lines, with_key(&log));
    assert_eq!((sequence, why), (18, Why::Seal(SealFlaw::Key { before: 2 })));
}

#[test]
fn a_whole_log_sealed_with_keys_of_the_thiefs_own() {
    let (log, _) = taken();
    let forged = resealed(&with_change(&log.lines, 20), |epoch| THIEF.secret(epoch), THIEF);
    assert_eq!(verdict(&forged, with_key(&log)), Verdict::KeyUnknown);
    assert_eq!(verdict(&forged, Anchors::default()), Verdict::KeyUnknown);
}

#[test]
fn an_epoch_dropped() {
    let (log, _) = taken();
    let at = seals(&log.lines);
    let dropped = [&log.lines[..=at[1]], &log.lines[at[2] + 1..]].concat();
    let verdict = verdict(&rechained(&dropped), with_key(&log));
    assert!(
        matches!(
            verdict,
            Verdict::RolledBack(Damage {
                why: Why::Seal(SealFlaw::Missing { expected: 3, found: 4 }),
                ..
            })
        ),
        "{verdict:?}"
    );
}

#[test]
fn the_seal_of_an_empty_epoch_skipped() {
    let (log, _) = taken();
    let at = seals(&log.lines);
    let empty = at.iter().position(|&n| n > 0 && is_seal(&log.lines[n - 1])).unwrap();
    let skipped = [&log.lines[..at[empty]], &log.lines[at[empty] + 1..]].concat();
    let (_, why) = damage(&rechained(&skipped), with_key(&log));
    assert!(matches!(why, Why::Seal(SealFlaw::Missing { .. })), "{why:?}");
}

#[test]
fn empty_epochs_at_the_end_cut_off_and_the_current_key_used() {
    let (log, secret) = taken();
    let at = seals(&log.lines);
    let mut forger = Writer::behind(&log.lines[..=at[3]], HONEST, 5);
    forger.seal_with(log.epoch, &secret);
    let verdict = verdict(&forger.lines, with_key(&log));
    assert!(matches!(verdict, Verdict::RolledBack(_)), "{verdict:?}");
}

#[test]
fn a_seal_used_again() {
    let (log, _) = taken();
    let at = seals(&log.lines);
    for old in &at {
        let mut reused = log.lines.clone();
        reused.push(log.lines[*old].clone());
        let (_, why) = damage(&rechained(&reused), with_key(&log));
        assert!(
            matches!(why, Why::Seal(SealFlaw::Past { .. } | SealFlaw::BackDated { .. })),
            "{why:?}"
        );
    }
}

#[test]
fn an_unsealed_file() {
    let (log, _) = taken();
    let bare: Vec<_> = log.lines.iter().filter(|line| !is_seal(line)).cloned().collect();
    assert_eq!(verdict(&rechained(&bare), with_key(&log)), Verdict::KeyUnknown);
}

#[test]
fn a_record_dated_before_the_last_seal() {
    let (mut log, _) = taken();
    log.clock_ms = SECOND_MS;
    log.record();
    let (sequence, why) = damage(&log.lines, with_key(&log));
    assert_eq!(sequence, 68);
    assert!(matches!(why, Why::Seal(SealFlaw::BackDated { .. })), "{why:?}");
}

#[test]
fn a_record_whose_wall_clock_alone_is_set_back() {
    let (mut log, _) = taken();
    let mut moment = log.moment();
    moment.wall_ms -= 86_400_000;
    log.put(Draft::of_daemon(EventKind::Restored), &moment);
    let report = examine(&log.lines, with_key(&log));
    let told = report
        .remarks
        .iter()
        .any(|remark| matches!(remark, Remark::ClockBack { at: 68, seconds } if *seconds > 86_000));
    assert!(told, "{:?}", report.remarks);
}

#[test]
fn a_seal_dated_before_the_last_one() {
    let (mut log, secret) = taken();
    log.clock_ms = SECOND_MS;
    log.seal_with(log.epoch, &secret);
    let (_, why) = damage(&log.lines, with_key(&log));
    assert!(matches!(why, Why::Seal(SealFlaw::BackDated { .. })), "{why:?}");
}

#[test]
fn the_time_of_an_old_seal_changed() {
    let (log, _) = taken();
    let at = seals(&log.lines)[4];
    let mut lines = log.lines.clone();
    let text = std::str::from_utf8(&lines[at]).unwrap().replace("1700000", "1600000");
    let mut record: Record = serde_json::from_str(&text).unwrap();
    record.time = crate::model::record::rfc3339(record.wall_ms).unwrap();
    record.hash = record.line_and_computed_hash().unwrap().1;
    lines[at] = record.line().unwrap();
    let (sequence, why) = damage(&rechained(&lines), with_key(&log));
    assert_eq!(
        (sequence, why),
        (at as u64 + 1, Why::Seal(SealFlaw::Signature("statement")))
    );
}

#[test]
fn the_tail_cut_to_a_seal() {
    let (log, _) = taken();
    let kept = Anchors {
        noted: vec![log.head.unwrap().into()],
        ..with_key(&log)
    };
    for at in seals(&log.lines) {
        let cut = &log.lines[..=at];
        assert!(matches!(verdict(cut, kept.clone()), Verdict::Truncated(_)));
        // Without a head nobody can tell; the window says since when.
        let report = examine(cut, with_key(&log));
        assert_eq!(report.verdict, Verdict::Intact);
        let window = report.windows.last().unwrap();
        let sealed = record(&log.lines[at]);
        assert_eq!(
            (window.after, window.since.as_deref()),
            (sealed.sequence, Some(sealed.time.as_str()))
        );
        assert_eq!(window.until, None);
    }
}

#[test]
fn the_tail_cut_to_a_seal_and_a_reboot_feigned() {
    let (log, _) = taken();
    let at = seals(&log.lines)[3];
    let mut forger = Writer::behind(&log.lines[..=at], HONEST, 5);
    forger.reboot(NEXT_BOOT, THIEF);
    (0..30).for_each(|_| forger.record());
    forger.seal();
    let report = examine(&forger.lines, with_key(&log));
    assert_eq!(report.verdict, Verdict::KeyUnknown);
    assert_eq!(report.windows.last().unwrap().after, at as u64 + 1);
    assert!(report.chains[0].vouched && !report.chains[1].vouched);
}

#[test]
fn the_tail_cut_to_a_seal_and_a_loss_of_keys_feigned_within_the_boot() {
    let (log, secret) = taken();
    let at = seals(&log.lines)[3];
    let mut forger = Writer::behind(&log.lines[..=at], THIEF, 1);
    forger.record();
    forger.seal_with(1, &secret);
    let report = examine(&forger.lines, with_key(&log));
    assert_eq!(report.verdict, Verdict::KeyUnknown);
    assert_eq!(report.windows.last().unwrap().after, at as u64 + 1);
    assert!(
        matches!(report.remarks[..], [Remark::KeysLost { .. }]),
        "{:?}",
        report.remarks
    );
}

#[test]
fn a_boot_that_is_over_comes_again() {
    let mut log = log();
    log.reboot(NEXT_BOOT, Keys(8));
    log.record();
    log.seal();
    log.reboot(BOOT, Keys(9));
    log.record();
    log.seal();
    let (_, why) = damage(&log.lines, Anchors::default());
    assert_eq!(why, Why::Seal(SealFlaw::Boot));
}

#[test]
fn keys_carried_over_a_reboot() {
    let (mut log, secret) = taken();
    log.boot = NEXT_BOOT;
    log.record();
    log.seal_with(log.epoch, &secret);
    let (_, why) = damage(&log.lines, with_key(&log));
    assert_eq!(why, Why::Seal(SealFlaw::Boot));
}

#[test]
fn a_state_put_back_with_the_memory_of_then() {
    let log = log();
    let at = seals(&log.lines)[3];
    let mut forger = Writer::behind(&log.lines[..=at], HONEST, 5);
    while forger.lines.len() < 70 {
        forger.record();
    }
    forger.seal();
    // Nothing inside can tell; the head that somebody saw does.
    assert_eq!(verdict(&forger.lines, with_key(&log)), Verdict::Intact);
    let (sequence, why) = damage(&forger.lines, with_key_and_head(&log));
    assert_eq!((sequence, why), (64, Why::Noted(64)));
}

#[test]
fn a_noted_checkpoint_of_another_log() {
    let (log, _) = taken();
    let noted = Noted {
        origin: Some("portcullis-audit/of-somebody-else".to_owned()),
        ..log.head.unwrap().into()
    };
    let anchors = Anchors {
        noted: vec![noted],
        ..with_key(&log)
    };
    assert!(matches!(damage(&log.lines, anchors).1, Why::Origin { .. }));
}

/// Whoever has the secret of the running epoch may rewrite what the last seal does not cover. The printed window must
/// be exactly that: every record in it can be changed unseen, none before it.
#[test]
fn the_window_that_cannot_be_proved_is_the_one_that_is_printed() {
    let (log, secret) = taken();
    let report = examine(&log.lines, with_key(&log));
    assert_eq!(report.verdict, Verdict::TailUnproved);
    let window = report.windows.last().unwrap().clone();
    assert_eq!((window.after, window.records), (64, 3));
    let running = log.epoch;
    for at in (0..log.lines.len()).filter(|&at| !is_seal(&log.lines[at])) {
        let mut lines = rechained(&with_change(&log.lines, at));
        let mut forger = Writer::behind(&lines, HONEST, running);
        forger.seal_with(running, &secret);
        lines = forger.lines;
        let seen = verdict(&lines, with_key(&log)) != Verdict::Intact;
        let proved = (at as u64) < window.after;
        assert_eq!(seen, proved, "record {}", at + 1);
    }
}
