//! Durations as operators write and read them.

use std::time::Duration;

use jiff::SignedDuration;

use crate::model::duration::written;

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

/// Milliseconds as people count down: rounded down to whole seconds, or to whole minutes from an hour up.
pub(crate) fn countdown(ms: u64) -> String {
    let seconds = ms / 1000;
    let whole = if seconds < 3600 { 1 } else { 60 };
    written(Duration::from_secs(seconds - seconds % whole))
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
    fn a_countdown_is_rounded_down() {
        let cases = [
            (0, "0s"),
            (999, "0s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (3_599_999, "59m59s"),
            (7_199_500, "1h59m"),
            (86_400_000, "24h"),
        ];
        for (ms, text) in cases {
            assert_eq!(countdown(ms), text);
        }
    }
}
