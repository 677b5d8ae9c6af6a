//! Where documents come from, and which of them are taken.
//!
//! Two kinds of source: a config drop, which holds its answer back until there is something new, and a plain web server or
//! folder, which is asked at intervals. Whatever they offer passes two gates. The client (crate `drop-client`) lets through what
//! is a document of this job, signed by a pinned key if there is one; [`Admission`] lets through what is newer than the last
//! accepted one and within its time. Every refusal has a name, which shows in the log, in `/healthz` and in `/metrics`.
//!
//! A refusal is told once, not with every answer. Where the same bytes will be refused for ever the source is asked for
//! other ones; where time or a signature may still make them good, they are asked for again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drop_client::{Access, Current, Error, Fetched};
use job_config::{Admission, Admitted, EntityTag, JobDocument, JobName, Last, Refusal, Report, State};
use secrets::Address;

use crate::backoff::Backoff;
use crate::condition::{Condition, chain};
use crate::config::Config;
use crate::ledger::Ledger;
use crate::surroundings::Surroundings;

/// A drop that held the answer back for this long let us wait: it may be asked again at once.
const REAL_WAIT: Duration = Duration::from_secs(1);

/// How documents are fetched and what is demanded of them.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// The document at a plain web server or in a folder; `None`: it is fetched from the config drop.
    pub document_url: Option<Address>,
    /// Time between two looks at such a document.
    pub poll: Duration,
    /// Token, certificates and public keys.
    pub access: Access,
    /// What is demanded of a document beyond its signature.
    pub admission: Admission,
}

impl Default for IntakeSettings {
    /// From the drop, without token; a static document is looked at every 30 s.
    fn default() -> Self {
        Self {
            document_url: None,
            poll: Duration::from_secs(30),
            access: Access::default(),
            admission: Admission::default(),
        }
    }
}

/// What one look at the source has shown.
pub(crate) enum Seen {
    /// A document to be applied.
    New(Box<Current>),
    /// The one that was accepted last, or one that will be refused for ever: not to be sent again.
    Known(EntityTag),
    /// A document that may become good.
    NotYet,
    /// Nothing else than before, or nothing at all.
    Nothing,
}

/// The way in for documents of one job.
pub(crate) struct Intake {
    job: JobName,
    admission: Admission,
    drop_wait: Duration,
    poll: Duration,
    condition: Condition,
    refused: Arc<Mutex<Refused>>,
}

/// What was refused so far.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// Refused answers by the name of the reason.
    pub counts: BTreeMap<&'static str, u64>,
    /// What the source offers now, if that is refused: the name of the reason, and a sentence.
    pub now: Option<(&'static str, String)>,
}

impl Intake {
    pub(crate) fn new(config: &Config) -> Self {
        let IntakeSettings { poll, admission, .. } = config.intake.clone();
        let job = config.job.clone();
        let refused = Arc::new(Mutex::new(Refused {
            counts: Refusal::NAMES.into_iter().map(|name| (name, 0)).collect(),
            now: None,
        }));
        let condition = Condition::new("the config drop");
        let drop_wait = config.drop_wait;
        Self { job, admission, drop_wait, poll, condition, refused }
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(crate) fn refused(&self) -> Refused {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a document to be applied.
    pub(crate) async fn next<S: Surroundings>(
        &self,
        around: &S,
        ledger: &Ledger,
        mut backoff: Backoff,
    ) -> Current {
        let mut known = ledger.change().map(|change| change.entity_tag.clone());
        loop {
            let asked = around.elapsed();
            match self.look(around, ledger, known.as_ref(), Some(self.drop_wait)).await {
                Ok(Seen::New(current)) => return *current,
                Ok(Seen::Known(tag)) => known = Some(tag),
                Ok(Seen::NotYet) => {}
                Ok(Seen::Nothing)
                    if self.is_patient(around, around.elapsed().saturating_sub(asked)).await =>
                {
                    backoff.reset();
                    continue;
                }
                Ok(Seen::Nothing) | Err(_) => {}
            }
            // A source that does not let us wait, or that answers the same thing again and again, is not asked in a hurry.
            around.sleep(backoff.wait(around.chance())).await;
        }
    }

    /// Whether there has been enough time since the last look: a drop should have taken it, of a static source we take it.
    async fn is_patient<S: Surroundings>(&self, around: &S, waited: Duration) -> bool {
        if around.holds_back() {
            return waited >= REAL_WAIT.min(self.drop_wait);
        }
        around.sleep(self.poll).await;
        true
    }

    /// One look at the source. `known` is not to be sent again.
    ///
    /// # Errors
    /// There was no usable answer. It has been told already.
    pub(crate) async fn look<S: Surroundings>(
        &self,
        around: &S,
        ledger: &Ledger,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> Result<Seen, Error> {
        match around.fetch(known, wait).await {
            Ok(fetched) => {
                self.condition.good();
                let Fetched::Document(current) = fetched else { return Ok(Seen::Nothing) };
                Ok(self.consider(around, ledger, *current).await)
            }
            Err(error) => {
                if is_about_content(&error) {
                    self.refuse(error.name(), chain(&error));
                }
                self.condition.bad(&error);
                Err(error)
            }
        }
    }

    async fn consider<S: Surroundings>(&self, around: &S, ledger: &Ledger, current: Current) -> Seen {
        let last = ledger.change().map(|change| &change.document);
        let last = last.map(|document| Last { generation: document.generation(), text: document.text() });
        match self.admission.check(&current.document, &self.job, last, around.now()) {
            Ok(admitted) => {
                self.refused.lock().unwrap_or_else(PoisonError::into_inner).now = None;
                match admitted {
                    Admitted::New => Seen::New(Box::new(current)),
                    Admitted::Known => Seen::Known(current.entity_tag),
                }
            }
            Err(refusal) => {
                let generation = current.document.generation();
                let is_news = self.refuse(refusal.name(), format!("generation {generation}: {refusal}"));
                if is_news && matches!(refusal, Refusal::Expired { .. } | Refusal::NoExpiry) {
                    self.report(around, ledger, generation, &refusal).await;
                }
                if refusal.is_final() { Seen::Known(current.entity_tag) } else { Seen::NotYet }
            }
        }
    }

    /// Counts a refusal, and tells it if it is not the one from before.
    fn refuse(&self, name: &'static str, sentence: String) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.counts.entry(name).or_default() += 1;
        let now = Some((name, sentence));
        let is_news = refused.now != now;
        if is_news && let Some((reason, sentence)) = &now {
            tracing::warn!(job = %self.job, reason, "a document is refused: {sentence}");
        }
        refused.now = now;
        is_news
    }

    /// Tells the publisher that this generation will never run, so that nobody waits for it. One try: a publisher that does not
    /// hear of it sees the document expire, too.
    async fn report<S: Surroundings>(&self, around: &S, ledger: &Ledger, generation: u64, refusal: &Refusal) {
        if !around.takes_reports() {
            return;
        }
        let report = Report {
            generation,
            sequence: 1,
            at: around.now(),
            state: State::Failed,
            flink_job_id: None,
            savepoint: None,
            message: Some(format!("refused ({}): {refusal}", refusal.name())),
            previous_state_ms: None,
            running_generation: ledger.lineage().document.as_ref().map(JobDocument::generation),
            observed: None,
        };
        if let Err(error) = around.report(&report).await {
            tracing::debug!("the refusal could not be reported: {}", chain(&error));
        }
    }
}

/// Whether the source has answered, but not with what may be applied.
fn is_about_content(error: &Error) -> bool {
    matches!(error, Error::NotADocument { .. } | Error::TooLarge { .. })
}
