//! What is on the disk: per job a folder with the current document and the log of reports.
//!
//! A document is replaced as a whole (see the `journal` crate), so the file is the old one or the new one at whatever
//! instruction the process dies. A file that is there but is no document stops the start: to treat it as "none yet" would
//! let a writer go back to an earlier generation.

use std::io;
use std::path::{Path, PathBuf};

use job_config::{DocumentError, JobDocument, JobName, Report};
use journal::{FolderLock, JournalError, JsonLines, LockError, create_folder, write_atomically};
use thiserror::Error;

const DOCUMENT: &str = "document.toml";
const REPORTS: &str = "reports.jsonl";

/// Why the disk did not do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder belongs to another process, or cannot be opened.
    #[error("cannot use the data folder")]
    Lock(#[from] LockError),
    /// A file could not be written or read.
    #[error("cannot keep documents and reports")]
    Journal(#[from] JournalError),
    /// A folder or file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A stored document is not one.
    #[error("{} is not the document of its job; restore it from a backup, or remove the folder to begin anew", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, unless it is a valid document of another job.
        #[source]
        source: Option<DocumentError>,
    },
}

/// The data folder, held by this process alone.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    /// A log of this size cannot come from a drop with these bounds.
    reports_limit_bytes: u64,
    _lock: FolderLock,
}

/// One job as found on the disk.
pub(crate) struct Found {
    pub(crate) document: JobDocument,
    pub(crate) reports: Vec<Report>,
    pub(crate) log: JsonLines,
}

impl Store {
    pub(crate) fn open(root: &Path, reports_limit_bytes: u64) -> Result<Self, StoreError> {
        let lock = FolderLock::acquire(root)?;
        Ok(Self { root: root.to_owned(), reports_limit_bytes, _lock: lock })
    }

    /// All jobs that have a document. Folders without one are what a crash left of a first publication.
    pub(crate) fn load(&self) -> Result<Vec<Found>, StoreError> {
        let read = |source| StoreError::Read { path: self.root.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.root).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            let Some(job) = name.to_str().and_then(|name| name.parse::<JobName>().ok()) else { continue };
            if let Some(document) = self.document(&job)? {
                let (log, reports) = self.reports(&job)?;
                found.push(Found { document, reports, log });
            }
        }
        Ok(found)
    }

    /// The document of a job as it stands on the disk.
    pub(crate) fn document(&self, job: &JobName) -> Result<Option<JobDocument>, StoreError> {
        let path = self.folder(job).join(DOCUMENT);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        match JobDocument::parse(&text) {
            Ok(document) if document.job() == job => Ok(Some(document)),
            Ok(_) => Err(StoreError::Document { path, source: None }),
            Err(source) => Err(StoreError::Document { path, source: Some(source) }),
        }
    }

    /// Makes this the document of its job, whose folder exists.
    pub(crate) fn write(&self, document: &JobDocument) -> Result<(), StoreError> {
        let path = self.folder(document.job()).join(DOCUMENT);
        Ok(write_atomically(&path, document.text().as_bytes())?)
    }

    /// The log of reports of a job, whose folder is created if it is missing.
    pub(crate) fn reports(&self, job: &JobName) -> Result<(JsonLines, Vec<Report>), StoreError> {
        create_folder(&self.folder(job))?;
        Ok(JsonLines::open(&self.folder(job).join(REPORTS), self.reports_limit_bytes)?)
    }

    fn folder(&self, job: &JobName) -> PathBuf {
        self.root.join(job.as_str())
    }
}
