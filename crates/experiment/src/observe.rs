//! Observes a job and a producer from outside, one row per second. It only reads, and works the same whether or not
//! the job is scaled, so that its cost is equal in every run.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::bail;
use flink::{Client, JobId, VertexId};
use scaling::{Kind, Operator, Snapshot};
use telemetry::{
    FlinkRest, Incarnation, Kinds, LatencyMetric, Sample, SampleError, Subtask, SummarySettings, summarise,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::other_processes::OtherProcesses;
use crate::page::ProducerPage;
use crate::row::{Column, JobState, Row};
use crate::stop::ShutdownSignal;
use crate::totals::Total;
use crate::watch::slots;

/// Rates and means are computed over this many samples: five seconds. Flink refreshes its metrics once per second,
/// but not in step with the samples; over fewer samples a rate jumps by a third whenever two of them see the same
/// value.
const SAMPLES: usize = 6;
/// Metric names are listed again after this time, since metrics appear some time after a task has started.
const NAMES_MAX_AGE: Duration = Duration::from_secs(5);
/// Poll interval of a job that does not run yet.
const POLL: Duration = Duration::from_millis(200);
/// Sink of unparsable records in this project's jobs: not a result.
const DEAD_LETTERS: &str = "sink-dead-letter";

/// Percentiles of one second: Flink's name of the statistic, and its column.
const PERCENTILES: [(&str, Column); 6] = [
    ("eventLatency_median", Column::EventLatencyP50Ms),
    ("eventLatency_p95", Column::EventLatencyP95Ms),
    ("eventLatency_p99", Column::EventLatencyP99Ms),
    ("overallLatency_median", Column::OverallLatencyP50Ms),
    ("overallLatency_p95", Column::OverallLatencyP95Ms),
    ("overallLatency_p99", Column::OverallLatencyP99Ms),
];

/// An observer of one job.
#[derive(Debug)]
pub(crate) struct Observer {
    client: Client,
    source: FlinkRest,
    samples: VecDeque<Sample>,
    /// Of the newest row, if its samples cover the whole time of a mean.
    snapshot: Option<Snapshot>,
    /// The end of the newest snapshot that was taken from here, in milliseconds since the Unix epoch.
    taken_until_ms: Option<i64>,
    producer: Option<ProducerPage>,
    names: Option<PercentileNames>,
    read: Total<Incarnation>,
    results: Total<Incarnation>,
    /// `None` unless everything observed runs on this machine and below this process.
    others: Option<OtherProcesses>,
    is_shared: bool,
}

/// Names of the percentile metrics of one execution of the job.
#[derive(Debug)]
struct PercentileNames {
    incarnation: Incarnation,
    listed_at: Instant,
    by_vertex: Vec<(VertexId, Vec<String>)>,
}

impl Observer {
    /// Creates an observer of the job of this name.
    pub(crate) fn new(client: Client, job: &str, producer: Option<ProducerPage>) -> Self {
        Self {
            source: FlinkRest::new(client.clone(), job),
            client,
            samples: VecDeque::new(),
            snapshot: None,
            taken_until_ms: None,
            producer,
            names: None,
            read: Total::default(),
            results: Total::default(),
            others: None,
            is_shared: false,
        }
    }

    /// Also measures other processes, for a cluster on this machine. On a cluster shared with other jobs, slots are
    /// those that this job needs, not all that are in use.
    pub(crate) fn of_stage(self, is_shared: bool) -> Self {
        Self { is_shared, others: Some(OtherProcesses::default()), ..self }
    }

    /// Waits until the job can be observed, and returns its operators' names, which a rescale does not change.
    ///
    /// # Errors
    /// The job does not run in time, or a shutdown was requested.
    pub(crate) async fn await_job(
        &mut self,
        deadline: Duration,
        stop: &ShutdownSignal,
    ) -> anyhow::Result<Vec<String>> {
        let end = Instant::now() + deadline;
        let mut problem = "interrupted before the load started".to_owned();
        while Instant::now() < end && !stop.is_asked() {
            let row = self.row(0.0, true).await;
            if row.job == JobState::Running {
                return Ok(row.parallelism.into_keys().collect());
            }
            problem = format!("cannot observe the job: {}", row.problem);
            sleep(POLL).await;
        }
        bail!(problem)
    }

    /// Measures one row.
    pub(crate) async fn row(&mut self, at_s: f64, is_warm_up: bool) -> Row {
        let mut row = Row { at_s, is_warm_up, ..Row::default() };
        self.snapshot = None;
        if let Some(producer) = &mut self.producer {
            producer.note(&mut row).await;
        }
        if let Ok(overview) = self.client.overview().await {
            row.set(Column::TaskManagers, Some(overview.taskmanagers.into()));
            row.set(Column::Slots, Some(overview.slots_total.into()));
            let used = overview.slots_total.checked_sub(overview.slots_available);
            row.set(Column::SlotsUsed, used.filter(|_| !self.is_shared).map(f64::from));
        }
        row.set(Column::OthersCpuCores, self.others.as_mut().and_then(OtherProcesses::cores));
        match self.source.sample().await {
            Ok(sample) => self.note(sample, &mut row).await,
            Err(error) => {
                self.samples.clear();
                row.job = match error {
                    SampleError::NoJob { .. } | SampleError::NotRunning { .. } => JobState::Down,
                    _ => JobState::Unknown,
                };
                row.problem = match error {
                    SampleError::Flink(error) => error.to_string(),
                    SampleError::NoJob { .. } => "no job runs".to_owned(),
                    other => other.to_string(),
                };
            }
        }
        row
    }

    async fn note(&mut self, sample: Sample, row: &mut Row) {
        row.job = JobState::Running;
        row.set(Column::StateSizeBytes, sample.state_size_bytes);
        row.parallelism =
            sample.vertices.iter().map(|vertex| (vertex.name.clone(), vertex.parallelism)).collect();
        if self.is_shared {
            let groups =
                sample.vertices.iter().map(|vertex| (&vertex.slot_sharing_group, vertex.parallelism));
            row.set(Column::SlotsUsed, Some(slots(groups).into()));
        }
        row.set(Column::Subtasks, Some(row.parallelism.values().sum::<u32>().into()));
        if self.samples.back().is_some_and(|before| is_another_life(before, &sample)) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        while self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        self.note_means(row);
        self.note_totals(row);
        // Without a new result the histograms keep old values, or zeros.
        if row.get(Column::EventLatencyMeanMs).is_some()
            && let Err(error) = self.note_percentiles(row).await
        {
            row.problem = error.to_string();
        }
    }

    fn note_means(&mut self, row: &mut Row) {
        let samples: &[Sample] = self.samples.make_contiguous();
        let snapshot = |metric| summarise(samples, 1, 1, &settings(metric));
        let by_event = match snapshot(LatencyMetric::EventLatency) {
            Ok(snapshot) => snapshot,
            Err(error) => return row.problem = error.to_string(),
        };
        row.set(Column::EventLatencyMeanMs, slowest(&by_event));
        let overall = snapshot(LatencyMetric::OverallLatency).ok();
        row.set(Column::OverallLatencyMeanMs, overall.as_ref().and_then(slowest));
        row.set(Column::InputPerS, total(&by_event, Kind::Source, |source| source.arrival_rate_per_s));
        row.set(Column::ProcessedPerS, total(&by_event, Kind::Source, |source| source.output_rate_per_s));
        row.set(Column::BacklogRecords, total(&by_event, Kind::Source, |source| source.backlog_records));
        row.set(Column::ResultsPerS, total(&by_event, Kind::Sink, |sink| sink.throughput_per_s));
        self.snapshot = (self.samples.len() == SAMPLES).then_some(by_event);
    }

    /// Returns the snapshot of the newest row, unless its time overlaps that of the one returned before.
    pub(crate) fn next_snapshot(&mut self) -> Option<&Snapshot> {
        let snapshot = self.snapshot.as_ref()?;
        let until_ms = snapshot.at_ms?;
        let from_ms = until_ms - snapshot.interval_ms?;
        if self.taken_until_ms.is_some_and(|taken_ms| from_ms < taken_ms) {
            return None;
        }
        self.taken_until_ms = Some(until_ms);
        Some(snapshot)
    }

    fn note_totals(&mut self, row: &mut Row) {
        let Some(sample) = self.samples.back() else { return };
        let is_fed = |vertex: &&telemetry::Vertex| !vertex.inputs.is_empty();
        let is_read = |vertex: &&telemetry::Vertex| {
            sample.vertices.iter().flat_map(|other| &other.inputs).any(|input| input.from == vertex.name)
        };
        let sources =
            || sample.vertices.iter().filter(|vertex| !is_fed(vertex)).flat_map(|source| &source.subtasks);
        let read = sources().map(|subtask| subtask.records_out).sum();
        // What Flink shows can be a second old; the tasks count their time with their records.
        let lived_ms: Option<f64> = sources().map(Subtask::counted_ms).sum();
        let sinks = sample.vertices.iter().filter(|vertex| !is_read(vertex) && vertex.name != DEAD_LETTERS);
        let results = sinks.flat_map(|sink| &sink.subtasks).map(|subtask| subtask.records_in).sum();
        row.set(Column::ReadTotal, self.read.note(&sample.incarnation, read));
        #[expect(clippy::cast_precision_loss, reason = "a number of subtasks")]
        row.set(Column::SourcesLivedS, lived_ms.map(|ms| ms / 1000.0 / sources().count().max(1) as f64));
        row.set(Column::ResultsTotal, self.results.note(&sample.incarnation, results));
    }

    /// Adds the percentiles of the slowest subtask of the slowest query.
    async fn note_percentiles(&mut self, row: &mut Row) -> Result<(), flink::Error> {
        let Some(sample) = self.samples.back() else { return Ok(()) };
        let Ok(job) = sample.incarnation.job_id.parse::<JobId>() else { return Ok(()) };
        let is_fresh = |names: &PercentileNames| {
            names.incarnation == sample.incarnation && names.listed_at.elapsed() < NAMES_MAX_AGE
        };
        if !self.names.as_ref().is_some_and(is_fresh) {
            self.names = Some(list_names(&self.client, &job, sample).await?);
        }
        for (vertex, names) in self.names.iter().flat_map(|names| &names.by_vertex) {
            for metric in self.client.vertex_metrics(&job, vertex, names).await? {
                let to = PERCENTILES.iter().find(|(statistic, _)| metric.id.ends_with(statistic));
                let Some((_, figure)) = to else { continue };
                // A subtask without a result in its newest window reports 0.
                let value = metric.value.filter(|value| *value > 0.0);
                row.set(*figure, larger(row.get(*figure), value));
            }
        }
        Ok(())
    }
}

/// Whether counters have begun anew since a sample. Just after a change in place Flink can report the sum of old and new tasks once, so that
/// the next sample is smaller although the job has not been started again.
fn is_another_life(before: &Sample, sample: &Sample) -> bool {
    let records = |sample: &Sample| -> Option<f64> {
        let subtasks = sample.vertices.iter().flat_map(|vertex| &vertex.subtasks);
        subtasks.map(|subtask| Some(subtask.records_in? + subtask.records_out?)).sum()
    };
    let went_back = records(before).zip(records(sample)).is_some_and(|(before, now)| now < before);
    before.incarnation != sample.incarnation || went_back
}

/// Start of the load, and its evaluated part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadTime {
    pub(crate) began: Instant,
    pub(crate) duration: Duration,
    pub(crate) warm_up: Duration,
}

