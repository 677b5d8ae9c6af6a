//! An append-only log of JSON lines: one entry per line, durable before [`JsonLines::append`] returns.
//!
//! A crash can leave a torn last line. Its entry was never confirmed, so it is truncated when the log is opened. A
//! complete line that cannot be parsed was confirmed once, and ignoring it could repeat an effect: opening then fails
//! and names the line.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::JournalError;
use crate::atomic::{sync_folder_of, write_atomically};

/// An open log. The caller must ensure that no other process has it open (see [`crate::FolderLock`]).
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    /// `None` after a failed write that could not be undone.
    file: Option<File>,
    bytes: u64,
}

impl JsonLines {
    /// Opens the log, creating it if it is missing, and reads all entries, oldest first.
    ///
    /// # Errors
    /// The file cannot be read, has more than `limit_bytes`, or has a complete line that is not an entry.
    pub fn open<T: DeserializeOwned>(path: &Path, limit_bytes: u64) -> Result<(Self, Vec<T>), JournalError> {
        let io = |action| move |source| JournalError::io(action, path, source);
        files::check_if_exists(path).map_err(io("open"))?;
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(io("open"))?;
        let found = file.metadata().map_err(io("look at"))?.len();
        if found > limit_bytes {
            return Err(JournalError::TooLarge { path: path.to_owned(), found, limit: limit_bytes });
        }
        let mut content = Vec::new();
        Read::by_ref(&mut file).take(limit_bytes).read_to_end(&mut content).map_err(io("read"))?;
        let whole = whole_lines(&content);
        let entries = parse(path, &content[..whole])?;
        let bytes = whole as u64;
        file.set_len(bytes).map_err(io("remove the truncated last line of"))?;
        // Lines, and the name of the file, that a killed process had not synced count as confirmed from now on.
        file.sync_all().map_err(io("flush"))?;
        sync_folder_of(path)?;
        file.seek(SeekFrom::Start(bytes)).map_err(io("seek in"))?;
        Ok((Self { path: path.to_owned(), file: Some(file), bytes }, entries))
    }

    /// Returns the size of the log in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// The entry could not be written, and is absent even after a restart.
    pub fn append<T: Serialize>(&mut self, entry: &T) -> Result<(), JournalError> {
        let mut line = line_of(&self.path, entry)?;
        line.pop();
        self.append_line(line)
    }

    /// Appends an entry in JSON, given without its line end.
    pub(crate) fn append_line(&mut self, mut line: Vec<u8>) -> Result<(), JournalError> {
        line.push(b'\n');
        let Some(file) = &mut self.file else {
            return Err(JournalError::Closed { path: self.path.clone() });
        };
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        let Err(source) = written else {
            self.bytes += line.len() as u64;
            return Ok(());
        };
        // No entry may follow half an entry. If that cannot be truncated, the log is closed.
        let taken_back = file
            .set_len(self.bytes)
            .and_then(|()| file.seek(SeekFrom::Start(self.bytes)))
            .and_then(|_| file.sync_all());
        if taken_back.is_err() {
            self.file = None;
        }
        Err(JournalError::io("append to", &self.path, source))
    }

    /// Replaces the whole log by these entries, atomically.
    ///
    /// # Errors
    /// The new log could not be written; the old one remains or, if only the last step failed, the new one.
    pub fn rewrite<'a, T: Serialize + 'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a T>,
    ) -> Result<(), JournalError> {
        let mut content = Vec::new();
        for entry in entries {
            content.extend(line_of(&self.path, entry)?);
        }
        // After the rename the open file is the old one: close it first.
        self.file = None;
        let written = write_atomically(&self.path, &content);
        let mut reopened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(|e| JournalError::io("open", &self.path, e))?;
        self.bytes =
            reopened.seek(SeekFrom::End(0)).map_err(|e| JournalError::io("seek in", &self.path, e))?;
        self.file = Some(reopened);
        written
    }
}

