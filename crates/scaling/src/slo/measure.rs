//! Service times of the operators from their readings, with the fullest subtask and biased busy time.
//!
//! Over the newest 30 s, of tasks that run for at least 15 s and whose service times have stopped falling:
//!
//! ```text
//! service s(p) = busy seconds of the busiest subtask ÷ (records · w)      w = share of the fullest subtask
//! γ            = measured rate ÷ (1 ÷ (s·w)) while the operator is saturated, 0.3 to 1.05
//! ```
//!
//! When an operator is saturated, and at which rate it works then: [`saturation`]. An operator that is busy less than 2 % of its time, or
//! whose service times still fall, shows only an upper bound of its service time, which is used until something better is known.

mod saturation;

use serde::{Deserialize, Serialize};

use super::memory::{Memory, running_since_ms, sane, seconds, short};
use crate::key_groups::InputUnits;
use crate::{Kind, Operator, Snapshot, Subtask};

/// Readings of younger tasks are not used, in milliseconds.
const WARM_UP_MS: i64 = 15_000;
/// After this time a job is warm in any case, in milliseconds.
const WARM_MS: i64 = 120_000;
/// Readings are averaged over this time, in milliseconds.
const WINDOW_MS: i64 = 30_000;
/// The shortest time that is averaged over, in seconds.
const LEAST_S: f64 = 8.0;
/// An operator that is less busy shows no service time.
const LEAST_BUSY: f64 = 0.02;
/// The time in which past records lose weight in an operator's ratio, in seconds.
const RATIO_S: f64 = 100.0;
/// Parallelisms that are remembered of all operators together, and of one.
const SEEN: usize = 240;
const SEEN_OF_ONE: usize = 10;
/// Readings that are remembered of all operators together, and at most of one.
const READINGS: usize = 240;
const READINGS_OF_ONE: usize = 15;

/// One reading of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f64, Option<f64>, Option<f64>, f64, Option<f64>)")]
#[serde(into = "(f64, Option<f64>, Option<f64>, f64, Option<f64>)")]
struct Reading {
    /// Records per second.
    rate_per_s: f64,
    /// Busy share of the busiest subtask.
    busy: Option<f64>,
    /// Share of time held back, mean over the subtasks.
    held: Option<f64>,
    /// Share of the records that the fullest subtask gets.
    share: f64,
    /// Sources: the smallest backlog.
    backlog: Option<f64>,
}

impl From<(f64, Option<f64>, Option<f64>, f64, Option<f64>)> for Reading {
    fn from(figures: (f64, Option<f64>, Option<f64>, f64, Option<f64>)) -> Self {
        let (rate_per_s, busy, held, share, backlog) = figures;
        Self { rate_per_s, busy, held, share, backlog }
    }
}

impl From<Reading> for (f64, Option<f64>, Option<f64>, f64, Option<f64>) {
    fn from(reading: Reading) -> Self {
        (reading.rate_per_s, reading.busy, reading.held, reading.share, reading.backlog)
    }
}

/// What has been seen of an operator at one parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u32, f64, f64, f64, i64)", into = "(u32, f64, f64, f64, i64)")]
pub(super) struct ServiceTime {
    pub(super) parallelism: u32,
    /// Seconds of one subtask per record.
    pub(super) service_s: f64,
    /// The share of the fullest subtask.
    pub(super) share: f64,
    /// The number of averaged measurements, at most 40; 0: `service_s` is an upper bound.
    pub(super) weight: f64,
    /// When it was seen last, in seconds since the Unix epoch.
    pub(super) at_s: i64,
}

impl From<(u32, f64, f64, f64, i64)> for ServiceTime {
    fn from((parallelism, service_s, share, weight, at_s): (u32, f64, f64, f64, i64)) -> Self {
        Self { parallelism, service_s, share, weight, at_s }
    }
}

impl From<ServiceTime> for (u32, f64, f64, f64, i64) {
    fn from(seen: ServiceTime) -> Self {
        (seen.parallelism, seen.service_s, seen.share, seen.weight, seen.at_s)
    }
}

