//! Converts series of a store to a sample, as if it had been read from the job itself.
//!
//! A store contains neither the job's graph nor its restarts; both are derived from the series. The subtasks of an operator are
//! those with a value within the lookback time. A subtask without new values is still expected during that time, so that a lost
//! task manager makes its operators unknown instead of smaller. A counter that fell, or another number of subtasks, means a
//! restart. If Flink's REST interface is available for the graph, it takes precedence.

mod global;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flink::{JobDetails, graphite_component};

use crate::mapping::Subject;
use crate::names::{self, SubtaskMetric};
use crate::origins::{self, Origin};
use crate::sample::{Incarnation, Role, Sample, Subtask, Vertex};

/// Time in milliseconds since the Unix epoch, and value.
pub(crate) type Point = (i64, f64);

/// A series that a pattern matches, with its newest points by time.
#[derive(Debug, Clone)]
pub(crate) struct MatchedSeries {
    pub(crate) subject: Subject,
    pub(crate) points: Vec<Point>,
    /// Whether there are points that are no finite number: the writer lives, and its value is unknown.
    pub(crate) has_unreadable: bool,
    /// Its writer, as far as the store shows it.
    pub(crate) origin: Option<Arc<Origin>>,
}

/// Rules for reading series.
#[derive(Debug, Clone)]
pub(crate) struct SeriesRules {
    /// The job's name.
    pub(crate) job: String,
    /// How often the store gets a new value of each series, in milliseconds. Older than two of these is unknown.
    pub(crate) interval_ms: i64,
}

/// The graph from Flink's REST interface.
pub(crate) struct Structure {
    pub(crate) details: JobDetails,
    pub(crate) vertices: Vec<Vertex>,
}

/// Builds samples from series, and remembers what it needs to detect a restart.
#[derive(Debug)]
pub(crate) struct Assembler {
    rules: SeriesRules,
    life: Option<Execution>,
}

/// The job at the last sample.
#[derive(Debug, PartialEq)]
struct Execution {
    since_ms: i64,
    parallelism: BTreeMap<String, u32>,
    counters: BTreeMap<(String, u32, SubtaskMetric), f64>,
}

/// The series of the subtasks of one vertex, by subtask and figure.
type Readings<'a> = BTreeMap<(u32, SubtaskMetric), &'a [Point]>;

impl Assembler {
    pub(crate) fn new(rules: SeriesRules) -> Self {
        Self { rules, life: None }
    }

    /// The sample at this time; [`None`] if no series is one of a subtask of the job.
    ///
    /// # Errors
    /// Several jobs with the same name write at the same time: what distinguishes two of them.
    pub(crate) fn assemble(
        &mut self,
        mut found: Vec<MatchedSeries>,
        now_ms: i64,
        structure: Option<Structure>,
    ) -> Result<Option<Sample>, [String; 2]> {
        found.retain(|series| self.may_be_meant(series, structure.as_ref()));
        if let Some(jobs) =
            origins::ambiguity(&found, |subject| self.is_of_job(subject), self.rules.interval_ms)
        {
            return Err(jobs);
        }
        Ok(self.assembled(&found, now_ms, structure))
    }

    /// Whether a series may belong to the job: Flink's REST interface has the job's id, and the series has no other.
    fn may_be_meant(&self, series: &MatchedSeries, structure: Option<&Structure>) -> bool {
        let (Some(Structure { details, .. }), Some(origin)) = (structure, &series.origin) else {
            return true;
        };
        let is_other =
            origin.job_id.as_ref().is_some_and(|id| !id.eq_ignore_ascii_case(&details.id.to_string()));
        !(is_other && self.is_of_job(&series.subject))
    }

    fn assembled(
        &mut self,
        found: &[MatchedSeries],
        now_ms: i64,
        structure: Option<Structure>,
    ) -> Option<Sample> {
        let newest = once_each(found);
        let tasks = self.tasks(&newest);
        let (details, bare) = match structure {
            Some(Structure { details, vertices }) => (Some(details), vertices),
            None => (None, self.guessed(&tasks)),
        };
        let by_operator = self.by_vertex(&newest, &tasks, &bare);
        let mut newest_ms = i64::MIN;
        let mut vertices = Vec::with_capacity(bare.len());
        for vertex in bare {
            let readings = by_operator.get(&vertex.name);
            let subtasks = (0..vertex.parallelism)
                .map(|index| readings.map_or_else(Subtask::default, |all| self.subtask(all, index, now_ms)))
                .collect::<Vec<_>>();
            newest_ms = subtasks.iter().filter_map(|subtask| subtask.at_ms).fold(newest_ms, i64::max);
            let mut vertex = Vertex { subtasks, ..vertex };
            self.count_partitions(&mut vertex, &newest, now_ms);
            vertices.push(vertex);
        }
        if by_operator.is_empty() {
            return None;
        }
        vertices.sort_by(|a, b| a.name.cmp(&b.name));
        if newest_ms == i64::MIN {
            newest_ms = by_operator
                .values()
                .flat_map(BTreeMap::values)
                .filter_map(|points| newest_time(points))
                .max()?;
        }
        let (incarnation, job, running_ms) = match &details {
            Some(details) => execution_of(details, now_ms),
            None => {
                let (incarnation, job) = self.guessed_life(&vertices, &by_operator, now_ms);
                let running_ms = now_ms - incarnation.running_since_ms;
                (incarnation, job, running_ms)
            }
        };
        Some(Sample {
            at_ms: now_ms,
            newest_ms,
            running_ms,
            incarnation,
            job,
            vertices,
            task_managers: self.task_managers(&newest, now_ms),
            state_size_bytes: self.state_size_bytes(&newest, now_ms),
            stored_size_bytes: self.stored_size_bytes(&newest),
        })
    }

