//! Re-implementation of Flink's autoscaler (FLIP-271, `flink-autoscaler` of the Kubernetes operator), without memory
//! tuning.
//!
//! The metrics window is cleared at every start of the job and must be full before a decision. True rates are rates
//! over the busy time of the fullest subtask; for a source that is behind and not back-pressured, the observed rate
//! is used if lower. The sources' target rates, including the catch-up of the backlog, propagate down the graph by
//! the ratios of the edges. A change is made if an operator is outside its utilisation bounds. A scale-down waits
//! until it was wanted for the scale-down interval, and uses the highest parallelism wanted in that time. The
//! parallelism of sources and keyed operators is raised to one that divides partitions or key groups evenly.

use std::collections::{BTreeMap, VecDeque};

use super::flip_windows::{FlipOperator, FlipWindow};
use super::{Controller, ceiling};
use crate::change::{Phase, seconds};
use crate::view::{InputUnits, View};

/// Time over which a reading's rates are computed, in seconds.
const RATE_OVER_S: usize = 5;
/// Tasks younger than this report always busy, in seconds.
const YOUNG_S: usize = 10;
/// A source is behind if its backlog exceeds this time of input, in seconds.
const BEHIND_S: f64 = 30.0;
/// The observed rate of a source replaces the true one if the latter is larger by this factor.
const OBSERVED_WITHIN: f64 = 1.15;
/// Upper bound of a tracked restart time, in seconds.
const RESTART_MAX_S: f64 = 900.0;
/// Maximum parallelism, unless an operator already has more.
const PARALLELISM_MAX: u32 = 200;
/// Maximum increase, as a multiple of the parallelism.
const UP_FACTOR: f64 = 100_000.0;
/// Maximum decrease, as a fraction of the parallelism.
const DOWN_FACTOR: f64 = 0.6;
/// A backlog above this time of input counts as catching up, in seconds.
const BACKLOG_S: f64 = 300.0;
const TARGET: f64 = 0.7;

/// Options of the autoscaler; times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Options {
    loop_s: u32,
    window_s: usize,
    stabilisation_s: usize,
    utilisation_max: f64,
    utilisation_min: f64,
    scale_down_s: usize,
    catch_up_s: f64,
    restart_s: f64,
    tracks_restarts: bool,
}

impl Options {
    /// The defaults.
    pub(super) const STOCK: Self = Self {
        loop_s: 10,
        window_s: 900,
        stabilisation_s: 300,
        utilisation_max: 1.0,
        utilisation_min: 0.4,
        scale_down_s: 3600,
        catch_up_s: 1800.0,
        restart_s: 300.0,
        tracks_restarts: false,
    };
    /// Short windows.
    pub(super) const FAST: Self = Self { loop_s: 5, window_s: 30, stabilisation_s: 10, ..Self::STOCK };
    /// Tuned for jobs that rescale in seconds.
    pub(super) const TUNED: Self = Self {
        utilisation_max: 0.85,
        scale_down_s: 300,
        catch_up_s: 60.0,
        restart_s: 5.0,
        tracks_restarts: true,
        ..Self::FAST
    };
}

/// Samples of one time, by operator.
#[derive(Debug, Clone)]
struct Collected {
    at_s: usize,
    busy: Vec<f64>,
    records_in: Vec<f64>,
    records_out: Vec<f64>,
    lag: Vec<f64>,
    /// Sources: observed true rate while behind; infinite if nothing is read.
    observed: Vec<Option<f64>>,
}

impl Collected {
    /// Returns busy share, records in, records out, lag and observed true rate of an operator.
    fn readings(&self, operator: usize) -> (f64, f64, f64, f64, Option<f64>) {
        (
            self.busy[operator],
            self.records_in[operator],
            self.records_out[operator],
            self.lag[operator],
            self.observed[operator].filter(|rate| rate.is_finite()),
        )
    }
}

/// A pending scale-down.
#[derive(Debug, Clone, Default)]
struct Delayed {
    since_s: usize,
    /// Time, wanted parallelism and whether the operator was outside its bounds; in decreasing order.
    wanted: VecDeque<(usize, u32, bool)>,
}

/// Target rate of one operator, in records per second.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    rate: f64,
    catch_up: f64,
}

