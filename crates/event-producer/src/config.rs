//! The configuration file as it is written, and the checked form that everything else uses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use events::Kind;
use generator::Generator;
use generator::nexmark::{Nexmark, NexmarkConfig};
use generator::profile::{ProfileConfig, Schedule};
use generator::psm::{Catalogue, Psm, PsmConfig};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The file. Every key has a default; unknown keys are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Which site's events.
    pub benchmark: Benchmark,
    /// Seed of the stream.
    pub seed: u64,
    /// Event time of event 0.
    pub start_time: StartTime,
    /// First event number to write.
    pub from_event: u64,
    /// So many event numbers from there, then the end; absent: the profile's end.
    pub events: Option<u64>,
    /// Kinds to write; absent: all of the benchmark.
    pub streams: Option<Vec<String>>,
    /// Which part of the partitions to write, where several producers share a run.
    pub shard: Shard,
    /// Do not wait for the schedule.
    pub as_fast_as_possible: bool,
    /// The auction site.
    pub nexmark: NexmarkConfig,
    /// The price-comparison site.
    pub psm: PsmConfig,
    /// Which event is due when.
    pub profile: ProfileConfig,
    /// The Kafka client.
    pub kafka: KafkaSection,
    /// The line a second and the metrics page.
    pub report: ReportSection,
}

/// Which site's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Benchmark {
    /// The auction site.
    #[default]
    Nexmark,
    /// The price-comparison site (product search).
    Psm,
}

/// `[kafka]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSection {
    /// Brokers to connect to first.
    pub bootstrap_servers: String,
    /// Who must have a record before it counts as acknowledged: `all`, `1` or `0`.
    pub acks: String,
    /// `none`, `lz4`, `gzip` or `snappy`.
    pub compression: String,
    /// How long a batch may wait for more records, ms.
    pub linger_ms: u64,
    /// No duplicates and no change of order by retries.
    pub idempotence: bool,
    /// Most records emitted and not yet acknowledged.
    pub max_in_flight: u64,
    /// Most bytes emitted and not yet sent, KiB.
    pub queue_kib: u64,
    /// A record that is not acknowledged by then has failed, ms.
    pub delivery_timeout_ms: u64,
    /// How long to try to reach a broker at the start, ms.
    pub connect_timeout_ms: u64,
    /// How long to wait for acknowledgements at the end, ms.
    pub flush_timeout_ms: u64,
    /// Further settings of librdkafka, by their own names.
    pub properties: BTreeMap<String, String>,
}

/// `[report]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSection {
    /// Time between two lines, ms.
    pub interval_ms: u64,
    /// Address of the metrics page; absent: none.
    pub listen: Option<String>,
}

/// One of several producers that share a run: it writes the partitions whose number modulo `of` is `index`, so that the
/// order within a partition stays that of one producer. Written `index/of`, from `0/of` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, from 0.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Default for Shard {
    fn default() -> Self {
        Shard { index: 0, of: 1 }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((index, of)) if index < of => Ok(Shard { index, of }),
            _ => Err(format!("{text:?} is not INDEX/COUNT with INDEX below COUNT, for example 0/2")),
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        format!("{}/{}", shard.index, shard.of)
    }
}

/// Event time of event 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "StartTimeText", into = "StartTimeText")]
pub enum StartTime {
    /// When the producer starts.
    #[default]
    Now,
    /// Milliseconds since the epoch.
    At(i64),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StartTimeText {
    Word(String),
    Number(i64),
}

impl FromStr for StartTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(StartTime::Now),
            number => {
                let parsed =
                    number.parse().map_err(|_| format!("{text:?} is neither \"now\" nor milliseconds"))?;
                StartTime::at(parsed)
            }
        }
    }
}

impl StartTime {
    /// Years 1970 to 9999; Kafka refuses negative timestamps.
    fn at(ms: i64) -> Result<Self, String> {
        const LAST_MS: i64 = 253_402_300_799_999;
        if (0..=LAST_MS).contains(&ms) {
            return Ok(StartTime::At(ms));
        }
        Err(format!("{ms} ms is not between 0 and {LAST_MS}"))
    }
}

impl TryFrom<StartTimeText> for StartTime {
    type Error = String;

