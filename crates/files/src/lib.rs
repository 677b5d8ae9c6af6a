//! Bounded reads of regular files.
//!
//! Every file that a user names (a configuration, a catalogue, a trace, a journal) is opened here. Devices such as `/dev/zero` never
//! end, a FIFO without a writer blocks its reader, and a folder is read as an error without a name. Each is refused before a byte
//! is read, with a message that says what the path is. Left out: who may read a file; crate `secrets` checks that.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use thiserror::Error;

/// The largest configuration or job document that is read, in bytes; those in use have less than 64 KiB.
pub const CONFIGURATION_BYTES: u64 = 4 << 20;

/// Why a file is refused although the operating system would read it. Carried by [`io::Error`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// The path is not a regular file.
    #[error("it is {kind}; name a regular file")]
    Kind {
        /// What it is, with its article.
        kind: &'static str,
    },
    /// The file has more bytes than the caller reads.
    #[error("it has more than {limit_bytes} bytes, the most that is read of such a file")]
    Large {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The file is not UTF-8.
    #[error("it is not text in UTF-8")]
    Encoding,
}

/// Opens a regular file for reading. Never blocks.
///
/// # Errors
/// The operating system's reason, or [`Refused::Kind`].
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at before it is opened, because opening a device can have effects.
    check_kind(fs::metadata(path)?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    // Looked at again, because another file may have taken the name.
    check_kind(file.metadata()?.file_type())?;
    Ok(file)
}

/// Returns an error if there is something at this path that is not a regular file; a missing file is accepted.
///
/// # Errors
/// The operating system's reason, or [`Refused::Kind`].
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
/// The operating system's reason, [`Refused::Kind`] or [`Refused::Large`].
pub fn read(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let large = || io::Error::new(io::ErrorKind::FileTooLarge, Refused::Large { limit_bytes });
    let length = file.metadata()?.len();
    if length > limit_bytes {
        return Err(large());
    }
    // The length is only a hint: files of /proc state 0, and a file may grow meanwhile.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit_bytes { Err(large()) } else { Ok(bytes) }
}

/// Reads a regular file of at most `limit_bytes` as UTF-8.
///
/// # Errors
/// As [`read`], and [`Refused::Encoding`].
pub fn read_text(path: &Path, limit_bytes: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit_bytes)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, Refused::Encoding))
}

/// Reads a configuration or job document: text of at most [`CONFIGURATION_BYTES`].
///
/// # Errors
/// As [`read_text`].
pub fn read_configuration(path: &Path) -> io::Result<String> {
    read_text(path, CONFIGURATION_BYTES)
}

fn check_kind(kind: FileType) -> io::Result<()> {
    let kind = match kind {
        regular if regular.is_file() => return Ok(()),
        folder if folder.is_dir() => "a folder",
        fifo if fifo.is_fifo() => "a FIFO or pipe",
        socket if socket.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, Refused::Kind { kind }))
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn message(path: &Path) -> String {
        read_text(path, 100).unwrap_err().to_string()
    }

    /// Goal: a device without end, a FIFO without a writer and a folder are refused at once by what they are.
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

    /// Goal: a file is read whole up to the limit and refused beyond it, also where its stated length says nothing.
    #[test]
    fn the_limit_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [b'x'; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert_eq!(read(&path, 99).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // States a length of 0.
        assert!(read(Path::new("/proc/self/status"), 10).is_err());
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
        fs::write(&path, [0xff]).unwrap();
        assert!(message(&path).contains("UTF-8"));
    }

    /// Goal: a regular file behind a link is read, as before.
    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "text").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("file"), &link).unwrap();
        assert_eq!(read_configuration(&link).unwrap(), "text");
    }
}
