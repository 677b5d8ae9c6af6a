//! The changes of the job and their costs: lead times, outages, violations, and whether narrowings paid off.

mod caught;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use caught::Caught;

use super::BLOCKED;
use super::memory::{Memory, running_since_ms, sane, seconds, short};
use super::options::Options;
use crate::{Kind, Snapshot};

/// Metrics that are older than this many epochs tell nothing of now.
const AGE_EPOCHS: i64 = 3;
/// A published change whose job has not restarted after this time is given up, in milliseconds.
const TIMEOUT_MS: i64 = 600_000;
/// Starts of the job that are told to be this close are the same one, in milliseconds: a rescaler that begins anew reads it anew, and is off
/// by the time that the answer took.
const SAME_START_MS: u64 = 1000;
/// A change that is reported as done without a new start of the job counts as its start after this time, in milliseconds.
const NO_START_MS: i64 = 30_000;
/// The backlog is watched for this time after a start, in milliseconds.
const WATCH_MS: i64 = 60_000;
/// Arrivals are known again this long after a start, in milliseconds.
const SETTLED_MS: i64 = 5000;
/// Violations count from this time before a widening until that time after the start that it brought, in milliseconds.
const BEFORE_MS: i64 = 30_000;
const AFTER_MS: i64 = 90_000;
/// Violations are remembered for this time: the longest change with what counts around it, in milliseconds.
const VIOLATIONS_MS: i64 = BEFORE_MS + TIMEOUT_MS + AFTER_MS;
/// A reading stands for at most this time before it, in milliseconds.
const READING_MS: i64 = 120_000;
/// Past outages and lead times that count.
const PAST: usize = 5;
/// The outage, downtime and lead time of a job that has not been changed yet, in seconds.
const DOWNTIME_S: f64 = 5.0;
const LEAD_S: f64 = 10.0;
/// The same where task managers have to be added: they have to be started first, in seconds.
const SLOT_LEAD_S: f64 = 30.0;
const REPLAY_S: f64 = 2.0;
/// After this many failed changes in this time nothing is changed for a while.
const FAILURES: usize = 3;
const FAILURES_MS: i64 = 600_000;
const BLOCKED_MS: i64 = 300_000;

/// What is remembered of changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Changes {
    /// When the job that was observed last entered RUNNING, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_since_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<Change>,
    /// The newest change since its start, while the backlog is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Started>,
    /// Lead times of changes for which all slots were there, in seconds.
    leads_s: Vec<f64>,
    /// Lead times of changes for which task managers had to be added, in seconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    slot_leads_s: Vec<f64>,
    /// Effective outages, in seconds.
    outages_s: Vec<f64>,
    failures_ms: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_until_ms: Option<i64>,
    /// When the job was narrowed last and not widened since, and its slots before.
    #[serde(skip_serializing_if = "Option::is_none")]
    narrowed: Option<(i64, u32)>,
    /// The widening whose violations are still counted; others that follow it at once belong to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    widened_ms: Option<i64>,
    /// The narrowing that this widening takes back: the slot-seconds that it saved, and the slots before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_back: Option<(f64, u32)>,
    /// The highest load since that widening, in records per second.
    caught_per_s: f64,
    /// When the newest change brought a start of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_ms: Option<i64>,
    /// When the bound was violated: end and length of each stretch, newest last.
    violations_ms: Vec<(i64, i64)>,
    /// The newest reading of latency: when, and whether it violated the bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_latency: Option<(i64, bool)>,
    /// V: violation seconds of widenings.
    pub(super) caught: Caught,
    /// K: how much more than its price a narrowing must bring.
    pub(super) backoff: f64,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            running_since_ms: None,
            under_way: None,
            started: None,
            leads_s: Vec::new(),
            slot_leads_s: Vec::new(),
            outages_s: Vec::new(),
            failures_ms: Vec::new(),
            blocked_until_ms: None,
            narrowed: None,
            widened_ms: None,
            taken_back: None,
            caught_per_s: 0.0,
            started_ms: None,
            violations_ms: Vec::new(),
            newest_latency: None,
            caught: Caught::default(),
            backoff: 1.0,
        }
    }
}

