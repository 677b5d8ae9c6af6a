//! Publishes documents at the drop, and reads the newest one.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use drop_client::{Current, Precondition, Published};
use jiff::{SignedDuration, Timestamp};
use job_config::{ChangeState, JobDocument};
use thiserror::Error;

use crate::config;
use crate::publisher::{Publisher, PublisherError};

/// Why a document is refused before it is sent.
#[derive(Debug, Error)]
pub(crate) enum BadDocument {
    /// The file cannot be read.
    #[error("{file}: cannot be read")]
    File {
        /// The file.
        file: String,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a job document.
    #[error("{file}")]
    Document {
        /// The file.
        file: String,
        /// What is wrong.
        #[source]
        source: job_config::DocumentError,
    },
    /// The drop cannot be used.
    #[error("cannot publish with this configuration")]
    Publisher(#[from] PublisherError),
}

/// Returns the current document at the drop.
pub(crate) async fn current(drop: &Publisher) -> anyhow::Result<Current> {
    match drop.current().await.context("cannot read the drop")? {
        Some(current) => Ok(current),
        None => anyhow::bail!(
            "the drop has no document of job {}; publish the first one with `rescaler publish --document FILE`",
            drop.job()
        ),
    }
}

/// Options of `rescaler publish`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PublishOptions {
    /// Set a new issue time, and an expiry after this time.
    pub(crate) expires_in: Option<Duration>,
    /// Publish nothing if the job already has a document.
    pub(crate) only_first: bool,
    /// Time to wait for the end of the change.
    pub(crate) wait: Option<Duration>,
    /// Publish nothing.
    pub(crate) dry_run: bool,
}

/// Interval of polling the reports.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// `rescaler publish`: publishes a file at the drop, as the first document or as the successor of the current one.
pub(crate) async fn from_file(
    path: &Path,
    settings: &config::DropConfig,
    options: PublishOptions,
) -> anyhow::Result<String> {
    let file = path.display().to_string();
    let text =
        files::read_configuration(path).map_err(|source| BadDocument::File { file: file.clone(), source })?;
    let bad = |source| BadDocument::Document { file: file.clone(), source };
    let mut document = JobDocument::parse(&text).map_err(bad)?;
    if let Some(lifetime) = options.expires_in {
        let now = Timestamp::now();
        let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
        document = document.dated(now, now.checked_add(lifetime).ok()).map_err(bad)?;
    }
    let drop = Publisher::new(settings, document.job().clone()).map_err(BadDocument::Publisher)?;
    let current = drop.current().await.context("cannot read the drop")?;
    let (generation, told) = match current {
        Some(current) if options.only_first => {
            let generation = current.document.generation();
            (generation, format!("job {} already has a document, generation {generation}", drop.job()))
        }
        current => (document.generation(), put(&drop, &document, current, options.dry_run).await?),
    };
    match options.wait {
        Some(limit) if !options.dry_run => {
            Ok(format!("{told}; {}", carried_out(&drop, generation, limit).await?))
        }
        _ => Ok(told),
    }
}

async fn put(
    drop: &Publisher,
    document: &JobDocument,
    current: Option<Current>,
    dry_run: bool,
) -> anyhow::Result<String> {
    let (job, generation, place) = (document.job(), document.generation(), drop.name());
    let expected = match current {
        Some(current) if current.document.text() == document.text() => {
            if drop.signature(document).is_none_or(|signature| current.signature == Some(signature)) {
                return Ok(format!("generation {generation} of job {job} is the current document already"));
            }
            Precondition::Replaces(current.entity_tag)
        }
        Some(current) => {
            let next = current.document.generation() + 1;
            anyhow::ensure!(
                generation == next,
                "generation {generation} cannot follow generation {}; set generation = {next} in the file",
                next - 1
            );
            Precondition::Replaces(current.entity_tag)
        }
        None => Precondition::Nothing,
    };
    if dry_run {
        return Ok(format!("would publish generation {generation} of job {job} at {place}"));
    }
    match drop.put(document, &expected).await.context("the drop refused the document")? {
        Published::Stored(_) => Ok(format!("published generation {generation} of job {job} at {place}")),
        Published::Superseded => {
            anyhow::bail!("another document was published concurrently; check it and retry")
        }
    }
}

/// Waits for the final report of a generation. Retries while the drop does not respond.
async fn carried_out(drop: &Publisher, generation: u64, limit: Duration) -> anyhow::Result<String> {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let reports = match drop.reports().await {
            Ok(Some(reports)) => reports,
            Ok(None) => anyhow::bail!("{} takes no reports; remove --wait-s", drop.name()),
            Err(error) if error.is_transient() => Vec::new(),
            Err(error) => return Err(error).context("cannot read the reports"),
        };
        let last = reports.iter().rfind(|report| report.generation == generation);
        match last {
            Some(report) if report.state == ChangeState::Running => return Ok("running".to_owned()),
            Some(report) if report.state.is_final() => {
                let why = report.message.as_deref().unwrap_or("the agent gave no reason");
                anyhow::bail!("generation {generation} was not applied: {why}")
            }
            _ => {}
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the agent has not applied generation {generation} within {} s; last report: {}",
            limit.as_secs(),
            last.map_or("nothing".to_owned(), |report| format!("{:?}", report.state).to_lowercase())
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
