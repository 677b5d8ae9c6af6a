//! The checks. Each examines the facts and returns: right, a finding, not applicable to this version, or unknown.

mod job;
mod scheduling;
mod watching;

use crate::{Check, Configuration, Facts, Finding, Harm, JobFacts, Report, Unchecked, Version};

/// What to do for a changed configuration line to take effect.
const RESTART: &str = "restart the cluster";
const RESTART_AND_SUBMIT: &str = "restart the cluster and resubmit the job";
const SUBMIT: &str = "resubmit the job";

/// Result of one check.
enum Answer {
    /// Nothing to change.
    Right,
    /// This version has no such setting.
    NotApplicable,
    /// A required fact is unknown.
    Unknown(&'static str),
    /// Something to change.
    Wrong(Wrong),
}

/// A finding without the name of its check.
struct Wrong {
    harm: Harm,
    found: String,
    cost: String,
    change: Vec<String>,
    then: &'static str,
}

/// Input of a check.
struct CheckInput<'a> {
    facts: &'a Facts,
    version: Option<Version>,
}

type Rule = fn(&CheckInput<'_>) -> Answer;

const RULES: [(Check, Rule); 16] = [
    (Check::Version, scheduling::version),
    (Check::Scheduler, scheduling::scheduler),
    (Check::ReactiveMode, scheduling::reactive_mode),
    (Check::Slots, job::slots),
    (Check::MaximumParallelism, job::maximum_parallelism),
    (Check::Checkpointing, job::checkpointing),
    (Check::CheckpointStorage, job::checkpoint_storage),
    (Check::RestartStrategy, job::restart_strategy),
    (Check::LowerBounds, job::lower_bounds),
    (Check::IgnoredKeys, scheduling::ignored_keys),
    (Check::Interval, scheduling::interval),
    (Check::Stabilization, scheduling::stabilization),
    (Check::MinimumIncrease, scheduling::minimum_increase),
    (Check::CheckpointInterval, job::checkpoint_interval),
    (Check::MetricsRefresh, watching::metrics_refresh),
    (Check::RescaleHistory, watching::rescale_history),
];

/// Runs every check.
pub(crate) fn all(facts: &Facts) -> Report {
    let seen = CheckInput { facts, version: facts.version() };
    let mut report = Report::default();
    for (check, rule) in RULES {
        match rule(&seen) {
            Answer::Right => report.checks += 1,
            Answer::NotApplicable => {}
            Answer::Unknown(because) => {
                report.unchecked.push(Unchecked { check, because: because.to_owned() });
            }
            Answer::Wrong(Wrong { harm, found, cost, change, then }) => {
                report.checks += 1;
                report.findings.push(Finding { check, harm, found, cost, change, then: then.to_owned() });
            }
        }
    }
    report.findings.sort_by_key(|finding| (finding.harm, finding.check));
    report
}

impl CheckInput<'_> {
    /// Returns the configuration, or why it is unknown.
    fn configuration(&self) -> Result<&Configuration, Answer> {
        let hidden = "Flink does not show its configuration";
        self.facts.configuration.as_ref().ok_or(Answer::Unknown(hidden))
    }

    fn job(&self) -> Result<&JobFacts, Answer> {
        self.facts.job.as_ref().ok_or(Answer::Unknown("no job runs"))
    }

    fn known_version(&self) -> Result<Version, Answer> {
        self.version.ok_or(Answer::Unknown("Flink does not show its version"))
    }
}

/// Runs a check that returns early with `?`.
fn answer(check: impl FnOnce() -> Result<Answer, Answer>) -> Answer {
    check().unwrap_or_else(|early| early)
}
