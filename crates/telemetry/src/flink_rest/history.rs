//! The job's past rescales, from Flink 2.3 and later. The details of an ended rescale do not change, so each is fetched once.
//! When its tasks began to run is known only of the newest one, and so is fetched soon after its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flink::{Client, JobId, Rescale, TaskTimes, VertexId};

/// Maximum number of rescales in a sample.
const KEPT: usize = 8;

/// Interval of reading the history while it has entries.
const AGE_MAX: Duration = Duration::from_secs(5);
/// Interval without a history: Flink before 2.3, disabled, or another scheduler.
const AGE_MAX_WITHOUT: Duration = Duration::from_secs(60);

/// How long after the end of a rescale a backlog is attributed to it, in milliseconds.
const AFTERWARDS_MS: i64 = 60_000;

/// Maximum number of vertices whose tasks' times are fetched after a rescale. Of a larger job the time at which all run is a lower bound.
const VERTICES: usize = 32;

/// Maximum number of samples in which the times of tasks are asked for.
const ATTEMPTS: u32 = 3;

/// How long after the end of a rescale its tasks may have been created, in milliseconds.
const CREATED_MS: i64 = 1_000;

/// Maximum number of backlog readings: 24 minutes at one per two seconds.
const BACKLOGS: usize = 720;

/// Triggers of rescales: changed requirements, or new task managers. Other triggers are the first start and recoveries.
const CAUSES: [&str; 2] = ["UPDATE_REQUIREMENT", "NEW_RESOURCE_AVAILABLE"];

/// The rescales of one job.
#[derive(Debug, Default)]
pub(super) struct History {
    job: Option<JobId>,
    read_at: Option<Instant>,
    newest: Vec<Rescale>,
    details: BTreeMap<String, Rescale>,
    /// When all tasks ran after a rescale, by its id, in milliseconds since the Unix epoch.
    running_ms: BTreeMap<String, i64>,
    /// The rescale of which that was asked for last, and how often.
    asked: Option<(String, u32)>,
    backlogs: VecDeque<(i64, f64)>,
}

