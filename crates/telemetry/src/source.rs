//! The one thing that samples come from, whichever it is.

use crate::clock::Clock;
use crate::error::{SampleError, StoreError};
use crate::flink_rest::FlinkRest;
use crate::sample::Sample;
use crate::store::{Store, StoreSettings};

/// A source of samples of one job.
#[derive(Debug)]
pub struct Source(Inner);

#[derive(Debug)]
enum Inner {
    FlinkRest(Box<FlinkRest>),
    Store(Box<Store>),
}

impl Source {
    /// Flink's own REST interface.
    pub fn flink_rest(client: flink::Client, job: &str) -> Self {
        Self(Inner::FlinkRest(Box::new(FlinkRest::new(client, job))))
    }

    /// A store that Flink's reporters write to. With a client the graph and the job's life come from Flink's REST interface and
    /// only the metrics from the store; without one the names of the series have to tell everything.
    ///
    /// # Errors
    /// [`StoreError`] if the settings cannot be used; [`StoreSettings::problems`] says so before.
    pub fn store(
        settings: StoreSettings,
        job: &str,
        graph: Option<flink::Client>,
    ) -> Result<Self, StoreError> {
        let graph = graph.map(|client| FlinkRest::new(client, job));
        Ok(Self(Inner::Store(Box::new(Store::new(settings, job, graph)?))))
    }

    /// The same with another clock, for tests in virtual time.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self(match self.0 {
            Inner::FlinkRest(rest) => Inner::FlinkRest(Box::new(rest.with_clock(clock))),
            Inner::Store(store) => Inner::Store(Box::new(store.with_clock(clock))),
        })
    }

    /// Its kind, as configured: `flink-rest`, `whisper`, `graphite`, `prometheus`.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Inner::FlinkRest(_) => "flink-rest",
            Inner::Store(store) => store.kind(),
        }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// See [`SampleError`]; nothing of a sample that is not whole is returned.
    pub async fn sample(&mut self) -> Result<Sample, SampleError> {
        match &mut self.0 {
            Inner::FlinkRest(rest) => rest.sample().await,
            Inner::Store(store) => store.sample().await,
        }
    }
}
