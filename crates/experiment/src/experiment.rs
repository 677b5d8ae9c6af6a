//! A validated experiment: every file that it names exists and is consistent with the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use generator::profile::{ProfileConfig, Schedule};
use job_config::JobDocument;
use service::settings::{self, ConfigError, Problems};
use service::with_causes;

use crate::contender::{Variant, checked_variant};
use crate::needed::Sweep;
use crate::raw::{Cluster, RawExperiment, RawVariant, SideBySide};

/// One day, in seconds. Longer runs are hardly intended.
const DURATION_MAX_S: u64 = 86_400;
const REPETITIONS_MAX: u32 = 100;
const SLOTS_MAX: u32 = 1_000;
/// Enough for a day in ten minutes, with a margin.
const COMPRESSION_MAX: f64 = 1_000.0;

/// Values from the command line, which override the file's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// Duration of the load.
    pub duration: Option<Duration>,
    /// Number of repetitions.
    pub repetitions: Option<u32>,
}

/// One load on one job, with one or several ways of scaling it.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Name of its file without the extension.
    pub name: String,
    /// What it demonstrates.
    pub description: String,
    /// Text of its file, for the record.
    pub text: String,
    /// The event producer's configuration.
    pub producer: String,
    /// The load over time.
    pub schedule: Schedule,
    /// Duration of the load, including the warm-up.
    pub duration: Duration,
    /// Initial part of the load that is not evaluated.
    pub warm_up: Duration,
    /// Number of repetitions.
    pub repetitions: u32,
    /// Latency bound, in milliseconds.
    pub latency_max_ms: f64,
    /// Largest 99th percentile of the producer's delay in a valid run, in milliseconds.
    pub schedule_delay_max_ms: f64,
    /// Largest 99th percentile of Kafka's acknowledgement after the due time in a valid run, in milliseconds.
    pub ack_delay_max_ms: Option<f64>,
    /// Largest average CPU use of other processes in a valid run, in cores.
    pub others_cpu_max_cores: Option<f64>,
    /// Time compression of the load.
    pub compression: f64,
    /// Which variants run at the same time on one cluster.
    pub side_by_side: Option<SideBySide>,
    /// Measured capacity by parallelism.
    pub sweep: Option<Sweep>,
    /// The job's cluster; variants that run side by side each get this much.
    pub cluster: Cluster,
    /// The variants; at least one.
    pub variants: Vec<Variant>,
}

impl Experiment {
    /// Reads and validates an experiment and all files that it names.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path, overrides: Overrides) -> Result<Self, ConfigError> {
        let text = settings::read(path)?;
        let (mut written, mut problems): (RawExperiment, Problems) = settings::parse(&text, path)?;
        if let Some(duration) = overrides.duration {
            written.duration_s = duration.as_secs();
        }
        written.repetitions = overrides.repetitions.unwrap_or(written.repetitions);
        let folder = path.parent().unwrap_or(Path::new("."));
        let (document_path, producer_path) = (folder.join(&written.document), folder.join(&written.producer));
        let document_text = settings::read(&document_path)?;
        let document = JobDocument::parse(&document_text).map_err(|error| syntax(&document_path, &error))?;
        let producer = settings::read(&producer_path)?;
        let (load, of_load): (Load, Problems) = settings::parse(&producer, &producer_path)?;
        let load = of_load.finish(Some(load))?;
        let schedule = load.profile.check().map_err(|error| syntax(&producer_path, &error))?;

        written.problems(&mut problems);
        problems.extend(load.problems(&written, &benchmark(&document_text), &schedule));
        let mut variants = Vec::new();
        for variant in written.all_variants() {
            match checked_variant(folder, &document, &written, &variant)? {
                Ok(variant) => variants.push(variant),
                Err(problem) => problems.extend([problem]),
            }
        }
        let sweep = written.sweep.as_ref().map(|file| read_sweep(&folder.join(file))).transpose()?;
        problems.finish(Some(Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            description: written.description,
            text,
            producer,
            schedule,
            duration: Duration::from_secs(written.duration_s),
            warm_up: Duration::from_secs(written.warm_up_s),
            repetitions: written.repetitions,
            latency_max_ms: written.latency_max_ms,
            schedule_delay_max_ms: written.schedule_delay_max_ms,
            ack_delay_max_ms: written.ack_delay_max_ms,
            others_cpu_max_cores: written.others_cpu_max_cores,
            compression: written.compression,
            side_by_side: written.side_by_side,
            sweep,
            cluster: written.cluster,
            variants,
        }))
    }

    /// Returns the total duration of all runs, without start and end.
    pub fn total_duration(&self) -> Duration {
        self.duration.saturating_mul(self.rounds())
    }

    /// Groups a repetition's variants into rounds of simultaneous runs. Every second repetition reverses the rounds, so that
    /// the same variant does not always come first.
    pub fn rounds_of(&self, repetition: u32) -> Vec<Vec<&Variant>> {
        let mut rounds: Vec<Vec<&Variant>> = match (self.side_by_side, self.variants.split_first()) {
            (Some(SideBySide::All), _) => vec![self.variants.iter().collect()],
            (Some(SideBySide::Pairs), Some((first, others))) if !others.is_empty() => {
                others.iter().map(|other| vec![first, other]).collect()
            }
            _ => self.variants.iter().map(|variant| vec![variant]).collect(),
        };
        if repetition.is_multiple_of(2) {
            rounds.reverse();
        }
        rounds
    }

    /// Returns how often a cluster is started.
    pub fn rounds(&self) -> u32 {
        u32::try_from(self.rounds_of(1).len()).unwrap_or(u32::MAX).saturating_mul(self.repetitions)
    }
}

