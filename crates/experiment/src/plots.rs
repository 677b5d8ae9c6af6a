//! The plots of a run, and overlaid plots of several runs.

use std::path::Path;

use crate::chart::{Chart, Line};
use crate::folder::{CompletedRun, write};
use crate::row::{Column, JobState, Row};

/// Plots latency, rates, parallelism and backlog of one run.
///
/// # Errors
/// A plot cannot be drawn or written.
pub(crate) fn of_run(run: &CompletedRun, folder: &Path) -> anyhow::Result<()> {
    let summary = &run.summary;
    let figures = |wanted: &[(&str, Column)]| -> Vec<Line> {
        wanted.iter().map(|(name, figure)| line(name, &run.rows, *figure)).collect()
    };
    let latencies = [
        ("event latency, mean", Column::EventLatencyMeanMs),
        ("event latency, p99", Column::EventLatencyP99Ms),
        ("inside Flink, mean", Column::OverallLatencyMeanMs),
    ];
    let rates = [("offered", Column::OfferedPerS), ("processed", Column::ProcessedPerS)];
    let base = base_of(run);
    let latency = Chart {
        is_log: true,
        bound: Some(("bound".to_owned(), summary.latency_max_ms)),
        lines: figures(&latencies),
        ..base.clone()
    };
    let parallelism = Chart { is_whole: true, lines: parallelism(&run.rows), ..base.clone() };
    let backlog = Chart { lines: figures(&[("backlog", Column::BacklogRecords)]), ..base.clone() };
    let charts = [
        ("latency", "milliseconds", latency),
        ("rates", "records per second", Chart { lines: figures(&rates), ..base }),
        ("parallelism", "subtasks", parallelism),
        ("backlog", "records waiting in Kafka", backlog),
    ];
    charts.into_iter().try_for_each(|(name, y_label, chart)| {
        let chart = Chart { title: format!("{name}: {}", summary.label()), y_label, ..chart };
        write(&folder.join(name).with_extension("svg"), &chart.svg()?)
    })
}

/// What the plots of a run have in common: the time axis, outages and published changes.
fn base_of(run: &CompletedRun) -> Chart {
    let published = run.decisions.iter().filter(|decision| decision.is_published());
    Chart {
        until_s: run.summary.duration_s,
        warm_up_s: run.summary.warm_up_s,
        down: down(&run.rows),
        marks: published.map(|decision| decision.at_s).collect(),
        marks_name: "change published",
        ..Chart::default()
    }
}

/// Plots the same values of several runs over each other, each with its name.
///
/// # Errors
/// A plot cannot be drawn or written.
pub(crate) fn of_comparison(runs: &[(String, CompletedRun)], folder: &Path) -> anyhow::Result<()> {
    let longest =
        |figure: fn(&CompletedRun) -> f64| runs.iter().map(|(_, run)| figure(run)).fold(0.0, f64::max);
    let base = Chart {
        until_s: longest(|run| run.summary.duration_s),
        warm_up_s: longest(|run| run.summary.warm_up_s),
        ..Chart::default()
    };
    let first = runs.first().map(|(_, run)| &run.summary);
    let bound = first.map(|summary| summary.latency_max_ms);
    let is_same_bound = bound.is_some_and(|bound| longest(|run| run.summary.latency_max_ms) <= bound);
    let lines = |figure: Column, is_stepped: bool| -> Vec<Line> {
        let named = runs.iter().map(|(name, run)| Line { is_stepped, ..line(name, &run.rows, figure) });
        named.collect()
    };
    let charts = [
        ("latency.svg", "event latency, mean", "milliseconds", Column::EventLatencyMeanMs, true, false),
        ("rates.svg", "processed", "records per second", Column::ProcessedPerS, false, false),
        ("slots.svg", "slots used", "slots", Column::SlotsUsed, false, true),
        ("backlog.svg", "backlog", "backlog in Kafka (records)", Column::BacklogRecords, false, false),
    ];
    charts.iter().try_for_each(|(name, title, y_label, figure, is_log, is_stepped)| {
        let mut lines = lines(*figure, *is_stepped);
        if *figure == Column::ProcessedPerS
            && let Some((_, run)) = runs.first()
        {
            lines.push(line("offered (first run)", &run.rows, Column::OfferedPerS));
        }
        let bound = bound.filter(|_| *is_log && is_same_bound).map(|bound| ("bound".to_owned(), bound));
        let (title, is_log, is_whole) = ((*title).to_owned(), *is_log, *is_stepped);
        let chart = Chart { title, y_label, is_log, is_whole, lines, bound, ..base.clone() };
        write(&folder.join(name), &chart.svg()?)
    })
}

fn line(name: &str, rows: &[Row], figure: Column) -> Line {
    let points = rows.iter().map(|row| (row.at_s, row.get(figure))).collect();
    Line { name: name.to_owned(), points, is_stepped: false }
}

/// Returns a line for each operator whose parallelism changes, and one line per distinct value for the constant
/// others.
fn parallelism(rows: &[Row]) -> Vec<Line> {
    let Some(first) = rows.iter().find(|row| !row.parallelism.is_empty()) else { return Vec::new() };
    let of = |row: &Row, name: &str| row.parallelism.get(name).copied();
    let changes =
        |name: &str| rows.iter().filter_map(|row| of(row, name)).any(|p| Some(p) != of(first, name));
    let (changing, steady): (Vec<&String>, Vec<&String>) =
        first.parallelism.keys().partition(|name| changes(name));
    let line = |name: String, of: &str| Line {
        name,
        points: rows.iter().map(|row| (row.at_s, row.parallelism.get(of).map(|p| f64::from(*p)))).collect(),
        is_stepped: true,
    };
    // Changing lines are drawn over constant ones.
    let mut lines: Vec<Line> = Vec::new();
    let mut widths: Vec<u32> = steady.iter().filter_map(|name| of(first, name)).collect();
    widths.sort_unstable();
    widths.dedup();
    for width in widths {
        let same: Vec<&str> =
            steady.iter().filter(|name| of(first, name) == Some(width)).map(|name| name.as_str()).collect();
        let names = if same.len() > 3 { format!("{} operators", same.len()) } else { same.join(", ") };
        lines.push(line(format!("{names} (unchanged)"), same.first().copied().unwrap_or_default()));
    }
    lines.extend(changing.into_iter().map(|name| line(name.clone(), name)));
    lines
}

/// Returns the downtimes of the job.
fn down(rows: &[Row]) -> Vec<(f64, f64)> {
    let mut times: Vec<(f64, f64)> = Vec::new();
    for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
        if row.job != JobState::Down {
            continue;
        }
        match times.last_mut().filter(|time| time.1 >= row.at_s) {
            Some(time) => time.1 = next.at_s,
            None => times.push((row.at_s, next.at_s)),
        }
    }
    times
}
