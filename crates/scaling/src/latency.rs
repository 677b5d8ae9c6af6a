//! Policy `latency`: widens the slowest operators after some epochs with a slow query.
//!
//! The policy has two parts. The *trigger* counts epochs in which a query's latency reached the bound ([`Memory`]); the
//! *plan* ([`plan`]) picks the slowest operators and computes their new parallelism from one snapshot alone:
//!
//! ```text
//! continuous            ceil(input rate ÷ (throughput ÷ p));  throughput 0: p + 2
//! window, join, cogroup p + 2  (join and co-group also raise the job's default parallelism)
//! all-window            1
//! ```
//!
//! and whether the cluster should grow, see [`crate::cluster`].
//!
//! Deliberately absent: scaling down, and any model of windows better than + 2. This policy is the baseline of comparisons, and stays as it
//! was first published.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Action, Decision, Kind, Operator, OperatorReport, Policy, Snapshot, Traits, cluster};

/// The policy's name in configuration and records.
pub const NAME: &str = "latency";

/// How much a window, a join, a co-group or a stuck operator is widened.
const STEP: u32 = 2;

/// The options of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// A query at or above this mean latency violates the bound, in milliseconds.
    pub latency_max_ms: f64,
    /// The count of a query that makes the policy act.
    pub violations_needed: u32,
    /// How many operators are looked at, slowest first.
    pub operators_to_scale: usize,
    /// No operator gets more than this.
    pub parallelism_max: u32,
    /// Epochs without a decision after an action.
    pub wait_epochs: u32,
    /// Bandwidth at which state travels, in bytes per second.
    pub network_bytes_per_s: f64,
    /// The longest estimated downtime that a moderate load justifies, in seconds.
    pub downtime_max_s: f64,
    /// The share of the largest heap that may be filled.
    pub heap_fraction: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            latency_max_ms: 1000.0,
            violations_needed: 3,
            operators_to_scale: 3,
            parallelism_max: 128,
            wait_epochs: 6,
            network_bytes_per_s: 125_000_000.0,
            downtime_max_s: 180.0,
            heap_fraction: 0.766,
        }
    }
}

impl Options {
    /// What the cluster's figures are measured against.
    pub fn thresholds(&self) -> cluster::Thresholds {
        let Self { network_bytes_per_s, downtime_max_s, heap_fraction, .. } = *self;
        cluster::Thresholds { network_bytes_per_s, downtime_max_s, heap_fraction }
    }

    /// Every option that is out of its range, as `(option, what would be right)`.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        [
            (positive(self.latency_max_ms), "latency_max_ms", "give a number above 0"),
            (self.violations_needed >= 1, "violations_needed", "give a number from 1 on"),
            (self.operators_to_scale >= 1, "operators_to_scale", "give a number from 1 on"),
            (
                (1..=32_768).contains(&self.parallelism_max),
                "parallelism_max",
                "give a number from 1 to 32768",
            ),
            (positive(self.network_bytes_per_s), "network_bytes_per_s", "give a number above 0"),
            (positive(self.downtime_max_s), "downtime_max_s", "give a number above 0"),
            (
                positive(self.heap_fraction) && self.heap_fraction <= 1.0,
                "heap_fraction",
                "give a number above 0 and at most 1",
            ),
        ]
        .into_iter()
        .filter(|(right, ..)| !right)
        .map(|(_, option, remedy)| (option, remedy))
        .collect()
    }
}

/// The count of one query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Count {
    violations: u32,
    latency_ms: f64,
}

/// What the policy remembers from epoch to epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    counts: BTreeMap<String, Count>,
    /// Epochs that are still to be waited after an action.
    wait_epochs_left: u32,
    /// The newest epoch was such a wait.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    waited: bool,
    /// The trigger was met in the newest epoch and the plan changes nothing: the counts end with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_spent: bool,
    /// The slowest query of the newest epoch, for the sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    worst: Option<Worst>,
}

/// The slowest query of the newest epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Worst {
    query: String,
    latency_ms: f64,
}

