//! The command line. What stands here overrides the configuration file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use generator::profile::{ProfileConfig, ProfileStep};
use service::{ConfigError, Problems};

use crate::config::{Benchmark, Config, ConfigFile, KafkaSection, Shard, StartTime, Transport};
use crate::generate::Format;
use crate::kafka;
use crate::topics::Selected;

/// The shortest part of a profile that is shown, s.
const SHORTEST_SHOWN_S: f64 = 0.001;
/// The longest part of a profile that is shown, s: what a profile may last at the most.
const LONGEST_SHOWN_S: f64 = 10.0 * 365.25 * 86_400.0;

/// Produces the events of the NexMark and price-comparison benchmarks to Kafka on a load profile.
#[derive(Debug, Parser)]
#[command(version = version::VERSION, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunOptions,
}

impl Arguments {
    /// Command; by default `run`.
    pub(crate) fn command(self) -> Command {
        self.command.unwrap_or(Command::Run(Box::new(self.run)))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write events to Kafka (the default command)
    Run(Box<RunOptions>),
    /// Write events to standard output; the bytes do not depend on threads or on how the range is divided
    Generate(GenerateOptions),
    /// Print the totals of a load profile and plot its rate, without producing
    Profile(ProfileOptions),
    /// Create, delete or describe the topics of the benchmarks
    Topics(TopicsOptions),
    /// Print completions of this command line for a shell
    Completions {
        /// Shell
        shell: Shell,
    },
}

/// Format of the totals on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// One line of text
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// What determines the stream.
#[derive(Debug, Args)]
pub(crate) struct StreamOptions {
    /// Configuration file (TOML); absent: the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Benchmark to produce
    #[arg(long, value_enum)]
    benchmark: Option<Benchmark>,
    /// Seed of the stream
    #[arg(long)]
    seed: Option<u64>,
    /// Constant rate in events per second, instead of the configured profile
    #[arg(long, value_name = "RATE", conflicts_with = "steps")]
    rate: Option<f64>,
    /// Steps RATE:SECONDS, separated by commas, instead of the configured profile
    #[arg(long, value_name = "RATE:SECONDS", value_delimiter = ',', value_parser = parse_step)]
    steps: Option<Vec<ProfileStep>>,
    /// Duration of --rate, in seconds
    #[arg(long, value_name = "SECONDS", requires = "rate")]
    duration: Option<f64>,
}

/// Which events of the stream.
#[derive(Debug, Args)]
pub(crate) struct RangeOptions {
    /// Number of events to write
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// First event number, to continue an earlier run
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// Event time of event 0: "now" or milliseconds since the Unix epoch
    #[arg(long, value_name = "now|MS")]
    start_time: Option<StartTime>,
    /// Streams to write; event numbers and times do not change
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    streams: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    stream: StreamOptions,
    #[command(flatten)]
    range: RangeOptions,
    /// Check the configuration and exit
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Kafka bootstrap servers, host:port, separated by commas
    #[arg(long, value_name = "LIST")]
    bootstrap_servers: Option<String>,
    /// Kafka client to use
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Write only the partitions of this shard, 0/COUNT to COUNT-1/COUNT
    #[arg(long, value_name = "INDEX/COUNT")]
    shard: Option<Shard>,
    /// Ignore the schedule except for timestamps: emit as fast as possible
    #[arg(long)]
    max: bool,
    /// Address to serve /metrics and /healthz at, host:port
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Format of the totals at the end
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateOptions {
    #[command(flatten)]
    stream: StreamOptions,
    #[command(flatten)]
    range: RangeOptions,
    /// json: one object per line; wire: each record preceded by its length (u32, little-endian); count: a summary with a hash
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: Format,
    /// Generator threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileOptions {
    #[command(flatten)]
    stream: StreamOptions,
    /// SVG file to plot the offered rate into
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Seconds of an endless profile to show; by default enough to show its shape
    #[arg(long, value_name = "SECONDS")]
    pub(crate) until: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct TopicsOptions {
    #[command(subcommand)]
    pub(crate) action: TopicsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsAction {
    /// Create the missing topics
    Create {
        #[command(flatten)]
        which: TopicsSelection,
        /// Partitions of each topic
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=100_000))]
        partitions: i32,
        /// Replicas of each partition
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=100))]
        replication: i32,
    },
    /// Delete the topics and their records
    Delete {
        #[command(flatten)]
        which: TopicsSelection,
    },
    /// Print partitions, replicas and records of each topic
    Describe {
        #[command(flatten)]
        which: TopicsSelection,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TopicsSelection {
    /// Configuration file (TOML); its section [kafka] gives brokers, topic prefix and properties (TLS, login); absent: the
    /// defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Kafka bootstrap servers, host:port, separated by commas; absent: the configured ones, or 127.0.0.1:9092
    #[arg(long, value_name = "LIST")]
    bootstrap_servers: Option<String>,
    /// Prefix of each topic's name; absent: the configured one, or none
    #[arg(long, value_name = "TEXT")]
    topic_prefix: Option<String>,
    /// Only the topics of this benchmark
    #[arg(long, value_enum)]
    benchmark: Option<Benchmark>,
    /// Timeout in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

fn parse_step(text: &str) -> Result<ProfileStep, String> {
    let parsed = text.split_once(':').and_then(|(rate, seconds)| {
        Some(ProfileStep { rate: rate.trim().parse().ok()?, duration_s: seconds.trim().parse().ok()? })
    });
    parsed.ok_or_else(|| format!("{text:?} is not RATE:SECONDS, for example 1000:30"))
}

fn set<T: Clone>(value: &mut T, flag: &Option<T>) {
    if let Some(flag) = flag {
        value.clone_from(flag);
    }
}

impl StreamOptions {
    /// The file, or the defaults, with these flags.
    fn file(&self) -> Result<(ConfigFile, Problems), ConfigError> {
        let (mut file, problems) = ConfigFile::load(self.config.as_deref())?;
        set(&mut file.benchmark, &self.benchmark);
        set(&mut file.seed, &self.seed);
        if let Some(rate) = self.rate {
            file.profile = ProfileConfig::Constant { rate, duration_s: self.duration };
        }
        if let Some(steps) = &self.steps {
            file.profile = ProfileConfig::Steps { steps: steps.clone(), repeat: false, duration_s: None };
        }
        Ok((file, problems))
    }
}

/// The settings of Kafka with their secrets read, if they can be used; otherwise the problems are added.
fn load_kafka(kafka: &KafkaSection, problems: &mut Problems) -> Option<KafkaSection> {
    // What the client would refuse for a reason that is known already is not reported twice.
    let loaded = kafka.problems().is_empty().then(|| kafka::load(kafka))?;
    loaded.map_err(|error| problems.extend([format!("{error:#}")])).ok()
}

impl TopicsOptions {
    /// Which topics of which brokers: those of the file, overridden by the flags, and checked.
    pub(crate) fn selected(&self) -> Result<Selected, ConfigError> {
        let (TopicsAction::Create { which, .. }
        | TopicsAction::Delete { which }
        | TopicsAction::Describe { which }) = &self.action;
        let (ConfigFile { mut kafka, .. }, mut problems) = ConfigFile::load(which.config.as_deref())?;
        set(&mut kafka.bootstrap_servers, &which.bootstrap_servers);
        set(&mut kafka.topic_prefix, &which.topic_prefix);
        let kafka = KafkaSection { connect_timeout_ms: which.timeout * 1_000, ..kafka };
        problems.extend(kafka.problems());
        let kafka = load_kafka(&kafka, &mut problems);
        Ok(Selected { kafka: problems.finish(kafka)?, benchmark: which.benchmark })
    }
}

impl RangeOptions {
    fn apply(&self, file: &mut ConfigFile) {
        set(&mut file.from_event, &self.from);
        set(&mut file.start_time, &self.start_time);
        if self.events.is_some() {
            file.events = self.events;
        }
        if self.streams.is_some() {
            file.streams.clone_from(&self.streams);
        }
    }
}

impl RunOptions {
    /// The file, overridden by the flags, and checked.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let (mut file, mut problems) = self.stream.file()?;
        self.range.apply(&mut file);
        set(&mut file.kafka.bootstrap_servers, &self.bootstrap_servers);
        set(&mut file.kafka.transport, &self.transport);
        set(&mut file.shard, &self.shard);
        if self.listen.is_some() {
            file.report.listen.clone_from(&self.listen);
        }
        file.as_fast_as_possible |= self.max;
        let kafka = load_kafka(&file.kafka, &mut problems);
        let config = file.check_with(problems)?;
        Ok(Config { kafka: kafka.unwrap_or(file.kafka), ..config })
    }
}

impl GenerateOptions {
    /// The file, overridden by the flags, and checked.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let (mut file, problems) = self.stream.file()?;
        self.range.apply(&mut file);
        file.check_with(problems)
    }
}

impl ProfileOptions {
    /// The file, overridden by the flags, and checked. Nothing is written, so that the profile alone counts.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let (file, mut problems) = self.stream.file()?;
        if let Some(until) = self.until {
            problems.range("--until", until, SHORTEST_SHOWN_S..=LONGEST_SHOWN_S);
        }
        file.check_with(problems)
    }
}
