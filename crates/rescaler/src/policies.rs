//! Policy selection and limits, shared by the live loop and offline replay.

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use scaling::cluster::Size;
use scaling::ds2::{self, Ds2};
use scaling::external::{self, External};
use scaling::latency::{self, Latency};
use scaling::limits::Limits;
use scaling::slo::{self, Slo};
use scaling::{Action, Constraints, Decision, LocalTime, Memory, Policy, Snapshot};
use serde::{Deserialize, Serialize};
use telemetry::LatencyMetric;

use crate::external_program::ExternalProgram;

/// Epoch length of policies without a preference, in milliseconds.
const EPOCH_MS: u64 = 120_000;

/// `[policy]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policies {
    /// Name of the policy.
    pub name: PolicyName,
    /// Latency that is compared with the bound.
    pub latency_metric: LatencyMetric,
    /// Time zone of excluded periods.
    pub time_zone: String,
    /// `[policy.latency]`
    pub latency: latency::Options,
    /// `[policy.ds2]`
    pub ds2: ds2::Options,
    /// `[policy.slo]`
    pub slo: slo::Options,
    /// `[policy.external]`
    pub external: ExternalProgram,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            name: PolicyName::default(),
            latency_metric: LatencyMetric::default(),
            time_zone: "UTC".to_owned(),
            latency: latency::Options::default(),
            ds2: ds2::Options::default(),
            slo: slo::Options::default(),
            external: ExternalProgram::default(),
        }
    }
}

/// The policies that can be configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// Waits for rising latency, widens the slowest operators.
    Latency,
    /// Computes all parallelisms from true processing rates, up and down.
    #[default]
    Ds2,
    /// Keeps a latency bound with as few slots and changes as that takes.
    Slo,
    /// Runs a program for each decision.
    External,
}

impl PolicyName {
    /// The name in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latency => latency::NAME,
            Self::Ds2 => ds2::NAME,
            Self::Slo => slo::NAME,
            Self::External => external::NAME,
        }
    }
}

impl Policies {
    /// Returns the epoch length that the policy prefers, in milliseconds.
    pub(crate) fn epoch_ms(&self) -> u64 {
        match self.name {
            PolicyName::Slo => self.slo.epoch_s.saturating_mul(1000),
            PolicyName::Latency | PolicyName::Ds2 | PolicyName::External => EPOCH_MS,
        }
    }

    /// Returns every value out of range, as `key: valid values`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let of = |policy: &str, problems: Vec<(&str, &str)>| -> Vec<String> {
            problems.iter().map(|(option, remedy)| format!("policy.{policy}.{option}: {remedy}")).collect()
        };
        let mut problems = of("latency", self.latency.problems());
        problems.extend(of("ds2", self.ds2.problems()));
        problems.extend(of("slo", self.slo.problems()));
        if self.name == PolicyName::Slo && self.slo.latency_bound_ms.is_none() {
            let remedy =
                "set the latency that policy slo must keep, for example 2000.0, or give --latency-bound 2s";
            problems.push(format!("policy.slo.latency_bound_ms: {remedy}"));
        }
        problems.extend(self.external.problems(self.name == PolicyName::External));
        if TimeZone::get(&self.time_zone).is_err() {
            problems.push("policy.time_zone: write it like \"UTC\" or \"Europe/Berlin\"".to_owned());
        }
        problems
    }
}

/// The configured policy of one job, with its constraints.
#[derive(Debug, Clone)]
pub(crate) struct PolicyRunner {
    name: PolicyName,
    policies: Policies,
    constraints: Constraints,
    time_zone: TimeZone,
}

impl PolicyRunner {
    /// Returns a runner of this policy.
    ///
    /// # Errors
    /// The time zone does not exist.
    pub(crate) fn new(
        name: PolicyName,
        policies: &Policies,
        limits: &Limits,
        size: &Size,
    ) -> anyhow::Result<Self> {
        let time_zone = TimeZone::get(&policies.time_zone).context("policy.time_zone")?;
        let thresholds = policies.latency.thresholds();
        let constraints = Constraints { limits: limits.clone(), size: size.clone(), quota: None, thresholds };
        Ok(Self { name, policies: policies.clone(), constraints, time_zone })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name.as_str()
    }

    pub(crate) fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    pub(crate) fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// Returns the policy of one epoch. An external policy has its program's answer to this snapshot; the program is not run for an
    /// incomplete or missing snapshot.
    pub(crate) async fn policy(&self, snapshot: Option<&Snapshot>) -> Box<dyn Policy> {
        match self.name {
            PolicyName::Latency => Box::new(Latency(self.policies.latency.clone())),
            PolicyName::Ds2 => Box::new(Ds2(self.policies.ds2.clone())),
            PolicyName::Slo => Box::new(Slo(self.policies.slo.clone())),
            PolicyName::External => Box::new(External(match snapshot.filter(|s| s.missing.is_empty()) {
                Some(snapshot) => self.policies.external.ask(snapshot).await,
                None => Ok(external::Answer::default()),
            })),
        }
    }

    /// Decides one epoch of a recording at the time of the record. The plan counts as published; the recorded snapshots do not change.
    pub(crate) async fn replay(&self, memory: &mut Memory, snapshot: &Snapshot, at: Timestamp) -> Decision {
        let (policy, now) = (self.policy(Some(snapshot)).await, self.local_time(at));
        let decision = scaling::decide(&*policy, &self.constraints, memory, snapshot, now);
        if decision.action == Action::Rescale {
            memory.published(&*policy, &decision, now);
        }
        decision
    }

    /// Returns the plan as if the policy's trigger had fired and every wait had ended.
    pub(crate) async fn plan(&self, snapshot: &Snapshot) -> Decision {
        scaling::plan(&*self.policy(Some(snapshot)).await, &self.constraints, snapshot)
    }

    fn local_time(&self, at: Timestamp) -> LocalTime {
        let utc_offset_s = self.time_zone.to_offset(at).seconds();
        LocalTime { at_ms: at.as_millisecond(), utc_offset_s }
    }
}
