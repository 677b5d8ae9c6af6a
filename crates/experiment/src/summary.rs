//! Summary of a run: pure functions over its rows and decisions.
//!
//! Every row stands for the time until the next one, at most [`SPAN_MAX_S`]; longer gaps are unobserved and not
//! evaluated, and neither is the warm-up. A value that was never known is absent, never 0.

use serde::{Deserialize, Serialize};

use crate::changes::ParallelismChange;
use crate::decisions::DecisionLine;
use crate::reaction::{Reaction, StepFigures};
use crate::row::{Column, JobState, Row};

/// Longest time that a row stands for, in seconds. Rows come once per second; a slow row stands for its own time, but
/// a longer gap is unobserved.
const SPAN_MAX_S: f64 = 3.0;
/// Smallest observed share of the measured time in a valid run.
const OBSERVED_SHARE_MIN: f64 = 0.9;

/// Settings of the evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SummarySettings {
    /// Intended duration of the load, in seconds, including the warm-up.
    pub duration_s: f64,
    /// Initial part of it that is not evaluated, in seconds.
    pub warm_up_s: f64,
    /// The latency bound, in milliseconds.
    pub latency_max_ms: f64,
    /// Largest 99th percentile of the producer's delay in a valid run, in milliseconds.
    pub schedule_delay_max_ms: f64,
    /// Largest 99th percentile of Kafka's acknowledgement after the due time in a valid run, in milliseconds.
    pub ack_delay_max_ms: Option<f64>,
    /// Largest average CPU use of other processes in a valid run, in cores.
    pub others_cpu_max_cores: Option<f64>,
}

/// The event producer's final totals.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProducerTotals {
    /// Records due.
    pub due: u64,
    /// Records emitted.
    pub emitted: u64,
    /// Records acknowledged.
    pub acked: u64,
    /// Records that failed.
    pub failed: u64,
    /// Emission minus due time, of all records.
    pub schedule_delay_us: Quantiles,
    /// Acknowledgement minus due time, of all records.
    pub ack_latency_from_intended_us: Quantiles,
}

/// Quantiles of a distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

