//! The live scoreboard: runs of several experiments as one Markdown document, with invalid runs and the differences
//! within pairs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::folder::{Kept, RunFolder, runs_in, write};
use crate::pairs::{Difference, OfRound, difference};
use crate::spread::Spread;
use crate::summary::Summary;

type Figure = fn(&Summary) -> Option<f64>;

/// Rows of the table with their number of decimals.
const LINES: [(&str, Figure, usize); 16] = [
    ("over the bound or down, s", |s| s.violation_or_down_s, 0),
    ("slot-seconds", |s| s.slot_seconds, 0),
    ("least slot-seconds", |s| s.least_slot_seconds, 0),
    ("too narrow for the load, s", |s| s.too_narrow_s, 0),
    ("first decision after a rise, s", |s| s.first_decision_up_s, 1),
    ("right width after a rise, s", |s| s.right_up_s, 1),
    ("first decision after a fall, s", |s| s.first_decision_down_s, 1),
    ("right width after a fall, s", |s| s.right_down_s, 1),
    ("steps of the load never answered rightly", |s| s.steps_not_right.map(f64::from), 0),
    ("most changes after a rise", |s| s.changes_up_max.map(f64::from), 0),
    ("changes", |s| s.changes.map(f64::from), 0),
    ("reversals", |s| s.reversals.map(f64::from), 0),
    ("widest over least", |s| s.widest_over_least, 2),
    ("outage, s", |s| s.outage_s, 1),
    ("largest backlog, records", |s| s.backlog_max_records, 0),
    ("Kafka's acknowledgements p99, ms", |s| s.ack_from_intended_p99_ms, 0),
];

/// Indices of the rows that are compared within pairs.
const PAIRED: [usize; 8] = [0, 1, 4, 5, 6, 7, 10, 13];

/// A run with its round.
struct Run {
    /// Its folder and repetition.
    round: String,
    /// Chronological number of the round among all runs, from 1.
    number: usize,
    kept: Kept,
}

impl Run {
    fn label(&self) -> String {
        format!("{} in round {}", self.kept.summary.variant, self.number)
    }
}

/// Writes and returns the document of all runs in these folders; `base` is the variant that the others are compared
/// with.
///
/// # Errors
/// A folder has no run, or a file cannot be read or written.
pub(crate) fn board(folders: &[PathBuf], base: &str, out: &Path) -> anyhow::Result<String> {
    let mut runs = Vec::new();
    for folder in folders {
        for path in runs_in(folder)? {
            let kept = RunFolder::read(&path)?;
            let parent = path.parent().unwrap_or(&path).display();
            runs.push(Run { round: format!("{parent} {}", kept.summary.repetition), number: 0, kept });
        }
    }
    runs.sort_by(|a, b| a.kept.summary.began_at.cmp(&b.kept.summary.began_at));
    number(&mut runs);
    let text = document(&runs, base);
    write(out, &text)?;
    Ok(text)
}

/// Numbers the rounds chronologically.
fn number(runs: &mut [Run]) {
    let mut rounds: Vec<String> = Vec::new();
    for run in runs {
        if !rounds.contains(&run.round) {
            rounds.push(run.round.clone());
        }
        run.number = rounds.iter().take_while(|round| **round != run.round).count() + 1;
    }
}

fn document(runs: &[Run], base: &str) -> String {
    let valid = runs.iter().filter(|run| run.kept.summary.is_valid).count();
    let mut text = format!(
        "# Live scoreboard\n\nMade by `experiment board`, of {} runs on real Kafka and Flink, of which {valid} are valid; how they are \
         made and what each figure means: `docs/experiments.md`.\nEach cell: the median over the valid runs (lowest to highest). \
         Where a contender has no valid run, its cells are of all runs and stand in brackets.\n",
        runs.len()
    );
    let experiments: BTreeSet<&str> = runs.iter().map(|run| run.kept.summary.experiment.as_str()).collect();
    for experiment in experiments {
        let own: Vec<&Run> = runs.iter().filter(|run| run.kept.summary.experiment == experiment).collect();
        text += &section(experiment, &own, base);
    }
    text
}

fn section(experiment: &str, runs: &[&Run], base: &str) -> String {
    let mut variants: Vec<&str> = Vec::new();
    for run in runs {
        if !variants.contains(&run.kept.summary.variant.as_str()) {
            variants.push(&run.kept.summary.variant);
        }
    }
    let mut text = format!("\n## {experiment}\n\n");
    if let Some(first) = runs.first().map(|run| &run.kept.summary) {
        let together =
            if first.is_side_by_side { "side by side on one cluster" } else { "one after the other" };
        text += &format!(
            "{:.0} s, of which {:.0} s of warm-up count for nothing; bound {:.0} ms; compression {}; the contenders ran {together}.\n\n",
            first.duration_s,
            first.warm_up_s,
            first.latency_max_ms,
            crate::csv::number(first.compression.or(Some(1.0))),
        );
    }
    text += &head(&variants);
    let counted = |variant: &&str| {
        let own: Vec<&&Run> = of(runs, variant).collect();
        format!("{} of {}", own.iter().filter(|run| run.kept.summary.is_valid).count(), own.len())
    };
    text += &line("valid runs", variants.iter().map(counted));
    for (name, figure, decimals) in LINES {
        text += &line(name, variants.iter().map(|variant| cell(runs, variant, figure, decimals)));
    }
    text += &differences(runs, &variants, base);
    text += &steps(runs);
    text + &problems(runs)
}

fn of<'a>(runs: &'a [&'a Run], variant: &'a str) -> impl Iterator<Item = &'a &'a Run> {
    runs.iter().filter(move |run| run.kept.summary.variant == variant)
}

