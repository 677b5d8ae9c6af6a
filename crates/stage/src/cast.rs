//! The programs on a stage, watched and ended together.

use std::time::Duration;

use anyhow::bail;
use testbed::process::Process;

/// How long a program may take to end when it is asked to.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// So many lines of the log of a program that has ended are shown.
const TAIL_LINES: usize = 15;

/// The programs of a play, in the order in which they end.
#[derive(Debug, Default)]
pub struct Cast(Vec<Process>);

impl Cast {
    /// A program that ends before all others.
    pub fn insert_first(&mut self, process: Process) {
        self.0.insert(0, process);
    }

    /// A program that ends after all others.
    pub fn push(&mut self, process: Process) {
        self.0.push(process);
    }

    /// Looks whether all programs still run.
    ///
    /// # Errors
    /// The first program that has ended though it should not have, with the end of its log.
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
