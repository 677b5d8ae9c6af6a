//! Why a series could not be read.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no series.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The file cannot be opened.
    #[error("{}: cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The file was opened and cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The file is no Whisper file, or only a part of one.
    #[error("{}: not a whole Whisper file", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Corruption,
    },
    /// Every reading differed from the one before it.
    #[error("{}: changed during each of {readings} readings; read it again later", path.display())]
    Unsettled {
        /// The file.
        path: PathBuf,
        /// How often it was read.
        readings: u32,
    },
    /// The range ends before it begins.
    #[error("the range is from {from} until {until}, which is earlier")]
    Range {
        /// Where it begins.
        from: i64,
        /// Where it ends.
        until: i64,
    },
    /// The range holds more points than one call answers.
    #[error("{}: the range holds {points} points, more than {max}; ask for a shorter one", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How many points it holds.
        points: u64,
        /// How many are answered at most.
        max: u64,
    },
}

/// What is wrong with a file. One that carbon is about to create looks like this for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Corruption {
    /// Shorter than its own header.
    #[error("its {bytes} bytes are fewer than its header takes")]
    HeaderCut {
        /// The length of the file.
        bytes: u64,
    },
    /// An aggregation method that Whisper does not have.
    #[error("the header states aggregation method {0}; there are 1 to 8")]
    Aggregation(u32),
    /// An xFilesFactor that is no share.
    #[error("the header states an xFilesFactor that is not between 0 and 1")]
    XFilesFactor,
    /// No archive, or more than a file can sensibly have.
    #[error("the header states {0} archives; 1 to 256 are read")]
    ArchiveCount(u32),
    /// An archive without points, or with points that are no time apart.
    #[error("archive {0} has no points or no time between them")]
    EmptyArchive(usize),
    /// An archive that does not begin where the one before it, or the header, ends.
    #[error("archive {archive} begins at byte {found} instead of {expected}")]
    Misplaced {
        /// Which archive, from 0.
        archive: usize,
        /// Where it begins.
        found: u64,
        /// Where the one before it ends.
        expected: u64,
    },
    /// An archive that is not coarser and longer than the one before it.
    #[error("archive {0} is not coarser and longer than the one before it")]
    Order(usize),
    /// The longest retention is not that of the last archive.
    #[error("the header states a retention of {stated} s, the last archive has {found} s")]
    Retention {
        /// What the header states.
        stated: u64,
        /// What the archives give.
        found: u64,
    },
    /// Shorter than its archives.
    #[error("the file has {bytes} bytes, its archives end at byte {expected}")]
    ArchivesCut {
        /// The length of the file.
        bytes: u64,
        /// Where the last archive ends.
        expected: u64,
    },
}
