//! Secrets: files that only their owner may read, and texts that must not appear in logs.
//!
//! Tokens, signing keys and TLS keys are each one small file. A file that its group or others may read is rejected,
//! because the secret may already be known. [`Secret`] is a text, [`Address`] a URL with a password in it, and neither
//! is shown by Display, Debug or Serialize. [`SecretSource`] says where a secret is stored. [`from_toml`] and
//! [`from_toml_all`] parse configurations without quoting their lines in errors, [`Document`] takes them apart before,
//! and [`without_credentials`] removes credentials from any text. Nothing is encrypted, and no key store is used.

mod address;
mod document;
mod redact;
mod source;
mod syntax;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

pub use address::{Address, AddressError, HttpUrl};
pub use document::Document;
pub use redact::{is_secret_key, without_credentials};
pub use source::{SecretSource, SourceError};
pub use syntax::{Parsed, SyntaxError, from_toml, from_toml_all};

/// The largest file of secrets that is read, in bytes: a certificate chain with its key takes a few KiB.
const MAX_BYTES: u64 = 256 << 10;

/// The permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Why a secret cannot be used. The secret itself is never part of the message.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The attempted action.
        action: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Group or others may read or write the file.
    #[error("{} has mode {mode:03o} and is accessible to other users; change the secret, then chmod 600 the file", path.display())]
    Mode {
        /// Path of the file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path is a folder, a device or a FIFO, or the file is too large or not text.
    #[error("{} is not a file of text with at most {MAX_BYTES} bytes", path.display())]
    Content {
        /// Path of the file.
        path: PathBuf,
    },
    /// A file of that name already exists.
    #[error("{} exists and is not overwritten; move it away, or use another name", path.display())]
    Exists {
        /// Path of the file.
        path: PathBuf,
    },
}

/// A text that Debug and Serialize do not show.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns the text, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(secret)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Reads a file that only its owner may read.
///
/// # Errors
/// The file cannot be read, others may use it, or it is not a small text.
pub fn read(path: &Path) -> Result<Secret, SecretError> {
    let content = || SecretError::Content { path: path.to_owned() };
    let mut bytes = Vec::new();
    let read = open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|source| SecretError::Io { action: "read", path: path.to_owned(), source })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(content());
    }
    String::from_utf8(bytes).map(Secret).map_err(|_| content())
}

/// Checks that a file is readable, and only by its owner. For files that a library opens by name.
///
/// # Errors
/// The file cannot be read, others may use it, or it is not a small file.
pub fn check(path: &Path) -> Result<(), SecretError> {
    open(path).map(drop)
}

/// Opens a file that only its owner may read.
fn open(path: &Path) -> Result<File, SecretError> {
    let io = |source| SecretError::Io { action: "read", path: path.to_owned(), source };
    let content = || SecretError::Content { path: path.to_owned() };
    let file = files::open(path).map_err(|source| match source.kind() {
        // A folder, a device or a FIFO.
        io::ErrorKind::InvalidInput => content(),
        _ => io(source),
    })?;
    // Metadata of the open file, not of the path, so that the file cannot be swapped in between.
    let metadata = file.metadata().map_err(io)?;
    if metadata.len() > MAX_BYTES {
        return Err(content());
    }
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let is_handed_over = || {
        let resolved = std::fs::canonicalize(path).unwrap_or_default();
        is_handed_over(&resolved, metadata.mode(), metadata.uid(), credentials.as_deref())
    };
    if metadata.mode() & OTHERS != 0 && !is_handed_over() {
        return Err(SecretError::Mode { path: path.to_owned(), mode: metadata.mode() & 0o777 });
    }
    Ok(file)
}

/// Whether this is a secret provided by systemd (`LoadCredential=`), Docker or Kubernetes: owned by root, readable by
/// the program's group, writable only by its owner; and located in systemd's credentials folder, below
/// `/run/secrets`, or in a kubelet volume (whose files are in a folder that begins with two dots).
fn is_handed_over(resolved: &Path, mode: u32, owner: u32, credentials: Option<&Path>) -> bool {
    let is_of_kubelet =
        |folder: &Path| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("..20"));
    let is_place = ["/run/secrets", "/run/credentials"].iter().any(|folder| resolved.starts_with(folder))
        || credentials.is_some_and(|folder| resolved.starts_with(folder))
        || resolved.parent().is_some_and(is_of_kubelet);
    is_place && owner == 0 && mode & OTHERS == 0o040
}

/// Minimum length of a token in characters: shorter ones could be guessed.
pub const TOKEN_CHARACTERS_MIN: usize = 16;

/// Returns whether this is a well-formed token: long enough, printable, without blanks.
pub fn is_token(text: &str) -> bool {
    text.len() >= TOKEN_CHARACTERS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Writes a new file that only its owner may read (mode 600); it is on disk when this returns.
///
/// # Errors
/// The file exists, or it cannot be written; a partial file is removed.
pub fn write_new(path: &Path, text: &str) -> Result<(), SecretError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let io = |source| SecretError::Io { action: "write", path: path.to_owned(), source };
    let mut file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SecretError::Exists { path: path.to_owned() },
        _ => io(source),
    })?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|source| {
        // A partial key must not remain.
        drop(std::fs::remove_file(path));
        io(source)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Goal: a written secret can be read by its owner, has strict permissions whatever the umask, and is never
    /// overwritten.
    #[test]
    fn a_secret_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, "hidden").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let secret = read(&path).unwrap();
        assert_eq!(secret.reveal(), "hidden");
        assert!(!format!("{secret:?}").contains("hidden"));
        assert!(matches!(write_new(&path, "other"), Err(SecretError::Exists { .. })));
        assert_eq!(read(&path).unwrap().reveal(), "hidden");
    }

    /// Goal: a secret readable by its group is accepted where systemd, Docker or Kubernetes provide it, and nowhere
    /// else.
    #[test]
    fn secrets_that_are_handed_over_are_taken() {
        let credentials = Some(Path::new("/run/user/7/credentials/unit"));
        let taken = |path: &str, mode, owner| is_handed_over(Path::new(path), mode, owner, credentials);
        for path in [
            "/run/user/7/credentials/unit/token",
            "/run/credentials/config-agent.service/token",
            "/run/secrets/token",
            "/etc/tokens/..2026_01_01_00_00_00.123/token",
        ] {
            assert!(taken(path, 0o100_440, 0), "{path}");
            for (mode, owner) in [(0o100_440, 7), (0o100_444, 0), (0o100_460, 0), (0o100_441, 0)] {
                assert!(!taken(path, mode, owner), "{path} {mode:o} {owner}");
            }
        }
        for path in ["/etc/rescaler/token", "/run/secrets-of-others/token", "/etc/..other/token"] {
            assert!(!taken(path, 0o100_440, 0), "{path}");
        }
    }

    /// Goal: a file that group or others may use is rejected with its name, its mode and the remedy.
    #[test]
    fn what_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, "hidden").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            for refused in [read(&path).map(drop), check(&path)] {
                let message = refused.unwrap_err().to_string();
                for part in ["key", &format!("{mode:o}"), "chmod 600"] {
                    assert!(message.contains(part), "{message}");
                }
            }
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        read(&path).unwrap();
        check(&path).unwrap();
        assert!(matches!(read(folder.path()), Err(SecretError::Content { .. })));
        assert!(matches!(read(Path::new("/dev/zero")), Err(SecretError::Content { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(SecretError::Io { .. })));
    }
}
