//! The figures by which a simulated run is compared with a recorded one, computed from both in the same way.

use std::collections::BTreeMap;

use super::backlog::Backlog;
use super::recording::Recording;
use crate::row::{Column, JobState, Row};
use crate::spread::Spread;
use crate::summary::{SummarySettings, summarise};

/// A backlog of less than what arrives in this time is none, in seconds: rows are that far apart.
const NO_BACKLOG_S: f64 = 1.0;

/// Figures of a run. Absent means unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    /// Largest backlog after the warm-up, in records.
    pub(crate) backlog_peak: Option<f64>,
    /// From then until the backlog was gone, or the run ended, in seconds.
    pub(crate) drain_s: Option<f64>,
    /// Time above the latency bound or without a running job, in seconds.
    pub(crate) violation_s: Option<f64>,
    /// Median of the event latency while the job kept up, in milliseconds.
    pub(crate) latency_at_rest_ms: Option<f64>,
    /// Mean busy time of warm tasks by operator, 0 to 1.
    pub(crate) busy: BTreeMap<String, f64>,
    /// Mean arrivals, in records per second.
    pub(crate) arrivals_per_s: f64,
}

impl Figures {
    /// Computes the figures of a run.
    pub(crate) fn of(recording: &Recording) -> Self {
        let arrivals = recording.arrivals_per_s();
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        let arrivals_per_s = arrivals.iter().sum::<f64>() / arrivals.len().max(1) as f64;
        let backlogs = recording.backlogs();
        let peak = peak(&backlogs);
        let at_rest = recording.at_rest();
        let latencies = at_rest.into_iter().filter_map(|row| row.get(Column::EventLatencyMeanMs));
        Self {
            backlog_peak: peak.map(|most| most.records),
            drain_s: peak.map(|most| drain_s(&backlogs, most.at_s)),
            violation_s: violation_s(recording),
            latency_at_rest_ms: Spread::from_values(latencies).map(|spread| spread.median),
            busy: busy(recording),
            arrivals_per_s,
        }
    }

    /// Returns the median of each figure over several runs.
    pub(crate) fn median(all: &[Self]) -> Self {
        let median = |figure: &dyn Fn(&Self) -> Option<f64>| {
            Spread::from_values(all.iter().filter_map(figure)).map(|spread| spread.median)
        };
        let names: Vec<&String> = all.first().into_iter().flat_map(|one| one.busy.keys()).collect();
        let of = |name: &String| Some((name.clone(), median(&|one| one.busy.get(name).copied())?));
        Self {
            backlog_peak: median(&|one| one.backlog_peak),
            drain_s: median(&|one| one.drain_s),
            violation_s: median(&|one| one.violation_s),
            latency_at_rest_ms: median(&|one| one.latency_at_rest_ms),
            busy: names.into_iter().filter_map(of).collect(),
            arrivals_per_s: median(&|one| Some(one.arrivals_per_s)).unwrap_or(0.0),
        }
    }
}

fn settings(recording: &Recording) -> SummarySettings {
    let summary = &recording.summary;
    SummarySettings {
        duration_s: summary.duration_s,
        warm_up_s: summary.warm_up_s,
        latency_max_ms: summary.latency_max_ms,
        schedule_delay_max_ms: f64::INFINITY,
        ack_delay_max_ms: None,
        others_cpu_max_cores: None,
    }
}

/// Returns the time above the bound or without a running job, in seconds. Rows are a second apart, and an outage is often shorter: those of
/// changes count by their length.
fn violation_s(recording: &Recording) -> Option<f64> {
    let changes = || recording.changes.iter();
    let is_of_change = |row: &Row| changes().any(|one| (one.began_s..=one.ended_s).contains(&row.at_s));
    let mut rows = recording.rows.clone();
    for row in rows.iter_mut().filter(|row| row.job == JobState::Down && is_of_change(row)) {
        row.job = JobState::Unknown;
    }
    let after_warm_up = changes().filter(|change| change.ended_s > recording.summary.warm_up_s);
    let outages_s: f64 = after_warm_up.map(|change| change.outage_s).sum();
    Some(summarise(&rows, &[], None, &settings(recording)).violation_or_down_s? + outages_s)
}

/// Returns the largest backlog after the warm-up, the first of equal ones.
fn peak(backlogs: &[Backlog]) -> Option<Backlog> {
    let measured = backlogs.iter().filter(|backlog| !backlog.is_warm_up);
    measured.copied().reduce(|most, one| if one.records > most.records { one } else { most })
}

/// Returns how long the backlog of a time lasts from then on, in seconds.
fn drain_s(backlogs: &[Backlog], peak_s: f64) -> f64 {
    let later = || backlogs.iter().filter(|backlog| backlog.at_s >= peak_s);
    let is_gone = |backlog: &&Backlog| backlog.records <= NO_BACKLOG_S * backlog.arrives_per_s;
    let end = later().find(is_gone).or(later().next_back());
    end.map_or(0.0, |backlog| backlog.at_s - peak_s)
}

fn busy(recording: &Recording) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for timed in recording.warm() {
        for operator in &timed.snapshot.operators {
            let Some(busy) = operator.busy_ratio else { continue };
            let sum = sums.entry(operator.name.clone()).or_default();
            *sum = (sum.0 + busy * timed.length_s(), sum.1 + timed.length_s());
        }
    }
    let mean = |(name, (busy_s, length_s)): (String, (f64, f64))| {
        (length_s > 0.0).then(|| (name, busy_s / length_s))
    };
    sums.into_iter().filter_map(mean).collect()
}
