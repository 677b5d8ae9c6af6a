//! Work between changes: savepoint retention, and cancelling an abandoned job that starts late.
//!
//! Both can be interrupted at any point by the next document, and both are idempotent. What the journal records of savepoints
//! ([`Savepoints`]) is here as well, beside the decision that needs it.

use std::collections::VecDeque;

use flink::JobId;
use serde::{Deserialize, Serialize};
use service::with_causes;

use crate::config::Config;
use crate::environment::Environment;
use crate::journal_store::{JournalStore, JournalStoreError};
use crate::ledger::{Change, Entry, Ledger};
use crate::phase::Phase;

/// How many savepoints to remember, a bound in case deletion never succeeds.
const SAVEPOINTS_MOST: usize = 1_000;

/// Savepoints taken by this agent and not deleted yet, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Savepoints(VecDeque<String>);

impl Savepoints {
    /// Records the savepoint that a change took when it went from a phase to its present one.
    pub(crate) fn follow(&mut self, from: &Phase, change: &Change) {
        if let (Phase::Stopping { .. }, Phase::Stopped { savepoint: Some(savepoint), .. }) =
            (from, &change.phase)
        {
            self.0.push_back(savepoint.clone());
            let surplus = self.0.len().saturating_sub(SAVEPOINTS_MOST);
            self.0.drain(..surplus);
        }
    }

    /// Removes a savepoint that was deleted, or cannot be.
    pub(crate) fn forget(&mut self, path: &str) {
        self.0.retain(|kept| kept != path);
    }
}

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
        let Some(change) = ledger.change().filter(|change| change.phase.is_final()) else {
            return Vec::new();
        };
        let history = ledger.history();
        let needed = [&history.savepoint, &history.began_from, &change.savepoint].map(Option::as_ref);
        let kept = if self.savepoints == 0 { usize::MAX } else { self.savepoints };
        let Savepoints(taken) = &history.savepoints;
        let older = taken.iter().take(taken.len().saturating_sub(kept));
        older.filter(|path| !needed.contains(&Some(*path))).cloned().collect()
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