    fn try_from(text: StartTimeText) -> Result<Self, String> {
        match text {
            StartTimeText::Word(word) => word.parse(),
            StartTimeText::Number(ms) => StartTime::at(ms),
        }
    }
}

impl From<StartTime> for StartTimeText {
    fn from(time: StartTime) -> Self {
        match time {
            StartTime::Now => StartTimeText::Word("now".to_owned()),
            StartTime::At(ms) => StartTimeText::Number(ms),
        }
    }
}

impl Default for ConfigFile {
    fn default() -> Self {
        ConfigFile {
            benchmark: Benchmark::Nexmark,
            seed: 1,
            start_time: StartTime::Now,
            from_event: 0,
            events: None,
            streams: None,
            shard: Shard::default(),
            as_fast_as_possible: false,
            nexmark: NexmarkConfig::default(),
            psm: PsmConfig::default(),
            profile: ProfileConfig::Constant { rate: 1_000.0, duration_s: None },
            kafka: KafkaSection::default(),
            report: ReportSection::default(),
        }
    }
}

impl Default for KafkaSection {
    fn default() -> Self {
        KafkaSection {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            acks: "all".to_owned(),
            compression: "lz4".to_owned(),
            linger_ms: 5,
            idempotence: true,
            max_in_flight: 500_000,
            queue_kib: 256 * 1024,
            delivery_timeout_ms: 120_000,
            connect_timeout_ms: 15_000,
            flush_timeout_ms: 30_000,
            properties: BTreeMap::new(),
        }
    }
}

impl Default for ReportSection {
    fn default() -> Self {
        ReportSection { interval_ms: 1_000, listen: None }
    }
}

/// The checked configuration of a run.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) generator: Generator,
    pub(crate) schedule: Schedule,
    pub(crate) start_time: StartTime,
    pub(crate) from_event: u64,
    pub(crate) events: Option<u64>,
    pub(crate) streams: Vec<Kind>,
    pub(crate) shard: Shard,
    pub(crate) as_fast_as_possible: bool,
    pub(crate) kafka: KafkaSection,
    pub(crate) report_interval: Duration,
    pub(crate) listen: Option<SocketAddr>,
    /// As one line, for the log.
    pub(crate) effective: String,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, or has unknown keys or values of the wrong type.
    pub fn load(path: &Path) -> Result<ConfigFile, Failure> {
        let read = || {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("could not read {}", path.display()))?;
            toml::from_str(&text).with_context(|| format!("could not use {}", path.display()))
        };
        read().map_err(Failure::Config)
    }

    /// Checks all values together.
    ///
    /// # Errors
    /// The first key whose value cannot be used, and what would be right.
    pub fn check(&self) -> anyhow::Result<Config> {
        let generator = self.generator()?;
        let streams = self.checked_streams(generator.kinds())?;
        self.kafka.check()?;
        ensure!(self.events != Some(0), "events: 0 events are nothing to do; leave the key out for no bound");
        let end = self.from_event.saturating_add(self.events.unwrap_or(0));
        ensure!(end < 1 << 53, "from_event: {} and events go beyond event number 2^53", self.from_event);
        ensure!(
            (10..=3_600_000).contains(&self.report.interval_ms),
            "report.interval_ms: {} is not between 10 and 3600000",
            self.report.interval_ms
        );
        let address = |text: &String| {
            text.parse::<SocketAddr>().with_context(|| {
                format!("report.listen: {text:?} is not ADDRESS:PORT, for example 127.0.0.1:9464")
            })
        };
        Ok(Config {
            generator,
            schedule: self.schedule()?,
            start_time: self.start_time,
            from_event: self.from_event,
            events: self.events.map(|_| end),
            streams,
            shard: self.shard,
            as_fast_as_possible: self.as_fast_as_possible,
            kafka: self.kafka.clone(),
            report_interval: Duration::from_millis(self.report.interval_ms),
            listen: self.report.listen.as_ref().map(address).transpose()?,
            effective: self.masked(),
        })
    }

    /// The generator, with its catalogue read or made.
    ///
    /// # Errors
    /// The first key, or line of the catalogue, that cannot be used.
    pub(crate) fn generator(&self) -> anyhow::Result<Generator> {
        match self.benchmark {
            Benchmark::Nexmark => Ok(Nexmark::new(self.nexmark.check()?, self.seed).into()),
            Benchmark::Psm => {
                let settings = self.psm.check()?;
                let catalogue = match &self.psm.catalogue {
                    None => self.psm.made_catalogue(self.seed),
                    Some(path) => {
                        let text = read_text("psm.catalogue", path)?;
                        Catalogue::parse(&text)
                            .with_context(|| format!("psm.catalogue: {}", path.display()))?
                    }
                };
                Ok(Psm::new(settings, self.seed, catalogue).into())
            }
        }
    }

    /// The schedule, with its trace read.
    ///
    /// # Errors
    /// The first key, or line of the trace, that cannot be used.
    pub(crate) fn schedule(&self) -> anyhow::Result<Schedule> {
        let Some(path) = self.profile.trace_file() else { return Ok(self.profile.check()?) };
        let text = read_text("profile.file", path)?;
        let steps = self.profile.clone().with_trace(&text);
        Ok(steps.with_context(|| format!("profile.file: {}", path.display()))?.check()?)
    }

    pub(crate) fn checked_streams(&self, known: &[Kind]) -> anyhow::Result<Vec<Kind>> {
        let Some(names) = &self.streams else { return Ok(known.to_vec()) };
        let mut kinds = Vec::new();
        for name in names {
            let Some(kind) = known.iter().copied().find(|kind| kind.name() == name) else {
                let known: Vec<&str> = known.iter().map(|kind| kind.name()).collect();
                bail!("streams: {name:?} is not one of {}", known.join(", "));
            };
            ensure!(!kinds.contains(&kind), "streams: {name:?} is named twice");
            kinds.push(kind);
        }
        ensure!(!kinds.is_empty(), "streams: no stream is named; leave the key out to write all");
        Ok(kinds)
    }

    /// The whole configuration as JSON, without the values of properties that may be secrets.
    fn masked(&self) -> String {
        let mut shown = self.clone();
        for (key, value) in &mut shown.kafka.properties {
            if ["password", "secret", "key", "token", "jaas"].iter().any(|word| key.contains(word)) {
                "(hidden)".clone_into(value);
            }
        }
        serde_json::to_string(&shown).unwrap_or_else(|error| format!("not printable: {error}"))
    }
}

