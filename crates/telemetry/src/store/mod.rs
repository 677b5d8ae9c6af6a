//! Metric stores that Flink's reporters write to.
//!
//! A store returns the newest points of all series that a pattern matches, and [`crate::series`] builds a sample from them.

#[cfg(any(test, fuzzing))]
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "the fuzz targets call it"))]
pub mod any_answer;
mod graphite;
pub(crate) mod labels;
mod points;
mod prometheus;
mod whisper_folder;

use std::fmt::Debug;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use http_client::Access;
use secrets::{Address, HttpUrl};
use tracing::debug;

use crate::clock::Clock;
use crate::error::{SampleError, StoreError};
use crate::flink_rest::FlinkRest;
use crate::http::{Bounds, Http};
use crate::mapping::{Mapping, MappingSettings, Subject};
use crate::sample::Sample;
use crate::series::{Assembler, MatchedSeries, SeriesRules, Structure};

use graphite::Graphite;
use prometheus::Prometheus;
use whisper_folder::WhisperFolder;

/// Kind and address of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// A folder of Whisper files, as carbon writes them.
    Whisper {
        /// The folder, `…/whisper`.
        folder: PathBuf,
    },
    /// Graphite's render interface.
    Graphite {
        /// Where graphite-web listens.
        url: Address,
        /// What is asked for, in Graphite's language of paths and functions.
        targets: Vec<String>,
    },
    /// Prometheus' query interface.
    Prometheus {
        /// Where Prometheus listens.
        url: Address,
        /// What is asked for, as a selector: `{__name__=~"flink_.+"}`.
        selector: String,
    },
}

/// Settings of a store.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Which one.
    pub kind: StoreKind,
    /// How often it gets a new value of each series. Values older than two of these are unknown.
    pub interval: Duration,
    /// How far back is looked for subtasks that have fallen silent.
    pub lookback: Duration,
    /// The bounds of every question.
    pub bounds: Bounds,
    /// Login at the store and trusted certificates.
    pub access: Access,
    /// What the series are called.
    pub mapping: MappingSettings,
}

/// A store with the state for building samples.
#[derive(Debug)]
pub(crate) struct Store {
    reader: Box<dyn MetricStore>,
    mapping: Mapping,
    assembler: Assembler,
    graph: Option<FlinkRest>,
    clock: Clock,
    job: String,
    lookback: Duration,
}

/// Reader of one kind of store.
trait MetricStore: Debug + Send + Sync {
    /// Returns the name of the kind, as configured.
    fn kind(&self) -> &'static str;

    /// Returns where the store is, for messages.
    fn place(&self) -> String;

    /// Returns how to name the job that is meant, where several of its name write to the store.
    fn remedy_for_ambiguity(&self) -> &'static str;

    /// Reads the points of all series that a pattern knows, from `now_ms` (since the Unix epoch) back.
    ///
    /// # Errors
    /// The store did not answer, or not as expected.
    fn read<'a>(&'a mut self, mapping: &'a Mapping, now_ms: i64, lookback: Duration) -> Read<'a>;
}

/// A read in progress.
type Read<'a> = Pin<Box<dyn Future<Output = Result<Reading, StoreError>> + Send + 'a>>;

/// The series that were read, and those that could not be.
#[derive(Debug, Default)]
struct Reading {
    found: Vec<MatchedSeries>,
    gaps: Vec<Gap>,
}

/// Series that may exist and could not be read.
#[derive(Debug)]
struct Gap {
    /// Subject of the series; [`None`]: any.
    subject: Option<Subject>,
    error: StoreError,
}

impl Reading {
    /// Returns a reading without gaps.
    const fn whole(found: Vec<MatchedSeries>) -> Self {
        Self { found, gaps: Vec::new() }
    }
}

impl StoreSettings {
    /// Everything that is wrong with them, as `key: what would be right`.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = match Mapping::new(&self.mapping) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(|problem| format!("metrics.patterns: {problem}")).collect(),
        };
        if let StoreKind::Graphite { url, .. } | StoreKind::Prometheus { url, .. } = &self.kind
            && let Err(reason) = url.http()
        {
            problems.push(format!("source.url: {reason}"));
        }
        problems
    }
}

