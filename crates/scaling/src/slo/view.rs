//! The figures of one epoch that decisions are based on.
//!
//! ```text
//! jump   |ln(λ5 ÷ level)| > 5.6 σ                 λw: rate of the newest w seconds
//! λ      = λ5 in a jump, and in the 30 s after one while λ5 > level·(1 + 3σ); else (λ10 + level) ÷ 2
//! C      = φ · smallest C_i(p_i) ÷ ratio_i         capacity of the graph
//! φ      = (λ − ΔB ÷ Δt) ÷ C, at most 1            while a backlog waits: what is read is what can be read; else 1
//! delay  = (B + max(0, λ−C)·lead) ÷ C              longest wait of a record that arrives now
//! lead   = median(asked → running) + age of the metrics + epoch + 3 s     of changes for which slots were there, or were not
//! ```

use std::collections::BTreeMap;
use std::ops::Deref;

use super::arrivals::Arrivals;
use super::changes::{Changes, backlog, backlog_series, downtime_s, needs_slots};
use super::forecast::{Errors, Outlook};
use super::measure::OperatorMemory;
use super::memory::{Memory, running_since_ms, sane, seconds, short};
use super::needs::NeededParallelism;
use super::options::Options;
use super::solve::{Graph, Node, Plan, Purpose};
use crate::Snapshot;

/// The age of metrics that do not say theirs, in seconds.
const AGE_S: f64 = 2.0;
/// The needs of the past are those of this horizon, in seconds.
const NEED_AHEAD_S: f64 = 300.0;
/// A lead time of this many epochs is long: another epoch costs little of it.
const LONG_LEAD_EPOCHS: f64 = 12.0;
/// A rate of the newest 2 s that is above that of 5 s by this part, at least, or that of 5 s above that of 10 s, is rising.
const LEAST_RISE: f64 = 0.03;
/// Bins after a shift in which the level still contains the rise.
const RISE_BINS: i64 = 3;
/// Added to the lead time for what no metric shows, in seconds.
const SLACK_S: f64 = 3.0;

/// A backlog of more than this part of the bound, all the time, shows what the job carries; but not in the minute after a start, in which tasks
/// warm up and what the change caused is worked off, in milliseconds. It is measured over at least so many seconds, and the newest ten.
const WAITING: f64 = 0.1;
const YOUNG_MS: i64 = 60_000;
const PACE_S: std::ops::RangeInclusive<i64> = 3..=10;

/// What is known at the end of an epoch, with what changes cost.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    pub(super) load: LoadView<'a>,
    pub(super) changes: &'a Changes,
    pub(super) needs: &'a NeededParallelism,
    /// The lead time of the next wider plan.
    pub(super) lead_s: f64,
    /// E, in seconds.
    pub(super) outage_s: f64,
}

impl<'a> Deref for View<'a> {
    type Target = LoadView<'a>;

    fn deref(&self) -> &Self::Target {
        &self.load
    }
}

/// The part of the view that what is remembered of changes has no part in: load, capacities, backlog.
#[derive(Debug, Clone)]
pub(super) struct LoadView<'a> {
    pub(super) options: &'a Options,
    pub(super) snapshot: &'a Snapshot,
    pub(super) now_ms: i64,
    pub(super) graph: Graph<'a>,
    pub(super) outlook: Outlook<'a>,
    /// L, in seconds.
    pub(super) bound_s: f64,
    pub(super) today: Plan<'a>,
    /// The slots that today's plan needs.
    pub(super) slots: f64,
    /// The slots that are free; unknown without figures of the cluster.
    slots_free: Option<f64>,
    /// Mean rates of 30 s and 60 s, in records per second.
    pub(super) level_per_s: f64,
    pub(super) slow_per_s: f64,
    pub(super) sigma: f64,
    pub(super) newest_per_s: f64,
    pub(super) five_per_s: f64,
    ten_per_s: f64,
    pub(super) is_jump: bool,
    /// λ, in records per second.
    pub(super) arrival_per_s: f64,
    /// C, in records per second.
    pub(super) capacity_per_s: f64,
    /// φ: what the job carries now, as a part of what its operators were measured to carry.
    pub(super) pace: f64,
    /// The operator that limits C.
    pub(super) tightest: String,
    /// B, in records; [`None`] where a source does not tell.
    pub(super) backlog: Option<f64>,
    /// D, in seconds.
    pub(super) downtime_s: f64,
    /// The age of the metrics, in seconds.
    age_s: f64,
    /// The length of an epoch, in seconds.
    epoch_s: f64,
}

