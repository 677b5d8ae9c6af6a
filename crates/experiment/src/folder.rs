//! The folder of a run: the results that are kept, and the working files that are removed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use scaling::Snapshot;
use serde::Serialize;

use crate::decisions::{self, DecisionLine};
use crate::row::{Row, read_series};
use crate::snapshots;
use crate::summary::Summary;

/// Largest file of a run that is read, in bytes: a day of one row per second takes about 50 MB.
pub(crate) const RESULT_BYTES: u64 = 512 << 20;

/// The files of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder(PathBuf);

/// A completed run, read from its folder.
#[derive(Debug)]
pub(crate) struct CompletedRun {
    pub(crate) summary: Summary,
    pub(crate) rows: Vec<Row>,
    pub(crate) decisions: Vec<DecisionLine>,
}

impl RunFolder {
    /// Creates a new folder.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub(crate) fn make(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        // The programs of a run have their own working folders, so the paths in their configurations must be
        // absolute.
        let path = path.canonicalize().with_context(|| format!("cannot reach {}", path.display()))?;
        Ok(Self(path))
    }

    /// Returns the files of an existing run.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn series(&self) -> PathBuf {
        self.0.join("series.csv")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots.jsonl")
    }

    pub(crate) fn changes(&self) -> PathBuf {
        self.0.join("changes.csv")
    }

    pub(crate) fn decisions(&self) -> PathBuf {
        self.0.join("decisions.csv")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal/decisions.jsonl")
    }

    /// Returns the working folder of Kafka, Flink and the project's programs during the run.
    pub(crate) fn cluster_dir(&self) -> PathBuf {
        self.0.join("cluster")
    }

    /// Copies a journal from outside the run's folder.
    pub(crate) fn copy_journal(&self, from: &Path) -> anyhow::Result<()> {
        let to = self.journal();
        let copied = fs::create_dir_all(self.0.join("journal")).and_then(|()| fs::copy(from, &to));
        copied.map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        write(&self.0.join(name), text)
    }

    /// Appends a row to the series, and the snapshot that was made with it, at once, so that a kill loses no measurement.
    pub(crate) fn append_row(
        &self,
        row: &Row,
        operators: &[String],
        snapshot: Option<&Snapshot>,
    ) -> anyhow::Result<()> {
        append(&self.series(), &row.line(operators))?;
        match snapshot {
            Some(snapshot) => append(&self.snapshots(), &snapshots::line(row.at_s, snapshot)?),
            None => Ok(()),
        }
    }

    pub(crate) fn write_json<T: Serialize>(&self, name: &str, value: &T) -> anyhow::Result<()> {
        self.write(name, &(serde_json::to_string_pretty(value)? + "\n"))
    }

    /// Moves configurations, logs and the journal out of a tenant's folder.
    ///
    /// # Errors
    /// A file cannot be moved.
    pub(crate) fn collect(&self, tenant: &Path) -> anyhow::Result<()> {
        let kept = [("conf", "conf"), ("logs", "logs"), ("rescaler", "journal"), ("contender", "contender")];
        kept.iter().try_for_each(|(from, to)| keep(&tenant.join(from), &self.0.join(to)))
    }

    /// Keeps the logs of Kafka and Flink, and removes the rest of the working folder: topics and checkpoints.
    ///
    /// # Errors
    /// A file cannot be moved or removed.
    pub(crate) fn clear(&self, cluster_dir: &Path) -> anyhow::Result<()> {
        keep(&cluster_dir.join("testbed/logs"), &self.0.join("logs/testbed"))?;
        fs::remove_dir_all(cluster_dir).with_context(|| format!("cannot remove {}", cluster_dir.display()))
    }

    /// Reads a run.
    ///
    /// # Errors
    /// The folder is not a run, or one of its files cannot be read.
    pub(crate) fn read(path: &Path) -> anyhow::Result<CompletedRun> {
        let folder = Self::at(path);
        let file = path.join("summary.json");
        let text = files::read_text(&file, RESULT_BYTES)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let summary =
            serde_json::from_str(&text).with_context(|| format!("cannot use {}", file.display()))?;
        let decisions = folder.decisions();
        let decisions = if decisions.is_file() { decisions::read(&decisions)? } else { Vec::new() };
        Ok(CompletedRun { summary, rows: read_series(&folder.series())?, decisions })
    }
}

/// Returns the runs in this folder: itself, or those one or two levels below it.
///
/// # Errors
/// There are none.
pub(crate) fn runs_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_run = |folder: &Path| folder.join("summary.json").is_file();
    if is_run(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let mut runs = Vec::new();
    for path in folders_in(folder)? {
        if is_run(&path) {
            runs.push(path);
        } else {
            runs.extend(folders_in(&path)?.into_iter().filter(|path| is_run(path)));
        }
    }
    ensure!(!runs.is_empty(), "{} is not the folder of a run: it has no summary.json", folder.display());
    Ok(runs)
}

fn folders_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut folders: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

fn keep(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::rename(from, to).with_context(|| format!("cannot keep {}", from.display()))
}

fn append(path: &Path, line: &str) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| writeln!(file, "{line}"))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
