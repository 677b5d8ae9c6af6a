//! The handle of one child: waits for its end on a separate thread, and never signals its id after it was reaped.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::time::timeout;

use super::launcher::Launcher;
use crate::identity::ProcessIdentity;

/// Timeout of `drop` for a killed child to be reaped. SIGKILL takes milliseconds, unless the kernel hangs.
const DROP_DEADLINE: Duration = Duration::from_secs(10);

/// State of a child, during and after its life.
pub(super) struct ChildState {
    identity: ProcessIdentity,
    ended: watch::Receiver<Option<ExitStatus>>,
    gate: Arc<Gate>,
}

/// Guards the process id: it may be signalled only until the child is reaped.
#[derive(Default)]
struct Gate {
    reaped: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChildState {
    /// Starts to watch a child, on its own thread.
    pub(super) fn new(child: Child) -> io::Result<Self> {
        let pid = pid_of(&child);
        // A child that has already ended is still unreaped; its start time 0 stands for "ended before the first
        // look", which no living process has.
        let ended_early = ProcessIdentity { pid: pid.as_raw(), start_ticks: 0 };
        let identity = ProcessIdentity::from_pid(pid.as_raw()).unwrap_or(ended_early);
        let gate = Arc::new(Gate::default());
        let (announce, ended) = watch::channel(None);
        let for_reaper = Arc::clone(&gate);
        let reaper = thread::Builder::new()
            .name(format!("reaper-{pid}"))
            .spawn(move || reap(child, &for_reaper, &announce));
        if let Err(error) = reaper {
            kill(pid, Signal::SIGKILL)?; // It would never be reaped.
            return Err(error);
        }
        Ok(Self { identity, ended, gate })
    }
}

fn pid_of(child: &Child) -> Pid {
    // Linux process ids are positive and fit in 22 bits.
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Waits for a child's end on its own thread, then reaps it and publishes its exit status.
fn reap(mut child: Child, gate: &Gate, announce: &watch::Sender<Option<ExitStatus>>) {
    let pid = pid_of(&child);
    // Without reaping: until the child is reaped, its id cannot be reused.
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let mut reaped = gate.lock();
    // Kills the child's remaining process group. An empty group is not an error.
    let _empty = killpg(pid, Signal::SIGKILL);
    let status = child.wait().unwrap_or_else(|error| {
        tracing::error!(%pid, %error, "cannot wait for a child process");
        ExitStatus::default()
    });
    *reaped = true;
    announce.send_replace(Some(status));
    gate.changed.notify_all();
}

/// A running or ended child. Dropping it kills it.
pub struct Process {
    name: String,
    log_file: PathBuf,
    watched: ChildState,
    _launcher: Launcher,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Process")
            .field("name", &self.name)
            .field("pid", &self.identity().pid)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Process {
    pub(super) fn new(name: String, log_file: PathBuf, watched: ChildState, launcher: Launcher) -> Self {
        Self { name, log_file, watched, _launcher: launcher }
    }

    /// Returns the name it was launched under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns process id and start time.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.watched.identity
    }

    /// Returns the log file of its standard output and standard error.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Returns its exit status; `None` while it runs.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        *self.watched.ended.borrow()
    }

    /// Waits until it ends.
    pub async fn wait(&self) -> ExitStatus {
        let mut ended = self.watched.ended.clone();
        // The reaper publishes the status before it ends, so a closed channel has one as well.
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        status.unwrap_or_default()
    }

    /// Sends a signal to the process itself (not to its group); returns `false` if it has already ended.
    #[must_use]
    pub fn signal(&self, signal: Signal) -> bool {
        let reaped = self.watched.gate.lock();
        !*reaped && kill(Pid::from_raw(self.watched.identity.pid), signal).is_ok()
    }

    /// Pauses it (SIGSTOP) until [`Process::resume`]; returns `false` if it has already ended.
    #[must_use]
    pub fn pause(&self) -> bool {
        self.signal(Signal::SIGSTOP)
    }

    /// Resumes a paused process; returns `false` if it has already ended.
    #[must_use]
    pub fn resume(&self) -> bool {
        self.signal(Signal::SIGCONT)
    }

    /// Requests its end (SIGTERM, also when paused) and kills it after the deadline.
    pub async fn stop(&self, deadline: Duration) -> ExitStatus {
        if self.signal(Signal::SIGTERM) {
            // A paused process handles the signal when it is resumed.
            let _ended = self.resume();
        }
        match timeout(deadline, self.wait()).await {
            Ok(status) => status,
            Err(_late) => {
                tracing::warn!(name = self.name, ?deadline, "did not exit in time; killing it");
                self.kill().await
            }
        }
    }

    /// Kills it (SIGKILL) and waits until it has ended.
    pub async fn kill(&self) -> ExitStatus {
        let _ended = self.signal(Signal::SIGKILL);
        self.wait().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.signal(Signal::SIGKILL) {
            let gate = &self.watched.gate;
            let waited = gate.changed.wait_timeout_while(gate.lock(), DROP_DEADLINE, |reaped| !*reaped);
            drop(waited);
        }
    }
}