    /// Whether something is of the job that is looked at; what a task manager has in common is of no job.
    pub(crate) fn is_of_job(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Subtask { job, .. } | Subject::Partition { job, .. } | Subject::Job { job, .. } => {
                self.is_job(job)
            }
            Subject::TaskManager { .. } => false,
        }
    }

    fn is_job(&self, name: &str) -> bool {
        let wanted = &self.rules.job;
        // Prometheus's reporter may replace everything but letters, digits and colons by underscores.
        let underscored = |name: &str| -> String {
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect()
        };
        name == wanted
            || graphite_component(name) == graphite_component(wanted)
            || name == underscored(wanted)
    }

    /// The subtasks' readings of this job.
    fn of_job<'a, 'b: 'a>(
        &'a self,
        newest: &'a BTreeMap<&'b Subject, &'b [Point]>,
    ) -> impl Iterator<Item = (&'b str, u32, SubtaskMetric, &'b [Point])> + 'a {
        newest.iter().filter_map(|(subject, points)| match subject {
            Subject::Subtask { job, operator, subtask, figure } if self.is_job(job) => {
                Some((operator.as_str(), *subtask, *figure, *points))
            }
            _ => None,
        })
    }

    /// The names that are those of tasks, with their number of subtasks. Operators chained in a task have series as well, but
    /// only tasks are busy; where nothing says how busy it is, each operator is taken for a task.
    fn tasks<'b>(&self, newest: &BTreeMap<&'b Subject, &'b [Point]>) -> BTreeMap<&'b str, u32> {
        let mut tasks = BTreeMap::new();
        let has_busy = self.of_job(newest).any(|(_, _, figure, _)| figure.is_task_metric());
        for (operator, subtask, figure, _) in self.of_job(newest) {
            if figure.is_task_metric() || (!has_busy && figure.is_of_task()) {
                let parallelism = tasks.entry(operator).or_insert(0);
                *parallelism = (*parallelism).max(subtask + 1);
            }
        }
        tasks
    }

    /// Returns the vertices by the names of the series, without edges.
    fn guessed(&self, tasks: &BTreeMap<&str, u32>) -> Vec<Vertex> {
        let vertex = |(name, parallelism): (&&str, &u32)| {
            let (chain, role) = names::chain(name);
            Some(Vertex {
                name: chain.into_iter().next()?,
                parallelism: *parallelism,
                role: Some(role),
                ..Vertex::default()
            })
        };
        let mut seen = BTreeSet::new();
        tasks.iter().filter_map(vertex).filter(|vertex| seen.insert(vertex.name.clone())).collect()
    }

    /// The series of each vertex: those of its task under the task's name, and those of its operators under theirs.
    fn by_vertex<'b>(
        &self,
        newest: &BTreeMap<&'b Subject, &'b [Point]>,
        tasks: &BTreeMap<&str, u32>,
        vertices: &[Vertex],
    ) -> BTreeMap<String, Readings<'b>> {
        let known: BTreeMap<String, &str> =
            vertices.iter().map(|vertex| (graphite_component(&vertex.name), vertex.name.as_str())).collect();
        let mut vertex_of: BTreeMap<String, &str> = BTreeMap::new();
        for task in tasks.keys() {
            let (chain, _) = names::chain(task);
            let Some(vertex) = chain.first().and_then(|head| known.get(&graphite_component(head))) else {
                continue;
            };
            for operator in &chain {
                vertex_of.entry(graphite_component(operator)).or_insert(vertex);
            }
        }
        let mut by_vertex: BTreeMap<String, Readings<'b>> = BTreeMap::new();
        for (operator, subtask, figure, points) in self.of_job(newest) {
            let is_task = tasks.contains_key(operator);
            let figure = match figure {
                // A source operator counts what it reads under the same name as the task that it is chained in.
                SubtaskMetric::RecordsIn if !is_task && names::chain(operator).1 == Role::Source => {
                    SubtaskMetric::SourceRecordsIn
                }
                other => other,
            };
            if figure.is_of_task() && !is_task {
                continue;
            }
            let head = names::chain(operator).0.into_iter().next().unwrap_or_default();
            if let Some(vertex) = vertex_of.get(&graphite_component(&head)) {
                by_vertex.entry((*vertex).to_owned()).or_default().insert((subtask, figure), points);
            }
        }
        by_vertex
    }

    fn is_fresh(&self, time_ms: i64, now_ms: i64) -> bool {
        now_ms - time_ms <= 2 * self.rules.interval_ms
    }

    /// The readings of one subtask at the newest time for which all its counters are known; nothing if that is too long ago.
    fn subtask(&self, readings: &Readings<'_>, index: u32, now_ms: i64) -> Subtask {
        let of_subtask = || {
            readings.range((index, SubtaskMetric::RecordsIn)..).take_while(|((other, _), _)| *other == index)
        };
        let counters = of_subtask().filter(|((_, figure), _)| figure.is_counter());
        let any = of_subtask().filter_map(|(_, points)| newest_time(points)).max();
        let Some(at_ms) = counters.filter_map(|(_, points)| newest_time(points)).min().or(any) else {
            return Subtask::default();
        };
        if !self.is_fresh(at_ms, now_ms) {
            return Subtask::default();
        }
        let mut subtask = Subtask { at_ms: Some(at_ms), ..Subtask::default() };
        for ((_, figure), points) in of_subtask() {
            let until_then = points.iter().rev().find(|(time_ms, _)| *time_ms <= at_ms);
            if let Some((time_ms, value)) = until_then.filter(|(time_ms, _)| self.is_fresh(*time_ms, now_ms))
            {
                figure.put(&mut subtask, *value, *time_ms);
            }
        }
        names::finish(std::slice::from_mut(&mut subtask));
        subtask
    }

    /// Returns the incarnation by the counters, and the known properties of the job.
    fn guessed_life(
        &mut self,
        vertices: &[Vertex],
        readings: &BTreeMap<String, Readings<'_>>,
        now_ms: i64,
    ) -> (Incarnation, scaling::Job) {
        let parallelism = vertices.iter().map(|vertex| (vertex.name.clone(), vertex.parallelism)).collect();
        let mut counters = BTreeMap::new();
        let mut oldest_ms = now_ms;
        for (name, readings) in readings {
            for ((subtask, figure), points) in readings.iter().filter(|((_, figure), _)| figure.is_counter())
            {
                if let (Some((first_ms, _)), Some((_, value))) = (points.first(), points.last()) {
                    oldest_ms = oldest_ms.min(*first_ms);
                    counters.insert((name.clone(), *subtask, *figure), *value);
                }
            }
        }
        let fell_before = readings.values().flat_map(BTreeMap::iter).any(|((_, figure), points)| {
            figure.is_counter() && !points.iter().map(|(_, value)| value).is_sorted()
        });
        let since_ms = match &self.life {
            Some(life) if life.parallelism == parallelism && !has_fallen(&life.counters, &counters) => {
                life.since_ms
            }
            None if !fell_before => oldest_ms,
            _ => now_ms,
        };
        self.life = Some(Execution { since_ms, parallelism, counters });
        let incarnation = Incarnation { job_id: self.rules.job.clone(), running_since_ms: since_ms };
        (incarnation, scaling::Job { name: self.rules.job.clone(), ..scaling::Job::default() })
    }

    fn fresh_value(&self, points: &[Point], now_ms: i64) -> Option<f64> {
        points.last().filter(|(time_ms, _)| self.is_fresh(*time_ms, now_ms)).map(|(_, value)| *value)
    }
}

