//! A job's rescales as Flink shows them, whatever caused them: from polling its vertices several times per second,
//! and from Flink's rescale history, which has more exact times of the request and the outage.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use flink::Rescale;

use crate::csv;

/// Flink's state of a completed rescale.
const COMPLETED: &str = "COMPLETED";
/// Flink's trigger of a requested rescale.
const ASKED_FOR: &str = "UPDATE_REQUIREMENT";
/// Maximum difference between the observed end of a change in place and the one in Flink's history, in seconds.
const APART_MAX_S: f64 = 1.5;

/// A sample of a job's state in Flink.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobSample {
    /// Seconds since the load began.
    pub at_s: f64,
    /// The job's id; empty without a job.
    pub job_id: String,
    /// Whether all of its tasks ran.
    pub is_running: bool,
    /// Slots that it needs: the highest parallelism in each slot sharing group, summed.
    pub slots: u32,
    /// Parallelism by operator.
    pub widths: BTreeMap<String, u32>,
}

/// A change of a job's parallelism, or a restart without one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParallelismChange {
    /// Time of the request, or else when the tasks stopped, in seconds since the load began.
    pub began_s: f64,
    /// When all tasks ran again, in seconds since the load began.
    pub ended_s: f64,
    /// Time from the stop of the tasks until all of them run again, in seconds.
    pub outage_s: f64,
    /// `in-place`, or `restart` if the job got another id.
    pub way: String,
    /// Slots before.
    pub slots_before: u32,
    /// Slots after.
    pub slots_after: u32,
    /// Changed operators, with their parallelism before and after.
    pub widths: BTreeMap<String, (u32, u32)>,
}

impl ParallelismChange {
    fn line(&self) -> String {
        let widths: Vec<String> =
            self.widths.iter().map(|(name, (before, after))| format!("{name}={before}-{after}")).collect();
        csv::line([
            csv::number(Some(self.began_s)),
            csv::number(Some(self.ended_s)),
            csv::number(Some(self.outage_s)),
            self.way.clone(),
            self.slots_before.to_string(),
            self.slots_after.to_string(),
            widths.join(" "),
        ])
    }
}

const HEADER: &str = "began_s,ended_s,outage_s,way,slots_before,slots_after,widths";

/// Reads changes as [`text`] formats them; none if the file does not exist.
///
/// # Errors
/// The file exists but cannot be read.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<ParallelismChange>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = files::read_text(path, crate::folder::RESULT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().skip(1).filter_map(|line| parse(&csv::fields(line))).collect())
}

fn parse(fields: &[String]) -> Option<ParallelismChange> {
    let [began_s, ended_s, outage_s, way, slots_before, slots_after, widths] = fields else { return None };
    let width = |text: &str| {
        let (name, widths) = text.rsplit_once('=')?;
        let (before, after) = widths.split_once('-')?;
        Some((name.to_owned(), (before.parse().ok()?, after.parse().ok()?)))
    };
    Some(ParallelismChange {
        began_s: began_s.parse().ok()?,
        ended_s: ended_s.parse().ok()?,
        outage_s: outage_s.parse().ok()?,
        way: way.clone(),
        slots_before: slots_before.parse().ok()?,
        slots_after: slots_after.parse().ok()?,
        widths: widths.split_whitespace().map(width).collect::<Option<_>>()?,
    })
}

/// Formats the changes as CSV.
pub(crate) fn text(changes: &[ParallelismChange]) -> String {
    let lines = changes.iter().map(ParallelismChange::line);
    std::iter::once(HEADER.to_owned()).chain(lines).map(|line| line + "\n").collect()
}

/// Returns the changes between these samples, in order of time; `began_ms` is the start of the load, in milliseconds
/// since the Unix epoch. Flink's history takes precedence over the samples.
pub fn changes(samples: &[JobSample], rescales: &[Rescale], began_ms: i64) -> Vec<ParallelismChange> {
    let mut all = Vec::new();
    let (mut before, mut stopped_s): (Option<&JobSample>, Option<f64>) = (None, None);
    for sample in samples {
        if !sample.is_running {
            stopped_s = stopped_s.or(Some(sample.at_s));
            continue;
        }
        if let Some(before) = before.filter(|before| is_other(before, sample) || stopped_s.is_some()) {
            let since_s = all.last().map_or(f64::NEG_INFINITY, |change: &ParallelismChange| change.ended_s);
            all.push(change(before, sample, stopped_s, &History { rescales, began_ms, since_s }));
        }
        (before, stopped_s) = (Some(sample), None);
    }
    all
}