/// What is remembered of load and capacities.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remembered<'a> {
    pub(super) arrivals: &'a Arrivals,
    pub(super) errors: &'a Errors,
    pub(super) operators: &'a BTreeMap<String, OperatorMemory>,
    pub(super) epoch_ms: i64,
}

impl<'a> LoadView<'a> {
    /// Returns the view, or what is not known yet.
    pub(super) fn new(
        options: &'a Options,
        remembered: Remembered<'a>,
        snapshot: &'a Snapshot,
        now_ms: i64,
    ) -> Result<Self, &'static str> {
        let Remembered { arrivals, errors, operators, epoch_ms } = remembered;
        let bound_s = options.bound_s().ok_or("no latency bound; set policy.slo.latency_bound_ms")?;
        let bin = arrivals.newest().ok_or("fewer than 30 s of arrival rates so far")?;
        let known = (
            arrivals.level(bin, 3),
            arrivals.level(bin, 6),
            arrivals.rate(2),
            arrivals.rate(5),
            arrivals.rate(10),
        );
        let (Some(level), Some(slow), Some(two), Some(five), Some(ten)) = known else {
            return Err("the arrival rate is unknown");
        };
        let graph = Graph::new(options, (operators, arrivals), snapshot, now_ms);
        let today = graph.today();
        let (capacity_per_s, tightest) =
            graph.carries(&today).ok_or("no operator's capacity has been measured yet")?;
        let tightest = tightest.operator.name.clone();
        let pace = pace(arrivals, snapshot, now_ms, bound_s, capacity_per_s).unwrap_or(1.0);
        let sigma = arrivals.sigma(bin);
        let is_jump = (five.max(1e-9) / level.max(1e-9)).ln().abs() > 5.6 * sigma;
        let has_just_shifted = arrivals.shift_before(bin).is_some_and(|shift| bin - shift < RISE_BINS);
        let is_above_rise = has_just_shifted && five > level * (1.0 + 3.0 * sigma);
        let age_s = snapshot.newest_age_ms.map_or(AGE_S, |ms| seconds(ms.clamp(0, 600_000)));
        Ok(Self {
            options,
            snapshot,
            now_ms,
            slots: f64::from(graph.slots(&today)),
            slots_free: snapshot.slots_free().map(f64::from),
            graph,
            outlook: Outlook::new(errors, arrivals, bin, options.headroom_quantile),
            bound_s,
            today,
            level_per_s: level,
            slow_per_s: slow,
            sigma,
            newest_per_s: two,
            five_per_s: five,
            ten_per_s: ten,
            is_jump,
            arrival_per_s: if is_jump || is_above_rise { five } else { (ten + level) / 2.0 },
            capacity_per_s: capacity_per_s * pace,
            pace,
            tightest,
            backlog: backlog(snapshot),
            downtime_s: downtime_s(snapshot),
            age_s,
            epoch_s: seconds(epoch_ms),
        })
    }

    /// Returns what is needed now, with the margin of a narrowing.
    pub(super) fn need(&self) -> Plan<'a> {
        let rate_per_s = self.outlook.upper(NEED_AHEAD_S, self.slow_per_s);
        self.graph.solve(self.options, rate_per_s, Purpose::Narrow)
    }

    /// Whether a plan of so many slots needs some that are not there.
    fn needs_slots(&self, slots: f64) -> bool {
        needs_slots(self.slots, slots, self.slots_free)
    }

    fn lead_s(&self, changes: &Changes, slots: f64) -> f64 {
        changes.lead_s(self.needs_slots(slots)) + self.age_s + self.epoch_s + SLACK_S
    }

    pub(super) fn node(&self, name: &str) -> Option<&Node<'a>> {
        self.graph.node(name)
    }
}

