//! Work between changes: savepoint retention, and cancelling an abandoned job that starts late.
//!
//! Both can be interrupted at any point by the next document, and both are idempotent.

use flink::JobId;

use crate::book::{Book, BookError};
use crate::condition::chain;
use crate::config::Config;
use crate::ledger::{Entry, Ledger};
use crate::phase::Phase;
use crate::surroundings::Surroundings;

/// Runs the retention and the watch once, then never returns.
pub(crate) async fn tidy<S: Surroundings>(book: &Book, around: &S, config: &Config) -> Result<(), BookError> {
    dispose(book, around, config).await?;
    watch_for_rivals(book, around, config).await;
    std::future::pending().await
}

/// Deletes the savepoints beyond the retention count.
pub(crate) async fn dispose<S: Surroundings>(
    book: &Book,
    around: &S,
    config: &Config,
) -> Result<(), BookError> {
    for path in surplus(&book.ledger(), config.savepoints_kept) {
        let problem = match around.dispose(&path).await {
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

/// Returns the oldest savepoints beyond the retention count, except those that the running job or its rollback may
/// need.
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

/// Watches, after a rollback, for a late start of the abandoned job and cancels it: two jobs would write the same
/// results.
async fn watch_for_rivals<S: Surroundings>(book: &Book, around: &S, config: &Config) {
    let ledger = book.ledger();
    let Some(change) = ledger.change() else { return };
    let Phase::RolledBack { job: runs, .. } = &change.phase else { return };
    let abandoned = &ledger.lineage().abandoned;
    let deadline = around.elapsed() + config.late_submissions_within;
    while !abandoned.is_empty() && around.elapsed() < deadline {
        match around.alive().await {
            Ok(alive) if alive.contains(runs) => {
                for rival in alive.iter().filter(|job| abandoned.contains(job)) {
                    cancel(around, rival, runs).await;
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(error = chain(&error), "Flink cannot be asked for its jobs"),
        }
        around.sleep(config.retry_longest).await;
    }
}

async fn cancel<S: Surroundings>(around: &S, rival: &JobId, runs: &JobId) {
    tracing::error!(%rival, %runs, "a job that was given up has come to life beside the one that runs; cancelling it");
    if let Err(error) = around.cancel(rival).await {
        tracing::warn!(%rival, error = chain(&error), "it could not be cancelled yet");
    }
}
