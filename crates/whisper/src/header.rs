//! Parser and validation of a file's header.
//!
//! All numbers are big-endian. Metadata: aggregation method (u32), longest retention in seconds (u32), xFilesFactor
//! (f32), number of archives (u32). Then per archive: offset in bytes, seconds per point, number of points (u32
//! each). Then the archives, finest first, 12 bytes a point: time (u32) and value (f64).

use crate::error::Corruption;

/// The size of the metadata, in bytes.
const METADATA_BYTES: usize = 16;
/// The size of an archive's description, in bytes.
const DESCRIPTION_BYTES: usize = 12;
/// Size of a point, in bytes.
pub(crate) const POINT_BYTES: u64 = 12;
/// More archives than this mean an invalid header. Usual files have two to five.
const MAX_ARCHIVES: u32 = 256;
/// Size limit of a header, in bytes.
pub(crate) const MAX_HEADER_BYTES: usize = METADATA_BYTES + DESCRIPTION_BYTES * MAX_ARCHIVES as usize;

/// How points are merged when they move into a coarser archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// Their mean.
    Average,
    /// Their sum.
    Sum,
    /// The newest point.
    Last,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their sum divided by the number of slots, including empty ones.
    AverageZero,
    /// The one with the largest magnitude.
    AbsoluteMax,
    /// The one with the smallest magnitude.
    AbsoluteMin,
}

impl Aggregation {
    fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Average,
            2 => Self::Sum,
            3 => Self::Last,
            4 => Self::Max,
            5 => Self::Min,
            6 => Self::AverageZero,
            7 => Self::AbsoluteMax,
            8 => Self::AbsoluteMin,
            _ => return None,
        })
    }
}

/// One resolution of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    /// Offset of its first point, in bytes from the start of the file.
    pub offset: u64,
    /// Interval between points, in seconds.
    pub seconds_per_point: u32,
    /// Number of points.
    pub points: u32,
}

impl Archive {
    /// Returns its retention, in seconds.
    pub fn retention_s(&self) -> u64 {
        u64::from(self.seconds_per_point) * u64::from(self.points)
    }

    /// Returns its size, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.points) * POINT_BYTES
    }

    /// Returns the offset of its end, in bytes from the start of the file.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes()
    }
}

/// The header of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// How points are merged into coarser archives.
    pub aggregation: Aggregation,
    /// Longest retention, in seconds.
    pub max_retention_s: u64,
    /// Fraction of a coarse point's fine ones that must be known for it to be known.
    pub x_files_factor: f32,
    /// Finest first; at least one.
    pub archives: Vec<Archive>,
}

impl Header {
    /// Parses the beginning of a file of this length, and validates its consistency.
    ///
    /// # Errors
    /// [`Corruption`].
    pub fn parse(head: &[u8], file_bytes: u64) -> Result<Self, Corruption> {
        let cut = Corruption::HeaderCut { bytes: file_bytes };
        let metadata = head.first_chunk::<METADATA_BYTES>().ok_or(cut)?;
        let [aggregation, max_retention, factor, count] = words(metadata);
        let aggregation = Aggregation::from_code(aggregation).ok_or(Corruption::Aggregation(aggregation))?;
        let x_files_factor = f32::from_bits(factor);
        if !(0.0..=1.0).contains(&x_files_factor) {
            return Err(Corruption::XFilesFactor);
        }
        if count == 0 || count > MAX_ARCHIVES {
            return Err(Corruption::ArchiveCount(count));
        }
        let (descriptions, _) = head[METADATA_BYTES..].as_chunks::<DESCRIPTION_BYTES>();
        let descriptions = descriptions.get(..count as usize).ok_or(cut)?;
        let archive = |description: &[u8; DESCRIPTION_BYTES]| {
            let [offset, seconds_per_point, points] = words(description);
            Archive { offset: offset.into(), seconds_per_point, points }
        };
        let archives = descriptions.iter().map(archive).collect();
        let header = Self { aggregation, max_retention_s: max_retention.into(), x_files_factor, archives };
        header.check(file_bytes)?;
        Ok(header)
    }

    fn check(&self, file_bytes: u64) -> Result<(), Corruption> {
        let mut expected = (METADATA_BYTES + DESCRIPTION_BYTES * self.archives.len()) as u64;
        let mut before: Option<&Archive> = None;
        for (index, archive) in self.archives.iter().enumerate() {
            if archive.retention_s() == 0 {
                return Err(Corruption::EmptyArchive(index));
            }
            if archive.offset != expected {
                return Err(Corruption::Misplaced { archive: index, found: archive.offset, expected });
            }
            let is_ordered = |before: &Archive| {
                archive.seconds_per_point > before.seconds_per_point
                    && archive.retention_s() > before.retention_s()
            };
            if before.is_some_and(|before| !is_ordered(before)) {
                return Err(Corruption::Order(index));
            }
            expected = archive.end();
            before = Some(archive);
        }
        let found = before.map_or(0, Archive::retention_s);
        if self.max_retention_s != found {
            return Err(Corruption::Retention { stated: self.max_retention_s, found });
        }
        if file_bytes < expected {
            return Err(Corruption::ArchivesCut { bytes: file_bytes, expected });
        }
        Ok(())
    }
}

/// Parses consecutive big-endian numbers.
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    let (chunks, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|index| chunks.get(index).map_or(0, |word| u32::from_be_bytes(*word)))
}
