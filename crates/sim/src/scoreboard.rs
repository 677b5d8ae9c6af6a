//! The scoreboard: mean scores of every scenario under every policy, and their sums.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::contender::{Contender, OursOptions};
use crate::run::run;
use crate::scenario::{Scenario, ScenarioError, Set};
use crate::score::Score;

/// What is summed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Constants of policies may be chosen by these.
    Tuning,
    /// Policies are judged by these.
    HoldOut,
    /// A system behind the job is too slow at times: these violations are unavoidable.
    ExternallyLimited,
    /// From files.
    Own,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 4] = [Self::Tuning, Self::HoldOut, Self::ExternallyLimited, Self::Own];

    /// The group of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        match scenario.set {
            _ if scenario.is_externally_limited => Self::ExternallyLimited,
            Set::Tuning => Self::Tuning,
            Set::HoldOut => Self::HoldOut,
            Set::Own => Self::Own,
        }
    }

    /// What its sum is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tuning => "sum, tuning",
            Self::HoldOut => "sum, hold-out",
            Self::ExternallyLimited => "sum, externally limited",
            Self::Own => "sum, own",
        }
    }
}

/// The seeds by which the scoreboard is made.
pub fn seeds(set: Set) -> RangeInclusive<u64> {
    match set {
        Set::HoldOut => 101..=110,
        Set::Tuning | Set::Own => 1..=10,
    }
}

/// The mean of the scores of several runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Seconds in which a record was older than the bound.
    pub violation_s: f64,
    /// Slot-hours.
    pub slot_h: f64,
    /// Changes.
    pub changes: f64,
    /// Changes of direction within 600 s.
    pub reversals: f64,
    /// Reversals although the load had hardly moved.
    pub self_made: f64,
    /// Seconds from a step in the load until the parallelism carries it for good, over the runs in which it does.
    pub carried_after_s: Option<f64>,
    /// Seconds from a step until the last violation before the next.
    pub late_until_s: Option<f64>,
    /// Slots at the widest after a step over the fewest that carry the load.
    pub widest_over_needed: Option<f64>,
}

impl Mean {
    /// The mean of these scores.
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

/// One row: a scenario under a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// What it is summed with.
    pub group: Group,
    /// The policy.
    pub policy: Contender,
    /// Number of runs.
    pub runs: usize,
    /// Their mean score.
    #[serde(flatten)]
    pub mean: Mean,
}

/// The row of a scenario under a policy with the scoreboard's seeds.
///
/// # Errors
/// The scenario cannot be run.
pub fn row(scenario: &Scenario, policy: Contender) -> Result<Row, ScenarioError> {
    let score = |seed| {
        let trial = scenario.trial(seed)?;
        let run = run(&trial, policy.controller(&trial, &OursOptions::default()).as_mut());
        Ok(Score::new(&trial, &run))
    };
    let scores: Vec<Score> = seeds(scenario.set).map(score).collect::<Result<_, ScenarioError>>()?;
    Ok(Row {
        scenario: scenario.name.clone(),
        group: Group::of(scenario),
        policy,
        runs: scores.len(),
        mean: Mean::new(scores.iter()),
    })
}

/// What is summed over scenarios.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// Seconds in which a record was older than the bound.
    pub violation_s: f64,
    /// Slot-hours.
    pub slot_h: f64,
    /// Changes.
    pub changes: f64,
    /// Changes of direction within 600 s.
    pub reversals: f64,
}

impl Sum {
    /// The sum of the rows of a policy in a group.
    pub fn of(rows: &[Row], policy: Contender, group: Group) -> Self {
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
