//! A log of JSON lines that only grows: one entry a line, each one durable before [`JsonLines::append`] returns.
//!
//! A crash can leave a torn last line. Its entry was never confirmed to anybody, so it is cut off when the log is opened.
//! A whole line that cannot be read is something else: it was confirmed once, and forgetting it could mean doing a thing
//! twice. Opening then fails and says which line.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::JournalError;
use crate::atomic::{sync_folder_of, write_atomically};

/// An open log. The caller sees to it that no other process has it open (see [`crate::FolderLock`]).
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    /// Absent after a failed write that could not be taken back.
    file: Option<File>,
    bytes: u64,
}

impl JsonLines {
    /// Opens the log, creating it if it is missing, and reads all entries, oldest first.
    ///
    /// # Errors
    /// The file cannot be read, has more than `limit_bytes`, or has a whole line that is not an entry.
    pub fn open<T: DeserializeOwned>(path: &Path, limit_bytes: u64) -> Result<(Self, Vec<T>), JournalError> {
        let io = |action| move |source| JournalError::io(action, path, source);
        files::check_if_exists(path).map_err(io("open"))?;
        let existed = path.exists();
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(io("open"))?;
        if !existed {
            sync_folder_of(path)?;
        }
        let found = file.metadata().map_err(io("look at"))?.len();
        if found > limit_bytes {
            return Err(JournalError::TooLarge { path: path.to_owned(), found, limit: limit_bytes });
        }
        let mut content = Vec::new();
        Read::by_ref(&mut file).take(limit_bytes).read_to_end(&mut content).map_err(io("read"))?;
        let whole = whole_lines(&content);
        let entries = parse(path, &content[..whole])?;
        let bytes = whole as u64;
        if whole < content.len() {
            file.set_len(bytes).map_err(io("cut the torn last line of"))?;
        }
        if existed {
            // Whole lines may be there that a killed process had not made sure of; from now on they count as confirmed.
            file.sync_all().map_err(io("flush"))?;
        }
        file.seek(SeekFrom::Start(bytes)).map_err(io("seek in"))?;
        Ok((Self { path: path.to_owned(), file: Some(file), bytes }, entries))
    }

    /// The size of the log in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds an entry. It is on the disk when this returns.
    ///
    /// # Errors
    /// The entry could not be written. It is then not in the log, now or after the next start.
    pub fn append<T: Serialize>(&mut self, entry: &T) -> Result<(), JournalError> {
        let mut line = line_of(&self.path, entry)?;
        line.pop();
        self.append_line(line)
    }

    /// Adds an entry that is JSON already, without its line end.
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
        // Half an entry must not stand before the next one. If it cannot be taken back, nothing is written any more.
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
    /// The new log could not be written; the old one stands, or, if only the very last step failed, the new one.
    pub fn rewrite<'a, T: Serialize + 'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a T>,
    ) -> Result<(), JournalError> {
        let mut content = Vec::new();
        for entry in entries {
            content.extend(line_of(&self.path, entry)?);
        }
        // The open file is the old one from the moment of the rename on: forget it first.
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

/// How many bytes of the content belong to whole lines. A file system may have made the file longer before it wrote
/// all blocks: zeros in the last line, which JSON never contains, mean that it is torn too.
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

    /// Goal: wherever a crash cuts the log, exactly the entries whose lines are whole are read again, and appending goes on.
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

    /// Goal: a last line of which the file system kept only the length and the end is torn, not corrupt.
    #[test]
    fn zeros_in_the_last_line_are_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, b"\"a\"\n\0\0\0c\"\n").unwrap();
        assert_eq!(read(&path), ["a"]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4);
    }

    /// Goal: a confirmed entry that cannot be read is never passed over in silence.
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

    /// Goal: a rewritten log has the new entries, and appending goes on in the new file; the size is bounded at opening.
    #[test]
    fn a_log_is_rewritten_and_bounded() {
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
        assert!(matches!(JsonLines::open::<String>(&path, 3), Err(JournalError::TooLarge { limit: 3, .. })));
    }
}
