//! Times of the week without changes, in a form for people: `Mon-Fri 09:00-17:30`, `Sat,Sun`, `22:00-06:00`.
//!
//! The time of the week depends on the time zone, so a time has its offset from UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MINUTES: u32 = 24 * 60;

/// A moment, and how far the clocks of the place that matters are ahead of UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalTime {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Seconds ahead of UTC.
    pub utc_offset_s: i32,
}

impl LocalTime {
    /// A moment in UTC.
    pub fn utc(at_ms: i64) -> Self {
        Self { at_ms, utc_offset_s: 0 }
    }

    /// The time within what a clock can show, so that no difference of two overflows, in milliseconds since the Unix epoch.
    pub(crate) fn bounded_ms(self) -> i64 {
        self.at_ms.clamp(0, crate::snapshot::LATEST_MS)
    }

    /// The day of the week from 0 for Monday, and the minute of the day.
    fn day_and_minute(self) -> (usize, u32) {
        let minutes = (self.at_ms.div_euclid(1000) + i64::from(self.utc_offset_s)).div_euclid(60);
        let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
        // 1 January 1970 was a Thursday.
        let day = (days + 3).rem_euclid(7);
        (usize::try_from(day).unwrap_or(0), u32::try_from(minute).unwrap_or(0))
    }
}

/// A time of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    text: String,
    /// On which days it begins, from Monday.
    days: [bool; 7],
    from_minute: u32,
    /// At or before `from_minute`: on the next day.
    until_minute: u32,
}

/// Why a text is not a period.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not a weekly period; write it like \"Mon-Fri 09:00-17:30\", \"Sat,Sun\" or \"22:00-06:00\""
)]
pub struct PeriodError {
    text: String,
}

impl Period {
    /// Whether the moment lies within.
    pub fn contains(&self, local_time: LocalTime) -> bool {
        let (day, minute) = local_time.day_and_minute();
        let yesterday = (day + 6) % 7;
        if self.from_minute < self.until_minute {
            return self.days[day] && (self.from_minute..self.until_minute).contains(&minute);
        }
        (self.days[day] && minute >= self.from_minute) || (self.days[yesterday] && minute < self.until_minute)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        parse(text.trim()).ok_or_else(|| PeriodError { text: text.to_owned() })
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.text
    }
}

fn parse(text: &str) -> Option<Period> {
    let mut parts = text.split_whitespace();
    let (first, second) = (parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let is_time = first.starts_with(|c: char| c.is_ascii_digit());
    let (days, times) = match (is_time, second) {
        (true, None) => ([true; 7], Some(first)),
        (true, Some(_)) => return None,
        (false, times) => (parse_days(first)?, times),
    };
    let (from_minute, until_minute) = times.map_or(Some((0, DAY_MINUTES)), parse_times)?;
    Some(Period { text: text.to_owned(), days, from_minute, until_minute })
}

fn parse_days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    let number = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        let length = (last + 7 - first) % 7;
        for step in 0..=length {
            days[(first + step) % 7] = true;
        }
    }
    Some(days)
}

fn parse_times(text: &str) -> Option<(u32, u32)> {
    let (from, until) = text.split_once('-')?;
    let minute = |time: &str| -> Option<u32> {
        let (hours, minutes) = time.split_once(':')?;
        let is_short = |text: &str| (1..=2).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
        let (hours, minutes): (u32, u32) = if is_short(hours) && is_short(minutes) {
            (hours.parse().ok()?, minutes.parse().ok()?)
        } else {
            return None;
        };
        let total = hours * 60 + minutes;
        (minutes < 60 && total <= DAY_MINUTES).then_some(total)
    };
    let (from, until) = (minute(from)?, minute(until)?);
    (from < DAY_MINUTES && from != until).then_some((from, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-05 was a Monday.
    fn at(day: i64, hour: i64, minute: i64) -> LocalTime {
        LocalTime::utc(1_767_571_200_000 + ((day * 24 + hour) * 60 + minute) * 60_000)
    }

    fn check(period: &str, local_time: LocalTime, expected: bool) {
        assert_eq!(
            period.parse::<Period>().unwrap().contains(local_time),
            expected,
            "{period} {local_time:?}"
        );
    }

    /// Goal: days, times, both, and over midnight mean what they say; the end is not within.
    #[test]
    fn periods_mean_what_they_say() {
        check("Mon-Fri 09:00-17:30", at(0, 9, 0), true);
        check("Mon-Fri 09:00-17:30", at(0, 17, 29), true);
        check("Mon-Fri 09:00-17:30", at(0, 17, 30), false);
        check("Mon-Fri 09:00-17:30", at(5, 12, 0), false);
        check("Sat,Sun", at(6, 23, 59), true);
        check("Sat,Sun", at(7, 0, 0), false);
        check("22:00-06:00", at(3, 23, 0), true);
        check("Fri 22:00-06:00", at(5, 5, 59), true);
        check("Fri 22:00-06:00", at(4, 5, 59), false);
        check("Sun-Mon 00:00-24:00", at(0, 0, 0), true);
        check("Fri-Mon", at(2, 12, 0), false);
    }

    /// Goal: the place's clocks count.
    #[test]
    fn the_offset_shifts_the_week() {
        let local_time = LocalTime { utc_offset_s: 7200, ..at(0, 22, 30) };
        check("Tue 00:00-01:00", local_time, true);
        check("Mon 22:00-23:00", local_time, false);
    }

    /// Goal: whatever else is written is refused with an example.
    #[test]
    fn other_texts_are_refused() {
        for wrong in [
            "",
            "Mo",
            "25:00-26:00",
            "09:00",
            "09:00-09:00",
            "9-17",
            "Mon 1:5:0-2",
            "* * 9-11 * * ?",
            "Mon 09:00-10:00 x",
        ] {
            let error = wrong.parse::<Period>().unwrap_err();
            assert!(error.to_string().contains("Mon-Fri"), "{error}");
        }
    }
}
