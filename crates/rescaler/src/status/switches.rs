//! Pause and dry run: what a person may change while the rescaler runs.
//!
//! *Paused*: the job is observed and every epoch is recorded, but the policy is not asked, so that it remembers nothing of
//! the pause, and nothing is published. *Dry run*: the policy decides and its plan is recorded, and nothing is published.
//! Both outlast a restart: they lie in a file beside the journal, which is written before a change takes effect.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use journal::{JournalError, create_folder, write_atomically};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What can be switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// See the module's introduction.
    Pause,
    /// See the module's introduction.
    DryRun,
}

/// Why a switch could not be changed or read.
#[derive(Debug, Error)]
pub enum SwitchError {
    /// The program was started with `--dry-run`.
    #[error("the rescaler was started with --dry-run; restart it without")]
    Forced,
    /// The file cannot be written.
    #[error("the switch is unchanged: cannot write its file")]
    File(#[source] JournalError),
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{}: not a switches file; remove it to turn both switches off", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
}

/// How the switches are set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchPositions {
    /// Observed and recorded only.
    pub paused: bool,
    /// Decided and recorded only.
    pub dry_run: bool,
}

/// The switches of one job.
#[derive(Debug)]
pub struct Switches {
    path: Option<PathBuf>,
    is_dry_run_forced: bool,
    now: Mutex<SwitchPositions>,
}

impl Switches {
    /// Reads how they were left; without a file both are off. Without a path they are forgotten at the end.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else: guessing could publish what a person had stopped.
    pub fn open(path: Option<PathBuf>, is_dry_run_forced: bool) -> Result<Self, SwitchError> {
        let now = match &path {
            Some(path) => read(path)?,
            None => SwitchPositions::default(),
        };
        Ok(Self { path, is_dry_run_forced, now: Mutex::new(now) })
    }

    /// Paused, whatever the file holds; the first change replaces it.
    pub fn paused(path: PathBuf, is_dry_run_forced: bool) -> Self {
        let now = SwitchPositions { paused: true, dry_run: false };
        Self { path: Some(path), is_dry_run_forced, now: Mutex::new(now) }
    }

    /// How they are set. A dry run that the command line asks for is one.
    pub fn now(&self) -> SwitchPositions {
        let now = *self.lock();
        SwitchPositions { dry_run: now.dry_run || self.is_dry_run_forced, ..now }
    }

    /// Whether the command line asks for a dry run, which no button ends.
    pub fn is_dry_run_forced(&self) -> bool {
        self.is_dry_run_forced
    }

    /// Sets a switch, on the disk first. Blocks for the time of a write.
    ///
    /// # Errors
    /// See [`SwitchError`]; the switch is then as it was.
    pub fn set(&self, switch: Switch, on: bool) -> Result<SwitchPositions, SwitchError> {
        let mut now = self.lock();
        let next = match switch {
            Switch::DryRun if self.is_dry_run_forced && !on => return Err(SwitchError::Forced),
            Switch::DryRun => SwitchPositions { dry_run: on, ..*now },
            Switch::Pause => SwitchPositions { paused: on, ..*now },
        };
        if let Some(path) = &self.path {
            let text = format!("{{\"paused\":{},\"dry_run\":{}}}\n", next.paused, next.dry_run);
            if let Some(folder) = path.parent() {
                create_folder(folder).map_err(SwitchError::File)?;
            }
            write_atomically(path, text.as_bytes()).map_err(SwitchError::File)?;
        }
        *now = next;
        drop(now);
        Ok(self.now())
    }

    fn lock(&self) -> MutexGuard<'_, SwitchPositions> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The largest file of switches that is read, in bytes; it has some 40.
const MAX_BYTES: u64 = 4 << 10;

fn read(path: &Path) -> Result<SwitchPositions, SwitchError> {
    match files::read(path, MAX_BYTES) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|source| SwitchError::Corrupt { path: path.to_owned(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(SwitchPositions::default()),
        Err(source) => Err(SwitchError::Unreadable { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a pause is still one after a restart, and ends only when somebody ends it.
    #[test]
    fn a_pause_outlasts_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/decisions.switches.json");
        let open = || Switches::open(Some(path.clone()), false).unwrap();
        assert_eq!(open().now(), SwitchPositions::default());
        open().set(Switch::Pause, true).unwrap();
        assert_eq!(open().now(), SwitchPositions { paused: true, dry_run: false });
        open().set(Switch::DryRun, true).unwrap();
        open().set(Switch::Pause, false).unwrap();
        assert_eq!(open().now(), SwitchPositions { paused: false, dry_run: true });
    }

    /// Goal: what the command line forbids no button allows, and what cannot be kept is not done.
    #[test]
    fn refusals_leave_the_switch() {
        let forced = Switches::open(None, true).unwrap();
        assert!(matches!(forced.set(Switch::DryRun, false), Err(SwitchError::Forced)));
        assert!(forced.now().dry_run);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switches.json");
        let switches = Switches::open(Some(path.clone()), false).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(switches.set(Switch::Pause, true), Err(SwitchError::File(_))));
        assert!(!switches.now().paused);
    }

    /// Goal: a damaged file is told, not taken for "publish".
    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switches.json");
        std::fs::write(&path, "{\"paused\":").unwrap();
        assert!(matches!(Switches::open(Some(path), false), Err(SwitchError::Corrupt { .. })));
    }
}