/// What is remembered of one operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OperatorMemory {
    /// By span; [`None`] where its rate was unknown.
    readings: Vec<Option<Reading>>,
    pub(super) seen: Vec<ServiceTime>,
    /// γ: what a saturated operator did, as a multiple of what its busy time promised.
    pub(super) gamma: f64,
    pub(super) was_saturated: bool,
    /// Relative deviation of the service time.
    pub(super) variation: f64,
    /// How wrong the capacity at a parallelism that had not been seen was.
    pub(super) extrapolation_error: f64,
    /// Records of the operator and of all sources over the same time, weighted by age.
    pub(super) records: (f64, f64),
    /// The capacity that was predicted for a parallelism that had not been seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) predicted: Option<(u32, f64)>,
}

impl Default for OperatorMemory {
    fn default() -> Self {
        Self {
            readings: Vec::new(),
            seen: Vec::new(),
            gamma: 1.0,
            was_saturated: false,
            variation: 0.03,
            extrapolation_error: 0.10,
            records: (0.0, 0.0),
            predicted: None,
        }
    }
}

/// The averages over the window.
#[derive(Debug, Clone, Copy)]
struct Window {
    rate_per_s: f64,
    busy: Option<f64>,
    share: f64,
    length_s: f64,
}

impl Window {
    /// Seconds of one subtask per record; [`None`] if nothing was processed or the busy time is unknown.
    fn service_s(&self) -> Option<f64> {
        let busy = self.busy.filter(|_| self.rate_per_s > 0.0 && self.share > 0.0)?;
        Some(short(busy.max(LEAST_BUSY) / (self.rate_per_s * self.share)))
    }
}

impl OperatorMemory {
    /// Forgets the readings of tasks that no longer run.
    pub(super) fn restarted(&mut self) {
        self.readings.clear();
    }

    pub(super) fn at(&self, parallelism: u32) -> Option<&ServiceTime> {
        self.seen.iter().find(|seen| seen.parallelism == parallelism)
    }

    /// Input of the operator per record of all sources.
    pub(super) fn ratio(&self) -> Option<f64> {
        let (own, all) = self.records;
        (all > 0.0).then(|| own / all)
    }

    fn window(&self, spans: &[(i64, i64)]) -> Option<Window> {
        let known = || {
            let all = spans.iter().zip(&self.readings);
            all.filter_map(|((from_ms, at_ms), reading)| Some((seconds(at_ms - from_ms), reading.as_ref()?)))
        };
        let length_s: f64 = known().map(|(length_s, _)| length_s).sum();
        let mean = |figure: fn(&Reading) -> Option<f64>| -> Option<f64> {
            let sum: Option<f64> = known().map(|(s, reading)| Some(s * figure(reading)?)).sum();
            Some(sum? / length_s)
        };
        (length_s > 0.0).then_some(())?;
        Some(Window {
            rate_per_s: mean(|reading| Some(reading.rate_per_s))?,
            busy: mean(|reading| reading.busy),
            share: mean(|reading| Some(reading.share))?,
            length_s,
        })
    }

    /// The averages over the window once it is long enough.
    fn full_window(&self, spans: &[(i64, i64)]) -> Option<Window> {
        self.window(spans).filter(|window| window.length_s >= LEAST_S)
    }

    fn learn(&mut self, operator: &Operator, window: Window, now_s: i64, most: usize) {
        let Some((busy, service_s)) = window.busy.zip(window.service_s()) else { return };
        let p = operator.parallelism;
        let share = short(window.share);
        let found = self.seen.iter_mut().find(|seen| seen.parallelism == p);
        match found {
            Some(seen) if busy > LEAST_BUSY => {
                if seen.weight > 5.0 {
                    let deviation = (service_s / seen.service_s - 1.0).abs() * 1.25;
                    self.variation = short(self.variation + 0.02 * (deviation - self.variation));
                }
                let step = (1.0 / (seen.weight + 1.0)).max(0.05);
                seen.service_s = short(seen.service_s + step * (service_s - seen.service_s));
                seen.weight = (seen.weight + 1.0).min(40.0);
                (seen.share, seen.at_s) = (share, now_s);
            }
            Some(seen) if seen.weight <= 0.0 => {
                (seen.service_s, seen.share, seen.at_s) = (service_s, share, now_s);
            }
            Some(seen) => (seen.share, seen.at_s) = (share, now_s),
            None => {
                let weight = if busy > LEAST_BUSY { 1.0 } else { 0.0 };
                self.seen.push(ServiceTime { parallelism: p, service_s, share, weight, at_s: now_s });
                self.seen.sort_by_key(|seen| seen.parallelism);
            }
        }
        while self.seen.len() > most {
            let others = self.seen.iter().enumerate().filter(|(_, seen)| seen.parallelism != p);
            let Some((oldest, _)) = others.min_by_key(|(_, seen)| seen.at_s) else { break };
            self.seen.remove(oldest);
        }
    }