/// Results of a run. Absent means unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Name of the experiment.
    pub experiment: String,
    /// Name of the variant.
    pub variant: String,
    /// The policy, or `none`.
    pub policy: String,
    /// Number of the repetition, from 1.
    pub repetition: u32,
    /// Start of the load.
    pub began_at: String,
    /// Version of this program.
    pub version: String,
    /// Whether the run lasted to its end.
    pub is_complete: bool,
    /// Whether its results may be compared with other runs.
    pub is_valid: bool,
    /// Why not.
    pub problems: Vec<String>,
    /// Intended duration of the load, in seconds, including the warm-up.
    pub duration_s: f64,
    /// Initial part of it that is not evaluated, in seconds.
    pub warm_up_s: f64,
    /// Evaluated time, in seconds: the observed part of the load after the warm-up.
    pub observed_s: f64,
    /// Unobserved part of the load after the warm-up, in seconds.
    pub unobserved_s: f64,
    /// The latency bound, in milliseconds.
    pub latency_max_ms: f64,
    /// Time with a known event latency, in seconds.
    pub latency_known_s: f64,
    /// Share of that time in which its mean exceeded the bound.
    pub over_bound_share: Option<f64>,
    /// The same, counting downtime without a latency as exceeding the bound.
    pub over_bound_or_down_share: Option<f64>,
    /// Event latency, from an event's intended time to the result: in half of the time the median was at most this.
    pub event_latency_p50_ms: Option<f64>,
    /// In 95 % of the time the 95th percentile was at most this.
    pub event_latency_p95_ms: Option<f64>,
    /// In 99 % of the time the 99th percentile was at most this.
    pub event_latency_p99_ms: Option<f64>,
    /// Overall latency, from a record's arrival in the job to the result: in half of the time the median was at most
    /// this.
    pub overall_latency_p50_ms: Option<f64>,
    /// In 95 % of the time the 95th percentile was at most this.
    pub overall_latency_p95_ms: Option<f64>,
    /// In 99 % of the time the 99th percentile was at most this.
    pub overall_latency_p99_ms: Option<f64>,
    /// Published changes that ended running, including the warm-up.
    pub rescales: u32,
    /// Published changes that ended otherwise, or whose end is unknown.
    pub rescales_not_done: u32,
    /// Downtime of the job, in seconds.
    pub downtime_s: f64,
    /// Slots in use by the job, integrated over time.
    pub slot_seconds: Option<f64>,
    /// Task managers, integrated over time.
    pub task_manager_seconds: Option<f64>,
    /// Mean sum of the operators' parallelism.
    pub subtasks_mean: Option<f64>,
    /// Largest backlog in Kafka.
    pub backlog_max_records: Option<f64>,
    /// Backlog at the end.
    pub backlog_end_records: Option<f64>,
    /// Largest size of the state.
    pub state_size_max_bytes: Option<f64>,
    /// Records demanded by the schedule, including the warm-up.
    pub due_records: Option<f64>,
    /// Records acknowledged by Kafka, including the warm-up.
    pub acked_records: Option<f64>,
    /// Records emitted by the job's sources, including the warm-up.
    pub read_records: Option<f64>,
    /// Records that reached the sinks, including the warm-up.
    pub result_records: Option<f64>,
    /// Delay of emissions behind the schedule: median.
    pub schedule_delay_p50_ms: Option<f64>,
    /// Delay of emissions behind the schedule: 99th percentile.
    pub schedule_delay_p99_ms: Option<f64>,
    /// Delay of emissions behind the schedule: maximum.
    pub schedule_delay_max_ms: Option<f64>,
    /// Time from the due time to Kafka's acknowledgement: 99th percentile.
    pub ack_from_intended_p99_ms: Option<f64>,
    /// Average CPU use of the machine's other processes, in cores.
    pub others_cpu_cores: Option<f64>,
    /// Whether the repetition's other variants ran at the same time on the same machine and cluster.
    pub is_side_by_side: bool,
    /// Time compression of the load.
    pub compression: Option<f64>,
    /// Time with a latency above the bound, or without a latency because the job was down, in seconds.
    pub violation_or_down_s: Option<f64>,
    /// Changes of parallelism observed in Flink, whatever caused them, including the warm-up.
    pub changes: Option<u32>,
    /// Restarts without a change of parallelism.
    pub restarts: Option<u32>,
    /// Total outage of them, in seconds, from Flink's history where available.
    pub outage_s: Option<f64>,
    /// After a rise of the load: mean time until the first scale-up was requested, in seconds.
    pub first_decision_up_s: Option<f64>,
    /// After a fall of the load: mean time until the first scale-down was requested, in seconds.
    pub first_decision_down_s: Option<f64>,
    /// After a rise: mean time until the parallelism was right for good, in seconds; never counts as the whole time
    /// until the next step.
    pub right_up_s: Option<f64>,
    /// The same after a fall.
    pub right_down_s: Option<f64>,
    /// Largest number of changes after a rise until the parallelism was right.
    pub changes_up_max: Option<u32>,
    /// Steps of the load after which the parallelism was never right.
    pub steps_not_right: Option<u32>,
    /// Highest parallelism after a change, relative to the needed one.
    pub widest_over_least: Option<f64>,
    /// Changes that undid the previous one although the load did not return.
    pub reversals: Option<u32>,
    /// Time with a parallelism below the needed one, in seconds.
    pub too_narrow_s: Option<f64>,
    /// Slot-seconds with the needed parallelism at all times.
    pub least_slot_seconds: Option<f64>,
    /// Response to each step of the load.
    pub steps: Vec<StepFigures>,
}

/// Computes the summary from rows, decisions and the producer's totals. The caller fills in names and times.
pub fn summarise(
    rows: &[Row],
    decisions: &[DecisionLine],
    producer: Option<&ProducerTotals>,
    settings: &SummarySettings,
) -> Summary {
    let spans = spans(rows, settings);
    let observed_s: f64 = spans.iter().map(|span| span.length_s).sum();
    let mut summary = Summary {
        duration_s: settings.duration_s,
        warm_up_s: settings.warm_up_s,
        observed_s,
        unobserved_s: (settings.duration_s - settings.warm_up_s - observed_s).max(0.0),
        latency_max_ms: settings.latency_max_ms,
        downtime_s: length(&spans, |row| row.job == JobState::Down),
        slot_seconds: integral(&spans, Column::SlotsUsed),
        task_manager_seconds: integral(&spans, Column::TaskManagers),
        subtasks_mean: mean(&spans, Column::Subtasks),
        backlog_max_records: largest(&spans, Column::BacklogRecords),
        backlog_end_records: last(rows, Column::BacklogRecords),
        state_size_max_bytes: largest(&spans, Column::StateSizeBytes),
        due_records: last(rows, Column::DueTotal),
        acked_records: last(rows, Column::AckedTotal),
        read_records: last(rows, Column::ReadTotal),
        result_records: last(rows, Column::ResultsTotal),
        others_cpu_cores: mean(&spans, Column::OthersCpuCores),
        ..Summary::default()
    };
    summary.describe_latency(&spans, settings);
    summary.count(decisions);
    summary.describe_producer(&spans, producer);
    summary.judge(producer, settings);
    summary
}

/// A row and the time it stands for.
struct Span<'a> {
    row: &'a Row,
    length_s: f64,
}

