//! One subtask over the samples of an epoch: rates, shares of time and means. Each is unknown if one of its readings is.

use super::span::Span;
use crate::sample::{Sample, Subtask, Vertex};

/// The samples that count: at least two of one execution of the job, by time.
#[derive(Clone, Copy)]
pub(super) struct Epoch<'a> {
    pub(super) samples: &'a [&'a Sample],
}

/// The readings of one subtask with their times; [`None`] where a sample lacks it.
pub(super) struct Track<'a> {
    readings: Vec<Option<(i64, &'a Subtask)>>,
    span: Span,
}

impl<'a> Epoch<'a> {
    pub(super) fn last(&self) -> Option<&'a Sample> {
        self.samples.last().copied()
    }

    /// From the first to the last sample, in milliseconds.
    pub(super) fn interval_ms(&self) -> i64 {
        self.samples.last().map_or(0, |s| s.at_ms) - self.samples.first().map_or(0, |s| s.at_ms)
    }

    /// The subtasks of a vertex that still read, each through all samples that have them.
    pub(super) fn tracks(&self, vertex: &Vertex) -> Vec<Track<'a>> {
        let per_sample: Vec<(i64, Option<&'a Vertex>)> = self
            .samples
            .iter()
            .map(|sample| {
                let found = sample.vertices.binary_search_by(|other| other.name.cmp(&vertex.name));
                let same = found.ok().map(|at| &sample.vertices[at]);
                (sample.at_ms, same.or_else(|| sample.vertices.iter().find(|v| v.name == vertex.name)))
            })
            .filter(|(_, same)| !same.is_some_and(|same| same.is_left_out))
            .collect();
        let newest = per_sample.iter().rev().find_map(|(_, same)| *same);
        let subtasks = newest.map_or(&[][..], |newest| newest.subtasks.as_slice());
        let track = |index: usize| {
            let reading = |(at_ms, vertex): &(i64, Option<&'a Vertex>)| {
                let subtask = (*vertex)?.subtasks.get(index)?;
                Some((subtask.at_ms.unwrap_or(*at_ms), subtask))
            };
            Track::new(per_sample.iter().map(reading).collect())
        };
        let running = (0..subtasks.len()).filter(|index| !subtasks[*index].is_finished);
        running.map(track).collect()
    }
}

impl<'a> Track<'a> {
    fn new(readings: Vec<Option<(i64, &'a Subtask)>>) -> Self {
        Self { span: Span::new(&readings), readings }
    }

    /// Whether its figures are of a picture that is not renewed, so that none of them is one of the epoch.
    pub(super) fn is_stale(&self) -> bool {
        self.span == Span::Stale
    }

    /// The newest reading.
    pub(super) fn last(&self) -> Option<&'a Subtask> {
        self.readings.last().copied().flatten().map(|(_, subtask)| subtask)
    }