fn is_other(before: &JobSample, after: &JobSample) -> bool {
    before.widths != after.widths || before.job_id != after.job_id
}

/// Flink's history, and the end of the previous change.
struct History<'a> {
    rescales: &'a [Rescale],
    began_ms: i64,
    since_s: f64,
}

impl History<'_> {
    fn second(&self, at_ms: Option<i64>) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
        at_ms.map(|at_ms| (at_ms - self.began_ms) as f64 / 1000.0)
    }

    /// Returns the rescale that ended at the observed change.
    fn ended_at(&self, seen_s: f64) -> Option<&Rescale> {
        let distance = |rescale: &&Rescale| {
            self.second(rescale.ended_ms).map_or(f64::INFINITY, |ended_s| (ended_s - seen_s).abs())
        };
        let completed = self.rescales.iter().filter(|rescale| rescale.outcome.as_deref() == Some(COMPLETED));
        completed
            .min_by(|one, other| distance(one).total_cmp(&distance(other)))
            .filter(|nearest| distance(nearest) <= APART_MAX_S)
    }

    /// Returns the time from the stop of the tasks in this rescale until they were seen to run again. Without the time of the stop it is the
    /// time that the scheduler spent on the change, which leaves out the initialisation of the tasks.
    fn outage_s(&self, rescale: &Rescale, runs_s: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a change")]
        let scheduler_s = rescale.downtime_ms().map(|ms| ms as f64 / 1000.0);
        let stopped_s = self.second(rescale.stopped_ms()).map(|stop_s| runs_s - stop_s);
        stopped_s.map_or(scheduler_s, |seen_s| Some(seen_s.max(scheduler_s.unwrap_or(0.0))))
    }

    /// Returns when it was first requested: a request that is replaced before it is applied has its own entry.
    fn asked_s(&self, ended_s: f64) -> Option<f64> {
        let asked = self.rescales.iter().filter(|rescale| rescale.cause.as_deref() == Some(ASKED_FOR));
        asked
            .filter_map(|rescale| self.second(rescale.started_ms))
            .filter(|asked_s| *asked_s > self.since_s && *asked_s <= ended_s)
            .reduce(f64::min)
    }
}

