//! The time covered by the figures of one subtask, measured by the task itself.
//!
//! A task counts its busy, idle and back-pressured time. The three add up to its age, because Flink computes the first as the rest of the
//! other two. Their growth is therefore the exact time between two reports of the task, whenever the JobManager fetched them. If their
//! sum does not grow, all other figures of the task are stale as well.

use crate::sample::Subtask;

/// Figures that cover less than this share of the time are stale. Metrics refreshed within the time cover at least half of it.
const COVERED_LEAST: f64 = 0.45;

/// Age of the first report from which its mean covers a time too long past, in milliseconds.
const FIRST_AGE_MAX_MS: f64 = 30_000.0;

/// The time covered by a task's figures, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Span {
    /// Unknown: one of the three times is missing somewhere.
    Unknown,
    /// The figures are not of this time.
    Stale,
    /// They were counted between the readings with these indexes, over so many seconds.
    Counted { first: usize, last: usize, seconds: f64 },
}

impl Span {
    /// The span of these readings: their times in milliseconds, whether these are the figures' own, and the figures.
    pub(super) fn new(readings: &[Option<(i64, &Subtask)>]) -> Self {
        let counted: Option<Vec<(i64, f64)>> = readings
            .iter()
            .map(|reading| reading.and_then(|(at_ms, s)| Some((at_ms, s.counted_ms()?))))
            .collect();
        let Some(counted) = counted.filter(|counted| counted.len() > 1) else { return Self::Unknown };
        if !counted.is_sorted_by(|a, b| a.1 <= b.1) {
            return Self::Stale;
        }
        let (first, last) = ends(&counted);
        let grown_ms = counted[last].1 - counted[first].1;
        let whole_ms = between_ms(&counted, 0, counted.len() - 1);
        if grown_ms <= 0.0 || grown_ms < whole_ms * COVERED_LEAST || grown_ms > whole_ms + FIRST_AGE_MAX_MS {
            return Self::Stale;
        }
        // A store has the time of each value, equal for all values of one report.
        let has_own_time = readings.iter().flatten().any(|(_, subtask)| subtask.at_ms.is_some());
        let ms = if has_own_time { between_ms(&counted, first, last) } else { grown_ms };
        if ms > 0.0 { Self::Counted { first, last, seconds: ms / 1000.0 } } else { Self::Stale }
    }
}

/// Returns the first and the last reading. If the first is stale, because the JobManager refreshes metrics only on request, the first
/// different reading replaces it.
fn ends(counted: &[(i64, f64)]) -> (usize, usize) {
    let last = counted.len() - 1;
    if counted[last].1 - counted[0].1 <= between_ms(counted, 0, last) + FIRST_AGE_MAX_MS {
        return (0, last);
    }
    let first = counted.iter().position(|(_, ms)| *ms > counted[0].1).unwrap_or(0);
    (first, last)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of an epoch")]
fn between_ms(counted: &[(i64, f64)], first: usize, last: usize) -> f64 {
    (counted[last].0 - counted[first].0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(readings: &[(i64, f64)]) -> Span {
        let subtasks: Vec<(i64, Subtask)> = readings.iter().map(|(at_ms, ms)| (*at_ms, task(*ms))).collect();
        Span::new(&subtasks.iter().map(|(at_ms, subtask)| Some((*at_ms, subtask))).collect::<Vec<_>>())
    }

    fn task(lived_ms: f64) -> Subtask {
        Subtask {
            busy_ms: Some(lived_ms / 2.0),
            idle_ms: Some(lived_ms / 4.0),
            backpressured_ms: Some(lived_ms / 4.0),
            ..Subtask::default()
        }
    }

    /// Goal: the time between two pictures is what the task has lived, not what passed between the questions.
    #[test]
    fn the_task_tells_the_time() {
        // Pictures of every ten seconds, asked for every five.
        let readings =
            [(0, 500.0), (5_000, 500.0), (10_000, 10_500.0), (15_000, 10_500.0), (20_000, 20_500.0)];
        assert_eq!(span(&readings), Span::Counted { first: 0, last: 4, seconds: 20.0 });
        // Within five seconds only one was new.
        assert_eq!(span(&readings[1..3]), Span::Counted { first: 0, last: 1, seconds: 10.0 });
    }

    /// Goal: times that stand still, for all of the time or most of it, and times that fall, are of a picture that is not renewed.
    #[test]
    fn what_stands_still_is_old() {
        assert_eq!(span(&[(0, 500.0), (4_000, 500.0)]), Span::Stale);
        assert_eq!(span(&[(0, 500.0), (2_000, 2_500.0), (10_000, 2_500.0)]), Span::Stale);
        assert_eq!(span(&[(0, 500.0), (4_000, 400.0)]), Span::Stale);
        // The first picture is of an hour ago, and the only one that was followed by another.
        assert_eq!(span(&[(0, 500.0), (4_000, 3_600_500.0)]), Span::Stale);
        // Followed by more, it is left out.
        let readings = [(0, 500.0), (4_000, 3_600_500.0), (8_000, 3_604_500.0), (12_000, 3_608_500.0)];
        assert_eq!(span(&readings), Span::Counted { first: 1, last: 3, seconds: 8.0 });
    }

    /// Goal: a task that does not count all three tells nothing, neither a time nor that it is old.
    #[test]
    fn a_missing_part_is_no_judgement() {
        let legacy = Subtask { busy_ms: None, ..task(1_000.0) };
        assert_eq!(Span::new(&[Some((0, &legacy)), Some((4_000, &legacy))]), Span::Unknown);
        assert_eq!(Span::new(&[Some((0, &task(1.0))), None]), Span::Unknown);
        assert_eq!(Span::new(&[]), Span::Unknown);
    }
}
