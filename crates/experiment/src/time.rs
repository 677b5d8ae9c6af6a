//! Durations as people write them, and the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Parses `90s`, `5m`, `1h`, or plain seconds.
///
/// # Errors
/// The problem with the text.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds_of_unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return Err(format!("{text:?} has an unknown unit; write for example 90s, 5m or 1h")),
    };
    let count: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a duration; write for example 90s, 5m or 1h"))?;
    count.checked_mul(seconds_of_unit).map(Duration::from_secs).ok_or_else(|| format!("{text:?} is too long"))
}

/// Formats as `5 min`, `90 s`, `1 h 5 min`.
pub(crate) fn describe_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// Returns the milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: durations are parsed as people write them; a mistake is rejected with an example.
    #[test]
    fn durations_are_read_and_told() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("5m", 300), ("2min", 120), ("1h", 3600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "5 x", "-5s", "1.5m", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(describe_duration(Duration::from_secs(300)), "5 min");
        assert_eq!(describe_duration(Duration::from_secs(3900)), "1 h 5 min");
        assert_eq!(describe_duration(Duration::from_secs(90)), "1 min 30 s");
    }
}
