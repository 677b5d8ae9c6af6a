//! Metrics as the JobManager holds them: a picture that it renews every `metrics.fetcher.update-interval`, and only when
//! somebody asks.

use serde::Deserialize;

use crate::{Client, Error, JobId, VertexId};

/// One value. Flink sends every number as text; a value that is no number is [`None`].
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
    value: Option<String>,
}

impl From<Entry> for Metric {
    fn from(entry: Entry) -> Self {
        let number = entry.value.and_then(|text| text.parse().ok()).filter(|value: &f64| value.is_finite());
        Self { id: entry.id, value: number }
    }
}

impl Client {
    /// The names of all metrics of a vertex, with the subtask's index in front: `0.numRecordsIn`.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn vertex_metric_names(&self, job: &JobId, vertex: &VertexId) -> Result<Vec<String>, Error> {
        let entries: Vec<Entry> = self.get(&format!("jobs/{job}/vertices/{vertex}/metrics"), &[]).await?;
        Ok(entries.into_iter().map(|entry| entry.id).collect())
    }

    /// Named metrics of a vertex. Names that do not exist are absent from the answer.
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

    /// Named metrics of a task manager, for example `Status.JVM.CPU.Load`.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn task_manager_metrics(&self, id: &str, names: &[String]) -> Result<Vec<Metric>, Error> {
        self.metrics(&format!("taskmanagers/{id}/metrics"), names).await
    }

    /// Names go into the query string; long lists are split so that no request line exceeds Netty's 4096 bytes.
    async fn metrics(&self, path: &str, names: &[String]) -> Result<Vec<Metric>, Error> {
        let mut metrics = Vec::with_capacity(names.len());
        for batch in batches(names) {
            let entries: Vec<Entry> = self.get(path, &[("get", &batch)]).await?;
            metrics.extend(entries.into_iter().map(Metric::from));
        }
        Ok(metrics)
    }
}

/// Comma-separated names, each text at most this long after URL encoding (a comma becomes three bytes).
const BATCH_BYTES: usize = 3_000;

fn batches(names: &[String]) -> Vec<String> {
    let mut batches: Vec<String> = Vec::new();
    let mut encoded_bytes = 0;
    for name in names {
        // A letter stays one byte, anything else may become three.
        let cost = 3 + name.bytes().map(|b| if b.is_ascii_alphanumeric() { 1 } else { 3 }).sum::<usize>();
        match batches.last_mut() {
            Some(batch) if encoded_bytes + cost <= BATCH_BYTES => {
                batch.push(',');
                batch.push_str(name);
                encoded_bytes += cost;
            }
            _ => {
                batches.push(name.clone());
                encoded_bytes = cost;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: unknown is not zero, whatever Flink writes for it.
    #[test]
    fn only_numbers_are_values() {
        let cases = [
            ("\"12.5\"", Some(12.5)),
            ("\"NaN\"", None),
            ("\"[1]\"", None),
            ("null", None),
            ("\"0\"", Some(0.0)),
        ];
        for (text, expected) in cases {
            let entry: Entry = serde_json::from_str(&format!(r#"{{"id":"a","value":{text}}}"#)).unwrap();
            assert_eq!(Metric::from(entry).value, expected, "{text}");
        }
    }

    /// Goal: every name is asked for exactly once, and no request line grows too long.
    #[test]
    fn long_lists_are_split() {
        let names: Vec<String> = (0..500).map(|i| format!("{i}.q7-bid-item.latency_mean")).collect();
        let batches = batches(&names);
        assert!(batches.len() > 1 && batches.iter().all(|b| b.len() <= BATCH_BYTES));
        let asked: Vec<&str> = batches.iter().flat_map(|b| b.split(',')).collect();
        assert_eq!(asked, names);
        assert!(super::batches(&[]).is_empty());
    }
}
