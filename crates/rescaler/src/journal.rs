//! The record of every decision: JSON lines, appended and bounded.
//!
//! The journal is for people and for replays, and it is the policy's memory across restarts: each record holds the state
//! that the next epoch begins with. A plan is recorded as `publishing` *before* the document is published, so that a
//! rescaler killed in between does not forget that it acted.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use scaling::latency::State;
use scaling::{Decision, Snapshot};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
#[error("the journal {} cannot be {action}; see journal.path in the configuration", path.display())]
pub struct JournalError {
    path: PathBuf,
    action: &'static str,
    #[source]
    source: std::io::Error,
}

/// What was done about a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing was to be done.
    Nothing,
    /// Something was to be done, but this is a dry run.
    DryRun,
    /// The document is about to be published.
    Publishing {
        /// Its generation.
        generation: u64,
    },
    /// The document was published.
    Published {
        /// Its generation.
        generation: u64,
    },
    /// The document could not be published; the plan is dropped, and the next epoch decides anew.
    NotPublished {
        /// Why.
        message: String,
    },
}

/// One decision and what was done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts the epochs of this journal, from 1.
    pub epoch: u64,
    /// When the record was written.
    pub at: Timestamp,
    /// The job.
    pub job: String,
    /// What was done.
    #[serde(flatten)]
    pub effect: Effect,
    /// What was decided.
    pub decision: Decision,
    /// On what; [`None`] if nothing could be seen.
    pub snapshot: Option<Snapshot>,
    /// What the policy remembers for the next epoch.
    pub state: State,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    max_bytes: u64,
}

impl Journal {
    /// Opens or creates the journal, and returns its last whole record. A line that a crash tore is cut off.
    ///
    /// # Errors
    /// The file or its folder cannot be made, read or written.
    pub fn open(path: &Path, max_bytes: u64) -> Result<(Self, Option<Record>), JournalError> {
        let failed = |action| move |source| JournalError { path: path.to_owned(), action, source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed("created"))?;
        }
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).open(path).map_err(failed("opened"))?;
        let (last, whole_bytes) = read(&mut file).map_err(failed("read"))?;
        file.set_len(whole_bytes).map_err(failed("repaired"))?;
        Ok((Self { path: path.to_owned(), file, size_bytes: whole_bytes, max_bytes }, last))
    }

    /// Appends a record and waits until it is on disk. Beyond the largest size the file becomes `….1` first.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let failed = |path: &Path, source| JournalError { path: path.to_owned(), action: "written", source };
        let mut line = serde_json::to_vec(record).map_err(|source| failed(&self.path, source.into()))?;
        line.push(b'\n');
        if self.size_bytes > 0 && self.size_bytes + line.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|source| failed(&self.path, source))?;
        self.size_bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), JournalError> {
        let failed = |path: &Path, source| JournalError { path: path.to_owned(), action: "rotated", source };
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, &old).map_err(|source| failed(&self.path, source))?;
        let opened = OpenOptions::new().create_new(true).append(true).open(&self.path);
        self.file = opened.map_err(|source| failed(&self.path, source))?;
        self.size_bytes = 0;
        Ok(())
    }
}

/// The last record that can be read, and where the whole lines end.
fn read(file: &mut File) -> std::io::Result<(Option<Record>, u64)> {
    file.seek(SeekFrom::Start(0))?;
    let mut lines = BufReader::new(file);
    let (mut last, mut whole_bytes, mut line) = (None, 0, Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        whole_bytes += line.len() as u64;
        // A record of another version of this program is skipped, not fatal: the journal is also read by people.
        last = serde_json::from_slice(&line).ok().or(last);
        line.clear();
    }
    Ok((last, whole_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u64) -> Record {
        Record {
            epoch,
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            job: "nexmark".to_owned(),
            effect: Effect::Publishing { generation: 7 },
            decision: Decision::nothing("latency", "no query is slow"),
            snapshot: None,
            state: State::default(),
        }
    }

    /// Goal: what was written is found again, also behind a line that a crash tore.
    #[test]
    fn the_last_whole_record_survives_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/decisions.jsonl");
        let (mut journal, last) = Journal::open(&path, 1 << 20).unwrap();
        assert_eq!(last, None);
        journal.append(&record(1)).unwrap();
        journal.append(&record(2)).unwrap();
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"epoch\":3,\"at").unwrap();
        let (mut journal, last) = Journal::open(&path, 1 << 20).unwrap();
        assert_eq!(last, Some(record(2)));
        journal.append(&record(3)).unwrap();
        assert_eq!(Journal::open(&path, 1 << 20).unwrap().1, Some(record(3)));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    /// Goal: the journal never grows beyond twice its bound.
    #[test]
    fn the_journal_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let (mut journal, _) = Journal::open(&path, 1000).unwrap();
        for epoch in 1..=50 {
            journal.append(&record(epoch)).unwrap();
        }
        let total: u64 =
            folder.path().read_dir().unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= 2000, "{total}");
        assert_eq!(Journal::open(&path, 1000).unwrap().1, Some(record(50)));
    }
}
