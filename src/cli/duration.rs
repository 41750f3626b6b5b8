//! Durations as operators write and read them.

use std::time::Duration;

use jiff::SignedDuration;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    /// Days and longer units differ in length by date and place.
    #[error("{0:?} has a unit longer than an hour; write hours, such as 24h for a day")]
    Calendar(String),
    /// Nothing that is known.
    #[error("{0:?} is not a duration; write 2h, 90s, 1h30m or PT5M")]
    Unknown(String),
    /// Zero or less.
    #[error("{0:?} is not longer than nothing")]
    NotPositive(String),
}

/// Reads `2h`, `90s`, `1h30m` or `PT5M`. No days: see [`DurationError::Calendar`].
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let duration: SignedDuration = text.parse().map_err(|_| {
        // A span takes calendar units, so what it alone can read has one.
        match text.parse::<jiff::Span>() {
            Ok(_) => DurationError::Calendar(text.to_owned()),
            Err(_) => DurationError::Unknown(text.to_owned()),
        }
    })?;
    if !duration.is_positive() || duration.as_millis() == 0 {
        return Err(DurationError::NotPositive(text.to_owned()));
    }
    Duration::try_from(duration).map_err(|_| DurationError::NotPositive(text.to_owned()))
}

/// Milliseconds for the API. A duration that is too long for it is too long for every policy.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds as people count down: whole seconds, rounded down, the two largest units.
pub(crate) fn countdown(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds:02}s"),
        (_, _) => format!("{hours}h {minutes:02}m"),
    }
}

/// A length of time that stands still: no units that are zero.
pub(crate) fn length(ms: u64) -> String {
    let seconds = ms / 1000;
    let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let given = units.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = given.map(|(count, unit)| format!("{count}{unit}")).collect();
    if words.is_empty() {
        format!("{ms}ms")
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_operators_write_them() {
        let cases = [
            ("2h", 7200),
            ("90s", 90),
            ("1h30m", 5400),
            ("PT5M", 300),
            ("1h 5m", 3900),
            ("24h", 86_400),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1500ms"), Ok(Duration::from_millis(1500)));
    }

    #[test]
    fn a_day_is_refused_with_what_to_write() {
        for text in ["1d", "2w", "P1D", "1 month", "1y"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, DurationError::Calendar(text.to_owned()));
            assert!(error.to_string().contains("24h"), "{error}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "2", "h", "two hours", "2h;", "\u{1b}[2J", "9999999999999999999999h"] {
            assert!(
                matches!(parse(text), Err(DurationError::Unknown(_))),
                "{text}: {:?}",
                parse(text)
            );
        }
        for text in ["0s", "-5m", "5m ago", "1us"] {
            assert_eq!(parse(text), Err(DurationError::NotPositive(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_countdown_has_two_units() {
        let cases = [
            (0, "0s"),
            (999, "0s"),
            (59_999, "59s"),
            (60_000, "1m 00s"),
            (7_199_500, "1h 59m"),
            (86_400_000, "24h 00m"),
        ];
        for (ms, text) in cases {
            assert_eq!(countdown(ms), text);
        }
    }

    #[test]
    fn a_length_has_the_units_that_it_needs() {
        let cases = [
            (7_200_000, "2h"),
            (5_400_000, "1h 30m"),
            (90_000, "1m 30s"),
            (3_601_000, "1h 1s"),
            (500, "500ms"),
        ];
        for (ms, text) in cases {
            assert_eq!(length(ms), text);
        }
    }
}
