//! Prometheus' query interface: one instant query with a range selector, which answers the scraped values with their own
//! times.
//!
//! A series gets the dotted name that Flink's Graphite reporter would give it, from its labels, so that the same patterns serve:
//! `<host>.taskmanager.<tm_id>.<job_name>.<operator or task>.<subtask_index>.<metric>`. Metrics of operators carry the
//! operator's name as well as the task's; the operator's counts. Of the counters that both have, the task's are taken, and of a
//! source operator what it has read.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use crate::error::StoreError;
use crate::http::{Bounds, Http, successful};
use crate::mapping::{Mapping, Subject, as_component};
use crate::names::{self, Figure};
use crate::sample::Role;
use crate::series::{Found, Point};

#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) http: Http,
    pub(crate) base: Url,
    pub(crate) selector: String,
    pub(crate) bounds: Bounds,
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Prometheus {
    pub(crate) async fn read(&self, mapping: &Mapping, lookback: Duration) -> Result<Vec<Found>, StoreError> {
        let query = format!("{}[{}s]", self.selector, lookback.as_secs().max(1));
        let url = self.base.join("api/v1/query").map_err(|_| StoreError::Refused(self.base.to_string()))?;
        let answer = self.http.answer(self.http.get(url).query(&[("query", query)])).await?;
        // A refused question comes with an error status and its reason as JSON.
        if let (400..500, body) = &answer
            && let Ok(Answer::Error { error }) = serde_json::from_slice(body)
        {
            return Err(StoreError::Refused(error));
        }
        parse(&successful(answer)?, mapping, self.bounds.max_series)
    }
}

/// The series that a pattern knows.
pub(crate) fn parse(body: &[u8], mapping: &Mapping, max_series: usize) -> Result<Vec<Found>, StoreError> {
    let result = match serde_json::from_slice(body).map_err(StoreError::Unreadable)? {
        Answer::Success { data } => data.result,
        Answer::Error { error } => return Err(StoreError::Refused(error)),
    };
    if result.len() > max_series {
        return Err(StoreError::TooMany { limit: max_series });
    }
    let found = result.into_iter().filter_map(|series| {
        let points = series.values.iter().filter_map(point).collect();
        let subject = mapping.subject(&dotted(&series.metric)?)?;
        let is_operator = series.metric.get("__name__").is_some_and(|name| name.starts_with(OPERATOR));
        let subject = if is_operator { of_operator(subject)? } else { subject };
        Some(Found { subject, points })
    });
    Ok(found.collect())
}

/// What all metrics of operators begin with.
const OPERATOR: &str = "flink_taskmanager_job_task_operator_";

/// An operator's metric: of those that the task has under the same name, only what a source has read is one of its own.
fn of_operator(mut subject: Subject) -> Option<Subject> {
    if let Subject::Subtask { operator, figure, .. } = &mut subject
        && figure.is_of_task()
    {
        let is_source = names::chain(operator).1 == Role::Source;
        *figure = (*figure == Figure::RecordsIn && is_source).then_some(Figure::SourceRecordsIn)?;
    }
    Some(subject)
}

fn point((time_s, value): &(f64, String)) -> Option<Point> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since the Unix epoch")]
    let time_ms = (time_s * 1000.0).round() as i64;
    Some((time_ms, value.parse().ok().filter(|value: &f64| value.is_finite())?))
}

/// The scopes of Flink's reporter by the beginning of the metric's name, the longest first.
const SCOPES: [&str; 4] =
    ["taskmanager_job_task_operator_", "taskmanager_job_task_", "taskmanager_", "jobmanager_job_"];

/// How the offset of a partition ends in the name; which one it is stands in the labels.
const PARTITION: &str = "_topic_partition_currentOffset";

