//! Selects the jobs of a cluster that are watched.
//!
//! A job is identified by its name, so that a resubmitted job continues with its memory and journal; running jobs with the same name
//! are distinguished by their ids. A job that has ended is still watched for [`GONE_AFTER`], because a submission takes a while. Jobs
//! are excluded by patterns, or by the key [`ENABLED_KEY`] of their own configuration. This module is pure; `watch` has the effects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flink::{JobId, JobOverview};
use regex::Regex;

use crate::placement::{FoundJob, job_name};

/// Interval of polling the jobs of the cluster.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Time after which a job that no longer runs is let go.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(120);
/// The most jobs that are watched: each has a cycle, a journal, and a drop and an agent in this process.
const JOBS_MAX: usize = 500;
/// Key in a job's configuration that excludes it with the value `false`.
pub(crate) const ENABLED_KEY: &str = "rescaler.enabled";

/// A pattern for names and ids of jobs: `*` matches any text, `?` one character.
#[derive(Debug, Clone)]
pub(crate) struct JobPattern(Regex);

impl JobPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The pattern is too long.
    pub(crate) fn new(text: &str) -> Result<Self, regex::Error> {
        let escaped = regex::escape(text).replace(r"\*", ".*").replace(r"\?", ".");
        Regex::new(&format!("(?s)^{escaped}$")).map(Self)
    }

    /// Whether it matches this name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    fn takes(&self, job: &JobOverview) -> bool {
        self.matches(&job.name) || self.matches(job.id.as_str())
    }
}

/// Selection of the watched jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobSelection {
    /// Patterns of included jobs; empty: all.
    pub(crate) only: Vec<JobPattern>,
    /// Patterns of excluded jobs.
    pub(crate) except: Vec<JobPattern>,
}

impl JobSelection {
    fn takes(&self, job: &JobOverview) -> bool {
        let any = |patterns: &[JobPattern]| patterns.iter().any(|pattern| pattern.takes(job));
        (self.only.is_empty() || any(&self.only)) && !any(&self.except)
    }
}

/// The jobs that are watched.
#[derive(Debug, Default)]
pub(crate) struct WatchedJobs {
    selection: JobSelection,
    /// Time at which each job was last seen running, by its name or id.
    seen_at: BTreeMap<String, Duration>,
    /// The jobs whose parameters were asked for, and whether they take part; [`None`]: Flink does not know it yet.
    asked: BTreeMap<JobId, Option<bool>>,
    is_full: bool,
}

/// Changes after polling the cluster.
#[derive(Debug, Default)]
pub(crate) struct WatchChanges {
    /// Jobs to start watching.
    pub(crate) begin: Vec<FoundJob>,
    /// Jobs to stop watching, by name or id.
    pub(crate) end: Vec<String>,
    /// Number of jobs beyond the maximum; reported once.
    pub(crate) too_many: Option<usize>,
}

impl WatchedJobs {
    /// Starts without jobs.
    pub(crate) fn new(selection: JobSelection) -> Self {
        Self { selection, ..Self::default() }
    }

    /// Returns the running jobs whose configuration must be read.
    pub(crate) fn unchecked(&self, jobs: &[JobOverview]) -> Vec<JobId> {
        let is_known = |job: &JobOverview| self.asked.get(&job.id).is_some_and(Option::is_some);
        let new = self.selected(jobs).into_iter().filter(|job| !is_known(job));
        new.map(|job| job.id.clone()).collect()
    }

    /// What a job's parameters say: whether it takes part. While that is unknown ([`None`]), watching it does not begin. Returns whether
    /// it is news.
    pub(crate) fn set_enabled(&mut self, job: JobId, takes_part: Option<bool>) -> bool {
        self.asked.insert(job, takes_part) != Some(takes_part)
    }

