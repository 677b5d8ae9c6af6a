//! Arrivals at all sources together: the newest readings, and bins of 10 s.
//!
//! Readings are total numbers of produced records, so that their differences are exact however irregularly they are read. For a source
//! without readings, its arrival rate over the epoch is the only reading. Times without data (the job restarts, metrics are missing)
//! belong to no bin. A bin with less than half of its time known repeats the previous one.
//!
//! ```text
//! σ      = 1.05 · median |ln(b_k ÷ b_k−1)| over 30 bins, at least 0.01
//! shift  at bin k: |ln(b_k ÷ level)| > max(4.2 σ, 0.12)     levels and slopes never look across a shift
//! level  = mean of 3 bins                                   slow = mean of 6 bins
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::{sane, seconds, short};
use crate::{Kind, Operator, Snapshot};

/// The length of a bin, in milliseconds.
const BIN_MS: i64 = 10_000;
/// The bins that are kept: a forecast over 90 bins from a slope of 90 bins must be judged.
const BINS: usize = 192;
/// A gap of more bins makes the older ones worthless.
const GAP_BINS: i64 = 30;
/// So many steps from one bin to the next tell how much they vary, and what is taken for a step that was not seen, as a logarithm.
const LEAST_STEPS: usize = 5;
const USUAL_STEP: f64 = 0.05;
/// Readings that are further ahead of the clock are not believed, in milliseconds.
const AHEAD_MS: i64 = 60_000;
/// Readings are kept for this time, in milliseconds.
const RECENT_MS: i64 = 15_000;
/// Rates below this are taken as this, so that their logarithm exists.
const LEAST_PER_S: f64 = 1e-9;
/// Time in which past arrivals lose weight in the shares of the sources, in seconds.
const SHARE_S: f64 = 150.0;

/// What is remembered of arrivals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Arrivals {
    /// The newest reading of each source: its time and the records that have come into being.
    newest: BTreeMap<String, (i64, f64)>,
    /// The end of the newest stretch that is known.
    until_ms: Option<i64>,
    /// The newest stretches: end, length, records.
    recent: Vec<(i64, i64, f64)>,
    /// The bin that is not full yet: its number, how much of it is known, records.
    open: Option<(i64, i64, f64)>,
    /// The number of the newest full bin.
    newest_bin: i64,
    /// Records per second, newest last.
    bins: Vec<f64>,
    /// The bins at which the rate shifted, ascending.
    shifts: Vec<i64>,
    /// Records of each source, weighted by age.
    by_source: BTreeMap<String, f64>,
}

/// One source's readings: times ascending, records that have come into being until then.
type Series = Vec<(i64, f64)>;

impl Arrivals {
    /// Forgets readings of tasks that no longer run: those of the new ones begin anew.
    pub(super) fn restarted(&mut self) {
        self.newest.clear();
    }

