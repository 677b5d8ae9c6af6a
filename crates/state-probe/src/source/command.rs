//! Source `command`: runs any command with the output of `du`, in its own process group.
//!
//! The exit code is checked first: `hdfs dfs -du` prints the rows of existing paths and then fails because of the
//! others. No shell is involved. Standard error is kept, truncated, for the message; a Hadoop client always writes
//! some.
//!
//! A frozen NameNode keeps `hdfs dfs` waiting for two minutes, and the `hdfs` script has a JVM below it: at the
//! timeout the whole group is killed. A descendant with its own group escapes; nothing waits for it.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::time::timeout;

use crate::du::{self, DuError};
use crate::sample::SampleValues;

/// Size limit of the output, in bytes: about ten thousand rows.
const OUTPUT_BYTES: usize = 1 << 20;
/// Number of bytes kept of the end of standard error.
const COMPLAINT_BYTES: usize = 4096;
/// Number of characters of it in a message.
const COMPLAINT_CHARS: usize = 500;
/// Timeout of a kill. A killed process disappears within milliseconds, unless the kernel hangs.
const REAP_DEADLINE: Duration = Duration::from_secs(5);

/// Why a command gave no values.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot start {program:?}")]
    Start {
        /// Name of the program.
        program: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// Its output could not be read.
    #[error("cannot read the output of {program:?}")]
    Read {
        /// Name of the program.
        program: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// It exceeded its timeout, and has been killed with all its children.
    #[error("{program:?} did not exit within {deadline:?} and was killed{}", suffix(complaint))]
    Late {
        /// Name of the program.
        program: String,
        /// The timeout.
        deadline: Duration,
        /// Its standard error so far.
        complaint: String,
    },
    /// It exited with a failure.
    #[error("{program:?} failed ({status}){}", suffix(complaint))]
    Failed {
        /// Name of the program.
        program: String,
        /// Exit status.
        status: ExitStatus,
        /// Its standard error.
        complaint: String,
    },
    /// It printed more than any `du` would.
    #[error("{program:?} printed more than {OUTPUT_BYTES} bytes; name fewer paths, or use -s")]
    TooLong {
        /// Name of the program.
        program: String,
    },
    /// It succeeded, but its output is not that of `du`.
    #[error("{program:?} succeeded, but its output cannot be parsed")]
    Unreadable {
        /// Name of the program.
        program: String,
        /// The invalid line.
        #[source]
        source: DuError,
    },
}

/// A command with its timeout.
#[derive(Debug)]
pub(crate) struct Command {
    argv: Vec<String>,
    deadline: Duration,
}

/// Result of a command that ended by itself.
struct CommandOutput {
    status: ExitStatus,
    output: Vec<u8>,
    complaint: Vec<u8>,
}

impl Command {
    /// Creates a command; the first word is the program.
    pub(crate) fn new(argv: Vec<String>, deadline: Duration) -> Self {
        Self { argv, deadline }
    }

    pub(crate) async fn sample(&self) -> Result<SampleValues, CommandError> {
        self.parse_response(&self.run().await?)
    }

    fn program(&self) -> String {
        self.argv.first().cloned().unwrap_or_default()
    }

    async fn run(&self) -> Result<CommandOutput, CommandError> {
        let program = self.program();
        let mut command = tokio::process::Command::new(&program);
        command.args(self.argv.iter().skip(1)).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child =
            command.spawn().map_err(|source| CommandError::Start { program: program.clone(), source })?;
        let mut group = ProcessGroup { child: Some(child) };
        let mut complaint = VecDeque::new();
        match timeout(self.deadline, group.finish(&mut complaint)).await {
            Ok(Ok((status, output))) => Ok(CommandOutput { status, output, complaint: complaint.into() }),
            Ok(Err(source)) => {
                group.kill().await;
                Err(CommandError::Read { program, source })
            }
            Err(_late) => {
                group.kill().await;
                let complaint = last_words(complaint.make_contiguous());
                Err(CommandError::Late { program, deadline: self.deadline, complaint })
            }
        }
    }

    fn parse_response(&self, ended: &CommandOutput) -> Result<SampleValues, CommandError> {
        let program = self.program();
        if !ended.status.success() {
            let complaint = last_words(&ended.complaint);
            return Err(CommandError::Failed { program, status: ended.status, complaint });
        }
        if ended.output.len() > OUTPUT_BYTES {
            return Err(CommandError::TooLong { program });
        }
        let output = String::from_utf8_lossy(&ended.output);
        let total = du::total(&output).map_err(|source| CommandError::Unreadable { program, source })?;
        Ok(SampleValues {
            size_bytes: total.size_bytes,
            size_with_replicas_bytes: total.size_with_replicas_bytes,
            is_rounded: total.is_rounded,
            ..SampleValues::default()
        })
    }
}

/// A child that leads a process group; dropping it before its end kills the whole group.
struct ProcessGroup {
    child: Option<Child>,
}

impl ProcessGroup {
    /// Reads both streams to their end and reaps the child last, so that until then its id cannot be reused.
    async fn finish(&mut self, complaint: &mut VecDeque<u8>) -> io::Result<(ExitStatus, Vec<u8>)> {
        let Some(child) = &mut self.child else { return Err(io::ErrorKind::NotFound.into()) };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (output, ()) = tokio::try_join!(read_bounded(stdout), keep_end(stderr, complaint))?;
        let status = child.wait().await?;
        self.child = None;
        Ok((status, output))
    }

    async fn kill(&mut self) {
        self.signal();
        if let Some(mut child) = self.child.take() {
            // If the kernel delays its end, tokio reaps it later.
            let _reaped = timeout(REAP_DEADLINE, child.wait()).await;
        }
    }

    fn signal(&self) {
        // The id of an unreaped child, or absent.
        let id = self.child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // A group that has just ended by itself is not an error.
            let _gone = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal();
    }
}

/// Reads to the end and keeps one byte more than the limit, so that exceeding it can be detected.
async fn read_bounded(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let Some(mut stream) = stream else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    (&mut stream).take(OUTPUT_BYTES as u64 + 1).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(kept)
}

async fn keep_end(stream: Option<impl AsyncRead + Unpin>, end: &mut VecDeque<u8>) -> io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut chunk = [0; 1024];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        end.extend(&chunk[..count]);
        end.drain(..end.len().saturating_sub(COMPLAINT_BYTES));
    }
}