impl<'a> View<'a> {
    /// Returns the view, or what is not known yet.
    pub(super) fn new(
        options: &'a Options,
        memory: &'a Memory,
        snapshot: &'a Snapshot,
        now_ms: i64,
    ) -> Result<Self, &'static str> {
        let Memory { arrivals, errors, operators, changes, needs, .. } = memory;
        let epoch_ms = memory.epoch_ms(options.epoch_s);
        let remembered = Remembered { arrivals, errors, operators, epoch_ms };
        Ok(Self::of(LoadView::new(options, remembered, snapshot, now_ms)?, changes, needs))
    }

    pub(super) fn of(load: LoadView<'a>, changes: &'a Changes, needs: &'a NeededParallelism) -> Self {
        let lead_s = load.lead_s(changes, load.slots + 1.0);
        Self { lead_s, outage_s: changes.outage_s(load.downtime_s, load.bound_s), load, changes, needs }
    }

    /// The lead time of a plan of so many slots, in seconds.
    pub(super) fn lead_of_s(&self, slots: u32) -> f64 {
        self.load.lead_s(self.changes, f64::from(slots))
    }

    /// Whether a rate is above an older one by more than noise.
    fn exceeds(&self, newer_per_s: f64, older_per_s: f64) -> bool {
        newer_per_s > older_per_s * (1.0 + self.sigma.max(LEAST_RISE))
    }

    /// Whether the rate of the newest two seconds is above that of five.
    pub(super) fn still_rises(&self) -> bool {
        self.exceeds(self.newest_per_s, self.five_per_s)
    }

    /// Whether the rate is still rising in a jump, and a plan of so many slots waits for task managers so long that another epoch, which shows
    /// more of the rise, costs little. A plan for a moment of the rise would have to wait for them twice.
    pub(super) fn awaits_the_peak(&self, slots: u32) -> bool {
        // Two seconds alone are noisy: the second comparison holds until ten seconds are from after the rise.
        let is_rising = self.still_rises() || self.exceeds(self.five_per_s, self.ten_per_s);
        let is_long = self.lead_of_s(slots) >= LONG_LEAD_EPOCHS * self.epoch_s;
        self.is_jump && is_rising && is_long && self.needs_slots(f64::from(slots))
    }

    /// Computes the capacities at every parallelism in advance.
    pub(super) fn tabulated(mut self) -> Self {
        self.load.graph = self.load.graph.tabulated();
        self
    }

    /// B as far as it is known.
    pub(super) fn least_backlog(&self) -> f64 {
        self.backlog.unwrap_or(0.0)
    }

    /// How long the records that arrive beyond the capacity, and those that wait, will have to wait, in seconds.
    pub(super) fn delay_s(&self) -> f64 {
        let growth = (self.arrival_per_s - self.capacity_per_s).max(0.0) * self.lead_s;
        quotient(self.least_backlog() + growth, self.capacity_per_s)
    }

    /// How long the backlog waits at least, in seconds.
    pub(super) fn waits_s(&self) -> f64 {
        quotient(self.least_backlog(), self.capacity_per_s)
    }

    /// The rate that is not exceeded before a change could help, by experience.
    pub(super) fn near_per_s(&self) -> f64 {
        self.outlook.upper(self.lead_s, self.slow_per_s)
    }

    /// Why the job must be widened, if it must.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        let (lambda, capacity) = (self.arrival_per_s, self.capacity_per_s);
        if self.delay_s() > self.options.act_at * self.bound_s && lambda > 0.9 * capacity {
            return Some(Shortage::Delay);
        }
        let drains_s = quotient(self.least_backlog(), capacity - lambda);
        if self.waits_s() > self.bound_s && (capacity <= lambda || drains_s >= 60.0) {
            return Some(Shortage::Stuck);
        }
        (self.near_per_s() > capacity).then_some(Shortage::Forecast)
    }

    /// The violation seconds of one change from rest.
    pub(super) fn violated_by_change_s(&self) -> f64 {
        let outside_s = (self.downtime_s - self.bound_s).max(0.0);
        // A job that is sized for 1.3 times what arrives works the backlog of the outage off with the 0.3.
        let late_s = (self.outage_s - 0.8 * self.bound_s) / 0.3;
        if self.outage_s > 0.8 * self.bound_s { outside_s + late_s.max(0.0) } else { outside_s }
    }

    /// The figures that every decision carries.
    pub(super) fn figures(&self) -> BTreeMap<String, f64> {
        // In the order of a map, which is then built fastest.
        let known = [
            ("arrival_per_s", Some(self.arrival_per_s)),
            ("backlog_records", self.backlog),
            ("backoff", Some(self.changes.backoff)),
            ("bound_s", Some(self.bound_s)),
            ("capacity_per_s", Some(self.capacity_per_s)),
            ("delay_s", Some(self.delay_s())),
            ("downtime_s", Some(self.downtime_s)),
            ("forecast_per_s", Some(self.near_per_s())),
            ("lead_s", Some(self.lead_s)),
            ("outage_s", Some(self.outage_s)),
            ("quantile", Some(self.options.headroom_quantile)),
            ("slots", Some(self.slots)),
            ("slots_free", self.slots_free),
            ("violations_per_widening_s", Some(self.changes.caught.most_s())),
        ];
        let figure = |(name, value): (&str, Option<f64>)| Some((name.to_owned(), short(sane(value)?)));
        known.into_iter().filter_map(figure).collect()
    }
}

