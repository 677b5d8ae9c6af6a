//! Findings, and the text in which people read them.

use std::fmt;

use serde::Serialize;

/// What is checked, in the order in which findings of the same harm are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Whether this Flink can change the parallelism of a running job at all.
    Version,
    /// `jobmanager.scheduler`.
    Scheduler,
    /// `scheduler-mode`.
    ReactiveMode,
    /// Free slots.
    Slots,
    /// How wide operators can become.
    MaximumParallelism,
    /// Whether there are checkpoints.
    Checkpointing,
    /// Where checkpoints are kept.
    CheckpointStorage,
    /// Whether a failed job is started again.
    RestartStrategy,
    /// With how many subtasks operators must start.
    LowerBounds,
    /// Keys that this Flink does not know, and ignores.
    IgnoredKeys,
    /// The shortest time between two changes.
    Interval,
    /// How long a change waits for missing slots.
    Stabilization,
    /// How small a change may be.
    MinimumIncrease,
    /// Time between two checkpoints.
    CheckpointInterval,
    /// How often the JobManager collects metrics.
    MetricsRefresh,
    /// Whether Flink remembers rescales.
    RescaleHistory,
}

/// What a finding does, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Nothing can be scaled, or not this way.
    Prevents,
    /// State, or the job, can be lost.
    Loses,
    /// Changes take longer.
    Slows,
    /// Figures are late, or missing.
    Blinds,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prevents => "prevents scaling",
            Self::Loses => "loses state or the job",
            Self::Slows => "slows changes down",
            Self::Blinds => "makes figures late or missing",
        })
    }
}

/// Something that should be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it.
    pub check: Check,
    /// What it does.
    pub harm: Harm,
    /// What was found.
    pub found: String,
    /// What it costs to leave it.
    pub cost: String,
    /// The lines to change, in Flink's configuration unless `then` says otherwise.
    pub change: Vec<String>,
    /// What must be done for the lines to take effect.
    pub then: String,
}

/// A check that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// Which one.
    pub check: Check,
    /// What is not known.
    pub because: String,
}

/// All findings, the most harmful first, and what could not be checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// What was not checked.
    pub unchecked: Vec<Unchecked>,
    /// How many checks were made.
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
            write!(f, "\n   if left:  {}", finding.cost)?;
            for (index, line) in finding.change.iter().enumerate() {
                write!(f, "\n   {}  {line}", if index == 0 { "change: " } else { "        " })?;
            }
            write!(f, "\n   then:     {}", finding.then)?;
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