/// Returns the line of standard error with the reason: the last non-empty one. A Hadoop client's warnings precede it.
fn last_words(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(COMPLAINT_CHARS).collect();
    secrets::without_credentials(&line)
}

fn suffix(complaint: &str) -> String {
    if complaint.is_empty() { String::new() } else { format!(": {complaint}") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, deadline: Duration) -> Command {
        Command::new(["sh", "-c", script].map(str::to_owned).into(), deadline)
    }

    /// Goal: rows beside a failure are not values; the reason is the last line of standard error.
    #[tokio::test]
    async fn the_exit_code_comes_first() {
        let script = "echo 10 30 /x; echo WARN native >&2; echo 'du: `/y: No such file' >&2; exit 1";
        let error = shell(script, LONG).sample().await.unwrap_err();
        assert_eq!(error.to_string(), "\"sh\" failed (exit status: 1): du: `/y: No such file");
        let figures = shell("echo WARN native >&2; echo 10 30 /x", LONG).sample().await.unwrap();
        assert_eq!((figures.size_bytes, figures.size_with_replicas_bytes), (10, Some(30)));
        let error = shell("echo 10 30 /x; kill -9 $$", LONG).sample().await.unwrap_err();
        assert!(
            matches!(error, CommandError::Failed { status, .. } if status.signal() == Some(9)),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_started_or_read_is_told_apart() {
        let missing = Command::new(vec!["/nonexistent/hdfs".to_owned()], LONG).sample().await.unwrap_err();
        assert!(matches!(missing, CommandError::Start { .. }), "{missing}");
        for script in ["echo Zugriff verweigert", ":", "echo"] {
            let error = shell(script, LONG).sample().await.unwrap_err();
            assert!(matches!(error, CommandError::Unreadable { .. }), "{script}: {error}");
        }
        let error = shell("yes '5 /x' | head -c 2000000", LONG).sample().await.unwrap_err();
        assert!(matches!(error, CommandError::TooLong { .. }), "{error}");
    }

    /// Goal: at the timeout the command is killed with all descendants, even if they hold the pipes or the command
    /// itself has already ended.
    #[tokio::test]
    async fn a_hanging_command_is_killed_with_its_descendants() {
        let folder = tempfile::tempdir().unwrap();
        for script in
            ["sleep 1000 & echo $! > PIDS; wait", "(trap '' TERM; sleep 1000) & echo $! > PIDS; exit 0"]
        {
            let pids = folder.path().join("pids");
            let script = script.replace("PIDS", &pids.display().to_string());
            let begin = Instant::now();
            let error = shell(&format!("echo asking >&2; {script}"), Duration::from_secs(2)).sample().await;
            let error = error.unwrap_err();
            assert!(
                matches!(&error, CommandError::Late { complaint, .. } if complaint == "asking"),
                "{error}"
            );
            assert!(begin.elapsed() < LONG);
            let below = std::fs::read_to_string(pids).unwrap().trim().parse().unwrap();
            assert!(is_gone(below).await, "{below} outlives the deadline");
        }
    }

    /// Goal: an aborted sample (at shutdown) leaves no process behind.
    #[tokio::test]
    async fn a_dropped_look_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let command = shell(&format!("echo $$ > {}; sleep 1000", pids.display()), LONG);
        let result = async { command.sample().await.map(drop) };
        let started = async {
            while !std::fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n')) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = result => panic!("{ended:?}"),
            () = started => {}
        }
        let id = std::fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
        assert!(is_gone(id).await, "{id} outlives the measurement");
    }

    /// Whether a process ends within seconds; a zombie has ended.
    async fn is_gone(id: i32) -> bool {
        let gone = async {
            loop {
                let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
                if stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z')) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.is_ok()
    }

    #[test]
    fn complaints_are_one_bounded_line() {
        assert_eq!(last_words(b"WARN a\ndu: no\x1b[0m\n \n"), "du: no[0m");
        assert_eq!(last_words("ä".repeat(5000).as_bytes()).chars().count(), COMPLAINT_CHARS);
        assert_eq!(last_words(b""), "");
    }
}
