//! The probe's current state, shown by its pages: the newest sample of each source, and counters.
//!
//! A source whose newest sample failed has no values here, whatever the one before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::config::SourceConfig;
use crate::host::HostMetrics;
use crate::sample::{Kind, Sample};

/// State of one source.
#[derive(Debug, Clone)]
pub(crate) struct SourceStatus {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) job: String,
    /// The newest result; `None` before the first.
    pub(crate) newest: Option<(Instant, Result<Sample, String>)>,
    /// Number of successful samples.
    pub(crate) samples: u64,
    /// Number of failed samples.
    pub(crate) failures: u64,
}

/// Counters of lines for carbon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GraphiteCounts {
    pub(crate) is_connected: bool,
    pub(crate) buffered: usize,
    pub(crate) sent: u64,
    /// Lines dropped because the buffer was full.
    pub(crate) dropped: u64,
}

#[derive(Debug, Default)]
struct Inner {
    sources: Vec<SourceStatus>,
    host: Option<HostMetrics>,
    graphite: Option<GraphiteCounts>,
    lines_dropped: u64,
}

/// State shared by all tasks.
#[derive(Debug)]
pub(crate) struct ProbeState {
    inner: Mutex<Inner>,
}

/// A source on the page `/samples`.
#[derive(Debug, Serialize)]
pub(crate) struct SourceView {
    name: String,
    source: Kind,
    job: String,
    /// Age of the newest result, in milliseconds; `null` before the first.
    age_ms: Option<u64>,
    /// The sample; `null` if it failed.
    sample: Option<Sample>,
    /// The error, if it failed.
    error: Option<String>,
}

impl ProbeState {
    pub(crate) fn new(sources: &[SourceConfig]) -> Self {
        let status = |source: &SourceConfig| SourceStatus {
            name: source.name.clone(),
            kind: source.target.kind(),
            job: source.job.clone(),
            newest: None,
            samples: 0,
            failures: 0,
        };
        let sources = sources.iter().map(status).collect();
        Self { inner: Mutex::new(Inner { sources, ..Inner::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a result; returns the previous one.
    pub(crate) fn note(&self, name: &str, result: Result<Sample, String>) -> Option<Result<Sample, String>> {
        let mut inner = self.lock();
        let status = inner.sources.iter_mut().find(|status| status.name == name)?;
        *(if result.is_ok() { &mut status.samples } else { &mut status.failures }) += 1;
        status.newest.replace((Instant::now(), result)).map(|(_, before)| before)
    }

    pub(crate) fn note_host(&self, figures: HostMetrics) {
        self.lock().host = Some(figures);
    }

    pub(crate) fn note_graphite(&self, counts: GraphiteCounts) {
        self.lock().graphite = Some(counts);
    }

    /// Counts a dropped line of JSON; returns the previous count.
    pub(crate) fn note_dropped_line(&self) -> u64 {
        let mut inner = self.lock();
        inner.lines_dropped += 1;
        inner.lines_dropped - 1
    }

    pub(crate) fn sources(&self) -> Vec<SourceStatus> {
        self.lock().sources.clone()
    }

    pub(crate) fn host(&self) -> Option<HostMetrics> {
        self.lock().host.clone()
    }

    pub(crate) fn graphite(&self) -> Option<GraphiteCounts> {
        self.lock().graphite
    }

    pub(crate) fn lines_dropped(&self) -> u64 {
        self.lock().lines_dropped
    }

    pub(crate) fn source_views(&self) -> Vec<SourceView> {
        self.sources().into_iter().map(SourceView::from).collect()
    }
}

impl From<SourceStatus> for SourceView {
    fn from(status: SourceStatus) -> Self {
        let age = status.newest.as_ref().map(|(at, _)| at.elapsed());
        let (sample, error) = match status.newest {
            Some((_, Ok(sample))) => (Some(sample), None),
            Some((_, Err(reason))) => (None, Some(reason)),
            None => (None, None),
        };
        Self {
            name: status.name,
            source: status.kind,
            job: status.job,
            age_ms: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            sample,
            error,
        }
    }
}
