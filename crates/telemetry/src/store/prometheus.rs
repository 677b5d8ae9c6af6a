//! Prometheus' query interface: one instant query with a range selector, which returns the scraped values with their own
//! times.
//!
//! The labels of a series determine its subject ([`super::labels`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use secrets::HttpUrl;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

use super::labels::subject;
use super::points::Points;
use super::{MetricStore, Read, Reading};
use crate::error::StoreError;
use crate::http::{Bounds, Http, successful};
use crate::mapping::Mapping;
use crate::origins::{Origin, Origins};
use crate::series::MatchedSeries;

/// Length limit of a store's warnings, in characters.
const WARNING_CHARS: usize = 300;

#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) http: Http,
    pub(crate) base: HttpUrl,
    pub(crate) selector: String,
    pub(crate) bounds: Bounds,
}

/// The response; its large parts are parsed later.
#[derive(Deserialize)]
struct Answer<'a> {
    status: Status,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    error: Option<String>,
    /// Of Thanos, Mimir and others: which part did not answer.
    #[serde(default)]
    warnings: Option<Vec<String>>,
    /// Of VictoriaMetrics: a part did not answer.
    #[serde(default, rename = "isPartial")]
    is_partial: Option<bool>,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Points<false>,
}

impl MetricStore for Prometheus {
    fn kind(&self) -> &'static str {
        "prometheus"
    }

    fn place(&self) -> String {
        self.base.to_string()
    }

    fn remedy_for_ambiguity(&self) -> &'static str {
        "select one with source.labels"
    }

    fn read<'a>(&'a mut self, mapping: &'a Mapping, _now_ms: i64, lookback: Duration) -> Read<'a> {
        Box::pin(async move {
            let query = format!("{}[{}s]", self.selector, lookback.as_secs().max(1));
            let url = self.base.url().join("api/v1/query");
            let url = url.map_err(|_| StoreError::Refused(self.base.to_string()))?;
            let answer = self.http.get(url, [("query", query.as_str())]).await?;
            // A refused question comes with an error status and its reason as JSON.
            if let (400..500, body) = &answer
                && let Ok(Answer { status: Status::Error, error: Some(error), .. }) =
                    serde_json::from_slice(body)
            {
                return Err(StoreError::Refused(error));
            }
            parse(&successful(answer)?, mapping, self.bounds.max_series).map(Reading::whole)
        })
    }
}

/// Returns the series that a pattern matches.
pub(crate) fn parse(
    body: &[u8],
    mapping: &Mapping,
    max_series: usize,
) -> Result<Vec<MatchedSeries>, StoreError> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(StoreError::Unreadable)?;
    let data = match answer {
        Answer { status: Status::Error, error, .. } => {
            return Err(StoreError::Refused(error.unwrap_or_else(|| "no reason given".to_owned())));
        }
        Answer { data, .. } => data.map_or("null", RawValue::get),
    };
    if let Some(why) = partial(&answer.warnings.unwrap_or_default(), answer.is_partial == Some(true)) {
        return Err(StoreError::Partial { why });
    }
    let data: Data<'_> = serde_json::from_str(data).map_err(StoreError::Unreadable)?;
    let mut list = List { mapping, max_series, count: 0, found: Vec::new(), origins: Origins::default() };
    let read = serde_json::Deserializer::from_str(data.result.get()).deserialize_seq(&mut list);
    if list.count > max_series {
        return Err(StoreError::TooMany { limit: max_series });
    }
    read.map_err(StoreError::Unreadable)?;
    Ok(list.found)
}

/// Returns why a response is partial, if it is: the job would look smaller than it is.
fn partial(warnings: &[String], is_partial: bool) -> Option<String> {
    if warnings.is_empty() {
        return is_partial.then(|| "isPartial is true".to_owned());
    }
    Some(warnings.join("; ").chars().take(WARNING_CHARS).collect())
}

/// Converts the series of a response one by one, so that the labels of only one are in memory.
struct List<'m> {
    mapping: &'m Mapping,
    max_series: usize,
    count: usize,
    found: Vec<MatchedSeries>,
    origins: Origins,
}

impl<'de> Visitor<'de> for &mut List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(Series { metric, values }) = list.next_element()? {
            self.count += 1;
            if self.count > self.max_series {
                return Err(serde::de::Error::custom("too many series"));
            }
            let Some(subject) = subject(self.mapping, &metric) else { continue };
            self.found.push(MatchedSeries {
                subject,
                points: values.points,
                has_unreadable: values.has_unreadable,
                origin: Some(self.origins.keep(Origin::of_labels(&metric))),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{MappingSettings, Subject};
    use crate::names::SubtaskMetric;

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
            figure: SubtaskMetric::PendingRecords,
        };
        assert_eq!(found[0].subject, subject);
        assert_eq!(found[0].points, [(10_250, 5.0), (12_250, 7.0)]);
        let refused = parse(br#"{"status":"error","errorType":"bad_data","error":"why"}"#, &mapping, 10);
        assert!(matches!(refused, Err(StoreError::Refused(why)) if why == "why"));
        assert!(matches!(parse(b"{}", &mapping, 10), Err(StoreError::Unreadable(_))));
        assert!(matches!(parse(br#"{"status":"success"}"#, &mapping, 10), Err(StoreError::Unreadable(_))));
    }

    /// Goal: an answer that lacks series and says so, in the way of Thanos or of VictoriaMetrics, is none; empty warnings say nothing.
    #[test]
    fn a_partial_answer_is_none() {
        let mapping = Mapping::new(&MappingSettings::default()).unwrap();
        let with = |member: &str| {
            let body = format!(
                r#"{{"status":"success",{member}"data":{{"resultType":"matrix","result":[
                {{"metric":{{"__name__":"flink_taskmanager_job_task_numRecordsIn","tm_id":"t","job_name":"j","task_name":"a",
                "subtask_index":"0"}},"values":[[10,"1"]]}}]}}}}"#
            );
            parse(body.as_bytes(), &mapping, 10)
        };
        for (member, why) in [
            (r#""warnings":["No StoreAPIs matched for this query"],"#, "No StoreAPIs"),
            (r#""isPartial":true,"#, "isPartial"),
        ] {
            let error = with(member).unwrap_err();
            assert!(matches!(&error, StoreError::Partial { why: found } if found.contains(why)), "{error}");
        }
        for member in ["", r#""warnings":[],"isPartial":false,"#, r#""warnings":null,"infos":["hint"],"#] {
            assert_eq!(with(member).unwrap().len(), 1, "{member}");
        }
    }

    /// Goal: one value that is no number makes that point unknown and nothing else; too many series are refused.
    #[test]
    fn an_infinite_value_costs_one_point() {
        let mapping = Mapping::new(&MappingSettings::default()).unwrap();
        let body = br#"{"status":"success","data":{"result":[{"metric":{"__name__":"flink_taskmanager_job_task_numRecordsIn",
            "tm_id":"t","job_name":"j","task_name":"a","subtask_index":"0"},"values":[[10,"1"],[11,"+Inf"],[12,5e999]]}]}}"#;
        let found = parse(body, &mapping, 10).unwrap();
        assert_eq!((&found[0].points[..], found[0].has_unreadable), (&[(10_000, 1.0)][..], true));
        assert!(matches!(parse(body, &mapping, 0), Err(StoreError::TooMany { limit: 0 })));
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
        let expected = [Some(SubtaskMetric::RecordsIn), Some(SubtaskMetric::SourceRecordsIn)];
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
