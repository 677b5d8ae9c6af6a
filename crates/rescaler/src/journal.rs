//! The record of every decision: one JSON object per epoch, appended, rotated, compressed, bounded.
//!
//! The journal is for people and for replays, and it is the policy's memory across restarts: each record holds the state
//! that the next epoch begins with. A plan is recorded as `publishing` *before* the document is published, so that a
//! rescaler killed in between does not forget that it acted. What became of it follows in short lines of its own
//! ([`FollowUp`]): first whether it was published, later how the change went.

use std::path::{Path, PathBuf};

use control::{FollowUp, JournalLine, Record, ResumeRecord, ResumedState};
use journal::{Bounds, Rotated, read_lines};
use scaling::SCHEMA;
use thiserror::Error;

/// A journal that is read as a whole is at most so long, unpacked.
const READ_LIMIT_BYTES: u64 = 4 << 30;

/// No configuration keeps more files.
pub(crate) const KEEP_MAX: u32 = 1000;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
#[error("cannot use the journal; check journal.path")]
pub struct JournalError(#[from] journal::JournalError);

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    log: Rotated,
}

impl Journal {
    /// Opens or creates the journal, and returns what it hands on. A line that a crash tore is cut off.
    ///
    /// # Errors
    /// The file or its folder cannot be made, read or written.
    pub fn open(path: &Path, bounds: Bounds) -> Result<(Self, ResumedState), JournalError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            journal::create_folder(folder)?;
        }
        let (log, lines) = Rotated::open::<JournalLine<ResumeRecord>>(path, bounds)?;
        Ok((Self { log }, control::resume(lines)))
    }

    /// Appends a record and waits until it is on disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        Ok(self.log.append(record)?)
    }

    /// Appends what came after a record and waits until it is on disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn follow_up(&mut self, follow_up: &FollowUp) -> Result<(), JournalError> {
        Ok(self.log.append(follow_up)?)
    }
}

/// The records of one file of a journal, compressed or not, oldest first, each with what came after it.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Record>, JournalError> {
    Ok(read_all(&[path.to_owned()])?.records)
}

/// The records of a journal and of all that was put aside of it, oldest first.
///
/// # Errors
/// A file cannot be read.
pub fn read_with_older(path: &Path, keep: u32) -> Result<Vec<Record>, JournalError> {
    Ok(read_all(&Rotated::files(path, keep))?.records)
}

/// Why a journal tells nothing.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// A file cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] journal::JournalError),
    /// There is no such file.
    #[error("{}: no such journal", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// No line is a record that this version understands.
    #[error("{}: no line of {lines} is a journal record that this version can read; line {line}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// How many lines there are.
        lines: usize,
        /// The first of them, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// The records of a journal for people: as [`read_with_older`], but a journal without any record that this version reads is an error,
/// and lines that are left out are logged, unless it is the torn last line that a crash leaves.
///
/// # Errors
/// See [`ReadError`].
pub(crate) fn read_for_people(path: &Path, keep: u32) -> Result<Vec<Record>, ReadError> {
    let files = Rotated::files(path, keep);
    if files.is_empty() {
        return Err(ReadError::Missing { path: path.to_owned() });
    }
    let Reading { records, lines, skipped } = read_all(&files).map_err(|JournalError(error)| error)?;
    match skipped.first() {
        Some(first) if records.is_empty() => Err(ReadError::Unreadable {
            path: path.to_owned(),
            lines,
            line: first.line,
            reason: first.reason.clone(),
        }),
        Some(first) => {
            let (count, line, reason) = (skipped.len(), first.line, &first.reason);
            tracing::warn!("{}: skipped {count} of {lines} lines; line {line}: {reason}", path.display());
            Ok(records)
        }
        None => Ok(records),
    }
}

/// What was read of a journal.
#[derive(Default)]
struct Reading {
    records: Vec<Record>,
    lines: usize,
    skipped: Vec<Skipped>,
}

/// A line that is no record of this version.
struct Skipped {
    /// Counted from 1, over all files.
    line: usize,
    reason: String,
}

/// The longest reason that is kept, in characters.
const REASON_CHARS: usize = 200;

impl Reading {
    fn take(&mut self, line: &[u8]) {
        self.lines += 1;
        let line = if self.lines == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        let reason = match serde_json::from_slice::<JournalLine<Box<Record>>>(line) {
            Ok(JournalLine::Record(record)) => match wrong_schema(&record) {
                Some(reason) => reason,
                None => return self.record(*record),
            },
            Ok(JournalLine::FollowUp(follow_up)) => return self.follow_up(follow_up),
            // Reading it as one kind only understands more, and tells why it is no record.
            Ok(JournalLine::Other(_)) | Err(_) => match serde_json::from_slice::<Record>(line) {
                Ok(record) => match wrong_schema(&record) {
                    Some(reason) => reason,
                    None => return self.record(record),
                },
                Err(error) => match serde_json::from_slice(line) {
                    Ok(follow_up) => return self.follow_up(follow_up),
                    Err(_) => error.to_string(),
                },
            },
        };
        let reason = reason.chars().take(REASON_CHARS).collect();
        self.skipped.push(Skipped { line: self.lines, reason });
    }

    fn record(&mut self, record: Record) {
        // A crash while a log is put aside leaves its records twice.
        let same = |known: &&mut Record| known.epoch == record.epoch && known.job == record.job;
        match self.records.iter_mut().rev().find(same) {
            Some(known) => *known = record,
            None => self.records.push(record),
        }
    }

