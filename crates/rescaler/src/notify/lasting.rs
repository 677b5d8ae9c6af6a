//! What was reported of a job and lasts, in a file beside its journal: a restart of the rescaler reports none of it anew, and its end once.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use journal::{JournalError, create_folder, write_atomically};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::status::DecisionOutcome;

/// The largest file that is read, in bytes; a cause takes some 100.
const MAX_BYTES: u64 = 1 << 20;

/// What lasts. A field that this version does not know is ignored, so that an older version can be installed again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lasting {
    /// A person must act.
    pub(super) needs_a_person: bool,
    /// The job is not being watched.
    pub(super) is_unwatched: bool,
    /// The agent refuses changes.
    pub(super) is_refused: bool,
    /// The policy has stopped changing the job.
    pub(super) is_stopped: bool,
    /// Why more subtasks would not help: causes and their operators.
    pub(super) causes: Vec<(String, String)>,
    /// The newest plan that was not carried out, and why not.
    pub(super) repeated: Option<(DecisionOutcome, BTreeMap<String, u32>)>,
}

impl Lasting {
    /// Reads the file; nothing lasts without one. One that cannot be read is reported in the log: what lasts is then sent again.
    pub(crate) fn load(path: &Path) -> Self {
        let read = match files::read(path, MAX_BYTES) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.to_string()),
        };
        read.unwrap_or_else(|problem| {
            warn!("{}: not a file of notifications, and ignored: {problem}", path.display());
            Self::default()
        })
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<(), JournalError> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        // Texts and numbers: they can always be written.
        let text = serde_json::to_string(self).unwrap_or_default();
        write_atomically(path, format!("{text}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what lasts is read as it was written; a file that is damaged or of another version is no obstacle.
    #[test]
    fn what_lasts_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/decisions.notified.json");
        assert_eq!(Lasting::load(&path), Lasting::default());
        let plan = BTreeMap::from([("map".to_owned(), 3)]);
        let lasting = Lasting {
            needs_a_person: true,
            causes: vec![("skew".to_owned(), "map".to_owned())],
            repeated: Some((DecisionOutcome::Recommended, plan)),
            ..Lasting::default()
        };
        lasting.save(&path).unwrap();
        assert_eq!(Lasting::load(&path), lasting);
        std::fs::write(&path, "{\"needs_a_person\":true,\"later\":1}").unwrap();
        assert_eq!(Lasting::load(&path), Lasting { needs_a_person: true, ..Lasting::default() });
        std::fs::write(&path, "{\"needs_a").unwrap();
        assert_eq!(Lasting::load(&path), Lasting::default());
    }
}
