//! A folder of Whisper files as carbon writes them, read without Graphite's web server.
//!
//! The folder is listed periodically, because carbon creates a file per series. Of each file that a pattern matches, only the points
//! within the lookback time are read. Links are followed. A file that cannot be listed or read is a [`Gap`]; the caller, who has the job's
//! graph, decides whether it matters.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use whisper::{FetchError, Range};

use super::{Gap, MetricStore, Read, Reading};
use crate::error::StoreError;
use crate::http::Bounds;
use crate::mapping::{Mapping, Subject};
use crate::origins::{Origin, Origins};
use crate::series::MatchedSeries;

/// Interval of listing the folder.
const LISTING_MAX_AGE: Duration = Duration::from_secs(10);
/// Maximum depth of files: host, task manager, job, operator, subtask and metric are six levels.
const DEPTH_MAX: usize = 16;
/// Maximum number of inspected entries per readable series: operators and JVMs have many metrics that are not used.
const ENTRIES_PER_SERIES: usize = 50;
/// Folder of file system checks at the root of a file system, readable only by root. It contains no series.
const LOST_AND_FOUND: &str = "lost+found";

#[derive(Debug)]
pub(crate) struct WhisperFolder {
    folder: PathBuf,
    bounds: Bounds,
    listed: Option<(Instant, Listing)>,
}

/// Content of the folder.
#[derive(Debug, Default)]
struct Listing {
    series: BTreeMap<PathBuf, (Subject, Arc<Origin>)>,
    /// What could not be listed, and why.
    unlisted: Vec<(PathBuf, String)>,
}

/// A folder that has not been listed yet.
struct UnlistedFolder {
    path: PathBuf,
    /// Device and inode of the folders that it is in, so that a link into one of them is not followed forever.
    above: Vec<(u64, u64)>,
}

impl MetricStore for WhisperFolder {
    fn kind(&self) -> &'static str {
        "whisper"
    }

    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn remedy_for_ambiguity(&self) -> &'static str {
        "set source.folder to a folder with only one, or match only its hosts with metrics.patterns and \
         metrics.presets = []"
    }

    fn read<'a>(&'a mut self, mapping: &'a Mapping, now_ms: i64, lookback: Duration) -> Read<'a> {
        Box::pin(async move {
            let listing = match self.listed.take() {
                Some((at, listing)) if at.elapsed() < LISTING_MAX_AGE => (at, listing),
                _ => (Instant::now(), self.list(mapping)?),
            };
            let now = now_ms / 1000;
            let lookback_s = i64::try_from(lookback.as_secs()).unwrap_or(i64::MAX / 4);
            let range = Range { from: now.saturating_sub(lookback_s), until: now, now };
            let task = tokio::task::spawn_blocking(move || {
                let reading = listing.1.read(range);
                (listing, reading)
            });
            let read = tokio::time::timeout(self.bounds.timeout, task).await;
            let (listing, reading) =
                read.map_err(|_late| StoreError::Interrupted)?.map_err(|_| StoreError::Interrupted)?;
            self.listed = Some(listing);
            Ok(reading)
        })
    }
}

impl WhisperFolder {
    pub(crate) fn new(folder: PathBuf, bounds: Bounds) -> Self {
        Self { folder, bounds, listed: None }
    }

