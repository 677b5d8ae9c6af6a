//! The probe's current state, shown by its pages: the newest sample of each source, and counters.
//!
//! A source whose newest sample failed has no values here, whatever the one before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::config::SourceConfig;
use crate::host::HostFigures;
use crate::sample::{Kind, Sample};

/// State of one source.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
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
    standings: Vec<Standing>,
    host: Option<HostFigures>,
    graphite: Option<GraphiteCounts>,
    lines_dropped: u64,
}

/// State shared by all tasks.
#[derive(Debug)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
}

/// A source on the page `/samples`.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
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

impl Board {
    pub(crate) fn new(sources: &[SourceConfig]) -> Self {
        let standing = |source: &SourceConfig| Standing {
            name: source.name.clone(),
            kind: source.what.kind(),
            job: source.job.clone(),
            newest: None,
            samples: 0,
            failures: 0,
        };
        let standings = sources.iter().map(standing).collect();
        Self { inner: Mutex::new(Inner { standings, ..Inner::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a result; returns the previous one.
    pub(crate) fn note(&self, name: &str, look: Result<Sample, String>) -> Option<Result<Sample, String>> {
        let mut inner = self.lock();
        let standing = inner.standings.iter_mut().find(|standing| standing.name == name)?;
        *(if look.is_ok() { &mut standing.samples } else { &mut standing.failures }) += 1;
        standing.newest.replace((Instant::now(), look)).map(|(_, before)| before)
    }

    pub(crate) fn note_host(&self, figures: HostFigures) {
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

    pub(crate) fn standings(&self) -> Vec<Standing> {
        self.lock().standings.clone()
    }

    pub(crate) fn host(&self) -> Option<HostFigures> {
        self.lock().host.clone()
    }

    pub(crate) fn graphite(&self) -> Option<GraphiteCounts> {
        self.lock().graphite
    }

    pub(crate) fn lines_dropped(&self) -> u64 {
        self.lock().lines_dropped
    }

    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.standings().into_iter().map(Shown::from).collect()
    }
}

impl From<Standing> for Shown {
    fn from(standing: Standing) -> Self {
        let age = standing.newest.as_ref().map(|(at, _)| at.elapsed());
        let (sample, error) = match standing.newest {
            Some((_, Ok(sample))) => (Some(sample), None),
            Some((_, Err(reason))) => (None, Some(reason)),
            None => (None, None),
        };
        Self {
            name: standing.name,
            source: standing.kind,
            job: standing.job,
            age_ms: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            sample,
            error,
        }
    }
}
