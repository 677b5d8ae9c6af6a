//! Child processes that cannot outlive their parent.
//!
//! Three guarantees, in the order of how bad things are:
//! * [`Process::stop`] ends a child politely (SIGTERM, then SIGKILL after a deadline);
//! * a dropped [`Process`] is killed and reaped before `drop` returns, so a failing test leaves nothing behind;
//! * a parent that dies without a word (`kill -9`) takes its children with it, by the kernel's parent-death signal.
//!
//! That signal fires when the *thread* that forked the child ends. Therefore one dedicated thread forks all children of a
//! [`Launcher`], and every [`Process`] keeps that thread alive. Each child leads a process group of its own: a terminal's
//! Ctrl-C reaches only the parent, which then ends its children in an order of its choice.
//!
//! Not here: restarting what has ended, and knowing when a service is ready.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid, getppid};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::identity::ProcessIdentity;

/// How long `drop` waits for a killed child to be reaped. SIGKILL needs milliseconds, unless the kernel itself hangs.
const DROP_DEADLINE: Duration = Duration::from_secs(10);

/// What to run: a program, its arguments, and the file that takes its standard output and standard error.
#[derive(Clone, Debug)]
pub struct Program {
    name: String,
    executable: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    log_file: PathBuf,
}

impl Program {
    /// A program under a name for messages; `log_file` is created or appended to, its folder must exist.
    pub fn new(
        name: impl Into<String>,
        executable: impl Into<PathBuf>,
        log_file: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            executable: executable.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            current_dir: None,
            log_file: log_file.into(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, beside the inherited ones.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Runs it in this folder instead of the parent's.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    fn command(&self) -> io::Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log_file)?;
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments).envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        if let Some(folder) = &self.current_dir {
            command.current_dir(folder);
        }
        Ok(command)
    }
}

/// A program could not be started at all. That it ended badly is not this error, but its [`ExitStatus`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The log file, the executable or the process itself was refused by the system.
    #[error("cannot start {name} ({executable})")]
    Start {
        /// The program's name.
        name: String,
        /// What should have been run.
        executable: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The forking thread is gone; only possible after it panicked.
    #[error("cannot start {name}: the launcher's thread has ended")]
    LauncherEnded {
        /// The program's name.
        name: String,
    },
}

struct Request {
    program: Program,
    reply: mpsc::SyncSender<io::Result<Started>>,
}

