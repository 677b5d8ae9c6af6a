//! `rescaler simulate scoreboard`: every scenario under every policy with the scoreboard's seeds, as a page and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use sim::contender::{Contender, OursOptions};
use sim::scenario::Scenario;
use sim::scoreboard::{Group, Mean, Row, Sum, seeds};

use super::batch::{Batch, RunScore};
use super::output::cell;

/// A sum may be worse by this part …
const TOLERANCE: f64 = 0.05;
/// … or by this many violation seconds, which are noise.
const NOISE_S: f64 = 150.0;
/// The sums of the scoreboard; own scenarios have no part in it.
const GROUPS: [Group; 3] = [Group::Tuning, Group::HoldOut, Group::ExternallyLimited];

const OPENING: &str = "# Scoreboard

Made by `rescaler simulate scoreboard --markdown docs/scoreboard.md --json testdata/scoreboard.json`; what is behind it: `docs/simulator.md`.
Each cell: violation seconds/slot-hours/changes/reversals within 10 minutes, means over ten seeds. Constants of policies are chosen by
the tuning scenarios only. Scenarios in which a system behind the job is too slow are summed apart: their violations are
unavoidable.

";

/// Where the scoreboard is written.
#[derive(Debug, Args)]
pub(super) struct Scoreboard {
    /// Write the table as a page.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the rows as a JSON array; the sums are compared with those in the file before it is replaced.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Replace nothing, and fail if one of our policies has a sum that is more than 5 % worse than in the JSON file.
    #[arg(long, requires = "json")]
    check: bool,
}

/// Makes the scoreboard; the page, unless it is written to a file.
///
/// # Errors
/// A file cannot be read or written, or a sum became worse.
pub(super) fn run(arguments: &Scoreboard) -> anyhow::Result<String> {
    let before: Option<Vec<Row>> =
        arguments.json.as_deref().filter(|path| path.exists()).map(read).transpose()?;
    ensure!(!arguments.check || before.is_some(), "there is no scoreboard to compare with yet");
    let rows = rows()?;
    let mut told = String::new();
    let mut worse = Vec::new();
    for line in before.iter().flat_map(|before| changes(before, &rows)) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(told, "{}", line.text);
        worse.extend(line.is_worse.then_some(line.text));
    }
    if arguments.check {
        ensure!(worse.is_empty(), "worse than the stored scoreboard:\n{}", worse.join("\n"));
        return Ok(format!("{told}no sum is worse"));
    }
    if let Some(path) = &arguments.json {
        write(path, &(serde_json::to_string_pretty(&rows)? + "\n"))?;
    }
    match &arguments.markdown {
        Some(path) => write(path, &page(&rows))?,
        None => told.push_str(&page(&rows)),
    }
    Ok(told.trim_end().to_owned())
}

fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no scoreboard", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The rows by scenario, then policy.
fn rows() -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let all = Scenario::all();
    for set in [sim::scenario::Set::Tuning, sim::scenario::Set::HoldOut] {
        let batch = Batch {
            scenarios: all.iter().filter(|scenario| scenario.set == set).cloned().collect(),
            contenders: Contender::ALL.to_vec(),
            seeds: seeds(set).collect(),
            options: OursOptions::default(),
        };
        let results = batch.run(None)?;
        for scenario in &batch.scenarios {
            rows.extend(batch.contenders.iter().map(|policy| row(scenario, *policy, &results)));
        }
    }
    Ok(rows)
}

fn row(scenario: &Scenario, policy: Contender, results: &[RunScore]) -> Row {
    let own = results.iter().filter(|run| run.scenario == scenario.name && run.policy == policy);
    Row {
        scenario: scenario.name.clone(),
        group: Group::of(scenario),
        policy,
        runs: own.clone().count(),
        mean: Mean::new(own.map(|run| &run.score)),
    }
}

