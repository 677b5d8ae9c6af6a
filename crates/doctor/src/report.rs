//! Findings, and their text for people.

use std::fmt;

use serde::Serialize;

/// The checks, in the order of findings with equal harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Whether this Flink supports rescaling a running job.
    Version,
    /// `jobmanager.scheduler`.
    Scheduler,
    /// `scheduler-mode`.
    ReactiveMode,
    /// Free slots.
    Slots,
    /// Maximum parallelism of operators.
    MaximumParallelism,
    /// Whether checkpointing is enabled.
    Checkpointing,
    /// Where checkpoints are kept.
    CheckpointStorage,
    /// Whether a failed job is restarted.
    RestartStrategy,
    /// Smallest parallelism with which operators start.
    LowerBounds,
    /// Keys that this Flink version ignores.
    IgnoredKeys,
    /// The shortest time between two changes.
    Interval,
    /// How long a rescale waits for missing slots.
    Stabilization,
    /// Smallest change of parallelism.
    MinimumIncrease,
    /// Checkpoint interval.
    CheckpointInterval,
    /// Refresh interval of the JobManager's metrics.
    MetricsRefresh,
    /// Whether Flink keeps a rescale history.
    RescaleHistory,
}

/// Kind of harm, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Prevents scaling, or one way of it.
    Prevents,
    /// Risks the loss of state, or of the job.
    Loses,
    /// Slows changes down.
    Slows,
    /// Makes metrics late or unavailable.
    Blinds,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prevents => "prevents scaling",
            Self::Loses => "loses state or the job",
            Self::Slows => "slows changes",
            Self::Blinds => "delays or hides metrics",
        })
    }
}

/// A problem with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// Its harm.
    pub harm: Harm,
    /// The problem.
    pub found: String,
    /// Its cost if unchanged.
    pub cost: String,
    /// Lines to change, in Flink's configuration unless `then` says otherwise.
    pub change: Vec<String>,
    /// What to do for the lines to take effect.
    pub then: String,
}

/// A skipped check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// The check.
    pub check: Check,
    /// The missing fact.
    pub because: String,
}

/// All findings, the most harmful first, and the skipped checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// The skipped checks.
    pub unchecked: Vec<Unchecked>,
    /// Number of checks that were made.
    pub checks: usize,
}

/// As text for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.len() {
            0 => write!(f, "nothing to change ({} checks)", self.checks)?,
            1 => write!(f, "1 finding ({} checks)", self.checks)?,
            count => write!(f, "{count} findings, the most harmful first ({} checks)", self.checks)?,
        }
        for (number, finding) in self.findings.iter().enumerate() {
            write!(f, "\n\n{}. {}: {}", number + 1, finding.harm, finding.found)?;
            write!(f, "\n   impact:   {}", finding.cost)?;
            for (index, line) in finding.change.iter().enumerate() {
                write!(f, "\n   {}  {line}", if index == 0 { "change: " } else { "        " })?;
            }
            write!(f, "\n   apply:    {}", finding.then)?;
        }
        if !self.unchecked.is_empty() {
            write!(f, "\n\nnot checked:")?;
        }
        for Unchecked { check, because } in &self.unchecked {
            write!(f, "\n   {}: {because}", words(*check))?;
        }
        Ok(())
    }
}

fn words(check: Check) -> &'static str {
    match check {
        Check::Version => "version",
        Check::Scheduler => "scheduler",
        Check::ReactiveMode => "reactive mode",
        Check::Slots => "slots",
        Check::MaximumParallelism => "maximum parallelism",
        Check::Checkpointing => "checkpointing",
        Check::CheckpointStorage => "checkpoint storage",
        Check::RestartStrategy => "restart strategy",
        Check::LowerBounds => "lower bounds",
        Check::IgnoredKeys => "ignored keys",
        Check::Interval => "time between changes",
        Check::Stabilization => "waiting for slots",
        Check::MinimumIncrease => "minimum increase",
        Check::CheckpointInterval => "checkpoint interval",
        Check::MetricsRefresh => "metrics refresh",
        Check::RescaleHistory => "rescale history",
    }
}
