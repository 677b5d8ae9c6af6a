//! The section `[policy]` of a configuration: which policy decides, and the options of all.

use jiff::tz::TimeZone;
use scaling::{ds2, external, latency, slo};
use serde::{Deserialize, Serialize};
use telemetry::LatencyMetric;
use toml::{Table, Value};

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
    /// Sets the name in a configuration that has none: `slo` if its bound is set, else the default.
    pub fn complete(configuration: &mut Table) {
        // Anything but a table is refused with its key afterwards.
        let Some(Value::Table(policy)) = configuration.get_mut("policy") else { return };
        let has_bound = policy
            .get("slo")
            .and_then(Value::as_table)
            .is_some_and(|slo| slo.contains_key("latency_bound_ms"));
        if has_bound && !policy.contains_key("name") {
            policy.insert("name".to_owned(), PolicyName::Slo.as_str().into());
        }
    }

    /// Returns the epoch length that the policy prefers, in milliseconds.
    pub(crate) fn epoch_ms(&self) -> u64 {
        match self.name {
            PolicyName::Slo => self.slo.epoch_s.saturating_mul(1000),
            PolicyName::Latency | PolicyName::Ds2 | PolicyName::External => EPOCH_MS,
        }
    }

    /// Returns every value out of range, as `key: valid values`.
    pub fn problems(&self) -> Vec<String> {
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
