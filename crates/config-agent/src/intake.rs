//! The document source and the admission of documents.
//!
//! There are two kinds of source: a config drop, which supports long polling, and a plain web server or folder, which
//! is polled at intervals. A document passes two gates. The client (crate `drop-client`) requires a valid document of
//! this job, signed by a pinned key if there is one. [`Admission`] requires it to be newer than the last accepted one
//! and not expired. Every rejection has a name, shown in the log, in `/healthz` and in `/metrics`.
//!
//! An agent with an empty journal first reads its earlier reports (`recall`). A permanent rejection that is reported
//! to the publisher is journalled first, so that the document is never applied later.
//!
//! A rejection is logged once, not per response. After a permanent rejection the source is asked only for a different
//! document; after one that time or a signature may cure, the same document is fetched again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drop_client::{Access, Current, Error, Fetched};
use job_config::{Admission, AdmissionError, Admitted, EntityTag, JobName, LastAccepted, PublicKey};
use secrets::Address;
use service::with_causes;

use crate::backoff::Backoff;
use crate::condition::Condition;
use crate::config::Config;
use crate::ledger::{Entry, Ledger};
use crate::recall::{Turned, recall};
use crate::surroundings::Surroundings;

/// Error responses to the request for reports after which the agent continues without them.
const RECALLS_MOST: u32 = 30;

/// A drop that held the response at least this long supports long polling, and is asked again at once.
const REAL_WAIT: Duration = Duration::from_secs(1);

/// How documents are fetched and which are admitted.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// URL of the document on a plain web server or in a folder; `None`: the config drop.
    pub document_url: Option<Address>,
    /// Poll interval of such a document.
    pub poll: Duration,
    /// Token, certificates and public keys.
    pub access: Access,
    /// Requirements on a document beyond its signature.
    pub admission: Admission,
}

impl Default for IntakeSettings {
    /// The drop without token; a static document is polled every 30 s.
    fn default() -> Self {
        Self {
            document_url: None,
            poll: Duration::from_secs(30),
            access: Access::default(),
            admission: Admission::default(),
        }
    }
}

/// Result of one fetch from the source.
pub(crate) enum Seen {
    /// A document to apply.
    New(Box<Current>),
    /// The last accepted document, or one that is permanently rejected: do not send it again.
    Known(EntityTag),
    /// A document that may become admissible.
    NotYet,
    /// An entry to journal before anything else.
    Note(Entry),
    /// No change, or no document.
    Nothing,
}

/// Fetches and admits the documents of one job.
pub(crate) struct Intake {
    job: JobName,
    admission: Admission,
    drop_wait: Duration,
    poll: Duration,
    condition: Condition,
    refused: Arc<Mutex<Refused>>,
    keys: Vec<PublicKey>,
    /// Whether the earlier reports have been read.
    is_recalled: AtomicBool,
    /// Error responses to the request for reports.
    recall_refusals: AtomicU32,
}

/// Result of waiting for a document.
pub(crate) enum Taken {
    /// A document to apply.
    Document(Box<Current>),
    /// An entry to journal; then the source is asked again.
    Note(Entry),
}

enum Recall {
    Nothing,
    Known(Entry),
    NotYet,
}

/// Rejections so far.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// Number of rejections by reason.
    pub counts: BTreeMap<&'static str, u64>,
    /// Reason and sentence, if the source's current document is rejected.
    pub now: Option<(&'static str, String)>,
}