    /// Returns the changes for the current jobs of the cluster. `now` is of a monotonic clock.
    pub(crate) fn update(&mut self, jobs: &[JobOverview], now: Duration) -> WatchChanges {
        let alive: BTreeSet<&JobId> = jobs.iter().filter(|job| is_alive(job)).map(|job| &job.id).collect();
        self.asked.retain(|id, _| alive.contains(id));
        let is_out = |job: &JobOverview| self.asked.get(&job.id) == Some(&Some(false));
        let mut taking_part = self.selected(jobs);
        taking_part.retain(|job| !is_out(job));
        let mut changes = WatchChanges::default();
        let mut left_out = 0;
        let found = found(&taking_part, &self.seen_at);
        for (job, found) in taking_part.into_iter().zip(found) {
            if let Some(at) = self.seen_at.get_mut(&found.called) {
                *at = now;
            } else if self.asked.get(&job.id) == Some(&None) {
                // It is asked again with the next look.
            } else if self.seen_at.len() < JOBS_MAX {
                self.seen_at.insert(found.called.clone(), now);
                changes.begin.push(found);
            } else {
                left_out += 1;
            }
        }
        let is_new = left_out > 0 && !self.is_full;
        self.is_full = left_out > 0;
        changes.too_many = is_new.then_some(left_out);
        // A name that now belongs to two jobs, or to an excluded job, is ambiguous: it is not watched any more.
        let names: BTreeSet<&str> =
            jobs.iter().filter(|job| is_alive(job)).map(|job| job.name.as_str()).collect();
        let is_gone = |called: &str, at: Duration| {
            let is_unclear = at < now && names.contains(called);
            is_unclear || now.saturating_sub(at) >= GONE_AFTER
        };
        let gone = self.seen_at.iter().filter(|(called, at)| is_gone(called, **at));
        changes.end = gone.map(|(called, _)| called.clone()).collect();
        for called in &changes.end {
            self.seen_at.remove(called);
        }
        changes
    }

    fn selected<'jobs>(&self, jobs: &'jobs [JobOverview]) -> Vec<&'jobs JobOverview> {
        jobs.iter().filter(|job| is_alive(job) && self.selection.takes(job)).collect()
    }
}

fn is_alive(job: &JobOverview) -> bool {
    !job.state.is_terminal()
}

