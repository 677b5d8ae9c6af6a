//! An exclusive lock on a file, for folders and caches that only one process at a time may use.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Holds an exclusive lock on a file until dropped. The kernel releases it when the process ends, even by a kill.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Creates the file if it is missing and locks it. Returns `None` if another process, or another value in this one, holds the lock.
    ///
    /// # Errors
    /// Fails if the file cannot be opened or the file system has no locks.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = File::options().create(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process forked by another thread holds a copy of the descriptor,
        // and so the lock, until it executes its program.
        drop(self.file.unlock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the lock has one holder at a time.
    #[test]
    fn has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::try_acquire(&path).unwrap();
        assert!(first.is_some());
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        drop(first);
        assert!(FileLock::try_acquire(&path).unwrap().is_some());
    }

    /// Goal: a released lock is free even while a copy of its descriptor is open, as in a child between fork and
    /// exec. Regression: a test of the rescaler found its own folder "in use" this way.
    #[test]
    fn is_released_although_a_child_has_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::try_acquire(&path).unwrap().unwrap();
        let copy = first.file.try_clone().unwrap();
        drop(first);
        assert!(FileLock::try_acquire(&path).unwrap().is_some());
        drop(copy);
    }
}
