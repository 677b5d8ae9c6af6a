//! Measures an operator's capacity by parallelism, from runs at fixed parallelism, or with a timetable, under overload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::contender::TIMETABLE;
use crate::folder::{RunFolder, runs_in, write};
use crate::needed::{Capacity, Sweep};
use crate::row::{Column, JobState, Row};
use crate::spread::Spread;
use crate::summary::Summary;

/// A job counts as saturated if its backlog exceeds this many seconds of its throughput.
const WAITING_MIN_S: f64 = 2.0;
/// A job has reached its rate this long after a change, in seconds.
const SETTLED_S: f64 = 10.0;
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
        let carried = carried(&kept.rows, &kept.summary, operator);
        if carried.is_empty() {
            continue;
        }
        for (width, records_per_s) in carried {
            seen.entry(width).or_default().push(records_per_s);
        }
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

/// Returns each parallelism of a run, and its throughput while more was waiting. Runs of policies do not count: they change the
/// parallelism when the load asks for it.
pub(crate) fn carried(rows: &[Row], summary: &Summary, operator: &str) -> Vec<(u32, f64)> {
    let width = |row: &Row| row.parallelism.get(operator).copied();
    let mut known = rows.iter().filter_map(width);
    let first = known.next();
    if known.any(|width| Some(width) != first) && summary.policy != TIMETABLE {
        return Vec::new();
    }
    let mut rates: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    let (mut before, mut since_s) = (first, f64::NEG_INFINITY);
    for row in rows {
        let Some(width) = width(row) else { continue };
        if before != Some(width) {
            (before, since_s) = (Some(width), row.at_s);
        }
        let is_measured = !row.is_warm_up && row.job == JobState::Running && row.at_s - since_s >= SETTLED_S;
        let figures = row.get(Column::ProcessedPerS).zip(row.get(Column::BacklogRecords));
        let saturated = figures.filter(|(rate, waiting)| is_measured && *waiting >= WAITING_MIN_S * rate);
        rates.entry(width).or_default().extend(saturated.map(|(rate, _)| rate));
    }
    let of_width = |(width, rates): (u32, Vec<f64>)| {
        let spread = Spread::from_values(rates).filter(|spread| spread.count >= ROWS_MIN)?;
        Some((width, spread.median))
    };
    rates.into_iter().filter_map(of_width).collect()
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

    fn rows(width: u32, rate: f64, waiting: f64) -> Vec<Row> {
        let row = |at_s: u32| {
            let mut row = Row { at_s: f64::from(at_s), job: JobState::Running, ..Row::default() }
                .with(Column::ProcessedPerS, rate + f64::from(at_s % 3))
                .with(Column::BacklogRecords, waiting);
            row.parallelism.insert("a".to_owned(), width);
            row
        };
        (0..30).map(row).collect()
    }

    /// Goal: only the throughput of a saturated job at constant parallelism counts as a capacity, or at that of a timetable, some time
    /// after a change.
    #[test]
    fn a_capacity_is_seen_under_too_much_load() {
        let (fixed, timetable) =
            (Summary::default(), Summary { policy: TIMETABLE.to_owned(), ..Summary::default() });
        let saturated = rows(2, 1000.0, 9000.0);
        assert_eq!(carried(&saturated, &fixed, "a"), [(2, 1001.0)]);
        assert_eq!(carried(&rows(2, 1000.0, 50.0), &fixed, "a"), [], "all of the load was carried");
        assert_eq!(carried(&saturated, &fixed, "b"), [], "there is no such operator");
        let mut scaled = saturated.clone();
        let later = rows(3, 1500.0, 9000.0).into_iter();
        scaled.extend(later.map(|row| Row { at_s: row.at_s + 30.0, ..row }));
        assert_eq!(carried(&scaled, &fixed, "a"), [], "a policy changed the width");
        scaled[31].set(Column::ProcessedPerS, Some(9e9));
        assert_eq!(carried(&scaled, &timetable, "a"), [(2, 1001.0), (3, 1501.0)]);
        scaled.truncate(45);
        assert_eq!(carried(&scaled, &timetable, "a"), [(2, 1001.0)], "five rows are too few");
        let flat = rising([(1, 10.0), (2, 30.0), (3, 29.0)].into_iter());
        assert_eq!(
            flat.iter().map(|capacity| capacity.records_per_s).collect::<Vec<_>>(),
            [10.0, 30.0, 30.0]
        );
    }
}
