//! Test support: simulates a power loss, after which only synced data is left on disk.
//!
//! After `kill -9` all written data is still there, so such a test cannot detect a missing sync. Here a small library
//! (`forgetful.c`) is loaded into the program under test and records what it syncs, per file and folder;
//! [`ForgetfulDisk::lose_power`] then keeps only that. A file whose name was synced, but not its bytes, is empty or
//! has the bytes of its last sync.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("forgetful.c");

/// The data synced by the programs that were started with it.
#[derive(Debug)]
pub struct ForgetfulDisk {
    folder: PathBuf,
}

impl ForgetfulDisk {
    /// Creates a disk with its records in this existing folder. Needs a C compiler.
    ///
    /// # Errors
    /// The library cannot be compiled, or the folder cannot be written.
    pub fn new(folder: &Path) -> io::Result<Self> {
        for notes in ["files", "folders"] {
            fs::create_dir_all(folder.join(notes))?;
        }
        let source = folder.join("forgetful.c");
        fs::write(&source, SOURCE)?;
        let library = folder.join("forgetful.so");
        let status =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status()?;
        match status.success() {
            true => Ok(Self { folder: folder.to_owned() }),
            false => Err(io::Error::other(format!("cc ended with {status}"))),
        }
    }

    /// Configures the program to write to this disk.
    pub fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.folder.join("forgetful.so")).env("FORGETFUL_DISK", &self.folder);
    }

    /// Reduces this folder to its synced content. No program may be running in it.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn lose_power(&self, data: &Path) -> io::Result<()> {
        let inode = fs::metadata(data)?.ino();
        let left = data.with_extension("left");
        fs::create_dir(&left)?;
        self.restore(inode, &left)?;
        fs::remove_dir_all(data)?;
        fs::rename(&left, data)?;
        // The files get new inode numbers: the remaining content counts as synced again.
        for notes in ["files", "folders"] {
            fs::remove_dir_all(self.folder.join(notes))?;
            fs::create_dir(self.folder.join(notes))?;
        }
        self.note(data)
    }

    fn restore(&self, inode: u64, to: &Path) -> io::Result<()> {
        let names = match fs::read_to_string(self.folder.join("folders").join(inode.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names?,
        };
        for line in names.lines() {
            let mut parts = line.splitn(3, ' ');
            let (Some(inode), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let to = to.join(name);
            if kind == "d" {
                fs::create_dir(&to)?;
                self.restore(inode.parse().unwrap_or_default(), &to)?;
            } else if let Err(error) = fs::copy(self.folder.join("files").join(inode), &to) {
                if error.kind() != io::ErrorKind::NotFound {
                    return Err(error);
                }
                fs::write(&to, b"")?;
            }
        }
        Ok(())
    }

    /// Marks everything below this folder as synced, for data written by the test itself.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn note(&self, folder: &Path) -> io::Result<()> {
        let mut names = String::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (metadata, name) = (entry.metadata()?, entry.file_name());
            let kind = if metadata.is_dir() { 'd' } else { 'f' };
            names += &format!("{} {kind} {}\n", metadata.ino(), name.to_string_lossy());
            match metadata.is_dir() {
                true => self.note(&entry.path())?,
                false => {
                    fs::copy(entry.path(), self.folder.join("files").join(metadata.ino().to_string()))?;
                }
            }
        }
        fs::write(self.folder.join("folders").join(fs::metadata(folder)?.ino().to_string()), names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: after a power loss exactly the synced data is there.
    #[test]
    fn only_what_was_synced_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let disk = ForgetfulDisk::new(&folder.path().join("disk")).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let script = "echo kept > kept; echo named > named; sync kept; mkdir sub; sync .; echo late >> kept; \
                      echo unnamed > unnamed; sync unnamed; echo inner > sub/inner; sync sub/inner";
        let mut command = Command::new("sh");
        disk.under(command.args(["-c", script]).current_dir(&data));
        assert!(command.status().unwrap().success());
        for _ in 0..2 {
            disk.lose_power(&data).unwrap();
            let read = |name: &str| fs::read_to_string(data.join(name)).ok();
            assert_eq!(read("kept").as_deref(), Some("kept\n"));
            assert_eq!(read("named").as_deref(), Some(""));
            assert_eq!(read("unnamed"), None);
            assert!(data.join("sub").is_dir() && read("sub/inner").is_none());
        }
    }
}
