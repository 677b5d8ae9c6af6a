//! The record of every decision: one JSON object per epoch, appended, rotated, compressed, bounded.
//!
//! The journal is for people and for replays, and it is the policy's memory across restarts: each record holds the state
//! that the next epoch begins with. A plan is recorded as `publishing` *before* the document is published, so that a
//! rescaler killed in between does not forget that it acted. What became of it follows in short lines of its own
//! ([`FollowUp`]): first whether it was published, later how the change went.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use journal::{Bounds, Rotated, read_lines};
use scaling::{Decision, Snapshot, State};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::outcome::Outcome;

/// A journal that is read as a whole is at most so long, unpacked.
const READ_LIMIT_BYTES: u64 = 4 << 30;

/// No configuration keeps more files.
pub(crate) const KEEP_MAX: u32 = 1000;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
#[error("the journal cannot be used; see journal.path in the configuration")]
pub struct JournalError(#[from] journal::JournalError);

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
    /// What the policies remember for the next epoch.
    #[serde(default)]
    pub state: State,
    /// What became of it, once it is known. Not written with the record, but read with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What came after a record was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FollowUp {
    /// The epoch of the record.
    pub of_epoch: u64,
    /// When this was written.
    pub at: Timestamp,
    /// Whether the document was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Effect>,
    /// What the policies remember from here on, if it is something else than the record says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// What became of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// A line of the journal, read leniently: a line of another version is skipped, not fatal.
#[derive(Deserialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "a line lives only while it is read")]
enum Line<R> {
    Record(R),
    FollowUp(FollowUp),
    Other(serde::de::IgnoredAny),
}

/// What of a record the next epoch needs.
#[derive(Deserialize)]
struct Gist {
    epoch: u64,
    #[serde(flatten)]
    effect: Effect,
    #[serde(default)]
    state: State,
}

/// What an earlier run left to the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Legacy {
    /// The newest epoch; 0 if there was none.
    pub epoch: u64,
    /// What the policies remember.
    pub state: State,
    /// The newest plan whose outcome is not known: its epoch and generation.
    pub pending: Option<(u64, u64)>,
}

impl Legacy {
    fn of(lines: impl IntoIterator<Item = Line<Gist>>) -> Self {
        let mut legacy = Self::default();
        for line in lines {
            match line {
                Line::Record(gist) => {
                    (legacy.epoch, legacy.state) = (gist.epoch, gist.state);
                    if let Some(generation) = generation(&gist.effect) {
                        legacy.pending = Some((gist.epoch, generation));
                    }
                }
                Line::FollowUp(follow_up) => {
                    legacy.state = follow_up.state.unwrap_or(legacy.state);
                    let is_over = follow_up.outcome.is_some()
                        || matches!(follow_up.then, Some(Effect::NotPublished { .. }));
                    legacy.pending =
                        legacy.pending.filter(|(epoch, _)| !is_over || *epoch != follow_up.of_epoch);
                }
                Line::Other(_) => {}
            }
        }
        legacy
    }
}

/// The generation that an effect speaks of.
pub(crate) fn generation(effect: &Effect) -> Option<u64> {
    match effect {
        Effect::Publishing { generation } | Effect::Published { generation } => Some(*generation),
        Effect::Nothing | Effect::DryRun | Effect::NotPublished { .. } => None,
    }
}

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
    pub fn open(path: &Path, bounds: Bounds) -> Result<(Self, Legacy), JournalError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            journal::create_folder(folder)?;
        }
        let (log, lines) = Rotated::open::<Line<Gist>>(path, bounds)?;
        Ok((Self { log }, Legacy::of(lines)))
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
    read_all(&[path.to_owned()])
}

