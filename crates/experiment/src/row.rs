//! One second of a run, and the series of rows as CSV: one row per second, an unknown value is an empty field.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::csv;

/// Prefix of the columns with an operator's parallelism.
const PARALLELISM: &str = "parallelism.";

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident = $column:literal,)*) => {
        /// A value measured once per second. The name of its column ends in its unit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Column {
            $($(#[$doc])* $name,)*
        }

        impl Column {
            /// All values, in the order of the columns.
            pub const ALL: &[Column] = &[$(Column::$name),*];

            /// Returns the name of the column.
            pub const fn column(self) -> &'static str {
                match self {
                    $(Column::$name => $column,)*
                }
            }
        }
    };
}

figures! {
    /// Records per second demanded by the schedule.
    OfferedPerS = "offered_per_s",
    /// Records per second that the producer passed to Kafka's client.
    EmittedPerS = "emitted_per_s",
    /// Emission minus due time, 99th percentile of the last second.
    ScheduleDelayP99Ms = "schedule_delay_p99_ms",
    /// Acknowledgement by Kafka minus due time, 99th percentile of the last second.
    AckFromIntendedP99Ms = "ack_from_intended_p99_ms",
    /// Records per second that arrive at the job's sources: records read, plus growth of the backlog.
    InputPerS = "input_per_s",
    /// Records per second that the sources emit.
    ProcessedPerS = "processed_per_s",
    /// Records per second that reach the sinks.
    ResultsPerS = "results_per_s",
    /// Records waiting in Kafka.
    BacklogRecords = "backlog_records",
    /// Time from an event's intended time to the result: mean of the slowest query.
    EventLatencyMeanMs = "event_latency_mean_ms",
    /// Likewise, median.
    EventLatencyP50Ms = "event_latency_p50_ms",
    /// Likewise, 95th percentile.
    EventLatencyP95Ms = "event_latency_p95_ms",
    /// Likewise, 99th percentile.
    EventLatencyP99Ms = "event_latency_p99_ms",
    /// Time from a record's arrival in the job to the result: mean of the slowest query.
    OverallLatencyMeanMs = "overall_latency_mean_ms",
    /// Likewise, median.
    OverallLatencyP50Ms = "overall_latency_p50_ms",
    /// Likewise, 95th percentile.
    OverallLatencyP95Ms = "overall_latency_p95_ms",
    /// Likewise, 99th percentile.
    OverallLatencyP99Ms = "overall_latency_p99_ms",
    /// Task managers in the cluster.
    TaskManagers = "task_managers",
    /// Their slots.
    Slots = "slots",
    /// Slots in use; side by side, those that this job needs.
    SlotsUsed = "slots_used",
    /// Sum of the parallelism of all operators.
    Subtasks = "subtasks",
    /// Full size of the newest checkpoint.
    StateSizeBytes = "state_size_bytes",
    /// Age of the load at which the producer's page, which is renewed once per second, counted the next three, in seconds.
    ProducerElapsedS = "producer_elapsed_s",
    /// Records due since the start.
    DueTotal = "due_total",
    /// Records emitted since the start.
    EmittedTotal = "emitted_total",
    /// Records acknowledged since the start.
    AckedTotal = "acked_total",
    /// Records that the sources have emitted since the start, over all executions of the job.
    ReadTotal = "read_total",
    /// Age of the sources' tasks when they counted them, by their own clock, in seconds; mean of the subtasks.
    SourcesLivedS = "sources_lived_s",
    /// Records that have reached the sinks since the start, likewise.
    ResultsTotal = "results_total",
    /// Cores that other processes used since the previous row.
    OthersCpuCores = "others_cpu_cores",
}

/// State of the job in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JobState {
    /// All of its tasks ran.
    Running,
    /// There was no job, or not all of its tasks ran.
    Down,
    /// Unknown: Flink did not answer.
    #[default]
    Unknown,
}

impl JobState {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Running, "running"), (Self::Down, "down"), (Self::Unknown, "unknown")];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("unknown", |(_, word)| word)
    }
}