impl Memory {
    /// Ends counts whose plan changed nothing. A plan that was not published is triggered again by one more violation.
    fn begin_epoch(&mut self, options: &Options) {
        if std::mem::take(&mut self.is_spent) {
            self.counts.clear();
        }
        for count in self.counts.values_mut() {
            count.violations = count.violations.min(options.violations_needed.saturating_sub(1));
        }
        self.counts.retain(|_, count| count.violations > 0);
    }

    /// Counts one epoch's violations. A query whose latency is unknown keeps its count: unknown is neither good nor bad.
    fn count(&mut self, options: &Options, snapshot: &Snapshot) {
        self.worst = None;
        for query in &snapshot.queries {
            let Some(latency_ms) = query.overall_latency_ms else { continue };
            if self.worst.as_ref().is_none_or(|worst| worst.latency_ms < latency_ms) {
                self.worst = Some(Worst { query: query.name.clone(), latency_ms });
            }
            let violates = latency_ms >= options.latency_max_ms;
            let violations = match self.counts.get(&query.name) {
                None => u32::from(violates),
                Some(count) if violates && latency_ms > count.latency_ms => count.violations + 1,
                Some(count) => count.violations.saturating_sub(1),
            };
            if violations == 0 {
                self.counts.remove(&query.name);
            } else {
                self.counts.insert(query.name.clone(), Count { violations, latency_ms });
            }
        }
    }

    fn is_triggered(&self, options: &Options) -> bool {
        self.counts.values().any(|count| count.violations >= options.violations_needed)
    }

    fn describe(&self, options: &Options) -> String {
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|(query, count)| {
                format!(
                    "{query} at {:.0} ms counts {} of {}",
                    count.latency_ms, count.violations, options.violations_needed
                )
            })
            .collect();
        match &self.worst {
            _ if !counts.is_empty() => counts.join(", "),
            Some(worst) if worst.latency_ms >= options.latency_max_ms => format!(
                "{} is at {:.0} ms, above {} ms, but not rising, and only rising latency counts",
                worst.query, worst.latency_ms, options.latency_max_ms
            ),
            Some(_) => format!("no query is at or above {} ms", options.latency_max_ms),
            None => "the latency of no query is known".to_owned(),
        }
    }
}

/// The policy with its options.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latency(pub Options);

impl Policy for Latency {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits { may_narrow: false, keeps_forward: false, reports_cluster: true }
    }

    fn observe(&self, memory: &mut crate::Memory, snapshot: &Snapshot, _now_ms: i64) {
        let memory = &mut memory.latency;
        memory.begin_epoch(&self.0);
        memory.waited = memory.wait_epochs_left > 0;
        if memory.waited {
            memory.wait_epochs_left -= 1;
            return;
        }
        memory.count(&self.0, snapshot);
        memory.is_spent = memory.is_triggered(&self.0) && plan(&self.0, snapshot).action == Action::None;
    }

    fn decide(&self, memory: &crate::Memory, snapshot: &Snapshot, _now_ms: i64) -> Decision {
        let memory = &memory.latency;
        if memory.waited {
            let left = memory.wait_epochs_left + 1;
            return Decision::nothing(NAME, format!("waiting after an action: {left} epochs left"));
        }
        if !memory.is_triggered(&self.0) {
            return Decision::nothing(NAME, memory.describe(&self.0));
        }
        let mut decision = plan(&self.0, snapshot);
        decision.reasons.insert(0, memory.describe(&self.0));
        decision
    }

    fn plan(&self, snapshot: &Snapshot) -> Decision {
        plan(&self.0, snapshot)
    }

    fn is_waiting(&self, memory: &crate::Memory, _snapshot: &Snapshot, _now_ms: i64) -> bool {
        memory.latency.waited
    }

    fn published(&self, memory: &mut crate::Memory, _decision: &Decision, _now_ms: i64) {
        memory.latency = Memory { wait_epochs_left: self.0.wait_epochs, ..Memory::default() };
    }
}

