//! The time line: the figures of each epoch for the charts.

use std::collections::BTreeMap;
use std::sync::Arc;

use scaling::{Action, Kind, Operator, Snapshot, limits};
use serde::Serialize;

use super::{DecisionOutcome, Outlook};
use control::Record;

/// Totals of the whole job. Each is unknown if one part of it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Totals {
    /// The largest latency of all queries, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Records produced at the sources, per second.
    pub input_rate_per_s: Option<f64>,
    /// Records waiting at the sources.
    pub backlog_records: Option<f64>,
    /// The size of the state, in bytes.
    pub state_size_bytes: Option<f64>,
    /// Size of the checkpoint storage, in bytes.
    pub stored_size_bytes: Option<f64>,
    /// The sum of the parallelism of all operators.
    pub subtasks: u32,
    /// The number of task managers.
    pub task_managers: usize,
    /// Their slots.
    pub slots: Option<u32>,
    /// Number of slots that the job uses.
    pub slots_used: u32,
    /// Number of slots available to the job without another task manager: its own and the free ones.
    pub slots_available: Option<u32>,
}

impl Totals {
    /// Returns the totals of a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let sources = || snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source);
        let sum = |figure: fn(&Operator) -> Option<f64>| {
            sources().map(figure).sum::<Option<f64>>().filter(|_| sources().next().is_some())
        };
        let latencies = snapshot.queries.iter().filter_map(|query| query.overall_latency_ms);
        Self {
            latency_ms: latencies.reduce(f64::max),
            input_rate_per_s: sum(|source| source.arrival_rate_per_s.or(source.input_rate_per_s)),
            backlog_records: sum(|source| source.backlog_records),
            state_size_bytes: snapshot.state_size_bytes,
            stored_size_bytes: snapshot.stored_size_bytes,
            subtasks: snapshot.operators.iter().map(|operator| operator.parallelism).sum(),
            task_managers: snapshot.task_managers.len(),
            slots: snapshot.slots_present(),
            slots_used: limits::slots_needed(snapshot, &BTreeMap::new()),
            slots_available: limits::available(snapshot),
        }
    }
}

/// One epoch on the time line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Its number.
    pub epoch: u64,
    /// Its end, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Totals of the job; [`None`] without a snapshot.
    pub totals: Option<Totals>,
    /// Latency by query, in milliseconds.
    pub latency_ms: BTreeMap<String, f64>,
    /// Parallelism by operator; points in a row with the same share it.
    pub parallelism: Arc<BTreeMap<String, u32>>,
    /// Busy share by operator, 0 to 1: that of its busiest subtask, if known. Older points of a job with many operators have none.
    pub busy_ratio: BTreeMap<String, f64>,
    /// Load and capacity, if known.
    pub outlook: Option<Outlook>,
    /// The plan of this epoch, if there was one.
    pub mark: Option<Mark>,
}

/// A plan on the time line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mark {
    /// The epoch's number.
    pub epoch: u64,
    /// The epoch's end, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Outcome of the plan.
    pub outcome: DecisionOutcome,
    /// The plan and its reasons in one line.
    pub headline: String,
}

impl Point {
    /// Returns the point of a record, with the outlook at the end of its epoch.
    pub fn from_record(record: &Record, outlook: Option<Outlook>) -> Self {
        let snapshot = record.snapshot.as_ref();
        let (epoch, at_ms) = (record.epoch, record.at.as_millisecond());
        let is_plan = record.decision.action == Action::Rescale;
        Self {
            epoch,
            at_ms,
            totals: snapshot.map(Totals::from_snapshot),
            latency_ms: snapshot.map(latencies).unwrap_or_default(),
            parallelism: Arc::new(snapshot.map(widths).unwrap_or_default()),
            busy_ratio: snapshot.map(busy).unwrap_or_default(),
            outlook,
            mark: is_plan.then(|| Mark {
                epoch,
                at_ms,
                outcome: DecisionOutcome::from_effect(&record.effect),
                headline: record.decision.to_string(),
            }),
        }
    }
}

impl Point {
    /// Shares the parallelism of the point before, if it is the same.
    pub(super) fn share(&mut self, before: Option<&Self>) {
        if let Some(before) = before.filter(|before| before.parallelism == self.parallelism) {
            self.parallelism = Arc::clone(&before.parallelism);
        }
    }

    /// Records the outcome of the plan of this epoch.
    pub(super) fn became(&mut self, outcome: DecisionOutcome) {
        if let Some(mark) = &mut self.mark {
            mark.outcome = outcome;
        }
    }
}

fn latencies(snapshot: &Snapshot) -> BTreeMap<String, f64> {
    let known =
        snapshot.queries.iter().filter_map(|query| Some((query.name.clone(), query.overall_latency_ms?)));
    known.collect()
}

fn widths(snapshot: &Snapshot) -> BTreeMap<String, u32> {
    snapshot.operators.iter().map(|operator| (operator.name.clone(), operator.parallelism)).collect()
}

fn busy(snapshot: &Snapshot) -> BTreeMap<String, f64> {
    let busiest = |operator: &Operator| {
        let subtasks = operator.subtasks.iter().filter_map(|subtask| subtask.busy_ratio);
        subtasks.reduce(f64::max).or(operator.busy_ratio)
    };
    snapshot
        .operators
        .iter()
        .filter_map(|operator| Some((operator.name.clone(), busiest(operator)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaling::Query;

    fn source(arrival_rate_per_s: Option<f64>) -> Operator {
        Operator { kind: Kind::Source, parallelism: 2, arrival_rate_per_s, ..Operator::default() }
    }

    /// Goal: a sum with an unknown part is unknown, and a job without sources has no input rate rather than 0.
    #[test]
    fn unknown_parts_make_unknown_sums() {
        let mut snapshot =
            Snapshot { operators: vec![source(Some(10.0)), source(Some(5.0))], ..Snapshot::default() };
        assert_eq!(Totals::from_snapshot(&snapshot).input_rate_per_s, Some(15.0));
        snapshot.operators[1].arrival_rate_per_s = None;
        assert_eq!(Totals::from_snapshot(&snapshot).input_rate_per_s, None);
        snapshot.operators.clear();
        assert_eq!(Totals::from_snapshot(&snapshot).input_rate_per_s, None);
    }

    /// Goal: points in a row with the same parallelism keep it once, and a change of it is no less a change.
    #[test]
    fn the_same_parallelism_is_kept_once() {
        let point = |parallelism: u32| Point {
            parallelism: Arc::new(BTreeMap::from([("q7".to_owned(), parallelism)])),
            ..Point::default()
        };
        let (first, mut same, mut wider) = (point(2), point(2), point(3));
        same.share(Some(&first));
        wider.share(Some(&same));
        assert!(Arc::ptr_eq(&first.parallelism, &same.parallelism));
        assert_eq!(wider, point(3));
    }

    /// Goal: the job's latency is that of its slowest query.
    #[test]
    fn the_slowest_query_counts() {
        let query = |name: &str, overall_latency_ms| Query {
            name: name.to_owned(),
            overall_latency_ms,
            ..Query::default()
        };
        let queries = vec![query("q1", Some(3.0)), query("q2", None), query("q3", Some(7.0))];
        let snapshot = Snapshot { queries, ..Snapshot::default() };
        assert_eq!(Totals::from_snapshot(&snapshot).latency_ms, Some(7.0));
        assert_eq!(latencies(&snapshot).len(), 2);
    }
}
