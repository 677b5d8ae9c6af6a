//! A metric source, independent of its backend.

use crate::clock::Clock;
use crate::error::{SampleError, StoreError};
use crate::flink_rest::{FlinkCluster, FlinkRest};
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

/// Start of the job's current execution by this machine's clock, as first reported.
///
/// Every sample reports the start again, with an error of the response time. Comparing them would show a new start in every sample.
#[derive(Debug, Default)]
struct ExecutionStart(Option<(Incarnation, i64)>);

impl ExecutionStart {
    /// Returns the first reported start of this incarnation, in milliseconds since the Unix epoch.
    fn first_seen_ms(&mut self, incarnation: &Incarnation, reported_ms: i64) -> i64 {
        match &self.0 {
            Some((known, first_ms)) if known == incarnation => *first_ms,
            _ => self.0.insert((incarnation.clone(), reported_ms)).1,
        }
    }
}

impl MetricSource {
    /// Flink's own REST interface.
    pub fn flink_rest(client: flink::Client, job: &str) -> Self {
        Self::from(Backend::FlinkRest(Box::new(FlinkRest::new(client, job))))
    }

    /// The same for one of several jobs of a cluster that are sampled side by side.
    pub fn flink_rest_of(cluster: FlinkCluster, job: &str) -> Self {
        Self::from(Backend::FlinkRest(Box::new(FlinkRest::of(cluster, job))))
    }

    /// A store that Flink's reporters write to. With a client the graph and the job's life come from Flink's REST interface and
    /// only the metrics from the store; without it everything comes from the names of the series.
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

    /// Its kind, as configured: `flink-rest`, or the store's.
    pub fn name(&self) -> &'static str {
        match &self.inner {
            Backend::FlinkRest(_) => "flink-rest",
            Backend::Store(store) => store.kind(),
        }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// See [`SampleError`]; a part of a sample is not returned.
    pub async fn sample(&mut self) -> Result<Sample, SampleError> {
        let sample = match &mut self.inner {
            Backend::FlinkRest(rest) => rest.sample().await,
            Backend::Store(store) => store.sample().await,
        }?;
        Ok(self.since_first_seen(sample))
    }

    /// Reads what a snapshot needs between the first and the last sample of its epoch: operators whose figures are differences of counters
    /// are left out ([`Vertex::is_left_out`](crate::Vertex::is_left_out)). A store is read as a whole, with one query.
    ///
    /// # Errors
    /// As [`MetricSource::sample`].
    pub async fn sample_between(&mut self) -> Result<Sample, SampleError> {
        let sample = match &mut self.inner {
            Backend::FlinkRest(rest) => rest.sample_between().await,
            Backend::Store(store) => store.sample().await,
        }?;
        Ok(self.since_first_seen(sample))
    }

    fn since_first_seen(&mut self, mut sample: Sample) -> Sample {
        let reported_ms = sample.job.running_since_ms;
        sample.job.running_since_ms =
            reported_ms.map(|reported_ms| self.beginning.first_seen_ms(&sample.incarnation, reported_ms));
        sample
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

    /// Goal: the start of an execution stays as first reported; another execution has another start.
    #[test]
    fn a_life_begins_once() {
        let life = |running_since_ms| Incarnation { job_id: "a".to_owned(), running_since_ms };
        let mut beginning = ExecutionStart::default();
        let reported = [(1, 673), (1, 674), (1, 671), (2, 5000), (2, 4999), (1, 672)];
        let kept = reported.map(|(started_ms, at_ms)| beginning.first_seen_ms(&life(started_ms), at_ms));
        assert_eq!(kept, [673, 673, 673, 5000, 5000, 672]);
    }
}
