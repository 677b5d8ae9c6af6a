//! The loop: wait for a document, carry out its change, report.

use std::time::Duration;

use drop_client::{Current, DropClient};
use jiff::Timestamp;
use job_config::{EntityTag, Observed};
use secrets::Address;
use thiserror::Error;

use crate::backoff::Backoff;
use crate::book::{Book, BookError};
use crate::cluster::Cluster;
use crate::condition::{Condition, chain};
use crate::config::Config;
use crate::idle;
use crate::intake::{Intake, Refused, Seen};
use crate::ledger::{Change, Entry, Ledger};
use crate::machine::{Attempt, Next, Observation, next, question, to_run};
use crate::phase::Phase;
use crate::reports;
use crate::round::Round;

/// Why the agent cannot go on.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The journal cannot be used; without it nothing is done.
    #[error("the journal cannot be used")]
    Book(#[from] BookError),
    /// The drop's address is no address.
    #[error("drop.url cannot be used")]
    Drop(#[source] drop_client::Error),
    /// The drop could not be asked, in a run that asks only once.
    #[error("the config drop gave no document")]
    NoDocument(#[source] drop_client::Error),
    /// Flink's address is no address.
    #[error("flink.url cannot be used")]
    Flink(#[source] flink::Error),
    /// Flink could not be asked, in a run that asks only once.
    #[error("Flink cannot be asked")]
    NoAnswer(#[source] flink::Error),
}

/// How a run that ends by itself has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The newest document runs.
    Good,
    /// It does not, or there is none.
    Bad,
}

/// The agent of one job.
pub struct Agent {
    config: Config,
    book: Book,
    /// Where documents come from.
    intake: Intake,
    /// Who is told how it went; nobody, where documents come from a plain web server or a folder.
    drop: Option<DropClient>,
    cluster: Cluster,
    /// Whether reports can be delivered.
    reports_condition: Condition,
    /// Whether Flink answers.
    flink_condition: Condition,
}

impl Agent {
    /// Takes possession of the journal. Connects to nothing yet.
    ///
    /// # Errors
    /// The journal is in use or damaged, or an address is no address.
    pub fn new(config: Config) -> Result<Self, AgentError> {
        let book = Book::open(&config.data, config.reports_kept)?;
        let access = config.intake.access.clone();
        let connect = |url: &Address| {
            DropClient::with_access(url.reveal(), config.job.clone(), config.drop_settings, access)
        };
        let drop = Some(&config.drop_url).filter(|url| !url.is_empty()).map(connect);
        let drop = drop.transpose().map_err(AgentError::Drop)?;
        let intake = Intake::new(&config, drop.clone()).map_err(AgentError::Drop)?;
        let client = flink::Client::new(config.flink_url.reveal(), config.flink_settings)
            .map_err(AgentError::Flink)?;
        let cluster =
            Cluster::new(client, config.flink_job.clone(), config.program.clone(), config.pool.clone());
        Ok(Self {
            config,
            book,
            intake,
            drop,
            cluster,
            reports_condition: Condition::new("the delivery of reports"),
            flink_condition: Condition::new("Flink"),
        })
    }

    /// The journal.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Closes the circuit breaker: changes may be begun again.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn forgive_failures(&self) -> Result<(), AgentError> {
        Ok(self.book.write(Entry::FailuresForgiven).await?)
    }

    pub(crate) fn conditions(&self) -> [&Condition; 3] {
        [self.intake.condition(), &self.reports_condition, &self.flink_condition]
    }

    /// Which documents were refused.
    pub fn refused(&self) -> Refused {
        self.intake.refused()
    }

    /// Applies documents until the future is dropped, which may happen at any moment.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn run(&self) -> Result<(), AgentError> {
        tokio::try_join!(self.change_for_ever(), self.deliver())?;
        Ok(())
    }

    /// Finishes what was begun, applies the document that is at the drop now, and tells how it went.
    ///
    /// # Errors
    /// The drop could not be asked, or the journal cannot be written.
    pub async fn once(&self) -> Result<Outcome, AgentError> {
        let change = async {
            self.finish().await?;
            let ledger = self.book.ledger();
            let known = ledger.change().map(|change| change.entity_tag.clone());
            let seen = self.intake.look(&ledger, known.as_ref(), None).await;
            match seen.map_err(AgentError::NoDocument)? {
                Seen::New(current) => self.accept(&current).await?,
                Seen::Nothing if known.is_none() => {
                    tracing::warn!(job = %self.config.job, "there is no document")
                }
                _ => {}
            }
            self.finish().await?;
            idle::dispose(&self.book, &self.cluster, &self.config).await?;
            self.delivered().await;
            Ok::<_, AgentError>(())
        };
        tokio::select! {
            changed = change => changed?,
            delivered = self.deliver() => delivered?,
        }
        let ledger = self.book.ledger();
        let runs = ledger.change().is_some_and(|change| matches!(change.phase, Phase::Running { .. }));
        Ok(if runs { Outcome::Good } else { Outcome::Bad })
    }

    /// Says what [`Agent::once`] would do first, and does nothing.
    ///
    /// # Errors
    /// The drop or Flink could not be asked.
    pub async fn dry_run(&self) -> Result<Outcome, AgentError> {
        let mut ledger = (*self.book.ledger()).clone();
        if ledger.change().is_none_or(|change| change.phase.is_final()) {
            let seen = self.intake.look(&ledger, None, None).await.map_err(AgentError::NoDocument)?;
            let Seen::New(current) = seen else {
                tracing::info!("nothing to do: there is no newer document that may be applied");
                return Ok(Outcome::Good);
            };
            drop(ledger.apply(&accepted(&current)));
        }
        let Some(change) = ledger.change() else { return Ok(Outcome::Good) };
        let asked = question(change, ledger.lineage(), &self.config.rules);
        let seen = self.cluster.observe(&asked).await.map_err(AgentError::NoAnswer)?;
        let attempt = Attempt { now: Timestamp::now(), checked: true, ..Attempt::default() };
        let step = next(change, ledger.lineage(), &seen, &attempt, &self.config.rules);
        tracing::info!(generation = change.document.generation(), phase = ?change.phase, ?step, "would do");
        Ok(Outcome::Good)
    }

    async fn change_for_ever(&self) -> Result<(), AgentError> {
        loop {
            self.finish().await?;
            let ledger = self.book.ledger();
            let current = tokio::select! {
                current = self.intake.next(&ledger, self.backoff()) => current,
                kept = idle::tidy(&self.book, &self.cluster, &self.config) => return Ok(kept?),
            };
            self.accept(&current).await?;
        }
    }

    async fn deliver(&self) -> Result<(), AgentError> {
        match &self.drop {
            Some(drop) => {
                Ok(reports::deliver(&self.book, drop, self.backoff(), &self.reports_condition).await?)
            }
            None => Ok(reports::log(&self.book).await?),
        }
    }

    /// Returns when all reports are delivered, or it takes too long.
    async fn delivered(&self) {
        let mut ledgers = self.book.subscribe();
        let all = ledgers.wait_for(|ledger| ledger.undelivered() == 0);
        if tokio::time::timeout(self.config.drop_settings.timeout, all).await.is_err() {
            tracing::warn!("some reports are not delivered yet; the next start delivers them");
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.config.retry_first, self.config.retry_longest)
    }

    /// From now on this generation is used up.
    async fn accept(&self, current: &Current) -> Result<(), AgentError> {
        let document = &current.document;
        tracing::info!(
            job = %document.job(), generation = document.generation(), reason = document.reason(), "accepted"
        );
        Ok(self.book.write(accepted(current)).await?)
    }

    /// Carries the accepted change to its end.
    async fn finish(&self) -> Result<(), AgentError> {
        let mut round = Round::new(self.backoff());
        loop {
            let ledger = self.book.ledger();
            let Some(change) = ledger.change().filter(|change| !change.phase.is_final()) else {
                return Ok(());
            };
            let asked = question(change, ledger.lineage(), &self.config.rules);
            let pause = match self.cluster.observe(&asked).await {
                Ok(seen) => {
                    self.flink_condition.good();
                    round.saw_flink();
                    self.step(&ledger, change, &seen, &mut round).await?
                }
                Err(error) => {
                    self.flink_condition.bad(&error);
                    round.missed_flink()
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One step; the answer is the time to wait before the next look.
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
                self.book.write(Entry::Entered { at: Timestamp::now(), phase, observed }).await?;
                *round = Round::new(self.backoff());
                Ok(Duration::ZERO)
            }
            Next::Act(effect) => {
                tracing::info!(generation = change.document.generation(), ?effect, "asking Flink");
                let document = to_run(change, ledger.lineage());
                let result = self.cluster.act(document, &effect).await;
                Ok(round.note(&effect, result, self.config.poll))
            }
            Next::Wait => Ok(self.config.poll),
        }
    }

    /// What the last report of a change tells of the job. A change does not wait long for it.
    async fn observed(&self, change: &Change, phase: &Phase) -> Option<Observed> {
        let job = phase.job().filter(|_| phase.is_final())?;
        let seen = self.cluster.observed(job, change.accepted_at);
        match tokio::time::timeout(self.config.flink_settings.timeout, seen).await {
            Ok(Ok(observed)) => Some(observed),
            Ok(Err(error)) => {
                tracing::debug!(error = chain(&error), "the job could not be looked at once more");
                None
            }
            Err(_late) => None,
        }
    }
}

fn tell(change: &Change, phase: &Phase) {
    let generation = change.document.generation();
    match phase {
        Phase::Failed { .. } | Phase::RolledBack { .. } => {
            tracing::error!(generation, ?phase, "the change failed")
        }
        _ => tracing::info!(generation, ?phase, "next phase"),
    }
}

fn accepted(current: &Current) -> Entry {
    let entity_tag: EntityTag = current.entity_tag.clone();
    Entry::Accepted { at: Timestamp::now(), document: current.document.text().to_owned(), entity_tag }
}
