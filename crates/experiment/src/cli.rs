//! The `experiment` command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use service::{BAD_USAGE, ConfigError};

use crate::capacity::sweep;
use crate::compare::compare;
use crate::experiment::{Experiment, Overrides};
use crate::list;
use crate::model::{CalibrateOptions, ReplayOptions, calibrate, replay};
use crate::raw::SideBySide;
use crate::record::{RecordOptions, record};
use crate::run::{ProgramPaths, RunSpec, run};
use crate::scoreboard::scoreboard;
use crate::screen::{Screen, print};
use crate::stop::ShutdownSignal;
use crate::time::{describe_duration, parse_duration};

/// Runs a job under a load, scaled by different policies or not at all, and compares the runs.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an experiment: all variants and repetitions, each on its own Kafka and Flink.
    Run(RunOptions),
    /// Record a job that already runs on any cluster, in the same files as a run.
    Record(RecordOptions),
    /// Compare runs: a table, a CSV file, plots on the same axes.
    Compare(CompareOptions),
    /// Compute the capacity of an operator at each parallelism, from runs with fixed parallelism under overload.
    Sweep(SweepOptions),
    /// Measure the parameters of the simulator's model on runs of a real job, and write them as a scenario.
    Calibrate(CalibrateOptions),
    /// Repeat recorded runs in the simulator's model, and compare the figures of both.
    Replay(ReplayOptions),
    /// Write the live scoreboard of runs: one document with contenders, differences within pairs, and invalid runs.
    Board(ScoreboardOptions),
    /// List the experiments in a folder.
    List {
        /// The folder.
        #[arg(value_name = "DIR", default_value = "configs/experiments")]
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RunOptions {
    /// The experiment.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Duration of the load, including the warm-up, instead of the experiment's: 90s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Number of repetitions, instead of the experiment's.
    #[arg(long, value_name = "N")]
    repetitions: Option<u32>,
    /// Run only this variant; repeatable.
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// Folder for the runs, new or empty; by default run/experiments/NAME-TIME.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Check everything, print what would be run, and exit.
    #[arg(long, visible_alias = "check-config")]
    dry_run: bool,
    /// Jar of the Flink job.
    #[arg(long, value_name = "FILE", default_value = "flink-jobs/target/flink-jobs.jar")]
    jar: PathBuf,
    /// Jar of the program that drives Flink's own autoscaler, as Maven builds it.
    #[arg(long, value_name = "DIR", default_value = "flink-autoscaler/target")]
    autoscaler: PathBuf,
}

#[derive(Debug, Args)]
struct CompareOptions {
    /// Folders of runs, or folders that contain them.
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Folder for tables and plots; by default `comparison` in the first folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SweepOptions {
    /// Folders of runs, or folders that contain them.
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Operator whose width was fixed.
    #[arg(long, value_name = "NAME")]
    operator: String,
    /// Output file, for the key `sweep` of experiments.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct ScoreboardOptions {
    /// Folders of runs, or folders that contain them.
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Variant to compare the others with.
    #[arg(long, value_name = "NAME", default_value = "slo")]
    base: String,
    /// Output file.
    #[arg(long, value_name = "FILE")]
    markdown: PathBuf,
}

/// Bad usage that the argument parser cannot detect.
#[derive(Debug, thiserror::Error)]
enum Usage {
    /// There is no such variant.
    #[error("unknown variant {name:?}; known: {}", known.join(", "))]
    Variant { name: String, known: Vec<String> },
    /// The folder for the runs is not empty.
    #[error("{} is not empty; use an empty or new folder for --out", .0.display())]
    Out(PathBuf),
    /// The Flink job's jar is missing.
    #[error("{} does not exist; build it with `mvn --file flink-jobs/pom.xml package`, or set --jar", .0.display())]
    Jar(PathBuf),
    /// The program that drives Flink's autoscaler is missing.
    #[error("{} contains no program; build it with `mvn --file flink-autoscaler/pom.xml package`, or set --autoscaler", .0.display())]
    Autoscaler(PathBuf),
}

/// Runs the command: returns 0 on success, 2 for bad usage or configuration, 1 otherwise.
pub fn main_with(arguments: &Arguments) -> ExitCode {
    service::logging::begin("warn");
    let outcome = match &arguments.command {
        Command::Run(options) => in_runtime(run_all(options)),
        Command::Record(options) => in_runtime(record_one(options)),
        Command::Compare(options) => {
            let out = options.out.clone().or_else(|| Some(options.folders.first()?.join("comparison")));
            compare(&options.folders, &out.unwrap_or_default()).map(|text| print(&text))
        }
        Command::Sweep(options) => {
            sweep(&options.folders, &options.operator, &options.out).map(|text| print(&text))
        }
        Command::Calibrate(options) => calibrate(options).map(|text| print(&text)),
        Command::Replay(options) => replay(options).map(|text| print(&text)),
        Command::Board(options) => {
            scoreboard(&options.folders, &options.base, &options.markdown).map(|text| print(&text))
        }
        Command::List { folder } => list::table(folder).map(|text| print(&text)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_usage = error.is::<Usage>() || error.is::<ConfigError>();
            service::fail_with("experiment", &error, if is_usage { BAD_USAGE } else { 1 })
        }
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start the asynchronous runtime")?.block_on(work)
}

async fn run_all(options: &RunOptions) -> anyhow::Result<()> {
    let overrides = Overrides { duration: options.duration, repetitions: options.repetitions };
    let mut experiment = Experiment::load(&options.file, overrides)?;
    choose(&mut experiment, &options.variant)?;
    let out = options.out.clone().unwrap_or_else(|| default_out(&experiment.name));
    print(&plan(&experiment, &out));
    if options.dry_run {
        return Ok(());
    }
    let place = place(options, &experiment)?;
    claim(&out)?;
    let stop = ShutdownSignal::on_signals()?;
    let screen = Screen::new();
    let mut invalid = 0;
    for (folder, ones) in rounds(&experiment) {
        let folder = out.join(folder);
        let labels: Vec<String> = ones.iter().map(RunSpec::label).collect();
        screen.print_line(&format!("▶ RUN {} → {}", labels.join(" beside "), folder.display()));
        for summary in run(&ones, &folder, &place, &screen, &stop).await? {
            for problem in &summary.problems {
                screen.print_line(&format!(
                    "▶ NOT VALID: {} #{}: {problem}",
                    summary.variant, summary.repetition
                ));
            }
            invalid += u32::from(!summary.is_valid);
        }
        if stop.is_asked() {
            print(&compare(std::slice::from_ref(&out), &out.join("comparison"))?);
            anyhow::bail!("interrupted; the results so far are in {}", out.display());
        }
    }
    print(&compare(std::slice::from_ref(&out), &out.join("comparison"))?);
    let note = if invalid > 0 { format!(", of which {invalid} not valid") } else { String::new() };
    screen.print_line(&format!("all runs have finished{note}; results are in {}", out.display()));
    Ok(())
}

/// Groups the variants that run at the same time, round after round, each with the folder of its runs.
fn rounds(experiment: &Experiment) -> Vec<(String, Vec<RunSpec<'_>>)> {
    let mut rounds = Vec::new();
    for repetition in 1..=experiment.repetitions {
        for variants in experiment.rounds_of(repetition) {
            let folder = match (experiment.side_by_side, variants.last()) {
                // The first variant runs in every pair.
                (Some(SideBySide::Pairs), Some(other)) => format!("{}-{repetition}-pair", other.name),
                _ => String::new(),
            };
            let one = |variant| RunSpec { experiment, variant, repetition };
            rounds.push((folder, variants.into_iter().map(one).collect()));
        }
    }
    rounds
}

fn place(options: &RunOptions, experiment: &Experiment) -> anyhow::Result<ProgramPaths> {
    let jar = options.jar.canonicalize().map_err(|_| Usage::Jar(options.jar.clone()))?;
    let needs_it = experiment.variants.iter().any(|variant| variant.policy == "flink-autoscaler");
    let autoscaler = options.autoscaler.canonicalize().unwrap_or_else(|_| options.autoscaler.clone());
    if needs_it && !autoscaler.join("lib").is_dir() {
        return Err(Usage::Autoscaler(options.autoscaler.clone()).into());
    }
    Ok(ProgramPaths { programs_dir: programs_dir()?, jar, autoscaler })
}

async fn record_one(options: &RecordOptions) -> anyhow::Result<()> {
    claim(&options.out)?;
    let stop = ShutdownSignal::on_signals()?;
    let mut screen = Screen::new();
    let summary = record(options, &mut screen, &stop).await?;
    for problem in &summary.problems {
        screen.print_line(&format!("▶ NOT VALID: {problem}"));
    }
    print(&compare(std::slice::from_ref(&options.out), &options.out.join("comparison"))?);
    anyhow::ensure!(!stop.is_asked(), "interrupted; the results so far are in {}", options.out.display());
    Ok(())
}

/// Keeps the selected variants; all of them without a selection.
fn choose(experiment: &mut Experiment, wanted: &[String]) -> Result<(), Usage> {
    let known: Vec<String> = experiment.variants.iter().map(|variant| variant.name.clone()).collect();
    if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
        return Err(Usage::Variant { name: name.clone(), known });
    }
    experiment.variants.retain(|variant| wanted.is_empty() || wanted.contains(&variant.name));
    Ok(())
}

fn plan(experiment: &Experiment, out: &Path) -> String {
    let variants: Vec<String> = experiment
        .variants
        .iter()
        .map(|variant| format!("{} (policy {})", variant.name, variant.policy))
        .collect();
    format!(
        "{}: {}\n  {}{}; {} repetition(s) of {} with a warm-up of {}; about {} in total, plus a minute for each of {} rounds; up to {} MB of disk at a time\n  load: up to {:.0} events/s; {} task managers with {} slots each; latency bound {:.0} ms\n  results in {}",
        experiment.name,
        experiment.description,
        variants.join(", "),
        match experiment.side_by_side {
            Some(SideBySide::All) => " (all side by side)",
            Some(SideBySide::Pairs) => " (the first paired with each other one)",
            None => "",
        },
        experiment.repetitions,
        describe_duration(experiment.duration),
        describe_duration(experiment.warm_up),
        describe_duration(experiment.total_duration()),
        experiment.rounds(),
        disk_mb(experiment),
        experiment.schedule.peak_rate(),
        experiment.cluster.task_managers,
        experiment.cluster.task_slots,
        experiment.latency_max_ms,
        out.display(),
    )
}

/// Estimates the disk space of a round: mainly its events in Kafka, about 250 bytes each with their index, and half a
/// gigabyte for the engines.
fn disk_mb(experiment: &Experiment) -> u64 {
    const EVENT_BYTES: u64 = 250;
    let events =
        experiment.schedule.due_count(u64::try_from(experiment.duration.as_nanos()).unwrap_or(u64::MAX));
    let together = experiment.rounds_of(1).first().map_or(1, Vec::len);
    let bytes = events.saturating_mul(EVENT_BYTES).saturating_mul(u64::try_from(together).unwrap_or(1));
    500 + bytes / 1_000_000
}

fn default_out(name: &str) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    PathBuf::from("run/experiments").join(format!("{name}-{now}"))
}

/// Ensures that the folder is new or empty.
fn claim(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut entries = std::fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    if entries.next().is_some() {
        return Err(Usage::Out(out.to_owned()).into());
    }
    Ok(())
}

/// Returns the folder of this executable, where the project's other programs are built too.
fn programs_dir() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's executable")?;
    own.parent().map(Path::to_path_buf).context("this program's executable has no folder")
}
