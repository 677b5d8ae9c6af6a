//! The policy of one job, epoch by epoch: live, offline and in a replay.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use scaling::cluster::Size;
use scaling::ds2::Ds2;
use scaling::external::{self, External};
use scaling::latency::Latency;
use scaling::limits::Limits;
use scaling::slo::Slo;
use scaling::{Action, Constraints, Decision, LocalTime, Memory, Policy, Snapshot};
use thiserror::Error;

use crate::selection::{Policies, PolicyName};

/// The time zone of excluded periods does not exist.
#[derive(Debug, Error)]
#[error("policy.time_zone")]
pub struct UnknownTimeZone(#[source] jiff::Error);

/// The configured policy of one job, with its constraints.
#[derive(Debug, Clone)]
pub struct PolicyRunner {
    name: PolicyName,
    policies: Policies,
    constraints: Constraints,
    time_zone: TimeZone,
}

impl PolicyRunner {
    /// Returns a runner of this policy.
    ///
    /// # Errors
    /// See [`UnknownTimeZone`].
    pub fn new(
        name: PolicyName,
        policies: &Policies,
        limits: &Limits,
        size: &Size,
    ) -> Result<Self, UnknownTimeZone> {
        let time_zone = TimeZone::get(&policies.time_zone).map_err(UnknownTimeZone)?;
        let thresholds = policies.latency.thresholds();
        let constraints = Constraints { limits: limits.clone(), size: size.clone(), quota: None, thresholds };
        Ok(Self { name, policies: policies.clone(), constraints, time_zone })
    }

    /// Returns the name of the policy.
    pub fn name(&self) -> &'static str {
        self.name.as_str()
    }

    /// Returns the limits and thresholds of every plan.
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// Returns the time zone of excluded periods.
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// Returns the policy of one epoch. An external policy has its program's answer to this snapshot; the program is not run for an
    /// incomplete or missing snapshot.
    pub async fn policy(&self, snapshot: Option<&Snapshot>) -> Box<dyn Policy> {
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
    pub async fn replay(&self, memory: &mut Memory, snapshot: &Snapshot, at: Timestamp) -> Decision {
        let (policy, now) = (self.policy(Some(snapshot)).await, self.local_time(at));
        let decision = scaling::decide(&*policy, &self.constraints, memory, snapshot, now);
        if decision.action == Action::Rescale {
            memory.published(&*policy, &decision, now);
        }
        decision
    }

    /// Returns the plan as if the policy's trigger had fired and every wait had ended.
    pub async fn plan(&self, snapshot: &Snapshot) -> Decision {
        scaling::plan(&*self.policy(Some(snapshot)).await, &self.constraints, snapshot)
    }

    fn local_time(&self, at: Timestamp) -> LocalTime {
        let utc_offset_s = self.time_zone.to_offset(at).seconds();
        LocalTime { at_ms: at.as_millisecond(), utc_offset_s }
    }
}
