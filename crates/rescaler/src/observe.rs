//! Takes samples during an epoch, and computes the snapshot at its end.
//!
//! Most figures of a snapshot are differences of counters between the first and the last sample of an epoch. Those two samples are
//! whole; the samples between them leave out what only adds to such differences, while nobody looks at the page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use job_config::JobDocument;
use scaling::Snapshot;
use service::with_causes;
use telemetry::{FlinkCluster, MetricSource, Sample, SummarySettings, summarise};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::brokers::BrokerReader;
use crate::config::Config;
use crate::status::JobStatus;

/// Number of samples of a current snapshot: enough for rates, and few enough to be recent.
const CURRENT_SAMPLES: usize = 8;

/// Longest time between two whole samples, in milliseconds.
const WHOLE_INTERVAL_MAX_MS: i64 = 60_000;

/// How many readings of subtasks are kept: three whole samples of 100,000 subtasks, of some 350 bytes each. Smaller jobs never have so many
/// in an epoch of common length.
const READINGS_MAX: usize = 300_000;

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
    /// Whether the epoch began with the last sample of another one, taken just before.
    is_continued: bool,
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
        cluster: FlinkCluster,
        status: Arc<JobStatus>,
    ) -> anyhow::Result<Self> {
        let source = config.source.open(config, cluster)?;
        Ok(Self {
            settings: settings(config, &source),
            source,
            brokers: BrokerReader::new(&config.kafka).context("kafka")?,
            sample_interval: config.sample_interval(),
            epoch_length: config.epoch_length(),
            first_epoch_length: Some(config.first_epoch_length()),
            samples: Vec::new(),
            epoch_from: 0,
            is_continued: false,
            parallelism: None,
            status,
            newest_at: None,
            problem: None,
        })
    }

    /// Takes samples until the epoch ends. The last sample of an epoch is also the first of the next, so that no record is
    /// lost between two epochs.
    pub(crate) async fn epoch(&mut self) {
        // Older ones are for the page.
        let kept = if self.status.is_watched_by_client(Timestamp::now()) { CURRENT_SAMPLES } else { 1 };
        let keep_from = self.samples.len().saturating_sub(kept);
        self.samples.drain(..keep_from);
        self.epoch_from = self.samples.len().saturating_sub(1);
        self.is_continued = self.newest_age() <= self.sample_interval * 2;
        let end = Instant::now() + self.first_epoch_length.take().unwrap_or(self.epoch_length);
        let mut ticks = interval(self.sample_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        while Instant::now() + self.sample_interval / 2 < end {
            ticks.tick().await;
            let is_last = Instant::now() + self.sample_interval / 2 >= end;
            self.sample(is_last || !self.may_leave_out()).await;
            self.show();
        }
        // A sample that took long was the last one.
        if self.problem.is_none() && self.samples.last().is_some_and(|sample| !sample.is_whole()) {
            self.sample(true).await;
        }
    }

    /// Whether the next sample may leave out what an earlier and a later whole sample of the epoch tell. Not in the first epoch of a life of
    /// the tasks, or after a gap, because the first reading may be a stale one.
    fn may_leave_out(&self) -> bool {
        let (Some(first), Some(newest)) = (self.samples.get(self.epoch_from), self.samples.last()) else {
            return false;
        };
        let is_same_life = first.incarnation == newest.incarnation;
        let warm_up_ms = self.warm_up_ms();
        let whole = self.samples.iter().rev().find(|sample| sample.is_whole());
        let is_recent = whole.is_some_and(|whole| newest.at_ms - whole.at_ms < WHOLE_INTERVAL_MAX_MS);
        self.is_continued
            && self.problem.is_none()
            && first.is_whole()
            && is_same_life
            && first.running_ms >= warm_up_ms
            && is_recent
            && !self.status.is_watched_by_client(Timestamp::now())
    }

    fn warm_up_ms(&self) -> i64 {
        i64::try_from(self.settings.warm_up.as_millis()).unwrap_or(i64::MAX)
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
            && self.samples.last().is_some_and(Sample::is_whole)
        {
            let snapshot = summarise(self.newest(), max, default, &self.settings);
            self.status.current(snapshot.map_err(|e| e.to_string()), now);
        }
    }

    /// The newest samples, with two whole ones if there are two.
    fn newest(&self) -> &[Sample] {
        let few = self.samples.len().saturating_sub(CURRENT_SAMPLES);
        let whole = self.samples.iter().enumerate().rev().filter(|(_, sample)| sample.is_whole()).nth(1);
        &self.samples[whole.map_or(few, |(index, _)| index.min(few))..]
    }

    fn newest_age(&self) -> Duration {
        self.newest_at.map_or(Duration::MAX, |at| at.elapsed())
    }

    async fn sample(&mut self, is_whole: bool) {
        let sample = if is_whole { self.source.sample().await } else { self.source.sample_between().await };
        match sample {
            Ok(mut sample) => {
                self.brokers.complete(&mut sample).await;
                if let Some(problem) = self.problem.take() {
                    info!(problem, "metrics are available again");
                }
                self.newest_at = Some(Instant::now());
                self.samples.push(sample);
                let warm_up_ms = self.warm_up_ms();
                leave_out_readings(&mut self.samples, self.epoch_from, warm_up_ms, READINGS_MAX);
            }
            Err(error) => {
                let problem = with_causes(&error);
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
        let age = self.newest_age();
        if age > self.sample_interval * 2 {
            return Err(format!("the newest metrics are {} s old", age.as_secs()));
        }
        let parallelism = document.parallelism();
        summarise(&self.samples[self.epoch_from..], parallelism.max, parallelism.default, &self.settings)
            .map_err(|e| e.to_string())
    }
}

/// Leaves readings out of samples, the oldest first, until at most `most` readings of subtasks remain, as far as a snapshot does not need
/// them. It needs the newest sample, the first two of the epoch that can be used (the first may be a stale one), and in all samples what is no
/// difference of counters.
fn leave_out_readings(samples: &mut [Sample], epoch_from: usize, warm_up_ms: i64, most: usize) {
    let mut held: usize = samples.iter().map(Sample::readings).sum();
    let Some((newest, older)) = samples.split_last_mut().filter(|_| held > most) else { return };
    let is_first = |sample: &Sample| {
        sample.is_whole() && sample.incarnation == newest.incarnation && sample.running_ms >= warm_up_ms
    };
    let mut first_ones = 0;
    for (index, sample) in older.iter_mut().enumerate() {
        if index >= epoch_from && first_ones < 2 && is_first(sample) {
            first_ones += 1;
        } else if held > most {
            held -= sample.readings();
            sample.leave_out_counted();
            held += sample.readings();
        }
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

#[cfg(test)]
mod tests {
    use flink_stand_in::{Pace, Scenario, Server};
    use telemetry::{Incarnation, Input, Subtask, Vertex};

    use super::*;
    use crate::cycle::flink_cluster;
    use crate::status::{JobInfo, Retention, Switches};

    /// For an epoch in which the machine leaves time for more than two samples.
    const PATIENCE: Duration = Duration::from_secs(120);

    async fn observer() -> (Server, Arc<JobStatus>, Observer) {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios/run-quiet-job/scenario.json");
        let server = Server::start(Scenario::load(path.as_ref()).unwrap(), Pace::Real).await.unwrap();
        let text = format!(
            "job = \"job\"\n[flink]\nurl = \"{}\"\n[epoch]\nlength_ms = 1000\nsample_interval_ms = 100\nwarm_up_ms = 0",
            server.url()
        );
        let config = Config::parse(&text, "r.toml".as_ref()).unwrap();
        let info = JobInfo {
            name: "job".to_owned(),
            flink_url: server.url().to_owned(),
            policy: "ds2".to_owned(),
            latency_max_ms: None,
            epoch_length: config.epoch_length(),
            sample_interval: config.sample_interval(),
            started_at: Timestamp::now(),
        };
        let switches = Switches::open(None, false).unwrap();
        let status = Arc::new(JobStatus::new(info, switches, Retention { points: 1, decisions: 1 }));
        let observer = Observer::new(&config, flink_cluster(&config).unwrap(), Arc::clone(&status)).unwrap();
        (server, status, observer)
    }

    /// A sample of a source and of an operator that only counts, with two subtasks each.
    fn sample(running_ms: i64, life: i64) -> Sample {
        let subtask = |counted: bool| Subtask {
            records_in: Some(1.0),
            records_out: Some(1.0),
            busy_ms: counted.then_some(1.0),
            idle_ms: Some(1.0),
            backpressured_ms: Some(1.0),
            ..Subtask::default()
        };
        let vertex = |name: &str, counted: bool| Vertex {
            name: name.to_owned(),
            inputs: vec![Input::default(); usize::from(counted)],
            subtasks: vec![subtask(counted), subtask(counted)],
            ..Vertex::default()
        };
        Sample {
            at_ms: running_ms,
            newest_ms: running_ms,
            running_ms,
            incarnation: Incarnation { job_id: "a".to_owned(), running_since_ms: life },
            job: scaling::Job::default(),
            vertices: vec![vertex("source", false), vertex("work", true)],
            task_managers: Vec::new(),
            state_size_bytes: None,
            stored_size_bytes: None,
        }
    }

    /// Goal: of many readings those remain that a snapshot needs: of sources all, else of the newest sample and of the first two of the epoch
    /// that can be used; and while there are few, all.
    #[test]
    fn readings_between_are_left_out() {
        let kept = |lives: &[i64], epoch_from: usize, most: usize| -> Vec<usize> {
            let mut samples: Vec<Sample> =
                lives.iter().zip(1..).map(|(life, seconds)| sample(seconds * 1000, *life)).collect();
            leave_out_readings(&mut samples, epoch_from, 2_000, most);
            samples.iter().map(Sample::readings).collect()
        };
        assert_eq!(kept(&[1; 7], 1, 28), [4; 7]);
        assert_eq!(kept(&[1; 7], 1, 27), [2, 4, 4, 4, 4, 4, 4]);
        assert_eq!(kept(&[1; 7], 1, 0), [2, 4, 4, 2, 2, 2, 4]);
        // The sample after one second is of the warm-up, and the first three of seven are of an earlier life.
        assert_eq!(kept(&[1; 7], 0, 0), [2, 4, 4, 2, 2, 2, 4]);
        assert_eq!(kept(&[1, 1, 1, 2, 2, 2, 2], 0, 0), [2, 2, 2, 4, 4, 2, 4]);
        assert_eq!(kept(&[1, 1, 2], 0, 0), [2, 2, 4]);
    }

    fn whole(observer: &Observer) -> Vec<bool> {
        observer.samples[observer.epoch_from..].iter().map(Sample::is_whole).collect()
    }

    /// Goal: the first epoch has whole samples only; later epochs begin and end with one, leave the operator out between them, and have
    /// all figures; and while a client looks at the page, all samples are whole.
    #[tokio::test]
    async fn an_epoch_begins_and_ends_with_a_whole_sample() {
        let (_server, status, mut observer) = observer().await;
        observer.epoch().await;
        assert!(whole(&observer).iter().all(|whole| *whole));
        let until_thin = async {
            loop {
                observer.epoch().await;
                if whole(&observer).contains(&false) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, until_thin).await.unwrap();
        let whole_ones = whole(&observer);
        assert!(whole_ones[0] && *whole_ones.last().unwrap(), "{whole_ones:?}");
        let epoch = &observer.samples[observer.epoch_from..];
        let snapshot = summarise(epoch, 128, 1, &observer.settings).unwrap();
        assert_eq!(snapshot.missing, [] as [String; 0]);
        assert!(snapshot.operator("work").unwrap().throughput_per_s.is_some());
        drop(status.view(Timestamp::now(), true));
        observer.epoch().await;
        assert!(whole(&observer).iter().all(|whole| *whole));
    }
}