impl History {
    /// Reads what is new. What cannot be read is not known: no sample fails because of it.
    pub(super) async fn renew(&mut self, client: &Client, job: &JobId) {
        if self.job.as_ref() != Some(job) {
            *self = Self { job: Some(job.clone()), ..Self::default() };
        }
        let age_max = if self.newest.is_empty() { AGE_MAX_WITHOUT } else { AGE_MAX };
        if self.read_at.is_some_and(|at| at.elapsed() < age_max) {
            return;
        }
        self.read_at = Some(Instant::now());
        match client.rescales(job).await {
            Ok(rescales) => self.newest = newest(rescales),
            Err(error) => tracing::debug!(%error, "could not read the rescale history"),
        }
        for rescale in self.newest.clone() {
            if self.details.contains_key(&rescale.id) || rescale.ended_ms.is_none() {
                continue;
            }
            match client.rescale_details(job, &rescale.id).await {
                Ok(Some(details)) => drop(self.details.insert(rescale.id, details)),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "could not read the details of a rescale"),
            }
        }
        self.renew_running(client, job).await;
        let newest = &self.newest;
        let is_kept = |id: &String| newest.iter().any(|rescale| rescale.id == *id);
        self.details.retain(|id, _| is_kept(id));
        self.running_ms.retain(|id, _| is_kept(id));
    }

    /// Reads when all tasks ran after the newest rescale, unless that is known or could not be read several times.
    async fn renew_running(&mut self, client: &Client, job: &JobId) {
        let newest = self.newest.first().and_then(|newest| self.details.get(&newest.id));
        let Some(details) = newest.filter(|details| is_complete(details)) else { return };
        let attempts = self.asked.as_ref().filter(|(id, _)| *id == details.id).map_or(0, |(_, count)| *count);
        if self.running_ms.contains_key(&details.id) || attempts == ATTEMPTS {
            return;
        }
        self.asked = Some((details.id.clone(), attempts + 1));
        let ids: Vec<VertexId> = details.vertices.keys().filter_map(|id| id.parse().ok()).collect();
        let mut tasks = Vec::new();
        for id in ids.iter().take(VERTICES) {
            match client.task_times(job, id).await {
                Ok(times) => tasks.extend(times),
                Err(error) => return tracing::debug!(%error, "could not read the times of tasks"),
            }
        }
        if let Some(all_ms) = all_running_ms(details, &tasks) {
            self.running_ms.insert(details.id.clone(), all_ms);
        }
    }

    /// Has it read again with the next sample: a new life of the job may come of a rescale.
    pub(super) fn expire(&mut self) {
        self.read_at = None;
    }

    /// Remembers how much waited at all sources, by the JobManager's clock.
    pub(super) fn saw_backlog(&mut self, at_ms: i64, records: f64) {
        if self.backlogs.len() == BACKLOGS {
            self.backlogs.pop_front();
        }
        self.backlogs.push_back((at_ms, records));
    }

    /// The rescales, newest first, with the operators under the names that `name` gives to the ids of vertices.
    pub(super) fn rescales(&self, name: impl Fn(&str) -> Option<String>) -> Vec<scaling::Rescale> {
        let ended = self.newest.iter().filter(|rescale| rescale.ended_ms.is_some());
        ended.map(|rescale| self.rescale(self.details.get(&rescale.id).unwrap_or(rescale), &name)).collect()
    }

    fn rescale(&self, rescale: &Rescale, name: impl Fn(&str) -> Option<String>) -> scaling::Rescale {
        let by_name = |parallelism: fn(&flink::RescaledVertex) -> Option<u32>| {
            let known = rescale.vertices.iter().filter_map(|(id, v)| Some((name(id)?, parallelism(v)?)));
            Arc::new(known.collect::<BTreeMap<String, u32>>())
        };
        let was_reached = |vertex: &flink::RescaledVertex| Some(vertex.after? == vertex.desired?);
        let reached: Option<Vec<bool>> = rescale.vertices.values().map(was_reached).collect();
        let all_reached = reached.filter(|all| !all.is_empty()).map(|all| all.into_iter().all(|one| one));
        let is_complete = is_complete(rescale);
        let running_ms = self.running_ms.get(&rescale.id).copied();
        scaling::Rescale {
            at_ms: rescale.ended_ms,
            requested_at_ms: rescale.started_ms,
            duration_ms: longer(rescale.duration_ms(), rescale.started_ms, running_ms)
                .filter(|_| is_complete),
            downtime_ms: longer(rescale.downtime_ms(), rescale.stopped_ms(), running_ms)
                .filter(|_| is_complete),
            succeeded: if is_complete { all_reached } else { Some(false) },
            backlog_peak_records: self.backlog_peak(rescale),
            before: by_name(|vertex| vertex.before),
            wanted: by_name(|vertex| vertex.desired),
            after: by_name(|vertex| vertex.after),
        }
    }

    /// The largest backlog from the wish until a while after the end; unknown unless one was seen before the wish as well, because what was
    /// not looked at may have been larger.
    fn backlog_peak(&self, rescale: &Rescale) -> Option<f64> {
        let (from_ms, end_ms) = (rescale.started_ms?, rescale.ended_ms?);
        self.backlogs.front().filter(|(at_ms, _)| *at_ms <= from_ms)?;
        let until_ms = end_ms.saturating_add(AFTERWARDS_MS);
        let in_it = self.backlogs.iter().filter(|(at_ms, _)| (from_ms..=until_ms).contains(at_ms));
        in_it.map(|(_, records)| *records).reduce(f64::max)
    }
}

/// Whether a rescale ended well: one that failed says nothing about how long one takes.
fn is_complete(rescale: &Rescale) -> bool {
    rescale.outcome.as_deref() == Some("COMPLETED")
}

/// Returns when all of these tasks ran; [`None`] unless all run, and were created by this rescale.
fn all_running_ms(rescale: &Rescale, tasks: &[TaskTimes]) -> Option<i64> {
    let created_ms = rescale.stopped_ms()?..=rescale.ended_ms?.saturating_add(CREATED_MS);
    let is_own = |task: &TaskTimes| task.created_ms.is_some_and(|at_ms| created_ms.contains(&at_ms));
    let running: Option<Vec<i64>> =
        tasks.iter().map(|task| task.running_ms.filter(|_| is_own(task))).collect();
    running?.into_iter().max()
}

/// Returns the time that the scheduler spent on a rescale, in milliseconds, or that until its tasks ran if it is known to be longer: tasks
/// are initialised after the scheduler has ended the rescale.
fn longer(scheduler_ms: Option<u64>, from_ms: Option<i64>, running_ms: Option<i64>) -> Option<u64> {
    let all_ms =
        running_ms.zip(from_ms).and_then(|(until_ms, from_ms)| u64::try_from(until_ms - from_ms).ok());
    scheduler_ms.max(all_ms)
}