/// A published change, with what was known of the job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Change {
    at_ms: i64,
    backlog: f64,
    arrival_per_s: f64,
    /// Whether it needs slots that were not there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    needs_slots: bool,
    /// C; unknown in memories of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity_per_s: Option<f64>,
    /// When it was reported as done.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_ms: Option<i64>,
}

/// A change since its start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Started {
    change: Change,
    at_ms: i64,
    peak: f64,
    /// λ right after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arrival_per_s: Option<f64>,
}

/// What a plan that is published is remembered by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Published {
    pub(super) at_ms: i64,
    pub(super) slots_before: u32,
    pub(super) slots_after: u32,
    /// The slots that were free; unknown without figures of the cluster.
    pub(super) slots_free: Option<f64>,
    pub(super) backlog: f64,
    pub(super) arrival_per_s: f64,
    pub(super) capacity_per_s: f64,
    /// Capacities of parallelisms that have not been seen.
    pub(super) predictions: BTreeMap<String, (u32, f64)>,
}

impl Published {
    /// Whether it needs slots that were not there.
    fn needs_slots(&self) -> bool {
        needs_slots(self.slots_before.into(), self.slots_after.into(), self.slots_free)
    }
}

/// Whether a change to so many slots needs some that are not there; not where nothing is known of free ones.
pub(super) fn needs_slots(before: f64, after: f64, free: Option<f64>) -> bool {
    free.is_some_and(|free| after > before + free)
}

/// The backlog of all sources together, in records; unknown as soon as that of one is.
pub(super) fn backlog(snapshot: &Snapshot) -> Option<f64> {
    let mut sources = snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source).peekable();
    sources.peek()?;
    let all: Option<Vec<f64>> = sources.map(|source| sane(source.backlog_records)).collect();
    let mut all = all?;
    all.sort_by(f64::total_cmp);
    Some(all.iter().sum())
}

/// How long the last changes stopped the job at most, in seconds.
pub(super) fn downtime_s(snapshot: &Snapshot) -> f64 {
    let known = snapshot.job.rescales.iter().take(PAST).filter_map(|rescale| rescale.downtime_ms);
    let longest = known.max().map(|ms| seconds(i64::try_from(ms).unwrap_or(i64::MAX)).min(3600.0));
    longest.unwrap_or(DOWNTIME_S)
}

impl Changes {
    /// Returns since when a change is under way, if one is.
    pub(super) fn under_way_since_ms(&self) -> Option<i64> {
        self.under_way.map(|change| change.at_ms)
    }

    /// Returns until when nothing is changed, if changes failed too often.
    fn blocked_until_ms(&self, now_ms: i64) -> Option<i64> {
        self.blocked_until_ms.filter(|until_ms| now_ms < *until_ms)
    }

    /// Returns why nothing may be changed now, if it may not.
    pub(super) fn closed(
        &self,
        options: &Options,
        snapshot: &Snapshot,
        now_ms: i64,
        epoch_ms: i64,
    ) -> Option<String> {
        if let Some(since_ms) = self.under_way_since_ms() {
            return Some(format!("a change has been in progress for {:.0} s", seconds(now_ms - since_ms)));
        }
        if let Some(state) = snapshot.job.state.as_ref().filter(|state| *state != "RUNNING") {
            return Some(format!("the job is not running: it is {state}"));
        }
        let oldest_ms = AGE_EPOCHS * epoch_ms;
        if let Some(age_ms) = snapshot.newest_age_ms.filter(|age_ms| *age_ms > oldest_ms) {
            return Some(format!("the newest metrics are {:.0} s old", seconds(age_ms)));
        }
        let settle_ms = i64::try_from(options.settle_s).unwrap_or(0) * 1000;
        let age_ms = running_since_ms(snapshot, now_ms).map(|since_ms| now_ms - since_ms);
        if age_ms.is_some_and(|age_ms| age_ms < settle_ms) {
            return Some("the job settles after a start".to_owned());
        }
        let left_s = seconds(self.blocked_until_ms(now_ms)? - now_ms);
        Some(format!("{BLOCKED}: no changes for {left_s:.0} s more"))
    }

