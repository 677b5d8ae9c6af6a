//! Durations in the syntax of Flink's configuration.

use std::time::Duration;

/// Parses `30 s`, `1min`, `500 ms`, `PT1M30S`, or a number of milliseconds; [`None`] for anything else.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Some(iso) = text.strip_prefix("PT").or_else(|| text.strip_prefix("pt")) {
        return parts(iso, &[("h", 3_600.0), ("m", 60.0), ("s", 1.0)]);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let nanoseconds_each: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        _ => return None,
    };
    Some(Duration::from_nanos(number.saturating_mul(nanoseconds_each)))
}

/// Sums numbers with units, as in an ISO 8601 duration.
fn parts(text: &str, units: &[(&str, f64)]) -> Option<Duration> {
    let (mut rest, mut seconds) = (text.to_ascii_lowercase(), 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, each) = units.iter().find(|(unit, _)| rest[end..].starts_with(unit))?;
        seconds += number * each;
        rest = rest[end + unit.len()..].to_owned();
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every form that Flink accepts is parsed, and nothing else.
    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("30 s", Some(30_000)),
            ("1min", Some(60_000)),
            ("500 ms", Some(500)),
            ("10000", Some(10_000)),
            (" 2 h ", Some(7_200_000)),
            ("PT1M30S", Some(90_000)),
            ("PT0.5S", Some(500)),
            ("", None),
            ("soon", None),
            ("3 weeks", None),
            ("PT1X", None),
            ("99999999999999999999 s", None),
        ] {
            assert_eq!(parse(text), ms.map(Duration::from_millis), "{text:?}");
        }
    }
}
