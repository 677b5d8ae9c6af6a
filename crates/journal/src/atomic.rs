//! Atomic and durable replacement of a file.
//!
//! Writes a temporary file in the same folder, syncs it, renames it over the old one, and syncs the folder. A reader
//! sees the old bytes or the new ones, even after a crash. One writer per path is assumed (see
//! [`crate::FolderLock`]). The temporary file therefore has a fixed name, and the next write overwrites what a crash
//! left behind.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::JournalError;

/// Writes `bytes` to `path` atomically and durably, or leaves the old file.
///
/// # Errors
/// The file could not be written. If only the last step failed, the fsync of the folder, the new bytes may already be
/// visible: read the file again rather than assume either.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    write(path, bytes, None)
}

/// Does the same for a file that others may read: mode 644, independent of the umask.
///
/// # Errors
/// As [`write_atomically`].
pub fn show_atomically(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    write(path, bytes, Some(Permissions::from_mode(0o644)))
}

fn write(path: &Path, bytes: &[u8], permissions: Option<Permissions>) -> Result<(), JournalError> {
    let temporary = temporary_path(path);
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| JournalError::io(action, &path, source)
    };
    let mut file = File::create(&temporary).map_err(io("create", &temporary))?;
    file.write_all(bytes).map_err(io("write", &temporary))?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions).map_err(io("show", &temporary))?;
    }
    file.sync_all().map_err(io("flush", &temporary))?;
    drop(file);
    std::fs::rename(&temporary, path).map_err(io("rename to", path))?;
    sync_folder_of(path)
}

/// Creates a folder, and its parents, durably.
///
/// # Errors
/// The folder could not be created.
pub fn create_folder(path: &Path) -> Result<(), JournalError> {
    if path.is_dir() {
        return Ok(());
    }
    // Each new name is stored in its parent folder: syncs all of these, from the first missing one down.
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.is_dir()).collect();
    std::fs::create_dir_all(path).map_err(|e| JournalError::io("create the folder", path, e))?;
    missing.into_iter().rev().try_for_each(sync_folder_of)
}

/// Syncs an existing file and its directory entry.
///
/// # Errors
/// The file cannot be opened or synced.
pub fn sync(path: &Path) -> Result<(), JournalError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| JournalError::io("flush", path, source))?;
    sync_folder_of(path)
}

/// Makes a new name in the folder of `path` durable.
///
/// # Errors
/// The folder cannot be synced.
pub fn sync_folder_of(path: &Path) -> Result<(), JournalError> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| JournalError::io("flush the folder", folder, source))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    folder_of(path).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a replaced file has the new bytes, and remnants of an interrupted write do no harm.
    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("document.toml");
        write_atomically(&path, b"old, and longer").unwrap();
        std::fs::write(temporary_path(&path), b"left behind by a crash, longer than the new bytes").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Goal: a file meant for others is readable to them, whatever the umask.
    #[test]
    fn a_shown_file_can_be_read_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("document.toml");
        show_atomically(&path, b"shown").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    /// Goal: all missing folders are created below an existing one.
    #[test]
    fn folders_are_made_with_their_parents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        create_folder(&path).unwrap();
        create_folder(&path).unwrap();
        assert!(path.is_dir());
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(create_folder(&folder.path().join("file/d")).is_err());
    }

    /// Goal: a failed write leaves the old file and names the path.
    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("document.toml");
        write_atomically(&path, b"old").unwrap();
        std::fs::create_dir(temporary_path(&path)).unwrap();
        let error = write_atomically(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("document.toml"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }

    /// Goal: a path without a folder is in the current one, also for the temporary file and the folder that is synced.
    #[test]
    fn a_bare_name_is_in_the_current_folder() {
        for (path, folder, temporary) in [
            ("log", ".", "./.log.tmp"),
            ("a/log", "a", "a/.log.tmp"),
            ("/log", "/", "/.log.tmp"),
            ("../log", "..", "../.log.tmp"),
        ] {
            let path = Path::new(path);
            assert_eq!(
                (folder_of(path), temporary_path(path)),
                (Path::new(folder), PathBuf::from(temporary))
            );
        }
    }

    /// Goal: what is not there cannot be synced, and is not called durable.
    #[test]
    fn what_is_missing_is_not_durable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("document.toml");
        assert!(sync(&path).is_err() && sync_folder_of(&path.join("inside")).is_err());
        std::fs::write(&path, b"new").unwrap();
        assert!(sync(&path).is_ok() && sync_folder_of(&path).is_ok());
    }
}
