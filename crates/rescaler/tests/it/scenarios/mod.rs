//! Every folder in `testdata/scenarios` holds one situation and the outcome that is required of it; this test plays them all.
//!
//! The input is one of `scenario.json` (a stand-in of Flink answers as it says), `snapshot.json` or `round-0.json` (what was seen in
//! one epoch), `journal.jsonl` or `journal.jsonl.gz` (a recording), with `r.toml` where a configuration belongs to it; or the files of a
//! command line. The required outcome is in `expected.toml`, see [`expected`]. A new situation is a new folder.

mod command;
mod decide;
mod expected;
mod recorded;
mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use expected::Expected;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios");
/// Scenarios that are played at the same time.
const AT_ONCE: usize = 12;

/// One folder.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl Scenario {
    /// The path of one of its files, if it has it.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(name)).filter(|path| path.exists())
    }
}

fn scenarios() -> Vec<Scenario> {
    let only = std::env::var("SCENARIO").ok();
    let folders =
        std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let named = folders
        .map(|folder| Scenario { name: folder.file_name().unwrap().to_str().unwrap().to_owned(), folder });
    let mut all: Vec<Scenario> = named
        .filter(|scenario| only.as_ref().is_none_or(|only| scenario.name.contains(only.as_str())))
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Everything in which the outcome differs from what is required.
async fn run_scenario(scenario: &Scenario, expected: &Expected) -> Vec<String> {
    let mut problems = Vec::new();
    for wanted in &expected.decide {
        problems.extend(decide::run_scenario(scenario, wanted).await);
    }
    for wanted in &expected.run {
        problems.extend(run::run_scenario(scenario, wanted).await);
    }
    for wanted in &expected.replay {
        problems.extend(recorded::replay(scenario, wanted).await);
    }
    for wanted in &expected.explain {
        problems.extend(recorded::explain(scenario, wanted).await);
    }
    for wanted in &expected.command {
        problems.extend(command::run_scenario(scenario, wanted).await);
    }
    if expected.is_empty() {
        problems.push("expected.toml requires nothing".to_owned());
    }
    problems
}

/// What is wrong with one folder, by its name.
async fn verdict(scenario: Scenario) -> Option<String> {
    let expected = match expected::load(&scenario.folder.join("expected.toml")) {
        Ok(expected) => expected,
        Err(problem) => return Some(format!("{}: {problem}", scenario.name)),
    };
    let name = scenario.name.clone();
    // A task of its own, so that a panic is the outcome of this scenario alone.
    let result = tokio::spawn(async move { run_scenario(&scenario, &expected).await }).await;
    let problems = result.unwrap_or_else(|lost| vec![format!("it panicked: {lost}")]);
    (!problems.is_empty()).then(|| format!("{name}: {}", problems.join("\n    ")))
}

/// Goal: in every recorded situation the programs do what is required.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_has_its_outcome() {
    assert!(Path::new(FOLDER).is_dir());
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for scenario in scenarios() {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire().await.unwrap();
            verdict(scenario).await
        });
    }
    let mut wrong: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    wrong.sort();
    assert!(wrong.is_empty(), "{} scenarios differ:\n{}", wrong.len(), wrong.join("\n"));
}