    /// E: the backlog that a change causes, in seconds of what arrives. Until one was measured, a change is assumed to use up the
    /// bound, so that what is not known is neither sized without a margin nor risked for a few slots.
    pub(super) fn outage_s(&self, downtime_s: f64, bound_s: f64) -> f64 {
        let longest = self.outages_s.iter().copied().reduce(f64::max);
        longest.unwrap_or((downtime_s + REPLAY_S).max(bound_s)).max(downtime_s)
    }

    /// From the wish to the running tasks, in seconds: the median of the last changes for which slots were there, or had to be added.
    pub(super) fn lead_s(&self, needs_slots: bool) -> f64 {
        let (known, usual_s) =
            if needs_slots { (&self.slot_leads_s, SLOT_LEAD_S) } else { (&self.leads_s, LEAD_S) };
        let mut past = known.clone();
        past.sort_by(f64::total_cmp);
        past.get(past.len() / 2).copied().unwrap_or(usual_s)
    }

    fn push(past: &mut Vec<f64>, value: f64) {
        past.push(short(value));
        let surplus = past.len().saturating_sub(PAST);
        past.drain(..surplus);
    }

    /// Notes a new start of the job; returns whether there was one.
    pub(super) fn observe_start(&mut self, snapshot: &Snapshot, now_ms: i64) -> bool {
        let before_ms = self.running_since_ms;
        let running_since_ms = snapshot.job.running_since_ms;
        if running_since_ms.is_some() {
            self.running_since_ms = running_since_ms;
        }
        let moved_ms =
            before_ms.zip(running_since_ms).map(|(before_ms, since_ms)| since_ms.abs_diff(before_ms));
        let has_moved = moved_ms.is_some_and(|ms| ms > SAME_START_MS);
        let Some(change) = self.under_way else { return has_moved };
        let is_done = change.done_ms.is_some_and(|done_ms| {
            running_since_ms.is_none() || now_ms.saturating_sub(done_ms) >= NO_START_MS
        });
        if has_moved || is_done {
            let started_ms = running_since_ms.filter(|_| has_moved).or(change.done_ms).unwrap_or(now_ms);
            let started_ms = started_ms.clamp(change.at_ms, now_ms.max(change.at_ms));
            let leads_s = if change.needs_slots { &mut self.slot_leads_s } else { &mut self.leads_s };
            Self::push(leads_s, seconds(started_ms - change.at_ms));
            self.started = Some(Started { change, at_ms: started_ms, peak: 0.0, arrival_per_s: None });
            self.started_ms = Some(started_ms);
            self.under_way = None;
            return true;
        }
        if now_ms.saturating_sub(change.at_ms) > TIMEOUT_MS {
            self.failed(now_ms);
        }
        has_moved
    }

    fn failed(&mut self, now_ms: i64) {
        self.under_way = None;
        self.failures_ms.retain(|at_ms| *at_ms > now_ms - FAILURES_MS);
        self.failures_ms.push(now_ms);
        if self.failures_ms.len() >= FAILURES {
            self.blocked_until_ms = Some(now_ms + BLOCKED_MS);
            self.failures_ms.clear();
        }
    }

