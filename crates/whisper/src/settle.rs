//! Consistent reads of a file that another process may be writing.
//!
//! Carbon neither locks its files nor replaces them: it overwrites points in place. A reading is accepted if nothing
//! can have been written during it, or if the next reading is the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Maximum number of readings of a file.
pub(crate) const READINGS: u32 = 5;

/// The kernel stamps changes with the time of its last clock tick, at most 10 ms ago: a file with an older stamp is
/// not being written. Twice that, for clocks that are read slightly apart.
const QUIET: Duration = Duration::from_millis(20);

/// Change detection of a file. Every write sets the change time, which no program can set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed_s: i64,
    changed_ns: i64,
    bytes: u64,
}

impl Stamp {
    pub(crate) fn from_metadata(metadata: &Metadata) -> Self {
        Self { changed_s: metadata.ctime(), changed_ns: metadata.ctime_nsec(), bytes: metadata.len() }
    }

    /// Returns the length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the last write ended some time before now. A stamp in the future proves nothing.
    fn is_quiet(&self, now: SystemTime) -> bool {
        let since = |second: i64, nanosecond: i64| {
            Some(Duration::new(u64::try_from(second).ok()?, u32::try_from(nanosecond).ok()?))
        };
        let Some(changed) = since(self.changed_s, self.changed_ns) else { return false };
        now.duration_since(UNIX_EPOCH + changed).is_ok_and(|age| age > QUIET)
    }
}

/// One reading, with the file's stamps before and after it, and its start time.
#[derive(Debug)]
pub(crate) struct Reading<T> {
    pub(crate) began: SystemTime,
    pub(crate) before: Stamp,
    pub(crate) after: Stamp,
    pub(crate) content: T,
}

impl<T> Reading<T> {
    /// Whether nothing was written during the reading.
    fn is_undisturbed(&self) -> bool {
        self.before == self.after && self.before.is_quiet(self.began)
    }
}

/// Reads until a reading was undisturbed, or two consecutive ones are equal. Returns [`None`] if that never happened.
///
/// # Errors
/// The first error of a reading.
pub(crate) fn settled<T, E>(
    mut read: impl FnMut() -> Result<Reading<T>, E>,
    same: impl Fn(&T, &T) -> bool,
) -> Result<Option<T>, E> {
    let mut last: Option<T> = None;
    for _ in 0..READINGS {
        let reading = read()?;
        let is_settled =
            reading.is_undisturbed() || last.as_ref().is_some_and(|last| same(last, &reading.content));
        if is_settled {
            return Ok(Some(reading.content));
        }
        last = Some(reading.content);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_000;

    fn stamp(changed_s: i64, changed_ns: i64) -> Stamp {
        Stamp { changed_s, changed_ns, bytes: 100 }
    }

    fn reading(before: Stamp, after: Stamp, content: u32) -> Reading<u32> {
        Reading { began: UNIX_EPOCH + Duration::from_secs(NOW_S), before, after, content }
    }

    /// The result of these readings, and their number.
    fn settle(readings: &[(Stamp, Stamp, u32)]) -> (Option<u32>, usize) {
        let mut taken = 0;
        let read = || {
            let (before, after, content) = readings[taken];
            taken += 1;
            Ok::<_, ()>(reading(before, after, content))
        };
        let content = settled(read, |a, b| a == b).unwrap();
        (content, taken)
    }

    /// Goal: a quiet file is read once. A write before, during or after the reading repeats it, and a result that
    /// differs from reading to reading is not accepted.
    #[test]
    fn a_reading_counts_when_nothing_was_written() {
        let (old, fresh) = (stamp(900, 0), stamp(999, 985_000_000));
        assert_eq!(settle(&[(old, old, 1)]), (Some(1), 1));
        // Written during the reading; the partial content does not recur.
        assert_eq!(settle(&[(old, fresh, 7), (fresh, fresh, 2), (fresh, fresh, 2)]), (Some(2), 3));
        // Written just before: the stamp would hide another write in the same tick.
        assert_eq!(settle(&[(fresh, fresh, 2), (fresh, fresh, 2)]), (Some(2), 2));
        // Longer than before, with the same time stamp.
        let longer = Stamp { bytes: 200, ..old };
        assert_eq!(settle(&[(old, longer, 7), (longer, longer, 2)]), (Some(2), 2));
        // A stamp in the future proves nothing.
        let future = stamp(2_000, 0);
        assert_eq!(settle(&[(future, future, 2), (future, future, 2)]), (Some(2), 2));
        let restless: Vec<_> = (0..READINGS).map(|content| (old, fresh, content)).collect();
        assert_eq!(settle(&restless), (None, READINGS as usize));
    }
}