    /// Adds what this snapshot shows and returns the numbers of the bins that became full.
    pub(super) fn observe(
        &mut self,
        snapshot: &Snapshot,
        now_ms: i64,
        epoch_ms: i64,
    ) -> std::ops::Range<i64> {
        let mut sources: Vec<&Operator> =
            snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source).collect();
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        let first_new = self.newest_bin + 1;
        let was_empty = self.bins.is_empty();
        let series: Option<Vec<Series>> =
            sources.iter().map(|source| self.series(snapshot, source, now_ms, epoch_ms)).collect();
        for source in &sources {
            if let Some((at_ms, records)) = believable(source, now_ms).last() {
                self.newest.insert(source.name.clone(), (at_ms, records));
            }
        }
        if let Some(series) = series.filter(|series| !series.is_empty()) {
            self.merge(&sources, &series);
        }
        // Bins after a long gap begin anew, and those in between never were.
        let first = if was_empty { self.first_bin() } else { first_new.max(self.first_bin()) };
        first..self.newest_bin + i64::from(!self.bins.is_empty())
    }

    /// The readings of one source; [`None`] if they tell no arrivals.
    fn series(&self, snapshot: &Snapshot, source: &Operator, now_ms: i64, epoch_ms: i64) -> Option<Series> {
        if !source.arrivals.is_empty() {
            let before = self.newest.get(&source.name).copied();
            let mut all: Series = before.into_iter().collect();
            for (at_ms, records) in believable(source, now_ms) {
                if all.last().is_none_or(|(last_ms, _)| at_ms > *last_ms) {
                    all.push((at_ms, records));
                }
            }
            if all.len() >= 2 {
                return Some(all);
            }
            if before.is_some() {
                return None;
            }
        }
        let held = || sane(source.backpressured_ratio).map(|held| (1.0 - held).max(0.1));
        let rate_per_s =
            sane(source.arrival_rate_per_s).or_else(|| Some(sane(source.throughput_per_s)? / held()?))?;
        let reading = source.reading.as_ref().and_then(|reading| reading.at_ms);
        let end_ms = reading.or(snapshot.at_ms).unwrap_or(now_ms).min(now_ms);
        let length_ms = snapshot.interval_ms.filter(|ms| (1..=3_600_000).contains(ms)).unwrap_or(epoch_ms);
        let is_next = |until_ms: &i64| *until_ms < end_ms && end_ms - until_ms <= epoch_ms.max(length_ms) * 3;
        let begin_ms = self.until_ms.filter(is_next).unwrap_or(end_ms - length_ms);
        Some(vec![(begin_ms, 0.0), (end_ms, rate_per_s * seconds(end_ms - begin_ms))])
    }

    /// Adds up the sources over every stretch between two readings that all of them cover.
    fn merge(&mut self, sources: &[&Operator], series: &[Series]) {
        let first = series.iter().filter_map(|one| one.first()).map(|(at_ms, _)| *at_ms).max();
        let last = series.iter().filter_map(|one| one.last()).map(|(at_ms, _)| *at_ms).min();
        let (Some(first_ms), Some(last_ms)) = (first, last) else { return };
        let begin_ms = self.until_ms.map_or(first_ms, |until_ms| until_ms.max(first_ms));
        let mut times: Vec<i64> = series.iter().flatten().map(|(at_ms, _)| *at_ms).collect();
        times.extend([begin_ms, last_ms]);
        times.retain(|at_ms| (begin_ms..=last_ms).contains(at_ms));
        times.sort_unstable();
        times.dedup();
        for pair in times.windows(2) {
            let grown: Vec<f64> = series.iter().map(|one| at(one, pair[1]) - at(one, pair[0])).collect();
            // Nobody knows how arrivals were spread over a long time.
            let is_known = pair[1] - pair[0] <= GAP_BINS * BIN_MS;
            if is_known && grown.iter().all(|records| (0.0..=1e15).contains(records)) {
                self.share_out(sources, &grown, seconds(pair[1] - pair[0]));
                self.add(pair[1], pair[1] - pair[0], grown.iter().sum());
            }
        }
        self.until_ms = Some(self.until_ms.map_or(last_ms, |until_ms| until_ms.max(last_ms)));
    }

    fn share_out(&mut self, sources: &[&Operator], grown: &[f64], length_s: f64) {
        let keep = (-length_s / SHARE_S).exp();
        self.by_source.retain(|name, _| sources.iter().any(|source| source.name == *name));
        for (source, records) in sources.iter().zip(grown) {
            let sum = self.by_source.entry(source.name.clone()).or_insert(0.0);
            *sum = short(*sum * keep + records);
        }
    }

    fn add(&mut self, end_ms: i64, length_ms: i64, records: f64) {
        self.recent.push((end_ms, length_ms, short(records)));
        self.recent.retain(|(at_ms, ..)| *at_ms > end_ms - RECENT_MS);
        let mut from_ms = end_ms - length_ms;
        while from_ms < end_ms {
            let bin = from_ms.div_euclid(BIN_MS);
            let until_ms = end_ms.min((bin + 1) * BIN_MS);
            let part = records * seconds(until_ms - from_ms) / seconds(length_ms);
            self.fill(bin, until_ms - from_ms, part);
            from_ms = until_ms;
        }
    }

    /// Adds records to a bin, and closes the one before it.
    fn fill(&mut self, bin: i64, known_ms: i64, records: f64) {
        match &mut self.open {
            Some((open, known, sum)) if *open == bin => {
                *known += known_ms;
                *sum = short(*sum + records);
            }
            Some((open, ..)) if *open > bin => return,
            _ => {
                self.close();
                self.open = Some((bin, known_ms, short(records)));
            }
        }
        if self.open.is_some_and(|(_, known, _)| known >= BIN_MS) {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some((bin, known_ms, records)) = self.open.take() else { return };
        let measured =
            (known_ms * 2 >= BIN_MS).then(|| short((records / seconds(known_ms)).max(LEAST_PER_S)));
        if self.bins.is_empty() || bin - self.newest_bin > GAP_BINS {
            self.bins.clear();
            self.shifts.clear();
            if let Some(rate_per_s) = measured {
                self.newest_bin = bin;
                self.bins.push(rate_per_s);
            }
            return;
        }
        while self.newest_bin < bin {
            let last = self.bins.last().copied().unwrap_or(LEAST_PER_S);
            let known = measured.filter(|_| self.newest_bin + 1 == bin);
            self.newest_bin += 1;
            self.bins.push(known.unwrap_or(last));
            self.note_shift();
        }
        let surplus = self.bins.len().saturating_sub(BINS);
        self.bins.drain(..surplus);
        let first = self.first_bin();
        self.shifts.retain(|shift| *shift >= first);
    }

    fn note_shift(&mut self) {
        let bin = self.newest_bin;
        if self.bins.len() <= 3 {
            return;
        }
        let (Some(now), Some(level)) = (self.bin(bin), self.level(bin - 1, 3)) else { return };
        if (now / level).ln().abs() > (4.2 * self.sigma(bin - 1)).max(0.12) {
            self.shifts.push(bin);
        }
    }

    fn first_bin(&self) -> i64 {
        self.newest_bin + 1 - i64::try_from(self.bins.len()).unwrap_or(0)
    }

    /// The number of the newest full bin, once there are three.
    pub(super) fn newest(&self) -> Option<i64> {
        (self.bins.len() >= 3).then_some(self.newest_bin)
    }

    fn bin(&self, bin: i64) -> Option<f64> {
        let index = usize::try_from(bin - self.first_bin()).ok()?;
        self.bins.get(index).copied()
    }

    /// The bin of the last shift up to this bin.
    pub(super) fn shift_before(&self, bin: i64) -> Option<i64> {
        self.shifts.iter().copied().rev().find(|shift| *shift <= bin)
    }

    /// The newest `count` bins up to this one that no shift parts from it.
    fn window(&self, bin: i64, count: i64) -> &[f64] {
        let first = self.first_bin();
        let begin = (bin + 1 - count).max(self.shift_before(bin).unwrap_or(first)).max(first);
        let index = |bin: i64| usize::try_from(bin - first).unwrap_or(0).min(self.bins.len());
        if bin < begin { &[] } else { &self.bins[index(begin)..index(bin + 1)] }
    }

    /// Mean rate over so many bins up to this one, in records per second.
    pub(super) fn level(&self, bin: i64, count: i64) -> Option<f64> {
        mean(self.window(bin, count))
    }

    /// The change of the rate per second over so many bins up to this one, by least squares; 0 if there are fewer than six.
    pub(super) fn slope(&self, bin: i64, count: i64) -> f64 {
        let window = self.window(bin, count);
        let Some(level) = mean(window).filter(|_| window.len() >= 6) else { return 0.0 };
        let middle = (length(window) - 1.0) / 2.0;
        let (mut covariance, mut variance, mut place) = (0.0, 0.0, -middle);
        for rate in window {
            covariance += place * (rate - level);
            variance += place * place;
            place += 1.0;
        }
        covariance / variance / seconds(BIN_MS)
    }

    /// Relative standard deviation of a bin about its neighbours. Of a job that has just been found, usual steps stand in for those that were
    /// not seen yet, so that a step of the load among the first bins is no noise.
    pub(super) fn sigma(&self, bin: i64) -> f64 {
        let first = self.first_bin();
        let ratio = |bin: i64| Some((self.bin(bin)? / self.bin(bin - 1)?).ln().abs());
        let mut steps: Vec<f64> = ((bin - 30).max(first + 1)..=bin).filter_map(ratio).collect();
        steps.resize(steps.len().max(LEAST_STEPS), USUAL_STEP);
        let middle = steps.len() / 2;
        let (_, median, _) = steps.select_nth_unstable_by(middle, f64::total_cmp);
        (*median * 1.05).max(0.01)
    }

    /// The rate over the newest so many seconds that are known, in records per second.
    pub(super) fn rate(&self, over_s: i64) -> Option<f64> {
        let (mut left_ms, mut records, mut taken_ms) = (over_s * 1000, 0.0, 0);
        for (_, length_ms, sum) in self.recent.iter().rev() {
            let part_ms = left_ms.min(*length_ms);
            records += sum * seconds(part_ms) / seconds(*length_ms);
            taken_ms += part_ms;
            left_ms -= part_ms;
            if left_ms <= 0 {
                break;
            }
        }
        (taken_ms > 0).then(|| records / seconds(taken_ms))
    }

    /// The share of all arrivals that this source has; the whole while none is known.
    pub(super) fn share(&self, source: &str) -> Option<f64> {
        let all: f64 = self.by_source.values().sum();
        let own = self.by_source.get(source)?;
        (all > 0.0).then(|| own / all)
    }
}