    /// Watches the backlog after a start, until the effective outage is known.
    ///
    /// `arrival_per_s`: λ of the last seconds, which counts once the job has run for a moment. When the load has just risen, the
    /// change was decided on less than what arrived until its end; the rest of the backlog is not the change's.
    pub(super) fn observe_backlog(&mut self, snapshot: &Snapshot, arrival_per_s: Option<f64>, now_ms: i64) {
        let Some(mut started) = self.started.take() else { return };
        let Some(backlog) = backlog(snapshot) else {
            self.started = Some(started).filter(|started| now_ms - started.at_ms <= WATCH_MS);
            return;
        };
        let newest = snapshot.job.rescales.first();
        let reported =
            newest.filter(|rescale| rescale.at_ms.is_some_and(|at_ms| at_ms >= started.change.at_ms));
        let reported = reported.and_then(|rescale| sane(rescale.backlog_peak_records));
        let readings =
            backlog_series(snapshot).into_iter().filter(|(at_ms, _)| *at_ms >= started.change.at_ms);
        let highest = readings.map(|(_, records)| records).chain(reported).fold(backlog, f64::max);
        started.peak = short(started.peak.max(highest));
        let age_ms = now_ms - started.at_ms;
        if age_ms >= SETTLED_MS && started.arrival_per_s.is_none() {
            started.arrival_per_s = arrival_per_s.map(short);
        }
        let is_over = age_ms > WATCH_MS || (age_ms > 15_000 && backlog < 0.7 * started.peak);
        if !is_over {
            self.started = Some(started);
            return;
        }
        let (change, downtime_s) = (started.change, downtime_s(snapshot));
        let waited_s = (seconds(started.at_ms - change.at_ms) - downtime_s).max(0.0);
        let arrival_per_s = started.arrival_per_s.unwrap_or(change.arrival_per_s);
        let excess_per_s = change.capacity_per_s.map_or(0.0, |capacity| (arrival_per_s - capacity).max(0.0));
        let caused = started.peak - change.backlog - excess_per_s * waited_s;
        let outage_s = if arrival_per_s > 0.0 { caused / arrival_per_s } else { 0.0 };
        Self::push(&mut self.outages_s, outage_s.max(downtime_s).min(86_400.0));
    }

    /// Notes the load, in records per second, while the violations of a widening are counted.
    pub(super) fn observe_load(&mut self, arrival_per_s: f64) {
        if self.widened_ms.is_some() {
            self.caught_per_s = short(self.caught_per_s.max(arrival_per_s));
        }
    }

    /// Notes whether the bound is violated. Where latency is not measured it is the time in which the backlog arrived, at this many
    /// records per second.
    pub(super) fn observe_latency(
        &mut self,
        options: &Options,
        snapshot: &Snapshot,
        arrival_per_s: f64,
        now_ms: i64,
    ) {
        let Some(bound_s) = options.bound_s() else { return };
        let measured = snapshot.queries.iter().filter_map(|query| sane(query.latency_p99_ms));
        let measured = measured.reduce(f64::max);
        let of_backlog = |records: f64| arrival_per_s > 0.0 && records / arrival_per_s > bound_s;
        let until_ms = self.newest_latency.map(|(at_ms, _)| at_ms);
        let newer = |at_ms: i64| until_ms.is_none_or(|until_ms| at_ms > until_ms) && at_ms <= now_ms;
        let mut readings: Vec<(i64, bool)> = backlog_series(snapshot)
            .into_iter()
            .filter(|(at_ms, _)| newer(*at_ms))
            .map(|(at_ms, records)| (at_ms, of_backlog(records)))
            .collect();
        if let Some(ms) = measured {
            readings = vec![(now_ms, ms > bound_s * 1000.0)];
        } else if let (true, Some(records)) = (readings.is_empty(), backlog(snapshot)) {
            readings.push((now_ms, of_backlog(records)));
        }
        for (at_ms, violates) in readings {
            self.add_latency(at_ms, violates);
        }
        self.violations_ms.retain(|(end_ms, _)| *end_ms > now_ms - VIOLATIONS_MS);
        self.count_widening(options, now_ms);
    }

    /// Adds the time between two readings: all of it if both violate the bound, half of it if one does.
    fn add_latency(&mut self, at_ms: i64, violates: bool) {
        let (before_ms, violated) = self.newest_latency.unwrap_or((at_ms, violates));
        self.newest_latency = Some((at_ms.max(before_ms), violates));
        let part_ms = (at_ms - before_ms).min(READING_MS) * (i64::from(violates) + i64::from(violated)) / 2;
        match self.violations_ms.last_mut() {
            _ if part_ms <= 0 => {}
            Some((end_ms, length_ms)) if *end_ms == before_ms && violated && violates => {
                (*end_ms, *length_ms) = (at_ms, *length_ms + part_ms);
            }
            _ => self.violations_ms.push((at_ms, part_ms)),
        }
    }

