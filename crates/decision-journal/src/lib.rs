//! The rescaler's decision journal: one JSON object per epoch, appended, rotated, compressed, bounded.
//!
//! The journal is for people and for replays, and it is the policy's memory across restarts: each record contains the state
//! that the next epoch begins with. A plan is recorded as `publishing` *before* the document is published, so that a
//! rescaler killed in between does not forget that it acted. Its outcome is appended in short lines ([`FollowUp`]): first
//! whether the document was published, later how the change ended. The record of a large job is packed (`packed`), so that its line has less
//! than a megabyte.

mod line;
mod packed;

use std::path::{Path, PathBuf};

use control::{FollowUp, Record, ResumeRecord, ResumedState};
use journal::{Bounds, Rotated, read_lines};
use thiserror::Error;

use line::{Entry, Line};

/// Limit of a journal that is read as a whole, in bytes, uncompressed.
const READ_LIMIT_BYTES: u64 = 4 << 30;

/// How many subtasks the records of [`read_with_newest_subtasks`] have together.
const NEWEST_SUBTASKS: usize = 200_000;

/// Maximum number of older files that a configuration can keep.
pub const KEEP_MAX: u32 = 1000;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
#[error("cannot use the journal; check journal.path")]
pub struct JournalError(#[from] journal::JournalError);

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    log: Rotated,
    path: PathBuf,
}

impl Journal {
    /// Opens or creates the journal, and returns the state in which the run before ended. A line that a crash truncated is removed.
    ///
    /// # Errors
    /// The file or its folder cannot be created, read or written.
    pub fn open(path: &Path, bounds: Bounds) -> Result<(Self, ResumedState), JournalError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            journal::create_folder(folder)?;
        }
        let (log, lines) = Rotated::open::<Line<Box<ResumeRecord>>>(path, bounds)?;
        let resumed = control::resume(lines.into_iter().filter_map(Line::for_resuming));
        Ok((Self { log, path: path.to_owned() }, resumed))
    }

    /// Appends a record and waits until it is on disk. A line of more than 256 KiB is packed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        if packed::is_short(record) {
            return Ok(self.log.append(record)?);
        }
        let encode = |source| journal::JournalError::Encode { path: self.path.clone(), source };
        let line = packed::pack(record).map_err(encode)?;
        Ok(self.log.append(&line)?)
    }

    /// Appends the outcome of a record and waits until it is on disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn follow_up(&mut self, follow_up: &FollowUp) -> Result<(), JournalError> {
        Ok(self.log.append(follow_up)?)
    }
}

/// Returns the record of one line of a journal, packed or not.
///
/// # Errors
/// The line is a follow-up, or nothing that this version reads.
pub fn record(line: &[u8]) -> Result<Record, serde_json::Error> {
    line::record(line)
}

/// Returns the records of one file of a journal, compressed or not, oldest first, each with its outcome.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Record>, JournalError> {
    Ok(read_all(&[path.to_owned()], Reading::default())?.records)
}

/// Returns the records of a journal without its older files, oldest first; none if there is no journal. Only the newest records have the
/// subtasks of their operators: as many as have 200,000 of them together, and at least the last one. So a long journal of a large job does
/// not fill the memory of a reader that wants all its records at once.
///
/// # Errors
/// The file cannot be read.
pub fn read_with_newest_subtasks(path: &Path) -> Result<Vec<Record>, JournalError> {
    let reading = Reading { subtasks_max: NEWEST_SUBTASKS, ..Reading::default() };
    Ok(read_all(&Rotated::files(path, 0), reading)?.records)
}

/// Returns the records of a journal and of up to `keep` older files, oldest first.
///
/// # Errors
/// A file cannot be read.
pub fn read_with_older(path: &Path, keep: u32) -> Result<Vec<Record>, JournalError> {
    Ok(read_all(&Rotated::files(path, keep), Reading::default())?.records)
}

