//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::screen::Screen;
use crate::stage::{Stage, StageOptions};
use crate::story;

/// Shows the loop live: real Kafka, real Flink, load above capacity, a decision, a rescale, recovery.
///
/// Ends with exit code 0 only if the event latency came back under its bound.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
pub struct Arguments {
    /// Where everything of the demo lies: configurations, logs, state.
    #[arg(long, value_name = "DIR", default_value = "run/demo")]
    work: PathBuf,
    /// The Flink job.
    #[arg(long, value_name = "FILE", default_value = "flink-jobs/target/flink-jobs.jar")]
    jar: PathBuf,
    /// Leave everything running after the recovery, until Ctrl-C, and print the addresses.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo: 0 recovered, 1 not.
pub fn main_with(arguments: &Arguments) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime
        .context("cannot start the asynchronous runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if standard error is closed.
            drop(writeln!(std::io::stderr(), "demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let screen = Screen::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    std::fs::create_dir_all(&arguments.work).with_context(|| {
        format!("cannot create {}; choose another folder with --work", arguments.work.display())
    })?;
    let options = StageOptions {
        work_dir: absolute(&arguments.work)?,
        programs_dir: programs_dir()?,
        jar: absolute(&arguments.jar)
            .context("build the job first: mvn --file flink-jobs/pom.xml package")?,
        task_managers: 2,
        partitions: 4,
        stores: testbed::StoreSettings::default(),
    };
    forget(&options.work_dir)?;
    let whole = async {
        let stage = Stage::set(options, &|line| screen.say(line)).await?;
        let outcome = story::play(&stage, &screen, arguments.keep).await;
        stage.strike().await;
        outcome
    };
    tokio::select! {
        outcome = whole => outcome,
        _ = tokio::signal::ctrl_c(), if !arguments.keep => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("asked to stop"),
    }
}

/// What an earlier demo in the same folder left: its documents and journals are of another Kafka and another Flink.
fn forget(work_dir: &Path) -> anyhow::Result<()> {
    for folder in ["conf", "logs", "config-drop", "config-agent", "rescaler"].map(|name| work_dir.join(name))
    {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    Ok(())
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().with_context(|| format!("{} is not there", path.display()))
}

/// Our programs are built into the folder that this one lies in.
fn programs_dir() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    own.parent().map(Path::to_path_buf).context("this program lies in no folder")
}
