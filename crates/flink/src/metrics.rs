//! Requests for metrics. The JobManager caches them and refreshes them every `metrics.fetcher.update-interval`, and
//! only on request.

use serde::Deserialize;

use crate::{Client, Error, JobId, VertexId};

/// One value. Flink sends every number as text; anything but a number is [`None`].
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The name as listed, for example `0.q7-bid-item.latency_mean`.
    pub id: String,
    /// The value; unknown is not 0.
    pub value: Option<f64>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    value: serde_json::Value,
}

impl From<Entry> for Metric {
    fn from(entry: Entry) -> Self {
        let number = match &entry.value {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        Self { id: entry.id, value: number.filter(|value: &f64| value.is_finite()) }
    }
}

impl Client {
    /// Fetches the names of all metrics of a vertex, prefixed by the subtask's index: `0.numRecordsIn`.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn vertex_metric_names(&self, job: &JobId, vertex: &VertexId) -> Result<Vec<String>, Error> {
        let entries: Vec<Entry> = self.get(&format!("jobs/{job}/vertices/{vertex}/metrics"), &[]).await?;
        Ok(entries.into_iter().map(|entry| entry.id).collect())
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
        self.metrics(&format!("jobs/{job}/vertices/{vertex}/metrics"), names).await
    }

    /// Fetches metrics of a task manager by name, for example `Status.JVM.CPU.Load`.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn task_manager_metrics(&self, id: &str, names: &[String]) -> Result<Vec<Metric>, Error> {
        self.metrics(&format!("taskmanagers/{}/metrics", path_segment(id)), names).await
    }

    /// Fetches metrics by name. Names are in the query string; long lists are split so that no request line exceeds
    /// Netty's 4096 bytes.
    async fn metrics(&self, path: &str, names: &[String]) -> Result<Vec<Metric>, Error> {
        let mut metrics = Vec::with_capacity(names.len());
        for batch in batches(names) {
            let entries: Vec<Entry> = self.get(path, &[("get", &batch)]).await?;
            metrics.extend(entries.into_iter().map(Metric::from));
        }
        Ok(metrics)
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

/// Maximum length of comma-separated names after URL encoding, in bytes (a comma takes three).
const BATCH_BYTES: usize = 3_000;

/// Splits a list of names. Consecutive names of the same subtask (the text up to the first dot) stay together where
/// they fit: the JobManager may refresh its cache between two requests, and values that are divided by each other
/// must be from the same refresh.
fn batches(names: &[String]) -> Vec<String> {
    let mut batches: Vec<String> = Vec::new();
    let mut room_bytes = 0;
    for group in names.chunk_by(|a, b| subtask_of(a) == subtask_of(b)) {
        let group_bytes = group.iter().map(|name| encoded_bytes(name)).sum::<usize>();
        let starts_anew = group_bytes > room_bytes && group_bytes <= BATCH_BYTES;
        if starts_anew {
            room_bytes = 0;
        }
        for name in group {
            let cost = encoded_bytes(name);
            match batches.last_mut() {
                Some(batch) if cost <= room_bytes => {
                    batch.push(',');
                    batch.push_str(name);
                    room_bytes -= cost;
                }
                _ => {
                    batches.push(name.clone());
                    room_bytes = BATCH_BYTES.saturating_sub(cost);
                }
            }
        }
    }
    batches
}

fn subtask_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(subtask, _)| subtask)
}

/// Returns the length of a name and a comma in a URL: a letter takes one byte, anything else up to three.
fn encoded_bytes(name: &str) -> usize {
    3 + name.bytes().map(|b| if b.is_ascii_alphanumeric() { 1 } else { 3 }).sum::<usize>()
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
            ("[7]", None),
        ];
        for (text, expected) in cases {
            let entry: Entry = serde_json::from_str(&format!(r#"{{"id":"a","value":{text}}}"#)).unwrap();
            assert_eq!(Metric::from(entry).value, expected, "{text}");
        }
    }

    /// Goal: every name is requested exactly once, and no request line is too long.
    #[test]
    fn long_lists_are_split() {
        let names: Vec<String> = (0..500).map(|i| format!("{i}.q7-bid-item.latency_mean")).collect();
        let batches = batches(&names);
        assert!(batches.len() > 1 && batches.iter().all(|b| b.len() <= BATCH_BYTES));
        let asked: Vec<&str> = batches.iter().flat_map(|b| b.split(',')).collect();
        assert_eq!(asked, names);
        assert!(super::batches(&[]).is_empty());
    }

    /// Goal: the metrics of one subtask are requested together where they fit, so that they are consistent.
    #[test]
    fn a_subtask_is_not_split() {
        let subtask = |i: u32| (0..20).map(move |n| format!("{i}.some-operator.metric_number_{n}"));
        let names: Vec<String> = (0..40).flat_map(subtask).collect();
        let batches = batches(&names);
        let of =
            |batch: &String| batch.split(',').map(|name| subtask_of(name).to_owned()).collect::<Vec<_>>();
        for subtask in 0..40 {
            let holders = batches.iter().filter(|batch| of(batch).contains(&subtask.to_string())).count();
            assert_eq!(holders, 1, "subtask {subtask}");
        }
        // A subtask that does not fit into one request is split, without loss.
        let long: Vec<String> = (0..200).map(|n| format!("0.some-operator.metric_number_{n}")).collect();
        let split = super::batches(&long);
        assert!(split.len() > 1 && split.iter().map(|batch| batch.split(',').count()).sum::<usize>() == 200);
    }

    /// Goal: an id with reserved URL characters is requested unchanged.
    #[test]
    fn ids_are_one_segment() {
        assert_eq!(path_segment("10.0.0.1:6122-a_b"), "10.0.0.1:6122-a_b");
        assert_eq!(path_segment("a/b#c?d e%"), "a%2Fb%23c%3Fd%20e%25");
    }
}
