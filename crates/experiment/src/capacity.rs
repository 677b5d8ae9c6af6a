//! Measures an operator's capacity by parallelism, from runs at fixed parallelism under overload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::folder::{CompletedRun, RunFolder, runs_in, write};
use crate::needed::{Capacity, Sweep};
use crate::row::{Column, JobState};
use crate::spread::Spread;

/// A job counts as saturated if its backlog exceeds this many seconds of its throughput.
const WAITING_MIN_S: f64 = 2.0;
/// Minimum number of rows for a capacity.
const ROWS_MIN: usize = 10;

/// Reads the runs in these folders, and writes and returns the operator's measured capacity by parallelism.
///
/// # Errors
/// There is no run of a saturated job, or a file cannot be read or written.
pub(crate) fn sweep(folders: &[PathBuf], operator: &str, out: &Path) -> anyhow::Result<String> {
    let mut seen: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    let mut dates = Vec::new();
    for folder in folders.iter().map(|folder| runs_in(folder)).collect::<anyhow::Result<Vec<_>>>()?.concat() {
        let kept = RunFolder::read(&folder)?;
        let Some((width, records_per_s)) = carried(&kept, operator) else { continue };
        seen.entry(width).or_default().push(records_per_s);
        dates.extend(kept.summary.began_at.split('T').next().map(str::to_owned));
    }
    ensure!(
        !seen.is_empty(),
        "no run has {operator} at a fixed width under overload; a sweep needs at least one"
    );
    dates.sort();
    dates.dedup();
    let capacity =
        rising(seen.into_iter().filter_map(|(width, all)| Some((width, Spread::from_values(all)?.median))));
    let sweep = Sweep { operator: operator.to_owned(), seen: dates.join(", "), capacity };
    let text = sweep.text();
    Sweep::parse(&text).map_err(anyhow::Error::msg).context("the sweep is inconsistent")?;
    write(out, &text)?;
    Ok(text)
}

/// Returns the constant parallelism of a run, and its throughput while more was waiting.
fn carried(kept: &CompletedRun, operator: &str) -> Option<(u32, f64)> {
    let mut widths = kept.rows.iter().filter_map(|row| row.parallelism.get(operator));
    let width = *widths.next()?;
    if widths.any(|other| *other != width) {
        return None;
    }
    let measured = kept.rows.iter().filter(|row| !row.is_warm_up && row.job == JobState::Running);
    let rates = measured
        .filter_map(|row| Some((row.get(Column::ProcessedPerS)?, row.get(Column::BacklogRecords)?)))
        .filter(|(rate, waiting)| *waiting >= WAITING_MIN_S * rate)
        .map(|(rate, _)| rate);
    let spread = Spread::from_values(rates).filter(|spread| spread.count >= ROWS_MIN)?;
    Some((width, spread.median))
}

/// Makes capacities non-decreasing: a higher parallelism carries at least as much.
fn rising(all: impl Iterator<Item = (u32, f64)>) -> Vec<Capacity> {
    let mut most: f64 = 0.0;
    all.map(|(width, records_per_s)| {
        most = most.max(records_per_s);
        Capacity { width, records_per_s: most }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::summary::Summary;

    fn kept(width: u32, rate: f64, waiting: f64) -> CompletedRun {
        let row = |at_s: u32| {
            let mut row = Row { at_s: f64::from(at_s), job: JobState::Running, ..Row::default() }
                .with(Column::ProcessedPerS, rate + f64::from(at_s % 3))
                .with(Column::BacklogRecords, waiting);
            row.parallelism.insert("a".to_owned(), width);
            row
        };
        CompletedRun { summary: Summary::default(), rows: (0..30).map(row).collect(), decisions: Vec::new() }
    }

    /// Goal: only the throughput of a saturated job at constant parallelism counts as a capacity.
    #[test]
    fn a_capacity_is_seen_under_too_much_load() {
        assert_eq!(carried(&kept(2, 1000.0, 9000.0), "a"), Some((2, 1001.0)));
        assert_eq!(carried(&kept(2, 1000.0, 50.0), "a"), None, "all of the load was carried");
        assert_eq!(carried(&kept(2, 1000.0, 9000.0), "b"), None, "there is no such operator");
        let mut scaled = kept(2, 1000.0, 9000.0);
        scaled.rows[20].parallelism.insert("a".to_owned(), 3);
        assert_eq!(carried(&scaled, "a"), None, "the width changed");
        let flat = rising([(1, 10.0), (2, 30.0), (3, 29.0)].into_iter());
        assert_eq!(
            flat.iter().map(|capacity| capacity.records_per_s).collect::<Vec<_>>(),
            [10.0, 30.0, 30.0]
        );
    }
}
