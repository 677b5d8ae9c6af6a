//! The documents and reports of all jobs: conditional writes, and readers waiting for changes.
//!
//! Each job has one writer lock, held from the check of the precondition until the new document is on disk and
//! visible to readers: of two writers one wins, and the other gets an error. A write runs in its own task, so that a
//! client that disconnects half-way cannot leave disk and memory inconsistent. Readers never wait for writers; a
//! change wakes them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use job_config::{EntityTag, FIRST_GENERATION_MAX, JobDocument, JobName, Report, Signature, SignedFreshness};
use journal::JournalError;
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::conditions::ExpectedDocument;
use crate::config::Limits;
use crate::disk::Disk;
use crate::freshness::FreshnessRefusal;
use crate::history::{History, Revision};
use crate::reports::{LOG_SLACK, ReportError, Reports};
use crate::store::{SignedDocument, Store, StoreError, StoredJob};

/// A document with its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// The document.
    pub document: JobDocument,
    /// Its entity tag.
    pub entity_tag: EntityTag,
    /// Its signature, if it has one.
    pub signature: Option<Signature>,
}

impl StoredDocument {
    pub(crate) fn new(signed: SignedDocument) -> Self {
        let SignedDocument { document, signature } = signed;
        Self { entity_tag: document.entity_tag(), document, signature }
    }
}

/// Why a document was not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The precondition failed.
    #[error("the current document has a different entity tag ({}); fetch it and decide again", current.as_ref().map_or("none", EntityTag::as_str))]
    NotCurrent {
        /// Entity tag of the current document.
        current: Option<EntityTag>,
    },
    /// The precondition holds, but the generation is not the successor of the current one.
    #[error("generation {found} is not the successor of {current}; publish {}", current + 1)]
    NotTheSuccessor {
        /// The current generation.
        current: u64,
        /// The generation of the document.
        found: u64,
    },
    /// The first document's generation is so high that few or no successors are left.
    #[error("generation {found} is above {FIRST_GENERATION_MAX}, the highest that a first document may have")]
    FirstTooHigh {
        /// The generation of the document.
        found: u64,
    },
    /// The number of jobs has reached its limit.
    #[error("limit of {limit} jobs reached; raise limits.jobs, or remove a job from the data folder")]
    TooManyJobs {
        /// The limit.
        limit: usize,
    },
    /// The write failed. The current document is the one on disk.
    #[error("could not store the document; nothing has changed, or fetch the current one to check")]
    Store(#[source] StoreError),
    /// The process is shutting down.
    #[error("the server is shutting down")]
    Interrupted,
}

/// All long-poll slots are taken.
#[derive(Debug)]
pub(crate) struct TooManyReaders;

struct Job {
    current: watch::Sender<Arc<StoredDocument>>,
    history: std::sync::Mutex<History>,
    writer: Arc<Mutex<()>>,
    reports: Arc<Mutex<Reports>>,
    /// The publisher's newest freshness statement, and the entity tag of the document that it is about.
    freshness: std::sync::Mutex<Option<(EntityTag, SignedFreshness)>>,
}

struct Inner {
    store: Store,
    limits: Limits,
    jobs: RwLock<BTreeMap<JobName, Arc<Job>>>,
    /// Held while the first document of any job is written.
    creation: Arc<Mutex<()>>,
    /// Wakes readers that wait for the first document of a job.
    created: watch::Sender<()>,
    readers: Semaphore,
    /// Long-poll slots for reader tokens: half of all, so that agents always find one.
    tokened_readers: Semaphore,
    closing: watch::Sender<bool>,
    disk: Arc<Disk>,
}

/// The documents and reports of all jobs. Cheap to clone: all clones share one registry.
#[derive(Clone)]
pub struct DocumentRegistry {
    inner: Arc<Inner>,
}

