//! Configuration: that of the JobManager, and the checkpoint settings of a job.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::lenient::or_default;
use crate::{Client, Error, JobId};

/// A longer checkpoint interval is Flink's representation of none (`Long.MAX_VALUE`), in milliseconds.
const INTERVAL_MOST_MS: u64 = 1 << 53;

/// The checkpoint settings of a job (`/jobs/:jobid/checkpoints/config`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// Checkpoint interval; [`None`]: disabled.
    pub interval: Option<Duration>,
    /// Checkpoint storage, for example `FileSystemCheckpointStorage`.
    pub storage: Option<String>,
}

impl Client {
    /// Fetches the configuration of a job's JobManager, or else of the cluster; [`None`] where it is not shown. Flink
    /// hides values that it considers secrets.
    ///
    /// # Errors
    /// Any [`Error`] of the transport except a refusal to show it.
    pub async fn configuration(
        &self,
        job: Option<&JobId>,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        if let Some(job) = job
            && let Some(shown) = self.shown(&format!("jobs/{job}/jobmanager/config")).await?
        {
            return Ok(Some(shown));
        }
        self.shown("jobmanager/config").await
    }

    async fn shown(&self, path: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        #[derive(Deserialize)]
        struct Entry {
            key: String,
            #[serde(default, deserialize_with = "or_default")]
            value: String,
        }
        match self.get::<Vec<Entry>>(path, &[]).await {
            Ok(entries) => Ok(Some(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())),
            Err(Error::Status { status: 400..=499, .. }) => Ok(None),
            // Flink's response before a job's JobManager has its configuration.
            Err(Error::Status { status: 500, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches the parameters that a job shows of itself: `pipeline.global-job-parameters` of its configuration, or those that its
    /// program has set. Unlike [`Client::configuration`], which is the cluster's in a session cluster, they are the job's own. Empty
    /// where Flink refuses to show them; [`None`] while it does not know them yet, which lasts until a job has its slots.
    ///
    /// # Errors
    /// Any [`Error`] of the transport except a refusal to show them.
    pub async fn job_parameters(&self, job: &JobId) -> Result<Option<BTreeMap<String, String>>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "execution-config", default)]
            execution: Option<Execution>,
        }
        #[derive(Deserialize)]
        struct Execution {
            #[serde(rename = "user-config", default, deserialize_with = "or_default")]
            parameters: BTreeMap<String, Option<String>>,
        }
        match self.get::<Answer>(&format!("jobs/{job}/config"), &[]).await {
            Ok(answer) => Ok(answer.execution.map(|execution| {
                let set = execution.parameters.into_iter();
                set.filter_map(|(key, value)| Some((key, value?))).collect()
            })),
            Err(Error::Status { status: 400..=499, .. }) => Ok(Some(BTreeMap::new())),
            Err(Error::Status { status: 500, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches the checkpoint settings of a job.
    ///
    /// # Errors
    /// Any [`Error`] of the transport; disabled checkpointing (404 before Flink 2.0) is not an error.
    pub async fn checkpoint_settings(&self, job: &JobId) -> Result<CheckpointSettings, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            interval: Option<u64>,
            #[serde(default)]
            checkpoint_storage: Option<String>,
        }
        match self.get::<Answer>(&format!("jobs/{job}/checkpoints/config"), &[]).await {
            Ok(answer) => Ok(CheckpointSettings {
                interval: answer
                    .interval
                    .filter(|ms| (1..INTERVAL_MOST_MS).contains(ms))
                    .map(Duration::from_millis),
                storage: answer.checkpoint_storage,
            }),
            Err(error) if error.is_not_found() => Ok(CheckpointSettings::default()),
            Err(error) => Err(error),
        }
    }
}
