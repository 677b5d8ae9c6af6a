//! The sections of a configuration on which decisions depend, read without the rest, and what they mean for the simulator.

use std::path::Path;

use scaling::limits::Limits;
use secrets::SyntaxError;
use serde::{Deserialize, Serialize};
use service::settings::{self, ConfigError, Problems};
use sim::contender::{Contender, OwnPolicyOptions};
use sim::observation::Observer;
use toml::{Table, Value};

use crate::epoch::Epoch;
use crate::selection::{Policies, PolicyName};

/// `[epoch]`, `[policy]` and `[limits]` of a rescaler's configuration of one job. Its other keys are ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DecisionSections {
    /// Length of epochs, and sampling.
    pub epoch: Epoch,
    /// Policy with its options.
    pub policy: Policies,
    /// Limits of every plan.
    pub limits: Limits,
}

impl DecisionSections {
    /// Reads and checks these sections of a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = settings::read(path)?;
        // For its errors, which name the line.
        let (as_written, wrong_keys): (Self, Problems) = settings::parse(&text, path)?;
        if !wrong_keys.is_empty() {
            return as_written.check(wrong_keys);
        }
        let (mut table, problems): (Table, Problems) = settings::parse(&text, path)?;
        Policies::complete(&mut table);
        let wrong = |error| ConfigError::in_file(path, SyntaxError::in_value(&error).to_string());
        Value::Table(table).try_into::<Self>().map_err(wrong)?.check(problems)
    }

    /// Returns the sections if all values are in range and there are no earlier problems.
    fn check(self, mut problems: Problems) -> Result<Self, ConfigError> {
        let found = [self.epoch.problems(&self.policy), self.policy.problems(), self.limits_problems()];
        problems.extend_by_key(settings::with_values(found.concat(), &self));
        problems.finish(Some(self))
    }

    fn limits_problems(&self) -> Vec<String> {
        self.limits.problems().iter().map(|problem| format!("limits.{problem}")).collect()
    }

    /// Returns the policy as simulated runs know it, in epochs of the configuration; [`None`] for a program of the user.
    pub fn simulated(&self) -> Option<(Contender, OwnPolicyOptions)> {
        let contender = match self.policy.name {
            PolicyName::Latency => Contender::Latency,
            PolicyName::Ds2 => Contender::Ds2,
            PolicyName::Slo => Contender::Slo,
            PolicyName::External => return None,
        };
        let mut options = simulated_options(&self.epoch, &self.policy, &self.limits);
        options.slo.epoch_s = u64::from(options.epoch.length_s);
        Some((contender, options))
    }
}

/// Returns the options of all policies for simulated runs, without a program for policy `external`.
pub fn simulated_options(epoch: &Epoch, policies: &Policies, limits: &Limits) -> OwnPolicyOptions {
    let seconds = |ms: u64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
    OwnPolicyOptions {
        epoch: Observer {
            length_s: seconds(epoch.effective_length_ms(policies)).max(1),
            warm_up_s: seconds(epoch.warm_up_ms),
        },
        ds2: policies.ds2.clone(),
        latency: policies.latency.clone(),
        slo: policies.slo.clone(),
        external: None,
        limits: limits.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<DecisionSections, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rescaler.toml");
        std::fs::write(&path, text).unwrap();
        DecisionSections::load(&path)
    }

    /// Goal: the policy is that of the rescaler: by its name, or `slo` where a bound is set, in epochs of the configuration; other
    /// sections are not looked at, and a program of the user is no policy of the simulator.
    #[test]
    fn the_configured_policy_is_simulated() {
        let simulated = |text: &str| {
            let found = load(text).unwrap().simulated();
            found.map(|(contender, options)| (contender, options.epoch.length_s, options.slo.epoch_s))
        };
        let bound = "job = \"a\"\n[policy.slo]\nlatency_bound_ms = 1000.0\n[limits]\nquota_slots = 4\n";
        assert_eq!(simulated("[flink]\nurl = 5"), Some((Contender::Ds2, 120, 120)));
        assert_eq!(simulated(bound), Some((Contender::Slo, 5, 5)));
        assert_eq!(simulated(&format!("{bound}[epoch]\nlength_ms = 7000")), Some((Contender::Slo, 7, 7)));
        assert_eq!(simulated("[policy]\nname = \"latency\""), Some((Contender::Latency, 120, 120)));
        assert_eq!(simulated("[policy]\nname = \"external\"\nexternal.command = [\"true\"]"), None);
        assert_eq!(load(bound).unwrap().simulated().unwrap().1.limits.quota_slots, Some(4));
    }

    /// Goal: a wrong key is reported with its line, and a value out of its range with the value, as the rescaler reports them.
    #[test]
    fn wrong_sections_are_refused() {
        for (text, expected) in [
            ("\n[epoch]\nlength = 3", "line 3, length: unknown field"),
            ("[policy]\nname = \"best\"", "line 2, name: unknown variant"),
            ("epoch.length_ms = 100", "epoch.length_ms = 100: must be at least twice"),
            ("policy.ds2.utilization_target = 7.0", "policy.ds2.utilization_target = 7.0: "),
            ("policy.name = \"slo\"", "policy.slo.latency_bound_ms: set the latency"),
            ("limits.quota_slots = 0", "limits.quota_slots = 0: "),
        ] {
            let message = load(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected:?} in {message}");
        }
    }
}