fn head(columns: &[&str]) -> String {
    let rule: Vec<&str> = columns.iter().map(|_| "---").collect();
    format!("| | {} |\n|---|{}|\n", columns.join(" | "), rule.join("|"))
}

fn line(name: &str, cells: impl Iterator<Item = String>) -> String {
    format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Formats the median of the valid runs, with the range if there are several; without a valid run, that of all runs,
/// in brackets.
fn cell(runs: &[&Run], variant: &str, figure: Figure, decimals: usize) -> String {
    let has_valid = of(runs, variant).any(|run| run.kept.summary.is_valid);
    let counts = |run: &&&Run| run.kept.summary.is_valid || !has_valid;
    let values = of(runs, variant).filter(counts).filter_map(|run| figure(&run.kept.summary));
    let Some(Spread { median, low, high, count }) = Spread::of(values) else { return "–".to_owned() };
    let span = if count > 1 { format!(" ({low:.decimals$} to {high:.decimals$})") } else { String::new() };
    let text = format!("{median:.decimals$}{span}");
    if has_valid { text } else { format!("[{text}]") }
}

fn differences(runs: &[&Run], variants: &[&str], base: &str) -> String {
    let others: Vec<&str> = variants.iter().copied().filter(|variant| *variant != base).collect();
    if others.len() == variants.len() || others.is_empty() {
        return String::new();
    }
    let rounds: Vec<OfRound<'_>> =
        runs.iter().map(|run| OfRound { round: &run.round, summary: &run.kept.summary }).collect();
    let mut text = format!(
        "\n`{base}` minus the other within pairs of valid runs, mean and 95 % interval (number of pairs); in brackets: of all pairs, \
         because no pair is valid:\n\n{}",
        head(&others)
    );
    for (name, figure, decimals) in PAIRED.iter().filter_map(|index| LINES.get(*index)) {
        let within = |other: &&str| {
            let valid = difference(&rounds, (base, other), *figure, |summary| summary.is_valid);
            let all = || {
                Some(format!(
                    "[{}]",
                    written(difference(&rounds, (base, other), *figure, |_| true)?, *decimals)
                ))
            };
            valid.map(|valid| written(valid, *decimals)).or_else(all).unwrap_or_else(|| "–".to_owned())
        };
        text += &line(name, others.iter().map(within));
    }
    text
}

fn written(difference: Difference, decimals: usize) -> String {
    let Difference { pairs, mean, half_width } = difference;
    let interval = half_width.map_or(String::new(), |half| format!(" ± {half:.decimals$}"));
    format!("{mean:+.decimals$}{interval} ({pairs})")
}

/// Lists every run's response to each step of the load.
fn steps(runs: &[&Run]) -> String {
    let mut text = String::new();
    for run in runs {
        for step in &run.kept.summary.steps {
            let seconds = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
            text += &format!(
                "| {} | {:.0} | {} to {} | {} | {} | {} |\n",
                run.label(),
                step.at_s,
                step.width,
                step.least,
                seconds(step.first_decision_s),
                seconds(step.right_after_s),
                step.changes,
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\nEvery step of the load (width then and least width; seconds after the step):\n\n\
         | run | at s | width | first decision | right for good | changes until then |\n|---|---|---|---|---|---|\n{text}"
    )
}

fn problems(runs: &[&Run]) -> String {
    let told: Vec<String> = runs
        .iter()
        .filter(|run| !run.kept.summary.problems.is_empty())
        .map(|run| format!("* {}: {}\n", run.label(), run.kept.summary.problems.join("; ")))
        .collect();
    if told.is_empty() { String::new() } else { format!("\nNot valid:\n\n{}", told.concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reaction::StepFigures;

    fn run(variant: &str, repetition: u32, violation_s: f64, is_valid: bool) -> Run {
        let problems = if is_valid { Vec::new() } else { vec!["Kafka acknowledged late".to_owned()] };
        let summary = Summary {
            experiment: "live-step".to_owned(),
            variant: variant.to_owned(),
            repetition,
            is_valid,
            problems,
            violation_or_down_s: Some(violation_s),
            steps: vec![StepFigures { at_s: 45.0, least: 4, width: 1, ..StepFigures::default() }],
            ..Summary::default()
        };
        Run {
            round: repetition.to_string(),
            number: 0,
            kept: Kept { summary, rows: Vec::new(), decisions: Vec::new() },
        }
    }

    /// Goal: invalid runs are excluded from every cell as long as there is a valid one, and are listed with the
    /// reason; differences are within rounds.
    #[test]
    fn validity_decides_what_is_told() {
        let mut runs = [
            run("slo", 1, 10.0, true),
            run("peer", 1, 50.0, true),
            run("slo", 2, 20.0, true),
            run("peer", 2, 70.0, true),
            run("slo", 3, 900.0, false),
            run("ds2", 3, 30.0, false),
        ];
        number(&mut runs);
        let text = document(&runs, "slo");
        let row = |name: &str| text.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
        assert_eq!(row("valid runs"), "| valid runs | 2 of 3 | 2 of 2 | 0 of 1 |");
        assert_eq!(
            row("over the bound or down, s"),
            "| over the bound or down, s | 15 (10 to 20) | 60 (50 to 70) | [30] |"
        );
        assert!(text.contains("| over the bound or down, s | -45 ± 64 (2) | [+870 (1)] |"), "{text}");
        assert!(text.contains("* slo in round 3: Kafka acknowledged late"), "{text}");
        assert!(text.contains("| slo in round 1 | 45 | 1 to 4 | – | – | 0 |"), "{text}");
        assert!(text.contains("of 6 runs on real Kafka and Flink, of which 4 are valid"), "{text}");
    }
}