/// The plan for a snapshot whose trigger has been met.
pub fn plan(options: &Options, snapshot: &Snapshot) -> Decision {
    let mut decision =
        Decision::nothing(NAME, "the slowest operators already have the parallelism that the formulae give");
    for (rank, operator) in by_latency(snapshot).into_iter().enumerate() {
        let chosen = rank < options.operators_to_scale;
        let (new, because) = if chosen {
            new_parallelism(options, &snapshot.job, operator)
        } else {
            (None, format!("not among the {} slowest", options.operators_to_scale))
        };
        if let Some(new) = new.filter(|new| *new != operator.parallelism) {
            decision.parallelism.insert(operator.name.clone(), new);
            if matches!(operator.kind, Kind::Join | Kind::CoGroup) {
                decision.default_parallelism = decision.default_parallelism.max(Some(new));
            }
        }
        decision.operators.push(report(operator, new, because));
    }
    for operator in snapshot.operators.iter().filter(|operator| !is_candidate(operator)) {
        let because = if operator.kind == Kind::AllWindow {
            "an all-window operator always has parallelism 1".to_owned()
        } else {
            "its latency is unknown".to_owned()
        };
        decision.operators.push(report(operator, None, because));
    }
    if !decision.parallelism.is_empty() {
        decision.action = Action::Rescale;
        decision.reasons = decision
            .operators
            .iter()
            .filter(|operator| decision.parallelism.contains_key(&operator.name))
            .map(|operator| format!("{}: {}", operator.name, operator.because))
            .collect();
    }
    decision.cluster = cluster::report(&options.thresholds(), snapshot);
    decision
}

fn is_candidate(operator: &Operator) -> bool {
    operator.kind != Kind::AllWindow && operator.latency_ms.is_some()
}

/// The operators whose latency is known, slowest first; equal ones by name, so that the order never depends on the input's.
fn by_latency(snapshot: &Snapshot) -> Vec<&Operator> {
    let mut candidates: Vec<&Operator> =
        snapshot.operators.iter().filter(|operator| is_candidate(operator)).collect();
    candidates.sort_by(|a, b| {
        let (slower, faster) = (b.latency_ms.unwrap_or(0.0), a.latency_ms.unwrap_or(0.0));
        slower.total_cmp(&faster).then_with(|| a.name.cmp(&b.name))
    });
    candidates
}

fn report(operator: &Operator, new_parallelism: Option<u32>, because: String) -> OperatorReport {
    OperatorReport {
        name: operator.name.clone(),
        kind: operator.kind,
        latency_ms: operator.latency_ms,
        parallelism: operator.parallelism,
        new_parallelism,
        because,
        figures: figures(operator),
    }
}

/// What the formula of a chosen operator rests on.
fn figures(operator: &Operator) -> BTreeMap<String, f64> {
    let known = [
        ("latency_ms", operator.latency_ms),
        ("throughput_per_s", operator.throughput_per_s),
        ("input_rate_per_s", operator.input_rate_per_s),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The new parallelism of one chosen operator, and the formula with its figures.
fn new_parallelism(options: &Options, job: &crate::Job, operator: &Operator) -> (Option<u32>, String) {
    let own = operator.max_parallelism.unwrap_or(u32::MAX);
    let max = options.parallelism_max.min(job.max_parallelism).min(own).max(1);
    let p = operator.parallelism;
    let (wanted, formula) = match operator.kind {
        Kind::AllWindow => (1, "an all-window operator always has parallelism 1".to_owned()),
        Kind::Window | Kind::Join | Kind::CoGroup => (p.saturating_add(STEP), format!("{p} + {STEP}")),
        Kind::Continuous | Kind::Source | Kind::Sink => match continuous(operator) {
            Some(result) => result,
            None => return (None, "its throughput or its input rate is unknown".to_owned()),
        },
    };
    let new = wanted.clamp(1, max);
    let bound = if new == wanted { String::new() } else { format!(", bounded to {new}") };
    (Some(new), format!("{formula} = {wanted}{bound}"))
}

fn continuous(operator: &Operator) -> Option<(u32, String)> {
    let p = operator.parallelism;
    let throughput = operator.throughput_per_s?;
    if throughput <= 0.0 {
        return Some((p.saturating_add(STEP), format!("throughput 0: {p} + {STEP}")));
    }
    let input = operator.input_rate_per_s?;
    let wanted = (input / (throughput / f64::from(p))).ceil();
    let formula = format!("ceil({input:.1}/s ÷ ({throughput:.1}/s ÷ {p}))");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of u32 first"
    )]
    Some((wanted.clamp(0.0, f64::from(u32::MAX)) as u32, formula))
}
