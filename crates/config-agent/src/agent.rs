//! The agent's main loop: waits for a document, applies it, reports progress.

use std::time::Duration;

use drop_client::Current;
use jiff::Timestamp;
use job_config::{ChangeState, EntityTag, Observed};
use service::with_causes;
use thiserror::Error;

use crate::backoff::Backoff;
use crate::book::{Book, BookError};
use crate::condition::Condition;
use crate::config::Config;
use crate::idle;
use crate::intake::{Intake, Refused, Seen, Taken};
use crate::ledger::{Change, Entry, Ledger};
use crate::live::Live;
use crate::machine::{Attempt, Next, Observation, next, question, to_run};
use crate::phase::Phase;
use crate::reports;
use crate::round::Round;
use crate::surroundings::{Surroundings, within};

/// A fatal error of the agent.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The journal is unusable; the agent does nothing without it.
    #[error("cannot use the journal")]
    Book(#[from] BookError),
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
pub enum Outcome {
    /// The job of the newest document is running.
    Good,
    /// It is not running, or there is no document.
    Bad,
}

/// The agent of one job, by default over the real [`Live`] surroundings.
pub struct Agent<S = Live> {
    config: Config,
    book: Book,
    /// Admission of documents.
    intake: Intake,
    around: S,
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
        let book = Book::open(&config.data, config.reports_kept)?;
        let live = Live::new(&config)?;
        Ok(Self::over(config, book, live))
    }
}

impl<S: Surroundings> Agent<S> {
    /// Creates an agent over this journal and these surroundings, for tests and the simulator.
    pub fn over(config: Config, book: Book, around: S) -> Self {
        Self {
            intake: Intake::new(&config),
            config,
            book,
            around,
            reports_condition: Condition::new("the delivery of reports"),
            flink_condition: Condition::new("Flink"),
        }
    }