/// Reads a text file that a key names. Bounded, because all of it is kept in memory.
fn read_text(key: &str, path: &Path) -> anyhow::Result<String> {
    const LARGEST_BYTES: u64 = 1 << 30;
    let name = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("{key}: could not read {name}"))?.len();
    ensure!(size <= LARGEST_BYTES, "{key}: {name} has {size} bytes, more than {LARGEST_BYTES}");
    std::fs::read_to_string(path).with_context(|| format!("{key}: could not read {name}"))
}

impl KafkaSection {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.bootstrap_servers.trim().is_empty(), "kafka.bootstrap_servers: empty; give host:port");
        let one_of = |key: &str, value: &str, known: &[&str]| {
            ensure!(known.contains(&value), "kafka.{key}: {value:?} is not one of {}", known.join(", "));
            Ok(())
        };
        one_of("acks", &self.acks, &["all", "1", "0"])?;
        one_of("compression", &self.compression, &["none", "lz4", "gzip", "snappy"])?;
        ensure!(
            !self.idempotence || self.acks == "all",
            "kafka.acks: {:?} with idempotence; idempotence needs \"all\"",
            self.acks
        );
        let ranges = [
            ("linger_ms", self.linger_ms, 0, 60_000),
            ("max_in_flight", self.max_in_flight, 1, 10_000_000),
            ("queue_kib", self.queue_kib, 1, 2_097_151),
            ("delivery_timeout_ms", self.delivery_timeout_ms, self.linger_ms + 1, 3_600_000),
            ("connect_timeout_ms", self.connect_timeout_ms, 1, 3_600_000),
            ("flush_timeout_ms", self.flush_timeout_ms, 1, 3_600_000),
        ];
        for (key, value, from, to) in ranges {
            ensure!((from..=to).contains(&value), "kafka.{key}: {value} is not between {from} and {to}");
        }
        Ok(())
    }
}
