//! Health check of the data folder's disk: a test write, made on request and at most every few seconds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use journal::write_atomically;

/// How long a result is cached.
const FRESH: Duration = Duration::from_secs(5);

/// How long a request waits for the test write; then it gets the previous result, or that the disk is slow.
const PATIENCE: Duration = Duration::from_millis(500);

/// Name of the test file.
const PROBE: &str = ".health";

/// The data folder's disk.
#[derive(Debug)]
pub(crate) struct Disk {
    probe: PathBuf,
    seen: Mutex<DiskCheck>,
}

#[derive(Debug, Default)]
struct DiskCheck {
    /// Start of the newest completed test write.
    at: Option<Instant>,
    problem: Option<String>,
    /// Start of the test write in progress.
    trying: Option<Instant>,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { probe: folder.join(PROBE), seen: Mutex::default() }
    }

    /// Returns why the disk cannot be written, if so.
    pub(crate) async fn problem(self: &Arc<Self>) -> Option<String> {
        if self.begins() {
            let disk = Arc::clone(self);
            let trying = tokio::task::spawn_blocking(move || disk.check());
            let _slow = tokio::time::timeout(PATIENCE, trying).await;
        }
        let seen = self.seen();
        match seen.trying {
            Some(since) if since.elapsed() > FRESH => {
                Some(format!("the disk has not responded for {} s", since.elapsed().as_secs()))
            }
            _ => seen.problem.clone(),
        }
    }

    /// Whether the caller must start a test write now.
    fn begins(&self) -> bool {
        let mut seen = self.seen();
        let is_due = seen.trying.is_none() && seen.at.is_none_or(|at| at.elapsed() >= FRESH);
        if is_due {
            seen.trying = Some(Instant::now());
        }
        is_due
    }

    fn check(&self) {
        let written = write_atomically(&self.probe, b"ok\n");
        let mut seen = self.seen();
        seen.at = seen.trying.take();
        seen.problem = written.err().map(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            format!("cannot write to disk: {error}{}", source.unwrap_or_default())
        });
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, DiskCheck> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a folder that rejects writes is reported with the reason, and so is its recovery.
    #[tokio::test]
    async fn a_disk_that_refuses_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::new(&folder.path().join("data")));
        disk.check();
        let problem = disk.problem().await.unwrap();
        assert!(problem.contains("cannot write to disk") && problem.contains("data"), "{problem}");
        std::fs::create_dir(folder.path().join("data")).unwrap();
        disk.check();
        assert_eq!(disk.problem().await, None);
    }
}
