//! Source `flink`: Flink's statistics of the newest completed checkpoint, its full size, which a restore reads, and
//! what it wrote.

use std::time::Duration;

use flink::{Client, JobId, JobOverview};
use http_client::Access;
use thiserror::Error;

use crate::sample::SampleValues;

/// Why Flink gave no values.
#[derive(Debug, Error)]
pub enum FlinkError {
    /// The job is not running.
    #[error("no job{} runs on {url}", named(job.as_deref()))]
    NoJob {
        /// Name to find; `None`: any.
        job: Option<String>,
        /// URL of the cluster.
        url: String,
    },
    /// Several jobs match.
    #[error("{count} jobs{} run on {url}; select one with job", named(job.as_deref()))]
    Ambiguous {
        /// Name to find; `None`: any.
        job: Option<String>,
        /// Number of matching jobs.
        count: usize,
        /// URL of the cluster.
        url: String,
    },
    /// The job runs, but has not completed a checkpoint since its start.
    #[error("job {job:?} has no completed checkpoint yet")]
    NoCheckpoint {
        /// Name of the job.
        job: String,
    },
    /// Flink did not answer as expected.
    #[error("could not read Flink's REST interface")]
    Rest(#[from] flink::Error),
}

fn named(job: Option<&str>) -> String {
    job.map(|job| format!(" {job:?}")).unwrap_or_default()
}

/// Reads one job of one cluster.
#[derive(Debug)]
pub(crate) struct FlinkRest {
    client: Client,
    /// Name or id; `None`: the only one.
    job: Option<String>,
}

impl FlinkRest {
    pub(crate) fn new(
        url: &str,
        job: Option<String>,
        timeout: Duration,
        access: &Access,
    ) -> Result<Self, FlinkError> {
        let settings = flink::ClientSettings { timeout, ..flink::ClientSettings::default() };
        let client = Client::with_access(url, settings, access)?;
        Ok(Self { client, job })
    }

    pub(crate) async fn sample(&self) -> Result<SampleValues, FlinkError> {
        let (id, name) = self.find().await?;
        let checkpoints = self.client.checkpoints(&id).await?;
        let size_bytes = checkpoints.state_size_bytes.ok_or(FlinkError::NoCheckpoint { job: name })?;
        Ok(SampleValues {
            size_bytes,
            checkpointed_bytes: checkpoints.checkpointed_size_bytes,
            checkpoint_id: checkpoints.newest_id,
            ..SampleValues::default()
        })
    }

    async fn find(&self) -> Result<(JobId, String), FlinkError> {
        let is_meant = |job: &JobOverview| {
            let wanted = self.job.as_deref();
            wanted.is_none_or(|wanted| job.name == wanted || job.id.to_string() == wanted)
        };
        let jobs = self.client.jobs().await?.into_iter();
        let mut alive: Vec<_> = jobs.filter(|job| !job.state.is_terminal() && is_meant(job)).collect();
        let (job, url) = (self.job.clone(), self.client.base_url().to_owned());
        match alive.len() {
            1 => Ok(alive.remove(0)).map(|job| (job.id, job.name)),
            0 => Err(FlinkError::NoJob { job, url }),
            count => Err(FlinkError::Ambiguous { job, count, url }),
        }
    }
}