    /// When it was first and last read, in milliseconds since the Unix epoch.
    pub(super) fn times(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.readings.first()?.as_ref()?, self.readings.last()?.as_ref()?);
        (last.0 > first.0).then_some((first.0, last.0))
    }

    /// The readings that are there.
    pub(super) fn known(&self) -> impl Iterator<Item = &'a Subtask> {
        self.readings.iter().flatten().map(|(_, subtask)| *subtask)
    }

    /// The time over which its counters are counted, in milliseconds.
    pub(super) fn interval_ms(&self) -> Option<i64> {
        match self.span {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of an epoch")]
            Span::Counted { seconds, .. } => Some((seconds * 1000.0).round() as i64),
            Span::Unknown => self.times().map(|(first, last)| last - first),
            Span::Stale => None,
        }
    }

    /// A figure in all readings with their times; unknown if it is in one of them, or old.
    fn points(&self, figure: impl Fn(&Subtask) -> Option<f64>) -> Option<Vec<(i64, f64)>> {
        let read = |reading: &Option<(i64, &Subtask)>| {
            let (at_ms, subtask) = (*reading)?;
            Some((at_ms, figure(subtask)?))
        };
        if self.is_stale() { None } else { self.readings.iter().map(read).collect() }
    }

    /// What a counter has grown by over [`Self::interval_ms`]; unknown if one reading is missing or it fell.
    pub(super) fn growth(&self, figure: impl Fn(&Subtask) -> Option<f64>) -> Option<f64> {
        let points = self.points(figure)?;
        let (first, last) = match self.span {
            Span::Counted { first, last, .. } => (points.get(first)?, points.get(last)?),
            _ => (points.first()?, points.last()?),
        };
        points.is_sorted_by(|a, b| a.1 <= b.1).then_some(last.1 - first.1)
    }

    /// What a figure changes by per second, up or down.
    pub(super) fn change_per_s(&self, figure: impl Fn(&Subtask) -> Option<f64>) -> Option<f64> {
        self.times()?;
        let points = self.points(figure)?;
        match self.span {
            Span::Counted { first, last, seconds } => {
                Some((points.get(last)?.1 - points.get(first)?.1) / seconds)
            }
            _ => slope_per_s(&points),
        }
    }

    /// The growth of a counter per second; unknown if it fell.
    pub(super) fn rate(&self, figure: impl Fn(&Subtask) -> Option<f64>) -> Option<f64> {
        let points = self.points(&figure)?;
        if points.is_sorted_by(|a, b| a.1 <= b.1) { self.change_per_s(figure) } else { None }
    }

    /// The rate of a counter, else the mean of the smoothed rates in all readings.
    pub(super) fn rate_or(
        &self,
        counter: fn(&Subtask) -> Option<f64>,
        smoothed: fn(&Subtask) -> Option<f64>,
    ) -> Option<f64> {
        self.rate(counter).or_else(|| {
            let has_counter = self.known().any(|subtask| counter(subtask).is_some());
            if has_counter || self.is_stale() { None } else { self.mean_of_all(smoothed) }
        })
    }

    /// A share of the time, 0 to 1: from the time that the task has counted itself, else from Flink's smoothed figure.
    pub(super) fn share(
        &self,
        counted_ms: fn(&Subtask) -> Option<f64>,
        smoothed_ms_per_s: fn(&Subtask) -> Option<f64>,
    ) -> Option<f64> {
        let smoothed = || self.mean_of(smoothed_ms_per_s).filter(|_| !self.is_stale());
        let share = self.rate(counted_ms).or_else(smoothed);
        share.map(|ms_per_s| (ms_per_s / 1000.0).clamp(0.0, 1.0))
    }

    /// The mean of the readings that are known.
    pub(super) fn mean_of(&self, figure: fn(&Subtask) -> Option<f64>) -> Option<f64> {
        mean(&self.known().filter_map(figure).collect::<Vec<f64>>())
    }

    fn mean_of_all(&self, figure: fn(&Subtask) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> =
            self.readings.iter().map(|reading| figure(reading.as_ref()?.1)).collect();
        mean(&values?)
    }

    /// How many values a histogram has got between its first and its last reading, and their sum.
    pub(super) fn histogram(&self, name: &str) -> Option<(f64, f64)> {
        if self.never_has(name) {
            return None;
        }
        let of = |reading: &Option<(i64, &'a Subtask)>| (*reading)?.1.histograms.get(name);
        let (first, last) = (self.readings.iter().find_map(of)?, self.readings.iter().rev().find_map(of)?);
        let (count, sum) = (last.count - first.count, last.sum - first.sum);
        // Clocks that disagree make negative times, and a mean of those says nothing.
        (count > 0.0 && sum >= 0.0).then_some((count, sum))
    }

    /// Whether neither the first nor the last reading knows this histogram: a task has its metrics from its start to its end, so
    /// that nobody has to look at those in between. (In a large job that would be most of the work of an epoch.)
    fn never_has(&self, name: &str) -> bool {
        let ends = [self.readings.first(), self.readings.last()];
        ends.iter().all(|end| {
            end.is_some_and(|reading| {
                reading.is_some_and(|(_, subtask)| {
                    !subtask.histograms.contains_key(name) && !subtask.means.contains_key(name)
                })
            })
        })
    }

    /// The mean of the values that came in the epoch; unknown if none came. Where they are not counted: the mean of the means.
    pub(super) fn histogram_mean(&self, name: &str) -> Option<f64> {
        if let Some((count, sum)) = self.histogram(name) {
            return Some(sum / count);
        }
        if self.never_has(name) {
            return None;
        }
        let is_counted = self.known().any(|subtask| subtask.histograms.contains_key(name));
        let means = || self.known().filter_map(|subtask| subtask.means.get(name).copied());
        if is_counted { None } else { mean(&means().collect::<Vec<f64>>()) }
    }
}

