//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::compare::compare;
use crate::experiment::{Experiment, ExperimentError, Overrides};
use crate::list;
use crate::record::{RecordOptions, record};
use crate::run::{One, Place, run};
use crate::screen::{Screen, print};
use crate::stop::Stop;
use crate::time::{in_words, parse_duration};

/// Runs one job under one load, scaled by a policy or by nobody, and compares such runs.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an experiment: every variant, every repetition, each on a Kafka and a Flink of its own.
    Run(RunOptions),
    /// Watch a job that runs already, on any cluster, and keep the same as of a run.
    Record(RecordOptions),
    /// Put runs side by side: a table, a CSV file, plots over each other.
    Compare(CompareOptions),
    /// List the experiments of a folder.
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
    /// How long the load lasts, the warm-up included, instead of the experiment's: 90s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// How often everything is run, instead of the experiment's.
    #[arg(long, value_name = "N")]
    repetitions: Option<u32>,
    /// Only this variant; may be given several times.
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// Where the runs are kept; new or empty. By default run/experiments/NAME-TIME.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Check everything, say what would be run, and end.
    #[arg(long)]
    dry_run: bool,
    /// The Flink job.
    #[arg(long, value_name = "FILE", default_value = "flink-jobs/target/flink-jobs.jar")]
    jar: PathBuf,
}

#[derive(Debug, Args)]
struct CompareOptions {
    /// Folders of runs, or folders that have such folders in them.
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Where tables and plots are written; by default `comparison` in the first folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Bad usage that the parser of the command line cannot see.
#[derive(Debug, thiserror::Error)]
enum Usage {
    /// There is no such variant.
    #[error("there is no variant {name:?}; there are {}", known.join(", "))]
    Variant { name: String, known: Vec<String> },
    /// The folder for the runs has something in it.
    #[error("{} is not empty; name an empty or new folder with --out", .0.display())]
    Out(PathBuf),
    /// The Flink job is not there.
    #[error("{} is not there; build it with `mvn --file flink-jobs/pom.xml package`, or name it with --jar", .0.display())]
    Jar(PathBuf),
}

/// Does what the command line asks for: 0 if everything came to its end, 2 for bad usage or configuration, 1 otherwise.
pub fn main_with(arguments: &Arguments) -> ExitCode {
    logging::begin("warn");
    let outcome = match &arguments.command {
        Command::Run(options) => in_runtime(run_all(options)),
        Command::Record(options) => in_runtime(record_one(options)),
        Command::Compare(options) => {
            let out = options.out.clone().or_else(|| Some(options.folders.first()?.join("comparison")));
            compare(&options.folders, &out.unwrap_or_default()).map(|text| print(&text))
        }
        Command::List { folder } => list::table(folder).map(|text| print(&text)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if standard error is closed.
            drop(writeln!(std::io::stderr(), "experiment: {error:#}"));
            let is_usage = error.is::<Usage>() || error.is::<ExperimentError>();
            if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
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
    let jar = options.jar.canonicalize().map_err(|_| Usage::Jar(options.jar.clone()))?;
    let place = Place { programs_dir: programs_dir()?, jar };
    claim(&out)?;
    let stop = Stop::on_signals()?;
    let mut screen = Screen::new();
    let mut invalid = 0;
    for repetition in 1..=experiment.repetitions {
        for variant in &experiment.variants {
            let folder = out.join(format!("{}-{repetition}", variant.name));
            screen.say(&format!("▶ RUN {} #{repetition} → {}", variant.name, folder.display()));
            let one = One { experiment: &experiment, variant, repetition };
            let summary = run(one, &folder, &place, &mut screen, &stop).await?;
            for problem in &summary.problems {
                screen.say(&format!("▶ NOT VALID: {problem}"));
            }
            invalid += u32::from(!summary.is_valid);
            if stop.is_asked() {
                print(&compare(std::slice::from_ref(&out), &out.join("comparison"))?);
                anyhow::bail!("interrupted; what was measured until then is in {}", out.display());
            }
        }
    }
    print(&compare(std::slice::from_ref(&out), &out.join("comparison"))?);
    let note = if invalid > 0 { format!(", of which {invalid} not valid") } else { String::new() };
    screen.say(&format!("all runs are over{note}; everything is in {}", out.display()));
    Ok(())
}

async fn record_one(options: &RecordOptions) -> anyhow::Result<()> {
    claim(&options.out)?;
    let stop = Stop::on_signals()?;
    let mut screen = Screen::new();
    let summary = record(options, &mut screen, &stop).await?;
    for problem in &summary.problems {
        screen.say(&format!("▶ NOT VALID: {problem}"));
    }
    print(&compare(std::slice::from_ref(&options.out), &options.out.join("comparison"))?);
    anyhow::ensure!(
        !stop.is_asked(),
        "interrupted; what was seen until then is in {}",
        options.out.display()
    );
    Ok(())
}

/// Leaves the wanted variants; all of them if none is named.
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
        "{}: {}\n  {}; {} repetition(s) of {} with a warm-up of {}; about {} in all, and a minute more for each run\n  \
         load: {:.0} events/s at most; {} task managers with {} slots each; latency bound {:.0} ms\n  kept in {}",
        experiment.name,
        experiment.description,
        variants.join(", "),
        experiment.repetitions,
        in_words(experiment.duration),
        in_words(experiment.warm_up),
        in_words(experiment.total_duration()),
        experiment.schedule.peak_rate(),
        experiment.cluster.task_managers,
        experiment.cluster.task_slots,
        experiment.latency_max_ms,
        out.display(),
    )
}

fn default_out(name: &str) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    PathBuf::from("run/experiments").join(format!("{name}-{now}"))
}

/// A folder that is new or empty.
fn claim(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut entries = std::fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    if entries.next().is_some() {
        return Err(Usage::Out(out.to_owned()).into());
    }
    Ok(())
}

/// Our programs are built into the folder that this one lies in.
fn programs_dir() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    own.parent().map(Path::to_path_buf).context("this program lies in no folder")
}