fn page(rows: &[Row]) -> String {
    let mut text = OPENING.to_owned();
    let names = Contender::ALL.map(Contender::as_str).join(" | ");
    let _ = writeln!(text, "| scenario | {names} |\n|---|{}", "---|".repeat(Contender::ALL.len()));
    for scenario in Scenario::all() {
        let of_it =
            |policy: Contender| rows.iter().find(|row| row.scenario == scenario.name && row.policy == policy);
        let cells = Contender::ALL
            .map(|policy| of_it(policy).map_or(String::new(), |row| cell(&Sum::from(&row.mean))));
        let _ = writeln!(text, "| {} | {} |", scenario.name, cells.join(" | "));
    }
    for group in GROUPS {
        let cells = Contender::ALL.map(|policy| cell(&Sum::of(rows, policy, group)));
        let _ = writeln!(text, "| **{}** | {} |", group.title(), cells.join(" | "));
    }
    text.push_str("\nAfter a step in the load (seconds until the parallelism carries it/seconds until the last violation/widest over needed):\n\n");
    let _ = writeln!(text, "| scenario | {names} |\n|---|{}", "---|".repeat(Contender::ALL.len()));
    for scenario in Scenario::all().iter().filter(|scenario| scenario.step.is_some()) {
        let of_it =
            |policy: Contender| rows.iter().find(|row| row.scenario == scenario.name && row.policy == policy);
        let cells =
            Contender::ALL.map(|policy| of_it(policy).map_or(String::new(), |row| settled(&row.mean)));
        let _ = writeln!(text, "| {} | {} |", scenario.name, cells.join(" | "));
    }
    text
}

fn settled(mean: &Mean) -> String {
    let figure = |value: Option<f64>, digits: usize| {
        value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
    };
    format!(
        "{}/{}/{}",
        figure(mean.carried_after_s, 0),
        figure(mean.late_until_s, 0),
        figure(mean.widest_over_needed, 2)
    )
}

/// A sum that is another one than before.
struct Changed {
    text: String,
    is_worse: bool,
}

/// The sums that changed.
fn changes(before: &[Row], after: &[Row]) -> Vec<Changed> {
    let mut changes = Vec::new();
    for policy in Contender::ALL {
        for group in GROUPS {
            let (old, new) = (Sum::of(before, policy, group), Sum::of(after, policy, group));
            if old == new || old == Sum::default() {
                continue;
            }
            let is_more = |old: f64, new: f64, noise: f64| new > old * (1.0 + TOLERANCE) && new > old + noise;
            let is_worse = Contender::OURS.contains(&policy)
                && (is_more(old.violation_s, new.violation_s, NOISE_S)
                    || is_more(old.slot_h, new.slot_h, 0.0)
                    || is_more(old.changes, new.changes, 1.0));
            let text = format!("{policy}, {}: {} before, {} now", group.title(), cell(&old), cell(&new));
            changes.push(Changed { text, is_worse });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(policy: Contender, violation_s: f64, slot_h: f64) -> Row {
        let mean = Mean { violation_s, slot_h, ..Mean::default() };
        Row { scenario: "step".to_owned(), group: Group::Tuning, policy, runs: 1, mean }
    }

    /// Goal: only a sum of ours that became worse by more than the tolerance counts as worse; every change is named.
    #[test]
    fn worse_sums_are_found() {
        let judged = |policy, old: (f64, f64), new: (f64, f64)| {
            let changed = changes(&[row_of(policy, old.0, old.1)], &[row_of(policy, new.0, new.1)]);
            changed.first().map(|changed| changed.is_worse)
        };
        assert_eq!(judged(Contender::Ds2, (1000.0, 50.0), (1000.0, 50.0)), None);
        assert_eq!(judged(Contender::Ds2, (1000.0, 50.0), (1100.0, 50.0)), Some(false));
        assert_eq!(judged(Contender::Ds2, (1000.0, 50.0), (1200.0, 50.0)), Some(true));
        assert_eq!(judged(Contender::Ds2, (1000.0, 50.0), (900.0, 53.0)), Some(true));
        assert_eq!(judged(Contender::Hpa, (1000.0, 50.0), (9000.0, 53.0)), Some(false));
    }
}
