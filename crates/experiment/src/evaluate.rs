//! Evaluation of a finished run: computes all results from the observations and writes them into its folder.

use crate::changes::{self, ParallelismChange};
use crate::decisions;
use crate::experiment::Experiment;
use crate::folder::{CompletedRun, RunFolder};
use crate::plots;
use crate::reaction::{LoadNeeds, Reaction, reaction};
use crate::row::{Column, Row, read_series};
use crate::run::RunSpec;
use crate::summary::{ProducerTotals, Summary, SummarySettings, summarise};

/// What happened to the load.
pub(crate) struct LoadOutcome {
    pub(crate) began_ms: i64,
    /// Why it ended early.
    pub(crate) problem: Option<String>,
    pub(crate) producer: Option<ProducerTotals>,
    pub(crate) changes: Vec<ParallelismChange>,
}

/// Computes and writes all results.
///
/// # Errors
/// A file cannot be read or written.
pub(crate) fn evaluate(
    one: RunSpec<'_>,
    folder: &RunFolder,
    outcome: &LoadOutcome,
) -> anyhow::Result<Summary> {
    let decisions = decisions::of_journal(&folder.journal(), outcome.began_ms)?;
    folder.write("decisions.csv", &decisions::text(&decisions))?;
    folder.write("changes.csv", &changes::text(&outcome.changes))?;
    let rows = read_series(&folder.series())?;
    let experiment = one.experiment;
    let began_at = jiff::Timestamp::from_millisecond(outcome.began_ms).unwrap_or_default();
    let mut summary = Summary {
        experiment: experiment.name.clone(),
        variant: one.variant.name.clone(),
        policy: one.variant.policy.clone(),
        repetition: one.repetition,
        began_at: began_at.to_string(),
        version: version::VERSION.to_owned(),
        is_complete: outcome.problem.is_none(),
        is_side_by_side: experiment.side_by_side.is_some(),
        compression: Some(experiment.compression),
        ..summarise(&rows, &decisions, outcome.producer.as_ref(), &settings(experiment))
    };
    summary.describe_changes(&outcome.changes, followed(one, &rows, &outcome.changes));
    if let Some(problem) = &outcome.problem {
        summary.add_problem(format!("ended early: {problem}"));
    }
    folder.write_json("summary.json", &summary)?;
    let kept = CompletedRun { summary, rows, decisions };
    plots::of_run(&kept, folder.path())?;
    Ok(kept.summary)
}

fn settings(experiment: &Experiment) -> SummarySettings {
    SummarySettings {
        duration_s: experiment.duration.as_secs_f64(),
        warm_up_s: experiment.warm_up.as_secs_f64(),
        latency_max_ms: experiment.latency_max_ms,
        schedule_delay_max_ms: experiment.schedule_delay_max_ms,
        ack_delay_max_ms: experiment.ack_delay_max_ms,
        others_cpu_max_cores: experiment.others_cpu_max_cores,
    }
}

/// Returns how the changes followed the load, if the capacities are known.
fn followed(one: RunSpec<'_>, rows: &[Row], changes: &[ParallelismChange]) -> Option<Reaction> {
    let sweep = one.experiment.sweep.as_ref()?;
    let records_per_s = offered(one.experiment, rows)?;
    let needs =
        LoadNeeds { sweep, records_per_s: &records_per_s, warm_up_s: one.experiment.warm_up.as_secs_f64() };
    let parallelism = one.variant.document.parallelism();
    let begins_with = parallelism.operators.get(&sweep.operator).copied().unwrap_or(parallelism.default);
    Some(reaction(changes, &needs, begins_with))
}

/// Returns the offered load of each second in records: events of streams that the job does not read are excluded, and
/// are not sent.
fn offered(experiment: &Experiment, rows: &[Row]) -> Option<Vec<f64>> {
    let last = rows.iter().rev().find(|row| row.get(Column::DueTotal).is_some())?;
    let events = experiment.schedule.due_count(nanoseconds(last.at_s));
    #[expect(clippy::cast_precision_loss, reason = "events of a run")]
    let share = last.get(Column::DueTotal)? / events as f64;
    let seconds = 0..experiment.duration.as_secs();
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    let rate = |second: u64| experiment.schedule.rate_at(second as f64) * share.min(1.0);
    (share.is_finite()).then(|| seconds.map(rate).collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run, at least 0")]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}
