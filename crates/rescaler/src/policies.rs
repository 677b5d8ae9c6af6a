//! Who decides, and within which limits: the configured policies, asked in one way, live and on recorded snapshots.

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use scaling::cluster::Size;
use scaling::limits::Limits;
use scaling::{Decision, Frame, Moment, Policy, Snapshot, State, Step, ds2, external, latency};
use serde::{Deserialize, Serialize};
use telemetry::LatencyMetric;

use crate::program::Program;

/// `[policy]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policies {
    /// Which one.
    pub name: Name,
    /// The latency that violates the bound.
    pub latency_metric: LatencyMetric,
    /// In which excluded periods are written.
    pub time_zone: String,
    /// `[policy.latency]`
    pub latency: latency::Options,
    /// `[policy.ds2]`
    pub ds2: ds2::Options,
    /// `[policy.external]`
    pub external: Program,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            name: Name::default(),
            latency_metric: LatencyMetric::default(),
            time_zone: "UTC".to_owned(),
            latency: latency::Options::default(),
            ds2: ds2::Options::default(),
            external: Program::default(),
        }
    }
}

/// The policies that can be configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Waits for rising latency, widens the slowest operators.
    #[default]
    Latency,
    /// Solves the whole graph from true processing rates, up and down.
    Ds2,
    /// Asks a program.
    External,
}

impl Name {
    /// The name in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latency => latency::NAME,
            Self::Ds2 => ds2::NAME,
            Self::External => external::NAME,
        }
    }
}

impl Policies {
    /// Every value that is out of its range, as `key: what would be right`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let of = |policy: &str, problems: Vec<(&str, &str)>| -> Vec<String> {
            problems.iter().map(|(option, remedy)| format!("policy.{policy}.{option}: {remedy}")).collect()
        };
        let mut problems = of("latency", self.latency.problems());
        problems.extend(of("ds2", self.ds2.problems()));
        problems.extend(self.external.problems(self.name == Name::External));
        if TimeZone::get(&self.time_zone).is_err() {
            problems.push("policy.time_zone: write it like \"UTC\" or \"Europe/Berlin\"".to_owned());
        }
        problems
    }
}

/// Decides for one job.
#[derive(Debug, Clone)]
pub(crate) struct Decider {
    name: Name,
    policies: Policies,
    frame: Frame,
    time_zone: TimeZone,
}

impl Decider {
    /// A decider by the policy of this name.
    ///
    /// # Errors
    /// The time zone does not exist.
    pub(crate) fn new(name: Name, policies: &Policies, limits: &Limits, size: &Size) -> anyhow::Result<Self> {
        let time_zone = TimeZone::get(&policies.time_zone).context("policy.time_zone")?;
        let frame =
            Frame { limits: limits.clone(), size: size.clone(), thresholds: policies.latency.thresholds() };
        Ok(Self { name, policies: policies.clone(), frame, time_zone })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name.as_str()
    }

    /// One epoch that ends at this moment.
    pub(crate) async fn decide(&self, state: &State, snapshot: &Snapshot, at: Timestamp) -> Step<State> {
        let answer = self.ask(snapshot).await;
        scaling::decide(self.policy(&answer), &self.frame, state, snapshot, self.moment(at))
    }

    /// The plan as if the policy's trigger had been met and every wait were over.
    pub(crate) async fn plan(&self, snapshot: &Snapshot) -> Decision {
        let answer = self.ask(snapshot).await;
        scaling::plan(self.policy(&answer), &self.frame, snapshot)
    }

    fn policy<'a>(&'a self, answer: &'a Result<external::Answer, String>) -> Policy<'a> {
        match self.name {
            Name::Latency => Policy::Latency(&self.policies.latency),
            Name::Ds2 => Policy::Ds2(&self.policies.ds2),
            Name::External => Policy::External(answer),
        }
    }

    /// The program's answer, where a program decides. On an incomplete snapshot nobody is asked.
    async fn ask(&self, snapshot: &Snapshot) -> Result<external::Answer, String> {
        if self.name != Name::External || !snapshot.missing.is_empty() {
            return Ok(external::Answer::default());
        }
        self.policies.external.ask(snapshot).await
    }

    fn moment(&self, at: Timestamp) -> Moment {
        let utc_offset_s = self.time_zone.to_offset(at).seconds();
        Moment { at_ms: at.as_millisecond(), utc_offset_s }
    }
}
