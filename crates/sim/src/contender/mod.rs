//! The compared scaling policies: this project's, and others as baselines.
//!
//! The others are re-implemented from their publications and see the same counters. `static` and `oracle` know the
//! load and bound what a policy can achieve.

mod documents;
mod ds2_paper;
mod flip;
mod flip_windows;
mod hpa;
mod oracle;
mod own_policy;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use flip_windows::{FlipOperator, FlipWindow, flip_windows};
pub use own_policy::{OwnPolicy, OwnPolicyOptions, PlanCallback};

use crate::scenario::Trial;
use crate::view::View;

/// A scaling policy under simulation.
pub trait Controller {
    /// Decision interval, in seconds.
    fn period_s(&self) -> u32;

    /// Initial parallelism, if not the trial's.
    fn start(&self) -> Option<Vec<u32>> {
        None
    }

    /// Observes the job and returns the new parallelism of each operator, if it must change.
    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>>;

    /// Confirms that the last plan is being applied.
    fn accepted(&mut self) {}
}

/// A policy in the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// Policy `ds2` with its defaults, or as configured.
    Ds2,
    /// Policy `ds2` at its fastest settings.
    Ds2Fast,
    /// Policy `latency`.
    Latency,
    /// Policy `slo` with the trial's latency bound.
    Slo,
    /// The same with a change price of 960 s instead of 240 s, for fewer changes.
    #[serde(rename = "slo-960")]
    Slo960,
    /// Flink's autoscaler (FLIP-271) with its defaults.
    FlipStock,
    /// The same with short windows.
    FlipFast,
    /// The same, tuned for short outages.
    FlipTuned,
    /// The scaling manager of the repository of the DS2 paper.
    Ds2Paper,
    /// Kubernetes' horizontal pod autoscaler on CPU.
    Hpa,
    /// Constant parallelism, sized for the peak.
    Static,
    /// Optimal changes, with knowledge of the load.
    Oracle,
    /// A user's own program. Not part of a scoreboard.
    External,
}

/// The name of an unknown policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown policy {0:?}; known: {list}", list = Contender::list())]
pub struct UnknownContender(pub String);

impl Contender {
    /// All built-in policies, this project's first.
    pub const ALL: [Self; 12] = [
        Self::Ds2,
        Self::Ds2Fast,
        Self::Latency,
        Self::Slo,
        Self::Slo960,
        Self::FlipStock,
        Self::FlipFast,
        Self::FlipTuned,
        Self::Ds2Paper,
        Self::Hpa,
        Self::Static,
        Self::Oracle,
    ];

    /// This project's policies.
    pub const OURS: [Self; 5] = [Self::Ds2, Self::Ds2Fast, Self::Latency, Self::Slo, Self::Slo960];

    /// Returns the name on command lines and in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ds2 => "ds2",
            Self::Ds2Fast => "ds2-fast",
            Self::Latency => "latency",
            Self::Slo => "slo",
            Self::Slo960 => "slo-960",
            Self::FlipStock => "flip-stock",
            Self::FlipFast => "flip-fast",
            Self::FlipTuned => "flip-tuned",
            Self::Ds2Paper => "ds2-paper",
            Self::Hpa => "hpa",
            Self::Static => "static",
            Self::Oracle => "oracle",
            Self::External => "external",
        }
    }

    /// Describes it in one sentence.
    pub fn description(self) -> &'static str {
        match self {
            Self::Ds2 => "the policy ds2, as configured",
            Self::Ds2Fast => "the policy ds2 with epochs of 15 s",
            Self::Latency => "the policy latency, as configured",
            Self::Slo => {
                "the policy slo with epochs of 5 s, as configured, and the latency bound of the scenario"
            }
            Self::Slo960 => "the policy slo with a change price of 960 s, for fewer changes",
            Self::FlipStock => "Flink's autoscaler (FLIP-271) with its defaults",
            Self::FlipFast => "Flink's autoscaler with a window of 30 s",
            Self::FlipTuned => "Flink's autoscaler with a window of 30 s, set for short outages",
            Self::Ds2Paper => "the policy in the repository of the DS2 paper",
            Self::Hpa => "Kubernetes' horizontal autoscaler: CPU at 70 %, one parallelism for all operators",
            Self::Static => "constant parallelism, sized for the peak",
            Self::Oracle => "knows the load in advance: fewest slot-hours",
            Self::External => "the program of policy.external.command in the file of --config; not in `all`",
        }
    }

    /// Lists all names.
    pub fn list() -> String {
        Self::named().map(Self::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Returns all policies that have a name on the command line.
    pub fn named() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain([Self::External])
    }

    /// Creates the controller for a trial.
    pub fn controller(self, trial: &Trial, options: &OwnPolicyOptions) -> Box<dyn Controller> {
        match self {
            Self::Ds2 => Box::new(OwnPolicy::ds2(options)),
            Self::Ds2Fast => Box::new(OwnPolicy::ds2(&OwnPolicyOptions::fast())),
            Self::Latency => Box::new(OwnPolicy::latency(options)),
            Self::Slo => Box::new(OwnPolicy::slo(options, trial.conditions.latency_bound_s)),
            Self::Slo960 => {
                Box::new(OwnPolicy::slo(&options.with_change_price(960.0), trial.conditions.latency_bound_s))
            }
            Self::FlipStock => Box::new(flip::Flip::new(flip::Options::STOCK)),
            Self::FlipFast => Box::new(flip::Flip::new(flip::Options::FAST)),
            Self::FlipTuned => Box::new(flip::Flip::new(flip::Options::TUNED)),
            Self::Ds2Paper => Box::new(ds2_paper::Ds2Paper::default()),
            Self::Hpa => Box::new(hpa::Hpa::default()),
            Self::Static => Box::new(oracle::Static::new(trial)),
            Self::Oracle => Box::new(oracle::Oracle::new(trial)),
            Self::External => Box::new(OwnPolicy::external(options)),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Contender {
    type Err = UnknownContender;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::named().find(|contender| contender.as_str() == name);
        found.ok_or_else(|| UnknownContender(name.to_owned()))
    }
}

/// Returns the ceiling of a quotient with a tolerance for rounding errors; at least 1.
fn ceiling(value: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of u32 first"
    )]
    if value.is_nan() { 1 } else { (value - 1e-9).ceil().clamp(1.0, f64::from(u32::MAX)) as u32 }
}