/// Returns the rows after the warm-up with their times, cut at the end of the load.
fn spans<'a>(rows: &'a [Row], settings: &SummarySettings) -> Vec<Span<'a>> {
    let end_of = |index: usize| rows.get(index + 1).map_or(settings.duration_s, |next| next.at_s);
    let span = |(index, row): (usize, &'a Row)| {
        let end_s = end_of(index).min(settings.duration_s).min(row.at_s + SPAN_MAX_S);
        Span { row, length_s: end_s - row.at_s }
    };
    rows.iter()
        .enumerate()
        .filter(|(_, row)| row.at_s >= settings.warm_up_s)
        .map(span)
        .filter(|span| span.length_s > 0.0)
        .collect()
}

fn length(spans: &[Span<'_>], is_so: impl Fn(&Row) -> bool) -> f64 {
    // `sum` would return -0 for an empty iterator.
    spans.iter().filter(|span| is_so(span.row)).fold(0.0, |sum, span| sum + span.length_s)
}

fn known(spans: &[Span<'_>], figure: Column) -> Vec<(f64, f64)> {
    spans.iter().filter_map(|span| Some((span.row.get(figure)?, span.length_s))).collect()
}

/// Integrates the value over time; unknown intervals count with the mean of the rest.
fn integral(spans: &[Span<'_>], figure: Column) -> Option<f64> {
    Some(mean(spans, figure)? * spans.iter().map(|span| span.length_s).sum::<f64>())
}

fn mean(spans: &[Span<'_>], figure: Column) -> Option<f64> {
    let known = known(spans, figure);
    let length_s: f64 = known.iter().map(|(_, length_s)| length_s).sum();
    (length_s > 0.0).then(|| known.iter().map(|(value, length_s)| value * length_s).sum::<f64>() / length_s)
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    (count > 0.0).then(|| sum / count)
}

fn largest(spans: &[Span<'_>], figure: Column) -> Option<f64> {
    known(spans, figure).into_iter().map(|(value, _)| value).reduce(f64::max)
}

fn last(rows: &[Row], figure: Column) -> Option<f64> {
    rows.iter().rev().find_map(|row| row.get(figure))
}

/// Returns the smallest value that was not exceeded in this share of the time in which it is known.
fn quantile(spans: &[Span<'_>], figure: Column, share: f64) -> Option<f64> {
    let mut known = known(spans, figure);
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted_s = share * known.iter().map(|(_, length_s)| length_s).sum::<f64>();
    let mut passed_s = 0.0;
    let reaches = known.iter().find(|(_, length_s)| {
        passed_s += length_s;
        passed_s >= wanted_s - 1e-9
    });
    reaches.map(|(value, _)| *value)
}

impl Summary {
    fn describe_latency(&mut self, spans: &[Span<'_>], settings: &SummarySettings) {
        let latency = |row: &Row| row.get(Column::EventLatencyMeanMs);
        let is_over = |row: &Row| latency(row).is_some_and(|ms| ms > settings.latency_max_ms);
        let is_dark = |row: &Row| latency(row).is_none() && row.job == JobState::Down;
        let (over_s, dark_s) = (length(spans, is_over), length(spans, is_dark));
        self.violation_or_down_s = (!spans.is_empty()).then_some(over_s + dark_s);
        self.latency_known_s = length(spans, |row| latency(row).is_some());
        let share = |of_s: f64, all_s: f64| (all_s > 0.0).then(|| of_s / all_s);
        self.over_bound_share = share(over_s, self.latency_known_s);
        self.over_bound_or_down_share = share(over_s + dark_s, self.latency_known_s + dark_s);
        self.event_latency_p50_ms = quantile(spans, Column::EventLatencyP50Ms, 0.50);
        self.event_latency_p95_ms = quantile(spans, Column::EventLatencyP95Ms, 0.95);
        self.event_latency_p99_ms = quantile(spans, Column::EventLatencyP99Ms, 0.99);
        self.overall_latency_p50_ms = quantile(spans, Column::OverallLatencyP50Ms, 0.50);
        self.overall_latency_p95_ms = quantile(spans, Column::OverallLatencyP95Ms, 0.95);
        self.overall_latency_p99_ms = quantile(spans, Column::OverallLatencyP99Ms, 0.99);
    }

    fn count(&mut self, decisions: &[DecisionLine]) {
        for decision in decisions.iter().filter(|decision| decision.is_published()) {
            let counter =
                if decision.result == "running" { &mut self.rescales } else { &mut self.rescales_not_done };
            *counter += 1;
        }
    }

    /// Uses the producer's own totals, or else the worst observed second.
    fn describe_producer(&mut self, spans: &[Span<'_>], producer: Option<&ProducerTotals>) {
        const MS_PER_US: f64 = 0.001;
        let Some(producer) = producer else {
            self.schedule_delay_p99_ms = largest(spans, Column::ScheduleDelayP99Ms);
            self.ack_from_intended_p99_ms = largest(spans, Column::AckFromIntendedP99Ms);
            return;
        };
        #[expect(clippy::cast_precision_loss, reason = "records of a run")]
        let (due, acked) = (producer.due as f64, producer.acked as f64);
        (self.due_records, self.acked_records) = (Some(due), Some(acked));
        self.schedule_delay_p50_ms = Some(producer.schedule_delay_us.p50 * MS_PER_US);
        self.schedule_delay_p99_ms = Some(producer.schedule_delay_us.p99 * MS_PER_US);
        self.schedule_delay_max_ms = Some(producer.schedule_delay_us.max * MS_PER_US);
        self.ack_from_intended_p99_ms = Some(producer.ack_latency_from_intended_us.p99 * MS_PER_US);
    }

    /// Checks whether the load was as demanded, and whether enough of it was observed.
    fn judge(&mut self, producer: Option<&ProducerTotals>, settings: &SummarySettings) {
        let most_ms = settings.schedule_delay_max_ms;
        match self.schedule_delay_p99_ms {
            None => self.problems.push("unknown whether the producer kept its schedule".to_owned()),
            Some(delay_ms) if delay_ms > most_ms => self.problems.push(format!(
                "the producer fell behind its schedule: {delay_ms:.0} ms (99th percentile), {most_ms:.0} ms are allowed"
            )),
            Some(_) => {}
        }
        let limits = [
            (
                "Kafka acknowledged late",
                "ms after the due time (99th percentile)",
                self.ack_from_intended_p99_ms,
                settings.ack_delay_max_ms,
            ),
            (
                "other processes used this machine",
                "cores",
                self.others_cpu_cores,
                settings.others_cpu_max_cores,
            ),
        ];
        for (what, unit, seen, most) in limits {
            match (seen, most) {
                (Some(seen), Some(most)) if seen > most => self.problems.push(format!(
                    "{what}: {} {unit}, {} are allowed",
                    crate::csv::number(Some((seen * 100.0).round() / 100.0)),
                    crate::csv::number(Some(most)),
                )),
                (None, Some(_)) => self.problems.push(format!("unknown whether {what}")),
                _ => {}
            }
        }
        if let Some(failed) = producer.map(|producer| producer.failed).filter(|failed| *failed > 0) {
            self.problems.push(format!("{failed} events did not reach Kafka"));
        }
        let measured_s = settings.duration_s - settings.warm_up_s;
        if self.observed_s < OBSERVED_SHARE_MIN * measured_s {
            self.problems.push(format!("only {:.0} s of {measured_s:.0} s observed", self.observed_s));
        }
        if self.latency_known_s <= 0.0 {
            self.problems.push("no event latency observed".to_owned());
        }
        self.is_valid = self.problems.is_empty();
    }

    /// Adds the changes observed in Flink, and how they followed the load if the capacities are known.
    pub(crate) fn describe_changes(&mut self, changes: &[ParallelismChange], reaction: Option<Reaction>) {
        let counted = |is_change: bool| {
            let count = changes.iter().filter(|change| change.widths.is_empty() != is_change).count();
            u32::try_from(count).ok()
        };
        (self.changes, self.restarts) = (counted(true), counted(false));
        self.outage_s = Some(changes.iter().fold(0.0, |sum, change| sum + change.outage_s));
        let Some(Reaction { steps, reversals, least_slot_seconds, too_narrow_s }) = reaction else { return };
        let means = |is_up: bool, figure: fn(&StepFigures) -> Option<f64>| {
            average(steps.iter().filter(|step| step.is_up == is_up).filter_map(figure))
        };
        let right = |step: &StepFigures| Some(step.right_after_s.unwrap_or(step.length_s));
        self.first_decision_up_s = means(true, |step| step.first_decision_s);
        self.first_decision_down_s = means(false, |step| step.first_decision_s);
        (self.right_up_s, self.right_down_s) = (means(true, right), means(false, right));
        self.changes_up_max = steps.iter().filter(|step| step.is_up).map(|step| step.changes).max();
        self.steps_not_right =
            u32::try_from(steps.iter().filter(|step| step.right_after_s.is_none()).count()).ok();
        self.widest_over_least = steps.iter().filter_map(|step| step.widest_over_least).reduce(f64::max);
        self.reversals = Some(reversals);
        (self.too_narrow_s, self.least_slot_seconds) = (Some(too_narrow_s), Some(least_slot_seconds));
        self.steps = steps;
    }

    /// Adds a reason why the run did not complete.
    pub(crate) fn add_problem(&mut self, problem: String) {
        self.problems.push(problem);
        self.is_valid = false;
    }

    /// Returns the label that distinguishes this run from others.
    pub fn label(&self) -> String {
        format!("{} {}", self.experiment, self.variant)
    }
}
