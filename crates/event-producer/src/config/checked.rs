//! The checked form that everything else uses: ranges together, files read, the generator and the schedule made.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use events::Kind;
use generator::Generator;
use generator::nexmark::Nexmark;
use generator::profile::Schedule;
use generator::psm::{Catalogue, Psm};

use secrets::is_secret_key;
use service::settings::{COMMAND_LINE, ConfigError, Problems, refusal};

use crate::real_time::RealTime;

use super::file::{Benchmark, ConfigFile, KafkaSection};
use super::values::{Shard, StartTime};

/// The largest catalogue that is read, in bytes: 2^24 products of 64 bytes each.
const CATALOGUE_BYTES: u64 = 1 << 30;
/// The largest trace that is read, in bytes: a year in minutes has some 10 MB.
const TRACE_BYTES: u64 = 64 << 20;

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
    /// As one line, for the log at level `debug`.
    pub(crate) effective: String,
}

impl ConfigFile {
    /// Checks all values together.
    ///
    /// # Errors
    /// Every key whose value cannot be used, and what would be right.
    pub fn check(&self) -> Result<Config, ConfigError> {
        self.check_with(Problems::new(COMMAND_LINE))
    }

    /// Works like [`ConfigFile::check`], and adds to these problems.
    ///
    /// # Errors
    /// As [`ConfigFile::check`].
    pub fn check_with(&self, mut problems: Problems) -> Result<Config, ConfigError> {
        let generator = note(&mut problems, self.generator());
        let kinds = generator.as_ref().map(Generator::kinds);
        let streams = kinds.and_then(|kinds| note(&mut problems, self.checked_streams(kinds)));
        let schedule = note(&mut problems, self.schedule());
        let listen = note(&mut problems, self.listen());
        problems.extend(self.kafka.problems());
        let remedy = "would write nothing; remove the key for no limit";
        problems.check(self.events != Some(0), "events", 0, remedy);
        let end = self.from_event.saturating_add(self.events.unwrap_or(0));
        let remedy = "plus events exceeds event number 2^53; give a lower number";
        problems.check(end < 1 << 53, "from_event", self.from_event, remedy);
        problems.range("report.interval_ms", self.report.interval_ms, 10..=3_600_000);
        let all = generator.zip(streams).zip(schedule).zip(listen);
        problems.finish(all.map(|(((generator, streams), schedule), listen)| Config {
            generator,
            schedule,
            start_time: self.start_time,
            from_event: self.from_event,
            events: self.events.map(|_| end),
            streams,
            shard: self.shard,
            as_fast_as_possible: self.as_fast_as_possible,
            real_time: if self.as_fast_as_possible { RealTime::Off } else { self.real_time },
            kafka: self.kafka.clone(),
            report_interval: Duration::from_millis(self.report.interval_ms),
            listen,
            effective: self.masked(),
        }))
    }

    fn listen(&self) -> Result<Option<SocketAddr>, Vec<String>> {
        let Some(text) = &self.report.listen else { return Ok(None) };
        let remedy = "write it as ADDRESS:PORT, for example 127.0.0.1:9464";
        text.parse().map(Some).map_err(|_| vec![refusal("report.listen", format!("{text:?}"), remedy)])
    }

    /// The generator, with its catalogue read or made.
    fn generator(&self) -> Result<Generator, Vec<String>> {
        match self.benchmark {
            Benchmark::Nexmark => {
                Ok(Nexmark::new(self.nexmark.check_all().map_err(messages)?, self.seed).into())
            }
            Benchmark::Psm => {
                let settings = self.psm.check_all().map_err(messages);
                // A catalogue that is made of settings that cannot be used would be one more problem, and no other one.
                let catalogue = match &self.psm.catalogue {
                    None => settings.clone().map(|_| self.psm.made_catalogue(self.seed)),
                    Some(path) => read_catalogue(path).map_err(|problem| vec![problem]),
                };
                match (settings, catalogue) {
                    (Ok(settings), Ok(catalogue)) => Ok(Psm::new(settings, self.seed, catalogue).into()),
                    (Err(mut problems), Err(more)) if self.psm.catalogue.is_some() => {
                        problems.extend(more);
                        Err(problems)
                    }
                    (Err(problems), _) | (_, Err(problems)) => Err(problems),
                }
            }
        }
    }

    /// The schedule, with its trace read.
    fn schedule(&self) -> Result<Schedule, Vec<String>> {
        let Some(path) = self.profile.trace_file() else {
            return self.profile.check_all().map_err(messages);
        };
        let named = |problem: String| vec![format!("profile.file: {}: {problem}", path.display())];
        let text = read_text("profile.file", path, TRACE_BYTES).map_err(|problem| vec![problem])?;
        let steps = self.profile.clone().with_trace(&text).map_err(|error| named(error.to_string()))?;
        steps.check_all().map_err(messages)
    }

    fn checked_streams(&self, known: &[Kind]) -> Result<Vec<Kind>, Vec<String>> {
        let Some(names) = &self.streams else { return Ok(known.to_vec()) };
        let (mut kinds, mut problems) = (Vec::new(), Vec::new());
        for name in names {
            match known.iter().copied().find(|kind| kind.name() == name) {
                Some(kind) if kinds.contains(&kind) => {
                    problems.push(format!("streams: {name:?} is named twice"))
                }
                Some(kind) => kinds.push(kind),
                None => {
                    let known: Vec<&str> = known.iter().map(|kind| kind.name()).collect();
                    problems.push(format!("streams: {name:?} is not one of {}", known.join(", ")));
                }
            }
        }
        if names.is_empty() {
            problems.push("streams: empty; remove the key to write all".to_owned());
        }
        if problems.is_empty() { Ok(kinds) } else { Err(problems) }
    }

    /// The whole configuration as JSON, without the values of properties that may be secrets.
    fn masked(&self) -> String {
        let json = serde_json::to_value(self).and_then(|mut shown| {
            // A property is a secret until its key says otherwise.
            for (key, value) in self.kafka.properties.0.iter().filter(|(key, _)| !is_secret_key(key)) {
                if let Some(text) = value.text() {
                    shown["kafka"]["properties"][key] = text.into();
                }
            }
            serde_json::to_string(&shown)
        });
        json.unwrap_or_else(|error| format!("not printable: {error}"))
    }
}

/// Records the problems of a part, and returns the part if it has none.
fn note<T>(problems: &mut Problems, checked: Result<T, Vec<String>>) -> Option<T> {
    checked.map_err(|of_part| problems.extend(of_part)).ok()
}

fn messages(problems: Vec<generator::ConfigError>) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn read_catalogue(path: &Path) -> Result<Catalogue, String> {
    let text = read_text("psm.catalogue", path, CATALOGUE_BYTES)?;
    Catalogue::parse(&text).map_err(|error| format!("psm.catalogue: {}: {error}", path.display()))
}

/// Reads a text file that a key names. Bounded, because all of it is kept in memory.
fn read_text(key: &str, path: &Path, limit_bytes: u64) -> Result<String, String> {
    files::read_text(path, limit_bytes)
        .map_err(|error| format!("{key}: could not read {}: {error}", path.display()))
}
