//! The four sources. Each takes a sample within its timeout, and returns values or an error of one line.

pub mod command;
pub(crate) mod du_options;
mod flink_rest;
mod local;
mod transport;
pub mod webhdfs;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::config::{SourceConfig, SourceTarget};
use crate::sample::{Sample, SampleValues};

pub use flink_rest::FlinkError;
pub use http_client::SetupError;
pub use local::LocalError;

/// Why a sample failed. With its sources it is one line for a person.
#[derive(Debug, Error)]
pub enum SampleError {
    /// Error of the command.
    #[error(transparent)]
    Command(#[from] command::CommandError),
    /// Error of the NameNodes.
    #[error(transparent)]
    Webhdfs(#[from] webhdfs::WebhdfsError),
    /// Error of Flink.
    #[error(transparent)]
    Flink(#[from] FlinkError),
    /// Error of the folder.
    #[error(transparent)]
    Local(#[from] LocalError),
}

/// A source that can be sampled repeatedly.
#[derive(Debug)]
pub struct StateSource {
    config: SourceConfig,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Command(command::Command),
    Webhdfs(webhdfs::Webhdfs),
    Flink(flink_rest::FlinkRest),
    Local(local::Local),
}

impl StateSource {
    /// Creates the clients, without connecting.
    ///
    /// # Errors
    /// An HTTP client cannot be created: an invalid URL, or unreadable certificates.
    pub fn new(config: SourceConfig) -> Result<Self, SampleError> {
        let timeout = config.timeout;
        let reader = match &config.target {
            SourceTarget::Command { argv } => Reader::Command(command::Command::new(argv.clone(), timeout)),
            SourceTarget::Webhdfs(webhdfs) => Reader::Webhdfs(webhdfs::Webhdfs::new(webhdfs, timeout)?),
            SourceTarget::Flink { url, job, access } => {
                Reader::Flink(flink_rest::FlinkRest::new(url.reveal(), job.clone(), timeout, access)?)
            }
            SourceTarget::Local { path, entries_max } => {
                Reader::Local(local::Local { path: path.clone(), timeout, entries_max: *entries_max })
            }
        };
        Ok(Self { config, reader })
    }

    /// Returns its configuration.
    pub fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// Takes one sample.
    ///
    /// # Errors
    /// See [`SampleError`]; an incomplete sample gives no values.
    pub async fn sample(&mut self) -> Result<Sample, SampleError> {
        let (at, begin) = (SystemTime::now(), Instant::now());
        let figures = self.figures().await?;
        Ok(Sample {
            name: self.config.name.clone(),
            source: self.config.target.kind(),
            job: self.config.job.clone(),
            figures,
            at_ms: milliseconds(at.duration_since(UNIX_EPOCH).unwrap_or_default()),
            duration_ms: milliseconds(begin.elapsed() + Duration::from_nanos(999_999)),
        })
    }

    async fn figures(&mut self) -> Result<SampleValues, SampleError> {
        Ok(match &mut self.reader {
            Reader::Command(command) => command.sample().await?,
            Reader::Webhdfs(webhdfs) => webhdfs.sample().await?,
            Reader::Flink(flink) => flink.sample().await?,
            Reader::Local(local) => local.sample().await?,
        })
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