fn line_of<T: Serialize>(path: &Path, entry: &T) -> Result<Vec<u8>, JournalError> {
    let mut line =
        serde_json::to_vec(entry).map_err(|source| JournalError::Encode { path: path.to_owned(), source })?;
    line.push(b'\n');
    Ok(line)
}

/// Returns the number of bytes in complete lines. A file system may extend a file before it writes all blocks: zeros
/// in the last line, which JSON never contains, mean that it is torn too.
fn whole_lines(content: &[u8]) -> usize {
    let end_of_last = |slice: &[u8]| slice.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = end_of_last(content);
    let start_of_last = end_of_last(&content[..end.saturating_sub(1)]);
    if content[start_of_last..end].contains(&0) { start_of_last } else { end }
}

fn parse<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<Vec<T>, JournalError> {
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|source| JournalError::Corrupt {
                path: path.to_owned(),
                line: index + 1,
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 20;

    fn read(path: &Path) -> Vec<String> {
        JsonLines::open(path, LIMIT).unwrap().1
    }

    /// Goal: wherever a crash truncates the log, exactly the entries of complete lines are read, and appending
    /// continues.
    #[test]
    fn every_torn_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let entries = ["first".to_owned(), "zweite, ä".to_owned(), String::new()];
        {
            let (mut log, none) = JsonLines::open::<String>(&path, LIMIT).unwrap();
            assert!(none.is_empty());
            entries.iter().for_each(|entry| log.append(entry).unwrap());
        }
        let content = std::fs::read(&path).unwrap();
        for cut in 0..=content.len() {
            std::fs::write(&path, &content[..cut]).unwrap();
            let whole = content[..cut].iter().filter(|byte| **byte == b'\n').count();
            let (mut log, read_back) = JsonLines::open::<String>(&path, LIMIT).unwrap();
            assert_eq!(read_back, entries[..whole], "cut at {cut}");
            log.append(&"next".to_owned()).unwrap();
            drop(log);
            assert_eq!(read(&path).last().map(String::as_str), Some("next"), "cut at {cut}");
            assert_eq!(read(&path).len(), whole + 1);
        }
    }

    /// Goal: a last line of which the file system stored only the length and the end is torn, not corrupt.
    #[test]
    fn zeros_in_the_last_line_are_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, b"\"a\"\n\0\0\0c\"\n").unwrap();
        assert_eq!(read(&path), ["a"]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4);
    }

    /// Goal: a confirmed entry that cannot be parsed is an error.
    #[test]
    fn a_corrupt_line_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for content in ["\"a\"\nnonsense\n\"b\"\n", "\"a\"\nnonsense\n"] {
            std::fs::write(&path, content).unwrap();
            let error = JsonLines::open::<String>(&path, LIMIT).unwrap_err();
            assert!(matches!(error, JournalError::Corrupt { line: 2, .. }), "{error}");
        }
    }

    /// Goal: a rewritten log has the new entries, and appends go to the new file.
    #[test]
    fn a_log_is_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut log, _) = JsonLines::open::<String>(&path, LIMIT).unwrap();
        for number in 0..10 {
            log.append(&format!("entry {number}")).unwrap();
        }
        log.rewrite(&["kept".to_owned()]).unwrap();
        log.append(&"later".to_owned()).unwrap();
        assert_eq!(log.bytes(), std::fs::metadata(&path).unwrap().len());
        drop(log);
        assert_eq!(read(&path), ["kept", "later"]);
    }

    /// Goal: a log up to the limit is read, and one that is larger is left as it is.
    #[test]
    fn a_log_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let content = "\"ab\"\n\"c\"\n";
        for (limit, is_read) in [(1, false), (8, false), (9, true), (10, true)] {
            std::fs::write(&path, content).unwrap();
            match JsonLines::open::<String>(&path, limit) {
                Ok((log, entries)) => {
                    assert_eq!((is_read, log.bytes(), entries.len()), (true, 9, 2), "limit {limit}")
                }
                Err(error) => {
                    assert!(
                        !is_read && matches!(error, JournalError::TooLarge { found: 9, .. }),
                        "limit {limit}: {error}"
                    );
                }
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content, "limit {limit}");
        }
    }
}