/// φ: what is read while a backlog waits all the time, as a part of the capacity, at most 1; [`None`] while none waits.
fn pace(
    arrivals: &Arrivals,
    snapshot: &Snapshot,
    now_ms: i64,
    bound_s: f64,
    capacity_per_s: f64,
) -> Option<f64> {
    let age_ms = running_since_ms(snapshot, now_ms).map(|since_ms| now_ms.saturating_sub(since_ms));
    age_ms.is_none_or(|age_ms| age_ms >= YOUNG_MS).then_some(())?;
    let mut series = backlog_series(snapshot);
    let (last_ms, last) = *series.last()?;
    series.retain(|(at_ms, _)| last_ms.saturating_sub(*at_ms) <= PACE_S.end() * 1000);
    let (first_ms, first) = *series.first()?;
    let length_s = (last_ms - first_ms) / 1000;
    let arrival_per_s = arrivals.rate(length_s).filter(|_| length_s >= *PACE_S.start())?;
    let least = series.iter().map(|(_, records)| *records).fold(f64::INFINITY, f64::min);
    let waits = least > WAITING * bound_s * arrival_per_s && capacity_per_s > 0.0;
    let read_per_s = arrival_per_s - (last - first) / seconds(last_ms - first_ms);
    waits.then(|| (read_per_s / capacity_per_s).clamp(0.3, 1.0))
}

/// Why the job must be widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    /// Records will wait too long.
    Delay,
    /// The backlog is not worked off.
    Stuck,
    /// The capacity will probably be exceeded before a change could help.
    Forecast,
}

/// A quotient that is bounded where the divisor is nothing.
pub(super) fn quotient(dividend: f64, divisor: f64) -> f64 {
    const MOST: f64 = 1e9;
    if dividend <= 0.0 {
        0.0
    } else if divisor <= 0.0 {
        MOST
    } else {
        (dividend / divisor).min(MOST)
    }
}