/// Returns the change of a figure per second, from its readings (milliseconds, figure) by time.
///
/// Flink refreshes its figures at its own interval (`metrics.fetcher.update-interval`), so a reading may be older than its time says.
/// A reading that differs from the previous one is fresh. The change is therefore taken between the first and the last fresh
/// reading, if they span at least half of the time: both are then late by about the same. The first and last of all readings could
/// each be late by anything up to that interval.
pub(super) fn slope_per_s(points: &[(i64, f64)]) -> Option<f64> {
    let whole = (*points.first()?, *points.last()?);
    #[expect(clippy::float_cmp, reason = "the very same reading again")]
    let mut fresh = points.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1]);
    let renewed = fresh.next().and_then(|first| Some((first, fresh.next_back()?)));
    let ms = |(first, last): ((i64, f64), (i64, f64))| last.0 - first.0;
    let ends = renewed.filter(|renewed| ms(*renewed) * 2 >= ms(whole)).unwrap_or(whole);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of an epoch")]
    let seconds = ms(ends) as f64 / 1000.0;
    (seconds > 0.0).then(|| (ends.1.1 - ends.0.1) / seconds)
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples and subtasks")]
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of a counter that grows by 100 a second, is renewed every `renewed_ms` and read every second for 15 s.
    fn rate(renewed_ms: i64, phase_ms: i64) -> f64 {
        let subtasks: Vec<(i64, Subtask)> = (0..=15)
            .map(|second| {
                let at_ms = 20_000 + second * 1000;
                let fetched_ms = (at_ms - phase_ms) / renewed_ms * renewed_ms + phase_ms;
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let records_out = Some(fetched_ms as f64 / 10.0);
                (at_ms, Subtask { records_out, ..Subtask::default() })
            })
            .collect();
        let track = Track::new(subtasks.iter().map(|(at_ms, subtask)| Some((*at_ms, subtask))).collect());
        track.rate(|subtask| subtask.records_out).unwrap()
    }

    /// Goal: a rate does not depend on when Flink happens to renew its figures.
    #[test]
    fn stale_readings_do_not_bend_rates() {
        for renewed_ms in [1000, 2000, 2700, 5000] {
            for phase_ms in (0..renewed_ms).step_by(100) {
                let rate = rate(renewed_ms, phase_ms);
                assert!((rate / 100.0 - 1.0).abs() < 0.1, "every {renewed_ms} ms from {phase_ms}: {rate}");
            }
        }
    }

    /// Goal: a counter that rarely grows has the rate of the whole time, and one that does not grow has none.
    #[test]
    fn rare_growth_is_spread_over_the_whole_time() {
        let of = |values: [f64; 5]| {
            let subtasks =
                values.map(|records_out| Subtask { records_out: Some(records_out), ..Subtask::default() });
            let readings = subtasks.iter().zip(0..).map(|(subtask, n)| Some((n * 1000, subtask))).collect();
            Track::new(readings).rate(|subtask| subtask.records_out)
        };
        assert_eq!(of([0.0, 0.0, 8.0, 8.0, 8.0]), Some(2.0));
        assert_eq!(of([8.0; 5]), Some(0.0));
        assert_eq!(of([8.0, 8.0, 8.0, 8.0, 7.0]), None);
    }
}
