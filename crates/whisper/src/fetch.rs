//! Reads one series over a range of time, with the results of Python's `whisper.fetch`.
//!
//! It uses the finest archive that reaches back to the beginning of the range. Times are rounded down to a multiple
//! of its step, and then increased by one step: the value at time *t* is that of the interval that begins at *t*. The
//! archive's first point determines the slot of a time. A point counts only if its stored time matches the slot,
//! since otherwise it is left over from an earlier round.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::error::FetchError;
use crate::header::{Archive, Header, MAX_HEADER_BYTES, POINT_BYTES};
use crate::settle::{READINGS, Reading, Stamp, settled};

/// Maximum number of points per call: 256 MiB.
pub const MAX_POINTS: u64 = 1 << 24;

/// Times are limited to this distance from the Unix epoch, in seconds (34,000 years), so that sums do not overflow.
const FURTHEST_S: i64 = 1 << 40;

/// Number of points read at a time; 12 KiB fit in the processor's first-level cache.
const CHUNK_POINTS: usize = 1024;
const CHUNK_BYTES: usize = CHUNK_POINTS * POINT_BYTES as usize;

/// A range of time, in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Values after this time …
    pub from: i64,
    /// … up to this one, at most up to now.
    pub until: i64,
    /// The current time, from which the file's retention is counted back.
    pub now: i64,
}

/// Values at regular times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// The time of the first value, in seconds since the Unix epoch.
    pub from: i64,
    /// One step after the time of the last value, in seconds since the Unix epoch.
    pub until: i64,
    /// The time from value to value, in seconds.
    pub step: i64,
    /// The values; [`None`] where unknown.
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// Compares to the last bit, including NaN.
    fn is_same(&self, other: &Self) -> bool {
        let bits = |value: &Option<f64>| value.map(f64::to_bits);
        (self.from, self.until, self.step) == (other.from, other.until, other.step)
            && self.values.iter().map(bits).eq(other.values.iter().map(bits))
    }
}