/// Flink's autoscaler.
#[derive(Debug, Clone)]
pub(super) struct Flip {
    options: Options,
    window: VecDeque<Collected>,
    delayed: BTreeMap<usize, Delayed>,
    /// The windows behind its decisions, if recorded.
    recorded: Option<Vec<FlipWindow>>,
}

impl Flip {
    pub(super) fn new(options: Options) -> Self {
        Self { options, window: VecDeque::new(), delayed: BTreeMap::new(), recorded: None }
    }

    /// Creates an autoscaler that records the window of every decision.
    pub(super) fn recording(options: Options) -> Self {
        Self { recorded: Some(Vec::new()), ..Self::new(options) }
    }

    /// Returns the recorded windows.
    pub(super) fn into_recorded(self) -> Vec<FlipWindow> {
        self.recorded.unwrap_or_default()
    }

    fn collect(&mut self, view: View<'_>, newest_s: usize) {
        let restarted_s = view.restarted_s().unwrap_or(0);
        let from_s = newest_s - RATE_OVER_S;
        let from_s = if newest_s > restarted_s { from_s.max(restarted_s) } else { from_s };
        let span_s = seconds((newest_s - from_s).max(1));
        let is_gap = view.job(newest_s).is_gap;
        let is_young = restarted_s > 0 && view.now_s() < restarted_s + YOUNG_S;
        let rate = |operator: usize, counter: fn(&crate::history::Reading) -> f64| {
            let at = |second| counter(view.reading(operator, second));
            if is_gap { 0.0 } else { (at(newest_s) - at(from_s)) / span_s }
        };
        let busy = |operator| match (is_gap, is_young) {
            (false, true) => 1.0,
            _ => rate(operator, |reading| reading.busy_fullest_s),
        };
        let lag = |operator| if is_gap { 0.0 } else { view.reading(operator, newest_s).pending };
        let observed = |operator: usize| {
            let held = rate(operator, |reading| reading.backpressured_s);
            let read_per_s = rate(operator, |reading| reading.records_in);
            if read_per_s == 0.0 {
                Some(f64::INFINITY)
            } else {
                let is_behind = lag(operator) >= BEHIND_S * read_per_s && held < 1.0;
                is_behind.then(|| read_per_s / (1.0 - held))
            }
        };
        let all = || 0..view.operators();
        self.window.push_back(Collected {
            at_s: view.now_s(),
            busy: all().map(busy).collect(),
            records_in: all().map(|operator| view.reading(operator, newest_s).records_in).collect(),
            records_out: all().map(|operator| view.reading(operator, newest_s).records_out).collect(),
            lag: all().map(lag).collect(),
            observed: all().map(observed).collect(),
        });
    }

    /// Whether the window is full of samples taken after the stabilisation.
    fn is_full(&mut self, view: View<'_>) -> bool {
        let now_s = view.now_s();
        let stable_s = view.restarted_s().unwrap_or(0) + self.options.stabilisation_s;
        let first_s = self.window.iter().map(|collected| collected.at_s).find(|at_s| *at_s >= stable_s);
        if now_s < first_s.unwrap_or(now_s) + self.options.window_s {
            return false;
        }
        self.window.retain(|collected| collected.at_s + self.options.window_s >= now_s);
        self.window.len() >= 2
    }

    fn restart_s(&self, view: View<'_>) -> f64 {
        let longest_s = view.changes().iter().map(|change| change.outage_s).reduce(f64::max);
        let tracked_s = longest_s.filter(|_| self.options.tracks_restarts).map(|s| s.min(RESTART_MAX_S));
        tracked_s.unwrap_or(self.options.restart_s)
    }

