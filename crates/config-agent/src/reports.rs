//! Delivery of reports to the drop: in order, at least once, with unlimited retries, concurrently with the change.

use drop_client::{Error, Reported};
use job_config::Report;
use service::with_causes;

use crate::backoff::Backoff;
use crate::condition::Condition;
use crate::environment::Environment;
use crate::journal_store::{JournalStore, JournalStoreError};
use crate::ledger::Entry;

/// Delivers reports until the future is dropped.
pub(crate) async fn deliver<S: Environment>(
    journal: &JournalStore,
    env: &S,
    mut backoff: Backoff,
    condition: &Condition,
) -> Result<(), JournalStoreError> {
    let mut ledgers = journal.subscribe();
    loop {
        let oldest = ledgers.borrow_and_update().next_report().cloned();
        let Some(report) = oldest else {
            if ledgers.changed().await.is_err() {
                return Err(JournalStoreError::Interrupted);
            }
            continue;
        };
        let entry = match sent(env, &report).await {
            Ok(Reported::Stored) => delivered(&report),
            Ok(Reported::Contradicted) => match env.reports().await {
                Ok(reports) => contradicted(&report, &reports),
                Err(error) if error.is_transient() => {
                    condition.bad(&error);
                    env.sleep(backoff.wait(env.chance())).await;
                    continue;
                }
                Err(_) => given_up(&report, "the drop has a different report with this number"),
            },
            Err(error) if is_permanent(&error) => given_up(&report, &with_causes(&error)),
            Err(error) => {
                condition.bad(&error);
                env.sleep(backoff.wait(env.chance())).await;
                continue;
            }
        };
        condition.succeeded();
        backoff.reset();
        journal.write(entry).await?;
    }
}

/// Sends a report, omitting more and more if the drop rejects its size. The attempts are deterministic, so that a
/// report whose answer was lost is recognised as the same.
async fn sent<S: Environment>(env: &S, report: &Report) -> Result<Reported, Error> {
    let bare = report.shrunk(0);
    let mut attempt = report.clone();
    loop {
        match env.report(&attempt).await {
            Err(Error::Status { status: 413, .. }) if attempt != bare => {
                attempt = report.shrunk(attempt.bytes() / 2);
            }
            // An older drop may reject unknown fields.
            Err(Error::Status { status: 400 | 422, .. }) if attempt != bare => attempt = bare.clone(),
            outcome => return outcome,
        }
    }
}

/// Handles a drop that has another report under this number. Unless it knows how the generation ended, ours are
/// renumbered to follow it.
fn contradicted(report: &Report, reports: &[Report]) -> Entry {
    let own = reports.iter().filter(|kept| kept.generation == report.generation);
    let Some(last) = own.max_by_key(|kept| kept.sequence) else {
        return given_up(report, "the drop has a different report with this number");
    };
    if last.state.is_final() {
        return given_up(report, "the drop already has the final report of this generation");
    }
    match (last.sequence + 1).checked_sub(report.sequence) {
        Some(by) if by > 0 => {
            tracing::warn!(
                generation = report.generation,
                sequence = report.sequence,
                by,
                "the drop has a different report with this number: renumbering this report and the later ones"
            );
            Entry::Renumbered { generation: report.generation, from: report.sequence, by }
        }
        _ => given_up(report, "the drop has a different report with this number"),
    }
}

fn delivered(report: &Report) -> Entry {
    Entry::Delivered { generation: report.generation, sequence: report.sequence }
}

/// Logs the reports instead, where there is no drop, until the future is dropped.
pub(crate) async fn log(journal: &JournalStore) -> Result<(), JournalStoreError> {
    let mut ledgers = journal.subscribe();
    loop {
        let oldest = ledgers.borrow_and_update().next_report().cloned();
        match oldest {
            Some(Report { generation, sequence, state, message, .. }) => {
                tracing::info!(generation, ?state, message, "report (no drop configured, logged only)");
                journal.write(Entry::Delivered { generation, sequence }).await?;
            }
            None if ledgers.changed().await.is_err() => return Err(JournalStoreError::Interrupted),
            None => {}
        }
    }
}

/// Whether the drop rejects the report itself. A missing document or permission may be fixed.
fn is_permanent(error: &Error) -> bool {
    matches!(error, Error::Status { status: 400 | 413 | 415 | 422, .. })
}

fn given_up(report: &Report, reason: &str) -> Entry {
    tracing::warn!(generation = report.generation, sequence = report.sequence, reason, "dropped a report");
    delivered(report)
}