    /// Learns what a record takes at most, from tasks that still warm up, while nothing better is known at any parallelism.
    fn learn_bound(&mut self, operator: &Operator, window: Window, now_s: i64) {
        if self.seen.iter().any(|seen| seen.weight > 0.0) {
            return;
        }
        let Some(service_s) = window.service_s() else { return };
        let (parallelism, share) = (operator.parallelism, short(window.share));
        self.seen = vec![ServiceTime { parallelism, service_s, share, weight: 0.0, at_s: now_s }];
    }

    /// Compares a predicted capacity with what was measured since.
    fn verify(&mut self, parallelism: u32) {
        let Some((_, predicted_per_s)) = self.predicted.filter(|(planned, _)| *planned == parallelism) else {
            return;
        };
        let Some(seen) = self.at(parallelism).filter(|seen| seen.weight >= 4.0) else { return };
        let busy_s = seen.service_s * seen.share;
        if busy_s > 0.0 {
            let error = (predicted_per_s * busy_s / self.gamma - 1.0).abs().min(0.3);
            let step = if error > self.extrapolation_error { 0.5 } else { 0.2 };
            self.extrapolation_error =
                short(self.extrapolation_error + step * (error - self.extrapolation_error));
        }
        self.predicted = None;
    }

    /// Corrects the busy time by what the saturated operator really did.
    fn correct(&mut self, rate_per_s: f64, promised_per_s: f64) {
        let found = (rate_per_s / promised_per_s).clamp(0.3, 1.05);
        let step = if self.was_saturated { 0.4 } else { 0.9 };
        self.gamma = short(self.gamma + step * (found - self.gamma));
        self.was_saturated = true;
    }
}

/// How the input of an operator is portioned.
pub(super) fn input_units(snapshot: &Snapshot, operator: &Operator) -> InputUnits {
    match operator.source_partitions {
        Some(partitions) if operator.kind == Kind::Source => InputUnits::Of(partitions.max(1)),
        _ if operator.is_keyed() => {
            let own = operator.max_parallelism.unwrap_or(u32::MAX);
            InputUnits::Of(own.min(snapshot.job.max_parallelism).max(1))
        }
        _ => InputUnits::None,
    }
}

fn reading(snapshot: &Snapshot, operator: &Operator) -> Option<Reading> {
    let rate_per_s = sane(operator.throughput_per_s)?;
    let even = 1.0 / input_units(snapshot, operator).effective(operator.parallelism);
    let subtasks = &operator.subtasks;
    let taken = |subtask: &Subtask| {
        let read = sane(subtask.records_in);
        if operator.kind == Kind::Source {
            read.filter(|read| *read > 0.0).or(sane(subtask.records_out))
        } else {
            read
        }
    };
    let counts: Option<Vec<f64>> = subtasks.iter().map(taken).collect();
    let counts = counts.filter(|counts| counts.len() > 1).unwrap_or_default();
    let all: f64 = counts.iter().sum();
    let fullest = counts.iter().copied().fold(0.0, f64::max);
    // What counting alone spreads is no skew.
    let is_uneven = all > 0.0 && fullest > all * even + 3.0 * (all * even).sqrt();
    let share = if is_uneven { fullest / all } else { even };
    let of_subtasks: Option<Vec<f64>> = subtasks.iter().map(|subtask| sane(subtask.busy_ratio)).collect();
    let busiest = of_subtasks.and_then(|all| all.into_iter().reduce(f64::max));
    let mean = || sane(operator.busy_ratio).map(|busy| busy * f64::from(operator.parallelism.max(1)) * even);
    Some(Reading {
        rate_per_s: short(rate_per_s),
        busy: busiest.or_else(mean).map(|busy| short(busy.min(1.0))),
        held: sane(operator.backpressured_ratio).map(|held| short(held.min(1.0))),
        share: short(share.min(1.0)),
        backlog: sane(operator.backlog_records).filter(|_| operator.kind == Kind::Source).map(short),
    })
}

