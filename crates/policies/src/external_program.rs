//! Runs the program of policy `external` with the snapshot on standard input, and reads its plan from standard output.
//!
//! Time, output and error output are bounded. A failure of any kind means no plan, and is reported in one sentence.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use scaling::Snapshot;
use scaling::external::Answer;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// Length limit of standard error in the message.
const COMPLAINT_MAX_BYTES: u64 = 4096;
/// Time for output to arrive after a program has exited; a process that it has left running may hold the pipe open for good.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// `[policy.external]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExternalProgram {
    /// The program and its arguments, without a shell.
    pub command: Vec<String>,
    /// Timeout of one run, in milliseconds.
    pub timeout_ms: u64,
    /// Size limit of the output, in bytes.
    pub max_answer_bytes: u64,
}

impl Default for ExternalProgram {
    fn default() -> Self {
        Self { command: Vec::new(), timeout_ms: 10_000, max_answer_bytes: 1 << 20 }
    }
}

impl ExternalProgram {
    /// Returns every value out of range, as `key: valid values`.
    pub(crate) fn problems(&self, is_used: bool) -> Vec<String> {
        let checks = [
            (
                !is_used || !self.command.is_empty(),
                "command: name the program that decides, for example [\"python3\", \"plan.py\"]",
            ),
            (self.timeout_ms > 0, "timeout_ms: give a number above 0"),
            (self.max_answer_bytes > 0, "max_answer_bytes: give a number above 0"),
        ];
        checks
            .iter()
            .filter(|(right, _)| !right)
            .map(|(_, problem)| format!("policy.external.{problem}"))
            .collect()
    }

    /// Asks the program for a plan.
    ///
    /// # Errors
    /// In one sentence: it cannot be started, timed out, failed, or printed no valid plan.
    pub async fn ask(&self, snapshot: &Snapshot) -> Result<Answer, String> {
        let input =
            serde_json::to_vec(snapshot).map_err(|e| format!("cannot serialise the snapshot: {e}"))?;
        let limit = Duration::from_millis(self.timeout_ms);
        match tokio::time::timeout(limit, self.run(input)).await {
            Ok(answer) => answer,
            // Dropping the run kills the program.
            Err(_) => Err(format!("no answer within {} ms", self.timeout_ms)),
        }
    }

    /// Runs the program with this input, and ignores its output.
    ///
    /// # Errors
    /// In one sentence: it cannot be started, timed out, or failed.
    pub async fn give(&self, input: Vec<u8>) -> Result<(), String> {
        let limit = Duration::from_millis(self.timeout_ms);
        match tokio::time::timeout(limit, self.run_with_input(input)).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(format!("it did not exit within {} ms", self.timeout_ms)),
        }
    }

    /// Returns the program without its arguments.
    pub fn name(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    async fn run(&self, input: Vec<u8>) -> Result<Answer, String> {
        let answer = self.run_with_input(input).await?;
        serde_json::from_slice(&answer).map_err(|e| format!("its answer is not a plan: {e}"))
    }

    /// Returns the output of the program for this input.
    async fn run_with_input(&self, input: Vec<u8>) -> Result<Vec<u8>, String> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err("policy.external.command is empty".to_owned());
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {program}: {e}"))?;
        // Declared after the child, so it is dropped before it: until then the leader's id cannot be that of another process.
        let mut group = ProcessGroup(child.id());
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("cannot open pipes to {program}"));
        };
        let write = async move {
            // A program may respond without reading all of its input.
            let _unread = stdin.write_all(&input).await;
        };
        let read = read(stdout, self.max_answer_bytes + 1);
        let complaint = read_complaint(stderr);
        let mut exchange = std::pin::pin!(async { tokio::join!(write, read, complaint) });
        let ((), answer, complaint) = tokio::select! {
            ended = &mut exchange => ended,
            _exited = child.wait() => {
                let late = tokio::time::timeout(OUTPUT_GRACE, exchange).await;
                late.unwrap_or(((), Ok(Vec::new()), String::new()))
            }
        };
        let answer = answer.map_err(|e| format!("cannot read its answer: {e}"))?;
        if answer.len() as u64 > self.max_answer_bytes {
            return Err(format!("its answer is longer than {} bytes", self.max_answer_bytes));
        }
        let status = child.wait().await.map_err(|e| format!("cannot wait for it to exit: {e}"))?;
        group.release();
        if !status.success() {
            return Err(format!("it exited with {status}{complaint}"));
        }
        Ok(answer)
    }
}

/// The processes of a program that has not exited, by its process id; they are killed when this is dropped.
struct ProcessGroup(Option<u32>);

