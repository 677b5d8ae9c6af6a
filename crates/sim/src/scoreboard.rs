//! The scoreboard: mean scores of every scenario under every policy, and their sums.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::contender::{Contender, OwnPolicyOptions};
use crate::run::run;
use crate::scenario::{Scenario, ScenarioError, ScenarioSet};
use crate::score::Score;

/// A group of scenarios with a common sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Policies may be tuned on these.
    Tuning,
    /// Policies are judged by these.
    HoldOut,
    /// An external system is sometimes too slow: these violations are unavoidable.
    ExternallyLimited,
    /// Scenarios from files.
    Own,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 4] = [Self::Tuning, Self::HoldOut, Self::ExternallyLimited, Self::Own];

    /// Returns the group of a scenario.
    pub fn from_scenario(scenario: &Scenario) -> Self {
        match scenario.set {
            _ if scenario.is_externally_limited => Self::ExternallyLimited,
            ScenarioSet::Tuning => Self::Tuning,
            ScenarioSet::HoldOut => Self::HoldOut,
            ScenarioSet::Own => Self::Own,
        }
    }

    /// Returns the title of its sum.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tuning => "sum, tuning",
            Self::HoldOut => "sum, hold-out",
            Self::ExternallyLimited => "sum, externally limited",
            Self::Own => "sum, own",
        }
    }
}

/// Returns the seeds of the scoreboard.
pub fn seeds(set: ScenarioSet) -> RangeInclusive<u64> {
    match set {
        ScenarioSet::HoldOut => 101..=110,
        ScenarioSet::Tuning | ScenarioSet::Own => 1..=10,
    }
}

/// Mean score of several runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Seconds in which a record was older than the latency bound.
    pub violation_s: f64,
    /// Slot-hours.
    pub slot_h: f64,
    /// Changes.
    pub changes: f64,
    /// Reversals of direction within 600 s.
    pub reversals: f64,
    /// Reversals without a significant change of the load.
    pub self_made: f64,
    /// Seconds from a step of the load until the parallelism permanently sustains it, over the runs in which it does.
    pub carried_after_s: Option<f64>,
    /// Seconds from a step until the last violation before the next.
    pub late_until_s: Option<f64>,
    /// Highest number of slots after a step, relative to the minimum that sustains the load.
    pub widest_over_needed: Option<f64>,
}

impl Mean {
    /// Computes the mean of these scores.
    pub fn new<'a>(scores: impl Iterator<Item = &'a Score> + Clone) -> Self {
        let mean = |figure: &dyn Fn(&Score) -> Option<f64>| {
            let known: Vec<f64> = scores.clone().filter_map(figure).collect();
            #[expect(clippy::cast_precision_loss, reason = "a few runs")]
            let count = known.len() as f64;
            (count > 0.0).then(|| known.iter().sum::<f64>() / count)
        };
        let always = |figure: &dyn Fn(&Score) -> f64| mean(&|score| Some(figure(score))).unwrap_or_default();
        Self {
            violation_s: always(&|score| f64::from(score.violation_s)),
            slot_h: always(&|score| score.slot_h),
            changes: always(&|score| f64::from(score.changes)),
            reversals: always(&|score| f64::from(score.reversals)),
            self_made: always(&|score| f64::from(score.self_made)),
            carried_after_s: mean(&|score| score.carried_after_s),
            late_until_s: mean(&|score| score.late_until_s),
            widest_over_needed: mean(&|score| score.widest_over_needed),
        }
    }
}

/// Score of a row's run with the first seed, by which a test reproduces every row at a tenth of the cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FirstRun {
    /// Seconds in which a record was older than the latency bound.
    pub violation_s: u32,
    /// Slot-hours.
    pub slot_h: f64,
    /// Changes.
    pub changes: u32,
}

impl From<&Score> for FirstRun {
    fn from(score: &Score) -> Self {
        Self { violation_s: score.violation_s, slot_h: score.slot_h, changes: score.changes }
    }
}

/// One row: a scenario under a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// The group of its sum.
    pub group: Group,
    /// The policy.
    pub policy: Contender,
    /// Number of runs.
    pub runs: usize,
    /// Mean score of the runs.
    #[serde(flatten)]
    pub mean: Mean,
    /// Score of the first run.
    #[serde(default)]
    pub first: FirstRun,
}

impl Row {
    /// Creates the row of these scores, in the order of their seeds.
    pub fn new(scenario: &Scenario, policy: Contender, scores: &[Score]) -> Self {
        Self {
            scenario: scenario.name.clone(),
            group: Group::from_scenario(scenario),
            policy,
            runs: scores.len(),
            mean: Mean::new(scores.iter()),
            first: scores.first().map(FirstRun::from).unwrap_or_default(),
        }
    }
}

/// Runs a scenario under a policy with the scoreboard's seeds.
///
/// # Errors
/// The scenario is invalid.
pub fn row(scenario: &Scenario, policy: Contender) -> Result<Row, ScenarioError> {
    let scores = seeds(scenario.set).map(|seed| score(scenario, policy, seed));
    Ok(Row::new(scenario, policy, &scores.collect::<Result<Vec<Score>, _>>()?))
}

/// Runs a scenario under a policy with the first of the scoreboard's seeds.
///
/// # Errors
/// The scenario is invalid.
pub fn first_run(scenario: &Scenario, policy: Contender) -> Result<FirstRun, ScenarioError> {
    Ok(FirstRun::from(&score(scenario, policy, *seeds(scenario.set).start())?))
}

fn score(scenario: &Scenario, policy: Contender, seed: u64) -> Result<Score, ScenarioError> {
    let trial = scenario.trial(seed)?;
    let run = run(&trial, policy.controller(&trial, &OwnPolicyOptions::default()).as_mut());
    Ok(Score::new(&trial, &run))
}

/// Sums over scenarios.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// Seconds in which a record was older than the latency bound.
    pub violation_s: f64,
    /// Slot-hours.
    pub slot_h: f64,
    /// Changes.
    pub changes: f64,
    /// Reversals of direction within 600 s.
    pub reversals: f64,
}

impl Sum {
    /// Sums the rows of a policy in a group.
    pub fn new(rows: &[Row], policy: Contender, group: Group) -> Self {
        let mut sum = Self::default();
        rows.iter()
            .filter(|row| row.policy == policy && row.group == group)
            .for_each(|row| sum.add(&row.mean));
        sum
    }

    /// Adds a mean.
    pub fn add(&mut self, mean: &Mean) {
        self.violation_s += mean.violation_s;
        self.slot_h += mean.slot_h;
        self.changes += mean.changes;
        self.reversals += mean.reversals;
    }
}

impl From<&Mean> for Sum {
    fn from(mean: &Mean) -> Self {
        let mut sum = Self::default();
        sum.add(mean);
        sum
    }
}
