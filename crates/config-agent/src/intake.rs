//! Where documents come from, and which of them are taken.
//!
//! Two kinds of source: a config drop, which holds its answer back until there is something new, and a plain web server or
//! folder, which is asked at intervals. Whatever they offer passes two gates. The client (crate `drop-client`) lets through what
//! is a document of this job, signed by a pinned key if there is one; [`Admission`] lets through what is newer than the last
//! accepted one and within its time. Every refusal has a name, which shows in the log, in `/healthz` and in `/metrics`.
//!
//! An agent with an empty journal first asks what it has reported before (`recall`). A document that is refused for good and that its
//! publisher is told of is written down first, so that it is not applied later after all.
//!
//! A refusal is told once, not with every answer. Where the same bytes will be refused for ever the source is asked for
//! other ones; where time or a signature may still make them good, they are asked for again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drop_client::{Access, Current, Error, Fetched};
use job_config::{Admission, Admitted, EntityTag, JobName, Last, PublicKey, Refusal};
use secrets::Address;

use crate::backoff::Backoff;
use crate::condition::{Condition, chain};
use crate::config::Config;
use crate::ledger::{Entry, Ledger};
use crate::recall::{Turned, recall};
use crate::surroundings::Surroundings;

/// A drop that answers so often with an error when it is asked for reports will not give any: the agent goes on without.
const RECALLS_MOST: u32 = 30;

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
    /// This is to be written down before anything else.
    Note(Entry),
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
    keys: Vec<PublicKey>,
    /// Whether it is known what was reported before.
    is_recalled: AtomicBool,
    /// How often the drop answered that question with an error.
    recall_refusals: AtomicU32,
}

/// What comes of waiting for a document.
pub(crate) enum Taken {
    /// It is to be applied.
    Document(Box<Current>),
    /// This is to be written down; then the drop is asked again.
    Note(Entry),
}

enum Recall {
    Nothing,
    Known(Entry),
    NotYet,
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
        let IntakeSettings { poll, admission, access, .. } = config.intake.clone();
        let job = config.job.clone();
        let refused = Arc::new(Mutex::new(Refused {
            counts: Refusal::NAMES.into_iter().map(|name| (name, 0)).collect(),
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

    /// Waits for a document to be applied, or for something to be written down before the next look.
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
                    // A source that offers one bad document after the other does not fill the disk in a hurry.
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
        let fetched = match around.fetch(known, wait).await {
            // All places of those who wait are taken: the document can be had all the same.
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
                    self.refuse(error.name(), chain(&error));
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
        let last = last.map(|document| Last { generation: document.generation(), text: document.text() });
        // Not the times in the journal: a clock that was ahead for a while would have every later document count as expired.
        let now = around.now();
        let generation = current.document.generation();
        match self.admission.check(&current.document, &self.job, last, now) {
            Ok(Admitted::New) => self.takes(current),
            Ok(Admitted::Known) => {
                self.refused.lock().unwrap_or_else(PoisonError::into_inner).now = None;
                Seen::Known(current.entity_tag)
            }
            // It was begun in time, by an earlier life of this agent.
            Err(Refusal::Expired { .. })
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

    fn refuses<S: Surroundings>(&self, around: &S, current: &Current, refusal: &Refusal) -> Seen {
        let generation = current.document.generation();
        let (entity_tag, sentence) = (current.entity_tag.clone(), refusal.to_string());
        self.refuse(refusal.name(), format!("generation {generation}: {sentence}"));
        if matches!(refusal, Refusal::Expired { .. } | Refusal::NoExpiry) {
            // The publisher is told that this generation will never run, so that nobody waits for it.
            let document = Turned { generation, entity_tag, reason: refusal.name().to_owned(), sentence };
            return Seen::Note(Entry::Refused { at: around.now(), document });
        }
        if refusal.is_final() { Seen::Known(entity_tag) } else { Seen::NotYet }
    }

    /// Whether nothing is to be done about this document any more, by what the journal knows beside the last accepted one.
    fn is_over(&self, ledger: &Ledger, current: &Current) -> Option<Seen> {
        if let Some(turned) = ledger.turned_away(&current.entity_tag) {
            let name = Refusal::NAMES.into_iter().find(|name| *name == turned.reason).unwrap_or("refused");
            let sentence = format!("generation {}: {}", turned.generation, turned.sentence);
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).now = Some((name, sentence));
            return Some(Seen::Known(current.entity_tag.clone()));
        }
        let recalled = ledger.recalled().filter(|recalled| recalled.ended.is_some())?;
        let is_over = recalled.generation == current.document.generation();
        is_over.then(|| Seen::Known(current.entity_tag.clone()))
    }

    /// Asks what an earlier life of this agent has reported, once.
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
                tracing::warn!("going on without what was reported before: {}", chain(&error));
                self.is_recalled.store(true, Ordering::Relaxed);
                Recall::Nothing
            }
        }
    }

    /// Counts a refusal, and tells it if it is not the one from before.
    fn refuse(&self, name: &'static str, sentence: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.counts.entry(name).or_default() += 1;
        let now = Some((name, sentence));
        if refused.now != now
            && let Some((reason, sentence)) = &now
        {
            tracing::warn!(job = %self.job, reason, "a document is refused: {sentence}");
        }
        refused.now = now;
    }
}

/// Whether the source has answered, but not with what may be applied.
fn is_about_content(error: &Error) -> bool {
    matches!(error, Error::NotADocument { .. } | Error::TooLarge { .. })
}
