//! The documents and reports of all jobs: who may replace what, and who waits for it.
//!
//! A job has one lock for its writers, held from the check of the precondition to the moment the new document is on the
//! disk and shown to readers: of two writers one wins, the other sees that it lost. The work of a writer runs in a task of
//! its own, so that a client that hangs up half-way cannot leave disk and memory different. Readers never wait for writers;
//! they are woken by the change itself.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use job_config::{EntityTag, FIRST_GENERATION_MAX, JobDocument, JobName, Report, Signature};
use journal::JournalError;
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::conditions::Expected;
use crate::config::Limits;
use crate::disk::Disk;
use crate::history::{Edition, History};
use crate::reports::{LOG_SLACK, ReportError, Reports};
use crate::store::{Found, Signed, Store, StoreError};

/// A document with the tag it is served under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The document.
    pub document: JobDocument,
    /// Its tag.
    pub entity_tag: EntityTag,
    /// The signature that it came with.
    pub signature: Option<Signature>,
}

impl Stored {
    pub(crate) fn new(signed: Signed) -> Self {
        let Signed { document, signature } = signed;
        Self { entity_tag: document.entity_tag(), document, signature }
    }
}

/// Why a document was not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The precondition does not hold.
    #[error("the current document is another one ({}); get it and decide anew", current.as_ref().map_or("none", EntityTag::as_str))]
    NotCurrent {
        /// What is current.
        current: Option<EntityTag>,
    },
    /// The precondition holds, but the generation leaves a gap or goes back.
    #[error("generation {found} is not the successor of {current}; publish {}", current + 1)]
    NotTheSuccessor {
        /// The generation that is current.
        current: u64,
        /// The generation of the document.
        found: u64,
    },
    /// The first document has a generation that few or none could follow.
    #[error("generation {found} is above {FIRST_GENERATION_MAX}, the highest that a first document may have")]
    FirstTooHigh {
        /// The generation of the document.
        found: u64,
    },
    /// One job more than the configuration allows.
    #[error("there are {limit} jobs already; raise limits.jobs, or remove one from the data folder")]
    TooManyJobs {
        /// The bound.
        limit: usize,
    },
    /// The disk refused. What is current is what the disk has.
    #[error("the document could not be stored; nothing has changed, or ask what is current")]
    Store(#[source] StoreError),
    /// The process is ending.
    #[error("the server is shutting down")]
    Interrupted,
}

/// Too many readers wait already.
#[derive(Debug)]
pub(crate) struct TooManyReaders;

struct Job {
    current: watch::Sender<Arc<Stored>>,
    history: std::sync::Mutex<History>,
    writer: Arc<Mutex<()>>,
    reports: Arc<Mutex<Reports>>,
}

struct Inner {
    store: Store,
    limits: Limits,
    jobs: RwLock<BTreeMap<JobName, Arc<Job>>>,
    /// Held while the first document of any job is written.
    creation: Arc<Mutex<()>>,
    /// Wakes those who wait for the first document of a job.
    created: watch::Sender<()>,
    readers: Semaphore,
    /// Places of those with a reader's token: half, so that agents always find one.
    tokened_readers: Semaphore,
    closing: watch::Sender<bool>,
    disk: Arc<Disk>,
}

/// The documents and reports of all jobs. Cheap to clone: all clones are one board.
#[derive(Clone)]
pub struct Board {
    inner: Arc<Inner>,
}

impl Board {
    /// Takes possession of the data folder and reads what is there.
    ///
    /// # Errors
    /// The folder is in use, cannot be read, or holds something that is not a document.
    pub fn open(data: &std::path::Path, limits: &Limits) -> Result<Self, StoreError> {
        // JSON escapes make a report at most six times as long as its text; one line more than the slack may be there.
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

    /// The bounds that this board was opened with.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The current document of a job.
    pub fn current(&self, job: &JobName) -> Option<Arc<Stored>> {
        self.inner.job(job).map(|job| job.current.borrow().clone())
    }

    /// All jobs with the generation of their document.
    pub fn generations(&self) -> Vec<(JobName, u64)> {
        let jobs = self.inner.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().map(|(name, job)| (name.clone(), job.current.borrow().document.generation())).collect()
    }

    /// Why nothing can be kept now, if so. Known a moment after it was asked for, and again every few seconds.
    pub(crate) async fn problem(&self) -> Option<String> {
        self.inner.disk.problem().await
    }

    /// How many readers wait for a change now.
    pub fn waiting_readers(&self) -> usize {
        self.inner.limits.waiting_readers - self.inner.readers.available_permits()
    }

    /// Ends all waiting, now and from now on.
    pub fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    /// The document of a job as soon as there is one whose tag is not among `known`; what is current after `wait`, or at
    /// the shutdown.
    pub(crate) async fn await_other(
        &self,
        job: &JobName,
        known: &[EntityTag],
        wait: Duration,
        is_reader: bool,
    ) -> Result<Option<Arc<Stored>>, TooManyReaders> {
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

    /// Makes `document` the current one of its job, if what is current is what the writer expects. The answer says whether
    /// it is the job's first. A document that is current already is taken again, whatever was expected, because its writer
    /// may have missed the first answer.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, document: JobDocument, expected: Expected) -> Result<bool, PublishError> {
        self.publish_signed(document, None, expected).await
    }

    /// The same with a signature, which is kept and handed out with the document. Published again with exactly the current
    /// document, it becomes the signature of that.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_signed(
        &self,
        document: JobDocument,
        signature: Option<Signature>,
        expected: Expected,
    ) -> Result<bool, PublishError> {
        let inner = Arc::clone(&self.inner);
        let signed = Signed { document, signature };
        let task = async move {
            match inner.job(signed.document.job()) {
                Some(job) => inner.replace(&job, signed, &expected).await.map(|()| false),
                None => inner.create(signed, &expected).await,
            }
        };
        tokio::spawn(task).await.unwrap_or(Err(PublishError::Interrupted))
    }