    /// The journal.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Closes the circuit breaker: new changes may start again.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn forgive_failures(&self) -> Result<(), AgentError> {
        Ok(self.book.write(Entry::FailuresForgiven).await?)
    }

    pub(crate) fn conditions(&self) -> [&Condition; 3] {
        [self.intake.condition(), &self.reports_condition, &self.flink_condition]
    }

    /// Returns the counts of rejected documents and the current rejection.
    pub fn refused(&self) -> Refused {
        self.intake.refused()
    }

    /// Applies documents until the future is dropped. Safe to drop at any point.
    pub async fn run(&self) -> Result<(), AgentError> {
        tokio::try_join!(self.change_for_ever(), self.deliver())?;
        Ok(())
    }

    /// Finishes the change in progress, applies the drop's current document and returns the outcome.
    pub async fn once(&self) -> Result<Outcome, AgentError> {
        let change = async {
            self.finish().await?;
            self.take_once().await?;
            self.finish().await?;
            idle::dispose(&self.book, &self.around, &self.config).await?;
            self.delivered().await;
            Ok::<_, AgentError>(())
        };
        tokio::select! {
            changed = change => changed?,
            delivered = self.deliver() => delivered?,
        }
        let ledger = self.book.ledger();
        let ended = ledger.recalled().and_then(|recalled| recalled.ended);
        let runs = ledger.change().map_or(ended == Some(ChangeState::Running), |change| {
            matches!(change.phase, Phase::Running { .. })
        });
        Ok(if runs { Outcome::Good } else { Outcome::Bad })
    }

    /// Accepts the drop's current document if it is admissible.
    async fn take_once(&self) -> Result<(), AgentError> {
        loop {
            let ledger = self.book.ledger();
            let known = ledger.change().map(|change| change.entity_tag.clone());
            let seen = self.intake.look(&self.around, &ledger, known.as_ref(), None).await;
            match seen.map_err(AgentError::NoDocument)? {
                Seen::New(current) => return self.accept(&current).await,
                // The next iteration fetches the same document again and finds it in the journal.
                Seen::Note(entry) => self.book.write(entry).await?,
                Seen::Nothing if known.is_none() => {
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
    pub async fn dry_run(&self) -> Result<Outcome, AgentError> {
        let mut ledger = (*self.book.ledger()).clone();
        if ledger.change().is_none_or(|change| change.phase.is_final()) {
            let mut seen = self.intake.look(&self.around, &ledger, None, None).await;
            if let Ok(Seen::Note(entry)) = &seen {
                drop(ledger.apply(entry));
                seen = self.intake.look(&self.around, &ledger, None, None).await;
            }
            let seen = seen.map_err(AgentError::NoDocument)?;
            let Seen::New(current) = seen else {
                tracing::info!("nothing to do: no newer applicable document");
                return Ok(Outcome::Good);
            };
            drop(ledger.apply(&accepted(&current, self.around.now())));
        }
        let Some(change) = ledger.change() else { return Ok(Outcome::Good) };
        let asked = question(change, ledger.lineage(), &self.config.rules);
        let seen = self.around.observe(&asked).await.map_err(AgentError::NoAnswer)?;
        let attempt = Attempt { now: self.around.now(), checked: true, ..Attempt::default() };
        let step = next(change, ledger.lineage(), &seen, &attempt, &self.config.rules);
        tracing::info!(generation = change.document.generation(), "{}; would {step}", change.phase);
        Ok(Outcome::Good)
    }

    async fn change_for_ever(&self) -> Result<(), AgentError> {
        loop {
            self.finish().await?;
            let ledger = self.book.ledger();
            let taken = tokio::select! {
                biased;
                taken = self.intake.next(&self.around, &ledger, self.backoff()) => taken,
                kept = idle::tidy(&self.book, &self.around, &self.config) => return Ok(kept?),
            };
            match taken {
                Taken::Document(current) => self.accept(&current).await?,
                Taken::Note(entry) => self.book.write(entry).await?,
            }
        }
    }

    async fn deliver(&self) -> Result<(), AgentError> {
        if !self.around.takes_reports() {
            return Ok(reports::log(&self.book).await?);
        }
        Ok(reports::deliver(&self.book, &self.around, self.backoff(), &self.reports_condition).await?)
    }

    /// Waits until all reports are delivered or the timeout expires.
    async fn delivered(&self) {
        let mut ledgers = self.book.subscribe();
        let all = ledgers.wait_for(|ledger| ledger.undelivered() == 0);
        if within(&self.around, self.config.drop_settings.timeout, all).await.is_none() {
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
        Ok(self.book.write(accepted(current, self.around.now())).await?)
    }

    /// Runs the accepted change to its final phase.
    async fn finish(&self) -> Result<(), AgentError> {
        let mut round = Round::new(self.backoff(), self.around.now());
        loop {
            let ledger = self.book.ledger();
            let Some(change) = ledger.change().filter(|change| !change.phase.is_final()) else {
                return Ok(());
            };
            let asked = question(change, ledger.lineage(), &self.config.rules);
            let pause = match self.around.observe(&asked).await {
                Ok(seen) => {
                    self.flink_condition.good();
                    round.saw_flink(self.around.now(), self.around.elapsed());
                    self.step(&ledger, change, &seen, &mut round).await?
                }
                Err(error) => {
                    self.flink_condition.bad(&error);
                    round.missed_flink(self.around.chance())
                }
            };
            self.around.sleep(pause).await;
        }
    }

    /// Takes one step and returns the delay before the next observation.
    async fn step(
        &self,
        ledger: &Ledger,
        change: &Change,
        seen: &Observation,
        round: &mut Round,
    ) -> Result<Duration, AgentError> {
        match next(change, ledger.lineage(), seen, &round.attempt, &self.config.rules) {
            Next::Enter(phase) => {
                tell(change, &phase);
                let observed = self.observed(change, &phase).await;
                self.book.write(Entry::Entered { at: self.around.now(), phase, observed }).await?;
                *round = Round::new(self.backoff(), self.around.now());
                Ok(Duration::ZERO)
            }
            Next::Act(effect) => {
                tracing::info!(generation = change.document.generation(), "next step: {effect}");
                tracing::debug!(?effect, "in full");
                let document = to_run(change, ledger.lineage());
                let result = self.around.act(document, &effect).await;
                Ok(round.note(&effect, result, self.config.poll, self.around.chance()))
            }
            Next::Wait => Ok(self.config.poll),
        }
    }

    /// Reads the job's vertices and rescales for the final report of a change, within the timeout of one request to Flink.
    async fn observed(&self, change: &Change, phase: &Phase) -> Option<Observed> {
        let job = phase.job().filter(|_| phase.is_final())?;
        let seen = self.around.observed(job, change.accepted_at);
        match within(&self.around, self.config.flink_settings.timeout, seen).await? {
            Ok(observed) => Some(observed),
            Err(error) => {
                tracing::debug!(error = with_causes(&error), "the job could not be looked at once more");
                None
            }
        }
    }
}

fn tell(change: &Change, phase: &Phase) {
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