    fn plan(&mut self, view: View<'_>) -> Option<Vec<u32>> {
        let rates = Rates::new(&self.window)?;
        let is_catching_up = view.sources().iter().any(|source| {
            rates.input[*source] > 0.0 && rates.lag_end[*source] / rates.input[*source] > BACKLOG_S
        });
        let bounds = if is_catching_up {
            (1.0, 0.0)
        } else {
            (self.options.utilisation_max, self.options.utilisation_min)
        };
        let asked = rates.asked(view, self.options.catch_up_s);
        let restart_s = self.restart_s(view);
        let mut plan = view.parallelism().to_vec();
        let mut acts = false;
        for (index, asked) in asked.into_iter().enumerate() {
            let true_rate = self.true_rate(view, index, &rates);
            let needed = Needed { asked, restart_s, catch_up_s: self.options.catch_up_s };
            let new = parallelism(view, index, needed.at(TARGET, true) / true_rate);
            let is_outside = true_rate < needed.at(bounds.0, false) || true_rate > needed.at(bounds.1, true);
            if let Some((new, is_outside)) = self.delay(view, index, new, is_outside) {
                plan[index] = new;
                acts |= is_outside;
            }
        }
        acts.then_some(plan)
    }

    fn true_rate(&self, view: View<'_>, index: usize, rates: &Rates) -> f64 {
        let all = self.window.iter();
        let busy =
            all.clone().map(|collected| collected.busy[index]).sum::<f64>() / seconds(self.window.len());
        let rate = rates.input[index];
        let by_busy_time = if rate == 0.0 || busy <= 0.0 { f64::INFINITY } else { rate / busy };
        if !view.sources().contains(&index) {
            return by_busy_time;
        }
        let observed: Vec<f64> =
            all.filter_map(|collected| collected.observed[index]).filter(|rate| rate.is_finite()).collect();
        if observed.len() < 2 {
            return by_busy_time;
        }
        let observed = observed.iter().sum::<f64>() / seconds(observed.len());
        if by_busy_time > observed * OBSERVED_WITHIN { observed } else { by_busy_time }
    }

    /// Returns the window, and the parallelism wanted of each operator before utilisation bounds and waits are
    /// applied.
    fn record(&self, view: View<'_>) -> Option<FlipWindow> {
        let rates = Rates::new(&self.window)?;
        let (restart_s, catch_up_s) = (self.restart_s(view), self.options.catch_up_s);
        let operator = |(index, asked): (usize, Asked)| {
            let needed = Needed { asked, restart_s, catch_up_s };
            let factor = needed.at(TARGET, true) / self.true_rate(view, index, &rates);
            let samples = self.window.iter().map(|collected| collected.readings(index)).collect();
            FlipOperator::new(view, index, samples, parallelism(view, index, factor))
        };
        Some(FlipWindow {
            scenario: String::new(),
            utilisation: TARGET,
            restart_s,
            catch_up_s,
            at_s: self.window.iter().map(|collected| collected.at_s).collect(),
            operators: rates.asked(view, catch_up_s).into_iter().enumerate().map(operator).collect(),
        })
    }

    /// Applies the scale-down delay to this wanted parallelism.
    fn delay(&mut self, view: View<'_>, index: usize, new: u32, is_outside: bool) -> Option<(u32, bool)> {
        let today = view.parallelism()[index];
        if new >= today {
            self.delayed.remove(&index);
            return (new > today).then_some((new, is_outside));
        }
        let (now_s, wait_s) = (view.now_s(), self.options.scale_down_s);
        let begin = || Delayed { since_s: now_s, wanted: VecDeque::new() };
        let delayed = self.delayed.entry(index).or_insert_with(begin);
        while delayed.wanted.back().is_some_and(|(_, wanted, _)| *wanted <= new) {
            delayed.wanted.pop_back();
        }
        delayed.wanted.push_back((now_s, new, is_outside));
        if now_s < delayed.since_s + wait_s {
            return None;
        }
        while delayed.wanted.front().is_some_and(|(at_s, ..)| at_s + wait_s < now_s) {
            delayed.wanted.pop_front();
        }
        delayed.wanted.front().map(|(_, wanted, is_outside)| (*wanted, *is_outside))
    }
}

impl Controller for Flip {
    fn period_s(&self) -> u32 {
        self.options.loop_s
    }

    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>> {
        if matches!(view.phase(), Phase::Down { .. }) {
            self.window.clear();
            return None;
        }
        let newest_s = view.newest_s().filter(|newest_s| *newest_s > RATE_OVER_S)?;
        let restarted_s = view.restarted_s().unwrap_or(0);
        if self.window.front().is_some_and(|first| restarted_s > first.at_s) {
            self.window.clear();
        }
        if view.now_s() < restarted_s + 2 {
            return None;
        }
        self.collect(*view, newest_s);
        if !self.is_full(*view) || view.is_changing() {
            return None;
        }
        if self.recorded.is_some() {
            let window = self.record(*view);
            self.recorded.as_mut().into_iter().for_each(|recorded| recorded.extend(window.clone()));
        }
        self.plan(*view)
    }

