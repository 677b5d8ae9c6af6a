//! The journal on the disk, and what it adds up to in memory, always together.
//!
//! An entry is in memory only after it is on the disk. The change and the delivery of reports write to one journal; a lock
//! keeps them apart, and a write that has begun is finished even if whoever asked for it is gone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use journal::{FolderLock, JournalError, JsonLines, LockError};
use thiserror::Error;
use tokio::sync::{Mutex, Notify, watch};

use crate::ledger::{Contradiction, Entry, Ledger};

const JOURNAL: &str = "journal.jsonl";

/// The largest journal that is read. A compacted one has the last document, and the reports that are not delivered.
const LIMIT_BYTES: u64 = 64 << 20;

/// A journal of this size is compacted while it is in use, too.
const COMPACT_ABOVE_BYTES: u64 = 4 << 20;

/// Why the journal cannot be used. Nothing is done without it.
#[derive(Debug, Error)]
pub enum BookError {
    /// The folder belongs to another process, or cannot be opened.
    #[error("cannot use the journal's folder")]
    Lock(#[from] LockError),
    /// The file could not be written or read.
    #[error("cannot keep the journal")]
    Journal(#[from] JournalError),
    /// The entries do not fit together.
    #[error("cannot use {}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        #[source]
        source: Contradiction,
    },
    /// The process is ending.
    #[error("the agent is shutting down")]
    Interrupted,
}

/// Where a book stands still, so that tests can end a run exactly there, as a crash would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Before this entry (counted from 1, since the book was opened) is on the disk.
    Before(u32),
    /// When it is on the disk, before anybody hears of it.
    After(u32),
}

/// What entries are written on.
pub trait Paper: Send {
    /// Appends an entry. It outlives every crash when this returns.
    ///
    /// # Errors
    /// It could not be written; it then is not there.
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError>;

    /// Puts one entry in the place of all.
    ///
    /// # Errors
    /// It could not be written; what was there before still is.
    fn rewrite(&mut self, entry: &Entry) -> Result<(), JournalError>;

    /// Returns its length.
    fn bytes(&self) -> u64;

    /// Returns whether writing takes so long that it needs a thread of its own.
    fn is_slow(&self) -> bool;
}

/// A file, in a folder that nobody else uses.
struct File {
    log: JsonLines,
    _lock: FolderLock,
}

impl Paper for File {
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

struct Pages {
    paper: Box<dyn Paper>,
    path: PathBuf,
    outbox_most: usize,
}

/// The journal. Cheap to clone: all clones are one book.
#[derive(Clone)]
pub struct Book {
    pages: Arc<Mutex<Pages>>,
    ledger: watch::Sender<Arc<Ledger>>,
    halt: Arc<Standstill>,
}

/// See [`Halt`].
#[derive(Default)]
struct Standstill {
    at: std::sync::Mutex<Option<Halt>>,
    entries: AtomicU32,
    reached: Notify,
}

impl Book {
    /// Takes possession of the folder, reads the journal and compacts it.
    ///
    /// # Errors
    /// See [`BookError`].
    pub fn open(folder: &Path, outbox_most: usize) -> Result<Self, BookError> {
        let lock = FolderLock::acquire(folder)?;
        let path = folder.join(JOURNAL);
        let (log, entries) = JsonLines::open::<Entry>(&path, LIMIT_BYTES)?;
        Self::over(Box::new(File { log, _lock: lock }), path, &entries, outbox_most)
    }

    /// The journal on this paper, called `path` in messages, which has these entries; compacts it.
    ///
    /// # Errors
    /// The entries do not fit together, or they could not be written anew.
    pub fn over(
        paper: Box<dyn Paper>,
        path: PathBuf,
        entries: &[Entry],
        outbox_most: usize,
    ) -> Result<Self, BookError> {
        let mut ledger = Ledger::default();
        for entry in entries {
            ledger.apply(entry).map_err(|source| BookError::Contradiction { path: path.clone(), source })?;
        }
        let mut pages = Pages { paper, path, outbox_most };
        if entries.len() > 1 {
            ledger.shorten_outbox(outbox_most);
            pages.compact(&ledger)?;
        }
        let (pages, ledger) = (Arc::new(Mutex::new(pages)), watch::Sender::new(Arc::new(ledger)));
        Ok(Self { pages, ledger, halt: Arc::default() })
    }

    /// Has the book stand still at an entry: whoever writes it waits for ever. Only tests want this.
    pub fn halt(&self, at: Halt) {
        *self.halt.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Waits until the book stands still.
    pub async fn halted(&self) {
        self.halt.reached.notified().await;
    }

    /// What all entries add up to now.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.ledger.borrow().clone()
    }

    /// Tells of every new entry.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Ledger>> {
        self.ledger.subscribe()
    }

    /// Writes an entry down. It is on the disk when this returns.
    ///
    /// # Errors
    /// The entry could not be written; it then has not happened.
    pub async fn write(&self, entry: Entry) -> Result<(), BookError> {
        let mut pages = Arc::clone(&self.pages).lock_owned().await;
        let number = self.halt.entries.fetch_add(1, Ordering::Relaxed) + 1;
        self.halt.at(Halt::Before(number)).await;
        let ledger = self.ledger.clone();
        let is_slow = pages.paper.is_slow();
        let write = move || {
            let mut next = (**ledger.borrow()).clone();
            let written = pages.write(&entry, &mut next);
            if written.is_ok() {
                ledger.send_replace(Arc::new(next));
            }
            (written, pages)
        };
        // Nobody writes while the book stands still after an entry: the pages are let go of only then.
        let (written, _pages) = match is_slow {
            true => tokio::task::spawn_blocking(write).await.map_err(|_panicked| BookError::Interrupted)?,
            false => write(),
        };
        self.halt.at(Halt::After(number)).await;
        written
    }
}

impl Standstill {
    /// Returns, unless the book is to stand still here.
    async fn at(&self, here: Halt) {
        if *self.at.lock().unwrap_or_else(PoisonError::into_inner) == Some(here) {
            self.reached.notify_one();
            std::future::pending().await
        }
    }
}

impl Pages {
    fn write(&mut self, entry: &Entry, ledger: &mut Ledger) -> Result<(), BookError> {
        ledger.apply(entry).map_err(|source| BookError::Contradiction { path: self.path.clone(), source })?;
        self.paper.append(entry)?;
        let lost = ledger.shorten_outbox(self.outbox_most);
        if lost > 0 {
            tracing::warn!(lost, "the drop has been away for too long: the oldest reports were given up");
        }
        if self.paper.bytes() > COMPACT_ABOVE_BYTES {
            self.compact(ledger)?;
        }
        Ok(())
    }

    fn compact(&mut self, ledger: &Ledger) -> Result<(), JournalError> {
        self.paper.rewrite(&Entry::Snapshot(Box::new(ledger.clone())))
    }
}