    /// All files that a pattern knows.
    fn list(&self, mapping: &Mapping) -> Result<Listing, StoreError> {
        let (mut listing, mut origins) = (Listing::default(), Origins::default());
        let mut entries_left = self.bounds.max_series.saturating_mul(ENTRIES_PER_SERIES);
        let mut open = vec![UnlistedFolder { path: self.folder.clone(), above: Vec::new() }];
        while let Some(folder) = open.pop() {
            let entries = match std::fs::read_dir(&folder.path) {
                Err(source) if folder.path == self.folder => {
                    return Err(StoreError::Folder { path: folder.path, source });
                }
                Err(error) => {
                    listing.gap(&folder.path, error);
                    continue;
                }
                Ok(entries) => entries,
            };
            for entry in entries {
                if entries_left == 0 || listing.series.len() >= self.bounds.max_series {
                    return Err(StoreError::TooMany { limit: self.bounds.max_series });
                }
                entries_left -= 1;
                match entry.and_then(|entry| self.inspect(&entry.path(), &folder, mapping)) {
                    Ok(Some(Entry::Folder(inner))) => open.push(inner),
                    Ok(Some(Entry::Series(path, subject, origin))) => {
                        let origin = origins.keep(Origin::of_name(origin));
                        listing.series.insert(path, (subject, origin));
                    }
                    Ok(None) => {}
                    Err(error) => listing.gap(&folder.path, error),
                }
            }
        }
        Ok(listing)
    }

    /// Returns the kind of an entry, with links followed; [`None`] if it is empty.
    fn inspect(&self, path: &Path, within: &UnlistedFolder, mapping: &Mapping) -> io::Result<Option<Entry>> {
        if path.file_name().is_some_and(|name| name == LOST_AND_FOUND) {
            return Ok(None);
        }
        let known = self.series_name(path).and_then(|name| mapping.subject_and_origin(&name));
        let metadata = path.metadata()?;
        if metadata.is_dir() {
            let identity = (metadata.dev(), metadata.ino());
            if within.above.contains(&identity) {
                return Ok(None);
            }
            if within.above.len() >= DEPTH_MAX {
                return Err(io::Error::other(format!("folders more than {DEPTH_MAX} deep")));
            }
            let above = within.above.iter().copied().chain([identity]).collect();
            return Ok(Some(Entry::Folder(UnlistedFolder { path: path.to_owned(), above })));
        }
        let known = known.filter(|_| metadata.is_file());
        Ok(known.map(|(subject, origin)| Entry::Series(path.to_owned(), subject, origin)))
    }

    /// The dotted name of a file's series.
    fn series_name(&self, path: &Path) -> Option<String> {
        let relative = path.strip_prefix(&self.folder).ok()?.to_str()?;
        Some(relative.strip_suffix(".wsp")?.replace('/', "."))
    }
}

enum Entry {
    Folder(UnlistedFolder),
    Series(PathBuf, Subject, String),
}

impl Listing {
    /// Notes what cannot be listed. What is gone is no gap: it went while the folder was being listed.
    fn gap(&mut self, path: &Path, error: io::Error) {
        if error.kind() != ErrorKind::NotFound {
            self.unlisted.push((path.to_owned(), error.to_string()));
        }
    }

    /// The newest points of all files.
    fn read(&self, range: Range) -> Reading {
        let mut reading = Reading::default();
        for (path, reason) in &self.unlisted {
            let error = StoreError::Unlisted { path: path.clone(), reason: reason.clone() };
            reading.gaps.push(Gap { subject: None, error });
        }
        for (path, (subject, origin)) in &self.series {
            match whisper::fetch(path, range) {
                Ok(None) => {}
                Ok(Some(series)) => reading.found.push(found(&series, subject, origin)),
                Err(FetchError::Open { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let error = StoreError::File(error);
                    reading.gaps.push(Gap { subject: Some(subject.clone()), error });
                }
            }
        }
        reading
    }
}

fn found(series: &whisper::Series, subject: &Subject, origin: &Arc<Origin>) -> MatchedSeries {
    let times = (0_i64..).map(|index| series.from.saturating_add(series.step.saturating_mul(index)));
    let points = times.zip(&series.values).filter_map(|(time, value)| {
        Some((time.saturating_mul(1000), value.filter(|value| value.is_finite())?))
    });
    MatchedSeries {
        subject: subject.clone(),
        points: points.collect(),
        has_unreadable: series.values.iter().flatten().any(|value| !value.is_finite()),
        origin: Some(Arc::clone(origin)),
    }
}
