//! Observing: samples through one epoch, then one snapshot.

use std::time::{Duration, Instant};

use job_config::JobDocument;
use scaling::Snapshot;
use telemetry::{Sample, Settings, Source, summarise};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::config::Config;

/// Takes samples and remembers those of the current epoch.
pub(crate) struct Observer {
    source: Source,
    settings: Settings,
    sample_interval: Duration,
    epoch_length: Duration,
    samples: Vec<Sample>,
    newest_at: Option<Instant>,
    problem: Option<String>,
}

impl Observer {
    /// An observer of the configured job.
    ///
    /// # Errors
    /// The source's settings cannot be used.
    pub(crate) fn new(config: &Config, client: flink::Client) -> anyhow::Result<Self> {
        let source = config.source.open(config, client)?;
        Ok(Self {
            settings: settings(config, &source),
            source,
            sample_interval: config.sample_interval(),
            epoch_length: config.epoch_length(),
            samples: Vec::new(),
            newest_at: None,
            problem: None,
        })
    }

    /// Samples until the epoch is over. The last sample of an epoch is also the first of the next, so that no record falls
    /// between two epochs.
    pub(crate) async fn epoch(&mut self) {
        let keep_from = self.samples.len().saturating_sub(1);
        self.samples.drain(..keep_from);
        let end = Instant::now() + self.epoch_length;
        let mut ticks = interval(self.sample_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while Instant::now() + self.sample_interval / 2 < end {
            ticks.tick().await;
            self.sample().await;
        }
    }

    async fn sample(&mut self) {
        match self.source.sample().await {
            Ok(sample) => {
                if let Some(problem) = self.problem.take() {
                    info!(problem, "metrics can be read again");
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

    /// What was seen in the epoch.
    ///
    /// # Errors
    /// Why nothing can be said: a sentence for the journal.
    pub(crate) fn snapshot(&self, document: &JobDocument) -> Result<Snapshot, String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let age = self.newest_at.map_or(Duration::MAX, |at| at.elapsed());
        if age > self.sample_interval * 2 {
            return Err(format!("the newest metrics are {} s old", age.as_secs()));
        }
        let parallelism = document.parallelism();
        summarise(&self.samples, parallelism.max, parallelism.default, &self.settings)
            .map_err(|e| e.to_string())
    }
}

/// How samples of this source are judged.
pub(crate) fn settings(config: &Config, source: &Source) -> Settings {
    Settings {
        warm_up: Duration::from_millis(config.epoch.warm_up_ms),
        latency_metric: config.policy.latency_metric,
        newest_age_max: config.source.newest_age_max(config.sample_interval()),
        kinds: config.operators.clone(),
        source: source.name().to_owned(),
    }
}
