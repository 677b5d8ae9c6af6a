//! The handle of one child: its end is awaited on a thread of its own, its id is never signalled after it was reaped.

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

/// How long `drop` waits for a killed child to be reaped. SIGKILL needs milliseconds, unless the kernel itself hangs.
const DROP_DEADLINE: Duration = Duration::from_secs(10);

/// What is known of a child while it runs and after its end.
pub(super) struct Watched {
    identity: ProcessIdentity,
    ended: watch::Receiver<Option<ExitStatus>>,
    gate: Arc<Gate>,
}

/// Guards the process id: it may be signalled only as long as the child has not been reaped.
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

impl Watched {
    /// Starts to watch a child, on a thread of its own.
    pub(super) fn new(child: Child) -> io::Result<Self> {
        let pid = pid_of(&child);
        // A child that has already ended still has its entry, because nobody has reaped it: start time 0 then stands for
        // "ended before anyone looked", which no living process has.
        let ended_early = ProcessIdentity { pid: pid.as_raw(), start_ticks: 0 };
        let identity = ProcessIdentity::of(pid.as_raw()).unwrap_or(ended_early);
        let gate = Arc::new(Gate::default());
        let (announce, ended) = watch::channel(None);
        let for_reaper = Arc::clone(&gate);
        let reaper = thread::Builder::new()
            .name(format!("reaper-{pid}"))
            .spawn(move || reap(child, &for_reaper, &announce));
        if let Err(error) = reaper {
            kill(pid, Signal::SIGKILL)?; // Nobody would ever wait for it.
            return Err(error);
        }
        Ok(Self { identity, ended, gate })
    }
}

fn pid_of(child: &Child) -> Pid {
    // Linux process ids are positive and fit in 22 bits.
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Waits for a child's end on a thread of its own, then reaps it and announces how it ended.
fn reap(mut child: Child, gate: &Gate, announce: &watch::Sender<Option<ExitStatus>>) {
    let pid = pid_of(&child);
    // First only look: until the child is reaped its id cannot be given to another process.
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let mut reaped = gate.lock();
    // Whatever the child has left in its process group ends with it. An empty group is no error worth telling.
    let _empty = killpg(pid, Signal::SIGKILL);
    let status = child.wait().unwrap_or_else(|error| {
        tracing::error!(%pid, %error, "cannot reap a child");
        ExitStatus::default()
    });
    *reaped = true;
    announce.send_replace(Some(status));
    gate.changed.notify_all();
}

/// A running (or ended) child. Dropping it kills it.
pub struct Process {
    name: String,
    log_file: PathBuf,
    watched: Watched,
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
    pub(super) fn new(name: String, log_file: PathBuf, watched: Watched, launcher: Launcher) -> Self {
        Self { name, log_file, watched, _launcher: launcher }
    }

    /// The name it was launched under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id and start time.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.watched.identity
    }

    /// The file that takes its standard output and standard error.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        *self.watched.ended.borrow()
    }

    /// Waits until it ends.
    pub async fn wait(&self) -> ExitStatus {
        let mut ended = self.watched.ended.clone();
        // The reaper announces the end before it goes away, so a closed channel holds a status as well.
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        status.unwrap_or_default()
    }

    /// Sends a signal to the process itself (not to its group); `false` if it has already ended.
    #[must_use]
    pub fn signal(&self, signal: Signal) -> bool {
        let reaped = self.watched.gate.lock();
        !*reaped && kill(Pid::from_raw(self.watched.identity.pid), signal).is_ok()
    }

    /// Stops the world for it (SIGSTOP) until [`Process::resume`]; `false` if it has already ended.
    #[must_use]
    pub fn pause(&self) -> bool {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a paused process go on; `false` if it has already ended.
    #[must_use]
    pub fn resume(&self) -> bool {
        self.signal(Signal::SIGCONT)
    }

    /// Asks it to end (SIGTERM, also when paused) and kills it if it has not ended within the deadline.
    pub async fn stop(&self, deadline: Duration) -> ExitStatus {
        if self.signal(Signal::SIGTERM) {
            // A paused process takes the signal when it is resumed.
            let _ended = self.resume();
        }
        match timeout(deadline, self.wait()).await {
            Ok(status) => status,
            Err(_late) => {
                tracing::warn!(name = self.name, ?deadline, "did not end when asked to, is killed");
                self.kill().await
            }
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
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
