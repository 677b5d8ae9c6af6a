//! The `demo` command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use test_cluster::{ClusterOptions, Extras, TenantNames, TenantOptions, TestCluster};
use tokio::signal::unix::{SignalKind, signal};

use crate::scenario;
use crate::screen::Screen;

/// Runs the loop live on real Kafka and Flink: load above capacity, decision, rescale, recovery.
///
/// Exits with code 0 only if the event latency returned below its bound.
#[derive(Debug, Parser)]
#[command(version = version::VERSION)]
pub struct Arguments {
    /// Work folder of the demo: configurations, logs, state.
    #[arg(long, value_name = "DIR", default_value = "run/demo")]
    work: PathBuf,
    /// Jar of the Flink job.
    #[arg(long, value_name = "FILE", default_value = "flink-jobs/target/flink-jobs.jar")]
    jar: PathBuf,
    /// Keep everything running after the recovery until Ctrl-C, and print the addresses.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo: returns 0 if the latency recovered, else 1.
pub fn main_with(arguments: &Arguments) -> ExitCode {
    service::logging::begin("warn");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime
        .context("cannot start the asynchronous runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            service::fail_with("demo", &error, if error.is::<NotOurs>() { service::BAD_USAGE } else { 1 })
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let screen = Screen::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    take(&arguments.work)?;
    let options = ClusterOptions {
        work_dir: absolute(&arguments.work)?,
        task_managers: 2,
        task_slots: 4,
        jobs: 1,
        extras: Extras::default(),
    };
    let tenant = TenantOptions {
        names: TenantNames::plain(),
        folder: PathBuf::new(),
        programs_dir: programs_dir()?,
        jar: absolute(&arguments.jar)
            .context("build the job first: mvn --file flink-jobs/pom.xml package")?,
        partitions: 4,
    };
    forget(&options.work_dir)?;
    let whole = async {
        let cluster = TestCluster::start(options, &|line| screen.print_line(line)).await?;
        let outcome = async {
            let tenant = cluster.tenant(tenant).await?;
            scenario::run(&tenant, &screen, arguments.keep).await
        };
        let outcome = outcome.await;
        cluster.shutdown().await;
        outcome
    };
    tokio::select! {
        outcome = whole => outcome,
        _ = tokio::signal::ctrl_c(), if !arguments.keep => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("stopping: received a signal"),
    }
}

/// Marker file in every folder created by a demo; the next demo clears only such a folder.
const MARKER: &str = ".rescaler-demo";

/// Accepts a folder that is new, empty, or of an earlier demo. Never touches any other folder.
fn take(work: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot create {}; use another folder for --work", work.display());
    let marker = work.join(MARKER);
    if !marker.is_file() {
        std::fs::create_dir_all(work).with_context(cannot)?;
        let is_empty = work.read_dir().with_context(cannot)?.next().is_none();
        if !is_empty {
            return Err(NotOurs(work.to_owned()).into());
        }
    }
    std::fs::write(&marker, "The demo may remove the files in this folder.\n").with_context(cannot)
}

/// The work folder contains files that are not a demo's.
#[derive(Debug, thiserror::Error)]
#[error("{} is not empty and not a folder of the demo (no {MARKER} in it); use an empty or new folder for --work", .0.display())]
struct NotOurs(PathBuf);

/// Deletes documents and journals of an earlier demo in the same folder: they belong to another Kafka and another
/// Flink.
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
    path.canonicalize().with_context(|| format!("{} does not exist", path.display()))
}

/// Returns the folder of this executable, where the project's other programs are built too.
fn programs_dir() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's executable")?;
    own.parent().map(Path::to_path_buf).context("this program's executable has no folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a folder with foreign files is rejected and left unchanged; a new, an empty and a demo's own folder are
    /// accepted.
    #[test]
    fn only_a_demos_folder_is_taken() {
        let parent = tempfile::tempdir().unwrap();
        let work = parent.path().join("new/work");
        take(&work).unwrap();
        std::fs::create_dir(work.join("logs")).unwrap();
        take(&work).unwrap();
        forget(&work).unwrap();
        assert!(!work.join("logs").exists());
        let precious = parent.path().join("precious");
        std::fs::create_dir_all(precious.join("conf")).unwrap();
        assert!(take(&precious).unwrap_err().is::<NotOurs>());
        assert!(precious.join("conf").exists() && !precious.join(MARKER).exists());
    }
}