    /// Counts the violations of a widening that is long enough over, and judges the narrowing that it took back: did the slots that
    /// were saved pay for going and coming back?
    fn count_widening(&mut self, options: &Options, now_ms: i64) {
        let Some(widened_ms) = self.widened_ms.filter(|_| self.under_way.is_none()) else { return };
        let until_ms = self.started_ms.map_or(widened_ms, |at_ms| at_ms.max(widened_ms)) + AFTER_MS;
        if now_ms <= until_ms {
            return;
        }
        self.widened_ms = None;
        let violated_s = self.violated_s(widened_ms - BEFORE_MS, until_ms);
        self.caught.add(self.caught_per_s, violated_s);
        if let Some((saved, slots)) = self.taken_back.take() {
            let price = 2.0 * options.change_price_s + options.violation_price * violated_s;
            let has_paid = saved >= f64::from(slots) * price;
            self.backoff =
                if has_paid { short((self.backoff / 1.5).max(1.0)) } else { (self.backoff * 2.0).min(16.0) };
        }
    }

    /// Violation seconds between two times.
    fn violated_s(&self, from_ms: i64, until_ms: i64) -> f64 {
        let part = |(end_ms, length_ms): &(i64, i64)| {
            let overlap_ms = (*end_ms).min(until_ms) - (end_ms - length_ms).max(from_ms);
            seconds(overlap_ms.max(0))
        };
        self.violations_ms.iter().map(part).sum()
    }

    fn published(&mut self, published: &Published) {
        self.under_way = Some(Change {
            at_ms: published.at_ms,
            backlog: short(published.backlog),
            arrival_per_s: short(published.arrival_per_s),
            needs_slots: published.needs_slots(),
            capacity_per_s: Some(short(published.capacity_per_s)),
            done_ms: None,
        });
        self.started = None;
        if published.slots_after >= published.slots_before {
            if let Some((narrowed_ms, slots)) = self.narrowed.take() {
                let saved = f64::from(slots) - f64::from(published.slots_before);
                self.taken_back = Some((short(saved * seconds(published.at_ms - narrowed_ms)), slots));
            }
            if self.widened_ms.is_none() {
                (self.widened_ms, self.caught_per_s) = (Some(published.at_ms), 0.0);
            }
            self.observe_load(published.arrival_per_s);
        } else {
            self.narrowed = Some((published.at_ms, published.slots_before));
        }
    }
}

/// The backlog of all sources over time, where they were read at the same times.
pub(super) fn backlog_series(snapshot: &Snapshot) -> Vec<(i64, f64)> {
    let sources = snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source);
    let (mut sums, mut count): (BTreeMap<i64, (usize, f64)>, usize) = (BTreeMap::new(), 0);
    for source in sources {
        count += 1;
        for (at_ms, records) in
            source.backlog_series.iter().filter(|(_, records)| sane(Some(*records)).is_some())
        {
            let sum = sums.entry(*at_ms).or_default();
            *sum = (sum.0 + 1, sum.1 + records);
        }
    }
    sums.into_iter()
        .filter(|(_, (of, _))| *of == count)
        .map(|(at_ms, (_, records))| (at_ms, records))
        .collect()
}

impl Memory {
    /// Remembers that a plan was published.
    pub(super) fn change_published(&mut self, published: &Published) {
        self.changes.published(published);
        self.needs.clear();
        for (name, own) in &mut self.operators {
            own.predicted = published.predictions.get(name).map(|(p, rate_per_s)| (*p, short(*rate_per_s)));
        }
    }

    /// Remembers how the published change ended.
    pub(super) fn change_ended(&mut self, succeeded: bool, now_ms: i64) {
        if succeeded {
            if let Some(change) = &mut self.changes.under_way {
                change.done_ms = Some(now_ms);
            }
            return;
        }
        self.changes.failed(now_ms);
        for own in self.operators.values_mut() {
            own.predicted = None;
        }
    }
}

#[cfg(test)]
mod tests;