    fn accepted(&mut self) {
        self.delayed.clear();
    }
}

/// Rates of a window, by operator.
struct Rates {
    input: Vec<f64>,
    output: Vec<f64>,
    lag_growth: Vec<f64>,
    lag_end: Vec<f64>,
}

impl Rates {
    fn new(window: &VecDeque<Collected>) -> Option<Self> {
        let (first, last) = (window.front()?, window.back()?);
        let span_s = seconds((last.at_s - first.at_s).max(1));
        let rate = |counter: fn(&Collected) -> &Vec<f64>| -> Vec<f64> {
            counter(last).iter().zip(counter(first)).map(|(last, first)| (last - first) / span_s).collect()
        };
        Some(Self {
            input: rate(|collected| &collected.records_in),
            output: rate(|collected| &collected.records_out),
            lag_growth: rate(|collected| &collected.lag),
            lag_end: last.lag.clone(),
        })
    }

    /// Returns each operator's target rate: for sources what arrives, for others by the ratios of the edges.
    fn asked(&self, view: View<'_>, catch_up_s: f64) -> Vec<Asked> {
        let mut asked: Vec<Asked> = Vec::new();
        for index in 0..view.operators() {
            let mut own = Asked::default();
            for from in view.upstream(index) {
                let ratio = self.edge_ratio(view, from, index);
                own.rate += asked[from].rate * ratio;
                own.catch_up += asked[from].catch_up * ratio;
            }
            if view.sources().contains(&index) {
                own.rate = (self.input[index] + self.lag_growth[index]).max(0.0);
                own.catch_up = self.lag_end[index] / catch_up_s;
            }
            asked.push(own);
        }
        asked
    }

    /// Returns the records that reach an operator over an edge per record that its predecessor handles.
    fn edge_ratio(&self, view: View<'_>, from: usize, to: usize) -> f64 {
        let others = view.upstream(to).filter(|other| *other != from);
        let edge_per_s = if view.upstream(to).count() == 1 {
            self.input[to]
        } else if others.clone().all(|other| view.readers(other).count() == 1) {
            self.input[to] - others.map(|other| self.output[other]).sum::<f64>()
        } else {
            self.output[from]
        };
        if self.input[from] > 0.0 && edge_per_s > 0.0 { edge_per_s / self.input[from] } else { 0.0 }
    }
}

/// The required rate of an operator.
struct Needed {
    asked: Asked,
    restart_s: f64,
    catch_up_s: f64,
}

impl Needed {
    /// Returns the rate at this utilisation, with or without the backlog of a restart.
    fn at(&self, utilisation: f64, with_restart: bool) -> f64 {
        if utilisation <= 0.0 {
            return f64::INFINITY;
        }
        let Asked { rate, catch_up } = self.asked;
        let restart = if with_restart { rate * self.restart_s / self.catch_up_s } else { 0.0 };
        catch_up + restart + rate / utilisation
    }
}

/// Returns the current parallelism times a factor, within the step limits, aligned to partitions or key groups.
fn parallelism(view: View<'_>, index: usize, factor: f64) -> u32 {
    let today = view.parallelism()[index];
    if factor.is_nan() {
        return today;
    }
    let factor = factor.clamp(1.0 - DOWN_FACTOR, 1.0 + UP_FACTOR);
    let most = PARALLELISM_MAX.max(today).min(view.most(index));
    let new = ceiling(factor * f64::from(today)).min(most);
    let input_units = match view.input_units(index) {
        InputUnits::None => return new,
        InputUnits::KeyGroups(count) | InputUnits::Partitions(count) => count,
    };
    if new == today {
        return new;
    }
    let end = input_units.min(view.parallelism_max());
    let end = if new < today { end.min(today) } else { end };
    let suits = |p: &u32| input_units.is_multiple_of(*p) || input_units / *p < input_units / new;
    (new..=end).find(suits).unwrap_or(new)
}
