//! Requests for metrics. The JobManager caches them and refreshes them every `metrics.fetcher.update-interval`, and
//! only on request.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::form_urlencoded;

use crate::{Client, Error, JobId, VertexId};

/// One value. Flink sends every number as text; anything but a number is [`None`].
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The name as listed, for example `0.q7-bid-item.latency_mean`.
    pub id: String,
    /// The value; unknown is not 0.
    pub value: Option<f64>,
}

/// An entry of a response, with its texts where they lie in the body.
#[derive(Deserialize)]
struct Entry<'body> {
    #[serde(borrow)]
    id: Cow<'body, str>,
    #[serde(default)]
    value: Number,
}

/// A number, or a text that is one; anything else is unknown.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a metric")
    }

    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.trim().parse().ok().filter(|value: &f64| value.is_finite())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
        Ok(Number(Some(value).filter(|value| value.is_finite())))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts above 2^53 are not exact as text either")]
    fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
        Ok(Number(Some(value as f64)))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts above 2^53 are not exact as text either")]
    fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
        Ok(Number(Some(value as f64)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Number, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Number, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }
}

/// Calls a function with each entry of a response, without a list of them.
struct Each<F>(F);

impl<'de, F: FnMut(&str, Option<f64>)> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&str, Option<f64>)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of metrics")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some(Entry { id, value }) = entries.next_element::<Entry<'de>>()? {
            self.0(&id, value.0);
        }
        Ok(())
    }
}

fn read_each(body: &[u8], each: impl FnMut(&str, Option<f64>)) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    Each(each).deserialize(&mut json)?;
    json.end()
}

/// Names of metrics that are read again and again: encoded once, and split so that no request line exceeds Netty's 4096
/// bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricQuery {
    /// The query strings, one per request.
    queries: Vec<String>,
    names: usize,
}

impl MetricQuery {
    /// Prepares these names. Those of one subtask that stand together are read together where they fit.
    pub fn new(names: &[String]) -> Self {
        Self { queries: queries(names), names: names.len() }
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.names
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.names == 0
    }
}

impl Client {
    /// Fetches the names of all metrics of a vertex, prefixed by the subtask's index: `0.numRecordsIn`.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn vertex_metric_names(&self, job: &JobId, vertex: &VertexId) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        let path = format!("jobs/{job}/vertices/{vertex}/metrics");
        self.get_in_place(&path, |body| read_each(body, |id, _| names.push(id.to_owned()))).await?;
        Ok(names)
    }

    /// Fetches metrics of a vertex by name. Unknown names are absent from the result.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn vertex_metrics(
        &self,
        job: &JobId,
        vertex: &VertexId,
        names: &[String],
    ) -> Result<Vec<Metric>, Error> {
        self.metrics(&format!("jobs/{job}/vertices/{vertex}/metrics"), &MetricQuery::new(names)).await
    }

    /// Fetches metrics of a vertex by name, and calls `each` with the name and the value of each; a value that is no number is [`None`].
    /// Unknown names are absent. One request follows the other.
    ///
    /// # Errors
    /// Any [`Error`] of the transport; `each` may have been called before.
    pub async fn read_vertex_metrics(
        &self,
        job: &JobId,
        vertex: &VertexId,
        query: &MetricQuery,
        each: impl FnMut(&str, Option<f64>) + Send,
    ) -> Result<(), Error> {
        self.read_metrics(&format!("jobs/{job}/vertices/{vertex}/metrics"), query, each).await
    }

    /// Fetches metrics of a task manager by name, for example `Status.JVM.CPU.Load`.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn task_manager_metrics(&self, id: &str, names: &[String]) -> Result<Vec<Metric>, Error> {
        self.metrics(&format!("taskmanagers/{}/metrics", path_segment(id)), &MetricQuery::new(names)).await
    }

    async fn metrics(&self, path: &str, query: &MetricQuery) -> Result<Vec<Metric>, Error> {
        let mut metrics = Vec::with_capacity(query.len());
        let each = |id: &str, value| metrics.push(Metric { id: id.to_owned(), value });
        self.read_metrics(path, query, each).await?;
        Ok(metrics)
    }

    async fn read_metrics(
        &self,
        path: &str,
        query: &MetricQuery,
        mut each: impl FnMut(&str, Option<f64>) + Send,
    ) -> Result<(), Error> {
        for query in &query.queries {
            self.get_in_place(&format!("{path}?{query}"), |body| read_each(body, &mut each)).await?;
        }
        Ok(())
    }
}

/// Encodes a text as one path segment: reserved characters are percent-encoded.
fn path_segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte);
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// Maximum length of a query string, in bytes. What remains of Netty's request line is for the path, which a proxy may prefix.
const QUERY_BYTES_MAX: usize = 3_600;

