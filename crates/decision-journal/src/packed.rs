//! The form of a long line: the record of a job with hundreds of operators or thousands of subtasks.
//!
//! ```text
//! {"epoch":7,"at":"2026-01-01T00:00:00Z","job":"large","gzip":"H4sI…"}
//! ```
//!
//! `gzip` is in base64 what `gunzip` makes `{"record":…,"subtasks":…}` of: the record as in a short line, but without the subtasks of its
//! operators, and these as columns over the whole job, see [`Columns`].
//!
//! Every line is whole. Lines that tell only what differs from the line before would be no smaller, because measured figures, which are most
//! of a line, differ in every epoch; and each would depend on all lines since the last whole one, which a rotation or a lost file may
//! take away. What does not differ (names, graph, limits) is repetitive within a line as well, so that compression makes little of it.
//!
//! Nothing is lost: what [`unpack`] returns is equal to what was packed, so that a replay decides the same. That a line of 100,000 subtasks
//! has less than a megabyte takes rounded figures as well, which the policy gets, too ([`scaling::Subtask::reduce`]).

mod columns;

use std::io::{self, BufWriter, Read as _, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use control::Record;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use scaling::{Operator, Snapshot};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize};

use columns::Columns;

/// Size of a record from which on its line is packed, in bytes of JSON: shorter lines are for people and for `jq`.
const PACKED_FROM_BYTES: usize = 256 << 10;

/// Limit of an unpacked line, in bytes: far more than a job of 100,000 subtasks has.
const UNPACKED_MAX_BYTES: u64 = 256 << 20;

/// A packed line as it is written.
#[derive(Serialize)]
pub(crate) struct PackedLine<'a> {
    epoch: u64,
    at: Timestamp,
    job: &'a str,
    gzip: String,
}

#[derive(Serialize)]
struct Content<'a> {
    record: &'a Record,
    subtasks: Columns,
}

/// The content when it is read; a reader that needs no subtasks leaves them out.
#[derive(Deserialize)]
struct Parts<R, S> {
    record: R,
    subtasks: S,
}

/// Whether the line of a record is short enough to be written as plain JSON.
pub(crate) fn is_short(record: &Record) -> bool {
    serde_json::to_writer(Room(PACKED_FROM_BYTES), record).is_ok()
}

/// A writer that fails once this number of bytes is exceeded.
struct Room(usize);

impl Write for Room {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(text.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Packs a record.
///
/// # Errors
/// The record cannot be written as JSON.
pub(crate) fn pack(record: &Record) -> Result<PackedLine<'_>, serde_json::Error> {
    let operators = record.snapshot.as_ref().map_or(&[][..], |snapshot| snapshot.operators.as_slice());
    let subtasks = Columns::new(operators.iter().map(|operator| operator.subtasks.as_slice()));
    let lean = without_subtasks(record);
    let mut packed = BufWriter::new(GzEncoder::new(Vec::new(), Compression::default()));
    serde_json::to_writer(&mut packed, &Content { record: &lean, subtasks })?;
    let packed = packed.into_inner().map_err(serde_json::Error::custom)?;
    let packed = packed.finish().map_err(serde_json::Error::custom)?;
    let gzip = BASE64_STANDARD.encode(packed);
    Ok(PackedLine { epoch: record.epoch, at: record.at, job: &record.job, gzip })
}

/// Returns a record whose snapshot has no subtasks. All fields are named, so that those of 100,000 subtasks are not copied at once.
fn without_subtasks(record: &Record) -> Record {
    let bare = |operator: &Operator| Operator { subtasks: Vec::new(), ..operator.clone() };
    let snapshot = record.snapshot.as_ref().map(|snapshot| Snapshot {
        schema: snapshot.schema,
        at_ms: snapshot.at_ms,
        interval_ms: snapshot.interval_ms,
        source: snapshot.source.clone(),
        newest_age_ms: snapshot.newest_age_ms,
        job: snapshot.job.clone(),
        queries: snapshot.queries.clone(),
        operators: snapshot.operators.iter().map(bare).collect(),
        task_managers: snapshot.task_managers.clone(),
        state_size_bytes: snapshot.state_size_bytes,
        stored_size_bytes: snapshot.stored_size_bytes,
        missing: snapshot.missing.clone(),
    });
    Record {
        epoch: record.epoch,
        at: record.at,
        job: record.job.clone(),
        effect: record.effect.clone(),
        decision: record.decision.clone(),
        snapshot,
        state: record.state.clone(),
        imagined: record.imagined,
        restored: record.restored.clone(),
        outcome: record.outcome.clone(),
    }
}

/// Returns the whole record of a packed line.
///
/// # Errors
/// What is wrong with the line.
pub(crate) fn unpack(gzip: &str) -> Result<Record, String> {
    let Parts { mut record, subtasks } = parts::<Record, Columns>(gzip)?;
    let mut subtasks = subtasks.subtasks()?.into_iter();
    for operator in record.snapshot.iter_mut().flat_map(|snapshot| &mut snapshot.operators) {
        operator.subtasks = subtasks.next().ok_or("an operator without subtasks in the columns")?;
    }
    Ok(record)
}

/// Returns the parts of a packed record that the type asks for, without its subtasks.
///
/// # Errors
/// What is wrong with the line.
pub(crate) fn unpack_without_subtasks<R: DeserializeOwned>(gzip: &str) -> Result<R, String> {
    Ok(parts::<R, IgnoredAny>(gzip)?.record)
}

fn parts<R: DeserializeOwned, S: DeserializeOwned>(gzip: &str) -> Result<Parts<R, S>, String> {
    let packed = BASE64_STANDARD.decode(gzip).map_err(|error| format!("gzip: {error}"))?;
    let mut text = Vec::new();
    let unpacked = GzDecoder::new(packed.as_slice()).take(UNPACKED_MAX_BYTES).read_to_end(&mut text);
    unpacked.map_err(|error| format!("gzip: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("gzip: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: text that is no base64, no gzip or no content is named as such.
    #[test]
    fn a_damaged_line_is_refused() {
        for wrong in ["é", "AAAA", "H4sI"] {
            assert!(unpack(wrong).unwrap_err().starts_with("gzip: "), "{wrong}");
        }
    }
}
