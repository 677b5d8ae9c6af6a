//! The agent's interface to the outside: clock, random numbers, Flink with its nodes, and the document source.
//!
//! The agent itself ([`crate::Agent`], `document_source`, `reports`, `retention`) reaches all of it through this trait, so that the
//! same code also runs in virtual time in a simulation. The journal is separate: [`crate::JournalStore`].

use std::time::Duration;

use drop_client::{Reported, SourceAnswer};
use flink::JobId;
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Observed, Report};

use crate::cluster::EffectError;
use crate::machine::{Effect, Observation, Query};

/// All calls of the agent to the outside. Every call is safe to drop at any point.
pub trait Environment: Send + Sync {
    /// Returns the wall-clock time.
    fn now(&self) -> Timestamp;

    /// Returns the time since an arbitrary moment; monotonic.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Returns a random number in `0..=1`.
    fn chance(&self) -> f64;

    /// Answers a query about the job.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn observe(&self, query: &Query) -> impl Future<Output = Result<Observation, flink::Error>> + Send;

    /// Applies an effect to Flink or a node, for this document.
    ///
    /// # Errors
    /// See [`EffectError`].
    fn act(
        &self,
        document: &JobDocument,
        effect: &Effect,
    ) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// Returns the job's vertices and rescales, for the final report of a change accepted at `since`.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn observed(
        &self,
        job: &JobId,
        since: Timestamp,
    ) -> impl Future<Output = Result<Observed, flink::Error>> + Send;

    /// Returns the unfinished jobs of the configured name.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn alive(&self) -> impl Future<Output = Result<Vec<JobId>, flink::Error>> + Send;

    /// Cancels a job without a savepoint.
    ///
    /// # Errors
    /// Any [`flink::Error`].
    fn cancel(&self, job: &JobId) -> impl Future<Output = Result<(), flink::Error>> + Send;

    /// Asks Flink to delete a savepoint, with the timeout of a stop.
    ///
    /// # Errors
    /// The reason, for people.
    fn dispose(&self, path: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Returns whether the document source supports long polling.
    fn holds_back(&self) -> bool;

    /// Fetches the newest document, unless its entity tag is `known`, and the freshness statement about it.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn fetch(
        &self,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> impl Future<Output = Result<SourceAnswer, drop_client::Error>> + Send;

    /// Returns the stored reports about the job; empty where the source takes no reports.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn reports(&self) -> impl Future<Output = Result<Vec<Report>, drop_client::Error>> + Send;

    /// Returns an earlier document, if the source still has it.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn revision(
        &self,
        generation: u64,
    ) -> impl Future<Output = Result<Option<JobDocument>, drop_client::Error>> + Send;

    /// Returns whether the document source takes reports.
    fn takes_reports(&self) -> bool;

    /// Delivers a report, if the source takes reports.
    ///
    /// # Errors
    /// Any [`drop_client::Error`].
    fn report(&self, report: &Report) -> impl Future<Output = Result<Reported, drop_client::Error>> + Send;
}

/// Returns the answer, or `None` at the timeout.
pub(crate) async fn within<S: Environment, T>(
    env: &S,
    limit: Duration,
    answer: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = env.sleep(limit) => None,
    }
}
