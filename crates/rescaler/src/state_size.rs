//! Reads the size of the job's state from a state probe.
//!
//! The probe's size by Flink is the amount that a restore reads, and is used for the downtime estimate. Its size of the checkpoint
//! folder (by WebHDFS, a command, or a walk) is shown beside it, which reveals a leak. Without a probe, or without a fresh size, the
//! snapshot keeps the size of the metric source.

use std::time::Duration;

use job_config::JobName;
use scaling::Snapshot;
use secrets::Address;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

/// Size limit of the probe's response, in bytes: some hundred sources.
const BODY_BYTES: usize = 256 << 10;

/// `[state]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateProbe {
    /// URL of the probe; empty: no probe.
    pub probe_url: Address,
    /// Timeout of one request, in milliseconds.
    pub timeout_ms: u64,
    /// Figures older than this are not used, in milliseconds.
    pub age_max_ms: u64,
    /// Login at the probe and trusted certificates.
    pub access: http_client::Access,
}

impl Default for StateProbe {
    fn default() -> Self {
        Self {
            probe_url: Address::default(),
            timeout_ms: 5_000,
            age_max_ms: 180_000,
            access: http_client::Access::default(),
        }
    }
}

impl StateProbe {
    /// Returns every value out of range, as `key: valid values`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let checks = [
            (self.timeout_ms > 0, "state.timeout_ms: give a number above 0"),
            (self.age_max_ms > 0, "state.age_max_ms: give a number above 0"),
        ];
        let wrong = checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned());
        let mut problems: Vec<String> = wrong.collect();
        if !self.probe_url.is_empty()
            && let Err(reason) = self.probe_url.http()
        {
            problems.push(format!("state.probe_url: {reason}"));
        }
        problems
    }
}

/// One source of the probe's page `/samples`.
#[derive(Debug, Deserialize)]
struct ProbeSource {
    source: String,
    job: String,
    age_ms: Option<u64>,
    sample: Option<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    size_bytes: u64,
}

/// The two sizes, if known and fresh.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sizes {
    state_bytes: Option<f64>,
    stored_bytes: Option<f64>,
}

/// Reads a probe once per epoch.
#[derive(Debug)]
pub(crate) struct StateReader {
    config: StateProbe,
    job: JobName,
    http: http_client::Client,
    problem: Option<String>,
}

impl StateReader {
    pub(crate) fn new(config: &StateProbe, job: &JobName) -> Result<Self, http_client::SetupError> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let settings =
            http_client::ClientSettings { connect_timeout: timeout, timeout, max_body_bytes: BODY_BYTES };
        let is_encrypted = config.probe_url.http().is_ok_and(|url| url.is_encrypted());
        let http = http_client::Client::new(settings, &config.access, is_encrypted)?;
        Ok(Self { config: config.clone(), job: job.clone(), http, problem: None })
    }

    /// Writes the probe's sizes into a snapshot. Unknown sizes stay unchanged.
    pub(crate) async fn complete(&mut self, snapshot: &mut Snapshot) {
        if self.config.probe_url.is_empty() {
            return;
        }
        let problem = match self.ask().await {
            Ok(sizes) => {
                snapshot.state_size_bytes = sizes.state_bytes.or(snapshot.state_size_bytes);
                snapshot.stored_size_bytes = sizes.stored_bytes.or(snapshot.stored_size_bytes);
                let known = sizes.state_bytes.or(sizes.stored_bytes).is_some();
                (!known).then(|| format!("no fresh figure of job {}", self.job))
            }
            Err(problem) => Some(problem),
        };
        match (&problem, &self.problem) {
            (Some(problem), before) if before.as_ref() != Some(problem) => {
                warn!(url = %self.config.probe_url, "state probe: {problem}; using Flink's figure");
            }
            (None, Some(_)) => info!(url = %self.config.probe_url, "the state probe answers again"),
            _ => {}
        }
        self.problem = problem;
    }

    async fn ask(&self) -> Result<Sizes, String> {
        let message = |error: &dyn std::fmt::Display| error.to_string();
        let base = self.config.probe_url.http().map_err(|error| message(&error))?;
        let url = base.url().join("samples").map_err(|error| message(&error))?;
        let mut request = http_client::get(&url).map_err(|error| message(&error))?;
        http_client::authorize(&mut request, base.authorization());
        let answer = self.http.send(request).await.map_err(|error| message(&error))?;
        if !answer.status.is_success() {
            return Err(format!("it answered {}", answer.status));
        }
        let body = answer.body;
        let sources: Vec<ProbeSource> =
            serde_json::from_slice(&body).map_err(|error| format!("cannot parse /samples: {error}"))?;
        Ok(sizes(&sources, self.job.as_str(), self.config.age_max_ms))
    }
}

