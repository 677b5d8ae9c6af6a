//! Status and shutdown of a testbed that runs in another process.
//!
//! All information comes from the state file. A pid in it is trusted only together with its start time.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::folder::WorkFolder;
use crate::identity::ProcessIdentity;
use crate::state::{StateError, TestbedState};

/// Poll interval of a process that is ending. It is not a child here, so there is no event to await.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Timeout of a kill. A killed process disappears within milliseconds unless the kernel hangs.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// A failed query or shutdown of a testbed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state file is unreadable.
    #[error(transparent)]
    State(#[from] StateError),
    /// Permission to signal a process is missing.
    #[error("cannot stop {name}, process {pid}")]
    Signal {
        /// Name of the process.
        name: String,
        /// Its process id.
        pid: i32,
        /// The operating system's error.
        #[source]
        source: Errno,
    },
    /// A process survives SIGKILL.
    #[error("{name}, process {pid}, does not exit")]
    Immortal {
        /// Name of the process.
        name: String,
        /// Its process id.
        pid: i32,
    },
}

/// Status of a testbed, as shown by `testbed status`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Whether a process runs a testbed in this work folder.
    pub up: bool,
    /// Whether it is ready and every service runs.
    pub healthy: bool,
    /// Content of its state file, while it is up.
    #[serde(flatten)]
    pub state: Option<TestbedState>,
    /// Names of the services that have ended.
    pub ended: Vec<String>,
}

/// Reads the status of the testbed in a work folder.
///
/// # Errors
/// [`StateError`]: the state file exists but is invalid.
pub fn status(work_dir: &Path) -> Result<Status, StateError> {
    let state = TestbedState::read(&WorkFolder::new(work_dir.to_owned()).state_file())?;
    let state = state.filter(|state| state.supervisor.is_alive());
    let services = state.iter().flat_map(|state| &state.services);
    let ended: Vec<_> =
        services.filter(|service| !service.process.is_alive()).map(|service| service.name.clone()).collect();
    let healthy = ended.is_empty() && state.as_ref().is_some_and(TestbedState::is_ready);
    Ok(Status { up: state.is_some(), healthy, state, ended })
}

/// Result of `down`.
#[derive(Debug, PartialEq, Eq)]
pub enum Down {
    /// No testbed was running.
    NotUp,
    /// It stopped on request.
    Stopped,
    /// These processes did not stop, or were orphans, and have been killed.
    Killed(Vec<String>),
}

/// Stops the testbed of a work folder: asks its process to end, and kills what is left after `deadline`.
///
/// # Errors
/// [`ControlError`].
pub async fn down(work_dir: &Path, deadline: Duration) -> Result<Down, ControlError> {
    let folder = WorkFolder::new(work_dir.to_owned());
    let Some(state) = TestbedState::read(&folder.state_file())? else { return Ok(Down::NotUp) };
    let was_up = signal("supervisor", state.supervisor, Signal::SIGTERM)?;
    let mut killed = Vec::new();
    if was_up && !ends_within(state.supervisor, deadline).await {
        kill("supervisor", state.supervisor).await?;
        killed.push("supervisor".to_owned());
    }
    // Read again: task managers may have been added meanwhile. After a clean shutdown the file is gone.
    let state = TestbedState::read(&folder.state_file())?;
    for service in state.iter().flat_map(|state| &state.services) {
        if kill(&service.name, service.process).await? {
            killed.push(service.name.clone());
        }
    }
    if state.is_some() {
        let path = folder.state_file();
        std::fs::remove_file(&path).map_err(|source| StateError::Write { path, source })?;
    }
    Ok(match (was_up, killed.is_empty()) {
        (false, true) => Down::NotUp,
        (true, true) => Down::Stopped,
        (_, false) => Down::Killed(killed),
    })
}

async fn kill(name: &str, process: ProcessIdentity) -> Result<bool, ControlError> {
    if !signal(name, process, Signal::SIGKILL)? {
        return Ok(false);
    }
    if ends_within(process, KILL_DEADLINE).await {
        Ok(true)
    } else {
        Err(ControlError::Immortal { name: name.to_owned(), pid: process.pid })
    }
}

fn signal(name: &str, process: ProcessIdentity, signal: Signal) -> Result<bool, ControlError> {
    process.signal(signal).map_err(|source| ControlError::Signal {
        name: name.to_owned(),
        pid: process.pid,
        source,
    })
}

async fn ends_within(process: ProcessIdentity, deadline: Duration) -> bool {
    let end = Instant::now() + deadline;
    while process.is_alive() {
        if Instant::now() >= end {
            return false;
        }
        sleep(POLL_INTERVAL).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Launcher, Process, ProcessSpec};
    use crate::state::Service;

    fn sleeper(folder: &Path) -> Process {
        let program = ProcessSpec::new("sleeper", "/bin/sleep", folder.join("log")).arg("1000");
        Launcher::new().unwrap().launch(&program).unwrap()
    }

    fn write_state(folder: &Path, supervisor: ProcessIdentity, service: ProcessIdentity) {
        let mut state = TestbedState::starting(supervisor, folder.to_owned(), folder.to_owned());
        let log = folder.join("log");
        state.services.push(Service { name: "tm-1".to_owned(), process: service, log });
        state.write(&WorkFolder::new(folder.to_owned()).state_file()).unwrap();
    }

    #[tokio::test]
    async fn an_orphan_is_killed_after_its_supervisor_has_died() {
        let folder = tempfile::tempdir().unwrap();
        let orphan = sleeper(folder.path());
        let dead = ProcessIdentity { pid: orphan.identity().pid, start_ticks: 1 };
        write_state(folder.path(), dead, orphan.identity());
        assert!(!status(folder.path()).unwrap().up);
        let down_once = down(folder.path(), Duration::from_secs(20)).await.unwrap();
        assert_eq!(down_once, Down::Killed(vec!["tm-1".to_owned()]));
        assert_eq!(down(folder.path(), Duration::from_secs(20)).await.unwrap(), Down::NotUp);
    }

    /// Goal: the pids in a stale file, which may belong to other processes by now, are not signalled.
    #[tokio::test]
    async fn a_recycled_pid_is_never_signalled() {
        let folder = tempfile::tempdir().unwrap();
        let stranger = sleeper(folder.path());
        let recycled = ProcessIdentity { pid: stranger.identity().pid, start_ticks: 1 };
        write_state(folder.path(), recycled, recycled);
        assert_eq!(down(folder.path(), Duration::from_secs(20)).await.unwrap(), Down::NotUp);
        assert_eq!(stranger.status(), None);
        assert!(stranger.identity().is_alive());
    }
}