impl DocumentRegistry {
    /// Locks the data folder and loads its content.
    ///
    /// # Errors
    /// The folder is in use, cannot be read, or holds an invalid document.
    pub fn open(data: &std::path::Path, limits: &Limits) -> Result<Self, StoreError> {
        // JSON escapes make a report at most six times as long as its text; the log may exceed its slack by one line.
        let log_bytes = 6 * limits.report_bytes * (LOG_SLACK * limits.reports_kept + 1);
        let store = Store::open(data, log_bytes as u64)?;
        let jobs = store.load()?;
        let jobs = jobs
            .into_iter()
            .map(|found| {
                let name = found.current.document.job().clone();
                let (job, forgotten) = Job::from_disk(found, limits)?;
                store.forget(&name, &forgotten);
                Ok((name, Arc::new(job)))
            })
            .collect::<Result<_, JournalError>>()?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                limits: limits.clone(),
                jobs: RwLock::new(jobs),
                creation: Arc::default(),
                created: watch::Sender::new(()),
                readers: Semaphore::new(limits.waiting_readers),
                tokened_readers: Semaphore::new(limits.waiting_readers.div_ceil(2)),
                closing: watch::Sender::new(false),
                disk: Arc::new(Disk::new(data)),
            }),
        })
    }

    /// Returns the limits that this registry was opened with.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Returns the current document of a job.
    pub fn current(&self, job: &JobName) -> Option<Arc<StoredDocument>> {
        self.inner.job(job).map(|job| job.current.borrow().clone())
    }

    /// Returns all jobs with the generation of their document.
    pub fn generations(&self) -> Vec<(JobName, u64)> {
        let jobs = self.inner.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().map(|(name, job)| (name.clone(), job.current.borrow().document.generation())).collect()
    }

    /// Returns why the disk cannot be written, if so. Checked on request, at most every few seconds.
    pub(crate) async fn problem(&self) -> Option<String> {
        self.inner.disk.problem().await
    }

    /// Returns the number of waiting readers.
    pub fn waiting_readers(&self) -> usize {
        self.inner.limits.waiting_readers - self.inner.readers.available_permits()
    }

    /// Ends all long polls, current and future.
    pub fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    /// Waits for a document of a job whose entity tag is not among `known`. Returns the current document after
    /// `wait`, or at shutdown.
    pub(crate) async fn await_other(
        &self,
        job: &JobName,
        known: &[EntityTag],
        wait: Duration,
        is_reader: bool,
    ) -> Result<Option<Arc<StoredDocument>>, TooManyReaders> {
        let _share = match is_reader {
            true => Some(self.inner.tokened_readers.try_acquire().map_err(|_none_or_closed| TooManyReaders)?),
            false => None,
        };
        let _place = self.inner.readers.try_acquire().map_err(|_none_or_closed| TooManyReaders)?;
        let mut closing = self.inner.closing.subscribe();
        tokio::select! {
            () = self.inner.other_than(job, known) => {}
            () = tokio::time::sleep(wait.min(self.inner.limits.wait)) => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
        Ok(self.current(job))
    }

    /// Replaces the job's current document if it is the one that the writer expects. Returns whether the document is
    /// the job's first. Publishing the current document again succeeds whatever was expected, because its writer may
    /// have missed the first response.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(
        &self,
        document: JobDocument,
        expected: ExpectedDocument,
    ) -> Result<bool, PublishError> {
        self.publish_signed(document, None, expected).await
    }

    /// Does the same with a signature, which is stored and served with the document. Publishing the current document
    /// again with a signature replaces the signature.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_signed(
        &self,
        document: JobDocument,
        signature: Option<Signature>,
        expected: ExpectedDocument,
    ) -> Result<bool, PublishError> {
        let inner = Arc::clone(&self.inner);
        let signed = SignedDocument { document, signature };
        let task = async move {
            match inner.job(signed.document.job()) {
                Some(job) => inner.replace(&job, signed, &expected).await.map(|()| false),
                None => inner.create(signed, &expected).await,
            }
        };
        tokio::spawn(task).await.unwrap_or(Err(PublishError::Interrupted))
    }

    /// Returns the newest documents of a job, oldest first; `None` if the job is unknown.
    pub fn history(&self, job: &JobName) -> Option<Vec<Revision>> {
        let job = self.inner.job(job)?;
        Some(job.history.lock().unwrap_or_else(PoisonError::into_inner).list())
    }

    /// Returns a document of a job, if it is current or within the retention.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) async fn revision(
        &self,
        job: &JobName,
        generation: u64,
    ) -> Result<Option<StoredDocument>, PublishError> {
        match self.current(job) {
            None => return Ok(None),
            Some(current) if current.document.generation() == generation => {
                return Ok(Some((*current).clone()));
            }
            Some(_) => {}
        }
        let (inner, job) = (Arc::clone(&self.inner), job.clone());
        let read = tokio::task::spawn_blocking(move || inner.store.revision(&job, generation)).await;
        let signed = read.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::Store)?;
        Ok(signed.map(StoredDocument::new))
    }

    /// Stores a report. Idempotent.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub async fn report(&self, job: &JobName, report: Report) -> Result<(), ReportError> {
        let job = self.inner.job(job).ok_or(ReportError::UnknownJob)?;
        let (current, found) = (job.current.borrow().document.generation(), report.generation);
        if found > current {
            return Err(ReportError::UnknownGeneration { current, found });
        }
        let mut reports = Arc::clone(&job.reports).lock_owned().await;
        let kept = self.inner.limits.reports_kept;
        let task = tokio::task::spawn_blocking(move || reports.add(report, kept));
        task.await.unwrap_or(Err(ReportError::Interrupted))
    }

    /// Replaces the freshness statement of a job. It must be about the current document.
    pub(crate) fn state_freshness(
        &self,
        job: &JobName,
        signed: SignedFreshness,
    ) -> Result<(), FreshnessRefusal> {
        let job = self.inner.job(job).ok_or(FreshnessRefusal::UnknownJob)?;
        let current = job.current.borrow().clone();
        if !signed.unverified().is_about(&current.document) {
            return Err(FreshnessRefusal::NotCurrent { current: current.document.generation() });
        }
        let stated = Some((current.entity_tag.clone(), signed));
        *job.freshness.lock().unwrap_or_else(PoisonError::into_inner) = stated;
        Ok(())
    }

    /// Returns the freshness statement about this document, if there is one.
    pub(crate) fn freshness(&self, stored: &StoredDocument) -> Option<SignedFreshness> {
        let job = self.inner.job(stored.document.job())?;
        let stated = job.freshness.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stated.filter(|(tag, _)| *tag == stored.entity_tag).map(|(_, signed)| signed)
    }

    /// Returns the newest reports of a job, oldest first; `None` if the job is unknown.
    pub async fn reports(&self, job: &JobName) -> Option<Vec<Report>> {
        let job = self.inner.job(job)?;
        let reports = job.reports.lock().await;
        Some(reports.kept.iter().cloned().collect())
    }
}

