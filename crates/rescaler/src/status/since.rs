//! What happened to a job after a moment at which a person last looked.

use serde::Serialize;

use super::{DecisionOutcome, Point};

/// A summary of the epochs after a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Since {
    /// Plans that were published.
    pub published: usize,
    /// Plans that could not be published.
    pub not_published: usize,
    /// Plans of a dry run, and recommendations.
    pub not_applied: usize,
    /// Time in which the latency, or the estimated delay, was above the bound, in milliseconds.
    pub over_bound_ms: i64,
}

impl Since {
    /// Sums up the points after a moment; an epoch counts for the time since the one before, which must be one of the points too.
    pub(super) fn new<'a>(
        points: impl Iterator<Item = &'a Point>,
        since_ms: i64,
        latency_max_ms: Option<f64>,
    ) -> Self {
        let mut since = Self::default();
        let mut before_ms = None;
        for point in points {
            let from_ms = before_ms.replace(point.at_ms).unwrap_or(point.at_ms).max(since_ms);
            if point.at_ms <= since_ms {
                continue;
            }
            if is_over(point, latency_max_ms) {
                since.over_bound_ms += (point.at_ms - from_ms).max(0);
            }
            match point.mark.as_ref().map(|mark| mark.outcome) {
                Some(DecisionOutcome::Published | DecisionOutcome::Publishing) => since.published += 1,
                Some(DecisionOutcome::NotPublished) => since.not_published += 1,
                Some(DecisionOutcome::DryRun | DecisionOutcome::Recommended) => since.not_applied += 1,
                Some(DecisionOutcome::Nothing) | None => {}
            }
        }
        since
    }
}

fn is_over(point: &Point, latency_max_ms: Option<f64>) -> bool {
    let measured_ms = point.totals.and_then(|totals| totals.latency_ms);
    let delay_ms = measured_ms.or(point.outlook.and_then(|outlook| outlook.delay_ms));
    delay_ms.zip(latency_max_ms).is_some_and(|(delay_ms, bound_ms)| delay_ms >= bound_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Mark, Totals};

    fn point(epoch: u64, at_ms: i64, latency_ms: f64, outcome: Option<DecisionOutcome>) -> Point {
        let mark = outcome.map(|outcome| Mark { epoch, at_ms, outcome, headline: String::new() });
        let totals = Some(Totals { latency_ms: Some(latency_ms), ..Totals::default() });
        Point { epoch, at_ms, totals, mark, ..Point::default() }
    }

    /// Goal: only what is newer than the moment counts, and an epoch that had begun before it counts from the moment on.
    #[test]
    fn what_is_older_does_not_count() {
        let points = [
            point(1, 10_000, 9.0, Some(DecisionOutcome::Published)),
            point(2, 20_000, 9.0, Some(DecisionOutcome::NotPublished)),
            point(3, 30_000, 9.0, Some(DecisionOutcome::Published)),
            point(4, 40_000, 1.0, None),
        ];
        let since = |since_ms| Since::new(points.iter(), since_ms, Some(5.0));
        assert_eq!(since(0), Since { published: 2, not_published: 1, not_applied: 0, over_bound_ms: 20_000 });
        assert_eq!(since(25_000), Since { published: 1, over_bound_ms: 5_000, ..Since::default() });
        assert_eq!(since(40_000), Since::default());
    }
}