/// Why a journal has no records.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[from] journal::JournalError),
    /// The file does not exist.
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
        /// Number of lines.
        lines: usize,
        /// Number of the first unreadable line, from 1.
        line: usize,
        /// What is wrong with that line.
        reason: String,
    },
}

/// Like [`read_with_older`], but a journal without any record that this version can read is an error, and skipped lines are logged.
///
/// # Errors
/// See [`ReadError`].
pub fn read_checked(path: &Path, keep: u32) -> Result<Vec<Record>, ReadError> {
    let files = Rotated::files(path, keep);
    if files.is_empty() {
        return Err(ReadError::Missing { path: path.to_owned() });
    }
    let reading = read_all(&files, Reading::default()).map_err(|JournalError(error)| error)?;
    let Reading { records, lines, skipped, .. } = reading;
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

/// The content of a journal.
struct Reading {
    records: Vec<Record>,
    lines: usize,
    skipped: Vec<Skipped>,
    /// How many subtasks the records may have together.
    subtasks_max: usize,
    /// How many they have.
    subtasks: usize,
    /// Number of the oldest records that have lost theirs.
    reduced: usize,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            lines: 0,
            skipped: Vec::new(),
            subtasks_max: usize::MAX,
            subtasks: 0,
            reduced: 0,
        }
    }
}

/// A line that this version cannot read.
struct Skipped {
    /// Counted from 1, over all files.
    line: usize,
    reason: String,
}

/// Length limit of a reason, in characters.
const REASON_CHARS: usize = 200;

impl Reading {
    fn add_line(&mut self, line: &[u8]) {
        self.lines += 1;
        let line = if self.lines == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        match Entry::read(line) {
            Ok(Entry::Record(record)) => self.record(*record),
            Ok(Entry::FollowUp(follow_up)) => self.follow_up(follow_up),
            Err(reason) => {
                let reason = reason.chars().take(REASON_CHARS).collect();
                self.skipped.push(Skipped { line: self.lines, reason });
            }
        }
    }

    fn record(&mut self, record: Record) {
        self.subtasks += subtasks(&record);
        // A crash during a rotation duplicates records.
        let same = |known: &&mut Record| known.epoch == record.epoch && known.job == record.job;
        match self.records.iter_mut().rev().find(same) {
            Some(known) => *known = record,
            None => self.records.push(record),
        }
        self.reduce();
    }

    /// Takes the subtasks from the oldest records, until those of the others are not too many.
    fn reduce(&mut self) {
        while self.subtasks > self.subtasks_max && self.reduced + 1 < self.records.len() {
            let oldest = &mut self.records[self.reduced];
            self.subtasks -= subtasks(oldest).min(self.subtasks);
            let operators = oldest.snapshot.iter_mut().flat_map(|snapshot| &mut snapshot.operators);
            operators.for_each(|operator| operator.subtasks = Vec::new());
            self.reduced += 1;
        }
    }

    fn follow_up(&mut self, follow_up: FollowUp) {
        let is_its_record = |record: &&mut Record| record.epoch == follow_up.of_epoch;
        if let Some(record) = self.records.iter_mut().rev().find(is_its_record) {
            record.effect = follow_up.then.unwrap_or(record.effect.clone());
            record.state = follow_up.state.unwrap_or(record.state.clone());
            record.outcome = follow_up.outcome.or(record.outcome.take());
        }
    }
}

/// Returns the number of subtasks in a record's snapshot.
fn subtasks(record: &Record) -> usize {
    let operators = record.snapshot.iter().flat_map(|snapshot| &snapshot.operators);
    operators.map(|operator| operator.subtasks.len()).sum()
}

fn read_all(files: &[PathBuf], mut reading: Reading) -> Result<Reading, JournalError> {
    for file in files {
        read_lines(file, READ_LIMIT_BYTES, &mut |line| reading.add_line(line))?;
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

    /// Goal: records survive a truncated last line, and the journal can be continued after it.
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

    /// Goal: an outcome is read with its record, replaces the memory, and ends the wait for the change.
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

    /// Goal: a journal of an earlier version can be continued, and rotated files are read with the newest.
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
