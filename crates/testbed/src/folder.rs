//! The work folder: the paths of a testbed's files, and the lock that allows only one testbed in it.
//!
//! The lock belongs to the testbed's process and disappears with it, even after a kill.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use files::FileLock;

/// The paths inside one work folder.
#[derive(Clone, Debug)]
pub(crate) struct WorkFolder {
    root: PathBuf,
}

/// Locks the work folder until dropped, and then removes the state file, so that only a crash leaves one behind.
#[derive(Debug)]
pub(crate) struct FolderLock {
    state_file: PathBuf,
    _lock: FileLock,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Absent when the start failed early. The pids of a leftover file are not trusted.
        drop(fs::remove_file(&self.state_file));
    }
}

impl WorkFolder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.root.join("state.json")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn settings_file(&self) -> PathBuf {
        self.root.join("settings.toml")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn log_of(&self, service: &str) -> PathBuf {
        self.logs().join(format!("{service}.log"))
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.root.join("conf")
    }

    pub(crate) fn kafka_data(&self) -> PathBuf {
        self.root.join("kafka-data")
    }

    /// Returns Hadoop's configuration folder, the value of `HADOOP_CONF_DIR` for its clients.
    pub(crate) fn hadoop_conf(&self) -> PathBuf {
        self.conf().join("hadoop")
    }

    pub(crate) fn hdfs_data(&self) -> PathBuf {
        self.root.join("hdfs-data")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub(crate) fn savepoints(&self) -> PathBuf {
        self.root.join("savepoints")
    }

    /// Returns the scratch folder, emptied at every start.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Takes the lock, creating the folder if necessary; `None` if another process holds it.
    pub(crate) fn try_lock(&self) -> io::Result<Option<FolderLock>> {
        fs::create_dir_all(&self.root)?;
        let lock = FileLock::try_acquire(&self.lock_file())?;
        Ok(lock.map(|lock| FolderLock { state_file: self.state_file(), _lock: lock }))
    }

    /// Creates all folders; empties the scratch folder and the services' logs, and with `fresh` deletes all data.
    pub(crate) fn prepare(&self, fresh: bool) -> io::Result<()> {
        if fresh {
            for data in [self.kafka_data(), self.hdfs_data(), self.checkpoints(), self.savepoints()] {
                remove_tree(&data)?;
            }
        }
        remove_tree(&self.tmp())?;
        for folder in [self.logs(), self.conf(), self.checkpoints(), self.savepoints(), self.tmp()] {
            fs::create_dir_all(folder)?;
        }
        for entry in fs::read_dir(self.logs())? {
            let path = entry?.path();
            // The supervisor's own log is already open.
            if path != self.log_of("supervisor") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Removes a folder with its content; a missing folder is not an error.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_the_lock() {
        let temp = tempfile::tempdir().unwrap();
        let folder = WorkFolder::new(temp.path().join("work"));
        let lock = folder.try_lock().unwrap().unwrap();
        assert!(folder.try_lock().unwrap().is_none());
        drop(lock);
        assert!(folder.try_lock().unwrap().is_some());
    }

    #[test]
    fn only_a_fresh_start_forgets_data() {
        let temp = tempfile::tempdir().unwrap();
        let folder = WorkFolder::new(temp.path().to_owned());
        folder.prepare(false).unwrap();
        let (data, scratch, log) =
            (folder.checkpoints().join("a"), folder.tmp().join("b"), folder.log_of("kafka"));
        for file in [&data, &scratch, &log] {
            fs::write(file, "x").unwrap();
        }
        folder.prepare(false).unwrap();
        assert!(data.exists() && !scratch.exists() && !log.exists());
        folder.prepare(true).unwrap();
        assert!(!data.exists());
    }
}