/// The dotted name of a series; [`None`] if it is none of Flink's scopes.
fn dotted(labels: &BTreeMap<String, String>) -> Option<String> {
    let label = |name: &str| labels.get(name).map(|value| as_component(value));
    let name = labels.get("__name__")?.strip_prefix("flink_")?;
    let scope = SCOPES.iter().find(|scope| name.starts_with(**scope))?;
    let metric = name.strip_prefix(scope)?;
    let host = label("host").unwrap_or_default();
    Some(match *scope {
        "jobmanager_job_" => format!("{host}.jobmanager.{}.{metric}", label("job_name")?),
        "taskmanager_" => format!("{host}.taskmanager.{}.{metric}", label("tm_id")?),
        _ => {
            let operator = label("operator_name").or_else(|| label("task_name"))?;
            let (tm, job, subtask) = (label("tm_id")?, label("job_name")?, label("subtask_index")?);
            let metric = match (metric.strip_suffix(PARTITION), label("topic"), label("partition")) {
                (Some(reader), Some(topic), Some(partition)) => {
                    format!("{reader}.topic.{topic}.partition.{partition}.currentOffset")
                }
                _ => metric.to_owned(),
            };
            format!("{host}.taskmanager.{tm}.{job}.{operator}.{subtask}.{metric}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::MappingSettings;

    /// Goal: what Prometheus answers becomes points under the names that the patterns know; a refusal is told as such.
    #[test]
    fn answers_are_read() {
        let mapping = Mapping::new(&MappingSettings::default()).unwrap();
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"flink_taskmanager_job_task_operator_pendingRecords","host":"10.0.0.1","tm_id":"tm.1",
              "job_name":"my job","task_name":"Source: a -> b","operator_name":"Source: a","subtask_index":"2"},
             "values":[[10.25,"5"],[11.25,"NaN"],[12.25,"7"]]},
            {"metric":{"__name__":"up"},"values":[[10,"1"]]}]}}"#;
        let found = parse(body, &mapping, 10).unwrap();
        assert_eq!(found.len(), 1);
        let subject = Subject::Subtask {
            job: "my-job".to_owned(),
            operator: "Source:-a".to_owned(),
            subtask: 2,
            figure: Figure::PendingRecords,
        };
        assert_eq!(found[0].subject, subject);
        assert_eq!(found[0].points, [(10_250, 5.0), (12_250, 7.0)]);
        let refused = parse(br#"{"status":"error","errorType":"bad_data","error":"why"}"#, &mapping, 10);
        assert!(matches!(refused, Err(StoreError::Refused(why)) if why == "why"));
        assert!(matches!(parse(b"{}", &mapping, 10), Err(StoreError::Unreadable(_))));
    }

    /// The subjects of series with these names (behind `flink_taskmanager_job_task_`), operators and further labels.
    fn subjects(series: &[(&str, &str, &str)]) -> Vec<Subject> {
        let mapping = Mapping::new(&MappingSettings::default()).unwrap();
        let series = series.iter().map(|(name, operator, labels)| {
            format!(
                r#"{{"metric":{{"__name__":"flink_taskmanager_job_task_{name}","tm_id":"tm","job_name":"j","task_name":"Source: a",
                "operator_name":"{operator}","subtask_index":"0"{labels}}},"values":[[1,"1"]]}}"#
            )
        });
        let series = series.collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"status":"success","data":{{"result":[{series}]}}}}"#);
        parse(body.as_bytes(), &mapping, 10).unwrap().into_iter().map(|found| found.subject).collect()
    }

    /// Goal: of the counters that operators and tasks have under one name, the task's are its own, a source operator's is what it reads,
    /// and those of other operators are left out, also where operator and task have the same name.
    #[test]
    fn counters_of_operators_are_not_those_of_tasks() {
        let found = subjects(&[
            ("numRecordsIn", "Source: a", ""),
            ("operator_numRecordsIn", "Source: a", ""),
            ("operator_numRecordsIn", "map", ""),
            ("operator_numRecordsOut", "Source: a", ""),
        ]);
        let figures = found.iter().map(|subject| match subject {
            Subject::Subtask { figure, .. } => Some(*figure),
            _ => None,
        });
        let expected = [Some(Figure::RecordsIn), Some(Figure::SourceRecordsIn)];
        assert_eq!(figures.collect::<Vec<_>>(), expected);
    }

    /// Goal: the partition that an offset is of stands in the labels.
    #[test]
    fn partitions_are_told_by_labels() {
        let labels = r#","topic":"my.topic","partition":"3""#;
        let found =
            subjects(&[("operator_KafkaSourceReader_topic_partition_currentOffset", "Source: a", labels)]);
        let partition = "KafkaSourceReader.topic.my-topic.partition.3".to_owned();
        let (job, operator) = ("j".to_owned(), "Source:-a".to_owned());
        assert_eq!(found, [Subject::Partition { job, operator, subtask: 0, partition }]);
    }
}
