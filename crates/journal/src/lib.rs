//! Crash-safe storage: atomically replaced files and append-only logs.
//!
//! The config drop stores its documents and reports with it, the config agent its journal. Both must survive `kill
//! -9` and a power loss at any instruction. The meaning of entries is left to the callers. There is no index, no
//! concurrency and no async code (async callers use a blocking thread).

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

/// A failed operation on a file or log.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The operating system returned an error.
    #[error("could not {action} {}", path.display())]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A complete line of a log is not what this program writes.
    #[error("{}, line {line}: not an entry of this log; move the file away to start over, or restore it", path.display())]
    Corrupt {
        /// Path of the log.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// The log exceeds its size limit.
    #[error("{} has {found} bytes, limit {limit}; move the file away", path.display())]
    TooLarge {
        /// Path of the log.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// An entry cannot be written as JSON.
    #[error("cannot serialise an entry for {}", path.display())]
    Encode {
        /// Path of the log.
        path: PathBuf,
        /// The serializer's error.
        #[source]
        source: serde_json::Error,
    },
    /// An earlier write failed half-way and could not be undone; the next start reads the file again.
    #[error("{} was closed after a failed write; free space on its disk, then restart", path.display())]
    Closed {
        /// Path of the log.
        path: PathBuf,
    },
}

impl JournalError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