/// The readings of a source that can be true.
fn believable(source: &Operator, now_ms: i64) -> impl Iterator<Item = (i64, f64)> {
    let can_be = move |(at_ms, records): &(i64, f64)| {
        *at_ms <= now_ms.saturating_add(AHEAD_MS) && sane(Some(*records)).is_some()
    };
    source.arrivals.iter().copied().filter(can_be)
}

/// The records until a time, between two readings in proportion.
fn at(series: &Series, at_ms: i64) -> f64 {
    let next = series.partition_point(|(time_ms, _)| *time_ms < at_ms);
    let (Some(after), before) = (series.get(next), next.checked_sub(1).map(|index| series[index])) else {
        return series.last().map_or(0.0, |(_, records)| *records);
    };
    match before {
        Some(before) if after.0 > at_ms => {
            let part = seconds(at_ms - before.0) / seconds(after.0 - before.0);
            before.1 + part * (after.1 - before.1)
        }
        _ => after.1,
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / length(values))
}

fn length(values: &[f64]) -> f64 {
    f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, arrivals: Series) -> Operator {
        Operator { name: name.to_owned(), kind: Kind::Source, arrivals, ..Operator::default() }
    }

    fn snapshot(operators: Vec<Operator>) -> Snapshot {
        Snapshot { operators, ..Snapshot::default() }
    }

    /// Goal: two sources that are read at different times are added up exactly, over the time that both cover, in any order.
    #[test]
    fn sources_are_added_up() {
        let series = |from: i64, per_s: f64| -> Series {
            (0..30).map(|k| (from + k * 1700, per_s * seconds(k * 1700))).collect()
        };
        for swap in [false, true] {
            let mut operators = vec![source("a", series(1000, 100.0)), source("b", series(1600, 50.0))];
            if swap {
                operators.reverse();
            }
            let mut arrivals = Arrivals::default();
            let full = arrivals.observe(&snapshot(operators), 60_000, 5000);
            assert_eq!(full, 0..5);
            assert!((arrivals.rate(5).unwrap() - 150.0).abs() < 0.1);
            assert!((arrivals.level(4, 3).unwrap() - 150.0).abs() < 0.1);
            assert!((arrivals.share("a").unwrap() - 2.0 / 3.0).abs() < 1e-3);
        }
    }

    /// Goal: readings of new tasks begin anew; the time in between is unknown and belongs to no bin.
    #[test]
    fn a_restart_is_no_arrival() {
        let mut arrivals = Arrivals::default();
        let run = |arrivals: &mut Arrivals, from: i64, per_s: f64| {
            let series = (0..=20).map(|k| (from + k * 2000, 1e6 + per_s * seconds(k * 2000))).collect();
            arrivals.observe(&snapshot(vec![source("a", series)]), from + 40_000, 5000)
        };
        run(&mut arrivals, 0, 100.0);
        arrivals.restarted();
        run(&mut arrivals, 47_000, 100.0);
        assert!(arrivals.bins.iter().all(|rate| (rate - 100.0).abs() < 0.1), "{:?}", arrivals.bins);
        assert_eq!(arrivals.newest_bin, 7);
    }

    /// Goal: without readings the rate of the epoch counts, back-pressure stands in for an unknown arrival, and what is unknown
    /// adds nothing.
    #[test]
    fn rates_stand_in_for_readings() {
        let mut by_rate = source("a", Vec::new());
        by_rate.arrival_rate_per_s = Some(100.0);
        let mut held = source("b", Vec::new());
        (held.throughput_per_s, held.backpressured_ratio) = (Some(10.0), Some(0.5));
        let mut arrivals = Arrivals::default();
        for epoch in 1..=10 {
            arrivals.observe(&snapshot(vec![by_rate.clone(), held.clone()]), epoch * 5000, 5000);
        }
        assert!((arrivals.level(4, 3).unwrap() - 120.0).abs() < 0.1);
        held.throughput_per_s = None;
        arrivals.observe(&snapshot(vec![by_rate, held]), 55_000, 5000);
        assert_eq!(arrivals.until_ms, Some(50_000));
    }

    /// Uniform within 1 ± `part`, different for each number.
    fn wave(number: i64, part: f64) -> f64 {
        let mut mixed = u64::try_from(number).unwrap().wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let uniform = f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1_u32 << 23) - 1.0;
        1.0 + part * uniform
    }

    /// Goal: levels and slopes look at the time since a shift only; noise of ±8 % is none.
    #[test]
    fn shifts_part_the_past() {
        let rate = |bin: i64| if bin < 60 { 100.0 } else { 200.0 } * wave(bin, 0.08);
        let mut arrivals = Arrivals::default();
        for bin in 0..100 {
            arrivals.add((bin + 1) * 10_000, 10_000, rate(bin) * 10.0);
        }
        assert_eq!(arrivals.shifts, [60]);
        assert!(arrivals.slope(64, 90).abs() < 1e-9 && arrivals.slope(99, 90).abs() < 0.2);
        assert!((arrivals.level(61, 6).unwrap() - (rate(60) + rate(61)) / 2.0).abs() < 0.01);
        assert!((0.02..0.1).contains(&arrivals.sigma(99)));
    }

    /// Goal: a step of the load in the first minute is a shift, and no sign of a load that varies much.
    #[test]
    fn an_early_step_is_no_noise() {
        let mut arrivals = Arrivals::default();
        for (bin, per_s) in [740.0, 745.0, 738.0, 2500.0].into_iter().enumerate() {
            arrivals.add((i64::try_from(bin).unwrap() + 1) * 10_000, 10_000, per_s * 10.0);
        }
        assert_eq!(arrivals.shifts, [3]);
        assert!(arrivals.sigma(3) < 0.06, "{}", arrivals.sigma(3));
        assert!((arrivals.level(3, 3).unwrap() - 2500.0).abs() < 1.0);
    }
}