fn change(
    before: &JobSample,
    after: &JobSample,
    stopped_s: Option<f64>,
    history: &History<'_>,
) -> ParallelismChange {
    let is_in_place = before.job_id == after.job_id;
    let rescale = if is_in_place { history.ended_at(after.at_s) } else { None };
    let seen_s = stopped_s.unwrap_or(after.at_s);
    let asked_s = rescale.and_then(|_| history.asked_s(after.at_s));
    let outage_s = rescale.and_then(|rescale| history.outage_s(rescale, after.at_s));
    let changed = |(name, width): (&String, &u32)| {
        let old = before.widths.get(name).copied().unwrap_or_default();
        (old != *width).then(|| (name.clone(), (old, *width)))
    };
    ParallelismChange {
        began_s: asked_s.map_or(seen_s, |asked_s| asked_s.min(seen_s)),
        ended_s: after.at_s,
        outage_s: outage_s.unwrap_or(after.at_s - seen_s),
        way: if is_in_place { "in-place" } else { "restart" }.to_owned(),
        slots_before: before.slots,
        slots_after: after.slots,
        widths: after.widths.iter().filter_map(changed).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_s: f64, job: &str, width: u32) -> JobSample {
        let widths = BTreeMap::from([("a".to_owned(), width), ("b".to_owned(), 1)]);
        JobSample { at_s, job_id: job.to_owned(), is_running: true, slots: width, widths }
    }

    fn down(at_s: f64) -> JobSample {
        JobSample { at_s, ..JobSample::default() }
    }

    fn rescale(cause: &str, started_ms: i64, ended_ms: Option<i64>, outcome: &str) -> Rescale {
        let json = serde_json::json!({
            "rescaleUuid": "u", "startTimestampInMillis": started_ms, "endTimestampInMillis": ended_ms,
            "terminalState": outcome, "triggerCause": cause,
            "schedulerStates": [{"state": "Restarting", "durationInMillis": 140}],
        });
        serde_json::from_value(json).unwrap()
    }

    /// Goal: without Flink's history a change is detected from the samples: the tasks stop, and run again at another
    /// parallelism.
    #[test]
    fn a_change_is_seen_from_outside() {
        let samples =
            [sample(0.0, "j", 1), down(10.0), down(10.25), sample(10.5, "j", 3), sample(11.0, "j", 3)];
        let all = changes(&samples, &[], 0);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((all[0].began_s, all[0].ended_s, all[0].outage_s), (10.0, 10.5, 0.5));
        assert_eq!((all[0].slots_before, all[0].slots_after, &*all[0].way), (1, 3, "in-place"));
        assert_eq!(all[0].widths, BTreeMap::from([("a".to_owned(), (1, 3))]));
    }

    /// Goal: an outage too short for the samples is taken from Flink's history, and so is the time of the first
    /// request, even if it was replaced; an earlier change and the start of the job are ignored.
    #[test]
    fn the_history_knows_more() {
        let history = [
            rescale("INITIAL_SCHEDULE", 95_000, Some(96_000), COMPLETED),
            rescale(ASKED_FOR, 101_000, Some(102_000), COMPLETED),
            rescale(ASKED_FOR, 108_000, Some(108_500), "IGNORED"),
            rescale(ASKED_FOR, 108_500, Some(110_200), COMPLETED),
        ];
        let samples = [sample(0.0, "j", 1), sample(2.25, "j", 2), sample(9.0, "j", 2), sample(10.25, "j", 4)];
        let all = changes(&samples, &history, 100_000);
        let told: Vec<_> =
            all.iter().map(|change| (change.began_s, change.ended_s, change.outage_s)).collect();
        assert_eq!(told, [(1.0, 2.25, 0.14), (8.0, 10.25, 0.14)]);
    }

    /// Goal: tasks that are initialised stand still, although the scheduler executes the job by then.
    #[test]
    fn an_outage_lasts_until_the_tasks_run() {
        let states = serde_json::json!([
            {"state": "Executing", "enterTimestampInMillis": 101_840, "durationInMillis": 1508},
            {"state": "Restarting", "enterTimestampInMillis": 103_348, "durationInMillis": 82},
            {"state": "CreatingExecutionGraph", "enterTimestampInMillis": 103_430, "durationInMillis": 44},
            {"state": "Executing", "enterTimestampInMillis": 103_474},
        ]);
        let mut rescale = rescale(ASKED_FOR, 101_840, Some(103_474), COMPLETED);
        rescale.states = serde_json::from_value(states).unwrap();
        let all = changes(&[sample(0.0, "j", 1), sample(4.0, "j", 4)], &[rescale], 100_000);
        assert_eq!(all.len(), 1);
        assert!((all[0].outage_s - 0.652).abs() < 1e-9, "{all:?}");
        assert!((all[0].began_s - 1.84).abs() < 1e-9, "{all:?}");
    }

    /// Goal: a job with a new id was restarted, at another parallelism or the same; the end of the samples is not an
    /// end of a change.
    #[test]
    fn a_restart_is_told() {
        let samples = [sample(0.0, "j", 2), down(5.0), sample(9.0, "k", 2), down(20.0)];
        let all = changes(&samples, &[rescale("INITIAL_SCHEDULE", 0, Some(9_000), COMPLETED)], 0);
        assert_eq!(all.len(), 1);
        assert_eq!((&*all[0].way, all[0].outage_s, all[0].widths.len()), ("restart", 4.0, 0));
        assert_eq!(text(&all).lines().nth(1), Some("5,9,4,restart,2,2,"));
        let wider =
            ParallelismChange { widths: BTreeMap::from([("a".to_owned(), (1, 3))]), ..all[0].clone() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changes.csv");
        std::fs::write(&path, text(&[all[0].clone(), wider.clone()])).unwrap();
        assert_eq!(read(&path).unwrap(), [all[0].clone(), wider]);
        assert_eq!(read(&folder.path().join("none.csv")).unwrap(), []);
    }
}
