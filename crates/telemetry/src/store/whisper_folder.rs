//! A folder of Whisper files, read in place: what carbon has written, without Graphite's web server.
//!
//! The folder is listed anew from time to time, since carbon creates a file per series; of each file that a pattern knows, only
//! the points of the time that is looked back are read. A file that is just being created or written to is left out of this
//! sample, like a series that has no value yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::debug;
use whisper::{FetchError, Range};

use crate::error::StoreError;
use crate::http::Bounds;
use crate::mapping::{Mapping, Subject};
use crate::series::Found;

/// How often the folder is listed.
const LISTING_MAX_AGE: Duration = Duration::from_secs(10);
/// How deep files may lie: host, task manager, job, operator, subtask and metric are six.
const DEPTH_MAX: usize = 16;
/// How many entries are looked at for each series that may be read: operators and JVMs have many metrics that nobody reads.
const ENTRIES_PER_SERIES: usize = 50;

#[derive(Debug)]
pub(crate) struct WhisperFolder {
    folder: PathBuf,
    bounds: Bounds,
    listed: Option<(Instant, Listing)>,
}

type Listing = BTreeMap<PathBuf, Subject>;

impl WhisperFolder {
    pub(crate) fn new(folder: PathBuf, bounds: Bounds) -> Self {
        Self { folder, bounds, listed: None }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) async fn read(
        &mut self,
        mapping: &Mapping,
        now_ms: i64,
        lookback: Duration,
    ) -> Result<Vec<Found>, StoreError> {
        let listing = match self.listed.take() {
            Some((at, listing)) if at.elapsed() < LISTING_MAX_AGE => (at, listing),
            _ => (Instant::now(), self.list(mapping)?),
        };
        let now = now_ms / 1000;
        let lookback_s = i64::try_from(lookback.as_secs()).unwrap_or(i64::MAX / 4);
        let range = Range { from: now.saturating_sub(lookback_s), until: now, now };
        let task = tokio::task::spawn_blocking(move || {
            let found = listing.1.iter().filter_map(|(path, subject)| series(path, subject, range)).collect();
            (listing, found)
        });
        let read = tokio::time::timeout(self.bounds.timeout, task).await;
        let (listing, found) =
            read.map_err(|_late| StoreError::Interrupted)?.map_err(|_| StoreError::Interrupted)?;
        self.listed = Some(listing);
        Ok(found)
    }

    /// All files that a pattern knows.
    fn list(&self, mapping: &Mapping) -> Result<Listing, StoreError> {
        let mut listing = Listing::new();
        let mut entries_left = self.bounds.max_series.saturating_mul(ENTRIES_PER_SERIES);
        let mut open = vec![(self.folder.clone(), 0)];
        while let Some((folder, depth)) = open.pop() {
            let entries = match std::fs::read_dir(&folder) {
                // Below the root a folder may go while it is being listed.
                Err(_gone) if depth > 0 => continue,
                entries => entries.map_err(|source| StoreError::Folder { path: folder.clone(), source })?,
            };
            for entry in entries.flatten() {
                if entries_left == 0 || listing.len() >= self.bounds.max_series {
                    return Err(StoreError::TooMany { limit: self.bounds.max_series });
                }
                entries_left -= 1;
                let (path, kind) = (entry.path(), entry.file_type());
                if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) && depth < DEPTH_MAX {
                    open.push((path, depth + 1));
                } else if kind.is_ok_and(|kind| kind.is_file())
                    && let Some(subject) = self.series_name(&path).and_then(|name| mapping.subject(&name))
                {
                    listing.insert(path, subject);
                }
            }
        }
        Ok(listing)
    }

    /// The dotted name of a file's series.
    fn series_name(&self, path: &Path) -> Option<String> {
        let relative = path.strip_prefix(&self.folder).ok()?.to_str()?;
        Some(relative.strip_suffix(".wsp")?.replace('/', "."))
    }
}

/// The newest points of one file; nothing if it has none, or cannot be read at this moment.
fn series(path: &Path, subject: &Subject, range: Range) -> Option<Found> {
    let series = match whisper::fetch(path, range) {
        Ok(series) => series?,
        // Of one bad file only its own series is unknown; the sample says so by what it lacks.
        Err(error) => {
            debug!(reason = reason(&error), "{error}");
            return None;
        }
    };
    let times = (0_i64..).map(|index| series.from.saturating_add(series.step.saturating_mul(index)));
    let points = times.zip(&series.values).filter_map(|(time, value)| {
        Some((time.saturating_mul(1000), value.filter(|value| value.is_finite())?))
    });
    Some(Found { subject: subject.clone(), points: points.collect() })
}

fn reason(error: &FetchError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