/// Returns the newest rescales that were not abandoned before they began, newest first.
fn newest(mut rescales: Vec<Rescale>) -> Vec<Rescale> {
    let is_one = |rescale: &Rescale| {
        rescale.cause.as_deref().is_none_or(|cause| CAUSES.contains(&cause))
            && rescale.outcome.as_deref() != Some("IGNORED")
    };
    rescales.retain(is_one);
    rescales.sort_by_key(|rescale| std::cmp::Reverse(rescale.started_ms));
    rescales.truncate(KEPT);
    rescales
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rescale(id: &str, cause: &str, outcome: &str, started_ms: i64) -> Rescale {
        let vertex = |before, desired, after| flink::RescaledVertex {
            name: "Source: a".to_owned(),
            before: Some(before),
            desired: Some(desired),
            after: Some(after),
        };
        Rescale {
            id: id.to_owned(),
            started_ms: Some(started_ms),
            ended_ms: Some(started_ms + 800),
            outcome: Some(outcome.to_owned()),
            cause: Some(cause.to_owned()),
            vertices: BTreeMap::from([
                ("v1".to_owned(), vertex(2, 4, 4)),
                ("v2".to_owned(), vertex(2, 4, 3)),
            ]),
            states: None,
        }
    }

    /// Goal: what was a rescale is told with its widths by operator, newest first; first starts, recoveries and wishes that were taken
    /// back are not.
    #[test]
    fn only_rescales_are_told() {
        let history = History {
            newest: newest(vec![
                rescale("a", "INITIAL_SCHEDULE", "COMPLETED", 0),
                rescale("b", "UPDATE_REQUIREMENT", "COMPLETED", 1_000),
                rescale("c", "UPDATE_REQUIREMENT", "IGNORED", 2_000),
                rescale("d", "RECOVERABLE_FAILOVER", "COMPLETED", 3_000),
                rescale("e", "NEW_RESOURCE_AVAILABLE", "FAILED", 4_000),
            ]),
            ..History::default()
        };
        let told = history.rescales(|id| (id == "v1").then(|| "a".to_owned()));
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].requested_at_ms, told[0].at_ms), (Some(4_000), Some(4_800)));
        // One that failed says nothing about how long one takes.
        assert_eq!((told[0].succeeded, told[0].duration_ms), (Some(false), None));
        assert_eq!((told[1].succeeded, told[1].duration_ms), (Some(false), Some(800)));
        assert_eq!((told[1].before["a"], told[1].wanted["a"], told[1].after["a"]), (2, 4, 4));
        assert_eq!(told[1].before.len(), 1);
    }

    /// Goal: the outage of a rescale lasts until its tasks are initialised; tasks of a later restart say nothing about it.
    #[test]
    fn an_outage_contains_the_initialisation_of_the_tasks() {
        let state = |state: &str, entered_ms, left_ms| flink::SchedulerState {
            state: state.to_owned(),
            entered_ms: Some(entered_ms),
            left_ms,
            duration_ms: None,
        };
        let states = vec![
            state("Executing", 1_000, Some(1_650)),
            state("Restarting", 1_650, Some(1_750)),
            state("CreatingExecutionGraph", 1_750, Some(1_800)),
            state("Executing", 1_800, None),
        ];
        let rescale =
            Rescale { states: Some(states), ..rescale("b", "UPDATE_REQUIREMENT", "COMPLETED", 1_000) };
        let task = |created_ms, running_ms| TaskTimes { created_ms: Some(created_ms), running_ms };
        let all_ms = all_running_ms(&rescale, &[task(1_760, Some(2_100)), task(1_760, Some(2_250))]);
        assert_eq!(all_ms, Some(2_250));
        assert_eq!(all_running_ms(&rescale, &[task(1_760, Some(2_100)), task(1_760, None)]), None);
        assert_eq!(all_running_ms(&rescale, &[task(60_000, Some(60_500))]), None);
        assert_eq!(all_running_ms(&rescale, &[]), None);

        let told = |running_ms: Option<i64>| {
            let history = History {
                newest: vec![rescale.clone()],
                running_ms: running_ms.map(|at_ms| ("b".to_owned(), at_ms)).into_iter().collect(),
                ..History::default()
            };
            let told = &history.rescales(|_| None)[0];
            (told.duration_ms, told.downtime_ms)
        };
        assert_eq!(told(None), (Some(800), Some(150)));
        assert_eq!(told(all_ms), (Some(1_250), Some(600)));
    }

    /// Goal: the largest backlog is told only where it was looked at from before the wish on, and later backlogs are not of it.
    #[test]
    fn the_largest_backlog_is_one_of_the_rescale() {
        let peak = |seen: &[(i64, f64)]| {
            let mut history = History {
                newest: vec![rescale("b", "UPDATE_REQUIREMENT", "COMPLETED", 1_000)],
                ..History::default()
            };
            seen.iter().for_each(|(at_ms, records)| history.saw_backlog(*at_ms, *records));
            history.rescales(|_| None)[0].backlog_peak_records
        };
        assert_eq!(peak(&[(900, 999.0), (1_500, 40.0), (2_000, 70.0), (90_000, 500.0)]), Some(70.0));
        assert_eq!(peak(&[(1_100, 40.0)]), None);
        assert_eq!(peak(&[]), None);
    }
}