struct Started {
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

/// Starts programs as children of this process. Cheap to clone; all clones share one forking thread.
#[derive(Clone, Debug)]
pub struct Launcher {
    requests: mpsc::Sender<Request>,
}

impl Launcher {
    /// Starts the forking thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn new() -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        thread::Builder::new().name("launcher".to_owned()).spawn(move || {
            // Ends when the last clone and the last child's handle are gone.
            for Request { program, reply } in inbox {
                // A requester that no longer listens drops the child's channels; its process ends with this one.
                drop(reply.send(start(&program)));
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts a program. Blocks for the few milliseconds of a fork.
    ///
    /// # Errors
    /// [`LaunchError`]; nothing runs then.
    pub fn launch(&self, program: &Program) -> Result<Process, LaunchError> {
        let ended = || LaunchError::LauncherEnded { name: program.name.clone() };
        let (reply, answer) = mpsc::sync_channel(1);
        self.requests.send(Request { program: program.clone(), reply }).map_err(|_gone| ended())?;
        let started = answer.recv().map_err(|_gone| ended())?.map_err(|source| LaunchError::Start {
            name: program.name.clone(),
            executable: program.executable.clone(),
            source,
        })?;
        Ok(Process {
            name: program.name.clone(),
            log_file: program.log_file.clone(),
            started,
            _launcher: self.clone(),
        })
    }
}

/// Forks, on the launcher's thread.
fn start(program: &Program) -> io::Result<Started> {
    let mut command = program.command()?;
    die_with_parent(&mut command);
    let child = command.spawn()?;
    let pid = pid_of(&child);
    // A child that has already ended still has its entry, because nobody has reaped it: start time 0 then stands for
    // "ended before anyone looked", which no living process has.
    let identity =
        ProcessIdentity::of(pid.as_raw()).unwrap_or(ProcessIdentity { pid: pid.as_raw(), start_ticks: 0 });
    let gate = Arc::new(Gate::default());
    let (announce, ended) = watch::channel(None);
    let for_reaper = Arc::clone(&gate);
    let reaper = thread::Builder::new().name(format!("reaper-{pid}")).spawn(move || {
        reap(child, &for_reaper, &announce);
    });
    if let Err(error) = reaper {
        kill(pid, Signal::SIGKILL)?; // Nobody would ever wait for it.
        return Err(error);
    }
    Ok(Started { identity, ended, gate })
}

/// Asks the kernel to kill the child when the thread that forks it ends.
#[expect(unsafe_code, reason = "the parent-death signal can only be set between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let in_child = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above: then nobody would ever send the signal.
        if getppid() == parent { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two system calls, prctl
    // and getppid; it allocates nothing, takes no lock and touches no memory but its own captured integer.
    unsafe {
        command.pre_exec(in_child);
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
    started: Started,
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
    /// The name it was launched under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id and start time.
    #[must_use]
    pub fn identity(&self) -> ProcessIdentity {
        self.started.identity
    }

    /// The file that takes its standard output and standard error.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        *self.started.ended.borrow()
    }

    /// Waits until it ends.
    pub async fn wait(&self) -> ExitStatus {
        let mut ended = self.started.ended.clone();
        // The reaper announces the end before it goes away, so a closed channel holds a status as well.
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        status.unwrap_or_default()
    }

    /// Sends a signal to the process itself (not to its group); `false` if it has already ended.
    #[must_use]
    pub fn signal(&self, signal: Signal) -> bool {
        let reaped = self.started.gate.lock();
        !*reaped && kill(Pid::from_raw(self.started.identity.pid), signal).is_ok()
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
            let gate = &self.started.gate;
            let waited = gate.changed.wait_timeout_while(gate.lock(), DROP_DEADLINE, |reaped| !*reaped);
            drop(waited);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn shell(folder: &Path, script: &str) -> Process {
        let program = Program::new("shell", "/bin/sh", folder.join("shell.log")).args(["-c", script]);
        Launcher::new().unwrap().launch(&program).unwrap()
    }

    async fn until_logged(process: &Process, text: &str) {
        let logged = async {
            while !std::fs::read_to_string(process.log_file()).unwrap().contains(text) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), logged).await.expect("the line appears in the log");
    }

    #[tokio::test]
    async fn exit_status_and_both_streams_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "echo out; echo err >&2; exit 3");
        assert_eq!(process.wait().await.code(), Some(3));
        assert_eq!(std::fs::read_to_string(process.log_file()).unwrap(), "out\nerr\n");
        assert!(!process.signal(Signal::SIGKILL), "an ended process is never signalled");
    }

    #[tokio::test]
    async fn a_polite_child_ends_by_itself_and_a_deaf_one_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let polite = shell(folder.path(), "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        until_logged(&polite, "ready").await;
        assert_eq!(polite.stop(Duration::from_secs(20)).await.code(), Some(7));

        let folder = tempfile::tempdir().unwrap();
        let deaf = shell(folder.path(), "trap '' TERM; echo ready; while :; do sleep 0.01; done");
        until_logged(&deaf, "ready").await;
        assert_eq!(deaf.stop(Duration::from_millis(100)).await.signal(), Some(9));
    }

    #[tokio::test]
    async fn a_paused_child_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        until_logged(&process, "ready").await;
        assert!(process.pause());
        assert_eq!(process.stop(Duration::from_secs(20)).await.code(), Some(7));
    }

    #[tokio::test]
    async fn dropping_kills_the_child_and_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "sleep 1000 & echo child $!; wait");
        until_logged(&process, "child").await;
        let log = std::fs::read_to_string(process.log_file()).unwrap();
        let grandchild =
            ProcessIdentity::of(log.trim().strip_prefix("child ").unwrap().parse().unwrap()).unwrap();
        let own = process.identity();
        drop(process);
        assert!(!own.is_alive());
        // It was killed before the child was reaped; its new parent may take a moment to reap it, as a zombie it counts as gone.
        let gone = async {
            while grandchild.is_alive() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.expect("the grandchild is gone");
    }

    #[tokio::test]
    async fn a_missing_executable_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::new("nothing", "/nonexistent/program", folder.path().join("log"));
        let error = Launcher::new().unwrap().launch(&program).unwrap_err();
        assert_eq!(error.to_string(), "cannot start nothing (/nonexistent/program)");
    }
}
