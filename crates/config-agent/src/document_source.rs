//! The document source and the admission of documents.
//!
//! There are two kinds of source: a config drop, which supports long polling, and a plain web server or folder, which
//! is polled at intervals. A document passes two gates. The client (crate `drop-client`) requires a valid document of
//! this job, signed by a pinned key if there is one. [`Admission`] requires it to be newer than the last accepted one
//! and not expired. Every rejection has a name, shown in the log, in `/healthz` and in `/metrics`.
//!
//! An agent with an empty journal first reads its earlier reports (`recovery`). A permanent rejection that is reported
//! to the publisher is journalled first, so that the document is never applied later.
//!
//! A rejection is logged once, not per response. After a permanent rejection the source is asked only for a different
//! document; after one that time or a signature may cure, the same document is fetched again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drop_client::{Access, Current, Error, Fetched, SourceAnswer};
use job_config::{Admission, AdmissionError, Admitted, EntityTag, JobName, LastAccepted, PublicKey};
use secrets::Address;
use service::with_causes;

use crate::backoff::Backoff;
use crate::condition::Condition;
use crate::config::Config;
use crate::environment::Environment;
use crate::freshness::{FreshnessWatch, Moment};
use crate::ledger::{Entry, Ledger};
use crate::recovery::{RejectedDocument, recover};

/// Error responses to the request for reports after which the agent continues without them.
const RECOVERY_ERRORS_MAX: u32 = 30;

/// A drop that held the response at least this long supports long polling, and is asked again at once.
const REAL_WAIT: Duration = Duration::from_secs(1);

/// How documents are fetched and which are admitted.
#[derive(Debug, Clone)]
pub struct DocumentSourceSettings {
    /// URL of the document on a plain web server or in a folder; `None`: the config drop.
    pub document_url: Option<Address>,
    /// Poll interval of such a document.
    pub poll: Duration,
    /// Token, certificates and public keys.
    pub access: Access,
    /// Requirements on a document beyond its signature.
    pub admission: Admission,
    /// Maximum age of the newest signed document or statement; `None`: any.
    pub freshness_max: Option<Duration>,
}

impl Default for DocumentSourceSettings {
    /// The drop without token; a static document is polled every 30 s.
    fn default() -> Self {
        Self {
            document_url: None,
            poll: Duration::from_secs(30),
            access: Access::default(),
            admission: Admission::default(),
            freshness_max: None,
        }
    }
}

/// Result of one fetch from the source.
pub(crate) enum FetchOutcome {
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
pub(crate) struct DocumentSource {
    job: JobName,
    admission: Admission,
    drop_wait: Duration,
    poll: Duration,
    condition: Condition,
    rejections: Arc<Mutex<Rejections>>,
    keys: Vec<PublicKey>,
    freshness: FreshnessWatch,
    /// Whether the earlier reports have been read.
    is_recovered: AtomicBool,
    /// Error responses to the request for reports.
    recovery_errors: AtomicU32,
}

/// Result of waiting for a document.
pub(crate) enum SourceEvent {
    /// A document to apply.
    Document(Box<Current>),
    /// An entry to journal; then the source is asked again.
    Note(Entry),
}

enum RecoveryOutcome {
    Nothing,
    Known(Entry),
    NotYet,
}

/// Rejections so far.
#[derive(Debug, Clone, Default)]
pub struct Rejections {
    /// Number of rejections by reason.
    pub counts: BTreeMap<&'static str, u64>,
    /// Reason and sentence, if the source's current document is rejected.
    pub now: Option<(&'static str, String)>,
}

impl DocumentSource {
    pub(crate) fn new(config: &Config) -> Self {
        let DocumentSourceSettings { poll, admission, access, freshness_max, .. } =
            config.document_source.clone();
        let job = config.job.clone();
        let rejections = Arc::new(Mutex::new(Rejections {
            counts: AdmissionError::NAMES.into_iter().map(|name| (name, 0)).collect(),
            now: None,
        }));
        let condition = Condition::new("the config drop");
        let drop_wait = config.drop_wait;
        let keys = access.public_keys().to_vec();
        let freshness = FreshnessWatch::new(job.clone(), freshness_max, admission.clock_skew, keys.clone());
        let (is_recovered, recovery_errors) = (AtomicBool::new(false), AtomicU32::new(0));
        Self {
            job,
            admission,
            drop_wait,
            poll,
            condition,
            rejections,
            keys,
            freshness,
            is_recovered,
            recovery_errors,
        }
    }