impl LoadTime {
    /// Measures one row per second from the start of the load to its end. Late samples are skipped, not backfilled.
    ///
    /// # Errors
    /// An error of the callback.
    pub(crate) async fn observe(
        self,
        observer: &mut Observer,
        take: &mut impl FnMut(&Row, Option<&Snapshot>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let Some(since) = Instant::now().checked_duration_since(self.began) else {
                // Sampled before the load begins, so that its first second has rates.
                observer.row(0.0, true).await;
                continue;
            };
            if since >= self.duration {
                return Ok(());
            }
            let row = observer.row(since.as_secs_f64(), since < self.warm_up).await;
            take(&row, observer.next_snapshot())?;
        }
    }
}

async fn list_names(client: &Client, job: &JobId, sample: &Sample) -> Result<PercentileNames, flink::Error> {
    let mut by_vertex = Vec::new();
    for vertex in &sample.vertices {
        let has_results =
            vertex.subtasks.iter().any(|subtask| subtask.histograms.contains_key("eventLatency"));
        let id = vertex.id.as_ref().and_then(|id| id.parse::<VertexId>().ok());
        let Some(id) = id.filter(|_| has_results) else { continue };
        let mut names = client.vertex_metric_names(job, &id).await?;
        names.retain(|name| PERCENTILES.iter().any(|(statistic, _)| name.ends_with(statistic)));
        by_vertex.push((id, names));
    }
    Ok(PercentileNames { incarnation: sample.incarnation.clone(), listed_at: Instant::now(), by_vertex })
}

/// Returns the larger of two values, either of which may be unknown.
fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    [one, other].into_iter().flatten().reduce(f64::max)
}

fn settings(latency_metric: LatencyMetric) -> SummarySettings {
    SummarySettings {
        warm_up: Duration::ZERO,
        latency_metric,
        newest_age_max: Duration::from_secs(10),
        kinds: Kinds::default(),
        source: "flink-rest".to_owned(),
    }
}

/// Returns the mean latency of the slowest query.
fn slowest(snapshot: &Snapshot) -> Option<f64> {
    snapshot.queries.iter().filter_map(|query| query.overall_latency_ms).reduce(f64::max)
}

/// Sums a value over the operators of a kind, without dead letters; unknown if one value is, or if there is no
/// operator.
fn total(snapshot: &Snapshot, kind: Kind, figure: fn(&Operator) -> Option<f64>) -> Option<f64> {
    let is_wanted = |operator: &Operator| operator.kind == kind && operator.name != DEAD_LETTERS;
    let mut of_kind = snapshot.operators.iter().filter(|operator| is_wanted(operator)).peekable();
    of_kind.peek()?;
    of_kind.map(figure).sum()
}
