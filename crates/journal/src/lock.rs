//! Folder lock: one process per folder, because two writers would corrupt a journal.

use std::path::{Path, PathBuf};

use files::FileLock;
use thiserror::Error;

use crate::{JournalError, create_folder};

/// The name of the lock file inside the folder.
const NAME: &str = ".lock";

/// Why a folder could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("{} is in use by another process; stop it, or use another folder", folder.display())]
    InUse {
        /// Path of the folder.
        folder: PathBuf,
    },
    /// The folder or its lock file cannot be opened.
    #[error(transparent)]
    Io(#[from] JournalError),
}

/// A lock on a folder, held until the value is dropped or the process ends, even by a kill.
#[derive(Debug)]
pub struct FolderLock {
    _lock: FileLock,
}

impl FolderLock {
    /// Creates the folder if it is missing and locks it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        create_folder(folder)?;
        let path = folder.join(NAME);
        match FileLock::try_acquire(&path) {
            Ok(Some(lock)) => Ok(Self { _lock: lock }),
            Ok(None) => Err(LockError::InUse { folder: folder.to_owned() }),
            Err(e) => Err(JournalError::io("lock", &path, e).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a second process is rejected while the first one holds the lock, and not after.
    #[test]
    fn one_holder_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let first = FolderLock::acquire(&folder).unwrap();
        assert!(matches!(FolderLock::acquire(&folder), Err(LockError::InUse { .. })));
        drop(first);
        FolderLock::acquire(&folder).unwrap();
    }
}
