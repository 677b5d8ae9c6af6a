//! The model of a recorded run: the job and conditions of a scenario, with the recorded arrivals, start and changes.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use sim::change::RecordedChange;
use sim::job::Job;
use sim::load::{LoadSpec, Noise, Shape};
use sim::scenario::{Scenario, Trial};

use super::recording::Recording;

/// A change to be repeated, and the second of its request.
pub(crate) type FedChange = (usize, RecordedChange);

/// Creates the trial of a recorded run with the parameters of `scenario`.
///
/// # Errors
/// The run is too short, or its job is not the scenario's.
pub(crate) fn trial(scenario: &Scenario, recording: &Recording, seed: u64) -> anyhow::Result<Trial> {
    let arrivals = recording.arrivals_per_s();
    let duration_s = u32::try_from(arrivals.len()).unwrap_or(u32::MAX);
    ensure!(duration_s > 0, "{}: no second of it was recorded", recording.folder.display());
    let levels = (0..duration_s).zip(arrivals).collect();
    let own = Scenario {
        name: recording.summary.label(),
        duration_s,
        latency_bound_s: recording.summary.latency_max_ms / 1000.0,
        load: LoadSpec { shape: Shape::Steps { levels }, noise: Noise::NONE },
        step: None,
        ..scenario.clone()
    };
    let mut trial =
        own.trial(seed).with_context(|| format!("cannot simulate {}", recording.folder.display()))?;
    let start = recording.rows.iter().map(|row| &row.parallelism).find(|widths| !widths.is_empty());
    let start = start.with_context(|| format!("{}: the job never ran", recording.folder.display()))?;
    trial.start = plan(&trial.job, &trial.start, start)?;
    Ok(trial)
}

/// Returns a plan with these operators changed.
fn plan(job: &Job, before: &[u32], widths: &BTreeMap<String, u32>) -> anyhow::Result<Vec<u32>> {
    let mut plan = before.to_vec();
    for (name, width) in widths {
        let index = job.operators().iter().position(|operator| operator.name == *name);
        let index = index.with_context(|| {
            let known: Vec<&str> = job.operators().iter().map(|operator| operator.name.as_str()).collect();
            format!(
                "the model has no operator {name}; it has {}: calibrate it with this job",
                known.join(", ")
            )
        })?;
        plan[index] = *width;
    }
    Ok(plan)
}

/// Returns the recorded changes and restarts for the model, in order of time.
///
/// # Errors
/// An operator is unknown.
pub(crate) fn changes(trial: &Trial, recording: &Recording) -> anyhow::Result<Vec<FedChange>> {
    let mut parallelism = trial.start.clone();
    let mut fed = Vec::new();
    for change in recording.changes.iter().filter(|change| change.ended_s > 0.0) {
        let after = change.widths.iter().map(|(name, (_, after))| (name.clone(), *after)).collect();
        parallelism = plan(&trial.job, &parallelism, &after)?;
        let recorded = RecordedChange {
            parallelism: parallelism.clone(),
            stop_at_s: (change.ended_s - change.outage_s).max(0.0),
            outage_s: change.outage_s,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run")]
        let second = change.began_s.max(0.0).floor() as usize;
        fed.push((second, recorded));
    }
    Ok(fed)
}
