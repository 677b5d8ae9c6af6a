//! Forks children on one thread, with the parent-death signal set.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

use super::child::{ChildState, Process};

/// A program to run: executable, arguments, and log file of standard output and standard error.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    name: String,
    executable: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    log_file: PathBuf,
}

impl ProcessSpec {
    /// Describes a program; `name` is for messages, `log_file` is created or appended to, its folder must exist.
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

    /// Sets an environment variable, in addition to the inherited ones.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Sets the working folder, instead of the parent's.
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

/// A program could not be started. A program that ran and failed is not this error, but has an
/// [`ExitStatus`](std::process::ExitStatus).
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The operating system rejected the log file, the executable or the process.
    #[error("cannot start {name} ({executable})")]
    Start {
        /// Name of the program.
        name: String,
        /// Path of its executable.
        executable: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The forking thread is gone; only possible after a panic.
    #[error("cannot start {name}: the launcher's thread has ended")]
    LauncherEnded {
        /// Name of the program.
        name: String,
    },
}

struct Request {
    program: ProcessSpec,
    reply: mpsc::SyncSender<io::Result<ChildState>>,
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
    /// The thread cannot be created.
    pub fn new() -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        thread::Builder::new().name("launcher".to_owned()).spawn(move || {
            // Ends when the last clone and the last child's handle are gone.
            for Request { program, reply } in inbox {
                // If the requester is gone, the handle is dropped, and the process ends with it.
                drop(reply.send(start(&program)));
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts a program. Blocks for the few milliseconds of a fork.
    ///
    /// # Errors
    /// [`LaunchError`]; no process is left running.
    pub fn launch(&self, program: &ProcessSpec) -> Result<Process, LaunchError> {
        let ended = || LaunchError::LauncherEnded { name: program.name.clone() };
        let (reply, answer) = mpsc::sync_channel(1);
        self.requests.send(Request { program: program.clone(), reply }).map_err(|_gone| ended())?;
        let watched = answer.recv().map_err(|_gone| ended())?.map_err(|source| LaunchError::Start {
            name: program.name.clone(),
            executable: program.executable.clone(),
            source,
        })?;
        Ok(Process::new(program.name.clone(), program.log_file.clone(), watched, self.clone()))
    }
}

/// Forks, on the launcher's thread.
fn start(program: &ProcessSpec) -> io::Result<ChildState> {
    let mut command = program.command()?;
    die_with_parent(&mut command);
    ChildState::new(command.spawn()?)
}

/// Asks the kernel to kill the child when the forking thread ends.
#[expect(unsafe_code, reason = "the parent-death signal can only be set between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let in_child = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above; the signal would then never be sent.
        if getppid() == parent { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two system calls, prctl
    // and getppid; it allocates nothing, takes no lock and touches no memory but its own captured integer.
    unsafe {
        command.pre_exec(in_child);
    }
}
