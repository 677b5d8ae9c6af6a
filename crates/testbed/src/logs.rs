//! Reads the ends of log files, for error messages and for `testbed logs`.
//!
//! Logs are plain files that services append to. This module limits how much of a file it reads into memory.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Size of the end of a file in which a tail is searched, in bytes.
const TAIL_BYTES: u64 = 64 * 1024;
/// Size of one read when following, in bytes.
const FOLLOW_BYTES: u64 = 1024 * 1024;

/// Returns the last `lines` lines of a file, from its last 64 KiB; empty if the file is unreadable.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let text = end_of(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Returns the last 64 KiB of a file.
///
/// # Errors
/// The file cannot be opened or read.
pub(crate) fn end_of(path: &Path) -> io::Result<String> {
    let mut file = files::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a growing file piece by piece, complete lines only.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    offset: u64,
}

impl Follower {
    /// Follows a file from its beginning; it may not exist yet.
    #[must_use]
    pub fn from_start(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// Follows a file from its current end.
    #[must_use]
    pub fn from_end(path: PathBuf) -> Self {
        let offset = path.metadata().map_or(0, |metadata| metadata.len());
        Self { path, offset }
    }

    /// Returns the lines completed since the last call (at most 1 MiB of them; call again for more).
    ///
    /// # Errors
    /// The file exists but cannot be read.
    pub fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let mut file = match files::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.offset {
            self.offset = 0; // The file was truncated.
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        let read = file.take(FOLLOW_BYTES).read_to_end(&mut bytes)? as u64;
        let complete = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None if read == FOLLOW_BYTES => bytes.len(), // One endless line: better cut than stuck.
            None => return Ok(Vec::new()),
        };
        self.offset += complete as u64;
        Ok(String::from_utf8_lossy(&bytes[..complete]).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_has_the_last_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "1\n2\n3\n").unwrap();
        assert_eq!(tail(&path, 2), "2\n3");
        assert_eq!(tail(&path, 9), "1\n2\n3");
        assert_eq!(tail(&folder.path().join("absent"), 9), "");
    }

    #[test]
    fn a_follower_gives_each_line_once_and_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut follower = Follower::from_start(path.clone());
        assert!(follower.new_lines().unwrap().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(follower.new_lines().unwrap(), ["one"]);
        file.write_all(b"o\n").unwrap();
        assert_eq!(follower.new_lines().unwrap(), ["two"]);
        std::fs::write(&path, "3\n").unwrap();
        assert_eq!(follower.new_lines().unwrap(), ["3"]);
    }
}
