//! Work between changes: savepoint retention, and cancelling an abandoned job that starts late.
//!
//! Both can be interrupted at any point by the next document, and both are idempotent.

use flink::JobId;
use service::with_causes;

use crate::config::Config;
use crate::environment::Environment;
use crate::journal_store::{JournalStore, JournalStoreError};
use crate::ledger::{Entry, Ledger};
use crate::phase::Phase;

/// Which savepoints are kept. Those that the running job or its rollback may need are always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The number of newest savepoints that are kept; 0: all.
    pub savepoints: usize,
}

impl Retention {
    /// Keeps this number of savepoints; 0: all.
    pub const fn keeping(savepoints: usize) -> Self {
        Self { savepoints }
    }

    /// Returns the savepoints to delete, oldest first; none during a change.
    fn surplus(self, ledger: &Ledger) -> Vec<String> {
        let kept = if self.savepoints == 0 { usize::MAX } else { self.savepoints };
        let beyond = ledger.history().savepoints.len().saturating_sub(kept);
        let surplus = ledger.dispensable().filter(|(older, _)| *older < beyond);
        surplus.map(|(_, path)| path.clone()).collect()
    }
}

/// Runs the retention and the watch once, then never returns.
pub(crate) async fn tidy<S: Environment>(
    journal: &JournalStore,
    env: &S,
    config: &Config,
) -> Result<(), JournalStoreError> {
    dispose(journal, env, config).await?;
    watch_for_rivals(journal, env, config).await;
    std::future::pending().await
}

/// Deletes the savepoints that the retention does not keep.
pub(crate) async fn dispose<S: Environment>(
    journal: &JournalStore,
    env: &S,
    config: &Config,
) -> Result<(), JournalStoreError> {
    for path in config.retention.surplus(&journal.ledger()) {
        let problem = match env.dispose(&path).await {
            Ok(()) => {
                tracing::info!(%path, "deleted a savepoint");
                None
            }
            Err(problem) => {
                tracing::warn!(%path, %problem, "could not delete a savepoint; it is kept");
                Some(problem)
            }
        };
        journal.write(Entry::SavepointGone { path, problem }).await?;
    }
    Ok(())
}

/// Watches, after a rollback, for a late start of the abandoned job and cancels it: two jobs would write the same
/// results.
async fn watch_for_rivals<S: Environment>(journal: &JournalStore, env: &S, config: &Config) {
    let ledger = journal.ledger();
    let Some(change) = ledger.change() else { return };
    let Phase::RolledBack { job: runs, .. } = &change.phase else { return };
    let abandoned = &ledger.history().abandoned;
    let deadline = env.elapsed() + config.late_submissions_within;
    while !abandoned.is_empty() && env.elapsed() < deadline {
        match env.alive().await {
            Ok(alive) if alive.contains(runs) => {
                for rival in alive.iter().filter(|job| abandoned.contains(job)) {
                    cancel(env, rival, runs).await;
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(error = with_causes(&error), "could not list Flink's jobs"),
        }
        env.sleep(config.retry_longest).await;
    }
}

async fn cancel<S: Environment>(env: &S, rival: &JobId, runs: &JobId) {
    tracing::error!(%rival, %runs, "an abandoned submission has started beside the current job; cancelling it");
    if let Err(error) = env.cancel(rival).await {
        tracing::warn!(%rival, error = with_causes(&error), "could not cancel it yet");
    }
}
