//! The agent's journal: the file on disk and the state that its entries add up to, always in step.
//!
//! An entry takes effect in memory only after it is on disk. The change and the delivery of reports share one journal
//! under a lock. A write that has begun is completed even if its caller is dropped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use journal::{FolderLock, JournalError, JsonLines, LockError};
use thiserror::Error;
use tokio::sync::{Mutex, Notify, watch};

use crate::ledger::{Contradiction, Entry, Ledger};

const JOURNAL: &str = "journal.jsonl";

/// The largest journal that is read. A compacted one holds the last document and the undelivered reports.
const LIMIT_BYTES: u64 = 64 << 20;

/// A journal above this size is compacted at run time too.
const COMPACT_ABOVE_BYTES: u64 = 4 << 20;

/// Why the journal cannot be used. The agent does nothing without it.
#[derive(Debug, Error)]
pub enum JournalStoreError {
    /// The folder is locked by another process, or cannot be opened.
    #[error("cannot use the folder of the journal")]
    Lock(#[from] LockError),
    /// The file could not be written or read.
    #[error("cannot write the journal")]
    Journal(#[from] JournalError),
    /// The entries do not fit together.
    #[error("cannot use {}", path.display())]
    Contradiction {
        /// Path of the journal.
        path: PathBuf,
        /// The contradiction.
        #[source]
        source: Contradiction,
    },
    /// The process is shutting down.
    #[error("the agent is shutting down")]
    Interrupted,
}

/// Test hook: the journal entry at which the writer blocks, to simulate a crash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before this entry (counted from 1 since the journal was opened) is on disk.
    Before(u32),
    /// After it is on disk, before any reader sees it.
    After(u32),
}

/// Storage for journal entries.
pub trait JournalBackend: Send {
    /// Appends an entry durably: it survives any crash once this returns.
    ///
    /// # Errors
    /// The entry could not be written, and is absent.
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError>;

    /// Replaces all entries by one.
    ///
    /// # Errors
    /// The entry could not be written; the previous content is unchanged.
    fn rewrite(&mut self, entry: &Entry) -> Result<(), JournalError>;

    /// Returns the length in bytes.
    fn bytes(&self) -> u64;

    /// Returns whether a write may block for long enough to need its own thread.
    fn is_slow(&self) -> bool;
}

/// A file in a folder locked by this process.
struct File {
    log: JsonLines,
    _lock: FolderLock,
}

impl JournalBackend for File {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.log.append(entry)
    }

    fn rewrite(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.log.rewrite([entry])
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn is_slow(&self) -> bool {
        true
    }
}

struct JournalWriter {
    backend: Box<dyn JournalBackend>,
    path: PathBuf,
    outbox_most: usize,
}

/// The journal. Cheap to clone: all clones share one journal.
#[derive(Clone)]
pub struct JournalStore {
    writer: Arc<Mutex<JournalWriter>>,
    ledger: watch::Sender<Arc<Ledger>>,
    crash_hook: Arc<CrashHook>,
}

/// See [`CrashPoint`].
#[derive(Default)]
struct CrashHook {
    at: std::sync::Mutex<Option<CrashPoint>>,
    entries: AtomicU32,
    reached: Notify,
}

impl JournalStore {
    /// Locks the folder, reads the journal and compacts it.
    ///
    /// # Errors
    /// See [`JournalStoreError`].
    pub fn open(folder: &Path, outbox_most: usize) -> Result<Self, JournalStoreError> {
        let lock = FolderLock::acquire(folder)?;
        let path = folder.join(JOURNAL);
        let (log, entries) = JsonLines::open::<Entry>(&path, LIMIT_BYTES)?;
        Self::over(Box::new(File { log, _lock: lock }), path, &entries, outbox_most)
    }

    /// Opens a journal on this storage with these entries and compacts it. `path` names it in messages.
    ///
    /// # Errors
    /// The entries contradict each other, or could not be rewritten.
    pub fn over(
        backend: Box<dyn JournalBackend>,
        path: PathBuf,
        entries: &[Entry],
        outbox_most: usize,
    ) -> Result<Self, JournalStoreError> {
        let mut ledger = Ledger::default();
        for entry in entries {
            ledger
                .apply(entry)
                .map_err(|source| JournalStoreError::Contradiction { path: path.clone(), source })?;
        }
        let mut writer = JournalWriter { backend, path, outbox_most };
        if entries.len() > 1 {
            ledger.shorten_outbox(outbox_most);
            writer.compact(&ledger)?;
        }
        let (writer, ledger) = (Arc::new(Mutex::new(writer)), watch::Sender::new(Arc::new(ledger)));
        Ok(Self { writer, ledger, crash_hook: Arc::default() })
    }

    /// Test hook: blocks the writer forever at the given journal entry, to simulate a crash there.
    pub fn crash_at(&self, at: CrashPoint) {
        *self.crash_hook.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Waits until the writer is blocked by [`JournalStore::crash_at`].
    pub async fn reached_crash_point(&self) {
        self.crash_hook.reached.notified().await;
    }

    /// Returns the state that all entries add up to.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.ledger.borrow().clone()
    }

    /// Returns a receiver that is notified of every new entry.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Ledger>> {
        self.ledger.subscribe()
    }

    /// Writes an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// The entry could not be written and has no effect.
    pub async fn write(&self, entry: Entry) -> Result<(), JournalStoreError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let number = self.crash_hook.entries.fetch_add(1, Ordering::Relaxed) + 1;
        self.crash_hook.at(CrashPoint::Before(number)).await;
        let ledger = self.ledger.clone();
        let is_slow = writer.backend.is_slow();
        let write = move || {
            let mut next = (**ledger.borrow()).clone();
            let written = writer.write(&entry, &mut next);
            if written.is_ok() {
                ledger.send_replace(Arc::new(next));
            }
            (written, writer)
        };
        // While the writer is blocked after an entry, the lock stays held.
        let (written, _pages) = match is_slow {
            true => tokio::task::spawn_blocking(write)
                .await
                .map_err(|_panicked| JournalStoreError::Interrupted)?,
            false => write(),
        };
        self.crash_hook.at(CrashPoint::After(number)).await;
        written
    }
}

impl CrashHook {
    /// Returns at once, unless the writer is to block here.
    async fn at(&self, here: CrashPoint) {
        if *self.at.lock().unwrap_or_else(PoisonError::into_inner) == Some(here) {
            self.reached.notify_one();
            std::future::pending().await
        }
    }
}

impl JournalWriter {
    fn write(&mut self, entry: &Entry, ledger: &mut Ledger) -> Result<(), JournalStoreError> {
        ledger
            .apply(entry)
            .map_err(|source| JournalStoreError::Contradiction { path: self.path.clone(), source })?;
        self.backend.append(entry)?;
        let lost = ledger.shorten_outbox(self.outbox_most);
        if lost > 0 {
            tracing::warn!(lost, "the drop was unreachable for too long: dropped the oldest reports");
        }
        if self.backend.bytes() > COMPACT_ABOVE_BYTES {
            self.compact(ledger)?;
        }
        Ok(())
    }

    fn compact(&mut self, ledger: &Ledger) -> Result<(), JournalError> {
        self.backend.rewrite(&Entry::Snapshot(Box::new(ledger.clone())))
    }
}