impl Inner {
    fn job(&self, name: &JobName) -> Option<Arc<Job>> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Waits until the job has a document whose entity tag is not among `known`.
    async fn other_than(&self, name: &JobName, known: &[EntityTag]) {
        loop {
            // Subscribes before checking, so that a job created in between is not missed.
            let mut created = self.created.subscribe();
            let outcome = match self.job(name) {
                Some(job) => {
                    let other = |stored: &Arc<StoredDocument>| !known.contains(&stored.entity_tag);
                    job.current.subscribe().wait_for(other).await.map(drop)
                }
                None => match created.changed().await {
                    Ok(()) => continue,
                    Err(closed) => Err(closed),
                },
            };
            // The senders live as long as the registry, so the only outcome is a change.
            if outcome.is_ok() {
                return;
            }
        }
    }

    async fn replace(
        self: &Arc<Self>,
        job: &Job,
        mut signed: SignedDocument,
        expected: &ExpectedDocument,
    ) -> Result<(), PublishError> {
        let _writer = job.writer.lock().await;
        let current = job.current.borrow().clone();
        let before = if is_current(&current, &signed.document) {
            signed.signature = signed.signature.or(current.signature);
            if signed.signature == current.signature {
                // A confirmed document is on disk, even if the first write failed to sync.
                return self.sync(signed.document.job()).await;
            }
            None
        } else {
            admit(Some(&current), &signed.document, expected)?;
            Some(current.document.generation())
        };
        let written = self.write(signed.clone(), before).await;
        let shown = match &written {
            Ok(()) => Some(signed),
            // The failed write may still have stored the document. Readers get what a restart would load and a power
            // loss cannot undo.
            Err(_) => self.durable(signed.document.job()).await,
        };
        if let Some(shown) = shown.map(StoredDocument::new).filter(|shown| *shown != *current) {
            self.show(job, shown);
        }
        written
    }

