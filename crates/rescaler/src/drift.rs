//! `[drift]`: what happens to a job that was rescaled by hand, and what Flink is asked for, which tells such a job from one
//! that has lost slots.

use std::collections::BTreeMap;
use std::time::Duration;

use control::RestoreLimits;
use flink::{Client, InPlace, Obstacle};
use serde::{Deserialize, Serialize};

use crate::placement::running_job;

/// The most restores that make sense: more are a fight.
const RESTORES_MAX: u32 = 100;

/// `[drift]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drift {
    /// What happens.
    pub action: DriftAction,
    /// How often the job is put back within `window_s`; then a person must look.
    pub restores_max: u32,
    /// In seconds.
    pub window_s: u64,
}

/// What happens to a job that was rescaled by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftAction {
    /// It is reported, and the next plan starts from what runs.
    #[default]
    Report,
    /// The document's parallelism is published again.
    Restore,
}

impl Default for Drift {
    fn default() -> Self {
        Self { action: DriftAction::default(), restores_max: 3, window_s: 3_600 }
    }
}

impl Drift {
    /// Everything that is wrong, with keys.
    pub(crate) fn problems(&self) -> Vec<String> {
        let is_right = (1..=RESTORES_MAX).contains(&self.restores_max);
        let mut problems = Vec::new();
        if !is_right {
            problems.push(format!("drift.restores_max: give a number from 1 to {RESTORES_MAX}"));
        }
        if self.window_s == 0 {
            problems.push("drift.window_s: give a number above 0".to_owned());
        }
        problems
    }

    /// How often the job is put back, if it is.
    pub(crate) fn restore(&self) -> Option<RestoreLimits> {
        let window = Duration::from_secs(self.window_s);
        let limits = RestoreLimits { restores_max: self.restores_max, window };
        (self.action == DriftAction::Restore).then_some(limits)
    }
}

/// The parallelism that Flink is asked for, by operator. A scheduler without requirements starts no job with less than its
/// graph says, so what runs is what was asked for. [`None`]: Flink cannot be asked, or chooses the parallelism itself.
pub(crate) async fn required(flink: &Client, job: &str) -> Option<BTreeMap<String, u32>> {
    let details = running_job(flink, job).await.ok()?;
    let vertices = telemetry::operator_vertices(&details);
    let upper = match flink.in_place(&details.id).await.ok()? {
        InPlace::Possible(requirements) => {
            requirements.into_iter().map(|(id, bounds)| (id, bounds.upper)).collect::<BTreeMap<_, _>>()
        }
        InPlace::Impossible(Obstacle::Reactive) => return None,
        InPlace::Impossible(_) => {
            details.vertices.iter().map(|vertex| (vertex.id.clone(), vertex.parallelism)).collect()
        }
    };
    Some(vertices.into_iter().filter_map(|(name, id)| Some((name, *upper.get(&id)?))).collect())
}
