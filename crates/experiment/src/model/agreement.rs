//! How well the model reproduces a recorded run: each figure of both, and what difference is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use terminal::Grid;

use super::decisions::{PolicyChanges, RequestedChange};
use super::figures::Figures;

/// Allowed relative difference of backlog peak and drain time …
const BACKLOG_PART: f64 = 0.2;
/// … and, as rows are a second apart, that of the load of so many seconds, and of the drain time in seconds.
const PEAK_LEAST_S: f64 = 1.0;
const DRAIN_LEAST_S: f64 = 2.0;
/// Allowed difference of violation seconds: this part, at least so many seconds.
const VIOLATION_PART: f64 = 0.15;
const VIOLATION_LEAST_S: f64 = 3.0;
/// Allowed difference of the median latency at rest, in milliseconds.
const LATENCY_MS: f64 = 100.0;
/// Allowed difference of an operator's mean busy time.
const BUSY: f64 = 0.05;

/// One figure of a run, recorded and simulated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Compared {
    /// Name with its unit.
    pub(crate) figure: String,
    /// As recorded; absent: unknown.
    pub(crate) recorded: Option<f64>,
    /// As simulated, the median over the seeds.
    pub(crate) simulated: Option<f64>,
    /// The largest difference that counts as agreement.
    pub(crate) allowed: f64,
    /// Whether they agree; absent if the recorded value is unknown.
    pub(crate) agrees: Option<bool>,
}

/// The comparison of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Agreement {
    /// Experiment, variant and repetition.
    pub(crate) run: String,
    /// Its folder.
    pub(crate) folder: String,
    /// Whether the run itself was valid.
    pub(crate) is_valid: bool,
    /// Every figure.
    pub(crate) figures: Vec<Compared>,
    /// The policy's changes, if a built-in policy scaled the job.
    pub(crate) policy: Option<PolicyChanges>,
    /// Whether everything that is known agrees.
    pub(crate) agrees: bool,
}

impl Compared {
    fn new(figure: &str, recorded: Option<f64>, simulated: Option<f64>, allowed: f64) -> Self {
        let differs = |recorded: f64| simulated.is_none_or(|found| (found - recorded).abs() > allowed + 1e-9);
        let agrees = recorded.map(|recorded| !differs(recorded));
        Self { figure: figure.to_owned(), recorded, simulated, allowed, agrees }
    }

    fn cells(&self) -> [String; 4] {
        let verdict = match self.agrees {
            Some(true) => "agrees",
            Some(false) => "DIFFERS",
            None => "unknown",
        };
        [number(self.recorded), number(self.simulated), number(Some(self.allowed)), verdict.to_owned()]
    }
}

/// Compares the figures of a run.
pub(crate) fn compare(recorded: &Figures, simulated: &Figures) -> Vec<Compared> {
    let part = |value: Option<f64>, part: f64, least: f64| (part * value.unwrap_or(0.0)).max(least);
    let peak = part(recorded.backlog_peak, BACKLOG_PART, PEAK_LEAST_S * recorded.arrivals_per_s);
    let drain = part(recorded.drain_s, BACKLOG_PART, DRAIN_LEAST_S);
    let violation = part(recorded.violation_s, VIOLATION_PART, VIOLATION_LEAST_S);
    let (rest, model_rest) = (recorded.latency_at_rest_ms, simulated.latency_at_rest_ms);
    let mut all = vec![
        Compared::new("backlog peak, records", recorded.backlog_peak, simulated.backlog_peak, peak),
        Compared::new("drain time, s", recorded.drain_s, simulated.drain_s, drain),
        Compared::new("violations, s", recorded.violation_s, simulated.violation_s, violation),
        Compared::new("median latency at rest, ms", rest, model_rest, LATENCY_MS),
    ];
    let names: BTreeSet<&String> = recorded.busy.keys().chain(simulated.busy.keys()).collect();
    let busy = |of: &BTreeMap<String, f64>, name: &String| of.get(name).copied();
    all.extend(names.into_iter().map(|name| {
        let figure = format!("busy, {name}");
        Compared::new(&figure, busy(&recorded.busy, name), busy(&simulated.busy, name), BUSY)
    }));
    all
}

impl Agreement {
    /// Whether everything that is known agrees.
    pub(crate) fn of(figures: &[Compared], policy: Option<&PolicyChanges>) -> bool {
        figures.iter().all(|compared| compared.agrees != Some(false))
            && policy.is_none_or(PolicyChanges::agree)
    }
}

/// Formats the comparisons for people: a table per run, and a line with the number of runs that agree.
pub(crate) fn text(all: &[Agreement]) -> String {
    let mut text = String::new();
    for agreement in all {
        let mark = if agreement.is_valid { "" } else { " (the run was not valid)" };
        let mut table = Grid::new(["figure", "recorded", "model", "allowed difference", ""]);
        for compared in &agreement.figures {
            table.row([compared.figure.clone()].into_iter().chain(compared.cells()));
        }
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "{}{mark}\n{}", agreement.run, table.render(terminal::width()));
        if let Some(policy) = &agreement.policy {
            let _ = writeln!(text, "{}", of_policy(policy));
        }
        let verdict = if agreement.agrees {
            "the model agrees with this run"
        } else {
            "the model DIFFERS from this run"
        };
        let _ = writeln!(text, "{verdict}\n");
    }
    let agreeing = all.iter().filter(|agreement| agreement.agrees).count();
    let _ = write!(text, "the model agrees with {agreeing} of {} runs", all.len());
    text
}

fn of_policy(policy: &PolicyChanges) -> String {
    let list = |changes: &[RequestedChange]| {
        let all: Vec<String> = changes.iter().map(change).collect();
        if all.is_empty() { "none".to_owned() } else { all.join("; ") }
    };
    format!(
        "changes by {} (epochs of {} s): recorded {}; in the model {}; with {} of {} seeds they agree",
        policy.policy,
        policy.epoch_s,
        list(&policy.recorded),
        list(&policy.simulated),
        policy.seeds_in_agreement,
        policy.seeds
    )
}

fn change(change: &RequestedChange) -> String {
    let widths: Vec<String> =
        change.widths.iter().map(|(name, (before, after))| format!("{name} {before} → {after}")).collect();
    format!("{:.0} s {}", change.at_s, widths.join(", "))
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}