/// The records of a journal and of all that was put aside of it, oldest first.
///
/// # Errors
/// A file cannot be read.
pub fn read_with_older(path: &Path, keep: u32) -> Result<Vec<Record>, JournalError> {
    read_all(&Rotated::files(path, keep))
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Record>, JournalError> {
    let mut records: Vec<Record> = Vec::new();
    for file in files {
        read_lines(
            file,
            READ_LIMIT_BYTES,
            &mut |line| match serde_json::from_slice::<Line<Box<Record>>>(line) {
                // A crash while a log is put aside leaves its records twice.
                Ok(Line::Record(record)) => match records
                    .iter_mut()
                    .rev()
                    .find(|known| known.epoch == record.epoch && known.job == record.job)
                {
                    Some(known) => *known = *record,
                    None => records.push(*record),
                },
                Ok(Line::FollowUp(follow_up)) => {
                    if let Some(record) =
                        records.iter_mut().rev().find(|record| record.epoch == follow_up.of_epoch)
                    {
                        record.effect = follow_up.then.unwrap_or(record.effect.clone());
                        record.state = follow_up.state.unwrap_or(record.state.clone());
                        record.outcome = follow_up.outcome.or(record.outcome.take());
                    }
                }
                Ok(Line::Other(_)) | Err(_) => {}
            },
        )?;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;
    use job_config::State as Applied;

    const BOUNDS: Bounds = Bounds { max_bytes: 1 << 20, keep: 3 };

    fn record(epoch: u64) -> Record {
        Record {
            epoch,
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            job: "nexmark".to_owned(),
            effect: Effect::Publishing { generation: epoch + 5 },
            decision: Decision::nothing("latency", "no query is slow"),
            snapshot: None,
            state: State { fewer_since_ms: Some(i64::try_from(epoch).unwrap()), ..State::default() },
            outcome: None,
        }
    }

    fn follow_up(of_epoch: u64) -> FollowUp {
        FollowUp { of_epoch, at: Timestamp::UNIX_EPOCH, then: None, state: None, outcome: None }
    }

    fn outcome(generation: u64) -> Option<Outcome> {
        let state = Applied::Running;
        Some(Outcome {
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
        let (mut journal, legacy) = Journal::open(&path, BOUNDS).unwrap();
        assert_eq!(legacy, Legacy::default());
        journal.append(&record(1)).unwrap();
        journal.append(&record(2)).unwrap();
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"epoch\":3,\"at").unwrap();
        let (mut journal, legacy) = Journal::open(&path, BOUNDS).unwrap();
        assert_eq!((legacy.epoch, &legacy.state, legacy.pending), (2, &record(2).state, Some((2, 7))));
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
        assert_eq!(Journal::open(&path, BOUNDS).unwrap().1.pending, Some((1, 6)));
        journal.follow_up(&FollowUp { outcome: outcome(6), ..follow_up(1) }).unwrap();
        assert_eq!(Journal::open(&path, BOUNDS).unwrap().1.pending, None);
        journal.append(&record(2)).unwrap();
        let then = Some(Effect::NotPublished { message: "refused".to_owned() });
        journal.follow_up(&FollowUp { then, state: Some(record(1).state), ..follow_up(2) }).unwrap();
        let legacy = Journal::open(&path, BOUNDS).unwrap().1;
        assert_eq!((legacy.epoch, legacy.state, legacy.pending), (2, record(1).state, None));
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
        std::fs::write(&path, "{\"epoch\":9,\"effect\":\"nothing\",\"state\":{\"counts\":{},\"wait_epochs_left\":3}}\n{\"x\":1}\n").unwrap();
        let (mut journal, legacy) = Journal::open(&path, Bounds { max_bytes: 1000, keep: 50 }).unwrap();
        assert_eq!((legacy.epoch, legacy.state), (9, State::default()));
        (10..40).for_each(|epoch| journal.append(&record(epoch)).unwrap());
        let epochs: Vec<u64> =
            read_with_older(&path, 50).unwrap().iter().map(|record| record.epoch).collect();
        assert_eq!(epochs, (10..40).collect::<Vec<u64>>());
        assert!(read(&path).unwrap().len() < 10);
    }
}
