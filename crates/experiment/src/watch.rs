//! Polls a job several times per second throughout a run: its state, parallelism, and Flink's rescale history. It
//! only reads, independent of what scales the job.

use std::collections::BTreeMap;
use std::time::Duration;

use flink::{Client, JobDetails, JobId, Rescale};
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::changes::{JobSample, ParallelismChange, changes};

/// Poll interval. Flink is configured here to refresh a job's details every 200 ms.
const EVERY: Duration = Duration::from_millis(250);
/// Flink's history is read once per this many polls; it keeps the newest 50 changes.
const HISTORY_EVERY: u32 = 20;
/// Bound on the kept changes: more of them mean a broken job.
const RESCALES_MAX: usize = 10_000;

/// Polls a job and stores what it sees.
#[derive(Debug)]
pub(crate) struct Watch {
    client: Client,
    job: String,
    seen: Mutex<WatchedJob>,
}

#[derive(Debug, Default)]
struct WatchedJob {
    /// Samples that differ from the previous one.
    samples: Vec<JobSample>,
    /// Rescales by id.
    rescales: BTreeMap<String, Rescale>,
    /// The job as last found.
    id: Option<JobId>,
}

impl Watch {
    /// Creates a watch on the job of this name.
    pub(crate) fn new(client: Client, job: &str) -> Self {
        Self { client, job: job.to_owned(), seen: Mutex::default() }
    }

    /// Polls until the future is dropped.
    pub(crate) async fn poll(&self, began: Instant) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for poll in 0_u32.. {
            ticks.tick().await;
            let mut seen = self.seen.lock().await;
            if let Some(sample) = self.sample(&mut seen, began).await {
                note(&mut seen.samples, sample);
            }
            if poll.is_multiple_of(HISTORY_EVERY) {
                self.read_history(&mut seen).await;
            }
        }
    }

    /// Returns all changes until now.
    pub(crate) async fn changes(&self, began_ms: i64) -> Vec<ParallelismChange> {
        let mut seen = self.seen.lock().await;
        self.read_history(&mut seen).await;
        let rescales: Vec<Rescale> = seen.rescales.values().cloned().collect();
        changes(&seen.samples, &rescales, began_ms)
    }

    /// Takes a sample; `None` if Flink does not answer.
    async fn sample(&self, seen: &mut WatchedJob, began: Instant) -> Option<JobSample> {
        let details = match &seen.id {
            Some(id) => self.client.job(id).await,
            None => return self.find(seen, began).await,
        };
        let at_s = since(began);
        match details {
            Ok(details) if details.state.is_terminal() => self.find(seen, began).await,
            Ok(details) => Some(of_details(at_s, &details)),
            Err(error) if error.is_not_found() => self.find(seen, began).await,
            Err(_) => None,
        }
    }

    /// Finds the job under its current id.
    async fn find(&self, seen: &mut WatchedJob, began: Instant) -> Option<JobSample> {
        let jobs = self.client.jobs().await.ok()?;
        let lives = jobs.into_iter().filter(|job| job.name == self.job && !job.state.is_terminal());
        let found = lives.max_by_key(|job| job.start_time_ms);
        if let Some(found) = found {
            // The history of the previous execution soon disappears.
            self.read_history(seen).await;
            seen.id = Some(found.id);
        }
        Some(JobSample { at_s: since(began), ..JobSample::default() })
    }

    async fn read_history(&self, seen: &mut WatchedJob) {
        let Some(id) = &seen.id else { return };
        let Ok(newest) = self.client.rescales(id).await else { return };
        for rescale in newest {
            let is_whole = |known: &Rescale| known.ended_ms.is_some();
            if seen.rescales.get(&rescale.id).is_some_and(is_whole) || seen.rescales.len() >= RESCALES_MAX {
                continue;
            }
            let details = self.client.rescale_details(id, &rescale.id).await.ok().flatten();
            seen.rescales.insert(rescale.id.clone(), details.unwrap_or(rescale));
        }
    }
}

fn note(samples: &mut Vec<JobSample>, sample: JobSample) {
    let is_same = |last: &JobSample| JobSample { at_s: sample.at_s, ..last.clone() } == sample;
    if !samples.last().is_some_and(is_same) {
        samples.push(sample);
    }
}

fn since(began: Instant) -> f64 {
    let now = Instant::now();
    match now.checked_duration_since(began) {
        Some(since) => since.as_secs_f64(),
        None => -began.duration_since(now).as_secs_f64(),
    }
}

fn of_details(at_s: f64, details: &JobDetails) -> JobSample {
    if !details.is_fully_running() {
        return JobSample { at_s, job_id: details.id.to_string(), ..JobSample::default() };
    }
    let widths =
        details.vertices.iter().map(|vertex| (vertex.head_operator().to_owned(), vertex.parallelism));
    let groups =
        details.vertices.iter().map(|vertex| (vertex.slot_sharing_group.as_ref(), vertex.parallelism));
    JobSample {
        at_s,
        job_id: details.id.to_string(),
        is_running: true,
        slots: slots(groups),
        widths: widths.collect(),
    }
}

/// Returns the slots that vertices with these groups and parallelisms need: vertices of one group share them.
pub(crate) fn slots<G: Ord>(vertices: impl Iterator<Item = (G, u32)>) -> u32 {
    let mut widest: BTreeMap<G, u32> = BTreeMap::new();
    for (group, width) in vertices {
        let most = widest.entry(group).or_default();
        *most = (*most).max(width);
    }
    widest.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: vertices of one slot sharing group share slots; those of other groups do not.
    #[test]
    fn groups_share_slots() {
        assert_eq!(slots([(Some("a"), 2), (Some("a"), 5), (Some("b"), 3)].into_iter()), 8);
        assert_eq!(slots(std::iter::empty::<(u8, u32)>()), 0);
    }

    /// Goal: only samples that differ from the previous one are kept.
    #[test]
    fn repetitions_are_left_out() {
        let mut samples = Vec::new();
        for (at_s, slots) in [(0.0, 1), (0.25, 1), (0.5, 2), (0.75, 2)] {
            note(&mut samples, JobSample { at_s, slots, ..JobSample::default() });
        }
        assert_eq!(samples.iter().map(|sample| sample.at_s).collect::<Vec<_>>(), [0.0, 0.5]);
    }
}
