//! A group of child processes, monitored together and stopped in order.

use std::time::Duration;

use anyhow::bail;
use testbed::process::Process;

/// Timeout of a program's shutdown, after which it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Number of lines of an ended program's log in an error message.
const TAIL_LINES: usize = 15;

/// Running programs, in the order in which they are stopped.
#[derive(Debug, Default)]
pub struct ProcessGroup(Vec<Process>);

impl ProcessGroup {
    /// Adds a program to be stopped before all others.
    pub fn insert_first(&mut self, process: Process) {
        self.0.insert(0, process);
    }

    /// Adds a program to be stopped after all others.
    pub fn push(&mut self, process: Process) {
        self.0.push(process);
    }

    /// Checks that all programs still run.
    ///
    /// # Errors
    /// A program has ended; the message carries the end of its log.
    pub fn check(&self) -> anyhow::Result<()> {
        for process in &self.0 {
            if let Some(status) = process.status() {
                let tail = testbed::logs::tail(process.log_file(), TAIL_LINES);
                bail!(
                    "{} exited ({status}); the end of its log {}:\n{tail}",
                    process.name(),
                    process.log_file().display()
                );
            }
        }
        Ok(())
    }

    /// Stops all programs, one after the other.
    pub async fn stop(self) {
        for process in self.0 {
            process.stop(STOP_DEADLINE).await;
        }
    }
}