/// Returns the name or id by which each of these jobs is identified, and the name of its folder, in order. Jobs with the same name or folder
/// are identified by their ids. A job that is already watched by its id stays so when the other job with its name ends.
pub(crate) fn found(jobs: &[&JobOverview], watched: &BTreeMap<String, Duration>) -> Vec<FoundJob> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for job in jobs {
        *names.entry(&job.name).or_default() += 1;
        *folders.entry(job_name(&job.name).to_string()).or_default() += 1;
    }
    let found = |job: &&JobOverview| {
        let id = job.id.to_string();
        let by_id = names[job.name.as_str()] > 1 || watched.contains_key(&id);
        let called = if by_id { id.clone() } else { job.name.clone() };
        let is_alone = folders[job_name(&job.name).as_str()] == 1;
        let folder = if is_alone { job.name.clone() } else { format!("{id}-{}", job.name) };
        FoundJob { folder, called }
    };
    jobs.iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(digit: char, name: &str, state: &str) -> JobOverview {
        let id = digit.to_string().repeat(32);
        serde_json::from_value(serde_json::json!({ "jid": id, "name": name, "state": state })).unwrap()
    }

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn names(changes: &WatchChanges) -> (Vec<&str>, Vec<&str>) {
        (
            changes.begin.iter().map(|found| found.called.as_str()).collect(),
            changes.end.iter().map(String::as_str).collect(),
        )
    }

    /// Goal: jobs are watched as they come, go on over a submission under the same name, and are let go when they stay away.
    #[test]
    fn jobs_come_and_go() {
        let mut watched_jobs = WatchedJobs::default();
        let (a, b) = (job('a', "a", "RUNNING"), job('b', "b", "RUNNING"));
        assert_eq!(names(&watched_jobs.update(std::slice::from_ref(&a), seconds(0))), (vec!["a"], vec![]));
        assert_eq!(names(&watched_jobs.update(&[a.clone(), b.clone()], seconds(5))), (vec!["b"], vec![]));
        let ended = job('a', "a", "FINISHED");
        assert_eq!(names(&watched_jobs.update(&[ended.clone(), b.clone()], seconds(10))), (vec![], vec![]));
        let again = job('c', "a", "CREATED");
        assert_eq!(
            names(&watched_jobs.update(&[ended.clone(), again, b.clone()], seconds(60))),
            (vec![], vec![])
        );
        assert_eq!(names(&watched_jobs.update(std::slice::from_ref(&b), seconds(179))), (vec![], vec![]));
        assert_eq!(names(&watched_jobs.update(std::slice::from_ref(&b), seconds(180))), (vec![], vec!["a"]));
        assert_eq!(names(&watched_jobs.update(&[a, b], seconds(200))), (vec!["a"], vec![]));
    }

    /// Goal: two running jobs of one name are watched by their ids, and the name, which means both now, is let go.
    #[test]
    fn jobs_of_one_name_are_told_apart() {
        let mut watched_jobs = WatchedJobs::default();
        let (first, second) = (job('a', "x", "RUNNING"), job('b', "x", "RUNNING"));
        watched_jobs.update(std::slice::from_ref(&first), seconds(0));
        let changes = watched_jobs.update(&[first.clone(), second.clone()], seconds(5));
        assert_eq!(names(&changes), (vec!["a".repeat(32).as_str(), &"b".repeat(32)], vec!["x"]));
        let folders: BTreeSet<String> =
            changes.begin.iter().map(|found| job_name(&found.folder).to_string()).collect();
        assert_eq!(folders.len(), 2);
        // The one that is left is watched on by its id, and by nothing else.
        assert_eq!(names(&watched_jobs.update(std::slice::from_ref(&second), seconds(10))), (vec![], vec![]));
        // Names that differ, but would share a folder.
        let changes = WatchedJobs::default()
            .update(&[job('a', "My Job", "RUNNING"), job('b', "my-job", "RUNNING")], seconds(0));
        let folders: BTreeSet<String> =
            changes.begin.iter().map(|found| job_name(&found.folder).to_string()).collect();
        assert_eq!((names(&changes).0, folders.len()), (vec!["My Job", "my-job"], 2));
    }

    /// Goal: patterns choose jobs by name or id, and a job's own parameters leave it out.
    #[test]
    fn jobs_are_left_out() {
        let pattern = |text| JobPattern::new(text).unwrap();
        let selection =
            JobSelection { only: vec![pattern("etl-*"), pattern("c*")], except: vec![pattern("*-te?t")] };
        let mut watched_jobs = WatchedJobs::new(selection);
        let jobs = [
            job('a', "etl-1", "RUNNING"),
            job('b', "etl-test", "RUNNING"),
            job('c', "by its id", "RUNNING"),
            job('d', "x etl-1", "RUNNING"),
            job('e', "etl-2", "RUNNING"),
            job('f', "etl-3", "CANCELED"),
        ];
        let unchecked = watched_jobs.unchecked(&jobs);
        assert_eq!(unchecked.iter().map(|id| &id.as_str()[..1]).collect::<Vec<_>>(), ["a", "c", "e"]);
        for id in unchecked {
            let takes_part = !id.as_str().starts_with('e');
            watched_jobs.set_enabled(id, Some(takes_part));
        }
        assert_eq!(names(&watched_jobs.update(&jobs, seconds(0))), (vec!["etl-1", "by its id"], vec![]));
        assert_eq!(watched_jobs.unchecked(&jobs), []);
    }

    /// Goal: while a job's parameters are unknown it is not begun and asked again; a job that goes on under its name stays until it is known
    /// to be left out.
    #[test]
    fn unknown_parameters_are_waited_for() {
        let mut watched_jobs = WatchedJobs::default();
        let (a, again) = (job('a', "a", "CREATED"), job('b', "a", "CREATED"));
        let mut look = |job: &JobOverview, takes_part, at| {
            let jobs = std::slice::from_ref(job);
            assert_eq!(watched_jobs.unchecked(jobs).first(), Some(&job.id));
            watched_jobs.set_enabled(job.id.clone(), takes_part);
            let changes = watched_jobs.update(jobs, seconds(at));
            (changes.begin.len(), changes.end.len())
        };
        assert_eq!(look(&a, None, 0), (0, 0));
        assert_eq!(look(&a, Some(true), 5), (1, 0));
        assert_eq!(look(&again, None, 10), (0, 0));
        assert_eq!(look(&again, Some(false), 15), (0, 1));
    }

    /// Goal: the number of jobs is bounded, and what is left out is reported once.
    #[test]
    fn the_number_of_jobs_is_bounded() {
        let mut watched_jobs = WatchedJobs::default();
        let jobs: Vec<JobOverview> = (0..JOBS_MAX + 2)
            .map(|number| {
                let id = format!("{number:032x}");
                serde_json::from_value(serde_json::json!({ "jid": id, "name": id, "state": "RUNNING" }))
                    .unwrap()
            })
            .collect();
        let changes = watched_jobs.update(&jobs, seconds(0));
        assert_eq!((changes.begin.len(), changes.too_many), (JOBS_MAX, Some(2)));
        assert_eq!(watched_jobs.update(&jobs, seconds(5)).too_many, None);
    }
}
