//! Delivery of reports: in order, at least once, for as long as it takes, beside the change and never in its way.

use drop_client::{Error, Reported};
use job_config::Report;

use crate::backoff::Backoff;
use crate::book::{Book, BookError};
use crate::condition::{Condition, chain};
use crate::ledger::Entry;
use crate::surroundings::Surroundings;

/// Delivers reports until the future is dropped.
pub(crate) async fn deliver<S: Surroundings>(
    book: &Book,
    around: &S,
    mut backoff: Backoff,
    condition: &Condition,
) -> Result<(), BookError> {
    let mut ledgers = book.subscribe();
    loop {
        let oldest = ledgers.borrow_and_update().next_report().cloned();
        let Some(report) = oldest else {
            if ledgers.changed().await.is_err() {
                return Err(BookError::Interrupted);
            }
            continue;
        };
        match around.report(&report).await {
            Ok(outcome) => {
                condition.good();
                if outcome == Reported::Contradicted {
                    given_up(&report, "the drop has another report in its place");
                }
            }
            Err(error) if is_hopeless(&error) => given_up(&report, &chain(&error)),
            Err(error) => {
                condition.bad(&error);
                around.sleep(backoff.wait(around.chance())).await;
                continue;
            }
        }
        backoff.reset();
        let Report { generation, sequence, .. } = report;
        book.write(Entry::Delivered { generation, sequence }).await?;
    }
}

/// Tells the log instead, where there is no drop, until the future is dropped.
pub(crate) async fn log(book: &Book) -> Result<(), BookError> {
    let mut ledgers = book.subscribe();
    loop {
        let oldest = ledgers.borrow_and_update().next_report().cloned();
        match oldest {
            Some(Report { generation, sequence, state, message, .. }) => {
                tracing::info!(generation, ?state, message, "reported to the log: there is no drop");
                book.write(Entry::Delivered { generation, sequence }).await?;
            }
            None if ledgers.changed().await.is_err() => return Err(BookError::Interrupted),
            None => {}
        }
    }
}

/// Whether the drop finds fault with the report itself. A missing document or right may be put right.
fn is_hopeless(error: &Error) -> bool {
    matches!(error, Error::Status { status: 400 | 413 | 415 | 422, .. })
}

fn given_up(report: &Report, reason: &str) {
    tracing::warn!(
        generation = report.generation,
        sequence = report.sequence,
        reason,
        "a report was given up"
    );
}
