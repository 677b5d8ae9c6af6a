//! Taking over a job that runs: its document in the drop of this process becomes what runs.

use std::time::Duration;

use anyhow::Context;
use control::DocumentStatus;
use drop_client::{Current, DropClient, Fetched, Precondition};
use flink::JobDetails;
use jiff::Timestamp;
use job_config::{JobDocument, JobName};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::config::Config;
use crate::placement::derive;

/// Time between two looks at a drop of this process that is starting.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// For a drop of this process to answer.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(10);

/// Sees to it that the drop's document is what runs.
///
/// # Errors
/// The drop of this process does not answer `within` this time, or refuses the document.
pub(crate) async fn adopt(config: &Config, details: &JobDetails, within: Duration) -> anyhow::Result<()> {
    let settings = drop_client::ClientSettings::default();
    let drop = DropClient::new(config.drop.url.reveal(), config.job.clone(), settings)
        .context("the embedded drop")?;
    let deadline = Instant::now() + within;
    let fetched = loop {
        match drop.get(None, None).await {
            Ok(fetched) => break fetched,
            Err(error) if Instant::now() >= deadline => {
                return Err(error).context("the embedded drop");
            }
            Err(_) => sleep(POLL_INTERVAL).await,
        }
    };
    let (document, expected) = match fetched {
        Fetched::Document(current) => match next(&drop, &current, details, &config.job).await? {
            Some(document) => (document, Precondition::Replaces(current.entity_tag)),
            None => return Ok(()),
        },
        Fetched::Absent | Fetched::NotModified => (derive(&config.job, 1, details)?, Precondition::Nothing),
    };
    info!(job = %config.job, generation = document.generation(), "adopted the job at its present parallelism");
    drop.put(&document, &expected).await.context("the embedded drop")?;
    Ok(())
}

/// The document of what runs, if the one at the drop is another and its change is not under way. A change of another graph does not
/// count: its job has been replaced.
async fn next(
    drop: &DropClient,
    current: &Current,
    details: &JobDetails,
    job: &JobName,
) -> anyhow::Result<Option<JobDocument>> {
    let operators = &current.document.parallelism().operators;
    let is_of_this_graph = operators.len() == details.vertices.len()
        && details.vertices.iter().all(|vertex| operators.contains_key(vertex.id.as_str()));
    let reports = drop.reports().await.context("the embedded drop")?;
    let failed = reports.last().is_some_and(|report| report.state.is_final());
    let newest =
        control::Current { document: current.document.clone(), entity_tag: current.entity_tag.clone() };
    let status = control::status(newest, Some(&reports), Timestamp::now());
    if matches!(status, DocumentStatus::NotYet(_) | DocumentStatus::ByHand(_)) && !failed && is_of_this_graph
    {
        return Ok(None);
    }
    let found = derive(job, current.document.generation() + 1, details)?;
    let is_same = found.parallelism().operators == current.document.parallelism().operators;
    Ok((!is_same).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a drop of this process that does not start is told after its time.
    #[tokio::test]
    async fn a_drop_that_does_not_start_is_told() {
        let mut config = Config::parse("job = \"job\"\n", std::path::Path::new("run.toml")).unwrap();
        config.drop.url = format!("http://{}", test_addresses::unused_address().unwrap()).into();
        let details =
            serde_json::json!({ "jid": "0".repeat(32), "name": "job", "state": "RUNNING", "vertices": [] });
        let details: JobDetails = serde_json::from_value(details).unwrap();
        let adopted = adopt(&config, &details, Duration::from_millis(50));
        let told = tokio::time::timeout(Duration::from_secs(60), adopted).await.unwrap().unwrap_err();
        assert!(format!("{told:#}").contains("the embedded drop: no complete answer"), "{told:#}");
    }
}
