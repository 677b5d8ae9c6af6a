//! The supervisor, the testbed's process for `testbed up`: in the foreground, or detached in its own session.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use service::{Shutdown, ShutdownError};
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::control;
use crate::folder::WorkFolder;
use crate::identity::ProcessIdentity;
use crate::logs::{self, Follower};
use crate::progress::Progress;
use crate::start::StartError;
use crate::state::{StateError, TestbedState};
use crate::testbed::Testbed;

/// Poll interval of the services, and of a starting detached supervisor.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Number of lines of the supervisor's log in an error message.
const TAIL_LINES: usize = 30;

/// `testbed up` failed.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The start failed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The state file is unusable.
    #[error(transparent)]
    State(#[from] StateError),
    /// Signal handlers cannot be installed.
    #[error(transparent)]
    Signals(#[from] ShutdownError),
    /// The detached supervisor cannot be started.
    #[error("cannot start a supervisor in {}", work_dir.display())]
    Detach {
        /// Path of the work folder.
        work_dir: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The detached supervisor ended before it was ready.
    #[error("the testbed did not start ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        /// Exit status of the supervisor.
        status: ExitStatus,
        /// Path of its log.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// The detached supervisor timed out, or the wait was interrupted.
    #[error("{why}; the supervisor was stopped, its log is {}", log.display())]
    GaveUp {
        /// Reason.
        why: &'static str,
        /// Path of the supervisor's log.
        log: PathBuf,
    },
}

/// Starts a testbed, calls `ready`, monitors the services, and stops everything at SIGINT, SIGTERM or SIGHUP.
///
/// An ended service is reported and not restarted: the reaction of a scaler is what a testbed is for.
///
/// # Errors
/// [`UpError`].
pub async fn run(
    config: Config,
    progress: &Progress<'_>,
    ready: impl FnOnce(&Testbed),
) -> Result<(), UpError> {
    let mut signals = Shutdown::listen()?.with_hangup()?;
    let testbed = tokio::select! {
        testbed = Testbed::start(config, progress) => testbed?,
        () = signals.requested() => {
            progress("interrupted during the start");
            return Ok(());
        }
    };
    ready(&testbed);
    tokio::select! {
        () = report_ends(&testbed) => {}
        () = serve_requests(&testbed) => {}
        () = signals.requested() => {}
    }
    progress("stopping all services");
    testbed.stop().await?;
    progress("all services have stopped");
    Ok(())
}

/// Serves requests of other processes; never returns.
async fn serve_requests(testbed: &Testbed) {
    if let Err(error) = testbed.serve_requests().await {
        tracing::error!(%error, "task managers cannot be added or stopped by command");
    }
    std::future::pending().await
}

/// Reports every service that ends; never returns.
async fn report_ends(testbed: &Testbed) {
    let mut told = Vec::new();
    loop {
        for ended in testbed.ended_services().await {
            if !told.contains(&ended) {
                tracing::error!("{ended} exited; the other services keep running");
                told.push(ended);
            }
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Makes this process the leader of a new session, so that neither a closed terminal nor Ctrl-C reaches it.
///
/// # Errors
/// This process already leads a process group.
pub fn new_session() -> io::Result<()> {
    nix::unistd::setsid()?;
    Ok(())
}

/// Starts `executable up` as a supervisor in its own session and waits until the testbed is ready. Passes the
/// supervisor's log to `line`.
///
/// # Errors
/// [`UpError`]; no process is left running.
pub async fn detach(
    config: &Config,
    executable: &Path,
    line: &Progress<'_>,
) -> Result<TestbedState, UpError> {
    let folder = WorkFolder::new(config.work_dir.clone());
    if control::status(folder.root())?.up {
        return Err(StartError::AlreadyUp { work_dir: config.work_dir.clone() }.into());
    }
    let mut signals = Shutdown::listen()?.with_hangup()?;
    let child = spawn(config, executable, &folder)
        .map_err(|source| UpError::Detach { work_dir: config.work_dir.clone(), source })?;
    let mut starting = Starting { child, log: Follower::from_start(folder.log_of("supervisor")), folder };
    let deadline = config.fetch_deadline + config.start_deadline * 3;
    let why = tokio::select! {
        result = starting.ready(line) => return result,
        () = sleep(deadline) => "the testbed did not start in time",
        () = signals.requested() => "interrupted during the start",
    };
    starting.end(config.stop_deadline).await;
    Err(UpError::GaveUp { why, log: starting.folder.log_of("supervisor") })
}

fn spawn(config: &Config, executable: &Path, folder: &WorkFolder) -> io::Result<Child> {
    fs::create_dir_all(folder.logs())?;
    let settings = toml::to_string(&config.settings()).map_err(io::Error::other)?;
    fs::write(folder.settings_file(), settings)?;
    let log = File::create(folder.log_of("supervisor"))?;
    Command::new(executable)
        .arg("--config")
        .arg(folder.settings_file())
        .args(["up", "--new-session"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// A detached supervisor that is not ready yet.
struct Starting {
    child: Child,
    log: Follower,
    folder: WorkFolder,
}

impl Starting {
    async fn ready(&mut self, line: &Progress<'_>) -> Result<TestbedState, UpError> {
        let log = self.folder.log_of("supervisor");
        loop {
            for text in self.log.new_lines().unwrap_or_default() {
                line(&text);
            }
            let status = self
                .child
                .try_wait()
                .map_err(|source| UpError::Detach { work_dir: self.folder.root().to_owned(), source })?;
            if let Some(status) = status {
                return Err(UpError::Ended { status, tail: logs::tail(&log, TAIL_LINES), log });
            }
            // A state file of an earlier supervisor may still exist.
            let state = TestbedState::read(&self.folder.state_file())?;
            let own = |state: &TestbedState| Some(state.supervisor) == self.identity() && state.is_ready();
            if let Some(state) = state.filter(own) {
                return Ok(state);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn identity(&self) -> Option<ProcessIdentity> {
        i32::try_from(self.child.id()).ok().and_then(ProcessIdentity::from_pid)
    }

    /// Stops the supervisor with all its children.
    async fn end(&mut self, deadline: Duration) {
        let Some(identity) = self.identity() else { return };
        let _ended = identity.signal(Signal::SIGTERM);
        let end = Instant::now() + deadline;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= end {
                let _ended = self.child.kill();
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