/// Selects the job's two sizes of all samples: the first fresh one of each, by cost of the source.
fn sizes(sources: &[ProbeSource], job: &str, age_max_ms: u64) -> Sizes {
    let of = |kind: &str| {
        let fresh = |source: &&ProbeSource| {
            source.job == job && source.source == kind && source.age_ms.is_some_and(|age| age <= age_max_ms)
        };
        let sample = sources.iter().filter(fresh).find_map(|source| source.sample.as_ref())?;
        #[expect(clippy::cast_precision_loss, reason = "a state of 2^53 bytes is 8 PiB")]
        Some(sample.size_bytes as f64)
    };
    Sizes { state_bytes: of("flink"), stored_bytes: ["webhdfs", "command", "local"].into_iter().find_map(of) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"[
        {"name":"du","source":"command","job":"nexmark","age_ms":10,"sample":{"name":"du","size_bytes":9000},"error":null},
        {"name":"a","source":"flink","job":"nexmark","age_ms":10,"sample":{"name":"a","size_bytes":5000},"error":null},
        {"name":"b","source":"webhdfs","job":"nexmark","age_ms":10,"sample":null,"error":"no NameNode answers"},
        {"name":"c","source":"flink","job":"psm","age_ms":99999,"sample":{"name":"c","size_bytes":1},"error":null},
        {"name":"d","source":"local","job":"psm","age_ms":null,"sample":null,"error":null}]"#;

    /// Goal: each figure has its own use, failed and old ones have none, and other jobs' are not taken.
    #[test]
    fn the_right_figures_are_taken() {
        let sources: Vec<ProbeSource> = serde_json::from_str(PAGE).unwrap();
        let found = |job| sizes(&sources, job, 60_000);
        assert_eq!(found("nexmark"), Sizes { state_bytes: Some(5000.0), stored_bytes: Some(9000.0) });
        assert_eq!(found("psm"), Sizes::default());
        assert_eq!(found("other"), Sizes::default());
    }

    /// Goal: the estimate of the downtime is made of the probe's figure, and of Flink's own while the probe is away.
    #[tokio::test]
    async fn the_downtime_estimate_is_made_of_the_probes_figure() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe_url = format!("http://{}", listener.local_addr().unwrap()).into();
        let answer = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = stream.read(&mut [0; 1024]).await.unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", PAGE.len());
            stream.write_all(format!("{head}{PAGE}").as_bytes()).await.unwrap();
        };
        let config = StateProbe { probe_url, ..StateProbe::default() };
        let mut reader = StateReader::new(&config, &"nexmark".parse().unwrap()).unwrap();
        let mut snapshot = Snapshot { state_size_bytes: Some(1.0), ..Snapshot::default() };
        tokio::join!(answer, reader.complete(&mut snapshot));
        assert_eq!((snapshot.state_size_bytes, snapshot.stored_size_bytes), (Some(5000.0), Some(9000.0)));
        let options = scaling::latency::Options { network_bytes_per_s: 1000.0, ..Default::default() };
        let plan = scaling::latency::plan(&options, &snapshot);
        assert_eq!(plan.cluster.downtime_estimate_s, Some(10.0));

        // Nobody listens there any more.
        let mut snapshot = Snapshot { state_size_bytes: Some(1.0), ..Snapshot::default() };
        reader.complete(&mut snapshot).await;
        assert_eq!((snapshot.state_size_bytes, snapshot.stored_size_bytes), (Some(1.0), None));
        assert!(reader.problem.is_some());
    }
}
