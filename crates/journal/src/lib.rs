//! What is on disk after a crash is what was promised before it: files that change as a whole, and logs that only grow.
//!
//! The config drop keeps its documents and reports with it, the config agent its journal. Both must survive `kill -9`
//! and a loss of power at any instruction, which takes the same few steps in the same order each time: they are written
//! down once, here. What the entries mean is left to the callers; there is no index, no concurrency and no async
//! (callers in async code move a call to a blocking thread).

mod atomic;
mod json_lines;
mod lock;
mod rotated;

pub use atomic::{create_folder, show_atomically, sync, sync_folder_of, write_atomically};
pub use json_lines::JsonLines;
pub use lock::{FolderLock, LockError};
pub use rotated::{Bounds, Rotated, read_lines};

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why something could not be kept or read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// A whole line of a log is not what this program writes.
    #[error("{}, line {line}: not an entry of this log; put the file aside and start anew, or restore it", path.display())]
    Corrupt {
        /// The log.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// The log is larger than it may get.
    #[error("{} has {found} bytes, at most {limit} are read; put the file aside", path.display())]
    TooLarge {
        /// The log.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// An entry cannot be written as JSON.
    #[error("an entry for {} cannot be written as JSON", path.display())]
    Encode {
        /// The log.
        path: PathBuf,
        /// What the serializer says.
        #[source]
        source: serde_json::Error,
    },
    /// An earlier write failed half-way and could not be taken back; the file is read again at the next start.
    #[error("{} is closed since a write to it failed; free its disk, then start again", path.display())]
    Closed {
        /// The log.
        path: PathBuf,
    },
}

impl JournalError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