/// Returns the URL of a store and a client for it.
fn client(url: &Address, bounds: Bounds, access: &Access) -> Result<(HttpUrl, Http), StoreError> {
    let base = url.http().map_err(|reason| StoreError::Refused(format!("{url}: {reason}")))?;
    let http = Http::new(&base, bounds, access)?;
    Ok((base, http))
}

impl Store {
    /// A store for the job of that name, with Flink's REST interface for the graph if there is one to ask.
    pub(crate) fn new(
        settings: StoreSettings,
        job: &str,
        graph: Option<FlinkRest>,
    ) -> Result<Self, StoreError> {
        let mapping =
            Mapping::new(&settings.mapping).map_err(|problems| StoreError::Refused(problems.join("; ")))?;
        let reader: Box<dyn MetricStore> = match settings.kind {
            StoreKind::Whisper { folder } => Box::new(WhisperFolder::new(folder, settings.bounds)),
            StoreKind::Graphite { url, targets } => {
                let (base, http) = client(&url, settings.bounds, &settings.access)?;
                Box::new(Graphite { http, base, targets, bounds: settings.bounds })
            }
            StoreKind::Prometheus { url, selector } => {
                let (base, http) = client(&url, settings.bounds, &settings.access)?;
                Box::new(Prometheus { http, base, selector, bounds: settings.bounds })
            }
        };
        let interval_ms = i64::try_from(settings.interval.as_millis()).unwrap_or(i64::MAX / 4);
        let rules = SeriesRules { job: job.to_owned(), interval_ms };
        Ok(Self {
            reader,
            mapping,
            assembler: Assembler::new(rules),
            graph,
            clock: Clock::steady(),
            job: job.to_owned(),
            lookback: settings.lookback,
        })
    }

    /// The same with another clock.
    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { graph: self.graph.map(|graph| graph.with_clock(clock.clone())), clock, ..self }
    }

    /// The name of the kind of store.
    pub(crate) fn kind(&self) -> &'static str {
        self.reader.kind()
    }

    /// Reads everything once.
    pub(crate) async fn sample(&mut self) -> Result<Sample, SampleError> {
        let structure = match &self.graph {
            Some(graph) => Some(running(graph.structure().await?)?),
            None => None,
        };
        let now_ms = self.clock.now_ms();
        let store = self.reader.place();
        let found =
            self.read(now_ms).await.map_err(|source| SampleError::Store { store: store.clone(), source })?;
        let series = found.len();
        let sample = self.assembler.assemble(found, now_ms, structure).map_err(|jobs| {
            let remedy = self.reader.remedy_for_ambiguity();
            SampleError::Store { store: store.clone(), source: StoreError::Ambiguous { jobs, remedy } }
        })?;
        sample.ok_or_else(|| SampleError::NoMetrics {
            store,
            job: self.job.clone(),
            lookback_s: self.lookback.as_secs(),
            series,
        })
    }

    /// All series that a pattern knows.
    async fn read(&mut self, now_ms: i64) -> Result<Vec<MatchedSeries>, StoreError> {
        let Reading { found, gaps } = self.reader.read(&self.mapping, now_ms, self.lookback).await?;
        for Gap { subject, error } in gaps {
            // With the graph from Flink, a subtask without a series is unknown. Otherwise the job would look smaller than it is.
            let may_be_of_job = subject.is_none_or(|subject| {
                matches!(subject, Subject::Subtask { .. }) && self.assembler.is_of_job(&subject)
            });
            if self.graph.is_none() && may_be_of_job {
                return Err(error);
            }
            debug!("skipped: {error}");
        }
        Ok(found)
    }
}

/// Returns the graph if all tasks run.
fn running(
    (details, vertices): (flink::JobDetails, Vec<crate::sample::Vertex>),
) -> Result<Structure, SampleError> {
    if !details.is_fully_running() {
        return Err(SampleError::NotRunning { job: details.name.clone(), state: details.state });
    }
    Ok(Structure { details, vertices })
}
