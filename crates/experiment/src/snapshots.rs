//! Snapshots of a run's job as seen from outside, each over five seconds that no other one covers, as JSON lines.

use std::path::Path;

use anyhow::Context;
use scaling::Snapshot;
use serde::{Deserialize, Serialize};

/// A snapshot and the time of the row that was measured with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedSnapshot {
    /// Seconds since the load began, at the end of the snapshot's time.
    pub at_s: f64,
    /// The snapshot.
    pub snapshot: Snapshot,
}

impl TimedSnapshot {
    /// Returns the length of the time that its rates are means of, in seconds.
    pub(crate) fn length_s(&self) -> f64 {
        let ms = self.snapshot.interval_ms.unwrap_or(0).max(0);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some seconds")]
        let seconds = ms as f64 / 1000.0;
        seconds
    }

    /// Returns the beginning of that time, in seconds since the load began.
    pub(crate) fn begin_s(&self) -> f64 {
        self.at_s - self.length_s()
    }
}

/// Formats a snapshot as one line.
///
/// # Errors
/// It cannot be written as JSON.
pub(crate) fn line(at_s: f64, snapshot: &Snapshot) -> anyhow::Result<String> {
    let timed = TimedSnapshot { at_s, snapshot: snapshot.clone() };
    serde_json::to_string(&timed).context("cannot write a snapshot as JSON")
}

/// Reads snapshots; none if the file does not exist. Ignores a torn last line.
///
/// # Errors
/// The file exists but cannot be read, or is damaged before its end.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<TimedSnapshot>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = files::read_text(path, crate::folder::RESULT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Vec<&str> = text.lines().collect();
    let mut all = Vec::with_capacity(lines.len());
    for (number, line) in (1..).zip(&lines) {
        match serde_json::from_str(line) {
            Ok(snapshot) => all.push(snapshot),
            Err(_) if number == lines.len() => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{}: line {number}", path.display()));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: snapshots survive a round trip; a torn last line is ignored, a damaged earlier one is named.
    #[test]
    fn snapshots_survive() {
        let one = Snapshot { at_ms: Some(7_000), interval_ms: Some(5_000), ..Snapshot::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshots.jsonl");
        let whole = line(12.5, &one).unwrap();
        std::fs::write(&path, format!("{whole}\n{whole}\n{{\"at_s\"")).unwrap();
        let read_back = read(&path).unwrap();
        assert_eq!((read_back.len(), &read_back[1].snapshot), (2, &one));
        assert!((read_back[0].begin_s() - 7.5).abs() < 1e-9);
        std::fs::write(&path, format!("{{\n{whole}\n")).unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("line 1"));
        assert_eq!(read(&folder.path().join("none")).unwrap(), []);
    }
}