    /// Makes the new document visible to readers, and deletes history beyond the limit.
    fn show(&self, job: &Job, stored: StoredDocument) {
        let name = stored.document.job().clone();
        let mut history = job.history.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = history.add(Revision::from_stored(&stored), self.limits.history);
        drop(history);
        job.current.send_replace(Arc::new(stored));
        self.store.forget(&name, &forgotten);
    }

    async fn create(
        self: &Arc<Self>,
        signed: SignedDocument,
        expected: &ExpectedDocument,
    ) -> Result<bool, PublishError> {
        let creation = self.creation.lock().await;
        if let Some(job) = self.job(signed.document.job()) {
            drop(creation);
            return self.replace(&job, signed, expected).await.map(|()| false);
        }
        admit(None, &signed.document, expected)?;
        let limit = self.limits.jobs;
        if self.jobs.read().unwrap_or_else(PoisonError::into_inner).len() >= limit {
            return Err(PublishError::TooManyJobs { limit });
        }
        let name = signed.document.job().clone();
        let (log, reports) = self.store.reports(&name).map_err(PublishError::Store)?;
        let written = self.write(signed.clone(), None).await;
        let shown = match &written {
            Ok(()) => Some(signed),
            Err(_) => self.durable(&name).await,
        };
        if let Some(current) = shown {
            let found = StoredJob { current, older: Vec::new(), reports, log };
            let (job, _) = Job::from_disk(found, &self.limits).map_err(|e| PublishError::Store(e.into()))?;
            self.jobs.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(job));
            self.created.send_replace(());
        }
        written.map(|()| true)
    }

    /// Returns the document of a job as it is on disk, if it can be synced.
    async fn durable(self: &Arc<Self>, job: &JobName) -> Option<SignedDocument> {
        self.sync(job).await.ok()?;
        self.store.document(job).ok().flatten()
    }

    /// Syncs the document of a job to disk.
    async fn sync(self: &Arc<Self>, job: &JobName) -> Result<(), PublishError> {
        let (inner, job) = (Arc::clone(self), job.clone());
        let synced = tokio::task::spawn_blocking(move || inner.store.sync(&job)).await;
        synced.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::Store)
    }

    async fn write(
        self: &Arc<Self>,
        signed: SignedDocument,
        before: Option<u64>,
    ) -> Result<(), PublishError> {
        let inner = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || inner.store.write(&signed, before)).await;
        written.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::Store)
    }
}

fn is_current(current: &StoredDocument, document: &JobDocument) -> bool {
    current.document.text() == document.text()
}

/// Checks whether the document may replace the current one.
fn admit(
    current: Option<&StoredDocument>,
    document: &JobDocument,
    expected: &ExpectedDocument,
) -> Result<(), PublishError> {
    let holds = match (current, expected) {
        (None, ExpectedDocument::Nothing) => true,
        (Some(current), ExpectedDocument::Document(tag)) => current.entity_tag == *tag,
        (None, ExpectedDocument::Document(_)) | (Some(_), ExpectedDocument::Nothing) => false,
    };
    if !holds {
        return Err(PublishError::NotCurrent { current: current.map(|current| current.entity_tag.clone()) });
    }
    match current.map(|current| current.document.generation()) {
        Some(current) if document.generation() != current + 1 => {
            Err(PublishError::NotTheSuccessor { current, found: document.generation() })
        }
        None if document.generation() > FIRST_GENERATION_MAX => {
            Err(PublishError::FirstTooHigh { found: document.generation() })
        }
        _ => Ok(()),
    }
}

impl Job {
    /// Returns the job, and the generations beyond its history limit.
    fn from_disk(found: StoredJob, limits: &Limits) -> Result<(Self, Vec<u64>), JournalError> {
        let StoredJob { current, older, reports, log } = found;
        let reports = Reports::from_disk(log, reports, current.document.generation(), limits.reports_kept)?;
        let older =
            older.into_iter().map(|signed| Revision::from_stored(&StoredDocument::new(signed))).collect();
        let mut history = History::new(older);
        let current = StoredDocument::new(current);
        let forgotten = history.add(Revision::from_stored(&current), limits.history);
        let job = Self {
            current: watch::Sender::new(Arc::new(current)),
            history: std::sync::Mutex::new(history),
            writer: Arc::default(),
            reports: Arc::new(Mutex::new(reports)),
            freshness: std::sync::Mutex::default(),
        };
        Ok((job, forgotten))
    }
}

#[cfg(test)]
mod tests;
