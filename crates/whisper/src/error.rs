//! Errors of reading a series.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a series could not be read.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The file cannot be opened.
    #[error("{}: cannot be opened", path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The file was opened but cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The file is not a Whisper file, or incomplete.
    #[error("{}: not a complete Whisper file", path.display())]
    Corrupt {
        /// Path of the file.
        path: PathBuf,
        /// The defect.
        #[source]
        source: Corruption,
    },
    /// All consecutive readings differed.
    #[error("{}: changed during each of {readings} reads; retry later", path.display())]
    Unsettled {
        /// Path of the file.
        path: PathBuf,
        /// Number of readings.
        readings: u32,
    },
    /// The range ends before it begins.
    #[error("the range ends at {until}, before its start {from}")]
    Range {
        /// Start of the range.
        from: i64,
        /// End of the range.
        until: i64,
    },
    /// The range has more points than the limit of one call.
    #[error("{}: the range has {points} points, limit {max}; use a shorter range", path.display())]
    TooLong {
        /// Path of the file.
        path: PathBuf,
        /// Number of points in the range.
        points: u64,
        /// The limit.
        max: u64,
    },
}

/// Defect of a file. A file that carbon is creating looks like this for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Corruption {
    /// Shorter than its own header.
    #[error("its {bytes} bytes are fewer than its header needs")]
    HeaderCut {
        /// The length of the file.
        bytes: u64,
    },
    /// An unknown aggregation method.
    #[error("the header has aggregation method {0}; valid are 1 to 8")]
    Aggregation(u32),
    /// The xFilesFactor is not a fraction.
    #[error("the header has an xFilesFactor outside 0 to 1")]
    XFilesFactor,
    /// No archive, or implausibly many.
    #[error("the header has {0} archives; supported are 1 to 256")]
    ArchiveCount(u32),
    /// An archive without points, or with an interval of zero.
    #[error("archive {0} has no points or no interval")]
    EmptyArchive(usize),
    /// An archive does not start at the end of the previous one, or of the header.
    #[error("archive {archive} starts at byte {found} instead of {expected}")]
    Misplaced {
        /// Index of the archive, from 0.
        archive: usize,
        /// Its start.
        found: u64,
        /// End of the previous one.
        expected: u64,
    },
    /// An archive is not coarser and longer than the previous one.
    #[error("archive {0} is not coarser and longer than the one before it")]
    Order(usize),
    /// The stated longest retention differs from that of the last archive.
    #[error("the header has a retention of {stated} s, the last archive {found} s")]
    Retention {
        /// Retention in the header.
        stated: u64,
        /// Retention of the archives.
        found: u64,
    },
    /// Shorter than its archives.
    #[error("the file has {bytes} bytes, its archives end at byte {expected}")]
    ArchivesCut {
        /// The length of the file.
        bytes: u64,
        /// End of the last archive.
        expected: u64,
    },
}
