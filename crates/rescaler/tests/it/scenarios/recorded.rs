//! `rescaler replay` and `rescaler explain` on a recorded journal.

use std::path::PathBuf;

use serde_json::Value;
use telemetry::Clock;

use super::Scenario;
use super::decide::{CommandOutcome, command};
use super::expected::{Explain, Replay, outside};

fn journal(scenario: &Scenario) -> PathBuf {
    scenario.file("journal.jsonl").or_else(|| scenario.file("journal.jsonl.gz")).unwrap()
}

/// The problem with an exit code, and the text to judge.
fn exited(outcome: CommandOutcome, expected: u8) -> (Option<String>, String) {
    let (exit, text) = outcome.map_or_else(|(exit, message)| (exit, message), |text| (0, text));
    ((exit != expected).then(|| format!("exit code {exit}, not {expected}: {text:.500}")), text)
}

/// Everything in which `explain` differs from what is required.
pub(super) async fn explain(scenario: &Scenario, wanted: &Explain) -> Vec<String> {
    let (journal, epoch) =
        (journal(scenario).display().to_string(), wanted.epoch.map(|epoch| epoch.to_string()));
    let mut words = vec!["explain", "--journal", &journal];
    if let Some(epoch) = &epoch {
        words.extend(["--epoch", epoch]);
    }
    let (problem, text) = exited(command(&words, &Clock::steady()).await, wanted.exit);
    problem.into_iter().chain(wanted.words().problems(&text)).collect()
}

/// Everything in which `replay` differs from what is required.
pub(super) async fn replay(scenario: &Scenario, wanted: &Replay) -> Vec<String> {
    let journal_path = journal(scenario);
    let path = journal_path.display().to_string();
    let config = scenario.file("r.toml").map(|path| path.display().to_string());
    let mut words = vec!["replay", "--journal", &path, "--policy", &wanted.policy, "--output", "json"];
    words.extend(config.iter().flat_map(|config| ["--config", config]));
    let outcome = command(&words, &Clock::steady()).await;
    let is_good = outcome.is_ok();
    let (problem, text) = exited(outcome, wanted.exit);
    let mut problems: Vec<String> = problem.into_iter().chain(wanted.words().problems(&text)).collect();
    if !is_good {
        return problems;
    }
    let epochs: Vec<Value> = serde_json::from_str(&text).unwrap();
    problems.extend(outside("epochs", u32::try_from(epochs.len()).unwrap(), wanted.epochs));
    let records = decision_journal::read(&journal_path).unwrap();
    let current = |epoch: &Value, name: &str| {
        let record = records.iter().find(|record| record.epoch == epoch["epoch"].as_u64().unwrap());
        let snapshot = record.and_then(|record| record.snapshot.as_ref());
        snapshot.and_then(|snapshot| snapshot.operator(name)).map(|operator| u64::from(operator.parallelism))
    };
    let first = |changes: fn(u64, u64) -> bool| {
        epochs.iter().find(|epoch| {
            let plan = epoch["decisions"][0]["parallelism"].as_object().unwrap();
            plan.iter().any(|(name, new)| {
                current(epoch, name).is_some_and(|now| changes(now, new.as_u64().unwrap()))
            })
        })
    };
    let number = |epoch: Option<&Value>| {
        epoch.map_or(u32::MAX, |epoch| u32::try_from(epoch["epoch"].as_u64().unwrap()).unwrap())
    };
    let narrows = number(first(|now, new| new < now));
    problems.extend(outside("the first epoch that narrows", narrows, wanted.narrows_in));
    let widens = number(first(|now, new| new > now));
    problems.extend(outside("the first epoch that widens", widens, wanted.widens_in));
    if wanted.never_narrows && narrows != u32::MAX {
        problems.push(format!("epoch {narrows} narrows"));
    }
    problems
}
