//! Comparison of runs: a table for people, a table for programs, overlaid plots.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};

use crate::csv;
use crate::folder::{CompletedRun, RunFolder, runs_in, write};
use crate::plots;
use crate::spread::Spread;
use crate::summary::Summary;

/// Runs of the same experiment and variant, shown as one column.
struct Group<'a> {
    name: String,
    runs: Vec<&'a Summary>,
}

/// A row of the table: its name, the value, its format.
type Line = (&'static str, fn(&Summary) -> Option<f64>, fn(f64) -> String);

/// The compared values. docs/experiments.md describes how each is computed.
const LINES: [Line; 19] = [
    ("time over the latency bound", |s| s.over_bound_share, percent),
    ("… or without a running job", |s| s.over_bound_or_down_share, percent),
    ("event latency p50", |s| s.event_latency_p50_ms, ms),
    ("event latency p95", |s| s.event_latency_p95_ms, ms),
    ("event latency p99", |s| s.event_latency_p99_ms, ms),
    ("latency inside Flink p50", |s| s.overall_latency_p50_ms, ms),
    ("latency inside Flink p95", |s| s.overall_latency_p95_ms, ms),
    ("latency inside Flink p99", |s| s.overall_latency_p99_ms, ms),
    ("rescales", |s| Some(s.rescales.into()), count),
    ("failed rescales", |s| Some(s.rescales_not_done.into()), count),
    ("downtime", |s| (s.observed_s > 0.0).then_some(s.downtime_s), seconds),
    ("slot-seconds", |s| s.slot_seconds, count),
    ("mean of all parallelism", |s| s.subtasks_mean, decimal),
    ("largest backlog", |s| s.backlog_max_records, count),
    ("backlog at the end", |s| s.backlog_end_records, count),
    ("events due", |s| s.due_records, count),
    ("events in Kafka", |s| s.acked_records, count),
    ("events read", |s| s.read_records, count),
    ("results", |s| s.result_records, count),
];

/// Writes tables and plots of all runs in these folders to `out`, in the order of the folders and then of time.
/// Returns the table for people.
///
/// # Errors
/// A folder has no run, or a file cannot be read or written.
pub(crate) fn compare(folders: &[PathBuf], out: &Path) -> anyhow::Result<String> {
    let mut runs = Vec::new();
    for folder in folders {
        let of_folder: anyhow::Result<Vec<CompletedRun>> =
            runs_in(folder)?.iter().map(|folder| RunFolder::read(folder)).collect();
        let mut of_folder = of_folder?;
        of_folder.sort_by(|a, b| a.summary.began_at.cmp(&b.summary.began_at));
        runs.append(&mut of_folder);
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let names = names(&runs);
    let groups = groups(&runs, &names);
    let table = table(&groups);
    let problems = problems(&runs, &names);
    write(&out.join("comparison.csv"), &long_table(&runs))?;
    write(&out.join("comparison.txt"), &format!("{table}\n{problems}"))?;
    let repeated = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let labelled: Vec<(String, CompletedRun)> = names
        .iter()
        .zip(runs)
        .map(|(name, run)| {
            let label =
                if repeated(name) { format!("{name} #{}", run.summary.repetition) } else { name.clone() };
            (label, run)
        })
        .collect();
    plots::of_comparison(&labelled, out)?;
    Ok(format!("{table}\n{problems}"))
}

/// Returns the runs' distinguishing names: the variant, the experiment, or both.
fn names(runs: &[CompletedRun]) -> Vec<String> {
    let different =
        |of: fn(&Summary) -> &String| runs.iter().map(|run| of(&run.summary)).collect::<BTreeSet<_>>().len();
    let (experiments, variants) = (different(|s| &s.experiment), different(|s| &s.variant));
    let name = |s: &Summary| match (experiments, variants) {
        (1, _) => s.variant.clone(),
        (_, 1) => s.experiment.clone(),
        _ => s.label(),
    };
    runs.iter().map(|run| name(&run.summary)).collect()
}

fn groups<'a>(runs: &'a [CompletedRun], names: &[String]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (run, name) in runs.iter().zip(names) {
        match groups.iter_mut().find(|group| group.name == *name) {
            Some(group) => group.runs.push(&run.summary),
            None => groups.push(Group { name: name.clone(), runs: vec![&run.summary] }),
        }
    }
    groups
}

fn table(groups: &[Group<'_>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let head = |group: &Group<'_>| {
        let invalid = group.runs.iter().filter(|run| !run.is_valid).count();
        let mark = if invalid > 0 {
            format!("\n{invalid} of {} not valid", group.runs.len())
        } else {
            String::new()
        };
        format!("{}{mark}", group.name)
    };
    table.set_header(std::iter::once(String::new()).chain(groups.iter().map(head)));
    for (name, figure, written) in LINES {
        let cell = |group: &Group<'_>| cell(&group.runs, figure, written);
        table.add_row(std::iter::once(name.to_owned()).chain(groups.iter().map(cell)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Formats one run's value, or the median with lowest and highest of several. Unknown is a dash.
fn cell(runs: &[&Summary], figure: fn(&Summary) -> Option<f64>, written: fn(f64) -> String) -> String {
    let values = runs.iter().filter_map(|run| figure(run));
    let Some(Spread { median, low, high, count }) = Spread::from_values(values) else {
        return "–".to_owned();
    };
    if runs.len() == 1 {
        return written(median);
    }
    let unknown =
        if count < runs.len() { format!(", {} unknown", runs.len() - count) } else { String::new() };
    format!("{} ({} to {}{unknown})", written(median), written(low), written(high))
}

fn problems(runs: &[CompletedRun], names: &[String]) -> String {
    let told = runs.iter().zip(names).filter(|(run, _)| !run.summary.problems.is_empty());
    told.map(|(run, name)| {
        format!("not valid: {name} #{}: {}\n", run.summary.repetition, run.summary.problems.join("; "))
    })
    .collect()
}

/// Formats one row per run with a column per value of its summary, for programs.
fn long_table(runs: &[CompletedRun]) -> String {
    let objects: Vec<serde_json::Map<String, serde_json::Value>> = runs
        .iter()
        .filter_map(|run| serde_json::to_value(&run.summary).ok())
        .filter_map(|value| value.as_object().cloned())
        .collect();
    let Some(first) = objects.first() else { return String::new() };
    let field = |value: &serde_json::Value| match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => csv::number(number.as_f64()),
        serde_json::Value::Array(items) => {
            items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    };
    let rows = objects.iter().map(|object| csv::line(object.values().map(field)));
    std::iter::once(csv::line(first.keys())).chain(rows).map(|line| line + "\n").collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn ms(ms: f64) -> String {
    format!("{ms:.0} ms")
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// Between two runs the median may be half a count.
fn count(value: f64) -> String {
    let decimals = usize::from(value < 100.0 && (value * 10.0).round() % 10.0 != 0.0);
    format!("{value:.decimals$}")
}

fn decimal(number: f64) -> String {
    format!("{number:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(variant: &str, repetition: u32, slots: Option<f64>, is_valid: bool) -> CompletedRun {
        let problems = if is_valid { Vec::new() } else { vec!["the producer fell behind".to_owned()] };
        let summary = Summary {
            experiment: "nexmark-policies".to_owned(),
            variant: variant.to_owned(),
            repetition,
            slot_seconds: slots,
            is_valid,
            problems,
            ..Summary::default()
        };
        CompletedRun { summary, rows: Vec::new(), decisions: Vec::new() }
    }

    /// Goal: repetitions are shown as median and range, unknown values as unknown, invalid runs as such.
    #[test]
    fn repetitions_are_told_together() {
        let runs = [
            run("none", 1, Some(100.0), true),
            run("none", 2, Some(300.0), true),
            run("ds2", 1, None, false),
        ];
        let names = names(&runs);
        assert_eq!(names, ["none", "none", "ds2"]);
        let groups = groups(&runs, &names);
        let text = table(&groups);
        assert!(text.contains("200 (100 to 300)"), "{text}");
        assert!(text.contains("1 of 1 not valid"), "{text}");
        assert_eq!([0.5, 89.999_999, 166.5].map(count), ["0.5", "90", "166"]);
        assert_eq!(cell(&groups[1].runs, |s| s.slot_seconds, count), "–");
        assert_eq!(problems(&runs, &names), "not valid: ds2 #1: the producer fell behind\n");
    }

    /// Goal: the table for programs has one row per run, and leaves unknown values empty.
    #[test]
    fn every_run_has_a_line() {
        let text = long_table(&[run("none", 1, None, true), run("ds2", 2, Some(7.0), true)]);
        let lines: Vec<Vec<String>> = text.lines().map(csv::fields).collect();
        let column = lines[0].iter().position(|name| name == "slot_seconds").unwrap();
        assert_eq!((lines.len(), &*lines[1][column], &*lines[2][column]), (3, "", "7"));
    }
}
