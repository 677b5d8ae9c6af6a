//! What surrounds the agent: a clock, chance, Flink with its nodes, and the place that documents come from.
//!
//! The agent itself ([`crate::Agent`], `intake`, `reports`, `idle`) reaches all of it through this interface, so that the code that runs
//! live also runs in virtual time over parties that are played. The journal is beside it: [`crate::Book`].

use std::time::Duration;

use drop_client::{Fetched, Reported};
use flink::JobId;
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Observed, Report};

use crate::cluster::EffectError;
use crate::machine::{Effect, Observation, Question};

/// Everything that the agent asks of others. A call may be given up at any moment.
pub trait Surroundings: Send + Sync {
    /// Returns the time of the day.
    fn now(&self) -> Timestamp;

    /// Returns the time since some moment before; it never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Returns a random number in `0..=1`.
    fn chance(&self) -> f64;

    /// Answers a question about the job.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn observe(&self, question: &Question) -> impl Future<Output = Result<Observation, flink::Error>> + Send;

    /// Asks an effect of Flink or of a node, for this document.
    ///
    /// # Errors
    /// See [`EffectError`].
    fn act(
        &self,
        document: &JobDocument,
        effect: &Effect,
    ) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// Returns what can be seen of this job, for the last report of a change that was accepted at `since`.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn observed(
        &self,
        job: &JobId,
        since: Timestamp,
    ) -> impl Future<Output = Result<Observed, flink::Error>> + Send;

    /// Returns the jobs of the name that have not ended.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn alive(&self) -> impl Future<Output = Result<Vec<JobId>, flink::Error>> + Send;

    /// Ends a job without a savepoint.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn cancel(&self, job: &JobId) -> impl Future<Output = Result<(), flink::Error>> + Send;

    /// Has Flink dispose of a savepoint, within the time that a stop may take.
    ///
    /// # Errors
    /// The reason, for people.
    fn dispose(&self, path: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Returns whether the place of the documents holds its answer back until there is something new.
    fn holds_back(&self) -> bool;

    /// Asks for the newest document, unless it is the one with the tag `known`.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn fetch(
        &self,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> impl Future<Output = Result<Fetched, drop_client::Error>> + Send;

    /// Returns the reports about the job that are kept; none where nobody takes reports.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn reports(&self) -> impl Future<Output = Result<Vec<Report>, drop_client::Error>> + Send;

    /// Returns an earlier document, where there is a history and it is still in it.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn edition(
        &self,
        generation: u64,
    ) -> impl Future<Output = Result<Option<JobDocument>, drop_client::Error>> + Send;

    /// Returns whether anybody takes reports.
    fn takes_reports(&self) -> bool;

    /// Delivers a report, where somebody takes reports.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn report(&self, report: &Report) -> impl Future<Output = Result<Reported, drop_client::Error>> + Send;
}

/// The answer, if it comes in time.
pub(crate) async fn within<S: Surroundings, T>(
    around: &S,
    limit: Duration,
    answer: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = around.sleep(limit) => None,
    }
}