/// Reads the series in a file over a range; [`None`] if the range is in the future or beyond the file's retention.
///
/// # Errors
/// See [`FetchError`].
pub fn fetch(path: &Path, range: Range) -> Result<Option<Series>, FetchError> {
    let open_error = |source| FetchError::Open { path: path.to_owned(), source };
    let file = OpenFile { file: files::open(path).map_err(open_error)?, path };
    let same = |a: &Option<Series>, b: &Option<Series>| match (a, b) {
        (Some(a), Some(b)) => a.is_same(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let unsettled = || FetchError::Unsettled { path: path.to_owned(), readings: READINGS };
    settled(|| file.read(range), same)?.ok_or_else(unsettled)
}

struct OpenFile<'a> {
    file: File,
    path: &'a Path,
}

/// Position of the result: an archive, and the times of the first value and one step after the last.
struct Span {
    archive: Archive,
    from: i64,
    until: i64,
}

impl OpenFile<'_> {
    fn read(&self, range: Range) -> Result<Reading<Option<Series>>, FetchError> {
        let began = SystemTime::now();
        let before = self.stamp()?;
        let mut head = [0; MAX_HEADER_BYTES];
        let head = self.read_head(&mut head)?;
        let content = self.series(head, before.bytes(), range)?;
        Ok(Reading { began, before, after: self.stamp()?, content })
    }

    fn stamp(&self) -> Result<Stamp, FetchError> {
        self.file
            .metadata()
            .map(|metadata| Stamp::from_metadata(&metadata))
            .map_err(|source| self.read_error(source))
    }

    fn read_error(&self, source: io::Error) -> FetchError {
        FetchError::Read { path: self.path.to_owned(), source }
    }

    /// Reads the beginning of the file, as far as it exists.
    fn read_head<'h>(&self, head: &'h mut [u8; MAX_HEADER_BYTES]) -> Result<&'h [u8], FetchError> {
        let mut filled = 0;
        while filled < head.len() {
            match self.file.read_at(&mut head[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        }
        Ok(&head[..filled])
    }

    fn series(&self, head: &[u8], file_bytes: u64, range: Range) -> Result<Option<Series>, FetchError> {
        let corrupt = |source| FetchError::Corrupt { path: self.path.to_owned(), source };
        let header = Header::parse(head, file_bytes).map_err(corrupt)?;
        let Some(span) = span(&header, range)? else { return Ok(None) };
        let points = span.points();
        if points > MAX_POINTS {
            return Err(FetchError::TooLong { path: self.path.to_owned(), points, max: MAX_POINTS });
        }
        let base = self.base(head, &span.archive)?;
        let step = i64::from(span.archive.seconds_per_point);
        let mut values = Vec::with_capacity(usize::try_from(points).unwrap_or(0));
        if base == 0 {
            values.resize(values.capacity(), None);
        } else {
            self.values(&span, points, base, &mut values)?;
        }
        Ok(Some(Series { from: span.from, until: span.until, step, values }))
    }

    /// Returns the time of the archive's first point, 0 if it was never written. It was usually read with the header.
    fn base(&self, head: &[u8], archive: &Archive) -> Result<i64, FetchError> {
        let begin = usize::try_from(archive.offset).unwrap_or(usize::MAX);
        if let Some(time) = head.get(begin..).and_then(|rest| rest.first_chunk::<4>()) {
            return Ok(u32::from_be_bytes(*time).into());
        }
        let mut time = [0; 4];
        self.file.read_exact_at(&mut time, archive.offset).map_err(|source| self.read_error(source))?;
        Ok(u32::from_be_bytes(time).into())
    }

    /// Reads the points from the span's beginning to the end of the archive, and the rest from its start.
    fn values(
        &self,
        span: &Span,
        points: u64,
        base: i64,
        values: &mut Vec<Option<f64>>,
    ) -> Result<(), FetchError> {
        let archive = &span.archive;
        let step = i64::from(archive.seconds_per_point);
        let slots = i64::from(archive.points);
        let slot = (span.from - base).div_euclid(step).rem_euclid(slots).unsigned_abs();
        let until_end = points.min(u64::from(archive.points) - slot);
        let mut time = span.from;
        self.run(archive.offset + slot * POINT_BYTES, until_end, &mut time, step, values)?;
        self.run(archive.offset, points - until_end, &mut time, step, values)
    }

    /// Reads consecutive points.
    fn run(
        &self,
        mut offset: u64,
        mut points: u64,
        time: &mut i64,
        step: i64,
        values: &mut Vec<Option<f64>>,
    ) -> Result<(), FetchError> {
        let mut chunk = [0; CHUNK_BYTES];
        while points > 0 {
            let count = points.min(CHUNK_POINTS as u64);
            let bytes = &mut chunk[..usize::try_from(count * POINT_BYTES).unwrap_or(CHUNK_BYTES)];
            self.file.read_exact_at(bytes, offset).map_err(|source| self.read_error(source))?;
            let (stored, _) = bytes.as_chunks::<12>();
            values.extend(stored.iter().map(|point| {
                let value = value_at(point, *time);
                *time += step;
                value
            }));
            offset += count * POINT_BYTES;
            points -= count;
        }
        Ok(())
    }
}

/// Returns the value of a point if its time matches.
fn value_at(point: &[u8; 12], time: i64) -> Option<f64> {
    let [t0, t1, t2, t3, value @ ..] = *point;
    (i64::from(u32::from_be_bytes([t0, t1, t2, t3])) == time).then(|| f64::from_be_bytes(value))
}

impl Span {
    /// Returns the number of values; at most the archive's number of points.
    fn points(&self) -> u64 {
        (self.until - self.from).unsigned_abs() / u64::from(self.archive.seconds_per_point)
    }
}

/// Selects the archive and its intervals; [`None`] if the range is beyond the file's retention.
fn span(header: &Header, range: Range) -> Result<Option<Span>, FetchError> {
    let Range { from, until, now } = range;
    if from > until {
        return Err(FetchError::Range { from, until });
    }
    // Files hold 32-bit times: a range further out has no values, wherever it is.
    let within = |time: i64| time.clamp(-FURTHEST_S, FURTHEST_S);
    let (from, until, now) = (within(from), within(until), within(now));
    let oldest = now.saturating_sub(header.max_retention_s.cast_signed());
    if from > now || until < oldest {
        return Ok(None);
    }
    let (from, until) = (from.max(oldest), until.min(now));
    let age = now.saturating_sub(from).unsigned_abs();
    let reaches = |archive: &&Archive| archive.retention_s() >= age;
    let Some(archive) = header.archives.iter().find(reaches).or(header.archives.last()) else {
        return Ok(None);
    };
    let step = i64::from(archive.seconds_per_point);
    let interval = |time: i64| (time - time.rem_euclid(step)).saturating_add(step);
    let (from, mut until) = (interval(from), interval(until));
    if from == until {
        // An empty range still contains one value.
        until = until.saturating_add(step);
    }
    Ok(Some(Span { archive: *archive, from, until }))
}
