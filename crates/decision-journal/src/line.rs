//! One line of the journal, of this version or an earlier one.

use control::{FollowUp, JournalLine, Record, ResumeRecord};
use scaling::SCHEMA;
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};

use crate::packed;

/// A line, parsed leniently: a line of another version is skipped without error.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Line<R> {
    /// A packed record.
    Packed {
        /// Its content.
        gzip: String,
    },
    /// A record.
    Record(R),
    /// An addition to a record.
    FollowUp(FollowUp),
    /// An unknown line.
    Other(IgnoredAny),
}

impl Line<Box<ResumeRecord>> {
    /// Returns what a restart needs of the line, if this version can read it. A packed record is unpacked only now.
    pub(crate) fn for_resuming(self) -> Option<JournalLine> {
        match self {
            Self::Packed { gzip } => packed::unpack_without_subtasks(&gzip).ok().map(JournalLine::Record),
            Self::Record(record) => Some(JournalLine::Record(record)),
            Self::FollowUp(follow_up) => Some(JournalLine::FollowUp(follow_up)),
            Self::Other(_) => None,
        }
    }
}

/// What a line tells.
pub(crate) enum Entry {
    Record(Box<Record>),
    FollowUp(FollowUp),
}

impl Entry {
    /// Reads a line.
    ///
    /// # Errors
    /// Why this version cannot read it.
    pub(crate) fn read(line: &[u8]) -> Result<Self, String> {
        let record = match serde_json::from_slice::<Line<Box<Record>>>(line) {
            Ok(Line::Packed { gzip }) => Box::new(packed::unpack(&gzip)?),
            Ok(Line::Record(record)) => record,
            Ok(Line::FollowUp(follow_up)) => return Ok(Self::FollowUp(follow_up)),
            // Parsing as a single type accepts more, and its error names the wrong field.
            Ok(Line::Other(_)) | Err(_) => match serde_json::from_slice::<Box<Record>>(line) {
                Ok(record) => record,
                Err(error) => {
                    let follow_up = serde_json::from_slice(line).map_err(|_| error.to_string())?;
                    return Ok(Self::FollowUp(follow_up));
                }
            },
        };
        wrong_schema(&record).map_or(Ok(Self::Record(record)), Err)
    }
}

/// Returns why the schema of a record's snapshot cannot be read, if it cannot.
fn wrong_schema(record: &Record) -> Option<String> {
    let found = record.snapshot.as_ref()?.schema;
    (found != SCHEMA).then(|| format!("its snapshot has schema {found}; this version reads schema {SCHEMA}"))
}

/// See [`crate::record`].
pub(crate) fn record(line: &[u8]) -> Result<Record, serde_json::Error> {
    match Entry::read(line).map_err(serde_json::Error::custom)? {
        Entry::Record(record) => Ok(*record),
        Entry::FollowUp(_) => {
            Err(serde_json::Error::custom("a follow-up of the journal; take the line before"))
        }
    }
}
