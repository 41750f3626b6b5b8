//! What any change of a byte or a line does, by somebody without keys.

use super::*;

#[test]
fn an_untouched_log_passes() {
    let log = log();
    let report = examine(&log.lines, with_key_and_head(&log));
    assert_eq!(report.verdict, Verdict::Intact);
    assert_eq!((report.proved, report.tree.size()), (64, 64));
    assert_eq!(report.head, log.head);
    assert_eq!(report.remarks, []);
    assert_eq!(report.chains.len(), 1);
    assert_eq!(report.chains[0].epochs, log.epoch - 1);
    let last_seal = report.last_seal.unwrap();
    assert_eq!(last_seal.checkpoint.size, 63);
}

#[test]
fn every_flipped_bit_is_seen() {
    let log = log();
    let mut flips = 0;
    let mut before = Examination::new(with_key_and_head(&log));
    for (at, line) in log.lines.iter().enumerate() {
        let place = if at == 63 { Place::Last } else { Place::Inner };
        for bit in 0..line.len() * 8 {
            let mut changed = line.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // A newline that was made or unmade changes the lines themselves.
            let seen = if bit / 8 == line.len() - 1 || changed[bit / 8] == b'\n' {
                let whole = [log.lines[..at].concat(), changed, log.lines[at + 1..].concat()].concat();
                let lines = whole.split_inclusive(|b| *b == b'\n');
                examine(lines, with_key_and_head(&log)).verdict != Verdict::Intact
            } else {
                let mut here = before.clone();
                match here.line(&changed, place) {
                    Err(verdict) => matches!(*verdict, Verdict::Altered(damage) if damage.sequence == at as u64 + 1),
                    // Zeros and a missing newline at the end are a torn tail; then the head is missing.
                    Ok(_) => matches!(here.finish().verdict, Verdict::Truncated(_)),
                }
            };
            assert!(seen, "bit {bit} of line {at}");
            flips += 1;
        }
        before.line(line, place).unwrap();
    }
    assert_eq!(before.finish().verdict, Verdict::Intact);
    assert!(flips > 250_000, "{flips}");
    println!("{flips} flipped bits, each seen at its record");
}

#[test]
fn every_cut_is_seen_by_who_kept_the_head_and_lies_in_the_printed_window_for_others() {
    let log = log();
    let (with_head, with_key) = (with_key_and_head(&log), with_key(&log));
    let (heads, keys) = (states(&log.lines, &with_head), states(&log.lines, &with_key));
    let (mut seen, mut in_window) = (0, 0);
    for (at, line) in log.lines.iter().enumerate() {
        for length in 0..line.len() {
            let rest = if length == 0 {
                Vec::new()
            } else {
                vec![line[..length].to_vec()]
            };
            let verdict = verdict_from(&heads[at], &rest);
            assert!(matches!(verdict, Verdict::Truncated(_)), "{at}+{length}: {verdict:?}");
            seen += 1;
            let mut state = keys[at].clone();
            for torn in rest {
                assert_eq!(state.line(&torn, Place::Last), Ok(None));
            }
            let report = state.finish();
            let window = report.windows.last().unwrap();
            // Before the first seal the key does not appear; afterwards whatever was cut off came behind the last proof.
            if report.chains.is_empty() {
                assert_eq!(report.verdict, Verdict::KeyUnknown);
            } else {
                assert!(window.after <= at as u64 && window.until.is_none());
                assert_eq!(window.after, report.proved);
                in_window += 1;
            }
        }
    }
    println!("{seen} cuts, each seen with the head; {in_window} of them lie in the printed window without it");
}

#[test]
fn every_removal_duplicate_and_swap_is_seen_also_when_the_chain_is_made_to_fit() {
    let log = log();
    let lines = &log.lines;
    let states = states(lines, &with_key_and_head(&log));
    let mut seen = 0;
    let mut check = |from: usize, changed: &[Vec<u8>], what: &str| {
        let head = from.checked_sub(1).map(|before| record(&lines[before]).head());
        for changed in [changed.to_vec(), rechained_behind(head, changed)] {
            let verdict = verdict_from(&states[from], &changed);
            let told = !matches!(verdict, Verdict::Intact | Verdict::TailUnproved);
            assert!(told, "{what}: {verdict:?}");
            seen += 1;
        }
    };
    for at in 0..lines.len() {
        check(at, &lines[at + 1..], &format!("removed {at}"));
        check(at + 1, &lines[at..], &format!("doubled {at}"));
        for other in at + 1..lines.len() {
            let mut swapped = lines[at..].to_vec();
            swapped.swap(0, other - at);
            check(at, &swapped, &format!("swapped {at} and {other}"));
        }
    }
    println!("{seen} removals, duplicates and swaps, each seen");
}

#[test]
fn pieces_of_another_log_do_not_fit() {
    let log = log();
    let mut other = Writer::new(HONEST);
    other.boot = NEXT_BOOT;
    while other.lines.len() < 64 {
        other.record();
        if other.lines.len() % 8 == 7 {
            other.seal();
        }
    }
    let mut seen = 0;
    for at in 1..64 {
        for spliced in [
            [&log.lines[..at], &other.lines[at..]].concat(),
            [&other.lines[..at], &log.lines[at..]].concat(),
            rechained(&[&log.lines[..at], &other.lines[at..]].concat()),
            rechained(&[&other.lines[..at], &log.lines[at..]].concat()),
        ] {
            let verdict = verdict(&spliced, with_key_and_head(&log));
            let told = !matches!(verdict, Verdict::Intact | Verdict::TailUnproved);
            assert!(told, "{at}: {verdict:?}");
            seen += 1;
        }
    }
    println!("{seen} splices, each seen");
}

#[test]
fn every_older_state_put_back_is_seen_by_who_kept_a_head() {
    let log = log();
    let states = states(&log.lines, &with_key(&log));
    let mut seen = 0;
    for (length, before) in states.iter().enumerate().take(64).skip(1) {
        let put_back = &log.lines[..length];
        let mut on = Writer::behind(put_back, HONEST, 1);
        on.epoch = 1 + put_back.iter().filter(|line| is_seal(line)).count() as u64;
        on.clock_ms += SECOND_MS;
        (length..64).for_each(|_| on.record());
        for kept in length + 1..=64 {
            let mut state = before.clone();
            state.anchors.noted = vec![record(&log.lines[kept - 1]).head().into()];
            // As it was put back, and after it went on.
            assert!(matches!(verdict_from(&state, &[]), Verdict::Truncated(_)));
            let then = verdict_from(&state, &on.lines[length..]);
            let told = matches!(&then, Verdict::RolledBack(damage)
                if damage.sequence == kept as u64 && damage.why == Why::Noted(kept as u64));
            assert!(told, "{length}, {kept}: {then:?}");
            seen += 1;
        }
    }
    println!("{seen} older states put back, each seen");
}

#[test]
fn removed_seals_leave_a_log_that_no_known_key_vouches_for() {
    let log = log();
    let bare: Vec<_> = log.lines.iter().filter(|line| !is_seal(line)).cloned().collect();
    let bare = rechained(&bare);
    assert_eq!(verdict(&bare, with_key(&log)), Verdict::KeyUnknown);
    let report = examine(&bare, Anchors::default());
    assert_eq!((report.verdict, report.proved), (Verdict::TailUnproved, 0));
}
