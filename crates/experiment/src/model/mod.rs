//! The simulator's model of a real job: parameters measured on recorded runs (`experiment calibrate`), and recorded runs repeated in the
//! model (`experiment replay`).
//!
//! A simulated run is put into the form of a recorded one ([`playback`]), so that every figure is computed from both by the same
//! functions.

mod agreement;
mod backlog;
mod decisions;
mod figures;
mod graph;
mod law;
mod parameters;
mod playback;
mod recording;
mod service;
mod spread;
#[cfg(test)]
mod tests;
mod transitions;
mod trial;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use sim::scenario::Scenario;

use self::agreement::Agreement;
use self::figures::Figures;
use self::recording::Recording;
use crate::folder::{runs_in, write};

/// Most seeds of a replay.
const SEEDS_MAX: u64 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct CalibrateOptions {
    /// Folders of runs, or folders that contain them; among them one with the job at several widths.
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Kind of changes that the scenario makes.
    #[arg(long, value_enum, default_value_t = ChangeKind::InPlace)]
    change: ChangeKind,
    /// Output file: a scenario for `rescaler simulate --scenario` and `experiment replay`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// How the parallelism is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChangeKind {
    /// In the running job.
    InPlace,
    /// By stopping the job with a savepoint and starting it again.
    Savepoint,
}

impl ChangeKind {
    /// Returns the word of `changes.csv`.
    fn word(self) -> &'static str {
        match self {
            Self::InPlace => "in-place",
            Self::Savepoint => "restart",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// Folders of runs, or folders that contain them.
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Parameters of the model: a scenario file, as `experiment calibrate` writes it. Its load and bound are not used.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Number of seeds; figures are medians over them.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// Form of the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table per run.
    Text,
    /// A JSON array with an object per run.
    Json,
}

/// Measures the model's parameters and writes them as a scenario; returns what it wrote.
///
/// # Errors
/// The runs do not show enough, or a file cannot be read or written.
pub(crate) fn calibrate(options: &CalibrateOptions) -> anyhow::Result<String> {
    let parameters = parameters::measure(&recordings(&options.folders)?, options.change.word())?;
    let text = parameters.to_toml()?;
    write(&options.out, &text)?;
    // What was written must be a scenario.
    Scenario::from_file(&options.out, files::read_text)?.trial(1)?;
    Ok(text)
}

/// Repeats recorded runs in the model: returns how well it agrees with each.
///
/// # Errors
/// A file cannot be read, or a run is of another job than the model.
pub(crate) fn replay(options: &ReplayOptions) -> anyhow::Result<String> {
    let scenario = Scenario::from_file(&options.model, files::read_text)?;
    let seeds: Vec<u64> = (1..=options.seeds).collect();
    let all = recordings(&options.folders)?;
    let all: Vec<Agreement> = all
        .iter()
        .map(|recording| replay_one(&scenario, recording, &seeds))
        .collect::<anyhow::Result<_>>()?;
    match options.output {
        Output::Text => Ok(agreement::text(&all)),
        Output::Json => Ok(serde_json::to_string_pretty(&all)?),
    }
}

fn replay_one(scenario: &Scenario, recording: &Recording, seeds: &[u64]) -> anyhow::Result<Agreement> {
    let mut simulated = Vec::new();
    for seed in seeds {
        let trial = trial::trial(scenario, recording, *seed)?;
        let fed = trial::changes(&trial, recording)?;
        let played = playback::play(&trial, &fed, &recording.summary);
        simulated.push(Figures::of(&played.with_latency_gaps_of(recording)));
    }
    let figures = agreement::compare(&Figures::of(recording), &Figures::median(&simulated));
    let policy = decisions::decide(scenario, recording, seeds)?;
    Ok(Agreement {
        run: recording.label(),
        folder: recording.folder.display().to_string(),
        is_valid: recording.summary.is_valid,
        agrees: Agreement::of(&figures, policy.as_ref()),
        figures,
        policy,
    })
}

fn recordings(folders: &[PathBuf]) -> anyhow::Result<Vec<Recording>> {
    let mut all = Vec::new();
    for folder in folders {
        let runs = runs_in(folder)?;
        all.extend(runs.iter().map(|run: &PathBuf| read(run)).collect::<anyhow::Result<Vec<_>>>()?);
    }
    Ok(all)
}

fn read(run: &Path) -> anyhow::Result<Recording> {
    let recording = Recording::read(run)?;
    ensure!(!recording.rows.is_empty(), "{}: its series has no rows", run.display());
    Ok(recording)
}