/// The part of the producer's configuration that must match the rest. The producer itself validates all of it.
#[derive(Debug, serde::Deserialize)]
struct Load {
    #[serde(default = "nexmark")]
    benchmark: String,
    profile: ProfileConfig,
    events: Option<u64>,
}

fn nexmark() -> String {
    "nexmark".to_owned()
}

impl Load {
    fn problems(&self, written: &RawExperiment, benchmark: &str, schedule: &Schedule) -> Vec<String> {
        let mut problems = Vec::new();
        if self.benchmark != benchmark {
            problems.push(format!(
                "producer: benchmark {} differs from {benchmark} of the job document",
                self.benchmark
            ));
        }
        if self.events.is_some() {
            problems.push("producer: remove `events`; duration_s ends the load".to_owned());
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds of at most a day")]
        let wanted_s = written.duration_s as f64;
        if let Some(duration_s) = schedule.duration_s().filter(|duration_s| *duration_s < wanted_s) {
            problems.push(format!(
                "producer: the profile ends after {duration_s} s, the experiment after {wanted_s} s; make the profile longer (repeat = true) or the experiment shorter"
            ));
        }
        problems
    }
}

impl RawExperiment {
    fn problems(&self, problems: &mut Problems) {
        let Cluster { task_managers, task_slots, partitions } = self.cluster;
        let is_name = |variant: &RawVariant| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !variant.name.is_empty() && variant.name.len() <= 40 && variant.name.chars().all(allowed)
        };
        let is_repeated =
            |index: usize| self.variants[..index].iter().any(|other| other.name == self.variants[index].name);
        let warm_up_s = self.warm_up_s.min(DURATION_MAX_S - 1);
        problems.range("warm_up_s", self.warm_up_s, 0..=DURATION_MAX_S - 1);
        problems.range("duration_s", self.duration_s, warm_up_s + 1..=DURATION_MAX_S);
        problems.range("repetitions", self.repetitions, 1..=REPETITIONS_MAX);
        let positive = [
            ("latency_max_ms", Some(self.latency_max_ms)),
            ("schedule_delay_max_ms", Some(self.schedule_delay_max_ms)),
            ("ack_delay_max_ms", self.ack_delay_max_ms),
            ("others_cpu_max_cores", self.others_cpu_max_cores),
        ];
        for (key, value) in positive.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            problems.check(value > 0.0 && value.is_finite(), key, value, "give a number above 0");
        }
        problems.range("compression", self.compression, 1.0..=COMPRESSION_MAX);
        problems.range("cluster.task_managers", task_managers, 1..=SLOTS_MAX);
        problems.range("cluster.task_slots", task_slots, 1..=SLOTS_MAX);
        problems.check(partitions > 0, "cluster.partitions", partitions, "give a number from 1 on");
        if !self.variants.iter().all(is_name) {
            problems.add("variant.name", "use lower-case letters, digits and '-', at most 40");
        }
        if (0..self.variants.len()).any(is_repeated) {
            problems.add("variant.name", "must be unique");
        }
        if self.rescaler.is_some() != self.variants.is_empty() {
            problems.add("rescaler", "set a configuration or \"none\", here or in each [[variant]]");
        }
    }

    /// Returns the variants; without any, the one that the file itself describes, named after its policy.
    fn all_variants(&self) -> Vec<RawVariant> {
        let only = self.rescaler.iter().filter(|_| self.variants.is_empty());
        let only = only.map(|rescaler| RawVariant {
            name: String::new(),
            rescaler: Some(rescaler.clone()),
            program: None,
            flink_autoscaler: None,
            timetable: None,
            restart_mode: None,
            parallelism: BTreeMap::new(),
        });
        only.chain(self.variants.iter().cloned()).collect()
    }
}

/// Returns the benchmark of a job document; empty if it does not say.
fn benchmark(document: &str) -> String {
    #[derive(serde::Deserialize)]
    struct ProducerHeader {
        benchmark: String,
    }
    toml::from_str::<ProducerHeader>(document).map(|gist| gist.benchmark).unwrap_or_default()
}

fn read_sweep(path: &Path) -> Result<Sweep, ConfigError> {
    Sweep::parse(&settings::read(path)?).map_err(|problem| ConfigError::in_file(path, problem))
}

/// Returns the error of a file that is invalid for this reason.
pub(crate) fn syntax(path: &Path, error: &(dyn std::error::Error + 'static)) -> ConfigError {
    ConfigError::in_file(path, with_causes(error))
}