impl ProcessGroup {
    /// The program has exited: what it has left running runs on.
    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0.take().and_then(|leader| i32::try_from(leader).ok()) {
            // A group that has just ended is no error.
            let _ended = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

async fn read(pipe: impl tokio::io::AsyncRead + Unpin, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    pipe.take(limit).read_to_end(&mut content).await?;
    Ok(content)
}

/// Reads standard error to its end, so that the program never blocks, and returns its beginning for the end of a sentence.
async fn read_complaint(mut pipe: tokio::process::ChildStderr) -> String {
    let beginning = read(&mut pipe, COMPLAINT_MAX_BYTES).await.unwrap_or_default();
    let _bytes_or_error = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    let text = String::from_utf8_lossy(&beginning);
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("; standard error: {}", line.trim()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;
    use scaling::Policy as _;
    use scaling::external::External;
    use scaling::{Job, Kind, Operator, SCHEMA};

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/policies/double.py");

    fn snapshot() -> Snapshot {
        let operator = Operator {
            name: "map".to_owned(),
            kind: Kind::Continuous,
            parallelism: 2,
            busy_ratio: Some(0.95),
            throughput_per_s: Some(100.0),
            ..Operator::default()
        };
        Snapshot {
            schema: SCHEMA,
            job: Job { name: "job".to_owned(), parallelism: 1, max_parallelism: 128, ..Job::default() },
            operators: vec![operator],
            ..Snapshot::default()
        }
    }

    async fn ask(command: &[&str]) -> Result<Answer, String> {
        let command = command.iter().map(|part| (*part).to_owned()).collect();
        let program = ExternalProgram { command, timeout_ms: 20_000, max_answer_bytes: 1000 };
        program.ask(&snapshot()).await
    }

    /// Goal: the example program widens the busy operator, and its reasons arrive.
    #[tokio::test]
    async fn the_example_answers() {
        let answer = ask(&["python3", EXAMPLE]).await.unwrap();
        assert_eq!(answer.parallelism["map"], 4);
        assert_eq!(answer.reasons, ["map is busy 95 % of its time"]);
        let decision = External(Ok(answer)).plan(&snapshot());
        assert_eq!(decision.parallelism["map"], 4);
    }

    /// Goal: every way to fail is one sentence that says what was wrong.
    #[tokio::test]
    async fn failures_are_sentences() {
        for (command, expected) in [
            (&["./no-such-program"][..], "cannot start ./no-such-program"),
            (
                &["sh", "-c", "echo first >&2; echo no data >&2; exit 3"],
                "exit status: 3; standard error: no data",
            ),
            (&["echo", "hello"], "not a plan"),
            (&["echo", "{\"plan\": {}}"], "missing field `parallelism`"),
            (&["sh", "-c", "yes '{}' | head -n 10000"], "longer than 1000 bytes"),
        ] {
            let failure = ask(command).await.unwrap_err();
            assert!(failure.contains(expected), "{command:?}: {failure}");
        }
    }

    fn script(text: &str, timeout_ms: u64) -> ExternalProgram {
        let command = ["sh", "-c", text].map(str::to_owned).into();
        ExternalProgram { command, timeout_ms, max_answer_bytes: 1000 }
    }

    /// Goal: a program that never answers is ended with its descendants: the pipe that they hold is closed.
    #[tokio::test]
    async fn silence_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let mut reader =
            std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(&pipe).unwrap();
        let program = script(&format!("exec 3>{}; sleep 1000 & sleep 1000", pipe.display()), 500);
        let failure = program.ask(&snapshot()).await.unwrap_err();
        assert!(failure.contains("within 500 ms"), "{failure}");
        let failure = program.give(Vec::new()).await.unwrap_err();
        assert!(failure.contains("did not exit within 500 ms"), "{failure}");
        let closed = async {
            while reader.read(&mut [0]).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), closed).await.expect("something still holds the pipe");
    }

    /// Goal: a process that a program leaves running neither delays its end nor is killed.
    #[tokio::test]
    async fn what_is_left_running_runs_on() {
        let folder = tempfile::tempdir().unwrap();
        let (go, file) = (folder.path().join("go"), folder.path().join("later"));
        let waits = format!("while [ ! -e {} ]; do sleep 0.1; done", go.display());
        let program = script(&format!("({waits}; echo late >{}) & exit 0", file.display()), 60_000);
        program.give(Vec::new()).await.unwrap();
        std::fs::write(go, "").unwrap();
        let written = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), written).await.expect("it was killed");
    }
}
