//! The one thing that samples come from, whichever it is.

use crate::clock::Clock;
use crate::error::{SampleError, StoreError};
use crate::flink_rest::FlinkRest;
use crate::sample::{Incarnation, Sample};
use crate::store::{Store, StoreSettings};

/// A source of samples of one job.
#[derive(Debug)]
pub struct MetricSource {
    inner: Backend,
    beginning: ExecutionStart,
}

#[derive(Debug)]
enum Backend {
    FlinkRest(Box<FlinkRest>),
    Store(Box<Store>),
}

/// When the present life of the job began by this machine's clock, as it was told first.
///
/// Each sample tells it anew, and is off by the time that the answer took. Those who compare two beginnings would see a new start in
/// every sample.
#[derive(Debug, Default)]
struct ExecutionStart(Option<(Incarnation, i64)>);

impl ExecutionStart {
    /// Returns what was told first of this life, in milliseconds since the Unix epoch.
    fn first_seen_ms(&mut self, life: &Incarnation, told_ms: i64) -> i64 {
        match &self.0 {
            Some((known, first_ms)) if known == life => *first_ms,
            _ => self.0.insert((life.clone(), told_ms)).1,
        }
    }
}

impl MetricSource {
    /// Flink's own REST interface.
    pub fn flink_rest(client: flink::Client, job: &str) -> Self {
        Self::from(Backend::FlinkRest(Box::new(FlinkRest::new(client, job))))
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
        Ok(Self::from(Backend::Store(Box::new(Store::new(settings, job, graph)?))))
    }

    /// The same with another clock, for tests in virtual time.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self::from(match self.inner {
            Backend::FlinkRest(rest) => Backend::FlinkRest(Box::new(rest.with_clock(clock))),
            Backend::Store(store) => Backend::Store(Box::new(store.with_clock(clock))),
        })
    }

    /// Its kind, as configured: `flink-rest`, `whisper`, `graphite`, `prometheus`.
    pub fn name(&self) -> &'static str {
        match &self.inner {
            Backend::FlinkRest(_) => "flink-rest",
            Backend::Store(store) => store.kind(),
        }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// See [`SampleError`]; nothing of a sample that is not whole is returned.
    pub async fn sample(&mut self) -> Result<Sample, SampleError> {
        let mut sample = match &mut self.inner {
            Backend::FlinkRest(rest) => rest.sample().await,
            Backend::Store(store) => store.sample().await,
        }?;
        let told_ms = sample.job.running_since_ms;
        sample.job.running_since_ms =
            told_ms.map(|told_ms| self.beginning.first_seen_ms(&sample.incarnation, told_ms));
        Ok(sample)
    }
}

impl From<Backend> for MetricSource {
    fn from(inner: Backend) -> Self {
        Self { inner, beginning: ExecutionStart::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the beginning of a life stays what it was first told to be; another life has another one.
    #[test]
    fn a_life_begins_once() {
        let life = |running_since_ms| Incarnation { job_id: "a".to_owned(), running_since_ms };
        let mut beginning = ExecutionStart::default();
        let told = [(1, 673), (1, 674), (1, 671), (2, 5000), (2, 4999), (1, 672)];
        let kept = told.map(|(started_ms, told_ms)| beginning.first_seen_ms(&life(started_ms), told_ms));
        assert_eq!(kept, [673, 673, 673, 5000, 5000, 672]);
    }
}
