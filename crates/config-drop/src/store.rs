//! What is on the disk: per job a folder with the current document, the ones before it, and the log of reports.
//!
//! A document is replaced as a whole (see the `journal` crate), so the file is the old one or the new one at whatever
//! instruction the process dies. Its signature stands in the same file, as a comment on the first line, because two files cannot
//! change at one moment. A file that is there but is no document stops the start: to treat it as "none yet" would
//! let a writer go back to an earlier generation.

use std::io;
use std::path::{Path, PathBuf};

use job_config::{DocumentError, JobDocument, JobName, Report, Signature};
use journal::{
    FolderLock, JournalError, JsonLines, LockError, create_folder, sync, sync_folder_of, write_atomically,
};
use thiserror::Error;

const DOCUMENT: &str = "document.toml";
const HISTORY: &str = "history";
const REPORTS: &str = "reports.jsonl";

/// How the first line of a stored document begins; the rest of the line is its signature, or [`UNSIGNED`].
const SIGNATURE: &str = "# rescaler-signature: ";
const UNSIGNED: &str = "none";

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

/// A document with the signature that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) document: JobDocument,
    pub(crate) signature: Option<Signature>,
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
    pub(crate) current: Signed,
    /// Older documents, oldest first.
    pub(crate) older: Vec<Signed>,
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
        let mut found = Vec::new();
        for name in names(&self.root)? {
            let Ok(job) = name.parse::<JobName>() else { continue };
            if let Some(current) = self.document(&job)? {
                // It may be what a killed process had not made sure of: nobody is shown what a loss of power could take back.
                self.sync(&job)?;
                let older = self.older(&job, current.document.generation())?;
                let (log, reports) = self.reports(&job)?;
                found.push(Found { current, older, reports, log });
            }
        }
        Ok(found)
    }

    /// The document of a job as it stands on the disk.
    pub(crate) fn document(&self, job: &JobName) -> Result<Option<Signed>, StoreError> {
        read(&self.folder(job).join(DOCUMENT), job)
    }

    /// Makes sure that the document of a job is on the disk, under its name.
    pub(crate) fn sync(&self, job: &JobName) -> Result<(), StoreError> {
        Ok(sync(&self.folder(job).join(DOCUMENT))?)
    }

    /// An older document of a job, if it is still kept.
    pub(crate) fn edition(&self, job: &JobName, generation: u64) -> Result<Option<Signed>, StoreError> {
        read(&self.edition_path(job, generation), job)
    }

    /// Makes this the document of its job, whose folder exists. The one before it, of generation `before`, is kept.
    pub(crate) fn write(&self, signed: &Signed, before: Option<u64>) -> Result<(), StoreError> {
        let job = signed.document.job();
        let path = self.folder(job).join(DOCUMENT);
        if let Some(generation) = before {
            // The history is for people: a file system without links does not keep a change from being made.
            if let Err(error) = self.keep(&path, &self.edition_path(job, generation)) {
                tracing::warn!(%job, generation, "a document could not be kept for the history: {error}");
            }
        }
        let signature = signed.signature.map_or(UNSIGNED.to_owned(), |signature| signature.to_string());
        let text = format!("{SIGNATURE}{signature}\n{}", signed.document.text());
        Ok(write_atomically(&path, text.as_bytes())?)
    }

    /// Lets go of older documents.
    pub(crate) fn forget(&self, job: &JobName, generations: &[u64]) {
        for generation in generations {
            let path = self.edition_path(job, *generation);
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), "an old document could not be removed: {error}");
            }
        }
    }

    /// The log of reports of a job, whose folder is created if it is missing.
    pub(crate) fn reports(&self, job: &JobName) -> Result<(JsonLines, Vec<Report>), StoreError> {
        create_folder(&self.folder(job).join(HISTORY))?;
        Ok(JsonLines::open(&self.folder(job).join(REPORTS), self.reports_limit_bytes)?)
    }

    /// Gives the file that is about to be replaced a second name: no byte is written, and a crash leaves it under both.
    fn keep(&self, current: &Path, edition: &Path) -> io::Result<()> {
        remove(edition)?;
        std::fs::hard_link(current, edition)?;
        // The document before is what its successors are rolled back to.
        sync_folder_of(edition).map_err(io::Error::other)
    }

    fn older(&self, job: &JobName, current: u64) -> Result<Vec<Signed>, StoreError> {
        let folder = self.folder(job).join(HISTORY);
        let names = if folder.is_dir() { names(&folder)? } else { Vec::new() };
        let mut generations: Vec<u64> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".toml")?.parse().ok())
            .filter(|generation| *generation < current)
            .collect();
        generations.sort_unstable();
        let mut older = Vec::new();
        for generation in generations {
            match self.edition(job, generation) {
                Ok(signed) => older.extend(signed),
                Err(error) => tracing::warn!("left out of the history: {error}"),
            }
        }
        Ok(older)
    }

    fn edition_path(&self, job: &JobName, generation: u64) -> PathBuf {
        self.folder(job).join(HISTORY).join(format!("{generation}.toml"))
    }

    fn folder(&self, job: &JobName) -> PathBuf {
        self.root.join(job.as_str())
    }
}

fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::Read { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let names = entries.map(|entry| Ok(entry.map_err(failed)?.file_name().into_string().ok()));
    Ok(names.collect::<Result<Vec<_>, StoreError>>()?.into_iter().flatten().collect())
}

/// The largest stored document that is read, in bytes: the largest `limits.document_bytes` with its signature.
const STORED_BYTES: u64 = 17 << 20;

fn read(path: &Path, job: &JobName) -> Result<Option<Signed>, StoreError> {
    let path = path.to_owned();
    let stored = match files::read_text(&path, STORED_BYTES) {
        Ok(stored) => stored,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(StoreError::Read { path, source }),
    };
    // A file without that line is one that a person has put there.
    let (signature, text) = match stored.strip_prefix(SIGNATURE).and_then(|rest| rest.split_once('\n')) {
        Some((signature, text)) => (signature.parse().ok(), text),
        None => (None, stored.as_str()),
    };
    match JobDocument::parse(text) {
        Ok(document) if document.job() == job => Ok(Some(Signed { document, signature })),
        Ok(_) => Err(StoreError::Document { path, source: None }),
        Err(source) => Err(StoreError::Document { path, source: Some(source) }),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
