//! Savepoint retention: surplus savepoints are deleted; those that a job or its rollback may need stay.

use crate::support::setup::Setup;
use crate::support::{agent, document};
use config_agent::{Retention, RunOutcome, submission_id};

fn savepoint_of(generation: u64) -> String {
    format!("file:///savepoints/{}", submission_id(&document(generation)))
}

async fn apply(setup: &Setup, generation: u64) {
    setup.drop.publish(&document(generation)).await;
    assert_eq!(agent(&setup.config).await.once().await.unwrap(), RunOutcome::Good);
}

/// Goal: the last two savepoints stay; none is deleted twice.
#[tokio::test]
async fn old_savepoints_are_disposed_of() {
    let mut setup = Setup::new().await;
    setup.config.retention = Retention::keeping(2);
    for generation in 1..=6 {
        apply(&setup, generation).await;
    }
    let disposed = setup.flink.with(|world| world.disposed.clone());
    assert_eq!(disposed, [savepoint_of(1), savepoint_of(2), savepoint_of(3)]);
}

/// Goal: with unlimited retention all stay; and the running job's start state is never deleted.
#[tokio::test]
async fn what_is_needed_stays() {
    for (kept, expected) in [(0, 0), (1, 2)] {
        let mut setup = Setup::new().await;
        setup.config.retention = Retention::keeping(kept);
        for generation in 1..=4 {
            apply(&setup, generation).await;
        }
        let disposed = setup.flink.with(|world| world.disposed.clone());
        assert_eq!(disposed.len(), expected);
        assert!(!disposed.contains(&savepoint_of(3)), "{disposed:?}");
    }
}

/// Goal: a failed deletion changes nothing else, and is reported with the next generation.
#[tokio::test]
async fn a_failed_disposal_is_told() {
    let mut setup = Setup::new().await;
    setup.config.retention = Retention::keeping(1);
    setup.flink.with(|world| world.disposal_fails = Some("a.B: no such savepoint".to_owned()));
    for generation in 1..=4 {
        apply(&setup, generation).await;
    }
    let reports = setup.drop.reports().await;
    let first = reports.iter().find(|report| report.generation == 4).unwrap();
    let message = first.message.as_deref().unwrap();
    assert!(message.contains(&savepoint_of(1)) && message.contains("no such savepoint"), "{message}");
}
