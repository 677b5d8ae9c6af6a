//! What is done between changes: savepoints that nobody needs any more are disposed of, and a job that was given up is kept from
//! coming to life beside the one that runs.
//!
//! Both may be interrupted at any moment by the next document, and both are safe to repeat.

use flink::{Disposal, JobId};
use tokio::time::{Instant, sleep};

use crate::book::{Book, BookError};
use crate::cluster::Cluster;
use crate::condition::chain;
use crate::config::Config;
use crate::ledger::{Entry, Ledger};
use crate::phase::Phase;

/// Does what is to be done, then waits for ever.
pub(crate) async fn tidy(book: &Book, cluster: &Cluster, config: &Config) -> Result<(), BookError> {
    dispose(book, cluster, config).await?;
    watch_for_rivals(book, cluster, config).await;
    std::future::pending().await
}

/// Disposes of the savepoints beyond those that are kept.
pub(crate) async fn dispose(book: &Book, cluster: &Cluster, config: &Config) -> Result<(), BookError> {
    for path in surplus(&book.ledger(), config.savepoints_kept) {
        let problem = match dispose_one(cluster, config, &path).await {
            Ok(()) => {
                tracing::info!(%path, "disposed of a savepoint");
                None
            }
            Err(problem) => {
                tracing::warn!(%path, %problem, "a savepoint could not be disposed of; it is left where it is");
                Some(problem)
            }
        };
        book.write(Entry::SavepointGone { path, problem }).await?;
    }
    Ok(())
}

/// The oldest savepoints beyond those that are kept, but none that a job that runs, or its rollback, may need.
fn surplus(ledger: &Ledger, kept: usize) -> Vec<String> {
    let lineage = ledger.lineage();
    let is_over = ledger.change().is_some_and(|change| change.phase.is_final());
    let of_change = ledger.change().and_then(|change| change.savepoint.as_ref());
    let needed = [lineage.savepoint.as_ref(), lineage.began_from.as_ref(), of_change];
    if kept == 0 || !is_over {
        return Vec::new();
    }
    let surplus = lineage.savepoints.len().saturating_sub(kept);
    let oldest = lineage.savepoints.iter().take(surplus);
    oldest.filter(|path| !needed.contains(&Some(*path))).cloned().collect()
}

/// Has Flink dispose of a savepoint. One that is gone already is an error of Flink's, told like every other.
async fn dispose_one(cluster: &Cluster, config: &Config, path: &str) -> Result<(), String> {
    let client = cluster.client();
    let trigger = client.dispose_savepoint(path).await.map_err(|error| chain(&error))?;
    let deadline = Instant::now() + config.rules.stopped_within;
    loop {
        match client.disposal(&trigger).await.map_err(|error| chain(&error))? {
            Disposal::Done => return Ok(()),
            Disposal::Failed { cause } => return Err(cause),
            Disposal::InProgress if Instant::now() >= deadline => {
                return Err(format!("not done within {:?}", config.rules.stopped_within));
            }
            Disposal::InProgress => sleep(config.poll).await,
        }
    }
}

/// After a change that was rolled back, watches for a while whether the job that was given up appears after all (its
/// submission may have been on its way), and cancels it: two jobs would write the same results.
async fn watch_for_rivals(book: &Book, cluster: &Cluster, config: &Config) {
    let ledger = book.ledger();
    let Some(change) = ledger.change() else { return };
    let Phase::RolledBack { job: runs, .. } = &change.phase else { return };
    let abandoned = &ledger.lineage().abandoned;
    let deadline = Instant::now() + config.late_submissions_within;
    while !abandoned.is_empty() && Instant::now() < deadline {
        match cluster.alive().await {
            Ok(alive) if alive.contains(runs) => {
                for rival in alive.iter().filter(|job| abandoned.contains(job)) {
                    cancel(cluster, rival, runs).await;
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(error = chain(&error), "Flink cannot be asked for its jobs"),
        }
        sleep(config.retry_longest).await;
    }
}

async fn cancel(cluster: &Cluster, rival: &JobId, runs: &JobId) {
    tracing::error!(%rival, %runs, "a job that was given up has come to life beside the one that runs; cancelling it");
    if let Err(error) = cluster.client().cancel(rival).await {
        tracing::warn!(%rival, error = chain(&error), "it could not be cancelled yet");
    }
}