/// Splits a list of names into query strings. Consecutive names of the same subtask (the text up to the first dot) stay
/// together where they fit: the JobManager may refresh its cache between two requests, and values that are divided by
/// each other must be from the same refresh.
fn queries(names: &[String]) -> Vec<String> {
    let mut queries: Vec<String> = Vec::new();
    for group in names.chunk_by(|a, b| subtask_of(a) == subtask_of(b)) {
        let group: Vec<String> = group.iter().map(|name| encoded(name)).collect();
        let group_bytes = group.iter().map(|name| name.len() + 1).sum::<usize>();
        let room_bytes = queries.last().map_or(0, |query| QUERY_BYTES_MAX.saturating_sub(query.len()));
        let mut starts_anew = group_bytes > room_bytes && group_bytes + PARAMETER.len() <= QUERY_BYTES_MAX;
        for name in group {
            match queries.last_mut() {
                Some(query) if !starts_anew && query.len() + 1 + name.len() <= QUERY_BYTES_MAX => {
                    query.push(',');
                    query.push_str(&name);
                }
                _ => queries.push(format!("{PARAMETER}{name}")),
            }
            starts_anew = false;
        }
    }
    queries.iter_mut().for_each(String::shrink_to_fit);
    queries
}

/// The parameter that has the names, separated by commas.
const PARAMETER: &str = "get=";

fn subtask_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(subtask, _)| subtask)
}

/// Encodes a name as a part of a query string.
fn encoded(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: unknown is not zero, in any of Flink's forms.
    #[test]
    fn only_numbers_are_values() {
        let cases = [
            ("\"12.5\"", Some(12.5)),
            ("\"NaN\"", None),
            ("\"[1]\"", None),
            ("null", None),
            ("\"0\"", Some(0.0)),
            ("\"1.234,5\"", None),
            ("\"Infinity\"", None),
            ("\"\"", None),
            ("7", Some(7.0)),
            ("-7", Some(-7.0)),
            ("7.5", Some(7.5)),
            ("true", None),
            ("[7,[8]]", None),
            (r#"{"a":{"b":7}}"#, None),
        ];
        for (text, expected) in cases {
            let body = format!(r#"[{{"id":"a\u0062","value":{text},"more":1}}]"#);
            let mut found = Vec::new();
            read_each(body.as_bytes(), |id, value| found.push((id.to_owned(), value))).unwrap();
            assert_eq!(found, [("ab".to_owned(), expected)], "{text}");
        }
        let mut names = 0;
        read_each(br#"[{"id":"0.a"},{"id":"0.b"}]"#, |_, value| names += usize::from(value.is_none()))
            .unwrap();
        assert_eq!(names, 2);
        for wrong in ["{}", "[{}]", "[] []", "[{\"id\":1}]"] {
            assert!(read_each(wrong.as_bytes(), |_, _| {}).is_err(), "{wrong}");
        }
    }

    /// The names in a query string.
    fn names_in(query: &str) -> Vec<String> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        assert_eq!((pairs.len(), pairs[0].0.as_ref()), (1, "get"));
        pairs[0].1.split(',').map(str::to_owned).collect()
    }

    /// Goal: every name is requested exactly once, encoded where it must be, and no query is too long.
    #[test]
    fn long_lists_are_split() {
        for name in ["q7-bid-item.latency_mean", "a b&c=d#e.latency_mean", "ä.numRecordsIn"] {
            let names: Vec<String> = (0..500).map(|i| format!("{i}.{name}")).collect();
            let query = MetricQuery::new(&names);
            assert_eq!((query.len(), query.is_empty()), (500, false));
            assert!(
                query.queries.len() > 1 && query.queries.iter().all(|query| query.len() <= QUERY_BYTES_MAX)
            );
            let asked: Vec<String> = query.queries.iter().flat_map(|query| names_in(query)).collect();
            assert_eq!(asked, names);
        }
        assert!(MetricQuery::new(&[]).queries.is_empty());
        let longest = "a".repeat(QUERY_BYTES_MAX);
        let split = queries(&["0.a".to_owned(), longest.clone(), "0.b".to_owned()]);
        assert_eq!(split, ["get=0.a".to_owned(), format!("get={longest}"), "get=0.b".to_owned()]);
    }

    /// Goal: the metrics of one subtask are requested together where they fit, so that they are consistent.
    #[test]
    fn a_subtask_is_not_split() {
        let subtask = |i: u32| (0..20).map(move |n| format!("{i}.some-operator.metric_number_{n}"));
        let names: Vec<String> = (0..40).flat_map(subtask).collect();
        let split = queries(&names);
        assert!(split.len() > 1);
        for subtask in 0..40 {
            let begin = format!("{subtask}.");
            let holds = |query: &&String| names_in(query).iter().any(|name| name.starts_with(&begin));
            assert_eq!(split.iter().filter(holds).count(), 1, "subtask {subtask}");
        }
        // A subtask that does not fit into one request is split, without loss.
        let long: Vec<String> = (0..200).map(|n| format!("0.some-operator.metric_number_{n}")).collect();
        let split = queries(&long);
        assert!(split.len() > 1 && split.iter().flat_map(|query| names_in(query)).eq(long));
    }

    /// Goal: an id with reserved URL characters is requested unchanged.
    #[test]
    fn ids_are_one_segment() {
        assert_eq!(path_segment("10.0.0.1:6122-a_b"), "10.0.0.1:6122-a_b");
        assert_eq!(path_segment("a/b#c?d e%"), "a%2Fb%23c%3Fd%20e%25");
    }
}