    /// The newest documents of a job, oldest first; `None` if there is no such job.
    pub fn history(&self, job: &JobName) -> Option<Vec<Edition>> {
        let job = self.inner.job(job)?;
        Some(job.history.lock().unwrap_or_else(PoisonError::into_inner).list())
    }

    /// A document of a job, if it is current or still kept.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) async fn edition(
        &self,
        job: &JobName,
        generation: u64,
    ) -> Result<Option<Stored>, PublishError> {
        match self.current(job) {
            None => return Ok(None),
            Some(current) if current.document.generation() == generation => {
                return Ok(Some((*current).clone()));
            }
            Some(_) => {}
        }
        let (inner, job) = (Arc::clone(&self.inner), job.clone());
        let read = tokio::task::spawn_blocking(move || inner.store.edition(&job, generation)).await;
        let signed = read.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::Store)?;
        Ok(signed.map(Stored::new))
    }

    /// Keeps a report. One that is here already changes nothing.
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

    /// The newest reports of a job, oldest first; `None` if there is no such job.
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

    /// Returns as soon as the job has a document whose tag is not among `known`.
    async fn other_than(&self, name: &JobName, known: &[EntityTag]) {
        loop {
            // Subscribed before looking, so that a job which appears in between is not missed.
            let mut created = self.created.subscribe();
            let outcome = match self.job(name) {
                Some(job) => {
                    let other = |stored: &Arc<Stored>| !known.contains(&stored.entity_tag);
                    job.current.subscribe().wait_for(other).await.map(drop)
                }
                None => match created.changed().await {
                    Ok(()) => continue,
                    Err(closed) => Err(closed),
                },
            };
            // The senders live as long as the board: there is no other outcome than a change.
            if outcome.is_ok() {
                return;
            }
        }
    }

    async fn replace(
        self: &Arc<Self>,
        job: &Job,
        mut signed: Signed,
        expected: &Expected,
    ) -> Result<(), PublishError> {
        let _writer = job.writer.lock().await;
        let current = job.current.borrow().clone();
        let before = if is_current(&current, &signed.document) {
            signed.signature = signed.signature.or(current.signature);
            if signed.signature == current.signature {
                // What is acknowledged is on the disk, whatever became of the first try.
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
            // The disk may have the new document all the same. Readers see what a restart would show them, but nothing that a loss of
            // power could take back.
            Err(_) => self.durable(signed.document.job()).await,
        };
        if let Some(shown) = shown.map(Stored::new).filter(|shown| *shown != *current) {
            self.show(job, shown);
        }
        written
    }

    /// Lets readers see the new document, and lets go of the oldest one.
    fn show(&self, job: &Job, stored: Stored) {
        let name = stored.document.job().clone();
        let mut history = job.history.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = history.add(Edition::of(&stored), self.limits.history);
        drop(history);
        job.current.send_replace(Arc::new(stored));
        self.store.forget(&name, &forgotten);
    }

    async fn create(self: &Arc<Self>, signed: Signed, expected: &Expected) -> Result<bool, PublishError> {
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
            let found = Found { current, older: Vec::new(), reports, log };
            let (job, _) = Job::from_disk(found, &self.limits).map_err(|e| PublishError::Store(e.into()))?;
            self.jobs.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(job));
            self.created.send_replace(());
        }
        written.map(|()| true)
    }

    /// The document of a job as it stands on the disk, if it can be made sure of.
    async fn durable(self: &Arc<Self>, job: &JobName) -> Option<Signed> {
        self.sync(job).await.ok()?;
        self.store.document(job).ok().flatten()
    }

    /// Makes sure that the document of a job is on the disk.
    async fn sync(self: &Arc<Self>, job: &JobName) -> Result<(), PublishError> {
        let (inner, job) = (Arc::clone(self), job.clone());
        let synced = tokio::task::spawn_blocking(move || inner.store.sync(&job)).await;
        synced.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::Store)
    }

    async fn write(self: &Arc<Self>, signed: Signed, before: Option<u64>) -> Result<(), PublishError> {
        let inner = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || inner.store.write(&signed, before)).await;
        written.map_err(|_| PublishError::Interrupted)?.map_err(PublishError::Store)
    }
}

fn is_current(current: &Stored, document: &JobDocument) -> bool {
    current.document.text() == document.text()
}

/// Whether the document may follow the current one.
fn admit(current: Option<&Stored>, document: &JobDocument, expected: &Expected) -> Result<(), PublishError> {
    let holds = match (current, expected) {
        (None, Expected::Nothing) => true,
        (Some(current), Expected::Document(tag)) => current.entity_tag == *tag,
        (None, Expected::Document(_)) | (Some(_), Expected::Nothing) => false,
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
    /// The job, and the generations that are beyond the bound of its history.
    fn from_disk(found: Found, limits: &Limits) -> Result<(Self, Vec<u64>), JournalError> {
        let Found { current, older, reports, log } = found;
        let reports = Reports::from_disk(log, reports, current.document.generation(), limits.reports_kept)?;
        let older = older.into_iter().map(|signed| Edition::of(&Stored::new(signed))).collect();
        let mut history = History::new(older);
        let current = Stored::new(current);
        let forgotten = history.add(Edition::of(&current), limits.history);
        let job = Self {
            current: watch::Sender::new(Arc::new(current)),
            history: std::sync::Mutex::new(history),
            writer: Arc::default(),
            reports: Arc::new(Mutex::new(reports)),
        };
        Ok((job, forgotten))
    }
}
