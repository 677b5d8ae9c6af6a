//! Storage on disk: per job a folder with the current document, its predecessors, and the log of reports.
//!
//! A document is replaced atomically (see the `journal` crate): after a kill at any instruction, the file is the old
//! or the new one. Its signature is a comment on the first line of the same file, because two files cannot be
//! replaced atomically. An invalid document prevents the start: treating it as missing would let a writer return to
//! an earlier generation.

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

/// Prefix of a stored document's first line; the rest of the line is its signature, or [`UNSIGNED`].
const SIGNATURE: &str = "# rescaler-signature: ";
const UNSIGNED: &str = "none";

/// A failed operation on the disk.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder is locked by another process, or cannot be opened.
    #[error("cannot use the data folder")]
    Lock(#[from] LockError),
    /// A file could not be written or read.
    #[error("cannot store documents and reports")]
    Journal(#[from] JournalError),
    /// A folder or file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the folder or file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A stored document is invalid.
    #[error("{} is not the document of its job; restore it from a backup, or remove the folder to start over", path.display())]
    Document {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it; `None`: a valid document of another job.
        #[source]
        source: Option<DocumentError>,
    },
}

/// A document with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedDocument {
    pub(crate) document: JobDocument,
    pub(crate) signature: Option<Signature>,
}

/// The data folder, locked by this process.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    /// Size limit of a log of reports, from the other limits.
    reports_limit_bytes: u64,
    _lock: FolderLock,
}

/// One job as loaded from disk.
pub(crate) struct StoredJob {
    pub(crate) current: SignedDocument,
    /// Older documents, oldest first.
    pub(crate) older: Vec<SignedDocument>,
    pub(crate) reports: Vec<Report>,
    pub(crate) log: JsonLines,
}

impl Store {
    pub(crate) fn open(root: &Path, reports_limit_bytes: u64) -> Result<Self, StoreError> {
        let lock = FolderLock::acquire(root)?;
        Ok(Self { root: root.to_owned(), reports_limit_bytes, _lock: lock })
    }

    /// Loads all jobs that have a document. Folders without one are remnants of a crash during a first publication.
    pub(crate) fn load(&self) -> Result<Vec<StoredJob>, StoreError> {
        let mut found = Vec::new();
        for name in names(&self.root)? {
            let Ok(job) = name.parse::<JobName>() else { continue };
            if let Some(current) = self.document(&job)? {
                // A killed process may not have synced it; readers must not see what a power loss could undo.
                self.sync(&job)?;
                let older = self.older(&job, current.document.generation())?;
                let (log, reports) = self.reports(&job)?;
                found.push(StoredJob { current, older, reports, log });
            }
        }
        Ok(found)
    }

    /// Reads the document of a job from disk.
    pub(crate) fn document(&self, job: &JobName) -> Result<Option<SignedDocument>, StoreError> {
        read(&self.folder(job).join(DOCUMENT), job)
    }

    /// Syncs the document of a job and its directory entry.
    pub(crate) fn sync(&self, job: &JobName) -> Result<(), StoreError> {
        Ok(sync(&self.folder(job).join(DOCUMENT))?)
    }

    /// Reads an older document of a job, if it is within the retention.
    pub(crate) fn revision(
        &self,
        job: &JobName,
        generation: u64,
    ) -> Result<Option<SignedDocument>, StoreError> {
        read(&self.revision_path(job, generation), job)
    }

    /// Writes the document of its job, whose folder exists. The predecessor, of generation `before`, is kept.
    pub(crate) fn write(&self, signed: &SignedDocument, before: Option<u64>) -> Result<(), StoreError> {
        let job = signed.document.job();
        let path = self.folder(job).join(DOCUMENT);
        if let Some(generation) = before {
            // The history is for people: a file system without links must not prevent a change.
            if let Err(error) = self.keep(&path, &self.revision_path(job, generation)) {
                tracing::warn!(%job, generation, "could not add a document to the history: {error}");
            }
        }
        let signature = signed.signature.map_or(UNSIGNED.to_owned(), |signature| signature.to_string());
        let text = format!("{SIGNATURE}{signature}\n{}", signed.document.text());
        Ok(write_atomically(&path, text.as_bytes())?)
    }

    /// Deletes older documents.
    pub(crate) fn forget(&self, job: &JobName, generations: &[u64]) {
        for generation in generations {
            let path = self.revision_path(job, *generation);
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), "could not remove an old document: {error}");
            }
        }
    }

    /// Opens the log of reports of a job, creating its folder if missing.
    pub(crate) fn reports(&self, job: &JobName) -> Result<(JsonLines, Vec<Report>), StoreError> {
        create_folder(&self.folder(job).join(HISTORY))?;
        Ok(JsonLines::open(&self.folder(job).join(REPORTS), self.reports_limit_bytes)?)
    }

    /// Hard-links the file that is about to be replaced: no byte is written, and a crash leaves it under both names.
    fn keep(&self, current: &Path, revision: &Path) -> io::Result<()> {
        remove(revision)?;
        std::fs::hard_link(current, revision)?;
        // A rollback needs the previous document.
        sync_folder_of(revision).map_err(io::Error::other)
    }

    fn older(&self, job: &JobName, current: u64) -> Result<Vec<SignedDocument>, StoreError> {
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
            match self.revision(job, generation) {
                Ok(signed) => older.extend(signed),
                Err(error) => tracing::warn!("skipped in the history: {error}"),
            }
        }
        Ok(older)
    }

    fn revision_path(&self, job: &JobName, generation: u64) -> PathBuf {
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

fn read(path: &Path, job: &JobName) -> Result<Option<SignedDocument>, StoreError> {
    let path = path.to_owned();
    let stored = match files::read_text(&path, STORED_BYTES) {
        Ok(stored) => stored,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(StoreError::Read { path, source }),
    };
    // A file without that line was put there by a person.
    let (signature, text) = match stored.strip_prefix(SIGNATURE).and_then(|rest| rest.split_once('\n')) {
        Some((signature, text)) => (signature.parse().ok(), text),
        None => (None, stored.as_str()),
    };
    match JobDocument::parse(text) {
        Ok(document) if document.job() == job => Ok(Some(SignedDocument { document, signature })),
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
