//! Runs the commands that start and stop task managers.
//!
//! A command is a list of arguments, run without a shell and with a timeout; the beginning of its output is kept for
//! error messages. Commands must be idempotent. Whether a task manager came up is decided by Flink's list, not by the
//! command's result.

use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::machine::PoolNode;

/// How long a command's output is read after its end: a background process may hold it open forever.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// A node with its commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, and Flink's name of its task manager.
    pub node: PoolNode,
    /// Program and arguments that start its task manager.
    pub start: Vec<String>,
    /// Program and arguments that stop it.
    pub stop: Vec<String>,
}

/// The nodes that can be started and stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Nodes in start order.
    pub nodes: Vec<Node>,
    /// Timeout of each command.
    pub command_timeout: Duration,
    /// How much of a command's output is kept, in bytes.
    pub output_bytes: usize,
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The configuration has no such node.
    #[error("unknown node {0}")]
    Unknown(String),
    /// It could not be started.
    #[error("could not run {program}")]
    Start {
        /// The program.
        program: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// It exited with a failure.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// The program.
        program: String,
        /// Exit status.
        status: ExitStatus,
        /// Beginning of its output.
        output: String,
    },
    /// It exceeded its timeout and was killed.
    #[error("{program} did not exit within {within:?} and was killed: {output}")]
    Late {
        /// The program.
        program: String,
        /// Its timeout.
        within: Duration,
        /// Beginning of its output.
        output: String,
    },
}

impl Default for Pool {
    /// No nodes.
    fn default() -> Self {
        Self { nodes: Vec::new(), command_timeout: Duration::from_secs(60), output_bytes: 4_096 }
    }
}

impl Pool {
    pub(crate) async fn start(&self, node: &str) -> Result<(), CommandError> {
        self.run(&self.node(node)?.start).await
    }

    pub(crate) async fn stop(&self, node: &str) -> Result<(), CommandError> {
        self.run(&self.node(node)?.stop).await
    }

    fn node(&self, name: &str) -> Result<&Node, CommandError> {
        let node = self.nodes.iter().find(|node| node.node.name == name);
        node.ok_or_else(|| CommandError::Unknown(name.to_owned()))
    }

    async fn run(&self, command: &[String]) -> Result<(), CommandError> {
        let (program, arguments) = command.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let cannot = |source| CommandError::Start { program: program.to_owned(), source };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let mut group = Group(child.id());
        let output = Mutex::new(Vec::new());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let reading = async { tokio::join!(self.keep(out, &output), self.keep(err, &output)) };
        let mut reading = std::pin::pin!(reading);
        let deadline = tokio::time::sleep(self.command_timeout);
        let mut deadline = std::pin::pin!(deadline);
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break Some(status.map_err(cannot)?),
                _ = &mut reading, if !is_read => is_read = true,
                () = &mut deadline => break None,
            }
        };
        match status {
            // Background processes are what a start command is for: let them run.
            Some(_) => group.let_go(),
            None => group.kill(),
        }
        if !is_read {
            // Loses only output that came late.
            let _late = tokio::time::timeout(OUTPUT_GRACE, reading).await;
        }
        let output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let (program, output) = (program.to_owned(), one_line(&output));
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(CommandError::Failed { program, status, output }),
            None => Err(CommandError::Late { program, within: self.command_timeout, output }),
        }
    }

    /// Reads to the end of the stream and keeps the beginning.
    async fn keep(&self, stream: Option<impl AsyncRead + Unpin>, output: &Mutex<Vec<u8>>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = [0; 1_024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            let room = self.output_bytes.saturating_sub(output.len()).min(read);
            output.extend_from_slice(&buffer[..room]);
        }
    }
}

/// Process group of a running command; dropping it kills the group.
struct Group(Option<u32>);

impl Group {
    fn let_go(&mut self) {
        self.0 = None;
    }

    fn kill(&mut self) {
        // The leader is not reaped yet, so its process id cannot have been reused.
        if let Some(leader) = self.0.take().and_then(|leader| i32::try_from(leader).ok())
            && let Err(error) = killpg(Pid::from_raw(leader), Signal::SIGKILL)
        {
            tracing::debug!(leader, %error, "could not stop the processes of a command");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn one_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "no output".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    /// Timeout of commands that end, well above what they take, and one for those that do not end.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(300);

    fn pool(command: &[&str], command_timeout: Duration) -> Pool {
        let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
        let node = PoolNode { name: "a".to_owned(), task_manager: "a".to_owned() };
        let nodes = vec![Node { node, start: command.clone(), stop: command }];
        Pool { nodes, command_timeout, output_bytes: 20 }
    }

    /// Goal: each kind of command failure is distinguished, with the beginning of the output.
    #[tokio::test]
    async fn failures_are_told_apart() {
        assert!(pool(&["true"], LONG).start("a").await.is_ok());
        assert!(matches!(pool(&["true"], LONG).start("b").await, Err(CommandError::Unknown(_))));
        assert!(matches!(pool(&["/no/such/program"], LONG).stop("a").await, Err(CommandError::Start { .. })));
        let error = pool(&["ls", "/no/such/folder/anywhere"], LONG).start("a").await.unwrap_err().to_string();
        assert!(error.starts_with("ls failed (exit status: 2): ls: "), "{error}");
        assert!(error.len() < 60, "{error}");
        assert!(matches!(pool(&["sleep", "1000"], SHORT).start("a").await, Err(CommandError::Late { .. })));
    }

    /// Goal: a command that exceeds its timeout is killed with all its children: the pipe they hold is closed.
    #[tokio::test]
    async fn a_late_command_ends_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = format!("exec 3>{}; sleep 1000 & sleep 1000", pipe.display());
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let mut reader =
            std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(&pipe).unwrap();
        let error = pool(&["sh", "-c", &script], SHORT).start("a").await.unwrap_err();
        assert!(matches!(error, CommandError::Late { .. }), "{error}");
        let closed = async {
            while reader.read(&mut [0]).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, closed).await.expect("something still holds the pipe");
    }

    /// Goal: a background process that holds the output open does not delay the end of a command, and endless output
    /// does not fill the memory.
    #[tokio::test]
    async fn output_is_bounded() {
        assert!(pool(&["sh", "-c", "sleep 5 & exit 0"], LONG).start("a").await.is_ok());
        let error = pool(&["sh", "-c", "yes; exit 1"], SHORT).start("a").await.unwrap_err();
        assert!(matches!(&error, CommandError::Late { output, .. } if output.len() <= 20), "{error}");
    }
}
