//! Bounded reads of regular files, and of a configuration from a pipe.
//!
//! Every file that a user names (a configuration, a catalogue, a trace, a journal) is opened here. Devices such as
//! `/dev/zero` never end, a FIFO without a writer blocks its reader, and reading a folder gives an error without a
//! path. Each is rejected before a byte is read, with a message that says what the path is. A configuration may also
//! come from a pipe, as in `--config <(command)`; its writer has until [`PIPE_DEADLINE`]. [`FileLock`] is the lock of
//! a folder that only one process may use. Permissions are checked by crate `secrets`.

mod lock;

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use thiserror::Error;

pub use lock::FileLock;

/// The largest configuration or job document that is read, in bytes; typical ones are below 64 KiB.
pub const CONFIGURATION_BYTES: u64 = 4 << 20;

/// Timeout of the writer of a configuration in a pipe.
pub const PIPE_DEADLINE: Duration = Duration::from_secs(10);

/// Poll interval of an empty pipe.
const PIPE_LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Why a readable file is rejected. Wrapped in [`io::Error`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UnreadableFile {
    /// The path is not a regular file.
    #[error("it is {kind}; name a regular file")]
    Kind {
        /// What it is, with its article.
        kind: &'static str,
    },
    /// The file exceeds the caller's size limit.
    #[error("it has more than {limit_bytes} bytes, the limit for such a file")]
    Large {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The path is a pipe that was not written and closed in time.
    #[error(
        "it is a FIFO or pipe that nothing has written and closed within {} s; write the configuration to a file and name that",
        deadline.as_secs_f64()
    )]
    Silent {
        /// The timeout.
        deadline: Duration,
    },
    /// The file is not UTF-8.
    #[error("it is not text in UTF-8")]
    Encoding,
}

/// Opens a regular file for reading. Never blocks.
///
/// # Errors
/// The operating system's reason, or [`UnreadableFile::Kind`].
pub fn open(path: &Path) -> io::Result<File> {
    // Checked before opening, because opening a device can have side effects.
    check_kind(fs::metadata(path)?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    // Checked again, because the path may have been replaced meanwhile.
    check_kind(file.metadata()?.file_type())?;
    Ok(file)
}

/// Returns an error if there is something at this path that is not a regular file; a missing file is accepted.
///
/// # Errors
/// The operating system's reason, or [`UnreadableFile::Kind`].
pub fn check_if_exists(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) => check_kind(metadata.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads a regular file of at most `limit_bytes`.
///
/// # Errors
/// The operating system's reason, [`UnreadableFile::Kind`] or [`UnreadableFile::Large`].
pub fn read(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > limit_bytes {
        return Err(large(limit_bytes));
    }
    // The length is only a hint: files of /proc report 0, and a file may grow.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit_bytes { Err(large(limit_bytes)) } else { Ok(bytes) }
}

/// Reads a regular file of at most `limit_bytes` as UTF-8.
///
/// # Errors
/// As [`read`], and [`UnreadableFile::Encoding`].
pub fn read_text(path: &Path, limit_bytes: u64) -> io::Result<String> {
    text(read(path, limit_bytes)?)
}

/// Reads a configuration or job document: text of at most [`CONFIGURATION_BYTES`], in a regular file or from a pipe
/// whose writer closes it within [`PIPE_DEADLINE`]. A pipe can be read once.
///
/// # Errors
/// As [`read_text`], and [`UnreadableFile::Silent`].
pub fn read_configuration(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.file_type().is_fifo() {
        return text(read_pipe(path, CONFIGURATION_BYTES, PIPE_DEADLINE)?);
    }
    read_text(path, CONFIGURATION_BYTES)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, UnreadableFile::Encoding))
}

fn large(limit_bytes: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, UnreadableFile::Large { limit_bytes })
}

/// Reads a pipe until its writers have closed it. An unwritten pipe looks like a closed one, so an empty one is
/// polled.
#[expect(
    clippy::disallowed_methods,
    reason = "a pipe without a writer has no event to wait for; the deadline bounds it"
)]
fn read_pipe(path: &Path, limit_bytes: u64, deadline: Duration) -> io::Result<Vec<u8>> {
    let mut pipe = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let end = Instant::now() + deadline;
    let (mut bytes, mut part) = (Vec::new(), vec![0; 64 << 10]);
    while Instant::now() < end {
        match pipe.read(&mut part) {
            Ok(0) if !bytes.is_empty() => return Ok(bytes),
            Ok(0) => sleep(PIPE_LOOK_INTERVAL),
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PIPE_LOOK_INTERVAL),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > limit_bytes {
            return Err(large(limit_bytes));
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, UnreadableFile::Silent { deadline }))
}

fn check_kind(kind: FileType) -> io::Result<()> {
    let kind = match kind {
        regular if regular.is_file() => return Ok(()),
        folder if folder.is_dir() => "a folder",
        fifo if fifo.is_fifo() => "a FIFO or pipe",
        socket if socket.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, UnreadableFile::Kind { kind }))
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn message(path: &Path) -> String {
        read_text(path, 100).unwrap_err().to_string()
    }

    /// Goal: an endless device, a FIFO without a writer and a folder are rejected immediately, by kind.
    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        assert!(message(Path::new("/dev/zero")).contains("a device"));
        assert!(message(&fifo).contains("a FIFO"));
        assert!(message(&link).contains("a FIFO"));
        assert!(message(folder.path()).contains("a folder"));
        assert!(check_if_exists(&fifo).is_err());
        assert!(check_if_exists(&folder.path().join("missing")).is_ok());
        assert_eq!(
            open(&folder.path().join("missing")).unwrap_err().kind(),
            io::ErrorKind::NotFound,
            "callers tell a missing file by its kind"
        );
    }

    /// Goal: a file is read whole up to the limit and rejected beyond it, even if its reported length is wrong.
    #[test]
    fn the_limit_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [b'x'; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert_eq!(read(&path, 99).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // Reports a length of 0.
        assert!(read(Path::new("/proc/self/status"), 10).is_err());
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
        fs::write(&path, [0xff]).unwrap();
        assert!(message(&path).contains("UTF-8"));
    }

    /// Goal: a configuration in a pipe is read until its writer closes it, however often it pauses. Without a writer,
    /// or without an end, the timeout ends the read with a remedy. The limit holds.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the writer pauses")]
    fn a_configuration_may_come_from_a_pipe() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let silent = read_pipe(&fifo, 100, Duration::from_millis(20)).unwrap_err().to_string();
        assert!(silent.contains("name that"), "{silent}");
        let path = fifo.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
            pipe.write_all(b"job = ").unwrap();
            sleep(Duration::from_millis(20));
            pipe.write_all(b"1").unwrap();
        });
        assert_eq!(read_configuration(&fifo).unwrap(), "job = 1");
        writer.join().unwrap();
        let mut open = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        open.write_all(&[b'x'; 50]).unwrap();
        assert_eq!(
            read_pipe(&fifo, 100, Duration::from_millis(20)).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        open.write_all(&[b'x'; 101]).unwrap();
        assert_eq!(read_pipe(&fifo, 100, PIPE_DEADLINE).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    /// Goal: a symbolic link to a regular file is followed.
    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "text").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("file"), &link).unwrap();
        assert_eq!(read_configuration(&link).unwrap(), "text");
    }
}