/// Returns one series per subject: the one with the newest point. A restarted task manager has a new name and writes new series
/// beside the old ones, and two patterns or task managers may yield the same series. A series with unreadable values counts without
/// points: its subtask exists and is unknown.
fn once_each(found: &[MatchedSeries]) -> BTreeMap<&Subject, &[Point]> {
    let mut once: BTreeMap<&Subject, &[Point]> = BTreeMap::new();
    for MatchedSeries { subject, points, .. } in
        found.iter().filter(|found| !found.points.is_empty() || found.has_unreadable)
    {
        let held = once.entry(subject).or_insert(points);
        if newest_time(held) < newest_time(points) {
            *held = points;
        }
    }
    once
}

fn newest_time(points: &[Point]) -> Option<i64> {
    points.last().map(|(time_ms, _)| *time_ms)
}

fn has_fallen<K: Ord>(before: &BTreeMap<K, f64>, after: &BTreeMap<K, f64>) -> bool {
    after.iter().any(|(key, value)| before.get(key).is_some_and(|before| value < before))
}

/// Returns the incarnation of the job by Flink's REST interface, and its age in milliseconds. Without a start time from Flink every
/// sample is a new incarnation, so that nothing is computed across samples.
fn execution_of(details: &JobDetails, now_ms: i64) -> (Incarnation, scaling::Job, i64) {
    let running_ms = details.running_ms().unwrap_or(0);
    let running_since_ms = details.running_since_ms().unwrap_or(now_ms);
    let job = scaling::Job {
        name: details.name.clone(),
        id: Some(details.id.to_string()),
        state: Some("RUNNING".to_owned()),
        running_since_ms: Some(now_ms - running_ms),
        ..scaling::Job::default()
    };
    (Incarnation { job_id: details.id.to_string(), running_since_ms }, job, running_ms)
}

#[cfg(test)]
mod tests;