    pub(crate) fn freshness(&self) -> &FreshnessWatch {
        &self.freshness
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(crate) fn rejections(&self) -> Rejections {
        self.rejections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a document to apply, or for an entry to journal before the next fetch.
    pub(crate) async fn next<S: Environment>(
        &self,
        env: &S,
        ledger: &Ledger,
        mut backoff: Backoff,
    ) -> SourceEvent {
        let mut known = ledger.change().map(|change| change.entity_tag.clone());
        self.freshness.asks(ledger.change().map(|change| &change.document), moment(env));
        loop {
            let asked = env.elapsed();
            let fetched = self.fetch(env, ledger, known.as_ref(), Some(self.drop_wait)).await;
            self.freshness.judge(moment(env));
            match fetched {
                Ok(FetchOutcome::New(current)) => {
                    self.freshness.pauses();
                    return SourceEvent::Document(current);
                }
                Ok(FetchOutcome::Note(entry)) => {
                    // Limits the rate at which a source of bad documents fills the disk.
                    env.sleep(backoff.wait(env.chance())).await;
                    return SourceEvent::Note(entry);
                }
                Ok(FetchOutcome::Known(tag)) => known = Some(tag),
                Ok(FetchOutcome::NotYet) => {}
                Ok(FetchOutcome::Nothing)
                    if self.is_patient(env, env.elapsed().saturating_sub(asked)).await =>
                {
                    backoff.reset();
                    continue;
                }
                Ok(FetchOutcome::Nothing) | Err(_) => {}
            }
            // Backs off from a source that answers at once, or repeats the same answer.
            env.sleep(backoff.wait(env.chance())).await;
        }
    }

    /// Enforces the poll interval: a drop must have held the response; for a static source this sleeps.
    async fn is_patient<S: Environment>(&self, env: &S, waited: Duration) -> bool {
        if env.holds_back() {
            return waited >= REAL_WAIT.min(self.drop_wait);
        }
        env.sleep(self.poll).await;
        true
    }

    /// Fetches from the source once, unless the document is still `known`.
    ///
    /// # Errors
    /// The response was unusable. The error is already logged.
    pub(crate) async fn fetch<S: Environment>(
        &self,
        env: &S,
        ledger: &Ledger,
        known: Option<&EntityTag>,
        wait: Option<Duration>,
    ) -> Result<FetchOutcome, Error> {
        let fetched = match env.fetch(known, wait).await {
            // The drop's long-poll slots are full: the document is available without waiting.
            Err(Error::Status { status: 503, .. }) if wait.is_some() => env.fetch(known, None).await,
            fetched => fetched,
        };
        match fetched {
            Ok(SourceAnswer { fetched, freshness }) => {
                self.condition.succeeded();
                if let Fetched::Document(current) = &fetched {
                    self.freshness.saw(&current.document, moment(env));
                }
                self.freshness.heard_of(freshness.as_deref(), moment(env));
                let Fetched::Document(current) = fetched else { return Ok(FetchOutcome::Nothing) };
                Ok(self.consider(env, ledger, *current).await)
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

    async fn consider<S: Environment>(&self, env: &S, ledger: &Ledger, current: Current) -> FetchOutcome {
        if ledger.is_blank() && env.takes_reports() && !self.is_recovered.load(Ordering::Relaxed) {
            match self.recover(env, &current).await {
                RecoveryOutcome::Nothing => {}
                RecoveryOutcome::Known(entry) => return FetchOutcome::Note(entry),
                RecoveryOutcome::NotYet => return FetchOutcome::NotYet,
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
        let now = env.now();
        let generation = current.document.generation();
        match self.admission.check(&current.document, &self.job, last, now) {
            Ok(Admitted::New) => self.takes(current),
            Ok(Admitted::Known) => {
                self.rejections.lock().unwrap_or_else(PoisonError::into_inner).now = None;
                FetchOutcome::Known(current.entity_tag)
            }
            // An earlier run of this agent started it before the expiry.
            Err(AdmissionError::Expired { .. })
                if ledger.recovered().is_some_and(|recovered| recovered.generation == generation) =>
            {
                self.takes(current)
            }
            Err(refusal) => self.refuses(env, &current, &refusal),
        }
    }

    fn takes(&self, current: Current) -> FetchOutcome {
        self.rejections.lock().unwrap_or_else(PoisonError::into_inner).now = None;
        FetchOutcome::New(Box::new(current))
    }

    fn refuses<S: Environment>(&self, env: &S, current: &Current, refusal: &AdmissionError) -> FetchOutcome {
        let generation = current.document.generation();
        let (entity_tag, sentence) = (current.entity_tag.clone(), refusal.to_string());
        self.refuse(refusal.name(), format!("generation {generation}: {sentence}"));
        if matches!(refusal, AdmissionError::Expired { .. } | AdmissionError::NoExpiry) {
            // Reports that this generation will never run, so that the publisher does not wait for it.
            let document =
                RejectedDocument { generation, entity_tag, reason: refusal.name().to_owned(), sentence };
            return FetchOutcome::Note(Entry::Refused { at: env.now(), document });
        }
        if refusal.is_final() { FetchOutcome::Known(entity_tag) } else { FetchOutcome::NotYet }
    }

    /// Whether this document is already settled, by journal entries other than the last accepted one.
    fn is_over(&self, ledger: &Ledger, current: &Current) -> Option<FetchOutcome> {
        if let Some(rejected) = ledger.rejection(&current.entity_tag) {
            let name =
                AdmissionError::NAMES.into_iter().find(|name| *name == rejected.reason).unwrap_or("refused");
            let sentence = format!("generation {}: {}", rejected.generation, rejected.sentence);
            self.rejections.lock().unwrap_or_else(PoisonError::into_inner).now = Some((name, sentence));
            return Some(FetchOutcome::Known(current.entity_tag.clone()));
        }
        let recovered = ledger.recovered().filter(|recovered| recovered.ended.is_some())?;
        let is_over = recovered.generation == current.document.generation();
        is_over.then(|| FetchOutcome::Known(current.entity_tag.clone()))
    }

    /// Reads once what an earlier run of this agent reported.
    async fn recover<S: Environment>(&self, env: &S, current: &Current) -> RecoveryOutcome {
        match recover(env, &current.document, &self.keys).await {
            Ok(entry) => {
                self.is_recovered.store(true, Ordering::Relaxed);
                entry.map_or(RecoveryOutcome::Nothing, RecoveryOutcome::Known)
            }
            Err(error) => {
                let is_away = matches!(error, Error::NoAnswer { .. });
                let refusals = if is_away { 0 } else { self.recovery_errors.fetch_add(1, Ordering::Relaxed) };
                if error.is_transient() && refusals < RECOVERY_ERRORS_MAX {
                    self.condition.bad(&error);
                    return RecoveryOutcome::NotYet;
                }
                tracing::warn!("continuing without the earlier reports: {}", with_causes(&error));
                self.is_recovered.store(true, Ordering::Relaxed);
                RecoveryOutcome::Nothing
            }
        }
    }

    /// Counts a rejection, and logs it if it differs from the previous one.
    fn refuse(&self, name: &'static str, sentence: String) {
        let mut rejections = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        *rejections.counts.entry(name).or_default() += 1;
        let now = Some((name, sentence));
        if rejections.now != now
            && let Some((reason, sentence)) = &now
        {
            tracing::warn!(job = %self.job, reason, "refused a document: {sentence}");
        }
        rejections.now = now;
    }
}

fn moment<S: Environment>(env: &S) -> Moment {
    Moment { now: env.now(), elapsed: env.elapsed() }
}

/// Whether the source answered with unacceptable content.
fn is_about_content(error: &Error) -> bool {
    matches!(error, Error::NotADocument { .. } | Error::TooLarge { .. })
}