/// One second of a run. Unknown figures are [`None`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Seconds since the load began.
    pub at_s: f64,
    /// Whether it belongs to the warm-up, which is not evaluated.
    pub is_warm_up: bool,
    /// State of the job.
    pub job: JobState,
    /// Parallelism by operator.
    pub parallelism: BTreeMap<String, u32>,
    /// Why values are missing.
    pub problem: String,
    /// Values by index; prefer [`Row::get`] and [`Row::set`].
    pub figures: [Option<f64>; Column::ALL.len()],
}

impl Row {
    /// Returns a value, if known.
    pub fn get(&self, figure: Column) -> Option<f64> {
        self.figures[figure as usize]
    }

    /// Sets a value; NaN counts as unknown.
    pub fn set(&mut self, figure: Column, value: Option<f64>) {
        self.figures[figure as usize] = value.filter(|value| value.is_finite());
    }

    /// Returns the row with a value set, for test data.
    #[must_use]
    pub fn with(mut self, figure: Column, value: f64) -> Self {
        self.set(figure, Some(value));
        self
    }

    /// Formats the row as a line of the series with these operators.
    pub(crate) fn line(&self, operators: &[String]) -> String {
        let phase = if self.is_warm_up { "warm-up" } else { "measured" };
        let head = [format!("{:.3}", self.at_s), phase.to_owned(), self.job.word().to_owned()];
        let figures = self.figures.iter().map(|value| csv::number(*value));
        let widths = operators.iter().map(|operator| self.parallelism.get(operator).map(u32::to_string));
        let widths = widths.map(Option::unwrap_or_default);
        csv::line(head.into_iter().chain(figures).chain(widths).chain([self.problem.clone()]))
    }
}

/// Returns the header line of a series.
pub(crate) fn header(operators: &[String]) -> String {
    let head = ["time_s", "phase", "job"].map(str::to_owned).into_iter();
    let figures = Column::ALL.iter().map(|figure| figure.column().to_owned());
    let operators = operators.iter().map(|operator| format!("{PARALLELISM}{operator}"));
    csv::line(head.chain(figures).chain(operators).chain(["problem".to_owned()]))
}

/// Reads a series. Ignores a torn last line.
///
/// # Errors
/// The file cannot be read, or is not a series.
pub fn read_series(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = files::read_text(path, crate::folder::RESULT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = text.lines();
    let header = csv::fields(lines.next().unwrap_or_default());
    ensure!(
        header.first().is_some_and(|name| name == "time_s"),
        "{} is not the series of a run",
        path.display()
    );
    Ok(lines
        .map(csv::fields)
        .filter(|line| line.len() == header.len())
        .filter_map(|line| row(&header, &line))
        .collect())
}

fn row(header: &[String], fields: &[String]) -> Option<Row> {
    let mut row = Row::default();
    for (name, field) in header.iter().zip(fields) {
        match name.as_str() {
            "time_s" => row.at_s = field.parse().ok()?,
            "phase" => row.is_warm_up = field == "warm-up",
            "job" => row.job = JobState::ALL.iter().find(|(_, word)| word == field)?.0,
            "problem" => row.problem.clone_from(field),
            name => {
                if let Some(operator) = name.strip_prefix(PARALLELISM) {
                    row.parallelism.extend(field.parse().ok().map(|p| (operator.to_owned(), p)));
                } else if let Some(figure) = Column::ALL.iter().find(|figure| figure.column() == name) {
                    row.set(*figure, field.parse().ok());
                }
            }
        }
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: rows survive a round trip; unknown stays unknown; a torn last line is ignored.
    #[test]
    fn series_survive() {
        let known = Row { at_s: 1.5, job: JobState::Running, is_warm_up: true, ..Row::default() };
        let mut known = known.with(Column::BacklogRecords, 0.0).with(Column::EventLatencyMeanMs, 351.25);
        known.parallelism.insert("q7-bid-item".to_owned(), 3);
        let down =
            Row { at_s: 2.5, job: JobState::Down, problem: "no job, so far".to_owned(), ..Row::default() };
        let operators = ["q7-bid-item".to_owned(), "sink-q7".to_owned()];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("series.csv");
        let text = [header(&operators), known.line(&operators), down.line(&operators), "3.5,meas".to_owned()];
        std::fs::write(&path, text.join("\n")).unwrap();
        assert_eq!(read_series(&path).unwrap(), [known, down]);
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert!(read_series(&path).is_err());
    }
}
