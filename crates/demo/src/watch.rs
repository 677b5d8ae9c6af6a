//! Observes the loop from outside: the job through Flink's REST interface, changes through the drop.

use std::collections::VecDeque;
use std::time::Duration;

use drop_client::{DropClient, Fetched};
use job_config::{EntityTag, JobDocument, Report};
use scaling::{Kind, Snapshot};
use telemetry::{FlinkRest, Kinds, LatencyMetric, Sample, SampleError, SummarySettings, summarise};

/// Number of samples between which rates are computed.
const SAMPLES: usize = 4;

/// A sample of the job's key values. Unknown values are [`None`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchSample {
    /// Records per second that arrive at the sources.
    pub input_per_s: Option<f64>,
    /// Records per second that the watched operator handles.
    pub processed_per_s: Option<f64>,
    /// Records waiting in Kafka.
    pub backlog_records: Option<f64>,
    /// Event latency of the query, in milliseconds.
    pub event_latency_ms: Option<f64>,
    /// Parallelism of the watched operator.
    pub parallelism: Option<u32>,
    /// Why values are missing.
    pub problem: Option<String>,
}

/// A read-only observer of one job.
#[derive(Debug)]
pub struct Watch {
    source: FlinkRest,
    settings: SummarySettings,
    samples: VecDeque<Sample>,
    drop: DropClient,
    operator: String,
    known: Option<EntityTag>,
    reports_seen: usize,
}

impl Watch {
    /// Creates an observer of a job and one of its operators.
    pub fn new(flink: flink::Client, drop: DropClient, operator: &str) -> Self {
        Self {
            source: FlinkRest::new(flink, drop.job().as_str()),
            settings: SummarySettings {
                warm_up: Duration::ZERO,
                latency_metric: LatencyMetric::EventLatency,
                newest_age_max: Duration::from_secs(10),
                kinds: Kinds::default(),
                source: "flink-rest".to_owned(),
            },
            samples: VecDeque::new(),
            drop,
            operator: operator.to_owned(),
            known: None,
            reports_seen: 0,
        }
    }

    /// Takes a sample.
    pub async fn sample(&mut self) -> WatchSample {
        match self.source.sample().await {
            Ok(sample) => self.samples.push_back(sample),
            Err(error) => {
                self.samples.clear();
                let problem = match error {
                    SampleError::Flink(error) => error.to_string(),
                    SampleError::NoJob { .. } => "no job runs".to_owned(),
                    other => other.to_string(),
                };
                return WatchSample { problem: Some(problem), ..WatchSample::default() };
            }
        }
        while self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        match summarise(self.samples.make_contiguous(), 1, 1, &self.settings) {
            Ok(snapshot) => self.figures(&snapshot),
            Err(_) => WatchSample::default(),
        }
    }

    fn figures(&self, snapshot: &Snapshot) -> WatchSample {
        let sources = || snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source);
        let watched = snapshot.operator(&self.operator);
        WatchSample {
            input_per_s: sources().map(|source| source.arrival_rate_per_s).sum(),
            processed_per_s: watched.and_then(|operator| operator.throughput_per_s),
            backlog_records: sources().map(|source| source.backlog_records).sum(),
            event_latency_ms: snapshot.queries.first().and_then(|query| query.overall_latency_ms),
            parallelism: watched.map(|operator| operator.parallelism),
            problem: None,
        }
    }

    /// Returns a document that was published since the last call.
    pub async fn new_document(&mut self) -> Option<JobDocument> {
        match self.drop.get(self.known.as_ref(), None).await {
            Ok(Fetched::Document(current)) => {
                self.known = Some(current.entity_tag.clone());
                Some(current.document)
            }
            _ => None,
        }
    }

    /// Returns the reports that arrived since the last call.
    pub async fn new_reports(&mut self) -> Vec<Report> {
        let reports = self.drop.reports().await.unwrap_or_default();
        let new = reports.get(self.reports_seen..).unwrap_or_default().to_vec();
        self.reports_seen = self.reports_seen.max(reports.len());
        new
    }
}
