//! Takes samples during an epoch, and computes the snapshot at its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use job_config::JobDocument;
use scaling::Snapshot;
use telemetry::{MetricSource, Sample, SummarySettings, summarise};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::brokers::BrokerReader;
use crate::config::Config;
use crate::status::JobStatus;

/// Number of samples of a current snapshot: enough for rates, and few enough to be recent.
const CURRENT_SAMPLES: usize = 8;

/// Takes samples and stores those of the current epoch.
pub(crate) struct Observer {
    source: MetricSource,
    brokers: BrokerReader,
    settings: SummarySettings,
    sample_interval: Duration,
    epoch_length: Duration,
    /// Length of the first epoch, until it begins.
    first_epoch_length: Option<Duration>,
    /// Samples of the epoch, after a few older ones.
    samples: Vec<Sample>,
    epoch_from: usize,
    /// Maximum and default parallelism of the document.
    parallelism: Option<(u32, u32)>,
    status: Arc<JobStatus>,
    newest_at: Option<Instant>,
    problem: Option<String>,
}

impl Observer {
    /// Returns an observer of the configured job.
    ///
    /// # Errors
    /// The source's settings cannot be used.
    pub(crate) fn new(
        config: &Config,
        client: flink::Client,
        status: Arc<JobStatus>,
    ) -> anyhow::Result<Self> {
        let source = config.source.open(config, client)?;
        Ok(Self {
            settings: settings(config, &source),
            source,
            brokers: BrokerReader::new(&config.kafka).context("kafka")?,
            sample_interval: config.sample_interval(),
            epoch_length: config.epoch_length(),
            first_epoch_length: Some(config.first_epoch_length()),
            samples: Vec::new(),
            epoch_from: 0,
            parallelism: None,
            status,
            newest_at: None,
            problem: None,
        })
    }

    /// Takes samples until the epoch ends. The last sample of an epoch is also the first of the next, so that no record is
    /// lost between two epochs.
    pub(crate) async fn epoch(&mut self) {
        let keep_from = self.samples.len().saturating_sub(CURRENT_SAMPLES);
        self.samples.drain(..keep_from);
        self.epoch_from = self.samples.len().saturating_sub(1);
        let end = Instant::now() + self.first_epoch_length.take().unwrap_or(self.epoch_length);
        let mut ticks = interval(self.sample_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while Instant::now() + self.sample_interval / 2 < end {
            ticks.tick().await;
            self.sample().await;
            self.show();
        }
    }

    /// Stores the parts of the document that a snapshot needs.
    pub(crate) fn know(&mut self, document: &JobDocument) {
        let parallelism = document.parallelism();
        self.parallelism = Some((parallelism.max, parallelism.default));
    }

    /// Computes a current snapshot from the newest samples, if a client has asked recently.
    fn show(&self) {
        let now = Timestamp::now();
        self.status.sampled(self.problem.clone().map_or(Ok(()), Err), now);
        if let (None, Some((max, default)), true) =
            (&self.problem, self.parallelism, self.status.is_watched_by_client(now))
        {
            let newest = &self.samples[self.samples.len().saturating_sub(CURRENT_SAMPLES)..];
            let snapshot = summarise(newest, max, default, &self.settings);
            self.status.current(snapshot.map_err(|e| e.to_string()), now);
        }
    }

    async fn sample(&mut self) {
        match self.source.sample().await {
            Ok(mut sample) => {
                self.brokers.complete(&mut sample).await;
                if let Some(problem) = self.problem.take() {
                    info!(problem, "metrics are available again");
                }
                self.newest_at = Some(Instant::now());
                self.samples.push(sample);
            }
            Err(error) => {
                let problem = format!("{:#}", anyhow::Error::from(error));
                if self.problem.as_ref() != Some(&problem) {
                    warn!("no metrics: {problem}");
                }
                self.problem = Some(problem);
            }
        }
    }

    /// Returns the snapshot of the epoch.
    ///
    /// # Errors
    /// The reason why there is no snapshot, as a sentence for the journal.
    pub(crate) fn snapshot(&self, document: &JobDocument) -> Result<Snapshot, String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let age = self.newest_at.map_or(Duration::MAX, |at| at.elapsed());
        if age > self.sample_interval * 2 {
            return Err(format!("the newest metrics are {} s old", age.as_secs()));
        }
        let parallelism = document.parallelism();
        summarise(&self.samples[self.epoch_from..], parallelism.max, parallelism.default, &self.settings)
            .map_err(|e| e.to_string())
    }
}

/// Returns the settings of the summary for this source.
pub(crate) fn settings(config: &Config, source: &MetricSource) -> SummarySettings {
    SummarySettings {
        warm_up: Duration::from_millis(config.epoch.warm_up_ms),
        latency_metric: config.policy.latency_metric,
        newest_age_max: config.source.newest_age_max(config.sample_interval()),
        kinds: config.operators.clone(),
        source: source.name().to_owned(),
    }
}
