//! `rescaler inspect` in virtual time, then `rescaler decide` on what it saw; or `decide` alone on a recorded snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use clap::Parser as _;
use flink_stand_in::{Pace, Server};
use rescaler::Arguments;
use scaling::{Decision, Snapshot};
use telemetry::Clock;

use super::Scenario;
use super::expected::{Decide, outside};

/// When scenarios begin, in milliseconds since the Unix epoch.
const START_MS: i64 = 1_800_000_000_000;

/// What a command has for standard output, or its exit code and message.
pub(super) type CommandOutcome = Result<String, (u8, String)>;

/// Runs a command of the rescaler in this process.
pub(super) async fn command(words: &[&str], clock: &Clock) -> CommandOutcome {
    let arguments =
        Arguments::try_parse_from(["rescaler"].iter().chain(words)).map_err(|e| (2, e.to_string()))?;
    let done = rescaler::execute(arguments, clock).await;
    done.map(Option::unwrap_or_default).map_err(|e| (rescaler::exit_code(&e), format!("{e:#}")))
}

/// A stand-in and the clock that it shares with the rescaler.
async fn watched(scenario: &Scenario, wanted: &Decide) -> CommandOutcome {
    let now_ms = Arc::new(AtomicI64::new(START_MS));
    let file = flink_stand_in::Scenario::load(&scenario.folder.join("scenario.json"));
    let server = Server::start(file.unwrap(), Pace::Virtual(Arc::clone(&now_ms))).await.unwrap();
    let filled = |text: &String| {
        let text = text.replace("{address}", server.url().trim_start_matches("http://"));
        text.replace("{folder}", &scenario.folder.display().to_string())
    };
    let url = filled(&wanted.url);
    let more: Vec<String> = wanted.arguments.iter().map(filled).collect();
    let seconds = wanted.seconds.to_string();
    let mut words = vec!["inspect", "--flink-url", &url, "--seconds", &seconds, "--output", "json"];
    words.extend(more.iter().map(String::as_str));
    command(&words, &Clock::virtual_time(now_ms)).await
}

async fn decided(scenario: &Scenario, wanted: &Decide, snapshot: &Path) -> CommandOutcome {
    let config = scenario.file("r.toml").map(|path| path.display().to_string());
    let snapshot = snapshot.display().to_string();
    let mut words = vec!["decide", "--policy", &wanted.policy, "--snapshot", &snapshot, "--output", "json"];
    if let Some(config) = &config {
        words.extend(["--config", config]);
    }
    if wanted.assume_violation {
        words.push("--assume-violation");
    }
    command(&words, &Clock::steady()).await
}

/// The snapshot's file and content.
async fn snapshot(
    scenario: &Scenario,
    wanted: &Decide,
    folder: &Path,
) -> Result<(PathBuf, Snapshot), (u8, String)> {
    let recorded = scenario.file("snapshot.json").or_else(|| scenario.file("round-0.json"));
    let path = match recorded {
        Some(path) => path,
        None => {
            let path = folder.join("snapshot.json");
            std::fs::write(&path, watched(scenario, wanted).await?).unwrap();
            path
        }
    };
    let content: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let content = content.get("snapshot").cloned().unwrap_or(content);
    Ok((path, serde_json::from_value(content).unwrap()))
}

/// Everything in which the outcome differs from what is required.
pub(super) async fn run_scenario(scenario: &Scenario, wanted: &Decide) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let outcome = async {
        let (path, snapshot) = snapshot(scenario, wanted, folder.path()).await?;
        let text = decided(scenario, wanted, &path).await?;
        Ok::<_, (u8, String)>((snapshot, serde_json::from_str::<Decision>(&text).unwrap()))
    };
    match outcome.await {
        Err((exit, message)) => {
            let mut problems = wanted.words().problems(&message);
            if exit != wanted.exit {
                problems.push(format!("exit code {exit}, not {}: {message}", wanted.exit));
            }
            problems
        }
        Ok((snapshot, decision)) => judge(wanted, &snapshot, &decision),
    }
}

fn judge(wanted: &Decide, snapshot: &Snapshot, decision: &Decision) -> Vec<String> {
    let missing = snapshot.missing.join("\n");
    let text = format!("{missing}\n{decision}\n{}", serde_json::to_string(decision).unwrap());
    let mut problems = wanted.words().problems(&text);
    if wanted.exit != 0 {
        problems.push(format!("exit code 0, not {}", wanted.exit));
    }
    let action = serde_json::to_value(decision.action).unwrap();
    if let Some(expected) = &wanted.action
        && action != expected.as_str()
    {
        problems.push(format!("action {action}, not {expected:?}: {decision}"));
    }
    for (name, range) in &wanted.after {
        let Some(operator) = snapshot.operator(name) else {
            let names: Vec<&str> = snapshot.operators.iter().map(|operator| operator.name.as_str()).collect();
            problems.push(format!("no operator {name:?}, but {names:?}"));
            continue;
        };
        let after = decision.parallelism.get(name).copied().unwrap_or(operator.parallelism);
        problems.extend(outside(&format!("{name} ({} now)", operator.parallelism), after, Some(*range)));
    }
    for operator in &snapshot.operators {
        let after = decision.parallelism.get(&operator.name).copied().unwrap_or(operator.parallelism);
        if wanted.never_narrows && after < operator.parallelism {
            problems.push(format!("{} is narrowed from {} to {after}", operator.name, operator.parallelism));
        }
    }
    if !problems.is_empty() {
        problems.push(format!("the decision was: {decision}"));
    }
    problems
}