/// When the readings of a snapshot began and ended, in milliseconds since the Unix epoch.
fn span(snapshot: &Snapshot, now_ms: i64, epoch_ms: i64) -> (i64, i64) {
    let own = snapshot.operators.iter().find_map(|operator| operator.reading.as_ref());
    let end_ms = own.and_then(|reading| reading.at_ms).or(snapshot.at_ms).unwrap_or(now_ms).min(now_ms);
    let known_ms = own.and_then(crate::Reading::interval_ms).or(snapshot.interval_ms);
    (end_ms - known_ms.filter(|ms| (1..=3_600_000).contains(ms)).unwrap_or(epoch_ms), end_ms)
}

/// Adds the readings of this snapshot to the memory and learns from the window that they complete.
pub(super) fn observe(memory: &mut Memory, snapshot: &Snapshot, now_ms: i64, epoch_ms: i64) {
    let own = &mut memory.operators;
    own.retain(|name, _| snapshot.operator(name).is_some());
    for operator in &snapshot.operators {
        if !own.contains_key(&operator.name) {
            own.insert(operator.name.clone(), OperatorMemory::default());
        }
    }
    let (from_ms, end_ms) = span(snapshot, now_ms, epoch_ms);
    let started_ms = running_since_ms(snapshot, now_ms).unwrap_or(i64::MIN);
    // A snapshot may begin a little before the tasks count as grown up.
    if from_ms.saturating_add(1000) < started_ms.saturating_add(WARM_UP_MS) {
        return;
    }
    if memory.spans.last().is_some_and(|(_, last_ms)| *last_ms >= end_ms) {
        return;
    }
    push(memory, snapshot, (from_ms, end_ms));
    add_records(memory, snapshot, seconds(end_ms - from_ms));
    if settle(memory, snapshot, end_ms.saturating_sub(started_ms)) {
        learn(memory, snapshot, now_ms / 1000);
    } else {
        learn_bounds(memory, snapshot, now_ms / 1000);
    }
}

fn push(memory: &mut Memory, snapshot: &Snapshot, span: (i64, i64)) {
    let most = (READINGS / memory.operators.len().max(1)).clamp(3, READINGS_OF_ONE);
    let shortest_ms = WINDOW_MS / i64::try_from(most).unwrap_or(3);
    let merges = memory
        .spans
        .last()
        .is_some_and(|(from_ms, at_ms)| span.1 - from_ms <= shortest_ms && span.0 - at_ms <= WINDOW_MS / 3);
    let old = memory.spans.iter().filter(|(_, at_ms)| *at_ms <= span.1 - WINDOW_MS).count();
    let (before, at) = match memory.spans.last_mut() {
        Some(last) if merges => {
            let before = seconds(last.1 - last.0);
            last.1 = span.1;
            (before, seconds(span.1 - span.0))
        }
        _ => {
            memory.spans.push(span);
            (0.0, 1.0)
        }
    };
    memory.spans.drain(..old);
    for (name, own) in &mut memory.operators {
        let new = snapshot.operator(name).and_then(|operator| reading(snapshot, operator));
        if merges && let Some(last) = own.readings.last_mut() {
            *last = last.zip(new).map(|(last, new)| last.with(before, new, at));
        } else {
            own.readings.push(new);
        }
        // An operator that is new has fewer readings than there are spans.
        let surplus = own.readings.len().saturating_sub(memory.spans.len());
        own.readings.drain(..surplus);
        while own.readings.len() < memory.spans.len() {
            own.readings.insert(0, None);
        }
    }
}

