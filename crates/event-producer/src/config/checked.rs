//! The checked form that everything else uses: ranges together, files read, the generator and the schedule made.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use events::Kind;
use generator::Generator;
use generator::nexmark::Nexmark;
use generator::profile::Schedule;
use generator::psm::{Catalogue, Psm};

use crate::real_time::RealTime;

use super::values::{Shard, StartTime};
use super::written::{Benchmark, ConfigFile, KafkaSection};

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
    /// Off if as fast as possible: there is no schedule to keep, and a thread that never sleeps would keep the others waiting.
    pub(crate) real_time: RealTime,
    pub(crate) kafka: KafkaSection,
    pub(crate) report_interval: Duration,
    pub(crate) listen: Option<SocketAddr>,
    /// As one line, for the log.
    pub(crate) effective: String,
}

impl ConfigFile {
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
            real_time: if self.as_fast_as_possible { RealTime::Off } else { self.real_time },
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
