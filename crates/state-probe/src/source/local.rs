//! Source `local`: walks a folder of this machine.
//!
//! It counts like `du --apparent-size`: the lengths of regular files, a file with several names once. Symbolic links
//! are not followed. A file that disappears during the walk belonged to an aborted checkpoint and is skipped. Any
//! other error (mainly a missing permission) fails the sample, because a partial size would be a false size.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::sample::SampleValues;

/// Why a folder gave no values.
#[derive(Debug, Error)]
pub enum LocalError {
    /// The folder, or an entry in it, cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The unreadable path.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The walk timed out.
    #[error("{}: the walk did not finish within {deadline:?}", path.display())]
    Late {
        /// Path of the folder.
        path: PathBuf,
        /// The timeout.
        deadline: Duration,
    },
    /// The folder exceeds the limit of entries.
    #[error("{}: more than {entries_max} files and folders (entries_max)", path.display())]
    TooMany {
        /// Path of the folder.
        path: PathBuf,
        /// The limit.
        entries_max: u64,
    },
    /// The thread of the walk has ended.
    #[error("the walk was interrupted")]
    CutOff,
}

/// A folder with the limits of a walk.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) path: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) entries_max: u64,
}

impl Local {
    pub(crate) async fn sample(&self) -> Result<SampleValues, LocalError> {
        let walk = Walk {
            local: self.clone(),
            end: Instant::now() + self.timeout,
            seen: HashSet::new(),
            figures: (0, 0, 0),
        };
        // A hanging file system blocks its thread forever, but not the probe.
        let walk = tokio::task::spawn_blocking(move || walk.run());
        match tokio::time::timeout(self.timeout, walk).await {
            Ok(result) => result.map_err(|_| LocalError::CutOff)?,
            Err(_late) => Err(self.late()),
        }
    }

    fn late(&self) -> LocalError {
        LocalError::Late { path: self.path.clone(), deadline: self.timeout }
    }
}

struct Walk {
    local: Local,
    end: Instant,
    /// Files with several names, by device and inode.
    seen: HashSet<(u64, u64)>,
    /// Number of bytes, files and folders.
    figures: (u64, u64, u64),
}

impl Walk {
    fn run(mut self) -> Result<SampleValues, LocalError> {
        let root = self.local.path.clone();
        let read_error = |source| LocalError::Read { path: root.clone(), source };
        // The root itself may be a symbolic link.
        let metadata = fs::metadata(&root).map_err(read_error)?;
        let mut folders = Vec::new();
        self.count(&root, &metadata, &mut folders)?;
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder);
            // The root itself must exist: an empty result would be 0.
            let entries = if folder == root {
                entries.map(Some).map_err(read_error)?
            } else {
                unless_gone(&folder, entries)?
            };
            let Some(entries) = entries else { continue };
            for entry in entries {
                let Some(entry) = unless_gone(&folder, entry)? else { continue };
                let path = entry.path();
                if let Some(metadata) = unless_gone(&path, entry.metadata())? {
                    self.count(&path, &metadata, &mut folders)?;
                }
            }
        }
        let (size_bytes, files, folders) = self.figures;
        Ok(SampleValues { size_bytes, files: Some(files), folders: Some(folders), ..SampleValues::default() })
    }

    fn count(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        folders: &mut Vec<PathBuf>,
    ) -> Result<(), LocalError> {
        if Instant::now() >= self.end {
            return Err(self.local.late());
        }
        if metadata.is_dir() {
            self.figures.2 += 1;
            folders.push(path.to_owned());
        } else if metadata.is_file()
            && (metadata.nlink() < 2 || self.seen.insert((metadata.dev(), metadata.ino())))
        {
            self.figures.0 = self.figures.0.saturating_add(metadata.len());
            self.figures.1 += 1;
        }
        if self.figures.1 + self.figures.2 > self.local.entries_max {
            let entries_max = self.local.entries_max;
            return Err(LocalError::TooMany { path: self.local.path.clone(), entries_max });
        }
        Ok(())
    }
}

fn unless_gone<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, LocalError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LocalError::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(path: &Path) -> Local {
        Local { path: path.to_owned(), timeout: Duration::from_secs(60), entries_max: 1000 }
    }

    /// Goal: each byte counts once, links are not followed, and folders are counted as HDFS counts them.
    #[tokio::test]
    async fn files_are_counted_once() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("checkpoints");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("one"), [0; 100]).unwrap();
        fs::write(root.join("a/b/two"), [0; 23]).unwrap();
        fs::hard_link(root.join("one"), root.join("a/one-again")).unwrap();
        std::os::unix::fs::symlink("/", root.join("everything")).unwrap();
        let figures = local(&root).sample().await.unwrap();
        assert_eq!((figures.size_bytes, figures.files, figures.folders), (123, Some(2), Some(3)));
        std::os::unix::fs::symlink(&root, temp.path().join("link")).unwrap();
        assert_eq!(local(&temp.path().join("link")).sample().await.unwrap().size_bytes, 123);
        let few = Local { entries_max: 4, ..local(&root) };
        assert!(matches!(few.sample().await, Err(LocalError::TooMany { .. })));
        let soon = Local { timeout: Duration::ZERO, ..local(&root) };
        assert!(matches!(soon.sample().await, Err(LocalError::Late { .. })));
    }

    #[tokio::test]
    async fn a_missing_folder_is_no_empty_one() {
        let error = local(Path::new("/nonexistent/checkpoints")).sample().await.unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nonexistent/checkpoints");
    }
}