    fn follow_up(&mut self, follow_up: FollowUp) {
        let of_it = |record: &&mut Record| record.epoch == follow_up.of_epoch;
        if let Some(record) = self.records.iter_mut().rev().find(of_it) {
            record.effect = follow_up.then.unwrap_or(record.effect.clone());
            record.state = follow_up.state.unwrap_or(record.state.clone());
            record.outcome = follow_up.outcome.or(record.outcome.take());
        }
    }
}

/// What is wrong with the schema of a record's snapshot.
fn wrong_schema(record: &Record) -> Option<String> {
    let found = record.snapshot.as_ref()?.schema;
    (found != SCHEMA).then(|| format!("its snapshot has schema {found}; this version reads schema {SCHEMA}"))
}

fn read_all(files: &[PathBuf]) -> Result<Reading, JournalError> {
    let mut reading = Reading::default();
    for file in files {
        read_lines(file, READ_LIMIT_BYTES, &mut |line| reading.take(line))?;
    }
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use control::{ChangeOutcome, Effect, Pending};
    use jiff::Timestamp;
    use job_config::ChangeState as Applied;
    use scaling::{Decision, Memory};

    const BOUNDS: Bounds = Bounds { max_bytes: 1 << 20, keep: 3 };

    fn record(epoch: u64) -> Record {
        Record {
            epoch,
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            job: "nexmark".to_owned(),
            effect: Effect::Publishing { generation: epoch + 5 },
            decision: Decision::nothing("latency", "no query is slow"),
            snapshot: None,
            state: Arc::new(Memory {
                fewer_since_ms: Some(i64::try_from(epoch).unwrap()),
                ..Memory::default()
            }),
            imagined: false,
            restored: Vec::new(),
            outcome: None,
        }
    }

    fn follow_up(of_epoch: u64) -> FollowUp {
        FollowUp { of_epoch, at: Timestamp::UNIX_EPOCH, then: None, state: None, outcome: None }
    }

    fn outcome(generation: u64) -> Option<ChangeOutcome> {
        let state = Applied::Running;
        Some(ChangeOutcome {
            generation,
            state,
            duration_ms: None,
            message: None,
            steps: Vec::new(),
            observed: None,
        })
    }

    /// Goal: what was written is found again, also behind a line that a crash tore.
    #[test]
    fn the_last_whole_record_survives_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/decisions.jsonl");
        let (mut journal, resumed) = Journal::open(&path, BOUNDS).unwrap();
        assert_eq!(resumed, ResumedState::default());
        journal.append(&record(1)).unwrap();
        journal.append(&record(2)).unwrap();
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"epoch\":3,\"at").unwrap();
        let (mut journal, resumed) = Journal::open(&path, BOUNDS).unwrap();
        assert_eq!((resumed.epoch, &resumed.memory), (2, &record(2).state));
        let pending = resumed.pending.unwrap();
        assert_eq!((pending.epoch, pending.generation), (2, 7));
        assert_eq!(pending.unconfirmed.unwrap().decision, record(2).decision);
        journal.append(&record(3)).unwrap();
        assert_eq!(read(&path).unwrap(), [record(1), record(2), record(3)]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    /// Goal: what came after a record is read with it, changes what is remembered, and ends the wait for an outcome.
    #[test]
    fn follow_ups_complete_their_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let (mut journal, _) = Journal::open(&path, BOUNDS).unwrap();
        journal.append(&record(1)).unwrap();
        journal
            .follow_up(&FollowUp { then: Some(Effect::Published { generation: 6 }), ..follow_up(1) })
            .unwrap();
        let published = Pending { epoch: 1, generation: 6, unconfirmed: None, is_restore: false };
        assert_eq!(Journal::open(&path, BOUNDS).unwrap().1.pending, Some(published));
        journal.follow_up(&FollowUp { outcome: outcome(6), ..follow_up(1) }).unwrap();
        assert_eq!(Journal::open(&path, BOUNDS).unwrap().1.pending, None);
        journal.append(&record(2)).unwrap();
        let then = Some(Effect::NotPublished { message: "refused".to_owned() });
        journal.follow_up(&FollowUp { then, state: Some(record(1).state), ..follow_up(2) }).unwrap();
        let resumed = Journal::open(&path, BOUNDS).unwrap().1;
        assert_eq!((resumed.epoch, resumed.memory, resumed.pending), (2, record(1).state, None));
        let records = read(&path).unwrap();
        assert_eq!(
            (&records[0].effect, &records[0].outcome),
            (&Effect::Published { generation: 6 }, &outcome(6))
        );
        assert!(matches!(records[1].effect, Effect::NotPublished { .. }));
    }

    /// Goal: a journal of another version is no obstacle, and one that was put aside is read with the newest.
    #[test]
    fn older_journals_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        std::fs::write(&path, "{\"epoch\":9,\"at\":\"2026-01-01T00:00:00Z\",\"effect\":\"nothing\",\"state\":{\"latency\":{\"counts\":{},\"wait_epochs_left\":3}}}\n{\"x\":1}\n").unwrap();
        let (mut journal, resumed) = Journal::open(&path, Bounds { max_bytes: 1000, keep: 50 }).unwrap();
        assert_eq!(resumed.epoch, 9);
        assert_ne!(*resumed.memory, Memory::default());
        (10..40).for_each(|epoch| journal.append(&record(epoch)).unwrap());
        let epochs: Vec<u64> =
            read_with_older(&path, 50).unwrap().iter().map(|record| record.epoch).collect();
        assert_eq!(epochs, (10..40).collect::<Vec<u64>>());
        assert!(read(&path).unwrap().len() < 10);
    }
}
