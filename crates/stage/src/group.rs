//! Programs that run together: watched together and ended in order.

use std::time::Duration;

use anyhow::bail;
use testbed::process::Process;

/// How long a program may take to end when it is asked to; then it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of an ended program's log that an error message carries.
const TAIL_LINES: usize = 15;

/// Running programs, in the order in which they are ended.
#[derive(Debug, Default)]
pub struct ProcessGroup(Vec<Process>);

impl ProcessGroup {
    /// Adds a program that ends before all others.
    pub fn insert_first(&mut self, process: Process) {
        self.0.insert(0, process);
    }

    /// Adds a program that ends after all others.
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
                    "{} has ended ({status}); its log {} ends with:\n{tail}",
                    process.name(),
                    process.log_file().display()
                );
            }
        }
        Ok(())
    }

    /// Ends all programs, one after the other.
    pub async fn stop(self) {
        for process in self.0 {
            process.stop(STOP_DEADLINE).await;
        }
    }
}