impl Reading {
    /// The mean of two readings, by their lengths.
    fn with(self, before: f64, other: Self, length: f64) -> Self {
        let mean = |one: f64, two: f64| short((one * before + two * length) / (before + length));
        let both = |one: Option<f64>, two: Option<f64>| one.zip(two).map(|(one, two)| mean(one, two));
        Self {
            rate_per_s: mean(self.rate_per_s, other.rate_per_s),
            busy: both(self.busy, other.busy),
            held: both(self.held, other.held),
            share: mean(self.share, other.share),
            backlog: self.backlog.zip(other.backlog).map(|(one, two)| one.min(two)),
        }
    }
}

/// Adds what the operators and the sources processed.
fn add_records(memory: &mut Memory, snapshot: &Snapshot, length_s: f64) {
    let sources = snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source);
    let rates: Option<Vec<f64>> = sources.map(|source| sane(source.throughput_per_s)).collect();
    let mut rates = rates.unwrap_or_default();
    rates.sort_by(f64::total_cmp);
    let of_sources: f64 = rates.iter().sum();
    if of_sources <= 0.0 {
        return;
    }
    let keep = (-length_s / RATIO_S).exp();
    for operator in &snapshot.operators {
        let own = memory.operators.get_mut(&operator.name);
        if let (Some(own), Some(rate_per_s)) = (own, sane(operator.throughput_per_s)) {
            let (records, all) = own.records;
            own.records =
                (short(records * keep + rate_per_s * length_s), short(all * keep + of_sources * length_s));
        }
    }
}

/// Whether the service times have stopped falling; readings before that are dropped.
fn settle(memory: &mut Memory, snapshot: &Snapshot, age_ms: i64) -> bool {
    if memory.is_warm || age_ms >= WARM_MS {
        memory.is_warm = true;
        return true;
    }
    let count = memory.spans.len();
    let half = count / 2;
    if half == 0 {
        return false;
    }
    let falls = |operator: &Operator| {
        let Some(own) = memory.operators.get(&operator.name) else { return false };
        let of = |readings: &[Option<Reading>], spans: &[(i64, i64)]| {
            let part = OperatorMemory { readings: readings.to_vec(), ..OperatorMemory::default() };
            let window = part.window(spans)?;
            Some((window.busy?, window.rate_per_s)).filter(|(_, rate_per_s)| *rate_per_s > 0.0)
        };
        let first = of(&own.readings[..half], &memory.spans[..half]);
        let second = of(&own.readings[half..], &memory.spans[half..]);
        let (Some(first), Some(second)) = (first, second) else { return false };
        !operator.kind.is_windowed() && first.0 > 0.1 && second.0 / second.1 < 0.96 * first.0 / first.1
    };
    let length_ms: i64 = memory.spans.iter().map(|(from_ms, at_ms)| at_ms - from_ms).sum();
    if seconds(length_ms) < LEAST_S || snapshot.operators.iter().any(falls) {
        return false;
    }
    memory.spans.drain(..half);
    for own in memory.operators.values_mut() {
        let half = half.min(own.readings.len());
        own.readings.drain(..half);
    }
    memory.is_warm = true;
    true
}

/// A load that rises while the tasks of a new job warm up must not wait for them.
fn learn_bounds(memory: &mut Memory, snapshot: &Snapshot, now_s: i64) {
    for operator in &snapshot.operators {
        if let Some(own) = memory.operators.get_mut(&operator.name)
            && let Some(window) = own.full_window(&memory.spans)
        {
            own.learn_bound(operator, window, now_s);
        }
    }
}

fn learn(memory: &mut Memory, snapshot: &Snapshot, now_s: i64) {
    let most = (SEEN / memory.operators.len().max(1)).clamp(2, SEEN_OF_ONE);
    for operator in &snapshot.operators {
        let saturated_per_s = saturation::rate_per_s(memory, operator);
        let Some(own) = memory.operators.get_mut(&operator.name) else { continue };
        let Some(window) = own.full_window(&memory.spans) else { continue };
        own.learn(operator, window, now_s, most);
        let promised = own.at(operator.parallelism).filter(|seen| seen.weight > 0.0);
        let promised =
            promised.map(|seen| 1.0 / (seen.service_s * seen.share)).filter(|rate| rate.is_finite());
        if let Some((promised, saturated_per_s)) = promised.zip(saturated_per_s) {
            own.correct(saturated_per_s, promised);
        }
        own.verify(operator.parallelism);
    }
}
