//! Durations in texts that people read, as a policy would write them.

use std::time::Duration;

/// Below this, a length that is not whole minutes is written in seconds: `90s`.
const IN_SECONDS_BELOW_S: u64 = 120;

/// A duration as a policy writes it: `4h`, `1h30m`, `90s`, `250ms`. What is below a millisecond is left out.
#[must_use]
pub fn written(duration: Duration) -> String {
    let (seconds, ms) = (duration.as_secs(), u64::from(duration.subsec_millis()));
    let units = if seconds < IN_SECONDS_BELOW_S && seconds % 60 != 0 {
        [(0, "h"), (0, "m"), (seconds, "s"), (ms, "ms")]
    } else {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        [(hours, "h"), (minutes, "m"), (seconds % 60, "s"), (ms, "ms")]
    };
    let given = units.iter().filter(|(count, _)| *count > 0);
    let text: String = given.map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The same of milliseconds.
#[must_use]
pub fn written_ms(ms: u64) -> String {
    written(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_has_the_units_that_it_needs() {
        let cases = [
            (14_400_000, "4h"),
            (5_400_000, "1h30m"),
            (3_601_000, "1h1s"),
            (7_260_000, "2h1m"),
            (150_000, "2m30s"),
            (120_000, "2m"),
            (90_000, "90s"),
            (60_000, "1m"),
            (59_000, "59s"),
            (1_500, "1s500ms"),
            (250, "250ms"),
            (0, "0s"),
        ];
        for (ms, text) in cases {
            assert_eq!(written_ms(ms), text);
        }
        assert_eq!(written(Duration::from_micros(1_999)), "1ms");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_it_was(ms in 0..=31 * 86_400_000_u64) {
            let read: jiff::SignedDuration = written_ms(ms).parse().unwrap();
            prop_assert_eq!(read.unsigned_abs(), Duration::from_millis(ms));
        }
    }
}