impl Intake {
    pub(crate) fn new(config: &Config) -> Self {
        let IntakeSettings { poll, admission, access, .. } = config.intake.clone();
        let job = config.job.clone();
        let refused = Arc::new(Mutex::new(Refused {
            counts: AdmissionError::NAMES.into_iter().map(|name| (name, 0)).collect(),
            now: None,
        }));
        let condition = Condition::new("the config drop");
        let drop_wait = config.drop_wait;
        let keys = access.public_keys().to_vec();
        let (is_recalled, recall_refusals) = (AtomicBool::new(false), AtomicU32::new(0));
        Self { job, admission, drop_wait, poll, condition, refused, keys, is_recalled, recall_refusals }
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(crate) fn refused(&self) -> Refused {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a document to apply, or for an entry to journal before the next fetch.
    pub(crate) async fn next<S: Surroundings>(
        &self,
        around: &S,
        ledger: &Ledger,
        mut backoff: Backoff,
    ) -> Taken {
        let mut known = ledger.change().map(|change| change.entity_tag.clone());
        loop {
            let asked = around.elapsed();
            match self.look(around, ledger, known.as_ref(), Some(self.drop_wait)).await {
                Ok(Seen::New(current)) => return Taken::Document(current),
                Ok(Seen::Note(entry)) => {
                    // Limits the rate at which a source of bad documents fills the disk.
                    around.sleep(backoff.wait(around.chance())).await;
                    return Taken::Note(entry);
                }
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
            // Backs off from a source that answers at once, or repeats the same answer.
            around.sleep(backoff.wait(around.chance())).await;
        }
    }

    /// Enforces the poll interval: a drop must have held the response; for a static source this sleeps.
    async fn is_patient<S: Surroundings>(&self, around: &S, waited: Duration) -> bool {
        if around.holds_back() {
            return waited >= REAL_WAIT.min(self.drop_wait);
        }
        around.sleep(self.poll).await;
        true
    }

    /// Fetches from the source once, unless the document is still `known`.
    ///
    /// # Errors
    /// The response was unusable. The error is already logged.
    pub(crate) async fn look<S: Surroundings>(
        &self,
        around: &S,
        ledger: &Ledger,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> Result<Seen, Error> {
        let fetched = match around.fetch(known, wait).await {
            // The drop's long-poll slots are full: the document is available without waiting.
            Err(Error::Status { status: 503, .. }) if wait.is_some() => around.fetch(known, None).await,
            fetched => fetched,
        };
        match fetched {
            Ok(fetched) => {
                self.condition.good();
                let Fetched::Document(current) = fetched else { return Ok(Seen::Nothing) };
                Ok(self.consider(around, ledger, *current).await)
            }
            Err(error) => {
                if is_about_content(&error) {
                    self.refuse(error.name(), with_causes(&error));
                }
                self.condition.bad(&error);
                Err(error)
            }
        }
    }

    async fn consider<S: Surroundings>(&self, around: &S, ledger: &Ledger, current: Current) -> Seen {
        if ledger.is_blank() && around.takes_reports() && !self.is_recalled.load(Ordering::Relaxed) {
            match self.recall(around, &current).await {
                Recall::Nothing => {}
                Recall::Known(entry) => return Seen::Note(entry),
                Recall::NotYet => return Seen::NotYet,
            }
        }
        if let Some(seen) = self.is_over(ledger, &current) {
            return seen;
        }
        let change = ledger.change();
        let last = change.map(|change| &change.document);
        let last =
            last.map(|document| LastAccepted { generation: document.generation(), text: document.text() });
        // The journal's times are not used: after a period with a fast clock, every later document would count as
        // expired.
        let now = around.now();
        let generation = current.document.generation();
        match self.admission.check(&current.document, &self.job, last, now) {
            Ok(Admitted::New) => self.takes(current),
            Ok(Admitted::Known) => {
                self.refused.lock().unwrap_or_else(PoisonError::into_inner).now = None;
                Seen::Known(current.entity_tag)
            }
            // An earlier run of this agent started it before the expiry.
            Err(AdmissionError::Expired { .. })
                if ledger.recalled().is_some_and(|recalled| recalled.generation == generation) =>
            {
                self.takes(current)
            }
            Err(refusal) => self.refuses(around, &current, &refusal),
        }
    }

    fn takes(&self, current: Current) -> Seen {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).now = None;
        Seen::New(Box::new(current))
    }

    fn refuses<S: Surroundings>(&self, around: &S, current: &Current, refusal: &AdmissionError) -> Seen {
        let generation = current.document.generation();
        let (entity_tag, sentence) = (current.entity_tag.clone(), refusal.to_string());
        self.refuse(refusal.name(), format!("generation {generation}: {sentence}"));
        if matches!(refusal, AdmissionError::Expired { .. } | AdmissionError::NoExpiry) {
            // Reports that this generation will never run, so that the publisher does not wait for it.
            let document = Turned { generation, entity_tag, reason: refusal.name().to_owned(), sentence };
            return Seen::Note(Entry::Refused { at: around.now(), document });
        }
        if refusal.is_final() { Seen::Known(entity_tag) } else { Seen::NotYet }
    }

    /// Whether this document is already settled, by journal entries other than the last accepted one.
    fn is_over(&self, ledger: &Ledger, current: &Current) -> Option<Seen> {
        if let Some(turned) = ledger.turned_away(&current.entity_tag) {
            let name =
                AdmissionError::NAMES.into_iter().find(|name| *name == turned.reason).unwrap_or("refused");
            let sentence = format!("generation {}: {}", turned.generation, turned.sentence);
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).now = Some((name, sentence));
            return Some(Seen::Known(current.entity_tag.clone()));
        }
        let recalled = ledger.recalled().filter(|recalled| recalled.ended.is_some())?;
        let is_over = recalled.generation == current.document.generation();
        is_over.then(|| Seen::Known(current.entity_tag.clone()))
    }

    /// Reads once what an earlier run of this agent reported.
    async fn recall<S: Surroundings>(&self, around: &S, current: &Current) -> Recall {
        match recall(around, &current.document, &self.keys).await {
            Ok(entry) => {
                self.is_recalled.store(true, Ordering::Relaxed);
                entry.map_or(Recall::Nothing, Recall::Known)
            }
            Err(error) => {
                let is_away = matches!(error, Error::NoAnswer { .. });
                let refusals = if is_away { 0 } else { self.recall_refusals.fetch_add(1, Ordering::Relaxed) };
                if error.is_transient() && refusals < RECALLS_MOST {
                    self.condition.bad(&error);
                    return Recall::NotYet;
                }
                tracing::warn!("going on without what was reported before: {}", with_causes(&error));
                self.is_recalled.store(true, Ordering::Relaxed);
                Recall::Nothing
            }
        }
    }

    /// Counts a rejection, and logs it if it differs from the previous one.
    fn refuse(&self, name: &'static str, sentence: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.counts.entry(name).or_default() += 1;
        let now = Some((name, sentence));
        if refused.now != now
            && let Some((reason, sentence)) = &now
        {
            tracing::warn!(job = %self.job, reason, "refused a document: {sentence}");
        }
        refused.now = now;
    }
}

/// Whether the source answered with unacceptable content.
fn is_about_content(error: &Error) -> bool {
    matches!(error, Error::NotADocument { .. } | Error::TooLarge { .. })
}
