//! The writer of each series, to detect two jobs with the same name.
//!
//! A store may contain series of several clusters, each with a job of the same name. Their subtasks have the same job, operator and
//! number; only the rest of a series distinguishes them: further labels of Prometheus, the rest of a dotted name. A subtask that
//! moves to another task manager, or a job that restarts, changes its origin, but never writes under both at the same time. A
//! duplicate (a second Prometheus, a link to a folder) has the same values.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::mapping::Subject;
use crate::series::{MatchedSeries, Point};

/// Labels of the subject of a series. All other labels are part of its origin.
const OF_SUBJECT: [&str; 10] = [
    "__name__",
    "job_id",
    "job_name",
    "operator_id",
    "operator_name",
    "subtask_index",
    "task_attempt_id",
    "task_attempt_num",
    "task_id",
    "task_name",
];

/// The writer of a series.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    /// Flink's id of the job.
    pub(crate) job_id: Option<String>,
    /// Labels, or the rest of a dotted name under the key `series`.
    labels: BTreeMap<String, String>,
}

impl Origin {
    /// By the rest of a dotted name.
    pub(crate) fn of_name(rest: String) -> Self {
        Self { job_id: None, labels: BTreeMap::from([("series".to_owned(), rest)]) }
    }

    /// By the labels of a series. Replicas of one scraper are one origin.
    pub(crate) fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        let is_origin = |name: &str| !OF_SUBJECT.contains(&name) && !name.contains("replica");
        let kept = labels.iter().filter(|(name, _)| is_origin(name));
        Self {
            job_id: labels.get("job_id").cloned(),
            labels: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Describes the labels that the other origin does not have.
    fn differences_from(&self, other: &Self) -> String {
        let with_id = |origin: &Self| {
            let mut labels = origin.labels.clone();
            labels.extend(origin.job_id.clone().map(|id| ("job_id".to_owned(), id)));
            labels
        };
        let (own, others) = (with_id(self), with_id(other));
        let differ = own.iter().filter(|(name, value)| others.get(*name) != Some(value));
        differ.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(", ")
    }

    fn may_be_one_job(&self, other: &Self) -> bool {
        match (&self.job_id, &other.job_id) {
            (Some(own), Some(other)) => own == other,
            _ => self.labels == other.labels,
        }
    }
}

/// Interns origins: there are as many as task managers, and far more series.
#[derive(Debug, Default)]
pub(crate) struct Origins(HashMap<Origin, Arc<Origin>>);

impl Origins {
    pub(crate) fn keep(&mut self, origin: Origin) -> Arc<Origin> {
        if let Some(known) = self.0.get(&origin) {
            return Arc::clone(known);
        }
        let kept = Arc::new(origin.clone());
        self.0.insert(origin, Arc::clone(&kept));
        kept
    }
}

/// Time of the first and the last point, in milliseconds since the Unix epoch.
type Span = (i64, i64);

/// Returns what distinguishes two jobs with the same name that write at the same time, if there are two.
pub(crate) fn ambiguity(
    found: &[MatchedSeries],
    is_of_job: impl Fn(&Subject) -> bool,
    interval_ms: i64,
) -> Option<[String; 2]> {
    let is_subtask = |series: &&MatchedSeries| matches!(series.subject, Subject::Subtask { .. });
    let of_job: Vec<&MatchedSeries> =
        found.iter().filter(is_subtask).filter(|series| is_of_job(&series.subject)).collect();
    let two = two_ids(&of_job, interval_ms).or_else(|| two_writers(&of_job, interval_ms))?;
    Some([two[0].differences_from(two[1]), two[1].differences_from(two[0])])
}

/// Returns two ids of jobs that write at the same time.
fn two_ids<'a>(of_job: &[&'a MatchedSeries], interval_ms: i64) -> Option<[&'a Origin; 2]> {
    let mut by_id: BTreeMap<&str, (Span, &Origin)> = BTreeMap::new();
    for series in of_job {
        let Some((origin, span)) = series.origin.as_deref().zip(span(&series.points)) else { continue };
        let Some(id) = origin.job_id.as_deref() else { continue };
        let (known, _) = by_id.entry(id).or_insert((span, origin));
        *known = (known.0.min(span.0), known.1.max(span.1));
    }
    let lives: Vec<&(Span, &Origin)> = by_id.values().collect();
    let pairs = lives
        .iter()
        .enumerate()
        .flat_map(|(at, first)| lives[at + 1..].iter().map(move |other| (first, other)));
    let mut overlapping = pairs.filter(|(first, other)| overlap_ms(first.0, other.0) >= interval_ms);
    overlapping.next().map(|(first, other)| [first.1, other.1])
}

/// Returns two origins of one series that write different values at the same time.
fn two_writers<'a>(of_job: &[&'a MatchedSeries], interval_ms: i64) -> Option<[&'a Origin; 2]> {
    let mut by_subject: HashMap<&Subject, Vec<(&'a Origin, &'a MatchedSeries)>> = HashMap::new();
    for series in of_job {
        let Some(origin) = series.origin.as_deref() else { continue };
        let others = by_subject.entry(&series.subject).or_default();
        let differs = |(known, other): &&(&Origin, &MatchedSeries)| {
            let spans = span(&series.points).zip(span(&other.points));
            !known.may_be_one_job(origin)
                && spans.is_some_and(|(own, other)| overlap_ms(own, other) >= interval_ms)
                && !is_duplicate(&series.points, &other.points)
        };
        if let Some((known, _)) = others.iter().find(differs) {
            return Some([known, origin]);
        }
        others.push((origin, series));
    }
    None
}

fn span(points: &[Point]) -> Option<Span> {
    Some((points.first()?.0, points.last()?.0))
}

/// Returns the overlap of two spans; negative if one ends before the other begins.
fn overlap_ms(one: Span, other: Span) -> i64 {
    one.1.min(other.1).saturating_sub(one.0.max(other.0))
}

/// Whether both overlap and have the same values in the overlap.
fn is_duplicate(one: &[Point], other: &[Point]) -> bool {
    let mut common = 0;
    let mut rest = other.iter().peekable();
    for (time_ms, value) in one {
        while rest.next_if(|(other_ms, _)| other_ms < time_ms).is_some() {}
        if let Some((_, other)) = rest.next_if(|(other_ms, _)| other_ms == time_ms) {
            common += 1;
            #[expect(clippy::float_cmp, reason = "the same value, read twice")]
            if value != other {
                return false;
            }
        }
    }
    common > 0
}
