//! The agent's main loop: waits for a document, applies it, reports progress.

use std::time::Duration;

use drop_client::Current;
use jiff::Timestamp;
use job_config::{ChangeState, EntityTag, Observed};
use service::with_causes;
use thiserror::Error;

use crate::backoff::Backoff;
use crate::condition::Condition;
use crate::config::Config;
use crate::document_source::{DocumentSource, FetchOutcome, Rejections, SourceEvent};
use crate::environment::{Environment, within};
use crate::freshness::Moment;
use crate::journal_store::{JournalStore, JournalStoreError};
use crate::ledger::{Change, Entry, Ledger};
use crate::live::LiveEnvironment;
use crate::machine::{Attempt, NextStep, Observation, next, query, to_run};
use crate::phase::Phase;
use crate::phase_state::PhaseState;
use crate::reports;
use crate::retention;

/// A fatal error of the agent.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The journal is unusable; the agent does nothing without it.
    #[error("cannot use the journal")]
    Journal(#[from] JournalStoreError),
    /// Invalid drop URL.
    #[error("invalid drop.url")]
    Drop(#[source] drop_client::Error),
    /// The drop did not deliver a document, in a run that asks only once.
    #[error("could not fetch the document from the config drop")]
    NoDocument(#[source] drop_client::Error),
    /// Invalid Flink URL.
    #[error("invalid flink.url")]
    Flink(#[source] flink::Error),
    /// Flink did not answer, in a run that asks only once.
    #[error("request to Flink failed")]
    NoAnswer(#[source] flink::Error),
}

/// Result of a run that ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// The job of the newest document is running.
    Good,
    /// It is not running, or there is no document.
    Bad,
}

/// The agent of one job, by default in its [`LiveEnvironment`].
pub struct Agent<S = LiveEnvironment> {
    config: Config,
    journal: JournalStore,
    /// Admission of documents.
    document_source: DocumentSource,
    env: S,
    /// Whether reports can be delivered; logs changes.
    reports_condition: Condition,
    /// Whether Flink answers; logs changes.
    flink_condition: Condition,
}

impl Agent {
    /// Opens and locks the journal. Opens no connections yet.
    ///
    /// # Errors
    /// The journal is in use or damaged, or a URL is invalid.
    pub fn new(config: Config) -> Result<Self, AgentError> {
        let journal = JournalStore::open(&config.data, config.reports_kept)?;
        let live = LiveEnvironment::new(&config)?;
        Ok(Self::over(config, journal, live))
    }
}

impl<S: Environment> Agent<S> {
    /// Creates an agent over this journal and in this environment, for tests and the simulator.
    pub fn over(config: Config, journal: JournalStore, env: S) -> Self {
        Self {
            document_source: DocumentSource::new(&config),
            config,
            journal,
            env,
            reports_condition: Condition::new("the delivery of reports"),
            flink_condition: Condition::new("Flink"),
        }
    }

    /// The journal.
    pub fn journal(&self) -> &JournalStore {
        &self.journal
    }

    /// Closes the circuit breaker: new changes may start again.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn close_circuit_breaker(&self) -> Result<(), AgentError> {
        Ok(self.journal.write(Entry::FailuresForgiven).await?)
    }

    pub(crate) fn conditions(&self) -> [&Condition; 3] {
        [self.document_source.condition(), &self.reports_condition, &self.flink_condition]
    }

    /// Returns the counts of rejected documents and the current rejection.
    pub fn rejections(&self) -> Rejections {
        self.document_source.rejections()
    }

    /// Returns why nothing fresh has been heard from the publisher, if that is expected.
    pub(crate) fn freshness_problem(&self) -> Option<String> {
        self.document_source.freshness().problem(self.moment())
    }

    /// Returns the age of the newest proof of freshness, in seconds, if it is expected and there is any.
    pub(crate) fn freshness_age_s(&self) -> Option<i64> {
        self.document_source.freshness().age(self.moment()).map(|age| age.as_secs())
    }

    /// Whether something fresh is expected from the publisher.
    pub(crate) fn expects_freshness(&self) -> bool {
        self.document_source.freshness().is_expected()
    }

    fn moment(&self) -> Moment {
        Moment { now: self.env.now(), elapsed: self.env.elapsed() }
    }

    /// Applies documents until the future is dropped. Safe to drop at any point.
    pub async fn run(&self) -> Result<(), AgentError> {
        tokio::try_join!(self.run_changes(), self.deliver())?;
        Ok(())
    }

    /// Finishes the change in progress, applies the drop's current document and returns the outcome.
    pub async fn once(&self) -> Result<RunOutcome, AgentError> {
        let change = async {
            self.finish().await?;
            self.accept_current().await?;
            self.finish().await?;
            retention::dispose(&self.journal, &self.env, &self.config).await?;
            self.delivered().await;
            Ok::<_, AgentError>(())
        };
        tokio::select! {
            changed = change => changed?,
            delivered = self.deliver() => delivered?,
        }
        let ledger = self.journal.ledger();
        let ended = ledger.recovered().and_then(|recovered| recovered.ended);
        let runs = ledger.change().map_or(ended == Some(ChangeState::Running), |change| {
            matches!(change.phase, Phase::Running { .. })
        });
        Ok(if runs { RunOutcome::Good } else { RunOutcome::Bad })
    }

    /// Accepts the drop's current document if it is admissible.
    async fn accept_current(&self) -> Result<(), AgentError> {
        loop {
            let ledger = self.journal.ledger();
            let known = ledger.change().map(|change| change.entity_tag.clone());
            let seen = self.document_source.fetch(&self.env, &ledger, known.as_ref(), None).await;
            match seen.map_err(AgentError::NoDocument)? {
                FetchOutcome::New(current) => return self.accept(&current).await,
                // The next iteration fetches the same document again and finds it in the journal.
                FetchOutcome::Note(entry) => self.journal.write(entry).await?,
                FetchOutcome::Nothing if known.is_none() => {
                    tracing::warn!(job = %self.config.job, "the job has no document");
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
    }

    /// Logs the first step that [`Agent::once`] would take, without taking it.
    ///
    /// # Errors
    /// The drop or Flink did not answer.
    pub async fn dry_run(&self) -> Result<RunOutcome, AgentError> {
        let mut ledger = (*self.journal.ledger()).clone();
        if ledger.change().is_none_or(|change| change.phase.is_final()) {
            let mut seen = self.document_source.fetch(&self.env, &ledger, None, None).await;
            if let Ok(FetchOutcome::Note(entry)) = &seen {
                drop(ledger.apply(entry));
                seen = self.document_source.fetch(&self.env, &ledger, None, None).await;
            }
            let seen = seen.map_err(AgentError::NoDocument)?;
            let FetchOutcome::New(current) = seen else {
                tracing::info!("nothing to do: no newer applicable document");
                return Ok(RunOutcome::Good);
            };
            drop(ledger.apply(&accepted(&current, self.env.now())));
        }
        let Some(change) = ledger.change() else { return Ok(RunOutcome::Good) };
        let asked = query(change, ledger.history(), &self.config.rules);
        let seen = self.env.observe(&asked).await.map_err(AgentError::NoAnswer)?;
        let attempt = Attempt { now: self.env.now(), checked: true, ..Attempt::default() };
        let step = next(change, ledger.history(), &seen, &attempt, &self.config.rules);
        tracing::info!(generation = change.document.generation(), "{}; would {step}", change.phase);
        Ok(RunOutcome::Good)
    }

    async fn run_changes(&self) -> Result<(), AgentError> {
        loop {
            self.finish().await?;
            let ledger = self.journal.ledger();
            let taken = tokio::select! {
                biased;
                taken = self.document_source.next(&self.env, &ledger, self.backoff()) => taken,
                kept = retention::tidy(&self.journal, &self.env, &self.config) => return Ok(kept?),
            };
            match taken {
                SourceEvent::Document(current) => self.accept(&current).await?,
                SourceEvent::Note(entry) => self.journal.write(entry).await?,
            }
        }
    }

    async fn deliver(&self) -> Result<(), AgentError> {
        if !self.env.takes_reports() {
            return Ok(reports::log(&self.journal).await?);
        }
        Ok(reports::deliver(&self.journal, &self.env, self.backoff(), &self.reports_condition).await?)
    }

    /// Waits until all reports are delivered or the timeout expires.
    async fn delivered(&self) {
        let mut ledgers = self.journal.subscribe();
        let all = ledgers.wait_for(|ledger| ledger.undelivered() == 0);
        if within(&self.env, self.config.drop_settings.timeout, all).await.is_none() {
            tracing::warn!("some reports are undelivered; the next start delivers them");
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.config.retry_first, self.config.retry_longest)
    }

    /// Journals the document as accepted, which uses up its generation.
    async fn accept(&self, current: &Current) -> Result<(), AgentError> {
        let document = &current.document;
        tracing::info!(
            job = %document.job(), generation = document.generation(), reason = document.reason(), "accepted"
        );
        Ok(self.journal.write(accepted(current, self.env.now())).await?)
    }

    /// Runs the accepted change to its final phase.
    async fn finish(&self) -> Result<(), AgentError> {
        let mut phase_state = PhaseState::new(self.backoff(), self.env.now());
        loop {
            let ledger = self.journal.ledger();
            let Some(change) = ledger.change().filter(|change| !change.phase.is_final()) else {
                return Ok(());
            };
            let asked = query(change, ledger.history(), &self.config.rules);
            let pause = match self.env.observe(&asked).await {
                Ok(seen) => {
                    self.flink_condition.succeeded();
                    phase_state.flink_answered(self.env.now(), self.env.elapsed());
                    self.step(&ledger, change, &seen, &mut phase_state).await?
                }
                Err(error) => {
                    self.flink_condition.bad(&error);
                    phase_state.flink_failed(self.env.chance())
                }
            };
            self.env.sleep(pause).await;
        }
    }

    /// Takes one step and returns the delay before the next observation.
    async fn step(
        &self,
        ledger: &Ledger,
        change: &Change,
        seen: &Observation,
        phase_state: &mut PhaseState,
    ) -> Result<Duration, AgentError> {
        match next(change, ledger.history(), seen, &phase_state.attempt, &self.config.rules) {
            NextStep::Enter(phase) => {
                log_phase(change, &phase);
                let observed = self.observed(change, &phase).await;
                self.journal.write(Entry::Entered { at: self.env.now(), phase, observed }).await?;
                *phase_state = PhaseState::new(self.backoff(), self.env.now());
                Ok(Duration::ZERO)
            }
            NextStep::Act(effect) => {
                tracing::info!(generation = change.document.generation(), "next step: {effect}");
                tracing::debug!(?effect, "in full");
                let document = to_run(change, ledger.history());
                let result = self.env.act(document, &effect).await;
                Ok(phase_state.note(&effect, result, self.config.poll, self.env.chance()))
            }
            NextStep::Wait => Ok(self.config.poll),
        }
    }

    /// Reads the job's vertices and rescales for the final report of a change, within the timeout of one request to Flink.
    async fn observed(&self, change: &Change, phase: &Phase) -> Option<Observed> {
        let job = phase.job().filter(|_| phase.is_final())?;
        let seen = self.env.observed(job, change.accepted_at);
        match within(&self.env, self.config.flink_settings.timeout, seen).await? {
            Ok(observed) => Some(observed),
            Err(error) => {
                tracing::debug!(error = with_causes(&error), "could not observe the job after the change");
                None
            }
        }
    }
}

fn log_phase(change: &Change, phase: &Phase) {
    let generation = change.document.generation();
    match phase {
        Phase::Failed { .. } | Phase::RolledBack { .. } => {
            tracing::error!(generation, "the change failed: {phase}")
        }
        _ => tracing::info!(generation, "{phase}"),
    }
    tracing::debug!(generation, ?phase, "in full");
}

fn accepted(current: &Current, at: Timestamp) -> Entry {
    let entity_tag: EntityTag = current.entity_tag.clone();
    Entry::Accepted { at, document: current.document.text().to_owned(), entity_tag }
}
