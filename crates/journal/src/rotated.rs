//! A rotated log of JSON lines: a full log is compressed and archived, and the oldest archive is deleted.
//!
//! `log.jsonl` is the current log, `log.jsonl.1.gz` the newest archive, `.2.gz` the one before. A crash during
//! rotation can leave entries in both files, but never loses them: readers must tolerate duplicates.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{JournalError, JsonLines, write_atomically};

/// Larger than any log of this crate, whatever its limits were.
const OPEN_LIMIT_BYTES: u64 = 4 << 30;
/// The first bytes of a gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Retention of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A log that would exceed this size, in bytes, is rotated first. A single entry may be larger.
    pub max_bytes: u64,
    /// How many archives are kept.
    pub keep: u32,
}

/// An open log. The caller must ensure that no other process has it open (see [`crate::FolderLock`]).
#[derive(Debug)]
pub struct Rotated {
    log: JsonLines,
    path: PathBuf,
    bounds: Bounds,
}

impl Rotated {
    /// Opens the log, creating it if it is missing, and reads its entries, oldest first; if it is empty, those of the
    /// newest archive.
    ///
    /// # Errors
    /// As [`JsonLines::open`].
    pub fn open<T: DeserializeOwned>(path: &Path, bounds: Bounds) -> Result<(Self, Vec<T>), JournalError> {
        let (log, mut entries) = JsonLines::open::<T>(path, OPEN_LIMIT_BYTES)?;
        let aside = aside(path, 1);
        if entries.is_empty() && aside.exists() {
            let mut keep = |line: &[u8]| entries.extend(serde_json::from_slice(line).ok());
            read_lines(&aside, OPEN_LIMIT_BYTES, &mut keep)?;
        }
        Ok((Self { log, path: path.to_owned(), bounds }, entries))
    }

    /// Appends an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// The entry could not be written, or the full log could not be rotated; the entry is then absent.
    pub fn append<T: Serialize>(&mut self, entry: &T) -> Result<(), JournalError> {
        let line = serde_json::to_vec(entry)
            .map_err(|source| JournalError::Encode { path: self.path.clone(), source })?;
        let bytes = self.log.bytes();
        if bytes > 0 && bytes + line.len() as u64 + 1 > self.bounds.max_bytes {
            self.put_aside()?;
        }
        self.log.append_line(line)
    }

    /// Returns the paths of this log's files, oldest first.
    pub fn files(path: &Path, keep: u32) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = (1..=keep).rev().map(|number| aside(path, number)).collect();
        files.push(path.to_owned());
        files.retain(|file| file.exists());
        files
    }

    fn put_aside(&mut self) -> Result<(), JournalError> {
        if self.bounds.keep > 0 {
            let compressed = compress(&self.path)?;
            for number in (1..self.bounds.keep).rev() {
                let (from, to) = (aside(&self.path, number), aside(&self.path, number + 1));
                if from.exists() {
                    std::fs::rename(&from, &to).map_err(|e| JournalError::io("rename to", &to, e))?;
                }
            }
            write_atomically(&aside(&self.path, 1), &compressed)?;
        }
        self.log.rewrite::<()>([])
    }
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}.gz"));
    PathBuf::from(name)
}

fn compress(path: &Path) -> Result<Vec<u8>, JournalError> {
    let failed = |source| JournalError::io("compress", path, source);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut reader = BufReader::new(files::open(path).map_err(failed)?);
    std::io::copy(&mut reader, &mut encoder).map_err(failed)?;
    encoder.flush().map_err(failed)?;
    encoder.finish().map_err(failed)
}

/// Passes each complete line of a file, compressed or not, to `each`; reads at most `limit_bytes` of text and skips a
/// torn end.
///
/// # Errors
/// The file cannot be read, or exceeds the limit.
pub fn read_lines(path: &Path, limit_bytes: u64, each: &mut impl FnMut(&[u8])) -> Result<(), JournalError> {
    let failed = |source| JournalError::io("read", path, source);
    let mut file = BufReader::new(files::open(path).map_err(failed)?);
    let is_compressed = file.fill_buf().map_err(failed)?.starts_with(&GZIP);
    let content: Box<dyn Read> = if is_compressed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = BufReader::new(content.take(limit_bytes + 1));
    let (mut line, mut found) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
        found += read as u64;
        if found > limit_bytes {
            return Err(JournalError::TooLarge { path: path.to_owned(), found, limit: limit_bytes });
        }
        match line.strip_suffix(b"\n") {
            Some(whole) if !whole.is_empty() => each(whole),
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max_bytes: 100, keep: 3 };

    fn numbers(path: &Path) -> Vec<u64> {
        let mut found = Vec::new();
        for file in Rotated::files(path, BOUNDS.keep) {
            read_lines(&file, 1 << 20, &mut |line| found.push(serde_json::from_slice(line).unwrap()))
                .unwrap();
        }
        found
    }

    /// Goal: the newest entries are read in order across all files, within the retention.
    #[test]
    fn full_logs_are_put_aside_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let (mut log, _) = Rotated::open::<u64>(&path, BOUNDS).unwrap();
        (1000..1195_u64).for_each(|number| log.append(&number).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        assert!(std::fs::read(folder.path().join("log.jsonl.2.gz")).unwrap().starts_with(&GZIP));
        // 20 entries in each of three archives, and 15 since.
        assert_eq!(numbers(&path), (1120..1195).collect::<Vec<u64>>());
        drop(log);
        let (_, entries) = Rotated::open::<u64>(&path, BOUNDS).unwrap();
        assert_eq!(entries, (1180..1195).collect::<Vec<u64>>());
    }

    /// Goal: a log is rotated before the entry that would make it larger than its bound, line end included; an entry that is larger by
    /// itself is written to an empty log.
    #[test]
    fn a_log_is_full_when_the_next_entry_does_not_fit() {
        for (max_bytes, entries) in [(99, 19), (100, 20), (104, 20), (105, 21), (3, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log.jsonl");
            let (mut log, _) = Rotated::open::<u64>(&path, Bounds { max_bytes, keep: 1 }).unwrap();
            for number in 0..=entries {
                assert!(
                    !aside(&path, 1).exists(),
                    "rotated before entry {number}, at most {max_bytes} bytes"
                );
                log.append(&(1000 + number)).unwrap();
            }
            assert!(aside(&path, 1).exists(), "not rotated at {max_bytes} bytes");
            assert_eq!(numbers(&path), (1000..=1000 + entries).collect::<Vec<u64>>());
        }
    }

    /// Goal: without archives to keep, a full log begins anew.
    #[test]
    fn without_archives_a_full_log_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let (mut log, _) = Rotated::open::<u64>(&path, Bounds { max_bytes: 100, keep: 0 }).unwrap();
        (1000..1021_u64).for_each(|number| log.append(&number).unwrap());
        assert_eq!(numbers(&path), [1020_u64]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Goal: after a crash in the middle of a rotation, the newest entries are still found.
    #[test]
    fn an_empty_log_shows_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let (mut log, _) = Rotated::open::<u64>(&path, BOUNDS).unwrap();
        (0..30_u64).for_each(|number| log.append(&number).unwrap());
        log.put_aside().unwrap();
        drop(log);
        let (_, entries) = Rotated::open::<u64>(&path, BOUNDS).unwrap();
        assert_eq!(entries.last(), Some(&29));
    }

    /// Goal: a text that decompresses beyond the limit is an error and does not fill the memory.
    #[test]
    fn reading_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.gz");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b'0'; 1 << 20]).unwrap();
        std::fs::write(&path, encoder.finish().unwrap()).unwrap();
        let error = read_lines(&path, 1000, &mut |_| {}).unwrap_err();
        assert!(matches!(error, JournalError::TooLarge { limit: 1000, .. }), "{error}");
    }

    /// Goal: a file is read up to the limit, without empty lines and without a torn end.
    #[test]
    fn whole_lines_are_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, b"one\n\ntwo\ntorn").unwrap();
        for limit_bytes in [13, 14] {
            let mut lines = Vec::new();
            read_lines(&path, limit_bytes, &mut |line| lines.push(line.to_vec())).unwrap();
            assert_eq!(lines, [b"one", b"two"]);
        }
        let error = read_lines(&path, 12, &mut |_| {}).unwrap_err();
        assert!(matches!(error, JournalError::TooLarge { found: 13, .. }), "{error}");
    }
}
